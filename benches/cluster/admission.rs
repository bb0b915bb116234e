//! `apiserver_admission_webhook_admission_duration_seconds`: what the API server says that the webhook takes.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::writer::Request;

const METRIC: &str = "apiserver_admission_webhook_admission_duration_seconds_bucket{";
/// As the metric calls the two kinds.
const KINDS: [&str; 2] = ["admit", "validating"];

/// For each kind, how many calls took at most so many microseconds.
pub(crate) struct Admission([BTreeMap<u64, u64>; 2]);

impl Admission {
    pub(crate) async fn read(cluster: &Cluster) -> Self {
        let metrics = cluster.admin.sends(&Request::get("/metrics")).await.body;
        let text = metrics.as_str().expect("metrics are text");
        Self(KINDS.map(|kind| {
            let label = format!("type=\"{kind}\"");
            let mut buckets = BTreeMap::new();
            for line in text.lines().filter(|line| line.starts_with(METRIC) && line.contains(&label)) {
                let (_, rest) = line.split_once("le=\"").unwrap();
                let (bound, _) = rest.split_once('"').unwrap();
                let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
                let bound = bound.parse::<f64>().unwrap_or(f64::INFINITY);
                *buckets.entry((bound * 1e6) as u64).or_default() += count as u64;
            }
            buckets
        }))
    }

    /// p50 and p99 of each kind since an earlier look, milliseconds, as Prometheus reads them off the buckets.
    pub(crate) fn since(&self, earlier: &Self) -> [[f64; 2]; 2] {
        [0, 1].map(|kind| {
            let count =
                |(bound, count): (&u64, &u64)| (*bound, count - earlier.0[kind].get(bound).copied().unwrap_or(0));
            let buckets: Vec<(u64, u64)> = self.0[kind].iter().map(count).collect();
            [0.5, 0.99].map(|share| quantile(&buckets, share) / 1e3)
        })
    }
}

/// In microseconds.
fn quantile(buckets: &[(u64, u64)], share: f64) -> f64 {
    let all = buckets.last().map_or(0, |(_, count)| *count);
    let wanted = all as f64 * share;
    let (mut lower, mut below) = (0.0, 0.0);
    for (bound, count) in buckets {
        let (bound, count) = (*bound as f64, *count as f64);
        if count >= wanted && count > below {
            return lower + (bound - lower) * (wanted - below) / (count - below);
        }
        (lower, below) = (bound, count);
    }
    lower
}
