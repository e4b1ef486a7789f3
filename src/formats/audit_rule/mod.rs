//! Audit rules: one canonical form for what a rules file says and what the kernel has.
//!
//! [`parse_line`] reads a line as `auditctl` does, [`Rule::from_kernel`] reads what the kernel lists, [`Rule::to_kernel`] is what
//! is sent to it, and `Display` gives one `auditctl` line that loads as the same rule. What a rule *means* is in
//! [`crate::formats::audit_cover`].

mod conditions;
mod field;
mod kernel;
mod line;
pub(crate) mod names;
mod number;
mod options;
mod parse;
mod syscalls;
mod text;
mod watch;

use serde::{Deserialize, Serialize};

use crate::fact::Content;

pub use field::{Field, FieldId, Op, Value};
pub use line::{Account, Control, Env, Line, Lookup, PathState, Problem, ProblemKind};
pub use names::{Arch, Machine};
pub use parse::parse_line;
pub use syscalls::Syscalls;

/// A rule of the kernel's audit filter.
///
/// Two rules are equal when the kernel takes them for the same one, see [`Rule::identity`].
#[derive(Debug, Clone, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which list of the kernel it is in.
    pub list: List,
    /// What happens when it is the first that matches.
    pub action: Action,
    /// Given with `-A`: put before the rules of its list that are already there. The kernel does not remember it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepended: bool,
    /// Which system calls (io_uring operations in that list) it looks at.
    pub syscalls: Syscalls,
    /// What else must hold, in the order in which the kernel keeps it; keys are a field too.
    pub fields: Vec<Field>,
}

impl Rule {
    /// What the kernel compares to find that a rule is already there (and which one to delete): everything but `-A`.
    /// The order of fields and of keys counts, the spelling of perms, of keywords and of users does not.
    pub fn identity(&self) -> (List, Action, &Syscalls, &[Field]) {
        (self.list, self.action, &self.syscalls, &self.fields)
    }

    /// Whether this rule of a file may be that rule of the kernel.
    ///
    /// From audit 3.1.3 on, `auditctl` adds its own list of system calls to a rule with `arch` and `perm`, and the list grows
    /// with its version; so for such a rule the kernel's system calls may be any set that goes with its perms. So it is with
    /// all operations of io_uring. A name whose number is not known here may stand for any.
    pub fn loaded_as(&self, kernel: &Rule) -> bool {
        if self == kernel {
            return true;
        }
        let same_field = |(ours, theirs): (&Field, &Field)| ours.loaded_as(theirs);
        (self.list, self.action, self.fields.len()) == (kernel.list, kernel.action, kernel.fields.len())
            && self.fields.iter().zip(&kernel.fields).all(same_field)
            && match (self.list, self.arch(), self.perms()) {
                (List::IoUring, ..) if self.syscalls == Syscalls::All => true,
                (List::Exit, Some(arch), Some(perms)) => {
                    self.syscalls == kernel.syscalls || kernel.syscalls.may_replace(&self.syscalls, perms, arch)
                }
                _ => self.syscalls == kernel.syscalls,
            }
    }

    /// The keys, which name the rule in the log.
    pub fn keys(&self) -> Vec<String> {
        let texts = self.fields.iter().filter(|field| field.id == FieldId::KEY).filter_map(|field| field.value.text());
        texts.flat_map(|text| text.split(|byte| *byte == KEY_SEPARATOR)).map(lossy).collect()
    }

    /// The perms that it asks for; `None` where it looks at every system call that touches the file.
    pub fn perms(&self) -> Option<Perms> {
        let perms = self.fields.iter().filter(|field| field.id == FieldId::PERM).filter_map(|field| field.value.number());
        perms.reduce(|both, next| both & next).map(Perms)
    }

    /// The architecture whose system call names its numbers stand for: the last one that it names.
    fn arch(&self) -> Option<Arch> {
        let last = self.fields.iter().rev().find(|field| field.id == FieldId::ARCH)?;
        last.value.number().and_then(Arch::from_code)
    }

    fn first(&self, id: FieldId) -> Option<&Field> {
        self.fields.iter().find(|field| field.id == id)
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

/// The rule that records accesses to a path, in the one spelling that every version of `auditctl` sends unchanged:
/// `-a always,exit -S all -F path=P -F perm=wa -F key=docker`, with `dir=` for a directory and all below it.
pub fn our_watch(path: &str, dir: bool, perms: Perms, key: &str) -> Rule {
    let text = |id, text: &str| Field { id, op: Op::Equal, value: Value::Text(Content(text.as_bytes().to_vec())) };
    Rule {
        list: List::Exit,
        action: Action::Always,
        prepended: false,
        syscalls: Syscalls::All,
        fields: vec![
            text(if dir { FieldId::DIR } else { FieldId::PATH }, path),
            Field { id: FieldId::PERM, op: Op::Equal, value: Value::Number(perms.0) },
            text(FieldId::KEY, key),
        ],
    }
}

/// Separates keys within the kernel's key field.
const KEY_SEPARATOR: u8 = 1;

/// Fields that the kernel takes in one rule.
const MAX_FIELDS: usize = 64;

/// Bytes of all keys of a rule together.
const MAX_KEY: usize = 256;

/// A list of the kernel: when a rule is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum List {
    /// Messages that programs send.
    User,
    /// When a process starts.
    Task,
    /// When a system call ends: nearly all rules.
    Exit,
    /// When a record is about to be written.
    Exclude,
    /// When a name below a directory is noted.
    Filesystem,
    /// When an io_uring operation ends.
    IoUring,
}

impl List {
    const ALL: [List; 6] = [List::User, List::Task, List::Exit, List::Exclude, List::Filesystem, List::IoUring];

    fn code(self) -> u32 {
        match self {
            List::User => 0,
            List::Task => 1,
            List::Exit => 4,
            List::Exclude => 5,
            List::Filesystem => 6,
            List::IoUring => 7,
        }
    }

    fn name(self) -> &'static str {
        match self {
            List::User => "user",
            List::Task => "task",
            List::Exit => "exit",
            List::Exclude => "exclude",
            List::Filesystem => "filesystem",
            List::IoUring => "io_uring",
        }
    }

    /// Lists whose rules may name files.
    fn sees_files(self) -> bool {
        matches!(self, List::Exit | List::IoUring)
    }
}

/// What a rule does with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Not recorded, whatever later rules say.
    Never,
    /// Recorded.
    Always,
}

impl Action {
    fn code(self) -> u32 {
        match self {
            Action::Never => 0,
            Action::Always => 2,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Action::Never => "never",
            Action::Always => "always",
        }
    }
}

/// Kinds of access, as the kernel's bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Perms(pub u32);

impl Perms {
    /// `r`
    pub const READ: Self = Self(4);
    /// `w`
    pub const WRITE: Self = Self(2);
    /// `x`
    pub const EXEC: Self = Self(1);
    /// `a`: attributes.
    pub const ATTR: Self = Self(8);
    /// The single kinds with their letters, in the order in which auditctl prints them.
    pub const EACH: [(char, Self); 4] = [('r', Self::READ), ('w', Self::WRITE), ('x', Self::EXEC), ('a', Self::ATTR)];

    /// Whether all of `other` are among these.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl std::str::FromStr for Perms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut perms = Perms(0);
        for letter in text.chars() {
            let known = Perms::EACH.iter().find(|(known, _)| *known == letter.to_ascii_lowercase());
            let (_, perm) = known.ok_or_else(|| format!("`{letter}` is no kind of access: expected letters of `rwxa`"))?;
            perms.0 |= perm.0;
        }
        Ok(perms)
    }
}

impl std::fmt::Display for Perms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = Perms::EACH.iter().filter(|(_, perm)| self.contains(*perm)).map(|(letter, _)| *letter);
        f.write_str(&letters.collect::<String>())
    }
}

/// Bytes of a file for a message.
fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests;
