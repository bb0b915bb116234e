//! What answers in the webhook's place, and does not do its work.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::pki::{Authority, Identity};

/// How a replica can fail to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Failure {
    /// Nothing listens.
    Absent,
    /// It takes the request and never answers.
    Hanging,
    /// It answers 500.
    InternalError,
    /// It resets the connection.
    Resetting,
    /// Its certificate is of an authority that the `caBundle` does not hold.
    Untrusted,
}

impl Failure {
    pub(crate) const ALL: [Self; 5] =
        [Self::Absent, Self::Hanging, Self::InternalError, Self::Resetting, Self::Untrusted];
}

/// It listens until it is dropped, and keeps no connection then.
#[derive(Default)]
pub(crate) struct StandIn {
    task: Option<JoinHandle<()>>,
    handle: Option<Handle<SocketAddr>>,
}

impl StandIn {
    /// Fails in this way at the webhook's address; `trusted` is the webhook's own certificate.
    pub(crate) async fn start(failure: Failure, address: SocketAddr, trusted: Identity) -> Self {
        match failure {
            Failure::Absent => Self::default(),
            Failure::Resetting => {
                let listener = TcpListener::bind(address).await.unwrap();
                let task = tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        // What is closed with something unread is reset.
                        let _ = stream.readable().await;
                    }
                });
                Self { task: Some(task), handle: None }
            }
            Failure::Hanging => {
                let router = Router::new().fallback(std::future::pending::<StatusCode>);
                serve(address, trusted, router).await
            }
            Failure::InternalError => {
                let router = Router::new().fallback(async || StatusCode::INTERNAL_SERVER_ERROR);
                serve(address, trusted, router).await
            }
            Failure::Untrusted => {
                let router = Router::new().fallback(async || StatusCode::OK);
                let other = Authority::new("somebody-else").server("session-webhook");
                serve(address, other, router).await
            }
        }
    }

    /// Ends it, and waits until its port is free.
    pub(crate) async fn end(mut self) {
        self.stop();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }

    fn stop(&self) {
        if let Some(handle) = &self.handle {
            handle.shutdown();
        } else if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn serve(address: SocketAddr, identity: Identity, router: Router) -> StandIn {
    let config = RustlsConfig::from_pem(identity.certificate.into_bytes(), identity.key.into_bytes()).await.unwrap();
    let handle = Handle::new();
    let server = axum_server::bind_rustls(address, config).handle(handle.clone());
    let task = tokio::spawn(async move { server.serve(router.into_make_service()).await.unwrap() });
    let listening = tokio::time::timeout(Duration::from_secs(10), handle.listening()).await;
    assert!(matches!(listening, Ok(Some(_))), "a stand-in listens: {listening:?}");
    StandIn { task: Some(task), handle: Some(handle) }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}
