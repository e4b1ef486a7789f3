//! What ends up in the layers of the image: its base, packages, build tools, caches.

use glob::Pattern;

use super::base::depends;
use super::commands::{calls, counted, unread};
use super::packages::{Act, Call, Manager};
use super::steps::Run;
use super::{Build, Found};
use crate::baseline::control::ImageWant;
use crate::formats::dockerfile::{Base, ImageName, Keyword};
use crate::formats::shell::Command;

/// Distributions whose usual image is a whole one.
const DISTRIBUTIONS: [&str; 16] = [
    "ubuntu",
    "debian",
    "centos",
    "fedora",
    "rockylinux",
    "almalinux",
    "oraclelinux",
    "amazonlinux",
    "leap",
    "tumbleweed",
    "archlinux",
    "kali-rolling",
    "clearlinux",
    "mageia",
    "opensuse",
    "photon",
];
/// Languages whose usual image is a whole distribution with a compiler.
const LANGUAGES: [&str; 9] = ["node", "python", "ruby", "php", "perl", "openjdk", "pypy", "elixir", "erlang"];
/// Images that are there to build with.
const SDKS: [&str; 14] = [
    "golang",
    "rust",
    "gcc",
    "maven",
    "gradle",
    "sbt",
    "haskell",
    "swift",
    "dart",
    "buildpack-deps",
    "sdk",
    "clojure",
    "emscripten",
    "android-sdk",
];
/// Packages that are there to build with.
const BUILD_TOOLS: [&str; 22] = [
    "build-essential",
    "build-base",
    "base-devel",
    "gcc",
    "g++",
    "gcc-c++",
    "clang",
    "make",
    "cmake",
    "ninja-build",
    "autoconf",
    "automake",
    "golang",
    "golang-go",
    "go",
    "rust",
    "rustc",
    "cargo",
    "maven",
    "gradle",
    "default-jdk",
    "default-jdk-headless",
];

fn is_slim(name: &ImageName) -> bool {
    let tag = name.tag.as_deref().unwrap_or_default();
    ["slim", "alpine", "distroless", "busybox", "minimal", "micro", "nano", "chiseled"].iter().any(|word| tag.contains(word))
        || name.repository.contains("distroless")
        || name.repository.contains("chainguard")
}

fn is_sdk(name: &ImageName) -> bool {
    let tag = name.tag.as_deref().unwrap_or_default();
    SDKS.contains(&name.short())
        || name.short().ends_with("-sdk")
        || (["openjdk", "eclipse-temurin", "amazoncorretto", "ibm-semeru-runtimes"].contains(&name.short())
            && tag.contains("jdk")
            && !tag.contains("jre"))
}

/// image-minimal-base.
pub(super) fn minimal(want: &ImageWant, build: &Build) -> Found {
    let mut found = Found::default();
    match build.base() {
        Some((Base::Image(text, name), from)) => {
            found.holds = format!("FROM {text}");
            if (DISTRIBUTIONS.contains(&name.short()) || LANGUAGES.contains(&name.short())) && !is_slim(name) {
                let fix = if DISTRIBUTIONS.contains(&name.short()) {
                    "take debian:…-slim, alpine or a distroless image as the base of the last stage"
                } else {
                    "take the tag with -slim or -alpine, or a distroless image"
                };
                found.drift(from.at(), format!("FROM {text}, a whole distribution"), "a slim base", fix);
            }
        }
        Some((Base::Depends(arguments), from)) => found.unknown(from.at(), depends(arguments)),
        _ => found.holds = "FROM scratch".into(),
    }
    let off = without_recommends(build);
    let patterns: Vec<Pattern> = want.look_for.iter().filter_map(|text| Pattern::new(text).ok()).collect();
    for run in build.runs.iter().filter(|run| run.in_image) {
        for call in calls(run).filter(|call| call.act == Act::Install) {
            if call.manager == Manager::Apt && !off && !no_recommends(&call) {
                let fix = format!("write {} {} --no-install-recommends …", call.name, call.verb);
                found.drift(call.at, format!("{} {} with recommended packages", call.name, call.verb), "without them", fix);
            }
            for (package, at) in installed(run, &call) {
                if patterns.iter().any(|pattern| pattern.matches(package)) {
                    let fix = format!(
                        "install {package} in a build stage, or remove it in the same RUN; image.deny_packages lists such packages"
                    );
                    found.drift(at, format!("{} {} {package}", call.name, call.verb), "no such package", fix);
                }
            }
        }
    }
    unread(&mut found, build.runs.iter().filter(|run| run.in_image));
    found
}

fn no_recommends(call: &Call) -> bool {
    let off = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.split_once('=')
            .is_some_and(|(name, value)| name.ends_with("install-recommends") && ["0", "false", "no"].contains(&value))
    };
    call.option("--no-install-recommends")
        || call.option("-R")
        || call.args.iter().any(|arg| off(&arg.text))
        || call.verb == "build-dep"
}

/// Whether apt's configuration leaves recommended packages out once and for all.
fn without_recommends(build: &Build) -> bool {
    let says = |text: &str| text.to_ascii_lowercase().contains("apt::install-recommends");
    build.runs.iter().flat_map(Run::commands).any(|command| {
        let echo = command.program().is_some_and(|program| ["echo", "printf"].contains(&program.name));
        echo && command.words.iter().any(|word| says(&word.text))
    })
}

/// The packages of the system that a call brings and that the same RUN does not take away again.
fn installed<'c>(run: &Run, call: &Call<'c>) -> Vec<(&'c str, usize)> {
    if !call.manager.of_system() {
        return Vec::new();
    }
    // apk's name for a group: what it holds goes with it.
    let group =
        call.args.iter().zip(call.args.iter().skip(1)).find(|(option, _)| ["-t", "--virtual"].contains(&option.text.as_str()));
    let group = group.map(|(_, name)| name.text.as_str());
    let joined = call.args.iter().find_map(|arg| arg.text.strip_prefix("--virtual="));
    let removes = |name: &str| {
        calls(run).any(|other| {
            other.manager == call.manager
                && other.act == Act::Remove
                && other.packages.iter().any(|(package, _)| *package == name)
        })
    };
    // `apt-mark auto` and a purge take away whatever was not kept by name: what is left can't be told.
    let marks = run.commands().flat_map(Command::programs).any(|program| program.name == "apt-mark" && program.has("auto"));
    let purges = calls(run).any(|other| {
        other.act == Act::Remove
            && (other.verb.starts_with("auto") || other.option("--auto-remove") || other.option("--autoremove"))
    });
    if call.manager == Manager::Apt && marks && purges {
        return Vec::new();
    }
    if call.manager == Manager::Apk && group.or(joined).is_some_and(&removes) {
        return Vec::new();
    }
    call.packages.iter().copied().filter(|(package, _)| !removes(package)).collect()
}

/// image-multistage.
pub(super) fn multistage(build: &Build) -> Found {
    let count = build.stages.len();
    let mut found = Found::holding(if count == 1 { "1 stage".into() } else { format!("{count} stages") });
    let fix = "build in a stage of its own, FROM … AS build, and take the result with COPY --from=build";
    if let Some((Base::Image(text, name), from)) = build.base()
        && is_sdk(name)
    {
        found.drift(from.at(), format!("FROM {text}, an image to build with"), "a base that only runs", fix);
    }
    for run in build.runs.iter().filter(|run| run.in_image) {
        for call in calls(run).filter(|call| call.act == Act::Install) {
            for (package, at) in installed(run, &call).into_iter().filter(|(package, _)| BUILD_TOOLS.contains(package)) {
                found.drift(at, format!("{} {} {package}", call.name, call.verb), "no build tools in the last stage", fix);
            }
        }
    }
    unread(&mut found, build.runs.iter().filter(|run| run.in_image));
    found
}

/// image-run-merged.
pub(super) fn merged(build: &Build) -> Found {
    let runs: Vec<&Run> = build.runs.iter().filter(|run| run.in_image).collect();
    if runs.is_empty() {
        return Found::nothing("the image has no RUN");
    }
    let mut found = Found::holding(counted(runs.len()));
    for run in &runs {
        for call in calls(run).filter(|call| call.act == Act::Install) {
            if let Some((cache, fix)) = left_behind(build, run, &call) {
                found.drift(
                    call.at,
                    format!("{} {} that leaves {cache} in the layer", call.name, call.verb),
                    "cleared in the same RUN",
                    fix,
                );
            }
        }
    }
    let installs = |run: &&Run| calls(run).any(|call| call.act == Act::Install && call.manager.of_system());
    // Next to each other in the file, not only among the RUNs.
    for row in runs.chunk_by(|a, b| installs(a) && installs(b) && a.index + 1 == b.index).filter(|row| row.len() >= 3) {
        if let Some(first) = row.first().and_then(|run| build.instruction(run)) {
            let observed = format!("{} RUN in a row that install packages", row.len());
            found.drift(first.at(), observed, "one", "join them with && into one RUN");
        }
    }
    unread(&mut found, runs.into_iter());
    found
}

/// What an install leaves in its layer, and how it would not.
fn left_behind(build: &Build, run: &Run, call: &Call) -> Option<(&'static str, &'static str)> {
    let removed = |path: &str| {
        run.commands().flat_map(Command::programs).any(|program| {
            let finds = program.name == "find" && (program.has("-delete") || program.has("rm"));
            (program.name == "rm" || finds) && program.args.iter().any(|arg| arg.text.contains(path))
        })
    };
    let cleans = calls(run).any(|other| other.manager == call.manager && other.act == Act::Clean);
    let (cache, kept, fix) = match call.manager {
        Manager::Apt => (
            "the index of packages",
            !removed("/var/lib/apt/lists")
                && !run.keeps_out("/var/lib/apt")
                && !calls(run).any(|other| other.verb == "distclean"),
            "end the RUN with && rm -rf /var/lib/apt/lists/*",
        ),
        Manager::Apk => (
            "the index of packages",
            !call.option("--no-cache")
                && !call.option("--no-network")
                && !removed("/var/cache/apk")
                && !run.keeps_out("/var/cache/apk")
                && !run.keeps_out("/etc/apk/cache"),
            "write apk add --no-cache",
        ),
        Manager::Yum => (
            "its cache",
            !cleans && !removed("/var/cache/") && !run.keeps_out("/var/cache/"),
            "end the RUN with && dnf clean all, or yum",
        ),
        Manager::Zypper => (
            "its cache",
            !cleans && !removed("/var/cache/zypp") && !run.keeps_out("/var/cache/zypp"),
            "end the RUN with && zypper clean --all",
        ),
        Manager::Pip => {
            let off = call.option("--no-cache-dir") || variable(build, "PIP_NO_CACHE_DIR");
            (
                "its cache",
                !off && !cleans && !removed(".cache") && !run.keeps_out("pip") && !run.keeps_out(".cache"),
                "write pip install --no-cache-dir, or RUN --mount=type=cache,target=/root/.cache/pip",
            )
        }
        Manager::Npm => (
            "its cache",
            !cleans && !removed(".npm") && !run.keeps_out("npm"),
            "end the RUN with && npm cache clean --force, or write RUN --mount=type=cache,target=/root/.npm",
        ),
        _ => return None,
    };
    kept.then_some((cache, fix))
}

/// Whether a variable is set to something in the image, or while it is built.
fn variable(build: &Build, name: &str) -> bool {
    let mut instructions = build.of_image().filter(|other| matches!(other.keyword, Keyword::Env | Keyword::Arg));
    instructions.any(|instruction| instruction.pairs(build.file.escape).iter().any(|pair| pair.name == name))
}

/// image-build-cache.
pub(super) fn cached(build: &Build) -> Found {
    let mut found = Found::default();
    let mut all = 0;
    for run in &build.runs {
        let mut calls = calls(run).filter(|call| call.act == Act::Install && !call.manager.of_system());
        let Some(call) = calls.next() else { continue };
        all += 1;
        if run.mounts("cache") {
            continue;
        }
        let target = match call.manager {
            Manager::Pip => "/root/.cache/pip",
            Manager::Npm => "/root/.npm",
            Manager::Yarn => "/usr/local/share/.cache/yarn",
            Manager::Go => "/go/pkg/mod",
            Manager::Cargo => "/usr/local/cargo/registry",
            Manager::Maven => "/root/.m2",
            Manager::Gradle => "/root/.gradle",
            Manager::Composer => "/root/.composer/cache",
            _ => "/usr/local/bundle/cache",
        };
        let fix = format!("write RUN --mount=type=cache,target={target} {} {} …", call.name, call.verb);
        found.drift(call.at, format!("{} {} without a cache mount", call.name, call.verb), "with a cache mount", fix);
    }
    if all == 0 {
        // Those of the system clear what they keep: image-run-merged.
        return Found::nothing("no RUN fetches what a project needs with a package manager of its language");
    }
    found.holds = format!("{} with a cache mount", counted(all));
    unread(&mut found, build.runs.iter());
    found
}
