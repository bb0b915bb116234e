//! A view over a Session's raw JSON: what the policy looks at is read, the rest is only compared.

pub mod duration;
pub mod managed_fields;
pub mod raw_object;
pub mod schema;
pub mod timestamp;

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::core::session::raw_object::{BorrowedText, RawObject, Scalar, objects_equal, parse_bounded};
use crate::core::session::timestamp::Layout;
use crate::core::settings::Dialect;

impl<'de> Deserialize<'de> for Session<'de> {
    /// In one go, for a Session whose parts are objects, as far as it has them; see [`Session::read`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SessionVisitor;
        impl<'de> Visitor<'de> for SessionVisitor {
            type Value = Session<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut metadata, mut spec, mut status) = (None, None, None);
                let mut rest = RawObject::default();
                while let Some(BorrowedText(key)) = map.next_key()? {
                    match &*key {
                        "metadata" => metadata = map.next_value()?,
                        "spec" => spec = map.next_value()?,
                        "status" => status = map.next_value()?,
                        _ => rest.push(key, map.next_value()?)?,
                    }
                }
                rest.sort();
                Ok(Session {
                    metadata: metadata.unwrap_or_default(),
                    spec,
                    status: status.map_or(Status::Absent, Status::Object),
                    rest,
                })
            }
        }
        deserializer.deserialize_map(SessionVisitor)
    }
}

/// `status` as it stands in a Session.
#[derive(Debug, Clone)]
pub enum Status<'a> {
    /// Missing or `null`.
    Absent,
    /// An object.
    Object(RawObject<'a>),
    /// Something that is no object, which nobody can work with.
    Other,
}

impl<'a> Status<'a> {
    const fn object(&self) -> Option<&RawObject<'a>> {
        match self {
            Self::Object(members) => Some(members),
            Self::Absent | Self::Other => None,
        }
    }
}

/// The fields of `status` that this webhook knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The user has paused the session.
    Paused,
    /// The session is running.
    Active,
    /// The session is over.
    Finished,
    /// When it began.
    StartTime,
    /// When its machines may be reclaimed.
    EndTime,
    /// The documented dialect's pause time: when the user paused.
    PauseTime,
    /// The gargantua dialect's pause time: when the pause runs out.
    PausedTime,
}

impl Field {
    /// The three flags.
    pub const FLAGS: [Self; 3] = [Self::Paused, Self::Active, Self::Finished];

    /// The three times of a dialect.
    pub const fn times(dialect: Dialect) -> [Self; 3] {
        [Self::StartTime, Self::EndTime, Self::pause_time(dialect)]
    }

    /// The pause time of a dialect.
    pub const fn pause_time(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Documented => Self::PauseTime,
            Dialect::Gargantua => Self::PausedTime,
        }
    }

    /// Key in `status`, path in the object, pointer into it.
    const fn names(self) -> (&'static str, &'static str, &'static str) {
        macro_rules! names {
            ($key:literal) => {
                ($key, concat!("status.", $key), concat!("/status/", $key))
            };
        }
        match self {
            Self::Paused => names!("paused"),
            Self::Active => names!("active"),
            Self::Finished => names!("finished"),
            Self::StartTime => names!("start_time"),
            Self::EndTime => names!("end_time"),
            Self::PauseTime => names!("pause_time"),
            Self::PausedTime => names!("paused_time"),
        }
    }

    /// The key in `status`.
    pub const fn key(self) -> &'static str {
        self.names().0
    }

    /// The path of the field in the object, for people.
    pub const fn path(self) -> &'static str {
        self.names().1
    }

    /// The pointer to the field in the object, for patches.
    pub const fn pointer(self) -> &'static str {
        self.names().2
    }
}

/// A Session, or what claims to be one.
#[derive(Debug, Clone)]
pub struct Session<'a> {
    metadata: RawObject<'a>,
    spec: Option<RawObject<'a>>,
    status: Status<'a>,
    /// The other members, and a spec or status that is no object.
    rest: RawObject<'a>,
}

impl<'a> Session<'a> {
    /// Reads the object. Only a value, or its metadata, that is no JSON object is an error.
    pub fn read(raw: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(raw.get()).or_else(|_| Self::read_part_by_part(raw))
    }

    /// For an object with a part that is none: twice as much work, and it tells which.
    fn read_part_by_part(raw: &'a RawValue) -> serde_json::Result<Self> {
        let mut rest = RawObject::read(raw)?;
        let metadata = rest.get("metadata").map_or_else(|| Ok(RawObject::default()), RawObject::read)?;
        let part = |key: &str| rest.get(key).map(RawObject::read);
        let (spec, status) = (part("spec"), part("status"));
        let (odd_spec, odd_status) = (matches!(spec, Some(Err(_))), matches!(status, Some(Err(_))));
        rest.retain(|key| match key {
            "metadata" => false,
            "spec" => odd_spec,
            "status" => odd_status,
            _ => true,
        });
        let status = match status {
            None => Status::Absent,
            Some(Ok(members)) => Status::Object(members),
            Some(Err(_)) => Status::Other,
        };
        Ok(Self { metadata, spec: spec.and_then(Result::ok), status, rest })
    }

    /// Its status.
    pub const fn status(&self) -> &Status<'a> {
        &self.status
    }

    /// A field of its status; absent where there is no status.
    pub fn field(&self, field: Field) -> Scalar<'a> {
        match &self.status {
            Status::Object(members) => members.scalar(field.key()),
            Status::Absent | Status::Other => Scalar::Absent,
        }
    }

    /// A value of `metadata`.
    pub fn metadata(&self, key: &str) -> Scalar<'a> {
        self.metadata.scalar(key)
    }

    /// `metadata.managedFields`, as it stands.
    pub fn managed_fields(&self) -> Option<&'a RawValue> {
        self.metadata.get("managedFields")
    }

    /// A value of `spec`.
    pub fn spec(&self, key: &str) -> Scalar<'a> {
        self.spec.as_ref().map_or(Scalar::Absent, |spec| spec.scalar(key))
    }

    /// Whether it is being deleted and only waits for its finalizers.
    pub fn is_being_deleted(&self) -> bool {
        !self.metadata("deletionTimestamp").is_empty()
    }

    /// What an update from `old` to this changes.
    pub fn changes_since(&self, old: &Self) -> Changes {
        let mut changes = Changes { beyond_metadata: self.differs_beyond_metadata(old), ..Changes::default() };
        for key in self.metadata.changed(&old.metadata, &["managedFields", "resourceVersion", "generation"]) {
            match key {
                "finalizers" => changes.finalizers = true,
                "ownerReferences" => changes.owner_references = true,
                _ => changes.other_metadata = true,
            }
        }
        changes
    }

    /// Whether anything but `metadata` is another than in `old`.
    pub fn differs_beyond_metadata(&self, old: &Self) -> bool {
        !objects_equal(self.status.object(), old.status.object())
            || !objects_equal(self.spec.as_ref(), old.spec.as_ref())
            || self.rest.changed(&old.rest, &[]).next().is_some()
    }

    /// Whether this has the finalizers of `old` but for some, and none besides.
    pub fn only_lost_finalizers_since(&self, old: &Self) -> bool {
        let (new, old) = (self.finalizers(), old.finalizers());
        match (new, old) {
            (Some(new), Some(old)) => new.len() < old.len() && new.is_subset(&old),
            _ => false,
        }
    }

    /// Its finalizers; `None` where they are no list of strings.
    fn finalizers(&self) -> Option<BTreeSet<String>> {
        self.metadata.get("finalizers").map_or(Some(BTreeSet::new()), |raw| parse_bounded(raw.get()))
    }

    /// What `spec` says about the dialect, by the types of two fields.
    fn dialect_of_spec(&self) -> Option<Dialect> {
        let by_claim = match self.spec("vm_claim") {
            Scalar::Text(_) => Some(Dialect::Documented),
            Scalar::Other(list) if list.starts_with('[') => Some(Dialect::Gargantua),
            _ => None,
        };
        by_claim.or_else(|| dialect_of_flag(&self.spec("keep_course_vm")))
    }

    /// What `status` says about the dialect, by the type of a flag or the name of the pause time.
    fn dialect_of_status(&self) -> Option<Dialect> {
        let by_flag = Field::FLAGS.into_iter().find_map(|flag| dialect_of_flag(&self.field(flag)));
        let has_key = |dialect| self.field(Field::pause_time(dialect)) != Scalar::Absent;
        let by_key = || match (has_key(Dialect::Documented), has_key(Dialect::Gargantua)) {
            (true, false) => Some(Dialect::Documented),
            (false, true) => Some(Dialect::Gargantua),
            // Both prove nothing.
            _ => None,
        };
        by_flag.or_else(by_key)
    }

    /// What the layout of a time says about the dialect.
    fn dialect_of_times(&self) -> Option<Dialect> {
        [Field::StartTime, Field::EndTime, Field::PauseTime, Field::PausedTime].into_iter().find_map(|field| {
            let Scalar::Text(text) = self.field(field) else { return None };
            Layout::dialect_of(text.trim())
        })
    }
}

fn dialect_of_flag(flag: &Scalar<'_>) -> Option<Dialect> {
    match flag {
        Scalar::Text(_) => Some(Dialect::Documented),
        Scalar::Bool(_) => Some(Dialect::Gargantua),
        Scalar::Absent | Scalar::Other(_) => None,
    }
}

/// The dialect of a request that configuration does not settle. The stored object goes first: in a status write the API
/// server puts the sender's spec back after the mutating webhook, so that one proves nothing.
///
/// Without any evidence it is what every released HobbyFarm stores: one string where its Go type is `bool`, and it cannot
/// decode the list of all Sessions.
pub fn detect_dialect(object: &Session<'_>, old: Option<&Session<'_>>) -> Dialect {
    old.unwrap_or(object)
        .dialect_of_spec()
        .or_else(|| old.and_then(Session::dialect_of_status))
        .or_else(|| object.dialect_of_status())
        .or_else(|| old.and_then(Session::dialect_of_times))
        .or_else(|| object.dialect_of_times())
        .unwrap_or(Dialect::Gargantua)
}

/// What an update changes. `managedFields`, `resourceVersion` and `generation` do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent parts of an object, each changed or not")]
pub struct Changes {
    /// `metadata.finalizers`.
    pub finalizers: bool,
    /// `metadata.ownerReferences`.
    pub owner_references: bool,
    /// Any other part of `metadata`.
    pub other_metadata: bool,
    /// Anything else: `spec`, `status`, …
    pub beyond_metadata: bool,
}

impl Changes {
    /// Whether nothing changed.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }

    /// Whether nothing changed but finalizers or owner references.
    pub const fn are_finalizers_or_owner_references(self) -> bool {
        !self.other_metadata && !self.beyond_metadata
    }

    /// Whether finalizers and nothing else changed.
    pub const fn are_finalizers_only(self) -> bool {
        self.finalizers && !self.owner_references && self.are_finalizers_or_owner_references()
    }
}
