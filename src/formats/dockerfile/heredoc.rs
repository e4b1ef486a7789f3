//! The beginnings of here-documents in an instruction's arguments.

use super::words;

/// What `<<` begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The line that ends it.
    pub name: String,
    /// `<<-`: leading tabs are taken away.
    pub strip_tabs: bool,
    /// Variables are replaced: its name is not quoted.
    pub expand: bool,
}

/// Every here-document that the arguments begin, and where its word stands. As BuildKit has it: a word of its own, a file
/// descriptor at most before `<<`, and the name without a space after it.
pub(super) fn beginnings(args: &str, at: usize, escape: char) -> Vec<(usize, Beginning)> {
    words::raw(args, at, escape).into_iter().filter_map(|(raw, at)| Some((at, beginning(raw, escape)?))).collect()
}

fn beginning(word: &str, escape: char) -> Option<Beginning> {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (strip_tabs, word) = word.strip_prefix('-').map_or((false, word), |word| (true, word));
    let name = words::first(word, 0, escape)?.0.text;
    if word.contains('<') || name.is_empty() {
        return None;
    }
    Some(Beginning { expand: name == word, name, strip_tabs })
}
