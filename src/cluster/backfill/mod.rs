//! The backfill: gives stored Sessions the times that HobbyFarm needs, where no webhook could (SPEC section 6).
//!
//! With a status subresource a Session is created without a status, and HobbyFarm leaves `end_time` empty when a
//! keep-alive duration is malformed; it then never looks at the Session again, and its machines stay. [`Backfill`] watches
//! Sessions while it leads, judges each as it comes by, remembers only those that need something, and hands them to
//! `repair`. It reads on while it repairs.

mod events;
mod repair;
mod watches;
mod work_queue;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::Event;
use kube::{Client, ResourceExt};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::repair::{RepairOutcome, Repairer};
use self::watches::{WatchResult, Watches};
use self::work_queue::{Due, SessionKey, WorkQueue};
use super::client::{describe, is_answer};
use super::lease::{Leadership, is_leader, leadership_lost};
use super::outage::Outage;
use super::served_versions::other_versions;
use super::sessions::{Sessions, StoredSession};
use super::supervisor::Heartbeat;
use crate::core::settings::Settings;
use crate::core::stored::backfill::Unparsable;
use crate::metrics::{Metrics, ResultLabel};

/// Sessions that are looked at again in a second, for the API server's sake: each takes a read, a write and an Event.
const MAX_REPAIRS_PER_SECOND: u32 = 50;
/// Repairs at the same time: one that waits for the API server does not hold up the others.
const MAX_CONCURRENT_REPAIRS: usize = 4;
/// Before another look at a cluster that cannot be watched.
const WATCH_RETRY_DELAY: Duration = Duration::from_secs(10);
/// How often a watch on which nothing happens is told as progress.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Options {
    /// `--backfill-after`: how old a Session has to be.
    pub after: SignedDuration,
    /// `--backfill-unparsable`: what becomes of a time that nobody can read.
    pub unparsable: Unparsable,
    /// `--watch-namespace`: all namespaces where there are none.
    pub namespaces: Vec<String>,
    /// `--backfill-lease`: name of the Lease.
    pub lease: String,
}

/// The controller of one replica.
#[derive(Clone)]
pub struct Backfill {
    client: Client,
    options: Options,
    settings: Settings,
    clock: fn() -> Timestamp,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    /// Of this process, in Events.
    identity: String,
}

impl Backfill {
    /// Does nothing before [`Backfill::run`], and nothing unless `leadership` says so.
    pub const fn new(
        client: Client,
        options: Options,
        settings: Settings,
        clock: fn() -> Timestamp,
        metrics: Arc<Metrics>,
        leadership: Leadership,
        identity: String,
    ) -> Self {
        Self { client, options, settings, clock, metrics, leadership, identity }
    }

    /// Works whenever this process leads, until `stop`; whatever fails is tried again.
    pub async fn run(mut self, heartbeat: Heartbeat, stop: CancellationToken) {
        let mut outage =
            Outage::new("cannot look after stored sessions; trying again", "looking after stored sessions again");
        self.metrics.backfill_enabled.set(1);
        // However this ends: another replica leads then.
        let _reset = scopeguard::guard(Arc::clone(&self.metrics), |metrics| {
            for gauge in [&metrics.backfill_leading, &metrics.backfill_waiting, &metrics.backfill_suspended] {
                gauge.set(0);
            }
        });
        while self.leadership.wait_for(|until| is_leader(*until)).await.is_ok() {
            self.metrics.backfill_leading.set(1);
            heartbeat.progress();
            let mut leadership = self.leadership.clone();
            let ended = tokio::select! {
                ended = self.run_as_leader(&heartbeat, &mut outage) => ended,
                () = leadership_lost(&mut leadership) => {
                    // Whether anything is written is from now on for another replica to tell.
                    self.metrics.backfill_suspended.set(0);
                    Ok(())
                }
                () = stop.cancelled() => break,
            };
            self.metrics.backfill_leading.set(0);
            self.metrics.backfill_waiting.set(0);
            match ended {
                Ok(()) => heartbeat.set_idle(),
                Err(error) => {
                    self.metrics.backfill_watch_errors.inc();
                    outage.failed(&format!("{error:#}"));
                    tokio::select! {
                        () = tokio::time::sleep(WATCH_RETRY_DELAY) => {}
                        () = stop.cancelled() => break,
                    }
                }
            }
        }
        heartbeat.set_idle();
    }

    /// Watches and repairs for as long as there are Sessions to be watched; returns when the list is to be read anew.
    async fn run_as_leader(&self, heartbeat: &Heartbeat, outage: &mut Outage) -> anyhow::Result<()> {
        let failed = |error: kube::Error| {
            if is_answer(&error) {
                heartbeat.progress();
            }
            anyhow::anyhow!("looking for the definition of Sessions: {}", describe(&error))
        };
        let others = other_versions(&self.client).await.map_err(failed)?;
        heartbeat.progress();
        if !others.is_empty() {
            self.suspend(&others).await;
            outage.succeeded();
            return Ok(());
        }
        self.metrics.backfill_suspended.set(0);
        let sessions = Sessions::discover(&self.client).await.map_err(failed)?;
        heartbeat.progress();
        let sessions = sessions.context("the cluster has no Sessions (hobbyfarm.io/v1)")?;
        let mut watches = Watches::start(&self.client, &sessions, &self.options.namespaces);
        let repairer = Repairer::new(self, sessions);
        let (mut queue, mut repairs) = (WorkQueue::default(), FuturesUnordered::new());
        let mut unreachable =
            Outage::new("no answer about sessions to be repaired; trying again", "sessions are repaired again");
        let mut pace = interval(Duration::from_secs(1) / MAX_REPAIRS_PER_SECOND);
        let mut ticks = interval(HEARTBEAT);
        while !queue.has_room_again() {
            self.metrics.backfill_waiting.set(i64::try_from(queue.len() + repairs.len()).unwrap_or(i64::MAX));
            tokio::select! {
                event = watches.next() => {
                    self.handle_event(event.context("the watch has ended")?, &repairer, &mut queue, outage)?;
                    report_watches(&mut watches, heartbeat, outage);
                }
                Some(due) = next_due(&mut pace, &mut queue), if repairs.len() < MAX_CONCURRENT_REPAIRS => {
                    repairs.push(repairer.repair(due));
                }
                Some((due, outcome)) = repairs.next() => {
                    if matches!(outcome, RepairOutcome::OtherVersions) {
                        // The definition has changed: see whether there is anything left to do.
                        return Ok(());
                    }
                    self.handle_outcome(due, outcome, &mut queue, &mut unreachable);
                }
                _ = ticks.tick() => report_watches(&mut watches, heartbeat, outage),
            }
        }
        Ok(())
    }

    /// Nothing to do for a while: through v1 every write would prune what an object of another version holds. Told once.
    async fn suspend(&self, others: &[String]) {
        if self.metrics.backfill_suspended.set(1) == 0 {
            tracing::warn!(
                versions = others.join(","),
                "sessions are served in versions besides v1, or in others alone: none is written to"
            );
        }
        tokio::time::sleep(WATCH_RETRY_DELAY).await;
    }

    fn handle_event(
        &self,
        event: WatchResult,
        repairer: &Repairer<'_>,
        queue: &mut WorkQueue,
        outage: &mut Outage,
    ) -> anyhow::Result<()> {
        match event {
            Ok(Event::Apply(session) | Event::InitApply(session)) => match repairer.delay_until_due(&session) {
                Some(delay) => {
                    queue.enqueue(SessionKey::of_session(&session), session.uid().unwrap_or_default(), delay);
                }
                None => queue.remove(&SessionKey::of_session(&session)),
            },
            Ok(Event::Delete(session)) => queue.remove(&SessionKey::of_session(&session)),
            Ok(Event::Init | Event::InitDone) => {}
            Err(cause) => {
                // The definition is gone, or is another.
                if matches!(&cause, Some(kube::Error::Api(status)) if status.code == 404) {
                    anyhow::bail!("watching Sessions: there are none any more (hobbyfarm.io/v1)");
                }
                self.metrics.backfill_watch_errors.inc();
                let text = cause.as_ref().map_or_else(|| "the list has no version".to_owned(), describe);
                outage.failed(&format!("watching Sessions: {text}"));
            }
        }
        Ok(())
    }

    fn handle_outcome(&self, due: Due, outcome: RepairOutcome, queue: &mut WorkQueue, unreachable: &mut Outage) {
        self.count_outcome(&outcome);
        if !matches!(outcome, RepairOutcome::Unreachable(_)) {
            unreachable.succeeded();
        }
        match outcome {
            RepairOutcome::Repaired | RepairOutcome::NothingToDo | RepairOutcome::OtherVersions => {}
            RepairOutcome::TooYoung { uid, delay } => queue.enqueue(due.key, uid, delay),
            RepairOutcome::Conflict => queue.enqueue(due.key, due.uid, work_queue::MIN_BACKOFF),
            RepairOutcome::Failed(error) => {
                let (SessionKey { namespace, name }, attempts) = (&due.key, due.attempts);
                tracing::warn!(namespace, name, attempts, error, "session not repaired; trying again");
                queue.requeue(due);
            }
            // However many Sessions wait, it is one fault.
            RepairOutcome::Unreachable(error) => {
                unreachable.failed(&error);
                queue.requeue(due);
            }
        }
    }

    fn count_outcome(&self, outcome: &RepairOutcome) {
        let result = match outcome {
            RepairOutcome::Repaired => "repaired",
            RepairOutcome::Conflict => "outrun",
            RepairOutcome::Failed(_) | RepairOutcome::Unreachable(_) => "failed",
            RepairOutcome::NothingToDo | RepairOutcome::OtherVersions | RepairOutcome::TooYoung { .. } => return,
        };
        self.metrics.backfill_sessions.get_or_create(&ResultLabel { result }).inc();
    }
}

/// Tells that the watches get on, and that an outage is over.
fn report_watches(watches: &mut Watches, heartbeat: &Heartbeat, outage: &mut Outage) {
    if watches.are_answered() {
        heartbeat.progress();
    }
    if watches.go_on() {
        outage.succeeded();
    }
}

/// The next Session that is due, at no more than so many a second.
async fn next_due(pace: &mut tokio::time::Interval, queue: &mut WorkQueue) -> Option<Due> {
    pace.tick().await;
    queue.next().await
}

fn interval(period: Duration) -> tokio::time::Interval {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// What the API server said, or why it said nothing.
impl SessionKey {
    fn of_session(session: &StoredSession) -> Self {
        Self { namespace: session.namespace().unwrap_or_default(), name: session.name_any() }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::convert::Infallible;
    use std::future::pending;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use axum::http::{Request, Response};
    use jiff::{SignedDuration, Timestamp};
    use kube::Client;
    use kube::client::Body;
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::{Backfill, Options};
    use crate::cluster::supervisor::Heartbeat;
    use crate::core::settings::Settings;
    use crate::core::stored::backfill::Unparsable;
    use crate::metrics::Metrics;

    /// Of an API server that never answers.
    pub(in crate::cluster) fn unanswered_client() -> Client {
        Client::new(tower::service_fn(|_: Request<Body>| pending::<Result<Response<Body>, Infallible>>()), "default")
    }

    pub(in crate::cluster) fn options() -> Options {
        let lease = "session-webhook".to_owned();
        Options { after: SignedDuration::ZERO, unparsable: Unparsable::Replace, namespaces: Vec::new(), lease }
    }

    /// As its supervisor does with one that makes no progress.
    #[tokio::test]
    async fn one_that_is_aborted_says_that_it_leads_no_more() {
        let (metrics, clock) = (Arc::new(Metrics::new("", "")), || Timestamp::UNIX_EPOCH);
        let (_leader, leadership) = watch::channel(Some(Instant::now() + Duration::from_hours(1)));
        let heartbeat = Heartbeat::new("backfill", Arc::clone(&metrics), clock);
        let identity = "pod".to_owned();
        let (client, settings, told) = (unanswered_client(), Settings::default(), Arc::clone(&metrics));
        let backfill = Backfill::new(client, options(), settings, clock, told, leadership, identity);
        let running = tokio::spawn(backfill.run(heartbeat, CancellationToken::new()));
        while metrics.backfill_leading.get() == 0 {
            tokio::task::yield_now().await;
        }
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        assert_eq!(metrics.backfill_leading.get(), 0);
    }
}
