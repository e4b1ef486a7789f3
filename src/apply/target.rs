//! What a write is aimed at, and the reasons to refuse it.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::metadata::Unset;
use crate::error::{Error, Result};
use crate::fact::FileKind;
use crate::file_state::{FileState, noun};
use crate::host::advice::os_error;
use crate::host::fs::Root;
use crate::host::handle::{Access, Handle, kind_of};
use crate::host::inode::seal_of;
use crate::host::walk::{Object, Planter, Spot, Walked};

/// A name in a directory beneath the root, and what the walk found there.
pub(super) struct Target<'r> {
    root: &'r Root,
    shown: PathBuf,
    spot: Spot,
    object: Option<Object>,
}

/// The object, opened, and what it was when it was opened.
pub(super) struct Found {
    pub(super) handle: Handle,
    pub(super) state: FileState,
    stat: FileStat,
}

impl<'r> Target<'r> {
    /// Errors: a directory on the way is not there, or an untrusted link is on it.
    pub(super) fn find(root: &'r Root, path: &str) -> Result<Self> {
        Self::walk(root, path)?.map_err(|missing| {
            let (shown, missing) = (root.shown(path), root.shown(&missing));
            let error = Error::failure(format!("there is no directory {}", missing.display())).at(&shown);
            error.help(format!("see `namei -l {}`", shown.display()))
        })
    }

    /// The same; `None` when a directory on the way is not there.
    pub(super) fn find_if_way(root: &'r Root, path: &str) -> Result<Option<Self>> {
        Ok(Self::walk(root, path)?.ok())
    }

    /// `Err` in the result: the directory that is missing.
    fn walk(root: &'r Root, path: &str) -> Result<Result<Self, String>> {
        let (spot, object) = match root.walk(path)? {
            Walked::Found(spot, object) => (spot, Some(object)),
            Walked::Free(spot) => (spot, None),
            Walked::NoWay { at } => return Ok(Err(at)),
        };
        Ok(Ok(Target { root, shown: root.shown(path), spot, object }))
    }

    /// The name in its directory; `.` for the root itself, which every call that writes a name refuses.
    pub(super) fn name(&self) -> &str {
        &self.spot.name
    }

    /// The directory, for making, renaming, removing and syncing names in it.
    pub(super) fn open_dir(&self) -> Result<OwnedFd> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        openat(&self.spot.dir, ".", flags, Mode::empty()).map_err(|errno| self.os_error("open its directory", errno))
    }

    /// The same, where names are about to change: an immutable directory, and one that only takes new names, is left alone.
    pub(super) fn open_dir_to_change(&self) -> Result<OwnedFd> {
        let dir = Handle::new(self.open_dir()?, Access::Read);
        let flags = dir.flags().map_err(|errno| self.os_error("read the flags of its directory", errno))?;
        let Some(seal) = seal_of(flags) else { return Ok(dir.into_fd()) };
        let shown = self.shown.parent().unwrap_or(&self.shown).display().to_string();
        let (is, help) = seal.told(&shown);
        Err(self.error(format!("its directory {is}; nothing is written there")).help(help))
    }

    /// Opens the object: for reading where that can be done without a side effect, else (a socket) as a mere reference.
    pub(super) fn open(&self, content_limit: usize) -> Result<Found> {
        let Some(object) = &self.object else {
            return Err(self.changed("it is not there any more"));
        };
        let opened = || -> nix::Result<_> {
            let handle = self.spot.reopen(object)?;
            // The stat before the state: what changes in between shows in `refuse_touched`.
            let stat = handle.stat()?;
            let state = handle.state(content_limit)?;
            Ok(Found { handle, state, stat })
        };
        opened().map_err(|errno| self.os_error("open it", errno))
    }

    /// Refuses when somebody else could swap a directory on the way, or the file in it.
    pub(super) fn refuse_weak_way(&self) -> Result<()> {
        let Some((dir, by)) = &self.spot.weak else {
            return Ok(());
        };
        let shown = self.root.shown(dir);
        let help = match by {
            Planter::User(_) => format!("`chown root {}`", shown.display()),
            Planter::Group(_) => format!("`chmod g-w {}`", shown.display()),
            Planter::Anyone => format!("`chmod o-w {}`", shown.display()),
        };
        Err(self.error(format!("{by} can change the directory {}; not written there", shown.display())).help(help))
    }

    pub(super) fn refuse_taken(&self) -> Result<()> {
        match self.object {
            Some(_) => Err(self.changed("it is there by now")),
            None => Ok(()),
        }
    }

    /// Before it is opened: nothing else is ever opened.
    pub(super) fn refuse_kind_but(&self, kinds: &[FileKind]) -> Result<()> {
        match self.object.as_ref().map(|object| kind_of(object.stat.st_mode)) {
            Some(kind) if !kinds.contains(&kind) => Err(self.error(format!("it is a {}; left alone", noun(kind)))),
            _ => Ok(()),
        }
    }

    /// A file with several names may belong to somebody else under another one; a directory's links are its subdirectories.
    pub(super) fn refuse_hard_links(&self, found: &Found) -> Result<()> {
        if found.state.kind == FileKind::Dir || found.stat.st_nlink <= 1 {
            return Ok(());
        }
        let error = self.error(format!("it has {} names (hard links); left alone", found.stat.st_nlink));
        Err(error.help(format!("see `find / -xdev -inum {}`", found.stat.st_ino)))
    }

    /// What an administrator made unchangeable on purpose stays so, and is said before anything is tried.
    pub(super) fn refuse_sealed(&self, found: &Found) -> Result<()> {
        let Some(seal) = seal_of(found.state.flags) else { return Ok(()) };
        let (is, help) = seal.told(&self.shown.display().to_string());
        Err(self.error(format!("it {is}; left alone")).help(help))
    }

    pub(super) fn refuse_changed(&self, difference: Option<String>) -> Result<()> {
        difference.map_or(Ok(()), |difference| Err(self.changed(&difference)))
    }

    /// Right before the name is taken over: it must still name the very object that was compared, untouched since.
    pub(super) fn refuse_touched(&self, found: &Found) -> Result<()> {
        let identity = |stat: &FileStat| (stat.st_dev, stat.st_ino, stat.st_ctime, stat.st_ctime_nsec);
        match fstatat(&self.spot.dir, self.name(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(now) if identity(&now) == identity(&found.stat) => Ok(()),
            Ok(_) => Err(self.changed("somebody writes it right now")),
            Err(Errno::ENOENT) => Err(self.changed("it is not there any more")),
            Err(errno) => Err(self.os_error("stat it", errno)),
        }
    }

    pub(super) fn unset(&self, why: Unset) -> Error {
        match why {
            Unset::Os(doing, errno) => self.os_error(doing, errno),
            Unset::NotKept(difference) => self.error(format!("the file system does not keep what is set: {difference}")),
        }
    }

    pub(super) fn os_error(&self, doing: &str, errno: Errno) -> Error {
        match errno {
            Errno::EEXIST => self.changed("it is there by now"),
            Errno::ESTALE => self.changed("it was replaced right now"),
            errno => os_error(&self.shown, doing, errno),
        }
    }

    pub(super) fn error(&self, what: impl Into<String>) -> Error {
        Error::failure(what).at(&self.shown)
    }

    fn changed(&self, what: &str) -> Error {
        self.error(format!("changed since it was looked at: {what}")).help("run `harden plan` again")
    }
}
