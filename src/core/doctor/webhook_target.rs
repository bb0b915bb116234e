//! `clientConfig` of an entry: the Service or URL that the API server calls, and the path.

use serde_json::Value;

use super::entries::{entries_of, string_at};
use super::observation::Observation;
use crate::core::installation::{CONFIGURATION, NAMESPACE, SERVICE};

/// Which installation is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallationNames {
    /// Name of the webhook configurations.
    pub configuration: String,
    /// Namespace of the webhook's Service and Deployment, where one is given.
    pub namespace: Option<String>,
    /// Name of the Service, where one is given.
    pub service: Option<String>,
}

impl Default for InstallationNames {
    fn default() -> Self {
        Self { configuration: CONFIGURATION.to_owned(), namespace: None, service: None }
    }
}

/// `clientConfig` of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientConfig {
    /// A Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
        /// Path.
        path: String,
    },
    /// A URL.
    Url(String),
}

impl ClientConfig {
    /// Reads it; none where it names neither a Service nor a URL.
    pub fn of(entry: &Value) -> Option<Self> {
        if let Some(url) = string_at(entry, "/clientConfig/url") {
            return Some(Self::Url(url.to_owned()));
        }
        let service = entry.pointer("/clientConfig/service")?;
        let port = service.get("port").and_then(Value::as_u64).map_or(Some(443), |port| port.try_into().ok())?;
        Some(Self::Service {
            namespace: string_at(service, "/namespace")?.to_owned(),
            name: string_at(service, "/name")?.to_owned(),
            port,
            path: string_at(service, "/path").unwrap_or("/").to_owned(),
        })
    }

    /// The path.
    pub fn path(&self) -> &str {
        match self {
            Self::Service { path, .. } => path,
            Self::Url(url) => {
                url.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("/")
            }
        }
    }

    /// The Service or host that is called, without the path.
    pub fn target(&self) -> WebhookTarget {
        match self {
            Self::Service { namespace, name, port, .. } => {
                WebhookTarget::Service { namespace: namespace.clone(), name: name.clone(), port: *port }
            }
            Self::Url(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let (host, port) = match authority.rsplit_once(':') {
                    Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(443)),
                    _ => (authority, 443),
                };
                WebhookTarget::Url { host: host.trim_matches(['[', ']']).to_owned(), port }
            }
        }
    }
}

/// The Service or URL that is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookTarget {
    /// A Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// A host outside of the cluster's Services.
    Url {
        /// DNS name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl WebhookTarget {
    /// The name that the certificate must stand for.
    pub fn tls_name(&self) -> String {
        match self {
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
            Self::Url { host, .. } => host.clone(),
        }
    }

    /// The namespace of what runs the webhook.
    pub fn namespace(&self, names: &InstallationNames) -> String {
        match self {
            Self::Service { namespace, .. } => namespace.clone(),
            Self::Url { .. } => names.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned()),
        }
    }

    /// For people.
    pub fn describe(&self) -> String {
        match self {
            Self::Service { namespace, name, port } => format!("Service {namespace}/{name}, port {port}"),
            Self::Url { host, port } => format!("{host}:{port}"),
        }
    }
}

/// The Service or URL of the webhook: as named on the command line, else as in the first entry that has one (validating
/// entries before mutating ones), else as shipped.
pub fn webhook_target(names: &InstallationNames, configurations: &[Observation<Value>; 2]) -> WebhookTarget {
    let found = configurations.iter().rev().filter_map(Observation::found).flat_map(entries_of);
    let called = found.filter_map(ClientConfig::of).map(|config| config.target()).next();
    let (namespace, service, port) = match called {
        Some(WebhookTarget::Service { namespace, name, port }) => (Some(namespace), Some(name), port),
        Some(url) if names.service.is_none() => return url,
        _ => (None, None, 443),
    };
    WebhookTarget::Service {
        namespace: names.namespace.clone().or(namespace).unwrap_or_else(|| NAMESPACE.to_owned()),
        name: names.service.clone().or(service).unwrap_or_else(|| SERVICE.to_owned()),
        port,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{ClientConfig, WebhookTarget};

    #[rstest]
    #[case::host("https://webhook.example/mutate", "webhook.example", 443, "/mutate")]
    #[case::port("https://webhook.example:8443/validate", "webhook.example", 8443, "/validate")]
    #[case::address("https://10.0.0.1:8443/validate", "10.0.0.1", 8443, "/validate")]
    #[case::ipv6("https://[fd00::1]/mutate", "fd00::1", 443, "/mutate")]
    #[case::ipv6_and_port("https://[fd00::1]:8443/mutate", "fd00::1", 8443, "/mutate")]
    #[case::no_path("https://webhook.example", "webhook.example", 443, "/")]
    fn a_url_is_taken_apart(#[case] url: &str, #[case] host: &str, #[case] port: u16, #[case] path: &str) {
        let config = ClientConfig::of(&json!({"clientConfig": {"url": url}})).unwrap();
        assert_eq!((config.target(), config.path()), (WebhookTarget::Url { host: host.to_owned(), port }, path));
    }

    #[test]
    fn a_service_has_the_defaults_of_the_api_server() {
        let config = ClientConfig::of(&json!({"clientConfig": {"service": {"namespace": "a", "name": "b"}}})).unwrap();
        assert_eq!((config.target().tls_name().as_str(), config.path()), ("b.a.svc", "/"));
        assert_eq!(config.target().describe(), "Service a/b, port 443");
        assert_eq!(ClientConfig::of(&json!({"clientConfig": {"service": {"name": "b"}}})), None);
    }
}
