//! `harden check`, and the review that every dry run prints.

use std::path::{Path, PathBuf};

use crate::assess::{self, Assessment, Limits};
use crate::baseline::control::Want;
use crate::baseline::{Baseline, OF_DOCKERFILES};
use crate::cli::{Common, Format};
use crate::commands::{Ending, load_baseline, open_host, output};
use crate::error::{Error, Result};
use crate::fact::Facts;
use crate::kinds::build;
use crate::observe;
use crate::render::progress::Progress;
use crate::render::text::{Part, Tense};

/// Assesses this host, an image tree, or a recorded host.
pub fn run(common: &Common, facts: Option<&Path>, save_facts: Option<&Path>) -> Result<Ending> {
    let progress = Progress::begin();
    let baseline = load_baseline(common)?;
    let recorded_elsewhere = facts.is_some();
    let facts = match facts {
        Some(file) => {
            let facts = recorded(file)?;
            if facts.build.is_some() {
                return judge_build(common, baseline, &facts);
            }
            facts
        }
        None => observe::observe(&open_host(common)?, &baseline)?,
    };
    if let Some(file) = save_facts {
        save(&facts, file)?;
    }
    match common.format {
        // What was recorded elsewhere is not for this host to apply: no next command.
        Format::Text if recorded_elsewhere => {
            let report = assess::report(&facts, &assess(common, &baseline, &facts)?, None);
            drop(progress);
            output::part(&report, common, Part::All)?;
            Ok(if report.summary.has_drift() { Ending::Drift } else { Ending::Done })
        }
        _ => finish(common, &baseline, &facts, false, progress),
    }
}

/// Assesses Dockerfiles and their build contexts by the controls of images; the host is not looked at.
pub fn dockerfiles(common: &Common, files: &[PathBuf], context: Option<&Path>, save_facts: Option<&Path>) -> Result<Ending> {
    let baseline = load_baseline(common)?;
    let facts = observe::observe_build(files, context, &baseline)?;
    if let Some(file) = save_facts {
        save(&facts, file)?;
    }
    judge_build(common, baseline, &facts)
}

/// What the files themselves waive counts as if the baseline did.
fn judge_build(common: &Common, mut baseline: Baseline, facts: &Facts) -> Result<Ending> {
    baseline.controls.retain(|control| matches!(control.want, Want::Image(_)));
    if baseline.controls.is_empty() {
        let error = Error::usage(format!("the baseline {} has no control of images", baseline.name));
        return Err(error.help(format!("judge Dockerfiles with -b {OF_DOCKERFILES}")));
    }
    let files = facts.build.iter().flat_map(|build| &build.files);
    baseline.waivers.extend(files.flat_map(|file| build::waivers(&build::Build::of(file))));
    finish(common, &baseline, facts, false, Progress::begin())
}

/// The whole review, without asking anything; `no_activate` is that of `apply`.
pub fn review(common: &Common, no_activate: bool) -> Result<Ending> {
    let baseline = load_baseline(common)?;
    let progress = Progress::begin();
    let facts = observe::observe(&open_host(common)?, &baseline)?;
    finish(common, &baseline, &facts, no_activate, progress)
}

fn finish(common: &Common, baseline: &Baseline, facts: &Facts, no_activate: bool, progress: Progress) -> Result<Ending> {
    let mut assessment = assess(common, baseline, facts)?;
    if no_activate {
        assessment.plan = assessment.plan.writes_only(facts);
    }
    let report = assess::report(facts, &assessment, None);
    drop(progress);
    output::report(&report, common, Tense::Would)?;
    Ok(if report.summary.has_drift() { Ending::Drift } else { Ending::Done })
}

/// Judges with the limits of the command line.
pub fn assess(common: &Common, baseline: &Baseline, facts: &Facts) -> Result<Assessment> {
    assess::assess(baseline, facts, &Limits { max_risk: common.max_risk.into(), wanted: &|_, _| true })
}

fn recorded(file: &Path) -> Result<Facts> {
    let text = std::fs::read(file).map_err(|error| Error::io(file, "read it", error))?;
    let facts: Facts = serde_json::from_slice(&text).map_err(|error| {
        Error::failure(format!("it does not hold recorded facts: {error}"))
            .at(file)
            .line_col(error.line(), error.column())
            .help("record a host with `harden check --save-facts FILE`")
    })?;
    if facts.schema != observe::SCHEMA {
        return Err(
            Error::failure(format!("its format is `{}`, this harden reads `{}`", facts.schema, observe::SCHEMA)).at(file)
        );
    }
    Ok(facts)
}

/// Facts hold configuration files as they are, secrets included: the file is for its owner alone.
fn save(facts: &Facts, file: &Path) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(facts).map_err(|error| Error::io(file, "write it", error))?;
    text.push(b'\n');
    output::write_private(file, &text)
}
