//! The one fix among the controls of images: keys that sign them, in the homes of users, applied and taken back by the real binary.

mod common;

use common::{Ran, Snapshot, Tree};

const CONTROL: &str = "image-signing-keys-protected";
const KEYS: [(&str, u32, &str); 6] = [
    ("/root/cosign.key", 0o644, "0600"),
    ("/root/.docker/trust/private", 0o755, "0700"),
    ("/root/.docker/trust/private/root.key", 0o640, "0600"),
    ("/home/ann/.cosign/release key.key", 0o666, "0600"),
    ("/home/ann/.config/notation/localkeys/wabbit.key", 0o644, "0600"),
    // As it should be, and stricter.
    ("/home/ann/cosign.key", 0o400, "0400"),
];

fn host() -> Tree {
    let tree = Tree::host();
    tree.file("/etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n", 0o644);
    for (path, mode, _) in KEYS {
        match path.ends_with(".key") {
            true => tree.file(path, "secret", mode),
            false => tree.dir(path, mode),
        };
        if path.starts_with("/home/ann") {
            tree.chown(path, 1000, 1000);
        }
    }
    // Public keys are for everybody, and so are keys of other programs.
    tree.file("/root/cosign.pub", "public", 0o644).file("/root/.config/notation/localkeys/wabbit.crt", "public", 0o644);
    tree
}

fn only(tree: &Tree, args: &[&str]) -> Ran {
    tree.harden(&[args, &["-b", "guide", "--only", CONTROL]].concat())
}

fn modes(tree: &Tree) -> Vec<String> {
    let snapshot = tree.snapshot().0;
    KEYS.iter().map(|(path, ..)| format!("{:04o}", snapshot[*path].mode & 0o7777)).collect()
}

#[test]
fn applied_and_rolled_back() {
    let tree = host();
    let start = tree.snapshot();
    only(&tree, &["check"]).expect(2);
    only(&tree, &["apply", "--yes"]).expect(0);
    assert_eq!(modes(&tree), KEYS.map(|(_, _, after)| after));
    let changed = |before: &Snapshot| -> Vec<String> {
        // Where the state directory was made.
        before.difference(&tree.snapshot()).into_keys().filter(|path| path != "/var/lib").collect()
    };
    let mut expected: Vec<&str> = KEYS[..5].iter().map(|(path, ..)| *path).collect();
    expected.sort_unstable();
    assert_eq!(changed(&start), expected);
    // Nothing is left to do, and nothing is done.
    let applied = tree.snapshot();
    only(&tree, &["check"]).expect(0);
    only(&tree, &["apply", "--yes"]).expect(0);
    assert_eq!(changed(&applied), [""; 0]);
    tree.harden(&["rollback", "--yes"]).expect(0);
    assert_eq!(changed(&start), [""; 0]);
}

/// A home belongs to its user, who may put a link in the place of a key: whatever it leads to keeps its mode.
#[test]
fn links_in_homes_are_not_followed() {
    let tree = host();
    tree.file("/etc/shadow", "root:*:1::::::\n", 0o640);
    tree.remove("/home/ann/.cosign/release key.key").link("/home/ann/.cosign/release key.key", "/etc/shadow");
    tree.chown("/home/ann/.cosign", 1000, 1000).chown("/home/ann", 1000, 1000);
    let shadow = |tree: &Tree| tree.snapshot().0["/etc/shadow"].mode & 0o7777;
    only(&tree, &["apply", "--yes"]);
    assert_eq!(shadow(&tree), 0o640);
    let told = only(&tree, &["check"]).stdout();
    assert!(told.contains("/home/ann/.cosign/release key.key"), "{told}");
}
