//! What must be true of a catalogue row beyond its types.

use std::collections::BTreeSet;

use super::control::{ContainerProperty, ContainerWant, Control, HostCheck, KeyFix, KeyWant, ParameterWant, Want};
use super::variable::{all_references, is_word};
use crate::expect::Expect;
use crate::formats::sysctl::{is_safe, path_of};

/// Every mistake of a row that its types let pass.
pub(super) fn mistakes(control: &Control) -> Vec<String> {
    let mut found = Vec::new();
    let id = &control.id;
    let area = control.area.name();
    let lower = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    if !id.starts_with(&format!("{area}-")) || !id.chars().all(lower) {
        found.push(format!("the id `{id}` must be lower case with hyphens and begin with its area, `{area}-`"));
    }
    for (field, text) in [("title", &control.title), ("why", &control.why)] {
        if text.trim().is_empty() {
            found.push(format!("`{field}` of `{id}` is empty"));
        }
    }
    if control.title.ends_with('.') {
        found.push(format!("the title of `{id}` ends in a full stop"));
    }
    if control.level.is_some_and(|level| !(1..=2).contains(&level)) {
        found.push(format!("the level of `{id}` must be 1 or 2"));
    }
    found.extend(want_mistakes(&control.want).into_iter().map(|what| format!("`{id}`: {what}")));
    found
}

fn want_mistakes(want: &Want) -> Vec<String> {
    match want {
        Want::Daemon(want) if want.key.is_empty() => vec!["it names no key".into()],
        Want::Daemon(want) => want.key.iter().flat_map(key_mistakes).collect(),
        Want::File(want) if want.paths.is_empty() => vec!["it names no path".into()],
        Want::File(want)
            if want.mode_max.is_none() && want.owner.is_none() && want.group.is_none() && want.group_one_of.is_empty() =>
        {
            vec!["it asks for neither mode_max nor owner nor group".into()]
        }
        Want::Socket(want) if want.mode_max.is_none() && want.owner.is_none() && want.group_one_of.is_empty() => {
            vec!["it asks for neither mode_max nor owner nor group_one_of".into()]
        }
        Want::Unit(want) if want.setting.is_empty() => vec!["it names no setting".into()],
        Want::Unit(want) => want.setting.iter().flat_map(|setting| expect_mistake(&setting.expect, &setting.name)).collect(),
        Want::Watch(want) if want.paths.is_empty() => vec!["it names no path".into()],
        Want::Watch(want) => perms_mistake(&want.perms).into_iter().collect(),
        Want::DaemonConfig(_) | Want::File(_) | Want::Socket(_) | Want::AuditState(_) => Vec::new(),
        Want::Sysctl(want) if want.key.is_empty() => vec!["it names no parameter".into()],
        Want::Sysctl(want) => want.key.iter().flat_map(parameter_mistakes).collect(),
        Want::Image(want) if want.given() != want.rule.takes() => {
            vec![format!("its rule takes {:?}, the row gives {:?}", want.rule.takes(), want.given())]
        }
        Want::Host(want) if want.check.is_empty() => vec!["it checks nothing".into()],
        Want::Host(want) => want.check.iter().flat_map(check_mistakes).collect(),
        Want::Attest(want) if want.given.unset().is_none_or(|name| !name.starts_with("attest.")) => {
            vec!["`given` must be a variable `${attest.NAME}`".into()]
        }
        Want::Container(want) => container_mistakes(want),
        Want::Image(_) | Want::Swarm(_) | Want::Attest(_) | Want::Rootless(_) => Vec::new(),
    }
}

fn container_mistakes(want: &ContainerWant) -> Vec<String> {
    let nothing = want.expect == Expect::default() && want.no_more_than.is_none();
    let all = matches!(want.property, ContainerProperty::Stopped | ContainerProperty::StoppedDays);
    let mut found = Vec::new();
    if nothing {
        found.push("it expects nothing".into());
    }
    if want.wanted.trim().is_empty() {
        found.push("`wanted` is empty".into());
    }
    if all && (want.no_more_than.is_none() || want.expect != Expect::default()) {
        found.push("a count of containers has a bound, no_more_than, and nothing else".into());
    }
    found
}

fn key_mistakes(key: &KeyWant) -> Vec<String> {
    let mut found: Vec<String> = expect_mistake(&key.expect, &key.name).into_iter().collect();
    match &key.fix {
        KeyFix::Expected if key.expect.is.is_none() => {
            found.push(format!("`{}` has no fix, and its expectation names no single value to set", key.name));
        }
        KeyFix::RemoveElements if key.expect.excludes.is_none() => {
            found.push(format!("`{}` is to lose elements, but its expectation excludes none", key.name));
        }
        KeyFix::Remove if !removal_complies(key) => {
            found.push(format!("`{}` is to be removed, but nothing says that its default complies", key.name));
        }
        KeyFix::Set(value) if value.is_null() => {
            found.push(format!("`{}` is to be set to null, which dockerd misreads", key.name))
        }
        KeyFix::Merge if key.expect.contains.is_none() => {
            found.push(format!("`{}` is to get members, but its expectation names none", key.name));
        }
        KeyFix::Expected | KeyFix::RemoveElements | KeyFix::Remove | KeyFix::Merge | KeyFix::Set(_) | KeyFix::Manual(_) => {}
    }
    found
}

fn parameter_mistakes(key: &ParameterWant) -> Vec<String> {
    let all = key.names.join(", ");
    let mut found: Vec<String> = expect_mistake(&key.expect, &all).into_iter().collect();
    let good = |name: &String| is_safe(&path_of(name)) && !name.contains(['*', '?', '[', '=', ' ']);
    found.extend(key.names.iter().filter(|name| !good(name)).map(|name| format!("`{name}` is no kernel parameter")));
    let fits = |set: &String| key.expect.holds(Some(&serde_json::Value::String(set.clone())));
    match (&key.set, &key.manual) {
        (Some(set), None) if !fits(set) => found.push(format!("`{all}` is to be set to {set}, which is not {}", key.expect)),
        (Some(_), Some(_)) | (None, None) => found.push(format!("`{all}` needs one of `set` and `manual`")),
        (Some(_), None) | (None, Some(_)) => {}
    }
    if key.interfaces && key.names.iter().any(|name| !name.contains(".conf.all.")) {
        found.push(format!("`{all}`: `interfaces` goes with parameters of all interfaces only (….conf.all.…)"));
    }
    found
}

fn check_mistakes(check: &HostCheck) -> Vec<String> {
    let name = format!("{:?}", check.property);
    let mut found: Vec<String> = check.expect.iter().filter_map(|expect| expect_mistake(expect, &name)).collect();
    if check.expect.is_none() && check.allow.is_none() && check.at_least.is_none() && check.at_most.is_none() {
        found.push(format!("{name} is to be anything"));
    }
    found
}

/// A key may be deleted where that is what is wanted, or where its default (true for `iptables`) is known to comply.
fn removal_complies(key: &KeyWant) -> bool {
    key.default_complies || key.expect.absent == Some(true) || key.expect.is.is_some()
}

fn expect_mistake(expect: &Expect, name: &str) -> Option<String> {
    if *expect == Expect::default() {
        return Some(format!("`{name}` expects nothing"));
    }
    // A reference that is not set would exclude nothing: silently compliant.
    let excludes = serde_json::to_value(&expect.excludes).unwrap_or_default();
    (!all_references(&excludes).is_empty()).then(|| format!("`{name}` has a variable in `excludes`; put it into `except`"))
}

/// What is wrong with the accesses that an audit rule records.
pub(super) fn perms_mistake(perms: &str) -> Option<String> {
    let letters: BTreeSet<char> = perms.chars().collect();
    let good = !perms.is_empty() && letters.len() == perms.len() && letters.iter().all(|letter| "rwxa".contains(*letter));
    (!good).then(|| format!("`{perms}` is not a choice of the letters r, w, x and a, each once"))
}

/// What is wrong with the name of an owner or a group.
pub(super) fn account_mistake(name: &str) -> Option<String> {
    (!is_word(name)).then(|| format!("`{name}` is not the name or number of an account"))
}

/// The variables that a row refers to.
pub(super) fn references(control: &Control) -> BTreeSet<String> {
    all_references(&serde_json::to_value(&control.want).unwrap_or_default())
}
