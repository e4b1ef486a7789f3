//! One image, as the engine shows it, and what scanners reported of images.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Fact;

/// One image, as the engine shows it. No value of its environment or labels is kept, and secrets in commands are masked.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageFacts {
    /// `sha256:…`
    pub id: String,
    /// Its names with tags, sorted; none where it is dangling.
    pub names: Vec<String>,
    /// Its names with digests, sorted: what a registry knows it by.
    pub digests: Vec<String>,
    /// When it was made, seconds since 1970; `None` where it does not say, or says 1970 to be reproducible.
    pub created: Option<i64>,
    /// In bytes, with all its layers.
    pub size: u64,
    /// The user that it starts as; empty is root.
    pub user: String,
    /// Whether it has a health check other than `NONE`.
    pub healthcheck: bool,
    /// Its environment: each name, and the value where it is a switch; [`MASKED`] stands for any other.
    pub env: BTreeMap<String, String>,
    /// Its labels, in the same way.
    pub labels: BTreeMap<String, String>,
    /// What EXPOSE names: `8080/tcp`.
    pub exposed: Vec<String>,
    /// The words of its ENTRYPOINT.
    pub entrypoint: Vec<String>,
    /// The words of its CMD.
    pub cmd: Vec<String>,
    /// Secrets that are known by their form, and where: `ENV KEY with a token of GitHub`.
    pub tokens: Vec<String>,
    /// The digests of its layers, from the lowest.
    pub layers: Vec<String>,
    /// The containers that are made from it, stopped ones too.
    pub used_by: Vec<ImageUse>,
    /// How it was made, from the first step; `Unknown` where no control asked.
    pub history: Fact<Vec<ImageStep>>,
    /// The storage driver that has its layers, such as `overlay2`; empty where containerd has them.
    pub driver: String,
    /// The directories of its layers on the engine's host, the uppermost first; none where the driver names none.
    pub layer_dirs: Vec<String>,
    /// What is in its layers; `Unknown` where no control asked.
    pub files: Fact<ImageFiles>,
    /// Why the rest could not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// What stands for a value in facts of images.
pub const MASKED: &str = "masked";

/// A container that is made from an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct ImageUse {
    /// Its name.
    pub container: String,
    /// The name or id by which it names the image.
    pub image: String,
}

/// One step of an image's history.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageStep {
    /// The instructions that it is, as a Dockerfile has them, such as `RUN`; with what is said of them.
    pub instructions: Vec<(String, String)>,
    /// Secrets that are known by their form, and where: `RUN with a token of GitHub`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<String>,
}

/// The files of an image that controls ask about, as a container of it would see them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageFiles {
    /// Regular files with the setuid or setgid bit, by their paths.
    #[serde(default)]
    pub setuid: Vec<SetuidFile>,
    /// Why there may be more of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
    /// The users of its `/etc/passwd` from 1000 up who can log in; `Absent` where it has no such file.
    #[serde(default)]
    pub users: Fact<Vec<ImageUser>>,
}

/// A file with the setuid or setgid bit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SetuidFile {
    /// Absolute within the image, without links; what is not UTF-8 in it is replaced.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
}

/// A line of an image's `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageUser {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its login shell; empty stands for `/bin/sh`.
    pub shell: String,
}

/// What a scanner reported of one image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScanFacts {
    /// The scanner, as it calls itself.
    pub scanner: String,
    /// What it looked for.
    pub of: ScanOf,
    /// Ids, digests and names of the image.
    pub images: Vec<String>,
    /// When, seconds since 1970; where the report does not say, when its file was written.
    pub at: i64,
    /// Whether [`at`](Self::at) is the time of the file.
    pub time_of_file: bool,
    /// What it found: the severity in lower case, and names such as `CVE-2026-1234`, sorted.
    pub found: BTreeMap<String, Vec<String>>,
    /// Why it proves nothing where it found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<String>,
}

/// What a scanner looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanOf {
    /// Known flaws of packages.
    #[default]
    Vulnerabilities,
    /// Malware.
    Malware,
    /// Signatures, each of which is valid.
    Signatures,
}
