//! An image tree on which every control of the catalogue holds.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use harden::file_state::FileState;
use harden::host::fs::Root;

/// Where dockerd's configuration lies.
pub const CONFIG: &str = "/etc/docker/daemon.json";
/// The rules that somebody else than harden wrote.
pub const RULES: &str = "/etc/audit/rules.d/docker.rules";
/// The group `docker` of the tree.
pub const DOCKER_GID: u32 = 997;
/// The user and the group `app` of the tree.
pub const APP: u32 = 1000;
/// Where harden keeps its records.
pub const STATE_DIR: &str = "/var/lib/harden";

const DAEMON_JSON: &str = r#"{
    "icc": false,
    "log-level": "info",
    "live-restore": true,
    "no-new-privileges": true,
    "userland-proxy": false,
    "selinux-enabled": true,
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "tlsverify": true,
    "tlscacert": "/etc/docker/tls/ca.pem",
    "tlscert": "/etc/docker/tls/server-cert.pem",
    "tlskey": "/etc/docker/tls/server-key.pem"
}
"#;

const DOCKER_SERVICE: &str = "\
[Unit]
Description=Docker Application Container Engine
Requires=docker.socket

[Service]
Type=notify
EnvironmentFile=-/etc/default/docker
ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS
ExecReload=/bin/kill -s HUP $MAINPID
";

const DOCKER_SOCKET: &str = "\
[Unit]
Description=Docker Socket for the API

[Socket]
ListenStream=/run/docker.sock
SocketMode=0660
SocketUser=root
SocketGroup=docker
";

const CONTAINERD_SERVICE: &str = "[Service]\nExecStart=/usr/bin/containerd\n";

const AUDIT_RULES: &str = "\
-w /usr/bin/dockerd -p wxa -k docker
-w /usr/bin/docker -p wxa -k docker
-w /usr/bin/containerd -p wxa -k docker
-w /usr/bin/containerd-shim -p wxa -k docker
-w /usr/bin/containerd-shim-runc-v1 -p wxa -k docker
-w /usr/bin/containerd-shim-runc-v2 -p wxa -k docker
-w /usr/bin/runc -p wxa -k docker
-w /var/lib/docker -p wa -k docker
-w /etc/docker -p wa -k docker
-w /usr/lib/systemd/system/docker.service -p wa -k docker
-w /etc/systemd/system/docker.service.d/proxy.conf -p wa -k docker
-w /usr/lib/systemd/system/docker.socket -p wa -k docker
-w /etc/default/docker -p wa -k docker
-w /etc/sysconfig/docker -p wa -k docker
-w /etc/containerd/config.toml -p wa -k docker
";

/// A context of docker's, by which root administers another host.
pub const CONTEXT: &str = "/root/.docker/contexts/meta/6b2f/meta.json";

/// The kernel parameters that somebody else than harden set.
pub const SYSCTL: &str = "/etc/sysctl.d/50-site.conf";

const SYSCTL_CONF: &str = "\
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.all.secure_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv4.conf.default.secure_redirects = 0
net.ipv4.conf.default.send_redirects = 0
net.ipv4.conf.default.accept_source_route = 0
net.ipv6.conf.default.accept_redirects = 0
kernel.kptr_restrict = 2
kernel.dmesg_restrict = 1
kernel.yama.ptrace_scope = 1
kernel.unprivileged_bpf_disabled = 1
net.core.bpf_jit_harden = 2
kernel.kexec_load_disabled = 1
fs.protected_hardlinks = 1
fs.protected_symlinks = 1
fs.protected_fifos = 2
fs.protected_regular = 2
";

const SSHD_CONFIG: &str = "\
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowUsers ops@10.1.0.0/16
";

const AUDITD_CONF: &str = "\
log_file = /var/log/audit/audit.log
max_log_file = 16
num_logs = 5
max_log_file_action = ROTATE
space_left_action = SYSLOG
";

/// Regular files: path, mode, content.
const FILES: [(&str, u32, &str); 37] = [
    ("/etc/hostname", 0o644, "tree\n"),
    ("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"),
    ("/etc/group", 0o644, "root:x:0:\ndocker:x:997:app\napp:x:1000:\n"),
    ("/etc/selinux/config", 0o644, "# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n"),
    ("/usr/bin/dockerd", 0o755, ""),
    ("/usr/bin/docker", 0o755, ""),
    ("/usr/bin/containerd", 0o755, ""),
    ("/usr/bin/containerd-shim", 0o755, ""),
    ("/usr/bin/containerd-shim-runc-v1", 0o755, ""),
    ("/usr/bin/containerd-shim-runc-v2", 0o755, ""),
    ("/usr/bin/runc", 0o755, ""),
    ("/usr/sbin/auditctl", 0o755, ""),
    ("/usr/lib/systemd/system/docker.service", 0o644, DOCKER_SERVICE),
    ("/usr/lib/systemd/system/docker.socket", 0o644, DOCKER_SOCKET),
    ("/usr/lib/systemd/system/containerd.service", 0o644, CONTAINERD_SERVICE),
    (
        "/etc/systemd/system/docker.service.d/proxy.conf",
        0o644,
        "[Service]\nEnvironment=HTTPS_PROXY=http://proxy.example:3128\n",
    ),
    ("/etc/default/docker", 0o644, "DOCKER_OPTS=\"\"\n"),
    ("/etc/sysconfig/docker", 0o644, "OPTIONS=\"\"\n"),
    ("/etc/containerd/config.toml", 0o644, "version = 2\n\n[grpc]\n  uid = 0\n  gid = 0\n"),
    ("/etc/docker/certs.d/registry.example:5000/ca.crt", 0o400, include_str!("../data/engine/swarm-root.pem")),
    ("/etc/docker/certs.d/registry.example:5000/client.cert", 0o400, "certificate\n"),
    ("/etc/docker/certs.d/registry.example:5000/client.key", 0o400, "key\n"),
    ("/etc/docker/tls/ca.pem", 0o444, "ca\n"),
    ("/etc/docker/tls/server-cert.pem", 0o444, "certificate\n"),
    ("/etc/docker/tls/server-key.pem", 0o400, "key\n"),
    (CONFIG, 0o644, DAEMON_JSON),
    (RULES, 0o640, AUDIT_RULES),
    ("/etc/audit/rules.d/audit.rules", 0o640, "-D\n-b 8192\n-f 1\n"),
    ("/var/lib/docker/engine-id", 0o600, "x\n"),
    ("/etc/shadow", 0o640, "root:$6$salt$hash:19000:0:99999:7:::\napp:!:19000:0:99999:7:::\n"),
    ("/etc/gshadow", 0o640, "root:*::\ndocker:!::app\napp:!::\n"),
    ("/etc/nsswitch.conf", 0o644, "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\n"),
    (SYSCTL, 0o644, SYSCTL_CONF),
    ("/etc/profile", 0o644, "# /etc/profile\nreadonly TMOUT=600\nexport TMOUT\n"),
    ("/etc/ssh/sshd_config", 0o600, SSHD_CONFIG),
    ("/etc/audit/auditd.conf", 0o640, AUDITD_CONF),
    (CONTEXT, 0o600, r#"{"Name":"build","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://ops@build.example"}}}"#),
];

/// A folder that is removed at the end.
pub struct Tree(PathBuf);

impl Tree {
    /// The compliant tree.
    pub fn green() -> Tree {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        assert!(nix::unistd::geteuid().is_root(), "these tests change owners: run ./test as root");
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("harden-controls-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a folder for the tree");
        let tree = Tree(path);
        tree.chmod("/", 0o755);
        for (path, mode, content) in FILES {
            tree.write(path, content);
            tree.chmod(path, mode);
        }
        tree.chmod("/etc/docker", 0o750);
        tree.socket("/run/docker.sock", DOCKER_GID);
        tree.socket("/run/containerd/containerd.sock", 0);
        fs::create_dir_all(tree.at("/var")).expect("/var");
        std::os::unix::fs::symlink("/run", tree.at("/var/run")).expect("/var/run");
        tree
    }

    /// The tree's folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a path of the tree really is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// Creates or overwrites a file, 0644, and the directories above it.
    pub fn write(&self, path: &str, content: &str) {
        let place = self.at(path);
        fs::create_dir_all(place.parent().expect("a directory above")).expect("directories");
        fs::write(&place, content).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// A file's text.
    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Replaces what must be there exactly once.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert_eq!(text.matches(from).count(), 1, "`{from}` in {path}:\n{text}");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// Adds a line `"key": value` at the top of daemon.json.
    pub fn key(&self, line: &str) {
        self.edit(CONFIG, "{\n", &format!("{{\n    {line},\n"));
    }

    /// Takes out the line that holds a text.
    pub fn drop_line(&self, path: &str, part: &str) {
        let text = self.text(path);
        let kept: String = text.split_inclusive('\n').filter(|line| !line.contains(part)).collect();
        assert_eq!(text.lines().count(), kept.lines().count() + 1, "`{part}` in {path}:\n{text}");
        self.write(path, &kept);
    }

    /// Gives dockerd another flag, as Debian's packages do.
    pub fn flag(&self, flag: &str) {
        self.write("/etc/default/docker", &format!("DOCKER_OPTS=\"{flag}\"\n"));
    }

    pub fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    pub fn chown(&self, path: &str, uid: u32, gid: u32) {
        chown(self.at(path), Some(uid), Some(gid)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Removes a file, or a directory with all in it.
    pub fn remove(&self, path: &str) {
        let place = self.at(path);
        let removed = if place.is_dir() { fs::remove_dir_all(&place) } else { fs::remove_file(&place) };
        removed.unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Takes Docker off the host.
    pub fn remove_docker(&self) {
        for path in ["/usr/bin/dockerd", "/usr/lib/systemd/system/docker.service", "/etc/docker"] {
            self.remove(path);
        }
    }

    /// Takes auditd off the host.
    pub fn remove_audit(&self) {
        self.remove("/usr/sbin/auditctl");
        self.remove("/etc/audit");
    }

    /// Lets a user do more with a file than its mode says, as `setfacl -m u:UID:BITS` does.
    pub fn grant(&self, path: &str, uid: u32, bits: u16) {
        let mode = fs::metadata(self.at(path)).expect("its mode").mode();
        let part = |shift: u32| u16::try_from(mode >> shift & 7).expect("three bits");
        let none = u32::MAX;
        let entries =
            [(1, part(6), none), (2, bits, uid), (4, part(3), none), (0x10, part(3) | bits, none), (0x20, part(0), none)];
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            value.extend(u16::to_le_bytes(tag));
            value.extend(bits.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        let place = std::ffi::CString::new(self.at(path).into_os_string().into_encoded_bytes()).expect("no NUL");
        // SAFETY: both names end with NUL, and `value` has as many bytes as is said.
        let outcome = unsafe {
            libc::setxattr(place.as_ptr(), c"system.posix_acl_access".as_ptr(), value.as_ptr().cast(), value.len(), 0)
        };
        assert_eq!(outcome, 0, "{path}: {}", std::io::Error::last_os_error());
    }

    /// A real socket, as left by a daemon that listens on it.
    pub fn socket(&self, path: &str, gid: u32) {
        let place = self.at(path);
        fs::create_dir_all(place.parent().expect("a directory above")).expect("directories");
        drop(UnixListener::bind(&place).unwrap_or_else(|error| panic!("{path}: {error}")));
        self.chmod(path, 0o660);
        self.chown(path, 0, gid);
    }

    /// Everything that is there outside harden's own records.
    pub fn snapshot(&self) -> Snapshot {
        let root = Root::open(&self.0).expect("the tree");
        let mut seen = Snapshot::new();
        let mut open = vec![String::from("/")];
        while let Some(path) = open.pop() {
            let place = self.at(&path);
            let meta = fs::symlink_metadata(&place).unwrap_or_else(|error| panic!("{path}: {error}"));
            let state = root.state(&path).expect("its state");
            seen.insert(path.clone(), Entry { mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(), state });
            if meta.is_dir() {
                let names = fs::read_dir(&place).expect("a listing").map(|entry| entry.expect("an entry").file_name());
                let below = names.map(|name| format!("{}/{}", path.trim_end_matches('/'), name.to_string_lossy()));
                open.extend(below.filter(|path| path != STATE_DIR));
            }
        }
        seen
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything in a tree, by path.
pub type Snapshot = BTreeMap<String, Entry>;

/// One thing in a tree: content, mode, owner, attributes, and when it was changed last.
#[derive(Debug, PartialEq)]
pub struct Entry {
    mtime_ns: i64,
    state: Option<FileState>,
}

/// What is not the same in two snapshots. Directories whose only change is that something in them was replaced do not count
/// where `times` is false.
pub fn differences(before: &Snapshot, after: &Snapshot, times: bool) -> Vec<String> {
    let mut paths: Vec<&String> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    let link_count_aside = |state: &Option<FileState>| state.clone().map(|state| FileState { nlink: 0, ..state });
    let same = |path: &String| match (before.get(path), after.get(path)) {
        (Some(before), Some(after)) if times => before == after,
        (Some(before), Some(after)) => link_count_aside(&before.state) == link_count_aside(&after.state),
        _ => false,
    };
    paths.into_iter().filter(|path| !same(path)).cloned().collect()
}
