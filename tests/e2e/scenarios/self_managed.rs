//! `--tls self-managed`, with the rights that are shipped for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use session_webhook::cluster::self_managed::secret_contents::{
    CertificateAuthority, Lifetimes, SecretContents, certificates,
};
use session_webhook::cluster::self_managed::state::DesiredState;
use session_webhook::cluster::self_managed::{CertificateController, ObjectNames};
use session_webhook::cluster::supervisor::Heartbeat;
use session_webhook::core::settings::Settings;
use session_webhook::metrics::Metrics;
use session_webhook::server::router::App;
use session_webhook::server::tls::{Handshake, ServingCertificate, TlsStatus};
use session_webhook::server::{Config, Limits, Listeners, Server, Timeouts, TlsSource};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::install::NAMESPACE;
use crate::managed::{KINDS, NAME, Replica, addresses, configuration_path, empty, grant, material, remove, reset};
use crate::process::eventually;
use crate::verbs::{accepts, becomes};
use crate::world::World;
use crate::writer::{Reply, Request};

const PATIENCE: Duration = Duration::from_mins(1);

/// Leaves no configuration behind, however the scenario ends: it would refuse the writes of all others.
async fn and_tidy_up(world: &World, scenario: impl Future<Output = ()>) {
    let outcome = std::panic::AssertUnwindSafe(scenario).catch_unwind().await;
    remove(world).await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// HobbyFarm's create, which every replica has to let pass.
async fn probe(world: &World) -> Reply {
    world.hobbyfarm.sends(&Request::create(&world.form.session("self-managed")).dry_run()).await
}

async fn works(world: &World) {
    eventually("the API server trusts every replica", PATIENCE, async || {
        (probe(world).await.code == 201).then_some(())
    })
    .await;
}

pub(super) async fn replicas_that_start_at_once_agree_and_repair_what_is_emptied(world: &World) {
    and_tidy_up(world, async {
        let addresses = addresses(3);
        grant(world, true, 2).await;
        reset(world, &addresses).await;
        let start = addresses.iter().enumerate().map(|(number, address)| async move {
            Replica::start(world, &format!("managed-{number}"), *address).await
        });
        let mut replicas = futures::future::join_all(start).await;
        for replica in &mut replicas {
            replica.is_ready().await;
        }
        works(world).await;
        let made: usize = replicas.iter().map(|replica| replica.log().matches("\"step\":\"bootstrap\"").count()).sum();
        assert_eq!(made, 1, "one makes the authority, the others read it");

        for kind in KINDS {
            empty(&world.admin, kind).await;
            let read = Request::get(configuration_path(kind));
            becomes(&world.admin, "the caBundle is repaired", read, |object| {
                object["webhooks"].as_array().unwrap().iter().all(|entry| entry["clientConfig"]["caBundle"].is_string())
            })
            .await;
        }
        works(world).await;
        let told = replicas.iter().filter(|replica| replica.log().contains("somebody changed the caBundle")).count();
        assert!(told >= 1, "whoever repairs says so");
        for replica in &replicas {
            assert_eq!(replica.readiness().await.0, 200, "no replica steps back for it");
        }
    })
    .await;
}

/// Rights that end at a step stop the program right behind the step before it, where it is killed.
pub(super) async fn killed_between_any_two_steps_of_its_start_it_works_when_it_is_back(world: &World) {
    and_tidy_up(world, async {
        let addresses = addresses(1);
        for (secrets, configurations) in [(false, 0), (true, 0), (true, 1), (true, 2)] {
            // Rights are added and never taken away within a round, and each round begins with less.
            grant(world, secrets, configurations).await;
            reset(world, &addresses).await;
            let mut replica = Replica::start(world, "managed-killed", addresses[0]).await;
            if (secrets, configurations) == (true, 2) {
                replica.is_ready().await;
            } else {
                replica.logs("cannot manage the serving certificate").await;
                let (code, text) = replica.readiness().await;
                assert_eq!(code, 503, "{text}");
            }
            assert_eq!(material(world).await.is_some(), secrets);
            drop(replica);

            grant(world, true, 2).await;
            let mut replica = Replica::start(world, "managed-again", addresses[0]).await;
            replica.is_ready().await;
            works(world).await;
            let made = replica.log().matches("\"step\":\"bootstrap\"").count();
            assert_eq!(made, usize::from(!secrets), "what was made before is used");
        }
    })
    .await;
}

/// Seconds that the replicas' clock is ahead.
static AHEAD: AtomicI64 = AtomicI64::new(0);

fn clock() -> Timestamp {
    Timestamp::now() + SignedDuration::from_secs(AHEAD.load(Ordering::Relaxed))
}

fn days_go_by(days: i64) {
    AHEAD.fetch_add(days * 86400, Ordering::Relaxed);
}

/// A replica within this process, whose clock can be put forward.
struct Inner {
    status: watch::Receiver<TlsStatus>,
    controller: JoinHandle<()>,
    server: JoinHandle<()>,
    _stop: mpsc::Sender<()>,
}

impl Inner {
    async fn start(world: &World, address: SocketAddr) -> Self {
        // Alive by the API server's clock, however far ahead the replicas' own is.
        let day = SignedDuration::from_hours(24);
        let (authority, backdate, propagation) = (day * 600, day * 3650, SignedDuration::from_secs(3));
        let lifetimes = Lifetimes { authority, backdate, propagation, ..Lifetimes::default() };
        let desired = DesiredState { names: vec!["127.0.0.1".to_owned()], lifetimes };
        let throw_away = CertificateAuthority::make(0, clock(), &lifetimes)
            .unwrap()
            .issue(&desired.names, clock(), &lifetimes)
            .unwrap();
        let (offers, offered) =
            watch::channel(ServingCertificate { pair: throw_away, distrust: Some("at start".to_owned()) });
        let metrics = Arc::new(Metrics::new("", ""));
        let unhurried = PATIENCE;
        let timeouts = Timeouts {
            age: Duration::ZERO,
            handshake: unhurried,
            header: unhurried,
            idle: unhurried,
            drain_delay: unhurried,
            drain: unhurried,
        };
        let listeners = Listeners { webhook: address, ops: addresses(1)[0] };
        let (settings, limits) = (Settings::default(), Limits::default());
        let app = App::new(settings.clone(), limits, Arc::clone(&metrics));
        let config = Config {
            settings,
            listeners,
            limits,
            timeouts,
            tls: TlsSource::Received(offered),
            handshake: Handshake::default(),
        };
        let server = Server::bind_app(config, app, Arc::clone(&metrics)).unwrap();
        let status = server.tls_status();
        let names =
            ObjectNames { namespace: NAMESPACE.to_owned(), secret: NAME.to_owned(), configuration: NAME.to_owned() };
        let client = world.account(NAMESPACE, "session-webhook").await.client;
        let heartbeat = Heartbeat::new("certificate", Arc::clone(&metrics), clock);
        let controller =
            CertificateController::new(&client, names, desired, clock, metrics).poll_every(Duration::from_millis(100));
        let (stop, stopped) = mpsc::channel(1);
        let server = tokio::spawn(async { server.run(stopped).await.unwrap() });
        Self { status, controller: tokio::spawn(controller.run(offers, heartbeat)), server, _stop: stop }
    }

    /// Waits until it serves what the Secret holds.
    async fn serves(&mut self, not_after: Timestamp) {
        let condition = |status: &TlsStatus| status.certificate.not_after == not_after && status.distrust.is_none();
        tokio::time::timeout(PATIENCE, self.status.wait_for(condition)).await.unwrap().unwrap();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.controller.abort();
        self.server.abort();
    }
}

/// Waits until the Secret is as the check wants it, and every replica serves it.
async fn all_serve(
    world: &World,
    replicas: &mut [Inner],
    what: &str,
    check: impl Fn(&SecretContents) -> bool,
) -> SecretContents {
    let material = eventually(what, PATIENCE, async || material(world).await.filter(&check)).await;
    let not_after = material.certificate(clock()).unwrap().not_after;
    for replica in replicas {
        replica.serves(not_after).await;
    }
    material
}

pub(super) async fn certificates_and_authorities_change_without_a_failed_call(world: &World) {
    and_tidy_up(world, async {
        let addresses = addresses(3);
        grant(world, true, 2).await;
        reset(world, &addresses).await;
        let start = addresses.iter().map(|address| Inner::start(world, *address));
        let mut replicas = futures::future::join_all(start).await;
        all_serve(world, &mut replicas, "the first certificate", |_| true).await;
        works(world).await;

        let calls = AtomicU64::new(0);
        let calling = async {
            loop {
                let reply = probe(world).await;
                assert_eq!(reply.code, 201, "call {calls:?}: {reply:?}");
                calls.fetch_add(1, Ordering::Relaxed);
            }
        };
        let passing = async {
            for _ in 0..2 {
                live_through_an_authority(world, &mut replicas).await;
            }
            // And with the last of them in force.
            let done = calls.load(Ordering::Relaxed);
            eventually("further calls", PATIENCE, async || (calls.load(Ordering::Relaxed) > done + 10).then_some(()))
                .await;
        };
        tokio::select! { () = passing => {}, () = calling => {} }
        let loads: u64 = replicas.iter().map(|replica| replica.status.borrow().loads).sum();
        println!(
            "       {} calls to 3 replicas each, {loads} certificates taken into service, 0 failed",
            calls.into_inner()
        );
    })
    .await;
}

/// A renewal, a rollover with its overlap, and the end of the overlap.
async fn live_through_an_authority(world: &World, replicas: &mut [Inner]) {
    let first = material(world).await.unwrap();
    days_go_by(61);
    let renewed = all_serve(world, replicas, "a renewal", |material| material.pair != first.pair).await;
    assert_eq!(renewed.generation, first.generation, "by the same authority");

    days_go_by(345);
    let next = |material: &SecretContents| material.generation > first.generation;
    let promoted = all_serve(world, replicas, "another authority", next).await;
    assert_eq!(promoted.old.last(), Some(&first.authority.certificate));

    days_go_by(95);
    all_serve(world, replicas, "the end of the old one", |material| material.old.is_empty()).await;
    for kind in KINDS {
        becomes(&world.admin, "one authority is left", Request::get(configuration_path(kind)), |object| {
            use base64::Engine;
            let bundle = object["webhooks"][0]["clientConfig"]["caBundle"].as_str().unwrap();
            let pem = base64::engine::general_purpose::STANDARD.decode(bundle).unwrap();
            certificates(&pem) == [promoted.authority.certificate.clone()]
        })
        .await;
    }
    accepts(&world.hobbyfarm, Request::create(&world.form.session("self-managed")).dry_run()).await;
}
