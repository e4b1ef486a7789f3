//! The lab: real daemons for tests, each with folders, socket and network namespace of its own.
//!
//! Nothing here skips. What a test needs and the machine lacks ends the test with the command that gets it.
#![allow(dead_code, reason = "each test file compiles its own copy and uses a part of it")]

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use harden::host::docker::{Endpoint, Engine};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

pub mod host;
pub mod run;

/// Flags for a daemon that needs no network: it starts faster, and without iptables.
pub const NO_NETWORK: [&str; 2] = ["--bridge=none", "--iptables=false"];

/// Where daemons are, which a root shell's `PATH` may leave out.
const SBIN: &str = "/usr/sbin:/sbin";
const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// Ends the test unless `program` is installed, and names the Debian package that has it.
pub fn require(program: &str, package: &str) {
    let found = path_with_sbin().split(':').any(|dir| Path::new(dir).join(program).is_file());
    assert!(found, "this test needs `{program}`: run ./test, or apt-get install -y --no-install-recommends {package}");
}

/// The search path with the directories of daemons.
pub fn path_with_sbin() -> String {
    format!("{}:{SBIN}", std::env::var("PATH").unwrap_or_default())
}

/// The machine, for one test at a time, and a folder that goes with it.
pub struct Lab {
    dir: PathBuf,
    data: PathBuf,
    _lock: File,
}

impl Lab {
    /// Waits until no other test has the machine. The test must be root's.
    pub fn new() -> Lab {
        assert!(geteuid().is_root(), "this test starts real daemons: run ./test as root");
        let lock = File::create(std::env::temp_dir().join("harden-lab.lock")).expect("the lab's lock file");
        lock.lock().expect("the lab's lock");
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("harden-lab-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).expect("the lab's folder");
        Lab { data: dir.join("data"), dir, _lock: lock }
    }

    /// The same, with daemons that keep their data where the next run finds it.
    pub fn with_data(data: &Path) -> Lab {
        let mut lab = Lab::new();
        lab.data = data.to_owned();
        lab
    }

    /// The lab's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The daemon.json of the lab's daemons.
    pub fn config(&self) -> PathBuf {
        self.dir.join("daemon.json")
    }

    /// A folder with every program of the search path but these, to stand for a host that has them not.
    pub fn path_without(&self, programs: &[&str]) -> String {
        let dir = self.dir.join("path");
        fs::create_dir_all(&dir).expect("a folder");
        for from in path_with_sbin().split(':') {
            for entry in fs::read_dir(from).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if !programs.iter().any(|program| name.to_string_lossy().starts_with(program)) {
                    // The first of a name is the one that counts.
                    let _ = std::os::unix::fs::symlink(entry.path(), dir.join(name));
                }
            }
        }
        dir.display().to_string()
    }

    /// A copy of the static busybox at `name` in the lab's folder, which runs whatever applet it is called as.
    pub fn busybox(&self, name: &str) -> PathBuf {
        require("busybox", "busybox-static");
        let path = self.dir.join(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("its folder");
        fs::copy("/bin/busybox", &path).expect("a copy of busybox");
        path
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        end_processes_of(&self.dir);
        unmount_below(&self.dir);
        unmount_below(&self.data);
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{} is left behind: {error}", self.dir.display());
        }
    }
}

/// A real dockerd; ends with this value.
pub struct Dockerd<'lab> {
    lab: &'lab Lab,
    child: Child,
}

impl<'lab> Dockerd<'lab> {
    /// Starts a daemon with this daemon.json and these further flags, and waits until it answers.
    pub fn start(lab: &'lab Lab, config: &str, flags: &[&str]) -> Dockerd<'lab> {
        fs::write(lab.config(), config).expect("daemon.json");
        Dockerd::start_as_is(lab, flags)
    }

    /// Starts a daemon with the daemon.json that is there, and waits until it answers.
    pub fn start_as_is(lab: &'lab Lab, flags: &[&str]) -> Dockerd<'lab> {
        Dockerd::start_with_path(lab, flags, &path_with_sbin())
    }

    /// The same, with this search path.
    pub fn start_with_path(lab: &'lab Lab, flags: &[&str], search_path: &str) -> Dockerd<'lab> {
        let mut daemon = Dockerd::spawn(lab, flags, search_path);
        let engine = daemon.engine();
        let deadline = Instant::now() + START;
        loop {
            let error = match engine.ping(Duration::from_secs(1)) {
                Ok(()) => return daemon,
                Err(error) => error,
            };
            if let Some(status) = daemon.exited() {
                panic!("dockerd ended with {status} instead of starting:\n{}", daemon.log_tail());
            }
            assert!(Instant::now() < deadline, "dockerd is not up after {START:?} ({error}):\n{}", daemon.log_tail());
            sleep(POLL);
        }
    }

    /// Starts a daemon that must not come up with this configuration, and returns what it says before it ends.
    pub fn refuses(lab: &'lab Lab, config: &str, flags: &[&str]) -> String {
        Dockerd::refuses_with_path(lab, config, flags, &path_with_sbin())
    }

    /// The same, with this search path.
    pub fn refuses_with_path(lab: &'lab Lab, config: &str, flags: &[&str], search_path: &str) -> String {
        fs::write(lab.config(), config).expect("daemon.json");
        let mut daemon = Dockerd::spawn(lab, flags, search_path);
        let engine = daemon.engine();
        let deadline = Instant::now() + START;
        loop {
            if let Some(status) = daemon.exited() {
                assert!(!status.success(), "dockerd ended with {status}");
                return daemon.log();
            }
            assert!(engine.ping(Duration::from_secs(1)).is_err(), "dockerd came up with {config}");
            assert!(Instant::now() < deadline, "dockerd neither ends nor comes up:\n{}", daemon.log_tail());
            sleep(POLL);
        }
    }

    /// The namespace keeps its bridge and its packet filter to itself; it ends with the test, however the test ends.
    fn spawn(lab: &'lab Lab, flags: &[&str], search_path: &str) -> Dockerd<'lab> {
        require("dockerd", "docker.io");
        require("iptables", "iptables");
        let log = File::create(lab.dir.join("log")).expect("the daemon's log");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "unshare", "--net", "dockerd", "--config-file"])
            .arg(lab.config())
            .arg("--data-root")
            .arg(&lab.data)
            .arg("--exec-root")
            .arg(lab.dir.join("exec"))
            .arg("--pidfile")
            .arg(lab.dir.join("pid"))
            .args(["--host", &format!("unix://{}", lab.dir.join("docker.sock").display())])
            .args(flags)
            .env("PATH", search_path)
            .current_dir(&lab.dir)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv of util-linux");
        Dockerd { lab, child }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a process id")
    }

    /// The file that holds its process id.
    pub fn pidfile(&self) -> PathBuf {
        self.lab.dir.join("pid")
    }

    /// Where it listens.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint::Unix(self.lab.dir.join("docker.sock"))
    }

    /// A client of it.
    pub fn engine(&self) -> Engine {
        Engine::new(self.endpoint(), Duration::from_secs(10))
    }

    /// Runs the `docker` client against it and returns what it prints; ends the test if it fails.
    pub fn docker(&self, arguments: &[&str]) -> String {
        require("docker", "docker.io");
        let output = Command::new("docker").arg("--host").arg(self.endpoint().to_string()).args(arguments).output();
        let output = output.expect("the docker client");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    }

    /// Runs a container that does nothing, from an image made here: no registry is asked. Returns its process id.
    pub fn run_container(&self, name: &str) -> i32 {
        self.import_image();
        self.docker(&["run", "--detach", "--network=none", "--name", name, "lab:1", "/bin/busybox", "sleep", "100000"]);
        self.container_pid(name)
    }

    /// What the engine says instead of running a container.
    pub fn container_error(&self) -> String {
        self.import_image();
        let mut command = Command::new("docker");
        command.arg("--host").arg(self.endpoint().to_string()).args(["run", "--network=none", "lab:1", "/bin/busybox", "true"]);
        let output = command.output().expect("the docker client");
        assert!(!output.status.success(), "a container runs");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn import_image(&self) {
        if self.docker(&["images", "--quiet", "lab:1"]).is_empty() {
            self.lab.busybox("image/bin/busybox");
            let archive = self.lab.dir.join("image.tar").display().to_string();
            let tar = Command::new("tar").args(["-cf", &archive, "-C"]).arg(self.lab.dir.join("image")).arg(".").status();
            assert!(tar.expect("tar").success(), "tar of the image");
            self.docker(&["import", &archive, "lab:1"]);
        }
    }

    /// The process id of a container; 0 when it does not run.
    pub fn container_pid(&self, name: &str) -> i32 {
        self.docker(&["inspect", "--format", "{{.State.Pid}}", name]).parse().expect("a process id")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.lab.dir.join("log")).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of dockerd")
    }
}

impl Drop for Dockerd<'_> {
    /// With live-restore its containers outlive it; the lab ends them with its folder.
    fn drop(&mut self) {
        let deadline = Instant::now() + STOP;
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        while self.exited().is_none() {
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            sleep(POLL);
        }
    }
}

/// Ends what a daemon of this folder left running: containerd, the containers' shims, and the containers.
fn end_processes_of(dir: &Path) {
    let deadline = Instant::now() + STOP;
    loop {
        let left = processes_of(dir);
        if left.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        sleep(POLL);
    }
}

/// The processes whose command line names the folder, and all that descend from them.
fn processes_of(dir: &Path) -> Vec<i32> {
    let name = dir.to_string_lossy();
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let all: Vec<(i32, i32, bool)> = entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
            let state = fields.next()?;
            let parent = fields.next()?.parse().ok()?;
            let command_line = fs::read(entry.path().join("cmdline")).ok()?;
            Some((pid, parent, state != "Z" && String::from_utf8_lossy(&command_line).contains(&*name)))
        })
        .collect();
    let mut found: Vec<i32> = all.iter().filter(|(_, _, named)| *named).map(|(pid, ..)| *pid).collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        let children = all.iter().filter(|(_, its_parent, _)| *its_parent == parent).map(|(pid, ..)| *pid);
        let new: Vec<i32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        next += 1;
    }
    found
}

fn unmount_below(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| Path::new(point).starts_with(dir));
    for point in points.collect::<Vec<_>>().into_iter().rev() {
        let _ = Command::new("umount").args(["--lazy", point]).status();
    }
}
