//! The versions of Kubernetes that are tested.

/// The oldest that is supported, and the newest there is. `tests/control-plane` provides each.
pub(crate) const TESTED: [&str; 2] = ["1.20", "1.37"];
