//! The machine.

use crate::baseline::control::{Control, HostWant};
use crate::finding::Verdict;
use crate::kinds::Context;
use crate::kinds::describe::Description;
use crate::observe::Observer;

/// Looks at what the control needs.
pub fn observe(_want: &HostWant, _observer: &mut Observer) {}

/// Verdicts of one control.
pub fn judge<'c>(_control: &'c Control, _want: &HostWant, _context: &Context) -> Vec<Verdict<'c>> {
    Vec::new()
}

/// The control in words, for `harden explain`.
pub fn describe(_want: &HostWant) -> Description {
    Description::default()
}
