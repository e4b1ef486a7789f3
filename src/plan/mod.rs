//! The plan: what would be changed, in which order, and what puts it in force. Folding edits into changes happens only here.
//!
//! A plan is data: it is shown, saved (`harden plan -o`), applied, and kept beside the originals as the receipt.

mod activations;
mod draft;
mod folding;
pub mod undo;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::baseline::Values;
use crate::baseline::control::{Control, Risk, Want};
use crate::change::{Action, Activation, Change};
use crate::error::Result;
use crate::finding::{Outcome, Verdict};
use crate::kinds::{Context, daemon_config};
use crate::reach;
use crate::report::BaselineRef;
use draft::{Drafts, InKernel};
use folding::Folding;

/// Format of a saved plan.
pub const SCHEMA: &str = "harden/plan/1";
/// Where administrators' drop-ins lie.
const DROP_IN_ROOT: &str = "/etc/systemd/system";
/// Name of harden's drop-in: systemd reads drop-ins by name and the last one wins, also over `override.conf` of `systemctl edit`.
pub const DROP_IN: &str = "zz-harden.conf";

/// Where harden's drop-in of a unit lies.
pub fn drop_in_path(unit: &str) -> String {
    format!("{DROP_IN_ROOT}/{unit}.d/{DROP_IN}")
}

/// Ordered changes and the activations they need.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `harden/plan/1`.
    pub schema: String,
    /// The version that made it.
    pub tool_version: String,
    /// When, RFC 3339.
    pub created: String,
    /// The host it is for.
    pub hostname: String,
    /// `/` or the image tree.
    pub root: String,
    /// The baseline.
    pub baseline: BaselineRef,
    /// What it was made by, in a plan that was saved: judged again before it is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
    /// The transaction that it undoes, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The findings that it fixes.
    pub fixes: Vec<FixRef>,
    /// What is written, in this order.
    pub changes: Vec<Change>,
    /// What puts it in force, in this order.
    pub activations: Vec<Activation>,
    /// Whether putting it in force is left to the user (`--no-activate`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_activate: bool,
    /// Changes that were wanted and are held back, because the result would not be safe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}

/// What a saved plan was made by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedBy {
    /// The controls that it fixes, parameters and variables filled in.
    pub controls: Vec<Control>,
    /// The baseline's variables.
    pub vars: Values,
    /// The limit of risk that it was planned within.
    pub max_risk: Risk,
}

/// A finding that a plan fixes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixRef {
    /// Control id.
    pub control: String,
    /// Target.
    pub target: String,
}

/// A change that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    /// The file, with line and column where these are known.
    pub target: String,
    /// Why.
    pub reason: String,
}

impl Plan {
    /// Nothing to write and nothing to put in force.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.activations.is_empty()
    }
}

/// A plan, and which of its changes serve which verdict (by index into the verdicts given).
pub struct Folded {
    /// The plan.
    pub plan: Plan,
    /// Change ids by verdict.
    pub changes_of: BTreeMap<usize, Vec<String>>,
    /// Why a verdict's changes are withheld.
    pub withheld_of: BTreeMap<usize, String>,
}

impl std::fmt::Display for Withheld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.target, self.reason)
    }
}

/// Folds the fixable verdicts among `chosen` into one plan.
///
/// # Errors
/// When two controls want opposite things, naming both.
pub fn fold(
    verdicts: &[Verdict],
    chosen: &[usize],
    context: &Context,
    baseline: BaselineRef,
    created: String,
) -> Result<Folded> {
    let mut drafts = Drafts::default();
    let mut kernel = InKernel::default();
    let mut actions: BTreeMap<Action, Vec<usize>> = BTreeMap::new();
    for &index in chosen {
        let Outcome::Fixable(edits) = &verdicts[index].outcome else { continue };
        for edit in edits {
            draft::collect(edit, index, verdicts, context, &mut drafts, &mut kernel, &mut actions)?;
        }
    }

    let Drafts { files: drafts, containers } = drafts;
    let mut folding = Folding {
        verdicts,
        context,
        config: reach::real(&context.facts.files, &context.facts.daemon.config_file),
        later: None,
        seen: folding::by_real_path(context.facts),
        new: BTreeMap::new(),
        changes: Vec::new(),
        changes_of: BTreeMap::new(),
        withheld_of: BTreeMap::new(),
    };
    let not_there = |path: &str| matches!(folding.fact(path), Ok(None));
    let (new, drafts) = drafts.into_iter().partition(|(path, draft)| !draft.has_content() && not_there(path));
    folding.new = new;
    let mut withheld = Vec::new();
    let config = folding.config.clone();
    let defect = daemon_config::defect(context).filter(|_| drafts.contains_key(&config) || speaks_of_dockerd(verdicts));
    for (path, draft) in draft::ordered(drafts, &config) {
        let folded = match &defect {
            Some(defect) if path == config => Err(defect.to_string()),
            _ => folding.file(&path, &draft),
        };
        if let Err(reason) = folded {
            for &verdict in &draft.verdicts {
                folding.withheld_of.insert(verdict, reason.clone());
            }
            if defect.is_none() || path != config {
                withheld.push(Withheld { target: path, reason });
            }
        }
    }
    withheld.extend(defect);
    if let Err(reason) = folding.dockerd_reads_on(&actions) {
        withheld.push(Withheld { target: context.facts.daemon.config_file.clone(), reason });
    }
    folding.kernel_rules(kernel.rules);
    folding.parameters(kernel.parameters);
    folding.containers(containers);
    let activations = folding.activations(&actions);

    let Folding { changes, changes_of, withheld_of, .. } = folding;
    let mut fixes: Vec<FixRef> = chosen
        .iter()
        .filter(|index| !withheld_of.contains_key(index))
        .map(|&index| FixRef { control: verdicts[index].control.id.clone(), target: verdicts[index].target.clone() })
        .collect();
    fixes.sort();
    let host = &context.facts.host;
    let plan = Plan {
        schema: SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        created,
        hostname: host.hostname.clone(),
        root: host.root.clone(),
        baseline,
        judged_by: None,
        undoes: None,
        fixes,
        changes,
        activations,
        no_activate: false,
        withheld,
    };
    Ok(Folded { plan, changes_of, withheld_of })
}

/// Whether any control speaks of what daemon.json says.
fn speaks_of_dockerd(verdicts: &[Verdict]) -> bool {
    verdicts.iter().any(|verdict| matches!(verdict.control.want, Want::Daemon(_) | Want::DaemonConfig(_)))
}

/// "1 rule", "2 rules".
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
