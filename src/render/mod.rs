//! Renderings of a report, one file a format.
