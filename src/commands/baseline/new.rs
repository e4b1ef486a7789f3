//! `harden baseline new FILE [--from NAME|FILE]`: a commented file to start from.

use std::path::Path;

use serde_json::json;

use super::{document, file};
use crate::baseline::compare::Difference;
use crate::baseline::{Baseline, builtin_text, load, load_text, starter};
use crate::cli::{Common, Format};
use crate::commands::output;
use crate::error::{Error, Result};

/// Writes the file, or with `dry_run` shows what would be in it.
pub fn run(common: &Common, path: &Path, from: &str, dry_run: bool) -> Result<String> {
    file::refuse_taken(path)?;
    let parent = load(from, &[])?;
    let (name, extends) = (name(path)?, extends(path, from)?);
    let from_shown = if builtin_text(from).is_some() { from.to_owned() } else { shown(Path::new(from)) };
    let text = starter::commented(&name, &extends, &parent, [&from_shown, &shown(path)]);
    let baseline = load_text(path, &text)?;
    verify(&parent, &baseline, path)?;
    if dry_run {
        output::note(&format!("{} was not written (--dry-run)", path.display()));
        return Ok(text);
    }
    file::create(path, &text)?;
    if common.format == Format::Json {
        return document(&json!({
            "file": path, "changed": true, "name": name, "extends": extends, "controls": baseline.controls.len(),
        }));
    }
    Ok(format!(
        "{}: a baseline like {extends}, {} controls\nNext  change it in an editor, or with  harden baseline set {} --help\n",
        path.display(),
        baseline.controls.len(),
        shown(path)
    ))
}

/// What is written must mean what its parent means.
fn verify(parent: &Baseline, baseline: &Baseline, path: &Path) -> Result<()> {
    match Difference::between(parent, baseline).is_empty() {
        true => Ok(()),
        false => Err(Error::failure("the new baseline would not be like its parent; nothing was written").at(path)),
    }
}

/// A baseline is called like its file.
pub fn name(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().trim();
    let named = path.extension().is_some_and(|extension| extension == "toml");
    if !named || stem.is_empty() || stem.chars().any(char::is_control) {
        return Err(Error::usage("the name of a baseline file ends in .toml").at(path).help("like ./prod.toml"));
    }
    if builtin_text(stem).is_some() {
        let error = Error::usage(format!("the baseline would be called `{stem}`, like a built-in one")).at(path);
        return Err(error.help(format!("choose another name, like my-{stem}.toml")));
    }
    Ok(stem.to_owned())
}

/// What `extends` says: a built-in name; a file beside this one by its name; any other by its whole path.
pub fn extends(path: &Path, from: &str) -> Result<String> {
    if builtin_text(from).is_some() {
        return Ok(from.to_owned());
    }
    let real = |path: &Path| path.canonicalize().map_err(|error| Error::io(path, "find it", error));
    let parent = real(Path::new(from))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = parent.parent() == Some(&real(folder)?);
    let parent = match (beside, parent.file_name()) {
        (true, Some(name)) => Path::new(".").join(name),
        _ => parent,
    };
    parent.into_os_string().into_string().map_err(|path| Error::usage("this path is not UTF-8").at(path))
}

/// The path as it is typed in a shell, and harmless in a comment.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if text.contains('/') { text.into_owned() } else { format!("./{text}") };
    output::quoted(&crate::render::style::visible(&text))
}
