//! `audit --fix`: what the backfill would write, written by the calling user.

use jiff::Timestamp;
use kube::Client;
use tokio::sync::RwLock;

use super::Scope;
use crate::cluster::client::{describe, is_invalid};
use crate::cluster::repair_planner::RepairPlanner;
use crate::cluster::served_versions::other_versions;
use crate::cluster::sessions::{Sessions, WriteOutcome};
use crate::core::admission::normalize::Edit;
use crate::core::session::Session;
use crate::core::stored::backfill::{RepairPlan, Unparsable};
use crate::core::stored::finding::SessionFinding;

/// Attempts at one Session that others write as well.
const ATTEMPTS: usize = 3;

/// What came of one Session.
#[derive(Debug, Clone, PartialEq)]
pub enum FixOutcome {
    /// It is written, or would be in a dry run, with these changes.
    Written(Vec<Edit>),
    /// It has usable times by now.
    NotNeeded,
    /// It is there no more.
    Gone,
    /// Why not: what the API server or a webhook says.
    Refused(String),
}

/// Writes to Sessions.
pub struct Fixer<'a> {
    client: &'a Client,
    sessions: RwLock<Sessions>,
    planner: RepairPlanner<'a>,
    /// In which Sessions are served besides v1: where there are any, nothing is written.
    pub other_versions: Vec<String>,
}

impl<'a> Fixer<'a> {
    /// Finds out how Sessions are written; `None` where the cluster has none.
    ///
    /// # Errors
    ///
    /// What the API server says, or that it does not answer.
    pub async fn new(
        client: &'a Client,
        scope: &'a Scope,
        unparsable: Unparsable,
        clock: fn() -> Timestamp,
    ) -> kube::Result<Option<Self>> {
        let Some(sessions) = Sessions::discover(client).await? else { return Ok(None) };
        let planner = RepairPlanner { settings: &scope.settings, schema: sessions.dialect, unparsable, clock };
        let other_versions = other_versions(client).await?;
        Ok(Some(Self { client, sessions: RwLock::new(sessions), planner, other_versions }))
    }

    /// Gives one Session its times; in a dry run the API server and all webhooks are asked, and nothing is stored.
    pub async fn fix(&self, namespace: &str, name: &str, dry_run: bool) -> FixOutcome {
        for _ in 0..ATTEMPTS {
            match self.attempt(namespace, name, dry_run).await {
                Ok(Some(fixed)) => return fixed,
                Ok(None) => {}
                Err(error) => return FixOutcome::Refused(describe(&error)),
            }
        }
        FixOutcome::Refused(
            "after several attempts the times are still not stored: somebody else writes it all the time, or a webhook or the \
             definition drops them"
                .to_owned(),
        )
    }

    /// Nothing when another attempt may succeed.
    async fn attempt(&self, namespace: &str, name: &str, dry_run: bool) -> kube::Result<Option<FixOutcome>> {
        let sessions = self.sessions.read().await.clone();
        let planner = self.planner.with_schema(sessions.dialect);
        let Some(object) = sessions.api(Some(namespace)).get_opt(name).await? else {
            return Ok(Some(FixOutcome::Gone));
        };
        let Ok(session) = Session::read(object.raw()) else {
            return Ok(Some(FixOutcome::Refused("it cannot be read".to_owned())));
        };
        let first = planner.plan(&session);
        if first.edits.is_empty() {
            let stays = !first.unparsable.is_empty();
            let kept = || FixOutcome::Refused("--backfill-unparsable=false leaves what nobody can read".to_owned());
            return Ok(Some(if stays { kept() } else { FixOutcome::NotNeeded }));
        }
        let (RepairPlan { edits, status_is_missing, .. }, _) =
            planner.plan_with_keep_alive(self.client, namespace, &session, first).await?;
        match sessions.write(&object, &edits, status_is_missing, dry_run).await {
            Ok(WriteOutcome::Stored(stored)) if planner.is_repaired(&stored) => Ok(Some(FixOutcome::Written(edits))),
            // The definition has got or lost its status subresource, or has other types, since it was looked at.
            Ok(WriteOutcome::Stored(_) | WriteOutcome::Gone) => self.rediscover().await,
            Err(error) if is_invalid(&error) => {
                let rediscovered = self.rediscover().await?;
                let is_another = self.sessions.read().await.dialect != sessions.dialect;
                if is_another { Ok(rediscovered) } else { Err(error) }
            }
            Ok(WriteOutcome::Conflict) => Ok(None),
            Ok(WriteOutcome::OtherVersions(others)) => Ok(Some(FixOutcome::Refused(refusal(&others)))),
            Err(error) => Err(error),
        }
    }

    /// Looks at the definition once more.
    async fn rediscover(&self) -> kube::Result<Option<FixOutcome>> {
        match Sessions::discover(self.client).await? {
            Some(sessions) => *self.sessions.write().await = sessions,
            None => return Ok(Some(FixOutcome::Gone)),
        }
        Ok(None)
    }
}

/// Why nothing is written where Sessions are served in these versions too.
pub fn refusal(others: &[String]) -> String {
    format!(
        "sessions are served as {} too: a write through v1 would prune what an object of that version holds",
        others.join(", ")
    )
}

/// The Sessions among these that can be repaired, each once: namespace and name.
pub fn candidates(found: &[SessionFinding]) -> Vec<(&str, &str)> {
    let mut sessions: Vec<_> = found
        .iter()
        .filter(|found| found.finding.kind.is_repaired_by_backfill())
        .map(|found| (found.namespace.as_str(), found.name.as_str()))
        .collect();
    sessions.sort_unstable();
    sessions.dedup();
    sessions
}
