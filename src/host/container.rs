//! The kernel's truth about a running container, from /proc and its control group: what really confines its processes, whatever was
//! asked for when it was made.
//!
//! The engine names the first process by its number, which another process may have by the time it is looked at. So the control group
//! must name the container, before and after, and the process must have started when it had.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::fact::{CgroupFacts, Fact, KernelFacts, LimitFact, ProcessInContainer};

/// The most that is read of one file, in bytes. A container may have thousands of mounts.
const MAX_READ: u64 = 4 << 20;
/// Processes of one container that are looked at.
const MAX_PROCESSES: usize = 4096;
/// Control groups below a container's own, for containers that run systemd.
const MAX_GROUPS: usize = 1024;
/// What the kernel calls a memory limit that is none: anything that no machine has.
const NO_LIMIT: i64 = 1 << 60;

/// The namespaces that a container can share with its host.
const NAMESPACES: [&str; 6] = ["cgroup", "ipc", "net", "pid", "user", "uts"];

/// Capabilities by their numbers.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The host side that containers are compared with; made once for all of them.
pub struct HostSide {
    proc: PathBuf,
    /// The namespaces of PID 1 and of dockerd: what `host` means to a container.
    namespaces: Vec<Vec<(&'static str, PathBuf)>>,
    /// The capabilities that this kernel lets anybody have: PID 1's bounding set.
    cap_all: u64,
    /// Where the hierarchies of control groups are mounted: their controllers, root and mount point.
    hierarchies: Vec<Hierarchy>,
}

struct Hierarchy {
    /// Empty for the unified hierarchy.
    controllers: Vec<String>,
    root: String,
    point: String,
}

impl HostSide {
    /// Looks at this host. `dockerd` is the number of the daemon, which may live in namespaces of its own.
    pub fn new(dockerd: Option<i32>) -> HostSide {
        HostSide::at(Path::new("/proc"), dockerd)
    }

    fn at(proc: &Path, dockerd: Option<i32>) -> HostSide {
        let mut side = HostSide { proc: proc.to_owned(), namespaces: Vec::new(), cap_all: 0, hierarchies: Vec::new() };
        side.namespaces = std::iter::once(1).chain(dockerd).map(|pid| side.namespaces(i64::from(pid))).collect();
        let status = side.read("1/status").unwrap_or_default();
        side.cap_all = capability_bits(&status).unwrap_or(u64::MAX);
        side.hierarchies = hierarchies(&side.read("self/mountinfo").unwrap_or_default());
        side
    }

    /// What the kernel shows of the container whose first process has this number. `Absent` when it has ended, `Unknown` when it may
    /// not be looked at or is another process by now.
    pub fn container(&self, id: &str, pid: i64) -> Fact<KernelFacts> {
        match self.look(id, pid) {
            Ok(facts) => Fact::Known(facts),
            Err(Miss::Gone) => Fact::Absent,
            Err(Miss::Failed(why)) => Fact::Unknown(why),
        }
    }

    fn look(&self, id: &str, pid: i64) -> Result<KernelFacts, Miss> {
        let group = self.group_of(id, pid)?;
        let started = self.started(pid)?;
        let status = self.read(&format!("{pid}/status"))?;
        let cap_bnd =
            capability_bits(&status).ok_or_else(|| Miss::Failed(format!("{}/{pid}/status has no CapBnd", self.shown())))?;
        let own = self.namespaces(pid);
        let shared = |name: &&str| {
            let of = |side: &[(&str, PathBuf)]| side.iter().find(|(other, _)| other == name).map(|(_, link)| link.clone());
            let own = of(&own);
            own.is_some() && self.namespaces.iter().any(|side| of(side) == own)
        };
        let compared: BTreeSet<String> = own
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| self.namespaces.iter().any(|side| side.iter().any(|(other, _)| other == name)))
            .map(str::to_owned)
            .collect();
        let facts = KernelFacts {
            pid,
            cap_bnd: CAPABILITIES
                .iter()
                .enumerate()
                .filter(|(bit, _)| cap_bnd >> bit & 1 == 1)
                .map(|(_, name)| (*name).to_owned())
                .collect(),
            cap_all: cap_bnd & self.cap_all == self.cap_all,
            no_new_privs: field(&status, "NoNewPrivs").map(|value| value == "1"),
            seccomp: field(&status, "Seccomp").and_then(|value| value.parse().ok()),
            shared_namespaces: NAMESPACES.iter().filter(|name| shared(name)).map(|name| (*name).to_owned()).collect(),
            compared_namespaces: compared,
            security_label: self
                .read(&format!("{pid}/attr/current"))
                .ok()
                .map(|text| text.trim_end_matches(['\0', '\n']).to_owned()),
            root_readonly: self.read(&format!("{pid}/mountinfo")).ok().and_then(|text| root_readonly(&text)),
            processes: self.processes(&group),
            cgroup: self.limits(&group),
        };
        // Whatever was read above was read of this process only if it is still there.
        self.group_of(id, pid)?;
        if self.started(pid)? != started {
            return Err(Miss::Gone);
        }
        Ok(facts)
    }

    /// The process's control group file, if it names the container.
    fn group_of(&self, id: &str, pid: i64) -> Result<String, Miss> {
        let name = format!("{pid}/cgroup");
        let text = self.read(&name)?;
        match text.contains(id) {
            true => Ok(text),
            false => Err(Miss::Failed(format!(
                "{}/{name} does not name the container: process {pid} is another one here",
                self.shown()
            ))),
        }
    }

    /// When the process started, in clock ticks since boot: the 22nd field, counted after the name, which may hold anything.
    fn started(&self, pid: i64) -> Result<String, Miss> {
        let text = self.read(&format!("{pid}/stat"))?;
        let after = text.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
        Ok(after.split_ascii_whitespace().nth(19).unwrap_or_default().to_owned())
    }

    fn namespaces(&self, pid: i64) -> Vec<(&'static str, PathBuf)> {
        let link = |name: &&'static str| Some((*name, fs::read_link(self.proc.join(format!("{pid}/ns/{name}"))).ok()?));
        NAMESPACES.iter().filter_map(link).collect()
    }

    /// Every process of the container's control group and of those below it.
    fn processes(&self, group: &str) -> Vec<ProcessInContainer> {
        let Some(dir) = ["pids", "memory", "name=systemd", ""].iter().find_map(|controller| self.dir(group, controller)) else {
            return Vec::new();
        };
        let (mut dirs, mut next, mut pids) = (vec![dir], 0, BTreeSet::new());
        while let Some(dir) = dirs.get(next).cloned() {
            next += 1;
            let text = read(&dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse::<i64>().ok()).filter(|pid| *pid > 0));
            if dirs.len() < MAX_GROUPS {
                let below = fs::read_dir(&dir).into_iter().flatten().flatten();
                dirs.extend(below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
            }
        }
        pids.into_iter().take(MAX_PROCESSES).filter_map(|pid| self.process(pid)).collect()
    }

    fn process(&self, pid: i64) -> Option<ProcessInContainer> {
        let status = self.read(&format!("{pid}/status")).ok()?;
        let uids: Vec<u32> = field(&status, "Uid")?.split_ascii_whitespace().filter_map(|uid| uid.parse().ok()).collect();
        let program = fs::read_link(self.proc.join(format!("{pid}/exe"))).ok();
        let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        Some(ProcessInContainer {
            pid,
            name: field(&status, "Name").unwrap_or_default().to_owned(),
            program: program.unwrap_or_default(),
            root: uids.contains(&0),
            uid: uids.get(1).copied().unwrap_or(u32::MAX),
        })
    }

    fn limits(&self, group: &str) -> CgroupFacts {
        // The unified hierarchy, then the older one of its own.
        let limit = |controller: &str, files: [(&str, &str); 2]| {
            let ((max_v2, now_v2), (max_v1, now_v1)) = (files[0], files[1]);
            let (dir, max, now) = match self.dir(group, controller) {
                Some(dir) => (dir, max_v1, now_v1),
                None => (self.dir(group, "")?, max_v2, now_v2),
            };
            let file = dir.join(max);
            let text = read(&file).ok()?;
            let max = text.trim().parse::<i64>().ok().filter(|max| (0..NO_LIMIT).contains(max));
            let current = read(&dir.join(now)).ok().and_then(|text| text.trim().parse().ok());
            Some(LimitFact { file: file.display().to_string(), max, current })
        };
        CgroupFacts {
            memory: limit("memory", [("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")]),
            pids: limit("pids", [("pids.max", "pids.current"), ("pids.max", "pids.current")]),
            cpu: self.cpu(group),
            blkio_weight: self.weighs_block_io(group),
        }
    }

    fn cpu(&self, group: &str) -> Option<LimitFact> {
        let (file, quota, period) = match self.dir(group, "cpu") {
            Some(dir) => {
                let file = dir.join("cpu.cfs_quota_us");
                (file.clone(), read(&file).ok()?, read(&dir.join("cpu.cfs_period_us")).ok()?)
            }
            None => {
                let file = self.dir(group, "")?.join("cpu.max");
                let text = read(&file).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                (file, quota.to_owned(), period.to_owned())
            }
        };
        let period = period.trim().parse::<i64>().ok().filter(|period| *period > 0)?;
        let quota = quota.trim().parse::<i64>().ok().filter(|quota| *quota > 0);
        let max = quota.map(|quota| quota.saturating_mul(1000) / period);
        Some(LimitFact { file: file.display().to_string(), max, current: None })
    }

    fn weighs_block_io(&self, group: &str) -> Option<bool> {
        // Of the older hierarchy the engine takes the first name only, whatever runc would do with the second.
        let (dir, files): (_, &[&str]) = match self.dir(group, "blkio") {
            Some(dir) => (dir, &["blkio.weight"]),
            None => (self.dir(group, "")?, &["io.weight", "io.bfq.weight"]),
        };
        Some(files.iter().any(|file| dir.join(file).exists()))
    }

    /// Where the control group of a controller lies; the empty name stands for the unified hierarchy.
    fn dir(&self, group: &str, controller: &str) -> Option<PathBuf> {
        let path = group.lines().find_map(|line| {
            let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
            let named = if controller.is_empty() {
                controllers.is_empty()
            } else {
                controllers.split(',').any(|one| one == controller)
            };
            named.then_some(path)
        })?;
        let of = |hierarchy: &&Hierarchy| match controller {
            "" => hierarchy.controllers.is_empty(),
            _ => hierarchy.controllers.iter().any(|one| one == controller),
        };
        let hierarchy = self.hierarchies.iter().find(of)?;
        let below = path.strip_prefix(hierarchy.root.trim_end_matches('/')).unwrap_or(path);
        let dir = PathBuf::from(format!("{}{below}", hierarchy.point));
        // A path that leaves the mount is one that can't be seen from here.
        (!below.contains("/..") && dir.is_dir()).then_some(dir)
    }

    fn read(&self, name: &str) -> Result<String, Miss> {
        read(&self.proc.join(name))
    }

    fn shown(&self) -> String {
        self.proc.display().to_string()
    }
}

/// Why there is no answer.
enum Miss {
    /// The process has ended.
    Gone,
    /// Anything else; the text names the file.
    Failed(String),
}

/// A file of /proc or of a control group, whatever bytes a process put into it.
fn read(path: &Path) -> Result<String, Miss> {
    let failed = |error: std::io::Error| match (error.kind(), error.raw_os_error()) {
        (ErrorKind::NotFound, _) | (_, Some(libc::ESRCH)) => Miss::Gone,
        (ErrorKind::PermissionDenied, _) => Miss::Failed(format!("{}: {error}; run as root", path.display())),
        _ => Miss::Failed(format!("{}: {error}", path.display())),
    };
    let mut bytes = Vec::new();
    fs::File::open(path).and_then(|file| file.take(MAX_READ).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Miss {
    #[cfg(test)]
    fn text(self) -> String {
        match self {
            Miss::Gone => "gone".into(),
            Miss::Failed(why) => why,
        }
    }
}

/// The value of a line `Name:\tvalue`.
fn field<'t>(status: &'t str, name: &str) -> Option<&'t str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn capability_bits(status: &str) -> Option<u64> {
    u64::from_str_radix(field(status, "CapBnd")?, 16).ok()
}

/// Whether the mount at `/` is read-only, the last one that counts.
fn root_readonly(mountinfo: &str) -> Option<bool> {
    let options = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        (words.get(4) == Some(&"/")).then(|| words.get(5).is_some_and(|options| options.split(',').any(|one| one == "ro")))
    };
    mountinfo.lines().rev().find_map(options)
}

/// `36 25 0:31 /root /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory`
fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let of_line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let (before, after): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), after.split(' ').collect());
        let controllers = match *after.first()? {
            "cgroup2" => Vec::new(),
            "cgroup" => after.get(2)?.split(',').filter(|one| *one != "rw" && *one != "ro").map(str::to_owned).collect(),
            _ => return None,
        };
        Some(Hierarchy { controllers, root: (*before.get(3)?).to_owned(), point: (*before.get(4)?).to_owned() })
    };
    mountinfo.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_status() {
        let status =
            "Name:\tsh\nUid:\t0\t1000\t0\t0\nCapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "Uid"), Some("0\t1000\t0\t0"));
        assert_eq!(capability_bits(status), Some(0xa804_25fb));
        assert_eq!(field(status, "Cap"), None);
    }

    #[test]
    fn the_default_set_has_fourteen_names() {
        let bits = 0xa804_25fb_u64;
        let names: BTreeSet<&str> =
            CAPABILITIES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
        let default = crate::kinds::container::DEFAULT_CAPABILITIES.into_iter().collect();
        assert_eq!(names, default);
    }

    #[test]
    fn the_root_mount_that_counts_is_the_last() {
        for (text, expected) in [
            ("36 25 0:31 / / ro,relatime - overlay overlay rw\n37 36 0:4 / /proc rw - proc proc rw\n", Some(true)),
            ("36 25 0:31 / / ro - overlay overlay rw\n37 36 0:4 / / rw - tmpfs tmpfs rw\n", Some(false)),
            ("37 36 0:4 / /proc rw - proc proc rw\n", None),
            ("", None),
        ] {
            assert_eq!(root_readonly(text), expected, "{text}");
        }
    }

    #[test]
    fn both_generations_of_control_groups() {
        let found = hierarchies(
            "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n31 23 0:27 /docker /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             32 23 0:28 / /sys rw - sysfs sysfs rw\n",
        );
        let words: Vec<String> = found.iter().map(|one| format!("{:?} {} {}", one.controllers, one.root, one.point)).collect();
        assert_eq!(words, ["[] / /sys/fs/cgroup", "[\"cpu\", \"cpuacct\"] /docker /sys/fs/cgroup/cpu"]);
    }

    /// A process of this host that is none of the container's must not be believed, whatever number the engine named.
    #[test]
    fn another_process_is_not_the_container() {
        let side = HostSide::new(None);
        let (own, id) = (i64::from(std::process::id()), "f".repeat(64));
        match side.look(&id, own) {
            Err(miss) => assert_eq!(
                miss.text(),
                format!("/proc/{own}/cgroup does not name the container: process {own} is another one here")
            ),
            Ok(facts) => panic!("{facts:?}"),
        }
        assert_eq!(side.container(&id, i64::from(i32::MAX)), Fact::Absent);
    }
}
