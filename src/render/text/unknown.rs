//! What could not be observed, and why.

use std::io;

use anstyle::AnsiColor;

use super::findings::{
    BADGE, INDENT, LABEL, SHOWN, TEXT, has_short_name, label, paragraph, reason, reasons, short_name, title,
};
use super::{View, counted};
use crate::finding::Finding;
use crate::render::style::{FAINT, Page, STRONG, Span, plain, span};

/// Reasons that keep several controls from being judged that are shown before "… for other reasons".
const REASONS: usize = 10;

/// One reason that keeps forty controls from being judged is told once; the others go by control.
pub fn section(findings: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let mut by_reason = reasons(findings);
    by_reason.retain(|_, group| group.iter().any(|finding| finding.control != group[0].control));
    let (shared, own): (Vec<&Finding>, Vec<_>) =
        findings.iter().copied().partition(|finding| by_reason.contains_key(reason(finding)));
    let mut groups: Vec<_> = shared.iter().filter_map(|finding| by_reason.remove(reason(finding))).collect();
    let shown = if view.verbose { groups.len() } else { REASONS };
    if groups.len() > shown {
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    }
    for group in groups.iter().take(shown) {
        for_one_reason(group, view, page)?;
    }
    let rest: usize = groups.iter().skip(shown).map(Vec::len).sum();
    if rest > 0 {
        page.line(TEXT, &[span(FAINT, format!("{rest} unknown for other reasons (-v shows them all)"))])?;
    }
    own.chunk_by(|a, b| a.control == b.control).try_for_each(|group| of_one_control(group, view, page))
}

fn unknown_badge<'t>() -> Span<'t> {
    span(AnsiColor::Magenta.on_default().bold(), "UNKNOWN")
}

fn unobserved(reason: &str, page: &mut Page) -> io::Result<()> {
    page.line(TEXT, &[plain("could not be observed: "), plain(reason)])
}

fn for_one_reason(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let Some(first) = group.first() else { return Ok(()) };
    let controls: Vec<_> = group.chunk_by(|a, b| a.control == b.control).collect();
    page.item(INDENT, unknown_badge(), BADGE, &[span(STRONG, counted(controls.len(), "control"))])?;
    unobserved(reason(first), page)?;
    if !view.verbose {
        return paragraph(controls.iter().map(|of| of[0].control.as_str()), view, page);
    }
    for finding in group {
        page.line(TEXT + 2, &[plain(&finding.control), plain("  "), plain(&finding.target)])?;
        if !finding.desired.is_empty() {
            page.item(TEXT + 2, span(FAINT, "wanted"), LABEL, &[plain(&finding.desired)])?;
        }
    }
    Ok(())
}

/// Targets that are long, such as paths; of many only the first few.
fn one_a_line(findings: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let shown = if view.verbose { findings.len() } else { SHOWN };
    findings.iter().take(shown).try_for_each(|finding| page.line(TEXT + 2, &[plain(&finding.target)]))?;
    match findings.len().checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(more) => page.line(TEXT + 2, &[span(FAINT, format!("and {more} more (-v shows them all)"))]),
    }
}

fn of_one_control(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    title(unknown_badge(), group, page)?;
    let reasons = reasons(group);
    let shown = if view.verbose { reasons.len() } else { SHOWN };
    for (reason, findings) in reasons.iter().take(shown) {
        unobserved(reason, page)?;
        match group.len() {
            1 => {}
            _ if findings.iter().all(|finding| has_short_name(&finding.target)) => {
                paragraph(findings.iter().map(|finding| short_name(&finding.target)), view, page)?;
            }
            _ => one_a_line(findings, view, page)?,
        }
    }
    let rest: usize = reasons.values().skip(shown).map(Vec::len).sum();
    if rest > 0 {
        page.line(TEXT, &[span(FAINT, format!("and {rest} more for other reasons (-v shows them all)"))])?;
    }
    match group.first() {
        Some(first) if view.verbose && !first.desired.is_empty() => label(page, "wanted", &[plain(&first.desired)]),
        _ => Ok(()),
    }
}
