//! What a value must be: `is`, `one_of`, `at_most` (a mode mask), `at_least`, `includes`, `excludes`, `absent`.
//!
//! One small closed set serves every kind, so a row reads the same whatever it is about, and every expectation has a text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::baseline::control::Mode;

/// What a value must be. All that are given must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Exactly this value; a text may hold `${variable}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is: Option<Value>,
    /// One of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
    /// No permission bit beyond this mask; the value is an octal text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Mode>,
    /// A number (or a text that is one) not below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<i64>,
    /// A list that has all of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub includes: Option<Vec<String>>,
    /// A list without any element that matches one of these patterns (`*`, `?`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excludes: Option<Vec<String>>,
    /// Elements that `excludes` lets pass; `${variable}` naming a list is replaced by its elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub except: Option<Vec<String>>,
    /// An object that has all of these members, among others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contains: Option<Value>,
    /// `true`: set to something, whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// `true`: not set at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

impl Expect {
    /// Whether a value is as wanted; `None` stands for "not set and without a default".
    pub fn holds(&self, value: Option<&Value>) -> bool {
        let Some(value) = value else {
            // A list that is not set excludes everything; any other expectation needs a value.
            return self.absent == Some(true)
                || (self.excludes.is_some() && self.is.is_none() && self.includes.is_none() && self.present.is_none())
                || self.contains.as_ref().is_some_and(|wanted| wanted.as_object().is_some_and(serde_json::Map::is_empty));
        };
        if self.absent == Some(true) {
            return false;
        }
        self.is.as_ref().is_none_or(|wanted| same(wanted, value))
            && self.one_of.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| same(wanted, value)))
            && self.at_most.is_none_or(|mask| octal(value).is_some_and(|bits| bits & !mask.0 == 0))
            && self.at_least.is_none_or(|least| number(value).is_some_and(|number| number >= least))
            && self.includes.as_ref().is_none_or(|all| all.iter().all(|one| elements(value).contains(&one.as_str())))
            && self.excludes.is_none() | self.offending(value).is_empty()
            && self.contains.as_ref().is_none_or(|wanted| has_members(value, wanted))
    }

    /// The value with the members of `contains`, where that is what is wanted.
    pub fn merged(&self, value: Option<&Value>) -> Option<Value> {
        let wanted = self.contains.as_ref()?.as_object()?;
        let mut members = value.and_then(Value::as_object).cloned().unwrap_or_default();
        members.extend(wanted.clone());
        Some(Value::Object(members))
    }

    /// The elements of a list that `excludes` does not allow.
    pub fn offending<'v>(&self, value: &'v Value) -> Vec<&'v str> {
        let matches = |patterns: &Option<Vec<String>>, text: &str| {
            let fits = |pattern: &String| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(text));
            patterns.as_ref().is_some_and(|patterns| patterns.iter().any(fits))
        };
        let bad = |text: &&str| matches(&self.excludes, text) && !matches(&self.except, text);
        elements(value).into_iter().filter(bad).collect()
    }
}

/// The wish in words, for reports: "true", "one of json-file, local", "0660 or stricter".
impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        let list = |values: &[String]| values.join(", ");
        if let Some(value) = &self.is {
            parts.push(plain(value));
        }
        if let Some(values) = &self.one_of {
            parts.push(format!("one of {}", list(&values.iter().map(plain).collect::<Vec<_>>())));
        }
        if let Some(mask) = self.at_most {
            parts.push(format!("{:04o} or stricter", mask.0));
        }
        if let Some(least) = self.at_least {
            parts.push(format!("at least {least}"));
        }
        if let Some(values) = &self.includes {
            parts.push(format!("with {}", list(values)));
        }
        if let Some(values) = &self.excludes {
            let except = self.except.as_deref().filter(|values| !values.is_empty());
            let except = except.map(|values| format!(" except {}", list(values))).unwrap_or_default();
            parts.push(match values.as_slice() {
                [all] if all == "*" => format!("empty{except}"),
                values => format!("without {}{except}", list(values)),
            });
        }
        if let Some(wanted) = &self.contains {
            parts.push(format!("with {}", plain(wanted)));
        }
        if self.present == Some(true) {
            parts.push("set".into());
        }
        if self.absent == Some(true) {
            parts.push("not set".into());
        }
        f.write_str(&with_placeholders(&parts.join(", ")))
    }
}

/// References to variables that nobody has set, as the placeholders that people know: `<log.driver>`.
pub fn with_placeholders(text: &str) -> String {
    let mut pieces = text.split("${");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| match piece.split_once('}') {
        Some((name, rest)) => format!("{text}<{name}>{rest}"),
        None => format!("{text}${{{piece}"),
    })
}

/// A JSON value as a person writes it: texts without quotes, an empty text as `""`.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Equal as settings: flags give texts where the file has numbers.
fn same(wanted: &Value, value: &Value) -> bool {
    wanted == value || (number(wanted).is_some() && number(wanted) == number(value) && !wanted.is_boolean())
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn octal(value: &Value) -> Option<u32> {
    u32::from_str_radix(value.as_str()?, 8).ok()
}

fn has_members(value: &Value, wanted: &Value) -> bool {
    let wanted = wanted.as_object().into_iter().flatten();
    let mut wanted = wanted.map(|(name, wanted)| value.get(name) == Some(wanted));
    wanted.all(|has| has)
}

fn elements(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect(),
        Value::String(text) => vec![text],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_placeholders() {
        for (text, shown) in [("with ${a.b}, set", "with <a.b>, set"), ("${a} ${b", "<a> ${b"), ("$x}", "$x}"), ("", "")] {
            assert_eq!(with_placeholders(text), shown);
        }
    }
}
