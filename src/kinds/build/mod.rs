//! Dockerfiles and build contexts, judged by the rules of images.

use crate::baseline::control::{Control, ImageWant};
use crate::fact::BuildFacts;
use crate::finding::Verdict;
use crate::kinds::{Context, unknown};

/// Verdicts of one control.
pub fn judge<'c>(control: &'c Control, _want: &ImageWant, _facts: &BuildFacts, _context: &Context) -> Vec<Verdict<'c>> {
    vec![unknown(control, "Dockerfile", "not looked at")]
}
