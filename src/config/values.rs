//! The types of option values that clap does not bring.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use jiff::SignedDuration;

use crate::core::settings::AccountPattern;

/// A year: longer than any session, pause or timeout, and far from what a point in time cannot hold.
const LONGEST: SignedDuration = SignedDuration::from_hours(366 * 24);

/// A length of time as people write it: `90s`, `5m`, `1h30m`. Not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HumanDuration(SignedDuration);

impl HumanDuration {
    /// Wraps a length of time that stands in code.
    pub const fn new(duration: SignedDuration) -> Self {
        Self(duration)
    }

    /// Wraps a number of seconds that stands in code.
    pub const fn from_secs(seconds: i64) -> Self {
        Self(SignedDuration::from_secs(seconds))
    }

    /// For the core.
    pub const fn signed(self) -> SignedDuration {
        self.0
    }

    /// For timers.
    pub fn unsigned(self) -> Duration {
        self.0.unsigned_abs()
    }

    /// A clap value parser for a duration that may be zero.
    pub fn parse_or_zero(text: &str) -> Result<Self, String> {
        let accepted = "a duration such as 30s, 5m or 1h30m, of a year at most";
        let duration: SignedDuration = text.parse().map_err(|_| format!("expected {accepted}"))?;
        if duration.is_negative() || duration > LONGEST {
            Err(format!("expected {accepted}"))
        } else {
            Ok(Self(duration))
        }
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Self::parse_or_zero(text)? {
            Self(duration) if duration.is_zero() => {
                Err("expected a duration above zero, such as 30s, 5m or 1h30m".to_owned())
            }
            duration => Ok(duration),
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The alternate form is the one that people write.
        write!(f, "{:#}", self.0)
    }
}

/// A number of bytes: `134217728`, `128Mi`, `128MiB` or `128M` (a million each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

const UNITS: [(&str, usize); 3] = [("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = parse_size::parse_size(text).ok().and_then(|size| usize::try_from(size).ok());
        size.map(Self).ok_or_else(|| "expected a number of bytes such as 134217728 or 128Mi".to_owned())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A clap value parser for an address to listen on.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected IP-ADDRESS:PORT, such as 0.0.0.0:8443 or [::]:8443".to_owned())
}

/// A clap value parser for `namespace/name` of one account, without a wildcard.
pub fn exact_account(text: &str) -> Result<AccountPattern, String> {
    let accepted = "expected namespace/name of one account, without a wildcard";
    let pattern: AccountPattern = text.parse().map_err(|_| accepted.to_owned())?;
    if pattern.is_wildcard() { Err(accepted.to_owned()) } else { Ok(pattern) }
}

/// A clap value parser for the name of a Kubernetes object.
pub fn object_name(text: &str) -> Result<String, String> {
    let labels = text.split('.').all(|label| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        label.chars().all(inner) && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    });
    if labels && text.len() <= 253 {
        Ok(text.to_owned())
    } else {
        Err("expected a Kubernetes name: lower case letters, digits, `-` and `.`".to_owned())
    }
}

/// A clap value parser for `--log-level`; the error says what is accepted.
pub(super) fn log_level(text: &str) -> Result<String, String> {
    let accepted = "expected error, warn, info, debug, trace or off, or directives such as info,session_webhook=debug";
    // A lone word that is no level would be taken for a target, and silence everything else.
    let word = text.chars().all(|c| c.is_alphanumeric() || c == '_');
    let known = !text.is_empty() && text.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    if (word && !known) || tracing_subscriber::EnvFilter::builder().parse(text).is_err() {
        Err(accepted.to_owned())
    } else {
        Ok(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{ByteSize, HumanDuration, exact_account, log_level};

    #[rstest]
    #[case("5m", "5m")]
    #[case("1h30m", "1h30m")]
    #[case("90s", "1m30s")]
    #[case("1h 30m", "1h30m")]
    fn a_duration_is_read_and_written_as_people_do(#[case] text: &str, #[case] written: &str) {
        let duration: HumanDuration = text.parse().unwrap();
        assert_eq!(duration.to_string().parse(), Ok(duration));
        assert_eq!(duration, written.parse().unwrap());
    }

    #[rstest]
    #[case::empty("")]
    #[case::number("5")]
    #[case::word("soon")]
    #[case::negative("-5m")]
    #[case::ago("5m ago")]
    #[case::zero("0s")]
    #[case::too_long("9000h")]
    #[case::overflow("99999999999999999999h")]
    fn a_senseless_duration_is_refused(#[case] text: &str) {
        assert!(text.parse::<HumanDuration>().is_err());
    }

    #[rstest]
    #[case("0", 0)]
    #[case("134217728", 128 << 20)]
    #[case("128Mi", 128 << 20)]
    #[case("128MiB", 128 << 20)]
    #[case("1Gi", 1 << 30)]
    #[case("3Ki", 3 << 10)]
    #[case("128M", 128_000_000)]
    #[case("1.5Gi", 3 << 29)]
    fn a_byte_size_is_read(#[case] text: &str, #[case] expected: usize) {
        let size: ByteSize = text.parse().unwrap();
        assert_eq!(size, ByteSize(expected));
        assert_eq!(size.to_string().parse(), Ok(size));
    }

    #[rstest]
    #[case("")]
    #[case("-1")]
    #[case("128X")]
    #[case("99999999999999Gi")]
    fn a_malformed_byte_size_is_refused(#[case] text: &str) {
        assert!(text.parse::<ByteSize>().is_err());
    }

    #[rstest]
    #[case("session-webhook", true)]
    #[case("a.b-c.1", true)]
    #[case("", false)]
    #[case("Session", false)]
    #[case("a/b", false)]
    #[case("a..b", false)]
    #[case("-a", false)]
    fn an_object_name_is_one_that_kubernetes_takes(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(super::object_name(text).is_ok(), accepted);
    }

    #[rstest]
    #[case("hobbyfarm-system/session-webhook", true)]
    #[case("hobbyfarm-system/*", false)]
    #[case("session-webhook", false)]
    fn an_exact_account_has_no_wildcard(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(exact_account(text).is_ok(), accepted);
    }

    #[rstest]
    #[case("info", true)]
    #[case("DEBUG", true)]
    #[case("off", true)]
    #[case("info,session_webhook=debug", true)]
    #[case("session_webhook::server=trace", true)]
    #[case("", false)]
    #[case("loud", false)]
    #[case("info,session_webhook=loud", false)]
    fn a_level_or_directives_are_accepted(#[case] text: &str, #[case] accepted: bool) {
        assert_eq!(log_level(text).is_ok(), accepted);
    }
}
