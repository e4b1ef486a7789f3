//! Listing directories, and finding paths by pattern.
//!
//! Each directory is opened once, relative to the one above it, and never through a symbolic link; what kind an entry is comes
//! with its name, so there is no call per entry.

use std::os::fd::{AsFd, OwnedFd};

use glob::Pattern;
use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};

use super::fs::{Opened, Opening, Root, cannot, fact, joined, parts};
use crate::error::Result;
use crate::fact::Fact;

/// How many directories deep a pattern is followed below its part without wildcards.
const MOST_LEVELS: usize = 40;

impl Root {
    /// The names in a directory, sorted by their bytes, without `.` and `..`; `Absent` when there is no such directory.
    ///
    /// A name that is not UTF-8 makes it `Unknown`: to leave it out would be to judge a directory by a part of it.
    pub fn list(&self, dir: &str) -> Fact<Vec<String>> {
        fact(self.try_list(dir))
    }

    /// The paths that match a pattern, sorted by their bytes; none when the directory it begins with is not there.
    ///
    /// `*`, `?` and `[…]` match within one name (hidden ones too), `**` any number of directories. The part before the first
    /// wildcard is resolved as in [`Root::look`]; below it links are not followed, but their own names match. The result is
    /// `Unknown` when a directory on the way can't be read, when a name that could match is not UTF-8, and when `**` leads more
    /// than 40 directories deep.
    pub fn glob(&self, pattern: &str) -> Fact<Vec<String>> {
        fact(self.try_glob(pattern).map(Some))
    }

    fn try_list(&self, path: &str) -> Result<Option<Vec<String>>, String> {
        let Some(Opened { handle, .. }) = self.open_object(path, Opening::Directory)? else {
            return Ok(None);
        };
        let (_, entries) = entries(handle.into_fd(), path)?;
        let names = entries.into_iter().map(|entry| entry.name.map_err(|name| not_text(path, &name)));
        let mut names: Vec<String> = names.collect::<Result<_, _>>()?;
        names.sort_unstable();
        Ok(Some(names))
    }

    fn try_glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let parts = parts(pattern)?;
        let wild = |part: &&str| part.contains(['*', '?', '[']);
        let (start, rest) = parts.split_at(parts.iter().position(wild).unwrap_or(parts.len()));
        let start = joined(start);
        if rest.is_empty() {
            return Ok(self.open_object(&start, Opening::Link)?.map(|_| start).into_iter().collect());
        }
        let parts = rest.iter().map(|part| Part::new(part)).collect::<Result<_, _>>();
        let parts = parts.map_err(|why| format!("`{pattern}` is not a pattern: {why}"))?;
        let Some(Opened { handle, .. }) = self.open_object(&start, Opening::Directory)? else {
            return Ok(Vec::new());
        };
        let mut search = Search { parts, found: Vec::new() };
        search.directory(handle.into_fd(), start.trim_end_matches('/'), &[0], 0)?;
        search.found.sort_unstable();
        Ok(search.found)
    }
}

/// One part of a pattern.
enum Part {
    /// Exactly this name: no need to list the directory.
    Name(String),
    /// Every name that fits.
    Names(Pattern),
    /// `**`: any number of directories.
    AnyDepth,
}

impl Part {
    fn new(part: &str) -> Result<Part, String> {
        match part {
            "**" => Ok(Part::AnyDepth),
            _ if part.contains(['*', '?', '[']) => Pattern::new(part).map(Part::Names).map_err(|error| error.msg.to_owned()),
            _ => Ok(Part::Name(part.to_owned())),
        }
    }

    fn fits(&self, name: &str) -> bool {
        match self {
            Part::Name(wanted) => wanted == name,
            Part::Names(pattern) => pattern.matches(name),
            Part::AnyDepth => true,
        }
    }
}

struct Search {
    parts: Vec<Part>,
    found: Vec<String>,
}

impl Search {
    /// Searches one directory once, for all positions in the pattern that lead to it (several after `**`).
    fn directory(&mut self, dir: OwnedFd, path: &str, positions: &[usize], level: usize) -> Result<(), String> {
        if level > MOST_LEVELS {
            return Err(format!("{path} is more than {MOST_LEVELS} directories deep; not searched"));
        }
        let positions = self.with_empty_depths(positions);
        if let [position] = positions[..]
            && let Part::Name(name) = &self.parts[position]
        {
            let name = name.clone();
            return self.one_name(dir, path, &name, position, level);
        }
        let (dir, entries) = entries(dir, path)?;
        for entry in entries {
            let name = match entry.name {
                Ok(name) => name,
                Err(name) if positions.iter().any(|position| self.parts[*position].fits(&name)) => {
                    return Err(not_text(path, &name));
                }
                Err(_) => continue,
            };
            let (matched, next) = self.step(&positions, &name);
            let child_path = format!("{path}/{name}");
            if !next.is_empty()
                && entry.may_be_dir
                && let Some(child) = subdirectory(&dir, &name, &child_path)?
            {
                self.directory(child, &child_path, &next, level + 1)?;
            }
            if matched {
                self.found.push(child_path);
            }
        }
        Ok(())
    }

    /// The next part is a plain name.
    fn one_name(&mut self, dir: OwnedFd, path: &str, name: &str, position: usize, level: usize) -> Result<(), String> {
        let child_path = format!("{path}/{name}");
        if position + 1 < self.parts.len() {
            return match subdirectory(&dir, name, &child_path)? {
                Some(child) => self.directory(child, &child_path, &[position + 1], level + 1),
                None => Ok(()),
            };
        }
        match fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) => self.found.push(child_path),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(cannot("stat", &child_path, errno)),
        }
        Ok(())
    }

    /// Whether `name` matches the whole pattern, and which positions are next below it.
    fn step(&self, positions: &[usize], name: &str) -> (bool, Vec<usize>) {
        let (mut matched, mut next) = (false, Vec::new());
        for &position in positions.iter().filter(|position| self.parts[**position].fits(name)) {
            let last = position + 1 == self.parts.len();
            matched |= last;
            let below = match self.parts[position] {
                Part::AnyDepth => Some(position),
                _ => Some(position + 1).filter(|_| !last),
            };
            next.extend(below.filter(|below| !next.contains(below)));
        }
        (matched, next)
    }

    /// The positions, and those after each `**`, which may stand for no directory at all.
    fn with_empty_depths(&self, positions: &[usize]) -> Vec<usize> {
        let mut all: Vec<usize> = Vec::new();
        for &first in positions {
            let depths = self.parts[first..].iter().take_while(|part| matches!(part, Part::AnyDepth)).count();
            let last = (first + depths).min(self.parts.len() - 1);
            all.extend((first..=last).filter(|position| !all.contains(position)).collect::<Vec<_>>());
        }
        all
    }
}

struct Entry {
    /// The name; `Err` has it with replacement characters where it is not UTF-8.
    name: Result<String, String>,
    /// It is a directory, or the file system does not say.
    may_be_dir: bool,
}

/// Reads a directory to its end; gives it back for opening what is in it.
fn entries(dir: OwnedFd, path: &str) -> Result<(Dir, Vec<Entry>), String> {
    let failed = |errno| cannot("list", path, errno);
    let mut dir = Dir::from_fd(dir).map_err(failed)?;
    let mut entries = Vec::new();
    for entry in dir.iter() {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let name = name.to_str().map(str::to_owned).map_err(|_| name.to_string_lossy().into_owned());
        entries.push(Entry { name, may_be_dir: matches!(entry.file_type(), Some(Type::Directory) | None) });
    }
    Ok((dir, entries))
}

/// Opens a directory in a directory; `None` when it is none, or a link, or gone.
fn subdirectory(dir: impl AsFd, name: &str, path: &str) -> Result<Option<OwnedFd>, String> {
    match openat(dir, name, Opening::Directory.flags() | OFlag::O_NOFOLLOW, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        Err(errno) => Err(cannot("open", path, errno)),
    }
}

fn not_text(dir: &str, name: &str) -> String {
    format!("{dir} has the name `{name}`, which is not UTF-8: rename it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::{Scratch, mark, strace, traced_calls};
    use std::os::unix::ffi::OsStrExt;

    fn tree() -> Scratch {
        let scratch = Scratch::new();
        for path in
            ["/etc/a/1.conf", "/etc/a/2.conf", "/etc/a/.hidden.conf", "/etc/a/deep/er/3.conf", "/etc/b/1.conf", "/etc/b/x"]
        {
            scratch.file(path, "", 0o644);
        }
        scratch.link("/etc/c", "b", 0).link("/lib", "etc", 0).link("/etc/b/link.conf", "/nowhere", 1000);
        scratch
    }

    #[test]
    fn patterns_find_paths() {
        let scratch = tree();
        let root = scratch.root();
        let cases: [(&str, &[&str]); 19] = [
            ("/etc/a/*.conf", &["/etc/a/.hidden.conf", "/etc/a/1.conf", "/etc/a/2.conf"]),
            ("/etc/a/?.conf", &["/etc/a/1.conf", "/etc/a/2.conf"]),
            ("/etc/a/[!1].conf", &["/etc/a/2.conf"]),
            ("/etc/*/1.conf", &["/etc/a/1.conf", "/etc/b/1.conf"]),
            ("/etc/*/none", &[]),
            ("/*/b/x", &["/etc/b/x"]),
            ("/etc/**/?.conf", &["/etc/a/1.conf", "/etc/a/2.conf", "/etc/a/deep/er/3.conf", "/etc/b/1.conf"]),
            ("/etc/**/er/**/3.conf", &["/etc/a/deep/er/3.conf"]),
            ("/etc/**/**/x", &["/etc/b/x"]),
            ("/**/er", &["/etc/a/deep/er"]),
            ("/etc/a/deep/**", &["/etc/a/deep/er", "/etc/a/deep/er/3.conf"]),
            ("/etc/a/**/er/*", &["/etc/a/deep/er/3.conf"]),
            // Below the first wildcard links are not followed, but they match; before it they are followed.
            ("/etc/b/*.conf", &["/etc/b/1.conf", "/etc/b/link.conf"]),
            ("/etc/[cx]/x", &[]),
            ("/lib/b/?", &["/lib/b/x"]),
            ("/etc/b/x", &["/etc/b/x"]),
            ("/etc/b/none", &[]),
            ("/none/*", &[]),
            ("/etc/b/x/*", &[]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(root.glob(pattern), Fact::Known(expected.iter().map(|path| path.to_string()).collect()), "{pattern}");
        }
    }

    #[test]
    fn what_can_not_be_searched_is_unknown() {
        let scratch = tree();
        scratch.file("/n/ok.conf", "", 0o644).dir(&format!("/deep{}", "/d".repeat(45)), 0o755);
        std::fs::write(scratch.at("/n").join(std::ffi::OsStr::from_bytes(b"b\xffd.conf")), "").unwrap();
        let root = scratch.root();
        let not_text = "/n has the name `b\u{fffd}d.conf`, which is not UTF-8: rename it";
        let too_deep = format!("/deep{} is more than 40 directories deep; not searched", "/d".repeat(41));
        for (pattern, expected) in [
            ("/n/*.conf", not_text),
            ("/n/**", not_text),
            ("/deep/**/x", &too_deep),
            ("/etc/a**", "`/etc/a**` is not a pattern: recursive wildcards must form a single path component"),
            ("etc/*", "`etc/*` is not an absolute path"),
            ("/etc/../*", "`/etc/../*` has `..` in it: write the path without"),
        ] {
            assert_eq!(root.glob(pattern), Fact::Unknown(expected.into()), "{pattern}");
        }
        assert_eq!(root.glob("/n/o*"), Fact::Known(vec!["/n/ok.conf".into()]));
    }

    #[test]
    fn listing() {
        let scratch = tree();
        let root = scratch.root();
        let names = |names: &[&str]| Fact::Known(names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
        assert_eq!(root.list("/etc"), names(&["a", "b", "c"]));
        assert_eq!(root.list("/lib/b"), names(&["1.conf", "link.conf", "x"]));
        assert_eq!(root.list("/etc/c"), names(&["1.conf", "link.conf", "x"]));
        assert_eq!(root.list("/none"), Fact::Absent);
        assert_eq!(root.list("/etc/b/x"), Fact::Absent);
        scratch.link("/mine", "etc", 1000);
        let refused = "/mine is a symbolic link that user 1000 could have planted; not followed";
        assert_eq!(root.list("/mine"), Fact::Unknown(refused.into()));
        std::fs::create_dir(scratch.at("/etc").join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
        assert_eq!(root.list("/etc"), Fact::Unknown("/etc has the name `\u{fffd}`, which is not UTF-8: rename it".into()));
    }

    /// Not a test of its own: what the test below traces.
    #[test]
    #[ignore = "run under strace by another test"]
    fn traced_glob() {
        let scratch = Scratch::new();
        for number in 0..3_000 {
            scratch.file(&format!("/many/{number:06}"), "", 0o644);
        }
        let root = scratch.root();
        mark("glob");
        assert_eq!(root.glob("/many/**/*7").known().map(Vec::len), Some(300));
        mark("end");
    }

    #[test]
    fn entries_cost_no_call_each() {
        let trace = strace("host::glob::tests::traced_glob", &[]);
        let calls = traced_calls(&trace, "glob", "end");
        assert!(calls.len() < 20, "{calls:?}");
    }
}
