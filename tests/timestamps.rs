//! Our reading of times against Go's own `time.Parse`: every line of `tests/data/go-times.tsv` was printed by it, and where Go
//! is installed so are values that are made up anew.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use session_webhook::core::session::timestamp::{Instant, Layout, Reading, read_any};

const GO: &str = include_str!("data/go-times.tsv");

/// How many values are made up, and from what; a large number takes minutes.
const RANDOM: &str = "GO_TIMES";
const SEED: &str = "GO_TIMES_SEED";

fn layout(name: &str) -> Layout {
    let named = |layout: &Layout| format!("{layout:?}") == name;
    Layout::ALL.into_iter().find(named).unwrap_or_else(|| panic!("no layout {name}"))
}

/// `seconds.nanoseconds` since the epoch, as the instant it stands for.
fn instant(text: &str) -> Instant {
    let (seconds, nanoseconds) = text.split_once('.').unwrap();
    let since_epoch =
        SignedDuration::from_secs(seconds.parse().unwrap()) + SignedDuration::from_nanos(nanoseconds.parse().unwrap());
    Instant::from(Timestamp::UNIX_EPOCH).plus(since_epoch)
}

/// What we read otherwise than Go, of lines that it printed; how many lines there were, and how many of them it could read.
fn differences(lines: impl Iterator<Item = String>) -> (Vec<String>, usize, usize) {
    let (mut differences, mut count, mut readable) = (Vec::new(), 0, 0);
    for line in lines {
        let [name, value, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let value: String = serde_json::from_str(value).unwrap_or_else(|_| panic!("{line}"));
        let expected = (expected != "error").then(|| instant(expected));
        let got = layout(name).parse(&value);
        if got != expected {
            differences.push(format!("{line}\n    got {got:?}"));
        }
        count += 1;
        readable += usize::from(expected.is_some());
    }
    (differences, count, readable)
}

#[test]
fn every_value_of_the_table_is_read_as_go_reads_it() {
    let (differences, count, readable) = differences(GO.lines().map(str::to_owned));
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(count > 20_000 && (5_000..count - 5_000).contains(&readable), "{readable} of {count}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a developer chooses how many values are tried, the clock which")]
fn values_that_are_made_up_are_read_as_go_reads_them() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/go-times.go");
    let count = std::env::var(RANDOM).unwrap_or_else(|_| "20000".to_owned());
    let seed = std::env::var(SEED).unwrap_or_else(|_| (Timestamp::now().as_second() / 3600).to_string());
    let mut go = Command::new("go");
    go.args(["run", source, "-random", &count, "-seed", &seed]).env("TZ", "UTC").stdout(Stdio::piped());
    let Ok(mut child) = go.spawn() else {
        eprintln!("skipped: Go is not installed");
        return;
    };
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let (differences, lines, _) = differences(lines);
    assert!(child.wait().unwrap().success(), "go run failed");
    assert!(differences.is_empty(), "{SEED}={seed}: {}", differences.join("\n"));
    assert!(lines > count.parse().unwrap());
    println!("{lines} values, {SEED}={seed}, no difference");
}

/// The reading of a value in any layout: Go's instant and the certain one, as RFC 3339.
fn read(value: &str) -> Option<[Option<String>; 2]> {
    let Reading { go, certain } = read_any(value)?;
    Some([go, certain].map(|instant| instant.and_then(|instant| Layout::Rfc3339.format(instant))))
}

#[rstest]
#[case::utc("Wed Mar  4 17:50:00 UTC 2026", "2026-03-04T17:50:00Z")]
#[case::greenwich("Wed Mar  4 17:50:00 GMT 2026", "2026-03-04T17:50:00Z")]
#[case::go_subtracts_nothing("Wed Mar  4 17:50:00 GMT+3 2026", "2026-03-04T17:50:00Z")]
#[case::offset_outranks_the_abbreviation("2026-03-04 17:50:00 -0500 EST", "2026-03-04T22:50:00Z")]
#[case::utc_outranks_the_offset("2026-03-04 17:50:00 -0500 UTC", "2026-03-04T17:50:00Z")]
#[case::no_zone_at_all("Wed Mar  4 17:50:00 2026", "2026-03-04T17:50:00Z")]
#[case::numeric_zone("Wed, 04 Mar 2026 17:50:00 +0545", "2026-03-04T12:05:00Z")]
fn a_value_that_go_reads_right_is_certain(#[case] value: &str, #[case] expected: &str) {
    assert_eq!(read(value).unwrap()[1].as_deref(), Some(expected));
}

#[rstest]
#[case::minutes("Wed Mar  4 17:50:00 +0545 2026", None, "2026-03-04T12:05:00Z")]
#[case::hours("Wed Mar  4 17:50:00 -03 2026", Some("2026-03-04T17:50:00Z"), "2026-03-04T20:50:00Z")]
#[case::hours_and_minutes("Wed Mar  4 17:50:00 -0330 2026", None, "2026-03-04T21:20:00Z")]
#[case::what_go_takes_for_a_name(
    "Wed Mar  4 17:50:00 +0023 2026",
    Some("2026-03-04T17:50:00Z"),
    "2026-03-04T17:27:00Z"
)]
#[case::greenwich_in_numbers("Wed Mar  4 17:50:00 +00 2026", Some("2026-03-04T17:50:00Z"), "2026-03-04T17:50:00Z")]
#[case::twice("2026-03-04 17:50:00.5 +0545 +0545", None, "2026-03-04T12:05:00Z")]
#[case::rfc1123("Wed, 04 Mar 2026 17:50:00 +0001", Some("2026-03-04T17:50:00Z"), "2026-03-04T17:49:00Z")]
fn a_numeric_zone_is_that_offset(#[case] value: &str, #[case] go: Option<&str>, #[case] certain: &str) {
    let [read_by_go, read_certain] = read(value).unwrap();
    assert_eq!(read_certain.as_deref(), Some(certain));
    // In some layouts Go reads more than in the first that is certain; what it reads there is never another instant.
    assert!(
        read_by_go.is_none() || read_by_go.as_deref() == go || read_by_go.as_deref() == Some(certain),
        "{read_by_go:?}"
    );
}

#[rstest]
fn rfc1123z_with_few_minutes_is_read_as_go_reads_it(
    #[values("+0001", "-0012", "+0023", "-0023", "+0024")] offset: &str,
) {
    let value = format!("Wed, 04 Mar 2026 17:50:00 {offset}");
    assert_eq!(read_any(&value).unwrap().certain, Layout::Rfc1123Z.parse(&value));
    assert!(Layout::Rfc1123Z.parse(&value).is_some());
}

#[rstest]
fn an_abbreviation_that_tells_no_offset_leaves_the_instant_uncertain(
    #[values("EST", "CET", "CEST", "IST", "WITA", "ChST", "AEDT", "MST", "+003")] zone: &str,
) {
    for value in [format!("Wed Mar  4 17:50:00 {zone} 2026"), format!("Wed, 04 Mar 2026 17:50:00 {zone}")] {
        let Reading { go, certain } = read_any(&value).unwrap();
        assert_eq!((go.is_some(), certain), (true, None), "{value}");
    }
}

#[rstest]
#[case::no_such_offset("Wed Mar  4 17:50:00 +2460 2026")]
#[case::no_such_minutes("Wed Mar  4 17:50:00 +0160 2026")]
#[case::hours_alone_above_23("Wed Mar  4 17:50:00 +24 2026")]
#[case::two_offsets("2026-03-04 17:50:00 +0545 +0530")]
#[case::lower_case("Wed Mar  4 17:50:00 est 2026")]
fn what_neither_go_nor_we_can_tell_is_not_read(#[case] value: &str) {
    assert_eq!(read(value), None);
}
