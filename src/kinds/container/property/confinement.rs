//! What a process of a container may do: its user, its capabilities, what filters and labels it.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Seen, evidence, inspect, is_root, kernel, quoted};
use crate::fact::{ContainerFacts, KernelFacts};
use crate::formats::argv;
use crate::kinds::Context;
use crate::kinds::container::DEFAULT_CAPABILITIES;

pub(super) fn user(container: &ContainerFacts, context: &Context) -> Seen {
    let given = &container.made.user;
    let config = format!("inspect Config.User: {}", quoted(given));
    let processes = kernel(container).ok().map(|kernel| &kernel.processes).filter(|processes| !processes.is_empty());
    if let Some(processes) = processes {
        let root: Vec<_> = processes.iter().filter(|process| process.root).collect();
        if let Some(first) = root.first() {
            let seen = format!(
                "kernel /proc/{}/status: {} has uid 0, as {} of {} processes",
                first.pid,
                first.name,
                root.len(),
                processes.len()
            );
            return Seen::plain("root", "root", vec![seen, config]);
        }
        let uids: BTreeSet<String> = processes.iter().map(|process| process.uid.to_string()).collect();
        let uids = format!("uid {}", uids.into_iter().collect::<Vec<_>>().join(", "));
        let seen = format!("kernel /proc/{}/status: no process has uid 0", processes[0].pid);
        let note = is_root(given)
            .then(|| "it starts as root and gives that up; docker exec is root in it unless told otherwise".into());
        return Seen { note, ..Seen::plain(uids.clone(), uids, vec![seen, config]) };
    }
    let options = context.facts.daemon.api.known().and_then(|api| api.security_options.clone()).unwrap_or_default();
    let mapped = |name: &str| options.iter().any(|option| option.starts_with(name));
    let evidence = evidence(container, |_| None, Some(config));
    if mapped("name=rootless") || (mapped("name=userns") && container.made.userns_mode != "host") {
        return Seen::plain("mapped", "root of a user namespace, another user on the host", evidence);
    }
    match is_root(given) {
        true => Seen::plain("root", "root", evidence),
        false => Seen::plain(given.as_str(), given, evidence),
    }
}

/// The label of a security module: the kernel's where it was read, else the engine's word.
pub(super) fn label(container: &ContainerFacts, told: &str, field: &str, none: &str) -> Seen {
    let from_kernel = kernel(container).ok().and_then(|kernel| Some((kernel.pid, kernel.security_label.clone()?)));
    let inspect = format!("inspect {field}: {}", quoted(told));
    match from_kernel {
        Some((pid, label)) => {
            let words = if label.is_empty() { "unlabelled".into() } else { label.clone() };
            Seen::plain(label.clone(), words, vec![format!("kernel /proc/{pid}/attr/current: {}", quoted(&label)), inspect])
        }
        None => {
            let value = if told.is_empty() { none } else { told };
            let words = if value.is_empty() { "unlabelled" } else { value };
            Seen::plain(value, words, evidence(container, |_| None, Some(inspect)))
        }
    }
}

/// The engine notes the profile as it starts a container; of one that was never started, its options tell.
pub(super) fn apparmor_profile(container: &ContainerFacts) -> &str {
    let told = container.apparmor_profile.as_str();
    match security_option(container, "apparmor") {
        _ if container.running || !told.is_empty() => told,
        _ if container.made.privileged => "unconfined",
        Some(profile) => profile,
        None => "docker-default",
    }
}

/// All capabilities that its processes can get; `None` for all that there are.
pub(super) fn capabilities(container: &ContainerFacts) -> (Option<BTreeSet<String>>, Vec<String>) {
    let made = &container.made;
    let inspect = match (made.privileged, made.cap_add.is_empty()) {
        (true, _) => Some("inspect HostConfig.Privileged: true".to_owned()),
        (false, false) => Some(inspect("CapAdd", made.cap_add.join(", "))),
        (false, true) => None,
    };
    let evidence = evidence(container, |kernel| Some(format!("/proc/{}/status CapBnd", kernel.pid)), inspect);
    let evidence = if evidence.is_empty() { vec!["inspect HostConfig.CapAdd: none".into()] } else { evidence };
    let every = made.privileged
        || made.cap_add.iter().any(|name| name == "ALL")
        || kernel(container).is_ok_and(|kernel| kernel.cap_all);
    if every {
        return (None, evidence);
    }
    let mut all = match kernel(container) {
        Ok(kernel) => kernel.cap_bnd.clone(),
        Err(_) => {
            let dropped = |name: &&str| made.cap_drop.iter().any(|drop| drop == "ALL" || drop == *name);
            DEFAULT_CAPABILITIES.iter().copied().filter(|name| !dropped(name)).map(str::to_owned).collect()
        }
    };
    // What was added goes to every process that is started in it, whatever the first one has given up.
    all.extend(made.cap_add.iter().cloned());
    (Some(all), evidence)
}

pub(super) fn dropped(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let (all, mut evidence) = capabilities(container);
    let all = all.unwrap_or_else(|| DEFAULT_CAPABILITIES.map(str::to_owned).into());
    let mut keys: Vec<String> = Vec::new();
    if all.iter().all(|name| made.cap_add.contains(name)) {
        keys.push("ALL".into());
    }
    keys.extend(DEFAULT_CAPABILITIES.iter().filter(|name| !all.contains(**name)).map(|name| (*name).to_owned()));
    evidence.push(inspect("CapDrop", if made.cap_drop.is_empty() { "none".into() } else { made.cap_drop.join(", ") }));
    let words = if keys.is_empty() { "drops none" } else { "drops some" };
    let said = match keys.as_slice() {
        [] => words.to_owned(),
        keys if keys[0] == "ALL" => "drops all".to_owned(),
        keys => format!("drops {}", keys.join(", ")),
    };
    Seen { plain: Some(said), ..Seen::keys(keys, evidence) }
}

pub(super) fn seccomp(container: &ContainerFacts, context: &Context) -> Seen {
    let made = &container.made;
    let profile = security_option(container, "seccomp");
    let options = context.facts.daemon.api.known().and_then(|api| api.security_options.as_ref());
    let of_daemon = options.map(|options| {
        options.iter().any(|option| option.starts_with("name=seccomp") && !option.contains("profile=unconfined"))
    });
    let told = match profile {
        _ if made.privileged => false,
        Some("unconfined") => false,
        Some(_) => true,
        None => of_daemon.unwrap_or(true),
    };
    let mode = kernel(container).ok().and_then(|kernel| kernel.seccomp);
    // A program may filter itself; what is started beside it then is not filtered.
    let filtered = mode.map_or(told, |mode| mode == 2 && (told || profile.is_none()) && !made.privileged);
    let why = match profile {
        _ if made.privileged => "inspect HostConfig.Privileged: true".to_owned(),
        Some(profile) if profile.len() < 40 => inspect("SecurityOpt", format!("seccomp={profile}")),
        Some(_) => inspect("SecurityOpt", "seccomp={…}"),
        None => "inspect HostConfig.SecurityOpt: no seccomp".to_owned(),
    };
    let line = |kernel: &KernelFacts| Some(format!("/proc/{}/status Seccomp: {}", kernel.pid, kernel.seccomp?));
    Seen::plain(filtered, if filtered { "filtered" } else { "not filtered" }, evidence(container, line, Some(why)))
}

/// The value of a security option; the engine takes the last one that is given.
fn security_option<'c>(container: &'c ContainerFacts, name: &str) -> Option<&'c str> {
    container.made.security_opt.iter().rev().find_map(|option| option.strip_prefix(name)?.strip_prefix(['=', ':']))
}

pub(super) fn no_new_privileges(container: &ContainerFacts, context: &Context) -> Result<Seen, String> {
    let made = &container.made;
    let explicit = made.security_opt.iter().rev().find_map(|option| match option.strip_prefix("no-new-privileges")? {
        "" => Some(true),
        value => value.strip_prefix(['=', ':']).map(|value| argv::parse_bool(value) == Some(true)),
    });
    let seen = kernel(container).ok().and_then(|kernel| kernel.no_new_privs);
    let set = match (explicit, seen) {
        (Some(false), _) => false,
        (_, Some(seen)) => seen,
        (Some(true), None) => true,
        (None, None) => {
            let options = context.facts.daemon.api.known().and_then(|api| api.security_options.as_ref());
            let by_daemon = context.effective.configured("no-new-privileges") == Some(json!(true))
                || options.is_some_and(|options| options.iter().any(|option| option == "name=no-new-privileges"));
            if by_daemon {
                return Err("dockerd sets no-new-privileges for new containers, and inspect does not show whether this one was made since: \
                            once it runs, the kernel tells"
                    .into());
            }
            false
        }
    };
    let line =
        |kernel: &KernelFacts| Some(format!("/proc/{}/status NoNewPrivs: {}", kernel.pid, u8::from(kernel.no_new_privs?)));
    let told = match explicit {
        Some(value) => inspect("SecurityOpt", format!("no-new-privileges={value}")),
        None => "inspect HostConfig.SecurityOpt: no no-new-privileges".into(),
    };
    Ok(Seen::plain(set, if set { "set" } else { "not set" }, evidence(container, line, Some(told))))
}
