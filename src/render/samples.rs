//! Reports that the renderings are tested with.

use crate::baseline::control::{Area, Risk, Severity};
use crate::change::{Action, Activation};
use crate::finding::{Finding, Fix, FixKind, Status};
use crate::render::diff::unified;
use crate::report::{AnsibleDiff, Audit, BaselineRef, ChangeView, Docker, Host, Report, RunOutcome, SCHEMA, Summary, Tool};

/// Every sample with the name of its golden file.
pub fn all() -> Vec<(&'static str, Report)> {
    vec![
        ("drift", drift()),
        ("clean", clean()),
        ("no-docker", no_docker()),
        ("applied", applied()),
        ("failed", failed()),
        ("stuck", stuck()),
        ("early-failure", early_failure()),
        ("certs", certs()),
        ("hostile", hostile()),
        ("by-hand", by_hand()),
        ("many-containers", many_containers()),
        ("not-asked", not_asked()),
    ]
}

/// Three areas of drift, and one finding of every other status.
pub fn drift() -> Report {
    let mut findings = vec![
        daemon("daemon-icc-off", "icc", Severity::High, "true", "false"),
        daemon("daemon-live-restore", "live-restore", Severity::Medium, "false", "true"),
        daemon("daemon-log-limits", "log-opts.max-size", Severity::Low, "not set", "set"),
        daemon("daemon-log-limits", "log-opts.max-file", Severity::Low, "1", "at least 3"),
    ];
    findings[0].risk = Risk::Restart;
    findings[0].impact = Some("Containers on the default bridge that talk to each other without --link stop doing so.".into());
    findings[0].evidence = vec!["/etc/docker/daemon.json:3:10 icc".into(), "GET /networks/bridge enable_icc=true".into()];
    findings[0].why =
        "One broken-into container reaches every other one on the default bridge. Attackers use it to move on.".into();
    findings[1].why = "Without it an engine upgrade or crash stops every container.".into();
    findings[2].why = "Logs without a limit fill the disk.".into();
    findings[3].why = findings[2].why.clone();
    let mut tcp = daemon(
        "daemon-tcp-tls",
        "hosts",
        Severity::Critical,
        "tcp://0.0.0.0:2375 without TLS",
        "no TCP listener without tlsverify",
    );
    tcp.evidence = vec!["flag -H tcp://0.0.0.0:2375 of dockerd, pid 812 (/usr/lib/systemd/system/docker.service:14)".into()];
    tcp.why = "Whoever reaches the port is root on this host.".into();
    tcp.fix = by_hand_fix(
        "clients need certificates first; create a CA and certificates, set tlscacert, tlscert, tlskey and tlsverify, then remove the \
         listener without TLS from ExecStart in docker.service",
    );
    findings.push(tcp);
    findings.extend((1..=11).map(|n| compliant(Area::Daemon, &format!("daemon-good-{n:02}"))));
    findings[5].fix.reason = Some("the flag says so; the file does not".into());
    let mut waived = daemon("daemon-userns-remap", "userns-remap", Severity::Medium, "not set", "default");
    waived.status = Status::Waived;
    waived.fix = Fix {
        kind: FixKind::None,
        changes: vec![],
        reason: Some("until 2027-03-31: images share volumes with the host (OPS-1412)".into()),
    };
    findings.push(waived);

    let mut rule = finding("audit-docker-daemon", "/usr/bin/dockerd", Area::Audit, Severity::Medium);
    rule.observed = "watched for w".into();
    rule.desired = "watched for rwxa, on disk and in the kernel".into();
    rule.evidence = vec!["/etc/audit/rules.d/docker.rules:7".into(), "kernel: no rule covers /usr/bin/dockerd".into()];
    rule.why = "What is not recorded can't be investigated.".into();
    rule.fix.changes = vec!["c2".into(), "c3".into()];
    findings.push(rule);
    findings.extend((1..=3).map(|n| compliant(Area::Audit, &format!("audit-good-{n}"))));
    findings.extend(
        (1..=2).map(|n| not_applicable(Area::Audit, &format!("audit-na-{n}"), "the path does not exist: /usr/bin/runc")),
    );
    findings.push(not_applicable(Area::Audit, "audit-na-3", "containerd is not installed"));

    let mut key = finding("file-tls-key-mode", "/etc/docker/tls/server-key.pem", Area::File, Severity::Critical);
    key.observed = "0644 root:root".into();
    key.desired = "no bit beyond 0400".into();
    key.evidence = vec!["fstat: 0644 root:root".into()];
    key.why = "Whoever reads the key speaks as this engine.".into();
    key.fix.changes = vec!["c4".into()];
    findings.push(key);
    let mut unreadable =
        finding("file-registry-certs-owner", "/etc/docker/certs.d/registry.example/ca.crt", Area::File, Severity::Medium);
    unreadable.status = Status::Unknown;
    unreadable.fix = Fix {
        kind: FixKind::None,
        changes: vec![],
        reason: Some("cannot open /etc/docker/certs.d: EACCES (Permission denied)".into()),
    };
    findings.push(unreadable);
    findings.extend((1..=6).map(|n| compliant(Area::File, &format!("file-good-{n}"))));
    findings.push(compliant(Area::Socket, "socket-docker-mode"));

    let old = "{\n  \"debug\": false,\n  \"icc\": true,\n  \"log-driver\": \"json-file\",\n  \"log-opts\": { \"max-file\": \"1\" }\n}\n";
    let new = "{\n  \"debug\": false,\n  \"icc\": false,\n  \"log-driver\": \"json-file\",\n  \"log-opts\": { \"max-file\": \"3\", \"max-size\": \"10m\" },\n  \"live-restore\": true\n}\n";
    let path = "/etc/docker/daemon.json";
    let rules = "/etc/audit/rules.d/50-harden.rules";
    let line = "-a always,exit -S all -F path=/usr/bin/dockerd -F perm=rwxa -F key=docker\n";
    let mut report = report(findings);
    report.changes = vec![
        change(
            "c1",
            "edit",
            path,
            &["daemon-icc-off", "daemon-live-restore", "daemon-log-limits"],
            "set icc, live-restore and log-opts in /etc/docker/daemon.json",
            unified(path, path, old, new),
        ),
        change(
            "c2",
            "create",
            rules,
            &["audit-docker-daemon"],
            "write 1 rule to /etc/audit/rules.d/50-harden.rules",
            unified("/dev/null", rules, "", line),
        ),
        change(
            "c3",
            "audit-kernel",
            "kernel audit rules",
            &["audit-docker-daemon"],
            "add 1 rule to the kernel's list",
            unified("kernel audit rules", "kernel audit rules", "", line),
        ),
        change(
            "c4",
            "metadata",
            "/etc/docker/tls/server-key.pem",
            &["file-tls-key-mode"],
            "clear mode bits of /etc/docker/tls/server-key.pem: 0644 to 0400",
            "-mode 0644\n+mode 0400\n".into(),
        ),
    ];
    report.activations = vec![
        activation(Action::AuditLoad, "adds rules to the running kernel; nothing is interrupted", &["c3"], None),
        activation(
            Action::DockerReload,
            "live-restore is switched on first, so that the restart leaves containers running",
            &["c1"],
            None,
        ),
        activation(
            Action::DockerRestart,
            "icc needs a restart; containers keep running, the API is away for some seconds, and builds and pulls that run now are lost",
            &["c1"],
            None,
        ),
    ];
    report
}

/// Everything as wanted.
pub fn clean() -> Report {
    report(vec![
        compliant(Area::Daemon, "daemon-icc-off"),
        compliant(Area::Daemon, "daemon-live-restore"),
        compliant(Area::File, "file-docker-unit-owner"),
    ])
}

/// No engine, no auditd: an image tree.
pub fn no_docker() -> Report {
    let mut findings: Vec<_> = (1..=19)
        .map(|n| {
            not_applicable(
                Area::Audit,
                &format!("audit-{n:02}"),
                "auditd is not installed (no /sbin/auditctl and no /etc/audit)",
            )
        })
        .collect();
    findings.extend((1..=4).map(|n| not_applicable(Area::Daemon, &format!("daemon-{n}"), "Docker is not installed")));
    findings.push(not_applicable(Area::Daemon, "daemon-5", "the node is in a swarm, which refuses live-restore"));
    let mut report = report(findings);
    report.host = Host {
        hostname: "image".into(),
        root: "/srv/images/web".into(),
        service_manager: "none".into(),
        docker: Docker { running: Some(false), ..Docker::default() },
        audit: Audit::default(),
    };
    report
}

/// After `apply`: observed again, one thing left by hand.
pub fn applied() -> Report {
    let before = drift();
    let mut report = report(before.findings.into_iter().filter(|finding| finding.fix.kind != FixKind::Automatic).collect());
    report.changes = before.changes;
    report.activations = before.activations;
    report.activations[2].by_hand = Some("dockerd was not started by a service manager: stop it and start it again, with `kill 812` and `/usr/bin/dockerd -H unix:///run/docker.sock`.".into());
    report.outcome = Some(RunOutcome {
        changed: true,
        failed: false,
        msg: "4 changes made and verified".into(),
        transaction: Some("20261103T141502Z-7f3a".into()),
        originals: None,
        diff: vec![AnsibleDiff {
            before_header: "/etc/docker/tls/server-key.pem".into(),
            after_header: "/etc/docker/tls/server-key.pem".into(),
            before: "mode 0644\n".into(),
            after: "mode 0400\n".into(),
        }],
        activated: vec![Action::AuditLoad, Action::DockerReload],
    });
    // The schema wants a drift finding in front, and so does a reader.
    let first = report.findings.iter().position(|finding| finding.status == Status::Drift).unwrap_or_default();
    report.findings.swap(0, first);
    report
}

/// `apply` failed, and everything was put back.
pub fn failed() -> Report {
    let mut report = drift();
    report.outcome =
        Some(outcome(false, "dockerd did not answer within 30 s after its restart; everything was put back", None));
    report
}

/// `apply` failed, and putting back failed too.
pub fn stuck() -> Report {
    let mut report = drift();
    let msg = "cannot put back /etc/docker/daemon.json: ENOSPC (No space left on device); the original lies in /var/lib/harden/20261103T141502Z-7f3a";
    report.outcome = Some(outcome(true, msg, Some("20261103T141502Z-7f3a")));
    report
}

/// Nothing could be looked at.
pub fn early_failure() -> Report {
    let mut report = report(vec![]);
    report.host = Host::default();
    report.baseline = BaselineRef { name: "mine.toml".into(), digest: String::new() };
    report.outcome = Some(outcome(false, "mine.toml:3:1: unknown key `sevrity`", None));
    report
}

/// One control on 200 files.
pub fn certs() -> Report {
    let mut report = report(vec![]);
    for n in 1..=200 {
        let path = format!("/etc/docker/certs.d/registry-{n:03}.example/ca.crt");
        let mut cert = finding("file-registry-certs-mode", &path, Area::File, Severity::Medium);
        cert.observed = if n % 2 == 0 { "0664" } else { "0666" }.into();
        cert.desired = "no bit beyond 0444".into();
        cert.evidence = vec![format!("fstat: {} root:root", cert.observed)];
        cert.why = "Whoever writes the file chooses whom this engine trusts.".into();
        cert.fix.changes = vec![format!("c{n}")];
        let summary = format!("clear mode bits of {path}: {} to 0444", cert.observed);
        report.changes.push(change(
            &format!("c{n}"),
            "metadata",
            &path,
            &["file-registry-certs-mode"],
            &summary,
            format!("-mode {}\n+mode 0444\n", cert.observed),
        ));
        report.findings.push(cert);
    }
    report.summary = Summary::of(&report.findings);
    report
}

/// Names that try to steer the terminal or to forge lines.
pub fn hostile() -> Report {
    let path =
        "/etc/docker/certs.d/\u{1b}[2J\u{1b}]0;owned\u{7}\nweb-1: nothing to fix\r\u{9b}31m/\u{202e}trc.ac\u{2066}\u{e0041}";
    let mut cert = finding("file-registry-certs-mode", path, Area::File, Severity::High);
    cert.observed = format!("a link to {path}");
    cert.desired = "a file".into();
    cert.evidence = vec![format!("lstat {path}")];
    cert.fix.reason = Some(path.into());
    let mut unknown = finding("file-docker-unit-owner", path, Area::File, Severity::High);
    unknown.status = Status::Unknown;
    unknown.fix = Fix { kind: FixKind::None, changes: vec![], reason: Some(format!("cannot open {path}: ELOOP")) };
    let mut report = report(vec![cert, unknown]);
    report.host.hostname = "web-1\u{1b}[1m".into();
    report.changes = vec![change(
        "c1",
        "edit",
        path,
        &["file-registry-certs-mode"],
        &format!("replace {path}"),
        unified(path, path, "a\tb\r\n", "a\tc\u{1b}[31m\u{202e}\r\n"),
    )];
    report.activations = vec![activation(Action::DockerReload, path, &["c1"], Some(&format!("type `kill -HUP {path}`")))];
    report
}

/// Drift, but nothing that `apply` fixes.
pub fn by_hand() -> Report {
    let mut findings = drift().findings;
    findings.retain(|finding| finding.fix.kind == FixKind::Manual || finding.status == Status::Compliant);
    report(findings)
}

/// Three controls on 200 containers: one that sees the same everywhere, one that sees something else in each and is fixed in every
/// second, and one that can't tell, for a reason of each container's own.
pub fn many_containers() -> Report {
    let mut report = report(vec![]);
    for n in 0..200 {
        let target = format!("container:web-{n:03}");
        let finding = |control: &str| finding(control, &target, Area::Container, Severity::High);
        let mut shared = finding("container-no-host-pid");
        (shared.observed, shared.desired) = ("the host's".into(), "its own".into());
        shared.fix = by_hand_fix(&format!("docker run without --pid=host for web-{n:03}"));
        let mut memory = finding("container-memory-limit");
        (memory.observed, memory.desired) = (format!("{n} MiB"), "limited".into());
        memory.fix.changes = vec![format!("c{}", 2 * n + 1)];
        let mut unread = finding("container-seccomp");
        unread.status = Status::Unknown;
        unread.fix = Fix { kind: FixKind::None, changes: vec![], reason: Some(format!("/proc/{n}/status: ENOENT")) };
        let change = |id: usize, control| {
            let diff = "-memory: none\n+memory: 512 MiB\n".into();
            change(&format!("c{id}"), "container", &target, &[control], &format!("set memory 512 MiB of {target}"), diff)
        };
        report.changes.extend([change(2 * n + 1, "container-memory-limit"), change(2 * n + 2, "container-pids-limit")]);
        report.findings.extend([shared, memory, unread]);
    }
    report.summary = Summary::of(&report.findings);
    report
}

/// A dockerd that can't be asked.
pub fn not_asked() -> Report {
    let unknown = |area, control: String, target: &str, reason: &str| {
        let mut finding = finding(&control, target, area, Severity::Medium);
        finding.status = Status::Unknown;
        finding.desired = "as it should be".into();
        finding.fix = Fix { kind: FixKind::None, changes: vec![], reason: Some(reason.into()) };
        finding
    };
    let why = "permission denied on /run/docker.sock: run as root or as a member of the socket's group";
    let mut findings: Vec<_> =
        (1..=40).map(|n| unknown(Area::Container, format!("container-{n:02}"), "containers", why)).collect();
    findings.extend((1..=3).map(|n| unknown(Area::Image, format!("image-{n}"), "images", why)));
    findings.push(unknown(Area::Image, "image-no-setuid".into(), "images", "nobody looks into images"));
    report(findings)
}

fn report(findings: Vec<Finding>) -> Report {
    Report {
        schema: SCHEMA.into(),
        tool: Tool { name: "harden".into(), version: "0.1.0".into() },
        host: Host {
            hostname: "web-1".into(),
            root: "/".into(),
            docker: Docker {
                version: Some("24.0.7".into()),
                running: Some(true),
                config_file: "/etc/docker/daemon.json".into(),
                api_version: Some("1.43".into()),
            },
            audit: Audit { installed: Some(true), enabled: Some(1), kernel_rules: Some(12) },
            service_manager: "systemd".into(),
        },
        baseline: BaselineRef { name: "essential".into(), digest: "3f2a9c1d0b7e".repeat(6)[..64].into() },
        summary: Summary::of(&findings),
        findings,
        changes: vec![],
        activations: vec![],
        outcome: None,
    }
}

/// A finding that is drift with an automatic fix by `c1`.
fn finding(control: &str, target: &str, area: Area, severity: Severity) -> Finding {
    Finding {
        control: control.into(),
        target: target.into(),
        title: "What holds on a compliant host".into(),
        why: "It matters.".into(),
        area,
        severity,
        risk: Risk::Safe,
        impact: None,
        status: Status::Drift,
        observed: String::new(),
        desired: String::new(),
        evidence: vec![],
        references: vec!["guide:2.1".into(), "guide:003 守护进程".into(), "cis:2.2".into(), "cis-1.7:2.2".into()],
        fix: Fix { kind: FixKind::Automatic, changes: vec!["c1".into()], reason: None },
    }
}

fn daemon(control: &str, key: &str, severity: Severity, observed: &str, desired: &str) -> Finding {
    let mut finding = finding(control, key, Area::Daemon, severity);
    finding.observed = observed.into();
    finding.desired = desired.into();
    finding.evidence = vec!["default of dockerd 24.0.7: no flag, no key in /etc/docker/daemon.json".into()];
    finding
}

fn compliant(area: Area, control: &str) -> Finding {
    let mut finding = finding(control, "a target", area, Severity::High);
    finding.status = Status::Compliant;
    finding.observed = "as wanted".into();
    finding.desired = "as wanted".into();
    finding.fix = Fix { kind: FixKind::None, changes: vec![], reason: None };
    finding
}

fn not_applicable(area: Area, control: &str, reason: &str) -> Finding {
    let mut finding = compliant(area, control);
    finding.status = Status::NotApplicable;
    finding.fix.reason = Some(reason.into());
    finding
}

fn by_hand_fix(reason: &str) -> Fix {
    Fix { kind: FixKind::Manual, changes: vec![], reason: Some(reason.into()) }
}

fn change(id: &str, kind: &str, target: &str, controls: &[&str], summary: &str, diff: String) -> ChangeView {
    ChangeView {
        id: id.into(),
        kind: kind.into(),
        target: target.into(),
        controls: controls.iter().map(|control| (*control).into()).collect(),
        summary: summary.into(),
        diff,
        sides: Default::default(),
    }
}

fn activation(action: Action, reason: &str, changes: &[&str], by_hand: Option<&str>) -> Activation {
    Activation {
        action,
        reason: reason.into(),
        changes: changes.iter().map(|id| (*id).into()).collect(),
        by_hand: by_hand.map(Into::into),
    }
}

fn outcome(changed: bool, msg: &str, transaction: Option<&str>) -> RunOutcome {
    RunOutcome {
        changed,
        failed: true,
        msg: msg.into(),
        transaction: transaction.map(Into::into),
        originals: None,
        diff: vec![],
        activated: vec![],
    }
}
