//! Lists of ids, on one line or on many.

use std::ops::Range;

use toml_edit::{Array, Item, Value};

use super::{Draft, Nested, lookup};
use crate::error::Result;

impl Draft {
    /// Puts an id into a list of ids; below the comment that shows it, where there is one.
    pub fn list(&mut self, path: &[&str], id: &str) -> Result<()> {
        self.whole(|draft| draft.list_in(path, id))
    }

    fn list_in(&mut self, path: &[&str], id: &str) -> Result<()> {
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
                self.set_in(path, &format!("[{newline}  {quoted},{newline}]"), Nested::Dotted)
            }
        }
    }

    /// Takes an id out of a list of ids, and the list with its last element. Whether it was there.
    pub fn unlist(&mut self, path: &[&str], id: &str) -> Result<bool> {
        self.whole(|draft| draft.unlist_in(path, id))
    }

    fn unlist_in(&mut self, path: &[&str], id: &str) -> Result<bool> {
        let text = self.0.text.clone();
        let document = self.document(&text)?;
        let Some(array) = lookup(document.as_table(), path).and_then(Item::as_array) else { return Ok(false) };
        let Some(index) = array.iter().position(|value| value.as_str() == Some(id)) else { return Ok(false) };
        let span = array.span().unwrap_or_default();
        if array.len() == 1 && !text[span].contains('#') {
            return self.unset_in(path);
        }
        self.out_of_array(array, index);
        Ok(true)
    }

    pub(super) fn put_in_array(&mut self, array: &Array, element: &str) {
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

    pub(super) fn out_of_array(&mut self, array: &Array, index: usize) {
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
}
