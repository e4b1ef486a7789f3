//! Small edits of a JSON text that leave everything else as it is: layout, order, spelling of numbers and texts.
//!
//! What is added looks like its neighbours: indentation, line endings, comma and colon style are read off the text. Nothing here
//! decides what to change; the caller checks by reading the result again.

use serde_json::Value;

use super::json_text::{Kind, Member, Node};

/// How a text is laid out.
pub struct Layout<'t> {
    text: &'t str,
    newline: &'static str,
    /// One step of indentation.
    step: String,
    /// The whole document stands on one line.
    one_line: bool,
    /// What stands between key and value where no neighbour shows it.
    colon: String,
    arrays: Style,
    objects: Style,
}

/// How containers of one kind are written.
#[derive(Clone)]
struct Style {
    inline: bool,
    /// What stands between an inline container's brackets and its content.
    pad: String,
}

/// The line ending of a text: that of its first line.
pub fn newline_of(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

impl<'t> Layout<'t> {
    /// Reads the layout off a text whose top level is `root`, an object.
    pub fn of(text: &'t str, root: &Node) -> Self {
        let members = root.members().unwrap_or_default();
        let one_line = !members.is_empty() && !text[root.start..root.end].contains('\n');
        let colons: Vec<_> = members.iter().map(|member| colon_text(text, member)).collect();
        let colon = match colons.first() {
            Some(first) if colons.iter().all(|colon| colon == first) && !first.contains('\n') => (*first).to_owned(),
            _ => ": ".to_owned(),
        };
        let of_root = Style { inline: one_line, pad: inline_pad(text, root).unwrap_or_default() };
        let of_children =
            |wanted: fn(&Kind) -> bool| members.iter().find_map(|member| first_style(text, &member.value, wanted));
        let arrays = of_children(|kind| matches!(kind, Kind::Array(_))).unwrap_or(Style { inline: true, pad: String::new() });
        let objects = of_children(|kind| matches!(kind, Kind::Object(_))).unwrap_or(of_root);
        Layout { text, newline: newline_of(text), step: indent_step(text, root), one_line, colon, arrays, objects }
    }

    /// Adds a member behind the last one of `object`.
    pub fn insert(&self, object: &Node, name: &str, value: &Value) -> String {
        let members = object.members().unwrap_or_default();
        let key = Value::from(name).to_string();
        let Some(last) = members.last() else {
            return self.fill(object, &key, value);
        };
        let separator = self.separator(object, members);
        let colon = self.colon_like(members, &key);
        let value = match separator.rsplit_once('\n') {
            Some((_, line)) => self.render(value, leading_space(line), false),
            None => self.render(value, self.line_indent(last.start), true),
        };
        self.splice(last.value.end, last.value.end, &format!("{separator}{key}{colon}{value}"))
    }

    /// Puts another value in the place of `node`.
    pub fn replace(&self, node: &Node, value: &Value) -> String {
        let own_style = |inline| Style { inline, pad: inline_pad(self.text, node).unwrap_or_default() };
        let inline = !self.text[node.start..node.end].contains('\n');
        let indent = self.line_indent(node.start);
        let rendered = match (&node.kind, value) {
            (Kind::Array(old), Value::Array(new)) if !old.is_empty() => self.array(new, indent, &own_style(inline)),
            _ => self.render(value, indent, false),
        };
        self.splice(node.start, node.end, &rendered)
    }

    /// Takes the member or element with this index out of `container`, with its comma and, where it stands alone, its line.
    pub fn remove(&self, container: &Node, index: usize) -> String {
        let spans: Vec<(usize, usize)> = match &container.kind {
            Kind::Object(members) => members.iter().map(|member| (member.start, member.value.end)).collect(),
            Kind::Array(elements) => elements.iter().map(|element| (element.start, element.end)).collect(),
            Kind::Plain | Kind::Text => Vec::new(),
        };
        let Some(&(start, end)) = spans.get(index) else {
            return self.text.to_owned();
        };
        if spans.len() == 1 {
            return self.splice(container.start + 1, container.end - 1, "");
        }
        let before = index.checked_sub(1).map(|before| spans[before]);
        let (from, to) = match (before, spans.get(index + 1)) {
            (_, Some(next)) if self.own_lines(start, end, next.0).is_some() => {
                self.own_lines(start, end, next.0).unwrap_or((start, next.0))
            }
            (Some((_, before_end)), _) => (before_end, end),
            (None, Some(next)) => (start, next.0),
            (None, None) => (start, end),
        };
        self.splice(from, to, "")
    }

    /// The whole lines that an entry and its comma take, if nothing else stands on them.
    fn own_lines(&self, start: usize, end: usize, next: usize) -> Option<(usize, usize)> {
        let line_start = self.text[..start].rfind('\n')? + 1;
        let comma = end + self.text[end..next].find(',')?;
        let newline = comma + self.text[comma..next].find('\n')?;
        let alone = self.text[line_start..start].trim().is_empty() && !self.text[end..comma].contains('\n');
        alone.then_some((line_start, newline + 1))
    }

    /// Gives an object that has no members its first one.
    fn fill(&self, object: &Node, key: &str, value: &Value) -> String {
        let inside = if self.one_line {
            let pad = &self.objects.pad;
            format!("{{{pad}{key}{}{}{pad}}}", self.colon, self.render(value, "", true))
        } else {
            let outer = self.line_indent(object.start);
            let indent = format!("{outer}{}", self.step);
            let value = self.render(value, &indent, false);
            format!("{{{newline}{indent}{key}{}{value}{newline}{outer}}}", self.colon, newline = self.newline)
        };
        self.splice(object.start, object.end, &inside)
    }

    /// What stands between two members of an object, comma included.
    fn separator(&self, object: &Node, members: &[Member]) -> String {
        if let [.., before, last] = members {
            let between = &self.text[before.value.end..last.start];
            let (left, right) = between.split_once(',').unwrap_or(("", between));
            return format!("{},{}", self.without_blank_lines(left), self.without_blank_lines(right));
        }
        let [only] = members else { return ",".to_owned() };
        let lead = &self.text[object.start + 1..only.start];
        let trail = &self.text[only.value.end..object.end - 1];
        match (lead.rsplit_once('\n'), trail.rsplit_once('\n')) {
            (Some((_, indent)), _) => format!(",{}{indent}", self.newline),
            // The first entry beside the brace and the brace on a line of its own: commas lead the lines.
            (None, Some((_, indent))) => format!("{}{indent}, ", self.newline),
            (None, None) => comma_beside(colon_text(self.text, only)).to_owned(),
        }
    }

    fn without_blank_lines(&self, space: &str) -> String {
        match space.rsplit_once('\n') {
            Some((_, indent)) => format!("{}{indent}", self.newline),
            None => space.to_owned(),
        }
    }

    /// The text between a new key and its value, aligned like that of its neighbours.
    fn colon_like(&self, members: &[Member], key: &str) -> String {
        let width = |text: &str| text.chars().count();
        let seen: Vec<(usize, usize, usize)> = members
            .iter()
            .filter_map(|member| {
                let (left, right) = colon_text(self.text, member).split_once(':')?;
                let name = width(&self.text[member.start..member.name_end]);
                (!left.contains('\n') && !right.contains('\n')).then_some((name, width(left), width(right)))
            })
            .collect();
        let Some(&(_, left, right)) = seen.last() else {
            return self.colon.clone();
        };
        let own = width(key);
        let same_text = seen.iter().all(|&(_, l, r)| (l, r) == (left, right));
        let (left, right) = if same_text {
            (left, right)
        } else if let Some(column) = common_column(seen.iter().map(|&(n, l, _)| (n + l, l > 0))) {
            (column.saturating_sub(own), right)
        } else if let Some(column) = common_column(seen.iter().map(|&(n, l, r)| (n + l + r, r > 1))) {
            (left, column.saturating_sub(own + left).max(1))
        } else {
            (0, 1)
        };
        format!("{}:{}", " ".repeat(left), " ".repeat(right))
    }

    fn render(&self, value: &Value, indent: &str, inline: bool) -> String {
        let inline = inline || self.one_line;
        match value {
            Value::Array(elements) => {
                let nests = elements.iter().any(|element| element.is_object() || element.is_array());
                let inline = inline || (self.arrays.inline && (!nests || self.objects.inline));
                self.array(elements, indent, &Style { inline, pad: self.arrays.pad.clone() })
            }
            Value::Object(members) => {
                let style = Style { inline: inline || self.objects.inline, pad: self.objects.pad.clone() };
                let entries = members.iter().map(|(name, value)| (Some(name.as_str()), value)).collect::<Vec<_>>();
                self.container(&entries, ('{', '}'), indent, &style)
            }
            plain => plain.to_string(),
        }
    }

    fn array(&self, elements: &[Value], indent: &str, style: &Style) -> String {
        let entries = elements.iter().map(|element| (None, element)).collect::<Vec<_>>();
        self.container(&entries, ('[', ']'), indent, style)
    }

    fn container(&self, entries: &[(Option<&str>, &Value)], brackets: (char, char), indent: &str, style: &Style) -> String {
        let (open, close) = brackets;
        if entries.is_empty() {
            return format!("{open}{close}");
        }
        let inner = format!("{indent}{}", self.step);
        let entry = |(name, value): &(Option<&str>, &Value)| {
            let value = self.render(value, &inner, style.inline);
            match name {
                Some(name) => format!("{}{}{value}", Value::from(*name), self.colon),
                None => value,
            }
        };
        let entries: Vec<String> = entries.iter().map(entry).collect();
        if style.inline {
            return format!("{open}{pad}{}{pad}{close}", entries.join(comma_beside(&self.colon)), pad = style.pad);
        }
        let newline = self.newline;
        format!("{open}{newline}{inner}{}{newline}{indent}{close}", entries.join(&format!(",{newline}{inner}")))
    }

    fn line_indent(&self, at: usize) -> &'t str {
        let line_start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        leading_space(&self.text[line_start..at])
    }

    fn splice(&self, from: usize, to: usize, with: &str) -> String {
        format!("{}{with}{}", &self.text[..from], &self.text[to..])
    }
}

/// One step of indentation: that of the first member that begins a line; two spaces where none does.
fn indent_step(text: &str, root: &Node) -> String {
    let root_line = text[..root.start].rfind('\n').map_or(0, |newline| newline + 1);
    let root_indent = leading_space(&text[root_line..root.start]);
    let begins_line = |member: &Member| {
        let (_, indent) = text[root.start..member.start].rsplit_once('\n')?;
        indent.chars().all(char::is_whitespace).then(|| indent.strip_prefix(root_indent).unwrap_or(indent).to_owned())
    };
    root.members().unwrap_or_default().iter().find_map(begins_line).unwrap_or_else(|| "  ".to_owned())
}

fn leading_space(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The text between the name of a member and its value: the colon and the space around it.
fn colon_text<'t>(text: &'t str, member: &Member) -> &'t str {
    &text[member.name_end..member.value.start]
}

/// The column to which entries are padded; names that are too long for it may stick out.
fn common_column(entries: impl Iterator<Item = (usize, bool)> + Clone) -> Option<usize> {
    let (column, _) = entries.clone().find(|&(_, padded)| padded)?;
    let fits = |(end, padded)| if padded { end == column } else { end >= column };
    entries.into_iter().all(fits).then_some(column)
}

/// The comma of an inline container whose colons look like this.
fn comma_beside(colon: &str) -> &'static str {
    if colon.ends_with(':') { "," } else { ", " }
}

/// The style of the first container of a kind that has entries, at or below `node`.
fn first_style(text: &str, node: &Node, wanted: fn(&Kind) -> bool) -> Option<Style> {
    let inline = !text[node.start..node.end].contains('\n');
    let own = if wanted(&node.kind) { inline_pad(text, node).map(|pad| Style { inline, pad }) } else { None };
    own.or_else(|| match &node.kind {
        Kind::Object(members) => members.iter().find_map(|member| first_style(text, &member.value, wanted)),
        Kind::Array(elements) => elements.iter().find_map(|element| first_style(text, element, wanted)),
        Kind::Plain | Kind::Text => None,
    })
}

/// What stands between the opening bracket and the first entry; empty where that is a new line, `None` without entries.
fn inline_pad(text: &str, node: &Node) -> Option<String> {
    let first = match &node.kind {
        Kind::Object(members) => members.first()?.start,
        Kind::Array(elements) => elements.first()?.start,
        Kind::Plain | Kind::Text => return None,
    };
    let pad = &text[node.start + 1..first];
    Some(if pad.contains('\n') { String::new() } else { pad.to_owned() })
}
