//! A folder for one test, removed at its end.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::fs::Root;

pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder of mode 0755. The tests change owners, so they run as root, as the program does.
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests change owners: run them as root");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("harden-test-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// The folder of a test that was killed.
    pub(crate) fn adopt(path: &str) -> Self {
        assert!(path.contains("/harden-test-"), "{path}");
        Self(path.into())
    }

    pub(crate) fn root(&self) -> Root {
        Root::open(&self.0).unwrap()
    }

    /// Where the path within the scratch root really is.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.0
    }

    pub(crate) fn dir(&self, path: &str, mode: u32) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self.chmod(path, mode)
    }

    /// Writes a file and the directories above it (0755).
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
        self.chmod(path, mode)
    }

    pub(crate) fn link(&self, path: &str, target: &str, uid: u32) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
        std::os::unix::fs::lchown(self.at(path), Some(uid), Some(uid)).unwrap();
        self
    }

    pub(crate) fn fifo(&self, path: &str) -> &Self {
        nix::unistd::mkfifo(&self.at(path), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        self
    }

    pub(crate) fn socket(&self, path: &str, mode: u32) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(self.at(path)).unwrap());
        self.chmod(path, mode)
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    pub(crate) fn chown(&self, path: &str, uid: u32, gid: u32) -> &Self {
        chown(self.at(path), Some(uid), Some(gid)).unwrap();
        self
    }

    pub(crate) fn set_xattr(&self, path: &str, name: &str, value: &[u8]) -> &Self {
        let (path, name) = (c_string(&self.at(path)), std::ffi::CString::new(name).unwrap());
        // SAFETY: both strings end with NUL, and `value` has as many bytes as is said.
        let outcome = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        assert_eq!(outcome, 0, "setxattr: {}", std::io::Error::last_os_error());
        self
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    /// `mode uid gid`, as in `0640 0 999`.
    pub(crate) fn modes(&self, path: &str) -> String {
        let meta = fs::symlink_metadata(self.at(path)).unwrap();
        format!("{:04o} {} {}", meta.mode() & 0o7777, meta.uid(), meta.gid())
    }

    /// The names in a directory, sorted.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn c_string(path: &Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// `u::rw-,u:1000:rw-,g::r--,m::rw-,o::---` as the kernel stores it.
pub(crate) fn acl_for_user_1000() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(0x01, 6, u32::MAX), (0x02, 6, 1000), (0x04, 4, u32::MAX), (0x10, 6, u32::MAX), (0x20, 0, u32::MAX)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(bits.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

/// Does something while another thread swaps two names as fast as it can; the names are as before at the end.
pub(crate) fn while_swapping(one: &Path, other: &Path, mut action: impl FnMut()) {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    use std::sync::atomic::AtomicBool;
    let stop = AtomicBool::new(false);
    let swap = || renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                swap();
                swap();
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut action));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Runs one test of this binary under strace, which must succeed, and gives the calls that it traced.
pub(crate) fn strace(test: &str, options: &[&str]) -> String {
    let (trace, output) = strace_any(test, options);
    assert!(output.status.success(), "{}\n{trace}", String::from_utf8_lossy(&output.stdout));
    trace
}

/// The same, whether it succeeds or not.
pub(crate) fn strace_any(test: &str, options: &[&str]) -> (String, std::process::Output) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let log = std::env::temp_dir().join(format!("harden-strace-{}-{number}", std::process::id()));
    let mut command = std::process::Command::new("strace");
    command.args(["-f", "-qq", "-s", "256", "-o"]).arg(&log).args(options).arg(std::env::current_exe().unwrap());
    command.env("HARDEN_TEST_TRACED", "1");
    command.args(["--exact", test, "--include-ignored", "--test-threads=1"]);
    let output = command.output().expect("strace is needed: apt-get install strace");
    let trace = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    (trace, output)
}

/// Whether this is a test that another runs under strace.
pub(crate) fn is_traced() -> bool {
    std::env::var_os("HARDEN_TEST_TRACED").is_some()
}

/// Leaves a call in a trace that tells where the test is.
pub(crate) fn mark(name: &str) {
    let _ = fs::metadata(format!("/mark-{name}"));
}

/// The calls between two marks, by name.
pub(crate) fn traced_calls(trace: &str, from: &str, to: &str) -> Vec<String> {
    let lines = trace.lines().skip_while(|line| !line.contains(&format!("/mark-{from}"))).skip(1);
    let lines = lines.take_while(|line| !line.contains(&format!("/mark-{to}")));
    let name = |line: &str| line.split_once(' ')?.1.trim_start().split_once('(').map(|(name, _)| name.to_owned());
    // Allocation, and the check before `close` that only debug builds do.
    let noise = ["brk", "mmap", "munmap", "madvise", "fcntl"];
    lines.filter_map(name).filter(|name| !noise.contains(&name.as_str())).collect()
}
