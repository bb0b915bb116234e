//! Points in time, and the layouts that they are written in.

use std::fmt::Write;

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Timestamp};

use crate::core::settings::Dialect;

/// Time between the Unix epoch and the point in time, leap seconds not counted.
///
/// Go accepts a few instants that [`Timestamp`] cannot hold (the last day of the year 9999), hence a type of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub(super) SignedDuration);

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

pub(super) const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

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
