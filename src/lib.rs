//! Admission webhook that guards HobbyFarm's `Session` resource (`sessions.hobbyfarm.io`).

pub mod core;
