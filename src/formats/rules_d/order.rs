//! The order of `ls -v`: version sort as the manual of GNU coreutils describes it.

use std::cmp::Ordering;

/// Compares two file names that do not begin with a dot.
pub(super) fn natural(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    by_parts(without_suffix(left), without_suffix(right)).then_with(|| by_parts(left, right)).then_with(|| left.cmp(right))
}

/// The name without extensions: dots with a letter or `~` and then letters, digits or `~` after them.
fn without_suffix(name: &[u8]) -> &[u8] {
    let mut rest = name;
    while let Some(dot) = rest.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0) {
        let letter = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'~';
        let extension = &rest[dot + 1..];
        if !extension.first().is_some_and(letter) || !extension.iter().all(|byte| letter(byte) || byte.is_ascii_digit()) {
            break;
        }
        rest = &rest[..dot];
    }
    rest
}

/// Compares what is no digit byte by byte and what is digits as numbers, by turns.
fn by_parts(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        let (left_text, left_rest) = split(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = split(right, |byte| !byte.is_ascii_digit());
        let longer = left_text.len().max(right_text.len());
        let weights =
            |text: &[u8], rest: &[u8]| (0..longer).map(|at| weight(text.get(at), rest.is_empty())).collect::<Vec<_>>();
        let (left_number, left_next) = split(left_rest, |byte| byte.is_ascii_digit());
        let (right_number, right_next) = split(right_rest, |byte| byte.is_ascii_digit());
        let numbers = number(left_number).cmp(&number(right_number));
        let ordering = weights(left_text, left_rest).cmp(&weights(right_text, right_rest)).then(numbers);
        if ordering.is_ne() {
            return ordering;
        }
        (left, right) = (left_next, right_next);
    }
    Ordering::Equal
}

fn split(text: &[u8], keep: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().take_while(|byte| keep(byte)).count())
}

/// `~` sorts before the end of the name, the end before digits, digits before letters, letters before everything else.
fn weight(byte: Option<&u8>, name_ends: bool) -> i32 {
    match byte {
        Some(b'~') => -2,
        None if name_ends => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// A number of any length as something comparable: its length without leading zeros, then its digits.
fn number(digits: &[u8]) -> (usize, &[u8]) {
    let digits = &digits[digits.iter().take_while(|byte| **byte == b'0').count()..];
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_as_ls_does() {
        // The output of `ls -1v` of GNU coreutils 9.1.
        let sorted = [
            "0.rules",
            "00.rules",
            "1.rules",
            "01-a.rules",
            "1-b.rules",
            "2.rules",
            "9-a.rules",
            "10.rules",
            "10-a.b.rules",
            "10-a.rules",
            "10-a.1.rules",
            "10_a.rules",
            "99-x~.rules",
            "99-x.rules",
            "A.rules",
            "Z.rules",
            "a~.rules",
            "a.rules",
            "a1.rules",
            "a2.rules",
            "a10.rules",
            "aa.rules",
            "audit.rules",
            "a-b.rules",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|left, right| natural(left, right));
        assert_eq!(names, sorted);
    }
}
