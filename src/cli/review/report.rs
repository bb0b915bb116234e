//! What `review` tells a person: verdict, rule, reason, and what would change.

use std::io::{Result, Write};

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

use super::Answered;
use crate::cli::cluster::{BAD_STYLE, GOOD_STYLE, ODD_STYLE};
use crate::core::admission::decision::Verdict;
use crate::core::settings::Mode;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();

/// Writes the report. Styles go in as ANSI escapes; the writer strips them where nobody sees colour.
pub(super) fn write(out: &mut impl Write, answered: &Answered) -> Result<()> {
    let decision = &answered.decision;
    let (style, verdict) = match (&decision.verdict, decision.is_allowed()) {
        (Verdict::Allow, _) => (GOOD_STYLE, "allowed"),
        (Verdict::Deny(_), true) => (ODD_STYLE, "would be denied, allowed by --mode"),
        (Verdict::Deny(_), false) => (BAD_STYLE, "denied"),
    };
    writeln!(out, "{style}{verdict}{style:#}: {}", answered.subject)?;
    writeln!(out, "  rule {}: {}", decision.rule, decision.rule.description())?;
    match &decision.verdict {
        // The warnings of this mode say all that is said here.
        Verdict::Deny(_) if decision.mode == Mode::Warn => {}
        Verdict::Deny(denial) if denial.causes.is_empty() => writeln!(out, "  {}", denial.message)?,
        Verdict::Deny(denial) => denial.causes.iter().try_for_each(|cause| writeln!(out, "  {cause}"))?,
        Verdict::Allow => {}
    }
    for warning in &decision.warnings {
        writeln!(out, "  {ODD_STYLE}warning{ODD_STYLE:#}: {warning}")?;
    }
    if decision.edits.is_empty() {
        return Ok(());
    }
    writeln!(out, "  status would change:")?;
    let [before, after] = &answered.status;
    diff(out, before, after)
}

/// JSON as it stands, but for characters that a terminal would act upon.
fn escape(json: &str) -> String {
    let escaped = |character: char| match character {
        '"' | '\'' | '\\' => character.to_string(),
        _ => character.escape_debug().to_string(),
    };
    json.chars().map(escaped).collect()
}

fn diff(out: &mut impl Write, before: &str, after: &str) -> Result<()> {
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let (sign, style) = match change.tag() {
            ChangeTag::Equal => (' ', Style::new()),
            ChangeTag::Delete => ('-', REMOVED),
            ChangeTag::Insert => ('+', ADDED),
        };
        writeln!(out, "  {style}{sign} {}{style:#}", escape(change.value().trim_end()))?;
    }
    Ok(())
}
