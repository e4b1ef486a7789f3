//! What audit rules mean: whether the events on a path are recorded.
//!
//! The question is never whether a certain line is there, but whether the kernel writes a record when the file is touched. So a
//! broader rule counts, whatever its key, and a rule that an earlier one disarms does not.

use crate::formats::audit_rule::names::{DEBUGFS, TRACEFS, syscall_number};
use crate::formats::audit_rule::{Action, Arch, Field, FieldId, List, Machine, Op, Perms, Rule};

/// Events that should be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// An absolute path. Where it leads over symbolic links, what counts is the file that it leads to.
    pub path: String,
    /// It is a directory, and everything below it counts.
    pub recursive: bool,
    /// Which kinds of access.
    pub perms: Perms,
}

/// What is asked of the host to relate paths with each other.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The machine that the rules are for: programs of both its architectures count.
    pub machine: Machine,
    /// The path after following every symbolic link, of directories too; itself where there is nothing.
    pub real: &'a dyn Fn(&str) -> String,
    /// Whether no mount point lies between a directory and a path below it.
    pub same_mount: &'a dyn Fn(&str, &str) -> bool,
}

/// Whether the events of a [`Watch`] are recorded. Numbers are places in the list of rules that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// All of them.
    Full {
        /// The rules that record them; together, where there are several.
        by: Vec<usize>,
        /// One rule records exactly this, neither more files nor more kinds of access.
        exact: bool,
    },
    /// Some of them; one more rule at the end makes it all.
    Partial {
        /// What is missing, one sentence without a stop each.
        why: Vec<String>,
    },
    /// No rule is about this path.
    None,
    /// A rule drops such events before any other can record them, so that one more rule at the end does not help.
    Disarmed {
        /// The first such rule.
        by: usize,
        /// It drops all of them; otherwise those that the text names.
        whole: bool,
        /// What is dropped, one sentence without a stop each.
        why: Vec<String>,
    },
}

/// Judges `rules`, which are in the order in which the kernel has them.
pub fn coverage(watch: &Watch, rules: &[Rule], ground: &Ground) -> Coverage {
    let mut view = View::new(watch, ground);
    for (index, rule) in rules.iter().enumerate() {
        match rule.list {
            List::Exit => view.take(index, rule),
            List::Task => view.take_task(index, rule),
            List::Exclude => view.take_exclude(index, rule),
            List::Filesystem => view.take_filesystem(index, rule),
            List::User | List::IoUring => {}
        }
    }
    view.verdict(rules)
}

/// One kind of access by programs of one architecture.
struct Cell {
    arch: Arch,
    letter: char,
    perm: Perms,
    /// The system calls by which it happens.
    calls: Vec<(&'static str, u16)>,
    state: State,
    /// A rule records some of it.
    touched: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Open,
    Recorded(usize),
    Dropped(usize),
}

/// A rule that drops events.
struct Drop {
    by: usize,
    whole: bool,
    why: String,
}

struct View<'a> {
    watch: &'a Watch,
    ground: &'a Ground<'a>,
    /// What the watch's path leads to.
    target: String,
    cells: Vec<Cell>,
    why: Vec<String>,
    drops: Vec<Drop>,
    /// A rule of the task list matches every process; later ones are not asked.
    task_decided: bool,
}

impl<'a> View<'a> {
    fn new(watch: &'a Watch, ground: &'a Ground<'a>) -> Self {
        let wanted = Perms::EACH.into_iter().filter(|(_, perm)| watch.perms.contains(*perm));
        let cell =
            |arch, (letter, perm)| Cell { arch, letter, perm, calls: calls_of(arch, perm), state: State::Open, touched: false };
        let cells = wanted.flat_map(|perm| ground.machine.arches().map(|arch| cell(arch, perm))).collect();
        let target = (ground.real)(&clean(&watch.path));
        Self { watch, ground, target, cells, why: Vec::new(), drops: Vec::new(), task_decided: false }
    }

    /// A rule of the exit list.
    fn take(&mut self, index: usize, rule: &Rule) {
        let place = self.place(rule);
        let conditions: Vec<&Field> = rule.fields.iter().filter(|field| narrows(field)).collect();
        let whole_place = matches!(place, Place::Everywhere | Place::Same | Place::Above);
        match (rule.action, &place) {
            (_, Place::Elsewhere) | (Action::Always, Place::Below) | (Action::Never, Place::Part(Part::Link(_))) => return,
            _ => {}
        }
        let mut missed: Vec<&str> = Vec::new();
        let mut dropped = Vec::new();
        let mut partly = false;
        for cell in self.cells.iter_mut().filter(|cell| cell.state == State::Open && sees(rule, cell)) {
            let calls = &cell.calls;
            let missing: Vec<&str> =
                calls.iter().filter(|(_, number)| !rule.syscalls.contains(*number)).map(|(name, _)| *name).collect();
            if missing.len() == calls.len() {
                continue;
            }
            if whole_place && conditions.is_empty() && missing.is_empty() {
                cell.state = match rule.action {
                    Action::Always => State::Recorded(index),
                    Action::Never => State::Dropped(index),
                };
                dropped.push(cell.letter);
                continue;
            }
            // A rule about something else altogether, like one system call of all files, tells nothing of this path.
            if rule.action == Action::Never || !matches!(place, Place::Everywhere) {
                partly = true;
                cell.touched = true;
                missing.iter().for_each(|name| {
                    if !missed.contains(name) {
                        missed.push(name)
                    }
                });
            }
        }
        if rule.action == Action::Never && !dropped.is_empty() {
            dropped.dedup();
            let letters: String = dropped.into_iter().collect();
            let what = format!("`{rule}` comes first and drops every access {letters} on {}", self.watch.path);
            self.drops.push(Drop { by: index, whole: false, why: what });
        }
        if partly {
            self.explain(index, rule, &place, &conditions, &missed);
        }
    }

    fn explain(&mut self, index: usize, rule: &Rule, place: &Place, conditions: &[&Field], missed: &[&str]) {
        let conditions = join(conditions.iter().map(|field| field.to_string()).collect(), usize::MAX);
        match rule.action {
            Action::Always => {
                if let Place::Part(part) = place {
                    self.why.push(format!("`{rule}` {}", part.recorded()));
                }
                if !conditions.is_empty() {
                    self.why.push(format!("`{rule}` records only events with {conditions}"));
                }
                if !missed.is_empty() {
                    let calls = join(missed.iter().map(|name| (*name).to_owned()).collect(), 6);
                    self.why.push(format!("`{rule}` misses the system calls {calls}"));
                }
            }
            Action::Never => {
                let limits = [
                    match place {
                        Place::Part(part) => part.dropped(),
                        Place::Below => format!("below {}", self.watch.path),
                        _ => String::new(),
                    },
                    if conditions.is_empty() { conditions } else { format!("with {conditions}") },
                    if missed.is_empty() { String::new() } else { "of some system calls".into() },
                ];
                let limits: Vec<String> = limits.into_iter().filter(|limit| !limit.is_empty()).collect();
                let why = format!("`{rule}` comes first and drops events {}", limits.join(" "));
                self.drops.push(Drop { by: index, whole: false, why });
            }
        }
    }

    fn take_task(&mut self, index: usize, rule: &Rule) {
        if self.task_decided {
            return;
        }
        let conditions: Vec<String> = rule.fields.iter().map(ToString::to_string).collect();
        self.task_decided = conditions.is_empty();
        if rule.action == Action::Never {
            let whole = conditions.is_empty();
            let which = if whole { String::new() } else { format!(" with {}", join(conditions, usize::MAX)) };
            let why = format!(
                "because of `{rule}` no process{which} that starts while it is loaded is ever audited, even after the rule is gone"
            );
            self.drops.push(Drop { by: index, whole, why });
        }
    }

    /// Both actions drop the record here.
    fn take_exclude(&mut self, index: usize, rule: &Rule) {
        let (types, conditions): (Vec<&Field>, Vec<&Field>) =
            rule.fields.iter().partition(|field| field.id == FieldId::MSGTYPE);
        let drops = |record: u32| {
            let holds = |field: &&Field| field.value.number().is_some_and(|number| field.op.holds(record, number));
            !rule.fields.is_empty() && types.iter().all(holds)
        };
        let lost = [(1300, "SYSCALL (who, with which program, and the key)"), (1302, "PATH (which file)")];
        let lost: Vec<String> = lost.into_iter().filter(|(record, _)| drops(*record)).map(|(_, text)| text.into()).collect();
        if lost.is_empty() {
            return;
        }
        let conditions: Vec<String> = conditions.into_iter().map(ToString::to_string).collect();
        let whole = conditions.is_empty();
        let which = if whole { String::new() } else { format!(" of events with {}", join(conditions, usize::MAX)) };
        let why = format!("`{rule}` drops the records {}{which}", join(lost, usize::MAX));
        self.drops.push(Drop { by: index, whole, why });
    }

    fn take_filesystem(&mut self, index: usize, rule: &Rule) {
        let pseudo = |field: &Field| {
            field.id == FieldId::FSTYPE && field.op == Op::Equal && matches!(field.value.number(), Some(DEBUGFS | TRACEFS))
        };
        if rule.action == Action::Never && !rule.fields.iter().any(pseudo) {
            let why = format!("`{rule}` drops the names of files on such file systems");
            self.drops.push(Drop { by: index, whole: false, why });
        }
    }

    fn verdict(mut self, rules: &[Rule]) -> Coverage {
        if let Some(first) = self.drops.first() {
            let all_dropped = self.cells.iter().all(|cell| matches!(cell.state, State::Dropped(_)));
            let whole = all_dropped || self.drops.iter().any(|drop| drop.whole);
            return Coverage::Disarmed { by: first.by, whole, why: self.drops.into_iter().map(|drop| drop.why).collect() };
        }
        let mut by: Vec<usize> = Vec::new();
        for cell in &self.cells {
            match cell.state {
                State::Recorded(index) if !by.contains(&index) => by.push(index),
                _ => {}
            }
        }
        by.sort_unstable();
        if self.cells.iter().all(|cell| cell.state != State::Open) {
            let exact = matches!(by[..], [only] if self.is_exact(&rules[only]));
            return Coverage::Full { by, exact };
        }
        if by.is_empty() && self.why.is_empty() {
            return Coverage::None;
        }
        self.name_untouched();
        Coverage::Partial { why: self.why }
    }

    fn is_exact(&self, rule: &Rule) -> bool {
        let arch = rule.fields.iter().any(|field| field.id == FieldId::ARCH);
        matches!(self.place(rule), Place::Same) && rule.perms() == Some(self.watch.perms) && !arch
    }

    /// Adds what no rule records at all.
    fn name_untouched(&mut self) {
        let arches = self.ground.machine.arches();
        let untouched = |arch: Arch| {
            let cells = self.cells.iter().filter(|cell| cell.arch == arch && cell.state == State::Open && !cell.touched);
            cells.map(|cell| cell.letter).collect::<String>()
        };
        let [wide, narrow] = arches.map(untouched);
        let mut note = |letters: &str, programs: &str| {
            if !letters.is_empty() {
                self.why.push(format!("no rule records access {letters}{programs}"));
            }
        };
        if wide == narrow {
            note(&wide, "");
        } else {
            note(&wide, " by 64-bit programs");
            note(&narrow, " by 32-bit programs");
        }
    }

    /// How the rule's path lies to the watch's.
    fn place(&self, rule: &Rule) -> Place {
        let anchor = rule.fields.iter().find(|field| matches!(field.id, FieldId::PATH | FieldId::DIR));
        let Some((field, text)) = anchor.and_then(|field| Some((field, field.value.text()?))) else { return Place::Everywhere };
        let text = String::from_utf8_lossy(text);
        let path = clean(&text);
        let named = self.with_real_parent(&path);
        let real = (self.ground.real)(&path);
        if field.id == FieldId::PATH { self.place_of_path(&named, &real) } else { self.place_of_dir(&text, &named, &real) }
    }

    fn place_of_path(&self, named: &str, real: &str) -> Place {
        match () {
            () if *named == self.target && self.watch.recursive => Place::Part(Part::NotRecursive),
            () if *named == self.target => Place::Same,
            () if *real == self.target => Place::Part(Part::Link(self.target.clone())),
            () if self.watch.recursive && is_below(named, &self.target) => Place::Below,
            () => Place::Elsewhere,
        }
    }

    fn place_of_dir(&self, text: &str, named: &str, real: &str) -> Place {
        // With a slash at the end the kernel follows the link.
        let link = named != real && !(text.len() > 1 && text.ends_with('/'));
        let above = is_below(&self.target, real);
        match () {
            () if link && (above || *real == self.target) => Place::Part(Part::Link(real.to_owned())),
            () if link => Place::Elsewhere,
            () if *real == self.target && self.watch.recursive => Place::Same,
            () if *real == self.target => Place::Part(Part::Inode),
            () if above && (self.ground.same_mount)(real, &self.target) => Place::Above,
            () if above => Place::Part(Part::OtherMount),
            () if self.watch.recursive && is_below(real, &self.target) => Place::Below,
            () => Place::Elsewhere,
        }
    }

    /// The path with symbolic links followed in all but its last name.
    fn with_real_parent(&self, path: &str) -> String {
        match path.rsplit_once('/') {
            Some((_, "")) | None => path.to_owned(),
            Some(("", _)) => path.to_owned(),
            Some((parent, name)) => clean(&format!("{}/{name}", (self.ground.real)(parent))),
        }
    }
}

/// How a rule's path lies to the watch's.
enum Place {
    /// The rule names no path.
    Everywhere,
    /// The same.
    Same,
    /// A directory above.
    Above,
    /// About the same, but not all of it.
    Part(Part),
    /// Something below a watched directory.
    Below,
    /// Something else.
    Elsewhere,
}

/// Why a rule that is about the right place does not see all of it.
enum Part {
    NotRecursive,
    Link(String),
    OtherMount,
    Inode,
}

impl Part {
    fn recorded(&self) -> String {
        match self {
            Part::NotRecursive => {
                "is not recursive: path= sees what is directly in a directory come and go, dir= sees all below it".into()
            }
            Part::Link(real) => format!("names a symbolic link, which auditing does not follow: name {real}"),
            Part::OtherMount => "ends at a mount point: what was mounted below after the rule was loaded is not seen".into(),
            Part::Inode => {
                "follows the file that was there when it was loaded: after it is replaced nothing is seen; write path=".into()
            }
        }
    }

    fn dropped(&self) -> String {
        match self {
            Part::NotRecursive => "on the directory itself".into(),
            Part::Link(_) | Part::Inode => "on this file".into(),
            Part::OtherMount => "where nothing was mounted after it was loaded".into(),
        }
    }
}

/// Conditions beyond path, perms and architecture: they leave events out.
fn narrows(field: &Field) -> bool {
    !matches!(field.id, FieldId::PATH | FieldId::DIR | FieldId::PERM | FieldId::ARCH | FieldId::KEY)
}

/// Whether a rule looks at this kind of access by programs of this architecture at all.
fn sees(rule: &Rule, cell: &Cell) -> bool {
    let arches = rule.fields.iter().filter(|field| field.id == FieldId::ARCH);
    let arch = |field: &Field| field.value.number().is_some_and(|code| field.op.holds(cell.arch.code(), code));
    arches.into_iter().all(arch) && rule.perms().is_none_or(|perms| perms.contains(cell.perm))
}

/// The system calls by which a kind of access happens, as the kernel classes them.
fn calls_of(arch: Arch, perm: Perms) -> Vec<(&'static str, u16)> {
    let names = match perm {
        Perms::READ => READ_CALLS,
        Perms::WRITE => WRITE_CALLS,
        Perms::EXEC => EXEC_CALLS,
        _ => ATTRIBUTE_CALLS,
    };
    names.split_ascii_whitespace().filter_map(|name| Some((name, syscall_number(arch, name)?))).collect()
}

const EXEC_CALLS: &str = "execve execveat";
const READ_CALLS: &str = "open openat openat2 readlink readlinkat getxattr lgetxattr fgetxattr getxattrat listxattr llistxattr \
                          flistxattr listxattrat quotactl";
const WRITE_CALLS: &str = "open openat openat2 creat truncate ftruncate truncate64 ftruncate64 fallocate rename renameat renameat2 \
                           link linkat symlink symlinkat unlink unlinkat mkdir mkdirat rmdir mknod mknodat bind acct swapon quotactl";
const ATTRIBUTE_CALLS: &str = "chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat chown32 lchown32 fchown32 link linkat \
                               setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat";

/// Without `//`, `/./` and a slash at the end. `..` stays, because over symbolic links it is not what it seems.
fn clean(path: &str) -> String {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    format!("/{}", names.join("/"))
}

fn is_below(path: &str, dir: &str) -> bool {
    dir == "/" && path != "/" || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// `a, b and c`; beyond `most` of them, `a, b and 3 more`.
fn join(mut texts: Vec<String>, most: usize) -> String {
    if texts.len() > most {
        let more = texts.len() - most;
        texts.truncate(most);
        texts.push(format!("{more} more"));
    }
    match texts.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => texts.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::audit_rule::{Account, Env, Line, Lookup, PathState, parse_line};
    use std::path::Path;

    /// `/usr/bin/runc` leads to `/usr/sbin/runc`, `/lib` to `/usr/lib`, `/etc/alt` to `/etc/docker`; `/var/lib/docker` is a mount.
    fn real(path: &str) -> String {
        match path {
            "/usr/bin/runc" => "/usr/sbin/runc".into(),
            "/etc/alt" => "/etc/docker".into(),
            "/lib" => "/usr/lib".into(),
            other => match other.strip_prefix("/lib/") {
                Some(rest) => format!("/usr/lib/{rest}"),
                None => other.into(),
            },
        }
    }

    fn same_mount(above: &str, path: &str) -> bool {
        let below = |path: &str| path == "/var/lib/docker" || path.starts_with("/var/lib/docker/");
        below(above) == below(path)
    }

    fn ground() -> Ground<'static> {
        Ground { machine: Machine::X86_64, real: &real, same_mount: &same_mount }
    }

    fn rules(lines: &[&str]) -> Vec<Rule> {
        let dirs = [
            "/etc/docker",
            "/etc",
            "/",
            "/var",
            "/var/lib/docker",
            "/usr/lib/systemd/system",
            "/lib/systemd/system",
            "/etc/alt",
        ];
        let is_dir = |path: &Path| dirs.iter().any(|dir| Path::new(dir) == path);
        let state = move |path: &Path| if is_dir(path) { PathState::Dir } else { PathState::Other };
        let account = |_: Account, _: &str| Lookup::NoSuch;
        let env = Env { machine: Machine::X86_64, path_state: &state, account: &account };
        let rule = |line: &&str| match parse_line(line.as_bytes(), &env) {
            Line::Rule { rule, .. } => rule,
            other => panic!("{line}: {other:?}"),
        };
        lines.iter().map(rule).collect()
    }

    fn judge(path: &str, recursive: bool, perms: &str, lines: &[&str]) -> Coverage {
        let watch = Watch { path: path.into(), recursive, perms: perms.parse().unwrap() };
        coverage(&watch, &rules(lines), &ground())
    }

    fn file(lines: &[&str]) -> Coverage {
        judge("/etc/docker/daemon.json", false, "wa", lines)
    }

    fn dir(lines: &[&str]) -> Coverage {
        judge("/etc/docker", true, "wa", lines)
    }

    fn full(by: &[usize], exact: bool) -> Coverage {
        Coverage::Full { by: by.to_vec(), exact }
    }

    fn partial(why: &[&str]) -> Coverage {
        Coverage::Partial { why: why.iter().map(ToString::to_string).collect() }
    }

    fn disarmed(by: usize, whole: bool, why: &[&str]) -> Coverage {
        Coverage::Disarmed { by, whole, why: why.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn whatever_records_the_events_covers_them() {
        assert_eq!(file(&["-w /etc/docker/daemon.json -p wa -k docker"]), full(&[0], true));
        assert_eq!(file(&["-w /etc/docker//daemon.json -p aw -k mine"]), full(&[0], true));
        assert_eq!(file(&["-w /etc/docker/daemon.json"]), full(&[0], false));
        assert_eq!(file(&["-w /etc/docker -p wa"]), full(&[0], false));
        assert_eq!(file(&["-w / -p wa"]), full(&[0], false));
        assert_eq!(file(&["-a always,exit -F path=/etc/docker/daemon.json -k x"]), full(&[0], false));
        assert_eq!(file(&["-a always,exit -S all -F perm=wa"]), full(&[0], false));
        assert_eq!(file(&["-w /etc/docker/daemon.json -p w", "-w /etc -p a"]), full(&[0, 1], false));
        assert_eq!(dir(&["-w /etc/docker -p wa"]), full(&[0], true));
        assert_eq!(dir(&["-a always,exit -F dir=/etc/alt/ -F perm=wa"]), full(&[0], true));
        let pair = |abi| format!("-a always,exit -F arch={abi} -S all -F path=/etc/docker/daemon.json -F perm=wa -F key=k");
        assert_eq!(file(&[&pair("b64"), &pair("b32")]), full(&[0, 1], false));
    }

    #[test]
    fn another_path_does_not() {
        for line in [
            "-w /etc/docker/daemon.json.bak -p wa",
            "-w /etc/dock -p wa",
            "-a always,exit -F arch=b64 -S openat -F exit=-EACCES",
            "-a always,exit -F path=/etc/docker -F perm=wa",
            "-a never,user -F uid=0",
            "-a always,exclude -F msgtype=CWD",
            "-a never,exit -F dir=/dev/shm",
            "-a never,exit -F arch=b64 -S adjtimex -F auid=unset",
            "-a never,filesystem -F fstype=tracefs",
            "-a always,task",
        ] {
            assert_eq!(file(&[line]), Coverage::None, "{line}");
            assert_eq!(file(&[line, "-w /etc/docker/daemon.json -p wa"]), full(&[1], true), "{line}");
        }
        assert_eq!(dir(&["-w /etc/docker/daemon.json -p wa"]), Coverage::None);
    }

    #[test]
    fn part_of_the_events_is_told_with_its_reason() {
        assert_eq!(file(&["-w /etc/docker/daemon.json -p w"]), partial(&["no rule records access a"]));
        assert_eq!(
            file(&["-a always,exit -F arch=b64 -S all -F path=/etc/docker/daemon.json -F perm=wa"]),
            partial(&["no rule records access wa by 32-bit programs"])
        );
        assert_eq!(
            file(&["-w /etc/docker/daemon.json -p wa -F auid>=1000 -F auid!=unset"]),
            partial(&[
                "`-a always,exit -S all -F path=/etc/docker/daemon.json -F perm=wa -F auid>=1000 -F auid!=unset` records only \
                       events with auid>=1000 and auid!=unset"
            ])
        );
        assert_eq!(
            dir(&["-a always,exit -F path=/etc/docker -F perm=wa"]),
            partial(&[
                "`-a always,exit -S all -F path=/etc/docker -F perm=wa` is not recursive: path= sees what is directly in a \
                       directory come and go, dir= sees all below it"
            ])
        );
        assert_eq!(
            dir(&["-w /etc/alt -p wa"]),
            partial(&[
                "`-a always,exit -S all -F dir=/etc/alt -F perm=wa` names a symbolic link, which auditing does not follow: name \
                       /etc/docker"
            ])
        );
        assert_eq!(
            file(&["-a always,exit -F dir=/etc/docker/daemon.json -F perm=wa"]),
            partial(&[
                "`-a always,exit -S all -F dir=/etc/docker/daemon.json -F perm=wa` follows the file that was there when it was \
                       loaded: after it is replaced nothing is seen; write path="
            ])
        );
        assert_eq!(
            judge("/var/lib/docker", true, "wa", &["-w /var -p wa"]),
            partial(&[
                "`-a always,exit -S all -F dir=/var -F perm=wa` ends at a mount point: what was mounted below after the rule was \
                       loaded is not seen"
            ])
        );
    }

    #[test]
    fn the_list_that_auditctl_4_puts_in_place_of_perms_has_holes() {
        let calls = "open,bind,truncate,ftruncate,rename,mkdir,rmdir,creat,link,unlink,symlink,chmod,fchmod,chown,fchown,lchown,mknod,\
                     acct,swapon,quotactl,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,openat,mkdirat,mknodat,\
                     fchownat,unlinkat,renameat,linkat,symlinkat,fchmodat,fallocate,renameat2,openat2";
        let line = format!("-a always,exit -F arch=b64 -S {calls} -F path=/etc/docker/daemon.json -F perm=wa");
        let Coverage::Partial { why } = file(&[&line]) else { panic!() };
        assert!(why[0].ends_with("misses the system calls fchmodat2, setxattrat and removexattrat"), "{why:?}");
        assert_eq!(why[1], "no rule records access wa by 32-bit programs");
        let line = "-a always,exit -F arch=b64 -S execve -F path=/usr/bin/dockerd -F perm=x -k k";
        let why = "`-a always,exit -F arch=b64 -S execve -F path=/usr/bin/dockerd -F perm=x -F key=k` misses the system calls execveat";
        assert_eq!(
            judge("/usr/bin/dockerd", false, "x", &[line]),
            partial(&[why, "no rule records access x by 32-bit programs"])
        );
    }

    #[test]
    fn symbolic_links_count_where_the_kernel_follows_them() {
        // In a parent they do.
        let unit = "/usr/lib/systemd/system/docker.service";
        assert_eq!(judge(unit, false, "wa", &["-w /lib/systemd/system/docker.service -p wa"]), full(&[0], true));
        assert_eq!(judge("/lib/systemd/system/docker.service", false, "wa", &[&format!("-w {unit} -p wa")]), full(&[0], true));
        assert_eq!(judge(unit, false, "wa", &["-w /lib/systemd/system -p wa"]), full(&[0], false));
        // At the end they do not.
        let link = partial(&[
            "`-a always,exit -S all -F path=/usr/bin/runc -F perm=x` names a symbolic link, which auditing does not \
                              follow: name /usr/sbin/runc",
        ]);
        assert_eq!(judge("/usr/bin/runc", false, "x", &["-w /usr/bin/runc -p x"]), link);
        assert_eq!(judge("/usr/sbin/runc", false, "x", &["-w /usr/bin/runc -p x"]), link);
        assert_eq!(judge("/usr/bin/runc", false, "x", &["-w /usr/bin/runc -p x", "-w /usr/sbin/runc -p x"]), full(&[1], true));
    }

    #[test]
    fn what_comes_first_disarms_what_comes_later() {
        let ours = "-w /etc/docker/daemon.json -p wa -k docker";
        let never = "-a never,exit -F path=/etc/docker/daemon.json -F perm=wa";
        let text = "`-a never,exit -S all -F path=/etc/docker/daemon.json -F perm=wa` comes first and drops every access wa on \
                    /etc/docker/daemon.json";
        assert_eq!(file(&[never, ours]), disarmed(0, true, &[text]));
        assert_eq!(file(&[never]), disarmed(0, true, &[text]));
        assert_eq!(file(&[ours, never]), full(&[0], true));
        assert_eq!(
            file(&["-a never,exit -F dir=/etc -F perm=a", ours]),
            disarmed(
                0,
                false,
                &["`-a never,exit -S all -F dir=/etc -F perm=a` comes first and drops every access a on \
                                  /etc/docker/daemon.json"]
            )
        );
        assert_eq!(
            file(&["-a never,exit -F auid=unset", ours]),
            disarmed(0, false, &["`-a never,exit -S all -F auid=unset` comes first and drops events with auid=unset"])
        );
        assert_eq!(
            dir(&["-a never,exit -F dir=/etc/docker/certs.d", "-w /etc/docker -p wa"]),
            disarmed(
                0,
                false,
                &["`-a never,exit -S all -F dir=/etc/docker/certs.d` comes first and drops events below /etc/docker"]
            )
        );
        let b32 = "`-a never,exit -F arch=b32 -S all` comes first and drops every access wa on /etc/docker/daemon.json";
        assert_eq!(file(&["-a never,exit -F arch=b32 -S all", ours]), disarmed(0, false, &[b32]));
        assert_eq!(
            file(&["-a never,exit -F arch=b64 -S openat", ours]),
            disarmed(0, false, &["`-a never,exit -F arch=b64 -S openat` comes first and drops events of some system calls"])
        );
    }

    #[test]
    fn other_lists_disarm_too() {
        let ours = "-w /etc/docker/daemon.json -p wa -k docker";
        let never =
            "because of `-a never,task` no process that starts while it is loaded is ever audited, even after the rule is gone";
        assert_eq!(file(&[ours, "-a never,task"]), disarmed(1, true, &[never]));
        assert_eq!(file(&["-a always,task", "-a never,task", ours]), full(&[2], true));
        assert_eq!(
            file(&["-a task,never -F uid=33", ours]),
            disarmed(
                0,
                false,
                &["because of `-a never,task -F uid=33` no process with uid=33 that starts while it is loaded is ever \
                                  audited, even after the rule is gone"]
            )
        );
        assert_eq!(
            file(&["-a always,exclude -F msgtype=SYSCALL", ours]),
            disarmed(
                0,
                true,
                &["`-a always,exclude -F msgtype=SYSCALL` drops the records SYSCALL (who, with which program, and the key)"]
            )
        );
        assert_eq!(
            file(&["-a never,exclude -F msgtype>=1300 -F uid=0", ours]),
            disarmed(
                0,
                false,
                &["`-a never,exclude -F msgtype>=SYSCALL -F uid=0` drops the records SYSCALL (who, with which program, \
                                  and the key) and PATH (which file) of events with uid=0"]
            )
        );
        assert_eq!(
            file(&["-a never,filesystem -F fstype=0xef53", ours]),
            disarmed(0, false, &["`-a never,filesystem -F fstype=0xef53` drops the names of files on such file systems"])
        );
    }

    #[test]
    fn long_lists_are_cut() {
        let texts = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(join(texts(0), 6), "");
        assert_eq!(join(texts(1), 6), "0");
        assert_eq!(join(texts(3), 6), "0, 1 and 2");
        assert_eq!(join(texts(9), 2), "0, 1 and 7 more");
    }

    mod laws {
        use super::*;
        use proptest::prelude::*;

        const LINES: [&str; 12] = [
            "-w /etc/docker/daemon.json -p wa",
            "-w /etc/docker -p w",
            "-w /etc -p rwxa",
            "-a always,exit -F arch=b64 -S all -F dir=/etc -F perm=wa",
            "-a always,exit -F arch=b32 -S all -F dir=/etc -F perm=wa",
            "-a always,exit -F path=/etc/docker/daemon.json -F uid=0",
            "-a never,exit -F dir=/etc/docker -F perm=a",
            "-a never,exit -F path=/etc/docker/daemon.json -F uid=0",
            "-a never,exclude -F msgtype=PATH",
            "-a always,exclude -F msgtype=CWD",
            "-a always,exit -F arch=b64 -S openat,unlink",
            "-w /usr/bin/runc -p x",
        ];

        proptest! {
            /// Unless something disarms it, our own rule at the end makes it full; and what is full stays so when a rule is added.
            #[test]
            fn our_rule_at_the_end_helps(lines in prop::collection::vec(prop::sample::select(LINES.to_vec()), 0..6)) {
                let before = file(&lines);
                let mut more = lines.clone();
                more.push("-a always,exit -S all -F path=/etc/docker/daemon.json -F perm=wa -F key=docker");
                let after = file(&more);
                match before {
                    Coverage::Disarmed { .. } => prop_assert_eq!(after, before),
                    Coverage::Full { .. } => prop_assert_eq!(after, before),
                    _ => prop_assert!(matches!(after, Coverage::Full { .. }), "{:?}", after),
                }
            }
        }
    }
}
