//! One Session: looked at once more, repaired, and told of.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use kube::{Client, ResourceExt};

use super::Backfill;
use super::queue::Name;
use super::tell::Teller;
use crate::cluster::lease::{Leadership, leads};
use crate::cluster::plan::Planner;
use crate::cluster::sessions::{Sessions, Written, raw};
use crate::core::session::Session;
use crate::core::stored::backfill::{KeepAlive, RepairPlan, Unparsable};
use crate::metrics::{ActionLabel, Metrics};

/// How many Sessions with a time that is kept are remembered, so that each is told of once.
const MOST_TOLD: usize = 10_000;

/// What came of one attempt.
#[derive(Debug)]
pub(super) enum Outcome {
    /// It has usable times now.
    Repaired,
    /// It needs nothing, or nothing can be done.
    Nothing,
    /// It is too young.
    Early(Duration),
    /// Somebody else wrote in between.
    Outrun,
    /// Why not.
    Failed(String),
}

pub(super) struct Repairer<'a> {
    client: &'a Client,
    sessions: Sessions,
    planner: Planner<'a>,
    after: SignedDuration,
    leadership: &'a Leadership,
    metrics: &'a Metrics,
    teller: Teller,
    told: HashSet<Name>,
}

impl<'a> Repairer<'a> {
    pub(super) fn new(backfill: &'a Backfill, sessions: Sessions) -> Self {
        let Backfill { clients, options, settings, clock, metrics, leadership, identity } = backfill;
        Self {
            client: &clients.ask,
            teller: Teller::new(clients.ask.clone(), sessions.resource().clone(), identity.clone()),
            sessions,
            planner: Planner { settings, unparsable: options.unparsable, clock: *clock },
            after: options.after,
            leadership,
            metrics,
            told: HashSet::new(),
        }
    }

    /// When to look at this Session again; nothing where all is well.
    pub(super) fn due(&self, session: &DynamicObject) -> Option<Duration> {
        let raw = raw(session)?;
        let plan = self.planner.plan(&Session::read(&raw).ok()?);
        let is_new = || !plan.edits.is_empty() || !self.told.contains(&Name::of(session));
        (plan != RepairPlan::default() && is_new()).then(|| self.age_lacks(session))
    }

    /// How long until the Session is old enough.
    fn age_lacks(&self, session: &DynamicObject) -> Duration {
        let created = session.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
        let age = (self.planner.clock)().duration_since(created);
        (self.after - age).max(SignedDuration::ZERO).unsigned_abs()
    }

    /// Looks at the Session as it is stored now, and repairs exactly that version.
    pub(super) async fn repair(&mut self, name: &Name) -> Outcome {
        let api = self.sessions.api(Some(&name.namespace));
        let object = match api.get_opt(&name.name).await {
            Ok(Some(object)) => object,
            Ok(None) => return Outcome::Nothing,
            Err(error) => return Outcome::Failed(error.to_string()),
        };
        let Some(raw) = raw(&object) else { return Outcome::Nothing };
        let Ok(session) = Session::read(&raw) else { return Outcome::Nothing };
        let first = self.planner.plan(&session);
        if first == RepairPlan::default() {
            return Outcome::Nothing;
        }
        let lacks = self.age_lacks(&object);
        if !lacks.is_zero() {
            return Outcome::Early(lacks);
        }
        if first.edits.is_empty() {
            self.tell_of_what_stays(name, &object, &first).await;
            return Outcome::Nothing;
        }
        let (plan, keep_alive) = self.planner.refine(self.client, &name.namespace, &session, first).await;
        if !leads(*self.leadership.borrow()) {
            return Outcome::Outrun;
        }
        match self.sessions.write(&object, &plan.edits, plan.status_is_missing, false).await {
            Ok(Written::Done) => self.tell_of_repair(name, &object, &plan, &keep_alive).await,
            Ok(Written::Outrun) => Outcome::Outrun,
            Ok(Written::Gone) => self.look_for_the_subresource().await,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// The Session was there a moment ago: the definition may be another by now.
    async fn look_for_the_subresource(&mut self) -> Outcome {
        match Sessions::discover(self.client).await {
            Ok(Some(sessions)) => {
                self.sessions = sessions;
                Outcome::Outrun
            }
            Ok(None) => Outcome::Nothing,
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    async fn tell_of_repair(
        &self,
        name: &Name,
        object: &DynamicObject,
        plan: &RepairPlan,
        keep_alive: &KeepAlive,
    ) -> Outcome {
        let fields: Vec<_> = plan.edits.iter().map(|edit| edit.field.path()).collect();
        tracing::info!(namespace = name.namespace, name = name.name, fields = fields.join(","), "session repaired");
        if let KeepAlive::Malformed(value) = keep_alive {
            tracing::warn!(namespace = name.namespace, name = name.name, value, "malformed keepalive_duration");
            self.teller.malformed_keep_alive(object, value).await;
        }
        let action = match self.planner.unparsable {
            Unparsable::Keep => "kept",
            Unparsable::Replace => "replaced",
        };
        self.count_unparsable(plan, action);
        self.teller.repaired(object, plan).await;
        Outcome::Repaired
    }

    async fn tell_of_what_stays(&mut self, name: &Name, object: &DynamicObject, plan: &RepairPlan) {
        if self.told.len() >= MOST_TOLD {
            self.told.clear();
        }
        if self.told.insert(name.clone()) {
            tracing::warn!(
                namespace = name.namespace,
                name = name.name,
                "session with an unreadable time is left alone"
            );
            self.count_unparsable(plan, "kept");
            self.teller.unreadable(object, plan).await;
        }
    }

    fn count_unparsable(&self, plan: &RepairPlan, action: &'static str) {
        let found = u64::try_from(plan.unparsable.len()).unwrap_or_default();
        if found > 0 {
            self.metrics.backfill_unparsable.get_or_create(&ActionLabel { action }).inc_by(found);
        }
    }
}
