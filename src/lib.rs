//! `harden`: baseline + facts → findings → plan → (preview | apply under a journal → observe again).

pub mod apply;
pub mod baseline;
pub mod error;
pub mod expect;
pub mod fact;
pub mod formats;
pub mod host;
