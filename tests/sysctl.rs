//! Kernel parameters, for real: in a network namespace of its own, where net.ipv4.conf.* is nobody else's, with /etc/sysctl.d and
//! its like replaced in a mount namespace of its own. Nothing of this machine's is touched.

mod common;

use std::path::Path;
use std::process::Command;

use common::Tree;
use harden::formats::sysctl::{AtBoot, DIRS, Loader, Merged, in_order};
use proptest::prelude::*;

const BASELINE: &str = "\
schema = 1
name = \"redirects\"
title = \"Redirects\"
[controls]
enable = [\"host-sysctl-icmp-redirects\"]
";
const OWN: &str = "/etc/sysctl.d/zz-harden.conf";
const SYSTEMD_SYSCTL: &str = "/usr/lib/systemd/systemd-sysctl";

/// Runs a shell script in namespaces of its own: `$T` is the tree, whose sysctl.d directories are this machine's there.
fn script(tree: &Tree, text: &str) -> String {
    for dir in DIRS {
        tree.dir(dir, 0o755);
    }
    if !tree.exists("/etc/sysctl.conf") {
        tree.file("/etc/sysctl.conf", "", 0o644);
    }
    let binds = DIRS[..4].iter().chain(&["/etc/sysctl.conf"]);
    let binds: String = binds.map(|path| format!("if [ -e {path} ]; then mount --bind $T{path} {path}; fi\n")).collect();
    let script = format!(
        "set -eu\nmount --make-rprivate /\nfor dir in /run /usr/local/lib; do mount -t tmpfs tmpfs $dir; mkdir $dir/sysctl.d; done\n\
         {binds}ip link set lo up\n{text}"
    );
    let output = Command::new("unshare")
        .args(["--mount", "--net", "sh", "-c", &script])
        .env("T", tree.path())
        .env("HARDEN", env!("CARGO_BIN_EXE_harden"))
        .output()
        .expect("unshare (util-linux), as root");
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}{}", output.status, shown(&output.stdout), shown(&output.stderr));
    shown(&output.stdout)
}

/// What the machine itself has; no test may change it.
fn of_this_machine() -> Vec<String> {
    ["all", "default", "lo"]
        .map(|name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{name}/send_redirects")).expect("a value"))
        .to_vec()
}

fn tree() -> Tree {
    let tree = Tree::empty();
    tree.file("/b.toml", BASELINE, 0o644).dir("/state", 0o700);
    tree
}

const HARDEN: &str = "\
h() { command=$1; shift; \"$HARDEN\" $command -b $T/b.toml --state-dir $T/state --docker-host unix://$T/none --color=never \"$@\"; }
show() { for name in all default lo; do
  for key in accept_redirects secure_redirects send_redirects accept_source_route; do
    printf '%s' \"$(cat /proc/sys/net/ipv4/conf/$name/$key)\"; done; printf ' '; done; echo; }
# A new network namespace begins with what the machine has just now.
for name in all default lo; do
  for key in accept_redirects secure_redirects send_redirects; do echo 1 >/proc/sys/net/ipv4/conf/$name/$key; done
  echo 1 >/proc/sys/net/ipv6/conf/$name/accept_redirects; echo 0 >/proc/sys/net/ipv4/conf/$name/accept_source_route; done
echo 1 >/proc/sys/net/ipv4/conf/default/accept_source_route; echo 1 >/proc/sys/net/ipv4/conf/lo/accept_source_route
";

#[test]
fn applied_seen_after_a_boot_and_rolled_back() {
    let before = of_this_machine();
    let tree = tree();
    tree.file("/usr/lib/sysctl.d/50-vendor.conf", "net.ipv4.conf.all.send_redirects = 1\n", 0o644);
    let text = format!(
        "{HARDEN}
show
h check -q || echo drift
h apply --yes -q
show
cat {OWN}
h apply --yes -q
h check -q
# The next boot: a new network namespace, and what reads the files there.
unshare --net sh -c '{SYSTEMD_SYSCTL}; cd /proc/sys/net/ipv4/conf; cat all/send_redirects default/send_redirects all/accept_redirects'
h rollback --yes -q
show
ls /etc/sysctl.d"
    );
    let out = script(&tree, &text);
    // The loopback device is of no concern.
    let expected = "\
1110 1111 1111 \n\
drift
0000 0000 1111 \n\
# Kernel parameters, written by harden. The name of this file sorts last, so that it wins.
net.ipv4.conf.all.accept_redirects = 0
net.ipv4.conf.all.secure_redirects = 0
net.ipv4.conf.all.send_redirects = 0
net.ipv6.conf.all.accept_redirects = 0
net.ipv4.conf.default.accept_redirects = 0
net.ipv4.conf.default.secure_redirects = 0
net.ipv4.conf.default.send_redirects = 0
net.ipv4.conf.default.accept_source_route = 0
net.ipv6.conf.default.accept_redirects = 0
0
0
0
1110 1111 1111 \n";
    let kept: String = out.split_inclusive('\n').filter(|line| !line.contains(": ") && !line.starts_with('✓')).collect();
    assert_eq!(kept, expected, "{out}");
    assert_eq!(of_this_machine(), before);
}

/// A parameter that can't be written: everything goes back, those that were set and the file.
#[test]
fn put_back_where_one_is_not_taken() {
    let before = of_this_machine();
    let tree = tree();
    let text = format!(
        "{HARDEN}
conf=/proc/sys/net/ipv4/conf
mount --bind $conf/default/send_redirects $conf/default/send_redirects
mount -o remount,bind,ro $conf/default/send_redirects
h apply --yes 2>&1 >/dev/null && echo applied
show
ls /etc/sysctl.d
h history | sed 's/.*essential//' | grep -c 'put back'"
    );
    let out = script(&tree, &text);
    assert!(out.contains("default/send_redirects: cannot set it to 0"), "{out}");
    assert!(out.contains("everything was put back"), "{out}");
    assert!(out.ends_with("\n1110 1111 1111 \n1\n"), "{out}");
    assert_eq!(of_this_machine(), before);
}

/// Each interface's own value counts, because the kernel sends redirects when either says so.
#[test]
fn interfaces_of_their_own_mind() {
    let tree = tree();
    let text = format!(
        "{HARDEN}
h apply --yes -q >/dev/null
ip link add br0 type bridge
ip link add br1 type bridge
cat /proc/sys/net/ipv4/conf/br0/send_redirects
echo 1 >/proc/sys/net/ipv4/conf/br0/send_redirects
h check || true
h apply --yes -q >/dev/null
cat /proc/sys/net/ipv4/conf/br0/send_redirects
echo 'net.ipv4.conf.br0.send_redirects = 1' >/etc/sysctl.d/10-mine.conf
echo 1 >/proc/sys/net/ipv4/conf/br0/send_redirects
h check || true"
    );
    let out = script(&tree, &text).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(out.starts_with("0 "), "new interfaces take the value of default: {out}");
    assert!(out.contains("is 0; 1 on br0 — should be 0"), "{out}");
    assert!(out.contains("/etc/sysctl.d/10-mine.conf:1 sets net.ipv4.conf.br0.send_redirects to 1; change it there"), "{out}");
}

fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "net.ipv4.conf.all.rp_filter",
        "net/ipv4/conf/all/rp_filter",
        "net.ipv4.conf.*.rp_filter",
        "net.ipv4.conf.a*.rp_filter",
        "net.ipv4.conf.lo.rp_filter",
        "net.ipv4.conf.l?.rp_filter",
        "net.ipv4.*.rp_filter",
    ]);
    let value = prop::sample::select(vec!["=0", " = 1", "\t=\t2 ", ""]);
    (prop::bool::weighted(0.25), key, value, prop::sample::select(vec!["", "", "# x\n", "nonsense\n", ";\n"]))
        .prop_map(|(minus, key, value, more)| format!("{}{key}{value}\n{more}", if minus { "-" } else { "" }))
}

/// What harden says of the next boot is what systemd-sysctl does.
#[test]
fn systemd_reads_the_files_alike() {
    assert!(Path::new(SYSTEMD_SYSCTL).exists(), "apt-get install systemd");
    let file = (
        prop::sample::select(vec!["/etc/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d"]),
        prop::sample::select(vec!["10-a.conf", "50-b.conf", "b.conf", "99-sysctl.conf", ".x.conf", "c.conf~"]),
        prop::collection::vec(line(), 0..3),
    );
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(files in prop::collection::vec(file, 1..6))| {
        let tree = Tree::empty();
        for dir in DIRS {
            tree.dir(dir, 0o755);
        }
        for (dir, name, lines) in &files {
            tree.file(&format!("{dir}/{name}"), lines.concat(), 0o644);
        }
        let names = |dir: &str| {
            let entries = std::fs::read_dir(tree.at(dir)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        let order = in_order(&DIRS.map(|dir| (dir, names(dir))));
        let contents: Vec<_> = order.iter().map(|path| (path.as_str(), tree.read(path))).collect();
        let merged = Merged::of(contents.iter().map(|(path, bytes)| (*path, bytes.as_slice())), Loader::Systemd);
        let expected = ["all", "lo"].map(|name| match merged.at_boot(&format!("net/ipv4/conf/{name}/rp_filter")) {
            AtBoot::Set(value, _) => value,
            AtBoot::Excluded(_) | AtBoot::Unset => "7".into(),
        });
        // A value that nothing sets stays what it is.
        let text = format!(
            "cd /proc/sys/net/ipv4/conf\necho 7 >all/rp_filter\necho 7 >lo/rp_filter\n{SYSTEMD_SYSCTL} 2>/dev/null || true\ncat all/rp_filter lo/rp_filter"
        );
        let found = script(&tree, &text);
        prop_assert_eq!(found.lines().collect::<Vec<_>>(), expected.to_vec(), "{:?}", files);
    });
}
