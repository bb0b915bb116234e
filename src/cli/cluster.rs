//! What the commands that look at a cluster have in common: which one it is, the exit codes, the colours.

use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use clap::Args;

/// All is well.
pub(super) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something is wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something is questionable.
pub(super) const ODD: Style = AnsiColor::Yellow.on_default().bold();

/// The cluster to look at: [`crate::cluster::client::connect_to_context`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterArgs {
    /// Context of the kubeconfig; without it the current one, or in a pod its service account
    #[arg(long, env = "SESSION_WEBHOOK_CONTEXT", hide_env_values = true, value_name = "NAME")]
    pub(super) context: Option<String>,
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
