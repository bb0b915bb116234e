//! `serve --audit-interval`: the audit again and again, in the replica that leads, told as metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{AuditError, Report, Scope, SkippedResource, audit_sessions};
use crate::cluster::backfill::Options;
use crate::cluster::lease::{Leadership, is_leader, leadership_lost};
use crate::cluster::outage::Outage;
use crate::cluster::supervisor::Heartbeat;
use crate::core::settings::Settings;
use crate::metrics::{FindingLabels, Metrics};

/// An audit that came to nothing is made again after this time, or after `--audit-interval` where that is shorter.
const RETRY_INTERVAL: Duration = Duration::from_mins(5);

/// The audit of one replica.
#[derive(Clone)]
pub struct PeriodicAudit {
    client: Client,
    /// One for each namespace that is watched.
    scopes: Vec<Scope>,
    interval: Duration,
    clock: fn() -> Timestamp,
    metrics: Arc<Metrics>,
    leadership: Leadership,
}

impl PeriodicAudit {
    /// Does nothing before [`PeriodicAudit::run`], and nothing unless `leadership` says so.
    pub fn new(
        client: Client,
        options: &Options,
        settings: &Settings,
        interval: Duration,
        clock: fn() -> Timestamp,
        metrics: Arc<Metrics>,
        leadership: Leadership,
    ) -> Self {
        let scope = |namespace| Scope { namespace, settings: settings.clone(), after: options.after };
        let scopes = match options.namespaces.as_slice() {
            [] => vec![scope(None)],
            some => some.iter().map(|namespace| scope(Some(namespace.clone()))).collect(),
        };
        Self { client, scopes, interval, clock, metrics, leadership }
    }

    /// Looks whenever this process leads, until `stop`.
    pub async fn run(mut self, heartbeat: Heartbeat, stop: CancellationToken) {
        let mut outage = Outage::new("the audit came to nothing", "the audit works again");
        while self.leadership.wait_for(|until| is_leader(*until)).await.is_ok() {
            let mut leadership = self.leadership.clone();
            tokio::select! {
                never = self.run_as_leader(&heartbeat, &mut outage) => never,
                () = leadership_lost(&mut leadership) => {}
                () = stop.cancelled() => return,
            }
            // What another replica tells now would be told twice.
            self.metrics.audit_findings.clear();
            self.metrics.audit_sessions.set(0);
            self.metrics.audit_failing.set(0);
            heartbeat.set_idle();
        }
        heartbeat.set_idle();
    }

    async fn run_as_leader(&self, heartbeat: &Heartbeat, outage: &mut Outage) -> ! {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Vec::new();
        loop {
            ticks.tick().await;
            heartbeat.progress();
            match self.run_once(heartbeat).await {
                Ok(report) => {
                    outage.succeeded();
                    self.metrics.audit_failing.set(0);
                    self.report(report, &mut told);
                }
                Err(error) => {
                    self.metrics.audit_errors.inc();
                    self.metrics.audit_failing.set(1);
                    ticks.reset_after(self.interval.min(RETRY_INTERVAL));
                    outage.failed(&error.to_string());
                    // A refusal is an answer: no other replica would fare better.
                    if !error.is_answer() {
                        continue;
                    }
                }
            }
            // Between two audits nothing is expected of it.
            heartbeat.set_idle();
        }
    }

    async fn run_once(&self, heartbeat: &Heartbeat) -> Result<Report, AuditError> {
        let mut whole = Report::default();
        for scope in &self.scopes {
            let Report { sessions, found, skipped } =
                audit_sessions(&self.client, scope, (self.clock)(), |_, _| heartbeat.progress()).await?;
            whole.sessions += sessions;
            whole.found.extend(found);
            whole.skipped.extend(skipped);
        }
        Ok(whole)
    }

    /// Tells what was found; what could not be looked at, once for as long as it stays so.
    fn report(&self, report: Report, told: &mut Vec<SkippedResource>) {
        for (finding, count) in report.by_kind() {
            let labels = FindingLabels { finding, severity: finding.severity().name() };
            self.metrics.audit_findings.get_or_create(&labels).set(gauge_value(count));
        }
        self.metrics.audit_sessions.set(gauge_value(report.sessions));
        self.metrics.audit_ended.set((self.clock)().as_second());
        let may_hide_findings = |skipped: &&SkippedResource| skipped.may_hide_findings && !told.contains(skipped);
        for skipped in report.skipped.iter().filter(may_hide_findings) {
            tracing::warn!(resource = skipped.what, reason = skipped.reason, "the audit could not look at everything");
        }
        tracing::info!(sessions = report.sessions, findings = report.found.len(), "audit");
        *told = report.skipped;
    }
}

fn gauge_value(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
