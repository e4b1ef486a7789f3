//! The only writes.

mod metadata;
mod stage;
mod target;
pub mod writer;
