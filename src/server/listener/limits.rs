//! The open connections of one listener: how many there may be, which one makes way for another, and whose time is up.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum_server::Handle;
use futures::future::{Abortable, Pending, abortable, pending};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::tls::ConfigReceiver;
use super::super::{Limits, Stage, Timeouts};
use super::connection_state::ConnectionState;
use crate::metrics::{ClosedLabel, ConnectionMetrics};

/// The process has no file descriptor left (`EMFILE`, 24 on all of Unix).
const TOO_MANY_FILES: i32 = 24;

/// All open connections of one listener.
pub(in super::super) struct Connections {
    pub(in super::super) handle: Handle<SocketAddr>,
    open: Mutex<Vec<Arc<ConnectionState>>>,
    limit: AtomicUsize,
    timeouts: Timeouts,
    body_timeout: Duration,
    stage: watch::Receiver<Stage>,
    metrics: ConnectionMetrics,
}

/// A connection that takes a place until this is dropped, or another one needs it.
pub(super) struct OpenConnection {
    pub(super) state: Arc<ConnectionState>,
    /// Is ready, with an error, once the connection is closed.
    pub(super) closed: Abortable<Pending<()>>,
    connections: Arc<Connections>,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.open.lock().retain(|other| !Arc::ptr_eq(other, &self.state));
        self.connections.metrics.open.dec();
        self.connections.metrics.closed.get_or_create(&ClosedLabel { reason: self.state.close_reason() }).inc();
    }
}

impl Connections {
    pub(in super::super) fn new(
        limits: Limits,
        timeouts: Timeouts,
        stage: watch::Receiver<Stage>,
        metrics: ConnectionMetrics,
    ) -> Arc<Self> {
        let (handle, open, limit) = (Handle::new(), Mutex::default(), limits.connections.into());
        Arc::new(Self { handle, open, limit, timeouts, body_timeout: limits.body_timeout, stage, metrics })
    }

    /// Takes a place for a connection, if need be that of another.
    pub(super) fn admit(self: &Arc<Self>, tls: Option<ConfigReceiver>) -> io::Result<OpenConnection> {
        let mut open = self.open.lock();
        // More than one where the limit is lower than it was.
        while open.len() >= self.limit.load(Ordering::Relaxed) {
            if !self.evict(&mut open) {
                self.metrics.refused.inc();
                return Err(ErrorKind::ConnectionRefused.into());
            }
        }
        let (closed, stream) = abortable(pending());
        let state = Arc::new(ConnectionState::new(self.timeouts.age, self.stage.clone(), tls, stream));
        open.push(Arc::clone(&state));
        self.metrics.open.inc();
        Ok(OpenConnection { state, closed, connections: Arc::clone(self) })
    }

    /// Closes the connection that has been waiting for its client for longest; false when all are at work.
    /// Those that never got an answer go first while they hold more than half of all places: however many of them are opened, they do
    /// not push out a client that is served, and however many idle ones were served once, a new client finds a place.
    fn evict(&self, open: &mut Vec<Arc<ConnectionState>>) -> bool {
        let unanswered = open.iter().filter(|state| !state.was_answered.load(Ordering::Acquire)).count();
        let answered_last = unanswered > self.limit.load(Ordering::Relaxed) / 2;
        let orders = open.iter().map(|state| state.eviction_order(answered_last)).enumerate();
        let first = orders.filter_map(|(index, order)| Some((order?, index))).min();
        first.inspect(|(_, index)| open.swap_remove(*index).close("evicted")).is_some()
    }

    /// Makes room in the listener that has more connections, where the system grants fewer files than was configured.
    pub(super) fn on_accept_error(&self, other: &Self, error: &io::Error) {
        self.metrics.accept_errors.inc();
        let fuller = if self.handle.connection_count() < other.handle.connection_count() { other } else { self };
        if error.raw_os_error() == Some(TOO_MANY_FILES) && fuller.evict(&mut fuller.open.lock()) {
            // Room is left for connections that are just being opened or closed: they hold files too.
            let limit = (fuller.handle.connection_count() * 7 / 8).max(1);
            fuller.limit.fetch_min(limit, Ordering::Relaxed);
            tracing::warn!(limit, "out of file descriptors; taking fewer connections from now on");
        } else {
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
    }

    /// Closes connections whose time is up, for good.
    pub(in super::super) async fn enforce_timeouts(self: Arc<Self>) {
        let Timeouts { handshake, header, idle, .. } = self.timeouts;
        loop {
            let now = Instant::now();
            // What is opened or active from now on is due no earlier than this.
            let mut next = now + handshake.min(header).min(idle);
            for state in self.open.lock().iter() {
                match state.deadline(&self.timeouts, self.body_timeout) {
                    (deadline, reason) if deadline <= now => state.close(reason),
                    (deadline, _) => next = next.min(deadline),
                }
            }
            // No more often than this.
            tokio::time::sleep_until(next.max(now + Duration::from_millis(10)).into()).await;
        }
    }
}
