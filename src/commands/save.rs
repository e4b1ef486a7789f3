//! Keeping what was left out in interactive mode: as a baseline without those controls, or as one that waives them.
//!
//! The questions come first and write nothing, so that Ctrl-C at any later one leaves everything as it was; the file is written when
//! there is nothing more to ask.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use glob::Pattern;
use jiff::ToSpan;

use crate::baseline::edit::Draft;
use crate::baseline::{Baseline, Catalogue, load_text, starter};
use crate::cli::{Common, Setting, Switch};
use crate::commands::baseline::{file, new, set};
use crate::commands::{output, prompt};
use crate::error::{Error, Result};
use crate::finding::Finding;

/// How long a waiver holds where nothing else is typed.
const DAYS: i64 = 90;

/// A baseline file that is still to be written.
pub struct Save {
    path: PathBuf,
    text: String,
}

/// Asks whether to keep what was left out. `given` is the baseline's name or file, `chosen` what is to be fixed.
pub fn ask(common: &Common, given: &str, baseline: &Baseline, left: &[&Finding], chosen: &[&Finding]) -> Result<Option<Save>> {
    let count = if left.len() == 1 { "1 finding is".to_owned() } else { format!("{} findings are", left.len()) };
    let steps = ["No, only this time", "As a baseline without these controls", "As a baseline that waives them"];
    let without = match prompt::next_step(&format!("{count} left out. Keep that for the next time?"), &steps)? {
        0 => return Ok(None),
        step => step == 1,
    };
    let settings = if without { off(left, chosen) } else { waivers(left)? };
    if settings.is_empty() {
        output::note("nothing to keep: of each control something is to be fixed, so none can be left out as a whole");
        return Ok(None);
    }
    let usual = format!("./my-{}.toml", baseline.name);
    let check = |typed: &str| new::name(Path::new(typed)).and(file::refuse_taken(Path::new(typed))).map_err(|error| error.what);
    let path = prompt::text(&format!("Baseline file to write (enter: {usual}):"), Some(&usual), &check)?;
    let path = PathBuf::from(path);
    let text = written(common, given, baseline, &path, &settings)?;
    Ok(Some(Save { path, text }))
}

impl Save {
    /// Writes the file.
    pub fn write(self) -> Result<()> {
        file::create(&self.path, &self.text)?;
        output::note(&format!("wrote {}; from now on: harden -b {}", self.path.display(), new::shown(&self.path)));
        Ok(())
    }
}

/// The controls of which nothing is to be fixed.
fn off(left: &[&Finding], chosen: &[&Finding]) -> Vec<Setting> {
    let kept: BTreeSet<&str> = chosen.iter().map(|finding| finding.control.as_str()).collect();
    let ids: BTreeSet<&str> = left.iter().map(|finding| finding.control.as_str()).collect();
    for id in ids.intersection(&kept) {
        output::note(&format!("{id} stays in: only some of its targets were left out"));
    }
    ids.difference(&kept).map(|id| Setting::Control { id: (*id).to_owned(), state: Switch::Off }).collect()
}

fn waivers(left: &[&Finding]) -> Result<Vec<Setting>> {
    let filled = |typed: &str| if typed.is_empty() { Err("write a few words".to_owned()) } else { Ok(()) };
    let reason = prompt::text("Why is it accepted?", None, &filled)?;
    let user =
        ["SUDO_USER", "USER"].into_iter().find_map(|name| std::env::var(name).ok().filter(|user| !user.trim().is_empty()));
    let question = user.as_ref().map_or("Who decided?".to_owned(), |user| format!("Who decided (enter: {user})?"));
    let by = prompt::text(&question, user.as_deref(), &filled)?;
    let usual = set::today().saturating_add(DAYS.days()).to_string();
    let day = |typed: &str| if typed == "never" { Ok(()) } else { set::date(typed).map(|_| ()).map_err(|error| error.what) };
    let until = prompt::text(&format!("Until which day (enter: {usual}; or never)?"), Some(&usual), &day)?;
    let until = Some(until).filter(|until| until != "never");
    let one = |finding: &&Finding| Setting::Waive {
        control: finding.control.clone(),
        target: Some(Pattern::escape(&finding.target)),
        reason: reason.clone(),
        by: by.clone(),
        until: until.clone(),
    };
    Ok(left.iter().map(one).collect())
}

/// The text of the file: what extends the baseline in use, with the values of `--set` and the settings.
fn written(common: &Common, given: &str, baseline: &Baseline, path: &Path, settings: &[Setting]) -> Result<String> {
    let head = starter::head(&new::name(path)?, &format!("{}, adapted", baseline.title), &new::extends(path, given)?);
    let mut draft = Draft::new(path, &head)?;
    let sets = common.set.iter().filter_map(|set| set.split_once('='));
    let vars = sets.filter(|(name, _)| Catalogue::builtin().variable(name).is_some());
    let vars = vars.map(|(name, value)| Setting::Var { name: name.to_owned(), value: value.to_owned() });
    for setting in vars.chain(settings.iter().cloned()) {
        set::apply(&mut draft, path, &setting)?;
    }
    load_text(path, draft.text()).map_err(|error| Error {
        others: vec![error],
        ..Error::failure("the baseline would not be valid; nothing was written").at(path)
    })?;
    Ok(draft.text().to_owned())
}
