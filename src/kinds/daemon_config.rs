//! daemon.json as a whole: it parses, the engine knows every key, and no key is also given as a flag.

use serde_json::Value;

use crate::baseline::control::Control;
use crate::finding::{Outcome, Verdict};
use crate::formats::daemon_json::{self, Document, Op};
use crate::formats::daemon_lint::{Lint, LintKind};
use crate::formats::{argv, daemon_lint};
use crate::kinds::effective::{ConfigFile, Origin, flags_untold};
use crate::kinds::{Context, daemon, docker_missing, flags, not_applicable, prerequisites, unknown, verdict, wrong};
use crate::plan::Withheld;

const TAKE_ONE: &str = "dockerd does not start with both; take one of them away";
const DESIRED: &str = "a configuration that this engine reads as it is meant";

/// One verdict a problem; one in all when there is none.
pub fn judge<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    let effective = &context.effective;
    let path = &effective.path;
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, path, outcome, "", "")];
    }
    let document = match &effective.file {
        ConfigFile::Missing if effective.names_config_file() => {
            let help = "dockerd does not start again: make the file, or take away the flag --config-file".into();
            return vec![verdict(
                control,
                path,
                Outcome::Manual(help),
                wrong("it is named by --config-file and not there"),
                DESIRED,
            )];
        }
        ConfigFile::Missing => {
            return vec![not_applicable(control, path, format!("{path} does not exist: dockerd takes its defaults"))];
        }
        ConfigFile::Unreadable(why) => return vec![unknown(control, path, why.clone())],
        ConfigFile::Broken(problems) => {
            let broken = |problem: &crate::formats::daemon_json::Problem| {
                let place = format!("{path}:{}:{}", problem.line, problem.column);
                let help =
                    problem.help.clone().unwrap_or_else(|| "mend it there; harden does not rewrite what it can't read".into());
                verdict(control, place, Outcome::Manual(help), wrong(&problem.what), DESIRED)
            };
            return problems.iter().map(broken).collect();
        }
        ConfigFile::Parsed(document) => document,
    };
    let mut verdicts: Vec<Verdict> = lints(document, context)
        .into_iter()
        .map(|lint| {
            let place = format!("{path}:{}:{}", lint.line, lint.column);
            let help = format!("edit line {} of {path}; harden changes no key unasked", lint.line);
            verdict(control, place, Outcome::Manual(help), wrong(&lint.what), DESIRED)
        })
        .collect();
    for key in conflicts(context) {
        let names: Vec<&str> = key.splitn(2, '.').collect();
        let flag = effective.flag(names[0]).map_or_else(|| "a flag".into(), |(_, origin)| origin.to_string());
        let what = wrong(&format!("`{key}` is here and also given by {flag}"));
        let line = document.position(&names).map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        verdicts.push(verdict(control, format!("{path}{line}"), given_twice(&names, document, context), what, DESIRED));
    }
    for defect in prerequisites::defects(document, context).into_iter().filter(|defect| defect.seen) {
        let names: Vec<&str> = defect.key.iter().map(String::as_str).collect();
        let position = document.position(&names).or_else(|| document.position(&names[..1]));
        let line = position.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
        let help = Outcome::Manual(defect.advice());
        verdicts.push(verdict(control, format!("{path}{line}"), help, wrong(&defect.what), DESIRED));
    }
    // A flag goes only where that leaves nothing that is wrong.
    if verdicts.iter().any(|verdict| matches!(verdict.outcome, Outcome::Manual(_))) {
        for verdict in verdicts.iter_mut().filter(|verdict| matches!(verdict.outcome, Outcome::Fixable(_))) {
            verdict.outcome = Outcome::Manual(TAKE_ONE.into());
        }
    }
    if let (true, Some(why)) = (verdicts.is_empty(), effective.unknown_flags(context.facts)) {
        return vec![unknown(control, path, format!("valid by itself, but {}", flags_untold(&why)))];
    }
    if verdicts.is_empty() {
        verdicts.push(verdict(control, path, Outcome::Compliant { note: None }, "valid, with every key known", DESIRED));
    }
    verdicts
}

/// The fix of a key that the file and a flag give: the file's value stays, and the flag goes.
///
/// The file is the newer of the two, or dockerd would not have started with it, and it is where values are judged and mended. Still a
/// flag that says something else only goes where nothing is opened, moved or lost by it.
fn given_twice(names: &[&str], document: &Document, context: &Context) -> Outcome {
    let effective = &context.effective;
    let key = names.join(".");
    if !conflicts_of_next_start(document, context).contains(&key) {
        return daemon::restart_with_new_flags(context.facts);
    }
    let inner = |value: &Value| names.get(1).map_or(Some(value.clone()), |member| value.get(member).cloned());
    let Some((value, Origin::Flag { text, place })) = effective.unit_flag(names[0]) else {
        return Outcome::Manual(TAKE_ONE.into());
    };
    let in_file = document.get(names);
    if inner(&value).as_ref() != in_file && !in_file.is_some_and(|value| replaces_another(names[0], value)) {
        return Outcome::Manual(format!("{TAKE_ONE}: they do not say the same"));
    }
    let runs_with_it = effective.running.as_ref().is_some_and(|flags| flags.get(names[0]).is_some());
    let edit = daemon_json::Edit { path: names.iter().map(|&name| name.to_owned()).collect(), op: Op::Remove };
    match flags::correct(context, edit, !runs_with_it, &text, place.as_deref()) {
        Outcome::Fixable(edits) if daemon::objection(names[0], &edits, context).is_none() => Outcome::Fixable(edits),
        _ => Outcome::Manual(TAKE_ONE.into()),
    }
}

/// Whether this value of the file may take the place of another that a flag gives: of what dockerd logs and how it works any, of a switch
/// the side that controls want. All else decides what is reachable, where data lie or what containers may do.
fn replaces_another(key: &str, value: &Value) -> bool {
    match key {
        "debug" | "labels" | "log-driver" | "log-format" | "log-level" | "log-opts" | "raw-logs" | "shutdown-timeout" => true,
        "max-concurrent-downloads" | "max-concurrent-uploads" | "max-download-attempts" => true,
        "iptables" | "ip6tables" | "live-restore" => *value == Value::Bool(true),
        "experimental" => *value == Value::Bool(false),
        _ => false,
    }
}

/// What is wrong with the file, given the flags: these may be the other half of a contradiction, or solve one.
pub fn lints(document: &Document, context: &Context) -> Vec<Lint> {
    let effective = &context.effective;
    let mut lints = daemon_lint::lint(document, effective.version);
    let (Some(flags), Some(members)) = (effective.flags_of_next_start(), document.value().as_object()) else { return lints };
    let mut all = members.clone();
    all.extend(flags.values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let Ok(all) = serde_json::to_vec(&all).map_err(drop).and_then(|text| Document::parse(&text).map_err(drop)) else {
        return lints;
    };
    let contradicts = |lint: &Lint| lint.kind == LintKind::Contradiction;
    let mut found: Vec<Lint> = daemon_lint::lint(&all, effective.version).into_iter().filter(contradicts).collect();
    found.retain(|lint| !conflicts(context).contains(&lint.key));
    lints.retain(|lint| !contradicts(lint) || found.iter().any(|other| other.what == lint.what));
    for lint in found {
        if !lints.iter().any(|other| other.what == lint.what) {
            let (line, column) = document.position(&[&lint.key]).unwrap_or((1, 1));
            lints.push(Lint { line, column, ..lint });
        }
    }
    lints
}

/// Why the file must not be touched: it can't be read for certain, or dockerd can't read a value.
pub fn defect(context: &Context) -> Option<Withheld> {
    let effective = &context.effective;
    let withheld = |line: usize, column: usize, what: &str| Withheld {
        target: format!("{}:{line}:{column}", effective.path),
        reason: what.trim_end_matches('.').to_owned(),
    };
    match &effective.file {
        ConfigFile::Missing | ConfigFile::Unreadable(_) => None,
        ConfigFile::Broken(problems) => problems.first().map(|problem| withheld(problem.line, problem.column, &problem.what)),
        ConfigFile::Parsed(document) => daemon_lint::lint(document, effective.version)
            .into_iter()
            .find(|lint| lint.fatal && lint.kind == LintKind::WrongType)
            .map(|lint| withheld(lint.line, lint.column, &lint.what)),
    }
}

/// Keys that a file and a flag of the next start both give.
pub fn conflicts_of_next_start(document: &Document, context: &Context) -> Vec<String> {
    match &context.effective.unit {
        Some((_, flags)) if context.effective.unit_counts => argv::conflicts(flags, document),
        _ => conflicts(context),
    }
}

/// Keys that the file and a flag (of the running process or of the unit) both give.
pub fn conflicts(context: &Context) -> Vec<String> {
    let ConfigFile::Parsed(document) = &context.effective.file else { return Vec::new() };
    let running = context.effective.running.iter();
    let unit = context.effective.unit.iter().map(|(_, flags)| flags);
    let mut keys: Vec<String> = running.chain(unit).flat_map(|flags| argv::conflicts(flags, document)).collect();
    keys.sort();
    keys.dedup();
    keys
}
