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
/// And after this time where nobody answered, before that counts as no progress.
const UNANSWERED_RETRY_INTERVAL: Duration = Duration::from_secs(30);

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
        // However this ends: what another replica tells then would be told twice.
        let metrics = scopeguard::guard(Arc::clone(&self.metrics), |metrics| clear(&metrics));
        while self.leadership.wait_for(|until| is_leader(*until)).await.is_ok() {
            let mut leadership = self.leadership.clone();
            tokio::select! {
                never = self.run_as_leader(&heartbeat, &mut outage) => never,
                () = leadership_lost(&mut leadership) => {}
                () = stop.cancelled() => return,
            }
            clear(&metrics);
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
                    outage.failed(&error.to_string());
                    // A refusal is an answer: no other replica would fare better.
                    if !error.is_answer() {
                        ticks.reset_after(self.interval.min(UNANSWERED_RETRY_INTERVAL));
                        continue;
                    }
                    ticks.reset_after(self.interval.min(RETRY_INTERVAL));
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

fn clear(metrics: &Metrics) {
    metrics.audit_findings.clear();
    metrics.audit_sessions.set(0);
    metrics.audit_failing.set(0);
}

fn gauge_value(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use jiff::Timestamp;
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::PeriodicAudit;
    use crate::cluster::backfill::tests::{options, unanswered_client};
    use crate::cluster::supervisor::Heartbeat;
    use crate::core::settings::Settings;
    use crate::metrics::{ControllerLabel, Metrics};

    /// As its supervisor does with one that makes no progress: another replica tells from then on.
    #[tokio::test]
    async fn one_that_is_aborted_tells_nothing_any_more() {
        let (metrics, clock) = (Arc::new(Metrics::new("", "")), || Timestamp::UNIX_EPOCH);
        let (_leader, leadership) = watch::channel(Some(Instant::now() + Duration::from_hours(1)));
        let heartbeat = Heartbeat::new("audit", Arc::clone(&metrics), clock);
        let (client, settings, every) = (unanswered_client(), Settings::default(), Duration::from_mins(5));
        let told = Arc::clone(&metrics);
        let audit = PeriodicAudit::new(client, &options(), &settings, every, clock, told, leadership);
        let running = tokio::spawn(audit.run(heartbeat, CancellationToken::new()));
        let label = ControllerLabel { controller: "audit" };
        while metrics.controller_progress.get(&label).is_none() {
            tokio::task::yield_now().await;
        }
        metrics.audit_failing.set(1);
        metrics.audit_sessions.set(7);
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!((metrics.audit_failing.get(), metrics.audit_sessions.get()), (0, 0));
    }
}
