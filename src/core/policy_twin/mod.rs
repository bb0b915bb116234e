//! The table of who may write as a `ValidatingAdmissionPolicy`, which the API server evaluates without the webhook.

pub mod admission_policy;
pub mod cel;
