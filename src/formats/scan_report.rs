//! What other programs report of images: Trivy's JSON, Grype's JSON, SARIF, and what `cosign verify --output json` prints.
//!
//! What is not read is skipped without being kept, so a report of many megabytes costs little more than its bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use crate::fact::{ScanFacts, ScanOf};

/// The verifier whose results are read. Notation prints words alone.
pub const COSIGN: &str = "cosign";
/// Scanners for vulnerabilities of images that write SARIF, as they call themselves there. A linter can name an image, too.
const SCANNERS: [&str; 5] = ["Trivy", "Grype", "Snyk Container", "Docker Scout", "Clair V4"];
/// Names of what a scanner found that are kept, a severity; their number is kept whole.
const MOST_NAMES: usize = 100_000;

/// Reads a report; one of SARIF, and one of cosign, may speak of several images.
///
/// # Errors
/// What is wrong, after `LINE:COLUMN: `.
pub fn parse(content: &[u8], file_time: i64) -> Result<Vec<ScanFacts>, String> {
    let mut scans = match content.trim_ascii_start().first() {
        None => return Err("1:1: it is empty: the program that was to write it has failed".into()),
        Some(b'[') => vec![cosign(content)?],
        Some(_) => scanner(serde_json::from_slice(content).map_err(|error| at_line(&error))?)?,
    };
    for scan in &mut scans {
        scan.time_of_file = scan.at == 0;
        scan.at = if scan.at == 0 { file_time } else { scan.at };
        scan.images.retain(|image| !image.is_empty());
        scan.images.sort();
        scan.images.dedup();
        for names in scan.found.values_mut() {
            names.sort();
            names.dedup();
            names.truncate(MOST_NAMES);
        }
    }
    Ok(scans)
}

fn at_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    format!("{}:{}: {text}", error.line(), error.column())
}

/// One list for each image that was verified; where one can't be, cosign prints nothing of it.
fn cosign(content: &[u8]) -> Result<ScanFacts, String> {
    let mut scan = ScanFacts { scanner: COSIGN.into(), of: ScanOf::Signatures, ..ScanFacts::default() };
    for list in serde_json::Deserializer::from_slice(content).into_iter::<Vec<Claim>>() {
        let claims = list.map_err(|error| at_line(&error))?.into_iter().map(|claim| claim.critical);
        for critical in claims.filter(|critical| critical.kind.contains(COSIGN) && critical.image.digest.starts_with("sha256:"))
        {
            scan.images.push(format!("{}@{}", critical.identity.docker_reference, critical.image.digest));
        }
    }
    match scan.images.is_empty() {
        true => Err("1:1: expected what cosign verify --output json prints".into()),
        false => Ok(scan),
    }
}

fn scanner(report: Report) -> Result<Vec<ScanFacts>, String> {
    Ok(match report {
        Report { schema_version: Some(_), artifact_name: Some(_), .. } => vec![trivy(report)],
        Report { matches: Some(_), source: Some(_), .. } => vec![grype(report)],
        Report { runs: Some(runs), .. } => runs.into_iter().map(sarif).collect(),
        _ => return Err("1:1: expected a report of Trivy or Grype as JSON, or SARIF".into()),
    })
}

fn trivy(report: Report) -> ScanFacts {
    let metadata = report.metadata.unwrap_or_default();
    let mut scan = ScanFacts { scanner: "Trivy".into(), at: seconds(&report.created_at), ..ScanFacts::default() };
    scan.images = [metadata.repo_tags, metadata.repo_digests].concat();
    scan.images.extend([metadata.image_id, report.artifact_name.unwrap_or_default()]);
    if let Some(kind) = report.artifact_type.filter(|kind| kind != "container_image") {
        scan.doubt = Some(format!("the report of Trivy is of a {kind}, not of an image"));
        return scan;
    }
    if !report.results.iter().any(TrivyResult::is_of_packages) {
        let why = "the report of Trivy names no packages: it looked for something else than vulnerabilities, or knows none of what is there";
        scan.doubt = Some(why.into());
    }
    for found in report.results.into_iter().filter_map(|result| result.vulnerabilities).flatten() {
        scan.found.entry(severity(&found.severity)).or_default().push(found.vulnerability_id);
    }
    scan
}

fn grype(report: Report) -> ScanFacts {
    let descriptor = report.descriptor.unwrap_or_default();
    let mut scan = ScanFacts { scanner: "Grype".into(), at: seconds(&descriptor.timestamp), ..ScanFacts::default() };
    if let Some(Target::Image(target)) = report.source.and_then(|source| source.target) {
        scan.images = [target.tags, target.repo_digests].concat();
        scan.images.extend([target.image_id, target.manifest_digest, target.user_input]);
    }
    for found in report.matches.unwrap_or_default() {
        let found = found.vulnerability;
        scan.found.entry(severity(&found.severity)).or_default().push(found.id);
    }
    scan
}

fn severity(word: &str) -> String {
    if word.is_empty() { "unknown".into() } else { word.to_ascii_lowercase() }
}

fn sarif(run: Run) -> ScanFacts {
    let driver = run.tool.driver;
    let name = driver.name.to_ascii_lowercase();
    let malware = ["clam", "yara", "malware", "virus"].iter().any(|word| name.contains(word));
    let at = run.invocations.iter().map(|invocation| seconds(&invocation.end_time_utc)).max().unwrap_or(0);
    let mut scan = ScanFacts { scanner: driver.name, at, ..ScanFacts::default() };
    scan.of = if malware { ScanOf::Malware } else { ScanOf::Vulnerabilities };
    let properties = run.properties;
    scan.images = [properties.repo_tags, properties.repo_digests].concat();
    scan.images.extend([properties.image_id, properties.image_name]);
    if !malware && !SCANNERS.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
        let known = SCANNERS.join(", ");
        scan.doubt = Some(format!("{} is none of the scanners for vulnerabilities whose SARIF counts: {known}", scan.scanner));
        return scan;
    }
    if run.invocations.iter().any(|invocation| invocation.execution_successful == Some(false)) {
        scan.doubt = Some(format!("the run of {} failed, as its report says", scan.scanner));
    }
    let rules: BTreeMap<&str, &Rule> = driver.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    for result in run.results {
        let rule = result.rule(&driver.rules, &rules);
        let level = if result.level.is_empty() { rule.map_or("", Rule::level) } else { &result.level };
        let severity = rule.and_then(Rule::severity).unwrap_or_else(|| of_level(level)).to_owned();
        let name = [&result.rule_id, &result.rule.id].into_iter().chain(rule.map(|rule| &rule.id)).find(|id| !id.is_empty());
        scan.found.entry(severity).or_default().push(name.cloned().unwrap_or_default());
    }
    scan
}

impl SarifResult {
    /// The rule that found it, by its number or its name.
    fn rule<'r>(&self, rules: &'r [Rule], by_id: &BTreeMap<&str, &'r Rule>) -> Option<&'r Rule> {
        let index = self.rule_index.or(self.rule.index.filter(|_| self.rule.tool_component.is_none()));
        let by_index = index.and_then(|index| rules.get(usize::try_from(index).ok()?));
        let id = if self.rule_id.is_empty() { &self.rule.id } else { &self.rule_id };
        by_id.get(id.as_str()).copied().or(by_index)
    }
}

/// SARIF's own levels, where a rule says no more; a level that neither a result nor its rule says is a warning.
fn of_level(level: &str) -> &'static str {
    match level {
        "error" => "high",
        "note" => "low",
        "none" => "unknown",
        _ => "medium",
    }
}

impl Rule {
    /// Of its results that say none.
    fn level(&self) -> &str {
        &self.default_configuration.level
    }

    /// By the number that code hosts read, else by the word that a scanner adds.
    fn severity(&self) -> Option<&'static str> {
        let words = ["critical", "high", "medium", "low"];
        let tagged = self.properties.tags.iter().find_map(|tag| words.into_iter().find(|word| tag.eq_ignore_ascii_case(word)));
        tagged.or_else(|| match self.properties.security_severity.parse::<f64>().ok()? {
            score if score >= 9.0 => Some("critical"),
            score if score >= 7.0 => Some("high"),
            score if score >= 4.0 => Some("medium"),
            _ => Some("low"),
        })
    }
}

/// 0 for what is no time.
fn seconds(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().map_or(0, |at| at.as_second().max(0))
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// One signature that cosign found to be valid.
#[derive(Deserialize)]
struct Claim {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    identity: Identity,
    image: Signed,
    /// `cosign container image signature`, or an address below sigstore.dev/cosign.
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Deserialize)]
struct Signed {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Report {
    #[serde(rename = "SchemaVersion")]
    schema_version: Option<serde::de::IgnoredAny>,
    #[serde(rename = "CreatedAt", deserialize_with = "or_default")]
    created_at: String,
    #[serde(rename = "ArtifactName")]
    artifact_name: Option<String>,
    #[serde(rename = "ArtifactType")]
    artifact_type: Option<String>,
    #[serde(rename = "Metadata")]
    metadata: Option<Metadata>,
    #[serde(rename = "Results", deserialize_with = "or_default")]
    results: Vec<TrivyResult>,
    matches: Option<Vec<Match>>,
    source: Option<Source>,
    descriptor: Option<Descriptor>,
    runs: Option<Vec<Run>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    #[serde(rename = "ImageID", deserialize_with = "or_default")]
    image_id: String,
    #[serde(rename = "RepoTags", deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(rename = "RepoDigests", deserialize_with = "or_default")]
    repo_digests: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TrivyResult {
    #[serde(rename = "Class", deserialize_with = "or_default")]
    class: String,
    #[serde(rename = "Vulnerabilities")]
    vulnerabilities: Option<Vec<Vulnerability>>,
}

impl TrivyResult {
    /// Neither of secrets, configuration nor licences.
    fn is_of_packages(&self) -> bool {
        self.vulnerabilities.is_some() || matches!(self.class.as_str(), "os-pkgs" | "lang-pkgs")
    }
}

#[derive(Deserialize)]
struct Vulnerability {
    #[serde(rename = "VulnerabilityID")]
    vulnerability_id: String,
    #[serde(rename = "Severity", default, deserialize_with = "or_default")]
    severity: String,
}

#[derive(Deserialize)]
struct Match {
    vulnerability: GrypeVulnerability,
}

#[derive(Deserialize)]
struct GrypeVulnerability {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    severity: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    target: Option<Target>,
}

/// What was scanned: an image, or a directory by its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Target {
    Image(ImageTarget),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ImageTarget {
    #[serde(default, deserialize_with = "or_default")]
    user_input: String,
    #[serde(rename = "imageID")]
    image_id: String,
    #[serde(default, deserialize_with = "or_default")]
    manifest_digest: String,
    #[serde(default, deserialize_with = "or_default")]
    tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    repo_digests: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Descriptor {
    #[serde(deserialize_with = "or_default")]
    timestamp: String,
}

#[derive(Deserialize)]
struct Run {
    tool: Tool,
    #[serde(default, deserialize_with = "or_default")]
    results: Vec<SarifResult>,
    #[serde(default, deserialize_with = "or_default")]
    invocations: Vec<Invocation>,
    #[serde(default, deserialize_with = "or_default")]
    properties: RunProperties,
}

#[derive(Deserialize)]
struct Tool {
    driver: Driver,
}

#[derive(Deserialize)]
struct Driver {
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    default_configuration: Configuration,
    #[serde(default, deserialize_with = "or_default")]
    properties: RuleProperties,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Configuration {
    #[serde(deserialize_with = "or_default")]
    level: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RuleProperties {
    #[serde(rename = "security-severity", deserialize_with = "or_default")]
    security_severity: String,
    #[serde(deserialize_with = "or_default")]
    tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SarifResult {
    #[serde(default, deserialize_with = "or_default")]
    rule_id: String,
    rule_index: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    rule: RuleReference,
    #[serde(default, deserialize_with = "or_default")]
    level: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RuleReference {
    #[serde(deserialize_with = "or_default")]
    id: String,
    index: Option<i64>,
    /// Whose rules the index counts, where it is not the driver.
    tool_component: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Invocation {
    #[serde(deserialize_with = "or_default")]
    end_time_utc: String,
    execution_successful: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct RunProperties {
    #[serde(rename = "imageID", deserialize_with = "or_default")]
    image_id: String,
    #[serde(deserialize_with = "or_default")]
    image_name: String,
    #[serde(deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    repo_digests: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const DAY: i64 = 1_790_000_000;

    fn read(report: serde_json::Value) -> Vec<ScanFacts> {
        parse(report.to_string().as_bytes(), DAY).unwrap()
    }

    fn found(severity: &str, name: &str) -> BTreeMap<String, Vec<String>> {
        [(severity.to_owned(), vec![name.to_owned()])].into()
    }

    #[test]
    fn of_trivy() {
        let report = json!({"SchemaVersion": 2, "CreatedAt": "2026-11-20T10:00:00.5+01:00", "ArtifactName": "web:1",
            "Metadata": {"ImageID": "sha256:ab", "RepoTags": ["web:1"], "RepoDigests": null},
            "Results": [{"Target": "web", "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "Severity": "HIGH"}]}, {"Class": "secret"}]});
        let expected = ScanFacts {
            scanner: "Trivy".into(),
            of: ScanOf::Vulnerabilities,
            images: vec!["sha256:ab".into(), "web:1".into()],
            at: 1_795_165_200,
            time_of_file: false,
            found: found("high", "CVE-1"),
            doubt: None,
        };
        assert_eq!(read(report), [expected]);
    }

    #[test]
    fn trivy_that_proves_nothing() {
        const OF: &str = "the report of Trivy is of a filesystem, not of an image";
        const NONE: &str = "the report of Trivy names no packages: it looked for something else than vulnerabilities, or knows none of what is there";
        for (kind, results, doubt) in [
            (json!("container_image"), json!([{"Class": "os-pkgs"}]), None),
            (json!(null), json!([{"Class": "secret"}, {"Class": "lang-pkgs"}]), None),
            (json!(null), json!([{"Vulnerabilities": []}]), None),
            (json!("container_image"), json!([{"Class": "secret"}, {"Class": "config"}]), Some(NONE)),
            (json!("container_image"), json!([]), Some(NONE)),
            (json!("container_image"), json!(null), Some(NONE)),
            (json!("filesystem"), json!([{"Class": "os-pkgs"}]), Some(OF)),
        ] {
            let report = json!({"SchemaVersion": 2, "ArtifactName": "web:1", "ArtifactType": kind, "Results": results});
            let [scan] = read(report.clone()).try_into().unwrap();
            assert_eq!((scan.doubt.as_deref(), scan.found.len()), (doubt, 0), "{report}");
        }
    }

    #[test]
    fn sarif_that_proves_nothing() {
        const HADOLINT: &str = "Hadolint is none of the scanners for vulnerabilities whose SARIF counts: Trivy, Grype, Snyk Container, Docker Scout, Clair V4";
        for (name, successful, doubt) in [
            ("grype", json!(true), None),
            ("docker scout", json!(null), None),
            ("Trivy", json!(false), Some("the run of Trivy failed, as its report says")),
            ("ClamAV", json!(false), Some("the run of ClamAV failed, as its report says")),
            ("Hadolint", json!(true), Some(HADOLINT)),
        ] {
            let run = json!({"tool": {"driver": {"name": name}}, "results": [],
                "invocations": [{"executionSuccessful": true}, {"executionSuccessful": successful}]});
            let [scan] = read(json!({"runs": [run]})).try_into().unwrap();
            assert_eq!(scan.doubt.as_deref(), doubt, "{name}");
        }
    }

    #[test]
    fn levels_of_rules() {
        for (result, severity, name) in [
            (json!({"ruleId": "A"}), "high", "A"),
            (json!({"ruleId": "A", "level": "note"}), "low", "A"),
            (json!({"ruleIndex": 0}), "high", "A"),
            (json!({"rule": {"index": 0}}), "high", "A"),
            (json!({"rule": {"id": "A"}}), "high", "A"),
            (json!({"ruleId": "A/1", "ruleIndex": 0}), "high", "A/1"),
            (json!({"ruleId": "C", "rule": {"index": 0, "toolComponent": {"index": 0}}}), "medium", "C"),
            (json!({"ruleId": "B"}), "medium", "B"),
            (json!({"ruleId": "C", "ruleIndex": -1}), "medium", "C"),
        ] {
            let rules =
                json!([{"id": "A", "defaultConfiguration": {"level": "error"}}, {"id": "B", "defaultConfiguration": {}}]);
            let run = json!({"tool": {"driver": {"name": "Grype", "rules": rules}}, "results": [result]});
            let [scan] = read(json!({"runs": [run]})).try_into().unwrap();
            assert_eq!(scan.found, found(severity, name), "{result}");
        }
    }

    #[test]
    fn of_grype() {
        let report = json!({"matches": [{"vulnerability": {"id": "CVE-2", "severity": "Critical"}}],
            "source": {"type": "image", "target": {"userInput": "web:1", "imageID": "sha256:ab", "manifestDigest": "sha256:cd",
            "tags": [], "repoDigests": ["web@sha256:cd"]}}, "descriptor": {"name": "grype"}});
        let [scan] = read(report).try_into().unwrap();
        assert_eq!(scan.images, ["sha256:ab", "sha256:cd", "web:1", "web@sha256:cd"]);
        assert_eq!((scan.at, scan.time_of_file, scan.found), (DAY, true, found("critical", "CVE-2")));
    }

    #[test]
    fn of_sarif() {
        let report = json!({"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "rules": [
            {"id": "CVE-3", "properties": {"security-severity": "9.8"}}]}},
            "results": [{"ruleId": "CVE-3", "level": "error"}, {"ruleId": "CVE-4", "level": "note"}],
            "properties": {"imageName": "web:1", "repoTags": ["web:1"]}},
            {"tool": {"driver": {"name": "ClamAV"}}, "results": [], "invocations": [{"endTimeUtc": "2026-11-20T10:00:00Z"}]}]});
        let [flaws, malware] = read(report).try_into().unwrap();
        assert_eq!(flaws.found, [("critical".into(), vec!["CVE-3".into()]), ("low".into(), vec!["CVE-4".into()])].into());
        assert_eq!((malware.of, malware.at, malware.time_of_file), (ScanOf::Malware, 1_795_168_800, false));
    }

    #[test]
    fn of_cosign() {
        let claim = |digest: &str, kind: &str| {
            json!([{"critical": {"identity": {"docker-reference": "reg.example/web"}, "image": {"docker-manifest-digest": digest},
                "type": kind}, "optional": {"Subject": "ci@reg.example", "Bundle": {"Payload": {"logIndex": 7}}}}])
        };
        let (old, new) = ("cosign container image signature", "https://sigstore.dev/cosign/sign/v1");
        let text = format!("\n{}\n{}\n", claim("sha256:cd", old), claim("sha256:ab", new));
        let [scan] = parse(text.as_bytes(), DAY).unwrap().try_into().unwrap();
        assert_eq!((scan.scanner.as_str(), scan.of, scan.at, scan.time_of_file), ("cosign", ScanOf::Signatures, DAY, true));
        assert_eq!(scan.images, ["reg.example/web@sha256:ab", "reg.example/web@sha256:cd"]);
        // Signed in another way, which says nothing of who verified it.
        let other = claim("sha256:cd", "atomic container signature").to_string();
        assert_eq!(parse(other.as_bytes(), DAY).unwrap_err(), "1:1: expected what cosign verify --output json prints");
    }

    #[test]
    fn what_is_no_report() {
        for (text, expected) in [
            ("", "1:1: it is empty: the program that was to write it has failed"),
            ("[]", "1:1: expected what cosign verify --output json prints"),
            ("[{\"critical\": {}}]", "1:16: missing field `identity`"),
            ("{\"SchemaVersion\": 2,\n x", "2:2: key must be a string"),
            ("{}", "1:1: expected a report of Trivy or Grype as JSON, or SARIF"),
            ("{\"matches\": 7, \"source\": {}}", "1:13: invalid type: integer `7`, expected a sequence"),
        ] {
            assert_eq!(parse(text.as_bytes(), DAY).unwrap_err(), expected, "{text}");
        }
    }
}
