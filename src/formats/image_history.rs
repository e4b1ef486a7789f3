//! The history of an image: what each `CreatedBy` says, as instructions of a Dockerfile.
//!
//! The classic builder writes `/bin/sh -c #(nop)  CMD ["sh"]` and `|1 A=b /bin/sh -c make`, BuildKit `CMD ["sh"]` and
//! `RUN |1 A=b /bin/sh -c make # buildkit`. Whatever else made a layer is taken for the command that it mostly is. Secrets are masked
//! before anything is kept.

use super::secret_mask::Masker;
use crate::fact::ImageStep;

/// Shells whose `-c` is no part of the command.
const SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "zsh", "ksh"];
/// Instructions as BuildKit writes them, without a shell in front.
const KEYWORDS: [&str; 15] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
];

/// Reads what one step says.
pub fn step(created_by: &str, masker: &Masker) -> ImageStep {
    let text = created_by.trim();
    let text = text.strip_suffix("# buildkit").map_or(text, str::trim_end);
    let mut step = ImageStep::default();
    if text.is_empty() || text.starts_with('#') {
        return step;
    }
    let nop = text.split_once("#(nop)").filter(|(shell, _)| shell.trim_end().ends_with("-c")).map(|(_, rest)| rest.trim());
    let instruction = nop.unwrap_or(text);
    let (keyword, rest) = instruction.split_once(char::is_whitespace).unwrap_or((instruction, ""));
    if KEYWORDS.contains(&keyword) {
        declared(keyword, rest.trim_start(), masker, &mut step);
    } else if nop.is_none() {
        let command = if keyword == "RUN" { rest.trim_start() } else { text };
        run(command, masker, &mut step);
    }
    step
}

/// An instruction other than RUN.
fn declared(keyword: &str, rest: &str, masker: &Masker, step: &mut ImageStep) {
    match keyword {
        "ENV" | "ARG" | "LABEL" => {
            for (name, value) in pairs(rest) {
                pair(keyword, name, value, step);
            }
        }
        _ => {
            let masked = masker.mask(rest);
            step.tokens.extend(masked.tokens.into_iter().map(|what| format!("{keyword} with {what}")));
            step.instructions.push((keyword.to_owned(), masked.text));
        }
    }
}

fn pair(keyword: &str, name: &str, value: &str, step: &mut ImageStep) {
    let (value, tokens) = super::secret_mask::value(value);
    step.tokens.extend(tokens.into_iter().map(|what| format!("{keyword} {name} with {what}")));
    step.instructions.push((keyword.to_owned(), format!("{name}={value}")));
}

/// A command: build arguments, then a shell, or none.
fn run(command: &str, masker: &Masker, step: &mut ImageStep) {
    let mut script = command;
    if let Some((count, rest)) = command.strip_prefix('|').and_then(|rest| rest.split_once(' ')) {
        let shell = rest.match_indices(" /").map(|(at, _)| at).find(|at| of_shell(&rest[at + 1..]).is_some());
        let arguments = shell.map_or(rest, |at| &rest[..at]);
        for (name, value) in pairs(arguments).into_iter().take(count.parse().unwrap_or(0)) {
            pair("ARG", name, value, step);
        }
        script = shell.map_or("", |at| &rest[at + 1..]);
    }
    let masked = masker.mask(of_shell(script).unwrap_or(script).trim());
    step.tokens.extend(masked.tokens.into_iter().map(|what| format!("RUN with {what}")));
    if !masked.text.is_empty() {
        step.instructions.push(("RUN".to_owned(), masked.text));
    }
}

/// What a shell is given after `-c`, `/bin/bash -o pipefail -c` included.
fn of_shell(text: &str) -> Option<&str> {
    let (program, mut rest) = text.split_once(' ')?;
    if !SHELLS.contains(&program.rsplit('/').next()?) {
        return None;
    }
    loop {
        let (word, after) = rest.trim_start().split_once(' ')?;
        match word {
            _ if word.starts_with('-') && word.ends_with('c') => return Some(after),
            _ if word.starts_with('-') || word == "pipefail" => rest = after,
            _ => return None,
        }
    }
}

/// `NAME=value NAME=value`, of which values may hold spaces.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    let mut starts = Vec::new();
    let mut next = 0;
    for word in text.split(' ') {
        let at = next;
        next += word.len() + 1;
        let name = word.split('=').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
        if name.len() < word.len() && !name.is_empty() && name.chars().all(plain) {
            starts.push((at, name));
        }
    }
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([text.len()]);
    starts.iter().zip(ends).map(|((at, name), end)| (*name, text[at + name.len() + 1..end].trim())).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(created_by: &str) -> Vec<String> {
        let step = step(created_by, &Masker::new(&[]));
        step.instructions.into_iter().map(|(keyword, rest)| format!("{keyword} {rest}")).collect()
    }

    #[test]
    fn what_builders_write() {
        for (created_by, expected) in [
            ("/bin/sh -c #(nop)  CMD [\"bash\"]", &["CMD [\"bash\"]"][..]),
            ("/bin/sh -c #(nop) ADD file:0d3bc1 in / ", &["ADD file:0d3bc1 in /"]),
            ("/bin/sh -c apt-get update", &["RUN apt-get update"]),
            ("/bin/bash -o pipefail -c make | tee log", &["RUN make | tee log"]),
            ("|2 A=b C=d e /bin/sh -c make", &["ARG A=masked", "ARG C=masked", "RUN make"]),
            ("RUN |1 NPM_TOKEN=s3cret /bin/sh -c npm ci # buildkit", &["ARG NPM_TOKEN=masked", "RUN npm ci"]),
            (
                "RUN /bin/sh -c apt-get update &&     apt-get install -y tini # buildkit",
                &["RUN apt-get update &&     apt-get install -y tini"],
            ),
            ("RUN /bin/sh -c set -e\napt-get update\n # buildkit", &["RUN set -e\napt-get update"]),
            ("COPY /src /dst # buildkit", &["COPY /src /dst"]),
            ("ENV PATH=/usr/bin DEBUG=true", &["ENV PATH=masked", "ENV DEBUG=true"]),
            ("LABEL maintainer=A Person <a@example>", &["LABEL maintainer=masked"]),
            ("/usr/bin/apt-get update", &["RUN /usr/bin/apt-get update"]),
            ("# debian.sh --arch 'amd64' out/ 'bookworm'", &[]),
            ("/bin/sh -c #(nop)", &[]),
            ("", &[]),
            ("bazel build //image", &["RUN bazel build //image"]),
            ("|1 A=b", &["ARG A=masked"]),
        ] {
            assert_eq!(read(created_by), expected, "{created_by}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,120}") {
            read(&text);
        }

        #[test]
        fn no_value_of_an_environment_is_kept(value in "[A-Za-z$`\"' ]{6,40}", keyword in "ENV|ARG|LABEL") {
            let value = format!("q7{value}");
            let kept = read(&format!("{keyword} NAME={value}")).concat();
            prop_assert!(!kept.contains("q7"), "{kept}");
        }
    }
}
