//! What comes in from outside: ADD, and the build context.

use super::{Build, Found};
use crate::baseline::control::{Given, ImageWant};
use crate::fact::Fact;
use crate::formats::dockerfile::{IgnoreFile, Instruction, Keyword, ignore_matches};

/// Ends of names that ADD unpacks.
const ARCHIVES: [&str; 12] =
    [".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.lz", ".taz"];

/// image-copy-not-add.
pub(super) fn add(want: &ImageWant, build: &Build) -> Found {
    let checked = want.checked_add.as_ref().and_then(Given::value).copied().unwrap_or(false);
    let mut found = Found::holding("no ADD");
    for instruction in build.file.instructions.iter().filter(|other| other.keyword == Keyword::Add) {
        let words = instruction.words(build.file.escape);
        let sources = words.split_last().map_or(&[][..], |(_, sources)| sources);
        let remote: Vec<&str> = sources.iter().map(|word| word.text.as_str()).filter(|text| is_remote(text)).collect();
        let sum = instruction.flag("checksum").is_some();
        if checked && !remote.is_empty() && remote.len() == sources.len() && (sum || remote.iter().all(|text| has_commit(text)))
        {
            found.holds = "ADD only of what it verifies".into();
            continue;
        }
        let archive = |text: &str| ARCHIVES.iter().any(|end| text.to_ascii_lowercase().ends_with(end));
        let written: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let (observed, fix) = if remote.iter().any(|text| is_git(text)) {
            ("ADD of a git repository, not at a commit", "write the commit after #, or clone it in a RUN".to_owned())
        } else if !remote.is_empty() {
            (
                "ADD of a URL, without a checksum",
                "write ADD --checksum=sha256:… with the URL, or fetch and compare it in a RUN".to_owned(),
            )
        } else if sources.iter().any(|word| archive(&word.text)) {
            let fix = "write RUN --mount=type=bind,source=ARCHIVE,target=/tmp/ARCHIVE tar -xf /tmp/ARCHIVE -C DIRECTORY";
            ("ADD of an archive, which it unpacks", fix.to_owned())
        } else if instruction.heredocs.is_empty() {
            ("ADD of files", format!("write COPY {}", written.join(" ")))
        } else {
            ("ADD of a here-document", "write COPY with the same here-document".to_owned())
        };
        found.drift(instruction.at(), observed, "COPY", fix);
    }
    found
}

fn is_git(text: &str) -> bool {
    let path = text.split(['#', '?']).next().unwrap_or_default();
    text.starts_with("git@")
        || text.starts_with("git://")
        || text.starts_with("ssh://")
        || (is_url(text) && path.ends_with(".git"))
}

fn is_url(text: &str) -> bool {
    ["http://", "https://", "ftp://"].iter().any(|scheme| text.to_ascii_lowercase().starts_with(scheme))
}

fn is_remote(text: &str) -> bool {
    is_url(text) || is_git(text)
}

/// Whether a git address names a whole commit.
fn has_commit(text: &str) -> bool {
    let reference = text.split_once('#').map_or("", |(_, reference)| reference);
    let commit = reference.split(':').next().unwrap_or_default();
    is_git(text) && commit.len() >= 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// image-dockerignore.
pub(super) fn ignored(want: &ImageWant, build: &Build) -> Found {
    let Some(copy) = build.file.instructions.iter().find(|instruction| copies_all(instruction, build.file.escape)) else {
        return Found::nothing("no COPY or ADD takes the whole context");
    };
    let mut found = Found::default();
    let context = match &build.fact.context {
        Fact::Known(context) => context,
        Fact::Absent => {
            found.unknown(copy.at(), "it has no build context");
            return found;
        }
        Fact::Unknown(why) => {
            found.unknown(copy.at(), why.clone());
            return found;
        }
    };
    let (file, path) = match &context.ignore {
        Fact::Known(ignore) => (IgnoreFile::parse(&ignore.text), ignore.path.clone()),
        Fact::Absent => (IgnoreFile::default(), String::new()),
        Fact::Unknown(why) => {
            found.unknown(copy.at(), why.clone());
            return found;
        }
    };
    // A name that the pattern stands for, at the top of the context.
    let open: Vec<&str> =
        want.look_for.iter().map(String::as_str).filter(|pattern| !file.excludes(&pattern.replace(['*', '?'], "x"))).collect();
    let lines = |patterns: &[&str]| patterns.iter().map(|pattern| format!("**/{pattern}")).collect::<Vec<_>>().join(", ");
    found.holds = format!("{path} excludes {}", want.look_for.join(", "));
    if path.is_empty() && !open.is_empty() {
        let dir = if context.path == "." { String::new() } else { format!("{}/", context.path) };
        let fix = format!("write {dir}.dockerignore with the lines {}", lines(&open));
        found.drift(copy.at(), "the whole context, without a .dockerignore", "without secrets and the repository", fix);
    } else if !open.is_empty() {
        let fix = format!("add to {path} the lines {}", lines(&open));
        found.drift(copy.at(), format!("the whole context, with {}", open.join(", ")), "without these", fix);
    }
    match &context.unwanted {
        Fact::Known(paths) => {
            let sent: Vec<&str> = paths.iter().map(String::as_str).filter(|path| !file.excludes(path)).collect();
            if !sent.is_empty() && open.is_empty() {
                let named = sent.iter().take(5).copied().collect::<Vec<_>>().join(", ");
                let more = if sent.len() > 5 { format!(" and {} more", sent.len() - 5) } else { String::new() };
                let fix = format!("add to {path} the lines {}", lines(&of(want, &sent)));
                found.drift(copy.at(), format!("the whole context, with {named}{more} in it"), "without these", fix);
            }
        }
        Fact::Unknown(why) => found.unknown(copy.at(), why.clone()),
        Fact::Absent => {}
    }
    found
}

/// The patterns that stand for these paths.
fn of<'w>(want: &'w ImageWant, paths: &[&str]) -> Vec<&'w str> {
    let stands_for = |pattern: &str, path: &str| ignore_matches(pattern, path.rsplit('/').next().unwrap_or_default());
    want.look_for.iter().map(String::as_str).filter(|pattern| paths.iter().any(|path| stands_for(pattern, path))).collect()
}

/// Whether an instruction takes everything at the top of the context.
fn copies_all(instruction: &Instruction, escape: char) -> bool {
    let local = matches!(instruction.keyword, Keyword::Copy | Keyword::Add) && instruction.flag("from").is_none();
    let words = instruction.words(escape);
    let all = |text: &str| ["", ".", "*", "**"].contains(&text.trim_start_matches("./").trim_matches('/'));
    local && words.split_last().is_some_and(|(_, sources)| sources.iter().any(|word| all(&word.text)))
}
