//! Registers metrics, and remembers what can be said about each: the table in the documentation is made of that.

use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use super::PREFIX;

/// What there is to say about one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The name, as Prometheus sees it (a histogram without its `_bucket`, `_sum` and `_count`).
    pub name: String,
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// The names of its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// Registers metrics under [`PREFIX`].
pub(super) struct Registrar {
    pub(super) registry: Registry,
    pub(super) descriptions: Vec<Description>,
    labels: &'static [&'static str],
}

impl Registrar {
    pub(super) fn new() -> Self {
        Self { registry: Registry::with_prefix(PREFIX), descriptions: Vec::new(), labels: &[] }
    }

    /// The labels of the metric that is added next.
    pub(super) const fn by(&mut self, labels: &'static [&'static str]) -> &mut Self {
        self.labels = labels;
        self
    }

    /// A new one that stands at zero.
    pub(super) fn make<M: Metric + Clone + Default>(&mut self, name: &str, help: &'static str) -> M {
        let metric = M::default();
        self.add(name, help, &metric);
        metric
    }

    /// As [`Registrar::make`].
    pub(super) fn make_with_unit<M: Metric + Clone + Default>(
        &mut self,
        name: &str,
        help: &'static str,
        unit: Unit,
    ) -> M {
        let metric = M::default();
        self.add_with_unit(name, help, unit, &metric);
        metric
    }

    pub(super) fn add<M: Metric + Clone>(&mut self, name: &str, help: &'static str, metric: &M) {
        let suffix = if matches!(metric.metric_type(), MetricType::Counter) { "_total" } else { "" };
        self.describe(format!("{PREFIX}_{name}{suffix}"), help, metric);
        self.registry.register(name, help, metric.clone());
    }

    pub(super) fn add_with_unit<M: Metric + Clone>(&mut self, name: &str, help: &'static str, unit: Unit, metric: &M) {
        self.describe(format!("{PREFIX}_{name}_{}", unit.as_str()), help, metric);
        self.registry.register_with_unit(name, help, unit, metric.clone());
    }

    /// What is known when the program is built.
    pub(super) fn add_info(&mut self, name: &str, help: &'static str, facts: [(&'static str, &'static str); 2]) {
        let info = Info::new(facts);
        self.describe(format!("{PREFIX}_{name}_info"), help, &info);
        self.registry.register(name, help, info);
    }

    fn describe(&mut self, name: String, help: &'static str, metric: &impl Metric) {
        let kind = metric.metric_type().as_str().to_owned();
        let labels = std::mem::take(&mut self.labels);
        self.descriptions.push(Description { name, kind, labels, help });
    }
}
