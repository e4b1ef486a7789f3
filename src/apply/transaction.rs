//! One plan applied under the journal: originals first, then each step, then activations, then looking again. Undone on failure.

use std::collections::BTreeMap;

use crate::apply::account_lock;
use crate::apply::activate;
use crate::apply::audit as kernel;
use crate::apply::journal::{Journal, Record, STUCK};
use crate::apply::restart;
use crate::apply::sysctl;
use crate::apply::writer::{Meta, Writer};
use crate::apply::{canary, container};
use crate::change::{Action, Change, Effect, FileImage};
use crate::error::{Error, ErrorKind, Result};
use crate::fact::FileKind;
use crate::file_state::{FileState, Standing};
use crate::host::Host;
use crate::observe;
use crate::plan::Plan;

/// Originals by change id; `None` where nothing was there.
pub type Originals = BTreeMap<String, Option<FileState>>;

/// What carrying out a plan needs from outside.
pub struct Run<'a> {
    /// The host.
    pub host: &'a Host,
    /// The plan.
    pub plan: &'a Plan,
    /// Whether a restart of dockerd may stop containers.
    pub may_stop_containers: bool,
    /// Called before each step with what is about to happen, for progress on a terminal.
    pub progress: &'a mut dyn FnMut(&str),
    /// Looks again: the findings that were to be fixed and are not, in words.
    pub verify: &'a mut dyn FnMut() -> Result<Vec<String>>,
}

/// What was put in force.
#[derive(Debug, Default)]
pub struct InForce {
    /// The activations that were begun, in order.
    pub activated: Vec<Action>,
    /// What could not be made sure of, in words.
    pub unsure: Vec<String>,
    /// Whether dockerd came up with settings that no container starts with.
    no_container_starts: bool,
}

/// Carries out a plan.
///
/// # Errors
/// After a failure everything is put back; the error says so. [`ErrorKind::Stuck`] when that failed too.
pub fn run(journal: &mut Journal, mut run: Run) -> Result<InForce> {
    let originals = collect_originals(journal.writer(), run.host, run.plan).map_err(nothing_changed)?;
    journal.keep(run.plan, &originals).map_err(nothing_changed)?;
    let mut in_force = InForce::default();
    // What can't be recorded as done would be undone by the next run.
    let outcome = carry_out(journal, &mut run, &mut in_force)
        .and_then(|()| journal.append(&Record::Closed { outcome: "committed".into() }));
    match outcome {
        Ok(()) => Ok(in_force),
        Err(error) => Err(put_back(journal, &run, &originals, &in_force, error)),
    }
}

/// The same error, of a run that ended before it touched anything.
pub fn nothing_changed(error: Error) -> Error {
    Error { what: format!("{}; nothing was changed", error.what), ..error }
}

fn carry_out(journal: &mut Journal, run: &mut Run, in_force: &mut InForce) -> Result<()> {
    let plan = run.plan;
    for change in &plan.changes {
        crate::signal::check()?;
        (run.progress)(&format!("{}: {}", change.target(), change.summary));
        journal.append(&Record::Intent { change: change.id.clone() })?;
        effect(journal, run.host, change)?;
        journal.append(&Record::Done { change: change.id.clone() })?;
    }
    for activation in plan.activations.iter().filter(|activation| activation.by_hand.is_none()) {
        crate::signal::check()?;
        (run.progress)(&activation.reason);
        let restarts = activation.action == Action::DockerRestart;
        if restarts && !run.may_stop_containers {
            refuse_to_stop_containers(run.host)?;
        }
        activate::refuse_harm(run.host, activation.action)?;
        let try_containers = restarts && canary::wanted(run.host);
        journal.append(&Record::Activating { action: activation.action })?;
        in_force.activated.push(activation.action);
        activate::activate(run.host, activation.action)?;
        if try_containers {
            (run.progress)("trying whether containers start");
            match canary::run(run.host) {
                Ok(canary::Outcome::Starts) => {}
                Ok(canary::Outcome::NotTried(why)) => {
                    in_force.unsure.push(format!("whether containers still start could not be tried: {why}"));
                }
                Err(error) => {
                    in_force.no_container_starts = true;
                    return Err(error);
                }
            }
        }
        journal.append(&Record::Activated { action: activation.action })?;
    }
    (run.progress)("looking again");
    let failed = (run.verify)()?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::failure(format!("not in force afterwards: {}", failed.join("; "))))
}

/// Containers may have been started, or live-restore switched off, since the plan was made.
fn refuse_to_stop_containers(host: &Host) -> Result<()> {
    let why = match activate::stopped_by_restart(host) {
        Some(0) => return Ok(()),
        Some(n) => format!("restarting dockerd now would stop {}", crate::plan::count(n as usize, "container")),
        None => "dockerd does not say what runs, so restarting it might stop containers".to_owned(),
    };
    Err(Error::failure(why).help("switch live-restore on first, or allow it with --max-risk disruptive"))
}

/// Reads every original before anything is touched, and refuses a plan that no longer fits.
fn collect_originals(writer: &Writer, host: &Host, plan: &Plan) -> Result<Originals> {
    let mut originals = Originals::new();
    for change in &plan.changes {
        if let Effect::Container { id, target, before, .. } = &change.effect {
            let found = container::now(host, id, before)?;
            if let Some(difference) = container::difference(before, found.as_ref()) {
                return Err(Error::failure(format!("it changed since it was looked at: {difference}"))
                    .at(target)
                    .help("run the same command again"));
            }
        }
        if let Effect::File { path, before, .. } = &change.effect {
            let found = writer.state(path)?;
            if let Some(difference) = difference(before.as_ref(), found.as_ref()) {
                return Err(Error::failure(format!("it changed since it was looked at: {difference}"))
                    .at(path)
                    .help("run the same command again"));
            }
            originals.insert(change.id.clone(), found);
        }
        if let Effect::Sysctl { set } = &change.effect {
            set.iter().try_for_each(sysctl::expect)?;
        }
    }
    Ok(originals)
}

/// How a file differs from what the plan saw.
pub fn difference(before: Option<&FileImage>, found: Option<&FileState>) -> Option<String> {
    match (before, found) {
        (None, None) => None,
        (None, Some(_)) => Some("it exists now".into()),
        (Some(_), None) => Some("it is gone".into()),
        (Some(before), Some(found)) => {
            if before.kind != found.kind {
                Some("it is another kind of file now".into())
            } else if before.mode != found.mode {
                Some(format!("its mode is {:04o}, not {:04o}", found.mode, before.mode))
            } else if (before.uid, before.gid) != (found.uid, found.gid) {
                Some(format!("its owner is {}:{}, not {}:{}", found.uid, found.gid, before.uid, before.gid))
            } else if before.content.is_some() && before.content != found.content {
                Some("its content is different".into())
            } else {
                None
            }
        }
    }
}

fn effect(journal: &mut Journal, host: &Host, change: &Change) -> Result<()> {
    match &change.effect {
        Effect::Container { id, target, after, .. } => container::set(host, id, target, after),
        Effect::AuditKernel { add, remove } => {
            for rule in remove {
                kernel::delete_rule(rule)?;
            }
            for rule in add {
                journal.append(&Record::AddingRule { rule: rule.clone() })?;
                if !kernel::add_rule(rule)? {
                    journal.append(&Record::RuleWasThere { rule: rule.clone() })?;
                }
            }
            Ok(())
        }
        Effect::Sysctl { set } => set.iter().try_for_each(sysctl::set),
        Effect::File { path, before, after } => {
            let original = journal.original(&change.id);
            let writer = journal.writer();
            let _lock = account_lock::take(writer.root(), path)?;
            let rewritten = before.as_ref().map(|before| &before.content) != after.as_ref().map(|after| &after.content);
            match (original, after) {
                (Some(original), None) => writer.remove(path, original),
                (None, Some(after)) if after.kind == FileKind::Dir => writer.make_dir(path, after.mode, after.uid, after.gid),
                (original, Some(after @ FileImage { content: Some(content), .. })) if rewritten || original.is_none() => {
                    writer.replace(path, original, &content.0, &meta(after))
                }
                (Some(original), Some(after)) => writer.set_metadata(path, original, &meta(after)),
                (None, _) => Err(Error::failure("the plan has nothing to put there; this is a bug in harden").at(path)),
            }
        }
    }
}

fn meta(image: &FileImage) -> Meta {
    Meta {
        mode: Some(image.mode),
        uid: Some(image.uid),
        gid: Some(image.gid),
        xattrs: image.xattrs.clone(),
        mtime_ns: image.mtime_ns,
    }
}

/// Puts everything back after a failure, and says what happened.
fn put_back(journal: &mut Journal, run: &Run, originals: &Originals, in_force: &InForce, error: Error) -> Error {
    let untouched = journal.begun().is_empty() && in_force.activated.is_empty();
    let Back { failed: stuck, mut left } = back(journal, run.host, run.plan, originals, &in_force.activated);
    // The old file may have waited for a restart itself.
    if in_force.no_container_starts && stuck.is_empty() && canary::run(run.host).is_err() {
        left.push("containers do not start with the old settings either".into());
    }
    let place = journal.path().display().to_string();
    if stuck.is_empty() {
        let _ = journal.append(&Record::Closed { outcome: "undone".into() });
        let left: String = left.iter().map(|left| format!("; {left}")).collect();
        return match untouched {
            true => nothing_changed(error),
            false => Error { what: format!("{}; everything was put back{left}", error.what), ..error },
        };
    }
    let _ = journal.append(&Record::Closed { outcome: STUCK.into() });
    Error {
        kind: ErrorKind::Stuck,
        what: format!("{}; putting back failed too; the originals lie in {place}", error.what),
        others: stuck,
        ..error
    }
    .help("when what was in the way is gone: harden recover")
}

/// What came of putting back.
#[derive(Debug, Default)]
pub struct Back {
    /// What could not be put back.
    pub failed: Vec<Error>,
    /// What is left to the user, in words: putting it in force would have done harm.
    pub left: Vec<String>,
}

/// Undoes what was done and puts the old state in force again, where the new one was.
pub fn back(journal: &mut Journal, host: &Host, plan: &Plan, originals: &Originals, activated: &[Action]) -> Back {
    // A restart reads everything; a dockerd that did not survive one can't be told to reload.
    let restarted = activated.contains(&Action::DockerRestart);
    let held = if restarted { restart::hold(host, plan) } else { None };
    restart::take_away_passing(journal);
    let mut back = Back { failed: undo(journal, host, plan, originals), left: Vec::new() };
    for action in activated {
        let done = match (action, &held) {
            (Action::AuditLoad | Action::Sysctl, _) => Ok(()),
            (Action::DockerReload, _) if restarted => Ok(()),
            // Its next start reads the old file.
            (Action::DockerReload, _) if observe::find_docker(host).daemon.process.is_absent() => Ok(()),
            (Action::DockerReload, _) => match activate::refuse_harm(host, *action) {
                // It may have read the new file, or have been told to by a run that was killed.
                Err(refusal) => {
                    back.left.push(format!("{}, so restart it yourself: it may still have the new settings", refusal.what));
                    Ok(())
                }
                Ok(()) => activate::activate(host, *action),
            },
            (Action::DockerRestart, Some(held)) => held.start(journal, host),
            (action, _) => activate::activate(host, *action),
        };
        back.failed.extend(done.err());
    }
    if restarted {
        canary::clean_up(host);
    }
    back
}

/// Undoes what was done, newest first; continues past failures and returns them all.
///
/// What is as the plan left it goes back; what is as it was before stays; anything else was changed by someone else meanwhile and
/// is left alone.
fn undo(journal: &mut Journal, host: &Host, plan: &Plan, originals: &Originals) -> Vec<Error> {
    let (mut failed, mut stuck) = (Vec::new(), Vec::new());
    let begun = journal.begun().to_vec();
    for change in plan.changes.iter().rev().filter(|change| begun.contains(&change.id)) {
        let errors: Vec<Error> = match &change.effect {
            Effect::Container { id, target, before, after } => {
                container::undo(host, id, target, before, after).err().into_iter().collect()
            }
            Effect::AuditKernel { remove, .. } => {
                let deleted = journal.rules_added().iter().rev().filter_map(|rule| kernel::delete_rule(rule).err());
                deleted.chain(remove.iter().filter_map(|rule| kernel::add_rule(rule).err())).collect()
            }
            Effect::Sysctl { set } => set.iter().rev().filter_map(|one| sysctl::put_back(one).err()).collect(),
            Effect::File { path, after, .. } => {
                // A directory that others may change again would be in the way of putting back what is in it.
                let holds_failed = stuck.iter().any(|inner: &&str| std::path::Path::new(inner).starts_with(path));
                let undone = match originals.get(&change.id) {
                    _ if holds_failed => Err(Error::failure("left as it is, until what is in it can be put back").at(path)),
                    Some(before) => undo_file(journal.writer(), path, before.as_ref(), after.as_ref()),
                    None => Err(Error::failure("its original is not on record").at(path)),
                };
                stuck.extend(undone.is_err().then_some(path.as_str()));
                undone.err().into_iter().collect()
            }
        };
        if errors.is_empty() {
            failed.extend(journal.append(&Record::Undone { change: change.id.clone() }).err());
        }
        failed.extend(errors);
    }
    failed
}

/// Changes without a record of their beginning whose files are as the plan leaves them: made by somebody else, or by this run if the
/// disk lost records that had been on it.
pub fn as_planned_unrecorded(journal: &Journal, plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    for change in plan.changes.iter().filter(|change| !journal.begun().contains(&change.id)) {
        let Effect::File { path, after, .. } = &change.effect else { continue };
        let before = journal.original(&change.id);
        let left = after.as_ref().map(|after| after_state(before, after));
        let Ok(now) = journal.writer().state(path) else { continue };
        if matches!(FileState::standing(now.as_ref(), before, left.as_ref()), Standing::After | Standing::Between) {
            found.push(change.id.clone());
        }
    }
    found
}

fn undo_file(writer: &Writer, path: &str, before: Option<&FileState>, after: Option<&FileImage>) -> Result<()> {
    let _lock = account_lock::take(writer.root(), path)?;
    writer.sweep_beside(path)?;
    let found = writer.state(path)?;
    let left = after.map(|after| after_state(before, after));
    match FileState::standing(found.as_ref(), before, left.as_ref()) {
        Standing::Before => Ok(()),
        Standing::After | Standing::Between => writer.restore(path, found.as_ref(), before, None),
        // Whoever listens there made it anew, or will: a restart that failed takes it away.
        Standing::Elsewhere if before.is_some_and(|before| before.kind == FileKind::Socket) => Ok(()),
        Standing::Elsewhere => Err(Error::failure("someone changed it meanwhile; it was left as it is")
            .at(path)
            .help("compare it with its original")),
    }
}

/// The state that a change leaves behind.
pub fn after_state(before: Option<&FileState>, after: &FileImage) -> FileState {
    let fresh = FileState {
        kind: after.kind,
        mode: after.mode,
        uid: after.uid,
        gid: after.gid,
        nlink: 1,
        xattrs: BTreeMap::new(),
        content: None,
        mtime_ns: None,
        flags: 0,
    };
    let mut state = meta(after).over(before.cloned().unwrap_or(fresh));
    if let Some(content) = &after.content {
        state.content = Some(content.clone());
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    #[test]
    fn a_socket_that_is_gone_is_nothing_to_put_back() {
        let scratch = Scratch::new();
        let (root, path) = (scratch.root(), "/docker.sock");
        let listener = std::os::unix::net::UnixListener::bind(scratch.at(path)).unwrap();
        let before = root.state(path).unwrap();
        let after =
            FileImage { kind: FileKind::Socket, mode: 0o600, uid: 0, gid: 0, content: None, xattrs: None, mtime_ns: None };
        let writer = Writer::new(&root);
        writer.set_metadata(path, before.as_ref().unwrap(), &meta(&after)).unwrap();
        undo_file(&writer, path, before.as_ref(), Some(&after)).unwrap();
        assert_eq!(root.state(path).unwrap(), before);
        drop(listener);
        std::fs::remove_file(scratch.at(path)).unwrap();
        undo_file(&writer, path, before.as_ref(), Some(&after)).unwrap();
        // A file that is gone was taken away by somebody.
        scratch.file("/x", "1", 0o644);
        let before = root.state("/x").unwrap();
        std::fs::remove_file(scratch.at("/x")).unwrap();
        let after = FileImage { kind: FileKind::File, ..after };
        assert!(undo_file(&writer, "/x", before.as_ref(), Some(&after)).is_err());
    }
}
