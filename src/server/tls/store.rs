//! Keeps the served certificate up to date with its files, and the last good one when they are not usable.

use std::sync::Arc;
use std::time::Duration;

use axum_server::tls_rustls::RustlsConfig;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::super::clock;
use super::{Certificate, Offer, Pair, PairFiles, Problem};
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
    /// Why clients do not trust what is served, where that is known.
    pub distrust: Option<String>,
}

/// The served pair.
pub struct TlsStore {
    files: Option<PairFiles>,
    offers: Option<watch::Receiver<Offer>>,
    served: Pair,
    config: RustlsConfig,
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

    /// Serves what is offered, now and later: see [`TlsStore::follow`].
    ///
    /// # Errors
    ///
    /// A [`Problem`] when the first pair is not usable.
    pub fn from_offers(mut offers: watch::Receiver<Offer>, metrics: Arc<Metrics>) -> Result<Self, Problem> {
        let Offer { pair, distrust } = offers.borrow_and_update().clone();
        let store = Self::fixed(pair, metrics)?;
        store.status.send_modify(|status| status.distrust = distrust);
        Ok(Self { offers: Some(offers), ..store })
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
        let status = watch::Sender::new(TlsStatus { certificate, loads: 1, problem: None, distrust: None });
        let config = RustlsConfig::from_config(config);
        Ok(Self { files: None, offers: None, served: pair, config, status, metrics })
    }

    /// What axum-server serves with; follows the files.
    pub fn config(&self) -> RustlsConfig {
        self.config.clone()
    }

    /// What is served, as it changes.
    pub fn status(&self) -> watch::Receiver<TlsStatus> {
        self.status.subscribe()
    }

    /// Looks at the files at each `every`, or waits for offers, for good. Polling, because a watch on a file dies when the kubelet swaps the
    /// directory that a mounted Secret lies in.
    pub async fn follow(mut self, every: Duration) {
        if let Some(offers) = self.offers.take() {
            return self.follow_offers(offers).await;
        }
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

    async fn follow_offers(mut self, mut offers: watch::Receiver<Offer>) {
        while offers.changed().await.is_ok() {
            let Offer { pair, distrust } = offers.borrow_and_update().clone();
            self.look(Ok(pair.clone()), clock());
            if self.served == pair {
                self.status.send_modify(|status| status.distrust = distrust);
            }
        }
        // Nobody offers any more: on with what there is.
        std::future::pending::<()>().await;
    }

    /// Takes a new pair into service, or notes why not.
    fn look(&mut self, read: Result<Pair, Problem>, now: Timestamp) {
        match read.and_then(|pair| if pair == self.served { Ok(None) } else { Ok(Some((pair.open(now)?, pair))) }) {
            Ok(None) => self.settle(None),
            Ok(Some(((config, certificate), pair))) => {
                self.config.reload_from_config(config);
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
                    let (loads, distrust) = (status.loads + 1, status.distrust.take());
                    *status = TlsStatus { certificate, loads, problem: None, distrust };
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
