//! harden on hosts without systemd: dockerd is started by Debian's `/etc/init.d/docker`, or by hand.

mod lab;

use lab::host::{Host, engine, lab};
use lab::run::text;
use serde_json::json;

const CONFIG: &str = "/etc/docker/daemon.json";
const RULES: &str = "/etc/audit/rules.d/50-harden-docker.rules";

/// The process that the init script started.
fn dockerd(host: &Host) -> String {
    host.sh("cat /run/docker-ssd.pid")
}

/// What runs, stands still and was thrown away there.
fn containers(host: &Host) -> String {
    host.sh("docker ps --all --format '{{.Names}}' | sort | tr '\\n' ' '")
}

#[test]
fn an_init_script_restarts_what_it_started() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot_sysv(&engine, "sysv");
    host.run_containers();
    let (pids, daemon) = (host.container_pids(), dockerd(&host));

    let report = host.harden(&["check", "--only", "daemon-*"]).report(2);
    assert_eq!(report.0["host"]["service_manager"], "sysv");
    assert_eq!(report.activations(), ["docker-reload", "docker-restart"]);

    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!(report.with_status("drift"), [""; 0]);
    assert_eq!(report.0["msg"], "1 change made", "containers start, which was tried");
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    assert_ne!(dockerd(&host), daemon, "dockerd was restarted");
    assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}} {{.ContainersRunning}}'"), "true 2");
    assert_eq!(containers(&host), "one two");
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!((&report.0["changed"], report.activations().len()), (&json!(false), 0));

    let refused = host.harden(&["rollback", "--yes"]).report(1);
    assert!(text(&refused.0["msg"]).contains("which stops 2 containers: live-restore is switched off"), "{}", refused.0["msg"]);
    host.harden(&["rollback", "--yes", "--max-risk", "disruptive"]).report(0);
    assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}}'"), "false");
}

/// OpenRC itself is not here: what it leaves while a service runs is, and a stand-in for its `rc-service`.
#[test]
fn openrc_is_told_by_its_own_program() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot_sysv(&engine, "openrc");
    let daemon = dockerd(&host);
    host.write("/run/openrc/daemons/docker/001", "exec=/usr/sbin/dockerd\npidfile=/run/docker.pid\n");
    host.sh("mkdir /run/openrc/started; ln -s /etc/init.d/docker /run/openrc/started/docker");
    host.write("/usr/sbin/rc-service", "#!/bin/sh\necho \"$@\" >> /srv/asked\nexec service \"$@\"\n");
    host.sh("chmod 755 /usr/sbin/rc-service");
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!(report.0["host"]["service_manager"], "openrc");
    assert_eq!(report.activations(), ["docker-reload", "docker-restart"]);
    assert_eq!(host.sh("cat /srv/asked"), "docker restart");
    assert_ne!(dockerd(&host), daemon);
    host.harden(&["check", "--only", "daemon-*"]).report(0);
}

#[test]
fn without_activation_the_files_are_written_and_the_rest_is_listed() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot_sysv(&engine, "written");
    host.run_containers();
    let (pids, daemon) = (host.container_pids(), dockerd(&host));
    let report = host.harden(&["apply", "--yes", "--no-activate"]).report(0);
    assert_eq!(report.changes(), [RULES, CONFIG]);
    assert_eq!((&report.0["changed"], &report.0["failed"]), (&json!(true), &json!(false)));
    assert_eq!(report.0["msg"], "2 changes made; nothing was put in force (--no-activate)");
    let to_type: Vec<&str> =
        report.0["activations"].as_array().expect("activations").iter().map(|one| text(&one["by_hand"])).collect();
    assert_eq!(
        to_type,
        [
            format!("--no-activate leaves it to you: `kill -HUP {daemon}`"),
            "--no-activate leaves it to you: once `docker info --format '{{.LiveRestoreEnabled}}'` says true: `service docker \
             restart`"
                .into()
        ]
    );
    let unchanged = || {
        assert_eq!((dockerd(&host), host.container_pids()), (daemon.clone(), pids.clone()));
        assert_eq!(host.sh("docker info --format '{{.LiveRestoreEnabled}}'"), "false");
    };
    unchanged();
    let text_form = host.run(&["harden", "apply", "--yes", "--no-activate"]).ends_with(0);
    assert!(text_form.contains("What is left to do by hand") && text_form.contains("service docker restart"), "{text_form}");
    unchanged();

    // A rollback of what dockerd has never read restarts nothing.
    host.harden(&["rollback", "--yes"]).report(0);
    unchanged();
    assert_eq!(host.run(&["test", "-e", CONFIG]).code, 1);

    host.harden(&["apply", "--yes", "--no-activate", "--only", "daemon-*"]).report(0);
    let report = host.harden(&["check", "--only", "daemon-*"]).report(2);
    assert_eq!(report.activations(), ["docker-reload", "docker-restart"], "what is left is found");
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!((report.changes().len(), &report.0["activated"]), (0, &json!(["docker-reload", "docker-restart"])));
    assert_ne!(dockerd(&host), daemon);
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    host.harden(&["check", "--only", "daemon-*"]).report(0);
}

#[test]
fn a_dockerd_that_hangs_is_put_back() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot_sysv(&engine, "hangs");
    host.run_containers();
    let (pids, daemon) = (host.container_pids(), dockerd(&host));
    // Every dockerd that starts with the new file stands still.
    let stopper = format!(
        "while sleep 0.02; do new=$(cat /run/docker-ssd.pid 2>/dev/null); if [ \"$new\" ] && [ \"$new\" != {daemon} ] && grep -q \
         log-opts {CONFIG}; then kill -STOP $new; exit; fi; done"
    );
    host.sh(&format!("({stopper}) >/dev/null 2>&1 &"));
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*", "--health-timeout", "4"]).report(1);
    let said = text(&report.0["msg"]);
    assert!(said.starts_with("dockerd does not answer after 4 s: "), "{said}");
    assert!(said.contains("everything was put back"), "{said}");
    assert_eq!(host.run(&["test", "-e", CONFIG]).code, 1);
    assert_eq!(host.container_pids(), pids, "the containers noticed");
    host.sh("docker info");
}

#[test]
fn settings_that_no_container_starts_with_are_put_back() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot_sysv(&engine, "canary");
    let apply = ["apply", "--yes", "--only", "daemon-log-*", "--only", "daemon-live-restore"];
    let bad = [&apply[..], &["--set", "log.max_size=999999999999999g"]].concat();
    // Without an image nobody can tell.
    let report = host.harden(&bad).report(0);
    assert_eq!(
        report.0["msg"],
        "1 change made; whether containers still start could not be tried: there is no image on this host"
    );
    host.harden(&["rollback", "--yes"]).report(0);

    host.run_containers();
    let pids = host.container_pids();
    let report = host.harden(&bad).report(1);
    let said = text(&report.0["msg"]);
    assert!(said.starts_with("dockerd runs, but containers do not start: "), "{said}");
    assert!(said.contains("max-size") && said.contains("everything was put back"), "{said}");
    assert_eq!(host.run(&["test", "-e", CONFIG]).code, 1);
    assert_eq!((host.container_pids(), containers(&host).as_str()), (pids, "one two"));
    host.sh("docker run --rm inner:1 /bin/busybox true");

    // What was in the way was there before, and waited for a restart.
    host.write(CONFIG, "{\"log-opts\": {\"max-size\": \"999999999999999g\"}}\n");
    let only = ["--only", "daemon-no-new-*", "--only", "daemon-live-*"];
    let report = host.harden(&[&["apply", "--yes", "-b", "cis-l1", "--max-risk", "disruptive"], &only[..]].concat()).report(1);
    let said = text(&report.0["msg"]);
    assert!(said.starts_with("dockerd runs, but containers do not start: ") && said.contains("max-size"), "{said}");
    assert!(said.contains("put back; containers do not start with the old settings either"), "{said}");
    host.sh(&format!("rm {CONFIG}; service docker restart"));
    host.wait_for("docker info");
    host.sh("docker start one two");

    // What a killed run has left goes with the next try.
    host.sh("docker create --name harden-canary-1 --label harden.canary=1 inner:1 x; docker create --name harden-canary-x inner:1 x");
    host.harden(&apply).report(0);
    assert_eq!(containers(&host), "harden-canary-x one two");
}

#[test]
fn a_dockerd_started_by_hand_is_found_and_asked_where_it_listens() {
    let lab = lab();
    let engine = engine(&lab);
    let host = Host::boot_sysv(&engine, "bare");
    host.sh("service docker stop");
    host.write(
        "/srv/docker.json",
        "{\"hosts\": [\"tcp://127.0.0.1:4243\", \"unix:///srv/d.sock\"], \"pidfile\": \"/srv/d.pid\"}\n",
    );
    host.sh("dockerd --config-file /srv/docker.json --tls=false >/srv/log 2>&1 & disown 2>/dev/null || true");
    host.wait_for("docker -H unix:///srv/d.sock info");
    let report = host.harden(&["check", "--only", "daemon-*"]).report(2);
    let docker = &report.0["host"]["docker"];
    assert_eq!((&docker["config_file"], &docker["version"]), (&json!("/srv/docker.json"), &json!("20.10.24+dfsg1")));
    let report = host.harden(&["apply", "--yes", "--only", "daemon-*"]).report(0);
    assert_eq!(report.activations(), ["docker-reload", "docker-restart by hand"]);
    assert_eq!(
        report.0["activations"][1]["by_hand"],
        "/etc/init.d/docker did not start this dockerd: restart it the way it was started"
    );
    assert_eq!(host.sh("docker -H unix:///srv/d.sock info --format '{{.LiveRestoreEnabled}}'"), "true");
    assert_eq!(host.run(&["test", "-e", "/run/docker.sock"]).code, 1, "nothing else was started");

    // Of several the one is meant that the default file's process id names.
    host.write(CONFIG, "{\"pidfile\": \"/srv/two.pid\"}\n");
    let two = "--bridge none --iptables=false --data-root /srv/two --exec-root /srv/two/exec --host unix:///srv/two.sock";
    host.sh(&format!("dockerd {two} >/srv/two.log 2>&1 &"));
    host.wait_for("docker -H unix:///srv/two.sock info");
    let report = host.harden(&["check", "--only", "daemon-*"]).report(2);
    assert_eq!(report.0["host"]["docker"]["config_file"], CONFIG);
    assert_eq!(report.finding("daemon-live-restore", "live-restore")["status"], "drift");
    host.sh(&format!("rm {CONFIG}"));
    let report = host.harden(&["check", "--only", "daemon-*"]).report(0);
    let why = text(&report.finding("daemon-live-restore", "live-restore")["fix"]["reason"]);
    assert!(why.contains("several dockerd run (pids ") && why.ends_with("/run/docker.pid names none of them"), "{why}");
}
