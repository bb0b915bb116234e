//! Audit: every Session of a cluster judged by [`crate::core::stored::audit`].

pub mod fix;
pub mod periodic;
mod references;

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use kube::Client;
use thiserror::Error;

use self::references::Durations;
use super::client::{describe, is_answer};
use super::pages::{Listing, Page};
use super::served_versions::other_versions;
use super::sessions::{PAGE, Sessions};
use crate::core::admission::review::RESOURCE;
use crate::core::session::Session;
use crate::core::settings::Settings;
use crate::core::stored::audit::Audit;
use crate::core::stored::finding::{FindingKind, SessionFinding};

/// More findings than this of things that are gone are not asked about a second time.
const MAX_CONFIRMATIONS: usize = 1000;

/// What is to be looked at.
#[derive(Debug, Clone)]
pub struct Scope {
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// `--dialect` and the timeouts count.
    pub settings: Settings,
    /// `--backfill-after`: younger Sessions may still lack their times.
    pub after: SignedDuration,
}

/// What an audit came to.
#[derive(Debug, Default)]
pub struct Report {
    /// How many Sessions were judged.
    pub sessions: u64,
    /// What is wrong with them.
    pub found: Vec<SessionFinding>,
    /// What could not be looked at.
    pub skipped: Vec<SkippedResource>,
}

/// Something that an audit had to do without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedResource {
    /// The resource.
    pub what: &'static str,
    /// Why, on one line.
    pub reason: String,
    /// Whether findings may be missing for it.
    pub may_hide_findings: bool,
}

/// Why an audit came to nothing.
#[derive(Debug, Error)]
pub enum AuditError {
    /// HobbyFarm is not installed here.
    #[error(
        "the cluster serves no {RESOURCE} of hobbyfarm.io: HobbyFarm is not installed there, or --context names another cluster"
    )]
    NoDefinition,
    /// A list was refused.
    #[error("{message}; grant `list` on {what} of hobbyfarm.io, or look at one namespace with -n")]
    Forbidden {
        /// The resource.
        what: &'static str,
        /// What the API server says.
        message: String,
    },
    /// A list could not be read.
    #[error("listing {what}: {}", describe(cause))]
    List {
        /// The resource.
        what: &'static str,
        /// What the API server says, or that it does not answer.
        cause: Box<kube::Error>,
    },
}

impl AuditError {
    fn list(what: &'static str, cause: kube::Error) -> Self {
        match cause {
            kube::Error::Api(status) if status.code == 403 => {
                Self::Forbidden { what, message: describe(&kube::Error::Api(status)) }
            }
            cause => Self::List { what, cause: Box::new(cause) },
        }
    }

    /// The API server did not tell which resources there are.
    pub fn definition(cause: kube::Error) -> Self {
        Self::list(RESOURCE, cause)
    }

    /// Whether the API server has answered, be it with a refusal.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::NoDefinition | Self::Forbidden { .. } => true,
            Self::List { cause, .. } => is_answer(cause),
        }
    }

    /// Whether the list took longer than the API server remembers it.
    fn is_expired(&self) -> bool {
        matches!(self, Self::List { cause, .. } if matches!(&**cause, kube::Error::Api(status) if status.code == 410))
    }
}

impl Report {
    /// How many findings there are of each kind, those that do not occur included.
    pub fn by_kind(&self) -> BTreeMap<FindingKind, usize> {
        let mut counts: BTreeMap<_, _> = FindingKind::ALL.iter().map(|kind| (*kind, 0)).collect();
        for found in &self.found {
            *counts.entry(found.finding.kind).or_default() += 1;
        }
        counts
    }
}

/// Judges every Session in scope. `progress` is told how many are done, and of how many.
///
/// # Errors
///
/// [`AuditError`] when Sessions cannot be listed, or the API server does not answer.
pub async fn audit_sessions(
    client: &Client,
    scope: &Scope,
    now: Timestamp,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, AuditError> {
    match audit_once(client, scope, now, &mut progress).await {
        // Somebody has compacted the history meanwhile: everything anew.
        Err(error) if error.is_expired() => audit_once(client, scope, now, &mut progress).await,
        looked => looked,
    }
}

async fn audit_once(
    client: &Client,
    scope: &Scope,
    now: Timestamp,
    progress: &mut impl FnMut(u64, u64),
) -> Result<Report, AuditError> {
    let namespace = scope.namespace.as_deref();
    let versions = references::versions(client).await.map_err(|source| AuditError::list(RESOURCE, source))?;
    if !versions.contains_key(RESOURCE) {
        return Err(AuditError::NoDefinition);
    }
    let discovered = Sessions::discover(client).await.map_err(|source| AuditError::list(RESOURCE, source))?;
    let others = other_versions(client).await.map_err(|source| AuditError::list(RESOURCE, source))?;
    let Some(sessions) = discovered else {
        let reason = format!("served as {} alone, about which there is nothing to judge", others.join(", "));
        let skipped = vec![SkippedResource { what: RESOURCE, reason, may_hide_findings: false }];
        return Ok(Report { skipped, ..Report::default() });
    };
    let namespace = namespace.filter(|_| sessions.namespaced);
    let (referenced, mut skipped) = references::read(client, &versions, namespace).await?;
    if !others.is_empty() {
        let reason = format!("served as {} too: judged as v1, and never written to", others.join(", "));
        skipped.push(SkippedResource { what: RESOURCE, reason, may_hide_findings: false });
    }
    // Types beat any guess.
    let settings = Settings { dialect: scope.settings.dialect.or(sessions.dialect), ..scope.settings.clone() };
    let mut audit = Audit::new(&settings, scope.after, referenced, now.into());
    let mut report = Report { skipped, ..Report::default() };
    let version = sessions.resource().api_version.clone();
    let listing = Listing { path: references::path(&version, namespace, RESOURCE), page: PAGE, metadata_only: false };
    let durations = Durations::new(client, &versions);
    judge_all(client, &listing, durations, &mut audit, &mut report, progress).await?;
    report.found.extend(audit.duplicates());
    confirm_dangling(client, &versions, &mut report, progress).await;
    report.found.sort_by(|one, other| key(one).cmp(&key(other)));
    Ok(report)
}

/// Judges page by page, so that no more than one is held.
async fn judge_all(
    client: &Client,
    listing: &Listing,
    mut durations: Durations<'_>,
    audit: &mut Audit<'_>,
    report: &mut Report,
    progress: &mut impl FnMut(u64, u64),
) -> Result<(), AuditError> {
    let failed = |source| AuditError::list(RESOURCE, source);
    let mut pages = listing.pages();
    loop {
        let text = pages.fetch(client).await.map_err(failed)?;
        let page = Page::read(&text).map_err(failed)?;
        let sessions: Vec<_> = page.items.iter().filter_map(|item| Session::read(item).ok()).collect();
        durations.read(&sessions, &mut audit.referenced, &mut report.skipped).await?;
        for session in &sessions {
            report.found.extend(audit.judge(session));
        }
        report.sessions += page.items.len() as u64;
        progress(report.sessions, report.sessions + page.remaining());
        if !pages.turn(&page) {
            return Ok(());
        }
    }
}

/// The worst first, then by name.
fn key(found: &SessionFinding) -> impl Ord {
    let SessionFinding { namespace, name, finding } = found;
    (finding.severity(), finding.kind, namespace.clone(), name.clone(), finding.field.clone())
}

/// Drops what has come into being since it was not found.
async fn confirm_dangling(
    client: &Client,
    versions: &HashMap<String, String>,
    report: &mut Report,
    progress: &mut impl FnMut(u64, u64),
) {
    let is_about_a_name = |found: &SessionFinding| found.finding.kind == FindingKind::DanglingReference;
    if report.found.iter().filter(|found| is_about_a_name(found)).count() > MAX_CONFIRMATIONS {
        return;
    }
    for one in std::mem::take(&mut report.found) {
        if !is_about_a_name(&one) || references::is_dangling(client, versions, &one).await {
            report.found.push(one);
        }
        progress(report.sessions, report.sessions);
    }
}
