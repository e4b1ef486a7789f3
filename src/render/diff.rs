//! Unified diffs, and the words in them that differ.

use similar::{ChangeTag, TextDiff};

use super::style::visible;

/// Lines around a change that stay the same.
const CONTEXT: usize = 3;

/// A run of changed lines longer than this gets no word marks: they would cost much and help nobody.
const LONGEST_MARKED_RUN: usize = 200;

/// The unified diff of two texts; empty when they are equal.
///
/// Lines end at `\n` only, and a `\r` before it is part of the line, so the text is a patch that applies (a terminal shows
/// it as `\r`). A file that is made or removed has `/dev/null` as its other label. A label with a line break or an escape
/// sequence in it is written escaped: it can't forge a line.
pub fn unified(before_label: &str, after_label: &str, before: &str, after: &str) -> String {
    let (old, new) = (lines(before), lines(after));
    let diff = TextDiff::configure().newline_terminated(true).diff_slices(&old, &new);
    let mut text = String::new();
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        if text.is_empty() {
            text = format!("--- {}\n+++ {}\n", visible(before_label), visible(after_label));
        }
        text.push_str(&format!("{}\n", hunk.header()));
        for change in hunk.iter_changes() {
            text.push(match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            });
            text.push_str(change.value());
            if !change.value().ends_with('\n') {
                text.push_str("\n\\ No newline at end of file\n");
            }
        }
    }
    text
}

/// Unlike `str::lines`, keeps line breaks and with them a `\r`.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// What a line of a diff is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// `---` or `+++`.
    Header,
    /// `@@ … @@`.
    Hunk,
    /// The same on both sides.
    Context,
    /// Only on the left.
    Removed,
    /// Only on the right.
    Added,
    /// `\ No newline at end of file`.
    Note,
}

/// A line of a diff without its line break, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: LineKind,
    /// The text from left to right with its `-`, `+` or space; `true` marks words that the other side has not.
    pub parts: Vec<(bool, String)>,
}

/// The lines of a diff with the changed words marked, for a terminal that can show marks.
pub fn marked(diff: &str) -> Vec<Line> {
    let mut result = Vec::new();
    let mut run = Vec::new();
    for (index, line) in lines(diff).into_iter().enumerate() {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let kind = match line.as_bytes().first() {
            Some(b'-') if index < 2 && line.starts_with("--- ") => LineKind::Header,
            Some(b'+') if index < 2 && line.starts_with("+++ ") => LineKind::Header,
            Some(b'@') => LineKind::Hunk,
            Some(b'-') => LineKind::Removed,
            Some(b'+') => LineKind::Added,
            Some(b'\\') => LineKind::Note,
            _ => LineKind::Context,
        };
        let starts_new_run = kind == LineKind::Removed && run.iter().any(|(kind, _)| *kind == LineKind::Added);
        if starts_new_run || !matches!(kind, LineKind::Removed | LineKind::Added | LineKind::Note) {
            result.extend(mark_run(&std::mem::take(&mut run)));
        }
        run.push((kind, line));
    }
    result.extend(mark_run(&run));
    result
}

/// Marks the words of removed lines and of the added lines that follow them.
fn mark_run(run: &[(LineKind, &str)]) -> Vec<Line> {
    let side = |wanted| -> Vec<&str> { run.iter().filter(|(kind, _)| *kind == wanted).map(|(_, line)| &line[1..]).collect() };
    let (removed, added) = (side(LineKind::Removed), side(LineKind::Added));
    let mut marks = [vec![None; removed.len()], vec![None; added.len()]];
    if !removed.is_empty() && !added.is_empty() && run.len() <= LONGEST_MARKED_RUN {
        for change in TextDiff::from_slices(&removed, &added).iter_all_inline_changes() {
            let parts: Vec<_> = change.values().iter().map(|(mark, text)| (*mark, (*text).to_owned())).collect();
            match (change.tag(), change.old_index(), change.new_index()) {
                (ChangeTag::Delete, Some(index), _) => marks[0][index] = Some(parts),
                (ChangeTag::Insert, _, Some(index)) => marks[1][index] = Some(parts),
                _ => {}
            }
        }
    }
    let [old, new] = marks;
    let (mut old, mut new) = (old.into_iter(), new.into_iter());
    let line = |&(kind, text): &(LineKind, &str)| {
        let marks = match kind {
            LineKind::Removed => old.next().flatten(),
            LineKind::Added => new.next().flatten(),
            _ => None,
        };
        let parts = match marks {
            // A line in which every word is marked says no more than its `-` or `+`.
            Some(parts) if parts.iter().any(|(mark, text)| !mark && !text.trim().is_empty()) => {
                std::iter::once((false, text[..1].to_owned())).chain(parts).collect()
            }
            _ => vec![(false, text.to_owned())],
        };
        Line { kind, parts }
    };
    run.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_texts() {
        let table = [
            ("equal", "a\n", "a\n", ""),
            ("both empty", "", "", ""),
            ("new", "", "a\nb\n", "--- old\n+++ new\n@@ -0,0 +1,2 @@\n+a\n+b\n"),
            ("gone", "a\n", "", "--- old\n+++ new\n@@ -1 +0,0 @@\n-a\n"),
            ("no newline before", "a", "a\n", "--- old\n+++ new\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"),
            (
                "no newline on either side",
                "x\ny",
                "z\ny",
                "--- old\n+++ new\n@@ -1,2 +1,2 @@\n-x\n+z\n y\n\\ No newline at end of file\n",
            ),
            ("line ends", "a\r\nb\r\n", "a\r\nc\r\n", "--- old\n+++ new\n@@ -1,2 +1,2 @@\n a\r\n-b\r\n+c\r\n"),
            ("a lone carriage return ends no line", "a\rb\n", "a\rc\n", "--- old\n+++ new\n@@ -1 +1 @@\n-a\rb\n+a\rc\n"),
            (
                "three lines of context",
                "1\n2\n3\n4\n5\n6\n7\n8\n9\n",
                "1\n2\n3\n4\n!\n6\n7\n8\n9\n",
                "--- old\n+++ new\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+!\n 6\n 7\n 8\n",
            ),
        ];
        for (name, before, after, expected) in table {
            assert_eq!(unified("old", "new", before, after), expected, "{name}");
        }
    }

    #[test]
    fn a_label_forges_no_line() {
        let text = unified("/dev/null", "/etc/a\n+b\x1b[2J", "", "x\n");
        assert_eq!(text, "--- /dev/null\n+++ /etc/a\\n+b\\u{1b}[2J\n@@ -0,0 +1 @@\n+x\n");
    }

    #[test]
    fn changed_words_are_marked() {
        let diff = unified("a", "b", "{\n  \"icc\": true,\n}\n", "{\n  \"icc\": false,\n}\n");
        let changed: Vec<_> = marked(&diff).into_iter().filter(|line| line.parts.len() > 1).collect();
        let line = |kind, mark: &str, word: &str| Line {
            kind,
            parts: vec![(false, mark.into()), (false, "  \"icc\": ".into()), (true, word.into())],
        };
        assert_eq!(changed, [line(LineKind::Removed, "-", "true,"), line(LineKind::Added, "+", "false,")]);
    }

    #[test]
    fn a_wholly_new_line_has_no_marks() {
        let lines = marked("-  \"max-file\": \"1\"\n+  \"max-file\": \"3\",\n+  \"live-restore\": true\n");
        assert_eq!(lines.iter().map(|line| line.parts.iter().any(|(mark, _)| *mark)).collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn kinds_of_lines() {
        let diff = unified("a", "b", "-- x\nsame", "++ y\nsame");
        let kinds: Vec<_> = marked(&diff).into_iter().map(|line| line.kind).collect();
        use LineKind::*;
        assert_eq!(kinds, [Header, Header, Hunk, Removed, Added, Context, Note], "{diff}");
        let kinds: Vec<_> = marked("-mode 0664\n+mode 0644\n").into_iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [Removed, Added], "a diff without a header");
    }

    /// What `patch` does with a diff that fits.
    fn patch(before: &str, diff: &str) -> String {
        let (old, mut at, mut after) = (lines(before), 0, String::new());
        let mut previous = ' ';
        for line in diff.split_inclusive('\n').skip(2) {
            let (mark, rest) = line.split_at(1);
            match mark {
                "@" => {
                    let range = line.split(['-', ' ']).nth(2).unwrap();
                    let mut numbers = range.split(',').map(|number| number.parse::<usize>().unwrap());
                    let (start, count) = (numbers.next().unwrap(), numbers.next().unwrap_or(1));
                    let start = if count == 0 { start } else { start - 1 };
                    after.extend(old[at..start].iter().copied());
                    at = start;
                }
                "\\" if previous != '-' => assert_eq!(after.pop(), Some('\n')),
                "\\" => {}
                "+" => after.push_str(rest),
                "-" | " " => {
                    assert_eq!(old[at].trim_end_matches('\n'), rest.trim_end_matches('\n'));
                    at += 1;
                    after.push_str(if mark == " " { rest } else { "" });
                }
                other => panic!("{other}"),
            }
            previous = mark.chars().next().unwrap();
        }
        after.extend(old[at..].iter().copied());
        after
    }

    proptest! {
        #[test]
        fn a_diff_turns_before_into_after(before in "([ab\\\\+-]{0,2}\r?\n){0,12}[ab]{0,2}", after in "([ab\\\\+-]{0,2}\r?\n){0,12}[ab]{0,2}") {
            prop_assert_eq!(patch(&before, &unified("a", "b", &before, &after)), after);
        }

        #[test]
        fn marks_keep_the_text(diff in "([-+ @\\\\é]?[ab é]{0,3}\r?\n){0,20}") {
            let text: String = marked(&diff).iter().flat_map(|line| line.parts.iter().map(|(_, text)| text.as_str()).chain(["\n"])).collect();
            prop_assert_eq!(text, diff);
        }
    }
}
