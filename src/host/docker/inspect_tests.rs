//! One container as engines of four generations show it, and answers that must not pass for one.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const GENERATIONS: [(&str, &str); 5] = [
    ("20.10", include_str!("../../../tests/data/engine/container-20.10.24.json")),
    ("26", include_str!("../../../tests/data/engine/container-26.1.5.json")),
    ("28", include_str!("../../../tests/data/engine/container-28.5.2.json")),
    ("28, containerd's image store", include_str!("../../../tests/data/engine/container-28.5.2-containerd.json")),
    ("29", include_str!("../../../tests/data/engine/container-29.json")),
];
const NOW: i64 = 1_800_000_000;

fn read(answer: &Value) -> (ContainerFacts, i64) {
    container(answer.to_string().as_bytes(), NOW).unwrap_or_else(|error| panic!("{error}"))
}

fn recorded() -> Value {
    serde_json::from_str(GENERATIONS[0].1).unwrap()
}

#[test]
fn every_generation_shows_the_same_container() {
    let (first, pid) = read(&recorded());
    assert_eq!(first.name, "bad");
    assert!(first.running && pid > 0);
    assert_eq!(first.made.cap_add, ["NET_ADMIN", "SYS_ADMIN"]);
    assert_eq!((first.made.pid_mode.as_str(), first.made.restart.as_str()), ("host", "always"));
    assert_eq!(first.made.devices, ["/dev/null:r"]);
    assert_eq!(first.made.ulimits, ["nofile=1024:2048"]);
    assert_eq!((first.made.masked_paths.as_deref(), first.made.pids_limit), (Some(&[][..]), 0));
    assert_eq!(first.owner, Owner::Compose { project: "shop".into(), service: "bad".into() });
    assert_eq!(first.env, [EnvFact { name: "DB_PASSWORD".into(), url_with_password: false }]);
    assert_eq!(first.exposed, ["22/tcp", "80/tcp", "81/tcp", "90/tcp"]);
    let ports: Vec<String> =
        first.ports.iter().map(|port| format!("{} {} {}", port.container, port.host_ip, port.host_port)).collect();
    assert!(ports.contains(&"80/tcp 0.0.0.0 8080".to_owned()), "{ports:?}");
    // Which ports are free, and whether IPv6 is there, is not the engine's to say.
    let comparable = |facts: &ContainerFacts| {
        let mut facts = facts.clone();
        facts.ports.retain(|port| port.host_ip != "::" && port.host_port < 32_768);
        facts
    };
    for (generation, text) in GENERATIONS {
        let (facts, _) = read(&serde_json::from_str(text).unwrap());
        assert_eq!(comparable(&facts), comparable(&first), "{generation}");
    }
}

/// Values of variables and labels are nowhere in what is kept.
#[test]
fn no_value_is_kept() {
    for (generation, text) in GENERATIONS {
        assert!(text.contains("S3CRET-V4LUE"), "{generation}");
        let (facts, _) = read(&serde_json::from_str(text).unwrap());
        let kept = serde_json::to_string(&facts).unwrap() + &format!("{facts:?}");
        assert!(!kept.contains("S3CRET-V4LUE"), "{generation}: {kept}");
        assert!(kept.contains("traefik.auth"), "names of labels select containers");
    }
}

#[test]
fn null_missing_and_empty_are_one() {
    let base = read(&recorded()).0;
    for field in ["CapDrop", "SecurityOpt", "DeviceRequests", "DeviceCgroupRules", "PidsLimit", "CgroupParent", "Memory"] {
        let sent = recorded();
        let empty = match &sent["HostConfig"][field] {
            Value::Array(_) | Value::Null => json!([]),
            Value::String(_) => json!(""),
            _ => json!(0),
        };
        let number = ["PidsLimit", "Memory"].contains(&field);
        let forms = [Value::Null, if number { json!(0) } else { empty }];
        let mut seen = Vec::new();
        for form in forms {
            let mut sent = sent.clone();
            sent["HostConfig"][field] = form;
            seen.push(read(&sent).0);
        }
        let mut sent = sent.clone();
        sent["HostConfig"].as_object_mut().unwrap().remove(field);
        seen.push(read(&sent).0);
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{field}");
        // It has options and a limit: these are not what nothing is.
        if !["SecurityOpt", "Memory"].contains(&field) {
            assert_eq!(seen[0], base, "{field}");
        }
    }
    for limit in [json!(-1), json!(0)] {
        let mut sent = recorded();
        sent["HostConfig"]["PidsLimit"] = limit;
        assert_eq!(read(&sent).0.made.pids_limit, 0);
    }
}

/// A default in place of a value of the wrong type might be the harmless one.
#[test]
fn a_wrong_type_is_no_answer() {
    for (pointer, bad) in [
        ("/HostConfig/Privileged", json!("true")),
        ("/HostConfig/CapAdd", json!("SYS_ADMIN")),
        ("/HostConfig/SecurityOpt", json!({"seccomp": "unconfined"})),
        ("/HostConfig/Memory", json!("64m")),
        ("/HostConfig", Value::Null),
        ("/Config", json!([])),
        ("/HostConfig", json!([])),
        ("/HostConfig/RestartPolicy", json!([])),
        ("/NetworkSettings", json!([])),
        ("/State/Running", json!(1)),
        ("/Mounts", json!({"0": 1})),
    ] {
        let mut sent = recorded();
        *sent.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = bad;
        assert!(container(sent.to_string().as_bytes(), NOW).is_err(), "{pointer}");
    }
    for pointer in ["HostConfig", "Config", "State", "Id", "Name"] {
        let mut sent = recorded();
        sent.as_object_mut().unwrap().remove(pointer);
        assert!(container(sent.to_string().as_bytes(), NOW).is_err(), "{pointer}");
    }
}

#[test]
fn what_makes_a_container() {
    let owner_of = |labels: Value, name: &str| {
        let mut sent = recorded();
        sent["Config"]["Labels"] = labels;
        sent["Name"] = name.into();
        read(&sent).0.owner
    };
    for (labels, name, expected) in [
        (Value::Null, "/web", Owner::Nobody),
        (
            json!({"com.docker.swarm.service.id": "x", "com.docker.swarm.service.name": "shop_web", "com.docker.compose.project": "shop"}),
            "/shop_web.1.abc",
            Owner::Swarm { service: "shop_web".into() },
        ),
        (
            json!({"io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "shop"}),
            "/x",
            Owner::Kubernetes { pod: "shop/web-1".into() },
        ),
        (json!({}), "/k8s_web_web-1_shop_uid_0", Owner::Kubernetes { pod: "shop/web-1".into() }),
        (json!({}), "/k8s_", Owner::Kubernetes { pod: "/".into() }),
    ] {
        assert_eq!(owner_of(labels, name), expected, "{name}");
    }
}

#[test]
fn variables_that_hold_something() {
    for (line, expected) in [
        ("A=b", Some(("A", false))),
        ("A=", None),
        ("A", None),
        ("A_FILE=/run/x", None),
        ("URL=postgres://u:p@db/x", Some(("URL", true))),
        ("URL=postgres://u:@db/x", Some(("URL", false))),
        ("URL=postgres://u@db/x:p@", Some(("URL", false))),
        ("URL=https://db/?a:b@c", Some(("URL", false))),
        ("URL=redis://:p@db", Some(("URL", true))),
    ] {
        let seen = env(line);
        assert_eq!(seen.as_ref().map(|seen| (seen.name.as_str(), seen.url_with_password)), expected, "{line}");
    }
}

#[test]
fn names_and_ids() {
    let rows = json!([
        {"Id": "ab", "Names": ["/web/db", "/db"]}, {"Id": "../x", "Names": ["/x"]}, {"Id": "", "Names": ["/y"]}, {"Id": "cd", "Names": null}
    ]);
    let names: Vec<String> = list(rows.to_string().as_bytes()).unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["db", "cd"]);
    assert!(list(b"{}").is_err());
}

#[test]
fn days_since_a_container_ended() {
    let days = |state: Value, finished: &str| {
        let mut sent = recorded();
        sent["State"]["Running"] = state;
        sent["State"]["FinishedAt"] = finished.into();
        sent["Created"] = "2027-01-05T08:00:00Z".into();
        read(&sent).0.stopped_days
    };
    // 1800000000 is 2027-01-15T08:00:00Z.
    assert_eq!(days(json!(true), "0001-01-01T00:00:00Z"), None);
    assert_eq!(days(json!(false), "2027-01-14T07:59:59Z"), Some(1));
    assert_eq!(days(json!(false), "0001-01-01T00:00:00Z"), Some(10), "never started: since it was made");
    assert_eq!(days(json!(false), "2028-01-01T00:00:00Z"), Some(0), "a clock that was put back");
}

proptest! {
    #[test]
    fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (list(&body).is_ok(), container(&body, NOW).is_ok(), exec(&body).is_ok(), image_id(&body).is_ok());
    }

    #[test]
    fn no_line_of_the_environment_panics(line in ".*") {
        let _ = env(&line);
    }
}
