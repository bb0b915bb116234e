//! Proxies of each kind: the API server is reached through them alone, by a name that only they know.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::api_server::ApiServer;
use crate::certificates::{ALIVE, Authority};
use crate::credentials::{assert_audited, blocking};
use crate::program::{Ended, kubeconfig_text, run_with};
use crate::tls::{server_config, tls_in_front_of};

/// Nobody but the proxy resolves it.
const NAME: &str = "api.invalid";
const PASSWORD: &str = "p@ss:w%rd";
/// As an address holds it.
const ESCAPED: &str = "p%40ss%3Aw%25rd";

/// What a proxy was asked for, and by whom.
type ProxiedRequests = Arc<Mutex<Vec<(String, String)>>>;

/// A proxy in front of a server, with what it is asked for.
async fn proxy(is_socks: bool, server: SocketAddr) -> (SocketAddr, ProxiedRequests) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), ProxiedRequests::default());
    let requests = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let requests = Arc::clone(&requests);
            tokio::spawn(async move {
                let request = if is_socks { socks(&mut client).await? } else { connect(&mut client).await? };
                requests.lock().unwrap().push(request);
                copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await
            });
        }
    });
    (address, asked)
}

/// The head of a `CONNECT`, answered: its target and `name:password`.
async fn connect(client: &mut TcpStream) -> std::io::Result<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
    let authorization = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
    let user = authorization.map(|encoded| String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap());
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    Ok((target, user.unwrap_or_default()))
}

/// RFC 1928 and 1929 as far as a client needs them: the target, and `name:password`.
async fn socks(client: &mut TcpStream) -> std::io::Result<(String, String)> {
    assert_eq!(client.read_u8().await?, 5);
    let methods = text(client).await?;
    let wants_password = methods.contains('\u{2}');
    client.write_all(&[5, if wants_password { 2 } else { 0 }]).await?;
    let mut user = String::new();
    if wants_password {
        assert_eq!(client.read_u8().await?, 1);
        user = format!("{}:{}", text(client).await?, text(client).await?);
        client.write_all(&[1, 0]).await?;
    }
    let mut command = [0; 4];
    client.read_exact(&mut command).await?;
    assert_eq!(command, [5, 1, 0, 3], "CONNECT to a name, which the proxy resolves");
    let target = format!("{}:{}", text(client).await?, client.read_u16().await?);
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await?;
    Ok((target, user))
}

/// A length, and so many bytes.
async fn text(client: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; client.read_u8().await?.into()];
    client.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Audits a server of that name; `cluster` is what else the kubeconfig says of it.
async fn audit(scheme: &str, server: SocketAddr, cluster: &str) -> Ended {
    let name = format!("{NAME}:{}", server.port());
    let text = kubeconfig_text(server, "token: a", cluster);
    let text = text.replace(&format!("http://{server}"), &format!("{scheme}://{name}"));
    blocking(move || run_with(&text, "audit --request-timeout 5s", "")).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_each_kind_is_used(
    #[values("http", "https", "socks5", "socks5h")] kind: &str,
    #[values(false, true)] with_password: bool,
    #[values("http", "https")] server_scheme: &str,
) {
    let (server, authority) = (ApiServer::start(None).await, Authority::new());
    let with_tls = async |target, name| tls_in_front_of(target, server_config(&authority.issue(name, ALIVE))).await;
    let server_address = if server_scheme == "https" { with_tls(server.address, NAME).await } else { server.address };
    let (mut proxy_address, asked) = proxy(kind.starts_with("socks"), server_address).await;
    if kind == "https" {
        proxy_address = with_tls(proxy_address, "127.0.0.1").await;
    }
    let user = if with_password { format!("alice:{ESCAPED}@") } else { String::new() };
    // One authority for both, as kubectl has it.
    let authority = STANDARD.encode(authority.pem());
    let cluster = format!(", proxy-url: '{kind}://{user}{proxy_address}', certificate-authority-data: {authority}");
    assert_audited(&audit(server_scheme, server_address, &cluster).await);
    let asked = asked.lock().unwrap();
    let user = if with_password { format!("alice:{PASSWORD}") } else { String::new() };
    let expected = (format!("{NAME}:{}", server_address.port()), user);
    assert!(!asked.is_empty() && asked.iter().all(|request| *request == expected), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_whose_certificate_nobody_trusts_is_sent_nothing() {
    let (server, authority) = (ApiServer::start(None).await, Authority::new());
    let (proxy, asked) = proxy(false, server.address).await;
    let proxy = tls_in_front_of(proxy, server_config(&Authority::new().issue("127.0.0.1", ALIVE))).await;
    let authority = STANDARD.encode(authority.pem());
    let cluster = format!(", proxy-url: 'https://alice:{ESCAPED}@{proxy}', certificate-authority-data: {authority}");
    let ended = audit("http", server.address, &cluster).await;
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("UnknownIssuer") && !ended.stderr.contains(ESCAPED), "{}", ended.stderr);
    assert!(asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_another_kind_is_told_with_what_to_do() {
    let server = ApiServer::start(None).await;
    let ended = audit("http", server.address, ", proxy-url: 'socks4://127.0.0.1:1'").await;
    assert_eq!(ended.code, Some(2));
    for part in ["proxy-url of the kubeconfig", "\"socks4\"", "https://", "socks5://", "ssh -D"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
}
