//! Which proxy leads to an API server: `proxy-url` of the kubeconfig, else `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` as
//! Go's `http.ProxyFromEnvironment` reads them.
//!
//! kube holds `NO_PROXY` against the proxy's host instead of the API server's, hence this.

use std::net::IpAddr;

use axum::http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// What can be spoken to a proxy.
const SCHEMES: [&str; 4] = ["http", "https", "socks5", "socks5h"];
/// Where a SOCKS proxy listens whose address names no port.
const SOCKS_PORT: u16 = 1080;

/// The proxy to `server`, if any, with the name and password to show it; `environment` looks a variable up.
///
/// # Errors
///
/// Where the proxy is named and what is expected there, without the proxy's password.
pub(super) fn proxy_for(
    server: &Uri,
    kubeconfig: Option<&str>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<Intercept>, String> {
    let variable = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, environment(name).filter(|value| !value.is_empty())?)))
    };
    if let Some(url) = kubeconfig.filter(|url| !url.is_empty()) {
        return parse("proxy-url of the kubeconfig", url).map(Some);
    }
    let is_https = server.scheme_str() == Some("https");
    let names = if is_https { ["HTTPS_PROXY", "https_proxy"] } else { ["HTTP_PROXY", "http_proxy"] };
    let Some((name, url)) = variable(names) else { return Ok(None) };
    let excluded = variable(["NO_PROXY", "no_proxy"]).map(|(_, value)| value).unwrap_or_default();
    if is_loopback(server) || is_excluded(server, &excluded) {
        return Ok(None);
    }
    parse(name, &url).map(Some)
}

/// Go never asks a proxy of the environment for this host.
fn is_loopback(server: &Uri) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn is_excluded(server: &Uri, no_proxy: &str) -> bool {
    let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = server.port_u16().unwrap_or(if server.scheme_str() == Some("https") { 443 } else { 80 });
    if no_proxy.trim() == "*" {
        return true;
    }
    // With a port, an entry is about that port alone; the matcher knows hosts, domains and networks.
    let entries = no_proxy.split([',', ' ']).map(str::trim).filter(|entry| !entry.is_empty());
    let entries: Vec<_> = entries.filter_map(|entry| host_of_entry(entry, port)).collect();
    let any = "http://proxy.invalid";
    let matcher = Matcher::builder().http(any).https(any).no(entries.join(",")).build();
    !host.is_empty() && matcher.intercept(server).is_none()
}

/// The entry without its port, or nothing where it is about another port.
fn host_of_entry(entry: &str, port: u16) -> Option<String> {
    let entry = entry.strip_prefix("*.").map_or_else(|| entry.to_owned(), |domain| format!(".{domain}"));
    match entry.rsplit_once(':') {
        Some((host, number)) if !host.contains(':') || host.ends_with(']') => {
            (number.parse() == Ok(port)).then(|| host.trim_matches(['[', ']']).to_owned())
        }
        _ => Some(entry.trim_matches(['[', ']']).to_owned()),
    }
}

fn parse(origin: &str, url: &str) -> Result<Intercept, String> {
    // As Go does: without a scheme it is a proxy by plain HTTP.
    let mut url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let accepted =
        format!("{origin}: expected the address of a proxy, http://HOST:PORT, https://, socks5:// or socks5h://");
    let uri: Uri = url.parse().map_err(|_| accepted.clone())?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if !SCHEMES.contains(&scheme) {
        return Err(format!("{accepted}, not {scheme:?}; a tunnel such as `ssh -D` speaks socks5"));
    }
    if let Some(authority) = uri.authority().filter(|known| known.port().is_none() && scheme.starts_with("socks")) {
        url = format!("{scheme}://{authority}:{SOCKS_PORT}");
    }
    // The matcher takes the address apart, and decodes name and password.
    let any = Uri::from_static("https://any.invalid");
    Matcher::builder().https(url).build().intercept(&any).filter(|proxy| proxy.uri().host().is_some()).ok_or(accepted)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::proxy_for;

    const HTTPS: &str = "https://10.1.2.3:6443";

    #[rstest]
    #[case::none(HTTPS, None, &[], None)]
    #[case::kubeconfig(HTTPS, Some("socks5://p:1"), &[("HTTPS_PROXY", "http://other:3128")], Some("socks5://p:1/"))]
    #[case::kubeconfig_despite_no_proxy(HTTPS, Some("http://p:1"), &[("NO_PROXY", "*")], Some("http://p:1/"))]
    #[case::environment(HTTPS, None, &[("HTTPS_PROXY", "http://p:3128")], Some("http://p:3128/"))]
    #[case::lower_case(HTTPS, None, &[("https_proxy", "p:3128")], Some("http://p:3128/"))]
    #[case::by_scheme(HTTPS, None, &[("HTTP_PROXY", "http://p:3128")], None)]
    #[case::plain("http://api.example", None, &[("HTTP_PROXY", "http://p:3128")], Some("http://p:3128/"))]
    #[case::socks(HTTPS, None, &[("HTTPS_PROXY", "socks5h://p:1080")], Some("socks5h://p:1080/"))]
    #[case::socks_without_port(HTTPS, None, &[("HTTPS_PROXY", "socks5://u:p@[fd00::1]")], Some("socks5://[fd00::1]:1080/"))]
    #[case::excluded_network(HTTPS, None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "10.0.0.0/8")], None)]
    #[case::excluded_port(HTTPS, None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "10.1.2.3:6443")], None)]
    #[case::other_port(HTTPS, None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "10.1.2.3:443")], Some("http://p:1/"))]
    #[case::excluded_domain("https://k8s.corp", None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", ".corp, other")], None)]
    #[case::excluded_star("https://a.corp", None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "*.corp")], None)]
    #[case::excluded_all(HTTPS, None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "*")], None)]
    #[case::proxy_itself_excluded(HTTPS, None, &[("HTTPS_PROXY", "http://p:1"), ("NO_PROXY", "p")], Some("http://p:1/"))]
    #[case::loopback("https://127.0.0.1:6443", None, &[("HTTPS_PROXY", "http://p:1")], None)]
    #[case::localhost("https://localhost:6443", None, &[("HTTPS_PROXY", "http://p:1")], None)]
    fn a_proxy_is_chosen_as_kubectl_does(
        #[case] server: &str,
        #[case] kubeconfig: Option<&str>,
        #[case] variables: &[(&str, &str)],
        #[case] expected: Option<&str>,
    ) {
        let environment = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, v)| (*v).to_owned());
        let proxy = proxy_for(&server.parse().unwrap(), kubeconfig, environment).unwrap();
        assert_eq!(proxy.map(|proxy| proxy.uri().to_string()).as_deref(), expected);
    }

    #[rstest]
    #[case("ftp://user:s3cret@proxy")]
    #[case("socks4://user:s3cret@proxy")]
    #[case("http://user:s3cret@[")]
    fn an_address_that_is_none_is_told_without_its_password(#[case] url: &str) {
        let error = proxy_for(&HTTPS.parse().unwrap(), Some(url), |_| None).unwrap_err();
        assert!(error.contains("proxy-url") && !error.contains("s3cret"), "{error}");
    }
}
