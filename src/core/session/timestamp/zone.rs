//! Zone abbreviations as Go reads them, and numeric ones.

/// What a zone abbreviation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Zone {
    /// `GMT`, also with hours behind it (of `GMT+3` Go records the offset, but does not subtract it), or none at all.
    #[default]
    Greenwich,
    /// `EST`, `CEST`, …: no offset follows from it, although Go takes it for zero.
    Unknown,
    /// `+0545` or `-03`, as places without an abbreviation write it.
    Offset {
        /// East of Greenwich.
        seconds: i64,
        /// Whether Go takes it for an abbreviation, and for zero: a number up to 23 in any number of digits.
        is_read_by_go: bool,
    },
}

/// The abbreviation at the front, and what is behind it.
pub(super) fn abbreviation(value: &[u8]) -> Option<(Zone, &[u8])> {
    let length = zone_length(value);
    let (zone, rest) = value.split_at_checked(length.or_else(|| numeric_length(value))?)?;
    let zone = match zone.first()? {
        b'G' if zone.starts_with(b"GMT") => Zone::Greenwich,
        b'+' | b'-' => seconds_of_numeric_zone(zone)
            .map_or(Zone::Unknown, |seconds| Zone::Offset { seconds, is_read_by_go: length.is_some() }),
        _ => Zone::Unknown,
    };
    Some((zone, rest))
}

/// `±hhmm`, which Go reads only up to `±0023`.
fn numeric_length(value: &[u8]) -> Option<usize> {
    let digits = value.get(1..)?.iter().take_while(|b| b.is_ascii_digit()).count();
    (digits == 4 && seconds_of_numeric_zone(value.get(..5)?).is_some()).then_some(5)
}

/// The seconds of `±hh` or `±hhmm`.
fn seconds_of_numeric_zone(zone: &[u8]) -> Option<i64> {
    let east = match zone.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = std::str::from_utf8(zone.get(1..)?).ok()?;
    let number = digits.parse::<i64>().ok()?;
    let (hours, minutes) = match digits.len() {
        2 => (number, 0),
        4 => (number / 100, number % 100),
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then_some(east * (hours * 60 + minutes) * 60)
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
