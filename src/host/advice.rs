//! Errors of file system calls, with what to do about them.

use std::path::Path;

use nix::errno::Errno;

use crate::error::Error;

/// The error for a system call on `path` that failed while `doing` something ("write", "change its owner").
pub(crate) fn os_error(path: &Path, doing: &str, errno: Errno) -> Error {
    let shown = path.display();
    let error = Error::io(path, doing, errno);
    match errno {
        Errno::EROFS => error.help(format!("the file system is mounted read-only: see `findmnt -T {shown}`")),
        Errno::EPERM => {
            let dir = path.parent().unwrap_or(path).display();
            error.help(format!("run as root; if you are, it or its directory may be immutable: see `lsattr -d {shown} {dir}`"))
        }
        Errno::EACCES => error.help("run as root; if you are, a security module said no: see `ausearch -m avc -ts recent`"),
        Errno::ENOSPC => error.help(format!("make room: see `df -h {shown}` and `df -i {shown}`")),
        Errno::EDQUOT => error.help("the disk quota is used up: see `repquota -a`"),
        Errno::EBUSY => error.help(format!("something is mounted there: see `findmnt {shown}`")),
        Errno::EIO => error.help("the disk reports errors: see `dmesg`"),
        Errno::ENOTEMPTY => error.help(format!("see `ls -la {shown}`")),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_path_the_cause_and_the_next_command() {
        let text = |errno| os_error(Path::new("/etc/x"), "write", errno).to_string();
        assert_eq!(
            text(Errno::EROFS),
            "/etc/x: cannot write: EROFS: Read-only file system\n  help: the file system is mounted read-only: see `findmnt -T /etc/x`"
        );
        assert!(text(Errno::EPERM).ends_with("see `lsattr -d /etc/x /etc`"));
        assert!(text(Errno::ENOSPC).ends_with("see `df -h /etc/x` and `df -i /etc/x`"));
    }
}
