//! What was done on a host: the transactions in the state directory, and the plan that undoes one.

use jiff::Timestamp;

use crate::apply::container;
use crate::apply::journal::{self, Record};
use crate::apply::sysctl;
use crate::apply::transaction::after_state;
use crate::apply::writer::Writer;
use crate::change::{Change, ContainerLimits, Effect, FileImage, Parameter};
use crate::error::{Error, Result};
use crate::fact::{Fact, FileKind, KernelAudit};
use crate::file_state::{FileState, Standing};
use crate::formats::sysctl::same;
use crate::host::fs::Root;
use crate::plan::{self, Plan};
use crate::report::BaselineRef;

/// One transaction as it lies on disk.
pub struct Transaction {
    /// Its id.
    pub id: String,
    /// What was planned.
    pub plan: Plan,
    /// Files as they were.
    pub originals: Vec<journal::Original>,
    /// What happened.
    pub records: Vec<Record>,
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All of it was done.
    Committed,
    /// It failed or was cut short, and was put back.
    PutBack,
    /// Putting it back failed too.
    Stuck,
    /// It was cut short, and nobody has put it back yet.
    Unfinished,
    /// A later transaction undid it.
    RolledBack(String),
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            State::Committed => f.write_str("in place"),
            State::PutBack => f.write_str("failed, put back"),
            State::Stuck => f.write_str("failed, not put back"),
            State::Unfinished => f.write_str("cut short"),
            State::RolledBack(by) => write!(f, "rolled back by {by}"),
        }
    }
}

impl Transaction {
    /// When it began, and who ran it with which command.
    pub fn begin(&self) -> (&str, &str, &str) {
        let begin = self.records.iter().find_map(|record| match record {
            Record::Begin { time, by, command, .. } => Some((time.as_str(), by.as_str(), command.as_str())),
            _ => None,
        });
        begin.unwrap_or((&self.plan.created, "unknown", ""))
    }

    /// How it ended, given all the others.
    pub fn state(&self, all: &[Transaction]) -> State {
        // Ids sort by time: what undoes this came later. What undid it may have been undone itself.
        let undoes = |other: &&Transaction| other.id > self.id && other.plan.undoes.as_deref() == Some(&self.id);
        let undone_by = all.iter().filter(undoes).find(|other| other.state(all) == State::Committed);
        match (undone_by, self.outcome()) {
            (Some(other), _) => State::RolledBack(other.id.clone()),
            (None, Some("committed")) => State::Committed,
            (None, Some("undone")) => State::PutBack,
            (None, Some(_)) => State::Stuck,
            (None, None) => State::Unfinished,
        }
    }

    fn outcome(&self) -> Option<&str> {
        journal::outcome(&self.records)
    }

    fn original(&self, change: &str) -> Option<&FileState> {
        self.originals.iter().find(|original| original.change == change)?.state.as_ref()
    }
}

/// All that was done on a host.
#[derive(Default)]
pub struct History {
    /// Those that can be read, oldest first.
    pub transactions: Vec<Transaction>,
    /// Those that can't, oldest first.
    pub unreadable: Vec<Unreadable>,
}

/// A transaction that can't be read.
pub struct Unreadable {
    /// Its id.
    pub id: String,
    /// Which of its documents can't be read, and why.
    pub why: Error,
    /// Where it lies, as the user can reach it.
    pub place: String,
}

impl Unreadable {
    /// The reason in one line.
    pub fn reason(&self) -> String {
        let place = self.why.place.as_ref().and_then(|place| place.path.file_name()).unwrap_or_default();
        format!("{}: {}", place.to_string_lossy(), self.why.what)
    }

    /// Why this harden does not undo it, and where the originals are all the same.
    pub fn refusal(&self) -> Error {
        let help = self.why.help.as_deref().map(|help| format!("{help}, or ")).unwrap_or_default();
        Error::failure(format!("{} can't be read, so it can't be undone: {}", self.id, self.reason())).help(format!(
            "{help}put back by hand what {}/{} holds",
            self.place,
            journal::ORIGINALS
        ))
    }
}

/// All transactions.
///
/// # Errors
/// When the state directory itself can't be read.
pub fn list(root: &Root, state_dir: &str) -> Result<History> {
    let ids = match root.list(&format!("{state_dir}/transactions")) {
        Fact::Known(ids) => ids,
        Fact::Absent => Vec::new(),
        Fact::Unknown(why) => {
            return Err(Error::failure(why).at(root.shown(state_dir)).help("only root may read it: sudo harden history"));
        }
    };
    let mut history = History::default();
    for id in ids {
        match read(root, state_dir, &id) {
            Ok(transaction) => history.transactions.push(transaction),
            Err(why) if is_id(&id) => {
                let place = root.shown(&format!("{state_dir}/transactions/{id}")).display().to_string();
                history.unreadable.push(Unreadable { id, why, place });
            }
            // Something of somebody else's.
            Err(_) => {}
        }
    }
    Ok(history)
}

/// Whether a name begins with the time of a transaction.
fn is_id(name: &str) -> bool {
    let digits =
        |text: Option<&str>, count| text.is_some_and(|text| text.len() == count && text.bytes().all(|b| b.is_ascii_digit()));
    digits(name.get(..8), 8) && name.get(8..9) == Some("T") && digits(name.get(9..15), 6)
}

fn read(root: &Root, state_dir: &str, id: &str) -> Result<Transaction> {
    let path = format!("{state_dir}/transactions/{id}");
    // Its format first: what can't be read may be of a later one.
    let log = journal::log(root, &path)?;
    let (plan, originals) = (journal::plan(root, &path)?, journal::originals(root, &path)?.0.files);
    let no_journal = || Error::failure("it is not there").at(root.shown(&format!("{path}/{}", journal::JOURNAL)));
    Ok(Transaction { id: id.to_owned(), plan, originals, records: log.ok_or_else(no_journal)?.records })
}

/// The plan that undoes a transaction, and what stands in its way.
pub struct Reverse {
    /// The plan.
    pub plan: Plan,
    /// Files that someone changed since, and kernel rules that can't be seen; they are left alone.
    pub conflicts: Vec<Conflict>,
}

/// Something that someone changed since.
pub struct Conflict {
    /// The file.
    pub target: String,
    /// How it differs from what the transaction left.
    pub how: String,
    /// Whether it stays as it is; otherwise it goes back all the same.
    pub left_alone: bool,
}

/// Works out how to undo a transaction on the host as it is now; `containers` tells the limits that a container has. With `force` also what someone changed since goes back.
///
/// # Errors
/// When a file can't be read.
pub fn reverse(
    root: &Root,
    transaction: &Transaction,
    kernel: &Fact<KernelAudit>,
    containers: &dyn Fn(&str, &ContainerLimits) -> Result<Option<ContainerLimits>>,
    force: bool,
    hostname: &str,
) -> Result<Reverse> {
    let writer = Writer::new(root);
    let (mut changes, mut conflicts) = (Vec::new(), Vec::new());
    for change in transaction.plan.changes.iter().rev() {
        let effect = match &change.effect {
            Effect::AuditKernel { add, remove } => {
                let present = |rule: &&crate::formats::audit_rule::Rule| match kernel {
                    Fact::Known(kernel) => kernel.rules.contains(rule),
                    _ => false,
                };
                let gone: Vec<_> = add.iter().filter(present).cloned().collect();
                let back: Vec<_> = remove.iter().filter(|rule| !present(rule)).cloned().collect();
                if gone.is_empty() && back.is_empty() {
                    continue;
                }
                Effect::AuditKernel { add: back, remove: gone }
            }
            Effect::Sysctl { set } => {
                let back = parameters_back(root, set, force, &mut conflicts)?;
                if back.is_empty() {
                    continue;
                }
                Effect::Sysctl { set: back }
            }
            Effect::Container { id, target, before, after } => {
                // One that is gone took its limits with it.
                let Some(found) = containers(id, after)? else { continue };
                if container::alike(&found, before) {
                    continue;
                }
                if !container::alike(&found, after) {
                    let how = format!("it has {}", found.lines().join(", "));
                    conflicts.push(Conflict { target: target.clone(), how, left_alone: !force });
                    if !force {
                        continue;
                    }
                }
                Effect::Container { id: id.clone(), target: target.clone(), before: found, after: before.clone() }
            }
            Effect::File { path, after, .. } => {
                let before = transaction.original(&change.id);
                let found = writer.state(path)?;
                let left = after.as_ref().map(|after| after_state(before, after));
                let goes = before.is_none() && found.as_ref().is_some_and(|found| found.kind == FileKind::Dir);
                if let Some(name) = goes.then(|| stays_within(root, path, &changes)).flatten() {
                    conflicts.push(Conflict { target: path.clone(), how: format!("it holds {name}"), left_alone: true });
                    continue;
                }
                match FileState::standing(found.as_ref(), before, left.as_ref()) {
                    Standing::Before => continue,
                    Standing::After | Standing::Between => {}
                    Standing::Elsewhere => {
                        let how = match (&found, &left) {
                            (Some(found), Some(left)) => found.difference(left).unwrap_or_default(),
                            (None, _) => "it is gone".into(),
                            (Some(_), None) => "it is there again".into(),
                        };
                        conflicts.push(Conflict { target: path.clone(), how, left_alone: !force });
                        if !force {
                            continue;
                        }
                    }
                }
                Effect::File { path: path.clone(), before: found.as_ref().map(image), after: before.map(image) }
            }
        };
        let id = format!("c{}", changes.len() + 1);
        let summary = match &effect {
            Effect::Container { after, .. } => format!("put back {}", after.lines().join(", ")),
            Effect::File { after: None, .. } => "remove what harden put there".into(),
            Effect::File { .. } => format!("put back as it was before ({})", change.summary),
            Effect::Sysctl { .. } => format!("put back as it was before ({})", change.summary),
            Effect::AuditKernel { remove, .. } => format!("remove {} that harden added", plan::count(remove.len(), "rule")),
        };
        changes.push(Change { id, controls: change.controls.clone(), risk: change.risk, summary, effect });
    }
    let plan = Plan {
        schema: plan::SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        created: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        hostname: hostname.to_owned(),
        root: transaction.plan.root.clone(),
        baseline: BaselineRef { ..transaction.plan.baseline.clone() },
        judged_by: None,
        undoes: Some(transaction.id.clone()),
        fixes: Vec::new(),
        changes,
        // Decided by the host as it is now: `plan::undo`.
        activations: Vec::new(),
        no_activate: false,
        withheld: Vec::new(),
    };
    Ok(Reverse { plan, conflicts })
}

/// The kernel parameters that go back, the last one first; those that someone set to something else since are conflicts.
fn parameters_back(root: &Root, set: &[Parameter], force: bool, conflicts: &mut Vec<Conflict>) -> Result<Vec<Parameter>> {
    let mut back = Vec::new();
    for Parameter { key, before, after } in set.iter().rev().filter(|_| root.is_live()) {
        // The parameters of an interface go with it.
        let Some(now) = sysctl::now(key)? else { continue };
        if same(&now, before) {
            continue;
        }
        if !same(&now, after) {
            let how = format!("it is {now}, not {after}");
            conflicts.push(Conflict { target: key.clone(), how, left_alone: !force });
            if !force {
                continue;
            }
        }
        back.push(Parameter { key: key.clone(), before: now, after: before.clone() });
    }
    Ok(back)
}

/// Something in a directory that these changes do not take away.
fn stays_within(root: &Root, dir: &str, changes: &[Change]) -> Option<String> {
    let removed = |path: &str| {
        let removes = |change: &Change| matches!(&change.effect, Effect::File { path: of, after: None, .. } if of == path);
        changes.iter().any(removes)
    };
    let names = root.list(dir);
    names.known()?.iter().find(|name| !removed(&format!("{dir}/{name}"))).cloned()
}

/// A file's whole state, attributes included, so that it goes back exactly.
fn image(state: &FileState) -> FileImage {
    FileImage {
        kind: state.kind,
        mode: state.mode,
        uid: state.uid,
        gid: state.gid,
        content: state.content.clone(),
        xattrs: Some(state.xattrs.clone()),
        mtime_ns: state.mtime_ns,
    }
}
