//! Audit rules: one canonical form for what a rules file says and what the kernel has.
//!
//! [`parse_line`] reads a line as `auditctl` does, [`Rule::from_kernel`] reads what the kernel lists, [`Rule::to_kernel`] is what
//! is sent to it, and `Display` gives one `auditctl` line that loads as the same rule. What a rule *means* is in
//! [`crate::formats::audit_cover`].

mod fields;
mod kernel;
pub(crate) mod names;
mod options;
mod parse;
mod text;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::fact::Content;

pub use names::{Arch, Machine};
pub use parse::{Account, Control, Env, Line, Lookup, PathState, Problem, ProblemKind, parse_line};

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
    /// all operations of io_uring.
    pub fn loaded_as(&self, kernel: &Rule) -> bool {
        if self == kernel {
            return true;
        }
        let apart_from_calls = Rule { syscalls: self.syscalls.clone(), ..kernel.clone() };
        *self == apart_from_calls
            && match (self.list, self.arch(), self.perms()) {
                (List::IoUring, ..) => self.syscalls == Syscalls::All,
                (List::Exit, Some(arch), Some(perms)) => kernel.syscalls.may_replace(&self.syscalls, perms, arch),
                _ => false,
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

/// A set of system calls, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Syscalls {
    /// Every one.
    All,
    /// These; none at all in a rule of the task list.
    Only(BTreeSet<u16>),
}

/// Words of the kernel's system call mask.
const MASK_WORDS: usize = 64;
/// The top bits of the mask stand for classes of calls; the kernel turns them into the calls and clears them.
const CLASS_BITS: usize = 16;
/// System call numbers that a rule can name.
const MAX_SYSCALLS: usize = MASK_WORDS * 32 - CLASS_BITS;

impl Syscalls {
    /// Reads the kernel's mask.
    fn from_mask(mask: &[u32; MASK_WORDS]) -> Self {
        let set = |number: &usize| mask[number / 32] & (1 << (number % 32)) != 0;
        let numbers: BTreeSet<u16> = (0..MAX_SYSCALLS).filter(set).filter_map(|number| u16::try_from(number).ok()).collect();
        if numbers.len() == MAX_SYSCALLS { Syscalls::All } else { Syscalls::Only(numbers) }
    }

    /// The kernel's mask, as the kernel lists it.
    fn mask(&self) -> [u32; MASK_WORDS] {
        let mut mask = [0; MASK_WORDS];
        let mut set = |number: usize| mask[number / 32] |= 1 << (number % 32);
        match self {
            Syscalls::All => (0..MAX_SYSCALLS).for_each(&mut set),
            Syscalls::Only(numbers) => numbers.iter().map(|n| usize::from(*n)).filter(|n| *n < MAX_SYSCALLS).for_each(&mut set),
        }
        mask
    }

    /// Whether a system call number is among them.
    pub fn contains(&self, number: u16) -> bool {
        match self {
            Syscalls::All => true,
            Syscalls::Only(numbers) => numbers.contains(&number),
        }
    }

    /// Whether these can be what a version of auditctl makes of `written` for a rule with these perms.
    fn may_replace(&self, written: &Syscalls, perms: Perms, arch: Arch) -> bool {
        let has = |name| names::syscall_number(arch, name).is_some_and(|number| self.contains(number));
        let typical = [(Perms::READ, "openat"), (Perms::WRITE, "openat"), (Perms::EXEC, "execve"), (Perms::ATTR, "fchmodat")];
        let with_perms = typical.into_iter().filter(|(perm, _)| perms.contains(*perm)).all(|(_, name)| has(name));
        with_perms
            && match written {
                Syscalls::All => true,
                Syscalls::Only(numbers) => numbers.iter().all(|number| self.contains(*number)),
            }
    }
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What is compared.
    #[serde(rename = "field")]
    pub id: FieldId,
    /// How.
    pub op: Op,
    /// With what.
    pub value: Value,
}

/// A field by its kernel number; unknown numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldId(pub u32);

#[allow(missing_docs)] // the field's names in the manual page of auditctl
impl FieldId {
    pub const PID: Self = Self(0);
    pub const UID: Self = Self(1);
    pub const GID: Self = Self(5);
    pub const FSGID: Self = Self(8);
    pub const AUID: Self = Self(9);
    pub const PERS: Self = Self(10);
    pub const ARCH: Self = Self(11);
    pub const MSGTYPE: Self = Self(12);
    pub const SUBJ_USER: Self = Self(13);
    pub const SUBJ_CLR: Self = Self(17);
    pub const PPID: Self = Self(18);
    pub const OBJ_USER: Self = Self(19);
    pub const OBJ_LEV_HIGH: Self = Self(23);
    pub const SESSIONID: Self = Self(25);
    pub const FSTYPE: Self = Self(26);
    pub const DEVMAJOR: Self = Self(100);
    pub const DEVMINOR: Self = Self(101);
    pub const INODE: Self = Self(102);
    pub const EXIT: Self = Self(103);
    pub const SUCCESS: Self = Self(104);
    pub const PATH: Self = Self(105);
    pub const PERM: Self = Self(106);
    pub const DIR: Self = Self(107);
    pub const FILETYPE: Self = Self(108);
    pub const OBJ_UID: Self = Self(109);
    pub const OBJ_GID: Self = Self(110);
    pub const COMPARE: Self = Self(111);
    pub const EXE: Self = Self(112);
    pub const SADDR_FAM: Self = Self(113);
    pub const ARG0: Self = Self(200);
    pub const ARG3: Self = Self(203);
    pub const KEY: Self = Self(210);
}

impl FieldId {
    /// Whether its value is a string in the kernel's record.
    fn is_text(self) -> bool {
        let within = |first: FieldId, last: FieldId| (first.0..=last.0).contains(&self.0);
        within(Self::SUBJ_USER, Self::SUBJ_CLR)
            || within(Self::OBJ_USER, Self::OBJ_LEV_HIGH)
            || matches!(self, Self::PATH | Self::DIR | Self::EXE | Self::KEY)
    }

    /// Whether its value is a user's number.
    fn is_user(self) -> bool {
        (Self::UID.0..Self::GID.0).contains(&self.0) || matches!(self, Self::AUID | Self::OBJ_UID)
    }

    /// Whether its value is a group's number.
    fn is_group(self) -> bool {
        (Self::GID.0..=Self::FSGID.0).contains(&self.0) || self == Self::OBJ_GID
    }
}

impl std::fmt::Display for FieldId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match names::field_name(*self) {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for FieldId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FieldId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = || text.parse().ok().map(FieldId);
        names::field(&text).or_else(number).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no audit field")))
    }
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// `=`
    #[serde(rename = "=")]
    Equal,
    /// `!=`
    #[serde(rename = "!=")]
    NotEqual,
    /// `<`
    #[serde(rename = "<")]
    Less,
    /// `>`
    #[serde(rename = ">")]
    Greater,
    /// `<=`
    #[serde(rename = "<=")]
    AtMost,
    /// `>=`
    #[serde(rename = ">=")]
    AtLeast,
    /// `&`: some of these bits.
    #[serde(rename = "&")]
    AnyBit,
    /// `&=`: all of these bits.
    #[serde(rename = "&=")]
    AllBits,
}

impl Op {
    /// In the order in which auditctl looks for them in `FIELD OP VALUE`: the first that occurs anywhere splits it.
    const ALL: [Op; 8] = [Op::NotEqual, Op::AtLeast, Op::AtMost, Op::AllBits, Op::Equal, Op::Greater, Op::Less, Op::AnyBit];

    fn symbol(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Less => "<",
            Op::Greater => ">",
            Op::AtMost => "<=",
            Op::AtLeast => ">=",
            Op::AnyBit => "&",
            Op::AllBits => "&=",
        }
    }

    fn code(self) -> u32 {
        match self {
            Op::Equal => 0x4000_0000,
            Op::NotEqual => 0x3000_0000,
            Op::Less => 0x1000_0000,
            Op::Greater => 0x2000_0000,
            Op::AtMost => 0x5000_0000,
            Op::AtLeast => 0x6000_0000,
            Op::AnyBit => 0x0800_0000,
            Op::AllBits => 0x4800_0000,
        }
    }

    /// Whether `value OP number` holds.
    pub fn holds(self, value: u32, number: u32) -> bool {
        match self {
            Op::Equal => value == number,
            Op::NotEqual => value != number,
            Op::Less => value < number,
            Op::Greater => value > number,
            Op::AtMost => value <= number,
            Op::AtLeast => value >= number,
            Op::AnyBit => value & number != 0,
            Op::AllBits => value & number == number,
        }
    }
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// A number.
    Number(u32),
    /// A string, byte for byte.
    Text(Content),
    /// A user or group of a file whose number could not be looked up here; never what the kernel has.
    Name {
        /// The name as the file has it.
        name: String,
    },
}

impl Value {
    /// The number, if it is one.
    pub fn number(&self) -> Option<u32> {
        match self {
            Value::Number(number) => Some(*number),
            Value::Text(_) | Value::Name { .. } => None,
        }
    }

    /// The string, if it is one.
    pub fn text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(content) => Some(&content.0),
            Value::Number(_) | Value::Name { .. } => None,
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
