//! What is measured: one struct, labels from closed sets, so that no client can make the process grow.

mod connections;
mod labels;
mod registrar;

use std::sync::OnceLock;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use self::connections::ConnectionMetrics;
pub use self::labels::{
    ActionLabel, ClosedLabel, ControllerLabel, FindingLabels, LoadLabel, RefusalLabels, RestartLabels, ResultLabel,
    ReviewLabels, RuleLabel, StepLabels, WebhookLabel,
};
use self::labels::{DecisionLabel, OperationLabel, Subresource};
pub use self::registrar::Description;
use self::registrar::Registrar;
use crate::core::admission::review::Webhook;
use crate::core::admission::rule::Rule;

/// Stands before each metric's name.
pub const PREFIX: &str = "session_webhook";

/// Seconds, from 0.1 ms, a small review, to 30 s, the longest that an API server waits.
const BUCKETS: [f64; 17] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

/// All metrics of the process. Cheap to clone parts of; share the whole in an `Arc`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    descriptions: Vec<Description>,
    /// Reviews that got a verdict.
    pub reviews: Family<ReviewLabels, Counter>,
    /// Each of those that were counted so far, by [`ReviewLabels::index`].
    review_counters: Box<[OnceLock<Counter>]>,
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
    /// 1 while newer certificate files are not served because they cannot be used.
    pub certificate_refused: Gauge,
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
    /// 1 where the backfill is switched on.
    pub backfill_enabled: Gauge,
    /// 1 while this replica is the one that writes.
    pub backfill_leading: Gauge,
    /// 1 while nothing is written, because Sessions are served in a version besides v1.
    pub backfill_suspended: Gauge,
    /// Sessions that wait to grow old enough, or for another attempt.
    pub backfill_waiting: Gauge,
    /// Interruptions of the watch on Sessions.
    pub backfill_watch_errors: Counter,
    /// What the last audit found, by kind; nothing in replicas that do not look.
    pub audit_findings: Family<FindingLabels, Gauge>,
    /// Sessions that the last audit judged.
    pub audit_sessions: Gauge,
    /// When the last audit ended, seconds since 1970.
    pub audit_ended: Gauge,
    /// Audits that came to nothing.
    pub audit_errors: Counter,
    /// 1 while the last audit came to nothing.
    pub audit_failing: Gauge,
    /// When a controller that works has last got on, seconds since 1970; nothing where it does not work.
    pub controller_progress: Family<ControllerLabel, Gauge>,
    /// Controllers that were started anew, by why.
    pub controller_restarts: Family<RestartLabels, Counter>,
    /// Lines of the log that were lost because nobody read it; brought up to date when metrics are asked for.
    pub log_lines_lost: Counter,
    /// Requests being worked on.
    pub requests_in_flight: Gauge,
    /// Those of them whose body is there, and which count against `--max-requests-in-flight`.
    pub decisions_in_flight: Gauge,
    /// What their bodies are charged with, bytes.
    pub bytes_in_flight: Gauge,
}

impl Metrics {
    /// Metrics that stand at zero; `build_info` tells `version` and `commit`.
    #[expect(clippy::too_many_lines, reason = "a list: each metric with its help")]
    pub fn new(version: &'static str, commit: &'static str) -> Self {
        let mut r = Registrar::new();

        let reviews = r
            .by(&["webhook", "operation", "subresource", "rule", "decision"])
            .make("reviews", "Reviews that got a verdict");
        let duration = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        r.by(&["webhook"]).add_with_unit("review_duration", "Time from headers to answer", Unit::Seconds, &duration);
        let durations = Webhook::ALL.map(|webhook| duration.get_or_create_owned(&WebhookLabel { webhook }));
        let refused = r.by(&["code", "reason"]).make("requests_refused", "Requests that got no verdict");
        let broken_invariants =
            r.by(&["rule"]).make("invariants_broken", "Broken invariants that were let pass with a warning");
        let panics =
            r.make("panics", "Panics that were caught: a request is answered with 500, a controller is started anew");
        let certificate_not_before = r.make_with_unit(
            "tls_certificate_not_before",
            "Start of the served certificate's life, since 1970",
            Unit::Seconds,
        );
        let certificate_not_after = r.make_with_unit(
            "tls_certificate_not_after",
            "End of the served certificate's life, since 1970",
            Unit::Seconds,
        );
        let certificate_loads =
            r.by(&["result"]).make("tls_reloads", "Looks at new certificate files, by what came of them");
        let certificate_refused =
            r.make("tls_files_refused", "1 while newer certificate files are not served because they cannot be used");
        let connections = r.make("connections", "Open connections to the webhooks");
        let connections_closed = r.by(&["reason"]).make("connections_closed", "Connections that were closed, by why");
        let connections_refused =
            r.make("connections_refused", "Connections closed at once because all others were busy");
        let accept_errors = r.make("accept_errors", "Errors of the operating system when taking a connection");
        let authority_not_after = r.make_with_unit(
            "tls_authority_not_after",
            "End of the self-managed authority's life, since 1970",
            Unit::Seconds,
        );
        let authority_steps = r
            .by(&["step", "result"])
            .make("tls_self_managed_steps", "What was done about the self-managed certificate");
        let backfill_sessions =
            r.by(&["result"]).make("backfill_sessions", "Sessions without usable times, by what came of their repair");
        let backfill_unparsable =
            r.by(&["action"]).make("backfill_unparsable_times", "Times that nobody can read, by what became of them");
        let backfill_enabled = r.make("backfill_enabled", "1 where the repair of stored Sessions is switched on");
        let backfill_leading =
            r.make("backfill_leading", "1 while this replica is the one that repairs stored Sessions");
        let backfill_suspended = r.make(
            "backfill_suspended",
            "1 while nothing is written, because Sessions are served in a version besides v1",
        );
        let backfill_waiting = r.make("backfill_waiting_sessions", "Sessions that wait for their repair");
        let backfill_watch_errors = r.make("backfill_watch_errors", "Interruptions of the watch on Sessions");
        let audit_findings =
            r.by(&["finding", "severity"]).make("audit_findings", "What the last audit found, by kind");
        let audit_sessions = r.make("audit_sessions", "Sessions that the last audit judged");
        let audit_ended = r.make_with_unit("audit_ended", "When the last audit ended, since 1970", Unit::Seconds);
        let audit_errors = r.make("audit_errors", "Audits that came to nothing");
        let audit_failing = r.make("audit_failing", "1 while the last audit of this replica came to nothing");
        let controller_progress = r.by(&["controller"]).make_with_unit(
            "controller_progress",
            "When a controller that works in this replica has last got on, since 1970",
            Unit::Seconds,
        );
        let controller_restarts = r
            .by(&["controller", "reason"])
            .make("controller_restarts", "Controllers that panicked, ended or stalled and were started anew");
        let log_lines_lost = r.make("log_lines_lost", "Lines of the log that were lost because nobody read it");
        let requests_in_flight = r.make("in_flight_requests", "Requests whose body is arriving or being decided");
        let decisions_in_flight = r.make("in_flight_decisions", "Requests being decided");
        let bytes_in_flight =
            r.make_with_unit("in_flight", "What the bodies of requests in flight are charged with", Unit::Bytes);

        r.by(&["version", "commit"]).add_info("build", "What runs", [("version", version), ("commit", commit)]);

        let metrics = Self {
            registry: r.registry,
            descriptions: r.descriptions,
            reviews,
            review_counters: (0..ReviewLabels::COUNT).map(|_| OnceLock::new()).collect(),
            duration,
            durations,
            refused,
            broken_invariants,
            panics,
            certificate_not_before,
            certificate_not_after,
            certificate_loads,
            certificate_refused,
            connections,
            connections_closed,
            connections_refused,
            accept_errors,
            authority_not_after,
            authority_steps,
            backfill_sessions,
            backfill_unparsable,
            backfill_enabled,
            backfill_leading,
            backfill_suspended,
            backfill_waiting,
            backfill_watch_errors,
            audit_findings,
            audit_sessions,
            audit_ended,
            audit_errors,
            audit_failing,
            controller_progress,
            controller_restarts,
            log_lines_lost,
            requests_in_flight,
            decisions_in_flight,
            bytes_in_flight,
        };
        metrics.start_at_zero();
        metrics
    }

    /// A counter that first appears with its first event has not grown since, as far as Prometheus can tell: refusals of
    /// manual writes are there from the start.
    fn start_at_zero(&self) {
        let (create, update) = (OperationLabel::Create, OperationLabel::Update);
        let refusals = [
            (create, Subresource::None, Rule::ManualCreate),
            (update, Subresource::None, Rule::ManualEdit),
            (update, Subresource::Status, Rule::ManualStatusEdit),
            (create, Subresource::None, Rule::Impersonation),
            (update, Subresource::None, Rule::Impersonation),
            (update, Subresource::Status, Rule::Impersonation),
        ];
        for (operation, subresource, rule) in refusals {
            let (webhook, decision) = (Webhook::Validate, DecisionLabel::Deny);
            let labels = ReviewLabels { webhook, operation, subresource, rule, decision };
            drop(self.reviews.get_or_create(&labels));
        }
    }

    /// Counts one of [`Metrics::reviews`], without looking for its counter but for the first time.
    pub fn count_review(&self, labels: &ReviewLabels) {
        let counter = || self.reviews.get_or_create_owned(labels);
        match self.review_counters.get(labels.index()) {
            Some(known) => known.get_or_init(counter).inc(),
            None => counter().inc(),
        };
    }

    /// The part of [`Metrics::duration`] that is this webhook's, without looking for it.
    pub fn duration_of(&self, webhook: Webhook) -> &Histogram {
        let [mutate, validate] = &self.durations;
        match webhook {
            Webhook::Mutate => mutate,
            Webhook::Validate => validate,
        }
    }

    /// What there is to say about each metric.
    pub fn descriptions(&self) -> &[Description] {
        &self.descriptions
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
    use std::collections::BTreeSet;

    use super::labels::{DecisionLabel, OperationLabel, Subresource};
    use super::{
        ActionLabel, ClosedLabel, ControllerLabel, Description, FindingLabels, LoadLabel, Metrics, RefusalLabels,
        RestartLabels, ResultLabel, ReviewLabels, RuleLabel, StepLabels, WebhookLabel,
    };
    use crate::core::admission::decision::Verdict;
    use crate::core::admission::review::{Review, Webhook};
    use crate::core::admission::rule::Rule;
    use crate::core::stored::finding::FindingKind;

    #[test]
    fn each_name_is_in_the_text() {
        let metrics = Metrics::new("1.2.3", "abc");
        // A metric with labels is told once it has a value.
        let review =
            br#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"operation":"CREATE"}}"#;
        let review = Review::parse(review).unwrap();
        let labels = ReviewLabels::new(Webhook::Mutate, &review, Rule::HobbyFarm, &Verdict::Allow);
        metrics.count_review(&labels);
        metrics.duration.get_or_create(&WebhookLabel { webhook: Webhook::Mutate }).observe(0.003);
        metrics.refused.get_or_create(&RefusalLabels { code: 404, reason: "unknown-path" }).inc();
        metrics.broken_invariants.get_or_create(&RuleLabel { rule: Rule::StartMoved }).inc();
        metrics.certificate_loads.get_or_create(&LoadLabel { result: "loaded" }).inc();
        metrics.connections_closed.get_or_create(&ClosedLabel { reason: "idle" }).inc();
        metrics.authority_steps.get_or_create(&StepLabels { step: "bootstrap", result: "done" }).inc();
        metrics.backfill_sessions.get_or_create(&ResultLabel { result: "repaired" }).inc();
        metrics.backfill_unparsable.get_or_create(&ActionLabel { action: "replaced" }).inc();
        metrics.controller_progress.get_or_create(&ControllerLabel { controller: "backfill" }).set(1);
        let restarts = RestartLabels { controller: "backfill", reason: "panicked" };
        metrics.controller_restarts.get_or_create(&restarts).inc();
        let labels = FindingLabels { finding: FindingKind::MissingTime, severity: "error" };
        metrics.audit_findings.get_or_create(&labels).set(1);
        let text = metrics.encode();
        for Description { name, kind, labels, help } in metrics.descriptions() {
            let family = name.trim_end_matches("_total").trim_end_matches("_info");
            assert!(text.contains(&format!("# TYPE {family} {kind}\n")), "{name} is missing in {text}");
            assert!(text.contains(&format!("# HELP {family} {help}.\n")), "{name} is missing in {text}");
            let series: Vec<_> =
                text.lines().filter(|line| line.strip_prefix(name.as_str()).is_some_and(is_series)).collect();
            assert!(!series.is_empty(), "{name}: {text}");
            for line in series {
                assert_eq!(label_names(line), *labels, "{line}");
            }
        }
        let families = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(families, metrics.descriptions().len(), "a metric without its description");
        assert!(text.contains(r#"session_webhook_build_info{version="1.2.3",commit="abc"} 1"#), "{text}");
        assert!(text.contains(r#"review_duration_seconds_bucket{le="0.005",webhook="mutate"} 1"#), "{text}");
    }

    #[test]
    fn each_set_of_values_has_a_counter_of_its_own() {
        let metrics = Metrics::new("", "");
        let mut indices = BTreeSet::new();
        for webhook in Webhook::ALL {
            for &operation in OperationLabel::ALL {
                for &subresource in Subresource::ALL {
                    for &rule in Rule::ALL {
                        for &decision in DecisionLabel::ALL {
                            let labels = ReviewLabels { webhook, operation, subresource, rule, decision };
                            indices.insert(labels.index());
                            metrics.count_review(&labels);
                            assert_eq!(metrics.reviews.get_or_create(&labels).get(), 1, "{labels:?}");
                        }
                    }
                }
            }
        }
        assert_eq!(indices, (0..ReviewLabels::COUNT).collect());
    }

    /// Whether this stands behind a metric's name in a line about it.
    fn is_series(rest: &str) -> bool {
        ["", "_count", "_sum", "_bucket"]
            .iter()
            .any(|part| rest.strip_prefix(part).is_some_and(|r| r.starts_with([' ', '{'])))
    }

    /// The names of the labels, but for a histogram's own.
    fn label_names(series: &str) -> Vec<&str> {
        let Some((_, labels)) = series.split_once('{') else { return Vec::new() };
        let names = labels.split("\",").map(|label| label.split_once('=').unwrap().0);
        names.filter(|name| *name != "le").collect()
    }

    #[test]
    fn refusals_of_a_writer_are_there_before_the_first() {
        let text = Metrics::new("", "").encode();
        for rule in Rule::ALL.iter().filter(|rule| rule.is_manual()) {
            assert!(text.contains(&format!("rule=\"{rule}\"")), "start_at_zero has no {rule}");
        }
    }

    #[test]
    fn refusals_are_counted_by_code_and_reason() {
        let metrics = Metrics::new("", "");
        metrics.refused.get_or_create(&RefusalLabels { code: 400, reason: "unreadable" }).inc();
        assert!(metrics.encode().contains(r#"requests_refused_total{code="400",reason="unreadable"} 1"#));
    }
}
