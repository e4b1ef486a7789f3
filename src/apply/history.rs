//! What was done on a host: the transactions in the state directory, and the plan that undoes one.

use jiff::Timestamp;

use crate::apply::container;
use crate::apply::journal::{self, Record};
use crate::apply::transaction::after_state;
use crate::apply::writer::Writer;
use crate::change::{Action, Activation, Change, ContainerLimits, Effect, FileImage};
use crate::error::{Error, Result};
use crate::fact::{Fact, FileKind, KernelAudit};
use crate::file_state::{FileState, Standing};
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

/// All transactions, oldest first. One that can't be read is left out.
///
/// # Errors
/// When the state directory itself can't be read.
pub fn list(root: &Root, state_dir: &str) -> Result<Vec<Transaction>> {
    let ids = match root.list(&format!("{state_dir}/transactions")) {
        Fact::Known(ids) => ids,
        Fact::Absent => Vec::new(),
        Fact::Unknown(why) => {
            return Err(Error::failure(why).at(root.shown(state_dir)).help("only root may read it: sudo harden history"));
        }
    };
    Ok(ids.into_iter().filter_map(|id| read(root, state_dir, &id)).collect())
}

fn read(root: &Root, state_dir: &str, id: &str) -> Option<Transaction> {
    let path = format!("{state_dir}/transactions/{id}");
    Some(Transaction {
        id: id.to_owned(),
        plan: journal::plan(root, &path)?,
        originals: journal::originals(root, &path)?.0.files,
        records: journal::records(root, &path).ok()??,
    })
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
            Effect::AuditKernel { remove, .. } => format!("remove {} that harden added", plan::count(remove.len(), "rule")),
        };
        changes.push(Change { id, controls: change.controls.clone(), risk: change.risk, summary, effect });
    }
    let activations = if changes.is_empty() { Vec::new() } else { activations(transaction, &changes) };
    let plan = Plan {
        schema: plan::SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        created: Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        hostname: hostname.to_owned(),
        root: transaction.plan.root.clone(),
        baseline: BaselineRef { ..transaction.plan.baseline.clone() },
        undoes: Some(transaction.id.clone()),
        fixes: Vec::new(),
        changes,
        activations,
        withheld: Vec::new(),
    };
    Ok(Reverse { plan, conflicts })
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
    }
}

/// What the transaction put in force has to be put in force again, now as it was.
fn activations(transaction: &Transaction, changes: &[Change]) -> Vec<Activation> {
    let all: Vec<String> = changes.iter().map(|change| change.id.clone()).collect();
    let again = |activation: &&Activation| activation.action != Action::AuditLoad;
    transaction
        .plan
        .activations
        .iter()
        .filter(again)
        .map(|activation| Activation { changes: all.clone(), ..activation.clone() })
        .collect()
}
