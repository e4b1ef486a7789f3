//! Whether dockerd has root's rights.

use serde::{Deserialize, Serialize};

/// dockerd runs without root's rights, unless the policy says why not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootlessWant {
    /// Why root's dockerd is wanted on this host; empty where nobody said so.
    #[serde(default)]
    pub unless: String,
}
