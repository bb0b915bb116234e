//! One Session: looked at once more, repaired, and told of.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use kube::{Client, ResourceExt};

use super::Backfill;
use super::events::EventRecorder;
use super::work_queue::SessionKey;
use crate::cluster::lease::{Leadership, is_leader};
use crate::cluster::repair_planner::RepairPlanner;
use crate::cluster::sessions::{Sessions, WriteOutcome, raw};
use crate::core::session::Session;
use crate::core::stored::backfill::{KeepAlive, RepairPlan, Unparsable};
use crate::metrics::{ActionLabel, Metrics};

/// How many Sessions with a time that is kept are remembered, so that each is told of once.
const MAX_REPORTED: usize = 10_000;

/// What came of one attempt.
#[derive(Debug)]
pub(super) enum RepairOutcome {
    /// It has usable times now.
    Repaired,
    /// It needs nothing, or nothing can be done.
    NothingToDo,
    /// It is too young.
    TooYoung(Duration),
    /// Somebody else wrote in between.
    Conflict,
    /// Why not.
    Failed(String),
}

pub(super) struct Repairer<'a> {
    client: &'a Client,
    sessions: Sessions,
    planner: RepairPlanner<'a>,
    after: SignedDuration,
    leadership: &'a Leadership,
    metrics: &'a Metrics,
    events: EventRecorder,
    reported: HashSet<SessionKey>,
}

impl<'a> Repairer<'a> {
    pub(super) fn new(backfill: &'a Backfill, sessions: Sessions) -> Self {
        let Backfill { clients, options, settings, clock, metrics, leadership, identity } = backfill;
        Self {
            client: &clients.requests,
            events: EventRecorder::new(clients.requests.clone(), sessions.resource().clone(), identity.clone()),
            sessions,
            planner: RepairPlanner { settings, unparsable: options.unparsable, clock: *clock },
            after: options.after,
            leadership,
            metrics,
            reported: HashSet::new(),
        }
    }

    /// When to look at this Session again; nothing where all is well.
    pub(super) fn delay_until_due(&self, session: &DynamicObject) -> Option<Duration> {
        let raw = raw(session)?;
        let plan = self.planner.plan(&Session::read(&raw).ok()?);
        let is_new = || !plan.edits.is_empty() || !self.reported.contains(&SessionKey::of(session));
        (plan != RepairPlan::default() && is_new()).then(|| self.time_until_old_enough(session))
    }

    /// How long until the Session is old enough.
    fn time_until_old_enough(&self, session: &DynamicObject) -> Duration {
        let created = session.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let age = (self.planner.clock)().duration_since(created);
        (self.after - age).max(SignedDuration::ZERO).unsigned_abs()
    }

    /// Looks at the Session as it is stored now, and repairs exactly that version.
    pub(super) async fn repair(&mut self, name: &SessionKey) -> RepairOutcome {
        let api = self.sessions.api(Some(&name.namespace));
        let object = match api.get_opt(&name.name).await {
            Ok(Some(object)) => object,
            Ok(None) => return RepairOutcome::NothingToDo,
            Err(error) => return RepairOutcome::Failed(error.to_string()),
        };
        let Some(raw) = raw(&object) else { return RepairOutcome::NothingToDo };
        let Ok(session) = Session::read(&raw) else { return RepairOutcome::NothingToDo };
        let first = self.planner.plan(&session);
        if first == RepairPlan::default() {
            return RepairOutcome::NothingToDo;
        }
        let remaining = self.time_until_old_enough(&object);
        if !remaining.is_zero() {
            return RepairOutcome::TooYoung(remaining);
        }
        if first.edits.is_empty() {
            self.record_unreadable_time(name, &object, &first).await;
            return RepairOutcome::NothingToDo;
        }
        let (plan, keep_alive) = self.planner.plan_with_keep_alive(self.client, &name.namespace, &session, first).await;
        if !is_leader(*self.leadership.borrow()) {
            return RepairOutcome::Conflict;
        }
        match self.sessions.write(&object, &plan.edits, plan.status_is_missing, false).await {
            Ok(WriteOutcome::Stored) => self.record_repair(name, &object, &plan, &keep_alive).await,
            Ok(WriteOutcome::Conflict) => RepairOutcome::Conflict,
            Ok(WriteOutcome::Gone) => self.rediscover().await,
            Err(error) => RepairOutcome::Failed(error.to_string()),
        }
    }

    /// The Session was there a moment ago: the definition may be another by now.
    async fn rediscover(&mut self) -> RepairOutcome {
        match Sessions::discover(self.client).await {
            Ok(Some(sessions)) => {
                self.sessions = sessions;
                RepairOutcome::Conflict
            }
            Ok(None) => RepairOutcome::NothingToDo,
            Err(error) => RepairOutcome::Failed(error.to_string()),
        }
    }

    async fn record_repair(
        &self,
        name: &SessionKey,
        object: &DynamicObject,
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

    async fn record_unreadable_time(&mut self, name: &SessionKey, object: &DynamicObject, plan: &RepairPlan) {
        if self.reported.len() >= MAX_REPORTED {
            self.reported.clear();
        }
        if self.reported.insert(name.clone()) {
            tracing::warn!(
                namespace = name.namespace,
                name = name.name,
                "session with an unreadable time is left alone"
            );
            self.count_unparsable(plan, "kept");
            self.events.record_unreadable_time(object, plan).await;
        }
    }

    fn count_unparsable(&self, plan: &RepairPlan, action: &'static str) {
        let found = u64::try_from(plan.unparsable.len()).unwrap_or_default();
        if found > 0 {
            self.metrics.backfill_unparsable.get_or_create(&ActionLabel { action }).inc_by(found);
        }
    }
}
