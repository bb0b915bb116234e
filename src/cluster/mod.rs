//! What this program does in the cluster itself: the only users of [`kube::Client`].

pub mod audit;
pub mod backfill;
pub mod client;
pub mod doctor;
mod keep_alive_duration;
pub mod lease;
mod outage;
mod pages;
mod patch;
mod repair_planner;
pub mod self_managed;
pub mod served_versions;
pub mod sessions;
pub mod supervisor;
