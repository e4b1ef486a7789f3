//! What of the host is mounted into a container, and what of its own it may write to.

use std::collections::BTreeSet;

use super::{Seen, evidence, inspect, kernel};
use crate::fact::{ContainerFacts, Fact, FileKind, KernelFacts, MountFact};
use crate::kinds::Context;

/// Sockets of container engines, by file name.
const ENGINE_SOCKETS: [&str; 4] = ["docker.sock", "containerd.sock", "podman.sock", "crio.sock"];
/// What engines of every generation hide or write-protect; newer ones add to it. The last is the mount of control groups.
const PROTECTED: [&str; 16] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
    CGROUPS,
];
const CGROUPS: &str = "/sys/fs/cgroup";

/// Where a bind mount's source really lies, and why that can't be told.
fn real(mount: &MountFact, context: &Context) -> (String, Option<String>) {
    match context.facts.files.get(&mount.source) {
        Some(Fact::Known(file)) => (file.real_path.clone(), None),
        Some(Fact::Unknown(why)) => {
            (mount.source.clone(), Some(format!("where the mount {} lies can't be told: {why}", mount.source)))
        }
        Some(Fact::Absent) | None => (mount.source.clone(), None),
    }
}

fn binds(container: &ContainerFacts) -> impl Iterator<Item = &MountFact> {
    container.mounts.iter().filter(|mount| mount.kind == "bind")
}

fn mount_evidence(mount: &MountFact, real: &str) -> String {
    let link = if real == mount.source { String::new() } else { format!(", which is {real}") };
    let how = if mount.writable { "" } else { ", read-only" };
    format!("inspect Mounts: {}{link} at {}{how}", mount.source, mount.destination)
}

pub(super) fn host_paths(container: &ContainerFacts, context: &Context) -> Seen {
    let (mut words, mut evidence, mut advised, mut doubt) = (Vec::new(), Vec::new(), Vec::new(), None);
    for mount in binds(container) {
        let (path, why) = real(mount, context);
        doubt = doubt.or(why);
        let (key, how) = if mount.writable { (path.clone(), "") } else { (format!("{path}:ro"), " (read-only)") };
        advised.push((key.clone(), format!("{}:{}", mount.source, mount.destination)));
        words.push((key, format!("{path}{how}")));
        evidence.push(mount_evidence(mount, &path));
    }
    Seen { doubt, advised, ..Seen::list(words, evidence) }
}

pub(super) fn api_sockets(container: &ContainerFacts, context: &Context) -> Seen {
    let mut sockets = context.effective.docker_sockets(context.facts);
    sockets.extend(context.effective.containerd_sockets(context.facts));
    let (mut words, mut evidence, mut advised, mut doubt) = (Vec::new(), Vec::new(), Vec::new(), None);
    for mount in binds(container) {
        let (path, why) = real(mount, context);
        advised.push((path.clone(), format!("{}:{}", mount.source, mount.destination)));
        let name = path.rsplit('/').next().unwrap_or_default();
        let below = format!("{}/", path.trim_end_matches('/'));
        let inside = sockets.iter().find(|socket| socket.starts_with(&below));
        if sockets.contains(&path) || ENGINE_SOCKETS.contains(&name) {
            words.push((path.clone(), path.clone()));
        } else if let Some(socket) = inside {
            words.push((path.clone(), format!("{path}, which holds {socket}")));
        } else {
            doubt = doubt.or(why);
            continue;
        }
        evidence.push(mount_evidence(mount, &path));
    }
    let evidence = if evidence.is_empty() { vec!["inspect Mounts: no socket of an engine".into()] } else { evidence };
    Seen { doubt, advised, ..Seen::list(words, evidence) }
}

pub(super) fn shared_mounts(container: &ContainerFacts) -> Seen {
    let shared = container.mounts.iter().filter(|mount| ["shared", "rshared"].contains(&mount.propagation.as_str()));
    let words =
        shared.clone().map(|mount| (mount.destination.clone(), format!("{} ({})", mount.destination, mount.propagation)));
    let advised = shared
        .map(|mount| (mount.destination.clone(), format!("{}:{}:{}", mount.source, mount.destination, mount.propagation)));
    let advised = advised.collect();
    Seen { advised, ..Seen::list(words.collect(), vec!["inspect Mounts[].Propagation".into()]) }
}

pub(super) fn writable_sources(container: &ContainerFacts, context: &Context) -> Seen {
    let (mut words, mut evidence, mut doubt) = (Vec::new(), Vec::new(), None);
    for mount in binds(container) {
        let file = match context.facts.files.get(&mount.source) {
            Some(Fact::Known(file)) => file,
            Some(Fact::Unknown(why)) => {
                doubt = doubt.or(Some(why.clone()));
                continue;
            }
            Some(Fact::Absent) | None => continue,
        };
        // Whoever may connect to a socket or use a device needs the bit; these have controls of their own.
        let is_storage = matches!(file.kind, FileKind::File | FileKind::Dir);
        if is_storage && file.mode & 0o022 != 0 {
            words.push((mount.source.clone(), format!("{} with mode {:04o}", mount.source, file.mode)));
            evidence.push(mount_evidence(mount, &file.real_path));
        }
    }
    Seen { doubt, ..Seen::list(words, evidence) }
}

pub(super) fn readonly_root(container: &ContainerFacts) -> Seen {
    let told = container.made.readonly_rootfs;
    let seen = kernel(container).ok().and_then(|kernel| kernel.root_readonly);
    let readonly = seen.unwrap_or(told);
    let line = |kernel: &KernelFacts| {
        let how = if kernel.root_readonly? { "ro" } else { "rw" };
        Some(format!("/proc/{}/mountinfo: / is {how}", kernel.pid))
    };
    let evidence = evidence(container, line, Some(inspect("ReadonlyRootfs", told)));
    Seen::plain(readonly, if readonly { "read-only" } else { "writable" }, evidence)
}

pub(super) fn masked_paths(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let told = made.masked_paths.iter().chain(&made.readonly_paths).flatten();
    let mut paths: BTreeSet<String> = told.cloned().collect();
    // `null` is the engine's default in containers of old engines, and nothing at all in privileged ones.
    if !made.privileged {
        let split = PROTECTED.len() - 6;
        let defaults =
            [(&made.masked_paths, &PROTECTED[..split]), (&made.readonly_paths, &PROTECTED[split..PROTECTED.len() - 1])];
        for (_, default) in defaults.iter().filter(|(told, _)| told.is_none()) {
            paths.extend(default.iter().map(|path| (*path).to_owned()));
        }
        if !made.security_opt.iter().any(|option| option == "writable-cgroups" || option == "writable-cgroups=true") {
            paths.insert(CGROUPS.into());
        }
    }
    let said = if PROTECTED.iter().all(|path| paths.contains(*path)) { Some("protected".to_owned()) } else { None };
    let mut seen = Seen::keys(paths, vec!["inspect HostConfig.MaskedPaths, ReadonlyPaths, SecurityOpt".into()]);
    seen.plain = said;
    seen
}
