//! Dockerfiles, read as BuildKit reads them: parser directives, continuation lines with comments between them, here-documents,
//! flags, JSON and shell forms.
//!
//! Reading goes on after a mistake, so that one file gives all its findings; what the builder would refuse is in
//! [`Dockerfile::problems`]. Each text keeps where in the file it came from.

mod expand;
mod heredoc;
mod ignore;
mod image_name;
mod lines;
mod stages;
mod words;

#[cfg(test)]
mod tests;

pub use expand::{Expanded, Scope, expand};
pub use ignore::{IgnoreFile, matches as ignore_matches};
pub use image_name::ImageName;
pub use lines::Joined;
pub use stages::{Base, Stage, stages};
pub(crate) use stages::{declare, lineage};
pub use words::{Pair, Word};

/// A Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// The character that continues lines and quotes the next character: `\` or, with a parser directive, `` ` ``.
    pub escape: char,
    /// `# name=value` before everything else.
    pub directives: Vec<Directive>,
    /// The instructions in their order; those that could not be told apart are left out and are problems.
    pub instructions: Vec<Instruction>,
    /// Comment lines, those between the lines of an instruction included.
    pub comments: Vec<Comment>,
    /// What the builder would refuse.
    pub problems: Vec<Problem>,
    lines: lines::Lines,
}

/// A parser directive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// `syntax`, `escape` or `check`.
    pub name: String,
    /// What stands after `=`.
    pub value: String,
    /// Where in the file it begins.
    pub at: usize,
}

/// A comment line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Its line, from 1.
    pub line: usize,
    /// What stands after `#`, without white space around it.
    pub text: String,
}

/// Something that the builder would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where in the file.
    pub at: usize,
    /// What it is, to be read after "is".
    pub what: String,
}

/// A place in the file; lines and columns count from 1, columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// The instructions of BuildKit's frontend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

impl Keyword {
    const ALL: [(&str, Keyword); 18] = [
        ("ADD", Keyword::Add),
        ("ARG", Keyword::Arg),
        ("CMD", Keyword::Cmd),
        ("COPY", Keyword::Copy),
        ("ENTRYPOINT", Keyword::Entrypoint),
        ("ENV", Keyword::Env),
        ("EXPOSE", Keyword::Expose),
        ("FROM", Keyword::From),
        ("HEALTHCHECK", Keyword::Healthcheck),
        ("LABEL", Keyword::Label),
        ("MAINTAINER", Keyword::Maintainer),
        ("ONBUILD", Keyword::Onbuild),
        ("RUN", Keyword::Run),
        ("SHELL", Keyword::Shell),
        ("STOPSIGNAL", Keyword::Stopsignal),
        ("USER", Keyword::User),
        ("VOLUME", Keyword::Volume),
        ("WORKDIR", Keyword::Workdir),
    ];

    /// The keyword that a word is, in any case.
    pub fn of(word: &str) -> Option<Keyword> {
        Self::ALL.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, keyword)| keyword)
    }

    /// As it is usually written.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, keyword)| *keyword == self).map_or("", |(name, _)| name)
    }

    /// The names of all keywords.
    pub fn names() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().map(|(name, _)| name)
    }

    /// Whether `<<` in its arguments begins a here-document.
    fn takes_heredocs(self) -> bool {
        matches!(self, Keyword::Add | Keyword::Copy | Keyword::Run)
    }

    /// Whether arguments that are a JSON list of texts are taken as one.
    fn takes_json(self) -> bool {
        use Keyword::{Add, Cmd, Copy, Entrypoint, Healthcheck, Run, Shell, Volume};
        matches!(self, Add | Cmd | Copy | Entrypoint | Healthcheck | Run | Shell | Volume)
    }
}

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// Which; of ONBUILD, the one that it puts off.
    pub keyword: Keyword,
    /// It is put off until another image is built on this one (ONBUILD).
    pub onbuild: bool,
    /// The whole instruction on one line, without comments and continuation characters.
    pub line: Joined,
    /// Where in `line` the arguments after the flags begin.
    pub args_at: usize,
    /// `--name=value` before the arguments.
    pub flags: Vec<Flag>,
    /// The arguments, where they are written as a JSON list.
    pub json: Option<Vec<Word>>,
    /// What follows the line in here-documents.
    pub heredocs: Vec<Heredoc>,
}

/// A flag of an instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Without the two hyphens.
    pub name: String,
    /// After `=`; a flag may have none.
    pub value: Option<String>,
    /// Where in the line it begins.
    pub at: usize,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it.
    pub name: String,
    /// Where in the instruction's line `<<` stands, with the digits before it.
    pub at: usize,
    /// Whether variables in it are replaced.
    pub expand: bool,
    /// Its lines, the last line feed included; with `<<-` without leading tabs.
    pub content: Joined,
}

impl Dockerfile {
    /// Reads a Dockerfile.
    pub fn parse(text: &str) -> Dockerfile {
        lines::parse(text)
    }

    /// Line and column of an offset of the file.
    pub fn position(&self, text: &str, at: usize) -> Position {
        self.lines.position(text, at)
    }

    /// The offset at which a line begins; lines count from 1.
    pub fn offset(&self, line: usize) -> usize {
        self.lines.offset(line)
    }
}

impl Instruction {
    /// The arguments after the flags.
    pub fn args(&self) -> &str {
        self.line.text.get(self.args_at..).unwrap_or_default()
    }

    /// Where in the file the instruction begins.
    pub fn at(&self) -> usize {
        self.line.origin(0)
    }

    /// The arguments, split at white space; quotes and escapes are taken away.
    pub fn words(&self, escape: char) -> Vec<Word> {
        match &self.json {
            Some(words) => words.clone(),
            None => words::split(self.args(), self.args_at, escape),
        }
    }

    /// `name=value` of ENV, LABEL and ARG; ARG without a value has none.
    pub fn pairs(&self, escape: char) -> Vec<Pair> {
        words::pairs(self.keyword, self.args(), self.args_at, escape)
    }

    /// The flag of this name.
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().find(|flag| flag.name == name)
    }
}
