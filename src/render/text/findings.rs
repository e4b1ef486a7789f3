//! The findings: by area, worst first, one control on many targets as one entry.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use anstyle::AnsiColor;

use super::ranges::{first_ranges, ranges};
use super::{Tense, View, counted, unknown};
use crate::baseline::control::{Area, Risk, Severity};
use crate::finding::{Finding, FixKind, Status};
use crate::render::sentences::interrupts;
use crate::render::style::{BAD, FAINT, GOOD, Page, STRONG, Span, WARN, plain, span};
use crate::report::Report;

/// Columns of the badge, as wide as `CRITICAL` and two spaces.
pub const BADGE: usize = 10;
/// Where badges stand.
pub const INDENT: usize = 2;
/// Where the text of a finding stands.
pub const TEXT: usize = INDENT + BADGE;
/// Columns of the labels `seen`, `why`, `fix`, `impact`.
pub const LABEL: usize = 8;
/// So many names are shown in one paragraph; of more than these only the first [`SHOWN`].
const NAMES: usize = 20;
/// Targets of one control, and changes of one kind, that are shown before "and … more".
pub const SHOWN: usize = 5;

/// How many findings are not as wanted, by severity, worst first.
pub fn by_severity(findings: &[Finding]) -> Vec<(Severity, usize)> {
    let mut counts = BTreeMap::new();
    for finding in findings.iter().filter(|finding| finding.status == Status::Drift) {
        *counts.entry(finding.severity).or_insert(0) += 1;
    }
    counts.into_iter().rev().collect()
}

/// A severity in a sentence.
pub fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "critical",
        Severity::High => "high",
        Severity::Medium => "medium",
        Severity::Low => "low",
    }
}

/// Findings in the order in which they are read.
pub fn worst_first(findings: &[Finding]) -> Vec<&Finding> {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by(|a, b| {
        let key = |finding: &'_ Finding| (finding.area, finding.status, std::cmp::Reverse(finding.severity));
        key(a).cmp(&key(b)).then_with(|| a.control.cmp(&b.control)).then_with(|| place(&a.target).cmp(&place(&b.target)))
    });
    sorted
}

/// A target for sorting: lines and columns count as numbers.
fn place(target: &str) -> (&str, u64, u64, &str) {
    let (head, more) = target.split_once(" (").unwrap_or((target, ""));
    let mut parts = head.rsplitn(3, ':');
    let (column, line, path) = (parts.next(), parts.next(), parts.next());
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    match (path, number(line), number(column)) {
        (Some(path), Some(line), Some(column)) => (path, line, column, more),
        _ => (target, 0, 0, ""),
    }
}

/// Every area that has findings.
pub fn section(report: &Report, view: &View, page: &mut Page) -> io::Result<()> {
    let sorted = worst_first(&report.findings);
    for of_area in sorted.chunk_by(|a, b| a.area == b.area) {
        page.blank()?;
        area(of_area, view, page)?;
    }
    Ok(())
}

/// An area as a heading.
pub fn heading(area: Area) -> &'static str {
    match area {
        Area::Daemon => "Docker daemon",
        Area::Audit => "Audit rules",
        Area::File => "Files",
        Area::Socket => "Sockets",
        Area::Host => "Host",
        Area::Container => "Containers",
        Area::Image => "Images",
        Area::Swarm => "Swarm",
    }
}

fn area(findings: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let Some(first) = findings.first() else { return Ok(()) };
    let of = |status| -> Vec<&Finding> { findings.iter().copied().filter(|finding| finding.status == status).collect() };
    let wrong = of(Status::Drift).len();
    let still = if view.tense == Tense::Did { "still " } else { "" };
    let count = if wrong > 0 { format!("  {wrong} {still}not as wanted") } else { String::new() };
    page.line(0, &[span(STRONG, heading(first.area)), span(FAINT, count)])?;
    for group in of(Status::Drift).chunk_by(|a, b| a.control == b.control && a.fix.kind == b.fix.kind) {
        drift(group, view, page)?;
    }
    unknown::section(&of(Status::Unknown), view, page)?;
    for group in of(Status::Waived).chunk_by(|a, b| a.control == b.control) {
        waived(group, view, page)?;
    }
    compliant(&of(Status::Compliant), view, page)?;
    not_applicable(&of(Status::NotApplicable), view, page)
}

fn drift(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let Some(first) = group.first() else { return Ok(()) };
    let (text, style) = match first.severity {
        Severity::Critical => ("CRITICAL", AnsiColor::White.on(AnsiColor::Red).bold()),
        Severity::High => ("HIGH", BAD.bold()),
        Severity::Medium => ("MEDIUM", WARN.bold()),
        Severity::Low => ("LOW", AnsiColor::Cyan.on_default().bold()),
    };
    title(span(style, text), group, page)?;
    targets(group, view, page)?;
    let why = if view.verbose { &first.why } else { first_sentence(&first.why) };
    label(page, "why", &[plain(why)])?;
    fix(group, view, page)?;
    match &first.impact {
        Some(impact) if first.risk != Risk::Safe => label(page, "impact", &[span(WARN, impact)]),
        _ => Ok(()),
    }
}

/// Badge, control, and the target where there is only one.
pub fn title(badge: Span, group: &[&Finding], page: &mut Page) -> io::Result<()> {
    let Some(first) = group.first() else { return Ok(()) };
    let target = if group.len() > 1 { counted(group.len(), "target") } else { first.target.clone() };
    page.item(INDENT, badge, BADGE, &[span(STRONG, &first.control), plain("  "), plain(target)])
}

/// What is and what should be, once if it is the same everywhere, and the targets if there are several.
fn targets(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let Some(first) = group.first() else { return Ok(()) };
    if group.len() > 1 && group.iter().all(|finding| has_short_name(&finding.target)) {
        return named(group, view, page);
    }
    let same = group.iter().all(|finding| finding.observed == first.observed && finding.desired == first.desired);
    let same_evidence = group.iter().all(|finding| finding.evidence == first.evidence);
    if same {
        page.line(TEXT, &is_should(first, view))?;
    }
    if group.len() > 1 {
        let shown = if view.verbose { group.len() } else { SHOWN };
        for finding in group.iter().take(shown) {
            let mut text = vec![plain(&finding.target)];
            if !same {
                text.push(plain(": "));
                text.extend(is_should(finding, view));
            }
            page.item(TEXT, plain(" "), 2, &text)?;
            // Where many files differ only in what was seen, that is told for each only if asked for.
            if !same_evidence && (view.verbose || group.len() <= SHOWN) {
                evidence(finding, 2, page)?;
            }
        }
        if group.len() > shown {
            page.line(TEXT + 2, &[span(FAINT, format!("and {} more (-v shows them all)", group.len() - shown))])?;
        }
    }
    // An accepted finding is not to be looked into again, unless asked for.
    let asked = view.verbose || first.status != Status::Waived;
    if same_evidence && asked { evidence(first, 0, page) } else { Ok(()) }
}

/// Containers and images have short names, of which many fit on a line.
pub fn has_short_name(target: &str) -> bool {
    ["container:", "image:"].iter().any(|kind| target.starts_with(kind))
}

/// What is and should be, once for all of which the same was seen, and their names in one paragraph.
fn named(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let mut alike: BTreeMap<_, Vec<&Finding>> = BTreeMap::new();
    for finding in group {
        alike.entry((&finding.observed, &finding.desired)).or_default().push(finding);
    }
    let mut alike: Vec<_> = alike.into_values().collect();
    let shown = if view.verbose { alike.len() } else { SHOWN };
    if alike.len() > shown {
        alike.sort_by_key(|findings| std::cmp::Reverse(findings.len()));
    }
    for findings in alike.iter().take(shown) {
        let Some(first) = findings.first() else { continue };
        page.line(TEXT, &is_should(first, view))?;
        paragraph(findings.iter().map(|finding| short_name(&finding.target)), view, page)?;
        let same_evidence = findings.iter().all(|finding| finding.evidence == first.evidence);
        for finding in findings.iter().take(if same_evidence { 1 } else { findings.len() }) {
            if same_evidence || view.verbose {
                evidence(finding, 2, page)?;
            }
        }
    }
    let rest: usize = alike.iter().skip(shown).map(Vec::len).sum();
    if rest > 0 {
        let text = format!("and {rest} more of which something else was seen (-v shows them all)");
        page.line(TEXT, &[span(FAINT, text)])?;
    }
    Ok(())
}

/// The name of a container or an image, any other target as it is.
pub fn short_name(target: &str) -> &str {
    if has_short_name(target) { target.split_once(':').map_or(target, |(_, name)| name) } else { target }
}

/// Names side by side; of many only the first few.
pub fn paragraph<'f>(names: impl ExactSizeIterator<Item = &'f str>, view: &View, page: &mut Page) -> io::Result<()> {
    let count = names.len();
    let shown = if view.verbose || count <= NAMES { count } else { SHOWN };
    let more = if count > shown { format!(" and {} more (-v shows them all)", count - shown) } else { String::new() };
    page.item(TEXT, plain(" "), 2, &[plain(names.take(shown).collect::<Vec<_>>().join(", ")), span(FAINT, more)])
}

fn is_should<'f>(finding: &'f Finding, view: &View) -> [Span<'f>; 4] {
    [plain("is "), span(BAD, &finding.observed), plain(format!(" {} should be ", view.dash())), span(GOOD, &finding.desired)]
}

fn evidence(finding: &Finding, indent: usize, page: &mut Page) -> io::Result<()> {
    for (index, text) in finding.evidence.iter().enumerate() {
        let label = if index == 0 { "seen" } else { "" };
        page.item(TEXT + indent, span(FAINT, label), LABEL, &[span(FAINT, text)])?;
    }
    Ok(())
}

pub fn label(page: &mut Page, label: &'static str, text: &[Span]) -> io::Result<()> {
    page.item(TEXT, span(FAINT, label), LABEL, text)
}

/// Who fixes it, and how.
fn fix(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    let Some(first) = group.first() else { return Ok(()) };
    if first.fix.kind == FixKind::Automatic {
        let mut seen = BTreeSet::new();
        let ids = group.iter().flat_map(|finding| &finding.fix.changes).map(String::as_str);
        let changes: Vec<&str> = ids.filter(|id| seen.insert(*id)).collect();
        let risk = interrupts(first.risk);
        let changes = if changes.is_empty() {
            String::new()
        } else {
            format!(" ({})", if view.verbose { ranges(&changes) } else { first_ranges(&changes) })
        };
        return label(page, "fix", &[span(GOOD, "automatic"), plain(format!("{changes}, {risk}"))]);
    }
    each_reason(group, "fix", "by hand: ", view, page)
}

/// The reasons that the findings of one control give, each once.
fn each_reason(group: &[&Finding], name: &'static str, before: &'static str, view: &View, page: &mut Page) -> io::Result<()> {
    let reasons = reasons(group);
    let shown = if view.verbose { reasons.len() } else { SHOWN };
    for (index, reason) in reasons.keys().take(shown).enumerate() {
        let (name, before) = if index == 0 { (name, before) } else { ("", "") };
        label(page, name, &[span(WARN, before), plain(*reason)])?;
    }
    match reasons.len().checked_sub(shown) {
        None | Some(0) => Ok(()),
        Some(more) => label(page, "", &[span(FAINT, format!("and {more} more (-v shows them all)"))]),
    }
}

fn waived(group: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    title(span(FAINT.bold(), "WAIVED"), group, page)?;
    targets(group, view, page)?;
    each_reason(group, "waived", "", view, page)
}

fn compliant(findings: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut count = format!("{} compliant", findings.len());
    let notes = findings.iter().filter(|finding| finding.fix.reason.is_some()).count();
    if notes > 0 && !view.verbose {
        count.push_str(&format!(", {notes} with a note (-v shows)"));
    }
    page.item(INDENT, span(GOOD, view.good()), BADGE, &[plain(count)])?;
    for finding in findings.iter().filter(|_| view.verbose) {
        let text = [plain(&finding.control), plain("  "), plain(&finding.target), plain("  "), span(FAINT, &finding.observed)];
        page.line(TEXT + 2, &text)?;
        if let Some(note) = &finding.fix.reason {
            page.item(TEXT + 2, span(FAINT, "note"), LABEL, &[plain(note)])?;
        }
    }
    Ok(())
}

fn not_applicable(findings: &[&Finding], view: &View, page: &mut Page) -> io::Result<()> {
    if findings.is_empty() {
        return Ok(());
    }
    let mut reasons: Vec<_> = reasons(findings).into_iter().collect();
    reasons.sort_by_key(|(_, findings)| std::cmp::Reverse(findings.len()));
    let shown = if view.verbose { reasons.len() } else { SHOWN };
    for (index, (reason, findings)) in reasons.iter().take(shown).enumerate() {
        let mark = if index == 0 { "n/a" } else { "" };
        let text = format!("{} not applicable: {reason}", findings.len());
        page.item(INDENT, span(FAINT, mark), BADGE, &[span(FAINT, text)])?;
        for finding in findings.iter().filter(|_| view.verbose) {
            page.line(TEXT + 2, &[span(FAINT, &finding.control), plain("  "), span(FAINT, &finding.target)])?;
        }
    }
    let rest: usize = reasons.iter().skip(shown).map(|(_, findings)| findings.len()).sum();
    if rest > 0 {
        page.line(TEXT, &[span(FAINT, format!("{rest} not applicable for other reasons (-v shows them all)"))])?;
    }
    Ok(())
}

/// Findings by the reason they give.
pub fn reasons<'f>(findings: &[&'f Finding]) -> BTreeMap<&'f str, Vec<&'f Finding>> {
    let mut reasons: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for finding in findings {
        reasons.entry(reason(finding)).or_default().push(*finding);
    }
    reasons
}

pub fn reason(finding: &Finding) -> &str {
    finding.fix.reason.as_deref().unwrap_or("no reason is given")
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(text: &str) -> &str {
    text.split_inclusive(". ").next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        assert_eq!(first_sentence("One, e.g.this. Two."), "One, e.g.this.");
        assert_eq!(first_sentence("One"), "One");
    }
}
