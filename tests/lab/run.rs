//! The harden binary as a test runs it, and its report.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Lab;

/// The binary under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_harden");

/// One run of harden that has ended.
#[derive(Debug)]
pub struct Run {
    /// Its exit status.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

/// Runs harden with these arguments alone: nothing of this process's environment points it elsewhere.
pub fn harden(arguments: &[&str]) -> Run {
    Run::of(Command::new(BINARY).args(arguments).env_remove("DOCKER_HOST").env("NO_COLOR", "1"))
}

impl Run {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Run {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Run {
            code: output.status.code().unwrap_or_else(|| panic!("{command:?}: {}", output.status)),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }

    /// Its output, if it ended with this status.
    pub fn ends_with(self, code: i32) -> String {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Its report, if it ended with this status.
    pub fn report(self, code: i32) -> Report {
        let text = self.ends_with(code);
        Report(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}")))
    }
}

/// A report of `--format json`.
pub struct Report(pub Value);

impl Report {
    /// The finding of a control on a target.
    pub fn finding(&self, control: &str, target: &str) -> &Value {
        let found = self.findings().find(|finding| finding["control"] == control && finding["target"] == target);
        found.unwrap_or_else(|| {
            let all: Vec<String> = self.findings().map(name).collect();
            panic!("no finding of {control} on {target}, only {all:#?}")
        })
    }

    /// All findings.
    pub fn findings(&self) -> impl Iterator<Item = &Value> {
        self.0["findings"].as_array().expect("findings").iter()
    }

    /// `control target` of each finding with this status, in order.
    pub fn with_status(&self, status: &str) -> Vec<String> {
        self.findings().filter(|finding| finding["status"] == status).map(name).collect()
    }

    /// The paths that were or would be changed.
    pub fn changes(&self) -> Vec<&str> {
        self.0["changes"].as_array().expect("changes").iter().map(|change| text(&change["target"])).collect()
    }

    /// The activations, those that are left to the user marked with `by hand`.
    pub fn activations(&self) -> Vec<String> {
        let all = self.0["activations"].as_array().expect("activations").iter();
        let mark = |activation: &Value| if activation["by_hand"].is_string() { " by hand" } else { "" };
        all.map(|activation| format!("{}{}", text(&activation["action"]), mark(activation))).collect()
    }
}

/// `control target` of a finding.
fn name(finding: &Value) -> String {
    format!("{} {}", text(&finding["control"]), text(&finding["target"]))
}

/// A JSON text; empty for anything else.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// harden against the lab's bare daemon, with JSON reports and a state folder in the lab.
pub struct Bare<'lab> {
    lab: &'lab Lab,
}

impl<'lab> Bare<'lab> {
    /// For the daemon of this lab.
    pub fn new(lab: &'lab Lab) -> Self {
        Bare { lab }
    }

    /// Where it keeps its transactions.
    pub fn state_dir(&self) -> PathBuf {
        self.lab.dir().join("state")
    }

    /// Runs a command of it on the controls of dockerd's settings.
    pub fn run(&self, arguments: &[&str]) -> Run {
        let socket = format!("unix://{}", self.lab.dir().join("docker.sock").display());
        let state = path(&self.state_dir());
        let mut all = arguments.to_vec();
        all.extend(["--docker-host", &socket, "--state-dir", &state, "--only", "daemon-*", "--format", "json"]);
        harden(&all)
    }
}

/// A path as an argument.
pub fn path(path: &Path) -> String {
    path.to_str().expect("a path of UTF-8").to_owned()
}
