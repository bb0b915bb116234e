//! The core alone: time and allocations for one review, from its bytes to those of the answer, and how the time grows with
//! the size of the body, beside skimming the same body with `serde_json`, and beside reading of it what has to be known.
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

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use session_webhook::core::admission::policy::Policy;
use session_webhook::core::admission::response::respond;
use session_webhook::core::admission::review::{Review, Webhook};
use session_webhook::core::settings::Settings;
use support::page::{Table, is_written, write_section};
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
    let mut timer = Timer::new();
    reviews(&policy, &mut timer);
    growth(&policy, &mut timer);
}

fn answer(policy: &Policy, webhook: Webhook, body: &[u8]) -> Vec<u8> {
    let review = Review::parse(black_box(body)).unwrap();
    let decision = policy.decide(webhook, &review, Timestamp::UNIX_EPOCH).unwrap();
    respond(&review, &decision)
}

/// What `serde_json` does at least, for any purpose.
fn skim(body: &[u8]) -> IgnoredAny {
    serde_json::from_slice(black_box(body)).unwrap()
}

/// What a webhook has to keep of a review in order to decide about it, as plainly as `serde_json` lets one say it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read, not used")]
struct Needed<'a> {
    kind: &'a str,
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is read, not used")]
struct Request<'a> {
    uid: &'a str,
    operation: &'a str,
    #[serde(borrow)]
    resource: BTreeMap<&'a str, &'a str>,
    sub_resource: Option<&'a str>,
    #[serde(borrow)]
    user_info: User<'a>,
    #[serde(borrow)]
    object: Option<Object<'a>>,
    #[serde(borrow)]
    old_object: Option<Object<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is read, not used")]
struct User<'a> {
    username: &'a str,
    uid: Option<&'a str>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is read, not used")]
struct Object<'a> {
    #[serde(borrow)]
    metadata: BTreeMap<&'a str, &'a RawValue>,
    #[serde(borrow)]
    spec: Option<BTreeMap<&'a str, &'a RawValue>>,
    #[serde(borrow)]
    status: Option<BTreeMap<&'a str, &'a RawValue>>,
}

fn read(body: &[u8]) -> Needed<'_> {
    serde_json::from_slice(black_box(body)).unwrap()
}

fn reviews(policy: &Policy, timer: &mut Timer) {
    let head = ["review", "bytes", "ns", "allocations", "bytes allocated", "ns to skim it", "ns to read it", "ratio"];
    let mut table = Table::new(&head);
    for (name, file) in REVIEWS {
        let (webhook, body) = fixture(file);
        let time = timer.nanoseconds(name, "answer", || answer(policy, webhook, &body));
        let skimmed = timer.nanoseconds(name, "skim", || skim(&body));
        let read = timer.nanoseconds(name, "read", || read(&body));
        let counted = allocation_counter::measure(|| drop(black_box(answer(policy, webhook, &body))));
        let mut row = vec![name.to_owned(), body.len().to_string(), format!("{time:.0}")];
        row.extend([counted.count_total, counted.bytes_total].map(|count| count.to_string()));
        row.extend([skimmed, read].map(|time| format!("{time:.0}")));
        row.push(format!("{:.2}", time / read));
        table.row(row.iter());
    }
    write_section("core", table.text());
}

fn growth(policy: &Policy, timer: &mut Timer) {
    let head = ["body", "µs to skim it", "µs to read it", "µs mutate", "ratio", "µs validate", "ratio"];
    let mut table = Table::new(&head);
    let mut lines = [const { Vec::new() }; 4];
    for size in SIZES {
        let body = keep_alive(size);
        let name = format!("{:.0} kB", body.len() as f64 / 1024.0);
        let skimmed = timer.nanoseconds(&name, "skim", || skim(&body)) / 1e3;
        let read = timer.nanoseconds(&name, "read", || read(&body)) / 1e3;
        let [mutate, validate] = Webhook::ALL
            .map(|webhook| timer.nanoseconds(&name, webhook.name(), || answer(policy, webhook, &body)) / 1e3);
        for (line, value) in lines.iter_mut().zip([skimmed, read, mutate, validate]) {
            line.push((body.len() as f64 / 1024.0, value));
        }
        let figures = [skimmed, read, mutate, mutate / read, validate, validate / read];
        table.row(std::iter::once(name).chain(figures.map(|figure| format!("{figure:.2}"))));
    }
    write_section("growth", table.text());
    if is_written() {
        let names = ["skim it with serde_json", "read what is needed of it", "mutate", "validate"];
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

/// Criterion, and where it puts what it found.
struct Timer {
    criterion: Criterion,
    folder: PathBuf,
}

impl Timer {
    fn new() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("criterion");
        let criterion = Criterion::default()
            .without_plots()
            .sample_size(50)
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_secs(1))
            .output_directory(&folder);
        Self { criterion, folder }
    }

    /// The median time of one call.
    fn nanoseconds<T>(&mut self, of: &str, what: &str, call: impl Fn() -> T) -> f64 {
        let mut group = self.criterion.benchmark_group(of);
        // Some calls take milliseconds: as many of them in each sample.
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(what, |bencher| bencher.iter(|| drop(black_box(call()))));
        group.finish();
        let file = self.folder.join(of).join(what).join("new/estimates.json");
        let estimates: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        estimates["median"]["point_estimate"].as_f64().unwrap()
    }
}
