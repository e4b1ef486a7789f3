//! The only writes to a host, all of them under a journal.

mod account_lock;
pub mod activate;
pub mod audit;
pub mod canary;
pub mod container;
pub mod history;
pub mod journal;
mod metadata;
pub mod recover;
mod restart;
mod stage;
pub mod state_dir;
pub mod sysctl;
mod target;
pub mod transaction;
pub mod validate;
pub mod writer;
