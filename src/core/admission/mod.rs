//! One admission request, in the order of the flow: [`review`] reads it, [`policy`] decides who may write, [`normalize`]
//! repairs, [`validate`] judges, [`patch`] and `message` write down the [`decision`], [`response`] wraps the answer.

pub mod decision;
pub(in crate::core) mod message;
pub mod normalize;
pub mod patch;
pub mod policy;
pub mod response;
pub mod review;
pub mod rule;
pub mod validate;
