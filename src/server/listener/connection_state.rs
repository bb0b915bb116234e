//! What a connection is doing, since when, and why it ends.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::AbortHandle;
use tokio::sync::watch::Receiver;

use super::super::tls::ConfigReceiver;
use super::super::{Stage, Timeouts};

/// A request that has no answer for longer than this still waits for its body: deciding takes less, and mostly a hundredth of it.
const LONGEST_DECISION: Duration = Duration::from_millis(250);

/// What a connection is doing. Nothing is asked of an idle one, not yet or no more; in `InRequest`, a request has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Handshake,
    Idle,
    ReadingHead,
    InRequest = 0b11,
}

/// What is known of a connection while it is open. Its own task writes, others read and may [`close`](Self::close) it.
pub(super) struct ConnectionState {
    opened: Instant,
    max_age: Duration,
    /// The milliseconds from `opened` to the beginning of the phase, times four, and the phase.
    phase: AtomicU64,
    pub(super) was_answered: AtomicBool,
    /// Its client does not read what was written last. hyper takes further requests all the same where answers have no body.
    pub(super) is_unread: AtomicBool,
    /// Has changed when another certificate is served than the one of the handshake.
    tls: Option<ConfigReceiver>,
    /// Has changed when the server no longer serves as usual.
    stage: Receiver<Stage>,
    /// Why it was closed, as the metric says it.
    close_reason: OnceLock<&'static str>,
    stream: AbortHandle,
}

impl ConnectionState {
    /// An age of zero is no limit. Connections that are opened together do not end together: at three quarters of it or later.
    pub(super) fn new(age: Duration, stage: Receiver<Stage>, tls: Option<ConfigReceiver>, stream: AbortHandle) -> Self {
        let max_age = if age.is_zero() { Duration::MAX } else { age.mul_f64(0.75 + fastrand::f64() / 4.0) };
        let phase = AtomicU64::new(if tls.is_some() { Phase::Handshake } else { Phase::Idle } as u64);
        let (was_answered, is_unread, close_reason) = Default::default();
        Self { opened: Instant::now(), max_age, phase, was_answered, is_unread, tls, stage, close_reason, stream }
    }

    /// What it is doing, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let packed = self.phase.load(Ordering::Acquire);
        let phases = [Phase::Handshake, Phase::Idle, Phase::ReadingHead];
        let phase = phases.into_iter().find(|phase| packed % 4 == *phase as u64).unwrap_or(Phase::InRequest);
        (phase, self.opened + Duration::from_millis(packed / 4))
    }

    pub(super) fn enter(&self, phase: Phase) {
        let milliseconds = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or_default();
        self.phase.store(milliseconds * 4 + phase as u64, Ordering::Release);
    }

    /// Its time counts from the first byte of its head, so that the clock is read once.
    pub(super) fn begin_request(&self) {
        self.phase.fetch_or(Phase::InRequest as u64, Ordering::AcqRel);
    }

    /// Returns whether this was the last answer. HTTP/1.1 says so with the answer: closing an idle connection could meet a request
    /// that is on its way, which API servers do not send twice.
    pub(super) fn on_answer(&self) -> bool {
        self.enter(Phase::Idle);
        self.was_answered.store(true, Ordering::Release);
        let is_old = self.phase().1 - self.opened >= self.max_age;
        let is_stopping = self.stage.has_changed().unwrap_or(false);
        let is_replaced = self.tls.as_ref().is_some_and(|tls| tls.has_changed().unwrap_or(false));
        let is_unread = self.is_unread.load(Ordering::Acquire);
        let reasons = [(is_unread, "idle"), (is_stopping, "stopping"), (is_replaced, "reload"), (is_old, "age")];
        let reason = reasons.into_iter().find(|(holds, _)| *holds);
        reason.inspect(|(_, reason)| self.set_close_reason(reason)).is_some()
    }

    /// Orders those that make way for another; last come requests that may be honest work, and `None` is for what most likely is.
    pub(super) fn eviction_order(&self, answered_last: bool) -> Option<(bool, bool, Instant)> {
        let (phase, since) = self.phase();
        let is_within = |time| phase == Phase::InRequest && since.elapsed() < time;
        let order = (is_within(LONGEST_DECISION), self.was_answered.load(Ordering::Acquire) == answered_last, since);
        (!is_within(LONGEST_DECISION / 25)).then_some(order)
    }

    /// When it has to be closed if nothing happens on it until then, and why.
    pub(super) fn deadline(&self, timeouts: &Timeouts, body_timeout: Duration) -> (Instant, &'static str) {
        let (phase, since) = self.phase();
        let (timeout, reason) = match phase {
            Phase::Handshake => (timeouts.handshake, "handshake-timeout"),
            // Long after its body was read or given up: its client asks on, but does not read the answers.
            Phase::InRequest => (timeouts.header + body_timeout + timeouts.idle, "idle"),
            Phase::Idle if self.was_answered.load(Ordering::Acquire) => (timeouts.idle, "idle"),
            Phase::Idle | Phase::ReadingHead => (timeouts.header, "header-timeout"),
        };
        (since + timeout, reason)
    }

    /// The first reason stays.
    pub(super) fn set_close_reason(&self, reason: &'static str) {
        self.close_reason.get_or_init(|| reason);
    }

    /// Why it was closed, once it is.
    pub(super) fn close_reason(&self) -> &'static str {
        self.close_reason.get().copied().unwrap_or_else(|| match self.phase().0 {
            _ if *self.stage.borrow() == Stage::Closing => "stopping",
            Phase::Handshake => "handshake",
            Phase::Idle => "client",
            Phase::ReadingHead | Phase::InRequest => "broken",
        })
    }

    /// Ends it at once, whatever it does.
    pub(super) fn close(&self, reason: &'static str) {
        self.set_close_reason(reason);
        self.stream.abort();
    }
}
