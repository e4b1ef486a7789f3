//! `$name` and `${name…}` in arguments.

use std::collections::BTreeMap;

/// References within references are followed this deep.
const DEEPEST: usize = 16;
/// A reference is not longer than this: what never closes must not be read again from each of its braces.
const LONGEST: usize = 512;

/// The values of variables; `None` where a variable is declared and its value is not known, e.g. a build argument without a default.
pub type Scope = BTreeMap<String, Option<String>>;

/// A text with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expanded {
    /// The text; what is not known stays as it is written.
    pub text: String,
    /// Variables whose value only the build knows.
    pub unknown: Vec<String>,
}

/// Replaces variables. One that nobody declared is empty, as in the builder.
pub fn expand(text: &str, scope: &Scope) -> Expanded {
    let mut expanded = Expanded::default();
    expand_in(text, scope, DEEPEST, &mut expanded);
    expanded
}

fn expand_in(text: &str, scope: &Scope, depth: usize, out: &mut Expanded) {
    let mut rest = text;
    while let Some(at) = rest.find(['$', '\\']) {
        out.text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix('\\') {
            let literal = after.starts_with('$');
            out.text.push(if literal { '$' } else { '\\' });
            rest = if literal { &after[1..] } else { after };
            continue;
        }
        let after = &rest[1..];
        let (written, name, modifier, next) = match after.strip_prefix('{').and_then(braced) {
            Some((inside, next)) => {
                let length = name_length(inside);
                (&rest[..rest.len() - next.len()], &inside[..length], &inside[length..], next)
            }
            None => {
                let length = name_length(after);
                (&rest[..=length], &after[..length], "", &after[length..])
            }
        };
        rest = next;
        if name.is_empty() || depth == 0 {
            out.text.push_str(written);
            continue;
        }
        replace(written, name, modifier, scope, depth, out);
    }
    out.text.push_str(rest);
}

fn replace(written: &str, name: &str, modifier: &str, scope: &Scope, depth: usize, out: &mut Expanded) {
    let value = match scope.get(name) {
        Some(Some(value)) => Some(value.as_str()),
        // Its default is what a build without the argument takes.
        Some(None) if modifier.starts_with(":-") || modifier.starts_with('-') => None,
        Some(None) => {
            out.unknown.push(name.to_owned());
            return out.text.push_str(written);
        }
        None => None,
    };
    let set = value.filter(|value| !value.is_empty());
    match (modifier.get(..2), modifier.get(..1)) {
        (Some(":-"), _) => match set {
            Some(value) => out.text.push_str(value),
            None => expand_in(&modifier[2..], scope, depth - 1, out),
        },
        (Some(":+"), _) if set.is_some() => expand_in(&modifier[2..], scope, depth - 1, out),
        (_, Some("-")) => match value {
            Some(value) => out.text.push_str(value),
            None => expand_in(&modifier[1..], scope, depth - 1, out),
        },
        (_, Some("+")) if value.is_some() => expand_in(&modifier[1..], scope, depth - 1, out),
        (Some(":+"), _) | (_, Some("+")) => {}
        (_, None) => out.text.push_str(value.unwrap_or_default()),
        // `${x#y}` and the like depend on rules of their own.
        _ => {
            out.unknown.push(name.to_owned());
            out.text.push_str(written);
        }
    }
}

/// What stands within the braces, and what follows them.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_usize;
    for (at, byte) in text.bytes().take(LONGEST).enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}
