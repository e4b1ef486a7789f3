//! The user's own baseline file: read and written through one walk that follows no link which others could have planted.

use std::path::{Component, Path, PathBuf};

use nix::sys::stat::{Mode, umask};

use crate::apply::writer::{Meta, Writer};
use crate::baseline::builtin_text;
use crate::error::{Error, Result};
use crate::fact::FileKind;
use crate::file_state::FileState;
use crate::host::fs::Root;

/// A baseline file as it was read.
pub struct OwnFile {
    root: Root,
    path: String,
    state: FileState,
}

impl OwnFile {
    /// Reads the file, and gives its text.
    pub fn open(given: &Path) -> Result<(OwnFile, String)> {
        if let Some(name) = given.to_str().filter(|name| builtin_text(name).is_some() && !given.exists()) {
            let error = Error::usage(format!("`{name}` is a built-in baseline, which stays as it is"));
            return Err(error.help(format!("harden baseline new ./my-{name}.toml --from {name}  makes one of your own")));
        }
        let root = Root::open("/")?;
        let path = absolute(given)?;
        let state = Writer::for_own_file(&root).state(&path)?;
        let Some(state) = state else {
            let error = Error::usage("there is no such file").at(given);
            return Err(error.help(format!("harden baseline new {}  makes it", given.display())));
        };
        if state.kind != FileKind::File {
            return Err(Error::usage("this is no regular file, so it is not a baseline").at(given));
        }
        let bytes = state.content.as_ref().map(|content| content.0.clone());
        let bytes = bytes.ok_or_else(|| Error::usage("this is larger than 4 MiB, so it is not a baseline").at(given))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::usage("this is not UTF-8; save the file as UTF-8").at(given))?;
        Ok((OwnFile { root, path, state }, text))
    }

    /// Gives the file another text, at once; its owner, mode and attributes stay. Refused where it is not as it was read.
    pub fn replace(&self, text: &str) -> Result<()> {
        let keep = Meta::default();
        Writer::for_own_file(&self.root).replace(&self.path, Some(&self.state), text.as_bytes(), &keep)
    }
}

/// Makes a file that is not there yet, at once.
pub fn create(given: &Path, text: &str) -> Result<()> {
    refuse_taken(given)?;
    let root = Root::open("/")?;
    // The umask can only be read by setting it; nothing else runs.
    let mask = umask(Mode::from_bits_truncate(0o022));
    umask(mask);
    let meta = Meta { mode: Some(0o644 & !mask.bits()), ..Meta::default() };
    Writer::for_own_file(&root).replace(&absolute(given)?, None, text.as_bytes(), &meta)
}

/// Refuses a name that something has already, be it a link that leads nowhere.
pub fn refuse_taken(given: &Path) -> Result<()> {
    match given.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(given, "look at it", error)),
        Ok(_) => {
            let error = Error::usage("it is there already; nothing was written").at(given);
            Err(error.help(format!("choose another name, or change it: harden baseline set {} --help", given.display())))
        }
    }
}

/// The path from `/` on. Leading `..` lead up from the current directory, which is known without links.
fn absolute(given: &Path) -> Result<String> {
    let here = std::env::current_dir().map_err(|error| Error::io(given, "find the current directory", error))?;
    let mut path = if given.is_absolute() { PathBuf::from("/") } else { here };
    let mut parts = given.components().peekable();
    while parts.next_if(|part| matches!(part, Component::CurDir | Component::ParentDir | Component::RootDir)).is_some_and(
        |part| {
            if part == Component::ParentDir {
                path.pop();
            }
            true
        },
    ) {}
    path.extend(parts);
    let path = path.into_os_string().into_string();
    path.map_err(|path| Error::usage("this path is not UTF-8").at(path))
}
