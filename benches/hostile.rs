//! What an honest client sees while 2,000 slow ones are about: a third each never ends its handshake, its headers, its body.
//!
//! `cargo bench --bench hostile [-- --seconds 30] [--max-connections 4096]`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first thing that is not as it should be"
)]

mod support;
#[path = "../tests/support/mod.rs"]
mod tests;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use support::{Connection, RecordedCall, argument, config, cpu_seconds, kilobytes, start};
use tests::client::client_config;
use tests::program::Program;

const SLOW: usize = 2_000;
/// Each slow client sends one byte in this time, and one that was closed comes back.
const ROUND: Duration = Duration::from_secs(5);
/// Between two calls of the honest client.
const PACE: Duration = Duration::from_millis(4);
/// Calls on one connection of the honest client.
const LIFE: usize = 50;

fn main() {
    if let Some(address) = argument("--attack") {
        return attack(address.parse().unwrap(), &STANDARD.decode(argument("--authority").unwrap()).unwrap());
    }
    let seconds = Duration::from_secs(argument("--seconds").map_or(30, |seconds| seconds.parse().unwrap()));
    let limit = argument("--max-connections").unwrap_or_else(|| "512".to_owned());
    let program = start(&format!("--max-connections {limit}"));
    println!("--max-connections {limit}, {SLOW} slow clients, an honest call each {PACE:?}\n");
    println!(
        "{:>8} {:>9} {:>9} {:>9} {:>7} {:>7} {:>8} {:>8} {:>6}",
        "", "p50 µs", "p99 µs", "p99.9 µs", "calls", "failed", "RSS kB", "open", "CPU %"
    );
    // Until everything has been touched once.
    measure(&program, Duration::from_secs(3));
    let quiet = row("quiet", &program, seconds);
    let attackers = Attackers::start(&program);
    // Until all have come, and gone once.
    thread::sleep(ROUND * 2);
    let hostile = row("attacked", &program, seconds);
    drop(attackers);
    println!("\np99: {:.2} times the quiet one; peak RSS {} kB", hostile / quiet, kilobytes(program.pid(), "VmHWM"));
}

/// Measures and prints; the p99.
fn row(name: &str, program: &Program, time: Duration) -> f64 {
    let (began, cpu) = (Instant::now(), cpu_seconds(program.pid()));
    let (mut latencies, failed) = measure(program, time);
    let share = 100.0 * (cpu_seconds(program.pid()) - cpu) / began.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let percentile = |per_mille: usize| latencies[(latencies.len() - 1) * per_mille / 1000].as_secs_f64() * 1e6;
    let [p50, p99, p999] = [500, 990, 999].map(percentile);
    let (rss, open) = (kilobytes(program.pid(), "VmRSS"), program.metric("connections"));
    let calls = latencies.len();
    println!("{name:>8} {p50:>9.0} {p99:>9.0} {p999:>9.0} {calls:>7} {failed:>7} {rss:>8} {open:>8} {share:>6.0}");
    p99
}

/// Keep-alives of HobbyFarm, one after the other at a steady pace; how long each took, and how many failed.
fn measure(program: &Program, time: Duration) -> (Vec<Duration>, u64) {
    let config = config(program);
    let call = RecordedCall::recorded("gargantua-status/61-status-keepalive-put-by-session-service.validating");
    let (mut latencies, mut failed) = (Vec::new(), 0);
    let (start, mut next) = (Instant::now(), Instant::now());
    let mut kept: Option<(Connection, usize)> = None;
    while start.elapsed() < time {
        next += PACE;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        match honest(program.webhook, &config, &call, &mut kept) {
            Ok(()) => latencies.push(began.elapsed()),
            Err(_) => failed += 1,
        }
    }
    (latencies, failed)
}

/// One call as Go's client makes it: on the kept connection, and on another when that was closed before it answered.
fn honest(
    webhook: SocketAddr,
    config: &Arc<ClientConfig>,
    call: &RecordedCall,
    kept: &mut Option<(Connection, usize)>,
) -> io::Result<()> {
    if let Some((mut connection, calls)) = kept.take()
        && let Ok(answer) = connection.call(call)
    {
        if !answer.close && calls < LIFE {
            *kept = Some((connection, calls + 1));
        }
        return if answer.ok { Ok(()) } else { Err(io::ErrorKind::Other.into()) };
    }
    let mut connection = Connection::open(webhook, config)?;
    let answer = connection.call(call)?;
    *kept = (!answer.close).then_some((connection, 0));
    if answer.ok { Ok(()) } else { Err(io::ErrorKind::Other.into()) }
}

/// The slow clients are another process, which gets the core of the honest one only when that is idle: otherwise their own work
/// would be measured as well.
struct Attackers(Child);

impl Attackers {
    fn start(program: &Program) -> Self {
        let child = Command::new("nice")
            .args(["-n", "19"])
            .arg(std::env::current_exe().unwrap())
            .args(["--attack", &program.webhook.to_string(), "--authority", &STANDARD.encode(&program.authority)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// One slow client, as far as it has come.
enum Slow {
    Closed,
    Handshake(TcpStream),
    Request(Box<StreamOwned<ClientConnection, TcpStream>>),
}

fn attack(webhook: SocketAddr, authority: &[u8]) {
    let config = Arc::new(client_config(authority, None, &[&rustls::version::TLS13]));
    let mut clients: Vec<Slow> = (0..SLOW).map(|_| Slow::Closed).collect();
    let pause = ROUND / u32::try_from(SLOW).unwrap();
    loop {
        for (number, client) in clients.iter_mut().enumerate() {
            thread::sleep(pause);
            let alive = match client {
                Slow::Closed => false,
                Slow::Handshake(socket) => drip(socket, b"\x16").is_ok(),
                Slow::Request(stream) => drip(stream, b"a").is_ok(),
            };
            if !alive {
                *client = come(webhook, &config, number % 3).unwrap_or(Slow::Closed);
            }
        }
    }
}

/// Sends a byte, unless the other side has closed.
fn drip(stream: &mut (impl Read + Write), byte: &[u8]) -> io::Result<()> {
    match stream.read(&mut [0; 64]) {
        Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
        _ => {}
    }
    stream.write_all(byte)?;
    stream.flush()
}

fn come(webhook: SocketAddr, config: &Arc<ClientConfig>, kind: usize) -> io::Result<Slow> {
    let mut socket = TcpStream::connect(webhook)?;
    socket.set_read_timeout(Some(ROUND))?;
    if kind == 0 {
        // The head of a record that never comes.
        socket.write_all(b"\x16\x03\x01\x02\x00")?;
        socket.set_nonblocking(true)?;
        return Ok(Slow::Handshake(socket));
    }
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.conn.complete_io(&mut stream.sock)?;
    stream.write_all(b"POST /validate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n")?;
    stream.write_all(if kind == 1 { b"x-slow: " } else { b"content-length: 100000\r\n\r\n" })?;
    stream.flush()?;
    stream.sock.set_nonblocking(true)?;
    Ok(Slow::Request(Box::new(stream)))
}
