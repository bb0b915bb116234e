//! Points in time as Go programs write and read them. The only time code of the crate.
//!
//! HobbyFarm stores times as text in one of Go's layouts and reads them back with `time.Parse`, so what counts is what
//! that function accepts (Go's `src/time/format.go`, function `parse`), its oddities included: the weekday is checked
//! for its name only and may contradict the date, blanks may be doubled, a fraction may follow the seconds of any
//! layout, an offset outranks the abbreviation behind it unless that is `UTC`, a leap second is refused.
//!
//! `tests/timestamps.rs` holds this module against Go itself.

mod layout;
mod parser;
mod zone;

pub use self::layout::{Instant, Layout, Reading};
use crate::core::settings::Dialect;

impl Layout {
    /// The dialect in whose layout a value is written, where it is one's.
    pub(in crate::core) fn dialect_of(value: &str) -> Option<Dialect> {
        let is_in = |layout: Self| layout.read(value).is_some();
        if is_in(Self::UnixDate) {
            Some(Dialect::Gargantua)
        } else {
            (is_in(Self::GoString) || is_in(Self::GoStringMonotonic)).then_some(Dialect::Documented)
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
