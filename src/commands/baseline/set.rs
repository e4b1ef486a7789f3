//! `harden baseline set|unset FILE …`: one change of a baseline file, checked as a whole before it is written.

use std::path::Path;

use jiff::civil::Date;
use serde_json::json;

use super::document;
use super::file::OwnFile;
use crate::baseline::control::Control;
use crate::baseline::edit::{Draft, Nested};
use crate::baseline::{Baseline, Catalogue, did_you_mean, load_text, nearest, params_of, toml_text, typed_value};
use crate::cli::{Common, Format, Setting, Switch, Unsetting};
use crate::commands::output;
use crate::error::{Error, Result};
use crate::render::diff::unified;
use crate::render::text;

const ENABLE: [&str; 2] = ["controls", "enable"];
const DISABLE: [&str; 2] = ["controls", "disable"];

/// `set`: what the file is to say.
pub fn set(common: &Common, path: &Path, setting: &Setting, dry_run: bool) -> Result<String> {
    change(common, path, dry_run, |draft| apply(draft, path, setting))
}

/// `unset`: what the file is to say no more.
pub fn unset(common: &Common, path: &Path, setting: &Unsetting, dry_run: bool) -> Result<String> {
    change(common, path, dry_run, |draft| take_back(draft, path, setting))
}

fn change(common: &Common, path: &Path, dry_run: bool, edit: impl FnOnce(&mut Draft) -> Result<()>) -> Result<String> {
    let (file, before) = OwnFile::open(path)?;
    let mut draft = Draft::new(path, &before)?;
    edit(&mut draft)?;
    valid(path, &draft)?;
    let after = draft.text();
    let changed = after != before;
    if changed && !dry_run {
        file.replace(after)?;
    }
    let label = path.display().to_string();
    let diff = unified(&label, &label, &before, after);
    if common.format == Format::Json {
        return document(&json!({ "file": path, "changed": changed && !dry_run, "diff": diff }));
    }
    if !changed {
        return Ok(format!("{label}: nothing to change\n"));
    }
    if dry_run {
        output::note(&format!("{label} was not changed (--dry-run)"));
    }
    if common.quiet {
        return Ok(format!("{label}: {}\n", if dry_run { "would change" } else { "changed" }));
    }
    let mut bytes = Vec::new();
    let view = output::view(common, text::Tense::Would);
    text::diff(&diff, &view, &mut bytes).map_err(|error| Error::failure(format!("cannot render the diff: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The baseline as it would be; all its mistakes, if it were not one.
fn valid(path: &Path, draft: &Draft) -> Result<Baseline> {
    load_text(path, draft.text()).map_err(|mut mistake| {
        let mut others = std::mem::take(&mut mistake.others);
        others.insert(0, mistake);
        Error {
            others,
            ..Error::usage("with this change the file would not be a valid baseline; nothing was written").at(path)
        }
    })
}

/// Makes the draft say it.
pub fn apply(draft: &mut Draft, path: &Path, setting: &Setting) -> Result<()> {
    match setting {
        Setting::Control { id, state } => switch(draft, path, id, *state),
        Setting::Param { control, name, value } => {
            let value = param(known(control)?, name, value)?;
            draft.set(&["params", control, name], &value, Nested::Braces)
        }
        Setting::Var { name, value } => {
            let catalogue = Catalogue::builtin();
            let variable = catalogue.variable(name).ok_or_else(|| no_variable(name))?;
            draft.set(&var_path(name), &typed_value(variable, value), Nested::Dotted)
        }
        Setting::Waive { control, target, reason, by, until } => {
            let quoted = |text: &str| toml_text(&text.into());
            let mut fields = vec![("control", quoted(control))];
            fields.extend(target.iter().map(|target| ("target", quoted(target))));
            fields.extend([("reason", quoted(reason)), ("by", quoted(by))]);
            if let Some(until) = until {
                fields.push(("until", date(until)?.to_string()));
            }
            let all = |target: &Option<String>| target.as_deref().unwrap_or("*").to_owned();
            let same = draft.waivers()?.iter().position(|waiver| (&waiver.0, all(&waiver.1)) == (control, all(target)));
            draft.waive(same, &fields)
        }
    }
}

/// In or out, whatever the parent says; no more words than that needs.
fn switch(draft: &mut Draft, path: &Path, id: &str, state: Switch) -> Result<()> {
    known(id)?;
    let (list, other) = match state {
        Switch::On => (ENABLE, DISABLE),
        Switch::Off => (DISABLE, ENABLE),
    };
    draft.unlist(&other, id)?;
    let member = valid(path, draft)?.controls.iter().any(|control| control.id == id);
    match member == (state == Switch::On) {
        true => Ok(()),
        false => draft.list(&list, id),
    }
}

fn take_back(draft: &mut Draft, path: &Path, setting: &Unsetting) -> Result<()> {
    match setting {
        Unsetting::Control { id } => {
            let enabled = draft.unlist(&ENABLE, id)?;
            let disabled = draft.unlist(&DISABLE, id)?;
            if enabled || disabled { Ok(()) } else { known(id).map(|_| ()) }
        }
        Unsetting::Param { control, name: Some(name) } => match draft.unset(&["params", control, name])? {
            true => Ok(()),
            false => param(known(control)?, name, "").map(|_| ()),
        },
        Unsetting::Param { control, name: None } => match draft.unset(&["params", control])? {
            true => Ok(()),
            false => known(control).map(|_| ()),
        },
        Unsetting::Var { name } => {
            let catalogue = Catalogue::builtin();
            let inner = format!("{name}.");
            // `log` is no variable; all that begins with it is not to go by accident.
            let several = catalogue.variable_names().any(|other| other.starts_with(&inner));
            let found = !several && draft.unset(&var_path(name))?;
            match found || catalogue.variable(name).is_some() {
                true => Ok(()),
                false => Err(no_variable(name)),
            }
        }
        Unsetting::Waive { control, target } => {
            let waivers = draft.waivers()?;
            let fits = |waiver: &(String, Option<String>)| waiver.0 == *control && (target.is_none() || waiver.1 == *target);
            let found: Vec<usize> = (0..waivers.len()).filter(|index| fits(&waivers[*index])).collect();
            if found.is_empty() {
                let whole = target.as_ref().map(|target| format!(" on `{target}`")).unwrap_or_default();
                let error = Error::usage(format!("there is no waiver of `{control}`{whole}")).at(path);
                let written = waivers.iter().map(|(control, _)| control.as_str());
                return Err(match waivers.is_empty() {
                    true => error,
                    false => error.help(did_you_mean(control, written)),
                });
            }
            // From the last, so that the numbers of the others stay.
            found.into_iter().rev().try_for_each(|index| draft.unwaive(index))
        }
    }
}

fn var_path(name: &str) -> Vec<&str> {
    std::iter::once("vars").chain(name.split('.')).collect()
}

fn known(id: &str) -> Result<&'static Control> {
    let catalogue = Catalogue::builtin();
    catalogue.control(id).ok_or_else(|| {
        let help = match nearest(id, catalogue.ids()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`harden baseline show guide` and `harden baseline show cis-l2` list controls".into(),
        };
        Error::usage(format!("there is no control `{id}`")).help(help)
    })
}

fn no_variable(name: &str) -> Error {
    let names: Vec<&str> = Catalogue::builtin().variable_names().collect();
    let within = format!("{name}.");
    let below: Vec<&str> = names.iter().copied().filter(|other| other.starts_with(&within)).collect();
    let help = match below.is_empty() {
        true => did_you_mean(name, names),
        false => format!("it is one of {}", below.join(", ")),
    };
    Error::usage(format!("there is no variable `{name}`")).help(help)
}

/// The value of a parameter as TOML. A mode may be typed with or without its leading zero; in the file it has it.
fn param(control: &Control, name: &str, value: &str) -> Result<String> {
    let names: Vec<&str> = params_of(control).iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        let error = Error::usage(format!("`{}` has no parameters", control.id));
        return Err(error.help(format!("harden explain {}", control.id)));
    }
    if !names.contains(&name) {
        return Err(Error::usage(format!("`{}` has no parameter `{name}`", control.id)).help(did_you_mean(name, names)));
    }
    let octal = (3..=4).contains(&value.len()) && value.chars().all(|digit| ('0'..='7').contains(&digit));
    let mode = name == "mode_max" && octal && !value.starts_with('0');
    Ok(toml_text(&if mode { format!("0{value}") } else { value.to_owned() }.into()))
}

/// A day that is not past: a waiver until yesterday would waive nothing.
pub fn date(text: &str) -> Result<Date> {
    let parsed = text.parse::<Date>().ok().filter(|date| date.to_string() == text);
    let Some(date) = parsed else {
        return Err(Error::usage(format!("`{text}` is not a date")).help("write year-month-day, like 2027-06-30"));
    };
    if date < today() {
        return Err(Error::usage(format!("{text} is past: the waiver would never hold")).help("give a later day"));
    }
    Ok(date)
}

/// Waivers end by this calendar when a host is judged.
pub fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}
