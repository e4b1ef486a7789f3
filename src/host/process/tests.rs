//! The search on made-up proc file systems, and reading on the real one.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::host::docker::Endpoint;
use crate::host::scratch::Scratch;

/// A proc file system with an init and whatever is added; the pid file is beside the processes.
struct Machine(Scratch);

impl Machine {
    fn new() -> Machine {
        let scratch = Scratch::new();
        scratch.link("self/ns/pid", "pid:[1]", 0);
        let machine = Machine(scratch);
        machine.process(1, "/usr/lib/systemd/systemd", &["/sbin/init"]);
        machine
    }

    /// Adds a process of root's, in this root and pid namespace.
    fn process(&self, pid: i32, exe: &str, argv: &[&str]) {
        let name = exe.rsplit('/').next().unwrap();
        let name = name.strip_suffix(" (deleted)").unwrap_or(name);
        self.file(pid, "comm", &format!("{name}\n"));
        self.file(pid, "cmdline", &argv.iter().map(|argument| format!("{argument}\0")).collect::<String>());
        self.file(pid, "stat", &format!("{pid} ({name}) S 1 7 7 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 12 0 4200 100 9"));
        self.file(pid, "status", "Name:\tx\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n");
        self.link(pid, "exe", exe);
        self.link(pid, "root", "/");
        self.link(pid, "ns/pid", "pid:[1]");
    }

    fn file(&self, pid: i32, name: &str, content: &str) {
        self.0.file(&format!("{pid}/{name}"), content, 0o644);
    }

    fn link(&self, pid: i32, name: &str, target: &str) {
        let _ = fs::remove_file(self.0.path().join(format!("{pid}/{name}")));
        self.0.link(&format!("{pid}/{name}"), target, 0);
    }

    fn pidfile(&self, text: &str) {
        self.0.file("docker.pid", text, 0o644);
    }

    fn find(&self, engine: Option<&Engine>) -> Fact<ProcessFact> {
        let pidfile = self.0.path().join("docker.pid");
        Proc::new(self.0.path()).dockerd(&Hints { pidfile: &pidfile, engine })
    }

    /// The pid that was found, or what kept it from being found with this folder's path cut out.
    fn found(&self, engine: Option<&Engine>) -> String {
        match self.find(engine) {
            Fact::Known(process) => process.pid.to_string(),
            Fact::Absent => "absent".to_string(),
            Fact::Unknown(why) => why.replace(&format!("{}/", self.0.path().display()), ""),
        }
    }

    /// A socket that this very process listens on.
    fn socket(&self) -> (UnixListener, Engine) {
        let path = self.0.path().join("docker.sock");
        (UnixListener::bind(&path).unwrap(), Engine::new(Endpoint::Unix(path), CONNECT))
    }
}

fn our_pid() -> i32 {
    std::process::id().try_into().unwrap()
}

#[test]
fn the_process_of_the_pidfile() {
    let machine = Machine::new();
    machine.process(40, "/usr/bin/dockerd", &["/usr/bin/dockerd", "-H", "fd://", "--label=a b", ""]);
    machine.process(41, "/opt/other/dockerd", &["dockerd"]);
    machine.pidfile("40");
    let Fact::Known(process) = machine.find(None) else { panic!("not found") };
    assert_eq!((process.pid, process.exe.as_str()), (40, "/usr/bin/dockerd"));
    assert_eq!(process.argv, ["/usr/bin/dockerd", "-H", "fd://", "--label=a b", ""]);
    assert_eq!(process.started_ns, boot_time_ns() + 42 * NANOS + NANOS / 100, "the end of tick 4200 of 10 ms");
}

#[test]
fn what_counts_as_dockerd() {
    for (exe, expected) in [
        ("/usr/sbin/dockerd", "40"),
        ("/usr/bin/dockerd (deleted)", "40"),
        ("/usr/bin/dockerd-ce", "40"),
        ("/snap/docker/2932/bin/dockerd", "40"),
        ("/usr/bin/dockerd2", "absent"),
        ("/usr/bin/docker", "absent"),
        ("/usr/bin/vim", "absent"),
        ("/srv/dockerd/vim", "absent"),
    ] {
        let machine = Machine::new();
        machine.process(40, exe, &["dockerd"]);
        machine.pidfile("40\n");
        assert_eq!(machine.found(None), expected, "{exe} by pidfile");
        machine.pidfile("");
        assert_eq!(machine.found(None), expected, "{exe} by scan");
    }
}

#[test]
fn the_path_of_a_replaced_program() {
    let machine = Machine::new();
    machine.process(40, "/usr/bin/dockerd (deleted)", &["dockerd"]);
    assert_eq!(machine.find(None).known().unwrap().exe, "/usr/bin/dockerd");
}

#[test]
fn command_lines_fool_nobody() {
    let machine = Machine::new();
    machine.process(40, "/usr/bin/vim", &["vim", "/root/notes-about-dockerd.txt", "--icc=false"]);
    machine.file(40, "comm", "dockerd\n");
    for pidfile in ["40", "", "-1", "0", "1", "99999", "not a number", "40 41", "99999999999999999999"] {
        machine.pidfile(pidfile);
        assert_eq!(machine.found(None), "absent", "{pidfile}");
    }
    machine.process(50, "/usr/bin/dockerd", &["dockerd"]);
    machine.pidfile("40");
    assert_eq!(machine.found(None), "50", "a stale pid file");
}

#[test]
fn another_root_namespace_or_user_is_foreign() {
    type Spoil = fn(&Machine);
    let ways: [(&str, Spoil); 3] = [
        ("root", |machine| machine.link(40, "root", "/proc/self")),
        ("pid namespace", |machine| machine.link(40, "ns/pid", "pid:[2]")),
        ("user", |machine| machine.file(40, "status", "Name:\tx\nUid:\t0\t3999\t0\t0\nGid:\t0\t3998\t0\t0\n")),
    ];
    for (what, spoil) in ways {
        let machine = Machine::new();
        machine.process(40, "/usr/bin/dockerd", &["dockerd"]);
        assert_eq!(machine.found(None), "40");
        spoil(&machine);
        machine.pidfile("40");
        assert_eq!(machine.found(None), "absent", "{what}");
        machine.process(50, "/usr/bin/dockerd", &["dockerd"]);
        assert_eq!(machine.found(None), "50", "{what}: and ours is found beside it");
    }
}

#[test]
fn a_snap_has_a_root_of_its_own() {
    let machine = Machine::new();
    machine.process(40, "/snap/docker/2932/bin/dockerd", &["dockerd"]);
    machine.link(40, "root", "/proc/self");
    machine.file(40, "cgroup", "0::/system.slice/docker-0123.scope\n");
    assert_eq!(machine.found(None), "absent", "a container with the path of the snap");
    machine.file(40, "cgroup", "1:name=systemd:/x\n0::/system.slice/snap.docker.dockerd.service\n");
    assert_eq!(machine.found(None), "40");
    machine.link(40, "exe", "/usr/bin/dockerd");
    assert_eq!(machine.found(None), "absent", "something else in the snap's group");
}

#[test]
fn several_without_a_pidfile() {
    let machine = Machine::new();
    machine.process(300, "/usr/bin/dockerd", &["dockerd"]);
    machine.process(40, "/usr/bin/dockerd", &["dockerd"]);
    assert_eq!(machine.found(None), "several dockerd run (pids 40, 300) and docker.pid names none of them");
    machine.pidfile("300");
    assert_eq!(machine.found(None), "300");
}

#[test]
fn the_socket_decides_before_the_pidfile() {
    let machine = Machine::new();
    let (_listener, engine) = machine.socket();
    machine.process(40, "/usr/bin/dockerd", &["dockerd"]);
    machine.pidfile("40");
    machine.process(our_pid(), "/usr/bin/dockerd", &["dockerd"]);
    assert_eq!(machine.found(Some(&engine)), our_pid().to_string());
    assert_eq!(machine.found(None), "40", "not connected to");
    machine.link(our_pid(), "exe", "/usr/bin/socat");
    assert_eq!(machine.found(Some(&engine)), "40", "a proxy in front of the daemon");
}

/// What the API will say is of a daemon whose process is not this host's: its flags are not known.
#[test]
fn a_socket_of_a_foreign_dockerd() {
    let machine = Machine::new();
    let (_listener, engine) = machine.socket();
    machine.process(our_pid(), "/usr/bin/dockerd", &["dockerd"]);
    machine.link(our_pid(), "root", "/proc/self");
    let expected = format!(
        "the daemon's socket is served by a dockerd of a container or of another root file system (pid {}): run harden \
         there",
        our_pid()
    );
    assert_eq!(machine.found(Some(&engine)), expected);
}

/// Who asks at the socket of a rootless daemon asks for that daemon; without its socket it is nobody's business.
#[test]
fn a_socket_of_another_users_dockerd() {
    let machine = Machine::new();
    let (_listener, engine) = machine.socket();
    machine.process(our_pid(), "/usr/bin/dockerd", &["dockerd"]);
    machine.file(our_pid(), "status", "Name:\tx\nUid:\t3999\t3999\t0\t0\nGid:\t3998\t3998\t0\t0\n");
    machine.pidfile(&our_pid().to_string());
    assert_eq!(machine.found(Some(&engine)), our_pid().to_string());
    assert_eq!(machine.found(None), "absent");
    assert_eq!(Proc::new(machine.0.path()).owner(our_pid()).ok(), Some((3999, 3998)));
}

#[test]
fn nobody_at_the_socket() {
    let machine = Machine::new();
    let (listener, engine) = machine.socket();
    drop(listener);
    assert_eq!(machine.found(Some(&engine)), "absent");
    machine.process(40, "/usr/bin/dockerd", &["dockerd"]);
    assert_eq!(machine.found(Some(&engine)), "40");
}

#[test]
fn hidden_processes_are_unknown() {
    let machine = Machine::new();
    fs::remove_file(machine.0.path().join("1/comm")).unwrap();
    let expected = "1/comm: No such file or directory (os error 2); other users' processes are hidden: run as root";
    assert_eq!(machine.found(None), expected);
}

#[test]
fn a_broken_entry_is_unknown() {
    let machine = Machine::new();
    machine.process(40, "/usr/bin/dockerd", &["dockerd"]);
    machine.file(40, "stat", "40 (dockerd) S 1");
    assert_eq!(machine.found(None), "40/stat: not in the expected form");
    machine.pidfile("40");
    assert_eq!(machine.found(None), "40/stat: not in the expected form");
}

#[test]
fn start_ticks_of_odd_names() {
    let rest = "S 1 7 7 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 12 0 4200 100 9";
    for name in ["dockerd", "a b", "a) S 1 (b", ")", "("] {
        assert_eq!(start_ticks(&format!("40 ({name}) {rest}")), Some(4200), "{name}");
    }
    for stat in ["", "40", "40 (x", "40 (x) S", "40 (x) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19x"] {
        assert_eq!(start_ticks(stat), None, "{stat}");
    }
}

#[test]
fn reading_a_real_process() {
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let before = now();
    let mut child = Command::new("sh").args(["-c", "read line", "dockerd", "a b"]).stdin(Stdio::piped()).spawn().unwrap();
    let after = now();
    let pid = child.id().try_into().unwrap();
    // Until the program has replaced the copy of this one.
    let process = loop {
        match read(pid) {
            Fact::Known(process) if process.argv.first().is_some_and(|name| name == "sh") => break process,
            Fact::Known(_) => std::thread::yield_now(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(process.argv, ["sh", "-c", "read line", "dockerd", "a b"]);
    assert_eq!(Path::new(&process.exe), fs::canonicalize("/bin/sh").unwrap());
    let tick = 11_000_000;
    assert!((before - tick..=after + tick).contains(&process.started_ns), "{before} {} {after}", process.started_ns);
    assert_eq!(read(pid), Fact::Known(process), "the same each time");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(read(pid), Fact::Absent);
}
