//! Reads the `matchConditions` of an entry.

use serde_json::Value;

use super::entries::string_at;
use crate::core::installation::GARBAGE_COLLECTORS;

/// A match condition: name and expression.
pub(super) fn match_conditions(entry: &Value) -> impl Iterator<Item = (&str, &str)> {
    let all = entry.get("matchConditions").and_then(Value::as_array).into_iter().flatten();
    all.filter_map(|condition| {
        Some((string_at(condition, "/name").unwrap_or_default(), string_at(condition, "/expression")?))
    })
}

/// HobbyFarm's user names in an expression.
pub(super) fn listed_users(expression: &str) -> Vec<String> {
    let words = expression.split('\'').skip(1).step_by(2);
    words
        .filter(|word| word.starts_with("system:serviceaccount:") && !GARBAGE_COLLECTORS.contains(word))
        .map(str::to_owned)
        .collect()
}

/// Whether two lists hold the same names.
pub(super) fn same_users(listed: &[String], expected: &[String]) -> bool {
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort_unstable();
        names
    };
    sorted(listed) == sorted(expected)
}

/// Whether two expressions are the same but for white space.
pub(super) fn same_expression(installed: &str, shipped: &str) -> bool {
    let words = |text: &str| text.chars().filter(|character| !character.is_whitespace()).collect::<String>();
    words(installed) == words(shipped)
}
