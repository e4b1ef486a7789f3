//! Conditions: `-F field=value` and `-C field=field`.

use super::line::{Account, Lookup, Problem};
use super::names;
use super::number::{low_word, number_of};
use super::parse::Request;
use super::watch::perms;
use super::{Field, FieldId, List, Op, Value, lossy};
use crate::fact::Content;

impl Request<'_> {
    /// `-F FIELD OP VALUE`
    pub(super) fn field(&mut self, pair: &[u8], list: List) -> Result<(), Problem> {
        self.room()?;
        let (name, op, value) = split(pair, &Op::ALL)?;
        let id = names::field(&lossy(name)).ok_or_else(|| Problem::auditctl(format!("`{}` is no field", lossy(name))))?;
        self.check_list(id, list)?;
        let value = self.value(id, op, value)?;
        self.fields.push(Field { id, op, value });
        Ok(())
    }

    /// `-C FIELD=FIELD`
    pub(super) fn comparison(&mut self, pair: &[u8], list: Option<List>) -> Result<(), Problem> {
        self.room()?;
        let (left, op, right) = split(pair, &[Op::NotEqual, Op::Equal])?;
        let field =
            |name| names::field(&lossy(name)).ok_or_else(|| Problem::auditctl(format!("`{}` is no field", lossy(name))));
        let (left, right) = (field(left)?, field(right)?);
        if !list.is_some_and(List::sees_files) {
            return Err(only("-C", "exit"));
        }
        let number = names::comparison(left, right).ok_or_else(|| {
            Problem::auditctl(format!("-C compares user with user and group with group fields, not {left} with {right}"))
        })?;
        self.fields.push(Field { id: FieldId::COMPARE, op, value: Value::Number(number) });
        Ok(())
    }

    fn check_list(&self, id: FieldId, list: List) -> Result<(), Problem> {
        let text_of_object = (FieldId::OBJ_USER.0..=FieldId::OBJ_LEV_HIGH.0).contains(&id.0);
        let device = matches!(id, FieldId::DEVMAJOR | FieldId::DEVMINOR | FieldId::INODE);
        let of_files = device || matches!(id, FieldId::PATH | FieldId::DIR | FieldId::PERM | FieldId::FILETYPE);
        let of_events = text_of_object || matches!(id, FieldId::EXIT | FieldId::SUCCESS | FieldId::PPID);
        let in_exclude =
            matches!(id, FieldId::PID | FieldId::UID | FieldId::GID | FieldId::AUID | FieldId::MSGTYPE | FieldId::EXE)
                || (FieldId::SUBJ_USER.0..=FieldId::SUBJ_CLR.0).contains(&id.0);
        match list {
            List::Exclude if !in_exclude => Err(Problem::auditctl(format!(
                "rules of the exclude list take only msgtype, auid, uid, gid, pid, exe and subj fields, not {id}"
            ))),
            _ if (of_files || of_events) && !list.sees_files() => Err(only(&id.to_string(), "exit")),
            _ if id == FieldId::MSGTYPE && !matches!(list, List::Exclude | List::User) => {
                Err(only("msgtype", "exclude and user"))
            }
            _ if id == FieldId::SESSIONID && !matches!(list, List::User | List::Exit) => {
                Err(only("sessionid", "exit and user"))
            }
            _ if id == FieldId::FSTYPE && list != List::Filesystem => Err(only("fstype", "filesystem")),
            _ => Ok(()),
        }
    }

    fn value(&mut self, id: FieldId, op: Op, value: &[u8]) -> Result<Value, Problem> {
        if id.is_text() {
            return self.text(id, op, value);
        }
        let text = lossy(value);
        let digit = value[0].is_ascii_digit();
        let signed = digit || matches!(value, [b'-', second, ..] if second.is_ascii_digit());
        let number = || signed_number(value);
        let expected = |what: &str| Problem::auditctl(format!("{id}{}{text}: expected {what}", op.symbol()));
        let equality = matches!(op, Op::Equal | Op::NotEqual);
        let found = match id {
            _ if id.is_user() && signed => number(),
            _ if id.is_user() && text == "unset" => u32::MAX,
            _ if id.is_user() => return self.account(Account::User, &text),
            _ if id.is_group() && digit => number(),
            _ if id.is_group() => return self.account(Account::Group, &text),
            FieldId::EXIT if signed => number(),
            FieldId::EXIT => {
                names::errno(&text).map(i32::cast_unsigned).ok_or_else(|| expected("a number or an error name like -EPERM"))?
            }
            FieldId::MSGTYPE if digit => number(),
            FieldId::MSGTYPE => names::record_type(&text).ok_or_else(|| expected("a record type like CWD"))?,
            FieldId::ARCH => self.architecture(op, value)?,
            FieldId::PERM if op != Op::Equal => return Err(expected("`=` before perms")),
            FieldId::PERM => {
                self.perm_added = true;
                perms(value)?.0
            }
            FieldId::FILETYPE => {
                names::file_type(&text).ok_or_else(|| expected("file, dir, socket, link, character, block or fifo"))?
            }
            FieldId::FSTYPE if !equality => return Err(expected("`=` or `!=` before a file system")),
            FieldId::FSTYPE => {
                self.fstype_added = true;
                let by_name = || names::filesystem_type(&text).ok_or_else(|| expected("debugfs, tracefs or a number"));
                if digit { number() } else { by_name()? }
            }
            FieldId::SESSIONID if signed => number(),
            FieldId::SESSIONID if text == "unset" => u32::MAX,
            // auditctl sends whatever was there before: nothing.
            FieldId::SESSIONID => 0,
            FieldId::SADDR_FAM => number(),
            _ if (FieldId::ARG0.0..=FieldId::ARG3.0).contains(&id.0) && signed => number(),
            FieldId::INODE if !equality => return Err(expected("`=` or `!=` before an inode")),
            _ if digit => number(),
            _ => return Err(expected("a number")),
        };
        match id {
            FieldId::SADDR_FAM if found >= ADDRESS_FAMILIES => Err(expected("the number of an address family")),
            _ => Ok(Value::Number(found)),
        }
    }

    fn account(&mut self, account: Account, name: &str) -> Result<Value, Problem> {
        let kind = match account {
            Account::User => "user",
            Account::Group => "group",
        };
        match (self.env.account)(account, name) {
            Lookup::Id(number) => Ok(Value::Number(number)),
            Lookup::NoSuch => Err(Problem::auditctl(format!("there is no {kind} `{name}`"))),
            Lookup::Unknown => {
                self.warnings.push(format!("the number of {kind} `{name}` is not known here"));
                Ok(Value::Name { name: name.into() })
            }
        }
    }

    fn architecture(&mut self, op: Op, value: &[u8]) -> Result<u32, Problem> {
        if self.syscall_added {
            return Err(Problem::auditctl("`-F arch=` must come before -S, and goes with no -w"));
        }
        if !matches!(op, Op::Equal | Op::NotEqual) {
            return Err(Problem::auditctl("arch takes `=` or `!=`"));
        }
        let text = lossy(value);
        let code = match value[0].is_ascii_digit() {
            true => Some(low_word(number_of(value))).filter(|code| names::is_arch_code(*code)),
            false => names::arch_code(&text, self.env.machine).or_else(|| bare_hexadecimal(&text)),
        };
        let code = code.ok_or_else(|| {
            Problem::auditctl(format!("`{text}` is no architecture: expected b64, b32 or a name like x86_64"))
        })?;
        self.arch = Some(code);
        Ok(code)
    }

    fn text(&mut self, id: FieldId, op: Op, value: &[u8]) -> Result<Value, Problem> {
        match id {
            FieldId::PATH | FieldId::DIR => self.perm_added = true,
            FieldId::EXE if !matches!(op, Op::Equal | Op::NotEqual) => return Err(Problem::auditctl("exe takes `=` or `!=`")),
            FieldId::EXE => self.exe_added = true,
            FieldId::KEY if !(self.syscall_added || self.perm_added || self.exe_added || self.fstype_added) => {
                return Err(Problem::auditctl(
                    "a key needs -w, -S, or -F with path, dir, perm, exe or fstype in the same rule",
                ));
            }
            FieldId::KEY if value.len() > super::MAX_KEY => {
                return Err(Problem::auditctl(format!("the keys of a rule may have {} bytes together", super::MAX_KEY)));
            }
            _ => {}
        }
        if value.len() > 4096 {
            return Err(Problem::auditctl(format!("the value of {id} is longer than 4096 bytes")));
        }
        Ok(Value::Text(Content(value.to_vec())))
    }
}

/// Address families of the newest kernels.
const ADDRESS_FAMILIES: u32 = 46;

fn only(field: &str, lists: &str) -> Problem {
    Problem::auditctl(format!("{field} can be used only in rules of the {lists} list"))
}

/// `-F arch=c000003e`: hexadecimal digits without `0x` that begin with a letter.
fn bare_hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok().filter(|code| names::is_arch_code(*code))
}

/// Decimal, hexadecimal or octal, perhaps with a minus; the low 32 bits.
fn signed_number(value: &[u8]) -> u32 {
    match value.strip_prefix(b"-") {
        Some(rest) => low_word(number_of(rest).min(1 << 63).wrapping_neg()),
        None => low_word(number_of(value)),
    }
}

/// Splits at the operator that auditctl finds first; that is by kind of operator, not by place.
fn split<'p>(pair: &'p [u8], ops: &[Op]) -> Result<(&'p [u8], Op, &'p [u8]), Problem> {
    let found = ops.iter().find_map(|op| {
        let symbol = op.symbol().as_bytes();
        pair.windows(symbol.len()).position(|part| part == symbol).map(|at| (&pair[..at], *op, &pair[at + symbol.len()..]))
    });
    match found {
        None => Err(Problem::auditctl(format!("`{}`: no operator; write it without spaces, as in `uid=0`", lossy(pair)))),
        Some((b"", _, _)) => Err(Problem::auditctl(format!("`{}`: no field before the operator", lossy(pair)))),
        Some((_, _, b"")) => Err(Problem::auditctl(format!("`{}`: no value after the operator", lossy(pair)))),
        Some(split) => Ok(split),
    }
}
