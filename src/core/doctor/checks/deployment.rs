//! `deployment`: what runs behind the Service, and the settings that it gives its pods.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::{Facts, ServeSettings, SettingsUnknown};
use crate::core::doctor::observation::Observation;
use crate::core::doctor::report::{Finding, Report};
use crate::core::doctor::webhook_target::WebhookTarget;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let WebhookTarget::Service { .. } = facts.target()
        && let Some(because) = report.first_unsound(&[CheckId::Service])
    {
        return report.skipped(CheckId::Deployment, because);
    }
    let namespace = facts.namespace();
    match (&facts.deployment, &facts.serve_settings) {
        (Observation::Unknown(reason), _) | (_, Err(SettingsUnknown::Unobservable(reason))) => {
            report.unknown(CheckId::Deployment, reason);
        }
        (Observation::Absent, _) | (_, Err(SettingsUnknown::NoDeployment)) => report.questionable(
            CheckId::Deployment,
            format!("no Deployment in the namespace {namespace} runs the webhook: what it is told cannot be looked at"),
            "kubectl apply the manifests again, or --namespace",
        ),
        (Observation::Found(name), Err(SettingsUnknown::Invalid(reason))) => report.faulty(
            CheckId::Deployment,
            format!("the pods of the Deployment {namespace}/{name} cannot start: {reason}"),
            format!("kubectl -n {namespace} edit deployment {name}, or the ConfigMap that it mounts"),
        ),
        (Observation::Found(name), Ok(settings)) => {
            let mode = settings.policy.mode.name();
            let sound = format!("the Deployment {namespace}/{name} runs it with --mode {mode}");
            report.worst_of(CheckId::Deployment, sound, findings(settings, &namespace));
        }
    }
}

/// What is wrong with the settings.
fn findings(settings: &ServeSettings, namespace: &str) -> Vec<Finding> {
    let warning =
        |warning: &String| Finding::questionable(warning.clone(), "the option in the ConfigMap or the Deployment");
    let mut findings: Vec<_> = settings.warnings.iter().map(warning).collect();
    let own = format!("{namespace}/{}", settings.account);
    let known = settings.policy.own_service_account.as_ref().map(ToString::to_string);
    if settings.backfill.is_some() && known.as_ref() != Some(&own) {
        let known = known.unwrap_or_else(|| "nobody".to_owned());
        let text = format!(
            "the backfill writes as {own}, and the webhook takes {known} for itself: it refuses its own writes"
        );
        findings
            .push(Finding::faulty(text, format!("--own-service-account {own}, as in manifests/base/deployment.yaml")));
    }
    findings
}
