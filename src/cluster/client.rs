//! The way to the API server.

use std::time::Duration;

use axum::http::Uri;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use thiserror::Error;

/// Who writes, in `managedFields`.
pub const FIELD_MANAGER: &str = "session-webhook";

/// Time for one answer of the API server.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Why the cluster cannot be reached.
#[derive(Debug, Error)]
pub enum ClusterError {
    /// There are no credentials, or they cannot be used.
    #[error(
        "no way to the API server: {0}; in a pod it needs the token of its service account \
         (automountServiceAccountToken: true), elsewhere ~/.kube/config or KUBECONFIG"
    )]
    Credentials(String),
    /// The kubeconfig has no such context, or it cannot be used.
    #[error("--context {context}: {reason}")]
    Context {
        /// As given.
        context: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A client as `KUBECONFIG`, `~/.kube/config` or this pod's service account say, in this order, and the namespace that goes
/// with it.
///
/// # Errors
///
/// [`ClusterError`] when there is none of them.
pub async fn connect() -> Result<(Client, String), ClusterError> {
    let error = |error: &dyn std::error::Error| ClusterError::Credentials(error.to_string());
    let config = Config::infer().await.map_err(|e| error(&e))?;
    client(config).map_err(|e| error(&e))
}

/// As [`connect`], for watches: an answer may go on for minutes without a word.
///
/// # Errors
///
/// [`ClusterError`] when there are no credentials.
pub async fn connect_to_watch() -> Result<Client, ClusterError> {
    let error = |error: &dyn std::error::Error| ClusterError::Credentials(error.to_string());
    let mut config = Config::infer().await.map_err(|e| error(&e))?;
    config.connect_timeout = Some(REQUEST_TIMEOUT);
    Client::try_from(config).map_err(|e| error(&e))
}

/// A client by the context that somebody chose, or as [`connect`] finds one.
///
/// # Errors
///
/// [`ClusterError`] when there is no such context, or no credentials.
pub async fn connect_to_context(context: Option<&str>) -> Result<(Client, String), ClusterError> {
    match context {
        Some(context) => connect_with_context(context).await,
        None => connect().await,
    }
}

/// The address of the API server that [`connect_to_context`] speaks to.
///
/// # Errors
///
/// As [`connect_to_context`].
pub async fn server_address(context: Option<&str>) -> Result<Uri, ClusterError> {
    let config = match context {
        Some(context) => config_for_context(context).await?,
        None => Config::infer().await.map_err(|error| ClusterError::Credentials(error.to_string()))?,
    };
    Ok(config.cluster_url)
}

/// A client by a context of the kubeconfig, and the namespace of that context.
///
/// # Errors
///
/// [`ClusterError`] when there is no such context, or it cannot be used.
async fn connect_with_context(context: &str) -> Result<(Client, String), ClusterError> {
    client(config_for_context(context).await?).map_err(|error| unusable(context, &error))
}

async fn config_for_context(context: &str) -> Result<Config, ClusterError> {
    let kubeconfig = Kubeconfig::read().map_err(|error| unusable(context, &error))?;
    let options = KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(context, &error))
}

fn unusable(context: &str, error: &dyn std::error::Error) -> ClusterError {
    ClusterError::Context { context: context.to_owned(), reason: error.to_string() }
}

fn client(mut config: Config) -> kube::Result<(Client, String)> {
    config.connect_timeout = Some(REQUEST_TIMEOUT);
    config.read_timeout = Some(REQUEST_TIMEOUT);
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config)?, namespace))
}
