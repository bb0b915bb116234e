//! Sessions that are stored already: [`audit`] finds what is wrong with them, [`backfill`] plans their repair.

pub mod audit;
pub mod backfill;
pub mod finding;
