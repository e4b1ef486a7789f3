use std::os::unix::ffi::OsStrExt;

use nix::sys::stat::{SFlag, mknod};
use proptest::prelude::*;

use super::*;
use crate::host::scratch::{Scratch, mark, strace, traced_calls};

/// Layers in a data root, the lowest first.
struct Stack {
    scratch: Scratch,
    names: Vec<String>,
}

impl Stack {
    fn new(names: &[&str]) -> Stack {
        let scratch = Scratch::new();
        for name in names {
            scratch.dir(&format!("/d/overlay2/{name}/diff"), 0o755);
        }
        Stack { scratch, names: names.iter().map(|name| name.to_string()).collect() }
    }

    fn in_layer(layer: &str, path: &str) -> String {
        format!("/d/overlay2/{layer}/diff{path}")
    }

    fn file(&self, layer: &str, path: &str, mode: u32) -> &Self {
        self.scratch.file(&Self::in_layer(layer, path), "", mode);
        self
    }

    fn passwd(&self, layer: &str, text: impl AsRef<[u8]>) -> &Self {
        self.scratch.file(&Self::in_layer(layer, "/etc/passwd"), text, 0o644);
        self
    }

    fn whiteout(&self, layer: &str, path: &str) -> &Self {
        let path = self.scratch.at(&Self::in_layer(layer, path));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        mknod(&path, SFlag::S_IFCHR, Mode::empty(), libc::makedev(0, 0)).unwrap();
        self
    }

    fn opaque(&self, layer: &str, path: &str) -> &Self {
        let path = Self::in_layer(layer, path);
        self.scratch.dir(&path, 0o755).set_xattr(&path, "trusted.overlay.opaque", b"y");
        self
    }

    fn redirect(&self, layer: &str, path: &str) -> &Self {
        let path = Self::in_layer(layer, path);
        self.scratch.dir(&path, 0o755).set_xattr(&path, "trusted.overlay.redirect", b"/hid");
        self
    }

    fn link(&self, layer: &str, path: &str, target: &str) -> &Self {
        self.scratch.link(&Self::in_layer(layer, path), target, 0);
        self
    }

    fn layers(&self) -> Layers {
        Layers::of(&self.scratch.root(), "/d")
    }

    /// As inspect names them: the uppermost first.
    fn dirs(&self) -> Vec<String> {
        self.names.iter().rev().map(|name| format!("/d/overlay2/{name}/diff")).collect()
    }

    fn files(&self) -> ImageFiles {
        match self.layers().files(&self.dirs()) {
            Fact::Known(files) => files,
            other => panic!("{other:?}"),
        }
    }

    fn setuid(&self) -> Vec<String> {
        let files = self.files();
        assert_eq!(files.doubt, None);
        files.setuid.iter().map(|file| format!("{} {:o}", file.path, file.mode)).collect()
    }
}

fn user(name: &str, uid: u32, shell: &str) -> ImageUser {
    ImageUser { name: name.into(), uid, shell: shell.into() }
}

#[test]
fn files_with_the_bits() {
    let stack = Stack::new(&["a"]);
    stack.file("a", "/bin/su", 0o4755).file("a", "/bin/wall", 0o2755).file("a", "/bin/cat", 0o755).file("a", "/x", 0o6000);
    stack.scratch.dir(&Stack::in_layer("a", "/var/mail"), 0o2775);
    stack.link("a", "/bin/link", "su").scratch.fifo(&Stack::in_layer("a", "/bin/fifo"));
    assert_eq!(stack.setuid(), ["/bin/su 4755", "/bin/wall 2755", "/x 6000"]);
    assert_eq!(stack.files().users, Fact::Absent);
}

#[test]
fn upper_layers_hide_lower_ones() {
    type Change = for<'s> fn(&'s Stack) -> &'s Stack;
    let cases: [(&str, Change, &[&str]); 12] = [
        ("nothing", |stack| stack, &["/opt/a/su 4755", "/usr/bin/su 4755"]),
        ("deleted", |stack| stack.whiteout("b", "/usr/bin/su"), &["/opt/a/su 4755"]),
        ("its directory deleted", |stack| stack.whiteout("b", "/usr"), &["/opt/a/su 4755"]),
        ("without the bit", |stack| stack.file("b", "/usr/bin/su", 0o755), &["/opt/a/su 4755"]),
        ("with another", |stack| stack.file("b", "/usr/bin/su", 0o2755), &["/opt/a/su 4755", "/usr/bin/su 2755"]),
        ("now a link", |stack| stack.link("b", "/usr/bin/su", "sudo"), &["/opt/a/su 4755"]),
        ("now a directory", |stack| stack.file("b", "/usr/bin/su/x", 0o755), &["/opt/a/su 4755"]),
        ("its directory now a link", |stack| stack.link("b", "/usr/bin", "/opt/a"), &["/opt/a/su 4755"]),
        ("its directory now a file", |stack| stack.file("b", "/usr/bin", 0o755), &["/opt/a/su 4755"]),
        ("its directory anew", |stack| stack.opaque("b", "/usr/bin"), &["/opt/a/su 4755"]),
        (
            "a directory above it anew",
            |stack| stack.opaque("b", "/usr").file("b", "/usr/bin/other", 0o4711),
            &["/opt/a/su 4755", "/usr/bin/other 4711"],
        ),
        // Two layers above: what the middle one hid is there again.
        (
            "back again",
            |stack| stack.whiteout("b", "/usr/bin/su").file("c", "/usr/bin/su", 0o4555),
            &["/opt/a/su 4755", "/usr/bin/su 4555"],
        ),
    ];
    for (how, change, expected) in cases {
        let stack = Stack::new(&["a", "b", "c"]);
        stack.file("a", "/usr/bin/su", 0o4755).file("a", "/opt/a/su", 0o4755).file("c", "/usr/bin/new", 0o755);
        change(&stack);
        assert_eq!(stack.setuid(), expected, "{how}");
    }
}

#[test]
fn other_names_of_a_file_count() {
    let stack = Stack::new(&["a", "b"]);
    stack.file("a", "/bin/su", 0o4755).whiteout("b", "/bin/su");
    let at = |path: &str| stack.scratch.at(&Stack::in_layer("a", path));
    std::fs::hard_link(at("/bin/su"), at("/kept")).unwrap();
    std::fs::hard_link(at("/bin/su"), at("/bin/line\nfeed")).unwrap();
    std::fs::hard_link(at("/bin/su"), at("/").join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
    assert_eq!(stack.setuid(), ["/bin/line\nfeed 4755", "/kept 4755", "/\u{fffd} 4755"]);
}

#[test]
fn users_of_the_uppermost_passwd() {
    const BASE: &str =
        "root:x:0:0:root:/root:/bin/sh\n# a comment\n+nis::::::\nbad line\nann:x:1000:1000::/home/ann:/bin/bash\n";
    type Change = for<'s> fn(&'s Stack) -> &'s Stack;
    let moved = || Fact::Unknown("/etc/passwd is reached by a redirect, which harden does not follow".into());
    fn many(last: u32) -> String {
        (1_001..=last).map(|uid| format!("u:x:{uid}:0\n")).collect()
    }
    let cases: [(&str, Change, Fact<Vec<ImageUser>>); 17] = [
        ("alone", |stack| stack, Fact::Known(vec![user("ann", 1000, "/bin/bash")])),
        ("replaced", |stack| stack.passwd("b", "bob:x:1001:0"), Fact::Known(vec![user("bob", 1001, "")])),
        ("nobody who can log in", |stack| stack.passwd("b", "a::999\nb::1000::::/bin/false"), Fact::Known(Vec::new())),
        ("/etc redirected", |stack| stack.redirect("b", "/etc"), moved()),
        ("/etc redirected and anew", |stack| stack.redirect("b", "/etc").opaque("b", "/etc"), moved()),
        (
            "/etc redirected, with its own",
            |stack| stack.redirect("b", "/etc").passwd("b", "bob:x:1001:0"),
            Fact::Known(vec![user("bob", 1001, "")]),
        ),
        (
            "too many",
            |stack| stack.passwd("b", many(1_251)),
            Fact::Unknown("/etc/passwd has more than 250 users who can log in".into()),
        ),
        (
            "a long name",
            |stack| stack.passwd("b", format!("{}:x:1001:0", "x".repeat(257))),
            Fact::Unknown("/etc/passwd has names of more than 256 bytes".into()),
        ),
        (
            "very many of the system",
            |stack| stack.passwd("b", format!("{}bob::1001\n", "a::0\n".repeat(200_000))),
            Fact::Known(vec![user("bob", 1001, "")]),
        ),
        (
            "as many as are kept",
            |stack| stack.passwd("b", many(1_250)),
            Fact::Known((1_001..=1_250).map(|uid| user("u", uid, "")).collect()),
        ),
        ("deleted", |stack| stack.whiteout("b", "/etc/passwd"), Fact::Absent),
        ("/etc deleted", |stack| stack.whiteout("b", "/etc"), Fact::Absent),
        ("/etc anew", |stack| stack.opaque("b", "/etc"), Fact::Absent),
        (
            "a name that is not UTF-8",
            |stack| stack.passwd("b", b"b\xff:x:1001:7:\xfe:/:/bin/sh\r\n"),
            Fact::Known(vec![user("b\u{fffd}", 1001, "/bin/sh")]),
        ),
        (
            "a link",
            |stack| stack.link("b", "/etc/passwd", "/etc/shadow"),
            Fact::Unknown("/etc/passwd is reached by a symbolic link, which harden does not follow".into()),
        ),
        (
            "/etc a link, planted to lead out",
            |stack| stack.link("b", "/etc", "/etc"),
            Fact::Unknown("/etc/passwd is reached by a symbolic link, which harden does not follow".into()),
        ),
        (
            "too long",
            |stack| stack.passwd("b", vec![b'x'; MOST_PASSWD + 1]),
            Fact::Unknown("/etc/passwd has more than 1048576 bytes".into()),
        ),
    ];
    for (how, change, expected) in cases {
        let stack = Stack::new(&["a", "b"]);
        stack.passwd("a", BASE);
        change(&stack);
        assert_eq!(stack.files().users, expected, "{how}");
    }
}

/// Nothing outside is looked at, whatever links are in a layer and in the place of one.
#[test]
fn links_lead_nowhere() {
    let stack = Stack::new(&["a", "b"]);
    stack.scratch.file("/outside/su", "", 0o4755);
    stack.link("a", "/out", "../../../../outside").link("a", "/abs", "/").file("b", "/x", 0o644);
    assert_eq!(stack.setuid(), [""; 0]);
    stack.scratch.link("/d/overlay2/l", "../../outside", 0).dir("/outside/diff", 0o755);
    stack.scratch.dir("/d/overlay2/c", 0o755).link("/d/overlay2/c/diff", "/outside", 0);
    let mut layers = stack.layers();
    for (dir, expected) in [
        ("/d/overlay2/l/diff", "cannot open /d/overlay2/l/diff: ENOTDIR: Not a directory"),
        ("/d/overlay2/c/diff", "cannot open /d/overlay2/c/diff: ENOTDIR: Not a directory"),
        ("/d/overlay2/gone/diff", "cannot open /d/overlay2/gone/diff: ENOENT: No such file or directory"),
        ("/outside/diff", "the layer /outside/diff does not lie in /d/overlay2"),
        ("/d/overlay2/../diff", "the layer /d/overlay2/../diff does not lie in /d/overlay2"),
        ("/d/overlay2/a/../b/diff", "the layer /d/overlay2/a/../b/diff does not lie in /d/overlay2"),
        ("/d/overlay2/a", "the layer /d/overlay2/a does not lie in /d/overlay2"),
        ("/d/overlay2//diff", "the layer /d/overlay2//diff does not lie in /d/overlay2"),
        ("/d/overlay2evil/a/diff", "the layer /d/overlay2evil/a/diff does not lie in /d/overlay2"),
    ] {
        assert_eq!(layers.files(&[dir.to_owned()]), Fact::Unknown(expected.into()));
    }
    let nowhere = Layers::of(&stack.scratch.root(), "/none").files(&["/none/overlay2/a/diff".into()]);
    assert_eq!(nowhere, Fact::Unknown("/none/overlay2 is no directory of this host".into()));
    assert_eq!(stack.layers().files(&[]), Fact::Known(ImageFiles { users: Fact::Absent, ..ImageFiles::default() }));
}

#[test]
fn what_is_beyond_a_limit_is_said() {
    let stack = Stack::new(&["a"]);
    stack.file("a", "/z/su", 0o4755);
    // Deeper than any path can name at once.
    let mut dir =
        directory(nix::fcntl::open(&stack.scratch.at("/d/overlay2/a/diff"), DIRECTORY, Mode::empty()).unwrap(), ".").unwrap();
    for _ in 0..10_000 {
        nix::sys::stat::mkdirat(&dir, "d", Mode::S_IRWXU).unwrap();
        dir = directory(&dir, "d").unwrap();
    }
    let files = stack.files();
    // The standard library would need as many descriptors.
    assert!(
        std::process::Command::new("rm").arg("-r").arg(stack.scratch.at("/d/overlay2/a/diff/d")).status().unwrap().success()
    );
    assert_eq!(files.setuid.len(), 1, "what is not so deep is found all the same");
    assert_eq!(files.doubt.as_deref(), Some("a layer has more directories in each other than harden follows"));

    let stack = Stack::new(&["a", "b"]);
    for number in 0..5 {
        stack.file("a", &format!("/{number}"), 0o4755);
    }
    let limited = |entries, setuid| {
        let mut layers = Layers { limits: Limits { entries, setuid }, ..stack.layers() };
        let Fact::Known(files) = layers.files(&stack.dirs()) else { panic!() };
        (files.setuid.len(), files.doubt)
    };
    assert_eq!(limited(5, 5), (5, None));
    assert_eq!(limited(5, 3), (3, Some("it has more than 3 files with the setuid or setgid bit".into())));
    stack.file("b", "/other", 0o4755);
    assert_eq!(limited(5, 5), (5, Some("it has more than 5 files with the setuid or setgid bit".into())));
    assert_eq!(limited(4, 5).1.as_deref(), Some("a layer has more than 4 files"));

    let stack = Stack::new(&["a"]);
    stack.scratch.dir(&Stack::in_layer("a", &format!("/{}", "x".repeat(250)).repeat(15)), 0o755);
    let deep = stack.scratch.at(&Stack::in_layer("a", &format!("/{}", "x".repeat(250)).repeat(15)));
    let deep = nix::fcntl::open(&deep, DIRECTORY, Mode::empty()).unwrap();
    nix::sys::stat::mkdirat(&deep, "y".repeat(250).as_str(), Mode::S_IRWXU).unwrap();
    let deep = directory(deep, "y".repeat(250).as_str()).unwrap();
    nix::sys::stat::mkdirat(&deep, "z".repeat(250).as_str(), Mode::S_IRWXU).unwrap();
    assert_eq!(stack.files().doubt.as_deref(), Some("a layer has more directories in each other than harden follows"));

    let stack = Stack::new(&["a", "b"]);
    stack.file("b", "/new/su", 0o755);
    stack.scratch.set_xattr(&Stack::in_layer("b", "/new"), "trusted.overlay.redirect", b"/old");
    assert_eq!(stack.files().doubt.as_deref(), Some("/new was moved here by a redirect, which harden does not follow"));
    // What is not there any more is not found.
    stack.file("a", "/new/gone", 0o4755);
    assert!(stack.files().setuid.is_empty());
}

/// Two images on the same base.
#[test]
fn a_shared_layer_is_walked_once() {
    let stack = Stack::new(&["base", "one", "two"]);
    stack.file("base", "/su", 0o4755).whiteout("two", "/su");
    let of = |layers: &mut Layers, top: &str| {
        let dirs = [top, "base"].map(|name| format!("/d/overlay2/{name}/diff"));
        layers.files(&dirs).known().unwrap().setuid.len()
    };
    let mut layers = stack.layers();
    assert_eq!((of(&mut layers, "one"), of(&mut layers, "two")), (1, 0));
    assert_eq!((layers.seen.len(), layers.views.len()), (3, 3));
}

/// Not a test of its own: what the test below traces.
#[test]
#[ignore = "run under strace by another test"]
fn traced_walk() {
    let stack = Stack::new(&["a", "b"]);
    for number in 0..1_000 {
        stack.file("a", &format!("/{}/{number:06}", number % 10), 0o644);
        stack.link("a", &format!("/{}/l{number:06}", number % 10), "x");
    }
    stack.file("a", "/0/su", 0o4755);
    mark("walk");
    assert_eq!(stack.files().setuid.len(), 1);
    mark("end");
}

#[test]
fn one_call_a_file_and_three_a_directory() {
    let trace = strace("host::layers::tests::traced_walk", &[]);
    let calls = traced_calls(&trace, "walk", "end");
    let count = |name: &str| calls.iter().filter(|call| *call == name).count();
    // One is of the root itself.
    assert_eq!(count("newfstatat"), 1 + 1_001);
    // Ten directories below two layers. Besides: the root, its home, two for each layer to walk it and two for each look for
    // /etc/passwd, and for the setuid file two for the layer above and two for the look.
    assert!(count("openat") + count("openat2") <= 10 + 16, "{calls:?}");
    assert!(count("getdents64") <= 2 * 12, "{calls:?}");
    assert_eq!(count("fgetxattr"), 12);
    assert_eq!(count("read"), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The kernel's own overlay mount says the same.
    #[test]
    fn as_the_kernel_mounts_it(steps in proptest::collection::vec((0usize..3, 0usize..6, 0usize..5), 0..24)) {
        let stack = Stack::new(&["a", "b", "c"]);
        let paths = ["/p", "/d/p", "/d/e/p", "/d/e", "/d", "/e/p"];
        for (layer, path, what) in steps {
            let (layer, path) = (["a", "b", "c"][layer], paths[path]);
            let at = stack.scratch.at(&Stack::in_layer(layer, path));
            let above = |stack: &Stack| {
                let mut above = at.parent().unwrap();
                let top = stack.scratch.at(&Stack::in_layer(layer, ""));
                loop {
                    if above.symlink_metadata().is_ok() { return above.is_dir() && !above.is_symlink() }
                    if above == top { return true }
                    above = above.parent().unwrap();
                }
            };
            if at.symlink_metadata().is_ok() || !above(&stack) {
                continue;
            }
            match what {
                0 => stack.file(layer, path, 0o4755),
                1 => stack.file(layer, path, 0o755),
                2 => stack.whiteout(layer, path),
                3 => stack.opaque(layer, path),
                _ => stack.link(layer, path, "/nowhere"),
            };
        }
        prop_assert_eq!(stack.setuid(), mounted(&stack));
    }
}

/// What is in an overlay of these layers, by a mount in a namespace of its own.
fn mounted(stack: &Stack) -> Vec<String> {
    let lower: Vec<String> =
        ["c", "b", "a"].map(|name| stack.scratch.at(&Stack::in_layer(name, "")).display().to_string()).into();
    let at = stack.scratch.dir("/mnt", 0o755).at("/mnt").display().to_string();
    let script = "mount -t overlay overlay -o \"lowerdir=$1\" \"$2\" && cd \"$2\" && find . -xdev -type f -perm /6000 -printf '/%P %m\\n'";
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh", &lower.join(":"), &at])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut found: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    found.sort();
    found
}
