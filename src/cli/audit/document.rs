//! The findings for programs: what `--output json` and `--output yaml` print.

use jiff::Timestamp;
use serde::Serialize;

use super::repairs::Fix;
use crate::cluster::audit::Report;
use crate::core::stored::finding::SessionFinding;

/// One look.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document<'a> {
    /// How many Sessions were judged.
    sessions: u64,
    findings: Vec<Finding<'a>>,
    /// What `--fix` did.
    #[serde(skip_serializing_if = "Option::is_none")]
    fixes: Option<&'a [Fix]>,
    /// What could not be looked at, so that findings may be missing.
    not_looked_at: Vec<SkippedResource<'a>>,
}

/// One thing that is wrong.
#[derive(Serialize)]
pub(super) struct Finding<'a> {
    pub(super) severity: &'static str,
    pub(super) kind: &'static str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) field: &'a str,
    pub(super) value: &'a str,
    pub(super) meaning: &'static str,
    pub(super) remedy: &'static str,
}

#[derive(Serialize)]
struct SkippedResource<'a> {
    resource: &'a str,
    reason: &'a str,
}

/// What `--watch` tells.
#[derive(Serialize)]
pub(super) struct Change<'a> {
    time: Timestamp,
    /// `appeared` or `gone`.
    #[serde(rename = "change")]
    pub(super) what: &'static str,
    #[serde(flatten)]
    pub(super) finding: Finding<'a>,
}

impl<'a> Document<'a> {
    pub(super) fn new(report: &'a Report, fixes: Option<&'a [Fix]>) -> Self {
        let gaps = report.skipped.iter().filter(|skipped| skipped.may_hide_findings);
        Self {
            sessions: report.sessions,
            findings: report.found.iter().map(Finding::new).collect(),
            fixes,
            not_looked_at: gaps
                .map(|skipped| SkippedResource { resource: skipped.what, reason: &skipped.reason })
                .collect(),
        }
    }
}

impl<'a> Finding<'a> {
    pub(super) fn new(found: &'a SessionFinding) -> Self {
        let SessionFinding { namespace, name, finding } = found;
        Self {
            severity: finding.severity().name(),
            kind: finding.kind.name(),
            namespace,
            name,
            field: &finding.field,
            value: &finding.value,
            meaning: finding.meaning(),
            remedy: finding.kind.remedy(),
        }
    }
}

impl<'a> Change<'a> {
    pub(super) fn appeared(time: Timestamp, found: &'a SessionFinding) -> Self {
        Self { time, what: "appeared", finding: Finding::new(found) }
    }

    pub(super) fn gone(time: Timestamp, found: &'a SessionFinding) -> Self {
        Self { time, what: "gone", finding: Finding::new(found) }
    }
}
