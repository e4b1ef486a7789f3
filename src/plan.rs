//! The plan: what would be changed, in which order, and what puts it in force. Folding edits into changes happens only here.
//!
//! A plan is data: it is shown, saved (`harden plan -o`), applied, and kept beside the originals as the receipt.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::baseline::control::{Risk, Want};
use crate::change::{Action, Activation, Change, Edit, Effect, FileImage};
use crate::error::{Error, Result};
use crate::fact::{Content, Fact, FileFact, FileKind, ServiceManager};
use crate::finding::{Outcome, Verdict};
use crate::formats::audit_rule::Rule;
use crate::formats::daemon_json::{self, Document, Op};
use crate::formats::{rules_d, unit_file};
use crate::kinds::effective::ConfigFile;
use crate::kinds::{Context, daemon, daemon_config};
use crate::observe::RULES_DIR;
use crate::reach;
use crate::report::BaselineRef;

/// Format of a saved plan.
pub const SCHEMA: &str = "harden/plan/1";
/// Where administrators' drop-ins lie.
const DROP_IN_ROOT: &str = "/etc/systemd/system";
/// Name of harden's drop-in: systemd reads drop-ins by name and the last one wins, also over `override.conf` of `systemctl edit`.
pub const DROP_IN: &str = "zz-harden.conf";
/// Mode of a daemon.json or a drop-in that harden creates.
const NEW_FILE_MODE: u32 = 0o644;
/// Mode of a rules file that harden creates: what Debian and RHEL give theirs.
const NEW_RULES_MODE: u32 = 0o640;
const NEW_DIR_MODE: u32 = 0o755;

/// Where harden's drop-in of a unit lies.
pub fn drop_in_path(unit: &str) -> String {
    format!("{DROP_IN_ROOT}/{unit}.d/{DROP_IN}")
}

/// Ordered changes and the activations they need.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// `harden/plan/1`.
    pub schema: String,
    /// The version that made it.
    pub tool_version: String,
    /// When, RFC 3339.
    pub created: String,
    /// The host it is for.
    pub hostname: String,
    /// `/` or the image tree.
    pub root: String,
    /// The baseline.
    pub baseline: BaselineRef,
    /// The transaction that it undoes, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// The findings that it fixes.
    pub fixes: Vec<FixRef>,
    /// What is written, in this order.
    pub changes: Vec<Change>,
    /// What puts it in force, in this order.
    pub activations: Vec<Activation>,
    /// Changes that were wanted and are held back, because the result would not be safe.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withheld: Vec<Withheld>,
}

/// A finding that a plan fixes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixRef {
    /// Control id.
    pub control: String,
    /// Target.
    pub target: String,
}

/// A change that is held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    /// The file, with line and column where these are known.
    pub target: String,
    /// Why.
    pub reason: String,
}

impl Plan {
    /// Nothing to write and nothing to put in force.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.activations.is_empty()
    }
}

/// A plan, and which of its changes serve which verdict (by index into the verdicts given).
pub struct Folded {
    /// The plan.
    pub plan: Plan,
    /// Change ids by verdict.
    pub changes_of: BTreeMap<usize, Vec<String>>,
    /// Why a verdict's changes are withheld.
    pub withheld_of: BTreeMap<usize, String>,
}

/// Everything that is wished for one file.
#[derive(Default)]
struct Draft {
    json: Vec<(daemon_json::Edit, usize)>,
    toml: Vec<([&'static str; 2], i64)>,
    settings: Vec<([String; 3], usize)>,
    rules: Vec<Rule>,
    allowed: Option<u32>,
    uid: Option<u32>,
    gid: Option<u32>,
    verdicts: Vec<usize>,
}

impl std::fmt::Display for Withheld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.target, self.reason)
    }
}

impl Draft {
    fn has_content(&self) -> bool {
        !self.json.is_empty() || !self.toml.is_empty() || !self.settings.is_empty() || !self.rules.is_empty()
    }
}

/// Folds the fixable verdicts among `chosen` into one plan.
///
/// # Errors
/// When two controls want opposite things, naming both.
pub fn fold(
    verdicts: &[Verdict],
    chosen: &[usize],
    context: &Context,
    baseline: BaselineRef,
    created: String,
) -> Result<Folded> {
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    let mut kernel: Vec<(Rule, usize)> = Vec::new();
    let mut actions: BTreeMap<Action, Vec<usize>> = BTreeMap::new();
    for &index in chosen {
        let Outcome::Fixable(edits) = &verdicts[index].outcome else { continue };
        for edit in edits {
            collect(edit, index, verdicts, context, &mut drafts, &mut kernel, &mut actions)?;
        }
    }

    let mut folding = Folding {
        verdicts,
        context,
        config: reach::real(&context.facts.files, &context.facts.daemon.config_file),
        new: BTreeMap::new(),
        changes: Vec::new(),
        changes_of: BTreeMap::new(),
        withheld_of: BTreeMap::new(),
    };
    let not_there = |path: &str| matches!(folding.fact(path), Ok(None));
    let (new, drafts) = drafts.into_iter().partition(|(path, draft)| !draft.has_content() && not_there(path));
    folding.new = new;
    let mut withheld = Vec::new();
    let config = folding.config.clone();
    let defect = daemon_config::defect(context).filter(|_| drafts.contains_key(&config) || speaks_of_dockerd(verdicts));
    for (path, draft) in ordered(drafts, &config) {
        let folded = match &defect {
            Some(defect) if path == config => Err(defect.to_string()),
            _ => folding.file(&path, &draft),
        };
        if let Err(reason) = folded {
            for &verdict in &draft.verdicts {
                folding.withheld_of.insert(verdict, reason.clone());
            }
            if defect.is_none() || path != config {
                withheld.push(Withheld { target: path, reason });
            }
        }
    }
    withheld.extend(defect);
    if let Err(reason) = folding.dockerd_reads_on(&actions) {
        withheld.push(Withheld { target: context.facts.daemon.config_file.clone(), reason });
    }
    folding.kernel_rules(kernel);
    let activations = folding.activations(&actions);

    let Folding { changes, changes_of, withheld_of, .. } = folding;
    let mut fixes: Vec<FixRef> = chosen
        .iter()
        .filter(|index| !withheld_of.contains_key(index))
        .map(|&index| FixRef { control: verdicts[index].control.id.clone(), target: verdicts[index].target.clone() })
        .collect();
    fixes.sort();
    let host = &context.facts.host;
    let plan = Plan {
        schema: SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        created,
        hostname: host.hostname.clone(),
        root: host.root.clone(),
        baseline,
        undoes: None,
        fixes,
        changes,
        activations,
        withheld,
    };
    Ok(Folded { plan, changes_of, withheld_of })
}

/// Whether any control speaks of what daemon.json says.
fn speaks_of_dockerd(verdicts: &[Verdict]) -> bool {
    verdicts.iter().any(|verdict| matches!(verdict.control.want, Want::Daemon(_) | Want::DaemonConfig(_)))
}

fn collect(
    edit: &Edit,
    verdict: usize,
    verdicts: &[Verdict],
    context: &Context,
    drafts: &mut BTreeMap<String, Draft>,
    kernel: &mut Vec<(Rule, usize)>,
    actions: &mut BTreeMap<Action, Vec<usize>>,
) -> Result<()> {
    // By their real paths: what two names lead to is one file, and one change.
    fn of<'d>(drafts: &'d mut BTreeMap<String, Draft>, context: &Context, path: &str, verdict: usize) -> &'d mut Draft {
        let draft = drafts.entry(reach::real(&context.facts.files, path)).or_default();
        if !draft.verdicts.contains(&verdict) {
            draft.verdicts.push(verdict);
        }
        draft
    }
    let opposite = |other: usize, thing: String| {
        Error::usage(format!(
            "`{}` and `{}` want opposite things of {thing}",
            verdicts[other].control.id, verdicts[verdict].control.id
        ))
        .help("leave one of them out with --skip, or disable it in the baseline")
    };
    match edit {
        Edit::DaemonKey { file, edit, activation } => {
            let draft = of(drafts, context, file, verdict);
            match draft.json.iter().find(|(other, _)| other.path == edit.path) {
                Some((other, _)) if other.op == edit.op => {}
                Some((_, other)) => return Err(opposite(*other, format!("{} in {file}", edit.path.join(".")))),
                None => draft.json.push((edit.clone(), verdict)),
            }
            if let Some(action) = activation {
                actions.entry(*action).or_default().push(verdict);
            }
        }
        Edit::ContainerdKey { file, path, value } => {
            let draft = of(drafts, context, file, verdict);
            if !draft.toml.contains(&(*path, *value)) {
                draft.toml.push((*path, *value));
            }
        }
        Edit::ClearMode { path, allowed } => {
            let draft = of(drafts, context, path, verdict);
            draft.allowed = Some(draft.allowed.unwrap_or(0o7777) & allowed);
        }
        Edit::Chown { path, uid, gid } => {
            let draft = of(drafts, context, path, verdict);
            for (have, want) in [(&mut draft.uid, uid), (&mut draft.gid, gid)] {
                match (*have, want) {
                    (Some(have), Some(want)) if have != *want => {
                        let other = draft.verdicts[0];
                        return Err(opposite(other, format!("the owner of {path}")));
                    }
                    (_, Some(want)) => *have = Some(*want),
                    _ => {}
                }
            }
        }
        Edit::AuditOnDisk(rule) => {
            let draft = of(drafts, context, &format!("{RULES_DIR}/{}", rules_d::OWN_FILE), verdict);
            if !draft.rules.contains(rule) {
                draft.rules.push(rule.clone());
            }
        }
        Edit::AuditInKernel(rule) => {
            if !kernel.iter().any(|(other, _)| other == rule) {
                kernel.push((rule.clone(), verdict));
            }
            actions.entry(Action::AuditLoad).or_default().push(verdict);
        }
        Edit::DropIn { unit, setting } => {
            let draft = of(drafts, context, &drop_in_path(unit), verdict);
            match draft.settings.iter().find(|(other, _)| other[..2] == setting[..2]) {
                Some((other, _)) if other == setting => {}
                Some((_, other)) => return Err(opposite(*other, format!("{} of {unit}", setting[1]))),
                None => draft.settings.push((setting.clone(), verdict)),
            }
            actions.entry(Action::SystemdReload).or_default().push(verdict);
        }
        Edit::Activate(action) => actions.entry(*action).or_default().push(verdict),
    }
    Ok(())
}

/// Metadata first, then small files of harden's own, daemon.json last: what the daemon reads changes when all else is in place.
fn ordered(drafts: BTreeMap<String, Draft>, config: &str) -> Vec<(String, Draft)> {
    let mut drafts: Vec<_> = drafts.into_iter().collect();
    drafts.sort_by_key(|(path, draft)| (path == config, draft.has_content(), path.clone()));
    drafts
}

struct Folding<'v, 'c, 'f> {
    verdicts: &'v [Verdict<'v>],
    context: &'c Context<'f>,
    /// dockerd's configuration file, without symbolic links.
    config: String,
    /// Wishes for the metadata of what is not there yet: they are met as it is made.
    new: BTreeMap<String, Draft>,
    changes: Vec<Change>,
    changes_of: BTreeMap<usize, Vec<String>>,
    withheld_of: BTreeMap<usize, String>,
}

impl Folding<'_, '_, '_> {
    /// One change of one file, and the directories it needs; an error says why it is withheld.
    fn file(&mut self, path: &str, draft: &Draft) -> Result<(), String> {
        let fact = self.fact(path)?.cloned();
        let content = self.content(path, draft, fact.as_ref())?;
        let before = fact.as_ref().map(|fact| FileImage { content: None, ..FileImage::from(fact) });
        let (mode, uid, gid, kind) = match &fact {
            Some(fact) => (fact.mode, fact.uid, fact.gid, fact.kind),
            None if !draft.rules.is_empty() => (NEW_RULES_MODE, 0, 0, FileKind::File),
            None => (NEW_FILE_MODE, 0, 0, FileKind::File),
        };
        let before_content = fact.as_ref().and_then(|fact| fact.content.clone()).filter(|_| content.is_some());
        let after = FileImage {
            kind,
            mode: mode & draft.allowed.unwrap_or(0o7777),
            uid: draft.uid.unwrap_or(uid),
            gid: draft.gid.unwrap_or(gid),
            content: content.or_else(|| before_content.clone()),
            xattrs: None,
        };
        let before = before.map(|before| FileImage { content: before_content, ..before });
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        if let Some(reason) = fact.as_ref().and_then(reach::other_names) {
            return Err(reason);
        }
        if before.as_ref().is_none_or(|before| before.content != after.content) {
            self.way(path)?;
        }
        if before.is_none() {
            self.directories(path, &draft.verdicts)?;
        }
        let summary = summary(draft, before.as_ref(), &after);
        self.push(summary, Effect::File { path: path.to_owned(), before, after: Some(after) }, &draft.verdicts);
        Ok(())
    }

    /// What was seen at a real path, which may not be the name that was asked for; of several looks the one that read it.
    fn fact(&self, path: &str) -> Result<Option<&FileFact>, String> {
        let files = &self.context.facts.files;
        let looks = || files.values().filter_map(Fact::known).filter(|fact| fact.real_path == path);
        match files.get(path) {
            Some(Fact::Unknown(why)) => Err(why.clone()),
            Some(Fact::Absent) => Ok(None),
            Some(Fact::Known(fact)) if fact.content.is_some() => Ok(Some(fact)),
            _ => Ok(looks().find(|fact| fact.content.is_some()).or_else(|| looks().next())),
        }
    }

    /// Whether the directories above will be such that a file may be written there.
    fn way(&self, path: &str) -> Result<(), String> {
        let planned = |dir: &str| {
            self.changes.iter().find_map(|change| match &change.effect {
                Effect::File { path, after: Some(after), .. } if path == dir => Some((after.mode, after.uid, after.gid)),
                _ => None,
            })
        };
        reach::weak_way(&self.context.facts.files, path, &planned).map_or(Ok(()), Err)
    }

    /// Missing directories above a new file.
    fn directories(&mut self, path: &str, verdicts: &[usize]) -> Result<(), String> {
        let planned = |changes: &[Change], dir: &str| changes.iter().any(|change| change.target() == dir);
        let mut missing = Vec::new();
        for dir in Path::new(path).ancestors().skip(1).filter_map(Path::to_str) {
            match self.context.facts.files.get(dir) {
                Some(Fact::Absent) if !planned(&self.changes, dir) => missing.push(dir.to_owned()),
                Some(Fact::Unknown(why)) => return Err(why.clone()),
                _ => break,
            }
        }
        for dir in missing.into_iter().rev() {
            let wishes = self.new.remove(&dir).unwrap_or_default();
            let mode = NEW_DIR_MODE & wishes.allowed.unwrap_or(0o7777);
            let (uid, gid) = (wishes.uid.unwrap_or(0), wishes.gid.unwrap_or(0));
            let after = FileImage { kind: FileKind::Dir, mode, uid, gid, content: None, xattrs: None };
            let verdicts = [verdicts, &wishes.verdicts].concat();
            self.push("create the directory".into(), Effect::File { path: dir, before: None, after: Some(after) }, &verdicts);
        }
        Ok(())
    }

    /// The new content, where any is wished.
    fn content(&self, path: &str, draft: &Draft, fact: Option<&FileFact>) -> Result<Option<Content>, String> {
        let old = fact.and_then(|fact| fact.content.as_ref()).map(|content| content.0.as_slice());
        if fact.is_some()
            && old.is_none()
            && (draft.json.len() + draft.settings.len() + draft.rules.len() + draft.toml.len()) > 0
        {
            return Err(format!("{path} is not a regular file that was read"));
        }
        if !draft.json.is_empty() {
            return self.daemon_json(path, draft).map(Some);
        }
        if !draft.settings.is_empty() {
            let settings: Vec<_> = draft
                .settings
                .iter()
                .map(|([section, name, value], _)| (section.as_str(), name.as_str(), value.as_str()))
                .collect();
            return unit_file::drop_in(path, old, &settings)
                .map(|bytes| Some(Content(bytes)))
                .map_err(|problem| problem.to_string());
        }
        if !draft.rules.is_empty() {
            return Ok(Some(Content(rules_d::own_file(old, &self.context.rules.of_others(), &draft.rules))));
        }
        if !draft.toml.is_empty() {
            return containerd_toml(path, old, &draft.toml).map(Some);
        }
        Ok(None)
    }

    /// The edited daemon.json, if dockerd would start with it.
    fn daemon_json(&self, path: &str, draft: &Draft) -> Result<Content, String> {
        let effective = &self.context.effective;
        let empty = Document::empty();
        let document = match &effective.file {
            ConfigFile::Parsed(document) => document,
            ConfigFile::Missing => &empty,
            _ => return Err(effective.unreadable().unwrap_or_else(|| format!("{path} was not read"))),
        };
        let edits: Vec<_> = draft.json.iter().map(|(edit, _)| edit.clone()).collect();
        let bytes = document.apply(&edits).map_err(|error| error.to_string())?;
        let after =
            Document::parse(&bytes).map_err(|_| "the edited file does not parse; this is a bug in harden".to_owned())?;
        self.accepted(path, &after)?;
        Ok(Content(bytes))
    }

    /// Whether dockerd would start with this file and its flags, as far as they tell.
    fn accepted(&self, path: &str, document: &Document) -> Result<(), String> {
        let fatal = daemon_config::lints(document, self.context).into_iter().find(|lint| lint.fatal);
        if let Some(fatal) = fatal {
            return Err(format!("dockerd would still refuse {path}: line {}: {}; mend that first", fatal.line, fatal.what));
        }
        if let Some(key) = daemon_config::conflicts(self.context).first() {
            return Err(format!(
                "dockerd would still refuse {path}: `{key}` is also given as a flag; take one of them away first"
            ));
        }
        if let Some((key, file)) = daemon_config::missing_files(document, self.context.facts).first() {
            return Err(format!(
                "dockerd would still refuse {path}: its `{key}` names {file}, which does not exist; mend that first"
            ));
        }
        let missing = self.context.effective.unit.iter().flat_map(|(exec, _)| &exec.missing_env_files).next();
        match missing.filter(|_| self.context.facts.host.live) {
            Some(file) => Err(format!(
                "systemd would not start dockerd: {} names {}, which does not exist; mend that first",
                file.origin, file.path
            )),
            None => Ok(()),
        }
    }

    /// A reload or restart without an edit makes dockerd read the file as it is: it must be one that dockerd accepts.
    fn dockerd_reads_on(&mut self, actions: &BTreeMap<Action, Vec<usize>>) -> Result<(), String> {
        let effective = &self.context.effective;
        let ConfigFile::Parsed(document) = &effective.file else { return Ok(()) };
        let edited = |change: &Change| matches!(&change.effect, Effect::File { path, after: Some(after), .. } if after.content.is_some() && *path == self.config);
        let docker = [Action::DockerReload, Action::DockerRestart].into_iter().filter_map(|action| actions.get(&action));
        let verdicts: Vec<usize> = docker.flatten().copied().collect();
        if verdicts.is_empty() || self.changes.iter().any(edited) {
            return Ok(());
        }
        self.accepted(&effective.path, document).inspect_err(|reason| {
            for verdict in verdicts {
                self.withheld_of.entry(verdict).or_insert_with(|| reason.clone());
            }
        })
    }

    fn kernel_rules(&mut self, kernel: Vec<(Rule, usize)>) {
        if kernel.is_empty() {
            return;
        }
        let (rules, verdicts): (Vec<_>, Vec<_>) = kernel.into_iter().unzip();
        let summary = format!("add {} to the kernel's list; nothing is removed", count(rules.len(), "rule"));
        self.push(summary, Effect::AuditKernel { add: rules, remove: Vec::new() }, &verdicts);
    }

    fn push(&mut self, summary: String, effect: Effect, verdicts: &[usize]) {
        let id = format!("c{}", self.changes.len() + 1);
        let mut controls: Vec<String> = verdicts.iter().map(|&verdict| self.verdicts[verdict].control.id.clone()).collect();
        controls.sort();
        controls.dedup();
        let risk = verdicts.iter().map(|&verdict| self.verdicts[verdict].control.risk).max().unwrap_or(Risk::Safe);
        for &verdict in verdicts {
            self.changes_of.entry(verdict).or_default().push(id.clone());
        }
        self.changes.push(Change { id, controls, risk, summary, effect });
    }

    /// Activations in the cheapest order that works; verdicts whose change is withheld need none.
    fn activations(&self, actions: &BTreeMap<Action, Vec<usize>>) -> Vec<Activation> {
        let mut activations = Vec::new();
        for (&action, verdicts) in actions {
            let verdicts: Vec<_> = verdicts.iter().filter(|verdict| !self.withheld_of.contains_key(verdict)).collect();
            if verdicts.is_empty() || !self.context.facts.host.live {
                continue;
            }
            let mut changes: Vec<String> =
                verdicts.iter().filter_map(|verdict| self.changes_of.get(verdict)).flatten().cloned().collect();
            changes.sort_by_key(|id| id[1..].parse::<u32>().unwrap_or(0));
            changes.dedup();
            let (reason, by_hand) = self.describe(action, actions, &changes);
            activations.push(Activation { action, reason, changes, by_hand });
        }
        activations
    }

    /// What an activation does and interrupts, and what to type where harden can't do it.
    fn describe(&self, action: Action, actions: &BTreeMap<Action, Vec<usize>>, changes: &[String]) -> (String, Option<String>) {
        let facts = self.context.facts;
        match action {
            Action::AuditLoad => ("adds the missing audit rules to the kernel; interrupts nothing".into(), None),
            Action::SystemdReload => match facts.host.service_manager {
                ServiceManager::Systemd => ("systemd reads its units again; interrupts nothing".into(), None),
                _ => (
                    "systemd does not run here; the drop-in counts from its next start".into(),
                    Some("systemctl daemon-reload".into()),
                ),
            },
            Action::DockerReload => ("SIGHUP to dockerd: it reads its configuration again; interrupts nothing".into(), None),
            Action::DockerRestart => {
                let what = match facts.daemon.api.known().and_then(|api| api.containers_running) {
                    None => "restarts dockerd, which may stop containers: what runs is not known".to_owned(),
                    Some(0) => "restarts dockerd; no container is running".to_owned(),
                    Some(n) => {
                        let containers = count(n as usize, "container");
                        match self.containers_survive(actions) {
                            true => format!("restarts dockerd; {containers} running and keep running by live-restore"),
                            false => format!("restarts dockerd, which stops {containers}: live-restore is off"),
                        }
                    }
                };
                let why = if changes.is_empty() { format!("{what} (what is on disk is not in force yet)") } else { what };
                (why, daemon::restart_by_hand(facts))
            }
        }
    }
}

impl Folding<'_, '_, '_> {
    /// Whether containers outlive the restart that this plan comes to.
    fn containers_survive(&self, actions: &BTreeMap<Action, Vec<usize>>) -> bool {
        let reloaded = actions.get(&Action::DockerReload).into_iter().flatten();
        let fixed = self.changes_of.keys().chain(reloaded).filter(|index| !self.withheld_of.contains_key(index));
        daemon::containers_survive(fixed.map(|&index| &self.verdicts[index]), self.context)
    }
}

fn containerd_toml(path: &str, old: Option<&[u8]>, edits: &[([&'static str; 2], i64)]) -> Result<Content, String> {
    let text = std::str::from_utf8(old.unwrap_or_default()).map_err(|error| format!("{path}: {error}"))?;
    let mut document: toml_edit::DocumentMut = text.parse().map_err(|error| format!("{path}: {error}"))?;
    for ([table, key], value) in edits {
        let mut new = toml_edit::Value::from(*value);
        // A comment behind the old value stays.
        if let Some(old) = document.get(table).and_then(|table| table.get(key)).and_then(toml_edit::Item::as_value) {
            *new.decor_mut() = old.decor().clone();
        }
        document[table][key] = toml_edit::Item::Value(new);
    }
    Ok(Content(document.to_string().into_bytes()))
}

fn summary(draft: &Draft, before: Option<&FileImage>, after: &FileImage) -> String {
    let mut parts = Vec::new();
    let name = |edit: &daemon_json::Edit| edit.path.join(".");
    let (removed, set): (Vec<_>, Vec<_>) = draft.json.iter().map(|(edit, _)| edit).partition(|edit| edit.op == Op::Remove);
    if !set.is_empty() {
        parts.push(format!("set {}", set.into_iter().map(name).collect::<Vec<_>>().join(", ")));
    }
    if !removed.is_empty() {
        parts.push(format!("remove {}", removed.into_iter().map(name).collect::<Vec<_>>().join(", ")));
    }
    if !draft.settings.is_empty() {
        let settings = draft.settings.iter().map(|([_, name, value], _)| format!("{name}={value}"));
        parts.push(format!("set {}", settings.collect::<Vec<_>>().join(", ")));
    }
    if !draft.rules.is_empty() {
        parts.push(format!("add {}", count(draft.rules.len(), "audit rule")));
    }
    for (path, value) in &draft.toml {
        parts.push(format!("set {}={value}", path.join(".")));
    }
    if let Some(before) = before {
        if before.mode != after.mode {
            parts.push(format!("mode {:04o} to {:04o}", before.mode, after.mode));
        }
        if (before.uid, before.gid) != (after.uid, after.gid) {
            parts.push(format!("owner {}:{} to {}:{}", before.uid, before.gid, after.uid, after.gid));
        }
    }
    parts.join("; ")
}

/// "1 rule", "2 rules".
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
