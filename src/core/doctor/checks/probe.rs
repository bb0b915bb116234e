//! `probe`: a dry run of a create takes the whole way, and the webhook refuses it or lets it pass on purpose.

use serde_json::{Value, json};

use crate::core::admission::review::GROUP;
use crate::core::admission::rule::Rule;
use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::{entries_of, entry_name};
use crate::core::doctor::facts::{Facts, ProbeResult};
use crate::core::doctor::observation::{Observation, Unobservable};
use crate::core::doctor::report::Report;
use crate::core::installation::ConfigurationKind;
use crate::core::policy_twin::admission_policy::NAME;
use crate::core::requester::Requester;
use crate::core::settings::{Mode, Settings};

/// Whatever may keep the API server from asking the webhook about a create.
const PREREQUISITES: [CheckId; 10] = [
    CheckId::ValidatingConfiguration,
    CheckId::Rules,
    CheckId::Selectors,
    CheckId::SideEffects,
    CheckId::ReviewVersions,
    CheckId::ClientConfig,
    CheckId::Service,
    CheckId::Endpoints,
    CheckId::CaBundle,
    CheckId::ServedCertificate,
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

pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::Probe;
    let (code, message, warnings, user, namespace) = match &facts.probe {
        ProbeResult::Answer { code, message, warnings, user, namespace } => (*code, message, warnings, user, namespace),
        ProbeResult::NotSent => return report.skipped(id, CheckId::Definition),
        ProbeResult::Failed(reason) => return report.unknown(id, &Unobservable::Failed(reason.clone())),
    };
    let settings = facts.serve_settings.as_ref().ok().map(|settings| &settings.policy);
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
        return report.unknown(id, &Unobservable::Forbidden(right));
    }
    // HobbyFarm's namespace is not there.
    let namespace_is_missing = code == 404;
    if let Some(because) = report.first_unsound(&[CheckId::Accounts]).filter(|_| namespace_is_missing) {
        return report.skipped(id, because);
    }
    if let Some(because) = report.first_unsound(&PREREQUISITES) {
        return report.skipped(id, because);
    }
    let (text, remedy) = if !allowed {
        (
            format!("a create by hand is not answered by the webhook: {message}"),
            format!("the message; {}", facts.log_command()),
        )
    } else if said("allowed by --mode warn") {
        ("a create by hand is let pass by --mode warn, which the Deployment does not say".to_owned(), restart(facts))
    } else {
        let text =
            format!("a create by hand is let pass: {} was not asked, or does not enforce", facts.target().describe());
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
    matches!(&facts.probe, ProbeResult::Answer { message, .. } if refusal(facts, message).is_some())
}

/// The rule by which one of the installed entries refused.
fn refusal(facts: &Facts, message: &str) -> Option<Rule> {
    let (_, rest) = message.split_once("admission webhook \"")?;
    let (entry, reason) = rest.split_once("\" denied the request: ")?;
    let Observation::Found(configuration) = facts.configuration(ConfigurationKind::Validating) else { return None };
    if !entries_of(configuration).any(|known| entry_name(known) == entry) {
        return None;
    }
    let (rule, _) = reason.split_once(':')?;
    Rule::ALL.iter().copied().find(|known| known.name() == rule)
}

/// The rule by which the policy of `session-webhook policy` refused.
fn refusal_by_policy(message: &str) -> Option<Rule> {
    let (_, rest) = message.split_once(&format!("ValidatingAdmissionPolicy '{NAME}' "))?;
    let (_, reason) = rest.split_once(" denied request: ")?;
    let (rule, _) = reason.split_once(':')?;
    Rule::ALL.iter().copied().find(|known| known.name() == rule)
}

fn is_hobbyfarm(user: Option<&str>, settings: Option<&Settings>) -> bool {
    let (Some(user), Some(settings)) = (user, settings) else { return false };
    let requester = Requester::parse(user);
    let accounts = settings.service_accounts.iter().chain(&settings.own_service_account);
    accounts.into_iter().any(|account| account.matches(&requester))
}
