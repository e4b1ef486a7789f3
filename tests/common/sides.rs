//! A tree on which there is much to do, and whether it is as before or as after.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{Snapshot, Tree, acl_for_user_1000, parent};

pub const APPLY: [&str; 4] = ["apply", "--yes", "-b", "cis-l2"];
pub const CONFIG: &str = "/etc/docker/daemon.json";

/// A host on which `cis-l2` has something to do of every kind that there is in a tree.
pub fn scene() -> Tree {
    let tree = Tree::host();
    let certs = "/etc/docker/certs.d/r.io";
    tree.file(CONFIG, "{\n  \"data-root\": \"/var/lib/docker\",\n\t\"debug\": false\n}\n", 0o664)
        .set_xattr(CONFIG, "user.note", b"of the owner")
        .set_xattr(CONFIG, "system.posix_acl_access", &acl_for_user_1000())
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
        .set_xattr(&format!("{certs}/ca.crt"), "system.posix_acl_access", &acl_for_user_1000())
        .chmod(&format!("{certs}/ca.crt"), 0o666)
        .file(&format!("{certs}/client.key"), "key", 0o644)
        .chown(&format!("{certs}/client.key"), 4242, 4243)
        .socket("/run/docker.sock", 0o777)
        .socket("/run/containerd/containerd.sock", 0o666)
        .chown("/run/containerd/containerd.sock", 1000, 1000);
    tree
}

/// What the plan writes anew, the directories in which it makes names, and where the state directory appears: their times may differ
/// afterwards.
pub fn touched() -> Touched {
    let tree = scene();
    let (_, plan) = tree.json(&["plan", "-b", "cis-l2"]);
    let changes = plan["changes"].as_array().unwrap().iter().filter(|change| change["kind"] != "metadata");
    let written: BTreeSet<String> = changes.map(|change| change["target"].as_str().unwrap().to_owned()).collect();
    let directories = written.iter().map(|target| parent(target)).chain(["/var/lib".into()]).collect();
    Touched { written, directories }
}

/// Paths whose times may differ.
pub struct Touched {
    /// What the plan writes anew; what is put back gets its time back.
    pub written: BTreeSet<String>,
    /// The directories above, where names came and went.
    pub directories: BTreeSet<String>,
}

/// How a tree may look.
pub struct Sides {
    pub touched: Touched,
    pub before: Snapshot,
    pub after: Snapshot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

impl Sides {
    pub fn of_scene() -> Self {
        let (touched, tree) = (touched(), scene());
        let before = timeless(&tree.snapshot());
        tree.harden(&APPLY).expect(0);
        Sides { touched, before, after: timeless(&tree.snapshot()) }
    }

    /// Which side a tree is on; `start` is what it was at the start. Every file that is as before was modified when it was before,
    /// also one that was written meanwhile; directories in which names came and went were not.
    #[track_caller]
    pub fn which(&self, tree: &Tree, start: &Snapshot, context: &str) -> Side {
        let now = tree.snapshot();
        let Touched { written, directories } = &self.touched;
        let side = match (timeless(&now) == self.before, timeless(&now) == self.after) {
            (true, _) => Side::Before,
            (_, true) => Side::After,
            _ => panic!(
                "{context}: neither before nor after\nbefore: {:#?}\nafter: {:#?}",
                self.before.difference(&timeless(&now)),
                { self.after.difference(&timeless(&now)) }
            ),
        };
        let timed = |snapshot: &Snapshot| {
            let moved = |path: &String| directories.contains(path) || (side == Side::After && written.contains(path));
            let kept = snapshot.0.iter().filter(|(path, _)| !moved(path));
            kept.map(|(path, entry)| (path.clone(), entry.mtime_ns)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(timed(start), timed(&now), "{context}: modified at another time");
        side
    }

    #[track_caller]
    pub fn expect(&self, side: Side, tree: &Tree, start: &Snapshot, context: &str) {
        assert_eq!(self.which(tree, start, context), side, "{context}");
    }
}

pub fn timeless(snapshot: &Snapshot) -> Snapshot {
    Snapshot(snapshot.0.iter().map(|(path, entry)| (path.clone(), entry.without_time())).collect())
}

/// `harden ARGS --root TREE` under strace with these options.
pub fn strace(tree: &Tree, options: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-s", "512"]).args(options).arg(env!("CARGO_BIN_EXE_harden")).args(args);
    command.arg("--root").arg(tree.path()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
    command.output().expect("strace is needed: apt-get install strace")
}

/// The states that `harden history` tells, newest first.
pub fn states(tree: &Tree) -> Vec<String> {
    let ran = tree.harden(&["history", "--format", "json"]).expect(0);
    let document: Value = serde_json::from_slice(&ran.out).unwrap();
    let rows = document["transactions"].as_array().unwrap().iter();
    rows.map(|row| row["state"].as_str().unwrap().to_owned()).collect()
}

/// Nothing temporary anywhere, and what transactions keep is for its owner's eyes only.
#[track_caller]
pub fn tidy(tree: &Tree, context: &str) {
    let everywhere = tree.snapshot().0.into_iter().chain(tree.state_files());
    let left: Vec<String> = everywhere.map(|(path, _)| path).filter(|path| path.contains(".harden-")).collect();
    assert!(left.is_empty(), "{context}: left behind {left:?}");
    for (path, entry) in tree.state_files() {
        let private = if entry.mode & libc::S_IFMT == libc::S_IFDIR { 0o700 } else { 0o600 };
        assert_eq!(entry.mode & 0o7777, private, "{context}: {path}");
    }
}

/// Whether everything is to be tried, not only a part of it that takes less than a minute.
pub fn whole() -> bool {
    std::env::var("HARDEN_CRASH").is_ok_and(|value| value == "all")
}
