//! daemon.json: strict reading with the place of every mistake, and edits that keep everything else as it is.
//!
//! Stricter than dockerd on purpose: a key given twice, trailing text or bad UTF-8 mean different things to different engines, so
//! such a file is reported and never rewritten. Messages name keys but never show values, which may be secrets.

use std::fmt;

use serde_json::{Map, Value};

use super::json_splice::{Layout, newline_of};
use super::json_text::{self, Kind, Node, printable};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Something in daemon.json that stops it from being read or edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what was expected; never quotes values.
    pub what: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    /// `line:column: what`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

impl Problem {
    fn at(position: (usize, usize), what: impl Into<String>, help: Option<&str>) -> Self {
        Problem { line: position.0, column: position.1, what: what.into(), help: help.map(str::to_owned) }
    }
}

/// One wish for daemon.json.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// The key, and below it the member: one name or more.
    pub path: Vec<String>,
    /// What becomes of it.
    pub op: Op,
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    /// It gets this value; objects on the way are made where they are missing. An object that is there already keeps the layout of
    /// the members that do not change.
    Set(Value),
    /// It goes; an object that becomes empty stays.
    Remove,
    /// These texts go from the list; a list that becomes empty stays.
    RemoveElements(Vec<String>),
}

/// daemon.json as it was read.
#[derive(Debug, Clone)]
pub struct Document {
    /// Without the byte order mark.
    text: String,
    bom: bool,
    missing: bool,
    /// `None` when there is nothing but white space.
    root: Option<Node>,
    value: Value,
}

impl Document {
    /// Reads the bytes of a file; names all mistakes that can be told apart.
    ///
    /// A file that is empty or blank is read as one without keys; see [`Document::is_blank`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let (bom, bytes) = match bytes.strip_prefix(BOM) {
            Some(rest) => (true, rest),
            None => (false, bytes),
        };
        let text = decode(bytes).map_err(|problem| vec![problem])?;
        let root = json_text::scan(text).map_err(|mistakes| {
            mistakes
                .into_iter()
                .map(|mistake| Problem::at(json_text::line_column(text, mistake.at), mistake.what, mistake.help.as_deref()))
                .collect::<Vec<_>>()
        })?;
        let value = match &root {
            None => Value::Object(Map::new()),
            Some(root) => read_object(text, root).map_err(|problem| vec![problem])?,
        };
        Ok(Document { text: text.to_owned(), bom, missing: false, root, value })
    }

    /// Stands for a file that is not there. Edits make one that is indented by two spaces and ends in a newline.
    pub fn empty() -> Self {
        Document { text: String::new(), bom: false, missing: true, root: None, value: Value::Object(Map::new()) }
    }

    /// What it says: an object.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The value at a key, or below it.
    pub fn get(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.value, |value, name| value.as_object()?.get(*name))
    }

    /// Line and column (from 1, in characters) of a key.
    pub fn position(&self, path: &[&str]) -> Option<(usize, usize)> {
        let (last, parents) = path.split_last()?;
        let parent = parents.iter().try_fold(self.root.as_ref()?, |node, name| Some(&node.member(name)?.value))?;
        Some(json_text::line_column(&self.text, parent.member(last)?.start))
    }

    /// The keys of the top level in the order of the file.
    pub fn keys_in_order(&self) -> Vec<&str> {
        let members = self.root.as_ref().and_then(Node::members).unwrap_or_default();
        members.iter().map(|member| member.name.as_str()).collect()
    }

    /// Whether it begins with a UTF-8 byte order mark, which dockerd 20.10 refuses.
    pub fn has_bom(&self) -> bool {
        self.bom
    }

    /// Whether the file is there but holds nothing but white space, which dockerd 20.10 refuses.
    pub fn is_blank(&self) -> bool {
        self.root.is_none() && !self.missing
    }

    /// The file with these edits, made one after the other.
    ///
    /// The same bytes when the edits ask for what is there already. The result has been read again and compared with what was
    /// asked for; an error says which key cannot be edited, and why.
    pub fn apply(&self, edits: &[Edit]) -> Result<Vec<u8>, Problem> {
        let mut current = self.clone();
        if current.root.is_none() {
            current = Self::parse_text(format!("{{}}{}", newline_of(&self.text)), self.bom)?;
        }
        for edit in edits {
            for step in current.steps(edit) {
                current = current.step(&step)?;
            }
        }
        if current.value == self.value {
            return Ok(self.bytes());
        }
        Ok(current.bytes())
    }

    /// The file as it is.
    pub fn bytes(&self) -> Vec<u8> {
        let bom: &[u8] = if self.bom { BOM } else { b"" };
        [bom, self.text.as_bytes()].concat()
    }

    /// An edit as edits that each change one place: an object over an object becomes edits of its members.
    fn steps(&self, edit: &Edit) -> Vec<Edit> {
        let path: Vec<&str> = edit.path.iter().map(String::as_str).collect();
        let (Op::Set(Value::Object(wanted)), Some(Value::Object(present))) = (&edit.op, self.get(&path)) else {
            return vec![edit.clone()];
        };
        if present.is_empty() {
            return vec![edit.clone()];
        }
        let below = |name: &String, op| Edit { path: [edit.path.as_slice(), std::slice::from_ref(name)].concat(), op };
        let gone = present.keys().filter(|name| !wanted.contains_key(*name)).map(|name| below(name, Op::Remove));
        let set = wanted.iter().flat_map(|(name, value)| self.steps(&below(name, Op::Set(value.clone()))));
        gone.chain(set).collect()
    }

    fn step(self, edit: &Edit) -> Result<Self, Problem> {
        let Some(expected) = changed(&self.value, &edit.path, &edit.op) else {
            return Err(self.cannot_reach(edit));
        };
        if expected == self.value {
            return Ok(self);
        }
        let edited = match &edit.op {
            Op::Set(value) => self.set(&edit.path, value),
            Op::Remove => self.remove(&edit.path),
            Op::RemoveElements(unwanted) => return self.remove_elements(edit, unwanted, &expected),
        };
        self.read_again(edited, &expected)
    }

    fn set(&self, path: &[String], value: &Value) -> Option<String> {
        let root = self.root.as_ref()?;
        let layout = Layout::of(&self.text, root);
        let mut node = root;
        for (depth, name) in path.iter().enumerate() {
            match node.member(name) {
                Some(member) => node = &member.value,
                None => return Some(layout.insert(node, name, &wrapped(&path[depth + 1..], value))),
            }
        }
        Some(layout.replace(node, value))
    }

    fn remove(&self, path: &[String]) -> Option<String> {
        let root = self.root.as_ref()?;
        let (last, parents) = path.split_last()?;
        let parent = parents.iter().try_fold(root, |node, name| Some(&node.member(name)?.value))?;
        let index = parent.members()?.iter().position(|member| member.name == *last)?;
        Some(Layout::of(&self.text, root).remove(parent, index))
    }

    fn remove_elements(mut self, edit: &Edit, unwanted: &[String], expected: &Value) -> Result<Self, Problem> {
        let path: Vec<&str> = edit.path.iter().map(String::as_str).collect();
        let find = |document: &Self| document.get(&path)?.as_array()?.iter().position(|element| is_one_of(element, unwanted));
        let before = self.root.clone();
        while let Some(index) = find(&self) {
            let Some(root) = &self.root else { break };
            let Some(list) = edit.path.iter().try_fold(root, |node, name| Some(&node.member(name)?.value)) else { break };
            let edited = Layout::of(&self.text, root).remove(list, index);
            self = Self::parse_text(edited, self.bom)?;
        }
        self.checked(before.as_ref(), expected)
    }

    fn read_again(&self, edited: Option<String>, expected: &Value) -> Result<Self, Problem> {
        Self::parse_text(edited.ok_or_else(went_wrong)?, self.bom)?.checked(self.root.as_ref(), expected)
    }

    /// Itself, if it says what is expected and keys that were there before stand in their old order.
    fn checked(self, before: Option<&Node>, expected: &Value) -> Result<Self, Problem> {
        let in_order = before.zip(self.root.as_ref()).is_some_and(|(old, new)| same_order(old, new));
        if in_order && self.value == *expected { Ok(self) } else { Err(went_wrong()) }
    }

    fn parse_text(text: String, bom: bool) -> Result<Self, Problem> {
        let document = Self::parse(text.as_bytes()).map_err(|_| went_wrong())?;
        Ok(Document { bom, ..document })
    }

    fn cannot_reach(&self, edit: &Edit) -> Problem {
        let path: Vec<&str> = edit.path.iter().map(String::as_str).collect();
        let Some(last) = path.last() else {
            return Problem::at((1, 1), "an edit without a key", None);
        };
        // The first step on the way that is there but is no object is in the way; without one, the value itself is.
        let blocks = |length: &usize| self.get(&path[..*length]).is_some_and(|value| !value.is_object());
        let blocking = (1..path.len()).find(blocks).unwrap_or(path.len());
        let position = self.position(&path[..blocking]).unwrap_or((1, 1));
        let name = printable(&path[..blocking].join("."));
        let what = if blocking == path.len() {
            format!("`{name}` is not a list; expected a list to remove elements from")
        } else {
            format!("`{name}` is not an object; expected an object for `{}`", printable(last))
        };
        Problem::at(position, what, Some("correct this value by hand"))
    }
}

fn went_wrong() -> Problem {
    Problem::at((1, 1), "the edited file would not say what was asked for; nothing was written", Some("edit this file by hand"))
}

/// Whether the members that both objects have stand in the same order, at every depth.
fn same_order(old: &Node, new: &Node) -> bool {
    let (Some(old_members), Some(new_members)) = (old.members(), new.members()) else {
        return true;
    };
    let kept_old = old_members.iter().filter(|member| new.member(&member.name).is_some());
    let kept_new = new_members.iter().filter(|member| old.member(&member.name).is_some());
    kept_old.zip(kept_new).all(|(old, new)| old.name == new.name && same_order(&old.value, &new.value))
}

/// The text of the bytes, or why they have none.
fn decode(bytes: &[u8]) -> Result<&str, Problem> {
    let utf_16 = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..]);
    if utf_16 {
        let help = "convert it: iconv -f UTF-16 -t UTF-8";
        return Err(Problem::at((1, 1), "the file is UTF-16; expected UTF-8", Some(help)));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Problem::at(json_text::line_column(&valid, valid.len()), "a byte that is not UTF-8; expected UTF-8 text", None)
    })
}

fn read_object(text: &str, root: &Node) -> Result<Value, Problem> {
    let position = json_text::line_column(text, root.start);
    let what = match &root.kind {
        Kind::Object(_) => {
            return serde_json::from_str(text).map_err(|_| Problem::at(position, "not JSON; expected a JSON object", None));
        }
        Kind::Array(_) => "the top level is an array, not an object",
        Kind::Text => "the top level is a text, not an object",
        Kind::Plain if text[root.start..root.end] == *"null" => "the top level is null, not an object",
        Kind::Plain => "the top level is a plain value, not an object",
    };
    Err(Problem::at(position, format!("{what}; expected {{ … }}"), None))
}

/// The value as it must be after an edit; `None` when something else stands where the edit wants an object or a list.
fn changed(value: &Value, path: &[String], op: &Op) -> Option<Value> {
    let mut value = value.clone();
    let (last, parents) = path.split_last()?;
    let mut object = value.as_object_mut()?;
    for name in parents {
        if !object.contains_key(name) && !matches!(op, Op::Set(_)) {
            return Some(value);
        }
        object = object.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())).as_object_mut()?;
    }
    match op {
        Op::Set(new) => _ = object.insert(last.clone(), new.clone()),
        Op::Remove => _ = object.remove(last),
        Op::RemoveElements(unwanted) => {
            if let Some(list) = object.get_mut(last) {
                list.as_array_mut()?.retain(|element| !is_one_of(element, unwanted));
            }
        }
    }
    Some(value)
}

fn is_one_of(element: &Value, texts: &[String]) -> bool {
    element.as_str().is_some_and(|element| texts.iter().any(|text| text == element))
}

/// The value inside one object for each name.
fn wrapped(names: &[String], value: &Value) -> Value {
    names.iter().rev().fold(value.clone(), |value, name| Value::Object(Map::from_iter([(name.clone(), value)])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn edit(path: &str, op: Op) -> Edit {
        Edit { path: path.split('/').map(str::to_owned).collect(), op }
    }

    fn set(path: &str, value: Value) -> Edit {
        edit(path, Op::Set(value))
    }

    fn without(path: &str, elements: &[&str]) -> Edit {
        edit(path, Op::RemoveElements(elements.iter().map(|element| (*element).to_owned()).collect()))
    }

    fn apply(text: &str, edits: &[Edit]) -> String {
        let document = Document::parse(text.as_bytes()).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}"));
        let edited = document.apply(edits).unwrap_or_else(|problem| panic!("{text:?}: {problem}"));
        let again = Document::parse(&edited).unwrap().apply(edits).unwrap();
        assert_eq!(again, edited, "a second run changed something");
        String::from_utf8(edited).unwrap()
    }

    fn problems(bytes: &[u8]) -> Vec<String> {
        Document::parse(bytes).err().unwrap_or_default().iter().map(Problem::to_string).collect()
    }

    /// What hardening typically asks for.
    fn hardening() -> Vec<Edit> {
        vec![
            set("live-restore", json!(true)),
            set("icc", json!(false)),
            set("log-opts/syslog-address", json!("tcp://log:514")),
            without("insecure-registries", &["10.0.0.0/8"]),
            edit("hosts", Op::Remove),
        ]
    }

    #[test]
    fn reads_values_places_and_order() {
        let text = "\u{feff}{\r\n\t\"log-opts\": {\"ü\": 1, \"max-size\": \"10m\"},\r\n\t\"icc\": true }";
        let document = Document::parse(text.as_bytes()).unwrap();
        assert_eq!(document.keys_in_order(), ["log-opts", "icc"]);
        assert_eq!(document.position(&["log-opts", "max-size"]), Some((2, 23)));
        assert_eq!(document.position(&["icc"]), Some((3, 2)));
        assert_eq!(document.position(&["none"]), None);
        assert_eq!(document.position(&[]), None);
        assert_eq!(document.get(&["log-opts", "max-size"]), Some(&json!("10m")));
        assert!(document.has_bom());
        assert_eq!(document.bytes(), text.as_bytes());
    }

    #[test]
    fn bad_files_are_named_with_their_place() {
        let table: &[(&[u8], &str)] = &[
            (b"[\"icc\"]", "1:1: the top level is an array, not an object; expected { \u{2026} }"),
            (b"\n null", "2:2: the top level is null, not an object; expected { \u{2026} }"),
            (b"\"secret\"", "1:1: the top level is a text, not an object; expected { \u{2026} }"),
            (b"12", "1:1: the top level is a plain value, not an object; expected { \u{2026} }"),
            (b"{\n\"a\": \"\xc3\xbc\xff\"}", "2:8: a byte that is not UTF-8; expected UTF-8 text"),
            (b"\xff\xfe{\0}\0", "1:1: the file is UTF-16; expected UTF-8"),
            (b"\0{\0}", "1:1: the file is UTF-16; expected UTF-8"),
            (b"{\0}\0", "1:1: the file is UTF-16; expected UTF-8"),
            ("{\"ü\": 1e999}".as_bytes(), "1:7: a number that is too large"),
            (b"{\"icc\": true,\n \"icc\": false}", "2:2: key `icc` is given twice (first at line 1)"),
        ];
        for (bytes, expected) in table {
            assert_eq!(problems(bytes), [*expected], "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(problems(b"{// x\n 'icc': 1,\n}").len(), 3, "all mistakes of one file in one run");
    }

    #[test]
    fn messages_never_show_values() {
        let bad =
            ["{\"k\": \"hunter2\",}", "{\"k\": hunter2}", "{\"k\": 'hunter2'}", "{\"k\": \"hunter2}", "hunter2", "{} hunter2"];
        for text in bad {
            let shown = problems(text.as_bytes()).join("\n");
            assert!(!shown.is_empty() && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_blank_or_missing_file_becomes_a_two_space_one() {
        let edits = [set("icc", json!(false)), set("log-opts/max-size", json!("10m"))];
        let expected = "{\n  \"icc\": false,\n  \"log-opts\": {\n    \"max-size\": \"10m\"\n  }\n}\n";
        assert_eq!(String::from_utf8(Document::empty().apply(&edits).unwrap()).unwrap(), expected);
        assert_eq!(apply("", &edits), expected);
        assert_eq!(apply(" \n", &edits), expected);
        assert_eq!(apply("\r\n", &edits[..1]), "{\r\n  \"icc\": false\r\n}\r\n");
        assert_eq!(apply(" \n", &[edit("icc", Op::Remove)]), " \n");
        assert!(Document::parse(b" \n").unwrap().is_blank());
        assert!(!Document::empty().is_blank() && !Document::parse(b"{}").unwrap().is_blank());
    }

    #[test]
    fn every_style_stays_as_it_is() {
        let table = [
            (
                "{\n    \"hosts\": [\"fd://\"],\n    \"insecure-registries\": [ \"r:5000\", \"10.0.0.0/8\" ],\n    \"debug\": true\n}\n",
                "{\n    \"insecure-registries\": [ \"r:5000\" ],\n    \"debug\": true,\n    \"live-restore\": true,\n    \"icc\": false,\n    \"log-opts\": {\n        \"syslog-address\": \"tcp://log:514\"\n    }\n}\n",
            ),
            (
                "{\n  \"log-opts\": {\n    \"tag\": \"x\"\n  },\n  \"insecure-registries\": [\n    \"10.0.0.0/8\",\n    \"r:5000\"\n  ]\n}\n",
                "{\n  \"log-opts\": {\n    \"tag\": \"x\",\n    \"syslog-address\": \"tcp://log:514\"\n  },\n  \"insecure-registries\": [\n    \"r:5000\"\n  ],\n  \"live-restore\": true,\n  \"icc\": false\n}\n",
            ),
            (
                "{}\n",
                "{\n  \"live-restore\": true,\n  \"icc\": false,\n  \"log-opts\": {\n    \"syslog-address\": \"tcp://log:514\"\n  }\n}\n",
            ),
            (
                "{\n\t\"log-opts\": { \"tag\": \"x\" },\n\t\"icc\": true\n}\n",
                "{\n\t\"log-opts\": { \"tag\": \"x\", \"syslog-address\": \"tcp://log:514\" },\n\t\"icc\": false,\n\t\"live-restore\": true\n}\n",
            ),
            (
                "{\n  \"hosts\": [],\n  \"log-opts\": {\"tag\":\"x\"}\n}",
                "{\n  \"log-opts\": {\"tag\":\"x\",\"syslog-address\":\"tcp://log:514\"},\n  \"live-restore\": true,\n  \"icc\": false\n}",
            ),
            (
                "{\r\n  \"debug\": true,\r\n  \"hosts\": []\r\n}\r\n",
                "{\r\n  \"debug\": true,\r\n  \"live-restore\": true,\r\n  \"icc\": false,\r\n  \"log-opts\": {\r\n    \"syslog-address\": \"tcp://log:514\"\r\n  }\r\n}\r\n",
            ),
            (
                "\u{feff}{\n  \"icc\": false, \"log-opts\": {\"syslog-address\": \"tcp://log:514\"}\n}\n",
                "\u{feff}{\n  \"icc\": false, \"log-opts\": {\"syslog-address\": \"tcp://log:514\"}, \"live-restore\": true\n}\n",
            ),
            (
                "{\"hosts\":[],\"icc\":true,\"insecure-registries\":[\"a\",\"10.0.0.0/8\",\"b\"]}",
                "{\"icc\":false,\"insecure-registries\":[\"a\",\"b\"],\"live-restore\":true,\"log-opts\":{\"syslog-address\":\"tcp://log:514\"}}",
            ),
            (
                "{ \"icc\": true, \"hosts\": [] }\n",
                "{ \"icc\": false, \"live-restore\": true, \"log-opts\": { \"syslog-address\": \"tcp://log:514\" } }\n",
            ),
            (
                "{\n  \"icc\"      : true,\n\n  \"mtu\"      : 1.5e1,\n  \"data-root\": \"\\/v\\u00e9\",\n\n  \"hosts\"    : []\n}\n",
                "{\n  \"icc\"      : false,\n\n  \"mtu\"      : 1.5e1,\n  \"data-root\": \"\\/v\\u00e9\",\n\n  \"live-restore\": true,\n  \"log-opts\" : {\n    \"syslog-address\": \"tcp://log:514\"\n  }\n}\n",
            ),
            (
                "{\n  \"icc\":       true,\n  \"data-root\": \"/v\"\n}\n",
                "{\n  \"icc\":       false,\n  \"data-root\": \"/v\",\n  \"live-restore\": true,\n  \"log-opts\":  {\n    \"syslog-address\": \"tcp://log:514\"\n  }\n}\n",
            ),
            (
                "{ \"icc\": true\n, \"hosts\": []\n, \"insecure-registries\": [ \"10.0.0.0/8\" ]\n}\n",
                "{ \"icc\": false\n, \"insecure-registries\": []\n, \"live-restore\": true\n, \"log-opts\": {\n  \"syslog-address\": \"tcp://log:514\"\n}\n}\n",
            ),
            (
                "{\n    \"icc\" : true\n  , \"hosts\" : []\n  , \"mtu\" : 9000\n}\n",
                "{\n    \"icc\" : false\n  , \"mtu\" : 9000\n  , \"live-restore\" : true\n  , \"log-opts\" : {\n      \"syslog-address\" : \"tcp://log:514\"\n  }\n}\n",
            ),
            (
                "{ \"icc\": true\n}\n",
                "{ \"icc\": false\n, \"live-restore\": true\n, \"log-opts\": {\n  \"syslog-address\": \"tcp://log:514\"\n}\n}\n",
            ),
        ];
        for (before, after) in table {
            assert_eq!(apply(before, &hardening()), after, "\n--- from\n{before}");
        }
    }

    #[test]
    fn what_is_there_already_is_not_touched() {
        let text = "{ \"icc\" :false,\n\"log-opts\":{\n\"max-size\" :  \"\\u0031m\"},\"dns\": [ ] , \"mtu\": 1e1 }";
        let edits = [
            set("icc", json!(false)),
            set("log-opts", json!({"max-size": "1m"})),
            set("log-opts/max-size", json!("1m")),
            without("dns", &["x"]),
            without("labels", &["x"]),
            edit("hosts", Op::Remove),
            edit("log-opts/tag", Op::Remove),
            edit("icc/tag/more", Op::Remove),
            set("mtu", json!(10.0)),
        ];
        for edit in edits.into_iter().filter(|edit| edit.path[0] != "icc" || edit.path.len() == 1) {
            assert_eq!(apply(text, std::slice::from_ref(&edit)), text, "{edit:?}");
        }
        assert_eq!(apply(text, &[set("mtu", json!(10))]), text.replace("1e1", "10"), "10.0 is no integer to dockerd");
    }

    #[test]
    fn an_object_over_an_object_keeps_the_members_that_stay() {
        let text = "{\n  \"log-opts\": {\n    \"tag\" : \"x\",\n    \"mode\" : \"m\"\n  }\n}\n";
        assert_eq!(
            apply(text, &[set("log-opts", json!({"mode": "m", "env": "e"}))]),
            "{\n  \"log-opts\": {\n    \"mode\" : \"m\",\n    \"env\" : \"e\"\n  }\n}\n"
        );
        assert_eq!(apply(text, &[set("log-opts", json!({}))]), "{\n  \"log-opts\": {}\n}\n");
    }

    #[test]
    fn lists_and_objects_are_written_like_the_others() {
        let multi_line = "{\n  \"dns\": [\n    \"1.1.1.1\"\n  ]\n}\n";
        assert_eq!(
            apply(multi_line, &[set("labels", json!(["a=b", "c=d"]))]),
            "{\n  \"dns\": [\n    \"1.1.1.1\"\n  ],\n  \"labels\": [\n    \"a=b\",\n    \"c=d\"\n  ]\n}\n"
        );
        assert_eq!(
            apply("{\n  \"icc\": true\n}\n", &[set("labels", json!(["a=b", "c=d"]))]),
            "{\n  \"icc\": true,\n  \"labels\": [\"a=b\", \"c=d\"]\n}\n"
        );
        assert_eq!(
            apply("{\n  \"dns\": [ \"1.1.1.1\" ]\n}\n", &[set("dns", json!(["a", "b"]))]),
            "{\n  \"dns\": [ \"a\", \"b\" ]\n}\n"
        );
        assert_eq!(
            apply("{\n  \"icc\": true\n}\n", &[set("default-address-pools", json!([{"base": "10.0.0.0/8", "size": 24}]))]),
            "{\n  \"icc\": true,\n  \"default-address-pools\": [\n    {\n      \"base\": \"10.0.0.0/8\",\n      \"size\": 24\n    }\n  ]\n}\n"
        );
    }

    #[test]
    fn what_stands_in_the_way_is_named() {
        let refuse = |text: &str, edit: Edit| Document::parse(text.as_bytes()).unwrap().apply(&[edit]).unwrap_err().to_string();
        let text = "{\n  \"log-opts\": \"x\",\n  \"dns\": {\"a\": null}\n}";
        assert_eq!(
            refuse(text, set("log-opts/max-size", json!("1m"))),
            "2:3: `log-opts` is not an object; expected an object for `max-size`"
        );
        assert_eq!(refuse(text, set("dns/a/b", json!(1))), "3:11: `dns.a` is not an object; expected an object for `b`");
        assert_eq!(refuse(text, without("dns", &["x"])), "3:3: `dns` is not a list; expected a list to remove elements from");
        assert_eq!(refuse(text, Edit { path: vec![], op: Op::Remove }), "1:1: an edit without a key");
    }

    /// Lines that differ: (removed, added).
    fn diff(before: &str, after: &str) -> (usize, usize) {
        let diff = similar::TextDiff::from_lines(before, after);
        let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
        (count(similar::ChangeTag::Delete), count(similar::ChangeTag::Insert))
    }

    #[test]
    fn in_a_hundred_lines_one_key_is_one_line() {
        let labels: Vec<String> = (0..97).map(|n| format!("    \"name{n}=value\"")).collect();
        let text = format!("{{\n  \"labels\": [\n{}\n  ],\n  \"icc\": true\n}}\n", labels.join(",\n"));
        assert_eq!(text.lines().count(), 102);
        let table = [
            (set("icc", json!(false)), (1, 1)),
            (set("live-restore", json!(true)), (1, 2)),
            (without("labels", &["name50=value"]), (1, 0)),
            (without("labels", &["name0=value"]), (1, 0)),
            (without("labels", &["name96=value"]), (2, 1)),
            (edit("icc", Op::Remove), (2, 1)),
            (edit("labels", Op::Remove), (99, 0)),
        ];
        for (edit, expected) in table {
            assert_eq!(diff(&text, &apply(&text, std::slice::from_ref(&edit))), expected, "{edit:?}");
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof!["[a-d]", Just("é\"\\".to_owned())]
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[ a-c,:{}\"é]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key(), inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// A value written with white space drawn from `spaces`, in any style at all.
    fn write(value: &Value, spaces: &mut impl Iterator<Item = &'static str>) -> String {
        let mut space = || spaces.next().unwrap_or_default();
        let (open, parts, close): (_, Vec<(String, &Value)>, _) = match value {
            Value::Array(elements) => ('[', elements.iter().map(|element| (String::new(), element)).collect(), ']'),
            Value::Object(members) => {
                let entry = |(name, value)| (format!("{}{}:{}", Value::String(String::clone(name)), space(), space()), value);
                ('{', members.iter().map(entry).collect(), '}')
            }
            plain => return plain.to_string(),
        };
        let mut text = format!("{open}{}", spaces.next().unwrap_or_default());
        for (index, (prefix, value)) in parts.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            text += &format!("{comma}{}{prefix}{}", spaces.next().unwrap_or_default(), write(value, spaces));
            text += spaces.next().unwrap_or_default();
        }
        format!("{text}{close}")
    }

    fn any_edit() -> impl Strategy<Value = Edit> {
        let op = prop_oneof![
            any_value().prop_map(Op::Set),
            Just(Op::Remove),
            prop::collection::vec("[ a-c,:{}\"é]{0,1}", 0..3).prop_map(Op::RemoveElements),
        ];
        (prop::collection::vec(key(), 1..4), op).prop_map(|(path, op)| Edit { path, op })
    }

    fn any_text() -> impl Strategy<Value = String> {
        let spaces = prop::collection::vec(
            prop::sample::select(vec!["", "", " ", " ", "\n", "\n  ", "\r\n\t", "\n\n    ", "  "]),
            1..12,
        );
        let object = prop::collection::btree_map(key(), any_value(), 0..5);
        (object, spaces)
            .prop_map(|(map, spaces)| write(&Value::Object(map.into_iter().collect()), &mut spaces.into_iter().cycle()))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn edits_mean_what_they_say_and_a_second_run_changes_nothing(text in any_text(), edit in any_edit()) {
            let document = Document::parse(text.as_bytes()).unwrap();
            let Some(expected) = changed(document.value(), &edit.path, &edit.op) else {
                prop_assert!(document.apply(&[edit]).is_err());
                return Ok(());
            };
            let edited = document.apply(std::slice::from_ref(&edit)).unwrap();
            let after = Document::parse(&edited).unwrap();
            prop_assert_eq!(after.value(), &expected);
            prop_assert_eq!(after.apply(&[edit]).unwrap(), edited.clone());
            if expected == *document.value() {
                prop_assert_eq!(edited, text.as_bytes());
            }
        }

        #[test]
        fn no_input_panics(text in "[\\[\\]{}:,\"'/*#\\\\ua1.eE+-tnéX \n]{0,24}", bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let _ = Document::parse(&bytes);
            // Two readers that know nothing of each other agree on what JSON is.
            let blank = text.trim().is_empty();
            let scanned = json_text::scan(&text).is_ok();
            let twice = json_text::scan(&text).is_err_and(|mistakes| mistakes.iter().all(|mistake| mistake.what.contains("twice")));
            prop_assert_eq!(serde_json::from_str::<Value>(&text).is_ok() || blank, scanned || twice, "{}", text);
        }
    }
}
