//! daemon.json for the eyes of others: secrets become `***`, everything else and the lines stay, so that diffs still line up.
//!
//! What counts as a secret is decided by where a text stands and by its form: values of log-opts that are not known to be
//! harmless, members whose name speaks of a secret, `name=value` with such a name, and whatever precedes the `@` of a URL.
//! A text that is not JSON is masked without understanding: only known names in front of a colon are shown.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::daemon_json::Document;
use super::daemon_keys::lookup;
use super::json_text::{Kind, Node, scan};

/// What stands for a secret.
pub const MASK: &str = "***";

/// Parts of names that speak of a secret; lower case, `_` written as `-`.
const SECRET_WORDS: [&str; 12] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "apikey",
    "api-key",
    "accesskey",
    "access-key",
    "private",
    "pwd",
];

/// Options of log drivers that hold no secret.
const HARMLESS_LOG_OPTIONS: [&str; 19] = [
    "max-size",
    "max-file",
    "mode",
    "max-buffer-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
    "cache-disabled",
    "cache-max-size",
    "cache-max-file",
    "cache-compress",
    "syslog-facility",
    "syslog-format",
    "fluentd-async",
    "awslogs-region",
    "gelf-compression-type",
];

/// Ends of the names of log options that hold an address.
const ADDRESS_ENDS: [&str; 4] = ["-address", "-endpoint", "-url", "-host"];

/// The text of a daemon.json with its secrets masked.
pub fn mask(text: &str) -> String {
    let (bom, body) = text.strip_prefix('\u{feff}').map_or(("", text), |body| ("\u{feff}", body));
    match (Document::parse(body.as_bytes()), scan(body)) {
        (Ok(document), Ok(Some(root))) => {
            let mut spans = Vec::new();
            mask_node(&root, document.value(), &mut Vec::new(), &mut spans);
            format!("{bom}{}", replace(body, &spans))
        }
        (Ok(_), _) => text.to_owned(),
        (Err(_), _) => format!("{bom}{}", mask_broken(body)),
    }
}

/// A value with its secrets masked; `path` names the keys that lead to it.
pub fn mask_value(path: &[&str], value: &Value) -> Value {
    let below = |name| [path, &[name]].concat();
    match value {
        Value::Object(members) => {
            let masked = members.iter().map(|(name, value)| (name.clone(), mask_value(&below(name.as_str()), value)));
            Value::Object(masked.collect::<Map<_, _>>())
        }
        Value::Array(elements) => {
            let masked = elements.iter().enumerate().map(|(index, element)| {
                if announced(elements, index) { mask_value(&below("secret"), element) } else { mask_value(path, element) }
            });
            Value::Array(masked.collect())
        }
        plain => masked_plain(path, plain).unwrap_or_else(|| plain.clone()),
    }
}

/// A text with the secrets masked that its own form gives away: what precedes the `@` of a URL, and `name=value` with a name
/// that speaks of a secret.
pub fn mask_text(text: &str) -> String {
    mask_pair(&mask_userinfo(text)).into_owned()
}

/// Whether a name speaks of a secret.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// The option of a log driver as it may be shown.
pub fn mask_log_option(name: &str, value: &str) -> String {
    if ADDRESS_ENDS.iter().any(|end| name.ends_with(end)) {
        let address = mask_address(value);
        return match address.split_once(['?', '#']) {
            Some((address, _)) => format!("{address}?{MASK}"),
            None => address,
        };
    }
    if HARMLESS_LOG_OPTIONS.contains(&name) || value.is_empty() { mask_text(value) } else { MASK.to_owned() }
}

/// The address of a server: also without a scheme, what precedes the `@` is a secret.
pub fn mask_address(value: &str) -> String {
    match value.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.find("://").map_or("", |end| &before[..end + 3]);
            mask_text(&format!("{scheme}{MASK}@{host}"))
        }
        None => mask_text(value),
    }
}

/// Collects the spans of plain values that are masked, with what replaces them.
fn mask_node<'v>(node: &Node, value: &'v Value, path: &mut Vec<&'v str>, spans: &mut Vec<(usize, usize, String)>) {
    match (&node.kind, value) {
        (Kind::Object(members), Value::Object(values)) => {
            for member in members {
                if let Some((name, value)) = values.get_key_value(&member.name) {
                    path.push(name);
                    mask_node(&member.value, value, path, spans);
                    path.pop();
                }
            }
        }
        (Kind::Array(nodes), Value::Array(elements)) => {
            for (index, (node, element)) in nodes.iter().zip(elements).enumerate() {
                let depth = path.len();
                path.extend(announced(elements, index).then_some("secret"));
                mask_node(node, element, path, spans);
                path.truncate(depth);
            }
        }
        (_, plain) => {
            if let Some(masked) = masked_plain(path, plain) {
                spans.push((node.start, node.end, masked.to_string()));
            }
        }
    }
}

/// What replaces a text or number, if it must not be shown as it is.
fn masked_plain(path: &[&str], value: &Value) -> Option<Value> {
    let under = |key: &str| path.iter().position(|name| name.eq_ignore_ascii_case(key));
    let text = match value {
        Value::String(text) => Cow::Borrowed(text.as_str()),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let shown = if path.iter().any(|name| is_secret_name(name)) {
        MASK.to_owned()
    } else if let Some(index) = under("log-opts").or_else(|| under("log-opt")) {
        match path.get(index + 1) {
            Some(option) => mask_log_option(option, &text),
            None => match text.split_once('=') {
                Some((option, value)) => format!("{option}={}", mask_log_option(option, value)),
                None => MASK.to_owned(),
            },
        }
    } else if path.iter().any(|name| names_addresses(name)) {
        mask_address(&text)
    } else {
        mask_text(&text)
    };
    (shown != *text).then_some(Value::String(shown))
}

/// Whether the values of a key are addresses, which may have a password in front also without a scheme.
fn names_addresses(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.ends_with("-proxy") || matches!(key.as_str(), "proxies" | "insecure-registries")
}

/// Whether the element before this one is a flag that takes a secret: `"--token", "…"`.
fn announced(elements: &[Value], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|before| elements[before].as_str());
    before.is_some_and(|before| before.starts_with('-') && !before.contains('=') && is_secret_name(before))
}

/// Masks what stands between `://` and the last `@` of the same word: a password may hold any other character.
fn mask_userinfo(text: &str) -> Cow<'_, str> {
    if !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut masked = String::with_capacity(text.len());
    for word in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\'')) {
        let userinfo = word.find("://").map(|at| at + 3).zip(word.rfind('@')).filter(|(start, at)| start <= at);
        match userinfo {
            Some((start, at)) => masked.extend([&word[..start], MASK, &word[at..]]),
            None => masked += word,
        }
    }
    Cow::Owned(masked)
}

/// Masks everything behind the first `=` whose name speaks of a secret.
fn mask_pair(text: &str) -> Cow<'_, str> {
    let is_break = |c: char| c.is_whitespace() || matches!(c, '?' | '&' | ';' | ',' | '=');
    for (at, _) in text.match_indices('=') {
        let name = text[..at].trim_end().rsplit(is_break).next().unwrap_or_default();
        let value = text[at + 1..].trim_end();
        if is_secret_name(name) && !value.is_empty() {
            return Cow::Owned(format!("{}={MASK}{}", &text[..at], &text[at + 1 + value.len()..]));
        }
    }
    Cow::Borrowed(text)
}

fn replace(text: &str, spans: &[(usize, usize, String)]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for (start, end, with) in spans {
        masked += &text[from..*start];
        masked += with;
        from = *end;
    }
    masked + &text[from..]
}

/// Masks a text that is not JSON: brackets, commas, colons, white space and known names in front of a colon stay, all else goes.
fn mask_broken(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at(token_length(rest, first));
        let harmless = first.is_whitespace() || matches!(first, '{' | '}' | '[' | ']' | ':' | ',');
        let known = after.trim_start_matches([' ', '\t']).starts_with(':') && is_known_name(token.trim_matches(['"', '\'']));
        if harmless || known || matches!(token, "true" | "false" | "null") {
            masked += token;
        } else {
            masked += "\"***\"";
        }
        rest = after;
    }
    masked
}

/// Length of the next piece of a text that is not JSON; a piece never goes beyond its line.
fn token_length(text: &str, first: char) -> usize {
    let line_end = text.find(['\n', '\r']).unwrap_or(text.len());
    match first {
        '"' | '\'' => {
            let mut escaped = false;
            let closing = text[1..line_end].find(|c: char| {
                let closes = c == first && !escaped;
                escaped = c == '\\' && !escaped;
                closes
            });
            closing.map_or(line_end, |at| at + 2)
        }
        _ if first.is_whitespace() || matches!(first, '{' | '}' | '[' | ']' | ':' | ',') => first.len_utf8(),
        _ => {
            let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ':' | ',' | '"' | '\'');
            text.find(ends).unwrap_or(text.len())
        }
    }
}

fn is_known_name(name: &str) -> bool {
    lookup(name).is_some() || HARMLESS_LOG_OPTIONS.contains(&name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_go_and_everything_else_stays() {
        let table = [
            (r#"{"icc": false, "mtu": 1500, "labels": ["a=b"]}"#, r#"{"icc": false, "mtu": 1500, "labels": ["a=b"]}"#),
            (
                r#"{"log-opts": {"max-size": "10m", "splunk-token": "hunter2", "awslogs-group": "hunter2", "x": 5}}"#,
                r#"{"log-opts": {"max-size": "10m", "splunk-token": "***", "awslogs-group": "***", "x": "***"}}"#,
            ),
            (
                r#"{"log-opts": {"syslog-address": "tcp+tls:\/\/u:hunter2@log:514", "splunk-url": "https://h:8088/x?t=hunter2"}}"#,
                r#"{"log-opts": {"syslog-address": "tcp+tls://***@log:514", "splunk-url": "https://h:8088/x?***"}}"#,
            ),
            (
                r#"{"proxies": {"http-proxy": "http://u:p@ss/hunter2@proxy:3128", "no-proxy": "a,b"}, "http-proxy": "u:hunter2@p"}"#,
                r#"{"proxies": {"http-proxy": "http://***@proxy:3128", "no-proxy": "a,b"}, "http-proxy": "***@p"}"#,
            ),
            (
                r#"{"registry-mirrors": ["https://u:hunter2@m", "https://m/v2"], "labels": ["API_KEY=hunter2, hunter2"]}"#,
                r#"{"registry-mirrors": ["https://***@m", "https://m/v2"], "labels": ["API_KEY=***"]}"#,
            ),
            (
                r#"{"x": {"My_Password": {"deep": ["hunter2", 7, true, null]}}, "accessKey": 12}"#,
                r#"{"x": {"My_Password": {"deep": ["***", "***", true, null]}}, "accessKey": "***"}"#,
            ),
            (
                r#"{"runtimes": {"x": {"runtimeArgs": ["--auth-token", "hunter2", "--secret=hunter2", "-v"]}}}"#,
                r#"{"runtimes": {"x": {"runtimeArgs": ["--auth-token", "***", "--secret=***", "-v"]}}}"#,
            ),
            (
                r#"{"log-opts": {"fluentd-address": "u:hunter2@h"}, "x": "see ftp://u:hunter2@h, http://u:hunter2@i"}"#,
                r#"{"log-opts": {"fluentd-address": "***@h"}, "x": "see ftp://***@h, http://***@i"}"#,
            ),
            (r#"{"log-opt": ["gelf-x=hunter2", "max-size=1m"]}"#, r#"{"log-opt": ["gelf-x=***", "max-size=1m"]}"#),
            (r#"{"exec-opts": ["native.cgroupdriver=systemd"]}"#, r#"{"exec-opts": ["native.cgroupdriver=systemd"]}"#),
            (
                r#"{"default-ipc-mode": "private", "no-new-privileges": true}"#,
                r#"{"default-ipc-mode": "private", "no-new-privileges": true}"#,
            ),
            ("\u{feff}{\r\n \"token\": \"a\"\r\n}", "\u{feff}{\r\n \"token\": \"***\"\r\n}"),
            (" \n", " \n"),
        ];
        for (text, expected) in table {
            assert_eq!(mask(text), expected);
        }
    }

    #[test]
    fn what_is_not_json_shows_only_known_names() {
        let table = [
            (
                "{\n  // hunter2\n  'icc': true,\n  \"token\": \"hunter2\",\n}",
                "{\n  \"***\" \"***\"\n  'icc': true,\n  \"***\": \"***\",\n}",
            ),
            ("{\"log-opts\": {\"max-size\": \"hunter2}\n}", "{\"log-opts\": {\"max-size\": \"***\"\n}"),
            ("{\"labels\": hunter2 'hun\\'ter2' 12 “hunter2”}", "{\"labels\": \"***\" \"***\" \"***\" \"***\"}"),
            ("{\"token: \"hunter2\": 1}", "{\"***\"\"***\"\"***\"".trim_end()),
            ("hunter2", "\"***\""),
        ];
        for (text, expected) in table {
            assert_eq!(mask(text), expected, "{text}");
        }
        let twice = "{\"icc\": 1, \"icc\": \"hunter2\"}";
        assert_eq!(mask(twice), "{\"icc\": \"***\", \"icc\": \"***\"}");
    }

    #[test]
    fn lines_of_other_files_are_masked_and_stay_lines() {
        let table = [
            ("token = \"hunter2\"\n", "token =***\n"),
            ("Environment=API_KEY=hunter2 x\n", "Environment=API_KEY=***\n"),
            ("Environment=HTTP_PROXY=http://u:hunter2@p:1\r\n", "Environment=HTTP_PROXY=http://***@p:1\r\n"),
            ("token=\n", "token=\n"),
            ("uid = 5\n", "uid = 5\n"),
        ];
        for (line, expected) in table {
            assert_eq!(mask_text(line), expected);
        }
    }

    #[test]
    fn values_are_masked_by_where_they_stand() {
        let options = json!({"tag": "x", "gcp-meta": "hunter2"});
        assert_eq!(mask_value(&["log-opts"], &options), json!({"tag": "x", "gcp-meta": "***"}));
        assert_eq!(mask_value(&["log-opts", "gcp-meta"], &json!("hunter2")), json!("***"));
        assert_eq!(mask_value(&["labels"], &json!(["secret=hunter2", "a=b"])), json!(["secret=***", "a=b"]));
        assert_eq!(mask_value(&["icc"], &json!(false)), json!(false));
    }

    proptest! {
        #[test]
        fn lines_stay_and_secrets_go(text in "[\\[\\]{}:,\"'/@=a \\n]{0,40}") {
            let with_secret = text.replace('a', "hunter2");
            prop_assert_eq!(mask(&with_secret).matches('\n').count(), with_secret.matches('\n').count());
            if Document::parse(with_secret.as_bytes()).is_err() {
                prop_assert!(!mask(&with_secret).contains("hunter2"));
            }
        }
    }
}
