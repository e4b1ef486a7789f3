//! The drop-in that harden writes: settings put into an existing text, everything else kept.

use super::{Assignment, Origin, Problem, UnitFile, is_line_end, parse};

const HEADER: &str = "# Written by harden. Lines added here are kept.\n";

/// A setting to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Its section, without brackets.
    pub section: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
    /// A line that is put above it where the drop-in does not have the setting yet; begins with `#`.
    pub comment: Option<&'a str>,
}

impl<'a> Setting<'a> {
    /// One without a comment.
    pub fn new(section: &'a str, name: &'a str, value: &'a str) -> Self {
        Self { section, name, value, comment: None }
    }
}

/// One section of settings that go by one name; several values are the lines of a list in order, an empty one resets it.
struct Wanted<'a> {
    section: &'a str,
    name: &'a str,
    values: Vec<&'a str>,
    comment: Option<&'a str>,
}

/// Puts `settings` into the drop-in `existing`, which lies at `path`, or into a new one.
///
/// A name given more than once is a list whose lines come in that order. A setting that already stands there as wanted is
/// left alone, so an unchanged drop-in is byte-identical; otherwise its first line is replaced and its others go.
///
/// # Errors
/// When systemd would not read the existing file to its end, or a setting does not fit on one line as it is.
pub fn drop_in(path: &str, existing: Option<&[u8]>, settings: &[Setting]) -> Result<Vec<u8>, Problem> {
    let mut text = existing.unwrap_or(HEADER.as_bytes()).to_vec();
    let old = readable(path, &text)?;
    for wanted in grouped(settings) {
        text = put(&text, &readable(path, &text)?, &wanted);
    }
    let new = parse(path, &text);
    for wanted in grouped(settings) {
        if !wanted.stands_in(&new) {
            let what =
                format!("[{}] {} cannot be written: a name or value does not fit on one line", wanted.section, wanted.name);
            return Err(Problem::new(Origin::new(path, 1), what));
        }
    }
    if new.cut_short || others(&old, settings) != others(&new, settings) {
        return Err(Problem::new(
            Origin::new(path, 1),
            "the settings cannot be written without changing other lines of this file",
        ));
    }
    Ok(text)
}

fn readable(path: &str, text: &[u8]) -> Result<UnitFile, Problem> {
    let file = parse(path, text);
    match file.problems.last() {
        Some(problem) if file.cut_short => Err(problem.clone()),
        _ => Ok(file),
    }
}

fn grouped<'a>(settings: &[Setting<'a>]) -> Vec<Wanted<'a>> {
    let mut groups: Vec<Wanted<'a>> = Vec::new();
    for &Setting { section, name, value, comment } in settings {
        match groups.iter_mut().find(|group| group.section == section && group.name == name) {
            Some(group) => group.values.push(value),
            None => groups.push(Wanted { section, name, values: vec![value], comment }),
        }
    }
    groups
}

impl Wanted<'_> {
    fn is_set_by(&self, one: &Assignment) -> bool {
        one.section == self.section && one.name == self.name
    }

    fn stands_in(&self, file: &UnitFile) -> bool {
        file.assignments.iter().filter(|one| self.is_set_by(one)).map(|one| one.value.as_str()).eq(self.values.iter().copied())
    }

    fn lines(&self) -> String {
        self.values.iter().map(|value| format!("{}={value}\n", self.name)).collect()
    }
}

fn put(text: &[u8], file: &UnitFile, wanted: &Wanted) -> Vec<u8> {
    if wanted.stands_in(file) {
        return text.to_vec();
    }
    let mut spans = file.assignments.iter().filter(|one| wanted.is_set_by(one)).map(|one| one.span.clone());
    if let Some(first) = spans.next() {
        let mut out = text[..first.start].to_vec();
        out.extend_from_slice(wanted.lines().as_bytes());
        let mut kept_from = first.end;
        for span in spans {
            out.extend_from_slice(&text[kept_from..span.start]);
            kept_from = span.end;
        }
        out.extend_from_slice(&text[kept_from..]);
        return out;
    }
    let lines = format!("{}{}", wanted.comment.map(|line| format!("{line}\n")).unwrap_or_default(), wanted.lines());
    // After the last assignment of its section, else in a section of its own at the end.
    if let Some(last) = file.assignments.iter().rfind(|one| one.section == wanted.section) {
        let mut out = with_line_end(&text[..last.span.end]);
        out.extend_from_slice(lines.as_bytes());
        out.extend_from_slice(&text[last.span.end..]);
        return out;
    }
    let mut out = with_line_end(text);
    if !out.is_empty() {
        out.push(b'\n');
    }
    out.extend_from_slice(format!("[{}]\n{lines}", wanted.section).as_bytes());
    out
}

/// Ends the last line. A backslash before its end would continue it, so it gets an empty line to continue on.
fn with_line_end(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    if out.last().is_some_and(|&byte| byte != b'\n') {
        out.push(b'\n');
    }
    if out.iter().rev().find(|&&byte| !is_line_end(byte)) == Some(&b'\\') {
        out.push(b'\n');
    }
    out
}

/// What a file sets besides these settings.
fn others<'a>(file: &'a UnitFile, settings: &[Setting]) -> Vec<(&'a str, &'a str, &'a str)> {
    let ours = |one: &Assignment| settings.iter().any(|wanted| one.section == wanted.section && one.name == wanted.name);
    let others = file.assignments.iter().filter(|one| !ours(one));
    others.map(|one| (one.section.as_str(), one.name.as_str(), one.value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn plain(section: &'static str, name: &'static str, value: &'static str) -> Setting<'static> {
        Setting { section, name, value, comment: None }
    }

    const SOCKET: [Setting; 2] = [plain("Socket", "SocketMode", "0660"), plain("Socket", "SocketGroup", "docker")];

    fn text(existing: Option<&str>, settings: &[Setting]) -> String {
        String::from_utf8(drop_in("d", existing.map(str::as_bytes), settings).unwrap()).unwrap()
    }

    #[test]
    fn settings_are_put_in_and_the_rest_is_kept() {
        let table = [
            (None, "# Written by harden. Lines added here are kept.\n\n[Socket]\nSocketMode=0660\nSocketGroup=docker\n"),
            (Some(""), "[Socket]\nSocketMode=0660\nSocketGroup=docker\n"),
            (Some("[Socket]\nSocketGroup = docker\nSocketMode=0660"), "[Socket]\nSocketGroup = docker\nSocketMode=0660"),
            (
                Some("# mine\n[Socket]\n# why\nSocketMode=0666\n[Unit]\nA=1 \\\n 2\n"),
                "# mine\n[Socket]\n# why\nSocketMode=0660\nSocketGroup=docker\n[Unit]\nA=1 \\\n 2\n",
            ),
            (
                Some("[Socket]\nSocketMode=0666\nX=1\nSocketMode=0660\nSocketGroup=docker"),
                "[Socket]\nSocketMode=0660\nX=1\nSocketGroup=docker",
            ),
            (Some("[Unit]\nA=1\\"), "[Unit]\nA=1\\\n\n\n[Socket]\nSocketMode=0660\nSocketGroup=docker\n"),
            (Some("[Socket]\n# none yet\n"), "[Socket]\n# none yet\n\n[Socket]\nSocketMode=0660\nSocketGroup=docker\n"),
        ];
        for (existing, expected) in table {
            assert_eq!(text(existing, &SOCKET), expected);
        }
    }

    #[test]
    fn a_list_is_written_with_its_reset() {
        let settings = [plain("Service", "ExecStart", ""), plain("Service", "ExecStart", "/usr/bin/dockerd -H fd://")];
        let written = text(None, &settings);
        assert_eq!(
            written,
            "# Written by harden. Lines added here are kept.\n\n[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n"
        );
        assert_eq!(text(Some(&written), &settings), written);
        assert_eq!(
            text(Some("[Service]\nExecStart=\nExecStart=/usr/bin/dockerd \\\n -D\n"), &settings),
            "[Service]\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n"
        );
        // The comment comes with the setting, once.
        let commented = settings.map(|setting| Setting { comment: Some("# Why."), ..setting });
        let written = text(Some("[Service]\nA=1"), &commented);
        assert_eq!(written, "[Service]\nA=1\n# Why.\nExecStart=\nExecStart=/usr/bin/dockerd -H fd://\n");
        let other = [commented[0], Setting { value: "/usr/bin/dockerd", ..commented[1] }];
        assert_eq!(text(Some(&written), &other), "[Service]\nA=1\n# Why.\nExecStart=\nExecStart=/usr/bin/dockerd\n");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        for value in ["a\nb", " a", "a\\", "a\rSocketUser=x", "a\0b"] {
            let error = drop_in("d", None, &[Setting::new("Socket", "SocketUser", value)]).unwrap_err();
            assert_eq!(
                error.to_string(),
                "d:1: [Socket] SocketUser cannot be written: a name or value does not fit on one line"
            );
        }
        let error = drop_in("d", None, &[plain("Socket]\nA=1\n[Socket", "SocketUser", "root")]).unwrap_err();
        assert_eq!(
            error.what,
            "[Socket]\nA=1\n[Socket] SocketUser cannot be written: a name or value does not fit on one line"
        );
        let error = drop_in("d", None, &[plain("Socket", "A=1\nSocketUser", "root")]).unwrap_err();
        assert_eq!(error.what, "[Socket] A=1\nSocketUser cannot be written: a name or value does not fit on one line");
        let error = drop_in("d", Some(b"[Socket]\nA=1\n[oops\n"), &SOCKET).unwrap_err();
        assert_eq!(error.to_string(), "d:3: the section header does not end with `]`; systemd reads nothing from here on");
    }

    proptest! {
        #[test]
        fn it_holds_what_was_asked_and_a_second_time_changes_nothing(
            pieces in proptest::collection::vec(proptest::sample::select(vec![
                "[Socket]\n", "[Unit]\n", "SocketMode=0666\n", "SocketGroup=x\\\n", "# c\n", "\n", "A=1 \\", "\r\n", "B=\u{e9}", "\0",
                "; SocketMode=1 \\\n", "[bad\n",
            ]), 0..14)
        ) {
            let existing = pieces.concat().into_bytes();
            if let Ok(once) = drop_in("d", Some(&existing), &SOCKET) {
                let file = parse("d", &once);
                prop_assert!(grouped(&SOCKET).iter().all(|wanted| wanted.stands_in(&file)));
                prop_assert_eq!(drop_in("d", Some(&once), &SOCKET).unwrap(), once);
            } else {
                prop_assert!(parse("d", &existing).cut_short, "refused without need: {}", existing.escape_ascii());
            }
        }
    }
}
