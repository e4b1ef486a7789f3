//! What scanners reported of images.

use std::collections::BTreeMap;

use super::api::{Standing, given};
use super::made::some_of;
use crate::baseline::control::{ImageRule, ImageWant, Place, ScanSeverity};
use crate::fact::{Fact, Facts, ImageFacts, ScanFacts, ScanOf};
use crate::formats::dockerfile::ImageName;
use crate::formats::scan_report::COSIGN;
use crate::observe::Observer;

const DAY: i64 = 86_400;

/// Reads the reports.
pub(super) fn observe(want: &ImageWant, observer: &mut Observer) {
    for report in &want.reports {
        for path in observer.resolve(&Place::Pattern(report.clone())) {
            observer.scan(&path);
        }
    }
}

/// What is said where no report is named.
pub(super) fn no_reports(want: &ImageWant) -> Standing {
    Standing::drift("no report", desired(want), SCAN)
}

const SCAN: &str = "scan it, e.g. with trivy image --format json -o REPORT NAME, and name the report in scan_reports";
const SCAN_MALWARE: &str = "scan its files, e.g. with ClamAV, and name a report in SARIF in scan_reports";

fn desired(want: &ImageWant) -> String {
    let days = given(&want.at_most).map_or(String::new(), |days| format!(" of the last {days} days"));
    match (want.rule, given(&want.scan_severity)) {
        (ImageRule::VulnScanned, Some(least)) => format!("a scan{days} without findings from {} up", word(*least)),
        (ImageRule::VulnScanned, None) => format!("a scan{days} without findings"),
        _ => format!("a scan{days} that found no malware"),
    }
}

/// The newest report of each program, those that prove something apart from those that don't.
type Newest<'f> = BTreeMap<(&'f str, bool), &'f ScanFacts>;

/// What was reported of one image, and why there may be more.
fn reported<'f>(want: &ImageWant, of: ScanOf, image: &ImageFacts, facts: &'f Facts) -> (Newest<'f>, Option<String>) {
    let mut scans = BTreeMap::new();
    let mut doubt = None;
    for pattern in &want.reports {
        match facts.globs.get(pattern) {
            Some(Fact::Known(paths)) => {
                for path in paths {
                    match facts.scans.get(path) {
                        Some(Fact::Known(found)) => newest(found, of, image, &mut scans),
                        Some(Fact::Unknown(why)) => doubt = doubt.or(Some(why.clone())),
                        Some(Fact::Absent) => {}
                        None => doubt = doubt.or(Some(format!("{path}: not looked at"))),
                    }
                }
            }
            Some(Fact::Unknown(why)) => doubt = doubt.or(Some(why.clone())),
            _ => {}
        }
    }
    (scans, doubt)
}

/// image-signatures-verified: what a verifier said of an image in use.
pub(super) fn signed(want: &ImageWant, image: &ImageFacts, facts: &Facts) -> Standing {
    if image.used_by.is_empty() {
        return Standing::nothing("");
    }
    let verifiers = want.look_for.join(", ");
    let days = given(&want.at_most).map_or(String::new(), |days| format!(" in the last {days} days"));
    let desired = format!("verified by {verifiers}{days}");
    let Some(digest) = image.digests.first() else {
        return Standing::drift(
            "no digest of a registry, so no signature can be there",
            desired,
            "push it to a registry, sign it there, and pull it from there",
        );
    };
    let verify = format!("cosign verify --output json {digest} > FILE, and name FILE in signature_reports");
    if !want.look_for.iter().any(|verifier| verifier == COSIGN) {
        return Standing::unknown(format!(
            "harden reads only results of cosign, not of {verifiers}: verify {digest} with it, and waive this"
        ));
    }
    if want.reports.is_empty() {
        return Standing::unknown(format!("harden verifies no signatures itself, and sees no result of {verifiers}: {verify}"));
    }
    let (results, doubt) = reported(want, ScanOf::Signatures, image, facts);
    let now = jiff::Timestamp::now().as_second();
    let limit = given(&want.at_most).map_or(i64::MAX, |days| i64::try_from(*days).unwrap_or(i64::MAX));
    match (results.values().max_by_key(|result| result.at), doubt) {
        (Some(result), _) if result.at > now + DAY => Standing::unknown("the result of cosign is dated in the future"),
        (Some(result), _) if (now - result.at) / DAY <= limit => {
            Standing::good(format!("verified by cosign {} days ago", ((now - result.at) / DAY).max(0)), desired)
        }
        (_, Some(why)) => Standing::unknown(why),
        (Some(result), None) => {
            Standing::drift(format!("verified by cosign {} days ago", (now - result.at) / DAY), desired, verify)
        }
        (None, None) => Standing::drift("no result of cosign for this image", desired, verify),
    }
}

/// How one image stands.
pub(super) fn judge(want: &ImageWant, image: &ImageFacts, facts: &Facts) -> Standing {
    let of = if want.rule == ImageRule::MalwareScanned { ScanOf::Malware } else { ScanOf::Vulnerabilities };
    let (scans, doubt) = reported(want, of, image, facts);
    let desired = desired(want);
    let now = jiff::Timestamp::now().as_second();
    let limit = given(&want.at_most).map_or(i64::MAX, |days| i64::try_from(*days).unwrap_or(i64::MAX));
    let age = |scan: &ScanFacts| (now - scan.at) / DAY;
    if let Some(scan) = scans.values().find(|scan| scan.at > now + DAY) {
        return Standing::unknown(format!("the report of {} is dated in the future", scan.scanner));
    }
    // What a recent one found counts, whatever others did not find.
    let recent: Vec<&ScanFacts> = scans.values().copied().filter(|scan| age(scan) <= limit).collect();
    let scan_again = if of == ScanOf::Malware { SCAN_MALWARE } else { SCAN };
    if let Some(found) = recent.iter().find_map(|scan| serious(want, scan)) {
        let fix = match of {
            ScanOf::Malware => "stop what runs from it, and delete it; find out who pushed it".to_owned(),
            _ => "build it anew on a newer base with newer packages, and scan it again".to_owned(),
        };
        return Standing::drift(found, desired, fix);
    }
    let (sound, doubtful): (Vec<&ScanFacts>, _) = recent.into_iter().partition(|scan| scan.doubt.is_none());
    if let Some(scan) = sound.first() {
        let observed = format!("{} found nothing of these {} days ago", scan.scanner, age(scan).max(0));
        return match scan.time_of_file {
            true => Standing::noted(observed, desired, "the report does not say when it was made; its file does"),
            false => Standing::good(observed, desired),
        };
    }
    let doubt = doubt.or_else(|| doubtful.iter().find_map(|scan| scan.doubt.clone()));
    let sound = scans.values().filter(|scan| scan.doubt.is_none());
    match (sound.max_by_key(|scan| scan.at), doubt) {
        (_, Some(why)) => Standing::unknown(why),
        (Some(scan), None) => {
            Standing::drift(format!("scanned by {} {} days ago", scan.scanner, age(scan)), desired, scan_again)
        }
        (None, None) => Standing::drift("no report of this image", desired, scan_again),
    }
}

fn newest<'f>(found: &'f [ScanFacts], of: ScanOf, image: &ImageFacts, scans: &mut Newest<'f>) {
    for scan in found.iter().filter(|scan| scan.of == of && speaks_of(scan, image)) {
        let kept = scans.entry((&scan.scanner, scan.doubt.is_none())).or_insert(scan);
        if scan.at > kept.at {
            *kept = scan;
        }
    }
}

/// Whether a report is about this image. A tag may have moved since: where the report has an id or a digest, that decides.
fn speaks_of(scan: &ScanFacts, image: &ImageFacts) -> bool {
    let digest = |name: &str| -> Option<String> { name.find("sha256:").map(|at| name[at..].to_owned()) };
    let own: Vec<String> = image.digests.iter().filter_map(|name| digest(name)).chain([image.id.clone()]).collect();
    let named: Vec<String> = scan.images.iter().filter_map(|name| digest(name)).collect();
    if !named.is_empty() {
        return named.iter().any(|name| own.contains(name));
    }
    let full = |name: &str| ImageName::parse(name).map(|name| (name.full(), name.tag.unwrap_or_else(|| "latest".into())));
    let tags: Vec<_> = image.names.iter().filter_map(|name| full(name)).collect();
    let made_before = image.created.is_none_or(|created| created <= scan.at);
    made_before && scan.images.iter().filter_map(|name| full(name)).any(|name| tags.contains(&name))
}

/// What a scan found that counts, in words.
fn serious(want: &ImageWant, scan: &ScanFacts) -> Option<String> {
    if scan.of == ScanOf::Malware {
        let names: Vec<String> = scan.found.values().flatten().cloned().collect();
        return (!names.is_empty()).then(|| format!("{} found {}", scan.scanner, some_of(&names, 3, ", ")));
    }
    let all = [ScanSeverity::Critical, ScanSeverity::High, ScanSeverity::Medium, ScanSeverity::Low];
    let least = given(&want.scan_severity).copied();
    let mut severities: Vec<&str> =
        all.into_iter().filter(|severity| least.is_none_or(|least| *severity >= least)).map(word).collect();
    if least.is_none() {
        // Such as "unknown" and "negligible".
        severities.extend(scan.found.keys().map(String::as_str).filter(|other| all.iter().all(|one| word(*one) != *other)));
    }
    let counted: Vec<(&str, &Vec<String>)> = severities
        .into_iter()
        .filter_map(|severity| Some((severity, scan.found.get(severity).filter(|names| !names.is_empty())?)))
        .collect();
    if counted.is_empty() {
        return None;
    }
    let counts: Vec<String> = counted.iter().map(|(severity, names)| format!("{} {severity}", names.len())).collect();
    let names: Vec<String> = counted.iter().flat_map(|(_, names)| names.iter().cloned()).collect();
    Some(format!("{} found {}: {}", scan.scanner, counts.join(", "), some_of(&names, 3, ", ")))
}

fn word(severity: ScanSeverity) -> &'static str {
    match severity {
        ScanSeverity::Low => "low",
        ScanSeverity::Medium => "medium",
        ScanSeverity::High => "high",
        ScanSeverity::Critical => "critical",
    }
}
