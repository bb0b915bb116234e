//! A line of the log as a JSON object that clusters' collectors file rightly.
//!
//! `severity` is what Google's collector reads; `level` is what others do. Our own fields stand under one key: Elastic's schema has
//! `user`, `error` and others as objects, and drops a line in which they are texts.

use std::fmt::{self, Write};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// The key of all facts.
pub(super) const FIELDS_KEY: &str = "session_webhook";

/// One object a line.
pub(super) struct Format;

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut facts = LogFields { message: String::new(), others: String::new() };
        event.record(&mut facts);
        let metadata = event.metadata();
        writer.write_str(r#"{"timestamp":""#)?;
        SystemTime.format_time(&mut writer)?;
        let (level, severity) = (metadata.level(), severity(*metadata.level()));
        write!(writer, r#"","severity":"{severity}","level":"{level}","message":"#)?;
        write_text(&mut writer, &facts.message)?;
        writer.write_str(r#","target":"#)?;
        write_text(&mut writer, metadata.target())?;
        if !facts.others.is_empty() {
            write!(writer, r#","{FIELDS_KEY}":{{{}}}"#, facts.others)?;
        }
        writer.write_str("}\n")
    }
}

/// Spans are traced and not logged.
pub(super) struct NoFields;

impl FormatFields<'_> for NoFields {
    fn format_fields<R: RecordFields>(&self, _: Writer<'_>, _: R) -> fmt::Result {
        Ok(())
    }
}

/// As Google Cloud's `LogSeverity` calls it.
const fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    }
}

fn write_text(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?)
}

/// The message, and the members of the object of facts.
struct LogFields {
    message: String,
    others: String,
}

impl LogFields {
    fn add(&mut self, field: &Field, value: impl serde::Serialize) {
        let Ok(value) = serde_json::to_string(&value) else { return };
        if !self.others.is_empty() {
            self.others.push(',');
        }
        // A field's name is an identifier.
        let _ = write!(self.others, r#""{}":{value}"#, field.name());
    }
}

impl Visit for LogFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" { value.clone_into(&mut self.message) } else { self.add(field, value) }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.add(field, text) }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::super::captured::Captured;
    use super::{Format, NoFields};

    fn line(log: impl FnOnce()) -> Value {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .event_format(Format)
            .fmt_fields(NoFields)
            .with_writer(move || writer.clone())
            .finish();
        with_default(subscriber, log);
        serde_json::from_str(&captured.text()).unwrap()
    }

    #[test]
    fn all_facts_stand_under_one_key() {
        let user = "eve\n\"\u{1b}";
        let line = line(|| tracing::warn!(user, error = %"no", count = 3_u64, dry_run = false, "request refused"));
        assert_eq!(line["message"], "request refused");
        assert_eq!(line["session_webhook"], json!({"user": user, "error": "no", "count": 3, "dry_run": false}));
        // Objects in Elastic's schema, and texts here: each such line would be dropped.
        for field in ["user", "error", "event", "host", "service", "log", "process", "source", "url"] {
            assert_eq!(line.get(field), None, "{line}");
        }
    }

    #[rstest]
    #[case::error(|| tracing::error!("x"), "ERROR", "ERROR")]
    #[case::warn(|| tracing::warn!("x"), "WARN", "WARNING")]
    #[case::info(|| tracing::info!("x"), "INFO", "INFO")]
    #[case::debug(|| tracing::debug!("x"), "DEBUG", "DEBUG")]
    #[case::trace(|| tracing::trace!("x"), "TRACE", "DEBUG")]
    fn a_line_has_the_severity_of_its_level(#[case] log: fn(), #[case] level: &str, #[case] severity: &str) {
        let line = line(log);
        assert_eq!((&line["level"], &line["severity"]), (&json!(level), &json!(severity)));
    }
}
