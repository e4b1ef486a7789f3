//! Text formats: pure text in, text out, no I/O.

pub mod audit_cover;
pub mod audit_rule;
pub mod rules_d;
