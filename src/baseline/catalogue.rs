//! The catalogue: every control that harden knows, and the variables they refer to, compiled into the binary.

use std::path::Path;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer;
use toml_edit::{Item, Table};

use super::control::Control;
use super::nearest::did_you_mean;
use super::row;
use super::source::Source;
use super::variable::Variable;
use crate::error::{Error, Result};

/// Every file of `baselines/catalogue/`, and its path as errors name it.
const FILES: [(&str, &str); 9] = [
    ("baselines/catalogue/variables.toml", include_str!("../../baselines/catalogue/variables.toml")),
    ("baselines/catalogue/daemon.toml", include_str!("../../baselines/catalogue/daemon.toml")),
    ("baselines/catalogue/audit.toml", include_str!("../../baselines/catalogue/audit.toml")),
    ("baselines/catalogue/file.toml", include_str!("../../baselines/catalogue/file.toml")),
    ("baselines/catalogue/socket.toml", include_str!("../../baselines/catalogue/socket.toml")),
    ("baselines/catalogue/host.toml", include_str!("../../baselines/catalogue/host.toml")),
    ("baselines/catalogue/container.toml", include_str!("../../baselines/catalogue/container.toml")),
    ("baselines/catalogue/image.toml", include_str!("../../baselines/catalogue/image.toml")),
    ("baselines/catalogue/swarm.toml", include_str!("../../baselines/catalogue/swarm.toml")),
];

/// The built-in baselines, by name, parents first.
pub(super) const BASELINES: [(&str, &str); 5] = [
    ("essential", include_str!("../../baselines/essential.toml")),
    ("cis-l1", include_str!("../../baselines/cis-l1.toml")),
    ("cis-l2", include_str!("../../baselines/cis-l2.toml")),
    ("guide", include_str!("../../baselines/guide.toml")),
    ("image-build", include_str!("../../baselines/image-build.toml")),
];

/// Every control and every variable, in the order of their files.
#[derive(Debug, Clone)]
pub struct Catalogue {
    /// The controls as their rows say, with `${variables}` not yet filled in.
    pub controls: Vec<Control>,
    /// The variables that rows may refer to and baselines may set.
    pub variables: Vec<Variable>,
}

impl Catalogue {
    /// The catalogue that this binary was built with, parsed on first use.
    pub fn builtin() -> &'static Catalogue {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            // Compiled in, and a test parses the same texts: this cannot fail in a binary that was tested.
            Self::parse(FILES).unwrap_or_else(|error| unreachable!("the catalogue is broken: {error}"))
        })
    }

    /// Parses catalogue files, given as path and text. All mistakes of all rows are reported at once.
    pub fn parse<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Result<Catalogue> {
        let mut reader = Reader::default();
        for (path, text) in files {
            reader.file(Source { path: Path::new(path).to_owned(), text: text.into() });
        }
        reader.check_references();
        match Error::all(reader.mistakes) {
            Some(error) => Err(error),
            None => Ok(Catalogue {
                controls: reader.controls.into_iter().map(|row| row.value).collect(),
                variables: reader.variables.into_iter().map(|row| row.value).collect(),
            }),
        }
    }

    /// The control of this name.
    pub fn control(&self, id: &str) -> Option<&Control> {
        self.controls.iter().find(|control| control.id == id)
    }

    /// The variable of this name.
    pub fn variable(&self, name: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.name == name)
    }

    /// The names of all controls.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.controls.iter().map(|control| control.id.as_str())
    }

    /// The names of all variables.
    pub fn variable_names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|variable| variable.name.as_str())
    }
}

/// What a row of a catalogue file became, and where to point for what is wrong with it as a whole.
struct Row<T> {
    value: T,
    source: usize,
    start: usize,
}

/// Collects rows and mistakes file by file.
#[derive(Default)]
struct Reader {
    sources: Vec<Source>,
    controls: Vec<Row<Control>>,
    variables: Vec<Row<Variable>>,
    mistakes: Vec<Error>,
}

impl Reader {
    fn file(&mut self, source: Source) {
        let index = self.sources.len();
        self.sources.push(source.clone());
        let document = match source.parse() {
            Ok(document) => document,
            Err(error) => return self.mistakes.push(error),
        };
        for (name, item) in document.iter() {
            let known = ["control", "variable"];
            let rows = item.as_array_of_tables().filter(|_| known.contains(&name));
            let Some(rows) = rows else {
                let span = document.key(name).and_then(|key| key.span()).or_else(|| item.span()).unwrap_or_default();
                let what =
                    format!("`{name}` does not belong into a catalogue file, which is made of [[control]] and [[variable]]");
                self.mistakes.push(source.mistake(span, what));
                continue;
            };
            for table in rows {
                self.row(index, name, table);
            }
        }
    }

    fn row(&mut self, source: usize, name: &str, table: &Table) {
        let start = table.get("id").or_else(|| table.get("name")).and_then(Item::span).or_else(|| table.span());
        let start = start.unwrap_or_default().start;
        if name == "variable" {
            if let Some(value) = self.typed::<Variable>(source, table) {
                self.variable(Row { value, source, start });
            }
        } else if let Some(value) = self.typed::<Control>(source, table) {
            self.control(Row { value, source, start });
        }
    }

    /// One row as its type; serde stops at the first mistake of a row.
    fn typed<T: DeserializeOwned>(&mut self, source: usize, table: &Table) -> Option<T> {
        let source = &self.sources[source];
        let value = Item::Table(table.clone()).into_value().ok()?;
        match T::deserialize(value.into_deserializer()) {
            Ok(row) => Some(row),
            Err(error) => {
                let span = error.span().or_else(|| table.span()).unwrap_or_default();
                let (what, help) = reworded(error.message());
                let mistake = source.mistake(span, what);
                self.mistakes.push(match help {
                    Some(help) => mistake.help(help),
                    None => mistake,
                });
                None
            }
        }
    }

    fn variable(&mut self, row: Row<Variable>) {
        let variable = &row.value;
        if self.variables.iter().any(|other| other.value.name == variable.name) {
            self.wrong(row.source, row.start, format!("the variable `{}` is declared twice", variable.name));
        }
        if let Some(Err(expected)) = variable.default.as_ref().map(|default| variable.accept(default)) {
            self.wrong(row.source, row.start, format!("the default of `{}` is not {expected}", variable.name));
        }
        self.variables.push(row);
    }

    fn control(&mut self, row: Row<Control>) {
        if self.controls.iter().any(|other| other.value.id == row.value.id) {
            self.wrong(row.source, row.start, format!("there are two controls `{}`", row.value.id));
        }
        for what in row::mistakes(&row.value) {
            self.wrong(row.source, row.start, what);
        }
        self.controls.push(row);
    }

    /// Every `${name}` of a row must be declared. After all files, because the order of files does not matter.
    fn check_references(&mut self) {
        let names: Vec<&str> = self.variables.iter().map(|row| row.value.name.as_str()).collect();
        let mut mistakes = Vec::new();
        for row in &self.controls {
            for reference in row::references(&row.value) {
                if !names.contains(&reference.as_str()) {
                    let what = format!("`{}` refers to the variable `{reference}`, which is not declared", row.value.id);
                    let mistake = self.sources[row.source].mistake(row.start..row.start, what);
                    mistakes.push(mistake.help(did_you_mean(&reference, names.iter().copied())));
                }
            }
        }
        self.mistakes.extend(mistakes);
    }

    fn wrong(&mut self, source: usize, start: usize, what: String) {
        self.mistakes.push(self.sources[source].mistake(start..start, what));
    }
}

/// serde's message, with its list of expected names turned into a suggestion.
fn reworded(message: &str) -> (String, Option<String>) {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match (message.split_once(", expected "), quoted.as_slice()) {
        (Some((what, _)), [word, candidates @ ..]) if what.starts_with("unknown ") && !candidates.is_empty() => {
            (what.into(), Some(did_you_mean(word, candidates.iter().copied())))
        }
        _ => (message.replace('\n', ", "), None),
    }
}
