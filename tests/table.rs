//! The decision table of the contract, row by row.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

mod support;

use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::core::admission::decision::{Decision, Verdict};
use session_webhook::core::admission::review::Webhook;
use session_webhook::core::admission::rule::Rule;
use session_webhook::core::settings::{Impersonation, Invariants, Mode, Settings};
use support::recorded::{decide, shipped};

/// A rule without a row would be one that nothing has to decide by.
#[test]
fn every_rule_has_its_row() {
    let rows = include_str!("table.rs");
    for rule in Rule::ALL {
        assert!(rows.contains(&format!("Rule::{rule}")), "{rule} has no row in tests/table.rs");
    }
}

const HOBBYFARM: &str = "system:serviceaccount:hobbyfarm-system:hobbyfarm-session";
const COLLECTOR: &str = "system:serviceaccount:kube-system:generic-garbage-collector";

/// A running session as HobbyFarm v3 stores it.
fn session() -> Value {
    json!({
        "apiVersion": "hobbyfarm.io/v1",
        "kind": "Session",
        "metadata": {
            "name": "s1", "namespace": "hobbyfarm-system", "uid": "u", "resourceVersion": "7", "generation": 1,
            "creationTimestamp": "2026-11-24T00:00:00Z",
            "managedFields": [{"manager": "session-service"}],
            "finalizers": ["a", "b"],
            "ownerReferences": [{"name": "owner"}],
            "labels": {"a": "b"},
        },
        "spec": {"user": "u-1", "vm_claim": ["vmc-1"], "keep_course_vm": false, "access_code": "ac-secret"},
        "status": {
            "paused": false, "active": true, "finished": false, "paused_time": "",
            "start_time": "Tue Nov 24 00:00:00 UTC 2026", "end_time": "Tue Nov 24 00:35:00 UTC 2026",
        },
    })
}

fn review(user: &str, operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "r-1", "operation": operation, "name": "s1", "namespace": "hobbyfarm-system",
            "kind": {"group": "hobbyfarm.io", "version": "v1", "kind": "Session"},
            "resource": {"group": "hobbyfarm.io", "version": "v1", "resource": "sessions"},
            "userInfo": {"username": user, "uid": "some-uid", "groups": ["system:authenticated"]},
            "object": object, "oldObject": old,
        },
    })
}

fn create(user: &str) -> Value {
    review(user, "CREATE", &session(), &Value::Null)
}

/// An update of [`session`] in which `path` gets `value`, or goes away where that is null.
fn update(user: &str, path: &str, value: Value) -> Value {
    let mut object = session();
    change(&mut object, path, value);
    review(user, "UPDATE", &object, &session())
}

fn change(object: &mut Value, path: &str, value: Value) {
    let (parent, key) = path.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(key)),
        value => drop(parent.insert(key.to_owned(), value)),
    }
}

/// An update of a session that is being deleted.
fn update_deleted(user: &str, path: &str, value: Value) -> Value {
    let mut review = update(user, path, value);
    for object in ["object", "oldObject"] {
        review["request"][object]["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:20:00Z");
    }
    review
}

fn with(mut review: Value, path: &str, value: Value) -> Value {
    change(&mut review["request"], path, value);
    review
}

fn validate(review: &Value) -> Decision {
    decide(&shipped(), Webhook::Validate, review)
}

#[track_caller]
fn allows(rule: Rule, review: &Value) {
    let decision = validate(review);
    assert_eq!((decision.verdict, decision.rule), (Verdict::Allow, rule));
}

#[track_caller]
fn denies(rule: Rule, review: &Value) {
    let decision = validate(review);
    assert!(matches!(decision.verdict, Verdict::Deny(_)), "{:?}", decision.rule);
    assert_eq!(decision.rule, rule);
}

mod not_guarded {
    use super::*;

    #[rstest]
    #[case::delete(review("alice", "DELETE", &Value::Null, &session()))]
    #[case::delete_by_nobody(review("", "DELETE", &Value::Null, &session()))]
    #[case::delete_of_something_unreadable(review("alice", "DELETE", &Value::Null, &json!(5)))]
    #[case::connect(review("alice", "CONNECT", &Value::Null, &Value::Null))]
    #[case::another_resource(with(create("alice"), "/resource", json!({"group": "hobbyfarm.io", "version": "v1", "resource": "courses"})))]
    #[case::another_group(with(create("alice"), "/resource", json!({"group": "example.com", "version": "v1", "resource": "sessions"})))]
    #[case::another_subresource(with(create("alice"), "/subResource", json!("scale")))]
    fn is_allowed(#[case] review: Value) {
        allows(Rule::NotGuarded, &review);
    }

    #[test]
    fn another_version_of_sessions_is_guarded_all_the_same() {
        let resource = json!({"group": "hobbyfarm.io", "version": "v4alpha1", "resource": "sessions"});
        denies(Rule::ManualCreate, &with(create("alice"), "/resource", resource));
    }
}

mod hobbyfarm {
    use super::*;

    #[rstest]
    #[case::create(create(HOBBYFARM))]
    #[case::keep_alive(update(HOBBYFARM, "/status/end_time", json!("Tue Nov 24 00:40:00 UTC 2026")))]
    #[case::new_scenario(update(HOBBYFARM, "/spec/scenario", json!("s-2")))]
    #[case::no_change(review(HOBBYFARM, "UPDATE", &session(), &session()))]
    #[case::second_account(create("system:serviceaccount:hobbyfarm-system:hobbyfarm-gargantua"))]
    #[case::third_account(create("system:serviceaccount:hobbyfarm-system:hobbyfarm-user"))]
    fn is_allowed(#[case] review: Value) {
        allows(Rule::HobbyFarm, &review);
    }

    #[rstest]
    #[case::another_account("system:serviceaccount:hobbyfarm-system:default")]
    #[case::another_namespace("system:serviceaccount:default:hobbyfarm-session")]
    #[case::prefix_of_the_namespace("system:serviceaccount:hobbyfarm-system-evil:hobbyfarm-session")]
    #[case::longer_name("system:serviceaccount:hobbyfarm-system:hobbyfarm-session:x")]
    #[case::without_the_prefix("hobbyfarm-system:hobbyfarm-session")]
    fn is_nobody_else(#[case] user: &str) {
        denies(Rule::ManualCreate, &create(user));
    }

    #[test]
    fn is_not_proven_by_a_group() {
        let groups = json!(["system:serviceaccounts", "system:serviceaccounts:hobbyfarm-system"]);
        denies(Rule::ManualCreate, &with(create("alice"), "/userInfo/groups", groups));
    }

    #[test]
    fn is_the_webhook_itself_too() {
        let own = Some("other-namespace/session-webhook".parse().unwrap());
        let settings = Settings { own_service_account: own, ..shipped() };
        let review = create("system:serviceaccount:other-namespace:session-webhook");
        assert_eq!(decide(&settings, Webhook::Validate, &review).rule, Rule::HobbyFarm);
        denies(Rule::ManualCreate, &review);
    }

    #[test]
    fn is_an_impersonation_without_a_uid() {
        let impersonated = with(create(HOBBYFARM), "/userInfo/uid", Value::Null);
        denies(Rule::Impersonation, &impersonated);
        let settings = Settings { impersonation: Impersonation::Allow, ..shipped() };
        assert_eq!(decide(&settings, Webhook::Validate, &impersonated).rule, Rule::HobbyFarm);
    }
}

mod break_glass {
    use super::*;

    fn settings() -> Settings {
        let (users, groups) = (vec!["root@example.com".to_owned()], vec!["break-glass".to_owned()]);
        Settings { break_glass_users: users, break_glass_groups: groups, ..shipped() }
    }

    #[rstest]
    #[case::user(create("root@example.com"))]
    #[case::group(with(create("alice"), "/userInfo/groups", json!(["x", "break-glass"])))]
    fn is_allowed_with_a_warning(#[case] review: Value) {
        let decision = decide(&settings(), Webhook::Validate, &review);
        assert_eq!((decision.verdict, decision.rule), (Verdict::Allow, Rule::BreakGlass));
        assert_eq!(decision.warnings.len(), 1);
        assert!(decision.break_glass);
    }

    #[test]
    fn is_held_to_a_sound_status() {
        let review = update("root@example.com", "/status/end_time", json!("soon"));
        let decision = decide(&settings(), Webhook::Validate, &review);
        assert_eq!(decision.rule, Rule::BadTime);
        assert!(decision.break_glass);
    }
}

mod another_version {
    use super::*;

    /// A request about a Session of HobbyFarm 4, which has neither flags nor times.
    fn v4(user: &str, operation: &str, object: &Value, old: &Value) -> Value {
        let resource = json!({"group": "hobbyfarm.io", "version": "v4alpha1", "resource": "sessions"});
        with(review(user, operation, object, old), "/resource", resource)
    }

    fn session_of_v4() -> Value {
        json!({
            "apiVersion": "hobbyfarm.io/v4alpha1", "kind": "Session", "metadata": {"name": "s1", "uid": "u"},
            "spec": {"user": "u-1", "accessCode": "ac-secret", "persistenceStrategy": "default"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "machineClaim": "m-1"},
        })
    }

    #[rstest]
    #[case::as_it_is(session_of_v4())]
    #[case::without_a_status(json!({"metadata": {"name": "s1"}, "spec": {}}))]
    #[case::with_a_status_that_is_none(json!({"metadata": {"name": "s1"}, "status": "ready"}))]
    #[case::with_fields_that_v1_would_refuse(json!({"metadata": {"name": "s1"}, "status": {"paused": "perhaps", "end_time": "soon"}}))]
    fn is_neither_repaired_nor_judged(#[case] object: Value) {
        for review in
            [v4(HOBBYFARM, "CREATE", &object, &Value::Null), v4(HOBBYFARM, "UPDATE", &object, &session_of_v4())]
        {
            assert_eq!(decide(&shipped(), Webhook::Mutate, &review).edits, []);
            let settings = Settings { invariants: Invariants::Deny, ..shipped() };
            let decision = decide(&settings, Webhook::Validate, &review);
            assert_eq!((decision.verdict, decision.rule), (Verdict::Allow, Rule::HobbyFarm));
        }
    }

    #[test]
    fn is_written_by_nobody_but_hobbyfarm() {
        denies(Rule::ManualCreate, &v4("alice", "CREATE", &session_of_v4(), &Value::Null));
        let mut changed = session_of_v4();
        changed["status"]["machineClaim"] = json!("m-2");
        denies(Rule::ManualEdit, &v4("alice", "UPDATE", &changed, &session_of_v4()));
        allows(Rule::NoChange, &v4("alice", "UPDATE", &session_of_v4(), &session_of_v4()));
    }
}

mod no_change {
    use super::*;

    #[rstest]
    #[case::doubles_that_round_to_the_same("1.7976931348623157e308", "1.7976931348623158e308", false)]
    #[case::long_fractions("0.1", "0.1000000000000000055511151231257827", false)]
    #[case::beyond_the_range_of_integers("9007199254740993", "9007199254740992.0", false)]
    #[case::an_integer_and_a_double("1", "1.0", false)]
    #[case::the_same_in_another_order(r#"{"a":1,"b":[1,2]}"#, r#"{ "b": [1, 2], "a": 1 }"#, true)]
    #[case::the_same_with_an_escape(r#""a/b""#, r#""a\/b""#, true)]
    #[case::another_order_in_a_list("[1,2]", "[2,1]", false)]
    #[case::a_number_deep_inside(r#"{"a":[{"b":1.10}]}"#, r#"{"a":[{"b":1.1}]}"#, false)]
    fn compares_numbers_as_they_are_written(#[case] new: &str, #[case] old: &str, #[case] is_same: bool) {
        let body = update("alice", "/spec/n", json!("NUMBER")).to_string();
        let parts: Vec<_> = body.splitn(2, "\"NUMBER\"").collect();
        let body = format!("{}{new}{}", parts[0], parts[1]);
        let at = body.find("\"oldObject\"").unwrap();
        let (before, after) = body.split_at(at);
        let body = format!("{before}{}", after.replacen("\"spec\":{", &format!("\"spec\":{{\"n\":{old},"), 1));
        let review = session_webhook::core::admission::review::Review::parse(body.as_bytes()).unwrap();
        let policy = session_webhook::core::admission::policy::Policy::new(shipped());
        let decision = policy.decide(Webhook::Validate, &review, support::recorded::now()).unwrap();
        assert_eq!(decision.rule, if is_same { Rule::NoChange } else { Rule::ManualEdit }, "{body}");
    }

    #[rstest]
    #[case::nothing("/metadata/name", json!("s1"))]
    #[case::managed_fields("/metadata/managedFields", json!([{"manager": "kubectl"}]))]
    #[case::resource_version("/metadata/resourceVersion", json!("8"))]
    #[case::generation("/metadata/generation", json!(2))]
    fn is_allowed(#[case] path: &str, #[case] value: Value) {
        allows(Rule::NoChange, &update("alice", path, value));
    }
}

mod housekeeping {
    use super::*;

    #[rstest]
    #[case::finalizer_added("/metadata/finalizers", json!(["a", "b", "foregroundDeletion"]))]
    #[case::finalizer_removed("/metadata/finalizers", json!(["a"]))]
    #[case::owner_removed("/metadata/ownerReferences", Value::Null)]
    fn is_allowed(#[case] path: &str, #[case] value: Value) {
        allows(Rule::Housekeeping, &update(COLLECTOR, path, value.clone()));
        allows(Rule::Housekeeping, &update("system:kube-controller-manager", path, value.clone()));
        denies(Rule::ManualEdit, &update("alice", path, value));
    }

    #[rstest]
    #[case::label("/metadata/labels", json!({"a": "c"}))]
    #[case::spec("/spec/user", json!("u-2"))]
    #[case::status("/status/active", json!(false))]
    fn is_nothing_else(#[case] path: &str, #[case] value: Value) {
        denies(Rule::ManualEdit, &update(COLLECTOR, path, value));
    }

    #[test]
    fn is_no_create() {
        denies(Rule::ManualCreate, &create(COLLECTOR));
    }
}

mod release {
    use super::*;

    #[rstest]
    #[case::one_of_two(json!(["b"]))]
    #[case::all(json!([]))]
    #[case::the_key(Value::Null)]
    fn is_allowed(#[case] finalizers: Value) {
        allows(Rule::Release, &update_deleted("alice", "/metadata/finalizers", finalizers));
    }

    #[rstest]
    #[case::added(json!(["a", "b", "c"]))]
    #[case::replaced(json!(["c"]))]
    #[case::nonsense(json!("a"))]
    fn only_takes_finalizers_off(#[case] finalizers: Value) {
        denies(Rule::ManualEdit, &update_deleted("alice", "/metadata/finalizers", finalizers));
    }

    #[test]
    fn changes_nothing_else() {
        let mut review = update_deleted("alice", "/metadata/finalizers", json!([]));
        review["request"]["object"]["status"]["active"] = json!(false);
        denies(Rule::ManualEdit, &review);
    }

    #[test]
    fn needs_the_deletion_to_have_begun() {
        denies(Rule::ManualEdit, &update("alice", "/metadata/finalizers", json!([])));
        let mut review = update("alice", "/metadata/finalizers", json!([]));
        review["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-11-24T00:20:00Z");
        denies(Rule::ManualEdit, &review);
    }
}

mod anything_else {
    use super::*;

    #[rstest]
    #[case::human("alice")]
    #[case::admin("kubernetes-admin")]
    #[case::nobody("")]
    #[case::anonymous("system:anonymous")]
    #[case::housekeeper(COLLECTOR)]
    fn is_denied(#[case] user: &str) {
        denies(Rule::ManualCreate, &create(user));
        denies(Rule::ManualEdit, &update(user, "/spec/course", json!("c-2")));
        let status = with(update(user, "/status/active", json!(false)), "/subResource", json!("status"));
        denies(Rule::ManualStatusEdit, &status);
    }

    #[test]
    fn is_allowed_with_a_warning_in_mode_warn_and_silently_in_mode_audit() {
        for (mode, warnings) in [(Mode::Warn, 1), (Mode::Audit, 0)] {
            let decision = decide(&Settings { mode, ..shipped() }, Webhook::Validate, &create("alice"));
            assert!(decision.is_allowed());
            assert_eq!((decision.name(), decision.rule), ("deny", Rule::ManualCreate));
            assert_eq!(decision.warnings.len(), warnings);
        }
    }

    #[test]
    fn is_never_repaired() {
        let review = update("alice", "/status/end_time", json!(""));
        assert!(decide(&shipped(), Webhook::Mutate, &review).edits.is_empty());
    }
}

mod a_sound_status {
    use super::*;

    #[rstest]
    #[case::flag("/status/active", json!("maybe"), Rule::BadFlag)]
    #[case::number("/status/paused", json!(2), Rule::BadFlag)]
    #[case::list("/status/finished", json!([true]), Rule::BadFlag)]
    #[case::time("/status/end_time", json!("tomorrow"), Rule::BadTime)]
    #[case::leap_second("/status/end_time", json!("Sat Dec 31 23:59:60 UTC 2016"), Rule::BadTime)]
    #[case::no_such_day("/status/start_time", json!("Tue Feb 30 00:00:00 UTC 2026"), Rule::BadTime)]
    #[case::time_that_cannot_be_rewritten("/status/end_time", json!("9999-12-31T23:59:59-01:00"), Rule::BadTime)]
    #[case::number_as_time("/status/paused_time", json!(0), Rule::BadTime)]
    #[case::no_object("/status", json!("running"), Rule::BadTime)]
    fn is_needed_from_hobbyfarm_too(#[case] path: &str, #[case] value: Value, #[case] rule: Rule) {
        denies(rule, &update(HOBBYFARM, path, value));
    }

    #[rstest]
    #[case::empty_time("/status/end_time", json!(""))]
    #[case::missing_time("/status/end_time", Value::Null)]
    #[case::empty_flag("/status/active", json!(""))]
    #[case::end_at_the_start("/status/end_time", json!("Tue Nov 24 00:00:00 UTC 2026"))]
    #[case::contradicting_weekday("/status/end_time", json!("Mon Nov 24 00:40:00 UTC 2026"))]
    #[case::end_after_the_finish("/status/finished", json!(true))]
    fn may_look_like_this(#[case] path: &str, #[case] value: Value) {
        allows(Rule::HobbyFarm, &update(HOBBYFARM, path, value));
    }

    #[test]
    fn is_not_asked_of_what_was_bad_before() {
        let mut review = update(HOBBYFARM, "/spec/scenario", json!("s-2"));
        for object in ["object", "oldObject"] {
            review["request"][object]["status"]["end_time"] = json!("soon");
            review["request"][object]["status"]["paused"] = json!("perhaps");
        }
        allows(Rule::HobbyFarm, &review);
    }

    #[test]
    fn is_reported_with_all_its_faults() {
        let mut review = update(HOBBYFARM, "/status/end_time", json!("soon"));
        review["request"]["object"]["status"]["paused"] = json!("perhaps");
        let Verdict::Deny(refusal) = validate(&review).verdict else { panic!("allowed") };
        let fields: Vec<_> = refusal.causes.iter().map(|cause| cause.field).collect();
        assert_eq!(fields, ["status.paused", "status.end_time"]);
    }
}

mod an_invariant {
    use super::*;

    fn resurrect() -> Value {
        let mut review = update(HOBBYFARM, "/status/active", json!(true));
        review["request"]["oldObject"]["status"]["finished"] = json!(true);
        review
    }

    #[rstest]
    #[case::start(update(HOBBYFARM, "/status/start_time", json!("Tue Nov 24 00:01:00 UTC 2026")), Rule::StartMoved)]
    #[case::end_before_start(update(HOBBYFARM, "/status/end_time", json!("Mon Nov 23 23:59:59 UTC 2026")), Rule::EndBeforeStart)]
    #[case::end_a_second_before_the_start(update(HOBBYFARM, "/status/end_time", json!("Mon Nov 23 18:29:59 -0530 2026")), Rule::EndBeforeStart)]
    #[case::end_before_start_on_create(created(json!("Mon Nov 23 23:59:59 UTC 2026")), Rule::EndBeforeStart)]
    #[case::end_before_start_where_there_was_no_end(over(&json!({"end_time": ""}), json!("Mon Nov 23 23:59:59 UTC 2026")), Rule::EndBeforeStart)]
    #[case::finished(resurrect(), Rule::Resurrected)]
    #[case::owner(update(HOBBYFARM, "/spec/user", json!("u-2")), Rule::OwnerChanged)]
    fn is_a_warning_or_a_refusal_or_nothing(#[case] review: Value, #[case] rule: Rule) {
        let decided = |invariants| decide(&Settings { invariants, ..shipped() }, Webhook::Validate, &review);
        let warned = decided(Invariants::Warn);
        assert_eq!((warned.verdict, warned.rule), (Verdict::Allow, Rule::HobbyFarm));
        assert_eq!((warned.broken_invariants, warned.warnings.len()), (vec![rule], 1));
        let denied = decided(Invariants::Deny);
        assert!(matches!(denied.verdict, Verdict::Deny(_)));
        assert_eq!(denied.rule, rule);
        let off = decided(Invariants::Off);
        assert_eq!((off.verdict, off.warnings.len()), (Verdict::Allow, 0));
    }

    fn created(end: Value) -> Value {
        with_end(create(HOBBYFARM), end)
    }

    /// An update that sets the end of a session whose stored times are these.
    fn over(stored: &Value, end: Value) -> Value {
        let mut review = update(HOBBYFARM, "/status/end_time", end);
        for (key, value) in stored.as_object().unwrap() {
            review["request"]["oldObject"]["status"][key] = value.clone();
            if key == "start_time" {
                review["request"]["object"]["status"][key] = value.clone();
            }
        }
        review
    }

    fn with_end(mut review: Value, end: Value) -> Value {
        review["request"]["object"]["status"]["end_time"] = end;
        review
    }

    #[rstest]
    #[case::the_pair_was_odd_before(over(&json!({"start_time": "Tue Nov 24 09:00:00 UTC 2026"}), json!("Tue Nov 24 00:40:00 UTC 2026")))]
    #[case::odd_in_another_layout(over(&json!({"start_time": "2026-11-24T09:00:00Z"}), json!("Tue Nov 24 00:40:00 UTC 2026")))]
    #[case::the_start_is_uncertain(over(&json!({"start_time": "Tue Nov 24 14:56:18 CET 2026"}), json!("Tue Nov 24 14:00:00 UTC 2026")))]
    #[case::the_end_is_uncertain(over(&json!({}), json!("Mon Nov 23 19:00:00 EST 2026")))]
    #[case::both_are_uncertain_in_two_zones(over(&json!({"start_time": "Sun Oct 25 02:58:00 CEST 2026", "end_time": "Sun Oct 25 03:03:00 CEST 2026"}), json!("Sun Oct 25 02:08:00 CET 2026")))]
    #[case::the_pair_was_uncertain_before(over(&json!({"end_time": "Tue Nov 24 01:00:00 CET 2026"}), json!("Mon Nov 23 23:30:00 UTC 2026")))]
    #[case::the_end_is_the_start(over(&json!({}), json!("Tue Nov 24 00:00:00 UTC 2026")))]
    #[case::within_the_second(over(&json!({"start_time": "Tue Nov 24 00:00:00.9 UTC 2026"}), json!("Tue Nov 24 00:00:00.1 UTC 2026")))]
    #[case::the_start_becomes_uncertain(update(HOBBYFARM, "/status/start_time", json!("Tue Nov 24 06:00:00 EST 2026")))]
    #[case::the_same_start_with_a_numeric_zone(update(HOBBYFARM, "/status/start_time", json!("Tue Nov 24 05:45:00 +0545 2026")))]
    #[case::the_start_was_uncertain(with_old_start("Tue Nov 24 02:00:00 IST 2026"))]
    #[case::created_with_an_uncertain_start(with_end(with(create(HOBBYFARM), "/object/status/start_time", json!("Tue Nov 24 23:00:00 AEDT 2026")), json!("Tue Nov 24 12:05:00 UTC 2026")))]
    fn is_not_broken_where_nobody_can_tell_or_it_was_broken_before(#[case] review: Value) {
        let decision = decide(&Settings { invariants: Invariants::Deny, ..shipped() }, Webhook::Validate, &review);
        assert_eq!((decision.verdict, decision.rule, decision.warnings), (Verdict::Allow, Rule::HobbyFarm, Vec::new()));
    }

    fn with_old_start(start: &str) -> Value {
        let mut review = update(HOBBYFARM, "/status/active", json!(true));
        review["request"]["oldObject"]["status"]["start_time"] = json!(start);
        review
    }

    #[rstest]
    #[case::same_time("Tue Nov 24 00:00:00 UTC 2026", "2026-11-24T00:00:00Z")]
    #[case::a_fraction_that_the_layout_has_no_place_for("2026-11-24T00:00:00.5Z", "Tue Nov 24 00:00:00 UTC 2026")]
    fn is_not_broken_by_writing_the_same_start_in_another_layout(#[case] old: &str, #[case] new: &str) {
        let mut review = update(HOBBYFARM, "/status/start_time", json!(new));
        review["request"]["oldObject"]["status"]["start_time"] = json!(old);
        assert_eq!(validate(&review).broken_invariants, []);
    }
}
