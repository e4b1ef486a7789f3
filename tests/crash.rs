//! The real binary killed, or failed by the kernel, at every system call that matters: the tree is then exactly as before or
//! exactly as after, never between.
//!
//! By default each system call is hit at its first, its last and some of its other occurrences; with `HARDEN_CRASH=all` in the
//! environment at every one (about half an hour). Needs root and strace.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

use common::sides::{APPLY, CONFIG, Side, Sides, scene, states, strace, tidy, timeless, whole};
use common::{BASELINES, Ran, STATE_DIR, Snapshot, Tree};
use serde_json::Value;

const DROP_IN: &str = "/etc/systemd/system/docker.socket.d/zz-harden.conf";
const RULES: &str = "/etc/audit/rules.d/50-harden-docker.rules";
/// What a kill can come before: all that writes, and what opens.
const KILLED: [&str; 19] = [
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
    "statx",
    "utimensat",
];
/// What can fail, and how.
const FAILED: [(&str, &str); 24] = [
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
    ("statx", "EIO"),
    ("fstatfs", "EIO"),
    ("read", "EIO"),
    ("flistxattr", "ENOMEM"),
];

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

#[test]
fn killed_while_applying() {
    let sides = Sides::of_scene();
    let tree = scene();
    let (calls, output) = trace(&tree, &APPLY);
    assert!(output.status.success());
    let (mut visited, mut committed) = (0, 0);
    for call in KILLED {
        for number in numbers(&calls, call, 6) {
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
            assert!(!states(&tree).contains(&"cut short".to_owned()), "{context}");
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
    println!("{visited} kills");
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
    println!("{visited} kills, {gone_back} of them when all was done");
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
            let of_transaction = !tree.state_files().is_empty() && !states(&tree).is_empty();
            assert!(!told || begun || !of_transaction || ran.stderr().contains("nothing was changed"), "{ran}");
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
    println!("exit statuses and how often: {seen:?}");
    let put_back = seen.get(&1).copied().unwrap_or(0);
    assert!(put_back >= 40 && seen.get(&3).is_some_and(|stuck| *stuck >= 2), "{seen:?}");
}

/// Where the only transaction of a tree lies.
fn only_transaction(tree: &Tree) -> String {
    let mut ids: Vec<_> =
        fs::read_dir(tree.at(STATE_DIR).join("transactions")).unwrap().map(|id| id.unwrap().file_name()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    format!("{STATE_DIR}/transactions/{}", ids.remove(0).into_string().unwrap())
}

/// A power cut can shorten what a lying disk said to have written. All was done but the last record when it came.
#[test]
fn documents_cut_short() {
    let sides = Sides::of_scene();
    let (calls, _) = trace(&scene(), &APPLY);
    let records = numbers(&calls, "fdatasync", usize::MAX);
    let cut = records[records.len() - 2];
    let eighths = (0..=8).map(Some).chain([None]);
    for (name, eighth) in
        ["plan.json", "originals.json", "journal.jsonl"].into_iter().flat_map(|name| eighths.clone().map(move |e| (name, e)))
    {
        let context = format!("{name} cut at {eighth:?} eighths");
        let tree = scene();
        let start = tree.snapshot();
        assert!(killed(&tree, &APPLY, "fdatasync", cut));
        let folder = only_transaction(&tree);
        let path = format!("{folder}/{name}");
        let whole = tree.read(&path);
        match eighth {
            // In the middle of a record: one that is missing altogether was never written.
            Some(eighth) => {
                let length = whole.len() * eighth / 8;
                let between = length < whole.len() && whole[..length].ends_with(b"\n");
                fs::write(tree.at(&path), &whole[..length - usize::from(between)]).unwrap();
            }
            None => fs::remove_file(tree.at(&path)).unwrap(),
        }
        let half_done = tree.snapshot();
        let recoverable = eighth == Some(8) || (name == "journal.jsonl" && eighth.is_some());
        if recoverable {
            tree.harden(&["recover"]).expect(0);
            sides.expect(Side::Before, &tree, &start, &context);
            assert_eq!(states(&tree), ["failed, put back"], "{context}");
        } else {
            for args in [&["recover"][..], &APPLY, &["recover"]] {
                let ran = tree.harden(args).expect(3);
                assert!(ran.stderr().contains(&path) && ran.stderr().contains("put back by hand"), "{context}: {ran}");
                let difference = half_done.difference(&tree.snapshot());
                assert!(difference.is_empty(), "{context}: touched {difference:#?}");
            }
            tree.remove(&folder);
        }
        tree.harden(&APPLY).expect(0);
        sides.expect(Side::After, &tree, &start, &context);
        // Half a line at the journal's end must not hide that the transaction was put back already.
        assert_eq!(tree.harden(&["recover", "--format", "json"]).expect(0).document()["changed"], false, "{context}");
        sides.expect(Side::After, &tree, &start, &context);
    }
}

/// The changes of the newest transaction that have no intent on record, in their order: target, mode, owner and group.
fn not_begun(tree: &Tree) -> Vec<(String, u32, u32, u32)> {
    let folder = only_transaction(tree);
    let plan: Value = serde_json::from_slice(&tree.read(&format!("{folder}/plan.json"))).unwrap();
    let journal = tree.text(&format!("{folder}/journal.jsonl"));
    let changes = plan["changes"].as_array().unwrap().iter();
    let open = changes.filter(|change| !journal.contains(&format!("{{\"intent\":{{\"change\":{}}}}}", change["id"])));
    let after = |change: &Value| {
        let (file, number) = (&change["effect"]["file"], |key| change["effect"]["file"]["after"][key].as_u64().unwrap() as u32);
        (file["path"].as_str().unwrap().to_owned(), number("mode"), number("uid"), number("gid"))
    };
    open.map(after).collect()
}

/// An intent is on disk before its effect, so what is as planned without one is somebody else's work: it stays.
#[test]
fn what_somebody_mended_meanwhile_stays() {
    const FILE: &str = "/etc/docker/certs.d/r.io/client.key";
    let (calls, _) = trace(&scene(), &APPLY);
    let records = numbers(&calls, "fdatasync", usize::MAX);
    for torn in [false, true] {
        let tree = scene();
        let before = timeless(&tree.snapshot());
        // The first change is made, and not recorded as done.
        assert!(killed(&tree, &APPLY, "fdatasync", records[2]));
        let open = not_begun(&tree);
        let (_, mode, uid, gid) = open.iter().find(|(path, ..)| path == FILE).unwrap_or_else(|| panic!("{open:?}"));
        tree.chown(FILE, *uid, *gid).chmod(FILE, *mode);
        let mended = timeless(&tree.snapshot()).0[FILE].clone();
        assert_ne!(mended, before.0[FILE]);
        if torn {
            // Then nobody knows which records were lost.
            let journal = format!("{}/journal.jsonl", only_transaction(&tree));
            let text = tree.text(&journal) + "{\"intent";
            tree.file(&journal, text, 0o600);
        }
        tree.harden(&["recover"]).expect(0);
        let now = timeless(&tree.snapshot());
        let expected: Vec<String> = if torn { Vec::new() } else { vec![FILE.to_owned()] };
        assert_eq!(before.difference(&now).into_keys().collect::<Vec<_>>(), expected);
        assert!(torn || now.0[FILE] == mended);
        assert_eq!(states(&tree), ["failed, put back"]);
    }
}

/// What is not harden's stays, and a folder without a journal is taken away.
#[test]
fn folders_without_a_transaction() {
    let tree = scene();
    let at = |name: &str| format!("{STATE_DIR}/transactions/{name}");
    tree.harden(&["recover"]).expect(0);
    tree.dir(&at("20200101T000000Z-1"), 0o700)
        .file(&at("20200101T000000Z-2/plan.json"), "{", 0o600)
        .file(&at("20200101T000000Z-3/journal.jsonl"), "{\"begin", 0o600)
        .file(&at("notes/plan.txt"), "mine", 0o600)
        .file(&at("README"), "mine", 0o600);
    tree.harden(&["recover"]).expect(0);
    let left = fs::read_dir(tree.at(&at(""))).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.collect::<BTreeSet<_>>(), BTreeSet::from(["README".into(), "notes".into()]));
    tree.harden(&APPLY).expect(0);
}

#[test]
fn old_transactions_are_taken_away_and_unfinished_ones_stay() {
    let sides = Sides::of_scene();
    let tree = scene();
    let start = tree.snapshot();
    for _ in 0..12 {
        tree.harden(&APPLY).expect(0);
        tree.harden(&["rollback", "--yes"]).expect(0);
    }
    let folder = format!("{STATE_DIR}/transactions");
    let ids = || {
        let mut ids: Vec<_> =
            fs::read_dir(tree.at(&folder)).unwrap().map(|id| id.unwrap().file_name().into_string().unwrap()).collect();
        ids.sort();
        ids
    };
    for (number, id) in ids().iter().enumerate() {
        fs::rename(tree.at(&format!("{folder}/{id}")), tree.at(&format!("{folder}/20200101T0000{number:02}Z-1"))).unwrap();
    }
    let (calls, _) = trace(&scene(), &APPLY);
    let records = numbers(&calls, "fdatasync", usize::MAX);
    assert!(killed(&tree, &APPLY, "fdatasync", records[records.len() / 2]));
    let unfinished = ids().pop().unwrap();
    fs::rename(tree.at(&format!("{folder}/{unfinished}")), tree.at(&format!("{folder}/20190101T000000Z-1"))).unwrap();
    assert_eq!(ids().len(), 25);
    // Five are beyond the newest twenty; one of them never ended. A killed run leaves the rest to the next.
    for number in [1, 2, 3] {
        assert!(killed(&tree, &["history", "--prune"], "unlinkat", number));
    }
    let ran = tree.harden(&["history", "--prune"]).expect(0);
    assert!(ran.stderr().contains("old transaction"), "{ran}");
    assert_eq!(ids()[0], "20190101T000000Z-1");
    let whole = |id: &&String| tree.exists(&format!("{folder}/{id}/journal.jsonl"));
    assert_eq!(ids().iter().filter(whole).count(), 21, "{:?}", ids());
    tree.harden(&["recover"]).expect(0);
    sides.expect(Side::Before, &tree, &start, "after recovery");
    tree.harden(&["history", "--prune"]).expect(0);
    assert_eq!(ids().len(), 20, "{:?}", ids());
}

/// Calls that change something at a path or an open file.
const EFFECTS: [&str; 11] = [
    "write",
    "linkat",
    "renameat",
    "renameat2",
    "mkdirat",
    "unlinkat",
    "fchownat",
    "fchmodat",
    "setxattr",
    "removexattr",
    "ftruncate",
];

/// This is what recovery relies on: no effect without its intent on disk, in a journal that is in its folder for good.
#[test]
fn a_record_is_on_disk_before_its_effect() {
    let tree = scene();
    tree.harden(&["recover"]).expect(0);
    let (_, plan) = tree.json(&["plan", "-b", "cis-l2"]);
    let changes = plan["changes"].as_array().unwrap();
    let (calls, output) = trace(&tree, &APPLY);
    assert!(output.status.success());
    let journal = |call: &Call| call.rest.contains("/journal.jsonl>");
    let (mut last, mut on_disk, mut effects) = (String::new(), true, BTreeMap::new());
    for call in &calls {
        match call.name.as_str() {
            "write" if journal(call) => {
                assert!(on_disk, "before {call:?} the record {last} was not synced");
                last = call.rest.clone();
                on_disk = false;
            }
            "fdatasync" if journal(call) => on_disk = true,
            name if EFFECTS.contains(&name) && !call.rest.contains(STATE_DIR) && !call.rest.starts_with("1<") => {
                assert!(on_disk && last.contains(r#"\"intent\""#), "{call:?} after the record {last}");
                // The intent of this very change: the call names its target, or the folder in which it gets its name.
                let id = last.split(r#"\"change\":\""#).nth(1).and_then(|rest| rest.split('\\').next()).unwrap();
                let target = changes.iter().find(|change| change["id"] == id).unwrap()["target"].as_str().unwrap();
                let folder = tree.at(&common::parent(target)).display().to_string();
                let opened = call.rest.contains("/proc/self/fd/");
                assert!(opened || call.rest.contains(&folder), "{call:?} after the intent of {target}");
                *effects.entry(last.clone()).or_insert(0) += 1;
            }
            _ => {}
        }
    }
    assert!(on_disk && last.contains("committed"), "{last}");
    assert_eq!(effects.len(), changes.len(), "{effects:#?}");
    // Plan and originals come first of all, and the journal is in its folder, which is in its own.
    let of = |name: &str, text: &str| calls.iter().position(|call| call.name == name && call.rest.contains(text)).unwrap();
    let begin = of("write", r#"\"begin\""#);
    let synced = |after: usize, folder: &str| {
        let is = |call: &Call| call.name == "fsync" && call.rest.contains("/transactions") && call.rest.contains(folder);
        calls[after..begin].iter().any(is)
    };
    for document in ["\"plan.json\"", "\"originals.json\""] {
        let linked = of("linkat", document);
        assert!(linked < begin && synced(linked, "/transactions/"), "{document}");
    }
    let created = calls.iter().position(|call| call.rest.contains("\"journal.jsonl\"") && call.rest.contains("O_CREAT|O_EXCL"));
    let created = created.unwrap();
    assert!(synced(created, "/transactions/"), "{:?}", calls[created]);
    let renamed = calls[..created].iter().rposition(|call| call.name.starts_with("rename")).unwrap();
    assert!(synced(renamed, "/transactions>"), "{:?}", calls[renamed]);
}

#[test]
fn a_file_is_on_disk_before_it_has_its_name_and_its_name_before_the_next_record() {
    let tree = scene();
    let (calls, _) = trace(&tree, &APPLY);
    let argument =
        |call: &Call| call.rest.split(", ").next().unwrap().trim_end_matches(')').split(')').next().unwrap().to_owned();
    for path in [CONFIG, DROP_IN, RULES] {
        let (dir, name) = path.rsplit_once('/').unwrap();
        let names = |call: &Call, name: &str| call.rest.contains(&format!("\"{name}\""));
        let named = |call: &&Call| ["linkat", "renameat", "renameat2"].contains(&call.name.as_str()) && names(call, name);
        let published = calls.iter().find(named).unwrap_or_else(|| panic!("{path} was not written"));
        let at = |call: &Call| calls.iter().position(|other| std::ptr::eq(other, call)).unwrap();
        // A file that takes the place of another has a temporary name first.
        let linked = match published.name.as_str() {
            "linkat" => published,
            _ => {
                let temporary = published.rest.split('"').nth(1).unwrap();
                calls.iter().find(|call| call.name == "linkat" && names(call, temporary)).unwrap()
            }
        };
        let file = argument(linked);
        let before = &calls[..at(linked)];
        let last = |name: &str| before.iter().rposition(|call| call.name == name && argument(call) == file);
        let (written, synced) = (last("write").unwrap(), last("fsync").unwrap_or_else(|| panic!("{path} was not synced")));
        assert!(written < synced, "{path}: written at {written}, synced at {synced}");
        let changed = before[synced..].iter().find(|call| ["write", "fchownat", "ftruncate"].contains(&call.name.as_str()));
        assert!(changed.is_none(), "{path}: {changed:?} after it was synced");
        let rest = &calls[at(published)..];
        let recorded = rest.iter().position(|call| call.name == "write" && call.rest.contains("/journal.jsonl>")).unwrap();
        let folder = format!("{}{dir}>", tree.path().display());
        let in_order = rest[..recorded].iter().any(|call| call.name == "fsync" && call.rest.contains(&folder));
        assert!(in_order, "{path}: its folder was not synced before the next record");
    }
}

/// Numbers that look like chance, and are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

fn generated(seed: u64) -> Tree {
    let mut chance = Chance(seed);
    let tree = scene();
    let configs = [
        "",
        "{}",
        "{\"icc\":true}",
        "{\n    \"live-restore\": false,\n    \"hosts\": [\"fd://\"]\n}",
        "{\"log-opts\":{\"max-size\":\"1g\"}}\r\n",
    ];
    if chance.below(3) > 0 {
        tree.file(CONFIG, chance.of(&configs), 0o644);
    } else if chance.below(2) == 0 {
        tree.remove(CONFIG);
    }
    let places = [
        "/etc/docker",
        "/etc/default/docker",
        "/usr/lib/systemd/system/docker.service",
        "/usr/lib/systemd/system/docker.socket",
        "/etc/docker/certs.d/r.io",
        "/etc/docker/certs.d/r.io/ca.crt",
        "/etc/docker/certs.d/r.io/client.key",
        "/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/usr/bin/dockerd",
    ];
    for place in places {
        if chance.below(2) == 0 {
            tree.chown(place, chance.of(&[0, 1000, 4242]) as u32, chance.of(&[0, 999, 4242]) as u32);
        }
        if chance.below(2) == 0 {
            tree.chmod(place, chance.of(&[0o644, 0o666, 0o2775, 0o4755, 0o600, 0o7777, 0o1777, 0o755]));
        }
        if chance.below(4) == 0 && !place.starts_with("/run") {
            tree.set_xattr(place, "system.posix_acl_access", &common::acl_for_user_1000()).set_xattr(place, "user.x", b"1");
        }
    }
    if chance.below(2) == 0 {
        tree.file(DROP_IN, "[Socket]\nSocketMode=0666\n", 0o600);
    }
    if chance.below(2) == 0 {
        tree.file(RULES, "-w /etc/docker -p wa\n", 0o666);
    }
    tree
}

/// A tree with the times of its files, not of its directories, in which names come and go.
fn timed_files(tree: &Tree) -> Snapshot {
    let snapshot = tree.snapshot();
    let directories = snapshot.0.iter().filter(|(_, entry)| entry.mode & libc::S_IFMT == libc::S_IFDIR);
    snapshot.timeless(&directories.map(|(path, _)| path.clone()).collect())
}

#[test]
fn rolling_back_is_the_opposite_of_applying() {
    let mut applied = 0;
    for seed in 0..if whole() { 500 } else { 20 } {
        let tree = generated(seed);
        let before = timed_files(&tree);
        let baseline = BASELINES[seed as usize % BASELINES.len()];
        let ran = tree.harden(&["apply", "--yes", "--keep-going", "-b", baseline]);
        let after = timed_files(&tree);
        let context = format!("tree {seed}, {ran}");
        match ran.code {
            0 => applied += usize::from(before != after),
            1 => assert_eq!(before, after, "{context}"),
            _ => panic!("{context}"),
        }
        if before == after {
            continue;
        }
        tree.harden(&["rollback", "--yes"]).expect(0);
        let difference = before.difference(&timed_files(&tree));
        assert!(difference.is_empty(), "{context}: {difference:#?}");
        // And back again, and again: what undoes a rollback is none.
        let rollback = ids(&tree)[0].clone();
        tree.harden(&["rollback", "--yes", &rollback]).expect(0);
        let difference = after.difference(&timed_files(&tree));
        assert!(difference.is_empty(), "{context}: {difference:#?}");
        let (all, states) = (ids(&tree), states(&tree));
        assert_eq!(states, ["in place".to_owned(), format!("rolled back by {}", all[0]), "in place".into()], "{context}");
        let again = tree.harden(&["rollback", "--yes", &rollback]).expect(1);
        assert!(again.stderr().contains("was rolled back already"), "{again}");
        tree.harden(&["rollback", "--yes"]).expect(0);
        let difference = before.difference(&timed_files(&tree));
        assert!(difference.is_empty(), "{context}: {difference:#?}");
        tree.harden(&["rollback", "--yes"]).expect(1);
        tidy(&tree, &context);
    }
    assert!(applied >= 10, "{applied}");
}

/// Ids of all transactions, newest first.
fn ids(tree: &Tree) -> Vec<String> {
    let ran = tree.harden(&["history", "--format", "json"]).expect(0);
    let document: Value = serde_json::from_slice(&ran.out).unwrap();
    document["transactions"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_changed_since_is_left_alone_unless_forced() {
    let tree = scene();
    // Where others can change the directory, nothing is written, by force neither.
    tree.chown("/etc/docker", 0, 0).chmod("/etc/docker", 0o755);
    let before = timeless(&tree.snapshot());
    let (socket_unit, mine) = ("/etc/systemd/system/docker.socket.d", "/etc/systemd/system/docker.socket.d/90-mine.conf");
    tree.harden(&APPLY).expect(0);
    let id = ids(&tree)[0].clone();
    tree.file(CONFIG, "{\"mine\": true}", 0o644).chmod("/etc/default/docker", 0o600).file(mine, "[Socket]\n", 0o644);
    let args = ["rollback", "--yes", &id, "--format", "json"];
    let ran = tree.harden(&args).expect(1);
    for named in [
        format!("{CONFIG} was changed since: its content differs; left alone"),
        "/etc/default/docker was changed since: its mode is 0600 instead of 0644; left alone".into(),
        format!("{socket_unit} was changed since: it holds 90-mine.conf; left alone"),
        "--force".into(),
    ] {
        assert!(ran.stderr().contains(&named), "{named}: {ran}");
    }
    let document = ran.document();
    assert_eq!((&document["changed"], &document["failed"]), (&true.into(), &true.into()), "{ran}");
    let now = timeless(&tree.snapshot());
    let difference: Vec<String> = before.difference(&now).into_keys().collect();
    assert_eq!(difference, ["/etc/default/docker", CONFIG, socket_unit, mine]);
    assert_eq!(tree.text(CONFIG), "{\"mine\": true}");
    // By force also that goes, but never a file that somebody put beside harden's.
    let ran = tree.harden(&["rollback", "--yes", &id, "--force"]).expect(1);
    assert!(ran.stderr().contains(&format!("{socket_unit} was changed since: it holds 90-mine.conf; left alone")), "{ran}");
    assert!(ran.stderr().contains(&format!("{CONFIG} was changed since: its content differs; put back all the same")), "{ran}");
    let difference: Vec<String> = before.difference(&timeless(&tree.snapshot())).into_keys().collect();
    assert_eq!(difference, [socket_unit, mine]);
    let kept = tree.read(&format!("{STATE_DIR}/transactions/{}/originals.json", ids(&tree)[0]));
    let kept: Value = serde_json::from_slice(&kept).unwrap();
    let kept: Vec<&Value> = kept["files"].as_array().unwrap().iter().filter(|file| file["path"] == CONFIG).collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0]["state"]["content"].to_string().contains("mine"), "{kept:?}");
    // Without it, nothing is left to do.
    tree.remove(mine);
    tree.harden(&["rollback", "--yes", &id, "--force"]).expect(0);
    assert_eq!(timeless(&tree.snapshot()), before);
}
