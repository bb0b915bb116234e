//! Admission webhook that guards HobbyFarm's `Session` resource (`sessions.hobbyfarm.io`).
//!
//! A request flows through the modules in this order: [`server`] reads it, [`core::admission::review`] parses it,
//! [`core::requester`] names the writer, [`core::session`] views the object, [`core::admission::normalize`] repairs it with
//! [`core::session::timestamp`], [`core::admission::policy`] decides, [`core::admission::patch`] writes the repairs down, and [`core::admission::review`]
//! wraps the answer. [`core`] is pure: no clock, no files, no network; the rest is the shell around it.

pub mod cli;
pub mod cluster;
pub mod config;
pub mod core;
pub mod environment;
pub mod metrics;
pub mod server;
pub mod telemetry;
#[cfg(feature = "traces")]
pub mod traces;

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that the program was built from, or `unknown`.
pub const COMMIT: &str = env!("SESSION_WEBHOOK_COMMIT");
/// What `--version` prints behind the name.
pub const LONG_VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("SESSION_WEBHOOK_COMMIT"), ")");
