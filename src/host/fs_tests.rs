//! Tests of [`super`] and [`super::super::walk`]: every case runs with `openat2` and without it.

use std::os::unix::fs::MetadataExt;

use super::*;
use crate::fact::{AclEntry, AclWho};
use crate::host::scratch::{Scratch, acl_for_user_1000, mark, strace, traced_calls, while_swapping};

/// The same root twice: as the kernel is, and as on a kernel before 5.6.
fn roots(scratch: &Scratch) -> [Root; 2] {
    let old = scratch.root();
    old.openat2.store(false, Ordering::Relaxed);
    [scratch.root(), old]
}

fn text(fact: &Fact<FileFact>) -> String {
    match fact {
        Fact::Known(file) => match &file.content {
            Some(content) => String::from_utf8_lossy(&content.0).into_owned(),
            None => format!("{:?} {:04o} at {}", file.kind, file.mode, file.real_path),
        },
        Fact::Absent => "absent".into(),
        Fact::Unknown(why) => why.clone(),
    }
}

/// Looks with both kinds of want at both roots; all must agree but for the content.
fn expect(scratch: &Scratch, cases: &[(&str, &str)]) {
    for root in roots(scratch) {
        for (path, expected) in cases {
            assert_eq!(text(&root.look(path, Want::Stat)), *expected, "{path} with {root:?}");
            let with_content = match root.look(path, Want::CONTENT) {
                Fact::Known(file) => Fact::Known(FileFact { content: None, ..file }),
                other => other,
            };
            assert_eq!(text(&with_content), *expected, "content of {path} with {root:?}");
        }
    }
}

#[test]
fn a_look_tells_all_of_a_file() {
    let scratch = Scratch::new();
    scratch.file("/etc/docker/daemon.json", "{}\n", 0o640).chown("/etc/docker/daemon.json", 0, 999);
    let meta = std::fs::metadata(scratch.at("/etc/docker/daemon.json")).unwrap();
    for root in roots(&scratch) {
        let Fact::Known(file) = root.look("//etc/./docker/daemon.json/", Want::CONTENT) else { panic!("not known") };
        let expected = FileFact {
            real_path: "/etc/docker/daemon.json".into(),
            kind: FileKind::File,
            mode: 0o640,
            uid: 0,
            gid: 999,
            nlink: 1,
            dev: meta.dev(),
            ino: meta.ino(),
            mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
            ctime_ns: Some(meta.ctime() * 1_000_000_000 + meta.ctime_nsec()),
            sealed: None,
            size: 3,
            acl: Vec::new(),
            content: Some(Content(b"{}\n".to_vec())),
        };
        assert_eq!(file, expected);
        assert_eq!(root.look("/etc/docker/daemon.json", Want::Stat), Fact::Known(FileFact { content: None, ..expected }));
    }
}

#[test]
fn kinds_and_missing_things() {
    let scratch = Scratch::new();
    scratch.dir("/d", 0o1777).file("/f", "", 0o4755).socket("/s", 0o660).fifo("/p");
    let long = format!("/{}", "x".repeat(256));
    expect(
        &scratch,
        &[
            ("/", "Dir 0755 at /"),
            ("/d", "Dir 1777 at /d"),
            ("/f", "File 4755 at /f"),
            ("/s", "Socket 0660 at /s"),
            ("/p", "Other 0644 at /p"),
            ("/none", "absent"),
            ("/none/below", "absent"),
            ("/f/below", "absent"),
            (&long, &format!("cannot open {long}: ENAMETOOLONG: File name too long")),
            ("relative", "`relative` is not an absolute path"),
            ("", "`` is not an absolute path"),
            ("/d/../f", "`/d/../f` has `..` in it: write the path without"),
            ("/f\0", "`/f\\u{0}` has a NUL byte in it"),
        ],
    );
}

#[test]
fn trusted_links_are_followed_within_the_root() {
    let scratch = Scratch::new();
    scratch.file("/run/docker/x", "here", 0o600).link("/var/run", "/run", 0).link("/var/up", "../../../../run/docker", 0);
    scratch.link("/etc/hostname", "/etc/hostname-of-this-tree", 0).link("/chain", "var/run/../var/up/x", 0);
    scratch.link("/loop", "loop", 0).link("/to-root", "/", 0).link("/dangling", "/nowhere/x", 0).link(
        "/own",
        "/run/docker/",
        0,
    );
    expect(
        &scratch,
        &[
            ("/var/run/docker/x", "File 0600 at /run/docker/x"),
            ("/var/up/x", "File 0600 at /run/docker/x"),
            ("/chain", "File 0600 at /run/docker/x"),
            ("/own", "Dir 0755 at /run/docker"),
            // Never the file of the machine that the tree lies on.
            ("/etc/hostname", "absent"),
            ("/to-root", "Dir 0755 at /"),
            ("/to-root/run/docker/x", "File 0600 at /run/docker/x"),
            ("/dangling", "absent"),
            ("/loop", "/loop is one symbolic link too many: more than 40"),
        ],
    );
    for root in roots(&scratch) {
        assert_eq!(text(&root.look("/var/run/docker/x", Want::CONTENT)), "here");
    }
}

#[test]
fn links_that_root_could_not_have_planted_are_not_followed() {
    let scratch = Scratch::new();
    scratch.file("/secret", "x", 0o600).link("/etc/mine", "/secret", 1000);
    scratch.dir("/home", 0o755).link("/home/root-owned", "/secret", 0).chown("/home", 1000, 1000);
    scratch.dir("/group", 0o775).link("/group/l", "/secret", 0).chown("/group", 0, 999);
    scratch.dir("/world", 0o777).link("/world/l", "/secret", 0);
    scratch
        .dir("/tmp", 0o1777)
        .link("/tmp/pinned", "/secret", 0)
        .link("/tmp/mine", "/secret", 1000)
        .link("/tmp/two", "/secret", 0);
    std::fs::hard_link(scratch.at("/tmp/two"), scratch.at("/tmp/second")).unwrap();
    scratch.link("/outer", "/home/root-owned", 0);
    let refused = |link: &str, by: &str| format!("{link} is a symbolic link that {by} could have planted; not followed");
    expect(
        &scratch,
        &[
            ("/etc/mine", &refused("/etc/mine", "user 1000")),
            ("/etc/mine/below", &refused("/etc/mine", "user 1000")),
            ("/home/root-owned", &refused("/home/root-owned", "user 1000")),
            ("/outer", &refused("/home/root-owned", "user 1000")),
            ("/group/l", &refused("/group/l", "group 999")),
            ("/world/l", &refused("/world/l", "any user")),
            ("/tmp/pinned", "File 0600 at /secret"),
            ("/tmp/mine", &refused("/tmp/mine", "user 1000")),
            ("/tmp/two", &refused("/tmp/two", "any user")),
        ],
    );
}

#[test]
fn the_owner_of_an_image_tree_is_trusted_in_it() {
    let scratch = Scratch::new();
    scratch.file("/real", "", 0o600).link("/l", "/real", 1000);
    expect(&scratch, &[("/l", "/l is a symbolic link that user 1000 could have planted; not followed")]);
    scratch.chown("/", 1000, 1000);
    expect(&scratch, &[("/l", "File 0600 at /real")]);
}

#[test]
fn acls_are_seen_on_files_directories_and_sockets() {
    let scratch = Scratch::new();
    scratch.file("/f", "", 0o640).dir("/d", 0o750).socket("/s", 0o660).link("/l", "s", 0);
    let acl = [(AclWho::User(1000), 6), (AclWho::OwningGroup, 4)].map(|(who, bits)| AclEntry { who, bits });
    for path in ["/f", "/d", "/s"] {
        scratch.set_xattr(path, acl::ACCESS, &acl_for_user_1000());
    }
    for root in roots(&scratch) {
        for path in ["/f", "/d", "/s", "/l"] {
            for want in [Want::Stat, Want::CONTENT] {
                assert_eq!(root.look(path, want).known().map(|file| file.acl.clone()), Some(acl.to_vec()), "{path}");
            }
        }
    }
}

#[test]
fn content_has_a_limit() {
    let scratch = Scratch::new();
    scratch.file("/f", "12345", 0o600).file("/empty", "", 0o600).file("/large", vec![b'x'; 200_000], 0o600);
    for root in roots(&scratch) {
        let look = |path, limit| text(&root.look(path, Want::Content { limit }));
        assert_eq!(look("/f", 5), "12345");
        assert_eq!(look("/f", 4), "/f has more than 4 bytes; not read");
        assert_eq!(look("/empty", 0), "");
        assert_eq!(look("/large", 200_000).len(), 200_000);
    }
    // A file without a size that has content all the same.
    let live = Root::open("/").unwrap();
    assert!(text(&live.look("/proc/self/status", Want::CONTENT)).starts_with("Name:"));
    assert_eq!(
        text(&live.look("/proc/self/status", Want::Content { limit: 20 })),
        "/proc/self/status has more than 20 bytes; not read"
    );
}

#[test]
fn links_are_read_but_not_followed() {
    let scratch = Scratch::new();
    scratch.file("/f", "", 0o600).link("/d/mine", "/dev/null", 1000).link("/run", "d", 0);
    for root in roots(&scratch) {
        assert_eq!(root.readlink("/d/mine"), Fact::Known("/dev/null".into()));
        assert_eq!(root.readlink("/run/mine"), Fact::Known("/dev/null".into()));
        assert_eq!(root.readlink("/f"), Fact::Absent);
        assert_eq!(root.readlink("/d"), Fact::Absent);
        assert_eq!(root.readlink("/none"), Fact::Absent);
    }
}

#[test]
fn only_a_slash_is_the_live_host() {
    for (path, live) in [("/", true), ("//", true), ("/.", true), ("/tmp", false), (".", false)] {
        assert_eq!(Root::open(path).unwrap().is_live(), live, "{path}");
    }
    let error = Root::open("/no/such/tree").unwrap_err();
    assert_eq!(
        error.to_string(),
        "/no/such/tree: cannot open the root directory: ENOENT: No such file or directory\n  help: give a directory: `--root DIR`"
    );
}

/// An attacker swaps a directory with a link to another one as fast as he can; the link's target must never be what is read.
#[test]
fn a_swapped_parent_never_leads_astray() {
    let scratch = Scratch::new();
    scratch.file("/etc/conf/f", "good", 0o600).file("/victim/f", "secret", 0o600).link("/etc/swap", "/victim", 1000);
    let mut refused = 0;
    for root in roots(&scratch) {
        while_swapping(&scratch.at("/etc/conf"), &scratch.at("/etc/swap"), || {
            for _ in 0..3000 {
                match root.look("/etc/conf/f", Want::CONTENT) {
                    Fact::Known(file) => assert_eq!(file.content, Some(Content(b"good".to_vec()))),
                    Fact::Absent => panic!("never absent"),
                    Fact::Unknown(_) => refused += 1,
                }
            }
        });
    }
    assert!(refused > 0, "the attack never hit: the test shows nothing");
}

/// Not a test of its own: what the tests below trace.
#[test]
#[ignore = "run under strace by other tests"]
fn traced_looks() {
    let scratch = Scratch::new();
    scratch.file("/etc/docker/daemon.json", "{}\n", 0o640).link("/link", "etc", 0);
    let root = scratch.root();
    mark("stat");
    assert_eq!(text(&root.look("/etc/docker/daemon.json", Want::Stat)), "File 0640 at /etc/docker/daemon.json");
    mark("content");
    assert_eq!(text(&root.look("/etc/docker/daemon.json", Want::CONTENT)), "{}\n");
    mark("missing");
    assert_eq!(root.look("/etc/docker/none", Want::CONTENT), Fact::Absent);
    mark("end");
    assert_eq!(text(&root.look("/link/docker/daemon.json", Want::CONTENT)), "{}\n");
}

#[test]
fn a_look_costs_as_many_calls_as_documented() {
    let trace = strace("host::fs::tests::traced_looks", &[]);
    let calls = |from, to| traced_calls(&trace, from, to);
    assert_eq!(calls("stat", "content"), ["openat2", "statx", "getxattr", "fstatfs", "close"]);
    assert_eq!(calls("content", "missing"), ["openat2", "statx", "fgetxattr", "read", "read", "close"]);
    assert_eq!(calls("missing", "end"), ["openat2"]);
}

#[test]
fn kernels_and_filters_without_openat2_are_no_obstacle() {
    for error in ["ENOSYS", "EPERM"] {
        let inject = format!("inject=openat2:error={error}");
        let trace = strace("host::fs::tests::traced_looks", &["-e", "trace=openat2", "-e", &inject]);
        assert_eq!(trace.lines().count(), 1, "tried once, then never again: {trace}");
    }
}

#[test]
fn kernels_and_filters_without_statx_are_no_obstacle() {
    for error in ["ENOSYS", "EPERM"] {
        let inject = format!("inject=statx:error={error}");
        let trace = strace("host::fs::tests::traced_looks", &["-e", "trace=statx,fstat,newfstatat", "-e", &inject]);
        assert!(trace.contains("(INJECTED)"), "{trace}");
    }
}
