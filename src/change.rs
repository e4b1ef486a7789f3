//! Changes: what would be written, with everything before and after.
//!
//! Kinds propose [`Edit`]s (a key, a mode bit, a rule); only [`crate::plan`] folds them into [`Change`]s. A change carries
//! before and after, so preview, precondition, journal, verification and undo all read the same value.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::baseline::control::Risk;
use crate::fact::{Content, FileFact, FileKind};
use crate::formats::audit_rule::Rule;
use crate::formats::daemon_json;
use crate::formats::size;

/// One wish of one control.
#[derive(Debug, Clone, PartialEq)]
pub enum Edit {
    /// Set or delete a key of daemon.json, and put it in force.
    DaemonKey {
        /// The configuration file.
        file: String,
        /// What to do with which key.
        edit: daemon_json::Edit,
        /// What puts it in force; `None` when the running daemon has the value already.
        activation: Option<Action>,
    },
    /// Do with the flags that docker.service gives dockerd what the edit would do with the key in daemon.json: harden's drop-in gets
    /// a corrected `ExecStart=`.
    DaemonFlag {
        /// What to do with the flags of which key.
        edit: daemon_json::Edit,
        /// What puts it in force besides systemd's reload; `None` when the running daemon has the value already.
        activation: Option<Action>,
    },
    /// Set a member of a table in containerd's config.toml to a number.
    ContainerdKey {
        /// The configuration file.
        file: String,
        /// Table and key.
        path: [&'static str; 2],
        /// The number.
        value: i64,
    },
    /// Clear permission bits: nothing beyond `allowed` stays.
    ClearMode {
        /// The file.
        path: String,
        /// The bits that may stay.
        allowed: u32,
    },
    /// Change owner or group.
    Chown {
        /// The file.
        path: String,
        /// New owner.
        uid: Option<u32>,
        /// New group.
        gid: Option<u32>,
    },
    /// Put a rule into harden's own file in rules.d.
    AuditOnDisk(Rule),
    /// Add a rule to the kernel's list.
    AuditInKernel(Rule),
    /// Set a kernel parameter in harden's own file in sysctl.d, for the next boot.
    SysctlAtBoot {
        /// The parameter, with dots.
        key: String,
        /// Its value.
        value: String,
    },
    /// Set a parameter of the running kernel.
    SysctlNow(Parameter),
    /// Take a user out of a group.
    LeaveGroup {
        /// /etc/group or /etc/gshadow.
        file: String,
        /// The group.
        group: String,
        /// The user.
        user: String,
    },
    /// Set a setting in harden's own drop-in of a unit.
    DropIn {
        /// The unit.
        unit: String,
        /// Section, setting, value.
        setting: [String; 3],
    },
    /// Set limits of a container by the engine's update.
    Container(Box<ContainerEdit>),
    /// Nothing to write: what is on disk only has to be put in force.
    Activate(Action),
}

/// Limits that one control wishes for a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEdit {
    /// The container's id.
    pub id: String,
    /// `container:NAME`.
    pub target: String,
    /// The same limits as they are.
    pub before: ContainerLimits,
    /// What is to be set.
    pub after: ContainerLimits,
}

/// What puts changed files in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Add the missing rules to the kernel's audit list.
    AuditLoad,
    /// Set parameters of the running kernel.
    Sysctl,
    /// `systemctl daemon-reload`.
    SystemdReload,
    /// SIGHUP to dockerd.
    DockerReload,
    /// Restart dockerd.
    DockerRestart,
}

/// What the engine can set on a container; 0 stands for no limit. Fields that a change leaves alone are not given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainerLimits {
    /// Bytes of memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<i64>,
    /// Bytes of memory and swap together, -1 for any amount of swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<i64>,
    /// Microseconds of processor in each period; 0 or less for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_quota: Option<i64>,
    /// Microseconds of a period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_period: Option<i64>,
    /// Share of the processors under contention; 1024 is what everybody has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_shares: Option<i64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// Weight among those that use disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blkio_weight: Option<i64>,
    /// When it is started again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,
}

/// When a container is started again after it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartPolicy {
    /// `no`, `on-failure`, `always` or `unless-stopped`.
    pub name: String,
    /// How often after a failure; 0 without a limit.
    pub max_retries: i64,
}

impl ContainerLimits {
    /// Of `all`, the fields that these limits have.
    pub fn same_fields_of(&self, all: &ContainerLimits) -> ContainerLimits {
        let keep = |own: Option<i64>, other: Option<i64>| own.and(other);
        ContainerLimits {
            memory: keep(self.memory, all.memory),
            memory_swap: keep(self.memory_swap, all.memory_swap),
            cpu_quota: keep(self.cpu_quota, all.cpu_quota),
            cpu_period: keep(self.cpu_period, all.cpu_period),
            cpu_shares: keep(self.cpu_shares, all.cpu_shares),
            pids_limit: keep(self.pids_limit, all.pids_limit),
            blkio_weight: keep(self.blkio_weight, all.blkio_weight),
            restart: self.restart.as_ref().and(all.restart.clone()),
        }
    }

    /// Takes over what `other` gives; an error names the field that both give differently.
    pub fn merge(&mut self, other: &ContainerLimits) -> Result<(), &'static str> {
        let pairs = [
            ("memory", &mut self.memory, other.memory),
            ("memory and swap", &mut self.memory_swap, other.memory_swap),
            ("the processor quota", &mut self.cpu_quota, other.cpu_quota),
            ("the processor period", &mut self.cpu_period, other.cpu_period),
            ("the processor shares", &mut self.cpu_shares, other.cpu_shares),
            ("the number of processes", &mut self.pids_limit, other.pids_limit),
            ("the disk weight", &mut self.blkio_weight, other.blkio_weight),
        ];
        for (name, own, other) in pairs {
            match (*own, other) {
                (Some(own), Some(other)) if own != other => return Err(name),
                (_, Some(other)) => *own = Some(other),
                (_, None) => {}
            }
        }
        match (&self.restart, &other.restart) {
            (Some(own), Some(other)) if own != other => Err("the restart policy"),
            (_, Some(other)) => {
                self.restart = Some(other.clone());
                Ok(())
            }
            (_, None) => Ok(()),
        }
    }

    /// One line a limit, for people.
    pub fn lines(&self) -> Vec<String> {
        let none = |number: i64| if number > 0 { number.to_string() } else { "none".into() };
        let size = |bytes: i64| match bytes {
            -1 => "no limit".into(),
            0 | size::UNLIMITED.. => "none".into(),
            bytes => size::words(bytes),
        };
        let fields = [
            ("memory", self.memory.map(size)),
            ("memory and swap", self.memory_swap.map(size)),
            ("cpu quota", self.cpu_quota.map(none)),
            ("cpu period", self.cpu_period.map(none)),
            ("cpu shares", self.cpu_shares.map(none)),
            ("pids limit", self.pids_limit.map(none)),
            ("block I/O weight", self.blkio_weight.map(none)),
            ("restart policy", self.restart.as_ref().map(ToString::to_string)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?))).collect()
    }
}

impl std::fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.name.as_str(), self.max_retries) {
            ("on-failure", count) if count > 0 => write!(f, "on-failure:{count}"),
            (name, _) => f.write_str(name),
        }
    }
}

/// A file as it was seen or as it will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileImage {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The bytes, where they matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// All extended attributes, where undoing a change has to put them back; otherwise they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xattrs: Option<BTreeMap<String, Content>>,
    /// When the content was written, nanoseconds since 1970, where undoing a change has to put that back too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
}

impl From<&FileFact> for FileImage {
    fn from(fact: &FileFact) -> Self {
        let (mode, uid, gid) = (fact.mode, fact.uid, fact.gid);
        Self { kind: fact.kind, mode, uid, gid, content: fact.content.clone(), xattrs: None, mtime_ns: None }
    }
}

/// What one change does to its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Effect {
    /// Content, owner or mode of one file.
    File {
        /// The file, beneath the root.
        path: String,
        /// As it was seen; `None` when it does not exist.
        before: Option<FileImage>,
        /// As it will be; `None` when it is taken away again, which only undoing does.
        after: Option<FileImage>,
    },
    /// Rules of the kernel's list.
    AuditKernel {
        /// Rules that it lacks, in the order in which they are added.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        add: Vec<Rule>,
        /// Rules that harden added and takes away again, which only undoing does.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        remove: Vec<Rule>,
    },
    /// Limits of a container that goes on running.
    Container {
        /// The container's id: another one of the same name is another container.
        id: String,
        /// `container:NAME`.
        target: String,
        /// The limits as they were.
        before: ContainerLimits,
        /// The same limits as they will be.
        after: ContainerLimits,
    },
    /// Parameters of the running kernel.
    Sysctl {
        /// In the order in which they are set.
        set: Vec<Parameter>,
    },
}

/// A parameter of the running kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// Its name with dots.
    pub key: String,
    /// Its value as it was seen.
    pub before: String,
    /// Its value as it will be.
    pub after: String,
}

/// One edit of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `c1`, `c2`, … in the order in which they are applied.
    pub id: String,
    /// The controls that ask for it.
    pub controls: Vec<String>,
    /// The highest risk among them.
    pub risk: Risk,
    /// One line: what happens.
    pub summary: String,
    /// The effect.
    pub effect: Effect,
}

impl Change {
    /// The path, `kernel audit rules`, `kernel parameters` or `container:NAME`.
    pub fn target(&self) -> &str {
        match &self.effect {
            Effect::File { path, .. } => path,
            Effect::Sysctl { .. } => "kernel parameters",
            Effect::AuditKernel { .. } => "kernel audit rules",
            Effect::Container { target, .. } => target,
        }
    }

    /// `create`, `edit`, `metadata`, `remove`, `audit-kernel`, `sysctl` or `container`.
    pub fn kind(&self) -> &'static str {
        match &self.effect {
            Effect::File { after: None, .. } => "remove",
            Effect::File { before: None, .. } => "create",
            Effect::File { before: Some(before), after: Some(after), .. } if before.content != after.content => "edit",
            Effect::File { .. } => "metadata",
            Effect::AuditKernel { .. } => "audit-kernel",
            Effect::Sysctl { .. } => "sysctl",
            Effect::Container { .. } => "container",
        }
    }
}

/// One activation of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// What is done.
    pub action: Action,
    /// Why, and what it interrupts, for people.
    pub reason: String,
    /// The changes that need it.
    pub changes: Vec<String>,
    /// Why harden does not do it (it can't on this host, or was told not to), and what to type; `None` when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<String>,
}
