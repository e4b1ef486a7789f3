//! Tests of [`super`] on real files.

use super::*;
use crate::fact::Content;
use crate::file_state::Standing;
use crate::formats::acl;
use crate::host::scratch::{Scratch, acl_for_user_1000, mark, strace, strace_any, traced_calls, while_swapping};

const FILE: &str = "/etc/docker/daemon.json";

/// A tree with one file that has everything: owner, mode, ACL, attributes.
fn tree() -> Scratch {
    let scratch = Scratch::new();
    scratch.file(FILE, "old\n", 0o660).chown(FILE, 5, 999);
    scratch.set_xattr(FILE, acl::ACCESS, &acl_for_user_1000());
    scratch.set_xattr(FILE, "user.note", b"kept\0\xff").set_xattr(FILE, "trusted.note", b"").set_xattr(FILE, "user.empty", b"");
    scratch.set_xattr(FILE, "security.selinux", b"system_u:object_r:container_config_t:s0\0");
    scratch
}

fn state(scratch: &Scratch, path: &str) -> FileState {
    scratch.root().state(path).unwrap().unwrap()
}

/// The error's text with the scratch folder left out.
fn refusal<T: std::fmt::Debug>(scratch: &Scratch, outcome: Result<T>) -> String {
    outcome.unwrap_err().to_string().replace(scratch.at("").to_str().unwrap().trim_end_matches('/'), "")
}

fn mode(mode: u32) -> Meta {
    Meta { mode: Some(mode), ..Meta::default() }
}

fn writers(root: &Root) -> [Writer<'_>; 2] {
    [Writer::new(root), Writer { unnamed: false, ..Writer::new(root) }]
}

#[test]
fn a_replaced_file_keeps_everything_but_its_content() {
    for number in 0..2 {
        let scratch = tree();
        let root = scratch.root();
        let before = state(&scratch, FILE);
        assert_eq!(before.xattrs.len(), 5, "{before:?}");
        writers(&root)[number].replace(FILE, Some(&before), b"new\n", &Meta::default()).unwrap();
        let after = state(&scratch, FILE);
        let content = Some(Content(b"new\n".to_vec()));
        assert_eq!(after, FileState { content, mtime_ns: after.mtime_ns, ..before });
        assert_eq!(scratch.names("/etc/docker"), ["daemon.json"]);
    }
}

#[test]
fn a_replaced_file_takes_what_is_said() {
    let scratch = tree();
    let root = scratch.root();
    let before = state(&scratch, FILE);
    let meta = Meta { mode: Some(0o600), uid: Some(0), gid: Some(0), ..Meta::default() };
    Writer::new(&root).replace(FILE, Some(&before), b"", &meta).unwrap();
    let after = state(&scratch, FILE);
    assert_eq!(scratch.modes(FILE), "0600 0 0");
    assert_eq!(after.xattrs["user.note"], before.xattrs["user.note"]);
    // The entry of user 1000 is there, but the mask leaves it nothing.
    let entries = acl::decode(&after.xattrs[acl::ACCESS].0).unwrap();
    assert!(entries.iter().all(|entry| entry.bits == 0), "{entries:?}");
    let wanted = meta.over(FileState { content: Some(Content(Vec::new())), ..before });
    assert_eq!(after, FileState { mtime_ns: after.mtime_ns, ..wanted });
}

#[test]
fn a_new_file_is_private_unless_said_otherwise() {
    for number in 0..2 {
        let scratch = Scratch::new();
        scratch.dir("/etc", 0o755);
        // A default ACL of the directory must not open the new file to others.
        scratch.set_xattr("/etc", "system.posix_acl_default", &acl_for_user_1000());
        let root = scratch.root();
        let writer = &writers(&root)[number];
        writer.replace("/etc/private", None, b"x", &Meta::default()).unwrap();
        writer.replace("/etc/public", None, b"x", &Meta { gid: Some(7), ..mode(0o644) }).unwrap();
        assert_eq!((scratch.modes("/etc/private"), scratch.modes("/etc/public")), ("0600 0 0".into(), "0644 0 7".into()));
        assert!(state(&scratch, "/etc/private").xattrs.is_empty());
        assert_eq!(
            refusal(&scratch, writer.replace("/etc/private", None, b"y", &Meta::default())),
            "/etc/private: changed since it was looked at: it is there by now\n  help: run `harden plan` again"
        );
        assert_eq!(scratch.text("/etc/private"), "x");
        assert_eq!(scratch.names("/etc"), ["private", "public"]);
    }
}

#[test]
fn the_name_is_taken_only_when_it_is_free_at_that_moment() {
    for unnamed in [true, false] {
        let scratch = Scratch::new();
        scratch.dir("/d", 0o755);
        let dir: OwnedFd = std::fs::File::open(scratch.at("/d")).unwrap().into();
        let staged = Staged::file(&dir, unnamed).unwrap();
        scratch.file("/d/x", "faster", 0o600);
        assert_eq!(staged.publish_new("x"), Err(nix::errno::Errno::EEXIST));
        assert_eq!((scratch.text("/d/x"), scratch.names("/d")), ("faster".into(), vec!["x".to_string()]));
    }
}

#[test]
fn a_file_that_changed_meanwhile_is_left_alone() {
    type Edit = fn(&Scratch);
    let cases: [(Edit, &str); 6] = [
        (|s| _ = s.file(FILE, "other\n", 0o660), "its content differs"),
        (|s| _ = s.chmod(FILE, 0o600), "its mode is 0600 instead of 0660"),
        (|s| _ = s.chown(FILE, 6, 999), "its owner is 6:999 instead of 5:999"),
        (|s| _ = s.set_xattr(FILE, "user.note", b"x"), "its attribute user.note differs"),
        (|s| _ = s.set_xattr(FILE, "user.more", b"x"), "its attribute user.more differs"),
        (|s| std::fs::remove_file(s.at(FILE)).unwrap(), "it is not there any more"),
    ];
    for (number, (edit, why)) in cases.into_iter().enumerate() {
        let scratch = tree();
        let root = scratch.root();
        let before = state(&scratch, FILE);
        edit(&scratch);
        let edited = root.state(FILE).unwrap();
        let expected = format!("{FILE}: changed since it was looked at: {why}\n  help: run `harden plan` again");
        let writer = Writer::new(&root);
        assert_eq!(refusal(&scratch, writer.replace(FILE, Some(&before), b"new", &Meta::default())), expected);
        assert_eq!(refusal(&scratch, writer.remove(FILE, &before)), expected);
        if number > 0 {
            assert_eq!(refusal(&scratch, writer.set_metadata(FILE, &before, &mode(0o600))), expected);
        }
        assert_eq!(root.state(FILE).unwrap(), edited);
        assert!(scratch.names("/etc/docker").iter().all(|name| name == "daemon.json"));
    }
}

#[test]
fn a_file_that_changes_while_its_successor_is_staged_is_left_alone() {
    type Edit = fn(&Scratch);
    let edits: [(Edit, &str); 3] = [
        (|s| _ = s.file(FILE, "old\n", 0o660), "somebody writes it right now"),
        (|s| std::fs::rename(s.at("/etc/other"), s.at(FILE)).unwrap(), "somebody writes it right now"),
        (|s| std::fs::remove_file(s.at(FILE)).unwrap(), "it is not there any more"),
    ];
    for (edit, why) in edits {
        let scratch = tree();
        scratch.file("/etc/other", "old\n", 0o660);
        let root = scratch.root();
        let target = Target::find(&root, FILE).unwrap();
        let found = target.open(CONTENT_LIMIT).unwrap();
        target.refuse_touched(&found).unwrap();
        // File systems stamp changes with the time of the last clock tick.
        std::thread::sleep(std::time::Duration::from_millis(20));
        edit(&scratch);
        let expected = format!("{FILE}: changed since it was looked at: {why}\n  help: run `harden plan` again");
        assert_eq!(refusal(&scratch, target.refuse_touched(&found)), expected);
    }
}

#[test]
fn metadata_is_set_on_files_directories_and_sockets() {
    let scratch = Scratch::new();
    scratch.file("/f", "x", 0o4777).chown("/f", 1000, 1000).chmod("/f", 0o4777).dir("/d", 0o1777).socket("/s", 0o666);
    scratch.link("/link", "s", 0).set_xattr("/s", acl::ACCESS, &acl_for_user_1000());
    let root = scratch.root();
    let writer = Writer::new(&root);
    let meta = Meta { uid: Some(0), gid: Some(999), ..mode(0o4755) };
    writer.set_metadata("/f", &state(&scratch, "/f"), &meta).unwrap();
    // Changing the owner alone must not lose the setuid bit.
    writer.set_metadata("/f", &state(&scratch, "/f"), &Meta { uid: Some(7), ..Meta::default() }).unwrap();
    writer.set_metadata("/d", &state(&scratch, "/d"), &mode(0o750)).unwrap();
    let before = state(&scratch, "/s");
    writer.set_metadata("/link", &before, &Meta { gid: Some(999), ..mode(0o600) }).unwrap();
    assert_eq!(scratch.modes("/f"), "4755 7 999");
    assert_eq!(scratch.modes("/d"), "0750 0 0");
    assert_eq!(scratch.modes("/s"), "0600 0 999");
    writer.restore("/s", Some(&state(&scratch, "/s")), Some(&before), None).unwrap();
    assert_eq!(state(&scratch, "/s"), before);
}

#[test]
fn an_acl_can_be_removed_and_put_back() {
    let scratch = tree();
    let root = scratch.root();
    let writer = Writer::new(&root);
    let before = state(&scratch, FILE);
    let mut xattrs = before.xattrs.clone();
    xattrs.remove(acl::ACCESS);
    let meta = Meta { xattrs: Some(xattrs), ..mode(0o640) };
    writer.set_metadata(FILE, &before, &meta).unwrap();
    let after = state(&scratch, FILE);
    assert_eq!((after.xattrs.len(), scratch.modes(FILE)), (4, "0640 5 999".into()));
    writer.restore(FILE, Some(&after), Some(&before), None).unwrap();
    assert_eq!(state(&scratch, FILE), before);
}

#[test]
fn what_comes_back_was_modified_when_it_was() {
    let scratch = tree();
    let root = scratch.root();
    let writer = Writer::new(&root);
    for (time, mtime_ns) in
        [("1999-12-31T23:59:59.987654321Z", 946_684_799_987_654_321), ("1969-12-31T23:59:58.5Z", -1_500_000_000)]
    {
        let touched = std::process::Command::new("touch").args(["-m", "-d", time]).arg(scratch.at(FILE)).status();
        assert!(touched.unwrap().success());
        let before = state(&scratch, FILE);
        assert_eq!(before.mtime_ns, Some(mtime_ns));
        let undo = || {
            writer.restore(FILE, root.state(FILE).unwrap().as_ref(), Some(&before), None).unwrap();
            assert_eq!(state(&scratch, FILE), before);
        };
        writer.replace(FILE, Some(&before), b"new", &mode(0o600)).unwrap();
        assert!(state(&scratch, FILE).mtime_ns > Some(mtime_ns));
        undo();
        writer.remove(FILE, &before).unwrap();
        undo();
        // A change of the metadata leaves it alone, and so does undoing that.
        writer.set_metadata(FILE, &before, &mode(0o600)).unwrap();
        assert_eq!(state(&scratch, FILE).mtime_ns, Some(mtime_ns));
        undo();
    }
}

fn chattr(scratch: &Scratch, how: &str, path: &str) {
    let status = std::process::Command::new("chattr").arg(how).arg(scratch.at(path)).status();
    assert!(status.unwrap().success(), "chattr {how} {path}");
}

#[test]
fn what_is_sealed_is_left_alone_and_named() {
    let scratch = tree();
    let root = scratch.root();
    let writer = Writer::new(&root);
    let before = state(&scratch, FILE);
    for (set, cleared, is) in [("+i", "-i", "is immutable"), ("+a", "-a", "can only be appended to")] {
        chattr(&scratch, set, FILE);
        let refused = [
            writer.replace(FILE, Some(&before), b"new", &Meta::default()),
            writer.set_metadata(FILE, &before, &mode(0o600)),
            writer.remove(FILE, &before),
        ];
        let recorded = state(&scratch, FILE).flags;
        chattr(&scratch, cleared, FILE);
        assert!(recorded != 0, "the flag is recorded");
        for outcome in refused {
            let expected = format!("{FILE}: it {is}; left alone\n  help: lift that first: `chattr {cleared} {FILE}`");
            assert_eq!(refusal(&scratch, outcome), expected);
        }
        chattr(&scratch, set, "/etc/docker");
        let refused = [
            writer.replace(FILE, Some(&before), b"new", &Meta::default()),
            writer.replace("/etc/docker/new", None, b"new", &Meta::default()),
            writer.remove(FILE, &before),
            writer.make_dir("/etc/docker/d", 0o755, 0, 0),
        ];
        let swept = writer.sweep_beside(FILE);
        chattr(&scratch, cleared, "/etc/docker");
        for (outcome, path) in refused.into_iter().zip([FILE, "/etc/docker/new", FILE, "/etc/docker/d"]) {
            let said = format!("{path}: its directory {is}; nothing is written there");
            assert_eq!(refusal(&scratch, outcome), format!("{said}\n  help: lift that first: `chattr {cleared} /etc/docker`"));
        }
        swept.unwrap();
        assert_eq!((state(&scratch, FILE), scratch.names("/etc/docker")), (before.clone(), vec!["daemon.json".to_string()]));
    }
    // Its metadata can be set all the same.
    chattr(&scratch, "+i", "/etc/docker");
    let set = writer.set_metadata(FILE, &before, &mode(0o600));
    chattr(&scratch, "-i", "/etc/docker");
    set.unwrap();
}

#[test]
fn a_successor_takes_over_the_flags_and_gets_no_others() {
    for number in 0..2 {
        let scratch = tree();
        let root = scratch.root();
        for (how, of_the_directory) in [("+Ad", "-d"), ("-Ad", "+d"), ("+S", "-S")] {
            chattr(&scratch, of_the_directory, "/etc/docker");
            chattr(&scratch, how, FILE);
            let before = state(&scratch, FILE);
            writers(&root)[number].replace(FILE, Some(&before), b"new\n", &Meta::default()).unwrap();
            assert_eq!(state(&scratch, FILE).flags, before.flags, "{how}");
        }
        assert_ne!(state(&scratch, FILE).flags, 0);
    }
}

#[test]
fn restore_undoes_every_kind_of_change() {
    let scratch = tree();
    scratch.dir("/etc/x.d", 0o2775).chown("/etc/x.d", 3, 4).chmod("/etc/x.d", 0o2775);
    let root = scratch.root();
    let writer = Writer::new(&root);
    let undo = |path: &str, before: Option<&FileState>| {
        let now = root.state(path).unwrap();
        writer.restore(path, now.as_ref(), before, None).unwrap();
        assert_eq!(root.state(path).unwrap().as_ref(), before, "{path}");
    };
    let (file, dir) = (state(&scratch, FILE), state(&scratch, "/etc/x.d"));
    writer.replace(FILE, Some(&file), b"new", &mode(0o600)).unwrap();
    undo(FILE, Some(&file));
    writer.remove(FILE, &file).unwrap();
    undo(FILE, Some(&file));
    writer.remove("/etc/x.d", &dir).unwrap();
    undo("/etc/x.d", Some(&dir));
    writer.make_dir("/etc/y.d", 0o755, 0, 7).unwrap();
    assert_eq!(scratch.modes("/etc/y.d"), "0755 0 7");
    writer.replace("/etc/y.d/new.conf", None, b"x", &mode(0o644)).unwrap();
    assert_eq!(
        refusal(&scratch, writer.remove("/etc/y.d", &state(&scratch, "/etc/y.d"))),
        "/etc/y.d: cannot remove it: ENOTEMPTY: Directory not empty\n  help: see `ls -la /etc/y.d`"
    );
    undo("/etc/y.d/new.conf", None);
    undo("/etc/y.d", None);
    // The content may be kept elsewhere than in the state.
    let bare = FileState { content: None, ..file.clone() };
    writer.replace(FILE, Some(&file), b"new", &Meta::default()).unwrap();
    writer.restore(FILE, Some(&state(&scratch, FILE)), Some(&bare), Some(b"old\n")).unwrap();
    assert_eq!(state(&scratch, FILE), file);
    let refused = writer.restore("/etc/gone", None, Some(&bare), None);
    assert_eq!(refusal(&scratch, refused), "/etc/gone: its original content is not on record");
    assert_eq!(scratch.names("/etc"), ["docker", "x.d"]);
}

#[test]
fn what_must_not_be_written_is_refused() {
    let scratch = Scratch::new();
    scratch.file("/f", "x", 0o644).fifo("/fifo").dir("/d", 0o755).link("/planted", "/f", 1000).socket("/s", 0o600);
    scratch.file("/two", "x", 0o644).file("/group/f", "x", 0o644).chown("/group", 0, 999).chmod("/group", 0o775);
    scratch.file("/home/f", "x", 0o644).chown("/home", 1000, 1000).file("/world/sub/f", "x", 0o644).chmod("/world", 0o777);
    std::fs::hard_link(scratch.at("/two"), scratch.at("/d/second")).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(scratch.at("/two")).unwrap());
    let root = scratch.root();
    let writer = Writer::new(&root);
    let f = state(&scratch, "/f");
    let planted = "/planted: /planted is a symbolic link that user 1000 could have planted; not followed\n  help: see `namei -l /planted`";
    let two = format!("/two: it has 2 names (hard links); left alone\n  help: see `find / -xdev -inum {inode}`");
    let weak = |path: &str, by: &str, dir: &str, help: &str| {
        format!("{path}: {by} can change the directory {dir}; not written there\n  help: `{help}`")
    };
    let replace: [(&str, &str); 9] = [
        ("/planted", planted),
        ("/two", &two),
        ("/fifo", "/fifo: it is a FIFO or device; left alone"),
        ("/d", "/d: it is a directory; left alone"),
        ("/s", "/s: it is a socket; left alone"),
        ("/", "/: it is a directory; left alone"),
        ("/group/f", &weak("/group/f", "group 999", "/group", "chmod g-w /group")),
        ("/home/f", &weak("/home/f", "user 1000", "/home", "chown root /home")),
        ("/world/sub/f", &weak("/world/sub/f", "any user", "/world", "chmod o-w /world")),
    ];
    for (path, expected) in replace {
        let text = refusal(&scratch, writer.replace(path, Some(&f), b"new", &Meta::default()));
        assert_eq!(text.replace("//:", "/:"), expected);
    }
    for (path, expected) in [("/planted", planted), ("/two", &two), ("/fifo", "/fifo: it is a FIFO or device; left alone")] {
        assert_eq!(refusal(&scratch, writer.set_metadata(path, &f, &mode(0o600))), expected);
    }
    for (path, expected) in [
        ("/none/x", "/none/x: there is no directory /none\n  help: see `namei -l /none/x`"),
        ("/f/x", "/f/x: there is no directory /f\n  help: see `namei -l /f/x`"),
        ("x", "`x` is not an absolute path"),
        ("/d/../x", "`/d/../x` has `..` in it: write the path without"),
    ] {
        assert_eq!(refusal(&scratch, writer.replace(path, None, b"", &Meta::default())), expected);
        assert_eq!(refusal(&scratch, writer.make_dir(path, 0o755, 0, 0)), expected);
    }
    // A mode may be tightened where others can write: only the object itself is touched.
    writer.set_metadata("/group/f", &state(&scratch, "/group/f"), &mode(0o600)).unwrap();
    assert_eq!((scratch.text("/f"), scratch.text("/two"), scratch.text("/home/f")), ("x".into(), "x".into(), "x".into()));
    assert!(scratch.names("/").iter().all(|name| !name.contains("harden")));
}

#[test]
fn a_trusted_link_stays_and_its_target_is_replaced() {
    let scratch = tree();
    scratch.link("/etc/link.json", "docker/daemon.json", 0).link("/etc/outside", "/etc/docker/new.json", 0);
    let root = scratch.root();
    let writer = Writer::new(&root);
    writer.replace("/etc/link.json", Some(&state(&scratch, FILE)), b"new", &Meta::default()).unwrap();
    assert_eq!(scratch.text(FILE), "new");
    assert_eq!(std::fs::read_link(scratch.at("/etc/link.json")).unwrap().to_str(), Some("docker/daemon.json"));
    // An absolute target stays in the tree, even where there is nothing yet.
    writer.replace("/etc/outside", None, b"inside", &Meta::default()).unwrap();
    assert_eq!(scratch.text("/etc/docker/new.json"), "inside");
}

#[test]
fn leftovers_of_killed_runs_are_swept_and_nothing_else() {
    let scratch = tree();
    let (stale, owned) = ("/etc/docker/.harden-0123456789abcdef.tmp", "/etc/docker/.harden-0123456789abcde0.tmp");
    scratch.file(stale, "", 0o600).file(owned, "", 0o600).chown(owned, 5, 999);
    scratch.file("/etc/docker/.harden-mine.tmp", "", 0o600).link("/etc/docker/.harden-aaaaaaaaaaaaaaaa.tmp", "x", 0);
    scratch.dir("/etc/docker/.harden-bbbbbbbbbbbbbbbb.tmp", 0o700).file(
        "/etc/docker/.harden-cccccccccccccccc.tmp/x",
        "",
        0o600,
    );
    let root = scratch.root();
    scratch.chmod("/etc/docker", 0o777);
    Writer::new(&root).sweep_beside(FILE).unwrap();
    assert_eq!(scratch.names("/etc/docker").len(), 7, "not where others can write");
    scratch.chmod("/etc/docker", 0o755);
    Writer::new(&root).sweep_beside(FILE).unwrap();
    let left = [".harden-aaaaaaaaaaaaaaaa.tmp", ".harden-cccccccccccccccc.tmp", ".harden-mine.tmp", "daemon.json"];
    assert_eq!(scratch.names("/etc/docker"), left);
    scratch.file(stale, "", 0o600);
    Writer::new(&root).replace(FILE, Some(&state(&scratch, FILE)), b"new", &Meta::default()).unwrap();
    assert_eq!(scratch.names("/etc/docker"), left);
    Writer::new(&root).sweep_beside("/none/x").unwrap();
}

/// A parent is swapped with a link to the victim's directory as fast as it goes: the victim must never be touched.
#[test]
fn a_swapped_parent_never_hits_the_victim() {
    let scratch = Scratch::new();
    scratch.file("/etc/conf/f", "good", 0o644).file("/victim/f", "good", 0o644).link("/etc/swap", "/victim", 1000);
    let victim = state(&scratch, "/victim/f");
    let root = scratch.root();
    let writer = Writer::new(&root);
    let (mut done, mut refused) = (0, 0);
    while_swapping(&scratch.at("/etc/conf"), &scratch.at("/etc/swap"), || {
        for round in 0..3000 {
            let mut before = victim.clone();
            before.mode = if round % 2 == 0 { 0o644 } else { 0o600 };
            let wanted = mode(if round % 2 == 0 { 0o600 } else { 0o644 });
            let outcome = match round % 3 {
                0 => writer.replace("/etc/conf/f", Some(&before), b"good", &wanted),
                1 => writer.set_metadata("/etc/conf/f", &before, &wanted),
                _ => writer.replace("/etc/conf/new", None, b"", &wanted),
            };
            match outcome {
                Ok(()) => done += 1,
                Err(_) => refused += 1,
            }
        }
    });
    assert_eq!(state(&scratch, "/victim/f"), victim);
    assert_eq!(scratch.names("/victim"), ["f"]);
    assert!(done > 0 && refused > 0, "{done} done, {refused} refused: the test shows nothing");
}

#[test]
fn a_cut_short_change_is_recognised() {
    let before = FileState {
        kind: FileKind::File,
        mode: 0o4755,
        uid: 1000,
        gid: 1000,
        nlink: 1,
        xattrs: BTreeMap::new(),
        content: None,
        mtime_ns: None,
        flags: 0,
    };
    let after = FileState { mode: 0o644, uid: 0, gid: 0, ..before.clone() };
    let standing = |found: &FileState| FileState::standing(Some(found), Some(&before), Some(&after));
    assert_eq!(standing(&before), Standing::Before);
    assert_eq!(standing(&after), Standing::After);
    assert_eq!(standing(&FileState { mode: 0o755, ..after.clone() }), Standing::Between);
    assert_eq!(standing(&FileState { gid: 0, ..before.clone() }), Standing::Between);
    assert_eq!(standing(&FileState { mode: 0o640, ..after.clone() }), Standing::Elsewhere);
    assert_eq!(standing(&FileState { uid: 3, ..before.clone() }), Standing::Elsewhere);
    assert_eq!(FileState::standing(None, Some(&before), Some(&after)), Standing::Elsewhere);
    assert_eq!(FileState::standing(None, None, Some(&after)), Standing::Before);
    assert_eq!(FileState::standing(Some(&after), None, Some(&after)), Standing::After);
}

#[test]
fn a_state_survives_the_journal() {
    let scratch = tree();
    let state = state(&scratch, FILE);
    let json = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<FileState>(&json).unwrap(), state);
    assert!(json.contains(r#""user.note":{"hex":"6b65707400ff"}"#), "{json}");
}

#[test]
fn errors_of_the_system_say_what_to_do() {
    let scratch = Scratch::new();
    scratch.dir("/etc", 0o755);
    let root = scratch.root();
    let writer = Writer::new(&root);
    let meta = Meta { xattrs: Some([("nonsense.x".to_string(), Content(b"x".to_vec()))].into()), ..Meta::default() };
    assert_eq!(
        refusal(&scratch, writer.replace("/etc/x", None, b"", &meta)),
        "/etc/x: cannot change its attributes: EOPNOTSUPP: Operation not supported on transport endpoint"
    );
    let live = Root::open("/").unwrap();
    let before = live.state("/proc/self/comm").unwrap().unwrap();
    let refused = Writer::new(&live).set_metadata("/proc/self/comm", &before, &mode(0o600)).unwrap_err();
    assert!(refused.to_string().starts_with("/proc/self/comm: "), "{refused}");
    assert!(scratch.names("/etc").is_empty());
}

/// Not a test of its own: what the tests below trace.
#[test]
#[ignore = "run under strace by other tests"]
fn traced_writes() {
    let scratch = tree();
    let root = scratch.root();
    let before = state(&scratch, FILE);
    mark("replace");
    Writer::new(&root).replace(FILE, Some(&before), b"new\n", &Meta::default()).unwrap();
    mark("create");
    Writer::new(&root).replace("/etc/docker/new.json", None, b"new\n", &Meta::default()).unwrap();
    mark("set");
    let before = state(&scratch, "/etc/docker/new.json");
    mark("metadata");
    Writer::new(&root).set_metadata("/etc/docker/new.json", &before, &Meta { uid: Some(7), ..mode(0o640) }).unwrap();
    mark("end");
}

#[test]
fn a_write_is_on_disk_before_its_name_and_the_name_before_the_end() {
    let trace = strace("apply::writer::tests::traced_writes", &[]);
    let writes = ["write", "fchownat", "setxattr", "fchmodat", "fsync", "linkat", "renameat", "renameat2"];
    let calls = |from, to| {
        let calls = traced_calls(&trace, from, to).into_iter().filter(|name| writes.contains(&name.as_str()));
        let mut calls: Vec<_> = calls.collect();
        calls.dedup();
        calls
    };
    assert_eq!(calls("replace", "create"), ["write", "fchownat", "setxattr", "fsync", "linkat", "renameat", "fsync"]);
    assert_eq!(calls("create", "set"), ["write", "fsync", "linkat", "fsync"]);
    assert_eq!(calls("metadata", "end"), ["fchownat", "fchmodat", "fsync"]);
}

#[test]
fn a_failing_call_leaves_the_old_file_and_no_other() {
    let calls = ["fchownat", "setxattr", "fsync", "linkat", "renameat"];
    for call in calls {
        // Five attributes are set before, by the test itself.
        let when = if call == "setxattr" { ":when=6+" } else { "" };
        let (only, inject) = (format!("trace=statx,{call}"), format!("inject={call}:error=ENOSPC{when}"));
        let trace = strace("apply::writer::tests::one_replacement", &["-e", &only, "-e", &inject]);
        assert!(trace.contains("ENOSPC"), "{call}: {trace}");
        assert!(trace.contains("/mark-old-and-alone"), "{call}: {trace}");
    }
}

/// Not a test of its own: what the tests around it make fail or kill.
#[test]
#[ignore = "run under strace by other tests"]
fn one_replacement() {
    let scratch = tree();
    mark(&format!("tree{}", scratch.at("").display()));
    let root = scratch.root();
    let before = state(&scratch, FILE);
    let failed = Writer::new(&root).replace(FILE, Some(&before), b"new\n", &Meta::default()).is_err();
    if failed && state(&scratch, FILE) == before && scratch.names("/etc/docker") == ["daemon.json"] {
        mark("old-and-alone");
    }
}

/// Not a test of its own: somebody writes the file while `fsync` of its successor takes its time.
#[test]
#[ignore = "run under strace by another test"]
fn a_writer_in_between() {
    if !crate::host::scratch::is_traced() {
        return;
    }
    let scratch = tree();
    let root = scratch.root();
    let before = state(&scratch, FILE);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(300));
            scratch.file(FILE, "somebody's\n", 0o660);
        });
        let text = refusal(&scratch, Writer::new(&root).replace(FILE, Some(&before), b"new\n", &Meta::default()));
        assert!(text.contains("changed since it was looked at"), "{text}");
    });
    assert_eq!(scratch.text(FILE), "somebody's\n");
}

#[test]
fn what_somebody_writes_in_between_is_not_lost() {
    strace("apply::writer::tests::a_writer_in_between", &["-e", "trace=fsync", "-e", "inject=fsync:delay_enter=800ms:when=1"]);
}

/// Killed at any call, a replacement leaves the old file or the new one, whole, and at most a leftover that the next run sweeps.
#[test]
fn a_killed_replacement_leaves_the_old_file_or_the_new_one() {
    let mut leftovers = 0;
    for (call, when, old) in [
        ("fchownat", 1, true),
        ("setxattr", 6, true),
        ("fsync", 1, true),
        ("linkat", 1, true),
        ("renameat", 1, true),
        ("fsync", 2, false),
    ] {
        let (only, inject) = (format!("trace=statx,{call}"), format!("inject={call}:signal=KILL:when={when}"));
        let (trace, _) = strace_any("apply::writer::tests::one_replacement", &["-e", &only, "-e", &inject]);
        assert!(trace.contains("killed by SIGKILL"), "{call}: {trace}");
        let marked = trace.split_once("/mark-tree").expect("the test marks its tree").1;
        let scratch = Scratch::adopt(marked.split_once('"').unwrap().0);
        let now = state(&scratch, FILE);
        let content = Some(Content(if old { b"old\n" } else { b"new\n" }.to_vec()));
        let expected = FileState { content, mtime_ns: now.mtime_ns, ..state(&tree(), FILE) };
        assert_eq!(now, expected, "{call}");
        leftovers += scratch.names("/etc/docker").len() - 1;
        Writer::new(&scratch.root()).sweep_beside(FILE).unwrap();
        assert_eq!(scratch.names("/etc/docker"), ["daemon.json"], "{call}");
    }
    assert_eq!(leftovers, 1, "the kill between linkat and renameat leaves the temporary name, no other does");
}

/// Not a test of its own: the tests below make its first choices fail.
#[test]
#[ignore = "run under strace by other tests"]
fn new_names() {
    let scratch = Scratch::new();
    scratch.dir("/d", 0o755);
    let root = scratch.root();
    let [unnamed, named] = writers(&root);
    unnamed.replace("/d/a", None, b"a", &mode(0o644)).unwrap();
    named.replace("/d/b", None, b"b", &mode(0o644)).unwrap();
    named.make_dir("/d/c", 0o711, 0, 7).unwrap();
    assert_eq!(
        (scratch.text("/d/a"), scratch.text("/d/b"), scratch.modes("/d/c")),
        ("a".into(), "b".into(), "0711 0 7".into())
    );
    assert_eq!(scratch.names("/d"), ["a", "b", "c"]);
}

#[test]
fn there_is_a_detour_where_a_call_is_not_supported() {
    for inject in ["inject=linkat:error=ENOENT:when=1", "inject=renameat2:error=EINVAL", "inject=renameat2:error=ENOSYS"] {
        let trace = strace("apply::writer::tests::new_names", &["-e", "trace=linkat,renameat2", "-e", inject]);
        assert!(trace.contains("(INJECTED)"), "{inject}: {trace}");
    }
}
