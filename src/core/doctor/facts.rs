//! What was seen of an installation, as plain data.

use jiff::Timestamp;
use serde_json::Value;

use super::place::{Place, entries, place};
use crate::core::installation::{CONFIGURATION, ConfigurationKind as Kind, SERVICE};
use crate::core::settings::{Dialect, Settings};

/// All that the checks know.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What is meant.
    pub names: Names,
    /// Of the API server: major and minor.
    pub version: (u32, u32),
    /// The configurations, mutating and validating.
    pub configurations: [Look<Value>; 2],
    /// The `ValidatingAdmissionPolicy` and its binding.
    pub admission_policy: [Look<Value>; 2],
    /// The Service that the entries call.
    pub service: Look<Value>,
    /// Where it leads.
    pub endpoints: Look<Vec<Endpoint>>,
    /// The Deployment behind it: its name.
    pub deployment: Look<String>,
    /// What the Deployment tells its pods, or why that cannot be read.
    pub installed: Result<Installed, Told>,
    /// The `caBundle` of each entry.
    pub bundles: Vec<Bundle>,
    /// What each server behind the entries presents.
    pub served: Vec<Served>,
    /// The certificate that the Secret holds; nothing where it holds none.
    pub secret: Look<Option<Leaf>>,
    /// HobbyFarm's definition of Sessions.
    pub definition: Look<Definition>,
    /// HobbyFarm's accounts.
    pub accounts: Look<Vec<Account>>,
    /// Roles and bindings.
    pub rbac: Look<Rbac>,
    /// The API server's clock, as seen from here.
    pub api_clock: Option<Clock>,
    /// What became of a create that must not succeed.
    pub probe: Probe,
    /// When this was gathered.
    pub now: Timestamp,
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// This was seen.
    Found(T),
    /// There is none.
    Absent,
    /// It could not be seen.
    Unknown(Obstacle),
}

impl<T> Look<T> {
    /// What was seen.
    pub const fn found(&self) -> Option<&T> {
        match self {
            Self::Found(found) => Some(found),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

/// Why something could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// This right is missing: `get secrets/x in namespace y`.
    Forbidden(String),
    /// Something else.
    Failed(String),
}

/// Which installation is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Of the webhook configurations.
    pub configuration: String,
    /// Of the webhook's Service and Deployment, where somebody said so.
    pub namespace: Option<String>,
    /// Of the Service, where somebody said so.
    pub service: Option<String>,
}

impl Facts {
    /// Of this kind.
    pub(super) const fn configuration(&self, kind: Kind) -> &Look<Value> {
        let [mutating, validating] = &self.configurations;
        match kind {
            Kind::Mutating => mutating,
            Kind::Validating => validating,
        }
    }

    /// All entries there are.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Kind, &Value)> {
        let of = |kind| self.configuration(kind).found().into_iter().flat_map(entries).map(move |entry| (kind, entry));
        Kind::ALL.into_iter().flat_map(of)
    }

    /// Where the webhook is.
    pub fn place(&self) -> Place {
        place(&self.names, &self.configurations)
    }

    /// The command that shows the webhook's log.
    pub(super) fn log(&self) -> String {
        let name = self.deployment.found().map_or(SERVICE, String::as_str);
        format!("kubectl -n {} logs deployment/{name}", self.namespace())
    }

    /// The namespace of the webhook.
    pub fn namespace(&self) -> String {
        self.place().namespace(&self.names)
    }
}

impl Default for Names {
    fn default() -> Self {
        Self { configuration: CONFIGURATION.to_owned(), namespace: None, service: None }
    }
}

/// One address behind the Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// IP address.
    pub address: String,
    /// Port.
    pub port: u16,
    /// Whether requests are sent there.
    pub ready: bool,
    /// Name of the pod, where it is one.
    pub pod: Option<String>,
}

/// What the Deployment tells its pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The policy.
    pub settings: Settings,
    /// Where the certificate comes from.
    pub secret: SecretSource,
    /// Name of the webhook configurations that `--tls self-managed` looks after.
    pub configuration: String,
    /// The Lease of `--backfill` and the namespaces that it looks after (none: all), where it is on.
    pub backfill: Option<(String, Vec<String>)>,
    /// The same of `--audit-interval`.
    pub audit: Option<(String, Vec<String>)>,
    /// The pods' account.
    pub account: String,
    /// What is accepted, but opens the door wider than most people want.
    pub doubts: Vec<String>,
}

/// Where the served certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A mounted Secret.
    Mounted(String),
    /// The Secret of `--tls self-managed`.
    SelfManaged(String),
    /// Nowhere that could be looked at.
    None,
}

/// Why it is not known what the pods are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// There is no Deployment, or it could not be seen.
    Nothing,
    /// What it tells is not understood.
    Malformed(String),
    /// It could not be seen.
    Unknown(Obstacle),
}

/// A `caBundle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Name of the entry.
    pub entry: String,
    /// What it is.
    pub state: BundleState,
}

/// What a `caBundle` is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleState {
    /// Empty.
    Empty,
    /// Something that holds no certificate.
    NoCertificate(String),
    /// These.
    Certificates(Vec<Leaf>),
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// Subject.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Serial number, which tells certificates of one subject apart.
    pub serial: String,
    /// Alternative names.
    pub names: Vec<String>,
    /// Begin of its life.
    pub not_before: Timestamp,
    /// End of its life.
    pub not_after: Timestamp,
}

/// One server and what it presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Which one: a pod, or an address.
    pub from: String,
    /// What it presents.
    pub presented: Result<Presented, Obstacle>,
}

/// What a server presents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The certificate.
    pub leaf: Leaf,
    /// Whether it stands for the name that the API server calls it by.
    pub for_name: bool,
    /// For each of [`Facts::bundles`], whether an authority in it vouches for the certificate.
    pub trusted: Vec<bool>,
    /// The server's clock.
    pub clock: Option<Clock>,
}

/// What a clock showed, and what this machine's showed at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// There.
    pub there: Timestamp,
    /// Here.
    pub here: Timestamp,
}

/// HobbyFarm's definition of Sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The versions that are served.
    pub versions: Vec<String>,
    /// Whether status is written through a subresource.
    pub status_subresource: bool,
    /// The dialect that its schema describes.
    pub dialect: Option<Dialect>,
}

/// One of HobbyFarm's accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `namespace/name`.
    pub name: String,
    /// What it may, or nothing where it does not exist.
    pub rights: Option<WritingRights>,
}

/// What an account may do, in its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WritingRights {
    /// Create Sessions.
    pub create: bool,
    /// Update Sessions.
    pub update: bool,
    /// Update their status.
    pub update_status: bool,
}

/// All roles and bindings.
#[derive(Debug, Clone, Default)]
pub struct Rbac {
    /// `ClusterRole` objects.
    pub cluster_roles: Vec<Value>,
    /// `Role` objects.
    pub roles: Vec<Value>,
    /// `ClusterRoleBinding` objects.
    pub cluster_role_bindings: Vec<Value>,
    /// `RoleBinding` objects.
    pub role_bindings: Vec<Value>,
}

/// What became of the probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It was not sent.
    NotSent,
    /// The API server's answer.
    Answer {
        /// HTTP status.
        code: u16,
        /// Its message, where it is no success.
        message: String,
        /// Warnings.
        warnings: Vec<String>,
        /// The user, where the server tells.
        user: Option<String>,
        /// Where it would have been created.
        namespace: String,
    },
    /// No answer.
    Failed(String),
}
