//! One container, as the engine and the kernel show it.

use serde::{Deserialize, Serialize};

/// One container, as the engine and the kernel show it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ContainerFacts {}
