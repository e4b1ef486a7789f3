//! Where a finding is: in a file, at a place of it, or at something that is no file.

use crate::baseline::control::Area;
use crate::finding::Finding;
use crate::report::Report;

/// A place in a file; lines and columns count from 1, columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'t> {
    /// The path: absolute on a host and in a tree, as it was given for a Dockerfile.
    pub path: &'t str,
    /// Line, and column where it is known.
    pub position: Option<(u64, Option<u64>)>,
}

/// Whether the report is one of Dockerfiles.
pub fn is_build(report: &Report) -> bool {
    report.host.root.is_empty()
}

/// The file that a finding is of; `None` for containers, keys, accounts and the like.
pub fn of(finding: &Finding, build: bool) -> Option<Place<'_>> {
    let target = finding.target.as_str();
    match (build, finding.area) {
        (true, _) => Some(positioned(target.split_once(" (").map_or(target, |(head, _)| head))),
        (false, _) if !target.starts_with('/') => None,
        // Mistakes of daemon.json; elsewhere a name may end like a place.
        (false, Area::Daemon) => Some(positioned(target)),
        (false, _) => Some(Place { path: target, position: None }),
    }
}

/// The place that evidence names: `log-level from /etc/docker/daemon.json:2`.
pub fn in_evidence(evidence: &str) -> Option<Place<'_>> {
    let words = evidence.split(' ').map(|word| word.trim_matches(|c| "(),;".contains(c)));
    words.filter(|word| word.starts_with('/')).map(positioned).find(|place| place.position.is_some())
}

/// `PATH:LINE:COLUMN`, `PATH:LINE` or `PATH`.
fn positioned(text: &str) -> Place<'_> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    let split = |text: &'_ str| -> Option<(usize, u64)> {
        let at = text.rfind(':').filter(|at| *at > 0)?;
        Some((at, number(&text[at + 1..])?))
    };
    let Some((at, last)) = split(text) else { return Place { path: text, position: None } };
    match split(&text[..at]) {
        Some((before, line)) => Place { path: &text[..before], position: Some((line, Some(last))) },
        None => Place { path: &text[..at], position: Some((last, None)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples;

    #[test]
    fn targets_and_evidence() {
        let place = |path, position| Some(Place { path, position });
        let table = [
            ("Dockerfile:8:5", true, place("Dockerfile", Some((8, Some(5))))),
            ("docker/a:b:8:5 (twice)", true, place("docker/a:b", Some((8, Some(5))))),
            ("Dockerfile", true, place("Dockerfile", None)),
            ("Dockerfile:0:5", true, place("Dockerfile:0", Some((5, None)))),
            (":1:2", true, place(":1", Some((2, None)))),
            ("", true, place("", None)),
            ("/etc/docker/a:1:2", false, place("/etc/docker/a:1:2", None)),
            ("container:web:1:2", false, None),
            ("log-level", false, None),
        ];
        let mut finding = samples::certs().findings.remove(0);
        for (target, build, expected) in table {
            finding.target = target.into();
            assert_eq!(of(&finding, build), expected, "{target}");
        }
        finding.area = Area::Daemon;
        finding.target = "/etc/docker/daemon.json:2:1".into();
        assert_eq!(of(&finding, false), place("/etc/docker/daemon.json", Some((2, Some(1)))));
        assert_eq!(in_evidence("log-level from /etc/docker/daemon.json:2"), place("/etc/docker/daemon.json", Some((2, None))));
        assert_eq!(
            in_evidence("flag -H of dockerd (/lib/a.service:14:3), pid 1"),
            place("/lib/a.service", Some((14, Some(3))))
        );
        assert_eq!(in_evidence("kernel /proc/1/status CapBnd tcp://0.0.0.0:2375"), None);
    }
}
