//! Stages: what each is built on, and which belong to the image that comes out.

use super::expand::{Scope, expand};
use super::image_name::ImageName;
use super::{Dockerfile, Keyword};

/// A stage of the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its FROM, as an index of the instructions.
    pub from: usize,
    /// The index behind its last instruction.
    pub end: usize,
    /// The name after AS, in lower case.
    pub name: Option<String>,
    /// What it is built on.
    pub base: Base,
}

/// What a stage is built on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An earlier stage, by its index.
    Stage(usize),
    /// An image; the text is what FROM says with its variables replaced.
    Image(String, ImageName),
    /// It is not known: it depends on these build arguments.
    Depends(Vec<String>),
    /// It is not the name of an image.
    Nonsense,
}

/// Arguments that the builder sets by itself; their values depend on where and for what it builds.
const OF_THE_PLATFORM: [&str; 8] =
    ["TARGETPLATFORM", "TARGETOS", "TARGETARCH", "TARGETVARIANT", "BUILDPLATFORM", "BUILDOS", "BUILDARCH", "BUILDVARIANT"];

/// The stages of a file, in their order.
pub fn stages(file: &Dockerfile) -> Vec<Stage> {
    let mut scope: Scope = OF_THE_PLATFORM.iter().map(|name| (name.to_string(), None)).collect();
    let mut stages: Vec<Stage> = Vec::new();
    let mut names = std::collections::BTreeMap::new();
    for (index, instruction) in file.instructions.iter().enumerate() {
        match instruction.keyword {
            // Only those before the first FROM reach into FROM.
            Keyword::Arg if stages.is_empty() => declare(&mut scope, instruction.pairs(file.escape)),
            Keyword::From if !instruction.onbuild => {
                if let Some(last) = stages.last_mut() {
                    last.end = index;
                }
                let words = instruction.words(file.escape);
                let name = match words.as_slice() {
                    [_, by, name, ..] if by.text.eq_ignore_ascii_case("as") => Some(name.text.to_ascii_lowercase()),
                    _ => None,
                };
                let written = words.first().map_or("", |word| word.text.as_str());
                let base = base(written, &scope, &names);
                names.extend(name.clone().map(|name| (name, stages.len())));
                stages.push(Stage { from: index, end: file.instructions.len(), name, base });
            }
            _ => {}
        }
    }
    stages
}

fn base(written: &str, scope: &Scope, names: &std::collections::BTreeMap<String, usize>) -> Base {
    let expanded = expand(written, scope);
    if !expanded.unknown.is_empty() {
        return Base::Depends(expanded.unknown);
    }
    let text = expanded.text;
    if let Some(index) = names.get(&text.to_ascii_lowercase()) {
        return Base::Stage(*index);
    }
    if text == "scratch" {
        return Base::Scratch;
    }
    match ImageName::parse(&text) {
        Some(name) => Base::Image(text, name),
        None => Base::Nonsense,
    }
}

/// ARG: a default may refer to what was declared before; without one, the value comes from outside, if at all.
pub(crate) fn declare(scope: &mut Scope, pairs: Vec<super::Pair>) {
    for pair in pairs {
        let value = pair.value.map(|value| expand(&value, scope)).filter(|value| value.unknown.is_empty());
        scope.insert(pair.name, value.map(|value| value.text));
    }
}

/// The stages that the last one is made of: from the one that is built on an image, down to the last.
pub(crate) fn lineage(stages: &[Stage]) -> Vec<usize> {
    let mut lineage = Vec::new();
    let mut next = stages.len().checked_sub(1);
    while let Some(index) = next {
        lineage.push(index);
        next = match stages.get(index).map(|stage| &stage.base) {
            // A stage is built on an earlier one, so this ends.
            Some(Base::Stage(base)) if *base < index => Some(*base),
            _ => None,
        };
    }
    lineage.reverse();
    lineage
}
