//! Our reading of times against Go's own: every line of `tests/data/go-times.tsv` was printed by Go's `time.Parse`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "this is test code")]

use jiff::Timestamp;
use session_webhook::core::session::timestamp::{Instant, Layout};

const GO: &str = include_str!("data/go-times.tsv");

fn layout(name: &str) -> Layout {
    let named = |layout: &Layout| format!("{layout:?}") == name;
    Layout::ALL.into_iter().find(named).unwrap_or_else(|| panic!("no layout {name}"))
}

/// `seconds.nanoseconds` since the epoch, as the instant it stands for.
fn instant(text: &str) -> Instant {
    let (seconds, nanoseconds) = text.split_once('.').unwrap();
    let since_epoch = jiff::SignedDuration::from_secs(seconds.parse().unwrap())
        + jiff::SignedDuration::from_nanos(nanoseconds.parse().unwrap());
    Instant::from(Timestamp::UNIX_EPOCH).plus(since_epoch)
}

#[test]
fn every_value_is_read_as_go_reads_it() {
    let mut differences = Vec::new();
    for line in GO.lines() {
        let [name, value, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let value: String = serde_json::from_str(value).unwrap_or_else(|_| panic!("{line}"));
        let expected = (expected != "error").then(|| instant(expected));
        let got = layout(name).parse(&value);
        if got != expected {
            differences.push(format!("{line}\n    got {got:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(GO.lines().count() > 500);
}
