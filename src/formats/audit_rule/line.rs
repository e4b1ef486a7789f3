//! What a line of a rules file can be, and what that depends on.

use std::path::Path;

use super::{Machine, Rule};

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Nothing, or only spaces.
    Blank,
    /// Its first byte that is not a space is `#`.
    Comment,
    /// A rule to add.
    Rule {
        /// The rule as it is sent to the kernel.
        rule: Rule,
        /// What may surprise: taken literally, or different between versions.
        warnings: Vec<String>,
    },
    /// Everything else that auditctl does, in the order in which it does it.
    Control(Vec<Control>),
    /// A line that stops the load (or, [`ProblemKind::Unmodelled`], of which that is not known).
    Bad(Problem),
}

/// What a line does besides adding a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// `-D`: deletes all rules, or with `-k` those whose key contains this text.
    DeleteAll(Option<String>),
    /// `-d`, `-W`: deletes this rule; fails where there is none such.
    Delete(Rule),
    /// `-e`: 0 off, 1 on, 2 on and locked until the next boot.
    Enabled(u32),
    /// `-f`: 0 silent, 1 printk, 2 panic.
    Failure(u32),
    /// `-b`: how many records may wait.
    Backlog(u32),
    /// `-r`: records a second, 0 for no limit.
    Rate(u32),
    /// `--backlog_wait_time`
    BacklogWaitTime(u32),
    /// `-i`: later errors are ignored.
    IgnoreErrors,
    /// `-c`: later errors are ignored until the end.
    ContinueThroughErrors,
    /// Any other command, like `-l` or `-t`; changes no rule.
    Other,
}

/// Why a line is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Who refuses it.
    pub kind: ProblemKind,
    /// What is wrong and what would be right.
    pub what: String,
}

/// Who refuses a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// auditctl, before anything is sent.
    Auditctl,
    /// The kernel.
    Kernel,
    /// Perhaps nobody: harden does not know what this line does.
    Unmodelled,
}

impl Problem {
    pub(super) fn auditctl(what: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Auditctl, what: what.into() }
    }

    pub(super) fn kernel(what: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Kernel, what: what.into() }
    }

    pub(super) fn unmodelled(what: impl Into<String>) -> Self {
        Self { kind: ProblemKind::Unmodelled, what: what.into() }
    }
}

/// What a path is at the moment of loading; symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathState {
    /// A directory.
    Dir,
    /// Something else.
    Other,
    /// Not there, but its parent directory is.
    Missing,
    /// Its parent is not there or is no directory.
    ParentMissing,
}

/// Which database a name belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Account {
    /// A user.
    User,
    /// A group.
    Group,
}

/// What the user database says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// This number.
    Id(u32),
    /// No such name: auditctl refuses the line.
    NoSuch,
    /// It could not be looked up; the field keeps the name.
    Unknown,
}

/// What the meaning of a line depends on besides its text.
#[derive(Clone, Copy)]
pub struct Env<'a> {
    /// The machine that loads the rules.
    pub machine: Machine,
    /// What paths are there.
    pub path_state: &'a dyn Fn(&Path) -> PathState,
    /// Numbers of users and groups.
    pub account: &'a dyn Fn(Account, &str) -> Lookup,
}
