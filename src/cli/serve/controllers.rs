//! `serve --backfill` and `--audit-interval`: the controllers and their Lease, beside the server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::audit::repeat::Auditor;
use crate::cluster::backfill::{Backfill, Clients};
use crate::cluster::client::{connect, connect_to_watch};
use crate::cluster::lease::Lease;
use crate::config::Controllers;
use crate::core::settings::Settings;
use crate::metrics::Metrics;
use crate::server::clock;

/// Giving back the Lease takes no longer than this.
const FAREWELL: Duration = Duration::from_secs(5);

/// The running controllers.
pub(super) struct Running {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// Starts what is wanted. What goes wrong later is logged and counted, and never touches the webhooks.
pub(super) async fn start(wanted: Controllers, settings: Settings, metrics: Arc<Metrics>) -> anyhow::Result<Running> {
    let Controllers { options, backfill, audit_interval } = wanted;
    let (ask, namespace) = connect().await.context("--backfill, --audit-interval")?;
    let identity = identity();
    let (tell, leadership) = watch::channel(None);
    let lease = Lease::new(ask.clone(), &namespace, options.lease.clone(), identity.clone(), clock);
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(lease.keep(tell, stop.clone()));
    if let Some(interval) = audit_interval {
        let (metrics, leadership) = (Arc::clone(&metrics), leadership.clone());
        let auditor = Auditor::new(ask.clone(), &options, &settings, interval, clock, metrics, leadership);
        tasks.spawn(auditor.run(stop.clone()));
    }
    if backfill {
        let clients = Clients { ask, watch: connect_to_watch().await.context("--backfill")? };
        let backfill = Backfill::new(clients, options, settings, clock, metrics, leadership, identity);
        tasks.spawn(backfill.run(stop.clone()));
    }
    Ok(Running { tasks, stop })
}

impl Running {
    /// Cancelled, they stop writing and give back the Lease.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until another replica may begin.
    pub(super) async fn ended(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL, all).await;
    }
}

/// The pod's name, for people, and what makes it this process's alone.
#[expect(clippy::disallowed_methods, reason = "the shell reads the name of its host")]
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:x}_{:x}", host.trim(), std::process::id(), clock().as_nanosecond())
}
