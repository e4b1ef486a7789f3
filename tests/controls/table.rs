//! The form of the tables: what is broken, and what must be said and done about it.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use harden::assess::{self, Assessment, Limits};
use harden::baseline::Baseline;
use harden::baseline::control::Risk;
use harden::change::Effect;
use harden::fact::Facts;
use harden::finding::{Finding, FixKind, Status};
use harden::host::{Access, Host};
use harden::observe;

use crate::tree::{STATE_DIR, Tree, differences};

/// The baseline with every control of the catalogue.
pub const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/controls/everything.toml");
/// The engine of the tree.
pub const VERSION: &str = "28.5.2";

/// The baseline with every control of the catalogue.
pub static EVERYTHING: LazyLock<Baseline> =
    LazyLock::new(|| harden::baseline::load(BASELINE, &[]).unwrap_or_else(|error| panic!("{error}")));

/// One way in which a control does not hold on the tree.
pub struct Break {
    pub control: &'static str,
    /// What is wrong, in words; for whoever reads a failure.
    pub how: &'static str,
    pub breaks: fn(&Tree),
    /// Every finding of the control that does not hold then, in the order of the report.
    pub findings: &'static [Expected],
    /// What else this necessarily breaks, as `control target`.
    pub also: &'static [&'static str],
}

/// One way in which a control has nothing to speak of.
pub struct Absent {
    pub control: &'static str,
    pub remove: fn(&Tree),
    pub target: &'static str,
    pub reason: &'static str,
}

/// A finding, word for word.
pub struct Expected {
    target: &'static str,
    observed: &'static str,
    desired: &'static str,
    fix: Fix,
}

/// How it is fixed.
enum Fix {
    Automatic,
    Manual(&'static str),
    Unknown(&'static str),
}

/// Drift that harden fixes.
pub const fn automatic(target: &'static str, observed: &'static str, desired: &'static str) -> Expected {
    Expected { target, observed, desired, fix: Fix::Automatic }
}

/// Drift that people have to fix, with what they are told.
pub const fn manual(target: &'static str, observed: &'static str, desired: &'static str, reason: &'static str) -> Expected {
    Expected { target, observed, desired, fix: Fix::Manual(reason) }
}

/// What could not be observed, and why.
pub const fn unknown(target: &'static str, reason: &'static str) -> Expected {
    Expected { target, observed: "", desired: "", fix: Fix::Unknown(reason) }
}

impl Expected {
    fn line(&self) -> String {
        let fix = match self.fix {
            Fix::Automatic => "automatic".to_owned(),
            Fix::Manual(reason) => format!("by hand: {reason}"),
            Fix::Unknown(reason) => format!("unknown: {reason}"),
        };
        line(self.target, self.observed, self.desired, &fix)
    }

    pub fn is_automatic(&self) -> bool {
        matches!(self.fix, Fix::Automatic)
    }
}

fn line(target: &str, observed: &str, desired: &str, fix: &str) -> String {
    format!("\n    {target}\n        is        {observed}\n        should be {desired}\n        {fix}")
}

/// A finding in the same words as an expected one.
fn found(finding: &Finding) -> String {
    let reason = finding.fix.reason.clone().unwrap_or_default();
    let fix = match (finding.status, finding.fix.kind) {
        (Status::Unknown, _) => return line(&finding.target, "", "", &format!("unknown: {reason}")),
        (_, FixKind::Automatic) => format!("automatic{reason}"),
        _ => format!("by hand: {reason}"),
    };
    line(&finding.target, &finding.observed, &finding.desired, &fix)
}

/// What was seen on a tree.
pub fn observe(tree: &Tree) -> Facts {
    let host = host(tree.path());
    observe::observe(&host, &EVERYTHING).unwrap_or_else(|error| panic!("{error}"))
}

fn host(root: &Path) -> Host {
    let access = Access { root: Some(root), docker_version: Some(VERSION), state_dir: STATE_DIR, ..Access::default() };
    Host::open(&access).unwrap_or_else(|error| panic!("{error}"))
}

/// Judges by every control, with no limit to what a fix may interrupt.
pub fn judge(facts: &Facts) -> Assessment {
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    assess::assess(&EVERYTHING, facts, &limits).unwrap_or_else(|error| panic!("{error}"))
}

/// Judges by everything, but fixes this control alone: what other fixes would make room for stays out of sight.
pub fn judge_alone(facts: &Facts, control: &str) -> Assessment {
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|id, _| id == control };
    assess::assess(&EVERYTHING, facts, &limits).unwrap_or_else(|error| panic!("{error}"))
}

/// Findings that are not as wanted, or could not be observed.
pub fn open(assessment: &Assessment) -> Vec<&Finding> {
    assessment.findings.iter().filter(|finding| matches!(finding.status, Status::Drift | Status::Unknown)).collect()
}

/// The findings of one status.
pub fn with(assessment: &Assessment, status: Status) -> impl Iterator<Item = &Finding> {
    assessment.findings.iter().filter(move |finding| finding.status == status)
}

/// Compares what is open with what a case expects; `None` when it is the same.
pub fn compare(control: &str, expected: &[Expected], also: &[&str], assessment: &Assessment) -> Option<String> {
    let (own, others): (Vec<_>, Vec<_>) = open(assessment).into_iter().partition(|finding| finding.control == control);
    let wanted: String = expected.iter().map(Expected::line).collect();
    let got: String = own.into_iter().map(found).collect();
    let mut wanted_also: Vec<String> = also.iter().map(|other| (*other).to_owned()).collect();
    let mut got_also: Vec<String> = others.iter().map(|other| format!("{} {}", other.control, other.target)).collect();
    wanted_also.sort();
    got_also.sort();
    match (wanted == got, wanted_also == got_also) {
        (true, true) => None,
        (false, _) => Some(format!("  expected{wanted}\n  found{got}\n  beside {got_also:?}")),
        (true, false) => {
            let details: String = others.into_iter().map(found).collect();
            Some(format!("  expected beside it {wanted_also:?}\n  found              {got_also:?}{details}"))
        }
    }
}

/// Breaks a green tree in each way and compares; where the fix is automatic, has the program fix it, twice.
pub fn check_breaks(table: &[Break]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|case| check_break(case).err().map(|text| format!("{}: {}\n{text}", case.control, case.how)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}\n", wrong.len(), table.len(), wrong.join("\n\n"));
}

fn check_break(case: &Break) -> Result<(), String> {
    let tree = Tree::green();
    (case.breaks)(&tree);
    let before = judge(&observe(&tree));
    if let Some(difference) = compare(case.control, case.findings, case.also, &before) {
        return Err(difference);
    }
    if !case.findings.iter().any(Expected::is_automatic) {
        return Ok(());
    }
    let broken = tree.snapshot();
    apply(&tree, case.control)?;
    let fixed = tree.snapshot();
    let planned: Vec<&str> = before.plan.changes.iter().map(|change| change.target()).collect();
    let unplanned: Vec<String> = differences(&broken, &fixed, false)
        .into_iter()
        .filter(|path| !planned.contains(&path.as_str()) && path != STATE_DIR && path != "/var/lib")
        .collect();
    if !unplanned.is_empty() {
        return Err(format!("  apply changed {unplanned:?}, planned was {planned:?}"));
    }
    let after = judge(&observe(&tree));
    let still: Vec<String> = open(&after)
        .into_iter()
        .filter(|finding| match finding.control == case.control {
            true => finding.fix.kind == FixKind::Automatic,
            false => !case.also.contains(&format!("{} {}", finding.control, finding.target).as_str()),
        })
        .map(|finding| format!("{}{}", finding.control, found(finding)))
        .collect();
    if !still.is_empty() {
        return Err(format!("  after apply there is still {}", still.join("\n")));
    }
    apply(&tree, case.control)?;
    match differences(&fixed, &tree.snapshot(), true) {
        paths if paths.is_empty() => Ok(()),
        paths => Err(format!("  a second apply changed {paths:?}")),
    }
}

/// `harden apply --yes` with one control only.
pub fn apply(tree: &Tree, control: &str) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harden"));
    command.env_clear().args([
        "apply",
        "--yes",
        "--quiet",
        "--color=never",
        "--max-risk=disruptive",
        "--docker-version",
        VERSION,
    ]);
    let output = command.arg("--root").arg(tree.path()).args(["-b", BASELINE, "--only", control]).output();
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "  harden apply: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

/// Takes away what a control speaks of, and compares the reason that it gives.
pub fn check_absent(table: &[Absent]) {
    let wrong: Vec<String> = table
        .iter()
        .filter_map(|case| {
            let tree = Tree::green();
            (case.remove)(&tree);
            let assessment = judge_alone(&observe(&tree), case.control);
            let reasons: Vec<String> = of(&assessment, case.control)
                .map(|finding| {
                    format!("{:?} {}: {}", finding.status, finding.target, finding.fix.reason.clone().unwrap_or_default())
                })
                .collect();
            let wanted = format!("{:?} {}: {}", Status::NotApplicable, case.target, case.reason);
            (reasons != [wanted.clone()])
                .then(|| format!("{}\n  expected {wanted}\n  found    {}", case.control, reasons.join("\n           ")))
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}\n", wrong.len(), table.len(), wrong.join("\n\n"));
}

/// The findings of one control.
pub fn of<'a>(assessment: &'a Assessment, control: &'a str) -> impl Iterator<Item = &'a Finding> {
    assessment.findings.iter().filter(move |finding| finding.control == control)
}

/// The changes of a plan, one line each.
pub fn changes(assessment: &Assessment) -> Vec<String> {
    let changes = assessment.plan.changes.iter();
    let mut lines = Vec::new();
    for change in changes {
        lines.push(format!("{} {}: {}", change.kind(), change.target(), change.summary));
        if let Effect::Sysctl { set } = &change.effect {
            lines.extend(set.iter().map(|one| format!("    {}: {} to {}", one.key, one.before, one.after)));
        }
        if let Effect::AuditKernel { add, remove } = &change.effect {
            lines.extend(add.iter().map(|rule| format!("    {rule}")));
            lines.extend(remove.iter().map(|rule| format!("    without {rule}")));
        }
    }
    lines
}

/// The activations of a plan, one line each.
pub fn activations(assessment: &Assessment) -> Vec<String> {
    let activations = assessment.plan.activations.iter();
    activations
        .map(|activation| {
            let action = serde_json::to_value(activation.action).expect("an action");
            let by_hand = activation.by_hand.as_ref().map(|text| format!(" [by hand: {text}]")).unwrap_or_default();
            format!("{}: {}{by_hand}", action.as_str().unwrap_or_default(), activation.reason)
        })
        .collect()
}
