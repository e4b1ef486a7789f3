//! Owner, mode, ACL and other attributes of an opened object, set through its descriptor.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, futimens};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat};

use crate::fact::Content;
use crate::file_state::{FileState, is_kernel_label};
use crate::host::handle::{Handle, mode_of};

const SECOND: i64 = 1_000_000_000;

/// What the metadata of a file shall be; `None` keeps what the file has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits. They also set the owner, mask and other entries of an access ACL, as `chmod` does.
    pub mode: Option<u32>,
    /// Numeric owner.
    pub uid: Option<u32>,
    /// Numeric group.
    pub gid: Option<u32>,
    /// All extended attributes; others are removed, except security labels, which every file keeps.
    pub xattrs: Option<BTreeMap<String, Content>>,
    /// When the content was last modified, nanoseconds since 1970; `None` for content that is new. Set with the content only.
    pub mtime_ns: Option<i64>,
}

impl From<&FileState> for Meta {
    /// All of it, exactly.
    fn from(state: &FileState) -> Self {
        Meta {
            mode: Some(state.mode),
            uid: Some(state.uid),
            gid: Some(state.gid),
            xattrs: Some(state.xattrs.clone()),
            mtime_ns: state.mtime_ns,
        }
    }
}

impl Meta {
    /// The state of a file after this was set on it.
    pub fn over(&self, mut base: FileState) -> FileState {
        base.uid = self.uid.unwrap_or(base.uid);
        base.gid = self.gid.unwrap_or(base.gid);
        base.xattrs = self.xattrs.clone().unwrap_or(base.xattrs);
        base.mtime_ns = self.mtime_ns;
        let mode = self.mode.unwrap_or(base.mode);
        base.with_mode(mode)
    }
}

/// Why [`set`] failed.
#[derive(Debug)]
pub(super) enum Unset {
    /// A system call failed while doing this.
    Os(&'static str, Errno),
    /// All calls succeeded, but this is what the file is now.
    NotKept(String),
}

/// Gives an object the metadata of `wanted`, calling only what is needed, and reads it back.
///
/// The order matters: changing the owner clears setuid bits and capabilities, and setting an ACL changes the mode, so the mode is last.
pub(super) fn set(handle: &Handle, wanted: &FileState) -> Result<(), Unset> {
    let os = |doing: &'static str| move |errno| Unset::Os(doing, errno);
    let stat = handle.stat().map_err(os("read its state"))?;
    if (stat.st_uid, stat.st_gid) != (wanted.uid, wanted.gid) {
        let (uid, gid) = (Some(Uid::from_raw(wanted.uid)), Some(Gid::from_raw(wanted.gid)));
        fchownat(handle, "", uid, gid, AtFlags::AT_EMPTY_PATH).map_err(os("change its owner"))?;
    }
    set_xattrs(handle, &wanted.xattrs).map_err(os("change its attributes"))?;
    if mode_of(&handle.stat().map_err(os("read its state"))?) != wanted.mode {
        let mode = Mode::from_bits_truncate(wanted.mode);
        // The descriptor as a path: it may be O_PATH, which fchmod refuses, and fchmodat2 is younger than many kernels.
        fchmodat(AT_FDCWD, handle.proc_path().as_c_str(), mode, FchmodatFlags::FollowSymlink).map_err(os("change its mode"))?;
    }
    let now = handle.state(0).map_err(os("read its state"))?;
    now.metadata_difference(wanted).map_or(Ok(()), |difference| Err(Unset::NotKept(difference)))
}

/// Says when the content of one's own file was last modified; when it was last read stays.
pub(super) fn set_mtime(handle: &Handle, mtime_ns: i64) -> nix::Result<()> {
    let mtime = TimeSpec::new(mtime_ns.div_euclid(SECOND), mtime_ns.rem_euclid(SECOND));
    futimens(handle, &TimeSpec::UTIME_OMIT, &mtime)
}

fn set_xattrs(handle: &Handle, wanted: &BTreeMap<String, Content>) -> nix::Result<()> {
    let path = handle.proc_path();
    for name in handle.xattr_names()? {
        let text = name.to_string_lossy();
        if !wanted.contains_key(text.as_ref()) && !is_kernel_label(&text) {
            // SAFETY: both strings end with NUL.
            Errno::result(unsafe { libc::removexattr(path.as_ptr(), name.as_ptr()) })?;
        }
    }
    for (name, Content(value)) in wanted {
        let name = CString::new(name.as_str()).map_err(|_| Errno::EINVAL)?;
        if handle.xattr(&name)?.as_ref() != Some(value) {
            set_xattr(&path, &name, value)?;
        }
    }
    Ok(())
}

fn set_xattr(path: &CStr, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: both strings end with NUL, and the kernel reads `value.len()` bytes of `value`.
    Errno::result(unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) }).map(drop)
}
