//! Who may control the daemon, and who may log in.

use super::{Reading, Seen, list, of};
use crate::baseline::control::{HostCheck, Place};
use crate::change::Edit;
use crate::fact::{Fact, Facts, Login, Password};
use crate::formats::accounts::{Accounts, By, Member, lets_in};
use crate::formats::group_file;
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

/// A group that can use the API.
struct Owner {
    gid: u32,
    /// Where that was seen.
    seen_at: String,
}

/// The groups that own the API's sockets, each once; and what can't be told of them.
fn owners(target: &str, accounts: &Accounts, context: &Context) -> (Vec<Owner>, Vec<Seen>) {
    let (mut owners, mut seen): (Vec<Owner>, Vec<Seen>) = (Vec::new(), Vec::new());
    for path in context.effective.docker_sockets(context.facts) {
        let gid = match context.facts.files.get(&path) {
            Some(Fact::Known(socket)) => socket.gid,
            Some(Fact::Unknown(why)) => {
                seen.push(Seen::Unknown(path, why.clone()));
                continue;
            }
            _ => continue,
        };
        if owners.iter().any(|owner| owner.gid == gid) {
            continue;
        }
        let seen_at = format!("{path} belongs to the group {gid}");
        if accounts.group_name(gid).is_none() {
            let why = format!("{seen_at}, which {GROUP} does not name; it may be a directory service's");
            seen.push(Seen::Unknown(gid.to_string(), why));
        }
        owners.push(Owner { gid, seen_at });
    }
    if owners.is_empty() && seen.is_empty() {
        match accounts.gid(target) {
            Some(gid) => {
                owners.push(Owner { gid, seen_at: format!("no API socket is there; {target} is the group that it would get") })
            }
            None => seen.push(Seen::Nothing(target.into(), format!("there is no API socket, and no group {target}"))),
        }
    }
    (owners, seen)
}

pub fn api_group(check: &HostCheck, context: &Context) -> Vec<Seen> {
    let facts = context.facts;
    let target = of(check).unwrap_or("docker");
    if layout::owner(facts).is_some() {
        let reason = "the socket of a rootless dockerd is its user's own, and nobody is root by it";
        return vec![Seen::Nothing(target.into(), reason.into())];
    }
    let read = |path| content(facts, path);
    let parsed = read(PASSWD).and_then(|passwd| Accounts::parse(passwd, read(GROUP)?, read(GSHADOW)?));
    let accounts = match parsed {
        Ok(accounts) => accounts,
        Err(why) => return vec![Seen::Unknown(target.into(), why)],
    };
    let (owners, mut seen) = owners(target, &accounts, context);
    let note = remote(facts);
    let mut found: Vec<(&Owner, Member)> = Vec::new();
    for owner in &owners {
        let members: Vec<Member> = accounts.members(owner.gid).into_iter().filter(|member| member.user != ROOT).collect();
        if let (true, Some(group)) = (members.is_empty(), accounts.group_name(owner.gid)) {
            let (shown, evidence) = (format!("{group} has no members"), vec![owner.seen_at.clone()]);
            let (target, value, note) = (group.to_owned(), list([""; 0]), note.clone());
            seen.push(Seen::of(Reading { target, value, shown, evidence, note, ..Reading::default() }));
        }
        found.extend(members.into_iter().map(|member| (owner, member)));
    }
    let mut users: Vec<&str> = Vec::new();
    for (_, member) in &found {
        if !users.contains(&member.user) {
            users.push(member.user);
        }
    }
    seen.extend(users.iter().map(|user| {
        let ways: Vec<&(&Owner, Member)> = found.iter().filter(|(_, member)| member.user == *user).collect();
        self::user(user, &ways, note.clone(), facts)
    }));
    seen
}

/// What was seen of one user who can use the API in these ways.
fn user(name: &str, ways: &[&(&Owner, Member)], note: Option<String>, facts: &Facts) -> Seen {
    let (mut groups, mut evidence, mut edits, mut manual) = (Vec::new(), Vec::new(), Vec::new(), None);
    for (owner, Member { group, by, .. }) in ways {
        if !evidence.contains(&owner.seen_at) {
            evidence.push(owner.seen_at.clone());
        }
        if !groups.contains(group) {
            groups.push(group.clone());
        }
        let (file, role) = match by {
            By::Group => (GROUP, ""),
            By::Gshadow => (GSHADOW, ""),
            By::Administrator => (GSHADOW, " as an administrator, who can add anybody"),
            By::Primary => (PASSWD, ""),
        };
        evidence.push(format!("{file} has {name} in {group}{role}"));
        if *by == By::Primary {
            manual = Some(format!("{group} is the primary group of {name}: give it another with `usermod -g GROUP {name}`"));
            continue;
        }
        let bytes = content(facts, file).unwrap_or_default();
        if group_file::without(bytes, group, &[name.to_owned()]) == bytes {
            let by_hand = || format!("take {name} out of {group} in {file} by hand: harden can't rewrite that line");
            manual = manual.or_else(|| Some(by_hand()));
        }
        let edit = Edit::LeaveGroup { file: file.into(), group: group.clone(), user: name.to_owned() };
        if !edits.contains(&edit) {
            edits.push(edit);
        }
    }
    let only_administrates = ways.iter().all(|(_, member)| member.by == By::Administrator);
    let role = if only_administrates { "an administrator of" } else { "in" };
    let which = match groups.as_slice() {
        [group] => format!("the group {group}, which owns the API socket"),
        groups => format!("the groups {}, which own the API socket", groups.join(", ")),
    };
    Seen::of(Reading {
        target: name.to_owned(),
        value: list([name]),
        shown: format!("{role} {which}"),
        desired: Some("not in it, or among trusted_docker_users".into()),
        evidence,
        note,
        manual,
        edits,
    })
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
    let able = logins.iter().filter(shell).filter(|login| match login.password {
        Password::Locked => false,
        Password::Empty => true,
        _ => login.name != ROOT,
    });
    let seen: Vec<Seen> = able
        .map(|login| {
            let name = &login.name;
            // Whoever may log in, none does so without a password: that is on no list.
            let (value, what, desired, manual) = match login.password {
                Password::Empty => (
                    format!("{name} without a password"),
                    "an empty password, so that anyone gets in",
                    "with a password, or locked",
                    format!("`passwd {name}`, or if nobody needs it: `usermod --lock --expiredate 1 {name}`"),
                ),
                _ => (
                    name.clone(),
                    "a password",
                    "locked, or among allowed_login_users",
                    format!("if nobody needs it: `usermod --lock --expiredate 1 {name}`"),
                ),
            };
            Seen::of(Reading {
                target: name.clone(),
                value: list([value]),
                shown: format!("able to log in with {what}"),
                desired: Some(desired.into()),
                evidence: vec![format!("{PASSWD}: shell {}", if login.shell.is_empty() { "/bin/sh" } else { &login.shell })],
                manual: Some(manual),
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
