//! `harden check --dockerfile`, by the real binary: what a person reads, the document, exit statuses, and that nothing else is needed.

mod common;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use common::{Ran, Tree, command, run};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dockerfile");

/// In the folder of the sample files, so that paths are short and the same everywhere.
fn at(dir: &str, args: &[&str]) -> Ran {
    let mut command = command(&[&["check"], args].concat());
    command.current_dir(format!("{DATA}/{dir}"));
    run(command)
}

fn with_input(args: &[&str], input: &str) -> Ran {
    let mut command: Command = command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Ran::of(child.wait_with_output().unwrap(), format!("harden {}", args.join(" ")))
}

/// The text without the digest, which changes with every word of the catalogue. UPDATE_EXPECTED=1 writes the file anew.
#[track_caller]
fn golden(ran: &Ran, file: &str) {
    let digest = |line: &str| line.split(" (").next().unwrap_or_default().to_owned();
    let lines = ran.stdout();
    let lines = lines.lines().map(|line| if line.starts_with("Baseline") { digest(line) } else { line.to_owned() });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    let path = format!("{DATA}/{file}");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{path}");
    // Only a word that has no room may be longer.
    assert!(text.lines().all(|line| line.chars().count() <= 80 || !line.trim().contains(' ')), "{text}");
}

#[test]
fn a_good_one() {
    let policy = ["--set", "allowed_registries=[\"docker.io/library/*\"]"];
    golden(&at("good", &[&["--dockerfile", ".", "-v"][..], &policy].concat()).expect(0), "good.txt");
    let ran = at("good", &[&["--dockerfile", "Dockerfile", "-q"][..], &policy].concat()).expect(0);
    assert_eq!(ran.stdout(), "Dockerfile: everything is as wanted, 21 compliant, 2 not applicable\n");
}

#[test]
fn a_bad_one() {
    golden(&at("bad", &["--dockerfile", "Dockerfile"]).expect(2), "bad.txt");
    let ran = at("bad", &["--dockerfile", "Dockerfile", "-v", "--format", "json"]).expect(2);
    assert!(!ran.stdout().contains("hunter2") && !ran.stderr().contains("hunter2"), "{ran}");
}

#[test]
fn the_document() {
    let ran = at("bad", &["--dockerfile", "Dockerfile", "--format", "json"]).expect(2);
    let report = ran.document();
    assert_eq!(report["baseline"]["name"], "image-build");
    assert_eq!((report["host"]["hostname"].as_str(), report["host"]["root"].as_str()), (Some(""), Some("")));
    let findings = report["findings"].as_array().unwrap();
    let secret = findings.iter().find(|finding| finding["control"] == "image-no-secrets").unwrap();
    assert_eq!(secret["target"], "Dockerfile:2:5");
    assert_eq!(secret["observed"], "ENV NPM_TOKEN=***");
    assert_eq!(secret["fix"]["kind"], "manual");
    let waived: Vec<_> = findings.iter().filter(|finding| finding["status"] == "waived").collect();
    assert_eq!(waived.len(), 1);
    assert_eq!(waived[0]["target"], "Dockerfile:12:1");
    assert_eq!(waived[0]["fix"]["reason"], "the vendor's installer wants it, by Dockerfile:11");
    assert_eq!(report["changes"].as_array().map(Vec::len), Some(0));
    let mut places: Vec<(&str, &str)> =
        findings.iter().map(|finding| (finding["control"].as_str().unwrap(), finding["target"].as_str().unwrap())).collect();
    let all = places.len();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), all, "two findings of one control in one place");
}

#[test]
fn other_baselines_and_several_files() {
    let ran = at("", &["--dockerfile", "good", "--dockerfile", "bad/Dockerfile", "--format", "json"]).expect(2);
    let report = ran.document();
    let of = |path: &str| {
        report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["target"].as_str().unwrap().starts_with(path))
            .count()
    };
    assert!(of("good/Dockerfile") >= 23 && of("bad/Dockerfile") >= 23);
    // Of another baseline only what speaks of images.
    let report = at("good", &["--dockerfile", ".", "-b", "cis-l1", "--format", "json"]).document();
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(11));
    let ran = at("good", &["--dockerfile", ".", "-b", "essential"]).expect(64);
    assert!(
        ran.stderr().contains("the baseline essential has no control of images\n  help: judge Dockerfiles with -b image-build"),
        "{ran}"
    );
    let ran = at("good", &["--dockerfile", ".", "--only", "image-user-nonroot", "-q"]).expect(0);
    assert_eq!(ran.stdout(), "Dockerfile: everything is as wanted, 1 compliant\n");
}

#[test]
fn standard_input_and_contexts() {
    let text = "FROM a:1\nCOPY . /\n";
    let ran = with_input(&["check", "--dockerfile", "-", "--only", "image-dockerignore"], text).expect(0);
    assert!(ran.stdout().contains("it was read from standard input"), "{ran}");
    let good = format!("{DATA}/good");
    with_input(&["check", "--dockerfile", "-", "--context", &good, "--only", "image-dockerignore"], text).expect(0);
    let tree = Tree::empty();
    tree.file("/Dockerfile", text, 0o644)
        .file("/.dockerignore", "*.md\n", 0o644)
        .file("/a.key", "", 0o644)
        .dir("/sub", 0o755)
        .file("/sub/b.pem", "", 0o644);
    let check = |dockerfile: &str| {
        let path = tree.at(dockerfile);
        let mut command = command(&[
            "check",
            "--format",
            "json",
            "--only",
            "image-dockerignore",
            "--context",
            tree.path().to_str().unwrap(),
            "--dockerfile",
        ]);
        command.arg(path);
        run(command).document()["findings"][0]["observed"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(check("/Dockerfile"), "the whole context, with .git, .env, .npmrc, .aws, *.key, *.pem");
    // The ignore file of one Dockerfile goes before that of the context.
    tree.file("/Dockerfile.dockerignore", ".git\n.env\n.npmrc\n.aws\n*.key\n*.pem\n", 0o644);
    assert_eq!(check("/Dockerfile"), "the whole context, with sub/b.pem in it");
    tree.file("/Dockerfile.dockerignore", "*\n!x\n", 0o644);
    assert!(check("/Dockerfile").starts_with('/'));
}

#[test]
fn files_that_cannot_be_read() {
    let tree = Tree::empty();
    tree.file("/binary", b"FROM a\nRUN \xff\n", 0o644).dir("/empty", 0o755);
    for (path, expected) in [
        (
            "/none",
            "/none: cannot read it: No such file or directory (os error 2)\n  help: harden check --dockerfile PATH, a Dockerfile or the directory of one\n",
        ),
        (
            "/empty",
            "/empty/Dockerfile: cannot read it: No such file or directory (os error 2)\n  help: harden check --dockerfile PATH, a Dockerfile or the directory of one\n",
        ),
        ("/binary", "/binary:2:5: it is not UTF-8\n  help: is it a Dockerfile? iconv -t UTF-8 converts text\n"),
    ] {
        let mut command = command(&["check", "--dockerfile"]);
        command.arg(tree.at(path));
        let ran = run(command).expect(1);
        assert_eq!(ran.stderr().replace(tree.path().to_str().unwrap(), ""), format!("harden: {expected}"));
    }
    let mut missing = command(&["check", "--format", "json", "--dockerfile"]);
    missing.arg(tree.at("/none"));
    let report = run(missing).expect(1).document();
    assert_eq!((report["failed"].as_bool(), report["baseline"]["name"].as_str()), (Some(true), Some("image-build")));
    for args in
        [&["--context", "."][..], &["--dockerfile", "Dockerfile", "--root", "/x"], &["--dockerfile", "-", "--dockerfile", "-"]]
    {
        at("good", args).expect(64);
    }
    let ran = at("good", &["--dockerfile", ".", "--context", "Dockerfile"]).expect(1);
    assert!(ran.stderr().contains("Dockerfile: it is no directory"), "{ran}");
}

#[test]
fn what_was_recorded_is_judged_alike() {
    let tree = Tree::empty();
    let facts = tree.at("/facts.json");
    let facts = facts.to_str().unwrap();
    let direct = at("bad", &["--dockerfile", "Dockerfile", "--format", "json", "--save-facts", facts]).expect(2).document();
    let recorded = at("good", &["--facts", facts, "-b", "image-build", "--format", "json"]).expect(2).document();
    assert_eq!(direct["findings"], recorded["findings"]);
}

/// Neither root nor a daemon: as nobody, with an engine's address that leads nowhere.
#[test]
fn as_nobody() {
    let mut command =
        command(&["check", "--dockerfile", "-", "-q", "--only", "image-user-nonroot", "--docker-host", "unix:///nowhere"]);
    command.uid(65534).gid(65534).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        // The folder that the binary lies in may be closed to others.
        return;
    };
    child.stdin.take().unwrap().write_all(b"FROM a:1\nUSER 1\n").unwrap();
    let ran = Ran::of(child.wait_with_output().unwrap(), "as nobody".into()).expect(0);
    assert_eq!(ran.stdout(), "Dockerfile: everything is as wanted, 1 compliant\n");
}

/// Every control that a Dockerfile can answer is broken in the bad one and holds in the good one; the rest say why they can't.
#[test]
fn every_control_has_its_cases() {
    let policy =
        ["--set", "allowed_registries=[\"docker.io/library/debian\", \"docker.io/library/golang\"]", "--format", "json"];
    let with = |dir: &str, status: &str| -> BTreeSet<String> {
        let report = at(dir, &[&["--dockerfile", "."][..], &policy].concat()).document();
        let findings = report["findings"].as_array().unwrap();
        let of = findings.iter().filter(|finding| finding["status"] == status);
        of.map(|finding| finding["control"].as_str().unwrap().to_owned()).collect()
    };
    let mut all: BTreeSet<String> =
        harden::baseline::load("image-build", &[]).unwrap().controls.into_iter().map(|control| control.id).collect();
    let absent = with("good", "not_applicable");
    assert_eq!(absent.iter().collect::<Vec<_>>(), ["image-signatures-verified", "image-vuln-scanned"]);
    all.retain(|id| !absent.contains(id));
    assert_eq!(with("good", "compliant"), all);
    assert_eq!(with("bad", "drift"), all);
}

/// A hundred thousand lines.
#[test]
fn a_long_file() {
    let lines = format!("RUN apt-get update && curl -k https://example.com/x | sh\n{}", "ENV A=$B\n".repeat(9));
    let ran = with_input(&["check", "--dockerfile", "-", "-q"], &format!("FROM a:1\n{}", lines.repeat(10_000))).expect(2);
    assert!(ran.stdout().starts_with("Dockerfile: 30004 not as wanted"), "{ran}");
}
