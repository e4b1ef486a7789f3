//! A node of a swarm, judged from facts.

use harden::assess::{self, Assessment, Limits};
use harden::baseline::control::Risk;
use harden::fact::{ClusterFacts, Fact, Facts, SwarmAddresses, SwarmFacts};
use harden::finding::Status;

use crate::live::{api, green};
use crate::table::{Absent, EVERYTHING, Expected, check_absent, compare, manual, unknown};

/// One way in which a control does not hold on the node.
pub struct Case {
    pub control: &'static str,
    how: &'static str,
    change: fn(&mut Facts),
    pub findings: &'static [Expected],
}

/// A manager of a well kept swarm; that live-restore does not go with it is not these controls' business.
fn manager() -> Facts {
    let mut facts = green();
    api(&mut facts).swarm_state = Some("active".into());
    facts.swarm = Fact::Known(SwarmFacts {
        addresses: Fact::Known(SwarmAddresses {
            listen: "10.0.0.1:2377".into(),
            advertise: "10.0.0.1:2377".into(),
            data_path: "10.1.0.1".into(),
        }),
        cluster: Fact::Known(ClusterFacts {
            managers: 3,
            nodes: 5,
            autolock: true,
            cert_expiry_ns: 48 * 3_600_000_000_000,
            rotating: false,
            root_since: Fact::Known(jiff::Timestamp::now().as_second() - 86_400 * 10),
            overlays: vec![("back".into(), true), ("ingress".into(), true)],
            secrets: 2,
            services: vec![("api".into(), vec!["LOG_LEVEL".into(), "DB_PASSWORD_FILE".into()])],
        }),
    });
    facts
}

fn swarm(facts: &mut Facts) -> &mut SwarmFacts {
    match &mut facts.swarm {
        Fact::Known(swarm) => swarm,
        other => panic!("{other:?}"),
    }
}

fn cluster(facts: &mut Facts) -> &mut ClusterFacts {
    match &mut swarm(facts).cluster {
        Fact::Known(cluster) => cluster,
        other => panic!("{other:?}"),
    }
}

fn addresses(facts: &mut Facts) -> &mut SwarmAddresses {
    match &mut swarm(facts).addresses {
        Fact::Known(addresses) => addresses,
        other => panic!("{other:?}"),
    }
}

const UNLOCK: &str =
    "docker swarm update --autolock=true prints the key that every restart of a manager asks for from then on: keep it";
const PROMOTE: &str = "docker node promote and docker node demote change it; never lose the majority";
const LISTEN: &str = "the address is given when a node joins: have it leave, and join again with --listen-addr ADDRESS:2377";
const DATA_PATH: &str =
    "the addresses are given when a node joins: have it leave, and join again with --data-path-addr of a second interface";
const ROTATE: &str = "docker swarm ca --rotate makes a new one, and every node gets a new certificate";

pub const CASES: &[Case] = &[
    Case {
        control: "swarm-disabled-if-unneeded",
        how: "nobody said that a swarm is wanted",
        change: |_| {},
        findings: &[manual(
            "swarm",
            "active",
            "inactive",
            "leave it with docker swarm leave, which ends its services, secrets and networks here; or set swarm_expected = true",
        )],
    },
    // Not the number of leaders, which is one in every swarm.
    Case {
        control: "swarm-manager-count",
        how: "an even number",
        change: |facts| cluster(facts).managers = 4,
        findings: &[manual("swarm", "4 of 5 nodes", "an odd number from 3 to 7", PROMOTE)],
    },
    Case {
        control: "swarm-manager-count",
        how: "one manager for many nodes",
        change: |facts| cluster(facts).managers = 1,
        findings: &[manual("swarm", "1 of 5 nodes", "an odd number from 3 to 7", PROMOTE)],
    },
    Case {
        control: "swarm-bind-address",
        how: "every interface",
        change: |facts| addresses(facts).listen = "0.0.0.0:2377".into(),
        findings: &[manual("swarm", "0.0.0.0:2377", "one address", LISTEN)],
    },
    Case {
        control: "swarm-bind-address",
        how: "every interface, by IPv6",
        change: |facts| addresses(facts).listen = "[::]:2377".into(),
        findings: &[manual("swarm", "[::]:2377", "one address", LISTEN)],
    },
    Case {
        control: "swarm-bind-address",
        how: "the node's own record can't be read",
        change: |facts| swarm(facts).addresses = Fact::Unknown("/var/lib/docker/swarm: permission denied".into()),
        findings: &[unknown("swarm", "/var/lib/docker/swarm: permission denied")],
    },
    Case {
        control: "swarm-plane-separation",
        how: "one address for both",
        change: |facts| addresses(facts).data_path.clear(),
        findings: &[manual("swarm", "10.0.0.1 for both", "an address for management and another for data", DATA_PATH)],
    },
    Case {
        control: "swarm-overlay-encrypted",
        how: "one that is not",
        change: |facts| cluster(facts).overlays.push(("front".into(), false)),
        findings: &[manual(
            "network:front",
            "not encrypted",
            "encrypted",
            "no option of a network can be changed: make another with docker network create --driver overlay --opt encrypted, and move \
             the services of front to it",
        )],
    },
    Case {
        control: "swarm-secrets-used",
        how: "a password in the environment",
        change: |facts| cluster(facts).services[0].1.push("db-password".into()),
        findings: &[manual(
            "service:api",
            "db-password in its environment",
            "no secret in its environment",
            "docker secret create, then docker service update --secret-add, and have the program read /run/secrets; the value that was in \
             the environment is known to everybody who may look at the service, so change it",
        )],
    },
    Case {
        control: "swarm-autolock",
        how: "off",
        change: |facts| cluster(facts).autolock = false,
        findings: &[manual("swarm", "off", "on", UNLOCK)],
    },
    // Not only "2 days" is soon enough.
    Case {
        control: "swarm-node-cert-expiry",
        how: "a year",
        change: |facts| cluster(facts).cert_expiry_ns = 8_760 * 3_600_000_000_000,
        findings: &[manual(
            "swarm",
            "8760h",
            "at most 2160h",
            "docker swarm update --cert-expiry 2160h changes it for the whole swarm",
        )],
    },
    Case {
        control: "swarm-ca-rotation",
        how: "old",
        change: |facts| cluster(facts).root_since = Fact::Known(jiff::Timestamp::now().as_second() - 86_400 * 400),
        findings: &[manual("swarm", "400 days old", "at most 365 days old", ROTATE)],
    },
    Case {
        control: "swarm-ca-rotation",
        how: "stuck",
        change: |facts| cluster(facts).rotating = true,
        findings: &[manual(
            "swarm",
            "being rotated",
            "not rotating",
            "a rotation is going on: docker node ls shows who is behind",
        )],
    },
    Case {
        control: "swarm-autolock",
        how: "the manager does not answer",
        change: |facts| swarm(facts).cluster = Fact::Unknown("/run/docker.sock: no answer within 5s".into()),
        findings: &[unknown("swarm", "/run/docker.sock: no answer within 5s")],
    },
];

const fn of_a_tree(control: &'static str) -> Absent {
    Absent { control, remove: |_| {}, target: "swarm", reason: "an image tree is in no swarm" }
}

pub const ABSENT: &[Absent] = &[
    of_a_tree("swarm-disabled-if-unneeded"),
    of_a_tree("swarm-manager-count"),
    of_a_tree("swarm-bind-address"),
    of_a_tree("swarm-overlay-encrypted"),
    of_a_tree("swarm-secrets-used"),
    of_a_tree("swarm-autolock"),
    of_a_tree("swarm-node-cert-expiry"),
    of_a_tree("swarm-ca-rotation"),
    of_a_tree("swarm-plane-separation"),
];

/// Judges by one control.
fn judge(facts: &Facts, control: &str) -> Assessment {
    let mut baseline = EVERYTHING.clone();
    baseline.controls.retain(|one| one.id == control);
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    assess::assess(&baseline, facts, &limits).unwrap_or_else(|error| panic!("{error}"))
}

/// A stopped dockerd leaves a note of the swarm that its node is in.
#[test]
fn while_dockerd_is_stopped() {
    let mut stopped = green();
    stopped.daemon.api = Fact::Absent;
    stopped.daemon.process = Fact::Absent;
    let note = format!("/var/lib/docker/{}", harden::kinds::daemon::SWARM_STATE);
    let status = |facts: &Facts, control: &str| {
        let finding = judge(facts, control).findings.remove(0);
        (finding.status, finding.fix.reason.unwrap_or_default())
    };
    stopped.files.insert(note.clone(), Fact::Absent);
    assert_eq!(status(&stopped, "swarm-autolock"), (Status::NotApplicable, "this node is in no swarm".into()));
    assert_eq!(status(&stopped, "swarm-disabled-if-unneeded").0, Status::Compliant);
    stopped.files.insert(note.clone(), stopped.files["/etc/docker/daemon.json"].clone());
    for control in ["swarm-autolock", "swarm-disabled-if-unneeded"] {
        let expected = "this node is in a swarm, and no dockerd runs that could tell of it";
        assert_eq!(status(&stopped, control), (Status::Unknown, expected.into()), "{control}");
    }
    stopped.files.insert(note, Fact::Unknown("denied".into()));
    assert_eq!(status(&stopped, "swarm-autolock").0, Status::Unknown);
}

/// Of the controls that only a manager can answer, what a worker, and a host without a swarm, hear.
#[test]
fn a_worker_and_a_host_without_a_swarm() {
    let mut worker = manager();
    swarm(&mut worker).cluster = Fact::Absent;
    let alone = green();
    for case in CASES {
        let reason = |facts: &Facts| {
            let finding = judge(facts, case.control).findings.remove(0);
            (finding.status, finding.fix.reason.unwrap_or_default())
        };
        if case.control == "swarm-disabled-if-unneeded" {
            assert_eq!(reason(&alone).0, Status::Compliant);
            continue;
        }
        assert_eq!(reason(&alone), (Status::NotApplicable, "this node is in no swarm".into()), "{}", case.control);
        let expected = match case.control {
            "swarm-plane-separation" => (Status::Compliant, String::new()),
            "swarm-bind-address" => {
                (Status::NotApplicable, "only managers listen for others, and this node is a worker".into())
            }
            _ => (Status::NotApplicable, "only a manager can tell, and this node is a worker".into()),
        };
        assert_eq!(reason(&worker), expected, "{}", case.control);
    }
}

fn status(facts: &Facts, control: &str) -> Status {
    judge(facts, control).findings.remove(0).status
}

/// docker-bench-security counts the lines with `Leader`, one in every swarm.
#[test]
fn docker_bench_7_1_counts_leaders() {
    for (managers, nodes, expected) in [
        (1, 5, Status::Drift),
        (2, 5, Status::Drift),
        (3, 5, Status::Compliant),
        (9, 20, Status::Drift),
        (1, 1, Status::Compliant),
    ] {
        let mut facts = manager();
        (cluster(&mut facts).managers, cluster(&mut facts).nodes) = (managers, nodes);
        assert_eq!(status(&facts, "swarm-manager-count"), expected, "{managers} of {nodes}");
    }
}

/// docker-bench-security looks for the text `2 days`.
#[test]
fn docker_bench_7_7_knows_two_days_only() {
    for (hours, expected) in
        [(48, Status::Compliant), (24, Status::Compliant), (2160, Status::Compliant), (2161, Status::Drift), (0, Status::Drift)]
    {
        let mut facts = manager();
        cluster(&mut facts).cert_expiry_ns = hours * 3_600_000_000_000;
        assert_eq!(status(&facts, "swarm-node-cert-expiry"), expected, "{hours}");
    }
}

#[test]
fn broken_in_a_swarm() {
    let mut wrong = Vec::new();
    for case in CASES {
        let mut facts = manager();
        if case.control != "swarm-disabled-if-unneeded" {
            assert!(compare(case.control, &[], &[], &judge(&facts, case.control)).is_none(), "{} holds", case.control);
        }
        (case.change)(&mut facts);
        if let Some(difference) = compare(case.control, case.findings, &[], &judge(&facts, case.control)) {
            wrong.push(format!("{}: {}\n{difference}", case.control, case.how));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn what_the_policy_allows() {
    let mut facts = manager();
    cluster(&mut facts).overlays.push(("legacy-1".into(), false));
    cluster(&mut facts).managers = 2;
    let sets = ["swarm_expected=true", "swarm_unencrypted_ok=[\"legacy-*\"]", "swarm_managers=2"].map(String::from);
    let baseline = harden::baseline::load("cis-l1", &sets).unwrap().select(&["swarm-*".into()], &[]).unwrap();
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let assessment = assess::assess(&baseline, &facts, &limits).unwrap();
    let drift: Vec<_> = assessment.findings.iter().filter(|finding| finding.status == Status::Drift).collect();
    let [ca] = drift.as_slice() else { panic!("{drift:#?}") };
    assert_eq!(
        (ca.control.as_str(), ca.fix.reason.as_deref()),
        ("swarm-ca-rotation", Some(format!("set swarm_ca_max_age_days to what policy says; {ROTATE}").as_str()))
    );
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}
