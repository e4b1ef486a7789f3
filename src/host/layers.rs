//! The files in images: the layer directories of the overlay2 storage driver, one upon the other as the kernel would mount them.
//!
//! What is in a layer was written by whoever made the image. No name of it is ever resolved but part by part, through descriptors that
//! follow no link; no file is opened but `etc/passwd`; depth, numbers and sizes have limits, and what lies beyond one is said. Each layer
//! is walked once, however many images have it: for a directory `openat`, `fgetxattr` (its redirect), `getdents64` to its end and
//! `close`, for a regular file one `newfstatat`, for anything else nothing. Whether a layer hides a file of the layers below is asked
//! about setuid files and `etc/passwd` alone.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::fs::{Opening, Root};
use super::handle::{Access, Handle, kind_of, mode_of};
use crate::fact::{Fact, FileKind, ImageFiles, ImageUser, SetuidFile};
use crate::formats::accounts::lets_in;

/// The driver whose layers are read.
pub const OVERLAY2: &str = "overlay2";
/// From here on numbers are of people, not of the system.
pub const FIRST_USER: u32 = 1000;
/// Directories in each other; each takes a descriptor while those below it are looked at.
const MOST_LEVELS: usize = 256;
/// The longest path, in bytes, by which anything can be opened.
const MOST_PATH: usize = 4096;
/// Names in one layer.
const MOST_ENTRIES: usize = 5_000_000;
/// Setuid files of one layer, and of one image; a whole distribution has some twenty.
const MOST_SETUID: usize = 250;
/// In bytes.
const MOST_PASSWD: usize = 1 << 20;
/// Users of one image who can log in.
const MOST_USERS: usize = 250;
/// Of a user's name and of its shell, in bytes; no program takes longer names.
const MOST_NAME: usize = 256;
const PASSWD: &[u8] = b"etc/passwd";
/// By it a directory shows what lower layers have at another path.
const REDIRECT: &CStr = c"trusted.overlay.redirect";
const SETUID_OR_SETGID: u32 = 0o6000;
/// In bytes: some thousand names a call.
const BUFFER: usize = 1 << 16;
const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// The layers of one engine, each looked at when the first image needs it.
pub struct Layers {
    /// The directory that has all of them, or why it can't be opened.
    home: Result<(Handle, String), String>,
    limits: Limits,
    seen: BTreeMap<String, Rc<Layer>>,
    /// What is to be seen from the top of a stack of layers, the lowest first.
    views: BTreeMap<Vec<String>, Rc<View>>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    entries: usize,
    setuid: usize,
}

/// What one layer has.
#[derive(Debug)]
struct Layer {
    setuid: Vec<Rc<Found>>,
    passwd: Passwd,
    doubt: Option<String>,
}

/// A file with the setuid or setgid bit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// Without a slash at its beginning.
    path: Vec<u8>,
    mode: u32,
}

/// What a layer makes of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Passwd {
    /// Nothing: that of the layers below shows.
    Shows,
    /// There is none, whatever is below.
    Gone,
    /// Those from [`FIRST_USER`] up who can log in.
    Users(Rc<[ImageUser]>),
    Unclear(String),
}

/// A stack of layers as one.
#[derive(Debug)]
struct View {
    setuid: Vec<Rc<Found>>,
    passwd: Passwd,
    doubt: Option<String>,
}

/// What a layer has at a path.
enum Spot {
    /// Nothing: what is below shows.
    Shows,
    /// Nothing, and a directory above it hides what is below.
    Hidden,
    /// An object, at the path or (not `last`) at a part of it that is no directory.
    Here { dir: Handle, stat: FileStat, last: bool },
    /// Nothing, and what is below shows something of another path, by the redirect of a directory above it.
    Moved,
}

impl Layers {
    /// Those below an engine's data root.
    pub fn of(root: &Root, data_root: &str) -> Layers {
        let path = format!("{}/{OVERLAY2}", data_root.trim_end_matches('/'));
        let home = match root.open_object(&path, Opening::Directory) {
            Ok(Some(opened)) => Ok((opened.handle, path)),
            Ok(None) => Err(format!("{path} is no directory of this host")),
            Err(why) => Err(why),
        };
        let limits = Limits { entries: MOST_ENTRIES, setuid: MOST_SETUID };
        Layers { home, limits, seen: BTreeMap::new(), views: BTreeMap::new() }
    }

    /// What an image has whose layers are in these directories, the uppermost first, as `docker inspect` names them.
    ///
    /// `Unknown` where one of them is not in the driver's own directory, or can't be opened.
    pub fn files(&mut self, dirs: &[String]) -> Fact<ImageFiles> {
        match self.view(dirs) {
            Ok(view) => {
                let users = match &view.passwd {
                    Passwd::Shows | Passwd::Gone => Fact::Absent,
                    Passwd::Users(users) => Fact::Known(users.to_vec()),
                    Passwd::Unclear(why) => Fact::Unknown(why.clone()),
                };
                let setuid = view.setuid.iter().map(|file| SetuidFile { path: shown(&file.path), mode: file.mode });
                Fact::Known(ImageFiles { setuid: setuid.collect(), users, doubt: view.doubt.clone() })
            }
            Err(why) => Fact::Unknown(why),
        }
    }

    fn view(&mut self, dirs: &[String]) -> Result<Rc<View>, String> {
        let (_, home) = self.home.as_ref().map_err(String::clone)?;
        let name = |dir: &String| layer_name(dir, home).ok_or_else(|| format!("the layer {dir} does not lie in {home}"));
        let stack: Vec<String> = dirs.iter().rev().map(name).collect::<Result<_, _>>()?;
        let mut view = Rc::new(View { setuid: Vec::new(), passwd: Passwd::Shows, doubt: None });
        for height in 1..=stack.len() {
            view = match self.views.get(&stack[..height]) {
                Some(view) => view.clone(),
                None => {
                    let top = Rc::new(self.on_top(&view, &stack[height - 1])?);
                    self.views.insert(stack[..height].to_vec(), top.clone());
                    top
                }
            };
        }
        Ok(view)
    }

    /// What is to be seen where a layer lies upon others.
    fn on_top(&mut self, below: &View, name: &str) -> Result<View, String> {
        let layer = match self.seen.get(name) {
            Some(layer) => layer.clone(),
            None => {
                let layer = Rc::new(look(self.open(name)?, self.limits));
                self.seen.insert(name.to_owned(), layer.clone());
                layer
            }
        };
        let (mut setuid, mut doubt) = (layer.setuid.clone(), layer.doubt.clone().or(below.doubt.clone()));
        if !below.setuid.is_empty() {
            let top = self.open(name)?;
            for file in &below.setuid {
                match spot(&top, &file.path) {
                    Ok(Spot::Shows) => setuid.push(file.clone()),
                    Ok(Spot::Hidden | Spot::Here { .. }) => {}
                    Ok(Spot::Moved) => doubt = doubt.or(Some(moved(&file.path))),
                    Err(errno) => doubt = doubt.or(Some(cannot("look for", &file.path, errno))),
                }
            }
        }
        setuid.sort_unstable();
        if setuid.len() > self.limits.setuid {
            setuid.truncate(self.limits.setuid);
            doubt = doubt.or(Some(too_many(self.limits.setuid)));
        }
        let passwd = if layer.passwd == Passwd::Shows { below.passwd.clone() } else { layer.passwd.clone() };
        Ok(View { setuid, passwd, doubt })
    }

    /// The directory of a layer.
    fn open(&self, name: &str) -> Result<Handle, String> {
        let (home, path) = self.home.as_ref().map_err(String::clone)?;
        let failed = |errno: Errno| format!("cannot open {path}/{name}/diff: {errno}");
        let layer = directory(home, name).map_err(failed)?;
        directory(&layer, "diff").map_err(failed)
    }
}

/// `NAME` of `HOME/NAME/diff`.
fn layer_name(dir: &str, home: &str) -> Option<String> {
    let name = dir.strip_prefix(home)?.strip_prefix('/')?.strip_suffix("/diff")?;
    (!matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])).then(|| name.to_owned())
}

/// Opens a directory, never through a link.
fn directory<P: ?Sized + nix::NixPath>(dir: impl AsFd, name: &P) -> nix::Result<Handle> {
    openat(dir, name, DIRECTORY, Mode::empty()).map(|fd| Handle::new(fd, Access::Read))
}

/// A path in an image, to be read by people.
fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

fn cannot(doing: &str, path: &[u8], errno: Errno) -> String {
    format!("cannot {doing} {} in a layer: {errno}", shown(path))
}

fn moved(path: &[u8]) -> String {
    format!("{} is reached by a redirect, which harden does not follow", shown(path))
}

fn too_many(most: usize) -> String {
    format!("it has more than {most} files with the setuid or setgid bit")
}

/// Looks at everything in a layer.
fn look(top: Handle, limits: Limits) -> Layer {
    let passwd = passwd(&top).unwrap_or_else(|errno| Passwd::Unclear(cannot("read", PASSWD, errno)));
    let mut walk = Walk { limits, entries: 0, setuid: Vec::new(), doubt: None, buffer: vec![0; BUFFER] };
    walk.run(top);
    Layer { setuid: walk.setuid, passwd, doubt: walk.doubt }
}

/// A walk through one layer.
struct Walk {
    limits: Limits,
    entries: usize,
    setuid: Vec<Rc<Found>>,
    /// The first reason why there may be more.
    doubt: Option<String>,
    buffer: Vec<u8>,
}

/// A directory on the way, with those in it that are still to be looked at.
struct Level {
    dir: Handle,
    /// How long its path is.
    length: usize,
    todo: Vec<CString>,
}

impl Walk {
    /// Depth first, with one descriptor for each directory on the way.
    fn run(&mut self, top: Handle) {
        let mut path = Vec::new();
        let mut levels = vec![self.enter(top, &path)];
        while let Some(level) = levels.last_mut() {
            path.truncate(level.length);
            let Some(name) = level.todo.pop() else {
                levels.pop();
                continue;
            };
            let opened = directory(&level.dir, name.as_c_str());
            join(&mut path, &name);
            match opened {
                _ if self.entries > self.limits.entries => return,
                Ok(_) if levels.len() >= MOST_LEVELS || path.len() > MOST_PATH => {
                    self.doubt(|| "a layer has more directories in each other than harden follows".into());
                }
                Ok(dir) => {
                    let level = self.enter(dir, &path);
                    levels.push(level);
                }
                // It vanished, and its image with it.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => {}
                Err(errno) => self.doubt(|| cannot("open", &path, errno)),
            }
        }
    }

    /// Looks at the files of a directory, and notes the directories.
    fn enter(&mut self, dir: Handle, path: &[u8]) -> Level {
        // The kernel was told to move a directory of a lower layer without copying it. Docker's own layers have none.
        match dir.xattr(REDIRECT) {
            Ok(None) => {}
            Ok(Some(_)) => self.doubt(|| format!("{} was moved here by a redirect, which harden does not follow", shown(path))),
            Err(errno) => self.doubt(|| cannot("read attributes of", path, errno)),
        }
        let mut todo = Vec::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            match read_entries(dir.as_fd(), &mut buffer) {
                Ok(0) => break,
                Ok(length) => entries(&buffer[..length]).for_each(|(kind, name)| self.entry(&dir, path, kind, name, &mut todo)),
                Err(errno) => {
                    self.doubt(|| cannot("list", path, errno));
                    break;
                }
            }
            if self.entries > self.limits.entries {
                let most = self.limits.entries;
                self.doubt(|| format!("a layer has more than {most} files"));
                break;
            }
        }
        self.buffer = buffer;
        Level { dir, length: path.len(), todo }
    }

    fn entry(&mut self, dir: &Handle, path: &[u8], kind: u8, name: &CStr, todo: &mut Vec<CString>) {
        self.entries += 1;
        match kind {
            libc::DT_DIR => todo.push(name.to_owned()),
            libc::DT_REG | libc::DT_UNKNOWN => match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => match kind_of(stat.st_mode) {
                    FileKind::Dir => todo.push(name.to_owned()),
                    FileKind::File if stat.st_mode & SETUID_OR_SETGID != 0 => self.found(path, name, mode_of(&stat)),
                    _ => {}
                },
                Err(Errno::ENOENT) => {}
                Err(errno) => self.doubt(|| cannot("stat", name.to_bytes(), errno)),
            },
            _ => {}
        }
    }

    fn found(&mut self, path: &[u8], name: &CStr, mode: u32) {
        if self.setuid.len() == self.limits.setuid {
            let most = self.limits.setuid;
            return self.doubt(|| too_many(most));
        }
        let mut path = path.to_vec();
        join(&mut path, name);
        self.setuid.push(Rc::new(Found { path, mode }));
    }

    fn doubt(&mut self, why: impl FnOnce() -> String) {
        self.doubt.get_or_insert_with(why);
    }
}

fn join(path: &mut Vec<u8>, name: &CStr) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.to_bytes());
}

/// Reads as many entries of a directory as fit; 0 at its end.
fn read_entries(dir: BorrowedFd, buffer: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: the kernel writes at most as many bytes as it is told that `buffer` has.
    let read = unsafe { libc::syscall(libc::SYS_getdents64, dir.as_raw_fd(), buffer.as_mut_ptr(), buffer.len()) };
    Errno::result(read).map(|length| usize::try_from(length).unwrap_or(0))
}

/// Kinds (`DT_…`) and names of entries, without `.` and `..`. A `linux_dirent64` has an inode number and an offset of 8 bytes each, its
/// own length of 2, the kind of 1, and the name up to a NUL.
fn entries(mut buffer: &[u8]) -> impl Iterator<Item = (u8, &CStr)> {
    let next = move || {
        let length = usize::from(u16::from_ne_bytes([*buffer.get(16)?, *buffer.get(17)?]));
        let (entry, rest) = buffer.split_at_checked(length)?;
        buffer = rest;
        Some((*entry.get(18)?, CStr::from_bytes_until_nul(entry.get(19..)?).ok()?))
    };
    std::iter::from_fn(next).filter(|(_, name)| !matches!(name.to_bytes(), b"." | b".."))
}

/// What a layer has at a path, as overlayfs sees it.
fn spot(top: &Handle, path: &[u8]) -> nix::Result<Spot> {
    let mut dir = directory(top, ".")?;
    let (mut hides, mut moves) = (false, false);
    let mut parts = path.split(|byte| *byte == b'/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let opened = if last { Err(Errno::ENOTDIR) } else { directory(&dir, part) };
        match opened {
            Ok(next) => {
                hides |= next.xattr(c"trusted.overlay.opaque")?.is_some_and(|value| value == b"y");
                moves |= next.xattr(REDIRECT)?.is_some();
                dir = next;
            }
            Err(Errno::ENOENT) => break,
            Err(Errno::ENOTDIR | Errno::ELOOP) => match fstatat(&dir, part, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => return Ok(Spot::Here { dir, stat, last }),
                Err(Errno::ENOENT) => break,
                Err(errno) => return Err(errno),
            },
            Err(errno) => return Err(errno),
        }
    }
    Ok(match (moves, hides) {
        (true, _) => Spot::Moved,
        (false, true) => Spot::Hidden,
        (false, false) => Spot::Shows,
    })
}

/// What a layer says of users.
fn passwd(top: &Handle) -> nix::Result<Passwd> {
    let (dir, stat, last) = match spot(top, PASSWD)? {
        Spot::Shows => return Ok(Passwd::Shows),
        Spot::Hidden => return Ok(Passwd::Gone),
        Spot::Moved => return Ok(Passwd::Unclear(moved(PASSWD))),
        Spot::Here { dir, stat, last } => (dir, stat, last),
    };
    match kind_of(stat.st_mode) {
        FileKind::File if last => {}
        FileKind::Symlink => {
            return Ok(Passwd::Unclear("/etc/passwd is reached by a symbolic link, which harden does not follow".into()));
        }
        _ => return Ok(Passwd::Gone),
    }
    // What was a regular file a moment ago: opening anything else would neither block nor wake a device.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = Handle::new(openat(&dir, "passwd", flags, Mode::empty())?, Access::Read);
    if file.xattr(c"trusted.overlay.metacopy")?.is_some() {
        return Ok(Passwd::Unclear("the content of /etc/passwd is in another layer than its mode".into()));
    }
    Ok(match file.read(MOST_PASSWD, file.stat()?.st_size.unsigned_abs())? {
        Some(content) => users(&content).map_or_else(Passwd::Unclear, Passwd::Users),
        None => Passwd::Unclear(format!("/etc/passwd has more than {MOST_PASSWD} bytes")),
    })
}

/// The users of a passwd file from [`FIRST_USER`] up who can log in. A name need not be UTF-8 for that.
fn users(passwd: &[u8]) -> Result<Rc<[ImageUser]>, String> {
    let user = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        let fields: Vec<&str> = line.trim_start().trim_end_matches('\r').split(':').collect();
        let [name, _, uid, ..] = fields.as_slice() else { return None };
        let shell = fields.get(6).copied().unwrap_or_default().to_owned();
        let is_user = !name.is_empty() && !name.starts_with(['#', '+', '-']);
        Some(ImageUser { name: (*name).to_owned(), uid: uid.parse().ok().filter(|_| is_user)?, shell })
    };
    let may_log_in = |user: &ImageUser| user.uid >= FIRST_USER && lets_in(&user.shell);
    let users = passwd.split(|byte| *byte == b'\n').filter_map(user).filter(may_log_in);
    let users: Vec<ImageUser> = users.take(MOST_USERS + 1).collect();
    match users.iter().any(|user| user.name.len() > MOST_NAME || user.shell.len() > MOST_NAME) {
        true => Err(format!("/etc/passwd has names of more than {MOST_NAME} bytes")),
        false if users.len() > MOST_USERS => Err(format!("/etc/passwd has more than {MOST_USERS} users who can log in")),
        false => Ok(users.into()),
    }
}

#[cfg(test)]
#[path = "layers_tests.rs"]
mod tests;
