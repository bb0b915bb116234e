//! Something that fails again and again: one line in the log when it begins, one when it is over, and a count in between.

use std::time::{Duration, Instant};

/// How often an outage that goes on is told.
const REMINDER: Duration = Duration::from_mins(5);

/// What is known of an outage.
#[derive(Debug)]
pub(super) struct Outage {
    /// What fails, for the log.
    operation: &'static str,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    began: Instant,
    told: Instant,
    failures: u64,
}

impl Outage {
    pub(super) const fn new(operation: &'static str) -> Self {
        Self { operation, current: None }
    }

    /// It failed.
    pub(super) fn failed(&mut self, error: &str) {
        let (operation, now) = (self.operation, Instant::now());
        match &mut self.current {
            None => {
                tracing::error!(operation, error, "failing; trying again");
                self.current = Some(Current { began: now, told: now, failures: 1 });
            }
            Some(current) => {
                current.failures += 1;
                if now.duration_since(current.told) >= REMINDER {
                    current.told = now;
                    let seconds = now.duration_since(current.began).as_secs();
                    tracing::error!(operation, error, failures = current.failures, seconds, "still failing");
                }
            }
        }
    }

    /// It succeeded.
    pub(super) fn succeeded(&mut self) {
        if let Some(Current { began, failures, .. }) = self.current.take() {
            let seconds = began.elapsed().as_secs();
            tracing::info!(operation = self.operation, failures, seconds, "working again");
        }
    }
}
