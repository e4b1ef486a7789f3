//! `/etc/passwd` and `/etc/group` as text: names and numbers of one root's own users and groups, without asking this host.
//!
//! Lines that are not accounts are skipped: comments, blanks, NIS entries (`+…`, `-…`), garbage. Of two entries of one name
//! or number the first counts, as for the C library.

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

impl Accounts {
    /// Reads both files; an absent one is an empty one.
    pub fn parse(passwd: &[u8], group: &[u8]) -> Self {
        Self { users: lines(passwd).filter_map(user).collect(), groups: lines(group).filter_map(self::group).collect() }
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

    /// Whether a group is the primary one of a user, who then is in it whatever its entry lists.
    pub fn is_primary(&self, user: &str, group: &str) -> bool {
        let gid = self.groups.iter().find(|one| one.name == group).map(|group| group.gid);
        self.users.iter().any(|one| one.name == user && Some(one.primary_gid) == gid)
    }

    /// Who is in a group: those that the group's entry lists, then those whose primary group it is; nobody twice.
    /// `None` when there is no such group.
    pub fn members(&self, group: &str) -> Option<Vec<&str>> {
        let group = self.groups.iter().find(|one| one.name == group)?;
        let primary = self.users.iter().filter(|user| user.primary_gid == group.gid).map(|user| user.name.as_str());
        let mut members: Vec<&str> = Vec::new();
        for name in group.members.iter().map(String::as_str).chain(primary) {
            if !members.contains(&name) {
                members.push(name);
            }
        }
        Some(members)
    }
}

/// The accounts of both files, with what their passwords let them do.
pub fn logins(passwd: &[u8], shadow: &[u8]) -> Vec<Login> {
    let hashes: Vec<(String, String)> =
        lines(shadow).filter_map(|fields| Some((fields.first()?.clone(), fields.get(1)?.clone()))).collect();
    let login = |fields: Vec<String>| {
        let user = user(fields.clone())?;
        let shadowed = || hashes.iter().find(|(name, _)| *name == user.name).map(|(_, hash)| hash.as_str());
        let hash = if fields[1] == "x" { shadowed().unwrap_or("*") } else { fields[1].as_str() };
        let password = match hash {
            "" => Password::Empty,
            hash if hash.starts_with(['!', '*']) => Password::Locked,
            _ => Password::Set,
        };
        let shell = fields.get(6).cloned().unwrap_or_default();
        Some(Login { name: user.name, uid: user.uid, shell, password })
    };
    lines(passwd).filter_map(login).collect()
}

/// The fields of each line that can be an account.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Vec<String>> {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| {
        let line = std::str::from_utf8(line).ok()?.trim_end_matches('\r').trim_start();
        let is_account = !line.starts_with(['#', '+', '-', ':']);
        is_account.then(|| line.split(':').map(str::to_owned).collect())
    })
}

fn user(fields: Vec<String>) -> Option<User> {
    let [name, _, uid, gid, _, _, ..] = fields.as_slice() else { return None };
    Some(User { name: name.clone(), uid: number(uid)?, primary_gid: number(gid)? })
}

fn group(fields: Vec<String>) -> Option<Group> {
    let [name, _, gid, rest @ ..] = fields.as_slice() else { return None };
    let members = rest.first().map(String::as_str).unwrap_or_default().split(',').map(str::trim);
    Some(Group {
        name: name.clone(),
        gid: number(gid)?,
        members: members.filter(|m| !m.is_empty()).map(str::to_owned).collect(),
    })
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
        bad:x:notanumber:1::/:/bin/sh\nshort:x:5\nhuge:x:4294967295:1::/:/bin/sh\nbig:x:99999999999:1::/:/bin/sh\n\xff:x:7:7::/:/bin/sh\n\
        alice:x:1000:998:Alice:/home/alice:/bin/bash\nroot:x:42:42::/:/bin/sh\n1234:x:77:77::/:/bin/sh";
    const GROUP: &[u8] = b"root:x:0:\r\ndocker:x:998:bob, carol,,alice\r\n+:::\nodd:x:12\n#docker:x:1:\ndocker:x:5:mallory\n";

    #[test]
    fn names_and_numbers() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        assert_eq!(accounts.users.len(), 5);
        assert_eq!(accounts.groups.len(), 4);
        let uids =
            ["root", "toor", "alice", "1234", "4321", "bad", "short", "huge", "big", "+nis", "", "4294967295", "-1", "+5"];
        let expected =
            [Some(0), Some(0), Some(1000), Some(77), Some(4321), None, None, None, None, None, None, None, None, None];
        assert_eq!(uids.map(|name| accounts.uid(name)), expected);
        assert_eq!(
            ["root", "docker", "odd", "0", "nope"].map(|name| accounts.gid(name)),
            [Some(0), Some(998), Some(12), Some(0), None]
        );
        assert_eq!([0, 1000, 5].map(|uid| accounts.user_name(uid)), [Some("root"), Some("alice"), None]);
        assert_eq!([998, 12, 99].map(|gid| accounts.group_name(gid)), [Some("docker"), Some("odd"), None]);
    }

    #[test]
    fn logins_and_their_passwords() {
        let passwd =
            b"root:x:0:0::/root:/bin/sh\nbob:x:1000:1000::/:/bin/bash\nsvc:x:7:7::/:/usr/sbin/nologin\nold:$1$x:8:8::/:\n\
            open:x:9:9::/:/bin/sh\nkey:x:10:10::/:/bin/sh\nlone:x:11:11::/:/bin/sh";
        let shadow = b"root:$6$a:1::::::\nbob:$y$b:1::::::\nsvc:*:1::::::\nopen::1::::::\nkey:!$6$c:1::::::\n";
        let found: Vec<_> = logins(passwd, shadow).into_iter().map(|one| (one.name, one.password)).collect();
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

    #[test]
    fn members_are_those_listed_and_those_whose_primary_group_it_is() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        assert_eq!(accounts.members("docker"), Some(vec!["bob", "carol", "alice"]));
        assert_eq!(accounts.members("root"), Some(vec!["root", "toor"]));
        assert_eq!(accounts.members("odd"), Some(vec![]));
        assert_eq!(accounts.members("nope"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(passwd in proptest::collection::vec(any::<u8>(), 0..80), group in "[a+:,0-9\n#\r]{0,60}") {
            let accounts = Accounts::parse(&passwd, group.as_bytes());
            for entry in &accounts.groups {
                prop_assert!(accounts.members(&entry.name).is_some());
            }
        }
    }
}
