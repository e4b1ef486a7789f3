//! The report as JUnit XML, as GitLab, Jenkins and others read it: an area is a suite, a finding a test case.

use std::io::{self, Write};

use super::markup::{attribute, text};
use super::{place, sentences};
use crate::finding::{Finding, Status};
use crate::report::Report;

/// Counts of test cases.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

impl Counts {
    fn of(findings: &[&Finding]) -> Self {
        let mut counts = Self { tests: findings.len(), ..Self::default() };
        for finding in findings {
            match finding.status {
                Status::Drift => counts.failures += 1,
                Status::Unknown => counts.errors += 1,
                Status::Waived | Status::NotApplicable => counts.skipped += 1,
                Status::Compliant => {}
            }
        }
        counts
    }

    fn attributes(&self) -> String {
        let Self { tests, failures, errors, skipped } = self;
        format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\"")
    }
}

/// Writes a report as one `testsuites` element.
///
/// Drift is a failure, what is unknown an error, what is waived or not applicable is skipped. A run that failed is an error of a test
/// case of its own.
///
/// # Errors
/// Those of `out`.
pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let failed = report.outcome.as_ref().filter(|outcome| outcome.failed);
    let mut all = Counts::of(&report.findings.iter().collect::<Vec<_>>());
    all.tests += usize::from(failed.is_some());
    all.errors += usize::from(failed.is_some());
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"{}\" {}>", attribute(&report.tool.name), all.attributes())?;
    if let Some(outcome) = failed {
        let counts = Counts { tests: 1, errors: 1, ..Counts::default() };
        begin("run", counts, report, out)?;
        writeln!(out, "    <testcase classname=\"harden\" name=\"run\" time=\"0\">")?;
        let first = outcome.msg.lines().next().unwrap_or_default();
        writeln!(out, "      <error type=\"failed\" message=\"{}\">{}</error>", attribute(first), text(&outcome.msg))?;
        writeln!(out, "    </testcase>\n  </testsuite>")?;
    }
    let mut findings: Vec<&Finding> = report.findings.iter().collect();
    findings.sort_by_key(|finding| finding.area);
    for of_area in findings.chunk_by(|a, b| a.area == b.area) {
        let Some(first) = of_area.first() else { continue };
        begin(first.area.name(), Counts::of(of_area), report, out)?;
        for finding in of_area {
            test_case(finding, report, out)?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn begin(name: &str, counts: Counts, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let hostname = match report.host.hostname.as_str() {
        "" => String::new(),
        hostname => format!(" hostname=\"{}\"", attribute(hostname)),
    };
    writeln!(out, "  <testsuite name=\"{}\" {} time=\"0\"{hostname}>", attribute(name), counts.attributes())?;
    let properties = [
        ("harden.version", &report.tool.version),
        ("root", &report.host.root),
        ("baseline", &report.baseline.name),
        ("baseline.digest", &report.baseline.digest),
    ];
    writeln!(out, "    <properties>")?;
    for (name, value) in properties.into_iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(out, "      <property name=\"{name}\" value=\"{}\"/>", attribute(value))?;
    }
    writeln!(out, "    </properties>")
}

fn test_case(finding: &Finding, report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let place = place::of(finding, place::is_build(report)).filter(|place| !place.path.is_empty());
    let file = place.map(|place| format!(" file=\"{}\"", attribute(place.path))).unwrap_or_default();
    let case = format!("{}: {}", finding.control, finding.target);
    write!(out, "    <testcase classname=\"harden.{}\" name=\"{}\"{file} time=\"0\"", finding.area.name(), attribute(&case))?;
    let message = attribute(&sentences::standing(finding));
    match finding.status {
        Status::Compliant => return writeln!(out, "/>"),
        Status::Drift => {
            let severity = super::text::findings::name(finding.severity);
            writeln!(out, ">\n      <failure type=\"{severity}\" message=\"{message}\">{}</failure>", text(&told(finding)))?;
        }
        Status::Unknown => {
            writeln!(out, ">\n      <error type=\"unknown\" message=\"{message}\">{}</error>", text(&told(finding)))?;
        }
        Status::Waived | Status::NotApplicable => writeln!(out, ">\n      <skipped message=\"{message}\"/>")?,
    }
    writeln!(out, "    </testcase>")
}

/// All that a reader needs, a line each.
fn told(finding: &Finding) -> String {
    let mut lines = vec![finding.title.clone(), format!("{} {}", finding.target, sentences::standing(finding))];
    lines.extend(finding.evidence.iter().map(|text| format!("seen: {text}")));
    lines.push(format!("why: {}", finding.why));
    lines.extend(sentences::fix(finding).map(|fix| format!("fix: {fix}")));
    lines.extend(finding.impact.iter().map(|impact| format!("impact: {impact}")));
    if !finding.references.is_empty() {
        lines.push(format!("references: {}", finding.references.join(", ")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    fn rendered(report: &Report) -> String {
        let mut out = Vec::new();
        render(report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn statuses_as_test_cases() {
        let xml = rendered(&samples::drift());
        let expected = [
            "<testsuites name=\"harden\" tests=\"33\" failures=\"7\" errors=\"1\" skipped=\"4\">",
            "  <testsuite name=\"daemon\" tests=\"17\" failures=\"5\" errors=\"0\" skipped=\"1\" time=\"0\" hostname=\"web-1\">",
            "<testcase classname=\"harden.daemon\" name=\"daemon-icc-off: icc\" time=\"0\">\n      <failure type=\"high\" message=\"is true, \
             should be false\">What holds on a compliant host\nicc is true, should be false\nseen: /etc/docker/daemon.json:3:10 icc\n",
            "<skipped message=\"not applicable: containerd is not installed\"/>",
            "<skipped message=\"is not set, should be default; waived: until 2027-03-31: images share volumes with the host (OPS-1412)\"/>",
            "name=\"file-registry-certs-owner: /etc/docker/certs.d/registry.example/ca.crt\" file=\"/etc/docker/certs.d/registry.example/\
             ca.crt\" time=\"0\">\n      <error type=\"unknown\" message=\"could not be observed: cannot open /etc/docker/certs.d: EACCES",
            "<testcase classname=\"harden.socket\" name=\"socket-docker-mode: a target\" time=\"0\"/>",
        ];
        for text in expected {
            assert!(xml.contains(text), "{text}\n{xml}");
        }
    }

    #[test]
    fn a_run_that_failed_is_an_error() {
        let xml = rendered(&samples::early_failure());
        let expected = "<testcase classname=\"harden\" name=\"run\" time=\"0\">\n      <error type=\"failed\" message=\"mine.toml:3:1: unknown key \
                        `sevrity`\">mine.toml:3:1: unknown key `sevrity`</error>";
        assert!(xml.contains(expected), "{xml}");
        assert!(xml.contains("<testsuites name=\"harden\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">"), "{xml}");
    }
}
