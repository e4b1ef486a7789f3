//! `harden baseline list|show|validate|diff|new|set|unset`.

mod diff;
pub mod file;
pub mod new;
pub mod set;
mod show;

use std::fmt::Write;
use std::io;

use serde_json::json;

use crate::baseline::control::{Control, Severity};
use crate::baseline::{Baseline, Waiver, builtin_names, load};
use crate::cli::{BaselineCommand, Common, Format};
use crate::commands::{Ending, load_named, output};
use crate::error::{Error, Result};
use crate::render::style::{FAINT, Page, plain, span};

/// Runs one of them.
pub fn run(common: &Common, command: &BaselineCommand, dry_run: bool) -> Result<Ending> {
    let (text, ending) = match command {
        BaselineCommand::List => (list(common)?, Ending::Done),
        BaselineCommand::Show { name } => (show::run(common, &load_named(common, name)?)?, Ending::Done),
        BaselineCommand::Validate { file } => (validate(common, file)?, Ending::Done),
        BaselineCommand::Diff { a, b } => diff::run(common, a, b)?,
        BaselineCommand::New { file, from } => (new::run(common, file, from, dry_run)?, Ending::Done),
        BaselineCommand::Set { file, setting } => (set::set(common, file, setting, dry_run)?, Ending::Done),
        BaselineCommand::Unset { file, setting } => (set::unset(common, file, setting, dry_run)?, Ending::Done),
    };
    output::bytes_out(common, text.as_bytes())?;
    Ok(ending)
}

fn list(common: &Common) -> Result<String> {
    let baselines: Vec<Baseline> = builtin_names().map(|name| load(name, &[])).collect::<Result<_>>()?;
    if common.format == Format::Json {
        let rows = baselines.iter().map(|baseline| {
            json!({ "name": baseline.name, "title": baseline.title, "controls": baseline.controls.len(), "digest": baseline.digest })
        });
        return document(&json!({ "baselines": rows.collect::<Vec<_>>() }));
    }
    let mut text = String::new();
    for baseline in &baselines {
        let _ = writeln!(text, "{:<12} {:>3} controls  {}", baseline.name, baseline.controls.len(), baseline.title);
    }
    let _ = writeln!(
        text,
        "\nharden baseline show NAME lists a baseline's controls; harden -b NAME --dry-run judges this host by it."
    );
    Ok(text)
}

fn validate(common: &Common, file: &str) -> Result<String> {
    let baseline = load(file, &common.set)?;
    if common.format == Format::Json {
        return document(&json!({ "valid": true, "name": baseline.name, "controls": baseline.controls.len() }));
    }
    Ok(format!("{file}: valid, {} controls\n", baseline.controls.len()))
}

fn document(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).map_err(|error| Error::failure(error.to_string()))? + "\n")
}

fn severity(control: &Control) -> &'static str {
    match control.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// A waiver in two lines.
fn waiver(waiver: &Waiver, page: &mut Page) -> io::Result<()> {
    let target = if waiver.target.as_str() == "*" { String::new() } else { format!(" on {}", waiver.target) };
    let until = waiver.until.map_or("without end".into(), |until| format!("until {until}"));
    page.line(2, &[plain(format!("{}{target}", waiver.control))])?;
    page.line(8, &[plain(&waiver.reason), span(FAINT, format!(" ({}, {until})", waiver.by))])
}
