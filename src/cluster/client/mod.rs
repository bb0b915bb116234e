//! The way to the API server: which one and with which credentials (`credentials`), whom TLS trusts (`tls`), by which proxy (`proxy`,
//! `transport`), and a deadline on each request (`connection`).

mod connection;
mod credentials;
mod error;
mod proxy;
mod tls;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use kube::Client;

use self::connection::Connection;
pub use self::error::{ClusterError, RequestError, describe, is_answer, is_invalid};

/// Who writes, in `managedFields`.
pub const FIELD_MANAGER: &str = "session-webhook";

/// `--request-timeout` unless told otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Which API server, and how long it may take.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// `--context`; without it the current one, or this pod's service account where there is no kubeconfig.
    pub context: Option<String>,
    /// `--request-timeout`: for each request, whatever trickles in, retries included.
    pub request_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self { context: None, request_timeout: REQUEST_TIMEOUT }
    }
}

/// An API server, with what a command wants to know about the requests to it.
#[derive(Clone)]
pub struct ApiServer {
    /// Sends requests, each with a deadline.
    pub client: Client,
    /// The namespace of the context or of the pod.
    pub namespace: String,
    /// Its address.
    pub address: Uri,
    connection: Arc<Connection>,
}

/// Reads the credentials: from the files in `KUBECONFIG`, `~/.kube/config`, or this pod's service account, in this order.
///
/// # Errors
///
/// [`ClusterError`] when there are none, or they cannot be used.
pub async fn connect(options: &ConnectOptions) -> Result<ApiServer, ClusterError> {
    let (connection, namespace, address) = Connection::open(options.clone()).await?;
    let connection = Arc::new(connection);
    let sender = Arc::clone(&connection);
    let service = tower::service_fn(move |request| {
        let connection = Arc::clone(&sender);
        async move { connection.send(request).await }
    });
    Ok(ApiServer { client: Client::new(service, namespace.clone()), namespace, address, connection })
}

impl ApiServer {
    /// The request that has been waiting for longest, and since when.
    pub fn pending_request(&self) -> Option<(String, Duration)> {
        self.connection.pending_request()
    }

    /// Resolves once no request has succeeded for twice `--request-timeout`: there is no use in trying more of them.
    pub async fn is_unresponsive(&self) -> ClusterError {
        self.connection.is_unresponsive().await
    }
}
