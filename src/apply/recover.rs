//! Finishes off transactions that were cut short: everything they had begun goes back.

use crate::apply::journal::{Record, StateDir};
use crate::apply::transaction;
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;

/// Undoes every unfinished transaction, newest first. Returns how many there were.
///
/// # Errors
/// When something could not be put back; the error says where the originals lie.
pub fn unfinished(host: &Host, state: &StateDir, progress: &mut dyn FnMut(&str)) -> Result<usize> {
    let found = state.unfinished()?;
    if !found.is_empty() {
        crate::signal::hold();
    }
    let count = found.len();
    for (mut journal, plan) in found.into_iter().rev() {
        progress(&format!("undoing the unfinished transaction {}", journal.id()));
        let originals = journal.originals().clone();
        let mut stuck = transaction::undo(&mut journal, &plan, &originals);
        let (failed, note) = transaction::reactivate(host, journal.activated());
        stuck.extend(failed);
        note.iter().for_each(|note| progress(note));
        let outcome = if stuck.is_empty() { "undone" } else { "stuck" };
        journal.append(&Record::Closed { outcome: outcome.into() })?;
        if let Some(error) = Error::all(stuck) {
            let place = journal.path().display().to_string();
            return Err(Error { kind: ErrorKind::Stuck, ..error }.help(format!("the originals lie in {place}")));
        }
    }
    Ok(count)
}
