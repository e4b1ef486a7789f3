//! Layouts of Docker other than root's own from a package: what is re-rooted, what does not apply, and what is left to the user.

use std::collections::BTreeSet;
use std::path::Path;

use harden::assess::{self, Assessment, Limits};
use harden::baseline::Catalogue;
use harden::baseline::control::{Risk, Want};
use harden::fact::{Fact, Facts, Layout, LayoutFacts, RemoteFacts, RemotePlace, RootlessFacts, UnitFacts};
use harden::finding::{Finding, FixKind, Status};

use crate::live::{api, file, green, process};
use crate::table::{Absent, EVERYTHING, check_absent, judge, observe};
use crate::tree::{CONFIG, Tree};

/// The control that asks for one of them.
pub const ROOTLESS: &str = "daemon-rootless";
const DOCKER_MISSING: &str = "Docker is not installed: no dockerd, no docker.service";

pub const ABSENT: &[Absent] =
    &[Absent { control: ROOTLESS, remove: |tree| tree.remove_docker(), target: "dockerd", reason: DOCKER_MISSING }];

fn set(facts: &mut Facts, kind: Layout, evidence: &str) {
    facts.daemon.layout = LayoutFacts { kind, evidence: evidence.into() };
}

/// The green host, whose daemon is one of user 1000's, with its configuration in that user's home.
fn rootless() -> Facts {
    let mut facts = green();
    let daemon = RootlessFacts {
        uid: 1000,
        gid: 1000,
        elsewhere: None,
        config_home: Some("/home/app/.config".into()),
        data_home: Some("/home/app/.local/share".into()),
        runtime_dir: Some("/run/user/1000".into()),
    };
    set(&mut facts, Layout::Rootless(daemon), "dockerd (process 812) runs as uid 1000");
    process(&mut facts).argv = vec!["dockerd".into()];
    api(&mut facts).data_root = None;
    api(&mut facts).containerd_address = None;
    for (from, to) in [
        (CONFIG, "/home/app/.config/docker/daemon.json"),
        ("/etc/docker", "/home/app/.config/docker"),
        ("/run/docker.sock", "/run/user/1000/docker.sock"),
    ] {
        let mut moved = file(&mut facts, from).clone();
        (moved.uid, moved.gid, moved.real_path) = (1000, 1000, to.into());
        facts.files.insert(to.into(), Fact::Known(moved));
        // Root's own are of another daemon, and as bad as can be.
        let left = file(&mut facts, from);
        (left.mode, left.uid) = (0o777, 4000);
    }
    facts.daemon.config_file = "/home/app/.config/docker/daemon.json".into();
    facts.units.insert("--user docker.service".into(), Fact::Absent);
    facts
}

fn snap() -> Facts {
    let mut facts = green();
    set(&mut facts, Layout::Snap, "dockerd runs from /snap/docker/2963/bin/dockerd");
    let process = process(&mut facts);
    process.exe = "/snap/docker/2963/bin/dockerd".into();
    process.service = Some("snap.docker.dockerd.service".into());
    process.argv = ["dockerd", "--group=docker", "--exec-root=/run/snap.docker", "--config-file=/etc/docker/daemon.json"]
        .map(Into::into)
        .into();
    facts.units.insert(
        "snap.docker.dockerd.service".into(),
        Fact::Known(UnitFacts { fragment: "/etc/systemd/system/snap.docker.dockerd.service".into(), ..UnitFacts::default() }),
    );
    facts
}

fn line(finding: &Finding) -> String {
    let fix = match (&finding.fix.kind, finding.fix.reason.as_deref()) {
        (FixKind::Automatic, _) => "automatic",
        (_, Some(reason)) => reason,
        (_, None) => "",
    };
    format!("{} {:?} {} | {fix}", finding.control, finding.status, finding.target)
}

fn told(facts: &Facts, controls: &[&str]) -> Vec<String> {
    let assessment = judge(facts);
    let of = |control: &&str| assessment.findings.iter().filter(|one| one.control == *control).map(line).collect::<Vec<_>>();
    controls.iter().flat_map(of).collect()
}

/// Judges by `daemon-rootless`, with no reason against it.
fn judge_rootless(facts: &Facts) -> String {
    let mut baseline = EVERYTHING.clone();
    baseline.controls.retain(|control| control.id == ROOTLESS);
    for control in &mut baseline.controls {
        let Want::Rootless(want) = &mut control.want else { panic!("{:?}", control.want) };
        want.unless.clear();
    }
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let Assessment { findings, .. } = assess::assess(&baseline, facts, &limits).unwrap();
    let [finding] = findings.as_slice() else { panic!("{findings:#?}") };
    line(finding)
}

#[test]
fn who_runs_rootless() {
    let podman = |facts: &mut Facts| set(facts, Layout::Podman, "Server: Libpod/4.3.1 (linux)");
    let mut facts = [green(), rootless(), snap(), green(), green(), green()];
    podman(&mut facts[3]);
    set(&mut facts[4], Layout::Desktop, "API /info OperatingSystem is Docker Desktop");
    facts[5].daemon.process = Fact::Unknown("/proc/7/exe: permission denied".into());
    let manual = "daemon-rootless Drift dockerd | a rootless dockerd is another installation with images, volumes and limits of its \
                  own (dockerd-rootless-setuptool.sh install); or say in the variable rootless why root's is wanted here";
    let expected = [
        manual,
        "daemon-rootless Compliant dockerd | dockerd (process 812) runs as uid 1000",
        manual,
        "daemon-rootless NotApplicable dockerd | this is Podman's socket (Server: Libpod/4.3.1 (linux)): there is no dockerd",
        "daemon-rootless NotApplicable dockerd | this is Docker Desktop (API /info OperatingSystem is Docker Desktop): its dockerd is \
         root in a virtual machine of its own",
        "daemon-rootless Unknown dockerd | /proc/7/exe: permission denied",
    ];
    assert_eq!(facts.each_ref().map(judge_rootless), expected);
    assert_eq!(
        told(&facts[0], &[ROOTLESS]),
        ["daemon-rootless NotApplicable dockerd | root's dockerd is wanted here: the tree's dockerd is root's"]
    );
}

/// Whatever root's own files on such a host are like, they are no business of another daemon's.
#[test]
fn podman_desktop_and_daemons_elsewhere_are_not_judged_by_roots_files() {
    let elsewhere = RootlessFacts {
        uid: 1000,
        elsewhere: Some("--docker-host unix:///run/user/1000/docker.sock".into()),
        ..RootlessFacts::default()
    };
    let unreadable = RootlessFacts { uid: 1000, ..RootlessFacts::default() };
    let table = [
        (Layout::Podman, Status::NotApplicable, "this is Podman's socket (seen): Podman has no dockerd, and no daemon.json"),
        (
            Layout::Desktop,
            Status::NotApplicable,
            "this is Docker Desktop (seen): its dockerd runs in a virtual machine of its own, and its settings make that one's files",
        ),
        (
            Layout::Rootless(elsewhere),
            Status::Unknown,
            "the only dockerd here is a rootless one (seen); look at that one with --docker-host unix:///run/user/1000/docker.sock",
        ),
        (
            Layout::Rootless(unreadable),
            Status::Unknown,
            "dockerd is rootless (seen), and its environment can't be read, so where its files are can't be told; run harden as \
             root, or as its user",
        ),
    ];
    for (kind, status, reason) in table {
        let mut facts = green();
        set(&mut facts, kind.clone(), "seen");
        file(&mut facts, CONFIG).mode = 0o666;
        let assessment = judge(&facts);
        let of_docker = |finding: &&Finding| {
            let control = Catalogue::builtin();
            let area = finding.control.split('-').next().unwrap_or_default();
            control.ids().any(|id| id == finding.control)
                && ["daemon", "file", "socket"].contains(&area)
                && finding.control != ROOTLESS
                || finding.control.starts_with("audit-watch-")
        };
        let told: BTreeSet<_> = assessment
            .findings
            .iter()
            .filter(of_docker)
            .map(|finding| (finding.status == status, finding.fix.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [(true, reason)], "{kind:?}");
        assert!(assessment.plan.changes.is_empty(), "{kind:?}: {:#?}", assessment.plan.changes);
    }
}

/// What Podman holds, by its own names, says nothing of Docker.
#[test]
fn podmans_containers_are_not_dockers() {
    let mut facts = green();
    set(&mut facts, Layout::Podman, "seen");
    let reason = "this is Podman's socket (seen): what it holds is Podman's, not Docker's";
    let assessment = judge(&facts);
    let accounts = ["image-content-trust", "image-signing-keys-protected"];
    let of_engine = |control: &str| {
        ["container-", "image-", "swarm-"].iter().any(|area| control.starts_with(area))
            && !accounts.contains(&control)
            && !matches!(Catalogue::builtin().control(control).expect("a control").want, Want::Attest(_))
            || ["host-docker-version-current", "host-data-root-partition", "host-runtime-isolation"].contains(&control)
    };
    let mut asked = 0;
    for finding in assessment.findings.iter().filter(|finding| of_engine(&finding.control)) {
        asked += 1;
        assert_eq!(
            (finding.status, finding.fix.reason.as_deref()),
            (Status::NotApplicable, Some(reason)),
            "{}",
            finding.control
        );
    }
    assert!(asked > 80, "{asked}");
}

/// The green host's files are this machine's, its engine is another one's.
#[test]
fn an_engine_on_the_network_is_judged_by_what_it_says() {
    let places = [
        (RemotePlace::Elsewhere, Status::NotApplicable, "the engine at tcp://h:2376 is another machine's: run harden there"),
        (
            RemotePlace::Behind("ssh (process 7)".into()),
            Status::NotApplicable,
            "the engine at tcp://h:2376 is reached through ssh (process 7), which is no dockerd: run harden where the engine runs",
        ),
        (
            RemotePlace::Untold("/proc/7/fd: permission denied: run as root".into()),
            Status::Unknown,
            "whether the engine at tcp://h:2376 is this machine's can't be told: /proc/7/fd: permission denied: run as root",
        ),
    ];
    for (place, status, reason) in places {
        let mut facts = green();
        set(&mut facts, Layout::Remote(RemoteFacts { url: "tcp://h:2376".into(), place: place.clone() }), "");
        file(&mut facts, CONFIG).mode = 0o666;
        api(&mut facts).security_options = Some(vec!["name=rootless".into()]);
        let assessment = judge(&facts);
        let of_machine = |finding: &&Finding| {
            let told = ["container-", "image-", "swarm-", ROOTLESS];
            let control = EVERYTHING.controls.iter().find(|control| control.id == finding.control);
            let attested = control.is_some_and(|control| matches!(control.want, Want::Attest(_)));
            !attested && !told.iter().any(|area| finding.control.starts_with(area))
        };
        let told: BTreeSet<_> = assessment
            .findings
            .iter()
            .filter(of_machine)
            .map(|finding| (finding.status == status, finding.fix.reason.as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), [(true, reason)], "{place:?}");
        assert!(assessment.plan.changes.is_empty(), "{place:?}: {:#?}", assessment.plan.changes);
        assert_eq!(judge_rootless(&facts), "daemon-rootless Compliant dockerd | API /info SecurityOptions has name=rootless");
        api(&mut facts).security_options = Some(Vec::new());
        assert!(
            judge_rootless(&facts).starts_with("daemon-rootless Drift dockerd | a rootless dockerd is another installation")
        );
    }
}

#[test]
fn a_rootless_daemon_is_judged_in_its_users_home() {
    const CONTROLS: [&str; 10] = [
        "daemon-config-valid",
        "daemon-log-level-info",
        "file-daemon-json-owner",
        "file-daemon-json-mode",
        "file-etc-docker-mode",
        "file-etc-default-docker-mode",
        "file-docker-service-mode",
        "file-docker-socket-unit-mode",
        "socket-docker-owner",
        "socket-docker-unit-settings",
    ];
    let mut facts = rootless();
    let absent = [
        "file-etc-default-docker-mode NotApplicable /etc/default/docker | a rootless dockerd does not read /etc/default/docker",
        "file-docker-service-mode NotApplicable @unit:docker.service | there is no unit --user docker.service",
        "file-docker-socket-unit-mode NotApplicable @unit:docker.socket | a rootless dockerd makes its socket itself, without docker.socket",
    ];
    let socket_unit = "socket-docker-unit-settings NotApplicable docker.socket | a rootless dockerd makes its socket itself, without docker.socket";
    let mut expected = vec![
        "daemon-config-valid Compliant /home/app/.config/docker/daemon.json | ",
        "daemon-log-level-info Compliant log-level | ",
        "file-daemon-json-owner Compliant /home/app/.config/docker/daemon.json | ",
        "file-daemon-json-mode Compliant /home/app/.config/docker/daemon.json | ",
        "file-etc-docker-mode Compliant /home/app/.config/docker | ",
    ];
    expected.extend(absent);
    expected.extend(["socket-docker-owner Compliant /run/user/1000/docker.sock | ", socket_unit]);
    assert_eq!(told(&facts, &CONTROLS), expected);

    const HOME: &str = "/home/app/.config/docker/daemon.json";
    file(&mut facts, HOME).mode = 0o666;
    file(&mut facts, HOME).uid = 4000;
    crate::live::edit(&mut facts, HOME, r#""log-level": "info""#, r#""log-level": "debug""#);
    let by_hand = "this dockerd is rootless, and harden changes root's only: do it as its user (uid 1000)";
    assert_eq!(
        told(&facts, &CONTROLS[1..4]),
        [
            format!("daemon-log-level-info Drift log-level | {by_hand}, then `systemctl --user restart docker`"),
            format!("file-daemon-json-owner Drift {HOME} | {by_hand}"),
            format!("file-daemon-json-mode Drift {HOME} | {by_hand}"),
        ]
    );
    let assessment = judge(&facts);
    assert!(assessment.plan.changes.is_empty() && assessment.plan.activations.is_empty());
}

/// The group of a rootless daemon's socket is its user's own, and its containers' root is a user's as it is.
#[test]
fn a_rootless_daemon_needs_no_group_and_no_remapping() {
    let mut facts = rootless();
    api(&mut facts).security_options.get_or_insert_default().push("name=rootless".into());
    crate::live::edit(&mut facts, "/etc/group", "app:x:1000:", "app:x:1000:bob");
    assert_eq!(
        told(&facts, &["host-docker-group-members"]),
        [
            "host-docker-group-members NotApplicable docker | the socket of a rootless dockerd is its user's own, and nobody is root by it"
        ]
    );
    let found = crate::policy::judged(&facts, "daemon-userns-remap", &[]);
    assert!(found.len() == 1 && found[0].starts_with("Compliant "), "{found:?}");
}

#[test]
fn a_running_snap() {
    let mut facts = snap();
    crate::live::edit(&mut facts, CONFIG, r#""log-level": "info""#, r#""log-level": "debug""#);
    let controls =
        ["daemon-log-level-info", "file-docker-socket-unit-mode", "file-etc-default-docker-mode", "audit-watch-dockerd"];
    let mut program = file(&mut facts, "/usr/bin/dockerd").clone();
    program.real_path = "/snap/docker/2963/bin/dockerd".into();
    facts.files.insert(program.real_path.clone(), Fact::Known(program));
    assert_eq!(
        told(&facts, &controls),
        [
            "daemon-log-level-info Drift log-level | automatic",
            "file-docker-socket-unit-mode NotApplicable @unit:docker.socket | the snap's dockerd makes its socket itself, without docker.socket",
            "file-etc-default-docker-mode NotApplicable /etc/default/docker | the snap's dockerd does not read /etc/default/docker",
            "audit-watch-dockerd Drift /snap/docker/2963/bin/dockerd | its path changes with every refresh of the snap, and a rule \
             would not follow; watch it yourself",
        ]
    );
    let [restart] = &judge(&facts).plan.activations[..] else { panic!("one activation") };
    assert_eq!(restart.by_hand.as_deref(), Some("dockerd is the snap's: `snap restart docker` restarts it"));
}

/// An image tree with the snap installed, seeded as the snap does it.
#[test]
fn a_tree_with_the_snap() {
    let tree = Tree::green();
    tree.remove_docker();
    for path in ["/usr/lib/systemd/system/docker.socket", "/etc/systemd/system/docker.service.d"] {
        tree.remove(path);
    }
    const SNAP: &str = "/var/snap/docker/current/config/daemon.json";
    tree.write("/etc/systemd/system/snap.docker.dockerd.service", "[Service]\nExecStart=/usr/bin/snap run docker.dockerd\n");
    tree.write(SNAP, "{\n    \"log-level\": \"error\"\n}\n");
    tree.write("/var/snap/docker/common/etc/certs.d/registry.example/ca.crt", "ca\n");
    tree.chmod("/var/snap/docker/common/etc/certs.d/registry.example/ca.crt", 0o666);
    tree.chmod(SNAP, 0o666);
    let facts = observe(&tree);
    assert_eq!(facts.daemon.layout.kind, Layout::Snap);
    assert_eq!(facts.daemon.layout.evidence, "/etc/systemd/system/snap.docker.dockerd.service is there, docker.service is not");
    assert_eq!(facts.daemon.config_file, SNAP);
    let controls = ["daemon-log-level-info", "file-daemon-json-mode", "file-registry-certs-mode", "file-docker-service-mode"];
    assert_eq!(
        told(&facts, &controls),
        [
            "daemon-log-level-info Unknown log-level | dockerd's flags can't be told: the snap's own script gives them; start dockerd, \
             then they can be seen".to_owned(),
            format!("file-daemon-json-mode Drift {SNAP} | automatic"),
            "file-registry-certs-mode Drift /var/snap/docker/common/etc/certs.d/registry.example/ca.crt | automatic".to_owned(),
            "file-docker-service-mode Compliant /etc/systemd/system/snap.docker.dockerd.service | ".to_owned(),
        ]
    );
}

/// The units and environment files of distributions that keep flags in /etc/sysconfig, as their packages have them.
#[test]
fn trees_of_red_hats_and_suses_kind() {
    const FEDORA: &str = "[Service]\nType=notify\nEnvironmentFile=-/etc/sysconfig/docker\nEnvironmentFile=-/etc/sysconfig/docker-storage\n\
                          ExecStart=/usr/bin/dockerd --host=fd:// --exec-opt native.cgroupdriver=systemd $OPTIONS $DOCKER_STORAGE_OPTIONS\n";
    const SUSE: &str = "[Service]\nEnvironmentFile=/etc/sysconfig/docker\n\
                        ExecStart=/usr/bin/dockerd --add-runtime oci=/usr/bin/runc $DOCKER_NETWORK_OPTIONS $DOCKER_OPTS\n";
    let table = [
        ("Fedora", FEDORA, "OPTIONS=\"--log-level=debug\"\n"),
        ("SUSE", SUSE, "# comment\nDOCKER_NETWORK_OPTIONS=\"\"\nDOCKER_OPTS=\"--log-level=debug\"\n"),
    ];
    for (distribution, unit, sysconfig) in table {
        let tree = Tree::green();
        tree.remove("/etc/default/docker");
        tree.drop_line(CONFIG, "log-level");
        tree.write("/usr/lib/systemd/system/docker.service", unit);
        tree.write("/etc/sysconfig/docker", sysconfig);
        tree.chmod("/etc/sysconfig/docker", 0o666);
        let facts = observe(&tree);
        assert_eq!(facts.daemon.layout, LayoutFacts::default());
        let assessment = judge(&facts);
        let of = |control: &str| assessment.findings.iter().find(|one| one.control == control).unwrap();
        let level = of("daemon-log-level-info");
        let line = sysconfig.lines().position(|line| line.contains("debug")).unwrap() + 1;
        let origin = &level.evidence[0];
        assert!(origin.contains(&format!("/etc/sysconfig/docker:{line}")), "{distribution}: {origin}");
        assert_eq!((level.status, level.observed.as_str()), (Status::Drift, "debug"), "{distribution}");
        let mode = of("file-etc-sysconfig-docker-mode");
        assert_eq!(mode.status, Status::Drift, "{distribution}");
        let absent = of("file-etc-default-docker-mode");
        assert_eq!(absent.fix.reason.as_deref(), Some("/etc/default/docker does not exist"), "{distribution}");
    }
}

#[test]
fn a_tree_with_podmans_socket() {
    let tree = Tree::green();
    tree.remove_docker();
    tree.remove("/usr/lib/systemd/system/docker.socket");
    tree.write(
        "/usr/lib/tmpfiles.d/podman-docker.conf",
        "L+  /run/docker.sock   -    -    -     -   /run/podman/podman.sock\n",
    );
    let layout = observe(&tree).daemon.layout;
    assert_eq!(layout.kind, Layout::Podman);
    assert_eq!(layout.evidence, "/usr/lib/tmpfiles.d/podman-docker.conf makes Docker's socket a link to Podman's");
    assert!(Path::new(&tree.at("/usr/lib/tmpfiles.d")).is_dir());
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}
