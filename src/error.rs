//! One error type for the whole program: what went wrong, where, and the next command to type.
//!
//! It is made close to the cause, carried up unchanged, and printed once, by `main`.

use std::fmt;
use std::path::{Path, PathBuf};

/// `Result` with harden's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure this is; decides the exit status (see [`ErrorKind::exit_code`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line or a baseline is wrong: unknown flag, control, variable; bad value.
    Usage,
    /// It failed; nothing was changed, or what was changed was put back.
    Failure,
    /// It failed, and putting back failed too.
    Stuck,
    /// The user said no, or pressed Ctrl-C; nothing was changed.
    Cancelled,
}

impl ErrorKind {
    /// The exit status of the contract.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Usage => 64,
            ErrorKind::Failure => 1,
            ErrorKind::Stuck => 3,
            // Nothing was changed, and nothing is in place that was not before.
            ErrorKind::Cancelled => 1,
        }
    }
}

/// A place in a file. Lines and columns count from 1; columns count characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user knows it.
    pub path: PathBuf,
    /// Line and column, where they are known.
    pub position: Option<(usize, usize)>,
    /// The offending line itself, where it may be shown (never for files that may hold secrets).
    pub line_text: Option<String>,
}

/// The error of this crate.
#[derive(Debug, Clone)]
pub struct Error {
    /// Decides the exit status.
    pub kind: ErrorKind,
    /// What happened, one sentence without a final stop, lower case unless it starts with a name.
    pub what: String,
    /// Where it happened.
    pub place: Option<Place>,
    /// What to do next; ideally a command.
    pub help: Option<String>,
    /// Further errors of the same run (a baseline reports all its mistakes at once).
    pub others: Vec<Error>,
}

impl Error {
    /// A failure: exit status 1.
    pub fn failure(what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Failure, what: what.into(), place: None, help: None, others: Vec::new() }
    }

    /// A mistake in what the user typed or wrote: exit status 64.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Usage, ..Self::failure(what) }
    }

    /// A failure of an operating system call on `path`.
    pub fn io(path: impl AsRef<Path>, doing: &str, cause: impl fmt::Display) -> Self {
        Self::failure(format!("cannot {doing}: {cause}")).at(path)
    }

    /// Names the file.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.place = Some(Place { path: path.as_ref().to_owned(), position: None, line_text: None });
        self
    }

    /// Names line and column (both from 1) in the file given before with [`Error::at`].
    #[must_use]
    pub fn line_col(mut self, line: usize, column: usize) -> Self {
        if let Some(place) = &mut self.place {
            place.position = Some((line, column));
        }
        self
    }

    /// Shows the line itself.
    #[must_use]
    pub fn showing(mut self, line_text: impl Into<String>) -> Self {
        if let Some(place) = &mut self.place {
            place.line_text = Some(line_text.into());
        }
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Several errors as one; `None` when there are none.
    pub fn all(mut errors: Vec<Error>) -> Option<Error> {
        if errors.is_empty() {
            return None;
        }
        let mut first = errors.remove(0);
        first.others = errors;
        Some(first)
    }
}

impl fmt::Display for Error {
    /// `path:line:col: what`, then the line with a caret, then `help: …`; the further errors follow in the same form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{}", place.path.display())?;
            if let Some((line, column)) = place.position {
                write!(f, ":{line}:{column}")?;
            }
            write!(f, ": ")?;
        }
        write!(f, "{}", self.what)?;
        if let Some(Place { position: Some((line, column)), line_text: Some(text), .. }) = &self.place {
            let gutter = line.to_string();
            let pad = " ".repeat(gutter.len());
            let text = text.replace('\t', " ");
            write!(f, "\n  {pad} |\n  {gutter} | {text}\n  {pad} | {}^", " ".repeat(column.saturating_sub(1)))?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        for other in &self.others {
            write!(f, "\n{other}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
