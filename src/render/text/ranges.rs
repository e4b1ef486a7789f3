//! Ids of changes, in few words.

/// Runs of ids in one line that are shown before "and … more".
const RUNS: usize = 8;

/// `c1, c3-c5` for `c1 c3 c4 c5`.
pub fn ranges(ids: &[&str]) -> String {
    runs(ids).into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(", ")
}

/// The same of the first few, and how many more there are.
pub fn first_ranges(ids: &[&str]) -> String {
    let runs = runs(ids);
    let first = runs.iter().take(RUNS).map(|(text, _)| text.as_str()).collect::<Vec<_>>().join(", ");
    match runs.iter().skip(RUNS).map(|(_, count)| count).sum::<usize>() {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Each run of ids that follow each other, and how many they are.
fn runs(ids: &[&str]) -> Vec<(String, usize)> {
    let number = |id: &str| id.strip_prefix('c').and_then(|digits| digits.parse::<u64>().ok());
    let follows = |a: &&str, b: &&str| number(a).zip(number(b)).is_some_and(|(a, b)| a.checked_add(1) == Some(b));
    let text = |run: &[&str]| match run {
        [first, _, .., last] => format!("{first}-{last}"),
        run => run.join(", "),
    };
    ids.chunk_by(follows).map(|run| (text(run), run.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_in_ranges() {
        let table: [(&[&str], &str); 6] = [
            (&[], ""),
            (&["c1"], "c1"),
            (&["c1", "c2"], "c1, c2"),
            (&["c1", "c2", "c3", "c5"], "c1-c3, c5"),
            (&["c9", "c10", "c11"], "c9-c11"),
            (&["x", "c18446744073709551615", "c0"], "x, c18446744073709551615, c0"),
        ];
        for (ids, expected) in table {
            assert_eq!(ranges(ids), expected);
        }
    }

    #[test]
    fn many_runs_are_cut_short() {
        let odd: Vec<String> = (0..500).map(|number| format!("c{}", number * 2 + 1)).collect();
        let odd: Vec<&str> = odd.iter().map(String::as_str).collect();
        assert_eq!(first_ranges(&odd), "c1, c3, c5, c7, c9, c11, c13, c15 and 492 more");
        assert_eq!(first_ranges(&odd[..RUNS]), ranges(&odd[..RUNS]));
    }
}
