//! The floor under all figures of speed: a server of axum-server and rustls that reads the body and answers a constant, with
//! the TLS settings of the webhook. What it costs, every webhook in this language costs.
//!
//! `cargo run --release --example floor -- tls.crt tls.key` prints the address that it listens on.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of its own")]

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::post;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use jiff::Timestamp;
use session_webhook::server::tls::{Handshake, PairFiles};

const ANSWER: &str =
    r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"","allowed":true}}"#;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut files = std::env::args_os().skip(1).map(PathBuf::from);
    let mut file = || files.next().context("usage: floor CERTIFICATE KEY");
    let files = PairFiles { certificate: file()?, key: file()? };
    let (config, _) = files.read()?.open(&Handshake::default(), None, Timestamp::now())?;

    let answer = async |_: Bytes| ([(CONTENT_TYPE, "application/json")], ANSWER);
    let routes = Router::new().route("/mutate", post(answer)).route("/validate", post(answer));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    println!("{}", listener.local_addr()?);
    let acceptor = RustlsAcceptor::new(RustlsConfig::from_config(config)).acceptor(NoDelayAcceptor);
    axum_server::from_tcp(listener)?.acceptor(acceptor).serve(routes.into_make_service()).await?;
    Ok(())
}
