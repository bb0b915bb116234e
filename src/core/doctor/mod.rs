//! Whether an installation is sound: facts in, checks out. One fault is named by one check; what depends on it is skipped.
//!
//! [`Facts`] are gathered by [`crate::cluster::doctor`].

mod certificates;
mod entries;
mod facts;
mod place;
mod pod;
mod policy;
mod probe;
mod reach;
mod report;
mod rights;
mod split;
mod surroundings;

use serde::Serialize;

pub use self::facts::{
    Account, Bundle, BundleState, Clock, Definition, Endpoint, Facts, Installed, Leaf, Look, Names, Obstacle,
    Presented, Probe, Rbac, SecretSource, Served, Told, WritingRights,
};
pub use self::place::{Call, Place, place};
pub use self::pod::{PodSays, pod_says};
pub use self::probe::probe_object;
use self::report::Report;

/// What is looked at. The names are stable: scripts may rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Id {
    /// The configuration that asks `/mutate` exists, with its entry.
    MutatingConfiguration,
    /// The configuration that asks `/validate` exists, with its entries.
    ValidatingConfiguration,
    /// What the entries are asked about.
    Rules,
    /// No namespace and no object is exempt.
    Selectors,
    /// What becomes of writes while nobody answers.
    FailurePolicy,
    /// `matchConditions` tell HobbyFarm from everybody else.
    Split,
    /// The policy that holds the door without the webhook, where there is one.
    AdmissionPolicy,
    /// `sideEffects` allow dry runs.
    SideEffects,
    /// The API server does not wait for long.
    Timeouts,
    /// The version of reviews is one that is answered.
    ReviewVersions,
    /// The entries call one server, by the right paths.
    ClientConfig,
    /// That Service exists and has that port.
    Service,
    /// What runs behind it, and what it is told.
    Deployment,
    /// Replicas are ready.
    Endpoints,
    /// What the API server trusts.
    CaBundle,
    /// What is served.
    ServedCertificate,
    /// What is served is what the Secret holds.
    Secret,
    /// HobbyFarm's definition of Sessions.
    Definition,
    /// HobbyFarm's accounts exist and may write.
    Accounts,
    /// Who else may write, as far as RBAC goes.
    OtherWriters,
    /// The webhook's own account has the rights that it needs, and no others.
    OwnRights,
    /// The clocks agree.
    Clock,
    /// A dry run of a create meets the webhook.
    Probe,
}

impl Id {
    /// As it is printed.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Sound,
    /// Works, and is worth a thought.
    Questionable,
    /// Broken.
    Faulty,
    /// Could not be looked at, for want of a right most likely.
    Unknown,
    /// Depends on what another check says.
    Skipped,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub id: Id,
    /// What it came to.
    pub status: Status,
    /// What was seen, for a person.
    pub text: String,
    /// The command or the field that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Judges an installation, each check once, in the order in which a person would look.
pub fn examine(facts: &Facts) -> Vec<Check> {
    let mut report = Report::default();
    entries::examine(facts, &mut report);
    policy::examine(facts, &mut report);
    reach::examine(facts, &mut report);
    certificates::examine(facts, &mut report);
    surroundings::examine(facts, &mut report);
    rights::examine(facts, &mut report);
    surroundings::clock(facts, &mut report);
    probe::examine(facts, &mut report);
    report.into_checks()
}
