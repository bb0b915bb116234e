//! Edits to the smallest JSON patch (RFC 6902), made of `add` alone, which also replaces.
//!
//! A patch that does not apply fails the client's request even under `failurePolicy: Ignore`, and `add` to an object
//! that exists always applies.

use json_patch::Patch;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::core::admission::normalize::Edit;

/// One operation of a patch.
#[derive(Serialize)]
struct Add<'a> {
    op: &'static str,
    path: &'static str,
    value: &'a Value,
}

/// Room that is made for one of them from the start, bytes.
const TYPICAL_OPERATION_LENGTH: usize = 96;

/// The patch that makes these edits, as JSON; `status_is_missing` where the object to be patched has none, or a `null`.
///
/// # Panics
///
/// Never: strings and values always serialize.
#[expect(clippy::expect_used, reason = "strings and values always serialize")]
pub(in crate::core) fn json(edits: &[Edit], status_is_missing: bool) -> Vec<u8> {
    let empty = Value::Object(Map::new());
    let add = |path, value| Add { op: "add", path, value };
    let object = status_is_missing.then(|| add("/status", &empty));
    let operations: Vec<_> =
        object.into_iter().chain(edits.iter().map(|edit| add(edit.field.pointer(), &edit.value))).collect();
    let mut json = Vec::with_capacity(TYPICAL_OPERATION_LENGTH * operations.len());
    serde_json::to_writer(&mut json, &operations).expect("serializable");
    json
}

/// The same, for those who apply it.
///
/// # Panics
///
/// Never: what is written here is a patch.
#[expect(clippy::expect_used, reason = "what is written above is a patch")]
pub fn patch(edits: &[Edit], status_is_missing: bool) -> Patch {
    serde_json::from_slice(&json(edits, status_is_missing)).expect("a patch")
}
