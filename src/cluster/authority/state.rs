//! What to do next about the Secret and the `caBundle`s: decided from what was seen of both, what is remembered, and the
//! time. Knows no API server.
//!
//! Three things make it safe for any number of replicas that may stop between any two actions:
//!
//! - The bundles are read *before* the Secret, and each write names the version that was read. So whoever writes a bundle
//!   knows at least as much as whoever wrote it before, and no bundle ever loses an authority that the Secret names.
//! - Whatever is served comes out of the Secret, and gets in there only when each bundle holds its authority.
//! - An authority leaves the Secret, and then the bundles, only after the last certificate that it signed has expired: a
//!   replica that cannot reach the API server may serve one for so long.

use jiff::{SignedDuration, Timestamp};
use rustls::pki_types::CertificateDer;

use super::material::{Authority, Lives, Material, MaterialError, certificates, pem};
use crate::server::tls::{Certificate, Offer};

/// More certificates in a bundle than this are nobody's hand-over.
const HAND_OVER: usize = 8;

/// One webhook configuration: its place in the list of those that are looked after, its version, and the `caBundle` of
/// each of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Which one it is.
    pub index: usize,
    /// Its resource version.
    pub version: String,
    /// PEM, one for each entry.
    pub entries: Vec<Vec<u8>>,
}

impl Bundle {
    fn holds(&self, certificate: &CertificateDer<'static>) -> bool {
        self.entries.iter().all(|entry| certificates(entry).contains(certificate))
    }

    /// Whether each entry holds these and no others, in any order.
    fn is(&self, trusted: &[&CertificateDer<'static>]) -> bool {
        self.entries.iter().all(|entry| {
            let held = certificates(entry);
            held.iter().all(|one| trusted.contains(&one)) && trusted.iter().all(|one| held.contains(one))
        })
    }
}

/// The Secret, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Secret {
    /// There is none; or one without data, of this version.
    Absent(Option<String>),
    /// There is one that this program did not write, or somebody changed.
    Unreadable {
        /// Its resource version.
        version: String,
        /// The key that is missing or malformed.
        key: &'static str,
    },
    /// There is one.
    Present {
        /// Its resource version.
        version: String,
        /// What it holds.
        material: Material,
    },
}

/// One look at the cluster: first the bundles of the configurations that there are, then the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Webhook configurations.
    pub bundles: Vec<Bundle>,
    /// The Secret.
    pub secret: Secret,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// DNS names and IP addresses of the serving certificate.
    pub names: Vec<String>,
    /// How long what is made lives.
    pub lives: Lives,
}

/// The one thing to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing differs.
    Rest,
    /// Make the first authority and certificate.
    Bootstrap,
    /// Put back what is remembered: the Secret is gone, broken, or older.
    Restore,
    /// Leave it alone: it is somebody else's, or broken.
    Refuse(&'static str),
    /// Write the `caBundle`s of this one of the bundles seen.
    SetBundle {
        /// Its place among those seen.
        at: usize,
        /// Whether it was as it should be before.
        repair: bool,
    },
    /// Add the authority that will sign.
    PrepareAuthority,
    /// Let it sign: everybody trusts it.
    PromoteAuthority,
    /// Sign a new serving certificate.
    RenewCertificate,
    /// Drop authorities whose certificates have all expired.
    DropOldAuthorities,
}

impl Step {
    /// One word, for logs and the metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Bootstrap => "bootstrap",
            Self::Restore => "restore-secret",
            Self::Refuse(_) => "refuse-secret",
            Self::SetBundle { repair: false, .. } => "set-bundle",
            Self::SetBundle { repair: true, .. } => "repair-bundle",
            Self::PrepareAuthority => "prepare-authority",
            Self::PromoteAuthority => "promote-authority",
            Self::RenewCertificate => "renew-certificate",
            Self::DropOldAuthorities => "drop-old-authorities",
        }
    }
}

/// A change of one object, to be refused when its version is another by now.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Write {
    /// The Secret; to be created where there is no version.
    Secret(Option<String>, Material),
    /// All entries of one webhook configuration: which, its version, PEM.
    Bundle(usize, String, String),
}

/// What one replica remembers from look to look. Losing it does no harm.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    material: Option<Material>,
    trusted: bool,
    settling: Option<(CertificateDer<'static>, Timestamp)>,
    intact: Vec<(usize, Vec<CertificateDer<'static>>)>,
}

impl Memory {
    /// Takes in what was seen; what to serve, if that is known.
    ///
    /// A certificate that is not trusted by each bundle is offered only while none has been.
    pub fn look(&mut self, seen: &Seen, now: Timestamp) -> Option<Offer> {
        let Secret::Present { material, .. } = &seen.secret else { return None };
        if self.is_newer_than(material) {
            return None;
        }
        self.material = Some(material.clone());
        self.settling = material.next.as_ref().filter(|next| seen.hold(&next.certificate)).map(|next| {
            let same = self.settling.take().filter(|(certificate, _)| *certificate == next.certificate);
            same.unwrap_or_else(|| (next.certificate.clone(), now))
        });

        material.certificate(now)?;
        let pair = material.pair.clone()?;
        let trusted = !seen.bundles.is_empty() && seen.hold(&material.authority.certificate);
        if trusted {
            self.trusted = true;
            return Some(Offer { pair, distrust: None });
        }
        let distrust = if seen.bundles.is_empty() {
            "there is no webhook configuration to write the authority into"
        } else {
            "the authority is not in each caBundle yet"
        };
        (!self.trusted).then(|| Offer { pair, distrust: Some(distrust.to_owned()) })
    }

    /// What to do next, after [`Memory::look`] at the same.
    pub fn next_step(&mut self, seen: &Seen, now: Timestamp, wishes: &Wishes) -> Step {
        let material = match &seen.secret {
            Secret::Absent(_) | Secret::Unreadable { .. } if self.material.is_some() => return Step::Restore,
            Secret::Absent(_) => return Step::Bootstrap,
            Secret::Unreadable { key, .. } => return Step::Refuse(key),
            Secret::Present { material, .. } if self.is_newer_than(material) => return Step::Restore,
            Secret::Present { material, .. } => material,
        };
        // Trust comes before everything that relies on it.
        if let Some(step) = self.bundle_step(seen, material) {
            return step;
        }
        let Lives { authority: life, settle, .. } = wishes.lives;
        let authority = &material.authority;
        match &material.next {
            None if is_due(authority.not_after, life, now) || !authority.can_sign() => return Step::PrepareAuthority,
            Some(_) if self.settled(now, settle) => return Step::PromoteAuthority,
            _ => {}
        }
        let present = material.certificate(now);
        // What an authority signs near its own end is as short-lived as what it replaces; the next one is on its way.
        let ending = material.next.is_some() && is_due(authority.not_after, wishes.lives.certificate, now);
        let useful = if ending { present.is_none() && now < authority.not_after } else { true };
        if authority.can_sign() && useful && !is_fresh(present.as_ref(), now, wishes) {
            return Step::RenewCertificate;
        }
        if !material.old.is_empty() && material.old_until < now { Step::DropOldAuthorities } else { Step::Rest }
    }

    fn bundle_step(&mut self, seen: &Seen, material: &Material) -> Option<Step> {
        let trusted = material.trusted();
        for (at, bundle) in seen.bundles.iter().enumerate() {
            let was = self.intact.iter().position(|(index, _)| *index == bundle.index);
            if bundle.is(&trusted) {
                let now = (bundle.index, trusted.iter().copied().cloned().collect());
                match was.and_then(|was| self.intact.get_mut(was)) {
                    Some(was) => *was = now,
                    None => self.intact.push(now),
                }
                continue;
            }
            // Somebody changed it, if the same authorities were in it at the last look.
            let was = was.and_then(|was| self.intact.get(was));
            let repair = was.is_some_and(|(_, held)| held.iter().eq(trusted.iter().copied()));
            return Some(Step::SetBundle { at, repair });
        }
        None
    }

    /// Makes what a step writes. Nothing for [`Step::Rest`] and [`Step::Refuse`].
    ///
    /// # Errors
    ///
    /// When a name is no DNS name and no IP address.
    pub fn carry_out(
        &self,
        step: Step,
        seen: &Seen,
        now: Timestamp,
        wishes: &Wishes,
    ) -> Result<Option<Write>, MaterialError> {
        let version = match &seen.secret {
            Secret::Absent(version) => version.clone(),
            Secret::Unreadable { version, .. } | Secret::Present { version, .. } => Some(version.clone()),
        };
        let written = match (step, &seen.secret) {
            (Step::Bootstrap, _) => bootstrap(seen, now, wishes)?,
            (Step::Restore, _) => return Ok(self.material.clone().map(|material| Write::Secret(version, material))),
            (Step::SetBundle { at, .. }, Secret::Present { material, .. }) => {
                let text = pem(material.trusted());
                return Ok(seen
                    .bundles
                    .get(at)
                    .map(|bundle| Write::Bundle(bundle.index, bundle.version.clone(), text)));
            }
            (Step::PrepareAuthority, Secret::Present { material, .. }) => {
                let next = Authority::make(later(material.generation, now), now, &wishes.lives)?;
                Material { next: Some(next), ..material.clone() }
            }
            (Step::PromoteAuthority, Secret::Present { material, .. }) => promoted(material.clone(), now, wishes)?,
            (Step::RenewCertificate, Secret::Present { material, .. }) => {
                let names = names(material.certificate(now).as_ref(), now, wishes);
                let pair = material.authority.issue(&names, now, &wishes.lives)?;
                Material { pair: Some(pair), ..material.clone() }
            }
            (Step::DropOldAuthorities, Secret::Present { material, .. }) => {
                Material { old: Vec::new(), ..material.clone() }
            }
            _ => return Ok(None),
        };
        Ok(Some(Write::Secret(version, written)))
    }

    fn is_newer_than(&self, material: &Material) -> bool {
        self.material.as_ref().is_some_and(|mine| mine.generation > material.generation)
    }

    fn settled(&self, now: Timestamp, settle: SignedDuration) -> bool {
        self.settling.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= settle)
    }
}

impl Seen {
    fn hold(&self, certificate: &CertificateDer<'static>) -> bool {
        self.bundles.iter().all(|bundle| bundle.holds(certificate))
    }
}

/// The first authority and certificate. What is trusted already stays so for the life of one certificate, so that nobody
/// who serves by it meanwhile is cut off: replicas with cert-manager's certificate, or those that outlived the Secret.
fn bootstrap(seen: &Seen, now: Timestamp, wishes: &Wishes) -> Result<Material, MaterialError> {
    let generation = now.as_second();
    let authority = Authority::make(generation, now, &wishes.lives)?;
    let pair = authority.issue(&wishes.names, now, &wishes.lives)?;
    let mut old: Vec<_> =
        seen.bundles.iter().flat_map(|bundle| &bundle.entries).flat_map(|pem| certificates(pem)).collect();
    old.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    old.dedup();
    if old.len() > HAND_OVER {
        old.clear();
    }
    let old_until = end_of_life(now, wishes);
    Ok(Material { generation, authority, pair: Some(pair), next: None, old, old_until })
}

/// The next authority signs from here on, and the present one is trusted as long as it may have certificates alive.
fn promoted(material: Material, now: Timestamp, wishes: &Wishes) -> Result<Material, MaterialError> {
    let Some(next) = material.next.clone() else { return Ok(material) };
    let pair = next.issue(&wishes.names, now, &wishes.lives)?;
    let mut until = end_of_life(now, wishes);
    if let Some(certificate) = material.certificate(now) {
        until = until.max(certificate.not_after);
    }
    if !material.old.is_empty() {
        until = until.max(material.old_until);
    }
    let mut old = material.old;
    old.push(material.authority.certificate);
    let generation = later(material.generation, now);
    Ok(Material { generation, authority: next, pair: Some(pair), next: None, old, old_until: until })
}

/// When a certificate that is made by now has certainly expired.
fn end_of_life(now: Timestamp, wishes: &Wishes) -> Timestamp {
    now.saturating_add(wishes.lives.certificate).unwrap_or(Timestamp::MAX)
}

fn later(generation: i64, now: Timestamp) -> i64 {
    now.as_second().max(generation.saturating_add(1))
}

/// Whether two thirds of the life are over.
fn is_due(not_after: Timestamp, life: SignedDuration, now: Timestamp) -> bool {
    not_after.duration_since(now) <= life / 3
}

fn is_fresh(certificate: Option<&Certificate>, now: Timestamp, wishes: &Wishes) -> bool {
    certificate.is_some_and(|certificate| {
        !is_due(certificate.not_after, wishes.lives.certificate, now) && lacks(certificate, wishes).is_empty()
    })
}

/// The wanted names that a certificate does not stand for.
fn lacks(certificate: &Certificate, wishes: &Wishes) -> Vec<String> {
    wishes.names.iter().filter(|name| !certificate.names.contains(name)).cloned().collect()
}

/// The names of a new certificate. Replicas that want different ones, as in a rollout, get all of them and do not fight;
/// a name that nobody wants any more goes at the next renewal that is due.
fn names(present: Option<&Certificate>, now: Timestamp, wishes: &Wishes) -> Vec<String> {
    match present {
        Some(present) if !is_due(present.not_after, wishes.lives.certificate, now) => {
            present.names.iter().cloned().chain(lacks(present, wishes)).collect()
        }
        _ => wishes.names.clone(),
    }
}
