//! Kernel parameters.

use crate::baseline::control::{Control, SysctlWant};
use crate::finding::Verdict;
use crate::kinds::Context;
use crate::kinds::describe::Description;
use crate::observe::Observer;

/// Looks at what the control needs.
pub fn observe(_want: &SysctlWant, _observer: &mut Observer) {}

/// Verdicts of one control.
pub fn judge<'c>(_control: &'c Control, _want: &SysctlWant, _context: &Context) -> Vec<Verdict<'c>> {
    Vec::new()
}

/// The control in words, for `harden explain`.
pub fn describe(_want: &SysctlWant) -> Description {
    Description::default()
}
