//! A file or directory that is prepared out of sight and then appears under its name at once.

use std::hash::{BuildHasher, Hasher};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, openat, renameat, renameat2};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, fsync, linkat, unlinkat};

use crate::fact::FileKind;
use crate::host::handle::{Access, Handle, kind_of};

const PREFIX: &str = ".harden-";
const SUFFIX: &str = ".tmp";
const DIGITS: usize = 16;

/// A staged object. Dropped before it is published, it is gone.
#[derive(Debug)]
pub(super) struct Staged<'d> {
    dir: &'d OwnedFd,
    /// Open for writing.
    pub(super) handle: Handle,
    name: Option<(String, UnlinkatFlags)>,
}

impl<'d> Staged<'d> {
    /// An empty file that only this user can read. `unnamed`: without a name (`O_TMPFILE`) where the file system can do that, so
    /// that a kill leaves nothing behind; else, and on NFS or FAT, under a temporary name.
    pub(super) fn file(dir: &'d OwnedFd, unnamed: bool) -> nix::Result<Self> {
        let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
        let private = Mode::S_IRUSR | Mode::S_IWUSR;
        if unnamed {
            match openat(dir, ".", flags | OFlag::O_TMPFILE, private) {
                Ok(fd) => return Ok(Self { dir, handle: Handle::new(fd, Access::Read), name: None }),
                Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
        let name = temporary_name();
        let fd = openat(dir, name.as_str(), flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW, private)?;
        Ok(Self { dir, handle: Handle::new(fd, Access::Read), name: Some((name, UnlinkatFlags::NoRemoveDir)) })
    }

    /// An empty directory that only this user can enter.
    pub(super) fn directory(dir: &'d OwnedFd) -> nix::Result<Self> {
        let name = temporary_name();
        mkdirat(dir, name.as_str(), Mode::S_IRWXU)?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(dir, name.as_str(), flags, Mode::empty()).inspect_err(|_| {
            let _ = unlinkat(dir, name.as_str(), UnlinkatFlags::RemoveDir);
        })?;
        Ok(Self { dir, handle: Handle::new(fd, Access::Read), name: Some((name, UnlinkatFlags::RemoveDir)) })
    }

    pub(super) fn write(&self, mut bytes: &[u8]) -> nix::Result<()> {
        while !bytes.is_empty() {
            match nix::unistd::write(&self.handle, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> nix::Result<()> {
        fsync(&self.handle)
    }

    /// Appears under a name that must be free: `EEXIST` otherwise.
    pub(super) fn publish_new(mut self, name: &str) -> nix::Result<()> {
        match &self.name {
            None => self.link(name)?,
            Some((temporary, flag)) => {
                match renameat2(self.dir, temporary.as_str(), self.dir, name, RenameFlags::RENAME_NOREPLACE) {
                    // File systems that can't promise this. A link to a file never replaces anything; for a directory the caller
                    // has looked, and the rename replaces at most an empty one.
                    Err(Errno::EINVAL | Errno::ENOSYS) if matches!(flag, UnlinkatFlags::RemoveDir) => {
                        renameat(self.dir, temporary.as_str(), self.dir, name)?;
                    }
                    Err(Errno::EINVAL | Errno::ENOSYS) => {
                        linkat(self.dir, temporary.as_str(), self.dir, name, AtFlags::empty())?;
                        unlinkat(self.dir, temporary.as_str(), *flag)?;
                    }
                    outcome => outcome?,
                }
            }
        }
        self.name = None;
        fsync(self.dir)
    }

    /// Takes the place of the file of that name.
    pub(super) fn publish_over(mut self, name: &str) -> nix::Result<()> {
        if self.name.is_none() {
            let temporary = temporary_name();
            self.link(&temporary)?;
            self.name = Some((temporary, UnlinkatFlags::NoRemoveDir));
        }
        if let Some((temporary, _)) = &self.name {
            renameat(self.dir, temporary.as_str(), self.dir, name)?;
        }
        self.name = None;
        fsync(self.dir)
    }

    fn link(&self, name: &str) -> nix::Result<()> {
        match linkat(&self.handle, "", self.dir, name, AtFlags::AT_EMPTY_PATH) {
            // Needs CAP_DAC_READ_SEARCH; the detour does not.
            Err(Errno::ENOENT | Errno::EPERM) => {
                let path = format!("/proc/self/fd/{}", std::os::fd::AsFd::as_fd(&self.handle).as_raw_fd());
                linkat(AT_FDCWD, path.as_str(), self.dir, name, AtFlags::AT_SYMLINK_FOLLOW)
            }
            outcome => outcome,
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Some((name, flag)) = &self.name {
            // Nothing more can be done; the next run that writes here sweeps it.
            let _ = unlinkat(self.dir, name.as_str(), *flag);
        }
    }
}

/// Removes what killed runs left in a directory that nobody else can change: only names of the pattern above, only regular files
/// and empty directories. Their owner says nothing: a staged file already has that of the file which it was to replace.
pub(super) fn sweep(dir: &OwnedFd) -> nix::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut listing = Dir::openat(dir, ".", flags, Mode::empty())?;
    let mut stale = Vec::new();
    for entry in listing.iter() {
        let entry = entry?;
        stale.extend(entry.file_name().to_str().ok().filter(|name| is_temporary(name)).map(str::to_owned));
    }
    for name in stale {
        let stat = match fstatat(dir, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(_) => continue,
        };
        let flag = match kind_of(stat.st_mode) {
            FileKind::File => UnlinkatFlags::NoRemoveDir,
            FileKind::Dir => UnlinkatFlags::RemoveDir,
            _ => continue,
        };
        match unlinkat(dir, name.as_str(), flag) {
            Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn temporary_name() -> String {
    // Each `RandomState` has keys of its own. The name need not be secret, only unlike others.
    let number = std::hash::RandomState::new().build_hasher().finish();
    format!("{PREFIX}{number:016x}{SUFFIX}")
}

fn is_temporary(name: &str) -> bool {
    let digits = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
