//! The options about TLS itself, and about who may connect.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use rustls::pki_types::ServerName;

use super::ConfigError;
use crate::server::tls::{Handshake, TlsVersion};

/// What a handshake must be like: [`TlsArgs::handshake`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub struct TlsArgs {
    /// DNS name or IP address that clients call this server by: a certificate that does not stand for it is not served,
    /// and `--tls self-signed` makes one that does; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_TLS_NAME", hide_env_values = true, value_name = "NAME")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub tls_name: Vec<String>,

    /// The oldest version of TLS that is spoken
    #[arg(long, env = "SESSION_WEBHOOK_TLS_MIN_VERSION", hide_env_values = true, value_enum, default_value_t)]
    tls_min_version: TlsVersion,

    /// Authorities of client certificates, PEM, one or several; read again when it changes. Without a certificate by one
    /// of them no handshake succeeds
    #[arg(long, env = "SESSION_WEBHOOK_CLIENT_CA", hide_env_values = true, value_name = "FILE")]
    client_ca: Option<PathBuf>,

    /// Common name or alternative name in the client certificates that are answered, others get 403; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_CLIENT_NAME", hide_env_values = true, value_name = "NAME")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    client_name: Vec<String>,
}

impl TlsArgs {
    /// What a handshake must be like.
    ///
    /// # Errors
    ///
    /// A message when a name is none, or names of clients are given without their authority.
    pub fn handshake(&self) -> Result<Handshake, ConfigError> {
        let contradiction = |text: String| Err(ConfigError::Contradiction(text));
        let mut names = Vec::new();
        for name in &self.tls_name {
            match ServerName::try_from(name.clone()) {
                Ok(name) => names.push(name),
                Err(_) => return contradiction(format!("--tls-name {name}: expected a DNS name or an IP address")),
            }
        }
        if self.client_ca.is_none() && !self.client_name.is_empty() {
            return contradiction(
                "--client-name needs --client-ca, without which clients show no certificate".to_owned(),
            );
        }
        Ok(Handshake {
            min_version: self.tls_min_version,
            names,
            client_ca: self.client_ca.clone(),
            client_names: self.client_name.clone(),
        })
    }

    /// What is accepted but lets more people write than most people want, one line each, for the log at start.
    pub fn warnings(&self) -> Vec<String> {
        let any = self.client_ca.is_some() && self.client_name.is_empty();
        let text = "--client-ca without --client-name admits whoever holds a certificate by that authority";
        if any { vec![text.to_owned()] } else { Vec::new() }
    }
}
