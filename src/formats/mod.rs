//! Text formats: pure text in, text out, no I/O.

pub mod accounts;
pub mod audit_rule;
pub mod daemon_json;
pub mod daemon_keys;
mod json_splice;
pub mod json_text;

pub mod acl;
pub mod unit_file;
pub mod unit_path;
pub mod words;
