//! The report: one document that every output format renders; its JSON form is the contract (`harden/report/1`).

use serde::{Deserialize, Serialize};

use crate::change::{Action, Activation};
use crate::finding::{Finding, FixKind, Status};

/// Format of the JSON document.
pub const SCHEMA: &str = "harden/report/1";

/// What one run found, planned and did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `harden/report/1`.
    pub schema: String,
    /// This program.
    pub tool: Tool,
    /// The host that was looked at.
    pub host: Host,
    /// The baseline it was judged by.
    pub baseline: BaselineRef,
    /// Counts of findings.
    pub summary: Summary,
    /// Every control on every target.
    pub findings: Vec<Finding>,
    /// What would be, or was, written.
    pub changes: Vec<ChangeView>,
    /// What puts it in force.
    pub activations: Vec<Activation>,
    /// What happened; only `apply`, `rollback` and `recover` have it (and any run that failed).
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RunOutcome>,
}

impl Report {
    /// The report of a run that failed: what was found before is not part of it.
    pub fn failure(baseline: &str, error: &crate::error::Error) -> Self {
        let mut report = Self::empty(baseline);
        report.outcome = Some(RunOutcome {
            changed: error.kind == crate::error::ErrorKind::Stuck,
            failed: true,
            msg: error.to_string(),
            transaction: None,
            originals: None,
            diff: Vec::new(),
            activated: Vec::new(),
        });
        report
    }

    /// A report of nothing yet.
    pub fn empty(baseline: &str) -> Self {
        Self {
            schema: SCHEMA.into(),
            tool: Tool::this(),
            host: Host::default(),
            baseline: BaselineRef { name: baseline.into(), digest: String::new() },
            summary: Summary::default(),
            findings: Vec::new(),
            changes: Vec::new(),
            activations: Vec::new(),
            outcome: None,
        }
    }
}

impl Tool {
    /// This program.
    pub fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// Name and version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `harden`.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The host as the report names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub hostname: String,
    /// `/` or the image tree.
    pub root: String,
    /// The engine.
    pub docker: Docker,
    /// The audit subsystem.
    pub audit: Audit,
    /// `systemd`, `openrc`, `sysv` or `none`.
    pub service_manager: String,
}

/// The engine as the report names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Docker {
    /// Version, when it is known.
    pub version: Option<String>,
    /// Whether dockerd runs; `None` when that could not be seen.
    pub running: Option<bool>,
    /// The configuration file it reads.
    pub config_file: String,
    /// Newest API version it speaks.
    pub api_version: Option<String>,
}

/// The audit subsystem as the report names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Audit {
    /// Whether auditd is installed; `null` when nothing asked, or it can't be told.
    pub installed: Option<bool>,
    /// 0 off, 1 on, 2 immutable until the next boot; `None` when it could not be seen.
    pub enabled: Option<u32>,
    /// Rules loaded in the kernel.
    pub kernel_rules: Option<usize>,
}

/// Which baseline.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BaselineRef {
    /// Its name.
    pub name: String,
    /// SHA-256 of its resolved content.
    pub digest: String,
}

/// Counts of findings by status; `manual` is drift without an automatic fix, `drift` the rest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// As wanted.
    pub compliant: usize,
    /// Not as wanted, fixed by `apply`.
    pub drift: usize,
    /// Not as wanted, fixed by hand.
    pub manual: usize,
    /// Nothing here that the control speaks of.
    pub not_applicable: usize,
    /// Accepted by the baseline for now.
    pub waived: usize,
    /// Could not be observed.
    pub unknown: usize,
}

impl Summary {
    /// Counts.
    pub fn of(findings: &[Finding]) -> Self {
        let mut summary = Self::default();
        for finding in findings {
            *match (finding.status, finding.fix.kind) {
                (Status::Compliant, _) => &mut summary.compliant,
                (Status::Drift, FixKind::Automatic) => &mut summary.drift,
                (Status::Drift, _) => &mut summary.manual,
                (Status::NotApplicable, _) => &mut summary.not_applicable,
                (Status::Waived, _) => &mut summary.waived,
                (Status::Unknown, _) => &mut summary.unknown,
            } += 1;
        }
        summary
    }

    /// Whether anything is not as wanted.
    pub fn has_drift(&self) -> bool {
        self.drift + self.manual > 0
    }
}

/// A change as the report shows it: secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    /// `c1`, …
    pub id: String,
    /// `create`, `edit`, `metadata`, `remove`, `audit-kernel`, `sysctl` or `container`.
    pub kind: String,
    /// The path, `kernel audit rules`, `kernel parameters` or `container:NAME`.
    pub target: String,
    /// The controls that ask for it.
    pub controls: Vec<String>,
    /// One line: what happens.
    pub summary: String,
    /// Unified diff, secrets masked.
    pub diff: String,
    /// The two sides of the diff, secrets masked; for word marks on a terminal.
    #[serde(skip)]
    pub sides: (String, String),
}

/// What `apply`, `rollback` or `recover` did; `changed`, `failed`, `msg` and `diff` are those that Ansible expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// Whether anything on the host is different now.
    pub changed: bool,
    /// Whether it failed.
    pub failed: bool,
    /// One line for people.
    pub msg: String,
    /// The transaction that holds the originals.
    pub transaction: Option<String>,
    /// Where its originals lie.
    #[serde(skip)]
    pub originals: Option<String>,
    /// Before and after of each file, secrets masked.
    pub diff: Vec<AnsibleDiff>,
    /// Activations that were carried out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activated: Vec<Action>,
}

/// One entry of Ansible's `diff`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsibleDiff {
    /// Label of the left side.
    pub before_header: String,
    /// Label of the right side.
    pub after_header: String,
    /// Left side.
    pub before: String,
    /// Right side.
    pub after: String,
}
