//! Drafts into changes: each with everything before and after, or the reason why it is withheld.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::baseline::control::Risk;
use crate::change::{Action, Change, Effect, FileImage, Parameter};
use crate::fact::{Content, Fact, Facts, FileFact, FileKind};
use crate::finding::Verdict;
use crate::foresight;
use crate::formats::audit_rule::Rule;
use crate::formats::daemon_json::Document;
use crate::formats::unit_file::{self, Setting};
use crate::formats::{group_file, rules_d, sysctl};
use crate::kinds::effective::ConfigFile;
use crate::kinds::{Context, flags, next_start};
use crate::plan::count;
use crate::plan::draft::{ContainerDraft, Containers, Draft, summary};
use crate::reach;

/// Mode of a daemon.json or a drop-in that harden creates.
const NEW_FILE_MODE: u32 = 0o644;
/// Mode of a rules file that harden creates: what Debian and RHEL give theirs.
const NEW_RULES_MODE: u32 = 0o640;
const NEW_DIR_MODE: u32 = 0o755;

pub struct Folding<'v, 'c, 'f> {
    pub verdicts: &'v [Verdict<'v>],
    pub context: &'c Context<'f>,
    /// dockerd's configuration file, without symbolic links.
    pub config: String,
    /// What will be seen once dockerd's flags are corrected, where they are: the configuration file is judged by the flags of the next
    /// start.
    pub later: Option<Facts>,
    /// What was seen, by real path; of several looks the one that read it.
    pub seen: HashMap<&'f str, &'f FileFact>,
    /// Wishes for the metadata of what is not there yet: they are met as it is made.
    pub new: BTreeMap<String, Draft>,
    pub changes: Vec<Change>,
    pub changes_of: BTreeMap<usize, Vec<String>>,
    pub withheld_of: BTreeMap<usize, String>,
}

impl Folding<'_, '_, '_> {
    /// One change of one file, and the directories it needs; an error says why it is withheld.
    pub fn file(&mut self, path: &str, draft: &Draft) -> Result<(), String> {
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
            mtime_ns: None,
        };
        let before = before.map(|before| FileImage { content: before_content, ..before });
        if before.as_ref() == Some(&after) {
            return Ok(());
        }
        if let Some(reason) = fact.as_ref().and_then(reach::other_names) {
            return Err(reason);
        }
        let facts = self.context.facts;
        if let Some(reason) = fact.as_ref().and_then(|fact| reach::sealed(&facts.host.root, fact)) {
            return Err(reason);
        }
        if before.as_ref().is_none_or(|before| before.content != after.content) {
            self.way(path)?;
            reach::sealed_way(&facts.host.root, &facts.files, path).map_or(Ok(()), Err)?;
        }
        if before.is_none() {
            self.directories(path, &draft.verdicts)?;
        }
        let summary = summary(draft, before.as_ref(), &after);
        if !draft.flags.is_empty() {
            self.later = Some(foresight::with_file(self.context.facts, path, &after));
        }
        self.push(summary, Effect::File { path: path.to_owned(), before, after: Some(after) }, &draft.verdicts);
        Ok(())
    }

    /// What was seen at a real path, which may not be the name that was asked for; of several looks the one that read it.
    pub fn fact(&self, path: &str) -> Result<Option<&FileFact>, String> {
        let files = &self.context.facts.files;
        match files.get(path) {
            Some(Fact::Unknown(why)) => Err(why.clone()),
            Some(Fact::Absent) => Ok(None),
            Some(Fact::Known(fact)) if fact.content.is_some() => Ok(Some(fact)),
            _ => Ok(self.seen.get(path).copied()),
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
                Some(Fact::Known(file)) if file.kind != FileKind::Dir => return Err(format!("{dir} is not a directory")),
                _ => break,
            }
        }
        for dir in missing.into_iter().rev() {
            let wishes = self.new.remove(&dir).unwrap_or_default();
            let mode = NEW_DIR_MODE & wishes.allowed.unwrap_or(0o7777);
            let (uid, gid) = (wishes.uid.unwrap_or(0), wishes.gid.unwrap_or(0));
            let after = FileImage { kind: FileKind::Dir, mode, uid, gid, content: None, xattrs: None, mtime_ns: None };
            let verdicts = [verdicts, &wishes.verdicts].concat();
            self.push("create the directory".into(), Effect::File { path: dir, before: None, after: Some(after) }, &verdicts);
        }
        Ok(())
    }

    /// The new content, where any is wished.
    fn content(&self, path: &str, draft: &Draft, fact: Option<&FileFact>) -> Result<Option<Content>, String> {
        let old = fact.and_then(|fact| fact.content.as_ref()).map(|content| content.0.as_slice());
        if fact.is_some() && old.is_none() && draft.has_content() {
            return Err(format!("{path} is not a regular file that was read"));
        }
        if !draft.json.is_empty() {
            return self.daemon_json(path, draft).map(Some);
        }
        if !draft.settings.is_empty() || !draft.flags.is_empty() {
            return self.drop_in(path, draft, old).map(Some);
        }
        if !draft.rules.is_empty() {
            return Ok(Some(Content(rules_d::own_file(old, &self.context.rules.of_others(), &draft.rules))));
        }
        if !draft.leavers.is_empty() {
            let without = |bytes: Vec<u8>, (group, user): &(String, String)| {
                group_file::without(&bytes, group, std::slice::from_ref(user))
            };
            return Ok(Some(Content(draft.leavers.iter().fold(old.unwrap_or_default().to_vec(), without))));
        }
        if !draft.parameters.is_empty() {
            let wanted: Vec<_> = draft.parameters.iter().map(|(parameter, _)| parameter.clone()).collect();
            return Ok(Some(Content(sysctl::own_file(old, &wanted))));
        }
        if !draft.toml.is_empty() {
            return containerd_toml(path, old, &draft.toml).map(Some);
        }
        Ok(None)
    }

    /// harden's drop-in of a unit; of docker.service with dockerd's flags as all controls together want them.
    fn drop_in(&self, path: &str, draft: &Draft, old: Option<&[u8]>) -> Result<Content, String> {
        let edits: Vec<_> = draft.flags.iter().map(|(edit, _)| edit.clone()).collect();
        let corrected = match edits.as_slice() {
            [] => None,
            edits => Some(flags::corrected(self.context, edits).map_err(|obstacle| obstacle.to_string())?),
        };
        let comment = corrected.as_ref().map(flags::Corrected::comment);
        let comment = comment.as_deref();
        let flags = corrected.iter().flat_map(flags::Corrected::settings);
        let flags = flags.map(|(section, name, value)| Setting { section, name, value, comment });
        let settings = draft.settings.iter().map(|([section, name, value], _)| Setting::new(section, name, value));
        let settings: Vec<_> = settings.chain(flags).collect();
        unit_file::drop_in(path, old, &settings).map(Content).map_err(|problem| problem.to_string())
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

    fn accepted(&self, path: &str, document: &Document) -> Result<(), String> {
        match &self.later {
            Some(later) => next_start::accepted(path, document, &Context::new(later, &self.context.audit_key)),
            None => next_start::accepted(path, document, self.context),
        }
    }

    /// A reload or restart without an edit makes dockerd read the file as it is: it must be one that dockerd accepts.
    pub fn dockerd_reads_on(&mut self, actions: &BTreeMap<Action, Vec<usize>>) -> Result<(), String> {
        let effective = &self.context.effective;
        let empty = Document::empty();
        let document = match &effective.file {
            ConfigFile::Parsed(document) => document,
            ConfigFile::Missing => &empty,
            ConfigFile::Broken(_) | ConfigFile::Unreadable(_) => return Ok(()),
        };
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

    pub fn kernel_rules(&mut self, kernel: Vec<(Rule, usize)>) {
        if kernel.is_empty() {
            return;
        }
        let (rules, verdicts): (Vec<_>, Vec<_>) = kernel.into_iter().unzip();
        let summary = format!("add {} to the kernel's list; nothing is removed", count(rules.len(), "rule"));
        self.push(summary, Effect::AuditKernel { add: rules, remove: Vec::new() }, &verdicts);
    }

    /// Parameters of the running kernel, after the file that holds them for the next boot; not where that is withheld.
    pub fn parameters(&mut self, mut parameters: Vec<(Parameter, usize)>) {
        parameters.retain(|(_, verdict)| !self.withheld_of.contains_key(verdict));
        if parameters.is_empty() {
            return;
        }
        let (set, mut verdicts): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
        verdicts.dedup();
        let summary = format!("set {} of the running kernel", count(set.len(), "parameter"));
        self.push(summary, Effect::Sysctl { set }, &verdicts);
    }

    /// One update a container, by name: the order in which people look for them.
    pub fn containers(&mut self, drafts: Containers) {
        let mut drafts: Vec<_> = drafts.into_iter().collect();
        drafts.sort_by(|(_, a), (_, b)| a.target.cmp(&b.target));
        for (id, ContainerDraft { target, before, after, verdicts }) in drafts {
            let summary = format!("set {}", after.lines().join(", "));
            self.push(summary, Effect::Container { id, target, before, after }, &verdicts);
        }
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

/// What was seen, by real path, in one pass; of several looks at a file the first that read it, else the first.
pub fn by_real_path(facts: &Facts) -> HashMap<&str, &FileFact> {
    let mut seen: HashMap<&str, &FileFact> = HashMap::new();
    for fact in facts.files.values().filter_map(Fact::known) {
        let look = seen.entry(&fact.real_path).or_insert(fact);
        if look.content.is_none() && fact.content.is_some() {
            *look = fact;
        }
    }
    seen
}
