//! `/etc/audit/rules.d`: how augenrules merges its files, what `auditctl -R` then loads, and harden's own file in it.

mod load;
mod order;
mod own;

use std::fmt;

pub use load::{LoadResult, Stop};
pub use own::own_file;

/// The name of harden's own file.
pub const OWN_FILE: &str = "50-harden-docker.rules";

/// Where a line comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file's name, as it was given to [`merge`].
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Something about a line that its author will not have meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line.
    pub origin: Origin,
    /// How bad it is.
    pub gravity: Gravity,
    /// What is wrong, without a final stop.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    /// The line, or the file, takes no effect; unless `-i` or `-c` came before, nothing after the line does either.
    Refused,
    /// It may be so: harden does not know what auditctl makes of the line.
    Unknown,
    /// It loads, but may not do what it seems to.
    Surprise,
}

/// Which augenrules merges the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavour {
    /// `awk` is mawk, for which `\s` is the letter s, so that it does not recognise indented lines (Debian's default).
    pub mawk: bool,
    /// It removes a carriage return at the end of a line (audit 4).
    pub strips_cr: bool,
    /// It reads files with spaces in their names (audit 4.2).
    pub spaces_in_names: bool,
}

impl Flavour {
    /// The least forgiving: Debian 12, which has audit 3.0.9 and mawk. What loads there loads elsewhere.
    pub const STRICTEST: Flavour = Flavour { mawk: true, strips_cr: false, spaces_in_names: false };

    /// The line without what this awk takes for blanks before it.
    fn trim_start(self, line: &[u8]) -> &[u8] {
        let blanks = line.iter().take_while(|byte| self.is_blank(**byte)).count();
        &line[blanks..]
    }

    fn is_blank(self, byte: u8) -> bool {
        if self.mawk { byte == b's' } else { matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c) }
    }

    /// What augenrules does with a line.
    fn class(self, line: &[u8]) -> Class {
        match self.trim_start(line) {
            _ if line.is_empty() => Class::Dropped,
            [b'#', ..] => Class::Dropped,
            [b'-', b'e', ..] => Class::Enable,
            [b'-', b'D', rest @ ..] if rest.iter().all(|byte| self.is_blank(*byte)) => Class::DeleteAll,
            [b'-', b'f', ..] => Class::Failure,
            [b'-', b'b', ..] => Class::Backlog,
            _ => Class::Kept,
        }
    }
}

/// What augenrules does with a line.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    /// Empty, or a comment.
    Dropped,
    /// The last of these becomes the last line.
    Enable,
    /// The last of each of these three goes before all others.
    DeleteAll,
    Failure,
    Backlog,
    /// Stays in its place.
    Kept,
}

/// A line of the merged rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedLine {
    /// Its bytes without the newline.
    pub text: Vec<u8>,
    /// Where it begins.
    pub origin: Origin,
}

/// What augenrules makes of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merged {
    /// The lines in the order in which they are loaded.
    pub lines: Vec<MergedLine>,
    /// What the merge itself does that nobody will have meant.
    pub problems: Vec<Problem>,
}

/// The names among `names` that augenrules reads, in its order: natural order, so that 9 comes before 10. A directory before the
/// name does not count.
pub fn in_order(names: &[String]) -> Vec<String> {
    let read = |name: &&String| name.ends_with(".rules") && !base(name).starts_with('.');
    let mut rules: Vec<String> = names.iter().filter(read).cloned().collect();
    rules.sort_by(|left, right| order::natural(base(left), base(right)));
    rules
}

/// The name without the directories before it.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Merges the files of rules.d, given by name or path in any order, as augenrules does.
pub fn merge(files: &[(String, Vec<u8>)], flavour: Flavour) -> Merged {
    let mut merging = Merging { flavour, ..Merging::default() };
    let names: Vec<String> = files.iter().map(|(name, _)| name.clone()).collect();
    for name in in_order(&names) {
        let parts: Vec<&str> = match base(&name).contains(char::is_whitespace) && !flavour.spaces_in_names {
            false => vec![base(&name)],
            true => {
                let help = format!("rename `{name}`");
                merging.problem(&name, 1, Gravity::Refused, "the file is not read: augenrules loses names with spaces", help);
                // The shell takes each part for a name of its own.
                base(&name).split_whitespace().collect()
            }
        };
        for part in parts {
            if let Some((known, content)) = files.iter().find(|(known, _)| base(known) == part) {
                merging.file(known, content);
            }
        }
    }
    merging.finish()
}

#[derive(Default)]
struct Merging {
    flavour: Flavour,
    /// The last file's last line, when it has no newline.
    unfinished: Option<MergedLine>,
    delete_all: Option<MergedLine>,
    backlog: Option<MergedLine>,
    failure: Option<MergedLine>,
    kept: Vec<MergedLine>,
    enable: Option<MergedLine>,
    problems: Vec<Problem>,
}

impl Default for Flavour {
    fn default() -> Self {
        Flavour::STRICTEST
    }
}

impl Merging {
    fn problem(&mut self, file: &str, line: usize, gravity: Gravity, what: impl Into<String>, help: impl Into<String>) {
        let origin = Origin { file: file.into(), line };
        self.problems.push(Problem { origin, gravity, what: what.into(), help: help.into() });
    }

    fn file(&mut self, name: &str, content: &[u8]) {
        let mut lines: Vec<MergedLine> = Vec::new();
        for (at, text) in content.split(|byte| *byte == b'\n').enumerate() {
            lines.push(MergedLine { text: text.to_vec(), origin: Origin { file: name.into(), line: at + 1 } });
        }
        if let (Some(mut joined), Some(first)) = (self.unfinished.take(), lines.first_mut()) {
            if !first.text.is_empty() {
                let Origin { file, line } = joined.origin.clone();
                let what = format!("the last line has no newline, so it is joined with the first line of {name}");
                self.problem(&file, line, Gravity::Refused, what, format!("end {file} with a newline"));
            }
            joined.text.extend_from_slice(&first.text);
            *first = joined;
        }
        self.unfinished = lines.pop().filter(|line| !line.text.is_empty());
        lines.into_iter().for_each(|line| self.line(line));
    }

    fn line(&mut self, mut line: MergedLine) {
        if line.text.last() == Some(&b'\r') {
            if self.flavour.strips_cr {
                line.text.pop();
            } else if line.text.first() != Some(&b'#') {
                let Origin { file, line } = line.origin.clone();
                let what = "the line ends with a carriage return, which becomes part of its last word";
                self.problem(
                    &file,
                    line,
                    Gravity::Surprise,
                    what,
                    format!("remove the carriage returns: sed -i 's/\\r$//' {file}"),
                );
            }
        }
        let class = self.flavour.class(&line.text);
        self.warn_of_indentation(&line, class);
        match class {
            Class::Dropped => {}
            Class::Enable => self.enable = Some(line),
            Class::DeleteAll => self.delete_all = Some(line),
            Class::Failure => self.failure = Some(line),
            Class::Backlog => self.backlog = Some(line),
            Class::Kept => self.kept.push(line),
        }
    }

    /// What the author of an indented `-D` or `-e` meant is what an awk other than mawk does.
    fn warn_of_indentation(&mut self, line: &MergedLine, class: Class) {
        let meant = Flavour { mawk: false, ..self.flavour }.class(&line.text);
        if meant != class && matches!(meant, Class::Enable | Class::DeleteAll | Class::Failure | Class::Backlog) {
            let Origin { file, line } = line.origin.clone();
            let what =
                "augenrules with mawk does not recognise this line for its blanks, and leaves it in its place among the rules";
            self.problem(&file, line, Gravity::Surprise, what, "remove the blanks before and after it");
        }
    }

    fn finish(mut self) -> Merged {
        if let Some(last) = self.unfinished.take() {
            self.line(last);
        }
        let first = [self.delete_all, self.backlog, self.failure].into_iter().flatten();
        let lines = first.chain(self.kept).chain(self.enable).collect();
        Merged { lines, problems: self.problems }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GNU: Flavour = Flavour { mawk: false, ..Flavour::STRICTEST };

    fn files(files: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
        files.iter().map(|(name, content)| ((*name).into(), (*content).into())).collect()
    }

    fn merged(given: &[(&str, &str)], flavour: Flavour) -> (Vec<String>, Vec<String>) {
        let merged = merge(&files(given), flavour);
        let lines = merged.lines.iter().map(|line| format!("{} {}", line.origin, String::from_utf8_lossy(&line.text)));
        (lines.collect(), merged.problems.iter().map(|problem| format!("{problem} ({})", problem.help)).collect())
    }

    fn check(given: &[(&str, &str)], flavour: Flavour, lines: &[&str], problems: &[&str]) {
        let (found, told) = merged(given, flavour);
        assert_eq!(
            (found, told),
            (lines.iter().map(|l| (*l).to_owned()).collect(), problems.iter().map(|p| (*p).to_owned()).collect())
        );
    }

    #[test]
    fn a_directory_before_the_name_does_not_count() {
        let names = ["/r.d/10.rules", "/r.d/.x.rules", "/r.d/9.rules", "/r.d/x"].map(String::from);
        assert_eq!(in_order(&names), ["/r.d/9.rules", "/r.d/10.rules"]);
        check(
            &[("/a b/my x.rules", "-w /lost\n")],
            GNU,
            &[],
            &["/a b/my x.rules:1: the file is not read: augenrules loses names with \
                                                                spaces (rename `/a b/my x.rules`)"],
        );
        check(&[("/a b/x.rules", "-w /x\n")], GNU, &["/a b/x.rules:1 -w /x"], &[]);
    }

    #[test]
    fn files_come_in_natural_order() {
        let given = [
            ("10-b.rules", "-w /10\n"),
            ("9-a.rules", "-w /9\n"),
            (".x.rules", "-w /dot\n"),
            ("20.rules.bak", "-w /bak\n"),
            ("30.RULES", "-w /upper\n"),
            ("b.rules", "-w /b\n"),
            ("B.rules", "-w /B\n"),
        ];
        let lines = ["9-a.rules:1 -w /9", "10-b.rules:1 -w /10", "B.rules:1 -w /B", "b.rules:1 -w /b"];
        check(&given, Flavour::STRICTEST, &lines, &[]);
    }

    #[test]
    fn commands_move_and_comments_go() {
        let given = [
            ("10.rules", "## c\n\n-D\n-b 1\n-e 1\n-i\n-w /a\n"),
            ("20.rules", "-f 2\n-b 8192\n-w /b\n-e 2\n-D -k k\n--backlog_wait_time 0\n"),
        ];
        let lines = [
            "10.rules:3 -D",
            "20.rules:2 -b 8192",
            "20.rules:1 -f 2",
            "10.rules:6 -i",
            "10.rules:7 -w /a",
            "20.rules:3 -w /b",
            "20.rules:5 -D -k k",
            "20.rules:6 --backlog_wait_time 0",
            "20.rules:4 -e 2",
        ];
        check(&given, Flavour::STRICTEST, &lines, &[]);
    }

    #[test]
    fn a_missing_newline_joins_two_files() {
        let given = [("1.rules", "-w /a"), ("2.rules", "-w /b\n")];
        let joined = "1.rules:1: the last line has no newline, so it is joined with the first line of 2.rules (end 1.rules with a newline)";
        check(&given, GNU, &["1.rules:1 -w /a-w /b"], &[joined]);
        // A comment swallows the next rule.
        check(&[("1.rules", "# x"), ("2.rules", "-w /b\n")], GNU, &[], &[joined]);
        // An empty first line makes it harmless, and so does being the last.
        check(&[("1.rules", "-w /a"), ("2.rules", "\n-w /b")], GNU, &["1.rules:1 -w /a", "2.rules:2 -w /b"], &[]);
        check(&[("1.rules", "-w /a"), ("2.rules", "")], GNU, &["1.rules:1 -w /a"], &[]);
    }

    #[test]
    fn mawk_does_not_see_through_blanks() {
        let given = [("1.rules", "-w /a\n  -D\n-e 2 \n -e 1\n\t# note\nss# gone\n")];
        let not_seen = "augenrules with mawk does not recognise this line for its blanks, and leaves it in its place among the rules (remove \
                        the blanks before and after it)";
        check(
            &given,
            Flavour::STRICTEST,
            &["1.rules:1 -w /a", "1.rules:2   -D", "1.rules:4  -e 1", "1.rules:5 \t# note", "1.rules:3 -e 2 "],
            &[&format!("1.rules:2: {not_seen}"), &format!("1.rules:4: {not_seen}")],
        );
        check(&given, GNU, &["1.rules:2   -D", "1.rules:1 -w /a", "1.rules:6 ss# gone", "1.rules:4  -e 1"], &[]);
    }

    #[test]
    fn carriage_returns_stay_before_audit_4() {
        let given = [("1.rules", "-w /a -k k\r\n#c\r\n")];
        let told = "1.rules:1: the line ends with a carriage return, which becomes part of its last word (remove the carriage returns: sed \
                    -i 's/\\r$//' 1.rules)";
        check(&given, Flavour::STRICTEST, &["1.rules:1 -w /a -k k\r"], &[told]);
        check(&given, Flavour { strips_cr: true, ..GNU }, &["1.rules:1 -w /a -k k"], &[]);
    }

    #[test]
    fn names_with_spaces_are_lost() {
        let given = [("10 my.rules", "-w /lost\n"), ("my.rules", "-w /twice\n")];
        let told = "10 my.rules:1: the file is not read: augenrules loses names with spaces (rename `10 my.rules`)";
        check(&given, GNU, &["my.rules:1 -w /twice", "my.rules:1 -w /twice"], &[told]);
        let newer = Flavour { spaces_in_names: true, ..GNU };
        check(&given, newer, &["10 my.rules:1 -w /lost", "my.rules:1 -w /twice"], &[]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            contents in prop::collection::vec((prop::sample::select(vec!["1.rules", "2 x.rules", "x.rules"]),
                                               prop::collection::vec(prop::sample::select(b"-wDebf #\ns\t\r\0/x".to_vec()), 0..60)), 0..4),
            mawk in any::<bool>(),
        ) {
            let given: Vec<(String, Vec<u8>)> = contents.into_iter().map(|(name, content)| (name.to_owned(), content)).collect();
            let merged = merge(&given, Flavour { mawk, ..Flavour::STRICTEST });
            prop_assert!(merged.lines.iter().all(|line| !line.text.is_empty() && !line.text.contains(&b'\n')));
        }
    }
}
