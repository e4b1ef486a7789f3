//! The only writes to a host, all of them under a journal.

pub mod activate;
pub mod audit;
pub mod canary;
pub mod history;
pub mod journal;
mod metadata;
pub mod recover;
mod restart;
mod stage;
pub mod state_dir;
mod target;
pub mod transaction;
pub mod validate;
pub mod writer;
