//! Which API server, and with which credentials: as kubectl finds them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use axum::http::Uri;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::error::{ClusterError, causes, unusable};
use super::proxy::proxy_for;
use super::{tls, transport};
use crate::config::process_environment;

/// Everything that a connection is made of.
pub(super) struct Credentials {
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) address: Uri,
    /// Holds the token; read again and again, since it is replaced before it expires.
    pub(super) token_file: Option<PathBuf>,
    /// When the client certificate expires.
    pub(super) valid_until: Option<jiff::Timestamp>,
}

/// Reads the credentials, runs an exec plugin where there is one, and makes a client. Blocks.
///
/// # Errors
///
/// [`ClusterError`], which quotes no line of a kubeconfig and no argument of a plugin.
pub(super) fn load(context: Option<&str>) -> Result<Credentials, ClusterError> {
    let failed = |reason: String| match context {
        Some(context) => ClusterError::Context { context: context.to_owned(), reason },
        None => ClusterError::Credentials(reason),
    };
    let (mut config, proxy_url) = match kubeconfig().map_err(failed)? {
        Some(kubeconfig) => from_kubeconfig(kubeconfig, context).map_err(failed)?,
        None if context.is_some() => {
            return Err(failed("there is no kubeconfig (KUBECONFIG, ~/.kube/config)".to_owned()));
        }
        None => (Config::incluster().map_err(|error| ClusterError::NoCredentials(causes(&error)))?, None),
    };
    let address = config.cluster_url.clone();
    if !matches!(address.scheme_str(), Some("http" | "https")) {
        return Err(failed(format!("server {address}: expected https://HOST:PORT")));
    }
    let variable = |name: &str| process_environment(name).and_then(|value| value.into_string().ok());
    let proxy = proxy_for(&address, proxy_url.as_deref(), variable).map_err(failed)?;
    // kube sends a line end along.
    let token_file = match config.auth_info.token {
        None => config.auth_info.token_file.take().map(PathBuf::from),
        Some(_) => None,
    };
    let namespace = config.default_namespace.clone();
    let tls = tls::client_config(&mut config).map_err(failed)?;
    let valid_until = tls::valid_until(&tls);
    let client = transport::client(&config, tls, proxy).map_err(|error| failed(unusable(&error)))?;
    Ok(Credentials { client, namespace, address, token_file, valid_until })
}

/// The files of `KUBECONFIG` that exist, merged, or `~/.kube/config`; nothing where there is none.
fn kubeconfig() -> Result<Option<Kubeconfig>, String> {
    let listed = process_environment("KUBECONFIG").filter(|list| !list.is_empty());
    let paths: Vec<PathBuf> = match &listed {
        Some(list) => std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect(),
        None => home().map(|home| Path::new(&home).join(".kube/config")).into_iter().collect(),
    };
    let existing: Vec<_> = paths.iter().filter(|path| path.exists()).collect();
    if existing.is_empty() {
        return match listed {
            Some(list) => Err(format!("KUBECONFIG={}: there is no such file", Path::new(&list).display())),
            None => Ok(None),
        };
    }
    let mut merged = Kubeconfig::default();
    for path in existing {
        let read = Kubeconfig::read_from(path).map_err(|error| unreadable(path, &error))?;
        merged = merged.merge(read).map_err(|error| unreadable(path, &error))?;
    }
    Ok(Some(merged))
}

fn home() -> Option<OsString> {
    process_environment("HOME").filter(|home| !home.is_empty())
}

/// Never a line of the file: it may hold a token.
fn unreadable(path: &Path, error: &KubeconfigError) -> String {
    let path = path.display();
    match error {
        KubeconfigError::ReadConfig(error, _) => format!("{path}: {error}"),
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!("{path}: malformed YAML at line {}, column {}", at.line(), at.column()),
            None => format!("{path}: malformed YAML"),
        },
        error => format!("{path}: {}", causes(error)),
    }
}

/// The configuration, and the proxy that the kubeconfig names.
fn from_kubeconfig(mut kubeconfig: Kubeconfig, context: Option<&str>) -> Result<(Config, Option<String>), String> {
    let name = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone());
    let cluster_name = kubeconfig
        .contexts
        .iter()
        .find(|known| Some(&known.name) == name.as_ref())
        .and_then(|known| known.context.as_ref())
        .map(|context| context.cluster.clone());
    // kube would hold NO_PROXY against the proxy's own host.
    let mut proxy_url = None;
    for cluster in kubeconfig.clusters.iter_mut().filter(|known| Some(&known.name) == cluster_name.as_ref()) {
        proxy_url = cluster.cluster.as_mut().and_then(|cluster| cluster.proxy_url.take());
    }
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = tokio::runtime::Handle::current().block_on(Config::from_custom_kubeconfig(kubeconfig, &options));
    match config {
        Ok(config) => Ok((config, proxy_url)),
        Err(KubeconfigError::CurrentContextNotSet) => {
            Err("the kubeconfig names no current context: choose one with --context or `kubectl config use-context`"
                .to_owned())
        }
        Err(error) => Err(causes(&error)),
    }
}
