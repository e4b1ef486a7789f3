//! What lies beside the images on the host: the client's settings, and keys that sign images.

use super::api::TARGET;
use crate::baseline::control::{Control, Mode, Place};
use crate::fact::{Fact, FileKind};
use crate::finding::{Outcome, Verdict};
use crate::kinds::file::Wish;
use crate::kinds::{Context, not_applicable, unknown, verdict};
use crate::observe::Observer;

const ENVIRONMENT: &str = "/etc/environment";
const PASSWD: &str = "/etc/passwd";
const PROFILE: &str = "/etc/profile.d/*.sh";
const VARIABLE: &str = "DOCKER_CONTENT_TRUST";
/// Docker took the check out of its client in this version.
const WITHOUT_TRUST: u64 = 29;

/// Where keys lie below a home directory, and the bits that they may have.
const KEYS: [(&str, u32); 6] = [
    (".docker/trust/private", 0o700),
    (".docker/trust/private/*.key", 0o600),
    (".docker/trust/private/*/*.key", 0o600),
    ("cosign.key", 0o600),
    (".cosign/*.key", 0o600),
    (".config/notation/localkeys/*.key", 0o600),
];

pub(super) fn observe_trust(observer: &mut Observer) {
    observer.read(ENVIRONMENT);
    for path in observer.resolve(&Place::Pattern(PROFILE.into())) {
        observer.read(&path);
    }
}

/// image-content-trust.
pub(super) fn trust<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    let version = match &context.facts.daemon.version {
        Fact::Known(version) => version,
        Fact::Absent => return vec![unknown(control, TARGET, "the version of Docker is not known")],
        Fact::Unknown(why) => return vec![unknown(control, TARGET, why.clone())],
    };
    if version.split('.').next().and_then(|major| major.parse::<u64>().ok()).is_some_and(|major| major >= WITHOUT_TRUST) {
        return vec![not_applicable(control, TARGET, "Docker took content trust out of its client in 29.0")];
    }
    let scripts = context.facts.globs.get(PROFILE).and_then(Fact::known).into_iter().flatten();
    let mut last = None;
    for path in [ENVIRONMENT].into_iter().chain(scripts.map(String::as_str)) {
        match context.facts.files.get(path) {
            Some(Fact::Known(file)) => {
                let content = file.content.as_ref().map(|content| String::from_utf8_lossy(&content.0)).unwrap_or_default();
                last = set_in(&content).map(|value| (path.to_owned(), value)).or(last);
            }
            Some(Fact::Unknown(why)) => return vec![unknown(control, path, why.clone())],
            _ => {}
        }
    }
    let everywhere = context.facts.files.get(ENVIRONMENT).and_then(Fact::known).and_then(|file| file.content.as_ref());
    let everywhere = everywhere.and_then(|content| set_in(&String::from_utf8_lossy(&content.0)));
    let observed = match &last {
        Some((path, value)) => format!("{VARIABLE}={value} in {path}"),
        None => format!("{VARIABLE} is not set"),
    };
    let outcome = match (everywhere.as_deref(), &last) {
        (Some("1"), Some((_, value))) if value == "1" => Outcome::Compliant { note: None },
        _ => Outcome::Manual(
            "switching it on makes pulls of official images fail today; verify signatures with cosign or notation instead, and waive this"
                .into(),
        ),
    };
    vec![verdict(control, TARGET, outcome, observed, format!("{VARIABLE}=1 in {ENVIRONMENT}"))]
}

/// The last value that a text gives the variable.
fn set_in(text: &str) -> Option<String> {
    let assigned = |line: &str| {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim()).trim_start();
        let value = line.strip_prefix(VARIABLE)?.strip_prefix('=')?;
        let value = value.split([' ', ';', '#']).next().unwrap_or_default();
        Some(value.trim_matches(['"', '\'']).to_owned())
    };
    text.lines().rev().find_map(assigned)
}

/// The users with a home directory of their own: name, number and home.
fn homes(passwd: &[u8]) -> Vec<(String, u32, String)> {
    let mut homes: Vec<(String, u32, String)> = Vec::new();
    for line in String::from_utf8_lossy(passwd).lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, uid, _, _, home, ..] = fields.as_slice() else { continue };
        let home = home.trim_end_matches('/');
        let usable = home.starts_with('/') && !home.contains(['*', '?', '[', ']']);
        if let Some(uid) = uid.parse().ok().filter(|_| usable && !homes.iter().any(|(_, _, other)| other == home)) {
            homes.push(((*name).to_owned(), uid, home.to_owned()));
        }
    }
    homes
}

pub(super) fn observe_keys(observer: &mut Observer) {
    let homes = observer.read(PASSWD).map(homes).unwrap_or_default();
    for (_, _, home) in homes {
        for (pattern, _) in KEYS {
            for path in observer.resolve(&Place::Pattern(format!("{home}/{pattern}"))) {
                observer.stat(&path);
            }
        }
    }
}

/// image-signing-keys-protected.
pub(super) fn keys<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    let facts = context.facts;
    let passwd = match facts.files.get(PASSWD) {
        Some(Fact::Known(file)) => file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default(),
        Some(Fact::Unknown(why)) => return vec![unknown(control, PASSWD, why.clone())],
        Some(Fact::Absent) => return vec![not_applicable(control, TARGET, format!("there is no {PASSWD}"))],
        None => return vec![unknown(control, PASSWD, "not looked at")],
    };
    let mut verdicts = Vec::new();
    for (name, uid, home) in homes(passwd) {
        for (pattern, allowed) in KEYS {
            let pattern = format!("{home}/{pattern}");
            match facts.globs.get(&pattern) {
                Some(Fact::Known(paths)) => {
                    verdicts.extend(paths.iter().filter_map(|path| key(control, context, path, allowed, (&name, uid))));
                }
                Some(Fact::Unknown(why)) => verdicts.push(unknown(control, home.clone(), why.clone())),
                _ => {}
            }
        }
    }
    verdicts.dedup_by(|a, b| a.target == b.target);
    if verdicts.is_empty() {
        verdicts.push(not_applicable(control, TARGET, "no user of this host has keys that sign images"));
    }
    verdicts
}

fn key<'c>(control: &'c Control, context: &Context, path: &str, allowed: u32, user: (&str, u32)) -> Option<Verdict<'c>> {
    let file = match context.facts.files.get(path) {
        Some(Fact::Known(file)) => file,
        Some(Fact::Absent) => return None,
        Some(Fact::Unknown(why)) => return Some(unknown(control, path, why.clone())),
        None => return Some(unknown(control, path, "not looked at")),
    };
    if !matches!(file.kind, FileKind::File | FileKind::Dir) || file.real_path != path {
        return Some(unknown(control, path, format!("{path} is neither a file nor a directory of its own")));
    }
    let wish = Wish { mode_max: Some(Mode(allowed)), uid: None, gids: Vec::new() };
    let mut verdict = wish.judge(control, path, file);
    if file.uid != user.1 && file.uid != 0 {
        verdict.observed = format!("{}, owner {}", verdict.observed, file.uid);
        verdict.desired = format!("{}, owner {}", verdict.desired, user.0);
        verdict.outcome = Outcome::Manual(format!("find out whose key it is: it lies in the home of {}", user.0));
    }
    Some(verdict)
}
