//! What an API server, or what stands between, may do with a request.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::api_server::MARKER;

/// What is done instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NoAnswer,
    HalfAnAnswer,
    InternalError,
    UnavailableForAnHour,
    TooManyRequests,
    Unauthorized,
    Forbidden,
    Reset,
    Garbage,
    Html,
    /// 200, as if the write had happened; a read is answered as it should be.
    OldObject,
    EndlessBody,
    SlowBody,
    /// Half an object, and told to be all: what a parser is tempted to quote.
    TruncatedObject,
    /// What a proxy on the way says by itself.
    GatewayPage,
    /// It is there no more.
    Gone,
    /// 200 and the end: of a watch, one that tells nothing.
    Nothing,
}

impl Fault {
    pub(crate) const ALL: [Self; 13] = [
        Self::NoAnswer,
        Self::HalfAnAnswer,
        Self::InternalError,
        Self::UnavailableForAnHour,
        Self::TooManyRequests,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Reset,
        Self::Garbage,
        Self::Html,
        Self::OldObject,
        Self::EndlessBody,
        Self::SlowBody,
    ];

    /// Does it to the connection, which is of no use any more afterwards.
    pub(crate) async fn happen(self, mut stream: TcpStream) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
        match self {
            Self::NoAnswer => wait_for_the_end(&stream).await,
            Self::HalfAnAnswer => {
                write(&mut stream, &format!("{head}Content-Length: 1000\r\n\r\n{{\"kind\":")).await;
                wait_for_the_end(&stream).await;
            }
            Self::InternalError => status(&mut stream, 500, "", "etcd leader changed").await,
            Self::UnavailableForAnHour => {
                status(&mut stream, 503, "Retry-After: 3600\r\n", "the server is currently unable").await;
            }
            Self::TooManyRequests => status(&mut stream, 429, "Retry-After: 1\r\n", "too many requests").await,
            Self::Unauthorized => status(&mut stream, 401, "", "Unauthorized").await,
            Self::Forbidden => status(&mut stream, 403, "", "user \"lab\" cannot do that").await,
            Self::Nothing => write(&mut stream, &format!("{head}Content-Length: 0\r\n\r\n")).await,
            Self::Gone => status(&mut stream, 404, "", "not found").await,
            // With unread input a closed socket is reset.
            Self::Reset | Self::OldObject => {}
            Self::Garbage => write(&mut stream, "\u{1}\u{2} no HTTP at all\r\n\r\n").await,
            Self::Html => {
                let page = "<html><body>Sign in</body></html>";
                let length = page.len();
                write(&mut stream, &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{page}")).await;
            }
            Self::GatewayPage => {
                let page = "<html>\n<head><title>502 Bad Gateway</title></head>\n</html>";
                let length = page.len();
                let head = format!("HTTP/1.1 502 X\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n");
                write(&mut stream, &(head + page)).await;
            }
            Self::TruncatedObject => {
                let body =
                    format!(r#"{{"kind":"List","items":[{{"metadata":{{"name":5,"x":"{MARKER}"}},"spec":"{MARKER}""#);
                let length = body.len();
                write(&mut stream, &format!("{head}Content-Length: {length}\r\n\r\n{body}")).await;
            }
            Self::EndlessBody => {
                let mut block = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
                let spaces = " ".repeat(0xffff);
                while stream.write_all(block.as_bytes()).await.is_ok() {
                    block = format!("ffff\r\n{spaces}\r\n");
                }
            }
            Self::SlowBody => {
                let mut block = format!("{head}Content-Length: 1000000\r\n\r\n");
                while stream.write_all(block.as_bytes()).await.is_ok() {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    " ".clone_into(&mut block);
                }
            }
        }
    }
}

async fn write(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn status(stream: &mut TcpStream, code: u16, headers: &str, message: &str) {
    let reason = if code == 404 { "NotFound" } else { "" };
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason,
        "code": code,
    });
    let body = body.to_string();
    let length = body.len();
    // The connection ends here, and a client that was not told would send its next request into the end.
    let headers = format!("Connection: close\r\nContent-Length: {length}\r\n{headers}");
    let head = format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\n{headers}\r\n");
    write(stream, &(head + &body)).await;
}

/// Until the other side has heard enough.
async fn wait_for_the_end(stream: &TcpStream) {
    let mut bytes = [0; 64];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut bytes) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
            _ => {}
        }
    }
}
