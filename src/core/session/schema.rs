//! What the schema of the definition says about the dialect: the API server refuses a value of another type, whatever a
//! Session seems to be.

use serde_json::Value;

use crate::core::settings::Dialect;

/// Where the types of the two dialects differ.
const DIALECT_POINTERS: [&str; 5] = [
    "/properties/status/properties/paused/type",
    "/properties/status/properties/active/type",
    "/properties/status/properties/finished/type",
    "/properties/spec/properties/keep_course_vm/type",
    "/properties/spec/properties/vm_claim/type",
];

/// The dialect that the `OpenAPI` schema of a Session describes, where it has types.
pub fn described_dialect(schema: &Value) -> Option<Dialect> {
    DIALECT_POINTERS.into_iter().find_map(|pointer| match schema.pointer(pointer)?.as_str()? {
        "boolean" | "array" => Some(Dialect::Gargantua),
        "string" => Some(Dialect::Documented),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::described_dialect;
    use crate::core::settings::Dialect;

    #[rstest]
    #[case::flags(json!({"properties": {"status": {"properties": {"paused": {"type": "boolean"}}}}}), Some(Dialect::Gargantua))]
    #[case::strings(json!({"properties": {"status": {"properties": {"active": {"type": "string"}}}}}), Some(Dialect::Documented))]
    #[case::a_list(json!({"properties": {"spec": {"properties": {"vm_claim": {"type": "array"}}}}}), Some(Dialect::Gargantua))]
    #[case::no_types(json!({"properties": {"status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}), None)]
    #[case::no_schema(Value::Null, None)]
    fn types_tell(#[case] schema: Value, #[case] expected: Option<Dialect>) {
        assert_eq!(described_dialect(&schema), expected);
    }
}
