//! Where the webhook is, as its configurations say.

use serde_json::Value;

use super::facts::{Look, Names};
use crate::core::installation::{NAMESPACE, SERVICE};

/// A text in an object.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// What an entry calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
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
    /// Anything.
    Url(String),
}

impl Call {
    /// What an entry calls, if it says so.
    pub fn of(entry: &Value) -> Option<Self> {
        if let Some(url) = text(entry, "/clientConfig/url") {
            return Some(Self::Url(url.to_owned()));
        }
        let service = entry.pointer("/clientConfig/service")?;
        let port = service.get("port").and_then(Value::as_u64).map_or(Some(443), |port| port.try_into().ok())?;
        Some(Self::Service {
            namespace: text(service, "/namespace")?.to_owned(),
            name: text(service, "/name")?.to_owned(),
            port,
            path: text(service, "/path").unwrap_or("/").to_owned(),
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

    /// Who is called, the path left out.
    pub fn server(&self) -> Place {
        match self {
            Self::Service { namespace, name, port, .. } => {
                Place::Service { namespace: namespace.clone(), name: name.clone(), port: *port }
            }
            Self::Url(url) => {
                let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let (host, port) = match authority.rsplit_once(':') {
                    Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(443)),
                    _ => (authority, 443),
                };
                Place::Url { host: host.trim_matches(['[', ']']).to_owned(), port }
            }
        }
    }
}

/// Where the webhook is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Behind a Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// At an address.
    Url {
        /// DNS name or IP address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Place {
    /// The name that the certificate must stand for.
    pub fn tls_name(&self) -> String {
        match self {
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
            Self::Url { host, .. } => host.clone(),
        }
    }

    /// The namespace of what runs the webhook.
    pub fn namespace(&self, names: &Names) -> String {
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

/// The entries of a configuration.
pub(super) fn entries(configuration: &Value) -> impl Iterator<Item = &Value> {
    configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten()
}

/// The name of an entry.
pub(super) fn name(entry: &Value) -> &str {
    text(entry, "/name").unwrap_or_default()
}

/// Where the webhook is: where somebody said, else where the entries say, the one that refuses first, else as shipped.
pub fn place(names: &Names, configurations: &[Look<Value>; 2]) -> Place {
    let calls = configurations.iter().rev().filter_map(Look::found).flat_map(entries).filter_map(Call::of);
    let called = calls.map(|call| call.server()).next();
    let (namespace, service, port) = match called {
        Some(Place::Service { namespace, name, port }) => (Some(namespace), Some(name), port),
        Some(url) if names.service.is_none() => return url,
        _ => (None, None, 443),
    };
    Place::Service {
        namespace: names.namespace.clone().or(namespace).unwrap_or_else(|| NAMESPACE.to_owned()),
        name: names.service.clone().or(service).unwrap_or_else(|| SERVICE.to_owned()),
        port,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::{Call, Place};

    #[rstest]
    #[case::host("https://webhook.example/mutate", "webhook.example", 443, "/mutate")]
    #[case::port("https://webhook.example:8443/validate", "webhook.example", 8443, "/validate")]
    #[case::address("https://10.0.0.1:8443/validate", "10.0.0.1", 8443, "/validate")]
    #[case::ipv6("https://[fd00::1]/mutate", "fd00::1", 443, "/mutate")]
    #[case::ipv6_and_port("https://[fd00::1]:8443/mutate", "fd00::1", 8443, "/mutate")]
    #[case::no_path("https://webhook.example", "webhook.example", 443, "/")]
    fn a_url_is_taken_apart(#[case] url: &str, #[case] host: &str, #[case] port: u16, #[case] path: &str) {
        let call = Call::of(&json!({"clientConfig": {"url": url}})).unwrap();
        assert_eq!((call.server(), call.path()), (Place::Url { host: host.to_owned(), port }, path));
    }

    #[test]
    fn a_service_has_the_defaults_of_the_api_server() {
        let call = Call::of(&json!({"clientConfig": {"service": {"namespace": "a", "name": "b"}}})).unwrap();
        assert_eq!((call.server().tls_name().as_str(), call.path()), ("b.a.svc", "/"));
        assert_eq!(call.server().describe(), "Service a/b, port 443");
        assert_eq!(Call::of(&json!({"clientConfig": {"service": {"name": "b"}}})), None);
    }
}
