//! Every property, looked at on containers that differ in one thing.
