//! A finding in words, for the formats that are read by other programs and in browsers.

use crate::baseline::control::Risk;
use crate::finding::{Finding, FixKind, Status};

/// How it stands, in one sentence without a final stop.
pub fn standing(finding: &Finding) -> String {
    let Finding { observed, desired, .. } = finding;
    let reason = finding.fix.reason.as_deref().unwrap_or("no reason is given");
    match (finding.status, &finding.fix.reason) {
        (Status::Drift, _) => format!("is {observed}, should be {desired}"),
        (Status::Unknown, _) => format!("could not be observed: {reason}"),
        (Status::Waived, _) => format!("is {observed}, should be {desired}; waived: {reason}"),
        (Status::Compliant, Some(note)) => format!("is {observed}; {note}"),
        (Status::Compliant, None) => format!("is {observed}"),
        (Status::NotApplicable, _) => format!("not applicable: {reason}"),
    }
}

/// Who fixes it, and how; `None` where there is nothing to fix.
pub fn fix(finding: &Finding) -> Option<String> {
    let reason = finding.fix.reason.as_deref();
    match finding.fix.kind {
        FixKind::None => None,
        FixKind::Automatic => {
            let changes = &finding.fix.changes;
            let changes = if changes.is_empty() { String::new() } else { format!(" ({})", changes.join(", ")) };
            let reason = reason.map(|reason| format!("; {reason}")).unwrap_or_default();
            Some(format!("automatic{changes}, {}{reason}", interrupts(finding.risk)))
        }
        FixKind::Manual => Some(format!("by hand: {}", reason.unwrap_or("no reason is given"))),
    }
}

/// What applying a fix of this risk interrupts.
pub fn interrupts(risk: Risk) -> &'static str {
    match risk {
        Risk::Safe => "interrupts nothing",
        Risk::Restart => "restarts dockerd",
        Risk::Disruptive => "may interrupt workloads",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn every_status_in_words() {
        let report = samples::drift();
        let of = |control: &str| report.findings.iter().find(|finding| finding.control == control).unwrap();
        let table = [
            ("daemon-icc-off", "is true, should be false", Some("automatic (c1), restarts dockerd")),
            (
                "daemon-userns-remap",
                "is not set, should be default; waived: until 2027-03-31: images share volumes with the host (OPS-1412)",
                None,
            ),
            (
                "audit-docker-daemon",
                "is watched for w, should be watched for rwxa, on disk and in the kernel",
                Some("automatic (c2, c3), interrupts nothing"),
            ),
            (
                "file-registry-certs-owner",
                "could not be observed: cannot open /etc/docker/certs.d: EACCES (Permission denied)",
                None,
            ),
            ("daemon-good-01", "is as wanted; the flag says so; the file does not", None),
            ("daemon-good-02", "is as wanted", None),
            ("audit-na-3", "not applicable: containerd is not installed", None),
        ];
        for (control, expected, how) in table {
            assert_eq!((standing(of(control)).as_str(), fix(of(control)).as_deref()), (expected, how), "{control}");
        }
        assert!(fix(of("daemon-tcp-tls")).unwrap().starts_with("by hand: clients need certificates first; "));
    }
}
