//! `sysctl.d`: which kernel parameters the next boot sets, as systemd-sysctl and as procps' `sysctl --system` read the files.
//!
//! Both sort the files of all directories by name, and of one name only the first directory's file counts. systemd then lets a key
//! that is named win over a pattern wherever that stands, takes `-key` without a value as "not by a pattern", and knows nothing of
//! /etc/sysctl.conf but a link to it. procps reads /etc/sysctl.conf last, whatever the names before it.

mod own;

use std::collections::BTreeSet;

pub use own::own_file;

/// Directories of `*.conf` files, the highest first.
pub const DIRS: [&str; 5] = ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// What procps reads last, and systemd only where a link in `/etc/sysctl.d` leads to it.
pub const SYSCTL_CONF: &str = "/etc/sysctl.conf";
/// harden's own file: its name must sort last, or another one would win.
pub const OWN_FILE: &str = "/etc/sysctl.d/zz-harden.conf";

/// Who sets the parameters at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// systemd-sysctl.
    Systemd,
    /// `sysctl --system`, which init scripts run.
    Procps,
}

/// A parameter as a path beneath /proc/sys: `net/ipv4/ip_forward`. Where the first separator is a dot, dots separate and a slash
/// stands for a dot in a name (`net.ipv4.conf.eth0/100.forwarding`); where it is a slash, nothing has to be translated.
pub fn path_of(key: &str) -> String {
    let first = key.find(['.', '/']).map(|at| key.as_bytes()[at]);
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if first == Some(b'.') { key.chars().map(swap).collect() } else { key.to_owned() };
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// The usual way to write a parameter, with dots.
pub fn key_of(path: &str) -> String {
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    path.chars().map(swap).collect()
}

/// Whether a path stays beneath /proc/sys.
pub fn is_safe(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
    path.split('/').all(part)
}

/// Files in the order in which they are read, of those that the directories hold (highest first): each name once.
pub fn in_order(listing: &[(&str, Vec<String>)]) -> Vec<String> {
    let mut files: Vec<(&str, String)> = Vec::new();
    for (dir, names) in listing {
        for name in names.iter().filter(|name| name.ends_with(".conf") && !name.starts_with('.')) {
            if !files.iter().any(|(other, _)| other == name) {
                files.push((name, format!("{dir}/{name}")));
            }
        }
    }
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// Where a parameter is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

/// What the next boot does about one parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AtBoot {
    /// It sets this value.
    Set(String, Origin),
    /// A file says that no pattern sets it, and none names it: the kernel's own value stays.
    Excluded(Origin),
    /// No file speaks of it: the kernel's own value stays.
    Unset,
}

/// One line that counts.
#[derive(Debug, Clone)]
struct Assignment {
    path: String,
    /// `None`: `-key` alone.
    value: Option<String>,
    origin: Origin,
}

/// All files together.
#[derive(Debug, Clone)]
pub struct Merged {
    assignments: Vec<Assignment>,
    loader: Loader,
}

impl Merged {
    /// Reads the files, given in the order in which the loader does. Lines that are no assignment are skipped, as it does.
    pub fn of<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>, loader: Loader) -> Self {
        let mut assignments: Vec<Assignment> = Vec::new();
        for (file, bytes) in files {
            for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
                let Some((path, value)) = assignment(&String::from_utf8_lossy(line)) else { continue };
                let new = Assignment { path, value, origin: Origin { path: file.to_owned(), line: index + 1 } };
                match assignments.iter().position(|old| old.path == new.path) {
                    // Said again: systemd leaves it in its place among the patterns.
                    Some(at) if assignments[at].value == new.value && loader == Loader::Systemd => {
                        assignments[at].origin = new.origin;
                    }
                    Some(at) => {
                        assignments.remove(at);
                        assignments.push(new);
                    }
                    None => assignments.push(new),
                }
            }
        }
        Self { assignments, loader }
    }

    /// Interfaces that assignments name for the parameter of all interfaces at this path; a pattern stands for one that it fits.
    pub fn interfaces(&self, path: &str) -> BTreeSet<String> {
        let Some((before, after)) = path.split_once("/conf/all/") else { return BTreeSet::new() };
        let named = self.assignments.iter().filter_map(|assignment| {
            let parts: Vec<&str> = assignment.path.split('/').collect();
            let [net, family, conf, interface, key] = parts.as_slice() else { return None };
            let fits = |pattern: &str, text: &str| pattern == text || matches(pattern, text);
            let same = fits(&format!("{net}/{family}"), before) && fits(conf, "conf") && fits(key, after);
            same.then(|| interface.replace(['*', '?'], "0"))
        });
        named
            .map(|name| if name == "0" { "eth0".into() } else { name })
            .filter(|name| !["all", "default", "lo"].contains(&name.as_str()))
            .collect()
    }

    /// What the next boot does about a parameter, given as a path.
    pub fn at_boot(&self, path: &str) -> AtBoot {
        let named = self.assignments.iter().rposition(|assignment| assignment.path == path);
        let pattern = self.assignments.iter().rposition(|assignment| {
            assignment.value.is_some() && is_pattern(&assignment.path) && matches(&assignment.path, path)
        });
        let wins = match (named, pattern, self.loader) {
            (Some(named), Some(pattern), Loader::Procps) if self.assignments[named].value.is_some() => named.max(pattern),
            (Some(named), _, _) => named,
            (None, Some(pattern), _) => pattern,
            (None, None, _) => return AtBoot::Unset,
        };
        let Assignment { value, origin, .. } = &self.assignments[wins];
        match value {
            Some(value) => AtBoot::Set(value.clone(), origin.clone()),
            None => AtBoot::Excluded(origin.clone()),
        }
    }
}

/// Path and value of a line; `None` for comments, blanks and what is no assignment.
fn assignment(line: &str) -> Option<(String, Option<String>)> {
    let line = line.trim_matches(SPACE);
    if line.is_empty() || line.starts_with(['#', ';']) {
        return None;
    }
    let (key, value) = match line.split_once('=') {
        // A failure to set it is ignored.
        Some((key, value)) => (key.strip_prefix('-').unwrap_or(key), Some(value.trim_matches(SPACE).to_owned())),
        None => (line.strip_prefix('-')?, None),
    };
    let path = path_of(key.trim_matches(SPACE));
    (!path.is_empty()).then_some((path, value))
}

const SPACE: &[char] = &[' ', '\t', '\r', '\n'];

fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// As glob(3) does: a wildcard stays within one part of the path.
fn matches(pattern: &str, path: &str) -> bool {
    let options =
        glob::MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };
    glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_with(path, options))
}

/// Two values that the kernel reads alike: fields are separated by any white space.
pub fn same(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merged(files: &[(&str, &str)], loader: Loader) -> Merged {
        Merged::of(files.iter().map(|(path, text)| (*path, text.as_bytes())), loader)
    }

    fn set(value: &str, path: &str, line: usize) -> AtBoot {
        AtBoot::Set(value.into(), Origin { path: path.into(), line })
    }

    #[test]
    fn keys_and_paths() {
        for (key, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("/net//ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/100.forwarding", "net/ipv4/conf/eth0.100/forwarding"),
            ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
            ("net.ipv4.conf.*.rp_filter", "net/ipv4/conf/*/rp_filter"),
            ("swappiness", "swappiness"),
        ] {
            assert_eq!(path_of(key), path, "{key}");
        }
        assert_eq!(key_of("net/ipv4/conf/eth0.100/forwarding"), "net.ipv4.conf.eth0/100.forwarding");
        assert!(is_safe("net/ipv4/ip_forward"));
        for path in ["", "..", "net/../../etc", "net//x", "./x", "a\nb"] {
            assert!(!is_safe(path), "{path:?}");
        }
    }

    #[test]
    fn files_are_read_by_name_and_the_first_directory_hides_the_others() {
        let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let listing = [
            ("/etc/sysctl.d", names(&["99-sysctl.conf", "README.sysctl", ".hidden.conf", "50-x.conf", "zz-harden.conf"])),
            ("/run/sysctl.d", names(&["50-x.conf", "60-y.conf"])),
            ("/usr/lib/sysctl.d", names(&["10-z.conf", "60-y.conf", "x.conf~"])),
        ];
        assert_eq!(
            in_order(&listing),
            [
                "/usr/lib/sysctl.d/10-z.conf",
                "/etc/sysctl.d/50-x.conf",
                "/run/sysctl.d/60-y.conf",
                "/etc/sysctl.d/99-sysctl.conf",
                "/etc/sysctl.d/zz-harden.conf"
            ]
        );
    }

    #[test]
    fn the_value_at_boot() {
        let key = "net/ipv4/conf/all/rp_filter";
        let both = [Loader::Systemd, Loader::Procps];
        for (text, loaders, expected) in [
            ("", &both[..], AtBoot::Unset),
            ("net.ipv4.conf.all.rp_filter = 1", &both, set("1", "f", 1)),
            ("# c\n; c\n\n \tnet/ipv4/conf/all/rp_filter=1 \r\nnonsense\n", &both, set("1", "f", 4)),
            ("net.ipv4.conf.all.rp_filter=1\nnet.ipv4.conf.all.rp_filter=2", &both, set("2", "f", 2)),
            ("-net.ipv4.conf.all.rp_filter=1", &both, set("1", "f", 1)),
            ("net.ipv4.conf.*.rp_filter=2", &both, set("2", "f", 1)),
            // A wildcard stays within one part.
            ("net.ipv4.*.rp_filter=2", &both, AtBoot::Unset),
            ("net.*=2", &both, AtBoot::Unset),
            // What is named wins over a later pattern, for systemd.
            ("net.ipv4.conf.all.rp_filter=1\nnet.ipv4.conf.*.rp_filter=2", &both[..1], set("1", "f", 1)),
            ("net.ipv4.conf.all.rp_filter=1\nnet.ipv4.conf.*.rp_filter=2", &both[1..], set("2", "f", 2)),
            ("net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.all.rp_filter=1", &both, set("1", "f", 2)),
            // Of two patterns the later one; one that is said again stays in its place.
            ("net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.a*.rp_filter=1", &both, set("1", "f", 2)),
            (
                "net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.a*.rp_filter=1\nnet.ipv4.conf.*.rp_filter=2",
                &both[..1],
                set("1", "f", 2),
            ),
            (
                "net.ipv4.conf.*.rp_filter=2\nnet.ipv4.conf.a*.rp_filter=1\nnet.ipv4.conf.*.rp_filter=2",
                &both[1..],
                set("2", "f", 3),
            ),
            // Not by a pattern.
            (
                "net.ipv4.conf.*.rp_filter=2\n-net.ipv4.conf.all.rp_filter",
                &both,
                AtBoot::Excluded(Origin { path: "f".into(), line: 2 }),
            ),
            ("-net.ipv4.conf.all.rp_filter\nnet.ipv4.conf.all.rp_filter=1", &both, set("1", "f", 2)),
            ("net.ipv4.conf.*.rp_filter=2\n-net.ipv4.conf.*.rp_filter", &both, AtBoot::Unset),
        ] {
            for loader in loaders {
                assert_eq!(merged(&[("f", text)], *loader).at_boot(key), expected, "{text:?} {loader:?}");
            }
        }
        let two = [("a", "net.ipv4.conf.all.rp_filter=1\n"), ("b", "\nnet.ipv4.conf.all.rp_filter=0\n")];
        assert_eq!(merged(&two, Loader::Systemd).at_boot(key), set("0", "b", 2));
    }

    #[test]
    fn values_alike() {
        assert!(same("4096\t87380 6291456", "4096 87380  6291456"));
        assert!(!same("1", "10"));
    }

    proptest! {
        /// Whatever a file holds, a line at its end decides.
        #[test]
        fn the_last_line_that_names_it_wins(text in "([-a-z.*/=# ;0-9]{0,20}\n){0,6}", value in "[0-9]{1,3}") {
            let text = format!("{text}\nnet.ipv4.ip_forward = {value}\n");
            for loader in [Loader::Systemd, Loader::Procps] {
                let at_boot = merged(&[("f", &text)], loader).at_boot("net/ipv4/ip_forward");
                let is_set = matches!(&at_boot, AtBoot::Set(found, _) if *found == value);
                prop_assert!(is_set, "{:?}", at_boot);
            }
        }

        #[test]
        fn dots_and_slashes_are_each_others_inverse(path in "[a-z]{1,4}(/[a-z0-9.]{1,5}){1,4}") {
            prop_assume!(is_safe(&path));
            prop_assert_eq!(path_of(&key_of(&path)), path);
        }
    }
}
