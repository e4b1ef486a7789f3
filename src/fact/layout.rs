//! How Docker is laid out on a host: whose daemon it is, and where its files are.

use serde::{Deserialize, Serialize};

/// The layout, and what told it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayoutFacts {
    /// Which.
    pub kind: Layout,
    /// What was seen that says so; empty where nothing speaks against the common one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub evidence: String,
}

/// Whose daemon answers here, and by that where its files are.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// dockerd of root's, from a package or by hand: the paths that everybody knows.
    #[default]
    Rootful,
    /// dockerd of an ordinary user, in a user namespace.
    Rootless(RootlessFacts),
    /// dockerd out of the snap `docker`.
    Snap,
    /// Docker Desktop: dockerd runs in a virtual machine of its own.
    Desktop,
    /// Podman, which answers in Docker's place.
    Podman,
}

/// A rootless dockerd, with the directories that its environment gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RootlessFacts {
    /// Its user, as this host numbers users.
    pub uid: u32,
    /// That user's group.
    pub gid: u32,
    /// It runs, but is not the one that was asked: what to type to ask it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// `$XDG_CONFIG_HOME`, else `$HOME/.config`; `None` where its environment can't be read.
    pub config_home: Option<String>,
    /// `$XDG_DATA_HOME`, else `$HOME/.local/share`.
    pub data_home: Option<String>,
    /// `$XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<String>,
}
