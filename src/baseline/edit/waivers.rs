//! The tables under `[[waive]]`, or in a list of tables in braces.

use toml_edit::{Item, TableLike, Value};

use super::{Draft, end_of_lines};
use crate::error::Result;

impl Draft {
    /// Adds a table to the list of waivers, or gives the one at `index` these fields and no others.
    pub fn waive(&mut self, index: Option<usize>, fields: &[(&str, String)]) -> Result<()> {
        self.whole(|draft| draft.waive_in(index, fields))
    }

    fn waive_in(&mut self, index: Option<usize>, fields: &[(&str, String)]) -> Result<()> {
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
        self.whole(|draft| draft.unwaive_in(index))
    }

    fn unwaive_in(&mut self, index: usize) -> Result<()> {
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
}

/// How many bytes the empty line at the end of a text takes; 0 where there is none.
fn blank_before(text: &str) -> usize {
    ["\r\n", "\n"]
        .into_iter()
        .find(|newline| text.strip_suffix(newline).is_some_and(|text| text.ends_with('\n')))
        .map_or(0, str::len)
}
