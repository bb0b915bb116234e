//! The one list of what an audit can find: metric label, output of `audit` and documentation anchor.

use std::fmt;

use crate::core::session::Field;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// HobbyFarm does not reclaim the machines, or cannot work with the session.
    Error,
    /// Somebody should look at it.
    Warning,
}

impl Severity {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Declares [`FindingKind`] so that each variant's documentation is also the text shown to users.
macro_rules! findings {
    ($($(#[doc = $doc:literal])+ $name:ident: $severity:ident, $remedy:literal;)+) => {
        /// What can be wrong with a stored Session.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum FindingKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that output and metrics carry.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// What it means for HobbyFarm, as one line of prose.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_start(),)+
                }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$name => Severity::$severity,)+
                }
            }

            /// How to repair it, as one line of prose.
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(Self::$name => $remedy,)+
                }
            }
        }
    };
}

findings! {
    /// A time that HobbyFarm needs is missing or empty: it gives the session up, and its machines are never reclaimed.
    MissingTime: Error, "run `session-webhook audit --fix`, or the webhook with --backfill";
    /// A time is in no known layout: HobbyFarm gives the session up, and its machines are never reclaimed.
    BadTime: Error, "run `session-webhook audit --fix`, or the webhook with --backfill";
    /// A time is in a layout that HobbyFarm does not read: it gives the session up, and its machines are never reclaimed.
    ForeignTime: Error, "run `session-webhook audit --fix`, or the webhook with --backfill";
    /// `end_time` passed more than a keep-alive ago and the session is not finished: its machines run on and are paid for.
    Expired: Error, "see why HobbyFarm's controller (gargantua) does not reclaim it, or delete the session";
    /// `status` is no object: HobbyFarm cannot read the session, and its machines are never reclaimed.
    BadStatus: Error, "delete the session";
    /// A flag is no boolean: HobbyFarm cannot read the session, or takes the flag for false.
    BadFlag: Error, "delete the session, or write the flag as a break-glass user";
    /// The course or scenario has a keep-alive duration that HobbyFarm cannot read: the next keep-alive empties `end_time`.
    MalformedKeepAlive: Error, "give the course or scenario a keepalive_duration such as 5m or 1h30m";
    /// `end_time` is before `start_time`: one of them is wrong. HobbyFarm goes by the end alone.
    EndBeforeStart: Warning, "delete the session, or write the times as a break-glass user";
    /// A flag or a time is not as HobbyFarm writes it: the session may be shown in the wrong state.
    NotNormalized: Warning, "nothing, where HobbyFarm goes on writing it: the webhook repairs its next write; else delete the session";
    /// The user has a newer active session of the same scenario: the machines of this one may be paid for in vain.
    Duplicate: Warning, "ask the user, then delete the older session";
    /// What the session names does not exist any more: its user cannot go on with it.
    DanglingReference: Warning, "delete the session, or bring back what it names";
    /// Somebody wrote the session by hand, which HobbyFarm does not expect.
    HandEdit: Warning, "compare the fields with what HobbyFarm writes; ask whoever wrote them to use HobbyFarm's UI";
}

impl FindingKind {
    /// Whether the backfill repairs it.
    pub const fn is_repaired_by_backfill(self) -> bool {
        matches!(self, Self::MissingTime | Self::BadTime | Self::ForeignTime)
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is wrong with one Session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What is wrong.
    pub kind: FindingKind,
    /// Path of the field, `status.end_time` for example.
    pub field: String,
    /// What stands there, quoted and on one line; never an access code.
    pub value: String,
}

impl Finding {
    /// How bad it is: HobbyFarm's controller does without the start.
    pub fn severity(&self) -> Severity {
        if self.concerns_start_time() { Severity::Warning } else { self.kind.severity() }
    }

    /// What it means for HobbyFarm.
    pub fn meaning(&self) -> &'static str {
        if self.concerns_start_time() { "HobbyFarm cannot tell when the session began." } else { self.kind.meaning() }
    }

    fn concerns_start_time(&self) -> bool {
        self.kind.is_repaired_by_backfill() && self.field == Field::StartTime.path()
    }
}

/// A finding and the Session that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionFinding {
    /// Namespace of the Session.
    pub namespace: String,
    /// Name of the Session.
    pub name: String,
    /// What is wrong.
    pub finding: Finding,
}

#[cfg(test)]
mod tests {
    use super::{Finding, FindingKind, Severity};

    #[test]
    fn every_text_is_one_line_of_prose() {
        for kind in FindingKind::ALL {
            assert!(kind.meaning().ends_with('.') && !kind.meaning().contains('\n'), "{kind}");
            assert!(!kind.remedy().is_empty() && !kind.remedy().contains('\n'), "{kind}");
        }
    }

    #[test]
    fn a_missing_start_keeps_no_machine() {
        let missing =
            |field: &str| Finding { kind: FindingKind::MissingTime, field: field.to_owned(), value: "null".to_owned() };
        assert_eq!(missing("status.start_time").severity(), Severity::Warning);
        assert_eq!(missing("status.end_time").severity(), Severity::Error);
        assert!(missing("status.end_time").meaning().contains("never reclaimed"));
        assert!(!missing("status.start_time").meaning().contains("never reclaimed"));
    }
}
