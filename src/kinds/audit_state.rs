//! The audit subsystem as a whole: running, loaded as written, loadable.

use crate::baseline::control::{AuditState, AuditStateWant, Control};
use crate::change::Edit;
use crate::fact::{Fact, Facts, KernelAudit};
use crate::finding::{Outcome, Verdict};
use crate::formats::rules_d::Gravity;
use crate::kinds::watch::{audit_missing, not_built};
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict, wrong};
use crate::observe::RULES_DIR;

/// One verdict; of `loadable` one a line that is wrong.
pub fn judge<'c>(control: &'c Control, want: &AuditStateWant, context: &Context) -> Vec<Verdict<'c>> {
    let target = match want.is {
        AuditState::Running => "auditd",
        AuditState::Persistent | AuditState::Loadable => RULES_DIR,
    };
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, target, outcome, "", "")];
    }
    if want.is == AuditState::Running
        && let Some((observed, help)) = nothing_to_run(context.facts)
    {
        return vec![verdict(control, target, Outcome::Manual(help.into()), observed, RUNNING)];
    }
    if let Some(verdict) = audit_missing(control, target, context) {
        return vec![verdict];
    }
    match want.is {
        AuditState::Running => vec![running(control, context)],
        AuditState::Persistent => vec![persistent(control, context)],
        AuditState::Loadable => loadable(control, context),
    }
}

/// What is wanted of the audit subsystem.
const RUNNING: &str = "on, with auditd connected";

/// What there is instead of an audit subsystem, and what to do about it.
fn nothing_to_run(facts: &Facts) -> Option<(&'static str, &'static str)> {
    if facts.audit.installed.is_absent() {
        return Some(("not installed", "install auditd: `apt-get install auditd`, or `dnf install audit`"));
    }
    not_built(facts).then_some(("not in this kernel", "boot a kernel that was built with CONFIG_AUDIT and CONFIG_AUDITSYSCALL"))
}

fn kernel<'f>(context: &'f Context) -> Result<&'f KernelAudit, Outcome> {
    match &context.facts.audit.kernel {
        Fact::Known(kernel) => Ok(kernel),
        Fact::Absent => Err(Outcome::NotApplicable("an image tree has no kernel".into())),
        Fact::Unknown(why) => Err(Outcome::Unknown(why.clone())),
    }
}

fn running<'c>(control: &'c Control, context: &Context) -> Verdict<'c> {
    let kernel = match kernel(context) {
        Ok(kernel) => kernel,
        Err(outcome) => return verdict(control, "auditd", outcome, "", ""),
    };
    let enabled = match kernel.enabled {
        0 => "off",
        1 => "on",
        _ => "on and locked until the next boot",
    };
    let daemon = match kernel.daemon_pid {
        0 => "without an auditd connected".to_owned(),
        pid => format!("with auditd connected (process {pid})"),
    };
    let outcome = match (kernel.enabled, kernel.daemon_pid) {
        (0, _) => Outcome::Manual(
            "start auditd (`systemctl enable --now auditd`), and look for audit=0 on the kernel's command line".into(),
        ),
        (_, 0) => Outcome::Manual("start auditd: `systemctl enable --now auditd`".into()),
        (2, _) => Outcome::Compliant { note: Some("rules that are written now count from the next boot".into()) },
        _ => Outcome::Compliant { note: None },
    };
    let mut verdict = verdict(control, "auditd", outcome, format!("{enabled}, {daemon}"), RUNNING);
    verdict.evidence.push("kernel audit status over netlink".into());
    verdict
}

fn persistent<'c>(control: &'c Control, context: &Context) -> Verdict<'c> {
    let desired = "loaded in full";
    let kernel = match kernel(context) {
        Ok(kernel) => kernel,
        Err(outcome) => return verdict(control, RULES_DIR, outcome, "", ""),
    };
    if let Err(why) = &context.rules.merged {
        return unknown(control, RULES_DIR, why.clone());
    }
    let loaded = &context.rules.loaded.rules;
    if loaded.is_empty() {
        return not_applicable(control, RULES_DIR, format!("{RULES_DIR} gives no rule"));
    }
    let missing: Vec<_> = loaded.iter().filter(|(rule, _)| !kernel.rules.iter().any(|loaded| rule.loaded_as(loaded))).collect();
    let outcome = match (missing.is_empty(), kernel.enabled) {
        (true, _) => Outcome::Compliant { note: None },
        (false, 2) => Outcome::Manual("the kernel's rules are locked until the next boot, which will load them".into()),
        // A rule that names a user which harden did not look up.
        (false, _) if missing.iter().any(|(rule, _)| rule.to_kernel().is_err()) => {
            Outcome::Manual("load them: `augenrules --load`".into())
        }
        (false, _) => Outcome::Fixable(missing.iter().map(|(rule, _)| Edit::AuditInKernel(rule.clone())).collect()),
    };
    let observed = match missing.len() {
        0 => format!("loaded in full ({})", crate::plan::count(loaded.len(), "rule")),
        n => format!("loaded into the kernel but for {n} of {}", crate::plan::count(loaded.len(), "rule")),
    };
    let mut verdict = verdict(control, RULES_DIR, outcome, observed, desired);
    verdict.evidence = missing.iter().map(|(rule, origin)| format!("{origin}: {rule}")).collect();
    verdict
}

fn loadable<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    let desired = "lines that all load at boot";
    if let Err(why) = &context.rules.merged {
        return vec![unknown(control, RULES_DIR, why.clone())];
    }
    let loaded = &context.rules.loaded;
    let mut verdicts: Vec<Verdict> = Vec::new();
    let needless = context.rules.needless();
    if !needless.is_empty() {
        let twice = crate::plan::count(needless.len(), "rule");
        let observed = format!("given twice: harden's own file has {twice} that another file has too");
        let edits = needless.iter().cloned().map(Edit::AuditOnDisk).collect();
        let mut verdict = verdict(control, RULES_DIR, Outcome::Fixable(edits), observed, desired);
        verdict.evidence = needless.iter().map(|rule| format!("given twice: {rule}")).collect();
        return vec![verdict];
    }
    if let Some(stop) = &loaded.stop {
        let lost = match stop.lost.len() {
            0 => String::new(),
            1 => ", and the rule after it is lost".into(),
            n => format!(", and the {n} rules after it are lost"),
        };
        let help = format!("the load stops there{lost}; {}", stop.help);
        verdicts.push(verdict(control, stop.origin.to_string(), Outcome::Manual(help), wrong(&stop.what), desired));
    }
    let merged = context.rules.merged.iter().flat_map(|merged| &merged.problems);
    let mut notes = Vec::new();
    for problem in merged.chain(&loaded.problems) {
        let outcome = match problem.gravity {
            Gravity::Refused => Outcome::Manual(problem.help.clone()),
            Gravity::Unknown => Outcome::Unknown(problem.what.clone()),
            Gravity::Surprise => {
                notes.push(problem.to_string());
                continue;
            }
        };
        verdicts.push(verdict(control, problem.origin.to_string(), outcome, wrong(&problem.what), desired));
    }
    if verdicts.is_empty() {
        let observed = format!("loadable, all {}", crate::plan::count(loaded.rules.len(), "rule"));
        verdicts.push(verdict(control, RULES_DIR, Outcome::Compliant { note: None }, observed, desired));
        verdicts[0].evidence = notes;
    }
    verdicts.extend(off(control, context));
    verdicts
}

/// Rules that load record nothing while auditing is off.
fn off<'c>(control: &'c Control, context: &Context) -> Option<Verdict<'c>> {
    let kernel = context.facts.audit.kernel.known()?;
    let help = "no rule records anything until auditd runs: `systemctl enable --now auditd`, and no audit=0 for the kernel";
    (kernel.enabled == 0).then(|| verdict(control, "kernel audit", Outcome::Manual(help.into()), "off", "on"))
}
