//! `/etc/passwd`, `/etc/group` and `/etc/gshadow` as text: names and numbers of one root's own users and groups, without asking
//! this host.
//!
//! Lines are read as the C library reads them. Those that are not accounts are skipped: comments, blanks, NIS entries (`+…`, `-…`).
//! Of two entries of one name or number the first counts for names; for who is in a group all do.

use crate::fact::{Login, Password};

/// Shells that let nobody in.
const NO_SHELLS: [&str; 5] = ["nologin", "false", "sync", "shutdown", "halt"];

/// Whether somebody who logs in with this shell can do something with it; an empty one is `/bin/sh`.
pub fn lets_in(shell: &str) -> bool {
    !NO_SHELLS.contains(&shell.rsplit('/').next().unwrap_or_default())
}

/// The users and groups of one root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Accounts {
    users: Vec<User>,
    groups: Vec<Group>,
    shadowed: Vec<Shadowed>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    primary_gid: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// What gshadow says of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shadowed {
    group: String,
    administrators: Vec<String>,
    members: Vec<String>,
}

/// That a user is in a group, or can get into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// The user.
    pub user: &'a str,
    /// The name of the group's entry; its number where it has none.
    pub group: String,
    /// What says so.
    pub by: By,
}

/// What makes a user a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The entry in `/etc/group` lists the user.
    Group,
    /// The entry in `/etc/gshadow` lists the user, for whom `newgrp` asks for no password.
    Gshadow,
    /// The user administrates the group by `/etc/gshadow`, and can add anybody.
    Administrator,
    /// It is the user's primary group in `/etc/passwd`.
    Primary,
}

impl Accounts {
    /// Reads the files; an absent one is an empty one.
    ///
    /// # Errors
    /// When the number of an entry can't be read: who that is can't be told.
    pub fn parse(passwd: &[u8], group: &[u8], gshadow: &[u8]) -> Result<Self, String> {
        Ok(Self {
            users: entries(passwd).map(|(line, fields)| user("/etc/passwd", line, &fields)).collect::<Result<_, _>>()?,
            groups: entries(group).map(|(line, fields)| self::group("/etc/group", line, &fields)).collect::<Result<_, _>>()?,
            shadowed: entries(gshadow).map(|(_, fields)| shadowed(&fields)).collect(),
        })
    }

    /// The number of a user, given by name; a number that is nobody's name stands for itself.
    pub fn uid(&self, name: &str) -> Option<u32> {
        self.users.iter().find(|user| user.name == name).map(|user| user.uid).or_else(|| number(name))
    }

    /// The number of a group, given by name; a number that is no group's name stands for itself.
    pub fn gid(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|group| group.name == name).map(|group| group.gid).or_else(|| number(name))
    }

    /// The name of a user.
    pub fn user_name(&self, uid: u32) -> Option<&str> {
        self.users.iter().find(|user| user.uid == uid).map(|user| user.name.as_str())
    }

    /// The name of a group.
    pub fn group_name(&self, gid: u32) -> Option<&str> {
        self.groups.iter().find(|group| group.gid == gid).map(|group| group.name.as_str())
    }

    /// Who is in the group of this number by any line: the kernel compares numbers, and two names may have one number, as two
    /// lines may have one name. A user is there once for each thing that says so.
    pub fn members(&self, gid: u32) -> Vec<Member<'_>> {
        let names: Vec<&str> = self.groups.iter().filter(|group| group.gid == gid).map(|group| group.name.as_str()).collect();
        let groups = self.groups.iter().filter(|group| names.contains(&group.name.as_str()));
        let shadowed = self.shadowed.iter().filter(|entry| names.contains(&entry.group.as_str()));
        let listed = groups.flat_map(|group| group.members.iter().map(|user| (user, group.name.clone(), By::Group)));
        let shadowed = shadowed.flat_map(|entry| {
            let members = entry.members.iter().map(|user| (user, entry.group.clone(), By::Gshadow));
            members.chain(entry.administrators.iter().map(|user| (user, entry.group.clone(), By::Administrator)))
        });
        let name = names.first().map_or_else(|| gid.to_string(), |name| (*name).to_owned());
        let primary = self.users.iter().filter(|user| user.primary_gid == gid);
        let primary = primary.map(|user| (&user.name, name.clone(), By::Primary));
        let mut members = Vec::new();
        for (user, group, by) in listed.chain(shadowed).chain(primary) {
            let member = Member { user, group, by };
            if !members.contains(&member) {
                members.push(member);
            }
        }
        members
    }
}

/// The accounts of both files, with what their passwords let them do.
///
/// # Errors
/// When the number of an account can't be read: whether it is root's can't be told.
pub fn logins(passwd: &[u8], shadow: &[u8]) -> Result<Vec<Login>, String> {
    let hashes: Vec<(String, String)> =
        entries(shadow).map(|(_, fields)| (field(&fields, 0).to_owned(), field(&fields, 1).to_owned())).collect();
    let login = |(line, fields): (usize, Vec<String>)| {
        let user = user("/etc/passwd", line, &fields)?;
        let shadowed = || hashes.iter().find(|(name, _)| *name == user.name).map(|(_, hash)| hash.as_str());
        let hash = if field(&fields, 1) == "x" { shadowed().unwrap_or("*") } else { field(&fields, 1) };
        let password = match hash {
            "" => Password::Empty,
            hash if hash.starts_with(['!', '*']) => Password::Locked,
            _ => Password::Set,
        };
        let shell = field(&fields, 6).to_owned();
        Ok(Login { name: user.name, uid: user.uid, shell, password })
    };
    entries(passwd).map(login).collect()
}

/// The fields of each line that is an entry, with the line's number.
fn entries(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<String>)> {
    bytes.split(|&byte| byte == b'\n').enumerate().filter_map(|(index, line)| {
        // A byte of another encoding makes no line invalid for the C library.
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r').trim_start_matches(BLANK);
        let is_entry = !line.is_empty() && !line.starts_with(['#', '+', '-', ':']);
        is_entry.then(|| (index + 1, line.split(':').map(str::to_owned).collect()))
    })
}

/// A field; trailing ones that are missing are empty.
fn field(fields: &[String], index: usize) -> &str {
    fields.get(index).map(String::as_str).unwrap_or_default()
}

fn user(path: &str, line: usize, fields: &[String]) -> Result<User, String> {
    let number = |index| id(field(fields, index)).ok_or_else(|| unreadable(path, line, fields, index));
    Ok(User { name: field(fields, 0).to_owned(), uid: number(2)?, primary_gid: number(3)? })
}

fn group(path: &str, line: usize, fields: &[String]) -> Result<Group, String> {
    let gid = id(field(fields, 2)).ok_or_else(|| unreadable(path, line, fields, 2))?;
    Ok(Group { name: field(fields, 0).to_owned(), gid, members: names(field(fields, 3)) })
}

fn shadowed(fields: &[String]) -> Shadowed {
    let [administrators, members] = [2, 3].map(|index| names(field(fields, index)));
    Shadowed { group: field(fields, 0).to_owned(), administrators, members }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn unreadable(path: &str, line: usize, fields: &[String], index: usize) -> String {
    let (name, text) = (field(fields, 0), field(fields, index));
    format!("{path}:{line}: `{text}` of {name} is no number of a user or group; correct or remove the line")
}

/// What `isspace` skips.
const BLANK: [char; 6] = [' ', '\t', '\n', '\x0b', '\x0c', '\r'];

/// A number in a field, as `strtoul` reads it: after blanks, and with a sign. Of the negative ones only -0 is a user's.
fn id(text: &str) -> Option<u32> {
    let text = text.trim_start_matches(BLANK);
    match text.strip_prefix('-') {
        Some(digits) => number(digits).filter(|&number| number == 0),
        None => number(text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A user or group number: decimal digits only; the largest one means "none" to the kernel.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|&number| number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/bash\n# comment\n\ntoor:x:0:0::/root:/bin/sh\r\n+nis::::::\n+\n-@out\n\
        \xff:x:7:7::/:/bin/sh\nalice:x:1000:998:Alice:/home/alice:/bin/bash\nroot:x:42:42::/:/bin/sh\n1234:x:77:77::/:/bin/sh";
    const GROUP: &[u8] = b"root:x:0:\r\ndocker:x:998:bob, carol,,alice\r\n+:::\nodd:x:12\n#docker:x:1:\ndocker:x:5:mallory\n";

    #[test]
    fn names_and_numbers() {
        let accounts = Accounts::parse(PASSWD, GROUP, b"").unwrap();
        assert_eq!(accounts.users.len(), 6);
        assert_eq!(accounts.groups.len(), 4);
        let uids = ["root", "toor", "alice", "1234", "4321", "\u{fffd}", "+nis", "", "4294967295", "-1", "+5"];
        let expected = [Some(0), Some(0), Some(1000), Some(77), Some(4321), Some(7), None, None, None, None, None];
        assert_eq!(uids.map(|name| accounts.uid(name)), expected);
        assert_eq!(
            ["root", "docker", "odd", "0", "nope"].map(|name| accounts.gid(name)),
            [Some(0), Some(998), Some(12), Some(0), None]
        );
        assert_eq!([0, 1000, 5].map(|uid| accounts.user_name(uid)), [Some("root"), Some("alice"), None]);
        assert_eq!([998, 12, 99].map(|gid| accounts.group_name(gid)), [Some("docker"), Some("odd"), None]);
    }

    #[test]
    fn entries_that_the_c_library_takes() {
        for line in [
            &b"evil:x:0:0:M\xfcller:/root:/bin/bash"[..],
            b"evil:x:0:0",
            b"evil:x:+0:0:::/bin/sh",
            b"evil:x: 0:\x0b+0",
            b"evil:x:-0:-0:::",
            b" \x0bevil:x:00:0:",
        ] {
            let logins = logins(line, b"").unwrap();
            assert_eq!(logins.iter().map(|one| (one.name.as_str(), one.uid)).collect::<Vec<_>>(), [("evil", 0)], "{line:?}");
        }
        assert_eq!(logins(b"\n+:::\n-bob\n# evil:x:0:0\n:x:0:0\n  \n", b""), Ok(vec![]));
    }

    #[test]
    fn a_number_that_cannot_be_read_is_told() {
        for (line, text) in [
            ("evil:x:notanumber:1::/:/bin/sh", "notanumber"),
            ("evil:x:5", ""),
            ("evil", ""),
            ("evil:x:0 :0", "0 "),
            ("evil:x:--0:0", "--0"),
            ("evil:x:-1:0", "-1"),
            ("evil:x:0:0x0", "0x0"),
            ("evil:x:4294967295:1::/:/bin/sh", "4294967295"),
            ("evil:x:99999999999:1::/:/bin/sh", "99999999999"),
        ] {
            let why = format!("/etc/passwd:2: `{text}` of evil is no number of a user or group; correct or remove the line");
            let passwd = format!("# users\n{line}\n");
            assert_eq!(logins(passwd.as_bytes(), b""), Err(why.clone()));
            assert_eq!(Accounts::parse(passwd.as_bytes(), b"", b""), Err(why));
        }
        let why = "/etc/group:1: `` of docker is no number of a user or group; correct or remove the line";
        assert_eq!(Accounts::parse(b"", b"docker:x", b""), Err(why.into()));
    }

    #[test]
    fn logins_and_their_passwords() {
        let passwd =
            b"root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/:/bin/bash\nsvc:x:7:7::/:/usr/sbin/nologin\nold:$1$x:8:8::/:\n\
            open:x:9:9::/:/bin/sh\nkey:x:10:10::/:/bin/sh\nlone:x:11:11::/:/bin/sh";
        let shadow = b"root:$6$a:1::::::\nbob:$y$b:1::::::\nsvc:*:1::::::\nopen::1::::::\nkey:!$6$c:1::::::\n";
        let found: Vec<_> = logins(passwd, shadow).unwrap().into_iter().map(|one| (one.name, one.password)).collect();
        let expected = [
            ("root", Password::Set),
            ("bob", Password::Set),
            ("svc", Password::Locked),
            ("old", Password::Set),
            ("open", Password::Empty),
            ("key", Password::Locked),
            ("lone", Password::Locked),
        ];
        assert_eq!(found, expected.map(|(name, password)| (name.to_owned(), password)));
    }

    fn members(group: &[u8], gshadow: &[u8], gid: u32) -> Vec<String> {
        let accounts = Accounts::parse(PASSWD, group, gshadow).unwrap();
        accounts.members(gid).iter().map(|one| format!("{} {} {:?}", one.user, one.group, one.by)).collect()
    }

    #[test]
    fn members_are_those_of_every_line() {
        let docker =
            ["bob docker Group", "carol docker Group", "alice docker Group", "mallory docker Group", "alice docker Primary"];
        assert_eq!(members(GROUP, b"", 998), docker);
        assert_eq!(members(GROUP, b"", 0), ["root root Primary", "toor root Primary"]);
        assert_eq!(members(GROUP, b"", 12), [""; 0]);
        assert_eq!(members(GROUP, b"", 77), ["1234 77 Primary"]);
        let same = b"docker:x:996:\ndock:x:996:mallory\ndocker:x:996:bob\ndocker:x:996:bob\nM\xfc:x:+996:eve";
        let expected = ["mallory dock Group", "bob docker Group", "eve M\u{fffd} Group"];
        assert_eq!(members(same, b"", 996), expected);
        let gshadow = b"docker:!:adm:bob,al\ndock:!:adm\nother:!:eve:eve";
        let expected = ["bob docker Gshadow", "al docker Gshadow", "adm docker Administrator", "adm dock Administrator"];
        assert_eq!(members(b"docker:x:996:\ndock:x:996:", gshadow, 996), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(passwd in proptest::collection::vec(any::<u8>(), 0..80), group in "[a+:,0-9\n#\r]{0,60}") {
            let _ = logins(&passwd, group.as_bytes());
            if let Ok(accounts) = Accounts::parse(&passwd, group.as_bytes(), &passwd) {
                for entry in &accounts.groups {
                    let members = accounts.members(entry.gid);
                    prop_assert!(entry.members.iter().all(|name| members.iter().any(|one| one.user == name)));
                }
            }
        }
    }
}
