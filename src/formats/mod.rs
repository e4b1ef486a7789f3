//! Text formats: pure text in, text out, no I/O.

pub mod accounts;
pub mod audit_rule;
pub mod unit_file;
pub mod unit_path;
pub mod words;
