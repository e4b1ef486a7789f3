//! The flags that a unit gives dockerd: `ExecStart=` with the unit's environment put in, each word with the line to change.

use std::collections::BTreeMap;

use super::env_file::{self, Variables};
use super::exec_line::{self, Command};
use super::unit_file::{Origin, Problem, Unit};

/// One word of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Its text, as dockerd gets it.
    pub text: String,
    /// Where it is written: the line of `ExecStart=`, or where the variable that brought it is set.
    pub origin: Origin,
    /// The word of [`Written`] that it came out of.
    pub word: usize,
    /// It stands there by itself, no variable involved.
    pub literal: bool,
}

/// An `ExecStart=` as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its words: the program with its prefixes, then each argument, quotes, specifiers and variables as they are.
    pub words: Vec<String>,
    /// Whether variables are put in at start.
    pub expands: bool,
    /// Its line.
    pub origin: Origin,
}

/// The command line of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecStart {
    /// The program's name for itself and its arguments; empty when the unit starts nothing.
    pub argv: Vec<Word>,
    /// What they are written as, where that is the unit's only command.
    pub written: Option<Written>,
    /// Environment files that must exist but don't: systemd does not start the unit.
    pub missing_env_files: Vec<EnvironmentFile>,
    /// systemd does not load the unit: the first of the problems stops it.
    pub refused: bool,
    /// What keeps systemd from starting the unit as it is written, or this reading from being certain.
    pub problems: Vec<Problem>,
}

/// One `EnvironmentFile=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvironmentFile {
    /// The path; may be a pattern with `*`, `?` and `[…]`.
    pub path: String,
    /// Whether it may be absent (prefix `-`).
    pub optional: bool,
    /// Where the unit names it.
    pub origin: Origin,
}

/// The environment files of a unit in order, so that the caller can read them (patterns: every file that matches).
pub fn environment_files(unit: &Unit) -> Vec<EnvironmentFile> {
    let named = unit.list("Service", "EnvironmentFile").into_iter().filter_map(|(value, origin)| {
        let (path, optional) = value.strip_prefix('-').map_or((value, false), |path| (path, true));
        let (path, _) = super::specifier::expand(path.as_bytes(), unit.name());
        let path = String::from_utf8(path).ok().filter(|path| path.starts_with('/'))?;
        Some(EnvironmentFile { path, optional, origin })
    });
    named.collect()
}

/// The command line that `unit` starts, given the environment files that exist, by path.
///
/// A variable that none of them sets counts as unset; systemd's own environment (`DefaultEnvironment=`, `systemctl
/// set-environment`) could still set it.
pub fn dockerd_flags(unit: &Unit, env_files: &BTreeMap<String, Vec<u8>>) -> ExecStart {
    let mut start = ExecStart { problems: unit.problems.clone(), refused: unit.refused, ..ExecStart::default() };
    let environment = environment(unit, env_files, &mut start);
    let Some((command, origin, only)) = single_command(unit, &mut start.problems) else { return start };
    if !is_dockerd(&command.path) {
        let what = format!("this starts {}, not dockerd; what flags dockerd gets from it is not known", command.path);
        start.problems.push(Problem::new(origin.clone(), what));
    }
    let arguments = exec_line::expand(&command, |name| environment.get(name).map(|(value, _)| value.as_str()));
    start.argv = arguments
        .into_iter()
        .map(|argument| {
            let literal = argument.variable.is_none();
            let set_at = argument.variable.and_then(|name| Some((environment.get(&name)?.1.clone(), name)));
            let origin = set_at.map_or_else(|| origin.clone(), |(at, name)| Origin { variable: Some(name), ..at });
            Word { text: argument.text, origin, word: argument.word, literal }
        })
        .collect();
    start.written = only.then_some(Written { words: command.written, expands: command.expands, origin });
    start
}

fn is_dockerd(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name == "dockerd" || name == "dockerd-current" || name == "dockerd-ce"
}

/// The one command of the unit, and whether it is. Where several are left systemd refuses the unit (unless `Type=oneshot`); the last
/// is taken.
fn single_command(unit: &Unit, problems: &mut Vec<Problem>) -> Option<(Command, Origin, bool)> {
    let mut commands = Vec::new();
    for (value, origin) in unit.list("Service", "ExecStart") {
        let line = exec_line::split(value, unit.name());
        problems.extend(line.problems.into_iter().map(|what| Problem::new(origin.clone(), what)));
        commands.extend(line.commands.into_iter().map(|command| (command, origin.clone())));
    }
    let oneshot = unit.last("Service", "Type").is_some_and(|(value, _)| value == "oneshot");
    if let ([_, .., (_, origin)], false) = (commands.as_slice(), oneshot) {
        let what = "a second ExecStart= command; systemd refuses the unit: empty the list first with a line `ExecStart=`";
        problems.push(Problem::new(origin.clone(), what));
    }
    let only = commands.len() == 1;
    commands.pop().map(|(command, origin)| (command, origin, only))
}

/// Variables by name, with their value and where they are set.
type Environment = BTreeMap<String, (String, Origin)>;

/// systemd's order: `Environment=`, then the files, then `UnsetEnvironment=`.
fn environment(unit: &Unit, env_files: &BTreeMap<String, Vec<u8>>, start: &mut ExecStart) -> Environment {
    let mut environment = Environment::new();
    for (value, origin) in unit.list("Service", "Environment") {
        let found = env_file::parse_environment(value, unit.name(), &origin);
        set(&mut environment, found, &origin.path, &mut start.problems);
    }
    for file in environment_files(unit) {
        let present = matching(&file.path, env_files);
        if present.is_empty() && !file.optional {
            start.missing_env_files.push(file);
            continue;
        }
        for (path, bytes) in present {
            match env_file::parse(path, bytes) {
                Ok(found) => set(&mut environment, found, path, &mut start.problems),
                Err(problem) => start.problems.push(problem),
            }
        }
    }
    for (value, _) in unit.list("Service", "UnsetEnvironment") {
        for word in value.split_ascii_whitespace() {
            match word.split_once('=') {
                None => drop(environment.remove(word)),
                Some((name, value)) if environment.get(name).is_some_and(|(is, _)| is == value) => {
                    drop(environment.remove(name))
                }
                Some(_) => {}
            }
        }
    }
    environment
}

fn set(environment: &mut Environment, found: Variables, path: &str, problems: &mut Vec<Problem>) {
    problems.extend(found.problems);
    for variable in found.variables {
        environment.insert(variable.name, (variable.value, Origin::new(path, variable.line)));
    }
}

/// The files that a path or pattern names, in the order in which systemd reads them.
fn matching<'a>(path: &str, env_files: &'a BTreeMap<String, Vec<u8>>) -> Vec<(&'a str, &'a [u8])> {
    let exact = |(path, bytes): (&'a String, &'a Vec<u8>)| (path.as_str(), bytes.as_slice());
    if !path.contains(['*', '?', '[']) {
        return env_files.get_key_value(path).map(exact).into_iter().collect();
    }
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    let Ok(pattern) = glob::Pattern::new(path) else { return Vec::new() };
    env_files.iter().map(exact).filter(|(path, _)| pattern.matches_with(path, options)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::unit_file::parse;
    use serde_json::Value;

    fn unit(text: &str) -> Unit {
        Unit::merge(parse("/lib/systemd/system/docker.service", text.as_bytes()), vec![])
    }

    fn files(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn shown(start: &ExecStart) -> Vec<String> {
        let words = start.argv.iter().map(|word| format!("{} | {}", word.text, word.origin));
        let missing = start.missing_env_files.iter().map(|file| format!("? {} | {}", file.path, file.origin));
        words.chain(missing).chain(start.problems.iter().map(|problem| format!("! {problem}"))).collect()
    }

    const DEBIAN: &str = include_str!("../../tests/data/systemd/debian-docker.service");
    const DOCKER_CE: &str = include_str!("../../tests/data/systemd/docker-ce-docker.service");

    #[test]
    fn words_name_the_line_to_change() {
        let options = files(&[("/etc/default/docker", "# options\n\nDOCKER_OPTS=\"--icc=false -D\"\n")]);
        assert_eq!(
            shown(&dockerd_flags(&unit(DEBIAN), &options)),
            [
                "/usr/sbin/dockerd | /lib/systemd/system/docker.service:11",
                "-H | /lib/systemd/system/docker.service:11",
                "fd:// | /lib/systemd/system/docker.service:11",
                "--containerd=/run/containerd/containerd.sock | /lib/systemd/system/docker.service:11",
                "--icc=false | /etc/default/docker:3 ($DOCKER_OPTS)",
                "-D | /etc/default/docker:3 ($DOCKER_OPTS)",
            ]
        );
        assert_eq!(dockerd_flags(&unit(DEBIAN), &files(&[])).argv.len(), 4);
        assert_eq!(
            shown(&dockerd_flags(&unit(DOCKER_CE), &options)),
            [
                "/usr/bin/dockerd | /lib/systemd/system/docker.service:10",
                "-H | /lib/systemd/system/docker.service:10",
                "fd:// | /lib/systemd/system/docker.service:10",
                "--containerd=/run/containerd/containerd.sock | /lib/systemd/system/docker.service:10",
            ]
        );
    }

    #[test]
    fn the_sockets_settings_are_read() {
        for text in [
            include_str!("../../tests/data/systemd/debian-docker.socket"),
            include_str!("../../tests/data/systemd/docker-ce-docker.socket"),
        ] {
            let unit = Unit::merge(parse("/lib/systemd/system/docker.socket", text.as_bytes()), vec![]);
            let value = |name| unit.last("Socket", name).map(|(value, _)| value);
            assert_eq!(
                ["ListenStream", "SocketMode", "SocketUser", "SocketGroup"].map(value),
                [Some("/run/docker.sock"), Some("0660"), Some("root"), Some("docker")]
            );
            assert_eq!(unit.problems, []);
        }
    }

    #[test]
    fn a_drop_in_must_empty_the_list_first() {
        let drop_in = parse("/etc/systemd/system/docker.service.d/10.conf", b"[Service]\nExecStart=/usr/bin/dockerd -D\n");
        let start = dockerd_flags(
            &Unit::merge(parse("/u/docker.service", b"[Service]\nType=notify\nExecStart=/usr/bin/dockerd\n"), vec![drop_in]),
            &files(&[]),
        );
        assert_eq!(
            shown(&start),
            [
                "/usr/bin/dockerd | /etc/systemd/system/docker.service.d/10.conf:2",
                "-D | /etc/systemd/system/docker.service.d/10.conf:2",
                "! /etc/systemd/system/docker.service.d/10.conf:2: a second ExecStart= command; systemd refuses the unit: empty the list first with a line `ExecStart=`",
            ]
        );
    }

    #[test]
    fn environment_files_that_must_exist_are_reported() {
        let text = "[Service]\nEnvironment=A=1 B=1 C=1\nEnvironmentFile=/etc/a\nEnvironmentFile=-/etc/b\nEnvironmentFile=/etc/c*.env\nUnsetEnvironment=C\nExecStart=/usr/bin/dockerd $A $B $C\n";
        assert_eq!(
            shown(&dockerd_flags(
                &unit(text),
                &files(&[("/etc/b", "A=2\n"), ("/etc/c1.env", "#\nA=3"), ("/etc/d/c1.env", "A=4")])
            )),
            [
                "/usr/bin/dockerd | /lib/systemd/system/docker.service:7",
                "3 | /etc/c1.env:2 ($A)",
                "1 | /lib/systemd/system/docker.service:2 ($B)",
                "? /etc/a | /lib/systemd/system/docker.service:3",
            ]
        );
    }

    #[test]
    fn another_program_is_not_taken_for_dockerd() {
        let start = dockerd_flags(&unit("[Service]\nExecStart=/bin/sh -c 'exec dockerd -D'\n"), &files(&[]));
        assert_eq!(
            shown(&start)[3..],
            [
                "! /lib/systemd/system/docker.service:2: this starts /bin/sh, not dockerd; what flags dockerd gets from it is not known"
            ]
        );
        assert_eq!(dockerd_flags(&unit(""), &files(&[])), ExecStart::default());
    }

    fn latin1(value: &Value) -> Vec<u8> {
        value.as_str().unwrap().chars().map(|character| u8::try_from(character).unwrap()).collect()
    }

    fn text(value: &Value) -> String {
        String::from_utf8_lossy(&latin1(value)).into_owned()
    }

    /// Every unit that a real systemd ran (or refused to) must come out the same here.
    #[test]
    fn a_real_systemd_agrees() {
        let answers: Vec<Value> = serde_json::from_str(include_str!("../../tests/data/systemd/answers.json")).unwrap();
        assert!(answers.len() > 150);
        for case in &answers {
            let name = case["name"].as_str().unwrap();
            let drop_ins = case.get("drop_in").map(|drop_in| parse("50.conf", &latin1(drop_in)));
            let unit =
                Unit::merge(parse(&format!("/u/{name}.service"), &latin1(&case["unit"])), drop_ins.into_iter().collect());
            let files: BTreeMap<_, _> = case
                .get("files")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
                .map(|(name, text)| (format!("/run/env/{name}"), latin1(text)))
                .collect();
            let mut start = ExecStart::default();
            let environment = environment(&unit, &files, &mut start);
            let mut commands = Vec::new();
            for (value, _) in unit.list("Service", "ExecStart") {
                let line = exec_line::split(value, unit.name());
                commands.extend(line.commands);
            }
            let expected: Vec<Vec<String>> = case["commands"]
                .as_array()
                .unwrap()
                .iter()
                .map(|argv| argv.as_array().unwrap().iter().map(text).collect())
                .collect();
            if expected.is_empty() {
                let start = dockerd_flags(&unit, &files);
                assert!(
                    !start.problems.is_empty() || !start.missing_env_files.is_empty() || start.argv.is_empty(),
                    "{name}: systemd refuses this"
                );
                continue;
            }
            let argvs: Vec<Vec<String>> = commands
                .iter()
                .map(|command| {
                    exec_line::expand(command, |name| environment.get(name).map(|(value, _)| value.as_str()))
                        .into_iter()
                        .map(|a| a.text)
                        .collect()
                })
                .collect();
            assert_eq!(argvs, expected, "{name}");
            let expected: BTreeMap<String, String> =
                case["environment"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect();
            let environment: BTreeMap<String, String> =
                environment.into_iter().map(|(name, (value, _))| (name, value)).collect();
            assert_eq!(environment, expected, "{name}");
        }
    }
}
