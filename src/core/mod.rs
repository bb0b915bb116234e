//! The decision, pure: bytes and a point in time in, a verdict and a patch out.
//!
//! Each module imports only what is listed above it:
//!
//! - [`text`], [`requester`], [`settings`]: quoted text, who asks, what an operator may choose;
//! - [`session`]: one Session as HobbyFarm stores it;
//! - [`admission`]: one request, from the review that comes in to the response that goes out;
//! - [`stored`]: Sessions that are there already: backfill and audit;
//! - [`installation`]: what is shipped;
//! - [`policy_twin`]: who may write, a second time, as CEL for the API server itself;
//! - [`doctor`]: whether an installation is sound.

pub mod admission;
pub mod doctor;
pub mod installation;
pub mod policy_twin;
pub mod requester;
pub mod session;
pub mod settings;
pub mod stored;
pub mod text;
