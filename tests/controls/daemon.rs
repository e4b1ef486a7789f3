//! The controls of daemon.json and of dockerd's flags.

use harden::finding::FixKind;

use crate::table::{Absent, Break, automatic, check_absent, check_breaks, judge, judge_alone, manual, observe, of};
use crate::tree::{CONFIG, Tree};

const NOT_INSTALLED: &str = "Docker is not installed: no dockerd, no docker.service";
const READ_AS_MEANT: &str = "a configuration that this engine reads as it is meant";
const EXCEPTIONS: &str =
    "empty except 127.0.0.0/8, ::1/128, localhost, localhost:*, 127.0.0.1, 127.0.0.1:*, registry.lab.example:5000";
const HTTPS: &str = "empty except https://*, http://localhost, http://localhost:*, http://127.0.0.1, http://127.0.0.1:*";

pub const BREAKS: &[Break] = &[
    Break {
        control: "daemon-config-valid",
        how: "a key that no engine has",
        breaks: |tree| tree.key(r#""iccc": false"#),
        findings: &[manual(
            "/etc/docker/daemon.json:2:5",
            "wrong: `iccc` is no key of daemon.json, and dockerd refuses to start",
            READ_AS_MEANT,
            "edit line 2 of /etc/docker/daemon.json; harden changes no key unasked",
        )],
        also: &[],
    },
    Break {
        control: "daemon-config-valid",
        how: "a flag's name in place of the key",
        breaks: |tree| tree.key(r#""log-opt": {"max-size": "1m"}"#),
        findings: &[manual(
            "/etc/docker/daemon.json:2:17",
            "wrong: `max-size` inside `log-opt` stops dockerd: it does not know `log-opt`, reads its members as keys of the top \
             level, and `max-size` is none",
            READ_AS_MEANT,
            "edit line 2 of /etc/docker/daemon.json; harden changes no key unasked",
        )],
        also: &[],
    },
    Break {
        control: "daemon-config-valid",
        how: "a key that is a flag too",
        breaks: |tree| tree.flag("--icc=false"),
        findings: &[manual(
            "/etc/docker/daemon.json:2:5",
            "wrong: `icc` is here and also given by the flag --icc=false in /etc/default/docker:1 ($DOCKER_OPTS)",
            READ_AS_MEANT,
            "dockerd does not start with both; take one of them away",
        )],
        also: &[],
    },
    Break {
        control: "daemon-icc-disabled",
        how: "icc is true",
        breaks: |tree| tree.edit(CONFIG, r#""icc": false"#, r#""icc": true"#),
        findings: &[automatic("icc", "true", "false")],
        also: &[],
    },
    Break {
        control: "daemon-icc-disabled",
        how: "icc is not set",
        breaks: |tree| tree.drop_line(CONFIG, "icc"),
        findings: &[automatic("icc", "true", "false")],
        also: &[],
    },
    Break {
        control: "daemon-icc-disabled",
        how: "a flag turns it on",
        breaks: |tree| {
            tree.drop_line(CONFIG, "icc");
            tree.flag("--icc");
        },
        findings: &[manual(
            "icc",
            "true",
            "false",
            "it is given by the flag --icc; change or take away that flag in /etc/default/docker:1 ($DOCKER_OPTS)",
        )],
        also: &[],
    },
    Break {
        control: "daemon-log-level-info",
        how: "debug",
        breaks: |tree| tree.edit(CONFIG, r#""info""#, r#""debug""#),
        findings: &[automatic("log-level", "debug", "info")],
        also: &[],
    },
    Break {
        control: "daemon-log-level-info",
        how: "warn, which leaves out who did what",
        breaks: |tree| tree.edit(CONFIG, r#""info""#, r#""warn""#),
        findings: &[automatic("log-level", "warn", "info")],
        also: &[],
    },
    Break {
        control: "daemon-debug-disabled",
        how: "debug is on",
        breaks: |tree| tree.key(r#""debug": true"#),
        findings: &[automatic("debug", "true", "false")],
        also: &[],
    },
    Break {
        control: "daemon-iptables-enabled",
        how: "iptables is off",
        breaks: |tree| tree.key(r#""iptables": false"#),
        findings: &[automatic("iptables", "false", "true")],
        also: &["daemon-config-valid /etc/docker/daemon.json:3:5"],
    },
    Break {
        control: "daemon-iptables-enabled",
        how: "null, which dockerd takes for false",
        breaks: |tree| tree.key(r#""iptables": null"#),
        findings: &[automatic("iptables", "false", "true")],
        also: &["daemon-config-valid /etc/docker/daemon.json:2:5", "daemon-config-valid /etc/docker/daemon.json:3:5"],
    },
    Break {
        control: "daemon-iptables-enabled",
        how: "ip6tables is off",
        breaks: |tree| tree.key(r#""ip6tables": false"#),
        findings: &[automatic("ip6tables", "false", "true")],
        also: &[],
    },
    Break {
        control: "daemon-iptables-enabled",
        how: "hidden in an object that dockerd does not know",
        breaks: |tree| tree.key(r#""network": {"iptables": false}"#),
        findings: &[manual(
            "iptables",
            "false",
            "true",
            "`network` at /etc/docker/daemon.json:2 is no key of dockerd, but its booleans take effect; take it out",
        )],
        also: &["daemon-config-valid /etc/docker/daemon.json:2:17"],
    },
    Break {
        control: "daemon-no-insecure-registries",
        how: "one that is not excepted",
        breaks: |tree| {
            tree.key(
                r#""insecure-registries": ["plain.example", "registry.lab.example:5000", "127.0.0.1:5000", "10.0.0.0/8"]"#,
            );
        },
        findings: &[automatic("insecure-registries", "plain.example, 10.0.0.0/8", EXCEPTIONS)],
        also: &[],
    },
    Break {
        control: "daemon-no-insecure-registries",
        how: "a mirror without TLS",
        breaks: |tree| tree.key(r#""registry-mirrors": ["https://good.example", "http://mirror.example"]"#),
        findings: &[manual(
            "registry-mirrors",
            "http://mirror.example",
            HTTPS,
            "give the mirror a certificate and write its address with https://, or take it out of registry-mirrors",
        )],
        also: &[],
    },
    Break {
        control: "daemon-storage-driver-supported",
        how: "vfs",
        breaks: |tree| tree.key(r#""storage-driver": "vfs""#),
        findings: &[manual(
            "storage-driver",
            "vfs",
            "one of overlay2, overlayfs, btrfs, zfs, fuse-overlayfs",
            "changing the storage driver hides every image and container of the old one: save what is needed, change \
             storage-driver, then load it again",
        )],
        also: &[],
    },
    Break {
        control: "daemon-cgroup-parent-default",
        how: "one that is not approved",
        breaks: |tree| tree.key(r#""cgroup-parent": "other.slice""#),
        findings: &[automatic("cgroup-parent", "other.slice", "one of \"\", approved.slice")],
        also: &[],
    },
    Break {
        control: "daemon-no-dm-basesize",
        how: "a size of base devices",
        breaks: |tree| tree.key(r#""storage-opts": ["dm.basesize=20G", "dm.fs=xfs"]"#),
        findings: &[automatic("storage-opts", "dm.basesize=20G", "without dm.basesize=*")],
        also: &[],
    },
    Break {
        control: "daemon-log-rotation",
        how: "no limits",
        breaks: |tree| tree.drop_line(CONFIG, "log-opts"),
        findings: &[automatic("log-opts.max-size", "not set", "set"), automatic("log-opts.max-file", "not set", "at least 2")],
        also: &[],
    },
    Break {
        control: "daemon-log-rotation",
        how: "one file only",
        breaks: |tree| tree.edit(CONFIG, r#""max-file": "3""#, r#""max-file": "1", "labels": "a""#),
        findings: &[automatic("log-opts.max-file", "1", "at least 2")],
        also: &[],
    },
    Break {
        control: "daemon-no-new-privileges",
        how: "off",
        breaks: |tree| tree.edit(CONFIG, r#""no-new-privileges": true"#, r#""no-new-privileges": false"#),
        findings: &[automatic("no-new-privileges", "false", "true")],
        also: &[],
    },
    Break {
        control: "daemon-live-restore",
        how: "not set",
        breaks: |tree| tree.drop_line(CONFIG, "live-restore"),
        findings: &[automatic("live-restore", "false", "true")],
        also: &[],
    },
    Break {
        control: "daemon-userland-proxy-disabled",
        how: "not set",
        breaks: |tree| tree.drop_line(CONFIG, "userland-proxy"),
        findings: &[automatic("userland-proxy", "true", "false")],
        also: &[],
    },
    Break {
        control: "daemon-seccomp-default",
        how: "unconfined",
        breaks: |tree| tree.key(r#""seccomp-profile": "unconfined""#),
        findings: &[automatic("seccomp-profile", "unconfined", "one of \"\", builtin, default, /etc/docker/seccomp.json")],
        also: &[],
    },
    Break {
        control: "daemon-experimental-off",
        how: "on",
        breaks: |tree| tree.key(r#""experimental": true"#),
        findings: &[automatic("experimental", "true", "false")],
        also: &[],
    },
    Break {
        control: "daemon-legacy-registry-key",
        how: "the key is there",
        breaks: |tree| tree.key(r#""disable-legacy-registry": true"#),
        findings: &[automatic("disable-legacy-registry", "true", "not set")],
        also: &["daemon-config-valid /etc/docker/daemon.json:2:5"],
    },
    Break {
        control: "daemon-content-trust-key",
        how: "both keys are there",
        breaks: |tree| {
            tree.key(r#""content-trust": {"mode": "enforced"}"#);
            tree.key(r#""trust-pinning": null"#);
        },
        findings: &[
            automatic("content-trust", r#"{"mode":"enforced"}"#, "not set"),
            automatic("trust-pinning", "null", "not set"),
        ],
        also: &["daemon-config-valid /etc/docker/daemon.json:2:5", "daemon-config-valid /etc/docker/daemon.json:3:23"],
    },
    Break {
        control: "daemon-selinux-enabled",
        how: "off where SELinux enforces",
        breaks: |tree| tree.edit(CONFIG, r#""selinux-enabled": true"#, r#""selinux-enabled": false"#),
        findings: &[automatic("selinux-enabled", "false", "true")],
        also: &[],
    },
    Break {
        control: "daemon-selinux-enabled",
        how: "off where SELinux only warns",
        breaks: |tree| {
            tree.drop_line(CONFIG, "selinux-enabled");
            tree.edit("/etc/selinux/config", "\nSELINUX=enforcing", "\nSELINUX=permissive");
        },
        findings: &[manual(
            "selinux-enabled",
            "false",
            "true",
            "SELinux is not enforcing: containers would get labels that protect nothing; set SELINUX=enforcing first",
        )],
        also: &[],
    },
];

const fn without_docker(control: &'static str, target: &'static str) -> Absent {
    Absent { control, remove: |tree| tree.remove_docker(), target, reason: NOT_INSTALLED }
}

pub const ABSENT: &[Absent] = &[
    Absent {
        control: "daemon-config-valid",
        remove: |tree| tree.remove(CONFIG),
        target: CONFIG,
        reason: "/etc/docker/daemon.json does not exist: dockerd takes its defaults",
    },
    Absent {
        control: "daemon-icc-disabled",
        remove: |tree| tree.key(r#""bridge": "none""#),
        target: "icc",
        reason: "dockerd has no default bridge (bridge: none)",
    },
    without_docker("daemon-log-level-info", "log-level"),
    without_docker("daemon-debug-disabled", "debug"),
    without_docker("daemon-iptables-enabled", "iptables"),
    without_docker("daemon-no-insecure-registries", "insecure-registries"),
    without_docker("daemon-storage-driver-supported", "storage-driver"),
    without_docker("daemon-cgroup-parent-default", "cgroup-parent"),
    without_docker("daemon-no-dm-basesize", "storage-opts"),
    Absent {
        control: "daemon-log-rotation",
        remove: |tree| tree.key(r#""log-driver": "local""#),
        target: "log-opts.max-size",
        reason: "the default log driver is local, not json-file",
    },
    without_docker("daemon-no-new-privileges", "no-new-privileges"),
    Absent {
        control: "daemon-live-restore",
        remove: |tree| {
            tree.write("/var/lib/docker/swarm/docker-state.json", "{}");
            tree.drop_line(CONFIG, "live-restore");
        },
        target: "live-restore",
        reason: "this node is in a swarm, which refuses live-restore",
    },
    without_docker("daemon-userland-proxy-disabled", "userland-proxy"),
    without_docker("daemon-seccomp-default", "seccomp-profile"),
    without_docker("daemon-experimental-off", "experimental"),
    without_docker("daemon-legacy-registry-key", "disable-legacy-registry"),
    without_docker("daemon-content-trust-key", "content-trust"),
    Absent {
        control: "daemon-selinux-enabled",
        remove: |tree| tree.remove("/etc/selinux"),
        target: "selinux-enabled",
        reason: "SELinux is not switched on in /etc/selinux/config",
    },
];

#[test]
fn broken_then_fixed() {
    check_breaks(BREAKS);
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}

/// Both need iptables: alone they wait for it, together with its fix they are fixed in the same run.
#[test]
fn what_needs_iptables_waits_for_it() {
    let tree = Tree::green();
    tree.drop_line(CONFIG, "userland-proxy");
    tree.edit(CONFIG, r#""icc": false"#, r#""iptables": false"#);
    let facts = observe(&tree);
    for (control, reason) in [
        (
            "daemon-icc-disabled",
            "dockerd does not start with icc off while iptables is off; switch iptables on (daemon-iptables-enabled), then run \
             harden again",
        ),
        (
            "daemon-userland-proxy-disabled",
            "while iptables is off, the proxy alone publishes ports; switch iptables on (daemon-iptables-enabled), then run harden \
             again",
        ),
    ] {
        let alone = judge_alone(&facts, control);
        let reasons: Vec<_> = of(&alone, control).map(|finding| finding.fix.reason.as_deref()).collect();
        assert_eq!(reasons, [Some(reason)], "{control}");
        let all = judge(&facts);
        let kinds: Vec<_> = of(&all, control).map(|finding| finding.fix.kind).collect();
        assert_eq!(kinds, [FixKind::Automatic], "{control}");
    }
}
