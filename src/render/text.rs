//! The review that a person reads at a terminal: what is wrong and how bad, what would change, what that interrupts.

pub(super) mod changes;
pub(super) mod findings;
pub(super) mod ranges;
mod unknown;

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use crate::baseline::control::Severity;
use crate::finding::Status;
use crate::report::{Audit, Docker, Report, RunOutcome};

use super::style::{BAD, FAINT, GOOD, Page, STRONG, WARN, plain, span};

/// Columns where the terminal does not say.
const USUAL_WIDTH: usize = 80;
/// Longer lines than this are hard to read.
const WIDEST: usize = 110;

/// Whether the report tells of a plan or of a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    /// `check`, `plan`, `--dry-run`: what would change.
    Would,
    /// `apply`, `rollback`, `recover`: what was changed; the findings are those observed afterwards.
    Did,
}

/// How much of the report is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    All,
    /// The findings: what would change depends on a choice yet to be made.
    Findings,
    /// What would change: the findings were shown before.
    Changes,
}

/// How a report is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Whether colours are written.
    pub color: bool,
    /// Columns to wrap at.
    pub width: usize,
    /// Whether the reader's locale is UTF-8; otherwise the review's own words are ASCII.
    pub utf8: bool,
    /// Everything: each compliant control, each target, whole explanations.
    pub verbose: bool,
    /// Only the summary line, and what failed.
    pub quiet: bool,
    /// Plan or deed.
    pub tense: Tense,
    /// How much of it.
    pub part: Part,
    /// The options of this run (`-b essential`), to be repeated in the command suggested at the end; `None`: suggest none.
    pub options: Option<String>,
    /// Those of them that say which host it is, and where its transactions lie.
    pub place: String,
}

impl Default for View {
    /// Without colours, 80 columns, ASCII, no suggestion.
    fn default() -> Self {
        let (color, utf8, verbose, quiet) = (false, false, false, false);
        Self {
            color,
            width: USUAL_WIDTH,
            utf8,
            verbose,
            quiet,
            tense: Tense::Would,
            part: Part::All,
            options: None,
            place: String::new(),
        }
    }
}

impl View {
    /// As wide as the terminal behind `out` (at most 110 columns; 80 where there is none), in the locale of the environment.
    pub fn of(out: impl AsFd) -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).unwrap_or_default().to_lowercase();
        let utf8 = locale.contains("utf-8") || locale.contains("utf8");
        let width = terminal_width(out).filter(|width| *width > 0).unwrap_or(USUAL_WIDTH).min(WIDEST);
        Self { width, utf8, ..Self::default() }
    }

    fn good(&self) -> &'static str {
        if self.utf8 { "✓" } else { "ok" }
    }

    fn bad(&self) -> &'static str {
        if self.utf8 { "✗" } else { "FAILED" }
    }

    fn dash(&self) -> &'static str {
        if self.utf8 { "—" } else { "-" }
    }
}

/// Columns of the terminal behind a descriptor; `None` when there is none.
fn terminal_width(out: impl AsFd) -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize to the pointer, which is valid for the call; the descriptor is borrowed and open.
    let failed = unsafe { libc::ioctl(out.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) } != 0;
    (!failed).then_some(usize::from(size.ws_col))
}

/// Writes a unified diff by itself.
///
/// # Errors
/// Only those of `out`.
pub fn diff(diff: &str, view: &View, out: &mut dyn Write) -> io::Result<()> {
    changes::diff(diff, 0, &mut Page::new(out, view.color, view.width))
}

/// Writes the review of a report.
///
/// # Errors
/// Only those of `out`.
pub fn review(report: &Report, view: &View, out: &mut dyn Write) -> io::Result<()> {
    let page = &mut Page::new(out, view.color, view.width);
    if !view.quiet {
        if view.part != Part::Changes && (!report.host.root.is_empty() || !report.findings.is_empty()) {
            header(report, page)?;
        }
        if view.tense == Tense::Did {
            changes::section(report, view, page)?;
        }
        if view.part != Part::Changes {
            findings::section(report, view, page)?;
        }
        if view.tense == Tense::Would && view.part != Part::Findings {
            changes::section(report, view, page)?;
        }
        page.blank()?;
    }
    if view.part == Part::Changes {
        return Ok(());
    }
    let failed = report.outcome.as_ref().is_some_and(|outcome| outcome.failed);
    if !report.findings.is_empty() {
        summary(report, page)?;
    }
    if let Some(outcome) = &report.outcome
        && (!view.quiet || failed || report.findings.is_empty())
    {
        result(outcome, view, page)?;
        if let Some(line) = in_the_tree(&report.host.root, outcome).filter(|_| !view.quiet) {
            page.item(0, plain(""), LABEL, &[plain(line)])?;
        }
    }
    match next(report, view) {
        Some((command, what)) if !view.quiet => {
            page.item(0, span(FAINT, "Next"), LABEL, &[span(STRONG, command), plain("  "), span(FAINT, what)])
        }
        _ => Ok(()),
    }
}

/// Columns of the labels of header and end.
const LABEL: usize = 10;

fn header(report: &Report, page: &mut Page) -> io::Result<()> {
    let host = &report.host;
    let manager = if host.service_manager == "none" { "no service manager" } else { &host.service_manager };
    let about = match host.root.as_str() {
        "" => String::new(),
        // A URL is the name of a host that was not looked at.
        "/" if host.hostname.starts_with("tcp://") => format!(": {}; its machine was not looked at", docker(&host.docker)),
        "/" => {
            let audit = audit(&host.audit).map(|audit| format!("; {audit}")).unwrap_or_default();
            format!(": {}{audit}; {manager}", docker(&host.docker))
        }
        _ if host.hostname.is_empty() => ": an image tree".into(),
        root => format!(": the image tree {root}"),
    };
    let label = if host.root.is_empty() { "Build" } else { "Host" };
    page.item(0, span(FAINT, label), LABEL, &[span(STRONG, name(report)), plain(about)])?;
    if report.baseline.name.is_empty() {
        return Ok(());
    }
    let digest: String = report.baseline.digest.chars().take(12).collect();
    let digest = span(FAINT, format!(" ({digest})"));
    page.item(0, span(FAINT, "Baseline"), LABEL, &[span(STRONG, &report.baseline.name), digest])
}

/// The host's name; an image tree without one goes by its path, a Dockerfile by what it is.
pub(super) fn name(report: &Report) -> &str {
    match (report.host.hostname.as_str(), report.host.root.as_str()) {
        ("", "") => "Dockerfile",
        ("", root) => root,
        (hostname, _) => hostname,
    }
}

pub(super) fn docker(docker: &Docker) -> String {
    match (&docker.version, docker.running) {
        (Some(version), Some(true)) => format!("Docker {version}, running"),
        (Some(version), Some(false)) => format!("Docker {version}, not running"),
        (Some(version), None) => format!("Docker {version}, not known whether it runs"),
        (None, Some(true)) => "Docker of unknown version, running".into(),
        (None, Some(false)) => "Docker not running".into(),
        (None, None) => "not known whether Docker runs".into(),
    }
}

/// `None` when no control asked.
fn audit(audit: &Audit) -> Option<String> {
    if audit.installed.is_none() && audit.enabled.is_none() {
        return None;
    }
    let state = match audit.enabled {
        Some(0) => "kernel audit off",
        Some(2) => "kernel audit on, locked until the next boot",
        Some(_) => "kernel audit on",
        None => "not known whether the kernel audits",
    };
    let rules = audit.kernel_rules.filter(|_| audit.enabled.is_some_and(|enabled| enabled > 0));
    let rules = rules.map(|count| format!(", {}", counted(count, "rule"))).unwrap_or_default();
    let missing = if audit.installed == Some(false) { ", auditd not installed" } else { "" };
    Some(format!("{state}{rules}{missing}"))
}

/// The line to remember: `web-1: 3 not as wanted (1 critical, 2 high; 1 by hand), 12 compliant`.
fn summary(report: &Report, page: &mut Page) -> io::Result<()> {
    let counts = &report.summary;
    let mut text = vec![span(STRONG, name(report)), plain(": ")];
    if counts.has_drift() {
        let worst = findings::by_severity(&report.findings);
        let style = if worst.iter().any(|(severity, _)| *severity >= Severity::High) { BAD } else { WARN };
        let worst: Vec<_> = worst.iter().map(|(severity, count)| format!("{count} {}", findings::name(*severity))).collect();
        let by_hand = if counts.manual > 0 { format!("; {} by hand", counts.manual) } else { String::new() };
        text.push(span(style.bold(), format!("{} not as wanted", counts.drift + counts.manual)));
        text.push(plain(format!(" ({}{by_hand})", worst.join(", "))));
    } else {
        text.push(match (counts.unknown, counts.compliant + counts.waived) {
            (0, 0) => span(WARN.bold(), "nothing here to judge"),
            (0, _) => span(GOOD.bold(), "everything is as wanted"),
            _ => span(WARN.bold(), "no drift seen"),
        });
    }
    if counts.unknown > 0 {
        text.extend([plain(", "), span(WARN.bold(), format!("{} unknown", counts.unknown))]);
    }
    let rest = [(counts.waived, "waived"), (counts.compliant, "compliant"), (counts.not_applicable, "not applicable")];
    for (count, what) in rest.into_iter().filter(|(count, _)| *count > 0) {
        text.push(plain(format!(", {count} {what}")));
    }
    page.line(0, &text)
}

/// What came of it, and where the originals are.
fn result(outcome: &RunOutcome, view: &View, page: &mut Page) -> io::Result<()> {
    let sign = if outcome.failed { span(BAD.bold(), view.bad()) } else { span(GOOD.bold(), view.good()) };
    page.line(0, &[sign, plain(" "), span(STRONG, &outcome.msg)])?;
    match &outcome.transaction {
        Some(id) if !view.quiet => {
            let place = outcome.originals.as_ref().map(|place| format!(", in {place}")).unwrap_or_default();
            let text = [plain("kept as transaction "), span(STRONG, id), plain(place)];
            page.item(0, span(FAINT, "Originals"), LABEL, &text)
        }
        _ => Ok(()),
    }
}

/// An image would be delivered with its originals.
fn in_the_tree(root: &str, outcome: &RunOutcome) -> Option<String> {
    let state_dir = Path::new(outcome.originals.as_ref()?).ancestors().nth(2)?;
    (root != "/").then(|| format!("they are part of the tree; without a way back: rm -r {}", state_dir.display()))
}

/// The next command to type, and what it does.
fn next(report: &Report, view: &View) -> Option<(String, &'static str)> {
    let options = view.options.as_deref()?;
    let command = |words: &[&str]| words.iter().filter(|word| !word.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let worst = |status| findings::worst_first(&report.findings).into_iter().find(|finding| finding.status == status);
    match (&report.outcome, view.tense) {
        (Some(outcome), _) if outcome.failed && outcome.changed => {
            Some((command(&["harden recover", &view.place]), "puts back what could not be put back now"))
        }
        (Some(outcome), _) if outcome.failed => None,
        (Some(RunOutcome { changed: true, transaction: Some(id), .. }), Tense::Did) => {
            Some((command(&["harden rollback", id, &view.place]), "puts the originals back"))
        }
        (_, Tense::Did) => None,
        (_, Tense::Would) if !report.changes.is_empty() || !report.activations.is_empty() => {
            Some((command(&["harden apply", options, "--yes"]), "makes these changes"))
        }
        (_, Tense::Would) => {
            let finding = worst(Status::Drift).or_else(|| worst(Status::Unknown))?;
            Some((format!("harden explain {}", finding.control), "says what to do"))
        }
    }
}

/// `1 rule`, `2 rules`.
fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
