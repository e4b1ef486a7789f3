//! "Did you mean …?": the candidate that a mistyped word most likely stands for.

/// The candidate nearest to `word`, or `None` where nothing is near enough to be what was meant.
///
/// Near is an edit distance of at most a third of the word (two for short ones); failing that, the only candidate that contains the word.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // Longer words are pasted by accident, not mistyped; comparing them would only cost time.
    const LONGEST: usize = 100;
    if word.len() > LONGEST {
        return None;
    }
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let limit = (word.chars().count() / 3).clamp(1, 6).max(if word.len() > 3 { 2 } else { 1 });
    let near = candidates.iter().map(|candidate| (distance(word, candidate), *candidate));
    if let Some((_, candidate)) = near.filter(|(distance, _)| *distance <= limit).min_by_key(|(distance, _)| *distance) {
        return Some(candidate);
    }
    let mut containing = candidates.iter().filter(|candidate| word.len() > 2 && candidate.contains(word));
    containing.next().filter(|_| containing.next().is_none()).copied()
}

/// A help text that names the nearest candidate, else all of them.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None => format!("it is one of {}", candidates.join(", ")),
    }
}

/// How many characters must be put in, taken out, replaced or swapped with their neighbour to turn `from` into `to`.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut this = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(letter != other);
            let mut best = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                best = best.min(before[column - 1] + 1);
            }
            this.push(best);
        }
        before = std::mem::replace(&mut last, this);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("icc", "icc", 0),
            ("icc", "ipc", 1),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("ü", "u", 1),
        ] {
            assert_eq!(distance(from, to), expected, "{from} to {to}");
            assert_eq!(distance(to, from), expected, "{to} to {from}");
        }
    }

    #[test]
    fn suggestions() {
        let ids = ["daemon-icc-disabled", "daemon-debug-disabled", "socket-docker-mode", "socket-docker-owner"];
        for (word, expected) in [
            ("daemon-icc-disable", Some("daemon-icc-disabled")),
            ("daemon-ihc-disabled", Some("daemon-icc-disabled")),
            ("icc-disabled", Some("daemon-icc-disabled")),
            ("socket-docker", None),
            ("socket-docker-owners", Some("socket-docker-owner")),
            ("container-privileged", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, ids), expected, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), ids), None);
        assert_eq!(did_you_mean("enble", ["enable", "disable"]), "did you mean `enable`?");
        assert_eq!(did_you_mean("colour", ["enable", "disable"]), "it is one of enable, disable");
    }
}
