//! Mistakes that the builder refuses, or lets pass and does not do what the file seems to say.

use std::collections::{BTreeMap, BTreeSet};

use super::waiver;
use super::{Build, Found};
use crate::baseline::control::{Given, ImageWant, LintLevel};
use crate::formats::dockerfile::{Base, Instruction, Keyword, Stage};

/// Collects what is bad enough.
struct Lint<'f> {
    found: &'f mut Found,
    least: LintLevel,
}

impl Lint<'_> {
    fn add(&mut self, level: LintLevel, at: usize, observed: impl Into<String>, desired: &str, fix: impl Into<String>) {
        if level >= self.least {
            let name = match level {
                LintLevel::Info => "info",
                LintLevel::Warning => "warning",
                LintLevel::Error => "error",
            };
            self.found.drift(at, format!("{} ({name})", observed.into()), desired, fix);
        }
    }
}

/// image-dockerfile-lint.
pub(super) fn lint(want: &ImageWant, build: &Build) -> Found {
    let least = want.lint_level.as_ref().and_then(Given::value).copied().unwrap_or(LintLevel::Warning);
    let mut found = Found::holding(format!("{} instructions", build.file.instructions.len()));
    let lint = &mut Lint { found: &mut found, least };
    for problem in &build.file.problems {
        lint.add(LintLevel::Error, problem.at, &problem.what, "what the builder takes", "correct the line");
    }
    for (line, what) in waiver::mistakes(build) {
        let at = build.file.offset(line);
        let fix = "write # harden: ignore=CONTROL reason=WHY; harden explain CONTROL shows that it is one";
        lint.add(LintLevel::Warning, at, what, "a waiver that counts", fix);
    }
    beginning(build, lint);
    names(build, lint);
    for stage in &build.stages {
        only_the_last(build, stage, lint);
    }
    for instruction in &build.file.instructions {
        single(build, instruction, lint);
    }
    found
}

/// FROM comes first, but for ARG.
fn beginning(build: &Build, lint: &mut Lint) {
    let first = build.stages.first().map_or(build.file.instructions.len(), |stage| stage.from);
    let before = build.file.instructions.iter().take(first).find(|instruction| instruction.keyword != Keyword::Arg);
    if let Some(instruction) = before {
        let observed = format!("{} before the first FROM", instruction.keyword.name());
        lint.add(LintLevel::Error, instruction.at(), observed, "after it", "move it below FROM");
    } else if build.stages.is_empty() && build.file.problems.is_empty() {
        lint.add(LintLevel::Error, 0, "a file without FROM", "a Dockerfile", "begin it with FROM IMAGE");
    }
}

/// Names of stages and what refers to them.
fn names(build: &Build, lint: &mut Lint) {
    let mut seen = BTreeMap::new();
    for (index, stage) in build.stages.iter().enumerate() {
        let Some(from) = build.file.instructions.get(stage.from) else { continue };
        if stage.base == Base::Nonsense {
            lint.add(
                LintLevel::Error,
                from.at(),
                "FROM what is no name of an image",
                "an image or a stage",
                "correct the name",
            );
        }
        if let Some(name) = &stage.name
            && seen.insert(name.clone(), index).is_some()
        {
            lint.add(
                LintLevel::Warning,
                from.at(),
                format!("a second stage {name}"),
                "a name of its own",
                "rename one of the two",
            );
        }
        for copy in build.file.instructions.get(stage.from..stage.end).unwrap_or_default() {
            let copies = copy.keyword == Keyword::Copy;
            let Some(flag) = copy.flag("from").filter(|_| copies) else { continue };
            let value = flag.value.clone().unwrap_or_default().to_ascii_lowercase();
            let later = value.parse::<usize>().is_ok_and(|number| number >= index)
                || build.stages.iter().skip(index).any(|other| other.name.as_deref() == Some(value.as_str()))
                    && !build.stages.iter().take(index).any(|other| other.name.as_deref() == Some(value.as_str()));
            if later {
                let observed = format!("COPY --from={value}, which is not an earlier stage");
                lint.add(LintLevel::Error, copy.at(), observed, "an earlier stage", "put that stage before this one");
            }
        }
    }
}

/// Of these the last one of a stage counts.
fn only_the_last(build: &Build, stage: &Stage, lint: &mut Lint) {
    for keyword in [Keyword::Cmd, Keyword::Entrypoint, Keyword::Healthcheck] {
        let instructions = build.file.instructions.get(stage.from..stage.end).unwrap_or_default();
        let mut all: Vec<&Instruction> =
            instructions.iter().filter(|instruction| instruction.keyword == keyword && !instruction.onbuild).collect();
        let last = all.pop();
        for instruction in all {
            let observed =
                format!("{} that the one in line {} overrides", keyword.name(), build.line(last.map_or(0, Instruction::at)));
            lint.add(LintLevel::Warning, instruction.at(), observed, "one in a stage", "leave one of them out");
        }
    }
}

/// What can be told of an instruction by itself.
fn single(build: &Build, instruction: &Instruction, lint: &mut Lint) {
    let at = instruction.at();
    let args = instruction.args().trim();
    let words = instruction.words(build.file.escape);
    let first = words.first().map_or("", |word| word.text.as_str());
    match instruction.keyword {
        Keyword::Maintainer => {
            let fix = "write LABEL org.opencontainers.image.authors=…";
            lint.add(LintLevel::Info, at, "MAINTAINER, which is deprecated", "a LABEL", fix);
        }
        Keyword::Workdir if !first.is_empty() && !first.starts_with(['/', '$', '\\']) && first.get(1..2) != Some(":") => {
            lint.add(
                LintLevel::Warning,
                at,
                format!("WORKDIR {first}, relative to one that may change"),
                "an absolute path",
                "begin it with /",
            );
        }
        Keyword::Cmd | Keyword::Entrypoint | Keyword::Run | Keyword::Shell
            if instruction.json.is_none() && args.starts_with('[') && !is_test(args) =>
        {
            let observed = format!("{} that looks like a list and is none", instruction.keyword.name());
            lint.add(LintLevel::Warning, at, observed, "a list", "write it as JSON, with double quotes");
        }
        Keyword::Shell if instruction.json.is_none() => {
            lint.add(LintLevel::Error, at, "SHELL in shell form", "a list", "write SHELL [\"/bin/bash\", \"-c\"]");
        }
        Keyword::Copy | Keyword::Add => {
            let (count, to) =
                (words.len() + instruction.heredocs.len().min(1), words.last().map_or("", |word| word.text.as_str()));
            if count < 2 {
                let observed = format!("{} without a destination", instruction.keyword.name());
                lint.add(LintLevel::Error, at, observed, "sources and a destination", "write where it goes");
            } else if words.len() > 2 && !to.ends_with('/') && ![".", ".."].contains(&to) && !to.contains('$') {
                let observed = format!("{} of several files to {to}", instruction.keyword.name());
                lint.add(LintLevel::Error, at, observed, "a directory that ends in /", format!("write {to}/"));
            }
        }
        Keyword::From if !matches!(words.len(), 1 | 3) && !args.is_empty() => {
            lint.add(LintLevel::Error, at, "FROM with words it does not take", "FROM IMAGE [AS NAME]", "correct the line");
        }
        Keyword::Env | Keyword::Label => {
            let names: BTreeSet<String> = instruction.pairs(build.file.escape).into_iter().map(|pair| pair.name).collect();
            if !args.split_whitespace().next().unwrap_or_default().contains('=') && !names.is_empty() && words.len() >= 2 {
                let observed = format!("{} without =, which is deprecated", instruction.keyword.name());
                lint.add(LintLevel::Info, at, observed, "NAME=VALUE", "write = between name and value");
            }
        }
        Keyword::Run => lost(build, instruction, lint),
        _ => {}
    }
}

/// `[ -f x ] && …` and `[[ … ]]` are tests of the shell.
fn is_test(args: &str) -> bool {
    args.starts_with("[[") || args.starts_with("[ ") && !args.contains('"') && !args.contains('\'') || args.contains(" ]")
}

/// A RUN that only sets what is lost at its end.
fn lost(build: &Build, instruction: &Instruction, lint: &mut Lint) {
    let index = build.runs.binary_search_by_key(&instruction.at(), |run| build.instruction(run).map_or(0, Instruction::at));
    let Some(run) = index.ok().and_then(|index| build.runs.get(index)) else { return };
    let mut commands = run.commands();
    let (Some(only), None) = (commands.next(), commands.next()) else { return };
    let fix = match only.program().map(|program| program.name) {
        Some("cd") => "write WORKDIR",
        Some("export") => "write ENV",
        _ => return,
    };
    let observed = format!("RUN {}, which the next RUN knows nothing of", only.program().map_or("", |program| program.name));
    lint.add(LintLevel::Warning, instruction.at(), observed, "what lasts", fix);
}
