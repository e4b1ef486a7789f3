//! The real binary killed, or failed by the kernel, at every system call that matters: the tree is then exactly as before or
//! exactly as after, never between.
//!
//! By default each system call is hit at its first, its last and some of its other occurrences; with `HARDEN_CRASH=all` in the
//! environment at every one (about five minutes). Needs root and strace.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use common::{Ran, STATE_DIR, Snapshot, Tree, parent};
use serde_json::Value;

const APPLY: [&str; 4] = ["apply", "--yes", "-b", "cis-l2"];
const CONFIG: &str = "/etc/docker/daemon.json";
const DROP_IN: &str = "/etc/systemd/system/docker.socket.d/zz-harden.conf";
const RULES: &str = "/etc/audit/rules.d/50-harden-docker.rules";
/// What a kill can come before: all that writes, and what opens.
const KILLED: [&str; 17] = [
    "openat",
    "openat2",
    "write",
    "fsync",
    "fdatasync",
    "linkat",
    "renameat",
    "renameat2",
    "mkdirat",
    "unlinkat",
    "fchownat",
    "fchmodat",
    "setxattr",
    "removexattr",
    "flock",
    "ftruncate",
    "newfstatat",
];
/// What can fail, and how.
const FAILED: [(&str, &str); 22] = [
    ("write", "ENOSPC"),
    ("write", "EIO"),
    ("fsync", "EIO"),
    ("fdatasync", "EIO"),
    ("fdatasync", "ENOSPC"),
    ("linkat", "EIO"),
    ("linkat", "ENOSPC"),
    ("renameat", "EIO"),
    ("renameat2", "EROFS"),
    ("mkdirat", "ENOSPC"),
    ("unlinkat", "EROFS"),
    ("fchownat", "EROFS"),
    ("fchownat", "EIO"),
    ("fchmodat", "EROFS"),
    ("setxattr", "ENOSPC"),
    ("removexattr", "EIO"),
    ("openat", "ENOMEM"),
    ("openat", "EROFS"),
    ("openat2", "EIO"),
    ("newfstatat", "ENOMEM"),
    ("read", "EIO"),
    ("flistxattr", "ENOMEM"),
];

/// A host on which `cis-l2` has something to do of every kind that there is in a tree.
fn scene() -> Tree {
    let tree = Tree::host();
    let certs = "/etc/docker/certs.d/r.io";
    tree.file(CONFIG, "{\n  \"data-root\": \"/var/lib/docker\",\n\t\"debug\": false\n}\n", 0o664)
        .set_xattr(CONFIG, "user.note", b"of the owner")
        .set_xattr(CONFIG, "system.posix_acl_access", &common::acl_for_user_1000())
        .chmod(CONFIG, 0o4664)
        .chown(CONFIG, 4242, 4243)
        .dir("/etc/docker", 0o2775)
        .chown("/etc/docker", 1000, 1000)
        .chmod("/etc/default/docker", 0o6777)
        .chmod("/usr/lib/systemd/system/docker.service", 0o664)
        .file(
            "/usr/lib/systemd/system/docker.socket",
            "[Socket]\nListenStream=/run/docker.sock\nSocketMode=0666\nSocketUser=root\nSocketGroup=docker\n",
            0o644,
        )
        .dir(certs, 0o777)
        .file(&format!("{certs}/ca.crt"), "certificate", 0o644)
        .set_xattr(&format!("{certs}/ca.crt"), "system.posix_acl_access", &common::acl_for_user_1000())
        .chmod(&format!("{certs}/ca.crt"), 0o666)
        .file(&format!("{certs}/client.key"), "key", 0o644)
        .chown(&format!("{certs}/client.key"), 4242, 4243)
        .socket("/run/docker.sock", 0o777)
        .socket("/run/containerd/containerd.sock", 0o666)
        .chown("/run/containerd/containerd.sock", 1000, 1000);
    tree
}

/// What the plan is for the scene: the tests know that it has every kind of change.
#[test]
fn the_scene_has_every_kind_of_change() {
    let tree = scene();
    let (_, plan) = tree.json(&["plan", "-b", "cis-l2"]);
    let changes: Vec<(&str, &str, &str)> = plan["changes"].as_array().unwrap().iter().map(of).collect();
    fn of(change: &Value) -> (&str, &str, &str) {
        let text = |key| change[key].as_str().unwrap();
        (text("kind"), text("target"), text("summary"))
    }
    let has = |kind: &str, target: &str, summary: &str| {
        let found = changes.iter().any(|change| change.0 == kind && change.1 == target && change.2.contains(summary));
        assert!(found, "{kind} {target} {summary} is not among {changes:#?}");
    };
    has("edit", CONFIG, "owner 4242:4243");
    has("edit", CONFIG, "mode 4664");
    has("metadata", "/etc/docker", "owner 1000:1000");
    has("metadata", "/etc/default/docker", "mode 6777");
    has("metadata", "/etc/docker/certs.d/r.io/ca.crt", "mode 0666");
    has("metadata", "/run/containerd/containerd.sock", "owner 1000:1000");
    has("metadata", "/run/docker.sock", "mode 0777");
    has("create", "/etc/systemd/system/docker.socket.d", "");
    has("create", DROP_IN, "");
    has("create", RULES, "");
    assert!(changes.len() >= 10, "{changes:#?}");
}

/// Everything that the plan touches, or in which it makes names, and where the state directory appears: its times may differ.
fn touched() -> BTreeSet<String> {
    let tree = scene();
    let (_, plan) = tree.json(&["plan", "-b", "cis-l2"]);
    let targets = plan["changes"].as_array().unwrap().iter().map(|change| change["target"].as_str().unwrap().to_owned());
    let targets: BTreeSet<String> = targets.collect();
    let parents = targets.iter().map(|target| parent(target));
    parents.chain(targets.clone()).chain(["/var/lib".into()]).collect()
}

/// How a tree may look.
struct Sides {
    touched: BTreeSet<String>,
    before: Snapshot,
    after: Snapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Sides {
    fn of_scene() -> Self {
        let (touched, tree) = (touched(), scene());
        let before = timeless(&tree.snapshot());
        tree.harden(&APPLY).expect(0);
        Sides { touched, before, after: timeless(&tree.snapshot()) }
    }

    /// Which side a tree is on; `start` is what it was at the start, and what the plan does not touch keeps its times.
    #[track_caller]
    fn which(&self, tree: &Tree, start: &Snapshot, context: &str) -> Side {
        let now = tree.snapshot();
        let untouched = |snapshot: &Snapshot| {
            let kept = snapshot.0.iter().filter(|(path, _)| !self.touched.contains(*path));
            Snapshot(kept.map(|(path, entry)| (path.clone(), entry.clone())).collect())
        };
        let moved = untouched(start).difference(&untouched(&now));
        assert!(moved.is_empty(), "{context}: touched though no change is planned there: {moved:#?}");
        let now = timeless(&now);
        match (now == self.before, now == self.after) {
            (true, _) => Side::Before,
            (_, true) => Side::After,
            _ => panic!("{context}: neither before nor after\nbefore: {:#?}\nafter: {:#?}", self.before.difference(&now), {
                self.after.difference(&now)
            }),
        }
    }

    #[track_caller]
    fn expect(&self, side: Side, tree: &Tree, start: &Snapshot, context: &str) {
        assert_eq!(self.which(tree, start, context), side, "{context}");
    }
}

fn timeless(snapshot: &Snapshot) -> Snapshot {
    Snapshot(snapshot.0.iter().map(|(path, entry)| (path.clone(), entry.without_time())).collect())
}

/// `harden ARGS --root TREE` under strace with these options.
fn strace(tree: &Tree, options: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "512"]).args(options).arg(env!("CARGO_BIN_EXE_harden")).args(args);
    command.arg("--root").arg(tree.path()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command.output().expect("strace is needed: apt-get install strace")
}

/// The calls of a run, in order, from the first that has to do with the tree.
fn trace(tree: &Tree, args: &[&str]) -> (Vec<Call>, Output) {
    let log = tree.path().with_extension("strace");
    let output = strace(tree, &["-y", "-o", log.to_str().unwrap()], args);
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    let mut counts = BTreeMap::new();
    let mut calls = Vec::new();
    let mut started = false;
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(' ').and_then(|(_, call)| call.trim_start().split_once('(')) else { continue };
        if name.starts_with('<') {
            continue;
        }
        let number = counts.entry(name.to_owned()).and_modify(|count| *count += 1).or_insert(1);
        started |= name != "execve" && line.contains(tree.path().to_str().unwrap());
        if started {
            calls.push(Call { name: name.into(), number: *number, rest: rest.into() });
        }
    }
    (calls, output)
}

/// One system call of a run.
#[derive(Debug)]
struct Call {
    name: String,
    /// Which of its name it is, from 1, as strace counts.
    number: usize,
    /// Arguments and result; descriptors with their paths.
    rest: String,
}

fn whole() -> bool {
    std::env::var("HARDEN_CRASH").is_ok_and(|value| value == "all")
}

/// The numbers of a call that are hit: all, or the first, the last and some between.
fn numbers(calls: &[Call], name: &str, about: usize) -> Vec<usize> {
    let all: Vec<usize> = calls.iter().filter(|call| call.name == name).map(|call| call.number).collect();
    let step = if whole() { 1 } else { all.len().div_ceil(about).max(1) };
    let last = all.last().copied();
    all.iter().copied().step_by(step).chain(last).collect::<BTreeSet<_>>().into_iter().collect()
}

fn inject(call: &str, what: &str) -> [String; 4] {
    ["-e".into(), format!("trace={call}"), "-e".into(), format!("inject={call}:{what}")]
}

/// Runs until it is killed there; `false` when it never came there.
fn killed(tree: &Tree, args: &[&str], call: &str, number: usize) -> bool {
    let options = inject(call, &format!("signal=KILL:when={number}"));
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["-o", "/dev/null"]);
    let output = strace(tree, &options, args);
    match output.status.signal() {
        Some(libc::SIGKILL) => true,
        _ => {
            let ran = Ran::of(output, format!("{args:?} to be killed at {call} {number}"));
            ran.expect(0);
            false
        }
    }
}

/// The states that `harden history` tells, newest first.
fn states(tree: &Tree) -> Vec<String> {
    let ran = tree.harden(&["history", "--format", "json"]).expect(0);
    let document: Value = serde_json::from_slice(&ran.out).unwrap();
    let rows = document["transactions"].as_array().unwrap().iter();
    rows.map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

/// Nothing temporary anywhere, and what transactions keep is for its owner's eyes only.
#[track_caller]
fn tidy(tree: &Tree, context: &str) {
    let everywhere = tree.snapshot().0.into_iter().chain(tree.state_files());
    let left: Vec<String> = everywhere.map(|(path, _)| path).filter(|path| path.contains(".harden-")).collect();
    assert!(left.is_empty(), "{context}: left behind {left:?}");
    for (path, entry) in tree.state_files() {
        let private = if entry.mode & libc::S_IFMT == libc::S_IFDIR { 0o700 } else { 0o600 };
        assert_eq!(entry.mode & 0o7777, private, "{context}: {path}");
    }
}

#[test]
fn killed_while_applying() {
    let sides = Sides::of_scene();
    let tree = scene();
    let (calls, output) = trace(&tree, &APPLY);
    assert!(output.status.success());
    let (mut visited, mut committed) = (0, 0);
    for call in KILLED {
        for number in numbers(&calls, call, 8) {
            let context = format!("killed at {call} {number}");
            let tree = scene();
            let start = tree.snapshot();
            if !killed(&tree, &APPLY, call, number) {
                continue;
            }
            visited += 1;
            tree.harden(&["recover"]).expect(0);
            let side = sides.which(&tree, &start, &context);
            tidy(&tree, &context);
            let in_place = states(&tree).contains(&"in place".to_owned());
            assert_eq!(in_place, side == Side::After, "{context}: {:?}", states(&tree));
            committed += usize::from(in_place);
            assert_eq!(tree.harden(&["recover", "--format", "json"]).expect(0).document()["changed"], false, "{context}");
            tree.harden(&APPLY).expect(0);
            sides.expect(Side::After, &tree, &start, &context);
            assert_eq!(states(&tree)[0], "in place", "{context}");
            tree.harden(&["rollback", "--yes"]).expect(0);
            sides.expect(Side::Before, &tree, &start, &context);
        }
    }
    assert!(
        visited >= 60 && committed >= 1 && committed < visited / 2,
        "{visited} kills, {committed} of them when all was done"
    );
}

#[test]
fn killed_while_recovering() {
    let sides = Sides::of_scene();
    let first = scene();
    let (calls, _) = trace(&first, &APPLY);
    // Cut short at the record before the last, so that there is everything to undo; and in the middle.
    let records = numbers(&calls, "fdatasync", usize::MAX);
    let cuts = [records[records.len() - 2], records[records.len() / 2]];
    let mut visited = 0;
    for cut in &cuts[..if whole() { 2 } else { 1 }] {
        let tree = scene();
        assert!(killed(&tree, &APPLY, "fdatasync", *cut));
        let (calls, output) = trace(&tree, &["recover"]);
        assert!(output.status.success());
        for call in KILLED {
            for number in numbers(&calls, call, 3) {
                let context = format!("killed at fdatasync {cut}, and again at {call} {number} of its recovery");
                let tree = scene();
                let start = tree.snapshot();
                assert!(killed(&tree, &APPLY, "fdatasync", *cut));
                if !killed(&tree, &["recover"], call, number) {
                    continue;
                }
                visited += 1;
                tree.harden(&["recover"]).expect(0);
                sides.expect(Side::Before, &tree, &start, &context);
                tidy(&tree, &context);
                tree.harden(&APPLY).expect(0);
                sides.expect(Side::After, &tree, &start, &context);
            }
        }
    }
    assert!(visited >= 25, "{visited} kills");
}

#[test]
fn killed_while_rolling_back() {
    let sides = Sides::of_scene();
    let args = ["rollback", "--yes"];
    let applied = || {
        let tree = scene();
        let start = tree.snapshot();
        tree.harden(&APPLY).expect(0);
        (tree, start)
    };
    let (calls, output) = trace(&applied().0, &args);
    assert!(output.status.success());
    let (mut visited, mut gone_back) = (0, 0);
    for call in KILLED {
        for number in numbers(&calls, call, 3) {
            let context = format!("rollback killed at {call} {number}");
            let (tree, start) = applied();
            if !killed(&tree, &args, call, number) {
                continue;
            }
            visited += 1;
            tree.harden(&["recover"]).expect(0);
            let side = sides.which(&tree, &start, &context);
            tidy(&tree, &context);
            let states = states(&tree);
            match side {
                // The oldest is what was applied.
                Side::After => assert_eq!(states.last().unwrap(), "in place", "{context}"),
                Side::Before => assert!(states.last().unwrap().starts_with("rolled back by"), "{context}: {states:?}"),
            }
            gone_back += usize::from(side == Side::Before);
            tree.harden(&args).expect(i32::from(side == Side::Before));
            sides.expect(Side::Before, &tree, &start, &context);
        }
    }
    assert!(visited >= 25 && gone_back >= 1, "{visited} kills, {gone_back} of them when all was done");
}

/// What a run that could not do its work leaves; returns its exit status.
fn failed(sides: &Sides, call: &str, what: &str) -> i32 {
    let context = format!("{call} fails: {what}");
    let tree = scene();
    let start = tree.snapshot();
    let options = inject(call, what);
    let mut options: Vec<&str> = options.iter().map(String::as_str).collect();
    options.extend(["-o", "/dev/null"]);
    let args = [&APPLY[..], &["--format", "json"]].concat();
    let ran = Ran::of(strace(&tree, &options, &args), context.clone());
    let begun = begun(&tree);
    // Where no write succeeds, no message does.
    let told = !(call == "write" && what.ends_with('+'));
    match ran.code {
        // What could not be looked at was not planned for; the report says that it is open. What was planned goes back.
        0 if is_something_open(&ran) => {
            assert!(begun && states(&tree)[0] == "in place", "{ran}");
            tree.harden(&["rollback", "--yes"]).expect(0);
            sides.expect(Side::Before, &tree, &start, &format!("rolled back after {ran}"));
        }
        0 => sides.expect(Side::After, &tree, &start, &format!("{ran}")),
        1 => {
            sides.expect(Side::Before, &tree, &start, &format!("{ran}"));
            assert!(!told || ran.stderr().contains("harden: "), "{ran}");
            assert!(!told || begun == ran.stderr().contains("everything was put back"), "{ran}");
        }
        3 => {
            let place = tree.at(&format!("{STATE_DIR}/transactions"));
            assert!(!told || ran.stderr().contains(place.to_str().unwrap()), "{ran}");
            tree.harden(&["recover"]).expect(0);
            sides.expect(Side::Before, &tree, &start, &format!("recovered after {ran}"));
        }
        64 if ran.stderr().contains("cannot open the root directory") => {
            sides.expect(Side::Before, &tree, &start, &context);
        }
        _ => panic!("{ran}"),
    }
    tree.harden(&["recover"]).expect(0);
    tidy(&tree, &context);
    tree.harden(&APPLY).expect(0);
    sides.expect(Side::After, &tree, &start, &context);
    ran.code
}

/// Whether the report, if it could be written, says that a control with a fix is not as wanted, or could not be looked at.
fn is_something_open(ran: &Ran) -> bool {
    let report: Value = serde_json::from_slice(&ran.out).unwrap_or_default();
    ["unknown", "drift"].iter().any(|count| report["summary"][count].as_u64().is_some_and(|count| count > 0))
}

/// Whether the newest transaction had begun a change.
fn begun(tree: &Tree) -> bool {
    let files = tree.state_files();
    let newest = files.iter().rev().find(|(path, _)| path.ends_with("/journal.jsonl"));
    newest.is_some_and(|(_, journal)| String::from_utf8_lossy(&journal.content).contains("\"intent\""))
}

#[test]
fn calls_that_fail() {
    let sides = Sides::of_scene();
    let tree = scene();
    let (calls, _) = trace(&tree, &APPLY);
    let mut seen = BTreeMap::new();
    for (call, errno) in FAILED {
        for number in numbers(&calls, call, 4) {
            *seen.entry(failed(&sides, call, &format!("error={errno}:when={number}"))).or_insert(0) += 1;
        }
    }
    // The disk is full, or broken, from one moment on.
    for (call, errno) in [("write", "ENOSPC"), ("fsync", "EIO"), ("fdatasync", "EIO"), ("openat", "EIO"), ("fchmodat", "EROFS")]
    {
        for number in numbers(&calls, call, 4) {
            *seen.entry(failed(&sides, call, &format!("error={errno}:when={number}+"))).or_insert(0) += 1;
        }
    }
    let put_back = seen.get(&1).copied().unwrap_or(0);
    assert!(put_back >= 40 && seen.get(&3).is_some_and(|stuck| *stuck >= 2), "{seen:?}");
}
