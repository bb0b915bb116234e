//! One fault each.

use std::collections::HashSet;

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;
use session_webhook::core::doctor::{
    CaBundleContent, CertificateSource, Check, CheckId, ClockReading, Facts, Observation, ProbeResult, SettingsUnknown,
    Status, Unobservable, WriteRights, run_checks,
};
use session_webhook::core::settings::{Dialect, Impersonation};

use crate::facts::{allowed, answer, certificate, check, day, now, sound, with_status};
use crate::inject::{
    InjectFault, change_both_validating_entries, configuration, mutating, no_rights, policy, presented,
    presented_certificate, serve_settings, validating, with_policy,
};

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
fn a_sound_installation_has_nothing_to_fix() {
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
    let (faults, page) =
        ([include_str!("faults.rs"), include_str!("judgements.rs")], include_str!("../../docs/doctor.md"));
    for Check { id, .. } in run_checks(&sound()) {
        let name_of_variant = format!("CheckId::{id:?}");
        assert!(faults.iter().any(|text| text.contains(&name_of_variant)), "{id:?} has no fault in tests/doctor");
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
#[case::unfit(|f: &mut Facts| presented(f).unfit = Some("not for servers".to_owned()), CheckId::ServedCertificate)]
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
