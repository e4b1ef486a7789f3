//! Waivers in the file itself: `# harden: ignore=CONTROL reason=WHY` above what it lets pass.

use glob::Pattern;

use super::Build;
use crate::baseline::{Catalogue, Waiver};
use crate::formats::dockerfile::Comment;

/// What a comment says, if it is for harden.
enum Said {
    Waives { controls: Vec<Pattern>, reason: String },
    Mistaken(String),
}

/// The waivers of a file: of the instruction that the comment stands above, or of the line, where it stands within one.
pub fn waivers(build: &Build) -> Vec<Waiver> {
    let lines = Lines::of(build);
    let mut waivers = Vec::new();
    for comment in &build.file.comments {
        let Some(Said::Waives { controls, reason }) = read(&comment.text) else { continue };
        for line in lines.below(comment.line) {
            let target = format!("{}:{line}:*", Pattern::escape(&build.fact.path));
            let Ok(target) = Pattern::new(&target) else { continue };
            let by = format!("{}:{}", build.fact.path, comment.line);
            let waiver = |control: &Pattern| Waiver {
                control: control.clone(),
                target: target.clone(),
                reason: reason.clone(),
                by: by.clone(),
                until: None,
            };
            waivers.extend(controls.iter().map(waiver));
        }
    }
    waivers
}

/// Comments that were meant as waivers and are none, by line.
pub(super) fn mistakes(build: &Build) -> Vec<(usize, String)> {
    let mistake = |comment: &Comment| match read(&comment.text)? {
        Said::Mistaken(what) => Some((comment.line, what)),
        Said::Waives { .. } => None,
    };
    build.file.comments.iter().filter_map(mistake).collect()
}

fn read(comment: &str) -> Option<Said> {
    let body = comment.strip_prefix("harden:")?.trim();
    let Some(rest) = body.strip_prefix("ignore=") else {
        return Some(Said::Mistaken("a comment for harden without ignore=".into()));
    };
    let (ids, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let reason = rest.trim().strip_prefix("reason=").unwrap_or_default().trim().trim_matches('"');
    if reason.is_empty() {
        return Some(Said::Mistaken("a waiver without reason=".into()));
    }
    let mut controls = Vec::new();
    for id in ids.split(',').map(str::trim).filter(|id| !id.is_empty()) {
        match Pattern::new(id) {
            Ok(pattern) if Catalogue::builtin().ids().any(|other| pattern.matches(other)) => controls.push(pattern),
            _ => return Some(Said::Mistaken(format!("a waiver of `{id}`, which is no control"))),
        }
    }
    match controls.is_empty() {
        true => Some(Said::Mistaken("a waiver of no control".into())),
        false => Some(Said::Waives { controls, reason: reason.to_owned() }),
    }
}

/// Where instructions begin and end, by line, in ascending order.
struct Lines(Vec<(usize, usize)>);

impl Lines {
    fn of(build: &Build) -> Self {
        let span = |instruction: &crate::formats::dockerfile::Instruction| {
            let line_end = instruction.line.origin(instruction.line.text.len().saturating_sub(1));
            let heredoc_end =
                instruction.heredocs.last().map(|heredoc| heredoc.content.origin(heredoc.content.text.len().saturating_sub(1)));
            (build.line(instruction.at()), build.line(line_end.max(heredoc_end.unwrap_or(0))))
        };
        Self(build.file.instructions.iter().map(span).collect())
    }

    /// The lines that a comment in this line speaks of.
    fn below(&self, line: usize) -> std::ops::RangeInclusive<usize> {
        let next = self.0.partition_point(|(first, _)| *first <= line);
        if let Some((_, last)) = next.checked_sub(1).and_then(|index| self.0.get(index))
            && line <= *last
        {
            return line + 1..=line + 1;
        }
        self.0.get(next).map_or(line + 1..=line + 1, |(first, last)| *first..=*last)
    }
}
