//! Real dockerds with what harden writes: they start with it, take it over, and keep their containers.

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use harden::fact::Fact;
use harden::host::machine;
use harden::kinds::supervisor::Supervisor;
use lab::run::{BINARY, Bare, Report, Run, harden, path, text};
use lab::{Dockerd, Lab, NO_NETWORK, require};
use serde_json::{Map, Value, json};

/// The engine of Debian 12. The tests of what a dockerd accepts run against the installed one, whichever that is.
const OLDEST: &str = "20.10.24";
const BASELINES: [&str; 4] = ["essential", "cis-l1", "cis-l2", "guide"];
/// Controls and their keys that keep dockerd from starting where the kernel can't filter bridges, the second from engine 27 on.
const NEED_BR_NETFILTER: [(&str, &str); 2] =
    [("daemon-icc-disabled", "icc"), ("daemon-userland-proxy-disabled", "userland-proxy")];

/// Those of the installed engine.
fn need_br_netfilter() -> &'static [(&'static str, &'static str)] {
    let major = installed().split('.').next().and_then(|major| major.parse::<u32>().ok()).expect("a version");
    &NEED_BR_NETFILTER[..if major < 27 { 1 } else { 2 }]
}

/// Arguments that leave out what dockerd could not start with on this machine.
fn possible_here() -> Vec<&'static str> {
    if machine::br_netfilter() == Fact::Known(true) {
        return Vec::new();
    }
    eprintln!("NOT TESTED on this machine, whose kernel has no br_netfilter: {:?}", need_br_netfilter());
    need_br_netfilter().iter().flat_map(|(control, _)| ["--skip", control]).collect()
}

/// The installed engine's version.
fn installed() -> String {
    require("dockerd", "docker.io");
    let output = Command::new("dockerd").arg("--version").env("PATH", lab::path_with_sbin()).output().expect("dockerd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text.split_whitespace().nth(2).expect("Docker version X, build Y");
    version.trim_end_matches(',').to_owned()
}

fn read(path: &Path) -> Map<String, Value> {
    let content = fs::read(path).expect("daemon.json");
    serde_json::from_slice(&content).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&content)))
}

/// What an unprivileged dockerd says of a configuration: it reads it before it sees that it may not start.
fn unprivileged(config: &Path, flags: &[&str]) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "dockerd", "--config-file"]).arg(config).args(flags);
    Run::of(command.env("PATH", lab::path_with_sbin())).stderr
}

fn assert_acceptable(config: &Path) {
    let said = unprivileged(config, &[]);
    let accepted = said.contains("dockerd needs to be started with root privileges") && !said.contains("unable to configure");
    assert!(accepted, "dockerd says: {said}\nto {}", fs::read_to_string(config).unwrap_or_default());
}

#[test]
fn dockerd_starts_with_what_is_generated() {
    let lab = Lab::new();
    for baseline in BASELINES {
        let mut arguments = vec!["generate", "daemon.json", "-b", baseline, "--docker-version", OLDEST];
        arguments.extend(possible_here());
        let config = harden(&arguments).ends_with(0);
        let _daemon = Dockerd::start(&lab, &config, &[]);
        assert_acceptable(&lab.config());
        let mut check = vec!["check", "-b", baseline, "--max-risk", "disruptive"];
        check.extend(possible_here());
        let ran = Bare::new(&lab).run(&check);
        // What a policy has to give values to stays open; nothing that harden writes does.
        let report = if baseline == "essential" { ran.report(0) } else { ran.report(2) };
        assert_eq!(report.0["summary"]["drift"], json!(0), "{baseline}");
        let (compliant, others) = (report.with_status("compliant"), report.with_status("not_applicable"));
        assert!(compliant.contains(&"daemon-live-restore live-restore".to_owned()), "{baseline}: {compliant:?}");
        let of_the_guide = [
            "daemon-selinux-enabled selinux-enabled",
            "daemon-default-publish-address default-network-opts.bridge",
            "daemon-remote-access-ssh contexts",
            "daemon-registry-ca-present registries",
        ];
        let expected: &[&str] = if baseline == "guide" { &of_the_guide } else { &[] };
        assert_eq!(others, expected, "{baseline}");
    }
}

#[test]
fn dockerd_starts_with_what_is_merged_into_its_file() {
    let lab = Lab::new();
    let existing = r#"{
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "log-driver": "json-file",
  "log-opts": { "max-size": "100m", "labels": "tier" },
  "storage-driver": "overlay2",
  "insecure-registries": ["registry.internal:5000", "127.0.0.0/8"],
  "registry-mirrors": ["https://mirror.example"],
  "default-address-pools": [{ "base": "10.201.0.0/16", "size": 24 }],
  "dns": ["10.0.0.2"],
  "debug": true,
  "iptables": false
}
"#;
    let file = lab.dir().join("existing.json");
    fs::write(&file, existing).expect("a file");
    let before = read(&file);
    for baseline in BASELINES {
        let file = path(&file);
        let mut arguments = vec!["generate", "daemon.json", "-b", baseline, "--docker-version", OLDEST, "--merge", &file];
        arguments.extend(possible_here());
        let merged = harden(&arguments).ends_with(0);
        let daemon = Dockerd::start(&lab, &merged, &[]);
        let after = read(&lab.config());
        for key in ["exec-opts", "log-driver", "storage-driver", "registry-mirrors", "default-address-pools", "dns"] {
            assert_eq!(after[key], before[key], "{baseline}: {key}");
        }
        assert_eq!(after["log-opts"], json!({ "max-size": "100m", "labels": "tier", "max-file": "3" }), "{baseline}");
        assert_eq!(after["insecure-registries"], json!(["127.0.0.0/8"]), "{baseline}");
        assert_eq!(after.get("iptables"), None, "{baseline}");
        let answer = daemon.engine().ask();
        let api = answer.api.known().expect("an answer");
        assert_eq!((api.debug, api.live_restore), (Some(false), Some(true)), "{baseline}");
        assert_eq!(api.registry_mirrors, Some(vec!["https://mirror.example/".into()]), "{baseline}");
        assert_eq!(daemon.docker(&["info", "--format", "{{.DefaultAddressPools}}"]), "[{10.201.0.0/16 24}]", "{baseline}");
    }
}

const DEBUGGING: &str = r#"{
    "debug": true,
    "log-level": "debug",
    "registry-mirrors": ["https://mirror.example"],
    "labels": ["a=b"]
}
"#;
/// What only a restart puts in force, of [`DEBUGGING`] in the baseline `essential`.
const WAITING: [&str; 3] =
    ["daemon-log-rotation log-opts.max-size", "daemon-log-rotation log-opts.max-file", "daemon-log-level-info log-level"];

/// The reason why a finding is left to the user.
fn by_hand(report: &Report, finding: &str) -> String {
    let (control, target) = finding.split_once(' ').expect("control and target");
    let finding = report.finding(control, target);
    assert_eq!(finding["fix"]["kind"], "manual", "{finding:#}");
    text(&finding["fix"]["reason"]).to_owned()
}

#[test]
fn a_running_dockerd_takes_over_what_a_reload_can_and_the_rest_is_said() {
    let lab = Lab::new();
    let harden = Bare::new(&lab);
    let daemon = Dockerd::start(&lab, DEBUGGING, &["--max-concurrent-downloads", "4"]);
    let pids = [daemon.run_container("one"), daemon.run_container("two")];
    let config = path(&lab.config());

    let report = harden.run(&["check"]).report(2);
    assert_eq!(report.0["host"]["docker"]["config_file"], config);
    for (control, key, from) in [
        ("daemon-debug-disabled", "debug", format!("{config}:2")),
        ("daemon-log-level-info", "log-level", format!("{config}:3")),
        ("daemon-live-restore", "live-restore", "the engine's default".into()),
        ("daemon-no-insecure-registries", "registry-mirrors", format!("{config}:4")),
    ] {
        assert_eq!(report.finding(control, key)["evidence"][0], format!("{key} from {from}"));
    }
    assert_eq!(report.activations(), ["docker-reload", "docker-restart by hand"]);
    assert!(!harden.state_dir().exists(), "check writes nothing");
    assert_eq!(fs::read_to_string(lab.config()).expect("daemon.json"), DEBUGGING);

    let report = harden.run(&["apply", "--yes"]).report(0);
    assert_eq!((report.0["changed"].clone(), report.0["failed"].clone()), (json!(true), json!(false)));
    assert_eq!(report.changes(), [config.as_str()]);
    for finding in WAITING {
        let reason = by_hand(&report, finding);
        assert_eq!(
            reason,
            format!(
                "it takes effect at the next start of dockerd; {} did not start this dockerd: restart it the way it was started",
                Supervisor::name(machine::service_manager())
            )
        );
    }
    let answer = daemon.engine().ask();
    let api = answer.api.known().expect("an answer");
    assert_eq!((api.live_restore, api.debug, api.containers_running), (Some(true), Some(false), Some(2)));
    assert_eq!([daemon.container_pid("one"), daemon.container_pid("two")], pids);
    let after = read(&lab.config());
    let keys: Vec<&String> = after.keys().collect();
    assert_eq!(keys, ["debug", "labels", "live-restore", "log-level", "log-opts", "registry-mirrors"]);

    let written = fs::metadata(lab.config()).expect("daemon.json");
    let report = harden.run(&["apply", "--yes"]).report(0);
    assert_eq!((report.0["changed"].clone(), report.changes().len()), (json!(false), 0));
    let still = fs::metadata(lab.config()).expect("daemon.json");
    assert_eq!((still.ino(), still.mtime_nsec()), (written.ino(), written.mtime_nsec()), "nothing is written twice");
    let mut left = harden.run(&["check"]).report(2).with_status("drift");
    left.sort();
    let mut waiting = WAITING.map(str::to_owned);
    waiting.sort();
    assert_eq!(left, waiting);

    drop(daemon);
    let daemon = Dockerd::start_as_is(&lab, &["--max-concurrent-downloads", "4"]);
    assert_eq!([daemon.container_pid("one"), daemon.container_pid("two")], pids, "live-restore kept them");
    assert_eq!(harden.run(&["check"]).report(0).with_status("drift"), [""; 0]);
}

#[test]
fn a_file_that_only_changed_for_a_reload_needs_no_restart() {
    let lab = Lab::new();
    let harden = Bare::new(&lab);
    let mut flags = NO_NETWORK.to_vec();
    flags.extend(["--label", "a=b"]);
    let config = r#"{"log-level": "info", "log-opts": {"max-size": "5m", "max-file": "3"}}"#;
    let _daemon = Dockerd::start(&lab, config, &flags);
    let report = harden.run(&["apply", "--yes", "--skip", "daemon-iptables-enabled"]).report(0);
    assert_eq!(report.activations(), ["docker-reload"]);
    let report = harden.run(&["check", "--skip", "daemon-iptables-enabled"]).report(0);
    assert_eq!(report.with_status("drift"), [""; 0]);
}

#[test]
fn a_key_that_was_taken_out_is_in_force_until_the_restart() {
    let lab = Lab::new();
    let harden = Bare::new(&lab);
    let _daemon = Dockerd::start(&lab, r#"{"bridge": "none", "iptables": false, "cgroup-parent": "/x"}"#, &[]);
    let taken_out = ["daemon-iptables-enabled iptables", "daemon-cgroup-parent-default cgroup-parent"];
    let report = harden.run(&["apply", "--yes", "-b", "cis-l2"]).report(0);
    for finding in taken_out {
        by_hand(&report, finding);
    }
    let drift = harden.run(&["check", "-b", "cis-l2"]).report(2).with_status("drift");
    assert!(taken_out.iter().all(|finding| drift.iter().any(|other| other == finding)), "{drift:?}");
    let shown = report.finding("daemon-iptables-enabled", "iptables");
    assert_eq!(shown["observed"], "true; the running dockerd has not read that yet");
}

/// A file that is put back gets its old time: when dockerd read it, that does not say.
#[test]
fn a_file_that_is_put_back_is_not_taken_for_read() {
    let lab = Lab::new();
    let (socket, state) = (format!("unix://{}", lab.dir().join("docker.sock").display()), path(&lab.dir().join("state")));
    let run = |command: &[&str], only: &str| {
        harden(&[command, &["--docker-host", &socket, "--state-dir", &state, "--only", only, "--format", "json"]].concat())
    };
    const LEVEL: &str = "daemon-log-level-info";
    let log_level = |report: &Report| {
        let finding = report.finding(LEVEL, "log-level");
        format!("{} {}", text(&finding["status"]), text(&finding["observed"]))
    };
    let daemon = Dockerd::start(&lab, r#"{"log-level": "debug"}"#, &NO_NETWORK);
    let modified =
        || fs::metadata(lab.config()).map(|metadata| (metadata.mtime(), metadata.mtime_nsec())).expect("daemon.json");
    let old = modified();
    run(&["apply", "--yes"], LEVEL).report(0);
    let new = modified();
    let rollback = run(&["rollback", "--yes"], LEVEL).report(0);
    assert_eq!(modified(), old, "put back, with its time");
    // The dockerd of before has what it says.
    assert_eq!(log_level(&run(&["check"], LEVEL).report(2)), "drift debug");
    drop(daemon);
    let daemon = Dockerd::start_as_is(&lab, &NO_NETWORK);
    run(&["rollback", "--yes", text(&rollback.0["transaction"])], LEVEL).report(0);
    assert_eq!(modified(), new, "put back once more, with a time from before this dockerd");
    let check = run(&["check"], LEVEL).report(2);
    assert_eq!(log_level(&check), "drift info; the running dockerd has not read that yet");
    drop(daemon);
    let daemon = Dockerd::start_as_is(&lab, &NO_NETWORK);
    assert_eq!(log_level(&run(&["check"], LEVEL).report(0)), "compliant info");
    // A chmod since: by hand nobody knows, by harden it is on record.
    let chmod =
        |mode: u32| fs::set_permissions(lab.config(), std::os::unix::fs::PermissionsExt::from_mode(mode)).expect("chmod");
    chmod(0o666);
    assert_eq!(log_level(&run(&["check"], LEVEL).report(0)), "unknown info");
    drop(daemon);
    let _daemon = Dockerd::start_as_is(&lab, &NO_NETWORK);
    run(&["apply", "--yes"], "file-daemon-json-mode").report(0);
    assert_eq!(log_level(&run(&["check"], LEVEL).report(0)), "compliant info");
}

#[test]
fn flags_are_named_and_nothing_is_written_for_them() {
    let lab = Lab::new();
    let harden = Bare::new(&lab);
    let flags = ["--log-level", "debug", "--icc=true"];
    let daemon = Dockerd::start(&lab, "{}", &flags);
    let report = harden.run(&["apply", "--yes", "-b", "cis-l1", "--max-risk", "disruptive"]).report(0);
    for (finding, flag) in [("daemon-log-level-info log-level", "--log-level debug"), ("daemon-icc-disabled icc", "--icc=true")]
    {
        let expected = format!("it is given by the flag {flag}; change or take away that flag where dockerd is started");
        assert_eq!(by_hand(&report, finding), expected);
    }
    let after = read(&lab.config());
    assert_eq!((after.get("log-level"), after.get("icc")), (None, None), "{after:?}");
    assert_eq!(after["live-restore"], true);
    drop(daemon);
    Dockerd::start_as_is(&lab, &flags);
}

#[test]
fn a_relative_config_file_is_not_taken_for_the_default_one() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &["--config-file", "daemon.json", "--bridge=none", "--iptables=false"]);
    let report = Bare::new(&lab).run(&["apply", "--yes"]).report(0);
    assert_eq!(report.changes(), [""; 0]);
    let finding = report.finding("daemon-live-restore", "live-restore");
    assert_eq!(finding["status"], "unknown");
    assert_eq!(
        finding["fix"]["reason"],
        "dockerd's configuration can't be told: dockerd was started with the relative path --config-file daemon.json; give it an \
         absolute one"
    );
    assert_eq!(daemon.engine().ask().api.known().and_then(|api| api.live_restore), Some(false));
}

#[test]
fn a_file_that_conflicts_with_a_flag_is_left_alone() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let conflict = r#"{"iptables": false}"#;
    fs::write(lab.config(), conflict).expect("daemon.json");
    let report = Bare::new(&lab).run(&["apply", "--yes"]).report(1);
    let expected = format!(
        "dockerd would still refuse {}: `iptables` is also given as a flag; take one of them away first; nothing was changed",
        lab.config().display()
    );
    let said = text(&report.0["msg"]);
    assert!(said.contains(&expected), "{said}");
    assert_eq!(fs::read_to_string(lab.config()).expect("daemon.json"), conflict);
    assert_eq!(daemon.engine().ask().api.known().and_then(|api| api.live_restore), Some(false));
}

#[test]
fn what_dockerd_refuses_at_the_reload_goes_back() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    // Neither harden nor `dockerd --validate` sees what is wrong with this mirror.
    let edited = r#"{"registry-mirrors": ["https://mirror.example:port"], "debug": false}"#;
    fs::write(lab.config(), edited).expect("daemon.json");
    let report = Bare::new(&lab).run(&["apply", "--yes"]).report(1);
    let said = text(&report.0["msg"]);
    assert!(said.contains("10 s after the reload, dockerd still does not have live-restore: true"), "{said}");
    assert!(said.contains("everything was put back"), "{said}");
    assert_eq!(fs::read_to_string(lab.config()).expect("daemon.json"), edited);
    assert_eq!(daemon.engine().ask().api.known().and_then(|api| api.live_restore), Some(false));
    assert!(daemon.log().contains("invalid mirror"), "{}", daemon.log());
}

/// An authorization plugin that allows everything; gone with this value.
struct Plugin {
    name: String,
    socket: PathBuf,
}

impl Plugin {
    fn start() -> Plugin {
        let name = format!("harden-lab-{}", std::process::id());
        let socket = Path::new("/run/docker/plugins").join(&name).with_extension("sock");
        fs::create_dir_all(socket.parent().expect("a folder")).expect("the folder of plugins");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).expect("the plugin's socket");
        std::thread::spawn(move || listener.incoming().flatten().for_each(Plugin::answer));
        Plugin { name, socket }
    }

    fn answer(stream: UnixStream) {
        let mut reader = BufReader::new(&stream);
        let (mut line, mut length, mut target) = (String::new(), 0, String::new());
        while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
            if target.is_empty() {
                target.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            line.clear();
        }
        let _ = reader.read_exact(&mut vec![0; length]);
        let body = if target.contains("/Plugin.Activate") { r#"{"Implements": ["authz"]}"# } else { r#"{"Allow": true}"# };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let _ = (&stream).write_all(format!("{head}{body}").as_bytes());
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

#[test]
fn a_reload_never_switches_authorization_off() {
    let lab = Lab::new();
    let plugin = Plugin::start();
    let (socket, state, plan) = (
        format!("unix://{}", lab.dir().join("docker.sock").display()),
        path(&lab.dir().join("state")),
        path(&lab.dir().join("plan.json")),
    );
    let common = ["--docker-host", &socket, "--state-dir", &state, "--format", "json"];
    let unguarded = Dockerd::start(&lab, "{}", &NO_NETWORK);
    harden(&[&["plan", "--only", "daemon-live-restore", "-o", &plan], &common[..]].concat()).ends_with(2);
    drop(unguarded);

    // By flag, since the plan was made.
    let by_flag = [&NO_NETWORK[..], &["--authorization-plugin", &plugin.name]].concat();
    let daemon = Dockerd::start(&lab, "{}", &by_flag);
    let report = harden(&[&["apply", &plan, "--yes"], &common[..]].concat()).report(1);
    let said = text(&report.0["msg"]);
    assert!(said.starts_with("the plan is no longer right: it says \"SIGHUP to dockerd"), "{said}");
    assert!(!daemon.log().contains("Got signal to reload"), "{}", daemon.log());
    drop(daemon);

    // In the file when dockerd started, and taken out since.
    let file = format!("{{\"authorization-plugins\": [\"{}\"]}}", plugin.name);
    let daemon = Dockerd::start(&lab, &file, &NO_NETWORK);
    fs::write(lab.config(), "{}").expect("daemon.json");
    let report = harden(&[&["apply", "--yes", "--only", "daemon-live-restore"], &common[..]].concat()).report(1);
    let said = text(&report.0["msg"]);
    assert!(said.starts_with("dockerd was not told to reload: `authorization-plugins` in "), "{said}");
    assert!(said.contains("or switch authorization off; everything was put back\n  help: restart dockerd yourself"), "{said}");
    assert_eq!(fs::read_to_string(lab.config()).expect("daemon.json"), "{}");
    assert!(!daemon.log().contains("Got signal to reload"), "{}", daemon.log());

    // As it was when dockerd started, a reload keeps it.
    drop(daemon);
    let daemon = Dockerd::start(&lab, &file, &NO_NETWORK);
    harden(&[&["apply", "--yes", "--only", "daemon-live-restore"], &common[..]].concat()).report(0);
    assert!(daemon.log().contains("Got signal to reload"), "{}", daemon.log());
    assert_eq!(daemon.docker(&["info", "--format", "{{.Plugins.Authorization}}"]), format!("[{}]", plugin.name));
}

#[test]
fn without_br_netfilter_its_keys_are_withheld() {
    let lab = Lab::new();
    let _daemon = Dockerd::start(&lab, "{}", &[]);
    // Where the kernel has it, it is out of sight: in a mount namespace of harden's own.
    let hide = "for dir in /proc/sys/net/bridge /sys/module/br_netfilter; do \
                [ ! -d $dir ] || mount -t tmpfs none $dir; done; [ ! -d /sys/module/br_netfilter ] && exec \"$@\"";
    let socket = format!("unix://{}", lab.dir().join("docker.sock").display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", hide, "sh", BINARY, "check", "-b", "cis-l1", "--max-risk", "disruptive"]);
    command.args(["--format", "json", "--docker-host", &socket]);
    let report = Run::of(command.args(["--only", "daemon-icc*", "--only", "daemon-userland*"])).report(2);
    for (control, key) in need_br_netfilter() {
        assert_eq!(
            by_hand(&report, &format!("{control} {key}")),
            format!(
                "dockerd would not start then: `{key}` is false, which takes the kernel module br_netfilter, and that is not loaded; \
                 load it (`modprobe br_netfilter`, and a line in /etc/modules-load.d), then run harden again"
            )
        );
    }
    let others = NEED_BR_NETFILTER.len() - need_br_netfilter().len();
    assert_eq!(report.changes().len(), others, "an older engine starts without the proxy");
}

#[test]
fn iptables_is_not_switched_on_where_dockerd_does_not_find_it() {
    let lab = Lab::new();
    let without = lab.path_without(&["iptables", "ip6tables", "xtables"]);
    let off = "{\"iptables\": false}\n";
    let said = Dockerd::refuses_with_path(&lab, "{}", &[], &without);
    assert!(said.contains("ptables not found"), "{said}");
    fs::write(lab.config(), off).expect("daemon.json");
    let daemon = Dockerd::start_with_path(&lab, &[], &without);
    let report = Bare::new(&lab).run(&["apply", "--yes", "--max-risk", "disruptive"]).report(0);
    assert_eq!(
        by_hand(&report, "daemon-iptables-enabled iptables"),
        "dockerd would not start then: dockerd filters packets with the program iptables, which no directory of its PATH has; install \
         iptables, then run harden again"
    );
    let after = read(&lab.config());
    assert_eq!((&after["iptables"], &after["live-restore"]), (&json!(false), &json!(true)), "all else is done");
    drop(daemon);
    Dockerd::start_with_path(&lab, &[], &without);
}

/// Files with which dockerd, or its containers, would not start again: how finding and refusal name it, and what the engine says.
const NEXT_START: [(&str, &str, &str, &str); 3] = [
    (
        r#"{"debug": true, "group": "no-such-group"}"#,
        "`group` is no-such-group, and there is no such group",
        "dockerd would still refuse",
        "group no-such-group not found",
    ),
    (
        r#"{"debug": true, "default-ulimits": {"nofile": {"Name": "nofile", "Soft": -1, "Hard": -1}}}"#,
        "`default-ulimits.nofile` is above /proc/sys/fs/nr_open of this kernel",
        "containers would still fail with",
        "operation not permitted",
    ),
    (
        r#"{"debug": true, "log-opts": {"max-size": "10x"}}"#,
        "`log-opts.max-size` is no size above 0, like \"10m\"",
        "containers would still fail with",
        "invalid size",
    ),
];

#[test]
fn what_the_next_start_would_fail_over_is_found_and_not_built_upon() {
    let lab = Lab::new();
    for (text, what, refusal, engine) in NEXT_START {
        // It is what harden says it is.
        let said = match refusal.starts_with("dockerd") {
            true => Dockerd::refuses(&lab, text, &NO_NETWORK),
            false => Dockerd::start(&lab, text, &NO_NETWORK).container_error(),
        };
        assert!(said.contains(engine), "{said}");
        let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
        fs::write(lab.config(), text).expect("daemon.json");
        let harden = Bare::new(&lab);
        let report = harden.run(&["check", "--only", "daemon-config-valid"]).report(2);
        let finding = &report.0["findings"][0];
        assert!(text_of(finding, "target").starts_with(&format!("{}:1:", lab.config().display())), "{finding:#}");
        assert!(text_of(finding, "observed").starts_with(&format!("wrong: {what}")), "{finding:#}");
        let report = harden.run(&["apply", "--yes", "--only", "daemon-debug-disabled"]).report(1);
        let said = text_of(&report.0, "msg");
        assert!(said.contains(&format!("{refusal} {}: {what}", lab.config().display())), "{said}");
        assert_eq!(fs::read_to_string(lab.config()).expect("daemon.json"), text);
        drop(daemon);
    }
}

fn text_of<'v>(value: &'v Value, member: &str) -> &'v str {
    text(&value[member])
}

#[test]
fn what_somebody_edited_is_not_taken_into_force_by_the_way() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let driver = daemon.docker(&["info", "--format", "{{.Driver}}"]);
    assert_ne!(driver, "vfs");
    fs::write(lab.config(), r#"{"storage-driver": "vfs"}"#).expect("daemon.json");
    let only = ["apply", "--yes", "--only", "daemon-live-restore", "--only", "daemon-log-rotation"];
    let report = Bare::new(&lab).run(&only).report(0);
    assert_eq!(report.activations(), ["docker-reload"]);
    let takes =
        format!("takes into force storage-driver: vfs, edited since dockerd started: images and containers of {driver} vanish");
    assert_eq!(
        by_hand(&report, "daemon-log-rotation log-opts.max-size"),
        format!("its fix is disruptive: restarting dockerd also {takes}; allow it with --max-risk disruptive")
    );
    let after = read(&lab.config());
    assert_eq!((after.get("log-opts"), &after["live-restore"]), (None, &json!(true)));
    let report = Bare::new(&lab).run(&["plan", "--max-risk", "disruptive", "--only", "daemon-log-rotation"]).report(2);
    assert_eq!(report.0["activations"][0]["reason"], format!("restarts dockerd; no container is running; also {takes}"));
    assert_eq!(daemon.docker(&["info", "--format", "{{.Driver}}"]), driver);
}

/// Keys of engine 20.10 with values that it starts with here, alone.
const VALUES: &[(&str, &[&str])] = &[
    ("debug", &["true", "false"]),
    ("log-level", &[r#""debug""#, r#""info""#, r#""warn""#, r#""error""#, r#""fatal""#]),
    ("icc", &["true", "false"]),
    ("iptables", &["true", "false"]),
    ("ip6tables", &["false"]),
    ("ip-forward", &["true", "false"]),
    ("ip-masq", &["true", "false"]),
    ("ipv6", &["false"]),
    ("userland-proxy", &["true", "false"]),
    ("live-restore", &["true", "false"]),
    ("experimental", &["true", "false"]),
    ("no-new-privileges", &["true", "false"]),
    ("selinux-enabled", &["false"]),
    ("init", &["true", "false"]),
    ("raw-logs", &["true", "false"]),
    ("labels", &["[]", r#"["a=b", "c=d"]"#]),
    ("dns", &[r#"["10.0.0.2"]"#]),
    ("dns-opts", &[r#"["timeout:3"]"#]),
    ("dns-search", &[r#"["example.org"]"#]),
    ("insecure-registries", &["[]", r#"["reg.example:5000"]"#, r#"["10.1.0.0/16", "127.0.0.0/8", "reg.example"]"#]),
    ("registry-mirrors", &[r#"["https://mirror.example"]"#, r#"["http://localhost:5000"]"#]),
    ("log-driver", &[r#""json-file""#, r#""local""#, r#""none""#, r#""journald""#]),
    ("log-opts", &["{}", r#"{"max-size": "1m"}"#, r#"{"max-size": "1m", "max-file": "1"}"#]),
    ("mtu", &["1400"]),
    ("shutdown-timeout", &["5"]),
    ("max-concurrent-downloads", &["1"]),
    ("max-concurrent-uploads", &["1"]),
    ("max-download-attempts", &["2"]),
    ("default-shm-size", &[r#""64M""#]),
    ("default-ipc-mode", &[r#""private""#, r#""shareable""#]),
    ("default-cgroupns-mode", &[r#""private""#, r#""host""#]),
    ("default-ulimits", &[r#"{"nofile": {"Name": "nofile", "Hard": 1024, "Soft": 512}}"#]),
    ("default-address-pools", &[r#"[{"base": "10.201.0.0/16", "size": 24}]"#]),
    ("bip", &[r#""10.99.0.1/24""#]),
    ("storage-driver", &[r#""overlay2""#, r#""vfs""#]),
    ("storage-opts", &["[]"]),
    ("cgroup-parent", &[r#""/docker""#]),
    ("exec-opts", &[r#"["native.cgroupdriver=cgroupfs"]"#]),
    ("runtimes", &[r#"{"other": {"path": "/usr/sbin/runc"}}"#]),
    ("default-runtime", &[r#""runc""#]),
    ("features", &[r#"{"buildkit": true}"#]),
    ("builder", &[r#"{"gc": {"enabled": true, "defaultKeepStorage": "10GB"}}"#]),
    ("metrics-addr", &[r#""0.0.0.0:9323""#]),
    ("allow-nondistributable-artifacts", &[r#"["reg.example"]"#]),
    ("network-control-plane-mtu", &["1400"]),
    ("swarm-default-advertise-addr", &[r#""10.0.0.1""#]),
    ("ip", &[r#""127.0.0.1""#]),
    ("host-gateway-ip", &[r#""10.99.0.1""#]),
    ("group", &[r#""root""#]),
    ("containerd-namespace", &[r#""other""#]),
    ("deprecated-key-path", &[r#""/tmp/harden-lab-key.json""#]),
];

/// A sequence of numbers that is the same on every run (a 64-bit LCG with Knuth's constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// An image tree with a daemon.json of a random choice of keys.
fn random_tree(tree: &Path, number: u64) -> PathBuf {
    let mut numbers = Numbers(number);
    let chosen = VALUES.iter().filter_map(|(key, values)| {
        let value = values[numbers.below(values.len())];
        (numbers.below(10) < 3).then(|| format!("  \"{key}\": {value}"))
    });
    let mut chosen: Vec<String> = chosen.collect();
    // Options of one log driver stop dockerd, or its containers, with another.
    if chosen.iter().any(|line| line.contains("\"log-driver\"") && !line.contains("json-file")) {
        chosen.retain(|line| !line.contains("\"log-opts\""));
    }
    let content = format!("{{\n{}\n}}\n", chosen.join(",\n"));
    let file = tree.join("etc/docker/daemon.json");
    fs::create_dir_all(file.parent().expect("a folder")).expect("the tree");
    fs::write(&file, content).expect("daemon.json");
    file
}

/// Hardens the tree's daemon.json by the number's baseline; a second time finds nothing more to do.
fn hardened(tree: &Path, file: &Path, number: u64) {
    let before = read(file);
    let (root, version) = (path(tree), installed());
    let baseline = BASELINES[number as usize % BASELINES.len()];
    let mut common =
        vec!["--root", &root, "--docker-version", &version, "-b", baseline, "--only", "daemon-*", "--format", "json"];
    common.extend(["--max-risk", "disruptive"]);
    common.extend(possible_here());
    let apply = |common: &[&str]| harden(&[&["apply", "--yes"], common].concat());
    let report = apply(&common).report(0);
    assert!(report.changes().iter().all(|target| target.ends_with("/etc/docker/daemon.json")), "{:?}", report.changes());
    let after = read(file);
    // Keys that no control speaks of stay as they were.
    let touched: BTreeMap<&String, &Value> = after.iter().filter(|(key, value)| before.get(*key) != Some(value)).collect();
    let known = [
        "debug",
        "icc",
        "insecure-registries",
        "live-restore",
        "log-level",
        "log-opts",
        "no-new-privileges",
        "userland-proxy",
        "experimental",
    ];
    assert!(touched.keys().all(|key| known.contains(&key.as_str())), "{number}: {touched:?}");
    let gone: Vec<&String> = before.keys().filter(|key| !after.contains_key(*key)).collect();
    assert!(gone.iter().all(|key| ["iptables", "ip6tables", "cgroup-parent"].contains(&key.as_str())), "{number}: {gone:?}");
    if before.get("iptables") == Some(&json!(false)) {
        // Keys that need iptables follow once it is on.
        apply(&common).report(0);
    }
    let again = apply(&common).report(0);
    assert_eq!((&again.0["changes"], &again.0["changed"]), (&json!([]), &json!(false)), "{number}");
}

#[test]
fn dockerd_starts_with_every_file_that_was_hardened() {
    let lab = Lab::new();
    for number in 0..40 {
        let tree = lab.dir().join("tree");
        let file = random_tree(&tree, number);
        let original = fs::read_to_string(&file).expect("daemon.json");
        hardened(&tree, &file, number);
        assert_acceptable(&file);
        let content = fs::read_to_string(&file).expect("daemon.json");
        println!("{number}: {original}became {content}");
        Dockerd::start(&lab, &content, &[]);
    }
}

#[test]
fn an_unprivileged_dockerd_accepts_every_file_that_was_hardened() {
    let lab = Lab::new();
    let tree = lab.dir().join("tree");
    for number in 1000..1150 {
        let file = random_tree(&tree, number);
        hardened(&tree, &file, number);
        assert_acceptable(&file);
    }
    // It can say no.
    let refused = lab.dir().join("refused.json");
    fs::write(&refused, r#"{"live_restore": true}"#).expect("a file");
    let said = unprivileged(&refused, &[]);
    assert!(said.contains("unable to configure the Docker daemon with file"), "{said}");
}
