//! A TOML file as it was read: turns the parser's byte spans into errors that show path, line, column and the line itself.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml_edit::Document;

use crate::error::{Error, Result};

/// A TOML text and the path that the user knows it by.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub path: PathBuf,
    pub text: String,
}

impl Source {
    /// Reads a file of at most 1 MiB; a baseline is a few kilobytes, and `/dev/zero` is none.
    pub fn read(path: &Path) -> Result<Self> {
        const LARGEST: u64 = 1 << 20;
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        read.map_err(|cause| Error::usage(format!("cannot read this baseline: {cause}")).at(path))?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::usage("this is larger than 1 MiB, so it is not a baseline").at(path));
        }
        Self::from_bytes(path, bytes)
    }

    /// Takes bytes that were read from `path`.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let before = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
                let (line, column) = position(&before, good);
                Err(Error::usage("this byte is not UTF-8; save the file as UTF-8").at(path).line_col(line, column))
            }
        }
    }

    /// Parses the text; the parser stops at its first error of syntax.
    pub fn parse(&self) -> Result<Document<&str>> {
        Document::parse(self.text.as_str()).map_err(|error| {
            let what = error.message().replace('\n', ", ");
            self.mistake(error.span().unwrap_or(0..0), format!("this is not TOML: {what}"))
        })
    }

    /// A mistake of whoever wrote the file, at `span`.
    pub fn mistake(&self, span: Range<usize>, what: impl Into<String>) -> Error {
        let (line, column) = position(&self.text, span.start);
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        Error::usage(what).at(&self.path).line_col(line, column).showing(text)
    }
}

/// Line and column of a byte offset, both from 1, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    (line, String::from_utf8_lossy(&before[start..]).chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source { path: "b.toml".into(), text: text.into() }
    }

    #[test]
    fn positions_count_characters() {
        for (text, offset, expected) in [
            ("", 0, (1, 1)),
            ("", 9, (1, 1)),
            ("ab\ncd", 1, (1, 2)),
            ("ab\ncd", 2, (1, 3)),
            ("ab\ncd", 3, (2, 1)),
            ("ab\r\ncd", 4, (2, 1)),
            ("é = 1", 3, (1, 3)),
            ("ab\n", 3, (2, 1)),
        ] {
            assert_eq!(position(text, offset), expected, "{text:?} at {offset}");
        }
    }

    #[test]
    fn syntax_errors_show_the_line() {
        let error = source("schema = 1\nname = \"x\n").parse().unwrap_err();
        assert_eq!(
            error.to_string(),
            "b.toml:2:10: this is not TOML: invalid basic string, expected `\"`\n    |\n  2 | name = \"x\n    |          ^"
        );
    }

    #[test]
    fn bytes_that_are_no_text() {
        let error = Source::from_bytes(Path::new("b.toml"), b"a = 1\nb = \"\xff\"".to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "b.toml:2:6: this byte is not UTF-8; save the file as UTF-8");
    }

    #[test]
    fn files_that_cannot_be_read() {
        let error = Source::read(Path::new("/nonexistent/b.toml")).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/b.toml: cannot read this baseline: No such file or directory (os error 2)");
        let error = Source::read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "/dev/zero: this is larger than 1 MiB, so it is not a baseline");
    }
}
