//! Wrong verdicts that other checkers were seen to give, each as the case that they get wrong.
//!
//! [`TRAPS`] has all of them, to tick off. These concern nothing that harden does or judges:
//!
//! - docker-bench-security, 23 of 132 checks that print a note: every control here has a case that breaks it (main.rs), and what
//!   only a person can tell is attested, not passed.
//! - docker-bench-security, `$? -eq 265` and a `find /run` that always succeeds: no shell, no exit status of a program is judged.
//! - docker-bench-security 8.x, UCP and DTR: products that are gone.
//! - aquasecurity/docker-bench, its `cfg/` beside the working directory: baselines are in the binary.
//! - Ansible roles, a module for Python 2 and a variable by another name than the one that is declared: no interpreter is needed, and
//!   a variable that no row declares is an error of the baseline.
//! - dev-sec's InSpec profile, `nproc` with a typing mistake: there are no numbers of harden's own to be wrong.
//! - Lynis asks 4 questions of Docker; what it does not ask it can't get wrong.
//! - OpenSCAP, content for other releases, where all rules are not applicable and the end is a success: no control depends on the
//!   distribution, and the summary counts what did not apply. Rules that walk the whole file system: tests/scale.rs.

use std::process::Command;

use harden::baseline::Catalogue;
use harden::baseline::control::Want;
use harden::fact::{Fact, Facts};
use harden::finding::{FixKind, Status};
use harden::formats::audit_rule::our_watch;

use crate::live;
use crate::policy::{judged, started_with};
use crate::table::{BASELINE, VERSION, activations, judge, observe, of};
use crate::tree::{CONFIG, RULES, Tree, differences};

/// Whose mistake, by the number of the check where it has one; what is mistaken; the test that fails where harden makes it, too.
const TRAPS: &[(&str, &str, &str)] = &[
    ("docker-bench-security 3.x", "modes compared as decimal numbers", "docker_bench_mode_646_is_not_660"),
    ("docker-bench-security 3.x", "an exact mode where a stricter one is as good", "stricter_modes_are_as_wanted"),
    ("docker-bench-security 2.x", "fails half-way under dash", "docker_bench_under_dash_misses_what_is_wrong"),
    ("docker-bench-security 2.x", "flags of any process that names dockerd", "command_lines_fool_nobody"),
    ("docker-bench-security 2.9, 2.14, 2.15", "a flag set to false is there", "flag_set_to_false_is_not_true"),
    ("docker-bench-security 2.9", "--userns-remap= remaps", "docker_bench_2_9_takes_an_empty_remapping_for_one"),
    ("docker-bench-security 2.3", "--log-level=debug and -D", "debug_flags_are_seen"),
    ("docker-bench-security 2.7", "tlsverify in the file is not found", "docker_bench_2_7_does_not_find_tlsverify_in_the_file"),
    ("docker-bench-security 2.7", "no TCP is no pass", "docker_bench_2_7_does_not_pass_without_tcp"),
    ("docker-bench-security 2.7", "addresses without a scheme", "docker_bench_2_7_knows_tcp_by_its_scheme"),
    ("docker-bench-security 2.10", "cgroup-parent in the file is not found", "a_cgroup_parent_in_the_file_is_seen"),
    ("docker-bench-security 2.13", "any driver but json-file is remote", "docker_bench_2_13_passes_drivers_that_stay_here"),
    ("docker-bench-security 2.17", "the profile is called default", "seccomp_builtin_is_the_default"),
    ("docker-bench-security 1.1.1", "a bind mount is a partition", "docker_bench_1_1_1_takes_a_bind_mount_for_a_partition"),
    ("docker-bench-security 1.1.2", "bob is bobby", "docker_bench_bob_is_not_bobby_and_versions_are_compared"),
    ("docker-bench-security 1.2.2", "every version passes", "docker_bench_bob_is_not_bobby_and_versions_are_compared"),
    ("docker-bench-security 1.1.14, 15, 17", "one path is part of another", "containerd_shim_rule_does_not_cover_containerd"),
    ("docker-bench-security 1.1.6", "any access, one file for all", "a_rule_on_daemon_json_does_not_cover_etc_docker"),
    ("docker-bench-security 1.1.18", "a rule that drops events", "a_never_rule_records_nothing"),
    ("docker-bench-security 1.1.3, 18", "one place of each program", "programs_are_watched_where_they_are"),
    ("docker-bench-security 1.1.5", "/var/lib/docker alone", "the_data_root_is_watched_where_it_is"),
    ("docker-bench-security 1.1.8, 9", "a socket is its unit", "docker_bench_1_1_9_takes_the_unit_for_the_socket"),
    ("docker-bench-security 1.1.x", "/etc/audit/audit.rules alone", "docker_bench_1_1_reads_compiled_rules_alone"),
    ("docker-bench-security 5.3", "any security option is a label", "docker_bench_takes_any_security_option_for_a_label"),
    ("docker-bench-security 5.4", "--cap-add ALL", "docker_bench_5_4_all_is_more_than_the_default"),
    ("docker-bench-security 5.6", "below, and read-only", "docker_bench_misses_directories_below_and_read_only_ones"),
    ("docker-bench-security 5.7", "needs ps in the image", "docker_bench_5_7_needs_ps_in_the_image"),
    ("docker-bench-security 5.8", "1024 is privileged", "docker_bench_takes_1024_for_a_privileged_port"),
    ("docker-bench-security 5.14", "the wildcard of IPv6", "docker_bench_misses_the_ipv6_wildcard"),
    ("docker-bench-security 5.15", "always passes", "docker_bench_passes_restart_always"),
    ("docker-bench-security 5.19", "the wrong way round", "ulimits_of_the_daemon_are_no_override"),
    ("docker-bench-security 5.20", "the word shared in Go's text", "docker_bench_5_20_greps_for_the_word_shared"),
    (
        "docker-bench-security 5.21",
        "privileged, and no default profile",
        "seccomp_is_off_in_privileged_containers_and_without_a_default_profile",
    ),
    ("docker-bench-security 5.26", "dockerd's flag for all", "the_flag_of_dockerd_says_nothing_of_older_containers"),
    ("docker-bench-security 5.32", "sockets by other names", "docker_bench_misses_sockets_by_other_names"),
    ("docker-bench-security 4.x", "greps of docker history", "not_as_docker_bench_says"),
    ("docker-bench-security 4.1", "the user of the configuration", "docker_bench_reads_the_user_of_the_configuration_only"),
    ("docker-bench-security 7.1", "leaders, of which there is one", "docker_bench_7_1_counts_leaders"),
    ("docker-bench-security 7.7", "exactly 2 days", "docker_bench_7_7_knows_two_days_only"),
    ("docker-bench-security", "ends with 0, leaves files", "looking_changes_nothing_and_ends_with_what_was_found"),
    ("docker-bench-security", "no daemon, no result", "docker_bench_says_nothing_of_files_without_a_daemon"),
    ("docker-bench-security", "-f of a socket; as Lynis CONT-8108", "a_socket_is_no_regular_file"),
    (
        "aquasecurity/docker-bench 2.3, 2.4",
        "not on the command line is right",
        "a_flag_that_is_not_given_does_not_hide_the_file",
    ),
    ("aquasecurity/docker-bench 2.12, 2.13", "finds its own grep", "aqua_passes_plugins_and_drivers_that_nobody_configured"),
    ("aquasecurity/docker-bench 3.x", "systemctl, and optional files", "optional_files_may_be_missing"),
    ("aquasecurity/docker-bench", "ends with 0", "looking_changes_nothing_and_ends_with_what_was_found"),
    ("Ansible roles", "write under --check", "looking_changes_nothing_and_ends_with_what_was_found"),
    ("Ansible roles", "docker as root's primary group", "ansible_makes_docker_the_primary_group_of_root"),
    ("Ansible roles", "programs by names that are gone", "ansible_watches_programs_by_names_that_are_gone"),
    ("Ansible roles", "restart for what a reload does", "ansible_restarts_dockerd_for_what_a_reload_does"),
    ("Ansible roles", "br_netfilter is not loaded", "bridges_without_br_netfilter"),
    ("Ansible roles", "live-restore in a swarm", "live_restore_is_not_asked_of_a_swarm"),
    ("Ansible roles", "hosts beside -H fd://", "ansible_writes_hosts_beside_the_flag"),
    ("Ansible roles", "nofile 100:200", "ansible_guesses_ulimits"),
    ("dev-sec cis-docker-benchmark", "defaults must be written down", "defaults_need_not_be_written_down"),
    ("dev-sec cis-docker-benchmark", "no daemon.json, no section 2", "dev_sec_skips_the_daemon_without_its_file"),
    ("dev-sec os_hardening", "ip_forward = 0", "dev_sec_switches_forwarding_off"),
    ("Bloodhound", "one string twice is two", "bloodhound_counts_one_string_twice"),
    ("auditctl", "a watch below a directory that is not there", "rules_that_would_not_load_are_not_proposed"),
];

/// The table names tests that are there.
#[test]
fn every_trap_has_its_test() {
    let sources = [
        include_str!("peers.rs"),
        include_str!("container.rs"),
        include_str!("host.rs"),
        include_str!("swarm.rs"),
        include_str!("image.rs"),
        include_str!("../../src/host/process/tests.rs"),
        include_str!("../../src/kinds/prerequisites/tests.rs"),
    ]
    .concat();
    for (whose, mistake, test) in TRAPS {
        assert!(sources.contains(&format!("#[test]\nfn {test}() {{")), "{whose}: {mistake}: there is no test {test}");
    }
}

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

/// Under dash, which is sh on Debian, docker-bench-security's `[[` fail: what is right warns, and these two pass.
#[test]
fn docker_bench_under_dash_misses_what_is_wrong() {
    let tree = Tree::green();
    for (control, target) in [
        ("daemon-icc-disabled", "icc"),
        ("daemon-no-new-privileges", "no-new-privileges"),
        ("daemon-cgroup-parent-default", "cgroup-parent"),
    ] {
        assert_eq!(on(&tree, control), [format!("{target} Compliant")]);
    }
    tree.key(r#""iptables": false"#);
    tree.key(r#""insecure-registries": ["10.0.0.0/8", "registry.lab.example:5000", "127.0.0.1:5000"]"#);
    assert_eq!(on(&tree, "daemon-iptables-enabled"), ["iptables Drift", "ip6tables Compliant"]);
    assert_eq!(on(&tree, "daemon-no-insecure-registries"), ["insecure-registries Drift", "registry-mirrors Compliant"]);
}

#[test]
fn docker_bench_2_9_takes_an_empty_remapping_for_one() {
    let found = judged(&started_with("--userns-remap=", "{}"), "daemon-userns-remap", &[]);
    assert!(found.len() == 1 && found[0].starts_with("Drift userns-remap: "), "{found:?}");
}

/// Its look-up of `"tlsverify":` is no jq, and its search for addresses goes line by line.
#[test]
fn docker_bench_2_7_does_not_find_tlsverify_in_the_file() {
    let config = "{\"tlsverify\":\n true, \"tlscacert\": \"/c\", \"tlscert\": \"/c\", \"tlskey\": \"/k\"}";
    let found = judged(&started_with("-H tcp://10.0.0.1:2376", config), "daemon-tcp-requires-tlsverify", &[]);
    assert!(found.len() == 4 && found.iter().all(|line| line.starts_with("Compliant ")), "{found:?}");
    let mut facts = started_with("", "{\n\"hosts\":\n[\n\"unix:///run/docker.sock\",\n\"tcp://10.0.0.1:2375\"\n]\n}");
    live::edit(&mut facts, "/usr/lib/systemd/system/docker.service", "-H fd:// ", "");
    live::process(&mut facts).argv.drain(1..3);
    let found = judged(&facts, "daemon-tcp-requires-tlsverify", &[]);
    assert!(found[0].starts_with("Drift tlsverify: false"), "{found:?}");
}

#[test]
fn docker_bench_2_7_does_not_pass_without_tcp() {
    let found = judged(&started_with("", "{}"), "daemon-tcp-requires-tlsverify", &[]);
    assert!(found.len() == 1 && found[0].starts_with("Compliant "), "{found:?}");
}

/// dockerd listens on TCP where an address names no scheme.
#[test]
fn docker_bench_2_7_knows_tcp_by_its_scheme() {
    let found = judged(&started_with("-H 0.0.0.0:2375", "{}"), "daemon-tcp-requires-tlsverify", &[]);
    assert!(found[0].starts_with("Drift tlsverify: false"), "{found:?}");
}

#[test]
fn docker_bench_2_13_passes_drivers_that_stay_here() {
    for driver in ["none", "local", "journald", "json-file"] {
        let mut facts = started_with("", &format!("{{\"log-driver\": \"{driver}\"}}"));
        live::api(&mut facts).logging_driver = Some(driver.into());
        let found = judged(&facts, "daemon-remote-logging", &["log.driver=syslog"]);
        assert!(found[0].starts_with("Drift log-driver: "), "{found:?}");
    }
    let local = r#"{"log-driver": "syslog", "log-opts": {"syslog-address": "unixgram:///dev/log"}}"#;
    let found = judged(&started_with("", local), "daemon-remote-logging", &["log.driver=syslog"]);
    assert!(found[2].starts_with("Drift log-opts.syslog-address: "), "{found:?}");
    // These two log to this host unless they are told another one.
    for (driver, drift) in [("syslog", "syslog-address: not set"), ("fluentd", "fluentd-address: not set")] {
        let mut facts = started_with("", &format!("{{\"log-driver\": \"{driver}\"}}"));
        live::api(&mut facts).logging_driver = Some(driver.into());
        let found = judged(&facts, "daemon-remote-logging", &[&format!("log.driver={driver}")]);
        assert!(found[2].starts_with(&format!("Drift log-opts.{drift}")), "{found:?}");
    }
    let here = r#"{"log-driver": "fluentd", "log-opts": {"fluentd-address": "localhost:24224"}}"#;
    assert!(judged(&started_with("", here), "daemon-remote-logging", &["log.driver=fluentd"])[2].starts_with("Drift "));
    let there = r#"{"log-driver": "fluentd", "log-opts": {"fluentd-address": "logs.example:24224"}}"#;
    assert!(judged(&started_with("", there), "daemon-remote-logging", &["log.driver=fluentd"])[2].starts_with("Compliant "));
}

/// dockerd mounts its data root on itself, and `mountpoint -q` is content.
#[test]
fn docker_bench_1_1_1_takes_a_bind_mount_for_a_partition() {
    let mut facts = live::green();
    assert_eq!(stands(&facts, "host-data-root-partition"), ["/var/lib/docker Compliant"]);
    let Fact::Known(mounts) = &mut facts.machine.mounts else { panic!("mounts") };
    let root = mounts[0].device.clone();
    mounts.iter_mut().filter(|mount| mount.point == "/var/lib/docker").for_each(|mount| mount.device = root.clone());
    assert_eq!(stands(&facts, "host-data-root-partition"), ["/var/lib/docker Drift"]);
}

/// A rule on the unit's file records nothing of the socket, nor the other way round.
#[test]
fn docker_bench_1_1_9_takes_the_unit_for_the_socket() {
    for (path, drifts, holds, other) in [
        (
            "/run/docker.sock",
            "audit-watch-docker-socket",
            "audit-watch-docker-socket-unit",
            "/usr/lib/systemd/system/docker.socket",
        ),
        (
            "/usr/lib/systemd/system/docker.socket",
            "audit-watch-docker-socket-unit",
            "audit-watch-docker-socket",
            "/run/docker.sock",
        ),
    ] {
        let mut facts = live::green();
        live::forget(&mut facts, path);
        assert_eq!(stands(&facts, drifts), [format!("{path} Drift")]);
        assert_eq!(stands(&facts, holds), [format!("{other} Compliant")]);
    }
}

/// What augenrules wrote last time is not what it writes next time.
#[test]
fn docker_bench_1_1_reads_compiled_rules_alone() {
    let tree = Tree::green();
    assert!(!tree.at("/etc/audit/audit.rules").exists());
    assert_eq!(on(&tree, "audit-watch-runc"), ["/usr/bin/runc Compliant"]);
    tree.write("/etc/audit/audit.rules", &tree.text(RULES));
    tree.drop_line(RULES, "/usr/bin/runc ");
    assert_eq!(on(&tree, "audit-watch-runc"), ["/usr/bin/runc Drift"]);
}

/// Files are there without a daemon, and so is what it will read.
#[test]
fn docker_bench_says_nothing_of_files_without_a_daemon() {
    let mut facts = live::green();
    (facts.daemon.api, facts.daemon.process) = (Fact::Absent, Fact::Absent);
    live::file(&mut facts, CONFIG).mode = 0o666;
    live::edit(&mut facts, CONFIG, r#""icc": false"#, r#""icc": true"#);
    assert_eq!(stands(&facts, "file-daemon-json-mode"), [format!("{CONFIG} Drift")]);
    assert_eq!(stands(&facts, "daemon-icc-disabled"), ["icc Drift"]);
    assert_eq!(stands(&facts, "daemon-userland-proxy-disabled"), ["userland-proxy Compliant"]);
}

/// Its `ps -ef | grep dockerd | grep …` finds itself.
#[test]
fn aqua_passes_plugins_and_drivers_that_nobody_configured() {
    let facts = started_with("", "{}");
    for (control, set) in [("daemon-authz-plugin", r#"authz_plugins=["opa"]"#), ("daemon-remote-logging", "log.driver=syslog")]
    {
        let found = judged(&facts, control, &[set]);
        assert!(found[0].starts_with("Drift "), "{found:?}");
    }
}

/// Root needs no group to be root, and nobody's primary group is changed.
#[test]
fn ansible_makes_docker_the_primary_group_of_root() {
    let tree = Tree::green();
    tree.edit("/etc/group", "docker:x:997:app", "docker:x:997:root,app,bob");
    let assessment = judge(&observe(&tree));
    let found: Vec<_> = of(&assessment, "host-docker-group-members").map(|one| (one.target.as_str(), one.status)).collect();
    assert_eq!(found, [("app", Status::Compliant), ("bob", Status::Drift)]);
    let changed: Vec<&str> = assessment.plan.changes.iter().map(|change| change.target()).collect();
    assert_eq!(changed, ["/etc/group"]);
}

#[test]
fn ansible_watches_programs_by_names_that_are_gone() {
    let tree = Tree::green();
    tree.remove("/usr/bin/containerd-shim-runc-v1");
    tree.drop_line(RULES, "/usr/bin/containerd-shim-runc-v1 ");
    let assessment = judge(&observe(&tree));
    assert!(of(&assessment, "audit-watch-containerd-shim-runc-v1").all(|finding| finding.status == Status::NotApplicable));
    assert!(assessment.plan.is_empty(), "{:?}", assessment.plan);
    for control in &Catalogue::builtin().controls {
        let Want::Watch(want) = &control.want else { continue };
        let old = want
            .paths
            .iter()
            .map(ToString::to_string)
            .find(|path| path.contains("docker-containerd") || path.contains("docker-runc"));
        assert_eq!(old, None, "{}", control.id);
    }
}

#[test]
fn ansible_restarts_dockerd_for_what_a_reload_does() {
    let mut facts = live::green();
    live::edit(&mut facts, CONFIG, "{\n", "{\n    \"debug\": true,\n");
    live::api(&mut facts).debug = Some(true);
    let found = activations(&judge(&facts));
    assert!(found.len() == 1 && found[0].starts_with("docker-reload: "), "{found:?}");
}

/// dockerd does not start with both; what the flag says is corrected where it stands.
#[test]
fn ansible_writes_hosts_beside_the_flag() {
    let facts = started_with("-H tcp://10.0.0.1:2376", "{}");
    let mut baseline = harden::baseline::load("guide", &[]).unwrap_or_else(|error| panic!("{error}"));
    baseline.controls.retain(|control| control.id == "daemon-no-tcp-listener");
    let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Disruptive, wanted: &|_, _| true };
    let assessment = harden::assess::assess(&baseline, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
    let changed: Vec<&str> = assessment.plan.changes.iter().map(|change| change.target()).collect();
    assert_eq!(changed, ["/etc/systemd/system/docker.service.d/zz-harden.conf"]);
}

/// 100 files are too few for almost anything: without a policy nothing is set.
#[test]
fn ansible_guesses_ulimits() {
    let found = judged(&started_with("", "{}"), "daemon-default-ulimits", &[]);
    assert!(found.len() == 1 && found[0].contains("| by hand set the variable default_ulimits "), "{found:?}");
}

#[test]
fn dev_sec_skips_the_daemon_without_its_file() {
    let tree = Tree::green();
    tree.remove(CONFIG);
    assert_eq!(on(&tree, "daemon-icc-disabled"), ["icc Drift"]);
    assert_eq!(on(&tree, "daemon-iptables-enabled"), ["iptables Compliant", "ip6tables Compliant"]);
}

/// Bridges need forwarding; it may be on, and nothing here ever switches it off.
#[test]
fn dev_sec_switches_forwarding_off() {
    let facts = live::green();
    assert_eq!(stands(&facts, "host-sysctl-ip-forward"), ["net.ipv4.ip_forward Compliant", "forwarded packets Compliant"]);
    for control in &Catalogue::builtin().controls {
        let Want::Sysctl(want) = &control.want else { continue };
        let names: Vec<&String> = want.key.iter().flat_map(|key| &key.names).filter(|name| name.contains("forward")).collect();
        assert!(names.is_empty(), "{}: {names:?}", control.id);
    }
}

/// Two rules for 64-bit programs are not one for those and one for 32-bit programs.
#[test]
fn bloodhound_counts_one_string_twice() {
    let rule = |arch: &str, key: &str| {
        format!("-a always,exit -F arch={arch} -S all -F path=/usr/bin/runc -F perm=wxa -F key={key}\n")
    };
    for (second, status) in [("b64", "Drift"), ("b32", "Compliant")] {
        let tree = Tree::green();
        tree.write(RULES, &(rule("b64", "one") + &rule(second, "two")));
        assert_eq!(on(&tree, "audit-watch-runc"), [format!("/usr/bin/runc {status}")], "{second}");
    }
}

/// The kernel refuses a watch below a directory that is not there, and forgets it as the directory goes.
#[test]
fn rules_that_would_not_load_are_not_proposed() {
    let tree = Tree::green();
    tree.remove("/etc/containerd");
    tree.drop_line(RULES, "/etc/containerd/config.toml ");
    assert!(on(&tree, "audit-watch-containerd-config")[0].ends_with(" NotApplicable"));
    assert!(judge(&observe(&tree)).plan.is_empty());
}
