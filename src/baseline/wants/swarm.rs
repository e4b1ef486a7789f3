//! A property of the swarm.

use serde::{Deserialize, Serialize};

use super::image::Given;

/// A property of the swarm that this node is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmWant {
    /// Which rule.
    pub rule: SwarmRule,
    /// What the rule lets pass: patterns of network names, or names of what is no secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Patterns of names whose value is a secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_for: Vec<String>,
    /// Whether the node is meant to be in a swarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Given<bool>>,
    /// How many managers there are to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managers: Option<Given<u64>>,
    /// The largest number of days that complies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_at_most: Option<Given<u64>>,
}

/// What a swarm has to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwarmRule {
    /// The node is in no swarm, unless that is wanted.
    DisabledIfUnneeded,
    /// As many managers as were decided, or an odd number of them.
    ManagerCount,
    /// Managers listen on one address.
    BindAddress,
    /// Overlay networks are encrypted.
    OverlayEncrypted,
    /// Services get secrets as secrets.
    SecretsUsed,
    /// Managers stay locked after a restart.
    Autolock,
    /// Certificates of nodes end soon enough.
    NodeCertExpiry,
    /// The root certificate is not too old.
    CaRotation,
    /// Management and data have addresses of their own.
    PlaneSeparation,
}
