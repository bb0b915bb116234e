//! The decision table twice: the policy in Rust against the same table as CEL, on generated and on recorded requests.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod google;
mod printed;
#[path = "../support/recorded.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]
mod recorded;
#[allow(unreachable_pub, reason = "a test has no users")]
mod reviews;
#[allow(unreachable_pub, reason = "a test has no users")]
mod twin;
#[allow(unreachable_pub, reason = "a test has no users")]
mod write_guard;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestError, TestRunner};
use recorded::recorded;
use serde_json::Value;
use session_webhook::core::policy_twin::admission_policy::objects;
use session_webhook::core::settings::Settings;

use reviews::Choices;
use twin::Twin;
use write_guard::{WriteGuard, settings, writer_rules};

/// How many reviews are generated.
const REVIEWS: u32 = 100_000;

/// How often each rule of the table has to be met among them, at least.
const OFTEN: u32 = REVIEWS / 200;

/// Both ways to decide, with the same settings.
struct Pair {
    policy: WriteGuard,
    twin: Twin,
}

impl Pair {
    fn new(settings: Settings) -> Self {
        let [policy, _] = objects(&settings);
        Self::of(&policy, settings)
    }

    /// The policy with these settings, and one that was printed.
    fn of(admission_policy: &Value, settings: Settings) -> Self {
        Self { twin: Twin::new(admission_policy), policy: WriteGuard::new(settings) }
    }

    /// The rule that both agree on, or both answers.
    fn agreed(&self, review: &Value) -> Result<String, String> {
        let (policy, twin) = (self.policy.decide(review), self.twin.decide(review));
        if policy == twin { Ok(policy.rule) } else { Err(format!("policy: {policy:?}\ntwin: {twin:?}\n{review:#}")) }
    }
}

/// Compares policy and twin on as many generated reviews; how often they met each rule.
fn agreements(settings: Settings, reviews: u32) -> BTreeMap<String, u32> {
    let pair = Pair::new(settings);
    let seen: RefCell<BTreeMap<String, u32>> = RefCell::default();
    let config = ProptestConfig { cases: reviews, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&vec(any::<u8>(), 0..96), |bytes| {
        let rule = pair.agreed(&reviews::review(&mut Choices(&bytes))).map_err(TestCaseError::fail)?;
        *seen.borrow_mut().entry(rule).or_default() += 1;
        Ok(())
    });
    match outcome {
        Ok(()) => seen.into_inner(),
        Err(TestError::Fail(reason, _) | TestError::Abort(reason)) => panic!("{:#?}\n{reason}", pair.policy.settings()),
    }
}

#[test]
fn policy_and_cel_agree_on_generated_reviews() {
    let threads = settings().map(|settings| thread::spawn(|| agreements(settings, REVIEWS / 4)));
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for thread in threads {
        for (rule, count) in thread.join().unwrap_or_else(|_| panic!("policy and CEL differ, see above")) {
            *seen.entry(rule).or_default() += count;
        }
    }
    println!("{seen:#?}");
    assert_eq!(seen.values().sum::<u32>(), REVIEWS);
    for rule in writer_rules() {
        let count = seen.get(rule.name()).copied().unwrap_or_default();
        assert!(count >= OFTEN, "{rule} was met {count} times only");
    }
}

#[test]
fn policy_and_cel_agree_on_recorded_requests() {
    for pair in settings().map(Pair::new) {
        for request in recorded() {
            if let Err(difference) = pair.agreed(&request.json()) {
                panic!("{}/{}: {difference}", request.folder, request.scenario);
            }
        }
    }
}

/// An oracle that never differs proves nothing.
#[test]
fn a_policy_with_other_settings_is_told_apart() {
    let pairs = settings().map(Pair::new);
    let mut runner = TestRunner::deterministic();
    let choices = vec(any::<u8>(), 0..96);
    let reviews: Vec<_> =
        (0..2_000).map(|_| reviews::review(&mut Choices(&choices.new_tree(&mut runner).unwrap().current()))).collect();
    for (policy, one) in pairs.iter().enumerate() {
        for (twin, other) in pairs.iter().enumerate().filter(|(twin, _)| *twin != policy) {
            let told = reviews.iter().any(|review| one.policy.decide(review) != other.twin.decide(review));
            assert!(told, "settings {policy} and {twin}");
        }
    }
}
