//! What controls of the host ask of the machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fact;

/// What controls of the host ask of the machine.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MachineFacts {
    /// Kernel parameters as they are now, by path beneath /proc/sys; empty of an image tree, which has no kernel.
    pub sysctl: BTreeMap<String, Fact<String>>,
    /// The files of sysctl.d in the order in which they are read; what they hold is among the files.
    pub sysctl_files: Fact<Vec<String>>,
    /// Network interfaces of the running kernel, without `lo`.
    pub interfaces: Fact<Vec<String>>,
}
