//! The files in images: setuid bits, and users.

use glob::Pattern;

use super::api::Standing;
use super::made;
use crate::baseline::control::{ImageRule, ImageWant};
use crate::fact::{Fact, Facts, ImageFacts, ImageFiles, Layout};
use crate::formats::accounts::lets_in;
use crate::host::layers::{FIRST_USER, OVERLAY2};

/// How many files or users of one image are named.
const MOST: usize = 5;
/// In characters.
const LONGEST: usize = 120;
const CONTAINER: &str = "c=$(docker create IMAGE x) && docker export $c";
const LIST_SETUID: &str = "| tar -tv | grep -E '^-(..s|.....s)'; docker rm $c";
const SHOW_PASSWD: &str = "| tar -xO etc/passwd; docker rm $c";

/// Whether a rule is judged from the files in images.
pub(super) fn needs(rule: ImageRule) -> bool {
    matches!(rule, ImageRule::NoSetuid | ImageRule::NoExtraUsers)
}

/// Why the layers of an image are not to be read here; `None` where they are directories of this host, as overlay2 makes them.
pub fn layers_unseen(facts: &Facts, image: &ImageFacts) -> Option<String> {
    let why = match (&facts.daemon.layout.kind, image.driver.as_str()) {
        (Layout::Rootless(_), _) => "a rootless dockerd marks deleted files in another way than harden reads",
        (Layout::Remote(remote), _) => return Some(remote.elsewhere()),
        (Layout::Desktop, _) => "Docker Desktop has its layers in a virtual machine",
        _ if facts.daemon.process.known().is_none() => "no dockerd is seen to run here, so its layers are elsewhere",
        (_, "" | "overlayfs") => "containerd keeps the layers of images, in a way that harden does not read",
        (_, OVERLAY2) if !facts.host.privileged => "only root may look into the layers of images; run harden as root",
        (_, OVERLAY2) if image.layer_dirs.len() == image.layers.len() => return None,
        (_, OVERLAY2) => {
            return Some(format!("the engine names {} directories for {} layers", image.layer_dirs.len(), image.layers.len()));
        }
        (_, driver) => return Some(format!("harden does not read layers of the storage driver {driver}")),
    };
    Some(why.to_owned())
}

/// What shows the same without running anything of the image, where harden can't look.
pub(super) fn by_hand(rule: ImageRule, why: &str) -> String {
    let rest = if rule == ImageRule::NoSetuid { LIST_SETUID } else { SHOW_PASSWD };
    format!("{why}; without running the image: {CONTAINER} {rest}")
}

/// How one image stands; an error says why nobody looked into it.
pub(super) fn judge(want: &ImageWant, image: &ImageFacts) -> Result<Standing, String> {
    let files = match &image.files {
        Fact::Known(files) => files,
        Fact::Unknown(why) => return Err(why.clone()),
        Fact::Absent => return Err("not looked at".into()),
    };
    match want.rule {
        ImageRule::NoSetuid => setuid(want, files),
        _ => users(want, files),
    }
}

fn setuid(want: &ImageWant, files: &ImageFiles) -> Result<Standing, String> {
    const DESIRED: &str = "no setuid or setgid file but those of image.setuid_allow";
    let patterns: Vec<Pattern> = want.allow.iter().filter_map(|pattern| Pattern::new(pattern).ok()).collect();
    let chosen = |path: &str| patterns.iter().any(|pattern| pattern.matches(path));
    let strange = files.setuid.iter().filter(|file| !chosen(&file.path));
    let strange: Vec<String> = strange.map(|file| format!("{} {:04o}", short(&file.path), file.mode)).collect();
    if !strange.is_empty() {
        return Ok(Standing::drift(
            made::some_of(&strange, MOST, ", "),
            DESIRED,
            "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} + before USER, or list those that it needs in image.setuid_allow; then \
             build the image anew",
        ));
    }
    match (&files.doubt, files.setuid.len()) {
        (Some(why), _) => Err(why.clone()),
        (None, 0) => Ok(Standing::good("no setuid or setgid file", DESIRED)),
        (None, chosen) => Ok(Standing::good(format!("{chosen} of image.setuid_allow"), DESIRED)),
    }
}

fn users(want: &ImageWant, files: &ImageFiles) -> Result<Standing, String> {
    const DESIRED: &str = "no user from 1000 up with a login shell but those of image.allowed_users";
    let users = match &files.users {
        Fact::Known(users) => users,
        Fact::Absent => return Ok(Standing::good("no /etc/passwd", DESIRED)),
        Fact::Unknown(why) => return Err(why.clone()),
    };
    let strange =
        users.iter().filter(|user| user.uid >= FIRST_USER && lets_in(&user.shell) && !want.allow.contains(&user.name));
    let shell = |shell: &str| if shell.is_empty() { "/bin/sh".to_owned() } else { short(shell) };
    let strange: Vec<String> =
        strange.map(|user| format!("{} ({}, {})", short(&user.name), user.uid, shell(&user.shell))).collect();
    Ok(match strange.is_empty() {
        true => Standing::good("no such user", DESIRED),
        false => Standing::drift(
            made::some_of(&strange, MOST, ", "),
            DESIRED,
            "RUN userdel NAME, or give the user /sbin/nologin as its shell, or add it to image.allowed_users; then build the image anew",
        ),
    })
}

/// What an image calls something, no longer than anybody reads.
fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{ProcessFact, RemoteFacts, RemotePlace, RootlessFacts};

    #[test]
    fn layers_that_are_not_here() {
        type Change = fn(&mut Facts, &mut ImageFacts);
        let cases: [(Change, Option<&str>); 10] = [
            (|_, _| {}, None),
            (|facts, _| facts.daemon.layout.kind = Layout::Snap, None),
            (
                |facts, _| facts.daemon.layout.kind = Layout::Rootless(RootlessFacts::default()),
                Some("a rootless dockerd marks deleted files in another way than harden reads"),
            ),
            (|facts, _| facts.daemon.layout.kind = Layout::Desktop, Some("Docker Desktop has its layers in a virtual machine")),
            (
                |facts, _| {
                    let url = "tcp://build.example:2376".into();
                    facts.daemon.layout.kind = Layout::Remote(RemoteFacts { url, place: RemotePlace::Elsewhere });
                },
                Some("the engine at tcp://build.example:2376 is another machine's: run harden there"),
            ),
            (
                |facts, _| facts.daemon.process = Fact::Absent,
                Some("no dockerd is seen to run here, so its layers are elsewhere"),
            ),
            (
                |facts, _| facts.host.privileged = false,
                Some("only root may look into the layers of images; run harden as root"),
            ),
            (
                |_, image| image.driver.clear(),
                Some("containerd keeps the layers of images, in a way that harden does not read"),
            ),
            (|_, image| image.driver = "btrfs".into(), Some("harden does not read layers of the storage driver btrfs")),
            (|_, image| drop(image.layer_dirs.pop()), Some("the engine names 1 directories for 2 layers")),
        ];
        for (change, expected) in cases {
            let mut facts = Facts::default();
            facts.host.privileged = true;
            let process = ProcessFact { pid: 1, exe: String::new(), argv: Vec::new(), started_ns: 0, service: None };
            facts.daemon.process = Fact::Known(process);
            let (layers, layer_dirs) = (vec!["1".into(), "2".into()], vec!["/b".into(), "/a".into()]);
            let mut image = ImageFacts { driver: OVERLAY2.into(), layers, layer_dirs, ..ImageFacts::default() };
            change(&mut facts, &mut image);
            assert_eq!(layers_unseen(&facts, &image).as_deref(), expected);
        }
    }
}
