//! Users and groups: of the live host through its own name service, of an image tree from its own files only.

use nix::unistd::{Gid, Group, Uid, User};

use super::fs::{Root, Want};
use crate::fact::Fact;

/// The user database of one root.
#[derive(Debug)]
pub struct Accounts(Source);

#[derive(Debug)]
enum Source {
    /// `getpwnam` and the like: files, LDAP, systemd's dynamic users.
    NameService,
    /// `/etc/passwd` and `/etc/group` of an image tree, read once.
    Files { passwd: Fact<Vec<Account>>, group: Fact<Vec<Account>> },
}

#[derive(Debug)]
struct Account {
    name: String,
    id: u32,
}

impl Accounts {
    /// The database of this root. An image tree's files are read here; the host's names are asked for one by one.
    pub fn of(root: &Root) -> Accounts {
        Accounts(match root.is_live() {
            true => Source::NameService,
            false => Source::Files { passwd: read(root, "/etc/passwd"), group: read(root, "/etc/group") },
        })
    }

    /// The number of a user; `Unknown` when the database can't be asked.
    pub fn user_id(&self, name: &str) -> Fact<u32> {
        match &self.0 {
            Source::NameService => found("user", name, User::from_name(name).map(|user| user.map(|user| user.uid.as_raw()))),
            Source::Files { passwd, .. } => id_in(passwd, name),
        }
    }

    /// The number of a group; `Unknown` when the database can't be asked.
    pub fn group_id(&self, name: &str) -> Fact<u32> {
        match &self.0 {
            Source::NameService => {
                found("group", name, Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())))
            }
            Source::Files { group, .. } => id_in(group, name),
        }
    }

    /// The name of a user, for display: the number itself where there is no name.
    pub fn user_name(&self, uid: u32) -> String {
        let name = match &self.0 {
            Source::NameService => User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name),
            Source::Files { passwd, .. } => name_in(passwd, uid),
        };
        name.unwrap_or_else(|| uid.to_string())
    }

    /// The name of a group, for display: the number itself where there is no name.
    pub fn group_name(&self, gid: u32) -> String {
        let name = match &self.0 {
            Source::NameService => Group::from_gid(Gid::from_raw(gid)).ok().flatten().map(|group| group.name),
            Source::Files { group, .. } => name_in(group, gid),
        };
        name.unwrap_or_else(|| gid.to_string())
    }
}

fn found(what: &str, name: &str, outcome: nix::Result<Option<u32>>) -> Fact<u32> {
    match outcome {
        Ok(Some(id)) => Fact::Known(id),
        Ok(None) => Fact::Absent,
        Err(errno) => Fact::Unknown(format!("cannot look up the {what} `{name}`: {errno}")),
    }
}

/// A tree without the file does not say who is who; that is not the same as "there is no such user".
fn read(root: &Root, path: &str) -> Fact<Vec<Account>> {
    match root.look(path, Want::CONTENT) {
        Fact::Known(file) => match file.content {
            Some(content) => Fact::Known(parse(&String::from_utf8_lossy(&content.0))),
            None => Fact::Unknown(format!("{path} is not a regular file")),
        },
        Fact::Absent => Fact::Unknown(format!("{path} does not exist in this tree")),
        Fact::Unknown(why) => Fact::Unknown(why),
    }
}

/// `name:password:id:…` a line, in both files. As in the name service, a line that is none is passed over.
fn parse(text: &str) -> Vec<Account> {
    let account = |line: &str| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        Some(Account { name: name.to_owned(), id: id.parse().ok()? })
    };
    text.lines().filter_map(account).collect()
}

fn id_in(accounts: &Fact<Vec<Account>>, name: &str) -> Fact<u32> {
    match accounts {
        Fact::Known(accounts) => match accounts.iter().find(|account| account.name == name) {
            Some(account) => Fact::Known(account.id),
            None => Fact::Absent,
        },
        Fact::Absent => Fact::Absent,
        Fact::Unknown(why) => Fact::Unknown(why.clone()),
    }
}

fn name_in(accounts: &Fact<Vec<Account>>, id: u32) -> Option<String> {
    accounts.known()?.iter().find(|account| account.id == id).map(|account| account.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    #[test]
    fn an_image_tree_is_asked_for_its_own_names_only() {
        let scratch = Scratch::new();
        scratch.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n# x\nbad\nno:x:number:0\napp:x:4242:7::/:\n", 0o644);
        scratch.file("/etc/group", "root:x:0:\ndocker:x:997:app\n", 0o644);
        let accounts = Accounts::of(&scratch.root());
        assert_eq!(accounts.user_id("root"), Fact::Known(0));
        assert_eq!(accounts.user_id("app"), Fact::Known(4242));
        assert_eq!(accounts.group_id("docker"), Fact::Known(997));
        // Users of the machine that the tests run on.
        for name in ["daemon", "nobody", "bad", "no", ""] {
            assert_eq!(accounts.user_id(name), Fact::Absent, "{name}");
        }
        assert_eq!((accounts.user_name(4242), accounts.user_name(1)), ("app".into(), "1".into()));
        assert_eq!((accounts.group_name(997), accounts.group_name(1)), ("docker".into(), "1".into()));
    }

    #[test]
    fn a_tree_without_the_files_knows_nobody() {
        let accounts = Accounts::of(&Scratch::new().root());
        assert_eq!(accounts.user_id("root"), Fact::Unknown("/etc/passwd does not exist in this tree".into()));
        assert_eq!(accounts.group_id("root"), Fact::Unknown("/etc/group does not exist in this tree".into()));
        assert_eq!(accounts.user_name(0), "0");
    }

    #[test]
    fn the_live_host_asks_the_name_service() {
        let accounts = Accounts::of(&Root::open("/").unwrap());
        assert_eq!(accounts.user_id("root"), Fact::Known(0));
        assert_eq!(accounts.group_id("root"), Fact::Known(0));
        assert_eq!(accounts.user_id("no-such-user-here"), Fact::Absent);
        assert_eq!((accounts.user_name(0), accounts.group_name(0)), ("root".into(), "root".into()));
    }
}
