//! The properties of a container: each a value, the words for it, and where it was seen.
//!
//! The kernel's truth goes first where the container runs. What inspect says counts as well where it says what the next start will
//! bring, and alone where the kernel can't be read; the evidence names the one that was used.

mod confinement;
mod limits;
mod mounts;
mod network;
mod processes;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::baseline::control::ContainerProperty as P;
use crate::fact::{ContainerFacts, Fact, KernelFacts};
use crate::kinds::Context;
use crate::kinds::container::DEFAULT_CAPABILITIES;

pub use limits::device_and_less;

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
        P::User => confinement::user(container, context),
        P::ApparmorProfile => {
            confinement::label(container, confinement::apparmor_profile(container), "AppArmorProfile", "unconfined")
        }
        P::SelinuxLabel => confinement::label(container, &container.process_label, "ProcessLabel", ""),
        P::AddedCapabilities => {
            let (all, evidence) = confinement::capabilities(container);
            let added =
                |all: BTreeSet<String>| all.into_iter().filter(|name| !DEFAULT_CAPABILITIES.contains(&name.as_str())).collect();
            Seen::keys(all.map_or_else(|| vec!["ALL".into()], added), evidence)
        }
        P::Capabilities => {
            let (all, evidence) = confinement::capabilities(container);
            Seen::keys(all.map_or_else(|| vec!["ALL".into()], |all| all.into_iter().collect()), evidence)
        }
        P::DroppedCapabilities => confinement::dropped(container),
        P::Privileged => {
            let words = if made.privileged { "privileged" } else { "not privileged" };
            Seen::plain(made.privileged, words, vec![format!("inspect HostConfig.Privileged: {}", made.privileged)])
        }
        P::HostPaths => mounts::host_paths(container, context),
        P::ApiSockets => mounts::api_sockets(container, context),
        P::SharedMounts => mounts::shared_mounts(container),
        P::WritableSources => mounts::writable_sources(container, context),
        P::SshServers => processes::ssh_servers(container),
        P::PrivilegedPorts => network::ports(container, |port| (1..1024).contains(&port)),
        P::PublishedPorts => network::published(container),
        P::WildcardPorts => network::wildcard_ports(container, context),
        P::NetworkNamespace => network::namespace(container, "net", "NetworkMode", &made.network_mode),
        P::SharedNetwork => {
            let pair = made.network_mode.strip_prefix("container:").map(|other| format!("{}:{other}", container.name));
            let words = pair
                .iter()
                .map(|pair| (pair.clone(), format!("in the network of {}", &made.network_mode["container:".len()..])));
            Seen::list(words.collect(), vec![inspect("NetworkMode", &made.network_mode)])
        }
        P::PidNamespace => network::namespace(container, "pid", "PidMode", &made.pid_mode),
        P::IpcNamespace => network::namespace(container, "ipc", "IpcMode", &made.ipc_mode),
        P::UtsNamespace => network::namespace(container, "uts", "UTSMode", &made.uts_mode),
        P::UserNamespace => network::user_namespace(container, context),
        P::Networks => Seen::keys(container.networks.iter().cloned(), vec!["inspect NetworkSettings.Networks".into()]),
        P::Memory => limits::memory(container),
        P::Cpu => limits::cpu(container),
        P::BlkioWeight => {
            let words = if made.blkio_weight == 0 { "without a weight".into() } else { made.blkio_weight.to_string() };
            Seen::plain(made.blkio_weight, words, vec![inspect("BlkioWeight", made.blkio_weight)])
        }
        P::Pids => limits::pids(container),
        P::ReadonlyRoot => mounts::readonly_root(container),
        P::Restarts => limits::restarts(container),
        P::Devices => limits::devices(container),
        P::Ulimits => limits::ulimits(container, context)?,
        P::Seccomp => confinement::seccomp(container, context),
        P::PrivilegedExecs => processes::execs(container, |exec| exec.privileged, "--privileged")?,
        P::RootExecs => {
            let others = !is_root(&made.user);
            processes::execs(container, |exec| others && !exec.user.is_empty() && is_root(&exec.user), "--user root")?
        }
        P::CgroupParent => {
            let words = if made.cgroup_parent.is_empty() { "the engine's own" } else { &made.cgroup_parent };
            Seen::plain(made.cgroup_parent.as_str(), words, vec![inspect("CgroupParent", quoted(&made.cgroup_parent))])
        }
        P::NoNewPrivileges => confinement::no_new_privileges(container, context)?,
        P::Healthcheck => {
            let words = if made.healthcheck { "checked" } else { "not checked" };
            Seen::plain(made.healthcheck, words, vec!["inspect Config.Healthcheck".into()])
        }
        P::Image => image(container)?,
        P::MaskedPaths => mounts::masked_paths(container),
        P::Environment => environment(container),
        P::Programs => processes::programs(container)?,
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
