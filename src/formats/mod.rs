//! Text formats: pure text in, text out, no I/O.

pub mod argv;
pub mod audit_rule;
pub mod daemon_json;
pub mod daemon_keys;
pub mod daemon_lint;
mod json_splice;
pub mod json_text;
pub mod mask;
