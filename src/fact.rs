//! Facts: what was seen on a host, or why it could not be seen.
//!
//! Facts are plain data. They serialise (`check --save-facts`, `check --facts`), so judging and planning never need a host.
//! Observing fills them (`kinds::*::observe` through [`crate::host`]); judging only reads them.

mod build;
mod container;
mod image;
mod layout;
mod machine;
mod swarm;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use build::{BuildFacts, ContextFact, DockerfileFact, IgnoreFact};
pub use container::{
    CgroupFacts, ContainerFacts, EnvFact, ExecFact, KernelFacts, LimitFact, Made, MountFact, Owner, PortFact,
    ProcessInContainer,
};
pub use image::{ImageFacts, ImageFiles, ImageStep, ImageUse, ImageUser, MASKED, ScanFacts, ScanOf, SetuidFile};
pub use layout::{Layout, LayoutFacts, RemoteFacts, RemotePlace, RootlessFacts};
pub use machine::{Chain, Listener, ListenerOwner, Login, MachineFacts, Password};
pub use swarm::{ClusterFacts, SwarmAddresses, SwarmFacts};

/// One thing that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// It is there, and this is it.
    Known(T),
    /// It is certainly not there.
    Absent,
    /// It could not be looked at; the text names the path and the errno or API error.
    Unknown(String),
}

impl<T> Default for Fact<T> {
    /// Nobody looked: never to be taken for `Absent`.
    fn default() -> Self {
        Fact::Unknown("not looked at".into())
    }
}

impl<T> Fact<T> {
    /// The value, if it was seen.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Absent | Fact::Unknown(_) => None,
        }
    }

    /// Whether it is certainly not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Fact::Absent)
    }
}

/// Bytes of a file; text serialises as text, anything else as hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content(pub Vec<u8>);

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match std::str::from_utf8(&self.0) {
            Ok(text) => map.serialize_entry("text", text)?,
            Err(_) => map.serialize_entry("hex", &self.0.iter().map(|b| format!("{b:02x}")).collect::<String>())?,
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "snake_case", deny_unknown_fields)]
        enum Form {
            Text(String),
            Hex(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Text(text) => Ok(Content(text.into_bytes())),
            Form::Hex(hex) => {
                let digits = hex
                    .as_bytes()
                    .chunks(2)
                    .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()));
                digits.collect::<Option<Vec<u8>>>().map(Content).ok_or_else(|| serde::de::Error::custom("bad hexadecimal"))
            }
        }
    }
}

/// What kind of file system object a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// Regular file.
    File,
    /// Directory.
    Dir,
    /// Unix socket.
    Socket,
    /// Symbolic link that was not followed.
    Symlink,
    /// FIFO, device: never touched.
    Other,
}

/// One file system object, seen through one descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    /// The path after following trusted symbolic links, absolute within the root; equals the asked path when there were none.
    pub real_path: String,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Hard links.
    pub nlink: u64,
    /// Device number.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Modification time, nanoseconds since 1970. Anybody who may write the file can set it to anything.
    pub mtime_ns: i64,
    /// When content or metadata last changed, nanoseconds since 1970: the kernel's clock, which nobody can set back. Older records
    /// do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctime_ns: Option<i64>,
    /// What keeps everybody from changing it, root too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<Seal>,
    /// Size in bytes.
    pub size: u64,
    /// Access ACL as `user:1000:rw-` entries beyond owner, group and other; empty when there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acl: Vec<AclEntry>,
    /// The bytes, when they were asked for and it is a regular file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
}

impl FileFact {
    /// One of root's that is nowhere yet: what only a file system gives is 0.
    pub fn imagined(path: &str, kind: FileKind, mode: u32, content: Option<Vec<u8>>) -> Self {
        FileFact {
            real_path: path.to_owned(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            nlink: 1,
            dev: 0,
            ino: 0,
            mtime_ns: 0,
            ctime_ns: None,
            sealed: None,
            size: content.as_ref().map_or(0, |content| content.len() as u64),
            acl: Vec::new(),
            content: content.map(Content),
        }
    }

    /// When it can last have been written. The modification time may be older: that of a file which was put back, or copied with its
    /// times, says nothing of when its content came here.
    pub fn changed_ns(&self) -> i64 {
        self.ctime_ns.unwrap_or(self.mtime_ns)
    }
}

/// What keeps everybody from changing a file system object, root too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seal {
    /// Its file system is mounted read-only.
    ReadOnlyMount,
    /// The inode flag of `chattr +i`.
    Immutable,
    /// The inode flag of `chattr +a`.
    AppendOnly,
}

impl Seal {
    /// What it is, and what to type about it. harden lifts none of them unasked.
    pub fn told(self, shown: &str) -> (&'static str, String) {
        match self {
            Seal::ReadOnlyMount => ("lies on a file system that is mounted read-only", format!("see `findmnt -T {shown}`")),
            Seal::Immutable => ("is immutable", format!("lift that first: `chattr -i {shown}`")),
            Seal::AppendOnly => ("can only be appended to", format!("lift that first: `chattr -a {shown}`")),
        }
    }
}

/// One entry of an access ACL that the mode bits don't show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    /// Whom it is for.
    pub who: AclWho,
    /// Permission bits rwx, already limited by the ACL's mask: 0–7.
    pub bits: u32,
}

/// Whom an ACL entry is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AclWho {
    /// A named user, by number.
    User(u32),
    /// The owning group (the mode's group bits hold the mask where an ACL exists).
    OwningGroup,
    /// A named group, by number.
    Group(u32),
}

/// Everything that was seen on one host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Format of this document: `harden/facts/1`.
    pub schema: String,
    /// The machine.
    pub host: HostFacts,
    /// File system objects by the path that was asked for (absolute within the root).
    pub files: BTreeMap<String, Fact<FileFact>>,
    /// Patterns, and the paths that matched.
    pub globs: BTreeMap<String, Fact<Vec<String>>>,
    /// dockerd.
    pub daemon: DaemonFacts,
    /// systemd units by name, merged from unit file and drop-ins.
    pub units: BTreeMap<String, Fact<UnitFacts>>,
    /// The audit subsystem.
    pub audit: AuditFacts,
    /// Numbers of the users that controls name, in this root's own database.
    pub users: BTreeMap<String, Fact<u32>>,
    /// Numbers of the groups that controls name.
    pub groups: BTreeMap<String, Fact<u32>>,
    /// What controls of the host ask besides.
    #[serde(default)]
    pub machine: MachineFacts,
    /// Containers, by name.
    #[serde(default)]
    pub containers: Fact<Vec<ContainerFacts>>,
    /// Images.
    #[serde(default)]
    pub images: Fact<Vec<ImageFacts>>,
    /// What scanners reported of images, by the paths of their reports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub scans: BTreeMap<String, Fact<Vec<ScanFacts>>>,
    /// The swarm.
    #[serde(default)]
    pub swarm: Fact<SwarmFacts>,
    /// The Dockerfile and build context that are judged instead of images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildFacts>,
}

/// The machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostFacts {
    /// Its name; of an image tree, the content of its /etc/hostname.
    pub hostname: String,
    /// `/`, or the image tree that was given with `--root`.
    pub root: String,
    /// Whether this is a running host (`/`) rather than an image tree.
    pub live: bool,
    /// What starts services here.
    pub service_manager: ServiceManager,
    /// SELinux: `Known(true)` enforcing, `Known(false)` permissive, `Absent` off; of an image tree, as it is configured.
    pub selinux_enforcing: Fact<bool>,
    /// Whether bridge traffic can be filtered: the br_netfilter module is loaded or built in.
    pub br_netfilter: Fact<bool>,
    /// The effective user is root (or the tree belongs to the user).
    pub privileged: bool,
}

/// What starts services on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceManager {
    /// systemd is PID 1.
    Systemd,
    /// OpenRC.
    Openrc,
    /// System V init scripts.
    Sysv,
    /// None that was recognised, or an image tree.
    #[default]
    None,
}

impl std::fmt::Display for ServiceManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ServiceManager::Systemd => "systemd",
            ServiceManager::Openrc => "openrc",
            ServiceManager::Sysv => "sysv",
            ServiceManager::None => "none",
        })
    }
}

/// What is known of dockerd.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DaemonFacts {
    /// Whose daemon it is, and by that where its files are.
    #[serde(default)]
    pub layout: LayoutFacts,
    /// Why it counts as installed (a binary, a unit, a process, a configuration file), or `Absent`.
    pub installed: Fact<String>,
    /// The running dockerd.
    pub process: Fact<ProcessFact>,
    /// The configuration file that it reads (`--config-file`, else the default).
    pub config_file: String,
    /// The engine's version, with where it was read.
    pub version: Fact<String>,
    /// What the Engine API says; `Absent` when no daemon runs.
    pub api: Fact<ApiFacts>,
    /// The configuration file as it was when the running dockerd started, from harden's own record of a later change.
    pub config_at_start: Fact<Content>,
    /// `PATH` of the running dockerd, looked at only where it matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_path: Option<Fact<String>>,
}

/// A running process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFact {
    /// Process id.
    pub pid: i32,
    /// The program that runs.
    pub exe: String,
    /// Its command line, argument by argument.
    pub argv: Vec<String>,
    /// When it had started, nanoseconds since 1970: the end of a clock tick (10 ms).
    pub started_ns: i64,
    /// The systemd service that it belongs to, by its control group.
    #[serde(default)]
    pub service: Option<String>,
}

/// What the Engine API says of the running daemon. Fields that an engine generation does not send stay `None`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiFacts {
    /// The newest API version it speaks.
    pub api_version: Option<String>,
    /// `/info` `Debug`.
    pub debug: Option<bool>,
    /// `/info` `LiveRestoreEnabled`.
    pub live_restore: Option<bool>,
    /// `/info` `ExperimentalBuild`.
    pub experimental: Option<bool>,
    /// `/info` `SecurityOptions`, e.g. `name=seccomp,profile=builtin`.
    pub security_options: Option<Vec<String>>,
    /// `/info` `LoggingDriver`.
    pub logging_driver: Option<String>,
    /// `/info` `Driver`, the storage driver.
    pub storage_driver: Option<String>,
    /// `/info` `DockerRootDir`.
    pub data_root: Option<String>,
    /// `/info` `Swarm.LocalNodeState`.
    pub swarm_state: Option<String>,
    /// `/info` `Swarm.ControlAvailable`: this node is a manager.
    pub swarm_manager: Option<bool>,
    /// `/info` `Runtimes`, by name.
    pub runtimes: Option<Vec<String>>,
    /// `/info` `DefaultRuntime`.
    pub default_runtime: Option<String>,
    /// `/info` `FirewallBackend.Driver` (29.0 and later), such as `iptables`.
    pub firewall_backend: Option<String>,
    /// `/info` `OperatingSystem`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_system: Option<String>,
    /// `/info` `ContainersRunning`.
    pub containers_running: Option<u64>,
    /// `/info` `RegistryConfig.InsecureRegistryCIDRs` and the index entries that are not secure.
    pub insecure_registries: Option<Vec<String>>,
    /// `/info` `RegistryConfig.Mirrors`.
    pub registry_mirrors: Option<Vec<String>>,
    /// `/info` `Containerd.Address` (25.0 and later).
    pub containerd_address: Option<String>,
    /// `/info` `Plugins.Authorization`; it goes on naming plugins that a reload has dropped.
    pub authorization_plugins: Option<Vec<String>>,
    /// `/info` `CgroupDriver`.
    pub cgroup_driver: Option<String>,
    /// Whether images and containers are kept by containerd's snapshotters (`/info` `DriverStatus`), not by a storage driver.
    pub snapshotter: Option<bool>,
    /// `/networks/bridge` option `com.docker.network.bridge.enable_icc`; `None` without a default bridge.
    pub bridge_icc: Option<bool>,
}

/// One systemd unit as systemd would merge it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnitFacts {
    /// The unit file that counts (highest directory wins).
    pub fragment: String,
    /// Its drop-ins, in the order in which systemd reads them.
    pub drop_ins: Vec<String>,
    /// Environment files that the unit names and that exist.
    pub environment_files: Vec<String>,
    /// Problems met while merging, `path:line: text`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// The audit subsystem, on disk and in the kernel.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AuditFacts {
    /// Why auditd counts as installed, or `Absent`.
    pub installed: Fact<String>,
    /// The rules files in the order augenrules reads them.
    pub rules_files: Fact<Vec<String>>,
    /// What the kernel says; `Absent` in an image tree.
    pub kernel: Fact<KernelAudit>,
}

/// The kernel's audit state.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct KernelAudit {
    /// 0 off, 1 on, 2 on and immutable until the next boot.
    pub enabled: u32,
    /// Process id of auditd, 0 when none is connected.
    pub daemon_pid: u32,
    /// The loaded rules, in order, as canonical text lines (`-a always,exit …`), lossless.
    pub rules: Vec<crate::formats::audit_rule::Rule>,
}
