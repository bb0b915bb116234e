//! The direction of dependencies: the core names neither the shell nor anything that is not pure.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "this is test code")]

use std::path::{Path, PathBuf};

const PURE: [&str; 11] = [
    "std::",
    "self::",
    "super::",
    "serde",
    "jiff::",
    "json_patch::",
    "kube::core::",
    "thiserror::",
    "base64::",
    "clap::",
    "rstest::",
];

/// All files of Rust below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn the_core_uses_only_what_is_pure() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core");
    let mut seen = 0;
    for path in sources(&folder) {
        let source = std::fs::read_to_string(&path).unwrap();
        for line in source.lines().map(str::trim) {
            let Some(used) = line.strip_prefix("use ").or_else(|| line.strip_prefix("pub use ")) else { continue };
            seen += 1;
            let in_core = used.starts_with("crate::core::") || used.starts_with("Element::");
            assert!(in_core || PURE.iter().any(|pure| used.starts_with(pure)), "{}: {line}", path.display());
        }
        for word in
            ["tokio", "std::fs", "std::env", "std::net", "std::time", "crate::server", "crate::config", "::now()"]
        {
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(!code.into_iter().any(|line| line.contains(word)), "{} names {word}", path.display());
        }
    }
    assert!(seen > 20, "only {seen} use lines were read");
}

/// Deciding what to do next about certificates knows no API server, and nothing outside of `src/cluster` speaks to one.
#[test]
fn only_the_cluster_folder_speaks_to_the_api_server() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for path in sources(&folder) {
        seen += 1;
        let source = std::fs::read_to_string(&path).unwrap();
        let speaks = ["kube::Client", "kube::{", "kube::Api", "kube::api"].iter().any(|word| source.contains(word));
        let pure = path.ends_with("self_managed/state.rs") || path.ends_with("self_managed/secret_contents.rs");
        let may = path.starts_with(folder.join("cluster")) && !pure;
        assert!(may || !speaks, "{} speaks to the API server", path.display());
        assert!(!pure || !source.contains("kube::") && !source.contains("clock()"), "{}", path.display());
    }
    assert!(seen > 20, "only {seen} files were read");
}
