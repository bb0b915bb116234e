//! The one list of rules: metric label, audit annotation, log field and documentation anchor.

use std::fmt;

/// Declares [`Rule`] so that each variant's documentation is also the text shown to users.
macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why a request was decided as it was. The first rule that holds wins, in this order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Rule {
            /// Every rule, in the order in which they are tried.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that metrics, logs and audit annotations carry.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// When the rule holds and what follows, as one line of prose.
            pub fn description(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+).trim_start(),)+
                }
            }
        }
    };
}

rules! {
    /// A `DELETE` or `CONNECT`, or no Session at all: allowed, because deleting is the documented way to end a session.
    NotGuarded,
    /// A HobbyFarm user name without a uid is somebody impersonating the account: denied unless `--impersonation allow`.
    Impersonation,
    /// The writer is a HobbyFarm service account or the webhook's own: its status is checked, then allowed.
    HobbyFarm,
    /// The writer is a configured break-glass user or group: as for HobbyFarm, with a warning and an audit annotation.
    BreakGlass,
    /// An `UPDATE` that changes nothing (storage migration, a no-op apply): allowed.
    NoChange,
    /// A housekeeper's `UPDATE` of finalizers or owner references only (garbage collection): allowed.
    Housekeeping,
    /// An `UPDATE` that only takes finalizers off a Session that is being deleted: allowed.
    Release,
    /// A `CREATE` by anyone else: denied.
    ManualCreate,
    /// An `UPDATE` by anyone else: denied.
    ManualEdit,
    /// An `UPDATE` of the `status` subresource by anyone else: denied.
    ManualStatusEdit,
    /// `paused`, `active` or `finished` is no boolean: refused from HobbyFarm and break-glass too.
    BadFlag,
    /// `start_time`, `end_time` or the pause time is in no known layout: refused from HobbyFarm and break-glass too.
    BadTime,
    /// `start_time` became another instant once set: a warning, or refused with `--invariants deny`.
    StartMoved,
    /// This write puts `end_time` before `start_time`, or makes such a pair: a warning, or refused with `--invariants deny`.
    EndBeforeStart,
    /// `finished` went from true to false: a warning, or refused with `--invariants deny`.
    Resurrected,
    /// `spec.user` changed: a warning, or refused with `--invariants deny`.
    OwnerChanged,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Rule;

    #[test]
    fn every_description_is_one_line_of_prose() {
        for rule in Rule::ALL {
            let text = rule.description();
            assert!(text.ends_with('.') && !text.contains('\n'), "{rule}: {text}");
        }
    }
}
