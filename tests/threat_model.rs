//! `docs/threat-model.md` names no test and no file that is not there, and leaves no threat out.

#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "this is test code")]

use std::fs;
use std::path::Path;

/// The threats of SIG Security's paper.
const THREATS: usize = 18;

/// One line under "Shown by": a file, and the tests in it.
fn shown(line: &str) -> (&str, Vec<&str>) {
    let mut quoted = line.split('`').skip(1).step_by(2);
    let file = quoted.next().unwrap_or_else(|| panic!("names no file: {line}"));
    (file, quoted.collect())
}

#[test]
fn each_threat_names_tests_and_files_that_there_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/threat-model.md")).unwrap();
    let threats: Vec<_> = page.split("\n## ").skip(1).collect();
    assert_eq!(threats.len(), THREATS);
    let mut tests = 0;
    for (number, threat) in (1..).zip(threats) {
        assert!(threat.starts_with(&format!("{number}. ")), "{threat}");
        let (said, shows) =
            threat.split_once("\n**Shown by**\n\n").unwrap_or_else(|| panic!("{number}: nothing shows it"));
        let is_out_of_scope = said.contains("Out of scope");
        assert!(is_out_of_scope || said.contains("**Against it.**") && said.contains("**Not.**"), "{said}");
        for line in shows.trim().lines() {
            let (file, names) = shown(line);
            let source =
                fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{number}: {file}: {error}"));
            let is_test = file.starts_with("tests/") && source.contains("#[test]");
            assert!(!names.is_empty() || !is_test, "{number}: {file}: which test?");
            for name in names {
                tests += 1;
                assert!(source.contains(&format!("fn {name}(")), "{number}: {file} has no test {name}");
            }
        }
    }
    assert!(tests > THREATS, "{tests} tests");
}
