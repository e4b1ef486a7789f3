//! From characters to words and operators.

/// Words that stand where a command begins and are none.
const KEYWORDS: [&str; 14] =
    ["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "esac", "!", "{", "}", "time"];

/// `${…}` is not longer than this: what never closes must not be read again from each of its braces.
const LONGEST_REFERENCE: usize = 512;

/// A word of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShellWord {
    /// Without quotes and backslashes; `$…` and `` `…` `` as they are written.
    pub text: String,
    /// Where it begins: in the script, in [`Script`](super::Script) in the file.
    pub at: usize,
    /// Whether it says itself what it is: nothing in it is replaced.
    pub literal: bool,
    /// Whether something in it is quoted: `"if"` is no keyword.
    pub quoted: bool,
}

impl ShellWord {
    pub(super) fn is_keyword(&self) -> bool {
        !self.quoted && KEYWORDS.contains(&self.text.as_str())
    }

    /// Name and value of `NAME=value`.
    pub(super) fn assignment(&self) -> Option<(&str, &str)> {
        let (name, value) = self.text.split_once('=')?;
        let name = name.strip_suffix('+').unwrap_or(name);
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        (begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then_some((name, value))
    }
}

/// A piece of a script.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A word, and the scripts of its `$(…)`, with where they begin.
    Word(ShellWord, Vec<(&'t str, usize)>),
    /// Where output goes, or input comes from.
    Redirect { output: bool, target: ShellWord, scripts: Vec<(&'t str, usize)> },
    /// `|`
    Pipe,
    /// `;`, `&`, `&&`, `||`, a bracket, the end of a line.
    End,
}

/// Reads tokens.
pub(super) struct Tokens<'t> {
    text: &'t str,
    at: usize,
    /// The ends of here-documents that begin after this line, and whether leading tabs are taken away.
    heredocs: Vec<(String, bool)>,
    /// Where reading had to end, and why.
    pub(super) opaque: Option<(usize, &'static str)>,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, heredocs: Vec::new(), opaque: None }
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn give_up(&mut self, at: usize, why: &'static str) {
        self.opaque = Some((at, why));
        self.at = self.text.len();
    }

    /// The next token; `None` at the end.
    pub(super) fn next_token(&mut self) -> Option<Token<'t>> {
        loop {
            if let Some(token) = self.step()? {
                return Some(token);
            }
        }
    }

    /// Reads on: to a token, or past what is none.
    fn step(&mut self) -> Option<Option<Token<'t>>> {
        self.blanks();
        let rest = self.rest();
        let letter = rest.chars().next()?;
        if letter == '\n' {
            self.at += 1;
            self.skip_heredocs();
            return Some(Some(Token::End));
        }
        if let Some(operator) = ["||", "&&", ";;", "|&", "&>>", "&>"].into_iter().find(|operator| rest.starts_with(operator)) {
            self.at += operator.len();
            return match operator {
                "|&" => Some(Some(Token::Pipe)),
                "&>>" | "&>" => self.redirect(true),
                _ => Some(Some(Token::End)),
            };
        }
        // Before a redirection, digits name a descriptor; `<(…)` is a word.
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let after = &rest[digits..];
        if after.starts_with(['<', '>']) && !after.starts_with("<(") && !after.starts_with(">(") {
            self.at += digits;
            return self.operator_of_files();
        }
        match letter {
            '|' => {
                self.at += 1;
                Some(Some(Token::Pipe))
            }
            ';' | '&' | '(' | ')' => {
                self.at += 1;
                Some(Some(Token::End))
            }
            _ => {
                let (word, scripts) = self.word()?;
                Some(Some(Token::Word(word, scripts)))
            }
        }
    }

    /// Skips blanks, continued lines and comments.
    fn blanks(&mut self) {
        loop {
            let rest = self.rest();
            if let Some(after) = rest.strip_prefix("\\\r\n").or_else(|| rest.strip_prefix("\\\n")) {
                self.at = self.text.len() - after.len();
            } else if rest.starts_with('#') {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with([' ', '\t', '\r']) {
                self.at += 1;
            } else {
                return;
            }
        }
    }

    /// `<`, `>`, `>>`, `<<`, `<<<`, `>&` and the like.
    fn operator_of_files(&mut self) -> Option<Option<Token<'t>>> {
        let rest = self.rest();
        let operators = ["<<<", "<<-", "<<", ">>", ">&", "<&", ">|", "<>", ">", "<"];
        let operator = operators.into_iter().find(|operator| rest.starts_with(operator))?;
        self.at += operator.len();
        let output = operator.starts_with('>');
        if !operator.starts_with("<<") || operator == "<<<" {
            return self.redirect(output && operator != ">&");
        }
        self.blanks();
        let (word, _) = self.word().unwrap_or_default();
        self.heredocs.push((word.text, operator == "<<-"));
        Some(None)
    }

    fn redirect(&mut self, output: bool) -> Option<Option<Token<'t>>> {
        self.blanks();
        if self.rest().starts_with(['\n', ';', '|', '&', '(', ')', '<', '>']) {
            return Some(None);
        }
        let (target, scripts) = self.word()?;
        Some(Some(Token::Redirect { output, target, scripts }))
    }

    /// The lines of here-documents are no commands.
    fn skip_heredocs(&mut self) {
        for (end, strip_tabs) in std::mem::take(&mut self.heredocs) {
            loop {
                let rest = self.rest();
                if rest.is_empty() {
                    break;
                }
                let line = rest.split('\n').next().unwrap_or_default();
                self.at = (self.at + line.len() + 1).min(self.text.len());
                let line = if strip_tabs { line.trim_start_matches('\t') } else { line };
                if line.trim_end_matches('\r') == end {
                    break;
                }
            }
        }
    }

    /// One word; `None` at the end, or where it does not end.
    fn word(&mut self) -> Option<(ShellWord, Vec<(&'t str, usize)>)> {
        let start = self.at;
        let mut word = ShellWord { at: start, literal: true, ..ShellWord::default() };
        let mut scripts = Vec::new();
        let mut double = false;
        while let Some(letter) = self.rest().chars().next() {
            let here = self.at;
            self.at += letter.len_utf8();
            match letter {
                '"' => (double, word.quoted) = (!double, true),
                '\'' if !double => {
                    let Some(length) = self.rest().find('\'') else {
                        self.give_up(here, "a quote that does not end");
                        return None;
                    };
                    word.text.push_str(&self.rest()[..length]);
                    word.quoted = true;
                    self.at += length + 1;
                }
                '\\' => self.escaped(&mut word, double),
                '`' => {
                    let Some(length) = self.rest().find('`') else {
                        self.give_up(here, "a back quote that does not end");
                        return None;
                    };
                    scripts.push((&self.rest()[..length], self.at));
                    self.at += length + 1;
                    word.text.push_str(&self.text[here..self.at]);
                    word.literal = false;
                }
                '$' | '<' | '>' if self.rest().starts_with('(') && (letter == '$' || !double) => {
                    let Some(length) = bracket(self.rest()) else {
                        self.give_up(here, "a bracket that does not close");
                        return None;
                    };
                    // `$((…))` is arithmetic.
                    if !self.rest().starts_with("((") {
                        scripts.push((&self.rest()[1..length - 1], self.at + 1));
                    }
                    self.at += length;
                    word.text.push_str(&self.text[here..self.at]);
                    word.literal = false;
                }
                '$' => {
                    word.text.push('$');
                    word.literal = false;
                    if self.rest().starts_with('{') {
                        let mut near = self.rest().bytes().take(LONGEST_REFERENCE);
                        let length = near.position(|byte| byte == b'}').map_or(0, |at| at + 1);
                        word.text.push_str(&self.rest()[..length]);
                        self.at += length;
                    }
                }
                _ if double => word.text.push(letter),
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => {
                    self.at = here;
                    break;
                }
                _ => word.text.push(letter),
            }
        }
        if double {
            self.give_up(start, "a quote that does not end");
            return None;
        }
        Some((word, scripts))
    }

    fn escaped(&mut self, word: &mut ShellWord, double: bool) {
        let Some(next) = self.rest().chars().next() else { return word.text.push('\\') };
        self.at += next.len_utf8();
        match next {
            '\n' => {}
            '$' | '`' | '"' | '\\' => word.text.push(next),
            next if double => word.text.extend(['\\', next]),
            next => word.text.push(next),
        }
        word.quoted = true;
    }
}

/// How long the bracket is that the text begins with, quotes and brackets within it being read.
fn bracket(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => {}
            (_, '\\') => _ = letters.next(),
            (None, '\'' | '"') => quote = Some(letter),
            (_, '(') => depth += 1,
            (_, ')') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
