//! `TMOUT` in the start-up files of shells: after how many idle seconds a shell ends, as far as plain assignments tell.

/// What one file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Each value that is assigned, as it is written, with its line.
    pub values: Vec<(String, usize)>,
    /// Whether a user can no longer change it afterwards.
    pub readonly: bool,
    /// The first line that may change it in a way that isn't followed here: under a condition, in a subshell, by `unset`.
    pub unclear: Option<usize>,
}

/// Reads one file.
pub fn parse(text: &str) -> Said {
    let mut said = Said::default();
    // How many compound commands are open, and whether text that is no command may follow.
    let (mut depth, mut here_document) = (0_usize, false);
    for command in commands(text) {
        let words = inner(&command.words, &mut depth);
        let plain = depth == 0 && !command.dependent && !here_document;
        here_document |= command.words.iter().any(|word| word.contains("<<"));
        if !plain || !assign(words, command.line, &mut said) {
            let changes = command.words.iter().any(|word| mentions(word));
            said.unclear = said.unclear.or(changes.then_some(command.line));
        }
    }
    said
}

/// A simple command, with the keywords before it.
#[derive(Debug, Default)]
struct Command {
    words: Vec<String>,
    line: usize,
    /// Whether another command decides if it runs, or whether it runs in a subshell.
    dependent: bool,
}

/// The commands of a file, quotes kept.
fn commands(text: &str) -> Vec<Command> {
    let (mut all, mut command, mut word) = (Vec::new(), Command::default(), String::new());
    let (mut line, mut parentheses) = (1, 0_usize);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if command.words.is_empty() && word.is_empty() {
            command.line = line;
        }
        line += usize::from(char == '\n');
        match char {
            '\\' => match chars.next() {
                Some('\n') => line += 1,
                Some(next) => word.extend([char, next]),
                None => {}
            },
            '\'' | '"' => {
                word.push(char);
                while let Some(next) = chars.next() {
                    line += usize::from(next == '\n');
                    word.push(next);
                    match next {
                        '\\' if char == '"' => word.extend(chars.next().inspect(|&next| line += usize::from(next == '\n'))),
                        _ if next == char => break,
                        _ => {}
                    }
                }
            }
            '#' if word.is_empty() => while chars.next_if(|&next| next != '\n').is_some() {},
            ' ' | '\t' | '\r' => command.words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            '\n' | ';' | '&' | '|' | '(' | ')' => {
                command.words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                let joins = ['&', '|'].contains(&char);
                command.dependent |= joins || parentheses > 0;
                if !command.words.is_empty() {
                    all.push(std::mem::take(&mut command));
                    command.dependent = joins;
                }
                match char {
                    '(' => parentheses += 1,
                    // That of a pattern of `case` has no partner.
                    ')' => parentheses = parentheses.saturating_sub(1),
                    _ => {}
                }
            }
            _ => word.push(char),
        }
    }
    command.words.extend(Some(word).filter(|word| !word.is_empty()));
    command.dependent |= parentheses > 0;
    all.push(command);
    all
}

/// The words after the shell's keywords, which open and close compound commands.
fn inner<'w>(mut words: &'w [String], depth: &mut usize) -> &'w [String] {
    while let [first, rest @ ..] = words {
        match first.as_str() {
            "if" | "while" | "until" | "{" | "case" | "for" | "select" => *depth += 1,
            "fi" | "done" | "esac" | "}" => *depth = depth.saturating_sub(1),
            "then" | "do" | "else" | "elif" => {}
            _ => break,
        }
        words = rest;
    }
    words
}

/// Takes what a plain assignment or declaration says; false for any other command.
fn assign(words: &[String], line: usize, said: &mut Said) -> bool {
    let declares = words.first().is_some_and(|word| ["readonly", "declare", "typeset", "export"].contains(&word.as_str()));
    let marks = words.first().is_some_and(|word| word == "readonly")
        || (declares && words.iter().any(|word| word.starts_with('-') && word.contains('r')));
    let ours = |word: &str| word == "TMOUT" || word.starts_with("TMOUT=");
    let known = |word: &String| (ours(word) && (declares || word != "TMOUT")) || !mentions(word);
    let assigns = |word: &String| word.split_once('=').is_some_and(|(name, _)| name.chars().all(of_a_name));
    if !words.iter().all(known) || !(declares || words.iter().all(assigns)) {
        return false;
    }
    for word in words.iter().filter(|word| ours(word)) {
        if let Some(value) = word.strip_prefix("TMOUT=") {
            said.values.push((value.trim_matches(['"', '\'']).to_owned(), line));
        }
        said.readonly |= marks;
    }
    true
}

/// Whether a word names the variable otherwise than to read it.
fn mentions(word: &str) -> bool {
    word.match_indices("TMOUT").any(|(at, name)| {
        let (before, after) = (&word[..at], &word[at + name.len()..]);
        let other = before.ends_with(of_a_name) || after.starts_with(of_a_name);
        // `${TMOUT:=5}` assigns.
        let reads = before.ends_with('$') || (before.ends_with("${") && !after.starts_with('=') && !after.starts_with(":="));
        !other && !reads
    })
}

fn of_a_name(char: char) -> bool {
    char == '_' || char.is_ascii_alphanumeric()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn assignments() {
        for (text, values, readonly) in [
            ("", vec![], false),
            ("TMOUT=600", vec![("600", 1)], false),
            ("# TMOUT=600\nTMOUT=900 # idle\nreadonly TMOUT\nexport TMOUT", vec![("900", 2)], true),
            ("readonly TMOUT=600 ; export TMOUT", vec![("600", 1)], true),
            ("typeset -xr TMOUT=\"600\"", vec![("600", 1)], true),
            ("declare -x TMOUT='600'", vec![("600", 1)], false),
            ("TMOUT=600; readonly TMOUT; export TMOUT", vec![("600", 1)], true),
            ("TMOUT=${TMOUT:-900}", vec![("${TMOUT:-900}", 1)], false),
            ("TMOUT=0\n\nTMOUT=300", vec![("0", 1), ("300", 3)], false),
            ("MY_TMOUT=5\necho $TMOUT ${TMOUT:-5} TMOUTS=5\nif [ -n \"$TMOUT\" ]; then :; fi", vec![], false),
            ("if [ -x /bin/a ]; then\n  a\nfi\nf() { b; }\nTMOUT=600", vec![("600", 5)], false),
            ("case $- in\n*i*) a ;;\nesac\nfor i in *; do a; done; readonly TMOUT=600", vec![("600", 4)], true),
            ("a='it;\nis'; TMOUT=\\\n600", vec![("600", 2)], false),
        ] {
            let values = values.into_iter().map(|(value, line)| (value.to_owned(), line)).collect();
            assert_eq!(parse(text), Said { values, readonly, unclear: None }, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_followed_is_unclear() {
        for (text, line) in [
            ("readonly TMOUT=600\nif [ \"$USER\" = ci ]; then TMOUT=0; fi", 2),
            ("if false; then\n  readonly TMOUT=600\nfi", 2),
            ("TMOUT=600\nif false; then\n  :\nelse readonly TMOUT\nfi", 4),
            ("while :; do TMOUT=0; done", 1),
            ("f() { TMOUT=0; }", 1),
            ("case $- in\n  *i*) TMOUT=0;;\nesac", 2),
            ("(TMOUT=600)", 1),
            ("((TMOUT=600))", 1),
            ("[ x ] && readonly TMOUT=600", 1),
            ("[ x ] ||\n  readonly TMOUT=600", 2),
            ("readonly TMOUT=600 | cat", 1),
            ("TMOUT=600 bash", 1),
            ("echo TMOUT=5", 1),
            ("\nunset TMOUT", 2),
            ("unset -v TMOUT", 1),
            ("eval 'TMOUT=0'", 1),
            ("export \"TMOUT=0\"", 1),
            (": ${TMOUT:=0}", 1),
            ("read TMOUT", 1),
            ("cat <<EOF\nTMOUT=600\nEOF", 2),
            ("a='\nTMOUT=600\n'", 1),
        ] {
            let said = parse(text);
            assert_eq!(said.unclear, Some(line), "{text:?}: {said:?}");
        }
        assert_eq!(parse("if false; then readonly TMOUT=600; fi"), Said { unclear: Some(1), ..Said::default() });
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([a-z'\"\\\\ ;&|(){}#$=\n]|TMOUT|if |fi){0,30}") {
            prop_assert!(parse(&text).values.iter().all(|(_, line)| *line <= text.lines().count()));
        }
    }
}
