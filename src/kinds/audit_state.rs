//! The audit subsystem as a whole: running, loaded as written, loadable.

use crate::baseline::control::{AuditState, AuditStateWant, Control};
use crate::change::Edit;
use crate::fact::{Fact, KernelAudit};
use crate::finding::{Outcome, Verdict};
use crate::formats::rules_d::Gravity;
use crate::kinds::watch::audit_missing;
use crate::kinds::{Context, not_applicable, unknown, verdict};
use crate::observe::RULES_DIR;

/// One verdict; of `loadable` one a line that is wrong.
pub fn judge<'c>(control: &'c Control, want: &AuditStateWant, context: &Context) -> Vec<Verdict<'c>> {
    let target = match want.is {
        AuditState::Running => "auditd",
        AuditState::Persistent | AuditState::Loadable => RULES_DIR,
    };
    if let Some(verdict) = audit_missing(control, target, context) {
        return vec![verdict];
    }
    match want.is {
        AuditState::Running => vec![running(control, context)],
        AuditState::Persistent => vec![persistent(control, context)],
        AuditState::Loadable => loadable(control, context),
    }
}

fn kernel<'f>(context: &'f Context) -> Result<&'f KernelAudit, Outcome> {
    match &context.facts.audit.kernel {
        Fact::Known(kernel) => Ok(kernel),
        Fact::Absent => Err(Outcome::NotApplicable("an image tree has no kernel".into())),
        Fact::Unknown(why) => Err(Outcome::Unknown(why.clone())),
    }
}

fn running<'c>(control: &'c Control, context: &Context) -> Verdict<'c> {
    let desired = "auditing is on, and auditd is connected";
    let kernel = match kernel(context) {
        Ok(kernel) => kernel,
        Err(outcome) => return verdict(control, "auditd", outcome, "", desired),
    };
    let enabled = match kernel.enabled {
        0 => "auditing is off",
        1 => "auditing is on",
        _ => "auditing is on and locked until the next boot",
    };
    let daemon = match kernel.daemon_pid {
        0 => "no auditd is connected".to_owned(),
        pid => format!("auditd is process {pid}"),
    };
    let outcome = match (kernel.enabled, kernel.daemon_pid) {
        (0, _) => Outcome::Manual(
            "start auditd (`systemctl enable --now auditd`), and look for audit=0 on the kernel's command line".into(),
        ),
        (_, 0) => Outcome::Manual("start auditd: `systemctl enable --now auditd`".into()),
        (2, _) => Outcome::Compliant { note: Some("rules that are written now count from the next boot".into()) },
        _ => Outcome::Compliant { note: None },
    };
    let mut verdict = verdict(control, "auditd", outcome, format!("{enabled}; {daemon}"), desired);
    verdict.evidence.push("kernel audit status over netlink".into());
    verdict
}

fn persistent<'c>(control: &'c Control, context: &Context) -> Verdict<'c> {
    let desired = "the kernel has every rule that rules.d would load";
    let kernel = match kernel(context) {
        Ok(kernel) => kernel,
        Err(outcome) => return verdict(control, RULES_DIR, outcome, "", desired),
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
        0 => format!("all {} are in the kernel", crate::plan::count(loaded.len(), "rule")),
        n => format!("{n} of {} are not in the kernel", crate::plan::count(loaded.len(), "rule")),
    };
    let mut verdict = verdict(control, RULES_DIR, outcome, observed, desired);
    verdict.evidence = missing.iter().map(|(rule, origin)| format!("{origin}: {rule}")).collect();
    verdict
}

fn loadable<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    let desired = "every line loads at boot";
    if let Err(why) = &context.rules.merged {
        return vec![unknown(control, RULES_DIR, why.clone())];
    }
    let loaded = &context.rules.loaded;
    let mut verdicts: Vec<Verdict> = Vec::new();
    let needless = context.rules.needless();
    if !needless.is_empty() {
        let observed = format!("{} of harden's own file also in another file", crate::plan::count(needless.len(), "rule"));
        let edits = needless.iter().cloned().map(Edit::AuditOnDisk).collect();
        let mut verdict = verdict(control, RULES_DIR, Outcome::Fixable(edits), observed, desired);
        verdict.evidence = needless.iter().map(|rule| format!("given twice: {rule}")).collect();
        return vec![verdict];
    }
    if let Some(stop) = &loaded.stop {
        let lost = crate::plan::count(stop.lost.len(), "later rule");
        let help = format!("the load stops there and {lost} never load; {}", stop.help);
        verdicts.push(verdict(control, stop.origin.to_string(), Outcome::Manual(help), stop.what.clone(), desired));
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
        verdicts.push(verdict(control, problem.origin.to_string(), outcome, problem.what.clone(), desired));
    }
    if verdicts.is_empty() {
        let observed = format!("{} load", crate::plan::count(loaded.rules.len(), "rule"));
        verdicts.push(verdict(control, RULES_DIR, Outcome::Compliant { note: None }, observed, desired));
        verdicts[0].evidence = notes;
    }
    verdicts
}
