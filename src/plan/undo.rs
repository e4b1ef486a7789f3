//! What undoing a transaction takes on the host as it is now. The changes are known; what puts them in force, and whether that is
//! safe, is judged anew: since the transaction somebody may have joined a swarm, given a flag or started containers.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::baseline::control::Risk;
use crate::change::{Action, Activation, Effect};
use crate::error::{Error, Result};
use crate::fact::{Fact, Facts};
use crate::foresight;
use crate::formats::daemon_json::Document;
use crate::formats::daemon_keys;
use crate::kinds::effective::{ConfigFile, Effective, SERVICE};
use crate::kinds::restart::Restart;
use crate::kinds::{Context, next_start};
use crate::plan::{Plan, activations, drop_in_path};
use crate::reach;

const LIVE_RESTORE: &str = "live-restore";
/// Keys that keep their value in the running dockerd when a reload no longer finds them in the file (daemon.md §3).
const STAYS: [&str; 6] = ["debug", "default-runtime", "insecure-registries", "labels", LIVE_RESTORE, "registry-mirrors"];
/// Where units and their drop-ins lie.
const UNITS: &str = "/systemd/system/";

/// Completes a plan that undoes: adds the activations, and returns what a restart among them means.
///
/// # Errors
/// When dockerd would not start with what it would find then.
pub fn complete(plan: &mut Plan, facts: &Facts) -> Result<Risk> {
    if plan.changes.is_empty() || !facts.host.live {
        return Ok(Risk::Safe);
    }
    let later = foresight::after(facts, plan);
    let context = Context::new(&later, "");
    let config = reach::real(&facts.files, &facts.daemon.config_file);
    let unit = drop_in_path(SERVICE);
    let touches = |wanted: &dyn Fn(&str) -> bool| plan.changes.iter().any(|change| wanted(change.target()));
    let (of_config, of_unit) = (touches(&|path| path == config), touches(&|path| path == unit));
    let mut actions = BTreeSet::new();
    if touches(&|path| path.contains(UNITS)) {
        actions.insert(Action::SystemdReload);
    }
    if of_config || of_unit {
        starts(&context)?;
        actions.extend(of_dockerd(facts, &context.effective));
    }
    let survive = survive(facts, &context.effective, actions.contains(&Action::DockerReload));
    let restart = Restart::of(facts, &context.effective, survive);
    let changes: Vec<String> = plan.changes.iter().map(|change| change.id.clone()).collect();
    plan.activations = actions
        .iter()
        .map(|&action| {
            let (reason, by_hand) = activations::describe(action, facts, &restart);
            Activation { action, reason, changes: changes.clone(), by_hand }
        })
        .collect();
    Ok(
        match plan
            .activations
            .iter()
            .any(|activation| activation.action == Action::DockerRestart && activation.by_hand.is_none())
        {
            true => restart.risk(),
            false => Risk::Safe,
        },
    )
}

/// Whether dockerd would start with what it would find.
fn starts(later: &Context) -> Result<()> {
    let effective = &later.effective;
    let refused = |why: String| {
        Error::failure(format!("going back would leave a dockerd that does not start: {why}; nothing was changed"))
            .at(&effective.path)
    };
    match &effective.file {
        ConfigFile::Parsed(document) => next_start::accepted(&effective.path, document, later).map_err(refused),
        ConfigFile::Missing if effective.names_config_file() => {
            Err(refused("the file would be gone, and --config-file names it".into()))
        }
        ConfigFile::Missing => Ok(()),
        ConfigFile::Broken(_) | ConfigFile::Unreadable(_) => {
            Err(refused(effective.unreadable().unwrap_or_else(|| "it can't be read".into())))
        }
    }
}

/// What makes the running dockerd take over the difference between its configuration now and after going back.
fn of_dockerd(facts: &Facts, after: &Effective) -> BTreeSet<Action> {
    let Some(process) = facts.daemon.process.known() else { return BTreeSet::new() };
    let now = document(&Effective::of(facts).file);
    let then = document(&after.file);
    // What dockerd read at its start, where that is not what the file says now.
    let at_start = facts.daemon.config_at_start.known().and_then(|content| Document::parse(&content.0).ok());
    let mut actions = BTreeSet::new();
    for key in keys(&now).chain(keys(&then)).filter(|key| now.get(*key) != then.get(*key)) {
        let has_it = || at_start.as_ref().is_some_and(|at_start| at_start.value().get(key) == then.get(key));
        if daemon_keys::reloadable(key, after.version) && after.reload_is_harmful().is_none() {
            actions.insert(Action::DockerReload);
        } else if !has_it() {
            actions.insert(Action::DockerRestart);
        }
    }
    let flags = |argv: &[String]| argv.iter().skip(1).cloned().collect::<Vec<_>>();
    let of_unit = after.unit.as_ref().map(|(exec, _)| exec.argv.iter().map(|word| word.text.clone()).collect::<Vec<_>>());
    if process.service.as_deref() == Some(SERVICE) && of_unit.is_some_and(|argv| flags(&argv) != flags(&process.argv)) {
        actions.insert(Action::DockerRestart);
    }
    actions
}

fn document(file: &ConfigFile) -> Value {
    match file {
        ConfigFile::Parsed(document) => document.value().clone(),
        _ => Value::Object(serde_json::Map::new()),
    }
}

fn keys(document: &Value) -> impl Iterator<Item = &str> {
    document.as_object().into_iter().flat_map(|members| members.keys()).map(String::as_str)
}

/// Whether containers outlive a restart: live-restore is on in the dockerd that stops and in the one that starts.
fn survive(facts: &Facts, after: &Effective, reloads: bool) -> bool {
    let configured = after.setting(LIVE_RESTORE, None).value == Some(Value::Bool(true));
    let in_force = facts.daemon.api.known().and_then(|api| api.live_restore) == Some(true);
    configured && (in_force || reloads)
}

/// What the running dockerd keeps although its file no longer says it: a reload takes nothing back.
pub fn kept(plan: &Plan, facts: &Facts) -> Option<String> {
    let config = reach::real(&facts.files, &facts.daemon.config_file);
    let reloads = plan.activations.iter().any(|activation| activation.action == Action::DockerReload);
    let restarts = plan.activations.iter().any(|activation| activation.action == Action::DockerRestart);
    let after = plan.changes.iter().find_map(|change| match &change.effect {
        Effect::File { path, after, .. } if *path == config => Some(after.as_ref().and_then(|after| after.content.clone())),
        _ => None,
    })?;
    if !reloads || restarts {
        return None;
    }
    let then = after.and_then(|content| Document::parse(&content.0).ok()).map(|document| document.value().clone());
    let now =
        facts.files.get(&config).and_then(Fact::known).and_then(|file| Document::parse(&file.content.as_ref()?.0).ok())?;
    let now = now.value();
    let gone = |key: &&str| then.as_ref().and_then(|then| then.get(*key)).is_none();
    let gone: Vec<&str> = keys(now).filter(|key| STAYS.contains(key)).filter(gone).collect();
    (!gone.is_empty()).then(|| format!("the running dockerd keeps {} until it is restarted", gone.join(" and ")))
}
