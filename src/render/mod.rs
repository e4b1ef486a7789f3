//! Renderings of a report, one file a format.

pub mod diff;
pub mod html;
pub mod json;
pub mod junit;
mod markup;
mod place;
pub mod progress;
pub mod sarif;
mod sentences;
pub mod style;
pub mod text;

#[cfg(test)]
pub(crate) mod samples;
