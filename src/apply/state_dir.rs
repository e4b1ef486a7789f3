//! The state directory: who holds its lock may write to the host. It knows which transactions never ended, and which are old.

use std::fs::File;
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::apply::journal::{self, JOURNAL, Journal, ORIGINALS, PLAN, STUCK, log, open_in, outcome, transactions};
use crate::apply::writer::Writer;
use crate::error::{Error, ErrorKind, Result};
use crate::fact::{Fact, FileKind};
use crate::file_state::FileState;
use crate::host::fs::{Root, Want};
use crate::plan::Plan;

/// The newest transactions are kept, however old.
const KEEP_NEWEST: usize = 20;
/// Younger ones are kept, however many.
const KEEP_DAYS: i64 = 90;
/// How often a directory is tried to be made where runs that start at the same time are in each other's way.
const ATTEMPTS: usize = 10;
const PRIVATE_DIR: u32 = 0o700;
const PUBLIC_DIR: u32 = 0o755;

/// The state directory, locked: only who holds this may write to the host.
pub struct StateDir<'r> {
    root: &'r Root,
    path: String,
    _lock: Flock<File>,
}

impl<'r> StateDir<'r> {
    /// Creates the directory where it is missing, and takes the lock. A killed run can't leave the lock behind.
    ///
    /// # Errors
    /// When another run holds it, saying which.
    pub fn lock(root: &'r Root, path: &str) -> Result<Self> {
        let writer = Writer::new(root);
        ensure_dir(&writer, root, path)?;
        let transactions = format!("{path}/transactions");
        ensure_dir(&writer, root, &transactions)?;
        let file = open_in(root, &format!("{path}/lock"), OFlag::O_RDWR | OFlag::O_CREAT)?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((file, Errno::EWOULDBLOCK)) => {
                let holder =
                    holder(&file).map_or_else(|| "a process that can't be seen".into(), |pid| format!("process {pid}"));
                return Err(Error::failure(format!("another harden is at work here ({holder})"))
                    .at(path)
                    .help("wait until it has ended"));
            }
            Err((_, errno)) => return Err(Error::io(path, "lock it", errno.desc())),
        };
        // Nobody else stages here now: what is left is a killed run's.
        writer.sweep_beside(&transactions)?;
        writer.sweep_beside(&format!("{transactions}/any"))?;
        Ok(Self { root, path: path.to_owned(), _lock: lock })
    }

    /// Starts a transaction.
    pub fn begin(&self, id: &str) -> Result<Journal<'r>> {
        let path = format!("{}/transactions/{id}", self.path);
        let writer = Writer::new(self.root);
        writer.make_dir(&path, PRIVATE_DIR, nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())?;
        Journal::create(self.root, path)
    }

    /// Takes away transactions that are neither among the newest [`KEEP_NEWEST`] nor younger than [`KEEP_DAYS`], never an
    /// unfinished one. Returns how many.
    pub fn prune(&self) -> Result<usize> {
        let ids = transactions(self.root, &self.path);
        let old = &ids[..ids.len().saturating_sub(KEEP_NEWEST)];
        let limit = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * KEEP_DAYS);
        let limit = limit.strftime("%Y%m%dT%H%M%SZ").to_string();
        let mut removed = 0;
        // Ids begin with their time, so they compare by it.
        for id in old.iter().filter(|id| id.as_str() < limit.as_str()) {
            let path = format!("{}/transactions/{id}", self.path);
            if log(self.root, &path).is_ok_and(|log| log.is_some_and(|log| outcome(&log.records).is_some())) {
                self.remove(&path)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Transactions that never ended, oldest first, with what they had begun. With `again` also the newest one of all if it could not
    /// be put back: what was in the way may be gone.
    pub fn unfinished(&self, again: bool) -> Result<Vec<(Journal<'r>, Plan)>> {
        let mut found = Vec::new();
        let ids = match self.root.list(&format!("{}/transactions", self.path)) {
            Fact::Known(ids) => ids,
            Fact::Absent => Vec::new(),
            Fact::Unknown(why) => return Err(Error::failure(why).at(self.root.shown(&self.path))),
        };
        for id in &ids {
            let path = format!("{}/transactions/{id}", self.path);
            let by_hand = |error: Error| {
                let by_hand = format!("put back by hand what {path}/{ORIGINALS} holds, then remove {path}");
                let help = match &error.help {
                    // Another harden can.
                    Some(other) => format!("a run was cut short and can't be undone by this harden; {other}, or {by_hand}"),
                    None => format!("a run was cut short and can't be undone; {by_hand}"),
                };
                Error { kind: ErrorKind::Stuck, help: Some(help), ..error }
            };
            let log = log(self.root, &path).map_err(by_hand)?;
            let records = log.as_ref().map(|log| log.records.as_slice()).unwrap_or_default();
            let retried = again && ids.last() == Some(id);
            match outcome(records) {
                Some(STUCK) if retried => {}
                Some(_) => continue,
                None => {}
            }
            // Nothing was touched before the first record, and the originals are on disk before that.
            if records.is_empty() && self.root.look(&format!("{path}/{ORIGINALS}"), Want::Stat) == Fact::Absent {
                self.remove(&path)?;
                continue;
            }
            let plan = journal::plan(self.root, &path).map_err(by_hand)?;
            let (originals, _) = journal::originals(self.root, &path).map_err(by_hand)?;
            let journal = Journal::reopen(self.root, path.clone(), originals, &log.unwrap_or_default()).map_err(by_hand)?;
            found.push((journal, plan));
        }
        Ok(found)
    }

    /// Takes a transaction away, the journal last: it says that the rest is not needed any more. A folder with anything else in it
    /// is none of harden's and stays.
    fn remove(&self, transaction: &str) -> Result<()> {
        let names = self.root.list(transaction).known().cloned().unwrap_or_default();
        let documents = [PLAN, ORIGINALS, JOURNAL];
        let is_folder = |state: &FileState| state.kind == FileKind::Dir;
        let writer = Writer::new(self.root);
        if !writer.state(transaction)?.as_ref().is_some_and(is_folder)
            || !names.iter().all(|name| documents.contains(&name.as_str()))
        {
            return Ok(());
        }
        let paths = documents.iter().map(|name| format!("{transaction}/{name}")).chain([transaction.to_owned()]);
        for path in paths {
            if let Some(state) = writer.state(&path)? {
                writer.remove(&path, &state)?;
            }
        }
        Ok(())
    }
}

fn ensure_dir(writer: &Writer, root: &Root, path: &str) -> Result<()> {
    let mut missing = Vec::new();
    for dir in std::path::Path::new(path).ancestors().filter_map(std::path::Path::to_str) {
        match root.look(dir, Want::Stat) {
            Fact::Known(_) => break,
            Fact::Absent => missing.push(dir.to_owned()),
            Fact::Unknown(why) => {
                return Err(Error::failure(why).at(root.shown(path)).help("give another place with --state-dir"));
            }
        }
    }
    for dir in missing.iter().rev() {
        // What lies above is the system's, and as open as its directories are.
        let mode = if dir == path { PRIVATE_DIR } else { PUBLIC_DIR };
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        // Nobody holds the lock yet: another run may make it as well, and clean up what this one has staged.
        let mut attempts = 0;
        while let Err(error) = writer.make_dir(dir, mode, uid, gid) {
            attempts += 1;
            if matches!(root.look(dir, Want::Stat), Fact::Known(_)) {
                break;
            }
            if attempts == ATTEMPTS {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Who holds the lock, as the kernel knows: a run that finds nothing to do writes nothing, so not its name either.
fn holder(file: &File) -> Option<i32> {
    let inode = file.metadata().ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF`
    let of_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ours = words.get(1) == Some(&"FLOCK") && words.get(5)?.rsplit(':').next() == Some(&inode);
        words.get(4).filter(|_| ours)?.parse().ok()
    };
    locks.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::journal::Record;
    use crate::host::scratch::Scratch;

    #[test]
    fn a_transaction_that_began_and_cannot_be_read_is_not_passed_over() {
        let scratch = Scratch::new();
        let root = scratch.root();
        let state = StateDir::lock(&root, "/state").unwrap();
        drop(state.begin("1").unwrap());
        assert!(state.unfinished(false).unwrap().is_empty());
        assert!(scratch.names("state/transactions").is_empty(), "nothing was recorded, so nothing has to be kept");
        let mut journal = state.begin("1").unwrap();
        journal.append(&Record::Intent { change: "c1".into() }).unwrap();
        let error = state.unfinished(false).map(|found| found.len()).unwrap_err();
        let path = scratch.path().display();
        assert_eq!(
            error.to_string(),
            format!(
                "{path}/state/transactions/1/plan.json: it is not there\n  help: a run was cut short and can't be undone; put back by \
                 hand what /state/transactions/1/originals.json holds, then remove /state/transactions/1"
            )
        );
        assert_eq!(error.kind, ErrorKind::Stuck);
        journal.append(&Record::Closed { outcome: "undone".into() }).unwrap();
        assert!(state.unfinished(false).unwrap().is_empty());
    }

    #[test]
    fn a_transaction_of_a_later_format_is_left_to_the_harden_that_wrote_it() {
        let scratch = Scratch::new();
        let root = scratch.root();
        let state = StateDir::lock(&root, "/state").unwrap();
        let path = scratch.path().display();
        let one = "/state/transactions/1";
        let begin =
            |format: &str| format!("{{\"begin\":{{\"schema\":\"{format}\",\"time\":\"\",\"by\":\"\",\"command\":\"\"}}}}\n");
        let cases = [
            ("journal.jsonl", begin("harden/transaction/2"), "harden/transaction/2", "harden/transaction/1"),
            ("plan.json", r#"{"schema": "harden/plan/7", "steps": 3}"#.into(), "harden/plan/7", "harden/plan/1"),
            ("originals.json", r#"{"schema": "harden/transaction/2"}"#.into(), "harden/transaction/2", "harden/transaction/1"),
        ];
        for (name, text, found, known) in cases {
            let plan = Plan { schema: crate::plan::SCHEMA.into(), ..Plan::default() };
            scratch.file(&format!("{one}/plan.json"), serde_json::to_string(&plan).unwrap(), 0o600);
            scratch.file(&format!("{one}/originals.json"), r#"{"schema": "harden/transaction/1", "files": []}"#, 0o600);
            scratch.file(&format!("{one}/journal.jsonl"), begin("harden/transaction/1"), 0o600);
            assert_eq!(state.unfinished(false).unwrap().len(), 1);
            scratch.file(&format!("{one}/{name}"), text, 0o600);
            let error = state.unfinished(true).map(|found| found.len()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "{path}{one}/{name}: its format is `{found}`, this harden reads `{known}`\n  help: a run was cut short and can't \
                     be undone by this harden; use the harden that wrote it, or put back by hand what {one}/originals.json holds, then \
                     remove {one}"
                )
            );
            assert_eq!(error.kind, ErrorKind::Stuck);
        }
    }
}
