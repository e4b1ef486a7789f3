//! harden on a whole host of Debian 13: engine 26.1, systemd 257, audit 4. What is said of Debian 12 must hold there too.

mod lab;

use std::collections::BTreeSet;

use lab::host::{Host, TRIXIE, engine_with, lab};
use lab::run::{Report, text};
use serde_json::json;

const SLEEP: &str = "/bin/busybox sleep 100000";
/// Flags of a container that nobody complains of at level 1.
const GOOD: &str = "--network none --user 1000:1000 --read-only --cap-drop ALL --security-opt no-new-privileges --memory 64m \
                    --cpus 0.5 --pids-limit 50 --restart on-failure:3 --health-cmd /bin/true";
/// Containers, their flags, and the controls that each breaks beside those of a container without any care.
const BAD: &[(&str, &str, &[&str])] = &[
    ("plain", "--network none", &[]),
    ("caps", "--network none --cap-add SYS_ADMIN", &["container-no-dangerous-caps", "container-capabilities-restricted"]),
    ("net", "--network host", &["container-no-host-network"]),
    ("pid", "--network none --pid host", &["container-no-host-pid"]),
    ("ipc", "--network none --ipc host", &["container-no-host-ipc"]),
    ("uts", "--network none --uts host", &["container-no-host-uts"]),
    (
        "mounts",
        "--network none -v /run/docker.sock:/s -v /etc:/e",
        &["container-no-docker-socket", "container-no-sensitive-mounts"],
    ),
    ("seccomp", "--network none --security-opt seccomp=unconfined", &["container-seccomp-enabled"]),
    ("always", "--network none --restart always", &["container-restart-policy"]),
];
const CARELESS: [&str; 7] = [
    "container-cpu-limit",
    "container-healthcheck",
    "container-memory-limit",
    "container-no-new-privileges",
    "container-pids-limit",
    "container-readonly-rootfs",
    "container-user-nonroot",
];

fn drift_of(report: &Report, container: &str) -> BTreeSet<String> {
    let target = format!("container:{container}");
    let own = report.findings().filter(|finding| finding["target"] == target && finding["status"] == "drift");
    own.map(|finding| text(&finding["control"]).to_owned()).collect()
}

#[test]
fn containers_of_engine_26() {
    let lab = lab();
    let engine = engine_with(&lab, &TRIXIE);
    let host = Host::boot_of(&engine, &TRIXIE, "trixie-containers");
    host.sh("mkdir -p /tmp/image/bin && cp /bin/busybox /tmp/image/bin && tar -C /tmp/image -c . | docker import - inner:1");
    host.sh(&format!("docker run -d --name good {GOOD} inner:1 {SLEEP}"));
    for (name, flags, _) in BAD {
        host.sh(&format!("docker run -d --name {name} {flags} inner:1 {SLEEP}"));
    }
    let report = host.harden(&["check", "-b", "cis-l1", "--only", "container-*", "--only", "image-*"]).report(2);
    assert!(text(&report.0["host"]["docker"]["version"]).starts_with("26.1"), "{}", report.0["host"]);
    assert_eq!(drift_of(&report, "good"), BTreeSet::new());
    for (name, _, own) in BAD {
        let expected: BTreeSet<String> = CARELESS.iter().chain(*own).map(|id| (*id).to_owned()).collect();
        assert_eq!(drift_of(&report, name), expected, "{name}");
    }
    let unknown = report.with_status("unknown");
    assert!(unknown.iter().all(|finding| !finding.starts_with("container-")), "{unknown:?}");
    assert_eq!(report.finding("image-user-nonroot", "image:inner:1")["status"], "drift");

    // What the engine can set while a container runs is set, and put back.
    let limit = ["--only", "container-memory-limit", "--set", "container.memory=64m", "--max-risk", "disruptive"];
    let apply = [&["apply", "--yes", "-b", "cis-l1"][..], &limit].concat();
    let limits = "docker inspect --format '{{.HostConfig.Memory}} {{.State.Pid}}' plain";
    host.harden(&apply).report(0);
    assert!(host.sh(limits).starts_with("67108864 "), "{}", host.sh(limits));
    assert_eq!(host.harden(&apply).report(0).0["changed"], false);
    host.harden(&["rollback", "--yes"]).report(0);
    // The engine takes 0 for "leave it as it is": no limit is one beyond every memory.
    let report = host.harden(&["check", "-b", "cis-l1", "--only", "container-memory-limit"]).report(2);
    assert!(drift_of(&report, "plain").contains("container-memory-limit"), "{}", host.sh(limits));
}

#[test]
fn a_restart_of_engine_26_keeps_the_containers() {
    let lab = lab();
    let engine = engine_with(&lab, &TRIXIE);
    let host = Host::boot_of(&engine, &TRIXIE, "trixie-restart");
    host.run_containers();
    let pids = host.container_pids();
    // What the machine is, and containers that others made, no apply mends.
    let apply = ["apply", "--yes", "-b", "essential", "--skip", "host-*", "--skip", "container-*"];
    let report = host.harden(&apply).report(0);
    assert_eq!((&report.0["changed"], &report.0["failed"]), (&json!(true), &json!(false)));
    assert_eq!(report.with_status("drift"), [""; 0]);
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}} {{.ContainersRunning}}'"), "true 2");
    let report = host.harden(&apply).report(0);
    assert_eq!((&report.0["changed"], report.changes().len(), report.activations().len()), (&json!(false), 0, 0));
    host.harden(&["rollback", "--yes", "--max-risk", "disruptive"]).report(0);
    host.wait_for("docker info");
    assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}}'"), "false");
}
