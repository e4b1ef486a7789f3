//! `harden apply`: recover, look, plan, write under the journal, look again.

use std::io::{IsTerminal, Write};
use std::path::Path;

use crate::apply::state_dir::StateDir;
use crate::apply::{container, recover, sysctl, transaction, validate};
use crate::assess::{self, Assessment, Limits};
use crate::baseline::Baseline;
use crate::baseline::control::{Area, Risk};
use crate::change::{Activation, Effect};
use crate::cli::{Common, Format, PutInForce};
use crate::commands::check::assess;
use crate::commands::{Ending, load_baseline, open_patiently, output, prompt};
use crate::error::{Error, ErrorKind, Result};
use crate::fact::{Fact, Facts};
use crate::finding::{Finding, FixKind, Status};
use crate::host::Host;
use crate::observe;
use crate::plan::Plan;
use crate::render::progress::Progress;
use crate::render::text::{Part, Tense};
use crate::report::{AnsibleDiff, Report, RunOutcome};

const ANEW: &str = "make a new plan: harden plan -o PLAN";

/// Brings the host to the baseline.
pub fn run(common: &Common, yes: bool, keep_going: bool, in_force: &PutInForce) -> Result<Ending> {
    let baseline = load_baseline(common)?;
    let host = open_patiently(common, in_force.patience)?;
    may_write(&host)?;
    may_ask(common, "apply", yes)?;
    let state = StateDir::lock(&host.root, &state_dir(common))?;
    recover::unfinished(&host, &state, false, &mut |text| progress(common, text))?;
    let looking = Progress::begin();
    let facts = observe::observe(&host, &baseline)?;
    let mut assessment = assess(common, &baseline, &facts)?;
    if in_force.no_activate {
        assessment.plan = assessment.plan.writes_only(&facts);
    }
    drop(looking);
    if let (Some(withheld), false) = (assessment.plan.withheld.first(), keep_going) {
        return Err(Error::failure(format!("{}; nothing was changed", withheld.reason))
            .at(&withheld.target)
            .help("mend it there, or apply the rest with --keep-going"));
    }
    if !yes && !assessment.plan.is_empty() {
        output::report(&assess::report(&facts, &assessment, None), common, Tense::Would)?;
        confirm("Apply these changes?")?;
    }
    let report = carry_out(common, &host, &state, &baseline, &facts, &assessment)?;
    output::done(&report, common);
    Ok(Ending::Done)
}

/// Applies a saved plan, if the host is still as it was when the plan was made.
pub fn saved(common: &Common, file: &Path, yes: bool, dry_run: bool, in_force: &PutInForce) -> Result<Ending> {
    let plan = read_plan(file)?;
    let host = open_patiently(common, in_force.patience)?;
    let root = host.root.path().display().to_string();
    if plan.root != root {
        return Err(Error::failure(format!("this plan is for the root {}, not for {root}", plan.root)).at(file));
    }
    let hostname = host.describe().hostname;
    if plan.hostname != hostname {
        return Err(Error::failure(format!("this plan is for the host {}, this is {hostname}", plan.hostname)).at(file));
    }
    if let Some(error) = Error::all(changed_since(&host, &plan)?) {
        return Err(error);
    }
    let Some(judged_by) = plan.judged_by.clone() else {
        return Err(Error::failure("it does not say which controls made it").at(file).help(ANEW));
    };
    // What was reviewed counts, also how far it may go.
    let common = &Common { max_risk: judged_by.max_risk.into(), ..common.clone() };
    let baseline = Baseline { controls: judged_by.controls, vars: judged_by.vars, ..Baseline::default() };
    let baseline = Baseline { name: plan.baseline.name.clone(), digest: plan.baseline.digest.clone(), ..baseline };
    let facts = observe::observe(&host, &baseline)?;
    still_right(&plan, &baseline, &facts, common)?;
    let mut plan = Plan { judged_by: None, ..plan };
    if in_force.no_activate {
        plan = plan.writes_only(&facts);
    }
    let assessment = Assessment { findings: Vec::new(), plan };
    let report = assess::report(&facts, &assessment, None);
    if dry_run {
        output::report(&report, common, Tense::Would)?;
        return Ok(if assessment.plan.is_empty() { Ending::Done } else { Ending::Drift });
    }
    may_write(&host)?;
    may_ask(common, "apply", yes)?;
    if !yes {
        output::part(&report, common, Part::Changes)?;
        confirm("Apply these changes?")?;
    }
    let state = StateDir::lock(&host.root, &state_dir(common))?;
    if recover::unfinished(&host, &state, false, &mut |text| progress(common, text))? > 0 {
        return Err(
            Error::failure("an earlier run was cut short and was put back now, so the plan may no longer be right").help(ANEW)
        );
    }
    let report = carry_out(common, &host, &state, &baseline, &facts, &assessment)?;
    output::done(&report, common);
    Ok(Ending::Done)
}

/// A plan is applied only if it is what would be planned now: a restart that stopped nothing when it was reviewed may stop
/// containers today, and a daemon that has joined a swarm must not get what was right before.
fn still_right(plan: &Plan, baseline: &Baseline, facts: &Facts, common: &Common) -> Result<()> {
    let fixed = |control: &str, target: &str| plan.fixes.iter().any(|fix| fix.control == control && fix.target == target);
    let limits = Limits { max_risk: common.max_risk.into(), wanted: &fixed };
    let now = assess::assess(baseline, facts, &limits)?;
    let effects = |plan: &Plan| plan.changes.iter().map(|change| change.effect.clone()).collect::<Vec<_>>();
    let actions = |plan: &Plan| {
        let action = |activation: &Activation| (activation.action, activation.by_hand.clone());
        plan.activations.iter().map(action).collect::<Vec<_>>()
    };
    if effects(plan) == effects(&now.plan) && actions(plan) == actions(&now.plan) {
        return Ok(());
    }
    let refuse = |why: String| Error::failure(format!("the plan is no longer right: {why}; nothing was changed")).help(ANEW);
    let mut errors = Vec::new();
    for finding in now.findings.iter().filter(|finding| fixed(&finding.control, &finding.target)) {
        let why = match (finding.status, &finding.fix.reason) {
            (Status::Drift, _) if finding.fix.kind == FixKind::Automatic => continue,
            (Status::Compliant, _) => "is fixed already".to_owned(),
            (_, Some(reason)) => reason.clone(),
            (_, None) => "can't be fixed as planned".to_owned(),
        };
        errors.push(refuse(format!("{} ({}): {why}", finding.control, finding.target)));
    }
    let names =
        |plan: &Plan| plan.activations.iter().map(|activation| activation.reason.clone()).collect::<Vec<_>>().join("; ");
    Err(Error::all(errors).unwrap_or_else(|| match actions(plan) == actions(&now.plan) {
        true => refuse("other changes would be made now".into()),
        false => refuse(format!("it says \"{}\", and now it would be \"{}\"", names(plan), names(&now.plan))),
    }))
}

fn read_plan(file: &Path) -> Result<Plan> {
    let text = std::fs::read(file).map_err(|error| Error::io(file, "read it", error))?;
    let plan: Plan = serde_json::from_slice(&text).map_err(|error| {
        Error::failure(format!("it is no saved plan: {error}"))
            .at(file)
            .line_col(error.line(), error.column())
            .help("make one: harden plan -o PLAN")
    })?;
    match plan.schema.as_str() {
        crate::plan::SCHEMA => Ok(plan),
        other => Err(Error::failure(format!("its format is `{other}`, this harden reads `{}`", crate::plan::SCHEMA)).at(file)),
    }
}

/// Every file that is no longer as the plan saw it.
fn changed_since(host: &Host, plan: &Plan) -> Result<Vec<Error>> {
    let mut errors = Vec::new();
    for change in &plan.changes {
        if let Effect::Sysctl { set } = &change.effect {
            let changed = set.iter().filter_map(|one| sysctl::expect(one).err());
            errors.extend(changed.map(transaction::nothing_changed));
        }
        if let Effect::Container { id, target, before, .. } = &change.effect {
            let found = container::now(host, id, before)?;
            if let Some(how) = container::difference(before, found.as_ref()) {
                let error = Error::failure(format!("it is not as the plan saw it: {how}; nothing was changed"));
                errors.push(error.at(target).help("make a new plan: harden plan -o PLAN"));
            }
        }
        let Effect::File { path, before, .. } = &change.effect else { continue };
        if let Some(how) = transaction::difference(before.as_ref(), host.root.state(path)?.as_ref()) {
            let error = Error::failure(format!("it is not as the plan saw it: {how}; nothing was changed"));
            errors.push(error.at(path).help(ANEW));
        }
    }
    Ok(errors)
}

/// A command that would ask needs a terminal.
pub fn may_ask(common: &Common, command: &str, yes: bool) -> Result<()> {
    let elsewhere = common.format != Format::Text || common.output.is_some();
    if !yes && elsewhere {
        let what = format!("{command} shows what it asks about as text on the terminal, and --format or -o sends it elsewhere");
        return Err(Error::usage(what).help("give --yes"));
    }
    if yes || (std::io::stdin().is_terminal() && std::io::stdout().is_terminal()) {
        return Ok(());
    }
    let what = format!("{command} asks before it changes anything, and there is no terminal to ask on");
    Err(Error::usage(what).help("give --yes"))
}

/// The typed confirmation; anything else ends the run.
pub fn confirm(question: &str) -> Result<()> {
    match prompt::confirm_typed(question, "yes")? {
        true => Ok(()),
        false => Err(Error { kind: ErrorKind::Cancelled, ..Error::failure("nothing was changed") }),
    }
}

/// Where transactions lie, as a path beneath the host's root.
pub fn state_dir(common: &Common) -> String {
    common.state_dir.to_string_lossy().into_owned()
}

/// Without root nothing could be written half-way only; and another machine is not changed from here.
pub fn may_write(host: &Host) -> Result<()> {
    must_be_root(host)?;
    host.must_be_here()
}

/// What belongs to root is written by root.
pub fn must_be_root(host: &Host) -> Result<()> {
    if host.live() && !nix::unistd::geteuid().is_root() {
        return Err(Error::failure("only root can change this host; nothing was changed").help("sudo harden apply"));
    }
    Ok(())
}

/// One line of what is happening, for people at a terminal.
pub fn progress(common: &Common, text: &str) {
    if common.format == Format::Text && !common.quiet && std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr(), "  {}", crate::render::style::visible(text));
    }
}

/// Applies the plan of an assessment and reports what is so afterwards.
///
/// # Errors
/// When something failed; it says whether everything was put back.
pub fn carry_out(
    common: &Common,
    host: &Host,
    state: &StateDir,
    baseline: &Baseline,
    facts: &Facts,
    assessment: &Assessment,
) -> Result<Report> {
    let plan = &assessment.plan;
    let to_do = plan.activations.iter().any(|activation| activation.by_hand.is_none());
    if plan.changes.is_empty() && !to_do {
        let msg = if plan.activations.is_empty() {
            "nothing to change"
        } else {
            "nothing to change; something is left to be done by hand"
        };
        return Ok(assess::report(facts, assessment, Some(outcome(plan, None, Vec::new(), msg))));
    }
    let before = facts;
    let mut last: Option<(Facts, Assessment)> = None;
    let mut verify = || {
        let facts = observe::observe(host, baseline)?;
        let limits = Limits { max_risk: common.max_risk.into(), wanted: &|_, _| true };
        let after = assess::assess(baseline, &facts, &limits)?;
        let open = still_open(plan, before, &after);
        last = Some((facts, after));
        Ok(open)
    };
    if host.live() {
        validate::daemon_json(facts, plan)?;
    }
    let outcome =
        execute(common, host, state, plan, &mut verify).map_err(|error| with_what_dockerd_keeps(host, facts, error))?;
    let (facts, after) = last.unwrap_or_else(|| (facts.clone(), assessment.clone()));
    // The findings are those of afterwards, the changes those that were made.
    let done = Assessment { findings: after.findings, plan: plan.clone() };
    Ok(assess::report(&facts, &done, Some(outcome)))
}

/// Applies the plan that undoes a transaction.
///
/// # Errors
/// As for [`carry_out`].
pub fn undo(common: &Common, host: &Host, state: &StateDir, facts: &Facts, assessment: &Assessment) -> Result<Report> {
    let plan = &assessment.plan;
    if plan.changes.is_empty() {
        let msg = "nothing to undo: everything is as it was before";
        return Ok(assess::report(facts, assessment, Some(outcome(plan, None, Vec::new(), msg))));
    }
    // Whether each file is as it was is checked as it is written; what else could be looked at is the daemon, and it answered.
    let outcome = execute(common, host, state, plan, &mut || Ok(Vec::new()))?;
    Ok(assess::report(facts, assessment, Some(outcome)))
}

fn execute(
    common: &Common,
    host: &Host,
    state: &StateDir,
    plan: &Plan,
    verify: &mut dyn FnMut() -> Result<Vec<String>>,
) -> Result<RunOutcome> {
    crate::signal::hold();
    let mut journal = state.begin(&transaction_id()).map_err(transaction::nothing_changed)?;
    let (id, originals) = (journal.id().to_owned(), journal.path().display().to_string());
    let may_stop_containers = Risk::from(common.max_risk) == Risk::Disruptive;
    let run = transaction::Run { host, plan, may_stop_containers, progress: &mut |text| progress(common, text), verify };
    let transaction::InForce { activated, unsure, .. } = transaction::run(&mut journal, run)?;
    // Old ones are only in the way; that they could not be taken away is no failure of this run.
    let _ = state.prune();
    let left = plan.no_activate && !plan.activations.is_empty();
    let left = left.then(|| "nothing was put in force (--no-activate)".to_owned());
    let made = format!("{} made", crate::plan::count(plan.changes.len(), "change"));
    let msg = std::iter::once(made).chain(left).chain(unsure).collect::<Vec<_>>().join("; ");
    Ok(RunOutcome { originals: Some(originals), ..outcome(plan, Some(id), activated, &msg) })
}

/// A reload does not take back what the file no longer says, so undoing leaves it in force: that is part of how things stand.
fn with_what_dockerd_keeps(host: &Host, before: &Facts, error: Error) -> Error {
    let Some(before) = before.daemon.api.known() else { return error };
    let answer = host.ask();
    let Some(now) = answer.api.known() else { return error };
    let kept: Vec<String> = [("live-restore", before.live_restore, now.live_restore), ("debug", before.debug, now.debug)]
        .into_iter()
        .filter(|(_, before, now)| before != now)
        .filter_map(|(key, _, now)| Some(format!("{key}: {}", now?)))
        .collect();
    match kept.is_empty() {
        true => error,
        false => {
            let what = format!("{}; the running dockerd keeps {} until it is restarted", error.what, kept.join(" and "));
            Error { what, ..error }
        }
    }
}

/// What was to be fixed and is not, in words. What harden can't do or see on this host, before and after, does not count: a restart
/// by hand, and the kernel's audit rules where they are locked or out of sight; nor what only has to be put in force, where that is
/// left to the user.
fn still_open(plan: &Plan, before: &Facts, after: &Assessment) -> Vec<String> {
    let waits = plan.activations.iter().any(|activation| activation.by_hand.is_some());
    let kernel = &before.audit.kernel;
    let locked = kernel.known().is_some_and(|kernel| kernel.enabled == 2);
    let open = |finding: &&Finding| match finding.status {
        Status::Drift if finding.area == Area::Audit && locked => finding.fix.kind != FixKind::Manual,
        Status::Drift if plan.no_activate && nothing_to_write(finding, &after.plan) => false,
        Status::Drift => !(waits && finding.fix.kind == FixKind::Manual),
        Status::Unknown => !(finding.area == Area::Audit && matches!(kernel, Fact::Unknown(_))),
        Status::Compliant | Status::NotApplicable | Status::Waived => false,
    };
    let mut found: Vec<&Finding> = Vec::new();
    for fix in &plan.fixes {
        let of_control = || after.findings.iter().filter(|finding| finding.control == fix.control);
        match of_control().find(|finding| finding.target == fix.target) {
            Some(finding) => found.extend(Some(finding).filter(open)),
            // What was fixed goes by another name now, or the control could not even be asked about it.
            None => found.extend(of_control().filter(open)),
        }
    }
    found.dedup();
    let told = |finding: &&Finding| {
        let reason = finding.fix.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!("{} ({}): {}{reason}", finding.control, finding.target, finding.observed)
    };
    found.iter().map(told).collect()
}

/// Whether a finding's fix has only to be put in force: no file is to be written.
fn nothing_to_write(finding: &Finding, plan: &Plan) -> bool {
    let in_kernel = |id: &String| {
        let of_id = plan.changes.iter().find(|change| change.id == *id);
        of_id.is_some_and(|change| matches!(change.effect, Effect::AuditKernel { .. }))
    };
    finding.fix.kind == FixKind::Automatic && finding.fix.reason.is_none() && finding.fix.changes.iter().all(in_kernel)
}

fn outcome(plan: &Plan, transaction: Option<String>, activated: Vec<crate::change::Action>, msg: &str) -> RunOutcome {
    let diff = plan.changes.iter().map(assess::view).map(|view| AnsibleDiff {
        before_header: view.target.clone(),
        after_header: view.target.clone(),
        before: view.sides.0,
        after: view.sides.1,
    });
    RunOutcome {
        changed: transaction.is_some(),
        failed: false,
        msg: msg.to_owned(),
        diff: if transaction.is_some() { diff.collect() } else { Vec::new() },
        transaction,
        originals: None,
        activated,
    }
}

/// Sorts by time; the process id keeps two of the same moment apart.
fn transaction_id() -> String {
    format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S.%3fZ"), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::FixRef;
    use crate::render::samples;

    #[test]
    fn what_can_no_longer_be_asked_about_is_open() {
        let planned = |fixes: Vec<FixRef>| Plan {
            schema: String::new(),
            tool_version: String::new(),
            created: String::new(),
            hostname: String::new(),
            root: String::new(),
            baseline: crate::report::BaselineRef { name: String::new(), digest: String::new() },
            judged_by: None,
            undoes: None,
            fixes,
            changes: Vec::new(),
            activations: Vec::new(),
            no_activate: false,
            withheld: Vec::new(),
        };
        let mut after = Assessment { findings: samples::drift().findings, plan: planned(Vec::new()) };
        after.findings.retain(|finding| finding.control == "daemon-log-limits");
        let plan = |target: &str| planned(vec![FixRef { control: "daemon-log-limits".into(), target: target.into() }]);
        assert_eq!(
            still_open(&plan("log-opts.max-file"), &Facts::default(), &after),
            ["daemon-log-limits (log-opts.max-file): 1"]
        );
        after.findings[1].status = Status::Compliant;
        assert_eq!(still_open(&plan("log-opts.max-file"), &Facts::default(), &after), Vec::<String>::new());
        // daemon.json can't be read any more: the control says so once, of its first key.
        after.findings.truncate(1);
        after.findings[0].status = Status::Unknown;
        after.findings[0].fix.reason = Some("it is a directory".into());
        assert_eq!(
            still_open(&plan("log-opts.max-file"), &Facts::default(), &after),
            ["daemon-log-limits (log-opts.max-size): not set (it is a directory)"]
        );
    }
}
