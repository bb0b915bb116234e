//! Expressions with mistakes: a check that never objects proves nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::apiserver::ApiServer;
use crate::objects::{check, component, generated, installed, webhooks};
use crate::policy::outcomes;
use crate::webhooks::{called, expected};
use crate::write_guard::WriteGuard;

/// A copy in which this text, wherever it stands, is another.
fn with(object: &Value, text: &str, instead: &str) -> Value {
    let inside = |text: &str| json!(text).to_string().trim_matches('"').to_owned();
    let before = object.to_string();
    let after = before.replace(&inside(text), &inside(instead));
    assert_ne!(before, after, "{text}");
    serde_json::from_str(&after).unwrap()
}

pub fn does_not_compile(server: &ApiServer) {
    let mistakes = [
        ("variables.uid == ''", "variables.uid == 1", "no matching overload"),
        ("variables.uid == ''", "variables.nobody == ''", "undefined field 'nobody'"),
        ("request.userInfo.uid", "request.userInfo.id", "undefined field 'id'"),
        // known to 1.31, not to 1.30
        ("variables.uid == ''", "format.dns1123Label().validate('a').hasValue()", "undeclared reference to 'format'"),
    ];
    for (text, instead, error) in mistakes {
        for said in check(server, &with(&component(), text, instead)) {
            assert!(said["errors"].to_string().contains(error), "{instead}: {said:#}");
        }
    }
    let untyped = ("dyn(oldObject)", "dyn({'metadata': {'a': oldObject.specs}})");
    for (text, instead) in [untyped, ("variables.rule != 'ManualEdit'", "variables.rule != oldObject.specs")] {
        let said = check(server, &with(&component(), text, instead));
        let warned =
            said.iter().filter(|said| said["warnings"].to_string().contains("undefined field 'specs'")).count();
        assert_eq!(warned, 2, "{instead}: once for each definition\n{said:#?}");
    }
    let said = server.ask([&with(&webhooks(), "request.userInfo.username in", "request.userInfo.name in")]);
    assert!(said[0]["errors"].to_string().contains("undefined field 'name'"), "{said:?}");
}

pub fn says_something_else(server: &ApiServer) {
    let reviews = generated(2_000);
    let mistakes = [
        ("variables.uid == ''", "variables.uid != ''"),
        ("[^:]+", ".+"),
        ("key != 'metadata' && ", ""),
        ("variables.deleting && ", ""),
        ("'managedFields', ", ""),
        ("may not", "must not"),
        ("? 'deny' : 'allow'", "? 'deny' : 'allowed'"),
        ("hobbyfarm-user'", "hobbyfarm-users'"),
    ];
    let guard = WriteGuard::new(installed());
    for (text, instead) in mistakes {
        let policy = with(&component(), text, instead);
        let outcomes = catch_unwind(AssertUnwindSafe(|| outcomes(server, &policy, &reviews)));
        let told =
            outcomes.map_or(true, |all| all.iter().zip(&reviews).any(|(one, review)| *one != guard.decide(review)));
        assert!(told, "{text} -> {instead}");
    }
    let mut named = reviews;
    named.retain(|review| review["request"]["userInfo"]["username"].as_str().is_some_and(|name| !name.is_empty()));
    for (text, instead) in [("has(request.userInfo.uid) && ", ""), ("hobbyfarm-user", "hobbyfarm-users")] {
        let called = called(server, &with(&webhooks(), text, instead), &named);
        assert!(called.iter().zip(&named).any(|(called, review)| *called != expected(review)), "{text} -> {instead}");
    }
}
