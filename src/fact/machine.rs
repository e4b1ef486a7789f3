//! What controls of the host ask of the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fact;
use crate::formats::mountinfo::Mount;

/// What controls of the host ask of the machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFacts {
    /// Kernel parameters as they are now, by path beneath /proc/sys; empty of an image tree, which has no kernel.
    pub sysctl: BTreeMap<String, Fact<String>>,
    /// The files of sysctl.d in the order in which they are read; what they hold is among the files.
    pub sysctl_files: Fact<Vec<String>>,
    /// Network interfaces of the running kernel, without `lo`.
    pub interfaces: Fact<Vec<String>>,
    /// What is mounted where.
    pub mounts: Fact<Vec<Mount>>,
    /// The release of the running kernel, as `uname -r` says it.
    pub kernel: Fact<String>,
    /// Whether AppArmor is on in the kernel.
    pub apparmor: Fact<bool>,
    /// Versions of the engine and its parts by name (`containerd`, `runc`), as the engine's `/version` says.
    pub components: Fact<BTreeMap<String, String>>,
    /// Sockets of this host that others can reach.
    pub listeners: Fact<Vec<Listener>>,
    /// Chains of the packet filter.
    pub chains: Fact<Vec<Chain>>,
    /// Accounts that may log in.
    pub logins: Fact<Vec<Login>>,
}

/// A socket that waits for others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The address that it is bound to.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// The process that holds it; `Absent`: the kernel itself, or one in another pid namespace.
    pub owner: Fact<ListenerOwner>,
}

/// A process that holds a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerOwner {
    /// Process id.
    pub pid: i32,
    /// The name of its program.
    pub program: String,
    /// Whether it belongs to a container.
    pub container: bool,
}

/// A chain of the packet filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// `ip`, or `inet` for both families.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `input`, `forward` and the like, of a chain that the kernel itself calls.
    pub hook: Option<String>,
    /// Whether what no rule decides is dropped; of a chain with a hook.
    pub drops_by_default: Option<bool>,
    /// How many rules it has.
    pub rules: usize,
    /// How many of them drop, reject or queue packets, or hand them to another chain.
    pub filtering: usize,
}

/// An account of the root's own user database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its shell.
    pub shell: String,
    /// What its password lets it do; the hash itself is never kept.
    pub password: Password,
}

/// What a password lets an account do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Password {
    /// Someone who knows it logs in.
    Set,
    /// Anyone logs in.
    Empty,
    /// Nobody logs in by password.
    Locked,
}
