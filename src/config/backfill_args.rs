//! The options of the backfill.

use std::time::Duration;

use clap::Args;
use jiff::SignedDuration;

use super::values::{HumanDuration, object_name};
use crate::cluster::backfill::Options;
use crate::core::installation::LEASE;
use crate::core::stored::backfill::Unparsable;

/// What `serve` does beside answering: [`BackfillArgs::controllers`].
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backfill")]
pub struct BackfillArgs {
    /// Give stored Sessions the times that HobbyFarm needs and that no webhook could set, from one of the replicas
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL", hide_env_values = true, value_name = "BOOLEAN")]
    #[arg(default_value_t = false, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    #[arg(action = clap::ArgAction::Set)]
    backfill: bool,

    #[command(flatten)]
    repair: RepairArgs,

    /// A namespace whose Sessions are looked after, all without it; repeatable
    #[arg(long, env = "SESSION_WEBHOOK_WATCH_NAMESPACE", hide_env_values = true, value_name = "NAMESPACE")]
    #[arg(value_parser = object_name)]
    watch_namespace: Vec<String>,

    /// How often one of the replicas audits all Sessions and tells the findings as metrics; never without it
    #[arg(long, env = "SESSION_WEBHOOK_AUDIT_INTERVAL", hide_env_values = true, value_name = "DURATION")]
    audit_interval: Option<HumanDuration>,

    /// Lease by which the replicas agree on the one that looks after Sessions, in the pod's namespace
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL_LEASE", hide_env_values = true, value_name = "NAME")]
    #[arg(default_value = LEASE, value_parser = object_name)]
    backfill_lease: String,
}

/// Which Sessions are given their times: [`BackfillArgs::controllers`], and `audit --fix`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Backfill")]
pub struct RepairArgs {
    /// How old a Session has to be, so that HobbyFarm's own first status write comes first
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL_AFTER", hide_env_values = true, value_name = "DURATION")]
    #[arg(default_value_t = HumanDuration::from_secs(30), value_parser = HumanDuration::parse_or_zero)]
    backfill_after: HumanDuration,

    /// Replace times that nobody can read as well, since HobbyFarm gives such a Session up; the old value goes into an Event
    #[arg(long, env = "SESSION_WEBHOOK_BACKFILL_UNPARSABLE", hide_env_values = true, value_name = "BOOLEAN")]
    #[arg(default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    #[arg(action = clap::ArgAction::Set)]
    backfill_unparsable: bool,
}

impl RepairArgs {
    /// How old a Session has to be.
    pub fn minimum_age(&self) -> SignedDuration {
        self.backfill_after.signed()
    }

    /// What becomes of a time that nobody can read.
    pub fn unparsable(&self) -> Unparsable {
        if self.backfill_unparsable { Unparsable::Replace } else { Unparsable::Keep }
    }
}

/// What is to be done beside answering.
#[derive(Debug, Clone)]
pub struct Controllers {
    /// For the backfill, and what the audit needs of it.
    pub options: Options,
    /// `--backfill`.
    pub backfill: bool,
    /// `--audit-interval`.
    pub audit_interval: Option<Duration>,
}

impl BackfillArgs {
    /// For the controllers; nothing when none is wanted.
    pub fn controllers(self) -> Option<Controllers> {
        let Self { backfill, repair, watch_namespace, audit_interval, backfill_lease } = self;
        let options = Options {
            after: repair.minimum_age(),
            unparsable: repair.unparsable(),
            namespaces: watch_namespace,
            lease: backfill_lease,
        };
        let audit_interval = audit_interval.map(HumanDuration::unsigned);
        (backfill || audit_interval.is_some()).then_some(Controllers { options, backfill, audit_interval })
    }
}
