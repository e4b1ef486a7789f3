//! The lock of the password files, held while one of them is written: `passwd`, `usermod`, `gpasswd` and their like take it too.
//!
//! It is a write lock on /etc/.pwd.lock, as lckpwdf(3) takes it. Programs of shadow-utils then also make FILE.lock beside what they
//! write; one that is there means that somebody is at it who does not ask for the first lock, or was killed.

use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::apply::journal::open_in;
use crate::error::{Error, Result};
use crate::host::fs::{Root, Want};

const LOCK: &str = "/etc/.pwd.lock";
/// What the lock is for.
const FILES: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"];
/// As long as lckpwdf waits.
const PATIENCE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(50);

/// Holds the lock until it is dropped.
pub struct AccountLock {
    _file: std::fs::File,
}

/// Takes the lock, if this is one of the files that it is for. In an image tree nobody else is at work: it is taken only where the
/// file for it is there.
///
/// # Errors
/// When somebody else keeps it.
pub fn take(root: &Root, path: &str) -> Result<Option<AccountLock>> {
    if !FILES.contains(&path) {
        return Ok(None);
    }
    let theirs = format!("{path}.lock");
    if !root.look(&theirs, Want::Stat).is_absent() {
        let error = Error::failure(format!("{} is there: somebody else is changing it", root.shown(&theirs).display()));
        return Err(error.at(root.shown(path)).help("if no passwd, usermod or gpasswd runs, remove that file"));
    }
    let absent = root.look(LOCK, Want::Stat).is_absent();
    if absent && !root.is_live() {
        return Ok(None);
    }
    let file = open_in(root, LOCK, OFlag::O_WRONLY | OFlag::O_CREAT)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_SETLK(&whole)) {
            Ok(_) => return Ok(Some(AccountLock { _file: file })),
            Err(_) if Instant::now() < deadline => std::thread::sleep(POLL),
            Err(errno) => {
                let what = format!("somebody else holds {} ({})", root.shown(LOCK).display(), errno.desc());
                return Err(Error::failure(what)
                    .at(root.shown(path))
                    .help("wait for the passwd, usermod or gpasswd that runs"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    #[test]
    fn only_for_the_password_files_and_not_against_others() {
        let scratch = Scratch::new();
        let root = scratch.root();
        scratch.file("/etc/group", "", 0o644);
        assert!(take(&root, "/etc/docker/daemon.json").unwrap().is_none());
        // A tree without the lock's file stays without it.
        assert!(take(&root, "/etc/group").unwrap().is_none());
        assert!(!scratch.at(LOCK).exists());
        scratch.file(LOCK, "", 0o600);
        assert!(take(&root, "/etc/group").unwrap().is_some());
        scratch.file("/etc/group.lock", "1", 0o600);
        let error = take(&root, "/etc/group").err().unwrap().to_string();
        assert!(error.contains("/etc/group.lock is there: somebody else is changing it"), "{error}");
    }
}
