//! The running dockerd: found without being fooled, and without starting it.
//!
//! A process is dockerd because of the program that the kernel says it runs, never because of its command line: an editor
//! with `dockerd` among its arguments is no daemon, and neither is a daemon of a container or of another root.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fact::{Fact, ProcessFact};
use crate::host::docker::Engine;

/// Where dockerd writes its process id unless told otherwise.
pub const PIDFILE: &str = "/run/docker.pid";

/// How long to wait for a connection to the daemon's socket; the kernel makes it without the daemon.
const CONNECT: Duration = Duration::from_secs(1);

/// The most that is read of one file in /proc, in bytes; command lines are the longest.
const MAX_READ: u64 = 4 << 20;

/// Programs that answer as an engine of their own, or hold its socket.
const ENGINES: [&str; 3] = ["podman", "com.docker.", "systemd"];

const NANOS: i64 = 1_000_000_000;

/// What is known of the daemon before it is looked for.
#[derive(Debug, Clone)]
pub struct Hints<'a> {
    /// The pid file of the daemon: [`PIDFILE`], or the one that its unit's flags name.
    pub pidfile: &'a Path,
    /// The client of its socket, when the one who listens there may be asked for; connects once.
    ///
    /// `None` when systemd listens (socket activation): a connection would start Docker.
    pub engine: Option<&'a Engine>,
}

/// Finds the dockerd of this host: the one that listens on the socket, else the one of the pid file, else the only one
/// that runs. `Absent` when none runs.
pub fn dockerd(hints: &Hints) -> Fact<ProcessFact> {
    Proc::new(Path::new("/proc")).dockerd(hints)
}

/// This process, if it is a dockerd of this host; `Absent` when it is anything else.
pub fn as_dockerd(pid: i32) -> Fact<ProcessFact> {
    match Proc::new(Path::new("/proc")).judge(pid) {
        Verdict::Dockerd(process) | Verdict::OfUser(process) => Fact::Known(process),
        Verdict::Foreign | Verdict::Other => Fact::Absent,
        Verdict::Hidden(why) => Fact::Unknown(why),
    }
}

/// The program of a process that serves an engine's socket without being one: a tunnel (`ssh -L /run/there.sock:…`) or a proxy, and
/// nobody knows to which machine. systemd holds sockets for those that it starts.
pub fn forwarder(pid: i32) -> Option<String> {
    let exe = Proc::new(Path::new("/proc")).link(&format!("{pid}/exe")).ok()?;
    let program = exe.file_name()?.to_str()?;
    (pid != 1 && !is_dockerd(program) && !ENGINES.iter().any(|name| program.starts_with(name))).then(|| program.to_owned())
}

/// Reads a process. `Absent` when there is none of that number.
pub fn read(pid: i32) -> Fact<ProcessFact> {
    match Proc::new(Path::new("/proc")).read(pid) {
        Ok(process) => Fact::Known(process),
        Err(error) if gone(&error.cause) => Fact::Absent,
        Err(error) => Fact::Unknown(error.text()),
    }
}

/// Where a process looks for programs: its `PATH`.
pub fn search_path(pid: i32) -> Fact<String> {
    match variables(pid, ["PATH"]) {
        Ok([path]) => path.map_or(Fact::Absent, Fact::Known),
        Err(why) => Fact::Unknown(why),
    }
}

/// These variables of a process, and nothing else of its environment, which may hold secrets.
///
/// # Errors
/// When the environment can't be read; with the reason.
pub fn variables<const N: usize>(pid: i32, names: [&str; N]) -> Result<[Option<String>; N], String> {
    let text = Proc::new(Path::new("/proc")).text(&format!("{pid}/environ")).map_err(|error| error.text())?;
    let value = |name| text.split('\0').find_map(|variable| Some(variable.strip_prefix(name)?.strip_prefix('=')?.to_owned()));
    Ok(names.map(value))
}

/// The user and the group that a process has the rights of.
///
/// # Errors
/// When it is gone, or can't be looked at; with the reason.
pub fn owner(pid: i32) -> Result<(u32, u32), String> {
    Proc::new(Path::new("/proc")).owner(pid).map_err(|error| error.text())
}

/// A mounted proc file system.
struct Proc {
    dir: PathBuf,
}

/// The systemd service that a process belongs to: the last part of its control group, in the hierarchy that systemd uses.
fn service_of(cgroup: &str) -> Option<String> {
    let path = |line: &str| {
        let (hierarchy, path) = line.split_once(':')?.1.split_once(':')?;
        matches!(hierarchy, "" | "name=systemd").then(|| path.to_owned())
    };
    let name = cgroup.lines().filter_map(path).find_map(|path| path.rsplit('/').next().map(str::to_owned));
    name.filter(|name| name.ends_with(".service"))
}

/// What a process turned out to be.
enum Verdict {
    /// The dockerd of this host, or another one of root's.
    Dockerd(ProcessFact),
    /// A dockerd of another user's: a rootless one.
    OfUser(ProcessFact),
    /// A dockerd of a container or another root file system.
    Foreign,
    /// Something else, or gone.
    Other,
    /// It may be dockerd, but may not be looked at; the text names the path.
    Hidden(String),
}

/// An error with the file that it happened on.
struct ReadError {
    path: PathBuf,
    cause: io::Error,
}

impl ReadError {
    fn text(&self) -> String {
        let denied = self.cause.kind() == ErrorKind::PermissionDenied;
        format!("{}: {}{}", self.path.display(), self.cause, if denied { "; run as root" } else { "" })
    }
}

impl Proc {
    fn new(dir: &Path) -> Proc {
        Proc { dir: dir.to_owned() }
    }

    fn dockerd(&self, hints: &Hints) -> Fact<ProcessFact> {
        let mut hidden = None;
        // The socket goes first: what the API says and what the process says must be of one daemon.
        if let Some(Fact::Known(peer)) = hints.engine.map(|engine| engine.peer_pid(CONNECT)) {
            let Some(pid) = peer else {
                return Fact::Unknown(
                    "the daemon's socket is served from another pid namespace: run harden where dockerd runs".into(),
                );
            };
            match self.judge(pid) {
                // Who asks at its socket asks for it.
                Verdict::Dockerd(process) | Verdict::OfUser(process) => return Fact::Known(process),
                Verdict::Foreign => {
                    let why = "of a container or of another root file system";
                    return Fact::Unknown(format!(
                        "the daemon's socket is served by a dockerd {why} (pid {pid}): run harden there"
                    ));
                }
                Verdict::Hidden(why) => hidden = Some(why),
                Verdict::Other => {}
            }
        }
        match pid_in(hints.pidfile).map(|pid| self.judge(pid)) {
            Some(Verdict::Dockerd(process)) => return Fact::Known(process),
            Some(Verdict::Hidden(why)) => hidden = Some(why),
            Some(Verdict::OfUser(_) | Verdict::Foreign | Verdict::Other) | None => {}
        }
        match hidden {
            Some(why) => Fact::Unknown(why),
            None => self.scan(hints.pidfile),
        }
    }

    /// The only dockerd among all processes.
    fn scan(&self, pidfile: &Path) -> Fact<ProcessFact> {
        // With `hidepid`, other users' processes are missing, which is not the same as not running.
        let init = self.dir.join("1/comm");
        if let Err(error) = File::open(&init) {
            return Fact::Unknown(format!("{}: {error}; other users' processes are hidden: run as root", init.display()));
        }
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) => return Fact::Unknown(format!("{}: {error}", self.dir.display())),
        };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let mut found = Vec::new();
        let mut hidden = None;
        for pid in pids.filter(|pid| self.is_named_dockerd(*pid)) {
            match self.judge(pid) {
                Verdict::Dockerd(process) => found.push(process),
                Verdict::Hidden(why) => hidden = Some(why),
                // Any user may name a program `dockerd` and give it flags that look hardened.
                Verdict::OfUser(_) | Verdict::Foreign | Verdict::Other => {}
            }
        }
        found.sort_by_key(|process| process.pid);
        match (found.as_slice(), hidden) {
            ([process], None) => Fact::Known(process.clone()),
            ([], None) => Fact::Absent,
            (_, Some(why)) => Fact::Unknown(why),
            (several, None) => {
                let pids: Vec<String> = several.iter().map(|process| process.pid.to_string()).collect();
                let pidfile = pidfile.display();
                Fact::Unknown(format!("several dockerd run (pids {}) and {pidfile} names none of them", pids.join(", ")))
            }
        }
    }

    fn judge(&self, pid: i32) -> Verdict {
        let verdict = self.read(pid).and_then(|process| {
            if !is_dockerd(&process.exe) {
                return Ok(Verdict::Other);
            }
            let of_this_host = self.shares_pid_namespace(pid)? && self.shares_root(pid, &process.exe)?;
            let (uid, _) = self.owner(pid)?;
            Ok(match of_this_host {
                true if uid == 0 || uid == nix::unistd::geteuid().as_raw() => Verdict::Dockerd(process),
                true => Verdict::OfUser(process),
                false => Verdict::Foreign,
            })
        });
        match verdict {
            Ok(verdict) => verdict,
            Err(error) if gone(&error.cause) => Verdict::Other,
            // Of a process whose program can't be seen, the name decides whether it matters.
            Err(error) if self.is_named_dockerd(pid) => Verdict::Hidden(error.text()),
            Err(_) => Verdict::Other,
        }
    }

    fn read(&self, pid: i32) -> Result<ProcessFact, ReadError> {
        let exe = self.link(&format!("{pid}/exe"))?.to_string_lossy().into_owned();
        // So the kernel marks a program that an upgrade has replaced meanwhile.
        let exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe).to_string();
        let command_line = self.text(&format!("{pid}/cmdline"))?;
        let command_line = command_line.strip_suffix('\0').unwrap_or(&command_line);
        let argv = if command_line.is_empty() { Vec::new() } else { command_line.split('\0').map(String::from).collect() };
        let name = format!("{pid}/stat");
        let ticks = start_ticks(&self.text(&name)?).ok_or_else(|| self.malformed(&name))?;
        // The end of the tick: a file written a moment before is older. A program takes longer than a tick to read its files.
        let since_boot =
            i64::try_from(i128::from(ticks + 1) * i128::from(NANOS) / i128::from(ticks_per_second())).unwrap_or(i64::MAX);
        let service = self.text(&format!("{pid}/cgroup")).ok().and_then(|text| service_of(&text));
        Ok(ProcessFact { pid, exe, argv, started_ns: boot_time_ns().saturating_add(since_boot), service })
    }

    fn is_named_dockerd(&self, pid: i32) -> bool {
        self.text(&format!("{pid}/comm")).is_ok_and(|name| is_dockerd(name.trim_end()))
    }

    fn shares_pid_namespace(&self, pid: i32) -> Result<bool, ReadError> {
        Ok(self.link(&format!("{pid}/ns/pid"))? == self.link("self/ns/pid")?)
    }

    fn owner(&self, pid: i32) -> Result<(u32, u32), ReadError> {
        let name = format!("{pid}/status");
        let text = self.text(&name)?;
        effective(&text, "Uid:").zip(effective(&text, "Gid:")).ok_or_else(|| self.malformed(&name))
    }

    /// A snap has a root of its own, so its service is told by program and control group.
    fn shares_root(&self, pid: i32, exe: &str) -> Result<bool, ReadError> {
        let theirs = self.dir.join(format!("{pid}/root/"));
        let theirs = fs::metadata(&theirs).map_err(|cause| ReadError { path: theirs, cause })?;
        let ours = fs::metadata("/").map_err(|cause| ReadError { path: "/".into(), cause })?;
        if (theirs.dev(), theirs.ino()) == (ours.dev(), ours.ino()) {
            return Ok(true);
        }
        let from_snap = ["/snap/docker/", "/var/lib/snapd/snap/docker/"].iter().any(|dir| exe.starts_with(dir));
        Ok(from_snap && self.text(&format!("{pid}/cgroup"))?.lines().any(|line| line.ends_with("/snap.docker.dockerd.service")))
    }

    fn link(&self, name: &str) -> Result<PathBuf, ReadError> {
        let path = self.dir.join(name);
        fs::read_link(&path).map_err(|cause| ReadError { path, cause })
    }

    fn text(&self, name: &str) -> Result<String, ReadError> {
        let path = self.dir.join(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_READ).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(cause) => Err(ReadError { path, cause }),
        }
    }

    fn malformed(&self, name: &str) -> ReadError {
        ReadError { path: self.dir.join(name), cause: io::Error::new(ErrorKind::InvalidData, "not in the expected form") }
    }
}

/// Whether a program of this path is the Docker daemon: `dockerd`, or a distribution's `dockerd-ce` and the like.
pub fn is_dockerd(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "dockerd" || name.starts_with("dockerd-")
}

/// The process ended while it was looked at, or never was.
fn gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn pid_in(pidfile: &Path) -> Option<i32> {
    let mut text = String::new();
    File::open(pidfile).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().filter(|pid| *pid > 0)
}

/// Field 22 of `/proc/PID/stat`. Field 2, the name in parentheses, may itself hold spaces and parentheses.
fn start_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// The second number of the line `Uid:` or `Gid:` of `/proc/PID/status`.
fn effective(status: &str, line: &str) -> Option<u32> {
    let ids = status.lines().find_map(|text| text.strip_prefix(line))?;
    ids.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// When this machine booted, nanoseconds since 1970, to a millisecond. `btime` of /proc/stat leaves out the part of a
/// second, which a daemon that was restarted right after its file was written would seem to have started before it.
fn boot_time_ns() -> i64 {
    const MILLISECOND: i64 = NANOS / 1000;
    let boot = clock_ns(libc::CLOCK_REALTIME) - clock_ns(libc::CLOCK_BOOTTIME);
    // Rounded, for the two clocks are not read at one instant and the result should be the same each time.
    (boot + MILLISECOND / 2).div_euclid(MILLISECOND) * MILLISECOND
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write. With a clock that exists it cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    let since_zero = Duration::new(time.tv_sec as u64, time.tv_nsec as u32);
    since_zero.as_nanos().try_into().unwrap_or(i64::MAX)
}

fn ticks_per_second() -> libc::c_long {
    // SAFETY: reads a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks } else { 100 }
}

#[cfg(test)]
mod tests;
