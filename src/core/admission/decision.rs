//! [`Decision`]: what was decided about one request.

use crate::core::admission::normalize::Edit;
use crate::core::admission::rule::Rule;
use crate::core::settings::Mode;

/// What was decided about one request, and why.
#[derive(Debug)]
pub struct Decision {
    /// The rule that decided.
    pub rule: Rule,
    /// Whether the policy allows the request; what the client is told is [`Decision::is_allowed`].
    pub verdict: Verdict,
    /// What becomes of a denial.
    pub mode: Mode,
    /// Repairs of `status`, for `/mutate`.
    pub edits: Vec<Edit>,
    /// Whether the object to be patched has no `status`.
    pub status_is_missing: bool,
    /// Lines for the client.
    pub warnings: Vec<String>,
    /// Invariants that the write breaks and that `--invariants warn` lets pass.
    pub broken_invariants: Vec<Rule>,
    /// Whether the writer came in by break-glass.
    pub break_glass: bool,
}

/// Allowed or denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The request may go on.
    Allow,
    /// The request is refused.
    Deny(Denial),
}

/// What the client is told about a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// One line for a person, under 500 characters.
    pub message: String,
    /// The faulty fields; empty when the writer is the fault.
    pub causes: Vec<Cause>,
}

/// One faulty field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The rule that it breaks.
    pub rule: Rule,
    /// Path of the field, `status.end_time` for example.
    pub field: &'static str,
    /// What is wrong and what is accepted; kubectl shows nothing else.
    pub message: String,
}

impl Decision {
    /// Whether the client is told that the request may go on: in the modes `warn` and `audit` it always is.
    pub fn is_allowed(&self) -> bool {
        self.mode != Mode::Enforce || self.verdict == Verdict::Allow
    }

    /// What was decided, whatever the mode makes of it: metric label and audit annotation.
    pub const fn name(&self) -> &'static str {
        match self.verdict {
            Verdict::Allow => "allow",
            Verdict::Deny(_) => "deny",
        }
    }

    pub(super) fn deny(&mut self, refusal: Denial) {
        if self.mode == Mode::Warn {
            self.warnings.extend(would_be_refused(&refusal));
        }
        self.verdict = Verdict::Deny(refusal);
    }
}

/// What `--mode warn` tells the client in place of a refusal.
fn would_be_refused(refusal: &Denial) -> Vec<String> {
    let warning = |text: &dyn std::fmt::Display| format!("allowed by --mode warn, would be refused: {text}");
    if refusal.causes.is_empty() {
        return vec![warning(&refusal.message)];
    }
    refusal.causes.iter().map(|cause| warning(cause)).collect()
}
