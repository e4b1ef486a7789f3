//! From a chain of baseline files to one baseline: parents first, children override, variables filled in, everything checked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Baseline;
use super::catalogue::{BASELINES, Catalogue};
use super::control::{Control, KeyFix, KeyWant, Want};
use super::layer::{Env, Layer};
use super::matching;
use super::nearest::did_you_mean;
use super::source::Source;
use super::variable::{Kind, Values, Variable, fill};
use crate::error::{Error, Result};
use crate::expect::plain;

/// Where a baseline comes from.
#[derive(Debug, Clone, PartialEq)]
enum Origin {
    Builtin(&'static str, &'static str),
    File(PathBuf),
    /// A file as it is going to be.
    Text(PathBuf, String),
}

/// Loads a baseline, its parents and the values of the command line.
pub(super) fn load(name: &str, sets: &[String], catalogue: &Catalogue, env: Env) -> Result<Baseline> {
    load_from(named(name), sets, catalogue, env)
}

/// Loads a file that has this text, whatever is in it or not there yet.
pub(super) fn load_text(path: &Path, text: &str, catalogue: &Catalogue, env: Env) -> Result<Baseline> {
    load_from(Ok(Origin::Text(path.to_owned(), text.to_owned())), &[], catalogue, env)
}

fn load_from(origin: Result<Origin>, sets: &[String], catalogue: &Catalogue, env: Env) -> Result<Baseline> {
    let mut mistakes = Vec::new();
    let values = command_line(sets, catalogue, &mut mistakes);
    let layers = match origin.and_then(|origin| chain(origin, catalogue, env)) {
        Ok(layers) => layers,
        Err(error) => {
            mistakes.push(error);
            Vec::new()
        }
    };
    if mistakes.is_empty() {
        return merge(layers, values, catalogue);
    }
    Err(Error::all(mistakes.into_iter().flat_map(flattened).collect()).unwrap_or_else(|| Error::usage("no baseline")))
}

/// An error and its `others` side by side.
fn flattened(mut error: Error) -> Vec<Error> {
    let others = std::mem::take(&mut error.others);
    std::iter::once(error).chain(others).collect()
}

/// The baseline and its ancestors, the eldest first. Mistakes of several files are reported together.
fn chain(origin: Origin, catalogue: &Catalogue, env: Env) -> Result<Vec<Layer>> {
    let mut origins = vec![origin];
    let mut layers = Vec::new();
    let mut mistakes = Vec::new();
    while let Some(origin) = origins.last().filter(|_| origins.len() > layers.len()).cloned() {
        let read = origin.read().and_then(|source| Ok((Layer::parse(&source, catalogue, env)?, source)));
        let (layer, source) = match read {
            Ok(read) => read,
            Err(error) => {
                mistakes.extend(flattened(error));
                break;
            }
        };
        if let Some((parent, span)) = &layer.extends {
            match origin.parent(parent).and_then(|parent| not_in(parent, &origins)) {
                Ok(parent) => origins.push(parent),
                Err(error) => {
                    let mut placed = source.mistake(span.clone(), error.what);
                    placed.help = error.help;
                    mistakes.push(placed);
                }
            }
        }
        layers.push(layer);
    }
    layers.reverse();
    match Error::all(mistakes) {
        Some(error) => Err(error),
        None => Ok(layers),
    }
}

/// A baseline as it is named on the command line: a built-in one, or a path.
fn named(name: &str) -> Result<Origin> {
    if let Some(origin) = builtin(name) {
        return Ok(origin);
    }
    if is_path(name) || Path::new(name).exists() {
        return Ok(Origin::File(name.into()));
    }
    Err(Error::usage(format!("there is no baseline `{name}`")).help(no_baseline(name)))
}

fn builtin(name: &str) -> Option<Origin> {
    BASELINES.iter().find(|(builtin, _)| *builtin == name).map(|(name, text)| Origin::Builtin(name, text))
}

fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".toml")
}

fn no_baseline(name: &str) -> String {
    let builtin = did_you_mean(name, BASELINES.iter().map(|(builtin, _)| *builtin));
    format!("{builtin} (a file is named with its path, like ./{name}.toml)")
}

/// `extends` in a circle would never end.
fn not_in(parent: Origin, origins: &[Origin]) -> Result<Origin> {
    let same = |other: &&Origin| other.identity() == parent.identity();
    match origins.iter().position(|other| same(&other)) {
        None => Ok(parent),
        Some(first) => {
            let circle = origins[first..].iter().chain([&parent]).map(Origin::path);
            let circle: Vec<String> = circle.map(|path| path.display().to_string()).collect();
            Err(Error::usage(format!("these baselines extend each other: {}", circle.join(" → ")))
                .help("take one `extends` out"))
        }
    }
}

impl Origin {
    fn read(&self) -> Result<Source> {
        match self {
            Origin::Builtin(_, text) => Ok(Source { path: self.path(), text: text.to_string() }),
            Origin::File(path) => Source::read(path),
            Origin::Text(path, text) => Ok(Source { path: path.clone(), text: text.clone() }),
        }
    }

    fn path(&self) -> PathBuf {
        match self {
            Origin::Builtin(name, _) => format!("baselines/{name}.toml").into(),
            Origin::File(path) | Origin::Text(path, _) => path.clone(),
        }
    }

    /// The same for one file, however its path is written.
    fn identity(&self) -> PathBuf {
        match self {
            Origin::Builtin(name, _) => PathBuf::from(name),
            Origin::File(path) | Origin::Text(path, _) => path.canonicalize().unwrap_or_else(|_| path.clone()),
        }
    }

    /// What `extends` names: a built-in baseline, or a file relative to this one.
    fn parent(&self, name: &str) -> Result<Origin> {
        match (builtin(name), self) {
            (Some(origin), _) => Ok(origin),
            (None, Origin::File(path) | Origin::Text(path, _)) if is_path(name) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                let parent: PathBuf = folder.join(name.strip_prefix("./").unwrap_or(name));
                match parent.is_file() {
                    true => Ok(Origin::File(parent)),
                    false => {
                        Err(Error::usage(format!("there is no file {}", parent.display()))
                            .help("paths are relative to this file"))
                    }
                }
            }
            _ => Err(Error::usage(format!("there is no baseline `{name}`")).help(no_baseline(name))),
        }
    }
}

/// The values given with `--set NAME=VALUE`.
fn command_line(sets: &[String], catalogue: &Catalogue, mistakes: &mut Vec<Error>) -> Values {
    let mut values = Values::new();
    for set in sets {
        let Some((name, text)) = set.split_once('=') else {
            mistakes.push(Error::usage(format!("--set {set}: a value is missing")).help("write --set NAME=VALUE"));
            continue;
        };
        let Some(variable) = catalogue.variable(name) else {
            let help = did_you_mean(name, catalogue.variable_names());
            mistakes.push(Error::usage(format!("--set {set}: there is no variable `{name}`")).help(help));
            continue;
        };
        if text.contains("${") {
            let error = Error::usage(format!("--set {set}: ${{…}} means nothing here"));
            mistakes.push(error.help("put the name in double quotes of the shell, or the reference into a baseline file"));
            continue;
        }
        let value = typed(variable, text);
        match variable.accept(&value) {
            Ok(()) => _ = values.insert(name.into(), value),
            Err(expected) => {
                mistakes.push(Error::usage(format!("--set {set}: it must be {expected}")).help(variable.about.clone()));
            }
        }
    }
    values
}

/// A value of the command line: TOML, or else the text itself. What is to be a text needs no quotes, even if it looks like a number.
pub(super) fn typed(variable: &Variable, text: &str) -> Value {
    let parsed = text.parse::<toml_edit::Value>().ok();
    let parsed = parsed.and_then(|value| super::from_toml(value).ok());
    match parsed {
        Some(value) if variable.kind != Kind::String || value.is_string() => value,
        _ => Value::String(text.into()),
    }
}

/// Merges the layers, eldest first, and resolves the controls.
fn merge(layers: Vec<Layer>, sets: Values, catalogue: &Catalogue) -> Result<Baseline> {
    let defaults = catalogue.variables.iter().filter_map(|variable| Some((variable.name.clone(), variable.default.clone()?)));
    let mut vars: Values = defaults.collect();
    let mut enabled = BTreeSet::new();
    let mut params: BTreeMap<String, _> = BTreeMap::new();
    let mut baseline = Baseline::default();
    for layer in layers {
        enabled.extend(layer.enable);
        enabled.retain(|id| !layer.disable.contains(id));
        layer.vars.into_iter().for_each(|(name, value)| set(&mut vars, name, value));
        for (id, given) in layer.params {
            let merged: &mut super::params::Params = params.entry(id).or_default();
            merged.overridden_by(given);
        }
        baseline.waivers.extend(layer.waivers);
        baseline.title = layer.title.unwrap_or_else(|| layer.name.clone());
        baseline.about = layer.about.unwrap_or_default();
        baseline.chain.push(layer.name.clone());
        baseline.name = layer.name;
    }
    sets.into_iter().for_each(|(name, value)| set(&mut vars, name, value));
    let mut mistakes = Vec::new();
    for control in catalogue.controls.iter().filter(|control| enabled.contains(&control.id)) {
        let mut control = control.clone();
        if let Some(params) = params.get(&control.id) {
            params.apply(&mut control.want);
        }
        match resolve(control, &vars) {
            Ok(control) => baseline.controls.push(control),
            Err(error) => mistakes.push(error),
        }
    }
    baseline.vars = vars;
    baseline.digest = digest(&baseline);
    match Error::all(mistakes) {
        Some(error) => Err(error),
        None => Ok(baseline),
    }
}

/// A child's value replaces its parent's; tables are merged key by key.
fn set(vars: &mut Values, name: String, value: Value) {
    match (vars.get_mut(&name), value) {
        (Some(old), value) => override_with(old, value),
        (None, value) => _ = vars.insert(name, value),
    }
}

fn override_with(old: &mut Value, new: Value) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                override_with(old.entry(name).or_insert(Value::Null), value);
            }
        }
        (old, new) => *old = new,
    }
}

/// Fills the variables into what a control wants. A fix that needs a variable that is not set becomes manual.
fn resolve(mut control: Control, vars: &Values) -> Result<Control> {
    let misfit =
        |error: serde_json::Error| Error::usage(format!("the variables do not fit the control `{}`: {error}", control.id));
    match &mut control.want {
        Want::Daemon(want) => {
            for key in &mut want.key {
                let (mut filled, unset): (KeyWant, _) = filled(key, vars).map_err(misfit)?;
                if !unset.is_empty() {
                    filled.fix = KeyFix::Manual(set_them(&unset));
                }
                if let Some(mistake) = contradiction(&filled, key) {
                    return Err(Error::usage(format!("`{}` would {mistake}", control.id)).help("change the variable"));
                }
                *key = filled;
            }
        }
        Want::Unit(want) => {
            for setting in &mut want.setting {
                let (mut filled, unset): (super::control::SettingWant, _) = filled(setting, vars).map_err(misfit)?;
                filled.set = filled.set.filter(|_| unset.is_empty());
                *setting = filled;
            }
        }
        Want::Container(want) => **want = matching::resolve(want, vars).map_err(misfit)?,
        want => *want = filled(want, vars).map_err(misfit)?.0,
    }
    Ok(control)
}

fn filled<T: Serialize + DeserializeOwned>(written: &T, vars: &Values) -> serde_json::Result<(T, BTreeSet<String>)> {
    let mut value = serde_json::to_value(written)?;
    let unset = fill(&mut value, vars);
    Ok((serde_json::from_value(value)?, unset))
}

fn set_them(unset: &BTreeSet<String>) -> String {
    let names: Vec<&str> = unset.iter().map(String::as_str).collect();
    format!("set the variable {} in the baseline or with --set {}=…", names.join(" and "), names[0])
}

/// A fix that would not satisfy its own expectation would be drift again at once.
fn contradiction(key: &KeyWant, written: &KeyWant) -> Option<String> {
    match (&key.fix, &written.fix) {
        (KeyFix::Set(value), KeyFix::Set(written)) if !key.expect.holds(Some(value)) => {
            let member = key.member.as_ref().map(|member| format!(".{member}")).unwrap_or_default();
            let (value, from) = (plain(value), plain(written));
            Some(format!("set {}{member} to {value} (from {from}), which is not {}", key.name, key.expect))
        }
        _ => None,
    }
}

/// SHA-256 of everything that decides a verdict: the same baseline has the same digest wherever and however it was written.
fn digest(baseline: &Baseline) -> String {
    let mut text = String::new();
    canonical(&serde_json::to_value(baseline).unwrap_or_default(), &mut text);
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON without spaces and with sorted keys, whatever order the map type of this build keeps.
fn canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(members) => {
            let members: BTreeMap<&String, &Value> = members.iter().collect();
            text.push('{');
            for (index, (name, member)) in members.into_iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str(&Value::String(name.clone()).to_string());
                text.push(':');
                canonical(member, text);
            }
            text.push('}');
        }
        Value::Array(elements) => {
            text.push('[');
            for (index, element) in elements.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                canonical(element, text);
            }
            text.push(']');
        }
        other => text.push_str(&other.to_string()),
    }
}
