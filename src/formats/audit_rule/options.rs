//! How auditctl cuts a line of a rules file into words, and words into options.

use super::line::Problem;

/// Stand for an escaped space and an escaped backslash between splitting and unescaping, two bytes each.
const ESCAPED_SPACE: u8 = 0x07;
const ESCAPED_BACKSLASH: u8 = 0x04;

/// The words of a line, which ends at a NUL byte or a newline. Only the space separates; `\ ` is a space within a word and `\\` a
/// backslash.
///
/// Two oddities are auditctl's: the first word is not unescaped, and of a line with very many short words the last are dropped.
pub(super) fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let line = line.split(|byte| matches!(byte, 0 | b'\n')).next().unwrap_or_default();
    if let Some(column) = line.iter().position(|byte| matches!(*byte, ESCAPED_SPACE | ESCAPED_BACKSLASH)) {
        return Err(Problem::unmodelled(format!(
            "byte 0x{:02x} at column {} has a meaning inside auditctl",
            line[column],
            column + 1
        )));
    }
    let marked = mark_escapes(line);
    let most_words = line.len() / 3 + 1;
    let mut words: Vec<Vec<u8>> =
        marked.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect();
    words.truncate(most_words.max(1));
    for word in words.iter_mut().skip(1) {
        *word = unescape(word);
    }
    Ok(words)
}

fn mark_escapes(line: &[u8]) -> Vec<u8> {
    let mut marked = line.to_vec();
    let mut escaping = false;
    for (at, byte) in line.iter().enumerate() {
        if *byte == b'\\' && !escaping {
            escaping = true;
            continue;
        }
        let mark = match byte {
            b' ' => Some(ESCAPED_SPACE),
            b'\\' => Some(ESCAPED_BACKSLASH),
            _ => None,
        };
        if let (true, Some(mark)) = (escaping, mark) {
            marked[at - 1] = mark;
            marked[at] = mark;
        }
        escaping = false;
    }
    marked
}

fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut at = 0;
    while let Some(byte) = word.get(at) {
        let (byte, step) = match *byte {
            ESCAPED_SPACE => (b' ', 2),
            ESCAPED_BACKSLASH => (b'\\', 2),
            other => (other, 1),
        };
        plain.push(byte);
        at += step;
    }
    plain
}

/// An option as getopt finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opt<'w> {
    /// One without an argument.
    Flag(char),
    /// One with its argument.
    With(char, &'w [u8]),
    /// A long option, with its argument where it takes one.
    Long(&'static str, &'w [u8]),
    /// No such option, or its argument is missing; the word it stands in.
    Invalid(&'w [u8]),
}

const FLAGS: &str = "hicslDvt";
const WITH_ARGUMENT: &str = "CefrbaAdSFmRwWkpq";
const LONG: [(&str, bool); 5] = [
    ("loginuid-immutable", false),
    ("backlog_wait_time", true),
    ("reset-lost", false),
    ("reset_backlog_wait_time_actual", false),
    ("signal", true),
];

/// GNU getopt over the words of a line: short options may be clustered and have their argument attached, long ones may be
/// shortened, and words that are no options are set aside.
pub(super) struct Options<'w> {
    words: &'w [Vec<u8>],
    next: usize,
    /// What is left of a cluster like `-ic`.
    cluster: &'w [u8],
    set_aside: usize,
    ended: bool,
}

impl<'w> Options<'w> {
    pub(super) fn new(words: &'w [Vec<u8>]) -> Self {
        Self { words, next: 0, cluster: &[], set_aside: 0, ended: false }
    }

    /// How many words there are.
    pub(super) fn total(&self) -> usize {
        self.words.len()
    }

    /// The next word, not taken, if the current one is used up.
    pub(super) fn following(&self) -> Option<&'w [u8]> {
        self.words.get(self.next).map(Vec::as_slice)
    }

    /// Whether only the first word was taken so far.
    pub(super) fn is_first(&self) -> bool {
        self.next == 1
    }

    /// A word by its place.
    pub(super) fn word(&self, at: usize) -> Option<&'w [u8]> {
        self.words.get(at).map(Vec::as_slice)
    }

    /// Treats this many of the last words as not there.
    pub(super) fn drop_last(&mut self, words: usize) {
        self.words = &self.words[..self.words.len().saturating_sub(words)];
    }

    /// Whether words are left over that are no options; asked at the end or when reading stops before it.
    pub(super) fn has_leftover(&self) -> bool {
        !self.cluster.is_empty() || self.next < self.words.len() || (self.ended && self.set_aside > 0)
    }

    fn short(&mut self, first: u8) -> Opt<'w> {
        let (letter, word) = (char::from(first), &self.words[self.next.saturating_sub(1)]);
        if FLAGS.contains(letter) {
            return Opt::Flag(letter);
        }
        if !WITH_ARGUMENT.contains(letter) {
            return Opt::Invalid(word);
        }
        let attached = std::mem::take(&mut self.cluster);
        match (attached.is_empty(), self.following()) {
            (false, _) => Opt::With(letter, attached),
            (true, Some(argument)) => {
                self.next += 1;
                Opt::With(letter, argument)
            }
            (true, None) => Opt::Invalid(word),
        }
    }

    fn long(&mut self, word: &'w [u8]) -> Opt<'w> {
        let mut parts = word[2..].splitn(2, |byte| *byte == b'=');
        let (name, attached) = (parts.next().unwrap_or_default(), parts.next());
        let mut candidates = LONG.iter().filter(|(known, _)| known.as_bytes().starts_with(name));
        let (Some((known, takes_argument)), None) = (candidates.next(), candidates.next()) else {
            return Opt::Invalid(word);
        };
        match (takes_argument, attached) {
            (false, None) => Opt::Long(known, &[]),
            (false, Some(_)) => Opt::Invalid(word),
            (true, Some(argument)) => Opt::Long(known, argument),
            (true, None) => match self.following() {
                Some(argument) => {
                    self.next += 1;
                    Opt::Long(known, argument)
                }
                None => Opt::Invalid(word),
            },
        }
    }
}

impl<'w> Iterator for Options<'w> {
    type Item = Opt<'w>;

    fn next(&mut self) -> Option<Opt<'w>> {
        loop {
            if let Some((first, rest)) = self.cluster.split_first() {
                self.cluster = rest;
                return Some(self.short(*first));
            }
            let Some(word) = self.words.get(self.next) else {
                self.ended = true;
                return None;
            };
            self.next += 1;
            match word.as_slice() {
                b"--" => {
                    self.ended = true;
                    return None;
                }
                [b'-', b'-', ..] => return Some(self.long(word)),
                [b'-', rest @ ..] if !rest.is_empty() => self.cluster = rest,
                _ => self.set_aside += 1,
            }
        }
    }
}
