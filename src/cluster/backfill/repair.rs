//! One Session: looked at once more, repaired, and told of.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kube::{Client, ResourceExt};
use parking_lot::Mutex;

use super::Backfill;
use super::events::EventRecorder;
use super::work_queue::{Due, SessionKey};
use crate::cluster::client::{describe, is_answer, is_invalid};
use crate::cluster::lease::{Leadership, is_leader};
use crate::cluster::repair_planner::RepairPlanner;
use crate::cluster::sessions::{Sessions, StoredSession, WriteOutcome};
use crate::core::session::Session;
use crate::core::stored::backfill::{KeepAlive, RepairPlan, Unparsable};
use crate::metrics::{ActionLabel, Metrics};

/// How many Sessions with a time that is kept are remembered, so that each is told of once.
const MAX_REPORTED: usize = 10_000;

/// The definition is not looked at more often than this, however many Sessions fail: its types are megabytes on some servers.
const REDISCOVERY_INTERVAL: Duration = Duration::from_secs(5);

/// The API server has taken a write, and stores something else.
const DROPPED: &str = "the API server took the write, and the times are not in what it stores: its status subresource has come or \
                       gone, or the definition or a webhook drops them";

/// What came of one attempt.
#[derive(Debug)]
pub(super) enum RepairOutcome {
    /// It has usable times now.
    Repaired,
    /// It needs nothing, or nothing can be done.
    NothingToDo,
    /// It is another object than the one that has waited, and too young.
    TooYoung {
        /// Of this one.
        uid: String,
        /// How long until it is old enough.
        delay: Duration,
    },
    /// Sessions are served in another version besides: nothing may be written.
    OtherVersions,
    /// Somebody else wrote in between.
    Conflict,
    /// Why not.
    Failed(String),
    /// The API server has not answered; what became of the connection.
    Unreachable(String),
}

impl RepairOutcome {
    fn of_error(error: &kube::Error) -> Self {
        let text = describe(error);
        if is_answer(error) { Self::Failed(text) } else { Self::Unreachable(text) }
    }
}

pub(super) struct Repairer<'a> {
    client: &'a Client,
    sessions: Mutex<Sessions>,
    planner: RepairPlanner<'a>,
    after: SignedDuration,
    leadership: &'a Leadership,
    metrics: &'a Metrics,
    events: EventRecorder,
    reported: Mutex<HashSet<SessionKey>>,
    rediscovered: Mutex<Option<Instant>>,
}

impl<'a> Repairer<'a> {
    pub(super) fn new(backfill: &'a Backfill, sessions: Sessions) -> Self {
        let Backfill { client, options, settings, clock, metrics, leadership, identity } = backfill;
        Self {
            client,
            events: EventRecorder::new(client.clone(), sessions.resource().clone(), identity.clone()),
            planner: RepairPlanner {
                settings,
                schema: sessions.dialect,
                unparsable: options.unparsable,
                clock: *clock,
            },
            after: options.after,
            leadership,
            metrics,
            reported: Mutex::default(),
            rediscovered: Mutex::default(),
            sessions: Mutex::new(sessions),
        }
    }

    /// When to look at this Session again; nothing where all is well.
    pub(super) fn delay_until_due(&self, session: &StoredSession) -> Option<Duration> {
        let plan = self.planner_for(&self.sessions.lock()).plan(&Session::read(session.raw()).ok()?);
        let is_new = || !plan.edits.is_empty() || !self.reported.lock().contains(&SessionKey::of_session(session));
        (plan != RepairPlan::default() && is_new()).then(|| self.time_until_old_enough(session))
    }

    /// How long until the Session is old enough. It is there, so it takes no longer than that, whatever the clocks say.
    fn time_until_old_enough(&self, session: &StoredSession) -> Duration {
        let created = session.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let age = (self.planner.clock)().duration_since(created);
        self.after.saturating_sub(age).clamp(SignedDuration::ZERO, self.after).unsigned_abs()
    }

    /// Looks at the Session as it is stored now, and repairs exactly that version.
    pub(super) async fn repair(&self, due: Due) -> (Due, RepairOutcome) {
        let outcome = self.attempt(&due).await;
        (due, outcome)
    }

    async fn attempt(&self, due: &Due) -> RepairOutcome {
        let key = &due.key;
        let sessions = self.sessions.lock().clone();
        let planner = self.planner_for(&sessions);
        let object = match sessions.api(Some(&key.namespace)).get_opt(&key.name).await {
            Ok(Some(object)) => object,
            Ok(None) => return RepairOutcome::NothingToDo,
            Err(error) => return RepairOutcome::of_error(&error),
        };
        let Ok(session) = Session::read(object.raw()) else { return RepairOutcome::NothingToDo };
        let first = planner.plan(&session);
        if first == RepairPlan::default() {
            return RepairOutcome::NothingToDo;
        }
        let (uid, delay) = (object.uid().unwrap_or_default(), self.time_until_old_enough(&object));
        if uid != due.uid && !delay.is_zero() {
            return RepairOutcome::TooYoung { uid, delay };
        }
        if first.edits.is_empty() {
            self.record_unreadable_time(key, &object, &first).await;
            return RepairOutcome::NothingToDo;
        }
        let planned = planner.plan_with_keep_alive(self.client, &key.namespace, &session, first).await;
        let (plan, keep_alive) = match planned {
            Ok(planned) => planned,
            Err(error) => return RepairOutcome::of_error(&error),
        };
        if !is_leader(*self.leadership.borrow()) {
            return RepairOutcome::Conflict;
        }
        match sessions.write(&object, &plan.edits, plan.status_is_missing, false).await {
            Ok(WriteOutcome::Stored(stored)) if planner.is_repaired(&stored) => {
                self.record_repair(key, &object, &plan, &keep_alive).await
            }
            Ok(WriteOutcome::Stored(_)) => self.fail_and_rediscover(DROPPED).await,
            Ok(WriteOutcome::Conflict) => RepairOutcome::Conflict,
            Ok(WriteOutcome::OtherVersions(_)) => RepairOutcome::OtherVersions,
            Ok(WriteOutcome::Gone) => self.rediscover().await,
            Err(error) if is_invalid(&error) => self.fail_and_rediscover(&describe(&error)).await,
            Err(error) => RepairOutcome::of_error(&error),
        }
    }

    /// The definition may have another status subresource or other types than when it was looked at.
    async fn fail_and_rediscover(&self, reason: &str) -> RepairOutcome {
        match self.rediscover().await {
            RepairOutcome::Conflict => RepairOutcome::Failed(reason.to_owned()),
            outcome => outcome,
        }
    }

    /// The definition may be another by now, unless it was looked at a moment ago.
    async fn rediscover(&self) -> RepairOutcome {
        let is_recent = |last: Instant| last.elapsed() < REDISCOVERY_INTERVAL;
        if self.rediscovered.lock().is_some_and(is_recent) {
            return RepairOutcome::Conflict;
        }
        *self.rediscovered.lock() = Some(Instant::now());
        match Sessions::discover(self.client).await {
            Ok(Some(sessions)) => {
                *self.sessions.lock() = sessions;
                RepairOutcome::Conflict
            }
            Ok(None) => RepairOutcome::NothingToDo,
            Err(error) => RepairOutcome::of_error(&error),
        }
    }

    /// It plans for what the definition was when it was looked at last.
    fn planner_for(&self, sessions: &Sessions) -> RepairPlanner<'a> {
        self.planner.with_schema(sessions.dialect)
    }

    async fn record_repair(
        &self,
        name: &SessionKey,
        object: &StoredSession,
        plan: &RepairPlan,
        keep_alive: &KeepAlive,
    ) -> RepairOutcome {
        let fields: Vec<_> = plan.edits.iter().map(|edit| edit.field.path()).collect();
        tracing::info!(namespace = name.namespace, name = name.name, fields = fields.join(","), "session repaired");
        if let KeepAlive::Malformed(value) = keep_alive {
            tracing::warn!(namespace = name.namespace, name = name.name, value, "malformed keepalive_duration");
            self.events.record_malformed_keep_alive(object, value).await;
        }
        let action = match self.planner.unparsable {
            Unparsable::Keep => "kept",
            Unparsable::Replace => "replaced",
        };
        self.count_unparsable(plan, action);
        self.events.record_repair(object, plan).await;
        RepairOutcome::Repaired
    }

    async fn record_unreadable_time(&self, name: &SessionKey, object: &StoredSession, plan: &RepairPlan) {
        if self.is_first_report(name) {
            tracing::warn!(
                namespace = name.namespace,
                name = name.name,
                "session with an unreadable time is left alone"
            );
            self.count_unparsable(plan, "kept");
            self.events.record_unreadable_time(object, plan).await;
        }
    }

    fn is_first_report(&self, name: &SessionKey) -> bool {
        let mut reported = self.reported.lock();
        if reported.len() >= MAX_REPORTED {
            reported.clear();
        }
        reported.insert(name.clone())
    }

    fn count_unparsable(&self, plan: &RepairPlan, action: &'static str) {
        let found = u64::try_from(plan.unparsable.len()).unwrap_or_default();
        if found > 0 {
            self.metrics.backfill_unparsable.get_or_create(&ActionLabel { action }).inc_by(found);
        }
    }
}
