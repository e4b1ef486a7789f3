//! STUB
use crate::fact::{Fact, KernelAudit};
/// x
pub fn read() -> Fact<KernelAudit> {
    Fact::Absent
}
