//! As much of Rust as is needed to tell which paths a file names: no comments, no literals, no test code.

use std::collections::BTreeSet;

/// The tokens of a file: words, `::`, and single characters.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<String>);

/// One name of a `use` declaration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UseTree {
    /// Where it comes from.
    pub(crate) path: Vec<String>,
    /// What it is called here; none for `*`.
    pub(crate) name: Option<String>,
    /// Whether it is passed on.
    pub(crate) public: bool,
}

impl Tokens {
    /// The tokens of a file, without what is `#[cfg(test)]`.
    pub(crate) fn of_code(text: &str) -> Self {
        let all = tokens(text);
        let marker: Vec<_> = "# [ cfg ( test ) ]".split(' ').collect();
        let mut code = Vec::new();
        let mut rest = all.as_slice();
        while let Some((first, after)) = rest.split_first() {
            if rest.len() >= marker.len() && rest.iter().zip(&marker).all(|(token, marked)| token == marked) {
                rest = after_item(&rest[marker.len()..]);
            } else {
                code.push(first.clone());
                rest = after;
            }
        }
        Self(code)
    }

    /// The names that are defined here, outside of any braces.
    pub(crate) fn items(&self) -> BTreeSet<String> {
        let mut depth = 0_usize;
        let mut items = BTreeSet::new();
        for pair in self.0.windows(2) {
            match pair[0].as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                "struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" if depth == 0 && is_word(&pair[1]) => {
                    items.insert(pair[1].clone());
                }
                _ => {}
            }
        }
        items
    }

    /// All words outside of `use` declarations.
    pub(crate) fn words(&self) -> BTreeSet<String> {
        self.without_uses().into_iter().filter(|token| is_word(token)).cloned().collect()
    }

    /// The paths in the code outside of `use` declarations: words joined by `::`.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let tokens = self.without_uses();
        let mut paths: Vec<Vec<String>> = Vec::new();
        let mut path: Vec<String> = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            let continues = index > 0 && *tokens[index - 1] == "::";
            if !is_word(token) {
                continue;
            }
            if !continues && path.len() > 1 {
                paths.push(std::mem::take(&mut path));
            } else if !continues {
                path.clear();
            }
            path.push((*token).clone());
        }
        paths.extend((path.len() > 1).then_some(path));
        paths
    }

    /// All `use` declarations, name by name.
    pub(crate) fn uses(&self) -> Vec<UseTree> {
        let mut uses = Vec::new();
        for index in self.use_declarations() {
            let before = &self.0[..index];
            // `pub use`, `pub(super) use`
            let public = before.last().is_some_and(|token| token == "pub")
                || before.last().is_some_and(|token| token == ")")
                    && before.iter().rev().nth(3).is_some_and(|t| t == "pub")
                || before.last().is_some_and(|token| token == ")") && before.iter().rev().take(8).any(|t| t == "in");
            let tree = self.0[index + 1..].iter().take_while(|token| *token != ";");
            let tree: Vec<_> = tree.map(String::as_str).collect();
            flatten(&tree, &[], public, &mut uses);
        }
        uses
    }

    fn use_declarations(&self) -> impl Iterator<Item = usize> {
        // `use<'a>` in a type is something else.
        let is_use = |index: &usize| self.0[*index] == "use" && self.0.get(index + 1).is_some_and(|next| next != "<");
        (0..self.0.len()).filter(is_use)
    }

    fn without_uses(&self) -> Vec<&String> {
        let starts: BTreeSet<_> = self.use_declarations().collect();
        let mut left_out_until = None;
        let mut kept = Vec::new();
        for (index, token) in self.0.iter().enumerate() {
            // `pub(in crate::core)` names who may use, not what is used.
            let is_visibility = token == "in" && index > 0 && self.0[index - 1] == "(";
            if starts.contains(&index) {
                left_out_until = Some(";");
            } else if is_visibility {
                left_out_until = Some(")");
            }
            match left_out_until {
                Some(end) if token == end => left_out_until = None,
                Some(_) => {}
                None => kept.push(token),
            }
        }
        kept
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Takes `a::{b, c as d}` apart.
fn flatten(tree: &[&str], prefix: &[String], public: bool, uses: &mut Vec<UseTree>) {
    let mut path = prefix.to_vec();
    let mut rest = tree;
    while let Some((first, after)) = rest.split_first() {
        match *first {
            "::" => {}
            "*" => return uses.push(UseTree { path, name: None, public }),
            "as" => {
                let name = after.first().map(ToString::to_string);
                return uses.push(UseTree { path, name, public });
            }
            "{" => {
                for part in parts(&after[..after.len().saturating_sub(1)]) {
                    flatten(part, &path, public, uses);
                }
                return;
            }
            // `a::{self}` is `a`.
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        rest = after;
    }
    let name = path.last().cloned();
    if name.is_some() {
        uses.push(UseTree { path, name, public });
    }
}

/// What stands between the commas outside of inner braces.
fn parts<'a>(tokens: &'a [&'a str]) -> Vec<&'a [&'a str]> {
    let (mut depth, mut start, mut parts) = (0_usize, 0, Vec::new());
    for (index, token) in tokens.iter().enumerate() {
        match *token {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "," if depth == 0 => {
                parts.push(&tokens[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&tokens[start..]);
    parts
}

/// What follows an item: after its `;`, or its braces.
fn after_item(tokens: &[String]) -> &[String] {
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.as_str(), "}" | ";") {
            return &tokens[index + 1..];
        }
    }
    &[]
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = if rest.starts_with("//") {
            (None, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (None, rest.find("*/").map_or(rest.len(), |end| end + 2))
        } else if let Some(length) = literal(rest) {
            (None, length)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (Some(&rest[..length]), length)
        } else if rest.starts_with("::") {
            (Some("::"), 2)
        } else {
            let length = first.len_utf8();
            (Some(&rest[..length]).filter(|_| !first.is_whitespace()), length)
        };
        tokens.extend(token.map(str::to_owned));
        rest = &rest[length..];
    }
    tokens
}

/// The length of the literal or lifetime that a text begins with.
fn literal(text: &str) -> Option<usize> {
    let bare = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let prefix = text.len() - bare.len();
    if let Some(raw) = bare.strip_prefix('r') {
        let fences = raw.len() - raw.trim_start_matches('#').len();
        if raw[fences..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(fences));
            let inside = raw[fences + 1..].find(&end)?;
            return Some(prefix + 1 + fences + 1 + inside + end.len());
        }
    }
    let quote = bare.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut escaped = false;
    for (index, character) in bare.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(prefix + index + 1),
            // A lifetime has no second quote.
            _ if quote == '\''
                && !bare[1..].starts_with('\\')
                && index > 1
                && !bare[1 + first_width(bare)..].starts_with('\'') =>
            {
                return Some(prefix + 1);
            }
            _ => {}
        }
    }
    Some(prefix + 1)
}

fn first_width(quoted: &str) -> usize {
    quoted[1..].chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::{Tokens, tokens};

    #[test]
    fn comments_and_literals_are_no_tokens() {
        let text = r##"a /* b */ "c\"d" 'e' '\'' b"f" r#"g"h"# &'i j // k"##;
        assert_eq!(tokens(text), ["a", "&", "i", "j"]);
    }

    #[test]
    fn each_name_of_a_use_is_told() {
        let uses = Tokens::of_code(
            "pub(super) use a::{self, b::*, c as d}; #[cfg(test)] use x::y; fn f(_: impl A + use<'_>) {}",
        );
        let uses: Vec<_> = uses.uses().into_iter().map(|tree| (tree.path.join("::"), tree.name, tree.public)).collect();
        let some = |name: &str| Some(name.to_owned());
        assert_eq!(
            uses,
            [("a".to_owned(), some("a"), true), ("a::b".to_owned(), None, true), ("a::c".to_owned(), some("d"), true)]
        );
    }

    #[test]
    fn paths_are_told_without_generics() {
        let paths = Tokens::of_code("fn f() { a::b::<c::D>::new(e, crate::g); }").paths();
        let paths: Vec<_> = paths.iter().map(|path| path.join("::")).collect();
        assert!(paths.contains(&"a::b".to_owned()) && paths.contains(&"crate::g".to_owned()), "{paths:?}");
    }
}
