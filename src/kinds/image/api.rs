//! Images that an engine holds.

use crate::baseline::control::{Control, ImageWant};
use crate::finding::Verdict;
use crate::kinds::{Context, docker_missing, not_applicable, verdict};

/// What stands for all images of a host.
const TARGET: &str = "images";

/// Verdicts of one control: one an image.
pub fn judge<'c>(control: &'c Control, _want: &ImageWant, context: &Context) -> Vec<Verdict<'c>> {
    let facts = context.facts;
    if let Some(outcome) = docker_missing(facts) {
        return vec![verdict(control, TARGET, outcome, "", "")];
    }
    if !facts.host.live {
        return vec![not_applicable(control, TARGET, "an image tree has no engine that holds images")];
    }
    let reason = "harden does not judge the images of an engine yet, only Dockerfiles: harden check --dockerfile PATH";
    vec![not_applicable(control, TARGET, reason)]
}
