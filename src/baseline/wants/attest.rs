//! What nobody but a person can tell: an attestation in the baseline's variables.

use serde::{Deserialize, Serialize};

/// What nobody but a person can tell: an attestation in the baseline's variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestWant {}
