//! Who may control the daemon, and who may log in.

use super::{Reading, Seen, list, of};
use crate::baseline::control::{HostCheck, Place};
use crate::change::Edit;
use crate::fact::{Fact, Facts, Login, Password};
use crate::formats::accounts::{Accounts, lets_in};
use crate::kinds::{Context, layout};
use crate::observe::Observer;

/// The root's own databases.
pub const PASSWD: &str = "/etc/passwd";
/// Groups and their members.
pub const GROUP: &str = "/etc/group";
/// Passwords of groups, their administrators, and their members once more.
pub const GSHADOW: &str = "/etc/gshadow";
const NSSWITCH: &str = "/etc/nsswitch.conf";
const ROOT: &str = "root";
pub fn observe_group(observer: &mut Observer) {
    for socket in observer.resolve(&Place::DockerSocket) {
        observer.stat(&socket);
    }
    for path in [PASSWD, GROUP, GSHADOW, NSSWITCH] {
        observer.read(path);
    }
    ["/", "/etc"].iter().for_each(|dir| observer.stat(dir));
}

pub fn observe_logins(observer: &mut Observer) {
    if observer.facts().machine.logins == Fact::default() {
        observer.machine_facts().logins = observer.host().logins();
    }
}

fn content<'f>(facts: &'f Facts, path: &str) -> Result<&'f [u8], String> {
    match facts.files.get(path) {
        Some(Fact::Known(file)) => match &file.content {
            Some(content) => Ok(&content.0),
            None => Err(format!("{path} is not a regular file")),
        },
        Some(Fact::Absent) => Ok(&[]),
        Some(Fact::Unknown(why)) => Err(why.clone()),
        None => Err(format!("{path}: not looked at")),
    }
}

/// The accounts of this root, and the group that owns the API socket, with where that was seen.
fn api_accounts(check: &HostCheck, context: &Context) -> Result<(Accounts, String, String), Seen> {
    let facts = context.facts;
    let target = of(check).unwrap_or("docker").to_owned();
    let read = |path| content(facts, path).map_err(|why| Seen::Unknown(target.clone(), why));
    let accounts = Accounts::parse(read(PASSWD)?, read(GROUP)?);
    for path in context.effective.docker_sockets(facts) {
        match facts.files.get(&path) {
            Some(Fact::Known(socket)) => {
                return match accounts.group_name(socket.gid) {
                    Some(name) => {
                        let name = name.to_owned();
                        Ok((accounts, name, format!("{path} belongs to the group {}", socket.gid)))
                    }
                    None => Err(Seen::Unknown(
                        socket.gid.to_string(),
                        format!(
                            "{path} belongs to the group {}, which {GROUP} does not name; it may be a directory service's",
                            socket.gid
                        ),
                    )),
                };
            }
            Some(Fact::Unknown(why)) => return Err(Seen::Unknown(target, why.clone())),
            _ => {}
        }
    }
    match accounts.members(&target) {
        Some(_) => Ok((accounts, target.clone(), format!("no API socket is there; {target} is the group that it would get"))),
        None => Err(Seen::Nothing(target.clone(), format!("there is no API socket, and no group {target}"))),
    }
}

pub fn api_group(check: &HostCheck, context: &Context) -> Vec<Seen> {
    if layout::owner(context.facts).is_some() {
        let reason = "the socket of a rootless dockerd is its user's own, and nobody is root by it";
        return vec![Seen::Nothing(of(check).unwrap_or("docker").to_owned(), reason.into())];
    }
    let (accounts, group, seen_at) = match api_accounts(check, context) {
        Ok(found) => found,
        Err(seen) => return vec![seen],
    };
    let members: Vec<&str> = accounts.members(&group).unwrap_or_default().into_iter().filter(|name| *name != ROOT).collect();
    let note = remote(context.facts);
    if members.is_empty() {
        let (shown, evidence) = (format!("{group} has no members"), vec![seen_at]);
        return vec![Seen::of(Reading { target: group, value: list([""; 0]), shown, evidence, note, ..Reading::default() })];
    }
    let member = |name: &&str| {
        let primary = accounts.is_primary(name, &group);
        let edits =
            [GROUP, GSHADOW].map(|file| Edit::LeaveGroup { file: file.into(), group: group.clone(), user: (*name).to_owned() });
        let shadowed = matches!(context.facts.files.get(GSHADOW), Some(Fact::Known(_)));
        let edits = edits.into_iter().take(if shadowed { 2 } else { 1 }).collect();
        let manual =
            primary.then(|| format!("{group} is the primary group of {name}: give it another with `usermod -g GROUP {name}`"));
        let place = if primary { PASSWD } else { GROUP };
        Seen::of(Reading {
            target: (*name).to_owned(),
            value: list([name]),
            shown: format!("in the group {group}, which owns the API socket"),
            desired: Some("not in it, or among trusted_docker_users".into()),
            evidence: vec![seen_at.clone(), format!("{place} has {name} in {group}")],
            note: note.clone(),
            manual,
            edits,
        })
    };
    members.iter().map(member).collect()
}

/// Says so where groups come from elsewhere too: those members can't be listed.
fn remote(facts: &Facts) -> Option<String> {
    let text = String::from_utf8_lossy(content(facts, NSSWITCH).ok()?).into_owned();
    let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix("group:"))?;
    let sources = line.split_whitespace().filter(|word| !word.starts_with('['));
    let others: Vec<&str> = sources.filter(|word| !["files", "compat", "systemd"].contains(word)).collect();
    (!others.is_empty()).then(|| format!("members that come from {} are not listed here ({NSSWITCH})", others.join(", ")))
}

fn all<'f>(target: &str, facts: &'f Facts) -> Result<&'f Vec<Login>, Vec<Seen>> {
    match &facts.machine.logins {
        Fact::Known(logins) => Ok(logins),
        Fact::Absent => Err(vec![Seen::Nothing(target.into(), format!("there is no {PASSWD}"))]),
        Fact::Unknown(why) => Err(vec![Seen::Unknown(target.into(), why.clone())]),
    }
}

pub fn logins(context: &Context) -> Vec<Seen> {
    let target = "logins with a password";
    let logins = match all(target, context.facts) {
        Ok(logins) => logins,
        Err(seen) => return seen,
    };
    let shell = |login: &&Login| lets_in(&login.shell);
    let able = logins.iter().filter(shell).filter(|login| login.password != Password::Locked && login.name != ROOT);
    let seen: Vec<Seen> = able
        .map(|login| {
            let what = match login.password {
                Password::Empty => "an empty password, so that anyone gets in",
                _ => "a password",
            };
            Seen::of(Reading {
                target: login.name.clone(),
                value: list([&login.name]),
                shown: format!("able to log in with {what}"),
                desired: Some("locked, or among allowed_login_users".into()),
                evidence: vec![format!("{PASSWD}: shell {}", if login.shell.is_empty() { "/bin/sh" } else { &login.shell })],
                manual: Some(format!("if nobody needs it: `usermod --lock --expiredate 1 {}`", login.name)),
                ..Reading::default()
            })
        })
        .collect();
    match seen.is_empty() {
        false => seen,
        true => vec![Seen::of(Reading {
            target: target.into(),
            value: list([""; 0]),
            shown: "none but root's".into(),
            ..Reading::default()
        })],
    }
}

pub fn root_accounts(context: &Context) -> Vec<Seen> {
    let target = "accounts with the number 0";
    let logins = match all(target, context.facts) {
        Ok(logins) => logins,
        Err(seen) => return seen,
    };
    let names: Vec<&str> = logins.iter().filter(|login| login.uid == 0).map(|login| login.name.as_str()).collect();
    let shown = if names.is_empty() { "none".into() } else { names.join(", ") };
    vec![Seen::of(Reading { target: target.into(), value: list(&names), shown, ..Reading::default() })]
}
