//! `doctor`: whether the installation in a cluster is sound.

mod report;
mod serve_settings;

use std::io::{ErrorKind, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use axum::http::Uri;
use clap::{Args, ValueEnum};
use tokio::time::timeout_at;

use self::serve_settings::read_serve_settings;
use super::cluster::{ClusterArgs, Outcome, attempt};
use super::fail;
use crate::cluster::client::{connect, describe};
use crate::cluster::doctor::{Vantage, gather};
use crate::config::{Environment, HumanDuration, object_name};
use crate::core::doctor::{Check, InstallationNames, Status, run_checks};
use crate::core::installation::CONFIGURATION;
use crate::server::clock;

/// Between two rounds of `--wait`.
const PAUSE: Duration = Duration::from_secs(2);
/// A round of `--wait` that begins just before the end has this time.
const LAST_ROUND: Duration = Duration::from_secs(2);

const EXAMPLES: &str = "\
Nothing is changed: the one write is a dry run, which the webhook has to refuse. What the pods are told is read from their
Deployment and its ConfigMap. The serving certificate is asked for at each ready pod, through the API server (port-forward)
or, in a pod, directly.

Exit codes: 0 nothing is broken (! is worth a thought), 1 something is, 2 something could not be looked at, or bad usage.

Examples:
  Is it sound?
      session-webhook doctor
  After an install, in CI or a Helm hook:
      session-webhook doctor --wait 60s
  Another cluster, another namespace:
      session-webhook doctor --context staging --namespace webhooks
  What is broken, for a script:
      session-webhook doctor --output json | jq -r '.checks[] | select(.status == \"faulty\") | .id'";

/// Tell whether the installation in a cluster is sound, and what fixes it
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Doctor {
    /// Lines for people, or one JSON object
    #[arg(long, short, env = "SESSION_WEBHOOK_OUTPUT", hide_env_values = true, value_enum, default_value_t = Output::Text)]
    output: Output,

    /// Check again until nothing is broken, for so long at most
    #[arg(long, env = "SESSION_WEBHOOK_WAIT", hide_env_values = true, value_name = "DURATION")]
    wait: Option<HumanDuration>,

    /// Namespace of the webhook's Service and Deployment; without it the one that the webhook configurations name
    #[arg(long, short, env = "SESSION_WEBHOOK_NAMESPACE", hide_env_values = true, value_name = "NAME")]
    #[arg(value_parser = object_name)]
    namespace: Option<String>,

    /// The webhook's Service; without it the one that the webhook configurations name
    #[arg(long, env = "SESSION_WEBHOOK_TLS_SERVICE", hide_env_values = true, value_name = "NAME")]
    #[arg(value_parser = object_name)]
    tls_service: Option<String>,

    /// Name of the webhook configurations, of both kinds
    #[arg(long, env = "SESSION_WEBHOOK_WEBHOOK_CONFIGURATION", hide_env_values = true, value_name = "NAME")]
    #[arg(default_value = CONFIGURATION, value_parser = object_name)]
    webhook_configuration: String,

    #[command(flatten)]
    cluster: ClusterArgs,
}

/// `--output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people; coloured on a terminal
    Text,
    /// One object, for programs
    Json,
}

impl Doctor {
    /// Runs the checks and prints them; the exit code says how it went.
    pub(super) fn run(self, environment: Environment<'_>) -> ExitCode {
        let variable = |name: &str| environment(name).and_then(|value| value.into_string().ok());
        let in_cluster =
            InClusterServer { host: variable("KUBERNETES_SERVICE_HOST"), port: variable("KUBERNETES_SERVICE_PORT") };
        let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from);
        let result = runtime.and_then(|runtime| {
            let result = runtime.block_on(self.check(in_cluster));
            // An exec plugin may still be waiting for somebody.
            runtime.shutdown_background();
            result
        });
        match result {
            Ok(outcome) => outcome.into(),
            Err(error) => {
                fail(&format_args!("{error:#}"));
                Outcome::Incomplete.into()
            }
        }
    }

    async fn check(self, in_cluster: InClusterServer) -> Result<Outcome> {
        let Self { output, wait, namespace, tls_service, webhook_configuration, cluster } = self;
        let names = InstallationNames { configuration: webhook_configuration, namespace, service: tls_service };
        let server = connect(&cluster.options()).await?;
        let vantage = in_cluster.vantage(&server.address);
        let end = wait.map(|wait| Instant::now() + wait.unsigned());
        let mut progress = Progress::new();
        let checks = loop {
            let facts = gather(&server.client, names.clone(), vantage, &read_serve_settings, clock);
            // With --wait the API server may be away for as long as that.
            let facts = match end {
                None => attempt(&server, facts).await?.map_err(|error| describe(&error)),
                Some(end) => match timeout_at(end.max(Instant::now() + LAST_ROUND).into(), facts).await {
                    Ok(facts) => facts.map_err(|error| describe(&error)),
                    Err(_) => Err("no answer in time".to_owned()),
                },
            };
            let over = end.is_none_or(|end| Instant::now() >= end);
            match facts {
                Ok(facts) => {
                    let checks = run_checks(&facts);
                    if over || outcome(&checks) == Outcome::NothingFound {
                        break checks;
                    }
                    progress.show_failing(&checks);
                }
                Err(error) if over => return Err(anyhow!(error).context("cannot ask the API server")),
                Err(_) => progress.show("waiting for the API server"),
            }
            tokio::time::sleep(PAUSE).await;
        };
        progress.clear();
        let outcome = outcome(&checks);
        let written = match output {
            Output::Text => report::text(&mut anstream::stdout().lock(), &checks),
            Output::Json => report::json(&mut std::io::stdout().lock(), &checks),
        };
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(outcome),
            written => written.map(|()| outcome).context("standard output"),
        }
    }
}

/// The API server of the cluster that this runs in, as each pod is told.
struct InClusterServer {
    host: Option<String>,
    port: Option<String>,
}

impl InClusterServer {
    /// Whether this runs in a pod of the cluster that is checked. A pod may check another cluster as well.
    fn vantage(&self, server: &Uri) -> Vantage {
        let Some(own) = &self.host else { return Vantage::Outside };
        let host = server.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = server.port_u16().unwrap_or(443).to_string();
        let by_address = host == own && self.port.as_ref().is_none_or(|own| *own == port);
        if by_address || host == "kubernetes.default.svc" { Vantage::Inside } else { Vantage::Outside }
    }
}

/// The worst of the checks: what could not be read may be worse than what was found.
fn outcome(checks: &[Check]) -> Outcome {
    let of = |check: &Check| match check.status {
        Status::Sound | Status::Questionable | Status::Skipped => Outcome::NothingFound,
        Status::Faulty => Outcome::Found,
        Status::Unknown => Outcome::Incomplete,
    };
    checks.iter().map(of).max().unwrap_or(Outcome::Incomplete)
}

/// One line on the terminal, which each update overwrites.
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal() }
    }

    fn show_failing(&self, checks: &[Check]) {
        let broken = checks.iter().filter(|check| matches!(check.status, Status::Faulty | Status::Unknown));
        let names: Vec<_> = broken.map(|check| check.id.name()).collect();
        self.show(&format!("waiting for {}", names.join(", ")));
    }

    fn show(&self, text: &str) {
        if self.terminal {
            // Nothing to be done when the terminal is gone.
            drop(write!(std::io::stderr(), "\r\u{1b}[K{text}"));
        }
    }

    fn clear(&mut self) {
        self.show("");
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{InClusterServer, Vantage};

    #[rstest]
    #[case::by_name(Some("10.0.0.1"), "https://kubernetes.default.svc/", Vantage::Inside)]
    #[case::by_address(Some("10.0.0.1"), "https://10.0.0.1:443", Vantage::Inside)]
    #[case::ipv6(Some("fd00::1"), "https://[fd00::1]", Vantage::Inside)]
    #[case::another_cluster(Some("10.0.0.1"), "https://staging.example:6443", Vantage::Outside)]
    #[case::another_port(Some("10.0.0.1"), "https://10.0.0.1:6443", Vantage::Outside)]
    #[case::no_pod(None, "https://10.0.0.1:443", Vantage::Outside)]
    fn a_pod_is_inside_of_its_own_cluster_alone(
        #[case] host: Option<&str>,
        #[case] server: &str,
        #[case] expected: Vantage,
    ) {
        let in_cluster = InClusterServer { host: host.map(str::to_owned), port: Some("443".to_owned()) };
        assert_eq!(in_cluster.vantage(&server.parse().unwrap()), expected);
    }
}
