//! How an image was made: its history and configuration, written as a Dockerfile and judged as one.
//!
//! A history loses the names of build stages, the context and flags such as `--checksum`; what is below the image's own layers was made
//! by others, and is in the image all the same.

use super::api::{Standing, given};
use super::property::ByLayers;
use crate::baseline::control::{ImageRule, ImageWant};
use crate::fact::{DockerfileFact, Fact, ImageFacts, ImageStep};
use crate::kinds::build::{self, Build, Found};

/// Ends a RUN in the Dockerfile that an image is written as.
const END: &str = "END-OF-THIS-STEP";
/// How many findings of one image are named.
const MOST: usize = 5;

/// Whether a rule is judged from the history.
pub(super) fn needs_history(rule: ImageRule) -> bool {
    matches!(
        rule,
        ImageRule::MinimalBase
            | ImageRule::NoLoneUpdate
            | ImageRule::CopyNotAdd
            | ImageRule::NoSecrets
            | ImageRule::VerifiedPackages
            | ImageRule::NoSudo
            | ImageRule::NoSshServer
            | ImageRule::NoSetuid
    )
}

/// How one image stands by a rule for Dockerfiles.
pub(super) fn judge(want: &ImageWant, image: &ImageFacts, images: &ByLayers) -> Standing {
    let steps = match &image.history {
        Fact::Known(steps) => steps.as_slice(),
        Fact::Absent | Fact::Unknown(_) if !needs_history(want.rule) => &[],
        Fact::Absent => return Standing::unknown("the engine shows no history of it"),
        Fact::Unknown(why) => return Standing::unknown(why.clone()),
    };
    if want.rule == ImageRule::CopyNotAdd {
        return added(want, image, steps, images);
    }
    let fact = DockerfileFact { text: written(image, steps), ..DockerfileFact::default() };
    let mut found = build::found(want, &Build::of(&fact));
    match want.rule {
        ImageRule::NoSecrets => tokens(image, steps, &mut found),
        ImageRule::MinimalBase => size(want, image, &mut found),
        _ => {}
    }
    standing(found)
}

/// The image as a Dockerfile.
fn written(image: &ImageFacts, steps: &[ImageStep]) -> String {
    let mut text = String::from("FROM scratch\n");
    for (keyword, rest) in steps.iter().flat_map(|step| &step.instructions) {
        match keyword.as_str() {
            "RUN" if !rest.contains(END) => text.push_str(&format!("RUN <<\"{END}\"\n{rest}\n{END}\n")),
            "ENV" | "ARG" => text.push_str(&format!("{keyword} {}\n", line(rest))),
            "ADD" | "COPY" => {
                // The classic builder keeps the sum of what is copied, and where to.
                let place = line(rest.split_once(" in ").filter(|_| rest.contains(':')).map_or(rest, |(_, place)| place));
                let one = place.split_whitespace().count() < 2;
                text.push_str(&format!("{keyword} {place}{}\n", if one { " /" } else { "" }));
            }
            _ => {}
        }
    }
    for (keyword, pairs) in [("ENV", &image.env), ("LABEL", &image.labels)] {
        for (name, value) in pairs {
            let name: String =
                name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-/".contains(c) { c } else { '_' }).collect();
            text.push_str(&format!("{keyword} {name}={value}\n"));
        }
    }
    for port in &image.exposed {
        text.push_str(&format!("EXPOSE {}\n", line(port)));
    }
    for (keyword, words) in [("ENTRYPOINT", &image.entrypoint), ("CMD", &image.cmd)] {
        match words.as_slice() {
            [] => {}
            [shell, option, command] if shell == "/bin/sh" && option == "-c" => {
                text.push_str(&format!("{keyword} {}\n", line(command)));
            }
            words => text.push_str(&format!("{keyword} {}\n", serde_json::to_string(words).unwrap_or_default())),
        }
    }
    text
}

/// On one line.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").trim_end_matches('\\').to_owned()
}

/// What is in the image, by name or form.
fn tokens(image: &ImageFacts, steps: &[ImageStep], found: &mut Found) {
    for observed in steps.iter().flat_map(|step| &step.tokens).chain(&image.tokens).cloned() {
        found.drift.push(build::Drift {
            at: 0,
            observed,
            desired: "no secret in the image".into(),
            fix: build::BY_MOUNT.into(),
        });
    }
    for drift in &mut found.drift {
        drift.desired = "no secret in the image".into();
    }
    found.holds = "no secret that harden knows by name or form".into();
}

fn size(want: &ImageWant, image: &ImageFacts, found: &mut Found) {
    let megabytes = image.size.div_ceil(1 << 20);
    found.holds = format!("{megabytes} MiB");
    if let Some(limit) = given(&want.size_at_most).filter(|limit| image.size > limit.bytes) {
        let drift = build::Drift {
            at: 0,
            observed: format!("{megabytes} MiB"),
            desired: format!("at most {}", limit.text),
            fix: "build on a -slim, -alpine or distroless image, and take only results from a build stage".into(),
        };
        found.drift.insert(0, drift);
    }
}

/// image-copy-not-add. What the base brought is the base's.
fn added(want: &ImageWant, image: &ImageFacts, steps: &[ImageStep], images: &ByLayers) -> Standing {
    // Its history is that of the base, and what was added to it.
    let of_base = images.base_of(image).and_then(|base| base.history.known()).filter(|base| steps.starts_with(base));
    let below = of_base.map_or(0, Vec::len);
    let mut found = Found { holds: "no ADD".into(), ..Found::default() };
    let checked = given(&want.checked_add) == Some(&true);
    let mut first = true;
    for (index, step) in steps.iter().enumerate() {
        for (keyword, rest) in &step.instructions {
            // The first layer of a distribution is an ADD of its whole tree.
            let root = keyword == "ADD" && first && rest.trim_end().ends_with(" /");
            first &= !matches!(keyword.as_str(), "ADD" | "COPY" | "RUN");
            if keyword != "ADD" || index < below || root {
                continue;
            }
            let fetched = rest.contains("://") || rest.starts_with("git@");
            if fetched && rest.contains("--checksum=") && checked {
                continue;
            }
            if fetched && checked {
                found
                    .unknown
                    .push((0, format!("the history does not say whether ADD {} was compared with a checksum", line(rest))));
                continue;
            }
            // The classic builder shows the sum of what it added, which says nothing to anybody.
            let observed = match rest.split_once(" in ").filter(|(sum, _)| sum.contains(':') && !sum.contains("://")) {
                Some((_, place)) => format!("ADD of files to {}", line(place)),
                None => format!("ADD {}", line(rest)),
            };
            let fix = "write COPY in its Dockerfile; unpack archives in a RUN with a bind mount".into();
            found.drift.push(build::Drift { at: 0, observed, desired: "COPY".into(), fix });
        }
    }
    standing(found)
}

/// One verdict of everything that was found.
fn standing(found: Found) -> Standing {
    if let Some(reason) = found.nothing {
        return Standing::nothing(reason.replace("it has no RUN", "its history has no RUN"));
    }
    let Some(first) = found.drift.first() else {
        return match found.unknown.into_iter().next() {
            Some((_, why)) => Standing::unknown(why),
            None => Standing::good(found.holds, ""),
        };
    };
    let desired = first.desired.clone();
    let unique = |texts: Vec<String>| {
        let mut kept: Vec<String> = Vec::new();
        texts.into_iter().for_each(|text| {
            if !kept.contains(&text) {
                kept.push(text)
            }
        });
        kept
    };
    let observed = unique(found.drift.iter().map(|drift| drift.observed.clone()).collect());
    let fixes = unique(found.drift.iter().map(|drift| drift.fix.clone()).collect());
    Standing::drift(some_of(&observed, MOST, "; "), desired, format!("{}; then build the image anew", some_of(&fixes, 2, "; ")))
}

/// The first few, and how many more.
pub(super) fn some_of(texts: &[String], most: usize, between: &str) -> String {
    let named = texts.iter().take(most).cloned().collect::<Vec<_>>().join(between);
    match texts.len().saturating_sub(most) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
