//! Reading Dockerfiles: tables, and laws on any text.

use proptest::prelude::*;

use super::*;

/// The instructions of a text, one a line, as they were understood.
fn read(text: &str) -> String {
    let file = Dockerfile::parse(text);
    let mut lines = Vec::new();
    for instruction in &file.instructions {
        let position = file.position(text, instruction.at());
        let mut line = format!("{}:{} {}", position.line, position.column, instruction.keyword.name());
        if instruction.onbuild {
            line.push_str(" onbuild");
        }
        for flag in &instruction.flags {
            line.push_str(&format!(" --{}={}", flag.name, flag.value.as_deref().unwrap_or("-")));
        }
        let words: Vec<_> = instruction.words(file.escape).into_iter().map(|word| word.text).collect();
        line.push_str(&format!(" {}{}", if instruction.json.is_some() { "list " } else { "" }, words.join("|")));
        for heredoc in &instruction.heredocs {
            line.push_str(&format!(
                " <<{}{} {:?}",
                heredoc.name,
                if heredoc.expand { "" } else { " raw" },
                heredoc.content.text
            ));
        }
        lines.push(line);
    }
    lines.extend(file.problems.iter().map(|problem| {
        let position = file.position(text, problem.at);
        format!("{}:{} ! {}", position.line, position.column, problem.what)
    }));
    lines.join("\n")
}

#[test]
fn instructions() {
    for (text, expected) in [
        ("", ""),
        ("\n  # c\n", ""),
        ("from debian:12 as Build", "1:1 FROM debian:12|as|Build"),
        ("\u{feff}FROM a", "1:1 FROM a"),
        ("FROM a\r\nRUN x \\\r\n y\r\n", "1:1 FROM a\n2:1 RUN x|y"),
        ("RUN a \\\n# comment\n\n   # indented\n b", "1:1 RUN a|b"),
        // Two escape characters are a character.
        ("RUN a \\\\\nUSER b", "1:1 RUN a|\\\n2:1 USER b"),
        ("RUN a \\  \n b", "1:1 RUN a|b"),
        ("RUN a \\", "1:1 RUN a"),
        ("# escape=`\nRUN a `\n b\nCOPY C:\\x D:\\", "2:1 RUN a|b\n4:1 COPY C:\\x|D:\\"),
        ("# Escape = `\nRUN a `\n b", "2:1 RUN a|b"),
        // A directive after anything else is a comment.
        ("# hello\n# escape=`\nRUN a `\nUSER b", "3:1 RUN a|`\n4:1 USER b"),
        ("\n# escape=`\nRUN a `\nUSER b", "3:1 RUN a|`\n4:1 USER b"),
        ("# syntax=x\n# escape=|\nFROM a", "3:1 FROM a\n2:1 ! the escape character `|`, where only \\ and ` may be"),
        ("# escape=\\\n# escape=`\nFROM a", "3:1 FROM a\n2:1 ! a second parser directive `escape`"),
        ("CMD [\"a\", \"b c\"]", "1:1 CMD list a|b c"),
        ("CMD ['a', 'b']", "1:1 CMD [a,|b]"),
        ("CMD [\"a\"] b", "1:1 CMD [a]|b"),
        ("CMD [1]", "1:1 CMD [1]"),
        ("HEALTHCHECK --interval=5s CMD [\"a\"]", "1:1 HEALTHCHECK --interval=5s list a"),
        ("COPY --from=build --chown=a:b \"x y\" z/", "1:1 COPY --from=build --chown=a:b x y|z/"),
        ("RUN --mount=type=secret,id=a --network=none -- --x", "1:1 RUN --mount=type=secret,id=a --network=none --x"),
        ("RUN --mount=type=cache \\\n  --network=none x", "1:1 RUN --mount=type=cache --network=none x"),
        ("ONBUILD run x", "1:1 RUN onbuild x"),
        ("ONBUILD ONBUILD RUN x", "1:9 ! an instruction that ONBUILD does not take"),
        ("ONBUILD FROM x", "1:9 ! an instruction that ONBUILD does not take"),
        ("ONBUILD", "1:8 ! ONBUILD without an instruction"),
        ("FORM a\nFROM b", "2:1 FROM b\n1:1 ! the unknown instruction FORM"),
        // What may be what was left of a secret is not shown.
        ("FROM a\npassword=hunter2", "1:1 FROM a\n2:1 ! a line that begins with no instruction"),
        ("FROM", "1:1 FROM \n1:1 ! FROM without an argument"),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
}

#[test]
fn here_documents() {
    for (text, expected) in [
        ("RUN <<EOF\na\n b\nEOF\nUSER x", "1:1 RUN <<EOF <<EOF \"a\\n b\\n\"\n5:1 USER x"),
        ("RUN <<-EOF\n\ta\n\tEOF\nUSER x", "1:1 RUN <<-EOF <<EOF \"a\\n\"\n4:1 USER x"),
        ("RUN <<EOF\n EOF\nEOF", "1:1 RUN <<EOF <<EOF \" EOF\\n\""),
        ("RUN cat <<'A' > x && cat <<\"B\"\n1\nA\n2\nB", "1:1 RUN cat|<<A|>|x|&&|cat|<<B <<A raw \"1\\n\" <<B raw \"2\\n\""),
        ("COPY <<a <<b /x/\n1\na\n2\nb", "1:1 COPY <<a|<<b|/x/ <<a \"1\\n\" <<b \"2\\n\""),
        ("RUN 3<<EOF x\n1\nEOF", "1:1 RUN 3<<EOF|x <<EOF \"1\\n\""),
        ("ONBUILD RUN <<EOF\nx\nEOF", "1:1 RUN onbuild <<EOF <<EOF \"x\\n\""),
        // As BuildKit has it, these begin none.
        ("RUN cat <<<EOF\nUSER x", "1:1 RUN cat|<<<EOF\n2:1 USER x"),
        ("RUN cat << EOF\nUSER x", "1:1 RUN cat|<<|EOF\n2:1 USER x"),
        ("RUN echo \"<<EOF\"\nUSER x", "1:1 RUN echo|<<EOF\n2:1 USER x"),
        ("CMD cat <<EOF\nUSER x", "1:1 CMD cat|<<EOF\n2:1 USER x"),
        ("RUN [\"a\", \"<<EOF\"]\nUSER x", "1:1 RUN list a|<<EOF\n2:1 USER x"),
        ("RUN <<EOF\nx", "1:1 RUN <<EOF\n1:5 ! a here-document that no line `EOF` ends"),
        // The lines are no instructions, whatever they say, and no comments.
        ("RUN <<EOF\nFROM x\n# harden: ignore=a\nEOF", "1:1 RUN <<EOF <<EOF \"FROM x\\n# harden: ignore=a\\n\""),
    ] {
        assert_eq!(read(text), expected, "{text:?}");
    }
    assert_eq!(Dockerfile::parse("RUN <<EOF\n# x\nEOF").comments, []);
}

#[test]
fn names_and_values() {
    for (text, expected) in [
        ("ENV A=1 B=\"x y\" C=z\\ z D='$E'", "A=1 B=x y C=z z D=\\$E"),
        ("ENV A some text", "A=some text"),
        ("ENV A=", "A="),
        ("ARG A B=2", "A B=2"),
        ("LABEL \"a.b\"=\"c\" d=e\\\n f=g", "a.b=c d=e f=g"),
    ] {
        let file = Dockerfile::parse(text);
        let pair = |pair: Pair| pair.name + &pair.value.map(|value| format!("={value}")).unwrap_or_default();
        let pairs: Vec<_> = file.instructions[0].pairs(file.escape).into_iter().map(pair).collect();
        assert_eq!(pairs.join(" "), expected, "{text}");
    }
}

#[test]
fn variables() {
    let known = [("A", Some("1")), ("E", Some("")), ("U", None)];
    let scope: Scope = known.map(|(name, value)| (name.to_string(), value.map(String::from))).into();
    for (text, expected, unknown) in [
        ("x$A.${A}y", "x1.1y", ""),
        ("$N-${N}", "-", ""),
        ("${N:-d} ${E:-d} ${E-d} ${A:-d} ${N-d}", "d d  1 d", ""),
        ("${A:+s}${E:+s}${E+s}${N+s}", "ss", ""),
        ("${N:-${A:-x}}", "1", ""),
        ("\\$A \\x", "$A \\x", ""),
        ("a:$U", "a:$U", "U"),
        ("${U:-d}", "d", ""),
        ("${A#1}", "${A#1}", "A"),
        ("$ ${", "$ ${", ""),
        ("é$A", "é1", ""),
    ] {
        let expanded = expand(text, &scope);
        assert_eq!((expanded.text.as_str(), expanded.unknown.join(" ").as_str()), (expected, unknown), "{text}");
    }
}

#[test]
fn bases() {
    for (text, expected) in [
        ("FROM debian:12", "Image debian:12"),
        ("ARG V=12\nFROM debian:${V}", "Image debian:12"),
        ("ARG V\nFROM debian:$V", "Depends V"),
        ("ARG V\nFROM debian:${V:-11}", "Image debian:11"),
        ("ARG A=12\nARG B=$A-slim\nFROM debian:$B", "Image debian:12-slim"),
        // Only arguments before the first FROM count.
        ("FROM a\nARG V=1\nFROM b:$V", "Image a, Nonsense"),
        ("FROM a AS Base\nFROM base", "Image a, Stage 0"),
        ("FROM --platform=$BUILDPLATFORM a:1\nFROM scratch", "Image a:1, Scratch"),
        ("FROM base-$TARGETARCH", "Depends TARGETARCH"),
        // A stage may be named like an image; before it is made, the image is meant.
        ("FROM debian AS debian\nFROM debian", "Image debian, Stage 0"),
    ] {
        let file = Dockerfile::parse(text);
        let word = |stage: Stage| match stage.base {
            Base::Scratch => "Scratch".into(),
            Base::Stage(index) => format!("Stage {index}"),
            Base::Image(text, _) => format!("Image {text}"),
            Base::Depends(names) => format!("Depends {}", names.join(" ")),
            Base::Nonsense => "Nonsense".into(),
        };
        let bases: Vec<String> = stages(&file).into_iter().map(word).collect();
        assert_eq!(bases.join(", "), expected, "{text}");
    }
}

#[test]
fn lineages() {
    let text = "FROM a AS base\nFROM b AS build\nFROM base AS middle\nFROM middle";
    assert_eq!(lineage(&stages(&Dockerfile::parse(text))), [0, 2, 3]);
    assert_eq!(lineage(&[]), [0; 0]);
}

#[test]
fn names_of_images() {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (text, expected) in [
        ("debian", "docker.io/library/debian - -"),
        ("debian:12", "docker.io/library/debian 12 -"),
        ("bitnami/redis:7", "docker.io/bitnami/redis 7 -"),
        ("index.docker.io/library/debian", "docker.io/library/debian - -"),
        // The port of a registry is no tag.
        ("localhost:5000/app", "localhost:5000/app - -"),
        ("localhost/app:1", "localhost/app 1 -"),
        ("registry.example:5000/a/b:1.2", "registry.example:5000/a/b 1.2 -"),
        (&format!("debian:12@{digest}"), "docker.io/library/debian 12 sha256"),
        ("debian@sha256:abc", "docker.io/library/debian - other"),
        ("", "no name"),
        ("a b", "no name"),
        ("debian:", "no name"),
        ("$X", "no name"),
    ] {
        let word = |name: ImageName| {
            let digest = match (&name.digest, name.has_sha256()) {
                (None, _) => "-",
                (Some(_), true) => "sha256",
                (Some(_), false) => "other",
            };
            format!("{} {} {digest}", name.full(), name.tag.as_deref().unwrap_or("-"))
        };
        assert_eq!(ImageName::parse(text).map_or("no name".into(), word), expected, "{text}");
    }
}

#[test]
fn ignored_paths() {
    for (file, path, expected) in [
        (".git", ".git", true),
        (".git", ".git/config", true),
        (".git", "sub/.git", false),
        ("**/.git", "sub/.git", true),
        ("**/.git", ".git", true),
        ("/.git/", ".git/config", true),
        ("./a", "a", true),
        ("*.key", "x.key", true),
        ("*.key", "sub/x.key", false),
        ("**/*.key", "sub/deep/x.key", true),
        ("*/temp*", "a/temporary", true),
        ("*/temp*", "a/b/temporary", false),
        ("temp?", "tempa", true),
        ("temp?", "temp/", false),
        ("a/**", "a/b/c", true),
        ("a/**/z", "a/z", true),
        ("a/**/z", "a/b/c/z", true),
        ("**z", "xz", false),
        ("[a-c]x", "bx", true),
        ("[^a-c]x", "bx", false),
        ("\\*", "*", true),
        ("\\*", "x", false),
        ("# comment\n\n  a  ", "a", true),
        // The last line that matches decides.
        ("*.md\n!README.md", "README.md", false),
        ("!README.md\n*.md", "README.md", true),
        ("*\n!src", "src/main.rs", false),
        ("*\n!src\nsrc/x", "src/x", true),
        ("a/..", "a", false),
        ("é*", "éa", true),
        ("[", "[", false),
        ("!", "x", false),
    ] {
        assert_eq!(IgnoreFile::parse(file).excludes(path), expected, "{file:?} {path}");
    }
    assert_eq!(IgnoreFile::parse("a\n[\n!\nb\\").refused, [2, 3, 4]);
}

/// Places in a file of any alphabet and line ends.
#[test]
fn positions() {
    let text = "# é\r\nLABEL ä=1 \\\r\n  ö=2\n";
    let file = Dockerfile::parse(text);
    let pairs = file.instructions[0].pairs('\\');
    let places: Vec<_> = pairs
        .iter()
        .map(|pair| file.position(text, file.instructions[0].line.origin(pair.at)))
        .map(|at| (at.line, at.column))
        .collect();
    assert_eq!(places, [(2, 7), (3, 3)]);
    assert_eq!((file.offset(2), file.offset(99)), (6, 0));
}

/// A hundred thousand lines take as long as they are, in any of these forms.
#[test]
fn long_files() {
    let many = 100_000;
    for text in [
        "RUN a\n".repeat(many),
        format!("RUN a{}", " \\\n b".repeat(many)),
        format!("RUN <<EOF\n{}EOF", "x\n".repeat(many)),
        "RUN <<EOF\n".repeat(many),
        format!("ENV {}", "A=1 ".repeat(many)),
        format!("FROM {}", "${".repeat(many)),
        format!("FROM {}", "${A:-".repeat(many)),
        format!("RUN {}", "[".repeat(many)),
        "FROM a AS b\n".repeat(many / 10),
    ] {
        let begun = std::time::Instant::now();
        let file = Dockerfile::parse(&text);
        stages(&file);
        file.instructions.iter().for_each(|instruction| _ = instruction.words(file.escape));
        assert!(begun.elapsed().as_secs() < 20, "{} …", &text[..20]);
    }
}

/// Pieces that mean something to a Dockerfile, put together at random.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "FROM ",
        "RUN ",
        "COPY ",
        "ENV ",
        "ONBUILD ",
        "HEALTHCHECK ",
        "CMD ",
        "ARG ",
        "debian:12",
        "--from=a ",
        "<<EOF",
        "EOF",
        "<<-'E'",
        "\n",
        "\r\n",
        "\\\n",
        "`\n",
        "\\",
        "# escape=`\n",
        "# c\n",
        "[\"a\"",
        ", \"b\"]",
        "[",
        "]",
        "\"",
        "'",
        "$A",
        "${",
        "}",
        ":-",
        " ",
        "\t",
        "=",
        "é",
        "\u{feff}",
        "@sha256:",
        "/",
        "AS a",
        "&&",
        "|",
        "$(",
        ")",
        "!",
        "*",
        "**",
        "\0",
    ]);
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Nothing panics, and every place lies within the text.
    #[test]
    fn places_are_in_the_text(text in prop_oneof![pieces(), any::<String>()]) {
        let file = Dockerfile::parse(&text);
        let inside = |at: usize| at <= text.len() && text.is_char_boundary(at);
        for instruction in &file.instructions {
            prop_assert!(inside(instruction.at()));
            for word in instruction.words(file.escape) {
                prop_assert!(inside(instruction.line.origin(word.at)), "{:?}", word);
            }
            for pair in instruction.pairs(file.escape) {
                prop_assert!(inside(instruction.line.origin(pair.at)), "{:?}", pair);
            }
            for (at, _) in instruction.line.text.char_indices() {
                // What was joined is what stands there.
                let origin = instruction.line.origin(at);
                prop_assert!(inside(origin));
                prop_assert_eq!(text[origin..].chars().next(), instruction.line.text[at..].chars().next());
            }
            for heredoc in &instruction.heredocs {
                for (at, letter) in heredoc.content.text.char_indices().filter(|(_, letter)| *letter != '\n') {
                    prop_assert_eq!(text[heredoc.content.origin(at)..].chars().next(), Some(letter));
                }
            }
        }
        prop_assert!(file.problems.iter().all(|problem| inside(problem.at)));
        let lines = text.split('\n').count();
        prop_assert!(file.comments.iter().all(|comment| comment.line <= lines));
        for stage in stages(&file) {
            prop_assert!(stage.from < stage.end && stage.end <= file.instructions.len());
        }
    }

    /// Without a wildcard a pattern is the path itself, or a directory above it.
    #[test]
    fn plain_patterns(path in "[a-c]{1,2}(/[a-c]{1,2}){0,3}", other in "[a-c]{1,2}(/[a-c]{1,2}){0,3}") {
        let excluded = IgnoreFile::parse(&path).excludes(&other);
        prop_assert_eq!(excluded, other == path || other.starts_with(&format!("{path}/")));
        let taken_back = format!("{path}\n!{path}");
        prop_assert!(!IgnoreFile::parse(&taken_back).excludes(&other));
        let (pattern, anywhere) = (format!("**/{other}"), format!("x/{other}"));
        prop_assert!(IgnoreFile::parse(&pattern).excludes(&anywhere));
    }

    #[test]
    fn any_ignore_file(text in any::<String>(), path in any::<String>()) {
        IgnoreFile::parse(&text).excludes(&path);
    }
}
