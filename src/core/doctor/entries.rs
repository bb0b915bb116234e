//! The webhook configurations and their entries.

use serde_json::{Value, json};

use super::facts::{Facts, Look};
use super::place::{Call, name, text};
use super::report::{Finding, Report};
use super::{Id, split};
use crate::core::admission::review::GROUP;
use crate::core::installation::{self, ConfigurationKind as Kind, ENTRIES, OPERATIONS, RESOURCES};

/// How long a write may have to wait, with nobody there to answer. The API server's own default.
const LONGEST_TIMEOUT: u64 = 10;

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    for kind in Kind::ALL {
        configuration(facts, kind, report);
    }
    let all = [
        (
            Id::Rules,
            rules as fn(&Facts) -> Vec<Finding>,
            "each write of a Session or its status is sent to the webhook",
        ),
        (Id::Selectors, selectors, "no namespace and no object is exempt"),
        (Id::SideEffects, side_effects, "sideEffects is None: dry runs are answered"),
        (Id::Timeouts, timeouts, "no write waits for long when nobody answers"),
        (Id::ReviewVersions, review_versions, "reviews are sent as v1"),
    ];
    for (id, find, sound) in all {
        judge(facts, report, id, sound, find);
    }
    failure_policy(facts, report);
    split::examine(facts, report);
    client_config(facts, report);
}

/// The check that tells of a configuration of this kind.
pub(super) const fn id(kind: Kind) -> Id {
    match kind {
        Kind::Mutating => Id::MutatingConfiguration,
        Kind::Validating => Id::ValidatingConfiguration,
    }
}

/// Why there is nothing to look at, if there is nothing.
pub(super) fn no_entries(facts: &Facts, report: &Report) -> Option<Id> {
    let both = [Id::ValidatingConfiguration, Id::MutatingConfiguration];
    facts.entries().next().is_none().then(|| report.obstacle(&both)).flatten()
}

fn judge(facts: &Facts, report: &mut Report, id: Id, sound: &str, find: fn(&Facts) -> Vec<Finding>) {
    match no_entries(facts, report) {
        Some(because) => report.skipped(id, because),
        None => report.findings(id, sound, find(facts)),
    }
}

fn configuration(facts: &Facts, kind: Kind, report: &mut Report) {
    let (id, resource, named) = (id(kind), kind.resource(), &facts.names.configuration);
    let install = format!("kubectl apply the manifests again, or name it: --webhook-configuration (now {named})");
    let configuration = match facts.configuration(kind) {
        Look::Found(configuration) => configuration,
        Look::Absent => return report.faulty(id, format!("there is no {resource} {named}"), install),
        Look::Unknown(obstacle) => return report.unknown(id, obstacle),
    };
    let there: Vec<_> = super::place::entries(configuration).map(name).collect();
    let shipped = ENTRIES.iter().filter(|entry| entry.kind == kind);
    // HobbyFarm's own entry may be left out: manifests/components/without-match-conditions.
    let needed = shipped.filter(|entry| entry.writers != installation::Writers::HobbyFarmAndGarbageCollectors);
    let missing: Vec<_> = needed.map(|entry| entry.name).filter(|name| !there.contains(name)).collect();
    if missing.is_empty() {
        return report.sound(id, format!("{resource} {named} has its entries"));
    }
    report.faulty(id, format!("{resource} {named} has no entry {}", missing.join(", ")), install);
}

/// The field of an entry that is at fault, as `kubectl edit` shows it.
pub(super) fn field(facts: &Facts, kind: Kind, field: &str) -> String {
    format!("kubectl edit {} {}: {field}", kind.resource(), facts.names.configuration)
}

fn strings<'a>(rule: &'a Value, key: &str) -> Vec<&'a str> {
    rule.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether a list has this word, or the one that stands for all.
fn has(list: &[&str], word: &str) -> bool {
    list.contains(&word) || list.contains(&"*")
}

/// Whether a list of resources has this one.
fn has_resource(list: &[&str], resource: &str) -> bool {
    let (whole, sub) = resource.split_once('/').map_or((resource, None), |(whole, sub)| (whole, Some(sub)));
    list.iter().any(|pattern| match (pattern.split_once('/'), sub) {
        _ if *pattern == "*/*" => true,
        (None, None) => *pattern == "*" || *pattern == whole,
        (Some((first, second)), sub) => {
            (first == "*" || first == whole) && sub.map_or(second == "*", |sub| second == "*" || second == sub)
        }
        (None, Some(_)) => false,
    })
}

fn rules(facts: &Facts) -> Vec<Finding> {
    let versions = facts.definition.found().map_or_else(Vec::new, |definition| definition.versions.clone());
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let rules: Vec<_> = entry.get("rules").and_then(Value::as_array).into_iter().flatten().collect();
        let covers = |resource: &str, operation: &str, version: Option<&str>| {
            rules.iter().any(|rule| {
                has(&strings(rule, "apiGroups"), GROUP)
                    && has_resource(&strings(rule, "resources"), resource)
                    && has(&strings(rule, "operations"), operation)
                    && version.is_none_or(|version| has(&strings(rule, "apiVersions"), version))
                    && text(rule, "/scope") != Some("Cluster")
            })
        };
        let mut missing = Vec::new();
        for resource in RESOURCES {
            for operation in OPERATIONS.into_iter().filter(|operation| *operation == "UPDATE" || resource == "sessions")
            {
                if !covers(resource, operation, None) {
                    missing.push(format!("{operation} of {resource}"));
                }
            }
        }
        if missing.is_empty() {
            let uncovered = versions.iter().filter(|version| !covers("sessions", "UPDATE", Some(version)));
            missing.extend(uncovered.map(|version| format!("version {version}")));
        }
        if !missing.is_empty() {
            let remedy = field(facts, kind, &format!("rules, to be {}", shipped_rule()));
            findings.push(Finding::faulty(format!("not asked about {}", missing.join(", ")), remedy).of(name(entry)));
        }
        findings.extend(too_much(facts, kind, entry, &rules));
    }
    findings
}

/// What an entry should not be asked about: an outage would reach further than Sessions.
fn too_much(facts: &Facts, kind: Kind, entry: &Value, rules: &[&Value]) -> Option<Finding> {
    let is_foreign = |rule: &&&Value| {
        strings(rule, "apiGroups").iter().any(|group| *group != GROUP)
            || strings(rule, "resources")
                .iter()
                .any(|resource| !RESOURCES.contains(resource) && *resource != "sessions/*")
    };
    let deletes = |rule: &&&Value| !strings(rule, "operations").iter().all(|operation| OPERATIONS.contains(operation));
    let remedy = || field(facts, kind, &format!("rules, to be {}", shipped_rule()));
    if rules.iter().any(|rule| is_foreign(&rule)) {
        return Some(Finding::faulty("asked about more than Sessions", remedy()).of(name(entry)));
    }
    let text = "asked about more than CREATE and UPDATE: an outage could keep namespaces from going away";
    rules.iter().any(|rule| deletes(&rule)).then(|| Finding::faulty(text, remedy()).of(name(entry)))
}

fn shipped_rule() -> Value {
    json!({"apiGroups": [GROUP], "apiVersions": ["*"], "operations": OPERATIONS, "resources": RESOURCES})
}

fn selectors(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        for key in ["namespaceSelector", "objectSelector"] {
            let selects = entry.get(key).and_then(Value::as_object).is_some_and(|selector| !selector.is_empty());
            if selects {
                let text = format!("what the {key} leaves out is not guarded");
                let remedy = field(facts, kind, &format!("{key}: {{}}"));
                findings.push(Finding::faulty(text, remedy).of(name(entry)));
            }
        }
    }
    findings
}

fn side_effects(facts: &Facts) -> Vec<Finding> {
    let finding = |(kind, entry): (Kind, &Value)| {
        let remedy = field(facts, kind, "sideEffects: None");
        let finding = match text(entry, "/sideEffects").unwrap_or("Unknown") {
            "None" => return None,
            "NoneOnDryRun" => Finding::questionable("sideEffects NoneOnDryRun, though there are none", remedy),
            other => Finding::faulty(format!("sideEffects {other}: each dry run fails"), remedy),
        };
        Some(finding.of(name(entry)))
    };
    facts.entries().filter_map(finding).collect()
}

fn timeouts(facts: &Facts) -> Vec<Finding> {
    let finding = |(kind, entry): (Kind, &Value)| {
        let seconds = entry.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(LONGEST_TIMEOUT);
        let shipped = installation::entry(name(entry)).map_or(3, |entry| entry.timeout_seconds);
        let text = format!("each write waits for {seconds} s when nobody answers");
        let remedy = || field(facts, kind, &format!("timeoutSeconds: {shipped}"));
        (seconds > LONGEST_TIMEOUT).then(|| Finding::faulty(text, remedy()).of(name(entry)))
    };
    facts.entries().filter_map(finding).collect()
}

fn review_versions(facts: &Facts) -> Vec<Finding> {
    let finding = |(kind, entry): (Kind, &Value)| {
        // The API server sends the first one that it knows, and it knows v1beta1 as well.
        let first = strings(entry, "admissionReviewVersions").first().copied().unwrap_or_default();
        let remedy = || field(facts, kind, "admissionReviewVersions: [v1]");
        let text = format!("reviews are sent as {first}: each call fails");
        (first != "v1").then(|| Finding::faulty(text, remedy()).of(name(entry)))
    };
    facts.entries().filter_map(finding).collect()
}

fn failure_policy(facts: &Facts, report: &mut Report) {
    if let Some(because) = no_entries(facts, report) {
        return report.skipped(Id::FailurePolicy, because);
    }
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let Some(shipped) = installation::entry(name(entry)) else { continue };
        let policy = text(entry, "/failurePolicy").unwrap_or("Fail");
        let remedy = field(facts, kind, &format!("failurePolicy: {}", shipped.failure_policy));
        let finding = match (policy, shipped.failure_policy) {
            ("Fail", "Ignore") => {
                Finding::faulty("failurePolicy Fail: while nobody answers, HobbyFarm's writes are refused", remedy)
            }
            ("Ignore", "Fail") => Finding::questionable(
                "failurePolicy Ignore: while nobody answers, whoever has the rights writes",
                format!("{remedy}, unless that is wanted (components/fail-open)"),
            ),
            _ => continue,
        };
        findings.push(finding.of(name(entry)));
    }
    report.findings(
        Id::FailurePolicy,
        "while nobody answers, people are locked out, and no missed repair stops anybody",
        findings,
    );
}

fn client_config(facts: &Facts, report: &mut Report) {
    if let Some(because) = no_entries(facts, report) {
        return report.skipped(Id::ClientConfig, because);
    }
    let place = facts.place();
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let path = kind.webhook().path();
        let mut faulty = |text: String, remedy: &str| {
            findings.push(Finding::faulty(text, field(facts, kind, remedy)).of(name(entry)));
        };
        let Some(call) = Call::of(entry) else {
            faulty("names neither a service nor a url that could be called".to_owned(), "clientConfig.service");
            continue;
        };
        if call.path() != path {
            let text = format!("calls {}, the webhook serves {path}", call.path());
            faulty(text, &format!("clientConfig.service.path: {path}"));
        }
        if call.server() != place {
            let text = format!("calls {}, not {}", call.server().describe(), place.describe());
            faulty(text, "clientConfig.service, or --namespace and --tls-service here");
        }
    }
    report.findings(Id::ClientConfig, format!("the entries call {}", place.describe()), findings);
}
