//! What `doctor` tells.

use std::io::{Result, Write};

use anstyle::Style;
use serde_json::json;

use crate::cli::cluster::{BAD_STYLE, GOOD_STYLE, ODD_STYLE};
use crate::core::doctor::{Check, Status};
use crate::core::text::sanitize_line;

/// Messages of others are in it, which are no longer than a few lines.
const LONGEST: usize = 2000;

/// A line for each check, and what fixes it below. Styles go in as ANSI escapes; the writer strips them where nobody sees colour.
pub(super) fn text(out: &mut impl Write, checks: &[Check]) -> Result<()> {
    let width = checks.iter().map(|check| check.id.name().len()).max().unwrap_or_default();
    for check in checks {
        let (style, sign) = match check.status {
            Status::Sound => (GOOD_STYLE, '✔'),
            Status::Questionable => (ODD_STYLE, '!'),
            Status::Faulty => (BAD_STYLE, '✘'),
            Status::Unknown => (BAD_STYLE, '?'),
            Status::Skipped => (Style::new(), '-'),
        };
        writeln!(out, "{style}{sign}{style:#} {:width$}  {}", check.id.name(), sanitize_line(&check.text, LONGEST))?;
        if let Some(remedy) = &check.remedy {
            writeln!(out, "  {:width$}  → {}", "", sanitize_line(remedy, LONGEST))?;
        }
    }
    writeln!(out, "{}", summary(checks))?;
    out.flush()
}

/// One object.
pub(super) fn json(out: &mut impl Write, checks: &[Check]) -> Result<()> {
    writeln!(out, "{:#}", json!({"checks": checks}))?;
    out.flush()
}

fn summary(checks: &[Check]) -> String {
    let count = |status: Status| checks.iter().filter(|check| check.status == status).count();
    let counts = [
        (count(Status::Faulty), "broken"),
        (count(Status::Unknown), "not to be seen"),
        (count(Status::Questionable), "worth a thought"),
        (count(Status::Skipped), "skipped"),
        (count(Status::Sound), "sound"),
    ];
    let parts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}
