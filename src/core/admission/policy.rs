//! The decision table: [`Policy::decide`] turns a review into a [`Decision`].

use std::borrow::Cow;

use jiff::Timestamp;
use kube::core::admission::Operation;

use crate::core::admission::decision::{Decision, Denial, Verdict};
use crate::core::admission::message::{self, DenialReasons};
use crate::core::admission::normalize::{Edit, Timeouts, normalize};
use crate::core::admission::review::{Object, Review, ReviewError, Webhook};
use crate::core::admission::rule::Rule;
use crate::core::admission::validate;
use crate::core::requester::Requester;
use crate::core::session::{Session, Status, detect_dialect};
use crate::core::settings::{Dialect, Impersonation, Invariants, Settings};

/// The configured policy. Immutable; one is shared by all requests.
#[derive(Debug, Clone)]
pub struct Policy {
    settings: Settings,
    reasons: DenialReasons,
}

/// The objects of a `CREATE` or `UPDATE`.
struct SessionWrite<'r, 'a> {
    object: Cow<'r, Session<'a>>,
    old: Option<Cow<'r, Session<'a>>>,
}

impl Policy {
    /// A policy with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { reasons: DenialReasons::new(&settings), settings }
    }

    /// The settings it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Decides one request. `now` is read once per request, by the caller.
    pub fn decide(&self, webhook: Webhook, review: &Review<'_>, now: Timestamp) -> Result<Decision, ReviewError> {
        if !matches!(review.operation, Operation::Create | Operation::Update) || !review.is_about_sessions() {
            return Ok(self.allow(Rule::NotGuarded));
        }
        let write = SessionWrite::read(review)?;
        let rule = self.decide_writer(review, &write);
        let mut decision = self.allow(rule);
        decision.break_glass = rule == Rule::BreakGlass;
        match webhook {
            // Only v1 has the flags and times that there is something to say about.
            Webhook::Mutate if !review.is_about_v1() => {}
            Webhook::Mutate => self.mutate(&write, now, &mut decision),
            Webhook::Validate => self.validate(review, &write, &mut decision),
        }
        Ok(decision)
    }

    const fn allow(&self, rule: Rule) -> Decision {
        Decision {
            rule,
            verdict: Verdict::Allow,
            mode: self.settings.mode,
            edits: Vec::new(),
            status_is_missing: false,
            warnings: Vec::new(),
            broken_invariants: Vec::new(),
            break_glass: false,
        }
    }

    /// The table of who may write. The first rule that holds wins.
    fn decide_writer(&self, review: &Review<'_>, write: &SessionWrite<'_, '_>) -> Rule {
        let requester = Requester::parse(&review.user_info.username);
        if self.is_hobbyfarm(&requester) {
            return if self.is_impersonation(review) { Rule::Impersonation } else { Rule::HobbyFarm };
        }
        if self.is_break_glass(review) {
            return Rule::BreakGlass;
        }
        let Some(old) = &write.old else { return Rule::ManualCreate };
        let changes = write.object.changes_since(old);
        if changes.is_empty() {
            Rule::NoChange
        } else if changes.are_finalizers_or_owner_references() && self.is_housekeeper(&requester) {
            Rule::Housekeeping
        } else if changes.are_finalizers_only() && is_finalizer_release(&write.object, old) {
            Rule::Release
        } else if review.is_status() {
            Rule::ManualStatusEdit
        } else {
            Rule::ManualEdit
        }
    }

    fn is_hobbyfarm(&self, requester: &Requester<'_>) -> bool {
        let own = self.settings.own_service_account.iter();
        self.settings.service_accounts.iter().chain(own).any(|account| account.matches(requester))
    }

    /// Whether the webhook itself writes. It repairs what is stored, whose start may be in the future: where that were refused,
    /// the Session would never be reclaimed.
    fn is_own(&self, review: &Review<'_>) -> bool {
        let requester = Requester::parse(&review.user_info.username);
        self.settings.own_service_account.iter().any(|account| account.matches(&requester))
    }

    /// Whether the name of an account comes without the uid that a token of it brings, and that is refused.
    fn is_impersonation(&self, review: &Review<'_>) -> bool {
        review.user_info.uid.is_empty() && self.settings.impersonation == Impersonation::Deny
    }

    fn is_housekeeper(&self, requester: &Requester<'_>) -> bool {
        self.settings.housekeepers.iter().any(|known| known.matches(requester))
    }

    fn is_break_glass(&self, review: &Review<'_>) -> bool {
        let user = &review.user_info;
        self.settings.break_glass_users.iter().any(|name| *name == user.username)
            || user.groups.contain_any(&self.settings.break_glass_groups)
    }

    fn dialect(&self, write: &SessionWrite<'_, '_>) -> Dialect {
        self.settings.dialect.unwrap_or_else(|| detect_dialect(&write.object, write.old.as_deref()))
    }

    /// Repairs what HobbyFarm or break-glass writes. An update of metadata alone, or of an object that is being deleted,
    /// is left alone: a repair would turn the garbage collector's update into an edit.
    fn mutate(&self, write: &SessionWrite<'_, '_>, now: Timestamp, decision: &mut Decision) {
        let metadata_only = || write.old.as_ref().is_some_and(|old| !write.object.differs_beyond_metadata(old));
        if !decision.rule.is_trusted() || write.object.is_being_deleted() || metadata_only() {
            return;
        }
        let timeouts = Timeouts { session: self.settings.session_timeout, pause: self.settings.pause_timeout };
        decision.edits = normalize(&write.object, self.dialect(write), timeouts, now.into());
        decision.status_is_missing = matches!(write.object.status(), Status::Absent);
        decision.warnings = decision.edits.iter().filter_map(Edit::warning).collect();
    }

    fn validate(&self, review: &Review<'_>, write: &SessionWrite<'_, '_>, decision: &mut Decision) {
        if decision.rule.is_manual() {
            let message = message::writer_denied(review, decision.rule, &self.reasons);
            return decision.deny(Denial { message, causes: Vec::new() });
        }
        if !decision.rule.is_trusted() {
            return;
        }
        if decision.break_glass {
            decision.warnings.push(message::break_glass_warning(review));
        }
        if !review.is_about_v1() {
            return;
        }
        let old = write.old.as_deref();
        let dialect = self.dialect(write);
        let mut causes = validate::status(&write.object, old, dialect);
        let broken = || validate::invariants(&write.object, old, dialect);
        match self.settings.invariants {
            Invariants::Off => {}
            Invariants::Deny if !self.is_own(review) => causes.extend(broken()),
            Invariants::Deny | Invariants::Warn => {
                for cause in broken() {
                    decision.warnings.push(cause.to_string());
                    decision.broken_invariants.push(cause.rule);
                }
            }
        }
        if let Some(first) = causes.first() {
            decision.rule = first.rule;
            let message = message::object_invalid(review, &causes);
            decision.deny(Denial { message, causes });
        }
    }
}

/// Whether finalizers were taken off an object that is being deleted.
fn is_finalizer_release(object: &Session<'_>, old: &Session<'_>) -> bool {
    old.is_being_deleted() && object.only_lost_finalizers_since(old)
}

impl Rule {
    /// Whether the writer may write, as far as the object is sound.
    const fn is_trusted(self) -> bool {
        matches!(self, Self::HobbyFarm | Self::BreakGlass)
    }

    /// Whether the writer is the fault. Every rule is named, or a new one that refuses would let pass where it was forgotten.
    pub(crate) const fn is_manual(self) -> bool {
        match self {
            Self::Impersonation | Self::ManualCreate | Self::ManualEdit | Self::ManualStatusEdit => true,
            Self::NotGuarded
            | Self::HobbyFarm
            | Self::BreakGlass
            | Self::NoChange
            | Self::Housekeeping
            | Self::Release
            | Self::BadFlag
            | Self::BadTime
            | Self::StartMoved
            | Self::EndBeforeStart
            | Self::Resurrected
            | Self::OwnerChanged => false,
        }
    }
}

impl<'r, 'a> SessionWrite<'r, 'a> {
    fn read(review: &'r Review<'a>) -> Result<Self, ReviewError> {
        let operation = review.operation_name();
        let read = |field: &'static str, object: &'r Option<Object<'a>>| match object {
            None => Err(ReviewError::Missing { operation, field }),
            Some(Object::Session(session)) => Ok(Cow::Borrowed(session)),
            Some(Object::Raw(raw)) => {
                Session::read(raw).map(Cow::Owned).map_err(|source| ReviewError::Object { field, source })
            }
        };
        let object = read("object", &review.object)?;
        let old = match review.operation {
            Operation::Update => Some(read("oldObject", &review.old_object)?),
            Operation::Create | Operation::Delete | Operation::Connect => None,
        };
        Ok(Self { object, old })
    }
}
