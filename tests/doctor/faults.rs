//! One fault each.

use std::collections::HashSet;

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};
use session_webhook::core::doctor::{
    CaBundleContent, CertificateSource, Check, CheckId, ClockReading, Facts, Observation, PresentedCertificate,
    ProbeResult, ServeSettings, SettingsUnknown, Status, Unobservable, WriteRights, run_checks,
};
use session_webhook::core::installation::NAMESPACE;
use session_webhook::core::settings::{Dialect, Impersonation, Mode};

use crate::facts::{
    self, allowed, answer, certificate, check, day, manifest, now, one, refusal, shipped_policy, shipped_rbac, sound,
    with_status,
};

type InjectFault = fn(&mut Facts);

fn configuration(facts: &mut Facts, index: usize) -> &mut Value {
    let Observation::Found(configuration) = &mut facts.configurations[index] else { panic!("it is there") };
    configuration
}

/// The entry at this place of the validating configuration.
fn validating(facts: &mut Facts, at: usize) -> &mut Value {
    &mut configuration(facts, 1)["webhooks"][at]
}

fn mutating(facts: &mut Facts) -> &mut Value {
    &mut configuration(facts, 0)["webhooks"][0]
}

fn change_both_validating_entries(facts: &mut Facts, change: fn(&mut Value)) {
    (0..2).for_each(|at| change(validating(facts, at)));
}

fn serve_settings(facts: &mut Facts) -> &mut ServeSettings {
    facts.serve_settings.as_mut().unwrap()
}

fn presented(facts: &mut Facts) -> &mut PresentedCertificate {
    facts.served[1].presented.as_mut().unwrap()
}

fn role(name: &str, rule: &Value) -> Value {
    json!({"metadata": {"name": name}, "rules": [rule]})
}

fn bind(facts: &mut Facts, role: Value, subject: &Value) {
    let Observation::Found(rbac) = &mut facts.rbac else { panic!("it is there") };
    let role_ref = json!({"kind": "ClusterRole", "name": role["metadata"]["name"]});
    rbac.cluster_roles.push(role);
    rbac.cluster_role_bindings.push(json!({"metadata": {"name": "b"}, "roleRef": role_ref, "subjects": [subject]}));
}

fn own_account() -> Value {
    json!({"kind": "ServiceAccount", "namespace": "hobbyfarm-session-webhook", "name": "session-webhook"})
}

/// The component, as an API server gives it back.
fn with_policy(facts: &mut Facts) {
    let mut objects = manifest("components/policy/policy.yaml").into_iter().map(Observation::Found);
    facts.admission_policy = [objects.next().unwrap(), objects.next().unwrap()];
    policy(facts, 0)["status"] = json!({"observedGeneration": 1, "typeChecking": {}});
    // What a newer server might fill in.
    policy(facts, 0)["spec"]["matchConstraints"]["more"] = json!("x");
}

fn policy(facts: &mut Facts, index: usize) -> &mut Value {
    let Observation::Found(object) = &mut facts.admission_policy[index] else { panic!("it is there") };
    object
}

#[test]
fn the_shipped_policy_says_what_the_webhook_is_told() {
    let mut facts = sound();
    assert_eq!(check(&facts, CheckId::AdmissionPolicy).status, Status::Sound);
    with_policy(&mut facts);
    let found = check(&facts, CheckId::AdmissionPolicy);
    assert_eq!(
        (found.status, found.text.as_str()),
        (Status::Sound, "the ValidatingAdmissionPolicy says what the webhook is told")
    );
    facts.probe = answer(
        403,
        "sessions.hobbyfarm.io \"x\" is forbidden: ValidatingAdmissionPolicy 'hobbyfarm-session-webhook' with binding \
         'hobbyfarm-session-webhook' denied request: ManualCreate: user \"alice\" may not create Session",
    );
    let probe = check(&facts, CheckId::Probe);
    assert_eq!(probe.status, Status::Sound);
    assert!(probe.text.contains("ManualCreate") && probe.text.contains("ValidatingAdmissionPolicy"), "{probe:?}");
    facts.serve_settings.as_mut().unwrap().policy.service_accounts.pop();
    let found = check(&facts, CheckId::AdmissionPolicy);
    assert!(found.text.contains("validations, variables"), "{found:?}");
}

#[test]
fn a_sound_installation_has_nothing_to_mend() {
    let checks = run_checks(&sound());
    assert_eq!(with_status(&checks, Status::Sound).len(), 24, "{checks:#?}");
    let names: HashSet<_> = checks.iter().map(|check| check.id.name()).collect();
    assert_eq!(names.len(), 24, "each check is there once");
}

/// Whoever looks for a check finds it by the name that is printed.
#[test]
fn each_check_stands_in_a_file_of_its_name() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/doctor/checks");
    let mut files = HashSet::from(["mod".to_owned()]);
    for check in run_checks(&sound()) {
        let (id, name) = (check.id, check.id.name());
        let configurations = [CheckId::MutatingConfiguration, CheckId::ValidatingConfiguration];
        let file =
            if configurations.contains(&id) { "webhook_configurations".to_owned() } else { name.replace('-', "_") };
        let text = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.contains(&format!("`{name}`")), "{file}: {first}");
        files.insert(file);
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(files.contains(&file), "run_checks does not run {file}.rs");
    }
}

#[test]
fn each_check_has_its_fault_here_and_its_line_on_the_page_for_people() {
    let (faults, page) = (include_str!("faults.rs"), include_str!("../../docs/doctor.md"));
    for Check { id, .. } in run_checks(&sound()) {
        assert!(faults.contains(&format!("CheckId::{id:?}")), "{id:?} has no fault in tests/doctor/faults.rs");
        let name = id.name();
        let is_shown = page.lines().any(|line| line.split_whitespace().nth(1) == Some(&name));
        assert!(is_shown, "{name} has no line in docs/doctor.md");
    }
}

#[rstest]
#[case::no_mutating(|f: &mut Facts| f.configurations[0] = Observation::Absent, CheckId::MutatingConfiguration)]
#[case::no_validating(|f: &mut Facts| f.configurations[1] = Observation::Absent, CheckId::ValidatingConfiguration)]
#[case::entry_renamed(|f: &mut Facts| validating(f, 0)["name"] = json!("other.hobbyfarm.io"), CheckId::ValidatingConfiguration)]
#[case::no_status(|f: &mut Facts| change_both_validating_entries(f, |e| e["rules"][0]["resources"] = json!(["sessions"])), CheckId::Rules)]
#[case::star_is_no_subresource(|f: &mut Facts| change_both_validating_entries(f, |e| e["rules"][0]["resources"] = json!(["*"])), CheckId::Rules)]
#[case::no_update(|f: &mut Facts| change_both_validating_entries(f, |e| e["rules"][0]["operations"] = json!(["CREATE"])), CheckId::Rules)]
#[case::other_group(|f: &mut Facts| mutating(f)["rules"][0]["apiGroups"] = json!(["hobbyfarm.com"]), CheckId::Rules)]
#[case::other_scope(|f: &mut Facts| mutating(f)["rules"][0]["scope"] = json!("Cluster"), CheckId::Rules)]
#[case::sessions_of_namespaces_alone(|f: &mut Facts| mutating(f)["rules"][0]["scope"] = json!("Namespaced"), CheckId::Rules)]
#[case::all_groups(|f: &mut Facts| mutating(f)["rules"][0]["apiGroups"] = json!(["*"]), CheckId::Rules)]
#[case::deletes(|f: &mut Facts| change_both_validating_entries(f, |e| e["rules"][0]["operations"] = json!(["*"])), CheckId::Rules)]
#[case::version_not_covered(|f: &mut Facts| change_both_validating_entries(f, |e| e["rules"][0]["apiVersions"] = json!(["v2"])), CheckId::Rules)]
#[case::namespace_exempt(|f: &mut Facts| validating(f, 0)["namespaceSelector"] = json!({"matchLabels": {"a": "b"}}), CheckId::Selectors)]
#[case::object_exempt(|f: &mut Facts| mutating(f)["objectSelector"] = json!({"matchLabels": {"a": "b"}}), CheckId::Selectors)]
#[case::mutating_fails(|f: &mut Facts| mutating(f)["failurePolicy"] = json!("Fail"), CheckId::FailurePolicy)]
#[case::hobbyfarm_fails(|f: &mut Facts| validating(f, 1)["failurePolicy"] = json!("Fail"), CheckId::FailurePolicy)]
#[case::other_accounts(|f: &mut Facts| serve_settings(f).policy.service_accounts.truncate(1), CheckId::Split)]
#[case::no_entry_for_hobbyfarm(|f: &mut Facts| drop(configuration(f, 1)["webhooks"].as_array_mut().unwrap().remove(1)), CheckId::Split)]
#[case::side_effects(|f: &mut Facts| validating(f, 0)["sideEffects"] = json!("Some"), CheckId::SideEffects)]
#[case::timeout(|f: &mut Facts| mutating(f)["timeoutSeconds"] = json!(30), CheckId::Timeouts)]
#[case::review_version(|f: &mut Facts| mutating(f)["admissionReviewVersions"] = json!(["v1beta1"]), CheckId::ReviewVersions)]
#[case::path(|f: &mut Facts| mutating(f)["clientConfig"]["service"]["path"] = json!("/"), CheckId::ClientConfig)]
#[case::two_servers(|f: &mut Facts| mutating(f)["clientConfig"]["service"]["name"] = json!("other"), CheckId::ClientConfig)]
#[case::nobody_to_call(|f: &mut Facts| mutating(f)["clientConfig"] = json!({}), CheckId::ClientConfig)]
#[case::no_service(|f: &mut Facts| f.service = Observation::Absent, CheckId::Service)]
#[case::no_such_port(|f: &mut Facts| if let Observation::Found(s) = &mut f.service { s["spec"]["ports"][0]["port"] = json!(8443) }, CheckId::Service)]
#[case::takes_another_for_itself(|f: &mut Facts| serve_settings(f).policy.own_service_account = None, CheckId::Deployment)]
#[case::malformed(|f: &mut Facts| f.serve_settings = Err(SettingsUnknown::Invalid("--mode: enfroce".to_owned())), CheckId::Deployment)]
#[case::nobody_is_ready(|f: &mut Facts| if let Observation::Found(e) = &mut f.endpoints { for e in e { e.ready = false } }, CheckId::Endpoints)]
#[case::nobody_is_there(|f: &mut Facts| f.endpoints = Observation::Absent, CheckId::Endpoints)]
#[case::no_bundle(|f: &mut Facts| f.ca_bundles[0].content = CaBundleContent::Empty, CheckId::CaBundle)]
#[case::garbage(|f: &mut Facts| f.ca_bundles[2].content = CaBundleContent::NoCertificate("no certificate".to_owned()), CheckId::CaBundle)]
#[case::authority_expired(|f: &mut Facts| f.ca_bundles[1].content = CaBundleContent::Certificates(vec![certificate("CN=ca", -1)]), CheckId::CaBundle)]
#[case::other_authority(|f: &mut Facts| presented(f).trusted_by_bundle[1] = false, CheckId::CaBundle)]
#[case::one_refuses_connections(|f: &mut Facts| f.served[0].presented = Err(Unobservable::Failed("refused".to_owned())), CheckId::ServedCertificate)]
#[case::expired(|f: &mut Facts| { presented(f).certificate.not_after = day(-1); f.served.remove(0); f.secret = Observation::Found(Some(presented_certificate(f))) }, CheckId::ServedCertificate)]
#[case::not_yet_valid(|f: &mut Facts| { f.served.truncate(1); f.served[0].presented.as_mut().unwrap().certificate.not_before = day(1); f.secret = Observation::Found(Some(presented_certificate(f))) }, CheckId::ServedCertificate)]
#[case::other_name(|f: &mut Facts| presented(f).matches_name = false, CheckId::ServedCertificate)]
#[case::no_secret(|f: &mut Facts| f.secret = Observation::Absent, CheckId::Secret)]
#[case::empty_secret(|f: &mut Facts| f.secret = Observation::Found(None), CheckId::Secret)]
#[case::other_certificate(|f: &mut Facts| presented(f).certificate.serial = "02".to_owned(), CheckId::Secret)]
#[case::no_definition(|f: &mut Facts| { f.definition = Observation::Absent; f.probe = ProbeResult::NotSent }, CheckId::Definition)]
#[case::other_dialect(|f: &mut Facts| serve_settings(f).policy.dialect = Some(Dialect::Documented), CheckId::Definition)]
#[case::no_account(|f: &mut Facts| no_rights(f, None), CheckId::Accounts)]
#[case::no_rights(|f: &mut Facts| no_rights(f, Some(WriteRights { create: false, update: false, update_status: true })), CheckId::Accounts)]
#[case::no_namespace(|f: &mut Facts| { no_rights(f, None); f.probe = answer(404, "namespaces \"hobbyfarm-system\" not found") }, CheckId::Accounts)]
#[case::no_right_to_status(|f: &mut Facts| no_rights(f, Some(WriteRights { create: true, update: true, update_status: false })), CheckId::Accounts)]
#[case::unbound(|f: &mut Facts| if let Observation::Found(rbac) = &mut f.rbac { rbac.role_bindings.clear() }, CheckId::OwnRights)]
#[case::self_managed_rights(|f: &mut Facts| serve_settings(f).certificate_source = CertificateSource::SelfManaged("s".to_owned()), CheckId::OwnRights)]
#[case::slow_clock(|f: &mut Facts| presented(f).clock = Some(ClockReading { remote: now() - SignedDuration::from_hours(1), local: now() }), CheckId::Clock)]
#[case::not_called(|f: &mut Facts| f.probe = allowed(&[], "alice"), CheckId::Probe)]
#[case::other_mode(|f: &mut Facts| f.probe = allowed(&["allowed by --mode warn, would be refused: x"], "alice"), CheckId::Probe)]
#[case::call_fails(|f: &mut Facts| f.probe = answer(500, "failed calling webhook \"validate.session-webhook.hobbyfarm.io\": x"), CheckId::Probe)]
#[case::another_webhook_refuses(|f: &mut Facts| f.probe = answer(403, "admission webhook \"other.test\" denied the request: no"), CheckId::Probe)]
#[case::policy_without_binding(|f: &mut Facts| { with_policy(f); f.admission_policy[1] = Observation::Absent }, CheckId::AdmissionPolicy)]
#[case::policy_for_others(|f: &mut Facts| { with_policy(f); serve_settings(f).policy.impersonation = Impersonation::Allow }, CheckId::AdmissionPolicy)]
#[case::policy_open(|f: &mut Facts| { with_policy(f); policy(f, 0)["spec"]["failurePolicy"] = json!("Ignore") }, CheckId::AdmissionPolicy)]
fn a_fault_is_named_by_one_check(#[case] inject: InjectFault, #[case] id: CheckId) {
    let mut facts = sound();
    inject(&mut facts);
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Faulty), [id], "{checks:#?}");
    assert_eq!(with_status(&checks, Status::Unknown), [], "{checks:#?}");
    let check = check(&facts, id);
    assert!(check.remedy.is_some_and(|remedy| !remedy.is_empty()), "{checks:#?}");
}

fn presented_certificate(facts: &Facts) -> session_webhook::core::doctor::CertificateInfo {
    facts.served[0].presented.as_ref().unwrap().certificate.clone()
}

fn no_rights(facts: &mut Facts, rights: Option<WriteRights>) {
    let Observation::Found(accounts) = &mut facts.accounts else { panic!("they are there") };
    for account in accounts {
        account.rights = rights;
    }
}

/// With the path broken a create is not answered; that is no second fault.
#[rstest]
#[case(|f: &mut Facts| f.configurations[1] = Observation::Absent, CheckId::ValidatingConfiguration, 201)]
#[case(|f: &mut Facts| validating(f, 0)["namespaceSelector"] = json!({"matchLabels": {"a": "b"}}), CheckId::Selectors, 201)]
#[case(|f: &mut Facts| validating(f, 0)["sideEffects"] = json!("Some"), CheckId::SideEffects, 400)]
#[case(|f: &mut Facts| f.service = Observation::Absent, CheckId::Service, 500)]
#[case(|f: &mut Facts| f.endpoints = Observation::Absent, CheckId::Endpoints, 500)]
#[case(|f: &mut Facts| f.ca_bundles[1].content = CaBundleContent::Empty, CheckId::CaBundle, 500)]
#[case(|f: &mut Facts| presented(f).matches_name = false, CheckId::ServedCertificate, 500)]
fn what_follows_from_a_fault_is_not_told_as_another(
    #[case] inject: InjectFault,
    #[case] id: CheckId,
    #[case] code: u16,
) {
    let mut facts = sound();
    inject(&mut facts);
    facts.probe = if code == 201 { allowed(&[], "alice") } else { answer(code, "failed calling webhook: x") };
    let checks = run_checks(&facts);
    assert_eq!(with_status(&checks, Status::Faulty), [id], "{checks:#?}");
    let probe = check(&facts, CheckId::Probe);
    assert_eq!((probe.status, probe.text), (Status::Skipped, format!("not looked at, see {}", id.name())));
}

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
