//! Which of the two validating entries a request is sent to.

use serde_json::Value;
use session_webhook::core::installation::{GARBAGE_COLLECTORS, Writers, entry};
use session_webhook::core::requester::Requester;

use crate::apiserver::ApiServer;
use crate::objects::{generated, webhooks};
use crate::recorded::{recorded, shipped};

/// The writers whose entries are called, for each request.
pub fn called(server: &ApiServer, configuration: &Value, reviews: &[Value]) -> Vec<Vec<Writers>> {
    let mut answers = server.ask([configuration].into_iter().chain(reviews));
    answers.remove(0);
    let called = |(answer, review): (&Value, &Value)| -> Vec<Writers> {
        let entries = answer["webhooks"].as_array().unwrap();
        let errors: Vec<_> = entries.iter().flat_map(|entry| entry["errors"].as_array().unwrap()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{review:#}");
        let called = entries.iter().filter(|entry| entry["selected"] == true && entry["matches"] == true);
        called.map(|called| entry(called["name"].as_str().unwrap()).unwrap().writers).collect()
    };
    answers.iter().zip(reviews).map(called).collect()
}

/// Those whose entry should be called.
pub fn expected(review: &Value) -> Vec<Writers> {
    let request = &review["request"];
    let guarded = ["CREATE", "UPDATE"].iter().any(|operation| request["operation"] == *operation)
        && request["resource"]["group"] == "hobbyfarm.io"
        && request["resource"]["resource"] == "sessions"
        && ["", "status"].contains(&request["subResource"].as_str().unwrap_or_default());
    let text = |field: &str| request["userInfo"][field].as_str().unwrap_or_default();
    let writer = Requester::parse(text("username"));
    let is_account = shipped().service_accounts.iter().any(|account| account.matches(&writer))
        || text("username").starts_with("system:serviceaccount:") && GARBAGE_COLLECTORS.contains(&text("username"));
    let goes_on = is_account && !text("uid").is_empty() || text("username") == "system:kube-controller-manager";
    match (guarded, goes_on) {
        (false, _) => Vec::new(),
        (true, true) => vec![Writers::HobbyFarmAndGarbageCollectors],
        (true, false) => vec![Writers::Others],
    }
}

fn compare(server: &ApiServer, reviews: &[Value]) {
    let called = called(server, &webhooks(), reviews);
    for (called, review) in called.iter().zip(reviews) {
        assert_eq!(*called, expected(review), "{review:#}");
    }
    for met in [vec![], vec![Writers::HobbyFarmAndGarbageCollectors], vec![Writers::Others]] {
        assert!(called.iter().filter(|called| **called == met).count() > 10, "{met:?} was met too seldom");
    }
}

pub fn recorded_requests(server: &ApiServer) {
    let reviews: Vec<_> = recorded().iter().map(crate::recorded::Recorded::json).collect();
    compare(server, &reviews);
}

pub fn generated_requests(server: &ApiServer) {
    let mut reviews = generated(4_000);
    // An API server has a name for everybody.
    reviews.retain(|review| review["request"]["userInfo"]["username"].as_str().is_some_and(|name| !name.is_empty()));
    compare(server, &reviews);
}
