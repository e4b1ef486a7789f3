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
        let unrecorded = transaction::as_planned_unrecorded(&journal, &plan);
        if journal.is_torn() {
            journal.begun_unrecorded(unrecorded);
        } else {
            // An intent is on disk before its effect: without one nothing was begun, and this is somebody else's doing.
            let told = |id: &&String| plan.changes.iter().find(|change| change.id == **id);
            for change in unrecorded.iter().filter_map(|id| told(&id)) {
                progress(&format!("{} is as planned, but not by this run; it stays so", change.target()));
            }
        }
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
