//! The way from one replica to the API server: TCP that can be cut, reset and slowed down.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How much goes through at a time while it is slow.
const SLOW: (usize, Duration) = (1_000, Duration::from_millis(500));

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// They go through.
    Open,
    /// They wait, without an end in sight.
    CutOff,
    /// They go through a few at a time.
    Slow,
    /// Their connection is closed.
    Reset,
}

pub(crate) struct Link {
    pub(crate) port: u16,
    state: watch::Sender<State>,
}

impl Link {
    /// Ends with the runtime.
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (state, watched) = watch::channel(State::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server, watched.clone()));
            }
        });
        Self { port, state }
    }

    pub(crate) fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

async fn carry(client: TcpStream, server: SocketAddr, mut state: watch::Receiver<State>) {
    // As a SYN that is lost.
    if state.wait_for(|state| *state != State::CutOff).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let mut watched = state.clone();
    tokio::select! {
        () = copy(from_client, to_server, state.clone()) => {}
        () = copy(from_server, to_client, state) => {}
        _ = watched.wait_for(|state| *state == State::Reset) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let slow = *state.borrow() == State::Slow;
        let room = if slow { SLOW.0 } else { buffer.len() };
        let Ok(read @ 1..) = from.read(&mut buffer[..room]).await else { return };
        if slow {
            tokio::time::sleep(SLOW.1).await;
        }
        if state.wait_for(|state| *state != State::CutOff).await.is_err()
            || to.write_all(&buffer[..read]).await.is_err()
        {
            return;
        }
    }
}
