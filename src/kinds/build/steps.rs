//! A Dockerfile as its rules see it.

use crate::fact::DockerfileFact;
use crate::formats::dockerfile::{Base, Dockerfile, Instruction, Keyword, Scope, Stage, expand, stages};
use crate::formats::shell::{Script, ShellWord};

/// Shells whose scripts harden reads.
const POSIX_SHELLS: [&str; 6] = ["sh", "bash", "ash", "dash", "zsh", "ksh"];

/// A Dockerfile, read once for all rules.
pub struct Build<'f> {
    /// The file and its context.
    pub fact: &'f DockerfileFact,
    /// What the file says.
    pub file: Dockerfile,
    /// Its stages.
    pub stages: Vec<Stage>,
    /// The stages that the image is made of, by index; the last one is that of the image.
    pub lineage: Vec<usize>,
    /// Every RUN.
    pub runs: Vec<Run>,
}

/// A RUN instruction.
pub struct Run {
    /// Its index among the instructions.
    pub index: usize,
    /// Whether what it makes is in the image, rather than in a stage that only serves the build.
    pub in_image: bool,
    /// The scripts of its line and its here-documents.
    pub scripts: Vec<Script>,
    /// Where a part of it could not be read, and why.
    pub opaque: Option<(usize, String)>,
    /// What it mounts: type and target.
    pub mounts: Vec<Mount>,
}

/// `RUN --mount=…`
pub struct Mount {
    /// `bind`, `cache`, `tmpfs`, `secret`, `ssh`.
    pub kind: String,
    /// Where it is mounted; empty where that is not said.
    pub target: String,
}

impl<'f> Build<'f> {
    /// Reads a Dockerfile.
    pub fn of(fact: &'f DockerfileFact) -> Self {
        let file = Dockerfile::parse(&fact.text);
        let stages = stages(&file);
        let lineage = crate::formats::dockerfile::lineage(&stages);
        let mut build = Self { fact, file, stages, lineage, runs: Vec::new() };
        build.runs = build.read_runs();
        build
    }

    /// `path:line:column` of an offset of the file.
    pub fn place(&self, at: usize) -> String {
        let position = self.file.position(&self.fact.text, at);
        format!("{}:{}:{}", self.fact.path, position.line, position.column)
    }

    /// The line of an offset of the file.
    pub fn line(&self, at: usize) -> usize {
        self.file.position(&self.fact.text, at).line
    }

    /// Where the last stage begins: the place of whatever the image lacks.
    pub fn last_from(&self) -> usize {
        let from = self.stages.last().and_then(|stage| self.file.instructions.get(stage.from));
        from.map_or(0, Instruction::at)
    }

    /// The instructions that make the image, of all stages that it is made of, in their order. ONBUILD makes another image.
    pub fn of_image(&self) -> impl Iterator<Item = &Instruction> {
        let stages = self.lineage.iter().filter_map(|index| self.stages.get(*index));
        let instructions = stages.flat_map(|stage| self.file.instructions.get(stage.from..stage.end).unwrap_or_default());
        instructions.filter(|instruction| !instruction.onbuild)
    }

    /// The base of the image: what its first stage is built on.
    pub fn base(&self) -> Option<(&Base, &Instruction)> {
        let stage = self.stages.get(*self.lineage.first()?)?;
        Some((&stage.base, self.file.instructions.get(stage.from)?))
    }

    /// The instruction of a RUN.
    pub fn instruction(&self, run: &Run) -> Option<&Instruction> {
        self.file.instructions.get(run.index)
    }

    /// The instructions that make the image, each with the variables that hold there: ENV of all its stages, ARG of its own.
    pub fn with_scope(&self, mut each: impl FnMut(&Instruction, &Scope)) {
        let mut global = Scope::new();
        let first = self.stages.first().map_or(0, |stage| stage.from);
        for instruction in self.file.instructions.iter().take(first).filter(|other| other.keyword == Keyword::Arg) {
            crate::formats::dockerfile::declare(&mut global, instruction.pairs(self.file.escape));
        }
        let mut environment = Scope::new();
        for stage in self.lineage.iter().filter_map(|index| self.stages.get(*index)) {
            let mut scope = environment.clone();
            for instruction in self.file.instructions.get(stage.from..stage.end).unwrap_or_default() {
                if instruction.onbuild {
                    continue;
                }
                each(instruction, &scope);
                for pair in self.declared(instruction) {
                    let value = match &pair.1 {
                        Some(value) => {
                            Some(expand(value, &scope)).filter(|value| value.unknown.is_empty()).map(|value| value.text)
                        }
                        None => global.get(&pair.0).cloned().flatten(),
                    };
                    if instruction.keyword == Keyword::Env {
                        environment.insert(pair.0.clone(), value.clone());
                        scope.insert(pair.0, value);
                    } else if !environment.contains_key(&pair.0) {
                        // ENV goes before ARG of the same name.
                        scope.insert(pair.0, value);
                    }
                }
            }
        }
    }

    fn declared(&self, instruction: &Instruction) -> Vec<(String, Option<String>)> {
        match instruction.keyword {
            Keyword::Env | Keyword::Arg => {
                instruction.pairs(self.file.escape).into_iter().map(|pair| (pair.name, pair.value)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn read_runs(&self) -> Vec<Run> {
        let mut in_image = vec![false; self.file.instructions.len()];
        for stage in self.lineage.iter().filter_map(|index| self.stages.get(*index)) {
            in_image.get_mut(stage.from..stage.end).unwrap_or_default().fill(true);
        }
        let mut runs = Vec::new();
        let mut shell: Option<String> = None;
        for (index, instruction) in self.file.instructions.iter().enumerate() {
            match instruction.keyword {
                // A stage on another one keeps its shell; a file with several shells is rare enough to be read as if it did not.
                Keyword::From => shell = None,
                Keyword::Shell => {
                    shell = instruction.json.as_ref().and_then(|words| words.first()).map(|word| word.text.clone())
                }
                Keyword::Run => runs.push(self.read_run(index, instruction, shell.as_deref(), in_image[index])),
                _ => {}
            }
        }
        runs
    }

    fn read_run(&self, index: usize, instruction: &Instruction, shell: Option<&str>, in_image: bool) -> Run {
        let mounts = instruction.flags.iter().filter(|flag| flag.name == "mount").filter_map(|flag| flag.value.as_deref());
        let mounts = mounts.map(mount).collect();
        let mut run = Run { index, in_image: in_image && !instruction.onbuild, scripts: Vec::new(), opaque: None, mounts };
        if let Some(words) = &instruction.json {
            let word = |word: &crate::formats::dockerfile::Word| ShellWord {
                text: word.text.clone(),
                at: instruction.line.origin(word.at),
                literal: true,
                quoted: true,
            };
            run.scripts.push(Script::of_words(words.iter().map(word).collect()));
        } else if let Some(shell) = shell.map(program_name).filter(|shell| !POSIX_SHELLS.contains(&shell.as_str())) {
            run.opaque =
                Some((instruction.at(), format!("harden does not read the language of {shell}, the SHELL of this stage")));
        } else {
            let args = instruction.args();
            let at = instruction.args_at;
            run.scripts.push(Script::parse(args, &|offset| instruction.line.origin(at + offset)));
            self.read_heredocs(&mut run, instruction);
        }
        let opaque = run.scripts.iter().find_map(|script| script.opaque);
        run.opaque = run.opaque.or(opaque.map(|(at, why)| (at, format!("the command has {why}"))));
        run
    }

    /// A here-document is a script where it stands alone, or is what a shell reads.
    fn read_heredocs(&self, run: &mut Run, instruction: &Instruction) {
        let program = run.scripts.first().and_then(|script| script.commands.first()).and_then(|command| command.program());
        let read_by_shell = match program {
            None => true,
            Some(program) => POSIX_SHELLS.contains(&program.name) && program.operands().next().is_none(),
        };
        for heredoc in instruction.heredocs.iter().filter(|_| read_by_shell) {
            let content = &heredoc.content;
            match content.text.lines().next().and_then(|line| line.strip_prefix("#!")) {
                Some(interpreter) if !is_shell(interpreter) => {
                    let name = program_name(interpreter.split_whitespace().next_back().unwrap_or_default());
                    let why = format!("harden does not read the language of {name}, which this here-document is for");
                    run.opaque.get_or_insert((content.origin(0), why));
                }
                _ => run.scripts.push(Script::parse(&content.text, &|offset| content.origin(offset))),
            }
        }
    }
}

/// Whether the interpreter after `#!` is a shell, `/usr/bin/env bash` included.
fn is_shell(interpreter: &str) -> bool {
    interpreter.split_whitespace().take(2).any(|word| POSIX_SHELLS.contains(&program_name(word).as_str()))
}

fn program_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or_default().to_ascii_lowercase().trim_end_matches(".exe").to_owned()
}

fn mount(value: &str) -> Mount {
    let mut mount = Mount { kind: "bind".into(), target: String::new() };
    for (name, value) in value.split(',').filter_map(|option| option.split_once('=')) {
        match name.trim() {
            "type" => mount.kind = value.to_owned(),
            "target" | "dst" | "destination" => mount.target = value.to_owned(),
            _ => {}
        }
    }
    mount
}

impl Run {
    /// Every command of the RUN.
    pub fn commands(&self) -> impl Iterator<Item = &crate::formats::shell::Command> {
        self.scripts.iter().flat_map(|script| &script.commands)
    }

    /// Whether it mounts something of this kind.
    pub fn mounts(&self, kind: &str) -> bool {
        self.mounts.iter().any(|mount| mount.kind == kind)
    }

    /// Whether a cache, or memory, is mounted at a path with this in it.
    pub fn keeps_out(&self, path: &str) -> bool {
        self.mounts.iter().any(|mount| ["cache", "tmpfs"].contains(&mount.kind.as_str()) && mount.target.contains(path))
    }
}
