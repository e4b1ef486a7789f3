//! Images that an engine holds: one verdict an image.

use super::{client, files, made, property, scans};
use crate::baseline::control::{Control, Given, ImageRule, ImageWant};
use crate::fact::{Fact, ImageFacts};
use crate::finding::{Outcome, Verdict};
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict};

/// What stands for all images of a host.
pub(super) const TARGET: &str = "images";

/// How one image stands.
pub(super) struct Standing {
    pub outcome: Outcome,
    pub observed: String,
    pub desired: String,
}

impl Standing {
    pub fn good(observed: impl Into<String>, desired: impl Into<String>) -> Self {
        Self { outcome: Outcome::Compliant { note: None }, observed: observed.into(), desired: desired.into() }
    }

    pub fn noted(observed: impl Into<String>, desired: impl Into<String>, note: impl Into<String>) -> Self {
        Self { outcome: Outcome::Compliant { note: Some(note.into()) }, ..Self::good(observed, desired) }
    }

    pub fn drift(observed: impl Into<String>, desired: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { outcome: Outcome::Manual(fix.into()), ..Self::good(observed, desired) }
    }

    pub fn unknown(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Unknown(why.into()), ..Self::good("", "") }
    }

    pub fn nothing(reason: impl Into<String>) -> Self {
        Self { outcome: Outcome::NotApplicable(reason.into()), ..Self::good("", "") }
    }
}

/// Whether a rule is judged from the images, and not from what lies beside them or from Dockerfiles alone.
pub(super) fn of_images(rule: ImageRule) -> bool {
    !of_dockerfiles(rule) && !matches!(rule, ImageRule::ContentTrust | ImageRule::SigningKeysProtected)
}

fn of_dockerfiles(rule: ImageRule) -> bool {
    matches!(
        rule,
        ImageRule::BuildSecretMounts
            | ImageRule::Dockerignore
            | ImageRule::Multistage
            | ImageRule::RunMerged
            | ImageRule::BuildCache
            | ImageRule::DockerfileLint
    )
}

/// Verdicts of one control: one an image.
pub fn judge<'c>(control: &'c Control, want: &ImageWant, context: &Context) -> Vec<Verdict<'c>> {
    let facts = context.facts;
    if let Some(outcome) = docker_missing(facts) {
        return vec![verdict(control, TARGET, outcome, "", "")];
    }
    if want.rule == ImageRule::SigningKeysProtected {
        return client::keys(control, context);
    }
    if !facts.host.live {
        return vec![not_applicable(control, TARGET, "an image tree has no engine that holds images")];
    }
    if of_dockerfiles(want.rule) {
        return vec![not_applicable(control, TARGET, "judged on Dockerfiles: harden check --dockerfile PATH")];
    }
    if want.rule == ImageRule::ContentTrust {
        return client::trust(control, context);
    }
    let images = match (&facts.daemon.api, &facts.images) {
        (Fact::Absent, _) | (_, Fact::Absent) => {
            return vec![unknown(control, TARGET, "no dockerd runs that could list its images")];
        }
        (Fact::Unknown(why), _) | (_, Fact::Unknown(why)) => return vec![unknown(control, TARGET, why.clone())],
        (Fact::Known(_), Fact::Known(images)) => images.as_slice(),
    };
    if images.is_empty() {
        return vec![not_applicable(control, TARGET, "the engine holds no image")];
    }
    let once = |standing: Standing| vec![told(control, TARGET.into(), standing, "API /images/json")];
    match want.rule {
        ImageRule::Sprawl => once(property::sprawl(want, images)),
        ImageRule::TrustedBase | ImageRule::MirroredPrivately if want.allow.is_empty() => {
            once(property::no_policy(want.rule, images))
        }
        ImageRule::SignaturesVerified if want.look_for.is_empty() => once(Standing::drift(
            "no policy",
            "signatures are verified before images run",
            "sign in the pipeline, verify at admission, e.g. with cosign or notation, and name that in signature_policy",
        )),
        ImageRule::VulnScanned | ImageRule::MalwareScanned if want.reports.is_empty() => once(scans::no_reports(want)),
        _ => each(control, want, context, images),
    }
}

const HISTORY: &str = "API /images/ID/json and /images/ID/history";

fn each<'c>(control: &'c Control, want: &ImageWant, context: &Context, held: &[ImageFacts]) -> Vec<Verdict<'c>> {
    let images = &property::ByLayers::of(held);
    let mut verdicts = Vec::new();
    // Images into which nobody looked, and why.
    let mut unseen: Vec<(String, String)> = Vec::new();
    for image in held {
        let target = target(image);
        if let Some(why) = &image.unread {
            verdicts.push(unknown(control, target, why.clone()));
            continue;
        }
        let (standing, evidence) = match want.rule {
            rule if files::needs(rule) => match files::judge(want, image) {
                Ok(standing) => (standing, "the files in its layers"),
                Err(why) => match made::needs_history(rule).then(|| made::judge(want, image, images)) {
                    // No history shows every file: what it does not show is not known to hold.
                    Some(standing @ Standing { outcome: Outcome::Manual(_), .. }) => (standing, HISTORY),
                    _ => {
                        unseen.push((target, why));
                        continue;
                    }
                },
            },
            rule if made::needs_history(rule) => (made::judge(want, image, images), HISTORY),
            ImageRule::Labels | ImageRule::ExposeUnprivileged => (made::judge(want, image, images), "API /images/ID/json"),
            ImageRule::VulnScanned | ImageRule::MalwareScanned => (scans::judge(want, image, context.facts), "scan_reports"),
            ImageRule::SignaturesVerified => (scans::signed(want, image, context.facts), "signature_reports"),
            _ => (property::judge(want, image, images), "API /images/ID/json"),
        };
        match standing.outcome {
            // Only what containers use is spoken of.
            Outcome::NotApplicable(_) if property::of_those_in_use(want.rule) => {}
            _ => verdicts.push(told(control, target, standing, evidence)),
        }
    }
    // What holds for the engine is said once.
    let reason = unseen.first().map(|(_, why)| why.clone());
    match reason.filter(|reason| unseen.iter().all(|(_, why)| why == reason)) {
        Some(why) => verdicts.push(unknown(control, TARGET, files::by_hand(want.rule, &why))),
        None => {
            let each = unseen.into_iter().map(|(target, why)| unknown(control, target, files::by_hand(want.rule, &why)));
            verdicts.extend(each);
        }
    }
    if verdicts.is_empty() {
        verdicts.push(not_applicable(control, TARGET, property::none_in_use(want)));
    }
    verdicts
}

fn told<'c>(control: &'c Control, target: String, standing: Standing, evidence: &str) -> Verdict<'c> {
    let silent = matches!(standing.outcome, Outcome::Unknown(_) | Outcome::NotApplicable(_));
    let mut verdict = verdict(control, target, standing.outcome, standing.observed, standing.desired);
    if !silent {
        verdict.evidence.push(evidence.to_owned());
    }
    verdict
}

/// What an image is called: its first name, else the digits of its id that people use.
pub(super) fn target(image: &ImageFacts) -> String {
    let short = || image.id.trim_start_matches("sha256:").chars().take(12).collect();
    format!("image:{}", image.names.first().cloned().unwrap_or_else(short))
}

/// The value that a variable gives, if it is set.
pub(super) fn given<T>(value: &Option<Given<T>>) -> Option<&T> {
    value.as_ref().and_then(Given::value)
}
