//! An API server in memory, and replicas whose every read and write is an event of its own.

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use session_webhook::cluster::self_managed::secret_contents::{Lifetimes, SecretContents, certificates, trusts};
use session_webhook::cluster::self_managed::state::{
    Action, Bundle, DesiredState, ObservedState, ReplicaMemory, Secret, Write,
};
use session_webhook::server::tls::{Handshake, Pair, ServingCertificate};

const NAME: &str = "session-webhook.hobbyfarm.svc";

/// One thing that happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Happening {
    /// A replica reads one object, or writes one.
    Advance(usize),
    /// A replica takes four of these at once.
    Round(usize),
    /// A replica is killed, and started again without a memory.
    Kill(usize),
    /// So many seconds go by.
    Pass(i64),
    /// Somebody empties one `caBundle`.
    Empty(usize),
    /// Somebody deletes the Secret, while no replica is in the middle of a round.
    DeleteSecret,
    /// Somebody takes the authority's key out of the Secret.
    LoseKey,
}

pub(crate) struct Replica {
    memory: ReplicaMemory,
    pub(crate) desired: DesiredState,
    observed: ObservedState,
    reads: usize,
    offer: Option<ServingCertificate>,
    write: Option<(Action, Write)>,
    last: Option<Action>,
}

impl Replica {
    fn new() -> Self {
        let lifetimes = Lifetimes { authority: SignedDuration::from_hours(24 * 200), ..Lifetimes::default() };
        let desired = DesiredState { names: vec![NAME.to_owned()], lifetimes };
        let observed = ObservedState { bundles: Vec::new(), secret: Secret::Absent(None) };
        Self { memory: ReplicaMemory::default(), desired, observed, reads: 0, offer: None, write: None, last: None }
    }
}

struct StoredBundle {
    version: u64,
    pem: Vec<u8>,
    meddled: bool,
}

pub(crate) struct World {
    now: Timestamp,
    version: u64,
    secret: Option<(u64, SecretContents)>,
    bundles: [StoredBundle; 2],
    pub(crate) replicas: Vec<Replica>,
    bootstraps: usize,
}

impl World {
    pub(crate) fn new(replicas: usize) -> Self {
        let bundle = || StoredBundle { version: 0, pem: Vec::new(), meddled: false };
        Self {
            now: "2026-11-24T00:00:00Z".parse().unwrap(),
            version: 0,
            secret: None,
            bundles: [bundle(), bundle()],
            replicas: (0..replicas).map(|_| Replica::new()).collect(),
            bootstraps: 0,
        }
    }

    pub(crate) fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Advance(replica) => _ = self.advance(replica),
            Happening::Round(replica) => (0..4).for_each(|_| _ = self.advance(replica)),
            Happening::Kill(replica) => self.replicas[replica] = Replica::new(),
            Happening::Pass(seconds) => self.pass(SignedDuration::from_secs(seconds)),
            Happening::Empty(bundle) => {
                let version = self.next_version();
                self.bundles[bundle] = StoredBundle { version, pem: Vec::new(), meddled: true };
            }
            Happening::DeleteSecret if self.replicas.iter().all(|replica| replica.reads == 0) => self.secret = None,
            Happening::LoseKey if self.secret.is_some() => {
                let mut data = self.secret().data();
                data.remove("ca.key");
                self.put_secret(SecretContents::read(&data).unwrap());
            }
            Happening::DeleteSecret | Happening::LoseKey => {}
        }
        self.assert_invariant(happening);
    }

    /// One read or one write; what was written.
    fn advance(&mut self, at: usize) -> Option<&'static str> {
        let replica = &mut self.replicas[at];
        match replica.reads {
            index @ (0 | 1) => {
                let stored = &self.bundles[index];
                let entries = vec![stored.pem.clone(); index + 1];
                replica.observed.bundles.truncate(index);
                replica.observed.bundles.push(Bundle { index, version: stored.version.to_string(), entries });
                replica.reads += 1;
                None
            }
            2 => {
                replica.observed.secret = match &self.secret {
                    None => Secret::Absent(None),
                    Some((version, contents)) => {
                        // Through its data, as the API server has it.
                        let contents = SecretContents::read(&contents.data()).unwrap();
                        Secret::Present { version: version.to_string(), contents }
                    }
                };
                if let Some(offer) = replica.memory.observe(&replica.observed, self.now) {
                    replica.offer = Some(offer);
                }
                let action = replica.memory.next_action(&replica.observed, self.now, &replica.desired);
                let write =
                    replica.memory.prepare_write(action, &replica.observed, self.now, &replica.desired).unwrap();
                replica.write = write.map(|write| (action, write));
                replica.last = Some(action);
                replica.reads += 1;
                None
            }
            _ => {
                replica.reads = 0;
                let (action, write) = replica.write.take()?;
                self.write(write).then(|| {
                    self.bootstraps += usize::from(action == Action::Bootstrap);
                    action.name()
                })
            }
        }
    }

    /// Whether the version was the one that was read.
    fn write(&mut self, write: Write) -> bool {
        let next = self.next_version();
        match write {
            Write::Secret(version, contents) => {
                let stored = self.secret.as_ref().map(|(version, _)| version.to_string());
                let fits = stored == version;
                if fits {
                    self.secret = Some((next, contents));
                }
                fits
            }
            Write::Bundle(index, version, pem) => {
                let stored = &mut self.bundles[index];
                let fits = stored.version.to_string() == version;
                if fits {
                    *stored = StoredBundle { version: next, pem: pem.into_bytes(), meddled: false };
                }
                fits
            }
        }
    }

    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn assert_invariant(&self, happening: Happening) {
        for (number, replica) in self.replicas.iter().enumerate() {
            let Some(ServingCertificate { pair, distrust: None }) = &replica.offer else { continue };
            if pair.open(&Handshake::default(), None, self.now).is_err() {
                continue; // expired: no server serves it as ready
            }
            let leaf = CertificateDer::from_pem_slice(&pair.certificate).unwrap();
            for (index, bundle) in self.bundles.iter().enumerate().filter(|(_, bundle)| !bundle.meddled) {
                let trusted = certificates(&bundle.pem);
                assert!(
                    trusts(&trusted, &leaf, NAME, self.now),
                    "after {happening:?}: replica {number} serves what bundle {index} with {} authorities does not verify",
                    trusted.len()
                );
            }
        }
    }

    /// Tells a replica another name by `--tls-name`, besides the one that API servers call it by.
    pub(crate) fn want_name(&mut self, replica: usize, name: &str) {
        self.replicas[replica].desired.names = vec![NAME.to_owned(), name.to_owned()];
    }

    /// Lets one replica go on until it rests; what it wrote.
    pub(crate) fn reconcile_until_stable(&mut self, replica: usize) -> Vec<&'static str> {
        let mut written = Vec::new();
        for _ in 0..100 {
            let done = self.advance(replica);
            self.assert_invariant(Happening::Advance(replica));
            written.extend(done);
            let resting = &self.replicas[replica];
            if resting.reads == 0 && resting.last == Some(Action::None) && done.is_none() {
                // Once more, from the first read on, or it may rest on what it saw long ago.
                if self.rests_anew(replica) {
                    return written;
                }
            }
        }
        panic!("replica {replica} never rests: {written:?}");
    }

    fn rests_anew(&mut self, replica: usize) -> bool {
        for _ in 0..3 {
            self.advance(replica);
        }
        let rests = self.replicas[replica].last == Some(Action::None);
        if rests {
            self.advance(replica);
        }
        rests
    }

    /// Lets all replicas reconcile, one after the other, twice: the first ones see what the last ones did.
    pub(crate) fn reconcile_all_until_stable(&mut self) {
        for _ in 0..2 {
            for replica in 0..self.replicas.len() {
                self.reconcile_until_stable(replica);
            }
        }
    }

    pub(crate) fn pass(&mut self, time: SignedDuration) {
        self.now += time;
    }

    pub(crate) fn secret(&self) -> SecretContents {
        self.secret.clone().unwrap().1
    }

    pub(crate) fn put_secret(&mut self, contents: SecretContents) {
        self.secret = Some((self.next_version(), contents));
    }

    /// How many first authorities were made.
    pub(crate) fn authorities(&self) -> usize {
        self.bootstraps
    }

    pub(crate) fn served(&self, replica: usize) -> Option<Pair> {
        self.replicas[replica].offer.clone().map(|offer| offer.pair)
    }

    pub(crate) fn is_trusted(&self, replica: usize) -> bool {
        let offer = &self.replicas[replica].offer;
        offer.as_ref().is_some_and(|offer| {
            offer.distrust.is_none() && offer.pair.open(&Handshake::default(), None, self.now).is_ok()
        })
    }

    /// How many authorities a bundle holds.
    pub(crate) fn trusted_in(&self, bundle: usize) -> usize {
        certificates(&self.bundles[bundle].pem).len()
    }
}
