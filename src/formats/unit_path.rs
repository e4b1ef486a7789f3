//! Where systemd's system manager looks for units and drop-ins, and which of several files counts.
//!
//! Pure: it names directories, the caller lists them, it picks and sorts. Checked against `systemd-analyze unit-paths` and
//! `systemd --test` of systemd 252.

use std::collections::BTreeMap;

/// The unit directories, the one that wins first. `/lib` is there for hosts where it is not a link to `/usr/lib`; where it is,
/// both name the same files and the first is taken.
pub const SEARCH: [&str; 13] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/run/systemd/generator.late",
];

/// Where units of users' own service managers are installed; before them come `/etc/systemd/user` and the user's own directories.
pub const USERS: [&str; 3] = ["/usr/local/lib/systemd/user", "/lib/systemd/user", "/usr/lib/systemd/user"];

/// Where the unit file may lie in these unit directories; the first that exists counts, even when [`is_masked`].
pub fn fragments(dirs: &[&str], unit: &str) -> Vec<String> {
    dirs.iter().map(|dir| format!("{dir}/{unit}")).collect()
}

/// Whether a unit file switches its unit off: a symbolic link to `/dev/null`, or an empty file.
pub fn is_masked(resolved_path: &str, size: u64) -> bool {
    resolved_path == "/dev/null" || size == 0
}

/// The drop-in directories of a unit, the one that wins first: in each of these unit directories its own and those of its
/// prefixes (`a-b.service.d`, `a-.service.d`); after them come those of its type, see [`type_dirs`].
///
/// For plain units: templates (`a@.service`) and aliases are the caller's.
pub fn drop_in_dirs(dirs: &[&str], unit: &str) -> Vec<String> {
    let names = names(unit);
    dirs.iter().flat_map(|dir| names.iter().map(move |name| format!("{dir}/{name}.d"))).collect()
}

/// The drop-in directories of all units of a unit's type (`service.d`), the one that wins first.
pub fn type_dirs(dirs: &[&str], unit: &str) -> Vec<String> {
    let kind = unit.rsplit_once('.').map(|(_, kind)| kind);
    kind.into_iter().flat_map(|kind| dirs.iter().map(move |dir| format!("{dir}/{kind}.d"))).collect()
}

/// The unit's name and its prefixes: everything up to each dash from the right, a dash at the very end or start not counted.
fn names(unit: &str) -> Vec<String> {
    let mut names = vec![unit.to_owned()];
    let Some((stem, kind)) = unit.rsplit_once('.') else { return names };
    let mut prefix = stem;
    while let Some(dash) = prefix.strip_suffix('-').unwrap_or(prefix).rfind('-').filter(|&dash| dash > 0) {
        prefix = &stem[..=dash];
        names.push(format!("{prefix}.{kind}"));
    }
    names
}

/// The drop-ins that count, in the order in which systemd reads them, from `(directory, names in it)` in the order of
/// [`drop_in_dirs`] and [`type_dirs`].
///
/// Of several files of one name the first directory's counts, whatever it is: a link to `/dev/null`, a dangling link or a
/// directory there hides the others, and reads as empty.
pub fn order<D: AsRef<str>, N: AsRef<str>>(listing: &[(D, Vec<N>)]) -> Vec<String> {
    let mut chosen: BTreeMap<&str, String> = BTreeMap::new();
    for (dir, names) in listing {
        for name in names.iter().map(AsRef::as_ref).filter(|name| name.ends_with(".conf") && !name.starts_with('.')) {
            chosen.entry(name).or_insert_with(|| format!("{}/{name}", dir.as_ref()));
        }
    }
    chosen.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_units_drop_ins_lie_in_every_unit_directory() {
        let dirs = drop_in_dirs(&SEARCH, "docker.service");
        assert_eq!(dirs.len(), SEARCH.len());
        assert_eq!(dirs[0], "/etc/systemd/system.control/docker.service.d");
        assert_eq!(dirs[4], "/etc/systemd/system/docker.service.d");
        let by_type = type_dirs(&SEARCH, "docker.service");
        assert_eq!(by_type.len(), SEARCH.len());
        assert_eq!(by_type[0], "/etc/systemd/system.control/service.d");
        assert_eq!(by_type[12], "/run/systemd/generator.late/service.d");
        assert_eq!(fragments(&SEARCH, "docker.socket")[10], "/lib/systemd/system/docker.socket");
    }

    #[test]
    fn prefixes_end_at_each_dash() {
        let table: [(&str, &[&str]); 7] = [
            ("docker.service", &["docker.service"]),
            ("a-b-c.service", &["a-b-c.service", "a-b-.service", "a-.service"]),
            ("a-.service", &["a-.service"]),
            ("a-b-.service", &["a-b-.service", "a-.service"]),
            ("-a.service", &["-a.service"]),
            ("-.mount", &["-.mount"]),
            ("nokind", &["nokind"]),
        ];
        for (unit, expected) in table {
            assert_eq!(names(unit), expected);
        }
    }

    /// What `systemd --test` 252 lists for these files.
    #[test]
    fn files_are_sorted_by_name_and_the_first_directory_wins() {
        let listing = [
            ("hi/a-b-c.service.d", vec!["same.conf", "hi-a-b-c.conf", "dangling.conf"]),
            ("hi/a-b-.service.d", vec!["p.conf", "r.conf", "same.conf"]),
            ("hi/a-.service.d", vec!["null.conf", "p.conf", "r.conf", ".hidden.conf", "x.conf~"]),
            ("lo/a-b-c.service.d", vec!["10.conf", "B.conf", "dangling.conf", "dir.conf", "null.conf", "p.conf", "same.conf"]),
            ("lo/a-.service.d", vec!["q.conf"]),
            ("hi/service.d", vec!["hi-service.conf", "p.conf", "q.conf"]),
        ];
        assert_eq!(
            order(&listing),
            [
                "lo/a-b-c.service.d/10.conf",
                "lo/a-b-c.service.d/B.conf",
                "hi/a-b-c.service.d/dangling.conf",
                "lo/a-b-c.service.d/dir.conf",
                "hi/a-b-c.service.d/hi-a-b-c.conf",
                "hi/service.d/hi-service.conf",
                "hi/a-.service.d/null.conf",
                "hi/a-b-.service.d/p.conf",
                "lo/a-.service.d/q.conf",
                "hi/a-b-.service.d/r.conf",
                "hi/a-b-c.service.d/same.conf",
            ]
        );
        assert_eq!(order::<&str, &str>(&[]), Vec::<String>::new());
    }

    #[test]
    fn masks() {
        assert!(is_masked("/dev/null", 0));
        assert!(is_masked("/etc/systemd/system/docker.service", 0));
        assert!(!is_masked("/etc/systemd/system/docker.service", 1));
    }
}
