//! One container, as the engine and the kernel show it. Only what is judged is kept; the values of environment variables never are.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Fact;

/// One container, as the engine and the kernel show it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerFacts {
    /// Its 64 hexadecimal digits.
    pub id: String,
    /// Its name, without the slash that the API puts before it.
    pub name: String,
    /// Why it could not be inspected; then nothing below says anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// Whether its processes are there (running or paused).
    pub running: bool,
    /// Whole days since it has ended, or since it was made where it never ran; `None` while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_days: Option<i64>,
    /// The image as it was named when the container was made.
    pub image: String,
    /// The image that it runs.
    pub image_id: String,
    /// The image that this name stands for today.
    pub image_now: Fact<String>,
    /// Who makes it anew when it is gone.
    pub owner: Owner,
    /// Names of its labels; values may be secrets.
    pub labels: BTreeSet<String>,
    /// What `docker inspect` shows of how it was made.
    pub made: Made,
    /// Names of its environment variables that hold something.
    pub env: Vec<EnvFact>,
    /// The networks that it is in.
    pub networks: Vec<String>,
    /// The ports that it publishes.
    pub ports: Vec<PortFact>,
    /// Container ports that are exposed, published or not, e.g. `22/tcp`.
    pub exposed: Vec<String>,
    /// What is mounted into it.
    pub mounts: Vec<MountFact>,
    /// The AppArmor profile that the engine gave it.
    pub apparmor_profile: String,
    /// The SELinux label that the engine gave its processes.
    pub process_label: String,
    /// Ids of the exec instances that the engine still knows.
    pub exec_ids: Vec<String>,
    /// Those instances.
    pub execs: Fact<Vec<ExecFact>>,
    /// What the kernel shows of its processes; `Absent` when it does not run.
    pub kernel: Fact<KernelFacts>,
}

/// Who makes a container anew when it is gone: whom to tell what is to change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Whoever typed `docker run`.
    #[default]
    Nobody,
    /// A compose project.
    Compose {
        /// The project.
        project: String,
        /// The service in it.
        service: String,
    },
    /// A service of the swarm.
    Swarm {
        /// The service.
        service: String,
    },
    /// A pod of Kubernetes.
    Kubernetes {
        /// Namespace and pod.
        pod: String,
    },
}

/// How a container was made: `HostConfig` and `Config` of `docker inspect`, with `null`, missing and empty taken as one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// `Config.User`.
    pub user: String,
    /// Whether a health check is set and not `NONE`.
    pub healthcheck: bool,
    /// `Privileged`.
    pub privileged: bool,
    /// `CapAdd`, upper case, without `CAP_`.
    pub cap_add: Vec<String>,
    /// `CapDrop`, likewise.
    pub cap_drop: Vec<String>,
    /// `SecurityOpt`.
    pub security_opt: Vec<String>,
    /// `NetworkMode`; `container:ID` with the other's name where it is known.
    pub network_mode: String,
    /// `PidMode`.
    pub pid_mode: String,
    /// `IpcMode`.
    pub ipc_mode: String,
    /// `UTSMode`.
    pub uts_mode: String,
    /// `UsernsMode`.
    pub userns_mode: String,
    /// `CgroupParent`.
    pub cgroup_parent: String,
    /// `ReadonlyRootfs`.
    pub readonly_rootfs: bool,
    /// `PublishAllPorts`.
    pub publish_all: bool,
    /// `AutoRemove`: then the API refuses a restart policy.
    pub auto_remove: bool,
    /// `RestartPolicy.Name`; `no` where it is empty.
    pub restart: String,
    /// `RestartPolicy.MaximumRetryCount`.
    pub max_retries: i64,
    /// `Memory` in bytes, 0 for none.
    pub memory: i64,
    /// `MemorySwap`: memory and swap together, in bytes; 0 for none, -1 for any amount of swap.
    pub memory_swap: i64,
    /// `NanoCpus`, billionths of a processor.
    pub nano_cpus: i64,
    /// `CpuShares`.
    pub cpu_shares: i64,
    /// `CpuQuota`, microseconds of each period.
    pub cpu_quota: i64,
    /// `CpuPeriod`, microseconds.
    pub cpu_period: i64,
    /// `PidsLimit`, 0 for none.
    pub pids_limit: i64,
    /// `BlkioWeight`, 0 for none.
    pub blkio_weight: i64,
    /// `Devices`, as `path:rwm`.
    pub devices: Vec<String>,
    /// `DeviceRequests` (GPUs, CDI) and `DeviceCgroupRules`, in words.
    pub device_rules: Vec<String>,
    /// `Ulimits`, as `name=soft:hard`; the engine merges the daemon's own into them.
    pub ulimits: Vec<String>,
    /// `MaskedPaths`; `None` where the engine's default holds.
    pub masked_paths: Option<Vec<String>>,
    /// `ReadonlyPaths`, likewise.
    pub readonly_paths: Option<Vec<String>>,
}

/// One environment variable that is set to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvFact {
    /// Its name.
    pub name: String,
    /// Whether its value is an address with a password in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub url_with_password: bool,
}

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortFact {
    /// The container's port, e.g. `80/tcp`.
    pub container: String,
    /// The host's address; empty where the daemon's default holds.
    pub host_ip: String,
    /// The host's port, or its first one; 0 where the engine chooses.
    pub host_port: u16,
    /// Whether the port is bound now, rather than to be bound at the next start.
    pub bound: bool,
}

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountFact {
    /// `bind`, `volume`, `tmpfs` …
    pub kind: String,
    /// Where it lies on the host.
    pub source: String,
    /// Where it is in the container.
    pub destination: String,
    /// Whether it can be written to.
    pub writable: bool,
    /// How mounts below spread, e.g. `rprivate`.
    pub propagation: String,
}

/// One instance of `docker exec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecFact {
    /// The first digits of its id.
    pub id: String,
    /// Whether it was started with `--privileged`.
    pub privileged: bool,
    /// The user that was given, empty for the container's own.
    pub user: String,
}

/// What the kernel shows of a container's processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KernelFacts {
    /// Its first process.
    pub pid: i64,
    /// Capabilities of the bounding set, without `CAP_`.
    pub cap_bnd: BTreeSet<String>,
    /// Whether the kernel has no capability beyond them.
    pub cap_all: bool,
    /// `NoNewPrivs`.
    pub no_new_privs: Option<bool>,
    /// `Seccomp`: 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u32>,
    /// The namespaces that it shares with the host or with dockerd, e.g. `net`.
    pub shared_namespaces: BTreeSet<String>,
    /// The namespaces that could be compared.
    pub compared_namespaces: BTreeSet<String>,
    /// The label of the Linux security module, e.g. `docker-default (enforce)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_label: Option<String>,
    /// Whether the root file system is mounted read-only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_readonly: Option<bool>,
    /// Its processes: every one of its control group.
    pub processes: Vec<ProcessInContainer>,
    /// Limits and use of its control group, where they could be read.
    pub cgroup: CgroupFacts,
}

/// A process of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessInContainer {
    /// Its number on the host.
    pub pid: i64,
    /// Its name, as the kernel has it.
    pub name: String,
    /// The file name of its program.
    pub program: String,
    /// Whether one of its user ids is the host's 0.
    pub root: bool,
    /// Its effective user id, as the host numbers users.
    pub uid: u32,
}

/// A container's control group, as far as it could be read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CgroupFacts {
    /// Memory, in bytes.
    pub memory: Option<LimitFact>,
    /// Processes and threads.
    pub pids: Option<LimitFact>,
    /// Thousandths of a processor.
    pub cpu: Option<LimitFact>,
    /// Whether this kernel weighs block I/O by control group.
    pub blkio_weight: Option<bool>,
}

/// One limit of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitFact {
    /// The file that says so.
    pub file: String,
    /// The limit; `None` where there is none.
    pub max: Option<i64>,
    /// What is used now, where that is counted.
    pub current: Option<i64>,
}
