//! Both listeners, the webhooks' over TLS and the plain one of probes and metrics: `axum_server` serves HTTP/1.1 on them, and what
//! stands here bounds what clients may take. [`acceptor`] admits a connection, or closes another one for it ([`limits`]), and does
//! the TLS handshake. [`connection`] wraps what `axum_server` then reads, writes and asks, and keeps the [`connection_state`], by
//! which `limits` closes connections whose time is up and answers ask clients to open another connection.

pub(super) mod acceptor;
pub(super) mod connection;
mod connection_state;
pub(super) mod limits;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum_server::Server;

use self::acceptor::Acceptor;
use self::limits::Connections;

/// Largest head of a request, bytes; an API server's has some hundred.
const MAX_HEAD: usize = 16 << 10;

/// A server for this listener; where files run out, connections of `other` may be closed too.
pub(super) fn server(
    listener: TcpListener,
    acceptor: Acceptor,
    other: Arc<Connections>,
) -> io::Result<Server<SocketAddr, Acceptor>> {
    let connections = Arc::clone(&acceptor.connections);
    let handle = connections.handle.clone();
    let mut server = axum_server::from_tcp(listener)?.http1_only().handle(handle).acceptor(acceptor);
    // Answers are small: one buffer for head and body is less work than two that are written together.
    server.http_builder().http1().max_buf_size(MAX_HEAD).writev(false);
    Ok(server.accept_error_handler(move |address, error| {
        // With an address it is the acceptor that failed, which has told why.
        if address.is_none() {
            connections.on_accept_error(&other, error);
        }
    }))
}
