//! `doctor` without a cluster: facts as the shipped manifests make them, each broken in one way, and the one check that says so.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "this is test code"
)]

mod facts;
mod faults;
mod inject;
mod judgements;
mod pod_settings;
