//! Transactions that an older harden wrote, that a later one wrote, and that nobody can read any more; and what must not be written.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::sides::states;
use common::{Ran, STATE_DIR, Tree, set_immutable};
use serde_json::Value;

const CONFIG: &str = "/etc/docker/daemon.json";
/// What the first harden wrote: an apply, and the rollback of it. The file that it put back had this time before.
const FIRST: &str = "20261122T062846.282Z-29472";
const ROLLBACK: &str = "20261122T062846.296Z-29473";
const MTIME: i128 = 1_735_787_045_678_901_234;

fn recorded(id: &str, name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/transactions").join(id).join(name)).unwrap()
}

fn keep(tree: &Tree, id: &str) {
    for name in ["plan.json", "originals.json", "journal.jsonl"] {
        tree.file(&format!("{STATE_DIR}/transactions/{id}/{name}"), recorded(id, name), 0o600);
    }
    for dir in ["", "/transactions", &format!("/transactions/{id}")] {
        tree.chmod(&format!("{STATE_DIR}{dir}"), 0o700);
    }
}

/// A tree as the first harden's plan left it.
fn as_applied() -> Tree {
    let tree = Tree::empty();
    tree.file("/etc/hostname", "old\n", 0o644);
    let plan: Value = serde_json::from_slice(&recorded(FIRST, "plan.json")).unwrap();
    let originals: Value = serde_json::from_slice(&recorded(FIRST, "originals.json")).unwrap();
    for change in plan["changes"].as_array().unwrap() {
        let (path, after) = (&change["effect"]["file"]["path"], &change["effect"]["file"]["after"]);
        let (path, mode) = (path.as_str().unwrap(), after["mode"].as_u64().unwrap() as u32);
        match after["kind"].as_str().unwrap() {
            "dir" => tree.dir(path, mode),
            _ => tree.file(path, after["content"]["text"].as_str().unwrap_or_default(), mode),
        };
        let original = originals["files"].as_array().unwrap().iter().find(|file| file["change"] == change["id"]).unwrap();
        for (name, value) in original["state"]["xattrs"].as_object().into_iter().flatten() {
            tree.set_xattr(path, name, &bytes(value));
        }
        // An ACL brings its own.
        tree.chmod(path, mode);
    }
    tree
}

fn bytes(value: &Value) -> Vec<u8> {
    match (value["text"].as_str(), value["hex"].as_str()) {
        (Some(text), _) => text.into(),
        (None, hex) => {
            let pairs = hex.unwrap().as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
        }
    }
}

fn expect_originals(tree: &Tree) {
    let snapshot = tree.snapshot().0;
    let daemon_json = &snapshot[CONFIG];
    assert_eq!(String::from_utf8_lossy(&daemon_json.content), "{\n    \"log-level\": \"debug\"\n}\n");
    assert_eq!((daemon_json.mode & 0o7777, daemon_json.uid, daemon_json.gid), (0o664, 1000, 1000));
    assert_eq!(daemon_json.mtime_ns, MTIME, "the first harden kept it, though it did not put it back");
    assert_eq!(
        daemon_json.xattrs.keys().map(|name| String::from_utf8_lossy(name)).collect::<Vec<_>>(),
        ["system.posix_acl_access", "user.note"]
    );
    assert_eq!(snapshot["/etc/default/docker"].mode & 0o7777, 0o777);
    assert!(!tree.exists("/etc/systemd/system/docker.socket.d"));
}

#[test]
fn what_the_first_harden_wrote_is_read_forever() {
    let tree = as_applied();
    keep(&tree, FIRST);
    let applied = tree.snapshot();
    assert_eq!(states(&tree), ["in place"]);
    let shown = tree.harden(&["history", FIRST]).expect(0).stdout();
    assert!(
        shown.starts_with(&format!("{FIRST}: in place\n2026-11-22T06:28:46Z, uid 0, harden --root tree apply --yes")),
        "{shown}"
    );
    assert!(shown.contains("+    \"log-level\": \"info\","), "{shown}");
    tree.harden(&["rollback", "--yes"]).expect(0);
    expect_originals(&tree);

    // Its own rollback, undone: attributes and all. The time of new content is new.
    tree.remove(STATE_DIR);
    for id in [FIRST, ROLLBACK] {
        keep(&tree, id);
    }
    assert_eq!(states(&tree), ["in place", &format!("rolled back by {ROLLBACK}")]);
    tree.harden(&["rollback", "--yes", ROLLBACK]).expect(0);
    let timeless = |snapshot: &common::Snapshot| common::sides::timeless(snapshot);
    let difference = timeless(&applied).difference(&timeless(&tree.snapshot()));
    assert!(difference.is_empty(), "{difference:#?}");
}

#[test]
fn what_the_first_harden_left_unfinished_is_put_back() {
    let journal = String::from_utf8(recorded(FIRST, "journal.jsonl")).unwrap();
    let whole: Vec<&str> = journal.split_inclusive('\n').collect();
    let tree = as_applied();
    keep(&tree, FIRST);
    tree.file(&format!("{STATE_DIR}/transactions/{FIRST}/journal.jsonl"), whole[..whole.len() - 1].concat(), 0o600);
    assert_eq!(states(&tree), ["cut short"]);
    tree.harden(&["recover"]).expect(0);
    expect_originals(&tree);
    assert_eq!(states(&tree), ["failed, put back"]);
}

/// Rows of `history` as JSON by their state.
fn rows(tree: &Tree) -> BTreeMap<String, Value> {
    let ran = tree.harden(&["history", "--format", "json"]).expect(0);
    let document: Value = serde_json::from_slice(&ran.out).unwrap();
    let rows = document["transactions"].as_array().unwrap().clone();
    rows.into_iter().map(|row| (row["state"].as_str().unwrap().to_owned(), row)).collect()
}

#[test]
fn a_transaction_that_cannot_be_read_is_not_hidden() {
    let cases = [
        ("plan.json", "{", "it can't be read: EOF while parsing an object at line 1 column 1", ""),
        (
            "plan.json",
            r#"{"schema": "harden/plan/2"}"#,
            "its format is `harden/plan/2`, this harden reads `harden/plan/1`",
            "use the harden that wrote it, or ",
        ),
        (
            "originals.json",
            "[]",
            "it can't be read: invalid length 0, expected struct Head with 1 element at line 1 column 2",
            "",
        ),
    ];
    for (name, text, why, way_out) in cases {
        let tree = as_applied();
        let older = "20251122T062846.282Z-1";
        keep(&tree, FIRST);
        let folder = format!("{STATE_DIR}/transactions/{FIRST}");
        fs::create_dir(tree.at(&format!("{STATE_DIR}/transactions/{older}"))).unwrap();
        for entry in ["plan.json", "originals.json", "journal.jsonl"] {
            fs::copy(tree.at(&format!("{folder}/{entry}")), tree.at(&format!("{STATE_DIR}/transactions/{older}/{entry}")))
                .unwrap();
        }
        // What is not a transaction is none of harden's.
        tree.file(&format!("{STATE_DIR}/transactions/notes/plan.txt"), "", 0o600);
        tree.file(&format!("{folder}/{name}"), text, 0o600);
        let before = tree.snapshot();
        let place = tree.at(&folder).display().to_string();
        let shown = tree.harden(&["history"]).expect(0).stdout();
        assert!(shown.starts_with(&format!("{FIRST} unreadable: {name}: {why}; it lies in {place}\n{older}")), "{shown}");
        let rows = rows(&tree);
        assert_eq!(rows.len(), 2);
        let row = &rows[&format!("unreadable: {name}: {why}")];
        assert_eq!((row["id"].as_str(), row["originals"].as_str()), (Some(FIRST), Some(place.as_str())));
        // Nothing is undone beneath it unasked.
        for args in [&["rollback", "--yes"][..], &["rollback", "--yes", FIRST], &["history", FIRST]] {
            let ran = tree.harden(args).expect(1);
            let said = format!(
                "harden: {FIRST} can't be read, so it can't be undone: {name}: {why}\n  help: {way_out}put back by hand what \
                 {place}/originals.json holds\n"
            );
            assert_eq!(ran.stderr(), said);
        }
        assert!(before.difference(&tree.snapshot()).is_empty());
        tree.harden(&["history", older]).expect(0);
    }
}

#[test]
fn what_a_later_harden_left_unfinished_is_not_touched() {
    let tree = as_applied();
    keep(&tree, FIRST);
    let path = format!("{STATE_DIR}/transactions/{FIRST}/journal.jsonl");
    let later = "{\"begin\":{\"schema\":\"harden/transaction/2\"}}\n{\"moving\":{\"change\":\"c1\"}}\n";
    tree.file(&path, later, 0o600);
    let before = tree.snapshot();
    for args in [&["recover"][..], &["apply", "--yes"], &["rollback", "--yes"]] {
        let ran = tree.harden(args).expect(3);
        let said = ran.stderr();
        assert!(said.contains("its format is `harden/transaction/2`, this harden reads `harden/transaction/1`"), "{said}");
        assert!(said.contains("use the harden that wrote it"), "{said}");
    }
    assert!(before.difference(&tree.snapshot()).is_empty());
    assert_eq!(
        states(&tree),
        ["unreadable: journal.jsonl: its format is `harden/transaction/2`, this harden reads `harden/transaction/1`"]
    );
}

#[test]
fn this_host_is_no_image_tree() {
    let link = Tree::empty();
    link.link("/to-root", "/");
    let through_link = link.at("/to-root");
    for root in ["/", "//", "/.", "/etc/..", through_link.to_str().unwrap()] {
        for command in [&["check"][..], &["apply", "--yes"], &["history"]] {
            let ran = common::harden(&[command, &["--root", root]].concat()).expect(64);
            assert_eq!(
                ran.stderr(),
                "harden: `--root /` is no image tree: it is this host, whose daemon, sockets and kernel would go unseen\n  help: leave \
                 --root out to judge this host\n"
            );
        }
    }
}

#[test]
fn originals_in_an_image_tree_are_mentioned() {
    let tree = Tree::host();
    let said = tree.harden(&["apply", "--yes", "--only", "daemon-l*"]).expect(0).stdout();
    let state_dir = tree.at(STATE_DIR).display().to_string();
    let words: Vec<&str> = said.split_whitespace().collect();
    let said = words.join(" ");
    let line = format!("they are part of the tree; without a way back: rm -r {state_dir} Next harden rollback");
    assert!(said.contains(&line), "{said}");
    fs::remove_dir_all(&state_dir).unwrap();
    tree.harden(&["check", "--only", "daemon-l*"]).expect(0);
    assert!(!Path::new(&state_dir).exists());
}

const ONLY: [&str; 4] = ["--only", "daemon-l*", "--only", "file-daemon-json-mode"];

#[test]
fn an_immutable_file_is_withheld_and_keeps_its_flag() {
    let tree = Tree::host();
    tree.chmod(CONFIG, 0o666);
    let saved = tree.at("/saved.plan");
    tree.harden(&[&["plan", "-o", saved.to_str().unwrap()], &ONLY[..]].concat()).expect(2);
    for (path, is) in [(CONFIG, "is immutable"), ("/etc/docker", "is immutable")] {
        let shown = tree.at(path).display().to_string();
        let before = tree.snapshot();
        set_immutable(&tree.at(path), true);
        let planned = tree.harden(&[&["plan"], &ONLY[..]].concat());
        let applied = tree.harden(&[&["apply", "--yes"], &ONLY[..]].concat());
        // Also with a plan of before.
        let late = tree.harden(&["apply", saved.to_str().unwrap(), "--yes"]);
        let flags = Command::new("lsattr").arg("-d").arg(tree.at(path)).output().unwrap();
        set_immutable(&tree.at(path), false);
        assert!(String::from_utf8_lossy(&flags.stdout).split(' ').next().unwrap().contains('i'), "{flags:?}");
        let text = planned.expect(2).stdout();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&format!("{shown} {is}; lift that first: `chattr -i {shown}`")), "{text}");
        let said = applied.expect(1).stderr();
        assert_eq!(
            said,
            format!(
                "harden: {CONFIG}: {shown} {is}; lift that first: `chattr -i {shown}`; nothing was changed\n  help: mend it there, or \
                 apply the rest with --keep-going\n"
            )
        );
        let said = late.expect(1).stderr();
        assert!(
            said.contains(&format!("withheld: {shown} {is}; lift that first: `chattr -i {shown}`; nothing was changed")),
            "{said}"
        );
        let difference = before.difference(&tree.snapshot());
        assert_eq!(difference.keys().filter(|path| *path != "/var/lib").collect::<Vec<_>>(), Vec::<&String>::new());
    }
    tree.harden(&[&["apply", "--yes"], &ONLY[..]].concat()).expect(0);
}

/// A read-only bind mount has the device of the file system that is mounted for writing.
#[test]
fn a_read_only_mount_is_withheld() {
    let tree = Tree::host();
    tree.chmod(CONFIG, 0o666).chmod("/etc/default/docker", 0o666);
    let run = |how: &str, args: &[&str]| {
        let script = format!("mount --bind \"$1\" \"$1\" && mount -o remount,bind,{how} \"$1\" && shift && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]).arg(tree.at("/etc/docker")).arg(env!("CARGO_BIN_EXE_harden"));
        command.args(args).args(ONLY).args(["--only", "file-etc-default-docker-mode", "--root"]).arg(tree.path());
        Ran::of(command.env("NO_COLOR", "1").output().unwrap(), format!("{args:?} where /etc/docker is mounted {how}"))
    };
    let shown = tree.at(CONFIG).display().to_string();
    let reason = format!("{shown} lies on a file system that is mounted read-only; see `findmnt -T {shown}`");
    let report = run("ro", &["plan", "-b", "cis-l2", "--format", "json"]).expect(2).document();
    let targets: Vec<&Value> = report["changes"].as_array().unwrap().iter().map(|change| &change["target"]).collect();
    assert_eq!(targets, ["/etc/default/docker"]);
    let withheld: Vec<&Value> =
        report["findings"].as_array().unwrap().iter().map(|finding| &finding["fix"]["reason"]).collect();
    assert!(withheld.iter().any(|told| told.as_str() == Some(&format!("withheld: {reason}"))), "{withheld:?}");
    let said = run("ro", &["apply", "-b", "cis-l2", "--yes"]).expect(1).stderr();
    assert!(said.contains(&format!("{reason}; nothing was changed")), "{said}");
    run("ro", &["apply", "-b", "cis-l2", "--yes", "--keep-going"]);
    assert_eq!(tree.snapshot().0["/etc/default/docker"].mode & 0o7777, 0o644);
    assert_eq!(tree.snapshot().0[CONFIG].mode & 0o7777, 0o666);
    run("rw", &["apply", "-b", "cis-l2", "--yes"]).expect(0);
    assert_eq!(tree.snapshot().0[CONFIG].mode & 0o7777, 0o644);
}
