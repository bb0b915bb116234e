//! Edits to the smallest JSON patch (RFC 6902), made of `add` alone, which also replaces.
//!
//! A patch that does not apply fails the client's request even under `failurePolicy: Ignore`, and `add` to an object
//! that exists always applies.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use serde_json::{Map, Value};

use super::normalize::Edit;

/// The patch that makes these edits; `status_is_missing` where the object to be patched has none, or a `null`.
pub fn patch(edits: &[Edit], status_is_missing: bool) -> Patch {
    let object = status_is_missing.then(|| add(["status"], Value::Object(Map::new())));
    let fields = edits.iter().map(|edit| add(edit.field.path().split('.'), edit.value.clone()));
    Patch(object.into_iter().chain(fields).collect())
}

fn add<'a>(path: impl IntoIterator<Item = &'a str>, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path), value })
}
