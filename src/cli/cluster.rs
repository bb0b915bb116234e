//! What the commands that look at a cluster have in common: which one it is, how long it may take, the exit codes, the
//! colours.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::Args;

use crate::cluster::client::{ApiServer, ClusterError, ConnectOptions};
use crate::config::RequestArgs;

/// A request that takes longer than this is told on a terminal.
const WAIT_NOTICE_DELAY: Duration = Duration::from_secs(2);

/// All is well.
pub(super) const GOOD_STYLE: Style = AnsiColor::Green.on_default().bold();
/// Something is wrong.
pub(super) const BAD_STYLE: Style = AnsiColor::Red.on_default().bold();
/// Something is questionable.
pub(super) const ODD_STYLE: Style = AnsiColor::Yellow.on_default().bold();

/// The cluster to look at: [`crate::cluster::client::connect`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Context of the kubeconfig; without it the current one, or in a pod its service account
    #[arg(long, env = "SESSION_WEBHOOK_CONTEXT", hide_env_values = true, value_name = "NAME")]
    context: Option<String>,

    #[command(flatten)]
    requests: RequestArgs,
}

impl ClusterArgs {
    pub(super) fn options(&self) -> ConnectOptions {
        ConnectOptions { context: self.context.clone(), request_timeout: self.requests.timeout() }
    }
}

/// Does something that needs the API server, until it is done or there is no use in waiting for it any more. On a terminal it
/// says what it waits for.
pub(super) async fn attempt<T>(server: &ApiServer, work: impl Future<Output = T>) -> Result<T, ClusterError> {
    let terminal = std::io::stderr().is_terminal();
    let waiting = async {
        let mut is_told = false;
        loop {
            tokio::time::sleep(WAIT_NOTICE_DELAY / 2).await;
            match server.pending_request().filter(|(_, since)| terminal && *since >= WAIT_NOTICE_DELAY) {
                Some((request, since)) => {
                    is_told = true;
                    // Nothing to be done when the terminal is gone.
                    drop(write!(std::io::stderr(), "\r\u{1b}[2Kwaiting for {request} ({}s)", since.as_secs()));
                }
                None if std::mem::take(&mut is_told) => drop(write!(std::io::stderr(), "\r\u{1b}[2K")),
                None => {}
            }
        }
    };
    tokio::select! {
        done = work => Ok(done),
        error = server.is_unresponsive() => Err(error),
        never = waiting => never,
    }
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    /// Nothing was found.
    NothingFound,
    /// Something was found.
    Found,
    /// The cluster, or a part of it, could not be looked at; also bad usage.
    Incomplete,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::NothingFound => 0,
            Outcome::Found => 1,
            Outcome::Incomplete => 2,
        })
    }
}
