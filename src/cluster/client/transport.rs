//! What sends requests to one API server: directly or by a proxy, with TLS and the credentials that are no certificate.
//!
//! kube's own stack takes neither a verifier of certificates nor the password of a SOCKS proxy, hence this.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Uri};
use hyper::rt::{Read, Write};
use hyper_rustls::{DefaultServerNameResolver, FixedServerNameResolver, HttpsConnector, ResolveServerName};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::{Client, Config};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tower::util::option_layer;
use tower::{Layer, Service, ServiceExt};

use super::error::BoxError;

/// For all addresses of a name together: the second is tried when the first says nothing.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Before a silent connection is probed, and between two probes: half a minute longer, and it is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Probes without an answer.
const KEEP_ALIVE_PROBES: u32 = 3;

/// A client without retries and timeouts: those are the connection's.
///
/// # Errors
///
/// What kube says of a credential or a header that cannot be used.
pub(super) fn client(config: &Config, tls: ClientConfig, proxy: Option<Intercept>) -> kube::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    // A watch is told nothing when its API server or a load balancer disappears.
    tcp.set_keepalive(Some(KEEP_ALIVE));
    tcp.set_keepalive_interval(Some(KEEP_ALIVE));
    tcp.set_keepalive_retries(Some(KEEP_ALIVE_PROBES));
    let tls = Tls { config: Arc::new(tls), names: server_names(config)? };
    let Some(proxy) = proxy else { return build(config, tls.over(tcp)) };
    let uri = proxy.uri().clone();
    match (uri.scheme_str(), proxy.raw_auth(), proxy.basic_auth()) {
        (Some("socks5" | "socks5h"), Some((user, password)), _) => {
            build(config, tls.over(SocksV5::new(uri, tcp).with_auth(user.to_owned(), password.to_owned())))
        }
        (Some("socks5" | "socks5h"), None, _) => build(config, tls.over(SocksV5::new(uri, tcp))),
        // As Go does: what the kubeconfig says of the API server's certificate holds for the proxy's, too.
        (Some("https"), _, authorization) => {
            let tunnel = with_authorization(Tunnel::new(uri, tls.over(tcp)), authorization);
            build(config, tls.over(tunnel))
        }
        (_, _, authorization) => build(config, tls.over(with_authorization(Tunnel::new(uri, tcp), authorization))),
    }
}

struct Tls {
    config: Arc<ClientConfig>,
    names: Arc<dyn ResolveServerName + Send + Sync>,
}

impl Tls {
    /// TLS where the address says https, over connections that something else makes.
    fn over<C>(&self, connector: C) -> HttpsConnector<C> {
        HttpsConnector::new(connector, Arc::clone(&self.config), false, Arc::clone(&self.names))
    }
}

fn server_names(config: &Config) -> kube::Result<Arc<dyn ResolveServerName + Send + Sync>> {
    Ok(match &config.tls_server_name {
        None => Arc::new(DefaultServerNameResolver::default()),
        Some(name) => {
            let name = ServerName::try_from(name.clone()).map_err(kube::client::RustlsTlsError::InvalidServerName);
            Arc::new(FixedServerNameResolver::new(name.map_err(kube::Error::RustlsTls)?))
        }
    })
}

fn with_authorization<C>(tunnel: Tunnel<C>, authorization: Option<&HeaderValue>) -> Tunnel<C> {
    match authorization {
        Some(authorization) => tunnel.with_auth(authorization.clone()),
        None => tunnel,
    }
}

fn build<C>(config: &Config, connector: C) -> kube::Result<Client>
where
    C: Service<Uri> + Clone + Send + Sync + 'static,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Future: Send + Unpin + 'static,
    C::Error: Into<BoxError>,
{
    let http = legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(connector).map_err(BoxError::from);
    let with_headers = config.extra_headers_layer()?.layer(http);
    let authenticated = option_layer(config.auth_layer()?).layer(with_headers);
    Ok(Client::new(config.base_uri_layer().layer(authenticated), config.default_namespace.clone()))
}
