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
    /// Set a setting in harden's own drop-in of a unit.
    DropIn {
        /// The unit.
        unit: String,
        /// Section, setting, value.
        setting: [String; 3],
    },
    /// Nothing to write: what is on disk only has to be put in force.
    Activate(Action),
}

/// What puts changed files in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Add the missing rules to the kernel's audit list.
    AuditLoad,
    /// `systemctl daemon-reload`.
    SystemdReload,
    /// SIGHUP to dockerd.
    DockerReload,
    /// Restart dockerd.
    DockerRestart,
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
    /// The path, or `kernel audit rules`.
    pub fn target(&self) -> &str {
        match &self.effect {
            Effect::File { path, .. } => path,
            Effect::AuditKernel { .. } => "kernel audit rules",
        }
    }

    /// `create`, `edit`, `metadata`, `remove` or `audit-kernel`.
    pub fn kind(&self) -> &'static str {
        match &self.effect {
            Effect::File { after: None, .. } => "remove",
            Effect::File { before: None, .. } => "create",
            Effect::File { before: Some(before), after: Some(after), .. } if before.content != after.content => "edit",
            Effect::File { .. } => "metadata",
            Effect::AuditKernel { .. } => "audit-kernel",
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
