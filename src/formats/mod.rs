//! Text formats: pure text in, text out, no I/O.

pub mod accounts;
pub mod acl;
pub mod argv;
pub mod audit_cover;
pub mod audit_rule;
pub mod certificate;
pub mod daemon_json;
pub mod daemon_keys;
pub mod daemon_lint;
pub mod dockerfile;
pub mod env_file;
pub mod exec_edit;
pub mod exec_line;
pub mod exec_start;
pub mod flag_edit;
mod json_splice;
pub mod json_text;
pub mod mask;
pub mod rules_d;
pub mod shell;
pub mod specifier;
pub mod token;
pub mod unit_file;
pub mod unit_path;
pub mod words;
