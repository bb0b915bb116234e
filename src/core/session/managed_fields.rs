//! `metadata.managedFields`: who wrote what by hand.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::core::session::Session;
use crate::core::text::sanitize_line;

/// Field managers of people: kubectl and its subcommands (`kubectl-edit`), and what browsers, k9s and the like leave as the first
/// word of their `User-Agent`.
const MANUAL_FIELD_MANAGERS: [&str; 5] = ["kubectl", "k9s", "Mozilla", "curl", "node-fetch"];

/// Fields that are named of one edit.
const MAX_FIELDS: usize = 8;
const MAX_FIELD_LENGTH: usize = 80;

/// Fields that somebody wrote by hand and nobody has changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandEdit {
    /// The field manager, `kubectl-edit` for example.
    pub manager: String,
    /// When, RFC 3339; empty where the API server does not say.
    pub time: String,
    /// Paths of the fields; when they are many, the last entry says how many more there are.
    pub fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    #[serde(borrow)]
    manager: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "fieldsV1")]
    fields: Option<&'a RawValue>,
}

/// The edits that people made by hand, as far as their fields are still theirs. What cannot be read is no edit.
pub fn hand_edits(session: &Session<'_>) -> Vec<HandEdit> {
    let Some(raw) = session.managed_fields() else { return Vec::new() };
    let entries: Vec<Entry<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    entries.into_iter().filter_map(hand_edit).collect()
}

fn hand_edit(entry: Entry<'_>) -> Option<HandEdit> {
    let manager = entry.manager?;
    let is_by_hand = MANUAL_FIELD_MANAGERS.contains(&&*manager) || manager.starts_with("kubectl-");
    if !is_by_hand {
        return None;
    }
    let mut fields = Vec::new();
    if let Some(Ok(tree)) = entry.fields.map(|raw| serde_json::from_str::<Value>(raw.get())) {
        collect_leaf_paths(&tree, &mut String::new(), &mut fields);
    }
    let more = fields.len().saturating_sub(MAX_FIELDS);
    if more > 0 {
        fields.truncate(MAX_FIELDS);
        fields.push(format!("and {more} more"));
    }
    Some(HandEdit {
        manager: sanitize_line(&manager, MAX_FIELD_LENGTH).into_owned(),
        time: sanitize_line(&entry.time.unwrap_or_default(), MAX_FIELD_LENGTH).into_owned(),
        fields,
    })
}

/// The leaves of a `fieldsV1` tree: `f:` is a field; items of lists and sets (`k:`, `v:`, `i:`) count as their list.
fn collect_leaf_paths(tree: &Value, path: &mut String, fields: &mut Vec<String>) {
    let children = tree.as_object().into_iter().flatten();
    let mut is_leaf = true;
    for (key, child) in children {
        if let Some(name) = key.strip_prefix("f:") {
            is_leaf = false;
            let length = path.len();
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(name);
            collect_leaf_paths(child, path, fields);
            path.truncate(length);
        }
    }
    if is_leaf && !path.is_empty() {
        fields.push(sanitize_line(path, MAX_FIELD_LENGTH).into_owned());
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::{HandEdit, hand_edits};
    use crate::core::session::Session;

    fn edits(managed: &Value) -> Vec<HandEdit> {
        let session = json!({"metadata": {"name": "s", "managedFields": managed}});
        let raw = serde_json::value::to_raw_value(&session).unwrap();
        hand_edits(&Session::read(&raw).unwrap())
    }

    #[test]
    fn an_edit_names_its_fields_and_its_time() {
        let fields =
            json!({"f:status": {"f:end_time": {}, "f:active": {}}, "f:metadata": {"f:labels": {".": {}, "f:a": {}}}});
        let edits = edits(&json!([
            {"manager": "hobbyfarm-session", "operation": "Update", "time": "2026-11-24T10:00:00Z", "fieldsV1": fields},
            {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-24T11:00:00Z", "fieldsV1": fields},
        ]));
        let expected = HandEdit {
            manager: "kubectl-edit".to_owned(),
            time: "2026-11-24T11:00:00Z".to_owned(),
            fields: ["metadata.labels.a", "status.active", "status.end_time"].map(str::to_owned).to_vec(),
        };
        assert_eq!(edits, [expected]);
    }

    #[rstest]
    #[case("kubectl", true)]
    #[case("kubectl-client-side-apply", true)]
    #[case("Mozilla", true)]
    #[case("kubectlx", false)]
    #[case("session-webhook", false)]
    #[case("gargantua", false)]
    fn people_are_known_by_their_tools(#[case] manager: &str, #[case] expected: bool) {
        assert_eq!(!edits(&json!([{"manager": manager, "fieldsV1": {"f:spec": {}}}])).is_empty(), expected);
    }

    #[rstest]
    #[case(json!("x"))]
    #[case(json!([{"manager": 5}]))]
    #[case(json!([{}]))]
    #[case(Value::Null)]
    fn what_cannot_be_read_is_no_edit(#[case] managed: Value) {
        assert_eq!(edits(&managed), []);
    }

    #[test]
    fn many_fields_are_counted() {
        let fields: serde_json::Map<_, _> = (0..20).map(|n| (format!("f:{n:02}"), json!({}))).collect();
        let edits = edits(&json!([{"manager": "kubectl-edit", "fieldsV1": {"f:spec": fields}}]));
        assert_eq!(edits[0].fields.len(), 9);
        assert_eq!(edits[0].fields[8], "and 12 more");
    }
}
