//! Environment variables for services: `EnvironmentFile=` files and `Environment=` values as systemd reads them, and the plain
//! part of the shell syntax that init scripts source (`/etc/default/docker`).

use super::specifier;
use super::unit_file::{Origin, Problem};
use super::words::{Escapes, next_word};

/// One variable that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, quotes and escapes resolved.
    pub value: String,
    /// The line on which it starts, from 1.
    pub line: usize,
}

/// What a file or value sets, in order; a later variable of the same name wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Variables {
    /// The variables.
    pub variables: Vec<Variable>,
    /// Lines that are ignored or read in a surprising way. Never holds a value.
    pub problems: Vec<Problem>,
}

impl Variables {
    fn complain(&mut self, path: &str, line: usize, what: impl Into<String>) {
        self.problems.push(Problem::new(Origin::new(path, line), what));
    }
}

/// Reads an `EnvironmentFile=` file.
///
/// A comment that ends with a backslash is read as systemd 254 and later do; what older ones do is said as a problem.
///
/// # Errors
/// When systemd refuses the whole file: it holds a NUL, or a variable that is not UTF-8.
pub fn parse(path: &str, bytes: &[u8]) -> Result<Variables, Problem> {
    if let Some(position) = bytes.iter().position(|&byte| byte == 0) {
        let line = 1 + bytes[..position].iter().filter(|&&byte| byte == b'\n').count();
        return Err(Problem::new(Origin::new(path, line), "the file holds a NUL; systemd does not read it"));
    }
    let mut found = Variables::default();
    let mut reader = Reader { bytes, position: 0, line: 1 };
    while let Some(entry) = reader.entry() {
        match entry {
            Entry::ContinuedComment { line } => found.complain(
                path,
                line,
                "the comment ends with a backslash: systemd before 254 takes the next line as part of it; remove the backslash",
            ),
            Entry::NotAnAssignment { line } => found.complain(path, line, "expected NAME=value; systemd ignores the line"),
            Entry::Assignment { line, name, value } => {
                let not_utf8 =
                    || Problem::new(Origin::new(path, line), "the line is not UTF-8; systemd does not read the file");
                let name = String::from_utf8(name).map_err(|_| not_utf8())?;
                let value = String::from_utf8(value).map_err(|_| not_utf8())?;
                if is_name(&name) {
                    found.variables.push(Variable { name, value, line });
                } else {
                    found.complain(path, line, "the name before `=` is not a variable's name; systemd ignores the line");
                }
            }
        }
    }
    Ok(found)
}

enum Entry {
    ContinuedComment { line: usize },
    NotAnAssignment { line: usize },
    Assignment { line: usize, name: Vec<u8>, value: Vec<u8> },
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
    line: usize,
}

impl Reader<'_> {
    fn take(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.position)?;
        self.position += 1;
        // `\r\n` is one line end for people, two for the parser.
        self.line += usize::from(byte == b'\n' || byte == b'\r' && self.bytes.get(self.position) != Some(&b'\n'));
        Some(byte)
    }

    /// The rest of the line, its end taken but not included.
    fn rest_of_line(&mut self) -> &[u8] {
        let start = self.position;
        while let Some(byte) = self.take() {
            if is_line_end(byte) {
                return &self.bytes[start..self.position - 1];
            }
        }
        &self.bytes[start..]
    }

    fn entry(&mut self) -> Option<Entry> {
        loop {
            let line = self.line;
            match self.take()? {
                b' ' | b'\t' | b'\n' | b'\r' => {}
                b'#' | b';' => {
                    if self.rest_of_line().iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1 {
                        return Some(Entry::ContinuedComment { line });
                    }
                }
                first => return Some(self.assignment(line, first)),
            }
        }
    }

    fn assignment(&mut self, line: usize, first: u8) -> Entry {
        let mut name = Vec::new();
        let mut next = Some(first);
        loop {
            match next {
                Some(b'=') if !name.is_empty() => break,
                None | Some(b'\n' | b'\r') => return Entry::NotAnAssignment { line },
                Some(byte) => name.push(byte),
            }
            next = self.take();
        }
        while name.last().is_some_and(|&byte| is_blank(byte)) {
            name.pop();
        }
        Entry::Assignment { line, name, value: self.value() }
    }

    /// A value: quoted pieces, joined without the blanks between them, then an unquoted rest, in which quotes are plain characters.
    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        while let Some(byte) = self.take() {
            match byte {
                b'\n' | b'\r' => break,
                b'\'' => self.single_quoted(&mut value),
                b'"' => self.double_quoted(&mut value),
                byte if is_blank(byte) => {}
                byte => {
                    self.unquoted(byte, &mut value);
                    break;
                }
            }
        }
        value
    }

    fn single_quoted(&mut self, value: &mut Vec<u8>) {
        while let Some(byte) = self.take().filter(|&byte| byte != b'\'') {
            value.push(byte);
        }
    }

    /// A backslash counts before `"`, `\`, `` ` ``, `$` and a line end, as in a shell.
    fn double_quoted(&mut self, value: &mut Vec<u8>) {
        while let Some(byte) = self.take().filter(|&byte| byte != b'"') {
            match (byte, byte == b'\\') {
                (byte, false) => value.push(byte),
                (_, true) => match self.take() {
                    Some(byte @ (b'"' | b'\\' | b'`' | b'$')) => value.push(byte),
                    Some(b'\n') | None => {}
                    Some(byte) => value.extend_from_slice(&[b'\\', byte]),
                },
            }
        }
    }

    /// To the line's end, without blanks there; a backslash protects any character and joins lines.
    fn unquoted(&mut self, first: u8, value: &mut Vec<u8>) {
        let mut kept = value.len();
        let mut next = Some(first);
        while let Some(byte) = next.filter(|&byte| !is_line_end(byte)) {
            let protected = byte == b'\\';
            match if protected { self.take() } else { Some(byte) } {
                Some(byte) if protected && is_line_end(byte) => {}
                Some(byte) => value.push(byte),
                None => {}
            }
            if protected || !is_blank(byte) {
                kept = value.len();
            }
            next = self.take();
        }
        value.truncate(kept);
    }
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// Reads one `Environment=` value of `unit`, which stands at `origin`.
pub fn parse_environment(value: &str, unit: &str, origin: &Origin) -> Variables {
    let mut found = Variables::default();
    let mut rest = value.as_bytes();
    loop {
        let word = match next_word(&mut rest, Escapes::Strict) {
            Ok(Some(word)) => word,
            Ok(None) => return found,
            Err(_) => {
                let what = "unbalanced quotes or an unknown escape; systemd ignores the rest of the line";
                found.complain(&origin.path, origin.line, what);
                return found;
            }
        };
        let (word, unresolved) = specifier::expand(&word, unit);
        for letter in unresolved {
            found.complain(&origin.path, origin.line, format!("the specifier %{letter} is left as it is written"));
        }
        match std::str::from_utf8(&word).ok().and_then(|word| word.split_once('=')).filter(|(name, _)| is_name(name)) {
            Some((name, value)) => {
                found.variables.push(Variable { name: name.into(), value: value.into(), line: origin.line });
            }
            None => found.complain(&origin.path, origin.line, "expected NAME=value; systemd ignores that word"),
        }
    }
}

/// Reads a file that an init script sources (`/etc/default/docker`, `/etc/sysconfig/docker`): only lines of the form
/// `NAME=value`, `NAME="value"` or `NAME='value'` (after an optional `export`) that need no shell to understand.
/// Every other line that is neither blank nor a comment is a problem: what it sets is not known.
pub fn parse_shell(path: &str, bytes: &[u8]) -> Variables {
    let mut found = Variables::default();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = std::str::from_utf8(line).map(str::trim);
        if line.is_ok_and(|line| line.is_empty() || line.starts_with('#')) {
            continue;
        }
        match line.ok().and_then(shell_assignment) {
            Some((name, value)) => found.variables.push(Variable { name: name.into(), value: value.into(), line: index + 1 }),
            None => found.complain(path, index + 1, "this line is more than a plain NAME=\"value\"; what it sets is not known"),
        }
    }
    found
}

fn shell_assignment(line: &str) -> Option<(&str, &str)> {
    let assignment = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = assignment.split_once('=').filter(|(name, _)| is_name(name))?;
    let (quote, rest) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => (Some(quote), &value[1..]),
        _ => (None, value),
    };
    let length = match quote {
        Some(quote) => rest.find(quote)?,
        None => rest.find([' ', '\t']).unwrap_or(rest.len()),
    };
    let (value, tail) = (&rest[..length], &rest[length + usize::from(quote.is_some())..]);
    let special: &[char] = match quote {
        Some('\'') => &[],
        Some(_) => &['$', '`', '\\'],
        None => &['$', '`', '\\', '"', '\'', ';', '&', '|', '<', '>', '(', ')', '*', '?', '[', '~', '#', '{'],
    };
    let after = tail.trim_start();
    let nothing_follows = after.is_empty() || after.starts_with('#') && after.len() < tail.len();
    (!value.contains(special) && nothing_follows).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(variables: &Variables) -> Vec<String> {
        let set = variables.variables.iter().map(|one| format!("{} {}={}", one.line, one.name, one.value));
        set.chain(variables.problems.iter().map(|problem| format!("! {problem}"))).collect()
    }

    #[test]
    fn lines_are_counted_through_quotes_and_continuations() {
        let text = b"# c\n\nA=1\nB=\"x\ny\"\nC=a\\\nb\r\nD=2 \r\n\r\nE='\r\n'\n F = 3";
        assert_eq!(shown(&parse("f", text).unwrap()), ["3 A=1", "4 B=x\ny", "6 C=ab", "8 D=2", "10 E=\r\n", "12 F=3"]);
    }

    #[test]
    fn what_systemd_ignores_is_said() {
        let text = b"export A=1\nnope\n=x\n1A=2\n# c \\\nB=3\n# \\\\\nno end";
        assert_eq!(
            shown(&parse("f", text).unwrap()),
            [
                "6 B=3",
                "! f:1: the name before `=` is not a variable's name; systemd ignores the line",
                "! f:2: expected NAME=value; systemd ignores the line",
                "! f:3: expected NAME=value; systemd ignores the line",
                "! f:4: the name before `=` is not a variable's name; systemd ignores the line",
                "! f:5: the comment ends with a backslash: systemd before 254 takes the next line as part of it; remove the backslash",
                "! f:8: expected NAME=value; systemd ignores the line",
            ]
        );
    }

    #[test]
    fn what_systemd_refuses_is_an_error() {
        let error = |text: &[u8]| parse("f", text).unwrap_err().to_string();
        assert_eq!(error(b"A=1\nB=\0"), "f:2: the file holds a NUL; systemd does not read it");
        assert_eq!(error(b"A=1\nB=\xff\n"), "f:2: the line is not UTF-8; systemd does not read the file");
        assert_eq!(error(b"\xff=1"), "f:1: the line is not UTF-8; systemd does not read the file");
    }

    #[test]
    fn environment_values() {
        let read = |value| shown(&parse_environment(value, "u.service", &Origin::new("u", 7)));
        assert_eq!(read(r#"A=1 "B=2 3" C=\x41%n"#), ["7 A=1", "7 B=2 3", "7 C=Au.service"]);
        assert_eq!(
            read("A=1 no B-C=2 D=%H"),
            [
                "7 A=1",
                "7 D=%H",
                "! u:7: expected NAME=value; systemd ignores that word",
                "! u:7: expected NAME=value; systemd ignores that word",
                "! u:7: the specifier %H is left as it is written",
            ]
        );
        assert_eq!(
            read("A=1 'B=2"),
            ["7 A=1", "! u:7: unbalanced quotes or an unknown escape; systemd ignores the rest of the line"]
        );
    }

    #[test]
    fn shell_files_are_read_where_no_shell_is_needed() {
        let text = b"# c\nA=1\nexport B=\"x y\" # c\n  C='$x'\r\nD=\nE=a#b\nF=\"$x\"\nG=a b\nif true; then\nH=\"a\\\"b\"\nI='a'b\nJ=\"a\nK=1;L=2\nM=1 # c\nN='a'#b\n";
        let unknown =
            |line: usize| format!("! f:{line}: this line is more than a plain NAME=\"value\"; what it sets is not known");
        let mut expected: Vec<String> = ["2 A=1", "3 B=x y", "4 C=$x", "5 D=", "14 M=1"].map(String::from).into();
        expected.extend([6, 7, 8, 9, 10, 11, 12, 13, 15].map(unknown));
        assert_eq!(shown(&parse_shell("f", text)), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(b"A=\"'\\#\n\r ;".to_vec())], 0..80)) {
            let lines = bytes.iter().filter(|&&byte| is_line_end(byte)).count() + 1;
            if let Ok(found) = parse("f", &bytes) {
                prop_assert!(found.variables.iter().all(|one| is_name(&one.name) && (1..=lines).contains(&one.line)));
            }
            parse_shell("f", &bytes);
            parse_environment(&String::from_utf8_lossy(&bytes), "u", &Origin::new("u", 1));
        }

        #[test]
        fn single_quoted_values_come_back(value in "[^'\0\r]{0,20}") {
            let found = parse("f", format!("A='{value}'\n").as_bytes()).unwrap();
            prop_assert_eq!(&found.variables[0].value, &value);
        }
    }
}
