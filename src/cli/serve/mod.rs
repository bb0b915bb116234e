//! `serve`: the webhook server.

mod controllers;
mod memory;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::controllers::{ControllerPlan, RunningControllers, SelfManaged};
use super::signals::Termination;
use super::{fail, refuse};
use crate::config::{
    self, BackfillArgs, ByteSize, ConfigArg, ConfigError, DialectArg, LogArgs, LogFormat, PolicyArgs, RequestArgs,
    ServeArgs, TlsArgs, TlsMode,
};
use crate::core::settings::{AccountPattern, Settings};
use crate::metrics::Metrics;
use crate::server::router::App;
use crate::server::tls::{PairFiles, SelfSigned, ServingCertificate, self_signed};
use crate::server::{Config, Limits, Server, TlsSource, clock};
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

Exit codes: 0 stopped as told (SIGTERM, SIGINT, SIGHUP), every request answered; 1 cannot start or go on, or requests in flight
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
    backfill: BackfillArgs,
    #[command(flatten)]
    requests: RequestArgs,
    #[command(flatten)]
    logs: LogArgs,
}

impl Serve {
    /// Serves until a signal says to stop.
    pub(super) fn run(self) -> ExitCode {
        let logs = self.logs.clone();
        let format = logs.log_format;
        let (plan, warnings) = match self.validate() {
            Ok(checked) => checked,
            Err(error) => return refuse(&error),
        };
        let logs = match telemetry::init(&logs.log_level, logs.log_format.into()) {
            Ok(logs) => logs,
            Err(error) => {
                fail(&error);
                return ExitCode::FAILURE;
            }
        };
        if let Some(authority) = &plan.authority {
            print_trust_bundle(authority, format);
        }
        log_settings(&plan.server.settings, &plan.server.limits);
        let unknown = config::unknown_variables(&super::command(), &config::process_variables());
        for warning in warnings.into_iter().chain(unknown) {
            tracing::warn!(warning, "questionable configuration");
        }
        let result = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| {
            let result = runtime.block_on(serve(plan));
            // What is still in flight was given its time.
            runtime.shutdown_background();
            result
        });
        // All of them before the last word.
        drop(logs);
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                telemetry::write_last_line(&format!("error: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }

    /// What is to run, and what is questionable about it.
    fn validate(self) -> Result<(ServePlan, Vec<String>), ConfigError> {
        let Self { config: _, server, tls: tls_args, policy, backfill, requests, logs: _ } = self;
        let mut warnings = [policy.warnings(), tls_args.warnings()].concat();
        let handshake = tls_args.handshake()?;
        let mut limits = server.limits()?;
        warnings.extend(memory::bound_by_container(&mut limits));
        let listeners = server.listeners();
        let timeouts = server.timeouts();
        if listeners.webhook == listeners.ops && listeners.webhook.port() != 0 {
            let text = format!("--listen and --ops-listen are both {}: choose two", listeners.webhook);
            return Err(ConfigError::Contradiction(text));
        }
        let (tls, TlsExtras { authority, managed }) = tls(server, &tls_args.tls_name)?;
        let (settings, controllers) = (policy.settings(), backfill.controllers());
        if controllers.as_ref().is_some_and(|plan| plan.backfill) && settings.own_service_account.is_none() {
            warnings.push(
                "--backfill without --own-service-account: the webhook may refuse what it writes itself".to_owned(),
            );
        }
        let server = Config { settings, listeners, limits, timeouts, tls, handshake };
        let beside = ControllerPlan { request_timeout: requests.timeout(), controllers, managed };
        Ok((ServePlan { server, beside, authority }, warnings))
    }
}

/// What is to run.
struct ServePlan {
    server: Config,
    beside: ControllerPlan,
    /// Of the throw-away certificate.
    authority: Option<String>,
}

/// What goes with the serving certificate.
#[derive(Default)]
struct TlsExtras {
    /// What clients have to trust, PEM, of `--tls self-signed`.
    authority: Option<String>,
    managed: Option<SelfManaged>,
}

fn tls(server: ServeArgs, names: &[String]) -> Result<(TlsSource, TlsExtras), ConfigError> {
    let make_self_signed =
        || self_signed(names, clock()).map_err(|error| ConfigError::Contradiction(format!("--tls-name: {error}")));
    Ok(match server.tls {
        TlsMode::Files => {
            let files = PairFiles { certificate: server.tls_cert, key: server.tls_key };
            (TlsSource::Files(files, server.tls_poll.unsigned()), TlsExtras::default())
        }
        TlsMode::SelfSigned => {
            let SelfSigned { authority, pair } = make_self_signed()?;
            (TlsSource::Fixed(pair), TlsExtras { authority: Some(authority), managed: None })
        }
        TlsMode::SelfManaged => {
            // Until the Secret is read: probes and signals are answered while the API server is away.
            let distrust = Some("the Secret with the serving certificate has not been read yet".to_owned());
            let (offers, offered) = watch::channel(ServingCertificate { pair: make_self_signed()?.pair, distrust });
            let managed = SelfManaged {
                secret: server.tls_secret,
                service: server.tls_service,
                configuration: server.webhook_configuration,
                further_names: names.to_vec(),
                offers,
            };
            (TlsSource::Received(offered), TlsExtras { authority: None, managed: Some(managed) })
        }
    })
}

/// Tells what clients have to trust, in the form of the log: lines to be pasted for people.
fn print_trust_bundle(authority: &str, format: LogFormat) {
    let ca_bundle = STANDARD.encode(authority);
    match format {
        LogFormat::Json => tracing::info!(authority, ca_bundle, "throw-away certificate authority"),
        LogFormat::Text => drop(writeln!(std::io::stderr(), "{authority}caBundle: {ca_bundle}")),
    }
}

/// The word of an option's value.
fn option_value(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// Tells what is enforced for whom, so that a log by itself explains its denials, and what requests may take.
fn log_settings(settings: &Settings, limits: &Limits) {
    let list = |patterns: &[AccountPattern]| patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    tracing::info!(
        version = crate::LONG_VERSION,
        mode = option_value(&settings.mode),
        dialect = option_value(&DialectArg::from(settings.dialect)),
        service_accounts = list(&settings.service_accounts),
        own_service_account = list(settings.own_service_account.as_slice()),
        break_glass_users = settings.break_glass_users.len(),
        break_glass_groups = settings.break_glass_groups.len(),
        impersonation = option_value(&settings.impersonation),
        invariants = option_value(&settings.invariants),
        max_bytes_in_flight = %ByteSize(limits.bytes),
        "policy"
    );
}

async fn serve(plan: ServePlan) -> anyhow::Result<()> {
    #[cfg(feature = "traces")]
    let traces = crate::traces::Traces::begin(&crate::config::process_environment)?;
    let result = run(plan).await;
    #[cfg(feature = "traces")]
    if let Some(traces) = traces {
        traces.end().await;
    }
    result
}

async fn run(plan: ServePlan) -> anyhow::Result<()> {
    let ServePlan { server: config, beside, authority: _ } = plan;
    let metrics = Arc::new(Metrics::new(crate::VERSION, crate::COMMIT));
    let settings = config.settings.clone();
    let app = App::new(settings.clone(), config.limits, Arc::clone(&metrics));
    let stop_controllers = CancellationToken::new();
    let stop = stop_signals(stop_controllers.clone())?;
    // Before anything else is done: a second process on these ports does nothing at all.
    let server = Server::bind_app(config, app, Arc::clone(&metrics))?;
    let controllers = RunningControllers::start(beside, settings, metrics, stop_controllers).await?;
    let result = server.run(stop).await;
    controllers.shut_down().await;
    Ok(result?)
}

/// A word for each SIGTERM, SIGINT and SIGHUP; with the first one the controllers stop, so that another replica goes on with them
/// while this one drains.
fn stop_signals(controllers: CancellationToken) -> std::io::Result<mpsc::Receiver<()>> {
    let (tell, stop) = mpsc::channel(2);
    let mut termination = Termination::new()?;
    tokio::spawn(async move {
        loop {
            termination.next().await;
            controllers.cancel();
            if tell.send(()).await.is_err() {
                return;
            }
        }
    });
    Ok(stop)
}
