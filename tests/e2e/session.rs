//! Sessions in each of the forms in which HobbyFarm's resource is found.

use std::fmt;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value, json};
use session_webhook::core::settings;

use crate::writer::HOBBYFARM;

/// The shape of a Session; see the two files of `tests/crds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Documented,
    Gargantua,
}

impl Dialect {
    /// The same for the program.
    pub(crate) const fn as_configured(self) -> settings::Dialect {
        match self {
            Self::Documented => settings::Dialect::Documented,
            Self::Gargantua => settings::Dialect::Gargantua,
        }
    }
}

/// One form of HobbyFarm's resource.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) dialect: Dialect,
    /// Whether status is written through a subresource of its own.
    pub(crate) status_subresource: bool,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialect = match self.dialect {
            Dialect::Documented => "documented",
            Dialect::Gargantua => "gargantua",
        };
        write!(f, "{dialect}, {}", if self.status_subresource { "status subresource" } else { "no status subresource" })
    }
}

impl Form {
    /// All forms. The dialects alternate last, so that each step between two neighbours changes as little as possible.
    pub(crate) const ALL: [Self; 4] = [
        Self { dialect: Dialect::Gargantua, status_subresource: true },
        Self { dialect: Dialect::Gargantua, status_subresource: false },
        Self { dialect: Dialect::Documented, status_subresource: false },
        Self { dialect: Dialect::Documented, status_subresource: true },
    ];

    /// The definition of this form.
    pub(crate) fn crd(self) -> Value {
        let text = match self.dialect {
            Dialect::Documented => include_str!("../crds/documented.yaml"),
            Dialect::Gargantua => include_str!("../crds/gargantua.yaml"),
        };
        let mut crd: Value = serde_saphyr::from_str(text).unwrap();
        if !self.status_subresource {
            crd["spec"]["versions"][0].as_object_mut().unwrap().remove("subresources");
        }
        crd
    }

    /// A flag as this dialect writes it.
    pub(crate) fn flag(self, value: bool) -> Value {
        match self.dialect {
            Dialect::Documented => Value::from(value.to_string()),
            Dialect::Gargantua => Value::from(value),
        }
    }

    /// The name of the pause time.
    pub(crate) fn pause_key(self) -> &'static str {
        match self.dialect {
            Dialect::Documented => "pause_time",
            Dialect::Gargantua => "paused_time",
        }
    }

    /// A Session without status.
    pub(crate) fn session(self, name: &str) -> Value {
        let (vm_claim, keep_course_vm) = match self.dialect {
            Dialect::Documented => (json!("vmc-1"), json!("true")),
            Dialect::Gargantua => (json!(["vmc-1"]), json!(true)),
        };
        json!({
            "apiVersion": "hobbyfarm.io/v1",
            "kind": "Session",
            "metadata": {"name": name, "namespace": HOBBYFARM, "labels": {"hobbyfarm.io/user": "u-1"}},
            "spec": {
                "scenario": "s-1", "course": "c-1", "user": "u-1", "access_code": "ac-secret",
                "vm_claim": vm_claim, "keep_course_vm": keep_course_vm,
            },
        })
    }

    /// Status as this dialect writes it.
    pub(crate) fn status(self, paused: bool, pause: &str, active: bool, finished: bool, times: [&str; 2]) -> Value {
        let [start, end] = times;
        let mut status = Map::new();
        status.insert("paused".to_owned(), self.flag(paused));
        status.insert(self.pause_key().to_owned(), Value::from(pause));
        status.insert("active".to_owned(), self.flag(active));
        status.insert("finished".to_owned(), self.flag(finished));
        status.insert("start_time".to_owned(), Value::from(start));
        status.insert("end_time".to_owned(), Value::from(end));
        Value::Object(status)
    }

    /// The status that HobbyFarm's typed client sends with a new Session: everything is there and nothing is set.
    pub(crate) fn zero_status(self) -> Value {
        self.status(false, "", false, false, ["", ""])
    }

    /// A time as HobbyFarm writes it in this dialect: `time.UnixDate` or `Time.String()`.
    pub(crate) fn time(self, at: Timestamp) -> String {
        let at = at.to_zoned(TimeZone::UTC);
        match self.dialect {
            Dialect::Gargantua => at.strftime("%a %b %e %H:%M:%S UTC %Y").to_string(),
            Dialect::Documented => at.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        }
    }

    /// Reads a time as HobbyFarm's controller does: in this dialect's layout, and in no other.
    pub(crate) fn parse_time(self, text: &Value) -> Timestamp {
        let text = text.as_str().unwrap_or_else(|| panic!("{text} is no string"));
        let parsed = match self.dialect {
            Dialect::Gargantua => strtime::parse("%a %b %e %H:%M:%S UTC %Y", text)
                .and_then(|time| time.to_datetime()?.to_zoned(TimeZone::UTC)),
            Dialect::Documented => {
                let (time, _zone) = text.rsplit_once(' ').unwrap_or_else(|| panic!("{text:?} names no zone"));
                Zoned::strptime("%Y-%m-%d %H:%M:%S%.f %z", time)
            }
        };
        let parsed = parsed.unwrap_or_else(|error| panic!("{self}: HobbyFarm cannot read {text:?}: {error}"));
        parsed.timestamp()
    }
}
