//! A Dockerfile and its build context.

use serde::{Deserialize, Serialize};

use super::Fact;

/// The Dockerfiles that are judged.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BuildFacts {
    /// In the order of the command line.
    pub files: Vec<DockerfileFact>,
}

/// A Dockerfile and its build context.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DockerfileFact {
    /// Its path as it was given; `stdin` where it was read from there.
    pub path: String,
    /// What it says.
    pub text: String,
    /// The directory that it is built from, as it was given; `Unknown` where none is known.
    pub context: Fact<ContextFact>,
}

/// A build context.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ContextFact {
    /// The directory.
    pub path: String,
    /// The ignore file that counts.
    pub ignore: Fact<IgnoreFact>,
    /// Paths in it, relative to it, of what a baseline does not want in a build; not those within directories that are such themselves.
    pub unwanted: Fact<Vec<String>>,
}

/// A `.dockerignore`, or the one that belongs to a single Dockerfile: `NAME.dockerignore` beside it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct IgnoreFact {
    /// Its path.
    pub path: String,
    /// What it says.
    pub text: String,
}
