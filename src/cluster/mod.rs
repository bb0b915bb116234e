//! What this program does in the cluster itself: the only users of [`kube::Client`].

pub mod authority;
pub mod client;
mod patch;
pub mod sessions;
