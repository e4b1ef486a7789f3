//! `harden`: baseline + facts → findings → plan → (preview | apply under a journal → observe again).

pub mod apply;
pub mod baseline;
pub mod change;
pub mod commands;
pub mod error;
pub mod expect;
pub mod fact;
pub mod finding;
pub mod formats;
pub mod render;
pub mod report;
pub mod file_state;
pub mod formats;
pub mod host;
