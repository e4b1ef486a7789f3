//! One baseline file, read and checked by itself. Every mistake of the file is found in one pass and reported with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use toml_edit::{Item, TableLike, Value};

use super::Waiver;
use super::catalogue::{BASELINES, Catalogue};
use super::control::Mode;
use super::matching;
use super::nearest::did_you_mean;
use super::params::{self, Params};
use super::row::{account_mistake, perms_mistake};
use super::source::Source;
use super::variable::{Kind, Values, fill_from_env};
use crate::error::{Error, Result};

/// The version of the file format that this code reads.
const SCHEMA: i64 = 1;

/// What one baseline file says, before its parent is known.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub name: String,
    pub title: Option<String>,
    pub about: Option<String>,
    pub extends: Option<(String, Range<usize>)>,
    pub vars: Values,
    pub enable: Vec<String>,
    pub disable: Vec<String>,
    pub params: BTreeMap<String, Params>,
    pub waivers: Vec<Waiver>,
}

/// How a process looks up its environment.
pub(super) type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

impl Layer {
    /// Reads a baseline file; all its mistakes come back as one error.
    pub fn parse(source: &Source, catalogue: &Catalogue, env: Env) -> Result<Layer> {
        let document = source.parse()?;
        let mut reader = Reader { source, catalogue, env, layer: Layer::default(), mistakes: Vec::new() };
        reader.document(document.as_table());
        reader.mistakes.sort_by_key(|mistake| mistake.place.as_ref().and_then(|place| place.position));
        match Error::all(reader.mistakes) {
            Some(error) => Err(error),
            None => Ok(reader.layer),
        }
    }
}

struct Reader<'a> {
    source: &'a Source,
    catalogue: &'a Catalogue,
    env: Env<'a>,
    layer: Layer,
    mistakes: Vec<Error>,
}

impl Reader<'_> {
    fn document(&mut self, document: &dyn TableLike) {
        let fields = ["schema", "name", "title", "about", "extends", "vars", "controls", "params", "waive"];
        self.only(document, "a baseline", "field", &fields);
        self.schema(document);
        if let Some((name, span)) = self.required_text(document, 0..0, "a baseline", "name") {
            let is_builtin = BASELINES.iter().any(|(builtin, text)| *builtin == name && *text != self.source.text);
            if is_builtin {
                self.wrong(span, format!("`{name}` is a built-in baseline"), "choose another name");
            }
            self.layer.name = name;
        }
        self.layer.title = self.text(document, "title").map(|(text, _)| text);
        self.layer.about = self.text(document, "about").map(|(text, _)| text);
        self.layer.extends = self.text(document, "extends");
        if let Some(vars) = self.table(document, "vars") {
            self.vars(vars, "");
        }
        if let Some(controls) = self.table(document, "controls") {
            self.controls(controls);
        }
        if let Some(params) = self.table(document, "params") {
            self.params(params);
        }
        self.waivers(document);
    }

    fn schema(&mut self, document: &dyn TableLike) {
        let Some(item) = document.get("schema") else {
            return self.wrong(0..0, "`schema` is missing".into(), format!("begin the file with schema = {SCHEMA}"));
        };
        if item.as_integer() != Some(SCHEMA) {
            let what = format!("this harden reads baselines of schema {SCHEMA}");
            self.wrong(
                span(item),
                what,
                format!("write schema = {SCHEMA}, or use the release of harden that the file was written for"),
            );
        }
    }

    /// Variables are declared with dotted names, and written as tables.
    fn vars(&mut self, table: &dyn TableLike, prefix: &str) {
        for (key, item) in table.iter() {
            let name = format!("{prefix}{key}");
            let inner = format!("{name}.");
            if let Some(variable) = self.catalogue.variable(&name) {
                let mut value = json(item);
                let filled = fill_from_env(&mut value, self.env);
                if let Err(what) = filled {
                    self.wrong(span(item), what, format!("variable `{name}`: {}", variable.about));
                } else if let Err(expected) = variable.accept(&value) {
                    let quotes = variable.kind == Kind::String && (item.is_integer() || item.is_float() || item.is_bool());
                    let help = if quotes { format!("write {key} = \"{value}\"") } else { variable.about.clone() };
                    self.wrong(span(item), format!("the variable `{name}` must be {expected}"), help);
                } else {
                    if name == matching::MATCH {
                        for (what, help) in matching::mistakes(&value, self.catalogue) {
                            self.wrong(span(item), what, help);
                        }
                    }
                    self.layer.vars.insert(name, value);
                }
            } else if self.catalogue.variable_names().any(|other| other.starts_with(&inner)) {
                match item.as_table_like() {
                    Some(table) => self.vars(table, &inner),
                    None => self.wrong(span(item), format!("`{name}` is a table of variables"), format!("write [vars.{name}]")),
                }
            } else {
                let help = did_you_mean(&name, self.catalogue.variable_names());
                self.wrong(key_span(table, key), format!("there is no variable `{name}`"), help);
            }
        }
    }

    fn controls(&mut self, table: &dyn TableLike) {
        self.only(table, "[controls]", "field", &["enable", "disable"]);
        let enable = self.ids(table, "enable");
        let disable = self.ids(table, "disable");
        for (id, span) in &disable {
            if enable.iter().any(|(other, _)| other == id) {
                self.wrong(span.clone(), format!("`{id}` is enabled and disabled in the same file"), "take one of the two out");
            }
        }
        self.layer.enable = enable.into_iter().map(|(id, _)| id).collect();
        self.layer.disable = disable.into_iter().map(|(id, _)| id).collect();
    }

    /// A list of control ids, each one once.
    fn ids(&mut self, table: &dyn TableLike, field: &str) -> Vec<(String, Range<usize>)> {
        let Some(item) = table.get(field) else { return Vec::new() };
        let Some(list) = item.as_array() else {
            self.wrong(span(item), format!("`{field}` must be a list of controls"), format!("write {field} = [\"…\"]"));
            return Vec::new();
        };
        let mut seen = BTreeSet::new();
        let mut ids = Vec::new();
        for value in list {
            let span = value.span().unwrap_or_default();
            match value.as_str() {
                None => self.wrong(span, format!("`{field}` must be a list of controls"), "put the name in quotes"),
                Some(id) if self.catalogue.control(id).is_none() => self.no_control(id, span),
                Some(id) if !seen.insert(id.to_string()) => {
                    self.wrong(span, format!("`{id}` is in the list twice"), "take one out");
                }
                Some(id) => ids.push((id.to_string(), span)),
            }
        }
        ids
    }

    fn params(&mut self, table: &dyn TableLike) {
        for (id, item) in table.iter() {
            let Some(control) = self.catalogue.control(id) else {
                self.no_control(id, key_span(table, id));
                continue;
            };
            let names = params::names(&control.want);
            if names.is_empty() {
                let what = format!("`{id}` has no parameters");
                self.wrong(
                    key_span(table, id),
                    what,
                    "file and socket controls have mode_max, owner or group; audit-watch controls perms",
                );
                continue;
            }
            let Some(fields) = item.as_table_like() else {
                self.wrong(
                    span(item),
                    format!("the parameters of `{id}` must be a table"),
                    format!("write {id} = {{ {} = \"…\" }}", names[0]),
                );
                continue;
            };
            self.only(fields, &format!("`{id}`"), "parameter", &names);
            let mut params = Params::default();
            for name in names {
                match fields.get(name) {
                    Some(item) if name == "mode_max" => params.mode_max = self.mode(item),
                    Some(_) => self.param_text(fields, name, &mut params),
                    None => {}
                }
            }
            self.layer.params.insert(id.into(), params);
        }
    }

    fn param_text(&mut self, fields: &dyn TableLike, name: &'static str, params: &mut Params) {
        let Some((text, span)) = self.text(fields, name) else { return };
        let (mistake, help) = match name {
            "perms" => (perms_mistake(&text), "write perms = \"wa\""),
            _ => (account_mistake(&text), "write a name or a number, like \"root\""),
        };
        match mistake {
            Some(what) => self.wrong(span, what, help),
            None => _ = params.texts.insert(name, text),
        }
    }

    /// A mode in octal in quotes; a bare number is the usual mistake, and gets the text to write instead.
    fn mode(&mut self, item: &Item) -> Option<Mode> {
        let written = self.source.text.get(span(item)).unwrap_or_default();
        if item.is_integer() {
            let digits = written.trim_start_matches("0o").replace('_', "");
            let octal = digits.len() <= 4 && digits.chars().all(|digit| ('0'..='7').contains(&digit));
            let what = format!("{written} is a number; a mode is octal and stands in quotes");
            let meant = if octal { digits } else { "644".into() };
            self.wrong(span(item), what, format!("write \"0{}\"", meant.trim_start_matches('0')));
            return None;
        }
        let value = item.clone().into_value().ok()?;
        match Mode::deserialize(value.into_deserializer()) {
            Ok(mode) => Some(mode),
            Err(error) => {
                self.wrong(span(item), error.message().into(), "write \"0644\"");
                None
            }
        }
    }

    fn waivers(&mut self, document: &dyn TableLike) {
        let Some(item) = document.get("waive") else { return };
        let tables = item.as_array_of_tables().map(|tables| tables.iter().map(|table| (table as &dyn TableLike, table.span())));
        let inline = item.as_array().map(|values| values.iter().filter_map(Value::as_inline_table));
        let rows: Option<Vec<_>> = match (tables, inline) {
            (Some(tables), _) => Some(tables.collect()),
            (None, Some(inline)) => Some(inline.map(|table| (table as &dyn TableLike, table.span())).collect()),
            (None, None) => None,
        };
        let rows = rows.filter(|rows| item.as_array().is_none_or(|values| values.len() == rows.len()));
        let Some(rows) = rows else {
            return self.wrong(span(item), "`waive` must be a list of tables".into(), "write [[waive]]");
        };
        for (row, span) in rows {
            if let Some(waiver) = self.waiver(row, span.unwrap_or_default()) {
                self.layer.waivers.push(waiver);
            }
        }
    }

    fn waiver(&mut self, row: &dyn TableLike, start: Range<usize>) -> Option<Waiver> {
        self.only(row, "a waiver", "field", &["control", "target", "reason", "by", "until"]);
        let control = self.required_text(row, start.clone(), "a waiver", "control");
        let control = control.and_then(|(text, span)| self.control_pattern(text, span));
        let target = match self.text(row, "target") {
            Some((text, span)) => self.pattern(text, span),
            None => glob::Pattern::new("*").ok(),
        };
        let reason = self.required_text(row, start.clone(), "a waiver", "reason");
        let by = self.required_text(row, start, "a waiver", "by");
        let until = row.get("until").map(|item| self.date(item));
        let until = match until {
            Some(None) => return None,
            Some(Some(date)) => Some(date),
            None => None,
        };
        Some(Waiver { control: control?, target: target?, reason: reason?.0, by: by?.0, until })
    }

    /// A pattern that matches a control; one that matches none is a typing mistake.
    fn control_pattern(&mut self, text: String, span: Range<usize>) -> Option<glob::Pattern> {
        let pattern = self.pattern(text.clone(), span.clone())?;
        if self.catalogue.ids().any(|id| pattern.matches(id)) {
            return Some(pattern);
        }
        self.no_control(&text, span);
        None
    }

    fn pattern(&mut self, text: String, span: Range<usize>) -> Option<glob::Pattern> {
        match glob::Pattern::new(&text) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.wrong(span, format!("`{text}` is not a pattern: {}", error.msg), "use * and ? only");
                None
            }
        }
    }

    fn date(&mut self, item: &Item) -> Option<jiff::civil::Date> {
        let date = match item.as_datetime() {
            Some(datetime) if datetime.time.is_none() => datetime.date.and_then(|date| {
                let year = i16::try_from(date.year).ok()?;
                jiff::civil::Date::new(year, i8::try_from(date.month).ok()?, i8::try_from(date.day).ok()?).ok()
            }),
            Some(_) => None,
            None => {
                item.as_str().and_then(|text| text.parse().ok().filter(|date: &jiff::civil::Date| date.to_string() == text))
            }
        };
        if date.is_none() {
            let written = self.source.text.get(span(item)).unwrap_or_default().to_string();
            self.wrong(span(item), format!("{written} is not a date"), "write year-month-day, like until = 2026-12-31");
        }
        date
    }

    /// Reports the fields that a table should not have.
    fn only(&mut self, table: &dyn TableLike, what: &str, kind: &str, fields: &[&str]) {
        for (key, _) in table.iter().filter(|(key, _)| !fields.contains(key)) {
            let help = did_you_mean(key, fields.iter().copied());
            self.wrong(key_span(table, key), format!("{what} has no {kind} `{key}`"), help);
        }
    }

    /// A text that is not blank, if the field is there.
    fn text(&mut self, table: &dyn TableLike, field: &str) -> Option<(String, Range<usize>)> {
        let item = table.get(field)?;
        let Some(text) = item.as_str() else {
            self.wrong(
                span(item),
                format!("`{field}` must be a text, not {}", a(item.type_name())),
                format!("write {field} = \"…\""),
            );
            return None;
        };
        if text.trim().is_empty() {
            self.wrong(span(item), format!("`{field}` is empty"), format!("write {field} = \"…\" or leave the line out"));
            return None;
        }
        Some((text.into(), span(item)))
    }

    fn required_text(
        &mut self,
        table: &dyn TableLike,
        at: Range<usize>,
        what: &str,
        field: &str,
    ) -> Option<(String, Range<usize>)> {
        if table.get(field).is_none() {
            self.wrong(at, format!("{what} needs `{field}`"), format!("write {field} = \"…\""));
        }
        self.text(table, field)
    }

    fn table<'t>(&mut self, table: &'t dyn TableLike, field: &str) -> Option<&'t dyn TableLike> {
        let item = table.get(field)?;
        if item.as_table_like().is_none() {
            self.wrong(
                span(item),
                format!("`{field}` must be a table, not {}", a(item.type_name())),
                format!("write [{field}]"),
            );
        }
        item.as_table_like()
    }

    fn no_control(&mut self, id: &str, span: Range<usize>) {
        let help = match super::nearest::nearest(id, self.catalogue.ids()) {
            Some(id) => format!("did you mean `{id}`?"),
            None => "`harden baseline show guide` and `harden baseline show cis-l2` list controls".into(),
        };
        self.wrong(span, format!("there is no control `{id}`"), help);
    }

    fn wrong(&mut self, span: Range<usize>, what: String, help: impl Into<String>) {
        self.mistakes.push(self.source.mistake(span, what).help(help));
    }
}

fn span(item: &Item) -> Range<usize> {
    item.span().unwrap_or_default()
}

fn key_span(table: &dyn TableLike, key: &str) -> Range<usize> {
    let at_value = || table.get(key).and_then(Item::span);
    table.key(key).and_then(|key| key.span()).or_else(at_value).unwrap_or_default()
}

fn json(item: &Item) -> serde_json::Value {
    item.clone().into_value().ok().and_then(|value| super::from_toml(value).ok()).unwrap_or_default()
}

/// The type with its article.
fn a(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}
