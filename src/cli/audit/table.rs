//! The findings for people: a table, and below it what each kind means and how to repair it.

use std::collections::BTreeMap;
use std::io::{Result, Write};

use anstyle::Style;

use super::Finding;
use super::document::Change;
use crate::cli::cluster::{BAD_STYLE, GOOD_STYLE, ODD_STYLE};
use crate::cluster::audit::Report;
use crate::core::stored::finding::{SessionFinding, Severity};
use crate::core::text::{qualified, sanitize_line};

/// An edit by hand may name many fields; programs get them all.
const LONGEST_FIELD: usize = 40;

const HEADINGS: [&str; 5] = ["SEVERITY", "SESSION", "FINDING", "FIELD", "VALUE"];

/// Writes the whole report. Styles go in as ANSI escapes; the writer strips them where nobody sees colour.
pub(super) fn write(out: &mut impl Write, report: &Report) -> Result<()> {
    let sessions = report.sessions;
    if report.found.is_empty() {
        writeln!(out, "{GOOD_STYLE}nothing found{GOOD_STYLE:#} in {sessions} {}", plural(sessions, "Session"))?;
        return out.flush();
    }
    let rows: Vec<_> = report.found.iter().map(|found| row(&Finding::new(found))).collect();
    let mut widths = HEADINGS.map(|heading| heading.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_row(out, &HEADINGS.map(str::to_owned), &widths, Style::new())?;
    for (row, found) in rows.iter().zip(&report.found) {
        write_row(out, row, &widths, style(found.finding.severity()))?;
    }
    let errors = report.found.iter().filter(|found| found.finding.severity() == Severity::Error).count() as u64;
    let warnings = report.found.len() as u64 - errors;
    writeln!(
        out,
        "\n{errors} {}, {warnings} {} in {sessions} {}",
        plural(errors, "error"),
        plural(warnings, "warning"),
        plural(sessions, "Session")
    )?;
    legend(out, &report.found)?;
    out.flush()
}

/// One line that `--watch` adds.
pub(super) fn write_change(out: &mut impl Write, change: &Change<'_>) -> Result<()> {
    let (sign, style) = if change.what == "gone" { ('-', GOOD_STYLE) } else { ('+', BAD_STYLE) };
    writeln!(out, "{style}{sign}{style:#} {}", row(&change.finding).join("  "))
}

fn row(finding: &Finding<'_>) -> [String; 5] {
    let Finding { severity, kind, namespace, name, field, value, .. } = finding;
    let session = qualified(namespace, name).into_owned();
    [
        (*severity).to_owned(),
        session,
        (*kind).to_owned(),
        sanitize_line(field, LONGEST_FIELD).into_owned(),
        (*value).to_owned(),
    ]
}

fn write_row(out: &mut impl Write, row: &[String; 5], widths: &[usize; 5], style: Style) -> Result<()> {
    let [severity, cells @ .., last] = row;
    let [width, widths @ .., _] = widths;
    write!(out, "{style}{severity:width$}{style:#}")?;
    for (cell, width) in cells.iter().zip(widths) {
        write!(out, "  {cell:width$}")?;
    }
    writeln!(out, "  {last}")
}

/// What was found means, once for each kind.
fn legend(out: &mut impl Write, found: &[SessionFinding]) -> Result<()> {
    let mut meanings = BTreeMap::new();
    for found in found {
        let finding = &found.finding;
        meanings.entry((finding.severity(), finding.kind)).or_insert((finding.meaning(), finding.kind.remedy()));
    }
    for ((severity, kind), (meaning, remedy)) in meanings {
        let style = style(severity);
        writeln!(out, "\n{style}{kind}{style:#}: {meaning}\n  To repair it: {remedy}.")?;
    }
    Ok(())
}

const fn style(severity: Severity) -> Style {
    match severity {
        Severity::Error => BAD_STYLE,
        Severity::Warning => ODD_STYLE,
    }
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
