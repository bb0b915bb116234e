//! A view over a Session's raw JSON: what the policy looks at is read, the rest is only compared.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::settings::Dialect;

/// More members than this in one object are refused: each costs memory beyond the request itself, and a Session has some
/// dozen.
const MOST_MEMBERS: usize = 100_000;

/// Room that is made for the members of an object from the start.
const USUAL_MEMBERS: usize = 8;

/// Larger values (bytes of JSON) are compared as they stand, not by meaning, which would take many times their size. An API
/// server writes the old and the new object in the same way, so it makes no difference to what it sends.
const LARGEST_PARSED: usize = 256 * 1024;

/// The members of a JSON object, sorted, each value still raw. `null` counts as absent; of members that are given twice the
/// last one counts, as in Go.
#[derive(Debug, Clone, Default)]
pub struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads an object; an error says why it is none.
    pub fn read(raw: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(raw.get())
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.raw(key).filter(|value| value.get() != "null")
    }

    fn raw(&self, key: &str) -> Option<&'a RawValue> {
        let index = self.0.binary_search_by(|(other, _)| (**other).cmp(key)).ok()?;
        self.0.get(index).map(|(_, value)| *value)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// Adds a member, to be followed by [`Members::sort`].
    fn push<E: serde::de::Error>(&mut self, key: Cow<'a, str>, value: &'a RawValue) -> Result<(), E> {
        if self.0.len() == MOST_MEMBERS {
            return Err(E::custom(format_args!("more than {MOST_MEMBERS} members")));
        }
        self.0.push((key, value));
        Ok(())
    }

    /// An API server sends them in order, and none twice: then there is nothing to do.
    fn sort(&mut self) {
        if self.0.is_sorted_by(|(one, _), (next, _)| one < next) {
            return;
        }
        // Of equals the last one comes first, and stays.
        self.0.reverse();
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.dedup_by(|(one, _), (other, _)| one == other);
    }

    /// The value under `key`, looked at.
    pub fn scalar(&self, key: &str) -> Scalar<'a> {
        self.get(key).map_or(Scalar::Absent, Scalar::read)
    }

    /// The keys whose values differ between the two objects, but for those that `ignored` names: they may be large, and
    /// are not even compared.
    fn changed<'b>(&'b self, other: &'b Self, ignored: &'b [&str]) -> impl Iterator<Item = &'b str> {
        let counts = |key: &&str| !ignored.contains(key);
        let differs = |key: &&str| !same(self.get(key), other.get(key));
        let gone = other.keys().filter(|key| self.raw(key).is_none());
        self.keys().chain(gone).filter(counts).filter(differs)
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members(Vec::with_capacity(USUAL_MEMBERS));
                while let Some((Text(key), value)) = map.next_entry()? {
                    members.push(key, value)?;
                }
                members.sort();
                Ok(members)
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

impl<'de> Deserialize<'de> for Session<'de> {
    /// In one go, for a Session whose parts are objects, as far as it has them; see [`Session::read`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Session<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut metadata, mut spec, mut status) = (None, None, None);
                let mut rest = Members::default();
                while let Some(Text(key)) = map.next_key()? {
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
        deserializer.deserialize_map(Visit)
    }
}

/// A string that borrows from its source where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether two values mean the same JSON, however their keys are ordered and spaced.
fn same(one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    let (Some(one), Some(other)) = (one.map(RawValue::get), other.map(RawValue::get)) else {
        return one.is_none() && other.is_none();
    };
    one == other || parsed::<Value>(one).is_some_and(|one| Some(one) == parsed(other))
}

/// A value of moderate size, parsed whole.
fn parsed<T: DeserializeOwned>(json: &str) -> Option<T> {
    if json.len() > LARGEST_PARSED { None } else { serde_json::from_str(json).ok() }
}

/// A value as far as the policy cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar<'a> {
    /// Missing or `null`.
    Absent,
    /// `true` or `false`.
    Bool(bool),
    /// A string.
    Text(Cow<'a, str>),
    /// A number, an array or an object, as it stands.
    Other(&'a str),
}

impl<'a> Scalar<'a> {
    fn read(raw: &'a RawValue) -> Self {
        match raw.get() {
            "null" => Self::Absent,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            text if !text.starts_with('"') => Self::Other(text),
            text => match text.get(1..text.len() - 1) {
                // A value is raw only once it was found to be JSON: what has no escapes stands for itself.
                Some(plain) if !plain.contains('\\') => Self::Text(plain.into()),
                _ => serde_json::from_str(text).map_or(Self::Other(text), |Text(text)| Self::Text(text)),
            },
        }
    }

    /// Whether there is nothing here: missing, `null`, or a string of blanks.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(text) => text.trim().is_empty(),
            Self::Bool(_) | Self::Other(_) => false,
        }
    }

    /// The boolean that a flag means: a JSON boolean, 0, 1, or one of the usual words in any case.
    pub fn as_flag(&self) -> Option<bool> {
        match self {
            Self::Absent => None,
            Self::Bool(flag) => Some(*flag),
            Self::Text(text) => flag_word(text.trim()),
            Self::Other(number) => match number.parse() {
                Ok(0.0) => Some(false),
                Ok(1.0) => Some(true),
                _ => None,
            },
        }
    }
}

/// The words that stand for true, in any letter case.
pub const TRUE_WORDS: [&str; 6] = ["1", "t", "true", "y", "yes", "on"];
/// The words that stand for false, in any letter case.
pub const FALSE_WORDS: [&str; 6] = ["0", "f", "false", "n", "no", "off"];

fn flag_word(word: &str) -> Option<bool> {
    let among = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if among(&TRUE_WORDS) { Some(true) } else { among(&FALSE_WORDS).then_some(false) }
}

/// `status` as it stands in a Session.
#[derive(Debug, Clone)]
pub enum Status<'a> {
    /// Missing or `null`.
    Absent,
    /// An object.
    Object(Members<'a>),
    /// Something that is no object, which nobody can work with.
    Other,
}

impl<'a> Status<'a> {
    const fn object(&self) -> Option<&Members<'a>> {
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
    metadata: Members<'a>,
    spec: Option<Members<'a>>,
    status: Status<'a>,
    /// The other members, and a spec or status that is no object.
    rest: Members<'a>,
}

impl<'a> Session<'a> {
    /// Reads the object. Only a value, or its metadata, that is no JSON object is an error.
    pub fn read(raw: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(raw.get()).or_else(|_| Self::read_part_by_part(raw))
    }

    /// For an object with a part that is none: twice as much work, and it tells which.
    fn read_part_by_part(raw: &'a RawValue) -> serde_json::Result<Self> {
        let mut rest = Members::read(raw)?;
        let metadata = rest.get("metadata").map_or_else(|| Ok(Members::default()), Members::read)?;
        let part = |key: &str| rest.get(key).map(Members::read);
        let (spec, status) = (part("spec"), part("status"));
        let (odd_spec, odd_status) = (matches!(spec, Some(Err(_))), matches!(status, Some(Err(_))));
        rest.0.retain(|(key, _)| match &**key {
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
        let mut changes = Changes {
            beyond_metadata: !same_part(self.spec.as_ref(), old.spec.as_ref())
                || !same_part(self.status.object(), old.status.object())
                || self.rest.changed(&old.rest, &[]).next().is_some(),
            ..Changes::default()
        };
        for key in self.metadata.changed(&old.metadata, &["managedFields", "resourceVersion", "generation"]) {
            match key {
                "finalizers" => changes.finalizers = true,
                "ownerReferences" => changes.owner_references = true,
                _ => changes.other_metadata = true,
            }
        }
        changes
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
        self.metadata.get("finalizers").map_or(Some(BTreeSet::new()), |raw| parsed(raw.get()))
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
        let by_key = || {
            [Dialect::Documented, Dialect::Gargantua]
                .into_iter()
                .find(|dialect| self.field(Field::pause_time(*dialect)) != Scalar::Absent)
        };
        by_flag.or_else(by_key)
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
pub fn dialect(object: &Session<'_>, old: Option<&Session<'_>>) -> Dialect {
    old.unwrap_or(object)
        .dialect_of_spec()
        .or_else(|| old.and_then(Session::dialect_of_status))
        .or_else(|| object.dialect_of_status())
        .unwrap_or(Dialect::Documented)
}

/// Whether two parts hold the same members, a `null` being one.
fn same_part(one: Option<&Members<'_>>, other: Option<&Members<'_>>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    one.0.len() == other.0.len() && one.0.iter().all(|(key, value)| same(Some(value), other.raw(key)))
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
    pub fn are_none(self) -> bool {
        self == Self::default()
    }

    /// Whether nothing changed but finalizers or owner references.
    pub const fn are_housekeeping(self) -> bool {
        !self.other_metadata && !self.beyond_metadata
    }

    /// Whether finalizers and nothing else changed.
    pub const fn are_finalizers(self) -> bool {
        self.finalizers && !self.owner_references && self.are_housekeeping()
    }
}
