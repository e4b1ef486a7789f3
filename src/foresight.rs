//! What would be seen once a plan is applied. A fix may make room for another: a key that may be set once a second one is gone, a
//! directory that is to be watched once it is made. Both belong into one plan, or a second run would find something to do.

use std::collections::HashMap;
use std::path::Path;

use crate::change::{Action, Activation, ContainerLimits, Effect, FileImage};
use crate::fact::{ContainerFacts, Fact, Facts, FileFact};
use crate::formats::{rules_d, sysctl};
use crate::kinds::effective::Effective;
use crate::observe::RULES_DIR;
use crate::plan::{Plan, drop_in_path};
use crate::reach;

/// The facts as this plan leaves them. What the daemon does with its flags and when files are written stays as it is.
pub fn after(facts: &Facts, plan: &Plan) -> Facts {
    let mut later = facts.clone();
    let names = names(facts);
    let places: HashMap<&str, usize> = match &facts.containers {
        Fact::Known(containers) => containers.iter().enumerate().map(|(place, one)| (one.id.as_str(), place)).collect(),
        Fact::Absent | Fact::Unknown(_) => HashMap::new(),
    };
    for change in &plan.changes {
        match &change.effect {
            Effect::File { path, after: Some(after), .. } => write(&mut later, &names, path, after),
            Effect::File { path, after: None, .. } => {
                later.files.insert(path.clone(), Fact::Absent);
            }
            Effect::Sysctl { set } => {
                let values = set.iter().map(|one| (sysctl::path_of(&one.key), Fact::Known(one.after.clone())));
                later.machine.sysctl.extend(values);
            }
            Effect::Container { id, after, .. } => {
                if let (Fact::Known(containers), Some(place)) = (&mut later.containers, places.get(id.as_str())) {
                    limit(&mut containers[*place], after);
                }
            }
            Effect::AuditKernel { add, remove } => {
                if let Fact::Known(kernel) = &mut later.audit.kernel {
                    kernel.rules.retain(|rule| !remove.contains(rule));
                    kernel.rules.extend(add.iter().cloned());
                }
            }
        }
    }
    // What the running dockerd was started with, it has no more.
    let restarts = |activation: &Activation| activation.action == Action::DockerRestart && activation.by_hand.is_none();
    if plan.activations.iter().any(restarts) {
        let effective = Effective::of(&later);
        if let (Some((exec, _)), true, Fact::Known(process)) =
            (effective.unit, effective.unit_counts, &mut later.daemon.process)
        {
            process.argv = exec.argv.into_iter().map(|word| word.text).collect();
        }
    }
    later
}

/// The facts with one file as it will be.
pub fn with_file(facts: &Facts, path: &str, image: &FileImage) -> Facts {
    let mut later = facts.clone();
    write(&mut later, &names(facts), path, image);
    later
}

/// A container with these limits; the kernel follows.
fn limit(container: &mut ContainerFacts, limits: &ContainerLimits) {
    let set = |own: &mut i64, value: Option<i64>| *own = value.unwrap_or(*own);
    let made = &mut container.made;
    set(&mut made.memory, limits.memory);
    set(&mut made.memory_swap, limits.memory_swap);
    set(&mut made.cpu_quota, limits.cpu_quota);
    set(&mut made.cpu_period, limits.cpu_period);
    set(&mut made.cpu_shares, limits.cpu_shares);
    set(&mut made.pids_limit, limits.pids_limit);
    set(&mut made.blkio_weight, limits.blkio_weight);
    if let Some(restart) = &limits.restart {
        (made.restart, made.max_retries) = (restart.name.clone(), restart.max_retries);
    }
    if let Fact::Known(kernel) = &mut container.kernel {
        let cpu = limits.cpu_quota.zip(limits.cpu_period).map(|(quota, period)| quota.saturating_mul(1000) / period.max(1));
        let group = &mut kernel.cgroup;
        for (own, value) in [(&mut group.memory, limits.memory), (&mut group.pids, limits.pids_limit), (&mut group.cpu, cpu)] {
            if let (Some(own), Some(value)) = (own, value) {
                own.max = Some(value);
            }
        }
    }
}

/// The names under which each real path was looked at. Found in one pass: a plan may have as many changes as there are files.
fn names(facts: &Facts) -> HashMap<String, Vec<&str>> {
    let mut names: HashMap<String, Vec<&str>> = HashMap::new();
    for name in facts.files.keys() {
        names.entry(reach::real(&facts.files, name)).or_default().push(name);
    }
    names
}

fn write(facts: &mut Facts, names: &HashMap<String, Vec<&str>>, path: &str, image: &FileImage) {
    let above = Path::new(path).ancestors().skip(1).filter_map(Path::to_str);
    let dev = above.filter_map(|dir| facts.files.get(dir)?.known()).map(|dir| dir.dev).next().unwrap_or(0);
    let names = names.get(path).into_iter().flatten().copied();
    for name in names.filter(|name| *name != path).chain([path]) {
        let fact = facts.files.entry(name.to_owned()).or_default();
        let old = fact.known();
        *fact = Fact::Known(FileFact {
            real_path: path.to_owned(),
            kind: image.kind,
            mode: image.mode,
            uid: image.uid,
            gid: image.gid,
            nlink: old.map_or(1, |old| old.nlink),
            dev: old.map_or(dev, |old| old.dev),
            ino: old.map_or(0, |old| old.ino),
            mtime_ns: old.map_or(0, |old| old.mtime_ns),
            ctime_ns: old.and_then(|old| old.ctime_ns),
            sealed: old.and_then(|old| old.sealed),
            size: image.content.as_ref().map_or(0, |content| content.0.len() as u64),
            acl: old.map(|old| old.acl.clone()).unwrap_or_default(),
            content: image.content.clone().or_else(|| old?.content.clone()),
        });
        list(facts, name);
    }
}

/// A rules file or drop-in that is new is read with the others.
fn list(facts: &mut Facts, path: &str) {
    if path == format!("{RULES_DIR}/{}", rules_d::OWN_FILE) && facts.audit.installed.known().is_some() {
        let mut files = facts.audit.rules_files.known().cloned().unwrap_or_default();
        files.extend((!files.iter().any(|file| file == path)).then(|| path.to_owned()));
        facts.audit.rules_files = Fact::Known(rules_d::in_order(&files));
    }
    if path == sysctl::OWN_FILE
        && let Fact::Known(files) = &mut facts.machine.sysctl_files
        && !files.iter().any(|file| file == path)
    {
        files.push(path.to_owned());
        files.sort_by(|one, other| Path::new(one).file_name().cmp(&Path::new(other).file_name()));
    }
    for (name, unit) in &mut facts.units {
        if let Fact::Known(unit) = unit
            && path == drop_in_path(name)
            && !unit.drop_ins.iter().any(|file| file == path)
        {
            unit.drop_ins.push(path.to_owned());
            unit.drop_ins.sort_by(|one, other| Path::new(one).file_name().cmp(&Path::new(other).file_name()));
        }
    }
}
