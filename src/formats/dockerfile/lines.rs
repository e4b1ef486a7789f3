//! From lines to instructions.

use super::heredoc;
use super::words::{self, Word};
use super::{Comment, Directive, Dockerfile, Flag, Heredoc, Instruction, Keyword, Position, Problem};

/// Text that was put together from several places of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Joined {
    /// The text.
    pub text: String,
    /// Where pieces of the text begin: in the text, and in the file. In ascending order.
    pieces: Vec<(usize, usize)>,
}

impl Joined {
    /// The offset in the file of an offset of the text.
    pub fn origin(&self, at: usize) -> usize {
        let index = self.pieces.partition_point(|(start, _)| *start <= at);
        self.pieces.get(index.saturating_sub(1)).map_or(0, |(start, origin)| origin + at.saturating_sub(*start))
    }

    /// Appends a piece that stands at `origin` in the file.
    pub(super) fn push(&mut self, piece: &str, origin: usize) {
        if self.pieces.is_empty() || !piece.is_empty() {
            self.pieces.push((self.text.len(), origin));
        }
        self.text.push_str(piece);
    }
}

/// Where the lines of a file begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Lines {
    starts: Vec<usize>,
    ascii: bool,
}

impl Lines {
    fn of(text: &str) -> Self {
        let starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        Self { starts: starts.collect(), ascii: text.is_ascii() }
    }

    pub(super) fn offset(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0)
    }

    pub(super) fn position(&self, text: &str, at: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= at).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = match text.get(start..at) {
            Some(before) if !self.ascii => before.trim_start_matches('\u{feff}').chars().count(),
            _ => at.saturating_sub(start),
        };
        Position { line, column: column + 1 }
    }
}

/// The file line by line.
struct Reader<'t> {
    text: &'t str,
    /// Where the next line begins.
    at: usize,
    /// The number of lines that were read.
    line: usize,
}

impl<'t> Reader<'t> {
    /// The next line without its end, and where it begins. A carriage return before the line feed belongs to the end.
    fn next(&mut self) -> Option<(&'t str, usize)> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let start = self.at;
        let length = rest.find('\n').unwrap_or(rest.len());
        self.at = (start + length + 1).min(self.text.len());
        self.line += 1;
        let line = rest.get(..length)?;
        Some((line.strip_suffix('\r').unwrap_or(line), start))
    }
}

/// Reads a Dockerfile.
pub(super) fn parse(text: &str) -> Dockerfile {
    let mut file = Dockerfile {
        escape: '\\',
        directives: Vec::new(),
        instructions: Vec::new(),
        comments: Vec::new(),
        problems: Vec::new(),
        lines: Lines::of(text),
    };
    let bom = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    directives(&mut file, text, bom);
    let mut reader = Reader { text, at: bom, line: 0 };
    while let Some((line, start)) = reader.next() {
        let body = line.trim_start();
        if let Some(comment) = body.strip_prefix('#') {
            file.comments.push(Comment { line: reader.line, text: comment.trim().to_owned() });
        } else if !body.is_empty() {
            let line = join(&mut reader, &mut file, body, start + line.len() - body.len());
            if !line.text.trim().is_empty() {
                instruction(&mut reader, &mut file, line);
            }
        }
    }
    file
}

/// Parser directives: only before any comment, blank line or instruction.
fn directives(file: &mut Dockerfile, text: &str, bom: usize) {
    let mut reader = Reader { text, at: bom, line: 0 };
    while let Some((line, at)) = reader.next() {
        let Some((name, value)) = line.strip_prefix('#').and_then(|line| line.split_once('=')) else { return };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let letters = name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric());
        if !letters || value.is_empty() {
            return;
        }
        if !["syntax", "escape", "check"].contains(&name.as_str()) {
            continue;
        }
        if file.directives.iter().any(|directive| directive.name == name) {
            file.problems.push(Problem { at, what: format!("a second parser directive `{name}`") });
            continue;
        }
        match (name.as_str(), value) {
            ("escape", "\\") | ("syntax" | "check", _) => {}
            ("escape", "`") => file.escape = '`',
            _ => {
                file.problems.push(Problem { at, what: format!("the escape character `{value}`, where only \\ and ` may be") })
            }
        }
        file.directives.push(Directive { name, value: value.to_owned(), at });
    }
}

/// A line and those that it is continued on.
fn join(reader: &mut Reader, file: &mut Dockerfile, first: &str, at: usize) -> Joined {
    let mut joined = Joined::default();
    let (mut line, mut start) = (first, at);
    loop {
        let (piece, more) = continued(line, file.escape);
        joined.push(piece, start);
        if !more {
            return joined;
        }
        // Comments between, and blank lines, which BuildKit still lets pass, do not end the instruction.
        loop {
            let Some((next, begin)) = reader.next() else { return joined };
            match next.trim_start().strip_prefix('#') {
                Some(comment) => file.comments.push(Comment { line: reader.line, text: comment.trim().to_owned() }),
                None if next.trim().is_empty() => {}
                None => {
                    (line, start) = (next, begin);
                    break;
                }
            }
        }
    }
}

/// The line without the escape character at its end, and whether there was one. Two of them are a character, no continuation.
fn continued(line: &str, escape: char) -> (&str, bool) {
    match line.trim_end_matches([' ', '\t']).strip_suffix(escape) {
        Some(piece) if !piece.ends_with(escape) => (piece, true),
        _ => (line, false),
    }
}

/// Tells one instruction apart, and takes its here-documents.
fn instruction(reader: &mut Reader, file: &mut Dockerfile, line: Joined) {
    let text = line.text.as_str();
    let (mut keyword, mut rest_at) = match keyword_at(file, &line, 0) {
        Some(found) => found,
        None => return,
    };
    let onbuild = keyword == Keyword::Onbuild;
    if onbuild {
        match keyword_at(file, &line, rest_at) {
            Some((Keyword::Onbuild | Keyword::From | Keyword::Maintainer, _)) => {
                let what = "an instruction that ONBUILD does not take".to_owned();
                return file.problems.push(Problem { at: line.origin(rest_at), what });
            }
            Some(found) => (keyword, rest_at) = found,
            None => return,
        }
    }
    let (flags, args_at) = flags(text, rest_at, file.escape);
    let args = text.get(args_at..).unwrap_or_default();
    let json = keyword.takes_json().then(|| json(keyword, args, args_at)).flatten();
    let mut heredocs = Vec::new();
    if keyword.takes_heredocs() && json.is_none() && args.contains("<<") {
        for (word, begin) in heredoc::beginnings(args, args_at, file.escape) {
            let Some(content) = body(reader, &begin) else {
                let what = format!("a here-document that no line `{}` ends", begin.name);
                file.problems.push(Problem { at: line.origin(word), what });
                break;
            };
            heredocs.push(Heredoc { name: begin.name, at: word, expand: begin.expand, content });
        }
    }
    if args.trim().is_empty() && heredocs.is_empty() {
        let what = format!("{} without an argument", keyword.name());
        file.problems.push(Problem { at: line.origin(0), what });
    }
    file.instructions.push(Instruction { keyword, onbuild, args_at, flags, json, heredocs, line });
}

/// The keyword at an offset of the line, and where its arguments begin.
fn keyword_at(file: &mut Dockerfile, line: &Joined, at: usize) -> Option<(Keyword, usize)> {
    let rest = line.text.get(at..)?;
    let word = rest.split(char::is_whitespace).next().unwrap_or_default();
    let Some(keyword) = Keyword::of(word) else {
        let what = if word.is_empty() { "ONBUILD without an instruction".into() } else { unknown(word) };
        file.problems.push(Problem { at: line.origin(at), what });
        return None;
    };
    let after = at + word.len();
    let args = line.text.get(after..)?;
    Some((keyword, after + args.len() - args.trim_start().len()))
}

/// Only a word that could be meant as an instruction is shown: any other may be what was left of a secret.
fn unknown(word: &str) -> String {
    match word.len() <= 16 && word.chars().all(|c| c.is_ascii_uppercase()) {
        true => format!("the unknown instruction {word}"),
        false => "a line that begins with no instruction".into(),
    }
}

/// The flags at an offset of the line, and where what follows them begins.
fn flags(text: &str, mut at: usize, escape: char) -> (Vec<Flag>, usize) {
    let mut flags = Vec::new();
    while text.get(at..).is_some_and(|rest| rest.starts_with("--")) {
        let Some((word, end)) = words::first(text, at, escape) else { break };
        if word.text == "--" {
            at = end;
            break;
        }
        let body = word.text.strip_prefix("--").unwrap_or_default();
        let (name, value) = body.split_once('=').map_or((body, None), |(name, value)| (name, Some(value.to_owned())));
        flags.push(Flag { name: name.to_owned(), value, at });
        at = end;
    }
    (flags, at)
}

/// The arguments as a JSON list of texts; of HEALTHCHECK, those of its CMD.
fn json(keyword: Keyword, args: &str, at: usize) -> Option<Vec<Word>> {
    if keyword != Keyword::Healthcheck {
        return words::json(args, at);
    }
    let command = args.get(..3).filter(|word| word.eq_ignore_ascii_case("CMD")).and(args.get(3..))?;
    let list = command.trim_start();
    words::json(list, at + args.len() - list.len())
}

/// The lines of a here-document up to its end; `None` where nothing ends it.
fn body(reader: &mut Reader, begin: &heredoc::Beginning) -> Option<Joined> {
    let mut content = Joined::default();
    while let Some((line, start)) = reader.next() {
        let stripped = if begin.strip_tabs { line.trim_start_matches('\t') } else { line };
        if stripped == begin.name {
            return Some(content);
        }
        content.push(stripped, start + line.len() - stripped.len());
        content.text.push('\n');
    }
    None
}
