//! Verdicts and plans on recorded facts: a live systemd host with a running dockerd 26.1, and what may be wrong with it.

use super::*;
use crate::change::Change;
use crate::fact::{ApiFacts, Content, Fact, FileFact, FileKind, ProcessFact, Seal, ServiceManager, UnitFacts};

const CONFIG: &str = "/etc/docker/daemon.json";
/// When the recorded dockerd started, nanoseconds since 1970.
const STARTED: i64 = 1_000;

/// A file of root's.
fn file(path: &str, kind: FileKind, mode: u32) -> FileFact {
    FileFact {
        real_path: path.into(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        nlink: 1,
        dev: 1,
        ino: 1,
        mtime_ns: STARTED - 1,
        ctime_ns: Some(STARTED - 1),
        sealed: None,
        size: 0,
        acl: Vec::new(),
        content: None,
    }
}

/// A host whose dockerd runs with this daemon.json, unchanged since it started.
fn host(daemon_json: &str) -> Facts {
    let mut facts = Facts::default();
    facts.host.live = true;
    facts.host.service_manager = ServiceManager::Systemd;
    facts.host.br_netfilter = Fact::Known(true);
    facts.host.selinux_enforcing = Fact::Absent;
    facts.daemon.installed = Fact::Known("/usr/bin/dockerd".into());
    facts.daemon.version = Fact::Known("26.1.5".into());
    facts.daemon.config_file = CONFIG.into();
    facts.daemon.config_at_start = Fact::Absent;
    facts.daemon.process = Fact::Known(ProcessFact {
        pid: 7,
        exe: "/usr/bin/dockerd".into(),
        argv: vec!["/usr/bin/dockerd".into(), "-H".into(), "fd://".into()],
        started_ns: STARTED,
        service: Some("docker.service".into()),
    });
    facts.daemon.api = Fact::Known(ApiFacts {
        debug: Some(false),
        live_restore: Some(false),
        experimental: Some(false),
        security_options: Some(vec!["name=seccomp,profile=builtin".into(), "name=cgroupns".into()]),
        storage_driver: Some("overlay2".into()),
        swarm_state: Some("inactive".into()),
        containers_running: Some(0),
        ..ApiFacts::default()
    });
    let config = FileFact { content: Some(Content(daemon_json.into())), ..file(CONFIG, FileKind::File, 0o644) };
    facts.files.insert(CONFIG.into(), Fact::Known(config));
    facts
}

fn api(facts: &mut Facts) -> &mut ApiFacts {
    match &mut facts.daemon.api {
        Fact::Known(api) => api,
        other => panic!("{other:?}"),
    }
}

/// daemon.json is younger than the running dockerd.
fn edited_since(facts: &mut Facts) {
    if let Some(Fact::Known(file)) = facts.files.get_mut(CONFIG) {
        (file.mtime_ns, file.ctime_ns) = (STARTED + 1, Some(STARTED + 1));
    }
}

fn assessed(facts: &Facts, only: &str, wanted: &dyn Fn(&str, &str) -> bool) -> Assessment {
    let only: Vec<String> = only.split(' ').map(str::to_owned).collect();
    let baseline = crate::baseline::load("guide", &[]).and_then(|guide| guide.select(&only, &[])).unwrap();
    assess(&baseline, facts, &Limits { max_risk: Risk::Restart, wanted }).unwrap()
}

/// Everything that the guide's controls of these names want.
fn all(facts: &Facts, only: &str) -> Assessment {
    assessed(facts, only, &|_, _| true)
}

fn actions(assessment: &Assessment) -> Vec<Action> {
    assessment.plan.activations.iter().map(|activation| activation.action).collect()
}

/// "drift manual: its reason" of the only finding.
fn told(assessment: &Assessment) -> String {
    let [finding] = assessment.findings.as_slice() else { panic!("{:#?}", assessment.findings) };
    let reason = finding.fix.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{:?} {:?}{reason}", finding.status, finding.fix.kind)
}

#[test]
fn a_restart_that_stops_containers_is_planned_only_where_that_is_allowed() {
    let both = "daemon-log-level-info daemon-live-restore";
    let mut facts = host(r#"{"log-level": "debug"}"#);
    api(&mut facts).containers_running = Some(2);
    assert_eq!(actions(&all(&facts, both)), [Action::DockerReload, Action::DockerRestart]);
    // live-restore is not there to be switched on, or was not chosen.
    assert_eq!(actions(&all(&facts, "daemon-log-level-info")), []);
    let chosen = |control: &str, _: &str| control != "daemon-live-restore";
    let without = assessed(&facts, both, &chosen);
    assert_eq!(actions(&without), []);
    assert_eq!(without.plan.changes, Vec::<Change>::new());
    // It is on, and stays on; or it is on, but would not be after the restart.
    let mut on = host(r#"{"log-level": "debug", "live-restore": true}"#);
    (api(&mut on).containers_running, api(&mut on).live_restore) = (Some(2), Some(true));
    assert_eq!(actions(&all(&on, "daemon-log-level-info")), [Action::DockerRestart]);
    api(&mut facts).live_restore = Some(true);
    assert_eq!(actions(&all(&facts, "daemon-log-level-info")), []);
    assert_eq!(actions(&all(&facts, both)), [Action::DockerRestart]);
    api(&mut facts).live_restore = Some(false);
    // It is written down, and a reload is all that is missing.
    api(&mut on).live_restore = Some(false);
    assert_eq!(actions(&all(&on, "daemon-log-level-info")), []);
    assert_eq!(actions(&all(&on, both)), [Action::DockerReload, Action::DockerRestart]);
    // A swarm refuses live-restore.
    api(&mut facts).swarm_state = Some("active".into());
    assert_eq!(actions(&all(&facts, both)), []);
    // Nobody can say what runs.
    facts.daemon.api = Fact::Unknown("no answer within 5s".into());
    facts.files.insert("/var/lib/docker/swarm/docker-state.json".into(), Fact::Known(file("", FileKind::File, 0o600)));
    assert_eq!(
        told(&all(&facts, "daemon-log-level-info")),
        "Drift Manual: its fix is disruptive: restarting dockerd may stop containers: what runs is not known; allow it with --max-risk \
         disruptive"
    );
    // No dockerd runs: nothing is stopped.
    facts.daemon.api = Fact::Absent;
    facts.daemon.process = Fact::Absent;
    assert_eq!(told(&all(&facts, "daemon-log-level-info")), "Drift Automatic");
}

#[test]
fn dockerd_is_not_made_to_read_a_file_that_it_would_refuse() {
    // Right, but not in force before a restart; `foo` would keep dockerd from coming back.
    let mut facts = host("{\"log-level\": \"info\", \"foo\": 1}");
    edited_since(&mut facts);
    let assessment = all(&facts, "daemon-log-level-info");
    assert_eq!(actions(&assessment), []);
    assert_eq!(
        told(&assessment),
        "Drift Manual: withheld: dockerd would still refuse /etc/docker/daemon.json: line 1: `foo` is no key of daemon.json, and \
         dockerd refuses to start; mend that first"
    );
    assert_eq!(assessment.plan.fixes, []);
    assert_eq!(assessment.plan.withheld.len(), 1);
    // A flag of the next start.
    let mut facts = host(r#"{"log-level": "info", "hosts": ["fd://"]}"#);
    edited_since(&mut facts);
    assert_eq!(
        told(&all(&facts, "daemon-log-level-info")),
        "Drift Manual: withheld: dockerd would still refuse /etc/docker/daemon.json: `hosts` is also given as a flag; take one of \
         them away first"
    );
    // A mode that is mended in the same file makes it no better.
    let mut facts = host(r#"{"log-level": "info", "foo": 1}"#);
    edited_since(&mut facts);
    if let Some(Fact::Known(config)) = facts.files.get_mut(CONFIG) {
        config.mode = 0o666;
    }
    let both = all(&facts, "daemon-log-level-info file-daemon-json-mode");
    assert_eq!((actions(&both).len(), both.plan.changes.len()), (0, 1));
    // The same file without the mistake.
    let mut facts = host(r#"{"log-level": "info"}"#);
    edited_since(&mut facts);
    assert_eq!(actions(&all(&facts, "daemon-log-level-info")), [Action::DockerRestart]);
}

#[test]
fn what_the_host_lacks_withholds_what_would_build_on_it() {
    let missing = |text: &str| {
        let mut facts = host(text);
        facts.files.insert("/etc/docker/gone.json".into(), Fact::Absent);
        facts
    };
    let gone = "`seccomp-profile` names /etc/docker/gone.json, which does not exist";
    let facts = missing(r#"{"log-level": "debug", "seccomp-profile": "/etc/docker/gone.json"}"#);
    assert_eq!(
        told(&all(&facts, "daemon-log-level-info")),
        format!("Drift Manual: withheld: dockerd would still refuse {CONFIG}: {gone}; mend that first")
    );
    let valid = all(&facts, "daemon-config-valid");
    assert_eq!(told(&valid), "Drift Manual: dockerd does not start with it; put it there or take the key away");
    assert_eq!(
        (valid.findings[0].target.as_str(), valid.findings[0].observed.as_str()),
        (format!("{CONFIG}:1:24").as_str(), format!("wrong: {gone}").as_str())
    );
    // dockerd would start, and its containers not.
    let facts = host(r#"{"log-level": "debug", "log-opts": {"max-size": "10x"}}"#);
    assert_eq!(
        told(&all(&facts, "daemon-log-level-info")),
        format!(
            "Drift Manual: withheld: containers would still fail with {CONFIG}: `log-opts.max-size` is no size above 0, like \"10m\"; \
             mend that first"
        )
    );
    let facts = host(r#"{"log-level": "debug", "default-ulimits": {"nofile": {"Soft": 1, "Hard": 2}}}"#);
    assert_eq!(
        told(&all(&facts, "daemon-log-level-info")),
        format!(
            "Drift Manual: withheld: containers would still fail with {CONFIG}: line 1: `default-ulimits.nofile` has no \"Name\": \
             dockerd starts, and then every container start fails; mend that first"
        )
    );
    // What an edit alone brings about is left out, and the rest is done.
    let mut facts = host(r#"{"iptables": false, "log-level": "debug"}"#);
    facts.daemon.search_path = Some(Fact::Known("/usr/sbin".into()));
    facts.files.insert("/usr/sbin/iptables".into(), Fact::Absent);
    let both = all(&facts, "daemon-log-level-info daemon-iptables-enabled");
    assert_eq!(both.plan.withheld, []);
    let iptables = both.findings.iter().find(|finding| finding.target == "iptables").unwrap();
    assert_eq!(
        iptables.fix.reason.as_deref().unwrap(),
        "dockerd would not start then: dockerd filters packets with the program iptables, which no directory of its PATH has; install \
         iptables, then run harden again"
    );
    assert_eq!(both.plan.changes[0].summary, "set log-level");
}

#[test]
fn an_edit_of_anothers_makes_a_restart_disruptive() {
    let mut facts = host(r#"{"log-level": "debug", "data-root": "/srv/docker"}"#);
    api(&mut facts).data_root = Some("/var/lib/docker".into());
    let takes = "takes into force data-root: /srv/docker, edited since dockerd started: images, containers and volumes of \
                 /var/lib/docker vanish";
    let assessment = all(&facts, "daemon-log-level-info");
    assert_eq!((assessment.plan.changes.len(), actions(&assessment)), (0, vec![]));
    assert_eq!(
        told(&assessment),
        format!("Drift Manual: its fix is disruptive: restarting dockerd also {takes}; allow it with --max-risk disruptive")
    );
    let baseline = crate::baseline::load("guide", &[]).and_then(|guide| guide.select(&["daemon-log-level-info".into()], &[]));
    let allowed = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let assessment = assess(&baseline.unwrap(), &facts, &allowed).unwrap();
    let reasons: Vec<&str> = assessment.plan.activations.iter().map(|activation| activation.reason.as_str()).collect();
    assert_eq!(reasons, [format!("restarts dockerd; no container is running; also {takes}")]);
    // Going back restarts as well.
    let (risk, _) = going_back(&facts, Some(r#"{"data-root": "/srv/docker"}"#));
    assert_eq!(risk.unwrap(), Risk::Disruptive);
    // dockerd has it.
    api(&mut facts).data_root = Some("/srv/docker".into());
    assert_eq!(told(&all(&facts, "daemon-log-level-info")), "Drift Automatic");
}

#[test]
fn a_file_behind_a_symbolic_link_gets_one_change() {
    let mut facts = host(r#"{"debug": true}"#);
    if let Some(Fact::Known(config)) = facts.files.get_mut(CONFIG) {
        (config.real_path, config.mode) = ("/srv/daemon.json".into(), 0o666);
    }
    // The same file, looked at without being read.
    facts.files.insert("/srv/daemon.json".into(), Fact::Known(file("/srv/daemon.json", FileKind::File, 0o666)));
    let plan = all(&facts, "daemon-debug-disabled file-daemon-json-mode").plan;
    let [change] = plan.changes.as_slice() else { panic!("{:#?}", plan.changes) };
    assert_eq!((change.target(), change.summary.as_str()), ("/srv/daemon.json", "set debug; mode 0666 to 0644"));
    assert_eq!(change.controls, ["daemon-debug-disabled", "file-daemon-json-mode"]);
}

/// A host with socket activation: this docker.socket, this override.conf, and a live socket of group 100.
fn with_socket(unit: &str, drop_in: Option<&str>) -> Facts {
    const UNIT: &str = "/usr/lib/systemd/system/docker.socket";
    const OVERRIDE: &str = "/etc/systemd/system/docker.socket.d/zzz-site.conf";
    let mut facts = host("{}");
    let mut add = |path: &str, text: &str| {
        let content = Some(Content(format!("[Socket]\n{text}").into()));
        facts.files.insert(path.into(), Fact::Known(FileFact { content, ..file(path, FileKind::File, 0o644) }));
        path.to_owned()
    };
    let fragment = add(UNIT, &format!("ListenStream=/run/docker.sock\n{unit}"));
    let drop_ins = drop_in.map(|text| add(OVERRIDE, text)).into_iter().collect();
    facts.units.insert("docker.socket".into(), Fact::Known(UnitFacts { fragment, drop_ins, ..UnitFacts::default() }));
    let socket = FileFact { gid: 100, ..file("/run/docker.sock", FileKind::Socket, 0o660) };
    facts.files.insert("/run/docker.sock".into(), Fact::Known(socket));
    facts.groups.insert("docker".into(), Fact::Known(999));
    facts
}

/// What harden's drop-in would hold, below its heading.
fn drop_in(assessment: &Assessment) -> Option<String> {
    let content = assessment.plan.changes.iter().find_map(|change| match &change.effect {
        Effect::File { path, after: Some(after), .. } if path.ends_with("/zz-harden.conf") => after.content.clone(),
        _ => None,
    });
    Some(String::from_utf8(content?.0).unwrap().split_once("[Socket]\n").unwrap().1.to_owned())
}

#[test]
fn socket_and_unit_agree_on_the_group() {
    let facts = with_socket("SocketMode=0660\nSocketGroup=users\n", None);
    let assessment = all(&facts, "socket-docker-*");
    assert_eq!(drop_in(&assessment).as_deref(), Some("SocketGroup=docker\n"));
    let socket = assessment.plan.changes.iter().find(|change| change.target() == "/run/docker.sock").unwrap();
    assert!(matches!(&socket.effect, Effect::File { after: Some(after), .. } if after.gid == 999), "{socket:#?}");
}

#[test]
fn a_units_mode_only_loses_bits() {
    let unit = |mode: &str| with_socket(&format!("{mode}\nSocketGroup=docker\n"), None);
    for (before, after) in
        [("SocketMode=0604", "SocketMode=0600\n"), ("SocketMode=0666", "SocketMode=0660\n"), ("", "SocketMode=0660\n")]
    {
        assert_eq!(drop_in(&all(&unit(before), "socket-docker-unit-settings")).as_deref(), Some(after), "{before}");
    }
}

#[test]
fn what_a_later_drop_in_sets_is_changed_there() {
    let facts = with_socket("SocketMode=0660\nSocketGroup=docker\n", Some("SocketMode=0666\n"));
    let assessment = all(&facts, "socket-docker-*");
    assert_eq!(drop_in(&assessment), None);
    let reason = |finding: &Finding| finding.target.ends_with("SocketMode").then(|| finding.fix.reason.clone()).flatten();
    assert_eq!(
        assessment.findings.iter().find_map(reason).unwrap(),
        "/etc/systemd/system/docker.socket.d/zzz-site.conf:2 is read after harden's own drop-in and wins; change SocketMode there"
    );
}

#[test]
fn what_could_not_be_seen_is_not_compliant() {
    let good = r#"{"log-level": "info", "live-restore": true}"#;
    let mut facts = host(good);
    api(&mut facts).live_restore = Some(true);
    let status = |facts: &Facts, only: &str| told(&all(facts, only));
    assert_eq!(status(&facts, "daemon-log-level-info"), "Compliant None");
    assert_eq!(status(&facts, "daemon-config-valid"), "Compliant None");
    // Whose flags?
    facts.daemon.process = Fact::Unknown("/proc/7/exe: Permission denied; run as root".into());
    let why = "dockerd's flags can't be told: /proc/7/exe: Permission denied; run as root";
    assert_eq!(status(&facts, "daemon-log-level-info"), format!("Unknown None: {why}"));
    assert_eq!(status(&facts, "daemon-config-valid"), format!("Unknown None: valid by itself, but {why}"));
    facts.daemon.process = Fact::Absent;
    facts.units.insert("docker.service".into(), Fact::Unknown("cannot open it".into()));
    assert_eq!(status(&facts, "daemon-log-level-info"), "Unknown None: dockerd's flags can't be told: cannot open it");
    // A reload may or may not have happened since.
    let mut facts = host(good);
    facts.daemon.api = Fact::Unknown("no answer within 5s".into());
    facts.files.insert("/var/lib/docker/swarm/docker-state.json".into(), Fact::Absent);
    assert_eq!(status(&facts, "daemon-live-restore"), "Compliant None");
    edited_since(&mut facts);
    assert_eq!(
        status(&facts, "daemon-live-restore"),
        "Unknown None: /etc/docker/daemon.json was changed since dockerd started, and no answer within 5s"
    );
}

#[test]
fn an_old_file_that_changed_is_not_said_to_be_read() {
    let mut facts = host(r#"{"log-level": "info"}"#);
    let log_level = |facts: &Facts| told(&all(facts, "daemon-log-level-info"));
    assert_eq!(log_level(&facts), "Compliant None");
    // A chmod, or a file put back with its times: nobody can tell.
    let config = |facts: &mut Facts, mtime: i64, ctime: Option<i64>| match facts.files.get_mut(CONFIG) {
        Some(Fact::Known(file)) => (file.mtime_ns, file.ctime_ns) = (mtime, ctime),
        other => panic!("{other:?}"),
    };
    config(&mut facts, STARTED - 1, Some(STARTED + 1));
    assert_eq!(
        log_level(&facts),
        "Unknown None: /etc/docker/daemon.json was changed since dockerd started, its content perhaps not, so whether dockerd has \
         read it can't be told; a restart of dockerd settles it"
    );
    let assessment = all(&facts, "daemon-log-level-info");
    assert_eq!(assessment.findings[0].observed, "info");
    assert_eq!(actions(&assessment), [], "nothing is restarted on a suspicion");
    // Harden's own record tells.
    facts.daemon.config_at_start = Fact::Known(Content(br#"{"log-level": "info", "debug": false}"#.to_vec()));
    assert_eq!(log_level(&facts), "Compliant None");
    facts.daemon.config_at_start = Fact::Known(Content(br#"{"log-level": "debug"}"#.to_vec()));
    assert_eq!(log_level(&facts), "Drift Automatic");
    assert_eq!(actions(&all(&facts, "daemon-log-level-info")), [Action::DockerRestart]);
    // A time that somebody set to tomorrow says nothing: the kernel knows better.
    facts.daemon.config_at_start = Fact::Absent;
    config(&mut facts, STARTED + 1, Some(STARTED - 1));
    assert_eq!(log_level(&facts), "Compliant None");
    // Older records of a host have the one time only.
    config(&mut facts, STARTED + 1, None);
    assert_eq!(log_level(&facts), "Drift Automatic");
    config(&mut facts, STARTED - 1, None);
    assert_eq!(log_level(&facts), "Compliant None");
}

#[test]
fn what_is_sealed_is_withheld_with_the_way_out() {
    let only = "daemon-log-level-info file-daemon-json-mode";
    let withheld = |path: &str, seal: Seal, root: &str| {
        let mut facts = host(r#"{"log-level": "debug"}"#);
        facts.host.root = root.into();
        facts.files.insert("/etc/docker".into(), Fact::Known(file("/etc/docker", FileKind::Dir, 0o755)));
        for (name, fact) in &mut facts.files {
            if let Fact::Known(file) = fact {
                file.sealed = (name == path).then_some(seal);
                file.mode |= 0o022 * u32::from(name == CONFIG);
            }
        }
        let plan = all(&facts, only).plan;
        assert_eq!((plan.changes.len(), plan.activations.len()), (0, 0), "{plan:#?}");
        let [withheld] = plan.withheld.as_slice() else { panic!("{:#?}", plan.withheld) };
        assert_eq!(withheld.target, CONFIG);
        withheld.reason.clone()
    };
    let cases = [
        (
            CONFIG,
            Seal::Immutable,
            "/",
            "/etc/docker/daemon.json is immutable; lift that first: `chattr -i /etc/docker/daemon.json`",
        ),
        (
            CONFIG,
            Seal::AppendOnly,
            "/",
            "/etc/docker/daemon.json can only be appended to; lift that first: `chattr -a /etc/docker/daemon.json`",
        ),
        (
            CONFIG,
            Seal::ReadOnlyMount,
            "/srv/tree",
            "/srv/tree/etc/docker/daemon.json lies on a file system that is mounted read-only; see `findmnt -T /srv/tree/etc/docker/daemon.json`",
        ),
        ("/etc/docker", Seal::Immutable, "/", "/etc/docker is immutable; lift that first: `chattr -i /etc/docker`"),
        (
            "/etc/docker",
            Seal::ReadOnlyMount,
            "/",
            "/etc/docker lies on a file system that is mounted read-only; see `findmnt -T /etc/docker`",
        ),
    ];
    for (path, seal, root, reason) in cases {
        assert_eq!(withheld(path, seal, root), reason);
    }
    // What is as wanted may be sealed.
    let mut facts = host(r#"{"log-level": "info"}"#);
    if let Some(Fact::Known(file)) = facts.files.get_mut(CONFIG) {
        file.sealed = Some(Seal::Immutable);
    }
    assert_eq!(all(&facts, only).plan.withheld, []);
    // An immutable directory keeps its names, not the modes of what is in it.
    if let Some(Fact::Known(file)) = facts.files.get_mut(CONFIG) {
        (file.sealed, file.mode) = (None, 0o666);
    }
    let dir = FileFact { sealed: Some(Seal::Immutable), ..file("/etc/docker", FileKind::Dir, 0o755) };
    facts.files.insert("/etc/docker".into(), Fact::Known(dir));
    assert_eq!(all(&facts, only).plan.changes.len(), 1);
}

#[test]
fn what_no_restart_mends_is_not_restarted_for() {
    let disruptive = |facts: &Facts, only: &str| {
        let baseline = crate::baseline::load("guide", &[]).and_then(|guide| guide.select(&[only.into()], &[])).unwrap();
        told(&assess(&baseline, facts, &Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true }).unwrap())
    };
    // The driver that dockerd chose itself.
    let mut facts = host("{}");
    api(&mut facts).storage_driver = Some("vfs".into());
    assert!(
        disruptive(&facts, "daemon-storage-driver-supported").starts_with("Drift Manual: changing the storage driver hides")
    );
    // No seccomp at all.
    let mut facts = host("{}");
    api(&mut facts).security_options = Some(vec!["name=cgroupns".into()]);
    assert!(
        disruptive(&facts, "daemon-seccomp-default").starts_with("Drift Manual: this kernel, or this build of dockerd, has no")
    );
    // Written down before, but dockerd would not come back with it.
    let mut facts = host(r#"{"icc": false}"#);
    edited_since(&mut facts);
    api(&mut facts).bridge_icc = Some(true);
    assert_eq!(disruptive(&facts, "daemon-icc-disabled"), "Drift Automatic");
    facts.host.br_netfilter = Fact::Known(false);
    assert!(
        disruptive(&facts, "daemon-icc-disabled").starts_with("Drift Manual: dockerd would not start then: `icc` is false")
    );
}

#[test]
fn trap_13_a_wrapped_boolean_makes_the_outer_one_uncertain() {
    let facts = host(r#"{"iptables": true, "filter": {"iptables": false}}"#);
    let of_iptables = all(&facts, "daemon-iptables-enabled").findings.into_iter().find(|finding| finding.target == "iptables");
    assert_eq!(
        of_iptables.unwrap().fix.reason.unwrap(),
        "`filter` at /etc/docker/daemon.json:1 says the opposite, and dockerd takes one of the two at random; take it out"
    );
    let facts = host(r#"{"iptables": true, "filter": {"iptables": true}}"#);
    assert!(all(&facts, "daemon-iptables-enabled").findings.iter().all(|finding| finding.status == Status::Compliant));
}

#[test]
fn flags_are_half_of_what_contradicts() {
    let with_flag = |daemon_json: &str, flag: &str| {
        let mut facts = host(daemon_json);
        if let Fact::Known(process) = &mut facts.daemon.process {
            process.argv.push(flag.into());
        }
        facts
    };
    // ip6tables needs experimental before engine 27: dockerd would not come back without it.
    let facts = with_flag(r#"{"experimental": true}"#, "--ip6tables");
    let reason = told(&all(&facts, "daemon-config-valid"));
    assert_eq!(reason, "Compliant None");
    let baseline = crate::baseline::load("essential", &[]).and_then(|all| all.select(&["daemon-experimental-off".into()], &[]));
    let assessment = assess(&baseline.unwrap(), &facts, &Limits { max_risk: Risk::Restart, wanted: &|_, _| true }).unwrap();
    assert_eq!(actions(&assessment), []);
    assert_eq!(
        told(&assessment),
        "Drift Manual: withheld: dockerd would still refuse /etc/docker/daemon.json: line 1: `ip6tables` needs `experimental` before \
         engine 27.0; unless a flag sets that, dockerd refuses to start; mend that first"
    );
    // The flag that solves it.
    let facts = with_flag(r#"{"ip6tables": true}"#, "--experimental");
    assert_eq!(told(&all(&facts, "daemon-config-valid")), "Compliant None");
    assert!(told(&all(&host(r#"{"ip6tables": true}"#), "daemon-config-valid")).starts_with("Drift Manual"));
}

#[test]
fn places_that_depend_on_what_cannot_be_read() {
    // The daemon does not run, so that only its file and unit tell.
    let stopped = |daemon_json: &str| {
        let mut facts = host(daemon_json);
        facts.daemon.process = Fact::Absent;
        facts.daemon.api = Fact::Absent;
        facts
    };
    let sockets = "socket-docker-mode";
    let facts = stopped(r#"{"hosts": ["fd://"]}"#);
    assert_eq!(
        told(&all(&facts, sockets)),
        "Unknown None: where the socket lies can't be told: dockerd gets its socket from systemd (fd://), and there is no docker.socket"
    );
    let facts = stopped(r#"{"hosts": ["unix:///srv/docker.sock",]}"#);
    assert!(
        told(&all(&facts, sockets))
            .starts_with("Unknown None: where the socket lies can't be told: /etc/docker/daemon.json:1:")
    );
    let mut facts = stopped(r#"{"data-root": "/srv/docker",}"#);
    facts.audit.installed = Fact::Known("/sbin/auditctl".into());
    facts.audit.rules_files = Fact::Known(Vec::new());
    assert!(told(&all(&facts, "audit-watch-var-lib-docker")).starts_with("Unknown None: /etc/docker/daemon.json:1:"));
    // Started by a script, with flags that harden does not read.
    let mut facts = stopped("{}");
    facts.units.insert("docker.service".into(), Fact::Absent);
    assert_eq!(told(&all(&facts, "daemon-log-level-info")), "Compliant None");
    facts.files.insert("/etc/init.d/docker".into(), Fact::Known(file("/etc/init.d/docker", FileKind::File, 0o755)));
    assert_eq!(
        told(&all(&facts, "daemon-log-level-info")),
        "Unknown None: dockerd's flags are in /etc/init.d/docker and what it reads; start dockerd, then they can \
         be seen"
    );
}

#[test]
fn a_configuration_file_that_a_flag_names_must_be_there() {
    let mut facts = host("{}");
    facts.files.insert(CONFIG.into(), Fact::Absent);
    assert!(told(&all(&facts, "daemon-config-valid")).starts_with("NotApplicable"));
    if let Fact::Known(process) = &mut facts.daemon.process {
        process.argv.push(format!("--config-file={CONFIG}"));
    }
    assert_eq!(
        told(&all(&facts, "daemon-config-valid")),
        "Drift Manual: dockerd does not start again: make the file, or take away the flag --config-file"
    );
}

#[test]
fn trap_2_live_restore_on_a_node_of_a_swarm() {
    let mut facts = host("{}");
    api(&mut facts).swarm_state = Some("active".into());
    assert!(told(&all(&facts, "daemon-live-restore")).starts_with("NotApplicable"));
    let mut facts = host(r#"{"live-restore": true}"#);
    (api(&mut facts).swarm_state, api(&mut facts).live_restore) = (Some("active".into()), Some(true));
    assert_eq!(
        told(&all(&facts, "daemon-live-restore")),
        "Drift Manual: dockerd refuses to start with it on a node of a swarm: take it out, or leave the swarm"
    );
    // Whatever else wants a restart: dockerd would not come back from it.
    let mut facts = host(r#"{"live-restore": true, "log-level": "debug"}"#);
    (api(&mut facts).swarm_state, api(&mut facts).live_restore) = (Some("active".into()), Some(true));
    assert_eq!(actions(&all(&facts, "daemon-log-level-info")), []);
}

#[test]
fn traps_1_and_8_no_reload_with_other_authorization_plugins() {
    let with = r#"{"debug": true, "authorization-plugins": ["p"]}"#;
    let mut facts = host(with);
    api(&mut facts).debug = Some(true);
    assert_eq!(actions(&all(&facts, "daemon-debug-disabled")), [Action::DockerReload]);
    edited_since(&mut facts);
    assert!(told(&all(&facts, "daemon-debug-disabled")).starts_with("Drift Manual: withheld: `authorization-plugins` in"));
    // Harden's own record says that dockerd has them.
    facts.daemon.config_at_start = Fact::Known(Content(with.into()));
    assert_eq!(actions(&all(&facts, "daemon-debug-disabled")), [Action::DockerReload]);
    // They were taken out: the running dockerd still has them.
    let mut facts = host(r#"{"debug": true}"#);
    api(&mut facts).debug = Some(true);
    edited_since(&mut facts);
    facts.daemon.config_at_start = Fact::Known(Content(with.into()));
    assert_eq!(actions(&all(&facts, "daemon-debug-disabled")), []);
}

/// The plan that takes daemon.json back from what it says to `before`, completed on this host.
fn going_back(facts: &Facts, before: Option<&str>) -> (Result<Risk>, Plan) {
    let image = |content: &str| FileImage {
        kind: FileKind::File,
        mode: 0o644,
        uid: 0,
        gid: 0,
        content: Some(Content(content.into())),
        xattrs: None,
        mtime_ns: None,
    };
    let now = facts.files[CONFIG].known().and_then(|file| file.content.clone()).unwrap();
    let effect = Effect::File {
        path: CONFIG.into(),
        before: Some(image(std::str::from_utf8(&now.0).unwrap())),
        after: before.map(image),
    };
    let change = Change { id: "c1".into(), controls: Vec::new(), risk: Risk::Safe, summary: String::new(), effect };
    let mut plan = Plan { changes: vec![change], undoes: Some("t".into()), ..Plan::default() };
    (plan::undo::complete(&mut plan, facts), plan)
}

#[test]
fn going_back_is_judged_on_the_host_as_it_is_now() {
    let actions = |plan: &Plan| plan.activations.iter().map(|activation| activation.action).collect::<Vec<_>>();
    let hardened = r#"{"log-level": "info", "live-restore": true}"#;
    let mut facts = host(hardened);
    api(&mut facts).live_restore = Some(true);
    facts.host.service_manager = ServiceManager::Systemd;
    // Nothing runs.
    let (risk, plan) = going_back(&facts, Some(r#"{"log-level": "debug"}"#));
    assert_eq!((risk.unwrap(), actions(&plan)), (Risk::Restart, vec![Action::DockerReload, Action::DockerRestart]));
    assert_eq!(plan::undo::kept(&plan, &facts), None, "the restart takes it back");
    // Containers would not outlive the start with the old file; they do where it keeps live-restore.
    api(&mut facts).containers_running = Some(2);
    assert_eq!(going_back(&facts, Some(r#"{"log-level": "debug"}"#)).0.unwrap(), Risk::Disruptive);
    assert_eq!(going_back(&facts, Some(r#"{"log-level": "debug", "live-restore": true}"#)).0.unwrap(), Risk::Restart);
    // Who runs is not known: containers may.
    let mut hidden = facts.clone();
    hidden.daemon.api = Fact::Unknown("denied".into());
    assert_eq!(going_back(&hidden, Some(r#"{"log-level": "debug", "live-restore": true}"#)).0.unwrap(), Risk::Disruptive);
    // A reload is enough, but takes nothing back.
    let (risk, plan) = going_back(&facts, Some(r#"{"log-level": "info"}"#));
    assert_eq!((risk.unwrap(), actions(&plan)), (Risk::Safe, vec![Action::DockerReload]));
    assert_eq!(plan::undo::kept(&plan, &facts).unwrap(), "the running dockerd keeps live-restore until it is restarted");
    // dockerd never read what is taken back: it runs with the old values.
    let mut unread = facts.clone();
    edited_since(&mut unread);
    unread.daemon.config_at_start = Fact::Known(Content(r#"{"log-level": "debug", "live-restore": true}"#.into()));
    let (risk, plan) = going_back(&unread, Some(r#"{"log-level": "debug", "live-restore": true}"#));
    assert_eq!((risk.unwrap(), actions(&plan)), (Risk::Safe, vec![]));
    // No daemon, nothing to put in force.
    facts.daemon.process = Fact::Absent;
    facts.daemon.api = Fact::Absent;
    let (risk, plan) = going_back(&facts, None);
    assert_eq!((risk.unwrap(), actions(&plan)), (Risk::Safe, vec![]));
}

#[test]
fn going_back_to_what_dockerd_would_not_start_with_is_refused() {
    let told = |facts: &Facts, before: Option<&str>| going_back(facts, before).0.unwrap_err().what;
    // Authorization plugins given by flag since: a reload would switch them off, so it takes a restart.
    let mut facts = host(r#"{"debug": false}"#);
    if let Fact::Known(process) = &mut facts.daemon.process {
        process.argv.push("--authorization-plugin=p".into());
    }
    let (_, plan) = going_back(&facts, Some(r#"{"debug": true}"#));
    assert_eq!(plan.activations[0].action, Action::DockerRestart);
    // The node joined a swarm since.
    let mut facts = host("{}");
    api(&mut facts).swarm_state = Some("active".into());
    assert_eq!(
        told(&facts, Some(r#"{"live-restore": true}"#)),
        "going back would leave a dockerd that does not start: dockerd would still refuse /etc/docker/daemon.json: this node is in a \
         swarm, which `live-restore` does not go with; mend that first; nothing was changed"
    );
    // A flag names the file by now, or gives the same key.
    let mut facts = host("{}");
    if let Fact::Known(process) = &mut facts.daemon.process {
        process.argv.extend([format!("--config-file={CONFIG}"), "--log-level=info".into()]);
    }
    assert_eq!(
        told(&facts, None),
        "going back would leave a dockerd that does not start: the file would be gone, and --config-file names it; nothing was changed"
    );
    assert!(told(&facts, Some(r#"{"log-level": "debug"}"#)).contains("`log-level` is also given as a flag"));
}
