//! `harden generate`: for every baseline and every engine, what dockerd would take, and nothing that it would not.

mod common;

use common::{BASELINES, Tree, harden, json};
use harden::formats::daemon_json::Document;
use harden::formats::{daemon_keys, daemon_lint};
use serde_json::Value;

/// `None`: the engine is not known, so only what all engines take may be written.
const VERSIONS: [Option<&str>; 9] = [
    Some("20.10.24"),
    Some("23.0"),
    Some("24.0.9"),
    Some("25.0"),
    Some("26.1.5"),
    Some("27.5"),
    Some("28.5.2"),
    Some("29.7.2"),
    None,
];

/// Files to fold the baseline into, from good to strange, all of which can be read.
const EXISTING: [&str; 9] = [
    "{}",
    "",
    "{\n}\n",
    "{\n\t\"data-root\" : \"/srv\",\r\n\t\"debug\":true\r\n}",
    "{\"log-opts\":{\"tag\":\"{{.Name}}\",\"max-file\":\"1\"},\"mtu\":1500}",
    "{\n    \"insecure-registries\": [\"r:5000\", \"localhost:5000\"],\n    \"labels\": [\"a=\\u00e9\"]\n}\n",
    "{\"iptables\": false, \"ip6tables\": false, \"live-restore\": false, \"icc\": true}",
    "{ \"seccomp-profile\": \"unconfined\", \"log-level\": \"debug\", \"experimental\": true }\n\n",
    "{\"log-driver\": \"journald\", \"userland-proxy\": true, \"storage-driver\": \"overlay2\"}",
];

fn generate(args: &[&str], version: Option<&str>) -> common::Ran {
    let version: Vec<&str> = version.into_iter().flat_map(|version| ["--docker-version", version]).collect();
    harden(&[&["generate"], args, &version].concat())
}

#[test]
fn a_daemon_json_is_one_that_this_engine_takes() {
    for baseline in BASELINES {
        for version in VERSIONS {
            let ran = generate(&["daemon.json", "-b", baseline], version).expect(0);
            let what = format!("{baseline} for {version:?}: {ran}");
            takes(&ran.out, version, &what);
            let keys: Vec<String> = json::members(&ran.out).unwrap().into_iter().map(|(name, _)| name).collect();
            assert!(keys.contains(&"live-restore".to_owned()), "{what}");
            // Made from nothing is the same as folded into an empty one.
            let tree = Tree::empty();
            tree.file("/empty", "{}\n", 0o644).file("/own", &ran.out, 0o644);
            let merge = |file: &str| {
                let file = tree.at(file);
                generate(&["daemon.json", "-b", baseline, "--merge", file.to_str().unwrap()], version).expect(0).out
            };
            let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            assert_eq!(value(&merge("/empty")), value(&ran.out), "{what}");
            assert_eq!(merge("/own"), ran.out, "{what}");
        }
    }
}

/// Strict JSON without lints, and every key is known to this engine.
#[track_caller]
fn takes(content: &[u8], version: Option<&str>, what: &str) {
    let engine = version.map(|version| daemon_keys::EngineVersion::parse(version).unwrap());
    let members = json::members(content).unwrap_or_else(|error| panic!("{error}: {what}"));
    let document = Document::parse(content).unwrap_or_else(|problems| panic!("{problems:?}: {what}"));
    let lints = daemon_lint::lint(&document, engine);
    assert!(lints.is_empty(), "{lints:?}: {what}");
    for (name, _) in members {
        assert!(daemon_keys::accepted(&name, engine), "`{name}` is not taken: {what}");
    }
}

#[test]
fn folding_in_keeps_the_rest_byte_for_byte() {
    let tree = Tree::empty();
    for baseline in BASELINES {
        for version in [Some("20.10.24"), Some("27.5"), Some("29.7.2"), None] {
            for existing in EXISTING {
                tree.file("/daemon.json", existing, 0o640);
                let file = tree.at("/daemon.json");
                let args = ["daemon.json", "-b", baseline, "--merge", file.to_str().unwrap()];
                let once = generate(&args, version).expect(0);
                let what = format!("{existing:?}, {once}");
                assert_eq!(tree.text("/daemon.json"), existing, "the file itself is not touched: {what}");
                let new = json::members(&once.out).unwrap_or_else(|error| panic!("{error}: {what}"));
                let wanted = generate(&["daemon.json", "-b", baseline], version).expect(0);
                let own: Vec<String> = json::members(&wanted.out).unwrap().into_iter().map(|(name, _)| name).collect();
                let old = if existing.is_empty() { Vec::new() } else { json::members(existing.as_bytes()).unwrap() };
                let judged = |name: &str| own.iter().any(|own| own == name) || JUDGED.contains(&name);
                for (name, value) in &old {
                    let now = new.iter().find(|(other, _)| other == name).map(|(_, value)| value);
                    assert!(now == Some(value) || judged(name), "{name} changed: {what}");
                }
                for (name, _) in new.iter().filter(|(name, _)| !old.iter().any(|(other, _)| other == name)) {
                    assert!(judged(name), "{name} came: {what}");
                }
                tree.file("/daemon.json", &once.out, 0o640);
                assert_eq!(generate(&args, version).expect(0).stdout(), once.stdout(), "{what}");
            }
        }
    }
}

/// Keys that baselines speak of without always writing them.
const JUDGED: [&str; 8] =
    ["insecure-registries", "iptables", "ip6tables", "seccomp-profile", "experimental", "debug", "log-level", "cgroup-parent"];

#[test]
fn what_cannot_be_read_is_not_folded_into() {
    let tree = Tree::empty();
    for (existing, told) in [
        ("{\"debug\": true,}", ":1:15: "),
        ("{\"debug\": true, \"debug\": false}", ":1:17: "),
        ("[]", ":1:1: "),
        ("{\"debug\": \"true\"}", ":1:2: "),
        ("{\"debugg\": true}", "debugg"),
    ] {
        let file = tree.file("/daemon.json", existing, 0o644).at("/daemon.json");
        let ran = generate(&["daemon.json", "--merge", file.to_str().unwrap()], None).expect(1);
        assert!(ran.stderr().contains(told) && ran.stderr().contains("daemon.json"), "{existing}: {ran}");
        assert_eq!(ran.stdout(), "", "half an artifact is none");
    }
    let ran = generate(&["daemon.json", "--merge", "/nowhere"], None).expect(1);
    assert!(ran.stderr().contains("/nowhere"), "{ran}");
    let ran = generate(&["daemon.json", "--docker-version", "new"], None);
    assert!(ran.code == 64 && ran.stderr().contains("new"), "{ran}");
}

#[test]
fn rules_and_drop_ins_are_folded_in_once() {
    let tree = Tree::empty();
    for baseline in BASELINES {
        for artifact in ["audit.rules", "docker-socket.conf"] {
            let fresh = harden(&["generate", artifact, "-b", baseline]).expect(0);
            let file = tree.file("/artifact", &fresh.out, 0o644).at("/artifact");
            let again = harden(&["generate", artifact, "-b", baseline, "--merge", file.to_str().unwrap()]).expect(0);
            assert_eq!(again.stdout(), fresh.stdout(), "{baseline} {artifact}");
            if artifact == "audit.rules" {
                assert!(!fresh.out.is_empty() && fresh.out.ends_with(b"\n"), "{fresh}");
            }
        }
    }
    // `-o` writes what stdout would have got.
    let out = tree.at("/out");
    let ran = harden(&["generate", "audit.rules", "-o", out.to_str().unwrap()]).expect(0);
    assert_eq!(ran.stdout(), "");
    assert_eq!(tree.text("/out"), harden(&["generate", "audit.rules"]).expect(0).stdout());
}

#[test]
fn a_named_docker_service_is_corrected() {
    let tree = Tree::empty();
    let unit = "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --log-level=debug --live-restore=false $OPTIONS\n";
    let file = tree.file("/docker.service", unit, 0o644).at("/docker.service");
    let args = ["docker-service.conf", "-b", "cis-l1", "--merge", file.to_str().unwrap()];
    let ran = generate(&args, None).expect(0);
    assert_eq!(
        ran.stdout(),
        "# Written by harden. Lines added here are kept.\n\n[Service]\n# dockerd's flags, corrected: in place of \
         /usr/lib/systemd/system/docker.service:2, which no longer counts.\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// \
         --log-level=info --live-restore=true $OPTIONS\n"
    );
    assert_eq!(ran.stderr(), "");
    assert_eq!(tree.text("/docker.service"), unit, "the file itself is not touched");

    tree.file("/docker.service", "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n", 0o644);
    let ran = generate(&args, None).expect(0);
    assert_eq!(ran.stdout(), "");
    assert!(
        ran.stderr().contains("docker.service gives dockerd no flag that this baseline speaks of: nothing to correct"),
        "{ran}"
    );
    let ran = generate(&["docker-service.conf"], None).expect(0);
    assert_eq!(ran.stdout(), "");
    assert!(ran.stderr().contains("name the docker.service with --merge FILE"), "{ran}");
    // What can't be corrected is said.
    tree.file("/docker.service", "[Service]\nEnvironment=O=--log-level=debug\nExecStart=/usr/bin/dockerd $O\n", 0o644);
    let ran = generate(&args, None).expect(0);
    assert!(
        ran.stderr().contains("left out daemon-log-level-info: it is given by the flag --log-level=debug; change"),
        "{ran}"
    );
}

/// A port that the flags open, and that this baseline wants verified, is not passed over in silence.
#[test]
fn an_open_port_of_a_named_docker_service_is_told() {
    let tree = Tree::empty();
    let unit = "[Service]\nExecStart=/usr/bin/dockerd -H fd:// -H tcp://0.0.0.0:2375\n";
    let file = tree.file("/docker.service", unit, 0o644).at("/docker.service");
    let ran = generate(&["docker-service.conf", "-b", "cis-l1", "--merge", file.to_str().unwrap()], None).expect(0);
    let said = ran.stderr();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.iter().any(|line| line.contains("left out daemon-tcp-requires-tlsverify: ")), "{ran}");
    assert!(lines.windows(2).all(|pair| pair[0] != pair[1]), "{ran}");
}

#[test]
fn the_docker_service_of_a_tree_is_corrected() {
    let tree = Tree::host();
    let root = tree.at("/");
    let args = ["docker-service.conf", "-b", "cis-l1", "--root", root.to_str().unwrap()];
    let ran = generate(&args, None).expect(0);
    assert!(ran.stdout().is_empty() && ran.stderr().contains("nothing to correct"), "{ran}");
    let unit = "/etc/systemd/system/docker.service";
    tree.file(unit, "[Service]\nExecStart=/usr/bin/dockerd -H fd:// --log-level=debug\n", 0o644);
    let ran = generate(&args, None).expect(0);
    assert!(ran.stdout().ends_with("ExecStart=\nExecStart=/usr/bin/dockerd -H fd:// --log-level=info\n"), "{ran}");
    assert!(ran.stdout().contains("/etc/systemd/system/docker.service:2"), "{ran}");
    // With it in place there is nothing else to say.
    tree.file("/etc/systemd/system/docker.service.d/zz-harden.conf", &ran.out, 0o644);
    assert_eq!(generate(&args, None).expect(0).stdout(), ran.stdout());
    let both = [&args[..], &["--merge", "/x"]].concat();
    assert!(generate(&both, None).expect(64).stderr().contains("leave one of them out"));
}

/// Rules for directories that may not be there when they load are left out: only a host can tell.
const LEFT_OUT: [&str; 3] = ["audit-watch-etc-docker", "audit-watch-daemon-json", "audit-watch-etc-default-docker"];

#[test]
fn what_is_generated_is_what_apply_would_want() {
    for baseline in BASELINES {
        let tree = Tree::host();
        for (artifact, path) in [
            ("daemon.json", "/etc/docker/daemon.json"),
            ("audit.rules", "/etc/audit/rules.d/50-harden-docker.rules"),
            ("docker-socket.conf", "/etc/systemd/system/docker.socket.d/zz-harden.conf"),
            ("sysctl.conf", "/etc/sysctl.d/zz-harden.conf"),
        ] {
            let ran = harden(&["generate", artifact, "-b", baseline]).expect(0);
            tree.file(path, &ran.out, 0o640);
        }
        tree.chmod("/etc/docker", 0o750);
        let (ran, report) = tree.json(&["plan", "-b", baseline, "--max-risk", "disruptive"]);
        let mut changes = report["changes"].as_array().unwrap().iter();
        let expected =
            |change: &Value| change["controls"].as_array().unwrap().iter().all(|c| LEFT_OUT.contains(&c.as_str().unwrap()));
        assert!(changes.all(expected), "{baseline}: {ran}");
    }
}
