//! Reads the entries of a webhook configuration.

use serde_json::Value;

/// A string in an object, by JSON pointer.
pub(super) fn string_at<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// The strings of a list in an object.
pub(super) fn strings<'a>(object: &'a Value, key: &str) -> Vec<&'a str> {
    object.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The entries of a configuration.
pub(super) fn entries_of(configuration: &Value) -> impl Iterator<Item = &Value> {
    configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten()
}

/// The name of an entry.
pub(super) fn entry_name(entry: &Value) -> &str {
    string_at(entry, "/name").unwrap_or_default()
}
