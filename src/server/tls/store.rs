//! Keeps the served certificate up to date with its files, and the last good one when they are not usable.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::super::clock;
use super::{Certificate, Handshake, Offer, Pair, PairFiles, Problem, read};
use crate::metrics::{LoadLabel, Metrics};

/// What is served, and what keeps newer files from being served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// The served certificate.
    pub certificate: Certificate,
    /// How often a pair, or authorities of clients, have been taken into service, the first time included.
    pub loads: u64,
    /// Why the files as they are now are not served.
    pub problem: Option<Problem>,
    /// Why clients do not trust what is served, where that is known.
    pub distrust: Option<String>,
}

/// What makes a configuration of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Material {
    pair: Pair,
    /// PEM, where clients need certificates.
    authorities: Option<Vec<u8>>,
}

/// The served pair.
pub struct TlsStore {
    files: Option<PairFiles>,
    offers: Option<watch::Receiver<Offer>>,
    handshake: Handshake,
    served: Material,
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
    pub fn from_files(files: PairFiles, handshake: Handshake, metrics: Arc<Metrics>) -> Result<Self, Problem> {
        let pair = files.read()?;
        Ok(Self { files: Some(files), ..Self::fixed(pair, handshake, metrics)? })
    }

    /// Serves what is offered, now and later: see [`TlsStore::follow`].
    ///
    /// # Errors
    ///
    /// A [`Problem`] when the first pair is not usable.
    pub fn from_offers(
        mut offers: watch::Receiver<Offer>,
        handshake: Handshake,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Problem> {
        let Offer { pair, distrust } = offers.borrow_and_update().clone();
        let store = Self::fixed(pair, handshake, metrics)?;
        store.status.send_modify(|status| status.distrust = distrust);
        Ok(Self { offers: Some(offers), ..store })
    }

    /// Serves one pair for good; authorities of clients are followed nevertheless.
    ///
    /// # Errors
    ///
    /// A [`Problem`] when it is not usable.
    pub fn fixed(pair: Pair, handshake: Handshake, metrics: Arc<Metrics>) -> Result<Self, Problem> {
        let authorities = handshake.client_ca.as_deref().map(read).transpose()?;
        let (config, certificate) = pair.open(&handshake, authorities.as_deref(), clock())?;
        metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        set_gauges(&metrics, &certificate);
        let status = watch::Sender::new(TlsStatus { certificate, loads: 1, problem: None, distrust: None });
        let config = watch::Sender::new(config);
        Ok(Self {
            files: None,
            offers: None,
            handshake,
            served: Material { pair, authorities },
            config,
            status,
            metrics,
        })
    }

    /// What rustls serves with, as it changes.
    pub fn config(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.config.subscribe()
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
        let (files, client_ca) = (self.files.clone(), self.handshake.client_ca.clone());
        if files.is_none() && client_ca.is_none() {
            return std::future::pending().await;
        }
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (files, client_ca, served) = (files.clone(), client_ca.clone(), self.served.pair.clone());
            let look = move || {
                let pair = files.map_or(Ok(served), |files| files.read())?;
                Ok(Material { pair, authorities: client_ca.as_deref().map(read).transpose()? })
            };
            match spawn_blocking(look).await {
                Ok(read) => self.look(read, clock()),
                // Cancelled: the runtime ends.
                Err(_) => return,
            }
        }
    }

    async fn follow_offers(mut self, mut offers: watch::Receiver<Offer>) {
        while offers.changed().await.is_ok() {
            let Offer { pair, distrust } = offers.borrow_and_update().clone();
            let authorities = self.served.authorities.clone();
            self.look(Ok(Material { pair: pair.clone(), authorities }), clock());
            if self.served.pair == pair {
                self.status.send_modify(|status| status.distrust = distrust);
            }
        }
        // Nobody offers any more: on with what there is.
        std::future::pending::<()>().await;
    }

    /// Takes something new into service, or notes why not.
    fn look(&mut self, read: Result<Material, Problem>, now: Timestamp) {
        let opened = read.and_then(|material| {
            if material == self.served {
                return Ok(None);
            }
            let opened = material.pair.open(&self.handshake, material.authorities.as_deref(), now)?;
            Ok(Some((opened, material)))
        });
        match opened {
            Ok(None) => self.settle(None),
            Ok(Some(((config, certificate), material))) => self.take(config, certificate, material),
            Err(problem) => self.settle(Some(problem)),
        }
    }

    fn take(&mut self, config: Arc<ServerConfig>, certificate: Certificate, material: Material) {
        self.served = material;
        self.metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        set_gauges(&self.metrics, &certificate);
        self.metrics.certificate_refused.set(0);
        tracing::info!(
            subject = certificate.subject,
            names = certificate.names.join(","),
            not_after = %certificate.not_after,
            "certificate reloaded"
        );
        // Before the status: who has seen that, meets the new certificate.
        self.config.send_replace(config);
        self.status.send_modify(|status| {
            let lost: Vec<_> =
                status.certificate.names.iter().filter(|name| !certificate.names.contains(name)).collect();
            if !lost.is_empty() {
                tracing::warn!(?lost, "the new certificate does not stand for all names of the old one");
            }
            let (loads, distrust) = (status.loads + 1, status.distrust.take());
            *status = TlsStatus { certificate, loads, problem: None, distrust };
        });
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
        self.metrics.certificate_refused.set(problem.is_some().into());
        self.status.send_modify(|status| status.problem = problem);
    }
}

fn set_gauges(metrics: &Metrics, certificate: &Certificate) {
    metrics.certificate_not_before.set(certificate.not_before.as_second());
    metrics.certificate_not_after.set(certificate.not_after.as_second());
}
