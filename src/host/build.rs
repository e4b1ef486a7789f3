//! Dockerfiles and build contexts: what `check --dockerfile` reads, and nothing else of the host.

use std::fs;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::fact::{BuildFacts, ContextFact, DockerfileFact, Fact, IgnoreFact};
use crate::formats::dockerfile::ignore_matches;

/// A larger Dockerfile is an accident.
const LARGEST: u64 = 64 << 20;
/// Files of a context that are looked at; there is a limit so that `--context /` ends.
const MOST: usize = 500_000;
/// The path that stands for standard input, and what its findings are called.
const STDIN: [&str; 2] = ["-", "stdin"];

/// Reads Dockerfiles and looks through their contexts for names that match one of `unwanted`.
///
/// A directory stands for the file `Dockerfile` in it, `-` for standard input. The context is `context`, else the directory that
/// the file lies in.
pub fn read(dockerfiles: &[PathBuf], context: Option<&Path>, unwanted: &[String]) -> Result<BuildFacts> {
    if dockerfiles.iter().filter(|path| path.as_os_str() == STDIN[0]).count() > 1 {
        return Err(Error::usage("standard input can be read only once").help("harden check --dockerfile - --dockerfile PATH"));
    }
    if let Some(dir) = context.filter(|dir| !dir.is_dir()) {
        return Err(Error::failure("it is no directory").at(dir).help("--context names the directory that the build is given"));
    }
    let mut seen: Vec<(PathBuf, Fact<Vec<String>>)> = Vec::new();
    let mut files = Vec::new();
    for path in dockerfiles {
        let path = match path.is_dir() {
            // `.` says nothing that the findings need.
            true => path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>().join("Dockerfile"),
            false => path.clone(),
        };
        let text = text(&path)?;
        let context = match (context, path.as_os_str() == STDIN[0]) {
            (Some(dir), _) => Fact::Known(dir.to_owned()),
            (None, true) => Fact::Unknown("it was read from standard input: name its context with --context DIR".into()),
            (None, false) => {
                Fact::Known(path.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new(".")).to_owned())
            }
        };
        let context = match context {
            Fact::Known(dir) => Fact::Known(of_context(&dir, &path, unwanted, &mut seen)),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        let shown = if path.as_os_str() == STDIN[0] { STDIN[1].into() } else { path.to_string_lossy().into_owned() };
        files.push(DockerfileFact { path: shown, text, context });
    }
    Ok(BuildFacts { files })
}

fn text(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == STDIN[0] {
        true => io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes),
        false => fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| {
        Error::io(path, "read it", error).help("harden check --dockerfile PATH, a Dockerfile or the directory of one")
    })?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::failure(format!("it has more than {} MB", LARGEST >> 20)).at(path).help("is it a Dockerfile?"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
        let start = good.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(good.get(start..).unwrap_or_default()).chars().count() + 1;
        Error::failure("it is not UTF-8")
            .at(path)
            .line_col(line, column)
            .help("is it a Dockerfile? iconv -t UTF-8 converts text")
    })
}

fn of_context(dir: &Path, dockerfile: &Path, unwanted: &[String], seen: &mut Vec<(PathBuf, Fact<Vec<String>>)>) -> ContextFact {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    let ignore = match ignore_file(Path::new(&own)) {
        Fact::Absent if dir == Path::new(".") => ignore_file(Path::new(".dockerignore")),
        Fact::Absent => ignore_file(&dir.join(".dockerignore")),
        found => found,
    };
    let known = seen.iter().find(|(other, _)| other == dir).map(|(_, found)| found.clone());
    let found = known.unwrap_or_else(|| {
        let found = search(dir, unwanted);
        seen.push((dir.to_owned(), found.clone()));
        found
    });
    ContextFact { path: dir.to_string_lossy().into_owned(), ignore, unwanted: found }
}

fn ignore_file(path: &Path) -> Fact<IgnoreFact> {
    let shown = path.to_string_lossy().into_owned();
    match fs::read(path) {
        Ok(bytes) => Fact::Known(IgnoreFact { path: shown, text: String::from_utf8_lossy(&bytes).into_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Fact::Absent,
        Err(error) => Fact::Unknown(format!("{shown}: {error}")),
    }
}

/// Paths below a directory whose names match; symbolic links are not followed, and what matches is not entered.
fn search(dir: &Path, unwanted: &[String]) -> Fact<Vec<String>> {
    let mut found = Vec::new();
    let mut todo = vec![PathBuf::new()];
    let mut count = 0;
    while let Some(below) = todo.pop() {
        if unwanted.is_empty() {
            break;
        }
        let here = dir.join(&below);
        let entries = match fs::read_dir(&here) {
            Ok(entries) => entries,
            Err(error) => return Fact::Unknown(format!("{}: {error}", here.display())),
        };
        for entry in entries.flatten() {
            count += 1;
            if count > MOST {
                return Fact::Unknown(format!("{} holds more than {MOST} files, too many to look through", dir.display()));
            }
            let path = below.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            if unwanted.iter().any(|pattern| ignore_matches(pattern, &name)) {
                found.push(path.to_string_lossy().into_owned());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                todo.push(path);
            }
        }
    }
    found.sort();
    Fact::Known(found)
}
