//! The backfill: gives stored Sessions the times that HobbyFarm needs, where no webhook could (SPEC section 6).
//!
//! With a status subresource a Session is created without a status, and HobbyFarm leaves `end_time` empty when a
//! keep-alive duration is malformed; it then never looks at the Session again, and its machines stay. [`Backfill`] watches
//! Sessions while it leads, judges each as it comes by, remembers only those that need something, and hands them to
//! `repair` one after the other.

mod events;
mod repair;
mod work_queue;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::stream::{SelectAll, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, ResourceExt};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::repair::{RepairOutcome, Repairer};
use self::work_queue::{SessionKey, WorkQueue};
use super::lease::{Leadership, is_leader, leadership_lost};
use super::sessions::{PAGE, Sessions};
use crate::core::settings::Settings;
use crate::core::stored::backfill::Unparsable;
use crate::metrics::{Metrics, ResultLabel};

/// Sessions that are looked at again in a second, for the API server's sake: each takes a read, a write and an Event.
const MAX_REPAIRS_PER_SECOND: u32 = 50;
/// Before another look at a cluster that cannot be watched.
const WATCH_RETRY_DELAY: Duration = Duration::from_secs(10);

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

/// The ways to the API server: one for questions, which have to be answered soon, and one for watching.
#[derive(Clone)]
pub struct Clients {
    /// For reads and writes.
    pub requests: Client,
    /// For watches, on which nothing may happen for minutes.
    pub watch: Client,
}

/// The controller of one replica.
pub struct Backfill {
    clients: Clients,
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
        clients: Clients,
        options: Options,
        settings: Settings,
        clock: fn() -> Timestamp,
        metrics: Arc<Metrics>,
        leadership: Leadership,
        identity: String,
    ) -> Self {
        Self { clients, options, settings, clock, metrics, leadership, identity }
    }

    /// Works whenever this process leads, until `stop`; whatever fails is tried again.
    pub async fn run(mut self, stop: CancellationToken) {
        self.metrics.backfill_enabled.set(1);
        while self.leadership.wait_for(|until| is_leader(*until)).await.is_ok() {
            self.metrics.backfill_leading.set(1);
            let mut leadership = self.leadership.clone();
            let ended = tokio::select! {
                ended = self.run_as_leader() => ended,
                () = leadership_lost(&mut leadership) => Ok(()),
                () = stop.cancelled() => break,
            };
            self.metrics.backfill_leading.set(0);
            self.metrics.backfill_waiting.set(0);
            if let Err(error) = ended {
                self.metrics.backfill_watch_errors.inc();
                tracing::error!(error = format!("{error:#}"), "cannot look after stored sessions; trying again");
                tokio::select! {
                    () = tokio::time::sleep(WATCH_RETRY_DELAY) => {}
                    () = stop.cancelled() => break,
                }
            }
        }
        self.metrics.backfill_leading.set(0);
    }

    /// Watches and repairs for as long as there are Sessions to be watched.
    async fn run_as_leader(&self) -> anyhow::Result<()> {
        let sessions =
            Sessions::discover(&self.clients.requests).await.context("looking for the definition of Sessions")?;
        let sessions = sessions.context("the cluster has no Sessions (hobbyfarm.io/v1)")?;
        let mut events = self.events().await?;
        let mut repairer = Repairer::new(self, sessions);
        let mut queue = WorkQueue::default();
        let mut pace = tokio::time::interval(Duration::from_secs(1) / MAX_REPAIRS_PER_SECOND);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.metrics.backfill_waiting.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
            tokio::select! {
                event = events.next() => self.handle_event(event.context("the watch has ended")?, &repairer, &mut queue)?,
                Some((name, attempts)) = queue.next() => {
                    pace.tick().await;
                    let outcome = repairer.repair(&name).await;
                    self.count_outcome(&outcome);
                    match outcome {
                        RepairOutcome::Repaired | RepairOutcome::NothingToDo => {}
                        RepairOutcome::TooYoung(delay) => queue.enqueue(name, delay),
                        RepairOutcome::Conflict => queue.enqueue(name, work_queue::MIN_BACKOFF),
                        RepairOutcome::Failed(error) => {
                            let (namespace, name_) = (&name.namespace, &name.name);
                            tracing::warn!(namespace, name = name_, attempts, error, "session not repaired; trying again");
                            queue.requeue(name, attempts);
                        }
                    }
                }
            }
        }
    }

    /// Everything that happens to Sessions, beginning with those that are there.
    async fn events(
        &self,
    ) -> anyhow::Result<SelectAll<futures::stream::BoxStream<'static, watcher::Result<Event<DynamicObject>>>>> {
        let sessions = Sessions::discover(&self.clients.watch).await?.context("the cluster has no Sessions")?;
        let namespaces = &self.options.namespaces;
        let apis = match namespaces.as_slice() {
            [] => vec![sessions.api(None)],
            some => some.iter().map(|namespace| sessions.api(Some(namespace))).collect(),
        };
        let config = watcher::Config::default().page_size(PAGE);
        Ok(apis.into_iter().map(|api| watcher(api, config.clone()).default_backoff().boxed()).collect())
    }

    fn handle_event(
        &self,
        event: watcher::Result<Event<DynamicObject>>,
        repairer: &Repairer<'_>,
        queue: &mut WorkQueue,
    ) -> anyhow::Result<()> {
        match event {
            Ok(Event::Apply(session) | Event::InitApply(session)) => match repairer.delay_until_due(&session) {
                Some(delay) => queue.enqueue(SessionKey::of(&session), delay),
                None => queue.remove(&SessionKey::of(&session)),
            },
            Ok(Event::Delete(session)) => queue.remove(&SessionKey::of(&session)),
            Ok(Event::Init | Event::InitDone) => {}
            // The definition is gone, or is another.
            Err(error) if is_not_found(&error) => return Err(error.into()),
            Err(error) => {
                self.metrics.backfill_watch_errors.inc();
                tracing::warn!(error = error.to_string(), "the watch on sessions was interrupted");
            }
        }
        Ok(())
    }

    fn count_outcome(&self, outcome: &RepairOutcome) {
        let result = match outcome {
            RepairOutcome::Repaired => "repaired",
            RepairOutcome::Conflict => "outrun",
            RepairOutcome::Failed(_) => "failed",
            RepairOutcome::NothingToDo | RepairOutcome::TooYoung(_) => return,
        };
        self.metrics.backfill_sessions.get_or_create(&ResultLabel { result }).inc();
    }
}

fn is_not_found(error: &watcher::Error) -> bool {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status))
        | WatchError(status) => status.code == 404,
        _ => false,
    }
}

impl SessionKey {
    fn of(session: &DynamicObject) -> Self {
        Self { namespace: session.namespace().unwrap_or_default(), name: session.name_any() }
    }
}
