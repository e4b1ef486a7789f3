//! Whole Debian hosts with systemd, dockerd and docker.socket, each in a container of the lab's daemon.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::run::{BINARY, Run, path};
use super::{Dockerd, Lab, NO_NETWORK, path_with_sbin, require};

/// A release of Debian, and with it of Docker, systemd and auditd.
pub struct Suite {
    name: &'static str,
    /// The image of its hosts; another choice of packages is another number.
    image: &'static str,
    packages: &'static str,
}

/// Debian 12: Docker 20.10, systemd 252, audit 3.
pub const BOOKWORM: Suite = Suite {
    name: "bookworm",
    image: "debian-host:1",
    packages: "systemd,systemd-sysv,dbus,docker.io,auditd,iptables,procps,busybox-static",
};
/// Debian 13: Docker 26.1, systemd 257, audit 4.
pub const TRIXIE: Suite = Suite {
    name: "trixie",
    image: "debian-13-host:1",
    packages: "systemd,systemd-sysv,dbus,docker.io,docker-cli,auditd,iptables,procps,busybox-static",
};
/// How long one command on a host may take, in seconds.
const LIMIT: &str = "120";
const BOOT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// The capabilities that engine 20.10 knows, by number. The kernel's later ones it does not.
const CAPABILITIES: [&str; 38] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
];

/// A lab whose daemon keeps the image of the hosts from run to run.
pub fn lab() -> Lab {
    Lab::with_data(&cache().join("data"))
}

fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("debian-host")
}

/// The lab's daemon, with the image of Debian 12.
pub fn engine(lab: &Lab) -> Dockerd<'_> {
    engine_with(lab, &BOOKWORM)
}

/// The lab's daemon, with the image of a release.
pub fn engine_with<'lab>(lab: &'lab Lab, suite: &Suite) -> Dockerd<'lab> {
    fs::create_dir_all(cache()).expect("a folder beneath target/");
    let daemon = Dockerd::start(lab, "{}", &NO_NETWORK);
    // What an earlier run left when it was killed.
    for container in daemon.docker(&["ps", "--all", "--quiet"]).lines() {
        daemon.docker(&["rm", "--force", "--volumes", container]);
    }
    if daemon.docker(&["images", "--quiet", suite.image]).is_empty() {
        make_image(lab, &daemon, suite);
    }
    daemon
}

fn make_image(lab: &Lab, daemon: &Dockerd, suite: &Suite) {
    let Suite { name, image, packages } = suite;
    require("debootstrap", "debootstrap");
    let (root, archive) = (lab.dir().join("root"), lab.dir().join("root.tar"));
    let mut command = Command::new("timeout");
    command.args(["900", "debootstrap", "--variant=minbase", &format!("--include={packages}"), name]).arg(&root);
    let run = Run::of(command.env("PATH", path_with_sbin()));
    assert_eq!(run.code, 0, "debootstrap {name}, which needs a Debian mirror: {}\n{}", run.stdout, run.stderr);
    // So that a copy into the container is all that a host needs.
    let tar = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").status();
    assert!(tar.expect("tar").success(), "tar of the host");
    daemon.docker(&["import", &path(&archive), image]);
    fs::remove_file(archive).expect("the archive");
}

/// A host; gone with this value.
pub struct Host<'d> {
    daemon: &'d Dockerd<'d>,
    name: &'static str,
}

impl<'d> Host<'d> {
    /// Boots a host with harden in it, and waits until Docker runs there.
    pub fn boot(daemon: &'d Dockerd<'d>, name: &'static str) -> Host<'d> {
        Host::boot_of(daemon, &BOOKWORM, name)
    }

    /// The same of another release.
    pub fn boot_of(daemon: &'d Dockerd<'d>, suite: &Suite, name: &'static str) -> Host<'d> {
        let host = Host::start(daemon, suite, name, &["/sbin/init"]);
        host.wait_for("systemctl is-active docker.service");
        host
    }

    /// The same without systemd: Docker is started by its System V script. Process 1 is a shell that waits for whatever ends.
    pub fn boot_sysv(daemon: &'d Dockerd<'d>, name: &'static str) -> Host<'d> {
        let host = Host::start(daemon, &BOOKWORM, name, &["/bin/sh", "-c", "while sleep 1; do :; done"]);
        // The script would mount the control groups otherwise, which are there.
        host.write("/etc/fstab", "cgroup /sys/fs/cgroup cgroup defaults 0 0\n");
        // Raising limits takes CAP_SYS_RESOURCE, which not every machine has; the rest of the script is Debian's own.
        host.sh("sed -i 's/^\\([[:space:]]*\\)ulimit -.*/\\1:/' /etc/init.d/docker && service docker start");
        host.wait_for("docker info");
        host
    }

    fn start(daemon: &'d Dockerd<'d>, suite: &Suite, name: &'static str, init: &[&str]) -> Host<'d> {
        let bounding = bounding_set();
        let capabilities = CAPABILITIES.iter().enumerate().filter(|(bit, _)| bounding >> bit & 1 == 1);
        let capabilities: Vec<String> = capabilities.map(|(_, name)| format!("--cap-add={name}")).collect();
        let mut arguments = vec!["run", "--detach", "--name", name, "--hostname", name, "--network=none", "--cgroupns=host"];
        arguments.extend(capabilities.iter().map(String::as_str));
        for option in ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"] {
            arguments.extend(["--security-opt", option]);
        }
        arguments.extend(["--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run:exec", "--tmpfs", "/run/lock"]);
        arguments.extend(["--volume", "/var/lib/docker", "--env", "container=docker", suite.image]);
        daemon.docker(&[&arguments, init].concat());
        let host = Host { daemon, name };
        daemon.docker(&["cp", BINARY, &format!("{name}:/usr/local/bin/harden")]);
        host
    }

    /// Waits until a shell command succeeds on the host.
    pub fn wait_for(&self, command: &str) {
        let deadline = Instant::now() + BOOT;
        while self.run(&["sh", "-c", command]).code != 0 {
            assert!(Instant::now() < deadline, "`{command}` does not succeed on {} after {BOOT:?}", self.name);
            sleep(POLL);
        }
    }

    /// Runs a program on the host.
    pub fn run(&self, command: &[&str]) -> Run {
        let mut docker = Command::new("timeout");
        docker.args(["--kill-after=5", LIMIT, "docker", "--host", &self.daemon.endpoint().to_string(), "exec", self.name]);
        Run::of(docker.args(command))
    }

    /// Runs shell commands on the host, of which the last one must succeed, and returns what they print.
    pub fn sh(&self, script: &str) -> String {
        self.run(&["sh", "-c", script]).ends_with(0).trim_end().to_owned()
    }

    /// Writes a file on the host.
    pub fn write(&self, path: &str, content: &str) {
        let run = self.run(&["sh", "-c", "mkdir -p \"$(dirname \"$1\")\" && printf %s \"$2\" > \"$1\"", "sh", path, content]);
        run.ends_with(0);
    }

    /// Runs harden on the host, with a JSON report.
    pub fn harden(&self, arguments: &[&str]) -> Run {
        self.run(&[&["harden"], arguments, &["--format", "json"]].concat())
    }

    /// Starts two containers on the host.
    pub fn run_containers(&self) {
        self.sh(
            "mkdir -p /tmp/image/bin && cp /bin/busybox /tmp/image/bin && tar -C /tmp/image -c . | docker import - inner:1",
        );
        self.sh("for name in one two; do docker run -d --name $name inner:1 /bin/busybox sleep 100000 || exit 1; done");
    }

    /// The process ids of the two containers; 0 where one does not run.
    pub fn container_pids(&self) -> String {
        self.sh("docker inspect --format '{{.State.Pid}}' one two")
    }

    /// What a unit's state is: `active`, `inactive`, `failed`.
    pub fn state(&self, unit: &str) -> String {
        self.run(&["systemctl", "is-active", unit]).stdout.trim().to_owned()
    }
}

impl Drop for Host<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = self.run(&["journalctl", "--unit=docker.service", "--lines=200", "--no-pager", "--output=cat"]);
            let log = self.run(&["tail", "--lines=200", "/var/log/docker.log"]);
            let lines = journal.stdout.lines().chain(log.stdout.lines());
            let lines: Vec<&str> = lines.filter(|line| !line.contains("level=info")).collect();
            eprintln!("the log of dockerd on {}:\n{}", self.name, lines.join("\n"));
        }
        let mut docker = Command::new("docker");
        docker.args(["--host", &self.daemon.endpoint().to_string(), "rm", "--force", "--volumes", self.name]);
        let _ = docker.output();
    }
}

/// The capabilities that this process and its children may ever have, as bits.
fn bounding_set() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let set = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("CapBnd");
    u64::from_str_radix(set.trim(), 16).expect("a hexadecimal number")
}
