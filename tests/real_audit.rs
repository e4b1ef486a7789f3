//! The kernel's own audit list: rules that harden adds are there as sent, and gone when it deletes them.
//!
//! Needs root, a kernel with auditing and `auditctl`; it fails where it can't have them. It leaves the list as it found it.

mod lab;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use harden::apply::audit::{add_rule, delete_rule};
use harden::fact::Fact;
use harden::formats::audit_rule::{Account, Env, Line, Lookup, Machine, PathState, Perms, Rule, our_watch, parse_line};
use harden::host::audit::{self, status_and_rules};
use lab::Lab;

/// Deletes its rules whatever happens.
struct Added(Vec<Rule>);

impl Drop for Added {
    fn drop(&mut self) {
        for rule in &self.0 {
            let _ = delete_rule(rule);
        }
    }
}

fn kernel_rules() -> Vec<Rule> {
    match status_and_rules() {
        Ok((_, rules)) => rules,
        Err(trouble) => panic!("this test needs root and a kernel that audits: {trouble}"),
    }
}

/// The rules that `auditctl` prints.
fn auditctl_lines() -> Vec<String> {
    let output = Command::new("auditctl").arg("-l").output().unwrap();
    assert!(output.status.success(), "auditctl -l: {output:?}");
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| *line != "No rules").map(str::to_owned).collect()
}

fn path_state(path: &Path) -> PathState {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => PathState::Dir,
        Ok(_) => PathState::Other,
        Err(_) if path.parent().is_some_and(Path::is_dir) => PathState::Missing,
        Err(_) => PathState::ParentMissing,
    }
}

fn parse(line: &str) -> Rule {
    let account = |_: Account, _: &str| Lookup::Unknown;
    match parse_line(line.as_bytes(), &Env { machine: Machine::native(), path_state: &path_state, account: &account }) {
        Line::Rule { rule, .. } => rule,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn rules_are_added_listed_and_deleted() {
    let lab = Lab::new();
    lab::require("auditctl", "auditd");
    let key = format!("harden-test-{}", std::process::id());
    std::fs::write(lab.dir().join("a file"), "").unwrap();
    let dir = lab.dir().to_str().unwrap();

    let before = kernel_rules();
    let watch = our_watch(dir, true, "wa".parse().unwrap(), &key);
    let file = our_watch(&format!("{dir}/a file"), false, Perms::EXEC, &key);
    // A rule that others don't notice: it is about a directory of this test.
    let never =
        parse(&format!("-a never,exit -F arch=b64 -S openat,openat2 -F dir={dir} -F auid>=1000 -C uid!=euid -k {key} -k two"));
    let mut added = Added(Vec::new());
    for rule in [&never, &watch, &file] {
        assert!(!before.contains(rule));
        added.0.push(rule.clone());
        assert!(add_rule(rule).unwrap(), "{rule}");
        assert!(!add_rule(rule).unwrap(), "added twice: {rule}");
    }

    let ours = |rules: &[Rule]| rules.iter().filter(|rule| rule.keys().contains(&key)).cloned().collect::<Vec<_>>();
    let listed = kernel_rules();
    assert_eq!(listed.len(), before.len() + 3);
    assert_eq!(ours(&listed), [never.clone(), watch.clone(), file.clone()]);
    let Fact::Known(fact) = audit::read() else { panic!("the kernel answered before") };
    assert_eq!(fact.rules, listed);
    let printed = auditctl_lines();
    assert_eq!(printed.len(), listed.len(), "{printed:?}");
    assert!(printed.contains(&format!("-w {dir} -p wa -k {key}")), "{printed:?}");

    // auditctl takes our text for the same rule: with it, it deletes it.
    let text = watch.to_string();
    let mut words = text.split(' ');
    assert_eq!(words.next(), Some("-a"));
    let deleted = Command::new("auditctl").arg("-d").args(words).output().unwrap();
    assert!(deleted.status.success(), "auditctl -d {text}: {deleted:?}");
    assert_eq!(ours(&kernel_rules()), [never.clone(), file.clone()]);

    for rule in [&never, &watch, &file] {
        delete_rule(rule).unwrap();
    }
    assert_eq!(kernel_rules(), before);
}

#[test]
fn the_kernel_says_why_it_refuses() {
    let _lab = Lab::new();
    let before = kernel_rules();
    let nowhere = our_watch("/nonexistent-directory/x", false, Perms::WRITE, "harden-test");
    let error = add_rule(&nowhere).unwrap_err().to_string();
    assert!(error.contains("answered ENOENT: No such file or directory\n  help: the directory that it names"), "{error}");
    let relative = our_watch("etc/docker", false, Perms::WRITE, "harden-test");
    let error = add_rule(&relative).unwrap_err().to_string();
    assert!(error.ends_with("answered EINVAL: Invalid argument"), "{error}");
    assert_eq!(kernel_rules(), before);
}

/// Whoever may not ask is told so, and is not told that there are no rules.
#[test]
fn without_the_right_to_ask_rules_are_unknown() {
    const AS_NOBODY: &str = "HARDEN_TEST_AS_NOBODY";
    if std::env::var_os(AS_NOBODY).is_some() {
        let Fact::Unknown(why) = audit::read() else { panic!("expected to be refused") };
        println!("{why}");
        return;
    }
    let lab = Lab::new();
    // The build directory may be closed to others: run a copy.
    let copy = lab.dir().join("test");
    std::fs::copy("/proc/self/exe", &copy).unwrap();
    let test = ["--exact", "without_the_right_to_ask_rules_are_unknown", "--nocapture"];
    let output = Command::new(&copy).args(test).env(AS_NOBODY, "1").uid(65534).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("audit rules need CAP_AUDIT_CONTROL in the host's own pid namespace (EPERM)"), "{output:?}");
}
