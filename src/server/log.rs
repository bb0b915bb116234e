//! What is logged about requests: facts in fields, never an object, and nothing that a client can flood.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::core::admission::decision::{Decision, Verdict};
use crate::core::admission::review::{Review, Webhook};
use crate::core::admission::rule::Rule;
use crate::core::text::{LONGEST_NAME, sanitize_line};

fn name(text: &str) -> Cow<'_, str> {
    sanitize_line(text, LONGEST_NAME)
}

/// Logs what people will want to know about one decision: denials, broken invariants, break-glass.
pub(super) fn decision(webhook: Webhook, review: &Review<'_>, decision: &Decision) {
    let denied = matches!(decision.verdict, Verdict::Deny(_));
    if !denied && decision.broken_invariants.is_empty() && !decision.break_glass {
        return;
    }
    // One set of fields for each line about a request, so that they can be searched alike.
    macro_rules! line {
        ($level:ident, $rule:expr, $message:literal) => {
            tracing::$level!(
                uid = &*name(&review.uid),
                user = &*name(&review.user_info.username),
                operation = review.operation_name(),
                namespace = &*name(&review.namespace),
                name = &*name(&review.name),
                subresource = &*name(&review.sub_resource),
                webhook = webhook.name(),
                rule = $rule.name(),
                mode = decision.mode.name(),
                dry_run = review.dry_run,
                $message
            )
        };
    }
    if denied && !decision.is_allowed() {
        line!(info, decision.rule, "denied");
    } else if denied {
        line!(info, decision.rule, "would be denied");
    }
    for broken in &decision.broken_invariants {
        line!(warn, broken, "invariant broken");
    }
    if decision.break_glass {
        line!(warn, decision.rule, "break-glass used");
    }
}

/// Logs a request about something that is no Session: the webhook configuration that sent it is wrong.
pub(super) fn not_a_session(review: &Review<'_>, decision: &Decision, throttle: &LogThrottle) {
    if decision.rule != Rule::NotGuarded || review.is_about_sessions() {
        return;
    }
    if let Some(suppressed) = throttle.pass() {
        let resource = review.resource.to_string();
        let (resource, subresource) = (&*name(&resource), &*name(&review.sub_resource));
        tracing::warn!(resource, subresource, suppressed, "not about a Session; the webhook configuration is too wide");
    }
}

/// Logs a request that got no verdict.
pub(super) fn request_error(path: &str, code: u16, reason: &'static str, throttle: &LogThrottle) {
    if let Some(suppressed) = throttle.pass() {
        tracing::warn!(path = &*name(path), code, reason, suppressed, "request refused");
    }
}

/// Lets some lines pass and counts the others.
#[derive(Debug)]
pub(super) struct LogThrottle {
    state: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    passed: u32,
    suppressed: u64,
}

/// How many lines pass in one window, and how long it is.
const LINES: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);

impl LogThrottle {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(Window { began: Instant::now(), passed: 0, suppressed: 0 }) }
    }

    /// Whether a line may pass, and how many did not since the last one that did.
    pub(super) fn pass(&self) -> Option<u64> {
        // Held for a few instructions, on paths that no healthy request takes.
        let mut window = self.state.lock();
        if window.began.elapsed() >= WINDOW {
            window.began = Instant::now();
            window.passed = 0;
        }
        if window.passed == LINES {
            window.suppressed += 1;
            return None;
        }
        window.passed += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::{LINES, LogThrottle};

    #[test]
    fn a_flood_of_lines_is_cut() {
        let throttle = LogThrottle::new();
        let passed = (0..1000).filter(|_| throttle.pass().is_some()).count();
        assert_eq!(passed, LINES as usize);
    }
}
