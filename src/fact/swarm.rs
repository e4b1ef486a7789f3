//! The swarm, as the Engine API of a manager and the node's own state file show it.

use serde::{Deserialize, Serialize};

use super::Fact;

/// The swarm that this node is in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SwarmFacts {
    /// How this node listens and makes itself known.
    pub addresses: Fact<SwarmAddresses>,
    /// What only a manager knows; `Absent` on a worker.
    pub cluster: Fact<ClusterFacts>,
}

/// The node's addresses, from `swarm/docker-state.json` beneath the data root.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SwarmAddresses {
    /// Where it listens for the swarm, `ADDRESS:PORT`.
    pub listen: String,
    /// The address it gives to the others.
    pub advertise: String,
    /// The address of the data plane; empty where it is the advertised one.
    pub data_path: String,
}

/// What a manager says of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// `/info` Swarm.Managers.
    pub managers: u64,
    /// `/info` Swarm.Nodes.
    pub nodes: u64,
    /// `/swarm` Spec.EncryptionConfig.AutoLockManagers.
    pub autolock: bool,
    /// `/swarm` Spec.CAConfig.NodeCertExpiry, nanoseconds.
    pub cert_expiry_ns: i64,
    /// `/swarm` RootRotationInProgress.
    pub rotating: bool,
    /// When the root certificate began to be valid, seconds since 1970, out of `/swarm` TLSInfo.TrustRoot.
    pub root_since: Fact<i64>,
    /// Overlay networks, by name, and whether they are encrypted.
    pub overlays: Vec<(String, bool)>,
    /// How many secrets the swarm keeps.
    pub secrets: usize,
    /// Services, by name, and the names of environment variables that hold a literal value.
    pub services: Vec<(String, Vec<String>)>,
}
