//! Which program a command really runs, past `sudo`, `env` and the like.

use super::{Command, ShellWord};

/// Shells that read a script after `-c`.
pub const SHELLS: [&str; 7] = ["sh", "bash", "ash", "dash", "zsh", "ksh", "busybox"];

/// Programs that run another one, and their options that take a value.
const WRAPPERS: [(&str, &[&str]); 12] = [
    ("sudo", &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-r", "-t", "-U"]),
    ("doas", &["-u", "-C"]),
    ("env", &["-u", "-C", "-S"]),
    ("exec", &["-a"]),
    ("command", &[]),
    ("builtin", &[]),
    ("nohup", &[]),
    ("time", &["-f", "-o"]),
    ("nice", &["-n"]),
    ("ionice", &["-c", "-n", "-p"]),
    ("xargs", &["-I", "-n", "-P", "-d", "-a", "-L", "-s", "-E"]),
    ("timeout", &["-s", "-k"]),
];

/// A program and its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Program<'c> {
    /// Its name without directories.
    pub name: &'c str,
    /// Where it stands.
    pub at: usize,
    /// Its arguments.
    pub args: &'c [ShellWord],
}

impl Program<'_> {
    /// Whether one of the arguments is this text.
    pub fn has(&self, text: &str) -> bool {
        self.args.iter().any(|arg| arg.text == text)
    }

    /// The arguments that are no options.
    pub fn operands(&self) -> impl Iterator<Item = &ShellWord> {
        self.args.iter().filter(|arg| !arg.text.starts_with('-'))
    }
}

impl Command {
    /// The programs of the command, each running the next: `sudo`, then `apt-get`.
    pub fn programs(&self) -> Vec<Program<'_>> {
        let mut programs = Vec::new();
        let mut words = self.words.as_slice();
        while let Some((first, args)) = words.split_first() {
            let name = first.text.rsplit('/').next().unwrap_or_default();
            programs.push(Program { name, at: first.at, args });
            let Some((_, valued)) = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name) else { break };
            words = wrapped(name, args, valued);
        }
        programs
    }

    /// The program that does the work.
    pub fn program(&self) -> Option<Program<'_>> {
        self.programs().pop()
    }

    /// The script that a shell is given with `-c`, or `eval` as its argument.
    pub(super) fn script_argument(&self) -> Option<&ShellWord> {
        let program = self.program()?;
        match program.name {
            "eval" => program.args.first(),
            name if SHELLS.contains(&name) || name == "su" || name == "runuser" => {
                let is_c = |arg: &ShellWord| {
                    arg.text == "--command"
                        || (arg.text.starts_with('-') && !arg.text.starts_with("--") && arg.text.ends_with('c'))
                };
                let index = program.args.iter().position(is_c)?;
                program.args.get(index + 1)
            }
            _ => None,
        }
    }
}

/// What a wrapper runs: what follows its options, their values and assignments.
fn wrapped<'w>(name: &str, mut args: &'w [ShellWord], valued: &[&str]) -> &'w [ShellWord] {
    while let Some((first, rest)) = args.split_first() {
        let option = first.text.starts_with('-') && first.text.len() > 1;
        let assignment = matches!(name, "sudo" | "env" | "doas") && first.assignment().is_some();
        if !option && !assignment {
            break;
        }
        let takes = option && valued.contains(&first.text.as_str());
        args = rest.get(usize::from(takes)..).unwrap_or_default();
        if first.text == "--" {
            break;
        }
    }
    // What `timeout` runs comes after how long.
    if name == "timeout" { args.get(1..).unwrap_or_default() } else { args }
}
