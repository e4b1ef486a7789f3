//! What dockerd would refuse, ignore or read otherwise than it looks in a daemon.json that is good JSON.
//!
//! Judged from the file alone, the way dockerd reads it: it checks the names of the top level and, because it flattens objects
//! that it does not know, one level below. Sentences name keys but show no values, which may be secrets.

mod values;

use serde_json::{Map, Value};

use super::daemon_json::Document;
use super::daemon_keys::{Ends, EngineVersion, JsonType, Key, Status, default_of, find_flag, lookup};
use super::json_text::printable;

/// The first engine that reads its file the way all later ones do.
const STRICT_READER: EngineVersion = EngineVersion::new(23, 0, 0);

/// Something about a key that its author should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// Line of the key, from 1.
    pub line: usize,
    /// Column of the key in characters, from 1.
    pub column: usize,
    /// The key, with its member after a dot where it is about one; empty when it is about the file.
    pub key: String,
    /// What sort of thing it is.
    pub kind: LintKind,
    /// A whole sentence.
    pub what: String,
    /// dockerd would not start with this file.
    pub fatal: bool,
}

/// What sort of thing a lint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LintKind {
    /// No engine has such a key.
    UnknownKey,
    /// Part of dockerd's own structure, yet no engine starts with it.
    RefusedKey,
    /// A younger engine brought it.
    TooNew,
    /// This engine, or an older one, dropped it.
    Removed,
    /// Accepted, but without effect in this engine.
    Ignored,
    /// A flag's name: accepted, but without effect.
    FlagName,
    /// A setting inside an object that dockerd does not know takes effect all the same.
    Wrapped,
    /// An object that dockerd does not know: accepted, but without effect.
    UnknownObject,
    /// `null`, which is not the default.
    Null,
    /// Not the type that dockerd reads.
    WrongType,
    /// The right type, but not a value that works.
    BadValue,
    /// dockerd starts with it, and then no container does.
    BreaksContainers,
    /// Every later reload fails.
    BreaksReload,
    /// Two keys that do not go together.
    Contradiction,
    /// TLS is off or weaker than the keys suggest.
    WeakTls,
    /// The form of the file: byte order mark, no content.
    Form,
}

/// Everything worth saying about a file, in the order of the file. What depends on an unknown engine version is left out.
pub fn lint(document: &Document, version: Option<EngineVersion>) -> Vec<Lint> {
    let mut linter = Linter { document, version, found: Vec::new() };
    linter.form();
    if let Some(members) = document.value().as_object() {
        for (name, value) in members {
            linter.name(name, value);
        }
        linter.values();
    }
    linter.found.sort_by_key(|lint| (lint.line, lint.column));
    linter.found
}

struct Linter<'d> {
    document: &'d Document,
    version: Option<EngineVersion>,
    found: Vec<Lint>,
}

impl Linter<'_> {
    fn form(&mut self) {
        if self.version.is_some_and(|version| version >= STRICT_READER) {
            return;
        }
        let fatal = self.version.is_some();
        if self.document.has_bom() {
            self.add(&[], LintKind::Form, fatal, "The file begins with a byte order mark, which engines before 23.0 refuse.");
        }
        if self.document.is_blank() {
            self.add(&[], LintKind::Form, fatal, "The file is empty, which engines before 23.0 refuse; write {} into it.");
        }
    }

    /// Is this a key, and does this engine have it?
    fn name(&mut self, name: &str, value: &Value) {
        let shown = printable(name);
        match (lookup(name), value) {
            (Some(key), _) if key.status == Status::Effective => {
                if self.engine_heeds(key, value) {
                    self.value(key, name, value);
                }
            }
            (Some(key), _) if key.status == Status::Refused => {
                let what = format!("`{shown}` stops dockerd: no engine takes it as a key.");
                self.add(&[name], LintKind::RefusedKey, true, what);
            }
            (_, Value::Object(members)) => {
                self.wrapped(name, members);
                // Behind the check of names dockerd reads keys in any case, so a type may be wrong all the same.
                if let Some(key) = meant(name).filter(|key| key.name.eq_ignore_ascii_case(name)) {
                    self.value(key, name, value);
                }
            }
            _ if self.is_flag(name) => {
                let instead = find_flag(name).filter(|(key, _)| key.status == Status::Effective);
                let instead = instead.map(|(key, _)| format!("; the key is `{}`", key_path(key, name))).unwrap_or_default();
                let what = format!("`{shown}` is the name of a flag: dockerd accepts it here and ignores it{instead}.");
                self.add(&[name], LintKind::FlagName, false, what);
            }
            _ => {
                let what = format!("`{shown}` is no key of daemon.json, and dockerd refuses to start{}.", hint(name));
                self.add(&[name], LintKind::UnknownKey, true, what);
            }
        }
    }

    /// Whether this engine reads the value at all; says so if not.
    fn engine_heeds(&mut self, key: &Key, value: &Value) -> bool {
        let Some(version) = self.version else { return true };
        let (name, path) = (key.name, [key.name]);
        if let Some(since) = key.since.filter(|since| *since > version) {
            // An object that dockerd does not know is looked into instead of being refused.
            let fatal = !value.is_object();
            let what = format!("`{name}` came with engine {since}; engine {version} does not know it{}.", refusal(fatal));
            self.add(&path, LintKind::TooNew, fatal, what);
            if let Some(members) = value.as_object().filter(|members| !members.is_empty()) {
                self.wrapped(name, members);
            }
            return false;
        }
        match key.ends {
            Ends::Refused(end) if end <= version => {
                let fatal = !key.known_to(version) || !is_empty(value);
                let what = format!("`{name}` was dropped in engine {end}{}.", refusal(fatal));
                self.add(&path, LintKind::Removed, fatal, what);
                false
            }
            Ends::Ignored(end) if end <= version => {
                self.add(&path, LintKind::Ignored, false, format!("`{name}` does nothing since engine {end}."));
                false
            }
            Ends::Not | Ends::Refused(_) | Ends::Ignored(_) => true,
        }
    }

    /// dockerd takes the members of an object that it does not know for keys of the top level, but sets only booleans from there.
    fn wrapped(&mut self, name: &str, members: &Map<String, Value>) {
        let shown = printable(name);
        if members.is_empty() {
            let what = format!("`{shown}` is no key of daemon.json; the empty object does nothing{}.", hint(name));
            self.add(&[name], LintKind::UnknownObject, false, what);
        }
        for member in members.keys() {
            let path = [name, member.as_str()];
            let inner = printable(member);
            let key = lookup(member).filter(|key| key.status == Status::Effective && self.has(key));
            if key.is_some_and(|key| key.json_type == JsonType::Bool) {
                let what = format!(
                    "`{inner}` inside `{shown}` takes effect: dockerd does not know `{shown}` and reads its members as keys of the \
                     top level; move it there."
                );
                self.add(&path, LintKind::Wrapped, false, what);
            } else if key.is_some() || self.is_flag(member) {
                let what = format!("`{inner}` inside `{shown}` does nothing: dockerd does not know `{shown}`{}.", hint(name));
                self.add(&path, LintKind::UnknownObject, false, what);
            } else {
                let what = format!(
                    "`{inner}` inside `{shown}` stops dockerd: it does not know `{shown}`, reads its members as keys of the top \
                     level, and `{inner}` is none{}.",
                    hint(name)
                );
                self.add(&path, LintKind::UnknownKey, true, what);
            }
        }
    }

    /// Has the value the type that dockerd reads? `name` is how the file spells the key.
    fn value(&mut self, key: &Key, name: &str, value: &Value) {
        if value.is_null() {
            return self.null(key);
        }
        match key.json_type {
            JsonType::Bool => self.expect(&[name], value, Value::is_boolean, "true or false"),
            JsonType::Int => self.expect(&[name], value, Value::is_i64, "an integer without fraction or exponent"),
            JsonType::Text => self.expect(&[name], value, Value::is_string, "a text in double quotes"),
            JsonType::Texts => self.expect(&[name], value, is_list_of_texts, "a list of texts"),
            JsonType::Objects => self.expect(&[name], value, is_list_of_objects, "a list of objects"),
            JsonType::TextsByName
            | JsonType::BoolsByName
            | JsonType::TextsByNameByName
            | JsonType::Ulimits
            | JsonType::ObjectsByName
            | JsonType::Object => self.expect(&[name], value, Value::is_object, "an object"),
        }
        for (member, value) in value.as_object().into_iter().flatten() {
            self.member(key, &[name, member], value);
        }
    }

    fn null(&mut self, key: &Key) {
        let name = key.name;
        let fatal = matches!(name, "default-shm-size" | "proxies");
        let default_is_true = default_of(name, self.version) == Some(Value::Bool(true));
        let meaning = match key.json_type {
            _ if fatal => "refuses to start",
            JsonType::Bool if default_is_true => "takes that as false, although the default is true",
            JsonType::Bool => "takes that as false",
            _ => "counts it as set, but without a value",
        };
        let what = format!("`{name}` is null, and dockerd {meaning}; delete the key to get the default.");
        self.add(&[name], LintKind::Null, fatal, what);
    }

    fn member(&mut self, key: &Key, path: &[&str], value: &Value) {
        let (fits, wanted): (fn(&Value) -> bool, _) = match key.json_type {
            JsonType::TextsByName => (Value::is_string, "a text in double quotes"),
            JsonType::Object if key.name == "proxies" => (Value::is_string, "a text in double quotes"),
            JsonType::BoolsByName => (Value::is_boolean, "true or false"),
            JsonType::TextsByNameByName => (is_texts_by_name, "an object of texts"),
            JsonType::Ulimits | JsonType::ObjectsByName => (Value::is_object, "an object"),
            _ => return,
        };
        if value.is_null() {
            let shown = printable(&path.join("."));
            let what = format!("`{shown}` is null, which dockerd takes for an empty value; delete it to get the default.");
            return self.add(path, LintKind::Null, false, what);
        }
        self.expect(path, value, fits, wanted);
    }

    fn expect(&mut self, path: &[&str], value: &Value, fits: fn(&Value) -> bool, wanted: &str) {
        if !fits(value) {
            let shown = printable(&path.join("."));
            let what = format!("`{shown}` is {}; dockerd expects {wanted} and refuses to start.", kind_of(value));
            self.add(path, LintKind::WrongType, true, what);
        }
    }

    /// A text that is set and not empty.
    fn text(&self, key: &str) -> Option<&str> {
        self.document.get(&[key])?.as_str().filter(|text| !text.is_empty())
    }

    fn is_on(&self, key: &str) -> bool {
        self.document.get(&[key]) == Some(&Value::Bool(true))
    }

    /// Set to false, or to null, which comes to the same.
    fn is_off(&self, key: &str) -> bool {
        matches!(self.document.get(&[key]), Some(Value::Bool(false) | Value::Null))
    }

    fn before(&self, version: EngineVersion) -> bool {
        self.version.is_some_and(|own| own < version)
    }

    fn since(&self, version: EngineVersion) -> bool {
        self.version.is_some_and(|own| own >= version)
    }

    /// Whether this engine has the key; an unknown one may.
    fn has(&self, key: &Key) -> bool {
        self.version.is_none_or(|version| key.known_to(version))
    }

    /// Whether this is the long name of a flag of this engine.
    fn is_flag(&self, name: &str) -> bool {
        find_flag(name).is_some_and(|(key, flag)| {
            let came = flag.since.is_none_or(|since| self.version.is_none_or(|version| since <= version));
            flag.name == name && came && self.has(key)
        })
    }

    fn add(&mut self, path: &[&str], kind: LintKind, fatal: bool, what: impl Into<String>) {
        let (line, column) = self.document.position(path).unwrap_or((1, 1));
        self.found.push(Lint { line, column, key: printable(&path.join(".")), kind, what: what.into(), fatal });
    }
}

/// Where a flag's value belongs: the proxy flags are members of one key.
fn key_path(key: &Key, flag: &str) -> String {
    if key.json_type == JsonType::Object && key.name != flag { format!("{}.{flag}", key.name) } else { key.name.to_owned() }
}

fn refusal(fatal: bool) -> &'static str {
    if fatal { ", and dockerd refuses to start" } else { "" }
}

/// The key that was probably meant: the same but for case and `_`.
fn meant(name: &str) -> Option<&'static Key> {
    let plain = name.to_ascii_lowercase().replace('_', "-");
    lookup(&plain).filter(|key| key.status == Status::Effective && key.name != name)
}

fn hint(name: &str) -> String {
    meant(name).map(|key| format!("; the key is `{}`", key.name)).unwrap_or_default()
}

/// What dockerd takes for "not set" in a key that it has dropped.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(elements) => elements.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|elements| elements.iter().all(|element| element.is_string() || element.is_null()))
}

fn is_list_of_objects(value: &Value) -> bool {
    value.as_array().is_some_and(|elements| elements.iter().all(|element| element.is_object() || element.is_null()))
}

fn is_texts_by_name(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.values().all(|member| member.is_string() || member.is_null()))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number with fraction or exponent",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
