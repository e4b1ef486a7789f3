//! `harden explain CONTROL`: the row, in sentences.

use std::fmt::Write;

use crate::assess;
use crate::baseline::control::Control;
use crate::baseline::{Catalogue, builtin_names, nearest};
use crate::cli::{Common, Format};
use crate::commands::{Ending, output};
use crate::error::{Error, Result};
use crate::kinds::describe;
use crate::render::style::{Page, plain, span};

const LABEL: anstyle::Style = anstyle::Style::new().bold();
const LABEL_COLUMNS: usize = 12;

/// Explains one control.
pub fn run(common: &Common, id: &str) -> Result<Ending> {
    let catalogue = Catalogue::builtin();
    let Some(control) = catalogue.control(id) else {
        let help = match nearest(id, catalogue.ids()) {
            Some(near) => format!("harden explain {near}"),
            None => "harden baseline show guide lists them".into(),
        };
        return Err(Error::usage(format!("there is no control `{id}`")).help(help));
    };
    let text = match common.format {
        Format::Json => serde_json::to_string_pretty(control).map_err(|error| Error::failure(error.to_string()))? + "\n",
        Format::Text => explain(common, control),
    };
    output::bytes_out(common, text.as_bytes())?;
    Ok(Ending::Done)
}

fn explain(common: &Common, control: &Control) -> String {
    let view = output::view(common, crate::render::text::Tense::Would);
    let mut text = String::new();
    let _ = writeln!(text, "{}\n{}\n", control.id, control.title);
    let severity = format!("{:?}", control.severity).to_lowercase();
    let risk = match assess::name(control.risk) {
        "safe" => "safe: interrupts nothing".to_owned(),
        "restart" => "restart: dockerd restarts; containers keep running by live-restore".to_owned(),
        other => format!("{other}: planned only with --max-risk {other}"),
    };
    let baselines: Vec<_> = builtin_names()
        .filter(|name| {
            crate::baseline::load(name, &[]).is_ok_and(|baseline| baseline.controls.iter().any(|other| other.id == control.id))
        })
        .collect();
    let level = control.level.map(|level| format!(" (CIS level {level})")).unwrap_or_default();
    let rows = [
        ("Why", control.why.clone()),
        ("Severity", severity),
        ("Wanted", describe::wanted(&control.want)),
        ("Observed", describe::observed(&control.want)),
        ("Fix", describe::fix(&control.want)),
        ("Risk", risk),
        ("May break", control.impact.clone().unwrap_or_else(|| "nothing known".into())),
        ("Baselines", if baselines.is_empty() { "none".into() } else { baselines.join(", ") }),
        ("References", control.references().join(", ") + &level),
    ];
    for (label, words) in rows {
        let mut line = Vec::new();
        // Writing to memory does not fail.
        let _ = Page::new(&mut line, view.color, view.width).item(0, span(LABEL, label), LABEL_COLUMNS, &[plain(words)]);
        text.push_str(&String::from_utf8_lossy(&line));
    }
    text
}
