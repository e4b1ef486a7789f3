//! harden and this machine's own audit rules: the kernel's list and /etc/audit/rules.d, both left as they were found.

mod lab;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use harden::apply::audit::delete_rule;
use harden::formats::audit_rule::Rule;
use harden::host::audit::status_and_rules;
use lab::run::{BINARY, Report, Run, harden, path, text};
use lab::{Lab, require};
use serde_json::json;

const RULES_DIR: &str = "/etc/audit/rules.d";
const OWN: &str = "/etc/audit/rules.d/50-harden-docker.rules";
/// How keys of these tests begin: of harden's rules, and of others.
const OURS: [&str; 2] = ["harden-audit-", "harden-lab-"];
/// A file of somebody else, read after harden's.
const SITE: &str = "/etc/audit/rules.d/60-harden-lab.rules";
/// The same, read before it.
const EARLY: &str = "/etc/audit/rules.d/10-harden-lab.rules";
const CONTROLS: [&str; 4] = ["--only", "audit-watch-dockerd", "--only", "audit-watch-etc-docker"];

/// The machine's audit rules, put back as they were whatever happens.
struct Machine {
    lab: Lab,
    /// The key of the rules that harden adds here, and of nothing else.
    key: String,
    rules_d: BTreeMap<PathBuf, Entry>,
    kernel: Vec<Rule>,
    enabled: u32,
}

/// A file of rules.d: what restoring it must bring back.
#[derive(Debug, PartialEq)]
struct Entry {
    content: Vec<u8>,
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
}

impl Machine {
    fn new() -> Machine {
        let lab = Lab::new();
        require("auditctl", "auditd");
        require("dockerd", "docker.io");
        assert!(Path::new("/etc/docker").is_dir(), "this test needs /etc/docker: run ./test, or mkdir /etc/docker");
        let (status, kernel) = status_and_rules().unwrap_or_else(|trouble| {
            panic!("this test needs the kernel's audit rules, so a machine of its own and not a container: {trouble}")
        });
        assert_ne!(status.enabled, 2, "the audit rules of this machine are locked until it boots");
        let watched = kernel.iter().map(Rule::to_string).find(|rule| rule.contains("docker"));
        assert_eq!(watched, None, "this machine is in use: its kernel watches Docker already");
        for file in [OWN, SITE, EARLY] {
            assert!(!Path::new(file).exists(), "this machine is in use: {file} is there");
        }
        let key = format!("harden-audit-{}", std::process::id());
        Machine { lab, key, rules_d: rules_d(), kernel, enabled: status.enabled }
    }

    fn run(&self, command: &[&str]) -> Run {
        let (state, key) = (path(&self.lab.dir().join("state")), format!("audit.key={}", self.key));
        let common = ["--state-dir", &state, "--set", &key, "--format", "json"];
        harden(&[command, &common].concat())
    }

    fn apply(&self) -> Report {
        self.run(&[&["apply", "--yes"], &CONTROLS[..]].concat()).report(0)
    }

    /// The rules of harden as `auditctl -l` prints them.
    fn listed(&self) -> Vec<String> {
        let key = self.key.clone();
        auditctl(&["-l"]).lines().filter(|line| line.contains(&key)).map(str::to_owned).collect()
    }

    fn watch(&self, target: &str, perms: &str) -> String {
        format!("-w {target} -p {perms} -k {}", self.key)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for file in [OWN, SITE, EARLY] {
            let _ = fs::remove_file(file);
        }
        let now = status_and_rules().map(|(_, rules)| rules).unwrap_or_default();
        for rule in now.iter().filter(|rule| OURS.iter().any(|key| rule.to_string().contains(key))) {
            if let Err(error) = delete_rule(rule) {
                eprintln!("left in the kernel: {error}");
            }
        }
        let _ = Command::new("auditctl").args(["-e", &self.enabled.to_string()]).env("PATH", lab::path_with_sbin()).output();
        if std::thread::panicking() {
            return;
        }
        assert_eq!(rules_d(), self.rules_d, "{RULES_DIR} is not as it was found");
        let (status, kernel) = status_and_rules().expect("the kernel's audit rules");
        assert_eq!(
            (status.enabled, kernel),
            (self.enabled, std::mem::take(&mut self.kernel)),
            "the kernel is not as it was found"
        );
    }
}

fn rules_d() -> BTreeMap<PathBuf, Entry> {
    let entries = fs::read_dir(RULES_DIR).expect("the rules of auditd").map(|entry| entry.expect("an entry").path());
    let describe = |path: PathBuf| {
        let metadata = fs::metadata(&path).expect("a file");
        let entry = Entry {
            content: fs::read(&path).expect("a file"),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        };
        (path, entry)
    };
    entries.map(describe).collect()
}

fn auditctl(arguments: &[&str]) -> String {
    let run = Run::of(Command::new("auditctl").args(arguments).env("PATH", lab::path_with_sbin()));
    assert_eq!(run.code, 0, "auditctl {arguments:?}: {}", run.stderr);
    run.stdout
}

fn kernel() -> Vec<Rule> {
    status_and_rules().expect("the kernel's audit rules").1
}

/// The rules of harden's own file, as they stand there.
fn on_disk() -> Vec<String> {
    let text = fs::read_to_string(OWN).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn only_what_is_missing_is_added_and_the_rest_keeps_its_place() {
    let machine = Machine::new();
    // Rules that are in the kernel only: loading rules.d again would lose them.
    let dir = path(machine.lab.dir());
    auditctl(&["-w", &dir, "-p", "r", "-k", "harden-lab-other"]);
    auditctl(&["-w", "/etc/docker", "-p", "wa", "-k", "harden-lab-other"]);
    auditctl(&["-a", "always,exit", "-F", "arch=b64", "-S", "acct", "-F", &format!("dir={dir}"), "-k", "harden-lab-other"]);
    let before = kernel();

    let report = machine.apply();
    assert_eq!(report.changes(), [OWN, "kernel audit rules"]);
    let after = kernel();
    assert_eq!(after[..before.len()], before, "what was there is there, in its order");
    assert_eq!(machine.listed(), [machine.watch("/usr/sbin/dockerd", "wxa")], "the rule of another key counts");
    assert_eq!(after.len(), before.len() + 1);
    let metadata = fs::metadata(OWN).expect("its file");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o640, 0, 0));
    assert_eq!(on_disk().len(), 2, "rules.d has neither: {:?}", on_disk());
    assert!(on_disk().iter().all(|line| !line.contains("-D")));

    let report = machine.apply();
    assert_eq!((&report.0["changed"], report.changes().len()), (&json!(false), 0));
    assert_eq!(fs::metadata(OWN).expect("its file").mtime_nsec(), metadata.mtime_nsec(), "nothing is written twice");
    assert_eq!(kernel(), after);
    let report = machine.run(&[&["check"], &CONTROLS[..]].concat()).report(0);
    assert_eq!(report.with_status("compliant").len(), 2);

    // What is on disk is what is in the kernel: auditctl takes the file, and its rules are those that were added.
    let ours: Vec<Rule> = after.iter().filter(|rule| rule.to_string().contains(&machine.key)).cloned().collect();
    for rule in &ours {
        delete_rule(rule).expect("it was there");
    }
    assert_eq!(kernel(), before);
    auditctl(&["-R", OWN]);
    let loaded = kernel();
    assert_eq!(loaded.len(), before.len() + 2);
    assert!(ours.iter().all(|rule| loaded.contains(rule)), "{loaded:?}");

    machine.run(&["rollback", "--yes"]).report(0);
    assert!(!Path::new(OWN).exists());
    assert!(kernel().iter().all(|rule| !ours.contains(rule)), "what harden had added is taken away");
    assert!(before.iter().all(|rule| kernel().contains(rule)), "what others had added is not");
}

#[test]
fn a_rule_of_another_file_counts() {
    let machine = Machine::new();
    fs::write(SITE, "-w /usr/sbin/dockerd -p rwxa -k harden-lab-site\n-w /etc/docker/ -p wa -k harden-lab-site\n")
        .expect("a file");
    let report = machine.apply();
    assert_eq!(report.changes(), ["kernel audit rules"]);
    assert!(!Path::new(OWN).exists());
    let report = machine.run(&[&["check"], &CONTROLS[..]].concat()).report(0);
    assert_eq!(report.with_status("drift"), [""; 0]);
}

#[test]
fn a_rule_after_a_line_that_stops_the_load_is_not_promised() {
    let machine = Machine::new();
    fs::write(EARLY, "-w /etc/docker -p wa -k harden-lab-early\n-a never,nonsense -k harden-lab-early\n").expect("a file");
    let report = machine.apply();
    assert_eq!(report.changes(), ["kernel audit rules"]);
    assert_eq!(machine.listed(), [machine.watch("/etc/docker", "wa")], "the line before it loads at boot");
    let finding = report.finding("audit-watch-dockerd", "/usr/sbin/dockerd");
    assert_eq!(finding["fix"]["kind"], "manual");
    let reason = text(&finding["fix"]["reason"]);
    assert!(reason.starts_with(&format!("a rule after {EARLY}:2 would not load")), "{reason}");
}

/// Every record, every file, and every message to the kernel and its answer.
#[test]
fn a_run_that_is_killed_anywhere_leaves_the_kernel_as_it_was() {
    let machine = Machine::new();
    // Half of what is wanted is there: that half stays, whoever undoes what.
    auditctl(&["-w", "/etc/docker", "-p", "wa", "-k", "harden-lab-other"]);
    let before = (kernel(), rules_d());
    let (state, key) = (path(&machine.lab.dir().join("state")), format!("audit.key={}", machine.key));
    let apply = [&["apply", "--yes", "--state-dir", &state, "--set", &key], &CONTROLS[..]].concat();
    let (mut kills, mut committed) = (0, 0);
    for call in ["sendto", "recvfrom", "fdatasync", "fsync", "linkat"] {
        for number in 1.. {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e"]);
            command.arg(format!("inject={call}:signal=KILL:when={number}")).arg(BINARY).args(&apply).env_remove("DOCKER_HOST");
            let status = command.output().expect("strace is needed: apt-get install strace").status;
            let context = format!("killed at {call} {number}");
            if status.code() == Some(0) {
                assert_eq!((machine.listed().len(), on_disk().len()), (1, 2), "{context}: that never came");
                machine.run(&["rollback", "--yes"]).report(0);
                assert_eq!((kernel(), rules_d()), before, "rolled back");
                break;
            }
            assert_eq!(status.signal(), Some(9), "{context}: {status}");
            kills += 1;
            machine.run(&["recover"]).report(0);
            assert_eq!(machine.run(&["recover"]).report(0).0["changed"], false, "{context}");
            if (kernel(), rules_d()) != before {
                // The last record was written: all is done.
                assert_eq!((machine.listed().len(), on_disk().len()), (1, 2), "{context}: neither before nor after");
                machine.run(&["rollback", "--yes"]).report(0);
                committed += 1;
            }
            assert!((kernel(), rules_d()) == before, "{context}: {:?}", kernel());
        }
    }
    println!("{kills} kills, {committed} of them when all was done");
    assert!(kills >= 20 && committed <= kills / 4, "{kills} kills, {committed} of them when all was done");
}

#[test]
fn a_write_to_a_watched_file_is_recorded() {
    let machine = Machine::new();
    machine.apply();
    auditctl(&["-e", "1"]);
    // Without an auditd the kernel writes its records into its own log. A process from before auditing was on is not recorded.
    let probe = Path::new("/etc/docker").join(&machine.key);
    let script = "echo x > \"$1\" && rm \"$1\"";
    Run::of(Command::new("sh").args(["-c", script, "sh"]).arg(&probe)).ends_with(0);
    let wanted = format!("key=\"{}\"", machine.key);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !Run::of(&mut Command::new("dmesg")).ends_with(0).contains(&wanted) {
        assert!(Instant::now() < deadline, "nothing about {} in the kernel's log; is an auditd running here?", probe.display());
        sleep(Duration::from_millis(50));
    }
}
