//! What is wrong with a Session that HobbyFarm or break-glass writes.

use std::fmt;

use crate::core::admission::decision::Cause;
use crate::core::admission::normalize::{describe_value, is_unparsable, parse_known};
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
    let times = Field::times(dialect);
    let bad_times =
        times.into_iter().filter(changed).filter_map(|field| bad_time(field, &object.field(field), dialect));
    let moved = changed(&Field::StartTime) || changed(&Field::EndTime);
    flags.chain(bad_times).chain(moved.then(|| end_before_start(object, dialect)).flatten()).collect()
}

/// The invariants of a Session's life that the update breaks.
pub fn invariants(object: &Session<'_>, old: &Session<'_>, dialect: Dialect) -> Vec<Cause> {
    let start = |session: &Session<'_>| time(session, Field::StartTime).map(|time| to_stored_precision(time, dialect));
    let finished = |session: &Session<'_>| session.field(Field::Finished).as_flag();
    let broken = [
        (
            object.field(Field::StartTime) != old.field(Field::StartTime)
                && start(old).is_some()
                && start(object) != start(old),
            Rule::StartMoved,
            Field::StartTime.path(),
            "changed, although a session starts only once",
        ),
        (
            finished(old) == Some(true) && finished(object) == Some(false),
            Rule::Resurrected,
            Field::Finished.path(),
            "went from true to false, although a finished session stays finished",
        ),
        (
            !old.spec("user").is_empty() && object.spec("user") != old.spec("user"),
            Rule::OwnerChanged,
            "spec.user",
            "changed, although a session belongs to one user",
        ),
    ];
    let cause = |(_, rule, field, message): (bool, Rule, &'static str, &str)| Cause {
        rule,
        field,
        message: message.to_owned(),
    };
    broken.into_iter().filter(|(broken, ..)| *broken).map(cause).collect()
}

fn time(session: &Session<'_>, field: Field) -> Option<Instant> {
    parse_known(&session.field(field)).map(|(_, time)| time)
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

fn end_before_start(object: &Session<'_>, dialect: Dialect) -> Option<Cause> {
    let [start, end] = [Field::StartTime, Field::EndTime]
        .map(|field| time(object, field).map(|time| to_stored_precision(time, dialect)));
    (end? < start?).then(|| Cause {
        rule: Rule::EndBeforeStart,
        field: Field::EndTime.path(),
        message: format!(
            "{} is before {} {}; accepted is the same time or a later one",
            describe_value(&object.field(Field::EndTime)),
            Field::StartTime.path(),
            describe_value(&object.field(Field::StartTime))
        ),
    })
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
