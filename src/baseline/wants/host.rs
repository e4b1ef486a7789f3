//! A property of the machine.

use serde::{Deserialize, Serialize};

/// A property of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostWant {}
