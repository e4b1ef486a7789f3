//! The report as one HTML file of its own: no script, nothing to load, and whatever comes from the host is text.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::diff::{self, LineKind};
use super::markup::{attribute, text};
use super::sentences;
use super::text::findings::{by_severity, heading, name as severity, worst_first};
use super::text::ranges::ranges;
use super::text::{Tense, changes::words, docker, name};
use crate::baseline::control::Risk;
use crate::change::Activation;
use crate::finding::{Finding, FixKind, Status};
use crate::report::{ChangeView, Report};

const TEMPLATE: &str = include_str!("../../templates/report.html");

/// Writes a report as one HTML document.
///
/// # Errors
/// Those of `out`.
pub fn render(report: &Report, tense: Tense, out: &mut dyn Write) -> io::Result<()> {
    let changes = changes(report, tense);
    let (before, after) = if tense == Tense::Did { (changes, String::new()) } else { (String::new(), changes) };
    let tool = format!("{} {}", report.tool.name, report.tool.version);
    let parts = [
        ("title", text(&format!("{}: {}", title(report), verdict(report)))),
        ("facts", facts(report)),
        ("outcome", outcome(report)),
        ("counts", counts(report)),
        ("changes_before", before),
        ("findings", findings(report, tense)),
        ("changes_after", after),
        ("footer", text(&tool)),
    ];
    out.write_all(filled(TEMPLATE, &parts).as_bytes())
}

/// The template with its places filled, in one pass: what is filled in is not looked at again.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut pieces = template.split("{{");
    let mut page = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or(("", piece));
        page.extend(parts.iter().filter(|(part, _)| *part == name).map(|(_, value)| value.as_str()));
        page.push_str(rest);
    }
    page
}

fn title(report: &Report) -> &str {
    match report.host.root.is_empty() && report.findings.is_empty() {
        true => &report.tool.name,
        false => name(report),
    }
}

/// The report in a few words.
fn verdict(report: &Report) -> String {
    let counts = &report.summary;
    match &report.outcome {
        Some(outcome) if outcome.failed => "failed".into(),
        _ if counts.has_drift() => format!("{} not as wanted", counts.drift + counts.manual),
        Some(outcome) if report.findings.is_empty() => outcome.msg.clone(),
        _ if counts.unknown > 0 => format!("no drift seen, {} unknown", counts.unknown),
        _ if counts.compliant + counts.waived == 0 => "nothing here to judge".into(),
        _ => "everything is as wanted".into(),
    }
}

fn facts(report: &Report) -> String {
    let host = &report.host;
    let mut rows = Vec::new();
    match host.root.as_str() {
        "" => {}
        "/" if host.hostname.starts_with("tcp://") => {
            rows.push(("Docker", format!("{}; its machine was not looked at", docker(&host.docker))));
        }
        "/" => {
            rows.push(("Docker", docker(&host.docker)));
            rows.push(("Services", host.service_manager.clone()));
        }
        root => rows.push(("Image tree", root.to_owned())),
    }
    if !report.baseline.name.is_empty() {
        let digest: String = report.baseline.digest.chars().take(12).collect();
        let digest = if digest.is_empty() { digest } else { format!(" ({digest})") };
        rows.push(("Baseline", format!("{}{digest}", report.baseline.name)));
    }
    rows.iter().map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", text(value))).collect()
}

/// What came of a run that changed something, or failed.
fn outcome(report: &Report) -> String {
    let Some(outcome) = &report.outcome else { return String::new() };
    let (class, badge) = if outcome.failed { ("failed", "failed") } else { ("done", "done") };
    let kept = match &outcome.transaction {
        Some(id) => format!("<p class=\"faint\">Originals: transaction <code>{}</code></p>", text(id)),
        None => String::new(),
    };
    let lines: String = outcome.msg.lines().map(|line| format!("<p>{}</p>", text(line))).collect();
    format!("<article class=\"{class}\"><h3><span class=\"badge\">{badge}</span></h3>{lines}{kept}</article>\n")
}

fn counts(report: &Report) -> String {
    if report.findings.is_empty() {
        return String::new();
    }
    let counts = &report.summary;
    let worst: Vec<_> = by_severity(&report.findings).iter().map(|(of, count)| format!("{count} {}", severity(*of))).collect();
    let worst = if worst.is_empty() { String::new() } else { format!(" ({})", worst.join(", ")) };
    let rows = [
        (counts.drift + counts.manual, format!("not as wanted{worst}")),
        (counts.manual, "of these by hand".into()),
        (counts.unknown, "unknown".into()),
        (counts.waived, "waived".into()),
        (counts.compliant, "compliant".into()),
        (counts.not_applicable, "not applicable".into()),
    ];
    let row = |(count, what): &(usize, String)| format!("<li><b>{count}</b>{what}</li>\n");
    format!("<ul class=\"counts\">\n{}</ul>\n", rows.iter().map(row).collect::<String>())
}

/// By area, worst first; what is compliant, waived or not applicable is folded.
fn findings(report: &Report, tense: Tense) -> String {
    let mut html = String::new();
    for of_area in worst_first(&report.findings).chunk_by(|a, b| a.area == b.area) {
        let Some(first) = of_area.first() else { continue };
        let of = |status| -> Vec<&Finding> { of_area.iter().copied().filter(|finding| finding.status == status).collect() };
        let (drift, unknown) = (of(Status::Drift), of(Status::Unknown));
        let still = if tense == Tense::Did { "still " } else { "" };
        let count =
            if drift.is_empty() { String::new() } else { format!(" <small>{} {still}not as wanted</small>", drift.len()) };
        html.push_str(&format!("<section>\n<h2>{}{count}</h2>\n", heading(first.area)));
        html.extend(
            drift.chunk_by(|a, b| a.control == b.control && a.fix.kind == b.fix.kind).map(|group| card(group, severity)),
        );
        html.extend(unknown.chunk_by(|a, b| a.control == b.control).map(|group| card(group, |_| "unknown")));
        html.push_str(&folded("waived", &of(Status::Waived)));
        html.push_str(&folded("compliant", &of(Status::Compliant)));
        html.push_str(&folded("not applicable", &of(Status::NotApplicable)));
        html.push_str("</section>\n");
    }
    html
}

/// One control on its targets.
fn card(group: &[&Finding], class: fn(crate::baseline::control::Severity) -> &'static str) -> String {
    let Some(first) = group.first() else { return String::new() };
    let class = class(first.severity);
    let rows: String = group.iter().map(|finding| row(finding)).collect();
    let mut details = vec![("why", text(&first.why))];
    match (first.status, first.fix.kind) {
        (Status::Unknown, _) => details.extend(reasons(group).map(|reason| ("unknown", text(reason)))),
        (_, FixKind::Automatic) => details.push(("fix", text(&automatic(group)))),
        _ => details.extend(reasons(group).map(|reason| ("fix", text(&format!("by hand: {reason}"))))),
    }
    let impact = first.impact.iter().filter(|_| first.risk != Risk::Safe);
    details.extend(impact.map(|impact| ("impact", format!("<span class=\"warn\">{}</span>", text(impact)))));
    if !first.references.is_empty() {
        details.push(("references", text(&first.references.join(", "))));
    }
    let details: String = details.iter().map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>\n")).collect();
    format!(
        "<article class=\"{class}\">\n<h3><span class=\"badge\">{class}</span> {} <code class=\"faint\">{}</code></h3>\n\
         <table>\n<tr><th>target</th><th>is</th><th>should be</th></tr>\n{rows}</table>\n<dl>\n{details}</dl>\n</article>\n",
        text(&first.title),
        text(&first.control),
    )
}

/// What is done about all of them.
fn automatic(group: &[&Finding]) -> String {
    let changes: BTreeSet<_> = group.iter().flat_map(|finding| &finding.fix.changes).collect();
    let mut changes: Vec<&str> = changes.into_iter().map(String::as_str).collect();
    // c2 before c10.
    changes.sort_by_key(|id| id.len());
    let changes = if changes.is_empty() { String::new() } else { format!(" ({})", ranges(&changes)) };
    format!("automatic{changes}, {}", group.first().map_or("", |first| sentences::interrupts(first.risk)))
}

/// Each reason that is given, once.
fn reasons<'f>(group: &[&'f Finding]) -> impl Iterator<Item = &'f str> {
    let reasons: BTreeSet<_> = group.iter().filter_map(|finding| finding.fix.reason.as_deref()).collect();
    reasons.into_iter()
}

fn row(finding: &Finding) -> String {
    let note = finding.fix.reason.iter().filter(|_| finding.fix.kind == FixKind::Automatic);
    let note = note.map(|note| format!("<br><span class=\"warn\">{}</span>", text(note)));
    let seen = finding.evidence.iter().map(|seen| format!("<br><span class=\"faint\">seen: {}</span>", text(seen))).chain(note);
    let observed = if finding.status == Status::Unknown { "could not be observed" } else { &finding.observed };
    format!(
        "<tr><td><code>{}</code>{}</td><td class=\"is\">{}</td><td class=\"should\">{}</td></tr>\n",
        text(&finding.target),
        seen.collect::<String>(),
        text(observed),
        text(&finding.desired),
    )
}

fn folded(what: &str, findings: &[&Finding]) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let row = |finding: &&Finding| {
        let standing = text(&sentences::standing(finding));
        format!(
            "<tr><td>{}<br><code class=\"faint\">{}</code></td><td><code>{}</code></td><td>{standing}</td></tr>\n",
            text(&finding.title),
            text(&finding.control),
            text(&finding.target),
        )
    };
    let rows: String = findings.iter().map(row).collect();
    format!(
        "<details>\n<summary>{} {what}</summary>\n<table>\n<tr><th>control</th><th>target</th><th></th></tr>\n{rows}</table>\n</details>\n",
        findings.len()
    )
}

/// What would be or was written, and what puts it in force.
fn changes(report: &Report, tense: Tense) -> String {
    let failed = report.outcome.as_ref().is_some_and(|outcome| outcome.failed);
    let mut html = String::new();
    if !report.changes.is_empty() {
        let heading = match (tense, failed) {
            (_, true) => "What was to be changed",
            (Tense::Would, false) => "What would change",
            (Tense::Did, false) => "What was changed",
        };
        html.push_str(&format!(
            "<section>\n<h2>{heading}</h2>\n{}</section>\n",
            report.changes.iter().map(change).collect::<String>()
        ));
    }
    if !report.activations.is_empty() {
        let activations: String = report.activations.iter().map(activation).collect();
        html.push_str(&format!("<section>\n<h2>What puts it in force</h2>\n{activations}</section>\n"));
    }
    html
}

fn change(change: &ChangeView) -> String {
    let controls: Vec<_> = change.controls.iter().map(|control| format!("<code>{}</code>", text(control))).collect();
    format!(
        "<article id=\"{}\">\n<h3><code>{}</code> {}</h3>\n<p class=\"faint\">for {}</p>\n<pre>{}</pre>\n</article>\n",
        attribute(&change.id),
        text(&change.id),
        text(&change.summary),
        controls.join(", "),
        unified(&change.diff),
    )
}

/// A unified diff, line by line, its changed words marked.
fn unified(unified: &str) -> String {
    let mut html = String::new();
    for line in diff::marked(unified) {
        let class = match line.kind {
            LineKind::Header => "header",
            LineKind::Hunk => "hunk",
            LineKind::Context => "context",
            LineKind::Removed => "removed",
            LineKind::Added => "added",
            LineKind::Note => "note",
        };
        html.push_str(&format!("<span class=\"line {class}\">"));
        for (mark, part) in &line.parts {
            match mark {
                true => html.push_str(&format!("<mark>{}</mark>", text(part))),
                false => html.push_str(&text(part)),
            }
        }
        html.push_str("</span>");
    }
    html
}

fn activation(activation: &Activation) -> String {
    let by_hand = match &activation.by_hand {
        Some(how) => format!("<p><span class=\"warn\">by hand:</span> {}</p>\n", text(how)),
        None => String::new(),
    };
    let changes = activation.changes.join(", ");
    let changes = if changes.is_empty() { changes } else { format!(" <span class=\"faint\">for {}</span>", text(&changes)) };
    format!(
        "<article>\n<h3>{}{changes}</h3>\n<p>{}</p>\n{by_hand}</article>\n",
        text(words(activation.action)),
        text(&activation.reason)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn rendered(report: &Report, tense: Tense) -> String {
        let mut out = Vec::new();
        render(report, tense, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    /// Every tag that is opened is closed in its turn, and nothing is there that could load or run anything.
    fn sound(html: &str) {
        let mut open = Vec::new();
        let style = html.find("<style>").unwrap()..html.find("</style>").unwrap();
        assert!(!html[style.clone()].contains("url(") && !html[style].contains("@import"));
        for piece in html.split('<').skip(1) {
            let (tag, rest) = piece.split_once('>').unwrap_or_else(|| panic!("a tag without an end: {piece}"));
            assert!(!rest.contains('>') || open.last() == Some(&"style"), "a tag without a beginning: {rest}");
            let name = tag.split(' ').next().unwrap();
            assert!(!["script", "link", "img", "iframe", "object", "base", "form"].contains(&name), "{tag}");
            let outside_quotes: String = tag.split('"').step_by(2).collect();
            assert!(tag.matches('"').count() % 2 == 0, "{tag}");
            assert!(![" on", "src=", "href="].iter().any(|attribute| outside_quotes.contains(attribute)), "{tag}");
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name), "{tag}"),
                None if ["!DOCTYPE", "meta", "br"].contains(&name) => {}
                None => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new());
        assert!(!html.contains("{{") || html.contains("{{findings}}"), "a place is left unfilled");
    }

    #[test]
    fn every_sample_is_sound() {
        for (name, report) in samples::all() {
            for tense in [Tense::Would, Tense::Did] {
                let html = rendered(&report, tense);
                sound(&html);
                assert!(html.starts_with("<!DOCTYPE html>\n") && html.ends_with("</html>\n"), "{name}");
            }
        }
    }

    #[test]
    fn names_stay_text() {
        let mut report = samples::drift();
        let name = "container:<script>alert(\"1\")</script>{{findings}}' onload='x";
        for finding in &mut report.findings {
            for text in [&mut finding.control, &mut finding.target, &mut finding.title, &mut finding.why, &mut finding.observed]
            {
                *text = name.into();
            }
            finding.desired = name.into();
            finding.impact = Some(name.into());
            finding.evidence = vec![name.into()];
            finding.references = vec![name.into()];
            finding.fix.reason = Some(name.into());
        }
        for change in &mut report.changes {
            change.id = name.into();
            change.summary = name.into();
            change.controls = vec![name.into()];
            change.diff = format!("-{name}\n+{name}\n");
        }
        report.host.hostname = name.into();
        report.baseline.name = name.into();
        let html = rendered(&report, Tense::Would);
        sound(&html);
        assert!(html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;{{findings}}&#39; onload=&#39;x"));
        assert_eq!(html.matches("<h2>Docker daemon").count(), 1, "what is filled in is not filled again");
    }

    #[test]
    fn what_a_reader_looks_for() {
        let html = rendered(&samples::drift(), Tense::Would);
        let expected = [
            "<title>web-1: 7 not as wanted</title>",
            "<tr><th>Docker</th><td>Docker 24.0.7, running</td></tr>",
            "<li><b>7</b>not as wanted (2 critical, 1 high, 2 medium, 2 low)</li>",
            "<h2>Docker daemon <small>5 not as wanted</small></h2>",
            "<article class=\"critical\">\n<h3><span class=\"badge\">critical</span>",
            "<td class=\"is\">true</td><td class=\"should\">false</td>",
            "<span class=\"faint\">seen: /etc/docker/daemon.json:3:10 icc</span>",
            "<dt>fix</dt><dd>automatic (c1), restarts dockerd</dd>",
            "<dt>unknown</dt><dd>cannot open /etc/docker/certs.d: EACCES (Permission denied)</dd>",
            "<summary>1 waived</summary>",
            "<summary>3 not applicable</summary>",
            "<span class=\"line removed\">-  &quot;icc&quot;: <mark>true",
            "<h3>Restart dockerd <span class=\"faint\">for c1</span></h3>",
        ];
        for text in expected {
            assert!(html.contains(text), "{text}\n{html}");
        }
        let failed = rendered(&samples::early_failure(), Tense::Did);
        assert!(failed.contains("<title>harden: failed</title>"), "{failed}");
        assert!(failed.contains("<p>mine.toml:3:1: unknown key `sevrity`</p>"), "{failed}");
    }
}
