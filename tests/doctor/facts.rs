//! What would be seen of a sound installation of the shipped manifests.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use session_webhook::core::doctor::{
    CaBundle, CaBundleContent, CertificateInfo, CertificateSource, Check, CheckId, ClockReading, Endpoint, Facts,
    HobbyFarmAccount, InstallationNames, Observation, PresentedCertificate, ProbeResult, Rbac, ServeSettings,
    ServedCertificate, SessionDefinition, Status, WriteRights, run_checks,
};
use session_webhook::core::installation::{ENTRIES, NAMESPACE};
use session_webhook::core::settings::{Dialect, Settings};

pub(crate) const NOW: &str = "2026-11-25T12:00:00Z";

pub(crate) fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// So many days from now.
pub(crate) fn day(days: i64) -> Timestamp {
    now() + SignedDuration::from_hours(24 * days)
}

/// The objects in a file of `manifests`, in the namespace that the overlays install into.
pub(crate) fn manifest(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(file);
    let text = std::fs::read_to_string(path).unwrap().replace("namespace: default", &format!("namespace: {NAMESPACE}"));
    serde_saphyr::from_multiple(&text).unwrap()
}

pub(crate) fn one(file: &str) -> Value {
    manifest(file).remove(0)
}

pub(crate) fn certificate(subject: &str, days: i64) -> CertificateInfo {
    CertificateInfo {
        subject: subject.to_owned(),
        issuer: "CN=session-webhook-ca".to_owned(),
        serial: "01".to_owned(),
        names: vec![format!("session-webhook.{NAMESPACE}.svc")],
        not_before: day(-10),
        not_after: day(days),
    }
}

/// A server that does all as it should.
fn served(pod: &str) -> ServedCertificate {
    let presented = PresentedCertificate {
        certificate: certificate("CN=session-webhook", 80),
        unfit: None,
        matches_name: true,
        trusted_by_bundle: vec![true; ENTRIES.len()],
        clock: Some(ClockReading { remote: now(), local: now() }),
    };
    ServedCertificate { server: format!("pod {pod}"), presented: Ok(presented) }
}

pub(crate) fn refusal() -> ProbeResult {
    ProbeResult::Answer {
        code: 403,
        message: "admission webhook \"validate.session-webhook.hobbyfarm.io\" denied the request: ManualCreate: user \
                  \"alice\" may not create Session \"hobbyfarm-system/(generated name)\": only HobbyFarm writes Sessions"
            .to_owned(),
        warnings: Vec::new(),
        user: Some("alice".to_owned()),
        namespace: "hobbyfarm-system".to_owned(),
    }
}

/// The answer to a create that is let pass.
pub(crate) fn allowed(warnings: &[&str], user: &str) -> ProbeResult {
    ProbeResult::Answer {
        code: 201,
        message: String::new(),
        warnings: warnings.iter().map(ToString::to_string).collect(),
        user: Some(user.to_owned()),
        namespace: "hobbyfarm-system".to_owned(),
    }
}

pub(crate) fn answer(code: u16, message: &str) -> ProbeResult {
    let (message, namespace) = (message.to_owned(), "hobbyfarm-system".to_owned());
    ProbeResult::Answer { code, message, warnings: Vec::new(), user: None, namespace }
}

/// The rights that `components/backfill` gives.
pub(crate) fn shipped_rbac(component: &str) -> Rbac {
    let mut rbac = Rbac::default();
    for mut object in manifest(&format!("components/{component}/rbac.yaml")) {
        let list = match object["kind"].as_str().unwrap() {
            "ClusterRole" => &mut rbac.cluster_roles,
            "ClusterRoleBinding" => &mut rbac.cluster_role_bindings,
            "Role" => &mut rbac.roles,
            _ => &mut rbac.role_bindings,
        };
        // kustomize does it.
        object["metadata"]["namespace"] = json!(NAMESPACE);
        list.push(object);
    }
    rbac
}

pub(crate) fn sound() -> Facts {
    let config: Value = one("base/config.yaml");
    let accounts: Vec<_> = config["service-account"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let settings = Settings {
        service_accounts: accounts.iter().map(|account| account.parse().unwrap()).collect(),
        own_service_account: Some(format!("{NAMESPACE}/session-webhook").parse().unwrap()),
        ..Settings::default()
    };
    let bundle = |name: &str| CaBundle {
        entry: name.to_owned(),
        content: CaBundleContent::Certificates(vec![certificate("CN=session-webhook-ca", 3000)]),
    };
    let endpoint =
        |pod: &str| Endpoint { address: "10.1.0.1".to_owned(), port: 8443, ready: true, pod: Some(pod.to_owned()) };
    let rights = Some(WriteRights { create: true, update: true, update_status: true });
    Facts {
        names: InstallationNames::default(),
        version: (1, 30),
        configurations: [
            Observation::Found(one("base/mutating-webhook.yaml")),
            Observation::Found(one("base/validating-webhook.yaml")),
        ],
        admission_policy: [Observation::Absent, Observation::Absent],
        namespaces: vec![("hobbyfarm-system".to_owned(), Observation::Found(labels(&[])))],
        service: Observation::Found(one("base/service.yaml")),
        endpoints: Observation::Found(vec![endpoint("a"), endpoint("b")]),
        deployment: Observation::Found("session-webhook".to_owned()),
        serve_settings: Ok(ServeSettings {
            policy: settings,
            certificate_source: CertificateSource::Mounted("session-webhook-tls".to_owned()),
            configuration: "hobbyfarm-session-webhook".to_owned(),
            backfill: Some(("session-webhook-backfill".to_owned(), Vec::new())),
            audit: None,
            account: "session-webhook".to_owned(),
            warnings: Vec::new(),
        }),
        ca_bundles: ENTRIES.iter().map(|entry| bundle(entry.name)).collect(),
        served: vec![served("a"), served("b")],
        secret: Observation::Found(Some(certificate("CN=session-webhook", 80))),
        definition: Observation::Found(SessionDefinition {
            versions: vec!["v1".to_owned()],
            status_subresource: true,
            dialect: Some(Dialect::Gargantua),
        }),
        accounts: Observation::Found(
            accounts.iter().map(|name| HobbyFarmAccount { name: (*name).to_owned(), rights }).collect(),
        ),
        rbac: Observation::Found(shipped_rbac("backfill")),
        api_clock: Some(ClockReading { remote: now(), local: now() }),
        probe: refusal(),
        now: now(),
    }
}

/// Labels of HobbyFarm's namespace, with the one that every namespace has.
pub(crate) fn labels(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = ("kubernetes.io/metadata.name", "hobbyfarm-system");
    more.iter().chain([&own]).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// The API server's own guard, as the shipped manifests bind it.
pub(crate) fn shipped_policy() -> [Observation<Value>; 2] {
    let mut documents = manifest("components/policy/policy.yaml").into_iter().map(Observation::Found);
    [documents.next().unwrap(), documents.next().unwrap()]
}

/// The checks that came to this.
pub(crate) fn with_status(checks: &[Check], status: Status) -> Vec<CheckId> {
    checks.iter().filter(|check| check.status == status).map(|check| check.id).collect()
}

/// One check.
pub(crate) fn check(facts: &Facts, id: CheckId) -> Check {
    run_checks(facts).into_iter().find(|check| check.id == id).unwrap()
}
