//! Renderings of a report, one file a format.

pub mod diff;
pub mod json;
pub mod progress;
pub mod style;
pub mod text;

#[cfg(test)]
pub(crate) mod samples;
