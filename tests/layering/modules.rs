//! The modules of a crate, one a file, and which of them use which.
//!
//! A name that a module re-exports is followed to the module that defines it, and the re-export itself is no use: so a
//! folder may offer the names of its files, and they may name each other through it.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::{Tokens, UseTree};

/// The modules by path: `core::doctor::facts`; the crate itself is the empty path.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    all: BTreeMap<String, Module>,
}

/// Which modules each module uses.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug, Default)]
struct Module {
    /// What it defines.
    items: BTreeSet<String>,
    /// What it imports or re-exports, by the name that it has here.
    imports: BTreeMap<String, Vec<String>>,
    /// Modules of which it re-exports everything.
    globs: Vec<Vec<String>>,
    /// All paths that its code names.
    paths: Vec<Vec<String>>,
}

impl Modules {
    /// Reads the files of a crate: path below `src`, and text.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut modules = Self::default();
        for (file, text) in files {
            modules.all.insert(module_path(file), Module::read(text));
        }
        modules
    }

    /// Who uses whom.
    pub(crate) fn graph(&self) -> Graph {
        let mut graph = Graph::new();
        for (name, module) in &self.all {
            let used = module.paths.iter().filter_map(|path| self.resolve(name, path, 0));
            let used: BTreeSet<_> = used.filter(|used| used != name).collect();
            graph.insert(name.clone(), used);
        }
        graph
    }

    /// The module that defines what a path names, from within a module; none for another crate's.
    fn resolve(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        let (first, mut rest) = path.split_first()?;
        let mut current = match first.as_str() {
            "crate" => String::new(),
            "self" => from.to_owned(),
            "super" => parent(from),
            child => Some(join(from, child)).filter(|child| self.all.contains_key(child))?,
        };
        while let Some((next, after)) = rest.split_first() {
            if next == "super" {
                current = parent(&current);
            } else if self.all.contains_key(&join(&current, next)) {
                current = join(&current, next);
            } else {
                return Some(self.definition(&current, next, depth));
            }
            rest = after;
        }
        Some(current)
    }

    /// The module that defines a name which is found in this one.
    fn definition(&self, module: &str, name: &str, depth: usize) -> String {
        let Some(found) = self.all.get(module).filter(|found| depth < 8 && !found.items.contains(name)) else {
            return module.to_owned();
        };
        if let Some(target) = found.imports.get(name).and_then(|path| self.resolve(module, path, depth + 1)) {
            return target;
        }
        let globs = found.globs.iter().filter_map(|path| self.resolve(module, path, depth + 1));
        let defines = |other: &String| self.all.get(other).is_some_and(|other| other.items.contains(name));
        globs.into_iter().find(defines).unwrap_or_else(|| module.to_owned())
    }
}

impl Module {
    fn read(text: &str) -> Self {
        let tokens = Tokens::of_code(text);
        let mut module = Self { items: tokens.items(), paths: tokens.paths(), ..Self::default() };
        let words = tokens.words();
        for UseTree { path, name, public } in tokens.uses() {
            match name {
                Some(name) => {
                    // What is only passed on is no use; what is named in the code besides is one.
                    if !public || words.contains(&name) {
                        module.paths.push(path.clone());
                    }
                    module.imports.insert(name, path);
                }
                None if public => module.globs.push(path),
                None => module.paths.push(path),
            }
        }
        module
    }
}

/// `core/doctor/mod.rs` is `core::doctor`.
fn module_path(file: &str) -> String {
    let stem = file.trim_end_matches(".rs");
    let stem = if stem == "lib" { "" } else { stem };
    stem.strip_suffix("/mod").unwrap_or(stem).replace('/', "::")
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn parent(module: &str) -> String {
    module.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned())
}

/// The graph without what a file takes from the `mod.rs` above it.
pub(crate) fn without_own_folder(graph: Graph) -> Graph {
    let is_above = |above: &str, module: &str| above.is_empty() || module.starts_with(&format!("{above}::"));
    let keep = |(module, mut used): (String, BTreeSet<String>)| {
        used.retain(|used| !is_above(used, &module));
        (module, used)
    };
    graph.into_iter().map(keep).collect()
}

/// The circles of a graph, the shortest through each of their members, each told once.
pub(crate) fn cycles(graph: &Graph) -> BTreeSet<Vec<String>> {
    graph.keys().filter_map(|start| shortest_cycle(graph, start)).collect()
}

/// The shortest way from a node back to itself, beginning at its least member.
fn shortest_cycle(graph: &Graph, start: &String) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut ways = vec![vec![start.clone()]];
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in way.last().and_then(|last| graph.get(last)).into_iter().flatten() {
                if next == start {
                    let least = way.iter().enumerate().min_by_key(|(_, name)| *name).map_or(0, |(index, _)| index);
                    let mut cycle = way.clone();
                    cycle.rotate_left(least);
                    return Some(cycle);
                }
                if seen.insert(next.clone()) {
                    longer.push([way.as_slice(), std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Graph, Modules, cycles, without_own_folder};

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        edges.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(ToString::to_string).collect())).collect()
    }

    #[test]
    fn cycles_are_found_and_told_once() {
        assert!(cycles(&graph(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])).is_empty());
        let two = cycles(&graph(&[("a", &["b"]), ("b", &["a"]), ("c", &["a"])]));
        assert_eq!(two.into_iter().collect::<Vec<_>>(), [["a", "b"]]);
        let three = cycles(&graph(&[("c", &["a"]), ("a", &["b"]), ("b", &["c", "d"]), ("d", &[])]));
        assert_eq!(three.into_iter().collect::<Vec<_>>(), [["a", "b", "c"]]);
    }

    fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
        cycles(&Modules::read(files.iter().copied()).graph()).iter().map(|cycle| cycle.join(" -> ")).collect()
    }

    #[test]
    fn a_cycle_between_files_is_found_however_it_is_written() {
        for used in [
            "use super::b::B;",
            "use crate::core::{b::{self, B}, c};",
            "fn f() { crate::core::b::g(); }",
            "fn f() { let _ = super::b::B::new(|| super::c::h()); }",
            "use crate::core::B;",
        ] {
            let a = format!("{used} pub struct A;");
            let files = [
                ("core/mod.rs", "mod a; mod b; mod c; pub use self::b::B;"),
                ("core/a.rs", a.as_str()),
                ("core/b.rs", "use super::a::A; pub struct B(A);"),
                ("core/c.rs", ""),
            ];
            assert_eq!(cycles_of(&files), ["core::a -> core::b"], "{used}");
        }
    }

    #[test]
    fn what_is_no_use_makes_no_cycle() {
        let files = [
            ("lib.rs", "pub mod a; pub mod b;"),
            ("a/mod.rs", "//! [`crate::b::B`]\nmod inner; pub use self::inner::Inner; /* use crate::b; */"),
            (
                "a/inner.rs",
                "pub struct Inner; const S: &str = \"crate::b::B\"; #[cfg(test)] mod tests { use crate::b::B; }",
            ),
            ("b.rs", "use crate::a::Inner; pub struct B(Inner);"),
        ];
        assert!(cycles_of(&files).is_empty(), "{:?}", cycles_of(&files));
    }

    #[test]
    fn a_folder_that_calls_its_file_and_is_used_by_it_is_a_cycle() {
        let files = [
            ("a/mod.rs", "mod inner; pub struct Outer; fn f() { inner::run(); }"),
            ("a/inner.rs", "use super::Outer; pub fn run() {}"),
        ];
        assert_eq!(cycles_of(&files), ["a -> a::inner"]);
        assert!(cycles(&without_own_folder(Modules::read(files).graph())).is_empty());
    }
}
