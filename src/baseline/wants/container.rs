//! Properties of containers; one finding a container.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::expect::Expect;

/// A property of containers, what it must be, and how drift is fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerWant {
    /// What is looked at.
    pub property: ContainerProperty,
    /// What it must be. Among `excludes`, a list of paths stands for all below them too, `/` for itself alone.
    #[serde(default)]
    pub expect: Expect,
    /// A number that the property must not go beyond, such as `${container.max_retries}`; not asked where its variable is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_more_than: Option<Value>,
    /// What is wanted, in words, to be read after "should be".
    pub wanted: String,
    /// Only containers that run.
    #[serde(default)]
    pub running: bool,
    /// Names of containers (patterns) that may be as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exempt: Vec<String>,
    /// Where the control does not apply; each condition names its own reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unless: Vec<ContainerCondition>,
    /// How drift is fixed.
    pub fix: ContainerFix,
    /// Variables of the expectation that are not set: there is no policy to judge by. Filled in by the baseline.
    #[serde(default, skip_deserializing, skip_serializing_if = "BTreeSet::is_empty")]
    pub unset: BTreeSet<String>,
    /// The same want as it is for some containers; the first that matches counts. Filled in by the baseline from `container.match`.
    #[serde(default, skip_deserializing, skip_serializing_if = "Vec::is_empty")]
    pub per_match: Vec<(Selector, ContainerWant)>,
}

/// Which containers a `[[vars.container.match]]` speaks of: all that is given must fit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selector {
    /// A pattern of names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A pattern of images, as they were named when the container was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The name of a label that it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

/// What can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerProperty {
    /// As whom its processes run: `root`, or another user.
    User,
    /// The AppArmor profile; `unconfined` where there is none.
    ApparmorProfile,
    /// The SELinux label of its processes; empty where there is none.
    SelinuxLabel,
    /// Capabilities beyond the default set of the engine, without `CAP_`.
    AddedCapabilities,
    /// All capabilities that its processes can get.
    Capabilities,
    /// Capabilities of the default set that it does not have; `ALL` where it has those only that were added by name.
    DroppedCapabilities,
    /// Whether it is privileged.
    Privileged,
    /// Paths of the host that are mounted, links resolved; `:ro` behind those that are read-only.
    HostPaths,
    /// Mounts that hold a socket of a container engine.
    ApiSockets,
    /// Mounts that pass on, and take over, mounts of the host.
    SharedMounts,
    /// Mounted paths of the host that others than their owner can write to.
    WritableSources,
    /// SSH servers that run, and port 22 where it is exposed.
    SshServers,
    /// Published ports of the host below 1024.
    PrivilegedPorts,
    /// Published ports of the container, e.g. `80/tcp`.
    PublishedPorts,
    /// Ports of the host that are published on every address.
    WildcardPorts,
    /// Whose network it has: `host`, `container:NAME` or `own`.
    NetworkNamespace,
    /// `NAME:OTHER` where it has the network of another container.
    SharedNetwork,
    /// Whose processes it sees: `host`, `container:NAME` or `own`.
    PidNamespace,
    /// Whose shared memory it has: `host`, `container:NAME` or `own`.
    IpcNamespace,
    /// Whose host name it has: `host` or `own`.
    UtsNamespace,
    /// Whose users it has: `host` where userns-remap is switched off for it, else `default`.
    UserNamespace,
    /// The networks that it is in.
    Networks,
    /// Bytes of memory that it may use, 0 for any.
    Memory,
    /// Thousandths of a processor, or its shares; 0 for neither.
    Cpu,
    /// Its weight among those that use disks, 0 for none.
    BlkioWeight,
    /// Processes that it may have, 0 for any.
    Pids,
    /// Whether its root file system is read-only.
    ReadonlyRoot,
    /// How often it is started again: 0 never, the count of `on-failure`, or without an end.
    Restarts,
    /// Devices of the host as `path:rwm`, GPUs and device rules.
    Devices,
    /// Limits of processes that the daemon's defaults do not have, as `name=soft:hard`.
    Ulimits,
    /// Whether system calls are filtered.
    Seccomp,
    /// `docker exec --privileged`, of those that the engine still knows.
    PrivilegedExecs,
    /// `docker exec --user root` into a container of another user.
    RootExecs,
    /// The parent of its control group; empty for the engine's own.
    CgroupParent,
    /// Whether its processes can't gain privileges.
    NoNewPrivileges,
    /// Whether its health is checked.
    Healthcheck,
    /// `current` where its image is the one that the name stands for now.
    Image,
    /// Paths in /proc and /sys that are hidden from it or read-only.
    MaskedPaths,
    /// Names of environment variables that hold something; `NAME:URL_WITH_PASSWORD` where that is an address with a password.
    Environment,
    /// How many different programs it runs.
    Programs,
    /// How many containers are stopped; one finding for all of them.
    Stopped,
    /// The days since the first of the stopped containers has ended; one finding for all of them.
    StoppedDays,
}

/// Where a container control does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerCondition {
    /// The engine does not use AppArmor.
    ApparmorOff,
    /// SELinux is off.
    SelinuxOff,
}

/// How drift of a container is fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ContainerFix {
    /// By the engine, while the container runs.
    Update(Update),
    /// By making the container anew, which is left to its owner.
    Recreate(Recreate),
    /// By hand, in these words.
    Manual(String),
}

/// What is set on a container. Sizes are texts like `512m`; what is not given stays as it is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Bytes of memory and swap together; twice the memory where it is not given, as the engine itself has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<String>,
    /// Processors, e.g. `1.5`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// Share of the processors under contention; taken where `cpus` is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<Value>,
    /// Processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<Value>,
    /// Weight among those that use disks, 10 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blkio_weight: Option<Value>,
    /// Restarts after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<Value>,
    /// The flag of `docker service update` that does it for a service, `${…}` filled in.
    pub service: String,
    /// The line of a compose file that does it.
    pub compose: String,
    /// Variables without which there is nothing to set. Filled in by the baseline.
    #[serde(default, skip_deserializing, skip_serializing_if = "BTreeSet::is_empty")]
    pub unset: BTreeSet<String>,
}

/// What has to be different when a container is made anew. `{each}` stands for each thing that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recreate {
    /// Flags of `docker run` to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Flags of `docker run` to add.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// Lines for the service in a compose file.
    pub compose: Vec<String>,
    /// Flags of `docker service update`, for a service of the swarm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub service: Vec<String>,
    /// What has to be known or prepared first, one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
