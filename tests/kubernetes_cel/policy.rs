//! The policy against the webhook's own decision.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::objects::{generated, policies};
use crate::recorded::recorded;
use crate::write_guard::{Outcome, WriteGuard, writer_rules};

/// What a policy does with each request.
pub fn outcomes(server: &ApiServer, policy: &Value, reviews: &[Value]) -> Vec<Outcome> {
    let mut answers = server.ask([policy].into_iter().chain(reviews));
    let compiled = answers.remove(0);
    assert_eq!(compiled["errors"], json!([]));
    answers.iter().zip(reviews).map(|(answer, review)| outcome(&answer["policy"], review)).collect()
}

fn outcome(said: &Value, review: &Value) -> Outcome {
    assert_eq!((&said["errors"], &said["variableErrors"]), (&json!([]), &json!([])), "{review:#}");
    let refusal = |denied: &Value| {
        assert_eq!(denied["reason"], "Forbidden");
        let message = denied["message"].as_str().unwrap().to_owned();
        (message.split_once(':').unwrap().0.to_owned(), message)
    };
    let annotations = said["annotations"].as_object().unwrap();
    let text = |key: &str| annotations.get(key).map(|value| (key.to_owned(), value.as_str().unwrap().to_owned()));
    Outcome {
        rule: text("rule").unwrap().1,
        refused_by: said["denied"].as_array().unwrap().iter().map(refusal).collect(),
        annotations: ["rule", "decision", "break-glass"].into_iter().filter_map(text).collect(),
    }
}

/// How often each rule was met by whom nobody contradicted.
fn agreed(server: &ApiServer, reviews: &[Value]) -> BTreeMap<String, usize> {
    let mut met = BTreeMap::new();
    for (policy, settings) in policies() {
        let guard = WriteGuard::new(settings);
        for (outcome, review) in outcomes(server, &policy, reviews).into_iter().zip(reviews) {
            assert_eq!(outcome, guard.decide(review), "{:#?}\n{review:#}", guard.settings());
            *met.entry(outcome.rule).or_default() += 1;
        }
    }
    met
}

pub fn recorded_requests(server: &ApiServer) {
    let reviews: Vec<_> = recorded().iter().map(crate::recorded::Recorded::json).collect();
    agreed(server, &reviews);
}

pub fn generated_requests(server: &ApiServer) {
    let met = agreed(server, &generated(4_000));
    println!("{met:?}");
    for rule in writer_rules() {
        assert!(met.get(rule.name()).is_some_and(|count| *count >= 50), "{rule} was met too seldom");
    }
}
