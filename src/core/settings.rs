//! What an operator may choose about the decisions; parsed by [`crate::config`], read by [`crate::core::admission::policy`].

use std::fmt;
use std::str::FromStr;

use jiff::SignedDuration;
use thiserror::Error;

use crate::core::requester::Requester;

/// Everything the policy may be told. [`Settings::default`] is the documented default of each option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `--mode`: what becomes of a denial.
    pub mode: Mode,
    /// `--dialect`: `None` detects it from each request.
    pub dialect: Option<Dialect>,
    /// `--service-account`: HobbyFarm's writers.
    pub service_accounts: Vec<AccountPattern>,
    /// `--own-service-account`: the account this webhook's backfill writes with.
    pub own_service_account: Option<AccountPattern>,
    /// `--break-glass-user`: user names, compared as a whole.
    pub break_glass_users: Vec<String>,
    /// `--break-glass-group`: group names, compared as a whole.
    pub break_glass_groups: Vec<String>,
    /// `--housekeeper`: who may change finalizers and owner references.
    pub housekeepers: Vec<Housekeeper>,
    /// `--impersonation`: what a HobbyFarm user name without a uid means.
    pub impersonation: Impersonation,
    /// `--invariants`: what becomes of a broken invariant.
    pub invariants: Invariants,
    /// `--session-timeout`: how far `end_time` lies ahead when it is defaulted.
    pub session_timeout: SignedDuration,
    /// `--pause-timeout`: how far the pause time lies ahead when it is defaulted (gargantua dialect).
    pub pause_timeout: SignedDuration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            dialect: None,
            service_accounts: vec![AccountPattern::account("hobbyfarm-system", "*")],
            own_service_account: None,
            break_glass_users: Vec::new(),
            break_glass_groups: Vec::new(),
            housekeepers: vec![
                Housekeeper::Account(AccountPattern::account("kube-system", "*")),
                Housekeeper::User("system:kube-controller-manager".to_owned()),
            ],
            impersonation: Impersonation::Deny,
            invariants: Invariants::Warn,
            session_timeout: SignedDuration::from_mins(5),
            pause_timeout: SignedDuration::from_hours(2),
        }
    }
}

/// What becomes of a request that the policy denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// Deny it.
    #[default]
    Enforce,
    /// Allow it, with the message as a warning to the client.
    Warn,
    /// Allow it silently; metrics, logs and audit annotations still tell.
    Audit,
}

impl Mode {
    /// The value of `--mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Warn => "warn",
            Self::Audit => "audit",
        }
    }
}

/// Which of the two shapes of a Session is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dialect {
    /// HobbyFarm's documentation: flags are strings, times are in Go's `Time.String()` layout.
    Documented,
    /// What HobbyFarm v1 to v3 stores: flags are booleans, times are in Go's `time.UnixDate` layout.
    Gargantua,
}

/// What a HobbyFarm user name without a uid means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Impersonation {
    /// A manual write in disguise: deny it.
    #[default]
    Deny,
    /// As good as the account itself.
    Allow,
}

/// What becomes of a write that breaks an invariant of a Session's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Invariants {
    /// Do not look.
    Off,
    /// Allow it, with a warning, a metric and a log line.
    #[default]
    Warn,
    /// Refuse it.
    Deny,
}

/// A `namespace/name` pattern for service accounts, in which `*` stands for one whole part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPattern {
    namespace: String,
    name: String,
}

/// Why a pattern for service accounts was not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "expected namespace/name, where * may stand for one whole part, for example hobbyfarm-system/hobbyfarm-session"
)]
pub struct PatternError;

impl AccountPattern {
    fn account(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The namespace, or `*`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name, or `*`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the pattern stands for this requester; only a service account can match.
    pub fn matches(&self, requester: &Requester<'_>) -> bool {
        let part = |pattern: &str, part: &str| pattern == "*" || pattern == part;
        match requester {
            Requester::ServiceAccount { namespace, name } => part(&self.namespace, namespace) && part(&self.name, name),
            Requester::User(_) | Requester::Anonymous => false,
        }
    }

    /// Whether the pattern lets in an account named `default`, which every pod without an account of its own uses.
    pub fn admits_default_account(&self) -> bool {
        self.name == "*" || self.name == "default"
    }

    /// Whether the pattern stands for accounts of every namespace.
    pub fn admits_every_namespace(&self) -> bool {
        self.namespace == "*"
    }

    /// Whether the pattern has a wildcard, that is, stands for more than one account.
    pub fn is_wildcard(&self) -> bool {
        self.namespace == "*" || self.name == "*"
    }
}

impl fmt::Display for AccountPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl FromStr for AccountPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) = text.split_once('/').ok_or(PatternError)?;
        if !is_part(namespace, 63, false) || !is_part(name, 253, true) {
            return Err(PatternError);
        }
        Ok(Self::account(namespace, name))
    }
}

/// Whether `part` is `*` or a DNS name as Kubernetes wants it (RFC 1123 label, or subdomain where `dots`).
fn is_part(part: &str, longest: usize, dots: bool) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    part == "*" || (part.len() <= longest && if dots { part.split('.').all(label) } else { label(part) })
}

/// Somebody who may change finalizers and owner references: a service account pattern or a user name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Housekeeper {
    /// Service accounts, given as `namespace/name`.
    Account(AccountPattern),
    /// One user name, compared as a whole.
    User(String),
}

impl Housekeeper {
    /// Whether this requester is meant.
    pub fn matches(&self, requester: &Requester<'_>) -> bool {
        match (self, requester) {
            (Self::Account(pattern), _) => pattern.matches(requester),
            (Self::User(name), Requester::User(user)) => name == user,
            (Self::User(_), _) => false,
        }
    }
}

impl fmt::Display for Housekeeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(pattern) => pattern.fmt(f),
            Self::User(name) => f.write_str(name),
        }
    }
}

impl FromStr for Housekeeper {
    type Err = PatternError;

    /// A value with a `/` and no `:`, or the user name of a service account, is a service account pattern, anything else
    /// a user name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Requester::ServiceAccount { namespace, name } = Requester::parse(text) {
            return format!("{namespace}/{name}").parse().map(Self::Account);
        }
        match text {
            "" => Err(PatternError),
            text if text.contains('/') && !text.contains(':') => text.parse().map(Self::Account),
            text => Ok(Self::User(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{AccountPattern, Housekeeper, PatternError};
    use crate::core::requester::Requester;

    #[rstest]
    #[case::exact("hobbyfarm-system/hobbyfarm-session", true)]
    #[case::any_name("hobbyfarm-system/*", true)]
    #[case::any_namespace("*/hobbyfarm-session", true)]
    #[case::other_name("hobbyfarm-system/hobbyfarm", false)]
    #[case::other_namespace("default/hobbyfarm-session", false)]
    fn a_pattern_matches_whole_parts(#[case] pattern: AccountPattern, #[case] expected: bool) {
        let requester = Requester::parse("system:serviceaccount:hobbyfarm-system:hobbyfarm-session");
        assert_eq!(pattern.matches(&requester), expected);
    }

    #[rstest]
    #[case("")]
    #[case("hobbyfarm-system")]
    #[case("/name")]
    #[case("namespace/")]
    #[case("hobbyfarm-*/session")]
    #[case("hobbyfarm-system/hobbyfarm-*")]
    #[case("a/b/c")]
    #[case("Upper/name")]
    #[case("system:serviceaccount:hobbyfarm-system/x")]
    fn a_malformed_pattern_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<AccountPattern>(), Err(PatternError));
    }

    #[test]
    fn a_housekeeper_is_an_account_pattern_or_a_user_name() {
        let account: Housekeeper = "kube-system/*".parse().unwrap();
        let user: Housekeeper = "system:kube-controller-manager".parse().unwrap();
        assert!(account.matches(&Requester::parse("system:serviceaccount:kube-system:generic-garbage-collector")));
        assert!(!account.matches(&Requester::parse("system:serviceaccount:default:generic-garbage-collector")));
        assert!(user.matches(&Requester::parse("system:kube-controller-manager")));
        assert!(!user.matches(&Requester::parse("alice")));
        let name = "system:serviceaccount:kube-system:generic-garbage-collector";
        assert!(name.parse::<Housekeeper>().unwrap().matches(&Requester::parse(name)));
        assert!("".parse::<Housekeeper>().is_err());
    }
}
