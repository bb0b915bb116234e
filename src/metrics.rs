//! What is measured: one struct, labels from closed sets, so that no client can make the process grow.

use std::fmt;

use kube::core::admission::Operation;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::core::policy::Verdict;
use crate::core::review::{Review, Webhook};
use crate::core::rule::Rule;

/// Stands before each metric's name.
pub const PREFIX: &str = "session_webhook";

/// Seconds, from 0.1 ms, a small review, to 30 s, the longest that an API server waits.
const BUCKETS: [f64; 17] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// All metrics of the process. Cheap to clone parts of; share the whole in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    names: Vec<String>,
    /// Reviews that got a verdict.
    pub reviews: Family<ReviewLabels, Counter>,
    /// Seconds from a request's headers to its answer, a refusal included.
    pub duration: Family<WebhookLabel, Histogram, fn() -> Histogram>,
    durations: [Histogram; 2],
    /// Requests that got no verdict.
    pub refused: Family<RefusalLabels, Counter>,
    /// Broken invariants that were let pass with a warning.
    pub broken_invariants: Family<RuleLabel, Counter>,
    /// Panics that were caught and answered with 500.
    pub panics: Counter,
    /// Start of the served certificate's life, seconds since 1970.
    pub certificate_not_before: Gauge,
    /// End of the served certificate's life, seconds since 1970.
    pub certificate_not_after: Gauge,
    /// Looks at changed certificate files, by what came of them.
    pub certificate_loads: Family<LoadLabel, Counter>,
    /// Open connections to the webhooks.
    pub connections: Gauge,
    /// Connections that were closed, by why.
    pub connections_closed: Family<ClosedLabel, Counter>,
    /// Connections that found no place.
    pub connections_refused: Counter,
    /// Errors of the operating system when taking a connection.
    pub accept_errors: Counter,
    /// End of the self-managed authority's life, seconds since 1970; 0 where there is none.
    pub authority_not_after: Gauge,
    /// What was done about the self-managed certificate.
    pub authority_steps: Family<StepLabels, Counter>,
    /// Sessions that the backfill wrote, or tried to, by what came of it.
    pub backfill_sessions: Family<ResultLabel, Counter>,
    /// Times that nobody can read, by what became of them.
    pub backfill_unparsable: Family<ActionLabel, Counter>,
    /// 1 while this replica is the one that writes.
    pub backfill_leading: Gauge,
    /// Sessions that wait to grow old enough, or for another attempt.
    pub backfill_waiting: Gauge,
    /// Interruptions of the watch on Sessions.
    pub backfill_watch_errors: Counter,
    /// Requests being worked on.
    pub requests_in_flight: Gauge,
    /// Those of them whose body is there, and which count against `--max-requests-in-flight`.
    pub decisions_in_flight: Gauge,
    /// What their bodies are charged with, bytes.
    pub bytes_in_flight: Gauge,
}

/// Labels of [`Metrics::reviews`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    webhook: Webhook,
    operation: OperationLabel,
    subresource: Subresource,
    rule: Rule,
    decision: DecisionLabel,
}

impl ReviewLabels {
    /// The labels of one decided request. `decision` is what the policy says, in all modes.
    pub fn new(webhook: Webhook, review: &Review<'_>, rule: Rule, verdict: &Verdict) -> Self {
        let operation = match review.operation {
            Operation::Create => OperationLabel::Create,
            Operation::Update => OperationLabel::Update,
            Operation::Delete => OperationLabel::Delete,
            Operation::Connect => OperationLabel::Connect,
        };
        let subresource = match &*review.sub_resource {
            "" => Subresource::None,
            _ if review.is_status() => Subresource::Status,
            _ => Subresource::Other,
        };
        let decision = match verdict {
            Verdict::Allow => DecisionLabel::Allow,
            Verdict::Deny(_) => DecisionLabel::Deny,
        };
        Self { webhook, operation, subresource, rule, decision }
    }
}

/// Label of [`Metrics::duration`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct WebhookLabel {
    /// `mutate` or `validate`.
    pub webhook: Webhook,
}

/// Labels of [`Metrics::refused`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RefusalLabels {
    /// HTTP status code.
    pub code: u16,
    /// One word for why.
    pub reason: &'static str,
}

/// Label of [`Metrics::broken_invariants`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RuleLabel {
    /// The invariant.
    pub rule: Rule,
}

/// Label of [`Metrics::certificate_loads`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LoadLabel {
    /// `loaded`, or why the last good pair was kept.
    pub result: &'static str,
}

/// Label of [`Metrics::connections_closed`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ClosedLabel {
    /// One word for why.
    pub reason: &'static str,
}

/// Labels of [`Metrics::authority_steps`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StepLabels {
    /// What was done, `repair-bundle` for example.
    pub step: &'static str,
    /// `done`, `outrun` by another replica, or `failed`.
    pub result: &'static str,
}

/// Label of [`Metrics::backfill_sessions`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResultLabel {
    /// `repaired`, `outrun` by another writer, or `failed`.
    pub result: &'static str,
}

/// Label of [`Metrics::backfill_unparsable`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ActionLabel {
    /// `replaced` or `kept`.
    pub action: &'static str,
}

/// Declares a closed set of label values.
macro_rules! label {
    ($name:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        enum $name {
            $($variant),+
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => $text.encode(encoder)),+
                }
            }
        }
    };
}

label!(OperationLabel { Create = "CREATE", Update = "UPDATE", Delete = "DELETE", Connect = "CONNECT" });
label!(Subresource { None = "", Status = "status", Other = "other" });
label!(DecisionLabel { Allow = "allow", Deny = "deny" });

impl EncodeLabelValue for Rule {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

impl EncodeLabelValue for Webhook {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        self.name().encode(encoder)
    }
}

/// Registers metrics and remembers their names as Prometheus sees them.
struct Registrar {
    registry: Registry,
    names: Vec<String>,
}

impl Registrar {
    fn add<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: &M) {
        let suffix = match metric.metric_type() {
            prometheus_client::metrics::MetricType::Counter => "_total",
            _ => "",
        };
        self.names.push(format!("{PREFIX}_{name}{suffix}"));
        self.registry.register(name, help, metric.clone());
    }

    fn add_with_unit<M: Metric + Clone>(&mut self, name: &str, help: &str, unit: Unit, metric: &M) {
        self.names.push(format!("{PREFIX}_{name}_{}", unit.as_str()));
        self.registry.register_with_unit(name, help, unit, metric.clone());
    }
}

impl Metrics {
    /// Metrics that stand at zero; `build_info` tells `version` and `commit`.
    pub fn new(version: &'static str, commit: &'static str) -> Self {
        let mut r = Registrar { registry: Registry::with_prefix(PREFIX), names: Vec::new() };

        let reviews = Family::default();
        r.add("reviews", "Reviews that got a verdict", &reviews);
        let duration = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        r.add_with_unit("review_duration", "Time from headers to answer", Unit::Seconds, &duration);
        let durations = Webhook::ALL.map(|webhook| duration.get_or_create_owned(&WebhookLabel { webhook }));
        let refused = Family::default();
        r.add("requests_refused", "Requests that got no verdict", &refused);
        let broken_invariants = Family::default();
        r.add("invariants_broken", "Broken invariants that were let pass with a warning", &broken_invariants);
        let panics = Counter::default();
        r.add("panics", "Panics that were caught and answered with 500", &panics);
        let certificate_not_before = Gauge::default();
        let help = "Start of the served certificate's life, since 1970";
        r.add_with_unit("tls_certificate_not_before", help, Unit::Seconds, &certificate_not_before);
        let certificate_not_after = Gauge::default();
        let help = "End of the served certificate's life, since 1970";
        r.add_with_unit("tls_certificate_not_after", help, Unit::Seconds, &certificate_not_after);
        let certificate_loads = Family::default();
        r.add("tls_reloads", "Looks at new certificate files, by what came of them", &certificate_loads);
        let connections = Gauge::default();
        r.add("connections", "Open connections to the webhooks", &connections);
        let connections_closed = Family::default();
        r.add("connections_closed", "Connections that were closed, by why", &connections_closed);
        let connections_refused = Counter::default();
        r.add("connections_refused", "Connections closed at once because all others were busy", &connections_refused);
        let accept_errors = Counter::default();
        r.add("accept_errors", "Errors of the operating system when taking a connection", &accept_errors);
        let authority_not_after = Gauge::default();
        let help = "End of the self-managed authority's life, since 1970";
        r.add_with_unit("tls_authority_not_after", help, Unit::Seconds, &authority_not_after);
        let authority_steps = Family::default();
        r.add("tls_self_managed_steps", "What was done about the self-managed certificate", &authority_steps);
        let backfill_sessions = Family::default();
        r.add("backfill_sessions", "Sessions without usable times, by what came of their repair", &backfill_sessions);
        let backfill_unparsable = Family::default();
        r.add("backfill_unparsable_times", "Times that nobody can read, by what became of them", &backfill_unparsable);
        let backfill_leading = Gauge::default();
        r.add("backfill_leading", "1 while this replica is the one that repairs stored Sessions", &backfill_leading);
        let backfill_waiting = Gauge::default();
        r.add("backfill_waiting_sessions", "Sessions that wait for their repair", &backfill_waiting);
        let backfill_watch_errors = Counter::default();
        r.add("backfill_watch_errors", "Interruptions of the watch on Sessions", &backfill_watch_errors);
        let requests_in_flight = Gauge::default();
        r.add("in_flight_requests", "Requests whose body is arriving or being decided", &requests_in_flight);
        let decisions_in_flight = Gauge::default();
        r.add("in_flight_decisions", "Requests being decided", &decisions_in_flight);
        let bytes_in_flight = Gauge::default();
        r.add_with_unit(
            "in_flight",
            "What the bodies of requests in flight are charged with",
            Unit::Bytes,
            &bytes_in_flight,
        );

        r.names.push(format!("{PREFIX}_build_info"));
        r.registry.register("build", "What runs", Info::new([("version", version), ("commit", commit)]));

        Self {
            registry: r.registry,
            names: r.names,
            reviews,
            duration,
            durations,
            refused,
            broken_invariants,
            panics,
            certificate_not_before,
            certificate_not_after,
            certificate_loads,
            connections,
            connections_closed,
            connections_refused,
            accept_errors,
            authority_not_after,
            authority_steps,
            backfill_sessions,
            backfill_unparsable,
            backfill_leading,
            backfill_waiting,
            backfill_watch_errors,
            requests_in_flight,
            decisions_in_flight,
            bytes_in_flight,
        }
    }

    /// The part of [`Metrics::duration`] that is this webhook's, without looking for it.
    pub fn duration_of(&self, webhook: Webhook) -> &Histogram {
        let [mutate, validate] = &self.durations;
        match webhook {
            Webhook::Mutate => mutate,
            Webhook::Validate => validate,
        }
    }

    /// The names of all metrics, as Prometheus sees them (a histogram without its `_bucket`, `_sum` and `_count`).
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The OpenMetrics text of all metrics.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// Content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::{
        ActionLabel, ClosedLabel, LoadLabel, Metrics, RefusalLabels, ResultLabel, ReviewLabels, RuleLabel, StepLabels,
        WebhookLabel,
    };
    use crate::core::policy::Verdict;
    use crate::core::review::{Review, Webhook};
    use crate::core::rule::Rule;

    #[test]
    fn each_name_is_in_the_text() {
        let metrics = Metrics::new("1.2.3", "abc");
        // A metric with labels is told once it has a value.
        let review =
            br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"operation":"CREATE"}}"#;
        let review = Review::parse(review).unwrap();
        let labels = ReviewLabels::new(Webhook::Mutate, &review, Rule::HobbyFarm, &Verdict::Allow);
        metrics.reviews.get_or_create(&labels).inc();
        metrics.duration.get_or_create(&WebhookLabel { webhook: Webhook::Mutate }).observe(0.003);
        metrics.refused.get_or_create(&RefusalLabels { code: 404, reason: "unknown-path" }).inc();
        metrics.broken_invariants.get_or_create(&RuleLabel { rule: Rule::StartMoved }).inc();
        metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        metrics.connections_closed.get_or_create(&ClosedLabel { reason: "idle" }).inc();
        metrics.authority_steps.get_or_create(&StepLabels { step: "bootstrap", result: "done" }).inc();
        metrics.backfill_sessions.get_or_create(&ResultLabel { result: "repaired" }).inc();
        metrics.backfill_unparsable.get_or_create(&ActionLabel { action: "replaced" }).inc();
        let text = metrics.encode();
        for name in metrics.names() {
            let family = name.trim_end_matches("_total").trim_end_matches("_info");
            assert!(text.contains(&format!("# TYPE {family} ")), "{name} is missing in {text}");
        }
        assert!(text.contains(r#"session_webhook_build_info{version="1.2.3",commit="abc"} 1"#), "{text}");
        assert!(text.contains(r#"review_duration_seconds_bucket{le="0.005",webhook="mutate"} 1"#), "{text}");
    }

    #[test]
    fn refusals_are_counted_by_code_and_reason() {
        let metrics = Metrics::new("", "");
        metrics.refused.get_or_create(&RefusalLabels { code: 400, reason: "unreadable" }).inc();
        assert!(metrics.encode().contains(r#"requests_refused_total{code="400",reason="unreadable"} 1"#));
    }
}
