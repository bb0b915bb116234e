//! What is installed, held against the code: `manifests/` and `certs/`, rendered as a user renders them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first thing that is not as it should be, and may read files"
)]

mod audit;
mod backfill;
mod certificates;
mod doctor;
mod monitoring;
mod network_policy;
mod own_overlay;
mod policy;
mod render;
mod self_managed;
mod served_names;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
mod workload;
