//! Bytes to [`Review`]: the part of an `AdmissionReview` that the policy needs, borrowed from the request body.

use std::borrow::Cow;
use std::fmt;

use kube::core::admission::{META_API_VERSION_V1, META_KIND, Operation};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::core::session::Session;
use crate::core::session::raw_object::{BorrowedText, TOO_MANY_MEMBERS};
use crate::core::text::{qualified, quote, sanitize_line};

/// The API group of HobbyFarm's resources.
pub const GROUP: &str = "hobbyfarm.io";
/// The version whose Sessions are repaired and judged; in any other only the writer is checked.
pub const VERSION: &str = "v1";
/// The plural name of the guarded resource.
pub const RESOURCE: &str = "sessions";
/// The subresource that HobbyFarm v3 writes status through.
pub const STATUS: &str = "status";

/// One of the two admission webhooks that this program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Webhook {
    /// Repairs and defaults status; never denies.
    Mutate,
    /// Decides who may write, and what.
    Validate,
}

impl Webhook {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mutate, Self::Validate];

    /// The HTTP path, which is also the metric label behind its slash.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Mutate => "/mutate",
            Self::Validate => "/validate",
        }
    }

    /// The name that metrics and logs carry.
    pub fn name(self) -> &'static str {
        self.path().trim_start_matches('/')
    }
}

/// One admission request (`AdmissionReview.request` of `admission.k8s.io/v1`), borrowed from its bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "O: Deserialize<'de>"))]
pub struct Review<'a, O = Object<'a>> {
    /// Echoed in the answer; the API server refuses an answer with another one.
    #[serde(borrow, default)]
    pub uid: Cow<'a, str>,
    /// What is being done.
    pub operation: Operation,
    /// The kind of the object, for messages.
    #[serde(borrow, default)]
    pub kind: GroupVersionKind<'a>,
    /// The resource in the form that the webhook registered for.
    #[serde(borrow, default)]
    pub resource: GroupVersionResource<'a>,
    /// `status`, another subresource, or empty.
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    pub sub_resource: Cow<'a, str>,
    /// Name of the object; empty for `generateName` and in collection deletes.
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    pub name: Cow<'a, str>,
    /// Namespace of the object.
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    pub namespace: Cow<'a, str>,
    /// Who asks.
    #[serde(borrow, default)]
    pub user_info: UserInfo<'a>,
    /// The object as it would be stored; absent for `DELETE`.
    #[serde(default = "Option::default")]
    pub object: Option<O>,
    /// The stored object; absent for `CREATE`.
    #[serde(default = "Option::default")]
    pub old_object: Option<O>,
    /// Nothing will be stored. The decision is the same: this webhook has no side effects.
    #[serde(default, deserialize_with = "null_as_default")]
    pub dry_run: bool,
}

/// An object of a request.
#[derive(Debug, Clone)]
pub enum Object<'a> {
    /// As a Session, read along with the request.
    Session(Session<'a>),
    /// As it stands: it is no Session, or nobody has looked.
    Raw(&'a RawValue),
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Session::deserialize(deserializer).map(Self::Session)
    }
}

/// `group/version, kind` of an object; nobody asks for the first two.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupVersionKind<'a> {
    /// Kind.
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
}

/// `group/version, resource` of a request.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct GroupVersionResource<'a> {
    /// API group.
    #[serde(borrow, default)]
    pub group: Cow<'a, str>,
    /// API version.
    #[serde(borrow, default)]
    pub version: Cow<'a, str>,
    /// Plural name.
    #[serde(borrow, default)]
    pub resource: Cow<'a, str>,
}

/// The requesting user as the API server authenticated or impersonated it. `extra` is never looked at.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UserInfo<'a> {
    /// User name.
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    pub username: Cow<'a, str>,
    /// Set for a real service-account token, absent under `kubectl --as`.
    #[serde(borrow, default, deserialize_with = "text_or_null")]
    pub uid: Cow<'a, str>,
    /// Group names.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub groups: Groups<'a>,
}

/// The groups of a user, still raw: nobody looks at them unless a break-glass group is configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Groups<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl Groups<'_> {
    /// Whether one of `names` is among the groups; not when they are no list of strings.
    pub fn contain_any(&self, names: &[String]) -> bool {
        struct GroupVisitor<'n>(&'n [String]);
        impl<'de> Visitor<'de> for GroupVisitor<'_> {
            type Value = bool;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of group names")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut groups: A) -> Result<bool, A::Error> {
                let mut found = false;
                while let Some(group) = groups.next_element::<Cow<'de, str>>()? {
                    found |= self.0.iter().any(|name| *name == group);
                }
                Ok(found)
            }
        }
        let Some(groups) = self.0.filter(|_| !names.is_empty()) else { return false };
        serde_json::Deserializer::from_str(groups.get()).deserialize_seq(GroupVisitor(names)).unwrap_or(false)
    }
}

/// Why no verdict can be given. Each is the client's fault and is answered with HTTP 400.
#[derive(Debug, Error)]
pub enum ReviewError {
    /// The body is no JSON, or lacks what a review must have.
    #[error("the body is no readable AdmissionReview: {}", parser_message(.0))]
    Unreadable(#[from] serde_json::Error),
    /// Some other JSON document.
    #[error("expected kind AdmissionReview, got {0}")]
    Kind(&'static str),
    /// A review of another version, `v1beta1` most likely.
    #[error(
        "expected apiVersion admission.k8s.io/v1, got {0}; \
         set admissionReviewVersions to [\"v1\"] in the webhook configuration"
    )]
    Version(&'static str),
    /// A review that asks nothing, a response for example.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// A `uid` that is too long to be repeated; no API server sends such a one.
    #[error("request.uid has {0} bytes; an answer repeats {LONGEST_UID} at most")]
    Uid(usize),
    /// A request whose object cannot be read.
    #[error("request.{field} is no readable object: {}", parser_message(.source))]
    Object {
        /// `object` or `oldObject`.
        field: &'static str,
        /// What the parser said.
        source: serde_json::Error,
    },
    /// A `CREATE` or `UPDATE` that lacks an object which it must have.
    #[error("the {operation} request has no {field}")]
    Missing {
        /// `CREATE` or `UPDATE`.
        operation: &'static str,
        /// `object` or `oldObject`.
        field: &'static str,
    },
}

/// Longest `uid` of a request, bytes; an API server's has 36.
const LONGEST_UID: usize = 256;

/// How much of an object's namespace and name a message repeats.
pub(in crate::core) const LONGEST_OBJECT: usize = 100;

/// What is wrong with a body, and where. What a parser says about syntax, and about a field that is missing, is its own; what
/// it says about a value repeats it, which may be an access code, and then says last what is expected instead.
fn parser_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let is_its_own = error.classify() != Category::Data
        || ["missing field `", TOO_MANY_MEMBERS].iter().any(|start| text.starts_with(start));
    let told = match text.rsplit_once(", expected ") {
        _ if is_its_own => text,
        Some((_, expected)) => format!("expected {expected}"),
        None => format!("a value of the wrong type at line {} column {}", error.line(), error.column()),
    };
    sanitize_line(&told, 200).into_owned()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "R: Deserialize<'de>"))]
struct Envelope<'a, R> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    /// Boxed, because each step of reading moves what it has read.
    request: Option<Box<R>>,
}

impl<'a> Review<'a, &'a RawValue> {
    fn with_raw_objects(self) -> Review<'a> {
        let Self { uid, operation, kind, resource, sub_resource, name, namespace, user_info, .. } = self;
        let (object, old_object) = (self.object.map(Object::Raw), self.old_object.map(Object::Raw));
        let dry_run = self.dry_run;
        Review { uid, operation, kind, resource, sub_resource, name, namespace, user_info, object, old_object, dry_run }
    }
}

/// The object of a review as it stands, for those who show it; none where it is missing or `null`.
///
/// # Errors
///
/// Where the body is no review.
pub fn raw_object(body: &[u8]) -> serde_json::Result<Option<&RawValue>> {
    let envelope: Envelope<'_, Review<'_, &RawValue>> = serde_json::from_slice(body)?;
    Ok(envelope.request.and_then(|request| request.object))
}

impl<'a> Review<'a> {
    /// Reads a review, and its objects along with it as far as they are Sessions.
    pub fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        let review = Self::parse_at_once(body)?;
        if review.uid.len() > LONGEST_UID { Err(ReviewError::Uid(review.uid.len())) } else { Ok(review) }
    }

    fn parse_at_once(body: &'a [u8]) -> Result<Self, ReviewError> {
        let whole = std::str::from_utf8(body).ok().and_then(|body| serde_json::from_str(body).ok());
        match whole {
            Some(Envelope { api_version, kind, request: Some(review) })
                if kind == META_KIND && api_version == META_API_VERSION_V1 =>
            {
                Ok(*review)
            }
            _ => Self::parse_step_by_step(body),
        }
    }

    /// For what is no such review, or has objects that are no Sessions: twice as much work, and it tells why.
    fn parse_step_by_step(body: &'a [u8]) -> Result<Self, ReviewError> {
        let envelope: Envelope<'a, &'a RawValue> = serde_json::from_slice(body)?;
        if envelope.kind != META_KIND {
            return Err(ReviewError::Kind(if envelope.kind.is_empty() { "none" } else { "another" }));
        }
        if envelope.api_version != META_API_VERSION_V1 {
            let known = ["admission.k8s.io/v1beta1", "admission.k8s.io/v1alpha1"];
            let sent = known.into_iter().find(|known| *known == envelope.api_version);
            let other = if envelope.api_version.is_empty() { "none" } else { "another" };
            return Err(ReviewError::Version(sent.unwrap_or(other)));
        }
        let request = envelope.request.ok_or(ReviewError::NoRequest)?;
        let review: Review<'a, &'a RawValue> = serde_json::from_str(request.get())?;
        Ok(review.with_raw_objects())
    }

    /// Whether the request is about HobbyFarm's Sessions or their status, whatever the API version.
    pub fn is_about_sessions(&self) -> bool {
        self.resource.group == GROUP
            && self.resource.resource == RESOURCE
            && (self.sub_resource.is_empty() || self.is_status())
    }

    /// Whether the object is a Session of the version whose fields this webhook knows.
    pub fn is_about_v1(&self) -> bool {
        self.resource.version == VERSION
    }

    /// Whether the request writes through the status subresource.
    pub fn is_status(&self) -> bool {
        self.sub_resource == STATUS
    }

    /// Namespace and name of the object for a message, in quotes, as far as they are known.
    pub fn object_name(&self) -> String {
        let name = if self.name.is_empty() { "(generated name)" } else { &self.name };
        quote(&qualified(&self.namespace, name), LONGEST_OBJECT).to_string()
    }

    /// The operation as Kubernetes spells it.
    pub const fn operation_name(&self) -> &'static str {
        match self.operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
            Operation::Connect => "CONNECT",
        }
    }
}

impl fmt::Display for GroupVersionResource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.group, self.version, self.resource)
    }
}

/// Borrowed where it has no escapes, which an `Option` of a `Cow` never is.
fn text_or_null<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'a, str>, D::Error> {
    Option::deserialize(deserializer).map(|text| text.map(|BorrowedText(text)| text).unwrap_or_default())
}

fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
