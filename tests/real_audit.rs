//! The kernel's own audit list: rules that harden adds are there as sent, and gone when it deletes them.
//!
//! Needs root, a kernel with auditing and `auditctl`; it fails where it can't have them. It leaves the list as it found it.

use std::path::{Path, PathBuf};
use std::process::Command;

use harden::apply::audit::{add_rule, delete_rule};
use harden::fact::Fact;
use harden::formats::audit_rule::{Account, Env, Line, Lookup, Machine, PathState, Perms, Rule, our_watch, parse_line};
use harden::host::audit::{self, status_and_rules};

/// Deletes the rules and the directory whatever happens.
struct Scratch {
    dir: PathBuf,
    rules: Vec<Rule>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for rule in &self.rules {
            let _ = delete_rule(rule);
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn kernel_rules() -> Vec<Rule> {
    match status_and_rules() {
        Ok((_, rules)) => rules,
        Err(trouble) => panic!("this test needs root and a kernel that audits: {trouble}"),
    }
}

/// What `auditctl` prints for rules with this key.
fn auditctl_lines(key: &str) -> Vec<String> {
    let output =
        Command::new("auditctl").arg("-l").output().expect("this test needs auditctl (Debian: apt-get install auditd)");
    assert!(output.status.success(), "auditctl -l: {output:?}");
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.contains(key)).map(str::to_owned).collect()
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
    let key = format!("harden-test-{}", std::process::id());
    let dir = std::env::temp_dir().join(&key);
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("a file"), "").unwrap();
    let shown = dir.to_str().unwrap();

    let before = kernel_rules();
    let watch = our_watch(shown, true, "wa".parse().unwrap(), &key);
    let file = our_watch(&format!("{shown}/a file"), false, Perms::EXEC, &key);
    // Never recorded: this rule changes nothing of what others see.
    let never = parse(&format!(
        "-a never,exit -F arch=b64 -S openat,openat2 -F dir={shown} -F auid>=1000 -C uid!=euid -k {key} -k two"
    ));
    let mut scratch = Scratch { dir: dir.clone(), rules: Vec::new() };
    for rule in [&never, &watch, &file] {
        assert!(!before.contains(rule));
        scratch.rules.push(rule.clone());
        assert!(add_rule(rule).unwrap(), "{rule}");
        assert!(!add_rule(rule).unwrap(), "added twice: {rule}");
    }

    let ours = |rules: &[Rule]| rules.iter().filter(|rule| rule.keys().contains(&key)).cloned().collect::<Vec<_>>();
    assert_eq!(ours(&kernel_rules()), [never.clone(), watch.clone(), file.clone()]);
    let Fact::Known(fact) = audit::read() else { panic!("the kernel answered before") };
    assert_eq!(ours(&fact.rules).len(), 3);
    let printed = auditctl_lines(&key);
    assert_eq!(printed.len(), 3, "{printed:?}");
    assert_eq!(printed[1], format!("-w {shown} -p wa -k {key}"));

    // auditctl takes our text for the same rules: it can delete one, and so it can all.
    let words: Vec<String> = watch.to_string().split(' ').map(str::to_owned).collect();
    let mut delete = vec!["-d".to_owned()];
    delete.extend_from_slice(&words[1..]);
    let deleted = Command::new("auditctl").args(&delete).output().unwrap();
    assert!(deleted.status.success(), "auditctl {delete:?}: {deleted:?}");
    assert_eq!(ours(&kernel_rules()), [never.clone(), file.clone()]);

    for rule in [&never, &watch, &file] {
        delete_rule(rule).unwrap();
    }
    assert_eq!(kernel_rules(), before);
    scratch.rules.clear();
}

#[test]
fn the_kernel_says_why_it_refuses() {
    let key = format!("harden-refused-{}", std::process::id());
    let before = kernel_rules();
    let nowhere = our_watch("/nonexistent-directory/x", false, Perms::WRITE, &key);
    let error = add_rule(&nowhere).unwrap_err().to_string();
    assert!(error.contains("answered ENOENT: No such file or directory\n  help: the directory that it names"), "{error}");
    let relative = our_watch("etc/docker", false, Perms::WRITE, &key);
    let error = add_rule(&relative).unwrap_err().to_string();
    assert!(error.ends_with("answered EINVAL: Invalid argument"), "{error}");
    assert_eq!(kernel_rules(), before);
}

/// Whoever may not ask is told so, and is not told that there are no rules.
#[test]
fn without_the_right_to_ask_rules_are_unknown() {
    use std::os::unix::process::CommandExt;
    if std::env::var_os("HARDEN_TEST_ASK").is_some() {
        let Fact::Unknown(why) = audit::read() else { panic!("expected to be refused") };
        println!("{why}");
        return;
    }
    assert!(nix::unistd::geteuid().is_root(), "this test needs root");
    let output = Command::new("/proc/self/exe")
        .args(["--exact", "without_the_right_to_ask_rules_are_unknown", "--nocapture"])
        .env("HARDEN_TEST_ASK", "1")
        .uid(65534)
        .output();
    let output = output.or_else(|_| {
        // The build directory is not open to everyone: run a copy.
        let copy = std::env::temp_dir().join(format!("harden-test-ask-{}", std::process::id()));
        std::fs::copy("/proc/self/exe", &copy)?;
        let output = Command::new(&copy)
            .args(["--exact", "without_the_right_to_ask_rules_are_unknown", "--nocapture"])
            .env("HARDEN_TEST_ASK", "1")
            .uid(65534)
            .output();
        std::fs::remove_file(&copy)?;
        output
    });
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("audit rules need CAP_AUDIT_CONTROL in the host's own pid namespace (EPERM)"), "{output:?}");
}
