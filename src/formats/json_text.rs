//! Where the parts of a JSON text lie: a strict scanner that keeps byte spans and names every mistake with its place.
//!
//! A mistake that leaves no doubt about what was meant (a comment, a comma too many or too few, single quotes) is noted and
//! scanning goes on, so that one run names all of them. Messages never quote the text itself, which may hold secrets; only
//! names of members are shown.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Nesting beyond this is refused, so that hostile files cannot exhaust the stack. dockerd's own objects nest five deep.
const MAX_DEPTH: usize = 100;

/// More mistakes than this are not listed.
const MAX_MISTAKES: usize = 20;

/// A mistake in a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Byte offset into the text.
    pub at: usize,
    /// What is wrong and what was expected.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// A value and the bytes it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte.
    pub end: usize,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `null`, a boolean or a number.
    Plain,
    /// A text in double quotes.
    Text,
    /// An array and its elements.
    Array(Vec<Node>),
    /// An object and its members, in the order of the text.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name, decoded.
    pub name: String,
    /// Offset of the opening quote of the name.
    pub start: usize,
    /// Offset behind the closing quote of the name.
    pub name_end: usize,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The members, if this is an object.
    pub fn members(&self) -> Option<&[Member]> {
        match &self.kind {
            Kind::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member of that name, if this is an object that has one.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members()?.iter().find(|member| member.name == name)
    }
}

/// Line and column (from 1; columns count characters) of a byte offset.
pub fn line_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Reads one JSON document; `Ok(None)` when there is nothing but white space.
pub fn scan(text: &str) -> Result<Option<Node>, Vec<Mistake>> {
    let mut scanner = Scanner { text, at: 0, mistakes: Vec::new() };
    scanner.skip_space();
    let root = if scanner.at == text.len() { None } else { scanner.document().ok() };
    if scanner.mistakes.is_empty() { Ok(root) } else { Err(scanner.mistakes) }
}

/// Scanning cannot go on; the mistake is already noted.
struct Stop;

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    mistakes: Vec<Mistake>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<Node, Stop> {
        let root = self.value(0)?;
        self.skip_space();
        match self.peek() {
            None => {}
            Some(b'{') => self.note(self.at, "a second JSON document begins here; expected the end of the file", None),
            Some(_) => self.note(self.at, "text after the end of the JSON document; expected the end of the file", None),
        }
        Ok(root)
    }

    fn value(&mut self, depth: usize) -> Result<Node, Stop> {
        let start = self.at;
        if depth > MAX_DEPTH {
            return self.stop(start, &format!("nested deeper than {MAX_DEPTH} levels"), None);
        }
        let kind = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => {
                self.quoted(b'"')?;
                Kind::Text
            }
            Some(b'\'') => {
                self.note(start, "a text in single quotes; expected double quotes", None);
                self.quoted(b'\'')?;
                Kind::Text
            }
            Some(byte) if byte == b'-' || byte == b'+' || byte == b'.' || is_word(byte) => {
                self.word();
                Kind::Plain
            }
            Some(_) if self.typographic_quote() => {
                return self.stop(start, "a typographic quote; expected a straight double quote (\")", None);
            }
            Some(_) => return self.stop(start, "expected a value", None),
            None => return self.stop(start, "the file ends where a value was expected", None),
        };
        Ok(Node { start, end: self.at, kind })
    }

    fn object(&mut self, depth: usize) -> Result<Kind, Stop> {
        let open = self.at;
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        let mut first_places = BTreeMap::new();
        let mut comma = None;
        loop {
            self.skip_space();
            match self.peek() {
                None => return self.unclosed(open, "object", '}'),
                Some(b'}') => {
                    self.trailing_comma(comma, '}');
                    self.at += 1;
                    return Ok(Kind::Object(members));
                }
                Some(b',') => {
                    self.note(self.at, "a comma without a member before it; expected a key in double quotes", None);
                    self.at += 1;
                    continue;
                }
                Some(_) if !members.is_empty() && comma.is_none() => self.missing_comma(),
                Some(_) => {}
            }
            let member = self.member(depth)?;
            match first_places.entry(member.name.clone()) {
                Entry::Vacant(place) => _ = place.insert(member.start),
                Entry::Occupied(first) => self.given_twice(&member, *first.get()),
            }
            members.push(member);
            comma = self.comma();
        }
    }

    fn given_twice(&mut self, member: &Member, first: usize) {
        if self.mistakes.len() < MAX_MISTAKES {
            let (line, _) = line_column(self.text, first);
            let what = format!("key `{}` is given twice (first at line {line})", printable(&member.name));
            self.note(
                member.start,
                &what,
                Some("keep one of them: dockerd merges objects and lets the last one win otherwise"),
            );
        }
    }

    fn member(&mut self, depth: usize) -> Result<Member, Stop> {
        let start = self.at;
        let name = match self.peek() {
            Some(b'"') => self.quoted(b'"')?,
            Some(b'\'') => {
                self.note(start, "a key in single quotes; expected double quotes", None);
                self.quoted(b'\'')?
            }
            Some(byte) if is_word(byte) => {
                self.note(start, "a key without quotes; expected a key in double quotes", None);
                self.bare_word().to_owned()
            }
            Some(_) if self.typographic_quote() => {
                return self.stop(start, "a typographic quote; expected a straight double quote (\")", None);
            }
            _ => return self.stop(start, "expected a key in double quotes or `}`", None),
        };
        let name_end = self.at;
        self.skip_space();
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(b'=') => {
                self.note(self.at, "`=` behind a key; expected `:`", None);
                self.at += 1;
            }
            _ => return self.stop(self.at, "expected `:` behind the key", None),
        }
        self.skip_space();
        let value = self.value(depth + 1)?;
        Ok(Member { name, start, name_end, value })
    }

    fn array(&mut self, depth: usize) -> Result<Kind, Stop> {
        let open = self.at;
        self.at += 1;
        let mut elements = Vec::new();
        let mut comma = None;
        loop {
            self.skip_space();
            match self.peek() {
                None => return self.unclosed(open, "array", ']'),
                Some(b']') => {
                    self.trailing_comma(comma, ']');
                    self.at += 1;
                    return Ok(Kind::Array(elements));
                }
                Some(b',') => {
                    self.note(self.at, "a comma without a value before it; expected a value", None);
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b':') => return self.stop(self.at, "expected `,` or `]`", None),
                Some(_) if !elements.is_empty() && comma.is_none() => self.missing_comma(),
                Some(_) => {}
            }
            elements.push(self.value(depth + 1)?);
            comma = self.comma();
        }
    }

    /// Takes a comma and says where it was.
    fn comma(&mut self) -> Option<usize> {
        self.skip_space();
        let at = self.at;
        (self.peek() == Some(b',')).then(|| {
            self.at += 1;
            at
        })
    }

    fn trailing_comma(&mut self, comma: Option<usize>, close: char) {
        if let Some(at) = comma {
            self.note(
                at,
                &format!("a comma before `{close}`; JSON allows none behind the last entry"),
                Some("delete the comma"),
            );
        }
    }

    fn missing_comma(&mut self) {
        self.note(self.at, "expected `,` between two entries", None);
    }

    fn unclosed<T>(&mut self, open: usize, what: &str, close: char) -> Result<T, Stop> {
        let (line, column) = line_column(self.text, open);
        self.stop(self.at, &format!("the file ends inside the {what} that begins at {line}:{column}; expected `{close}`"), None)
    }

    /// Reads a text and returns it decoded; in single quotes, which are a mistake already, it is returned as it stands.
    fn quoted(&mut self, quote: u8) -> Result<String, Stop> {
        let start = self.at;
        let mistakes = self.mistakes.len();
        self.at += 1;
        loop {
            match self.peek() {
                None | Some(b'\n') => {
                    return self.stop(start, "the text that begins here has no closing quote on its line", None);
                }
                Some(byte) if byte == quote => break,
                Some(b'\\') => self.escape(),
                Some(byte) if byte < 0x20 => {
                    let what = "a control character inside a text; expected an escape such as `\\t`";
                    self.note(self.at, what, None);
                    self.at += 1;
                }
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let token = &self.text[start..self.at];
        let decoded = if quote == b'"' { serde_json::from_str(token).ok() } else { None };
        if decoded.is_none() && quote == b'"' && mistakes == self.mistakes.len() {
            self.note(start, "an escape in this text stands for half a character; expected a whole surrogate pair", None);
        }
        Ok(decoded.unwrap_or_else(|| token[1..token.len() - 1].to_owned()))
    }

    fn escape(&mut self) {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                let digits =
                    self.text.as_bytes()[self.at + 1..].iter().take(4).take_while(|byte| byte.is_ascii_hexdigit()).count();
                self.at += 1 + digits;
                if digits < 4 {
                    self.note(start, "an incomplete `\\u` escape; expected four hexadecimal digits", None);
                }
            }
            _ => self.note(start, "an unknown escape; JSON knows \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX", None),
        }
    }

    /// Reads `true`, `false`, `null` or a number.
    fn word(&mut self) {
        let start = self.at;
        let word = self.bare_word();
        if is_number(word) {
            if word.parse::<f64>().is_ok_and(f64::is_infinite) {
                self.note(start, "a number that is too large", None);
            }
            return;
        }
        let help = match word.to_ascii_lowercase().as_str() {
            _ if matches!(word, "true" | "false" | "null") => return,
            "true" | "yes" | "on" => Some("write true"),
            "false" | "no" | "off" => Some("write false"),
            "null" | "none" | "nil" | "undefined" => Some("delete the key to get its default"),
            _ => None,
        };
        let looks_numeric = word.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '-' | '+' | '.'));
        let what = if looks_numeric {
            "not a JSON number; expected digits without leading zero, e.g. 10 or -1.5"
        } else {
            "expected true, false, null, a number, a text in double quotes, an object or an array"
        };
        self.note(start, what, help);
    }

    fn bare_word(&mut self) -> &str {
        let start = self.at;
        while self.peek().is_some_and(|byte| is_word(byte) || matches!(byte, b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    /// Skips white space; notes and skips what is neither white space nor JSON but harmless: comments, foreign spaces.
    fn skip_space(&mut self) {
        while let Some(next) = self.text[self.at..].chars().next() {
            let rest = &self.text[self.at..];
            match next {
                ' ' | '\t' | '\n' | '\r' => self.at += 1,
                '#' => self.comment(rest.find('\n').unwrap_or(rest.len())),
                '/' if rest.starts_with("//") => self.comment(rest.find('\n').unwrap_or(rest.len())),
                '/' if rest.starts_with("/*") => self.comment(rest.find("*/").map_or(rest.len(), |close| close + 2)),
                space if space.is_whitespace() || space == '\u{feff}' => {
                    let what =
                        format!("the character U+{:04X} is no JSON white space; expected a plain space", u32::from(space));
                    self.note(self.at, &what, None);
                    self.at += space.len_utf8();
                }
                _ => return,
            }
        }
    }

    fn comment(&mut self, length: usize) {
        self.note(self.at, "a comment; JSON has none", Some("delete the comment"));
        self.at += length;
    }

    fn typographic_quote(&self) -> bool {
        self.text[self.at..].starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}'])
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn note(&mut self, at: usize, what: &str, help: Option<&str>) {
        if self.mistakes.len() < MAX_MISTAKES {
            self.mistakes.push(Mistake { at, what: what.to_owned(), help: help.map(str::to_owned) });
        }
    }

    fn stop<T>(&mut self, at: usize, what: &str, help: Option<&str>) -> Result<T, Stop> {
        self.note(at, what, help);
        Err(Stop)
    }
}

/// A name for a message: characters that steer a terminal (control characters, changes of direction) are escaped.
pub fn printable(name: &str) -> String {
    let steers =
        |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    name.chars().fold(String::with_capacity(name.len()), |mut shown, c| {
        if steers(c) {
            shown.extend(c.escape_unicode())
        } else {
            shown.push(c)
        }
        shown
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

fn is_number(word: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let word = word.strip_prefix('-').unwrap_or(word);
    let (mantissa, exponent) = match word.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (word, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits) && exponent.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mistakes as `line:column what`.
    fn mistakes(text: &str) -> Vec<String> {
        let show = |mistake: &Mistake| {
            let (line, column) = line_column(text, mistake.at);
            format!("{line}:{column} {}", mistake.what)
        };
        scan(text).err().unwrap_or_default().iter().map(show).collect()
    }

    #[test]
    fn a_good_document_has_its_spans() {
        let text = "{\"a\": [1, {\"b\": \"ü\"}], \"c\": null}";
        let root = scan(text).unwrap().unwrap();
        let a = root.member("a").unwrap();
        assert_eq!(&text[a.start..a.name_end], "\"a\"");
        assert_eq!(&text[a.value.start..a.value.end], "[1, {\"b\": \"ü\"}]");
        let Kind::Array(elements) = &a.value.kind else { panic!("{a:?}") };
        assert_eq!(&text[elements[1].start..elements[1].end], "{\"b\": \"ü\"}");
        assert_eq!((root.start, root.end), (0, text.len()));
        assert_eq!(scan(" \r\n\t"), Ok(None));
    }

    #[test]
    fn each_mistake_is_named_with_its_place() {
        let table: &[(&str, &[&str])] = &[
            ("{\"a\": 1,}", &["1:8 a comma before `}`; JSON allows none behind the last entry"]),
            ("{\"a\": [1,\n]}", &["1:9 a comma before `]`; JSON allows none behind the last entry"]),
            ("{\"a\": 1 \"b\": 2}", &["1:9 expected `,` between two entries"]),
            ("{\"a\": 1,, \"b\": 2}", &["1:9 a comma without a member before it; expected a key in double quotes"]),
            ("// hi\n{}", &["1:1 a comment; JSON has none"]),
            ("{ /* hi */ \"a\": 1 # ho\n}", &["1:3 a comment; JSON has none", "1:19 a comment; JSON has none"]),
            (
                "{'a': 'b'}",
                &["1:2 a key in single quotes; expected double quotes", "1:7 a text in single quotes; expected double quotes"],
            ),
            ("{a: 1}", &["1:2 a key without quotes; expected a key in double quotes"]),
            ("{\"a\" = 1}", &["1:6 `=` behind a key; expected `:`"]),
            ("{\"ü\": “b”}", &["1:7 a typographic quote; expected a straight double quote (\")"]),
            ("{\"a\":\u{a0}1}", &["1:6 the character U+00A0 is no JSON white space; expected a plain space"]),
            ("{\"a\": True}", &["1:7 expected true, false, null, a number, a text in double quotes, an object or an array"]),
            ("{\"a\": 010}", &["1:7 not a JSON number; expected digits without leading zero, e.g. 10 or -1.5"]),
            ("{\"a\": -1e999}", &["1:7 a number that is too large"]),
            ("{\"a\": .5}", &["1:7 not a JSON number; expected digits without leading zero, e.g. 10 or -1.5"]),
            ("{\"a\": \"x\ty\"}", &["1:9 a control character inside a text; expected an escape such as `\\t`"]),
            ("{\"a\": \"x\n\"}", &["1:7 the text that begins here has no closing quote on its line"]),
            ("{\"a\": \"\\x\"}", &["1:8 an unknown escape; JSON knows \\\" \\\\ \\/ \\b \\f \\n \\r \\t and \\uXXXX"]),
            ("{\"a\": \"\\u12\"}", &["1:8 an incomplete `\\u` escape; expected four hexadecimal digits"]),
            (
                "{\"a\": \"\\ud800\"}",
                &["1:7 an escape in this text stands for half a character; expected a whole surrogate pair"],
            ),
            ("{\"a\": 1", &["1:8 the file ends inside the object that begins at 1:1; expected `}`"]),
            ("{\"a\": [1}", &["1:9 expected `,` or `]`"]),
            ("{\"a\":", &["1:6 the file ends where a value was expected"]),
            ("{\"a\" 1}", &["1:6 expected `:` behind the key"]),
            ("{]", &["1:2 expected a key in double quotes or `}`"]),
            ("{} {}", &["1:4 a second JSON document begins here; expected the end of the file"]),
            ("{} x", &["1:4 text after the end of the JSON document; expected the end of the file"]),
            ("{\"icc\": 1,\n \"x\": 2,\n \"\\u0069cc\": 3}", &["3:2 key `icc` is given twice (first at line 1)"]),
            ("{\"a\": [{\"b\": 1, \"b\": 1}]}", &["1:17 key `b` is given twice (first at line 1)"]),
        ];
        for (text, expected) in table {
            assert_eq!(mistakes(text), *expected, "{text}");
        }
    }

    #[test]
    fn hostile_depth_and_length_are_refused_without_overflow() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(mistakes(&deep), ["1:102 nested deeper than 100 levels"]);
        assert_eq!(mistakes(&format!("{{{}}}", ",".repeat(1000))).len(), MAX_MISTAKES);
    }

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[31mß\u{202e}"), "a\\u{1b}[31mß\\u{202e}");
    }
}
