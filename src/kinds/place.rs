//! Resolves a [`Place`] of a control to the paths that it means on this host. Pure: observing and judging both call it.

use crate::baseline::control::Place;
use crate::fact::{Fact, Facts, Layout, UnitFacts};
use crate::kinds::effective::Effective;
use crate::kinds::layout;

/// Where programs are looked for when the running process does not tell, in this order.
const BINARY_DIRS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// What a place means here.
pub enum Resolved {
    /// These paths; one may still turn out not to exist.
    Paths(Vec<String>),
    /// Nothing on this host, for this reason.
    Nothing(String),
    /// It can't be told, for this reason.
    Unknown(String),
}

/// Resolves a place. A pattern and a unit need their facts to be observed first; until then they resolve to nothing.
pub fn resolve(place: &Place, facts: &Facts, effective: &Effective) -> Resolved {
    match place {
        Place::Path(path) => match layout::path(path, facts) {
            Ok(path) => Resolved::Paths(vec![path]),
            Err(why) => Resolved::Nothing(why),
        },
        Place::Pattern(pattern) => match layout::path(pattern, facts).map(|pattern| (facts.globs.get(&pattern), pattern)) {
            Err(why) => Resolved::Nothing(why),
            Ok((Some(Fact::Known(paths)), _)) if !paths.is_empty() => Resolved::Paths(paths.clone()),
            Ok((Some(Fact::Unknown(why)), _)) => Resolved::Unknown(why.clone()),
            Ok((_, pattern)) => Resolved::Nothing(format!("nothing matches {pattern}")),
        },
        Place::ConfigFile => Resolved::Paths(vec![facts.daemon.config_file.clone()]),
        Place::DaemonKey(key) => daemon_key(key, effective),
        Place::DataRoot => {
            let told = facts.daemon.api.known().is_some_and(|api| api.data_root.is_some());
            match effective.uncertain("data-root", facts).filter(|_| !told) {
                Some(why) => Resolved::Unknown(why),
                None => Resolved::Paths(vec![effective.data_root(facts)]),
            }
        }
        Place::Unit(name) => match unit(name, facts) {
            Ok(unit) => Resolved::Paths(vec![unit.fragment.clone()]),
            Err(resolved) => resolved,
        },
        Place::UnitParts(name) => match unit(name, facts) {
            Ok(unit) => {
                let parts: Vec<_> = unit.drop_ins.iter().chain(&unit.environment_files).cloned().collect();
                if parts.is_empty() {
                    return Resolved::Nothing(format!("{name} has no drop-ins and no environment files"));
                }
                Resolved::Paths(parts)
            }
            Err(resolved) => resolved,
        },
        Place::Binary(name) => Resolved::Paths(binary(name, facts)),
        Place::DockerSocket => {
            if let Some(why) = effective.unknown_sockets(facts) {
                return Resolved::Unknown(why);
            }
            let paths = effective.docker_sockets(facts);
            if paths.is_empty() { Resolved::Nothing("dockerd has no unix socket".into()) } else { Resolved::Paths(paths) }
        }
        Place::ContainerdSocket => {
            let told = facts.daemon.api.known().is_some_and(|api| api.containerd_address.is_some());
            match effective.uncertain("containerd", facts).filter(|_| !told) {
                Some(why) => Resolved::Unknown(why),
                None => Resolved::Paths(effective.containerd_sockets(facts)),
            }
        }
    }
}

/// A unit of this layout, or what to say instead.
fn unit<'f>(name: &str, facts: &'f Facts) -> Result<&'f UnitFacts, Resolved> {
    let name = layout::unit(name, facts).map_err(Resolved::Nothing)?;
    match facts.units.get(name) {
        Some(Fact::Known(unit)) => Ok(unit),
        Some(Fact::Unknown(why)) => Err(Resolved::Unknown(why.clone())),
        _ => Err(Resolved::Nothing(format!("there is no unit {name}"))),
    }
}

fn daemon_key(key: &str, effective: &Effective) -> Resolved {
    if let Some(why) = effective.unreadable() {
        return Resolved::Unknown(why.to_owned());
    }
    match effective.configured(key).as_ref().and_then(serde_json::Value::as_str) {
        Some(path) if path.starts_with('/') => Resolved::Paths(vec![path.to_owned()]),
        Some(path) if !path.is_empty() => {
            Resolved::Unknown(format!("{key} is `{path}`, a path that depends on where dockerd was started"))
        }
        _ => Resolved::Nothing(format!("{key} is not configured")),
    }
}

/// The program that runs, else every candidate; those that do not exist are left out by whoever looks at them.
fn binary(name: &str, facts: &Facts) -> Vec<String> {
    if name == "dockerd"
        && let Fact::Known(process) = &facts.daemon.process
    {
        return vec![process.exe.clone()];
    }
    if facts.daemon.layout.kind == Layout::Snap {
        return vec![format!("/snap/docker/current/bin/{name}")];
    }
    BINARY_DIRS.iter().map(|dir| format!("{dir}/{name}")).collect()
}
