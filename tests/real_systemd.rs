//! harden on whole hosts: systemd as process 1, docker.service, docker.socket, and containers that must not notice.

mod lab;

use lab::host::{Host, engine, lab};
use lab::run::{Report, text};
use serde_json::json;

const CONFIG: &str = "/etc/docker/daemon.json";
const RULES: &str = "/etc/audit/rules.d/50-harden-docker.rules";
const FLAGS: &str = "/etc/systemd/system/docker.service.d/zz-harden.conf";
const DROP_IN: &str = "/etc/systemd/system/docker.socket.d/zz-harden.conf";

/// Checks that everything about audit in the kernel is unknown, with the reason: a container can't reach it.
fn assert_audit_unknown(report: &Report) {
    let mut seen = 0;
    for finding in report.findings().filter(|finding| finding["area"] == "audit" && finding["status"] == "unknown") {
        let reason = text(&finding["fix"]["reason"]);
        assert!(reason.contains("CAP_AUDIT_CONTROL in the host's own pid namespace (EPERM)"), "{reason}");
        seen += 1;
    }
    assert!(seen > 0, "{:?}", report.with_status("unknown"));
    let watches = |status| report.with_status(status).into_iter().filter(|finding| finding.starts_with("audit-watch-"));
    assert_eq!(watches("compliant").collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_restart_keeps_the_containers_and_a_second_apply_does_nothing() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "restart");
    host.run_containers();
    let pids = host.container_pids();
    let daemon = host.sh("systemctl show --property=MainPID --value docker.service");

    let report = host.harden(&["check"]).report(2);
    assert_eq!(report.0["host"]["service_manager"], "systemd");
    assert_eq!(report.activations(), ["docker-reload", "docker-restart"]);
    let restart = &report.0["activations"][1]["reason"];
    assert_eq!(*restart, "restarts dockerd; 2 containers running and keep running by live-restore");
    assert_eq!(host.container_pids(), pids);
    assert_eq!(host.run(&["test", "-e", CONFIG]).code, 1, "check writes nothing");

    let report = host.harden(&["apply", "--yes", "-b", "essential"]).report(0);
    assert_eq!((&report.0["changed"], &report.0["failed"]), (&json!(true), &json!(false)));
    assert_eq!(report.changes(), [RULES, CONFIG]);
    // What the machine lacks (another kernel, newer packages) is nothing that harden installs.
    let drift = report.with_status("drift");
    assert!(drift.iter().all(|finding| finding.starts_with("host-")), "{drift:?}");
    assert_audit_unknown(&report);
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    assert_ne!(host.sh("systemctl show --property=MainPID --value docker.service"), daemon, "dockerd was restarted");
    assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}} {{.ContainersRunning}}'"), "true 2");
    let new = "docker create --name new inner:1 x >/dev/null; docker inspect --format '{{.HostConfig.LogConfig.Config}}' new";
    assert_eq!(host.sh(new), "map[max-file:3 max-size:10m]", "what the restart was for is in force");

    let written = format!("stat --format '%n %i %Y %Z' {CONFIG} {RULES} /etc/docker /etc/audit/rules.d");
    let before = host.sh(&written);
    let report = host.harden(&["apply", "--yes", "-b", "essential"]).report(0);
    assert_eq!((&report.0["changed"], report.changes().len(), report.activations().len()), (&json!(false), 0, 0));
    assert_eq!(host.sh(&written), before, "nothing is written twice");
    let report = host.harden(&["check", "--skip", "host-*"]).report(0);
    assert_audit_unknown(&report);

    // The old file is one without live-restore: going back would end the containers, and needs a word more than --yes.
    let refused = host.harden(&["rollback", "--yes"]).report(1);
    assert_eq!(
        text(&refused.0["msg"]),
        "going back restarts dockerd, which stops 2 containers: live-restore is switched off in /etc/docker/daemon.json; nothing \
         was changed\n  help: allow it with --max-risk disruptive"
    );
    assert_eq!(host.container_pids(), pids);
}

#[test]
fn a_socket_that_everybody_may_open() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "socket");
    let socket = "stat --format '%a %U %G' /run/docker.sock";
    let open = "/etc/systemd/system/docker.socket.d/override.conf";
    host.write(open, "[Socket]\nSocketMode=0666\n");
    host.sh("systemctl daemon-reload && systemctl restart docker.socket docker.service");
    assert_eq!(host.sh(socket), "666 root docker");

    let report = host.harden(&["check", "--only", "socket-docker-*"]).report(2);
    assert_eq!(
        report.with_status("drift"),
        ["socket-docker-mode /run/docker.sock", "socket-docker-unit-settings docker.socket SocketMode"]
    );
    let setting = report.finding("socket-docker-unit-settings", "docker.socket SocketMode");
    assert_eq!(setting["evidence"], json!([format!("{open}:2")]));

    let report = host.harden(&["apply", "--yes", "--only", "socket-docker-*"]).report(0);
    assert_eq!(report.changes(), ["/run/docker.sock", DROP_IN]);
    assert_eq!(report.activations(), ["systemd-reload"]);
    assert_eq!(host.sh(socket), "660 root docker");
    assert_eq!(host.sh("systemctl show --property=SocketMode --value docker.socket"), "0660");
    host.sh("systemctl restart docker.socket docker.service");
    assert_eq!(host.sh(socket), "660 root docker", "it outlasts a restart");
    host.harden(&["check", "--only", "socket-docker-*"]).report(0);

    // A drop-in that is read after harden's own: the live socket is closed, the rest is said.
    let last = "/etc/systemd/system/docker.socket.d/zzz-open.conf";
    host.write(last, "[Socket]\nSocketMode=0666\n");
    host.sh("systemctl daemon-reload && systemctl restart docker.socket docker.service");
    let report = host.harden(&["apply", "--yes", "--only", "socket-docker-*"]).report(0);
    assert_eq!(report.changes(), ["/run/docker.sock"]);
    assert_eq!(host.sh(socket), "660 root docker");
    let setting = report.finding("socket-docker-unit-settings", "docker.socket SocketMode");
    assert_eq!(setting["status"], "drift");
    let reason = text(&setting["fix"]["reason"]);
    assert_eq!(reason, format!("{last}:2 is read after harden's own drop-in and wins; change SocketMode there"));
}

#[test]
fn a_drop_in_that_systemd_has_not_read_is_not_in_force() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "unread");
    let mode = || host.sh("systemctl show --property=SocketMode --value docker.socket");
    host.write("/etc/systemd/system/docker.socket.d/override.conf", "[Socket]\nSocketMode=0666\n");
    host.sh("systemctl daemon-reload && systemctl restart docker.socket docker.service");
    let report = host.harden(&["apply", "--yes", "--no-activate", "--only", "socket-docker-*"]).report(0);
    assert_eq!(report.changes(), ["/run/docker.sock", DROP_IN]);
    assert_eq!(report.0["activations"][0]["by_hand"], "--no-activate leaves it to you: `systemctl daemon-reload`");
    assert_eq!(mode(), "0666");
    let report = host.harden(&["check", "--only", "socket-docker-*"]).report(2);
    let setting = report.finding("socket-docker-unit-settings", "docker.socket SocketMode");
    assert_eq!(setting["observed"], "0660; systemd has not read that yet");
    let report = host.harden(&["apply", "--yes", "--only", "socket-docker-*"]).report(0);
    assert_eq!((report.changes().len(), &report.0["activated"]), (0, &json!(["systemd-reload"])));
    assert_eq!(mode(), "0660");
    host.harden(&["check", "--only", "socket-docker-*"]).report(0);
}

#[test]
fn flags_of_the_unit_are_corrected_in_a_drop_in() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "flags");
    // An administrator's own drop-in, written in all the ways that systemd knows.
    let drop_in = "/etc/systemd/system/docker.service.d/site.conf";
    let exec = "-/usr/sbin/dockerd -H fd:// \\\n  --containerd=%t/containerd/containerd.sock --experimental \\\n  --log-level=debug \
                '--label=site=100%% $$x' $DOCKER_OPTS";
    host.write(drop_in, &format!("[Service]\n# for an hour\nExecStart=\nExecStart={exec}\n"));
    host.write("/etc/default/docker", "# ours\nDOCKER_OPTS=\"--debug\"\n");
    host.write(CONFIG, "{\"live-restore\": true}\n");
    host.sh("systemctl daemon-reload && systemctl restart docker.service");
    host.run_containers();
    let pids = host.container_pids();
    let cmdline = || {
        host.sh("tr '\\0' '\\n' < /proc/$(systemctl show --property=MainPID --value docker.service)/cmdline")
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let containerd = "--containerd=/run/containerd/containerd.sock";
    let label = "--label=site=100% $x";
    let old = ["/usr/sbin/dockerd", "-H", "fd://", containerd, "--experimental", "--log-level=debug", label, "--debug"];
    assert_eq!(cmdline(), old);
    // From here on dockerd would not start again.
    host.write(CONFIG, "{\"live-restore\": true, \"log-level\": \"info\"}\n");

    let only = ["config-valid", "log-level-info", "experimental-off", "debug-disabled", "live-restore"];
    let only: Vec<String> = only.iter().map(|name| format!("--only=daemon-{name}")).collect();
    let run = |arguments: &[&str]| {
        let only = only.iter().map(String::as_str);
        host.harden(&arguments.iter().copied().chain(["-b", "guide"]).chain(only).collect::<Vec<_>>())
    };
    let report = run(&["apply", "--yes"]).report(0);
    assert_eq!(report.changes(), [FLAGS]);
    assert_eq!(report.activations(), ["systemd-reload", "docker-restart"]);
    let new = ["/usr/sbin/dockerd", "-H", "fd://", containerd, "--experimental=false", label, "--debug"];
    assert_eq!(cmdline(), new);
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    assert_eq!(host.state("docker.service"), "active");
    assert_eq!(host.sh("docker info --format '{{.ExperimentalBuild}} {{.LiveRestoreEnabled}}'"), "false true");
    // What comes out of the administrator's variable is theirs.
    assert_eq!(report.with_status("drift"), ["daemon-debug-disabled debug"]);
    assert_eq!(
        report.finding("daemon-debug-disabled", "debug")["fix"]["reason"],
        "it is given by the flag --debug; change or take away that flag in /etc/default/docker:2 ($DOCKER_OPTS)"
    );
    let report = run(&["apply", "--yes"]).report(0);
    assert_eq!((&report.0["changed"], report.changes().len()), (&json!(false), 0), "a second apply does nothing");

    // There is no going back to flags with which dockerd does not start.
    let refused = host.harden(&["rollback", "--yes"]).report(1);
    let told = "going back would leave a dockerd that does not start: dockerd would still refuse /etc/docker/daemon.json: \
                `log-level` is also given as a flag";
    assert!(text(&refused.0["msg"]).contains(told), "{}", refused.0["msg"]);
    assert_eq!((cmdline(), host.state("docker.service")), (new.map(str::to_owned).to_vec(), "active".to_owned()));
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    host.write(CONFIG, "{\"live-restore\": true}\n");
    host.harden(&["rollback", "--yes"]).report(0);
    assert_eq!(host.run(&["test", "-e", FLAGS]).code, 1);
    assert_eq!(cmdline(), old);
    assert_eq!(host.container_pids(), pids, "the containers noticed");

    // The unit is right, but neither systemd nor dockerd has read it.
    host.write(
        drop_in,
        &format!("[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd:// {containerd} --log-level=info\n"),
    );
    let level = ["apply", "--yes", "--only=daemon-log-level-info"];
    let report = host.harden(&level).report(0);
    assert_eq!((report.changes().len(), report.activations()), (0, vec!["systemd-reload".into(), "docker-restart".into()]));
    assert_eq!(cmdline(), ["/usr/sbin/dockerd", "-H", "fd://", containerd, "--log-level=info"]);
    assert_eq!(host.container_pids(), pids, "the containers noticed");
}

#[test]
fn a_stopped_docker_is_not_started() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "stopped");
    host.sh("systemctl stop docker.service");
    let states = || (host.state("docker.service"), host.state("docker.socket"));
    let stopped = ("inactive".to_owned(), "active".to_owned());
    assert_eq!(states(), stopped);

    let report = host.harden(&["check"]).report(2);
    assert_eq!(states(), stopped, "check started Docker");
    assert_eq!(report.0["host"]["docker"]["running"], false);
    host.harden(&["plan"]).ends_with(2);
    host.harden(&["--dry-run"]).ends_with(2);
    assert_eq!(states(), stopped, "a dry run started Docker");

    let report = host.harden(&["apply", "--yes"]).report(0);
    assert_eq!(report.activations(), [""; 0]);
    assert_eq!(states(), stopped, "apply started Docker");
    host.sh("systemctl start docker.service");
    assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}}'"), "true");
    host.harden(&["check", "--skip", "host-*"]).report(0);
}

#[test]
fn a_file_that_would_keep_dockerd_down_is_not_restarted_with() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "refused");
    host.run_containers();
    let pids = host.container_pids();
    let broken = "{\"seccomp-profile\": \"/etc/docker/gone.json\"}\n";
    host.write(CONFIG, broken);
    let run = host.harden(&["apply", "--yes", "--skip", "daemon-seccomp-default"]).report(1);
    let expected = format!(
        "dockerd would still refuse {CONFIG}: `seccomp-profile` names /etc/docker/gone.json, which does not exist; mend that first; \
         nothing was changed"
    );
    assert!(text(&run.0["msg"]).contains(&expected), "{}", run.0["msg"]);
    assert_eq!(host.sh(&format!("cat {CONFIG}")), broken.trim_end());
    assert_eq!((host.container_pids(), host.state("docker.service")), (pids, "active".to_owned()));
}

#[test]
fn a_data_root_that_somebody_edited_is_not_taken_into_force() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "edited");
    host.run_containers();
    let pids = host.container_pids();
    let daemon = host.sh("systemctl show --property=MainPID --value docker.service");
    host.write(CONFIG, "{\"data-root\": \"/srv/docker\"}\n");
    let report = host.harden(&["apply", "--yes", "--only", "daemon-l*"]).report(0);
    assert_eq!((report.changes(), report.activations()), (vec![CONFIG], vec!["docker-reload".to_owned()]));
    assert_eq!(
        report.finding("daemon-log-rotation", "log-opts.max-size")["fix"]["reason"],
        "its fix is disruptive: restarting dockerd also takes into force data-root: /srv/docker, edited since dockerd started: images, \
         containers and volumes of /var/lib/docker vanish; allow it with --max-risk disruptive"
    );
    assert_eq!(host.sh("systemctl show --property=MainPID --value docker.service"), daemon, "dockerd was not restarted");
    assert_eq!((host.container_pids(), host.sh("docker info --format '{{.DockerRootDir}}'")), (pids, "/var/lib/docker".into()));
}

#[test]
fn a_restart_that_fails_is_undone_and_the_containers_live() {
    let lab = lab();
    let engine = engine(&lab);
    for old in [None, Some("{\n    \"labels\": [\"a=b\"]\n}\n")] {
        let host = Host::boot(&engine, "undone");
        host.run_containers();
        if let Some(old) = old {
            host.write(CONFIG, old);
        }
        let pids = host.container_pids();
        // Something of this host that harden can't know does not get along with what it writes.
        let picky = "[Service]\nExecStartPre=/bin/sh -c '! grep -q log-opts /etc/docker/daemon.json'\n";
        host.write("/etc/systemd/system/docker.service.d/picky.conf", picky);
        host.sh("systemctl daemon-reload");
        let tree = "find /etc/docker /etc/audit /etc/systemd ! -name key.json -type f -exec sha256sum {} + | sort";
        let before = host.sh(tree);

        let run = host.harden(&["apply", "--yes"]).report(1);
        let said = text(&run.0["msg"]);
        assert!(said.contains("`systemctl restart docker.service` failed"), "{said}");
        assert!(
            said.contains("everything was put back; the running dockerd keeps live-restore: true until it is restarted"),
            "{said}"
        );
        assert_eq!(host.sh(tree), before);
        assert_eq!((host.state("docker.service"), host.state("docker.socket")), ("active".to_owned(), "active".to_owned()));
        assert_eq!(host.container_pids(), pids, "the containers noticed");

        host.sh("rm /etc/systemd/system/docker.service.d/picky.conf && systemctl daemon-reload");
        host.harden(&["apply", "--yes"]).report(0);
        assert_eq!(host.container_pids(), pids, "the containers noticed");
    }
}

#[test]
fn a_run_that_is_killed_in_the_restart_is_put_back_and_the_containers_live() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "killed");
    host.run_containers();
    let pids = host.container_pids();
    let slow = "[Service]\nExecStartPre=/bin/sleep 2\nExecStartPre=/bin/sh -c '! grep -q log-opts /etc/docker/daemon.json'\n";
    host.write("/etc/systemd/system/docker.service.d/slow.conf", slow);
    host.sh("systemctl daemon-reload");
    let tree = "find /etc/docker /etc/audit /etc/systemd ! -name key.json -type f -exec sha256sum {} + | sort";
    let before = host.sh(tree);
    // In the reload with the new file, before the restart; in the restart; and where that has failed, in the one with the old file and live-restore for a moment.
    let moments = [
        "grep -qs docker-reload /var/lib/harden/transactions/*/journal.jsonl",
        "grep -qs docker-restart /var/lib/harden/transactions/*/journal.jsonl",
        "grep -qs live-restore /etc/docker/daemon.json && ! grep -q log-opts /etc/docker/daemon.json",
    ];
    for moment in moments {
        host.sh(&format!(
            "rm -rf /var/lib/harden; harden apply --yes >/dev/null 2>&1 & for try in $(seq 600); do if {moment}; then kill -9 $!; \
             exit 0; fi; sleep 0.05; done; exit 1"
        ));
        assert_ne!(host.sh(tree), before, "killed before anything was written: {moment}");
        host.harden(&["recover"]).report(0);
        assert_eq!(host.sh(tree), before, "{moment}");
        assert_eq!((host.state("docker.service"), host.state("docker.socket")), ("active".to_owned(), "active".to_owned()));
        assert_eq!(host.container_pids(), pids, "the containers noticed: {moment}");
    }
}

#[test]
fn a_node_of_a_swarm_gets_no_live_restore() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "swarm");
    host.run_containers();
    let pids = host.container_pids();
    host.sh("docker swarm init --advertise-addr 127.0.0.1");
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!((report.changes().len(), report.activations().len()), (0, 0), "its restart would stop containers");
    assert_eq!(host.container_pids(), pids);
    assert_eq!(
        report.finding("daemon-live-restore", "live-restore")["fix"]["reason"],
        "this node is in a swarm, which refuses live-restore"
    );
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*", "--max-risk", "disruptive"]).report(0);
    let restart = &report.0["activations"][0]["reason"];
    assert_eq!(*restart, "restarts dockerd, which stops 2 containers: live-restore is off");
    assert_eq!(host.sh("docker info --format '{{.Swarm.LocalNodeState}} {{.LiveRestoreEnabled}}'"), "active false");
    host.harden(&["check", "--only", "daemon-*"]).report(0);
}

#[test]
fn a_dockerd_of_another_service_is_restarted_by_hand() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot(&engine, "other");
    host.sh("systemctl stop docker.socket docker.service");
    host.sh("systemd-run --unit=other dockerd --containerd=/run/containerd/containerd.sock");
    host.sh("for try in $(seq 100); do docker info >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1");
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!(report.activations(), ["docker-reload", "docker-restart by hand"]);
    assert_eq!((host.state("docker.service"), host.state("other.service")), ("inactive".to_owned(), "active".to_owned()));
    host.harden(&["check", "--only", "daemon-*"]).report(2);
    host.sh("systemctl stop other.service; systemctl start docker.service");
    host.harden(&["check", "--only", "daemon-*"]).report(0);
}
