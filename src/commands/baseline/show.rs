//! `harden baseline show NAME`: its controls, and what it says about them.

use std::io;

use serde_json::{Map, Value, json};

use super::{document, severity, waiver};
use crate::baseline::control::Control;
use crate::baseline::{Baseline, Catalogue, baselines_with, params_of, toml_text, variables_of};
use crate::cli::{Common, Format};
use crate::commands::{explain, output};
use crate::error::{Error, Result};
use crate::render::style::{FAINT, Page, STRONG, plain, span};
use crate::render::text::Tense;

/// Columns of the severities.
const BADGE: usize = 10;
/// Columns of the labels of a control's details.
const LABEL: usize = 12;

/// The baseline in the chosen format.
pub fn run(common: &Common, baseline: &Baseline) -> Result<String> {
    if common.format == Format::Json {
        return document(&as_json(baseline));
    }
    let view = output::view(common, Tense::Would);
    let mut bytes = Vec::new();
    as_text(baseline, common.verbose, &mut Page::new(&mut bytes, view.color, view.width))
        .map_err(|error| Error::failure(format!("cannot render the baseline: {error}")))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn as_json(baseline: &Baseline) -> Value {
    let controls = baseline.controls.iter().map(|control| {
        let params: Map<String, Value> =
            params_of(control).into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        json!({
            "id": control.id, "title": control.title, "area": control.area, "severity": control.severity,
            "risk": control.risk, "why": control.why, "impact": control.impact, "references": control.references(),
            "guide": control.guide, "cis": control.cis, "level": control.level, "params": params,
            "variables": variables(control), "baselines": baselines_with(&control.id), "want": control.want,
        })
    });
    json!({
        "name": baseline.name, "title": baseline.title, "about": baseline.about, "digest": baseline.digest,
        "extends": baseline.chain, "vars": baseline.vars, "waivers": baseline.waivers,
        "controls": controls.collect::<Vec<_>>(),
    })
}

/// The variables that the row behind a control refers to.
fn variables(control: &Control) -> Vec<String> {
    Catalogue::builtin().control(&control.id).map(variables_of).unwrap_or_default().into_iter().collect()
}

fn as_text(baseline: &Baseline, verbose: bool, page: &mut Page) -> io::Result<()> {
    page.line(0, &[span(STRONG, &baseline.name), plain(format!(": {}", baseline.title))])?;
    if !baseline.about.is_empty() {
        page.line(0, &[plain(&baseline.about)])?;
    }
    if let [parents @ .., _] = baseline.chain.as_slice()
        && !parents.is_empty()
    {
        page.line(0, &[plain(format!("Extends {}", parents.join(", then ")))])?;
    }
    for of_area in baseline.controls.chunk_by(|a, b| a.area == b.area) {
        page.blank()?;
        let area = of_area.first().map(|control| format!("{:?}", control.area).to_lowercase()).unwrap_or_default();
        page.line(0, &[span(STRONG, area), plain(format!(" ({})", of_area.len()))])?;
        for control in of_area {
            one(control, verbose, page)?;
        }
    }
    variables_in_force(baseline, page)?;
    if !baseline.waivers.is_empty() {
        page.blank()?;
        page.line(0, &[span(STRONG, "waivers"), plain(format!(" ({})", baseline.waivers.len()))])?;
        baseline.waivers.iter().try_for_each(|one| waiver(one, page))?;
    }
    page.blank()?;
    let more = if verbose {
        "harden explain CONTROL tells all of one."
    } else {
        "-v shows what each has; harden explain CONTROL tells all of one."
    };
    page.line(0, &[plain(format!("{} controls. {more}", baseline.controls.len()))])
}

fn one(control: &Control, verbose: bool, page: &mut Page) -> io::Result<()> {
    let level = control.level.map(|level| format!("  level {level}")).unwrap_or_default();
    page.item(2, plain(severity(control)), BADGE, &[plain(&control.id), span(FAINT, level)])?;
    page.line(2 + BADGE, &[span(FAINT, &control.title)])?;
    if !verbose {
        return Ok(());
    }
    let params = params_of(control).into_iter().map(|(name, value)| format!("{name} {value}"));
    let rows = [
        ("parameters", params.collect::<Vec<_>>().join(", ")),
        ("variables", variables(control).join(", ")),
        ("guide", control.guide.join(", ")),
        ("CIS", explain::cis(control)),
        ("baselines", baselines_with(&control.id).join(", ")),
    ];
    for (label, text) in rows.iter().filter(|(_, text)| !text.is_empty()) {
        page.item(2 + BADGE, span(FAINT, *label), LABEL, &[plain(text.as_str())])?;
    }
    Ok(())
}

/// The variables that this baseline's controls refer to, with the values that are in force.
fn variables_in_force(baseline: &Baseline, page: &mut Page) -> io::Result<()> {
    let used: std::collections::BTreeSet<String> = baseline.controls.iter().flat_map(variables).collect();
    if used.is_empty() {
        return Ok(());
    }
    page.blank()?;
    page.line(0, &[span(STRONG, "variables"), plain(format!(" ({})", used.len()))])?;
    for name in &used {
        let value = baseline.vars.get(name).map_or("not set".into(), toml_text);
        page.line(2, &[plain(format!("{name} = {value}"))])?;
    }
    Ok(())
}
