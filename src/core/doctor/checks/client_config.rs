//! `client-config`: the entries call one server, by the right paths.

use crate::core::doctor::check::CheckId;
use crate::core::doctor::entries::entry_name;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};
use crate::core::doctor::webhook_target::ClientConfig;

pub(super) fn check(facts: &Facts, report: &mut Report) {
    if let Some(because) = report.no_entries(facts) {
        return report.skipped(CheckId::ClientConfig, because);
    }
    let target = facts.target();
    let mut findings = Vec::new();
    for (kind, entry) in facts.entries() {
        let path = kind.webhook().path();
        let mut faulty = |text: String, remedy: &str| {
            findings.push(Finding::faulty(text, facts.edit_command(kind, remedy)).about(entry_name(entry)));
        };
        let Some(config) = ClientConfig::of(entry) else {
            faulty("names neither a service nor a url that could be called".to_owned(), "clientConfig.service");
            continue;
        };
        if config.path() != path {
            let text = format!("calls {}, the webhook serves {path}", config.path());
            faulty(text, &format!("clientConfig.service.path: {path}"));
        }
        if config.target() != target {
            let text = format!("calls {}, not {}", config.target().describe(), target.describe());
            faulty(text, "clientConfig.service, or --namespace and --tls-service here");
        }
    }
    report.worst_of(CheckId::ClientConfig, format!("the entries call {}", target.describe()), findings);
}
