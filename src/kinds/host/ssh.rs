//! sshd: how and from where one logs in.

use serde_json::Value;

use super::{Reading, Seen, list, of};
use crate::baseline::control::HostCheck;
use crate::fact::{Fact, Facts};
use crate::formats::sshd_config::{self, Config};
use crate::kinds::Context;
use crate::observe::Observer;

/// Where sshd's configuration lies; the second is what openSUSE falls back to.
const CONFIG: [&str; 2] = ["/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"];
/// Keywords that have an older name.
const ALIASES: [[&str; 2]; 1] = [["kbdinteractiveauthentication", "challengeresponseauthentication"]];

pub fn observe(observer: &mut Observer) {
    for path in CONFIG {
        if observer.read(path).is_some() {
            let cell = std::cell::RefCell::new(observer);
            let mut read = |path: &str| {
                let mut observer = cell.borrow_mut();
                observer.read(path);
                content(observer.facts(), path)
            };
            let mut glob = |pattern: &str| {
                let mut observer = cell.borrow_mut();
                observer.glob(pattern);
                matches(observer.facts(), pattern)
            };
            // What goes wrong is in the facts, and is said when they are judged.
            let _ = Config::read(path, &mut read, &mut glob);
            return;
        }
    }
}

fn content(facts: &Facts, path: &str) -> Result<Option<String>, String> {
    match facts.files.get(path) {
        Some(Fact::Known(file)) => match &file.content {
            Some(content) => Ok(Some(String::from_utf8_lossy(&content.0).into_owned())),
            None => Err(format!("{path} is not a regular file")),
        },
        Some(Fact::Absent) => Ok(None),
        Some(Fact::Unknown(why)) => Err(why.clone()),
        None => Err(format!("{path}: not looked at")),
    }
}

fn matches(facts: &Facts, pattern: &str) -> Result<Vec<String>, String> {
    match facts.globs.get(pattern) {
        Some(Fact::Known(paths)) => Ok(paths.clone()),
        Some(Fact::Absent) => Ok(Vec::new()),
        Some(Fact::Unknown(why)) => Err(why.clone()),
        None => Err(format!("{pattern}: not looked at")),
    }
}

/// sshd's configuration; otherwise why there is none to judge.
fn config(target: &str, facts: &Facts) -> Result<Config, Seen> {
    let there = |path: &&&str| !matches!(facts.files.get(**path), Some(Fact::Absent) | None);
    let Some(path) = CONFIG.iter().find(there) else {
        return Err(Seen::Nothing(target.into(), format!("sshd is not installed: no {}", CONFIG[0])));
    };
    let mut read = |path: &str| content(facts, path);
    let mut glob = |pattern: &str| matches(facts, pattern);
    Config::read(path, &mut read, &mut glob).map_err(|why| Seen::Unknown(target.into(), why))
}

pub fn keyword(check: &HostCheck, context: &Context) -> Seen {
    let name = of(check).unwrap_or_default();
    let config = match config(name, context.facts) {
        Ok(config) => config,
        Err(seen) => return seen,
    };
    let alias = ALIASES.iter().find(|names| names.contains(&name)).map(|names| names.as_slice());
    let values = config.values(alias.unwrap_or(&[name]));
    let shown = |value: &sshd_config::Value| {
        let condition = value.condition.as_ref().map(|condition| format!(" (Match {condition})")).unwrap_or_default();
        (
            plain(value),
            format!("{}{condition}", plain(value)),
            format!("{}: {}", value.origin, value.arguments.join(" ")),
            value.origin.clone(),
        )
    };
    let mut found: Vec<(String, String, String, String)> = values.iter().map(|value| shown(value)).collect();
    if values.first().is_none_or(|first| first.condition.is_some()) {
        let default = check.default.clone().unwrap_or_default();
        let seen = format!("{name} is not set for all connections: sshd's default");
        found.insert(0, (default.clone(), default, seen, CONFIG[0].to_owned()));
    }
    let holds = |value: &str| check.expect.as_ref().is_none_or(|expect| expect.holds(Some(&Value::from(value))));
    let bad = found.iter().find(|(value, ..)| !holds(value)).or(found.first());
    let Some((value, words, _, place)) = bad else { return Seen::Unknown(name.into(), "no value was found".into()) };
    let manual = format!(
        "set {name} in {place}, check it with `sshd -t`, and keep a session open while you reload sshd: who can't log in with a key is locked out"
    );
    Seen::of(Reading {
        target: name.into(),
        value: Some(Value::from(value.as_str())),
        shown: words.clone(),
        evidence: found.iter().map(|(_, _, seen, _)| seen.clone()).collect(),
        note: Some("options on sshd's command line were not looked at".into()),
        manual: Some(manual),
        ..Reading::default()
    })
}

/// A keyword's first argument in lower case, by its present name.
fn plain(value: &sshd_config::Value) -> String {
    let first = value.arguments.first().map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    if first == "without-password" { "prohibit-password".into() } else { first }
}

pub fn sources(context: &Context) -> Seen {
    let target = "AllowUsers".to_owned();
    let config = match config(&target, context.facts) {
        Ok(config) => config,
        Err(seen) => return seen,
    };
    let lines = config.all("allowusers");
    if let Some(line) = lines.iter().find(|line| line.condition.is_some()) {
        return Seen::Unknown(target, format!("{}: AllowUsers inside a Match; for whom it counts can't be told", line.origin));
    }
    let evidence: Vec<String> = lines.iter().map(|line| format!("{}: {}", line.origin, line.arguments.join(" "))).collect();
    let mut from: Vec<&str> = lines
        .iter()
        .flat_map(|line| &line.arguments)
        .map(|word| word.rsplit_once('@').map_or("anywhere", |(_, host)| host))
        .collect();
    from.sort_unstable();
    from.dedup();
    if from.is_empty() || from.contains(&"anywhere") {
        if let Some(why) = filtered(context.facts) {
            return Seen::Unknown(target, why);
        }
        from = vec!["anywhere"];
    }
    let shown = match from.as_slice() {
        ["anywhere"] => "from anywhere: neither AllowUsers nor the packet filter limits it".to_owned(),
        from => format!("from {}", from.join(", ")),
    };
    Seen::of(Reading { target, value: list(&from), shown, evidence, ..Reading::default() })
}

/// Why it can't be told whether something else than sshd limits who connects.
fn filtered(facts: &Facts) -> Option<String> {
    if !facts.host.live {
        return Some("sshd lets anyone connect; what the packet filter will do is not in an image tree".into());
    }
    match &facts.machine.chains {
        Fact::Known(chains) => {
            let input = |chain: &&crate::fact::Chain| chain.hook.as_deref() == Some("input");
            let chain = chains.iter().filter(input).find(|chain| chain.rules > 0 || chain.drops_by_default == Some(true))?;
            Some(format!(
                "sshd lets anyone connect; the packet filter has rules for incoming packets ({} {} {}) that harden does not interpret",
                chain.family, chain.table, chain.name
            ))
        }
        Fact::Unknown(why) => Some(why.clone()),
        Fact::Absent => None,
    }
}
