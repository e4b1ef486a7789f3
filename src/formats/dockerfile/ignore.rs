//! `.dockerignore`: which files of a build context the builder does not get.
//!
//! The last line that matches a path, or a directory above it, decides; `!` takes back. Patterns are those of BuildKit: `*` and `?`
//! stay within a name, `**` stands for any number of directories, a pattern without `/` means the top of the context only.

/// A `.dockerignore`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IgnoreFile {
    lines: Vec<Line>,
    /// Lines that the builder refuses, by number.
    pub refused: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    takes_back: bool,
    pattern: Vec<Part>,
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Letter(char),
    /// `?`
    Any,
    /// `*`
    Name,
    /// `**` with something after it: nothing, or whole directories.
    Directories,
    /// `**` at the end: whatever.
    Everything,
    /// `[a-c]`, or with `^` all others.
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
}

impl IgnoreFile {
    /// Reads the file.
    pub fn parse(text: &str) -> IgnoreFile {
        let mut file = IgnoreFile::default();
        for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let (takes_back, pattern) = line.trim().strip_prefix('!').map_or((false, line.trim()), |rest| (true, rest.trim()));
            let cleaned = clean(pattern);
            let cleaned = cleaned.strip_prefix('/').filter(|rest| !rest.is_empty()).unwrap_or(&cleaned);
            match parts(cleaned) {
                Some(parts) if !pattern.is_empty() => file.lines.push(Line { takes_back, pattern: parts }),
                _ => file.refused.push(number + 1),
            }
        }
        file
    }

    /// Whether the builder does not get this path, relative to the context.
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for line in &self.lines {
            if line.takes_back == excluded && line.matches(path) {
                excluded = !line.takes_back;
            }
        }
        excluded
    }
}

impl Line {
    /// Whether the pattern is the path or a directory above it.
    fn matches(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        ends.into_iter().any(|end| path.get(..end).is_some_and(|path| whole(&self.pattern, path)))
    }
}

/// Whether a pattern of `.dockerignore` matches a path as a whole.
pub fn matches(pattern: &str, path: &str) -> bool {
    parts(&clean(pattern)).is_some_and(|parts| whole(&parts, path))
}

/// The path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let rooted = path.starts_with('/');
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." if names.last().is_some_and(|last| *last != "..") => _ = names.pop(),
            ".." if rooted => {}
            name => names.push(name),
        }
    }
    match (rooted, names.is_empty()) {
        (true, _) => format!("/{}", names.join("/")),
        (false, true) => ".".into(),
        (false, false) => names.join("/"),
    }
}

/// The parts of a pattern; `None` where a bracket never closes or a backslash stands at the end.
fn parts(pattern: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        parts.push(match letter {
            '*' if letters.next_if_eq(&'*').is_some() => {
                letters.next_if_eq(&'/');
                if letters.peek().is_none() { Part::Everything } else { Part::Directories }
            }
            '*' => Part::Name,
            '?' => Part::Any,
            '\\' => Part::Letter(letters.next()?),
            '[' => class(&mut letters)?,
            letter => Part::Letter(letter),
        });
    }
    Some(parts)
}

fn class(letters: &mut std::iter::Peekable<std::str::Chars>) -> Option<Part> {
    let not = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        let first = match letters.next()? {
            ']' if !ranges.is_empty() => return Some(Part::Class { not, ranges }),
            ']' => return None,
            '\\' => letters.next()?,
            letter => letter,
        };
        let last = match letters.next_if_eq(&'-') {
            Some(_) => match letters.next()? {
                ']' => return None,
                '\\' => letters.next()?,
                letter => letter,
            },
            None => first,
        };
        ranges.push((first, last));
    }
}

/// Whether the pattern matches the whole path: all ways at once, so that no pattern takes long.
fn whole(pattern: &[Part], path: &str) -> bool {
    // Before which parts the reading may stand, and in the midst of which `**`.
    let mut before = vec![false; pattern.len() + 1];
    let mut inside = vec![false; pattern.len()];
    before[0] = true;
    skip_empty(pattern, &mut before);
    for letter in path.chars() {
        let mut next = vec![false; pattern.len() + 1];
        for (index, part) in pattern.iter().enumerate() {
            let here = before[index];
            match part {
                Part::Letter(wanted) => next[index + 1] |= here && *wanted == letter,
                Part::Any => next[index + 1] |= here && letter != '/',
                Part::Name => next[index] |= here && letter != '/',
                Part::Everything => next[index] |= here,
                Part::Directories => {
                    inside[index] |= here;
                    next[index + 1] |= inside[index] && letter == '/';
                }
                Part::Class { not, ranges } => {
                    let within = ranges.iter().any(|(first, last)| (*first..=*last).contains(&letter));
                    next[index + 1] |= here && within != *not;
                }
            }
        }
        skip_empty(pattern, &mut next);
        before = next;
    }
    before[pattern.len()]
}

/// `*` and `**` may stand for nothing.
fn skip_empty(pattern: &[Part], before: &mut [bool]) {
    for (index, part) in pattern.iter().enumerate() {
        if before[index] && matches!(part, Part::Name | Part::Directories | Part::Everything) {
            before[index + 1] = true;
        }
    }
}
