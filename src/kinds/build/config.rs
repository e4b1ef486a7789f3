//! What the image says of itself: its user, its health check, its labels, its ports.

use std::collections::BTreeMap;

use super::base::{covers, depends};
use super::{Build, Found};
use crate::baseline::control::ImageWant;
use crate::formats::dockerfile::{Base, Keyword, expand};

/// image-user-nonroot.
pub(super) fn user(want: &ImageWant, build: &Build) -> Found {
    let desired = "a user other than root, best by number";
    let fix = "end with USER 10001:10001; if it needs a name, RUN useradd --uid 10001 app before";
    let mut last = None;
    build.with_scope(|instruction, scope| {
        if instruction.keyword == Keyword::User {
            let name = instruction.words(build.file.escape).first().map(|word| word.text.clone()).unwrap_or_default();
            last = Some((instruction.at(), expand(&name, scope), name));
        }
    });
    let Some((at, user, written)) = last else { return base_user(want, build, desired, fix) };
    // As it is written: a variable's value may be nobody's business.
    let mut found = Found::holding(format!("USER {written} in line {}", build.line(at)));
    let name = user.text.split(':').next().unwrap_or_default();
    if !user.unknown.is_empty() {
        found.unknown(at, depends(&user.unknown));
    } else if name == "root" || name.is_empty() || name.parse::<u64>() == Ok(0) {
        found.drift(at, format!("USER {}", user.text), desired, fix);
    }
    found
}

/// Without a USER the base image decides.
fn base_user(want: &ImageWant, build: &Build, desired: &str, fix: &str) -> Found {
    let at = build.last_from();
    let mut found = Found::default();
    match build.base() {
        Some((Base::Image(text, name), _)) => {
            if let Some(pattern) = want.allow.iter().find(|pattern| covers(pattern, name)) {
                found.holds = format!("FROM {text}");
                found.note = Some(format!("its entry point gives up root itself, as image.user_exceptions says of {pattern}"));
            } else if name.tag.as_deref().is_some_and(|tag| tag.contains("nonroot")) {
                found.holds = format!("FROM {text}");
                found.note = Some("the user is that of the base image, whose tag says nonroot".into());
            } else {
                let observed = format!("without a USER: it is that of {text}, which is root unless it says otherwise");
                found.drift(at, observed, desired, fix);
            }
        }
        Some((Base::Depends(arguments), _)) => found.unknown(at, depends(arguments)),
        _ => found.drift(at, "without a USER, so it is root", desired, fix),
    }
    found
}

/// image-healthcheck.
pub(super) fn healthcheck(build: &Build) -> Found {
    let last = build.of_image().filter(|instruction| instruction.keyword == Keyword::Healthcheck).last();
    let desired = "a HEALTHCHECK";
    let fix = "write HEALTHCHECK CMD [\"/path/of/a/check\"], with a program that asks the service itself";
    let Some(instruction) = last else {
        let mut found = Found::default();
        found.drift(build.last_from(), "without a HEALTHCHECK", desired, fix);
        return found;
    };
    let mut found = Found::holding(format!("HEALTHCHECK in line {}", build.line(instruction.at())));
    if instruction.args().trim().eq_ignore_ascii_case("none") {
        found.drift(instruction.at(), "HEALTHCHECK NONE", desired, fix);
    }
    found
}

/// image-labels.
pub(super) fn labels(want: &ImageWant, build: &Build) -> Found {
    let mut given = BTreeMap::new();
    for instruction in build.of_image().filter(|instruction| instruction.keyword == Keyword::Label) {
        for pair in instruction.pairs(build.file.escape) {
            given.insert(pair.name, pair.value.is_some_and(|value| !value.trim().is_empty()));
        }
    }
    let there = |names: &str| names.split('|').any(|name| given.get(name.trim()).copied().unwrap_or(false));
    let missing: Vec<String> =
        want.look_for.iter().filter(|names| !there(names)).map(|names| names.replace('|', " or ")).collect();
    let mut found = Found::holding(format!("{} labels", given.len()));
    if !missing.is_empty() {
        let fix = format!("write LABEL {}=\"…\", or give it with docker build --label", first_of(&missing));
        found.drift(build.last_from(), format!("without {}", missing.join(", ")), "labeled with these", fix);
    }
    found
}

fn first_of(missing: &[String]) -> &str {
    missing.first().and_then(|names| names.split(" or ").next()).unwrap_or_default()
}

/// image-expose-unprivileged.
pub(super) fn ports(want: &ImageWant, build: &Build) -> Found {
    let mut found = Found::default();
    let mut ports = Vec::new();
    build.with_scope(|instruction, scope| {
        if instruction.keyword != Keyword::Expose {
            return;
        }
        for word in instruction.words(build.file.escape) {
            let at = instruction.line.origin(word.at);
            let port = expand(&word.text, scope);
            if !port.unknown.is_empty() {
                found.unknown(at, depends(&port.unknown));
                continue;
            }
            match Port::parse(&port.text) {
                Some(range) => judge_port(want, range, &port.text, at, &mut found),
                None => found.unknown(at, format!("`{}` is no port", word.text)),
            }
            ports.push(word.text);
        }
    });
    if ports.is_empty() && found.unknown.is_empty() {
        return Found::nothing("it has no EXPOSE");
    }
    found.holds = format!("EXPOSE {}", ports.join(" "));
    found
}

fn judge_port(want: &ImageWant, range: Port, text: &str, at: usize, found: &mut Found) {
    let allowed = want.allow.iter().filter_map(|text| Port::parse(text)).any(|allowed| allowed.holds(&range));
    if want.allow.is_empty() && range.first < 1024 {
        let fix = "let the service listen on a port from 1024 up, like 8080, and publish it with -p 80:8080; or add the port to image.allowed_ports";
        found.drift(at, format!("EXPOSE {text}"), "a port from 1024 up", fix);
    } else if !want.allow.is_empty() && !allowed {
        let fix = format!("leave {text} out, or add it to the variable image.allowed_ports");
        found.drift(at, format!("EXPOSE {text}"), format!("one of {}", want.allow.join(", ")), fix);
    }
}

/// `8080`, `53/udp`, `8000-8010`.
struct Port {
    first: u16,
    last: u16,
    protocol: String,
}

impl Port {
    fn parse(text: &str) -> Option<Port> {
        let (numbers, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && first > 0).then(|| Port { first, last, protocol: protocol.to_ascii_lowercase() })
    }

    fn holds(&self, other: &Port) -> bool {
        self.first <= other.first && other.last <= self.last && self.protocol == other.protocol
    }
}
