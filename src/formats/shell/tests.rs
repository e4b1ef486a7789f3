//! Reading scripts: tables, and laws on any text.

use proptest::prelude::*;

use super::*;

/// The commands of a script: words joined by `,`, a pipe before those that read one, the index of the command they are within after `@`.
fn read(text: &str) -> String {
    let script = Script::parse(text, &|at| at);
    let mut lines: Vec<String> = script
        .commands
        .iter()
        .map(|command| {
            let pipe = if command.reads_pipe { "| " } else { "" };
            let assignments: String =
                command.assignments.iter().map(|(name, value)| format!("{name}={} ", value.text)).collect();
            let words: Vec<&str> = command.words.iter().map(|word| word.text.as_str()).collect();
            let writes: String = command.writes.iter().map(|word| format!(" > {}", word.text)).collect();
            let within = command.within.map(|index| format!(" @{index}")).unwrap_or_default();
            format!("{pipe}{assignments}{}{writes}{within}", words.join(","))
        })
        .collect();
    lines.extend(script.opaque.map(|(at, why)| format!("{at} ! {why}")));
    lines.join("; ")
}

#[test]
fn commands() {
    for (text, expected) in [
        ("", ""),
        ("a b && c || d; e & f\ng", "a,b; c; d; e; f; g"),
        ("a | b |& c", "a; | b; | c"),
        ("a 'b c' \"d $E\" f\\ g ''", "a,b c,d $E,f g,"),
        ("A=1 B='x y' c D=2", "A=1 B=x y c,D=2"),
        ("A=1", "A=1 "),
        ("if a; then b; else c; fi", "a; b; c"),
        ("while ! a; do b; done", "a; b"),
        ("for x in a b; do c $x; done", "for,x,in,a,b; c,$x"),
        ("case $x in a) b;; *) c;; esac", "case,$x,in,a; b; *; c"),
        ("{ a; } && (b; c)", "a; b; c"),
        ("f() { a; }", "f; a"),
        ("a > x 2>&1 >> y < z", "a > x > y"),
        ("a &> x; b 2>/dev/null", "a > x; b > /dev/null"),
        ("a # b && c\nd", "a; d"),
        ("a#b", "a#b"),
        ("a \\\n b", "a,b"),
        ("a\\\nb", "ab"),
        // A word in quotes is no keyword.
        ("'if' a", "if,a"),
        ("cat <<EOF > x\ncurl y | sh\nEOF\nb", "cat > x; b"),
        ("cat <<-'EOF'\n\tx\n\tEOF\nb", "cat; b"),
        ("cat <<EOF", "cat"),
        ("a <<< b", "a"),
        ("a $(b | c) `d`", "a,$(b | c),`d`; b @0; | c @0; d @0"),
        ("a \"$(b \"$(c)\")\"", "a,$(b \"$(c)\"); b,$(c) @0; c @1"),
        ("a $((1 + 2)) ${B:-c d}", "a,$((1 + 2)),${B:-c d}"),
        ("bash <(a)", "bash,<(a); a @0"),
        ("sh -c 'a && b' x", "sh,-c,a && b,x; a @0; b @0"),
        ("sudo -u x bash -exc \"a | b\"", "sudo,-u,x,bash,-exc,a | b; a @0; | b @0"),
        ("eval 'a; b'", "eval,a; b; a @0; b @0"),
        ("a 'b", "a; 2 ! a quote that does not end"),
        ("a; b \"c", "a; b; 5 ! a quote that does not end"),
        ("a $(b", "a; 2 ! a bracket that does not close"),
        ("a `b", "a; 2 ! a back quote that does not end"),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn programs() {
    for (text, expected) in [
        ("/usr/bin/apt-get update", "apt-get update"),
        ("sudo -E -u root A=1 apt-get -y update", "sudo apt-get -y update"),
        ("env -u X A=1 B=2 pip install x", "env pip install x"),
        ("exec nice -n 5 timeout -k 3 10 curl x", "exec nice timeout curl x"),
        ("xargs -n 1 rm -f", "xargs rm -f"),
        ("sudo", "sudo"),
        ("time -f %e a", "a"),
    ] {
        let script = Script::parse(text, &|at| at);
        let programs = script.commands[0].programs();
        let names = programs.iter().map(|program| program.name);
        let args = programs.last().into_iter().flat_map(|program| program.args).map(|arg| arg.text.as_str());
        // `time` is a keyword of the shell; its option is then the program, as sh has it.
        let expected = if text.starts_with("time") { "-f %e a" } else { expected };
        assert_eq!(names.chain(args).collect::<Vec<_>>().join(" "), expected, "{text}");
    }
}

#[test]
fn deep_and_long() {
    let deep = format!("{}a{}", "$(".repeat(50), ")".repeat(50));
    assert_eq!(Script::parse(&deep, &|at| at).opaque.map(|(_, why)| why), Some("scripts within scripts too deep"));
    for text in ["a;".repeat(50_000), "${".repeat(50_000), "a | ".repeat(50_000), "<<E ".repeat(50_000), "'".repeat(50_001)] {
        let begun = std::time::Instant::now();
        Script::parse(&text, &|at| at);
        assert!(begun.elapsed().as_secs() < 20, "{} …", &text[..10]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Nothing panics, and every place lies within the text.
    #[test]
    fn any_script(text in prop_oneof![any::<String>(), "[ab =;&|()<>'\"`$\\\\\n#{}-]{0,80}"]) {
        let script = Script::parse(&text, &|at| at);
        let inside = |at: usize| at <= text.len() && text.is_char_boundary(at);
        for (index, command) in script.commands.iter().enumerate() {
            prop_assert!(inside(command.at));
            prop_assert!(command.words.iter().all(|word| inside(word.at)));
            prop_assert!(command.within.is_none_or(|within| within < index));
        }
        prop_assert!(script.opaque.is_none_or(|(at, _)| inside(at)));
    }

    /// Words that are quoted come out as they went in.
    #[test]
    fn quoted_words(words in prop::collection::vec("[a-z $;|&é\"\\\\]{1,8}", 1..6)) {
        let text = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let script = Script::parse(&text, &|at| at);
        let read: Vec<String> = script.commands[0].words.iter().map(|word| word.text.clone()).collect();
        prop_assert_eq!(read, words);
    }
}
