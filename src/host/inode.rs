//! What only the inode itself tells: when it changed, and flags that forbid to change it.

use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::stat::FileStat;
use nix::sys::statvfs::{FsFlags, fstatvfs};

use super::handle::{Handle, nlink_of};
use crate::fact::Seal;

// From linux/stat.h and linux/fs.h, which are the same for every architecture.
const STATX_BASIC_STATS: u32 = 0x07ff;
const STATX_MNT_ID: u32 = 0x1000;
const STATX_ATTR_IMMUTABLE: u64 = 0x10;
const STATX_ATTR_APPEND: u64 = 0x20;
const FS_SYNC_FL: u32 = 0x08;
const FS_IMMUTABLE_FL: u32 = 0x10;
const FS_APPEND_FL: u32 = 0x20;
const FS_NODUMP_FL: u32 = 0x40;
const FS_NOATIME_FL: u32 = 0x80;
/// Flags that the owner gave a file, and that the file which takes its place gets too.
const INHERITED: u32 = FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL;
const RECORDED: u32 = INHERITED | FS_IMMUTABLE_FL | FS_APPEND_FL;

/// What one system call tells of an object.
#[derive(Debug)]
pub(crate) struct Inode {
    /// Type and permission bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) nlink: u64,
    pub(crate) dev: u64,
    pub(crate) ino: u64,
    pub(crate) size: u64,
    pub(crate) mtime_ns: i64,
    pub(crate) ctime_ns: i64,
    /// Immutable or append-only.
    pub(crate) sealed: Option<Seal>,
    /// The mount that it was reached through, where the kernel tells (since 5.8).
    pub(crate) mount: Option<u64>,
}

impl From<FileStat> for Inode {
    fn from(stat: FileStat) -> Self {
        Inode {
            mode: stat.st_mode,
            uid: stat.st_uid,
            gid: stat.st_gid,
            nlink: nlink_of(&stat),
            dev: stat.st_dev,
            ino: stat.st_ino,
            size: stat.st_size.unsigned_abs(),
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            sealed: None,
            mount: None,
        }
    }
}

#[repr(C)]
#[derive(Default)]
struct Timestamp {
    sec: i64,
    nsec: u32,
    reserved: i32,
}

/// `struct statx` of the kernel. Not every C library has it.
#[repr(C)]
#[derive(Default)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    atime: Timestamp,
    btime: Timestamp,
    ctime: Timestamp,
    mtime: Timestamp,
    rdev: [u32; 2],
    dev: [u32; 2],
    mnt_id: u64,
    rest: [u64; 13],
}

impl From<Statx> for Inode {
    fn from(stat: Statx) -> Self {
        let sealed = match stat.attributes {
            flags if flags & STATX_ATTR_IMMUTABLE != 0 => Some(Seal::Immutable),
            flags if flags & STATX_ATTR_APPEND != 0 => Some(Seal::AppendOnly),
            _ => None,
        };
        Inode {
            mode: stat.mode.into(),
            uid: stat.uid,
            gid: stat.gid,
            nlink: stat.nlink.into(),
            dev: libc::makedev(stat.dev[0], stat.dev[1]),
            ino: stat.ino,
            size: stat.size,
            mtime_ns: nanoseconds(stat.mtime.sec, stat.mtime.nsec.into()),
            ctime_ns: nanoseconds(stat.ctime.sec, stat.ctime.nsec.into()),
            sealed,
            mount: (stat.mask & STATX_MNT_ID != 0).then_some(stat.mnt_id),
        }
    }
}

impl Handle {
    /// One `statx`; where the kernel (before 4.11) or a seccomp filter has none, an `fstat`, which does not tell of flags.
    pub(crate) fn inode(&self) -> nix::Result<Inode> {
        let mut stat = Statx::default();
        let (fd, mask) = (self.as_fd().as_raw_fd(), STATX_BASIC_STATS | STATX_MNT_ID);
        // SAFETY: the path ends with NUL, and the kernel writes a `struct statx`, which `stat` is.
        let outcome = unsafe { libc::syscall(libc::SYS_statx, fd, c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut stat) };
        match Errno::result(outcome) {
            Ok(_) => Ok(stat.into()),
            Err(Errno::ENOSYS | Errno::EPERM) => self.stat().map(Inode::from),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the mount through which this was opened is read-only. Where that can't be told, a write will, and is undone.
    pub(crate) fn on_read_only_mount(&self) -> bool {
        fstatvfs(self).is_ok_and(|file_system| file_system.flags().contains(FsFlags::ST_RDONLY))
    }

    /// The flags of `lsattr` that are worth a record; none of what can't be opened, and where the file system has none.
    pub(crate) fn flags(&self) -> nix::Result<u32> {
        if !self.is_readable() {
            return Ok(0);
        }
        match self.all_flags() {
            Ok(flags) => Ok(flags & RECORDED),
            Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => Ok(0),
            Err(errno) => Err(errno),
        }
    }

    /// Gives a new file the flags of the one whose place it takes, as far as a successor has them. It has its directory's already.
    pub(crate) fn take_over_flags(&self, flags: u32) -> nix::Result<()> {
        if self.flags()? & INHERITED == flags & INHERITED {
            return Ok(());
        }
        let wanted = libc::c_int::from_ne_bytes(((self.all_flags()? & !INHERITED) | (flags & INHERITED)).to_ne_bytes());
        // SAFETY: the kernel reads an int, which `wanted` is.
        Errno::result(unsafe { libc::ioctl(self.as_fd().as_raw_fd(), libc::FS_IOC_SETFLAGS, &raw const wanted) }).map(drop)
    }

    fn all_flags(&self) -> nix::Result<u32> {
        let mut flags: libc::c_int = 0;
        // SAFETY: the kernel writes an int, whatever the call's number says, and `flags` is one.
        Errno::result(unsafe { libc::ioctl(self.as_fd().as_raw_fd(), libc::FS_IOC_GETFLAGS, &raw mut flags) })?;
        Ok(u32::from_ne_bytes(flags.to_ne_bytes()))
    }
}

/// What inode flags forbid.
pub(crate) fn seal_of(flags: u32) -> Option<Seal> {
    match flags {
        flags if flags & FS_IMMUTABLE_FL != 0 => Some(Seal::Immutable),
        flags if flags & FS_APPEND_FL != 0 => Some(Seal::AppendOnly),
        _ => None,
    }
}

pub(crate) fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::fact::Fact;
    use crate::host::fs::Want;
    use crate::host::scratch::Scratch;

    #[test]
    fn the_kernel_writes_as_much_as_there_is_room_for() {
        assert_eq!(size_of::<Statx>(), 256);
    }

    #[test]
    fn flags_are_seen_by_a_look() {
        let scratch = Scratch::new();
        scratch.file("/f", "x", 0o644);
        let seen = |path: &str| match scratch.root().look(path, Want::Stat) {
            Fact::Known(file) => file.sealed,
            other => panic!("{other:?}"),
        };
        let chattr = |how: &str| assert!(Command::new("chattr").arg(how).arg(scratch.at("/f")).status().unwrap().success());
        assert_eq!(seen("/f"), None);
        for (set, cleared, seal) in [("+i", "-i", Seal::Immutable), ("+a", "-a", Seal::AppendOnly)] {
            chattr(set);
            let found = (seen("/f"), scratch.root().state("/f").map(|state| seal_of(state.unwrap().flags)));
            chattr(cleared);
            assert_eq!((found.0, found.1.unwrap()), (Some(seal), Some(seal)));
        }
        assert_eq!(seen("/f"), None);
    }
}
