//! Words of an instruction's arguments: quotes, escapes, JSON lists, `name=value`.

use super::Keyword;

/// One word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Without its quotes and escapes. A `$` that stands for itself keeps a `\` before it.
    pub text: String,
    /// Where in the instruction's line it begins.
    pub at: usize,
}

/// A name and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name.
    pub name: String,
    /// The value, without quotes; `None` where there is no `=`.
    pub value: Option<String>,
    /// Where in the instruction's line the name begins.
    pub at: usize,
}

/// The words as they are written, and where they begin. White space within quotes does not end a word.
pub(super) fn raw(text: &str, base: usize, escape: char) -> Vec<(&str, usize)> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some((start, end)) = bounds(text, at, escape) {
        words.extend(text.get(start..end).map(|word| (word, base + start)));
        at = end;
    }
    words
}

/// Where the next word from `at` on begins and ends.
fn bounds(text: &str, at: usize, escape: char) -> Option<(usize, usize)> {
    let rest = text.get(at..)?;
    let start = at + rest.find(|c: char| !c.is_whitespace())?;
    let mut quote = None;
    let mut letters = text.get(start..)?.char_indices();
    while let Some((index, letter)) = letters.next() {
        match quote {
            Some('\'') if letter == '\'' => quote = None,
            Some('\'') => {}
            _ if letter == escape => _ = letters.next(),
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter.is_whitespace() => return Some((start, start + index)),
            None => {}
        }
    }
    Some((start, text.len()))
}

/// The first word from `at` on, and where the next one begins.
pub(super) fn first(text: &str, at: usize, escape: char) -> Option<(Word, usize)> {
    let (start, end) = bounds(text, at, escape)?;
    let word = text.get(start..end)?;
    let rest = text.get(end..)?;
    let next = end + rest.len() - rest.trim_start().len();
    Some((Word { text: unquoted(word, escape), at: start }, next))
}

/// The words; `base` is where `text` begins in the instruction's line.
pub(super) fn split(text: &str, base: usize, escape: char) -> Vec<Word> {
    raw(text, base, escape).into_iter().map(|(word, at)| Word { text: unquoted(word, escape), at }).collect()
}

/// A word without its quotes and escapes.
pub(super) fn unquoted(word: &str, escape: char) -> String {
    let mut text = String::new();
    let mut quote = None;
    let mut letters = word.chars();
    while let Some(letter) = letters.next() {
        match quote {
            Some('\'') if letter == '\'' => quote = None,
            Some('\'') if letter == '$' => text.push_str("\\$"),
            Some('\'') => text.push(letter),
            _ if letter == escape => match letters.next() {
                Some('$') => text.push_str("\\$"),
                // Within double quotes only what would mean something is escaped.
                Some(next) if quote.is_some() && next != '"' && next != escape => text.extend([letter, next]),
                Some(next) => text.push(next),
                None => text.push(letter),
            },
            Some(open) if letter == open => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            _ => text.push(letter),
        }
    }
    text
}

/// A JSON list of texts and nothing else.
pub(super) fn json(args: &str, base: usize) -> Option<Vec<Word>> {
    let text = args.trim();
    if !text.starts_with('[') {
        return None;
    }
    let texts: Vec<String> = serde_json::from_str(text).ok()?;
    // Each text is a JSON string; their beginnings are the quotes that open one.
    let mut starts = Vec::new();
    let mut inside = false;
    let mut escaped = false;
    for (index, letter) in args.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => {
                if !inside {
                    starts.push(base + index);
                }
                inside = !inside;
            }
            _ => {}
        }
    }
    Some(texts.into_iter().zip(starts).map(|(text, at)| Word { text, at }).collect())
}

/// `name=value` of ENV, LABEL and ARG.
pub(super) fn pairs(keyword: Keyword, args: &str, base: usize, escape: char) -> Vec<Pair> {
    let words = raw(args, base, escape);
    let Some((first, at)) = words.first() else { return Vec::new() };
    // The old form: the rest of the line is the value.
    if keyword != Keyword::Arg && !first.contains('=') {
        let value = args.trim_start().strip_prefix(first).unwrap_or_default().trim();
        return vec![Pair { name: unquoted(first, escape), value: Some(unquoted(value, escape)), at: *at }];
    }
    let pair = |(word, at): &(&str, usize)| match word.split_once('=') {
        Some((name, value)) => Pair { name: unquoted(name, escape), value: Some(unquoted(value, escape)), at: *at },
        None => Pair { name: unquoted(word, escape), value: None, at: *at },
    };
    words.iter().map(pair).collect()
}
