//! The decision, pure: bytes and a point in time in, a verdict and a patch out.

pub mod admission_policy;
pub mod audit;
pub mod backfill;
pub mod cel;
pub mod doctor;
pub mod duration;
pub mod finding;
pub mod installation;
pub mod managed_fields;
pub mod members;
mod message;
pub mod normalize;
pub mod patch;
pub mod policy;
pub mod requester;
pub mod response;
pub mod review;
pub mod rule;
pub mod session;
pub mod settings;
pub mod text;
pub mod timestamp;
pub mod validate;
