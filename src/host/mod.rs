//! The machine: everything that is read from it, and nothing that writes to it.

pub mod docker;
pub mod machine;
pub mod process;
#[cfg(test)]
mod scratch;
//! The only way to the machine for reading.

pub mod accounts;
pub(crate) mod advice;
pub mod fs;
mod glob;
pub(crate) mod handle;
#[cfg(test)]
pub(crate) mod scratch;
mod state;
pub(crate) mod walk;
