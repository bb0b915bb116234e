//! Go's `time.Parse`, element by element of a layout.

use std::sync::LazyLock;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::layout::{EPOCH, Instant, Layout, Reading};
use super::zone::{self, Zone};

/// A part of a layout.
#[derive(Debug, Clone, Copy)]
enum Piece {
    Element(Element),
    /// A byte that stands for itself.
    Literal(u8),
}

/// Each layout of [`Layout::ALL`], taken apart once.
static PIECES: LazyLock<[Vec<Piece>; Layout::ALL.len()]> = LazyLock::new(|| Layout::ALL.map(pieces));

/// A layout taken apart.
fn pieces(layout: Layout) -> Vec<Piece> {
    let (mut rest, mut pieces) = (layout.reference(), Vec::new());
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
    /// What the zone abbreviation says; outranked by a numeric offset.
    zone: Zone,
}

impl Fields {
    fn reading(self) -> Option<Reading> {
        // Out-of-range fields, leap seconds and the 30th of February end here.
        let date = jiff::civil::Date::new(self.year, self.month, self.day).ok()?;
        let time = jiff::civil::Time::new(self.hour, self.minute, self.second, self.nanosecond).ok()?;
        let since_epoch = DateTime::from_parts(date, time).duration_since(EPOCH);
        let east = |offset: i64| Some(Instant(since_epoch - SignedDuration::from_secs(offset)));
        let same = |offset: i64| Some(Reading { go: east(offset), certain: east(offset) });
        match (self.offset, self.zone) {
            _ if self.utc => same(0),
            // Go records the offset and skips the abbreviation, but one that it cannot read.
            (Some(offset), Zone::Offset { is_read_by_go: false, seconds }) => {
                (offset == seconds).then_some(Reading { go: None, certain: east(offset) })
            }
            (Some(offset), _) => same(offset),
            (None, Zone::Greenwich) => same(0),
            (None, Zone::Unknown) => Some(Reading { go: east(0), certain: None }),
            (None, Zone::Offset { is_read_by_go, seconds }) => {
                Some(Reading { go: east(0).filter(|_| is_read_by_go), certain: east(seconds) })
            }
        }
    }
}

/// Reads the whole of a value.
pub(super) fn read(layout: Layout, value: &str) -> Option<Reading> {
    let mut parser = Parser { rest: value.as_bytes(), fields: Fields::default() };
    for piece in PIECES.get(layout as usize)? {
        match piece {
            Piece::Element(element) => parser.element(*element)?,
            Piece::Literal(literal) => parser.literal(*literal)?,
        }
    }
    parser.rest.is_empty().then_some(parser.fields)?.reading()
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
            Element::Offset => self.numeric_offset(None)?,
            Element::OffsetOrZ => self.numeric_offset_or_z()?,
            Element::Zone => self.zone_abbreviation()?,
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
    fn numeric_offset(&mut self, separator: Option<u8>) -> Option<()> {
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

    fn numeric_offset_or_z(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(b"Z") {
            self.rest = rest;
            self.fields.utc = true;
            return Some(());
        }
        self.numeric_offset(Some(b':'))
    }

    fn zone_abbreviation(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(b"UTC") {
            self.rest = rest;
            self.fields.utc = true;
            return Some(());
        }
        (self.fields.zone, self.rest) = zone::abbreviation(self.rest)?;
        Some(())
    }
}
