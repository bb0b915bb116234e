//! Points in time as Go programs write and read them. The only time code of the crate.
//!
//! HobbyFarm stores times as text in one of Go's layouts and reads them back with `time.Parse`, so what counts is what
//! that function accepts (Go's `src/time/format.go`, function `parse`), its oddities included: the weekday is checked
//! for its name only and may contradict the date, blanks may be doubled, a fraction may follow the seconds of any
//! layout, an offset outranks the abbreviation behind it unless that is `UTC`, a leap second is refused.

use std::fmt::Write;
use std::sync::LazyLock;

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

/// What is written has at most so many bytes.
const LONGEST: usize = 56;

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

    /// Reads a value as Go's `time.Parse(layout, value)` does on a machine whose local time zone is UTC.
    ///
    /// One deviation: of `GMT+3`, which Go records but does not subtract, the offset is subtracted.
    pub fn parse(self, value: &str) -> Option<Instant> {
        let value = if self == Self::GoStringMonotonic { strip_monotonic(value)? } else { value };
        let mut parser = Parser { rest: value.as_bytes(), fields: Fields::default() };
        for piece in PIECES.get(self as usize)? {
            match piece {
                Piece::Element(element) => parser.element(*element)?,
                Piece::Literal(literal) => parser.literal(*literal)?,
            }
        }
        parser.rest.is_empty().then_some(parser.fields)?.instant()
    }

    /// The layout taken apart.
    fn pieces(self) -> Vec<Piece> {
        let (mut rest, mut pieces) = (self.reference(), Vec::new());
        while let Some(&literal) = rest.as_bytes().first() {
            let element = ELEMENTS.iter().find_map(|(text, element)| Some((rest.strip_prefix(text)?, *element)));
            let (behind, piece) = match element {
                Some((behind, element)) => (behind, Piece::Element(element)),
                None => (rest.get(1..).unwrap_or_default(), Piece::Literal(literal)),
            };
            rest = behind;
            pieces.push(piece);
        }
        pieces
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
        let mut text = String::with_capacity(LONGEST);
        // A String takes whatever is written to it.
        let _ = write!(text, "{}", utc.strftime(pattern));
        Some(text)
    }
}

/// A value in any of the known layouts.
pub fn parse_any(value: &str) -> Option<Instant> {
    Layout::ALL.into_iter().find_map(|layout| layout.parse(value))
}

/// Cuts the monotonic clock reading off that `Time.String()` appends: ` m=±` and seconds.
fn strip_monotonic(value: &str) -> Option<&str> {
    let (time, reading) = value.rsplit_once(" m=")?;
    let seconds = reading.strip_prefix(['+', '-'])?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    (digits(whole) && digits(fraction)).then_some(time)
}

/// A part of a layout.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Element(Element),
    /// A byte that stands for itself.
    Literal(u8),
}

/// Each layout of [`Layout::ALL`], taken apart once.
static PIECES: LazyLock<[Vec<Piece>; 7]> = LazyLock::new(|| Layout::ALL.map(Layout::pieces));

/// A part of a layout that stands for a part of a time.
#[derive(Debug, Clone, Copy)]
enum Element {
    Year,
    MonthName,
    Month,
    WeekdayName,
    PaddedDay,
    Day,
    Hour,
    Minute,
    Second,
    Fraction,
    Offset,
    OffsetOrZ,
    Zone,
}

/// How Go writes each element down in a layout.
const ELEMENTS: [(&str, Element); 13] = [
    ("2006", Element::Year),
    ("Jan", Element::MonthName),
    ("01", Element::Month),
    ("Mon", Element::WeekdayName),
    ("_2", Element::PaddedDay),
    ("02", Element::Day),
    ("15", Element::Hour),
    ("04", Element::Minute),
    ("05", Element::Second),
    (".999999999", Element::Fraction),
    ("-0700", Element::Offset),
    ("Z07:00", Element::OffsetOrZ),
    ("MST", Element::Zone),
];

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const WEEKDAYS: [&[u8]; 7] = [b"Sun", b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat"];

/// What the elements read so far say.
#[derive(Debug, Default)]
struct Fields {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    /// `UTC` or `Z` was read, which outranks any offset.
    utc: bool,
    /// A numeric offset, in seconds east of Greenwich.
    offset: Option<i64>,
    /// The offset that a zone abbreviation stands for; outranked by a numeric one.
    zone: i64,
}

impl Fields {
    fn instant(self) -> Option<Instant> {
        // Out-of-range fields, leap seconds and the 30th of February end here.
        let date = jiff::civil::Date::new(self.year, self.month, self.day).ok()?;
        let time = jiff::civil::Time::new(self.hour, self.minute, self.second, self.nanosecond).ok()?;
        let offset = if self.utc { 0 } else { self.offset.unwrap_or(self.zone) };
        let since_epoch = DateTime::from_parts(date, time).duration_since(EPOCH);
        Some(Instant(since_epoch - SignedDuration::from_secs(offset)))
    }
}

/// Reads one element after the other off the front of a value. `None` from any method: the value does not fit.
struct Parser<'a> {
    rest: &'a [u8],
    fields: Fields,
}

impl Parser<'_> {
    fn element(&mut self, element: Element) -> Option<()> {
        match element {
            Element::Year => self.fields.year = self.four_digits()?,
            Element::MonthName => self.fields.month = self.name(&MONTHS)? + 1,
            Element::Month => self.fields.month = self.two_digits()?,
            Element::WeekdayName => drop(self.name(&WEEKDAYS)?),
            Element::PaddedDay => {
                self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
                self.fields.day = self.one_or_two_digits()?;
            }
            Element::Day => self.fields.day = self.two_digits()?,
            Element::Hour => self.fields.hour = self.one_or_two_digits()?,
            Element::Minute => self.fields.minute = self.two_digits()?,
            Element::Second => {
                self.fields.second = self.two_digits()?;
                self.fraction();
            }
            // Read with the seconds, as Go does where the layout has no fraction.
            Element::Fraction => {}
            Element::Offset => self.offset(None)?,
            Element::OffsetOrZ => self.offset_or_z()?,
            Element::Zone => self.zone()?,
        }
        Some(())
    }

    /// Go's `skip`: a blank in the layout stands for any number of blanks, or for none at the end of the value.
    fn literal(&mut self, literal: u8) -> Option<()> {
        if literal == b' ' {
            if !self.rest.is_empty() && !self.rest.starts_with(b" ") {
                return None;
            }
            while let Some(rest) = self.rest.strip_prefix(b" ") {
                self.rest = rest;
            }
        } else {
            self.rest = self.rest.strip_prefix(&[literal])?;
        }
        Some(())
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn leading_digits(&self) -> usize {
        self.rest.iter().take_while(|b| b.is_ascii_digit()).count()
    }

    /// Go's `lookup`: a name in any letter case.
    fn name(&mut self, names: &[&[u8]]) -> Option<i8> {
        let name = self.take(3)?;
        let index = names.iter().position(|known| known.eq_ignore_ascii_case(name))?;
        i8::try_from(index).ok()
    }

    fn number(&mut self, digits: usize) -> Option<i32> {
        let digits = self.take(digits)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn four_digits(&mut self) -> Option<i16> {
        if self.leading_digits() < 4 { None } else { self.number(4)?.try_into().ok() }
    }

    fn two_digits(&mut self) -> Option<i8> {
        if self.leading_digits() < 2 { None } else { self.number(2)?.try_into().ok() }
    }

    fn one_or_two_digits(&mut self) -> Option<i8> {
        self.number(self.leading_digits().min(2))?.try_into().ok()
    }

    /// A dot or comma and digits, where there are any; what is finer than a nanosecond is cut off.
    fn fraction(&mut self) {
        let Some(rest) = self.rest.strip_prefix(b".").or_else(|| self.rest.strip_prefix(b",")) else { return };
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return;
        }
        let (digits, rest) = rest.split_at(digits);
        let padded = digits.iter().map(|b| i32::from(b - b'0')).chain(std::iter::repeat(0)).take(9);
        self.fields.nanosecond = padded.fold(0, |sum, digit| sum * 10 + digit);
        self.rest = rest;
    }

    /// `±hhmm`, or `±hh:mm` with a separator. Like Go, 24 hours and 60 minutes pass.
    fn offset(&mut self, separator: Option<u8>) -> Option<()> {
        let east = match self.take(1)? {
            b"+" => 1,
            b"-" => -1,
            _ => return None,
        };
        let hours = self.two_digits().filter(|hours| *hours <= 24)?;
        if let Some(separator) = separator {
            self.literal(separator)?;
        }
        let minutes = self.two_digits().filter(|minutes| *minutes <= 60)?;
        self.fields.offset = Some(east * (i64::from(hours) * 60 + i64::from(minutes)) * 60);
        Some(())
    }

    fn offset_or_z(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(b"Z") {
            self.rest = rest;
            self.fields.utc = true;
            return Some(());
        }
        self.offset(Some(b':'))
    }

    fn zone(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(b"UTC") {
            self.rest = rest;
            self.fields.utc = true;
            return Some(());
        }
        let length = zone_length(self.rest)?;
        let zone = self.take(length)?;
        let hours = zone.strip_prefix(b"GMT").and_then(|hours| std::str::from_utf8(hours).ok()?.parse::<i64>().ok());
        self.fields.zone = hours.unwrap_or(0) * 3600;
        Some(())
    }
}

/// Go's `parseTimeZone`: how long the zone abbreviation at the front is.
fn zone_length(value: &[u8]) -> Option<usize> {
    if value.starts_with(b"ChST") || value.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = value.strip_prefix(b"GMT") {
        return Some(3 + signed_hours_length(rest).unwrap_or(0));
    }
    if value.len() >= 3
        && let Some(length) = signed_hours_length(value)
    {
        return Some(length);
    }
    let letters = value.iter().take_while(|b| b.is_ascii_uppercase()).take(6).count();
    match letters {
        3 => Some(3),
        4 if value.starts_with(b"WITA") => Some(4),
        4 | 5 if value.get(letters - 1) == Some(&b'T') => Some(letters),
        _ => None,
    }
}

/// Go's `parseSignedOffset`: the length of a signed number of hours up to 23.
fn signed_hours_length(value: &[u8]) -> Option<usize> {
    let (b'+' | b'-', rest) = value.split_first()? else { return None };
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    let hours: u64 = std::str::from_utf8(rest.get(..digits)?).ok()?.parse().ok()?;
    (hours <= 23).then_some(1 + digits)
}
