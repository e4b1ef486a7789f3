//! `harden baseline diff|new|set|unset|show` and `harden explain`, by the real binary.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use common::{BASELINES, Ran, Tree, command, harden, run};
use serde_json::{Value, json};

/// A folder of baselines to work in.
struct Folder(Tree);

const MINE: &str = "# Ours.\nschema = 1\nname = \"mine\"\nextends = \"cis-l1\" # for now\n\n[vars]\n# log_level = \"info\"\n\n\
                    [controls]\ndisable = [\"daemon-userland-proxy-disabled\"] # needed\n";

impl Folder {
    fn new() -> Self {
        let folder = Self(Tree::empty());
        folder.write("mine.toml", MINE);
        folder
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `harden baseline …` in this folder.
    fn run(&self, args: &[&str]) -> Ran {
        let mut command = command(&[&["baseline"], args].concat());
        command.current_dir(self.0.path());
        run(command)
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        let ran = self.run(&[args, &["--format", "json"]].concat()).expect(code);
        serde_json::from_slice(&ran.out).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_difference_is_shown_and_is_exit_status_2() {
    let folder = Folder::new();
    folder.write(
        "other.toml",
        "schema = 1\nname = \"other\"\nextends = \"./mine.toml\"\n[vars]\nlog.max_size = \"50m\"\nseccomp_profile = \"/etc/docker/s.json\"\n\
         [controls]\nenable = [\"audit-watch-runc\"]\n[params]\nfile-etc-docker-mode = { mode_max = \"0750\" }\n\
         [[waive]]\ncontrol = \"file-registry-certs-*\"\ntarget = \"/etc/docker/certs.d/b/*\"\nreason = \"renewed in place\"\nby = \"ops\"\nuntil = 2027-06-30\n\
         [[waive]]\ncontrol = \"daemon-icc-disabled\"\nreason = \"old applications talk over the default bridge, and they will be moved in spring\"\nby = \"ops\"\n",
    );
    let ran = folder.run(&["diff", "cis-l1", "other.toml"]).expect(2);
    assert_eq!(
        ran.stdout(),
        "Controls only in cis-l1 (1)
  low       daemon-userland-proxy-disabled
            Published ports need no proxy process

Controls only in other.toml (1)
  medium    audit-watch-runc
            Changes and runs of runc are audited

Parameters that differ (1)
  file-etc-docker-mode mode_max
        cis-l1      0755
        other.toml  0750

Variables that differ (2)
  log.max_size
        cis-l1      \"10m\"
        other.toml  \"50m\"
  seccomp_profile
        cis-l1      not set
        other.toml  \"/etc/docker/s.json\"

Waivers only in other.toml (2)
  file-registry-certs-* on /etc/docker/certs.d/b/*
        renewed in place (ops, until 2027-06-30)
  daemon-icc-disabled
        old applications talk over the default bridge, and they will be moved in
        spring (ops, without end)

cis-l1 and other.toml differ in 2 controls, 1 parameter, 2 variables, 2 waivers
"
    );
    let ran = folder.run(&["diff", "other.toml", "cis-l1", "-q"]).expect(2);
    assert_eq!(ran.stdout(), "other.toml and cis-l1 differ in 2 controls, 1 parameter, 2 variables, 2 waivers\n");
    let same = folder.run(&["diff", "essential", "essential"]).expect(0).stdout();
    assert!(same.starts_with("essential and essential ask for the same: ") && same.ends_with(" controls\n"), "{same}");

    let document = folder.json(&["diff", "cis-l1", "other.toml"], 2);
    assert_eq!(document["same"], false);
    assert_eq!(document["controls"]["only_a"][0]["id"], "daemon-userland-proxy-disabled");
    assert_eq!(document["controls"]["only_b"][0]["id"], "audit-watch-runc");
    assert_eq!(document["params"], json!([{"control": "file-etc-docker-mode", "param": "mode_max", "a": "0755", "b": "0750"}]));
    assert_eq!(document["vars"][0], json!({"name": "log.max_size", "a": "10m", "b": "50m"}));
    assert_eq!(document["vars"][1], json!({"name": "seccomp_profile", "a": null, "b": "/etc/docker/s.json"}));
    assert_eq!(document["waivers"]["only_a"], json!([]));
    assert_eq!(document["waivers"]["only_b"][0]["until"], "2027-06-30");
    assert_eq!((&document["a"]["given"], &document["b"]["name"]), (&json!("cis-l1"), &json!("other")));
    assert_eq!(folder.json(&["diff", "guide", "guide"], 0)["same"], true);

    let ran = folder.run(&["diff", "cis-l1", "cis-l3"]).expect(64);
    assert!(ran.stderr().contains("there is no baseline `cis-l3`\n  help: did you mean `cis-l1`?"), "{ran}");
}

#[test]
fn every_difference_fits_eighty_columns() {
    for a in BASELINES {
        for b in BASELINES {
            let ran = harden(&["baseline", "diff", a, b]).expect(if a == b { 0 } else { 2 });
            for line in ran.stdout().lines() {
                assert!(line.chars().count() <= 80, "{a} {b}: {line}");
            }
        }
    }
}

#[test]
fn a_new_baseline_is_like_its_parent() {
    let folder = Folder::new();
    for parent in BASELINES.into_iter().chain(["mine.toml"]) {
        let name = format!("new-{}.toml", parent.trim_end_matches(".toml"));
        let ran = folder.run(&["new", &name, "--from", parent]).expect(0);
        let extends = if parent == "mine.toml" { "./mine.toml" } else { parent };
        assert!(ran.stdout().starts_with(&format!("{name}: a baseline like {extends}, ")), "{ran}");
        folder.run(&["validate", &name]).expect(0);
        folder.run(&["diff", parent, &name]).expect(0);
        let text = folder.read(&name);
        for part in [
            "schema = 1\n",
            "\n[vars]\n",
            "\n# log.max_size = \"",
            "\n[controls]\n",
            "\nenable = [\n",
            "\ndisable = [\n",
            "\n[params]\n",
            "\n# [[waive]]\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing in {text}");
        }
        assert!(
            text.contains(
                "# Path of a seccomp profile that is approved beside the built-in one.\n# an absolute path; not set\n"
            )
        );
        assert!(text.contains(&format!("extends = \"{extends}\"\n")), "{text}");
    }
    // Every line that is commented out is good as it stands, but for what has no value to show.
    let text = folder.read("new-cis-l1.toml");
    let uncommented: String = text
        .lines()
        .map(|line| {
            let line_of_toml = line.trim_start().strip_prefix("# ").filter(|rest| {
                let key = rest.split(" = ").next().unwrap_or_default();
                rest.starts_with('"') || rest.starts_with("[[") || (key != *rest && !key.contains(' ') && !rest.contains('…'))
            });
            // A control cannot be in both lists; all of them go out.
            format!("{}\n", line_of_toml.unwrap_or(line))
        })
        .collect();
    folder.write("all.toml", &uncommented);
    folder.run(&["validate", "all.toml"]).expect(0);

    let shown = folder.run(&["new", "dry.toml", "--dry-run"]).expect(0);
    assert!(
        shown.stdout().contains("extends = \"essential\"\n") && shown.stderr().contains("dry.toml was not written"),
        "{shown}"
    );
    assert!(!folder.path("dry.toml").exists());
    let document = folder.json(&["new", "sub.toml", "--from", "guide"], 0);
    assert_eq!((&document["changed"], &document["name"], &document["extends"]), (&json!(true), &json!("sub"), &json!("guide")));
    // A parent elsewhere is named by its whole path.
    fs::create_dir(folder.path("deep")).unwrap();
    folder.run(&["new", "deep/x.toml", "--from", "mine.toml"]).expect(0);
    assert!(folder.read("deep/x.toml").contains(&format!("extends = \"{}\"", folder.path("mine.toml").display())));
    let umask = fs::metadata(folder.path("sub.toml")).unwrap().mode() & 0o7777;
    assert_eq!(umask & !0o644, 0, "{umask:o}");
}

#[test]
fn a_new_baseline_is_never_written_over_something() {
    let folder = Folder::new();
    symlink("nowhere.toml", folder.path("dangling.toml")).unwrap();
    let before = folder.names();
    for (name, from, code, what) in [
        (
            "mine.toml",
            "essential",
            64,
            "harden: mine.toml: it is there already; nothing was written\n  help: choose another name, or change it: harden baseline set mine.toml --help\n",
        ),
        ("dangling.toml", "essential", 64, "harden: dangling.toml: it is there already; nothing was written\n"),
        (
            "cis-l2.toml",
            "essential",
            64,
            "harden: cis-l2.toml: the baseline would be called `cis-l2`, like a built-in one\n  help: choose another name, like my-cis-l2.toml\n",
        ),
        ("prod", "essential", 64, "harden: prod: the name of a baseline file ends in .toml\n  help: like ./prod.toml\n"),
        ("prod.toml", "esential", 64, "harden: there is no baseline `esential`\n  help: did you mean `essential`?"),
        ("no/prod.toml", "essential", 1, "there is no directory"),
    ] {
        let ran = folder.run(&["new", name, "--from", from]).expect(code);
        assert!(ran.stderr().contains(what), "{ran}");
        assert_eq!(ran.stdout(), "", "{ran}");
    }
    assert_eq!(folder.names(), before);
    assert_eq!(folder.read("mine.toml"), MINE);
}

#[test]
fn one_thing_is_set_and_taken_back() {
    let folder = Folder::new();
    let ran = folder.run(&["set", "mine.toml", "var", "log_level", "warn"]).expect(0);
    assert_eq!(
        ran.stdout(),
        "--- mine.toml
+++ mine.toml
@@ -5,6 +5,7 @@
 
 [vars]
 # log_level = \"info\"
+log_level = \"warn\"
 
 [controls]
 disable = [\"daemon-userland-proxy-disabled\"] # needed
"
    );
    let steps: [(&[&str], &str, &str); 8] = [
        (&["var", "log.max_size", "50m"], "log_level = \"warn\"\n", "log_level = \"warn\"\nlog.max_size = \"50m\"\n"),
        (&["var", "log.max_files", "5"], "\"50m\"\n", "\"50m\"\nlog.max_files = \"5\"\n"),
        (
            &["var", "insecure_registry_exceptions", "[\"a:5000\", \"b\"]"],
            "= \"5\"\n",
            "= \"5\"\ninsecure_registry_exceptions = [\"a:5000\", \"b\"]\n",
        ),
        (
            &["control", "daemon-icc-disabled", "off"],
            "-disabled\"] # needed\n",
            "-disabled\", \"daemon-icc-disabled\"] # needed\n",
        ),
        // What is not disabled any more is in the parent: one word less is all it takes.
        (&["control", "daemon-userland-proxy-disabled", "on"], "[\"daemon-userland-proxy-disabled\", ", "["),
        (&["control", "audit-watch-runc", "on"], "# needed\n", "# needed\nenable = [\n  \"audit-watch-runc\",\n]\n"),
        (
            &["param", "file-etc-docker-mode", "mode_max", "750"],
            "",
            "\n[params]\nfile-etc-docker-mode = { mode_max = \"0750\" }\n",
        ),
        (
            &["waive", "socket-*", "--reason", "a \"test\"", "--by", "ops", "--until", "2099-12-31"],
            "",
            "\n[[waive]]\ncontrol = \"socket-*\"\nreason = 'a \"test\"'\nby = \"ops\"\nuntil = 2099-12-31\n",
        ),
    ];
    for (what, from, to) in steps {
        let before = folder.read("mine.toml");
        folder.run(&[&["set", "mine.toml"], what].concat()).expect(0);
        let expected = if from.is_empty() { before + to } else { before.replacen(from, to, 1) };
        assert_eq!(folder.read("mine.toml"), expected, "{what:?}");
        // A second time there is nothing to do.
        let ran = folder.run(&[&["set", "mine.toml"], what].concat()).expect(0);
        assert_eq!(ran.stdout(), "mine.toml: nothing to change\n");
    }
    for what in [
        &["var", "log_level"][..],
        &["var", "log.max_size"],
        &["var", "log.max_files"],
        &["var", "insecure_registry_exceptions"],
        &["control", "daemon-icc-disabled"],
        &["control", "audit-watch-runc"],
        &["param", "file-etc-docker-mode", "mode_max"],
        &["waive", "socket-*"],
    ] {
        let ran = folder.run(&[&["unset", "mine.toml"], what, &["-q"]].concat()).expect(0);
        assert_eq!(ran.stdout(), "mine.toml: changed\n", "{what:?}");
    }
    let left = MINE.replace("disable = [\"daemon-userland-proxy-disabled\"] # needed\n", "") + "\n[params]\n";
    assert_eq!(folder.read("mine.toml"), left);
    folder.run(&["diff", "cis-l1", "mine.toml"]).expect(0);
}

#[test]
fn a_dry_run_shows_and_json_tells() {
    let folder = Folder::new();
    let ran = folder.run(&["set", "mine.toml", "var", "log_level", "warn", "--dry-run"]).expect(0);
    assert!(
        ran.stdout().contains("+log_level = \"warn\"\n") && ran.stderr().contains("mine.toml was not changed (--dry-run)"),
        "{ran}"
    );
    assert_eq!(folder.read("mine.toml"), MINE);
    let document = folder.json(&["set", "mine.toml", "var", "log_level", "warn"], 0);
    assert_eq!((&document["file"], &document["changed"]), (&json!("mine.toml"), &json!(true)));
    assert!(document["diff"].as_str().unwrap().contains("+log_level = \"warn\"\n"));
    let again = folder.json(&["set", "mine.toml", "var", "log_level", "warn"], 0);
    assert_eq!((&again["changed"], &again["diff"]), (&json!(false), &json!("")));
}

#[test]
fn mistakes_write_nothing() {
    let folder = Folder::new();
    let invalid = "harden: mine.toml: with this change the file would not be a valid baseline; nothing was written\n";
    for (args, expected) in [
        (
            &["set", "mine.toml", "control", "daemon-icc-disable", "off"][..],
            "harden: there is no control `daemon-icc-disable`\n  help: did you mean `daemon-icc-disabled`?\n",
        ),
        (
            &["set", "mine.toml", "var", "log.max_sze", "1m"],
            "harden: there is no variable `log.max_sze`\n  help: did you mean `log.max_size`?\n",
        ),
        (
            &["set", "mine.toml", "param", "file-etc-docker-mode", "mode_mx", "0750"],
            "harden: `file-etc-docker-mode` has no parameter `mode_mx`\n  help: did you mean `mode_max`?\n",
        ),
        (
            &["set", "mine.toml", "param", "daemon-icc-disabled", "mode_max", "0750"],
            "harden: `daemon-icc-disabled` has no parameters\n  help: harden explain daemon-icc-disabled\n",
        ),
        (
            &["set", "mine.toml", "var", "log.max_size", "much"],
            &format!(
                "{invalid}mine.toml:7:16: the variable `log.max_size` must be a number of bytes like \"10m\"\n    |\n  7 | log.max_size = \"much\"\n    |                ^\n  help: How large a container's log file may grow before the next one is begun, where none is set.\n"
            ),
        ),
        (
            &["set", "mine.toml", "param", "file-etc-docker-mode", "mode_max", "0888"],
            &format!(
                "{invalid}mine.toml:13:37: `0888` is not a mode in octal in quotes, like \"0644\"\n     |\n  13 | file-etc-docker-mode = {{ mode_max = \"0888\" }}\n     |                                     ^\n  help: write \"0644\"\n"
            ),
        ),
        (
            &["set", "mine.toml", "waive", "dameon-icc-disabled", "--reason", "r", "--by", "ops"],
            &format!(
                "{invalid}mine.toml:13:11: there is no control `dameon-icc-disabled`\n     |\n  13 | control = \"dameon-icc-disabled\"\n     |           ^\n  help: did you mean `daemon-icc-disabled`?\n"
            ),
        ),
        (
            &["set", "mine.toml", "waive", "socket-*", "--reason", "r", "--by", "ops", "--until", "31.12.2026"],
            "harden: `31.12.2026` is not a date\n  help: write year-month-day, like 2027-06-30\n",
        ),
        (
            &["set", "mine.toml", "waive", "socket-*", "--reason", "r", "--by", "ops", "--until", "2020-01-01"],
            "harden: 2020-01-01 is past: the waiver would never hold\n  help: give a later day\n",
        ),
        (&["unset", "mine.toml", "waive", "socket-*"], "harden: mine.toml: there is no waiver of `socket-*`\n"),
        (
            &["unset", "mine.toml", "control", "daemon-icc"],
            "harden: there is no control `daemon-icc`\n  help: did you mean `daemon-icc-disabled`?\n",
        ),
        (
            &["unset", "mine.toml", "var", "log_levl"],
            "harden: there is no variable `log_levl`\n  help: did you mean `log_level`?\n",
        ),
        (
            &["unset", "mine.toml", "var", "log"],
            "harden: there is no variable `log`\n  help: it is one of log.max_size, log.max_files, log.driver, log.opts\n",
        ),
        (
            &["set", "essential", "var", "log_level", "warn"],
            "harden: `essential` is a built-in baseline, which stays as it is\n  help: harden baseline new ./my-essential.toml --from essential  makes one of your own\n",
        ),
        (
            &["set", "none.toml", "var", "log_level", "warn"],
            "harden: none.toml: there is no such file\n  help: harden baseline new none.toml  makes it\n",
        ),
        (&["set", ".", "var", "log_level", "warn"], "harden: .: this is no regular file, so it is not a baseline\n"),
    ] {
        let ran = folder.run(args).expect(64);
        assert_eq!(ran.stderr(), expected, "{ran}");
        assert_eq!(ran.stdout(), "", "{ran}");
        assert_eq!(folder.read("mine.toml"), MINE, "{ran}");
    }
    // Mistakes that were there before are named too, all of them; what takes them away is possible.
    folder.write("mine.toml", &MINE.replace("# log_level = \"info\"", "log_levl = 1\nlog.max_size = 10"));
    let ran = folder.run(&["set", "mine.toml", "control", "daemon-icc-disabled", "off"]).expect(64);
    assert!(
        ran.stderr().contains("mine.toml:7:1: there is no variable `log_levl`") && ran.stderr().contains("mine.toml:8:16: "),
        "{ran}"
    );
    folder.run(&["unset", "mine.toml", "var", "log_levl"]).expect(64);
    folder.write("mine.toml", &MINE.replace("# log_level = \"info\"", "log_levl = 1"));
    folder.run(&["unset", "mine.toml", "var", "log_levl"]).expect(0);
    folder.run(&["validate", "mine.toml"]).expect(0);
}

#[test]
fn what_is_not_about_the_change_stays() {
    let folder = Folder::new();
    folder.write("mine.toml", &MINE.replace('\n', "\r\n"));
    fs::set_permissions(folder.path("mine.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(folder.path("mine.toml"), Some(1234), Some(4321)).unwrap();
    folder.run(&["set", "mine.toml", "var", "log_level", "warn"]).expect(0);
    let expected = MINE.replace("# log_level = \"info\"\n", "# log_level = \"info\"\nlog_level = \"warn\"\n");
    assert_eq!(folder.read("mine.toml"), expected.replace('\n', "\r\n"));
    let metadata = fs::metadata(folder.path("mine.toml")).unwrap();
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o640, 1234, 4321));
    // What changes nothing does not touch it.
    let before = (metadata.mtime_nsec(), metadata.ino());
    folder.run(&["set", "mine.toml", "var", "log_level", "warn"]).expect(0);
    let metadata = fs::metadata(folder.path("mine.toml")).unwrap();
    assert_eq!((metadata.mtime_nsec(), metadata.ino()), before);
    assert_eq!(folder.names(), ["mine.toml"]);
}

#[test]
fn links_that_others_could_have_planted_are_not_followed() {
    let folder = Folder::new();
    let (link, victim) = (folder.path("link.toml"), folder.path("victim.toml"));
    fs::write(&victim, MINE).unwrap();
    symlink("victim.toml", &link).unwrap();
    // Root's own link in root's own folder is followed, and stays.
    folder.run(&["set", "link.toml", "var", "log_level", "warn"]).expect(0);
    assert!(fs::read_to_string(&victim).unwrap().contains("log_level = \"warn\"\n"));
    assert!(link.is_symlink());
    fs::write(&victim, MINE).unwrap();
    std::os::unix::fs::lchown(&link, Some(1000), Some(1000)).unwrap();
    let ran = folder.run(&["set", "link.toml", "var", "log_level", "warn"]).expect(1);
    assert!(ran.stderr().contains("is a symbolic link that user 1000 could have planted; not followed"), "{ran}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), MINE);
    // Nor is a file changed that has another name somewhere.
    fs::hard_link(&victim, folder.path("hard.toml")).unwrap();
    let ran = folder.run(&["set", "hard.toml", "var", "log_level", "warn"]).expect(1);
    assert!(ran.stderr().contains("it has 2 names (hard links); left alone"), "{ran}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), MINE);
}

#[test]
fn a_user_keeps_baselines_in_a_folder_of_their_group() {
    let folder = Folder::new();
    for path in [folder.path(""), folder.path("mine.toml")] {
        std::os::unix::fs::chown(path, Some(1234), Some(1234)).unwrap();
    }
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o2775)).unwrap();
    let binary = folder.path("harden");
    fs::copy(env!("CARGO_BIN_EXE_harden"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let as_user = |args: &[&str]| {
        let mut command = std::process::Command::new(&binary);
        command.arg("baseline").args(args).current_dir(folder.0.path()).env_clear().uid(1234).gid(1234);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    as_user(&["set", "mine.toml", "var", "log_level", "warn"]);
    as_user(&["new", "theirs.toml", "--from", "./mine.toml"]);
    assert!(folder.read("mine.toml").contains("log_level = \"warn\""));
    assert_eq!(fs::metadata(folder.path("theirs.toml")).unwrap().uid(), 1234);
}

#[test]
fn a_path_may_lead_up() {
    let folder = Folder::new();
    fs::create_dir(folder.path("sub")).unwrap();
    let mut command = command(&["baseline", "set", "../mine.toml", "var", "log_level", "warn"]);
    command.current_dir(folder.path("sub"));
    run(command).expect(0);
    assert!(folder.read("mine.toml").contains("log_level = \"warn\""));
}

#[test]
fn baselines_are_shown_whole() {
    let folder = Folder::new();
    let text = folder.run(&["show", "mine.toml", "-v"]).expect(0).stdout();
    for part in [
        "mine: mine\nExtends essential, then cis-l1\n\ndaemon (",
        "
  medium    daemon-icc-disabled  level 1
            Containers on the default bridge cannot reach each other
            guide       2.1, 003 限制容器间网络流量, 000 建议5
            CIS         2.2 in 1.6, 1.7 and 1.8 (level 1)
            baselines   cis-l1, cis-l2, guide
",
        "            parameters  mode_max 0755\n",
        "            variables   log.max_files, log.max_size\n",
        "\n  log.max_size = \"10m\"\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    let short = folder.run(&["show", "mine.toml"]).expect(0).stdout();
    assert!(!short.contains("baselines   ") && short.lines().all(|line| line.chars().count() <= 80), "{short}");

    let document = folder.json(&["show", "guide"], 0);
    let find = |id: &str| document["controls"].as_array().unwrap().iter().find(|control| control["id"] == id).unwrap().clone();
    let mode = find("file-etc-docker-mode");
    assert_eq!(
        (&mode["params"], &mode["cis"]["1.8"], &mode["level"]),
        (&json!({"mode_max": "0750"}), &json!("3.6"), &json!(1))
    );
    assert_eq!(mode["baselines"], json!(["essential", "cis-l1", "cis-l2", "guide"]));
    assert_eq!(find("daemon-log-rotation")["variables"], json!(["log.max_files", "log.max_size"]));
    assert_eq!(document["waivers"], json!([]));
}

#[test]
fn controls_and_variables_are_explained() {
    let text = harden(&["explain", "socket-docker-owner"]).expect(0).stdout();
    for part in [
        "socket-docker-owner\nThe API socket belongs to root and the group of its users\n\nWhy         ",
        "\nParameters  owner (here root), group (here ",
        "\nVariables   docker_socket_group (default \"docker\")\n",
        "\nBaselines   essential, cis-l1, cis-l2, guide\n",
        "\nReferences  guide 3.8; CIS 3.15 in 1.6, 1.7 and 1.8 (level 1)\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
    let newer = harden(&["explain", "daemon-live-restore"]).expect(0).stdout();
    assert!(newer.contains("CIS 2.15 in 1.6 and 1.7, 2.16 in 1.8 (level 1)\n"), "{newer}");
    assert_eq!(
        harden(&["explain", "log.max_size"]).expect(0).stdout(),
        "log.max_size
How large a container's log file may grow before the next one is begun, where
none is set.

Must be     a number of bytes like \"10m\"
Default     \"10m\"
Used by     daemon-log-rotation
Baselines   none sets it
To set it   [vars] log.max_size = \"10m\" in a baseline, or --set
            log.max_size=VALUE
"
    );
    let ran = harden(&["explain", "log.max_files", "--format", "json"]).expect(0);
    let document: Value = serde_json::from_slice(&ran.out).unwrap();
    assert_eq!((&document["default"], &document["used_by"]), (&json!("3"), &json!(["daemon-log-rotation"])));
    for (name, expected) in [
        ("daemon-icc", "harden: there is no control `daemon-icc`\n  help: harden explain daemon-icc-disabled\n"),
        ("log.max_sizes", "harden: there is no control or variable `log.max_sizes`\n  help: harden explain log.max_size\n"),
        ("what", "harden: there is no control `what`\n  help: harden baseline show guide lists them\n"),
    ] {
        assert_eq!(harden(&["explain", name]).expect(64).stderr(), expected);
    }
}

#[test]
fn help_says_what_the_exit_status_means() {
    let text = harden(&["baseline", "diff", "--help"]).expect(0).stdout();
    assert!(text.contains("Exit status: 0 the same, 2 different"), "{text}");
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/controls.md").exists());
}
