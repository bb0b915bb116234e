//! Everything that there is, in an overlay of one's own: its namespace, its name prefix and its name suffix.

use std::collections::BTreeSet;

use clap::FromArgMatches;
use k8s_openapi::api::rbac::v1::{ClusterRole, Role};
use serde_json::{Value, json};
use session_webhook::cli;
use session_webhook::config::{self, BackfillArgs, PolicyArgs, ServeArgs, TlsArgs};
use session_webhook::core::doctor::pod_settings;
use session_webhook::core::installation::{self, BACKFILL_LEASE, CONFIGURATION, SELF_MANAGED_CONFIGURATIONS};
use session_webhook::core::policy_twin::admission_policy::objects;
use session_webhook::core::settings::Settings;
use tempfile::TempDir;

use crate::render::{Rendered, copy_of_the_manifests, kustomize_path, rules};

const MINE: &str = "
namespace: elsewhere
resources: [../base]
components:
  - ../components/namespace
  - CERTIFICATE
  - ../components/backfill
  - ../components/audit
  - ../components/doctor
  - ../components/policy-and-webhook
  - ../components/monitoring
  - ../components/network-policy
transformers: [../transformers/namespace]
";

const CERT_MANAGER: &str = "../../certs/cert-manager";
const SELF_MANAGED: &str = "../components/self-managed";

/// With everything, with this certificate, and with more lines.
fn overlay(certificate: &str, more: &str) -> Rendered {
    overlay_in(&copy_of_the_manifests(), certificate, more)
}

fn overlay_in(copy: &TempDir, certificate: &str, more: &str) -> Rendered {
    let folder = copy.path().join("manifests/mine");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kustomization.yaml"), MINE.replace("CERTIFICATE", certificate) + more).unwrap();
    kustomize_path(&folder)
}

/// The prefix and the suffix, around a name.
fn renamed(name: &str) -> String {
    format!("acme-{name}-blue")
}

const NAMES: &str = "namePrefix: acme-\nnameSuffix: -blue\n";

/// The shipped settings, with the account that the pods have.
fn settings(own: &str) -> Settings {
    let accounts = ["session", "gargantua", "user"].map(|name| format!("hobbyfarm-system/hobbyfarm-{name}"));
    Settings {
        service_accounts: accounts.iter().map(|account| account.parse().unwrap()).collect(),
        own_service_account: Some(own.parse().unwrap()),
        ..Settings::default()
    }
}

#[test]
fn the_namespace_is_carried_everywhere() {
    for certificate in [CERT_MANAGER, SELF_MANAGED] {
        let rendered = overlay(certificate, "");
        for line in rendered.text.lines() {
            for left in
                ["namespace: default", "namespace: hobbyfarm-session-webhook", ".default.svc", "webhook:session"]
            {
                assert!(!line.contains(left), "{certificate}: {line}");
            }
        }
        let policy = rendered.named("ValidatingAdmissionPolicy", CONFIGURATION);
        assert_eq!(policy["metadata"].get("namespace"), None, "it belongs to no namespace");
        let expected = objects(&settings("elsewhere/session-webhook"));
        assert_eq!(policy["spec"]["variables"], expected[0]["spec"]["variables"]);
        for object in rendered.objects.iter().filter(|object| object["metadata"]["namespace"].is_string()) {
            assert_eq!(object["metadata"]["namespace"], "elsewhere", "{}", object["kind"]);
        }
        for configuration in rendered.of_kind("ValidatingWebhookConfiguration") {
            assert_eq!(configuration["webhooks"][0]["clientConfig"]["service"]["namespace"], "elsewhere");
        }
        for certificate in
            rendered.of_kind("Certificate").filter(|object| object["metadata"]["name"] == "session-webhook")
        {
            assert_eq!(certificate["spec"]["dnsNames"][0], "session-webhook.elsewhere.svc");
        }
    }
}

/// Where a word that is the name of an object as well is none: labels, images, folders, names of containers, of webhook entries and of groups
/// of alerts. What the alerts and the dashboard ask for holds for each prefix (tests/alerts).
const NO_REFERENCES: [&str; 11] = [
    "/app.kubernetes.io~1name",
    "/data/config.yaml",
    "/data/dashboard.json",
    "/spec/groups/#/name",
    "/annotations/runbook_url",
    "/rules/#/expr",
    "/spec/commonName",
    "/webhooks/#/name",
    "/containers/#/name",
    "/containers/#/image",
    "/mountPath",
];

/// What keeps its name: the Leases, which the program makes, and the Secrets that cert-manager makes.
const KEPT: [(&str, &str); 4] = [
    ("/secretName", "session-webhook-ca"),
    ("/resourceNames/#", "session-webhook-audit"),
    ("/resourceNames/#", "session-webhook-backfill"),
    ("/args/#", "--backfill-lease=session-webhook-audit"),
];

/// All strings of an object, with their paths; `#` is any place in a list.
fn strings(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => found.push((path.to_owned(), text.clone())),
        Value::Array(items) => items.iter().for_each(|item| strings(item, &format!("{path}/#"), found)),
        Value::Object(members) => members
            .iter()
            .for_each(|(key, member)| strings(member, &format!("{path}/{}", key.replace('/', "~1")), found)),
        _ => (),
    }
}

/// The words of a text: a name is one, wherever it stands.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-'))
}

#[test]
fn a_prefix_and_a_suffix_are_carried_to_every_reference() {
    for certificate in [CERT_MANAGER, SELF_MANAGED] {
        let names: BTreeSet<_> = overlay(certificate, "").objects.iter().map(name).collect();
        for object in &overlay(certificate, NAMES).objects {
            let mut found = Vec::new();
            strings(object, "", &mut found);
            for (path, text) in found {
                let is_kept = KEPT.iter().any(|(end, kept)| path.ends_with(end) && text == *kept);
                let is_reference = !NO_REFERENCES.iter().any(|end| path.ends_with(end)) && !is_kept;
                let text = text.replace("/etc/session-webhook", "");
                let left = words(&text).find(|word| is_reference && names.contains(*word) && *word != "elsewhere");
                assert_eq!(left, None, "{certificate}: {} {}: {path}: {text}", object["kind"], name(object));
            }
        }
    }
}

fn name(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap().to_owned()
}

#[test]
fn the_service_is_called_by_its_name_and_the_policy_knows_the_account() {
    for certificate in [CERT_MANAGER, SELF_MANAGED] {
        let rendered = overlay(certificate, NAMES);
        let service = renamed("session-webhook");
        rendered.named("Service", &service);
        for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
            let configuration = rendered.named(kind, &renamed(CONFIGURATION));
            for entry in configuration["webhooks"].as_array().unwrap() {
                assert_eq!(entry["clientConfig"]["service"]["name"], service);
            }
            let annotations = &configuration["metadata"]["annotations"];
            let injected = (certificate == CERT_MANAGER).then(|| format!("elsewhere/{service}"));
            assert_eq!(annotations["cert-manager.io/inject-ca-from"].as_str(), injected.as_deref());
        }
        if certificate == CERT_MANAGER {
            let host = format!("{service}.elsewhere.svc");
            let spec = &rendered.named("Certificate", &service)["spec"];
            assert_eq!(spec["dnsNames"], json!([host, format!("{host}.cluster.local")]));
            rendered.named("Issuer", spec["issuerRef"]["name"].as_str().unwrap());
        }
        let own = &settings(&format!("elsewhere/{service}"));
        let policy = rendered.named("ValidatingAdmissionPolicy", &renamed(CONFIGURATION));
        assert_eq!(policy["spec"]["variables"], objects(own)[0]["spec"]["variables"]);
        let binding = rendered.named("ValidatingAdmissionPolicyBinding", &renamed(CONFIGURATION));
        assert_eq!(binding["spec"]["policyName"], policy["metadata"]["name"]);
        let account = rendered.named("ServiceAccount", &service);
        assert_eq!(account["metadata"].get("annotations"), None, "nothing is left of putting the user name together");
        assert_eq!(serve::<PolicyArgs>(&rendered, &service).settings().own_service_account, own.own_service_account);
    }
}

/// Whatever accounts HobbyFarm has: the policy is printed again for them, as the pages say.
#[test]
fn a_policy_for_other_accounts_is_given_the_account_as_well() {
    for others in [&["farm/one"][..], &["farm/one", "farm/two", "farm/three", "farm/four", "*/five"]] {
        let accounts = others.iter().map(|account| account.parse().unwrap()).collect();
        let mut settings =
            Settings { service_accounts: accounts, ..settings("hobbyfarm-session-webhook/session-webhook") };
        let copy = copy_of_the_manifests();
        let printed = objects(&settings).map(|object| object.to_string()).join("\n---\n");
        std::fs::write(copy.path().join("manifests/components/policy/policy.yaml"), printed).unwrap();
        let rendered = overlay_in(&copy, SELF_MANAGED, NAMES);
        settings.own_service_account = Some(format!("elsewhere/{}", renamed("session-webhook")).parse().unwrap());
        let policy = rendered.named("ValidatingAdmissionPolicy", &renamed(CONFIGURATION));
        assert_eq!(policy["spec"]["variables"], objects(&settings)[0]["spec"]["variables"], "{others:?}");
    }
}

/// A right on one object is a right on the one that the program takes.
#[test]
fn the_program_is_told_the_names_that_its_rights_are_for() {
    let rendered = overlay(SELF_MANAGED, NAMES);
    let webhook = renamed("session-webhook");
    let args: ServeArgs = serve(&rendered, &webhook);
    assert_eq!(args.tls_service, webhook);
    let called = format!("{webhook}.elsewhere.svc");
    for certificate in [SELF_MANAGED, CERT_MANAGER] {
        let names = serve::<TlsArgs>(&overlay(certificate, NAMES), &webhook).tls_name;
        assert_eq!(names, std::slice::from_ref(&called), "{certificate}");
    }
    assert_eq!(args.tls_secret, renamed("session-webhook-self-managed"));
    rendered.named("Secret", &args.tls_secret);
    assert_eq!(args.webhook_configuration, renamed(CONFIGURATION));
    let role: Role = rendered.the_named("Role", &webhook);
    assert_eq!(role.rules.unwrap(), rules(&installation::SELF_MANAGED, &args.tls_secret));
    let role: ClusterRole = rendered.the_named("ClusterRole", &renamed(CONFIGURATION));
    assert_eq!(role.rules.unwrap(), rules(&SELF_MANAGED_CONFIGURATIONS, &args.webhook_configuration));
    for (deployment, role) in
        [("session-webhook", "session-webhook-backfill"), ("session-webhook-audit", "session-webhook-audit")]
    {
        let lease = serve::<BackfillArgs>(&rendered, &renamed(deployment)).controllers().unwrap().options.lease;
        let role: Role = rendered.the_named("Role", &renamed(role));
        assert_eq!(role.rules.unwrap(), rules(&BACKFILL_LEASE, &lease));
    }
}

/// What the program makes of the arguments and variables of a Deployment's pods.
fn serve<T: FromArgMatches>(rendered: &Rendered, deployment: &str) -> T {
    let deployment = rendered.named("Deployment", deployment);
    let pod = pod_settings(deployment, &deployment["spec"]["selector"]["matchLabels"]).unwrap();
    let arguments = pod.arguments.iter().filter(|argument| !argument.starts_with("--config="));
    let arguments = std::iter::once("session-webhook").chain(arguments.map(String::as_str));
    let variable = |name: &str| {
        let (_, value) = pod.variables.iter().find(|(known, _)| known == name)?;
        Some(value.into())
    };
    let matches = config::matches(&cli::command(), arguments.map(Into::into).collect(), &variable).unwrap();
    T::from_arg_matches(matches.subcommand_matches("serve").unwrap()).unwrap()
}
