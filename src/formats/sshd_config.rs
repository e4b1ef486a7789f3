//! `sshd_config`: the values that a keyword can take, by the first-value rule, with `Include` and `Match`.
//!
//! `sshd -T` would say it for one connection, and needs root, host keys and a process. What matters here is whether any connection
//! can get a bad value, so a value inside a `Match` block counts beside the global one.

/// How deep sshd lets files include each other.
const MAX_DEPTH: usize = 16;
/// Where relative names of `Include` begin.
const DIR: &str = "/etc/ssh";

/// One value of a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Its arguments, as written.
    pub arguments: Vec<String>,
    /// `path:line`.
    pub origin: String,
    /// The `Match` that it is for; `None` for all connections.
    pub condition: Option<String>,
}

/// One line that says something.
#[derive(Debug, Clone)]
struct Line {
    keyword: String,
    value: Value,
}

/// All of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Config {
    lines: Vec<Line>,
}

/// Gives the content of a file; the error says why it can't be read.
pub type Read<'a> = dyn FnMut(&str) -> Result<Option<String>, String> + 'a;
/// Gives the paths that match a pattern.
pub type Glob<'a> = dyn FnMut(&str) -> Result<Vec<String>, String> + 'a;

impl Config {
    /// Reads a file and what it includes.
    ///
    /// # Errors
    /// When one of the files can't be read, or has a quote that is not closed: it may say anything.
    pub fn read(path: &str, read: &mut Read, glob: &mut Glob) -> Result<Self, String> {
        let mut config = Self::default();
        config.file(path, None, 0, read, glob)?;
        Ok(config)
    }

    fn file(&mut self, path: &str, outer: Option<&str>, depth: usize, read: &mut Read, glob: &mut Glob) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("{path}: more than {MAX_DEPTH} files include each other"));
        }
        let Some(text) = read(path)? else { return Ok(()) };
        // A Match ends with its file.
        let mut condition = outer.map(str::to_owned);
        for (index, line) in text.lines().enumerate() {
            let words = words(line).map_err(|why| format!("{path}:{}: {why}", index + 1))?;
            let Some((keyword, arguments)) = words else { continue };
            match keyword.as_str() {
                "match" if arguments.first().is_some_and(|word| word.eq_ignore_ascii_case("all")) => {
                    condition = outer.map(str::to_owned);
                }
                "match" => condition = Some(arguments.join(" ")),
                "include" => {
                    for pattern in &arguments {
                        let pattern = if pattern.starts_with('/') { pattern.clone() } else { format!("{DIR}/{pattern}") };
                        for file in glob(&pattern)? {
                            self.file(&file, condition.as_deref(), depth + 1, read, glob)?;
                        }
                    }
                }
                _ => {
                    let value = Value { arguments, origin: format!("{path}:{}", index + 1), condition: condition.clone() };
                    self.lines.push(Line { keyword, value });
                }
            }
        }
        Ok(())
    }

    /// The global value of a keyword (the first one counts), then those that a `Match` may give it. Names are in lower case; several
    /// are one keyword's old and new names.
    pub fn values(&self, names: &[&str]) -> Vec<&Value> {
        let of = |line: &&Line| names.contains(&line.keyword.as_str());
        let all = || self.lines.iter().filter(of).map(|line| &line.value);
        let global = all().find(|value| value.condition.is_none());
        global.into_iter().chain(all().filter(|value| value.condition.is_some())).collect()
    }

    /// All values of a keyword that adds up, such as `AllowUsers`.
    pub fn all(&self, name: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line.keyword == name).map(|line| &line.value).collect()
    }
}

/// What sshd takes for blank between a keyword and its arguments.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// Keyword in lower case, and arguments; `None` for comments and blanks. The error says which quote is open.
fn words(line: &str) -> Result<Option<(String, Vec<String>)>, String> {
    let line = line.trim();
    if line.starts_with('#') {
        return Ok(None);
    }
    let (mut keyword, mut rest) = delimited(line)?;
    if keyword.is_empty() {
        (keyword, rest) = delimited(rest)?;
    }
    if keyword.is_empty() || keyword.starts_with('#') {
        return Ok(None);
    }
    Ok(Some((keyword.to_ascii_lowercase(), arguments(rest)?)))
}

/// The first word, which may be in double quotes, and what follows it and an `=`.
fn delimited(text: &str) -> Result<(String, &str), String> {
    let delimiter = |char: char| BLANK.contains(&char) || char == '"' || char == '=';
    let (word, tail) = text.split_at(text.find(delimiter).unwrap_or(text.len()));
    if let Some(quoted) = tail.strip_prefix('"') {
        let (more, rest) = quoted.split_once('"').ok_or_else(|| open('"'))?;
        return Ok((format!("{word}{more}"), rest.trim_start_matches(BLANK)));
    }
    let rest = tail.trim_start_matches(BLANK);
    Ok((word.to_owned(), rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(BLANK)))
}

/// Splits arguments as sshd does: quotes of both kinds anywhere in a word; a backslash before a quote, a backslash or, outside
/// quotes, a space makes it a plain character; a `#` where a word could begin ends the line.
fn arguments(text: &str) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, quote) {
            (' ' | '\t', None) => all.extend(word.take()),
            ('#', None) if word.is_none() => break,
            ('\\', _) => {
                let escaped = chars.next_if(|&next| ['\'', '"', '\\'].contains(&next) || (next == ' ' && quote.is_none()));
                word.get_or_insert_default().push(escaped.unwrap_or(char));
            }
            ('\'' | '"', None) => {
                quote = Some(char);
                word.get_or_insert_default();
            }
            (char, Some(open)) if char == open => quote = None,
            (char, _) => word.get_or_insert_default().push(char),
        }
    }
    all.extend(word);
    quote.map_or(Ok(all), |quote| Err(open(quote)))
}

fn open(quote: char) -> String {
    format!("a quote ({quote}) is not closed; sshd can't read the line")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Config, String> {
        let mut text = |path: &str| {
            let found = files.iter().find(|(name, _)| *name == path);
            match found {
                Some((_, "!")) => Err(format!("{path}: EACCES")),
                found => Ok(found.map(|(_, text)| text.to_string())),
            }
        };
        let mut glob = |pattern: &str| {
            let pattern = glob::Pattern::new(pattern).map_err(|error| error.to_string())?;
            Ok(files.iter().map(|(name, _)| name.to_string()).filter(|name| pattern.matches(name)).collect())
        };
        Config::read("/etc/ssh/sshd_config", &mut text, &mut glob)
    }

    fn values(files: &[(&str, &str)], name: &str) -> Vec<String> {
        let config = read(files).unwrap();
        let shown = |value: &&Value| {
            let condition = value.condition.as_ref().map(|condition| format!(" if {condition}")).unwrap_or_default();
            format!("{} at {}{condition}", value.arguments.join(" "), value.origin.trim_start_matches("/etc/ssh/"))
        };
        config.values(&[name]).iter().map(shown).collect()
    }

    #[test]
    fn the_first_value_counts_and_every_match_too() {
        const MAIN: &str = "/etc/ssh/sshd_config";
        const MORE: &str = "/etc/ssh/sshd_config.d/50-more.conf";
        let name = "passwordauthentication";
        for (files, expected) in [
            (vec![(MAIN, "# PasswordAuthentication no\n")], vec![]),
            (vec![(MAIN, "PasswordAuthentication no\npasswordauthentication yes\n")], vec!["no at sshd_config:1"]),
            (vec![(MAIN, "PASSWORDAUTHENTICATION = \"no\" # x\n")], vec!["no at sshd_config:1"]),
            (vec![(MAIN, "\"PasswordAuthentication\" 'yes' # x\n")], vec!["yes at sshd_config:1"]),
            (vec![(MAIN, "  Password\"Authentication\"\"yes\"\n")], vec!["yes at sshd_config:1"]),
            (vec![(MAIN, "=PasswordAuthentication y'e's\n# it's\n\"#x\" y\n")], vec!["yes at sshd_config:1"]),
            (vec![(MAIN, "PasswordAuthentication a\\ b 'c d'#e \\\"f \\g\n")], vec!["a b c d#e \"f \\g at sshd_config:1"]),
            (
                vec![
                    (MAIN, "Include '/etc/ssh/sshd_config.d/*.conf'\n"),
                    (MORE, "\"Match\" all\nPasswordAuthentication=yes\n"),
                ],
                vec!["yes at sshd_config.d/50-more.conf:2"],
            ),
            (
                vec![
                    (MAIN, "Include /etc/ssh/sshd_config.d/*.conf\nPasswordAuthentication no\n"),
                    (MORE, "PasswordAuthentication yes\n"),
                ],
                vec!["yes at sshd_config.d/50-more.conf:1"],
            ),
            (
                vec![
                    (MAIN, "PasswordAuthentication no\nInclude sshd_config.d/*.conf\n"),
                    (MORE, "PasswordAuthentication yes\n"),
                ],
                vec!["no at sshd_config:1"],
            ),
            (
                vec![(MAIN, "Match User backup\n  PasswordAuthentication yes\nMatch all\nPasswordAuthentication no\n")],
                vec!["no at sshd_config:4", "yes at sshd_config:2 if User backup"],
            ),
            // A Match of an included file ends with it.
            (
                vec![
                    (MAIN, "Include sshd_config.d/*.conf\nPasswordAuthentication no\n"),
                    (MORE, "Match User x\nPasswordAuthentication yes\n"),
                ],
                vec!["no at sshd_config:2", "yes at sshd_config.d/50-more.conf:2 if User x"],
            ),
            (
                vec![
                    (MAIN, "Match Address 10.0.0.0/8\nInclude sshd_config.d/*.conf\n"),
                    (MORE, "PasswordAuthentication yes\n"),
                ],
                vec!["yes at sshd_config.d/50-more.conf:1 if Address 10.0.0.0/8"],
            ),
        ] {
            assert_eq!(values(&files, name), expected, "{files:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_say_anything() {
        let files = [("/etc/ssh/sshd_config", "Include x\n"), ("/etc/ssh/x", "!")];
        assert_eq!(read(&files).unwrap_err(), "/etc/ssh/x: EACCES");
        let circle = [("/etc/ssh/sshd_config", "Include sshd_config\n")];
        assert_eq!(read(&circle).unwrap_err(), "/etc/ssh/sshd_config: more than 16 files include each other");
        for (line, quote) in [("\"PermitRootLogin no", '"'), ("PermitRootLogin 'no", '\''), ("PermitRootLogin \"no'", '"')] {
            let expected = format!("/etc/ssh/sshd_config:2: a quote ({quote}) is not closed; sshd can't read the line");
            assert_eq!(read(&[("/etc/ssh/sshd_config", &format!("\n{line}\n"))]).unwrap_err(), expected);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([A-Za-z]{0,8}[ =\"#]{0,3}[a-z/*]{0,6}\n?){0,8}") {
            prop_assume!(!text.to_lowercase().contains("include"));
            let open = |why: String| why.ends_with("is not closed; sshd can't read the line");
            prop_assert!(read(&[("/etc/ssh/sshd_config", &text)]).map_or_else(open, |_| true));
        }
    }
}
