//! What would be or was written, what puts it in force, and what is left to do by hand.

use std::collections::HashMap;
use std::io;

use super::findings::SHOWN;
use super::ranges::first_ranges;
use super::{Tense, View};
use crate::change::{Action, Activation};
use crate::render::diff::{self, LineKind};
use crate::render::style::{BAD, FAINT, GOOD, PLACE, PLAIN, Page, STRONG, WARN, plain, span};
use crate::report::{ChangeView, Report};

/// Where the text of a change and of an activation stands.
const INDENT: usize = 2;

/// Changes and activations, in the tense of the view.
pub fn section(report: &Report, view: &View, page: &mut Page) -> io::Result<()> {
    let failed = report.outcome.as_ref().is_some_and(|outcome| outcome.failed);
    let heading = match (view.tense, failed) {
        (_, true) => "What was to be changed",
        (Tense::Would, false) => "What would change",
        (Tense::Did, false) => "What was changed",
    };
    if !report.changes.is_empty() {
        page.blank()?;
        page.line(0, &[span(STRONG, heading)])?;
        changes(&report.changes, view, failed, page)?;
    }
    match (&report.outcome, view.tense) {
        (Some(outcome), Tense::Did) => done(&outcome.activated, &report.activations, view, page),
        _ => activations(&report.activations, page),
    }
}

/// Changes of owner or mode, or of containers, that the same controls ask for are cut short after the first few; after a failure, when nothing
/// of it is in place, only the summaries are shown.
fn changes(changes: &[ChangeView], view: &View, failed: bool, page: &mut Page) -> io::Result<()> {
    if view.verbose {
        return changes.iter().try_for_each(|change| one(change, true, page));
    }
    let mut groups: Vec<Vec<&ChangeView>> = Vec::new();
    let mut places: HashMap<(&str, &[String]), usize> = HashMap::new();
    for change in changes {
        let place = match change.kind.as_str() {
            "metadata" | "container" => *places.entry((&change.kind, &change.controls)).or_insert(groups.len()),
            _ => groups.len(),
        };
        match groups.get_mut(place) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    for group in groups {
        for change in group.iter().take(SHOWN) {
            one(change, !failed, page)?;
        }
        let rest: Vec<_> = group.iter().skip(SHOWN).map(|change| change.id.as_str()).collect();
        if !rest.is_empty() {
            let text = format!("and {} more like these: {} (-v shows them all)", rest.len(), first_ranges(&rest));
            page.blank()?;
            page.line(INDENT, &[span(FAINT, text)])?;
        }
    }
    Ok(())
}

fn one(change: &ChangeView, with_diff: bool, page: &mut Page) -> io::Result<()> {
    // Wide enough for `c99`, and what comes below stays aligned with the summary.
    let column = change.id.len().max(2) + 2;
    if with_diff {
        page.blank()?;
    }
    page.item(INDENT, span(STRONG, &change.id), column, &[span(STRONG, &change.summary)])?;
    if !with_diff {
        return Ok(());
    }
    page.line(INDENT + column, &[span(FAINT, format!("for {}", change.controls.join(", ")))])?;
    diff(&change.diff, INDENT + column, page)
}

/// A unified diff, line by line, its changed words marked.
pub fn diff(diff: &str, indent: usize, page: &mut Page) -> io::Result<()> {
    for line in diff::marked(diff) {
        let style = match line.kind {
            LineKind::Header => STRONG,
            LineKind::Hunk => PLACE,
            LineKind::Context => PLAIN,
            LineKind::Removed => BAD,
            LineKind::Added => GOOD,
            LineKind::Note => FAINT,
        };
        let parts: Vec<_> =
            line.parts.iter().map(|(mark, text)| span(if *mark { style.bold().invert() } else { style }, text)).collect();
        page.verbatim(indent, &parts)?;
    }
    Ok(())
}

/// What would be done to put the changes in force.
fn activations(activations: &[Activation], page: &mut Page) -> io::Result<()> {
    if activations.is_empty() {
        return Ok(());
    }
    page.blank()?;
    page.line(0, &[span(STRONG, "What that interrupts")])?;
    for activation in activations {
        page.blank()?;
        announce(activation, page)?;
        if activation.by_hand.is_some() {
            by_hand(activation, page)?;
        }
    }
    Ok(())
}

fn announce(activation: &Activation, page: &mut Page) -> io::Result<()> {
    let changes: Vec<_> = activation.changes.iter().map(String::as_str).collect();
    let changes = if changes.is_empty() { String::new() } else { format!("  for {}", first_ranges(&changes)) };
    let style = if activation.action == Action::DockerRestart { WARN.bold() } else { STRONG };
    page.line(INDENT, &[span(style, words(activation.action)), span(FAINT, changes)])?;
    page.line(INDENT + 4, &[plain(&activation.reason)])
}

/// What was done to put the changes in force, and what harden could not do itself.
fn done(activated: &[Action], activations: &[Activation], view: &View, page: &mut Page) -> io::Result<()> {
    if !activated.is_empty() {
        page.blank()?;
        page.line(0, &[span(STRONG, "What was put in force")])?;
    }
    for action in activated {
        page.line(INDENT, &[span(GOOD, view.good()), plain(" "), plain(words(*action))])?;
    }
    let left: Vec<_> = activations.iter().filter(|activation| activation.by_hand.is_some()).collect();
    if !left.is_empty() {
        page.blank()?;
        page.line(0, &[span(WARN.bold(), "What is left to do by hand")])?;
    }
    for activation in left {
        page.blank()?;
        announce(activation, page)?;
        by_hand(activation, page)?;
    }
    Ok(())
}

/// The reason, then each command between backquotes on a line of its own, to be copied.
fn by_hand(activation: &Activation, page: &mut Page) -> io::Result<()> {
    let text = activation.by_hand.as_deref().unwrap_or_default();
    for (index, part) in text.split('`').enumerate() {
        let part = part.trim();
        match index {
            _ if part.is_empty() => {}
            0 => page.line(INDENT + 4, &[span(WARN, "by hand: "), plain(part)])?,
            odd if odd % 2 == 1 => page.verbatim(INDENT + 8, &[span(STRONG, part)])?,
            _ if part == "." => {}
            _ => page.line(INDENT + 4, &[plain(part)])?,
        }
    }
    Ok(())
}

/// An activation as something to do.
pub fn words(action: Action) -> &'static str {
    match action {
        Action::AuditLoad => "Load the audit rules into the kernel",
        Action::Sysctl => "Set parameters of the running kernel",
        Action::SystemdReload => "Have systemd read its units again",
        Action::DockerReload => "Have dockerd read its configuration again (SIGHUP)",
        Action::DockerRestart => "Restart dockerd",
    }
}
