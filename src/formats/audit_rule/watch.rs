//! Watches: `-w`, `-W` and `-p`.

use super::line::{PathState, Problem};
use super::parse::{Request, as_path};
use super::syscalls::MASK_WORDS;
use super::{Action, Field, FieldId, List, Op, Perms, Value, lossy};
use crate::fact::Content;

impl Request<'_> {
    /// `-w`
    pub(super) fn watch(&mut self, path: &[u8]) -> Result<(), Problem> {
        if self.list().is_some() {
            return Err(Problem::auditctl(
                "-w is a rule of its own: leave out -a, or write `-F path=` or `-F dir=` in place of -w",
            ));
        }
        self.add = Some(List::Exit);
        self.watched_path(path)
    }

    pub(super) fn watched_path(&mut self, path: &[u8]) -> Result<(), Problem> {
        self.action = Some(Action::Always);
        self.syscall_added = true;
        self.send = true;
        check_watched(path)?;
        let literal = |warnings: &mut Vec<String>, what| warnings.push(format!("`{}`: {what} is taken literally", lossy(path)));
        if path.windows(2).any(|part| part == b"..") {
            literal(&mut self.warnings, "`..`");
        }
        if path.iter().any(|byte| matches!(byte, b'*' | b'?')) {
            literal(&mut self.warnings, "a wildcard");
        }
        let trimmed = path.iter().rposition(|byte| *byte != b'/').map_or(&path[..1], |last| &path[..=last]);
        let path = if path.len() > 2 { trimmed } else { path };
        if !self.fields.is_empty() {
            return Err(Problem::auditctl("-w or -W must come before any condition"));
        }
        let id = match (self.env.path_state)(as_path(path)) {
            PathState::Dir => FieldId::DIR,
            PathState::Other => FieldId::PATH,
            PathState::Missing | PathState::ParentMissing => {
                let note =
                    format!("`{}` is not there: if it becomes a directory, what is below it is not watched", lossy(path));
                self.warnings.push(note);
                FieldId::PATH
            }
        };
        self.mask = [u32::MAX; MASK_WORDS];
        self.perm_added = true;
        self.fields = vec![
            Field { id, op: Op::Equal, value: Value::Text(Content(path.to_vec())) },
            Field { id: FieldId::PERM, op: Op::Equal, value: Value::Number(15) },
        ];
        Ok(())
    }

    /// `-p`
    pub(super) fn watch_perms(&mut self, letters: &[u8]) -> Result<(), Problem> {
        if self.list().is_none() {
            return Err(Problem::auditctl("-p must come after the watch that it belongs to"));
        }
        let perms = perms(letters)?;
        if self.fields.is_empty() {
            return Err(Problem::auditctl("-p must come after the path"));
        }
        let mut given = self.fields.iter_mut().filter(|field| field.id == FieldId::PERM).peekable();
        if given.peek().is_some() {
            given.for_each(|field| field.value = Value::Number(perms.0));
        } else {
            self.room()?;
            self.fields.push(Field { id: FieldId::PERM, op: Op::Equal, value: Value::Number(perms.0) });
        }
        self.perm_added = true;
        self.send = true;
        Ok(())
    }
}

fn check_watched(path: &[u8]) -> Result<(), Problem> {
    let name = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty()).unwrap_or_default();
    match path {
        _ if path.len() >= 4096 => Err(Problem::auditctl("the path is longer than 4095 bytes")),
        [b'/', ..] if name.len() <= 255 => Ok(()),
        [b'/', ..] => Err(Problem::auditctl("the last name of the path is longer than 255 bytes")),
        _ => Err(Problem::auditctl(format!("`{}`: the path must begin with `/` (quotes are not removed)", lossy(path)))),
    }
}

/// Letters of `rwxa`, at most four, in any case and order.
pub(super) fn perms(letters: &[u8]) -> Result<Perms, Problem> {
    if letters.len() > 4 {
        return Err(Problem::auditctl(format!("perms `{}`: at most four letters of rwxa", lossy(letters))));
    }
    // An encoding of several bytes is no letter of rwxa either way.
    lossy(letters).parse().map_err(Problem::auditctl)
}
