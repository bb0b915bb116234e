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
        self.failed_at(error, Instant::now());
    }

    fn failed_at(&mut self, error: &str, now: Instant) {
        let begun = self.begun;
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::Value;

    use super::Outage;
    use crate::telemetry::captured::Captured;

    /// Message, and how many failures it tells of.
    fn lines_logged_by(log: impl FnOnce()) -> Vec<(String, u64)> {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, log);
        let facts =
            |line: Value| (line["message"].as_str().unwrap().to_owned(), line["failures"].as_u64().unwrap_or_default());
        captured.text().lines().map(|line| facts(serde_json::from_str(line).unwrap())).collect()
    }

    /// A failure each second for eleven minutes.
    #[test]
    fn one_that_goes_on_is_told_at_its_beginning_at_its_end_and_now_and_then_with_a_count() {
        let mut outage = Outage::new("begun", "over");
        let lines = lines_logged_by(|| {
            let start = Instant::now();
            for second in 0..660 {
                outage.failed_at("why", start + Duration::from_secs(second));
            }
            outage.succeeded();
            outage.succeeded();
        });
        let expected = [("begun", 0), ("begun", 301), ("begun", 601), ("over", 660)];
        assert_eq!(lines, expected.map(|(message, failures)| (message.to_owned(), failures)));
    }
}
