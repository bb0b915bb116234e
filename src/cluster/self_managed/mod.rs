//! `--tls self-managed`: an authority and a serving certificate of the webhook's own, kept in a Secret, with the authority
//! in the `caBundle`s of its own webhook configurations.
//!
//! [`state`] decides, [`secret_contents`] makes and reads certificates, `objects` speaks to the API server, and [`CertificateController`] reconciles:
//! observe, offer what to serve, take one action. It polls, so that nothing is missed when a watch ends.

mod objects;
pub mod secret_contents;
pub mod state;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

pub use self::objects::ObjectNames;
use self::objects::{Objects, WriteOutcome};
use self::state::{Action, DesiredState, ObservedState, ReplicaMemory, Secret};
use super::client::{describe, is_answer};
use super::outage::Outage;
use super::supervisor::Heartbeat;
use crate::metrics::{Metrics, StepLabels};
use crate::server::tls::ServingCertificate;

/// How often the objects are looked at: three reads.
const POLL_INTERVAL: Duration = Duration::from_secs(10);
/// Between attempts while the API server fails, from the first to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Steps without a pause. A rollover takes three at once; whoever takes more is at odds with somebody.
const MAX_CONSECUTIVE_ACTIONS: u32 = 8;

/// The names that the API server calls a Service by, and those by which people reach it from inside.
pub fn service_dns_names(service: &str, namespace: &str) -> Vec<String> {
    let host = format!("{service}.{namespace}.svc");
    vec![host.clone(), format!("{host}.cluster.local"), format!("{service}.{namespace}")]
}

/// Looks after the Secret and the `caBundle`s, together with those of the other replicas.
#[derive(Clone)]
pub struct CertificateController {
    objects: Objects,
    names: ObjectNames,
    desired: DesiredState,
    clock: fn() -> Timestamp,
    poll: Duration,
    metrics: Arc<Metrics>,
    memory: ReplicaMemory,
}

enum Progress {
    /// Look again at once.
    Changed,
    /// Nothing to do.
    Settled,
}

impl CertificateController {
    /// Looks at the objects each ten seconds.
    pub fn new(
        client: &Client,
        names: ObjectNames,
        desired: DesiredState,
        clock: fn() -> Timestamp,
        metrics: Arc<Metrics>,
    ) -> Self {
        let objects = Objects::new(client, names.clone());
        Self { objects, names, desired, clock, poll: POLL_INTERVAL, metrics, memory: ReplicaMemory::default() }
    }

    /// Looks at another interval.
    #[must_use]
    pub fn poll_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Goes on for good, whatever fails; what was offered last stays good meanwhile.
    pub async fn run(mut self, offers: watch::Sender<ServingCertificate>, heartbeat: Heartbeat) {
        let ObjectNames { namespace, secret, configuration } = &self.names;
        tracing::info!(namespace, secret, configuration, "managing the serving certificate");
        let mut backoff = BACKOFF.0;
        let mut consecutive_actions = 0;
        let mut outage = Outage::new(
            "cannot manage the serving certificate; what is served stays",
            "the serving certificate is managed again",
        );
        loop {
            let pause = match self.reconcile(&offers).await {
                Ok(Progress::Changed) if consecutive_actions < MAX_CONSECUTIVE_ACTIONS => {
                    consecutive_actions += 1;
                    continue;
                }
                Ok(_) => {
                    heartbeat.progress();
                    outage.succeeded();
                    backoff = BACKOFF.0;
                    self.poll
                }
                Err(error) => {
                    self.count_action("look", "failed");
                    let text = error.downcast_ref::<kube::Error>().map_or_else(|| error.to_string(), describe);
                    outage.failed(&text);
                    // Anything but silence: starting anew would not help.
                    if error.downcast_ref::<kube::Error>().is_none_or(is_answer) {
                        heartbeat.progress();
                    }
                    let pause = backoff;
                    backoff = BACKOFF.1.min(backoff * 2);
                    pause
                }
            };
            consecutive_actions = 0;
            tokio::time::sleep(pause).await;
        }
    }

    /// One look and at most one action.
    async fn reconcile(&mut self, offers: &watch::Sender<ServingCertificate>) -> anyhow::Result<Progress> {
        let observed = self.objects.observe().await?;
        let now = (self.clock)();
        if let Some(offer) = self.memory.observe(&observed, now) {
            offers.send_if_modified(|last| std::mem::replace(last, offer.clone()) != offer);
        }
        if let Secret::Present { contents, .. } = &observed.secret {
            self.metrics.authority_not_after.set(contents.authority.not_after.as_second());
        }
        let action = self.memory.next_action(&observed, now, &self.desired);
        if let Action::Refuse(key) = action {
            self.count_action(action.name(), "failed");
            anyhow::bail!(
                "the Secret {} has no usable {key:?} and is left alone; delete it if it may be replaced, or choose another \
                 name with --tls-secret",
                self.names.secret
            );
        }
        let Some(write) = self.memory.prepare_write(action, &observed, now, &self.desired)? else {
            return Ok(Progress::Settled);
        };
        let action_name = action.name();
        tracing::debug!(step = action_name, "taking an action");
        match self.objects.write(&observed, write).await {
            Ok(WriteOutcome::Written) => {
                self.count_action(action_name, "done");
                self.log_action(action, &observed);
            }
            Ok(WriteOutcome::Conflict) => {
                self.count_action(action_name, "outrun");
                tracing::debug!(step = action_name, "somebody else was faster; looking again");
            }
            Err(error) => {
                self.count_action(action_name, "failed");
                return Err(error.into());
            }
        }
        Ok(Progress::Changed)
    }

    fn log_action(&self, action: Action, observed: &ObservedState) {
        let name = action.name();
        match action {
            Action::SetBundle { at, repair } => {
                let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
                let kind =
                    observed.bundles.get(at).and_then(|bundle| kinds.get(bundle.index)).copied().unwrap_or_default();
                let configuration = &self.names.configuration;
                if repair {
                    tracing::warn!(step = name, kind, configuration, "somebody changed the caBundle; it is repaired");
                } else {
                    tracing::info!(step = name, kind, configuration, "caBundle written");
                }
            }
            Action::Restore => tracing::warn!(step = name, secret = self.names.secret, "Secret restored from memory"),
            _ => tracing::info!(step = name, secret = self.names.secret, "Secret written"),
        }
    }

    fn count_action(&self, action: &'static str, result: &'static str) {
        self.metrics.authority_steps.get_or_create(&StepLabels { step: action, result }).inc();
    }
}
