//! What controls of the host, of containers, images and the swarm want; the older kinds are in [`super::control`].

mod attest;
mod container;
mod host;
mod image;
mod rootless;
mod swarm;
mod sysctl;

pub use attest::{AttestWant, Table};
pub use container::{ContainerCondition, ContainerFix, ContainerProperty, ContainerWant, Recreate, Selector, Update};
pub use host::{HostCheck, HostProperty, HostWant, Lowest};
pub use image::{Given, ImageRule, ImageWant, LintLevel, Policy, ScanSeverity, Size};
pub use rootless::RootlessWant;
pub use swarm::{SwarmRule, SwarmWant};
pub use sysctl::{ParameterWant, SysctlWant};
