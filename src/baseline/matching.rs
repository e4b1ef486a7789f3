//! Values for some containers only: `[[vars.container.match]]`, the first that fits counts.
//!
//! Each table selects containers by name, image or label, and gives variables of `container.` other values for them. A control is
//! resolved once for each table, so judging needs to know nothing of variables.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::catalogue::Catalogue;
use super::control::{ContainerFix, ContainerWant, Recreate, Selector};
use super::nearest::did_you_mean;
use super::variable::{Values, fill, references};
use crate::expect::{Expect, plain};

/// The variable that holds the tables.
pub(super) const MATCH: &str = "container.match";
/// What its tables give values to.
const PREFIX: &str = "container.";
const SELECTORS: [&str; 3] = ["name", "image", "label"];

/// What is wrong with the tables: each with a way out.
pub(super) fn mistakes(tables: &Value, catalogue: &Catalogue) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for table in tables.as_array().into_iter().flatten().filter_map(Value::as_object) {
        if !SELECTORS.iter().any(|name| table.contains_key(*name)) {
            found.push((format!("a {MATCH} selects nothing"), "give it name, image or label, like name = \"db-*\"".into()));
        }
        for (name, value) in table {
            let variable = catalogue.variable(&format!("{PREFIX}{name}")).filter(|variable| variable.name != MATCH);
            if SELECTORS.contains(&name.as_str()) {
                let good = value.as_str().is_some_and(|text| glob::Pattern::new(text).is_ok());
                if !good {
                    found.push((format!("`{name}` of a {MATCH} is not a pattern"), "use * and ? only".into()));
                }
            } else if let Some(variable) = variable {
                if let Err(expected) = variable.accept(value) {
                    found.push((format!("`{name}` of a {MATCH} must be {expected}"), variable.about.clone()));
                }
            } else {
                let names =
                    catalogue.variable_names().filter_map(|name| name.strip_prefix(PREFIX)).filter(|name| *name != "match");
                found.push((format!("a {MATCH} has no `{name}`"), did_you_mean(name, names.chain(SELECTORS))));
            }
        }
    }
    found
}

/// Fills the variables into what a control wants of containers, and into what it wants of those that have values of their own.
pub(super) fn resolve(written: &ContainerWant, vars: &Values) -> serde_json::Result<ContainerWant> {
    let mut want = one(written, vars)?;
    for table in vars.get(MATCH).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object) {
        let mut values = vars.clone();
        for (name, value) in table.iter().filter(|(name, _)| !SELECTORS.contains(&name.as_str())) {
            values.insert(format!("{PREFIX}{name}"), value.clone());
        }
        let selector: Selector = serde_json::from_value(Value::Object(table.clone()))?;
        want.per_match.push((selector, one(written, &values)?));
    }
    Ok(want)
}

fn one(written: &ContainerWant, vars: &Values) -> serde_json::Result<ContainerWant> {
    let mut want = written.clone();
    (want.expect, want.unset) = filled(&written.expect, vars)?;
    if !want.unset.is_empty() {
        want.expect = Expect::default();
    }
    // A bound whose variable is not set is no bound; a control that asks for nothing else has nothing to judge by.
    let (bound, unset) = filled(&written.no_more_than, vars)?;
    want.no_more_than = if unset.is_empty() { bound } else { None };
    if want.no_more_than.is_none() && written.expect == Expect::default() {
        want.unset.extend(unset);
    }
    want.exempt = filled(&written.exempt, vars)?.0;
    want.exempt.retain(|name| references(name).is_empty());
    want.wanted = text_of(&written.wanted, vars);
    want.fix = match &written.fix {
        ContainerFix::Manual(text) => ContainerFix::Manual(text_of(text, vars)),
        ContainerFix::Recreate(recreate) => ContainerFix::Recreate(Recreate {
            without: lines(&recreate.without, vars),
            with: lines(&recreate.with, vars),
            compose: lines(&recreate.compose, vars),
            service: lines(&recreate.service, vars),
            note: recreate.note.as_ref().map(|note| text_of(note, vars)),
        }),
        ContainerFix::Update(update) => {
            let (mut filled, unset) = filled(update, vars)?;
            filled.unset = unset;
            (filled.service, filled.compose) = (text_of(&update.service, vars), text_of(&update.compose, vars));
            ContainerFix::Update(drop_unset(filled))
        }
    };
    Ok(want)
}

/// Values whose variable is not set are not set; of `cpus` and `cpu_shares` one is enough, and swap follows memory.
fn drop_unset(mut update: super::control::Update) -> super::control::Update {
    let text = |value: &mut Option<String>| *value = value.take().filter(|text| references(text).is_empty());
    let number = |value: &mut Option<Value>| *value = value.take().filter(|value| !value.is_string());
    text(&mut update.memory);
    text(&mut update.memory_swap);
    text(&mut update.cpus);
    [&mut update.cpu_shares, &mut update.pids_limit, &mut update.blkio_weight, &mut update.max_retries]
        .into_iter()
        .for_each(number);
    let something = update.memory.is_some() || update.cpus.is_some();
    let something = something
        || [&update.cpu_shares, &update.pids_limit, &update.blkio_weight, &update.max_retries].iter().any(|v| v.is_some());
    if something {
        update.unset.clear();
    } else {
        update.unset.remove("container.memory_swap");
        if update.unset.contains("container.cpus") {
            update.unset.remove("container.cpu_shares");
        }
    }
    update
}

/// Lines with their variables: a list makes a line for each element, and `…` stands for one that is not set.
fn lines(lines: &[String], vars: &Values) -> Vec<String> {
    let mut filled = Vec::new();
    for line in lines {
        let names = references(line);
        match names.as_slice() {
            [name] => match vars.get(*name) {
                Some(Value::Array(elements)) => {
                    filled.extend(elements.iter().map(|element| line.replace(&format!("${{{name}}}"), &plain(element))));
                }
                _ => filled.push(text_of(line, vars)),
            },
            _ => filled.push(text_of(line, vars)),
        }
    }
    filled
}

fn text_of(text: &str, vars: &Values) -> String {
    let unset: Vec<String> =
        references(text).into_iter().filter(|name| !vars.contains_key(*name)).map(|name| format!("${{{name}}}")).collect();
    let known = unset.iter().fold(text.to_owned(), |text, reference| text.replace(reference, "…"));
    let mut value = Value::String(known);
    fill(&mut value, vars);
    plain(&value)
}

fn filled<T: Serialize + DeserializeOwned>(written: &T, vars: &Values) -> serde_json::Result<(T, BTreeSet<String>)> {
    let mut value = serde_json::to_value(written)?;
    let unset = fill(&mut value, vars);
    Ok((serde_json::from_value(value)?, unset))
}
