//! The proof of the whole path: a dry run of a create, which the webhook must refuse or let pass on purpose.

use serde_json::{Value, json};

use super::Id;
use super::facts::{Facts, Look, Obstacle, Probe};
use super::place::{entries, name};
use super::report::Report;
use crate::core::admission::review::GROUP;
use crate::core::admission::rule::Rule;
use crate::core::installation::ConfigurationKind as Kind;
use crate::core::policy_twin::admission_policy::NAME;
use crate::core::requester::Requester;
use crate::core::settings::{Mode, Settings};

/// Whatever may keep the API server from asking the webhook about a create.
const PATH: [Id; 10] = [
    Id::ValidatingConfiguration,
    Id::Rules,
    Id::Selectors,
    Id::SideEffects,
    Id::ReviewVersions,
    Id::ClientConfig,
    Id::Service,
    Id::Endpoints,
    Id::CaBundle,
    Id::ServedCertificate,
];

/// What is created, in a dry run.
pub fn probe_object(version: &str) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/{version}"),
        "kind": "Session",
        "metadata": {"generateName": "session-webhook-doctor-"},
        "spec": {},
    })
}

pub(super) fn examine(facts: &Facts, report: &mut Report) {
    let id = Id::Probe;
    let (code, message, warnings, user, namespace) = match &facts.probe {
        Probe::Answer { code, message, warnings, user, namespace } => (*code, message, warnings, user, namespace),
        Probe::NotSent => return report.skipped(id, Id::Definition),
        Probe::Failed(reason) => return report.unknown(id, &Obstacle::Failed(reason.clone())),
    };
    let settings = facts.installed.as_ref().ok().map(|installed| &installed.settings);
    if let Some(rule) = refusal(facts, message) {
        return report.sound(id, format!("a create by hand is refused ({rule})"));
    }
    if let Some(rule) = refusal_by_policy(message) {
        let text = format!(
            "a create by hand is refused ({rule}) by the ValidatingAdmissionPolicy, before the webhook is asked"
        );
        return report.sound(id, text);
    }
    let allowed = (200..300).contains(&code);
    let said = |start: &str| warnings.iter().any(|warning| warning.starts_with(start));
    if allowed && said("break-glass:") {
        return report.sound(id, "a create by hand is let pass, since this user has break-glass access");
    }
    if allowed && is_hobbyfarm(user.as_deref(), settings) {
        return report.sound(id, "a create is let pass, since this user is HobbyFarm");
    }
    let mode = settings.map_or(Mode::Enforce, |settings| settings.mode);
    match mode {
        Mode::Warn if allowed && said("allowed by --mode warn") => {
            let text = "a create by hand is let pass, with a warning: --mode warn";
            return report.questionable(
                id,
                text,
                "mode: enforce in the ConfigMap, when the metrics show that nobody needs it",
            );
        }
        Mode::Audit if allowed => {
            let text = "a create by hand is let pass: --mode audit, so that nothing shows that the webhook was asked";
            return report.questionable(id, text, "mode: enforce in the ConfigMap");
        }
        _ => {}
    }
    if !allowed && code == 403 && !message.contains("admission webhook") && !message.contains("failed calling webhook")
    {
        let right = format!("create sessions.{GROUP} in the namespace {namespace}");
        return report.unknown(id, &Obstacle::Forbidden(right));
    }
    // HobbyFarm's namespace is not there.
    let namespace_is_missing = code == 404;
    if let Some(because) = report.obstacle(&[Id::Accounts]).filter(|_| namespace_is_missing) {
        return report.skipped(id, because);
    }
    if let Some(because) = report.obstacle(&PATH) {
        return report.skipped(id, because);
    }
    let (text, remedy) = if !allowed {
        (format!("a create by hand is not answered by the webhook: {message}"), format!("the message; {}", facts.log()))
    } else if said("allowed by --mode warn") {
        ("a create by hand is let pass by --mode warn, which the Deployment does not say".to_owned(), restart(facts))
    } else {
        let text =
            format!("a create by hand is let pass: {} was not asked, or does not enforce", facts.place().describe());
        (text, restart(facts))
    };
    report.faulty(id, text, remedy);
}

fn restart(facts: &Facts) -> String {
    let name = facts.deployment.found().map_or("session-webhook", String::as_str);
    format!(
        "kubectl -n {} rollout restart deployment {name}; a fresh configuration takes a few seconds",
        facts.namespace()
    )
}

/// Whether the API server asks the webhook and is answered.
pub(super) fn is_answered(facts: &Facts) -> bool {
    matches!(&facts.probe, Probe::Answer { message, .. } if refusal(facts, message).is_some())
}

/// The rule by which one of the installed entries refused.
fn refusal(facts: &Facts, message: &str) -> Option<Rule> {
    let (_, rest) = message.split_once("admission webhook \"")?;
    let (entry, told) = rest.split_once("\" denied the request: ")?;
    let Look::Found(configuration) = facts.configuration(Kind::Validating) else { return None };
    if !entries(configuration).any(|known| name(known) == entry) {
        return None;
    }
    let (rule, _) = told.split_once(':')?;
    Rule::ALL.iter().copied().find(|known| known.name() == rule)
}

/// The rule by which the policy of `session-webhook policy` refused.
fn refusal_by_policy(message: &str) -> Option<Rule> {
    let (_, rest) = message.split_once(&format!("ValidatingAdmissionPolicy '{NAME}' "))?;
    let (_, told) = rest.split_once(" denied request: ")?;
    let (rule, _) = told.split_once(':')?;
    Rule::ALL.iter().copied().find(|known| known.name() == rule)
}

fn is_hobbyfarm(user: Option<&str>, settings: Option<&Settings>) -> bool {
    let (Some(user), Some(settings)) = (user, settings) else { return false };
    let requester = Requester::parse(user);
    let accounts = settings.service_accounts.iter().chain(&settings.own_service_account);
    accounts.into_iter().any(|account| account.matches(&requester))
}
