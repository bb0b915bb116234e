//! How many instructions the core spends on one review, from its bytes to the bytes of the answer, on recorded requests.
//!
//! Callgrind counts them, so the figure is the same whatever else the machine does. Each case fails when it needs a tenth
//! more than the figure that stands behind it here.
//!
//! `scripts/count-instructions`

#![allow(missing_docs, clippy::unwrap_used, reason = "the macros of the framework make undocumented functions")]

use std::hint::black_box;

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main};
use jiff::Timestamp;
use serde_json::Value;
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::admission::response::respond;
use session_webhook::core::admission::review::{Review, Webhook};
use session_webhook::core::settings::Settings;

/// A case may need a tenth more instructions than it did.
fn at_most(counted: u64) -> LibraryBenchmarkConfig {
    let limit = counted + counted / 10;
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, limit)]));
    config
}

/// A recorded request without its line breaks, as an API server sends it, and the policy with its defaults.
///
/// Answered once, so that what is made with the first answer and kept does not count.
fn recorded(webhook: Webhook, body: &str) -> (Policy, Webhook, String) {
    let body: Value = serde_json::from_str(body).unwrap();
    let (policy, body) = (Policy::new(Settings::default()), body.to_string());
    drop(answer(&policy, webhook, &body));
    (policy, webhook, body)
}

fn answer(policy: &Policy, webhook: Webhook, body: &str) -> Vec<u8> {
    let review = Review::parse(black_box(body.as_bytes())).unwrap();
    let decision = policy.decide(webhook, &review, Timestamp::UNIX_EPOCH).unwrap();
    respond(&review, &decision)
}

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../tests/fixtures/admission/", $name, ".json"))
    };
}

#[library_benchmark]
#[bench::create_mutate(args = (Webhook::Mutate, fixture!("gargantua-status/15-create-client-go.mutating")), setup = recorded, config = at_most(42_854))]
#[bench::create_validate(args = (Webhook::Validate, fixture!("gargantua-status/15-create-client-go.validating")), setup = recorded, config = at_most(32_883))]
#[bench::first_status_mutate(args = (Webhook::Mutate, fixture!("gargantua-status/60-status-first-put-by-session-service.mutating")), setup = recorded, config = at_most(56_496))]
#[bench::keep_alive_mutate(args = (Webhook::Mutate, fixture!("gargantua-status/61-status-keepalive-put-by-session-service.mutating")), setup = recorded, config = at_most(64_381))]
#[bench::keep_alive_validate(args = (Webhook::Validate, fixture!("gargantua-status/61-status-keepalive-put-by-session-service.validating")), setup = recorded, config = at_most(69_927))]
#[bench::denial_validate(args = (Webhook::Validate, fixture!("gargantua-status/02-create-by-alice.validating")), setup = recorded, config = at_most(38_575))]
#[bench::edit_denial_validate(args = (Webhook::Validate, fixture!("gargantua-status/34-update-merge-patch-by-alice.validating")), setup = recorded, config = at_most(75_578))]
#[bench::no_change_validate(args = (Webhook::Validate, fixture!("gargantua-status/40-update-noop-merge-patch-by-alice.validating")), setup = recorded, config = at_most(67_769))]
#[bench::documented_create_mutate(args = (Webhook::Mutate, fixture!("documented-nostatus/14-create-seed-sample-no-validate.mutating")), setup = recorded, config = at_most(41_291))]
fn review((policy, webhook, body): (Policy, Webhook, String)) -> Vec<u8> {
    answer(&policy, webhook, &body)
}

library_benchmark_group!(name = core, benchmarks = review);
main!(library_benchmark_groups = core);
