//! Events on the Sessions that the backfill changed or could not read.

use kube::api::ApiResource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Client, Resource};
use serde_json::Value;

use crate::cluster::client::{FIELD_MANAGER, describe};
use crate::cluster::sessions::StoredSession;
use crate::core::admission::normalize::Edit;
use crate::core::session::Field;
use crate::core::stored::backfill::RepairPlan;
use crate::core::text::quote;

/// Longest note that an API server takes.
const LONGEST_NOTE: usize = 1024;
/// Values in a note; times are shorter.
const LONGEST_VALUE: usize = 60;

pub(super) struct EventRecorder {
    recorder: Recorder,
    resource: ApiResource,
}

impl EventRecorder {
    pub(super) fn new(client: Client, resource: ApiResource, identity: String) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: Some(identity) };
        Self { recorder: Recorder::new(client, reporter), resource }
    }

    /// What was set, and what stood there before where nobody could read it.
    pub(super) async fn record_repair(&self, session: &StoredSession, plan: &RepairPlan) {
        for (field, before) in &plan.unparsable {
            if let Some(edit) = plan.edits.iter().find(|edit| edit.field == *field) {
                let (path, after) = (field.path(), value(edit));
                let note = format!("{path} {before} is no time that HobbyFarm can read; it is {after} now");
                self.publish(session, EventType::Warning, "UnreadableTimeReplaced", note).await;
            }
        }
        let is_told = |field: Field| plan.unparsable.iter().any(|(told, _)| *told == field);
        let set: Vec<_> = plan.edits.iter().filter(|edit| !is_told(edit.field)).map(assignment).collect();
        if !set.is_empty() {
            let note = format!("HobbyFarm could not have reclaimed this session; set {}", set.join(", "));
            self.publish(session, EventType::Normal, "TimesSet", note).await;
        }
    }

    /// What nobody can read, and stays.
    pub(super) async fn record_unreadable_time(&self, session: &StoredSession, plan: &RepairPlan) {
        let fields: Vec<_> = plan.unparsable.iter().map(|(field, value)| format!("{} {value}", field.path())).collect();
        let note = format!("{}: no time that HobbyFarm can read, so it never reclaims this session", fields.join(", "));
        self.publish(session, EventType::Warning, "UnreadableTime", note).await;
    }

    /// The Course or Scenario names a duration that HobbyFarm answers with an error.
    pub(super) async fn record_malformed_keep_alive(&self, session: &StoredSession, value: &str) {
        let note = format!(
            "keepalive_duration {value} of the session's course or scenario is no duration such as 5m or 1h30m; \
             HobbyFarm cannot keep sessions of it alive"
        );
        self.publish(session, EventType::Warning, "MalformedKeepAlive", note).await;
    }

    /// An Event that cannot be written is only logged: the Session counts.
    async fn publish(&self, session: &StoredSession, type_: EventType, reason: &str, mut note: String) {
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Backfill".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &session.object_ref(&self.resource)).await {
            tracing::warn!(reason, error = describe(&error), "no event could be written");
        }
    }
}

fn value(edit: &Edit) -> String {
    match &edit.value {
        Value::String(text) => quote(text, LONGEST_VALUE).to_string(),
        other => other.to_string(),
    }
}

fn assignment(edit: &Edit) -> String {
    format!("{} to {}", edit.field.path(), value(edit))
}
