//! Flags of dockerd in docker.service that a control wants otherwise, or that daemon.json gives too: corrected in harden's drop-in.

use harden::assess::{self, Assessment, Limits};
use harden::baseline::control::{Risk, Want};
use harden::change::Effect;
use harden::fact::{Fact, Facts, FileFact};
use harden::finding::FixKind;
use harden::foresight;

use crate::live;
use crate::table::{
    Break, EVERYTHING, activations, apply, automatic, changes, check_breaks, judge, judge_alone, manual, observe, of,
};
use crate::tree::{CONFIG, Tree, differences};

const UNIT: &str = "/usr/lib/systemd/system/docker.service";
const DROP_IN: &str = "/etc/systemd/system/docker.service.d/zz-harden.conf";
const WATCH: &str = "audit-watch-docker-service /etc/systemd/system/docker.service.d/zz-harden.conf";
const READ_AS_MEANT: &str = "a configuration that this engine reads as it is meant";
const SYSTEMD: &str = "systemd-reload: systemd reads its units again; interrupts nothing";
const RESTART: &str = "docker-restart: restarts dockerd; no container is running";
const RESTART_ONLY: &str = "docker-restart: restarts dockerd; no container is running (what is on disk is not in force yet)";

/// Gives dockerd more flags in the packaged unit.
fn exec(tree: &Tree, flags: &str) {
    tree.edit(UNIT, "$DOCKER_OPTS", &format!("{flags} $DOCKER_OPTS"));
}

const BREAKS: &[Break] = &[
    Break {
        control: "daemon-icc-disabled",
        how: "a flag of the unit turns it on",
        breaks: |tree| {
            tree.drop_line(CONFIG, "icc");
            exec(tree, "--icc");
        },
        findings: &[automatic("icc", "true", "false")],
        also: &[WATCH],
    },
    Break {
        control: "daemon-debug-disabled",
        how: "a short flag",
        breaks: |tree| exec(tree, "-D"),
        findings: &[automatic("debug", "true", "false")],
        also: &[WATCH],
    },
    Break {
        control: "daemon-iptables-enabled",
        how: "a flag that has to go",
        breaks: |tree| exec(tree, "--ip6tables=false --iptables=0"),
        findings: &[automatic("iptables", "false", "true"), automatic("ip6tables", "false", "true")],
        // icc without iptables: dockerd would not start.
        also: &["daemon-config-valid /etc/docker/daemon.json:2:5", WATCH],
    },
    Break {
        control: "daemon-no-insecure-registries",
        how: "one of several",
        breaks: |tree| exec(tree, "--insecure-registry plain.example --insecure-registry=127.0.0.1:5000"),
        findings: &[automatic(
            "insecure-registries",
            "plain.example",
            "empty except 127.0.0.0/8, ::1/128, localhost, localhost:*, 127.0.0.1, 127.0.0.1:*, registry.lab.example:5000",
        )],
        also: &[WATCH],
    },
    Break {
        control: "daemon-no-insecure-registries",
        how: "a mirror without TLS, given by flag",
        breaks: |tree| exec(tree, "--registry-mirror=http://mirror.example"),
        findings: &[manual(
            "registry-mirrors",
            "http://mirror.example",
            "empty except https://*, http://localhost, http://localhost:*, http://127.0.0.1, http://127.0.0.1:*",
            "give the mirror a certificate and write its address with https://, or take it out of registry-mirrors; it is given by \
             the flag --registry-mirror=http://mirror.example; change or take away that flag in \
             /usr/lib/systemd/system/docker.service:8",
        )],
        also: &[],
    },
    Break {
        control: "daemon-log-rotation",
        how: "one option wrong, one missing",
        breaks: |tree| {
            tree.drop_line(CONFIG, "log-opts");
            exec(tree, "--log-opt max-file=1 --log-opt tag=x");
        },
        findings: &[automatic("log-opts.max-size", "not set", "set"), automatic("log-opts.max-file", "1", "at least 2")],
        also: &[WATCH],
    },
    Break {
        control: "daemon-config-valid",
        how: "file and flag say the same",
        breaks: |tree| exec(tree, "--icc=false"),
        findings: &[automatic(
            "/etc/docker/daemon.json:2:5",
            "wrong: `icc` is here and also given by the flag --icc=false in /usr/lib/systemd/system/docker.service:8",
            READ_AS_MEANT,
        )],
        also: &[WATCH],
    },
    Break {
        control: "daemon-config-valid",
        how: "file and flag do not say the same of something harmless: the file is newer",
        breaks: |tree| exec(tree, "--log-level warn"),
        findings: &[automatic(
            "/etc/docker/daemon.json:3:5",
            "wrong: `log-level` is here and also given by the flag --log-level warn in /usr/lib/systemd/system/docker.service:8",
            READ_AS_MEANT,
        )],
        also: &["daemon-log-level-info log-level", WATCH],
    },
    Break {
        control: "daemon-config-valid",
        how: "they do not say the same of where dockerd listens",
        breaks: |tree| tree.key(r#""hosts": ["tcp://0.0.0.0:2375"]"#),
        findings: &[manual(
            "/etc/docker/daemon.json:2:5",
            "wrong: `hosts` is here and also given by the flag -H fd:// in /usr/lib/systemd/system/docker.service:8",
            READ_AS_MEANT,
            "dockerd does not start with both; take one of them away: they do not say the same",
        )],
        also: &[],
    },
    Break {
        control: "daemon-config-valid",
        how: "one can be taken away, the other not: dockerd would not start all the same",
        breaks: |tree| {
            tree.key(r#""hosts": ["tcp://0.0.0.0:2375"]"#);
            exec(tree, "--log-level=info");
        },
        findings: &[
            manual(
                "/etc/docker/daemon.json:2:5",
                "wrong: `hosts` is here and also given by the flag -H fd:// in /usr/lib/systemd/system/docker.service:8",
                READ_AS_MEANT,
                "dockerd does not start with both; take one of them away: they do not say the same",
            ),
            manual(
                "/etc/docker/daemon.json:4:5",
                "wrong: `log-level` is here and also given by the flag --log-level=info in \
                 /usr/lib/systemd/system/docker.service:8",
                READ_AS_MEANT,
                "dockerd does not start with both; take one of them away",
            ),
        ],
        also: &[],
    },
    Break {
        control: "daemon-icc-disabled",
        how: "wrong by flag, right in the file: the flag goes",
        breaks: |tree| exec(tree, "--icc=true"),
        findings: &[automatic("icc", "true", "false")],
        also: &["daemon-config-valid /etc/docker/daemon.json:2:5", WATCH],
    },
    Break {
        control: "daemon-icc-disabled",
        how: "wrong in both: the flag goes, the file is mended",
        breaks: |tree| {
            tree.edit(CONFIG, r#""icc": false"#, r#""icc": true"#);
            exec(tree, "--icc");
        },
        findings: &[automatic("icc", "true", "false")],
        also: &["daemon-config-valid /etc/docker/daemon.json:2:5", WATCH],
    },
    Break {
        control: "daemon-log-level-info",
        how: "a drop-in that is read after harden's",
        breaks: |tree| {
            tree.drop_line(CONFIG, "log-level");
            let last = "/etc/systemd/system/docker.service.d/zzz.conf";
            tree.write(last, "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// -l debug\n");
        },
        findings: &[manual(
            "log-level",
            "debug",
            "info",
            "it is given by the flag -l debug; change or take away that flag in \
             /etc/systemd/system/docker.service.d/zzz.conf:3 (/etc/systemd/system/docker.service.d/zzz.conf:3 is read after \
             harden's own drop-in and wins)",
        )],
        also: &["audit-watch-docker-service /etc/systemd/system/docker.service.d/zzz.conf"],
    },
    Break {
        control: "daemon-log-level-info",
        how: "a drop-in that harden's would hide",
        breaks: |tree| {
            tree.drop_line(CONFIG, "log-level");
            exec(tree, "-l debug");
            tree.write("/usr/lib/systemd/system/docker.service.d/zz-harden.conf", "[Service]\nLimitCORE=0\n");
        },
        findings: &[manual(
            "log-level",
            "debug",
            "info",
            "it is given by the flag -l debug; change or take away that flag in /usr/lib/systemd/system/docker.service:8 \
             (/usr/lib/systemd/system/docker.service.d/zz-harden.conf has the name of harden's own drop-in)",
        )],
        also: &["audit-watch-docker-service /usr/lib/systemd/system/docker.service.d/zz-harden.conf"],
    },
    Break {
        control: "daemon-log-level-info",
        how: "the unit and a variable both give it",
        breaks: |tree| {
            tree.drop_line(CONFIG, "log-level");
            exec(tree, "--log-level=debug");
            tree.write("/etc/default/docker", "# ours\nDOCKER_OPTS=\"--log-level warn\"\n");
        },
        findings: &[manual(
            "log-level",
            "warn",
            "info",
            "it is given by the flag --log-level warn; change or take away that flag in /etc/default/docker:2 ($DOCKER_OPTS)",
        )],
        also: &[],
    },
];

#[test]
fn broken_then_fixed() {
    check_breaks(BREAKS);
}

/// What would lie at a path, whole.
fn planned(assessment: &Assessment, path: &str) -> Option<String> {
    let content = assessment.plan.changes.iter().find_map(|change| match &change.effect {
        Effect::File { path: of, after: Some(after), .. } if of == path => after.content.clone(),
        _ => None,
    })?;
    Some(String::from_utf8(content.0).expect("text"))
}

#[test]
fn the_drop_in_to_the_letter() {
    let tree = Tree::green();
    for key in ["icc", "log-level", "log-opts"] {
        tree.drop_line(CONFIG, key);
    }
    tree.edit(
        UNIT,
        "dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS",
        "dockerd -H fd:// \\\n    --containerd=%t/containerd/containerd.sock --icc=true \\\n    -Dl debug '--label=a=b c' $DOCKER_OPTS \
         --log-opt max-size=1m",
    );
    let unit = tree.text(UNIT);
    let assessment = judge(&observe(&tree));
    let expected = "# Written by harden. Lines added here are kept.\n\n[Service]\n\
                    # dockerd's flags, corrected: in place of /usr/lib/systemd/system/docker.service:8, which no longer counts.\n\
                    ExecStart=\n\
                    ExecStart=/usr/bin/dockerd -H fd:// --containerd=%t/containerd/containerd.sock --icc=false --log-level=info \
                    --debug=false '--label=a=b c' $DOCKER_OPTS --log-opt max-size=1m --log-opt=max-file=3\n";
    assert_eq!(planned(&assessment, DROP_IN).as_deref(), Some(expected));
    let change = assessment.plan.changes.iter().find(|change| change.target() == DROP_IN).expect("the drop-in");
    assert_eq!(change.summary, "set dockerd's flags for icc, log-level, debug, log-opts.max-file");
    let controls = ["daemon-debug-disabled", "daemon-icc-disabled", "daemon-log-level-info", "daemon-log-rotation"];
    assert_eq!(change.controls, controls);
    assert_eq!(activations(&assessment), [""; 0], "a tree is not put in force");
    apply(&tree, "daemon-*").expect("it is applied");
    assert_eq!(tree.text(DROP_IN), expected);
    assert_eq!(tree.text(UNIT), unit, "the packaged unit stays");
    let fixed = tree.snapshot();
    apply(&tree, "daemon-*").expect("nothing to do");
    assert_eq!(differences(&fixed, &tree.snapshot(), true), [""; 0]);

    // What is wrong there again is corrected there again; what others added stays.
    tree.write(DROP_IN, &expected.replace("--icc=false", "--icc").replace("[Service]\n", "[Service]\nLimitCORE=0\n"));
    apply(&tree, "daemon-*").expect("it is applied again");
    assert_eq!(tree.text(DROP_IN), expected.replace("[Service]\n", "[Service]\nLimitCORE=0\n"));
}

#[test]
fn secrets_among_the_flags_are_not_shown() {
    let tree = Tree::green();
    tree.drop_line(CONFIG, "icc");
    exec(&tree, "--icc --http-proxy=http://u:hunter2@p:1");
    let assessment = judge_alone(&observe(&tree), "daemon-icc-disabled");
    assert!(planned(&assessment, DROP_IN).expect("the drop-in").contains("hunter2"));
    let change = assessment.plan.changes.iter().find(|change| change.target() == DROP_IN).expect("the drop-in");
    let view = assess::view(change);
    assert!(view.diff.contains("--icc=false --http-proxy=http://***@p:1 $DOCKER_OPTS"), "{}", view.diff);
    assert!(!view.diff.contains("hunter2"), "{}", view.diff);
}

/// A host whose running dockerd and whose unit have these flags, and not these keys in daemon.json.
fn host(flags: &[&str], without: &[&str]) -> Facts {
    let mut facts = live::green();
    live::process(&mut facts).argv.extend(flags.iter().map(|&flag| flag.to_owned()));
    live::edit(&mut facts, UNIT, "$DOCKER_OPTS", &format!("{} $DOCKER_OPTS", flags.join(" ")));
    for line in without {
        live::edit(&mut facts, CONFIG, &format!("    {line},\n"), "");
    }
    facts
}

/// The finding of a control: "automatic", or what is left to people.
fn fix(assessment: &Assessment, control: &str) -> String {
    let findings: Vec<String> = of(assessment, control)
        .map(|finding| match finding.fix.kind {
            FixKind::Automatic => "automatic".to_owned(),
            FixKind::None => format!("{:?}", finding.status),
            FixKind::Manual => finding.fix.reason.clone().unwrap_or_default(),
        })
        .collect();
    findings.join("; ")
}

const LEVEL: &str = "daemon-log-level-info";
const NO_LEVEL: &str = r#""log-level": "info""#;

#[test]
fn a_running_dockerd_gets_its_flags_by_one_restart() {
    let mut facts = host(&["--log-level=debug", "--debug"], &[NO_LEVEL]);
    live::api(&mut facts).debug = Some(true);
    let only = |id: &str, _: &str| id == LEVEL || id == "daemon-debug-disabled";
    let limits = Limits { max_risk: Risk::Restart, wanted: &only };
    let assessment = assess::assess(&EVERYTHING, &facts, &limits).expect("an assessment");
    assert_eq!(
        changes(&assessment),
        ["create /etc/systemd/system/docker.service.d/zz-harden.conf: set dockerd's flags for log-level, debug"]
    );
    assert_eq!(activations(&assessment), [SYSTEMD, RESTART]);
    // Nothing that restarts dockerd is safe, and what would stop containers is disruptive.
    let safe = Limits { max_risk: Risk::Safe, wanted: &|_, _| true };
    let assessment = assess::assess(&EVERYTHING, &facts, &safe).expect("an assessment");
    assert_eq!(fix(&assessment, "daemon-debug-disabled"), "its fix restarts dockerd; allow it with --max-risk restart");
    let mut busy = facts.clone();
    live::api(&mut busy).containers_running = Some(2);
    live::api(&mut busy).live_restore = Some(false);
    live::api(&mut busy).swarm_state = Some("active".into());
    live::edit(&mut busy, CONFIG, "    \"live-restore\": true,\n", "");
    let limits = Limits { max_risk: Risk::Restart, wanted: &|_, _| true };
    let assessment = assess::assess(&EVERYTHING, &busy, &limits).expect("an assessment");
    assert_eq!(
        fix(&assessment, LEVEL),
        "its fix is disruptive: restarting dockerd stops 2 containers: live-restore is off; allow it with --max-risk disruptive"
    );
    assert_eq!(planned(&assessment, DROP_IN), None);

    // The unit is right, and the running dockerd has not read it yet.
    let corrected = foresight::after(&facts, &judge(&facts).plan);
    let mut corrected = Facts { daemon: facts.daemon.clone(), ..corrected };
    let assessment = judge(&corrected);
    assert_eq!((fix(&assessment, LEVEL).as_str(), changes(&assessment)), ("automatic", Vec::new()));
    let finding = of(&assessment, LEVEL).next().expect("a finding");
    assert_eq!(finding.observed, "info; the running dockerd has debug");
    assert_eq!(
        finding.evidence,
        [
            format!("log-level from the flag --log-level=info in {DROP_IN}:6"),
            "in force by the flag --log-level=debug of the running dockerd".into(),
        ]
    );
    assert_eq!(activations(&assessment), [SYSTEMD, RESTART_ONLY]);
    // It has.
    live::api(&mut corrected).debug = Some(false);
    live::process(&mut corrected).argv = ["/usr/bin/dockerd", "--log-level=info", "--debug=false"].map(Into::into).into();
    let assessment = judge(&corrected);
    assert_eq!((fix(&assessment, LEVEL).as_str(), activations(&assessment)), ("Compliant", Vec::new()));
}

#[test]
fn a_flag_that_is_not_in_force_needs_no_restart() {
    let mut facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    live::process(&mut facts).argv.pop();
    let assessment = judge_alone(&facts, LEVEL);
    assert_eq!((fix(&assessment, LEVEL).as_str(), activations(&assessment)), ("automatic", vec![SYSTEMD.to_owned()]));
    // Nor where no dockerd runs.
    let mut facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    (facts.daemon.process, facts.daemon.api) = (Fact::Absent, Fact::Absent);
    let assessment = judge_alone(&facts, LEVEL);
    assert_eq!((fix(&assessment, LEVEL).as_str(), activations(&assessment)), ("automatic", vec![SYSTEMD.to_owned()]));
}

#[test]
fn what_is_not_hardens_to_change() {
    let told =
        "it is given by the flag --log-level=debug; change or take away that flag in /usr/lib/systemd/system/docker.service";
    let mut facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    live::process(&mut facts).service = Some("other.service".into());
    assert_eq!(
        fix(&judge_alone(&facts, LEVEL), LEVEL),
        format!("{told}:8 (docker.service did not start this dockerd: restart it the way it was started)")
    );
    // A wrapper, and a second command.
    let mut facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    live::edit(&mut facts, UNIT, "ExecStart=/usr/bin/dockerd", "ExecStart=/usr/bin/env dockerd");
    assert_eq!(
        fix(&judge_alone(&facts, LEVEL), LEVEL),
        format!("{told}:8 ({UNIT}:8: this starts /usr/bin/env, not dockerd; what flags dockerd gets from it is not known)")
    );
    let mut facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    live::edit(&mut facts, UNIT, "ExecStart=/usr/bin/dockerd", "ExecStart=/bin/true\nExecStart=/usr/bin/dockerd");
    assert_eq!(
        fix(&judge_alone(&facts, LEVEL), LEVEL),
        format!(
            "{told}:9 ({UNIT}:9: a second ExecStart= command; systemd refuses the unit: empty the list first with a line \
             `ExecStart=`)"
        )
    );
    // The unit has lost the flag, and the default is not as wanted: beside the flag of the running dockerd the file must not say it.
    let mut facts = host(&["--userland-proxy=true"], &[r#""userland-proxy": false"#]);
    live::edit(&mut facts, UNIT, " --userland-proxy=true", "");
    assert_eq!(
        fix(&judge_alone(&facts, "daemon-userland-proxy-disabled"), "daemon-userland-proxy-disabled"),
        "the running dockerd was started with the flag --userland-proxy=true, which docker.service no longer gives; restart it, then \
         run harden again"
    );
    // What dockerd would need then is not there.
    let mut facts = host(&["--icc=true"], &[r#""icc": false"#]);
    live::api(&mut facts).bridge_icc = Some(true);
    facts.host.br_netfilter = Fact::Known(false);
    assert_eq!(
        fix(&judge_alone(&facts, "daemon-icc-disabled"), "daemon-icc-disabled"),
        "dockerd would not start then: `icc` is false, which takes the kernel module br_netfilter, and that is not loaded; load it \
         (`modprobe br_netfilter`, and a line in /etc/modules-load.d), then run harden again"
    );
    facts.host.br_netfilter = Fact::Known(true);
    assert_eq!(fix(&judge_alone(&facts, "daemon-icc-disabled"), "daemon-icc-disabled"), "automatic");
    // Somebody else may change the directory.
    let mut facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    let dir = "/etc/systemd/system/docker.service.d";
    if let Some(Fact::Known(dir)) = facts.files.get_mut(dir) {
        *dir = FileFact { mode: 0o777, ..dir.clone() };
    }
    assert_eq!(
        fix(&judge_alone(&facts, LEVEL), LEVEL),
        format!("withheld: any user can change the directory {dir}; harden does not write in it")
    );
}

/// A reload is refused while daemon.json has a key that a flag of the running dockerd gives: all waits for the restart.
#[test]
fn no_reload_beside_a_flag_that_the_file_gives_too() {
    let mut facts = host(&["--log-level=debug"], &[]);
    live::edit(&mut facts, CONFIG, "{\n", "{\n    \"debug\": true,\n");
    live::api(&mut facts).debug = Some(true);
    let assessment = judge(&facts);
    assert_eq!(
        changes(&assessment).into_iter().filter(|line| !line.contains("audit") && !line.starts_with(' ')).collect::<Vec<_>>(),
        [
            "create /etc/systemd/system/docker.service.d/zz-harden.conf: remove dockerd's flags for log-level",
            "edit /etc/docker/daemon.json: set debug",
        ]
    );
    let actions = activations(&assessment);
    assert_eq!(actions.iter().filter(|action| !action.starts_with("audit")).collect::<Vec<_>>(), [SYSTEMD, RESTART]);
    // Alone, what the file says now would keep dockerd from starting.
    assert_eq!(
        fix(&judge_alone(&facts, "daemon-debug-disabled"), "daemon-debug-disabled"),
        "withheld: dockerd would still refuse /etc/docker/daemon.json: `log-level` is also given as a flag; take one of them away first"
    );
}

/// What the flag has hidden is mended in the same run.
#[test]
fn the_file_is_judged_once_the_flag_is_gone() {
    let mut facts = host(&["--log-level=info"], &[]);
    live::edit(&mut facts, CONFIG, r#""log-level": "info""#, r#""log-level": "debug""#);
    let assessment = judge(&facts);
    assert_eq!(fix(&assessment, LEVEL), "automatic");
    assert!(planned(&assessment, CONFIG).expect("daemon.json").contains(r#""log-level": "info""#));
    let drop_in = planned(&assessment, DROP_IN).expect("the drop-in");
    assert!(
        drop_in.ends_with("ExecStart=/usr/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock $DOCKER_OPTS\n")
    );
}

#[test]
fn opposite_wishes_are_named() {
    let facts = host(&["--log-level=debug"], &[NO_LEVEL]);
    let mut baseline = EVERYTHING.clone();
    let mut other = baseline.controls.iter().find(|control| control.id == LEVEL).expect("the control").clone();
    other.id = "daemon-log-level-warn".into();
    let Want::Daemon(want) = &mut other.want else { panic!("{other:?}") };
    want.key[0].expect.is = Some("warn".into());
    baseline.controls.push(other);
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let error = assess::assess(&baseline, &facts, &limits).expect_err("they can't both have it");
    assert_eq!(
        error.what,
        "`daemon-log-level-info` and `daemon-log-level-warn` want opposite things of the flags of dockerd that give log-level"
    );
}
