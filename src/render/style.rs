//! The page: the one way to a terminal. It escapes what could steer the terminal, wraps, and colours.
//!
//! Paths and values come from the host and may hold anything, so nothing is written except through [`Page`].

use std::borrow::Cow;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// No style.
pub const PLAIN: Style = Style::new();
/// Headings, control ids, commands to type.
pub const STRONG: Style = Style::new().bold();
/// What is there for reference: labels, evidence.
pub const FAINT: Style = Style::new().dimmed();
/// As wanted; added.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Not as wanted; removed.
pub const BAD: Style = AnsiColor::Red.on_default();
/// To be looked at.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// Places in a diff.
pub const PLACE: Style = AnsiColor::Cyan.on_default();

/// A text that can't steer a terminal: control characters, escape sequences, and characters that are invisible or turn the
/// direction of writing are written as `\n`, `\u{1b}`, `\u{202e}`.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(steers_terminal) {
        return text.into();
    }
    let mut shown = String::new();
    for c in text.chars() {
        match steers_terminal(c) {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    shown.into()
}

/// Whether a terminal does something else with this character than show it where it stands.
pub fn steers_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns that a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    let wide = |c| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}')
            || matches!(c, '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}')
            || matches!(c, '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
    };
    let combining = |c| matches!(c, '\u{300}'..='\u{36f}');
    text.chars().map(|c| if wide(c) { 2 } else { usize::from(!combining(c)) }).sum()
}

/// A text in one style.
#[derive(Debug, Clone)]
pub struct Span<'t> {
    style: Style,
    text: Cow<'t, str>,
}

/// A text in this style.
pub fn span<'t>(style: Style, text: impl Into<Cow<'t, str>>) -> Span<'t> {
    Span { style, text: text.into() }
}

/// A text without a style.
pub fn plain<'t>(text: impl Into<Cow<'t, str>>) -> Span<'t> {
    span(PLAIN, text)
}

/// What stands between two spaces: pieces in several styles.
#[derive(Default)]
struct Word {
    pieces: Vec<(Style, String)>,
    columns: usize,
}

/// Lines on their way to a terminal or a file.
pub struct Page<'w> {
    out: &'w mut dyn Write,
    color: bool,
    width: usize,
    started: bool,
}

impl<'w> Page<'w> {
    /// A page of this many columns; styles are left away without `color`.
    pub fn new(out: &'w mut dyn Write, color: bool, width: usize) -> Self {
        Self { out, color, width, started: false }
    }

    /// An empty line between what is above and what follows; none at the top of the page.
    pub fn blank(&mut self) -> io::Result<()> {
        if self.started { self.out.write_all(b"\n") } else { Ok(()) }
    }

    /// A paragraph, every line of it indented.
    pub fn line(&mut self, indent: usize, text: &[Span]) -> io::Result<()> {
        self.item(indent, plain(""), 0, text)
    }

    /// A label in a column of its own, and a paragraph to the right of it.
    pub fn item(&mut self, indent: usize, label: Span, label_columns: usize, text: &[Span]) -> io::Result<()> {
        let hang = indent + label_columns;
        self.spaces(indent)?;
        let mut lead = label_columns;
        if !label.text.is_empty() {
            let label = Span { text: visible(&label.text).into_owned().into(), ..label };
            self.piece(label.style, &label.text)?;
            // A label that is too long for its column still has a space after it.
            lead = label_columns.saturating_sub(columns(&label.text)).max(1);
        }
        let room = self.width.saturating_sub(hang).max(20);
        let (mut line, mut used, mut gap) = (Vec::new(), 0, 0);
        for word in words(text) {
            if word.columns == 0 {
                gap += usize::from(used > 0);
                continue;
            }
            if used > 0 && used + gap + 1 + word.columns > room {
                self.pieces(lead, &std::mem::take(&mut line))?;
                self.out.write_all(b"\n")?;
                (used, lead) = (0, hang);
            }
            if used > 0 {
                // A space between two words of one style is of that style, so that a phrase is one run of it.
                let style = line.last().map(|(style, _)| *style);
                let style = style.filter(|style| word.pieces.first().is_some_and(|(next, _)| next == style));
                line.push((style.unwrap_or(PLAIN), " ".repeat(gap + 1)));
                used += gap + 1;
            }
            used += word.columns;
            line.extend(word.pieces);
            gap = 0;
        }
        self.pieces(if line.is_empty() { 0 } else { lead }, &line)?;
        self.out.write_all(b"\n")
    }

    /// One line, however long it is: diffs and commands.
    pub fn verbatim(&mut self, indent: usize, text: &[Span]) -> io::Result<()> {
        self.spaces(indent)?;
        for Span { style, text } in text {
            // A tab is harmless, and a diff that hid it would lie about indentation.
            for (index, part) in text.split('\t').enumerate() {
                self.out.write_all(if index > 0 { b"\t" } else { b"" })?;
                self.piece(*style, &visible(part))?;
            }
        }
        self.out.write_all(b"\n")
    }

    fn spaces(&mut self, count: usize) -> io::Result<()> {
        self.started = true;
        write!(self.out, "{:count$}", "")
    }

    /// Pieces of one line; neighbours of one style are written as one.
    fn pieces(&mut self, lead: usize, line: &[(Style, String)]) -> io::Result<()> {
        self.spaces(lead)?;
        for run in line.chunk_by(|a, b| a.0 == b.0) {
            let text: String = run.iter().map(|(_, text)| text.as_str()).collect();
            self.piece(run[0].0, &text)?;
        }
        Ok(())
    }

    fn piece(&mut self, style: Style, text: &str) -> io::Result<()> {
        match self.color && !text.is_empty() {
            true => write!(self.out, "{}{text}{}", style.render(), style.render_reset()),
            false => self.out.write_all(text.as_bytes()),
        }
    }
}

/// The words of a paragraph; a word goes on across the border of two spans where no space is.
fn words(spans: &[Span]) -> Vec<Word> {
    let mut words = vec![Word::default()];
    for Span { style, text } in spans {
        for (index, part) in visible(text).split(' ').enumerate() {
            if index > 0 {
                words.push(Word::default());
            }
            if let (Some(word), false) = (words.last_mut(), part.is_empty()) {
                word.columns += columns(part);
                word.pieces.push((*style, part.to_owned()));
            }
        }
    }
    while words.last().is_some_and(|word| word.pieces.is_empty()) {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(color: bool, width: usize, write: impl FnOnce(&mut Page) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut Page::new(&mut out, color, width)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_steers_a_terminal_is_shown() {
        let table = [
            ("/etc/docker/daemon.json", "/etc/docker/daemon.json"),
            ("a\tb\r\nc", r"a\tb\r\nc"),
            ("\u{1b}[31mred\u{7}", r"\u{1b}[31mred\u{7}"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("gpj\u{202e}.exe\u{2066}", r"gpj\u{202e}.exe\u{2066}"),
            ("a\u{200b}b\u{feff}", r"a\u{200b}b\u{feff}"),
            ("守护进程 é", "守护进程 é"),
        ];
        for (text, shown) in table {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn wraps_with_a_hanging_indent() {
        let text = page(false, 40, |page| page.item(2, plain("HIGH"), 10, &[plain("one two three four five six seven")]));
        assert_eq!(text, "  HIGH      one two three four five six\n            seven\n");
        let text = page(false, 40, |page| page.line(2, &[plain("守护进程守护进程守护进程 守护进程守护 a")]));
        assert_eq!(text, "  守护进程守护进程守护进程 守护进程守护\n  a\n", "wide characters take two columns");
        let text = page(false, 40, |page| page.item(0, plain("a label too long"), 4, &[plain("text")]));
        assert_eq!(text, "a label too long text\n");
        let text = page(false, 30, |page| page.line(0, &[plain("a-long-control-id  /a/long/target")]));
        assert_eq!(text, "a-long-control-id\n/a/long/target\n", "no space at the end of a line");
        assert_eq!(page(false, 30, |page| page.blank().and(page.line(0, &[plain("a")])).and(page.blank())), "a\n\n");
    }

    #[test]
    fn words_go_on_across_spans() {
        let text = page(true, 40, |page| page.line(0, &[span(BAD, "not true"), plain(", a  b")]));
        assert_eq!(text, "\u{1b}[31mnot true\u{1b}[0m, a  b\n");
    }

    proptest! {
        #[test]
        fn no_text_steers_the_terminal(text in "\\PC{0,8}[\\x00-\\x1f\\x7f-\\x9f\u{202e}\u{2066}a ]{0,12}\\PC{0,8}", width in 0_usize..60) {
            let shown = page(false, width, |page| {
                page.item(2, plain(text.as_str()), 8, &[plain(text.as_str())])?;
                page.verbatim(2, &[plain(text.as_str())])
            });
            prop_assert!(!shown.contains(|c| steers_terminal(c) && c != '\n' && c != '\t'), "{shown:?}");
        }

        #[test]
        fn only_a_single_long_word_is_wider_than_the_page(text in "[a-z ]{0,200}") {
            for line in page(false, 40, |page| page.line(4, &[plain(text.as_str())])).lines() {
                prop_assert!(columns(line) <= 40 || !line.trim().contains(' '), "{line:?}");
            }
        }
    }
}
