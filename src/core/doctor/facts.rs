//! What was observed of an installation, as plain data.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::certificate_facts::{CaBundle, CertificateInfo, ClockReading, PresentedCertificate, ServedCertificate};
use super::entries::entries_of;
use super::observation::{Observation, Unobservable};
use super::webhook_target::{InstallationNames, WebhookTarget, webhook_target};
use crate::core::installation::{ConfigurationKind, SERVICE};
use crate::core::settings::{Dialect, Settings};

/// All that the checks know.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Which installation was looked for.
    pub names: InstallationNames,
    /// Version of the API server: major and minor.
    pub version: (u32, u32),
    /// The webhook configurations, mutating and validating.
    pub configurations: [Observation<Value>; 2],
    /// The `ValidatingAdmissionPolicy` and its binding.
    pub admission_policy: [Observation<Value>; 2],
    /// The namespaces of HobbyFarm's accounts, with their labels; none where no selector asks for labels.
    pub namespaces: Vec<(String, Observation<BTreeMap<String, String>>)>,
    /// The Service that the entries call.
    pub service: Observation<Value>,
    /// The addresses behind it.
    pub endpoints: Observation<Vec<Endpoint>>,
    /// Name of the Deployment behind it.
    pub deployment: Observation<String>,
    /// The settings of `serve` in its pods, or why they are not known.
    pub serve_settings: Result<ServeSettings, SettingsUnknown>,
    /// The `caBundle` of each entry.
    pub ca_bundles: Vec<CaBundle>,
    /// The certificate that each server behind the entries presents.
    pub served: Vec<ServedCertificate>,
    /// The certificate in the Secret; none where the Secret holds none.
    pub secret: Observation<Option<CertificateInfo>>,
    /// HobbyFarm's definition of Sessions.
    pub definition: Observation<SessionDefinition>,
    /// HobbyFarm's accounts.
    pub accounts: Observation<Vec<HobbyFarmAccount>>,
    /// Roles and bindings.
    pub rbac: Observation<Rbac>,
    /// The API server's clock.
    pub api_clock: Option<ClockReading>,
    /// The answer to a create that must not succeed.
    pub probe: ProbeResult,
    /// When this was gathered.
    pub now: Timestamp,
}

impl Facts {
    /// The configuration of this kind.
    pub(super) const fn configuration(&self, kind: ConfigurationKind) -> &Observation<Value> {
        let [mutating, validating] = &self.configurations;
        match kind {
            ConfigurationKind::Mutating => mutating,
            ConfigurationKind::Validating => validating,
        }
    }

    /// The entries of both configurations.
    pub(super) fn entries(&self) -> impl Iterator<Item = (ConfigurationKind, &Value)> {
        let of =
            |kind| self.configuration(kind).found().into_iter().flat_map(entries_of).map(move |entry| (kind, entry));
        ConfigurationKind::ALL.into_iter().flat_map(of)
    }

    /// The Service or URL that the entries call.
    pub fn target(&self) -> WebhookTarget {
        webhook_target(&self.names, &self.configurations)
    }

    /// Whether the API server itself refuses people: the policy is there, and its binding denies.
    pub(super) fn policy_refuses(&self) -> bool {
        let [policy, binding] = &self.admission_policy;
        let denies = |binding: &Value| {
            let actions = binding.pointer("/spec/validationActions").and_then(Value::as_array);
            actions.is_some_and(|actions| actions.iter().any(|action| action == "Deny"))
        };
        policy.found().is_some() && binding.found().is_some_and(denies)
    }

    /// The servers whose certificate could be read, with it.
    pub(super) fn presented(&self) -> impl Iterator<Item = (&str, &PresentedCertificate)> {
        self.served.iter().filter_map(|served| Some((served.server.as_str(), served.presented.as_ref().ok()?)))
    }

    /// The namespace of the webhook.
    pub fn namespace(&self) -> String {
        self.target().namespace(&self.names)
    }

    /// The command that edits a field of a configuration's entries.
    pub(super) fn edit_command(&self, kind: ConfigurationKind, field: &str) -> String {
        format!("kubectl edit {} {}: {field}", kind.resource(), self.names.configuration)
    }

    /// The command that shows the webhook's log.
    pub(super) fn log_command(&self) -> String {
        let name = self.deployment.found().map_or(SERVICE, String::as_str);
        format!("kubectl -n {} logs deployment/{name}", self.namespace())
    }

    /// How to have the serving certificate renewed.
    pub(super) fn renewal_command(&self) -> String {
        let namespace = self.namespace();
        match &self.serve_settings {
            Ok(ServeSettings { certificate_source: CertificateSource::SelfManaged(_), .. }) => {
                format!("the webhook does; {} says what is in the way", self.log_command())
            }
            _ => format!(
                "kubectl -n {namespace} describe certificate session-webhook (cert-manager), or certs/generate and kubectl apply -k certs/out"
            ),
        }
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

/// The settings of `serve` in the pods of the Deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// The policy.
    pub policy: Settings,
    /// Where the served certificate comes from.
    pub certificate_source: CertificateSource,
    /// Name of the webhook configurations that `--tls self-managed` reconciles.
    pub configuration: String,
    /// The Lease of `--backfill` and the namespaces that it repairs (none: all), where it is on.
    pub backfill: Option<(String, Vec<String>)>,
    /// The same of `--audit-interval`.
    pub audit: Option<(String, Vec<String>)>,
    /// The pods' service account.
    pub account: String,
    /// Settings that are accepted, but let more be written than most people want.
    pub warnings: Vec<String>,
}

/// Where the served certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// A mounted Secret.
    Mounted(String),
    /// The Secret of `--tls self-managed`.
    SelfManaged(String),
    /// No Secret.
    None,
}

/// Why the settings of `serve` are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingsUnknown {
    /// No Deployment runs the webhook.
    NoDeployment,
    /// `serve` does not accept them, for this reason.
    Invalid(String),
    /// They could not be read.
    Unobservable(Unobservable),
}

/// HobbyFarm's `CustomResourceDefinition` of Sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionDefinition {
    /// The versions that are served.
    pub versions: Vec<String>,
    /// Whether status is written through a subresource.
    pub status_subresource: bool,
    /// The dialect that its schema describes.
    pub dialect: Option<Dialect>,
}

/// One of HobbyFarm's service accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HobbyFarmAccount {
    /// `namespace/name`.
    pub name: String,
    /// What RBAC lets it write, or none where the account does not exist.
    pub rights: Option<WriteRights>,
}

/// What an account may write, in its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteRights {
    /// Create Sessions.
    pub create: bool,
    /// Update Sessions.
    pub update: bool,
    /// Update their status.
    pub update_status: bool,
}

impl WriteRights {
    /// Whether anything is granted.
    pub const fn any(self) -> bool {
        self.create || self.update || self.update_status
    }
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

/// The result of the probe: a dry run of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeResult {
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
    /// No answer, for this reason.
    Failed(String),
}
