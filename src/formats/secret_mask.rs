//! Commands and values of images for the eyes of others: secrets are replaced by a word that is none.
//!
//! What counts as a secret is decided by its form (tokens, private keys), by the name in front of it, and by where it stands: before the
//! `@` of a URL, after `curl -u`, in an Authorization header. A little too much is masked rather than too little.

use std::ops::Range;

use glob::Pattern;

use super::mask::is_secret_name;
use super::token;
use crate::fact::MASKED;

/// What is masked, and what was found by its form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Masked {
    /// The text without secrets.
    pub text: String,
    /// What tokens it held, to be read after "with".
    pub tokens: Vec<&'static str>,
}

/// Masks secrets, also those whose names a policy gives.
pub struct Masker {
    names: Vec<Pattern>,
}

/// A value as it may be kept: a switch is itself, everything else [`MASKED`]; and what tokens it held.
pub fn value(value: &str) -> (String, Vec<&'static str>) {
    let tokens = token::find(value).into_iter().map(|token| token.what).collect();
    let bare = value.trim().trim_matches(['"', '\'']);
    let switch = ["", "true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"];
    let bare = bare.to_ascii_lowercase();
    let placeholder = bare.starts_with('<') && bare.ends_with('>') || bare.contains("***");
    match () {
        () if switch.contains(&bare.as_str()) => (bare, tokens),
        () if placeholder => (String::new(), tokens),
        () => (MASKED.to_owned(), tokens),
    }
}

impl Masker {
    /// Masks also what these patterns name; in upper case, `_` for `-` and `.`.
    pub fn new(names: &[String]) -> Self {
        Self { names: names.iter().filter_map(|name| Pattern::new(&even(name)).ok()).collect() }
    }

    fn is_secret(&self, name: &str) -> bool {
        !name.is_empty() && (is_secret_name(name) || self.names.iter().any(|pattern| pattern.matches(&even(name))))
    }

    /// A command without its secrets.
    pub fn mask(&self, text: &str) -> Masked {
        let tokens = token::find(text);
        let mut spans: Vec<(Range<usize>, &str)> = Vec::new();
        spans.extend(tokens.iter().map(|token| (token.at..end_of_token(text, token.at), MASKED)));
        userinfo(text, &mut spans);
        self.named(text, &mut spans);
        self.options(text, &mut spans);
        authorization(text, &mut spans);
        Masked { text: replaced(text, spans), tokens: tokens.into_iter().map(|token| token.what).collect() }
    }

    /// The words of a command that is a list.
    pub fn mask_words(&self, words: &[String]) -> (Vec<String>, Vec<&'static str>) {
        let mut tokens = Vec::new();
        let mut kept = Vec::new();
        let mut announced = false;
        for word in words {
            let masked = self.mask(word);
            tokens.extend(masked.tokens);
            kept.push(if announced && !word.starts_with('-') { MASKED.to_owned() } else { masked.text });
            announced = word.starts_with("--") && !word.contains('=') && self.is_secret(word.trim_start_matches('-'));
        }
        (kept, tokens)
    }

    /// `NAME=value`, `name: value`, `${NAME:-value}`.
    fn named(&self, text: &str, spans: &mut Vec<(Range<usize>, &str)>) {
        for (at, sign) in text.match_indices(['=', ':']) {
            let before = text[..at].trim_end_matches(['"', '\'', '\\']);
            let start = before.rfind(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
            let name = &before[start.map_or(0, |start| start + before[start..].chars().next().map_or(1, char::len_utf8))..];
            if !self.is_secret(name.trim_start_matches('-')) {
                continue;
            }
            let after = &text[at + 1..];
            if sign == ":" && after.starts_with('-') {
                let end = after.find('}').unwrap_or(after.len());
                spans.push((at + 2..at + 1 + end.max(1), MASKED));
            } else if sign == "=" || after.starts_with([' ', '"', '\'', '\\']) {
                let skipped = if sign == ":" { after.len() - after.trim_start().len() } else { 0 };
                spans.extend(value_at(text, at + 1 + skipped));
            }
        }
    }

    /// `--password VALUE`, `-u user:VALUE`, `sshpass -p VALUE`, `mysql -pVALUE`.
    fn options(&self, text: &str, spans: &mut Vec<(Range<usize>, &str)>) {
        let mut words = Vec::new();
        let mut begin = 0;
        for word in text.split([' ', '\n', '\t']) {
            if !word.is_empty() {
                words.push((begin, word));
            }
            begin += word.len() + 1;
        }
        for (index, (at, word)) in words.iter().enumerate() {
            let next = words.get(index + 1).filter(|(_, next)| !next.starts_with('-'));
            let program = index.checked_sub(1).and_then(|index| words.get(index)).map_or("", |(_, word)| *word);
            let program = program.rsplit('/').next().unwrap_or_default();
            let after_colon = |at: usize, word: &str| word.find(':').and_then(|colon| value_at(text, at + colon + 1));
            match *word {
                "-u" | "--user" => spans.extend(next.and_then(|(at, next)| after_colon(*at, next))),
                _ if word.starts_with("--user=") => spans.extend(after_colon(*at, word)),
                "-p" if program == "sshpass" => spans.extend(next.and_then(|(at, _)| value_at(text, *at))),
                _ if word.starts_with("-p") && word.len() > 2 && (program == "sshpass" || program.starts_with("mysql")) => {
                    spans.extend(value_at(text, at + 2));
                }
                _ if word.starts_with("--")
                    && !word.contains('=')
                    && !word.ends_with("-stdin")
                    && self.is_secret(word.trim_start_matches('-')) =>
                {
                    spans.extend(next.and_then(|(at, _)| value_at(text, *at)));
                }
                _ => {}
            }
        }
    }
}

/// Upper case, with `_` for `-` and `.`, so that a name has one form.
fn even(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

/// The value that begins here, in quotes or not; `None` for what is no secret. What a shell still replaces stays a variable.
fn value_at(text: &str, at: usize) -> Option<(Range<usize>, &'static str)> {
    let rest = text.get(at..)?;
    let escaped = usize::from(rest.starts_with("\\\"") || rest.starts_with("\\'"));
    let quote = rest[escaped..].chars().next().filter(|c| ['"', '\''].contains(c));
    let start = if quote.is_some() { escaped + 1 } else { 0 };
    let body = &rest[start..];
    let end = match quote {
        Some(quote) => body.find(if escaped == 1 { '\\' } else { quote }).unwrap_or(body.len()),
        None => body.find(|c: char| c.is_whitespace() || ";&|\"'`)".contains(c)).unwrap_or(body.len()),
    };
    let found = &body[..end];
    let whole = found.strip_prefix('$').is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || "_{}".contains(c)));
    let switch = value(found).0 != MASKED;
    if switch || whole || found.starts_with("$(") {
        return None;
    }
    let replaced = quote != Some('\'') && found.contains('$') && !token::is_literal(found);
    Some((at + start..at + start + end, if replaced { "$masked" } else { MASKED }))
}

fn end_of_token(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    if rest.trim_start_matches('-').starts_with("BEGIN ") {
        return rest
            .find("-----END")
            .and_then(|end| Some(at + end + 8 + rest[end + 8..].find("-----")? + 5))
            .unwrap_or(text.len());
    }
    at + rest.find(|c: char| !c.is_ascii_alphanumeric() && !"_-./+=".contains(c)).unwrap_or(rest.len())
}

/// `scheme://user:password@host`, and `scheme://token@host`.
fn userinfo(text: &str, spans: &mut Vec<(Range<usize>, &str)>) {
    for (at, _) in text.match_indices("://") {
        let start = at + 3;
        let rest = &text[start..];
        let authority = &rest[..rest.find(|c: char| c.is_whitespace() || "/?#\"'`".contains(c)).unwrap_or(rest.len())];
        let Some((user, _)) = authority.rsplit_once('@') else { continue };
        match user.split_once(':') {
            Some((name, word)) if !word.is_empty() && !word.starts_with('$') => {
                spans.push((start + name.len() + 1..start + user.len(), MASKED));
            }
            None if user.len() >= 16 && !user.contains('$') => spans.push((start..start + user.len(), MASKED)),
            _ => {}
        }
    }
}

fn authorization(text: &str, spans: &mut Vec<(Range<usize>, &str)>) {
    const HEADER: &str = "authorization:";
    let lower = text.to_ascii_lowercase();
    for (at, _) in lower.match_indices(HEADER) {
        let rest = &text[at + HEADER.len()..];
        let skipped = rest.len() - rest.trim_start().len();
        let body = &rest[skipped..];
        let end = body.find(['"', '\'', '\n']).unwrap_or(body.len());
        let start = at + HEADER.len() + skipped;
        let kept = if body[..end].contains('$') { "$masked" } else { MASKED };
        spans.push((start..start + end, kept));
    }
}

/// The text with each span replaced; of those that overlap, the union by the first.
fn replaced(text: &str, mut spans: Vec<(Range<usize>, &str)>) -> String {
    spans.sort_by_key(|(span, _)| (span.start, std::cmp::Reverse(span.end)));
    let mut kept = String::new();
    let mut done = 0;
    for (span, word) in spans.into_iter().filter(|(span, _)| span.start < span.end) {
        if span.start >= done {
            kept.push_str(&text[done..span.start]);
            kept.push_str(word);
        }
        done = done.max(span.end);
    }
    kept.push_str(&text[done..]);
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mask(text: &str) -> String {
        Masker::new(&["*GEHEIM*".into()]).mask(text).text
    }

    #[test]
    fn secrets_in_commands() {
        for (text, expected) in [
            ("npm ci", "npm ci"),
            ("PASSWORD=hunter2 make", "PASSWORD=masked make"),
            ("PASSWORD='pa$$ word' make", "PASSWORD='masked' make"),
            ("PASSWORD=$OTHER make", "PASSWORD=$OTHER make"),
            ("PASSWORD=\"a$b c\" make", "PASSWORD=\"$masked\" make"),
            ("DB_GEHEIM=x7 make", "DB_GEHEIM=masked make"),
            ("TOKEN=${TOKEN:-abcdef} x", "TOKEN=masked x"),
            ("echo ${TOKEN:-abcdef}", "echo ${TOKEN:-masked}"),
            ("git clone https://me:pw@host/x", "git clone https://me:masked@host/x"),
            ("git clone https://abcdefghijklmnopq@host/x", "git clone https://masked@host/x"),
            ("curl -u me:pw https://host", "curl -u me:masked https://host"),
            ("curl -H 'Authorization: Bearer abc' https://host", "curl -H 'Authorization: masked' https://host"),
            ("tool --password abc --verbose", "tool --password masked --verbose"),
            ("docker login --password-stdin x", "docker login --password-stdin x"),
            ("echo '{\"password\": \"abc\"}'", "echo '{\"password\": \"masked\"}'"),
            ("sshpass -p abc ssh host", "sshpass -p masked ssh host"),
            ("x -----BEGIN RSA PRIVATE KEY----- abc -----END RSA PRIVATE KEY----- y", "x masked y"),
            ("PASSWORD_REQUIRED=false x", "PASSWORD_REQUIRED=false x"),
        ] {
            assert_eq!(mask(text), expected, "{text}");
        }
    }

    #[test]
    fn tokens_are_named() {
        let masked = Masker::new(&[]).mask("x ghp_0123456789abcdefghijABCDEFGHIJ012345 y");
        assert_eq!(masked, Masked { text: "x masked y".into(), tokens: vec!["a token of GitHub"] });
    }

    #[test]
    fn words() {
        let words = ["tool", "--api-token", "abc", "--url=https://a:b@c"].map(String::from);
        let (kept, _) = Masker::new(&[]).mask_words(&words);
        assert_eq!(kept, ["tool", "--api-token", "masked", "--url=https://a:masked@c"]);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(PASSWORD|=|:|://|@|\"|'|\\\\|-u |--token |\\$|\\{|\\}| |ü|Authorization:|-----BEGIN ){0,12}") {
            mask(&text);
        }

        #[test]
        fn a_password_is_never_kept(word in "[a-z0-9]{8,20}") {
            let word = format!("z9{word}");
            for text in [
                format!("DB_PASSWORD={word} run"),
                format!("run --password={word}"),
                format!("run --password {word}"),
                format!("export API_TOKEN='{word}'"),
                format!("curl -u me:{word} https://host"),
                format!("git clone https://me:{word}@host"),
            ] {
                prop_assert!(!mask(&text).contains(&word), "{text}");
            }
        }
    }
}
