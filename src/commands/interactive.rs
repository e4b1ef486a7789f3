//! `harden` and `harden --dry-run` at a terminal: choose a baseline, look, choose what to fix, confirm, apply, verify.

use std::io::IsTerminal;

use crate::apply::recover;
use crate::apply::state_dir::StateDir;
use crate::assess::{self, Assessment, Limits};
use crate::baseline::{self, Baseline};
use crate::cli::{Common, Format};
use crate::commands::prompt::{self, PickItem};
use crate::commands::save::{self, Save};
use crate::commands::{Ending, apply, check, load_named, open_host, output};
use crate::error::{Error, ErrorKind, Result};
use crate::fact::Facts;
use crate::finding::{Finding, FixKind, Status};
use crate::host::Host;
use crate::observe;
use crate::render::progress::Progress;
use crate::render::text::{Part, Tense};

/// The review; without a terminal all of it at once, and no question.
pub fn dry_run(common: &Common) -> Result<Ending> {
    if !at_terminal(common) {
        return check::review(common, false);
    }
    let look = look(common)?;
    let Some(choice) = choose(common, &look)? else { return ending(common, &look) };
    let Some(assessment) = choice.assessment else { return nothing_chosen(choice.save) };
    output::part(&assess::report(&look.facts, &assessment, None), common, Part::Changes)?;
    let kept = choice.save.is_some();
    keep(choice.save)?;
    output::note(if kept { "nothing else was changed (--dry-run)" } else { "nothing was changed (--dry-run)" });
    Ok(Ending::Drift)
}

/// The whole way, up to the applied and verified plan.
pub fn run(common: &Common) -> Result<Ending> {
    if !at_terminal(common) {
        return Err(Error::usage("harden without a command asks questions, and there is no terminal to ask on")
            .help("harden --dry-run shows everything and changes nothing; harden apply --yes applies"));
    }
    let look = look(common)?;
    let Some(choice) = choose(common, &look)? else { return ending(common, &look) };
    let Some(assessment) = choice.assessment else { return nothing_chosen(choice.save) };
    let Look { host, baseline, facts, .. } = look;
    output::part(&assess::report(&facts, &assessment, None), common, Part::Changes)?;
    apply::may_write(&host)?;
    apply::confirm("Apply these changes?")?;
    // Before anything of the host is touched: a file that can't be written stops the run with everything as it was.
    keep(choice.save)?;
    let state = StateDir::lock(&host.root, &apply::state_dir(common))?;
    if recover::unfinished(&host, &state, false, &mut |text| apply::progress(common, text))? > 0 {
        return Err(Error::failure(
            "an earlier run was cut short; what it had begun was put back, so what you saw is no longer true",
        )
        .help("run harden again"));
    }
    let report = apply::carry_out(common, &host, &state, &baseline, &facts, &assessment)?;
    output::done(&report, common);
    Ok(Ending::Done)
}

fn at_terminal(common: &Common) -> bool {
    common.format == Format::Text
        && common.output.is_none()
        && std::io::stdin().is_terminal()
        && std::io::stdout().is_terminal()
}

/// What is judged, by what, and what was seen.
struct Look {
    /// The baseline as it is named.
    given: String,
    host: Host,
    baseline: Baseline,
    facts: Facts,
}

fn look(common: &Common) -> Result<Look> {
    let given = match &common.baseline {
        Some(name) => name.clone(),
        None => ask_baseline()?,
    };
    let baseline = load_named(common, &given)?;
    let host = open_host(common)?;
    let progress = Progress::begin();
    let facts = observe::observe(&host, &baseline)?;
    drop(progress);
    Ok(Look { given, host, baseline, facts })
}

fn ask_baseline() -> Result<String> {
    let baselines: Vec<Baseline> = baseline::builtin_names().map(|name| baseline::load(name, &[])).collect::<Result<_>>()?;
    let choices: Vec<_> =
        baselines.iter().map(|baseline| (baseline.name.clone(), baseline.title.clone(), baseline.controls.len())).collect();
    let chosen = prompt::choose_baseline(&choices)?;
    Ok(baselines[chosen].name.clone())
}

/// What is to be fixed, and what is to be kept of the choice.
struct Choice {
    /// `None`: nothing is to be fixed.
    assessment: Option<Assessment>,
    save: Option<Save>,
}

/// Shows the findings and asks which to fix. `None` when there is nothing that harden could fix.
fn choose(common: &Common, look: &Look) -> Result<Option<Choice>> {
    let Look { given, baseline, facts, .. } = look;
    let all = check::assess(common, baseline, facts)?;
    let fixable: Vec<&Finding> = all
        .findings
        .iter()
        .filter(|finding| finding.status == Status::Drift && finding.fix.kind == FixKind::Automatic)
        .collect();
    if fixable.is_empty() {
        return Ok(None);
    }
    output::part(&assess::report(facts, &all, None), common, Part::Findings)?;
    let items: Vec<PickItem> = fixable
        .iter()
        .map(|finding| PickItem {
            label: format!("{} ({})", finding.control, finding.target),
            hint: format!("{}: {}", assess::name(finding.risk), finding.observed),
            preselected: true,
        })
        .collect();
    let picked = prompt::pick_findings(&items)?;
    let side = |wanted: bool| -> Vec<&Finding> {
        let indices = (0..fixable.len()).filter(|index| picked.contains(index) == wanted);
        indices.map(|index| fixable[index]).collect()
    };
    let (chosen, left) = (side(true), side(false));
    let save = if left.is_empty() { None } else { save::ask(common, given, baseline, &left, &chosen)? };
    let wanted: Vec<(&str, &str)> = chosen.iter().map(|finding| (finding.control.as_str(), finding.target.as_str())).collect();
    if wanted.is_empty() {
        return Ok(Some(Choice { assessment: None, save }));
    }
    let limits = Limits { max_risk: common.max_risk.into(), wanted: &|control, target| wanted.contains(&(control, target)) };
    Ok(Some(Choice { assessment: Some(assess::assess(baseline, facts, &limits)?), save }))
}

/// Writes what is to be kept, if anything is.
fn keep(save: Option<Save>) -> Result<()> {
    save.map_or(Ok(()), Save::write)
}

/// With nothing to fix, there is at most a choice to keep.
fn nothing_chosen(save: Option<Save>) -> Result<Ending> {
    let kept = save.is_some();
    keep(save)?;
    match kept {
        true => Ok(Ending::Drift),
        false => Err(Error { kind: ErrorKind::Cancelled, ..Error::failure("nothing was chosen, nothing was changed") }),
    }
}

/// Nothing to choose from: the review is all there is.
fn ending(common: &Common, look: &Look) -> Result<Ending> {
    let report = assess::report(&look.facts, &check::assess(common, &look.baseline, &look.facts)?, None);
    output::report(&report, common, Tense::Would)?;
    Ok(if report.summary.has_drift() { Ending::Drift } else { Ending::Done })
}
