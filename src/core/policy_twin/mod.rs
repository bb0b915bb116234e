//! What the API server decides by itself, in CEL: who may write, as a `ValidatingAdmissionPolicy`, and which writes are spared
//! the call of the webhook, as a match condition ([`keep_alive`]).

pub mod admission_policy;
pub mod cel;
pub mod keep_alive;
