//! What dockerd, or its containers, need at the next start and neither a clean reload nor `dockerd --validate` tells (daemon.md §5).
//!
//! One table of checks, one function a check. A check asks [`Next`] for what it wants to know of the host; what was not looked at
//! yet is noted, so that observing looks at exactly that and at nothing else ([`observe`]).

mod access;
mod logging;
mod network;
mod process;

use std::cell::RefCell;

use serde_json::Value;

use crate::baseline::Baseline;
use crate::baseline::control::{Place, Want};
use crate::change::Edit;
use crate::fact::{Fact, Facts, FileFact, FileKind};
use crate::finding::Outcome;
use crate::foresight;
use crate::formats::daemon_json::{self, Document};
use crate::formats::daemon_keys::EngineVersion;
use crate::kinds::effective::{ConfigFile, Effective, SERVICE};
use crate::kinds::{Context, daemon, flags, unit};
use crate::observe::Observer;
use crate::plan::Plan;

/// Every check.
const CHECKS: &[fn(&Next) -> Vec<Defect>] = &[
    network::bridge_filter,
    network::packet_filter,
    network::proxy,
    network::swarm,
    logging::driver,
    logging::option_names,
    logging::modes,
    logging::option_values,
    process::ulimits,
    process::seccomp_profile,
    process::cgroups,
    access::group,
    access::key_pair,
    access::plugins,
    access::user_namespace,
    access::registries,
    access::api_version,
];

/// Where systemd looks for programs of a service, unless the unit says otherwise.
const SERVICE_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// More looks than any configuration takes.
const MAX_LOOKS: usize = 500;

/// What a defect does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// dockerd does not start.
    Start,
    /// dockerd starts, and then no container does.
    Containers,
    /// All starts, without a protection that seems to be there.
    Protection,
}

/// Something in the configuration that the host, the engine or another key does not go along with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defect {
    /// The key, and its member where it is about one.
    pub key: Vec<String>,
    /// What it does.
    pub harm: Harm,
    /// What is wrong: a clause that names keys, and shows no value that may be a secret.
    pub what: String,
    /// What to do about it.
    pub help: String,
    /// Whether it was seen; else it could not be looked at, and `what` says why.
    pub seen: bool,
}

impl Defect {
    fn new(key: &str, harm: Harm, what: String, help: impl Into<String>) -> Self {
        Defect { key: vec![key.to_owned()], harm, what, help: help.into(), seen: true }
    }

    fn of_member(key: &str, member: &str, harm: Harm, what: String, help: impl Into<String>) -> Self {
        Defect { key: vec![key.to_owned(), member.to_owned()], ..Defect::new(key, harm, what, help) }
    }

    fn untold(key: &str, harm: Harm, what: String) -> Self {
        Defect { seen: false, ..Defect::new(key, harm, what, "") }
    }

    /// Whether it is a reason not to have dockerd read the file.
    pub fn stops(&self) -> bool {
        self.harm != Harm::Protection
    }

    /// What happens with such a file, and what to do.
    pub fn advice(&self) -> String {
        let happens = match self.harm {
            Harm::Start => "dockerd does not start with it",
            Harm::Containers => "dockerd starts with it, and then no container does",
            Harm::Protection => "it protects nothing",
        };
        format!("{happens}; {}", self.help)
    }

    /// Why an edit that brings it about is not made.
    pub fn objection(&self) -> String {
        match (self.seen, self.harm) {
            (false, _) => self.what.clone(),
            (true, Harm::Containers) => format!("no container would start then: {}; {}", self.what, self.help),
            (true, _) => format!("dockerd would not start then: {}; {}", self.what, self.help),
        }
    }
}

/// What is wrong with a document that is the configuration file, or would be.
pub fn defects(document: &Document, context: &Context) -> Vec<Defect> {
    let next = Next::new(document, context);
    CHECKS.iter().flat_map(|check| check(&next)).collect()
}

/// Those that the document has and the present file has not.
pub fn new_defects(document: &Document, context: &Context) -> Vec<Defect> {
    new_defects_after(document, context, context)
}

/// Those that the document has once dockerd's flags are as `later` says, and the present file has not with the present flags.
pub fn new_defects_after(document: &Document, later: &Context, context: &Context) -> Vec<Defect> {
    let present = match &context.effective.file {
        ConfigFile::Parsed(document) => defects(document, context),
        _ => defects(&Document::empty(), context),
    };
    let mut found = defects(document, later);
    found.retain(|defect| !present.contains(defect));
    found
}

/// Looks at what the checks want to know, of the file as it is and as the controls of a baseline would have it.
pub fn observe(observer: &mut Observer, baseline: Option<&Baseline>) {
    look(observer, &|facts| {
        let context = Context::of_daemon(facts);
        let mut looks = Vec::new();
        for (document, later) in starts(baseline, &context) {
            looks.extend(match later {
                Some(later) => wanted(&document, &Context::of_daemon(&later)),
                None => wanted(&document, &context),
            });
        }
        looks
    });
}

/// Looks at what the checks want to know of the file as a plan will leave it.
pub fn observe_after(observer: &mut Observer, plan: &Plan) {
    look(observer, &|facts| {
        let later = foresight::after(facts, plan);
        let context = Context::of_daemon(&later);
        starts(None, &context).iter().flat_map(|(document, _)| wanted(document, &context)).collect()
    });
}

fn look(observer: &mut Observer, wanted: &dyn Fn(&Facts) -> Vec<Look>) {
    // One look may lead to the next.
    for _ in 0..MAX_LOOKS {
        let looks = wanted(observer.facts());
        if looks.is_empty() {
            return;
        }
        for look in looks {
            match look {
                Look::Stat(path) => observer.stat(&path),
                Look::Read(path) => drop(observer.read(&path)),
                Look::User(name) => observer.user(&name),
                Look::Group(name) => observer.group(&name),
                Look::Matches(pattern) => drop(observer.resolve(&Place::Pattern(pattern))),
                Look::SearchPath => observer.search_path(),
                Look::Swarm => observer.swarm_state(),
            }
        }
    }
}

/// What a document makes the checks want to know and was not looked at.
fn wanted(document: &Document, context: &Context) -> Vec<Look> {
    let next = Next::new(document, context);
    CHECKS.iter().for_each(|check| drop(check(&next)));
    next.looks.into_inner()
}

/// The edits of daemon.json and those of dockerd's flags.
pub fn edits_of(edits: &[Edit]) -> (Vec<daemon_json::Edit>, Vec<daemon_json::Edit>) {
    let (mut of_file, mut of_flags) = (Vec::new(), Vec::new());
    for edit in edits {
        match edit {
            Edit::DaemonKey { edit, .. } => of_file.push(edit.clone()),
            Edit::DaemonFlag { edit, .. } if !of_flags.contains(edit) => of_flags.push(edit.clone()),
            _ => {}
        }
    }
    (of_file, of_flags)
}

/// The file as it is, after what each control would edit, and after all of that; where flags are edited too, with the facts as they are
/// then.
fn starts(baseline: Option<&Baseline>, context: &Context) -> Vec<(Document, Option<Facts>)> {
    let empty = Document::empty();
    let present = match &context.effective.file {
        ConfigFile::Parsed(document) => document,
        ConfigFile::Missing => &empty,
        ConfigFile::Broken(_) | ConfigFile::Unreadable(_) => return Vec::new(),
    };
    let controls = baseline.map_or([].as_slice(), |baseline| &baseline.controls);
    let verdicts = controls.iter().filter_map(|control| match &control.want {
        Want::Daemon(want) => Some(daemon::judge(control, want, context)),
        _ => None,
    });
    let wishes: Vec<Vec<Edit>> = verdicts
        .flatten()
        .filter_map(|verdict| match verdict.outcome {
            Outcome::Fixable(wishes) => Some(wishes),
            _ => None,
        })
        .collect();
    let after = |wishes: &[Edit]| {
        let (of_file, of_flags) = edits_of(wishes);
        let document = Document::parse(&present.apply(&of_file).ok()?).ok()?;
        let later = if of_flags.is_empty() { None } else { flags::after(context, &of_flags) };
        Some((document, later))
    };
    let mut starts = vec![(present.clone(), None)];
    starts.extend(wishes.iter().filter_map(|wishes| after(wishes)));
    starts.extend(after(&wishes.concat()));
    starts
}

/// Something that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    Stat(String),
    Read(String),
    User(String),
    Group(String),
    Matches(String),
    SearchPath,
    Swarm,
}

/// The next start: a document, the flags that dockerd will have, and the host.
struct Next<'c, 'f> {
    context: &'c Context<'f>,
    effective: Effective,
    /// The document is not the file as it is: harden would write it, and make dockerd read it.
    edited: bool,
    looks: RefCell<Vec<Look>>,
}

impl<'c, 'f> Next<'c, 'f> {
    fn new(document: &Document, context: &'c Context<'f>) -> Self {
        let effective = context.effective.next(document.clone(), context.facts);
        let edited = match &context.effective.file {
            ConfigFile::Parsed(present) => present.value() != document.value(),
            _ => document.value().as_object().is_some_and(|members| !members.is_empty()),
        };
        Next { context, effective, edited, looks: RefCell::default() }
    }

    /// The value of a key, by flag, file or default.
    fn value(&self, key: &str) -> Option<Value> {
        self.effective.setting(key, None).value
    }

    fn is(&self, key: &str, value: bool) -> bool {
        self.value(key) == Some(Value::Bool(value))
    }

    /// A text that is not empty.
    fn text(&self, key: &str) -> Option<String> {
        self.value(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn texts(&self, key: &str) -> Vec<String> {
        let texts = self.value(key);
        let texts = texts.as_ref().and_then(Value::as_array).into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    }

    /// Whether file or flags name the key: of the present file, or of the document.
    fn speaks_of(&self, key: &str) -> bool {
        self.effective.configured(key).is_some() || self.context.effective.configured(key).is_some()
    }

    /// Whether the running dockerd started with the very value that the next one will get.
    fn started_with(&self, key: &str) -> bool {
        let facts = self.context.facts;
        let (Some(process), Some(file)) =
            (facts.daemon.process.known(), facts.files.get(&facts.daemon.config_file).and_then(Fact::known))
        else {
            return false;
        };
        let effective = &self.context.effective;
        let running = effective.running_setting(key, None).unwrap_or_else(|| effective.setting(key, None));
        file.mtime_ns <= process.started_ns && running.value == self.value(key)
    }

    /// Before this major version; false where the version is unknown.
    fn before(&self, major: u32) -> bool {
        self.effective.version.is_some_and(|version| version < EngineVersion::new(major, 0, 0))
    }

    /// Not before this major version; false where the version is unknown.
    fn since(&self, major: u32) -> bool {
        self.effective.version.is_some_and(|version| version >= EngineVersion::new(major, 0, 0))
    }

    /// What a tree will find in its kernel, its sockets and its search path, nobody knows.
    fn live(&self) -> bool {
        self.context.facts.host.live
    }

    /// A file's owner and kind.
    fn file(&self, path: &str) -> Fact<FileFact> {
        match self.context.facts.files.get(path) {
            Some(fact) => fact.clone(),
            None => self.note(Look::Stat(path.to_owned())),
        }
    }

    /// A file's content; `Unknown` for what is no regular file.
    fn content(&self, path: &str) -> Fact<Vec<u8>> {
        match self.context.facts.files.get(path) {
            Some(Fact::Known(file)) if file.kind != FileKind::File => Fact::Unknown(format!("{path} is no regular file")),
            Some(Fact::Known(file)) => match &file.content {
                Some(content) => Fact::Known(content.0.clone()),
                None => self.note(Look::Read(path.to_owned())),
            },
            Some(Fact::Absent) => Fact::Absent,
            Some(Fact::Unknown(why)) => Fact::Unknown(why.clone()),
            None => self.note(Look::Read(path.to_owned())),
        }
    }

    fn user(&self, name: &str) -> Fact<u32> {
        match self.context.facts.users.get(name) {
            Some(fact) => fact.clone(),
            None if name == "root" => Fact::Known(0),
            None => self.note(Look::User(name.to_owned())),
        }
    }

    fn group(&self, name: &str) -> Fact<u32> {
        match self.context.facts.groups.get(name) {
            Some(fact) => fact.clone(),
            None if name == "root" => Fact::Known(0),
            None => self.note(Look::Group(name.to_owned())),
        }
    }

    /// The paths that a pattern matches.
    fn matches(&self, pattern: &str) -> Fact<Vec<String>> {
        match self.context.facts.globs.get(pattern) {
            Some(fact) => fact.clone(),
            None => self.note(Look::Matches(pattern.to_owned())),
        }
    }

    /// Whether this node is in a swarm.
    fn in_swarm(&self) -> Fact<()> {
        match daemon::swarm(self.context.facts, self.context) {
            Ok(Some(_)) => Fact::Known(()),
            Ok(None) => Fact::Absent,
            Err(_) if !self.knows_swarm() => self.note(Look::Swarm),
            Err(why) => Fact::Unknown(why),
        }
    }

    fn knows_swarm(&self) -> bool {
        let path = format!("{}/{}", self.context.effective.data_root(self.context.facts), daemon::SWARM_STATE);
        self.context.facts.files.contains_key(&path)
    }

    /// The first file of these names that is there.
    fn any_of(&self, paths: impl IntoIterator<Item = String>) -> Fact<String> {
        for path in paths {
            match self.file(&path) {
                Fact::Known(_) => return Fact::Known(path),
                Fact::Absent => {}
                Fact::Unknown(why) => return Fact::Unknown(why),
            }
        }
        Fact::Absent
    }

    /// A program where dockerd looks for it: in these directories, then in its `PATH`.
    fn program(&self, name: &str, first: &[&str]) -> Fact<String> {
        let path = match self.search_path() {
            Fact::Known(path) => path,
            Fact::Absent => return Fact::Unknown("dockerd has no PATH".into()),
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        let dirs = first.iter().copied().chain(path.split(':')).filter(|dir| dir.starts_with('/'));
        self.any_of(dirs.map(|dir| format!("{dir}/{name}")).collect::<Vec<_>>())
    }

    /// `PATH` of the dockerd that starts next: that of the one that runs, else the one that its unit gives.
    fn search_path(&self) -> Fact<String> {
        let daemon = &self.context.facts.daemon;
        if daemon.process.known().is_some() {
            return daemon.search_path.clone().unwrap_or_else(|| self.note(Look::SearchPath));
        }
        if self.effective.unit.is_none() {
            return Fact::Absent;
        }
        let of_unit =
            self.environment().into_iter().filter_map(|word| word.strip_prefix("PATH=").map(str::to_owned)).next_back();
        Fact::Known(of_unit.unwrap_or_else(|| SERVICE_PATH.into()))
    }

    /// What the unit puts into the environment, word by word.
    fn environment(&self) -> Vec<String> {
        let unit = unit::merged(self.context.facts, SERVICE);
        let lines = unit.list("Service", "Environment");
        let words = lines.iter().flat_map(|(line, _)| line.split_whitespace());
        words.map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
    }

    fn note<T>(&self, look: Look) -> Fact<T> {
        let mut looks = self.looks.borrow_mut();
        if !looks.contains(&look) {
            looks.push(look);
        }
        Fact::default()
    }
}

#[cfg(test)]
mod tests;
