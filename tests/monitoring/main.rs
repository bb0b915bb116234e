//! Alerts and dashboard: they ask for metrics that there are, each alert fires when it should, and has its runbook.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod promql;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use session_webhook::metrics::Metrics;

use promql::{Selector, selectors};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `spec` of the rules that are installed, which is what Prometheus reads from a file.
fn groups() -> Value {
    let text = fs::read_to_string(root().join("manifests/components/monitoring/alerts.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&text).unwrap();
    rules["spec"].clone()
}

fn rules() -> Vec<Value> {
    groups()["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn names() -> BTreeSet<String> {
    rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

/// What the panels of the dashboard ask for.
fn panels() -> Vec<String> {
    let text = fs::read_to_string(root().join("manifests/components/monitoring/dashboard.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The names and labels of all series: a histogram has three.
fn series() -> Vec<(String, Vec<&'static str>)> {
    let metrics = Metrics::new("", "");
    let all = metrics.descriptions().iter().flat_map(|metric| {
        let labels = metric.labels.to_vec();
        if metric.kind == "histogram" {
            let bucket = [&labels[..], &["le"]].concat();
            let part = |part: &str| format!("{}_{part}", metric.name);
            vec![(part("bucket"), bucket), (part("sum"), labels.clone()), (part("count"), labels)]
        } else {
            vec![(metric.name.clone(), labels)]
        }
    });
    all.collect()
}

/// Labels that Prometheus itself sets, by the `PodMonitor`.
const BY_THE_SCRAPE: [&str; 2] = ["namespace", "pod"];

/// A series as it was scraped from a real API server, which could not reach the webhook, and whose policy refused somebody:
/// `tests/chart_in_cluster` writes the file.
fn of_api_servers() -> Vec<(String, BTreeMap<String, String>)> {
    let text = include_str!("../fixtures/apiserver/metrics.txt");
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).map(series_of_text).collect();
    assert!(lines.len() > 5, "{lines:?}");
    lines
}

/// `name{label="value",…} 1`
fn series_of_text(line: &str) -> (String, BTreeMap<String, String>) {
    let (name, rest) = line.split_once('{').unwrap();
    let (labels, _) = rest.rsplit_once('}').unwrap();
    let labels = labels.split("\",").map(|label| {
        let (name, value) = label.split_once("=\"").unwrap();
        (name.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect())
}

#[test]
fn every_query_asks_for_metrics_and_labels_that_there_are() {
    let scraped = of_api_servers();
    let mut series: Vec<(String, Vec<&str>)> =
        scraped.iter().map(|(name, labels)| (name.clone(), labels.keys().map(String::as_str).collect())).collect();
    series.extend(self::series());
    let alerts = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let panels = panels();
    assert!(alerts.len() > 10 && panels.len() > 10, "{} alerts, {} panels", alerts.len(), panels.len());
    for query in alerts.iter().chain(&panels) {
        let selectors = selectors(query);
        assert!(!selectors.is_empty(), "{query}");
        for Selector { metric, labels } in selectors {
            let (_, known) =
                series.iter().find(|(name, _)| *name == metric).unwrap_or_else(|| panic!("{metric} in {query}"));
            for label in labels {
                let known = known.contains(&label.as_str()) || BY_THE_SCRAPE.contains(&label.as_str());
                assert!(known, "{metric} has no label {label}: {query}");
            }
        }
    }
}

/// What the alerts on API servers are tested with are series that one has told, but for numbers, and other people's names.
#[test]
fn the_alerts_on_api_servers_are_tested_with_series_that_one_has_told() {
    let scraped = of_api_servers();
    let mut seen = 0;
    for entry in fs::read_dir(root().join("tests/alerts")).unwrap().map(Result::unwrap) {
        let text = fs::read_to_string(entry.path()).unwrap();
        let series = text.lines().filter_map(|line| line.trim().strip_prefix("- series: '"));
        for line in series.filter(|line| line.starts_with("apiserver_")) {
            seen += 1;
            let (name, mut labels) = series_of_text(line);
            for label in ["instance", "job"] {
                assert!(labels.remove(label).is_some(), "Prometheus adds {label}: {line}");
            }
            let is_told = scraped.iter().any(|(told, known)| {
                let ours = |(key, value): (&String, &String)| {
                    let by_the_cluster = ["le", "operation", "rejected", "rejection_code", "enforcement_action"];
                    by_the_cluster.contains(&key.as_str())
                        || known.get(key) == Some(value)
                        || labels.values().any(|value| value.contains("another") || value.contains("example.org"))
                        || key == "error_type"
                };
                *told == name && known.keys().eq(labels.keys()) && labels.iter().all(ours)
            });
            assert!(is_told, "{}: no API server tells {line}", entry.path().display());
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn every_metric_is_shown_or_watched() {
    let alerts = rules().iter().map(|rule| rule["expr"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let asked: BTreeSet<_> =
        alerts.iter().chain(&panels()).flat_map(|query| selectors(query)).map(|selector| selector.metric).collect();
    for metric in Metrics::new("", "").descriptions() {
        let is_asked = |part: &str| asked.contains(&format!("{}{part}", metric.name));
        assert!(is_asked("") || is_asked("_bucket"), "nobody looks at {}", metric.name);
    }
}

#[test]
fn every_alert_names_its_runbook_and_every_runbook_its_alert() {
    let folder = root().join("docs/runbooks");
    let table = fs::read_to_string(root().join("docs/alerts.md")).unwrap();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        let path = format!("docs/runbooks/{name}.md");
        assert_eq!(rule["annotations"]["runbook_url"], json!(path));
        let page = fs::read_to_string(root().join(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert!(page.starts_with(&format!("# {name}\n")), "{path}");
        let row = table.lines().find(|line| line.starts_with(&format!("| [{name}](runbooks/{name}.md) |")));
        let row = row.unwrap_or_else(|| panic!("docs/alerts.md has no row for {name}"));
        assert!(row.contains(rule["labels"]["severity"].as_str().unwrap()), "{row}");
        for part in ["## What it means", "## What it does to users", "## What to look at", "## How to fix it"] {
            assert!(page.contains(&format!("\n{part}\n")), "{path} has no {part:?}");
        }
    }
    let pages: BTreeSet<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert_eq!(pages, names());
}

/// A folder with the rules as `change` makes them, and with the tests of the alerts.
fn workshop(mut change: impl FnMut(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut groups = groups();
    for group in groups["groups"].as_array_mut().unwrap() {
        group["rules"].as_array_mut().unwrap().iter_mut().for_each(&mut change);
    }
    fs::write(folder.path().join("rules.yaml"), groups.to_string()).unwrap();
    for entry in fs::read_dir(root().join("tests/alerts")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn promtool(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new("promtool").current_dir(folder).args(arguments).output();
    output.unwrap_or_else(|error| {
        panic!("promtool is needed; tests/tools/build prometheus prints a folder that has it: {error}")
    })
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The tests compare labels; what people read is checked by `promtool check rules`.
fn without_annotations(rule: &mut Value) {
    rule.as_object_mut().unwrap().remove("annotations");
}

#[test]
fn the_rules_are_ones_that_prometheus_takes() {
    let folder = workshop(|_| {});
    let output = promtool(folder.path(), &["check", "rules", "rules.yaml"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains(&format!("{} rules found", rules().len())), "{}", said(&output));
}

#[test]
fn each_alert_fires_when_it_should_and_is_quiet_when_all_is_well() {
    let folder = workshop(without_annotations);
    for name in names() {
        let output = promtool(folder.path(), &["test", "rules", &format!("{name}.test.yaml")]);
        assert!(output.status.success(), "{name}: {}", said(&output));
    }
    let tests = fs::read_dir(root().join("tests/alerts")).unwrap().count();
    assert_eq!(tests, names().len(), "a test without an alert");
}

/// A test that an alert passes whatever it asks for proves nothing.
#[test]
fn an_alert_that_never_or_always_fires_fails_its_test() {
    for expression in ["vector(1) > 2", "vector(1)"] {
        let folder = workshop(|rule| {
            without_annotations(rule);
            rule["expr"] = json!(expression);
        });
        for name in names() {
            let output = promtool(folder.path(), &["test", "rules", &format!("{name}.test.yaml")]);
            assert_eq!(output.status.code(), Some(1), "{name} with {expression}: {}", said(&output));
            assert!(said(&output).contains("alertname"), "{}", said(&output));
        }
    }
}
