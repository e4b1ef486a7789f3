//! `harden plan`: the review, and with `-o` the plan as a file.

use crate::assess;
use crate::baseline::control::Control;
use crate::cli::Common;
use crate::commands::check::assess;
use crate::commands::{Ending, load_baseline, open_host, output};
use crate::error::{Error, Result};
use crate::observe;
use crate::plan::{JudgedBy, Plan};
use crate::render::progress::Progress;
use crate::render::text::Tense;

/// Prints the plan with its diffs; saves it where `-o` says.
pub fn run(common: &Common) -> Result<Ending> {
    let baseline = load_baseline(common)?;
    let progress = Progress::begin();
    let facts = observe::observe(&open_host(common)?, &baseline)?;
    let assessment = assess(common, &baseline, &facts)?;
    let report = assess::report(&facts, &assessment, None);
    drop(progress);
    // First, because after the report there is no room for another document that says it failed.
    if let Some(file) = &common.output {
        let fixes = |control: &Control| assessment.plan.fixes.iter().any(|fix| fix.control == control.id);
        let controls = baseline.controls.iter().filter(|control| fixes(control)).cloned().collect();
        let judged_by = JudgedBy { controls, vars: baseline.vars.clone(), max_risk: common.max_risk.into() };
        let plan = Plan { judged_by: Some(judged_by), ..assessment.plan };
        let mut text = serde_json::to_vec_pretty(&plan).map_err(|error| Error::io(file, "write it", error))?;
        text.push(b'\n');
        // A plan holds whole files, secrets included.
        output::write_private(file, &text)?;
    }
    output::report(&report, &Common { output: None, ..common.clone() }, Tense::Would)?;
    Ok(if report.summary.has_drift() { Ending::Drift } else { Ending::Done })
}
