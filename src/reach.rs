//! What a write would refuse, told from facts: a plan withholds such a change beforehand instead of failing in the middle.
//!
//! The refusals themselves are [`crate::apply::writer`]'s, which looks again at the moment of writing.

use std::collections::BTreeMap;
use std::path::Path;

use crate::fact::{Fact, FileFact, FileKind};

/// Files by the path that was asked for.
type Files = BTreeMap<String, Fact<FileFact>>;

/// Mode, owner and group.
pub type Metadata = (u32, u32, u32);

/// The path without links, as far as it was looked at; of a file that is not there, that of its directory and its name.
pub fn real(files: &Files, path: &str) -> String {
    match files.get(path) {
        Some(Fact::Known(file)) => file.real_path.clone(),
        Some(Fact::Absent) => {
            let above = Path::new(path).ancestors().skip(1).filter_map(Path::to_str);
            let known = above.filter_map(|dir| Some((dir, files.get(dir)?.known()?))).next();
            match known.and_then(|(dir, fact)| Some((path.strip_prefix(dir)?, fact))) {
                Some((rest, fact)) => format!("{}/{}", fact.real_path.trim_end_matches('/'), rest.trim_start_matches('/')),
                None => path.to_owned(),
            }
        }
        Some(Fact::Unknown(_)) | None => path.to_owned(),
    }
}

/// Why this file is left alone: under its other names it may belong to somebody else.
pub fn other_names(file: &FileFact) -> Option<String> {
    let shared = file.kind != FileKind::Dir && file.nlink > 1;
    shared.then(|| format!("{} has {} names (hard links); harden leaves it alone", file.real_path, file.nlink))
}

/// Why nobody can change this file, root neither. `root` is what its path is beneath, for the command to type.
pub fn sealed(root: &str, file: &FileFact) -> Option<String> {
    let shown = format!("{}{}", root.trim_end_matches('/'), file.real_path);
    let (is, help) = file.sealed?.told(&shown);
    Some(format!("{shown} {is}; {help}"))
}

/// Why no name can change in the directory above this real path, or in the first one that is there.
pub fn sealed_way(root: &str, files: &Files, path: &str) -> Option<String> {
    let above = Path::new(path).ancestors().skip(1).filter_map(Path::to_str);
    sealed(root, above.filter_map(|dir| files.get(dir)?.known()).next()?)
}

/// Why nothing is written at this real path: somebody else than root could swap a directory above it. `planned` gives what a
/// directory will be by then, where that is to change.
pub fn weak_way(files: &Files, path: &str, planned: &dyn Fn(&str) -> Option<Metadata>) -> Option<String> {
    let owner = files.get("/").and_then(Fact::known).map_or(0, |root| root.uid);
    let mut weak = None;
    for dir in Path::new(path).ancestors().skip(1).filter_map(Path::to_str) {
        let Some(Fact::Known(fact)) = files.get(dir) else { continue };
        let (mode, uid, gid) = planned(dir).unwrap_or((fact.mode, fact.uid, fact.gid));
        let sticky = mode & 0o1000 != 0;
        let by = match (uid == 0 || uid == owner, mode) {
            (false, _) => format!("user {uid}"),
            (true, mode) if mode & 0o002 != 0 && !sticky => "any user".to_owned(),
            (true, mode) if mode & 0o020 != 0 && !sticky => format!("group {gid}"),
            (true, _) => continue,
        };
        weak = Some(format!("{by} can change the directory {dir}; harden does not write in it"));
    }
    weak
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, real: &str, metadata: Metadata) -> (String, Fact<FileFact>) {
        let fact = FileFact {
            uid: metadata.1,
            gid: metadata.2,
            nlink: 2,
            ..FileFact::imagined(real, FileKind::Dir, metadata.0, None)
        };
        (path.into(), Fact::Known(fact))
    }

    #[test]
    fn weak_directories_are_named_from_the_top() {
        let way = |etc: Metadata, docker: Metadata, planned: Option<Metadata>| {
            let files =
                Files::from([entry("/", "/", (0o755, 7, 7)), entry("/etc", "/etc", etc), entry("/etc/d", "/etc/d", docker)]);
            weak_way(&files, "/etc/d/x", &|dir| planned.filter(|_| dir == "/etc/d"))
        };
        let good = (0o755, 0, 0);
        let says = |who: &str, dir: &str| Some(format!("{who} can change the directory {dir}; harden does not write in it"));
        assert_eq!(way(good, good, None), None);
        // Who owns the root may do everything below it.
        assert_eq!(way((0o755, 7, 7), good, None), None);
        assert_eq!(way((0o755, 8, 7), (0o777, 0, 0), None), says("user 8", "/etc"));
        assert_eq!(way(good, (0o777, 0, 0), None), says("any user", "/etc/d"));
        assert_eq!(way(good, (0o775, 0, 9), None), says("group 9", "/etc/d"));
        assert_eq!(way(good, (0o1777, 0, 9), None), None);
        assert_eq!(way(good, (0o1755, 9, 9), None), says("user 9", "/etc/d"));
        assert_eq!(way(good, (0o777, 0, 0), Some(good)), None);
    }

    #[test]
    fn real_paths_of_what_is_not_there() {
        let mut files = Files::from([entry("/", "/", (0o755, 0, 0)), entry("/etc", "/srv/etc", (0o755, 0, 0))]);
        for path in ["/etc/d", "/etc/d/x", "/x"] {
            files.insert(path.into(), Fact::Absent);
        }
        assert_eq!(real(&files, "/etc/d/x"), "/srv/etc/d/x");
        assert_eq!(real(&files, "/etc"), "/srv/etc");
        assert_eq!(real(&files, "/x"), "/x");
        assert_eq!(real(&files, "/never/looked/at"), "/never/looked/at");
    }
}
