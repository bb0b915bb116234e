//! What the documentation says of rules, options and metrics is what the program says.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

use std::fmt::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use clap::Arg;
use session_webhook::core::admission::rule::Rule;
use session_webhook::core::stored::finding::FindingKind;
use session_webhook::metrics::{Description, Metrics};

/// Holds the part of the page between `<!-- name -->` and `<!-- /name -->` against the program. With `UPDATE_README=1` in
/// the environment the page is renewed instead.
fn hold(page: &str, name: &str, expected: &str) {
    // One renews after the other.
    static PAGES: Mutex<()> = Mutex::new(());
    let _guard = PAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n")).unwrap();
    let (part, after) = rest.split_once(&format!("<!-- /{name} -->")).unwrap();
    if std::env::var_os("UPDATE_README").is_some() {
        let renewed = format!("{before}<!-- {name} -->\n{expected}<!-- /{name} -->{after}");
        std::fs::write(path, renewed).unwrap();
    } else {
        assert_eq!(part, expected, "{page} says otherwise; UPDATE_README=1 cargo test --test readme renews it");
    }
}

#[test]
fn the_table_of_rules_is_the_list_of_rules() {
    let mut table = "| rule | |\n|---|---|\n".to_owned();
    for rule in Rule::ALL {
        writeln!(table, "| `{rule}` | {} |", rule.description()).unwrap();
    }
    hold("README.md", "rules", &table);
    hold("docs/rules.md", "rules", &table);
}

#[test]
fn the_table_of_findings_is_what_an_audit_can_find() {
    let mut table = "| finding | severity | |\n|---|---|---|\n".to_owned();
    for kind in FindingKind::ALL {
        writeln!(table, "| `{kind}` | {} | {} |", kind.severity().name(), kind.meaning()).unwrap();
    }
    hold("docs/audit.md", "findings", &table);
}

#[test]
fn the_table_of_options_is_what_serve_takes() {
    let command = session_webhook::cli::command();
    let serve = command.find_subcommand("serve").unwrap();
    let mut table = "| option | default | |\n|---|---|---|\n".to_owned();
    for arg in serve.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help") {
        let (name, help) = (arg.get_long().unwrap(), arg.get_help().unwrap());
        writeln!(table, "| `--{name}` | {} | {help}{} |", default(arg), accepted(arg)).unwrap();
    }
    hold("docs/configuration.md", "options", &table);
}

#[test]
fn the_commands_say_what_their_help_says() {
    let mut page = String::new();
    for command in session_webhook::cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("session-webhook {}", command.get_name());
        // The width is fixed, or the page would depend on the terminal of whoever writes it.
        let help =
            command.clone().bin_name(&name).term_width(110).disable_help_flag(true).render_long_help().to_string();
        let lines: Vec<_> = help.lines().map(str::trim_end).collect();
        writeln!(page, "## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()).unwrap();
    }
    hold("docs/commands.md", "commands", &page);
}

#[test]
fn the_table_of_metrics_is_what_is_measured() {
    let mut table = "| metric | kind | labels | |\n|---|---|---|---|\n".to_owned();
    for Description { name, kind, labels, help } in Metrics::new("", "").descriptions() {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{name}` | {kind} | {} | {help} |", labels.join(", ")).unwrap();
    }
    hold("docs/metrics.md", "metrics", &table);
}

fn default(arg: &Arg) -> String {
    let values = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_str().unwrap()));
    values.collect::<Vec<_>>().join(", ")
}

/// The words that an option accepts, where they are few.
fn accepted(arg: &Arg) -> String {
    let words: Vec<_> = arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
}

#[test]
fn every_option_is_a_flag_a_variable_and_a_key() {
    let command = session_webhook::cli::command();
    for arg in command.find_subcommand("serve").unwrap().get_arguments().filter(|arg| arg.get_id() != "help") {
        let variable = format!("SESSION_WEBHOOK_{}", arg.get_long().unwrap().to_uppercase().replace('-', "_"));
        assert_eq!(arg.get_env().and_then(|variable| variable.to_str()), Some(variable.as_str()));
    }
}
