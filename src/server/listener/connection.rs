//! A connection as `axum_server` sees it: its bytes, until it is closed, and what answers its requests.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request, Response};
use futures::TryFutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tower::Service;

use super::connection_state::{ConnectionState, Phase};
use super::limits::OpenConnection;

/// Boxed, because what is moved about takes its room in the connection's task more than once.
type Transport = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// The stream of a connection that has a place; it ends when that is closed.
pub(in super::super) struct ConnectionStream {
    pub(super) transport: Transport,
    pub(super) connection: OpenConnection,
}

impl ConnectionStream {
    fn poll_open<T>(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut Transport>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if !self.connection.state.is_closed() {
            let result = poll(Pin::new(&mut self.transport), context);
            if result.is_ready() || self.connection.state.poll_closed(context).is_pending() {
                return result;
            }
        }
        Poll::Ready(Err(ErrorKind::ConnectionAborted.into()))
    }
}

impl AsyncRead for ConnectionStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = self.as_mut().poll_open(context, |transport, context| transport.poll_read(context, buffer));
        let state = &self.connection.state;
        if buffer.filled().len() > before && matches!(state.phase().0, Phase::Unused | Phase::Idle) {
            state.enter(Phase::ReadingHead);
        }
        result
    }
}

impl AsyncWrite for ConnectionStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_open(context, |transport, context| transport.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(context, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_open(context, AsyncWrite::poll_shutdown)
    }
}

/// Among a request's extensions: its client is none of those that are answered.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct UnknownClient;

/// A service that keeps the state of its connection, and asks the client to close one that should end.
#[derive(Clone)]
pub(in super::super) struct ConnectionService<S> {
    pub(super) service: S,
    pub(super) state: Arc<ConnectionState>,
    pub(super) is_allowed_client: bool,
}

impl<S, B, C> Service<Request<B>> for ConnectionService<S>
where
    S: Service<Request<B>, Response = Response<C>, Future: Send + 'static>,
{
    type Response = S::Response;
    type Error = S::Error;
    /// Boxed, so that a connection without a request has no room for one.
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        self.state.enter(Phase::InRequest);
        if !self.is_allowed_client {
            request.extensions_mut().insert(UnknownClient);
        }
        let state = Arc::clone(&self.state);
        let with_state = move |mut response: Response<C>| {
            if state.on_answer() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response
        };
        // No async block, which would have room for the request twice.
        Box::pin(self.service.call(request).map_ok(with_state))
    }
}
