//! JSON patches that only apply to the version of an object that they were made for.

use kube::api::Patch;
use serde_json::{Value, json};

/// Makes the API server refuse the patch with 409 when the object has another version by now.
pub(super) fn at_version(version: &str) -> Value {
    json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version})
}

pub(super) fn json_patch(patch: Value) -> kube::Result<Patch<()>> {
    Ok(Patch::Json(serde_json::from_value(patch).map_err(kube::Error::SerdeError)?))
}
