//! A Dockerfile and its build context.

use serde::{Deserialize, Serialize};

/// A Dockerfile and its build context.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BuildFacts {}
