//! Tells the program which commit it is built from.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=SESSION_WEBHOOK_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    // Both change with a checkout or a commit, and with nothing else. A path that is not there would mean a build at
    // each call.
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", file])
            && std::path::Path::new(&path).exists()
        {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let given = std::env::var_os("SESSION_WEBHOOK_COMMIT").and_then(|commit| commit.into_string().ok());
    let commit = given.filter(|commit| !commit.is_empty()).or_else(commit).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=SESSION_WEBHOOK_COMMIT={commit}");
}

fn commit() -> Option<String> {
    // A prefix means that the sources lie inside some other repository.
    git(&["rev-parse", "--show-prefix"]).filter(String::is_empty)?;
    git(&["rev-parse", "--short", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
