//! Wrong verdicts that other checkers were seen to give, each as the case that they get wrong.

use std::process::Command;

use harden::fact::{Fact, Facts};
use harden::finding::{FixKind, Status};
use harden::formats::audit_rule::our_watch;

use crate::live;
use crate::table::{BASELINE, VERSION, judge, observe, of};
use crate::tree::{CONFIG, RULES, Tree, differences};

/// How a control stands, one line a target.
fn stands(facts: &Facts, control: &str) -> Vec<String> {
    let assessment = judge(facts);
    let lines = of(&assessment, control).map(|finding| format!("{} {:?}", finding.target, finding.status));
    lines.collect()
}

fn on(tree: &Tree, control: &str) -> Vec<String> {
    stands(&observe(tree), control)
}

/// docker-bench-security compares modes as decimal numbers: 646 is below 660, so everybody may open the socket and it passes.
#[test]
fn docker_bench_mode_646_is_not_660() {
    let table = [
        ("socket-docker-mode", "/run/docker.sock", [0o646, 0o606, 0o626]),
        ("file-daemon-json-mode", CONFIG, [0o622, 0o477, 0o466]),
        ("file-etc-docker-mode", "/etc/docker", [0o727, 0o477, 0o702]),
        ("file-docker-service-mode", "/usr/lib/systemd/system/docker.service", [0o626, 0o466, 0o4644]),
        ("file-tls-key-mode", "/etc/docker/tls/server-key.pem", [0o044, 0o377, 0o004]),
    ];
    for (control, path, modes) in table {
        for mode in modes {
            let tree = Tree::green();
            tree.chmod(path, mode);
            assert_eq!(on(&tree, control), [format!("{path} Drift")], "{mode:o}");
        }
    }
}

/// Stricter than asked is as wanted, where docker-bench-security asks for exactly 400.
#[test]
fn stricter_modes_are_as_wanted() {
    for (control, path, mode) in [
        ("file-tls-key-mode", "/etc/docker/tls/server-key.pem", 0o000),
        ("file-tls-ca-mode", "/etc/docker/tls/ca.pem", 0o400),
        ("socket-docker-mode", "/run/docker.sock", 0o600),
        ("file-etc-docker-mode", "/etc/docker", 0o700),
    ] {
        let tree = Tree::green();
        tree.chmod(path, mode);
        assert_eq!(on(&tree, control), [format!("{path} Compliant")], "{mode:o}");
    }
}

/// lynis tests with `[ -f … ]`, which no socket passes, and never gets to the mode; others look sockets up as unit files.
#[test]
fn a_socket_is_no_regular_file() {
    let tree = Tree::green();
    tree.chmod("/run/docker.sock", 0o666);
    tree.chmod("/run/containerd/containerd.sock", 0o666);
    assert_eq!(on(&tree, "socket-docker-mode"), ["/run/docker.sock Drift"]);
    assert_eq!(on(&tree, "socket-containerd-mode"), ["/run/containerd/containerd.sock Drift"]);
}

/// docker-bench-security finds the flag's name on the command line and does not look at its value.
#[test]
fn flag_set_to_false_is_not_true() {
    let table = [
        ("daemon-no-new-privileges", r#""no-new-privileges": true"#, "--no-new-privileges=false", "no-new-privileges"),
        ("daemon-live-restore", r#""live-restore": true"#, "--live-restore=false", "live-restore"),
        ("daemon-icc-disabled", r#""icc": false"#, "--icc=true", "icc"),
        ("daemon-userland-proxy-disabled", r#""userland-proxy": false"#, "--userland-proxy", "userland-proxy"),
        ("daemon-selinux-enabled", r#""selinux-enabled": true"#, "--selinux-enabled=0", "selinux-enabled"),
    ];
    for (control, line, flag, target) in table {
        let mut facts = live::green();
        live::edit(&mut facts, CONFIG, &format!("    {line},\n"), "");
        live::flag(&mut facts, flag);
        assert_eq!(stands(&facts, control), [format!("{target} Drift")], "{flag}");
        let place = "/etc/default/docker:1 ($DOCKER_OPTS)";
        let reason = format!("it is given by the flag {flag}; change or take away that flag in {place}");
        let assessment = judge(&facts);
        assert!(of(&assessment, control).all(|finding| finding.fix.reason.as_ref() == Some(&reason)), "{flag}");
    }
}

/// A right value counts wherever it is given, and a flag's last value is the one that counts.
#[test]
fn right_values_as_flags_count() {
    for (control, line, flags, target) in [
        ("daemon-icc-disabled", r#""icc": false"#, "--icc=true --icc=false", "icc"),
        ("daemon-log-level-info", r#""log-level": "info""#, "-l debug -l info", "log-level"),
        ("daemon-userland-proxy-disabled", r#""userland-proxy": false"#, "--userland-proxy=f", "userland-proxy"),
    ] {
        let tree = Tree::green();
        tree.edit(CONFIG, &format!("    {line},\n"), "");
        tree.flag(flags);
        assert_eq!(on(&tree, control), [format!("{target} Compliant")], "{flags}");
    }
}

/// docker-bench-security passes `--log-level=debug` and `-D` where jq is installed.
#[test]
fn debug_flags_are_seen() {
    let tree = Tree::green();
    tree.drop_line(CONFIG, "log-level");
    tree.flag("-D --log-level=debug");
    assert_eq!(on(&tree, "daemon-log-level-info"), ["log-level Drift"]);
    assert_eq!(on(&tree, "daemon-debug-disabled"), ["debug Drift"]);
}

/// aquasecurity/docker-bench passes what is not on the command line, whatever the file says.
#[test]
fn a_flag_that_is_not_given_does_not_hide_the_file() {
    let tree = Tree::green();
    tree.edit(CONFIG, "\"info\"", "\"debug\"");
    tree.edit(CONFIG, r#""icc": false"#, r#""iptables": false"#);
    assert_eq!(on(&tree, "daemon-log-level-info"), ["log-level Drift"]);
    assert_eq!(on(&tree, "daemon-iptables-enabled"), ["iptables Drift", "ip6tables Compliant"]);
}

/// docker-bench-security greps for what can never match and passes every cgroup parent.
#[test]
fn a_cgroup_parent_in_the_file_is_seen() {
    let tree = Tree::green();
    tree.key(r#""cgroup-parent": "/other""#);
    assert_eq!(on(&tree, "daemon-cgroup-parent-default"), ["cgroup-parent Drift"]);
}

/// dev-sec's profile wants the defaults written down, and TLS keys where there is no TLS.
#[test]
fn defaults_need_not_be_written_down() {
    let tree = Tree::green();
    tree.write(CONFIG, "{}\n");
    for (control, expected) in [
        ("daemon-iptables-enabled", &["iptables Compliant", "ip6tables Compliant"][..]),
        ("daemon-log-level-info", &["log-level Compliant"]),
        ("daemon-debug-disabled", &["debug Compliant"]),
        ("daemon-experimental-off", &["experimental Compliant"]),
        ("daemon-seccomp-default", &["seccomp-profile Compliant"]),
        ("file-tls-key-mode", &["@daemon:tlskey NotApplicable"]),
    ] {
        assert_eq!(on(&tree, control), expected, "{control}");
    }
}

/// docker-bench-security looks for the name `default`, which engines since 23.0 call `builtin`, and so never passes.
#[test]
fn seccomp_builtin_is_the_default() {
    for (version, profile) in [("28.5.2", "builtin"), ("20.10.24", "default"), ("28.5.2", "/etc/docker/seccomp.json")] {
        let mut facts = live::green();
        facts.daemon.version = Fact::Known(version.into());
        live::api(&mut facts).security_options = Some(vec![format!("name=seccomp,profile={profile}")]);
        assert_eq!(stands(&facts, "daemon-seccomp-default"), ["seccomp-profile Compliant"], "{version} {profile}");
    }
    let mut facts = live::green();
    live::api(&mut facts).security_options = Some(vec!["name=seccomp,profile=/etc/docker/other.json".into()]);
    assert_eq!(stands(&facts, "daemon-seccomp-default"), ["seccomp-profile Drift"]);
}

/// Engines before 24.0 do not list no-new-privileges, whether it is on or off.
#[test]
fn an_engine_that_does_not_show_no_new_privileges_may_have_it() {
    let mut facts = live::green();
    live::api(&mut facts).security_options = Some(vec!["name=seccomp,profile=builtin".into(), "name=selinux".into()]);
    facts.daemon.version = Fact::Known("23.0.15".into());
    assert_eq!(stands(&facts, "daemon-no-new-privileges"), ["no-new-privileges Compliant"]);
    facts.daemon.version = Fact::Known("24.0.9".into());
    assert_eq!(stands(&facts, "daemon-no-new-privileges"), ["no-new-privileges Drift"]);
}

/// A right file is no proof: the engine says what is in force.
#[test]
fn what_is_written_is_not_what_is_in_force() {
    let mut facts = live::green();
    let api = live::api(&mut facts);
    api.live_restore = Some(false);
    api.bridge_icc = Some(true);
    assert_eq!(stands(&facts, "daemon-live-restore"), ["live-restore Drift"]);
    assert_eq!(stands(&facts, "daemon-icc-disabled"), ["icc Drift"]);
}

/// In a swarm live-restore would keep dockerd from starting, so it is neither asked for nor switched on.
#[test]
fn live_restore_is_not_asked_of_a_swarm() {
    let mut facts = live::green();
    live::edit(&mut facts, CONFIG, "    \"live-restore\": true,\n", "");
    let api = live::api(&mut facts);
    api.live_restore = Some(false);
    api.swarm_state = Some("active".into());
    let assessment = judge(&facts);
    let found: Vec<_> =
        of(&assessment, "daemon-live-restore").map(|finding| (finding.status, finding.fix.reason.clone())).collect();
    assert_eq!(found, [(Status::NotApplicable, Some("this node is in a swarm, which refuses live-restore".into()))]);
    assert!(assessment.plan.is_empty());
}

/// docker-bench-security greps for the path, so the rule of containerd-shim-runc-v2 passes for three programs.
#[test]
fn containerd_shim_rule_does_not_cover_containerd() {
    let tree = Tree::green();
    tree.write(RULES, "-w /usr/bin/containerd-shim-runc-v2 -p wxa -k docker\n");
    assert_eq!(on(&tree, "audit-watch-containerd-shim-runc-v2"), ["/usr/bin/containerd-shim-runc-v2 Compliant"]);
    assert_eq!(on(&tree, "audit-watch-containerd-shim"), ["/usr/bin/containerd-shim Drift"]);
    assert_eq!(on(&tree, "audit-watch-containerd-bin"), ["/usr/bin/containerd Drift"]);
}

/// … and one of daemon.json passes for all of /etc/docker, whatever it records.
#[test]
fn a_rule_on_daemon_json_does_not_cover_etc_docker() {
    let tree = Tree::green();
    tree.write(RULES, "-w /etc/docker/daemon.json -p wa\n");
    assert_eq!(on(&tree, "audit-watch-daemon-json"), ["/etc/docker/daemon.json Compliant"]);
    assert_eq!(on(&tree, "audit-watch-etc-docker"), ["/etc/docker Drift"]);
    tree.write(RULES, "-w /etc/docker -p x\n");
    assert_eq!(on(&tree, "audit-watch-daemon-json"), ["/etc/docker/daemon.json Drift"]);
    assert_eq!(on(&tree, "audit-watch-etc-docker"), ["/etc/docker Drift"]);
}

/// … and one that drops every event passes for one that records it.
#[test]
fn a_never_rule_records_nothing() {
    let tree = Tree::green();
    tree.edit(RULES, "-w /usr/bin/runc -p wxa -k docker", "-a never,exit -F path=/usr/bin/runc");
    assert_eq!(on(&tree, "audit-watch-runc"), ["/usr/bin/runc Drift"]);
    let assessment = judge(&observe(&tree));
    assert!(of(&assessment, "audit-watch-runc").all(|finding| finding.fix.kind == FixKind::Manual));
}

/// One line to rule them all: nobody has to write harden's own.
#[test]
fn a_broader_rule_counts() {
    let tree = Tree::green();
    tree.write(RULES, "-a always,exit -F arch=b64 -S all -F dir=/usr -F perm=rwxa\n-a always,exit -F arch=b32 -S all -F dir=/usr -F perm=wxa\n");
    for (control, path) in [
        ("audit-watch-dockerd", "/usr/bin/dockerd"),
        ("audit-watch-runc", "/usr/bin/runc"),
        ("audit-watch-docker-socket-unit", "/usr/lib/systemd/system/docker.socket"),
    ] {
        assert_eq!(on(&tree, control), [format!("{path} Compliant")]);
    }
}

/// docker-bench-security knows one place of each program, and warns where Debian's is watched.
#[test]
fn programs_are_watched_where_they_are() {
    let tree = Tree::green();
    for name in ["dockerd", "runc"] {
        let path = format!("/usr/sbin/{name}");
        tree.remove(&format!("/usr/bin/{name}"));
        tree.write(&path, "");
        tree.edit(RULES, &format!("/usr/bin/{name} "), &format!("{path} "));
        assert_eq!(on(&tree, &format!("audit-watch-{name}")), [format!("{path} Compliant")]);
    }
}

/// … and takes the data to be in /var/lib/docker.
#[test]
fn the_data_root_is_watched_where_it_is() {
    let mut facts = live::green();
    live::edit(&mut facts, CONFIG, "{\n", "{\n    \"data-root\": \"/srv/docker\",\n");
    live::edit(&mut facts, RULES, "-w /var/lib/docker ", "-w /srv/docker ");
    live::api(&mut facts).data_root = Some("/srv/docker".into());
    let moved = facts.files["/var/lib/docker"].clone();
    let Fact::Known(mut moved) = moved else { panic!("no data root") };
    moved.real_path = "/srv/docker".into();
    facts.files.insert("/srv/docker".into(), Fact::Known(moved));
    assert_eq!(stands(&facts, "audit-watch-var-lib-docker"), ["/srv/docker Drift"]);
    live::kernel(&mut facts).rules.push(our_watch("/srv/docker", true, "wa".parse().expect("perms"), "docker"));
    assert_eq!(stands(&facts, "audit-watch-var-lib-docker"), ["/srv/docker Compliant"]);
}

/// Files that nobody must have are no failure where they are not there, and need no systemd to be found out about.
#[test]
fn optional_files_may_be_missing() {
    let tree = Tree::green();
    tree.remove("/etc/sysconfig/docker");
    tree.remove("/etc/default/docker");
    for control in ["file-etc-sysconfig-docker-mode", "file-etc-default-docker-owner", "audit-watch-etc-sysconfig-docker"] {
        assert!(on(&tree, control)[0].ends_with(" NotApplicable"), "{control}");
    }
}

/// docker-bench-security ends with 0 whatever it found and leaves files behind; Ansible's roles write under `--check`.
#[test]
fn looking_changes_nothing_and_ends_with_what_was_found() {
    for (commands, breaks, status) in
        [(&["check", "plan"][..], false, 0), (&["check", "plan"], true, 2), (&["apply --yes --dry-run", "--dry-run"], true, 2)]
    {
        for command in commands {
            let tree = Tree::green();
            if breaks {
                tree.chmod("/run/docker.sock", 0o666);
                tree.edit(CONFIG, r#""icc": false"#, r#""icc": true"#);
            }
            let before = tree.snapshot();
            let mut harden = Command::new(env!("CARGO_BIN_EXE_harden"));
            harden.env_clear().args(command.split(' ')).args(["-b", BASELINE, "--docker-version", VERSION, "--root"]);
            let output = harden.arg(tree.path()).current_dir(tree.path()).output().expect("harden");
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(status), "{command}: {text}");
            assert_eq!(differences(&before, &tree.snapshot(), true), [""; 0], "{command}");
            assert!(!tree.at("/var/lib/harden").exists(), "{command}");
        }
    }
}
