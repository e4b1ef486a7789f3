//! What controls of the host ask of the machine.

use serde::{Deserialize, Serialize};

/// What controls of the host ask of the machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct MachineFacts {}
