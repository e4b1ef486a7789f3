//! `harden baseline diff A B`: what two baselines ask for differently.

use std::io;

use serde_json::{Value, json};

use super::{document, severity};
use crate::baseline::compare::Difference;
use crate::baseline::control::Control;
use crate::baseline::{Waiver, load, toml_text};
use crate::cli::{Common, Format};
use crate::commands::{Ending, output};
use crate::error::{Error, Result};
use crate::render::style::{FAINT, Page, STRONG, plain, span};
use crate::render::text::Tense;

/// Where the second line of an entry stands.
const INDENT: usize = 8;

/// Compares them; `Drift` where they are different.
pub fn run(common: &Common, a: &str, b: &str) -> Result<(String, Ending)> {
    let (left, right) = (load(a, &common.set)?, load(b, &common.set)?);
    let difference = Difference::between(&left, &right);
    let ending = if difference.is_empty() { Ending::Done } else { Ending::Drift };
    if common.format == Format::Json {
        let named = |name: &str, baseline: &crate::baseline::Baseline| json!({ "given": name, "name": baseline.name, "digest": baseline.digest, "controls": baseline.controls.len() });
        let mut value = as_json(&difference);
        value["a"] = named(a, &left);
        value["b"] = named(b, &right);
        return Ok((document(&value)?, ending));
    }
    let view = output::view(common, Tense::Would);
    let mut bytes = Vec::new();
    let page = &mut Page::new(&mut bytes, view.color, view.width);
    let written = match difference.is_empty() {
        true => page.line(0, &[plain(format!("{a} and {b} ask for the same: {} controls", left.controls.len()))]),
        false => as_text(&difference, a, b, common.quiet, page),
    };
    written.map_err(|error| Error::failure(format!("cannot render the difference: {error}")))?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), ending))
}

fn as_json(difference: &Difference) -> Value {
    let controls = |controls: &[&Control]| -> Vec<Value> {
        let row = |control: &&Control| json!({ "id": control.id, "title": control.title, "severity": control.severity });
        controls.iter().map(row).collect()
    };
    let params = difference.params.iter().map(|p| json!({ "control": p.control, "param": p.name, "a": p.a, "b": p.b }));
    let vars = difference.vars.iter().map(|(name, a, b)| json!({ "name": name, "a": a, "b": b }));
    json!({
        "same": difference.is_empty(),
        "controls": { "only_a": controls(&difference.only_a), "only_b": controls(&difference.only_b) },
        "params": params.collect::<Vec<_>>(),
        "vars": vars.collect::<Vec<_>>(),
        "waivers": { "only_a": difference.waivers_a, "only_b": difference.waivers_b },
    })
}

fn as_text(difference: &Difference, a: &str, b: &str, quiet: bool, page: &mut Page) -> io::Result<()> {
    if !quiet {
        controls(&difference.only_a, a, page)?;
        controls(&difference.only_b, b, page)?;
        heading("Parameters that differ", difference.params.len(), page)?;
        for param in &difference.params {
            page.line(2, &[plain(format!("{} {}", param.control, param.name))])?;
            sides(&[(a, &param.a), (b, &param.b)], page)?;
        }
        heading("Variables that differ", difference.vars.len(), page)?;
        for (name, left, right) in &difference.vars {
            let shown = |value: &Option<&Value>| value.map_or("not set".to_owned(), toml_text);
            page.line(2, &[plain(*name)])?;
            sides(&[(a, &shown(left)), (b, &shown(right))], page)?;
        }
        waivers(&difference.waivers_a, a, page)?;
        waivers(&difference.waivers_b, b, page)?;
        page.blank()?;
    }
    let counts = [
        (difference.only_a.len() + difference.only_b.len(), "control", "controls"),
        (difference.params.len(), "parameter", "parameters"),
        (difference.vars.len(), "variable", "variables"),
        (difference.waivers_a.len() + difference.waivers_b.len(), "waiver", "waivers"),
    ];
    let counts = counts.iter().filter(|(count, ..)| *count > 0);
    let counts: Vec<String> =
        counts.map(|(count, one, many)| format!("{count} {}", if *count == 1 { one } else { many })).collect();
    page.line(0, &[plain(format!("{a} and {b} differ in {}", counts.join(", ")))])
}

fn heading(text: &str, count: usize, page: &mut Page) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    page.blank()?;
    page.line(0, &[span(STRONG, text), plain(format!(" ({count})"))])
}

fn controls(controls: &[&Control], name: &str, page: &mut Page) -> io::Result<()> {
    heading(&format!("Controls only in {name}"), controls.len(), page)?;
    for control in controls {
        page.item(2, plain(severity(control)), 10, &[plain(&control.id)])?;
        page.line(12, &[span(FAINT, &control.title)])?;
    }
    Ok(())
}

fn sides(sides: &[(&str, &str); 2], page: &mut Page) -> io::Result<()> {
    let width = sides.iter().map(|(name, _)| crate::render::style::columns(name)).max().unwrap_or(0).min(30) + 2;
    for (name, value) in sides {
        page.item(INDENT, span(FAINT, *name), width, &[plain(*value)])?;
    }
    Ok(())
}

fn waivers(waivers: &[&Waiver], name: &str, page: &mut Page) -> io::Result<()> {
    heading(&format!("Waivers only in {name}"), waivers.len(), page)?;
    for waiver in waivers {
        super::waiver(waiver, page)?;
    }
    Ok(())
}
