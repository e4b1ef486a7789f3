//! Judging a host by a baseline: facts in; findings and plan out.

use std::collections::HashMap;

use crate::baseline::Baseline;
use crate::baseline::control::Risk;
use crate::change::{Action, ContainerLimits, Edit, Effect, FileImage, Parameter};
use crate::error::Result;
use crate::fact::Facts;
use crate::finding::{Finding, Fix, FixKind, Outcome, Status, Verdict};
use crate::foresight;
use crate::formats::audit_rule::Rule;
use crate::formats::{exec_edit, group_file, mask, rules_d, sysctl};
use crate::kinds::restart::Restart;
use crate::kinds::{self, Context, daemon};
use crate::plan::{self, Folded, Plan};
use crate::render::{diff, progress};
use crate::report::{self, BaselineRef, ChangeView, Report, RunOutcome, Summary};

/// The variable that holds the key of harden's own audit rules.
const AUDIT_KEY: &str = "audit.key";

/// How far fixing may go.
pub struct Limits<'a> {
    /// Changes above this risk are reported, not planned.
    pub max_risk: Risk,
    /// Which fixable findings are wanted, by control and target; all unless the user chose.
    pub wanted: &'a dyn Fn(&str, &str) -> bool,
}

/// Findings and the plan that fixes them.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// Every control on every target.
    pub findings: Vec<Finding>,
    /// What would be done.
    pub plan: Plan,
}

/// Judges facts by a baseline and plans the fixes.
///
/// # Errors
/// When two controls of the baseline want opposite things.
pub fn assess(baseline: &Baseline, facts: &Facts, limits: &Limits) -> Result<Assessment> {
    let audit_key = baseline.vars.get(AUDIT_KEY).and_then(serde_json::Value::as_str).unwrap_or("docker");
    progress::stage(format!("judging by {}", progress::many(baseline.controls.len(), "control")));
    let context = Context::new(facts, audit_key);
    let mut verdicts = judge(baseline, &context);
    let now = jiff::Timestamp::now();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let created = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (chosen, restart, folded) = loop {
        let (chosen, restart) = choose(baseline, &verdicts, &context, limits, today);
        progress::stage(format!("planning what fixes {}", progress::many(chosen.len(), "finding")));
        let reference = BaselineRef { name: baseline.name.clone(), digest: baseline.digest.clone() };
        let folded = plan::fold(&verdicts, &chosen, &context, reference, created.clone())?;
        // Each round adds a fixable verdict, so there is a last one.
        if folded.plan.changes.is_empty() || !look_ahead(baseline, &mut verdicts, facts, &folded.plan, audit_key) {
            break (chosen, restart, folded);
        }
    };
    let waivers: Vec<_> = verdicts.iter().map(|verdict| baseline.waiver(&verdict.control.id, &verdict.target, today)).collect();

    let findings = verdicts
        .iter()
        .enumerate()
        .map(|(index, verdict)| {
            let mut finding =
                finding(verdict, index, &folded, chosen.binary_search(&index).is_ok(), (&restart, limits.max_risk));
            if finding.status == Status::Drift
                && let Some((waiver, expired)) = &waivers[index]
            {
                let by = format!(", by {}", waiver.by);
                let until = waiver.until.map(|date| format!(", until {date}")).unwrap_or_default();
                if *expired {
                    let note = format!("its waiver has expired ({}{by}{until})", waiver.reason);
                    finding.fix.reason = Some(match finding.fix.reason.take() {
                        Some(reason) => format!("{reason}; {note}"),
                        None => note,
                    });
                } else {
                    finding.status = Status::Waived;
                    let reason = Some(format!("{}{by}{until}", waiver.reason));
                    finding.fix = Fix { kind: FixKind::None, changes: Vec::new(), reason };
                }
            }
            finding
        })
        .collect();
    Ok(Assessment { findings, plan: folded.plan })
}

fn judge<'c>(baseline: &'c Baseline, context: &Context) -> Vec<Verdict<'c>> {
    let mut verdicts: Vec<_> = baseline.controls.iter().flat_map(|control| kinds::judge(control, context)).collect();
    kinds::attest::roll_up(baseline, &mut verdicts);
    verdicts
}

/// The verdicts to be fixed, in order, and what a restart of dockerd means then.
fn choose(
    baseline: &Baseline,
    verdicts: &[Verdict],
    context: &Context,
    limits: &Limits,
    today: jiff::civil::Date,
) -> (Vec<usize>, Restart) {
    let wanted: Vec<usize> = (0..verdicts.len())
        .filter(|&index| {
            let verdict = &verdicts[index];
            matches!(verdict.outcome, Outcome::Fixable(_))
                && !matches!(baseline.waiver(&verdict.control.id, &verdict.target, today), Some((_, false)))
                && verdict.control.risk <= limits.max_risk
                && (limits.wanted)(&verdict.control.id, &verdict.target)
        })
        .collect();
    let survive = daemon::containers_survive(wanted.iter().map(|&index| &verdicts[index]), context);
    let restart = Restart::of(context.facts, &context.effective, survive);
    (wanted.into_iter().filter(|&index| risk(&verdicts[index], &restart) <= limits.max_risk).collect(), restart)
}

/// Adds the verdicts that become fixable once the plan is applied; says whether there are any.
fn look_ahead<'c>(
    baseline: &'c Baseline,
    verdicts: &mut Vec<Verdict<'c>>,
    facts: &Facts,
    plan: &Plan,
    audit_key: &str,
) -> bool {
    let fixable = |verdict: &Verdict| matches!(verdict.outcome, Outcome::Fixable(_));
    let later = foresight::after(facts, plan);
    let mut news = judge(baseline, &Context::new(&later, audit_key));
    // By control and target: the first that is fixable, else the first.
    let mut known: HashMap<(&'c str, String), usize> = HashMap::new();
    for (index, old) in verdicts.iter().enumerate() {
        let first = known.entry((&old.control.id, old.target.clone())).or_insert(index);
        if fixable(old) && !fixable(&verdicts[*first]) {
            *first = index;
        }
    }
    let place = |new: &Verdict<'c>| known.get(&(new.control.id.as_str(), new.target.clone())).copied();
    news.retain(|new| fixable(new) && !place(new).is_some_and(|index| fixable(&verdicts[index])));
    // Those that make others move come last.
    news.sort_by_key(|new| place(new).is_none());
    let any = !news.is_empty();
    for mut new in news {
        new.evidence.push("so it will be once the other changes are made".into());
        match place(&new) {
            Some(index) => verdicts[index] = new,
            None => {
                // Beside the others of its control, in place of one that found nothing to speak of.
                let last = verdicts.iter().rposition(|old| old.control.id == new.control.id);
                match last {
                    Some(last) if matches!(verdicts[last].outcome, Outcome::NotApplicable(_)) => verdicts[last] = new,
                    Some(last) => verdicts.insert(last + 1, new),
                    None => verdicts.push(new),
                }
            }
        }
    }
    any
}

/// The risk of fixing one finding on this host: the control's own, or that of the restart it needs.
fn risk(verdict: &Verdict, restart: &Restart) -> Risk {
    let control = verdict.control.risk;
    if restarts(verdict) { control.max(restart.risk()) } else { control }
}

/// Whether fixing a finding restarts dockerd.
fn restarts(verdict: &Verdict) -> bool {
    let restarts = |edit: &Edit| {
        let (Edit::DaemonKey { activation, .. } | Edit::DaemonFlag { activation, .. }) = edit else {
            return *edit == Edit::Activate(Action::DockerRestart);
        };
        *activation == Some(Action::DockerRestart)
    };
    matches!(&verdict.outcome, Outcome::Fixable(edits) if edits.iter().any(restarts))
}

fn finding(verdict: &Verdict, index: usize, folded: &Folded, chosen: bool, (restart, max_risk): (&Restart, Risk)) -> Finding {
    let control = verdict.control;
    let risk = risk(verdict, restart);
    let changes = folded.changes_of.get(&index).cloned().unwrap_or_default();
    let fix = |kind, reason| Fix { kind, changes: Vec::new(), reason };
    let (status, fix) = match &verdict.outcome {
        Outcome::Compliant { note } => (Status::Compliant, fix(FixKind::None, note.clone())),
        Outcome::NotApplicable(reason) => (Status::NotApplicable, fix(FixKind::None, Some(reason.clone()))),
        Outcome::Unknown(reason) => (Status::Unknown, fix(FixKind::None, Some(reason.clone()))),
        Outcome::Manual(reason) => (Status::Drift, fix(FixKind::Manual, Some(reason.clone()))),
        Outcome::Fixable(_) if risk > max_risk => {
            let why = restart.why().filter(|_| restarts(verdict)).map(|why| format!(": {why}")).unwrap_or_default();
            let does = if risk == Risk::Restart { "restarts dockerd".into() } else { format!("is disruptive{why}") };
            let reason = format!("its fix {does}; allow it with --max-risk {}", name(risk));
            (Status::Drift, fix(FixKind::Manual, Some(reason)))
        }
        Outcome::Fixable(_) => match folded.withheld_of.get(&index) {
            Some(reason) => (Status::Drift, fix(FixKind::Manual, Some(format!("withheld: {reason}")))),
            None if chosen => (Status::Drift, Fix { kind: FixKind::Automatic, changes, reason: None }),
            None => (Status::Drift, fix(FixKind::Automatic, Some("left out".into()))),
        },
    };
    Finding {
        control: control.id.clone(),
        target: verdict.target.clone(),
        title: control.title.clone(),
        why: control.why.clone(),
        area: control.area,
        severity: control.severity,
        risk,
        impact: control.impact.clone(),
        status,
        observed: verdict.observed.clone(),
        desired: verdict.desired.clone(),
        evidence: verdict.evidence.clone(),
        references: control.references(),
        fix,
    }
}

/// A risk as it is typed after `--max-risk`.
pub fn name(risk: Risk) -> &'static str {
    match risk {
        Risk::Safe => "safe",
        Risk::Restart => "restart",
        Risk::Disruptive => "disruptive",
    }
}

/// The report of an assessment.
pub fn report(facts: &Facts, assessment: &Assessment, outcome: Option<RunOutcome>) -> Report {
    progress::stage(format!("writing down {}", progress::many(assessment.findings.len(), "finding")));
    let daemon = &facts.daemon;
    let audit = &facts.audit;
    let kernel = audit.kernel.known();
    Report {
        schema: report::SCHEMA.into(),
        tool: report::Tool::this(),
        host: report::Host {
            hostname: facts.host.hostname.clone(),
            root: facts.host.root.clone(),
            docker: report::Docker {
                version: daemon.version.known().cloned(),
                running: match &daemon.process {
                    crate::fact::Fact::Known(_) => Some(true),
                    crate::fact::Fact::Absent => Some(false),
                    // An engine of another machine is known by its answer alone.
                    crate::fact::Fact::Unknown(_) => {
                        daemon.api.known().filter(|_| kinds::layout::remote(facts).is_some()).map(|_| true)
                    }
                },
                config_file: daemon.config_file.clone(),
                api_version: daemon.api.known().and_then(|api| api.api_version.clone()),
            },
            audit: report::Audit {
                installed: match &audit.installed {
                    crate::fact::Fact::Known(_) => Some(true),
                    crate::fact::Fact::Absent => Some(false),
                    crate::fact::Fact::Unknown(_) => None,
                },
                enabled: kernel.map(|kernel| kernel.enabled),
                kernel_rules: kernel.map(|kernel| kernel.rules.len()),
            },
            service_manager: facts.host.service_manager.to_string(),
        },
        baseline: assessment.plan.baseline.clone(),
        summary: Summary::of(&assessment.findings),
        findings: assessment.findings.clone(),
        changes: assessment.plan.changes.iter().map(view).collect(),
        activations: assessment.plan.activations.clone(),
        outcome,
    }
}

/// A change as the report shows it.
pub fn view(change: &crate::change::Change) -> ChangeView {
    let sides = sides(&change.effect);
    let target = change.target();
    let exists = !matches!(&change.effect, Effect::File { before: None, .. });
    let stays = !matches!(&change.effect, Effect::File { after: None, .. });
    ChangeView {
        id: change.id.clone(),
        kind: change.kind().into(),
        target: target.to_owned(),
        controls: change.controls.clone(),
        summary: change.summary.clone(),
        diff: diff::unified(label(exists, target), label(stays, target), &sides.0, &sides.1),
        sides,
    }
}

fn label(there: bool, target: &str) -> &str {
    if there { target } else { "/dev/null" }
}

/// Both sides of a change as text, secrets masked. Owner and mode are lines of their own, above the content.
fn sides(effect: &Effect) -> (String, String) {
    match effect {
        Effect::AuditKernel { add, remove } => {
            let lines = |rules: &[Rule]| rules.iter().map(|rule| format!("{rule}\n")).collect();
            (lines(remove), lines(add))
        }
        Effect::Sysctl { set } => {
            let side =
                |value: fn(&Parameter) -> &String| set.iter().map(|one| format!("{} = {}\n", one.key, value(one))).collect();
            (side(|one| &one.before), side(|one| &one.after))
        }
        Effect::Container { before, after, .. } => {
            let lines = |limits: &ContainerLimits| limits.lines().iter().map(|line| format!("{line}\n")).collect();
            (lines(before), lines(after))
        }
        Effect::File { path, before, after } => {
            let metadata = |image: &FileImage| format!("mode {:04o}, owner {}:{}", image.mode, image.uid, image.gid);
            let changed = before.as_ref().map(metadata) != after.as_ref().map(metadata);
            // Where only owner or mode change, the content is nobody's business: it may be a key.
            let content = |image: &Option<FileImage>| image.as_ref().and_then(|image| image.content.clone());
            let rewritten = content(before) != content(after);
            let side = |image: &FileImage| {
                let mut text = String::new();
                if changed {
                    text.push_str(&metadata(image));
                    text.push('\n');
                }
                if let Some(content) = image.content.as_ref().filter(|_| rewritten) {
                    text.push_str(&shown(path, &content.0));
                }
                text
            };
            (before.as_ref().map(side).unwrap_or_default(), after.as_ref().map(side).unwrap_or_default())
        }
    }
}

/// A file's content for display. Whatever is no audit rule, unit or table of containerd's is dockerd's configuration, whatever its
/// name; all but the rules may hold tokens and passwords.
fn shown(path: &str, content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    match path.rsplit('/').next().unwrap_or_default() {
        rules_d::OWN_FILE => text.into_owned(),
        "group" | "gshadow" => group_file::masked(&text),
        _ if path == sysctl::OWN_FILE => text.into_owned(),
        plan::DROP_IN => {
            let line = |line| exec_edit::masked(line).unwrap_or_else(|| mask::mask_text(line));
            text.split_inclusive('\n').map(line).collect()
        }
        "config.toml" => text.split_inclusive('\n').map(mask::mask_text).collect(),
        _ => mask::mask(&text),
    }
}

#[cfg(test)]
#[path = "assess_tests.rs"]
mod tests;
