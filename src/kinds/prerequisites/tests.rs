//! Start green, give the file one thing that the host does not go along with, expect exactly that defect.

use super::*;
use crate::fact::{ApiFacts, Content, ProcessFact, ServiceManager};

const CONFIG: &str = "/etc/docker/daemon.json";
const STARTED: i64 = 1_000;
const PATH: &str = "/usr/sbin:/usr/bin";

fn file(path: &str, kind: FileKind, content: Option<&str>) -> FileFact {
    FileFact {
        real_path: path.into(),
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        nlink: 1,
        dev: 1,
        ino: 1,
        mtime_ns: STARTED - 1,

        ctime_ns: None,
        sealed: None,
        size: 0,
        acl: Vec::new(),
        content: content.map(|content| Content(content.into())),
    }
}

/// A live host with systemd whose dockerd of this version runs, and this file, which it has not read yet.
fn host(daemon_json: &str, version: &str) -> Facts {
    let mut facts = Facts::default();
    facts.host.live = true;
    facts.host.service_manager = ServiceManager::Systemd;
    facts.host.br_netfilter = Fact::Known(true);
    facts.daemon.version = if version.is_empty() { Fact::Absent } else { Fact::Known(version.into()) };
    facts.daemon.config_file = CONFIG.into();
    facts.daemon.process = Fact::Known(ProcessFact {
        pid: 7,
        exe: "/usr/bin/dockerd".into(),
        argv: vec!["/usr/bin/dockerd".into()],
        started_ns: STARTED,
        service: Some(SERVICE.into()),
    });
    facts.daemon.api = Fact::Known(ApiFacts {
        api_version: Some("1.51".into()),
        swarm_state: Some("inactive".into()),
        cgroup_driver: Some("cgroupfs".into()),
        ..ApiFacts::default()
    });
    facts.daemon.search_path = Some(Fact::Known(PATH.into()));
    let config = FileFact { mtime_ns: STARTED + 1, ..file(CONFIG, FileKind::File, Some(daemon_json)) };
    facts.files.insert(CONFIG.into(), Fact::Known(config));
    put(&mut facts, "/usr/sbin/iptables", "");
    put(&mut facts, "/proc/sys/fs/nr_open", "1048576\n");
    facts
}

fn put(facts: &mut Facts, path: &str, content: &str) {
    facts.files.insert(path.into(), Fact::Known(file(path, FileKind::File, Some(content))));
}

fn parsed(text: &str) -> Document {
    Document::parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

/// What is not there is looked at and found absent, as on a real host.
fn looked(facts: &Facts, documents: &[&Document]) -> Facts {
    let mut facts = facts.clone();
    loop {
        let context = Context::of_daemon(&facts);
        let looks: Vec<Look> = documents.iter().flat_map(|document| wanted(document, &context)).collect();
        if looks.is_empty() {
            return facts;
        }
        for look in looks {
            match look {
                Look::Stat(path) | Look::Read(path) => drop(facts.files.insert(path, Fact::Absent)),
                Look::User(name) => drop(facts.users.insert(name, Fact::Absent)),
                Look::Group(name) => drop(facts.groups.insert(name, Fact::Absent)),
                Look::Matches(pattern) => drop(facts.globs.insert(pattern, Fact::Known(Vec::new()))),
                Look::SearchPath | Look::Swarm => panic!("{look:?} is known"),
            }
        }
    }
}

/// "Start key: what; help" of each defect of the file.
fn told(facts: &Facts) -> Vec<String> {
    let content = facts.files[CONFIG].known().and_then(|file| file.content.clone()).unwrap_or_default();
    let document = parsed(&String::from_utf8_lossy(&content.0));
    let facts = looked(facts, &[&document]);
    let show = |defect: &Defect| format!("{:?} {}: {}; {}", defect.harm, defect.key.join("."), defect.what, defect.help);
    defects(&document, &Context::of_daemon(&facts)).iter().map(show).collect()
}

/// Each file, the engine, and what is wrong with it.
fn check(table: &[(&str, &str, &[&str])]) {
    for (text, version, expected) in table {
        assert_eq!(told(&host(text, version)), *expected, "{text} {version}");
    }
}

#[test]
fn a_plain_host_lacks_nothing_and_nothing_is_looked_at() {
    for text in ["{}", r#"{"log-level": "info", "live-restore": true, "log-opts": {"max-size": "10m", "max-file": "3"}}"#] {
        for version in ["20.10.24", "26.1.5", "29.7.2", ""] {
            let facts = host(text, version);
            assert_eq!(wanted(&parsed(text), &Context::of_daemon(&facts)), [], "{text}");
            assert_eq!(told(&facts), [""; 0], "{text}");
        }
    }
}

#[test]
fn bridges_without_br_netfilter() {
    let help = "load it (`modprobe br_netfilter`, and a line in /etc/modules-load.d), then run harden again";
    let lacks = |key: &str| {
        format!("Start {key}: `{key}` is false, which takes the kernel module br_netfilter, and that is not loaded; {help}")
    };
    for (text, version, expected) in [
        (r#"{"icc": false}"#, "20.10.24", vec![lacks("icc")]),
        (r#"{"icc": null}"#, "29.7.2", vec![lacks("icc")]),
        (r#"{"icc": false, "bridge": "none"}"#, "29.7.2", vec![]),
        (r#"{"userland-proxy": false}"#, "20.10.24", vec![]),
        (r#"{"userland-proxy": false}"#, "26.1.5", vec![]),
        (r#"{"userland-proxy": false}"#, "27.5.1", vec![lacks("userland-proxy")]),
        (r#"{"userland-proxy": false}"#, "", vec![lacks("userland-proxy")]),
        (r#"{"icc": true, "userland-proxy": true, "userland-proxy-path": "/p"}"#, "24.0.9", vec![]),
    ] {
        let mut facts = host(text, version);
        facts.host.br_netfilter = Fact::Known(false);
        assert_eq!(told(&facts), expected, "{text} {version}");
        // Loaded; or the dockerd that runs has started with it; or nobody knows the kernel.
        assert_eq!(told(&host(text, version)), [""; 0]);
        let mut proven = facts.clone();
        if let Some(Fact::Known(config)) = proven.files.get_mut(CONFIG) {
            config.mtime_ns = STARTED - 1;
        }
        assert_eq!(told(&proven), [""; 0], "{text}");
        facts.host.live = false;
        assert_eq!(told(&facts), [""; 0], "{text}");
    }
}

#[test]
fn packet_filters_without_their_program() {
    let iptables = "Start iptables: dockerd filters packets with the program iptables, which no directory of its PATH has; install \
                    iptables, then run harden again";
    let without = |text: &str| {
        let mut facts = host(text, "28.5.2");
        facts.files.remove("/usr/sbin/iptables");
        facts
    };
    assert_eq!(told(&without(r#"{"iptables": true}"#)), [iptables]);
    assert_eq!(told(&without(r#"{"iptables": false}"#)), [""; 0]);
    // By default too, but only an edit makes it matter: the dockerd that runs has found it.
    assert_eq!(told(&without("{}")), [""; 0]);
    for (present, after) in
        [(r#"{"iptables": false}"#, "{}"), (r#"{"iptables": false}"#, r#"{"iptables": true}"#), ("{}", r#"{"debug": false}"#)]
    {
        let document = parsed(after);
        let facts = looked(&without(present), &[&document]);
        let found = new_defects(&document, &Context::of_daemon(&facts));
        let expected = "dockerd would not start then: dockerd filters packets with the program iptables, which no directory of its \
                        PATH has; install iptables, then run harden again";
        assert_eq!(found.iter().map(Defect::objection).collect::<Vec<_>>(), [expected], "{present} {after}");
        let facts = looked(&host(present, "28.5.2"), &[&document]);
        assert_eq!(new_defects(&document, &Context::of_daemon(&facts)), []);
    }
    // Elsewhere, because dockerd has another PATH.
    let mut facts = without(r#"{"iptables": true}"#);
    facts.daemon.search_path = Some(Fact::Known("/opt/bin:relative".into()));
    put(&mut facts, "/opt/bin/iptables", "");
    assert_eq!(told(&facts), [""; 0]);
    // Who can't see dockerd's PATH claims nothing.
    facts.daemon.search_path = Some(Fact::Unknown("/proc/7/environ: Permission denied; run as root".into()));
    assert_eq!(told(&facts), [""; 0]);
    check(&[(
        r#"{"firewall-backend": "nftables"}"#,
        "29.7.2",
        &[
            "Start firewall-backend: dockerd filters packets with the program nft, which no directory of its PATH has; install nft, \
           then run harden again",
        ],
    )]);
}

#[test]
fn the_proxy_of_newer_engines() {
    let help = "install docker-proxy, or set userland-proxy to false, then run harden again";
    let path = format!("Start userland-proxy-path: `userland-proxy-path` names /p, which does not exist; {help}");
    let none =
        format!("Start userland-proxy: `userland-proxy` is true, and dockerd does not find the program docker-proxy; {help}");
    check(&[
        (r#"{"userland-proxy-path": "/p"}"#, "25.0.8", &[&path]),
        (r#"{"userland-proxy-path": "/p"}"#, "24.0.9", &[]),
        (r#"{"userland-proxy-path": "/p", "userland-proxy": false}"#, "26.1.5", &[]),
        (r#"{"userland-proxy": true}"#, "25.0.8", &[&none]),
        (r#"{"userland-proxy": true}"#, "20.10.24", &[]),
    ]);
    let mut facts = host(r#"{"userland-proxy": true}"#, "28.5.2");
    put(&mut facts, "/usr/libexec/docker/docker-proxy", "");
    assert_eq!(told(&facts), [""; 0]);
}

#[test]
fn what_a_swarm_refuses() {
    let mut facts = host(r#"{"live-restore": true, "firewall-backend": "nftables"}"#, "29.7.2");
    put(&mut facts, "/usr/sbin/nft", "");
    assert_eq!(told(&facts), [""; 0]);
    if let Fact::Known(api) = &mut facts.daemon.api {
        api.swarm_state = Some("active".into());
    }
    let refused = |key: &str| {
        format!("Start {key}: this node is in a swarm, which `{key}` does not go with; take it out, or leave the swarm")
    };
    assert_eq!(told(&facts), [refused("live-restore"), refused("firewall-backend")]);
}

#[test]
fn log_drivers_without_their_service() {
    check(&[
        (
            r#"{"log-driver": "journald"}"#,
            "",
            &["Containers log-driver: `log-driver` is journald, and there is no /run/systemd/journal/socket; start \
               systemd-journald, or take another driver"],
        ),
        (
            r#"{"log-driver": "syslog"}"#,
            "",
            &[
                "Containers log-driver: `log-driver` is syslog, and there is none of /dev/log, /var/run/syslog, /var/run/log; start a \
               syslog service, or take another driver",
            ],
        ),
        (r#"{"log-driver": "syslog", "log-opts": {"syslog-address": "tcp://log.example:514"}}"#, "", &[]),
        (
            r#"{"log-driver": "syslog", "log-opts": {"syslog-address": "unix:///run/x"}}"#,
            "",
            &[
                "Start log-opts.syslog-address: `log-opts.syslog-address` names a socket that does not exist; start the service that \
               makes it, or correct the address",
            ],
        ),
        (
            r#"{"log-driver": "json"}"#,
            "",
            &[
                "Containers log-driver: `log-driver` names neither a driver of dockerd nor a plugin that is there; correct the name, \
               or start the plugin",
            ],
        ),
        (r#"{"log-driver": "grafana/loki-docker-driver:latest"}"#, "", &[]),
    ]);
    let mut facts = host(r#"{"log-driver": "loki"}"#, "");
    facts.globs.insert("/var/lib/docker/plugins/*/config.json".into(), Fact::Known(vec!["/some".into()]));
    assert_eq!(told(&facts), [""; 0], "it may be one of the engine's own plugins");
    let mut facts = host(r#"{"log-driver": "journald"}"#, "");
    facts.host.live = false;
    assert_eq!(told(&facts), [""; 0]);
}

#[test]
fn names_of_log_options() {
    let unknown = |driver: &str, option: &str| {
        format!("Start log-opts.{option}: the log driver {driver} has no option `{option}`; take it out, or correct its name")
    };
    check(&[
        (r#"{"log-opts": {"max-sizes": "1m"}}"#, "20.10.24", &[&unknown("json-file", "max-sizes")]),
        (r#"{"log-opts": {"tag": "a", "env-regex": "b", "cache-disabled": "true", "mode": "blocking"}}"#, "", &[]),
        (r#"{"log-driver": "local", "log-opts": {"tag": "a"}}"#, "20.10.24", &[&unknown("local", "tag")]),
        (r#"{"log-driver": "local", "log-opts": {"tag": "a"}}"#, "29.7.2", &[]),
        (r#"{"log-driver": "none", "log-opts": {"foo": "a", "mode": "x"}}"#, "", &[]),
        (r#"{"log-driver": "gelf", "log-opts": {"foo": "a"}}"#, "", &[]),
        (
            r#"{"log-opts": {"mode": "x"}}"#,
            "",
            &["Start log-opts.mode: `log-opts.mode` is neither blocking nor non-blocking; correct it"],
        ),
        (
            r#"{"log-opts": {"max-buffer-size": "1m"}}"#,
            "",
            &[
                "Start log-opts.max-buffer-size: `log-opts.max-buffer-size` takes `mode` non-blocking; take it out, or set the mode",
            ],
        ),
        (
            r#"{"log-opts": {"max-buffer-size": "x", "mode": "non-blocking"}}"#,
            "",
            &["Start log-opts.max-buffer-size: `log-opts.max-buffer-size` is no size, like \"4m\"; correct it"],
        ),
    ]);
    let mut facts = host(r#"{"log-driver": "journald", "log-opts": {"max-size": "1m"}}"#, "");
    put(&mut facts, "/run/systemd/journal/socket", "");
    assert_eq!(told(&facts), [unknown("journald", "max-size")]);
}

#[test]
fn values_of_log_options() {
    let size = "Containers log-opts.max-size: `log-opts.max-size` is no size above 0, like \"10m\"; correct it";
    for (value, good) in [
        ("10m", true),
        ("10MB", true),
        ("10kib", true),
        ("10b", true),
        ("1.5 MiB", true),
        ("100", true),
        ("10x", false),
        (" 10m", false),
        ("10  m", false),
        ("-1m", false),
        ("0", false),
        ("", false),
        ("m", false),
        ("1.2.3m", false),
        ("10mbb", false),
        ("10 ü", false),
    ] {
        let expected: &[&str] = if good { &[] } else { &[size] };
        check(&[(&format!(r#"{{"log-opts": {{"max-size": "{value}"}}}}"#), "", expected)]);
    }
    let files = "Containers log-opts.max-file: `log-opts.max-file` is no whole number above 0; correct it";
    for (value, good) in [("1", true), ("+3", true), ("0", false), ("-1", false), ("3.0", false), ("many", false), ("", false)]
    {
        let expected: &[&str] = if good { &[] } else { &[files] };
        check(&[(&format!(r#"{{"log-opts": {{"max-file": "{value}"}}}}"#), "", expected)]);
    }
    let compress = "Containers log-opts.compress: `log-opts.compress` takes `max-size`, and `max-file` above 1; set them, or take \
                    it out";
    check(&[
        (r#"{"log-opts": {"compress": "true"}}"#, "", &[compress]),
        (r#"{"log-opts": {"compress": "true", "max-size": "1m", "max-file": "1"}}"#, "", &[compress]),
        (r#"{"log-opts": {"compress": "true", "max-size": "1m", "max-file": "2"}}"#, "", &[]),
        (r#"{"log-opts": {"compress": "f"}}"#, "", &[]),
        (
            r#"{"log-opts": {"compress": "yes"}}"#,
            "",
            &["Containers log-opts.compress: `log-opts.compress` is neither true nor false; correct it"],
        ),
        (
            r#"{"log-driver": "local", "log-opts": {"max-file": "1"}}"#,
            "20.10.24",
            &[
                "Containers log-opts.max-file: with `log-opts.max-file` 1 the log driver local has nothing to compress, and it would; \
               raise it, or set `compress` to \"false\"",
            ],
        ),
        (r#"{"log-driver": "local", "log-opts": {"max-file": "1", "compress": "false"}}"#, "", &[]),
        (r#"{"log-driver": "local"}"#, "", &[]),
    ]);
}

#[test]
fn limits_that_the_kernel_does_not_grant() {
    let limit = |name: &str, soft: i64, hard: i64| {
        format!(r#"{{"default-ulimits": {{"{name}": {{"name": "{name}", "Soft": {soft}, "Hard": {hard}}}}}}}"#)
    };
    let above = "Containers default-ulimits.nofile: `default-ulimits.nofile` is above /proc/sys/fs/nr_open of this kernel \
                 (1048576); correct it";
    check(&[
        (&limit("nofile", 1024, 1_048_576), "", &[]),
        (&limit("nofile", 1024, 1_048_577), "", &[above]),
        (&limit("nofile", -1, -1), "", &[above]),
        (&limit("nproc", -1, -1), "", &[]),
        (
            &limit("files", 1, 1),
            "",
            &["Containers default-ulimits.files: `default-ulimits.files` has a \"Name\" that is no limit; correct it"],
        ),
    ]);
    let mut facts = host(&limit("nofile", -1, -1), "");
    facts.host.live = false;
    assert_eq!(told(&facts), [""; 0], "nobody knows a tree's kernel");
}

#[test]
fn seccomp_profiles() {
    let text = r#"{"seccomp-profile": "/etc/docker/s.json"}"#;
    check(&[
        (
            text,
            "",
            &[
                "Start seccomp-profile: `seccomp-profile` names /etc/docker/s.json, which does not exist; put it there or take the \
               key away",
            ],
        ),
        (r#"{"seccomp-profile": "unconfined"}"#, "28.5.2", &[]),
    ]);
    for (content, expected) in [
        (r#"{"defaultAction": "SCMP_ACT_ERRNO"}"#, None),
        (
            " {}",
            Some(
                "Protection seccomp-profile: `seccomp-profile` names /etc/docker/s.json, which is empty: system calls are not \
                 filtered at all; take the key away to get the built-in profile",
            ),
        ),
        (
            "x",
            Some(
                "Containers seccomp-profile: `seccomp-profile` names /etc/docker/s.json, which is no JSON object; mend that file or \
                 take the key away",
            ),
        ),
    ] {
        let mut facts = host(text, "");
        put(&mut facts, "/etc/docker/s.json", content);
        assert_eq!(told(&facts), expected.into_iter().collect::<Vec<_>>(), "{content}");
    }
    let mut facts = host(text, "");
    facts.files.insert("/etc/docker/s.json".into(), Fact::Known(file("/etc/docker/s.json", FileKind::Dir, None)));
    assert_eq!(
        told(&facts),
        [
            "Start seccomp-profile: `seccomp-profile` names /etc/docker/s.json, which is a directory; name a file or take the key away"
        ]
    );
}

#[test]
fn control_groups() {
    let parent = "Start cgroup-parent: `cgroup-parent` is no slice, like \"name.slice\", and systemd makes the control groups; name a \
                  slice or take the key away";
    let systemd = r#""exec-opts": ["native.cgroupdriver=systemd"]"#;
    check(&[
        (&format!("{{{systemd}}}"), "", &[]),
        (&format!(r#"{{{systemd}, "cgroup-parent": "/x"}}"#), "", &[parent]),
        (&format!(r#"{{{systemd}, "cgroup-parent": ".slice"}}"#), "", &[parent]),
        (&format!(r#"{{{systemd}, "cgroup-parent": "x.slice"}}"#), "", &[]),
        (r#"{"cgroup-parent": "/x"}"#, "", &[]),
        (
            r#"{"exec-opts": ["native.cgroupdriver=other"]}"#,
            "",
            &["Start exec-opts: `exec-opts` has a native.cgroupdriver that is neither cgroupfs nor systemd; correct it"],
        ),
        (r#"{"exec-opts": ["foo=bar"]}"#, "27.5.1", &[]),
        (
            r#"{"exec-opts": ["foo=bar"]}"#,
            "28.5.2",
            &["Start exec-opts: `exec-opts` has an option other than native.cgroupdriver; take it out"],
        ),
    ]);
    let mut facts = host(r#"{"cgroup-parent": "/x"}"#, "");
    if let Fact::Known(api) = &mut facts.daemon.api {
        api.cgroup_driver = Some("systemd".into());
    }
    assert_eq!(told(&facts), [parent]);
    let mut facts = host(&format!("{{{systemd}}}"), "");
    facts.host.service_manager = ServiceManager::Openrc;
    assert_eq!(
        told(&facts),
        [
            "Containers exec-opts: `exec-opts` has native.cgroupdriver=systemd, and systemd does not run here; set it to cgroupfs"
        ]
    );
}

#[test]
fn groups_and_key_pairs() {
    check(&[
        (
            r#"{"group": "ops"}"#,
            "",
            &["Start group: `group` is ops, and there is no such group; make the group (`groupadd`), or correct the name"],
        ),
        (r#"{"group": "docker"}"#, "", &[]),
        (r#"{"group": "54321"}"#, "", &[]),
        (r#"{"group": ""}"#, "", &[]),
        (r#"{"group": "ops", "hosts": ["fd://"]}"#, "", &[]),
        (
            r#"{"tls": true, "tlscert": "/c", "tlskey": "/k", "tlscacert": "/ca"}"#,
            "",
            &[
                "Start tlscert: `tlscert` names /c, which does not exist; put it there or take the key away",
                "Start tlskey: `tlskey` names /k, which does not exist; put it there or take the key away",
            ],
        ),
        (
            r#"{"tlsverify": true, "tlscacert": "/ca"}"#,
            "",
            &["Start tlscacert: `tlscacert` names /ca, which does not exist; put it there or take the key away"],
        ),
        (r#"{"tlscert": "/c"}"#, "", &[]),
    ]);
    let mut facts = host(r#"{"group": "ops"}"#, "");
    facts.groups.insert("ops".into(), Fact::Known(7));
    assert_eq!(told(&facts), [""; 0]);
}

#[test]
fn authorization_plugins() {
    let text = r#"{"authorization-plugins": ["opa", "acme/authz:1"]}"#;
    check(&[(
        text,
        "",
        &[
            "Start authorization-plugins: `authorization-plugins` names opa, and there is no such plugin; start the plugin, or take it \
           out",
        ],
    )]);
    for path in ["/run/docker/plugins/opa.sock", "/etc/docker/plugins/opa.spec", "/usr/lib/docker/plugins/opa/opa.json"] {
        let mut facts = host(text, "");
        put(&mut facts, path, "");
        assert_eq!(told(&facts), [""; 0], "{path}");
    }
    // It may start together with dockerd.
    let mut facts = host(text, "");
    facts.daemon.process = Fact::Absent;
    assert_eq!(told(&facts), [""; 0]);
}

#[test]
fn accounts_of_a_user_namespace() {
    let text = r#"{"userns-remap": "box"}"#;
    let user =
        "Start userns-remap: `userns-remap` names the user box, and there is none; make the account, or correct the name";
    check(&[(text, "", &[user]), (r#"{"userns-remap": "default"}"#, "", &[]), (r#"{"userns-remap": "1000:1000"}"#, "", &[])]);
    let mut facts = host(text, "");
    facts.users.insert("box".into(), Fact::Known(1001));
    assert_eq!(
        told(&facts),
        ["Start userns-remap: `userns-remap` takes the group box, and there is none; make the group, or correct the name"]
    );
    facts.groups.insert("box".into(), Fact::Known(1001));
    put(&mut facts, "/etc/subuid", "other:1:2\nbox:100000:65536\n");
    let numbers = "Start userns-remap: `userns-remap` names the user box, and /etc/subgid has no numbers for it; give it a range \
                   (`usermod --add-subuids 100000-165535 --add-subgids 100000-165535`)";
    assert_eq!(told(&facts), [numbers]);
    put(&mut facts, "/etc/subgid", "1001:100000:65536");
    assert_eq!(told(&facts), [""; 0]);
}

#[test]
fn registries_and_versions() {
    let mirror = |wrong: &str| format!("Start registry-mirrors: `registry-mirrors` has an address that {wrong}; correct it");
    let address = |text: &str| format!(r#"{{"registry-mirrors": ["https://a.example/", "{text}"]}}"#);
    check(&[
        (&address("https://b.example:5000"), "20.10.24", &[]),
        (&address("https://b.example/p"), "20.10.24", &[&mirror("has a path, which engines before 24.0.8 refuse")]),
        (&address("https://b.example/p"), "28.5.2", &[]),
        (&address("https://b.example/p"), "", &[]),
        (&address("https://u:hunter2@b.example"), "28.5.2", &[&mirror("has a user name")]),
        (&address("https://b.example?q"), "28.5.2", &[&mirror("has a query or fragment")]),
        (&address("b.example:5000"), "28.5.2", &[&mirror("does not begin with https:// or http://")]),
        (r#"{"insecure-registries": ["a.example:5000", "10.0.0.0/8", "http://b.example"]}"#, "", &[]),
        (
            r#"{"insecure-registries": ["ftp://b.example"]}"#,
            "",
            &[
                "Start insecure-registries: `insecure-registries` has an address with `://`; dockerd expects a name, or addresses like \
               10.0.0.0/8; correct it",
            ],
        ),
        (r#"{"min-api-version": "1.44"}"#, "29.7.2", &[]),
        (
            r#"{"min-api-version": "1.99"}"#,
            "29.7.2",
            &["Start min-api-version: `min-api-version` is above 1.51, the newest that this engine speaks; correct it"],
        ),
        (
            r#"{"min-api-version": "v1.44"}"#,
            "29.7.2",
            &["Start min-api-version: `min-api-version` is no version, like \"1.44\"; correct it"],
        ),
        (r#"{"min-api-version": "v1.44"}"#, "28.5.2", &[]),
    ]);
}

proptest::proptest! {
    /// No value of any key makes a check panic, and looking comes to an end.
    #[test]
    fn nothing_panics(key in 0usize..100, value in proptest::collection::vec("[ -~]{0,12}", 0..3), live: bool) {
        let keys = crate::formats::daemon_keys::keys();
        let name = keys[key % keys.len()].name;
        for value in [serde_json::json!(value), serde_json::json!(value.first()), serde_json::json!({"a": value.first()})] {
            let mut facts = host(&serde_json::json!({name: value}).to_string(), "29.7.2");
            facts.host.live = live;
            told(&facts);
        }
    }
}
