//! What this program does in the cluster itself: the only users of [`kube::Client`].

pub mod authority;
pub mod backfill;
pub mod client;
pub mod doctor;
pub mod lease;
mod patch;
pub mod sessions;
