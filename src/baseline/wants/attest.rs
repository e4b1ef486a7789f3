//! What nobody but a person can tell: an attestation in the baseline's variables.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Given;

/// What nobody but a person can tell: an attestation in the baseline's variables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttestWant {
    /// What is attested, to be read after "attested: ".
    pub that: String,
    /// The attestation: a variable `attest.NAME`, a table of `by`, `date` and `expires`.
    pub given: Given<Table>,
    /// For how many days it counts, from its date.
    #[serde(default)]
    pub days: Option<Given<i64>>,
    /// It holds without being attested where every control of this area holds, provided that the baseline has them all.
    #[serde(default)]
    pub or_all: Option<String>,
    /// Only on managers of a swarm.
    #[serde(default)]
    pub swarm_manager: bool,
}

/// A table of a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct Table(pub serde_json::Map<String, Value>);

impl TryFrom<Value> for Table {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            _ => Err("it is no table".into()),
        }
    }
}
