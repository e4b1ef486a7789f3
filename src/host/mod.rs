//! The only way to the machine: reads, never writes.

pub mod audit;
