//! The released program under load, and beside it the floor: what it costs above a server that only answers a constant.
//!
//! Each has a core of its own while it is asked, the load has the other. Both are asked in turns, and each figure is the
//! median over the turns; a ratio is the median of the ratios of each pair of turns.
//!
//! `cargo build --profile bench --example floor && cargo bench --bench load [-- --connections 16 --cases mutate,validate
//! --turns 7 --seconds 1 --options "--log-level off"]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark stops at the first thing that is not as it should be"
)]

mod client;
mod server;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../tests/support/mod.rs"]
mod tests;

use std::process::{self, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Mode};
use server::{Certificate, Server};
use support::{CORES, Call, argument, cpu_seconds, kilobytes};

/// Recorded calls, and what they are.
const CASES: [(&str, &str); 6] = [
    ("mutate", "gargantua-status/15-create-client-go.mutating"),
    ("validate", "gargantua-status/15-create-client-go.validating"),
    ("denial", "gargantua-status/02-create-by-alice.validating"),
    ("keep-alive mutate", "gargantua-status/61-status-keepalive-put-by-session-service.mutating"),
    ("keep-alive validate", "gargantua-status/61-status-keepalive-put-by-session-service.validating"),
    ("no-op", "gargantua-status/40-update-noop-merge-patch-by-alice.validating"),
];

/// Connections at a time.
const COUNTS: [usize; 4] = [1, 16, 256, 1024];

/// One turn of one server.
struct Turn {
    /// Of CPU for one call, microseconds.
    cost: f64,
    /// Calls in a second.
    rate: f64,
    /// p50, p99 and p99.9, microseconds.
    latency: [f64; 3],
    /// Resident, MB.
    memory: f64,
}

struct Plan {
    turns: usize,
    time: Duration,
    cases: Vec<(&'static str, Arc<[u8]>)>,
    options: Vec<String>,
}

fn main() {
    let pinned = Command::new("taskset").args(["-acp", CORES.1, &process::id().to_string()]).output();
    assert!(pinned.is_ok_and(|output| output.status.success()), "taskset (util-linux) and two cores are needed");
    let wanted = argument("--cases");
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == name));
    let cases = CASES.into_iter().filter(|(name, _)| is_wanted(name));
    let plan = Plan {
        turns: argument("--turns").map_or(7, |turns| turns.parse().unwrap()),
        time: Duration::from_secs_f64(argument("--seconds").map_or(1.0, |seconds| seconds.parse().unwrap())),
        cases: cases.map(|(name, file)| (name, Call::recorded(file).0.into())).collect(),
        options: argument("--options").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    let counts = argument("--connections")
        .map_or(COUNTS.to_vec(), |counts| counts.split(',').map(|count| count.parse().unwrap()).collect());
    let certificate = Certificate::new();
    println!(
        "{:<20} {:>5}  {:>15}  {:>6}  {:>15}  {:>26}  {:>26}  {:>6}  {:>11}",
        "", "conns", "CPU µs/call", "ratio", "calls/s", "p50 p99 p99.9 µs", "floor's", "p99", "RSS MB"
    );
    for mode in [Mode::Kept, Mode::New] {
        for &count in &counts {
            level(&plan, &certificate, mode, count);
        }
    }
}

/// All cases over so many connections at a time, with fresh servers: memory that a process once had stays with it.
fn level(plan: &Plan, certificate: &Certificate, mode: Mode, count: usize) {
    let servers = [Server::floor(certificate), Server::webhook(certificate, &plan.options)];
    let mut clients = servers.each_ref().map(|server| Client::new(server.address, &certificate.authority));
    for (name, request) in &plan.cases {
        // Until everything has been touched once.
        for client in &mut clients {
            client.ask(mode, count, request, plan.time / 4);
        }
        let turns: Vec<[Turn; 2]> = (0..plan.turns)
            .map(|_| {
                let mut turn = |of: usize| turn(&servers[of], &mut clients[of], mode, count, request, plan.time);
                [turn(0), turn(1)]
            })
            .collect();
        row(name, mode, count, &turns);
    }
}

fn turn(server: &Server, client: &mut Client, mode: Mode, count: usize, request: &Arc<[u8]>, time: Duration) -> Turn {
    let (began, cpu) = (Instant::now(), cpu_seconds(server.pid()));
    let mut latencies = client.ask(mode, count, request, time);
    let (taken, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(server.pid()) - cpu);
    latencies.sort_unstable();
    let calls = latencies.len();
    let percentile = |per_mille: usize| f64::from(latencies[(calls - 1) * per_mille / 1000]) / 1e3;
    Turn {
        cost: cpu / calls as f64 * 1e6,
        rate: calls as f64 / taken,
        latency: [500, 990, 999].map(percentile),
        memory: kilobytes(server.pid(), "VmRSS") as f64 / 1024.0,
    }
}

fn row(name: &str, mode: Mode, count: usize, turns: &[[Turn; 2]]) {
    let both = |figure: &dyn Fn(&Turn) -> f64| [0, 1].map(|of| median(turns.iter().map(|pair| figure(&pair[of]))));
    let ratio =
        |figure: &dyn Fn(&Turn) -> f64| median(turns.iter().map(|[floor, webhook]| figure(webhook) / figure(floor)));
    let [floor_cost, cost] = both(&|turn| turn.cost);
    let [floor_rate, rate] = both(&|turn| turn.rate);
    let [floor_memory, memory] = both(&|turn| turn.memory);
    let latency =
        |of: usize| [0, 1, 2].map(|percentile| format!("{:.0}", both(&|turn| turn.latency[percentile])[of])).join(" ");
    let name = if mode == Mode::New { format!("{name}, new") } else { name.to_owned() };
    println!(
        "{name:<20} {count:>5}  {cost:>7.1} {floor_cost:>7.1}  {:>6.2}  {rate:>7.0} {floor_rate:>7.0}  {:>26}  {:>26}  {:>6.2}  {memory:>5.1} {floor_memory:>5.1}",
        ratio(&|turn| turn.cost),
        latency(1),
        latency(0),
        ratio(&|turn| turn.latency[1]),
    );
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
