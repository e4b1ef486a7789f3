//! Images, and the Dockerfiles that they are built from.
//!
//! Where a Dockerfile is judged ([`build`](super::build)), the host is not looked at; else the images that the engine holds are
//! ([`api`]).

mod api;
mod words;

use crate::baseline::control::{Control, ImageWant};
use crate::finding::Verdict;
use crate::kinds::describe::Description;
use crate::kinds::{Context, build};
use crate::observe::Observer;

/// Looks at what the control needs.
pub fn observe(_want: &ImageWant, _observer: &mut Observer) {}

/// Verdicts of one control.
pub fn judge<'c>(control: &'c Control, want: &ImageWant, context: &Context) -> Vec<Verdict<'c>> {
    match &context.facts.build {
        Some(_) => build::judge(control, want, context),
        None => api::judge(control, want, context),
    }
}

/// The control in words, for `harden explain`.
pub fn describe(want: &ImageWant) -> Description {
    words::describe(want)
}
