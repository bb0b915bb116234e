//! Who leads: the decision of one candidate, from what it has seen of the Lease and a clock of its own.
//!
//! As in client-go, clocks of other hosts are not believed: a leader counts as gone when its record has not changed for
//! the record's own duration, by this process's clock. A leader believes in itself for a shorter time than that, counted
//! from before it asked for the renewal, so that it has stopped when the next one begins.

use std::time::{Duration, Instant};

/// How long the others wait for a leader that has fallen silent.
pub const LEASE_DURATION: Duration = Duration::from_secs(15);

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who leads; empty when the last one has stepped down.
    pub holder: String,
    /// For how long the holder counts as leading after a change of the record.
    pub duration: Duration,
    /// Version of the object.
    pub version: String,
}

/// What to do about the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseAction {
    /// There is none: make it.
    Create,
    /// Nobody leads: write oneself into this version.
    Take(String),
    /// Go on leading: write this version again.
    Renew(String),
    /// Somebody else leads.
    Wait,
}

/// One that would lead.
#[derive(Debug)]
pub struct Candidate {
    identity: String,
    duration: Duration,
    seen: Option<(Record, Instant)>,
    /// From when to when no Lease was seen.
    absent: Option<(Instant, Instant)>,
    until: Option<Instant>,
}

impl Candidate {
    /// A candidate with a name that no other has, not even the one that ran before it on the same host.
    pub const fn new(identity: String, duration: Duration) -> Self {
        Self { identity, duration, seen: None, absent: None, until: None }
    }

    /// Its name.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What it asks others to wait for.
    pub const fn duration(&self) -> Duration {
        self.duration
    }

    /// How often a leader renews.
    pub fn renew_interval(&self) -> Duration {
        self.duration / 3
    }

    /// How long it believes in itself without another renewal: shorter than others wait.
    fn renew_deadline(&self) -> Duration {
        self.duration * 2 / 3
    }

    /// Until when it may act as the leader.
    pub const fn leader_until(&self) -> Option<Instant> {
        self.until
    }

    /// Looks at the Lease, or at its absence.
    pub fn observe(&mut self, record: Option<Record>, now: Instant) -> LeaseAction {
        let Some(record) = record else {
            // After a pause there may have been another one meanwhile.
            let gap = self.renew_interval();
            let since = match self.absent {
                Some((since, last)) if now.duration_since(last) < gap => since,
                _ => now,
            };
            self.absent = Some((since, now));
            self.seen = None;
            // Somebody may have deleted it under a leader, who believes in itself until its time is over, or writes it anew.
            let is_vacant = now.duration_since(since) >= self.renew_deadline();
            return if is_vacant || self.is_leader(now) { LeaseAction::Create } else { LeaseAction::Wait };
        };
        self.absent = None;
        let version = record.version.clone();
        if record.holder == self.identity {
            return LeaseAction::Renew(version);
        }
        self.until = None;
        let since = match &self.seen {
            Some((seen, since)) if *seen == record => *since,
            _ => now,
        };
        let over = record.holder.is_empty() || now.duration_since(since) >= record.duration;
        self.seen = Some((record, since));
        if over { LeaseAction::Take(version) } else { LeaseAction::Wait }
    }

    /// A step other than [`LeaseAction::Wait`], asked for at `asked`, was carried out.
    pub fn on_renewed(&mut self, asked: Instant) {
        self.until = Some(asked + self.renew_deadline());
    }

    /// Somebody else was faster.
    pub fn on_conflict(&mut self) {
        self.until = None;
    }

    /// Whether it may act as the leader.
    pub fn is_leader(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Candidate, LeaseAction, Record};

    const LEASE: Duration = Duration::from_secs(15);

    fn record(holder: &str, version: &str) -> Record {
        Record { holder: holder.to_owned(), duration: LEASE, version: version.to_owned() }
    }

    fn candidate(name: &str) -> Candidate {
        Candidate::new(name.to_owned(), LEASE)
    }

    #[test]
    fn without_a_lease_one_is_made_once_nobody_can_be_leading_by_one_that_was_deleted() {
        let (mut a, start) = (candidate("a"), Instant::now());
        assert_eq!(a.observe(None, start), LeaseAction::Wait);
        for seconds in [3, 6, 9] {
            assert_eq!(a.observe(None, start + Duration::from_secs(seconds)), LeaseAction::Wait);
        }
        assert_eq!(a.observe(None, start + LEASE * 2 / 3), LeaseAction::Create);
    }

    #[test]
    fn a_leader_makes_a_lease_that_was_deleted_again_at_once() {
        let (mut a, start) = (candidate("a"), Instant::now());
        a.on_renewed(start);
        assert_eq!(a.observe(None, start + Duration::from_secs(5)), LeaseAction::Create);
    }

    #[test]
    fn a_lease_that_was_given_back_is_taken_at_once() {
        assert_eq!(candidate("a").observe(Some(record("", "7")), Instant::now()), LeaseAction::Take("7".to_owned()));
    }

    #[test]
    fn a_leader_that_falls_silent_is_followed_after_the_duration_of_its_lease() {
        let (mut a, start) = (candidate("a"), Instant::now());
        assert_eq!(a.observe(Some(record("b", "1")), start), LeaseAction::Wait);
        assert_eq!(a.observe(Some(record("b", "1")), start + Duration::from_millis(14_999)), LeaseAction::Wait);
        assert_eq!(a.observe(Some(record("b", "1")), start + LEASE), LeaseAction::Take("1".to_owned()));
    }

    #[test]
    fn a_leader_that_renews_is_not_followed() {
        let (mut a, start) = (candidate("a"), Instant::now());
        for round in 0..10 {
            assert_eq!(a.observe(Some(record("b", &round.to_string())), start + LEASE * round), LeaseAction::Wait);
        }
    }

    #[test]
    fn a_leader_that_cannot_renew_stops_before_others_may_begin() {
        let (mut a, start) = (candidate("a"), Instant::now());
        a.on_renewed(start);
        assert!(a.is_leader(start + Duration::from_millis(9_999)));
        assert!(!a.is_leader(start + LEASE * 2 / 3));
    }

    #[test]
    fn a_leader_that_finds_another_name_in_the_lease_stops_at_once() {
        let (mut a, start) = (candidate("a"), Instant::now());
        a.on_renewed(start);
        assert_eq!(a.observe(Some(record("b", "2")), start), LeaseAction::Wait);
        assert!(!a.is_leader(start));
    }

    /// What a candidate does in one round, after a time: whether its request gets through, how long the answer takes, and
    /// whether somebody has deleted the Lease before.
    #[derive(Debug, Clone)]
    struct Round {
        who: usize,
        pause: u64,
        lost: bool,
        travel: u64,
        deleted: bool,
    }

    fn round() -> impl Strategy<Value = Round> {
        let (lost, deleted) = (prop::bool::weighted(0.2), prop::bool::weighted(0.1));
        (0..3usize, 0..6000u64, lost, 0..2000u64, deleted).prop_map(|(who, pause, lost, travel, deleted)| Round {
            who,
            pause,
            lost,
            travel,
            deleted,
        })
    }

    proptest! {
        /// Whatever gets lost and however long anybody sleeps, there are never two who believe that they lead.
        #[test]
        fn there_are_never_two_leaders(rounds in prop::collection::vec(round(), 1..200)) {
            let mut candidates = ["a", "b", "c"].map(candidate);
            let (mut stored, mut version, mut now) = (None::<Record>, 0u64, Instant::now());
            let mut made = None;
            for Round { who, pause, lost, travel, deleted } in rounds {
                now += Duration::from_millis(pause);
                // One that lives for less than candidates look apart may be missed by all of them.
                if deleted && made.is_some_and(|made| now.duration_since(made) >= LEASE / 3) {
                    stored = None;
                }
                let seen = stored.clone();
                let candidate = &mut candidates[who];
                let step = candidate.observe(seen.clone(), now);
                let asked = now;
                now += Duration::from_millis(travel);
                if step != LeaseAction::Wait && stored == seen {
                    version += 1;
                    if stored.is_none() {
                        made = Some(now);
                    }
                    stored = Some(record(candidate.identity(), &version.to_string()));
                    if !lost {
                        candidate.on_renewed(asked);
                    }
                }
                let leaders = candidates.iter().filter(|candidate| candidate.is_leader(now)).count();
                prop_assert!(leaders <= 1, "{leaders} at once: {candidates:?}");
            }
        }
    }
}
