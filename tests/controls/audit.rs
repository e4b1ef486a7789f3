//! The controls of auditd and the audit rules, as far as an image tree shows them; what takes a kernel is in `live.rs`.

use crate::table::{Absent, Break, automatic, check_absent, check_breaks, manual, unknown};
use crate::tree::{CONFIG, RULES, Tree};

const WXA: &str = "recorded (wxa) by rules.d";
const WA: &str = "recorded (wa) by rules.d";
const NOT_RECORDED: &str = "not recorded by rules.d";
const RULES_DIR: &str = "/etc/audit/rules.d";
const SERVICE: &str = "/usr/lib/systemd/system/docker.service";
const SOCKET_UNIT: &str = "/usr/lib/systemd/system/docker.socket";
const DROP_IN: &str = "/etc/systemd/system/docker.service.d/proxy.conf";

/// Nobody watches a program.
const fn unwatched(
    control: &'static str,
    breaks: fn(&Tree),
    findings: &'static [crate::table::Expected],
    also: &'static [&'static str],
) -> Break {
    Break { control, how: "no rule", breaks, findings, also }
}

pub const BREAKS: &[Break] = &[
    Break {
        control: "audit-auditd-running",
        how: "auditd is not installed",
        breaks: Tree::remove_audit,
        findings: &[manual(
            "auditd",
            "not installed",
            "on, with auditd connected",
            "install auditd: `apt-get install auditd`, or `dnf install audit`",
        )],
        also: &[],
    },
    Break {
        control: "audit-rules-loadable",
        how: "a line that stops the load, and with it the rules after it",
        breaks: |tree| tree.edit(RULES, "-w /etc/sysconfig", "-w /etc/absent/x -p wa\n-w /etc/sysconfig"),
        findings: &[manual(
            "/etc/audit/rules.d/docker.rules:14",
            "wrong: path=/etc/absent/x: its parent directory is not there",
            "lines that all load at boot",
            "the load stops there, and the 2 rules after it are lost; delete the line, or make sure that the directory is there \
             before rules are loaded (/run is empty at boot)",
        )],
        also: &[
            "audit-watch-containerd-config /etc/containerd/config.toml",
            "audit-watch-etc-sysconfig-docker /etc/sysconfig/docker",
        ],
    },
    Break {
        control: "audit-rules-loadable",
        how: "harden's own file gives a rule that another file gives by now",
        breaks: |tree| {
            let rule = "-a always,exit -S all -F path=/etc/containerd/config.toml -F perm=wa -F key=docker\n";
            tree.write("/etc/audit/rules.d/50-harden-docker.rules", &format!("\n# of harden\n{rule}"));
        },
        findings: &[automatic(
            "/etc/audit/rules.d",
            "given twice: harden's own file has 1 rule that another file has too",
            "lines that all load at boot",
        )],
        also: &[],
    },
    Break {
        control: "audit-rules-loadable",
        how: "a line that harden does not know",
        breaks: |tree| tree.edit(RULES, "-w /usr/bin/dockerd", "--signal term\n-w /usr/bin/dockerd"),
        findings: &[unknown(
            "/etc/audit/rules.d/docker.rules:1",
            "--signal: audit 3.0.9 does not know it, later versions signal auditd",
        )],
        also: &[],
    },
    unwatched(
        "audit-watch-dockerd",
        |tree| tree.drop_line(RULES, "/usr/bin/dockerd "),
        &[automatic("/usr/bin/dockerd", NOT_RECORDED, WXA)],
        &[],
    ),
    Break {
        control: "audit-watch-dockerd",
        how: "runs are recorded, changes are not",
        breaks: |tree| tree.edit(RULES, "/usr/bin/dockerd -p wxa", "/usr/bin/dockerd -p x"),
        findings: &[automatic("/usr/bin/dockerd", "recorded in part by rules.d", WXA)],
        also: &[],
    },
    Break {
        control: "audit-watch-dockerd",
        how: "of one user only",
        breaks: |tree| {
            tree.edit(
                RULES,
                "-w /usr/bin/dockerd -p wxa -k docker",
                "-a always,exit -S all -F path=/usr/bin/dockerd -F perm=wxa -F auid=1000 -F key=docker",
            );
        },
        findings: &[automatic("/usr/bin/dockerd", "recorded in part by rules.d", WXA)],
        also: &[],
    },
    unwatched(
        "audit-watch-docker-cli",
        |tree| tree.drop_line(RULES, "/usr/bin/docker "),
        &[automatic("/usr/bin/docker", NOT_RECORDED, WXA)],
        &[],
    ),
    unwatched(
        "audit-watch-var-lib-docker",
        |tree| tree.drop_line(RULES, "/var/lib/docker "),
        &[automatic("/var/lib/docker", NOT_RECORDED, WA)],
        &[],
    ),
    Break {
        control: "audit-watch-var-lib-docker",
        how: "the data lies elsewhere",
        breaks: |tree| {
            tree.key(r#""data-root": "/srv/docker""#);
            tree.write("/srv/docker/engine-id", "x\n");
        },
        findings: &[automatic("/srv/docker", NOT_RECORDED, WA)],
        also: &[],
    },
    unwatched(
        "audit-watch-etc-docker",
        |tree| tree.drop_line(RULES, "/etc/docker "),
        &[automatic("/etc/docker", NOT_RECORDED, WA)],
        &["audit-watch-daemon-json /etc/docker/daemon.json"],
    ),
    unwatched(
        "audit-watch-docker-service",
        |tree| tree.drop_line(RULES, "docker.service "),
        &[automatic(SERVICE, NOT_RECORDED, WA)],
        &[],
    ),
    Break {
        control: "audit-watch-docker-service",
        how: "no rule for a drop-in",
        breaks: |tree| tree.drop_line(RULES, "proxy.conf "),
        findings: &[automatic(DROP_IN, NOT_RECORDED, WA)],
        also: &[],
    },
    unwatched(
        "audit-watch-docker-socket-unit",
        |tree| tree.drop_line(RULES, "docker.socket "),
        &[automatic(SOCKET_UNIT, NOT_RECORDED, WA)],
        &[],
    ),
    unwatched(
        "audit-watch-etc-default-docker",
        |tree| tree.drop_line(RULES, "/etc/default/docker "),
        &[automatic("/etc/default/docker", NOT_RECORDED, WA)],
        &["audit-watch-docker-service /etc/default/docker"],
    ),
    unwatched(
        "audit-watch-daemon-json",
        |tree| tree.drop_line(RULES, "/etc/docker "),
        &[automatic(CONFIG, NOT_RECORDED, WA)],
        &["audit-watch-etc-docker /etc/docker"],
    ),
    Break {
        control: "audit-watch-daemon-json",
        how: "an earlier rule drops its events",
        breaks: |tree| {
            tree.edit(
                RULES,
                "-w /usr/bin/dockerd",
                "-a never,exit -S all -F path=/etc/docker/daemon.json\n-w /usr/bin/dockerd",
            );
        },
        findings: &[manual(
            CONFIG,
            "dropped by an earlier rule of rules.d",
            WA,
            "one more rule would not help: `-a never,exit -S all -F path=/etc/docker/daemon.json` comes first and drops every \
             access wa on /etc/docker/daemon.json; take that rule away",
        )],
        also: &["audit-watch-etc-docker /etc/docker"],
    },
    unwatched(
        "audit-watch-containerd-config",
        |tree| tree.drop_line(RULES, "config.toml "),
        &[automatic("/etc/containerd/config.toml", NOT_RECORDED, WA)],
        &[],
    ),
    unwatched(
        "audit-watch-etc-sysconfig-docker",
        |tree| tree.drop_line(RULES, "/etc/sysconfig/docker "),
        &[automatic("/etc/sysconfig/docker", NOT_RECORDED, WA)],
        &[],
    ),
    unwatched(
        "audit-watch-containerd-bin",
        |tree| tree.drop_line(RULES, "/usr/bin/containerd "),
        &[automatic("/usr/bin/containerd", NOT_RECORDED, WXA)],
        &[],
    ),
    unwatched(
        "audit-watch-containerd-shim",
        |tree| tree.drop_line(RULES, "/usr/bin/containerd-shim "),
        &[automatic("/usr/bin/containerd-shim", NOT_RECORDED, WXA)],
        &[],
    ),
    unwatched(
        "audit-watch-containerd-shim-runc-v1",
        |tree| tree.drop_line(RULES, "/usr/bin/containerd-shim-runc-v1 "),
        &[automatic("/usr/bin/containerd-shim-runc-v1", NOT_RECORDED, WXA)],
        &[],
    ),
    unwatched(
        "audit-watch-containerd-shim-runc-v2",
        |tree| tree.drop_line(RULES, "/usr/bin/containerd-shim-runc-v2 "),
        &[automatic("/usr/bin/containerd-shim-runc-v2", NOT_RECORDED, WXA)],
        &[],
    ),
    unwatched(
        "audit-watch-runc",
        |tree| tree.drop_line(RULES, "/usr/bin/runc "),
        &[automatic("/usr/bin/runc", NOT_RECORDED, WXA)],
        &[],
    ),
    Break {
        control: "audit-watch-runc",
        how: "the rule names a link, which auditing does not follow",
        breaks: |tree| {
            tree.write("/usr/lib/runc/runc", "");
            tree.remove("/usr/bin/runc");
            std::os::unix::fs::symlink("/usr/lib/runc/runc", tree.at("/usr/bin/runc")).expect("a link");
        },
        findings: &[automatic("/usr/lib/runc/runc", "recorded in part by rules.d", WXA)],
        also: &[],
    },
];

const fn gone(control: &'static str, remove: fn(&Tree), target: &'static str, reason: &'static str) -> Absent {
    Absent { control, remove, target, reason }
}

const IN_RUN: &str = "it is made anew at every boot, so rules.d can't hold its rule; ask again on the running host";
const NO_AUDITD: &str = "auditd is not installed: no auditctl, no /etc/audit/rules.d";

pub const ABSENT: &[Absent] = &[
    gone("audit-auditd-running", |_| {}, "auditd", "an image tree has no kernel"),
    gone("audit-rules-persistent", |_| {}, RULES_DIR, "an image tree has no kernel"),
    gone("audit-rules-loadable", Tree::remove_audit, RULES_DIR, NO_AUDITD),
    gone("audit-watch-dockerd", Tree::remove_audit, "@binary:dockerd", NO_AUDITD),
    gone("audit-watch-docker-cli", |tree| tree.remove("/usr/bin/docker"), "@binary:docker", "docker is not installed"),
    gone("audit-watch-run-containerd", |_| {}, "/run/containerd", IN_RUN),
    gone("audit-watch-var-lib-docker", |tree| tree.remove("/var/lib/docker"), "@data-root", "/var/lib/docker does not exist"),
    gone("audit-watch-etc-docker", |tree| tree.remove("/etc/docker"), "/etc/docker", "/etc/docker does not exist"),
    gone(
        "audit-watch-docker-service",
        |tree| tree.remove(SERVICE),
        "@unit:docker.service, @unit-parts:docker.service",
        "there is no unit docker.service",
    ),
    gone("audit-watch-containerd-sock", |_| {}, "/run/containerd/containerd.sock", IN_RUN),
    gone("audit-watch-docker-socket", |_| {}, "/run/docker.sock", IN_RUN),
    gone(
        "audit-watch-docker-socket-unit",
        |tree| tree.remove(SOCKET_UNIT),
        "@unit:docker.socket",
        "there is no unit docker.socket",
    ),
    gone(
        "audit-watch-etc-default-docker",
        |tree| tree.remove("/etc/default/docker"),
        "/etc/default/docker",
        "/etc/default/docker does not exist",
    ),
    gone("audit-watch-daemon-json", |tree| tree.remove(CONFIG), "@config-file", "/etc/docker/daemon.json does not exist"),
    gone(
        "audit-watch-containerd-config",
        |tree| tree.remove("/etc/containerd/config.toml"),
        "/etc/containerd/config.toml",
        "/etc/containerd/config.toml does not exist",
    ),
    gone(
        "audit-watch-etc-sysconfig-docker",
        |tree| tree.remove("/etc/sysconfig/docker"),
        "/etc/sysconfig/docker",
        "/etc/sysconfig/docker does not exist",
    ),
    gone(
        "audit-watch-containerd-bin",
        |tree| tree.remove("/usr/bin/containerd"),
        "@binary:containerd",
        "containerd is not installed",
    ),
    gone(
        "audit-watch-containerd-shim",
        |tree| tree.remove("/usr/bin/containerd-shim"),
        "@binary:containerd-shim",
        "containerd-shim is not installed",
    ),
    gone(
        "audit-watch-containerd-shim-runc-v1",
        |tree| tree.remove("/usr/bin/containerd-shim-runc-v1"),
        "@binary:containerd-shim-runc-v1",
        "containerd-shim-runc-v1 is not installed",
    ),
    gone(
        "audit-watch-containerd-shim-runc-v2",
        |tree| tree.remove("/usr/bin/containerd-shim-runc-v2"),
        "@binary:containerd-shim-runc-v2",
        "containerd-shim-runc-v2 is not installed",
    ),
    gone("audit-watch-runc", |tree| tree.remove("/usr/bin/runc"), "@binary:runc", "runc is not installed"),
];

#[test]
fn broken_then_fixed() {
    check_breaks(BREAKS);
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}
