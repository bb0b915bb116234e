//! What is counted of the connections of one listener.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::{ClosedLabel, Metrics};

/// Counts the connections of one listener. The default counts where nobody looks.
#[derive(Debug, Clone, Default)]
pub struct ConnectionMetrics {
    /// [`Metrics::connections`].
    pub open: Gauge,
    /// [`Metrics::connections_closed`].
    pub closed: Family<ClosedLabel, Counter>,
    /// [`Metrics::connections_refused`].
    pub refused: Counter,
    /// [`Metrics::accept_errors`].
    pub accept_errors: Counter,
}

impl Metrics {
    /// Those of the webhooks' listener.
    pub fn webhook_connections(&self) -> ConnectionMetrics {
        // From the start, or its first event would not be seen as one.
        drop(self.connections_closed.get_or_create(&ClosedLabel { reason: "distrusted" }));
        ConnectionMetrics {
            open: self.connections.clone(),
            closed: self.connections_closed.clone(),
            refused: self.connections_refused.clone(),
            accept_errors: self.accept_errors.clone(),
        }
    }

    /// Those of the ops listener: errors alone are told.
    pub fn ops_connections(&self) -> ConnectionMetrics {
        ConnectionMetrics { accept_errors: self.accept_errors.clone(), ..ConnectionMetrics::default() }
    }
}
