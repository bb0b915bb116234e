//! What a check is: its name, its status, and the text that is printed.

use serde::Serialize;

/// The checks, by the names that are printed. The names are stable: scripts may rely on them. The check `x-y` stands in
/// `checks/x_y.rs`; those of the two configurations share `checks/webhook_configurations.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckId {
    /// The configuration that asks `/mutate` exists, with its entry.
    MutatingConfiguration,
    /// The configuration that asks `/validate` exists, with its entries.
    ValidatingConfiguration,
    /// Which resources and operations the entries are asked about.
    Rules,
    /// No namespace and no object is exempt.
    Selectors,
    /// What becomes of writes while no replica answers.
    FailurePolicy,
    /// `matchConditions` tell HobbyFarm from everybody else.
    Split,
    /// HobbyFarm's keep-alives are spared the call by the shipped expression.
    MatchConditions,
    /// The `ValidatingAdmissionPolicy` that guards writes without the webhook, where there is one.
    AdmissionPolicy,
    /// `sideEffects` allow dry runs.
    SideEffects,
    /// The API server does not wait for long.
    Timeouts,
    /// The version of reviews is one that is answered.
    ReviewVersions,
    /// The entries call one server, by the right paths.
    ClientConfig,
    /// The Service that the entries call exists and has that port.
    Service,
    /// The Deployment behind the Service, and the settings that it gives its pods.
    Deployment,
    /// Replicas are ready.
    Endpoints,
    /// The authorities that the API server trusts.
    CaBundle,
    /// The certificate that each replica serves.
    ServedCertificate,
    /// The served certificate is the one in the Secret.
    Secret,
    /// HobbyFarm's `CustomResourceDefinition` of Sessions.
    Definition,
    /// HobbyFarm's accounts exist and may write.
    Accounts,
    /// Who else may write, as far as RBAC goes.
    OtherWriters,
    /// The webhook's own account has the rights that it needs, and no others.
    OwnRights,
    /// The clocks agree.
    Clock,
    /// A dry run of a create is answered by the webhook.
    Probe,
}

impl CheckId {
    /// As it is printed.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Sound,
    /// Works, and is worth a thought.
    Questionable,
    /// Broken.
    Faulty,
    /// Could not be read, most likely for want of a right.
    Unknown,
    /// Depends on another check, which failed.
    Skipped,
}

/// One check and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Which one.
    pub id: CheckId,
    /// Its result.
    pub status: Status,
    /// What was found, for a person.
    pub text: String,
    /// The command or the field that repairs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}
