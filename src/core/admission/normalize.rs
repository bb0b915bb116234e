//! The repairs of a Session's status: what `/mutate` and the backfill write.
//!
//! Nothing is ever refused here. What cannot be repaired is left as it is, and `/validate` names it.

use jiff::SignedDuration;
use serde_json::Value;

use crate::core::session::raw_object::Scalar;
use crate::core::session::timestamp::{Instant, Layout, Reading, read_any};
use crate::core::session::{Field, Session, Status};
use crate::core::settings::Dialect;
use crate::core::text::quote;

/// One field of `status` that gets another value.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The field.
    pub field: Field,
    /// Its new value.
    pub value: Value,
    /// The value that stood there before, as JSON and quoted for a message; `None` where the field was missing or empty
    /// and got its default.
    pub rewritten: Option<String>,
}

impl Edit {
    /// What the client is told, in at most 120 characters on one line; nothing about a default.
    pub fn warning(&self) -> Option<String> {
        let before = self.rewritten.as_deref()?;
        let after = match &self.value {
            Value::String(text) => quote(text, LONGEST_QUOTE).to_string(),
            other => other.to_string(),
        };
        // What becomes of it only the API server knows: under a status subresource it drops the status of a create.
        Some(format!("{}: {before} rewritten to {after}", self.field.path()))
    }
}

/// Two quotes of this length, the longest path and the words between them make less than 120 characters.
pub(in crate::core) const LONGEST_QUOTE: usize = 40;

/// How far ahead defaults lie.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From now to a defaulted `end_time`.
    pub session: SignedDuration,
    /// From now to a defaulted pause time, in the gargantua dialect.
    pub pause: SignedDuration,
}

/// The edits that bring `session` into the form that HobbyFarm reads in this dialect.
///
/// Idempotent: a session with the edits applied needs none. A status that is no object is left alone.
pub fn normalize(session: &Session<'_>, dialect: Dialect, timeouts: Timeouts, now: Instant) -> Vec<Edit> {
    Normalizer { session, dialect, timeouts, now, replace: false, edits: Vec::new() }.edits()
}

/// As [`normalize`], but a time that HobbyFarm cannot read, and that cannot be rewritten, gets the default of a missing one.
pub fn repair(session: &Session<'_>, dialect: Dialect, timeouts: Timeouts, now: Instant) -> Vec<Edit> {
    Normalizer { session, dialect, timeouts, now, replace: true, edits: Vec::new() }.edits()
}

/// The flags after their repair; `None` where one cannot be read.
struct Flags {
    paused: Option<bool>,
    finished: Option<bool>,
}

struct Normalizer<'a> {
    session: &'a Session<'a>,
    dialect: Dialect,
    timeouts: Timeouts,
    now: Instant,
    /// Whether a time that can be neither used nor rewritten is treated as missing.
    replace: bool,
    edits: Vec<Edit>,
}

impl Normalizer<'_> {
    fn edits(mut self) -> Vec<Edit> {
        if matches!(self.session.status(), Status::Other) {
            return Vec::new();
        }
        let flags = self.flags();
        self.pause_time(flags.paused);
        self.times(flags.finished);
        self.edits
    }

    fn flags(&mut self) -> Flags {
        let paused = self.flag(Field::Paused, Some(false), None);
        let finished = self.flag(Field::Finished, Some(false), None);
        self.flag(Field::Active, finished.map(|finished| !finished), (finished == Some(true)).then_some(false));
        Flags { paused, finished }
    }

    /// Repairs a flag and gives its value: `forced`, what it says, or `default` where it says nothing.
    fn flag(&mut self, field: Field, default: Option<bool>, forced: Option<bool>) -> Option<bool> {
        let current = self.session.field(field);
        let said = if current.is_empty() { default } else { current.as_flag() };
        let flag = forced.or(said)?;
        self.set(
            field,
            &current,
            match self.dialect {
                Dialect::Documented => Value::from(flag.to_string()),
                Dialect::Gargantua => Value::from(flag),
            },
        );
        Some(flag)
    }

    fn pause_time(&mut self, paused: Option<bool>) {
        let field = Field::pause_time(self.dialect);
        let current = self.session.field(field);
        match paused {
            Some(false) => self.set(field, &current, Value::from("")),
            Some(true) if self.is_missing(&current) => {
                let time = match self.dialect {
                    Dialect::Documented => self.now,
                    Dialect::Gargantua => self.now.plus(self.timeouts.pause),
                };
                self.set_time(field, &current, time);
            }
            _ => self.time(field, || None),
        }
    }

    /// The start is made up so that it is not behind the end. The end is `now` and the timeout, whatever the start says: one
    /// that is far in the future would keep the machines for good.
    fn times(&mut self, finished: Option<bool>) {
        let (session, now) = (self.session, self.now);
        self.time(Field::StartTime, || {
            let begun = certain_instant(&session.metadata("creationTimestamp")).unwrap_or(now);
            Some(certain_instant(&session.field(Field::EndTime)).map_or(begun, |end| begun.min(end)))
        });
        let ahead = if finished == Some(true) { SignedDuration::ZERO } else { self.timeouts.session };
        self.time(Field::EndTime, || Some(now.plus(ahead)));
    }

    /// Repairs a time; `default` where it says nothing. One that tells no instant for certain is left as it stands.
    fn time(&mut self, field: Field, default: impl FnOnce() -> Option<Instant>) {
        let current = self.session.field(field);
        let time = if self.is_missing(&current) {
            default()
        } else if read_in_layout_of(&current, self.dialect).is_some_and(Reading::is_right_in_go) {
            None
        } else {
            certain_instant(&current)
        };
        if let Some(time) = time {
            self.set_time(field, &current, time);
        }
    }

    fn is_missing(&self, current: &Scalar<'_>) -> bool {
        current.is_empty() || self.replace && is_unrepairable(current, self.dialect)
    }

    fn set_time(&mut self, field: Field, current: &Scalar<'_>, time: Instant) {
        if let Some(text) = Layout::of(self.dialect).format(time) {
            self.set(field, current, Value::from(text));
        }
    }

    fn set(&mut self, field: Field, current: &Scalar<'_>, value: Value) {
        let unchanged = match (current, &value) {
            (Scalar::Bool(before), Value::Bool(after)) => before == after,
            (Scalar::Text(before), Value::String(after)) => before == after,
            _ => false,
        };
        if !unchanged {
            self.edits.push(Edit { field, value, rewritten: (!current.is_empty()).then(|| describe_value(current)) });
        }
    }
}

/// What a value says in any of the known layouts, blanks around it put aside.
pub(in crate::core) fn read_time(value: &Scalar<'_>) -> Option<Reading> {
    let Scalar::Text(text) = value else { return None };
    read_any(text.trim())
}

/// The one instant that a value means, in whichever layout.
pub(in crate::core) fn certain_instant(value: &Scalar<'_>) -> Option<Instant> {
    read_time(value)?.certain
}

/// What a value says in the layout that HobbyFarm reads.
fn read_in_layout_of(value: &Scalar<'_>, dialect: Dialect) -> Option<Reading> {
    let Scalar::Text(text) = value else { return None };
    Layout::of(dialect).read(text)
}

/// Whether HobbyFarm can read the time: it knows the layout of its dialect only.
pub fn is_usable(value: &Scalar<'_>, dialect: Dialect) -> bool {
    usable_instant(value, dialect).is_some()
}

/// The time as HobbyFarm reads it.
pub(in crate::core) fn usable_instant(value: &Scalar<'_>, dialect: Dialect) -> Option<Instant> {
    read_in_layout_of(value, dialect)?.go
}

/// Whether there is a value here that no known layout reads, or that the dialect's layout cannot hold.
pub fn is_unparsable(value: &Scalar<'_>, dialect: Dialect) -> bool {
    let is_time = |reading: Reading| reading.certain.is_none_or(|time| Layout::of(dialect).format(time).is_some());
    !value.is_empty() && !is_usable(value, dialect) && !read_time(value).is_some_and(is_time)
}

/// Whether there is a value here that HobbyFarm cannot read and that cannot be rewritten for it: no time, or none for certain.
pub fn is_unrepairable(value: &Scalar<'_>, dialect: Dialect) -> bool {
    let fits = |time| Layout::of(dialect).format(time).is_some();
    !value.is_empty() && !is_usable(value, dialect) && !certain_instant(value).is_some_and(fits)
}

/// A value for a message.
pub fn describe_value(value: &Scalar<'_>) -> String {
    match value {
        Scalar::Absent => "null".to_owned(),
        Scalar::Bool(flag) => flag.to_string(),
        Scalar::Text(text) => quote(text, LONGEST_QUOTE).to_string(),
        Scalar::Other(json) if json.starts_with('[') => "a list".to_owned(),
        Scalar::Other(json) if json.starts_with('{') => "an object".to_owned(),
        // A lone surrogate, which no API server sends.
        Scalar::Other(json) if json.starts_with('"') => "a string that is no Unicode".to_owned(),
        Scalar::Other(number) if number.len() <= LONGEST_QUOTE => (*number).to_owned(),
        Scalar::Other(_) => "a long number".to_owned(),
    }
}
