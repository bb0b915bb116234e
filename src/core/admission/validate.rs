//! What is wrong with a Session that HobbyFarm or break-glass writes.

use std::fmt;

use crate::core::admission::decision::Cause;
use crate::core::admission::normalize::{certain_instant, describe_value, is_unparsable, read_time};
use crate::core::admission::rule::Rule;
use crate::core::session::raw_object::{FALSE_WORDS, Scalar, TRUE_WORDS};
use crate::core::session::timestamp::{Instant, Layout};
use crate::core::session::{Field, Session, Status};
use crate::core::settings::Dialect;

/// The faulty status fields, all of them. A value that is the same in `old` is not judged again, so that an object which
/// was bad before this webhook came can still be worked with.
pub fn status(object: &Session<'_>, old: Option<&Session<'_>>, dialect: Dialect) -> Vec<Cause> {
    let changed = |field: &Field| old.is_none_or(|old| old.field(*field) != object.field(*field));
    if matches!(object.status(), Status::Other) {
        let was_so = old.is_some_and(|old| matches!(old.status(), Status::Other));
        let message = "must be an object that holds the flags and times of the session".to_owned();
        return if was_so { Vec::new() } else { vec![Cause { rule: Rule::BadTime, field: "status", message }] };
    }
    let flags = Field::FLAGS.into_iter().filter(changed).filter_map(|field| bad_flag(field, &object.field(field)));
    let times = Field::times(dialect).into_iter().filter(changed);
    flags.chain(times.filter_map(|field| bad_time(field, &object.field(field), dialect))).collect()
}

/// The invariants of a Session's life that the write breaks; a create can break the order of its times alone.
pub fn invariants(object: &Session<'_>, old: Option<&Session<'_>>, dialect: Dialect) -> Vec<Cause> {
    let is_broken = |rule| match (rule, old) {
        (Rule::EndBeforeStart, _) => puts_end_before_start(object, old, dialect),
        (Rule::StartMoved, Some(old)) => is_start_moved(object, old, dialect),
        (Rule::Resurrected, Some(old)) => is_resurrected(object, old),
        (Rule::OwnerChanged, Some(old)) => is_owner_changed(object, old),
        _ => false,
    };
    let [start, end, finished, owner] =
        [Field::StartTime.path(), Field::EndTime.path(), Field::Finished.path(), "spec.user"];
    let broken = [
        (Rule::StartMoved, start, "changed, although a session starts only once"),
        (Rule::EndBeforeStart, end, "is before status.start_time, although a session ends after it starts"),
        (Rule::Resurrected, finished, "went from true to false, although a finished session stays finished"),
        (Rule::OwnerChanged, owner, "changed, although a session belongs to one user"),
    ];
    broken
        .into_iter()
        .filter(|(rule, ..)| is_broken(*rule))
        .map(|(rule, field, message)| Cause { rule, field, message: message.to_owned() })
        .collect()
}

/// Whether the start became another instant once it was set; where one of them is uncertain nobody can tell.
fn is_start_moved(object: &Session<'_>, old: &Session<'_>, dialect: Dialect) -> bool {
    let (after, before) = (object.field(Field::StartTime), old.field(Field::StartTime));
    if after == before {
        return false;
    }
    let Some(before) = certain_instant(&before) else { return false };
    match read_time(&after) {
        Some(after) => {
            let stored = |time| to_stored_precision(time, dialect);
            after.certain.is_some_and(|after| stored(after) != stored(before))
        }
        None => true,
    }
}

fn is_resurrected(object: &Session<'_>, old: &Session<'_>) -> bool {
    let finished = |session: &Session<'_>| session.field(Field::Finished).as_flag();
    finished(old) == Some(true) && finished(object) == Some(false)
}

fn is_owner_changed(object: &Session<'_>, old: &Session<'_>) -> bool {
    !old.spec("user").is_empty() && object.spec("user") != old.spec("user")
}

/// How `start_time` and `end_time` stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimePair {
    /// One of them is missing or no time.
    Incomplete,
    /// The zone of one of them tells no offset.
    Uncertain,
    /// The end is not before the start.
    Sound,
    /// The end is before the start.
    Unsound,
}

fn time_pair(session: &Session<'_>, dialect: Dialect) -> TimePair {
    let read = |field| read_time(&session.field(field));
    let (Some(start), Some(end)) = (read(Field::StartTime), read(Field::EndTime)) else { return TimePair::Incomplete };
    let (Some(start), Some(end)) = (start.certain, end.certain) else { return TimePair::Uncertain };
    let is_before = to_stored_precision(end, dialect) < to_stored_precision(start, dialect);
    if is_before { TimePair::Unsound } else { TimePair::Sound }
}

/// Whether a Session ends before it starts, for certain.
pub fn is_end_before_start(session: &Session<'_>, dialect: Dialect) -> bool {
    time_pair(session, dialect) == TimePair::Unsound
}

/// Whether it does so by this very write: HobbyFarm never reads the start, and must be able to end a Session whose times
/// were at odds before.
fn puts_end_before_start(object: &Session<'_>, old: Option<&Session<'_>>, dialect: Dialect) -> bool {
    let is_same = |old: &Session<'_>| {
        [Field::StartTime, Field::EndTime].into_iter().all(|field| old.field(field) == object.field(field))
    };
    !old.is_some_and(is_same)
        && is_end_before_start(object, dialect)
        && old.is_none_or(|old| matches!(time_pair(old, dialect), TimePair::Incomplete | TimePair::Sound))
}

fn bad_flag(field: Field, value: &Scalar<'_>) -> Option<Cause> {
    let bad = !value.is_empty() && value.as_flag().is_none();
    bad.then(|| Cause {
        rule: Rule::BadFlag,
        field: field.path(),
        message: format!(
            "{} is no boolean; accepted are true and false, also written as one of {} or {}",
            describe_value(value),
            TRUE_WORDS.join(" "),
            FALSE_WORDS.join(" ")
        ),
    })
}

fn bad_time(field: Field, value: &Scalar<'_>, dialect: Dialect) -> Option<Cause> {
    is_unparsable(value, dialect).then(|| Cause {
        rule: Rule::BadTime,
        field: field.path(),
        message: format!(
            "{} is no time that HobbyFarm can read; accepted is the layout \"{}\", an RFC 3339 time such as \
             2006-01-02T15:04:05Z, or nothing",
            describe_value(value),
            Layout::of(dialect).reference()
        ),
    })
}

/// As finely as the dialect writes times down: a repair cuts the rest off, which must not count as a change.
fn to_stored_precision(time: Instant, dialect: Dialect) -> Instant {
    match dialect {
        Dialect::Documented => time,
        Dialect::Gargantua => time.whole_seconds(),
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
