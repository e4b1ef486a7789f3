//! Variables: the values that a policy gives, declared in `baselines/catalogue/variables.toml`, and how they get into a control.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::expect::plain;
use crate::formats::size;

/// The values of the variables that are set, by name.
pub type Values = BTreeMap<String, Value>;

/// A value that a policy gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name; dots make tables: `log.max_size` is `max_size` under `[vars.log]`.
    pub name: String,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What a text must look like.
    #[serde(default)]
    pub form: Option<Form>,
    /// Its value where no baseline sets one; without it the variable is not set, and harden does not guess.
    #[serde(default)]
    pub default: Option<Value>,
    /// What it is for, one sentence.
    pub about: String,
}

/// The type of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A text.
    String,
    /// A whole number.
    Int,
    /// `true` or `false`.
    Bool,
    /// A list of texts.
    List,
    /// A table.
    Table,
    /// A list of tables.
    Tables,
}

/// What a text must look like, so that it cannot break the file that it ends up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Letters, digits and `._+@:-`: a group, an audit key, a name.
    Word,
    /// A whole number above zero.
    Number,
    /// A number of bytes as dockerd reads it, like `10m`.
    Size,
    /// A number above zero, with a fraction at most.
    Decimal,
    /// An absolute path.
    Path,
    /// One of dockerd's log levels.
    LogLevel,
    /// How bad a scanner calls a finding: `low` to `critical`.
    ScanSeverity,
    /// How bad a mistake in a Dockerfile is: `info` to `error`.
    LintLevel,
}

impl Variable {
    /// What its value must be, in words.
    pub fn expected(&self) -> &'static str {
        self.form.map_or(self.kind.expected(), Form::expected)
    }

    /// Whether the value is one that this variable can take; else what was expected.
    pub fn accept(&self, value: &Value) -> Result<(), String> {
        let fits = match self.kind {
            Kind::String => value.is_string(),
            Kind::Int => value.is_i64(),
            Kind::Bool => value.is_boolean(),
            Kind::List => value.as_array().is_some_and(|elements| elements.iter().all(Value::is_string)),
            Kind::Table => value.is_object(),
            Kind::Tables => value.as_array().is_some_and(|elements| elements.iter().all(Value::is_object)),
        };
        if !fits {
            return Err(self.kind.expected().into());
        }
        match (self.form, value) {
            (Some(form), Value::String(text)) if !form.fits(text) => Err(form.expected().into()),
            _ => Ok(()),
        }
    }
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Kind::String => "a text in quotes",
            Kind::Int => "a whole number",
            Kind::Bool => "true or false",
            Kind::List => "a list of texts, like [\"one\", \"two\"]",
            Kind::Table => "a table",
            Kind::Tables => "a list of tables",
        }
    }
}

impl Form {
    fn fits(self, text: &str) -> bool {
        match self {
            Form::Word => is_word(text),
            Form::Number => text.parse::<u32>().is_ok_and(|number| number > 0 && number.to_string() == text),
            Form::Size => size::is_size(text),
            Form::Decimal => is_decimal(text),
            Form::Path => text.starts_with('/') && !text.contains(char::is_control),
            Form::LogLevel => ["panic", "fatal", "error", "warn", "info", "debug", "trace"].contains(&text),
            Form::ScanSeverity => ["low", "medium", "high", "critical"].contains(&text),
            Form::LintLevel => ["info", "warning", "error"].contains(&text),
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Form::Word => "one word of letters, digits and ._+@:-",
            Form::Number => "a whole number above zero in quotes, like \"3\"",
            Form::Size => "a number of bytes like \"10m\"",
            Form::Decimal => "a number above zero in quotes, like \"1.5\"",
            Form::Path => "an absolute path",
            Form::LogLevel => "one of panic, fatal, error, warn, info, debug, trace",
            Form::ScanSeverity => "one of low, medium, high, critical",
            Form::LintLevel => "one of info, warning, error",
        }
    }
}

/// Whether a text can stand in a unit file, an audit rule or a command line as one word.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "._+@:-".contains(letter))
}

fn is_decimal(text: &str) -> bool {
    let digits = text.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    digits && text.starts_with(|letter: char| letter.is_ascii_digit()) && text.parse::<f64>().is_ok_and(|number| number > 0.0)
}

/// The names in the `${…}` of a text.
pub(super) fn references(text: &str) -> Vec<&str> {
    let rest = text.split("${").skip(1);
    rest.filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// Every reference in the texts of a value.
pub(super) fn all_references(value: &Value) -> BTreeSet<String> {
    match value {
        Value::String(text) => references(text).into_iter().map(String::from).collect(),
        Value::Array(elements) => elements.iter().flat_map(all_references).collect(),
        Value::Object(members) => members.values().flat_map(all_references).collect(),
        _ => BTreeSet::new(),
    }
}

/// Replaces `${name}` in every text of a value and returns the names that are not set.
///
/// A text that is nothing but a reference becomes the variable's value; in a list, a list's elements. A reference that is not set
/// stays as it is written, so that no value of a host ever equals it; only among alternatives, which allow more, it drops out.
pub(super) fn fill(value: &mut Value, values: &Values) -> BTreeSet<String> {
    let mut unset = BTreeSet::new();
    fill_in(value, values, false, &mut unset);
    unset
}

fn fill_in(value: &mut Value, values: &Values, alternatives: bool, unset: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Some(filled) = fill_text(text, values, unset) {
                *value = filled;
            }
        }
        Value::Array(elements) => {
            let mut filled = Vec::new();
            for mut element in std::mem::take(elements) {
                let written = element.is_string();
                let mut missing = BTreeSet::new();
                fill_in(&mut element, values, false, &mut missing);
                match element {
                    _ if alternatives && !missing.is_empty() => continue,
                    Value::Array(list) if written => filled.extend(list),
                    element => filled.push(element),
                }
                unset.extend(missing);
            }
            *elements = filled;
        }
        Value::Object(members) => {
            for (name, member) in members {
                let alternatives = ["one_of", "except", "group_one_of"].contains(&name.as_str());
                fill_in(member, values, alternatives, unset);
            }
        }
        _ => {}
    }
}

/// `None` where nothing has to be replaced or something is not set.
fn fill_text(text: &str, values: &Values, unset: &mut BTreeSet<String>) -> Option<Value> {
    let names = references(text);
    let missing: Vec<_> = names.iter().filter(|name| !values.contains_key(**name)).collect();
    unset.extend(missing.iter().map(|name| name.to_string()));
    if names.is_empty() || !missing.is_empty() {
        return None;
    }
    if let [name] = names.as_slice()
        && text.len() == name.len() + "${}".len()
    {
        return values.get(*name).cloned();
    }
    // One pass from the left: a value that itself holds `${` is not read again.
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${")
        && let Some((name, after)) = after.split_once('}')
    {
        filled.push_str(before);
        filled.push_str(&values.get(name).map(plain).unwrap_or_default());
        rest = after;
    }
    Some(Value::String(filled + rest))
}

/// Replaces `${env:NAME}` and `${env:NAME:-default}` in the texts of a value that a baseline gives to a variable.
pub(super) fn fill_from_env(value: &mut Value, env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("${") => *text = env_text(text, env)?,
        Value::Array(elements) => elements.iter_mut().try_for_each(|element| fill_from_env(element, env))?,
        Value::Object(members) => members.values_mut().try_for_each(|member| fill_from_env(member, env))?,
        _ => {}
    }
    Ok(())
}

fn env_text(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let reference = after.split_once('}').and_then(|(inside, after)| Some((inside.strip_prefix("env:")?, after)));
        let Some((inside, after)) = reference else {
            return Err("only ${env:NAME} and ${env:NAME:-default} may stand in the value of a variable".into());
        };
        let (name, default) = inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
        let found = env(name).filter(|found| !found.is_empty() || default.is_none());
        let found = found.or_else(|| default.map(String::from));
        filled.push_str(before);
        filled.push_str(&found.ok_or_else(|| format!("the environment variable {name} is not set, and there is no default"))?);
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        let json = json!({ "group": "ops", "files": 3, "names": ["a", "b"], "none": [], "odd": "${group}" });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn references_are_filled() {
        for (written, filled, unset) in [
            (json!("plain"), json!("plain"), vec![]),
            (json!("${group}"), json!("ops"), vec![]),
            (json!("${files}"), json!(3), vec![]),
            (json!("g=${group} f=${files}"), json!("g=ops f=3"), vec![]),
            (json!("${odd}-${odd}"), json!("${group}-${group}"), vec![]),
            (json!("${missing}"), json!("${missing}"), vec!["missing"]),
            (json!("${group} ${missing}"), json!("${group} ${missing}"), vec!["missing"]),
            (json!("${unclosed"), json!("${unclosed"), vec![]),
            (json!(["x", "${names}", "y"]), json!(["x", "a", "b", "y"]), vec![]),
            (json!(["x", "${none}"]), json!(["x"]), vec![]),
            (json!([["x"], "y"]), json!([["x"], "y"]), vec![]),
            (json!(["x", "${missing}"]), json!(["x", "${missing}"]), vec!["missing"]),
            (json!({"one_of": ["x", "${missing}"]}), json!({"one_of": ["x"]}), vec![]),
            (json!({"is": {"deep": "${group}", "n": 1}}), json!({"is": {"deep": "ops", "n": 1}}), vec![]),
        ] {
            let mut value = written.clone();
            let missing = fill(&mut value, &values());
            assert_eq!(
                (value, missing.into_iter().collect::<Vec<_>>()),
                (filled, unset.iter().map(|s| s.to_string()).collect()),
                "{written}"
            );
        }
    }

    #[test]
    fn forms() {
        for (form, good, bad) in [
            (Form::Word, vec!["docker", "a-b_c.d@e:f+1"], vec!["", "a b", "a\nb", "$x", "a\"b", "ü"]),
            (Form::Number, vec!["1", "30"], vec!["", "0", "-1", "03", "3.5", "x"]),
            (
                Form::Size,
                vec!["10m", "1", "1.5g", "10MB", "10MiB", "1k"],
                vec!["", "m", "10x", "0", "0m", "-1", "1e3", "inf", "10 m", ".5g", "1..5"],
            ),
            (Form::Path, vec!["/etc/x.json"], vec!["", "x.json", "/a\nb"]),
            (Form::Decimal, vec!["1", "0.5", "1.25"], vec!["", "0", "-1", "1,5", "1e3", "inf", ".5", "1.2.3"]),
            (Form::LogLevel, vec!["info"], vec!["", "INFO", "warning"]),
        ] {
            assert!(good.iter().all(|text| form.fits(text)), "{form:?}: {good:?}");
            for text in bad {
                assert!(!form.fits(text), "{form:?}: {text:?}");
            }
        }
    }

    #[test]
    fn types() {
        let mut variable = Variable { name: "v".into(), kind: Kind::String, form: None, default: None, about: String::new() };
        let samples = [json!("x"), json!(1), json!(true), json!(["x"]), json!({"x": 1}), json!([{"x": 1}])];
        for (index, kind) in
            [Kind::String, Kind::Int, Kind::Bool, Kind::List, Kind::Table, Kind::Tables].into_iter().enumerate()
        {
            variable.kind = kind;
            for (other, sample) in samples.iter().enumerate() {
                assert_eq!(variable.accept(sample).is_ok(), index == other, "{kind:?} {sample}");
            }
        }
        variable.kind = Kind::List;
        assert_eq!(variable.accept(&json!(["x", 1])).unwrap_err(), "a list of texts, like [\"one\", \"two\"]");
        variable.kind = Kind::String;
        variable.form = Some(Form::Size);
        assert_eq!(variable.accept(&json!("10x")).unwrap_err(), "a number of bytes like \"10m\"");
    }

    #[test]
    fn environment() {
        let env = |name: &str| match name {
            "KEY" => Some("/k.pem".to_string()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let only = "only ${env:NAME} and ${env:NAME:-default} may stand in the value of a variable";
        for (written, expected) in [
            (json!("${env:KEY}"), Ok(json!("/k.pem"))),
            (json!("a${env:KEY}b${env:NO:-c}d"), Ok(json!("a/k.pembcd"))),
            (json!(["${env:NO:-}"]), Ok(json!([""]))),
            (json!({"x": "${env:EMPTY:-full}"}), Ok(json!({"x": "full"}))),
            (json!("${env:EMPTY}"), Ok(json!(""))),
            (json!("${env:NO}"), Err("the environment variable NO is not set, and there is no default")),
            (json!("${docker_socket_group}"), Err(only)),
            (json!("${env:KEY"), Err(only)),
        ] {
            let mut value = written.clone();
            let result = fill_from_env(&mut value, &env).map(|()| value);
            assert_eq!(result, expected.map_err(String::from), "{written}");
        }
    }
}
