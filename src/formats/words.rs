//! systemd's way to split a value into words: quotes, C escapes, whitespace. Used for command lines, `Environment=` and
//! variables that stand for several words.

/// What separates words.
const WHITESPACE: &[u8] = b" \t\n\r";

/// How backslashes and unfinished quotes are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// C escapes; an unknown one is an error (`Environment=`).
    Strict,
    /// C escapes; an unknown one stays as it is written (command lines).
    Lenient,
    /// A backslash only protects the next character, and quotes may stay open (values of variables).
    Protect,
}

/// The value breaks off inside quotes or, where that matters, holds an unknown escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Broken;

/// Takes the first word off `rest`, with the whitespace after it; `None` when there is none.
pub fn next_word(rest: &mut &[u8], escapes: Escapes) -> Result<Option<Vec<u8>>, Broken> {
    let word = first_word(rest, escapes)?;
    skip_whitespace(rest);
    Ok(word)
}

/// Takes the first word off `rest`, which must not begin with whitespace if the word's own place in it matters, and leaves the
/// whitespace after it.
pub fn first_word(rest: &mut &[u8], escapes: Escapes) -> Result<Option<Vec<u8>>, Broken> {
    skip_whitespace(rest);
    if rest.is_empty() {
        return Ok(None);
    }
    let mut word = Vec::new();
    let mut quote = None;
    while let [byte, after @ ..] = *rest {
        match (byte, quote) {
            (b'\\', _) => {
                *rest = after;
                unescape(rest, escapes, quote.is_some(), &mut word)?;
                continue;
            }
            (byte, Some(open)) if *byte == open => quote = None,
            (b'"' | b'\'', None) => quote = Some(*byte),
            (byte, None) if WHITESPACE.contains(byte) => break,
            (byte, _) => word.push(*byte),
        }
        *rest = after;
    }
    if quote.is_some() && escapes != Escapes::Protect {
        return Err(Broken);
    }
    Ok(Some(word))
}

/// All words of a value.
pub fn words(mut rest: &[u8], escapes: Escapes) -> Result<Vec<Vec<u8>>, Broken> {
    let mut words = Vec::new();
    while let Some(word) = next_word(&mut rest, escapes)? {
        words.push(word);
    }
    Ok(words)
}

/// Takes whitespace off the front.
pub fn skip_whitespace(rest: &mut &[u8]) {
    while let [byte, after @ ..] = *rest
        && WHITESPACE.contains(byte)
    {
        *rest = after;
    }
}

/// Takes what follows a backslash off `rest` and puts what it stands for on `word`.
fn unescape(rest: &mut &[u8], escapes: Escapes, quoted: bool, word: &mut Vec<u8>) -> Result<(), Broken> {
    let Some((&byte, after)) = rest.split_first() else {
        return match escapes {
            Escapes::Protect => Ok(()),
            Escapes::Lenient if !quoted => {
                word.push(b'\\');
                Ok(())
            }
            _ => Err(Broken),
        };
    };
    if escapes == Escapes::Protect {
        word.push(byte);
        *rest = after;
        return Ok(());
    }
    match (c_escape(rest), escapes) {
        (Some((stands_for, length)), _) => {
            word.extend_from_slice(&stands_for);
            *rest = &rest[length..];
        }
        (None, Escapes::Strict) => return Err(Broken),
        (None, _) => {
            word.extend_from_slice(&[b'\\', byte]);
            *rest = after;
        }
    }
    Ok(())
}

/// The bytes that a C escape stands for (backslash already gone) and its length. NUL and numbers out of range are none.
fn c_escape(rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let simple = |byte| Some((vec![byte], 1));
    match rest.first()? {
        b'a' => simple(0x07),
        b'b' => simple(0x08),
        b'f' => simple(0x0c),
        b'n' => simple(b'\n'),
        b'r' => simple(b'\r'),
        b't' => simple(b'\t'),
        b'v' => simple(0x0b),
        b's' => simple(b' '),
        byte @ (b'\\' | b'"' | b'\'') => simple(*byte),
        b'x' => Some((vec![u8::try_from(number(rest, 1..3, 16)?).ok()?], 3)),
        b'0'..=b'7' => Some((vec![u8::try_from(number(rest, 0..3, 8)?).ok()?], 3)),
        b'u' => Some((code_point(number(rest, 1..5, 16)?), 5)),
        b'U' => Some((char::from_u32(number(rest, 1..9, 16)?)?.to_string().into_bytes(), 9)),
        _ => None,
    }
}

/// A positive number of exactly the digits in `range`.
fn number(rest: &[u8], range: std::ops::Range<usize>, base: u32) -> Option<u32> {
    let digits = rest.get(range)?.iter();
    let value = digits.map(|&byte| char::from(byte).to_digit(base)).try_fold(0, |sum, digit| Some(sum * base + digit?))?;
    (value > 0).then_some(value)
}

/// UTF-8 of a 16-bit code point. systemd lets surrogates through, as three bytes that are not UTF-8.
fn code_point(number: u32) -> Vec<u8> {
    match char::from_u32(number) {
        Some(character) => character.to_string().into_bytes(),
        None => [0xe0 | number >> 12, 0x80 | number >> 6 & 0x3f, 0x80 | number & 0x3f].map(|byte| byte as u8).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str, escapes: Escapes) -> Result<Vec<String>, Broken> {
        Ok(words(text.as_bytes(), escapes)?.iter().map(|word| word.escape_ascii().to_string()).collect())
    }

    #[test]
    fn words_are_split_as_systemd_splits_them() {
        let table: &[(&str, Result<&[&str], Broken>)] = &[
            ("", Ok(&[])),
            (" \t\r\n", Ok(&[])),
            (" a  b\t", Ok(&["a", "b"])),
            ("'a b' c\"d e\"f \"\" ''", Ok(&["a b", "cd ef", "", ""])),
            (r"\x41\s\101\u0041\U00000041", Ok(&["A AAA"])),
            (r"'a\'b' \ud800", Ok(&["a\\'b", "\\xed\\xa0\\x80"])),
            ("#a b#c #", Ok(&["#a", "b#c", "#"])),
            ("'a", Err(Broken)),
            (r"\q", Err(Broken)),
            (r"\x00", Err(Broken)),
            (r"\400", Err(Broken)),
            (r"\U00110000", Err(Broken)),
            (r"\x4", Err(Broken)),
            (r"a\", Err(Broken)),
        ];
        for (text, expected) in table {
            let expected = expected.map(|words| words.iter().map(|&word| word.to_owned()).collect());
            assert_eq!(shown(text, Escapes::Strict), expected, "{text}");
        }
    }

    #[test]
    fn lenient_keeps_what_it_does_not_know() {
        assert_eq!(
            shown(r"a\qb \x4 \x41\q c\", Escapes::Lenient),
            Ok(vec![r"a\\qb".into(), r"\\x4".into(), r"A\\q".into(), r"c\\".into()])
        );
        assert_eq!(shown(r"'a\", Escapes::Lenient), Err(Broken));
        assert_eq!(shown("'a", Escapes::Lenient), Err(Broken));
    }

    #[test]
    fn protect_takes_everything() {
        assert_eq!(
            shown(r#"a\ b \n "c d" 'e f\"#, Escapes::Protect),
            Ok(vec!["a b".into(), "n".into(), "c d".into(), "e f".into()])
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_split(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = words(&bytes, Escapes::Strict);
            let strict_or_not = words(&bytes, Escapes::Lenient);
            if let Ok(strict) = words(&bytes, Escapes::Strict) {
                prop_assert_eq!(strict_or_not, Ok(strict));
            }
            prop_assert!(words(&bytes, Escapes::Protect).is_ok());
        }

        #[test]
        fn quoted_words_come_back(texts in proptest::collection::vec("[ -&(-\\[\\]-~]{0,8}", 0..6)) {
            let line: Vec<String> = texts.iter().map(|text| format!("'{text}'")).collect();
            prop_assert_eq!(words(line.join(" ").as_bytes(), Escapes::Strict).unwrap(), texts.into_iter().map(String::into_bytes).collect::<Vec<_>>());
        }
    }
}
