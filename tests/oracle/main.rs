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

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{TestError, TestRunner};
use recorded::{now, recorded, shipped};
use serde_json::Value;
use session_webhook::core::admission_policy::objects;
use session_webhook::core::policy::{Policy, Verdict};
use session_webhook::core::review::{Review, Webhook};
use session_webhook::core::rule::Rule;
use session_webhook::core::settings::{Impersonation, Settings};

use reviews::Choices;
use twin::{Outcome, Twin};

/// How many reviews are generated.
const REVIEWS: u32 = 100_000;

/// How often each rule of the table has to be met among them, at least.
const OFTEN: u32 = REVIEWS / 200;

/// The rules of the table. Those behind them judge the object, not the writer.
const DOOR: [Rule; 10] = [
    Rule::NotGuarded,
    Rule::Impersonation,
    Rule::HobbyFarm,
    Rule::BreakGlass,
    Rule::NoChange,
    Rule::Housekeeping,
    Rule::Release,
    Rule::ManualCreate,
    Rule::ManualEdit,
    Rule::ManualStatusEdit,
];

/// Both ways to decide, with the same settings.
struct Pair {
    policy: Policy,
    twin: Twin,
}

impl Pair {
    fn new(settings: Settings) -> Self {
        let [policy, _] = objects(&settings);
        Self::of(&policy, settings)
    }

    /// The policy with these settings, and one that was printed.
    fn of(admission_policy: &Value, settings: Settings) -> Self {
        Self { twin: Twin::new(admission_policy), policy: Policy::new(settings) }
    }

    /// What the policy says at the door, in the terms of the twin.
    fn policy(&self, review: &Value) -> Outcome {
        let body = review.to_string();
        let parsed = Review::parse(body.as_bytes()).unwrap();
        let decision = self.policy.decide(Webhook::Validate, &parsed, now()).unwrap();
        let at_the_door = DOOR.contains(&decision.rule);
        // Otherwise the writer was let in, and only then what he wrote was refused.
        let rule = match (at_the_door, decision.break_glass) {
            (true, _) => decision.rule,
            (false, true) => Rule::BreakGlass,
            (false, false) => Rule::HobbyFarm,
        };
        let refused_by: Vec<_> = match decision.verdict {
            Verdict::Deny(refusal) if at_the_door => vec![(rule.to_string(), told(review, refusal.message))],
            Verdict::Deny(_) | Verdict::Allow => Vec::new(),
        };
        let annotation = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let mut annotations = vec![
            annotation("rule", rule.name()),
            annotation("decision", if refused_by.is_empty() { "allow" } else { "deny" }),
        ];
        if decision.break_glass {
            annotations.push(annotation("break-glass", "true"));
        }
        Outcome { rule: rule.to_string(), refused_by, annotations }
    }

    /// The rule that both agree on, or both answers.
    fn agreed(&self, review: &Value) -> Result<String, String> {
        let (policy, twin) = (self.policy(review), self.twin.decide(review));
        if policy == twin { Ok(policy.rule) } else { Err(format!("policy: {policy:?}\ntwin: {twin:?}\n{review:#}")) }
    }
}

/// The message of the policy as the twin words it: a name that would have to be escaped is not shown.
fn told(review: &Value, message: String) -> String {
    let user = review["request"]["userInfo"]["username"].as_str().unwrap_or_default();
    let shows = |c: char| (c == ' ' || c.is_ascii_graphic()) && !"\"%\\[]".contains(c);
    if user.chars().all(shows) && user.len() <= 90 {
        return message;
    }
    let (before, rest) = message.split_once(" user ").unwrap();
    let (_, after) = rest.rsplit_once(" may not ").unwrap();
    format!("{before} user with a name that cannot be shown here may not {after}")
}

/// The shipped settings, the defaults, and two that use every option, with names that are hard to quote.
fn settings() -> [Settings; 4] {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let break_glass = Settings {
        break_glass_users: strings(&["breaker", "o'brien\\"]),
        break_glass_groups: strings(&["break-glass", "b'\u{202e}\\"]),
        own_service_account: Some("webhook/own".parse().unwrap()),
        ..shipped()
    };
    let wild = Settings {
        service_accounts: ["*/hobbyfarm-session", "any/name.with-dots", "hobbyfarm-system/hobbyfarm-user"]
            .map(|pattern| pattern.parse().unwrap())
            .to_vec(),
        own_service_account: Some("webhook/*".parse().unwrap()),
        break_glass_users: strings(&["", "system:anonymous"]),
        housekeepers: ["*/*", "alice", "system:anonymous", "any/name.with-dots"]
            .map(|housekeeper| housekeeper.parse().unwrap())
            .to_vec(),
        impersonation: Impersonation::Allow,
        ..Settings::default()
    };
    [shipped(), Settings::default(), break_glass, wild]
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
    for rule in DOOR {
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
            let told = reviews.iter().any(|review| one.policy(review) != other.twin.decide(review));
            assert!(told, "settings {policy} and {twin}");
        }
    }
}
