//! The only writes to the machine.

pub mod audit;
