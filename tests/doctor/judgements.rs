//! What is a choice or a hint, and what may not be seen: no fault.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::core::doctor::{
    CertificateSource, CheckId, ClockReading, Facts, Observation, ProbeResult, SettingsUnknown, Status, Unobservable,
    run_checks,
};
use session_webhook::core::installation::NAMESPACE;
use session_webhook::core::settings::{Dialect, Mode};

use crate::facts::{
    self, allowed, answer, check, day, now, one, refusal, shipped_policy, shipped_rbac, sound, with_status,
};
use crate::inject::{
    InjectFault, bind, change_both_validating_entries, configuration, mutating, own_account, policy, presented,
    presented_certificate, role, serve_settings, validating, with_policy,
};

#[rstest]
#[case::fail_open(|f: &mut Facts| validating(f, 0)["failurePolicy"] = json!("Ignore"), CheckId::FailurePolicy)]
#[case::old_server(|f: &mut Facts| { f.version = (1, 27); without_conditions(f) }, CheckId::Split)]
#[case::new_server(without_conditions, CheckId::Split)]
#[case::other_expression(|f: &mut Facts| validating(f, 0)["matchConditions"][0]["expression"] = json!("true"), CheckId::Split)]
#[case::needless_side_effects(|f: &mut Facts| mutating(f)["sideEffects"] = json!("NoneOnDryRun"), CheckId::SideEffects)]
#[case::doubtful_options(|f: &mut Facts| serve_settings(f).warnings.push("x".to_owned()), CheckId::Deployment)]
#[case::nobody_is_reached_from_here(|f: &mut Facts| { f.served.truncate(1); f.served[0].presented = Err(Unobservable::Failed("timeout".to_owned())) }, CheckId::ServedCertificate)]
#[case::one_replica(|f: &mut Facts| if let Observation::Found(e) = &mut f.endpoints { e.truncate(1) }, CheckId::Endpoints)]
#[case::ends_soon(|f: &mut Facts| { for s in &mut f.served { s.presented.as_mut().unwrap().certificate.not_after = day(3) } f.secret = Observation::Found(Some(presented_certificate(f))) }, CheckId::ServedCertificate)]
#[case::no_backfill(|f: &mut Facts| { serve_settings(f).backfill = None; f.rbac = Observation::Found(session_webhook::core::doctor::Rbac::default()) }, CheckId::Definition)]
#[case::another_version(|f: &mut Facts| serve_versions(f, &["v1", "v4alpha1"]), CheckId::Definition)]
#[case::another_version_and_no_backfill(|f: &mut Facts| { serve_versions(f, &["v1", "v4alpha1"]); serve_settings(f).backfill = None; f.rbac = Observation::Found(session_webhook::core::doctor::Rbac::default()) }, CheckId::Definition)]
#[case::another_version_alone(|f: &mut Facts| serve_versions(f, &["v4alpha1"]), CheckId::Definition)]
#[case::one_account_is_missing(|f: &mut Facts| if let Observation::Found(a) = &mut f.accounts { a[2].rights = None }, CheckId::Accounts)]
#[case::another_user(|f: &mut Facts| bind(f, writer_role(), &json!({"kind": "User", "name": "bob"})), CheckId::OtherWriters)]
#[case::a_group(|f: &mut Facts| bind(f, writer_role(), &json!({"kind": "Group", "name": "developers"})), CheckId::OtherWriters)]
#[case::everything(|f: &mut Facts| bind(f, role("all", &json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]})), &json!({"kind": "User", "name": "bob"})), CheckId::OtherWriters)]
#[case::all_status(|f: &mut Facts| bind(f, role("status", &json!({"apiGroups": ["*"], "resources": ["*/status"], "verbs": ["patch"]})), &json!({"kind": "User", "name": "bob"})), CheckId::OtherWriters)]
#[case::superfluous(|f: &mut Facts| bind(f, role("secrets", &json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]})), &own_account()), CheckId::OwnRights)]
#[case::any_secret(|f: &mut Facts| bind(f, role("leases", &json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]})), &own_account()), CheckId::OwnRights)]
#[case::odd_clock(|f: &mut Facts| presented(f).clock = Some(ClockReading { remote: now() + SignedDuration::from_secs(30), local: now() }), CheckId::Clock)]
#[case::mode_warn(|f: &mut Facts| { validating(f, 0)["failurePolicy"] = json!("Ignore"); serve_settings(f).policy.mode = Mode::Warn; f.probe = allowed(&["allowed by --mode warn, would be refused: x"], "alice") }, CheckId::Probe)]
#[case::mode_audit(|f: &mut Facts| { validating(f, 0)["failurePolicy"] = json!("Ignore"); serve_settings(f).policy.mode = Mode::Audit; f.probe = allowed(&[], "alice") }, CheckId::Probe)]
#[case::policy_warns(|f: &mut Facts| { with_policy(f); policy(f, 1)["spec"]["validationActions"] = json!(["Warn"]) }, CheckId::AdmissionPolicy)]
#[case::policy_is_narrowed(|f: &mut Facts| { with_policy(f); policy(f, 1)["spec"]["matchResources"] = json!({}) }, CheckId::AdmissionPolicy)]
#[case::policy_is_doubted(|f: &mut Facts| { with_policy(f); policy(f, 0)["status"]["typeChecking"]["expressionWarnings"] = json!([{"warning": "x"}]) }, CheckId::AdmissionPolicy)]
fn what_is_a_choice_or_a_hint_is_worth_a_thought_and_no_fault(#[case] inject: InjectFault, #[case] id: CheckId) {
    let mut facts = sound();
    inject(&mut facts);
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Questionable), [id], "{checks:#?}");
    assert_eq!(with_status(&checks, Status::Faulty), [], "{checks:#?}");
    assert_eq!(with_status(&checks, Status::Unknown), [], "{checks:#?}");
}

fn serve_versions(facts: &mut Facts, versions: &[&str]) {
    let Observation::Found(definition) = &mut facts.definition else { panic!("{:?}", facts.definition) };
    definition.versions = versions.iter().map(ToString::to_string).collect();
}

#[rstest]
#[case(&["v1", "v4alpha1"], "sessions are served as v4alpha1 besides v1: the backfill and audit --fix write nothing")]
#[case(&["v1beta1", "v1", "v2"], "sessions are served as v1beta1, v2 besides v1: the backfill and audit --fix write nothing")]
#[case(&["v4alpha1"], "sessions are served as v4alpha1 and not as v1: the backfill and audit --fix write nothing")]
fn other_versions_are_named_and_what_follows(#[case] versions: &[&str], #[case] expected: &str) {
    let mut facts = sound();
    serve_versions(&mut facts, versions);
    // That helps nobody then, and is not asked for.
    serve_settings(&mut facts).backfill = None;
    let definition = check(&facts, CheckId::Definition);
    assert!(definition.text.starts_with(expected) && !definition.text.contains(';'), "{definition:?}");
    assert!(definition.remedy.unwrap().contains(&format!("served: false for {}", versions_besides_v1(versions))));
    assert!(!definition.text.contains("status subresource"), "{}", definition.text);
    serve_versions(&mut facts, &["v1"]);
    assert!(!check(&facts, CheckId::Definition).text.contains("served as"));
}

fn versions_besides_v1(versions: &[&str]) -> String {
    versions.iter().copied().filter(|version| *version != "v1").collect::<Vec<_>>().join(", ")
}

fn without_conditions(facts: &mut Facts) {
    drop(mutating(facts).as_object_mut().unwrap().remove("matchConditions"));
    change_both_validating_entries(facts, |entry| drop(entry.as_object_mut().unwrap().remove("matchConditions")));
}

fn writer_role() -> Value {
    role("writer", &json!({"apiGroups": ["hobbyfarm.io"], "resources": ["sessions"], "verbs": ["create"]}))
}

#[rstest]
#[case::one_entry_for_all(|f: &mut Facts| { without_conditions(f); configuration(f, 1)["webhooks"].as_array_mut().unwrap().remove(1); f.version = (1, 20) }, Status::Questionable)]
#[case::fail_open_needs_no_split(|f: &mut Facts| { without_conditions(f); change_both_validating_entries(f, |e| e["failurePolicy"] = json!("Ignore")) }, Status::Sound)]
#[case::another_name_for_the_same(|f: &mut Facts| serve_settings(f).policy.service_accounts = vec!["hobbyfarm-system/*".parse().unwrap()], Status::Sound)]
#[case::spaces_mean_nothing(|f: &mut Facts| { let e = &mut validating(f, 0)["matchConditions"][0]["expression"]; *e = json!(e.as_str().unwrap().replace(' ', "\n  ")) }, Status::Sound)]
#[case::so_does_the_order(|f: &mut Facts| serve_settings(f).policy.service_accounts.reverse(), Status::Sound)]
#[case::no_account_at_all(|f: &mut Facts| change_both_validating_entries(f, |e| e["matchConditions"][0]["expression"] = json!("true")), Status::Questionable)]
fn the_split_is_read_as_a_person_would(#[case] inject: InjectFault, #[case] expected: Status) {
    let mut facts = sound();
    inject(&mut facts);
    let split = check(&facts, CheckId::Split);
    assert_eq!(split.status, expected, "{split:?}");
}

/// The expression that spares keep-alives the call.
fn keep_alive_condition(facts: &mut Facts) -> &mut Value {
    &mut mutating(facts)["matchConditions"][0]
}

fn replace_in_expression(facts: &mut Facts, text: &str, instead: &str) {
    let expression = &mut keep_alive_condition(facts)["expression"];
    let changed = expression.as_str().unwrap().replacen(text, instead, 1);
    assert_ne!(*expression, json!(changed));
    *expression = json!(changed);
}

#[rstest]
#[case::as_shipped(|_: &mut Facts| (), Status::Sound, "are spared the call")]
#[case::called(|f: &mut Facts| { drop(mutating(f).as_object_mut().unwrap().remove("matchConditions")); drop(validating(f, 1)["matchConditions"].as_array_mut().unwrap().remove(1)) }, Status::Sound, "components/call-for-keep-alives")]
#[case::old_server(|f: &mut Facts| { without_conditions(f); f.version = (1, 20) }, Status::Sound, "Kubernetes 1.20 has no matchConditions")]
#[case::on_one_line(|f: &mut Facts| { let text = keep_alive_condition(f)["expression"].as_str().unwrap().replace('\n', " "); keep_alive_condition(f)["expression"] = json!(text) }, Status::Sound, "are spared the call")]
#[case::a_clause_differs(|f: &mut Facts| replace_in_expression(f, "size(t) == 28", "size(t) == 29"), Status::Questionable, "size(t) == 29), instead of size(t) == 28)")]
#[case::a_clause_is_missing(|f: &mut Facts| replace_in_expression(f, "times[1] <= times[2] && ", ""), Status::Questionable, "instead of")]
#[case::another_account(|f: &mut Facts| replace_in_expression(f, "hobbyfarm-user'", "other'"), Status::Faulty, "lists other accounts")]
#[case::nothing_is_called(|f: &mut Facts| keep_alive_condition(f)["expression"] = json!("false"), Status::Faulty, "lists other accounts")]
#[case::for_people(|f: &mut Facts| { let condition = keep_alive_condition(f).clone(); validating(f, 0)["matchConditions"].as_array_mut().unwrap().push(condition) }, Status::Questionable, "do not go to this entry")]
#[case::other_dialect(|f: &mut Facts| serve_settings(f).policy.dialect = Some(Dialect::Documented), Status::Questionable, "another dialect than the documented one")]
#[case::a_condition_of_somebody_else(|f: &mut Facts| mutating(f)["matchConditions"].as_array_mut().unwrap().push(json!({"name": "x", "expression": "true"})), Status::Questionable, "not shipped (x)")]
fn the_expression_that_spares_keep_alives_is_held_against_the_shipped_one(
    #[case] change: InjectFault,
    #[case] expected: Status,
    #[case] text: &str,
) {
    let mut facts = sound();
    change(&mut facts);
    let found = check(&facts, CheckId::MatchConditions);
    assert_eq!(found.status, expected, "{found:?}");
    assert!(found.text.contains(text), "{found:?}");
}

#[rstest]
#[case::break_glass(allowed(&["break-glass: user \"alice\" writes a Session"], "alice"))]
#[case::hobbyfarm(allowed(&[], "system:serviceaccount:hobbyfarm-system:hobbyfarm-session"))]
#[case::refused(refusal())]
#[case::impersonation(answer(
    403,
    "admission webhook \"validate.session-webhook.hobbyfarm.io\" denied the request: Impersonation: x"
))]
fn an_answer_of_the_webhook_proves_the_path(#[case] probe: ProbeResult) {
    let facts = Facts { probe, ..sound() };
    assert_eq!(check(&facts, CheckId::Probe).status, Status::Sound);
}

#[rstest]
#[case(|f: &mut Facts, o: Unobservable| f.configurations[0] = Observation::Unknown(o), CheckId::MutatingConfiguration)]
#[case(|f: &mut Facts, o: Unobservable| f.admission_policy[0] = Observation::Unknown(o), CheckId::AdmissionPolicy)]
#[case(|f: &mut Facts, o: Unobservable| f.service = Observation::Unknown(o), CheckId::Service)]
#[case(|f: &mut Facts, o: Unobservable| f.endpoints = Observation::Unknown(o), CheckId::Endpoints)]
#[case(|f: &mut Facts, o: Unobservable| f.deployment = Observation::Unknown(o), CheckId::Deployment)]
#[case(|f: &mut Facts, o: Unobservable| f.serve_settings = Err(SettingsUnknown::Unobservable(o)), CheckId::Deployment)]
#[case(|f: &mut Facts, o: Unobservable| f.served[0].presented = Err(o), CheckId::ServedCertificate)]
#[case(|f: &mut Facts, o: Unobservable| f.secret = Observation::Unknown(o), CheckId::Secret)]
#[case(|f: &mut Facts, o: Unobservable| f.definition = Observation::Unknown(o), CheckId::Definition)]
#[case(|f: &mut Facts, o: Unobservable| f.accounts = Observation::Unknown(o), CheckId::Accounts)]
#[case(|f: &mut Facts, o: Unobservable| f.rbac = Observation::Unknown(o), CheckId::OtherWriters)]
fn what_may_not_be_seen_names_the_right(#[case] hide: fn(&mut Facts, Unobservable), #[case] id: CheckId) {
    let mut facts = sound();
    hide(&mut facts, Unobservable::Forbidden("get something".to_owned()));
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Unknown), [id], "{checks:#?}");
    assert_eq!(with_status(&checks, Status::Faulty), [], "{checks:#?}");
    assert!(check(&facts, id).text.contains("get something"));
}

#[test]
fn without_the_right_to_create_the_probe_says_so() {
    let forbidden = "sessions.hobbyfarm.io is forbidden: User \"alice\" cannot create resource \"sessions\"";
    let facts = Facts { probe: answer(403, forbidden), ..sound() };
    let probe = check(&facts, CheckId::Probe);
    assert_eq!(probe.status, Status::Unknown);
    assert!(probe.text.contains("create sessions.hobbyfarm.io in the namespace hobbyfarm-system"), "{probe:?}");
}

#[test]
fn the_shipped_rights_of_the_self_managed_overlay_are_sound() {
    let mut facts = sound();
    serve_settings(&mut facts).certificate_source =
        CertificateSource::SelfManaged("session-webhook-self-managed".to_owned());
    add_shipped_rbac(&mut facts, "self-managed");
    assert_eq!(check(&facts, CheckId::OwnRights).status, Status::Sound);
    serve_settings(&mut facts).certificate_source = CertificateSource::Mounted("session-webhook-tls".to_owned());
    assert_eq!(check(&facts, CheckId::OwnRights).status, Status::Questionable, "now they are superfluous");
}

/// The audit runs in a pod of its own, with an account of its own.
#[test]
fn the_shipped_rights_of_the_audit_are_sound_where_it_is_on() {
    let mut facts = sound();
    serve_settings(&mut facts).account = "session-webhook-audit".to_owned();
    serve_settings(&mut facts).backfill = None;
    facts.rbac = Observation::Found(shipped_rbac("audit"));
    assert_eq!(check(&facts, CheckId::OwnRights).status, Status::Questionable, "they are superfluous");
    serve_settings(&mut facts).audit = Some(("session-webhook-audit".to_owned(), Vec::new()));
    assert_eq!(check(&facts, CheckId::OwnRights).status, Status::Sound);
    facts.rbac = Observation::Found(shipped_rbac("backfill"));
    let own = check(&facts, CheckId::OwnRights);
    assert_eq!(own.status, Status::Faulty);
    assert!(own.text.contains("list users.hobbyfarm.io") && own.remedy.unwrap().contains("components/audit"));
}

fn add_shipped_rbac(facts: &mut Facts, component: &str) {
    let Observation::Found(rbac) = &mut facts.rbac else { panic!("it is there") };
    let more = shipped_rbac(component);
    rbac.cluster_roles.extend(more.cluster_roles);
    rbac.roles.extend(more.roles);
    rbac.cluster_role_bindings.extend(more.cluster_role_bindings);
    rbac.role_bindings.extend(more.role_bindings);
}

#[test]
fn rights_in_the_watched_namespaces_are_enough() {
    let mut facts = sound();
    serve_settings(&mut facts).backfill = Some(("session-webhook-backfill".to_owned(), vec!["lessons".to_owned()]));
    let Observation::Found(rbac) = &mut facts.rbac else { panic!("it is there") };
    let mut binding = rbac.cluster_role_bindings.remove(0);
    binding["metadata"]["namespace"] = json!("lessons");
    rbac.role_bindings.push(binding);
    assert_eq!(check(&facts, CheckId::OwnRights).status, Status::Sound);
    serve_settings(&mut facts).backfill.as_mut().unwrap().1.push("exams".to_owned());
    assert_eq!(check(&facts, CheckId::OwnRights).status, Status::Faulty);
}

#[test]
fn entries_may_call_by_url() {
    let mut facts = sound();
    for entry in [(0, 0, "/mutate"), (1, 0, "/validate"), (1, 1, "/validate")] {
        let (index, at, path) = entry;
        configuration(&mut facts, index)["webhooks"][at]["clientConfig"] =
            json!({"url": format!("https://[fd00::1]:8443{path}")});
    }
    (facts.service, facts.endpoints) = (Observation::Absent, Observation::Absent);
    assert_eq!(facts.target().tls_name(), "fd00::1");
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Faulty), [], "{checks:#?}");
    assert_eq!(with_status(&checks, Status::Sound).len(), 24, "{checks:#?}");
}

#[test]
fn outside_of_a_deployment_what_is_told_is_not_guessed() {
    let facts =
        Facts { deployment: Observation::Absent, serve_settings: Err(SettingsUnknown::NoDeployment), ..sound() };
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Questionable), [CheckId::Deployment]);
    let skipped = [CheckId::Secret, CheckId::Accounts, CheckId::OtherWriters, CheckId::OwnRights];
    assert_eq!(with_status(&checks, Status::Skipped), skipped, "{checks:#?}");
}

#[test]
fn the_shipped_component_for_old_servers_is_no_fault() {
    let component = one("components/without-match-conditions/kustomization.yaml");
    assert!(component["patches"][0]["patch"].as_str().unwrap().contains("remove"), "it takes the second entry away");
    let mut facts = sound();
    facts.version = (1, 20);
    configuration(&mut facts, 1)["webhooks"].as_array_mut().unwrap().remove(1);
    mutating(&mut facts).as_object_mut().unwrap().remove("matchConditions");
    validating(&mut facts, 0).as_object_mut().unwrap().remove("matchConditions");
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Faulty), [], "{checks:#?}");
    assert_eq!(with_status(&checks, Status::Questionable), [CheckId::Split], "{checks:#?}");
}

/// As AKS has it in every webhook configuration, and as two HobbyFarms in a cluster are told apart.
#[rstest]
#[case::aks(json!({"matchExpressions": [{"key": "control-plane", "operator": "NotIn", "values": ["true"]},
    {"key": "kubernetes.azure.com/managedby", "operator": "DoesNotExist"}]}), &[], Status::Sound)]
#[case::by_name(json!({"matchLabels": {"kubernetes.io/metadata.name": "hobbyfarm-system"}}), &[], Status::Sound)]
#[case::exists(json!({"matchExpressions": [{"key": "guarded", "operator": "Exists"}]}), &[("guarded", "")], Status::Sound)]
#[case::another(json!({"matchLabels": {"kubernetes.io/metadata.name": "other"}}), &[], Status::Faulty)]
#[case::exempt(json!({"matchExpressions": [{"key": "exempt", "operator": "DoesNotExist"}]}), &[("exempt", "1")], Status::Faulty)]
#[case::not_among(json!({"matchExpressions": [{"key": "stage", "operator": "In", "values": ["live"]}]}), &[("stage", "test")], Status::Faulty)]
fn a_selector_matters_where_it_exempts_hobbyfarm(
    #[case] selector: Value,
    #[case] labels: &[(&str, &str)],
    #[case] status: Status,
) {
    let mut facts = sound();
    validating(&mut facts, 0)["namespaceSelector"] = selector.clone();
    mutating(&mut facts)["namespaceSelector"] = selector;
    facts.namespaces[0].1 = Observation::Found(facts::labels(labels));
    assert_eq!(check(&facts, CheckId::Selectors).status, status);
    facts.namespaces[0].1 = Observation::Unknown(Unobservable::Failed("timeout".to_owned()));
    assert_eq!(check(&facts, CheckId::Selectors).status, Status::Unknown);
}

/// With the policy in force people are refused with every replica gone, whatever the entries say.
#[test]
fn the_policy_is_counted_as_a_guard() {
    let mut facts = sound();
    for entry in 0..2 {
        validating(&mut facts, entry)["failurePolicy"] = json!("Ignore");
    }
    assert_eq!(check(&facts, CheckId::FailurePolicy).status, Status::Questionable);
    facts.admission_policy = shipped_policy();
    let told = check(&facts, CheckId::FailurePolicy);
    assert_eq!(
        (told.status, told.text.contains("the ValidatingAdmissionPolicy refuses people")),
        (Status::Sound, true)
    );
    bind(&mut facts, writer_role(), &json!({"kind": "User", "name": "bob"}));
    let told = check(&facts, CheckId::OtherWriters).text;
    assert!(told.contains("the ValidatingAdmissionPolicy refuses them"), "{told}");
    if let Observation::Found(binding) = &mut facts.admission_policy[1] {
        binding["spec"]["validationActions"] = json!(["Audit"]);
    }
    assert_eq!(check(&facts, CheckId::FailurePolicy).status, Status::Questionable, "it only looks on");
}

#[test]
fn the_account_of_doctor_is_no_surprise() {
    let mut facts = sound();
    let account = json!({"kind": "ServiceAccount", "name": "session-webhook-doctor", "namespace": NAMESPACE});
    bind(&mut facts, writer_role(), &account);
    assert_eq!(check(&facts, CheckId::OtherWriters).status, Status::Sound);
}

#[test]
fn a_trial_run_is_one_while_nobody_answers_as_well() {
    let mut facts = sound();
    serve_settings(&mut facts).policy.mode = Mode::Warn;
    assert_eq!(check(&facts, CheckId::FailurePolicy).status, Status::Questionable);
    validating(&mut facts, 0)["failurePolicy"] = json!("Ignore");
    assert_eq!(check(&facts, CheckId::FailurePolicy).status, Status::Sound);
}
