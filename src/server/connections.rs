//! The webhooks' listener: takes connections up to a limit, and never spins.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::sleep;

use super::Stage;
use super::connection::{Shared, reached, serve};
use super::peer::{Closed, Peer};
use crate::metrics::{ClosedLabel, Metrics};

/// Wait after an error that the next accept would meet again.
const BACKOFF: Duration = Duration::from_millis(50);

/// The process has no file descriptor left (`EMFILE`, 24 on all of Unix).
const TOO_MANY_FILES: i32 = 24;

/// All open connections.
pub(super) struct Connections {
    limit: usize,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    open: HashMap<Id, (Arc<Peer>, AbortHandle)>,
    tasks: JoinSet<Closed>,
}

impl Connections {
    pub(super) fn new(limit: usize, shared: Arc<Shared>, metrics: Arc<Metrics>) -> Self {
        // From the start, or its first event would not be seen as one.
        drop(metrics.connections_closed.get_or_create(&ClosedLabel { reason: Closed::Distrusted.reason() }));
        Self { limit, shared, metrics, open: HashMap::new(), tasks: JoinSet::new() }
    }

    /// Serves until the stage of closing, then waits for what is in flight.
    pub(super) async fn run(mut self, listener: TcpListener) {
        let mut stage = self.shared.stage();
        loop {
            tokio::select! {
                biased;
                () = reached(&mut stage, Stage::Closing) => break,
                Some(ended) = self.tasks.join_next_with_id() => self.ended(ended),
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.take(stream),
                    Err(error) => self.failed(&error).await,
                },
            }
        }
        // From here on the kernel refuses.
        drop(listener);
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.ended(ended);
        }
    }

    fn take(&mut self, stream: TcpStream) {
        if self.open.len() >= self.limit && !self.evict() {
            // Dropped, and so closed.
            self.metrics.connections_refused.inc();
            return;
        }
        let peer = Arc::new(Peer::new());
        let task = self.tasks.spawn(serve(Arc::clone(&self.shared), Arc::clone(&peer), stream));
        self.open.insert(task.id(), (peer, task));
        self.told();
    }

    /// Closes the connection that has been waiting for its client for longest; false when all are at work.
    ///
    /// Those that never got an answer go first while they hold more than half of all places: however many of them are
    /// opened, they do not push out a client that is served, and however many idle ones were served once, a new client
    /// finds a place.
    fn evict(&mut self) -> bool {
        let unanswered = self.open.values().filter(|(peer, _)| peer.is_unanswered()).count();
        let unanswered_first = unanswered > self.limit / 2;
        let waiting =
            self.open.iter().filter_map(|(id, (peer, _))| Some((*id, peer.is_unanswered(), peer.waits_since()?)));
        let Some((victim, ..)) = waiting.min_by_key(|(_, unanswered, since)| (*unanswered != unanswered_first, *since))
        else {
            return false;
        };
        if let Some((_, task)) = self.open.remove(&victim) {
            task.abort();
            self.count(Closed::Evicted);
        }
        true
    }

    async fn failed(&mut self, error: &std::io::Error) {
        if matches!(
            error.kind(),
            ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
        ) {
            // The client's, who has gone.
            return;
        }
        self.metrics.accept_errors.inc();
        if error.raw_os_error() == Some(TOO_MANY_FILES) && self.evict() {
            // The system grants fewer than was configured. From now on room is made before it runs out.
            self.limit = self.limit.min(self.open.len()).max(1);
            tracing::warn!(limit = self.limit, "out of file descriptors; taking fewer connections from now on");
            self.told();
        } else {
            tracing::warn!(%error, "cannot accept connections; trying again");
        }
        sleep(BACKOFF).await;
    }

    fn ended(&mut self, ended: Result<(Id, Closed), JoinError>) {
        let (id, why) = ended.unwrap_or_else(|error| (error.id(), Closed::Broken));
        // What was evicted is not there any more, and was counted.
        if self.open.remove(&id).is_some() {
            self.count(why);
        }
    }

    fn count(&self, why: Closed) {
        self.metrics.connections_closed.get_or_create(&ClosedLabel { reason: why.reason() }).inc();
        self.told();
    }

    fn told(&self) {
        self.metrics.connections.set(i64::try_from(self.open.len()).unwrap_or(i64::MAX));
    }
}
