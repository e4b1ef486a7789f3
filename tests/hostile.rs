//! The real binary on a tree that somebody else changes meanwhile, beside another run, and asked to stop.
//!
//! By default some hundred runs; with `HARDEN_CRASH=all` in the environment ten thousand (about an hour). Needs root and strace.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::sides::{APPLY, CONFIG, Side, Sides, scene, states, tidy, whole};
use common::{Ran, STATE_DIR, Snapshot, Tree};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No run takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(60);

fn start(tree: &Tree, args: &[&str], wrapper: &[&str]) -> Child {
    let binary = env!("CARGO_BIN_EXE_harden");
    let mut words = wrapper.iter().copied().chain([binary]).chain(args.iter().copied());
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg("--root").arg(tree.path()).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("apt-get install strace")
}

/// What came of a run, which must not hang.
fn end(child: Child) -> Output {
    let id = Pid::from_raw(child.id() as i32);
    let (done, waiting) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        let _ = done.send(());
        output
    });
    if waiting.recv_timeout(TIMEOUT).is_err() {
        let _ = kill(id, Signal::SIGKILL);
        panic!("it hangs: {:?}", waiter.join());
    }
    waiter.join().unwrap()
}

/// Something that somebody puts in the place of something that harden writes.
struct Swap {
    name: &'static str,
    /// In the tree; it is exchanged with `decoy`.
    place: &'static str,
    make: fn(&Tree, &Path),
}

const DECOY: &str = "/srv/decoy";

/// What must not change: a directory in the tree that links lead to, and one outside with the other names of hard links.
struct Canaries {
    within: PathBuf,
    outside: Tree,
}

impl Canaries {
    fn new(tree: &Tree) -> Self {
        let outside = Tree::empty();
        for (root, folder) in [(tree, "/srv/canary"), (&outside, "/canary")] {
            root.dir(folder, 0o777)
                .file(&format!("{folder}/daemon.json"), "{\"debug\": true}\n", 0o666)
                .file(&format!("{folder}/client.key"), "key", 0o666)
                .file(&format!("{folder}/docker.service"), "[Service]\nExecStart=/usr/bin/dockerd --icc\n", 0o666)
                .chown(&format!("{folder}/client.key"), 4242, 4242);
        }
        Canaries { within: tree.at("/srv/canary"), outside }
    }

    fn snapshot(&self, tree: &Tree) -> (Snapshot, Vec<(PathBuf, u64)>) {
        let mut all = self.outside.snapshot();
        let within = tree.snapshot().0.into_iter().filter(|(path, _)| path.starts_with("/srv/canary"));
        all.0.extend(within);
        // The change time tells of every touch, also one that was taken back; so does that of a hard link which is renamed.
        let files =
            [self.within.clone(), self.outside.at("/canary")].into_iter().flat_map(|folder| fs::read_dir(folder).unwrap());
        let times = files.map(|file| file.unwrap().path()).map(|path| (fs::symlink_metadata(&path).unwrap(), path));
        let times = times
            .filter(|(meta, _)| meta.nlink() == 1)
            .map(|(meta, path)| (path, meta.ctime().unsigned_abs() * 1_000_000_000 + meta.ctime_nsec().unsigned_abs()));
        let mut times: Vec<_> = times.collect();
        times.sort();
        (all, times)
    }
}

fn link_of_another(tree: &Tree, target: &str) {
    std::os::unix::fs::symlink(target, tree.at(DECOY)).unwrap();
    std::os::unix::fs::lchown(tree.at(DECOY), Some(1000), Some(1000)).unwrap();
}

const SERVICE: &str = "/usr/lib/systemd/system/docker.service";
const KEY: &str = "/etc/docker/certs.d/r.io/client.key";

fn swaps() -> Vec<Swap> {
    vec![
        Swap { name: "link to a file", place: CONFIG, make: |tree, _| link_of_another(tree, "/srv/canary/daemon.json") },
        Swap {
            name: "link upwards",
            place: KEY,
            make: |tree, _| link_of_another(tree, "../../../../../srv/canary/client.key"),
        },
        Swap { name: "link to a directory", place: "/etc/docker", make: |tree, _| link_of_another(tree, "/srv/canary") },
        Swap { name: "link on the way", place: "/etc/docker/certs.d", make: |tree, _| link_of_another(tree, "/srv/canary") },
        Swap { name: "link for a unit", place: SERVICE, make: |tree, _| link_of_another(tree, "/srv/canary/docker.service") },
        Swap { name: "hard link of daemon.json", place: CONFIG, make: |tree, outside| hard_link(tree, outside, "daemon.json") },
        Swap { name: "hard link of a key", place: KEY, make: |tree, outside| hard_link(tree, outside, "client.key") },
        Swap { name: "hard link of a unit", place: SERVICE, make: |tree, outside| hard_link(tree, outside, "docker.service") },
        Swap {
            name: "FIFO for daemon.json",
            place: CONFIG,
            make: |tree, _| {
                tree.fifo(DECOY);
            },
        },
        Swap {
            name: "FIFO for a unit",
            place: SERVICE,
            make: |tree, _| {
                tree.fifo(DECOY);
            },
        },
        Swap {
            name: "FIFO for a socket",
            place: "/run/docker.sock",
            make: |tree, _| {
                tree.fifo(DECOY);
            },
        },
        Swap {
            name: "directory for daemon.json",
            place: CONFIG,
            make: |tree, _| {
                tree.dir(DECOY, 0o777);
            },
        },
        Swap {
            name: "directory of another",
            place: "/etc/docker",
            make: |tree, _| {
                tree.dir(DECOY, 0o777).chown(DECOY, 1000, 1000);
                hard_link_at(tree, "/srv/canary/daemon.json", &format!("{DECOY}/daemon.json"));
            },
        },
        Swap {
            name: "link for a socket",
            place: "/run/docker.sock",
            make: |tree, _| link_of_another(tree, "/srv/canary/client.key"),
        },
        Swap { name: "link for rules.d", place: "/etc/audit/rules.d", make: |tree, _| link_of_another(tree, "/srv/canary") },
        Swap { name: "link for units", place: "/etc/systemd/system", make: |tree, _| link_of_another(tree, "/srv/canary") },
        Swap { name: "link for the state directory", place: STATE_DIR, make: |tree, _| link_of_another(tree, "/srv/canary") },
        Swap {
            name: "link for transactions",
            place: "/var/lib/harden/transactions",
            make: |tree, _| {
                link_of_another(tree, "/srv/canary");
            },
        },
    ]
}

fn hard_link(tree: &Tree, outside: &Path, name: &str) {
    fs::hard_link(outside.join("canary").join(name), tree.at(DECOY)).unwrap();
}

fn hard_link_at(tree: &Tree, of: &str, at: &str) {
    fs::hard_link(tree.at(of), tree.at(at)).unwrap();
}

/// Exchanges two names as fast as it can, until it is told to stop; they are as at first at the end. Returns how often.
fn exchange(one: &Path, other: &Path, stop: &AtomicBool) -> u64 {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    let swap = || renameat2(AT_FDCWD, one, AT_FDCWD, other, RenameFlags::RENAME_EXCHANGE);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        // Whatever harden removed or made meanwhile: the next exchange finds it.
        if swap().is_ok() {
            count += 1;
            while swap().is_err() && !stop.load(Ordering::Relaxed) {}
        }
        std::thread::yield_now();
    }
    count
}

#[test]
fn names_that_are_swapped_meanwhile() {
    let rounds = if whole() { 550 } else { 12 };
    let (exchanges, mut codes) = (AtomicU64::new(0), [0u32; 4]);
    let swaps = swaps();
    for (number, swap) in (0..rounds).flat_map(|number| swaps.iter().map(move |swap| (number, swap))) {
        let tree = scene();
        tree.dir("/srv", 0o755);
        let canaries = Canaries::new(&tree);
        if swap.place.starts_with(STATE_DIR) {
            tree.harden(&["recover"]).expect(0);
        }
        (swap.make)(&tree, canaries.outside.path());
        let before = canaries.snapshot(&tree);
        let stop = AtomicBool::new(false);
        let ran = std::thread::scope(|scope| {
            scope.spawn(|| {
                exchanges.fetch_add(exchange(&tree.at(swap.place), &tree.at(DECOY), &stop), Ordering::Relaxed);
            });
            let ran = end(start(&tree, &APPLY, &[]));
            stop.store(true, Ordering::Relaxed);
            Ran::of(ran, format!("apply, round {number}, while swapping a {}", swap.name))
        });
        assert!([0, 1, 3].contains(&ran.code), "{ran}");
        codes[ran.code as usize] += 1;
        let recovered = tree.harden(&["recover"]);
        assert!([0, 3].contains(&recovered.code), "{recovered} after {ran}");
        let mut after = canaries.snapshot(&tree);
        // A name that was written over is one link less.
        after.1.retain(|(path, _)| before.1.iter().any(|(linked_once, _)| linked_once == path));
        let difference = before.0.difference(&after.0);
        assert!(difference.is_empty() && before.1 == after.1, "{ran}\n{difference:#?}\n{:?}\n{:?}", before.1, after.1);
        // No half-written name is left where harden writes, and it still works once it is left in peace.
        if ran.code != 3 && !swap.place.starts_with(STATE_DIR) {
            tidy(&tree, &ran.to_string());
        }
    }
    let exchanges = exchanges.into_inner();
    println!("{exchanges} exchanges, exit statuses {codes:?}");
    assert!(exchanges > 1000 && codes[0] > 0 && codes[1] > 0, "{exchanges} exchanges, exit statuses {codes:?}");
}

#[test]
fn two_runs_at_once() {
    let sides = Sides::of_scene();
    let delay = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=20000"];
    let tree = scene();
    let begin = tree.snapshot();
    let first = start(&tree, &APPLY, &delay);
    let holder = holder(&tree);
    for args in [&APPLY[..], &["rollback", "--yes"], &["recover"], &["history", "--prune"]] {
        let ran = tree.harden(args).expect(1);
        assert!(ran.stderr().contains(&format!("another harden is at work here (process {holder})")), "{ran}");
    }
    tree.harden(&["history"]).expect(0);
    Ran::of(end(first), "the first".into()).expect(0);
    sides.expect(Side::After, &tree, &begin, "after both");
    assert_eq!(states(&tree), ["in place"]);
    for round in 0..if whole() { 300 } else { 10 } {
        let tree = scene();
        let begin = tree.snapshot();
        let both = [start(&tree, &APPLY, &[]), start(&tree, &APPLY, &[])];
        let ran = both.map(|child| Ran::of(end(child), format!("one of two, round {round}")));
        assert!(ran.iter().any(|ran| ran.code == 0), "{} and {}", ran[0], ran[1]);
        let refused = |ran: &Ran| ran.code == 1 && ran.stderr().contains("another harden is at work here");
        assert!(ran.iter().all(|ran| ran.code == 0 || refused(ran)), "{} and {}", ran[0], ran[1]);
        sides.expect(Side::After, &tree, &begin, &format!("{} and {}", ran[0], ran[1]));
        assert_eq!(states(&tree), ["in place"]);
    }
}

/// How many records the journals have.
fn records(tree: &Tree) -> usize {
    let Ok(folders) = fs::read_dir(tree.at(STATE_DIR).join("transactions")) else { return 0 };
    let journals = folders.filter_map(|folder| fs::read(folder.ok()?.path().join("journal.jsonl")).ok());
    journals.map(|journal| journal.iter().filter(|byte| **byte == b'\n').count()).sum()
}

/// The process that holds the lock, once one does.
fn holder(tree: &Tree) -> i32 {
    let deadline = Instant::now() + TIMEOUT;
    let lock = tree.at(STATE_DIR).join("lock");
    loop {
        let text = fs::read_to_string(&lock).unwrap_or_default();
        if let Some(process) = text.strip_prefix("process ").and_then(|rest| rest.strip_suffix('\n')) {
            return process.parse().unwrap();
        }
        assert!(Instant::now() < deadline, "nobody took the lock");
        std::thread::yield_now();
    }
}

#[test]
fn asked_to_stop() {
    let sides = Sides::of_scene();
    // Slow enough for a signal to come between any two records.
    let delay = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=3000"];
    let (mut interrupted, mut complete) = (0, 0);
    let most = {
        let tree = scene();
        tree.harden(&APPLY).expect(0);
        records(&tree)
    };
    let rounds = if whole() { 1500 } else { most + 5 };
    for round in 0..rounds {
        let signal = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP][round % 3];
        let tree = scene();
        let begin = tree.snapshot();
        let child = start(&tree, &APPLY, &delay);
        let process = holder(&tree);
        let (deadline, from) = (Instant::now() + TIMEOUT, round % (most + 1));
        while records(&tree) < from {
            assert!(Instant::now() < deadline, "there is no record {from}");
        }
        let _ = kill(Pid::from_raw(process), signal);
        let output = end(child);
        let context = format!("{signal} in round {round}: {output:?}");
        match output.status.code() {
            Some(0) => {
                sides.expect(Side::After, &tree, &begin, &context);
                assert_eq!(states(&tree), ["in place"], "{context}");
                complete += 1;
            }
            Some(1) => {
                sides.expect(Side::Before, &tree, &begin, &context);
                let told = String::from_utf8_lossy(&output.stderr).into_owned();
                let put_back = ["interrupted; everything was put back", "interrupted; nothing was changed"];
                assert!(put_back.iter().any(|text| told.contains(text)), "{context}");
                assert_eq!(states(&tree), ["failed, put back"], "{context}");
                interrupted += 1;
            }
            None => {
                // Before anything is written a signal simply ends it.
                assert_eq!(output.status.signal(), Some(signal as i32), "{context}");
                sides.expect(Side::Before, &tree, &begin, &context);
                assert!(states(&tree).is_empty(), "{context}");
            }
            Some(_) => panic!("{context}"),
        }
        assert_eq!(tree.harden(&["recover", "--format", "json"]).expect(0).document()["changed"], false, "{context}");
        tidy(&tree, &context);
        tree.harden(&APPLY).expect(0);
        sides.expect(Side::After, &tree, &begin, &context);
    }
    println!("{interrupted} put back, {complete} complete");
    assert!(interrupted >= most / 2 && complete >= 1, "{interrupted} put back, {complete} complete");
}
