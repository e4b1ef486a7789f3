//! The properties of a container: each a value, the words for it, and where it was seen.
//!
//! The kernel's truth goes first where the container runs. What inspect says counts as well where it says what the next start will
//! bring, and alone where the kernel can't be read; the evidence names the one that was used.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::baseline::control::ContainerProperty as P;
use crate::fact::{ContainerFacts, ExecFact, Fact, FileKind, KernelFacts, LimitFact, MountFact};
use crate::formats::argv;
use crate::formats::size::{self, UNLIMITED};
use crate::kinds::Context;
use crate::kinds::container::DEFAULT_CAPABILITIES;

/// Programs that let people in.
const SSH_SERVERS: [&str; 4] = ["sshd", "dropbear", "sshd-session", "tinysshd"];
/// Programs that are there to start and reap another one.
const INITS: [&str; 5] = ["docker-init", "tini", "dumb-init", "catatonit", "s6-svscan"];
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
/// Shares of a processor that are the same as none.
const USUAL_SHARES: i64 = 1024;
/// Restarts without an end.
const ENDLESS: i64 = i64::MAX;

/// A property of one container.
#[derive(Debug, Default)]
pub struct Seen {
    /// What the expectation is held against.
    pub value: Value,
    /// The words for each element, by its key in the value.
    words: Vec<(String, String)>,
    /// The words for a value that is no list.
    plain: Option<String>,
    /// What advice calls an element, where that is not its key: `/etc:/host` for a mount. Empty where there is nothing to say.
    advised: Vec<(String, String)>,
    /// Where it was seen.
    pub evidence: Vec<String>,
    /// What a reader of a compliant verdict should still know.
    pub note: Option<String>,
    /// Why a value that looks right can't be relied on.
    pub doubt: Option<String>,
}

impl Seen {
    fn plain(value: impl Into<Value>, words: impl Into<String>, evidence: Vec<String>) -> Seen {
        Seen { value: value.into(), plain: Some(words.into()), evidence, ..Seen::default() }
    }

    /// A list of keys, each with its words.
    fn list(words: Vec<(String, String)>, evidence: Vec<String>) -> Seen {
        Seen { value: words.iter().map(|(key, _)| key.clone()).collect(), words, evidence, ..Seen::default() }
    }

    /// A list whose keys are their own words.
    fn keys(keys: impl IntoIterator<Item = String>, evidence: Vec<String>) -> Seen {
        Seen::list(keys.into_iter().map(|key| (key.clone(), key)).collect(), evidence)
    }

    /// All of it in words.
    pub fn said(&self) -> String {
        match &self.plain {
            Some(words) => words.clone(),
            None if self.words.is_empty() => "none".into(),
            None => self.words.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join(", "),
        }
    }

    /// What advice calls these elements.
    pub fn advised(&self, keys: &[String]) -> Vec<String> {
        let name = |key: &String| self.advised.iter().find(|(other, _)| other == key).map_or(key, |(_, name)| name).clone();
        keys.iter().map(name).collect()
    }

    /// What is not as wanted, in words.
    pub fn wrong(&self, offending: &[String]) -> String {
        let (mut bad, mut missing) = (Vec::new(), Vec::new());
        for key in offending {
            match self.words.iter().find(|(other, _)| other == key) {
                Some((_, words)) => bad.push(words.clone()),
                None => missing.push(key.clone()),
            }
        }
        match (self.plain.is_none(), bad.is_empty(), missing.is_empty()) {
            (false, ..) | (_, true, true) => self.said(),
            (_, false, _) => bad.join(", "),
            (_, true, false) => format!("without {}", missing.join(", ")),
        }
    }
}

/// Looks at a property; an error says why it can't be told.
pub fn look(property: P, container: &ContainerFacts, context: &Context) -> Result<Seen, String> {
    let made = &container.made;
    Ok(match property {
        P::User => user(container, context),
        P::ApparmorProfile => label(container, apparmor_profile(container), "AppArmorProfile", "unconfined"),
        P::SelinuxLabel => label(container, &container.process_label, "ProcessLabel", ""),
        P::AddedCapabilities => {
            let (all, evidence) = capabilities(container);
            let added =
                |all: BTreeSet<String>| all.into_iter().filter(|name| !DEFAULT_CAPABILITIES.contains(&name.as_str())).collect();
            Seen::keys(all.map_or_else(|| vec!["ALL".into()], added), evidence)
        }
        P::Capabilities => {
            let (all, evidence) = capabilities(container);
            Seen::keys(all.map_or_else(|| vec!["ALL".into()], |all| all.into_iter().collect()), evidence)
        }
        P::DroppedCapabilities => dropped(container),
        P::Privileged => {
            let words = if made.privileged { "privileged" } else { "not privileged" };
            Seen::plain(made.privileged, words, vec![format!("inspect HostConfig.Privileged: {}", made.privileged)])
        }
        P::HostPaths => host_paths(container, context),
        P::ApiSockets => api_sockets(container, context),
        P::SharedMounts => shared_mounts(container),
        P::WritableSources => writable_sources(container, context),
        P::SshServers => ssh_servers(container),
        P::PrivilegedPorts => ports(container, |port| (1..1024).contains(&port)),
        P::PublishedPorts => published(container),
        P::WildcardPorts => wildcard_ports(container, context),
        P::NetworkNamespace => namespace(container, "net", "NetworkMode", &made.network_mode),
        P::SharedNetwork => {
            let pair = made.network_mode.strip_prefix("container:").map(|other| format!("{}:{other}", container.name));
            let words = pair
                .iter()
                .map(|pair| (pair.clone(), format!("in the network of {}", &made.network_mode["container:".len()..])));
            Seen::list(words.collect(), vec![inspect("NetworkMode", &made.network_mode)])
        }
        P::PidNamespace => namespace(container, "pid", "PidMode", &made.pid_mode),
        P::IpcNamespace => namespace(container, "ipc", "IpcMode", &made.ipc_mode),
        P::UtsNamespace => namespace(container, "uts", "UTSMode", &made.uts_mode),
        P::UserNamespace => user_namespace(container, context),
        P::Networks => Seen::keys(container.networks.iter().cloned(), vec!["inspect NetworkSettings.Networks".into()]),
        P::Memory => memory(container),
        P::Cpu => cpu(container),
        P::BlkioWeight => {
            let words = if made.blkio_weight == 0 { "without a weight".into() } else { made.blkio_weight.to_string() };
            Seen::plain(made.blkio_weight, words, vec![inspect("BlkioWeight", made.blkio_weight)])
        }
        P::Pids => pids(container),
        P::ReadonlyRoot => readonly_root(container),
        P::Restarts => restarts(container),
        P::Devices => devices(container),
        P::Ulimits => ulimits(container, context)?,
        P::Seccomp => seccomp(container, context),
        P::PrivilegedExecs => execs(container, |exec| exec.privileged, "--privileged")?,
        P::RootExecs => {
            let others = !is_root(&made.user);
            execs(container, |exec| others && !exec.user.is_empty() && is_root(&exec.user), "--user root")?
        }
        P::CgroupParent => {
            let words = if made.cgroup_parent.is_empty() { "the engine's own" } else { &made.cgroup_parent };
            Seen::plain(made.cgroup_parent.as_str(), words, vec![inspect("CgroupParent", quoted(&made.cgroup_parent))])
        }
        P::NoNewPrivileges => no_new_privileges(container, context)?,
        P::Healthcheck => {
            let words = if made.healthcheck { "checked" } else { "not checked" };
            Seen::plain(made.healthcheck, words, vec!["inspect Config.Healthcheck".into()])
        }
        P::Image => image(container)?,
        P::MaskedPaths => masked_paths(container),
        P::Environment => environment(container),
        P::Programs => programs(container)?,
        P::Stopped | P::StoppedDays => return Err("this is a property of all containers together".into()),
    })
}

/// Where a property is seen, for `harden explain`.
pub fn source(property: P) -> &'static str {
    match property {
        P::User => "the user ids of its processes in /proc; Config.User where it does not run",
        P::ApparmorProfile | P::SelinuxLabel => "/proc/PID/attr/current; inspect where it does not run",
        P::AddedCapabilities | P::Capabilities | P::DroppedCapabilities => {
            "the bounding set in /proc/PID/status, and HostConfig.CapAdd, CapDrop and Privileged"
        }
        P::Privileged => "HostConfig.Privileged",
        P::HostPaths | P::ApiSockets => "Mounts, with the symbolic links of the host resolved",
        P::WritableSources => "Mounts, and the mode of what they name on the host",
        P::SharedMounts => "Mounts[].Propagation",
        P::SshServers | P::Programs => "the processes of its control group in /proc; nothing is run inside",
        P::PrivilegedPorts | P::PublishedPorts | P::WildcardPorts => {
            "NetworkSettings.Ports; HostConfig.PortBindings where it does not run"
        }
        P::NetworkNamespace | P::PidNamespace | P::IpcNamespace | P::UtsNamespace | P::UserNamespace => {
            "the links in /proc/PID/ns against those of PID 1 and of dockerd, and the mode in HostConfig"
        }
        P::SharedNetwork => "HostConfig.NetworkMode",
        P::Networks => "NetworkSettings.Networks",
        P::Memory | P::Cpu | P::Pids => "HostConfig, and the limits of its control group",
        P::BlkioWeight => "HostConfig.BlkioWeight",
        P::ReadonlyRoot => "/proc/PID/mountinfo; HostConfig.ReadonlyRootfs where it does not run",
        P::Restarts => "HostConfig.RestartPolicy",
        P::Devices => "HostConfig.Devices, DeviceRequests, DeviceCgroupRules and Privileged",
        P::Ulimits => "HostConfig.Ulimits against default-ulimits of dockerd",
        P::Seccomp => "Seccomp in /proc/PID/status, and HostConfig.SecurityOpt",
        P::PrivilegedExecs | P::RootExecs => "the exec instances that the engine still knows",
        P::CgroupParent => "HostConfig.CgroupParent",
        P::NoNewPrivileges => "NoNewPrivs in /proc/PID/status, and HostConfig.SecurityOpt",
        P::Healthcheck => "Config.Healthcheck",
        P::Image => "its image against the one that the name stands for on this host now",
        P::MaskedPaths => "HostConfig.MaskedPaths, ReadonlyPaths and SecurityOpt",
        P::Environment => "Config.Env; values are never kept",
        P::Stopped | P::StoppedDays => "all containers, stopped ones too",
    }
}

fn inspect(field: &str, value: impl std::fmt::Display) -> String {
    format!("inspect HostConfig.{field}: {value}")
}

fn quoted(text: &str) -> String {
    if text.is_empty() { "\"\"".into() } else { text.to_owned() }
}

/// The kernel's truth, or the line that says why it is not in the evidence.
fn kernel(container: &ContainerFacts) -> Result<&KernelFacts, Option<String>> {
    match &container.kernel {
        Fact::Known(kernel) => Ok(kernel),
        _ if !container.running => Err(None),
        Fact::Absent => Err(Some("inspect alone: its first process has ended meanwhile".into())),
        Fact::Unknown(why) => Err(Some(format!("inspect alone: {why}"))),
    }
}

/// Evidence from the kernel where it was read, and what inspect says.
fn evidence(
    container: &ContainerFacts,
    from_kernel: impl FnOnce(&KernelFacts) -> Option<String>,
    inspect: Option<String>,
) -> Vec<String> {
    let first = match kernel(container) {
        Ok(kernel) => from_kernel(kernel).map(|text| format!("kernel {text}")),
        Err(why) => why,
    };
    first.into_iter().chain(inspect).collect()
}

/// Whether a user given as `name`, `uid` or `uid:gid` is root; nothing given is root as well.
fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name.is_empty() || name == "root" || name.parse() == Ok(0u32)
}

fn user(container: &ContainerFacts, context: &Context) -> Seen {
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
fn label(container: &ContainerFacts, told: &str, field: &str, none: &str) -> Seen {
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
fn apparmor_profile(container: &ContainerFacts) -> &str {
    let told = container.apparmor_profile.as_str();
    match security_option(container, "apparmor") {
        _ if container.running || !told.is_empty() => told,
        _ if container.made.privileged => "unconfined",
        Some(profile) => profile,
        None => "docker-default",
    }
}

/// All capabilities that its processes can get; `None` for all that there are.
fn capabilities(container: &ContainerFacts) -> (Option<BTreeSet<String>>, Vec<String>) {
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

fn dropped(container: &ContainerFacts) -> Seen {
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

fn host_paths(container: &ContainerFacts, context: &Context) -> Seen {
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

fn api_sockets(container: &ContainerFacts, context: &Context) -> Seen {
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

fn shared_mounts(container: &ContainerFacts) -> Seen {
    let shared = container.mounts.iter().filter(|mount| ["shared", "rshared"].contains(&mount.propagation.as_str()));
    let words =
        shared.clone().map(|mount| (mount.destination.clone(), format!("{} ({})", mount.destination, mount.propagation)));
    let advised = shared
        .map(|mount| (mount.destination.clone(), format!("{}:{}:{}", mount.source, mount.destination, mount.propagation)));
    let advised = advised.collect();
    Seen { advised, ..Seen::list(words.collect(), vec!["inspect Mounts[].Propagation".into()]) }
}

fn writable_sources(container: &ContainerFacts, context: &Context) -> Seen {
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

fn ssh_servers(container: &ContainerFacts) -> Seen {
    let mut words = Vec::new();
    let mut doubt = None;
    match kernel(container) {
        Ok(kernel) => {
            for process in &kernel.processes {
                // A process may call itself anything; its program's file has a name too.
                let names = [&process.name, &process.program];
                if let Some(name) = names.into_iter().find(|name| SSH_SERVERS.contains(&name.as_str())) {
                    words.push((name.clone(), format!("{name} (running)")));
                }
            }
            words.dedup();
        }
        Err(why) => doubt = why.map(|why| format!("its processes can't be seen ({why})")),
    }
    if container.exposed.iter().chain(container.ports.iter().map(|port| &port.container)).any(|port| port == "22/tcp") {
        words.push(("22/tcp".into(), "port 22 (exposed)".into()));
    }
    let processes = |kernel: &KernelFacts| Some(format!("/proc: {} in its control group", processes(kernel)));
    Seen { doubt, ..Seen::list(words, evidence(container, processes, Some("inspect Config.ExposedPorts".into()))) }
}

fn processes(kernel: &KernelFacts) -> String {
    match kernel.processes.len() {
        1 => "1 process".into(),
        count => format!("{count} processes"),
    }
}

fn port_source(container: &ContainerFacts) -> Vec<String> {
    let bound = container.ports.iter().any(|port| port.bound);
    vec![if bound { "inspect NetworkSettings.Ports".into() } else { "inspect HostConfig.PortBindings".into() }]
}

fn ports(container: &ContainerFacts, counts: impl Fn(u16) -> bool) -> Seen {
    let mut words: Vec<(String, String)> = Vec::new();
    for port in container.ports.iter().filter(|port| counts(port.host_port)) {
        let key = port.host_port.to_string();
        if !words.iter().any(|(other, _)| *other == key) {
            words.push((key.clone(), format!("{key} (for {})", port.container)));
        }
    }
    Seen { advised: advised_ports(container), ..Seen::list(words, port_source(container)) }
}

fn published(container: &ContainerFacts) -> Seen {
    let ports: BTreeSet<String> = container.ports.iter().map(|port| port.container.clone()).collect();
    let mut words: Vec<(String, String)> = ports.into_iter().map(|port| (port.clone(), port)).collect();
    let mut evidence = port_source(container);
    if container.made.publish_all {
        words.insert(0, ("-P".into(), "every exposed port (-P)".into()));
        evidence.push(inspect("PublishAllPorts", true));
    }
    let by_port = container.ports.iter().map(|port| (port.container.clone(), format!("{}:{}", port.host_port, port.container)));
    let advised = by_port.chain([("-P".to_owned(), String::new())]).collect();
    Seen { advised, ..Seen::list(words, evidence) }
}

fn wildcard_ports(container: &ContainerFacts, context: &Context) -> Seen {
    let default = context.effective.configured("ip");
    let default = default.as_ref().and_then(Value::as_str).unwrap_or("0.0.0.0");
    let mut words: Vec<(String, String)> = Vec::new();
    for port in &container.ports {
        let ip = if port.host_ip.is_empty() { default } else { &port.host_ip };
        if !["0.0.0.0", "::", "[::]"].contains(&ip) {
            continue;
        }
        let key = port.host_port.to_string();
        let number = if port.host_port == 0 { "a port of the engine's choice".to_owned() } else { key.clone() };
        match words.iter_mut().find(|(other, _)| *other == key && port.host_port != 0) {
            Some((_, words)) => words.push_str(&format!(" and {ip}")),
            None => words.push((key, format!("{number} (for {}) on {ip}", port.container))),
        }
    }
    Seen { advised: advised_ports(container), ..Seen::list(words, port_source(container)) }
}

/// Published ports as `docker run` takes them, by the host's port.
fn advised_ports(container: &ContainerFacts) -> Vec<(String, String)> {
    let flag = |host: u16, of: &str| if host == 0 { format!(":{of}") } else { format!("{host}:{of}") };
    container.ports.iter().map(|port| (port.host_port.to_string(), flag(port.host_port, &port.container))).collect()
}

fn namespace(container: &ContainerFacts, kind: &str, field: &str, mode: &str) -> Seen {
    let shared = kernel(container)
        .ok()
        .filter(|kernel| kernel.compared_namespaces.contains(kind))
        .map(|kernel| kernel.shared_namespaces.contains(kind));
    let line = |kernel: &KernelFacts| match shared {
        Some(true) => Some(format!("/proc/{}/ns/{kind} is the host's", kernel.pid)),
        Some(false) => Some(format!("/proc/{}/ns/{kind} is not the host's", kernel.pid)),
        None => None,
    };
    let evidence = evidence(container, line, Some(inspect(field, quoted(mode))));
    let other = mode.strip_prefix("container:");
    let (value, words) = match (mode == "host" || shared == Some(true), other) {
        (true, Some(other)) => ("host".to_owned(), format!("the host's, through the container {other}")),
        (true, None) => ("host".to_owned(), "the host's".to_owned()),
        (false, Some(other)) => (mode.to_owned(), format!("that of the container {other}")),
        (false, None) => ("own".to_owned(), "its own".to_owned()),
    };
    Seen::plain(value, words, evidence)
}

fn user_namespace(container: &ContainerFacts, context: &Context) -> Seen {
    let mode = &container.made.userns_mode;
    let options = context.facts.daemon.api.known().and_then(|api| api.security_options.clone()).unwrap_or_default();
    // Without userns-remap every container has the host's users, which is the daemon's matter.
    let remapped = options.iter().any(|option| option.starts_with("name=userns"));
    let shared = remapped && kernel(container).is_ok_and(|kernel| kernel.shared_namespaces.contains("user"));
    let line = |kernel: &KernelFacts| {
        remapped.then(|| format!("/proc/{}/ns/user is {}the host's", kernel.pid, if shared { "" } else { "not " }))
    };
    let evidence = evidence(container, line, Some(inspect("UsernsMode", quoted(mode))));
    match mode == "host" || shared {
        true => Seen::plain("host", "the host's", evidence),
        false => Seen::plain("default", "the daemon's default", evidence),
    }
}

/// What a control group says of a limit that inspect has.
fn agrees(limit: i64, kernel: Option<&LimitFact>) -> (bool, Option<String>) {
    match kernel {
        Some(kernel) => {
            let max = kernel.max.map_or("no limit".into(), |max| max.to_string());
            (limit == 0 || kernel.max.is_some(), Some(format!("kernel {}: {max}", shorter(&kernel.file))))
        }
        None => (true, None),
    }
}

/// The file of a control group, the container's id cut to what people use.
fn shorter(file: &str) -> String {
    let is_id = |part: &str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = file.split('/').map(|part| match part.strip_prefix("docker-").and_then(|rest| rest.strip_suffix(".scope")) {
        Some(id) if is_id(id) => format!("docker-{}….scope", &id[..12]),
        _ if is_id(part) => format!("{}…", &part[..12]),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A limit that both inspect and the kernel must have.
fn limit(
    container: &ContainerFacts,
    limit: i64,
    field: &str,
    cgroup: Option<&LimitFact>,
    words: impl Fn(i64) -> String,
) -> Seen {
    let limit = if (1..UNLIMITED).contains(&limit) { limit } else { 0 };
    let (agrees, line) = agrees(limit, cgroup);
    let first = match kernel(container) {
        Ok(_) => line,
        Err(why) => why,
    };
    let evidence = first.into_iter().chain([inspect(field, limit)]).collect();
    match (limit, agrees) {
        (0, _) => Seen::plain(0, "without a limit", evidence),
        (limit, false) => {
            Seen::plain(0, format!("without a limit in the kernel, though inspect has {}", words(limit)), evidence)
        }
        (limit, true) => Seen::plain(limit, words(limit), evidence),
    }
}

fn cgroup(container: &ContainerFacts) -> crate::fact::CgroupFacts {
    kernel(container).map(|kernel| kernel.cgroup.clone()).unwrap_or_default()
}

fn memory(container: &ContainerFacts) -> Seen {
    limit(container, container.made.memory, "Memory", cgroup(container).memory.as_ref(), size::words)
}

fn pids(container: &ContainerFacts) -> Seen {
    limit(container, container.made.pids_limit, "PidsLimit", cgroup(container).pids.as_ref(), |pids| pids.to_string())
}

fn cpu(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let period = if made.cpu_period > 0 { made.cpu_period } else { 100_000 };
    let cpus = |thousandths: i64| format!("{} processors", thousandths as f64 / 1000.0);
    let group = cgroup(container);
    if made.nano_cpus > 0 {
        return limit(container, (made.nano_cpus / 1_000_000).max(1), "NanoCpus (thousandths)", group.cpu.as_ref(), cpus);
    }
    if made.cpu_quota > 0 {
        return limit(
            container,
            (made.cpu_quota.saturating_mul(1000) / period).max(1),
            "CpuQuota (thousandths)",
            group.cpu.as_ref(),
            cpus,
        );
    }
    let evidence = vec![inspect("NanoCpus", 0), inspect("CpuQuota", made.cpu_quota), inspect("CpuShares", made.cpu_shares)];
    match made.cpu_shares {
        // What the kernel gives everybody is no share of one's own.
        0 | USUAL_SHARES => Seen::plain(0, "without a limit", evidence),
        shares => Seen::plain(shares, format!("{shares} shares"), evidence),
    }
}

fn readonly_root(container: &ContainerFacts) -> Seen {
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

fn restarts(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let (count, words) = match (made.restart.as_str(), made.max_retries) {
        ("no", _) => (0, "no".to_owned()),
        ("on-failure", count) if count > 0 => (count, format!("on-failure:{count}")),
        ("on-failure", _) => (ENDLESS, "on-failure without a limit".to_owned()),
        (name, _) => (ENDLESS, name.to_owned()),
    };
    Seen::plain(count, words.clone(), vec![inspect("RestartPolicy", words)])
}

fn devices(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let all = made.privileged.then(|| ("all".to_owned(), "all (privileged)".to_owned()));
    let named = made.devices.iter().map(|device| (device.clone(), device.clone()));
    let rules = made.device_rules.iter().map(|rule| (rule.clone(), rule.clone()));
    let evidence = vec!["inspect HostConfig.Devices, DeviceRequests, DeviceCgroupRules, Privileged".into()];
    let of_device = made.devices.iter().map(|device| (device.clone(), format!("--device {device}")));
    let of_rule = made.device_rules.iter().map(|rule| match rule.strip_prefix("cgroup rule ") {
        Some(given) => (rule.clone(), format!("--device-cgroup-rule '{given}'")),
        None => (rule.clone(), "--gpus".into()),
    });
    let advised = [("all".to_owned(), "--privileged".to_owned())].into_iter().chain(of_device).chain(of_rule).collect();
    Seen { advised, ..Seen::list(all.into_iter().chain(named).chain(rules).collect(), evidence) }
}

/// The patterns for an approved device: with any choice of its permissions, all of them where none are given.
pub fn device_and_less(device: &str) -> Vec<String> {
    let (path, allowed) = match device.rsplit_once(':') {
        Some((path, allowed)) if !allowed.is_empty() && allowed.chars().all(|letter| "rwm".contains(letter)) => (path, allowed),
        _ => (device, "rwm"),
    };
    let choices = (1..8).map(|bits| {
        let letters = "rwm".chars().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, letter)| letter);
        letters.collect::<String>()
    });
    let within = choices.filter(|choice| choice.chars().all(|letter| allowed.contains(letter)));
    within.map(|choice| format!("{path}:{choice}")).chain([device.to_owned()]).collect()
}

fn ulimits(container: &ContainerFacts, context: &Context) -> Result<Seen, String> {
    if let Some(why) = context.effective.uncertain("default-ulimits", context.facts) {
        return Err(format!("dockerd's own ulimits can't be told: {why}"));
    }
    let default: BTreeSet<String> = match context.effective.configured("default-ulimits") {
        Some(Value::Object(limits)) => limits.iter().filter_map(|(name, limit)| default_ulimit(name, limit)).collect(),
        Some(Value::Array(limits)) => limits.iter().filter_map(Value::as_str).map(with_both).collect(),
        _ => BTreeSet::new(),
    };
    let own = container.made.ulimits.iter().filter(|limit| !default.contains(*limit)).cloned();
    Ok(Seen::keys(
        own,
        vec![inspect(
            "Ulimits",
            if container.made.ulimits.is_empty() { "none".into() } else { container.made.ulimits.join(", ") },
        )],
    ))
}

fn default_ulimit(name: &str, limit: &Value) -> Option<String> {
    match limit {
        Value::String(text) => Some(with_both(&format!("{name}={text}"))),
        limit => {
            let number = |key: &str| limit.get(key).and_then(Value::as_i64);
            let (soft, hard) = (number("Soft"), number("Hard"));
            Some(format!("{name}={}:{}", soft.or(hard)?, hard.or(soft)?))
        }
    }
}

/// `nofile=1024` is `nofile=1024:1024`.
fn with_both(limit: &str) -> String {
    match limit.split_once('=') {
        Some((_, value)) if !value.contains(':') => format!("{limit}:{value}"),
        _ => limit.to_owned(),
    }
}

fn seccomp(container: &ContainerFacts, context: &Context) -> Seen {
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

fn no_new_privileges(container: &ContainerFacts, context: &Context) -> Result<Seen, String> {
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

fn execs(container: &ContainerFacts, counts: impl Fn(&ExecFact) -> bool, flag: &str) -> Result<Seen, String> {
    let execs = match &container.execs {
        Fact::Known(execs) => execs,
        Fact::Absent => return Err("its exec instances are gone".into()),
        Fact::Unknown(why) => return Err(why.clone()),
    };
    let words = execs.iter().filter(|exec| counts(exec)).map(|exec| (exec.id.clone(), format!("exec {} with {flag}", exec.id)));
    let note = Some("what was run before, the engine has forgotten; the audit log may know".into());
    Ok(Seen { note, ..Seen::list(words.collect(), vec!["engine GET /exec/ID/json".into()]) })
}

fn image(container: &ContainerFacts) -> Result<Seen, String> {
    let name = &container.image;
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    let is_id = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id || name.contains("@sha256:") {
        return Ok(Seen::plain("current", "pinned", vec![format!("inspect Config.Image: {name}")]));
    }
    match &container.image_now {
        Fact::Known(id) => {
            let same = *id == container.image_id;
            let words = if same { "current".into() } else { format!("older than what {name} is now") };
            let short = |id: &str| id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect::<String>();
            let evidence = vec![
                format!("inspect Image: {}", short(&container.image_id)),
                format!("engine GET /images/{name}/json: {}", short(id)),
            ];
            Ok(Seen::plain(if same { "current" } else { "older" }, words, evidence))
        }
        Fact::Absent => {
            Err(format!("{name} names no image of this host any more, so whether there is a newer one can't be told"))
        }
        Fact::Unknown(why) => Err(why.clone()),
    }
}

fn masked_paths(container: &ContainerFacts) -> Seen {
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

/// A variable's name as names are compared: in any case, with `-` like `_`.
pub fn variable_name(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

fn environment(container: &ContainerFacts) -> Seen {
    let url = |name: &str| format!("{}:URL_WITH_PASSWORD", variable_name(name));
    let words = container.env.iter().map(|variable| match variable.url_with_password {
        true => (url(&variable.name), format!("{} (an address with a password)", variable.name)),
        false => (variable_name(&variable.name), variable.name.clone()),
    });
    let advised = container.env.iter().flat_map(|variable| {
        [(url(&variable.name), variable.name.clone()), (variable_name(&variable.name), variable.name.clone())]
    });
    let advised = advised.collect();
    Seen { advised, ..Seen::list(words.collect(), vec!["inspect Config.Env, values not kept".into()]) }
}

fn programs(container: &ContainerFacts) -> Result<Seen, String> {
    let kernel = kernel(container).map_err(|why| why.unwrap_or_else(|| "it does not run".into()))?;
    let name = |process: &crate::fact::ProcessInContainer| {
        if process.program.is_empty() { process.name.clone() } else { process.program.clone() }
    };
    let programs: BTreeSet<String> = kernel.processes.iter().map(name).filter(|name| !INITS.contains(&name.as_str())).collect();
    let words = if programs.is_empty() { "none".into() } else { programs.iter().cloned().collect::<Vec<_>>().join(", ") };
    let evidence = vec![format!("kernel /proc: {} in its control group", processes(kernel))];
    Ok(Seen::plain(programs.len() as i64, words, evidence))
}
