//! The report as SARIF 2.1.0 (OASIS), for code scanning.
//!
//! One control is one rule, one finding one result. Without `all` only what asks for attention is there: drift, what is unknown, and
//! what is waived (as suppressed); viewers that do not know `kind` would show the rest as alerts.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::place::{self, Place};
use super::{json, sentences};
use crate::baseline::control::Severity;
use crate::finding::{Finding, Status};
use crate::report::Report;

const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";
/// What paths of an image tree are relative to.
const TREE: &str = "TREE";

/// Writes a report as one SARIF log of one run. `exit` is the exit status of the program.
///
/// # Errors
/// Those of `out`.
pub fn render(report: &Report, exit: u8, all: bool, out: &mut dyn Write) -> io::Result<()> {
    let shown = |finding: &&Finding| all || !matches!(finding.status, Status::Compliant | Status::NotApplicable);
    let findings: Vec<&Finding> = report.findings.iter().filter(shown).collect();
    let mut rules: Vec<&Finding> = Vec::new();
    let mut index_of = BTreeMap::new();
    for finding in &findings {
        index_of.entry(finding.control.as_str()).or_insert_with(|| {
            rules.push(finding);
            rules.len() - 1
        });
    }
    let mut seen = BTreeMap::new();
    let results: Vec<Value> = findings
        .iter()
        .map(|finding| {
            let mut result = result(finding, report, &mut seen);
            result["ruleIndex"] = json!(index_of.get(finding.control.as_str()));
            result
        })
        .collect();
    let mut run = json!({
        "tool": { "driver": {
            "name": report.tool.name,
            "version": report.tool.version,
            "semanticVersion": report.tool.version,
            "rules": rules.into_iter().map(rule).collect::<Vec<_>>(),
        }},
        "invocations": [invocation(report, exit)],
        "columnKind": "unicodeCodePoints",
        "automationDetails": { "id": format!("harden/{}/", report.baseline.name) },
        "results": results,
        "properties": {
            "hostname": report.host.hostname,
            "root": report.host.root,
            "baseline": report.baseline.name,
            "baselineDigest": report.baseline.digest,
            "summary": report.summary,
        },
    });
    if in_tree(report) {
        run["originalUriBaseIds"] = json!({ TREE: tree(&report.host.root) });
    }
    let log = json!({ "$schema": SCHEMA, "version": "2.1.0", "runs": [run] });
    json::document(&log, out)
}

/// A control as a rule.
fn rule(finding: &Finding) -> Value {
    let mut help = vec![finding.why.clone()];
    help.extend(finding.impact.iter().map(|impact| format!("What the fix may break: {impact}")));
    if !finding.references.is_empty() {
        help.push(format!("References: {}", finding.references.join(", ")));
    }
    help.push(format!("harden explain {} says more.", finding.control));
    let mut tags = vec!["security".to_owned(), finding.area.name().to_owned()];
    for reference in &finding.references {
        // Tags are a set.
        if !tags.contains(reference) {
            tags.push(reference.clone());
        }
    }
    json!({
        "id": finding.control,
        "name": in_one_word(&finding.control),
        "shortDescription": { "text": finding.title },
        "fullDescription": { "text": finding.why },
        "help": { "text": help.join("\n\n") },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": {
            "severity": finding.severity,
            "risk": finding.risk,
            "security-severity": security_severity(finding.severity),
            "tags": tags,
        },
    })
}

fn result(finding: &Finding, report: &Report, seen: &mut BTreeMap<String, usize>) -> Value {
    // A level other than none belongs to failures alone (SARIF 3.27.10).
    let (kind, level) = match finding.status {
        Status::Drift | Status::Waived => ("fail", level(finding.severity)),
        Status::Unknown => ("open", "none"),
        Status::Compliant => ("pass", "none"),
        Status::NotApplicable => ("notApplicable", "none"),
    };
    let mut result = json!({
        "ruleId": finding.control,
        "kind": kind,
        "level": level,
        "message": { "text": message(&told(finding)) },
        "locations": [location(finding, report)],
        "partialFingerprints": { "hardenFinding/v1": fingerprint(finding, place::is_build(report), seen) },
        "properties": {
            "target": finding.target,
            "status": finding.status,
            "observed": finding.observed,
            "desired": finding.desired,
            "evidence": finding.evidence,
            "fix": finding.fix,
        },
    });
    if finding.status == Status::Waived {
        result["suppressions"] = json!([suppression(finding, place::is_build(report))]);
    }
    result
}

/// What a reader needs of one finding.
fn told(finding: &Finding) -> String {
    let mut told = format!("{}: {}.", finding.target, sentences::standing(finding));
    if !finding.evidence.is_empty() && finding.status == Status::Drift {
        told.push_str(&format!(" Seen: {}.", finding.evidence.join("; ")));
    }
    if let Some(fix) = sentences::fix(finding) {
        told.push_str(&format!(" Fix: {fix}."));
    }
    told
}

/// A text that holds neither a placeholder nor a link: what comes from the host must not become one (SARIF 3.11.5, 3.11.6).
fn message(text: &str) -> String {
    let text = text.replace('{', "{{").replace('}', "}}");
    match text.contains("](") {
        true => text.replace('\\', r"\\").replace('[', r"\[").replace(']', r"\]"),
        false => text,
    }
}

fn location(finding: &Finding, report: &Report) -> Value {
    let mut location = Map::new();
    let of_target = place::of(finding, place::is_build(report));
    if let Some(place) = of_target.or_else(|| finding.evidence.iter().find_map(|text| place::in_evidence(text))) {
        location.insert("physicalLocation".into(), physical(place, in_tree(report)));
    }
    if of_target.is_none() {
        let name = finding.target.split_once(':').map_or(finding.target.as_str(), |(_, name)| name);
        let full = format!("{}/{}", finding.area.name(), finding.target);
        location.insert(
            "logicalLocations".into(),
            json!([{ "name": name, "fullyQualifiedName": full, "kind": if finding.target.contains(':') { "resource" } else { "member" } }]),
        );
    }
    Value::Object(location)
}

fn physical(place: Place, in_tree: bool) -> Value {
    let artifact = match place.path.strip_prefix('/') {
        Some(inside) if in_tree => json!({ "uri": percent(inside, false), "uriBaseId": TREE }),
        Some(_) => json!({ "uri": format!("file://{}", percent(place.path, true)) }),
        None => json!({ "uri": percent(place.path.trim_start_matches("./"), false) }),
    };
    let mut physical = json!({ "artifactLocation": artifact });
    if let Some((line, column)) = place.position {
        physical["region"] = json!({ "startLine": line });
        if let Some(column) = column {
            physical["region"]["startColumn"] = json!(column);
        }
    }
    physical
}

/// An image tree; a host's own root is `/`, Dockerfiles have none.
fn in_tree(report: &Report) -> bool {
    !place::is_build(report) && report.host.root != "/"
}

/// Where an image tree lies; of one that was given by a relative path no absolute URI can be told (SARIF 3.14.14).
fn tree(root: &str) -> Value {
    match root.starts_with('/') {
        true => json!({ "uri": format!("file://{}/", percent(root.trim_end_matches('/'), true)) }),
        false => json!({ "description": { "text": message(&format!("the image tree {root}")) } }),
    }
}

/// A path as part of a URI (RFC 3986); a `:` in a relative one could be taken for the end of a scheme.
fn percent(path: &str, absolute: bool) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => uri.push(char::from(byte)),
            b':' | b'@' if absolute => uri.push(char::from(byte)),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// The same finding has the same one in every run: of a Dockerfile it does not depend on lines, which move.
fn fingerprint(finding: &Finding, build: bool, seen: &mut BTreeMap<String, usize>) -> String {
    let mut text = match place::of(finding, build) {
        Some(place) if place.position.is_some() => format!("{}\0{}\0{}", finding.control, place.path, finding.observed),
        _ => format!("{}\0{}", finding.control, finding.target),
    };
    let count = seen.entry(text.clone()).or_insert(0);
    text.push_str(&format!("\0{count}"));
    *count += 1;
    Sha256::digest(text.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// A waiver: of the baseline, or of a comment in the Dockerfile itself.
fn suppression(finding: &Finding, build: bool) -> Value {
    let reason = finding.fix.reason.as_deref().unwrap_or_default();
    let path = place::of(finding, build).filter(|_| build).map(|place| format!("{}:", place.path));
    let by = reason.rsplit_once(", by ").map(|(_, by)| by);
    let in_source = by.zip(path).and_then(|(by, path)| by.strip_prefix(path.as_str()));
    let in_source = in_source.is_some_and(|line| line.bytes().all(|byte| byte.is_ascii_digit()));
    let mut suppression = json!({
        "kind": if in_source { "inSource" } else { "external" },
        "status": "accepted",
        "justification": reason,
    });
    let until = reason.rsplit_once(", until ").map(|(_, until)| until);
    if let Some(until) = until.filter(|until| until.parse::<jiff::civil::Date>().is_ok()) {
        suppression["properties"] = json!({ "until": until });
    }
    suppression
}

/// How the run went. Findings are no failure of it.
fn invocation(report: &Report, exit: u8) -> Value {
    let failed = report.outcome.as_ref().is_some_and(|outcome| outcome.failed);
    let mut invocation = json!({ "executionSuccessful": !failed, "exitCode": exit });
    if let Some(outcome) = &report.outcome {
        let level = if failed { "error" } else { "note" };
        let notification = json!({ "level": level, "message": { "text": message(&outcome.msg) } });
        invocation["toolExecutionNotifications"] = json!([notification]);
        invocation["properties"] = json!({ "changed": outcome.changed, "transaction": outcome.transaction });
    }
    invocation
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low => "note",
    }
}

/// The number that GitHub ranks by: critical above 9.0, high from 7.0, medium from 4.0.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
    }
}

/// `DaemonIccOff` for `daemon-icc-off`, as rules of other tools are named.
fn in_one_word(control: &str) -> String {
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    control.split('-').map(capital).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::control::Area;
    use crate::render::samples;
    use crate::render::style::steers_terminal;

    fn schema() -> jsonschema::Validator {
        let schema = include_str!("../../tests/data/sarif/sarif-schema-2.1.0.json");
        // A pattern of it has one bracket too many, which only some dialects of regular expressions let pass; later drafts mend it.
        let schema = schema.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}?$");
        jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap()
    }

    fn rendered(report: &Report, all: bool) -> Value {
        let mut out = Vec::new();
        render(report, 2, all, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(!text.contains(|c| steers_terminal(c) && c != '\n'), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn result_of(log: &Value, control: &str) -> Value {
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().find(|result| result["ruleId"] == control).cloned().unwrap_or_default()
    }

    #[test]
    fn every_sample_fits_the_official_schema() {
        let schema = schema();
        for (name, report) in samples::all() {
            for all in [true, false] {
                let log = rendered(&report, all);
                let errors: Vec<_> =
                    schema.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
                assert!(errors.is_empty(), "{name}: {errors:?}");
                let run = &log["runs"][0];
                let rules: Vec<_> = run["tool"]["driver"]["rules"].as_array().unwrap().iter().map(|rule| &rule["id"]).collect();
                for result in run["results"].as_array().unwrap() {
                    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
                    assert_eq!(rules[index], &result["ruleId"], "{name}");
                    assert!(result["kind"] == "fail" || result["level"] == "none", "{name}: {result}");
                }
            }
        }
        let mut wrong = rendered(&samples::drift(), true);
        wrong["runs"][0]["results"][0]["kind"] = json!("drift");
        assert!(!schema.is_valid(&wrong));
    }

    #[test]
    fn statuses_as_kinds() {
        let log = rendered(&samples::drift(), true);
        let table = [
            ("daemon-tcp-tls", json!(["fail", "error"])),
            ("daemon-live-restore", json!(["fail", "warning"])),
            ("daemon-log-limits", json!(["fail", "note"])),
            ("daemon-userns-remap", json!(["fail", "warning"])),
            ("file-registry-certs-owner", json!(["open", "none"])),
            ("daemon-good-01", json!(["pass", "none"])),
            ("audit-na-1", json!(["notApplicable", "none"])),
        ];
        for (control, expected) in table {
            let result = result_of(&log, control);
            assert_eq!(json!([result["kind"], result["level"]]), expected, "{control}");
            assert_eq!(result["suppressions"].is_array(), control == "daemon-userns-remap", "{control}");
        }
        let run = &log["runs"][0];
        assert_eq!(run["invocations"], json!([{ "executionSuccessful": true, "exitCode": 2 }]));
        let rule = &run["tool"]["driver"]["rules"][4 - 1];
        assert_eq!(
            (
                &rule["name"],
                &rule["defaultConfiguration"],
                &rule["properties"]["security-severity"],
                &rule["properties"]["tags"][0]
            ),
            (&json!("DaemonTcpTls"), &json!({ "level": "error" }), &json!("9.5"), &json!("security"))
        );
        let few = rendered(&samples::drift(), false);
        assert_eq!(few["runs"][0]["results"].as_array().unwrap().len(), 9, "seven that drift, one unknown, one waived");
        assert_eq!(result_of(&few, "daemon-good-01"), Value::Null);
    }

    #[test]
    fn places() {
        let mut report = samples::drift();
        let log = rendered(&report, true);
        let location = |log: &Value, control: &str| result_of(log, control)["locations"][0].clone();
        let file = |uri: &str| json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } });
        assert_eq!(location(&log, "file-tls-key-mode"), file("file:///etc/docker/tls/server-key.pem"));
        let key = location(&log, "daemon-icc-off");
        assert_eq!(key["physicalLocation"]["artifactLocation"]["uri"], "file:///etc/docker/daemon.json");
        assert_eq!(key["physicalLocation"]["region"], json!({ "startLine": 3, "startColumn": 10 }));
        assert_eq!(key["logicalLocations"], json!([{ "name": "icc", "fullyQualifiedName": "daemon/icc", "kind": "member" }]));

        report.host.root = "/srv/image trees/web".into();
        let log = rendered(&report, true);
        assert_eq!(log["runs"][0]["originalUriBaseIds"], json!({ "TREE": { "uri": "file:///srv/image%20trees/web/" } }));
        let artifact = json!({ "uri": "etc/docker/tls/server-key.pem", "uriBaseId": "TREE" });
        assert_eq!(location(&log, "file-tls-key-mode"), json!({ "physicalLocation": { "artifactLocation": artifact } }));

        report.host.root = "web".into();
        let log = rendered(&report, true);
        assert_eq!(
            log["runs"][0]["originalUriBaseIds"],
            json!({ "TREE": { "description": { "text": "the image tree web" } } })
        );
        assert_eq!(location(&log, "file-tls-key-mode")["physicalLocation"]["artifactLocation"]["uriBaseId"], "TREE");
        assert!(schema().is_valid(&log));

        let mut build = samples::by_hand();
        build.host.root = String::new();
        build.findings.truncate(2);
        build.findings[0].area = Area::Image;
        build.findings[0].target = "docker/守护 a:1/Dockerfile:8:5".into();
        build.findings[1].target = "/srv/Dockerfile".into();
        let log = rendered(&build, true);
        let place = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "docker/%E5%AE%88%E6%8A%A4%20a%3A1/Dockerfile");
        assert_eq!(place["region"], json!({ "startLine": 8, "startColumn": 5 }));
        assert_eq!(log["runs"][0]["results"][1]["locations"][0], file("file:///srv/Dockerfile"));
    }

    #[test]
    fn fingerprints_stay_when_lines_move() {
        let of = |line: u64| {
            let mut report = samples::by_hand();
            report.host.root = String::new();
            let finding = report.findings[0].clone();
            report.findings = vec![finding.clone(), finding];
            report.findings[0].target = format!("Dockerfile:{line}:5");
            report.findings[1].target = format!("Dockerfile:{}:5", line + 1);
            let log = rendered(&report, true);
            [0, 1].map(|index| log["runs"][0]["results"][index]["partialFingerprints"].clone())
        };
        assert_eq!(of(3), of(7));
        assert_ne!(of(3)[0], of(3)[1]);
    }

    #[test]
    fn who_waives() {
        let mut report = samples::drift();
        report.findings.retain(|finding| finding.status == Status::Waived);
        let of = |report: &Report| rendered(report, false)["runs"][0]["results"][0]["suppressions"][0].clone();
        report.findings[0].fix.reason = Some("a pilot, until it ends, by ops, until 2027-03-31".into());
        assert_eq!(
            of(&report),
            json!({ "kind": "external", "status": "accepted", "justification": "a pilot, until it ends, by ops, until 2027-03-31",
                    "properties": { "until": "2027-03-31" } })
        );
        report.host.root = String::new();
        report.findings[0].target = "sub/Dockerfile:8:5".into();
        assert_eq!(of(&report)["kind"], "external");
        report.findings[0].fix.reason = Some("the vendor's installer, by sub/Dockerfile:7".into());
        assert_eq!(of(&report)["kind"], "inSource");
    }

    #[test]
    fn what_comes_from_the_host_is_neither_placeholder_nor_link() {
        assert_eq!(message("a {0} b"), "a {{0}} b");
        assert_eq!(message("see [here](http://e) \\ [x]"), r"see \[here\](http://e) \\ \[x\]");
        assert_eq!(message("certs.d/*.[ck]ey"), "certs.d/*.[ck]ey");
    }

    #[test]
    fn a_run_that_failed_says_so() {
        let log = rendered(&samples::early_failure(), false);
        let invocation = &log["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        let expected = json!([{ "level": "error", "message": { "text": "mine.toml:3:1: unknown key `sevrity`" } }]);
        assert_eq!(invocation["toolExecutionNotifications"], expected);
    }
}
