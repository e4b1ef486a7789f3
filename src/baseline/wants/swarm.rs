//! A property of the swarm.

use serde::{Deserialize, Serialize};

/// A property of the swarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmWant {}
