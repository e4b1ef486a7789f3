//! Baselines: which controls are wanted, with which values.

pub mod control;
