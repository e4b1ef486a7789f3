//! The journal: what a transaction is about to do is on disk before it happens.
//!
//! `STATE_DIR/lock` is held by the one run that may write. `STATE_DIR/transactions/ID/` holds `plan.json`, `originals.json`
//! (every file as it was, with owner, mode, ACL and attributes) and `journal.jsonl`, one record a line. All of it is root's alone,
//! because originals hold whatever the files held. Every document names its format.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::apply::transaction::Originals;
use crate::apply::writer::{Meta, Writer};
use crate::change::{Action, Effect};
use crate::error::{Error, Result};
use crate::fact::Fact;
use crate::file_state::FileState;
use crate::formats::audit_rule::Rule;
use crate::formats::mask;
use crate::host::fs::{Root, Want};
use crate::host::walk::Walked;
use crate::plan::Plan;

/// Format of `originals.json` and of the journal's first record.
pub const SCHEMA: &str = "harden/transaction/1";
/// Originals may be as large as what is written.
const MAX_DOCUMENT: usize = 64 << 20;
/// The outcome of a transaction that could not be put back.
pub const STUCK: &str = "stuck";
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
pub(super) fn document<T: for<'de> Deserialize<'de>>(root: &Root, transaction: &str, name: &str) -> Result<(T, i64)> {
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

    /// A new one.
    pub(super) fn create(root: &'r Root, path: String) -> Result<Self> {
        Self::open(root, path, OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// One that was cut short, to go on with.
    pub(super) fn reopen(root: &'r Root, path: String, originals: OriginalsDocument, records: &[Record]) -> Result<Self> {
        let mut journal = Self::open(root, path, OFlag::empty())?;
        journal.forget_torn_record()?;
        journal.writer.sweep_beside(&format!("{}/any", journal.path))?;
        journal.originals = originals.files.into_iter().map(|original| (original.change, original.state)).collect();
        records.iter().for_each(|record| journal.remember(record));
        Ok(journal)
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
            // What was before is in the plan.
            Effect::AuditKernel { .. } | Effect::Container { .. } => None,
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

/// Opens a file of the state directory by descriptor, never through a link.
pub(super) fn open_in(root: &Root, path: &str, flags: OFlag) -> Result<File> {
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
