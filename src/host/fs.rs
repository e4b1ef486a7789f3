//! Reading a file system beneath a root: `/`, or an image tree.
//!
//! Every object is opened once and read through that descriptor. Absolute links and `..` in them stay inside the root, a link is
//! followed only if root could have planted it (see `walk.rs`), and nothing here blocks on a FIFO or opens a device.
//!
//! System calls of one look, in order (counted by a test):
//! - `Stat`: `openat2(O_PATH)`, `statx`, `getxattr(/proc/self/fd/N)` for the ACL, `close`
//! - `Content`: `openat2(O_RDONLY)`, `statx`, `fgetxattr`, `read` (the content), `read` (its end), `close`
//! - once a mount: `fstatfs`
//! - where a symbolic link is on the way, and on kernels before 5.6: `openat2` fails, then `openat` and `fstat` for each part.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::stat::{Mode, fstat};

use super::handle::{Access, Handle, kind_of};
use super::walk::{Last, Walked, walk};
use crate::error::{Error, Result};
use crate::fact::{Content, Fact, FileFact, FileKind, Seal};
use crate::formats::acl;

/// How large a file may be, in bytes, for its content to be read: 4 MiB.
pub const CONTENT_LIMIT: usize = 4 << 20;

/// What to find out about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Kind, owner, mode, ACL and the like. Needs no read permission and never opens the object itself.
    Stat,
    /// The same, and the content of a regular file of at most `limit` bytes.
    Content {
        /// In bytes; a larger file is `Unknown`.
        limit: usize,
    },
}

impl Want {
    /// Content up to [`CONTENT_LIMIT`].
    pub const CONTENT: Want = Want::Content { limit: CONTENT_LIMIT };
}

/// A file system that is read (and, through `apply::writer`, written) beneath one directory.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
    owner: u32,
    euid: u32,
    /// Whether to try `openat2`: false once the kernel (or a seccomp filter) has refused it.
    openat2: AtomicBool,
    /// Whether a mount is read-only, by its id.
    read_only: Mutex<BTreeMap<u64, bool>>,
}

/// How [`Root::open_object`] opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// `O_PATH`; the last part is followed if it is a link.
    Path,
    /// `O_PATH` of the last part itself, even if it is a link.
    Link,
    /// For reading; sockets, which can't be read, as `Path`.
    Read,
    /// A directory, for listing.
    Directory,
}

impl Opening {
    pub(super) fn flags(self) -> OFlag {
        OFlag::O_CLOEXEC
            | match self {
                Opening::Path => OFlag::O_PATH,
                Opening::Link => OFlag::O_PATH | OFlag::O_NOFOLLOW,
                // Neither wait for the writer of a FIFO nor take a terminal as the controlling one.
                Opening::Read => OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY,
                Opening::Directory => OFlag::O_RDONLY | OFlag::O_DIRECTORY,
            }
    }

    fn access(self) -> Access {
        match self {
            Opening::Path | Opening::Link => Access::Path,
            Opening::Read | Opening::Directory => Access::Read,
        }
    }
}

/// An opened object and its path after following links.
pub(super) struct Opened {
    pub(super) handle: Handle,
    pub(super) real_path: String,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Root {
    /// Opens `/` or an image tree. The path itself may lead through any symbolic links: the user chose it.
    ///
    /// Errors: it can't be opened or is not a directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Root> {
        let path = path.as_ref();
        let refused = |errno: Errno| {
            Error::usage(format!("cannot open the root directory: {errno}")).at(path).help("give a directory: `--root DIR`")
        };
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = nix::fcntl::open(path, flags, Mode::empty()).map_err(refused)?;
        let owner = fstat(&fd).map_err(refused)?.st_uid;
        let euid = nix::unistd::geteuid().as_raw();
        Ok(Root { fd, path: path.to_owned(), owner, euid, openat2: AtomicBool::new(true), read_only: Mutex::default() })
    }

    /// The directory as the user gave it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is the running host's own file system and not an image tree.
    pub fn is_live(&self) -> bool {
        self.path.is_absolute() && self.path.parent().is_none()
    }

    /// What is at an absolute path within the root.
    ///
    /// `Absent` when it, or a directory on the way, is not there; `Unknown` with path and errno for everything else.
    pub fn look(&self, path: &str, want: Want) -> Fact<FileFact> {
        fact(self.try_look(path, want))
    }

    /// The target of the symbolic link at `path` as it is written there; `Absent` when there is nothing or not a link.
    pub fn readlink(&self, path: &str) -> Fact<String> {
        fact(self.try_readlink(path))
    }

    /// Whether this user could do on this file system what root can: nobody else can plant a link that is followed.
    pub(super) fn trusts(&self, uid: u32) -> bool {
        uid == 0 || uid == self.euid || uid == self.owner
    }

    /// The path as the user can type it.
    pub(crate) fn shown(&self, path: &str) -> PathBuf {
        self.path.join(path.trim_start_matches('/'))
    }

    fn try_look(&self, path: &str, want: Want) -> Result<Option<FileFact>, String> {
        let (opening, limit) = match want {
            Want::Stat => (Opening::Path, None),
            Want::Content { limit } => (Opening::Read, Some(limit)),
        };
        let Some(Opened { handle, real_path }) = self.open_object(path, opening)? else {
            return Ok(None);
        };
        let failed = |doing: &'static str| move |errno| cannot(doing, path, errno);
        let inode = handle.inode().map_err(failed("stat"))?;
        let kind = kind_of(inode.mode);
        let acl = match handle.xattr(c"system.posix_acl_access").map_err(failed("read the ACL of"))? {
            Some(bytes) => acl::decode(&bytes).map_err(|what| format!("cannot read the ACL of {path}: {what}"))?,
            None => Vec::new(),
        };
        let content = match limit.filter(|_| kind == FileKind::File) {
            Some(limit) => {
                let bytes = handle.read(limit, inode.size).map_err(failed("read"))?;
                Some(Content(bytes.ok_or_else(|| format!("{path} has more than {limit} bytes; not read"))?))
            }
            None => None,
        };
        Ok(Some(FileFact {
            real_path,
            kind,
            mode: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            nlink: inode.nlink,
            dev: inode.dev,
            ino: inode.ino,
            mtime_ns: inode.mtime_ns,
            ctime_ns: Some(inode.ctime_ns),
            sealed: if self.is_read_only(&handle, inode.mount) { Some(Seal::ReadOnlyMount) } else { inode.sealed },
            size: inode.size,
            acl,
            content,
        }))
    }

    /// Asks once a mount, where the kernel tells which one it is.
    fn is_read_only(&self, handle: &Handle, mount: Option<u64>) -> bool {
        let (Some(mount), Ok(mut mounts)) = (mount, self.read_only.lock()) else { return handle.on_read_only_mount() };
        *mounts.entry(mount).or_insert_with(|| handle.on_read_only_mount())
    }

    fn try_readlink(&self, path: &str) -> Result<Option<String>, String> {
        let Some(Opened { handle, .. }) = self.open_object(path, Opening::Link)? else {
            return Ok(None);
        };
        match readlinkat(&handle, "") {
            Ok(target) => target.into_string().map(Some).map_err(|_| format!("the target of {path} is not UTF-8")),
            Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(cannot("read the link", path, errno)),
        }
    }

    /// Opens what is at `path`; `None` when there is nothing (or, for a directory, something else).
    pub(super) fn open_object(&self, path: &str, opening: Opening) -> Result<Option<Opened>, String> {
        let parts = parts(path)?;
        if self.openat2.load(Ordering::Relaxed) {
            let real_path = joined(&parts);
            let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS | ResolveFlag::RESOLVE_NO_SYMLINKS;
            match openat2(&self.fd, real_path.as_str(), OpenHow::new().flags(opening.flags()).resolve(resolve)) {
                Ok(fd) => return Ok(Some(Opened { handle: Handle::new(fd, opening.access()), real_path })),
                Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
                // A socket, or a device without a driver.
                Err(Errno::ENXIO) if opening == Opening::Read => return self.open_object(path, Opening::Path),
                // A symbolic link somewhere; EACCES where fs.protected_symlinks forbids to follow it, or of a real lack of permission.
                Err(Errno::ELOOP | Errno::EACCES) => {}
                // An old kernel, or a seccomp filter that does not know the call.
                Err(Errno::ENOSYS | Errno::EPERM) => self.openat2.store(false, Ordering::Relaxed),
                Err(errno) => return Err(cannot("open", path, errno)),
            }
        }
        let last = if opening == Opening::Link { Last::Itself } else { Last::Follow };
        match walk(self, &parts, last).map_err(|obstacle| obstacle.to_string())? {
            Walked::Found(spot, object) => {
                if opening == Opening::Directory && kind_of(object.stat.st_mode) != FileKind::Dir {
                    return Ok(None);
                }
                let handle = match opening.access() {
                    Access::Path => Handle::new(object.fd, Access::Path),
                    Access::Read => spot.reopen(&object).map_err(|errno| cannot("open", path, errno))?,
                };
                Ok(Some(Opened { handle, real_path: spot.real_path }))
            }
            Walked::Free(_) | Walked::NoWay { .. } => Ok(None),
        }
    }
}

/// The parts of an absolute path, without empty ones and `.`.
///
/// `..` is refused: nothing that harden asks for needs it, and it would mean different places before and after following links.
pub(super) fn parts(path: &str) -> Result<Vec<&str>, String> {
    if !path.starts_with('/') {
        return Err(format!("`{path}` is not an absolute path"));
    }
    if path.contains('\0') {
        return Err(format!("`{}` has a NUL byte in it", path.escape_default()));
    }
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(format!("`{path}` has `..` in it: write the path without"));
    }
    Ok(parts)
}

/// The opposite of [`parts`].
pub(super) fn joined(parts: &[&str]) -> String {
    format!("/{}", parts.join("/"))
}

pub(super) fn cannot(doing: &str, path: &str, errno: Errno) -> String {
    format!("cannot {doing} {path}: {errno}")
}

pub(super) fn fact<T>(outcome: Result<Option<T>, String>) -> Fact<T> {
    match outcome {
        Ok(Some(value)) => Fact::Known(value),
        Ok(None) => Fact::Absent,
        Err(why) => Fact::Unknown(why),
    }
}

#[cfg(test)]
#[path = "fs_tests.rs"]
mod tests;
