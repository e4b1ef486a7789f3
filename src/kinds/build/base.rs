//! The images that a Dockerfile takes from elsewhere: FROM, COPY --from, RUN --mount=from.

use glob::Pattern;

use super::{Build, Found};
use crate::baseline::control::ImageWant;
use crate::formats::dockerfile::{Base, ImageName, Instruction, Keyword};

/// An image that comes from elsewhere.
struct Source {
    /// Where it is named.
    at: usize,
    /// As it is named, variables replaced.
    text: String,
    /// Its name, or the build arguments that it depends on.
    name: Result<ImageName, Vec<String>>,
    /// The instruction that names it.
    by: &'static str,
}

/// Every image that is named, in the order of the file; stages of the file itself and `scratch` are none.
fn sources(build: &Build) -> Vec<Source> {
    let mut sources = Vec::new();
    for stage in &build.stages {
        let Some(from) = build.file.instructions.get(stage.from) else { continue };
        let at = from.words(build.file.escape).first().map_or(from.at(), |word| from.line.origin(word.at));
        match &stage.base {
            Base::Image(text, name) => sources.push(Source { at, text: text.clone(), name: Ok(name.clone()), by: "FROM" }),
            Base::Depends(arguments) => {
                sources.push(Source { at, text: String::new(), name: Err(arguments.clone()), by: "FROM" });
            }
            Base::Scratch | Base::Stage(_) | Base::Nonsense => {}
        }
    }
    for instruction in &build.file.instructions {
        sources.extend(copied(build, instruction));
    }
    sources.sort_by_key(|source| source.at);
    sources
}

/// The images that COPY --from and RUN --mount=from name.
fn copied(build: &Build, instruction: &Instruction) -> Vec<Source> {
    let flag = |flag: &crate::formats::dockerfile::Flag| -> Option<(String, &'static str)> {
        let value = flag.value.as_deref()?;
        match (instruction.keyword, flag.name.as_str()) {
            (Keyword::Copy, "from") => Some((value.to_owned(), "COPY --from")),
            (Keyword::Run, "mount") => {
                let from = value.split(',').find_map(|option| option.strip_prefix("from="))?;
                Some((from.to_owned(), "RUN --mount=from"))
            }
            _ => None,
        }
    };
    let mut sources = Vec::new();
    for (at, (text, by)) in instruction.flags.iter().filter_map(|found| Some((found.at, flag(found)?))) {
        let stage = build.stages.iter().any(|stage| stage.name.as_deref() == Some(text.to_ascii_lowercase().as_str()));
        // A number is a stage, and the builder replaces no variables here.
        if stage || text == "scratch" || text.parse::<usize>().is_ok() || text.contains('$') {
            continue;
        }
        if let Some(name) = ImageName::parse(&text) {
            sources.push(Source { at: instruction.line.origin(at), text, name: Ok(name), by });
        }
    }
    sources
}

/// Judges every image by one question: what is wrong with it, as observed and fix.
fn each(build: &Build, desired: &str, wrong: impl Fn(&Source, &ImageName) -> Option<(String, String)>) -> Found {
    let sources = sources(build);
    if sources.is_empty() {
        return Found::nothing("it takes nothing from another image");
    }
    let mut found = Found::holding(names(&sources));
    for source in &sources {
        match &source.name {
            Ok(name) => {
                if let Some((observed, fix)) = wrong(source, name) {
                    found.drift(source.at, observed, desired, fix);
                }
            }
            Err(arguments) => found.unknown(source.at, depends(arguments)),
        }
    }
    found
}

/// Why it is not known what a build argument will make of a line.
pub(super) fn depends(arguments: &[String]) -> String {
    format!("it depends on the build argument {}, which has no default", arguments.join(" and "))
}

fn names(sources: &[Source]) -> String {
    sources.iter().map(|source| source.text.as_str()).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ")
}

/// image-trusted-base.
pub(super) fn trusted(want: &ImageWant, build: &Build) -> Found {
    of_registries(build, &want.allow, "allowed_registries", "an image of allowed_registries")
}

/// image-mirrored-privately.
pub(super) fn mirrored(want: &ImageWant, build: &Build) -> Found {
    of_registries(build, &want.allow, "private_registries", "an image of private_registries")
}

fn of_registries(build: &Build, allow: &[String], variable: &str, desired: &str) -> Found {
    let sources = sources(build);
    if let (Some(first), true) = (sources.first(), allow.is_empty()) {
        let mut found = Found::default();
        found.unknown(
            first.at,
            format!(
                "it is built on {}, and no policy says which images are good: set the variable {variable}",
                names(&sources)
            ),
        );
        return found;
    }
    each(build, desired, |source, name| {
        let listed = allow.iter().any(|pattern| covers(pattern, name));
        let fix = format!("take an image of {}, or add {} to the variable {variable}", allow.join(", "), name.full());
        (!listed).then(|| (format!("{} {}", source.by, name.full()), fix))
    })
}

/// Whether a policy's pattern covers an image; a registry alone covers all that is in it.
pub(super) fn covers(pattern: &str, name: &ImageName) -> bool {
    if !pattern.contains(['*', '?', '[']) && !pattern.contains('/') {
        return pattern == name.registry;
    }
    let tagged = name.tag.as_ref().map(|tag| format!("{}:{tag}", name.full()));
    Pattern::new(pattern)
        .is_ok_and(|pattern| pattern.matches(&name.full()) || tagged.is_some_and(|tagged| pattern.matches(&tagged)))
}

/// image-digest-pinned.
pub(super) fn pinned(build: &Build) -> Found {
    each(build, "a name with @sha256: and 64 digits", |source, name| {
        if name.has_sha256() {
            return None;
        }
        let observed = match &name.digest {
            None => format!("{} {}, without a digest", source.by, source.text),
            Some(_) => format!("{} {}, whose digest is none", source.by, source.text),
        };
        let plain = source.text.split('@').next().unwrap_or_default();
        Some((observed, format!("docker buildx imagetools inspect {plain} shows the digest; write {plain}@sha256:…")))
    })
}

/// image-specific-tag.
pub(super) fn tagged(build: &Build) -> Found {
    each(build, "a name with the version as its tag", |source, name| {
        let observed = match (&name.digest, name.tag.as_deref()) {
            (Some(_), _) => return None,
            (None, None) => format!("{} {}, without a tag: that is latest", source.by, source.text),
            (None, Some("latest")) => format!("{} {}", source.by, source.text),
            (None, Some(_)) => return None,
        };
        let plain = source.text.trim_end_matches(":latest");
        Some((observed, format!("write the version that was tested: {plain}:VERSION")))
    })
}
