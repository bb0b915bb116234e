//! The load: connections that ask, each as soon as it has its answer. It must cost less than what it asks.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::Answer;
use crate::tests::client::client_config;

/// How calls use connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One after the other on the same.
    Kept,
    /// Each on one of its own, with a whole handshake: an API server resumes none.
    New,
}

/// Connections to one server.
pub(crate) struct Client {
    runtime: Runtime,
    to: To,
    open: Vec<Connection>,
}

#[derive(Clone)]
struct To {
    address: SocketAddr,
    tls: TlsConnector,
}

struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, authority: &[u8]) -> Self {
        let mut config: ClientConfig = client_config(authority, None, &[&rustls::version::TLS13]);
        config.resumption = Resumption::disabled();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, to: To { address, tls: Arc::new(config).into() }, open: Vec::new() }
    }

    /// Has so many connections open.
    pub(crate) fn open(&mut self, count: usize) {
        let Self { runtime, to, open } = self;
        runtime.block_on(async {
            while open.len() < count {
                open.push(Connection::new(to).await.unwrap());
            }
        });
    }

    /// Asks for this long, over so many connections at a time; how long each call took, in nanoseconds.
    pub(crate) fn ask(&mut self, mode: Mode, count: usize, request: &Arc<[u8]>, time: Duration) -> Vec<u32> {
        if mode == Mode::Kept {
            self.open(count);
        }
        let Self { runtime, to, open } = self;
        runtime.block_on(async {
            let until = Instant::now() + time;
            // A load that sleeps has to be woken by who answers it, at his expense, and the slower he is the more often.
            let awake = tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
            let mut tasks = JoinSet::new();
            for _ in 0..count {
                let (to, request) = (to.clone(), Arc::clone(request));
                match mode {
                    Mode::Kept => tasks.spawn(keep(open.pop().unwrap(), request, until)),
                    Mode::New => tasks.spawn(renew(to, request, until)),
                };
            }
            let mut latencies = Vec::new();
            while let Some(done) = tasks.join_next().await {
                let (connection, taken) = done.unwrap().unwrap();
                open.extend(connection);
                latencies.extend(taken);
            }
            awake.abort();
            latencies
        })
    }
}

type Done = io::Result<(Option<Connection>, Vec<u32>)>;

async fn keep(mut connection: Connection, request: Arc<[u8]>, until: Instant) -> Done {
    let mut latencies = Vec::with_capacity(1 << 10);
    let mut now = Instant::now();
    while now < until {
        let began = now;
        connection.call(&request).await?;
        now = Instant::now();
        latencies.push(nanoseconds(now - began));
    }
    Ok((Some(connection), latencies))
}

async fn renew(to: To, request: Arc<[u8]>, until: Instant) -> Done {
    let mut latencies = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        let mut connection = Connection::new(&to).await?;
        connection.call(&request).await?;
        latencies.push(nanoseconds(began.elapsed()));
    }
    Ok((None, latencies))
}

fn nanoseconds(time: Duration) -> u32 {
    u32::try_from(time.as_nanos()).unwrap_or(u32::MAX)
}

impl Connection {
    async fn new(to: &To) -> io::Result<Self> {
        let socket = TcpStream::connect(to.address).await?;
        socket.set_nodelay(true)?;
        let stream = to.tls.connect(ServerName::try_from("localhost").unwrap(), socket).await?;
        Ok(Self { stream, buffer: vec![0; 4 << 10] })
    }

    async fn call(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut length = 0;
        loop {
            match self.stream.read(&mut self.buffer[length..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => length += read,
            }
            if let Some(answer) = Answer::read(&self.buffer[..length]) {
                return if answer.ok { Ok(()) } else { Err(io::ErrorKind::Other.into()) };
            }
        }
    }
}
