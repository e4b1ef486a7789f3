//! dockerd's flags brought to what is wanted of a key: which words go, and which come in their place.
//!
//! Values are corrected where they stand. A word that comes is always of the long form `--flag=value`; what does not speak of the key
//! stays as it is.

use serde_json::Value;

use super::argv::{self, Given, Piece, What, pieces};
use super::daemon_json::{Edit, Op};
use super::daemon_keys::{Flag, JsonType, Key, Status, lookup};

/// A word of the edited command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its text.
    pub text: String,
    /// The argument that it is or, where it is new, in whose place it stands.
    pub at: usize,
    /// It was not there before.
    pub new: bool,
}

/// The command line `args` after these edits of keys, in order.
///
/// An edit means of the flags what it means of daemon.json: its path names a key, or a key and a member. Setting a value replaces the
/// flags that give the key (or member); of an object that flags give, a member that they lack is added.
///
/// # Errors
/// When the value can't be said in flags, or nothing gives the key that is to be set.
pub fn edit(args: &[String], edits: &[Edit]) -> Result<Vec<Item>, String> {
    let items = args.iter().enumerate().map(|(at, text)| Item { text: text.clone(), at, new: false }).collect();
    edits.iter().try_fold(items, step)
}

fn step(items: Vec<Item>, edit: &Edit) -> Result<Vec<Item>, String> {
    let name = edit.path.join(".");
    let wish = Wish::of(edit).ok_or_else(|| format!("`{name}` can't be said in flags of dockerd"))?;
    let before: Vec<String> = items.iter().map(|item| item.text.clone()).collect();
    let mut out: Vec<Item> = Vec::new();
    // Where what is new goes: in the place of the first flag that went, else behind the last that speaks of the key.
    let (mut instead, mut behind) = (None, None);
    for piece in pieces(&before) {
        let words = &items[piece.index..piece.index + 1 + usize::from(piece.next.is_some())];
        if !piece.whats.iter().any(|what| wish.ends(what)) {
            out.extend_from_slice(words);
            let speaks = piece.whats.iter().any(|what| wish.speaks_of(what));
            behind = if speaks { words.last().map(|word| (out.len(), word.at)) } else { behind };
            continue;
        }
        let at = words[0].at;
        instead = instead.or(Some((out.len(), at)));
        out.extend(wish.others_of(&piece)?.into_iter().map(|text| Item { text, at, new: true }));
    }
    if !wish.words.is_empty() {
        let (index, at) = instead.or(behind).ok_or_else(|| format!("no flag of dockerd gives `{name}`"))?;
        let new = wish.words.iter().map(|text| Item { text: text.clone(), at, new: true });
        out.splice(index..index, new);
    }
    let after: Vec<String> = out.iter().map(|item| item.text.clone()).collect();
    match wish.is_met(&before, &after) {
        true => Ok(out),
        false => Err(format!("`{name}` can't be corrected in these flags")),
    }
}

/// An edit, in terms of flags.
struct Wish<'e> {
    key: &'static Key,
    member: Option<&'e str>,
    op: &'e Op,
    /// The flags that say what is to be set.
    words: Vec<String>,
}

impl<'e> Wish<'e> {
    /// `None` where flags can't say it.
    fn of(edit: &'e Edit) -> Option<Self> {
        let (name, member) = match edit.path.as_slice() {
            [name] => (name, None),
            [name, member] => (name, Some(member.as_str())),
            _ => return None,
        };
        let key = lookup(name).filter(|key| key.status == Status::Effective && !key.flags.is_empty())?;
        let by_member = matches!(key.json_type, JsonType::TextsByName | JsonType::BoolsByName | JsonType::Object);
        let words = match (&edit.op, member) {
            (_, Some(_)) if !by_member => return None,
            (Op::Remove, _) => Vec::new(),
            (Op::RemoveElements(_), None) if key.json_type == JsonType::Texts => Vec::new(),
            (Op::RemoveElements(_), _) => return None,
            (Op::Set(value), None) => spelled(key, value)?,
            (Op::Set(value), Some(member)) => vec![spelled_member(key, member, value)?],
        };
        Some(Self { key, member, op: &edit.op, words })
    }

    fn speaks_of(&self, what: &What) -> bool {
        matches!(what, What::Flag { key, .. } if key.name == self.key.name)
    }

    /// Whether a flag must go.
    fn ends(&self, what: &What) -> bool {
        let What::Flag { key, flag, value } = what else { return false };
        if key.name != self.key.name {
            return false;
        }
        match (self.op, self.member) {
            (Op::RemoveElements(unwanted), _) => value.text().is_some_and(|text| unwanted.iter().any(|one| one == text)),
            (_, None) => true,
            (_, Some(member)) if key.json_type == JsonType::Object => flag.name == member,
            (_, Some(member)) => value.text().is_some_and(|text| text.split('=').next() == Some(member)),
        }
    }

    /// The other letters behind the same dash, each as a flag of its own.
    fn others_of(&self, piece: &Piece) -> Result<Vec<String>, String> {
        let others = piece.whats.iter().filter(|what| !self.ends(what));
        others
            .map(|what| match what {
                What::Flag { flag, value: Given::Implied, .. } => Ok(format!("--{}", flag.name)),
                What::Flag { flag, value: Given::Attached(text) | Given::Next(text), .. } => Ok(long(flag, text)),
                _ => Err(format!("what stands behind one dash with `{}` is no flag of dockerd", self.key.name)),
            })
            .collect()
    }

    /// Whether the edited command line says what was wished, and else what it said before.
    fn is_met(&self, before: &[String], after: &[String]) -> bool {
        let (before, after) = (argv::parse(before), argv::parse(after));
        let value = after.get(self.key.name);
        let value = match self.member {
            Some(member) => value.and_then(|value| value.get(member)),
            None => value,
        };
        let met = match self.op {
            Op::Remove => value.is_none(),
            Op::RemoveElements(unwanted) => {
                let elements = value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
                elements.into_iter().all(|element| !unwanted.iter().any(|one| one == element))
            }
            // An empty list is one without flags.
            Op::Set(_) if self.words.is_empty() => value.is_none(),
            Op::Set(wanted) => value.is_some_and(|value| plain(value) == plain(wanted)),
        };
        let others = |flags: &argv::DaemonFlags| {
            let mut values = flags.values.clone();
            values.remove(self.key.name);
            (values, flags.words.len(), flags.unknown.len())
        };
        met && others(&before) == others(&after)
    }
}

fn long(flag: &Flag, text: &str) -> String {
    format!("--{}={text}", flag.name)
}

/// The flags that give a key this value.
fn spelled(key: &Key, value: &Value) -> Option<Vec<String>> {
    let flag = key.flags.first()?;
    match (key.json_type, value) {
        (JsonType::Bool, Value::Bool(_)) | (JsonType::Int, Value::Number(_)) | (JsonType::Text, Value::String(_)) => {
            Some(vec![long(flag, &scalar(value)?)])
        }
        (JsonType::Texts, Value::Array(elements)) => {
            elements.iter().map(|element| Some(long(flag, element.as_str()?))).collect()
        }
        (JsonType::TextsByName | JsonType::BoolsByName, Value::Object(members)) => {
            members.iter().map(|(name, value)| spelled_member(key, name, value)).collect()
        }
        _ => None,
    }
}

/// The flag that gives one member of a key this value.
fn spelled_member(key: &Key, member: &str, value: &Value) -> Option<String> {
    match key.json_type {
        JsonType::TextsByName if !member.contains('=') => {
            Some(long(key.flags.first()?, &format!("{member}={}", scalar(value)?)))
        }
        JsonType::BoolsByName if !member.contains('=') => {
            Some(long(key.flags.first()?, &format!("{member}={}", value.as_bool()?)))
        }
        JsonType::Object => {
            let flag = key.flags.iter().find(|flag| flag.name == member && flag.name != key.name)?;
            Some(long(flag, value.as_str()?))
        }
        _ => None,
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// A value in which numbers and texts that say the same are equal: flags give texts where a row may name a number.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Number(number) => Value::from(number.to_string()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn wish(path: &str, op: Op) -> Edit {
        Edit { path: path.split('/').map(str::to_owned).collect(), op }
    }

    fn set(path: &str, value: Value) -> Edit {
        wish(path, Op::Set(value))
    }

    fn without(path: &str, elements: &[&str]) -> Edit {
        wish(path, Op::RemoveElements(elements.iter().map(|&element| element.to_owned()).collect()))
    }

    fn edited(line: &str, edits: &[Edit]) -> String {
        match edit(&words(line), edits) {
            Ok(items) => items.into_iter().map(|item| item.text).collect::<Vec<_>>().join(" "),
            Err(why) => why,
        }
    }

    #[test]
    fn values_are_corrected_where_they_stand() {
        let no_icc = || set("icc", json!(false));
        let no_debug = || set("debug", json!(false));
        let info = || set("log-level", json!("info"));
        let table = [
            ("dockerd -H fd:// --icc=true --mtu 1", no_icc(), "dockerd -H fd:// --icc=false --mtu 1"),
            ("dockerd --icc -D", no_icc(), "dockerd --icc=false -D"),
            ("dockerd --icc -D --icc=1", no_icc(), "dockerd --icc=false -D"),
            ("dockerd --log-level debug --icc", info(), "dockerd --log-level=info --icc"),
            ("dockerd -l debug -ldebug", info(), "dockerd --log-level=info"),
            ("dockerd -D", no_debug(), "dockerd --debug=false"),
            ("dockerd -D=true --icc", wish("debug", Op::Remove), "dockerd --icc"),
            ("dockerd -DH fd:// --icc", no_debug(), "dockerd --debug=false --host=fd:// --icc"),
            ("dockerd -DHfd://", wish("debug", Op::Remove), "dockerd --host=fd://"),
            ("dockerd -DH fd:// -D", wish("hosts", Op::Remove), "dockerd --debug -D"),
            ("dockerd --iptables=false", wish("iptables", Op::Remove), "dockerd"),
            ("dockerd --mtu 9 --icc", set("mtu", json!(1500)), "dockerd --mtu=1500 --icc"),
            (
                "dockerd --insecure-registry a --icc --insecure-registry=b --insecure-registry c",
                without("insecure-registries", &["a", "c"]),
                "dockerd --icc --insecure-registry=b",
            ),
            ("dockerd --label a=b --label=c=d", set("labels", json!(["x=y", "z=1"])), "dockerd --label=x=y --label=z=1"),
            ("dockerd --label a=b --icc", set("labels", json!([])), "dockerd --icc"),
            (
                "dockerd --log-opt max-file=1 --log-opt tag=x",
                set("log-opts/max-file", json!("3")),
                "dockerd --log-opt=max-file=3 --log-opt tag=x",
            ),
            (
                "dockerd --log-opt tag=x --icc",
                set("log-opts/max-file", json!(3)),
                "dockerd --log-opt tag=x --log-opt=max-file=3 --icc",
            ),
            ("dockerd --log-opt tag=x -D", wish("log-opts/tag", Op::Remove), "dockerd -D"),
            ("dockerd --log-opt tag=x", set("log-opts", json!({"a": "1", "b": 2})), "dockerd --log-opt=a=1 --log-opt=b=2"),
            ("dockerd --feature cdi", set("features/cdi", json!(false)), "dockerd --feature=cdi=false"),
            (
                "dockerd --http-proxy=p --no-proxy q",
                set("proxies/http-proxy", json!("r")),
                "dockerd --http-proxy=r --no-proxy q",
            ),
            ("dockerd --http-proxy=p --no-proxy q", wish("proxies/no-proxy", Op::Remove), "dockerd --http-proxy=p"),
            ("dockerd --icc -- --icc", no_icc(), "dockerd --icc=false -- --icc"),
        ];
        for (line, edit, expected) in table {
            assert_eq!(edited(line, &[edit]), expected, "{line}");
        }
        assert_eq!(
            edited("dockerd -DH fd:// --icc=true", &[no_debug(), no_icc(), info()]),
            "no flag of dockerd gives `log-level`"
        );
    }

    #[test]
    fn what_flags_cannot_say_is_refused() {
        let table = [
            ("dockerd", set("icc", json!(false)), "no flag of dockerd gives `icc`"),
            ("dockerd --icc", set("icc", json!("no")), "`icc` can't be said in flags of dockerd"),
            ("dockerd --icc", set("features", json!(1)), "`features` can't be said in flags of dockerd"),
            ("dockerd --label a", set("labels/a", json!("b")), "`labels.a` can't be said in flags of dockerd"),
            ("dockerd", set("min-api-version", json!("1.44")), "`min-api-version` can't be said in flags of dockerd"),
            ("dockerd", set("nonsense", json!(1)), "`nonsense` can't be said in flags of dockerd"),
            ("dockerd -Dy", wish("debug", Op::Remove), "what stands behind one dash with `debug` is no flag of dockerd"),
            ("dockerd --log-opt a=b", set("log-opts/a=b", json!("c")), "`log-opts.a=b` can't be said in flags of dockerd"),
        ];
        for (line, edit, expected) in table {
            assert_eq!(edited(line, &[edit]), expected, "{line}");
        }
    }

    #[test]
    fn items_know_their_places() {
        let items = edit(&words("dockerd --mtu 9 --log-level debug -D"), &[set("log-level", json!("info"))]).unwrap();
        let shown: Vec<_> = items.iter().map(|item| (item.text.as_str(), item.at, item.new)).collect();
        let expected = [("dockerd", 0), ("--mtu", 1), ("9", 2)].map(|(text, at)| (text, at, false));
        assert_eq!(shown, [&expected[..], &[("--log-level=info", 3, true), ("-D", 5, false)]].concat());
    }

    proptest! {
        #[test]
        fn an_edit_says_what_was_wished_and_a_second_changes_nothing(
            line in prop::collection::vec("-{0,2}(icc|D|DH|l|log-level|log-opt|label|H|debug)(=(true|false|debug|a=b|max-file=1|x))?", 0..8),
            edit in prop::sample::select(vec![
                set("icc", json!(false)), set("debug", json!(false)), set("log-level", json!("info")), wish("debug", Op::Remove),
                set("log-opts/max-file", json!("3")), without("labels", &["x", "a=b"]), wish("hosts", Op::Remove),
            ])
        ) {
            let args: Vec<String> = std::iter::once("dockerd".to_owned()).chain(line).collect();
            if let Ok(items) = super::edit(&args, std::slice::from_ref(&edit)) {
                let once: Vec<String> = items.iter().map(|item| item.text.clone()).collect();
                let again = super::edit(&once, &[edit]).map(|items| items.into_iter().map(|item| item.text).collect::<Vec<_>>());
                prop_assert_eq!(again, Ok(once));
                // What is not new stands in its order, as it was.
                let kept: Vec<usize> = items.iter().filter(|item| !item.new).map(|item| item.at).collect();
                prop_assert!(kept.is_sorted());
                prop_assert!(items.iter().filter(|item| !item.new).all(|item| args[item.at] == item.text));
            }
        }
    }
}
