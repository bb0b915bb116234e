//! `--tls self-managed`: an authority and a serving certificate of the webhook's own, kept in a Secret, with the authority
//! in the `caBundle`s of its own webhook configurations.
//!
//! [`state`] decides, [`material`] makes and reads certificates, `objects` speaks to the API server, and [`Keeper`] goes
//! round: look, offer what to serve, take one step. It polls, so that nothing is missed when a watch ends.

pub mod material;
mod objects;
pub mod state;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;

pub use self::objects::Names;
use self::objects::{Objects, Outcome};
use self::state::{Memory, Secret, Seen, Step, Wishes};
use crate::metrics::{Metrics, StepLabels};
use crate::server::tls::Offer;

/// How often the objects are looked at: three reads.
const POLL: Duration = Duration::from_secs(10);
/// Between attempts while the API server fails, from the first to the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Steps without a pause. A rollover takes three at once; whoever takes more is at odds with somebody.
const HASTE: u32 = 8;

/// The names that the API server calls a Service by, and those by which people reach it from inside.
pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
    let host = format!("{service}.{namespace}.svc");
    vec![host.clone(), format!("{host}.cluster.local"), format!("{service}.{namespace}")]
}

/// Looks after the Secret and the `caBundle`s, together with those of the other replicas.
pub struct Keeper {
    objects: Objects,
    names: Names,
    wishes: Wishes,
    clock: fn() -> Timestamp,
    poll: Duration,
    metrics: Arc<Metrics>,
    memory: Memory,
}

enum Progress {
    /// Look again at once.
    Moved,
    /// Nothing to do.
    Rests,
}

impl Keeper {
    /// Looks at the objects each ten seconds.
    pub fn new(client: &Client, names: Names, wishes: Wishes, clock: fn() -> Timestamp, metrics: Arc<Metrics>) -> Self {
        let objects = Objects::new(client, names.clone());
        Self { objects, names, wishes, clock, poll: POLL, metrics, memory: Memory::default() }
    }

    /// Looks at another interval.
    #[must_use]
    pub fn poll_every(self, poll: Duration) -> Self {
        Self { poll, ..self }
    }

    /// Goes on for good, whatever fails; what was offered last stays good meanwhile.
    pub async fn keep(mut self, offers: watch::Sender<Offer>) {
        let Names { namespace, secret, configuration } = &self.names;
        tracing::info!(namespace, secret, configuration, "managing the serving certificate");
        let mut backoff = BACKOFF.0;
        let mut haste = 0;
        let mut last_error = String::new();
        loop {
            let pause = match self.go_round(&offers).await {
                Ok(Progress::Moved) if haste < HASTE => {
                    haste += 1;
                    continue;
                }
                Ok(_) => {
                    (backoff, last_error) = (BACKOFF.0, String::new());
                    self.poll
                }
                Err(error) => {
                    self.count("look", "failed");
                    let error = error.to_string();
                    if error != last_error {
                        tracing::error!(error, "cannot manage the serving certificate; what is served stays");
                        last_error = error;
                    }
                    let pause = backoff;
                    backoff = BACKOFF.1.min(backoff * 2);
                    pause
                }
            };
            haste = 0;
            tokio::time::sleep(pause).await;
        }
    }

    /// One look and at most one step.
    async fn go_round(&mut self, offers: &watch::Sender<Offer>) -> anyhow::Result<Progress> {
        let seen = self.objects.see().await?;
        let now = (self.clock)();
        if let Some(offer) = self.memory.look(&seen, now) {
            offers.send_if_modified(|last| std::mem::replace(last, offer.clone()) != offer);
        }
        if let Secret::Present { material, .. } = &seen.secret {
            self.metrics.authority_not_after.set(material.authority.not_after.as_second());
        }
        let step = self.memory.next_step(&seen, now, &self.wishes);
        if let Step::Refuse(key) = step {
            self.count(step.name(), "failed");
            anyhow::bail!(
                "the Secret {} has no usable {key:?} and is left alone; delete it if it may be replaced, or choose another \
                 name with --tls-secret",
                self.names.secret
            );
        }
        let Some(write) = self.memory.carry_out(step, &seen, now, &self.wishes)? else { return Ok(Progress::Rests) };
        let step_name = step.name();
        tracing::debug!(step = step_name, "taking a step");
        match self.objects.write(&seen, write).await {
            Ok(Outcome::Done) => {
                self.count(step_name, "done");
                self.tell(step, &seen);
            }
            Ok(Outcome::Outrun) => {
                self.count(step_name, "outrun");
                tracing::debug!(step = step_name, "somebody else was faster; looking again");
            }
            Err(error) => {
                self.count(step_name, "failed");
                return Err(error.into());
            }
        }
        Ok(Progress::Moved)
    }

    fn tell(&self, step: Step, seen: &Seen) {
        let name = step.name();
        match step {
            Step::SetBundle { at, repair } => {
                let kinds = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];
                let kind = seen.bundles.get(at).and_then(|bundle| kinds.get(bundle.index)).copied().unwrap_or_default();
                let configuration = &self.names.configuration;
                if repair {
                    tracing::warn!(step = name, kind, configuration, "somebody changed the caBundle; it is repaired");
                } else {
                    tracing::info!(step = name, kind, configuration, "caBundle written");
                }
            }
            Step::Restore => tracing::warn!(step = name, secret = self.names.secret, "Secret restored from memory"),
            _ => tracing::info!(step = name, secret = self.names.secret, "Secret written"),
        }
    }

    fn count(&self, step: &'static str, result: &'static str) {
        self.metrics.authority_steps.get_or_create(&StepLabels { step, result }).inc();
    }
}
