//! Trees for the real binary to work on, and what it did to them.
#![allow(dead_code)] // Each test file uses its own part.

pub mod engine;
pub mod json;
pub mod sides;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// Where transactions lie, beneath the root.
pub const STATE_DIR: &str = "/var/lib/harden";
/// The built-in baselines.
pub const BASELINES: [&str; 4] = ["essential", "cis-l1", "cis-l2", "guide"];

/// A root directory for one test, removed at its end.
pub struct Tree(PathBuf);

impl Tree {
    pub fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests change owners: run them as root");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("hl-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    /// A host with Docker and auditd, in the state that packages leave.
    pub fn host() -> Self {
        let tree = Self::empty();
        for dir in ["/etc/docker", "/etc/audit/rules.d", "/etc/systemd/system", "/usr/bin", "/usr/sbin", "/run", "/var/lib"] {
            tree.dir(dir, 0o755);
        }
        tree.file("/etc/hostname", "tree\n", 0o644)
            .file("/etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644)
            .file("/etc/group", "root:x:0:\ndocker:x:999:\n", 0o644)
            .file("/etc/docker/daemon.json", "{\n  \"data-root\": \"/var/lib/docker\"\n}\n", 0o644)
            .file("/etc/default/docker", "DOCKER_OPTS=\n", 0o644)
            .file("/usr/lib/systemd/system/docker.service", "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n", 0o644)
            .file(
                "/usr/lib/systemd/system/docker.socket",
                "[Socket]\nListenStream=/run/docker.sock\nSocketMode=0660\nSocketUser=root\nSocketGroup=docker\n",
                0o644,
            );
        for program in ["/usr/bin/dockerd", "/usr/bin/docker", "/usr/bin/containerd", "/usr/bin/runc", "/usr/sbin/auditctl"] {
            tree.file(program, "", 0o755);
        }
        tree
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a path within the root really is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    pub fn dir(&self, path: &str, mode: u32) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self.chmod(path, mode)
    }

    pub fn file(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
        self.chmod(path, mode)
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
        self
    }

    pub fn fifo(&self, path: &str) -> &Self {
        nix::unistd::mkfifo(&self.at(path), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
        self
    }

    pub fn socket(&self, path: &str, mode: u32) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(self.at(path)).unwrap());
        self.chmod(path, mode)
    }

    pub fn chmod(&self, path: &str, mode: u32) -> &Self {
        fs::set_permissions(self.at(path), Permissions::from_mode(mode)).unwrap();
        self
    }

    pub fn chown(&self, path: &str, uid: u32, gid: u32) -> &Self {
        // Changing the owner clears setuid bits, which are part of the case.
        let mode = fs::symlink_metadata(self.at(path)).unwrap().mode();
        std::os::unix::fs::lchown(self.at(path), Some(uid), Some(gid)).unwrap();
        if mode & libc::S_IFMT != libc::S_IFLNK {
            self.chmod(path, mode & 0o7777);
        }
        self
    }

    /// Removes whatever is there.
    pub fn remove(&self, path: &str) -> &Self {
        let path = self.at(path);
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).unwrap(),
            Ok(_) => fs::remove_file(path).unwrap(),
            Err(_) => {}
        }
        self
    }

    pub fn exists(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.at(path)).unwrap()
    }

    pub fn text(&self, path: &str) -> String {
        String::from_utf8(self.read(path)).unwrap()
    }

    pub fn set_xattr(&self, path: &str, name: &str, value: &[u8]) -> &Self {
        let (path, name) = (c_string(&self.at(path)), CString::new(name).unwrap());
        // SAFETY: both strings end with NUL, and `value` has as many bytes as is said.
        let outcome = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        assert_eq!(outcome, 0, "setxattr: {}", std::io::Error::last_os_error());
        self
    }

    /// Runs `harden … --root TREE`.
    pub fn harden(&self, args: &[&str]) -> Ran {
        harden(&[args, &["--root", self.0.to_str().unwrap()]].concat())
    }

    /// The same with `--format json`; its document fits the schema.
    pub fn json(&self, args: &[&str]) -> (Ran, Value) {
        let ran = self.harden(&[args, &["--format", "json"]].concat());
        let document = ran.document();
        (ran, document)
    }

    /// Everything that is there, apart from the state directory.
    pub fn snapshot(&self) -> Snapshot {
        let mut entries = BTreeMap::new();
        collect(&self.0, &self.0, &mut entries);
        Snapshot(entries)
    }

    /// What transactions left, by path.
    pub fn state_files(&self) -> BTreeMap<String, Entry> {
        let mut entries = BTreeMap::new();
        if self.exists(STATE_DIR) {
            walk(&self.0, &self.at(STATE_DIR), &mut entries, &|_| true);
        }
        entries
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One run of the binary.
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    command: String,
}

impl Ran {
    pub fn of(output: Output, command: String) -> Self {
        let code = output.status.code().unwrap_or_else(|| panic!("{command}: ended by {}", output.status));
        let ran = Self { code, out: output.stdout, err: output.stderr, command };
        assert!(!ran.stderr().contains("panicked at"), "{ran}");
        ran
    }

    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.err).into_owned()
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Stdout as exactly one JSON document that fits the schema of reports.
    #[track_caller]
    pub fn document(&self) -> Value {
        let mut documents = serde_json::Deserializer::from_slice(&self.out).into_iter::<Value>();
        let document =
            documents.next().unwrap_or_else(|| panic!("no document: {self}")).unwrap_or_else(|e| panic!("{e}: {self}"));
        assert!(documents.next().is_none(), "more than one document: {self}");
        fits_schema(&document, self);
        document
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |text: &str| text.chars().take(6_000).collect::<String>();
        let out = serde_json::from_slice(&self.out).map_or_else(|_| self.stdout(), |report| brief(&report));
        write!(f, "{}\nexit {}\nstdout:\n{}\nstderr:\n{}", self.command, self.code, cut(&out), cut(&self.stderr()))
    }
}

/// A report for people who read a failure: what is not as it should be, and what would be or was done.
pub fn brief(report: &Value) -> String {
    let mut text = format!("{} {}\n", report["summary"], report["msg"]);
    for finding in report["findings"].as_array().into_iter().flatten() {
        if finding["status"] == "drift" || finding["status"] == "unknown" {
            let _ = writeln!(
                text,
                "{} {} ({}): {}, wanted {}; {}",
                finding["status"],
                finding["control"],
                finding["target"],
                finding["observed"],
                finding["desired"],
                finding["fix"]
            );
        }
    }
    for change in report["changes"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "{} {} {}: {}", change["id"], change["kind"], change["target"], change["summary"]);
    }
    text
}

/// The binary, without the environment of whoever runs the tests.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harden"));
    command.args(args).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command
}

pub fn harden(args: &[&str]) -> Ran {
    run(command(args))
}

pub fn run(mut command: Command) -> Ran {
    let words: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy().into_owned()).collect();
    Ran::of(command.output().unwrap(), format!("harden {}", words.join(" ")))
}

#[track_caller]
pub fn fits_schema(document: &Value, context: &dyn std::fmt::Display) {
    use std::sync::OnceLock;
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    let schema = SCHEMA.get_or_init(|| {
        let schema = serde_json::from_str(include_str!("../../schema/report-1.schema.json")).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    });
    let errors: Vec<_> = schema.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}\n{context}");
}

/// One file system object.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// File type and permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime_ns: i128,
    pub content: Vec<u8>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Entry {
    pub fn is_link(&self) -> bool {
        self.mode & libc::S_IFMT == libc::S_IFLNK
    }

    pub fn without_time(&self) -> Self {
        Self { mtime_ns: 0, ..self.clone() }
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06o} {}:{} {}", self.mode, self.uid, self.gid, self.mtime_ns)?;
        if !self.xattrs.is_empty() {
            write!(f, " {:?}", self.xattrs.keys().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>())?;
        }
        write!(f, " \"{}\"", self.content.escape_ascii())
    }
}

/// A tree as it was at one time.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot(pub BTreeMap<String, Entry>);

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (path, entry) in &self.0 {
            writeln!(f, "{path}  {entry:?}")?;
        }
        Ok(())
    }
}

impl Snapshot {
    /// Every path that is not the same, with both sides; nothing when all is.
    pub fn difference(&self, other: &Snapshot) -> BTreeMap<String, String> {
        let paths: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let mut found = BTreeMap::new();
        for path in paths {
            let (before, after) = (self.0.get(path), other.0.get(path));
            if before != after {
                let mut text = String::new();
                let _ = write!(text, "\n  before {before:?}\n  after  {after:?}");
                found.insert(path.clone(), text);
            }
        }
        found
    }

    /// The same without the times of these paths.
    pub fn timeless(&self, paths: &BTreeSet<String>) -> Snapshot {
        let entries = self.0.iter().map(|(path, entry)| match paths.contains(path) {
            true => (path.clone(), entry.without_time()),
            false => (path.clone(), entry.clone()),
        });
        Snapshot(entries.collect())
    }
}

/// The directory that holds a path within a root.
pub fn parent(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".into(),
        Some((dir, _)) => dir.into(),
    }
}

fn collect(root: &Path, dir: &Path, entries: &mut BTreeMap<String, Entry>) {
    walk(root, dir, entries, &|path| !path.starts_with(STATE_DIR));
}

fn walk(root: &Path, path: &Path, entries: &mut BTreeMap<String, Entry>, wanted: &dyn Fn(&str) -> bool) {
    let beneath = path.strip_prefix(root).unwrap();
    let name = format!("/{}", beneath.as_os_str().as_bytes().escape_ascii());
    if !wanted(&name) {
        return;
    }
    let meta = fs::symlink_metadata(path).unwrap();
    let content = match meta.mode() & libc::S_IFMT {
        libc::S_IFREG => fs::read(path).unwrap(),
        libc::S_IFLNK => fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec(),
        _ => Vec::new(),
    };
    let entry = Entry {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        content,
        xattrs: xattrs(path),
    };
    entries.insert(name, entry);
    if meta.is_dir() {
        for child in fs::read_dir(path).unwrap() {
            walk(root, &child.unwrap().path(), entries, wanted);
        }
    }
}

fn xattrs(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let path = c_string(path);
    let mut names = vec![0u8; 4096];
    // SAFETY: the path ends with NUL, and the kernel writes at most as many bytes as the buffer has.
    let length = unsafe { libc::llistxattr(path.as_ptr(), names.as_mut_ptr().cast(), names.len()) };
    let names = &names[..usize::try_from(length).unwrap_or(0)];
    let mut found = BTreeMap::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 4096];
        let c_name = CString::new(name).unwrap();
        // SAFETY: as above.
        let length = unsafe { libc::lgetxattr(path.as_ptr(), c_name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        value.truncate(usize::try_from(length).unwrap_or(0));
        found.insert(name.to_vec(), value);
    }
    found
}

/// Makes something immutable, or ordinary again.
pub fn set_immutable(path: &Path, on: bool) {
    const GET_FLAGS: libc::c_ulong = 0x8008_6601;
    const SET_FLAGS: libc::c_ulong = 0x4008_6602;
    const IMMUTABLE: libc::c_int = 0x10;
    use std::os::fd::AsRawFd;
    let file = fs::File::open(path).unwrap();
    let mut flags: libc::c_int = 0;
    // SAFETY: both calls take a pointer to an int, which lives as long.
    unsafe {
        assert_eq!(libc::ioctl(file.as_raw_fd(), GET_FLAGS as _, &raw mut flags), 0, "{}", std::io::Error::last_os_error());
        flags = if on { flags | IMMUTABLE } else { flags & !IMMUTABLE };
        assert_eq!(libc::ioctl(file.as_raw_fd(), SET_FLAGS as _, &raw const flags), 0, "{}", std::io::Error::last_os_error());
    }
}

/// `u::rw-,u:1000:rw-,g::r--,m::rw-,o::---` as the kernel stores it.
pub fn acl_for_user_1000() -> Vec<u8> {
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

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

/// A name of any bytes.
pub fn os(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}
