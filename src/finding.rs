//! Findings: one control judged on one target.

use serde::{Deserialize, Serialize};

use crate::baseline::control::{Area, Control, Risk, Severity};
use crate::change::Edit;

/// What a kind says of one control on one target, before waivers and the risk limit are applied.
#[derive(Debug, Clone)]
pub struct Verdict<'c> {
    /// The control.
    pub control: &'c Control,
    /// What was judged: a path, a daemon key, a unit's setting.
    pub target: String,
    /// How it stands.
    pub outcome: Outcome,
    /// What was seen, in words.
    pub observed: String,
    /// What is wanted, in words.
    pub desired: String,
    /// Where it was seen: which flag, `file:line`, API field or kernel entry said so.
    pub evidence: Vec<String>,
}

/// How a control stands on one target.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It holds; the note says what a reader should still know.
    Compliant {
        /// E.g. "in the kernel only: /run is empty when rules load at boot".
        note: Option<String>,
    },
    /// It does not hold, and these edits would make it so.
    Fixable(Vec<Edit>),
    /// It does not hold, and harden does not fix it, for this reason.
    Manual(String),
    /// It does not apply, for this reason.
    NotApplicable(String),
    /// It could not be observed, for this reason.
    Unknown(String),
}

/// The status of a finding, as the contract names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Observed, and not as wanted.
    Drift,
    /// Could not be observed.
    Unknown,
    /// Drift that the baseline accepts for now.
    Waived,
    /// Observed, and as wanted.
    Compliant,
    /// Nothing here that the control speaks of.
    NotApplicable,
}

/// One control judged on one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Control id.
    pub control: String,
    /// What was judged.
    pub target: String,
    /// What holds on a compliant host.
    pub title: String,
    /// Why it matters.
    pub why: String,
    /// Area of the control.
    pub area: Area,
    /// How bad it is.
    pub severity: Severity,
    /// What applying the fix interrupts.
    pub risk: Risk,
    /// What may stop working after the fix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impact: Option<String>,
    /// How it stands.
    pub status: Status,
    /// What was seen.
    pub observed: String,
    /// What is wanted.
    pub desired: String,
    /// Where it was seen.
    pub evidence: Vec<String>,
    /// `guide:2.1`, `cis:2.2`.
    pub references: Vec<String>,
    /// How it is fixed.
    pub fix: Fix,
}

/// How a finding is fixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// By harden, by hand, or nothing to fix.
    pub kind: FixKind,
    /// Ids of the changes of this report that belong to it.
    pub changes: Vec<String>,
    /// Why it is manual, waived, not applicable or unknown; what a compliant one should still know.
    pub reason: Option<String>,
}

/// By whom a finding is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FixKind {
    /// Nothing to fix.
    None,
    /// `harden apply` does it.
    Automatic,
    /// The reason says what to do.
    Manual,
}
