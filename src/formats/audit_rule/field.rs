//! One condition of a rule: a field, an operator, a value.

use serde::{Deserialize, Serialize};

use super::names;
use crate::fact::Content;

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

impl Field {
    /// Whether this may be that field of the kernel: a name whose number is not known here may stand for any.
    pub(super) fn loaded_as(&self, kernel: &Field) -> bool {
        let named = matches!((&self.value, &kernel.value), (Value::Name { .. }, Value::Number(_)));
        self.id == kernel.id && self.op == kernel.op && (named || self.value == kernel.value)
    }
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
    pub(super) fn is_text(self) -> bool {
        let within = |first: FieldId, last: FieldId| (first.0..=last.0).contains(&self.0);
        within(Self::SUBJ_USER, Self::SUBJ_CLR)
            || within(Self::OBJ_USER, Self::OBJ_LEV_HIGH)
            || matches!(self, Self::PATH | Self::DIR | Self::EXE | Self::KEY)
    }

    /// Whether its value is a user's number.
    pub(super) fn is_user(self) -> bool {
        (Self::UID.0..Self::GID.0).contains(&self.0) || matches!(self, Self::AUID | Self::OBJ_UID)
    }

    /// Whether its value is a group's number.
    pub(super) fn is_group(self) -> bool {
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
    pub(super) const ALL: [Op; 8] =
        [Op::NotEqual, Op::AtLeast, Op::AtMost, Op::AllBits, Op::Equal, Op::Greater, Op::Less, Op::AnyBit];

    pub(super) fn symbol(self) -> &'static str {
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

    pub(super) fn code(self) -> u32 {
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
