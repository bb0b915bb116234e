//! Keeps the served certificate up to date with its files, and the last good one when they are not usable.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::super::clock;
use super::{Certificate, Pair, PairFiles, Problem};
use crate::metrics::{LoadLabel, Metrics};

/// What is served, and what keeps newer files from being served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// The served certificate.
    pub certificate: Certificate,
    /// How many pairs have been taken into service, the first included.
    pub loads: u64,
    /// Why the files as they are now are not served.
    pub problem: Option<Problem>,
}

/// The served pair.
pub struct TlsStore {
    files: Option<PairFiles>,
    served: Pair,
    config: watch::Sender<Arc<ServerConfig>>,
    status: watch::Sender<TlsStatus>,
    metrics: Arc<Metrics>,
}

impl TlsStore {
    /// Serves what the files hold, now and later: see [`TlsStore::follow`].
    ///
    /// # Errors
    ///
    /// A [`Problem`] when they hold no usable pair.
    pub fn from_files(files: PairFiles, metrics: Arc<Metrics>) -> Result<Self, Problem> {
        let pair = files.read()?;
        Ok(Self { files: Some(files), ..Self::fixed(pair, metrics)? })
    }

    /// Serves one pair for good.
    ///
    /// # Errors
    ///
    /// A [`Problem`] when it is not usable.
    pub fn fixed(pair: Pair, metrics: Arc<Metrics>) -> Result<Self, Problem> {
        let (config, certificate) = pair.open(clock())?;
        metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        set_gauges(&metrics, &certificate);
        let status = watch::Sender::new(TlsStatus { certificate, loads: 1, problem: None });
        Ok(Self { files: None, served: pair, config: watch::Sender::new(config), status, metrics })
    }

    /// What rustls serves with, as it changes.
    pub fn config(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.config.subscribe()
    }

    /// What is served, as it changes.
    pub fn status(&self) -> watch::Receiver<TlsStatus> {
        self.status.subscribe()
    }

    /// Looks at the files at each `every`, for good. Polling, because a watch on a file dies when the kubelet swaps the
    /// directory that a mounted Secret lies in.
    pub async fn follow(mut self, every: Duration) {
        let Some(files) = self.files.clone() else { return std::future::pending().await };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let files = files.clone();
            match spawn_blocking(move || files.read()).await {
                Ok(read) => self.look(read, clock()),
                // Cancelled: the runtime ends.
                Err(_) => return,
            }
        }
    }

    /// Takes a new pair into service, or notes why not.
    fn look(&mut self, read: Result<Pair, Problem>, now: Timestamp) {
        match read.and_then(|pair| if pair == self.served { Ok(None) } else { Ok(Some((pair.open(now)?, pair))) }) {
            Ok(None) => self.settle(None),
            Ok(Some(((config, certificate), pair))) => {
                self.config.send_replace(config);
                self.served = pair;
                self.metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
                set_gauges(&self.metrics, &certificate);
                tracing::info!(
                    subject = certificate.subject,
                    names = certificate.names.join(","),
                    not_after = %certificate.not_after,
                    "certificate reloaded"
                );
                self.status.send_modify(|status| {
                    *status = TlsStatus { certificate, loads: status.loads + 1, problem: None };
                });
            }
            Err(problem) => self.settle(Some(problem)),
        }
    }

    /// Logs and counts a problem when it is not the one of the last look.
    fn settle(&self, problem: Option<Problem>) {
        if self.status.borrow().problem == problem {
            return;
        }
        if let Some(problem) = &problem {
            self.metrics.certificate_loads.get_or_create(&LoadLabel { result: problem.reason() }).inc();
            tracing::error!(reason = problem.reason(), %problem, "certificate files not usable; the last good pair stays");
        }
        self.status.send_modify(|status| status.problem = problem);
    }
}

fn set_gauges(metrics: &Metrics, certificate: &Certificate) {
    metrics.certificate_not_before.set(certificate.not_before.as_second());
    metrics.certificate_not_after.set(certificate.not_after.as_second());
}
