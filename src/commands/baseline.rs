//! `harden baseline list|show|validate`.

use std::fmt::Write;

use serde_json::json;

use crate::baseline::{Baseline, builtin_names, load};
use crate::cli::{BaselineCommand, Common, Format};
use crate::commands::{Ending, load_named, output};
use crate::error::{Error, Result};

/// Runs one of them.
pub fn run(common: &Common, command: &BaselineCommand) -> Result<Ending> {
    let text = match command {
        BaselineCommand::List => list(common)?,
        BaselineCommand::Show { name } => show(common, &load_named(common, name)?)?,
        BaselineCommand::Validate { file } => validate(common, file)?,
    };
    output::bytes_out(common, text.as_bytes())?;
    Ok(Ending::Done)
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

fn show(common: &Common, baseline: &Baseline) -> Result<String> {
    if common.format == Format::Json {
        let controls: Vec<_> = baseline
            .controls
            .iter()
            .map(|control| {
                json!({
                    "id": control.id, "title": control.title, "area": control.area, "severity": control.severity,
                    "risk": control.risk, "why": control.why, "references": control.references(), "level": control.level,
                    "want": control.want,
                })
            })
            .collect();
        return document(&json!({
            "name": baseline.name, "title": baseline.title, "about": baseline.about, "digest": baseline.digest,
            "extends": baseline.chain, "vars": baseline.vars, "controls": controls,
        }));
    }
    let mut text = format!("{}: {}\n{}\n", baseline.name, baseline.title, baseline.about);
    let mut area = None;
    for control in &baseline.controls {
        if area.replace(control.area) != Some(control.area) {
            let _ = writeln!(text, "\n{}", format!("{:?}", control.area).to_lowercase());
        }
        let severity = format!("{:?}", control.severity).to_lowercase();
        let _ = writeln!(text, "  {severity:<8}  {:<34} {}", control.id, control.title);
    }
    let _ = writeln!(text, "\n{} controls. harden explain CONTROL tells more of one.", baseline.controls.len());
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
