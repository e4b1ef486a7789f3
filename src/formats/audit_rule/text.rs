//! A rule as one line of auditctl.

use std::fmt::{self, Display, Formatter, Write};

use super::{Field, FieldId, KEY_SEPARATOR, List, Op, Perms, Rule, Syscalls, Value, names};

impl Display for Rule {
    /// Gives the same rule when auditctl reads it on this kind of machine. Where a rule can't be written for auditctl (a newline in
    /// a path, a key that is not last) it is still readable.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let own_calls = self.syscalls_text();
        // These lists refuse -S after them.
        let calls_first = !self.list.sees_files();
        if let (true, Some(calls)) = (calls_first, &own_calls) {
            write!(f, "-S {calls} ")?;
        }
        let option = if self.prepended { "-A" } else { "-a" };
        write!(f, "{option} {},{}", self.action.name(), self.list.name())?;
        // auditctl wants -S after arch. Before perm it also keeps newer versions from adding system calls of their own.
        let arch_fields = self.fields.iter().rposition(|field| field.id == FieldId::ARCH).map_or(0, |last| last + 1);
        let (before, after) = self.fields.split_at(arch_fields);
        before.iter().try_for_each(|field| write_field(f, field))?;
        if let (false, Some(calls)) = (calls_first, &own_calls) {
            write!(f, " -S {calls}")?;
        }
        after.iter().try_for_each(|field| write_field(f, field))
    }
}

impl Rule {
    /// What to write after -S; `None` where leaving -S out says it.
    fn syscalls_text(&self) -> Option<String> {
        match &self.syscalls {
            Syscalls::All if self.list.sees_files() => Some("all".into()),
            Syscalls::All => None,
            Syscalls::Only(numbers) if numbers.is_empty() && self.list == List::Task => None,
            Syscalls::Only(numbers) if numbers.is_empty() => Some(",".into()),
            Syscalls::Only(numbers) => {
                // Without arch a number means another call on each architecture, so it stays a number.
                let arch = self.arch().filter(|_| self.list != List::IoUring);
                let name = |number: &u16| {
                    let name = arch.and_then(|arch| names::syscall_name(arch, *number));
                    name.map_or_else(|| number.to_string(), str::to_owned)
                };
                Some(numbers.iter().map(name).collect::<Vec<_>>().join(","))
            }
        }
    }
}

impl Display for Field {
    /// `auid>=1000`, as after `-F`, without escapes.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let op = self.op.symbol();
        match &self.value {
            Value::Number(number) if self.id == FieldId::COMPARE => match names::comparison_names(*number) {
                Some((left, right)) => write!(f, "{left}{op}{right}"),
                None => write!(f, "{}{op}{number}", self.id),
            },
            Value::Number(number) => write!(f, "{}{op}{}", self.id, number_text(self.id, *number)),
            Value::Text(text) => write!(f, "{}{op}{}", self.id, super::lossy(&text.0)),
            Value::Name { name } => write!(f, "{}{op}{name}", self.id),
        }
    }
}

fn write_field(f: &mut Formatter<'_>, field: &Field) -> fmt::Result {
    match &field.value {
        Value::Text(text) if field.id == FieldId::KEY && field.op == Op::Equal => {
            let mut keys = text.0.split(|byte| *byte == KEY_SEPARATOR);
            keys.try_for_each(|key| write!(f, " -F key={}", Escaped(&super::lossy(key))))
        }
        Value::Number(number) if field.id == FieldId::COMPARE && names::comparison_names(*number).is_some() => {
            write!(f, " -C {field}")
        }
        _ => write!(f, " -F {}", Escaped(&field.to_string())),
    }
}

fn number_text(id: FieldId, number: u32) -> String {
    match id {
        FieldId::PERM => Perms(number).to_string(),
        FieldId::ARCH => names::arch_name(number),
        FieldId::AUID | FieldId::SESSIONID if number == u32::MAX => "unset".into(),
        FieldId::EXIT => number.cast_signed().to_string(),
        FieldId::MSGTYPE => names::record_type_name(number).map_or_else(|| number.to_string(), str::to_owned),
        FieldId::FILETYPE => names::file_type_name(number).map_or_else(|| number.to_string(), str::to_owned),
        FieldId::FSTYPE => format!("0x{number:x}"),
        _ => number.to_string(),
    }
}

/// A word in which spaces and backslashes are escaped.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            ' ' | '\\' => write!(f, "\\{letter}"),
            other => f.write_char(other),
        })
    }
}
