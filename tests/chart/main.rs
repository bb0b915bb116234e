//! `manifests/chart`, rendered by the real Helm: the same as the overlays, only what the API knows, and nothing that makes no
//! sense. What becomes of it in a cluster is in `tests/chart_in_cluster`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test stops at the first thing that is not as it should be, and may read files; modules are shared with others"
)]

mod admission_policy;
mod equality;
mod gitops;
mod gitops_page;
mod helm;
mod options;
mod pods;
mod refusals;
#[path = "../manifests/render.rs"]
mod render;
mod served_name;
mod service_mesh;
mod settings;
mod surroundings;
mod types;
