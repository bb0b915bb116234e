//! What a connection is doing, since when, and why it ends.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use rustls::ServerConfig;
use tokio::sync::watch;

use super::super::{Stage, Timeouts};

/// A request that has no answer for longer than this still waits for its body: deciding takes far less.
const LONGEST_DECISION: Duration = Duration::from_millis(250);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// TLS is being negotiated.
    Handshake,
    /// Nothing has been asked yet.
    Unused,
    /// The head of a request has begun to arrive.
    ReadingHead,
    /// A request has no answer yet.
    InRequest,
    /// The last request has been answered.
    Idle,
}

/// What is known of a connection while it is open. Its own task writes, others read and may [`close`](Self::close) it.
pub(super) struct ConnectionState {
    opened: Instant,
    max_age: Duration,
    /// The milliseconds from `opened` to the beginning of the phase, times eight, and the phase.
    phase: AtomicU64,
    pub(super) was_answered: AtomicBool,
    /// Has changed when another certificate is served than the one of the handshake.
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    /// Has changed when the server no longer serves as usual.
    stage: watch::Receiver<Stage>,
    /// Why it was closed, as the metric says it.
    close_reason: OnceLock<&'static str>,
    is_closed: AtomicBool,
    task: AtomicWaker,
}

impl ConnectionState {
    pub(super) fn new(
        max_age: Duration,
        stage: watch::Receiver<Stage>,
        tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    ) -> Self {
        Self {
            opened: Instant::now(),
            max_age,
            phase: AtomicU64::new(if tls.is_some() { Phase::Handshake } else { Phase::Unused } as u64),
            was_answered: AtomicBool::new(false),
            tls,
            stage,
            close_reason: OnceLock::new(),
            is_closed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        }
    }

    /// What it is doing, and since when.
    pub(super) fn phase(&self) -> (Phase, Instant) {
        let packed = self.phase.load(Ordering::Acquire);
        let phases = [Phase::Handshake, Phase::Unused, Phase::ReadingHead, Phase::InRequest];
        let phase = phases.into_iter().find(|phase| packed % 8 == *phase as u64).unwrap_or(Phase::Idle);
        (phase, self.opened + Duration::from_millis(packed / 8))
    }

    /// Returns the connection's age.
    pub(super) fn enter(&self, phase: Phase) -> Duration {
        let age = self.opened.elapsed();
        let milliseconds = u64::try_from(age.as_millis()).unwrap_or_default();
        self.phase.store(milliseconds * 8 + phase as u64, Ordering::Release);
        age
    }

    /// Returns whether this was the last answer. HTTP/1.1 says so with the answer: closing an idle connection could meet a request
    /// that is on its way, which API servers do not send twice.
    pub(super) fn on_answer(&self) -> bool {
        let age = self.enter(Phase::Idle);
        self.was_answered.store(true, Ordering::Release);
        let is_replaced = self.tls.as_ref().is_some_and(|tls| tls.has_changed().unwrap_or(false));
        let reasons = [
            (self.stage.has_changed().unwrap_or(false), "stopping"),
            (is_replaced, "reload"),
            (age >= self.max_age, "age"),
        ];
        let reason = reasons.into_iter().find(|(holds, _)| *holds);
        reason.inspect(|(_, reason)| self.set_close_reason(reason)).is_some()
    }

    /// Since when it has been waiting for its client. `None` while a request is young enough to be honest work.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let (phase, since) = self.phase();
        (phase != Phase::InRequest || since.elapsed() >= LONGEST_DECISION).then_some(since)
    }

    /// When it has to be closed if nothing happens on it until then, and why.
    pub(super) fn deadline(&self, timeouts: &Timeouts, body_timeout: Duration) -> (Instant, &'static str) {
        let (phase, since) = self.phase();
        let (timeout, reason) = match phase {
            Phase::Handshake => (timeouts.handshake, "handshake-timeout"),
            Phase::Unused | Phase::ReadingHead => (timeouts.header, "header-timeout"),
            // Long after its body was read or given up: its client asks on, but does not read the answers.
            Phase::InRequest => (body_timeout + timeouts.idle, "idle"),
            Phase::Idle => (timeouts.idle, "idle"),
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
            Phase::Unused | Phase::Idle => "client",
            Phase::ReadingHead | Phase::InRequest => "broken",
        })
    }

    /// Ends it at once, whatever it does.
    pub(super) fn close(&self, reason: &'static str) {
        self.set_close_reason(reason);
        self.is_closed.store(true, Ordering::Release);
        self.task.wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Waits to be closed. The connection's task alone may.
    pub(super) fn poll_closed(&self, context: &Context<'_>) -> Poll<()> {
        self.task.register(context.waker());
        if self.is_closed() { Poll::Ready(()) } else { Poll::Pending }
    }
}
