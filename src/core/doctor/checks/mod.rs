//! The checks, one file each, named as they are printed.

mod accounts;
mod admission_policy;
mod ca_bundle;
mod client_config;
mod clock;
mod definition;
mod deployment;
mod endpoints;
mod failure_policy;
mod match_conditions;
mod other_writers;
mod own_rights;
mod probe;
mod review_versions;
mod rules;
mod secret;
mod selectors;
mod served_certificate;
mod service;
mod side_effects;
mod split;
mod timeouts;
mod webhook_configurations;

pub use self::probe::probe_object;
use super::check::Check;
use super::facts::Facts;
use super::report::Report;
use crate::core::installation::ConfigurationKind;

/// Runs each check once, in the order in which a person would look.
pub fn run_checks(facts: &Facts) -> Vec<Check> {
    let mut report = Report::default();
    for kind in ConfigurationKind::ALL {
        webhook_configurations::check(facts, kind, &mut report);
    }
    for check in [
        rules::check,
        selectors::check,
        side_effects::check,
        timeouts::check,
        review_versions::check,
        failure_policy::check,
        split::check,
        match_conditions::check,
        client_config::check,
        admission_policy::check,
        service::check,
        deployment::check,
        endpoints::check,
        ca_bundle::check,
        served_certificate::check,
        secret::check,
        definition::check,
        accounts::check,
        other_writers::check,
        own_rights::check,
        clock::check,
        probe::check,
    ] {
        check(facts, &mut report);
    }
    report.into_checks()
}
