//! What all controls together wish for one file.

use std::collections::BTreeMap;

use crate::change::{Action, ContainerEdit, ContainerLimits, Edit, FileImage, Parameter};
use crate::error::{Error, Result};
use crate::finding::Verdict;
use crate::formats::audit_rule::Rule;
use crate::formats::daemon_json::{self, Op};
use crate::formats::{rules_d, sysctl};
use crate::kinds::Context;
use crate::kinds::effective::SERVICE;
use crate::observe::RULES_DIR;
use crate::plan::{count, drop_in_path};
use crate::reach;

/// Everything that is wished for one file.
#[derive(Default)]
pub struct Draft {
    pub json: Vec<(daemon_json::Edit, usize)>,
    pub toml: Vec<([&'static str; 2], i64)>,
    pub settings: Vec<([String; 3], usize)>,
    pub flags: Vec<(daemon_json::Edit, usize)>,
    pub rules: Vec<Rule>,
    pub parameters: Vec<((String, String), usize)>,
    /// Group and user.
    pub leavers: Vec<(String, String)>,
    pub allowed: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub verdicts: Vec<usize>,
}

/// Everything that is wished for one container.
#[derive(Default)]
pub struct ContainerDraft {
    pub target: String,
    pub before: ContainerLimits,
    pub after: ContainerLimits,
    pub verdicts: Vec<usize>,
}

/// Everything that is wished, by what it is wished for.
#[derive(Default)]
pub struct Drafts {
    pub files: BTreeMap<String, Draft>,
    pub containers: Containers,
}

/// Containers by their ids.
pub type Containers = BTreeMap<String, ContainerDraft>;

impl Draft {
    pub fn has_content(&self) -> bool {
        !self.json.is_empty()
            || !self.toml.is_empty()
            || !self.settings.is_empty()
            || !self.flags.is_empty()
            || !self.rules.is_empty()
            || !self.parameters.is_empty()
            || !self.leavers.is_empty()
    }
}

/// What is wished of the running kernel, with the verdict that wishes it.
#[derive(Default)]
pub struct InKernel {
    pub rules: Vec<(Rule, usize)>,
    pub parameters: Vec<(Parameter, usize)>,
}

/// Metadata first, then small files of harden's own, daemon.json last: what the daemon reads changes when all else is in place.
pub fn ordered(drafts: BTreeMap<String, Draft>, config: &str) -> Vec<(String, Draft)> {
    let mut drafts: Vec<_> = drafts.into_iter().collect();
    drafts.sort_by_key(|(path, draft)| (path == config, draft.has_content(), path.clone()));
    drafts
}

pub fn collect(
    edit: &Edit,
    verdict: usize,
    verdicts: &[Verdict],
    context: &Context,
    Drafts { files: drafts, containers }: &mut Drafts,
    kernel: &mut InKernel,
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
        Edit::DaemonFlag { edit, activation } => {
            let draft = of(drafts, context, &drop_in_path(SERVICE), verdict);
            // Of an object and its members the later edit would undo the earlier.
            let touch = |one: &[String], other: &[String]| one.starts_with(other) || other.starts_with(one);
            match draft.flags.iter().find(|(other, _)| touch(&other.path, &edit.path)) {
                Some((other, _)) if other == edit => {}
                Some((other, _)) if other.op == Op::Remove && edit.op == Op::Remove => {
                    draft.flags.push((edit.clone(), verdict))
                }
                Some((_, other)) => {
                    return Err(opposite(*other, format!("the flags of dockerd that give {}", edit.path.join("."))));
                }
                None => draft.flags.push((edit.clone(), verdict)),
            }
            actions.entry(Action::SystemdReload).or_default().push(verdict);
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
            if !kernel.rules.iter().any(|(other, _)| other == rule) {
                kernel.rules.push((rule.clone(), verdict));
            }
            actions.entry(Action::AuditLoad).or_default().push(verdict);
        }
        Edit::SysctlAtBoot { key, value } => {
            let draft = of(drafts, context, sysctl::OWN_FILE, verdict);
            match draft.parameters.iter().find(|((other, _), _)| other == key) {
                Some(((_, other), _)) if other == value => {}
                Some((_, other)) => return Err(opposite(*other, key.clone())),
                None => draft.parameters.push(((key.clone(), value.clone()), verdict)),
            }
        }
        Edit::SysctlNow(parameter) => {
            match kernel.parameters.iter().find(|(other, _)| other.key == parameter.key) {
                Some((other, _)) if other == parameter => {}
                Some((_, other)) => return Err(opposite(*other, parameter.key.clone())),
                None => kernel.parameters.push((parameter.clone(), verdict)),
            }
            actions.entry(Action::Sysctl).or_default().push(verdict);
        }
        Edit::LeaveGroup { file, group, user } => {
            let leaver = (group.clone(), user.clone());
            let draft = of(drafts, context, file, verdict);
            if !draft.leavers.contains(&leaver) {
                draft.leavers.push(leaver);
            }
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
        Edit::Container(edit) => {
            let ContainerEdit { id, target, before, after } = &**edit;
            let draft =
                containers.entry(id.clone()).or_insert_with(|| ContainerDraft { target: target.clone(), ..Default::default() });
            let other = draft.verdicts.first().copied();
            let merged = draft.before.merge(before).and_then(|()| draft.after.merge(after));
            if let Err(what) = merged {
                return Err(opposite(other.unwrap_or(verdict), format!("{what} of {target}")));
            }
            draft.verdicts.push(verdict);
        }
        Edit::Activate(action) => actions.entry(*action).or_default().push(verdict),
    }
    Ok(())
}

pub fn summary(draft: &Draft, before: Option<&FileImage>, after: &FileImage) -> String {
    let mut parts = Vec::new();
    for (edits, of) in [(&draft.json, ""), (&draft.flags, "dockerd's flags for ")] {
        let names =
            |edits: Vec<&daemon_json::Edit>| edits.iter().map(|edit| edit.path.join(".")).collect::<Vec<_>>().join(", ");
        let (removed, set): (Vec<_>, Vec<_>) = edits.iter().map(|(edit, _)| edit).partition(|edit| edit.op == Op::Remove);
        if !set.is_empty() {
            parts.push(format!("set {of}{}", names(set)));
        }
        if !removed.is_empty() {
            parts.push(format!("remove {of}{}", names(removed)));
        }
    }
    if !draft.settings.is_empty() {
        let settings = draft.settings.iter().map(|([_, name, value], _)| format!("{name}={value}"));
        parts.push(format!("set {}", settings.collect::<Vec<_>>().join(", ")));
    }
    if !draft.rules.is_empty() {
        parts.push(format!("add {}", count(draft.rules.len(), "audit rule")));
    }
    for (group, user) in &draft.leavers {
        parts.push(format!("take {user} out of the group {group}"));
    }
    if !draft.parameters.is_empty() {
        parts.push(format!("set {} for the next boot", count(draft.parameters.len(), "kernel parameter")));
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
