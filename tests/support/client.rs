//! A client that does one thing at a time, so that a test can stop in the middle of a request.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use session_webhook::server::tls::Pair;

use super::PATIENCE;

/// An HTTP/1.1 connection.
pub struct Client<S = StreamOwned<ClientConnection, TcpStream>>(S);

impl Client {
    /// Opens a TLS connection to `localhost` at this address.
    pub fn connect(address: SocketAddr, authority: &[u8]) -> io::Result<Self> {
        Self::connect_as(address, client_config(authority, None, rustls::ALL_VERSIONS))
    }

    /// Opens a TLS connection with all that a client may be.
    pub fn connect_as(address: SocketAddr, config: ClientConfig) -> io::Result<Self> {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, tcp(address)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self(stream))
    }

    /// The certificate that the server showed, DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.0.conn.peer_certificates().unwrap()[0].to_vec()
    }
}

impl Client<TcpStream> {
    /// Opens a plain connection.
    pub fn plain(address: SocketAddr) -> io::Result<Self> {
        Ok(Self(tcp(address)?))
    }

    /// Whether the server has closed it, without having answered anything.
    pub fn is_closed(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let peeked = self.0.peek(&mut [0]);
        self.0.set_nonblocking(false).unwrap();
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

/// TLS in these versions with this authority alone, and with this certificate where there is one.
pub fn client_config(
    authority: &[u8],
    identity: Option<&Pair>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let Some(pair) = identity else { return config.with_no_client_auth() };
    let chain = CertificateDer::pem_slice_iter(&pair.certificate).map(Result::unwrap).collect();
    config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(&pair.key).unwrap()).unwrap()
}

fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// An error when the connection is closed.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    pub fn get(&mut self, path: &str) -> String {
        self.try_get(path).unwrap()
    }

    /// An error when the connection is closed.
    pub fn try_get(&mut self, path: &str) -> io::Result<String> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes())?;
        self.response()
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> String {
        self.send(post_head(path, body.len()).as_bytes());
        self.send(body);
        self.response().unwrap()
    }

    /// Head and body of the next response, as text; an error when the connection ends before.
    pub fn response(&mut self) -> io::Result<String> {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            text.push(byte[0]);
        }
        let head = String::from_utf8(text.clone()).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        text.extend(body);
        Ok(String::from_utf8(text).unwrap())
    }
}

/// The head of a `POST` of JSON.
pub fn post_head(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}
