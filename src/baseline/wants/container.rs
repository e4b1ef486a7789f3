//! Properties of containers; one finding a container.

use serde::{Deserialize, Serialize};

/// Properties of containers; one finding a container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerWant {}
