//! From an accepted socket to a connection that is served: a place among the open ones, the TLS handshake, who the client is.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;

use axum_server::accept::Accept;
use futures::future::BoxFuture;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::either::Either;

use super::super::tls::ClientPolicy;
use super::connection::{ConnectionService, ConnectionStream};
use super::connection_state::Phase;
use super::limits::Connections;

/// Accepts the connections of one listener.
#[derive(Clone)]
pub(in super::super) struct Acceptor {
    pub(in super::super) connections: Arc<Connections>,
    /// None for plain connections.
    pub(in super::super) tls: Option<Tls>,
}

/// What a handshake is done with.
#[derive(Clone)]
pub(in super::super) struct Tls {
    pub(in super::super) config: watch::Receiver<Arc<ServerConfig>>,
    pub(in super::super) clients: Arc<ClientPolicy>,
}

impl<S: Send + 'static> Accept<TcpStream, S> for Acceptor {
    type Stream = ConnectionStream;
    type Service = ConnectionService<S>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, socket: TcpStream, service: S) -> Self::Future {
        let Self { connections, mut tls } = self.clone();
        Box::pin(async move {
            // Answers are written as a whole.
            socket.set_nodelay(true)?;
            // Before the handshake, so that a certificate that is loaded from now on is a newer one.
            let config = tls.as_mut().map(|tls| Arc::clone(&tls.config.borrow_and_update()));
            let connection = connections.admit(tls.as_ref().map(|tls| tls.config.clone()))?;
            let state = Arc::clone(&connection.state);
            let (transport, is_allowed_client) = match tls.zip(config) {
                None => (Either::Left(socket), true),
                Some((tls, config)) => tokio::select! {
                    biased;
                    () = poll_fn(|context| state.poll_closed(context)) => return Err(io::ErrorKind::TimedOut.into()),
                    result = TlsAcceptor::from(config).accept(socket) => {
                        let stream = result.inspect_err(|error| state.set_close_reason(tls.clients.handshake_failure(error)))?;
                        state.enter(Phase::Unused);
                        let is_allowed = tls.clients.is_allowed(stream.get_ref().1);
                        (Either::Right(Box::new(stream)), is_allowed)
                    }
                },
            };
            let service = ConnectionService { service, state, is_allowed_client };
            Ok((ConnectionStream { transport, connection }, service))
        })
    }
}
