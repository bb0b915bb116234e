//! The Sessions that wait: to grow old enough, for another attempt, or because they were there before.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use futures::StreamExt;
use tokio_util::time::{DelayQueue, delay_queue};

/// Before the second attempt; doubled with each further one.
pub(super) const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_mins(5);
/// The longest that anything waits in here: no option is longer, and timers have an end.
const LONGEST_DELAY: Duration = Duration::from_hours(24 * 366);
/// Of so many Sessions that are due one comes from the backlog, as long as there are others.
const BACKLOG_SHARE: u32 = 4;
/// More Sessions than this do not wait here; they are found again when the list is read anew.
const MAX_WAITING: usize = 100_000;

/// A Session, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct SessionKey {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A Session whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) key: SessionKey,
    /// Of the object that has waited: another of the same name has not.
    pub(super) uid: String,
    /// How often it has failed.
    pub(super) attempts: u32,
}

/// Each name at most once. What is overdue when it comes in waits in a backlog, and does not hold up what becomes due.
#[derive(Default)]
pub(super) struct WorkQueue {
    delays: DelayQueue<SessionKey>,
    backlog: VecDeque<SessionKey>,
    waiting: HashMap<SessionKey, Waiting>,
    turn: u32,
    overflowed: bool,
}

struct Waiting {
    /// Nothing in the backlog.
    key: Option<delay_queue::Key>,
    uid: String,
    attempts: u32,
}

impl WorkQueue {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a Session, unless it waits already.
    pub(super) fn enqueue(&mut self, key: SessionKey, uid: String, delay: Duration) {
        self.add(Due { key, uid, attempts: 0 }, delay);
    }

    /// Adds one that has failed once more.
    pub(super) fn requeue(&mut self, due: Due) {
        let delay = MIN_BACKOFF.saturating_mul(2u32.saturating_pow(due.attempts)).min(MAX_BACKOFF);
        self.add(Due { attempts: due.attempts.saturating_add(1), ..due }, delay);
    }

    fn add(&mut self, Due { key, uid, attempts }: Due, delay: Duration) {
        if self.waiting.len() >= MAX_WAITING {
            self.overflowed = true;
            return;
        }
        if self.backlog.len() > 2 * MAX_WAITING {
            let waiting = &self.waiting;
            self.backlog.retain(|name| waiting.get(name).is_some_and(|waiting| waiting.key.is_none()));
        }
        if let Entry::Vacant(place) = self.waiting.entry(key) {
            let name = place.key().clone();
            let key = if delay.is_zero() {
                self.backlog.push_back(name);
                None
            } else {
                Some(self.delays.insert(name, delay.min(LONGEST_DELAY)))
            };
            place.insert(Waiting { key, uid, attempts });
        }
    }

    /// Takes a name out that needs nothing any more.
    pub(super) fn remove(&mut self, name: &SessionKey) {
        if let Some(Waiting { key: Some(key), .. }) = self.waiting.remove(name) {
            self.delays.remove(&key);
        }
    }

    /// Whether there were too many to wait here, and there is room for them now.
    pub(super) fn has_room_again(&self) -> bool {
        self.overflowed && self.waiting.len() < MAX_WAITING / 2
    }

    /// The next one whose time has come; `None` while none waits. Nothing is lost when it is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Option<Due> {
        // What was taken out of the backlog, or stands there a second time.
        while self.backlog.front().is_some_and(|name| !self.is_in_backlog(name)) {
            self.backlog.pop_front();
        }
        let name = if self.backlog.is_empty() {
            self.delays.next().await?.into_inner()
        } else {
            self.turn = (self.turn + 1) % BACKLOG_SHARE;
            let due =
                if self.turn == 0 { None } else { futures::FutureExt::now_or_never(self.delays.next()).flatten() };
            match due {
                Some(due) => due.into_inner(),
                None => self.backlog.pop_front()?,
            }
        };
        let Waiting { uid, attempts, .. } = self.waiting.remove(&name)?;
        Some(Due { key: name, uid, attempts })
    }

    fn is_in_backlog(&self, name: &SessionKey) -> bool {
        self.waiting.get(name).is_some_and(|waiting| waiting.key.is_none())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Due, MAX_WAITING, SessionKey, WorkQueue};

    fn name(name: &str) -> SessionKey {
        SessionKey { namespace: "hobbyfarm-system".to_owned(), name: name.to_owned() }
    }

    fn due(text: &str, attempts: u32) -> Due {
        Due { key: name(text), uid: String::new(), attempts }
    }

    #[tokio::test]
    async fn a_name_waits_once_and_comes_when_its_time_has_come() {
        let mut queue = WorkQueue::default();
        queue.enqueue(name("later"), String::new(), Duration::from_millis(20));
        queue.enqueue(name("now"), String::new(), Duration::ZERO);
        queue.enqueue(name("now"), String::new(), Duration::from_hours(1));
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.next().await, Some(due("now", 0)));
        assert_eq!(queue.next().await, Some(due("later", 0)));
        assert_eq!(queue.next().await, None);
    }

    #[tokio::test]
    async fn what_needs_nothing_any_more_does_not_come() {
        let mut queue = WorkQueue::default();
        queue.enqueue(name("a"), String::new(), Duration::ZERO);
        queue.enqueue(name("b"), String::new(), Duration::ZERO);
        queue.remove(&name("a"));
        assert_eq!(queue.next().await, Some(due("b", 0)));
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test]
    async fn failures_are_counted() {
        let mut queue = WorkQueue::default();
        queue.requeue(due("a", 0));
        assert_eq!(queue.next().await, Some(due("a", 1)));
    }

    #[tokio::test]
    async fn a_backlog_does_not_hold_up_what_becomes_due() {
        let mut queue = WorkQueue::default();
        for number in 0..60_000 {
            queue.enqueue(name(&number.to_string()), String::new(), Duration::ZERO);
        }
        queue.enqueue(name("new"), String::new(), Duration::from_millis(1));
        while queue.next().await.unwrap().key != name("new") {
            // Timers go on when the task yields, as it does between two repairs.
            tokio::task::yield_now().await;
        }
        assert!(queue.len() > 0, "it came last");
    }

    #[tokio::test]
    async fn who_has_to_wait_for_long_does() {
        let mut queue = WorkQueue::default();
        let delay = Duration::from_hours(24 * 30);
        queue.enqueue(name("a"), String::new(), delay);
        let key = queue.waiting[&name("a")].key.unwrap();
        assert!(queue.delays.deadline(&key) > Instant::now() + delay - Duration::from_mins(1));
    }

    /// `tokio_util` panics at a delay of more than two years.
    #[tokio::test]
    async fn a_delay_of_any_length_is_taken() {
        let mut queue = WorkQueue::default();
        queue.enqueue(name("a"), String::new(), Duration::MAX);
        assert_eq!(queue.len(), 1);
        queue.remove(&name("a"));
        assert_eq!(queue.len(), 0);
    }

    #[tokio::test]
    async fn the_number_of_those_who_wait_is_bounded() {
        let mut queue = WorkQueue::default();
        for number in 0..=MAX_WAITING {
            queue.enqueue(name(&number.to_string()), String::new(), Duration::ZERO);
        }
        assert_eq!(queue.len(), MAX_WAITING);
        assert!(!queue.has_room_again());
        for _ in 0..=MAX_WAITING / 2 {
            queue.next().await.unwrap();
        }
        assert!(queue.has_room_again());
    }
}
