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
    /// An engine on the network that is not seen to be of this machine.
    Remote(RemoteFacts),
}

/// An engine that is asked over the network, and is not seen to be this machine's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteFacts {
    /// Where it was asked, as `tcp://HOST:PORT`.
    pub url: String,
    /// Where it is, as far as is known.
    pub place: RemotePlace,
}

/// Where an engine on the network is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemotePlace {
    /// On another machine.
    Elsewhere,
    /// Behind this process here, which is no dockerd: a tunnel, or a proxy.
    Behind(String),
    /// It can't be told, for this reason.
    Untold(String),
}

impl RemoteFacts {
    /// Why nothing of its machine was looked at, and what to do.
    pub fn elsewhere(&self) -> String {
        let url = &self.url;
        match &self.place {
            RemotePlace::Elsewhere => format!("the engine at {url} is another machine's: run harden there"),
            RemotePlace::Behind(process) => {
                format!(
                    "the engine at {url} is reached through {process}, which is no dockerd: run harden where the engine runs"
                )
            }
            RemotePlace::Untold(why) => format!("whether the engine at {url} is this machine's can't be told: {why}"),
        }
    }
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
