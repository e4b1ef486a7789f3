//! What only a person can tell.

use crate::baseline::control::{AttestWant, Control};
use crate::finding::Verdict;
use crate::kinds::Context;
use crate::kinds::describe::Description;

/// Verdicts of one control.
pub fn judge<'c>(_control: &'c Control, _want: &AttestWant, _context: &Context) -> Vec<Verdict<'c>> {
    Vec::new()
}

/// The control in words, for `harden explain`.
pub fn describe(_want: &AttestWant) -> Description {
    Description::default()
}
