//! What a release needs: workflows without mistakes, and notes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn workflows() -> Vec<PathBuf> {
    fs::read_dir(root().join(".github/workflows")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_workflows_have_no_mistake_that_actionlint_finds() {
    let built = Command::new(root().join("tests/tools/build")).arg("actionlint").output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let actionlint = Path::new(String::from_utf8(built.stdout).unwrap().trim()).join("actionlint");
    let check = |files: &[PathBuf]| Command::new(&actionlint).args(files).output().unwrap();
    let output = check(&workflows());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // One that takes everything proves nothing.
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.yaml");
    fs::write(
        &broken,
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ gihub.ref }}\n",
    )
    .unwrap();
    assert!(!check(&[broken]).status.success());
}

#[test]
fn every_action_is_pinned_to_a_commit() {
    let pinned = regex::Regex::new(r"uses: [\w./-]+@[0-9a-f]{40} # v\d").unwrap();
    let mut seen = 0;
    for file in workflows() {
        for line in fs::read_to_string(file).unwrap().lines().filter(|line| line.contains("uses: ")) {
            seen += 1;
            assert!(pinned.is_match(line), "{line}");
        }
    }
    assert!(seen >= 5);
}

#[test]
fn every_script_that_the_workflows_call_is_there() {
    let script = regex::Regex::new(r"(?m)(?:^|[ (])((?:scripts|tests|\.ci)/[\w/-]+)").unwrap();
    let mut seen = 0;
    for file in workflows() {
        let text = fs::read_to_string(file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
        for found in script.captures_iter(&code) {
            seen += 1;
            assert!(root().join(&found[1]).is_file(), "{}", &found[1]);
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// The commands of a step of a workflow.
fn commands(workflow: &str, step: &str) -> String {
    let text = fs::read_to_string(root().join(".github/workflows").join(workflow)).unwrap();
    let workflow: Value = serde_saphyr::from_str(&text).unwrap();
    let steps = workflow["jobs"].as_object().unwrap().values().flat_map(|job| job["steps"].as_array().unwrap());
    let step = steps.clone().find(|found| found["name"] == step).unwrap_or_else(|| panic!("there is no step {step}"));
    step["run"].as_str().unwrap().to_owned()
}

/// What the workflow does before it pushes anything.
#[test]
fn the_chart_of_a_release_names_the_image_that_was_pushed() {
    const IMAGE: &str = "registry.example.org/hobbyfarm-session-webhook";
    let folder = tempfile::tempdir().unwrap();
    let copied = Command::new("cp").arg("-r").arg(root().join("manifests")).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let commands = commands("release.yaml", "Chart, with the image by its digest");
    let (commands, _) = commands.split_once("helm push ").unwrap();
    let digest = format!("sha256:{}", "5".repeat(64));
    let output = Command::new("bash")
        .args(["-eo", "pipefail", "-c", commands])
        .envs([("IMAGE", IMAGE), ("DIGEST", &digest), ("GITHUB_REF_NAME", "v9.8.7")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let archive = folder.path().join("hobbyfarm-session-webhook-9.8.7.tgz");
    let show = |what: &str| {
        let output = Command::new("helm").args(["show", what]).arg(&archive).output().unwrap();
        serde_saphyr::from_str::<Value>(&String::from_utf8(output.stdout).unwrap()).unwrap()
    };
    let (chart, values) = (show("chart"), show("values"));
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!("9.8.7"), &json!("9.8.7")));
    let image = &values["image"];
    assert_eq!((&image["repository"], &image["digest"], &image["tag"]), (&json!(IMAGE), &json!(digest), &json!("")));
    assert!(chart["annotations"]["artifacthub.io/images"].as_str().unwrap().contains(&format!("{IMAGE}@{digest}\n")));
}

fn notes(version: &str, changelog: &Path) -> Output {
    Command::new(root().join("scripts/release-notes")).arg(version).arg(changelog).output().unwrap()
}

#[test]
fn the_notes_of_a_release_are_its_section_of_the_changelog() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("CHANGELOG.md");
    let text = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- This.\n\n## [0.2.0-rc.1] - 2026-11-30\n\n- That.\n\n## [0.1.0] - 2026-11-24\n\n";
    fs::write(&file, text).unwrap();
    let output = notes("0.2.0", &file);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "### Added\n\n- This.");
    for version in ["0.3.0", "0.1.0", "0.2"] {
        let output = notes(version, &file);
        assert_eq!(output.status.code(), Some(1), "{version}: missing, or empty");
        assert!(String::from_utf8(output.stderr).unwrap().contains("has no section"), "{version}");
    }
}
