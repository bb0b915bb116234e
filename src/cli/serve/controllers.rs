//! What `serve` does beside answering, each under supervision: the backfill, the audit, their Lease, and the certificate that
//! the webhook manages itself. What goes wrong there is logged and counted, and never touches the webhooks.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cluster::audit::periodic::PeriodicAudit;
use crate::cluster::backfill::Backfill;
use crate::cluster::client::{ApiServer, ConnectOptions, connect};
use crate::cluster::lease::Lease;
use crate::cluster::self_managed::secret_contents::Lifetimes;
use crate::cluster::self_managed::state::DesiredState;
use crate::cluster::self_managed::{CertificateController, ObjectNames, service_dns_names};
use crate::cluster::supervisor::{Heartbeat, Supervisor};
use crate::config::Controllers;
use crate::core::settings::Settings;
use crate::metrics::Metrics;
use crate::server::clock;
use crate::server::tls::ServingCertificate;

/// Releasing the Lease takes no longer than this.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);
/// A controller without progress is started anew after this time, or after as many requests without an answer.
const STALL_LIMIT: Duration = Duration::from_mins(2);
const STALL_REQUESTS: u32 = 4;

/// What is to run beside the server.
pub(super) struct ControllerPlan {
    pub(super) request_timeout: Duration,
    pub(super) controllers: Option<Controllers>,
    pub(super) managed: Option<SelfManaged>,
}

/// What `--tls self-managed` looks after, and where it tells what to serve.
pub(super) struct SelfManaged {
    pub(super) secret: String,
    pub(super) service: String,
    pub(super) configuration: String,
    pub(super) further_names: Vec<String>,
    pub(super) offers: watch::Sender<ServingCertificate>,
}

/// The running controllers.
pub(super) struct RunningControllers {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl RunningControllers {
    /// Starts what is planned.
    ///
    /// # Errors
    ///
    /// When there is no way to the API server.
    pub(super) async fn start(
        plan: ControllerPlan,
        settings: Settings,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let ControllerPlan { request_timeout, controllers, managed } = plan;
        let running = Self { tasks: TaskTracker::new(), stop };
        let options = match (&managed, &controllers) {
            (Some(_), _) => "--tls self-managed",
            (None, Some(_)) => "--backfill, --audit-interval",
            (None, None) => return Ok(running),
        };
        let server = connect(&ConnectOptions { context: None, request_timeout }).await.context(options)?;
        let environment =
            Environment { server, metrics, stall_limit: STALL_LIMIT.max(request_timeout * STALL_REQUESTS) };
        if let Some(managed) = managed {
            running.manage_certificate(&environment, managed);
        }
        if let Some(controllers) = controllers {
            running.look_after_sessions(&environment, controllers, settings);
        }
        Ok(running)
    }

    /// Waits until another replica may begin.
    pub(super) async fn shut_down(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await;
    }

    fn manage_certificate(&self, environment: &Environment, managed: SelfManaged) {
        let SelfManaged { secret, service, configuration, further_names, offers } = managed;
        let Environment { server, metrics, .. } = environment;
        let mut names = service_dns_names(&service, &server.namespace);
        for name in further_names {
            // The manifests tell the name of the Service besides.
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let desired = DesiredState { names, lifetimes: Lifetimes::default() };
        let objects = ObjectNames { namespace: server.namespace.clone(), secret, configuration };
        let controller = CertificateController::new(&server.client, objects, desired, clock, Arc::clone(metrics));
        let stop = self.stop.clone();
        self.supervise(environment, "certificate", None, move |heartbeat| {
            let (controller, offers, stop) = (controller.clone(), offers.clone(), stop.clone());
            async move {
                tokio::select! {
                    () = controller.run(offers, heartbeat) => {}
                    () = stop.cancelled() => {}
                }
            }
        });
    }

    fn look_after_sessions(&self, environment: &Environment, controllers: Controllers, settings: Settings) {
        let Controllers { options, backfill, audit_interval } = controllers;
        let Environment { server: ApiServer { client, namespace, .. }, metrics, .. } = environment;
        let identity = identity();
        let (leadership_sender, leadership) = watch::channel(None);
        let resign = Arc::new(Notify::new());
        let stop = self.stop.clone();
        let lease = {
            let (client, namespace, name) = (client.clone(), namespace.clone(), options.lease.clone());
            let (identity, resign, stop) = (identity.clone(), Arc::clone(&resign), stop.clone());
            move |heartbeat| {
                let lease = Lease::new(client.clone(), &namespace, name.clone(), identity.clone(), clock);
                lease.run(leadership_sender.clone(), Arc::clone(&resign), heartbeat, stop.clone())
            }
        };
        self.supervise(environment, "lease", None, lease);
        if let Some(interval) = audit_interval {
            let (metrics, leadership, stop) = (Arc::clone(metrics), leadership.clone(), stop.clone());
            let audit = PeriodicAudit::new(client.clone(), &options, &settings, interval, clock, metrics, leadership);
            let start = move |heartbeat| audit.clone().run(heartbeat, stop.clone());
            self.supervise(environment, "audit", Some(&resign), start);
        }
        if backfill {
            let metrics = Arc::clone(metrics);
            let backfill = Backfill::new(client.clone(), options, settings, clock, metrics, leadership, identity);
            let start = move |heartbeat| backfill.clone().run(heartbeat, stop.clone());
            self.supervise(environment, "backfill", Some(&resign), start);
        }
    }

    fn supervise<W: Future<Output = ()> + Send + 'static>(
        &self,
        environment: &Environment,
        controller: &'static str,
        resign: Option<&Arc<Notify>>,
        start: impl FnMut(Heartbeat) -> W + Send + 'static,
    ) {
        let supervisor = Supervisor {
            controller,
            resign: resign.map(Arc::clone),
            stall_limit: environment.stall_limit,
            metrics: Arc::clone(&environment.metrics),
            clock,
            stop: self.stop.clone(),
        };
        self.tasks.spawn(supervisor.run(start));
    }
}

/// What all controllers have in common.
struct Environment {
    server: ApiServer,
    metrics: Arc<Metrics>,
    stall_limit: Duration,
}

/// The pod's name, for people, and what makes it this process's alone.
#[expect(clippy::disallowed_methods, reason = "the shell reads the name of its host")]
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:x}_{:x}", host.trim(), std::process::id(), clock().as_nanosecond())
}
