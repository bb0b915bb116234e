//! A JSON object of which only some values are looked at, and the rest is only compared.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// More members than this in one object are refused: each costs memory beyond the request itself, and a Session has some
/// dozen.
const MAX_MEMBERS: usize = 100_000;

/// What the refusal begins with.
pub(in crate::core) const TOO_MANY_MEMBERS: &str = "more than";

/// Room that is made for the members of an object from the start.
const TYPICAL_MEMBERS: usize = 8;

/// Larger values (bytes of JSON) are compared as they stand, not by meaning, which would take many times their size. An API
/// server writes the old and the new object in the same way, so it makes no difference to what it sends.
const MAX_PARSED_BYTES: usize = 256 * 1024;

/// Values that are nested deeper are compared as they stand too.
const MAX_DEPTH: usize = 32;

/// The members of a JSON object, sorted, each value still raw. `null` counts as absent; of members that are given twice the
/// last one counts, as in Go.
#[derive(Debug, Clone, Default)]
pub struct RawObject<'a>(Vec<Member<'a>>);

type Member<'a> = (Cow<'a, str>, &'a RawValue);

impl<'a> RawObject<'a> {
    /// Reads an object; an error says why it is none.
    pub fn read(raw: &'a RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(raw.get())
    }

    /// The value under `key`.
    pub fn get(&self, key: &str) -> Option<&'a RawValue> {
        self.raw(key).filter(|value| value.get() != "null")
    }

    fn raw(&self, key: &str) -> Option<&'a RawValue> {
        let member = if self.0.len() <= 2 * TYPICAL_MEMBERS {
            // Keys of another length are not even compared.
            self.0.iter().find(|(other, _)| other == key)
        } else {
            self.0.binary_search_by(|(other, _)| (**other).cmp(key)).ok().and_then(|index| self.0.get(index))
        };
        member.map(|(_, value)| *value)
    }

    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// Adds a member, to be followed by [`RawObject::sort`].
    pub(in crate::core) fn push<E: serde::de::Error>(
        &mut self,
        key: Cow<'a, str>,
        value: &'a RawValue,
    ) -> Result<(), E> {
        if self.0.len() == MAX_MEMBERS {
            return Err(E::custom(format_args!("{TOO_MANY_MEMBERS} {MAX_MEMBERS} members")));
        }
        self.0.push((key, value));
        Ok(())
    }

    /// An API server sends them in order, and none twice: then there is nothing to do.
    pub(in crate::core) fn sort(&mut self) {
        if self.0.is_sorted_by(|(one, _), (next, _)| one < next) {
            return;
        }
        // Of equals the last one comes first, and stays.
        self.0.reverse();
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.dedup_by(|(one, _), (other, _)| one == other);
    }

    /// Leaves the members alone whose keys are wanted.
    pub(in crate::core) fn retain(&mut self, mut is_wanted: impl FnMut(&str) -> bool) {
        self.0.retain(|(key, _)| is_wanted(key));
    }

    /// The value under `key`, looked at.
    pub fn scalar(&self, key: &str) -> Scalar<'a> {
        self.get(key).map_or(Scalar::Absent, Scalar::read)
    }

    /// Whether the other has the same members, a `null` being one.
    fn equals(&self, other: &Self, depth: usize) -> bool {
        let is_same = |((key, value), (other_key, other_value)): (&Member<'_>, &Member<'_>)| {
            key == other_key && raw_equal(value, other_value, depth)
        };
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(is_same)
    }

    /// The keys whose values differ between the two objects, but for those that `ignored` names: they may be large, and
    /// are not even compared.
    pub(in crate::core) fn changed<'b>(
        &'b self,
        other: &'b Self,
        ignored: &'b [&str],
    ) -> impl Iterator<Item = &'b str> {
        let counts = |key: &&str| !ignored.contains(key);
        let differs = |key: &&str| !json_equal(self.get(key), other.get(key));
        let gone = other.keys().filter(|key| self.raw(key).is_none());
        self.keys().chain(gone).filter(counts).filter(differs)
    }
}

impl<'de> Deserialize<'de> for RawObject<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RawObjectVisitor;
        impl<'de> Visitor<'de> for RawObjectVisitor {
            type Value = RawObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = RawObject(Vec::with_capacity(TYPICAL_MEMBERS));
                while let Some((BorrowedText(key), value)) = map.next_entry()? {
                    members.push(key, value)?;
                }
                members.sort();
                Ok(members)
            }
        }
        deserializer.deserialize_map(RawObjectVisitor)
    }
}

/// A string that borrows from its source where it has no escapes.
#[derive(serde::Deserialize)]
pub(in crate::core) struct BorrowedText<'a>(#[serde(borrow)] pub(in crate::core) Cow<'a, str>);

/// Whether two values mean the same JSON, however their keys are ordered and spaced. Numbers compare as they are written:
/// two that a `f64` cannot tell apart are two.
fn json_equal(one: Option<&RawValue>, other: Option<&RawValue>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    raw_equal(one, other, MAX_DEPTH)
}

/// Each level reads what is below it once more, hence the bounds on depth and size.
fn raw_equal(one: &RawValue, other: &RawValue, depth: usize) -> bool {
    let (one_text, other_text) = (one.get(), other.get());
    if one_text == other_text {
        return true;
    }
    let kind = |text: &str| text.as_bytes().first().copied();
    match (kind(one_text), kind(other_text)) {
        (Some(b'"'), Some(b'"')) => Scalar::read(one) == Scalar::read(other),
        (Some(b'{'), Some(b'{')) if depth > 0 => {
            let parts = (parse_bounded::<RawObject<'_>>(one_text), parse_bounded::<RawObject<'_>>(other_text));
            let (Some(one), Some(other)) = parts else { return false };
            one.equals(&other, depth - 1)
        }
        (Some(b'['), Some(b'[')) if depth > 0 => {
            let parts = (parse_bounded::<Vec<&RawValue>>(one_text), parse_bounded::<Vec<&RawValue>>(other_text));
            let (Some(one), Some(other)) = parts else { return false };
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| raw_equal(one, other, depth - 1))
        }
        _ => false,
    }
}

/// A value of moderate size, parsed whole.
pub(in crate::core) fn parse_bounded<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    if json.len() > MAX_PARSED_BYTES { None } else { serde_json::from_str(json).ok() }
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
    pub(in crate::core) fn read(raw: &'a RawValue) -> Self {
        match raw.get() {
            "null" => Self::Absent,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            text if !text.starts_with('"') => Self::Other(text),
            text => match text.get(1..text.len() - 1) {
                // A value is raw only once it was found to be JSON: what has no escapes stands for itself.
                Some(plain) if !plain.contains('\\') => Self::Text(plain.into()),
                _ => serde_json::from_str(text).map_or(Self::Other(text), |BorrowedText(text)| Self::Text(text)),
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

/// Whether two parts hold the same members, a `null` being one.
pub(in crate::core) fn objects_equal(one: Option<&RawObject<'_>>, other: Option<&RawObject<'_>>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return one.is_none() && other.is_none() };
    one.equals(other, MAX_DEPTH)
}
