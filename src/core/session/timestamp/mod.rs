//! Points in time as Go programs write and read them. The only time code of the crate.
//!
//! HobbyFarm stores times as text in one of Go's layouts and reads them back with `time.Parse`, so what counts is what
//! that function accepts (Go's `src/time/format.go`, function `parse`), its oddities included: the weekday is checked
//! for its name only and may contradict the date, blanks may be doubled, a fraction may follow the seconds of any
//! layout, an offset outranks the abbreviation behind it unless that is `UTC`, a leap second is refused.
//!
//! `tests/timestamps.rs` holds this module against Go itself.

mod parser;
mod zone;

use std::fmt::Write;

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Timestamp};

use crate::core::settings::Dialect;

/// Time between the Unix epoch and the point in time, leap seconds not counted.
///
/// Go accepts a few instants that [`Timestamp`] cannot hold (the last day of the year 9999), hence a type of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(SignedDuration);

impl From<Timestamp> for Instant {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_duration())
    }
}

impl Instant {
    /// The instant this much later.
    #[must_use]
    pub fn plus(self, duration: SignedDuration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// The instant without its fraction of a second.
    #[must_use]
    pub fn whole_seconds(self) -> Self {
        let fraction = i64::from(self.0.subsec_nanos()).rem_euclid(1_000_000_000);
        Self(self.0.saturating_sub(SignedDuration::from_nanos(fraction)))
    }

    /// The calendar date and time in UTC, unless the year is outside 0–9999, which no layout can carry.
    fn utc(self) -> Option<DateTime> {
        EPOCH.checked_add(self.0).ok().filter(|utc| utc.year() >= 0)
    }
}

/// What a value says in one layout. HobbyFarm acts on what Go makes of it, which may not be what is meant: Go takes an
/// abbreviation that it does not know, as `EST` or `-03`, for an offset of zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// What Go's `time.Parse` gives; `None` where it returns an error.
    pub go: Option<Instant>,
    /// The one instant that is meant for certain; `None` where the zone abbreviation tells no offset.
    pub certain: Option<Instant>,
}

impl Reading {
    /// Whether Go reads the value, and not as another instant than the one that is meant.
    pub fn is_right_in_go(self) -> bool {
        self.go.is_some() && (self.certain.is_none() || self.certain == self.go)
    }
}

/// What is written has at most so many bytes.
const MAX_LENGTH: usize = 56;

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// A way to write a point in time, named as in Go's `time` package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `time.UnixDate`: `Mon Jan _2 15:04:05 MST 2006`. What HobbyFarm v1 to v3 reads and writes.
    UnixDate,
    /// `Time.String()`: `2006-01-02 15:04:05.999999999 -0700 MST`. What HobbyFarm documents.
    GoString,
    /// `Time.String()` of a time with a monotonic clock reading: the same and ` m=+0.123`.
    GoStringMonotonic,
    /// `time.ANSIC`: `Mon Jan _2 15:04:05 2006`.
    Ansic,
    /// `time.RFC1123`: `Mon, 02 Jan 2006 15:04:05 MST`.
    Rfc1123,
    /// `time.RFC1123Z`: `Mon, 02 Jan 2006 15:04:05 -0700`.
    Rfc1123Z,
    /// `time.RFC3339`, which reads `time.RFC3339Nano` too: `2006-01-02T15:04:05Z07:00`.
    Rfc3339,
}

impl Layout {
    /// Every layout that is understood.
    pub const ALL: [Self; 7] = [
        Self::UnixDate,
        Self::GoString,
        Self::GoStringMonotonic,
        Self::Ansic,
        Self::Rfc1123,
        Self::Rfc1123Z,
        Self::Rfc3339,
    ];

    /// The layout in which HobbyFarm keeps times in this dialect.
    pub const fn of(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Documented => Self::GoString,
            Dialect::Gargantua => Self::UnixDate,
        }
    }

    /// The dialect in whose layout a value is written, where it is one's.
    pub(in crate::core) fn dialect_of(value: &str) -> Option<Dialect> {
        let is_in = |layout: Self| layout.read(value).is_some();
        if is_in(Self::UnixDate) {
            Some(Dialect::Gargantua)
        } else {
            (is_in(Self::GoString) || is_in(Self::GoStringMonotonic)).then_some(Dialect::Documented)
        }
    }

    /// The layout as Go writes it down: how Go's reference time looks in it.
    pub const fn reference(self) -> &'static str {
        match self {
            Self::UnixDate => "Mon Jan _2 15:04:05 MST 2006",
            Self::GoString | Self::GoStringMonotonic => "2006-01-02 15:04:05.999999999 -0700 MST",
            Self::Ansic => "Mon Jan _2 15:04:05 2006",
            Self::Rfc1123 => "Mon, 02 Jan 2006 15:04:05 MST",
            Self::Rfc1123Z => "Mon, 02 Jan 2006 15:04:05 -0700",
            Self::Rfc3339 => "2006-01-02T15:04:05Z07:00",
        }
    }

    /// What Go's `time.Parse(layout, value)` gives on a machine whose local time zone is UTC; `None` where it returns an
    /// error. The suffix of [`Layout::GoStringMonotonic`], which no layout of Go's can read, is cut off first.
    pub fn parse(self, value: &str) -> Option<Instant> {
        self.read(value)?.go
    }

    /// Reads a value: all that Go reads, and a numeric zone where Go expects an abbreviation.
    pub fn read(self, value: &str) -> Option<Reading> {
        let value = if self == Self::GoStringMonotonic { strip_monotonic(value)? } else { value };
        parser::read(self, value)
    }

    /// Writes an instant in UTC, as Go does; `None` where the year has not four digits.
    ///
    /// A fraction of a second is cut off where the layout as written has none.
    pub fn format(self, instant: Instant) -> Option<String> {
        let utc = instant.utc()?;
        let pattern = match self {
            Self::UnixDate => "%a %b %e %H:%M:%S UTC %Y",
            Self::GoString => "%Y-%m-%d %H:%M:%S%.f +0000 UTC",
            Self::GoStringMonotonic => "%Y-%m-%d %H:%M:%S%.f +0000 UTC m=+0.000000001",
            Self::Ansic => "%a %b %e %H:%M:%S %Y",
            Self::Rfc1123 => "%a, %d %b %Y %H:%M:%S UTC",
            Self::Rfc1123Z => "%a, %d %b %Y %H:%M:%S +0000",
            Self::Rfc3339 => "%Y-%m-%dT%H:%M:%SZ",
        };
        let mut text = String::with_capacity(MAX_LENGTH);
        // A String takes whatever is written to it.
        let _ = write!(text, "{}", utc.strftime(pattern));
        Some(text)
    }
}

/// Reads a value in any of the known layouts: the first that tells an instant for certain, else the first that reads it.
pub fn read_any(value: &str) -> Option<Reading> {
    let mut uncertain = None;
    for reading in Layout::ALL.into_iter().filter_map(|layout| layout.read(value)) {
        if reading.certain.is_some() {
            return Some(reading);
        }
        uncertain = uncertain.or(Some(reading));
    }
    uncertain
}

/// Cuts the monotonic clock reading off that `Time.String()` appends: ` m=±` and seconds.
fn strip_monotonic(value: &str) -> Option<&str> {
    let (time, reading) = value.rsplit_once(" m=")?;
    let seconds = reading.strip_prefix(['+', '-'])?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    (digits(whole) && digits(fraction)).then_some(time)
}
