//! Finishes off transactions that were cut short: everything they had begun goes back.

use crate::apply::journal::{Record, STUCK};
use crate::apply::state_dir::StateDir;
use crate::apply::transaction::{self, Back};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// Undoes every unfinished transaction, newest first. Returns how many there were. With `again` it also tries once more what could
/// not be put back, unless something was done since.
///
/// # Errors
/// When something could not be put back; the error says where the originals lie.
pub fn unfinished(host: &Host, state: &StateDir, again: bool, progress: &mut dyn FnMut(&str)) -> Result<usize> {
    let found = state.unfinished(again)?;
    if !found.is_empty() {
        crate::signal::hold();
    }
    let count = found.len();
    for (mut journal, plan) in found.into_iter().rev() {
        progress(&format!("undoing the unfinished transaction {}", journal.id()));
        let (originals, activated) = (journal.originals().clone(), journal.activated().to_vec());
        let unrecorded = transaction::begun_unrecorded(&journal, &plan);
        journal.begun_unrecorded(unrecorded);
        let Back { failed: stuck, left } = transaction::back(&mut journal, host, &plan, &originals, &activated);
        left.iter().for_each(|left| progress(left));
        let outcome = if stuck.is_empty() { "undone" } else { STUCK };
        journal.append(&Record::Closed { outcome: outcome.into() })?;
        if let Some(error) = Error::all(stuck) {
            let place = journal.path().display().to_string();
            return Err(Error { kind: ErrorKind::Stuck, ..error }.help(format!("the originals lie in {place}")));
        }
    }
    Ok(count)
}
