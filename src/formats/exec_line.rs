//! `ExecStart=` values: into command lines as systemd splits them, then with variables put in as systemd does at start.

use super::specifier;
use super::words::{Escapes, first_word, skip_whitespace};

/// One command of an `ExecStart=` value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The program to run: an absolute path, or a name that systemd looks up.
    pub path: String,
    /// Its arguments, the name it is called by first; variables still as written.
    pub argv: Vec<String>,
    /// Whether variables are put in at start (no `:` prefix).
    pub expands: bool,
    /// Its words as they are written: the program with its prefixes, then each argument.
    pub written: Vec<String>,
}

/// What a value holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecLine {
    /// The commands, usually one.
    pub commands: Vec<Command>,
    /// What systemd refuses or ignores in it, and what could not be resolved. Never holds a value.
    pub problems: Vec<String>,
}

/// One argument after variables were put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its text.
    pub text: String,
    /// The written word that it came out of, as an index into [`Command::written`].
    pub word: usize,
    /// The variable that it came out of or, where it is only partly from variables, the first of them; `None` when it stands
    /// in the unit as it is.
    pub variable: Option<String>,
}

/// Splits a value into commands.
///
/// Specifiers: those of [`specifier::expand`]; others stay as written and are reported. Bytes that are not UTF-8 (from
/// `\xff`) are replaced, and reported.
pub fn split(value: &str, unit: &str) -> ExecLine {
    let mut line = ExecLine::default();
    let mut rest = value.as_bytes();
    loop {
        match command(&mut rest, unit, &mut line.problems) {
            Ok(Parsed { command, more }) => {
                line.commands.extend(command);
                if !more {
                    return line;
                }
            }
            Err(refusal) => {
                line.problems.push(refusal.into());
                return line;
            }
        }
    }
}

struct Parsed {
    command: Option<Command>,
    /// A `;` followed.
    more: bool,
}

const UNBALANCED: &str = "the quotes are not balanced; systemd refuses the line";

fn command(rest: &mut &[u8], unit: &str, problems: &mut Vec<String>) -> Result<Parsed, &'static str> {
    let mut written = Vec::new();
    let Some(first) = word(rest, &mut written)? else { return Ok(Parsed { command: None, more: false }) };
    if first == b";" {
        return Ok(Parsed { command: None, more: true });
    }
    let (prefixes, path) = prefixes(&first);
    let path = text(path, unit, problems);
    check_path(&path)?;
    let mut argv = if prefixes.contains(&b'@') { vec![] } else { vec![path.clone()] };
    let mut more = false;
    while !rest.is_empty() {
        if let Some(after) = separator(rest, b";") {
            *rest = after;
            more = true;
            break;
        }
        if let Some(after) = separator(rest, b"\\;") {
            *rest = after;
            written.push("\\;".into());
            argv.push(";".into());
            continue;
        }
        match word(rest, &mut written)? {
            Some(word) => argv.push(text(&word, unit, problems)),
            None => break,
        }
    }
    if argv.is_empty() {
        return Err("with the prefix `@` a name for the program must follow its path; systemd refuses the line");
    }
    Ok(Parsed { command: Some(Command { path, argv, expands: !prefixes.contains(&b':'), written }), more })
}

/// Takes the next word off `rest`, with the whitespace after it, and notes how it is written.
fn word(rest: &mut &[u8], written: &mut Vec<String>) -> Result<Option<Vec<u8>>, &'static str> {
    skip_whitespace(rest);
    let before = *rest;
    let Some(word) = first_word(rest, Escapes::Lenient).map_err(|_| UNBALANCED)? else { return Ok(None) };
    written.push(String::from_utf8_lossy(&before[..before.len() - rest.len()]).into_owned());
    skip_whitespace(rest);
    Ok(Some(word))
}

/// The prefix characters of a program and the program. Each may stand once, `!` twice, but not beside `+`.
fn prefixes(word: &[u8]) -> (&[u8], &[u8]) {
    let allowed = |length: usize| {
        let (before, byte) = (&word[..length], word.get(length)?);
        let seen = |wanted: u8| before.iter().filter(|&&one| one == wanted).count();
        let fits = match byte {
            b'-' | b'@' | b':' => seen(*byte) == 0,
            b'+' => seen(b'+') + seen(b'!') == 0,
            b'!' => seen(b'+') == 0 && seen(b'!') < 2,
            _ => false,
        };
        fits.then_some(())
    };
    let length = (0..).take_while(|&length| allowed(length).is_some()).count();
    word.split_at(length)
}

/// What follows `token` and whitespace, when `token` stands alone.
fn separator<'a>(rest: &'a [u8], token: &[u8]) -> Option<&'a [u8]> {
    let mut after = rest.strip_prefix(token)?;
    let length = after.len();
    skip_whitespace(&mut after);
    (after.is_empty() || after.len() < length).then_some(after)
}

fn text(word: &[u8], unit: &str, problems: &mut Vec<String>) -> String {
    let (bytes, unresolved) = specifier::expand(word, unit);
    problems.extend(unresolved.iter().map(|letter| format!("the specifier %{letter} is left as it is written")));
    String::from_utf8(bytes).unwrap_or_else(|error| {
        problems.push("an argument is not UTF-8; the bytes that are not are shown as \u{fffd}".into());
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })
}

/// What systemd demands of the program: a plain name or an absolute path, without quotes, backslashes and control characters.
fn check_path(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("the program's path is empty; systemd refuses the line");
    }
    if path.contains(|c: char| c.is_ascii_control() || matches!(c, '"' | '\'' | '\\')) {
        return Err("the program's path holds quotes, backslashes or control characters; systemd refuses the line");
    }
    if path.ends_with('/') {
        return Err("the program's path names a directory; systemd refuses the line");
    }
    if path.contains('/') && !path.starts_with('/') || matches!(path, "." | "..") {
        return Err("the program is neither a plain name nor an absolute path; systemd refuses the line");
    }
    Ok(())
}

/// Puts variables into a command line, as systemd does when it starts the program.
///
/// An argument that starts with `$` (but not `${` or `$$`) is one variable to its end: it is replaced by the words of its value,
/// none when it is unset. Elsewhere `${NAME}` is replaced by the value as it is, `$$` is one dollar sign, and `$NAME` stays.
pub fn expand<'a>(command: &Command, lookup: impl Fn(&str) -> Option<&'a str>) -> Vec<Argument> {
    // With the prefix `@`, the program is written but not one of its arguments.
    let first = command.written.len().saturating_sub(command.argv.len());
    let texts = command.argv.iter().enumerate().map(|(index, text)| (first + index, text));
    if !command.expands {
        return texts.map(|(word, text)| Argument { text: text.clone(), word, variable: None }).collect();
    }
    let mut arguments = Vec::new();
    for (word, text) in texts {
        match text.strip_prefix('$') {
            Some(name) if !name.starts_with(['{', '$']) => {
                let variable = Some(name.to_owned());
                let words = value_words(lookup(name)).into_iter();
                arguments.extend(words.map(|text| Argument { text, word, variable: variable.clone() }));
            }
            _ => arguments.push(expand_braces(text, word, &lookup)),
        }
    }
    arguments
}

/// The words of a variable's value. Separators and quotes are ASCII, so every word of UTF-8 is UTF-8.
fn value_words(value: Option<&str>) -> Vec<String> {
    let words = super::words::words(value.unwrap_or_default().as_bytes(), Escapes::Protect).unwrap_or_default();
    words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn expand_braces<'a>(written: &str, word: usize, lookup: impl Fn(&str) -> Option<&'a str>) -> Argument {
    let mut argument = Argument { text: String::new(), word, variable: None };
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('$') {
        argument.text.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            argument.text.push('$');
            rest = after;
        } else if let Some((name, after)) = braced(after) {
            argument.text.push_str(lookup(name).unwrap_or_default());
            argument.variable.get_or_insert_with(|| name.to_owned());
            rest = after;
        } else {
            argument.text.push('$');
            rest = after;
        }
    }
    argument.text.push_str(rest);
    argument
}

/// `{NAME}` and what follows; with a colon inside it stays as it is written.
fn braced(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    (!name.contains(':')).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn argvs(value: &str) -> Vec<Vec<String>> {
        split(value, "docker.service").commands.into_iter().map(|command| command.argv).collect()
    }

    #[test]
    fn prefixes_are_taken_off_once_each() {
        let table: [(&str, &str, &str); 9] = [
            ("/a", "", "/a"),
            ("-@:/a", "-@:", "/a"),
            ("--/a", "-", "-/a"),
            ("+/a", "+", "/a"),
            ("!!/a", "!!", "/a"),
            ("!!!/a", "!!", "!/a"),
            ("+!/a", "+", "!/a"),
            ("!+/a", "!", "+/a"),
            ("-", "-", ""),
        ];
        for (word, expected, path) in table {
            assert_eq!(prefixes(word.as_bytes()), (expected.as_bytes(), path.as_bytes()), "{word}");
        }
    }

    #[test]
    fn what_systemd_refuses_is_said() {
        let table = [
            ("/a 'b", "the quotes are not balanced; systemd refuses the line"),
            ("- /a", "the program's path is empty; systemd refuses the line"),
            ("/a/ b", "the program's path names a directory; systemd refuses the line"),
            ("a/b", "the program is neither a plain name nor an absolute path; systemd refuses the line"),
            ("|/a", "the program is neither a plain name nor an absolute path; systemd refuses the line"),
            (r"/a\\b", "the program's path holds quotes, backslashes or control characters; systemd refuses the line"),
            ("@/a", "with the prefix `@` a name for the program must follow its path; systemd refuses the line"),
        ];
        for (value, expected) in table {
            assert_eq!(split(value, "u.service"), ExecLine { commands: vec![], problems: vec![expected.into()] }, "{value}");
        }
    }

    #[test]
    fn what_cannot_be_resolved_is_said() {
        let line = split(r"/a %H \xff", "u.service");
        assert_eq!(line.commands[0].argv, ["/a", "%H", "\u{fffd}"]);
        assert_eq!(
            line.problems,
            [
                "the specifier %H is left as it is written",
                "an argument is not UTF-8; the bytes that are not are shown as \u{fffd}",
            ]
        );
    }

    #[test]
    fn commands_are_separated_by_a_lone_semicolon() {
        assert_eq!(argvs("/a b ; /c \\; d;e ';'"), [vec!["/a", "b"], vec!["/c", ";", "d;e", ";"]]);
        assert_eq!(argvs("; /a ;"), [vec!["/a"]]);
        assert_eq!(argvs(""), Vec::<Vec<String>>::new());
    }

    #[test]
    fn words_are_kept_as_they_are_written() {
        let written = |value: &str| split(value, "u.service").commands.remove(0).written;
        assert_eq!(written(r#"-@/a  b "c d"  \; %t e\ x 'f'"#), ["-@/a", "b", "\"c d\"", "\\;", "%t", "e\\ x", "'f'"]);
        assert_eq!(written("/a ; /b"), ["/a"]);
        let line = split("@/a b $O ${O} c", "u.service");
        let words: Vec<_> = expand(&line.commands[0], |_| Some("x y")).into_iter().map(|a| (a.word, a.text)).collect();
        assert_eq!(words, [(1, "b"), (2, "x"), (2, "y"), (3, "x y"), (4, "c")].map(|(word, text)| (word, text.to_owned())));
    }

    #[test]
    fn arguments_know_their_variable() {
        let line = split("/a $O x=${P}${O} $$O b$O ${N} $N", "u.service");
        let lookup = |name: &str| match name {
            "O" => Some("-H 'fd ://'"),
            "P" => Some("p  q"),
            _ => None,
        };
        let shown: Vec<_> =
            expand(&line.commands[0], lookup).into_iter().map(|a| (a.text, a.variable.unwrap_or_default())).collect();
        let expected =
            [("/a", ""), ("-H", "O"), ("fd ://", "O"), ("x=p  q-H 'fd ://'", "P"), ("$O", ""), ("b$O", ""), ("", "N")];
        assert_eq!(shown, expected.map(|(text, variable)| (text.to_owned(), variable.to_owned())));
    }

    proptest! {
        #[test]
        fn any_text_is_split_and_expanded(value in "[-@:+!/a;\\\\ '\"${}%x0\u{e9}]{0,40}") {
            for command in split(&value, "u.service").commands {
                prop_assert!(!command.argv.is_empty());
                expand(&command, |_| Some("a 'b"));
            }
        }

        #[test]
        fn plain_words_stay_as_they_are(words in proptest::collection::vec("[a-z0-9=,./:-]{1,8}", 0..6)) {
            let mut expected = vec!["/usr/bin/dockerd".to_owned()];
            expected.extend(words);
            let line = split(&expected.join("  "), "u.service");
            prop_assert_eq!(expand(&line.commands[0], |_| None).into_iter().map(|a| a.text).collect::<Vec<_>>(), expected);
        }
    }
}
