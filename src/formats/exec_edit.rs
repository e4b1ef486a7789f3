//! The `ExecStart=` of docker.service with other flags of dockerd. It is edited as text: every word that stays is kept as it is
//! written, quotes, specifiers, variables and prefixes included; lines that were continued become one.

use super::argv;
use super::daemon_json::Edit;
use super::exec_line;
use super::exec_start::{ExecStart, Written};
use super::flag_edit::{self, Item};

/// Why a command line can't be corrected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// This argument would have to go, and comes out of a variable.
    Variable(usize),
    /// For this reason.
    Because(String),
}

/// The value of `ExecStart=` whose flags are as these edits want them.
///
/// # Errors
/// When a flag that has to change comes out of a variable, or a word can't be written for certain.
pub fn corrected(start: &ExecStart, edits: &[Edit]) -> Result<String, Refusal> {
    let because = |why: &str| Refusal::Because(why.to_owned());
    let written = start.written.as_ref().ok_or_else(|| because("it is not the only command of the unit"))?;
    let args: Vec<String> = start.argv.iter().map(|word| word.text.clone()).collect();
    let items = flag_edit::edit(&args, edits).map_err(Refusal::Because)?;
    let stays = |argument: usize| items.iter().any(|item| !item.new && item.at == argument);
    let gone: Vec<usize> = (0..args.len()).filter(|&argument| !stays(argument)).collect();
    if let Some(&argument) = gone.iter().find(|&&argument| !start.argv[argument].literal) {
        return Err(Refusal::Variable(argument));
    }
    let gone: Vec<usize> = gone.iter().map(|&argument| start.argv[argument].word).collect();
    let words = words(start, written, &items, &gone).ok_or_else(|| because("a word can't be written for systemd"))?;
    let value = words.join(" ");
    // What was read is what was meant: nothing that stays flows into its neighbour or over the end of the line.
    let again = exec_line::split(&value, "");
    let same = matches!(again.commands.as_slice(), [command] if command.written == words);
    if same && value.trim() == value { Ok(value) } else { Err(because("its words can't be told apart for certain")) }
}

/// The words of the new line. What is new stands where the argument stood whose place it takes.
fn words(start: &ExecStart, written: &Written, items: &[Item], gone: &[usize]) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut next = 0;
    let mut up_to = |words: &mut Vec<String>, end: usize| {
        let kept = (next..end).filter(|word| !gone.contains(word)).filter_map(|word| written.words.get(word));
        words.extend(kept.cloned());
        next = next.max(end);
    };
    for item in items {
        let word = start.argv.get(item.at)?.word;
        // A new word whose argument stays follows it.
        up_to(&mut words, if item.new && gone.contains(&word) { word } else { word + 1 });
        if item.new {
            words.push(quoted(&item.text, written.expands)?);
        }
    }
    up_to(&mut words, written.words.len());
    Some(words)
}

/// A word as `ExecStart=` must say it to mean exactly this text; `None` where control characters make that uncertain.
fn quoted(text: &str, expands: bool) -> Option<String> {
    if text.chars().any(char::is_control) {
        return None;
    }
    let mut word = text.replace('%', "%%");
    if expands {
        word = word.replace('$', "$$");
    }
    let plain =
        !word.is_empty() && word != ";" && !word.contains(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\'));
    Some(if plain { word } else { format!("\"{}\"", word.replace('\\', r"\\").replace('"', "\\\"")) })
}

/// A line of a unit file for the eyes of others: the secrets among the flags of its `ExecStart=` are masked.
pub fn masked(line: &str) -> Option<String> {
    let value = line.strip_prefix("ExecStart=")?;
    let command = exec_line::split(value.trim_end(), "").commands.pop()?;
    let first = command.written.len() - command.argv.len();
    let shown = argv::masked(&command.argv);
    let differs = |index: &usize| command.argv.get(*index) != shown.get(*index);
    let secret: Vec<usize> = (0..shown.len()).filter(differs).collect();
    if secret.is_empty() {
        return Some(line.to_owned());
    }
    let words = command.written.iter().enumerate().map(|(index, word)| match index.checked_sub(first) {
        Some(argument) if secret.contains(&argument) => shown[argument].clone(),
        _ => word.clone(),
    });
    let end = &line[line.trim_end().len()..];
    Some(format!("ExecStart={}{end}", words.collect::<Vec<_>>().join(" ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::formats::daemon_json::Op;
    use crate::formats::exec_start::dockerd_flags;
    use crate::formats::unit_file::{Unit, parse};

    const ENVIRONMENT: &str = "Environment=OPTS='--icc --mtu=9' LEVEL=debug EMPTY=\n";

    fn start(value: &str) -> ExecStart {
        let text = format!("[Service]\n{ENVIRONMENT}ExecStart={value}\n");
        let unit = Unit::merge(parse("/lib/systemd/system/docker.service", text.as_bytes()), vec![]);
        dockerd_flags(&unit, &BTreeMap::new())
    }

    fn set(path: &str, value: Value) -> Edit {
        Edit { path: path.split('/').map(str::to_owned).collect(), op: Op::Set(value) }
    }

    fn remove(path: &str) -> Edit {
        Edit { path: vec![path.into()], op: Op::Remove }
    }

    fn shown(value: &str, edits: &[Edit]) -> String {
        match corrected(&start(value), edits) {
            Ok(value) => value,
            Err(Refusal::Variable(argument)) => format!("variable: {}", start(value).argv[argument].text),
            Err(Refusal::Because(why)) => why,
        }
    }

    #[test]
    fn all_that_stays_is_kept_as_it_is_written() {
        let no_icc = || set("icc", json!(false));
        let info = || set("log-level", json!("info"));
        let table = [
            ("/usr/bin/dockerd --icc=true", no_icc(), "/usr/bin/dockerd --icc=false"),
            (
                "-@/usr/bin/dockerd d -H fd:// --icc $EMPTY 'a b' \"c\" %t/x \\x41 \\; ${LEVEL}",
                no_icc(),
                "-@/usr/bin/dockerd d -H fd:// --icc=false $EMPTY 'a b' \"c\" %t/x \\x41 \\; ${LEVEL}",
            ),
            (
                "+/usr/bin/dockerd \\\n  -H fd:// \\\n  --icc=true \\\n  -D",
                no_icc(),
                "+/usr/bin/dockerd -H fd:// --icc=false -D",
            ),
            ("/usr/bin/dockerd -l debug $EMPTY -D", info(), "/usr/bin/dockerd --log-level=info $EMPTY -D"),
            ("/usr/bin/dockerd $EMPTY --log-level=debug -D", info(), "/usr/bin/dockerd $EMPTY --log-level=info -D"),
            ("/usr/bin/dockerd --log-level $EMPTY debug", remove("log-level"), "/usr/bin/dockerd $EMPTY"),
            ("/usr/bin/dockerd '--log-level=debug'", info(), "/usr/bin/dockerd --log-level=info"),
            ("/usr/bin/dockerd -D $OPTS", remove("debug"), "/usr/bin/dockerd $OPTS"),
            ("/usr/bin/dockerd -D ; ", remove("debug"), "/usr/bin/dockerd"),
            (
                "/usr/bin/dockerd --log-opt tag=x $OPTS",
                set("log-opts/max-file", json!("3")),
                "/usr/bin/dockerd --log-opt tag=x --log-opt=max-file=3 $OPTS",
            ),
            (
                "/usr/bin/dockerd --log-opt tag=x",
                set("log-opts/tag", json!("a $b 100% \"q\" \\")),
                r#"/usr/bin/dockerd "--log-opt=tag=a $$b 100%% \"q\" \\""#,
            ),
            (":/usr/bin/dockerd --log-opt tag=x", set("log-opts/tag", json!("$b")), ":/usr/bin/dockerd --log-opt=tag=$b"),
        ];
        for (value, edit, expected) in table {
            assert_eq!(shown(value, &[edit]), expected, "{value}");
        }
        assert_eq!(
            shown("/usr/bin/dockerd -DH fd:// --icc", &[no_icc(), remove("debug")]),
            "/usr/bin/dockerd --host=fd:// --icc=false"
        );
    }

    #[test]
    fn what_is_not_certain_is_refused() {
        let table = [
            ("/usr/bin/dockerd $OPTS", set("icc", json!(false)), "variable: --icc"),
            ("/usr/bin/dockerd --icc $OPTS", set("icc", json!(false)), "variable: --icc"),
            ("/usr/bin/dockerd --log-level=${LEVEL}", set("log-level", json!("info")), "variable: --log-level=debug"),
            ("/usr/bin/dockerd --log-level $LEVEL", set("log-level", json!("info")), "variable: debug"),
            ("/usr/bin/dockerd --log-level=${UNSET}", set("log-level", json!("info")), "variable: --log-level="),
            ("/bin/true ; /usr/bin/dockerd -D", remove("debug"), "it is not the only command of the unit"),
            ("", remove("debug"), "it is not the only command of the unit"),
            ("/usr/bin/dockerd --log-opt tag=x", set("log-opts/tag", json!("a\nb")), "a word can't be written for systemd"),
            ("/usr/bin/dockerd a\\  -D", remove("debug"), "its words can't be told apart for certain"),
            ("/usr/bin/dockerd a\\ ", set("icc", json!(true)), "no flag of dockerd gives `icc`"),
        ];
        for (value, edit, expected) in table {
            assert_eq!(shown(value, &[edit]), expected, "{value}");
        }
    }

    #[test]
    fn secrets_of_flags_are_masked() {
        let table = [
            ("ExecStart=\n", None),
            ("[Service]\n", None),
            ("ExecStart=/usr/bin/dockerd \"-D\"  -H fd://\n", Some("ExecStart=/usr/bin/dockerd \"-D\"  -H fd://\n")),
            (
                "ExecStart=-@/usr/bin/dockerd d '-D' --log-opt splunk-token=hunter2 --http-proxy=u:hunter2@p\n",
                Some("ExecStart=-@/usr/bin/dockerd d '-D' --log-opt splunk-token=*** --http-proxy=***@p\n"),
            ),
        ];
        for (line, expected) in table {
            assert_eq!(masked(line).as_deref(), expected);
        }
    }

    proptest! {
        /// What systemd makes of the new line is exactly what was wanted, word for word.
        #[test]
        fn the_line_says_exactly_the_wanted_words(
            words in prop::collection::vec(prop::sample::select(vec![
                "--icc", "--icc=true", "-D", "-DH", "fd://", "$OPTS", "$EMPTY", "${LEVEL}", "--log-level=${LEVEL}", "'--log-level' debug",
                "--log-opt tag=x", "\"--log-opt=max-file=1\"", "--label=a\\x20b", "--label='c d'", "%t/x", "$$x", "\\;", "a\\ b", "''", "--", "%%",
            ]), 0..8),
            prefix in prop::sample::select(vec!["", "-", ":", "@", "+", "-@", "!!"]),
            gap in prop::sample::select(vec![" ", "  ", "\t", " \\\n "]),
            edit in prop::sample::select(vec![
                set("icc", json!(false)), set("log-level", json!("info")), remove("debug"), remove("log-level"), remove("hosts"),
                set("log-opts/max-file", json!("3")), set("log-opts/tag", json!("$x %n 'a\" \\")),
                Edit { path: vec!["labels".into()], op: Op::RemoveElements(vec!["a b".into()]) },
            ]),
        ) {
            let name = if prefix.contains('@') { vec!["dockerd"] } else { vec![] };
            let value = [&[&*format!("{prefix}/usr/bin/dockerd")], &name[..], &words].concat().join(gap);
            let before = start(&value);
            let args: Vec<String> = before.argv.iter().map(|word| word.text.clone()).collect();
            if let Ok(value) = corrected(&before, std::slice::from_ref(&edit)) {
                let wanted: Vec<String> = flag_edit::edit(&args, &[edit]).unwrap().into_iter().map(|item| item.text).collect();
                let after: Vec<String> = start(&value).argv.into_iter().map(|word| word.text).collect();
                prop_assert_eq!(after, wanted, "{}", value);
            }
        }
    }
}
