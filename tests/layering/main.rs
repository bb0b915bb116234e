//! The direction of dependencies: the core names neither the shell nor anything that is not pure, each of its folders only
//! those below it, and no modules use each other in a circle.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, reason = "this is test code")]

mod modules;
mod tokens;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::modules::{Graph, Modules, cycles, without_own_folder};

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

/// The modules of the crate, and which of them use which.
fn module_graph() -> Graph {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    let files: Vec<_> = sources(&folder).into_iter().map(read).filter(|(name, _)| name != "main.rs").collect();
    Modules::read(files.iter().map(|(name, text)| (name.as_str(), text.as_str()))).graph()
}

/// In the core none at all; elsewhere a file may use what the `mod.rs` of its own folder defines.
#[test]
fn no_modules_use_each_other_in_a_circle() {
    let graph = module_graph();
    let edges: usize = graph.values().map(BTreeSet::len).sum();
    assert!(graph.len() > 80 && edges > 3 * graph.len(), "only {} modules and {edges} uses were read", graph.len());
    let known = ["core::doctor::checks::split", "core::doctor::entries"];
    assert!(graph[known[0]].contains(known[1]), "uses are not read: {:?}", graph[known[0]]);
    let is_of_core = |(module, _): &(String, BTreeSet<String>)| module.starts_with("core");
    let (core, shell): (Graph, Graph) = graph.into_iter().partition(|entry| is_of_core(entry));
    let circles = cycles(&core).into_iter().chain(cycles(&without_own_folder(shell)));
    let circles: Vec<_> = circles.map(|cycle| cycle.join(" -> ")).collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The order is that of the list in `src/core/mod.rs`.
#[test]
fn each_folder_of_the_core_uses_only_what_is_listed_above_it() {
    let list = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/mod.rs")).unwrap();
    let bullets = list.lines().filter(|line| line.starts_with("//! - "));
    let order: Vec<_> =
        bullets.flat_map(|line| line.split("[`").skip(1).filter_map(|part| part.split_once("`]"))).collect();
    let rank = |name: &str| order.iter().position(|(known, _)| *known == name);
    let declared: Vec<_> = list.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(declared.len(), order.len(), "each module is in the list: {order:?}");
    let folder = |module: &str| module.strip_prefix("core::").map(|rest| rest.split("::").next().unwrap().to_owned());
    let mut seen = 0;
    for (module, used) in module_graph() {
        let Some(own) = folder(&module) else { continue };
        for used in &used {
            let Some(other) = folder(used) else { panic!("{module} uses {used}, which is not of the core") };
            seen += 1;
            assert!(rank(&other).unwrap() <= rank(&own).unwrap(), "{module} uses {used}, which is listed below it");
        }
    }
    assert!(seen > 50, "only {seen} uses were read");
}

/// Who reads a log wants the words of options and of Kubernetes, and no `Some("x")`.
#[test]
fn no_line_of_the_log_shows_a_value_as_rust_does() {
    let mut seen = 0;
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let source = std::fs::read_to_string(&path).unwrap();
        for call in source.split("tracing::").skip(1).filter_map(|rest| rest.split_once("!(").map(|(_, call)| call)) {
            let facts = call.split(");").next().unwrap();
            seen += 1;
            let by_debug = ["(?", ", ?", "= ?"].iter().any(|sigil| format!("({facts}").contains(sigil));
            assert!(!by_debug, "{}: {facts}", path.display());
        }
    }
    assert!(seen > 30, "only {seen} lines were read");
}
