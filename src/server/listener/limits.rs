//! The open connections of one listener: how many there may be, which one makes way for another, and whose time is up.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum_server::Handle;
use rustls::ServerConfig;
use tokio::sync::watch;

use super::super::{Limits, Stage, Timeouts};
use super::connection_state::{ConnectionState, Phase};
use crate::metrics::{ClosedLabel, ConnectionMetrics};

/// The process has no file descriptor left (`EMFILE`, 24 on all of Unix).
const TOO_MANY_FILES: i32 = 24;

/// Deadlines are looked at no more often than this.
const MIN_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// All open connections of one listener.
pub(in super::super) struct Connections {
    /// Ends the listener.
    pub(in super::super) handle: Handle<SocketAddr>,
    open: Mutex<Open>,
    timeouts: Timeouts,
    body_timeout: Duration,
    stage: watch::Receiver<Stage>,
    metrics: ConnectionMetrics,
}

struct Open {
    states: Vec<Arc<ConnectionState>>,
    limit: usize,
}

/// A connection that takes a place until this is dropped.
pub(super) struct OpenConnection {
    pub(super) state: Arc<ConnectionState>,
    connections: Arc<Connections>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.remove(&mut self.connections.open(), &self.state);
    }
}

impl Connections {
    pub(in super::super) fn new(
        limits: Limits,
        timeouts: Timeouts,
        stage: watch::Receiver<Stage>,
        metrics: ConnectionMetrics,
    ) -> Arc<Self> {
        let open = Mutex::new(Open { states: Vec::new(), limit: limits.connections });
        Arc::new(Self { handle: Handle::new(), open, timeouts, body_timeout: limits.body_timeout, stage, metrics })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection, if need be that of another.
    pub(super) fn admit(
        self: &Arc<Self>,
        tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    ) -> io::Result<OpenConnection> {
        let mut open = self.open();
        if open.states.len() >= open.limit && !self.evict(&mut open) {
            self.metrics.refused.inc();
            return Err(ErrorKind::ConnectionRefused.into());
        }
        let state = Arc::new(ConnectionState::new(max_age(self.timeouts.age), self.stage.clone(), tls));
        open.states.push(Arc::clone(&state));
        self.metrics.open.inc();
        Ok(OpenConnection { state, connections: Arc::clone(self) })
    }

    /// Closes the connection that has been waiting for its client for longest; false when all are at work.
    ///
    /// Those that never got an answer go first while they hold more than half of all places: however many of them are
    /// opened, they do not push out a client that is served, and however many idle ones were served once, a new client
    /// finds a place.
    fn evict(&self, open: &mut Open) -> bool {
        let unanswered = open.states.iter().filter(|state| !state.was_answered.load(Ordering::Acquire)).count();
        let answered_last = unanswered > open.limit / 2;
        let is_last = |state: &ConnectionState| state.was_answered.load(Ordering::Acquire) == answered_last;
        let waiting = open.states.iter().filter_map(|state| Some((is_last(state), state.waiting_since()?, state)));
        let longest = waiting.min_by_key(|(is_last, since, _)| (*is_last, *since));
        let Some(state) = longest.map(|(.., state)| Arc::clone(state)) else { return false };
        state.close("evicted");
        self.remove(open, &state);
        true
    }

    /// Gives the place of a connection free, and counts it, once.
    fn remove(&self, open: &mut Open, state: &Arc<ConnectionState>) {
        if let Some(index) = open.states.iter().position(|other| Arc::ptr_eq(other, state)) {
            open.states.swap_remove(index);
            self.metrics.open.dec();
            self.metrics.closed.get_or_create(&ClosedLabel { reason: state.close_reason() }).inc();
        }
    }

    /// Makes room, in the listener that has more connections, where the system grants fewer files than was configured.
    /// `axum_server` rests after each error.
    pub(in super::super) fn on_accept_error(&self, other: &Self, error: &io::Error) {
        self.metrics.accept_errors.inc();
        let fuller = if self.handle.connection_count() < other.handle.connection_count() { other } else { self };
        let mut open = fuller.open();
        if error.raw_os_error() != Some(TOO_MANY_FILES) || !fuller.evict(&mut open) {
            tracing::warn!(%error, "cannot accept connections; trying again");
            return;
        }
        // Room is left for connections that are just being opened or closed: they hold files too.
        open.limit = open.limit.min(fuller.handle.connection_count() * 7 / 8).max(1);
        tracing::warn!(limit = open.limit, "out of file descriptors; taking fewer connections from now on");
    }

    /// Requests that have no answer yet.
    pub(in super::super) fn requests_in_flight(&self) -> usize {
        self.open().states.iter().filter(|state| state.phase().0 == Phase::InRequest).count()
    }

    /// Closes connections whose time is up, for good.
    pub(in super::super) async fn enforce_timeouts(self: Arc<Self>) {
        let Timeouts { handshake, header, idle, .. } = self.timeouts;
        loop {
            let now = Instant::now();
            // What is opened or active from now on is due no earlier than this.
            let mut next = now + handshake.min(header).min(idle);
            for state in self.open().states.iter().filter(|state| !state.is_closed()) {
                match state.deadline(&self.timeouts, self.body_timeout) {
                    (deadline, reason) if deadline <= now => state.close(reason),
                    (deadline, _) => next = next.min(deadline),
                }
            }
            tokio::time::sleep_until(next.max(now + MIN_CHECK_INTERVAL).into()).await;
        }
    }
}

/// Three to four quarters of `limit`, so that connections that were opened together do not end together; zero is no limit.
fn max_age(limit: Duration) -> Duration {
    // The standard library's only source of randomness.
    let [random, ..] = RandomState::new().hash_one(()).to_ne_bytes();
    let quarter = limit / 4;
    if limit.is_zero() { Duration::MAX } else { quarter * 3 + quarter / u32::from(u8::MAX) * u32::from(random) }
}
