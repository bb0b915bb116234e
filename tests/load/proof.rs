//! What happens under the load, and the report.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::balancer::{self, Backends};
use crate::cluster::Cluster;
use crate::control_plane::ControlPlane;
use crate::load::Load;
use crate::pki::Authority;
use crate::process::eventually;
use crate::replica::Replica;

/// How much of it.
pub(crate) struct Plan {
    /// Replicas behind the balancer.
    replicas: usize,
    /// Writers at a time.
    writers: u64,
    /// Replicas replaced one after the other.
    restarts: u32,
    /// Certificates put into all mounted Secrets.
    rotations: u32,
    /// Admission calls at least.
    calls: u64,
}

impl Plan {
    /// For CI.
    pub(crate) const SHORT: Self = Self { replicas: 2, writers: 4, restarts: 3, rotations: 6, calls: 1_000 };
    /// For `docs/reliability.md`.
    pub(crate) const LONG: Self = Self { replicas: 3, writers: 8, restarts: 24, rotations: 60, calls: 10_000 };
}

/// Everything at work.
struct Scene {
    folder: PathBuf,
    cluster: Cluster,
    backends: Backends,
    replicas: Vec<Replica>,
    started: u32,
    /// Reviews of replicas that have ended.
    past_reviews: u64,
    authority: Authority,
}

pub(crate) async fn run(assets: PathBuf, plan: Plan) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("load-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let control_plane = ControlPlane::start(assets, folder.clone(), &[]).await;
    let backends = Backends::default();
    let port = balancer::start(backends.clone()).await;
    let mut cluster = Cluster::new(control_plane, port).await;
    let authority = Authority::new("load-1");
    cluster.trust(&authority.pem()).await;
    let mut scene = Scene {
        folder: folder.clone(),
        cluster,
        backends,
        replicas: Vec::new(),
        started: 0,
        past_reviews: 0,
        authority,
    };
    for _ in 0..plan.replicas {
        scene.add_replica().await;
    }
    let begun = Instant::now();
    let load = Load::start(&scene.cluster, plan.writers).await;

    for restart in 0..plan.restarts {
        scene.replace_oldest_replica().await;
        println!("restart {} of {}: {} writes", restart + 1, plan.restarts, load.written());
    }
    for rotation in 0..plan.rotations {
        scene.rotate_certificates().await;
        if (rotation + 1) % 10 == 0 || rotation + 1 == plan.rotations {
            println!("rotation {} of {}: {} writes", rotation + 1, plan.rotations, load.written());
        }
    }
    scene.replace_authority().await;
    println!("authority replaced: {} writes", load.written());
    // Two calls a write: /mutate and /validate.
    eventually("enough calls are made", Duration::from_mins(10), async || {
        (load.written() * 2 >= plan.calls).then_some(())
    })
    .await;

    let (written, failures) = load.stop().await;
    let reviews = scene.reviews().await;
    println!(
        "\nload on Kubernetes {}: {} restarts, {} certificate rotations, 1 authority replaced; {written} status writes, {reviews} \
         admission calls, {} failed, in {} s",
        scene.cluster.version().await,
        plan.restarts,
        plan.rotations,
        failures.len(),
        begun.elapsed().as_secs()
    );
    assert!(failures.is_empty(), "failed writes: {failures:#?}");
    assert!(reviews >= plan.calls && reviews >= 2 * written, "{reviews} calls for {written} writes");
    drop(scene);
    let _ = std::fs::remove_dir_all(folder);
}

impl Scene {
    async fn add_replica(&mut self) {
        self.started += 1;
        let name = format!("replica-{}", self.started);
        let identity = self.authority.service();
        self.replicas.push(Replica::start(&self.folder, &name, &identity, &self.backends).await);
    }

    /// As a Deployment with `maxUnavailable: 0` does it: first the new one, then the old one goes.
    async fn replace_oldest_replica(&mut self) {
        self.add_replica().await;
        let oldest = self.replicas.remove(0);
        self.past_reviews += oldest.stop(&self.backends).await;
    }

    /// A new certificate of the same authority in each mounted Secret, in whatever order the replicas notice.
    async fn rotate_certificates(&mut self) {
        let identity = self.authority.service();
        for replica in &mut self.replicas {
            replica.mount(&identity);
        }
        for replica in &self.replicas {
            replica.serves(replica.mounted()).await;
        }
    }

    /// With an overlap: both authorities are trusted before any replica serves the new one's certificate.
    async fn replace_authority(&mut self) {
        let new = Authority::new("load-2");
        self.cluster.trust(&format!("{}{}", self.authority.pem(), new.pem())).await;
        self.authority = new;
        self.rotate_certificates().await;
        self.cluster.trust(&self.authority.pem()).await;
    }

    async fn reviews(&self) -> u64 {
        let mut reviews = self.past_reviews;
        for replica in &self.replicas {
            reviews += replica.reviews().await.unwrap();
        }
        reviews
    }
}
