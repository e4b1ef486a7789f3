//! Kernel parameters, as they are and as they will be after the next boot; one finding a parameter.

use serde::{Deserialize, Serialize};

use crate::expect::Expect;

/// Kernel parameters, as they are and as they will be after the next boot; one finding a parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlWant {
    /// The parameters.
    pub key: Vec<ParameterWant>,
}

/// Kernel parameters that are to be alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterWant {
    /// Their names with dots, e.g. `net.ipv4.conf.all.send_redirects`.
    pub names: Vec<String>,
    /// What the value must be, now and after the next boot.
    pub expect: Expect,
    /// What a fix sets where the present value does not hold; without it the fix is manual.
    #[serde(default)]
    pub set: Option<String>,
    /// Why harden does not set it, and what to do.
    #[serde(default)]
    pub manual: Option<String>,
    /// What every kernel begins with where no file says otherwise; without it a file must say so.
    #[serde(default)]
    pub default: Option<String>,
    /// Of a `….conf.all.…`: each interface's own value counts too, because the kernel takes either of the two, or only that one.
    #[serde(default)]
    pub interfaces: bool,
}
