//! The CEL expressions of a policy, compiled once and evaluated as an API server does it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use kube::core::cel::cel::extractors::This;
use kube::core::cel::cel::{Context, Program, ResolveResult, Value as Cel, to_value};
use regex::Regex;
use serde_json::Value;
use session_webhook::core::cel::{validations, variables};
use session_webhook::core::rule::Rule;
use session_webhook::core::settings::Settings;

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

/// The twin of a [`session_webhook::core::policy::Policy`].
pub struct Twin {
    root: Context<'static>,
    variables: Vec<(&'static str, Program)>,
    validations: Vec<(Rule, Program)>,
}

/// What the expressions say about a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The variable `rule`.
    pub rule: String,
    /// The validations that are not true.
    pub refused_by: Vec<&'static str>,
}

impl Twin {
    pub fn new(settings: &Settings) -> Self {
        let mut root = Context::default();
        root.add_function("matches", matches);
        // In CEL `dyn(x)` is x; it matters to the type check alone, which this interpreter has not.
        root.add_function("dyn", |value: Cel| -> ResolveResult { Ok(value) });
        let compile = |expression: &str| {
            // The interpreter copies a map whenever it is bound, and `variables` grows with each of them: many times
            // slower than one name for each.
            Program::compile(&expression.replace("variables.", VARIABLE))
                .unwrap_or_else(|e| panic!("{expression}: {e}"))
        };
        Self {
            root,
            variables: variables(settings).iter().map(|v| (v.name, compile(&v.expression))).collect(),
            validations: validations().iter().map(|v| (v.rule, compile(&v.expression))).collect(),
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
        let mut rule = String::new();
        for (name, program) in &self.variables {
            let value = program.execute(&context).unwrap_or_else(|e| panic!("{name}: {e}\n{review:#}"));
            if let ("rule", Cel::String(value)) = (*name, &value) {
                rule.clone_from(value);
            }
            context.add_variable_from_value(format!("{VARIABLE}{name}"), value);
        }
        let refuses = |(rule, program): &(Rule, Program)| match program.execute(&context) {
            Ok(Cel::Bool(passed)) => (!passed).then_some(rule.name()),
            other => panic!("{rule}: {other:?}\n{review:#}"),
        };
        Outcome { rule, refused_by: self.validations.iter().filter_map(refuses).collect() }
    }
}
