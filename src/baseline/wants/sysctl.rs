//! Kernel parameters, as they are and as they will be after the next boot; one finding a parameter.

use serde::{Deserialize, Serialize};

/// Kernel parameters, as they are and as they will be after the next boot; one finding a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlWant {}
