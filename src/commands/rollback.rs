//! `harden rollback` and `harden recover`: undo a transaction; finish off one that was cut short.

use crate::apply::state_dir::StateDir;
use crate::apply::{container, history, recover, validate};
use crate::assess::Assessment;
use crate::baseline::control::Risk;
use crate::change::{Action, ContainerLimits};
use crate::cli::{Common, Format, Patience, PutInForce};
use crate::commands::{Ending, apply, open_patiently, output};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::observe;
use crate::plan::{Plan, undo};
use crate::report::{Report, RunOutcome};

/// Undoes a transaction, the newest by default.
pub fn run(common: &Common, id: Option<&str>, yes: bool, force: bool, in_force: &PutInForce) -> Result<Ending> {
    let host = open_patiently(common, in_force.patience)?;
    apply::may_write(&host)?;
    apply::may_ask(common, "rollback", yes)?;
    let state_dir = apply::state_dir(common);
    let state = StateDir::lock(&host.root, &state_dir)?;
    recover::unfinished(&host, &state, false, &mut |text| apply::progress(common, text))?;
    let history = history::list(&host.root, &state_dir)?;
    let (transaction, all) = (super::history::find(&history, id)?, &history.transactions);
    // What a rollback left alone can still be put back by force.
    if let (history::State::RolledBack(by), false) = (transaction.state(all), force) {
        return Err(Error::failure(format!("{} was rolled back already, by {by}", transaction.id)).help("harden history"));
    }
    let facts = observe::observe_docker(&host);
    let limits = |id: &str, fields: &ContainerLimits| container::now(&host, id, fields);
    let mut reverse = history::reverse(&host.root, transaction, &host.kernel_audit(), &limits, force, &facts.host.hostname)?;
    for conflict in &reverse.conflicts {
        let left =
            if conflict.left_alone { "left alone" } else { "put back all the same; what it is now is kept in the transaction" };
        output::note(&format!("{} was changed since: {}; {left}", conflict.target, conflict.how));
    }
    let facts = observe::observe_after(&host, facts, &reverse.plan);
    let restart = undo::complete(&mut reverse.plan, &facts)?;
    match in_force.no_activate {
        true => reverse.plan = reverse.plan.writes_only(&facts),
        false => may_restart(common, &reverse.plan, restart)?,
    }
    validate::daemon_json(&facts, &reverse.plan)?;
    let assessment = Assessment { findings: Vec::new(), plan: reverse.plan };
    if !yes && !assessment.plan.is_empty() {
        let report = crate::assess::report(&facts, &assessment, None);
        output::part(&report, common, crate::render::text::Part::Changes)?;
        apply::confirm("Undo these changes?")?;
    }
    let mut report = apply::undo(common, &host, &state, &facts, &assessment)?;
    if let Some(kept) = undo::kept(&assessment.plan, &facts) {
        output::note(&kept);
    }
    if !reverse.conflicts.iter().any(|conflict| conflict.left_alone) {
        output::done(&report, common);
        return Ok(Ending::Done);
    }
    let mut error = Error::failure("what was changed since was left alone; all else was put back");
    if !force {
        error = error.help("put it back too with --force: what it is now is kept");
    }
    if let Some(outcome) = &mut report.outcome {
        // As text the failure is told on stderr.
        outcome.failed = common.format == Format::Json;
        outcome.msg = format!("{}; {}", outcome.msg, error.what);
    }
    output::done(&report, common);
    output::note(&error.to_string());
    Ok(Ending::Failed(error.kind))
}

/// The old configuration may be one without live-restore: then its restart stops what runs.
fn may_restart(common: &Common, plan: &Plan, restart: Risk) -> Result<()> {
    if restart <= common.max_risk.into() {
        return Ok(());
    }
    let told = plan.activations.iter().find(|activation| activation.action == Action::DockerRestart);
    let what = match told.filter(|_| restart == Risk::Disruptive) {
        Some(activation) => activation.reason.as_str(),
        None => "restarts dockerd, and --max-risk safe forbids that",
    };
    Err(Error::failure(format!("going back {what}; nothing was changed"))
        .help(format!("allow it with --max-risk {}", crate::assess::name(restart))))
}

/// Puts back what a run that was cut short had begun.
pub fn recover(common: &Common, patience: Patience) -> Result<Ending> {
    let host = open_patiently(common, patience)?;
    apply::may_write(&host)?;
    let state = StateDir::lock(&host.root, &apply::state_dir(common))?;
    let count = recover::unfinished(&host, &state, true, &mut |text| apply::progress(common, text))?;
    let msg = match count {
        0 => "nothing was cut short".to_owned(),
        n => format!("{} put back", crate::plan::count(n, "unfinished transaction")),
    };
    output::done(&report(&host, count > 0, msg), common);
    Ok(Ending::Done)
}

fn report(host: &Host, changed: bool, msg: String) -> Report {
    let outcome =
        RunOutcome { changed, failed: false, msg, transaction: None, originals: None, diff: Vec::new(), activated: Vec::new() };
    let described = host.describe();
    let mut report = Report::empty("");
    report.host.hostname = described.hostname;
    report.host.root = described.root;
    report.host.service_manager = described.service_manager.to_string();
    report.outcome = Some(outcome);
    report
}
