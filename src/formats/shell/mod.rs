//! Shell scripts, as far as it takes to see which programs they run with which arguments.
//!
//! Commands are split as sh does: at `;`, `&`, `|`, `&&`, `||`, line feeds, brackets and keywords; quotes and backslashes are read,
//! here-documents skipped, `$(…)` and `sh -c '…'` read as scripts of their own. Nothing is expanded: `$name` stays as it is written.
//! Where a quote or a bracket does not end, [`Script::opaque`] says so.

mod program;
mod tokens;

#[cfg(test)]
mod tests;

pub use program::{Program, SHELLS};
pub use tokens::ShellWord;
use tokens::{Token, Tokens};

/// Scripts within scripts are read this deep.
const DEEPEST: usize = 6;

/// The commands of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// In the order of the text; those within `$(…)` and `sh -c` after the one that they belong to.
    pub commands: Vec<Command>,
    /// Where reading had to end, and why.
    pub opaque: Option<(usize, &'static str)>,
    /// How many pipelines there are.
    pipelines: usize,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    /// The program and its arguments, as they are written but for quotes.
    pub words: Vec<ShellWord>,
    /// `NAME=value` before the program.
    pub assignments: Vec<(String, ShellWord)>,
    /// Files that its output goes to.
    pub writes: Vec<ShellWord>,
    /// Where it begins.
    pub at: usize,
    /// Which pipeline of the script it belongs to.
    pub pipeline: usize,
    /// Whether its input comes through a pipe.
    pub reads_pipe: bool,
    /// The command whose argument it makes, or that it is a script of.
    pub within: Option<usize>,
}

impl Script {
    /// A script of one command, as of the list form of RUN.
    pub fn of_words(words: Vec<ShellWord>) -> Script {
        let mut script = Script { pipelines: 1, ..Script::default() };
        let at = words.first().map_or(0, |word| word.at);
        script.end(Draft::of(Command { words, at, ..Command::default() }), &|at| at, 0);
        script
    }

    /// Reads a script; `origin` tells where in the file an offset of the text stands.
    pub fn parse(text: &str, origin: &dyn Fn(usize) -> usize) -> Script {
        let mut script = Script::default();
        script.read(text, origin, None, 0);
        script
    }

    fn read(&mut self, text: &str, origin: &dyn Fn(usize) -> usize, within: Option<usize>, depth: usize) {
        if depth > DEEPEST {
            self.opaque.get_or_insert((origin(0), "scripts within scripts too deep"));
            return;
        }
        let mut tokens = Tokens::new(text);
        let mut draft =
            Draft { command: Command { within, pipeline: self.next_pipeline(), ..Command::default() }, scripts: Vec::new() };
        while let Some(token) = tokens.next_token() {
            match token {
                Token::Word(word, scripts) => {
                    draft.scripts.extend(scripts);
                    let at = origin(word.at);
                    draft.command.take(ShellWord { at, ..word });
                }
                Token::Redirect { output, target, scripts } => {
                    draft.scripts.extend(scripts);
                    let at = origin(target.at);
                    draft.command.writes.extend(output.then_some(ShellWord { at, ..target }));
                }
                Token::Pipe => {
                    let next = Command { within, pipeline: draft.command.pipeline, reads_pipe: true, ..Command::default() };
                    self.end(std::mem::replace(&mut draft, Draft::of(next)), origin, depth);
                }
                Token::End => {
                    let next = Command { within, pipeline: self.next_pipeline(), ..Command::default() };
                    self.end(std::mem::replace(&mut draft, Draft::of(next)), origin, depth);
                }
            }
        }
        self.end(draft, origin, depth);
        if let Some((at, why)) = tokens.opaque {
            self.opaque.get_or_insert((origin(at), why));
        }
    }

    fn next_pipeline(&mut self) -> usize {
        self.pipelines += 1;
        self.pipelines - 1
    }

    /// Adds a command, and reads the scripts within it.
    fn end(&mut self, draft: Draft, origin: &dyn Fn(usize) -> usize, depth: usize) {
        let Draft { command, scripts } = draft;
        if command.words.is_empty() && command.assignments.is_empty() && command.writes.is_empty() {
            return;
        }
        let index = self.commands.len();
        let given = command.script_argument().map(|word| (word.text.clone(), word.at));
        self.commands.push(command);
        for (inner, at) in scripts {
            self.read(inner, &|offset| origin(at + offset), Some(index), depth + 1);
        }
        if let Some((text, at)) = given {
            // Quotes were taken away, so whatever is in it stands at the word.
            self.read(&text, &|_| at, Some(index), depth + 1);
        }
    }
}

/// A command that is not read to its end, and the scripts that make its words.
#[derive(Default)]
struct Draft<'t> {
    command: Command,
    scripts: Vec<(&'t str, usize)>,
}

impl Draft<'_> {
    fn of(command: Command) -> Self {
        Self { command, scripts: Vec::new() }
    }
}

impl Command {
    /// Takes a word as keyword, assignment, program or argument.
    fn take(&mut self, word: ShellWord) {
        if self.words.is_empty() {
            if self.assignments.is_empty() {
                if word.is_keyword() {
                    return;
                }
                self.at = word.at;
            }
            if let Some((name, value)) = word.assignment() {
                let value = ShellWord { text: value.to_owned(), ..word.clone() };
                return self.assignments.push((name.to_owned(), value));
            }
        }
        self.words.push(word);
    }
}
