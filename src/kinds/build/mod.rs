//! Dockerfiles and build contexts, judged by the rules of images.
//!
//! A rule sees the file as its builder does ([`Build`]): stages, what the last one is made of, the commands of each RUN. It says what
//! it found and where; one finding a place.

mod base;
mod commands;
mod config;
mod files;
mod layers;
mod lint;
mod packages;
mod secrets;
mod steps;
mod waiver;

#[cfg(test)]
mod tests;

use crate::baseline::control::{Control, ImageRule, ImageWant};
use crate::finding::{Outcome, Verdict};
use crate::kinds::{Context, not_applicable, unknown, verdict};

pub use steps::Build;
pub use waiver::waivers;

/// What one rule found in one Dockerfile.
#[derive(Debug, Default)]
struct Found {
    /// What is not as wanted.
    drift: Vec<Drift>,
    /// What could not be told, and where.
    unknown: Vec<(usize, String)>,
    /// What holds, where nothing else was found.
    holds: String,
    /// What a reader should still know then.
    note: Option<String>,
    /// Why the rule has nothing to speak of.
    nothing: Option<String>,
}

/// One place that is not as wanted.
#[derive(Debug)]
struct Drift {
    /// Where in the file.
    at: usize,
    /// What is there.
    observed: String,
    /// What should be.
    desired: String,
    /// What to write instead.
    fix: String,
}

impl Found {
    /// The rule has nothing to speak of, for this reason.
    fn nothing(reason: impl Into<String>) -> Self {
        Self { nothing: Some(reason.into()), ..Self::default() }
    }

    /// What is said where all is as wanted.
    fn holding(text: impl Into<String>) -> Self {
        Self { holds: text.into(), ..Self::default() }
    }

    fn drift(&mut self, at: usize, observed: impl Into<String>, desired: impl Into<String>, fix: impl Into<String>) {
        self.drift.push(Drift { at, observed: observed.into(), desired: desired.into(), fix: fix.into() });
    }

    fn unknown(&mut self, at: usize, reason: impl Into<String>) {
        self.unknown.push((at, reason.into()));
    }
}

/// Verdicts of one control on every Dockerfile.
pub fn judge<'c>(control: &'c Control, want: &ImageWant, context: &Context) -> Vec<Verdict<'c>> {
    context.builds.iter().flat_map(|build| verdicts(control, found(want, build), build)).collect()
}

fn found(want: &ImageWant, build: &Build) -> Found {
    if build.stages.is_empty() && want.rule != ImageRule::DockerfileLint {
        return Found::nothing("it has no FROM, so no image comes of it");
    }
    match want.rule {
        ImageRule::UserNonroot => config::user(want, build),
        ImageRule::TrustedBase => base::trusted(want, build),
        ImageRule::MirroredPrivately => base::mirrored(want, build),
        ImageRule::DigestPinned => base::pinned(build),
        ImageRule::SpecificTag => base::tagged(build),
        ImageRule::MinimalBase => layers::minimal(want, build),
        ImageRule::Multistage => layers::multistage(build),
        ImageRule::RunMerged => layers::merged(build),
        ImageRule::BuildCache => layers::cached(build),
        ImageRule::Healthcheck => config::healthcheck(build),
        ImageRule::Labels => config::labels(want, build),
        ImageRule::ExposeUnprivileged => config::ports(want, build),
        ImageRule::NoLoneUpdate => commands::lone_update(build),
        ImageRule::VerifiedPackages => commands::verified(build),
        ImageRule::NoSetuid => commands::setuid(want, build),
        ImageRule::NoSudo => commands::sudo(build),
        ImageRule::NoSshServer => commands::ssh(build),
        ImageRule::CopyNotAdd => files::add(want, build),
        ImageRule::Dockerignore => files::ignored(want, build),
        ImageRule::NoSecrets => secrets::literal(want, build),
        ImageRule::BuildSecretMounts => secrets::mounts(build),
        ImageRule::DockerfileLint => lint::lint(want, build),
        ImageRule::VulnScanned | ImageRule::MalwareScanned => Found::nothing(
            "judged on built images: scan what this file makes, e.g. with trivy image, and name the report in scan_reports",
        ),
        ImageRule::SignaturesVerified => {
            Found::nothing("judged on built images: sign what this file makes, e.g. with cosign, and verify it where it runs")
        }
        ImageRule::NoExtraUsers
        | ImageRule::RebuiltRecently
        | ImageRule::ContentTrust
        | ImageRule::SigningKeysProtected
        | ImageRule::Sprawl => Found::nothing("judged on built images"),
    }
}

fn verdicts<'c>(control: &'c Control, mut found: Found, build: &Build) -> Vec<Verdict<'c>> {
    let path = build.fact.path.as_str();
    if let Some(reason) = found.nothing {
        return vec![not_applicable(control, path, reason)];
    }
    // The same place is not told of twice, and what is wrong for certain comes first.
    found.drift.sort_by_key(|drift| drift.at);
    found.drift.dedup_by(|a, b| a.at == b.at && a.observed == b.observed);
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut last = (String::new(), 1);
    for drift in found.drift {
        let place = build.place(drift.at);
        // Findings are told apart by their targets.
        last = if last.0 == place { (place, last.1 + 1) } else { (place, 1) };
        let target = if last.1 > 1 { format!("{} ({})", last.0, last.1) } else { last.0.clone() };
        verdicts.push(verdict(control, target, Outcome::Manual(drift.fix), drift.observed, drift.desired));
    }
    verdicts.extend(found.unknown.into_iter().map(|(at, reason)| unknown(control, build.place(at), reason)));
    if verdicts.is_empty() {
        verdicts.push(verdict(control, path, Outcome::Compliant { note: found.note }, found.holds, ""));
    }
    verdicts
}
