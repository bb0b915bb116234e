//! `serve --backfill` and `--audit-interval`: the controllers and their Lease, beside the server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::cluster::audit::periodic::PeriodicAudit;
use crate::cluster::backfill::{Backfill, Clients};
use crate::cluster::client::{connect, connect_to_watch};
use crate::cluster::lease::Lease;
use crate::config::Controllers;
use crate::core::settings::Settings;
use crate::metrics::Metrics;
use crate::server::clock;

/// Giving back the Lease takes no longer than this.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The running controllers.
pub(super) struct RunningControllers {
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

/// Starts the controllers that were asked for. What goes wrong later is logged and counted, and never touches the webhooks.
pub(super) async fn start(
    controllers: Controllers,
    settings: Settings,
    metrics: Arc<Metrics>,
) -> anyhow::Result<RunningControllers> {
    let Controllers { options, backfill, audit_interval } = controllers;
    let (client, namespace) = connect().await.context("--backfill, --audit-interval")?;
    let identity = identity();
    let (leadership_sender, leadership) = watch::channel(None);
    let lease = Lease::new(client.clone(), &namespace, options.lease.clone(), identity.clone(), clock);
    let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(lease.run(leadership_sender, stop.clone()));
    if let Some(interval) = audit_interval {
        let (metrics, leadership) = (Arc::clone(&metrics), leadership.clone());
        let audit = PeriodicAudit::new(client.clone(), &options, &settings, interval, clock, metrics, leadership);
        tasks.spawn(audit.run(stop.clone()));
    }
    if backfill {
        let clients = Clients { requests: client, watch: connect_to_watch().await.context("--backfill")? };
        let backfill = Backfill::new(clients, options, settings, clock, metrics, leadership, identity);
        tasks.spawn(backfill.run(stop.clone()));
    }
    Ok(RunningControllers { tasks, stop })
}

impl RunningControllers {
    /// Cancelled, they stop writing and give back the Lease.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until another replica may begin.
    pub(super) async fn shut_down(mut self) {
        self.stop.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, all).await;
    }
}

/// The pod's name, for people, and what makes it this process's alone.
#[expect(clippy::disallowed_methods, reason = "the shell reads the name of its host")]
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:x}_{:x}", host.trim(), std::process::id(), clock().as_nanosecond())
}
