//! One opened file system object. Everything about it is read through its descriptor, so nothing can be swapped in between.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::stat::{FileStat, fstat};

use crate::fact::FileKind;

/// The largest extended attribute, and the longest list of names, that Linux allows.
const XATTR_MAX: usize = 65536;

/// What a descriptor is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// `O_PATH`: names the object without opening it. Works for sockets, touches neither FIFO nor device, needs no read permission.
    Path,
    /// Reading.
    Read,
}

/// An open descriptor.
#[derive(Debug)]
pub(crate) struct Handle {
    fd: OwnedFd,
    access: Access,
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Handle {
    pub(crate) fn new(fd: OwnedFd, access: Access) -> Self {
        Self { fd, access }
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.access == Access::Read
    }

    pub(crate) fn stat(&self) -> nix::Result<FileStat> {
        fstat(&self.fd)
    }

    /// The whole content; `None` when it has more than `limit` bytes. `size` is what `fstat` said, a hint only.
    pub(crate) fn read(&self, limit: usize, size: u64) -> nix::Result<Option<Vec<u8>>> {
        let Some(size) = usize::try_from(size).ok().filter(|size| *size <= limit) else {
            return Ok(None);
        };
        // One byte more than the file has, so that it takes one read for the content and one that finds the end.
        // Files of /proc and /sys have no size.
        let mut bytes = vec![0; size.max(511) + 1];
        let mut filled = 0;
        loop {
            if filled > limit {
                return Ok(None);
            }
            if filled == bytes.len() {
                bytes.resize(bytes.len() * 2, 0);
            }
            match nix::unistd::read(&self.fd, &mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        bytes.truncate(filled);
        Ok(Some(bytes))
    }

    /// One extended attribute; `None` when it is not set or the file system has none.
    pub(crate) fn xattr(&self, name: &CStr) -> nix::Result<Option<Vec<u8>>> {
        let mut small = [0; 256];
        match self.get_xattr(name, &mut small) {
            Err(Errno::ERANGE) => {}
            Err(Errno::ENODATA | Errno::EOPNOTSUPP) => return Ok(None),
            outcome => return outcome.map(|length| Some(small[..length].to_vec())),
        }
        let mut large = vec![0; XATTR_MAX];
        let length = self.get_xattr(name, &mut large)?;
        large.truncate(length);
        Ok(Some(large))
    }

    /// The names of all extended attributes that this process may see.
    pub(crate) fn xattr_names(&self) -> nix::Result<Vec<CString>> {
        let mut buffer = vec![0; XATTR_MAX];
        let length = match self.list_xattrs(&mut buffer) {
            Err(Errno::EOPNOTSUPP) => 0,
            outcome => outcome?,
        };
        let names = buffer[..length].split_inclusive(|byte| *byte == 0);
        names.map(|name| CStr::from_bytes_with_nul(name).map(CStr::to_owned).map_err(|_| Errno::EILSEQ)).collect()
    }

    /// The descriptor as a path: the calls for extended attributes and modes refuse an `O_PATH` descriptor itself.
    pub(crate) fn proc_path(&self) -> CString {
        CString::new(format!("/proc/self/fd/{}", self.fd.as_raw_fd())).unwrap_or_default()
    }

    fn get_xattr(&self, name: &CStr, buffer: &mut [u8]) -> nix::Result<usize> {
        let (value, size) = (buffer.as_mut_ptr().cast(), buffer.len());
        let length = match self.access {
            // SAFETY: `name` ends with NUL, and the kernel writes at most `size` bytes to `value`, which has as many.
            Access::Read => Errno::result(unsafe { libc::fgetxattr(self.fd.as_raw_fd(), name.as_ptr(), value, size) }),
            Access::Path => {
                let path = self.proc_path();
                // SAFETY: as above, for `path` too.
                Errno::result(unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value, size) })
            }
        };
        Ok(length?.unsigned_abs())
    }

    fn list_xattrs(&self, buffer: &mut [u8]) -> nix::Result<usize> {
        let (list, size) = (buffer.as_mut_ptr().cast(), buffer.len());
        let length = match self.access {
            // SAFETY: the kernel writes at most `size` bytes to `list`, which has as many.
            Access::Read => Errno::result(unsafe { libc::flistxattr(self.fd.as_raw_fd(), list, size) }),
            Access::Path => {
                let path = self.proc_path();
                // SAFETY: as above, and `path` ends with NUL.
                Errno::result(unsafe { libc::listxattr(path.as_ptr(), list, size) })
            }
        };
        Ok(length?.unsigned_abs())
    }
}

/// What kind of object a mode of `stat` speaks of.
pub(crate) fn kind_of(mode: u32) -> FileKind {
    match mode & libc::S_IFMT {
        libc::S_IFREG => FileKind::File,
        libc::S_IFDIR => FileKind::Dir,
        libc::S_IFSOCK => FileKind::Socket,
        libc::S_IFLNK => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

/// The permission bits of a `stat`.
pub(crate) fn mode_of(stat: &FileStat) -> u32 {
    stat.st_mode & 0o7777
}

/// The number of hard links of a `stat`; its type differs by architecture.
#[allow(clippy::unnecessary_cast)]
pub(crate) fn nlink_of(stat: &FileStat) -> u64 {
    stat.st_nlink as u64
}
