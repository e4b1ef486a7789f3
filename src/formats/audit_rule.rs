//! stub
use serde::{Deserialize, Serialize};

/// An audit rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {}
