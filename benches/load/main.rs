//! The released program under load, and beside it the floor: what it costs above a server that only answers a constant.
//!
//! Each has a core of its own while it is asked, the load has the other. Both are asked in turns, and each figure is the
//! median over the turns; a ratio is the median of the ratios of each pair of turns.
//!
//! `cargo build --profile bench --example floor && cargo bench --bench load [-- --connections 16 --cases mutate,validate
//! --turns 7 --seconds 1 --options "--log-level off" --against target/of-another-commit/release/session-webhook]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "a benchmark stops at the first thing that is not as it should be"
)]

mod client;
mod profile;
mod server;
mod start;
#[path = "../support/mod.rs"]
mod support;
#[path = "../../tests/support/mod.rs"]
mod tests;

use std::fs;
use std::process::{self, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use client::{Client, Mode};
use server::{Certificate, Server};
use support::page::{Table, is_written, write_section};
use support::{CORES, RecordedCall, argument, cpu_seconds, kilobytes, plot};

/// Recorded calls, and what they are.
const CASES: [(&str, &str); 7] = [
    ("mutate", "gargantua-status/15-create-client-go.mutating"),
    ("validate", "gargantua-status/15-create-client-go.validating"),
    ("denied mutate", "gargantua-status/02-create-by-alice.mutating"),
    ("denial", "gargantua-status/02-create-by-alice.validating"),
    ("keep-alive mutate", "gargantua-status/61-status-keepalive-put-by-session-service.mutating"),
    ("keep-alive validate", "gargantua-status/61-status-keepalive-put-by-session-service.validating"),
    ("no-op", "gargantua-status/40-update-noop-merge-patch-by-alice.validating"),
];

/// Cases that are asked with a new connection for each call as well.
const NEW: [&str; 2] = ["mutate", "validate"];

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
    /// Resident, MB: all, and what is not pages of files.
    memory: [f64; 2],
}

/// What came of all turns of one case: the floor's and the webhook's.
struct Row {
    mode: Mode,
    case: &'static str,
    count: usize,
    turns: Vec<[Turn; 2]>,
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
        cases: cases.map(|(name, file)| (name, RecordedCall::recorded(file).0.into())).collect(),
        options: argument("--options").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    let counts = argument("--connections")
        .map(|counts| counts.split(',').map(|count| count.parse().unwrap()).collect::<Vec<_>>());
    let is_whole = wanted.is_none() && counts.is_none();
    let counts = counts.unwrap_or_else(|| COUNTS.to_vec());
    let certificate = Certificate::new();
    write_section("machine", &machine());
    let mut rows = Vec::new();
    for mode in [Mode::Kept, Mode::New] {
        for &count in &counts {
            level(&plan, &certificate, mode, count, &mut rows);
        }
        table(mode, &rows);
    }
    // Some cases, or some counts of connections, tell nothing of the aims.
    if is_whole {
        let starts = start::times(&certificate, 31);
        reach(&rows, &starts, unlogged_denials(&plan, &certificate));
        profiles(&plan, &certificate, &rows);
    }
    if is_written() {
        plots(&rows);
    }
}

/// What the figures depend on.
fn machine() -> String {
    let first = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.rsplit([':', '\t']).next().unwrap_or_default().trim().to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let busy = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{} with {} cores, Linux {}; load average before the run {}; {}.",
        first("/proc/cpuinfo", "model name"),
        fs::read_to_string("/proc/cpuinfo").unwrap_or_default().matches("processor\t").count(),
        kernel.trim(),
        busy.split(' ').next().unwrap_or_default(),
        jiff::Timestamp::now().strftime("%Y-%m-%d")
    )
}

/// All cases over so many connections at a time, with fresh servers: memory that a process once had stays with it.
fn level(plan: &Plan, certificate: &Certificate, mode: Mode, count: usize, rows: &mut Vec<Row>) {
    let servers = [Server::floor(certificate, &plan.options), Server::webhook(certificate, &plan.options)];
    let mut clients = servers.each_ref().map(|server| Client::new(server.address, &certificate.authority));
    for (case, request) in plan.cases.iter().filter(|(case, _)| mode == Mode::Kept || NEW.contains(case)) {
        // Until everything has been touched once.
        for client in &mut clients {
            client.ask(mode, count, request, plan.time / 4);
        }
        let turns = (0..plan.turns)
            .map(|_| {
                let mut turn = |of: usize| turn(&servers[of], &mut clients[of], mode, count, request, plan.time);
                [turn(0), turn(1)]
            })
            .collect();
        let row = Row { mode, case, count, turns };
        // For who waits.
        println!("{case} {count}: {:.2} of the floor's {:.1} µs", row.ratio(&|t| t.cost), row.median(0, &|t| t.cost));
        rows.push(row);
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
        memory: ["VmRSS", "RssAnon"].map(|name| kilobytes(server.pid(), name) as f64 / 1024.0),
    }
}

impl Row {
    /// Over the turns of one server: 0 is the floor, 1 the webhook.
    fn median(&self, of: usize, figure: &dyn Fn(&Turn) -> f64) -> f64 {
        median(self.turns.iter().map(|pair| figure(&pair[of])))
    }

    fn ratio(&self, figure: &dyn Fn(&Turn) -> f64) -> f64 {
        median(self.turns.iter().map(|[floor, webhook]| figure(webhook) / figure(floor)))
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn table(mode: Mode, rows: &[Row]) {
    let mut table = Table::new(&[
        "call",
        "connections",
        "CPU µs",
        "floor",
        "ratio",
        "calls/s",
        "floor",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "floor p99",
        "ratio",
        "RSS MB",
        "floor",
    ]);
    for row in rows.iter().filter(|row| row.mode == mode) {
        let mut cells = vec![row.case.to_owned(), row.count.to_string()];
        cells.extend([1, 0].map(|of| format!("{:.1}", row.median(of, &|turn| turn.cost))));
        cells.push(format!("**{:.2}**", row.ratio(&|turn| turn.cost)));
        cells.extend([1, 0].map(|of| format!("{:.0}", row.median(of, &|turn| turn.rate))));
        cells.extend([0, 1, 2].map(|which| format!("{:.0}", row.median(1, &|turn| turn.latency[which]))));
        cells.push(format!("{:.0}", row.median(0, &|turn| turn.latency[1])));
        cells.push(format!("{:.2}", row.ratio(&|turn| turn.latency[1])));
        cells.extend([1, 0].map(|of| format!("{:.1}", row.median(of, &|turn| turn.memory[0]))));
        table.row(cells.iter());
    }
    write_section(if mode == Mode::Kept { "kept" } else { "new" }, table.text());
}

/// The aims, and how far they are reached.
fn reach(rows: &[Row], starts: &[f64], [unlogged_both, unlogged]: [f64; 2]) {
    let row = |case: &str, count: usize| {
        rows.iter().find(|row| row.mode == Mode::Kept && row.case == case && row.count == count).unwrap()
    };
    let cost = |case: &str| row(case, 16).ratio(&|turn| turn.cost);
    let slowest = |count: usize| {
        ["mutate", "validate"]
            .map(|case| row(case, count).ratio(&|turn| turn.latency[1]))
            .into_iter()
            .fold(0.0, f64::max)
    };
    let own = |case: &str| row(case, 16).median(1, &|turn| turn.cost);
    let memory = |of: usize, which: usize| row("validate", 256).median(of, &|turn| turn.memory[which]);
    let of_both = (own("denied mutate") + own("denial")) / (own("mutate") + own("validate"));
    let aims = [
        ("CPU of a mutate, 16 connections", 1.5, cost("mutate"), "of the floor's"),
        ("CPU of a validate, 16 connections", 1.35, cost("validate"), "of the floor's"),
        ("p99, 16 connections", 2.0, slowest(16), "of the floor's"),
        ("p99, 256 connections", 2.0, slowest(256), "of the floor's"),
        ("memory, 256 connections", 15.0, memory(1, 0), "MB"),
        ("of it not pages of files", memory(0, 1), memory(1, 1), "MB; at most the floor's"),
        ("exec to ready, median", 50.0, starts[starts.len() / 2], "ms"),
        ("CPU of a denied create, both calls and the log line", 1.0, of_both, "of an admitted one's"),
        ("CPU of both calls without the log line", 1.0, unlogged_both, "of an admitted one's"),
        ("CPU of its validate alone, without the log line", 1.0, unlogged, "of an admitted one's"),
        ("CPU of its validate alone, with the log line", 1.0, own("denial") / own("validate"), "of an admitted one's"),
    ];
    let mut table = Table::new(&["figure", "at most", "here", "", ""]);
    for (name, most, here, unit) in aims {
        let verdict = if here <= most { "reached" } else { "not reached" };
        table.row(
            [name.to_owned(), format!("{most:.2}"), format!("{here:.2}"), unit.to_owned(), verdict.to_owned()].iter(),
        );
    }
    write_section("reach", table.text());
}

/// What denials cost where they are not logged, of what admissions cost: both calls of a create, and its validate alone.
fn unlogged_denials(plan: &Plan, certificate: &Certificate) -> [f64; 2] {
    let server = Server::webhook(certificate, &["--log-level=warn".to_owned()]);
    let mut client = Client::new(server.address, &certificate.authority);
    let requests = ["denied mutate", "denial", "mutate", "validate"]
        .map(|case| plan.cases.iter().find(|(known, _)| *known == case).unwrap());
    let turns: Vec<_> = (0..plan.turns)
        .map(|_| requests.map(|(_, request)| turn(&server, &mut client, Mode::Kept, 16, request, plan.time).cost))
        .collect();
    let both = turns.iter().map(|[passed, denied, mutated, admitted]| (passed + denied) / (mutated + admitted));
    let alone = turns.iter().map(|[_, denied, _, admitted]| denied / admitted);
    [median(both), median(alone)]
}

/// Where the CPU goes, for some calls of the webhook and one of the floor.
fn profiles(plan: &Plan, certificate: &Certificate, rows: &[Row]) {
    let servers = [Server::floor(certificate, &plan.options), Server::webhook(certificate, &plan.options)];
    let mut table = Table::new(&["µs"].into_iter().chain(profile::parts()).chain(["all"]).collect::<Vec<_>>());
    for (of, case) in [(0, "validate"), (1, "validate"), (1, "mutate"), (1, "denial"), (1, "keep-alive validate")] {
        let (_, request) = plan.cases.iter().find(|(known, _)| *known == case).unwrap();
        let mut client = Client::new(servers[of].address, &certificate.authority);
        let Some(shares) = profile::shares(&servers[of], &mut client, 16, request) else {
            println!("no profile: perf is needed (linux-perf)");
            return;
        };
        let row = rows.iter().find(|row| row.mode == Mode::Kept && row.case == case && row.count == 16).unwrap();
        let cost = row.median(of, &|turn| turn.cost);
        let name = if of == 0 { "floor" } else { case };
        let figures = shares.iter().map(|share| share * cost).chain([cost]).map(|figure| format!("{figure:.1}"));
        table.row([name.to_owned()].into_iter().chain(figures));
    }
    write_section("profile", table.text());
}

fn plots(rows: &[Row]) {
    let kept = |count: usize| rows.iter().filter(move |row| row.mode == Mode::Kept && row.count == count);
    let bars: Vec<_> = kept(16)
        .map(|row| (row.case.to_owned(), [0, 1].map(|of| row.median(of, &|turn| turn.cost)).to_vec()))
        .collect();
    plot::bars("cost", "CPU of one call, 16 connections", "µs", &["floor", "webhook"], &bars);
    let case = |case: &'static str| rows.iter().filter(move |row| row.mode == Mode::Kept && row.case == case);
    let line = |name: &'static str, of: usize, which: usize| {
        (name, case("validate").map(|row| (row.count as f64, row.median(of, &|turn| turn.latency[which]))).collect())
    };
    let lines =
        [line("floor p50", 0, 0), line("webhook p50", 1, 0), line("floor p99", 0, 1), line("webhook p99", 1, 1)];
    plot::lines(
        "latency",
        "Latency of a validate by connections, asked as fast as answered",
        ("connections", "µs"),
        &lines,
    );
}
