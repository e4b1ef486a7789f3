//! The kernel's record of a rule, `struct audit_rule_data`, and what the kernel refuses.
//!
//! All numbers are in the machine's own byte order: flags, action, field count, 64 words of mask, 64 fields, 64 values, 64
//! operators, the length of the strings, then the strings back to back. The value of a field that is a string is its length.

use super::line::{Env, PathState, Problem};
use super::syscalls::MASK_WORDS;
use super::{Action, Field, FieldId, List, MAX_FIELDS, Op, Rule, Syscalls, Value, lossy};
use crate::fact::Content;

/// The flag of `-A`.
const PREPEND: u32 = 0x10;
/// Words before the strings.
const HEADER_WORDS: usize = 3 + MASK_WORDS + 3 * MAX_FIELDS + 1;
const HEADER: usize = HEADER_WORDS * 4;

impl Rule {
    /// Reads a rule as the kernel lists it; the error says what is wrong with the record.
    pub fn from_kernel(payload: &[u8]) -> Result<Rule, String> {
        let (header, strings) = payload
            .split_at_checked(HEADER)
            .ok_or_else(|| format!("a rule's record has at least {HEADER} bytes, this one {}", payload.len()))?;
        let words: Vec<u32> =
            header.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect();
        let (flags, action, count) = (words[0], words[1], words[2]);
        let count =
            usize::try_from(count).ok().filter(|count| *count <= MAX_FIELDS).ok_or_else(|| format!("{count} fields"))?;
        let list = List::ALL.into_iter().find(|list| list.code() == flags & !PREPEND);
        let action = [Action::Never, Action::Always].into_iter().find(|known| known.code() == action);
        let mut mask = [0; MASK_WORDS];
        mask.copy_from_slice(&words[3..3 + MASK_WORDS]);
        let [ids, values, ops] = [0, 1, 2].map(|part| &words[3 + MASK_WORDS + part * MAX_FIELDS..]);
        let mut strings = strings;
        let fields =
            (0..count).map(|at| read_field(ids[at], ops[at], values[at], &mut strings)).collect::<Result<_, String>>()?;
        Ok(Rule {
            list: list.ok_or_else(|| format!("unknown list {flags:#x}"))?,
            action: action.ok_or_else(|| format!("unknown action {}", words[1]))?,
            prepended: flags & PREPEND != 0,
            syscalls: Syscalls::from_mask(&mask),
            fields,
        })
    }

    /// The record to send to the kernel; the error says what can't be sent.
    pub fn to_kernel(&self) -> Result<Vec<u8>, String> {
        if self.fields.len() > MAX_FIELDS {
            return Err(format!("{} fields, the kernel takes {MAX_FIELDS}", self.fields.len()));
        }
        let mut words = vec![0; HEADER_WORDS];
        words[0] = self.list.code() | if self.prepended { PREPEND } else { 0 };
        words[1] = self.action.code();
        words[2] = low(self.fields.len())?;
        words[3..3 + MASK_WORDS].copy_from_slice(&self.syscalls.mask());
        let mut strings = Vec::new();
        for (at, field) in self.fields.iter().enumerate() {
            let base = 3 + MASK_WORDS + at;
            words[base] = field.id.0;
            words[base + MAX_FIELDS] = match &field.value {
                Value::Number(number) => *number,
                Value::Text(text) => low(text.0.len())?,
                Value::Name { name } => return Err(format!("the number of `{name}` is not known")),
            };
            words[base + 2 * MAX_FIELDS] = field.op.code();
            strings.extend_from_slice(field.value.text().unwrap_or_default());
        }
        words[HEADER_WORDS - 1] = low(strings.len())?;
        Ok(words.iter().flat_map(|word| word.to_ne_bytes()).chain(strings).collect())
    }

    /// What the kernel would refuse, except a rule that is already there.
    pub(super) fn check_kernel(&self, env: &Env) -> Result<(), Problem> {
        let mut anchors = self.fields.iter().filter(|field| matches!(field.id, FieldId::PATH | FieldId::DIR | FieldId::INODE));
        if let (Some(_), Some(second)) = (anchors.next(), anchors.next()) {
            return Err(refuse(format!("one of path, dir and inode a rule, {} is a second one", second.id)));
        }
        for once in [FieldId::KEY, FieldId::EXE] {
            if self.fields.iter().filter(|field| field.id == once).count() > 1 {
                return Err(refuse(format!("{once} only once a rule")));
            }
        }
        self.fields.iter().try_for_each(|field| check_field(field, self.list, env))
    }
}

fn low(length: usize) -> Result<u32, String> {
    u32::try_from(length).map_err(|_| format!("{length} is too long"))
}

fn read_field(id: u32, op: u32, value: u32, strings: &mut &[u8]) -> Result<Field, String> {
    let id = FieldId(id);
    let op = Op::ALL.into_iter().find(|known| known.code() == op).ok_or_else(|| format!("unknown operator {op:#x} of {id}"))?;
    let value = match id.is_text() {
        false => Value::Number(value),
        true => {
            let length = usize::try_from(value).unwrap_or(usize::MAX);
            let (text, rest) = strings.split_at_checked(length).ok_or_else(|| format!("the text of {id} is cut off"))?;
            *strings = rest;
            Value::Text(Content(text.to_vec()))
        }
    };
    Ok(Field { id, op, value })
}

fn refuse(what: impl Into<String>) -> Problem {
    Problem::kernel(what)
}

fn check_field(field: &Field, list: List, env: &Env) -> Result<(), Problem> {
    let Field { id, op, value } = field;
    let id = *id;
    if list == List::Filesystem && !matches!(id, FieldId::FSTYPE | FieldId::KEY) {
        return Err(refuse(format!("rules of the filesystem list take only fstype and key, not {id}")));
    }
    if id == FieldId::PERM && list == List::IoUring {
        return Err(refuse("rules of the io_uring list take no perm"));
    }
    let equality = matches!(op, Op::Equal | Op::NotEqual);
    let bits = matches!(op, Op::AnyBit | Op::AllBits);
    let takes_bits = (FieldId::ARG0.0..=FieldId::ARG3.0).contains(&id.0) || matches!(id, FieldId::PERS | FieldId::DEVMINOR);
    let label = id.is_text() && !matches!(id.0, 16 | 17 | 22 | 23);
    let only_equality =
        label || matches!(id, FieldId::ARCH | FieldId::FSTYPE | FieldId::PERM | FieldId::FILETYPE | FieldId::COMPARE);
    let unset_login = id == FieldId::AUID && value.number() == Some(u32::MAX);
    if (bits && !takes_bits) || ((only_equality || unset_login) && !equality) {
        return Err(refuse(format!("{id} can't be compared with `{}`", op.symbol())));
    }
    match value {
        Value::Number(u32::MAX) if (id.is_user() || id.is_group()) && !unset_login => {
            Err(refuse(format!("{id} can't be unset")))
        }
        Value::Number(number) if id == FieldId::COMPARE && *number > 25 => Err(refuse("no such comparison")),
        Value::Text(Content(text)) => check_text(id, *op, text, list, env),
        _ => Ok(()),
    }
}

fn check_text(id: FieldId, op: Op, text: &[u8], list: List, env: &Env) -> Result<(), Problem> {
    use std::os::unix::ffi::OsStrExt;
    if !matches!(id, FieldId::PATH | FieldId::DIR | FieldId::EXE) {
        return Ok(());
    }
    let shown = lossy(text);
    if op != Op::Equal && id != FieldId::EXE {
        return Err(refuse(format!("{id} takes only `=`")));
    }
    if !text.starts_with(b"/") {
        return Err(refuse(format!("{id}={shown}: the path must begin with `/`")));
    }
    if id != FieldId::DIR && text.ends_with(b"/") {
        return Err(refuse(format!("{id}={shown}: must not end with `/`; for a directory with all below it write dir=")));
    }
    if id != FieldId::EXE && !list.sees_files() {
        return Err(refuse(format!("{id} can be used only in rules of the exit list")));
    }
    let last = text.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    if id != FieldId::DIR && matches!(last, b"." | b"..") {
        return Err(refuse(format!("{id}={shown}: must end with a name")));
    }
    match (env.path_state)(std::path::Path::new(std::ffi::OsStr::from_bytes(text))) {
        PathState::ParentMissing => Err(refuse(format!("{id}={shown}: its parent directory is not there"))),
        PathState::Missing if id == FieldId::DIR => Err(refuse(format!("dir={shown}: there is no such directory"))),
        _ => Ok(()),
    }
}
