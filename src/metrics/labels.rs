//! What metrics are told apart by: closed sets of values.

use std::fmt;

use kube::core::admission::Operation;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};

use crate::core::admission::decision::Verdict;
use crate::core::admission::review::{Review, Webhook};
use crate::core::admission::rule::Rule;
use crate::core::stored::finding::FindingKind;

/// Labels of [`super::Metrics::reviews`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    pub(super) webhook: Webhook,
    pub(super) operation: OperationLabel,
    pub(super) subresource: Subresource,
    pub(super) rule: Rule,
    pub(super) decision: DecisionLabel,
}

impl ReviewLabels {
    /// The labels of one decided request. `decision` is what the policy says, in all modes.
    pub fn new(webhook: Webhook, review: &Review<'_>, rule: Rule, verdict: &Verdict) -> Self {
        let operation = match review.operation {
            Operation::Create => OperationLabel::Create,
            Operation::Update => OperationLabel::Update,
            Operation::Delete => OperationLabel::Delete,
            Operation::Connect => OperationLabel::Connect,
        };
        let subresource = match &*review.sub_resource {
            "" => Subresource::None,
            _ if review.is_status() => Subresource::Status,
            _ => Subresource::Other,
        };
        let decision = match verdict {
            Verdict::Allow => DecisionLabel::Allow,
            Verdict::Deny(_) => DecisionLabel::Deny,
        };
        Self { webhook, operation, subresource, rule, decision }
    }

    /// How many sets of values there are.
    pub(super) const COUNT: usize =
        Webhook::ALL.len() * OperationLabel::COUNT * Subresource::COUNT * Rule::ALL.len() * DecisionLabel::COUNT;

    /// A number below [`Self::COUNT`] that no other set of values has.
    pub(super) const fn index(&self) -> usize {
        let index = self.webhook as usize;
        let index = index * OperationLabel::COUNT + self.operation as usize;
        let index = index * Subresource::COUNT + self.subresource as usize;
        let index = index * Rule::ALL.len() + self.rule as usize;
        index * DecisionLabel::COUNT + self.decision as usize
    }
}

/// Label of [`super::Metrics::duration`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WebhookLabel {
    /// `mutate` or `validate`.
    pub webhook: Webhook,
}

/// Labels of [`super::Metrics::refused`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// HTTP status code.
    pub code: u16,
    /// One word for why.
    pub reason: &'static str,
}

/// Label of [`super::Metrics::broken_invariants`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    /// The invariant.
    pub rule: Rule,
}

/// Label of [`super::Metrics::certificate_loads`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LoadLabel {
    /// `loaded`, or why the last good pair was kept.
    pub result: &'static str,
}

/// Label of [`super::Metrics::connections_closed`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabel {
    /// One word for why.
    pub reason: &'static str,
}

/// Labels of [`super::Metrics::authority_steps`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabels {
    /// What was done, `repair-bundle` for example.
    pub step: &'static str,
    /// `done`, `outrun` by another replica, or `failed`.
    pub result: &'static str,
}

/// Label of [`super::Metrics::backfill_sessions`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `repaired`, `outrun` by another writer, or `failed`.
    pub result: &'static str,
}

/// Label of [`super::Metrics::backfill_unparsable`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ActionLabel {
    /// `replaced` or `kept`.
    pub action: &'static str,
}

/// Label of [`super::Metrics::controller_progress`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ControllerLabel {
    /// `backfill`, `audit`, `lease` or `certificate`.
    pub controller: &'static str,
}

/// Labels of [`super::Metrics::controller_restarts`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RestartLabels {
    /// As in [`ControllerLabel`].
    pub controller: &'static str,
    /// `panicked`, `ended`, `stalled` or `cancelled`.
    pub reason: &'static str,
}

/// Labels of [`super::Metrics::audit_findings`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct FindingLabels {
    /// What is wrong.
    pub finding: FindingKind,
    /// `error` or `warning`.
    pub severity: &'static str,
}

/// Declares a closed set of label values.
macro_rules! label {
    ($name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(super) enum $name {
            $($variant),+
        }

        impl $name {
            pub(super) const ALL: &[Self] = &[$(Self::$variant),+];
            const COUNT: usize = Self::ALL.len();
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => $text.encode(encoder)),+
                }
            }
        }
    };
}

label!(OperationLabel { Create = "CREATE", Update = "UPDATE", Delete = "DELETE", Connect = "CONNECT" });
label!(Subresource { None = "", Status = "status", Other = "other" });
label!(DecisionLabel { Allow = "allow", Deny = "deny" });

impl EncodeLabelValue for Rule {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

impl EncodeLabelValue for FindingKind {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

impl EncodeLabelValue for Webhook {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}
