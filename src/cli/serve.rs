//! `serve`: the webhook server.

use std::io::Write;
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{fail, refuse};
use crate::config::{ConfigArg, ConfigError, LogArgs, PolicyArgs, ServeArgs, TlsArgs, TlsMode};
use crate::core::settings::{AccountPattern, Settings};
use crate::server::tls::{PairFiles, SelfSigned, self_signed};
use crate::server::{Config, Server, TlsSource, clock};
use crate::telemetry;

const EXAMPLES: &str = "\
Each option can also be set by the variable named beside it (repeatable ones comma separated) and by the --config file:

  mode: warn
  session-timeout: 10m
  service-account:
    - hobbyfarm-system/hobbyfarm-session
    - hobbyfarm-system/hobbyfarm-gargantua

Examples:

  Try it out, without certificates and without denying anything:
    session-webhook serve --tls self-signed --tls-name webhook.example --mode warn

  In a cluster, with HobbyFarm's accounts by name:
    session-webhook serve --service-account hobbyfarm-system/hobbyfarm-session

  Whether it is ready, and which certificate it serves:
    curl http://localhost:8080/readyz

Exit codes: 0 stopped as told (SIGTERM, SIGINT), every request answered; 1 cannot start or go on, or requests in flight
were cut by the drain timeout or a second signal; 2 bad usage or configuration.";

/// Answer the API server's admission requests
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    server: ServeArgs,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    logs: LogArgs,
}

impl Serve {
    /// Serves until a signal says to stop.
    pub(super) fn run(self) -> ExitCode {
        let logs = self.logs.clone();
        let config = match self.checked() {
            Ok((config, doubts)) => {
                if let Err(error) = telemetry::init(&logs) {
                    fail(&error);
                    return ExitCode::FAILURE;
                }
                log_policy(&config.settings);
                for doubt in doubts {
                    tracing::warn!(doubt, "questionable configuration");
                }
                config
            }
            Err(error) => return refuse(&error),
        };
        match tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
            let result = runtime.block_on(serve(config));
            // What is still in flight was given its time.
            runtime.shutdown_background();
            result
        }) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                fail(&error);
                ExitCode::FAILURE
            }
        }
    }

    /// The server's configuration, and what is questionable about it.
    fn checked(self) -> Result<(Config, Vec<String>), ConfigError> {
        let Self { config: _, server, tls: tls_args, policy, logs: _ } = self;
        let doubts = [policy.doubts(), tls_args.doubts()].concat();
        let handshake = tls_args.handshake()?;
        let limits = server.limits()?;
        let listeners = server.listeners();
        let timeouts = server.timeouts();
        if listeners.webhook == listeners.ops && listeners.webhook.port() != 0 {
            let text = format!("--listen and --ops-listen are both {}: choose two", listeners.webhook);
            return Err(ConfigError::Contradiction(text));
        }
        let tls = match server.tls {
            TlsMode::Files => TlsSource::Files(
                PairFiles { certificate: server.tls_cert, key: server.tls_key },
                server.tls_poll.unsigned(),
            ),
            TlsMode::SelfSigned => {
                let made = self_signed(&tls_args.tls_name, clock())
                    .map_err(|error| ConfigError::Contradiction(format!("--tls-name: {error}")))?;
                tell_how_to_trust(&made);
                TlsSource::Fixed(made.pair)
            }
        };
        Ok((Config { settings: policy.settings(), listeners, limits, timeouts, tls, handshake }, doubts))
    }
}

/// Prints the throw-away authority, on standard error.
fn tell_how_to_trust(made: &SelfSigned) {
    let SelfSigned { authority, pair: _ } = made;
    let bundle = STANDARD.encode(authority);
    drop(writeln!(std::io::stderr(), "{authority}caBundle: {bundle}"));
}

/// Tells what is enforced for whom, so that a log by itself explains its denials.
fn log_policy(settings: &Settings) {
    let list = |patterns: &[AccountPattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    tracing::info!(
        version = crate::LONG_VERSION,
        mode = ?settings.mode,
        dialect = ?settings.dialect,
        service_accounts = list(&settings.service_accounts),
        own_service_account = list(settings.own_service_account.as_slice()),
        break_glass_users = settings.break_glass_users.len(),
        break_glass_groups = settings.break_glass_groups.len(),
        impersonation = ?settings.impersonation,
        invariants = ?settings.invariants,
        "policy"
    );
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let (tell, stop) = mpsc::channel(2);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if tell.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(Server::bind(config)?.run(stop).await?)
}
