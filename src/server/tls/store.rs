//! Keeps the served certificate up to date with its files, and the last good one when they are not usable.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::super::clock;
use super::handshake::check_client_authorities;
use super::{Certificate, CertificateError, Handshake, Pair, PairFiles, ServingCertificate, read};
use crate::metrics::{LoadLabel, Metrics};

/// What is served, and what keeps newer files from being served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsStatus {
    /// The served certificate.
    pub certificate: Certificate,
    /// How often a pair, or authorities of clients, have been taken into service, the first time included.
    pub loads: u64,
    /// Why the files as they are now are not served.
    pub error: Option<CertificateError>,
    /// Why clients do not trust what is served, where that is known.
    pub distrust: Option<String>,
}

/// What rustls serves with, as it changes.
pub type ConfigReceiver = watch::Receiver<Arc<ServerConfig>>;

/// What makes a configuration of TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TlsMaterial {
    pair: Pair,
    /// PEM, where clients need certificates.
    authorities: Option<Vec<u8>>,
}

/// The served pair.
pub struct TlsStore {
    files: Option<PairFiles>,
    received: Option<watch::Receiver<ServingCertificate>>,
    handshake: Handshake,
    served: TlsMaterial,
    /// Why the pair that came last is not served.
    pair_error: Option<CertificateError>,
    /// Why the authorities of clients that came last are not asked.
    authority_error: Option<CertificateError>,
    config: watch::Sender<Arc<ServerConfig>>,
    status: watch::Sender<TlsStatus>,
    metrics: Arc<Metrics>,
}

impl TlsStore {
    /// Serves what the files hold, now and later: see [`TlsStore::follow`].
    ///
    /// # Errors
    ///
    /// A [`CertificateError`] when they hold no usable pair.
    pub fn from_files(files: PairFiles, handshake: Handshake, metrics: Arc<Metrics>) -> Result<Self, CertificateError> {
        let pair = files.read()?;
        Ok(Self { files: Some(files), ..Self::fixed(pair, handshake, metrics)? })
    }

    /// Serves what is handed over, now and later: see [`TlsStore::follow`].
    ///
    /// # Errors
    ///
    /// A [`CertificateError`] when the first pair is not usable.
    pub fn from_receiver(
        mut receiver: watch::Receiver<ServingCertificate>,
        handshake: Handshake,
        metrics: Arc<Metrics>,
    ) -> Result<Self, CertificateError> {
        let ServingCertificate { pair, distrust } = receiver.borrow_and_update().clone();
        let store = Self::fixed(pair, handshake, metrics)?;
        store.status.send_modify(|status| status.distrust = distrust);
        Ok(Self { received: Some(receiver), ..store })
    }

    /// Serves one pair for good; authorities of clients are followed nevertheless.
    ///
    /// # Errors
    ///
    /// A [`CertificateError`] when it is not usable.
    pub fn fixed(pair: Pair, handshake: Handshake, metrics: Arc<Metrics>) -> Result<Self, CertificateError> {
        let authorities = handshake.client_ca.as_deref().map(read).transpose()?;
        let (config, certificate) = pair.open(&handshake, authorities.as_deref(), clock())?;
        metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        set_gauges(&metrics, &certificate);
        let status = watch::Sender::new(TlsStatus { certificate, loads: 1, error: None, distrust: None });
        let config = watch::Sender::new(config);
        Ok(Self {
            files: None,
            received: None,
            handshake,
            served: TlsMaterial { pair, authorities },
            pair_error: None,
            authority_error: None,
            config,
            status,
            metrics,
        })
    }

    /// What rustls serves with, as it changes.
    pub fn config(&self) -> ConfigReceiver {
        self.config.subscribe()
    }

    /// What is served, as it changes.
    pub fn status(&self) -> watch::Receiver<TlsStatus> {
        self.status.subscribe()
    }

    /// Polls the files at each `every`, and takes what is handed over, for good. Polling, because a watch on a file dies when the kubelet
    /// swaps the directory that a mounted Secret lies in.
    pub async fn follow(mut self, every: Duration) {
        let (mut received, files, client_ca) =
            (self.received.take(), self.files.clone(), self.handshake.client_ca.clone());
        let has_files = files.is_some() || client_ca.is_some();
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick(), if has_files => {
                    let (files, client_ca) = (files.clone(), client_ca.clone());
                    let read = move || (files.map(|files| files.read()), client_ca.as_deref().map(read));
                    // An error is the end of the runtime.
                    let Ok((pair, authorities)) = spawn_blocking(read).await else { return };
                    self.load(pair, authorities, clock());
                }
                ServingCertificate { pair, distrust } = next(&mut received) => {
                    self.load(Some(Ok(pair.clone())), None, clock());
                    if self.served.pair == pair {
                        self.status.send_modify(|status| status.distrust = distrust);
                    }
                }
            }
        }
    }

    /// Takes what is new and usable into service, and notes what is not: a broken pair keeps no authority from being withdrawn, nor do
    /// broken authorities keep a new pair from being served. `None` is for what nobody has looked at, and changes nothing.
    fn load(
        &mut self,
        pair: Option<Result<Pair, CertificateError>>,
        authorities: Option<Result<Vec<u8>, CertificateError>>,
        now: Timestamp,
    ) {
        let mut wanted = self.served.authorities.clone();
        if let Some(authorities) = authorities {
            let checked = authorities.and_then(|pem| check_client_authorities(Some(&pem)).map(|()| pem));
            self.authority_error = checked.map(|pem| wanted = Some(pem)).err();
        }
        if let Some(pair) = pair {
            let wanted = wanted.clone();
            let served = pair.and_then(|pair| self.serve(TlsMaterial { pair, authorities: wanted }, now));
            self.pair_error = served.err();
        }
        // With the pair that stays, too. Its dates were right when it was loaded, and decide nothing about the authorities.
        let now = now.min(self.status.borrow().certificate.not_after);
        let served = TlsMaterial { pair: self.served.pair.clone(), authorities: wanted };
        // It is served, and the authorities were checked.
        let _ = self.serve(served, now);
        self.set_error(self.pair_error.clone().or_else(|| self.authority_error.clone()));
    }

    /// Serves with something else from now on, where it is usable.
    fn serve(&mut self, material: TlsMaterial, now: Timestamp) -> Result<(), CertificateError> {
        if material != self.served {
            let (config, certificate) = material.pair.open(&self.handshake, material.authorities.as_deref(), now)?;
            self.apply(config, certificate, material);
        }
        Ok(())
    }

    fn apply(&mut self, config: Arc<ServerConfig>, certificate: Certificate, material: TlsMaterial) {
        self.served = material;
        self.metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        set_gauges(&self.metrics, &certificate);
        tracing::info!(
            subject = certificate.subject,
            names = certificate.names.join(","),
            not_after = %certificate.not_after,
            "certificate reloaded"
        );
        // Before the status: who has seen that, meets the new certificate.
        self.config.send_replace(config);
        self.status.send_modify(|status| {
            let names = status.certificate.names.iter();
            let lost: Vec<_> = names.filter(|name| !certificate.names.contains(name)).map(String::as_str).collect();
            if !lost.is_empty() {
                tracing::warn!(
                    lost = lost.join(","),
                    "the new certificate does not stand for all names of the old one"
                );
            }
            status.certificate = certificate;
            status.loads += 1;
        });
    }

    /// Logs and counts an error when it is not the one of the last poll.
    fn set_error(&self, error: Option<CertificateError>) {
        if self.status.borrow().error == error {
            return;
        }
        if let Some(error) = &error {
            self.metrics.certificate_loads.get_or_create(&LoadLabel { result: error.reason() }).inc();
            tracing::error!(reason = error.reason(), %error, "certificate files not usable; the last good pair stays");
        }
        self.metrics.certificate_refused.set(error.is_some().into());
        self.status.send_modify(|status| status.error = error);
    }
}

/// The next certificate that is handed over; none comes where nobody hands any over, or does so no more.
async fn next(receiver: &mut Option<watch::Receiver<ServingCertificate>>) -> ServingCertificate {
    if let Some(receiver) = receiver
        && receiver.changed().await.is_ok()
    {
        return receiver.borrow_and_update().clone();
    }
    std::future::pending().await
}

fn set_gauges(metrics: &Metrics, certificate: &Certificate) {
    metrics.certificate_not_before.set(certificate.not_before.as_second());
    metrics.certificate_not_after.set(certificate.not_after.as_second());
}
