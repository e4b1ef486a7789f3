//! The swarm, as a manager shows it.

use serde::{Deserialize, Serialize};

/// The swarm, as a manager shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SwarmFacts {}
