//! Whether an installation is sound: [`Facts`] in, [`Check`]s out. Pure; [`crate::cluster::doctor`] gathers the facts,
//! and `src/cli/doctor` prints the checks.
//!
//! # The flow
//!
//! 1. `session-webhook doctor` calls [`crate::cluster::doctor::gather`], which reads every object with the rights of the
//!    calling user and puts each into [`Facts`] as an [`Observation`]: found, absent, or [`Unobservable`], with the right
//!    that is missing or the error.
//! 2. [`run_checks`] runs each check once, in the order in which a person would look: from the webhook configurations,
//!    over the Service, the Deployment and the replicas, to certificates, HobbyFarm's objects, rights, clocks, and at last
//!    the probe, a dry run that takes the whole way.
//! 3. A check appends one [`Check`] to the `Report`: its [`CheckId`], a [`Status`], what was found, and how to repair it.
//!    A check that looks at several objects (entries, replicas) collects `Finding`s, and the worst of them is the result.
//!
//! # Which check tells of a fault
//!
//! One fault is told by one check. A check that cannot be judged because an earlier one failed asks the report for it
//! (`Report::first_unsound`) and is [`Status::Skipped`], with the name of that check. So does the probe with every check
//! on the way from the API server to a replica. What may not be read is [`Status::Unknown`] in the check that needs it
//! first, and never a fault.
//!
//! # The files
//!
//! | file | what it holds |
//! |---|---|
//! | `check` | [`CheckId`], [`Status`], [`Check`]: what is printed |
//! | `observation` | [`Observation`], [`Unobservable`]: what reading an object came to |
//! | `facts` | [`Facts`] and the plain data in it; `certificate_facts`: certificates and the servers that present them |
//! | `webhook_target` | [`ClientConfig`] of an entry, [`WebhookTarget`]: the Service or URL that is called |
//! | `pod_settings` | [`PodSettings`]: arguments, variables and files that a Deployment gives its pods |
//! | `entries`, `match_conditions` | helpers to read the entries of a webhook configuration |
//! | `grants` | RBAC, read as who may do what where |
//! | `report` | the checks so far, and findings of one check |
//! | `checks/` | one file a check, named as the check is printed |
//!
//! # A new check
//!
//! A variant of [`CheckId`] (its kebab-case name is printed), a file of that name in `checks/` with
//! `check(&Facts, &mut Report)`, a line in `checks/mod.rs` where it belongs in the order, a fact in [`Facts`] and its
//! reader in `src/cluster/doctor`, and a fault that it finds in `tests/doctor/faults.rs`. A test fails when the
//! file is missing.

mod certificate_facts;
mod check;
mod checks;
mod entries;
mod facts;
mod grants;
mod match_conditions;
mod observation;
mod pod_settings;
mod report;
mod webhook_target;

pub use self::certificate_facts::{
    CaBundle, CaBundleContent, CertificateInfo, ClockReading, PresentedCertificate, ServedCertificate,
};
pub use self::check::{Check, CheckId, Status};
pub use self::checks::{probe_object, run_checks};
pub use self::facts::{
    CertificateSource, Endpoint, Facts, HobbyFarmAccount, ProbeResult, Rbac, ServeSettings, SessionDefinition,
    SettingsUnknown, WriteRights,
};
pub use self::observation::{Observation, Unobservable};
pub use self::pod_settings::{PodSettings, pod_settings};
pub use self::webhook_target::{ClientConfig, InstallationNames, WebhookTarget, webhook_target};
