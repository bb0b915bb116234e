//! `docs/performance.md`: the parts of it that benchmarks write.

use std::fmt::{Display, Write};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::argument;

/// A file in `docs`.
pub fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// Whether what is measured goes into the documentation: `--write yes`.
pub fn is_written() -> bool {
    argument("--write").is_some()
}

/// Prints a part of the page, and with `--write yes` puts it there, between its markers. What explains it stands around them.
pub fn write_section(part: &str, text: &str) {
    println!("\n{text}");
    if !is_written() {
        return;
    }
    let page = docs("performance.md");
    let old = fs::read_to_string(&page).unwrap();
    let (before, rest) = old.split_once(&format!("<!-- {part} -->\n")).unwrap();
    let (_, after) = rest.split_once(&format!("<!-- /{part} -->")).unwrap();
    let text = text.trim_end();
    fs::write(page, format!("{before}<!-- {part} -->\n{text}\n<!-- /{part} -->{after}")).unwrap();
}

/// A table as Markdown has it. The first column is text, the others are figures.
pub struct Table(String);

impl Table {
    pub fn new(head: &[&str]) -> Self {
        let mut table = Self(String::new());
        table.row(head.iter());
        let rule: Vec<_> = (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" }).collect();
        table.row(rule.iter());
        table
    }

    pub fn row(&mut self, cells: impl Iterator<Item = impl Display>) {
        for cell in cells {
            // Writing to a string cannot fail.
            let _ = write!(self.0, "| {cell} ");
        }
        self.0.push_str("|\n");
    }

    pub fn text(&self) -> &str {
        &self.0
    }
}
