//! The options of the backfill.

use clap::Args;

use super::values::{HumanDuration, object_name};
use crate::cluster::backfill::Options;
use crate::core::backfill::Unparsable;
use crate::core::installation::LEASE;

/// What `serve --backfill` does: [`BackfillArgs::options`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backfill")]
pub struct BackfillArgs {
    /// Give stored Sessions the times that HobbyFarm needs and that no webhook could set, from one of the replicas
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL", hide_env_values = true, value_name = "BOOLEAN")]
    #[arg(default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    #[arg(action = clap::ArgAction::Set)]
    backfill: bool,

    /// How old a Session has to be, so that HobbyFarm's own first status write comes first
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL_AFTER", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(30), value_parser = HumanDuration::parse_or_zero)]
    backfill_after: HumanDuration,

    /// Replace times that nobody can read as well, since HobbyFarm gives such a Session up; the old value goes into an Event
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL_UNPARSABLE", hide_env_values = true, value_name = "BOOLEAN")]
    #[arg(default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    #[arg(action = clap::ArgAction::Set)]
    backfill_unparsable: bool,

    /// A namespace whose Sessions are looked after, all without it; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_WATCH_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE")]
    #[arg(value_parser = object_name)]
    watch_namespace: Vec<String>,

    /// Lease by which the replicas agree on the one that writes, in the pod's namespace
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL_LEASE", hide_env_values = true, value_name = "NAME")]
    #[arg(default_value = LEASE, value_parser = object_name)]
    backfill_lease: String,
}

impl BackfillArgs {
    /// For the controller; nothing when it is not wanted.
    pub fn options(self) -> Option<Options> {
        let Self { backfill, backfill_after, backfill_unparsable, watch_namespace, backfill_lease } = self;
        let unparsable = if backfill_unparsable { Unparsable::Replace } else { Unparsable::Keep };
        backfill.then(|| Options {
            after: backfill_after.signed(),
            unparsable,
            namespaces: watch_namespace,
            lease: backfill_lease,
        })
    }
}
