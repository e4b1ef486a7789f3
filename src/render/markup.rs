//! Text in XML and HTML: what comes from the host stays text, and shows itself.

use super::style::steers_terminal;

/// Text between tags. Line breaks and tabs stay; what else could steer a terminal, what XML 1.0 has no room for, and what turns the
/// direction of writing is written as `\u{1b}`.
pub fn text(text: &str) -> String {
    escaped(text, |c| c.to_string())
}

/// Text between the quotes of an attribute: line breaks and tabs are kept as character references, or a parser would make them spaces.
pub fn attribute(text: &str) -> String {
    escaped(text, |c| format!("&#{};", u32::from(c)))
}

fn escaped(text: &str, space: fn(char) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            '\n' | '\t' => shown.push_str(&space(c)),
            c if steers_terminal(c) || matches!(c, '\u{fffe}' | '\u{ffff}') => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_parser_would_read_is_text() {
        let table = [
            ("<script>alert('1')</script>", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"),
            ("a \"b\" & c]]>", "a &quot;b&quot; &amp; c]]&gt;"),
            ("\u{1b}[2J\0\u{7f}\u{9b}", r"\u{1b}[2J\u{0}\u{7f}\u{9b}"),
            ("\u{202e}\u{ffff}\u{fffe}", r"\u{202e}\u{ffff}\u{fffe}"),
            ("a\r\n\tb", "a\\r\n\tb"),
            ("&lt;", "&amp;lt;"),
            ("守护进程", "守护进程"),
        ];
        for (given, expected) in table {
            assert_eq!(text(given), expected);
        }
        assert_eq!(attribute("a\n\tb"), "a&#10;&#9;b");
    }

    proptest! {
        #[test]
        fn no_text_ends_what_it_stands_in(given in any::<String>()) {
            let allowed = |c: char| matches!(c, '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
            prop_assert!(text(&given).chars().all(|c| allowed(c) && !"<>\"'".contains(c)));
            prop_assert!(attribute(&given).chars().all(|c| allowed(c) && !"<>\"'\n\t".contains(c)));
        }
    }
}
