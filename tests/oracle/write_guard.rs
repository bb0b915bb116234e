//! The write guard in Rust: what [`Policy`] says about who may write, in terms that CEL can be held against.

use serde_json::Value;
use session_webhook::core::admission::decision::Verdict;
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::admission::review::{Review, Webhook};
use session_webhook::core::admission::rule::Rule;
use session_webhook::core::settings::{Impersonation, Settings};

use crate::recorded::{now, shipped};

/// The rules of the table. Those behind them judge the object, not the writer.
pub fn writer_rules() -> &'static [Rule] {
    Rule::ALL.split(|rule| *rule == Rule::BadFlag).next().unwrap()
}

/// What is said about a request by the write guard, by whichever way to decide.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first rule that holds.
    pub rule: String,
    /// The rules that refuse, and their messages.
    pub refused_by: Vec<(String, String)>,
    /// The audit annotations that are not empty.
    pub annotations: Vec<(String, String)>,
}

/// What [`Policy`] says.
pub struct WriteGuard(Policy);

impl WriteGuard {
    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Self(Policy::new(settings))
    }

    /// Its settings.
    pub fn settings(&self) -> &Settings {
        self.0.settings()
    }

    /// What the policy says by the write guard, in the words of CEL.
    pub fn decide(&self, review: &Value) -> Outcome {
        let body = review.to_string();
        let parsed = Review::parse(body.as_bytes()).unwrap();
        let decision = self.0.decide(Webhook::Validate, &parsed, now()).unwrap();
        let decided_by_writer = writer_rules().contains(&decision.rule);
        // Otherwise the writer was let in, and only then what he wrote was refused.
        let rule = match (decided_by_writer, decision.break_glass) {
            (true, _) => decision.rule,
            (false, true) => Rule::BreakGlass,
            (false, false) => Rule::HobbyFarm,
        };
        let refused_by: Vec<_> = match decision.verdict {
            Verdict::Deny(refusal) if decided_by_writer => {
                vec![(rule.to_string(), policy_message(review, refusal.message))]
            }
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
}

/// The message of the policy as CEL words it: a name that would have to be escaped is not shown.
fn policy_message(review: &Value, message: String) -> String {
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
pub fn settings() -> [Settings; 4] {
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
