//! Baselines: which controls are wanted, with which values, and what is let pass for now.
//!
//! Controls and variables come from `baselines/catalogue/*.toml` ([`Catalogue`]), a choice of them from `baselines/NAME.toml` or a
//! user's file ([`load`]). What a file says is read and checked in one pass that finds every mistake; then the chain of `extends` is
//! merged, parameters and variables are filled in, and a [`Baseline`] comes out that needs nothing but the host to be judged.

mod catalogue;
pub mod compare;
pub mod control;
pub mod edit;
mod layer;
mod matching;
mod nearest;
mod params;
mod resolve;
mod row;
mod source;
pub mod starter;
mod variable;
mod wants;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;

use glob::Pattern;
use jiff::civil::Date;
use serde::{Deserialize, Serialize, Serializer};

pub use catalogue::Catalogue;
use control::Control;
pub use nearest::{did_you_mean, nearest};
pub use variable::{Form, Kind, Values, Variable};

use crate::error::{Error, Result};

/// The baseline that counts where none is named.
pub const DEFAULT: &str = "essential";
/// The baseline that Dockerfiles are judged by where none is named.
pub const OF_DOCKERFILES: &str = "image-build";

/// The names of the built-in baselines, parents first.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    catalogue::BASELINES.iter().map(|(name, _)| *name)
}

/// The text of a built-in baseline, to start one's own from.
pub fn builtin_text(name: &str) -> Option<&'static str> {
    catalogue::BASELINES.iter().find(|(builtin, _)| *builtin == name).map(|(_, text)| *text)
}

/// Loads a baseline by its built-in name or its path, with the `NAME=VALUE` of `--set` on top.
///
/// Every mistake of every file and value is reported in one error of kind `Usage`. `${env:NAME}` in the values of variables is
/// looked up in the environment of this process.
pub fn load(name_or_path: &str, sets: &[String]) -> Result<Baseline> {
    let env = |name: &str| std::env::var(name).ok();
    resolve::load(name_or_path, sets, Catalogue::builtin(), &env)
}

/// Loads a file that has this text, whatever is in it or not there yet; `path` is what errors name and what `extends` is relative to.
pub fn load_text(path: &Path, text: &str) -> Result<Baseline> {
    let env = |name: &str| std::env::var(name).ok();
    resolve::load_text(path, text, Catalogue::builtin(), &env)
}

/// The names of the parameters of a control, which a baseline may choose, and their values.
pub fn params_of(control: &Control) -> Vec<(&'static str, String)> {
    params::values(&control.want)
}

/// The variables that a row of the catalogue refers to. A control of a [`Baseline`] has them filled in and refers to none.
pub fn variables_of(control: &Control) -> BTreeSet<String> {
    row::references(control)
}

/// The names of the built-in baselines that a control is in.
pub fn baselines_with(id: &str) -> Vec<&'static str> {
    static MEMBERS: OnceLock<Vec<(&str, BTreeSet<String>)>> = OnceLock::new();
    let ids = |name| load(name, &[]).map(|baseline| baseline.controls.into_iter().map(|control| control.id).collect());
    let members = MEMBERS.get_or_init(|| builtin_names().map(|name| (name, ids(name).unwrap_or_default())).collect());
    members.iter().filter(|(_, ids)| ids.contains(id)).map(|(name, _)| *name).collect()
}

/// A value as TOML text, for a variable's place in a baseline file.
pub fn toml_text(value: &serde_json::Value) -> String {
    let written = value.serialize(toml_edit::ser::ValueSerializer::new());
    // Only null has no form in TOML, and no variable is null.
    written.map(|value| value.to_string()).unwrap_or_default()
}

/// What somebody typed as the value of a variable, as TOML text: a text needs no quotes, even if it looks like a number.
pub fn typed_value(variable: &Variable, text: &str) -> String {
    toml_text(&resolve::typed(variable, text))
}

/// Controls with everything filled in, ready to be judged on a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Baseline {
    /// What it calls itself.
    pub name: String,
    /// What it is, in a few words.
    pub title: String,
    /// Whom it is for, in a sentence or two; may be empty.
    pub about: String,
    /// SHA-256, in hex, of everything below and above: equal digests judge and fix alike.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// The names of the baselines that it is made of, the eldest first, itself last.
    pub chain: Vec<String>,
    /// The controls, in the order of the catalogue, parameters and variables filled in.
    pub controls: Vec<Control>,
    /// What is let pass, the parents' first.
    pub waivers: Vec<Waiver>,
    /// The values of all variables that are set, defaults included.
    pub vars: Values,
}

/// Drift that someone has decided to live with, and until when.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Waiver {
    /// The controls that it lets pass.
    #[serde(serialize_with = "as_text")]
    pub control: Pattern,
    /// The targets that it lets pass; `*` for all.
    #[serde(serialize_with = "as_text")]
    pub target: Pattern,
    /// Why.
    pub reason: String,
    /// Who decided.
    pub by: String,
    /// The last day on which it holds.
    #[serde(serialize_with = "as_optional_text")]
    pub until: Option<Date>,
}

impl Baseline {
    /// The waiver for a control on a target, and whether it has expired. One that still holds comes before one that does not.
    pub fn waiver(&self, control: &str, target: &str, today: Date) -> Option<(&Waiver, bool)> {
        // Reports group containers and images by their bare names.
        let bare = target.strip_prefix("container:").or_else(|| target.strip_prefix("image:")).unwrap_or(target);
        let fits = |waiver: &&Waiver| {
            waiver.control.matches(control) && (waiver.target.matches(target) || waiver.target.matches(bare))
        };
        let fitting = self.waivers.iter().filter(fits);
        let judged = fitting.map(|waiver| (waiver, waiver.until.is_some_and(|until| until < today)));
        judged.min_by_key(|(_, expired)| *expired)
    }

    /// The baseline with only the controls that match one of `only` (all where it is empty) and none of `skip`.
    ///
    /// A pattern that matches no control of this baseline is an error: it would check less, or more, than was meant.
    pub fn select(mut self, only: &[String], skip: &[String]) -> Result<Baseline> {
        let mut mistakes = Vec::new();
        let only_ids = self.matching("--only", only, &mut mistakes);
        let skip_ids = self.matching("--skip", skip, &mut mistakes);
        if let Some(error) = Error::all(mistakes) {
            return Err(error);
        }
        self.controls.retain(|control| (only.is_empty() || only_ids.contains(&control.id)) && !skip_ids.contains(&control.id));
        Ok(self)
    }

    fn matching(&self, flag: &str, patterns: &[String], mistakes: &mut Vec<Error>) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for text in patterns {
            let pattern = match Pattern::new(text) {
                Ok(pattern) => pattern,
                Err(error) => {
                    let error = Error::usage(format!("{flag} {text}: this is not a pattern: {}", error.msg));
                    mistakes.push(error.help("use * and ? only"));
                    continue;
                }
            };
            let ids = self.controls.iter().map(|control| &control.id);
            let matching: Vec<_> = ids.filter(|id| pattern.matches(id)).cloned().collect();
            if matching.is_empty() {
                mistakes.push(self.nothing_matches(flag, text, &pattern));
            }
            found.extend(matching);
        }
        found
    }

    fn nothing_matches(&self, flag: &str, text: &str, pattern: &Pattern) -> Error {
        let error = Error::usage(format!("{flag} {text}: no control of the baseline {} matches", self.name));
        let elsewhere = Catalogue::builtin().ids().find(|id| pattern.matches(id));
        let near = nearest(text, self.controls.iter().map(|control| control.id.as_str()));
        match (elsewhere, near) {
            (Some(id), _) => {
                error.help(format!("`{id}` is not enabled in it: choose another baseline, or one of your own that enables it"))
            }
            (None, Some(id)) => error.help(format!("did you mean `{id}`?")),
            (None, None) => error.help(format!("`harden baseline show {}` lists its controls", self.name)),
        }
    }
}

/// A TOML value as JSON.
fn from_toml(value: toml_edit::Value) -> std::result::Result<serde_json::Value, toml_edit::de::Error> {
    use serde::de::IntoDeserializer;
    serde_json::Value::deserialize(value.into_deserializer())
}

fn as_text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_optional_text<S: Serializer>(value: &Option<Date>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    match value {
        Some(date) => serializer.collect_str(date),
        None => serializer.serialize_none(),
    }
}
