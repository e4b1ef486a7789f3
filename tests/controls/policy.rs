//! Controls of the daemon that a policy gives values to, each judged alone on the running host: what is right depends on the policy,
//! and some go without others (a remote log driver has no local rotation).

use harden::assess::{self, Limits};
use harden::baseline::control::Risk;
use harden::fact::{Content, Fact, Facts};
use harden::finding::{FixKind, Status};

use crate::live::{api, edit, file, green, process};
use crate::tree::CONFIG;

const SOCKET: &str = "/usr/lib/systemd/system/docker.socket";
const SERVICE: &str = "/usr/lib/systemd/system/docker.service";

pub const CONTROLS: [&str; 7] = [
    "daemon-tcp-requires-tlsverify",
    "daemon-no-tcp-listener",
    "daemon-default-ulimits",
    "daemon-userns-remap",
    "daemon-authz-plugin",
    "daemon-remote-logging",
    "daemon-default-publish-address",
];

/// Control, further flags of dockerd, what its file says, the policy, and every finding: status, target, what is, what should be, and who fixes it how.
type Case = (&'static str, &'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const CASES: &[Case] = &[
    (
        "daemon-tcp-requires-tlsverify",
        "",
        "{}",
        &[],
        &[
            "Compliant tlsverify: the engine listens on no TCP address but loopback | as it is |  the engine listens on no TCP address but loopback",
        ],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H tcp://127.0.0.1:2375",
        "{}",
        &[],
        &[
            "Compliant tlsverify: the engine listens on no TCP address but loopback | as it is |  the engine listens on no TCP address but loopback",
        ],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H tcp://10.0.0.1:2376",
        "{}",
        &[],
        &[
            "Drift tlsverify: false | true | by hand dockerd does not verify clients without `tlscacert`; set the variables tls.ca, tls.cert and tls.key",
            "Drift tlscacert: not set | set | by hand set the variable tls.ca in the baseline or with --set tls.ca=…",
            "Drift tlscert: not set | set | by hand set the variable tls.cert in the baseline or with --set tls.cert=…",
            "Drift tlskey: not set | set | by hand set the variable tls.key in the baseline or with --set tls.key=…",
        ],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H tcp://10.0.0.1:2376",
        r#"{"tlsverify": true, "tlscacert": "/c", "tlscert": "/c", "tlskey": "/k"}"#,
        &[],
        &[
            "Compliant tlsverify: true | true",
            "Compliant tlscacert: /c | set",
            "Compliant tlscert: /c | set",
            "Compliant tlskey: /k | set",
        ],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H tcp://10.0.0.1:2376",
        "{}",
        &["tls.ca=/c", "tls.cert=/c", "tls.key=/k"],
        &[
            "Drift tlsverify: false | true | automatic",
            "Drift tlscacert: not set | set | automatic",
            "Drift tlscert: not set | set | automatic",
            "Drift tlskey: not set | set | automatic",
        ],
    ),
    ("daemon-no-tcp-listener", "", "{}", &[], &[r#"Compliant hosts: ["fd://"] | empty except fd://*, unix://*, npipe://*"#]),
    // An address without a scheme is one of TCP, and one without a host is localhost's; dockerd 20.10.24 was seen to listen there.
    (
        "daemon-no-tcp-listener",
        "-H 0.0.0.0:2375 -H unix:///run/other.sock",
        "{}",
        &[],
        &["Drift hosts: 0.0.0.0:2375 | empty except fd://*, unix://*, npipe://* | automatic"],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H 0.0.0.0:2375",
        r#"{"tlscacert": "/c", "tlscert": "/c", "tlskey": "/k"}"#,
        &[],
        &[
            "Drift tlsverify: false | true | automatic",
            "Compliant tlscacert: /c | set",
            "Compliant tlscert: /c | set",
            "Compliant tlskey: /k | set",
        ],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H tcp://:2375 -H 127.0.0.2:2375 -H [::1]:2375",
        "{}",
        &[],
        &[
            "Compliant tlsverify: the engine listens on no TCP address but loopback | as it is |  the engine listens on no TCP address but loopback",
        ],
    ),
    (
        "daemon-tcp-requires-tlsverify",
        "-H tcp://localhost.example:2375",
        r#"{"tlscacert": "/c", "tlscert": "/c", "tlskey": "/k"}"#,
        &[],
        &[
            "Drift tlsverify: false | true | automatic",
            "Compliant tlscacert: /c | set",
            "Compliant tlscert: /c | set",
            "Compliant tlskey: /k | set",
        ],
    ),
    (
        "daemon-no-tcp-listener",
        "-H tcp://10.0.0.1:2376",
        "{}",
        &[],
        &["Drift hosts: tcp://10.0.0.1:2376 | empty except fd://*, unix://*, npipe://* | automatic"],
    ),
    (
        "daemon-no-tcp-listener",
        "-H tcp://10.0.0.1:2376",
        "{}",
        &[r#"allowed_tcp_listeners=["tcp://10.*"]"#],
        &[r#"Compliant hosts: ["fd://","tcp://10.0.0.1:2376"] | empty except fd://*, unix://*, npipe://*, tcp://10.*"#],
    ),
    (
        "daemon-default-ulimits",
        "",
        "{}",
        &[],
        &[
            "Drift default-ulimits: not set | with <default_ulimits> | by hand set the variable default_ulimits in the baseline or with --set default_ulimits=…",
        ],
    ),
    (
        "daemon-default-ulimits",
        "",
        "{}",
        &[r#"default_ulimits={ core = { Name = "core", Soft = 0, Hard = 0 } }"#],
        &[r#"Drift default-ulimits: not set | with {"core":{"Hard":0,"Name":"core","Soft":0}} | automatic"#],
    ),
    (
        "daemon-default-ulimits",
        "",
        r#"{"default-ulimits": {"core": {"Name": "core", "Soft": 0, "Hard": 0}, "nofile": {"Name": "nofile", "Soft": 9, "Hard": 9}}}"#,
        &[r#"default_ulimits={ core = { Name = "core", Soft = 0, Hard = 0 } }"#],
        &[
            r#"Compliant default-ulimits: {"core":{"Hard":0,"Name":"core","Soft":0},"nofile":{"Hard":9,"Name":"nofile","Soft":9}} | with {"core":{"Hard":0,"Name":"core","Soft":0}}"#,
        ],
    ),
    (
        "daemon-userns-remap",
        "",
        "{}",
        &[],
        &[
            r#"Drift userns-remap: not set; the running dockerd has "" | default | by hand no container may run while it is switched on, and images, containers and volumes have to be moved or made anew; plan that, then set userns-remap in daemon.json and restart dockerd"#,
        ],
    ),
    ("daemon-userns-remap", "", r#"{"userns-remap": "default"}"#, &[], &["Compliant userns-remap: default | default"]),
    (
        "daemon-authz-plugin",
        "",
        "{}",
        &[],
        &[
            "Drift authorization-plugins: not set | with <authz_plugins>, set | by hand set the variable authz_plugins in the baseline or with --set authz_plugins=…",
        ],
    ),
    (
        "daemon-authz-plugin",
        "",
        "{}",
        &[r#"authz_plugins=["opa"]"#],
        &[
            "Drift authorization-plugins: not set | with opa, set | by hand install the plugin, see it answer, then set authorization-plugins in daemon.json and restart dockerd: a plugin that is missing ends dockerd",
        ],
    ),
    (
        "daemon-authz-plugin",
        "",
        r#"{"authorization-plugins": ["opa"]}"#,
        &[r#"authz_plugins=["opa"]"#],
        &[r#"Compliant authorization-plugins: ["opa"] | with opa, set"#],
    ),
    (
        "daemon-remote-logging",
        "",
        "{}",
        &[],
        &[
            "Drift log-driver: json-file; the running dockerd has json-file | one of syslog, fluentd, gelf, splunk, awslogs, gcplogs | by hand set the variable log.driver in the baseline or with --set log.driver=…",
            "Compliant log-opts: not set | with {}",
        ],
    ),
    (
        "daemon-remote-logging",
        "",
        "{}",
        &["log.driver=syslog", r#"log.opts={ syslog-address = "tcp+tls://logs.example:6514" }"#],
        &[
            "Drift log-driver: json-file; the running dockerd has json-file | one of syslog, fluentd, gelf, splunk, awslogs, gcplogs | automatic",
            r#"Drift log-opts: not set | with {"syslog-address":"tcp+tls://logs.example:6514"} | automatic"#,
        ],
    ),
    (
        "daemon-remote-logging",
        "",
        r#"{"log-driver": "syslog", "log-opts": {"syslog-address": "tcp://logs.example:514"}}"#,
        &["log.driver=syslog"],
        &[
            "Compliant log-driver: syslog | one of syslog, fluentd, gelf, splunk, awslogs, gcplogs",
            r#"Compliant log-opts: {"syslog-address":"tcp://logs.example:514"} | with {}"#,
            "Drift log-opts.syslog-address: tcp://logs.example:514 | without tcp://*, udp://*, unix://*, unixgram://*, *://localhost*, *://127.*, set | by hand write the address of another host with tcp+tls://, in log.opts of the baseline",
        ],
    ),
    (
        "daemon-remote-logging",
        "",
        r#"{"log-driver": "syslog", "log-opts": {"syslog-address": "tcp+tls://logs.example:6514"}}"#,
        &["log.driver=syslog"],
        &[
            "Compliant log-driver: syslog | one of syslog, fluentd, gelf, splunk, awslogs, gcplogs",
            r#"Compliant log-opts: {"syslog-address":"tcp+tls://logs.example:6514"} | with {}"#,
            "Compliant log-opts.syslog-address: tcp+tls://logs.example:6514 | without tcp://*, udp://*, unix://*, unixgram://*, *://localhost*, *://127.*, set",
        ],
    ),
    (
        "daemon-default-publish-address",
        "",
        "{}",
        &[],
        &[
            "Drift ip: 0.0.0.0 | <publish_address> | by hand set the variable publish_address in the baseline or with --set publish_address=…",
            r#"Drift default-network-opts.bridge: not set | with {"com.docker.network.bridge.host_binding_ipv4":"<publish_address>"} | by hand set the variable publish_address in the baseline or with --set publish_address=…"#,
        ],
    ),
    (
        "daemon-default-publish-address",
        "",
        r#"{"ip": "127.0.0.1"}"#,
        &["publish_address=127.0.0.1"],
        &[
            "Compliant ip: 127.0.0.1 | 127.0.0.1",
            r#"Drift default-network-opts.bridge: not set | with {"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1"} | automatic"#,
        ],
    ),
    (
        "daemon-default-publish-address",
        "",
        r#"{"default-network-opts": {"bridge": {"com.docker.network.bridge.host_binding_ipv4": "127.0.0.1", "x": "y"}}}"#,
        &["publish_address=127.0.0.1"],
        &[
            "Drift ip: 0.0.0.0 | 127.0.0.1 | automatic",
            r#"Compliant default-network-opts.bridge: {"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1","x":"y"} | with {"com.docker.network.bridge.host_binding_ipv4":"127.0.0.1"}"#,
        ],
    ),
];

pub fn judged(facts: &Facts, control: &str, sets: &[&str]) -> Vec<String> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let loaded = ["cis-l2", "guide"].map(|name| harden::baseline::load(name, &sets).unwrap_or_else(|error| panic!("{error}")));
    let has = |baseline: &&harden::baseline::Baseline| baseline.controls.iter().any(|one| one.id == control);
    let mut baseline = loaded.iter().find(has).unwrap_or_else(|| panic!("{control} is in none")).clone();
    baseline.controls.retain(|one| one.id == control);
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let assessment = assess::assess(&baseline, facts, &limits).unwrap_or_else(|error| panic!("{error}"));
    let told = |finding: &harden::finding::Finding| {
        let fix = match (finding.status, finding.fix.kind) {
            (Status::Drift, FixKind::Automatic) => "automatic",
            (Status::Drift, _) => "by hand",
            _ => "",
        };
        let reason = finding.fix.reason.as_deref().unwrap_or_default();
        format!("{:?} {}: {} | {} | {fix} {reason}", finding.status, finding.target, finding.observed, finding.desired)
    };
    assessment.findings.iter().map(told).map(|line| line.trim_end().trim_end_matches(" |").to_owned()).collect()
}

pub fn started_with(flags: &str, config: &str) -> Facts {
    let mut facts = green();
    file(&mut facts, CONFIG).content = Some(Content(config.as_bytes().to_vec()));
    if !flags.is_empty() {
        edit(&mut facts, SERVICE, "-H fd://", &format!("-H fd:// {flags}"));
        process(&mut facts).argv.extend(flags.split(' ').map(str::to_owned));
    }
    if let Some(driver) = config.contains("syslog").then_some("syslog") {
        api(&mut facts).logging_driver = Some(driver.into());
    }
    if config.contains("userns-remap") {
        api(&mut facts).security_options.get_or_insert_default().push("name=userns".into());
    }
    facts
}

#[test]
fn by_the_policy() {
    let mut wrong = String::new();
    for (control, flags, config, sets, expected) in CASES {
        let found = judged(&started_with(flags, config), control, sets);
        if found != *expected {
            wrong.push_str(&format!("{control} {flags}\n{config}\n{sets:?}\n  {found:#?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// What systemd listens on for dockerd counts as much as what dockerd was told itself.
#[test]
fn a_socket_unit_that_listens_on_tcp() {
    let mut facts = started_with("", "{}");
    edit(&mut facts, SOCKET, "ListenStream=/run/docker.sock\n", "ListenStream=/run/docker.sock\nListenStream=2375\n");
    let hosts = r#"Compliant hosts: ["fd://"] | empty except fd://*, unix://*, npipe://*"#;
    let wanted = "empty except fd://*, unix://*, npipe://*";
    let how = "take that ListenStream= away, then `systemctl daemon-reload` and `systemctl restart docker.socket`, which stops \
               docker for a moment";
    let drift = format!("Drift docker.socket: tcp://2375 | {wanted} | by hand {how}");
    assert_eq!(judged(&facts, "daemon-no-tcp-listener", &[]), [hosts, &drift]);
    let allowed = r#"allowed_tcp_listeners=["tcp://2375"]"#;
    let fine = format!(r#"Compliant docker.socket: ["tcp://2375"] | {wanted}, tcp://2375"#);
    assert_eq!(judged(&facts, "daemon-no-tcp-listener", &[allowed]), [format!("{hosts}, tcp://2375"), fine]);
    assert!(judged(&facts, "daemon-tcp-requires-tlsverify", &[])[0].starts_with("Drift tlsverify: false"));
}

/// The key came with 24.0; an older engine would not start with it.
#[test]
fn an_engine_that_can_not_bind_its_networks_is_not_asked_to() {
    let mut facts = started_with("", r#"{"ip": "127.0.0.1"}"#);
    facts.daemon.version = Fact::Known("20.10.24".into());
    assert_eq!(
        judged(&facts, "daemon-default-publish-address", &["publish_address=127.0.0.1"]),
        [
            "Compliant ip: 127.0.0.1 | 127.0.0.1",
            "NotApplicable default-network-opts.bridge:  |  |  Docker 20.10.24 does not know the key default-network-opts",
        ]
    );
}

#[test]
fn without_docker() {
    let mut facts = green();
    facts.daemon.installed = Fact::Absent;
    for control in CONTROLS {
        let found = judged(&facts, control, &[]);
        let only = found.len() == 1
            && found[0].starts_with("NotApplicable ")
            && found[0].ends_with("Docker is not installed: no dockerd, no docker.service");
        assert!(only, "{control}: {found:?}");
    }
}

#[test]
fn what_was_found_by_hand_or_fixed_is_all_there() {
    for control in CONTROLS {
        let of = |what: &str| CASES.iter().any(|case| case.0 == control && case.4.iter().any(|line| line.starts_with(what)));
        assert!(of("Drift") && of("Compliant"), "{control}");
    }
}
