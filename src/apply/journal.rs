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
use crate::fact::{Content, Fact, FileKind};
use crate::file_state::FileState;
use crate::formats::audit_rule::Rule;
use crate::formats::mask;
use crate::host::fs::{Root, Want};
use crate::host::walk::Walked;
use crate::plan::{self, Plan};

/// Format of `originals.json` and of the journal's first record.
pub const SCHEMA: &str = "harden/transaction/1";
/// Originals may be as large as what is written.
const MAX_DOCUMENT: usize = 64 << 20;
/// The outcome of a transaction that could not be put back.
pub const STUCK: &str = "stuck";
/// The plan of a transaction.
pub const PLAN: &str = "plan.json";
/// Its originals.
pub const ORIGINALS: &str = "originals.json";
/// Its records.
pub const JOURNAL: &str = "journal.jsonl";
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
    /// This file is about to have another content than before or after, for as long as dockerd starts.
    Passing(Passing),
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

/// A content that a file has for a moment only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Passing {
    /// The file.
    pub path: String,
    /// What it was before that, and is again afterwards; `null` where nothing was there.
    pub before: Option<FileState>,
    /// What it has in that moment.
    pub content: Content,
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
    /// When content or metadata had last changed, nanoseconds since 1970. Older records do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctime_ns: Option<i64>,
    /// Its state; `null` where nothing was there.
    pub state: Option<FileState>,
}

impl Original {
    /// When it can last have been written; see [`crate::fact::FileFact::changed_ns`].
    pub fn changed_ns(&self) -> Option<i64> {
        self.ctime_ns.or(self.mtime_ns)
    }
}

/// What there is of a journal.
#[derive(Debug, Default)]
pub struct Log {
    /// All whole records.
    pub records: Vec<Record>,
    /// Whether something in it is no record, or its first one is missing. A kill leaves no such thing once anything was touched: a
    /// record is on disk before its effect. A disk that had not written what it said it had, or that fails, may; what else was lost
    /// then, nobody knows.
    pub torn: bool,
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

/// The originals of one transaction, and when they were recorded (nanoseconds since 1970).
///
/// # Errors
/// When they can't be read, or are of another format.
pub fn originals(root: &Root, transaction: &str) -> Result<(OriginalsDocument, i64)> {
    let (mut read, recorded_ns) = document::<OriginalsDocument>(root, transaction, ORIGINALS, SCHEMA)?;
    // Once the time was kept beside the state only.
    for original in &mut read.files {
        if let Some(state) = original.state.as_mut().filter(|state| state.kind == FileKind::File) {
            state.mtime_ns = state.mtime_ns.or(original.mtime_ns);
        }
    }
    Ok((read, recorded_ns))
}

/// The plan of one transaction.
///
/// # Errors
/// When it can't be read, or is of another format.
pub fn plan(root: &Root, transaction: &str) -> Result<Plan> {
    document(root, transaction, PLAN, plan::SCHEMA).map(|(plan, _)| plan)
}

/// The first thing that every document says.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

/// A document and when it was written; an error says why it can't be read.
fn document<T: for<'de> Deserialize<'de>>(root: &Root, transaction: &str, name: &str, schema: &str) -> Result<(T, i64)> {
    let path = format!("{transaction}/{name}");
    let failed = |why: String| Error::failure(why).at(root.shown(&path));
    match root.look(&path, Want::Content { limit: MAX_DOCUMENT }) {
        Fact::Known(file) => {
            let bytes = file.content.map(|content| content.0).unwrap_or_default();
            let unreadable = |error: serde_json::Error| failed(format!("it can't be read: {error}"));
            let head: Head = serde_json::from_slice(&bytes).map_err(unreadable)?;
            if head.schema != schema {
                return Err(other_format(&head.schema, schema).at(root.shown(&path)));
            }
            Ok((serde_json::from_slice(&bytes).map_err(unreadable)?, file.mtime_ns))
        }
        Fact::Absent => Err(failed("it is not there".into())),
        Fact::Unknown(why) => Err(failed(why)),
    }
}

fn other_format(found: &str, known: &str) -> Error {
    Error::failure(format!("its format is `{}`, this harden reads `{known}`", found.escape_debug()))
        .help("use the harden that wrote it")
}

/// All whole records, `None` without a journal.
///
/// # Errors
/// When there is a journal that can't be read, or that is of another format and has not ended.
pub fn log(root: &Root, transaction: &str) -> Result<Option<Log>> {
    let path = format!("{transaction}/{JOURNAL}");
    match root.look(&path, Want::Content { limit: MAX_DOCUMENT }) {
        Fact::Known(file) => {
            let bytes = file.content.map(|content| content.0).unwrap_or_default();
            parse(&bytes).map(Some).map_err(|error| error.at(root.shown(&path)))
        }
        Fact::Absent => Ok(None),
        Fact::Unknown(why) => Err(Error::failure(why).at(root.shown(&path))),
    }
}

fn parse(bytes: &[u8]) -> Result<Log> {
    let lines = || bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let records: Vec<Record> = lines().filter_map(|line| serde_json::from_slice(line).ok()).collect();
    if let Some(found) = format_of(bytes).filter(|found| found != SCHEMA && outcome(&records).is_none()) {
        return Err(other_format(&found, SCHEMA));
    }
    let whole = bytes.last() == Some(&b'\n') && lines().count() == records.len();
    let torn = !whole || !matches!(records.first(), Some(Record::Begin { .. }));
    Ok(Log { records, torn })
}

/// What the first record of a journal says of its format, whichever that is.
fn format_of(bytes: &[u8]) -> Option<String> {
    let first: serde_json::Value = serde_json::from_slice(bytes.split(|&byte| byte == b'\n').next()?).ok()?;
    first["begin"]["schema"].as_str().map(str::to_owned)
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
    torn: bool,
    begun: Vec<String>,
    rules: Vec<Rule>,
    activated: Vec<Action>,
    passing: Vec<Passing>,
}

impl<'r> Journal<'r> {
    fn open(root: &'r Root, path: String, flags: OFlag) -> Result<Self> {
        let file = open_in(root, &format!("{path}/{JOURNAL}"), flags | OFlag::O_RDWR | OFlag::O_APPEND)?;
        Ok(Journal {
            root,
            writer: Writer::new(root),
            path,
            file,
            length: 0,
            originals: Originals::new(),
            torn: false,
            begun: Vec::new(),
            rules: Vec::new(),
            activated: Vec::new(),
            passing: Vec::new(),
        })
    }

    /// A new one.
    pub(super) fn create(root: &'r Root, path: String) -> Result<Self> {
        Self::open(root, path, OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// One that was cut short, to go on with.
    pub(super) fn reopen(root: &'r Root, path: String, originals: OriginalsDocument, log: &Log) -> Result<Self> {
        let mut journal = Self::open(root, path, OFlag::empty())?;
        journal.forget_torn_record()?;
        journal.writer.sweep_beside(&format!("{}/any", journal.path))?;
        journal.originals = originals.files.into_iter().map(|original| (original.change, original.state)).collect();
        journal.torn = log.torn;
        log.records.iter().for_each(|record| journal.remember(record));
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
                let look = self.root.look(path, Want::Stat);
                let (mtime_ns, ctime_ns) = look.known().map(|file| (file.mtime_ns, file.ctime_ns)).unzip();
                let state = originals.get(&change.id).cloned().flatten();
                Some(Original { change: change.id.clone(), path: path.clone(), mtime_ns, ctime_ns: ctime_ns.flatten(), state })
            }
            // What was before is in the plan.
            Effect::AuditKernel { .. } | Effect::Container { .. } | Effect::Sysctl { .. } => None,
        });
        let document = OriginalsDocument { schema: SCHEMA.into(), files: files.collect() };
        self.write(PLAN, plan)?;
        self.write(ORIGINALS, &document)?;
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
            Record::Passing(passing) => self.passing.push(passing.clone()),
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

    /// Whether records may have been lost that were on disk; see [`Log::torn`].
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// Changes that show, though there is no record of them, that they were begun; only of a journal that is torn.
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

    /// Contents that files had, or perhaps still have, for a moment only.
    pub fn passing(&self) -> &[Passing] {
        &self.passing
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

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = r#"{"begin":{"schema":"harden/transaction/1","time":"","by":"","command":""}}"#;

    #[test]
    fn a_journal_is_torn_where_something_of_it_is_lost() {
        let intent = r#"{"intent":{"change":"c1"}}"#;
        let cases = [
            (format!("{BEGIN}\n"), 1, false),
            (format!("{BEGIN}\n{intent}\n"), 2, false),
            // A power cut, or a full disk.
            (String::new(), 0, true),
            (format!("{BEGIN}\n{intent}"), 2, true),
            (format!("{BEGIN}\n{{\"int"), 1, true),
            // Blocks that were never written.
            (format!("{BEGIN}\n\0\0\0\0\n{intent}\n"), 2, true),
            (format!("\0\0\0\0\n{intent}\n"), 1, true),
            (format!("{intent}\n"), 1, true),
        ];
        for (text, records, torn) in cases {
            let log = parse(text.as_bytes()).unwrap();
            assert_eq!((log.records.len(), log.torn), (records, torn), "{text:?}");
        }
    }

    #[test]
    fn another_format_is_named_unless_it_has_ended() {
        let begin = BEGIN.replace("transaction/1", "transaction/2");
        let text = format!("{begin}\n{{\"preparing\":{{\"change\":\"c1\"}}}}\n");
        assert_eq!(
            parse(text.as_bytes()).unwrap_err().to_string(),
            "its format is `harden/transaction/2`, this harden reads `harden/transaction/1`\n  help: use the harden that wrote it"
        );
        let ended = format!("{text}{{\"closed\":{{\"outcome\":\"committed\"}}}}\n");
        assert_eq!(outcome(&parse(ended.as_bytes()).unwrap().records), Some("committed"));
    }
}
