//! The machine: everything that is read from it, and nothing that writes to it.

pub mod docker;
pub mod machine;
pub mod process;
#[cfg(test)]
mod scratch;
