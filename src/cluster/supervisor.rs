//! Keeps the controllers alive: one that panics, ends or makes no progress is seen, counted and started anew, and the Lease
//! is given up meanwhile, so that another replica goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::metrics::{ControllerLabel, Metrics, RestartLabels};

/// Before a controller that has ended is started anew, from the first time to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(5));
/// A controller that ran for longer begins with the shortest pause again.
const SOUND_RUN: Duration = Duration::from_mins(10);
/// How often progress is looked for.
const TICK: Duration = Duration::from_millis(250);

/// What a controller tells about itself. Cheap to clone.
#[derive(Clone)]
pub struct Heartbeat(Arc<Inner>);

struct Inner {
    controller: &'static str,
    metrics: Arc<Metrics>,
    clock: fn() -> Timestamp,
    start: Instant,
    /// Milliseconds since `start`.
    last: AtomicU64,
    works: AtomicBool,
}

impl Heartbeat {
    /// One that has told nothing yet.
    pub fn new(controller: &'static str, metrics: Arc<Metrics>, clock: fn() -> Timestamp) -> Self {
        let (last, works) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Inner { controller, metrics, clock, start: Instant::now(), last, works }))
    }

    /// The controller has got on.
    pub fn progress(&self) {
        let inner = &*self.0;
        let since = u64::try_from(inner.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        inner.last.store(since, Ordering::Relaxed);
        inner.works.store(true, Ordering::Relaxed);
        inner.metrics.controller_progress.get_or_create(&self.label()).set((inner.clock)().as_second());
    }

    /// The controller has nothing to do: another replica leads.
    pub fn set_idle(&self) {
        self.0.works.store(false, Ordering::Relaxed);
        self.0.metrics.controller_progress.remove(&self.label());
    }

    fn label(&self) -> ControllerLabel {
        ControllerLabel { controller: self.0.controller }
    }

    /// Resolves when the controller has made no progress for so long.
    async fn stalls(&self, limit: Duration) {
        loop {
            tokio::time::sleep(TICK).await;
            let last = Duration::from_millis(self.0.last.load(Ordering::Relaxed));
            let idle = self.0.start.elapsed().saturating_sub(last);
            if self.0.works.load(Ordering::Relaxed) && idle > limit {
                return;
            }
        }
    }
}

/// One controller under supervision.
pub struct Supervisor {
    /// For logs and metrics.
    pub controller: &'static str,
    /// Told when the Lease is to be given up.
    pub resign: Option<Arc<Notify>>,
    /// How long it may make no progress.
    pub stall_limit: Duration,
    /// Counts panics and restarts.
    pub metrics: Arc<Metrics>,
    /// For the time of the last progress.
    pub clock: fn() -> Timestamp,
    /// Ends everything.
    pub stop: CancellationToken,
}

impl Supervisor {
    /// Runs what `start` makes, again and again, until told to stop.
    pub async fn run<W: Future<Output = ()> + Send + 'static>(self, mut start: impl FnMut(Heartbeat) -> W) {
        let Self { controller, resign, stall_limit, metrics, clock, stop } = self;
        let mut backoff = BACKOFF.0;
        while !stop.is_cancelled() {
            let heartbeat = Heartbeat::new(controller, Arc::clone(&metrics), clock);
            let began = Instant::now();
            let mut worker = AbortOnDrop(tokio::spawn(start(heartbeat.clone())));
            let reason = tokio::select! {
                ended = &mut worker.0 => match ended {
                    Ok(()) if stop.is_cancelled() => return,
                    Ok(()) => "ended",
                    Err(error) if error.is_panic() => {
                        metrics.panics.inc();
                        "panicked"
                    }
                    Err(_) => "cancelled",
                },
                () = heartbeat.stalls(stall_limit) => "stalled",
            };
            drop(worker);
            heartbeat.set_idle();
            if let Some(resign) = &resign {
                resign.notify_one();
            }
            if began.elapsed() > SOUND_RUN {
                backoff = BACKOFF.0;
            }
            metrics.controller_restarts.get_or_create(&RestartLabels { controller, reason }).inc();
            tracing::error!(controller, reason, pause_seconds = backoff.as_secs(), "controller is started anew");
            tokio::select! {
                () = tokio::time::sleep(backoff) => {}
                () = stop.cancelled() => return,
            }
            backoff = BACKOFF.1.min(backoff * 2);
        }
    }
}

/// A task that ends with its handle.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use jiff::Timestamp;
    use rstest::rstest;
    use tokio::sync::Notify;
    use tokio_util::sync::CancellationToken;

    use super::{Heartbeat, Supervisor};
    use crate::metrics::{Metrics, RestartLabels};

    async fn panics(_: Heartbeat) {
        tokio::task::yield_now().await;
        panic!("as a test wants it");
    }

    async fn ends(_: Heartbeat) {}

    async fn stalls(heartbeat: Heartbeat) {
        heartbeat.progress();
        std::future::pending::<()>().await;
    }

    #[rstest]
    #[case::panic(panics, "panicked")]
    #[case::end(ends, "ended")]
    #[case::stall(stalls, "stalled")]
    #[tokio::test]
    async fn a_controller_that_fails_is_started_anew_and_the_lease_given_up<W>(
        #[case] first: fn(Heartbeat) -> W,
        #[case] reason: &'static str,
    ) where
        W: Future<Output = ()> + Send + 'static,
    {
        let (metrics, stop, resign) =
            (Arc::new(Metrics::new("", "")), CancellationToken::new(), Arc::new(Notify::new()));
        let (runs, again) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let supervisor = Supervisor {
            controller: "test",
            resign: Some(Arc::clone(&resign)),
            stall_limit: Duration::from_millis(10),
            metrics: Arc::clone(&metrics),
            clock: || Timestamp::UNIX_EPOCH,
            stop: stop.clone(),
        };
        let restarted = Arc::clone(&again);
        let supervised = tokio::spawn(supervisor.run(move |heartbeat| {
            let (run, again) = (runs.fetch_add(1, Ordering::Relaxed), Arc::clone(&restarted));
            let stopped = stop.clone();
            async move {
                if run == 0 {
                    first(heartbeat).await;
                } else {
                    again.notify_one();
                    stopped.cancel();
                }
            }
        }));
        resign.notified().await;
        again.notified().await;
        supervised.await.unwrap();
        let labels = RestartLabels { controller: "test", reason };
        assert_eq!(metrics.controller_restarts.get_or_create(&labels).get(), 1);
        assert_eq!(metrics.panics.get(), u64::from(reason == "panicked"));
    }
}
