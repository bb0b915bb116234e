//! What becomes of a stored Session whose times HobbyFarm cannot use: the repairs of `/mutate`, made later.

use jiff::SignedDuration;

use crate::core::admission::normalize::{
    Edit, LONGEST_QUOTE, Timeouts, describe_value, is_unrepairable, is_usable, normalize, repair,
};
use crate::core::session::duration::parse_go_duration;
use crate::core::session::timestamp::Instant;
use crate::core::session::{Field, Session, Status};
use crate::core::settings::Dialect;
use crate::core::text::quote;

/// What becomes of a time of which nobody can tell what instant it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unparsable {
    /// It stays, and is told of.
    Keep,
    /// It gets the default of a missing one, since HobbyFarm would never look at the Session again.
    Replace,
}

/// What is to be done about one Session.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RepairPlan {
    /// Repairs of `status`; none for a Session that HobbyFarm can work with.
    pub edits: Vec<Edit>,
    /// Whether the object has no `status`, or a `null`.
    pub status_is_missing: bool,
    /// Times that are in no known layout, or tell no instant for certain, each with its value, quoted.
    pub unparsable: Vec<(Field, String)>,
}

/// Plans the repair of a Session that lacks a time which HobbyFarm needs. One that has them all is left alone, however else
/// it looks, and so is one that is being deleted or whose status is no object.
pub fn plan_repair(
    session: &Session<'_>,
    dialect: Dialect,
    timeouts: Timeouts,
    unparsable: Unparsable,
    now: Instant,
) -> RepairPlan {
    if session.is_being_deleted() || matches!(session.status(), Status::Other) {
        return RepairPlan::default();
    }
    let unusable: Vec<_> =
        required_times(session, dialect).filter(|field| !is_usable(&session.field(*field), dialect)).collect();
    if unusable.is_empty() {
        return RepairPlan::default();
    }
    let repair = match unparsable {
        Unparsable::Keep => normalize,
        Unparsable::Replace => repair,
    };
    RepairPlan {
        edits: repair(session, dialect, timeouts, now),
        status_is_missing: matches!(session.status(), Status::Absent),
        unparsable: unusable
            .into_iter()
            .filter(|field| is_unrepairable(&session.field(*field), dialect))
            .map(|field| (field, describe_value(&session.field(field))))
            .collect(),
    }
}

/// The times without which HobbyFarm's controller gives the Session up.
pub(in crate::core) fn required_times(session: &Session<'_>, dialect: Dialect) -> impl Iterator<Item = Field> {
    let is_paused = session.field(Field::Paused).as_flag() == Some(true);
    let pause = is_paused.then_some(Field::pause_time(dialect));
    [Field::StartTime, Field::EndTime].into_iter().chain(pause)
}

/// How long after a keep-alive HobbyFarm lets a Session live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeepAlive {
    /// Neither Course nor Scenario says so: HobbyFarm's default holds.
    Unset,
    /// What the Course or the Scenario says.
    Lasts(SignedDuration),
    /// What it says is no duration above zero, which HobbyFarm answers with an error and an empty `end_time`; the value, quoted.
    Malformed(String),
}

/// Reads the `keepalive_duration` of a Session's Course and Scenario; the Course's counts first, where it says something.
pub fn keep_alive(course: Option<&str>, scenario: Option<&str>) -> KeepAlive {
    let Some(text) = [course, scenario].into_iter().flatten().find(|text| !text.is_empty()) else {
        return KeepAlive::Unset;
    };
    match parse_go_duration(text) {
        Some(duration) if duration.is_positive() => KeepAlive::Lasts(duration),
        _ => KeepAlive::Malformed(quote(text, LONGEST_QUOTE).to_string()),
    }
}
