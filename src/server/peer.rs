//! What is known of a connection while it lives, and why it ended.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A request that has no answer for longer than this still waits for its body: deciding takes far less.
const HONEST_WORK: Duration = Duration::from_millis(250);

/// Why a connection was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closed {
    /// By the client.
    Client,
    /// The TLS handshake failed.
    Handshake,
    /// The client had no valid certificate.
    ClientCertificate,
    /// The client does not trust the served certificate.
    Distrusted,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The first request did not come in time.
    HeaderTimeout,
    /// The next request did not come in time.
    Idle,
    /// Something on it was not HTTP, or it broke.
    Broken,
    /// A newer certificate is served.
    Reload,
    /// It was old.
    Age,
    /// The process stops.
    Stopping,
    /// Another one needed its place.
    Evicted,
}

impl Closed {
    /// For the metric.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Handshake => "handshake",
            Self::ClientCertificate => "client-certificate",
            Self::Distrusted => "distrusted",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::HeaderTimeout => "header-timeout",
            Self::Idle => "idle",
            Self::Broken => "broken",
            Self::Reload => "reload",
            Self::Age => "age",
            Self::Stopping => "stopping",
            Self::Evicted => "evicted",
        }
    }
}

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    opened: Instant,
    /// Milliseconds from `opened` to the end of the handshake or of the last answer.
    active: AtomicU64,
    /// The same to the beginning of the first request that has no answer yet.
    asked_at: AtomicU64,
    requests: AtomicUsize,
    stranger: AtomicBool,
    answered: AtomicBool,
    retired: AtomicBool,
    asked: Notify,
}

impl Peer {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            active: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
            requests: AtomicUsize::new(0),
            stranger: AtomicBool::new(true),
            answered: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            asked: Notify::new(),
        }
    }

    /// Whether no request has come yet.
    pub(super) fn is_stranger(&self) -> bool {
        self.stranger.load(Ordering::Acquire)
    }

    /// Since when nothing has been done for it; `None` while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let active = Duration::from_millis(self.active.load(Ordering::Acquire));
        (self.requests.load(Ordering::Acquire) == 0).then(|| self.opened + active)
    }

    /// Whether nothing was ever answered.
    pub(super) fn is_unanswered(&self) -> bool {
        !self.answered.load(Ordering::Acquire)
    }

    /// Since when it has been waiting for its client: idle, or with a request whose body does not come. `None` while a
    /// request is young enough to be honest work.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.idle_since().or_else(|| {
            let last = self.asked_at.load(Ordering::Acquire).max(self.active.load(Ordering::Acquire));
            let since = self.opened + Duration::from_millis(last);
            (since.elapsed() >= HONEST_WORK).then_some(since)
        })
    }

    /// Begins to be idle anew.
    pub(super) fn was_active(&self) {
        self.active.store(self.age(), Ordering::Release);
    }

    /// Milliseconds.
    fn age(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn request_begins(&self) {
        if self.requests.fetch_add(1, Ordering::AcqRel) == 0 {
            self.asked_at.store(self.age(), Ordering::Release);
        }
        if self.stranger.swap(false, Ordering::AcqRel) {
            self.asked.notify_one();
        }
    }

    pub(super) fn request_ends(&self) {
        self.answered.store(true, Ordering::Release);
        self.was_active();
        self.requests.fetch_sub(1, Ordering::AcqRel);
    }

    /// Waits for the first request. One task may.
    pub(super) async fn first_request(&self) {
        if self.is_stranger() {
            self.asked.notified().await;
        }
    }

    /// No further requests are wanted.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }
}
