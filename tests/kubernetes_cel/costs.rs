//! What the expressions cost an API server, which bounds it: see `docs/admission-policy.md`.

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::objects::{component, webhooks};
use crate::recorded::recorded;

/// What one expression may cost; all of a policy together may ten times as much.
const EXPRESSION: u64 = 1_000_000;

/// The answers of the shipped objects.
fn answers(server: &ApiServer, reviews: &[Value]) -> Vec<Value> {
    let objects = [webhooks(), component()];
    server.ask(objects.iter().chain(reviews)).split_off(objects.len())
}

fn cost(answer: &Value, of: &str) -> u64 {
    answer["policy"]["cost"][of].as_u64().unwrap()
}

pub fn every_day(server: &ApiServer) {
    let reviews: Vec<_> = recorded().iter().map(crate::recorded::Recorded::json).collect();
    let answers = answers(server, &reviews);
    let most = |of: &dyn Fn(&Value) -> u64| answers.iter().map(of).max().unwrap();
    let conditions = |answer: &Value| {
        answer["webhooks"].as_array().unwrap().iter().map(|entry| entry["cost"].as_u64().unwrap()).max().unwrap()
    };
    let costs = [
        ("matchConditions", most(&conditions)),
        ("validations", most(&|answer| cost(answer, "validations"))),
        ("messages", most(&|answer| cost(answer, "messages"))),
        ("annotations", most(&|answer| cost(answer, "annotations"))),
        ("every variable", most(&|answer| cost(answer, "variables"))),
    ];
    println!("{costs:?}");
    for (what, cost) in costs {
        assert!((1..EXPRESSION / 100).contains(&cost), "{what}: {cost}");
    }
}

/// A recorded update, by somebody else and of another size.
fn update(user: &Value, finalizers: usize) -> Value {
    let scenario = "37-update-merge-patch-status-by-session-service";
    let mut review = recorded().iter().find(|request| request.scenario == scenario).unwrap().json();
    review["request"]["userInfo"] = user.clone();
    let all: Vec<_> = (0..finalizers).map(|number| json!(format!("hobbyfarm.io/finalizer-{number}"))).collect();
    let request = &mut review["request"];
    request["oldObject"]["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:20:00Z");
    request["object"] = request["oldObject"].clone();
    // One is released: every rule is asked.
    request["oldObject"]["metadata"]["finalizers"] = json!(all);
    request["object"]["metadata"]["finalizers"] = json!(all[1..]);
    review
}

fn hobbyfarm() -> Value {
    json!({"username": "system:serviceaccount:hobbyfarm-system:hobbyfarm-session", "uid": "u-1"})
}

pub fn of_hobbyfarm(server: &ApiServer) {
    let answers = answers(server, &[update(&hobbyfarm(), 1), update(&hobbyfarm(), 20_000)]);
    let [small, large] = [&answers[0]["policy"], &answers[1]["policy"]];
    for of in ["validations", "messages", "annotations"] {
        assert_eq!(small["cost"][of], large["cost"][of], "{of}");
    }
    assert_eq!(large["annotations"]["rule"], "HobbyFarm");
    assert_eq!((&large["errors"], &large["denied"]), (&json!([]), &json!([])));
}

pub fn many_finalizers(server: &ApiServer) {
    let alice = json!({"username": "alice", "uid": "u-2"});
    let sizes = [1, 100, 1_000, 10_000];
    let answers = answers(server, &sizes.map(|finalizers| update(&alice, finalizers)));
    for (size, answer) in sizes.iter().zip(&answers) {
        println!("{size} finalizers: {}", answer["policy"]["cost"]);
        assert_eq!(answer["policy"]["errors"], json!([]), "{size}");
        assert_eq!(answer["policy"]["annotations"]["rule"], "Release", "{size}");
        assert!(cost(answer, "validations") < EXPRESSION, "{size}");
    }
}
