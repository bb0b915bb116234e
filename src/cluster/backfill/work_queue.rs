//! The Sessions that wait: to grow old enough, or for another attempt.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use futures::StreamExt;
use tokio_util::time::{DelayQueue, delay_queue};

/// Before the second attempt; doubled with each further one.
pub(super) const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// A Session, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Each name at most once.
#[derive(Default)]
pub(super) struct WorkQueue {
    delays: DelayQueue<SessionKey>,
    waiting: HashMap<SessionKey, Waiting>,
}

struct Waiting {
    key: delay_queue::Key,
    attempts: u32,
}

impl WorkQueue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a name, unless it waits already.
    pub(super) fn enqueue(&mut self, name: SessionKey, delay: Duration) {
        self.add(name, delay, 0);
    }

    /// Adds a name that has failed so many times before.
    pub(super) fn requeue(&mut self, name: SessionKey, attempts: u32) {
        let delay = MIN_BACKOFF.saturating_mul(2u32.saturating_pow(attempts)).min(MAX_BACKOFF);
        self.add(name, delay, attempts.saturating_add(1));
    }

    fn add(&mut self, name: SessionKey, delay: Duration, attempts: u32) {
        if let Entry::Vacant(place) = self.waiting.entry(name) {
            let key = self.delays.insert(place.key().clone(), delay);
            place.insert(Waiting { key, attempts });
        }
    }

    /// Takes a name out that needs nothing any more.
    pub(super) fn remove(&mut self, name: &SessionKey) {
        if let Some(Waiting { key, .. }) = self.waiting.remove(name) {
            self.delays.remove(&key);
        }
    }

    /// The next name whose time has come, and how often it has failed; `None` while none waits.
    pub(super) async fn next(&mut self) -> Option<(SessionKey, u32)> {
        let name = self.delays.next().await?.into_inner();
        let attempts = self.waiting.remove(&name).map_or(0, |waiting| waiting.attempts);
        Some((name, attempts))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{SessionKey, WorkQueue};

    fn name(name: &str) -> SessionKey {
        SessionKey { namespace: "hobbyfarm-system".to_owned(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn a_name_waits_once_and_comes_when_its_time_has_come() {
        let mut queue = WorkQueue::default();
        queue.enqueue(name("later"), Duration::from_millis(20));
        queue.enqueue(name("now"), Duration::ZERO);
        queue.enqueue(name("now"), Duration::from_hours(1));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.next().await, Some((name("now"), 0)));
        assert_eq!(queue.next().await, Some((name("later"), 0)));
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn what_needs_nothing_any_more_does_not_come() {
        let mut queue = WorkQueue::default();
        queue.enqueue(name("a"), Duration::ZERO);
        queue.enqueue(name("b"), Duration::ZERO);
        queue.remove(&name("a"));
        assert_eq!(queue.next().await, Some((name("b"), 0)));
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test]
    async fn failures_are_counted() {
        let mut queue = WorkQueue::default();
        queue.requeue(name("a"), 0);
        assert_eq!(queue.next().await, Some((name("a"), 1)));
    }
}
