//! `harden explain CONTROL|VARIABLE`: the row, in sentences.

use serde_json::json;

use crate::assess;
use crate::baseline::control::Control;
use crate::baseline::{Catalogue, Variable, baselines_with, builtin_names, load, nearest, params_of, toml_text, variables_of};
use crate::cli::{Common, Format};
use crate::commands::{Ending, output};
use crate::error::{Error, Result};
use crate::expect::with_placeholders;
use crate::kinds::describe;
use crate::render::style::{Page, plain, span};

const LABEL: anstyle::Style = anstyle::Style::new().bold();
const LABEL_COLUMNS: usize = 12;

/// Explains one control, or one variable.
pub fn run(common: &Common, name: &str) -> Result<Ending> {
    let catalogue = Catalogue::builtin();
    let (value, head, rows) = if let Some(control) = catalogue.control(name) {
        (serde_json::to_value(control), [&control.id, &control.title], of_control(control))
    } else if let Some(variable) = catalogue.variable(name) {
        let mut value = serde_json::to_value(variable);
        if let Ok(value) = &mut value {
            value["used_by"] = json!(used_by(variable));
        }
        (value, [&variable.name, &variable.about], of_variable(variable))
    } else {
        return Err(unknown(name, catalogue));
    };
    let text = match common.format {
        Format::Json => {
            let value = value.and_then(|value| serde_json::to_string_pretty(&value));
            value.map_err(|error| Error::failure(error.to_string()))? + "\n"
        }
        _ => page(common, head, &rows),
    };
    output::bytes_out(common, text.as_bytes())?;
    Ok(Ending::Done)
}

fn unknown(name: &str, catalogue: &Catalogue) -> Error {
    let (control, variable) = (nearest(name, catalogue.ids()), nearest(name, catalogue.variable_names()));
    let help = match control.or(variable) {
        Some(near) => format!("harden explain {near}"),
        None => "harden baseline show guide lists them".into(),
    };
    let what = if control.is_none() && variable.is_some() { "control or variable" } else { "control" };
    Error::usage(format!("there is no {what} `{name}`")).help(help)
}

type Rows = Vec<(&'static str, String)>;

fn page(common: &Common, head: [&String; 2], rows: &Rows) -> String {
    let view = output::view(common, crate::render::text::Tense::Would);
    let mut bytes = Vec::new();
    let page = &mut Page::new(&mut bytes, view.color, view.width);
    // Writing to memory does not fail.
    for line in head {
        let _ = page.line(0, &[plain(line)]);
    }
    let _ = page.blank();
    for (label, words) in rows {
        let _ = page.item(0, span(LABEL, *label), LABEL_COLUMNS, &[plain(words)]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn of_control(control: &Control) -> Rows {
    let risk = match assess::name(control.risk) {
        "safe" => "safe: interrupts nothing".to_owned(),
        "restart" => "restart: dockerd restarts; containers keep running by live-restore".to_owned(),
        other => format!("{other}: planned only with --max-risk {other}"),
    };
    let params = params_of(control).into_iter().map(|(name, value)| format!("{name} (here {value})"));
    let variables = variables_of(control).into_iter().map(|name| with_default(&name));
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    vec![
        ("Why", control.why.clone()),
        ("Severity", format!("{:?}", control.severity).to_lowercase()),
        ("Wanted", with_placeholders(&describe::wanted(&control.want))),
        ("Observed", describe::observed(&control.want)),
        ("Fix", with_placeholders(&describe::fix(&control.want))),
        ("Risk", risk),
        ("May break", control.impact.clone().unwrap_or_else(|| "nothing known".into())),
        ("Parameters", or(params.collect::<Vec<_>>().join(", "), "none")),
        ("Variables", or(variables.collect::<Vec<_>>().join(", "), "none")),
        ("Baselines", or(baselines_with(&control.id).join(", "), "none")),
        ("References", references(control)),
    ]
}

fn with_default(name: &str) -> String {
    match Catalogue::builtin().variable(name).and_then(|variable| variable.default.as_ref()) {
        Some(default) => format!("{name} (default {})", toml_text(default)),
        None => format!("{name} (not set by default)"),
    }
}

fn references(control: &Control) -> String {
    let guide = (!control.guide.is_empty()).then(|| format!("guide {}", control.guide.join(", ")));
    let cis = (!control.cis.is_empty()).then(|| format!("CIS {}", cis(control)));
    let level = control.level.filter(|_| cis.is_none()).map(|level| format!("CIS level {level}"));
    let all: Vec<String> = [guide, cis, level].into_iter().flatten().collect();
    if all.is_empty() { "none".into() } else { all.join("; ") }
}

/// The ids of each version of the benchmark, and the level: `2.2 in 1.6 and 1.7, 2.3 in 1.8 (level 1)`.
pub fn cis(control: &Control) -> String {
    let mut by_id: Vec<(&str, Vec<&str>)> = Vec::new();
    for (version, id) in &control.cis {
        match by_id.iter_mut().find(|(other, _)| other == id) {
            Some((_, versions)) => versions.push(version),
            None => by_id.push((id, vec![version])),
        }
    }
    let list = |versions: &[&str]| match versions {
        [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
        versions => versions.concat(),
    };
    let ids: Vec<String> = by_id.iter().map(|(id, versions)| format!("{id} in {}", list(versions))).collect();
    let level = control.level.filter(|_| !ids.is_empty()).map(|level| format!(" (level {level})")).unwrap_or_default();
    ids.join(", ") + &level
}

fn of_variable(variable: &Variable) -> Rows {
    let default = variable.default.as_ref().map_or("not set; what needs it is reported, never guessed".into(), toml_text);
    let example = variable.default.as_ref().map_or("…".into(), toml_text);
    let set_by = builtin_names().filter_map(|name| {
        let value = load(name, &[]).ok()?.vars.get(&variable.name).cloned();
        value.filter(|value| variable.default.as_ref() != Some(value)).map(|value| format!("{} in {name}", toml_text(&value)))
    });
    let set_by: Vec<String> = set_by.collect();
    let used_by = used_by(variable);
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    vec![
        ("Must be", variable.expected().to_owned()),
        ("Default", default),
        ("Used by", or(used_by.join(", "), "no control")),
        ("Baselines", or(set_by.join(", "), "none sets it")),
        ("To set it", format!("[vars] {} = {example} in a baseline, or --set {}=VALUE", variable.name, variable.name)),
    ]
}

/// The controls whose rows refer to it.
fn used_by(variable: &Variable) -> Vec<&'static str> {
    let controls = Catalogue::builtin().controls.iter().filter(|control| variables_of(control).contains(&variable.name));
    controls.map(|control| control.id.as_str()).collect()
}
