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
