//! Edits to the smallest JSON patch (RFC 6902), made of `add` alone, which also replaces.
//!
//! A patch that does not apply fails the client's request even under `failurePolicy: Ignore`, and `add` to an object
//! that exists always applies.

use json_patch::Patch;

use crate::core::admission::normalize::Edit;

/// Room that is made for an operation from the start, bytes.
const TYPICAL_OPERATION_LENGTH: usize = 96;

/// The patch that makes these edits, as JSON; `status_is_missing` where the object to be patched has none, or a `null`.
///
/// Pointers are written as they stand, since none of them has anything to escape.
///
/// # Panics
///
/// Never: values always serialize.
#[expect(clippy::expect_used, reason = "values always serialize")]
pub(in crate::core) fn json(edits: &[Edit], status_is_missing: bool) -> Vec<u8> {
    let mut json = Vec::with_capacity(TYPICAL_OPERATION_LENGTH * (edits.len() + 1));
    json.push(b'[');
    if status_is_missing {
        json.extend_from_slice(br#"{"op":"add","path":"/status","value":{}}"#);
    }
    for edit in edits {
        if json.len() > 1 {
            json.push(b',');
        }
        json.extend_from_slice(br#"{"op":"add","path":""#);
        json.extend_from_slice(edit.field.pointer().as_bytes());
        json.extend_from_slice(br#"","value":"#);
        serde_json::to_writer(&mut json, &edit.value).expect("serializable");
        json.push(b'}');
    }
    json.push(b']');
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
