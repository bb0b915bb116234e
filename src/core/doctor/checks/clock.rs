//! `clock`: the replicas' clocks, from which times of Sessions come, agree with the API server's.

use jiff::SignedDuration;

use crate::core::doctor::certificate_facts::ClockReading;
use crate::core::doctor::check::CheckId;
use crate::core::doctor::facts::Facts;
use crate::core::doctor::report::{Finding, Report};

/// Dates of HTTP headers are whole seconds, and answers take their time.
const TOLERABLE: SignedDuration = SignedDuration::from_secs(10);
/// A fifth of the time that a new Session lives.
const HARMFUL: SignedDuration = SignedDuration::from_secs(60);

/// The webhook's clocks, which times of Sessions are read from, against the API server's.
pub(super) fn check(facts: &Facts, report: &mut Report) {
    let id = CheckId::Clock;
    let ahead = |clock: ClockReading| clock.remote.duration_since(clock.local);
    let Some(api) = facts.api_clock.map(ahead) else {
        return report.questionable(id, "the API server tells no time", "look at the clocks of its machine");
    };
    let presented = facts.served.iter().filter_map(|served| Some((served, served.presented.as_ref().ok()?.clock?)));
    let replicas: Vec<_> = presented.map(|(served, clock)| (served.server.as_str(), ahead(clock) - api)).collect();
    let of_webhook = !replicas.is_empty();
    // Without an answer of the webhook this machine stands in, about which nothing can be said to be wrong.
    let clocks = if of_webhook { replicas } else { vec![("this machine", -api)] };
    let mut findings = Vec::new();
    for (whose, skew) in &clocks {
        let (seconds, direction) =
            (skew.as_secs().unsigned_abs(), if skew.is_negative() { "behind" } else { "ahead of" });
        let text = format!("the clock is {seconds} s {direction} the API server's");
        let remedy = "time synchronisation (NTP) on its node: Sessions end too early or too late by as much";
        if skew.abs() > HARMFUL && of_webhook {
            findings.push(Finding::faulty(text, remedy).about(whose));
        } else if skew.abs() > TOLERABLE {
            findings.push(Finding::questionable(text, remedy).about(whose));
        }
    }
    let whose = if of_webhook { "the webhook's clock" } else { "this machine's clock" };
    report.worst_of(id, format!("{whose} agrees with the API server's"), findings);
}
