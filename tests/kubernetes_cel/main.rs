//! The CEL of the webhook configuration and of the admission policy, compiled and evaluated by Kubernetes' own code, as an API
//! server of 1.30 does it.
//!
//! `KUBERNETES_CEL=$(tests/tools/build cel)/kubernetes-cel cargo test --test kubernetes_cel [-- PART-OF-A-NAME]`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    unreachable_pub,
    reason = "this is test code, and prints a report"
)]

mod apiserver;
mod costs;
mod keep_alive_reviews;
mod keep_alives;
mod objects;
mod policy;
mod webhooks;
mod wrong;

#[path = "../support/recorded.rs"]
#[allow(dead_code, reason = "each test uses a part of it")]
mod recorded;
#[path = "../oracle/reviews.rs"]
mod reviews;
#[path = "../oracle/write_guard.rs"]
#[allow(dead_code, reason = "shared with tests/oracle")]
mod write_guard;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use apiserver::ApiServer;

/// A case, which panics when something is not as it should be.
type Case = (&'static str, fn(&ApiServer));

const ALL: [Case; 15] = [
    ("every_expression_compiles_and_passes_the_type_check", objects::every_expression_compiles),
    ("a_recorded_request_goes_to_one_validating_entry", webhooks::recorded_requests),
    ("a_generated_request_goes_to_one_validating_entry", webhooks::generated_requests),
    ("a_recorded_request_that_is_spared_the_call_is_left_alone", keep_alives::recorded_requests),
    ("a_generated_request_that_is_spared_the_call_is_left_alone", keep_alives::generated_requests),
    ("no_request_makes_the_expression_of_keep_alives_fail", keep_alives::fuzzed_requests),
    ("what_is_no_keep_alive_is_still_called_for", keep_alives::still_called),
    ("a_mistake_in_the_expression_of_keep_alives_is_told", keep_alives::a_mistake_is_found),
    ("the_policy_decides_recorded_requests_as_the_webhook_does", policy::recorded_requests),
    ("the_policy_decides_generated_requests_as_the_webhook_does", policy::generated_requests),
    ("what_is_asked_every_day_costs_little", costs::every_day),
    ("a_write_by_hobbyfarm_costs_the_same_whatever_it_holds", costs::of_hobbyfarm),
    ("ten_thousand_finalizers_do_not_cost_too_much", costs::many_finalizers),
    ("an_expression_that_does_not_compile_is_told", wrong::does_not_compile),
    ("an_expression_that_says_something_else_is_told", wrong::says_something_else),
];

fn main() -> ExitCode {
    let (flags, parts): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let selected: Vec<_> =
        ALL.iter().filter(|(name, _)| parts.is_empty() || parts.iter().any(|part| name.contains(part))).collect();
    if flags.iter().any(|flag| flag == "--list") {
        for (name, _) in selected {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let Some(server) = ApiServer::from_environment() else {
        eprintln!(
            "\nkubernetes_cel: run KUBERNETES_CEL=$(tests/tools/build cel)/kubernetes-cel \
             cargo test --test kubernetes_cel\n"
        );
        return ExitCode::FAILURE;
    };
    println!("\nrunning {} tests", selected.len());
    let passed = |(name, case): &&Case| {
        let passed = catch_unwind(AssertUnwindSafe(|| case(&server))).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        passed
    };
    let count = selected.iter().filter(|case| passed(case)).count();
    let failed = selected.len() - count;
    println!("\ntest result: {}. {count} passed; {failed} failed\n", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
