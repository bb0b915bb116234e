//! Both listeners, the webhooks' over TLS and the plain one of probes and metrics: `axum_server` serves HTTP/1.1 on the streams that
//! [`Acceptor`] admits and wraps. By the [`connection_state`] of each, [`limits`] decides which connections to close.

mod connection_state;
pub(super) mod limits;

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use axum_server::Server;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tower::util::BoxCloneService;
use tower::{Service, ServiceExt};

use self::connection_state::Phase;
use self::limits::{Connections, OpenConnection};
use super::tls::{ClientPolicy, ConfigReceiver, UnknownClient};

/// Accepts the connections of one listener.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) connections: Arc<Connections>,
    /// None for plain connections.
    pub(super) tls: Option<ConfigReceiver>,
    pub(super) clients: Arc<ClientPolicy>,
}

impl Acceptor {
    /// A server for this listener; where files run out, connections of `other` may be closed too.
    pub(super) fn server(self, listener: TcpListener, other: Arc<Connections>) -> io::Result<Server<SocketAddr, Self>> {
        let connections = Arc::clone(&self.connections);
        let server = axum_server::from_tcp(listener)?.http1_only().handle(connections.handle.clone());
        let mut server = server.acceptor(self).accept_error_handler(move |address, error| {
            // With an address it is the acceptor that failed, which has told why.
            if address.is_none() {
                connections.on_accept_error(&other, error);
            }
        });
        // The largest head of a request, bytes: an API server's has some hundred. Answers are small: one buffer for head and body is
        // less work than two that are written together.
        server.http_builder().http1().max_buf_size(16 << 10).writev(false);
        Ok(server)
    }
}

impl<S, B> Accept<TcpStream, S> for Acceptor
where
    S: Service<Request<Incoming>, Response = Response<B>, Future: Send> + Clone + Send + 'static,
{
    type Stream = ConnectionStream;
    /// Boxes its futures, so that a connection without a request has no room for one.
    type Service = BoxCloneService<Request<Incoming>, S::Response, S::Error>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, socket: TcpStream, service: S) -> Self::Future {
        let Self { connections, mut tls, clients } = self.clone();
        Box::pin(async move {
            socket.set_nodelay(true)?;
            // Before the handshake, so that a certificate that is loaded from now on is a newer one.
            let config = tls.as_mut().map(|tls| Arc::clone(&tls.borrow_and_update()));
            let mut connection = connections.admit(tls)?;
            let state = Arc::clone(&connection.state);
            let (is_allowed, transport) = match config {
                None => (true, Either::Left(socket)),
                Some(config) => tokio::select! {
                    biased;
                    _ = &mut connection.closed => return Err(ErrorKind::TimedOut.into()),
                    result = TlsAcceptor::from(config).accept(socket) => {
                        let stream = result.inspect_err(|error| state.set_close_reason(clients.handshake_failure(error)))?;
                        state.enter(Phase::Idle);
                        (clients.is_allowed(stream.get_ref().1), Either::Right(Box::new(stream)))
                    }
                },
            };
            let on_request = move |mut request: Request<Incoming>| {
                state.begin_request();
                if !is_allowed {
                    request.extensions_mut().insert(UnknownClient);
                }
                request
            };
            let state = Arc::clone(&connection.state);
            let on_answer = move |mut response: Response<B>| {
                if state.on_answer() {
                    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                response
            };
            let service = service.map_request(on_request).map_response(on_answer).boxed_clone();
            Ok((ConnectionStream { transport, connection }, service))
        })
    }
}

/// Boxed, because what is moved about takes its room in the connection's task more than once.
type Transport = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The stream of a connection that has a place; it ends when that is closed.
pub(super) struct ConnectionStream {
    transport: Transport,
    connection: OpenConnection,
}

impl ConnectionStream {
    fn poll_open<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut Transport>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Self { transport, connection: OpenConnection { closed, .. } } = self;
        let result = if closed.is_aborted() { Poll::Pending } else { poll(Pin::new(transport), context) };
        let is_closed = result.is_pending() && Pin::new(closed).poll(context).is_ready();
        if is_closed { Poll::Ready(Err(ErrorKind::ConnectionAborted.into())) } else { result }
    }
}

impl AsyncRead for ConnectionStream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = bytes.filled().len();
        let result = self.poll_open(context, |transport, context| transport.poll_read(context, bytes));
        if bytes.filled().len() > before && self.connection.state.phase().0 == Phase::Idle {
            self.connection.state.enter(Phase::ReadingHead);
        }
        result
    }
}

impl AsyncWrite for ConnectionStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = self.poll_open(context, |transport, context| transport.poll_write(context, bytes));
        self.connection.state.is_unread.store(result.is_pending(), Ordering::Release);
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(context, AsyncWrite::poll_shutdown)
    }
}
