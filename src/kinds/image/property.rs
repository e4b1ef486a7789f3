//! What the engine says of an image: its names, user, age and use.

use std::collections::HashMap;

use super::api::{Standing, given};
use crate::baseline::control::{ImageRule, ImageWant};
use crate::fact::{ImageFacts, ImageUse};
use crate::formats::dockerfile::ImageName;
use crate::kinds::build::covers;

const DAY: i64 = 86_400;
const ANEW: &str = "and build the image anew";

/// How one image stands by one rule.
pub(super) fn judge(want: &ImageWant, image: &ImageFacts, images: &ByLayers) -> Standing {
    match want.rule {
        ImageRule::UserNonroot => user(want, image),
        ImageRule::Healthcheck => healthcheck(image),
        ImageRule::TrustedBase => trusted(want, image, images),
        ImageRule::MirroredPrivately => mirrored(want, image),
        ImageRule::RebuiltRecently => rebuilt(want, image),
        ImageRule::DigestPinned => pinned(want, image),
        ImageRule::SpecificTag => tagged(image),
        _ => Standing::unknown("not judged from an image's configuration"),
    }
}

/// Whether a rule speaks only of images that containers are made from.
pub(super) fn of_those_in_use(rule: ImageRule) -> bool {
    matches!(
        rule,
        ImageRule::RebuiltRecently | ImageRule::DigestPinned | ImageRule::SpecificTag | ImageRule::SignaturesVerified
    )
}

/// Why such a rule has nothing to speak of.
pub(super) fn none_in_use(want: &ImageWant) -> &'static str {
    match want.rule {
        ImageRule::DigestPinned if given(&want.digests_in_use) != Some(&true) => {
            "judged on Dockerfiles: harden check --dockerfile PATH; require_digest = true asks it of containers, too"
        }
        _ => "no container is made from an image",
    }
}

fn user(want: &ImageWant, image: &ImageFacts) -> Standing {
    const DESIRED: &str = "a user other than root, best by number";
    let name = image.user.split(':').next().unwrap_or_default().trim();
    if !(name.is_empty() || name == "root" || name.parse::<u64>() == Ok(0)) {
        return Standing::good(format!("user {}", image.user), DESIRED);
    }
    let observed = if image.user.is_empty() { "no user, so it is root".to_owned() } else { format!("user {}", image.user) };
    let names: Vec<ImageName> = image.names.iter().filter_map(|name| ImageName::parse(name)).collect();
    match want.allow.iter().find(|pattern| names.iter().any(|name| covers(pattern, name))) {
        Some(pattern) => {
            let note = format!("its entry point gives up root itself, as image.user_exceptions says of {pattern}");
            Standing::noted(observed, DESIRED, note)
        }
        None => Standing::drift(observed, DESIRED, format!("end its Dockerfile with USER 10001:10001, {ANEW}")),
    }
}

fn healthcheck(image: &ImageFacts) -> Standing {
    const DESIRED: &str = "a HEALTHCHECK other than NONE";
    match image.healthcheck {
        true => Standing::good("a HEALTHCHECK", DESIRED),
        false => Standing::drift("no HEALTHCHECK", DESIRED, format!("add one that asks the service itself, {ANEW}")),
    }
}

/// The names that registries know an image by, and whether one of them says which registry.
fn sources(image: &ImageFacts) -> (Vec<ImageName>, bool) {
    let mut names: Vec<ImageName> =
        image.names.iter().chain(&image.digests).filter_map(|name| ImageName::parse(name)).collect();
    names.sort_by_key(ImageName::full);
    names.dedup_by_key(|name| name.full());
    let elsewhere = !image.digests.is_empty() || names.iter().any(|name| name.registry != "docker.io");
    (names, elsewhere)
}

fn trusted(want: &ImageWant, image: &ImageFacts, images: &ByLayers) -> Standing {
    const DESIRED: &str = "an image of allowed_registries";
    let (names, elsewhere) = sources(image);
    let list = |names: &[ImageName]| names.iter().map(ImageName::full).collect::<Vec<_>>().join(", ");
    if !elsewhere {
        // A name without a registry is also what docker build and docker load give.
        let base = images.base_of(image).filter(|base| {
            let (names, elsewhere) = sources(base);
            elsewhere && names.iter().all(|name| listed(want, name))
        });
        return match base {
            Some(base) => Standing::good(format!("made here, on {}", list(&sources(base).0)), DESIRED),
            None => Standing::drift(
                "neither a digest nor a registry: it was made or loaded here",
                DESIRED,
                format!("push it to a registry of {}, and pull it from there", want.allow.join(", ")),
            ),
        };
    }
    let strange: Vec<ImageName> = names.iter().filter(|name| !listed(want, name)).cloned().collect();
    match strange.is_empty() {
        true => Standing::good(list(&names), DESIRED),
        false => Standing::drift(
            list(&strange),
            DESIRED,
            format!("take an image of {}, or add this one to the variable allowed_registries", want.allow.join(", ")),
        ),
    }
}

fn mirrored(want: &ImageWant, image: &ImageFacts) -> Standing {
    const DESIRED: &str = "an image of private_registries";
    let (names, elsewhere) = sources(image);
    let list = names.iter().map(ImageName::full).collect::<Vec<_>>().join(", ");
    if !elsewhere {
        return Standing::nothing("it was made or loaded here; harden check --dockerfile PATH judges what it is built on");
    }
    match names.iter().all(|name| listed(want, name)) {
        true => Standing::good(list, DESIRED),
        false => Standing::drift(list, DESIRED, "push it to a registry of private_registries, and pull it from there"),
    }
}

fn listed(want: &ImageWant, name: &ImageName) -> bool {
    want.allow.iter().any(|pattern| covers(pattern, name))
}

/// What is said where no policy names registries: what there is.
pub(super) fn no_policy(rule: ImageRule, images: &[ImageFacts]) -> Standing {
    let variable = if rule == ImageRule::TrustedBase { "allowed_registries" } else { "private_registries" };
    let mut names: Vec<String> = images.iter().flat_map(|image| sources(image).0).map(|name| name.full()).collect();
    names.sort();
    names.dedup();
    let held = super::made::some_of(&names, 8, ", ");
    Standing::unknown(format!("no policy says which images are good: set the variable {variable}; the engine holds {held}"))
}

/// Images by their layers: what each is built on is looked up, not looked for among all.
pub(super) struct ByLayers<'i>(HashMap<&'i [String], &'i ImageFacts>);

impl<'i> ByLayers<'i> {
    pub(super) fn of(images: &'i [ImageFacts]) -> Self {
        let layered = images.iter().filter(|image| !image.layers.is_empty());
        Self(layered.map(|image| (image.layers.as_slice(), image)).collect())
    }

    /// The image that another one is built on, where the engine holds it: the one with the most layers that all lie below.
    pub(super) fn base_of(&self, image: &ImageFacts) -> Option<&'i ImageFacts> {
        (1..image.layers.len()).rev().find_map(|count| self.0.get(&image.layers[..count]).copied())
    }
}

fn rebuilt(want: &ImageWant, image: &ImageFacts) -> Standing {
    if image.used_by.is_empty() {
        return Standing::nothing("");
    }
    let Some(limit) = given(&want.at_most) else {
        return Standing::drift("as it was built", "as new as policy says", "set image.max_age_days");
    };
    let desired = format!("at most {limit} days old");
    let Some(created) = image.created else {
        return Standing::unknown("it does not say when it was made, as images that are built reproducibly do not");
    };
    let age = (jiff::Timestamp::now().as_second() - created).max(0) / DAY;
    let observed = format!("{age} days old");
    match age <= i64::try_from(*limit).unwrap_or(i64::MAX) {
        true => Standing::good(observed, desired),
        false => Standing::drift(
            observed,
            desired,
            format!("docker build --pull, or docker pull, and make {} anew", containers(&image.used_by)),
        ),
    }
}

fn containers(uses: &[ImageUse]) -> String {
    let names: Vec<String> = uses.iter().map(|one| one.container.clone()).collect();
    super::made::some_of(&names, 5, ", ")
}

/// Whether a container names its image by its id.
fn by_id(image: &ImageFacts, name: &str) -> bool {
    let digits = name.trim_start_matches("sha256:");
    digits.len() >= 12 && image.id.trim_start_matches("sha256:").starts_with(digits)
}

/// What is wrong with the names by which containers are made.
fn named_by(image: &ImageFacts, wrong: impl Fn(&ImageName) -> bool) -> (Vec<String>, Vec<ImageUse>) {
    let bad = |one: &&ImageUse| !by_id(image, &one.image) && ImageName::parse(&one.image).is_none_or(|name| wrong(&name));
    let uses: Vec<ImageUse> = image.used_by.iter().filter(bad).cloned().collect();
    let mut names: Vec<String> = uses.iter().map(|one| one.image.clone()).collect();
    names.sort();
    names.dedup();
    (names, uses)
}

fn pinned(want: &ImageWant, image: &ImageFacts) -> Standing {
    const DESIRED: &str = "a name with @sha256: and 64 digits";
    if given(&want.digests_in_use) != Some(&true) || image.used_by.is_empty() {
        return Standing::nothing("");
    }
    let (names, uses) = named_by(image, |name| !name.has_sha256());
    if names.is_empty() {
        return Standing::good("named by digest", DESIRED);
    }
    let digest = image.digests.first().map_or("its digest".to_owned(), |digest| digest.clone());
    Standing::drift(
        format!("{} without a digest, by {}", names.join(", "), containers(&uses)),
        DESIRED,
        format!("make these containers anew, and name {digest}"),
    )
}

fn tagged(image: &ImageFacts) -> Standing {
    const DESIRED: &str = "a name with the version as its tag";
    if image.used_by.is_empty() {
        return Standing::nothing("");
    }
    let moving = |name: &ImageName| name.digest.is_none() && name.tag.as_deref().is_none_or(|tag| tag == "latest");
    let (names, uses) = named_by(image, moving);
    match names.is_empty() {
        true => Standing::good("named with a tag or digest", DESIRED),
        false => Standing::drift(
            format!("{}, by {}", names.join(", "), containers(&uses)),
            DESIRED,
            "make these containers anew from the version that was tested: NAME:VERSION",
        ),
    }
}

/// One for all images.
pub(super) fn sprawl(want: &ImageWant, images: &[ImageFacts]) -> Standing {
    let unused: Vec<&ImageFacts> = images.iter().filter(|image| image.used_by.is_empty() && image.unread.is_none()).collect();
    // One that was pulled by digest has no tag, and is not dangling.
    let dangling = unused.iter().filter(|image| image.names.is_empty() && image.digests.is_empty()).count();
    let observed = format!("{} that no container uses, {dangling} dangling", unused.len());
    let Some(limit) = given(&want.at_most) else {
        return Standing::drift(observed, "as many as policy says, and none dangling", "set max_unused_images");
    };
    let desired = format!("at most {limit}, and none dangling");
    let few = u64::try_from(unused.len()).is_ok_and(|count| count <= *limit);
    match (few, dangling) {
        (true, 0) => Standing::good(observed, desired),
        (true, _) => Standing::drift(observed, desired, "docker image prune deletes those that are dangling"),
        (false, _) => Standing::drift(
            observed,
            desired,
            "docker image prune deletes those that are dangling, docker image rm NAME others; the way back to them is gone then",
        ),
    }
}
