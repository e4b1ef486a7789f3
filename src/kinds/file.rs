//! Owner and mode of files and directories.

use crate::baseline::control::{Control, FileWant, Mode, Place};
use crate::change::Edit;
use crate::fact::{AclEntry, AclWho, Fact, Facts, FileFact, FileKind};
use crate::finding::{Outcome, Verdict};
use crate::kinds::place::{self, Resolved};
use crate::kinds::{Context, docker_missing, layout, not_applicable, unknown, verdict};
use crate::observe::Observer;
use crate::render::progress;

/// Bits that let others than the owner write.
const WRITABLE_FOR_OTHERS: u32 = 0o022;

/// Looks at every file that the control names.
pub fn observe(want: &FileWant, observer: &mut Observer) {
    for name in want.owner.iter() {
        observer.user(name);
    }
    for name in want.group.iter().chain(&want.group_one_of) {
        observer.group(name);
    }
    for place in &want.paths {
        progress::stage(format!("looking for {place}"));
        let paths = observer.resolve(place);
        progress::stage(format!("looking at {} ({place})", progress::many(paths.len(), "file")));
        let (doing, count) = (format!("looking at files of {place}"), paths.len());
        for (index, path) in paths.into_iter().enumerate() {
            if index > 0 {
                progress::count(&doing, index, count);
            }
            observer.stat(&path);
            if want.parents {
                for parent in parents(&path) {
                    observer.stat(parent);
                }
            }
        }
    }
}

/// One verdict a file; one in all when there is none.
pub fn judge<'c>(control: &'c Control, want: &FileWant, context: &Context) -> Vec<Verdict<'c>> {
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, places(&want.paths), outcome, "", "")];
    }
    let mut verdicts = Vec::new();
    let mut nothing = Vec::new();
    for place in &want.paths {
        match place::resolve(place, context.facts, &context.effective) {
            Resolved::Nothing(reason) => nothing.push(reason),
            Resolved::Unknown(reason) => verdicts.push(unknown(control, place.to_string(), reason)),
            Resolved::Paths(paths) => {
                for path in paths {
                    match context.facts.files.get(&path) {
                        Some(Fact::Known(file)) => verdicts.push(judge_file(control, want, context, place, &path, file)),
                        Some(Fact::Absent) => nothing.push(format!("{path} does not exist")),
                        Some(Fact::Unknown(reason)) => verdicts.push(unknown(control, path, reason.clone())),
                        None => verdicts.push(unknown(control, path, "not looked at")),
                    }
                }
            }
        }
    }
    if want.parents {
        judge_parents(control, context, &mut verdicts);
    }
    if verdicts.is_empty() {
        nothing.dedup();
        verdicts.push(not_applicable(control, places(&want.paths), nothing.join("; ")));
    }
    verdicts
}

fn places(places: &[Place]) -> String {
    places.iter().map(Place::to_string).collect::<Vec<_>>().join(", ")
}

fn judge_file<'c>(
    control: &'c Control,
    want: &FileWant,
    context: &Context,
    place: &Place,
    path: &str,
    file: &FileFact,
) -> Verdict<'c> {
    if matches!(file.kind, FileKind::Other | FileKind::Symlink) {
        return unknown(control, path, format!("{path} is neither a file nor a directory nor a socket"));
    }
    let wish = match Wish::of(want, context) {
        Ok(wish) => wish,
        Err(reason) => return unknown(control, path, reason),
    };
    let mut verdict = wish.of_layout(file, context.facts).judge(control, path, file);
    if file.real_path != path {
        verdict.evidence.push(format!("{path} is a symbolic link to {}", file.real_path));
        // A pattern promises files of one tree; what a link reaches outside of it belongs to somebody else.
        if let (Place::Pattern(_), Outcome::Fixable(_)) = (place, &verdict.outcome) {
            verdict.outcome = Outcome::Manual(format!("it is a symbolic link: change {} where it belongs", file.real_path));
        }
    }
    verdict
}

/// What one file must be, in numbers.
#[derive(Clone)]
pub(crate) struct Wish {
    /// No bit beyond these.
    pub mode_max: Option<Mode>,
    /// Owner, by number, with its name.
    pub uid: Option<(u32, String)>,
    /// Any of these groups; the first is what a fix sets.
    pub gids: Vec<(u32, String)>,
}

impl Wish {
    fn of(want: &FileWant, context: &Context) -> Result<Self, String> {
        let uid = want.owner.as_deref().map(|name| user(name, context)).transpose()?;
        let exists = |name: &&String| !context.facts.groups.get(*name).is_some_and(Fact::is_absent);
        let names = want.group.iter().chain(want.group_one_of.iter().filter(exists));
        let gids = names.map(|name| group(name, context)).collect::<Result<_, _>>()?;
        Ok(Self { mode_max: want.mode_max, uid, gids })
    }

    /// The same for what belongs to a rootless daemon: what its user owns is as good as root's.
    pub fn of_layout(mut self, file: &FileFact, facts: &Facts) -> Self {
        let Some((uid, gid)) = layout::owner(facts) else { return self };
        if file.uid == uid && self.uid.as_ref().is_some_and(|(wanted, _)| *wanted == 0) {
            self.uid = Some((uid, format!("uid {uid}")));
        }
        if self.gids.iter().any(|(wanted, _)| *wanted == 0) {
            self.gids.push((gid, format!("gid {gid}")));
        }
        self
    }

    /// How a file stands against the wish.
    pub fn judge<'c>(&self, control: &'c Control, path: &str, file: &FileFact) -> Verdict<'c> {
        let mut edits = Vec::new();
        if let Some(edit) = self.chown(file) {
            edits.push(edit);
        }
        if let Some(allowed) = self.mode_max
            && file.mode & !allowed.0 != 0
        {
            edits.push(Edit::ClearMode { path: file.real_path.clone(), allowed: allowed.0 });
        }
        let acl = self.acl_beyond(file);
        let outcome = if !edits.is_empty() {
            Outcome::Fixable(edits)
        } else if acl.is_empty() {
            Outcome::Compliant { note: None }
        } else {
            let entries = acl.iter().map(|entry| acl_name(entry)).collect::<Vec<_>>().join(",");
            Outcome::Manual(format!(
                "harden removes no ACL entries; take them away with `setfacl -x {entries} {}`",
                file.real_path
            ))
        };
        let mut verdict = verdict(control, path, outcome, self.observed(file), self.desired(file));
        for entry in acl {
            verdict.evidence.push(format!("its ACL grants {} to {}", rwx(entry.bits), acl_name(entry)));
        }
        verdict
    }

    fn chown(&self, file: &FileFact) -> Option<Edit> {
        let uid = self.uid.as_ref().filter(|(uid, _)| *uid != file.uid).map(|(uid, _)| *uid);
        let gid = self.gids.first().filter(|_| !self.gids.iter().any(|(gid, _)| *gid == file.gid)).map(|(gid, _)| *gid);
        (uid.is_some() || gid.is_some()).then(|| Edit::Chown { path: file.real_path.clone(), uid, gid })
    }

    /// ACL entries of named users and groups that grant what the mask denies to everybody else.
    fn acl_beyond<'f>(&self, file: &'f FileFact) -> Vec<&'f AclEntry> {
        let Some(allowed) = self.mode_max else { return Vec::new() };
        let named = |entry: &&AclEntry| entry.who != AclWho::OwningGroup;
        file.acl.iter().filter(named).filter(|entry| entry.bits & !(allowed.0 & 0o7) != 0).collect()
    }

    fn observed(&self, file: &FileFact) -> String {
        let mut parts = Vec::new();
        if self.mode_max.is_some() {
            parts.push(format!("mode {:04o}", file.mode));
        }
        if self.uid.is_some() {
            parts.push(format!("owner {}", named(file.uid, self.uid.as_slice())));
        }
        if !self.gids.is_empty() {
            parts.push(format!("group {}", named(file.gid, &self.gids)));
        }
        parts.join(", ")
    }

    fn desired(&self, file: &FileFact) -> String {
        let mut parts = Vec::new();
        if let Some(allowed) = &self.mode_max {
            parts.push(or_stricter(*allowed, file.mode));
        }
        if let Some((_, name)) = &self.uid {
            parts.push(format!("owner {name}"));
        }
        if !self.gids.is_empty() {
            parts.push(format!("group {}", self.gids.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(" or ")));
        }
        parts.join(", ")
    }
}

/// "mode 0644 or stricter"; where the fix leaves less than the mask, also what it leaves.
fn or_stricter(allowed: Mode, mode: u32) -> String {
    let left = mode & allowed.0;
    // Of a directory above, all that counts is who may write.
    if allowed.0 == !WRITABLE_FOR_OTHERS & 0o7777 {
        return format!("mode {left:04o} (writable for its owner only)");
    }
    let left = if left == allowed.0 || left == mode { String::new() } else { format!(" (here {left:04o})") };
    format!("mode {:04o} or stricter{left}", allowed.0)
}

fn named(id: u32, known: &[(u32, String)]) -> String {
    known.iter().find(|(known, _)| *known == id).map_or_else(|| id.to_string(), |(_, name)| name.clone())
}

/// The number of a user that a control names.
pub(crate) fn user(name: &str, context: &Context) -> Result<(u32, String), String> {
    number(name, context.facts.users.get(name), "user")
}

/// The number of a group that a control names.
pub(crate) fn group(name: &str, context: &Context) -> Result<(u32, String), String> {
    number(name, context.facts.groups.get(name), "group")
}

fn number(name: &str, fact: Option<&Fact<u32>>, what: &str) -> Result<(u32, String), String> {
    // `root` is number 0 everywhere, also in a tree that has no passwd yet.
    if name == "root" {
        return Ok((0, name.to_owned()));
    }
    match fact {
        Some(Fact::Known(id)) => Ok((*id, name.to_owned())),
        Some(Fact::Absent) => Err(format!("there is no {what} `{name}` here")),
        Some(Fact::Unknown(why)) => Err(why.clone()),
        None => Err(format!("{what} `{name}` was not looked up")),
    }
}

/// Directories above the judged files: whoever can write there can swap the file.
fn judge_parents<'c>(control: &'c Control, context: &Context, verdicts: &mut Vec<Verdict<'c>>) {
    let mut seen = std::collections::BTreeSet::new();
    for path in verdicts.iter().flat_map(|verdict| parents(&verdict.target)) {
        seen.insert(path.to_owned());
    }
    for path in seen {
        let dir = match context.facts.files.get(&path) {
            Some(Fact::Known(dir)) => dir,
            Some(Fact::Unknown(why)) => {
                verdicts.push(unknown(control, path, why.clone()));
                continue;
            }
            Some(Fact::Absent) | None => continue,
        };
        let writable = dir.mode & WRITABLE_FOR_OTHERS != 0 && dir.mode & 0o1000 == 0;
        if !writable && (dir.uid == 0 || layout::owner(context.facts).is_some_and(|(uid, _)| dir.uid == uid)) {
            continue;
        }
        let wish =
            Wish { mode_max: Some(Mode(0o7777 & !WRITABLE_FOR_OTHERS)), uid: Some((0, "root".into())), gids: Vec::new() };
        verdicts.push(wish.judge(control, &path, dir));
    }
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    std::path::Path::new(path).ancestors().skip(1).filter_map(std::path::Path::to_str).filter(|path| path.starts_with('/'))
}

fn acl_name(entry: &AclEntry) -> String {
    match entry.who {
        AclWho::User(uid) => format!("u:{uid}"),
        AclWho::Group(gid) => format!("g:{gid}"),
        AclWho::OwningGroup => "g:".into(),
    }
}

fn rwx(bits: u32) -> String {
    [(4, 'r'), (2, 'w'), (1, 'x')].iter().map(|(bit, letter)| if bits & bit != 0 { *letter } else { '-' }).collect()
}
