//! systemd unit files, read as systemd reads them: one file into assignments, a unit file and its drop-ins into one unit.
//!
//! Written down from what systemd 252 does (see `tests/data/systemd/`), not only from its manual: a comment inside a
//! continuation is skipped, a carriage return or a NUL ends a line, a line that is not UTF-8 ends the file.

use std::fmt;
use std::ops::Range;

mod drop_in;

pub use drop_in::{Setting, drop_in};

/// What systemd strips around names and values.
const WHITESPACE: &[u8] = b" \t\n\r";
/// systemd gives up on a file with a longer line (bytes, continuations joined).
const LONGEST_LINE: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a setting or a word comes from: the line to change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The file.
    pub path: String,
    /// The line, from 1; of a continued line its first.
    pub line: usize,
    /// The environment variable through which it came, if any; path and line are then where the variable is set.
    pub variable: Option<String>,
}

impl Origin {
    /// A line of a file, no variable involved.
    pub fn new(path: impl Into<String>, line: usize) -> Self {
        Self { path: path.into(), line, variable: None }
    }
}

impl fmt::Display for Origin {
    /// `path:line`, followed by ` ($NAME)` for what came through a variable.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path, self.line)?;
        self.variable.as_ref().map_or(Ok(()), |name| write!(f, " (${name})"))
    }
}

/// Something that systemd ignores, refuses or reads in a surprising way. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What, and what systemd does about it.
    pub what: String,
}

impl Problem {
    /// A problem on a line of a file.
    pub fn new(origin: Origin, what: impl Into<String>) -> Self {
        Self { origin, what: what.into() }
    }
}

impl fmt::Display for Problem {
    /// `path:line: what`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// One `Name=value`, continuation lines joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The section without brackets, e.g. `Service`.
    pub section: String,
    /// The name, case kept: systemd knows only the exact spelling.
    pub name: String,
    /// The value without surrounding whitespace; quotes, escapes and specifiers as written.
    pub value: String,
    /// Its first line, from 1.
    pub line: usize,
    /// Its bytes in the file, line ends included.
    pub span: Range<usize>,
}

/// One unit file or drop-in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnitFile {
    /// Its path.
    pub path: String,
    /// What it sets, in order. Sections and names that systemd doesn't know are here too; nobody asks for them.
    pub assignments: Vec<Assignment>,
    /// Lines that systemd ignores or stops at.
    pub problems: Vec<Problem>,
    /// systemd stops reading before the end: the rest of a drop-in is ignored, a unit file is refused as a whole.
    pub cut_short: bool,
}

/// Reads one unit file or drop-in.
pub fn parse(path: &str, bytes: &[u8]) -> UnitFile {
    let mut file = UnitFile { path: path.into(), ..UnitFile::default() };
    let mut section = None;
    for line in LogicalLines::new(bytes) {
        let number = line.number;
        if let Err(complaint) = read_line(line, &mut section, &mut file.assignments) {
            file.problems.push(Problem::new(Origin::new(path, number), complaint.text()));
            if complaint.ends_file() {
                file.cut_short = true;
                break;
            }
        }
    }
    file
}

/// What can be wrong with a line.
#[derive(Clone, Copy)]
enum Complaint {
    TooLong,
    NotUtf8,
    OpenHeader,
    OutsideSection,
    NoEqualsSign,
    NoName,
}

impl Complaint {
    fn text(self) -> &'static str {
        match self {
            Self::TooLong => "the line is longer than 1 MiB; systemd reads nothing from here on",
            Self::NotUtf8 => "the line is not UTF-8; systemd reads nothing from here on",
            Self::OpenHeader => "the section header does not end with `]`; systemd reads nothing from here on",
            Self::OutsideSection => "the line stands before any [Section]; systemd ignores it",
            Self::NoEqualsSign => "expected Name=value; systemd ignores the line",
            Self::NoName => "there is no name before `=`; systemd ignores the line",
        }
    }

    fn ends_file(self) -> bool {
        matches!(self, Self::TooLong | Self::NotUtf8 | Self::OpenHeader)
    }
}

fn read_line(line: LogicalLine, section: &mut Option<String>, assignments: &mut Vec<Assignment>) -> Result<(), Complaint> {
    if line.text.len() > LONGEST_LINE {
        return Err(Complaint::TooLong);
    }
    let text = std::str::from_utf8(strip(&line.text)).map_err(|_| Complaint::NotUtf8)?;
    if text.is_empty() {
        return Ok(());
    }
    if let Some(header) = text.strip_prefix('[') {
        *section = Some(header.strip_suffix(']').ok_or(Complaint::OpenHeader)?.to_owned());
        return Ok(());
    }
    let section = section.clone().ok_or(Complaint::OutsideSection)?;
    let (name, value) = text.split_once('=').ok_or(Complaint::NoEqualsSign)?;
    let (name, value) = (name.trim_end_matches(is_whitespace).to_owned(), value.trim_matches(is_whitespace).to_owned());
    if name.is_empty() {
        return Err(Complaint::NoName);
    }
    assignments.push(Assignment { section, name, value, line: line.number, span: line.span });
    Ok(())
}

/// A line with its continuations: a backslash at a line's end became a space, comments in between are gone.
struct LogicalLine {
    number: usize,
    span: Range<usize>,
    text: Vec<u8>,
}

struct LogicalLines<'a> {
    bytes: &'a [u8],
    position: usize,
    number: usize,
    mark_seen: bool,
}

impl<'a> LogicalLines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, number: 0, mark_seen: false }
    }

    /// The next line as it stands, without its end, and where it starts.
    fn physical(&mut self) -> Option<(usize, &'a [u8])> {
        let start = self.position;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|&byte| is_line_end(byte)).unwrap_or(rest.len());
        self.position = start + length + line_end_length(&rest[length..]);
        self.number += 1;
        Some((start, &rest[..length]))
    }

    /// systemd drops the first byte order mark that starts a line, on whichever line it is.
    fn without_mark(&mut self, line: &'a [u8]) -> &'a [u8] {
        match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if !self.mark_seen => {
                self.mark_seen = true;
                rest
            }
            _ => line,
        }
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = LogicalLine;

    fn next(&mut self) -> Option<LogicalLine> {
        let mut open: Option<LogicalLine> = None;
        while let Some((start, line)) = self.physical() {
            if matches!(strip(line).first(), Some(b'#' | b';')) {
                continue;
            }
            let line = self.without_mark(line);
            let mut logical =
                open.take().unwrap_or_else(|| LogicalLine { number: self.number, span: start..start, text: Vec::new() });
            logical.text.extend_from_slice(line);
            logical.span.end = self.position;
            if line.iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 0 {
                return Some(logical);
            }
            logical.text.pop();
            logical.text.push(b' ');
            open = Some(logical);
        }
        open
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

/// One line end is a run of different end characters (`\r\n`, `\n\r`, …); a NUL is the last of its run.
fn line_end_length(bytes: &[u8]) -> usize {
    let mut length = 0;
    while let Some(&byte) = bytes.get(length) {
        if !is_line_end(byte) || bytes[..length].contains(&byte) {
            break;
        }
        length += 1;
        if byte == 0 {
            break;
        }
    }
    length
}

fn is_whitespace(character: char) -> bool {
    u8::try_from(character).is_ok_and(|byte| WHITESPACE.contains(&byte))
}

fn strip(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && WHITESPACE.contains(first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && WHITESPACE.contains(last)
    {
        bytes = rest;
    }
    bytes
}

/// A unit as systemd merges it: the unit file, then its drop-ins in the order that [`super::unit_path::order`] gives.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unit {
    /// The unit file.
    pub fragment: String,
    /// The drop-ins, in the order in which they were merged.
    pub drop_ins: Vec<String>,
    /// The problems of all its files.
    pub problems: Vec<Problem>,
    /// systemd does not load it.
    pub refused: bool,
    files: Vec<UnitFile>,
}

impl Unit {
    /// Merges a unit file with its drop-ins, which must be in systemd's order.
    pub fn merge(fragment: UnitFile, drop_ins: Vec<UnitFile>) -> Unit {
        let mut unit = Unit {
            fragment: fragment.path.clone(),
            drop_ins: drop_ins.iter().map(|file| file.path.clone()).collect(),
            ..Unit::default()
        };
        unit.refused = fragment.cut_short;
        for mut file in std::iter::once(fragment).chain(drop_ins) {
            unit.problems.append(&mut file.problems);
            unit.files.push(file);
        }
        if unit.refused {
            let what = format!("systemd does not load {} because of the line it stops at", unit.name());
            unit.problems.push(Problem::new(Origin::new(unit.fragment.clone(), 1), what));
        }
        unit
    }

    /// The unit's name: the last part of the unit file's path.
    pub fn name(&self) -> &str {
        self.fragment.rsplit('/').next().unwrap_or_default()
    }

    /// A single-valued setting: the last assignment wins. An empty value means that the default was restored.
    pub fn last(&self, section: &str, name: &str) -> Option<(&str, Origin)> {
        self.every(section, name).last()
    }

    /// A list setting (`ExecStart=`, `Environment=`, `ListenStream=` …): every assignment since the last empty one.
    pub fn list(&self, section: &str, name: &str) -> Vec<(&str, Origin)> {
        let mut values = Vec::new();
        for (value, origin) in self.every(section, name) {
            if value.is_empty() {
                values.clear();
            } else {
                values.push((value, origin));
            }
        }
        values
    }

    fn every<'a>(&'a self, section: &str, name: &str) -> impl Iterator<Item = (&'a str, Origin)> {
        self.files.iter().flat_map(move |file| {
            let wanted = file.assignments.iter().filter(move |one| one.section == section && one.name == name);
            wanted.map(|one| (one.value.as_str(), Origin::new(file.path.clone(), one.line)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &[u8]) -> Vec<String> {
        let file = parse("u", text);
        let mut lines: Vec<String> =
            file.assignments.iter().map(|a| format!("{} [{}] {}={}", a.line, a.section, a.name, a.value)).collect();
        lines.extend(file.problems.iter().map(|problem| format!("! {problem}")));
        lines
    }

    #[test]
    fn lines_are_read_as_systemd_reads_them() {
        let table: &[(&[u8], &[&str])] = &[
            (b"", &[]),
            (b"[A]\nx=1\n y = 2 = 3 \n", &["2 [A] x=1", "3 [A] y=2 = 3"]),
            (b"[A]\nx=1 \\\n# no\n ; no\n  2\\\n3\ny=4", &["2 [A] x=1    2 3", "7 [A] y=4"]),
            (b"[A]\nx=1 \\\n\ny=2", &["2 [A] x=1", "4 [A] y=2"]),
            (b"[A]\nx=1\\\\\ny=2\\", &["2 [A] x=1\\\\", "3 [A] y=2"]),
            (b"[A]\r\nx=1 \\\r\n 2\r\n\r\ny=3\r\n", &["2 [A] x=1   2", "5 [A] y=3"]),
            (b"[A]\rx=1\r\ry=2\0z=3\0\0w=4", &["2 [A] x=1", "4 [A] y=2", "5 [A] z=3", "7 [A] w=4"]),
            (b"\xef\xbb\xbf[A]\nx=1", &["2 [A] x=1"]),
            (b"#\xff\n\xef\xbb\xbf[A]\nx=\xef\xbb\xbf1", &["3 [A] x=\u{feff}1"]),
            (
                b"x=0\n[A]\nx=1\n[B]\n[A]\nx=\n",
                &["3 [A] x=1", "6 [A] x=", "! u:1: the line stands before any [Section]; systemd ignores it"],
            ),
            (
                b"[A]\nx\n=1\ny=2",
                &[
                    "4 [A] y=2",
                    "! u:2: expected Name=value; systemd ignores the line",
                    "! u:3: there is no name before `=`; systemd ignores the line",
                ],
            ),
            (
                b"[A]\nx=1\n[B] # c\ny=2",
                &["2 [A] x=1", "! u:3: the section header does not end with `]`; systemd reads nothing from here on"],
            ),
            (b"[A]\nx=1\ny=\xff\nz=2", &["2 [A] x=1", "! u:3: the line is not UTF-8; systemd reads nothing from here on"]),
            (b"[", &["! u:1: the section header does not end with `]`; systemd reads nothing from here on"]),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text), *expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_line_beyond_one_mebibyte_ends_the_file() {
        let mut text = b"[A]\nx=".to_vec();
        text.resize(text.len() + LONGEST_LINE, b'1');
        text.extend_from_slice(b"\ny=2\n");
        assert_eq!(shown(&text), ["! u:2: the line is longer than 1 MiB; systemd reads nothing from here on"]);
    }

    #[test]
    fn a_span_covers_the_assignment_with_its_continuations() {
        let text = b"[A]\n# c\nx=1 \\\n# d\n 2\r\ny=3";
        let spans: Vec<_> = parse("u", text).assignments.into_iter().map(|a| text[a.span].escape_ascii().to_string()).collect();
        assert_eq!(spans, ["x=1 \\\\\\n# d\\n 2\\r\\n", "y=3"]);
    }

    #[test]
    fn drop_ins_override_and_reset() {
        let fragment = parse("/lib/systemd/system/docker.service", b"[Service]\nExecStart=a\nType=notify\nLimitCORE=1\n");
        let first = parse("/etc/d/10.conf", b"[Service]\nExecStart=\nExecStart=b\nLimitCORE=\n");
        let second = parse("/etc/d/20.conf", b"[Service]\nExecStart=c\n[Unit]\nType=simple\n");
        let unit = Unit::merge(fragment, vec![first, second]);
        assert_eq!(unit.name(), "docker.service");
        let shown = |values: Vec<(&str, Origin)>| values.iter().map(|(v, o)| format!("{v} {o}")).collect::<Vec<_>>();
        assert_eq!(shown(unit.list("Service", "ExecStart")), ["b /etc/d/10.conf:3", "c /etc/d/20.conf:2"]);
        assert_eq!(unit.last("Service", "Type"), Some(("notify", Origin::new("/lib/systemd/system/docker.service", 3))));
        assert_eq!(unit.last("Service", "LimitCORE"), Some(("", Origin::new("/etc/d/10.conf", 4))));
        assert_eq!(unit.last("Service", "execstart"), None);
        assert_eq!(unit.problems, []);
    }

    #[test]
    fn a_broken_unit_file_is_refused_but_a_broken_drop_in_is_only_cut() {
        let good = || parse("/u/x.service", b"[Service]\nA=1\n");
        let bad = |path: &str| parse(path, b"[Service]\nA=2\n[oops\nA=3\n");
        let stop = "the section header does not end with `]`; systemd reads nothing from here on";
        let unit = Unit::merge(good(), vec![bad("/d/x.conf")]);
        assert_eq!(unit.last("Service", "A").map(|(value, _)| value), Some("2"));
        assert_eq!(unit.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [format!("/d/x.conf:3: {stop}")]);
        let unit = Unit::merge(bad("/u/x.service"), vec![]);
        assert_eq!(
            unit.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                format!("/u/x.service:3: {stop}"),
                "/u/x.service:1: systemd does not load x.service because of the line it stops at".into(),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"[]=\\#;\n\r\0 aA".to_vec())], 0..200)) {
            let file = parse("u", &bytes);
            let mut end = 0;
            for one in &file.assignments {
                prop_assert!(one.span.start >= end && one.span.end <= bytes.len() && one.span.start < one.span.end);
                prop_assert!(!one.name.is_empty());
                end = one.span.end;
            }
        }

        #[test]
        fn what_is_written_is_read(entries in proptest::collection::vec(("[A-Z][a-z]{0,5}", "[a-zA-Z0-9 /=-]{0,10}"), 0..8)) {
            let text: String = entries.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
            let read: Vec<_> = parse("u", format!("[S]\n{text}").as_bytes()).assignments.into_iter().map(|a| (a.name, a.value)).collect();
            let written: Vec<_> = entries.into_iter().map(|(name, value)| (name, value.trim().to_owned())).collect();
            prop_assert_eq!(read, written);
        }
    }
}
