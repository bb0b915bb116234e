//! What this program does in the cluster itself: the only users of [`kube::Client`].

pub mod audit;
pub mod authority;
pub mod backfill;
pub mod client;
pub mod doctor;
mod keep_alive;
pub mod lease;
mod pages;
mod patch;
mod plan;
pub mod sessions;
