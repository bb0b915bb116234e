//! What `review` tells a person: verdict, rule, reason, and what would change.

use std::io::{Result, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{Answered, repaired};
use crate::cli::cluster::{BAD, GOOD, ODD};
use crate::core::admission::decision::Verdict;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();

/// Writes the report. Styles go in as ANSI escapes; the writer strips them where nobody sees colour.
pub(super) fn write(out: &mut impl Write, answered: &Answered) -> Result<()> {
    let decision = &answered.decision;
    let (style, verdict) = match (&decision.verdict, decision.is_allowed()) {
        (Verdict::Allow, _) => (GOOD, "allowed"),
        (Verdict::Deny(_), true) => (ODD, "would be denied, allowed by --mode"),
        (Verdict::Deny(_), false) => (BAD, "denied"),
    };
    writeln!(out, "{style}{verdict}{style:#}: {}", answered.subject)?;
    writeln!(out, "  rule {}: {}", decision.rule, decision.rule.description())?;
    if let Verdict::Deny(refusal) = &decision.verdict {
        writeln!(out, "  {}", refusal.message)?;
    }
    for warning in &decision.warnings {
        writeln!(out, "  {ODD}warning{ODD:#}: {warning}")?;
    }
    if decision.edits.is_empty() {
        return Ok(());
    }
    writeln!(out, "  status would change:")?;
    diff(out, &status(&answered.object), &status(&repaired(&answered.object, decision)))
}

fn status(object: &Value) -> String {
    object.get("status").and_then(|status| serde_json::to_string_pretty(status).ok()).unwrap_or_default()
}

fn diff(out: &mut impl Write, before: &str, after: &str) -> Result<()> {
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let (sign, style) = match change.tag() {
            ChangeTag::Equal => (' ', Style::new()),
            ChangeTag::Delete => ('-', REMOVED),
            ChangeTag::Insert => ('+', ADDED),
        };
        writeln!(out, "  {style}{sign} {}{style:#}", change.value().trim_end())?;
    }
    Ok(())
}
