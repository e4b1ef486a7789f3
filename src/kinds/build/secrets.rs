//! Secrets: values that stand in the file, files that are copied, credentials that steps use. Values are never shown.

use std::collections::BTreeSet;

use glob::{MatchOptions, Pattern};

use super::{Build, Found};
use crate::baseline::control::ImageWant;
use crate::formats::dockerfile::{Instruction, Keyword};
use crate::formats::shell::{Command, ShellWord};
use crate::formats::token;

/// Ends of names that say where a secret is, or what it is like, and not what it is.
const NOT_THE_SECRET: [&str; 15] = [
    "_FILE",
    "_PATH",
    "_DIR",
    "_NAME",
    "_URL",
    "_URI",
    "_TYPE",
    "_LENGTH",
    "_EXPIRY",
    "_EXPIRATION",
    "_TTL",
    "_HEADER",
    "_ENABLED",
    "_REQUIRED",
    "_MOUNT",
];

const DESIRED: &str = "no secret in the file";
const BY_MOUNT: &str = "give it to the step that needs it with RUN --mount=type=secret,id=NAME and docker build --secret, or at run time; and change the secret";

/// The names of secrets, as a policy has them.
struct Names {
    secret: Vec<Pattern>,
    ignored: Vec<Pattern>,
}

impl Names {
    fn of(want: &ImageWant) -> Self {
        let patterns = |texts: &[String]| texts.iter().filter_map(|text| Pattern::new(&even(text)).ok()).collect();
        Self { secret: patterns(&want.look_for), ignored: patterns(&want.allow) }
    }

    /// Whether a name is that of a secret.
    fn is_secret(&self, name: &str) -> bool {
        let name = even(name);
        let any = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches_with(&name, MatchOptions::new()));
        any(&self.secret) && !any(&self.ignored) && !NOT_THE_SECRET.iter().any(|end| name.ends_with(end))
    }

    fn is_ignored(&self, path: &str) -> bool {
        self.ignored.iter().any(|pattern| pattern.matches(&even(path)))
    }
}

/// Upper case, with `_` for `-` and `.`, so that a name has one form.
fn even(name: &str) -> String {
    name.to_ascii_uppercase().replace(['-', '.'], "_")
}

/// Whether a value could be a secret: it is there, it is written out, and it is no switch or number of a few digits.
fn is_literal(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    let switch =
        ["true", "false", "yes", "no", "on", "off", "none", "null", "0", "1"].contains(&value.to_ascii_lowercase().as_str());
    let default = value.split_once(":-").and_then(|(_, rest)| rest.strip_suffix('}'));
    match value {
        _ if value.is_empty() || switch || value.contains("***") => false,
        _ if value.starts_with('<') && value.ends_with('>') => false,
        // `${NAME:-secret}` holds its default.
        _ if value.starts_with("${") => default.is_some_and(|default| !default.starts_with('$') && is_literal(default)),
        _ => !value.contains('$') && !value.contains('`'),
    }
}

/// image-no-secrets.
pub(super) fn literal(want: &ImageWant, build: &Build) -> Found {
    let names = Names::of(want);
    let mut found = Found::holding("no secret that harden knows by name or form");
    for instruction in &build.file.instructions {
        declared(build, instruction, &names, &mut found);
        copied(build, instruction, &names, &mut found);
        tokens(instruction, &mut found);
    }
    for run in &build.runs {
        run.commands().for_each(|command| of_command(command, &names, &mut found));
    }
    found
}

/// ENV, ARG and LABEL.
fn declared(build: &Build, instruction: &Instruction, names: &Names, found: &mut Found) {
    if !matches!(instruction.keyword, Keyword::Env | Keyword::Arg | Keyword::Label) {
        return;
    }
    for pair in instruction.pairs(build.file.escape) {
        if names.is_secret(&pair.name) && pair.value.as_deref().is_some_and(is_literal) {
            let observed = format!("{} {}=***", instruction.keyword.name(), pair.name);
            found.drift(instruction.line.origin(pair.at), observed, DESIRED, BY_MOUNT);
        }
    }
}

/// Files that hold secrets.
fn copied(build: &Build, instruction: &Instruction, names: &Names, found: &mut Found) {
    if !matches!(instruction.keyword, Keyword::Copy | Keyword::Add) {
        return;
    }
    let words = instruction.words(build.file.escape);
    for word in words.split_last().map_or(&[][..], |(_, sources)| sources) {
        if holds_secrets(&word.text) && !names.is_ignored(&word.text) {
            let fix = "mount it in the step that needs it: RUN --mount=type=secret,id=NAME,target=PATH; what a later step deletes stays in this layer";
            let observed = format!("{} {}", instruction.keyword.name(), word.text);
            found.drift(instruction.line.origin(word.at), observed, "no file of credentials in the image", fix);
        }
    }
}

fn holds_secrets(path: &str) -> bool {
    let path = path.trim_end_matches('/').to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or_default();
    let keys = [
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        ".npmrc",
        ".netrc",
        "_netrc",
        ".pypirc",
        ".git-credentials",
        ".pgpass",
        ".env",
        ".htpasswd",
    ];
    let dirs = [".aws", ".ssh", ".gnupg", ".kube"];
    let whole = [".docker/config.json", ".aws/credentials", ".kube/config"];
    // Certificates are no secrets, and end in .pem as often as keys do.
    let certificate = ["cert", "chain", "bundle", "public", "pub.", "root", "ca.", "ca-", "-ca", "_ca"]
        .iter()
        .any(|word| name.contains(word));
    keys.contains(&name)
        || dirs.contains(&name)
        || whole.iter().any(|end| path.ends_with(end))
        || name.ends_with(".p12")
        || name.ends_with(".pfx")
        || name.ends_with(".key") && !certificate
        || name.ends_with(".pem") && !certificate
}

/// Tokens that are known by their form, wherever they stand.
fn tokens(instruction: &Instruction, found: &mut Found) {
    let texts = std::iter::once(&instruction.line).chain(instruction.heredocs.iter().map(|heredoc| &heredoc.content));
    for text in texts {
        for token in token::find(&text.text) {
            let observed = format!("{} with {}", instruction.keyword.name(), token.what);
            found.drift(text.origin(token.at), observed, DESIRED, BY_MOUNT);
        }
    }
}

/// Literal values in commands.
fn of_command(command: &Command, names: &Names, found: &mut Found) {
    for (name, value) in &command.assignments {
        if names.is_secret(name) && is_literal(&value.text) {
            found.drift(value.at, format!("RUN {name}=***"), DESIRED, BY_MOUNT);
        }
    }
    for program in command.programs() {
        let exports = ["export", "declare", "env", "readonly", "sudo", "echo", "printf"].contains(&program.name);
        for (index, arg) in program.args.iter().enumerate() {
            let next = program.args.get(index + 1);
            if let Some(observed) = argument(&program, arg, next, exports, names) {
                found.drift(arg.at, format!("RUN {} {observed}", program.name), DESIRED, BY_MOUNT);
            }
        }
        if program.name == "sshpass"
            && let Some(arg) = program.args.iter().find(|arg| arg.text.starts_with("-p") && arg.literal)
        {
            found.drift(arg.at, "RUN sshpass -p ***", DESIRED, BY_MOUNT);
        }
    }
}

/// What an argument shows, its value masked.
fn argument(
    program: &crate::formats::shell::Program,
    arg: &ShellWord,
    next: Option<&ShellWord>,
    exports: bool,
    names: &Names,
) -> Option<String> {
    let text = arg.text.as_str();
    if let Some((user, scheme)) =
        user_of_url(text).filter(|(user, _)| user.split_once(':').is_some_and(|(_, word)| is_literal(word)))
    {
        let name = user.split(':').next().unwrap_or_default();
        return Some(format!("{scheme}://{name}:***@…"));
    }
    if ["curl", "http", "https", "wget"].contains(&program.name) {
        let basic = ["-u", "--user"].contains(&text)
            && next.is_some_and(|next| next.text.split_once(':').is_some_and(|(_, word)| is_literal(word)));
        if basic {
            return Some(format!("{text} ***"));
        }
        let lower = text.to_ascii_lowercase();
        let header = lower.trim_start_matches("-h").trim_start_matches("--header=").trim();
        if let Some(value) = header.strip_prefix("authorization:").map(str::trim)
            && is_literal(value)
        {
            return Some("with an Authorization header".into());
        }
    }
    let option = text.starts_with("--") && !["echo", "printf"].contains(&program.name);
    match text.trim_start_matches('-').split_once('=') {
        Some((name, value)) if (option || exports) && names.is_secret(name) && is_literal(value) => {
            Some(format!("{}{name}=***", if option { "--" } else { "" }))
        }
        None if option && names.is_secret(text.trim_start_matches('-')) => {
            let value = next.filter(|next| !next.text.starts_with('-') && is_literal(&next.text))?;
            // `--password-stdin FILE` and the like have no value.
            (!text.ends_with("-stdin") && !value.text.is_empty()).then(|| format!("{text} ***"))
        }
        _ => None,
    }
}

/// User and password before the `@` of a URL, and its scheme.
fn user_of_url(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.split_once("://")?;
    let scheme = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '+').next().unwrap_or_default();
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map(|(user, _)| (user, scheme))
}

/// image-build-secret-mounts.
pub(super) fn mounts(build: &Build) -> Found {
    let names = Names {
        secret: [
            "*PASSWORD*",
            "*PASSWD*",
            "*SECRET*",
            "*TOKEN*",
            "*API_KEY*",
            "*APIKEY*",
            "*PRIVATE_KEY*",
            "*ACCESS_KEY*",
            "*CREDENTIAL*",
        ]
        .iter()
        .filter_map(|text| Pattern::new(text).ok())
        .collect(),
        ignored: Vec::new(),
    };
    let mut found = Found::default();
    let mut all = 0;
    let mut declared: BTreeSet<String> = BTreeSet::new();
    let mut runs = build.runs.iter().peekable();
    for (index, instruction) in build.file.instructions.iter().enumerate() {
        match instruction.keyword {
            Keyword::From => declared.clear(),
            Keyword::Arg | Keyword::Env => {
                let pairs = instruction.pairs(build.file.escape).into_iter();
                declared.extend(pairs.map(|pair| pair.name).filter(|name| names.is_secret(name)));
            }
            _ => {}
        }
        let Some(run) = runs.next_if(|run| run.index == index) else { continue };
        let mounted = run.mounts("secret") || run.mounts("ssh");
        all += usize::from(mounted);
        for command in run.commands().filter(|_| !mounted) {
            if let Some((at, host)) = clones_by_ssh(command) {
                all += 1;
                let fix = "write RUN --mount=type=ssh git clone …, and docker build --ssh default";
                found.drift(at, format!("git over ssh from {host}, without an ssh mount"), "RUN --mount=type=ssh", fix);
            }
            for (at, name) in used(command, &declared) {
                all += 1;
                let fix = format!("write RUN --mount=type=secret,id={name},env={name} …, and docker build --secret id={name}");
                found.drift(
                    at,
                    format!("a RUN that uses ${name}, which the history or the image keeps"),
                    "RUN --mount=type=secret",
                    fix,
                );
            }
        }
    }
    if all == 0 {
        return Found::nothing("no RUN is seen to use credentials");
    }
    found.holds = "credentials come by secret and ssh mounts".into();
    found
}

/// The host that git fetches from over ssh.
fn clones_by_ssh(command: &Command) -> Option<(usize, String)> {
    let program = command.program().filter(|program| program.name == "git")?;
    let arg = program.args.iter().find(|arg| arg.text.starts_with("git@") || arg.text.starts_with("ssh://"))?;
    let host = arg.text.trim_start_matches("ssh://").split(['/', ':']).next().unwrap_or_default();
    Some((arg.at, host.rsplit('@').next().unwrap_or_default().to_owned()))
}

/// The declared variables that a command uses, and where.
fn used(command: &Command, declared: &BTreeSet<String>) -> Vec<(usize, String)> {
    let words = command.words.iter().chain(command.assignments.iter().map(|(_, value)| value));
    let words: Vec<&ShellWord> = words.filter(|word| !word.literal && !word.text.contains("$(")).collect();
    let mut used = Vec::new();
    for name in declared {
        let uses = |word: &&&ShellWord| names_in(&word.text).any(|other| other == name);
        used.extend(words.iter().find(uses).map(|word| (word.at, name.clone())));
    }
    used
}

/// The names after each `$` of a text.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        &rest[..length]
    })
}
