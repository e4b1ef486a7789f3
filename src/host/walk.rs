//! Resolving a path part by part, where a symbolic link is on the way (or `openat2` is missing), and for every write.
//!
//! A link is followed only if root could have planted it: it belongs to a trusted user (root, the effective user, or the owner of
//! the root directory), and nobody else can write to the directory that holds it. A sticky directory is fine, as nobody can replace
//! another's link there. Descriptors are held for all directories on the way, so nothing that is renamed meanwhile leads astray,
//! and `..` in a link's target goes back along that way, never above the root.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, fstat};

use super::fs::{Opening, Root, cannot};
use super::handle::{Access, Handle, kind_of};
use crate::fact::FileKind;

/// As many links as the kernel itself follows.
const MOST_LINKS: usize = 40;

/// What to do when the last part of the path is a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Last {
    /// Follow it, if it can be trusted.
    Follow,
    /// Stop at the link itself.
    Itself,
}

/// Where a walk ended.
#[derive(Debug)]
pub(crate) enum Walked {
    /// At an object.
    Found(Spot, Object),
    /// At a name that is free, in a directory that is there.
    Free(Spot),
    /// A directory on the way is not there, or is none.
    NoWay {
        /// Its path.
        at: String,
    },
}

/// A name in an open directory.
#[derive(Debug)]
pub(crate) struct Spot {
    /// The directory, opened with `O_PATH`.
    pub(crate) dir: OwnedFd,
    /// The name in it; `.` for the root itself.
    pub(crate) name: String,
    /// The path without links, absolute within the root.
    pub(crate) real_path: String,
    /// The first directory on the way that an untrusted user can change, and who.
    pub(crate) weak: Option<(String, Planter)>,
}

/// The object at a [`Spot`], opened with `O_PATH`.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) fd: OwnedFd,
    pub(crate) stat: FileStat,
}

/// Who else could have put something there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planter {
    User(u32),
    Group(u32),
    Anyone,
}

/// Why a walk did not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Planted { link: String, by: Planter },
    TooManyLinks { link: String },
    NotText { link: String },
    Os { at: String, errno: Errno },
}

struct Dir {
    fd: OwnedFd,
    stat: FileStat,
    name: String,
}

/// The directories from the root to where the walk stands.
struct Way<'r> {
    root: &'r Root,
    top: Dir,
    dirs: Vec<Dir>,
    weak: Option<(String, Planter)>,
}

/// Walks to `parts` beneath `root`.
pub(crate) fn walk(root: &Root, parts: &[&str], last: Last) -> Result<Walked, Obstacle> {
    let mut way = Way::start(root)?;
    let mut todo: Vec<String> = parts.iter().rev().map(|part| part.to_string()).collect();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        if name == ".." {
            way.dirs.pop();
            continue;
        }
        let at = way.path_of(&name);
        let fd =
            match openat(&way.here().fd, name.as_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty()) {
                Ok(fd) => fd,
                Err(Errno::ENOENT) if todo.is_empty() => return way.spot(name).map(Walked::Free),
                Err(Errno::ENOENT) => return Ok(Walked::NoWay { at }),
                Err(errno) => return Err(Obstacle::Os { at, errno }),
            };
        let stat = fstat(&fd).map_err(|errno| Obstacle::Os { at: at.clone(), errno })?;
        match kind_of(stat.st_mode) {
            FileKind::Symlink if last == Last::Follow || !todo.is_empty() => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Obstacle::TooManyLinks { link: at });
                }
                way.follow(at, &fd, &stat, &mut todo)?;
            }
            FileKind::Dir => way.enter(name, fd, stat, at),
            _ if !todo.is_empty() => return Ok(Walked::NoWay { at }),
            _ => return Ok(Walked::Found(way.spot(name)?, Object { fd, stat })),
        }
    }
    way.arrive()
}

impl<'r> Way<'r> {
    fn start(root: &'r Root) -> Result<Self, Obstacle> {
        let failed = |errno| Obstacle::Os { at: "/".into(), errno };
        let fd = duplicate(root).map_err(failed)?;
        let stat = fstat(&fd).map_err(failed)?;
        let mut way = Way { root, top: Dir { fd, stat, name: ".".into() }, dirs: Vec::new(), weak: None };
        way.note_if_weak("/", &stat);
        Ok(way)
    }

    fn here(&self) -> &Dir {
        self.dirs.last().unwrap_or(&self.top)
    }

    fn path_of(&self, name: &str) -> String {
        let dirs = self.dirs.iter().map(|dir| dir.name.as_str());
        dirs.chain([name]).fold(String::new(), |path, name| path + "/" + name)
    }

    fn enter(&mut self, name: String, fd: OwnedFd, stat: FileStat, at: String) {
        self.note_if_weak(&at, &stat);
        self.dirs.push(Dir { fd, stat, name });
    }

    /// Puts the target of a trusted link before what is still to do.
    fn follow(&mut self, at: String, fd: &OwnedFd, stat: &FileStat, todo: &mut Vec<String>) -> Result<(), Obstacle> {
        if let Some(by) = planter(self.root, stat, &self.here().stat) {
            return Err(Obstacle::Planted { link: at, by });
        }
        let target = readlinkat(fd, "").map_err(|errno| Obstacle::Os { at: at.clone(), errno })?;
        let target = target.into_string().map_err(|_| Obstacle::NotText { link: at })?;
        if target.starts_with('/') {
            self.dirs.clear();
        }
        todo.extend(target.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned));
        Ok(())
    }

    fn spot(&self, name: String) -> Result<Spot, Obstacle> {
        let real_path = self.path_of(&name);
        let dir = duplicate(&self.here().fd).map_err(|errno| Obstacle::Os { at: real_path.clone(), errno })?;
        Ok(Spot { dir, name, real_path, weak: self.weak.clone() })
    }

    /// All parts are done: the object is the directory where the walk stands. Whether others can change that directory says nothing
    /// about who can change its name.
    fn arrive(mut self) -> Result<Walked, Obstacle> {
        let Some(Dir { fd, stat, name }) = self.dirs.pop() else {
            let mut spot = self.spot(self.top.name.clone())?;
            spot.real_path = "/".into();
            return Ok(Walked::Found(spot, Object { fd: self.top.fd, stat: self.top.stat }));
        };
        let mut spot = self.spot(name)?;
        spot.weak.take_if(|(weak, _)| *weak == spot.real_path);
        Ok(Walked::Found(spot, Object { fd, stat }))
    }

    fn note_if_weak(&mut self, at: &str, stat: &FileStat) {
        let sticky = stat.st_mode & libc::S_ISVTX != 0;
        let by = other_writer(self.root, stat).filter(|by| !sticky || matches!(by, Planter::User(_)));
        if let (None, Some(by)) = (&self.weak, by) {
            self.weak = Some((at.to_owned(), by));
        }
    }
}

impl Spot {
    /// Opens the object once more, for reading if it is a regular file or directory; a FIFO, device or socket is never opened, but
    /// its reference duplicated.
    ///
    /// Errors: `ESTALE` when the name is another object's by now.
    pub(crate) fn reopen(&self, object: &Object) -> nix::Result<Handle> {
        let flags = Opening::Read.flags() | OFlag::O_NOFOLLOW;
        let fd = match kind_of(object.stat.st_mode) {
            FileKind::File => openat(&self.dir, self.name.as_str(), flags, Mode::empty())?,
            FileKind::Dir => openat(&object.fd, ".", flags, Mode::empty())?,
            _ => return Ok(Handle::new(duplicate(&object.fd)?, Access::Path)),
        };
        let stat = fstat(&fd)?;
        if (stat.st_dev, stat.st_ino) != (object.stat.st_dev, object.stat.st_ino) {
            return Err(Errno::ESTALE);
        }
        Ok(Handle::new(fd, Access::Read))
    }
}

/// Who but a trusted user could have planted this link in this directory; `None`: nobody.
fn planter(root: &Root, link: &FileStat, dir: &FileStat) -> Option<Planter> {
    if !root.trusts(link.st_uid) {
        return Some(Planter::User(link.st_uid));
    }
    // In a sticky directory nobody can replace another's link; a further hard link, though, may have been put there by anyone.
    let pinned = dir.st_mode & libc::S_ISVTX != 0 && link.st_nlink == 1;
    other_writer(root, dir).filter(|by| !pinned || matches!(by, Planter::User(_)))
}

/// Who but a trusted user can write to this directory. No need to read its ACL: the group bits show the most that an entry grants.
fn other_writer(root: &Root, dir: &FileStat) -> Option<Planter> {
    if !root.trusts(dir.st_uid) {
        Some(Planter::User(dir.st_uid))
    } else if dir.st_mode & libc::S_IWOTH != 0 {
        Some(Planter::Anyone)
    } else if dir.st_mode & libc::S_IWGRP != 0 {
        Some(Planter::Group(dir.st_gid))
    } else {
        None
    }
}

fn duplicate(fd: impl AsFd) -> nix::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EBADF)))
}

impl fmt::Display for Planter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Planter::User(uid) => write!(f, "user {uid}"),
            Planter::Group(gid) => write!(f, "group {gid}"),
            Planter::Anyone => f.write_str("any user"),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Planted { link, by } => {
                write!(f, "{link} is a symbolic link that {by} could have planted; not followed")
            }
            Obstacle::TooManyLinks { link } => write!(f, "{link} is one symbolic link too many: more than {MOST_LINKS}"),
            Obstacle::NotText { link } => write!(f, "the target of the symbolic link {link} is not UTF-8; not followed"),
            Obstacle::Os { at, errno } => f.write_str(&cannot("open", at, *errno)),
        }
    }
}
