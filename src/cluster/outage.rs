//! Something that fails again and again: one line in the log when it begins, one when it is over, and a count in between.

use std::time::{Duration, Instant};

/// How often an outage that goes on is told.
const REMINDER: Duration = Duration::from_mins(5);

/// What is known of an outage.
#[derive(Debug)]
pub(super) struct Outage {
    /// The line of the log when it begins, and while it goes on.
    begun: &'static str,
    /// The line when it is over.
    over: &'static str,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    told: Instant,
    failures: u64,
}

impl Outage {
    pub(super) const fn new(begun: &'static str, over: &'static str) -> Self {
        Self { begun, over, current: None }
    }

    /// It failed.
    pub(super) fn failed(&mut self, error: &str) {
        let (begun, now) = (self.begun, Instant::now());
        match &mut self.current {
            None => {
                tracing::error!(error, "{begun}");
                self.current = Some(Current { began: now, told: now, failures: 1 });
            }
            Some(current) => {
                current.failures += 1;
                if now.duration_since(current.told) >= REMINDER {
                    current.told = now;
                    let seconds = now.duration_since(current.began).as_secs();
                    tracing::error!(error, failures = current.failures, seconds, "{begun}");
                }
            }
        }
    }

    /// It succeeded.
    pub(super) fn succeeded(&mut self) {
        if let Some(Current { began, failures, .. }) = self.current.take() {
            let seconds = began.elapsed().as_secs();
            tracing::info!(failures, seconds, "{}", self.over);
        }
    }
}
