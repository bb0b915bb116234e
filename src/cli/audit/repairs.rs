//! `audit --fix`: a dry run of all, a question, the writes.

use std::io::{BufRead, Write};

use anyhow::Context;
use serde::Serialize;

use crate::cli::cluster::{BAD_STYLE, GOOD_STYLE, ODD_STYLE, attempt};
use crate::cluster::audit::fix::{FixOutcome, Fixer, candidates, refusal};
use crate::cluster::client::ApiServer;
use crate::core::admission::normalize::Edit;
use crate::core::stored::finding::SessionFinding;
use crate::core::text::{qualified, sanitize_line};

/// Refusals of webhooks are under 500 characters, and the API server adds a few.
const LONGEST_REASON: usize = 700;

/// What came of one Session.
#[derive(Debug, Serialize)]
pub(super) struct Fix {
    namespace: String,
    name: String,
    /// `repaired`, `needless`, `gone`, `refused`, or `not written` after a no.
    result: &'static str,
    /// The fields, each with its new value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Changed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct Changed {
    field: &'static str,
    value: serde_json::Value,
}

impl Fix {
    fn new(namespace: &str, name: &str, fixed: FixOutcome) -> Self {
        let (result, edits, reason) = match fixed {
            FixOutcome::Written(edits) => ("repaired", edits, None),
            FixOutcome::NotNeeded => ("needless", Vec::new(), None),
            FixOutcome::Gone => ("gone", Vec::new(), None),
            FixOutcome::Refused(reason) => {
                ("refused", Vec::new(), Some(sanitize_line(&reason, LONGEST_REASON).into_owned()))
            }
        };
        let changed = |edit: Edit| Changed { field: edit.field.path(), value: edit.value };
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            result,
            changes: edits.into_iter().map(changed).collect(),
            reason,
        }
    }

    /// Whether its times are usable now.
    pub(super) fn is_repaired(&self) -> bool {
        matches!(self.result, "repaired" | "needless" | "gone")
    }

    /// Whether it is about the Session of a finding.
    pub(super) fn is_about(&self, found: &SessionFinding) -> bool {
        self.namespace == found.namespace && self.name == found.name
    }
}

/// Repairs what the backfill would. Everything but the result goes to standard error.
///
/// # Errors
///
/// When nobody can be asked, and when the API server answers nothing for too long.
pub(super) async fn repair(
    server: &ApiServer,
    fixer: &Fixer<'_>,
    found: &[SessionFinding],
    yes: bool,
) -> anyhow::Result<Vec<Fix>> {
    let mut err = anstream::stderr();
    if !fixer.other_versions.is_empty() {
        drop(writeln!(err, "nothing is written: {}", refusal(&fixer.other_versions)));
        return Ok(Vec::new());
    }
    let sessions = candidates(found);
    let mut tried = Vec::with_capacity(sessions.len());
    for (namespace, name) in sessions {
        let fix = Fix::new(namespace, name, attempt(server, fixer.fix(namespace, name, true)).await?);
        drop(write_fix(&mut err, &fix, true));
        tried.push(fix);
    }
    let writable = tried.iter().filter(|fix| fix.result == "repaired").count();
    let may = writable > 0 && (yes || ask(&mut err, writable)?);
    for fix in tried.iter_mut().filter(|fix| fix.result == "repaired") {
        if may {
            *fix = Fix::new(
                &fix.namespace,
                &fix.name,
                attempt(server, fixer.fix(&fix.namespace, &fix.name, false)).await?,
            );
            drop(write_fix(&mut err, fix, false));
        } else {
            fix.result = "not written";
        }
    }
    Ok(tried)
}

fn ask(err: &mut impl Write, sessions: usize) -> anyhow::Result<bool> {
    write!(err, "Write {sessions} {}? [y/N] ", if sessions == 1 { "Session" } else { "Sessions" })?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("standard input")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// What comes of a Session, or would.
fn write_fix(err: &mut impl Write, fix: &Fix, dry_run: bool) -> std::io::Result<()> {
    let Fix { namespace, name, result, changes, reason } = fix;
    let (style, word) = match (*result, dry_run) {
        ("repaired", true) => (GOOD_STYLE, "can be repaired"),
        ("refused", _) => (BAD_STYLE, "refused"),
        ("needless", _) => (ODD_STYLE, "needs nothing any more"),
        ("gone", _) => (ODD_STYLE, "is there no more"),
        (result, _) => (GOOD_STYLE, result),
    };
    let detail = match reason {
        Some(reason) => format!(": {reason}"),
        None if dry_run && !changes.is_empty() => {
            let changes: Vec<_> = changes.iter().map(|change| format!("{} = {}", change.field, change.value)).collect();
            format!(": {}", changes.join(", "))
        }
        None => String::new(),
    };
    writeln!(err, "{} {style}{word}{style:#}{detail}", qualified(namespace, name))
}
