//! What is to be done about a Session, with what its Course or Scenario says: the same for the backfill and for `audit --fix`.

use jiff::{SignedDuration, Timestamp};
use kube::Client;

use super::keep_alive_duration;
use super::sessions::StoredSession;
use crate::core::admission::normalize::Timeouts;
use crate::core::session::{Session, detect_dialect};
use crate::core::settings::{Dialect, Settings};
use crate::core::stored::backfill::{KeepAlive, RepairPlan, Unparsable, plan_repair};

#[derive(Clone, Copy)]
pub(super) struct RepairPlanner<'a> {
    /// `--dialect` and the timeouts count.
    pub(super) settings: &'a Settings,
    /// What the types of the definition allow: an API server refuses anything else.
    pub(super) schema: Option<Dialect>,
    pub(super) unparsable: Unparsable,
    pub(super) clock: fn() -> Timestamp,
}

impl RepairPlanner<'_> {
    /// The same for another definition.
    pub(super) const fn with_schema(self, schema: Option<Dialect>) -> Self {
        Self { schema, ..self }
    }

    /// With `--session-timeout`.
    pub(super) fn plan(&self, session: &Session<'_>) -> RepairPlan {
        self.plan_with_session_timeout(session, self.settings.session_timeout)
    }

    /// With the keep-alive duration of the Course or Scenario, where one says so; `first` is the plan without.
    ///
    /// # Errors
    ///
    /// As [`keep_alive_duration::read`].
    pub(super) async fn plan_with_keep_alive(
        &self,
        client: &Client,
        namespace: &str,
        session: &Session<'_>,
        first: RepairPlan,
    ) -> kube::Result<(RepairPlan, KeepAlive)> {
        let keep_alive = keep_alive_duration::read(client, namespace, session).await?;
        let plan = match keep_alive {
            KeepAlive::Lasts(timeout) => self.plan_with_session_timeout(session, timeout),
            KeepAlive::Unset | KeepAlive::Malformed(_) => first,
        };
        Ok((plan, keep_alive))
    }

    /// Whether what the API server stores lacks nothing any more: with the fields that a schema or a strategy drops, it does.
    pub(super) fn is_repaired(&self, stored: &StoredSession) -> bool {
        Session::read(stored.raw()).is_ok_and(|session| self.plan(&session).edits.is_empty())
    }

    fn plan_with_session_timeout(&self, session: &Session<'_>, timeout: SignedDuration) -> RepairPlan {
        let dialect = self.settings.dialect.or(self.schema).unwrap_or_else(|| detect_dialect(session, None));
        let timeouts = Timeouts { session: timeout, pause: self.settings.pause_timeout };
        plan_repair(session, dialect, timeouts, self.unparsable, (self.clock)().into())
    }
}
