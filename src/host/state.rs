//! The whole state of a file, for a change to record.

use super::advice::os_error;
use super::fs::{CONTENT_LIMIT, Root, parts};
use super::handle::{Handle, kind_of, mode_of, nlink_of};
use super::inode::nanoseconds;
use super::walk::{Last, Obstacle, Walked, walk};
use crate::error::{Error, Result};
use crate::fact::{Content, FileKind};
use crate::file_state::FileState;

/// Digests that the kernel keeps itself: a copied one would be wrong for other content.
const DIGESTS: [&str; 2] = ["security.ima", "security.evm"];

impl Root {
    /// The state of what is at `path` (after following trusted links); `None` when there is nothing.
    ///
    /// The content is read of regular files of at most [`CONTENT_LIMIT`] bytes. Errors: it can't be read, or the way leads through
    /// a link that root could not have planted.
    pub fn state(&self, path: &str) -> Result<Option<FileState>> {
        let (spot, object) = match self.walk(path)? {
            Walked::Found(spot, object) => (spot, object),
            Walked::Free(_) | Walked::NoWay { .. } => return Ok(None),
        };
        let failed = |errno| os_error(&self.shown(path), "read its state", errno);
        spot.reopen(&object).and_then(|handle| handle.state(CONTENT_LIMIT)).map(Some).map_err(failed)
    }

    /// Walks to `path`, following a link at its end.
    pub(crate) fn walk(&self, path: &str) -> Result<Walked> {
        let parts = parts(path).map_err(Error::usage)?;
        walk(self, &parts, Last::Follow).map_err(|obstacle| self.error(&obstacle))
    }

    fn error(&self, obstacle: &Obstacle) -> Error {
        match obstacle {
            Obstacle::Os { at, errno } => os_error(&self.shown(at), "open", *errno),
            Obstacle::Planted { link, .. } | Obstacle::TooManyLinks { link } | Obstacle::NotText { link } => {
                let shown = self.shown(link);
                let help = format!("see `namei -l {}`", shown.display());
                Error::failure(obstacle.to_string()).at(shown).help(help)
            }
        }
    }
}

impl Handle {
    /// Reads everything through this one descriptor; the content only where it is open for reading.
    pub(crate) fn state(&self, limit: usize) -> nix::Result<FileState> {
        let stat = self.stat()?;
        let kind = kind_of(stat.st_mode);
        let content = match kind {
            FileKind::File if self.is_readable() => self.read(limit, stat.st_size.unsigned_abs())?.map(Content),
            _ => None,
        };
        let mut xattrs = std::collections::BTreeMap::new();
        for name in self.xattr_names()? {
            let text = name.to_string_lossy().into_owned();
            if DIGESTS.contains(&text.as_str()) {
                continue;
            }
            if let Some(value) = self.xattr(&name)? {
                xattrs.insert(text, Content(value));
            }
        }
        let (mode, uid, gid) = (mode_of(&stat), stat.st_uid, stat.st_gid);
        let mtime_ns = (kind == FileKind::File).then(|| nanoseconds(stat.st_mtime, stat.st_mtime_nsec));
        Ok(FileState { kind, mode, uid, gid, nlink: nlink_of(&stat), xattrs, content, mtime_ns, flags: self.flags()? })
    }
}
