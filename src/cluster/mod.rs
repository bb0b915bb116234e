//! What this program does in the cluster itself: the only users of [`kube::Client`].

pub mod authority;
