//! The CEL expressions of a `ValidatingAdmissionPolicy`, compiled once and evaluated as an API server does it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use kube::core::cel::cel::extractors::This;
use kube::core::cel::cel::{Context, Program, ResolveResult, Value as Cel, to_value};
use regex::Regex;
use serde_json::Value;

use crate::write_guard::Outcome;

thread_local! {
    static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
}

/// The interpreter's own `matches` compiles its expression at each call, which takes longer than all the rest.
#[expect(clippy::needless_pass_by_value, reason = "the interpreter hands over what it calls with")]
fn matches(This(text): This<Arc<String>>, expression: Arc<String>) -> bool {
    COMPILED.with_borrow_mut(|compiled| {
        let compiled = compiled.entry(expression.to_string()).or_insert_with(|| Regex::new(&expression).unwrap());
        compiled.is_match(&text)
    })
}

/// What the name of a variable begins with, in place of `variables.`.
const VARIABLE: &str = "variables_";

/// The twin of a [`session_webhook::core::admission::policy::Policy`].
pub struct Twin {
    root: Context<'static>,
    variables: Vec<(String, Program)>,
    validations: Vec<Refusing>,
    annotations: Vec<(String, Program)>,
}

/// One of `spec.validations`.
struct Refusing {
    rule: String,
    expression: Program,
    message: Program,
}

impl Twin {
    /// Of a policy as it is applied.
    pub fn new(policy: &Value) -> Self {
        let mut root = Context::default();
        root.add_function("matches", matches);
        // In CEL `dyn(x)` is x; it matters to the type check alone, which this interpreter has not.
        root.add_function("dyn", |value: Cel| -> ResolveResult { Ok(value) });
        let compile = |object: &Value, field: &str| {
            let expression = object[field].as_str().unwrap();
            // The interpreter copies a map whenever it is bound, and `variables` grows with each of them: many times
            // slower than one name for each.
            Program::compile(&expression.replace("variables.", VARIABLE))
                .unwrap_or_else(|e| panic!("{expression}: {e}"))
        };
        let name = |object: &Value, field: &str| object[field].as_str().unwrap().to_owned();
        let list = |field: &str| policy["spec"][field].as_array().unwrap();
        Self {
            root,
            variables: list("variables").iter().map(|v| (name(v, "name"), compile(v, "expression"))).collect(),
            validations: list("validations")
                .iter()
                .map(|validation| Refusing {
                    rule: name(validation, "message").split_once(':').unwrap().0.to_owned(),
                    expression: compile(validation, "expression"),
                    message: compile(validation, "messageExpression"),
                })
                .collect(),
            annotations: list("auditAnnotations")
                .iter()
                .map(|a| (name(a, "key"), compile(a, "valueExpression")))
                .collect(),
        }
    }

    /// Evaluates every variable, needed or not, so that none can hide an error.
    pub fn decide(&self, review: &Value) -> Outcome {
        let mut request = review["request"].clone();
        let mut context = self.root.new_inner_scope();
        for name in ["object", "oldObject"] {
            // Absent is null there, as for a `DELETE`.
            let object = request.as_object_mut().unwrap().remove(name).unwrap_or_default();
            context.add_variable_from_value(name, to_value(object).unwrap());
        }
        context.add_variable_from_value("request", to_value(request).unwrap());
        let text = |what: &str, program: &Program, context: &Context<'_>| match program.execute(context) {
            Ok(Cel::String(text)) => text.to_string(),
            other => panic!("{what}: {other:?}\n{review:#}"),
        };
        let mut rule = String::new();
        for (name, program) in &self.variables {
            let value = program.execute(&context).unwrap_or_else(|e| panic!("{name}: {e}\n{review:#}"));
            if let ("rule", Cel::String(value)) = (name.as_str(), &value) {
                rule.clone_from(value);
            }
            context.add_variable_from_value(format!("{VARIABLE}{name}"), value);
        }
        let refused = |validation: &Refusing| match validation.expression.execute(&context) {
            Ok(Cel::Bool(true)) => None,
            Ok(Cel::Bool(false)) => {
                Some((validation.rule.clone(), text(&validation.rule, &validation.message, &context)))
            }
            other => panic!("{}: {other:?}\n{review:#}", validation.rule),
        };
        let refused_by = self.validations.iter().filter_map(refused).collect();
        let annotations = self.annotations.iter().map(|(key, value)| (key.clone(), text(key, value, &context)));
        Outcome { rule, refused_by, annotations: annotations.filter(|(_, value)| !value.is_empty()).collect() }
    }
}
