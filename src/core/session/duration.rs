//! Lengths of time as HobbyFarm's configuration writes them: what Go's `time.ParseDuration` accepts.

use jiff::SignedDuration;

/// The units, and their nanoseconds. Longer names stand before those that they begin with.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration as Go's `time.ParseDuration` does (`5m`, `1h30m`, `-1.5h`, `0`); `None` where Go returns an error.
pub fn parse_go_duration(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanoseconds: i128 = 0;
    while !rest.is_empty() {
        let (whole, behind) = split_digits(rest);
        let (fraction, behind) = match behind.strip_prefix('.') {
            Some(behind) => split_digits(behind),
            None => ("", behind),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_length = behind.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at_checked(unit_length)?;
        let (_, unit) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        let whole: i128 = if whole.is_empty() { 0 } else { i128::from(whole.parse::<i64>().ok()?) };
        nanoseconds =
            nanoseconds.checked_add(whole.checked_mul(unit)?)?.checked_add(fraction_nanoseconds(fraction, unit))?;
        rest = behind;
    }
    // Go keeps nanoseconds in 64 bits.
    Some(SignedDuration::from_nanos(i64::try_from(sign * nanoseconds).ok()?))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at_checked(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())).unwrap_or((text, ""))
}

/// The fraction of a unit, cut to whole nanoseconds; digits beyond the nanoseconds of an hour do not count.
fn fraction_nanoseconds(fraction: &str, unit: i128) -> i128 {
    let digits = fraction.get(..fraction.len().min(15)).unwrap_or_default();
    let scale = (0..digits.len()).fold(1, |scale, _| scale * 10);
    digits.parse::<i128>().map_or(0, |value| value * unit / scale)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use rstest::rstest;

    use super::parse_go_duration;

    /// From Go's `src/time/time_test.go`, `parseDurationTests`.
    #[rstest]
    #[case("0", 0)]
    #[case("5s", 5_000_000_000)]
    #[case("1478s", 1_478_000_000_000)]
    #[case("-5s", -5_000_000_000)]
    #[case("+5s", 5_000_000_000)]
    #[case("-0", 0)]
    #[case("5.0s", 5_000_000_000)]
    #[case("5.6s", 5_600_000_000)]
    #[case("5.s", 5_000_000_000)]
    #[case(".5s", 500_000_000)]
    #[case("1.004s", 1_004_000_000)]
    #[case("100.00100s", 100_001_000_000)]
    #[case("10ns", 10)]
    #[case("11us", 11_000)]
    #[case("12µs", 12_000)]
    #[case("12μs", 12_000)]
    #[case("13ms", 13_000_000)]
    #[case("3h30m", 12_600_000_000_000)]
    #[case("10.5s4m", 250_500_000_000)]
    #[case("-2m3.4s", -123_400_000_000)]
    #[case("39h9m14.425s", 140_954_425_000_000)]
    #[case("0.3333333333333333333h", 1_200_000_000_000 - 1)]
    #[case("9223372036854775807ns", i64::MAX)]
    fn what_go_accepts_is_read(#[case] text: &str, #[case] nanoseconds: i64) {
        assert_eq!(parse_go_duration(text), Some(SignedDuration::from_nanos(nanoseconds)));
    }

    #[rstest]
    #[case("")]
    #[case("3")]
    #[case("-")]
    #[case("s")]
    #[case(".")]
    #[case("-.")]
    #[case(".s")]
    #[case("+.s")]
    #[case("5x")]
    #[case("1d")]
    #[case("5 m")]
    #[case(" 5m")]
    #[case("3000000h")]
    #[case("9223372036854775808ns")]
    #[case("99999999999999999999h")]
    fn what_go_refuses_is_not(#[case] text: &str) {
        assert_eq!(parse_go_duration(text), None);
    }
}
