//! The core alone: time and allocations for one review, from its bytes to those of the answer, and how the time grows with
//! the size of the body, beside reading the same body once with `serde_json` and keeping nothing of it.
//!
//! `cargo bench --bench core`

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first thing that is not as it should be"
)]

mod support;
#[path = "../tests/support/mod.rs"]
mod tests;

use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use session_webhook::core::policy::Policy;
use session_webhook::core::response::respond;
use session_webhook::core::review::{Review, Webhook};
use session_webhook::core::settings::Settings;
use support::page::{Table, is_written, tell};
use support::{argument, plot, recorded as fixture};

const REVIEWS: [(&str, &str); 11] = [
    ("create, mutate", "gargantua-status/15-create-client-go.mutating"),
    ("create, validate", "gargantua-status/15-create-client-go.validating"),
    ("create, denied", "gargantua-status/02-create-by-alice.validating"),
    ("first status, mutate", "gargantua-status/60-status-first-put-by-session-service.mutating"),
    ("keep-alive, mutate", "gargantua-status/61-status-keepalive-put-by-session-service.mutating"),
    ("keep-alive, validate", "gargantua-status/61-status-keepalive-put-by-session-service.validating"),
    ("edit, denied", "gargantua-status/34-update-merge-patch-by-alice.validating"),
    ("no change", "gargantua-status/40-update-noop-merge-patch-by-alice.validating"),
    ("documented create, mutate", "documented-nostatus/14-create-seed-sample-no-validate.mutating"),
    ("documented keep-alive, mutate", "documented-status/61-status-keepalive-put-by-session-service.mutating"),
    ("documented keep-alive, validate", "documented-status/61-status-keepalive-put-by-session-service.validating"),
];

/// Bytes.
const SIZES: [usize; 6] = [1 << 10, 10 << 10, 100 << 10, 1 << 20, 5 << 20, 20 << 20];

fn main() {
    let policy = Policy::new(Settings::default());
    if let Some(name) = argument("--only") {
        // For a profiler.
        let (_, file) = REVIEWS.into_iter().find(|(known, _)| *known == name).unwrap();
        let (webhook, body) = fixture(file);
        (0..1_000_000).for_each(|_| drop(black_box(answer(&policy, webhook, &body))));
        return;
    }
    reviews(&policy);
    growth(&policy);
}

fn answer(policy: &Policy, webhook: Webhook, body: &[u8]) -> Vec<u8> {
    let review = Review::parse(black_box(body)).unwrap();
    let decision = policy.decide(webhook, &review, Timestamp::UNIX_EPOCH).unwrap();
    respond(&review, &decision)
}

/// What `serde_json` does at least, for any purpose.
fn read(body: &[u8]) -> IgnoredAny {
    serde_json::from_slice(black_box(body)).unwrap()
}

fn reviews(policy: &Policy) {
    let mut table = Table::new(&["review", "bytes", "ns", "allocations", "bytes allocated", "ns to read it"]);
    for (name, file) in REVIEWS {
        let (webhook, body) = fixture(file);
        let time = time(|| answer(policy, webhook, &body));
        let counted = allocation_counter::measure(|| drop(black_box(answer(policy, webhook, &body))));
        let read = self::time(|| read(&body));
        let figures = [body.len() as u64, time, counted.count_total, counted.bytes_total, read];
        table.row(std::iter::once(name.to_owned()).chain(figures.iter().map(ToString::to_string)));
    }
    tell("core", table.text());
}

fn growth(policy: &Policy) {
    let mut table = Table::new(&["body", "µs to read it", "µs mutate", "ratio", "µs validate", "ratio"]);
    let mut lines = [const { Vec::new() }; 3];
    for size in SIZES {
        let body = keep_alive(size);
        let read = time(|| read(&body)) as f64 / 1e3;
        let [mutate, validate] = Webhook::ALL.map(|webhook| time(|| answer(policy, webhook, &body)) as f64 / 1e3);
        for (line, value) in lines.iter_mut().zip([read, mutate, validate]) {
            line.push((body.len() as f64 / 1024.0, value));
        }
        let name = format!("{:.0} kB", body.len() as f64 / 1024.0);
        let figures = [read, mutate, mutate / read, validate, validate / read];
        table.row(std::iter::once(name).chain(figures.map(|figure| format!("{figure:.2}"))));
    }
    tell("growth", table.text());
    if is_written() {
        let names = ["read it once with serde_json", "mutate", "validate"];
        let lines: Vec<_> = names.into_iter().zip(lines).collect();
        plot::lines("growth", "Core: time by size of the body", ("kB", "µs"), &lines);
    }
}

/// A keep-alive of HobbyFarm's whose objects carry annotations that make it about this large: half of it plain text, half of
/// it what an API server writes as `\u003c`.
fn keep_alive(size: usize) -> Vec<u8> {
    let mut review = tests::review();
    let room = size.saturating_sub(review.to_string().len()) / 2;
    for object in ["object", "oldObject"] {
        let mut annotations = json!({});
        let mut left = room;
        for number in 0.. {
            if left < 200 {
                break;
            }
            let length = left.min(4_000) / 2;
            // What becomes six bytes each.
            annotations[format!("text-{number}")] = Value::from("plain ".repeat(length / 6));
            annotations[format!("mark-{number}")] = Value::from("<".repeat(length / 6));
            left = left.saturating_sub(2 * length + 30);
        }
        review["request"][object]["metadata"]["annotations"] = annotations;
    }
    review.to_string().replace('<', "\\u003c").into_bytes()
}

/// The median time of one call, in nanoseconds.
fn time<T>(call: impl Fn() -> T) -> u64 {
    const SAMPLE: Duration = Duration::from_millis(2);
    const SAMPLES: usize = 101;
    let began = Instant::now();
    drop(black_box(call()));
    let once = began.elapsed();
    let calls = u32::try_from(SAMPLE.as_nanos() / once.as_nanos().max(1)).unwrap().max(1);
    let mut samples: Vec<_> = (0..if once > SAMPLE { 11 } else { SAMPLES })
        .map(|_| {
            let began = Instant::now();
            (0..calls).for_each(|_| drop(black_box(call())));
            began.elapsed().as_nanos() / u128::from(calls)
        })
        .collect();
    samples.sort_unstable();
    u64::try_from(samples[samples.len() / 2]).unwrap()
}
