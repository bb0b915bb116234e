//! One leader among the replicas, by a Lease (`coordination.k8s.io/v1`).
//!
//! Of our own: the ready-made ones believe the clocks of other hosts, or write without a version.

pub mod state;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::state::{Candidate, LEASE_DURATION, LeaseAction, Record};
use super::client::{FIELD_MANAGER, describe};
use super::outage::Outage;
use super::supervisor::Heartbeat;

/// How often those who wait look at the Lease.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Time for one answer of the API server; more of it and the renewal would come too late.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Until when this process leads; `None` while it does not.
pub type Leadership = watch::Receiver<Option<Instant>>;

/// Whether the leadership lasts until after now.
pub(super) fn is_leader(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() < until)
}

/// Waits until the leadership has run out or was given up.
pub(super) async fn leadership_lost(leadership: &mut Leadership) {
    loop {
        let until = *leadership.borrow_and_update();
        let Some(until) = until.filter(|until| Instant::now() < *until) else { return };
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            changed = leadership.changed() => if changed.is_err() { return },
        }
    }
}

/// The Lease, seen by one that would hold it.
pub struct Lease {
    api: Api<Object>,
    name: String,
    candidate: Candidate,
    clock: fn() -> Timestamp,
}

impl Lease {
    /// The Lease of this name and namespace; `identity` must be this process's alone.
    pub fn new(client: Client, namespace: &str, name: String, identity: String, clock: fn() -> Timestamp) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            candidate: Candidate::new(identity, LEASE_DURATION),
            clock,
        }
    }

    /// Tries to lead, and goes on leading, until `stop`; then the Lease is released. Told by `resign` that this process does
    /// not do what a leader has to do, it is released at once, and left to others for its duration.
    pub async fn run(
        mut self,
        leadership: watch::Sender<Option<Instant>>,
        resign: Arc<Notify>,
        heartbeat: Heartbeat,
        stop: CancellationToken,
    ) {
        let mut outage = Outage::new("cannot reach the lease; trying again", "the lease is reached again");
        let mut led = false;
        loop {
            let round = tokio::time::timeout(REQUEST_TIMEOUT, self.reconcile()).await;
            let result = match round {
                Ok(result) => result.map_err(|error| describe(&error)),
                Err(_) => Err(format!("no answer within {REQUEST_TIMEOUT:?}")),
            };
            match &result {
                Ok(()) => outage.succeeded(),
                Err(error) => outage.failed(error),
            }
            heartbeat.progress();
            let leads = self.announce(&leadership, &mut led);
            let pause = if leads && result.is_ok() { self.candidate.renew_interval() } else { RETRY_INTERVAL };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = resign.notified() => {
                    self.step_down(&leadership).await;
                    self.announce(&leadership, &mut led);
                    tokio::select! {
                        () = tokio::time::sleep(LEASE_DURATION) => {}
                        () = stop.cancelled() => break,
                    }
                }
                () = stop.cancelled() => break,
            }
        }
        self.step_down(&leadership).await;
        heartbeat.set_idle();
    }

    /// Says whether this process leads, in the log when that has changed.
    fn announce(&self, leadership: &watch::Sender<Option<Instant>>, led: &mut bool) -> bool {
        let leads = self.candidate.is_leader(Instant::now());
        if leads != std::mem::replace(led, leads) {
            let message = if leads { "leading" } else { "not leading any more" };
            tracing::info!(lease = self.name, identity = self.candidate.identity(), "{message}");
        }
        leadership.send_replace(self.candidate.leader_until());
        leads
    }

    /// Stops leading; else the next one waits for the end of the Lease.
    async fn step_down(&mut self, leadership: &watch::Sender<Option<Instant>>) {
        leadership.send_replace(None);
        let leads = self.candidate.is_leader(Instant::now());
        self.candidate.on_conflict();
        if leads && matches!(tokio::time::timeout(REQUEST_TIMEOUT, self.release()).await, Ok(Ok(()))) {
            tracing::info!(lease = self.name, "the lease is given back");
        }
    }

    async fn reconcile(&mut self) -> kube::Result<()> {
        let object = self.api.get_opt(&self.name).await?;
        let record = object.as_ref().map(record);
        let asked = Instant::now();
        let result = match self.candidate.observe(record, asked) {
            LeaseAction::Wait => return Ok(()),
            LeaseAction::Create => self.api.create(&params(), &self.object(None, true)).await,
            LeaseAction::Take(_) => self.api.replace(&self.name, &params(), &self.object(object, true)).await,
            LeaseAction::Renew(_) => self.api.replace(&self.name, &params(), &self.object(object, false)).await,
        };
        match result {
            Ok(_) => self.candidate.on_renewed(asked),
            Err(kube::Error::Api(status)) if status.code == 409 => self.candidate.on_conflict(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn release(&self) -> kube::Result<()> {
        let Some(mut object) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = object.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(self.candidate.identity()) {
            spec.holder_identity = Some(String::new());
            self.api.replace(&self.name, &params(), &object).await?;
        }
        Ok(())
    }

    /// What is stored while this one leads; with the version that was seen, so that only one of several succeeds.
    fn object(&self, seen: Option<Object>, begins: bool) -> Object {
        let now = MicroTime((self.clock)());
        let mut object = seen.unwrap_or_default();
        object.metadata.name = Some(self.name.clone());
        let transitions = object.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or(-1);
        let spec = object.spec.get_or_insert_with(LeaseSpec::default);
        spec.holder_identity = Some(self.candidate.identity().to_owned());
        spec.lease_duration_seconds = i32::try_from(self.candidate.duration().as_secs()).ok();
        spec.renew_time = Some(now.clone());
        if begins {
            spec.acquire_time = Some(now);
            spec.lease_transitions = Some(transitions.saturating_add(1));
        }
        object
    }
}

fn params() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn record(object: &Object) -> Record {
    let spec = object.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        duration: seconds.map_or(LEASE_DURATION, Duration::from_secs),
        version: object.metadata.resource_version.clone().unwrap_or_default(),
    }
}
