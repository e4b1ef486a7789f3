//! Laws that hold on every host, tried by the real binary on hosts that chance made.
//!
//! A host is an ordinary one with a few twists; a failure shrinks to the fewest twists that show it, and prints the tree.

mod common;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use common::{BASELINES, Entry, Ran, Snapshot, Tree, brief, parent, set_immutable};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;

/// Cases per law, unless PROPTEST_CASES says otherwise; all of them together take well under a minute.
const CASES: u32 = 24;
const SERVICE: &str = "/usr/lib/systemd/system/docker.service";
const SOCKET: &str = "/usr/lib/systemd/system/docker.socket";
const CONFIG: &str = "/etc/docker/daemon.json";

/// Bytes that a failure shows as text.
#[derive(Clone)]
struct Bytes(Vec<u8>);

impl std::fmt::Debug for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// What makes a host different from the ordinary one.
#[derive(Debug, Clone)]
enum Twist {
    /// The content of a file; the directories above it are made.
    File(&'static str, Bytes),
    /// Nothing is there.
    Gone(&'static str),
    /// The file moves away and a link leads to it.
    Moved(&'static str, &'static str, &'static str),
    /// A link that leads nowhere, or out of the tree.
    Link(&'static str, &'static str),
    Mode(&'static str, u32),
    Owner(&'static str, u32, u32),
    /// A second name.
    HardLink(&'static str),
    /// An access ACL that lets user 1000 write.
    Acl(&'static str),
    /// An attribute of somebody's own.
    Attribute(&'static str),
    Socket(&'static str, u32),
    Fifo(&'static str),
    Dir(&'static str, u32),
}

/// Everything that controls name, and what lies above.
const PLACES: [&str; 31] = [
    CONFIG,
    "/etc/docker",
    "/etc/docker/certs.d",
    "/etc/docker/certs.d/r.io",
    "/etc/docker/certs.d/r.io/ca.crt",
    "/etc/docker/certs.d/r.io/client.cert",
    "/etc/docker/certs.d/r.io/client.key",
    "/etc/docker/certs.d/r.io/deep/er.key",
    "/etc/docker/tls/ca.pem",
    "/etc/docker/tls/cert.pem",
    "/etc/docker/tls/key.pem",
    SERVICE,
    SOCKET,
    "/etc/systemd/system/docker.service.d",
    "/etc/systemd/system/docker.service.d/10-x.conf",
    "/etc/systemd/system/docker.socket.d/10-x.conf",
    "/etc/systemd/system/docker.socket.d/zz-harden.conf",
    "/etc/systemd/system/docker.socket.d",
    "/etc/systemd/system",
    "/usr/lib/systemd/system",
    "/etc/default/docker",
    "/etc/sysconfig/docker",
    "/etc/audit/rules.d",
    "/etc/audit/rules.d/50-harden-docker.rules",
    "/etc/audit/rules.d/10-x.rules",
    "/etc/audit",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/etc/containerd/config.toml",
    "/usr/bin/dockerd",
    "/etc",
];

fn place() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(PLACES.as_slice())
}

fn mode() -> impl Strategy<Value = u32> {
    prop_oneof![
        proptest::sample::select(vec![0o644, 0o666, 0o777, 0o600, 0o400, 0o4755, 0o2775, 0o1777, 0o000, 0o664, 0o755, 0o444]),
        0u32..0o10000,
    ]
}

fn owner() -> impl Strategy<Value = u32> {
    proptest::sample::select(vec![0, 0, 0, 999, 1000, 4242])
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        6 => daemon_json().prop_map(|text| Twist::File(CONFIG, Bytes(text))),
        1 => Just(Twist::Gone(CONFIG)),
        1 => proptest::sample::select(vec!["/etc/docker", "/etc/audit/rules.d", "/usr/sbin/auditctl", SERVICE, SOCKET, "/etc/group",
            "/etc/passwd", "/usr/bin/dockerd", "/etc/systemd", "/etc/audit", "/etc/default", "/etc/hostname"]).prop_map(Twist::Gone),
        1 => moved(),
        4 => (place(), mode()).prop_map(|(place, mode)| Twist::Mode(place, mode)),
        3 => (place(), owner(), owner()).prop_map(|(place, uid, gid)| Twist::Owner(place, uid, gid)),
        1 => place().prop_map(Twist::HardLink),
        1 => place().prop_map(Twist::Acl),
        1 => place().prop_map(Twist::Attribute),
        2 => proptest::sample::select(units()).prop_map(|(path, text)| Twist::File(path, text.into())),
        2 => (proptest::sample::select(vec!["/etc/audit/rules.d/10-x.rules", "/etc/audit/rules.d/99-y.rules",
            "/etc/audit/rules.d/50-harden-docker.rules"]), rules()).prop_map(|(path, text)| Twist::File(path, Bytes(text))),
        2 => certificate(),
        1 => (proptest::sample::select(vec!["/run/docker.sock", "/run/containerd/containerd.sock"]), mode())
            .prop_map(|(path, mode)| Twist::Socket(path, mode)),
        1 => proptest::sample::select(vec![
            ("/etc/containerd/config.toml", "version = 2\n[grpc]\n  uid = 1000 # us\n  gid = 999\n"),
            ("/etc/containerd/config.toml", "version = 2\n[grpc]\n"),
            ("/etc/containerd/config.toml", "broken = [\n"),
            ("/etc/group", "root:x:0:\n"),
            ("/etc/group", "broken\n:::\nroot:x:0:\ndocker:x:notanumber:\n"),
            ("/etc/group", "root:x:0:\ndocker:x:4242:\n"),
            ("/etc/passwd", "root:x:5:0::/root:/bin/sh\n"),
            ("/etc/sysconfig/docker", "OPTIONS='--debug'\n"),
            ("/etc/default/docker", "DOCKER_OPTS=\"--log-level=warn\"\n"),
            ("/var/lib/docker/swarm/docker-state.json", "{}"),
            ("/etc/docker/other.json", "{\"icc\": true}"),
            ("/usr/lib/systemd/system/containerd.service", "[Service]\nExecStart=/usr/bin/containerd\n"),
        ]).prop_map(|(path, text)| Twist::File(path, text.into())),
        1 => place().prop_map(Twist::Fifo),
        1 => (place(), mode()).prop_map(|(path, mode)| Twist::Dir(path, mode)),
        1 => (place(), proptest::sample::select(vec!["/nowhere", "../../../../../../../etc/passwd", "/etc/passwd", ".", "/proc/self/root/etc/passwd"]))
            .prop_map(|(path, target)| Twist::Link(path, target)),
    ]
}

fn moved() -> impl Strategy<Value = Twist> {
    proptest::sample::select(vec![
        Twist::Moved(CONFIG, "/etc/docker/real.json", "real.json"),
        Twist::Moved(CONFIG, "/srv/d.json", "/srv/d.json"),
        Twist::Moved(CONFIG, "/srv/d.json", "../../srv/d.json"),
        Twist::Moved("/etc/docker", "/srv/docker", "/srv/docker"),
        Twist::Moved("/usr/lib/systemd/system", "/lib/systemd/system", "../../../lib/systemd/system"),
        Twist::Moved(SERVICE, "/opt/docker.service", "/opt/docker.service"),
        Twist::Moved("/etc/systemd/system", "/srv/units", "/srv/units"),
        Twist::Moved("/etc/audit/rules.d", "/srv/rules", "/srv/rules"),
        Twist::Moved("/usr/bin/dockerd", "/opt/dockerd", "/opt/dockerd"),
        Twist::Moved("/usr/bin", "/bin", "/bin"),
        Twist::Moved("/etc/default/docker", "/srv/default", "/srv/default"),
        Twist::Moved("/run", "/var/run", "var/run"),
    ])
}

fn units() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for text in [
        "[Service]\nExecStart=/usr/bin/dockerd\n",
        "[Service]\nExecStart=/usr/bin/dockerd --debug --icc=true -H unix:///var/run/docker.sock\n",
        "[Service]\nEnvironmentFile=-/etc/default/docker\nEnvironmentFile=-/etc/sysconfig/docker\nExecStart=/usr/bin/dockerd -H fd:// $DOCKER_OPTS $OPTIONS\n",
        "[Service]\r\nExecStart=/usr/bin/dockerd --config-file /etc/docker/other.json\r\n",
        "[Service]\nExecStart=/usr/bin/dockerd --live-restore \\\n  # a comment\n  --log-opt max-size=1m\n",
        "[Service]\nExecStart=/opt/wrapper.sh\n",
        "[oops\n",
        "",
    ] {
        found.push((SERVICE, text));
        found.push(("/etc/systemd/system/docker.service.d/10-x.conf", text));
    }
    for text in [
        "[Socket]\nListenStream=/run/docker.sock\n",
        "[Socket]\nListenStream=/run/docker.sock\nSocketMode=0666\nSocketGroup=users\n",
        "[Socket]\nSocketMode=0600\nSocketUser=nobody",
        "[Socket]\nSocketMode=rubbish\n",
        "[Socket]\nSocketMode=\nSocketGroup=\n",
        "# nothing\n",
    ] {
        for path in [
            SOCKET,
            "/etc/systemd/system/docker.socket.d/10-x.conf",
            "/etc/systemd/system/docker.socket.d/zz-harden.conf",
            "/etc/systemd/system/docker.socket.d/zzz.conf",
            "/run/systemd/system/docker.socket.d/99-z.conf",
        ] {
            found.push((path, text));
        }
    }
    found
}

fn rules() -> impl Strategy<Value = Vec<u8>> {
    let line = proptest::sample::select(vec![
        "-w /etc/docker -p wa -k docker",
        "-w /usr/bin/dockerd -p rwxa -k x",
        "-a always,exit -F path=/etc/docker/daemon.json -F perm=wa -F key=mine",
        "-a never,exit -F dir=/etc/docker",
        "-a never,task",
        "-a always,exit -F arch=b64 -S execve -F euid=0",
        "-w /nowhere/at/all -p wa",
        "rubbish",
        "-w /etc/docker -p q",
        "-D",
        "-i",
        "-c",
        "-e 2",
        "-b 8192",
        "# a comment",
        "",
        "  -w /etc/docker -p wa",
        "-a exclude,always -F msgtype=CWD",
    ]);
    (proptest::collection::vec(line, 0..4), proptest::sample::select(vec!["\n", "\r\n"]), any::<bool>()).prop_map(
        |(lines, end, finished)| {
            let mut text = lines.join(end);
            if finished && !text.is_empty() {
                text.push_str(end);
            }
            text.into_bytes()
        },
    )
}

fn certificate() -> impl Strategy<Value = Twist> {
    (proptest::sample::select(&PLACES[4..11]), mode()).prop_map(|(path, mode)| Twist::Mode(path, mode))
}

/// Members of daemon.json: mostly right, some wrong.
fn member() -> impl Strategy<Value = (&'static str, &'static str)> {
    proptest::sample::select(vec![
        ("debug", "true"),
        ("debug", "false"),
        ("debug", "null"),
        ("debug", "\"yes\""),
        ("icc", "true"),
        ("icc", "false"),
        ("log-level", "\"warn\""),
        ("log-level", "\"info\""),
        ("log-driver", "\"journald\""),
        ("log-driver", "\"json-file\""),
        ("log-opts", "{}"),
        ("log-opts", "{\"max-size\": \"5m\", \"max-file\": \"1\"}"),
        ("log-opts", "{ \"max-file\":\t\"3\" ,\"labels\":\"a,b\"}"),
        ("log-opts", "{\n    \"tag\": \"{{.Name}}\"\n  }"),
        ("log-opts", "{\"max-size\": null}"),
        ("log-opts", "[]"),
        ("iptables", "false"),
        ("ip6tables", "false"),
        ("ip6tables", "true"),
        ("insecure-registries", "[\"10.0.0.0/8\",\"localhost:5000\"]"),
        ("insecure-registries", "[\n\t\"reg:5000\"\n]"),
        ("insecure-registries", "\"reg:5000\""),
        ("registry-mirrors", "[\"http://m:1\", \"https://m\"]"),
        ("storage-driver", "\"vfs\""),
        ("storage-driver", "\"overlay2\""),
        ("storage-opts", "[\"dm.basesize=10G\", \"overlay2.size=1G\"]"),
        ("cgroup-parent", "\"/x\""),
        ("seccomp-profile", "\"unconfined\""),
        ("experimental", "true"),
        ("live-restore", "false"),
        ("live-restore", "true"),
        ("userland-proxy", "true"),
        ("userland-proxy", "false"),
        ("no-new-privileges", "false"),
        ("selinux-enabled", "true"),
        ("group", "\"users\""),
        ("group", "\"docker\""),
        ("hosts", "[\"unix:///run/docker.sock\"]"),
        ("hosts", "[\"fd://\", \"tcp://0.0.0.0:2375\"]"),
        ("hosts", "[]"),
        ("tlscacert", "\"/etc/docker/tls/ca.pem\""),
        ("tlscert", "\"/etc/docker/tls/cert.pem\""),
        ("tlskey", "\"/etc/docker/tls/key.pem\""),
        ("tlskey", "\"relative.pem\""),
        ("tlsverify", "true"),
        ("mtu", "1500"),
        ("mtu", "1.5e3"),
        ("labels", "[\"a=\\u00e9\", \"b=\\\"\\\\\"]"),
        ("dns", "[ ]"),
        ("bridge", "\"none\""),
        ("data-root", "\"/var/lib/docker\""),
        ("data-root", "\"/srv/data\""),
        ("containerd", "\"/run/containerd/containerd.sock\""),
        ("content-trust", "{\"mode\": \"enforced\"}"),
        ("trust-pinning", "{}"),
        ("disable-legacy-registry", "true"),
        ("debugg", "true"),
        ("tls-verify", "true"),
        ("nothing", "{\"icc\": true}"),
        ("nothing", "{\"live-restore\": true, \"debug\": true}"),
        ("log-opt", "[\"max-size=1m\"]"),
        ("default-ulimits", "{\"nofile\": {\"Name\": \"nofile\", \"Hard\": 1, \"Soft\": 1}}"),
        ("features", "{\"buildkit\": true}"),
        ("proxies", "{\"http-proxy\": \"http://u:hunter2@p:1\"}"),
        ("", "1"),
        ("icc\\n", "0"),
        ("\\u0069cc", "true"),
        ("ICC", "true"),
    ])
}

fn daemon_json() -> impl Strategy<Value = Vec<u8>> {
    let style = (
        proptest::sample::select(vec!["\n", "\r\n", ""]),
        proptest::sample::select(vec!["  ", "    ", "\t", ""]),
        proptest::sample::select(vec![": ", ":", " : ", ":\t"]),
        any::<bool>(),
    );
    let broken = proptest::option::weighted(
        0.2,
        proptest::sample::select(vec![
            "comment", "comma", "bom", "utf16", "array", "twice", "cut", "latin1", "nul", "after", "keep",
        ]),
    );
    let members = proptest::collection::vec(member(), 0..6);
    (members, style, broken).prop_map(|(mut members, (newline, indent, colon, last), broken)| {
        if broken != Some("keep") {
            // A key given twice would hide everything else.
            let mut seen = BTreeSet::new();
            members.retain(|(name, _)| seen.insert(name.replace("\\u0069", "i")));
        }
        let lines: Vec<_> = members.iter().map(|(name, value)| format!("{indent}\"{name}\"{colon}{value}")).collect();
        let text = format!("{{{newline}{}{newline}}}{}", lines.join(&format!(",{newline}")), if last { newline } else { "" });
        match broken {
            Some("comment") => format!("// mine\n{text}").into_bytes(),
            Some("comma") => text.replacen('}', ",}", 1).into_bytes(),
            Some("bom") => format!("\u{feff}{text}").into_bytes(),
            Some("utf16") => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Some("array") => format!("[{text}]").into_bytes(),
            Some("twice") => text.replacen('{', "{\"icc\": true, \"icc\": false, ", 1).into_bytes(),
            Some("cut") => text.as_bytes()[..text.len() / 2].to_vec(),
            Some("latin1") => [text.as_bytes(), b"\xe9"].concat(),
            Some("nul") => [text.as_bytes(), b"\0"].concat(),
            Some("after") => format!("{text}{{}}").into_bytes(),
            _ => text.into_bytes(),
        }
    })
}

/// The host of these twists. A twist that does not fit what earlier ones left is passed over.
fn grow(twists: &[Twist]) -> Tree {
    let tree = Tree::host();
    for path in &PLACES[4..11] {
        tree.file(path, *path, 0o400);
    }
    for twist in twists {
        let path = match twist {
            Twist::File(path, _)
            | Twist::Gone(path)
            | Twist::Moved(path, ..)
            | Twist::Link(path, _)
            | Twist::Mode(path, _)
            | Twist::Owner(path, ..)
            | Twist::HardLink(path)
            | Twist::Acl(path)
            | Twist::Attribute(path)
            | Twist::Socket(path, _)
            | Twist::Fifo(path)
            | Twist::Dir(path, _) => *path,
        };
        // A tree whose links lead out of it must not have this test write there.
        let strays = |path: &str| {
            let found = std::fs::canonicalize(tree.at(path));
            !found.is_ok_and(|found| found.starts_with(tree.path()))
        };
        let above = parent(path);
        if !tree.exists(&above) && !matches!(twist, Twist::File(..) | Twist::Socket(..)) {
            continue;
        }
        let mut upper = above.as_str();
        while !upper.is_empty() && upper != "/" && !tree.exists(upper) {
            upper = &upper[..upper.rfind('/').unwrap_or(0)];
        }
        if strays(if upper.is_empty() { "/" } else { upper }) || !tree.at(upper).is_dir() {
            continue;
        }
        let kind = std::fs::symlink_metadata(tree.at(path)).ok();
        let is_file = kind.as_ref().is_some_and(|meta| meta.is_file());
        let is_dir = kind.as_ref().is_some_and(|meta| meta.is_dir());
        match twist {
            Twist::File(path, text) => {
                tree.remove(path).file(path, &text.0, 0o644);
            }
            Twist::Gone(path) => _ = tree.remove(path),
            Twist::Moved(path, to, target) if (is_file || is_dir) && !tree.exists(to) => {
                std::fs::create_dir_all(tree.at(&parent(to))).unwrap();
                std::fs::rename(tree.at(path), tree.at(to)).unwrap();
                tree.link(path, target);
            }
            Twist::Link(path, target) if !is_dir => _ = tree.remove(path).link(path, target),
            Twist::Mode(path, mode) if is_file || is_dir => _ = tree.chmod(path, *mode),
            Twist::Owner(path, uid, gid) if kind.is_some() => _ = tree.chown(path, *uid, *gid),
            Twist::HardLink(path) if is_file => {
                let other = tree.at("/etc/second-name");
                let _ = std::fs::remove_file(&other);
                std::fs::hard_link(tree.at(path), other).unwrap();
            }
            Twist::Acl(path) if is_file => _ = tree.set_xattr(path, "system.posix_acl_access", &common::acl_for_user_1000()),
            Twist::Attribute(path) if is_file || is_dir => _ = tree.set_xattr(path, "user.mine", b"\xff1"),
            Twist::Socket(path, mode) if !is_dir => {
                tree.remove(path);
                tree.socket(path, *mode);
            }
            Twist::Fifo(path) if !is_dir => _ = tree.remove(path).fifo(path),
            Twist::Dir(path, mode) if !is_dir => _ = tree.remove(path).dir(path, *mode),
            _ => {}
        }
    }
    tree
}

type Law = Result<(), TestCaseError>;

macro_rules! law {
    ($holds:expr, $($text:tt)*) => { if !$holds { return Err(TestCaseError::fail(format!($($text)*))); } };
}

const ALL: [&str; 3] = ["--max-risk", "disruptive", "--keep-going"];

/// Tries a law on many hosts; prints the tree of the smallest that breaks it.
fn on_every_host(law: impl Fn(&Tree) -> Law) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    let config = Config { cases, max_shrink_iters: 600, failure_persistence: None, ..Config::default() };
    let shown = RefCell::new(String::new());
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&proptest::collection::vec(twist(), 0..8), |twists| {
        let tree = grow(&twists);
        let before = tree.snapshot();
        law(&tree).inspect_err(|_| *shown.borrow_mut() = format!("{before:?}"))
    });
    if let Err(error) = outcome {
        panic!("{error}\nThe tree:\n{}", shown.borrow());
    }
}

fn targets(report: &Value) -> BTreeSet<String> {
    let changes = report["changes"].as_array().into_iter().flatten();
    changes.map(|change| change["target"].as_str().unwrap_or_default().to_owned()).collect()
}

fn drifts(report: &Value) -> bool {
    report["summary"]["drift"].as_u64() != Some(0) || report["summary"]["manual"].as_u64() != Some(0)
}

/// Everything that only looks.
fn looking_never_writes(tree: &Tree, baseline: &str) -> Law {
    let before = tree.snapshot();
    let (check, report) = tree.json(&["check", "-b", baseline, "--max-risk", "disruptive"]);
    law!(check.code == if drifts(&report) { 2 } else { 0 }, "exit status and summary disagree: {check}");
    for args in [&["plan"][..], &["--dry-run"], &["apply", "--dry-run"], &["apply", "--dry-run", "--yes"]] {
        let ran = tree.harden(&[args, &["-b", baseline, "--max-risk", "disruptive"]].concat());
        law!(ran.code == check.code, "{args:?} ends otherwise than check: {ran}");
    }
    for args in
        [&["explain", "daemon-live-restore"][..], &["generate", "daemon.json", "-b", baseline], &["generate", "audit.rules"]]
    {
        let ran = tree.harden(args);
        law!(ran.code == 0 || ran.code == 1, "{ran}");
    }
    let difference = before.difference(&tree.snapshot());
    law!(difference.is_empty(), "looking changed {difference:#?}");
    law!(!tree.exists(common::STATE_DIR), "looking made a state directory");
    Ok(())
}

/// Applying changes what it says and nothing else, and leaves nothing to do.
fn applying(tree: &Tree, baseline: &str) -> Law {
    let args = [&["-b", baseline][..], &ALL[..2]].concat();
    let (_, planned) = tree.json(&[&["plan"][..], &args].concat());
    let before = tree.snapshot();
    let (ran, report) = tree.json(&[&["apply", "--yes"][..], &args, &ALL[2..]].concat());
    let after = tree.snapshot();
    law!(ran.code == 0, "{ran}\n{}", brief(&planned));
    law!(report["failed"] == false, "{ran}");
    law!(report["changed"] == !report["transaction"].is_null(), "{ran}");
    law!(targets(&planned) == targets(&report), "planned and applied differ:\n{}\n{}", brief(&planned), brief(&report));
    only_targets(&before, &after, &targets(&report))?;
    only_tighter(&before, &after)?;
    only_named_keys(&before, &after, &report)?;

    if left_by_a_link(&planned, &report) {
        return settled_by_another_run(tree, &args);
    }
    let (plan, left) = tree.json(&[&["plan"][..], &args].concat());
    law!(left["changes"] == serde_json::json!([]) && left["activations"] == serde_json::json!([]), "left to do: {plan}");
    law!(left["summary"]["drift"] == 0, "automatic drift without a change: {plan}");
    law!(plan.code == if drifts(&left) { 2 } else { 0 }, "{plan}");
    law!(left["summary"] == report["summary"], "apply reported {}, plan then {}", report["summary"], left["summary"]);

    let (ran, again) = tree.json(&[&["apply", "--yes"][..], &args, &ALL[2..]].concat());
    law!(ran.code == 0 && again["changed"] == false, "{ran}");
    let difference = after.difference(&tree.snapshot());
    law!(difference.is_empty(), "a second apply changed {difference:#?}");
    if report["changed"] == true {
        rolling_back(tree, &before, &targets(&report))?;
    }
    Ok(())
}

/// What lies behind a link that somebody could have planted is unknown, until the directory above is nobody else's: then it can be
/// judged, and only then.
fn left_by_a_link(planned: &Value, report: &Value) -> bool {
    let found = |report: &Value, status: &str| -> BTreeSet<String> {
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let of_status = findings.into_iter().filter(|finding| finding["status"] == status);
        of_status.map(|finding| finding["control"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let automatic = report["summary"]["drift"] != 0;
    automatic
        && found(report, "drift").is_subset(&(&found(planned, "unknown") | &found(planned, "drift")))
        && !found(planned, "unknown").is_disjoint(&found(report, "drift"))
}

/// The run after that finds nothing more to do.
fn settled_by_another_run(tree: &Tree, args: &[&str]) -> Law {
    let (ran, _) = tree.json(&[&["apply", "--yes"][..], args, &ALL[2..]].concat());
    law!(ran.code == 0, "{ran}");
    let (plan, left) = tree.json(&[&["plan"][..], args].concat());
    law!(left["changes"] == serde_json::json!([]), "left to do: {plan}");
    Ok(())
}

/// The way back leads exactly to where it was.
fn rolling_back(tree: &Tree, before: &Snapshot, targets: &BTreeSet<String>) -> Law {
    let (ran, report) = tree.json(&["rollback", "--yes"]);
    law!(ran.code == 0 && report["failed"] == false, "{ran}");
    let touched: BTreeSet<String> =
        targets.iter().flat_map(|target| [target.clone(), parent(target)]).chain(["/var/lib".into()]).collect();
    let difference = before.timeless(&touched).difference(&tree.snapshot().timeless(&touched));
    law!(difference.is_empty(), "not rolled back: {difference:#?}\n{ran}");
    Ok(())
}

/// Nothing outside the targets differs; the directories in which a target was made or replaced have another time.
fn only_targets(before: &Snapshot, after: &Snapshot, targets: &BTreeSet<String>) -> Law {
    let mut timeless: BTreeSet<String> = targets.iter().map(|target| parent(target)).collect();
    // The state directory was made there.
    timeless.insert("/var/lib".into());
    let difference = before.timeless(&timeless).difference(&after.timeless(&timeless));
    let others: BTreeMap<_, _> = difference.into_iter().filter(|(path, _)| !targets.contains(path)).collect();
    law!(others.is_empty(), "changed without being planned: {others:#?}");
    Ok(())
}

fn only_tighter(before: &Snapshot, after: &Snapshot) -> Law {
    for (path, old) in &before.0 {
        let Some(new) = after.0.get(path) else { continue };
        law!(new.mode & 0o7777 & !old.mode == 0, "{path} got a permission: {:o} became {:o}", old.mode, new.mode);
        law!(
            old.mode & libc::S_IFMT == new.mode & libc::S_IFMT,
            "{path} is of another kind: {:o} became {:o}",
            old.mode,
            new.mode
        );
        let (old, new): (BTreeMap<_, _>, BTreeMap<_, _>) = (own(old), own(new));
        law!(old == new, "{path} lost or got an attribute");
    }
    Ok(())
}

/// Attributes apart from the ACL, which follows the mode.
fn own(entry: &Entry) -> BTreeMap<&Vec<u8>, &Vec<u8>> {
    entry.xattrs.iter().filter(|(name, _)| name.as_slice() != b"system.posix_acl_access").collect()
}

/// In daemon.json what the plan does not name has the same bytes, in the same order.
fn only_named_keys(before: &Snapshot, after: &Snapshot, report: &Value) -> Law {
    for change in report["changes"].as_array().into_iter().flatten() {
        let (Some(target), Some(summary)) = (change["target"].as_str(), change["summary"].as_str()) else { continue };
        let Some(new) = after.0.get(target).filter(|_| target.ends_with(".json")) else { continue };
        if change["kind"] == "metadata" {
            continue;
        }
        let named: BTreeSet<&str> = summary.split(['.', ',', ';', ' ']).collect();
        let read = |entry: &Entry| common::json::members(&entry.content).map_err(TestCaseError::fail);
        let new = read(new)?;
        let empty = b"{}".to_vec();
        let old = match before.0.get(target) {
            Some(old) if !old.content.trim_ascii().is_empty() => read(old)?,
            _ => common::json::members(&empty).map_err(TestCaseError::fail)?,
        };
        for (name, value) in &old {
            let now = new.iter().find(|(other, _)| other == name).map(|(_, value)| value);
            law!(now == Some(value) || named.contains(name.as_str()), "{name} changed, the plan says `{summary}`");
        }
        let kept = old.iter().filter(|(name, _)| new.iter().any(|(other, _)| other == name)).map(|(name, _)| name);
        let still = new.iter().filter(|(name, _)| old.iter().any(|(other, _)| other == name)).map(|(name, _)| name);
        law!(kept.eq(still), "the order changed");
        for (name, _) in new.iter().filter(|(name, _)| !old.iter().any(|(other, _)| other == name)) {
            law!(named.contains(name.as_str()), "{name} came, the plan says `{summary}`");
        }
    }
    Ok(())
}

/// A step that fails takes everything back that came before it.
fn failing_puts_back(tree: &Tree, which: usize, failed: &Cell<usize>) -> Law {
    let args = ["-b", BASELINES[which % BASELINES.len()], "--max-risk", "disruptive"];
    let (_, planned) = tree.json(&[&["plan"][..], &args].concat());
    let targets: Vec<String> = planned["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|change| change["target"].as_str().map(str::to_owned))
        .collect();
    if targets.is_empty() {
        return Ok(());
    }
    // The file itself where it is there; else the first directory above that is.
    let mut stuck = targets[which % targets.len()].clone();
    while !tree.exists(&stuck) {
        stuck = parent(&stuck);
    }
    if std::fs::symlink_metadata(tree.at(&stuck)).is_ok_and(|meta| meta.is_file() || meta.is_dir()) {
        set_immutable(&tree.at(&stuck), true);
        let (ran, foreseen) = tree.json(&[&["plan"][..], &args].concat());
        set_immutable(&tree.at(&stuck), false);
        let still = foreseen["changes"].as_array().into_iter().flatten().any(|change| change["target"] == stuck.as_str());
        law!(!still, "{stuck} is immutable, and is planned for: {ran}");
    }
    // What nobody can foresee: a call that fails.
    let (call, number) = (["fchmodat", "renameat"][which % 2], 1 + which / 8 % targets.len());
    let options = ["-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &format!("inject={call}:error=EIO:when={number}")];
    let apply = [&["apply", "--yes", "--keep-going", "--format", "json"][..], &args].concat();
    let before = tree.snapshot();
    let ran = Ran::of(common::sides::strace(tree, &options, &apply), format!("{call} {number} fails in {apply:?}"));
    if !ran.stderr().contains("EIO") {
        return Ok(());
    }
    failed.set(failed.get() + 1);
    let report = ran.document();
    law!(ran.code == 1, "{ran}\n{}", brief(&planned));
    law!(ran.stderr().contains("everything was put back"), "{ran}");
    law!(report["failed"] == true && report["changed"] == false, "{ran}");
    let directories: BTreeSet<String> = targets.iter().map(|target| parent(target)).chain(["/var/lib".into()]).collect();
    let difference = before.timeless(&directories).difference(&tree.snapshot().timeless(&directories));
    law!(difference.is_empty(), "not put back: {difference:#?}\n{ran}\n{}", brief(&planned));
    // And nothing is in the way of the next run.
    applying(tree, args[1])
}

#[test]
fn essential() {
    on_every_host(|tree| looking_never_writes(tree, "essential").and_then(|()| applying(tree, "essential")));
}

#[test]
fn cis_l1() {
    on_every_host(|tree| looking_never_writes(tree, "cis-l1").and_then(|()| applying(tree, "cis-l1")));
}

#[test]
fn cis_l2() {
    on_every_host(|tree| looking_never_writes(tree, "cis-l2").and_then(|()| applying(tree, "cis-l2")));
}

#[test]
fn guide() {
    on_every_host(|tree| looking_never_writes(tree, "guide").and_then(|()| applying(tree, "guide")));
}

#[test]
fn a_failure_in_the_middle_is_put_back() {
    let (which, failed) = (Cell::new(0), Cell::new(0));
    on_every_host(|tree| {
        which.set(which.get() + 1);
        failing_puts_back(tree, which.get(), &failed)
    });
    assert!(failed.get() * 4 > which.get(), "of {} runs only {} failed", which.get(), failed.get());
}
