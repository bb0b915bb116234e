//! Full load of one core for a while: whether the memory of the program stays as it is.
//!
//! `cargo bench --bench soak -- --minutes 30 [--write yes]`

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first thing that is not as it should be"
)]

mod support;
#[path = "../tests/support/mod.rs"]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use support::page::{Table, is_written, write_section};
use support::{Connection, RecordedCall, argument, config, cpu_seconds, kilobytes, plot, start};
use tests::program::Program;

const CALLS: [&str; 6] = [
    "gargantua-status/15-create-client-go.mutating",
    "gargantua-status/15-create-client-go.validating",
    "gargantua-status/61-status-keepalive-put-by-session-service.mutating",
    "gargantua-status/61-status-keepalive-put-by-session-service.validating",
    "gargantua-status/02-create-by-alice.validating",
    "gargantua-status/40-update-noop-merge-patch-by-alice.validating",
];
const CLIENTS: usize = 16;
/// Calls on one connection; then another is opened.
const LIFE: usize = 2_000;
const SAMPLE: Duration = Duration::from_secs(10);

fn main() {
    let minutes = argument("--minutes").map_or(1, |minutes| minutes.parse().unwrap());
    let program = start("");
    let (webhook, config) = (program.webhook, config(&program));
    let (calls, failed, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let samples = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load(webhook, &config, &calls, &failed, &done));
        }
        let samples = watch(&program, &calls, Duration::from_secs(60 * minutes));
        done.store(true, Ordering::Relaxed);
        samples
    });
    let half = &samples[samples.len() / 2..];
    let megabytes = |kilobytes: u64| format!("{:.2}", kilobytes as f64 / 1024.0);
    let calls = calls.into_inner();
    let mut table = Table::new(&[
        "minutes",
        "calls",
        "failed",
        "calls/s",
        "RSS MB after 10 s",
        "half-way",
        "at the end",
        "peak",
        "second half, kB a minute",
    ]);
    table.row(
        [
            minutes.to_string(),
            calls.to_string(),
            failed.into_inner().to_string(),
            (calls / (60 * minutes)).to_string(),
            megabytes(samples[0].1),
            megabytes(half[0].1),
            megabytes(samples[samples.len() - 1].1),
            megabytes(kilobytes(program.pid(), "VmHWM")),
            format!("{:+.1}", slope(half)),
        ]
        .iter(),
    );
    write_section("soak", table.text());
    if is_written() {
        let points: Vec<_> = samples.iter().map(|(minute, rss)| (*minute, *rss as f64 / 1024.0)).collect();
        plot::over_time("soak", "Resident memory under full load of one core", ("minutes", "MB"), &points);
    }
}

fn load(webhook: SocketAddr, config: &Arc<ClientConfig>, calls: &AtomicU64, failed: &AtomicU64, done: &AtomicBool) {
    let bodies = CALLS.map(RecordedCall::recorded);
    while !done.load(Ordering::Relaxed) {
        let mut connection = Connection::open(webhook, config).unwrap();
        for call in bodies.iter().cycle().take(LIFE) {
            let answer = connection.call(call);
            calls.fetch_add(1, Ordering::Relaxed);
            if !answer.as_ref().is_ok_and(|answer| answer.ok) {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            if done.load(Ordering::Relaxed) || answer.is_ok_and(|answer| answer.close) {
                break;
            }
        }
    }
}

/// Minutes since the start and kB of resident memory, each [`SAMPLE`].
fn watch(program: &Program, calls: &AtomicU64, time: Duration) -> Vec<(f64, u64)> {
    println!("{:>8} {:>8} {:>8} {:>10}", "minute", "RSS kB", "CPU %", "calls/s");
    let (start, mut samples) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let (began, cpu, before) = (Instant::now(), cpu_seconds(program.pid()), calls.load(Ordering::Relaxed));
        thread::sleep(SAMPLE);
        let seconds = began.elapsed().as_secs_f64();
        let rate = (calls.load(Ordering::Relaxed) - before) as f64 / seconds;
        // As Prometheus does.
        program.metric("connections");
        let sample = (start.elapsed().as_secs_f64() / 60.0, kilobytes(program.pid(), "VmRSS"));
        let share = 100.0 * (cpu_seconds(program.pid()) - cpu) / seconds;
        println!("{:>8.2} {:>8} {share:>8.0} {rate:>10.0}", sample.0, sample.1);
        samples.push(sample);
    }
    samples
}

/// Least squares, kB a minute.
fn slope(samples: &[(f64, u64)]) -> f64 {
    let count = samples.len() as f64;
    let (x, y) = samples.iter().fold((0.0, 0.0), |(x, y), sample| (x + sample.0 / count, y + sample.1 as f64 / count));
    let (above, below) = samples.iter().fold((0.0, 0.0), |(above, below), sample| {
        let x = sample.0 - x;
        (above + x * (sample.1 as f64 - y), below + x * x)
    });
    above / below
}
