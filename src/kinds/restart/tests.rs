//! A dockerd that has what its file says; then somebody edits one key, and that is named.

use super::*;
use crate::fact::{Content, FileFact, FileKind, ProcessFact, UnitFacts};

const CONFIG: &str = "/etc/docker/daemon.json";
const UNIT: &str = "/usr/lib/systemd/system/docker.service";
const STARTED: i64 = 1_000;

fn file(path: &str, content: &str) -> Fact<FileFact> {
    Fact::Known(FileFact {
        real_path: path.into(),
        kind: FileKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        nlink: 1,
        dev: 1,
        ino: path.len() as u64,
        mtime_ns: STARTED + 1,

        ctime_ns: None,
        sealed: None,
        size: 0,
        acl: Vec::new(),
        content: Some(Content(content.into())),
    })
}

/// A dockerd without containers, and a file that was edited since it started.
fn host(daemon_json: &str) -> Facts {
    let mut facts = Facts::default();
    facts.host.live = true;
    facts.daemon.version = Fact::Known("28.5.2".into());
    facts.daemon.config_file = CONFIG.into();
    facts.daemon.config_at_start = Fact::Absent;
    facts.daemon.process = Fact::Known(ProcessFact {
        pid: 7,
        exe: "/usr/bin/dockerd".into(),
        argv: ["/usr/bin/dockerd", "-H", "fd://"].map(Into::into).into(),
        started_ns: STARTED,
        service: Some(SERVICE.into()),
    });
    facts.daemon.api = Fact::Known(ApiFacts {
        live_restore: Some(false),
        security_options: Some(vec!["name=seccomp,profile=builtin".into(), "name=cgroupns".into()]),
        storage_driver: Some("overlay2".into()),
        data_root: Some("/var/lib/docker".into()),
        containers_running: Some(0),
        cgroup_driver: Some("systemd".into()),
        snapshotter: Some(false),
        ..ApiFacts::default()
    });
    facts.files.insert(CONFIG.into(), file(CONFIG, daemon_json));
    facts.files.insert(UNIT.into(), file(UNIT, "[Service]\nExecStart=/usr/bin/dockerd -H fd://\n"));
    let unit = UnitFacts { fragment: UNIT.into(), ..UnitFacts::default() };
    facts.units.insert(SERVICE.into(), Fact::Known(unit));
    facts
}

fn api(facts: &mut Facts) -> &mut ApiFacts {
    match &mut facts.daemon.api {
        Fact::Known(api) => api,
        other => panic!("{other:?}"),
    }
}

fn restart(facts: &Facts, survive: bool) -> Restart {
    Restart::of(facts, &Effective::of(facts), survive)
}

fn found(facts: &Facts) -> Vec<String> {
    restart(facts, false).pending
}

#[test]
fn edits_that_the_api_does_not_show_in_force() {
    for (text, expected) in [
        ("{}", vec![]),
        (r#"{"data-root": "/var/lib/docker/", "storage-driver": "overlay2", "log-level": "debug"}"#, vec![]),
        (r#"{"exec-opts": ["native.cgroupdriver=systemd"], "features": {"containerd-snapshotter": false}}"#, vec![]),
        (
            r#"{"data-root": "/srv/docker"}"#,
            vec![
                "data-root: /srv/docker, edited since dockerd started: images, containers and volumes of /var/lib/docker vanish",
            ],
        ),
        (
            r#"{"storage-driver": "vfs"}"#,
            vec!["storage-driver: vfs, edited since dockerd started: images and containers of overlay2 vanish"],
        ),
        (
            r#"{"userns-remap": "default"}"#,
            vec!["userns-remap: default, edited since dockerd started: images, containers and volumes vanish"],
        ),
        (
            r#"{"features": {"containerd-snapshotter": true}}"#,
            vec![r#"features: {"containerd-snapshotter":true}, edited since dockerd started: images and containers vanish"#],
        ),
        (
            r#"{"exec-opts": ["native.cgroupdriver=cgroupfs"]}"#,
            vec![
                r#"exec-opts: ["native.cgroupdriver=cgroupfs"], edited since dockerd started: containers and a kubelet may still count on systemd"#,
            ],
        ),
        // Nobody can say whether this is new.
        (r#"{"bip": "10.9.0.1/24"}"#, vec![]),
    ] {
        assert_eq!(found(&host(text)), expected, "{text}");
    }
    // Written by others as by nobody: without a dockerd nothing is pending.
    let mut facts = host(r#"{"data-root": "/srv/docker"}"#);
    facts.daemon.process = Fact::Absent;
    assert_eq!(found(&facts), [""; 0]);
    assert_eq!(restart(&facts, false).risk(), Risk::Restart);
}

#[test]
fn one_directory_under_two_names() {
    let mut facts = host(r#"{"data-root": "/srv/docker"}"#);
    facts.files.insert("/srv/docker".into(), file("/disk", ""));
    facts.files.insert("/var/lib/docker".into(), file("/disk", ""));
    assert_eq!(found(&facts), [""; 0]);
    facts.files.insert("/var/lib/docker".into(), file("/another", ""));
    assert_eq!(found(&facts).len(), 1);
}

#[test]
fn user_namespaces() {
    let mut facts = host(r#"{"userns-remap": "default"}"#);
    api(&mut facts).security_options = Some(vec!["name=userns".into()]);
    api(&mut facts).data_root = Some("/var/lib/docker/100000.100000".into());
    assert_eq!(found(&facts), [""; 0]);
    // Another account, by harden's own record of what the file said.
    facts.daemon.config_at_start = Fact::Known(Content(br#"{"userns-remap": "box"}"#.to_vec()));
    assert_eq!(found(&facts), ["userns-remap: default, edited since dockerd started: images, containers and volumes vanish"]);
    // It was taken out.
    facts.daemon.config_at_start = Fact::Absent;
    facts.files.insert(CONFIG.into(), file(CONFIG, "{}"));
    assert_eq!(found(&facts), ["userns-remap: not set, edited since dockerd started: images, containers and volumes vanish"]);
    // A directory of that name, without a namespace.
    let mut facts = host(r#"{"data-root": "/srv/1.2"}"#);
    api(&mut facts).data_root = Some("/srv/1.2".into());
    assert_eq!(found(&facts), [""; 0]);
}

#[test]
fn keys_that_only_a_record_tells() {
    let mut facts = host(r#"{"bip": "10.9.0.1/24", "log-level": "info"}"#);
    facts.daemon.config_at_start = Fact::Known(Content(br#"{"bip": "10.8.0.1/24"}"#.to_vec()));
    assert_eq!(
        found(&facts),
        ["bip: 10.9.0.1/24, edited since dockerd started: containers on the default bridge get other addresses"]
    );
    facts.daemon.config_at_start = Fact::Known(Content(br#"{"bip": "10.9.0.1/24"}"#.to_vec()));
    assert_eq!(found(&facts), [""; 0]);
}

#[test]
fn flags_of_the_unit_that_the_process_has_not() {
    let mut facts = host("{}");
    let unit = "[Service]\nExecStart=/usr/bin/dockerd -H tcp://0.0.0.0:2375 --data-root /srv\n";
    facts.files.insert(UNIT.into(), file(UNIT, unit));
    if let Some(Fact::Known(config)) = facts.files.get_mut(CONFIG) {
        config.mtime_ns = STARTED - 1;
    }
    assert_eq!(
        found(&facts),
        [
            "data-root: /srv, by the flag --data-root /srv in /usr/lib/systemd/system/docker.service:2, which the running dockerd has \
             not: images, containers and volumes of /var/lib/docker vanish",
            r#"hosts: ["tcp://0.0.0.0:2375"], by the flag -H tcp://0.0.0.0:2375 in /usr/lib/systemd/system/docker.service:2, which the running dockerd has not: clients of the old addresses can't connect"#,
        ]
    );
    // A dockerd that was started by hand starts again by hand.
    if let Fact::Known(process) = &mut facts.daemon.process {
        process.service = None;
    }
    assert_eq!(found(&facts), [""; 0]);
}

#[test]
fn what_a_restart_means_in_words() {
    let told = |facts: &Facts, survive: bool| {
        let restart = restart(facts, survive);
        (restart.risk(), restart.describe(), restart.why())
    };
    let mut facts = host("{}");
    assert_eq!(told(&facts, false), (Risk::Restart, "restarts dockerd; no container is running".into(), None));
    api(&mut facts).containers_running = Some(1);
    let lives = "restarts dockerd; 1 container running and keep running by live-restore";
    assert_eq!(told(&facts, true), (Risk::Restart, lives.into(), None));
    let stops = "stops 1 container: live-restore is off";
    let expected = (Risk::Disruptive, format!("restarts dockerd, which {stops}"), Some(format!("restarting dockerd {stops}")));
    assert_eq!(told(&facts, false), expected);
    // On, and off in the file.
    api(&mut facts).live_restore = Some(true);
    assert_eq!(
        told(&facts, false).2.unwrap(),
        "restarting dockerd stops 1 container: live-restore is switched off in /etc/docker/daemon.json"
    );
    // With an edit of another's.
    facts.files.insert(CONFIG.into(), file(CONFIG, r#"{"storage-driver": "vfs"}"#));
    let takes = "takes into force storage-driver: vfs, edited since dockerd started: images and containers of overlay2 vanish";
    assert_eq!(
        told(&facts, true),
        (Risk::Disruptive, format!("{lives}; also {takes}"), Some(format!("restarting dockerd also {takes}")))
    );
    assert_eq!(
        told(&facts, false).2.unwrap(),
        format!("restarting dockerd stops 1 container: live-restore is switched off in {CONFIG}; it also {takes}")
    );
}
