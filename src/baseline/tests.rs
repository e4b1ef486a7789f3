//! The catalogue, the built-in baselines and the loader as a whole.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::control::{ContainerFix, ContainerWant, Control, KeyFix, Mode, Risk, Severity, Want};
use super::layer::Layer;
use super::source::Source;
use super::*;
use crate::formats::daemon_keys::{self, EngineVersion, Status};

fn no_env(_: &str) -> Option<String> {
    None
}

fn parse(text: &str) -> Result<Layer> {
    Layer::parse(&Source { path: "b.toml".into(), text: text.into() }, Catalogue::builtin(), &no_env)
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> Folder {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("harden-baseline-{}-{count}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    for (name, text) in files {
        std::fs::write(path.join(name), text).unwrap();
    }
    Folder(path)
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn load(&self, name: &str, sets: &[&str]) -> Result<Baseline> {
        let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
        load(self.0.join(name).to_str().unwrap(), &sets)
    }

    /// The error without the folder's name in it.
    fn error(&self, name: &str, sets: &[&str]) -> String {
        let error = self.load(name, sets).unwrap_err();
        assert_eq!(error.kind, crate::error::ErrorKind::Usage);
        error.to_string().replace(&format!("{}/", self.0.display()), "")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

fn ids(baseline: &Baseline) -> BTreeSet<&str> {
    baseline.controls.iter().map(|control| control.id.as_str()).collect()
}

fn control<'b>(baseline: &'b Baseline, id: &str) -> &'b Control {
    baseline.controls.iter().find(|control| control.id == id).unwrap()
}

mod catalogue {
    use super::*;

    #[test]
    fn every_row_parses_and_there_are_as_many_as_the_areas_have() {
        let catalogue = Catalogue::builtin();
        let count = |area: &str| catalogue.ids().filter(|id| id.starts_with(area)).count();
        assert_eq!([count("daemon-"), count("audit-"), count("file-"), count("socket-")], [28, 23, 22, 5]);
        assert_eq!(count("image-"), 30);
        assert_eq!(count("host-"), 23);
    }

    #[test]
    fn every_control_is_in_a_baseline_and_every_variable_in_use() {
        let all: BTreeSet<String> =
            builtin_names().flat_map(|name| load(name, &[]).unwrap().controls.into_iter().map(|control| control.id)).collect();
        let missing: Vec<&str> = Catalogue::builtin().ids().filter(|id| !all.contains(*id)).collect();
        assert_eq!(missing, Vec::<&str>::new());
        let used: BTreeSet<String> = Catalogue::builtin().controls.iter().flat_map(row::references).collect();
        let unused: Vec<&str> = Catalogue::builtin().variable_names().filter(|name| !used.contains(*name)).collect();
        // The key stands on the rules that the audit kind writes, not in a row; matches give other variables their values.
        assert_eq!(unused, ["audit.key", "container.match"]);
    }

    #[test]
    fn what_can_stop_workloads_says_so() {
        for control in &Catalogue::builtin().controls {
            assert!(control.risk == Risk::Safe || control.impact.is_some(), "{} has no impact", control.id);
            assert_eq!(control.level.is_some(), !control.cis.is_empty(), "{}", control.id);
        }
        let critical: Vec<&str> = Catalogue::builtin()
            .controls
            .iter()
            .filter(|control| control.severity == Severity::Critical)
            .map(|control| control.id.as_str())
            .collect();
        assert_eq!(
            critical,
            [
                "daemon-tcp-requires-tlsverify",
                "socket-docker-owner",
                "socket-docker-mode",
                "socket-containerd-owner",
                "socket-containerd-mode",
                "container-no-dangerous-caps",
                "container-no-privileged",
                "container-no-docker-socket"
            ]
        );
    }

    /// A row about a key that no engine has, or a removal that leads back to drift, would never settle.
    #[test]
    fn rows_fit_the_keys_of_every_engine() {
        for name in builtin_names() {
            for control in load(name, &[]).unwrap().controls {
                let Want::Daemon(want) = &control.want else { continue };
                for key in &want.key {
                    assert!(
                        daemon_keys::lookup(&key.name).is_some_and(|key| key.status == Status::Effective)
                            || key.expect.absent == Some(true),
                        "{}: {}",
                        control.id,
                        key.name
                    );
                    for version in ["20.10.24", "23.0.15", "24.0.9", "25.0.8", "26.1.5", "27.5.1", "28.5.2", "29.7.2"] {
                        let default = daemon_keys::default_of(&key.name, EngineVersion::parse(version));
                        let complies = key.default_complies || key.expect.holds(default.as_ref());
                        assert!(key.fix != KeyFix::Remove || complies, "{}: {} of {version}", control.id, key.name);
                    }
                }
            }
        }
    }

    #[test]
    fn mistakes_in_rows() {
        let row = |id: &str, want: &str| {
            format!(
                "[[control]]\nid = \"{id}\"\ntitle = \"t\"\narea = \"daemon\"\nseverity = \"low\"\nrisk = \"safe\"\nwhy = \"w\"\n{want}\n"
            )
        };
        let key = |rest: &str| row("daemon-x", &format!("[[control.want.daemon.key]]\nname = \"k\"\n{rest}"));
        let icc = "expect = { is = false }";
        let cases = [
            (key(icc), ""),
            (
                key(icc).replace("title", "titel"),
                "c.toml:3:1: unknown field `titel`\n    |\n  3 | titel = \"t\"\n    | ^\n  help: did you mean `title`?",
            ),
            (
                key(icc).replace("low", "lov"),
                "c.toml:5:12: unknown variant `lov`\n    |\n  5 | severity = \"lov\"\n    |            ^\n  help: did you mean `low`?",
            ),
            (key(icc).replace("why = \"w\"\n", ""), "c.toml:1:1: missing field `why`\n    |\n  1 | [[control]]\n    | ^"),
            (
                key("expect = { iz = false }"),
                "c.toml:10:12: unknown field `iz`\n     |\n  10 | expect = { iz = false }\n     |            ^\n  help: did you mean `is`?",
            ),
            (
                key("expect = {}\nfix = \"remove\"\ndefault_complies = true"),
                "c.toml:2:6: `daemon-x`: `k` expects nothing\n    |\n  2 | id = \"daemon-x\"\n    |      ^",
            ),
            (
                key("expect = { one_of = [1] }"),
                "c.toml:2:6: `daemon-x`: `k` has no fix, and its expectation names no single value to set\n    |\n  2 | id = \"daemon-x\"\n    |      ^",
            ),
            (
                key("expect = { one_of = [1] }\nfix = \"remove\""),
                "c.toml:2:6: `daemon-x`: `k` is to be removed, but nothing says that its default complies\n    |\n  2 | id = \"daemon-x\"\n    |      ^",
            ),
            (
                key("expect = { is = [] }\nfix = \"remove-elements\""),
                "c.toml:2:6: `daemon-x`: `k` is to lose elements, but its expectation excludes none\n    |\n  2 | id = \"daemon-x\"\n    |      ^",
            ),
            (
                key("expect = { excludes = [\"${v}\"] }\nfix = \"remove-elements\""),
                "c.toml:2:6: `daemon-x`: `k` has a variable in `excludes`; put it into `except`\n    |\n  2 | id = \"daemon-x\"\n    |      ^",
            ),
            (
                key("expect = { is = \"${w}\" }"),
                "c.toml:2:6: `daemon-x` refers to the variable `w`, which is not declared\n    |\n  2 | id = \"daemon-x\"\n    |      ^\n  help: did you mean `v`?",
            ),
            (
                key(icc).replace("daemon-x", "icc"),
                "c.toml:2:6: the id `icc` must be lower case with hyphens and begin with its area, `daemon-`\n    |\n  2 | id = \"icc\"\n    |      ^",
            ),
            (
                row("daemon-x", "[control.want.file]\npaths = [\"etc\"]"),
                "c.toml:9:9: `etc` is no place: expected an absolute path, a pattern, @config-file, @data-root, @docker-socket, @containerd-socket, @daemon:KEY, @unit:NAME, @unit-parts:NAME or @binary:NAME\n    |\n  9 | paths = [\"etc\"]\n    |         ^",
            ),
            (
                row("daemon-x", "[control.want.file]\npaths = [\"/etc\"]\nmode_max = 644"),
                "c.toml:10:12: 644 is a decimal number; write a mode in octal in quotes, like \"0644\"\n     |\n  10 | mode_max = 644\n     |            ^",
            ),
            (
                row("daemon-x", "[control.want.watch]\npaths = [\"/etc\"]\nperms = \"waz\""),
                "c.toml:2:6: `daemon-x`: `waz` is not a choice of the letters r, w, x and a, each once\n    |\n  2 | id = \"daemon-x\"\n    |      ^",
            ),
            (
                "[controls]\nenable = []".into(),
                "c.toml:1:2: `controls` does not belong into a catalogue file, which is made of [[control]] and [[variable]]\n    |\n  1 | [controls]\n    |  ^",
            ),
            (
                "[[variable]]\nname = \"x\"\ntype = \"int\"\ndefault = \"1\"\nabout = \"a\"".into(),
                "c.toml:2:8: the default of `x` is not a whole number\n    |\n  2 | name = \"x\"\n    |        ^",
            ),
        ];
        let declared = "[[variable]]\nname = \"v\"\ntype = \"string\"\nabout = \"a\"";
        for (text, expected) in &cases {
            let error = Catalogue::parse([("c.toml", text.as_str()), ("v.toml", declared)]).err();
            assert_eq!(error.map(|error| error.to_string()).unwrap_or_default(), *expected, "{text}");
        }
        // Rows are independent: the mistakes of all of them are reported, and so is a name used twice.
        let text = key("expect = {}\nfix = { manual = \"m\" }") + &key(icc);
        let error = Catalogue::parse([("c.toml", text.as_str())]).unwrap_err();
        assert_eq!(
            (error.what, error.others[0].what.as_str()),
            ("`daemon-x`: `k` expects nothing".into(), "there are two controls `daemon-x`")
        );
    }
}

mod builtin {
    use super::*;

    #[test]
    fn essential_never_restarts_more_than_dockerd() {
        // What it may break is fixed only when asked for, or by hand.
        let baseline = load("essential", &[]).unwrap();
        let by_owner = |want: &Want| matches!(want, Want::Container(want) if !matches!(want.fix, ContainerFix::Update(_)));
        let controls = baseline.controls.iter().filter(|control| !by_owner(&control.want));
        let disruptive: Vec<_> =
            controls.filter(|control| control.risk == Risk::Disruptive).map(|control| &control.id).collect();
        let expected = [
            "daemon-no-insecure-registries",
            "daemon-storage-driver-supported",
            "daemon-tcp-requires-tlsverify",
            "host-docker-group-members",
            "host-mac-enabled",
        ];
        assert_eq!(disruptive, expected);
    }

    #[test]
    fn chains_and_params() {
        let level2 = load("cis-l2", &[]).unwrap();
        assert_eq!(level2.chain, ["essential", "cis-l1", "cis-l2"]);
        assert_eq!((level2.name.as_str(), level2.title.as_str()), ("cis-l2", "CIS Docker Benchmark, Level 2"));
        let mode = |baseline: &Baseline, id: &str| match &control(baseline, id).want {
            Want::File(want) => want.mode_max,
            _ => None,
        };
        let guide = load("guide", &[]).unwrap();
        assert_eq!(mode(&guide, "file-etc-docker-mode"), Some(Mode(0o750)));
        assert_eq!(mode(&guide, "file-registry-certs-mode"), Some(Mode(0o600)));
        assert_eq!(mode(&level2, "file-etc-docker-mode"), Some(Mode(0o755)));
        assert_eq!(mode(&level2, "file-registry-certs-mode"), Some(Mode(0o444)));
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        for name in builtin_names() {
            let baseline = load(name, &[]).unwrap();
            for control in &baseline.controls {
                // What has no default is left open; such a control says which variable to set.
                let open: BTreeSet<String> = Catalogue::builtin()
                    .variables
                    .iter()
                    .filter(|one| one.default.is_none())
                    .map(|one| one.name.clone())
                    .collect();
                let left: BTreeSet<String> = row::references(control).difference(&open).cloned().collect();
                assert_eq!(left, BTreeSet::new(), "{name}: {}", control.id);
            }
        }
    }
}

mod mistakes {
    use super::*;

    #[test]
    fn all_of_a_file_at_once() {
        let text = include_str!("../../tests/data/baseline/mistakes.toml");
        let expected = include_str!("../../tests/data/baseline/mistakes.txt");
        let source = Source { path: "mistakes.toml".into(), text: text.into() };
        let error = Layer::parse(&source, Catalogue::builtin(), &no_env).unwrap_err();
        assert_eq!(format!("{error}\n"), expected);
    }

    /// Start from a good file, break one thing, expect exactly that message.
    #[test]
    fn one_at_a_time() {
        let good = "schema = 1\nname = \"prod\"\n[controls]\nenable = [\"socket-docker-mode\"]\n[params.socket-docker-mode]\nmode_max = \"0600\"\n";
        assert_eq!(parse(good).unwrap().enable, ["socket-docker-mode"]);
        for (from, to, expected) in [
            ("schema = 1\n", "", "1:1: `schema` is missing; begin the file with schema = 1"),
            (
                "schema = 1",
                "schema = 2",
                "1:10: this harden reads baselines of schema 1; write schema = 1, or use the release of harden that the file was written for",
            ),
            ("name = \"prod\"\n", "", "1:1: a baseline needs `name`; write name = \"…\""),
            ("\"prod\"", "\"\"", "2:8: `name` is empty; write name = \"…\" or leave the line out"),
            ("\"prod\"", "\"essential\"", "2:8: `essential` is a built-in baseline; choose another name"),
            ("\"prod\"", "1", "2:8: `name` must be a text, not an integer; write name = \"…\""),
            ("[controls]\nenable", "controls", "3:12: `controls` must be a table, not an array; write [controls]"),
            (
                "[\"socket-docker-mode\"]",
                "\"socket-docker-mode\"",
                "4:10: `enable` must be a list of controls; write enable = [\"…\"]",
            ),
            ("[\"socket-docker-mode\"]", "[1]", "4:11: `enable` must be a list of controls; put the name in quotes"),
            (
                "[\"socket-docker-mode\"]",
                "[\"kubelet-privileged\"]",
                "4:11: there is no control `kubelet-privileged`; `harden baseline show guide` and `harden baseline show cis-l2` list controls",
            ),
            ("mode_max", "mode", "6:1: `socket-docker-mode` has no parameter `mode`; did you mean `mode_max`?"),
            ("\"0600\"", "0o600", "6:12: 0o600 is a number; a mode is octal and stands in quotes; write \"0600\""),
            ("\"0600\"", "999", "6:12: 999 is a number; a mode is octal and stands in quotes; write \"0644\""),
            ("\"0600\"", "\"600\"", "6:12: `600` is not a mode in octal in quotes, like \"0644\"; write \"0644\""),
            ("\"0600\"", "\"0888\"", "6:12: `0888` is not a mode in octal in quotes, like \"0644\"; write \"0644\""),
            (
                "\"0600\"",
                "[]",
                "6:12: invalid type: sequence, expected a mode in octal in quotes, like \"0644\"; write \"0644\"",
            ),
            (
                "[params.socket-docker-mode]\nmode_max",
                "[params]\nsocket-docker-mode",
                "6:22: the parameters of `socket-docker-mode` must be a table; write socket-docker-mode = { mode_max = \"…\" }",
            ),
            ("[params", "[vars]\nlog = 1\n[params", "6:7: `log` is a table of variables; write [vars.log]"),
            (
                "[params",
                "[vars]\nlog_level = \"${env:NOT_SET}\"\n[params",
                "6:13: the environment variable NOT_SET is not set, and there is no default; variable `log_level`: The level at which dockerd logs.",
            ),
            ("[params", "[waive]\n[params", "5:1: `waive` must be a list of tables; write [[waive]]"),
            (
                "[params",
                "[[waive]]\ncontrol=\"[\"\nreason=\"r\"\nby=\"b\"\n[params",
                "6:9: `[` is not a pattern: invalid range pattern; use * and ? only",
            ),
            ("[params", "[[waive]]\ncontrol=\"*\"\nby=\"b\"\n[params", "5:1: a waiver needs `reason`; write reason = \"…\""),
            (
                "[params",
                "[[waive]]\ncontrol=\"*\"\nreason=\"r\"\nby=\"b\"\nuntil=\"2026-02-30\"\n[params",
                "9:7: \"2026-02-30\" is not a date; write year-month-day, like until = 2026-12-31",
            ),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good, "{from}");
            let error = parse(&text).map(|_| ()).unwrap_err();
            let (line, column) = error.place.as_ref().and_then(|place| place.position).unwrap();
            let found = format!("{line}:{column}: {}; {}", error.what, error.help.unwrap_or_default());
            assert_eq!(found, expected, "{text}");
            assert_eq!(error.others.len(), 0, "{text}: {:?}", error.others);
        }
    }

    #[test]
    fn names_that_lead_nowhere() {
        for (name, expected) in [
            (
                "essental",
                "there is no baseline `essental`\n  help: did you mean `essential`? (a file is named with its path, like ./essental.toml)",
            ),
            (
                "prod",
                "there is no baseline `prod`\n  help: it is one of essential, cis-l1, cis-l2, guide, image-build (a file is named with its path, like ./prod.toml)",
            ),
            ("./prod.toml", "./prod.toml: cannot read this baseline: No such file or directory (os error 2)"),
        ] {
            assert_eq!(load(name, &[]).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn of_several_files_and_the_command_line_together() {
        let folder = folder(&[
            ("child.toml", "schema = 1\nname = \"child\"\nextends = \"./parent.toml\""),
            ("parent.toml", "schema = 1\nname = \"parent\"\nextends = \"cis\""),
        ]);
        assert_eq!(
            folder.error("child.toml", &["log.max_sise=5m", "log_level", "log_level=loud"]),
            "--set log.max_sise=5m: there is no variable `log.max_sise`\n  help: did you mean `log.max_size`?\n\
             --set log_level: a value is missing\n  help: write --set NAME=VALUE\n\
             --set log_level=loud: it must be one of panic, fatal, error, warn, info, debug, trace\n  help: The level at which dockerd logs.\n\
             parent.toml:3:11: there is no baseline `cis`\n    |\n  3 | extends = \"cis\"\n    |           ^\n  \
             help: it is one of essential, cis-l1, cis-l2, guide, image-build (a file is named with its path, like ./cis.toml)"
        );
    }

    #[test]
    fn references_on_the_command_line() {
        assert_eq!(
            load("essential", &["log_level=${env:LEVEL}".into()]).unwrap_err().to_string(),
            "--set log_level=${env:LEVEL}: ${…} means nothing here\n  \
             help: put the name in double quotes of the shell, or the reference into a baseline file"
        );
    }

    #[test]
    fn circles() {
        let folder = folder(&[
            ("a.toml", "schema = 1\nname = \"a\"\nextends = \"./b.toml\""),
            ("b.toml", "schema = 1\nname = \"b\"\nextends = \"./a.toml\""),
            ("c.toml", "schema = 1\nname = \"c\"\nextends = \"./c.toml\""),
            ("d.toml", "schema = 1\nname = \"d\"\nextends = \"./e.toml\""),
        ]);
        assert_eq!(
            folder.error("a.toml", &[]),
            "b.toml:3:11: these baselines extend each other: a.toml → b.toml → a.toml\n    |\n  3 | extends = \"./a.toml\"\n    |           ^\n  \
             help: take one `extends` out"
        );
        assert_eq!(
            folder.error("c.toml", &[]),
            "c.toml:3:11: these baselines extend each other: c.toml → c.toml\n    |\n  3 | extends = \"./c.toml\"\n    |           ^\n  \
             help: take one `extends` out"
        );
        assert_eq!(
            folder.error("d.toml", &[]),
            "d.toml:3:11: there is no file e.toml\n    |\n  3 | extends = \"./e.toml\"\n    |           ^\n  help: paths are relative to this file"
        );
    }
}

mod merging {
    use super::*;

    #[test]
    fn children_override_and_waivers_add_up() {
        let folder = folder(&[
            (
                "company.toml",
                "schema = 1\nname = \"company\"\ntitle = \"Company\"\nextends = \"essential\"\n\
                 [vars]\nlog.max_size = \"20m\"\nlog.max_files = \"5\"\ninsecure_registry_exceptions = [\"a:5000\", \"b:5000\"]\n\
                 [controls]\nenable = [\"daemon-icc-disabled\"]\ndisable = [\"daemon-live-restore\", \"daemon-log-level-info\"]\n\
                 [params]\nsocket-docker-owner = { owner = \"admin\", group = \"admins\" }\n\
                 [[waive]]\ncontrol = \"socket-*\"\nreason = \"r1\"\nby = \"x\"",
            ),
            (
                "site.toml",
                "schema = 1\nname = \"site\"\nextends = \"./company.toml\"\n\
                 [vars]\nlog.max_size = \"30m\"\ninsecure_registry_exceptions = [\"c:5000\"]\n\
                 [controls]\nenable = [\"daemon-live-restore\"]\ndisable = [\"daemon-icc-disabled\"]\n\
                 [params]\nsocket-docker-owner = { group = \"site\" }\n\
                 [[waive]]\ncontrol = \"file-*\"\nreason = \"r2\"\nby = \"y\"",
            ),
        ]);
        let site = folder.load("site.toml", &["log.max_files=7"]).unwrap();
        assert_eq!(site.chain, ["essential", "company", "site"]);
        assert_eq!((site.name.as_str(), site.title.as_str(), site.about.as_str()), ("site", "site", ""));
        let essential = load("essential", &[]).unwrap();
        let mut expected = ids(&essential);
        expected.remove("daemon-log-level-info");
        assert_eq!(ids(&site), expected);
        assert_eq!(site.vars["log.max_size"], json!("30m"));
        assert_eq!(site.vars["log.max_files"], json!("7"));
        assert_eq!(site.vars["insecure_registry_exceptions"], json!(["c:5000"]));
        let Want::Socket(socket) = &control(&site, "socket-docker-owner").want else { panic!() };
        assert_eq!((socket.owner.as_deref(), socket.group_one_of.as_slice()), (Some("admin"), ["site".to_string()].as_slice()));
        let reasons: Vec<&str> = site.waivers.iter().map(|waiver| waiver.reason.as_str()).collect();
        assert_eq!(reasons, ["r1", "r2"]);
    }

    #[test]
    fn variables_reach_expectations_and_fixes() {
        let sets = [
            "insecure_registry_exceptions=[\"r:5000\", \"s\"]",
            "log.max_size=1g",
            "docker_socket_group=ops",
            "seccomp_profile=/etc/s.json",
        ];
        let baseline = load("essential", &sets.map(String::from)).unwrap();
        let Want::Daemon(want) = &control(&baseline, "daemon-no-insecure-registries").want else { panic!() };
        let except = want.key[0].expect.except.as_deref().unwrap();
        assert_eq!(except[except.len() - 3..], ["127.0.0.1:*", "r:5000", "s"]);
        let Want::Daemon(want) = &control(&baseline, "daemon-log-rotation").want else { panic!() };
        assert_eq!(want.key[0].fix, KeyFix::Set(json!("1g")));
        assert_eq!(want.key[1].fix, KeyFix::Set(json!("3")));
        let Want::Daemon(want) = &control(&baseline, "daemon-seccomp-default").want else { panic!() };
        assert_eq!(want.key[0].expect.to_string(), "one of \"\", builtin, default, /etc/s.json");
        let Want::Unit(want) = &control(&baseline, "socket-docker-unit-settings").want else { panic!() };
        assert_eq!(want.setting[2].set.as_deref(), Some("ops"));
        assert_eq!(want.setting[2].expect.to_string(), "one of root, ops");
    }

    #[test]
    fn alternatives_that_are_not_set_drop_out() {
        let baseline = load("cis-l2", &[]).unwrap();
        let Want::Daemon(want) = &control(&baseline, "daemon-cgroup-parent-default").want else { panic!() };
        assert_eq!(want.key[0].expect.to_string(), "one of \"\"");
        assert_eq!(want.key[0].fix, KeyFix::Remove);
    }

    #[test]
    fn a_fix_that_needs_a_variable_waits_for_it() {
        let rows = examples().into_iter().find(|text| text.contains("shutdown_timeout")).unwrap();
        let catalogue = Catalogue::parse([("c.toml", rows.as_str())]).unwrap();
        let folder = folder(&[("b.toml", "schema = 1\nname = \"b\"\n[controls]\nenable = [\"daemon-shutdown-timeout\"]")]);
        let path = folder.0.join("b.toml");
        let key = |sets: &[String]| {
            let baseline = resolve::load(path.to_str().unwrap(), sets, &catalogue, &no_env).unwrap();
            match &baseline.controls[0].want {
                Want::Daemon(want) => want.key[0].clone(),
                _ => panic!(),
            }
        };
        let unset = key(&[]);
        let reason = "set the variable shutdown_timeout in the baseline or with --set shutdown_timeout=…";
        assert_eq!(unset.fix, KeyFix::Manual(reason.into()));
        assert!(!unset.expect.holds(Some(&json!(15))), "a value cannot comply while nobody has said which one does");
        let set = key(&["shutdown_timeout=15".into()]);
        assert_eq!((set.fix, set.expect.is), (KeyFix::Expected, Some(json!(15))));
    }

    #[test]
    fn a_fix_must_satisfy_its_own_expectation() {
        let error = load("essential", &["log.max_files=1".into()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`daemon-log-rotation` would set log-opts.max-file to 1 (from ${log.max_files}), which is not at least 2\n  help: change the variable"
        );
    }

    #[test]
    fn digests() {
        let text = "schema = 1\nname = \"b\"\nextends = \"essential\"\n[vars]\nlog_level = \"info\"\n[controls]\nenable = [\"audit-watch-runc\", \"daemon-icc-disabled\"]\n";
        let same = "name = \"b\" # mine\nextends = \"essential\"\nschema = 1\n[controls]\nenable = [\"daemon-icc-disabled\", \"audit-watch-runc\"]\n";
        let other = text.replace("\"info\"", "\"warn\"");
        let waived = format!("{text}[[waive]]\ncontrol = \"*\"\nreason = \"r\"\nby = \"b\"\n");
        let folder = folder(&[("text.toml", text), ("same.toml", same), ("other.toml", &other), ("waived.toml", &waived)]);
        let digest = |name: &str| folder.load(name, &[]).unwrap().digest;
        let first = digest("text.toml");
        assert!(first.len() == 64 && first.chars().all(|letter| letter.is_ascii_hexdigit()));
        assert_eq!(first, digest("same.toml"));
        assert_ne!(first, digest("other.toml"));
        assert_ne!(first, digest("waived.toml"));
        assert_ne!(first, folder.load("text.toml", &["log.max_size=11m"]).unwrap().digest);
    }
}

mod using {
    use super::*;

    #[test]
    fn waivers() {
        let folder = folder(&[(
            "b.toml",
            "schema = 1\nname = \"b\"\nextends = \"essential\"\n\
             waive = [{ control = \"socket-docker-*\", reason = \"old\", by = \"x\", until = 2026-03-31 },\n\
             { control = \"socket-docker-mode\", target = \"/run/*\", reason = \"new\", by = \"x\", until = \"2026-12-31\" },\n\
             { control = \"file-*\", reason = \"forever\", by = \"x\" }]",
        )]);
        let baseline = folder.load("b.toml", &[]).unwrap();
        let found = |control: &str, target: &str, today: &str| {
            let waiver = baseline.waiver(control, target, today.parse().unwrap());
            waiver.map(|(waiver, expired)| (waiver.reason.as_str(), expired))
        };
        assert_eq!(found("socket-docker-owner", "/run/docker.sock", "2026-03-31"), Some(("old", false)));
        assert_eq!(found("socket-docker-owner", "/run/docker.sock", "2026-04-01"), Some(("old", true)));
        assert_eq!(found("socket-docker-mode", "/run/docker.sock", "2026-04-01"), Some(("new", false)));
        assert_eq!(found("socket-docker-mode", "/srv/docker.sock", "2026-04-01"), Some(("old", true)));
        assert_eq!(found("file-tls-key-mode", "/x", "2099-01-01"), Some(("forever", false)));
        assert_eq!(found("daemon-icc-disabled", "icc", "2026-01-01"), None);
        let json = serde_json::to_value(&baseline.waivers[1]).unwrap();
        assert_eq!(
            json,
            json!({"control": "socket-docker-mode", "target": "/run/*", "reason": "new", "by": "x", "until": "2026-12-31"})
        );
    }

    #[test]
    fn selecting() {
        let select = |only: &[&str], skip: &[&str]| {
            let texts = |patterns: &[&str]| patterns.iter().map(|text| text.to_string()).collect::<Vec<_>>();
            let selected = load("essential", &[]).unwrap().select(&texts(only), &texts(skip));
            selected
                .map(|baseline| ids(&baseline).into_iter().map(String::from).collect::<Vec<_>>())
                .map_err(|error| error.to_string())
        };
        assert_eq!(select(&[], &[]).unwrap().len(), load("essential", &[]).unwrap().controls.len());
        assert_eq!(select(&["socket-docker-*"], &["*-mode"]).unwrap(), ["socket-docker-owner", "socket-docker-unit-settings"]);
        assert_eq!(
            select(&["socket-docker-mod", "daemon-icc-*", "["], &["kubelet-*"]).unwrap_err(),
            "--only socket-docker-mod: no control of the baseline essential matches\n  help: did you mean `socket-docker-mode`?\n\
             --only daemon-icc-*: no control of the baseline essential matches\n  \
             help: `daemon-icc-disabled` is not enabled in it: choose another baseline, or one of your own that enables it\n\
             --only [: this is not a pattern: invalid range pattern\n  help: use * and ? only\n\
             --skip kubelet-*: no control of the baseline essential matches\n  help: `harden baseline show essential` lists its controls"
        );
    }
}

/// The TOML blocks of the page about baselines.
fn examples() -> Vec<String> {
    let page = include_str!("../../docs/baselines.md");
    let blocks = page.split("```toml\n").skip(1);
    blocks.filter_map(|rest| rest.split_once("```")).map(|(block, _)| block.to_string()).collect()
}

#[test]
fn the_examples_of_the_documentation_work() {
    let examples = examples();
    assert_eq!(examples.len(), 5);
    for text in &examples {
        if text.starts_with("schema") {
            let folder = folder(&[("prod-eu.toml", text)]);
            let baseline = folder.load("prod-eu.toml", &[]).unwrap_or_else(|error| panic!("{error}"));
            if baseline.name == "sized" {
                let memory = |control: &Control| match &control.want {
                    Want::Container(want) if control.id == "container-memory-limit" => Some(want.clone()),
                    _ => None,
                };
                let want = baseline.controls.iter().find_map(memory).expect("the control of memory");
                let given = |want: &ContainerWant| match &want.fix {
                    ContainerFix::Update(update) => update.memory.clone(),
                    _ => None,
                };
                assert_eq!(given(&want).as_deref(), Some("512m"));
                assert_eq!(want.per_match.len(), 1);
                assert_eq!(given(&want.per_match[0].1).as_deref(), Some("8GiB"));
                continue;
            }
            assert_eq!(baseline.vars["log.max_size"], json!("50m"));
            assert!(ids(&baseline).contains("audit-watch-runc") && !ids(&baseline).contains("daemon-userland-proxy-disabled"));
        } else {
            let catalogue = Catalogue::parse([("example.toml", text.as_str())]).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(catalogue.controls.len(), 1);
        }
    }
}

/// Reads bytes as a baseline and as a catalogue; only that it returns counts.
fn read(bytes: Vec<u8>) {
    let Ok(source) = Source::from_bytes(Path::new("b.toml"), bytes) else { return };
    for result in [
        Layer::parse(&source, Catalogue::builtin(), &no_env).map(|_| ()),
        Catalogue::parse([("c.toml", source.text.as_str())]).map(|_| ()),
    ] {
        if let Err(error) = result {
            assert_eq!(error.kind, crate::error::ErrorKind::Usage);
            assert!(!error.to_string().is_empty());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read(bytes);
    }

    /// Pieces of real files in any order, which gets far beyond the parser.
    #[test]
    fn any_pieces_are_read_without_a_panic(picks in proptest::collection::vec((0usize..10_000, 0usize..60), 0..12)) {
        let real = concat!(
            include_str!("../../tests/data/baseline/mistakes.toml"),
            include_str!("../../baselines/guide.toml"),
            include_str!("../../baselines/catalogue/socket.toml"),
            "𝄞 = \"ü\"\r\nvars.${ = [[{}]]\n\u{feff}",
        );
        let letters: Vec<char> = real.chars().collect();
        let pieces = picks.into_iter().map(|(start, length)| letters.iter().cycle().skip(start % letters.len()).take(length).collect::<String>());
        read(pieces.collect::<String>().into_bytes());
    }

    /// A good file with one character changed.
    #[test]
    fn small_damage_is_read_without_a_panic(at in 0usize..2_000, letter in any::<char>(), insert in any::<bool>()) {
        for good in examples() {
            let mut letters: Vec<char> = good.chars().collect();
            let at = at % letters.len();
            if insert { letters.insert(at, letter) } else { letters[at] = letter }
            read(letters.into_iter().collect::<String>().into_bytes());
        }
    }
}
