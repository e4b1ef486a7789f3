//! The contract, held to its letter by the real binary: exit statuses, one JSON document, messages, and what is never written.

mod common;

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;

use common::{BASELINES, STATE_DIR, Snapshot, Tree, command, harden, os, run};
use serde_json::{Value, json};

const CONFIG: &str = "/etc/docker/daemon.json";

/// A host on which `essential` has something to fix, and nothing that it can't.
fn drifted() -> Tree {
    let tree = Tree::host();
    tree.file(CONFIG, "{\n  \"debug\": true\n}\n", 0o666);
    tree
}

#[track_caller]
fn unchanged(tree: &Tree, before: &Snapshot, what: &str) {
    let difference = before.difference(&tree.snapshot());
    assert!(difference.is_empty(), "{what} changed {difference:#?}");
}

#[test]
fn exit_statuses() {
    let tree = drifted();
    for args in [&["check"][..], &["plan"], &["--dry-run"], &["apply", "--dry-run"], &["apply", "--dry-run", "--yes"]] {
        tree.harden(args).expect(2);
    }
    tree.harden(&["apply"]).expect(64);
    tree.harden(&[]).expect(64);
    tree.harden(&["apply", "--yes"]).expect(0);
    for args in [&["check"][..], &["plan"], &["--dry-run"], &["apply", "--yes"]] {
        tree.harden(args).expect(0);
    }
    harden(&["check", "--root", "/nowhere"]).expect(64);
    harden(&["--help"]).expect(0);
    harden(&["--version"]).expect(0);
}

#[test]
fn wrong_usage_says_what_was_meant() {
    let tree = drifted();
    let before = tree.snapshot();
    let table: [(&[&str], &[&str]); 26] = [
        (&["check", "--docker-version", "newest"], &["--docker-version", "newest"]),
        (&["chekc"], &["unrecognized subcommand 'chekc'", "check"]),
        (&["check", "--bseline", "x"], &["unexpected argument '--bseline'", "--baseline"]),
        (&["check", "-b", "esential"], &["esential", "did you mean `essential`?"]),
        (&["check", "-b", "/nowhere.toml"], &["/nowhere.toml"]),
        (&["explain", "daemon-live-restor"], &["there is no control `daemon-live-restor`", "daemon-live-restore"]),
        (&["check", "--only", "daemon-lve-restore"], &["daemon-lve-restore", "daemon-live-restore"]),
        (&["check", "--skip", "nothing-*"], &["nothing-*"]),
        (&["check", "--set", "log_levl=info"], &["log_levl", "log_level"]),
        (&["check", "--set", "log_level"], &["log_level"]),
        (&["check", "--set", "log_level=loud"], &["log_level", "loud"]),
        (&["check", "--max-risk", "much"], &["much", "safe, restart, disruptive"]),
        (&["check", "--format", "yaml"], &["yaml", "text, json"]),
        (&["check", "--color", "red"], &["red", "auto, always, never"]),
        (&["check", "-q", "-v"], &["--quiet", "--verbose"]),
        (&["check", "--state-dir", "relative"], &["--state-dir", "absolute"]),
        (&["generate", "daemon.jsn"], &["daemon.jsn", "daemon.json"]),
        (&["baseline", "show", "cis-l3"], &["cis-l3", "cis-l"]),
        (&["completions", "tcsh"], &["tcsh", "bash"]),
        (&["apply"], &["no terminal", "--yes"]),
        (&[], &["no terminal", "--dry-run", "--yes"]),
        (&["rollback", "--yes", "20200101T000000Z-1"], &["20200101T000000Z-1", "harden history"]),
        (&["apply", "--yes", "--health-timeout", "0"], &["--health-timeout", "1..=3600"]),
        (&["recover", "--health-timeout", "long"], &["--health-timeout", "long"]),
        (&["recover", "--no-activate"], &["--no-activate"]),
        (&["check", "--health-timeout", "5"], &["--health-timeout"]),
    ];
    for (args, texts) in table {
        let ran = tree.harden(args).expect(64);
        for text in texts {
            assert!(ran.stderr().contains(text), "`{text}` is missing: {ran}");
        }
        assert_eq!(ran.stdout(), "", "{ran}");
    }
    for (url, text) in [("tcp://1.2.3.4:2375", "--docker-cert-path"), ("ssh://root@h", "ssh HOST harden check")] {
        let ran = harden(&["check", "--docker-host", url]).expect(64);
        assert!(ran.stderr().contains(text), "{ran}");
    }
    // A rollback takes the lock before it looks for the transaction.
    tree.remove(STATE_DIR);
    let difference = before.difference(&tree.snapshot());
    assert!(difference.keys().all(|path| path == "/var/lib"), "{difference:#?}");
}

#[test]
fn json_is_one_document_also_on_failure() {
    let tree = drifted();
    let report = |args: &[&str], code: i32| {
        let (ran, document) = tree.json(args);
        assert_eq!(ran.code, code, "{ran}");
        document
    };
    let check = report(&["check"], 2);
    assert_eq!(check["host"]["root"], tree.path().to_str().unwrap());
    assert!(check.get("changed").is_none(), "check did nothing");
    assert_eq!(report(&["--dry-run"], 2)["findings"], check["findings"]);
    assert_eq!(report(&["plan"], 2)["changes"], check["changes"]);
    let failures: [(&[&str], i32); 9] = [
        (&["check", "-b", "esential"], 64),
        (&["check", "--only", "nothing"], 64),
        (&["check", "--set", "nothing=1"], 64),
        (&["apply"], 64),
        (&[], 64),
        (&["explain", "nothing"], 64),
        (&["check", "--nonsense"], 64),
        (&["generate", "audit.rules"], 64),
        (&["check", "--facts", "/nowhere"], 64),
    ];
    for (args, code) in failures {
        let document = report(args, code);
        assert_eq!((&document["failed"], &document["changed"]), (&json!(true), &json!(false)), "{args:?}");
        assert!(document["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{args:?}");
    }
    tree.file(CONFIG, "[]", 0o644);
    let document = report(&["apply", "--yes"], 1);
    assert!(document["msg"].as_str().unwrap().contains("/etc/docker/daemon.json:1:1: "), "{document}");
    tree.file(CONFIG, "{\"debug\": true}", 0o644);
    let done = report(&["apply", "--yes"], 0);
    assert_eq!((&done["changed"], &done["failed"]), (&json!(true), &json!(false)));
    assert!(done["transaction"].is_string());
    let headers: Vec<_> = done["diff"].as_array().unwrap().iter().map(|diff| diff["after_header"].as_str().unwrap()).collect();
    assert!(headers.contains(&CONFIG), "{headers:?}");
    let again = report(&["apply", "--yes"], 0);
    assert_eq!((&again["changed"], &again["transaction"], &again["diff"]), (&json!(false), &Value::Null, &json!([])));
    report(&["rollback", "--yes"], 0);
    report(&["recover"], 0);
    // Documents of their own.
    for args in
        [&["baseline", "list"][..], &["baseline", "show", "essential"], &["explain", "daemon-live-restore"], &["history"]]
    {
        let ran = tree.harden(&[args, &["--format", "json"]].concat()).expect(0);
        serde_json::from_slice::<Value>(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran}"));
    }
}

/// Everything that makes a daemon.json one that must not be touched, and where it is wrong.
const DEFECTS: [(&str, &[u8], &str); 14] = [
    ("a comment", b"{\n  // why\n  \"debug\": true\n}\n", ":2:3: "),
    ("a comma too many", b"{\n  \"debug\": true,\n}\n", ":2:16: "),
    ("a key twice", b"{\"debug\": true,\n \"debug\": false}\n", ":2:2: "),
    ("a member twice", b"{\"log-opts\": {\"tag\": \"a\", \"tag\": \"b\"}}", ":1:27: "),
    ("a key twice, once escaped", b"{\"debug\": true, \"de\\u0062ug\": false}", ":1:17: "),
    ("an array", b"[{\"debug\": true}]", ":1:1: "),
    ("null", b"null", ":1:1: "),
    ("a text", b"\n\"debug\"", ":2:1: "),
    ("a wrong type", b"{\n  \"debug\": \"true\"\n}", ":2:3: "),
    ("another wrong type", b"{\"insecure-registries\": \"r:5000\"}", ":1:2: "),
    ("UTF-16", b"\xff\xfe{\0}\0", ":1:1: "),
    ("not UTF-8", b"{\"debug\": true}\n\xe9", ":2:1: "),
    ("cut short", b"{\"debug\": tr", ":1:11: "),
    ("text behind the end", b"{\"debug\": true}\n{}", ":2:1: "),
];

#[test]
fn a_daemon_json_that_cannot_be_read_is_left_alone() {
    for (what, content, place) in DEFECTS {
        let tree = drifted();
        tree.file(CONFIG, content, 0o666).chmod("/etc/docker", 0o775);
        let before = tree.snapshot();
        let checked = tree.harden(&["check"]).expect(2);
        let told = format!("{CONFIG}{place}");
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat(&checked.stdout()).contains(told.trim_end_matches(": ")), "{what}: {told} is missing: {checked}");
        let ran = tree.harden(&["apply", "--yes"]).expect(1);
        assert!(ran.stderr().contains(&told) && ran.stderr().contains("nothing was changed"), "{what}: {ran}");
        assert!(ran.stderr().contains("--keep-going"), "{what}: {ran}");
        tree.remove(STATE_DIR);
        let difference = before.difference(&tree.snapshot());
        assert!(difference.keys().all(|path| path == "/var/lib"), "{what}: {difference:#?}");

        let (ran, report) = tree.json(&["apply", "--yes", "--keep-going"]);
        assert_eq!(ran.code, 0, "{what}: {ran}");
        let after = tree.snapshot();
        assert_eq!(after.0[CONFIG], before.0[CONFIG], "{what}: every change to the file is withheld, that of its mode too");
        assert_eq!(after.0["/etc/docker"].mode & 0o7777, 0o755, "{what}: the rest goes on");
        assert!(report["summary"]["manual"].as_u64() > Some(0), "{what}: {ran}");
        // What has nothing to do with it needs no permission.
        tree.harden(&["apply", "--yes", "--only", "audit-*"]).expect(0);
    }
}

#[test]
fn output_goes_where_it_is_wanted() {
    let tree = drifted();
    let out = tree.at("/report.txt");
    let file = out.to_str().unwrap();
    let full = tree.harden(&["check"]).expect(2).stdout();
    assert!(tree.harden(&["check", "-o", file]).expect(2).out.is_empty());
    assert_eq!(fs::read_to_string(&out).unwrap(), full);
    tree.harden(&["check", "-o", "/nowhere/x"]).expect(1);
    let quiet = tree.harden(&["check", "-q"]).expect(2).stdout();
    assert!(quiet.lines().count() <= 3 && full.contains(quiet.trim_end()), "{quiet}");
    let verbose = tree.harden(&["check", "-v"]).expect(2).stdout();
    assert!(verbose.contains("daemon-experimental-off") && !full.contains("daemon-experimental-off"), "{verbose}");

    let with = |name: &str, value: &str, args: &[&str]| {
        let mut command = command(&[args, &["check", "--root", tree.path().to_str().unwrap()]].concat());
        command.env(name, value);
        run(command).expect(2).stdout().contains('\u{1b}')
    };
    assert!(!with("X", "", &[]), "no colour where there is no terminal");
    assert!(!with("NO_COLOR", "1", &[]));
    assert!(with("NO_COLOR", "", &["--color", "always"]));
    assert!(with("NO_COLOR", "1", &["--color", "always"]), "an option counts more than the environment");
    assert!(!with("X", "", &["--color", "never"]));

    // A saved plan holds whole files.
    let plan = tree.at("/plan.json");
    tree.harden(&["plan", "-o", plan.to_str().unwrap()]).expect(2);
    assert_eq!(fs::metadata(&plan).unwrap().mode() & 0o7777, 0o600);
    tree.harden(&["apply", plan.to_str().unwrap(), "--yes"]).expect(0);
    let ran = tree.harden(&["apply", plan.to_str().unwrap(), "--yes"]).expect(1);
    assert!(ran.stderr().contains("not as the plan saw it") && ran.stderr().contains("nothing was changed"), "{ran}");
}

#[test]
fn a_saved_plan_is_applied_only_while_it_is_right() {
    let tree = Tree::host();
    let file = tree.at("/plan.json");
    let plan = file.to_str().unwrap();
    let save = |args: &[&str]| {
        tree.file(CONFIG, "{\"log-level\": \"debug\"}", 0o644);
        tree.harden(&[&["plan", "-o", plan], args].concat()).expect(2);
    };
    // What it was made with is in it: no baseline has to be at hand, and what was set counts.
    let warn = ["--only", "daemon-log-level-info", "--set", "log_level=warn"];
    save(&warn);
    let (ran, report) = tree.json(&["apply", plan, "--yes"]);
    assert_eq!(
        (ran.code, &report["summary"]["compliant"], report["findings"][0]["desired"].as_str()),
        (0, &json!(1), Some("warn"))
    );
    // Not one file of the plan has changed, but dockerd would not start with it any more.
    save(&warn);
    tree.file(
        "/etc/systemd/system/docker.service",
        "[Service]\nExecStart=/usr/bin/dockerd $OPTS\nEnvironment=OPTS=--log-level=debug\n",
        0o644,
    );
    let ran = tree.harden(&["apply", plan, "--yes"]).expect(1);
    assert!(
        ran.stderr().contains(
            "harden: the plan is no longer right: daemon-log-level-info (log-level): it is given by the flag --log-level=debug"
        ) && ran.stderr().contains("nothing was changed\n  help: make a new plan: harden plan -o PLAN"),
        "{ran}"
    );
    assert_eq!(tree.text(CONFIG), "{\"log-level\": \"debug\"}");
    tree.remove("/etc/systemd/system/docker.service");
    // Somebody else did it.
    save(&warn);
    tree.file(CONFIG, "{\"log-level\": \"warn\"}", 0o644);
    let ran = tree.harden(&["apply", plan, "--yes"]).expect(1);
    assert!(ran.stderr().contains("it is not as the plan saw it: its content is different; nothing was changed"), "{ran}");
    // Whoever changed the plan's own words does not get them applied.
    save(&warn);
    let edited = fs::read_to_string(&file).unwrap().replace("\\\"warn\\\"", "\\\"fatal\\\"");
    assert!(edited.contains("fatal"));
    fs::write(&file, edited).unwrap();
    let ran = tree.harden(&["apply", plan, "--yes"]).expect(1);
    assert!(
        ran.stderr().contains("the plan is no longer right: other changes would be made now; nothing was changed"),
        "{ran}"
    );
    // One that does not say what made it can't be judged.
    let mut without: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    without.as_object_mut().unwrap().remove("judged_by");
    fs::write(&file, without.to_string()).unwrap();
    let ran = tree.harden(&["apply", plan, "--yes"]).expect(1);
    assert!(ran.stderr().contains("it does not say which controls made it\n  help: make a new plan"), "{ran}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let tree = drifted();
    let mut command = command(&["check", "-v", "--root", tree.path().to_str().unwrap()]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stderr, b"");
}

#[test]
fn controls_are_chosen_and_variables_set() {
    let tree = drifted();
    let controls = |args: &[&str]| -> Vec<String> {
        let (_, report) = tree.json(&[&["check"], args].concat());
        let mut found: Vec<String> =
            report["findings"].as_array().unwrap().iter().map(|f| f["control"].as_str().unwrap().to_owned()).collect();
        found.dedup();
        found
    };
    assert_eq!(controls(&["--only", "daemon-debug-disabled"]), ["daemon-debug-disabled"]);
    assert_eq!(controls(&["--only", "socket-docker-*", "--skip", "*-owner", "--skip", "*settings"]), ["socket-docker-mode"]);
    assert!(controls(&["--skip", "daemon-*"]).iter().all(|control| !control.starts_with("daemon-")));
    let (_, report) = tree.json(&["plan", "--set", "log_level=warn", "--only", "daemon-log-level-info"]);
    assert!(report["changes"][0]["diff"].as_str().unwrap().contains("\"log-level\": \"warn\""), "{report}");

    // Above the limit a change is reported, not planned.
    tree.file(CONFIG, "{\"insecure-registries\": [\"r:5000\"]}", 0o644);
    let only = ["--only", "daemon-no-insecure-registries"];
    let (_, report) = tree.json(&[&["plan"], &only[..]].concat());
    assert_eq!((&report["changes"], &report["summary"]["manual"]), (&json!([]), &json!(1)), "{report}");
    assert!(report["findings"][0]["fix"]["reason"].as_str().unwrap().contains("--max-risk disruptive"), "{report}");
    tree.harden(&[&["apply", "--yes"], &only[..]].concat()).expect(0);
    assert_eq!(tree.text(CONFIG), "{\"insecure-registries\": [\"r:5000\"]}");
    tree.harden(&[&["apply", "--yes", "--max-risk", "disruptive"], &only[..]].concat()).expect(0);
    assert_eq!(tree.text(CONFIG), "{\"insecure-registries\": []}");
}

#[test]
fn recorded_facts_give_the_same_report() {
    let tree = drifted();
    let file = tree.at("/facts.json");
    let facts = file.to_str().unwrap();
    for baseline in BASELINES {
        let args = ["check", "-b", baseline, "--max-risk", "disruptive"];
        let (seen, report) = tree.json(&[&args[..], &["--save-facts", facts]].concat());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
        for format in ["json", "text"] {
            let recorded = harden(&[&args[..], &["--facts", facts, "--format", format]].concat()).expect(seen.code);
            let live = tree.harden(&[&args[..], &["--format", format]].concat());
            // What was recorded elsewhere is not for this host to apply.
            let live = live.stdout().split("\nNext ").next().unwrap().trim_end().to_owned();
            assert_eq!(recorded.stdout().trim_end(), live, "{baseline}");
        }
        assert!(!report["changes"].as_array().unwrap().is_empty());
    }
    // An existing file is not left readable for others.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    tree.harden(&["check", "--save-facts", facts]).expect(2);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);

    for (content, told) in [
        ("{\"schema\": \"harden/facts/9\"}", "facts.json"),
        ("not JSON", "facts.json:1:2: "),
        ("{\"schema\": 1}", "facts.json:1:"),
    ] {
        fs::write(&file, content).unwrap();
        let ran = harden(&["check", "--facts", facts]).expect(1);
        assert!(ran.stderr().contains(told), "{ran}");
    }
}

/// What must never be seen.
const SECRET: &str = "hunter2";

#[test]
fn secrets_are_never_shown() {
    let tree = drifted();
    let mirrors = "  \"registry-mirrors\": [\"http://u:hunter2@m\"],\n";
    let config = format!(
        "{{\n  \"debug\": true,\n  \"log-driver\": \"splunk\",\n  \"log-opts\": {{\"splunk-token\": \"hunter2\"}},\n  \"proxies\": \
         {{\"http-proxy\": \"http://user:hunter2@proxy:3128\"}},\n{mirrors}  \"insecure-registries\": [\"u:hunter2@r:5000\"],\n  \
         \"labels\": [\"password=hunter2\"]\n}}\n"
    );
    tree.file(CONFIG, &config, 0o666);
    tree.file(
        "/etc/systemd/system/docker.service.d/proxy.conf",
        "[Service]\nEnvironment=HTTP_PROXY=http://u:hunter2@p:1\nEnvironmentFile=-/etc/default/docker\nExecStart=\nExecStart=/usr/bin/dockerd -H fd:// \
         --log-opt splunk-token=hunter2 --http-proxy http://u:hunter2@p:1 --insecure-registry u:hunter2@r $DOCKER_OPTS\n",
        0o666,
    );
    tree.file("/etc/default/docker", "DOCKER_OPTS=\"--cluster-store-opt token=hunter2\"\n", 0o666);
    tree.file("/etc/containerd/config.toml", "[grpc]\nuid = 5\ntoken = \"hunter2\"\n", 0o600);
    tree.socket("/run/containerd/containerd.sock", 0o666);
    let look = |ran: &common::Ran| {
        for text in [ran.stdout(), ran.stderr()] {
            let line = text.lines().find(|line| line.contains(SECRET));
            assert!(line.is_none(), "{line:?} in {ran}");
        }
    };
    let state = |tree: &Tree| {
        for (path, entry) in tree.state_files() {
            assert_eq!(entry.mode & 0o077, 0, "{path} is for others, too: {:o}", entry.mode);
            assert_eq!((entry.uid, entry.gid), (0, 0));
        }
    };
    let all = |tree: &Tree| {
        for baseline in BASELINES {
            for args in [&["check"][..], &["check", "-v"], &["plan"], &["--dry-run"], &["apply", "--dry-run"]] {
                for format in ["text", "json", "sarif", "junit", "html"] {
                    look(&tree.harden(&[args, &["-b", baseline, "--max-risk", "disruptive", "--format", format]].concat()));
                }
            }
        }
        look(&tree.harden(&["history"]));
    };
    all(&tree);
    let holders = |tree: &Tree| -> Vec<String> {
        let snapshot = tree.snapshot().0.into_iter();
        let holds = |content: &[u8]| content.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        snapshot.filter(|(_, entry)| holds(&entry.content)).map(|(path, _)| path).collect()
    };
    let before = holders(&tree);
    assert_eq!(before.len(), 4);
    // A key that is also given as a flag withholds the edit; the message must not say more than the key.
    for format in ["text", "json"] {
        look(&tree.harden(&["apply", "--yes", "--max-risk", "disruptive", "--format", format]).expect(1));
    }
    tree.remove("/etc/systemd/system/docker.service.d");
    for broken in [
        "{\"log-opts\": {\"splunk-token\": \"hunter2}",
        "{\"token\": \"hunter2\"",
        "// hunter2\n{}",
        "{\"log-opts\": \"hunter2\"}",
    ] {
        let copy = drifted();
        copy.file(CONFIG, broken, 0o644);
        all(&copy);
        look(&copy.harden(&["apply", "--yes"]).expect(1));
        look(&copy.harden(&["apply", "--yes", "--keep-going", "--format", "json"]).expect(0));
        look(&copy.harden(&["generate", "daemon.json", "--merge", copy.at(CONFIG).to_str().unwrap()]).expect(1));
        state(&copy);
    }
    let apply = ["apply", "--yes", "-b", "guide", "--max-risk", "disruptive", "-v"];
    // dockerd refuses a mirror with a password, so nothing is built upon it.
    look(&tree.harden(&apply).expect(1));
    tree.file(CONFIG, config.replace(mirrors, ""), 0o666);
    look(&tree.harden(&apply).expect(0));
    state(&tree);
    look(&tree.harden(&["rollback", "--yes"]).expect(0));
    look(&tree.harden(&["apply", "--yes", "-b", "guide", "--max-risk", "disruptive", "--format", "json"]).expect(0));
    look(&tree.harden(&["history"]));
    let (_, history) = (0, tree.harden(&["history", "--format", "json"]).expect(0).stdout());
    let history: Value = serde_json::from_str(&history).unwrap();
    look(&tree.harden(&["history", history["transactions"][0]["id"].as_str().unwrap()]));
    state(&tree);
    let after = holders(&tree);
    assert!(after.iter().all(|path| before.contains(path)), "{after:?}");
    // Where only a mode changes, what is in the file is nobody's business, not even on the way back.
    let keys = drifted();
    keys.file(CONFIG, "{\"tlskey\": \"/etc/docker/key.pem\"}", 0o644).file("/etc/docker/key.pem", "hunter2\n", 0o644);
    keys.file("/etc/docker/certs.d/r/c.key", "hunter2\n", 0o644);
    for args in [&["apply", "--yes"][..], &["rollback", "--yes"], &["apply", "--yes", "--format", "json"], &["history"]] {
        look(&keys.harden(args).expect(0));
    }
    look(&keys.harden(&["rollback", "--yes", "--format", "json"]).expect(0));
    // A configuration file of another name is masked, too.
    let named = drifted();
    named.file("/etc/docker/engine.conf", "{\"log-driver\": \"splunk\", \"log-opts\": {\"splunk-token\": \"hunter2\"}}", 0o644);
    let unit = "[Service]\nExecStart=/usr/bin/dockerd --config-file /etc/docker/engine.conf\n";
    named.file("/usr/lib/systemd/system/docker.service", unit, 0o644);
    look(&named.harden(&["plan"]).expect(2));
    look(&named.harden(&["apply", "--yes"]).expect(0));
    assert!(named.text("/etc/docker/engine.conf").contains("live-restore"));
    // What it is kept in can be undone from.
    let kept = tree.state_files().into_values().any(|entry| String::from_utf8_lossy(&entry.content).contains(SECRET));
    assert!(kept, "without the originals nothing could be put back");
}

#[test]
fn links_never_lead_out_of_the_tree() {
    // What lies outside would be drift if it were looked at.
    let outside = Tree::empty();
    outside.file("/daemon.json", "{\"debug\": true}", 0o666).file("/unit", "[Socket]\nSocketMode=0666\n", 0o666);
    let real = outside.path().to_str().unwrap().to_owned();
    let up = format!("../../../../../../../../../..{real}");
    for (path, target) in [
        (CONFIG, format!("{real}/daemon.json")),
        (CONFIG, format!("{up}/daemon.json")),
        ("/etc/docker", real.clone()),
        ("/etc/docker", up.clone()),
        ("/usr/lib/systemd/system/docker.socket", format!("{real}/unit")),
        ("/etc/systemd/system", real.clone()),
        ("/etc/audit/rules.d", real.clone()),
        ("/etc/docker/certs.d", real.clone()),
        ("/run", real.clone()),
        ("/var/lib", real.clone()),
        ("/var/lib/harden", real.clone()),
        (CONFIG, "/proc/self/root/etc/passwd".into()),
    ] {
        let tree = drifted();
        tree.remove(path).link(path, &target);
        let before = outside.snapshot();
        tree.harden(&["check", "-b", "cis-l2"]);
        let ran = tree.harden(&["apply", "--yes", "--keep-going", "-b", "cis-l2", "--max-risk", "disruptive"]);
        assert!([0, 1].contains(&ran.code), "{path} -> {target}: {ran}");
        unchanged(&outside, &before, &format!("{path} -> {target}"));
    }
}

#[test]
fn links_that_others_could_have_planted_are_not_followed() {
    let tree = drifted();
    tree.dir("/home/u", 0o755).chown("/home/u", 1000, 1000).file("/home/u/d.json", "{\"debug\": true}", 0o644);
    tree.remove(CONFIG).link(CONFIG, "/home/u/d.json").chown(CONFIG, 1000, 1000);
    let before = tree.snapshot();
    let (ran, report) = tree.json(&["check", "--only", "daemon-debug-disabled"]);
    assert_eq!(report["summary"]["unknown"], 1, "{ran}");
    tree.harden(&["apply", "--yes", "--keep-going"]);
    assert_eq!(tree.snapshot().0["/home/u/d.json"], before.0["/home/u/d.json"]);
}

#[test]
fn what_is_no_file_is_neither_opened_nor_touched() {
    type Make = fn(&Tree);
    let table: [(&str, Make); 6] = [
        ("a FIFO", |tree| _ = tree.fifo(CONFIG)),
        ("a directory", |tree| _ = tree.dir(CONFIG, 0o777)),
        ("a socket", |tree| _ = tree.socket(CONFIG, 0o666)),
        ("a link to a FIFO", |tree| _ = tree.fifo("/etc/docker/pipe").link(CONFIG, "pipe")),
        ("a link to itself", |tree| _ = tree.link(CONFIG, "daemon.json")),
        ("a device", |tree| {
            let path = tree.at(CONFIG);
            let null = nix::libc::makedev(1, 3);
            nix::sys::stat::mknod(&path, nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::from_bits_truncate(0o666), null)
                .unwrap();
            tree.chmod(CONFIG, 0o666);
        }),
    ];
    for (what, make) in table {
        let tree = drifted();
        tree.remove(CONFIG);
        make(&tree);
        let before = tree.snapshot();
        let (ran, report) = tree.json(&["check", "--only", "daemon-debug-disabled"]);
        assert_eq!((ran.code, &report["summary"]["unknown"]), (0, &json!(1)), "{what}: {ran}");
        assert!(report["findings"][0]["fix"]["reason"].as_str().unwrap().contains(CONFIG), "{what}: {ran}");
        let ran = tree.harden(&["apply", "--yes", "--keep-going", "-b", "cis-l2"]);
        assert!([0, 1].contains(&ran.code), "{what}: {ran}");
        let after = tree.snapshot();
        let kind = |snapshot: &Snapshot| snapshot.0[CONFIG].mode & libc::S_IFMT;
        assert_eq!(kind(&before), kind(&after), "{what}");
        if what != "a directory" && what != "a socket" {
            assert_eq!(before.0[CONFIG], after.0[CONFIG], "{what}");
        }
    }
    for path in ["/etc/audit/rules.d/10-x.rules", "/usr/lib/systemd/system/docker.socket", "/etc/default/docker", "/etc/group"]
    {
        let tree = drifted();
        tree.remove(path).fifo(path);
        let ran = tree.harden(&["check", "-b", "cis-l2"]);
        assert!([0, 2].contains(&ran.code), "{path}: {ran}");
        let before = tree.snapshot();
        tree.harden(&["apply", "--yes", "--keep-going", "-b", "cis-l2"]);
        assert_eq!(before.0[path], tree.snapshot().0[path], "{path}");
    }
}

#[test]
fn strange_names_are_shown_harmlessly() {
    let tree = drifted();
    let certs = tree.at("/etc/docker/certs.d/r.io");
    fs::create_dir_all(&certs).unwrap();
    for name in
        ["evil\u{1b}[2J\u{7}.crt", "line\nbreak.key", "bidi\u{202e}txt.crt", " spaces .key", "-rf.crt", "*.crt", "$(x).key"]
    {
        fs::write(certs.join(name), "x").unwrap();
        fs::set_permissions(certs.join(name), fs::Permissions::from_mode(0o666)).unwrap();
    }
    let steers = |text: &str| text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}');
    for args in [&["check", "-v"][..], &["plan"], &["check", "--format", "json"]] {
        let ran = tree.harden(&[args, &["-b", "cis-l1"]].concat()).expect(2);
        assert!(!steers(&ran.stdout()) && !steers(&ran.stderr()), "{}", ran.stdout().escape_debug());
    }
    let (_, report) = tree.json(&["check", "-b", "cis-l1", "--only", "file-registry-certs-mode"]);
    assert!(report["findings"].as_array().unwrap().iter().any(|f| f["target"].as_str().unwrap().contains("\u{1b}[2J\u{7}")));
    tree.harden(&["apply", "--yes", "-b", "cis-l1"]).expect(0);
    for name in ["evil\u{1b}[2J\u{7}.crt", "*.crt", "-rf.crt"] {
        assert_eq!(fs::metadata(certs.join(name)).unwrap().mode() & 0o7777, 0o444, "{}", name.escape_debug());
    }

    // A message about such a file, too.
    fs::set_permissions(certs.join("evil\u{1b}[2J\u{7}.crt"), fs::Permissions::from_mode(0o666)).unwrap();
    common::set_immutable(&certs.join("evil\u{1b}[2J\u{7}.crt"), true);
    let ran = tree.harden(&["apply", "--yes", "-b", "cis-l1"]);
    common::set_immutable(&certs.join("evil\u{1b}[2J\u{7}.crt"), false);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(!steers(&ran.stderr()), "{}", ran.stderr().escape_debug());

    // A name that is not UTF-8 could be a certificate: the controls that search there can't tell.
    fs::write(certs.join(os(b"not\xffutf8.crt")), "x").unwrap();
    let (ran, report) = tree.json(&["check", "-b", "cis-l1", "--only", "file-registry-certs-mode"]);
    assert_eq!((&report["summary"]["unknown"], &report["summary"]["compliant"]), (&json!(2), &json!(0)), "{ran}");
    assert!(report["findings"][0]["fix"]["reason"].as_str().unwrap().contains("not UTF-8"), "{ran}");
}

#[test]
fn a_root_that_does_not_exist_or_is_no_directory() {
    let tree = drifted();
    for root in [tree.at("/nowhere"), tree.at(CONFIG)] {
        let ran = harden(&["check", "--root", root.to_str().unwrap()]).expect(64);
        assert!(ran.stderr().contains(root.to_str().unwrap()) && ran.stderr().contains("--root DIR"), "{ran}");
    }
    // An empty tree has nothing to judge, and nothing is made in it.
    let empty = Tree::empty();
    let before = empty.snapshot();
    for baseline in BASELINES {
        let (ran, report) = empty.json(&["check", "-b", baseline]);
        assert_eq!((&report["changes"], &report["summary"]["drift"]), (&json!([]), &json!(0)), "{ran}");
    }
    unchanged(&empty, &before, "check");
    let (ran, report) = empty.json(&["apply", "--yes"]);
    assert_eq!((ran.code, &report["changed"]), (0, &json!(false)), "{ran}");
}

#[test]
fn two_runs_do_not_meet() {
    let tree = drifted();
    tree.dir(STATE_DIR, 0o700);
    let lock = tree.at(&format!("{STATE_DIR}/lock"));
    fs::write(&lock, "").unwrap();
    let file = fs::File::open(&lock).unwrap();
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX) }, 0);
    let before = tree.snapshot();
    for args in [&["apply", "--yes"][..], &["rollback", "--yes"], &["recover"]] {
        let ran = tree.harden(args).expect(1);
        assert!(ran.stderr().contains(&format!("process {}", std::process::id())) && ran.stderr().contains(STATE_DIR), "{ran}");
    }
    unchanged(&tree, &before, "a second run");
    // Looking needs no lock.
    tree.harden(&["check"]).expect(2);
    drop(file);
    tree.harden(&["apply", "--yes"]).expect(0);
}

#[test]
fn a_read_only_root_is_reported_and_left_alone() {
    let tree = drifted();
    let before = tree.snapshot();
    let root = tree.path().to_str().unwrap().to_owned();
    let read_only = |args: &[&str]| {
        let mut command = command(&[args, &["--root", &root]].concat());
        let path = std::ffi::CString::new(root.clone()).unwrap();
        // SAFETY: only system calls, which a child of fork may make; the strings live in the closure.
        unsafe {
            command.pre_exec(move || {
                let none = std::ptr::null();
                let calls = libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
                    && libc::mount(path.as_ptr(), path.as_ptr(), none, libc::MS_BIND, none.cast()) == 0
                    && libc::mount(none, path.as_ptr(), none, libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY, none.cast())
                        == 0;
                if calls { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        run(command)
    };
    read_only(&["check"]).expect(2);
    let ran = read_only(&["apply", "--yes"]).expect(1);
    assert!(ran.stderr().contains("read-only") || ran.stderr().contains("Read-only"), "{ran}");
    unchanged(&tree, &before, "apply on a read-only root");
    // Transactions could not be kept there either, but elsewhere they can't be: nothing outside the root is written.
    assert!(!tree.exists(STATE_DIR));
}

#[test]
fn without_root_one_may_look_but_not_touch() {
    let nobody = |args: &[&str]| {
        let mut command = command(args);
        command.uid(65534).gid(65534);
        // The binary may lie where nobody else can enter: it is opened before the user changes.
        let binary = fs::File::open(env!("CARGO_BIN_EXE_harden")).unwrap();
        let fd = binary.as_raw_fd();
        let mut by_fd = std::process::Command::new(format!("/proc/self/fd/{fd}"));
        by_fd.args(args).env_clear().stdin(std::process::Stdio::null());
        // SAFETY: only system calls, which a child of fork may make.
        unsafe {
            by_fd.pre_exec(move || {
                let ok = libc::fcntl(fd, libc::F_SETFD, 0) == 0
                    && libc::setgroups(0, std::ptr::null()) == 0
                    && libc::setgid(65534) == 0
                    && libc::setuid(65534) == 0;
                if ok { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let ran = run(by_fd);
        drop(binary);
        ran
    };
    let tree = drifted();
    tree.chmod(CONFIG, 0o600).file("/etc/audit/rules.d/x.rules", "-w /x\n", 0o600).chmod("/etc/audit", 0o700);
    let before = tree.snapshot();
    let root = tree.path().to_str().unwrap();
    let ran = nobody(&["check", "--root", root, "--format", "json"]);
    let report = ran.document();
    assert!(report["summary"]["unknown"].as_u64() > Some(0), "{ran}");
    let debug = report["findings"].as_array().unwrap().iter().find(|f| f["control"] == "daemon-debug-disabled").unwrap();
    assert_eq!(debug["status"], "unknown", "what can't be read is never compliant");
    assert!(
        debug["fix"]["reason"].as_str().unwrap().contains("EACCES")
            && debug["fix"]["reason"].as_str().unwrap().contains(CONFIG)
    );
    assert_eq!(nobody(&["apply", "--yes", "--root", root]).code, 1);
    unchanged(&tree, &before, "apply without root");
    assert!(!tree.exists(STATE_DIR));

    // This host itself: refused before anything is looked at.
    let ran = nobody(&["apply", "--yes"]).expect(1);
    assert!(ran.stderr().contains("root") && ran.stderr().contains("nothing was changed"), "{ran}");
    let ran = nobody(&["rollback", "--yes"]).expect(1);
    assert!(ran.stderr().contains("root"), "{ran}");
}

#[test]
fn what_is_not_there_is_made_with_its_directories() {
    let tree = drifted();
    tree.remove("/etc/docker").remove("/etc/systemd").remove("/etc/audit/rules.d").remove("/var");
    tree.harden(&["apply", "--yes"]).expect(0);
    let mode = |path: &str| fs::metadata(tree.at(path)).unwrap().mode() & 0o7777;
    for dir in ["/etc/docker", "/etc/audit/rules.d", "/var", "/var/lib"] {
        assert_eq!(mode(dir), 0o755, "{dir}");
    }
    assert_eq!(mode(STATE_DIR), 0o700);
    assert_eq!(mode(CONFIG), 0o644);
}

#[test]
fn a_state_directory_elsewhere_is_beneath_the_root() {
    let tree = drifted();
    tree.harden(&["apply", "--yes", "--state-dir", "/srv/hardening"]).expect(0);
    assert!(tree.exists("/srv/hardening/transactions") && !tree.exists(STATE_DIR));
    assert!(!std::path::Path::new("/srv/hardening").exists());
    tree.harden(&["rollback", "--yes"]).expect(1);
    tree.harden(&["rollback", "--yes", "--state-dir", "/srv/hardening"]).expect(0);
    assert_eq!(tree.text(CONFIG), "{\n  \"debug\": true\n}\n");
    assert_eq!(fs::metadata(tree.at(CONFIG)).unwrap().mode() & 0o7777, 0o666);
}

#[test]
fn baselines_and_controls_are_explained() {
    let list = harden(&["baseline", "list"]).expect(0).stdout();
    for baseline in BASELINES {
        assert!(list.contains(baseline), "{list}");
        let ran = harden(&["baseline", "show", baseline, "--format", "json"]).expect(0);
        let shown: Value = serde_json::from_slice(&ran.out).unwrap();
        let controls = shown["controls"].as_array().unwrap();
        assert!(!controls.is_empty());
        for control in controls {
            let id = control["id"].as_str().unwrap();
            let text = harden(&["explain", id]).expect(0).stdout();
            assert!(text.starts_with(id), "{text}");
            for label in ["Why", "Severity", "Wanted", "Observed", "Fix", "Risk", "References"] {
                assert!(text.contains(label), "{id}: {label} is missing:\n{text}");
            }
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(harden(&["completions", shell]).expect(0).stdout().contains("harden"));
    }
    let tree = Tree::empty();
    let file = tree.at("/b.toml");
    fs::write(&file, "schema = 1\nname = \"mine\"\ntitle = \"t\"\nabout = \"a\"\nextends = \"essential\"\n\n[controls]\ndisable = [\"daemon-live-restor\"]\n").unwrap();
    let ran = harden(&["baseline", "validate", file.to_str().unwrap()]).expect(64);
    assert!(ran.stderr().contains("b.toml:8:") && ran.stderr().contains("daemon-live-restore"), "{ran}");
    let ran = harden(&["check", "-b", file.to_str().unwrap(), "--root", tree.path().to_str().unwrap()]).expect(64);
    assert!(ran.stderr().contains("b.toml:8:"), "{ran}");
}

/// Control, target, fix and reason of what is not as wanted.
fn drift(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["status"] == "drift");
    let text = |finding: &Value| {
        let fix = &finding["fix"];
        let words = [&finding["control"], &finding["target"], &fix["kind"], &fix["reason"]];
        words.map(|word| word.as_str().unwrap_or("-").to_owned()).join(" ")
    };
    findings.map(text).collect()
}

#[test]
fn a_plan_holds_what_its_own_changes_make_room_for() {
    let tree = Tree::host();
    tree.file(CONFIG, "{\"iptables\": false}", 0o644);
    // What only people can tell stays open.
    let by_hand = ["--skip", "daemon-rootless", "--skip", "daemon-default-ulimits", "--skip", "host-hardened"];
    let all = [&["-b", "cis-l1", "--max-risk", "disruptive"][..], &by_hand].concat();
    let (_, report) = tree.json(&[&["plan"], &all[..]].concat());
    assert_eq!(report["changes"].as_array().unwrap().iter().filter(|change| change["target"] == CONFIG).count(), 1, "{report}");
    tree.harden(&[&["apply", "--yes"], &all[..]].concat()).expect(0);
    let value: Value = serde_json::from_slice(&tree.read(CONFIG)).unwrap();
    assert_eq!((&value["icc"], &value["userland-proxy"], value.get("iptables")), (&json!(false), &json!(false), None));
    tree.harden(&[&["plan"], &all[..]].concat()).expect(0);
    // Without that change there is no room.
    tree.file(CONFIG, "{\"iptables\": false}", 0o644);
    let (_, report) = tree.json(&[&["plan", "--only", "daemon-icc-disabled"], &all[..]].concat());
    let left = drift(&report);
    assert!(left.len() == 1 && left[0].starts_with("daemon-icc-disabled icc manual dockerd does not start"), "{left:?}");

    // A directory that is made gets its rule, and the mode that is wanted, at once.
    let tree = Tree::host();
    tree.remove("/etc/docker");
    let all = ["-b", "guide", "--max-risk", "disruptive"];
    tree.harden(&[&["apply", "--yes"], &all[..]].concat()).expect(0);
    assert_eq!(fs::metadata(tree.at("/etc/docker")).unwrap().mode() & 0o7777, 0o750);
    assert!(tree.text("/etc/audit/rules.d/50-harden-docker.rules").contains("dir=/etc/docker "));
    let (ran, report) = tree.json(&[&["apply", "--yes"], &all[..]].concat());
    assert_eq!((ran.code, &report["changed"]), (0, &json!(false)), "{ran}");
}

#[test]
fn what_a_write_would_refuse_is_withheld_beforehand() {
    type Spoil = fn(&Tree);
    let table: [(Spoil, &[&str], &str, &str); 4] = [
        (
            |tree| _ = tree.chown("/etc", 999, 0),
            &["--only", "daemon-debug-disabled"],
            CONFIG,
            "user 999 can change the directory /etc; harden does not write in it",
        ),
        (
            |tree| _ = tree.chmod("/etc/docker", 0o777),
            &["--only", "daemon-debug-disabled"],
            CONFIG,
            "any user can change the directory /etc/docker; harden does not write in it",
        ),
        (
            |tree| _ = tree.chmod("/etc/audit/rules.d", 0o770).chown("/etc/audit/rules.d", 0, 4),
            &["--only", "audit-watch-dockerd"],
            "/etc/audit/rules.d/50-harden-docker.rules",
            "group 4 can change the directory /etc/audit/rules.d; harden does not write in it",
        ),
        (
            |tree| fs::hard_link(tree.at(CONFIG), tree.at("/etc/other")).unwrap(),
            &["--only", "*-daemon-json-mode"],
            CONFIG,
            "/etc/docker/daemon.json has 2 names (hard links); harden leaves it alone",
        ),
    ];
    for (spoil, args, target, reason) in table {
        let tree = drifted();
        spoil(&tree);
        let before = tree.snapshot();
        let (ran, report) = tree.json(&[&["plan"], args].concat());
        assert_eq!(report["changes"], json!([]), "{ran}");
        assert!(drift(&report).iter().any(|drift| drift.ends_with(&format!("manual withheld: {reason}"))), "{ran}");
        let ran = tree.harden(&[&["apply", "--yes"], args].concat()).expect(1);
        assert!(ran.stderr().contains(&format!("{target}: {reason}; nothing was changed")), "{ran}");
        tree.harden(&[&["apply", "--yes", "--keep-going"], args].concat()).expect(0);
        let difference = before.difference(&tree.snapshot());
        assert!(difference.keys().all(|path| path == "/var/lib"), "{difference:#?}");
    }
    // Where the plan itself mends the directory, it may write in it.
    let tree = drifted();
    tree.chmod("/etc/docker", 0o777).chown("/etc/docker", 999, 999);
    tree.harden(&["apply", "--yes"]).expect(0);
    assert!(tree.text(CONFIG).contains("\"debug\": false"));
    assert_eq!(
        (fs::metadata(tree.at("/etc/docker")).unwrap().uid(), tree.snapshot().0["/etc/docker"].mode & 0o777),
        (0, 0o755)
    );
}

#[test]
fn a_file_of_two_names_is_changed_once() {
    let tree = drifted();
    fs::rename(tree.at(CONFIG), tree.at("/etc/docker/real.json")).unwrap();
    tree.link(CONFIG, "real.json");
    let (ran, report) = tree.json(&["apply", "--yes"]);
    assert_eq!(ran.code, 0, "{ran}");
    let of_config = report["changes"].as_array().unwrap().iter().filter(|c| c["target"].as_str().unwrap().ends_with(".json"));
    assert_eq!(of_config.count(), 1, "{ran}");
    assert!(fs::symlink_metadata(tree.at(CONFIG)).unwrap().is_symlink());
    assert!(tree.text("/etc/docker/real.json").contains("\"debug\": false"));
    assert_eq!(fs::metadata(tree.at("/etc/docker/real.json")).unwrap().mode() & 0o7777, 0o644);
    // A link that leads nowhere: nothing is made at its end.
    let tree = drifted();
    tree.remove(CONFIG).link(CONFIG, "/srv/nothing.json");
    let (ran, report) = tree.json(&["check", "--only", "daemon-debug-disabled"]);
    assert_eq!(report["summary"]["unknown"], 1, "{ran}");
    tree.harden(&["apply", "--yes", "--keep-going"]).expect(0);
    assert!(!tree.exists("/srv"));
}

#[test]
fn a_drop_in_that_wins_is_left_to_its_owner() {
    let tree = drifted();
    let place = "/etc/systemd/system/docker.socket.d/zzz.conf";
    tree.file(place, "[Socket]\nSocketMode=0666\n", 0o644);
    let (ran, report) = tree.json(&["apply", "--yes"]);
    assert_eq!(ran.code, 0, "{ran}");
    let left = drift(&report);
    assert_eq!(left.len(), 1, "{ran}");
    assert!(
        left[0].starts_with("socket-docker-unit-settings docker.socket SocketMode manual ") && left[0].contains(place),
        "{left:?}"
    );
    // One that harden's own wins over is no obstacle, and a mode only loses bits.
    tree.remove(place).file("/etc/systemd/system/docker.socket.d/10-a.conf", "[Socket]\nSocketMode=0646\n", 0o644);
    tree.harden(&["apply", "--yes"]).expect(0);
    assert!(tree.text("/etc/systemd/system/docker.socket.d/zz-harden.conf").contains("SocketMode=0640\n"));
}

#[test]
fn what_is_not_there_is_looked_for_once() {
    let tree = Tree::host();
    let log = tree.at("/strace.log");
    let ran = common::sides::strace(&tree, &["-e", "trace=openat2", "-o", log.to_str().unwrap()], &["check", "-b", "guide"]);
    assert_eq!(ran.status.code(), Some(2), "{}", String::from_utf8_lossy(&ran.stderr));
    let text = fs::read_to_string(&log).unwrap();
    let opened = |path: &str| text.lines().filter(|line| line.contains(path)).count();
    for dir in ["/run/systemd/transient", "/usr/local/lib/systemd/system", "/etc/systemd/system.control", "/lib/systemd/system"]
    {
        // One look at the directory tells that nothing is below it.
        assert_eq!(opened(&format!("\"{dir}")), 1, "{dir}: {text}");
    }
    assert_eq!(opened("\"/usr/lib/systemd/system/service.d\""), 1, "{text}");
}
