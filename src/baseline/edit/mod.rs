//! Edits of a baseline file's text: each puts in, replaces or takes out what it is about, and leaves every other byte as it was.
//!
//! The places come from the parser, so it does not matter whether a table is written with a header, in braces or with dotted keys. A new
//! line goes below the comment that shows it (`# log_level = "info"`), else below the last line of its table.

mod lines;
mod lists;
mod waivers;

#[cfg(test)]
mod tests;

use std::ops::Range;

use toml_edit::{Document, Item, Table, TableLike, Value};

use super::source::Source;
use crate::error::{Error, Result};

/// How a value gets into a table that is not there yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nested {
    /// `log.max_size = "10m"`.
    Dotted,
    /// `file-etc-docker-mode = { mode_max = "0750" }`.
    Braces,
}

/// The text of a baseline file under edit.
#[derive(Debug, Clone)]
pub struct Draft(Source);

impl Draft {
    /// Takes a text that must be TOML; `path` is what errors name.
    pub fn new(path: &std::path::Path, text: &str) -> Result<Self> {
        let draft = Draft(Source { path: path.to_owned(), text: text.into() });
        draft.0.parse()?;
        Ok(draft)
    }

    /// The text as it is now.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Gives the value at a path of keys, whose first is a table of the file, this TOML text.
    pub fn set(&mut self, path: &[&str], value: &str, nested: Nested) -> Result<()> {
        self.whole(|draft| draft.set_in(path, value, nested))
    }

    fn set_in(&mut self, path: &[&str], value: &str, nested: Nested) -> Result<()> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        match lookup(document.as_table(), path) {
            Some(Item::Value(old)) if !old.as_inline_table().is_some_and(|table| table.is_dotted()) => {
                self.splice(old.span().unwrap_or_default(), value);
                return Ok(());
            }
            Some(item) => {
                let error = self.0.mistake(item.span().unwrap_or_default(), "this is a table of several lines");
                return Err(error.help("change it in an editor"));
            }
            None => {}
        }
        for depth in (1..path.len()).rev() {
            let (outer, rest) = path.split_at(depth);
            let entry = match (nested, rest) {
                (Nested::Braces, [key, inner]) if lookup(document.as_table(), &path[..=depth]).is_none() => {
                    format!("{key} = {{ {inner} = {value} }}")
                }
                _ => format!("{} = {value}", rest.join(".")),
            };
            match lookup(document.as_table(), outer) {
                Some(Item::Value(Value::InlineTable(table))) if !table.is_dotted() => {
                    self.put_in_braces(table.span(), table.iter().filter_map(|(_, value)| last_end(value)).max(), &entry);
                    return Ok(());
                }
                Some(Item::Table(table)) if !table.is_dotted() && !table.is_implicit() => {
                    let at = self.place_for(&document, table, &rest.join("."), rest[0]);
                    self.insert_line(at, &entry);
                    return Ok(());
                }
                _ => {}
            }
        }
        match lookup(document.as_table(), &path[..1]) {
            Some(Item::Table(table)) if table.is_dotted() => {
                let at = end_of_lines(table).unwrap_or_default();
                self.insert_line(self.line_end(at), &format!("{} = {value}", path.join(".")));
            }
            _ => {
                self.append(&format!("[{}]", path[0]));
                return self.set_in(path, value, nested);
            }
        }
        Ok(())
    }

    /// Takes the value at a path out, with its line. Whether it was there.
    pub fn unset(&mut self, path: &[&str]) -> Result<bool> {
        self.whole(|draft| draft.unset_in(path))
    }

    fn unset_in(&mut self, path: &[&str]) -> Result<bool> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        let Some(item) = lookup(document.as_table(), path) else { return Ok(false) };
        let braces = (1..path.len()).rev().find_map(|depth| match lookup(document.as_table(), &path[..depth]) {
            Some(Item::Value(Value::InlineTable(table))) if !table.is_dotted() => Some((depth, table)),
            _ => None,
        });
        match (braces, item) {
            (Some((depth, table)), item) => {
                let mut ends: Vec<Range<usize>> = Vec::new();
                table.iter().for_each(|(_, value)| leaves(value, &mut ends));
                let (Some(span), Some(outer)) = (item.span(), table.span()) else { return Ok(false) };
                match ends.iter().position(|other| *other == span) {
                    _ if ends.len() < 2 => return self.unset_in(&path[..depth]),
                    Some(0) => {
                        let comma = text[span.end..].find(',').map_or(span.end, |comma| span.end + comma + 1);
                        self.splice(outer.start + 1..comma, "");
                    }
                    Some(index) => self.splice(ends[index - 1].end..span.end, ""),
                    None => return Ok(false),
                }
            }
            (None, Item::Value(_)) => {
                let span = item.span().unwrap_or_default();
                self.take_lines(self.key_line(&document, path, span.start), span.end);
            }
            // A table with lines of its own: they go one by one.
            (None, Item::Table(table)) => {
                let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
                for key in keys {
                    let inner: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
                    self.unset_in(&inner)?;
                }
            }
            (None, _) => return Ok(false),
        }
        Ok(true)
    }

    /// Makes an edit; one that would break the file is not made.
    fn whole<T>(&mut self, edit: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = self.0.text.clone();
        let done = edit(self).and_then(|done| self.document(self.text()).map(|_| done));
        if done.is_err() {
            self.0.text = before;
        }
        done
    }

    fn document<'t>(&self, text: &'t str) -> Result<Document<&'t str>> {
        Document::parse(text).map_err(|_| {
            let error = Error::usage("it is written in a way that harden cannot edit; nothing was changed").at(&self.0.path);
            error.help("change it in an editor")
        })
    }

    /// Where a line of this table goes: below the comment that shows its key, else below its last line, else below its header.
    fn place_for(&self, document: &Document<&str>, table: &Table, key: &str, first: &str) -> usize {
        let header = table.span().unwrap_or_default();
        let mut starts = Vec::new();
        headers(document.as_table(), &mut starts);
        let end = starts.into_iter().filter(|start| *start > header.start).min().unwrap_or(self.text().len());
        let mut values = Vec::new();
        document.iter().for_each(|(_, item)| item_leaves(item, &mut values));
        let shows = |line: &str| {
            let words = line.trim_start().strip_prefix('#').map(str::trim_start);
            let after = words.and_then(|words| words.strip_prefix(key).or_else(|| words.strip_prefix(first)));
            after.is_some_and(|after| after.trim_start().starts_with('='))
        };
        let commented = self
            .lines(header.start..end)
            .find(|(start, line)| shows(line) && !values.iter().any(|value| value.contains(start)));
        match commented {
            Some((start, line)) => start + line.len(),
            None => self.line_end(end_of_lines(table).unwrap_or(header.end)),
        }
    }

    fn put_in_braces(&mut self, span: Option<Range<usize>>, last: Option<usize>, entry: &str) {
        match (last, span) {
            (Some(last), _) => self.splice(last..last, &format!(", {entry}")),
            (None, Some(span)) => self.splice(span, &format!("{{ {entry} }}")),
            (None, None) => {}
        }
    }

    /// The line on which the key of a value stands; the value may begin further down.
    fn key_line(&self, document: &Document<&str>, path: &[&str], value: usize) -> usize {
        let (key, outer) = path.split_last().map_or(("", path), |(key, outer)| (*key, outer));
        let table = match outer {
            [] => Some(document.as_table() as &dyn TableLike),
            outer => lookup(document.as_table(), outer).and_then(Item::as_table_like),
        };
        let span = table.and_then(|table| table.key(key)).and_then(|key| key.span());
        self.line_start(span.map_or(value, |span| span.start))
    }
}

/// The item at a path of keys.
fn lookup<'d>(table: &'d dyn TableLike, path: &[&str]) -> Option<&'d Item> {
    let (first, rest) = path.split_first()?;
    let item = table.get(first)?;
    match rest {
        [] => Some(item),
        rest => lookup(item.as_table_like()?, rest),
    }
}

/// Where the values of a table that stand on lines of their own end; `None` where there is none.
fn end_of_lines(table: &Table) -> Option<usize> {
    let end = |item: &Item| match item {
        Item::Value(value) => last_end(value),
        Item::Table(inner) if inner.is_dotted() => end_of_lines(inner),
        _ => None,
    };
    table.iter().filter_map(|(_, item)| end(item)).max()
}

/// Where a value ends, the last one's end for dotted keys in braces.
fn last_end(value: &Value) -> Option<usize> {
    let mut ends = Vec::new();
    leaves(value, &mut ends);
    ends.iter().map(|span| span.end).max()
}

/// The values behind dotted keys; any other value itself.
fn leaves(value: &Value, found: &mut Vec<Range<usize>>) {
    match value {
        Value::InlineTable(table) if table.is_dotted() => table.iter().for_each(|(_, value)| leaves(value, found)),
        value => found.extend(value.span()),
    }
    found.sort_by_key(|span| span.start);
}

fn item_leaves(item: &Item, found: &mut Vec<Range<usize>>) {
    match item {
        Item::Value(value) => leaves(value, found),
        Item::Table(table) => table.iter().for_each(|(_, item)| item_leaves(item, found)),
        Item::ArrayOfTables(tables) => {
            tables.iter().flat_map(|table| table.iter()).for_each(|(_, item)| item_leaves(item, found));
        }
        Item::None => {}
    }
}

/// Where headers begin, of tables and of those in lists.
fn headers(table: &Table, found: &mut Vec<usize>) {
    for (_, item) in table.iter() {
        match item {
            Item::Table(inner) => {
                found.extend(inner.span().filter(|_| !inner.is_dotted() && !inner.is_implicit()).map(|span| span.start));
                headers(inner, found);
            }
            Item::ArrayOfTables(tables) => found.extend(tables.iter().filter_map(|table| Some(table.span()?.start))),
            Item::Value(_) | Item::None => {}
        }
    }
}
