//! The journal: what a transaction is about to do is on disk before it happens.
//!
//! `STATE_DIR/lock` is held by the one run that may write. `STATE_DIR/transactions/ID/` holds `plan.json`, `originals.json`
//! (every file as it was, with owner, mode, ACL and attributes) and `journal.jsonl`, one record a line. All of it is root's alone,
//! because originals hold whatever the files held. Every document names its format.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::apply::transaction::Originals;
use crate::apply::writer::{Meta, Writer};
use crate::change::{Action, Effect};
use crate::error::{Error, ErrorKind, Result};
use crate::fact::{Fact, FileKind};
use crate::file_state::FileState;
use crate::formats::audit_rule::Rule;
use crate::formats::mask;
use crate::host::fs::{Root, Want};
use crate::host::walk::Walked;
use crate::plan::Plan;

/// Format of `originals.json` and of the journal's first record.
pub const SCHEMA: &str = "harden/transaction/1";
/// The newest transactions are kept, however old.
const KEEP_NEWEST: usize = 20;
/// Younger ones are kept, however many.
const KEEP_DAYS: i64 = 90;
/// Originals may be as large as what is written.
const MAX_DOCUMENT: usize = 64 << 20;
/// The outcome of a transaction that could not be put back.
pub const STUCK: &str = "stuck";
/// How often a directory is tried to be made where runs that start at the same time are in each other's way.
const ATTEMPTS: usize = 10;
const PRIVATE_DIR: u32 = 0o700;
const PUBLIC_DIR: u32 = 0o755;
const PRIVATE_FILE: u32 = 0o600;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// The transaction starts; plan and originals are on disk.
    Begin {
        /// `harden/transaction/1`.
        schema: String,
        /// RFC 3339.
        time: String,
        /// Who ran it: uid, and the name behind sudo.
        by: String,
        /// The command line.
        command: String,
    },
    /// This change is about to happen.
    Intent {
        /// Its id.
        change: String,
    },
    /// This rule is about to be added to the kernel.
    AddingRule {
        /// The rule.
        rule: Rule,
    },
    /// The kernel had this rule already: it is not this transaction's, and stays when that is undone.
    RuleWasThere {
        /// The rule.
        rule: Rule,
    },
    /// This change is complete.
    Done {
        /// Its id.
        change: String,
    },
    /// This activation is about to happen.
    Activating {
        /// Which.
        action: Action,
    },
    /// This activation is complete.
    Activated {
        /// Which.
        action: Action,
    },
    /// This change was undone.
    Undone {
        /// Its id.
        change: String,
    },
    /// The transaction has ended.
    Closed {
        /// `committed`, `undone` or `stuck`.
        outcome: String,
    },
}

/// The originals of one transaction.
#[derive(Debug, Serialize, Deserialize)]
pub struct OriginalsDocument {
    /// `harden/transaction/1`.
    pub schema: String,
    /// One entry a changed file.
    pub files: Vec<Original>,
}

/// One file as it was.
#[derive(Debug, Serialize, Deserialize)]
pub struct Original {
    /// The change that touches it.
    pub change: String,
    /// Its path beneath the root.
    pub path: String,
    /// When it was last modified, nanoseconds since 1970.
    pub mtime_ns: Option<i64>,
    /// Its state; `null` where nothing was there.
    pub state: Option<FileState>,
}

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
        let mut lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(Error::failure(format!("another harden is at work here ({})", holder.trim()))
                    .at(path)
                    .help("wait until it has ended"));
            }
            Err((_, errno)) => return Err(Error::io(path, "lock it", errno.desc())),
        };
        let holder = format!("process {}\n", std::process::id());
        lock.set_len(0)
            .and_then(|()| lock.seek(SeekFrom::Start(0)))
            .and_then(|_| lock.write_all(holder.as_bytes()))
            .map_err(|error| Error::io(path, "write the lock", error))?;
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
        Journal::open(self.root, path, OFlag::O_CREAT | OFlag::O_EXCL)
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
            if records(self.root, &path).is_ok_and(|records| records.as_deref().and_then(outcome).is_some()) {
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
            let records = records(self.root, &path)?;
            let retried = again && ids.last() == Some(id);
            match records.as_deref().and_then(outcome) {
                Some(STUCK) if retried => {}
                Some(_) => continue,
                None => {}
            }
            let originals = format!("{path}/originals.json");
            // Nothing was touched before the first record, and the originals are on disk before that.
            if records.as_deref().unwrap_or_default().is_empty() && self.root.look(&originals, Want::Stat) == Fact::Absent {
                self.remove(&path)?;
                continue;
            }
            let stuck = |error: Error| {
                Error { kind: ErrorKind::Stuck, ..error }.help(format!(
                    "a run was cut short and can't be undone; put back by hand what {originals} holds, then remove {path}"
                ))
            };
            let (plan, _) = document::<Plan>(self.root, &path, "plan.json").map_err(stuck)?;
            let (originals, _) = document::<OriginalsDocument>(self.root, &path, "originals.json").map_err(stuck)?;
            let mut journal = Journal::open(self.root, path.clone(), OFlag::empty()).map_err(stuck)?;
            journal.forget_torn_record()?;
            journal.writer.sweep_beside(&format!("{path}/any"))?;
            journal.originals = originals.files.into_iter().map(|original| (original.change, original.state)).collect();
            records.iter().flatten().for_each(|record| journal.remember(record));
            found.push((journal, plan));
        }
        Ok(found)
    }

    /// Takes a transaction away, the journal last: it says that the rest is not needed any more. A folder with anything else in it
    /// is none of harden's and stays.
    fn remove(&self, transaction: &str) -> Result<()> {
        let names = self.root.list(transaction).known().cloned().unwrap_or_default();
        let documents = ["plan.json", "originals.json", "journal.jsonl"];
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

/// How a transaction ended, unless its last record is another one: then it was cut short, perhaps while it was put back.
pub fn outcome(records: &[Record]) -> Option<&str> {
    match records.last() {
        Some(Record::Closed { outcome }) => Some(outcome),
        _ => None,
    }
}

/// Ids of all transactions, oldest first.
pub fn transactions(root: &Root, state_dir: &str) -> Vec<String> {
    root.list(&format!("{state_dir}/transactions")).known().cloned().unwrap_or_default()
}

/// The originals of one transaction, where they can be read, and when they were recorded (nanoseconds since 1970).
pub fn originals(root: &Root, transaction: &str) -> Option<(OriginalsDocument, i64)> {
    document(root, transaction, "originals.json").ok()
}

/// The plan of one transaction, where it can be read.
pub fn plan(root: &Root, transaction: &str) -> Option<Plan> {
    document(root, transaction, "plan.json").ok().map(|(plan, _)| plan)
}

/// A document and when it was written; an error says why it can't be read.
fn document<T: for<'de> Deserialize<'de>>(root: &Root, transaction: &str, name: &str) -> Result<(T, i64)> {
    let path = format!("{transaction}/{name}");
    let failed = |why: String| Error::failure(why).at(root.shown(&path));
    match root.look(&path, Want::Content { limit: MAX_DOCUMENT }) {
        Fact::Known(file) => {
            let bytes = file.content.map(|content| content.0).unwrap_or_default();
            let read = serde_json::from_slice(&bytes).map_err(|error| failed(format!("it can't be read: {error}")))?;
            Ok((read, file.mtime_ns))
        }
        Fact::Absent => Err(failed("it is not there".into())),
        Fact::Unknown(why) => Err(failed(why)),
    }
}

/// All whole records, `None` without a journal; a line that a power cut left half written is no record.
///
/// # Errors
/// When there is a journal that can't be read.
pub fn records(root: &Root, transaction: &str) -> Result<Option<Vec<Record>>> {
    let path = format!("{transaction}/journal.jsonl");
    match root.look(&path, Want::Content { limit: MAX_DOCUMENT }) {
        Fact::Known(file) => {
            let bytes = file.content.map(|content| content.0).unwrap_or_default();
            Ok(Some(bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()))
        }
        Fact::Absent => Ok(None),
        Fact::Unknown(why) => Err(Error::failure(why).at(root.shown(&path))),
    }
}

/// One transaction.
pub struct Journal<'r> {
    root: &'r Root,
    writer: Writer<'r>,
    path: String,
    file: File,
    /// Bytes of whole records.
    length: u64,
    originals: Originals,
    begun: Vec<String>,
    rules: Vec<Rule>,
    activated: Vec<Action>,
}

impl<'r> Journal<'r> {
    fn open(root: &'r Root, path: String, flags: OFlag) -> Result<Self> {
        let file = open_in(root, &format!("{path}/journal.jsonl"), flags | OFlag::O_RDWR | OFlag::O_APPEND)?;
        Ok(Journal {
            root,
            writer: Writer::new(root),
            path,
            file,
            length: 0,
            originals: Originals::new(),
            begun: Vec::new(),
            rules: Vec::new(),
            activated: Vec::new(),
        })
    }

    /// A record after half a line would be lost with it.
    fn forget_torn_record(&mut self) -> Result<()> {
        let mut text = Vec::new();
        let whole = |text: &[u8]| text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.file
            .read_to_end(&mut text)
            .and_then(|_| {
                self.length = whole(&text) as u64;
                if self.length < text.len() as u64 { self.file.set_len(self.length) } else { Ok(()) }
            })
            .map_err(|error| Error::io(self.path(), "mend the journal", error))
    }

    /// The only way to write to the host.
    pub fn writer(&self) -> &Writer<'r> {
        &self.writer
    }

    /// Where the transaction lies, as the user can reach it.
    pub fn path(&self) -> PathBuf {
        self.root.shown(&self.path)
    }

    /// The transaction's id.
    pub fn id(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Puts plan and originals on disk; nothing may be touched before.
    pub fn keep(&mut self, plan: &Plan, originals: &Originals) -> Result<()> {
        let files = plan.changes.iter().filter_map(|change| match &change.effect {
            Effect::File { path, .. } => {
                let mtime_ns = match self.root.look(path, Want::Stat) {
                    Fact::Known(file) => Some(file.mtime_ns),
                    _ => None,
                };
                let state = originals.get(&change.id).cloned().flatten();
                Some(Original { change: change.id.clone(), path: path.clone(), mtime_ns, state })
            }
            Effect::AuditKernel { .. } => None,
        });
        let document = OriginalsDocument { schema: SCHEMA.into(), files: files.collect() };
        self.write("plan.json", plan)?;
        self.write("originals.json", &document)?;
        self.originals = originals.clone();
        let user = std::env::var("SUDO_USER").map(|name| format!(" ({name})")).unwrap_or_default();
        self.append(&Record::Begin {
            schema: SCHEMA.into(),
            time: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            by: format!("uid {}{user}", nix::unistd::getuid()),
            command: std::env::args().map(|word| mask::mask_text(&word)).collect::<Vec<_>>().join(" "),
        })
    }

    /// Appends a record; it is on disk when this returns, and not in the journal when that fails.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).map_err(|error| Error::io(self.path(), "write a record", error))?;
        line.push(b'\n');
        if let Err(error) = self.file.write_all(&line).and_then(|()| self.file.sync_data()) {
            // What is said to have failed must not be read as having happened, nor run into the next line.
            let _ = self.file.set_len(self.length);
            return Err(Error::io(self.path(), "write the journal", error));
        }
        self.length += line.len() as u64;
        self.remember(record);
        Ok(())
    }

    fn remember(&mut self, record: &Record) {
        match record {
            Record::Intent { change } => self.begun.push(change.clone()),
            Record::AddingRule { rule } => self.rules.push(rule.clone()),
            Record::RuleWasThere { rule } => self.rules.retain(|added| added != rule),
            Record::Activating { action } => self.activated.push(*action),
            Record::Undone { change } => self.begun.retain(|begun| begun != change),
            _ => {}
        }
    }

    /// A changed file as it was.
    pub fn original(&self, change: &str) -> Option<&FileState> {
        self.originals.get(change)?.as_ref()
    }

    /// All originals.
    pub fn originals(&self) -> &Originals {
        &self.originals
    }

    /// Changes that show, though there is no record of them, that they were begun.
    pub fn begun_unrecorded(&mut self, changes: Vec<String>) {
        self.begun.extend(changes);
    }

    /// Changes that were begun and not undone.
    pub fn begun(&self) -> &[String] {
        &self.begun
    }

    /// Activations that were (perhaps) carried out.
    pub fn activated(&self) -> &[Action] {
        &self.activated
    }

    /// Rules that were (perhaps) added to the kernel.
    pub fn rules_added(&self) -> &[Rule] {
        &self.rules
    }

    fn write(&self, name: &str, document: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(document).map_err(|error| Error::io(self.path(), "write it", error))?;
        text.push(b'\n');
        let meta = Meta { mode: Some(PRIVATE_FILE), ..Meta::default() };
        self.writer.replace(&format!("{}/{name}", self.path), None, &text, &meta)
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

/// Opens a file of the state directory by descriptor, never through a link.
fn open_in(root: &Root, path: &str, flags: OFlag) -> Result<File> {
    let spot = match root.walk(path)? {
        Walked::Found(spot, _) | Walked::Free(spot) => spot,
        Walked::NoWay { at } => return Err(Error::failure("it does not exist").at(root.shown(&at))),
    };
    let fd: OwnedFd = openat(
        &spot.dir,
        spot.name.as_str(),
        flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::from_bits_truncate(PRIVATE_FILE),
    )
    .map_err(|errno| Error::io(root.shown(path), "open it", errno.desc()))?;
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    #[test]
    fn a_transaction_that_began_and_cannot_be_read_is_not_passed_over() {
        let scratch = Scratch::new();
        let root = scratch.root();
        let state = StateDir::lock(&root, "/state").unwrap();
        state.begin("1").unwrap();
        assert!(state.unfinished(false).unwrap().is_empty(), "nothing was recorded yet");
        let mut journal = state.begin("2").unwrap();
        journal.append(&Record::Intent { change: "c1".into() }).unwrap();
        let error = state.unfinished(false).map(|found| found.len()).unwrap_err();
        let path = scratch.path().display();
        assert_eq!(
            error.to_string(),
            format!(
                "{path}/state/transactions/2/plan.json: it is not there\n  help: a run was cut short and can't be undone; put back by \
                 hand what /state/transactions/2/originals.json holds, then remove /state/transactions/2"
            )
        );
        assert_eq!(error.kind, ErrorKind::Stuck);
        journal.append(&Record::Closed { outcome: "undone".into() }).unwrap();
        assert!(state.unfinished(false).unwrap().is_empty());
    }
}
