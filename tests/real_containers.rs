//! Containers of a real engine: a well-behaved one, and twins of it that differ in one thing each. Exactly that thing is found. Limits
//! are set while the container runs, and put back.

mod lab;

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use lab::run::{Report, Run, harden, text};
use lab::{Dockerd, Lab};

/// What a container needs to be as wanted by every control: each flag, and its name in the table below.
const GOOD: [(&str, &[&str]); 11] = [
    ("user", &["--user", "1000:1000"]),
    ("caps", &["--cap-drop", "ALL"]),
    ("nnp", &["--security-opt", "no-new-privileges"]),
    ("memory", &["--memory", "64m"]),
    ("cpus", &["--cpus", "0.5"]),
    ("pids", &["--pids-limit", "50"]),
    ("root", &["--read-only", "--tmpfs", "/tmp"]),
    ("restart", &["--restart", "on-failure:3"]),
    ("health", &["--health-cmd", "/bin/busybox true", "--health-interval", "1h"]),
    ("network", &["--network", "front"]),
    ("publish", &["--publish", "172.17.0.1::80"]),
];

/// A twin: its name, the good flags that it lacks, its own flags, and every drift with what is seen.
struct Twin {
    name: &'static str,
    lacks: &'static [&'static str],
    flags: &'static [&'static str],
    drift: &'static [(&'static str, &'static str)],
}

const TWINS: &[Twin] = &[
    Twin { name: "good", lacks: &[], flags: &[], drift: &[] },
    Twin {
        name: "hostnet",
        lacks: &["network", "publish"],
        flags: &["--network", "host"],
        drift: &[("container-no-host-network", "the host's")],
    },
    Twin {
        name: "hostspaces",
        lacks: &[],
        flags: &["--pid", "host", "--ipc", "host", "--uts", "host", "--userns", "host"],
        drift: &[
            ("container-no-host-ipc", "the host's"),
            ("container-no-host-pid", "the host's"),
            ("container-no-host-userns", "the host's"),
            ("container-no-host-uts", "the host's"),
        ],
    },
    Twin {
        name: "guest",
        lacks: &["network", "publish"],
        flags: &["--pid", "container:hostspaces", "--network", "container:hostnet"],
        drift: &[
            ("container-no-host-network", "the host's, through the container hostnet"),
            ("container-no-host-pid", "the host's, through the container hostspaces"),
            ("container-no-shared-netns", "in the network of hostnet"),
        ],
    },
    Twin {
        name: "mounts",
        lacks: &[],
        flags: &["--volume", "LAB/docker.sock:/s:ro", "--volume", "/etc/ssl:/e", "--volume", "LAB/open:/o"],
        drift: &[
            ("container-mount-source-perms", "LAB/open with mode 0777"),
            ("container-no-docker-socket", "LAB/docker.sock"),
            ("container-no-sensitive-mounts", "/etc/ssl"),
        ],
    },
    Twin {
        name: "caps",
        lacks: &["caps"],
        flags: &["--cap-add", "SYS_ADMIN", "--cap-add", "net_admin", "--cap-drop", "NET_RAW"],
        drift: &[
            ("container-cap-drop-all", "drops NET_RAW"),
            ("container-capabilities-restricted", "NET_ADMIN, SYS_ADMIN"),
            ("container-no-dangerous-caps", "SYS_ADMIN"),
        ],
    },
    Twin {
        name: "unconfined",
        lacks: &["nnp"],
        flags: &["--security-opt", "seccomp=unconfined", "--security-opt", "systempaths=unconfined"],
        drift: &[
            ("container-default-masked-paths", "without /proc/asound"),
            ("container-no-new-privileges", "not set"),
            ("container-seccomp-enabled", "not filtered"),
        ],
    },
    Twin {
        name: "device",
        lacks: &[],
        flags: &["--device", "/dev/null:/dev/n:r", "--ulimit", "nofile=1000:2000", "--cgroup-parent", "/harden-lab"],
        drift: &[
            ("container-cgroup-parent", "/harden-lab"),
            ("container-no-host-devices", "/dev/null:r"),
            ("container-ulimits", "nofile=1000:2000"),
        ],
    },
    Twin {
        name: "ports",
        lacks: &["publish"],
        flags: &["--publish", "8080:80", "--publish", "172.17.0.1:25:25", "--publish-all", "--expose", "22"],
        drift: &[
            ("container-bind-specific-interface", "(for 22/tcp) on 0.0.0.0, 8080 (for 80/tcp) on 0.0.0.0"),
            ("container-no-privileged-ports", "25 (for 25/tcp)"),
            ("container-no-sshd", "port 22 (exposed)"),
            ("container-only-needed-ports", "every exposed port (-P)"),
        ],
    },
    Twin {
        name: "sshd",
        lacks: &["restart"],
        flags: &[
            "--restart",
            "always",
            "--env",
            "DB_PASSWORD=hunter2",
            "--env",
            "TOKEN_FILE=/run/t",
            "--volume",
            "LAB/ssh:/opt:ro",
        ],
        drift: &[
            ("container-no-secret-env", "DB_PASSWORD"),
            ("container-no-sshd", "sshd (running)"),
            ("container-restart-policy", "always"),
        ],
    },
    Twin {
        name: "plain",
        lacks: &["user", "caps", "nnp", "memory", "cpus", "pids", "root", "restart", "health", "network", "publish"],
        flags: &[],
        drift: &[
            ("container-cap-drop-all", "drops none"),
            ("container-cpu-limit", "without a limit"),
            ("container-healthcheck", "not checked"),
            ("container-memory-limit", "without a limit"),
            ("container-no-new-privileges", "not set"),
            ("container-not-default-bridge", "bridge"),
            ("container-pids-limit", "without a limit"),
            ("container-readonly-rootfs", "writable"),
            ("container-user-nonroot", "root"),
        ],
    },
    // It is made only: where a capability is missing from the machine itself, it would not start.
    Twin {
        name: "privileged",
        lacks: &["caps"],
        flags: &["--privileged"],
        drift: &[
            ("container-cap-drop-all", "drops none"),
            ("container-capabilities-restricted", "ALL"),
            ("container-default-masked-paths", "without /proc/asound"),
            ("container-no-dangerous-caps", "ALL"),
            ("container-no-host-devices", "all (privileged)"),
            ("container-no-privileged", "privileged"),
            ("container-seccomp-enabled", "not filtered"),
        ],
    },
];

/// Every control of containers that a real engine shows, with no policy that only some hosts have.
const BASELINE: &str = r#"schema = 1
name = "containers"
extends = "guide"
[controls]
enable = ["container-no-shared-propagation", "container-exec-not-privileged", "container-exec-not-root", "container-sprawl"]
[vars.container]
max_processes = 1
"#;

struct Engine<'lab> {
    lab: &'lab Lab,
    daemon: Dockerd<'lab>,
}

impl<'lab> Engine<'lab> {
    fn start(lab: &'lab Lab) -> Self {
        let daemon = Dockerd::start(lab, "{}", &[]);
        daemon.run_container("seed");
        daemon.docker(&["rm", "--force", "seed"]);
        daemon.docker(&["network", "create", "front"]);
        fs::write(lab.dir().join("containers.toml"), BASELINE).expect("a baseline");
        Engine { lab, daemon }
    }

    fn path(&self, text: &str) -> String {
        text.replace("LAB", self.lab.dir().to_str().expect("a path"))
    }

    fn make(&self, twin: &Twin) {
        let verb: &[&str] = if twin.name == "privileged" { &["create"] } else { &["run", "--detach"] };
        let good = GOOD.iter().filter(|(name, _)| !twin.lacks.contains(name)).flat_map(|(_, flags)| flags.iter());
        let program: &[&str] =
            if twin.name == "sshd" { &["/opt/sleep", "100000"] } else { &["/bin/busybox", "sleep", "100000"] };
        let own: Vec<String> = twin.flags.iter().map(|flag| self.path(flag)).collect();
        let mut arguments: Vec<&str> = verb.to_vec();
        arguments.extend(["--name", twin.name]);
        arguments.extend(good);
        arguments.extend(own.iter().map(String::as_str));
        arguments.push("lab:1");
        arguments.extend(program);
        self.daemon.docker(&arguments);
    }

    fn harden(&self, arguments: &[&str], code: i32) -> Report {
        self.run(arguments).report(code)
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let (socket, state) = (self.daemon.endpoint().to_string(), self.path("LAB/state"));
        let baseline = self.path("LAB/containers.toml");
        let mut all = arguments.to_vec();
        if arguments[0] != "rollback"
            && !arguments.iter().any(|argument| argument.ends_with("plan.json") && arguments[0] == "apply")
        {
            all.extend(["--baseline", &baseline, "--only", "container-*"]);
        }
        all.extend(["--docker-host", &socket, "--state-dir", &state, "--max-risk", "disruptive", "--format", "json"]);
        harden(&all)
    }

    fn inspect(&self, name: &str, format: &str) -> String {
        self.daemon.docker(&["inspect", "--format", format, name])
    }
}

/// `control: what is seen` of each finding of a container with this status.
fn of(report: &Report, name: &str, status: &str) -> Vec<(String, String)> {
    let target = format!("container:{name}");
    let own = report.findings().filter(|finding| finding["target"] == target && finding["status"] == status);
    own.map(|finding| (text(&finding["control"]).to_owned(), text(&finding["observed"]).to_owned())).collect()
}

#[test]
fn what_is_wrong_is_found_and_nothing_else() {
    let lab = Lab::new();
    let ssh = lab.busybox("ssh/sshd");
    std::os::unix::fs::symlink("sshd", ssh.with_file_name("sleep")).expect("a name for the applet");
    let open = lab.dir().join("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("its mode");
    let engine = Engine::start(&lab);
    TWINS.iter().for_each(|twin| engine.make(twin));

    let report = engine.harden(&["check"], 2);
    for twin in TWINS {
        let found = of(&report, twin.name, "drift");
        let controls: Vec<&str> = found.iter().map(|(control, _)| control.as_str()).collect();
        let expected: Vec<&str> = twin.drift.iter().map(|(control, _)| *control).collect();
        let sorted: BTreeSet<&str> = controls.iter().copied().collect();
        assert_eq!(sorted, expected.iter().copied().collect(), "{}: {found:#?}", twin.name);
        for (control, seen) in twin.drift {
            let (_, observed) = found.iter().find(|(other, _)| other == control).expect("a finding");
            assert!(observed.contains(&engine.path(seen)), "{} {control}: {observed}", twin.name);
        }
        assert_eq!(of(&report, twin.name, "unknown"), [], "{}", twin.name);
    }
    let text = report.0.to_string();
    assert!(!text.contains("hunter2"), "a secret of a container is in the report");
    let evidence = &report.finding("container-no-new-privileges", "container:good")["evidence"];
    let pid = engine.daemon.container_pid("good");
    assert_eq!(evidence[0], Value::from(format!("kernel /proc/{pid}/status NoNewPrivs: 1")));

    // What is run inside later is seen as well. (A privileged exec needs every capability, which not every machine has.)
    engine.daemon.docker(&["exec", "--detach", "--user", "0", "good", "/bin/busybox", "sleep", "100000"]);
    let report = engine.harden(&["check"], 2);
    let found: Vec<String> = of(&report, "good", "drift").into_iter().map(|(control, _)| control).collect();
    assert_eq!(
        BTreeSet::from_iter(found.iter().map(String::as_str)),
        BTreeSet::from(["container-user-nonroot", "container-exec-not-root"])
    );

    // A container that is gone is not there; one that has stopped is judged by how it was made.
    engine.daemon.docker(&["rm", "--force", "plain"]);
    engine.daemon.docker(&["stop", "--time", "0", "hostspaces"]);
    let report = engine.harden(&["check"], 2);
    assert!(report.findings().all(|finding| finding["target"] != "container:plain"));
    assert_eq!(of(&report, "hostspaces", "drift").len(), 4, "the same as while it ran");
}

/// Everything that the engine can set is set without a new process, looked at again, and put back.
#[test]
fn limits_are_set_and_put_back_while_it_runs() {
    const LIMITS: &str = "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.State.Pid}}";
    let lab = Lab::new();
    let engine = Engine::start(&lab);
    let bare = Twin { flags: &["--restart", "always"], drift: &[], ..TWINS[TWINS.len() - 2] };
    assert_eq!(bare.name, "plain");
    engine.make(&bare);
    let ours = |name: &str| {
        ["memory", "cpu", "pids"].iter().any(|limit| name == format!("container-{limit}-limit"))
            || name == "container-restart-policy"
    };
    let open = |report: &Report| of(report, "plain", "drift").into_iter().filter(|(control, _)| ours(control)).count();
    let (before, pid) = (engine.inspect("plain", LIMITS), engine.daemon.container_pid("plain"));

    let sets = ["--set", "container.memory=64m", "--set", "container.cpus=0.5", "--set", "container.pids_limit=77"];
    let with = |command: &[&'static str]| -> Vec<&str> { [command, &sets].concat() };
    assert_eq!(open(&engine.harden(&["check"], 2)), 4);
    let applied = engine.harden(&with(&["apply", "--yes"]), 0);
    assert_eq!(applied.0["changed"], true);
    assert_eq!(applied.changes(), ["container:plain"]);
    assert_eq!(open(&applied), 0);
    assert_eq!(engine.inspect("plain", LIMITS), format!("on-failure:5 {pid}"));
    let limits = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuQuota}} {{.HostConfig.PidsLimit}}";
    assert_eq!(engine.inspect("plain", limits), "67108864 134217728 50000 77");
    let kernel = |report: &Report| {
        let evidence = |control: &str| {
            text(&report.finding(control, "container:plain")["evidence"][0]).rsplit(": ").next().map(str::to_owned)
        };
        (evidence("container-memory-limit"), evidence("container-pids-limit"))
    };
    assert_eq!(kernel(&applied), (Some("67108864".into()), Some("77".into())));
    let again = engine.harden(&with(&["apply", "--yes"]), 0);
    assert_eq!(again.0["changed"], false, "a second run finds nothing to do");

    engine.harden(&["rollback", "--yes"], 0);
    assert_eq!(engine.inspect("plain", LIMITS), before);
    let report = engine.harden(&["check"], 2);
    assert_eq!(open(&report), 4, "as it was");
    assert_eq!(kernel(&report), (Some("no limit".into()), Some("no limit".into())));

    // Someone else is faster than a saved plan.
    let plan = engine.path("LAB/plan.json");
    let saved = [&with(&["plan"])[..], &["--output", &plan]].concat();
    engine.harden(&saved, 2);
    engine.daemon.docker(&["update", "--pids-limit", "99", "plain"]);
    let run = engine.run(&["apply", &plan, "--yes"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stdout.contains("it is not as the plan saw it: it has "), "{run:?}");
    assert_eq!(engine.inspect("plain", "{{.HostConfig.PidsLimit}}"), "99");
}
