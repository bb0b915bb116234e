//! The documentation holds together: no link leads nowhere, no page is missing from the book, and man pages name every option.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "this is test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

#[path = "support/kubernetes_versions.rs"]
mod kubernetes_versions;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All pages below a folder.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// The text and the links of a page, without what stands in code.
fn links(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let code = Regex::new(r"(?s)```.*?```|`[^`\n]*`").unwrap();
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    link.captures_iter(&code.replace_all(&text, "")).map(|found| found[1].to_owned()).collect()
}

/// The anchors that a page has, made of its headings as forges and the book make them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let letters = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .collect::<String>();
        letters.replace(' ', "-")
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = pages(&root().join("docs"));
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "manifests/README.md", "certs/README.md"]
            .map(|page| root().join(page)),
    );
    let mut seen = 0;
    for page in pages {
        for link in links(&page) {
            if link.starts_with("https://") {
                continue;
            }
            seen += 1;
            let (path, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(path, anchor)| (path, Some(anchor)));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(anchor) = anchor {
                assert!(anchors(&target).contains(anchor), "{}: {link}", page.display());
            }
            // The book holds `docs` and nothing else.
            let leaves = page.starts_with(root().join("docs"))
                && !target.canonicalize().unwrap().starts_with(root().join("docs").canonicalize().unwrap());
            assert!(!leaves, "{}: {link} leads out of the book", page.display());
        }
    }
    assert!(seen > 50, "only {seen} links");
}

#[test]
fn the_book_has_every_page() {
    let docs = root().join("docs");
    let listed: BTreeSet<_> = links(&docs.join("SUMMARY.md")).into_iter().map(|link| docs.join(link)).collect();
    let there: BTreeSet<_> = pages(&docs).into_iter().filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, there);
}

#[test]
fn the_man_pages_name_every_command_and_option() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = session_webhook::cli::command();
    clap_mangen::generate_to(command.clone(), &folder).unwrap();
    command.build();
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let page = folder.path().join(format!("session-webhook-{}.1", sub.get_name()));
        let page = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for long in sub.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
            let written = format!("\\-\\-{}", long.replace('-', "\\-"));
            assert!(page.contains(&written), "{}: --{long}", sub.get_name());
        }
    }
}

#[test]
fn the_range_of_versions_says_which_are_tested() {
    let [oldest, newest] = kubernetes_versions::TESTED;
    let tested =
        Regex::new(&format!("Kubernetes {oldest} (or|and) later, tested on {oldest} and {newest}\\b")).unwrap();
    for page in ["README.md", "docs/install.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert!(tested.is_match(&text), "{page}");
    }
    // Each is what tests/control-plane provides.
    let script = fs::read_to_string(root().join("tests/control-plane")).unwrap();
    for version in kubernetes_versions::TESTED {
        assert!(script.contains(&format!("\n  {version}) ")), "{version}");
    }
    let module = fs::read_to_string(root().join("tests/tools/kubernetes/go.mod")).unwrap();
    assert!(module.contains(&format!("\tk8s.io/kubernetes v{newest}.")), "tests/tools builds {newest}");
}
