//! Helm, run on the chart.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::render::{Rendered, root};

/// Where the overlays install.
pub(crate) const NAMESPACE: &str = "hobbyfarm-session-webhook";

pub(crate) fn chart() -> PathBuf {
    root().join("manifests/chart")
}

/// Runs Helm 3.
pub(crate) fn helm(arguments: &[&str]) -> Output {
    let output = Command::new("helm").args(arguments).output();
    output.unwrap_or_else(|error| panic!("helm is needed, PATH=$(tests/tools/build helm3):$PATH provides it: {error}"))
}

/// Runs Helm 4.
pub(crate) fn helm4(arguments: &[&str]) -> Output {
    let provider = "HELM4=$(tests/tools/build helm4)/helm";
    let program = std::env::var_os("HELM4").unwrap_or_else(|| panic!("Helm 4 is needed: {provider}"));
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|error| panic!("Helm 4 is needed, {provider}: {error}"))
}

/// The chart's objects, without the hook, for the newest server that this Helm knows.
pub(crate) fn template(arguments: &[&str]) -> Rendered {
    template_of(&chart(), &[&["--no-hooks"], arguments].concat())
}

/// The objects of any chart.
pub(crate) fn template_of(chart: &Path, arguments: &[&str]) -> Rendered {
    template_by(helm, chart, arguments)
}

/// The same by one of the two Helms.
pub(crate) fn template_by(helm: fn(&[&str]) -> Output, chart: &Path, arguments: &[&str]) -> Rendered {
    let chart = chart.to_str().unwrap();
    let output = helm(&[&["template", "release", chart, "--namespace", NAMESPACE], arguments].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "helm template {arguments:?}: {stderr}");
    assert!(stderr.is_empty(), "helm template {arguments:?} warns: {stderr}");
    let text = String::from_utf8(output.stdout).expect("helm writes UTF-8");
    let objects = serde_saphyr::from_multiple(&text).expect("helm writes YAML");
    Rendered { text, objects }
}

/// Neither Helm renders this, and each says all of that.
pub(crate) fn assert_refused(arguments: &[&str], parts: &[&str]) {
    let chart = chart();
    for (helm, version) in [(helm as fn(&[&str]) -> _, 3), (helm4, 4)] {
        let output: Output = helm(&[&["template", "release", chart.to_str().unwrap()], arguments].concat());
        assert!(!output.status.success(), "Helm {version} renders {arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        for part in parts {
            assert!(said.contains(part), "Helm {version}, {arguments:?}: {part} is not in: {said}");
        }
    }
}
