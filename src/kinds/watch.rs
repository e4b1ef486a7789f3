//! Audit rules that record events on a path: on disk, for the next boot, and in the kernel, for now.
//!
//! The question is which events would be recorded, never whether a certain line is there; see
//! [`crate::formats::audit_cover`].

use std::collections::HashMap;
use std::path::Path;

use crate::baseline::control::{Control, Place, WatchWant};
use crate::change::Edit;
use crate::fact::{Fact, Facts, FileKind, KernelAudit};
use crate::finding::{Outcome, Verdict};
use crate::formats::audit_cover::{Coverage, Ground, Watch, coverage};
use crate::formats::audit_rule::{self, Account, Env, FieldId, Line, Lookup, Machine, PathState, Perms, Rule};
use crate::formats::rules_d::{self, Flavour, Merged};
use crate::kinds::place::{self, Resolved};
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict};
use crate::observe::Observer;
use crate::render::progress;

/// File systems that are empty at boot, when the rules load: a rule on something in them would stop the load.
const EMPTY_AT_BOOT: [&str; 6] = ["/run", "/var/run", "/tmp", "/dev", "/proc", "/sys"];

/// Why nothing can be said of something there before the host runs.
const VOLATILE_IN_TREE: &str = "it is made anew at every boot, so rules.d can't hold its rule; ask again on the running host";

/// Looks at everything that is to be watched.
pub fn observe(want: &WatchWant, observer: &mut Observer) {
    for place in &want.paths {
        for path in observer.resolve(place) {
            observer.stat(&path);
        }
    }
}

/// Looks at every path that a rule names: whether a rule loads and what it covers depends on what is there.
pub fn observe_rule_paths(observer: &mut Observer) {
    let mut paths = Vec::new();
    let facts = observer.facts();
    let on_disk = merged(facts).map(|merged| merged.loaded(&nothing_known()).rules).unwrap_or_default();
    let in_kernel = facts.audit.kernel.known().map(|kernel| kernel.rules.as_slice()).unwrap_or_default();
    for rule in on_disk.iter().map(|(rule, _)| rule).chain(in_kernel) {
        paths.extend(rule_path(rule));
    }
    progress::stage(format!("looking at what {} name", progress::many(paths.len(), "audit rule")));
    paths.sort();
    paths.dedup();
    for path in paths {
        observer.stat(&path);
        if observer.facts().files.get(&path).is_some_and(Fact::is_absent)
            && let Some(parent) = Path::new(&path).parent().and_then(Path::to_str)
        {
            observer.stat(parent);
        }
    }
}

/// What a line means where nothing was looked at.
fn nothing_known() -> Env<'static> {
    Env { machine: Machine::native(), path_state: &|_| PathState::Other, account: &account }
}

fn rule_path(rule: &Rule) -> Option<String> {
    let field = rule.fields.iter().find(|field| field.id == FieldId::PATH || field.id == FieldId::DIR)?;
    String::from_utf8(field.value.text()?.to_vec()).ok().filter(|path| path.starts_with('/'))
}

/// Names of users and groups in rules are left as they are: such a rule is narrowed, whoever it names.
fn account(_: Account, _: &str) -> Lookup {
    Lookup::Unknown
}

/// The rules of rules.d as they would load.
pub struct RulesOnDisk {
    /// All files, merged as augenrules would; an error says why that can't be told.
    pub merged: Result<Merged, String>,
    /// What of it would be in the kernel.
    pub loaded: rules_d::LoadResult,
    own: Option<String>,
}

impl RulesOnDisk {
    /// Nobody looked at them yet.
    pub fn unread() -> Self {
        Self { merged: Err("not looked at".into()), loaded: rules_d::LoadResult::default(), own: None }
    }

    /// Works it out from what was seen.
    pub fn of(facts: &Facts) -> Self {
        let merged = merged(facts);
        let state = |path: &Path| path_state(facts, path);
        let env = Env { machine: Machine::native(), path_state: &state, account: &account };
        let loaded = merged.as_ref().map(|merged| merged.loaded(&env)).unwrap_or_default();
        let own = format!("{}/{}", crate::observe::RULES_DIR, rules_d::OWN_FILE);
        let own = facts.audit.rules_files.known().is_some_and(|files| files.contains(&own)).then_some(own);
        Self { merged, loaded, own }
    }

    /// Rules that other files than harden's own give, whether or not the load comes to them.
    pub fn of_others(&self) -> Vec<Rule> {
        self.written(|file| Some(file) != self.own.as_deref())
    }

    /// Rules of harden's own file that another file gives too: the kernel refuses the second one, and the load stops there.
    pub fn needless(&self) -> Vec<Rule> {
        let others = self.of_others();
        self.written(|file| Some(file) == self.own.as_deref()).into_iter().filter(|rule| others.contains(rule)).collect()
    }

    fn written(&self, from: impl Fn(&str) -> bool) -> Vec<Rule> {
        let Ok(merged) = &self.merged else { return Vec::new() };
        let loaded = self.loaded.rules.iter().chain(self.loaded.stop.iter().flat_map(|stop| &stop.lost));
        let mut by_origin = HashMap::new();
        for (rule, origin) in loaded {
            by_origin.entry((origin.file.as_str(), origin.line)).or_insert(rule);
        }
        let known = |line: &rules_d::MergedLine| {
            let found = by_origin.get(&(line.origin.file.as_str(), line.origin.line)).map(|rule| (*rule).clone());
            found.or_else(|| match audit_rule::parse_line(&line.text, &nothing_known()) {
                Line::Rule { rule, .. } => Some(rule),
                _ => None,
            })
        };
        merged.lines.iter().filter(|line| from(&line.origin.file)).filter_map(known).collect()
    }
}

fn merged(facts: &Facts) -> Result<Merged, String> {
    let files = match &facts.audit.rules_files {
        Fact::Known(files) => files.as_slice(),
        Fact::Absent => &[],
        Fact::Unknown(why) => return Err(why.clone()),
    };
    let mut contents = Vec::new();
    for path in files {
        match facts.files.get(path) {
            Some(Fact::Known(file)) => match &file.content {
                Some(content) => contents.push((path.clone(), content.0.clone())),
                None => return Err(format!("{path} is not a regular file")),
            },
            Some(Fact::Absent) => {}
            Some(Fact::Unknown(why)) => return Err(why.clone()),
            None => return Err(format!("{path} was not looked at")),
        }
    }
    Ok(rules_d::merge(&contents, Flavour::STRICTEST))
}

fn path_state(facts: &Facts, path: &Path) -> PathState {
    let look = |path: &Path| facts.files.get(path.to_str()?);
    match look(path) {
        Some(Fact::Known(file)) if file.kind == FileKind::Dir => PathState::Dir,
        Some(Fact::Absent) => match path.parent().and_then(look) {
            Some(Fact::Known(parent)) if parent.kind == FileKind::Dir => PathState::Missing,
            _ => PathState::ParentMissing,
        },
        _ => PathState::Other,
    }
}

/// One verdict a path.
pub fn judge<'c>(control: &'c Control, want: &WatchWant, context: &Context) -> Vec<Verdict<'c>> {
    let target = want.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, target, outcome, "", "")];
    }
    if let Some(verdict) = audit_missing(control, &target, context) {
        return vec![verdict];
    }
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut nothing = Vec::new();
    for place in &want.paths {
        match place::resolve(place, context.facts, &context.effective) {
            Resolved::Nothing(reason) => nothing.push(reason),
            Resolved::Unknown(reason) => verdicts.push(unknown(control, place.to_string(), reason)),
            Resolved::Paths(paths) => {
                if let Some(reason) = not_installed(place, &paths, context.facts) {
                    nothing.push(reason);
                    continue;
                }
                for path in paths {
                    let file = match context.facts.files.get(&path) {
                        Some(Fact::Known(file)) => file,
                        Some(Fact::Absent) => {
                            if !matches!(place, Place::Binary(_)) {
                                nothing.push(format!("{path} does not exist"));
                            }
                            continue;
                        }
                        Some(Fact::Unknown(why)) => {
                            verdicts.push(unknown(control, path, why.clone()));
                            continue;
                        }
                        None => {
                            verdicts.push(unknown(control, path.clone(), format!("whether {path} exists is not known here")));
                            continue;
                        }
                    };
                    // A rule on a symbolic link never fires for what it leads to: the real file is what counts.
                    let real = file.real_path.as_str();
                    if verdicts.iter().any(|verdict| verdict.target == real) {
                        continue;
                    }
                    let mut verdict = judge_path(control, want, context, real, file.kind == FileKind::Dir);
                    if real != path {
                        verdict
                            .evidence
                            .push(format!("{path} leads over a symbolic link to {real}, which is what has to be watched"));
                    }
                    verdicts.push(verdict);
                }
            }
        }
    }
    if verdicts.is_empty() {
        nothing.dedup();
        verdicts.push(not_applicable(control, target, nothing.join("; ")));
    }
    verdicts
}

/// One reason instead of one for each place where a program could lie.
fn not_installed(place: &Place, paths: &[String], facts: &Facts) -> Option<String> {
    let Place::Binary(name) = place else { return None };
    let absent = paths.iter().all(|path| facts.files.get(path).is_some_and(Fact::is_absent));
    absent.then(|| format!("{name} is not installed"))
}

/// Whether this host's kernel records nothing at all.
pub(crate) fn not_built(facts: &Facts) -> bool {
    facts.host.live && facts.audit.kernel.is_absent()
}

/// The verdict where there is no audit subsystem to speak of.
pub(crate) fn audit_missing<'c>(control: &'c Control, target: &str, context: &Context) -> Option<Verdict<'c>> {
    match &context.facts.audit.installed {
        Fact::Known(_) if not_built(context.facts) => {
            Some(not_applicable(control, target, "this kernel was built without auditing"))
        }
        Fact::Known(_) => None,
        Fact::Absent => Some(not_applicable(control, target, "auditd is not installed: no auditctl, no /etc/audit/rules.d")),
        Fact::Unknown(why) => Some(unknown(control, target, why.clone())),
    }
}

fn judge_path<'c>(control: &'c Control, want: &WatchWant, context: &Context, path: &str, dir: bool) -> Verdict<'c> {
    let facts = context.facts;
    let perms: Perms = match want.perms.parse() {
        Ok(perms) => perms,
        Err(_) => return unknown(control, path, format!("`{}` are no perms", want.perms)),
    };
    let watch = Watch { path: path.to_owned(), recursive: dir, perms };
    let rule = audit_rule::our_watch(path, dir, perms, &context.audit_key);
    let volatile = EMPTY_AT_BOOT.iter().find(|top| Path::new(path).starts_with(top));
    let by = match (facts.host.live, volatile) {
        (true, None) => "rules.d and by the kernel",
        (true, Some(_)) => "the kernel",
        (false, _) => "rules.d",
    };
    let desired = format!("recorded ({}) by {by}", want.perms);

    let disk = match (&context.rules.merged, volatile) {
        (Err(why), _) => return unknown(control, path, format!("rules.d can't be read: {why}")),
        (Ok(_), Some(_)) => None,
        (Ok(_), None) => {
            let rules: Vec<Rule> = context.rules.loaded.rules.iter().map(|(rule, _)| rule.clone()).collect();
            Some(covered(facts, &watch, &rules))
        }
    };
    let kernel = facts.audit.kernel.known().map(|kernel| covered(facts, &watch, &kernel.rules));

    let mut texts = Vec::new();
    let mut evidence = Vec::new();
    match (&disk, volatile) {
        (Some(coverage), _) => texts.push(side(coverage, "rules.d", &mut evidence)),
        (None, Some(top)) => evidence.push(format!("{top} is empty when rules load at boot: rules.d must not name {path}")),
        (None, None) => {}
    }
    match (&kernel, &facts.audit.kernel) {
        (Some(coverage), _) => texts.push(side(coverage, "the kernel", &mut evidence)),
        (None, Fact::Unknown(why)) => evidence.push(format!("the kernel's rules can't be listed: {why}")),
        (None, _) => {}
    }
    let outcome = outcome(disk.as_ref(), kernel.as_ref(), &rule, volatile.is_some(), context);
    let mut verdict = verdict(control, path, outcome, texts.join(", "), desired);
    verdict.evidence = evidence;
    verdict
}

fn outcome(disk: Option<&Coverage>, kernel: Option<&Coverage>, rule: &Rule, volatile: bool, context: &Context) -> Outcome {
    let facts = context.facts;
    let mut edits = Vec::new();
    for coverage in [disk, kernel].into_iter().flatten() {
        if let Coverage::Disarmed { why, .. } = coverage {
            return Outcome::Manual(format!("one more rule would not help: {}; take that rule away", why.join("; ")));
        }
    }
    let missing = |coverage: Option<&Coverage>| coverage.is_some_and(|coverage| !matches!(coverage, Coverage::Full { .. }));
    if missing(disk) {
        if let Some(stop) = &context.rules.loaded.stop {
            let mend = match context.rules.needless().is_empty() {
                true => "mend that line first",
                false => "audit-rules-loadable mends that; run harden again then",
            };
            return Outcome::Manual(format!("a rule after {} would not load: {}; {mend}", stop.origin, stop.what));
        }
        edits.push(Edit::AuditOnDisk(rule.clone()));
    }
    if missing(kernel) {
        match facts.audit.kernel.known() {
            Some(KernelAudit { enabled: 2, .. }) if edits.is_empty() => {
                return Outcome::Manual(match disk {
                    Some(_) => "the kernel's rules are locked until the next boot, which will load it from rules.d".into(),
                    None => "the kernel's rules are locked until the next boot".into(),
                });
            }
            Some(KernelAudit { enabled: 2, .. }) => {}
            _ => edits.push(Edit::AuditInKernel(rule.clone())),
        }
    }
    match (&facts.audit.kernel, edits.is_empty()) {
        (_, false) => Outcome::Fixable(edits),
        (Fact::Unknown(why), true) => Outcome::Unknown(format!("the kernel's rules can't be listed: {why}")),
        (Fact::Absent, true) if volatile => Outcome::NotApplicable(VOLATILE_IN_TREE.into()),
        (_, true) => {
            let until_boot = volatile.then_some("in the kernel only, until the next boot; rules.d can't hold it");
            let off = facts.audit.kernel.known().is_some_and(|kernel| kernel.enabled == 0);
            let off = off.then_some("the rule is there, but auditing is off: nothing is recorded until auditd runs");
            let note: Vec<&str> = off.into_iter().chain(until_boot).collect();
            Outcome::Compliant { note: (!note.is_empty()).then(|| note.join("; ")) }
        }
    }
}

/// One side in words.
fn side(coverage: &Coverage, by: &str, evidence: &mut Vec<String>) -> String {
    match coverage {
        Coverage::Full { .. } => format!("recorded by {by}"),
        Coverage::Partial { why } => {
            evidence.extend(why.iter().cloned());
            format!("recorded in part by {by}")
        }
        Coverage::None => format!("not recorded by {by}"),
        Coverage::Disarmed { why, .. } => {
            evidence.extend(why.iter().cloned());
            format!("dropped by an earlier rule of {by}")
        }
    }
}

/// [`coverage`] on this host, as far as it was looked at.
fn covered(facts: &Facts, watch: &Watch, rules: &[Rule]) -> Coverage {
    let file = |path: &str| facts.files.get(path).and_then(Fact::known);
    let real = |path: &str| file(path).map_or_else(|| path.to_owned(), |file| file.real_path.clone());
    // Bind mounts of one file system onto itself are not told apart; they are rare, and below Docker's own directories only.
    let same_mount = |above: &str, below: &str| match (file(above), file(below)) {
        (Some(above), Some(below)) => above.dev == below.dev,
        _ => false,
    };
    coverage(watch, rules, &Ground { machine: Machine::native(), real: &real, same_mount: &same_mount })
}
