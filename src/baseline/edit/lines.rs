//! Lines of a draft: where they begin and end, putting them in and taking them out.

use std::ops::Range;

use super::Draft;

impl Draft {
    /// A line at `place`, which begins one.
    pub(super) fn insert_line(&mut self, place: usize, line: &str) {
        let newline = self.newline();
        let begun = place > 0 && !self.text()[..place].ends_with('\n');
        self.splice(place..place, &format!("{}{line}{newline}", if begun { newline } else { "" }));
    }

    /// A block at the end, below an empty line.
    pub(super) fn append(&mut self, block: &str) {
        let newline = self.newline();
        let end = self.text().len();
        let gap = if self.text().trim().is_empty() { "" } else { newline };
        self.insert_line(end, &format!("{gap}{block}"));
    }

    /// Takes out whole lines, from the one that begins at `start` to the one that `end` is in.
    pub(super) fn take_lines(&mut self, start: usize, end: usize) {
        self.splice(start..self.line_end(end), "");
    }

    pub(super) fn lines(&self, within: Range<usize>) -> impl Iterator<Item = (usize, &str)> {
        let mut start = self.line_start(within.start);
        self.text()[start..within.end.max(start)].split_inclusive('\n').map(move |line| {
            start += line.len();
            (start - line.len(), line)
        })
    }

    pub(super) fn line_start(&self, at: usize) -> usize {
        self.text()[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Behind the line break of the line that `at` is in.
    pub(super) fn line_end(&self, at: usize) -> usize {
        self.text()[at..].find('\n').map_or(self.text().len(), |newline| at + newline + 1)
    }

    pub(super) fn indent(&self, at: usize) -> String {
        let start = self.line_start(at);
        self.text()[start..at].chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
    }

    /// The line break that this file uses.
    pub(super) fn newline(&self) -> &'static str {
        match self.text().find('\n') {
            Some(at) if self.text()[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    pub(super) fn splice(&mut self, span: Range<usize>, new: &str) {
        self.0.text.replace_range(span, new);
    }
}
