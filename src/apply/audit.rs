//! STUB
use crate::error::Result;
use crate::formats::audit_rule::Rule;
/// x
pub fn add_rule(_: &Rule) -> Result<()> {
    Ok(())
}
/// x
pub fn delete_rule(_: &Rule) -> Result<()> {
    Ok(())
}
