//! What to do next about the Secret and the `caBundle`s: decided from what was observed of both, what is remembered, and the
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

use super::secret_contents::{CertificateAuthority, IssueError, Lifetimes, SecretContents, certificates, pem};
use crate::server::tls::{Certificate, ServingCertificate};

/// More certificates in a bundle than this are nobody's hand-over.
const MAX_INHERITED_AUTHORITIES: usize = 8;

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
    fn contains(&self, certificate: &CertificateDer<'static>) -> bool {
        self.entries.iter().all(|entry| certificates(entry).contains(certificate))
    }

    /// Whether each entry holds these and no others, in any order.
    fn trusts_exactly(&self, trusted: &[&CertificateDer<'static>]) -> bool {
        self.entries.iter().all(|entry| {
            let held = certificates(entry);
            held.iter().all(|one| trusted.contains(&one)) && trusted.iter().all(|one| held.contains(one))
        })
    }
}

/// The Secret, as it was observed.
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
        contents: SecretContents,
    },
}

/// One look at the cluster: first the bundles of the configurations that there are, then the Secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedState {
    /// Webhook configurations.
    pub bundles: Vec<Bundle>,
    /// The Secret.
    pub secret: Secret,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredState {
    /// DNS names and IP addresses of the serving certificate.
    pub names: Vec<String>,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
}

/// The one thing to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing differs.
    None,
    /// Make the first authority and certificate.
    Bootstrap,
    /// Put back what is remembered: the Secret is gone, broken, or older.
    Restore,
    /// Leave it alone: it is somebody else's, or broken.
    Refuse(&'static str),
    /// Write the `caBundle`s of this one of the bundles observed.
    SetBundle {
        /// Its place among those observed.
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

impl Action {
    /// One word, for logs and the metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "rest",
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
    Secret(Option<String>, SecretContents),
    /// All entries of one webhook configuration: which, its version, PEM.
    Bundle(usize, String, String),
}

/// What one replica remembers from look to look. Losing it does no harm.
#[derive(Debug, Clone, Default)]
pub struct ReplicaMemory {
    contents: Option<SecretContents>,
    trusted: bool,
    propagating: Option<(CertificateDer<'static>, Timestamp)>,
    last_written: Vec<(usize, Vec<CertificateDer<'static>>)>,
}

impl ReplicaMemory {
    /// Takes in what was observed; what to serve, if that is known.
    ///
    /// A certificate that is not trusted by each bundle is offered only while none has been.
    pub fn observe(&mut self, observed: &ObservedState, now: Timestamp) -> Option<ServingCertificate> {
        let Secret::Present { contents, .. } = &observed.secret else { return None };
        if self.is_newer_than(contents) {
            return None;
        }
        self.contents = Some(contents.clone());
        self.propagating =
            contents.next.as_ref().filter(|next| observed.is_in_all_bundles(&next.certificate)).map(|next| {
                let same = self.propagating.take().filter(|(certificate, _)| *certificate == next.certificate);
                same.unwrap_or_else(|| (next.certificate.clone(), now))
            });

        contents.certificate(now)?;
        let pair = contents.pair.clone()?;
        let trusted = !observed.bundles.is_empty() && observed.is_in_all_bundles(&contents.authority.certificate);
        if trusted {
            self.trusted = true;
            return Some(ServingCertificate { pair, distrust: None });
        }
        let distrust = if observed.bundles.is_empty() {
            "there is no webhook configuration to write the authority into"
        } else {
            "the authority is not in each caBundle yet"
        };
        (!self.trusted).then(|| ServingCertificate { pair, distrust: Some(distrust.to_owned()) })
    }

    /// What to do next, after [`ReplicaMemory::observe`] at the same.
    pub fn next_action(&mut self, observed: &ObservedState, now: Timestamp, desired: &DesiredState) -> Action {
        let contents = match &observed.secret {
            Secret::Absent(_) | Secret::Unreadable { .. } if self.contents.is_some() => return Action::Restore,
            Secret::Absent(_) => return Action::Bootstrap,
            Secret::Unreadable { key, .. } => return Action::Refuse(key),
            Secret::Present { contents, .. } if self.is_newer_than(contents) => return Action::Restore,
            Secret::Present { contents, .. } => contents,
        };
        // Trust comes before everything that relies on it.
        if let Some(action) = self.bundle_action(observed, contents) {
            return action;
        }
        let Lifetimes { authority: life, propagation, .. } = desired.lifetimes;
        let authority = &contents.authority;
        match &contents.next {
            None if is_renewal_due(authority.not_after, life, now) || !authority.can_sign() => {
                return Action::PrepareAuthority;
            }
            Some(_) if self.is_propagated(now, propagation) => return Action::PromoteAuthority,
            _ => {}
        }
        let present = contents.certificate(now);
        // What an authority signs near its own end is as short-lived as what it replaces; the next one is on its way.
        let ending = contents.next.is_some() && is_renewal_due(authority.not_after, desired.lifetimes.certificate, now);
        let useful = if ending { present.is_none() && now < authority.not_after } else { true };
        if authority.can_sign() && useful && !is_fresh(present.as_ref(), now, desired) {
            return Action::RenewCertificate;
        }
        if !contents.old.is_empty() && contents.old_until < now { Action::DropOldAuthorities } else { Action::None }
    }

    fn bundle_action(&mut self, observed: &ObservedState, contents: &SecretContents) -> Option<Action> {
        let trusted = contents.trusted();
        for (at, bundle) in observed.bundles.iter().enumerate() {
            let was = self.last_written.iter().position(|(index, _)| *index == bundle.index);
            if bundle.trusts_exactly(&trusted) {
                let now = (bundle.index, trusted.iter().copied().cloned().collect());
                match was.and_then(|was| self.last_written.get_mut(was)) {
                    Some(was) => *was = now,
                    None => self.last_written.push(now),
                }
                continue;
            }
            // Somebody changed it, if the same authorities were in it at the last look.
            let was = was.and_then(|was| self.last_written.get(was));
            let repair = was.is_some_and(|(_, held)| held.iter().eq(trusted.iter().copied()));
            return Some(Action::SetBundle { at, repair });
        }
        None
    }

    /// Makes what an action writes. Nothing for [`Action::None`] and [`Action::Refuse`].
    ///
    /// # Errors
    ///
    /// When a name is no DNS name and no IP address.
    pub fn prepare_write(
        &self,
        action: Action,
        observed: &ObservedState,
        now: Timestamp,
        desired: &DesiredState,
    ) -> Result<Option<Write>, IssueError> {
        let version = match &observed.secret {
            Secret::Absent(version) => version.clone(),
            Secret::Unreadable { version, .. } | Secret::Present { version, .. } => Some(version.clone()),
        };
        let written = match (action, &observed.secret) {
            (Action::Bootstrap, _) => bootstrap(observed, now, desired)?,
            (Action::Restore, _) => return Ok(self.contents.clone().map(|contents| Write::Secret(version, contents))),
            (Action::SetBundle { at, .. }, Secret::Present { contents, .. }) => {
                let text = pem(contents.trusted());
                return Ok(observed
                    .bundles
                    .get(at)
                    .map(|bundle| Write::Bundle(bundle.index, bundle.version.clone(), text)));
            }
            (Action::PrepareAuthority, Secret::Present { contents, .. }) => {
                let next =
                    CertificateAuthority::make(next_generation(contents.generation, now), now, &desired.lifetimes)?;
                SecretContents { next: Some(next), ..contents.clone() }
            }
            (Action::PromoteAuthority, Secret::Present { contents, .. }) => {
                promote_next_authority(contents.clone(), now, desired)?
            }
            (Action::RenewCertificate, Secret::Present { contents, .. }) => {
                let names = renewed_names(contents.certificate(now).as_ref(), now, desired);
                let pair = contents.authority.issue(&names, now, &desired.lifetimes)?;
                SecretContents { pair: Some(pair), ..contents.clone() }
            }
            (Action::DropOldAuthorities, Secret::Present { contents, .. }) => {
                SecretContents { old: Vec::new(), ..contents.clone() }
            }
            _ => return Ok(None),
        };
        Ok(Some(Write::Secret(version, written)))
    }

    fn is_newer_than(&self, contents: &SecretContents) -> bool {
        self.contents.as_ref().is_some_and(|mine| mine.generation > contents.generation)
    }

    fn is_propagated(&self, now: Timestamp, propagation: SignedDuration) -> bool {
        self.propagating.as_ref().is_some_and(|(_, since)| now.duration_since(*since) >= propagation)
    }
}

impl ObservedState {
    fn is_in_all_bundles(&self, certificate: &CertificateDer<'static>) -> bool {
        self.bundles.iter().all(|bundle| bundle.contains(certificate))
    }
}

/// The first authority and certificate. What is trusted already stays so for the life of one certificate, so that nobody
/// who serves by it meanwhile is cut off: replicas with cert-manager's certificate, or those that outlived the Secret.
fn bootstrap(observed: &ObservedState, now: Timestamp, desired: &DesiredState) -> Result<SecretContents, IssueError> {
    let generation = now.as_second();
    let authority = CertificateAuthority::make(generation, now, &desired.lifetimes)?;
    let pair = authority.issue(&desired.names, now, &desired.lifetimes)?;
    let mut old: Vec<_> =
        observed.bundles.iter().flat_map(|bundle| &bundle.entries).flat_map(|pem| certificates(pem)).collect();
    old.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    old.dedup();
    if old.len() > MAX_INHERITED_AUTHORITIES {
        old.clear();
    }
    let old_until = latest_expiry(now, desired);
    Ok(SecretContents { generation, authority, pair: Some(pair), next: None, old, old_until })
}

/// The next authority signs from here on, and the present one is trusted as long as it may have certificates alive.
fn promote_next_authority(
    contents: SecretContents,
    now: Timestamp,
    desired: &DesiredState,
) -> Result<SecretContents, IssueError> {
    let Some(next) = contents.next.clone() else { return Ok(contents) };
    let pair = next.issue(&desired.names, now, &desired.lifetimes)?;
    let mut until = latest_expiry(now, desired);
    if let Some(certificate) = contents.certificate(now) {
        until = until.max(certificate.not_after);
    }
    if !contents.old.is_empty() {
        until = until.max(contents.old_until);
    }
    let mut old = contents.old;
    old.push(contents.authority.certificate);
    let generation = next_generation(contents.generation, now);
    Ok(SecretContents { generation, authority: next, pair: Some(pair), next: None, old, old_until: until })
}

/// When a certificate that is made by now has certainly expired.
fn latest_expiry(now: Timestamp, desired: &DesiredState) -> Timestamp {
    now.saturating_add(desired.lifetimes.certificate).unwrap_or(Timestamp::MAX)
}

fn next_generation(generation: i64, now: Timestamp) -> i64 {
    now.as_second().max(generation.saturating_add(1))
}

/// Whether two thirds of the life are over.
fn is_renewal_due(not_after: Timestamp, life: SignedDuration, now: Timestamp) -> bool {
    not_after.duration_since(now) <= life / 3
}

fn is_fresh(certificate: Option<&Certificate>, now: Timestamp, desired: &DesiredState) -> bool {
    certificate.is_some_and(|certificate| {
        !is_renewal_due(certificate.not_after, desired.lifetimes.certificate, now)
            && missing_names(certificate, desired).is_empty()
    })
}

/// The wanted names that a certificate does not stand for.
fn missing_names(certificate: &Certificate, desired: &DesiredState) -> Vec<String> {
    let held: Vec<String> = certificate.names.iter().map(|name| canonical_name(name)).collect();
    desired.names.iter().filter(|name| !held.contains(&canonical_name(name))).cloned().collect()
}

/// A name as a certificate holds it: an address in its one spelling, a DNS name in small letters and without the final dot.
fn canonical_name(name: &str) -> String {
    match name.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_string(),
        Err(_) => name.trim_end_matches('.').to_ascii_lowercase(),
    }
}

/// The names of a new certificate. Replicas that want different ones, as in a rollout, get all of them and do not fight;
/// a name that nobody wants any more goes at the next renewal that is due.
fn renewed_names(present: Option<&Certificate>, now: Timestamp, desired: &DesiredState) -> Vec<String> {
    match present {
        Some(present) if !is_renewal_due(present.not_after, desired.lifetimes.certificate, now) => {
            present.names.iter().cloned().chain(missing_names(present, desired)).collect()
        }
        _ => desired.names.clone(),
    }
}
