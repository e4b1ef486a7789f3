//! The only file writes.
//!
//! Every write names the state that it expects, checks it through the opened object, and refuses when somebody was faster. Contents
//! are replaced whole and at once: a killed run leaves the old file or the new one. Nothing is written through a symbolic link that
//! root could not have planted, nor in a directory that others can change.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use nix::unistd::{UnlinkatFlags, fsync, getegid, geteuid, unlinkat};

pub use super::metadata::Meta;
use super::metadata::{set, set_mtime};
use super::stage::{Staged, sweep};
use super::target::Target;
use crate::error::{Error, Result};
use crate::fact::FileKind;
use crate::file_state::FileState;
use crate::host::fs::{CONTENT_LIMIT, Root};

/// Writes beneath one root.
#[derive(Debug)]
pub struct Writer<'r> {
    root: &'r Root,
    /// Whether to stage files without a name; false in tests of the other way.
    unnamed: bool,
    /// Whether the directory may be one that others can change: the user chose it, and nothing trusts what lies there.
    anywhere: bool,
}

impl<'r> Writer<'r> {
    /// Only a journal makes one: every write must be on record before it happens.
    #[allow(dead_code)]
    pub(crate) fn new(root: &'r Root) -> Self {
        Writer { root, unnamed: true, anywhere: false }
    }

    /// For a file of the user's own in a directory of their choice, such as a baseline; nothing of the host, so no journal. It is
    /// written in a group's directory, too; never through a link that others could have planted.
    pub(crate) fn for_own_file(root: &'r Root) -> Self {
        Writer { root, unnamed: true, anywhere: true }
    }

    /// The file system that is written.
    pub(super) fn root(&self) -> &'r Root {
        self.root
    }

    /// The state of what is at `path`; see [`Root::state`].
    pub fn state(&self, path: &str) -> Result<Option<FileState>> {
        self.root.state(path)
    }

    /// Gives the file at `path` this content, at once and durably. With `before` it must be there in exactly that state, without it
    /// the name must be free. What `meta` leaves open stays as it was; a new file has 0600, this user and group, no attributes.
    ///
    /// Through a trusted symbolic link the file that it points to is replaced and the link stays.
    /// Errors leave the old file as it was: it is in another state than `before`, has further hard links, is not a regular file,
    /// others can change a directory on the way, or a system call failed.
    pub fn replace(&self, path: &str, before: Option<&FileState>, content: &[u8], meta: &Meta) -> Result<()> {
        let target = Target::find(self.root, path)?;
        if !self.anywhere {
            target.refuse_weak_way()?;
        }
        let dir = target.open_dir_to_change()?;
        if !self.anywhere {
            sweep(&dir).map_err(|errno| target.os_error("clean up beside it", errno))?;
        }
        let Some(before) = before else {
            target.refuse_taken()?;
            let staged = self.stage(&target, &dir, content, &meta.over(new_state(FileKind::File)))?;
            return staged.publish_new(target.name()).map_err(|errno| target.os_error("create it", errno));
        };
        target.refuse_kind_but(&[FileKind::File])?;
        let found = target.open(CONTENT_LIMIT)?;
        target.refuse_hard_links(&found)?;
        target.refuse_sealed(&found)?;
        target.refuse_changed(found.state.difference(before))?;
        if before.content.is_none() {
            return Err(
                target.error(format!("it was recorded without its content (more than {CONTENT_LIMIT} bytes?); not replaced"))
            );
        }
        let staged = self.stage(&target, &dir, content, &meta.over(found.state.clone()))?;
        target.refuse_touched(&found)?;
        staged.publish_over(target.name()).map_err(|errno| target.os_error("replace it", errno))
    }

    /// Sets owner, mode and attributes of the file, directory or socket at `path`, through one descriptor, durably, and reads them
    /// back. Its metadata must be as in `before`; the content does not matter.
    ///
    /// Errors: its metadata is not as in `before`, it is a FIFO or device, it is reached through an untrusted link, it has further
    /// hard links (whose directories may be anybody's), or a system call failed, possibly after another had succeeded
    /// ([`FileState::standing`] then says `Between`).
    pub fn set_metadata(&self, path: &str, before: &FileState, meta: &Meta) -> Result<()> {
        let target = Target::find(self.root, path)?;
        target.refuse_kind_but(&[FileKind::File, FileKind::Dir, FileKind::Socket])?;
        let found = target.open(0)?;
        target.refuse_hard_links(&found)?;
        target.refuse_sealed(&found)?;
        target.refuse_changed(found.state.metadata_difference(before))?;
        let wanted = meta.over(found.state);
        set(&found.handle, &wanted).map_err(|why| target.unset(why))?;
        // A socket can't be opened, so not synced; it does not outlive a power cut in any use.
        match found.handle.is_readable() {
            true => fsync(&found.handle).map_err(|errno| target.os_error("sync it", errno)),
            false => Ok(()),
        }
    }

    /// Removes the file, socket or empty directory at `path`, durably; it must be in the state `before`.
    ///
    /// Errors: as for [`Writer::replace`]; a directory is not empty.
    pub fn remove(&self, path: &str, before: &FileState) -> Result<()> {
        let target = Target::find(self.root, path)?;
        target.refuse_weak_way()?;
        target.refuse_kind_but(&[FileKind::File, FileKind::Dir, FileKind::Socket])?;
        let found = target.open(CONTENT_LIMIT)?;
        target.refuse_hard_links(&found)?;
        target.refuse_sealed(&found)?;
        target.refuse_changed(found.state.difference(before))?;
        let flag = match found.state.kind {
            FileKind::Dir => UnlinkatFlags::RemoveDir,
            _ => UnlinkatFlags::NoRemoveDir,
        };
        let dir = target.open_dir_to_change()?;
        target.refuse_touched(&found)?;
        let removed = unlinkat(&dir, target.name(), flag).and_then(|()| fsync(&dir));
        removed.map_err(|errno| target.os_error("remove it", errno))
    }

    /// Makes one directory, durably; the one above it must be there. It appears with its owner and mode, and has no attributes.
    ///
    /// Errors: the name is not free, others can change a directory on the way, or a system call failed.
    pub fn make_dir(&self, path: &str, mode: u32, uid: u32, gid: u32) -> Result<()> {
        self.make_dir_with(path, &Meta { mode: Some(mode), uid: Some(uid), gid: Some(gid), ..Meta::default() })
    }

    /// Undoes a change: puts what is at `path` from the state `now` back to `before`, byte for byte; `None` is "nothing there".
    ///
    /// `content` is what a regular file held, where `before` does not have it itself.
    /// Errors: it is not in the state `now`, a removed socket would have to be made, or as for the other writes.
    pub fn restore(
        &self,
        path: &str,
        now: Option<&FileState>,
        before: Option<&FileState>,
        content: Option<&[u8]>,
    ) -> Result<()> {
        let Some(before) = before else {
            return now.map_or(Ok(()), |now| self.remove(path, now));
        };
        let meta = Meta::from(before);
        let content = content.or(before.content.as_ref().map(|content| content.0.as_slice()));
        match (before.kind, now) {
            (FileKind::Dir, None) => self.make_dir_with(path, &meta),
            (FileKind::File, None) => self.replace(path, None, known(self.root, path, content)?, &meta),
            (FileKind::File, Some(now)) if now.content.as_ref().map(|now| now.0.as_slice()) != content => {
                self.replace(path, Some(now), known(self.root, path, content)?, &meta)
            }
            (_, Some(now)) => self.set_metadata(path, now, &meta),
            (FileKind::Socket | FileKind::Symlink | FileKind::Other, None) => {
                let error = Error::failure("it is gone, and it is no file that could be written again");
                Err(error.at(self.root.shown(path)).help("start the service that makes it"))
            }
        }
    }

    /// Removes temporary files that a killed run left beside `path`.
    ///
    /// Errors: a system call failed. A directory that is not there is none.
    pub fn sweep_beside(&self, path: &str) -> Result<()> {
        match Target::find_if_way(self.root, path)? {
            // Where others can write, nothing was ever staged.
            Some(target) if target.refuse_weak_way().is_err() => Ok(()),
            Some(target) => sweep(&target.open_dir()?).map_err(|errno| target.os_error("clean up beside it", errno)),
            None => Ok(()),
        }
    }

    fn make_dir_with(&self, path: &str, meta: &Meta) -> Result<()> {
        let target = Target::find(self.root, path)?;
        target.refuse_weak_way()?;
        target.refuse_taken()?;
        let failed = |errno| target.os_error("create it", errno);
        let dir = target.open_dir_to_change()?;
        sweep(&dir).map_err(failed)?;
        let staged = Staged::directory(&dir).map_err(failed)?;
        set(&staged.handle, &meta.over(new_state(FileKind::Dir))).map_err(|why| target.unset(why))?;
        staged.sync().map_err(failed)?;
        staged.publish_new(target.name()).map_err(failed)
    }

    fn stage<'d>(&self, target: &Target, dir: &'d OwnedFd, content: &[u8], wanted: &FileState) -> Result<Staged<'d>> {
        let failed = |errno| target.os_error("write it", errno);
        let staged = Staged::file(dir, self.unnamed).map_err(failed)?;
        staged.write(content).map_err(failed)?;
        // While it is this user's own: a time can be given to one's own file only.
        if let Some(mtime_ns) = wanted.mtime_ns {
            set_mtime(&staged.handle, mtime_ns).map_err(|errno| target.os_error("set its modification time", errno))?;
        }
        staged.handle.take_over_flags(wanted.flags).map_err(|errno| target.os_error("keep its flags (lsattr)", errno))?;
        set(&staged.handle, wanted).map_err(|why| target.unset(why))?;
        staged.sync().map_err(failed)?;
        Ok(staged)
    }
}

/// What a new file or directory is where nothing else is said: this user's alone.
fn new_state(kind: FileKind) -> FileState {
    let mode = if kind == FileKind::Dir { 0o700 } else { 0o600 };
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    FileState { kind, mode, uid, gid, nlink: 1, xattrs: BTreeMap::new(), content: None, mtime_ns: None, flags: 0 }
}

fn known<'c>(root: &Root, path: &str, content: Option<&'c [u8]>) -> Result<&'c [u8]> {
    content.ok_or_else(|| Error::failure("its original content is not on record").at(root.shown(path)))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
