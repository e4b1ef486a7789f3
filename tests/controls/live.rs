//! What only a running host shows: values that the engine says are in force, the kernel's audit rules, flags of the process. Judged
//! from facts, those of the green tree on a host that runs.

use std::sync::LazyLock;

use harden::assess::{self, Assessment, Limits};
use harden::baseline::control::Risk;
use harden::change::Effect;
use harden::fact::{ApiFacts, Content, Fact, Facts, FileFact, KernelAudit, ProcessFact, ServiceManager};
use harden::finding::{FixKind, Status};
use harden::formats::audit_rule::{Field, FieldId, our_watch};

use crate::table::{EVERYTHING, Expected, activations, automatic, changes, compare, judge, manual, observe, of, open, unknown};
use crate::tree::{CONFIG, Tree};

/// What the kernel watches: path, whether it is a directory, accesses.
const KERNEL_RULES: [(&str, bool, &str); 18] = [
    ("/usr/bin/dockerd", false, "wxa"),
    ("/usr/bin/docker", false, "wxa"),
    ("/usr/bin/containerd", false, "wxa"),
    ("/usr/bin/containerd-shim", false, "wxa"),
    ("/usr/bin/containerd-shim-runc-v1", false, "wxa"),
    ("/usr/bin/containerd-shim-runc-v2", false, "wxa"),
    ("/usr/bin/runc", false, "wxa"),
    ("/var/lib/docker", true, "wa"),
    ("/etc/docker", true, "wa"),
    ("/usr/lib/systemd/system/docker.service", false, "wa"),
    ("/etc/systemd/system/docker.service.d/proxy.conf", false, "wa"),
    ("/usr/lib/systemd/system/docker.socket", false, "wa"),
    ("/etc/default/docker", false, "wa"),
    ("/etc/sysconfig/docker", false, "wa"),
    ("/etc/containerd/config.toml", false, "wa"),
    ("/run/containerd", true, "wa"),
    ("/run/containerd/containerd.sock", false, "wa"),
    ("/run/docker.sock", false, "wa"),
];

/// A host on which everything is as wanted.
static GREEN: LazyLock<Facts> = LazyLock::new(|| {
    let mut facts = observe(&Tree::green());
    facts.host.root = "/".into();
    facts.host.live = true;
    facts.host.service_manager = ServiceManager::Systemd;
    facts.host.br_netfilter = Fact::Known(true);
    let config = facts.files.get(CONFIG).and_then(Fact::known).expect("daemon.json");
    let config_file = config.clone();
    facts.daemon.process = Fact::Known(ProcessFact {
        pid: 812,
        exe: "/usr/bin/dockerd".into(),
        argv: ["/usr/bin/dockerd", "-H", "fd://", "--containerd=/run/containerd/containerd.sock"].map(Into::into).into(),
        started_ns: config.mtime_ns + 1_000_000_000,
        service: Some("docker.service".into()),
    });
    facts.daemon.api = Fact::Known(ApiFacts {
        api_version: Some("1.51".into()),
        debug: Some(false),
        live_restore: Some(true),
        experimental: Some(false),
        security_options: Some(SECURITY_OPTIONS.map(Into::into).into()),
        logging_driver: Some("json-file".into()),
        storage_driver: Some("overlay2".into()),
        data_root: Some("/var/lib/docker".into()),
        swarm_state: Some("inactive".into()),
        swarm_manager: Some(false),
        runtimes: Some(vec!["runc".into(), "runsc".into()]),
        default_runtime: Some("runsc".into()),
        firewall_backend: Some("iptables".into()),
        operating_system: Some("Debian GNU/Linux 12 (bookworm)".into()),
        containers_running: Some(0),
        insecure_registries: Some(Vec::new()),
        registry_mirrors: Some(Vec::new()),
        containerd_address: Some("/run/containerd/containerd.sock".into()),
        authorization_plugins: Some(Vec::new()),
        cgroup_driver: Some("systemd".into()),
        snapshotter: Some(false),
        bridge_icc: Some(false),
    });
    facts.daemon.config_at_start = Fact::Absent;
    crate::container::add_to(&mut facts);
    crate::host::go_live(&mut facts);
    facts.images = Fact::Known(Vec::new());
    for (path, text) in [("/etc/environment", "DOCKER_CONTENT_TRUST=1\n"), ("/etc/passwd", "")] {
        let content = Some(Content(text.as_bytes().to_vec()));
        facts.files.insert(path.into(), Fact::Known(FileFact { content, ..config_file.clone() }));
    }
    let rule = |(path, dir, perms): (&str, bool, &str)| our_watch(path, dir, perms.parse().expect("perms"), "docker");
    facts.audit.kernel =
        Fact::Known(KernelAudit { enabled: 1, daemon_pid: 512, rules: KERNEL_RULES.into_iter().map(rule).collect() });
    facts
});

const SECURITY_OPTIONS: [&str; 4] = ["name=seccomp,profile=builtin", "name=cgroupns", "name=selinux", "name=no-new-privileges"];

/// The green host, to break something on.
pub fn green() -> Facts {
    GREEN.clone()
}

fn known<T>(fact: &mut Fact<T>) -> &mut T {
    match fact {
        Fact::Known(value) => value,
        Fact::Absent | Fact::Unknown(_) => panic!("the green host has it"),
    }
}

pub fn api(facts: &mut Facts) -> &mut ApiFacts {
    known(&mut facts.daemon.api)
}

pub fn process(facts: &mut Facts) -> &mut ProcessFact {
    known(&mut facts.daemon.process)
}

pub fn kernel(facts: &mut Facts) -> &mut KernelAudit {
    known(&mut facts.audit.kernel)
}

pub fn file<'f>(facts: &'f mut Facts, path: &str) -> &'f mut FileFact {
    known(facts.files.get_mut(path).unwrap_or_else(|| panic!("{path} was not looked at")))
}

/// Replaces what must be in a file exactly once.
pub fn edit(facts: &mut Facts, path: &str, from: &str, to: &str) {
    let content = file(facts, path).content.as_mut().expect("content");
    let text = String::from_utf8(content.0.clone()).expect("text");
    assert_eq!(text.matches(from).count(), 1, "`{from}` in {path}:\n{text}");
    *content = Content(text.replacen(from, to, 1).into_bytes());
}

/// Adds a line `"key": value` at the top of daemon.json.
fn key(facts: &mut Facts, line: &str) {
    edit(facts, CONFIG, "{\n", &format!("{{\n    {line},\n"));
}

/// Takes a key with a simple value out of daemon.json.
fn without_key(facts: &mut Facts, line: &str) {
    edit(facts, CONFIG, &format!("    {line},\n"), "");
}

/// Another flag, of the process and of its unit.
pub fn flag(facts: &mut Facts, flag: &str) {
    process(facts).argv.push(flag.into());
    edit(facts, "/etc/default/docker", "\"\"", &format!("\"{flag}\""));
}

/// The kernel forgets the rule of a path.
pub fn forget(facts: &mut Facts, path: &str) {
    let names =
        |field: &Field| [FieldId::PATH, FieldId::DIR].contains(&field.id) && field.value.text() == Some(path.as_bytes());
    let rules = &mut kernel(facts).rules;
    let before = rules.len();
    rules.retain(|rule| !rule.fields.iter().any(names));
    assert_eq!(rules.len() + 1, before, "{path}");
}

/// The file was written after dockerd had started.
fn written_since(facts: &mut Facts) {
    let config = file(facts, CONFIG);
    config.mtime_ns += 2_000_000_000;
    config.ctime_ns = Some(config.mtime_ns);
}

/// One thing that is wrong on a running host, and what would be done.
pub struct Live {
    pub control: &'static str,
    /// What is wrong, in words.
    pub how: &'static str,
    pub change: fn(&mut Facts),
    /// Every finding of the control that does not hold then.
    pub findings: &'static [Expected],
    /// What else this breaks, as `control target`.
    pub also: &'static [&'static str],
    /// What would be written.
    pub changes: &'static [&'static str],
    /// What would put it in force.
    pub activations: &'static [&'static str],
}

const RELOAD: &str = "docker-reload: SIGHUP to dockerd: it reads its configuration again; interrupts nothing";
const RESTART: &str = "docker-restart: restarts dockerd; no container is running";
const RESTART_ONLY: &str = "docker-restart: restarts dockerd; no container is running (what is on disk is not in force yet)";
const SYSTEMD: &str = "systemd-reload: systemd reads its units again; interrupts nothing";
/// The new drop-in is watched like the others.
const NEW_WATCH: &str = "audit-watch-docker-service /etc/systemd/system/docker.service.d/zz-harden.conf";
const AUDIT_LOAD: &str = "audit-load: adds the missing audit rules to the kernel; interrupts nothing";
const ADD_ONE: &str = "audit-kernel kernel audit rules: add 1 rule to the kernel's list; nothing is removed";
const WXA: &str = "recorded (wxa) by rules.d and by the kernel";
const WA: &str = "recorded (wa) by rules.d and by the kernel";

pub const LIVE: &[Live] = &[
    // What is configured is right, what is in force is not.
    Live {
        control: "daemon-live-restore",
        how: "configured, but dockerd has not read it",
        change: |facts| api(facts).live_restore = Some(false),
        findings: &[automatic("live-restore", "true; the running dockerd has false", "true")],
        also: &[],
        changes: &[],
        activations: &[RELOAD],
    },
    Live {
        control: "daemon-live-restore",
        how: "not configured",
        change: |facts| {
            api(facts).live_restore = Some(false);
            without_key(facts, r#""live-restore": true"#);
        },
        findings: &[automatic("live-restore", "false; the running dockerd has false", "true")],
        also: &[],
        changes: &["edit /etc/docker/daemon.json: set live-restore"],
        activations: &[RELOAD],
    },
    Live {
        control: "daemon-debug-disabled",
        how: "still in force after its key was taken out: a reload needs the key",
        change: |facts| api(facts).debug = Some(true),
        findings: &[automatic("debug", "false; the running dockerd has true", "false")],
        also: &[],
        changes: &["edit /etc/docker/daemon.json: set debug"],
        activations: &[RELOAD],
    },
    Live {
        control: "daemon-no-insecure-registries",
        how: "still in force after their key was taken out: a reload needs the key",
        change: |facts| api(facts).insecure_registries = Some(vec!["plain.example".into()]),
        findings: &[automatic(
            "insecure-registries",
            "not set; the running dockerd has plain.example",
            "empty except 127.0.0.0/8, ::1/128, localhost, localhost:*, 127.0.0.1, 127.0.0.1:*, registry.lab.example:5000",
        )],
        also: &[],
        changes: &["edit /etc/docker/daemon.json: set insecure-registries"],
        activations: &[RELOAD],
    },
    Live {
        control: "daemon-icc-disabled",
        how: "configured, but the bridge is from before",
        change: |facts| api(facts).bridge_icc = Some(true),
        findings: &[automatic("icc", "false; the running dockerd has true", "false")],
        also: &[],
        changes: &[],
        activations: &[RESTART_ONLY],
    },
    Live {
        control: "daemon-icc-disabled",
        how: "configured, but containers keep the bridge as it is",
        change: |facts| {
            api(facts).bridge_icc = Some(true);
            api(facts).containers_running = Some(2);
        },
        findings: &[manual(
            "icc",
            "false; the running dockerd has true",
            "false",
            "it takes effect when dockerd next starts without running containers",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-icc-disabled",
        how: "br_netfilter is not loaded: dockerd would not start",
        change: |facts| {
            without_key(facts, r#""icc": false"#);
            api(facts).bridge_icc = Some(true);
            facts.host.br_netfilter = Fact::Known(false);
        },
        findings: &[manual(
            "icc",
            "true; the running dockerd has true",
            "false",
            "dockerd would not start then: `icc` is false, which takes the kernel module br_netfilter, and that is not loaded; load \
             it (`modprobe br_netfilter`, and a line in /etc/modules-load.d), then run harden again",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-userland-proxy-disabled",
        how: "whether br_netfilter is loaded can't be told",
        change: |facts| {
            without_key(facts, r#""userland-proxy": false"#);
            facts.host.br_netfilter = Fact::Unknown("/proc/sys/net/bridge: Permission denied (os error 13)".into());
        },
        findings: &[manual(
            "userland-proxy",
            "true",
            "false",
            "whether br_netfilter is loaded can't be told: /proc/sys/net/bridge: Permission denied (os error 13)",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-experimental-off",
        how: "in force since before it was taken out",
        change: |facts| api(facts).experimental = Some(true),
        findings: &[automatic("experimental", "false; the running dockerd has true", "false")],
        also: &[],
        changes: &[],
        activations: &[RESTART_ONLY],
    },
    Live {
        control: "daemon-seccomp-default",
        how: "unconfined is in force since before it was taken out",
        change: |facts| {
            api(facts).security_options =
                Some(vec!["name=seccomp,profile=unconfined".into(), "name=selinux".into(), "name=no-new-privileges".into()])
        },
        findings: &[automatic(
            "seccomp-profile",
            "builtin; the running dockerd has unconfined",
            "one of \"\", builtin, default, /etc/docker/seccomp.json",
        )],
        also: &[],
        changes: &[],
        activations: &[RESTART_ONLY],
    },
    Live {
        control: "daemon-seccomp-default",
        how: "the engine has no seccomp",
        change: |facts| api(facts).security_options = Some(vec!["name=selinux".into(), "name=no-new-privileges".into()]),
        findings: &[manual(
            "seccomp-profile",
            "builtin; the running dockerd has no seccomp",
            "one of \"\", builtin, default, /etc/docker/seccomp.json",
            "this kernel, or this build of dockerd, has no seccomp; no setting of dockerd changes that",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-no-new-privileges",
        how: "configured, but not in force",
        change: |facts| api(facts).security_options = Some(vec!["name=seccomp,profile=builtin".into(), "name=selinux".into()]),
        findings: &[automatic("no-new-privileges", "true; the running dockerd has false", "true")],
        also: &[],
        changes: &[],
        activations: &[RESTART_ONLY],
    },
    Live {
        control: "daemon-selinux-enabled",
        how: "configured, but not in force",
        change: |facts| {
            api(facts).security_options = Some(vec!["name=seccomp,profile=builtin".into(), "name=no-new-privileges".into()])
        },
        findings: &[automatic("selinux-enabled", "true; the running dockerd has false", "true")],
        also: &["host-mac-enabled mandatory access control"],
        changes: &[],
        activations: &[RESTART_ONLY],
    },
    Live {
        control: "daemon-selinux-enabled",
        how: "SELinux only warns",
        change: |facts| {
            api(facts).security_options = Some(vec!["name=seccomp,profile=builtin".into(), "name=no-new-privileges".into()]);
            without_key(facts, r#""selinux-enabled": true"#);
            facts.host.selinux_enforcing = Fact::Known(false);
        },
        findings: &[manual(
            "selinux-enabled",
            "false; the running dockerd has false",
            "true",
            "SELinux is not enforcing: containers would get labels that protect nothing; set SELINUX=enforcing first",
        )],
        also: &["host-mac-enabled mandatory access control"],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-storage-driver-supported",
        how: "the engine chose vfs by itself: a restart would change nothing, or hide every image",
        change: |facts| api(facts).storage_driver = Some("vfs".into()),
        findings: &[manual(
            "storage-driver",
            "not set; the running dockerd has vfs",
            "one of overlay2, overlayfs, btrfs, zfs, fuse-overlayfs",
            "changing the storage driver hides every image and container of the old one: save what is needed, change \
             storage-driver, then load it again",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-log-level-info",
        how: "set right after dockerd had started",
        change: written_since,
        findings: &[automatic("log-level", "info; the running dockerd has not read that yet", "info")],
        also: &[
            "daemon-log-rotation log-opts.max-file",
            "daemon-log-rotation log-opts.max-size",
            "daemon-userland-proxy-disabled userland-proxy",
        ],
        changes: &[],
        activations: &[RESTART_ONLY],
    },
    Live {
        control: "daemon-log-level-info",
        how: "set wrong",
        change: |facts| edit(facts, CONFIG, "info", "debug"),
        findings: &[automatic("log-level", "debug", "info")],
        also: &[],
        changes: &["edit /etc/docker/daemon.json: set log-level"],
        activations: &[RESTART],
    },
    Live {
        control: "daemon-log-level-info",
        how: "nobody can restart this dockerd but who started it",
        change: |facts| {
            edit(facts, CONFIG, "info", "debug");
            process(facts).service = None;
        },
        findings: &[automatic("log-level", "debug", "info")],
        also: &[],
        changes: &["edit /etc/docker/daemon.json: set log-level"],
        activations: &[
            "docker-restart: restarts dockerd; no container is running [by hand: docker.service did not start this dockerd: \
                        restart it the way it was started]",
        ],
    },
    Live {
        control: "daemon-log-level-info",
        how: "by a flag of the process and of its unit",
        change: |facts| {
            without_key(facts, r#""log-level": "info""#);
            flag(facts, "--log-level=debug");
        },
        findings: &[manual(
            "log-level",
            "debug",
            "info",
            "it is given by the flag --log-level=debug; change or take away that flag in /etc/default/docker:1 ($DOCKER_OPTS)",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "daemon-log-level-info",
        how: "by a flag of the process alone",
        change: |facts| {
            without_key(facts, r#""log-level": "info""#);
            process(facts).argv.push("--log-level=debug".into());
        },
        findings: &[automatic("log-level", "info; the running dockerd has debug", "info")],
        also: &[],
        changes: &[],
        activations: &[SYSTEMD, RESTART_ONLY],
    },
    Live {
        control: "daemon-config-valid",
        how: "a key that a flag in the unit gives, too",
        change: |facts| {
            edit(facts, "/usr/lib/systemd/system/docker.service", "-H fd://", "-H fd:// --live-restore");
            process(facts).argv.push("--live-restore".into());
        },
        findings: &[automatic(
            "/etc/docker/daemon.json:4:5",
            "wrong: `live-restore` is here and also given by the flag --live-restore in \
             /usr/lib/systemd/system/docker.service:8",
            "a configuration that this engine reads as it is meant",
        )],
        also: &[NEW_WATCH],
        changes: &[
            "create /etc/audit/rules.d/50-harden-docker.rules: add 1 audit rule",
            "create /etc/systemd/system/docker.service.d/zz-harden.conf: remove dockerd's flags for live-restore",
            ADD_ONE,
            "    -a always,exit -S all -F path=/etc/systemd/system/docker.service.d/zz-harden.conf -F perm=wa -F key=docker",
        ],
        activations: &[AUDIT_LOAD, SYSTEMD, RESTART],
    },
    // A reload that would switch authorization off is none.
    Live {
        control: "daemon-debug-disabled",
        how: "authorization plugins are given by flag, which a reload drops",
        change: |facts| {
            flag(facts, "--authorization-plugin=opa");
            key(facts, r#""debug": true"#);
            api(facts).debug = Some(true);
        },
        findings: &[automatic("debug", "true; the running dockerd has true", "false")],
        also: &[],
        changes: &["edit /etc/docker/daemon.json: set debug"],
        activations: &[RESTART],
    },
    // Order: first what keeps containers running, then what stops the daemon.
    Live {
        control: "daemon-live-restore",
        how: "off, with containers running and a restart ahead",
        change: |facts| {
            api(facts).live_restore = Some(false);
            api(facts).containers_running = Some(3);
            without_key(facts, r#""live-restore": true"#);
            edit(facts, CONFIG, "info", "debug");
        },
        findings: &[automatic("live-restore", "false; the running dockerd has false", "true")],
        also: &["daemon-log-level-info log-level"],
        changes: &["edit /etc/docker/daemon.json: set log-level, live-restore"],
        activations: &[RELOAD, "docker-restart: restarts dockerd; 3 containers running and keep running by live-restore"],
    },
    // The audit subsystem.
    Live {
        control: "audit-auditd-running",
        how: "auditing is off",
        change: |facts| {
            kernel(facts).enabled = 0;
            kernel(facts).daemon_pid = 0;
        },
        findings: &[manual(
            "auditd",
            "off, without an auditd connected",
            "on, with auditd connected",
            "start auditd (`systemctl enable --now auditd`), and look for audit=0 on the kernel's command line",
        )],
        also: &["audit-rules-loadable kernel audit"],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "audit-auditd-running",
        how: "auditd has died",
        change: |facts| kernel(facts).daemon_pid = 0,
        findings: &[manual(
            "auditd",
            "on, without an auditd connected",
            "on, with auditd connected",
            "start auditd: `systemctl enable --now auditd`",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "audit-auditd-running",
        how: "a kernel without auditing",
        change: |facts| facts.audit.kernel = Fact::Absent,
        findings: &[manual(
            "auditd",
            "not in this kernel",
            "on, with auditd connected",
            "boot a kernel that was built with CONFIG_AUDIT and CONFIG_AUDITSYSCALL",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "audit-auditd-running",
        how: "the kernel can't be asked",
        change: |facts| facts.audit.kernel = Fact::Unknown("EPERM".into()),
        findings: &[unknown("auditd", "EPERM")],
        also: &[
            "audit-rules-persistent /etc/audit/rules.d",
            "audit-watch-containerd-bin /usr/bin/containerd",
            "audit-watch-containerd-config /etc/containerd/config.toml",
            "audit-watch-containerd-shim /usr/bin/containerd-shim",
            "audit-watch-containerd-shim-runc-v1 /usr/bin/containerd-shim-runc-v1",
            "audit-watch-containerd-shim-runc-v2 /usr/bin/containerd-shim-runc-v2",
            "audit-watch-containerd-sock /run/containerd/containerd.sock",
            "audit-watch-daemon-json /etc/docker/daemon.json",
            "audit-watch-docker-cli /usr/bin/docker",
            "audit-watch-docker-service /etc/default/docker",
            "audit-watch-docker-service /etc/systemd/system/docker.service.d/proxy.conf",
            "audit-watch-docker-service /usr/lib/systemd/system/docker.service",
            "audit-watch-docker-socket /run/docker.sock",
            "audit-watch-docker-socket-unit /usr/lib/systemd/system/docker.socket",
            "audit-watch-dockerd /usr/bin/dockerd",
            "audit-watch-etc-default-docker /etc/default/docker",
            "audit-watch-etc-docker /etc/docker",
            "audit-watch-etc-sysconfig-docker /etc/sysconfig/docker",
            "audit-watch-run-containerd /run/containerd",
            "audit-watch-runc /usr/bin/runc",
            "audit-watch-var-lib-docker /var/lib/docker",
        ],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "audit-rules-persistent",
        how: "a rule of rules.d is not loaded",
        change: |facts| {
            edit(facts, "/etc/audit/rules.d/docker.rules", "-w /usr/bin/runc", "-w /etc/passwd -p wa\n-w /usr/bin/runc");
        },
        findings: &[automatic("/etc/audit/rules.d", "loaded into the kernel but for 1 of 16 rules", "loaded in full")],
        also: &[],
        changes: &[ADD_ONE, "    -a always,exit -S all -F path=/etc/passwd -F perm=wa"],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-rules-persistent",
        how: "locked, until the next boot loads it",
        change: |facts| {
            kernel(facts).enabled = 2;
            edit(facts, "/etc/audit/rules.d/docker.rules", "-w /usr/bin/runc", "-w /etc/passwd -p wa\n-w /usr/bin/runc");
        },
        findings: &[manual(
            "/etc/audit/rules.d",
            "loaded into the kernel but for 1 of 16 rules",
            "loaded in full",
            "the kernel's rules are locked until the next boot, which will load them",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "audit-watch-runc",
        how: "not in the kernel",
        change: |facts| forget(facts, "/usr/bin/runc"),
        findings: &[automatic("/usr/bin/runc", "recorded by rules.d, not recorded by the kernel", WXA)],
        also: &["audit-rules-persistent /etc/audit/rules.d"],
        changes: &[ADD_ONE, "    -a always,exit -S all -F path=/usr/bin/runc -F perm=wxa -F key=docker"],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-watch-runc",
        how: "neither on disk nor in the kernel",
        change: |facts| {
            forget(facts, "/usr/bin/runc");
            edit(facts, "/etc/audit/rules.d/docker.rules", "-w /usr/bin/runc -p wxa -k docker\n", "");
        },
        findings: &[automatic("/usr/bin/runc", "not recorded by rules.d, not recorded by the kernel", WXA)],
        also: &[],
        changes: &[
            "create /etc/audit/rules.d/50-harden-docker.rules: add 1 audit rule",
            ADD_ONE,
            "    -a always,exit -S all -F path=/usr/bin/runc -F perm=wxa -F key=docker",
        ],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-watch-runc",
        how: "on disk, and the kernel is locked",
        change: |facts| {
            kernel(facts).enabled = 2;
            forget(facts, "/usr/bin/runc");
        },
        findings: &[manual(
            "/usr/bin/runc",
            "recorded by rules.d, not recorded by the kernel",
            WXA,
            "the kernel's rules are locked until the next boot, which will load it from rules.d",
        )],
        also: &["audit-rules-persistent /etc/audit/rules.d"],
        changes: &[],
        activations: &[],
    },
    Live {
        control: "audit-watch-runc",
        how: "neither on disk nor in the kernel, which is locked",
        change: |facts| {
            kernel(facts).enabled = 2;
            forget(facts, "/usr/bin/runc");
            edit(facts, "/etc/audit/rules.d/docker.rules", "-w /usr/bin/runc -p wxa -k docker\n", "");
        },
        findings: &[automatic("/usr/bin/runc", "not recorded by rules.d, not recorded by the kernel", WXA)],
        also: &[],
        changes: &["create /etc/audit/rules.d/50-harden-docker.rules: add 1 audit rule"],
        activations: &[],
    },
    Live {
        control: "audit-watch-etc-docker",
        how: "the kernel has a rule that is not recursive",
        change: |facts| {
            forget(facts, "/etc/docker");
            let rule = our_watch("/etc/docker", false, "wa".parse().expect("perms"), "docker");
            kernel(facts).rules.push(rule);
        },
        findings: &[automatic("/etc/docker", "recorded by rules.d, recorded in part by the kernel", WA)],
        also: &["audit-rules-persistent /etc/audit/rules.d", "audit-watch-daemon-json /etc/docker/daemon.json"],
        changes: &[
            "audit-kernel kernel audit rules: add 2 rules to the kernel's list; nothing is removed",
            "    -a always,exit -S all -F dir=/etc/docker -F perm=wa -F key=docker",
            "    -a always,exit -S all -F path=/etc/docker/daemon.json -F perm=wa -F key=docker",
        ],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-watch-run-containerd",
        how: "not in the kernel",
        change: |facts| forget(facts, "/run/containerd"),
        findings: &[automatic("/run/containerd", "not recorded by the kernel", "recorded (wa) by the kernel")],
        also: &[],
        changes: &[ADD_ONE, "    -a always,exit -S all -F dir=/run/containerd -F perm=wa -F key=docker"],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-watch-containerd-sock",
        how: "not in the kernel, nor is the directory",
        change: |facts| {
            forget(facts, "/run/containerd");
            forget(facts, "/run/containerd/containerd.sock");
        },
        findings: &[automatic("/run/containerd/containerd.sock", "not recorded by the kernel", "recorded (wa) by the kernel")],
        also: &["audit-watch-run-containerd /run/containerd"],
        changes: &[
            "audit-kernel kernel audit rules: add 2 rules to the kernel's list; nothing is removed",
            "    -a always,exit -S all -F dir=/run/containerd -F perm=wa -F key=docker",
            "    -a always,exit -S all -F path=/run/containerd/containerd.sock -F perm=wa -F key=docker",
        ],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-watch-docker-socket",
        how: "not in the kernel",
        change: |facts| forget(facts, "/run/docker.sock"),
        findings: &[automatic("/run/docker.sock", "not recorded by the kernel", "recorded (wa) by the kernel")],
        also: &[],
        changes: &[ADD_ONE, "    -a always,exit -S all -F path=/run/docker.sock -F perm=wa -F key=docker"],
        activations: &[AUDIT_LOAD],
    },
    Live {
        control: "audit-watch-docker-socket",
        how: "not in the kernel, which is locked",
        change: |facts| {
            kernel(facts).enabled = 2;
            forget(facts, "/run/docker.sock");
        },
        findings: &[manual(
            "/run/docker.sock",
            "not recorded by the kernel",
            "recorded (wa) by the kernel",
            "the kernel's rules are locked until the next boot",
        )],
        also: &[],
        changes: &[],
        activations: &[],
    },
    // The unit.
    Live {
        control: "socket-docker-unit-settings",
        how: "everybody may open it from the next start on",
        change: |facts| edit(facts, "/usr/lib/systemd/system/docker.socket", "0660", "0666"),
        findings: &[automatic("docker.socket SocketMode", "0666", "0660 or stricter")],
        also: &[],
        changes: &[
            "create /etc/systemd/system/docker.socket.d: create the directory",
            "create /etc/systemd/system/docker.socket.d/zz-harden.conf: set SocketMode=0660",
        ],
        activations: &["systemd-reload: systemd reads its units again; interrupts nothing"],
    },
];

/// A restart stops containers unless live-restore is on by then; what would stop them is planned only where that is allowed.
#[test]
fn a_restart_is_disruptive_where_containers_would_stop() {
    /// A log level that only a restart changes, with containers running.
    fn host(change: fn(&mut Facts)) -> Facts {
        let mut facts = green();
        edit(&mut facts, CONFIG, "info", "debug");
        api(&mut facts).containers_running = Some(3);
        change(&mut facts);
        facts
    }
    fn swarm(facts: &mut Facts) {
        api(facts).live_restore = Some(false);
        api(facts).swarm_state = Some("active".into());
        without_key(facts, r#""live-restore": true"#);
    }
    const ON: &str = "docker-restart: restarts dockerd; 3 containers running and keep running by live-restore";
    const OFF: &str = "docker-restart: restarts dockerd, which stops 3 containers: live-restore is off";
    const STOPS: &str = "its fix is disruptive: restarting dockerd stops 3 containers: live-restore is off; allow it with --max-risk \
                         disruptive";
    const UNTOLD: &str = "its fix is disruptive: restarting dockerd may stop containers: what runs is not known; allow it with \
                          --max-risk disruptive";
    type Row = (&'static str, fn(&mut Facts), Risk, &'static [&'static str], Option<&'static str>);
    let table: [Row; 7] = [
        ("live-restore is on", |_| {}, Risk::Restart, &[ON], None),
        (
            "live-restore is configured, and the reload comes first",
            |facts| api(facts).live_restore = Some(false),
            Risk::Restart,
            &[RELOAD, ON],
            None,
        ),
        ("live-restore is impossible", swarm, Risk::Restart, &[], Some(STOPS)),
        ("live-restore is impossible, and that is accepted", swarm, Risk::Disruptive, &[OFF], None),
        (
            "the engine does not answer",
            |facts| facts.daemon.api = Fact::Unknown("timed out".into()),
            Risk::Restart,
            &[],
            Some(UNTOLD),
        ),
        (
            "no container runs",
            |facts| {
                swarm(facts);
                api(facts).containers_running = Some(0);
            },
            Risk::Restart,
            &[RESTART],
            None,
        ),
        ("nothing may restart", |_| {}, Risk::Safe, &[], Some("its fix restarts dockerd; allow it with --max-risk restart")),
    ];
    for (how, change, max_risk, expected, reason) in table {
        let facts = host(change);
        let limits = Limits { max_risk, wanted: &|_, _| true };
        let assessment = assess::assess(&EVERYTHING, &facts, &limits).expect("an assessment");
        assert_eq!(activations(&assessment), expected, "{how}");
        let level = of(&assessment, "daemon-log-level-info").next().expect("a finding");
        let planned = expected.iter().any(|activation| activation.starts_with("docker-restart"));
        assert_eq!((level.fix.kind == FixKind::Automatic, level.fix.reason.as_deref()), (planned, reason), "{how}");
    }
}

#[test]
fn the_host_is_as_wanted() {
    let assessment = judge(&GREEN);
    let open: Vec<String> = open(&assessment).iter().map(|finding| format!("{finding:?}")).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
    let absent = assessment.findings.iter().filter(|finding| finding.status == Status::NotApplicable);
    assert_eq!(
        absent
            .map(|finding| finding.control.as_str())
            .filter(|id| !id.starts_with("image-") && !id.starts_with("swarm-"))
            .collect::<Vec<_>>(),
        [crate::layout::ROOTLESS]
    );
    assert_eq!((changes(&assessment), activations(&assessment)), (Vec::new(), Vec::new()));
}

#[test]
fn broken_on_a_running_host() {
    check_table(LIVE);
}

/// Breaks the green host in each way and compares.
pub fn check_table(table: &[Live]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|case| check(case).err().map(|text| format!("{}: {}\n{text}", case.control, case.how)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}\n", wrong.len(), table.len(), wrong.join("\n\n"));
}

fn check(case: &Live) -> Result<(), String> {
    let mut facts = green();
    (case.change)(&mut facts);
    let assessment = judge(&facts);
    if let Some(difference) = compare(case.control, case.findings, case.also, &assessment) {
        return Err(difference);
    }
    for (what, expected, found) in
        [("changes", case.changes, changes(&assessment)), ("activations", case.activations, activations(&assessment))]
    {
        if expected != found {
            return Err(format!("  expected {what} {expected:#?}\n  found {found:#?}"));
        }
    }
    still_open(case, &mut facts, &assessment)
}

/// Does what the plan says to the facts, as far as that needs no daemon: what was audit drift must be gone.
fn still_open(case: &Live, facts: &mut Facts, assessment: &Assessment) -> Result<(), String> {
    if !case.control.starts_with("audit-") || !case.findings.iter().all(Expected::is_automatic) {
        return Ok(());
    }
    for change in &assessment.plan.changes {
        match &change.effect {
            Effect::Sysctl { .. } => {}
            Effect::Container { .. } => {}
            Effect::AuditKernel { add, .. } => kernel(facts).rules.extend(add.iter().cloned()),
            Effect::File { path, after: Some(after), .. } => {
                let like = file(facts, "/etc/audit/rules.d/docker.rules").clone();
                let new = FileFact { real_path: path.clone(), content: after.content.clone(), ..like };
                facts.files.insert(path.clone(), Fact::Known(new));
                known(&mut facts.audit.rules_files).push(path.clone());
            }
            Effect::File { after: None, .. } => return Err(format!("  it would remove {}", change.target())),
        }
    }
    let after = judge(facts);
    let locked = kernel(facts).enabled == 2;
    match of(&after, case.control).find(|finding| finding.status != Status::Compliant) {
        Some(finding) if !locked => Err(format!("  after the plan there is still {finding:?}")),
        _ => Ok(()),
    }
}
