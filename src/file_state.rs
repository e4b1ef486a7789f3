//! Everything about a file that a change records, and that undoing it puts back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fact::{Content, FileKind};
use crate::formats::acl;

/// A file, directory or socket as it was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileState {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, `07777`.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Hard links; not compared (a directory's count changes with what is in it).
    pub nlink: u64,
    /// Extended attributes with ACLs and security labels, but without `security.ima` and `security.evm`: those are digests that
    /// the kernel keeps itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Content>,
    /// The bytes of a regular file that is not too large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Content>,
    /// When a regular file was last modified, nanoseconds since 1970. It goes with the content; by itself it is no difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    /// Those inode flags (`lsattr`) that `chattr` sets: `i`, `a`, and those that a successor takes over. No difference either.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u32,
}

fn is_zero(flags: &u32) -> bool {
    *flags == 0
}

/// How a file stands to a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// As before the change.
    Before,
    /// As after it.
    After,
    /// The change was cut short between two calls: every property is as before or as after.
    Between,
    /// Somebody else changed it.
    Elsewhere,
}

impl FileState {
    /// The first thing in which this, as found, is not as `expected`; `None` when there is none.
    ///
    /// A security label that is not expected is no difference: new files get theirs from the kernel. Contents are compared where
    /// `expected` has one.
    pub fn difference(&self, expected: &FileState) -> Option<String> {
        self.metadata_difference(expected).or_else(|| {
            let differs = expected.content.is_some() && self.content != expected.content;
            differs.then(|| "its content differs".to_string())
        })
    }

    /// [`FileState::difference`] without the content.
    pub fn metadata_difference(&self, expected: &FileState) -> Option<String> {
        if self.kind != expected.kind {
            return Some(format!("it is a {} instead of a {}", noun(self.kind), noun(expected.kind)));
        }
        if (self.uid, self.gid) != (expected.uid, expected.gid) {
            let (found, wanted) = ((self.uid, self.gid), (expected.uid, expected.gid));
            return Some(format!("its owner is {}:{} instead of {}:{}", found.0, found.1, wanted.0, wanted.1));
        }
        if self.mode != expected.mode {
            return Some(format!("its mode is {:04o} instead of {:04o}", self.mode, expected.mode));
        }
        let names = self.xattrs.keys().chain(expected.xattrs.keys());
        let differs = |name: &&String| {
            let (found, wanted) = (self.xattrs.get(*name), expected.xattrs.get(*name));
            found != wanted && !(wanted.is_none() && is_kernel_label(name))
        };
        names.into_iter().find(differs).map(|name| format!("its attribute {name} differs"))
    }

    /// The same file after `chmod`, which also changes the access ACL where there is one.
    #[must_use]
    pub fn with_mode(mut self, mode: u32) -> FileState {
        self.mode = mode & 0o7777;
        if let Some(value) = self.xattrs.get_mut(acl::ACCESS)
            && let Ok(bytes) = acl::with_mode(&value.0, mode)
        {
            value.0 = bytes;
        }
        self
    }

    /// How what was found (`None`: nothing) stands to a change.
    pub fn standing(found: Option<&FileState>, before: Option<&FileState>, after: Option<&FileState>) -> Standing {
        let is = |expected: Option<&FileState>| match (found, expected) {
            (None, None) => true,
            (Some(found), Some(expected)) => found.difference(expected).is_none(),
            _ => false,
        };
        match (found, before, after) {
            _ if is(after) => Standing::After,
            _ if is(before) => Standing::Before,
            (Some(found), Some(before), Some(after)) if found.is_between(before, after) => Standing::Between,
            _ => Standing::Elsewhere,
        }
    }

    /// Metadata is set in place by several calls: owner, then attributes (an ACL brings the permission bits with it), then mode.
    /// Changing the owner clears the setuid and setgid bits and the capabilities. The content changes at once or not at all.
    fn is_between(&self, before: &FileState, after: &FileState) -> bool {
        let either = |found: u32, mask: u32| [before, after].iter().any(|state| state.mode & mask == found & mask);
        let cleared = self.mode & 0o6000 == 0;
        let attribute = |(name, value): (&String, &Content)| {
            let steps = [before.xattrs.get(name), after.xattrs.get(name)];
            steps.contains(&Some(value)) || (steps == [None, None] && is_kernel_label(name))
        };
        self.kind == before.kind
            && before.kind == after.kind
            && self.content == before.content
            && after.content.as_ref().is_none_or(|content| before.content.as_ref() == Some(content))
            && [before.uid, after.uid].contains(&self.uid)
            && [before.gid, after.gid].contains(&self.gid)
            && either(self.mode, 0o777)
            && (either(self.mode, 0o7000) || (cleared && either(self.mode, 0o1000)))
            && self.xattrs.iter().all(attribute)
    }
}

/// Labels that the kernel gives to new files by itself, such as SELinux contexts. Capabilities are none: somebody sets them.
pub(crate) fn is_kernel_label(name: &str) -> bool {
    name.starts_with("security.") && name != "security.capability"
}

/// The kind in words.
pub(crate) fn noun(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Dir => "directory",
        FileKind::Socket => "socket",
        FileKind::Symlink => "symbolic link",
        FileKind::Other => "FIFO or device",
    }
}
