//! The options, in groups. What stands here is the flag, the environment variable, the file's key and the help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{ByteSize, HumanDuration, exact_account, log_level, object_name, socket_address};
use crate::cluster::client::REQUEST_TIMEOUT;
use crate::core::installation::{CONFIGURATION, SELF_MANAGED_SECRET, SERVICE};
use crate::core::settings::{AccountPattern, Dialect, Housekeeper, Impersonation, Invariants, Mode, Settings};
use crate::server::{Limits, Listeners, TLS_POLL, Timeouts};
use crate::telemetry::LineFormat;

/// `--config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArg {
    /// YAML file with options, by their long names; flags and variables win over it
    #[arg(long, env = "SESSION_WEBHOOK_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How long the API server may take: [`RequestArgs::timeout`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub struct RequestArgs {
    /// Time for one request to the API server, retries and the whole answer included
    #[arg(long, env = "SESSION_WEBHOOK_REQUEST_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::new(REQUEST_TIMEOUT.try_into().unwrap_or_default()))]
    request_timeout: HumanDuration,
}

impl RequestArgs {
    /// For [`crate::cluster::client::connect`].
    pub fn timeout(&self) -> Duration {
        self.request_timeout.unsigned()
    }
}

/// What the policy may be told: [`PolicyArgs::settings`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Policy")]
pub struct PolicyArgs {
    /// What becomes of a request that the policy denies
    #[arg(long, env = "SESSION_WEBHOOK_MODE", hide_env_values = true, default_value_t = Settings::default().mode)]
    #[arg(value_enum)]
    mode: Mode,

    /// A service account of HobbyFarm that may write Sessions, `*` for a whole part; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_SERVICE_ACCOUNT", hide_env_values = true, value_name = "NAMESPACE/NAME")]
    #[arg(default_values_t = Settings::default().service_accounts)]
    service_account: Vec<AccountPattern>,

    /// The account that this webhook itself writes with
    #[arg(long, env = "SESSION_WEBHOOK_OWN_SERVICE_ACCOUNT", hide_env_values = true, value_name = "NAMESPACE/NAME")]
    #[arg(value_parser = exact_account)]
    own_service_account: Option<AccountPattern>,

    /// A user who may write Sessions in an emergency, with a warning; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_BREAK_GLASS_USER", hide_env_values = true, value_name = "USER")]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    break_glass_user: Vec<String>,

    /// A group whose members may write Sessions in an emergency, with a warning; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_BREAK_GLASS_GROUP", hide_env_values = true, value_name = "GROUP")]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    break_glass_group: Vec<String>,

    /// Who may change finalizers and owner references: a service account (namespace/name) or a user; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_HOUSEKEEPER", hide_env_values = true, value_name = "ACCOUNT|USER")]
    #[arg(default_values_t = Settings::default().housekeepers)]
    housekeeper: Vec<Housekeeper>,

    /// What a HobbyFarm user name without a uid means, as `kubectl --as` makes it
    #[arg(long, env = "SESSION_WEBHOOK_IMPERSONATION", hide_env_values = true, value_enum)]
    #[arg(default_value_t = Settings::default().impersonation)]
    impersonation: Impersonation,

    /// What becomes of a write that breaks an invariant: `start_time` moved, unfinished again, owner changed
    #[arg(long, env = "SESSION_WEBHOOK_INVARIANTS", hide_env_values = true, value_enum)]
    #[arg(default_value_t = Settings::default().invariants)]
    invariants: Invariants,

    #[command(flatten)]
    sessions: SessionArgs,
}

/// What Sessions look like and how long they live: [`SessionArgs::apply_to`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Policy")]
pub struct SessionArgs {
    /// Which shape of a Session HobbyFarm uses
    #[arg(long, env = "SESSION_WEBHOOK_DIALECT", hide_env_values = true, value_enum)]
    #[arg(default_value_t = Settings::default().dialect.into())]
    dialect: DialectArg,

    /// How far ahead a missing `end_time` is set
    #[arg(long, env = "SESSION_WEBHOOK_SESSION_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::new(Settings::default().session_timeout))]
    session_timeout: HumanDuration,

    /// How far ahead a missing pause time is set (gargantua dialect)
    #[arg(long, env = "SESSION_WEBHOOK_PAUSE_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::new(Settings::default().pause_timeout))]
    pause_timeout: HumanDuration,
}

impl SessionArgs {
    /// The settings with these in place of theirs.
    pub fn apply_to(self, settings: Settings) -> Settings {
        let Self { dialect, session_timeout, pause_timeout } = self;
        Settings {
            dialect: dialect.into(),
            session_timeout: session_timeout.signed(),
            pause_timeout: pause_timeout.signed(),
            ..settings
        }
    }
}

/// `--dialect`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DialectArg {
    /// Told from each request
    Auto,
    /// HobbyFarm's documentation: flags are strings
    Documented,
    /// What HobbyFarm v1 to v3 stores: flags are booleans
    Gargantua,
}

impl From<Option<Dialect>> for DialectArg {
    fn from(dialect: Option<Dialect>) -> Self {
        match dialect {
            None => Self::Auto,
            Some(Dialect::Documented) => Self::Documented,
            Some(Dialect::Gargantua) => Self::Gargantua,
        }
    }
}

impl From<DialectArg> for Option<Dialect> {
    fn from(dialect: DialectArg) -> Self {
        match dialect {
            DialectArg::Auto => None,
            DialectArg::Documented => Some(Dialect::Documented),
            DialectArg::Gargantua => Some(Dialect::Gargantua),
        }
    }
}

impl PolicyArgs {
    /// For the core.
    pub fn settings(self) -> Settings {
        let Self {
            mode,
            service_account,
            own_service_account,
            break_glass_user,
            break_glass_group,
            housekeeper,
            impersonation,
            invariants,
            sessions,
        } = self;
        sessions.apply_to(Settings {
            mode,
            service_accounts: service_account,
            own_service_account,
            break_glass_users: break_glass_user,
            break_glass_groups: break_glass_group,
            housekeepers: housekeeper,
            impersonation,
            invariants,
            ..Settings::default()
        })
    }

    /// What is accepted but lets more people write than most people want, one line each, for the log at start.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for pattern in &self.service_account {
            if pattern.admits_every_namespace() {
                warnings.push(format!(
                    "--service-account {pattern} admits accounts of every namespace: whoever may create one may write Sessions"
                ));
            }
            if pattern.admits_default_account() {
                warnings.push(format!(
                    "--service-account {pattern} admits the account `default`, which every pod without an account of its \
                     own uses; name HobbyFarm's accounts instead"
                ));
            }
        }
        warnings
    }
}

/// How the program tells what it does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs (on standard error)")]
pub struct LogArgs {
    /// Lines for people, or one JSON object a line
    #[arg(long, env = "SESSION_WEBHOOK_LOG_FORMAT", hide_env_values = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,session_webhook=debug`
    #[arg(
        long,
        env = "SESSION_WEBHOOK_LOG_LEVEL",
        hide_env_values = true,
        value_name = "LEVEL",
        default_value = "info"
    )]
    #[arg(value_parser = log_level)]
    pub log_level: String,
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people; coloured on a terminal
    Text,
    /// One JSON object a line
    Json,
}

impl From<LogFormat> for LineFormat {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// Where and how `serve` listens: [`ServeArgs::listeners`], [`ServeArgs::limits`], [`ServeArgs::timeouts`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServeArgs {
    /// Address of the webhooks (TLS): POST /mutate and POST /validate; `[::]` is IPv6 and IPv4, or IPv4 where there is no IPv6
    #[arg(long, env = "SESSION_WEBHOOK_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT")]
    #[arg(default_value = "[::]:8443", value_parser = socket_address)]
    listen: SocketAddr,

    /// Address for probes and metrics (plain HTTP): /livez, /readyz and /metrics; `[::]` as for `--listen`
    #[arg(long, env = "SESSION_WEBHOOK_OPS_LISTEN", hide_env_values = true, value_name = "ADDRESS:PORT")]
    #[arg(default_value = "[::]:8080", value_parser = socket_address)]
    ops_listen: SocketAddr,

    /// Where the serving certificate comes from
    #[arg(long, env = "SESSION_WEBHOOK_TLS", hide_env_values = true, value_enum, default_value_t = TlsMode::Files)]
    pub tls: TlsMode,

    /// Certificate chain, PEM; read again when it changes
    #[arg(long, env = "SESSION_WEBHOOK_TLS_CERT", hide_env_values = true, value_name = "FILE")]
    #[arg(default_value = "/tls/tls.crt")]
    pub tls_cert: PathBuf,

    /// Private key of the certificate, PEM; read again when it changes
    #[arg(long, env = "SESSION_WEBHOOK_TLS_KEY", hide_env_values = true, value_name = "FILE")]
    #[arg(default_value = "/tls/tls.key")]
    pub tls_key: PathBuf,

    /// How often certificate and key are looked at
    #[arg(long, env = "SESSION_WEBHOOK_TLS_POLL", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::new(TLS_POLL.try_into().unwrap_or_default()))]
    pub tls_poll: HumanDuration,

    /// How many connections may be open at once; beyond, the one that has been idle for longest is closed
    #[arg(long, env = "SESSION_WEBHOOK_MAX_CONNECTIONS", hide_env_values = true, value_name = "COUNT")]
    #[arg(default_value_t = Limits::default().connections)]
    max_connections: usize,

    /// Secret of `--tls self-managed`, in the pod's namespace; made where there is none
    #[arg(long, env = "SESSION_WEBHOOK_TLS_SECRET", hide_env_values = true, value_name = "NAME")]
    #[arg(default_value = SELF_MANAGED_SECRET, value_parser = object_name)]
    pub tls_secret: String,

    /// Service that the certificate of `--tls self-managed` is for, in the pod's namespace
    #[arg(long, env = "SESSION_WEBHOOK_TLS_SERVICE", hide_env_values = true, value_name = "NAME")]
    #[arg(default_value = SERVICE, value_parser = object_name)]
    pub tls_service: String,

    /// Webhook configurations, of both kinds, whose `caBundle` is kept by `--tls self-managed`
    #[arg(long, env = "SESSION_WEBHOOK_WEBHOOK_CONFIGURATION", hide_env_values = true, value_name = "NAME")]
    #[arg(default_value = CONFIGURATION, value_parser = object_name)]
    pub webhook_configuration: String,

    /// How many reviews may be worked on at once; one more is answered 503 at once
    #[arg(long, env = "SESSION_WEBHOOK_MAX_REQUESTS_IN_FLIGHT", hide_env_values = true, value_name = "COUNT")]
    #[arg(default_value_t = Limits::default().requests)]
    max_requests_in_flight: usize,

    /// How many bytes the bodies of those reviews may have together; beyond, 503 at once
    #[arg(long, env = "SESSION_WEBHOOK_MAX_BYTES_IN_FLIGHT", hide_env_values = true, value_name = "BYTES")]
    #[arg(default_value_t = ByteSize(Limits::default().bytes))]
    max_bytes_in_flight: ByteSize,

    /// Time that a client has for the TLS handshake
    #[arg(long, env = "SESSION_WEBHOOK_HANDSHAKE_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(10))]
    handshake_timeout: HumanDuration,

    /// Time for the headers of a request, from their first byte; a new connection that sends none is closed after it too
    #[arg(long, env = "SESSION_WEBHOOK_HEADER_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(10))]
    header_timeout: HumanDuration,

    /// Time from one answer to the next request; keep it above the API server's 90 s for idle connections, else requests
    /// meet a connection that is just being closed
    #[arg(long, env = "SESSION_WEBHOOK_IDLE_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(120))]
    idle_timeout: HumanDuration,

    /// Time that a client has for the whole body; the API server itself never waits longer than 30 s
    #[arg(long, env = "SESSION_WEBHOOK_BODY_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::new(Limits::default().body_timeout.try_into().unwrap_or_default()))]
    body_timeout: HumanDuration,

    /// How old a connection may grow until the client is asked, with an answer, to open another, so that it meets all
    /// replicas in turn; up to a quarter less at random, 0s for any age
    #[arg(long, env = "SESSION_WEBHOOK_CONNECTION_AGE", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(20 * 60), value_parser = HumanDuration::parse_or_zero)]
    connection_age: HumanDuration,

    /// On SIGTERM: how long to go on serving, unready, until nobody sends requests here any more
    #[arg(long, env = "SESSION_WEBHOOK_DRAIN_DELAY", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(10), value_parser = HumanDuration::parse_or_zero)]
    drain_delay: HumanDuration,

    /// After that: how long requests in flight may take to finish
    #[arg(long, env = "SESSION_WEBHOOK_DRAIN_TIMEOUT", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(15), value_parser = HumanDuration::parse_or_zero)]
    drain_timeout: HumanDuration,
}

/// `--tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TlsMode {
    /// `--tls-cert` and `--tls-key`, read again when they change
    Files,
    /// A throw-away authority and certificate, for trying things out
    SelfSigned,
    /// An authority and certificate of the webhook's own, in a Secret, renewed by itself
    SelfManaged,
}

impl ServeArgs {
    /// The addresses to listen on.
    pub fn listeners(&self) -> Listeners {
        Listeners { webhook: self.listen, ops: self.ops_listen }
    }

    /// What clients may take.
    ///
    /// # Errors
    ///
    /// A message when not even one request, or not one of the largest size, could ever be answered.
    pub fn limits(&self) -> Result<Limits, super::ConfigError> {
        let least = ByteSize(crate::server::MAX_BODY);
        let contradiction = |text: String| Err(super::ConfigError::Contradiction(text));
        for (flag, count) in
            [("connections", self.max_connections), ("requests-in-flight", self.max_requests_in_flight)]
        {
            if count == 0 {
                return contradiction(format!("--max-{flag} 0: expected 1 or more"));
            }
        }
        if self.max_bytes_in_flight < least {
            return contradiction(format!(
                "--max-bytes-in-flight {}: expected {least} or more, else the largest legitimate review is never answered",
                self.max_bytes_in_flight
            ));
        }
        Ok(Limits {
            connections: self.max_connections,
            requests: self.max_requests_in_flight,
            bytes: self.max_bytes_in_flight.0,
            body_timeout: self.body_timeout.unsigned(),
        })
    }

    /// How long connections may take, and stopping.
    pub fn timeouts(&self) -> Timeouts {
        Timeouts {
            handshake: self.handshake_timeout.unsigned(),
            header: self.header_timeout.unsigned(),
            idle: self.idle_timeout.unsigned(),
            age: self.connection_age.unsigned(),
            drain_delay: self.drain_delay.unsigned(),
            drain: self.drain_timeout.unsigned(),
        }
    }
}
