//! `harden`: baseline + facts → findings → plan → (preview | apply under a journal → observe again).
//!
//! Everything left of "apply" is data in, data out, except [`observe`], which only reads. Everything right of it goes through
//! one journal ([`apply`]).

pub mod apply;
pub mod assess;
pub mod baseline;
pub mod change;
pub mod cli;
pub mod commands;
pub mod error;
pub mod expect;
pub mod fact;
pub mod file_state;
pub mod finding;
pub mod foresight;
pub mod formats;
pub mod host;
pub mod kinds;
pub mod observe;
pub mod plan;
pub mod reach;
pub mod render;
pub mod report;
pub mod signal;
