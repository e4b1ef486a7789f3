//! Edits of a baseline file's text: each puts in, replaces or takes out what it is about, and leaves every other byte as it was.
//!
//! The places come from the parser, so it does not matter whether a table is written with a header, in braces or with dotted keys. A new
//! line goes below the comment that shows it (`# log_level = "info"`), else below the last line of its table.

use std::ops::Range;

use toml_edit::{Array, Document, Item, Table, TableLike, Value};

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
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        if let Some(span) = lookup(document.as_table(), path).and_then(Item::span) {
            self.splice(span, value);
            return Ok(());
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
                return self.set(path, value, nested);
            }
        }
        Ok(())
    }

    /// Takes the value at a path out, with its line. Whether it was there.
    pub fn unset(&mut self, path: &[&str]) -> Result<bool> {
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
                    _ if ends.len() < 2 => return self.unset(&path[..depth]),
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
                    self.unset(&inner)?;
                }
            }
            (None, _) => return Ok(false),
        }
        Ok(true)
    }

    /// Puts an id into a list of ids; below the comment that shows it, where there is one.
    pub fn list(&mut self, path: &[&str], id: &str) -> Result<()> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        let quoted = format!("\"{id}\"");
        match lookup(document.as_table(), path) {
            Some(Item::Value(Value::Array(array))) => {
                self.put_in_array(array, &quoted);
                Ok(())
            }
            Some(item) => {
                let error = self.0.mistake(item.span().unwrap_or_default(), "this is no list");
                Err(error.help(format!("write {} = [{quoted}]", path.join("."))))
            }
            None => {
                let newline = self.newline();
                self.set(path, &format!("[{newline}  {quoted},{newline}]"), Nested::Dotted)
            }
        }
    }

    /// Takes an id out of a list of ids, and the list with its last element. Whether it was there.
    pub fn unlist(&mut self, path: &[&str], id: &str) -> Result<bool> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        let Some(array) = lookup(document.as_table(), path).and_then(Item::as_array) else { return Ok(false) };
        let Some(index) = array.iter().position(|value| value.as_str() == Some(id)) else { return Ok(false) };
        let span = array.span().unwrap_or_default();
        if array.len() == 1 && !text[span].contains('#') {
            return self.unset(path);
        }
        self.out_of_array(array, index);
        Ok(true)
    }

    /// Adds a table to the list of waivers, or gives the one at `index` these fields and no others.
    pub fn waive(&mut self, index: Option<usize>, fields: &[(&str, String)]) -> Result<()> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        let lines = fields.iter().map(|(key, value)| format!("{key} = {value}"));
        match (document.get("waive"), index) {
            (Some(Item::Value(Value::Array(array))), index) => {
                let element = format!("{{ {} }}", lines.collect::<Vec<_>>().join(", "));
                match index.and_then(|index| array.get(index)).and_then(Value::span) {
                    Some(span) => self.splice(span, &element),
                    None => self.put_in_array(array, &element),
                }
                Ok(())
            }
            (Some(Item::ArrayOfTables(_)), Some(index)) => self.rewrite_waiver(index, fields),
            (waivers, _) => {
                let newline = self.newline();
                let block = std::iter::once("[[waive]]".to_owned()).chain(lines).collect::<Vec<_>>().join(newline);
                let last = waivers.and_then(Item::as_array_of_tables).and_then(|tables| tables.iter().last());
                match last.and_then(|table| end_of_lines(table).or(table.span().map(|span| span.end))) {
                    Some(end) => self.insert_line(self.line_end(end), &format!("{newline}{block}")),
                    None => self.append(&block),
                }
                Ok(())
            }
        }
    }

    /// Takes the waiver at `index` out, with an empty line before it. The comments above it stay.
    pub fn unwaive(&mut self, index: usize) -> Result<()> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        match document.get("waive") {
            Some(Item::Value(Value::Array(array))) if array.len() > index => self.out_of_array(array, index),
            Some(Item::ArrayOfTables(tables)) => {
                let Some(table) = tables.get(index) else { return Ok(()) };
                let header = table.span().unwrap_or_default();
                let end = end_of_lines(table).unwrap_or(header.end);
                let (start, end) = (self.line_start(header.start), self.line_end(end));
                let rest = &text[end..];
                let blank_after = rest.is_empty() || rest.starts_with('\n') || rest.starts_with("\r\n");
                let blank = if blank_after { blank_before(&text[..start]) } else { 0 };
                self.splice(start - blank..end, "");
            }
            _ => {}
        }
        Ok(())
    }

    /// The control and the target of each waiver, as they are written.
    pub fn waivers(&self) -> Result<Vec<(String, Option<String>)>> {
        let document = self.document(self.text())?;
        let tables: Vec<&dyn TableLike> = match document.get("waive") {
            Some(Item::ArrayOfTables(tables)) => tables.iter().map(|table| table as &dyn TableLike).collect(),
            Some(Item::Value(Value::Array(array))) => {
                array.iter().filter_map(Value::as_inline_table).map(|table| table as &dyn TableLike).collect()
            }
            _ => Vec::new(),
        };
        let text = |table: &dyn TableLike, key: &str| table.get(key).and_then(Item::as_str).map(str::to_owned);
        Ok(tables.into_iter().map(|table| (text(table, "control").unwrap_or_default(), text(table, "target"))).collect())
    }

    fn rewrite_waiver(&mut self, index: usize, fields: &[(&str, String)]) -> Result<()> {
        for name in ["control", "target", "reason", "by", "until"] {
            let text = self.0.text.clone();
            let document = self.document(&text)?;
            let table = document.get("waive").and_then(Item::as_array_of_tables).and_then(|tables| tables.get(index));
            let Some(table) = table else { return Ok(()) };
            let wanted = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value);
            match (table.get(name).and_then(Item::span), wanted) {
                (Some(span), Some(value)) => self.splice(span, value),
                (Some(span), None) => self.take_lines(self.line_start(span.start), span.end),
                (None, Some(value)) => {
                    let end = end_of_lines(table).or(table.span().map(|span| span.end)).unwrap_or_default();
                    self.insert_line(self.line_end(end), &format!("{name} = {value}"));
                }
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn document<'t>(&self, text: &'t str) -> Result<Document<&'t str>> {
        Document::parse(text).map_err(|error| Error::failure(format!("an edit broke the file: {error}")).at(&self.0.path))
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

    fn put_in_array(&mut self, array: &Array, element: &str) {
        let span = array.span().unwrap_or_default();
        let inside = span.start + 1..span.end.saturating_sub(1);
        let last = array.iter().filter_map(Value::span).last();
        if !self.text()[inside.clone()].contains('\n') {
            return match last {
                None => self.splice(inside, element),
                Some(last) => match self.text()[last.end..inside.end].find(',') {
                    Some(comma) => self.splice(last.end + comma + 1..last.end + comma + 1, &format!(" {element},")),
                    None => self.splice(last.end..last.end, &format!(", {element}")),
                },
            };
        }
        let newline = self.newline();
        let shown = self.lines(inside.clone()).find(|(start, line)| {
            let words = line.trim_start().strip_prefix('#').map(str::trim_start);
            *start > span.start && start + line.len() <= inside.end && words.is_some_and(|words| words.starts_with(element))
        });
        let shown = shown.map(|(start, line)| (start + line.len(), line[..line.len() - line.trim_start().len()].to_owned()));
        let after = |place: usize| array.iter().filter_map(Value::span).filter(|other| other.end <= place).last();
        match (shown, &last) {
            (Some((place, indent)), _) => {
                self.element_line(after(place), place, inside.end, &format!("{indent}{element},{newline}"))
            }
            (None, Some(last)) => {
                let indent = self.indent(last.start);
                let line_end = self.line_end(last.end);
                match line_end <= inside.end {
                    true => {
                        self.element_line(Some(last.clone()), line_end, inside.end, &format!("{indent}{element},{newline}"))
                    }
                    // The bracket closes on the last element's line.
                    false => self.splice(last.end..last.end, &format!(",{newline}{indent}{element}")),
                }
            }
            (None, None) => {
                let place = self.line_end(inside.start).min(inside.end);
                self.splice(place..place, &format!("  {element},{newline}"));
            }
        }
    }

    /// A line of its own for an element, after a comma behind the element before it.
    fn element_line(&mut self, before: Option<Range<usize>>, place: usize, end: usize, line: &str) {
        self.splice(place..place, line);
        if let Some(before) = before
            && !self.text()[before.end..end].trim_start().starts_with(',')
        {
            self.splice(before.end..before.end, ",");
        }
    }

    fn out_of_array(&mut self, array: &Array, index: usize) {
        let spans: Vec<Range<usize>> = array.iter().filter_map(Value::span).collect();
        let end = array.span().unwrap_or_default().end.saturating_sub(1);
        let Some(span) = spans.get(index).cloned() else { return };
        let text = self.text();
        let comma = text[span.end..end].find(|c: char| !c.is_whitespace()).map(|at| span.end + at);
        let comma = comma.filter(|at| text[*at..].starts_with(','));
        let after = comma.map_or(span.end, |comma| comma + 1);
        let (line_start, line_end) = (self.line_start(span.start), self.line_end(after));
        let alone = text[line_start..span.start].trim().is_empty() && line_end <= end;
        let rest = text[after..line_end.min(end).max(after)].trim();
        if alone && (rest.is_empty() || rest.starts_with('#')) {
            self.splice(line_start..line_end, "");
        } else if let Some(comma) = comma {
            let spaces = text[comma + 1..end].len() - text[comma + 1..end].trim_start_matches(' ').len();
            self.splice(span.start..comma + 1 + spaces, "");
        } else {
            let start = index.checked_sub(1).map_or(span.start, |before| spans[before].end);
            self.splice(start..span.end, "");
        }
    }

    /// A line at `place`, which begins one.
    fn insert_line(&mut self, place: usize, line: &str) {
        let newline = self.newline();
        let begun = place > 0 && !self.text()[..place].ends_with('\n');
        self.splice(place..place, &format!("{}{line}{newline}", if begun { newline } else { "" }));
    }

    /// A block at the end, below an empty line.
    fn append(&mut self, block: &str) {
        let newline = self.newline();
        let end = self.text().len();
        let gap = if self.text().trim().is_empty() { "" } else { newline };
        self.insert_line(end, &format!("{gap}{block}"));
    }

    /// Takes out whole lines, from the one that begins at `start` to the one that `end` is in.
    fn take_lines(&mut self, start: usize, end: usize) {
        self.splice(start..self.line_end(end), "");
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

    fn lines(&self, within: Range<usize>) -> impl Iterator<Item = (usize, &str)> {
        let mut start = self.line_start(within.start);
        self.text()[start..within.end.max(start)].split_inclusive('\n').map(move |line| {
            start += line.len();
            (start - line.len(), line)
        })
    }

    fn line_start(&self, at: usize) -> usize {
        self.text()[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// Behind the line break of the line that `at` is in.
    fn line_end(&self, at: usize) -> usize {
        self.text()[at..].find('\n').map_or(self.text().len(), |newline| at + newline + 1)
    }

    fn indent(&self, at: usize) -> String {
        let start = self.line_start(at);
        self.text()[start..at].chars().take_while(|c| matches!(c, ' ' | '\t')).collect()
    }

    /// The line break that this file uses.
    fn newline(&self) -> &'static str {
        match self.text().find('\n') {
            Some(at) if self.text()[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    fn splice(&mut self, span: Range<usize>, new: &str) {
        self.0.text.replace_range(span, new);
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

/// How many bytes the empty line at the end of a text takes; 0 where there is none.
fn blank_before(text: &str) -> usize {
    ["\r\n", "\n"]
        .into_iter()
        .find(|newline| text.strip_suffix(newline).is_some_and(|text| text.ends_with('\n')))
        .map_or(0, str::len)
}

#[cfg(test)]
#[path = "edit_tests.rs"]
mod tests;
