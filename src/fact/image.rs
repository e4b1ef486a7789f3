//! One image, as the engine shows it.

use serde::{Deserialize, Serialize};

/// One image, as the engine shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageFacts {}
