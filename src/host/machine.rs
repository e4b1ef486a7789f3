//! What kind of machine this is: what starts services here, and two kernel features that controls depend on.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::fs::{Root, Want};
use crate::fact::{Fact, ServiceManager};
use crate::formats::mountinfo::{self, Mount};

/// What starts services on this host.
pub fn service_manager() -> ServiceManager {
    service_manager_of(Path::new("/"))
}

/// Whether bridge traffic can be filtered on this host: the br_netfilter module is loaded or built in. Whether it could be
/// loaded is not asked.
pub fn br_netfilter() -> Fact<bool> {
    br_netfilter_of(Path::new("/"))
}

/// A parameter of the running kernel, by its path beneath /proc/sys; `Absent` where the kernel does not have it.
pub fn sysctl(path: &str) -> Fact<String> {
    let path = Path::new("/proc/sys").join(path);
    match fs::read_to_string(&path) {
        Ok(text) => Fact::Known(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => Fact::Absent,
        Err(error) => Fact::Unknown(format!("{}: {error}", path.display())),
    }
}

/// What is mounted where in this process's namespace.
pub fn mounts() -> Fact<Vec<Mount>> {
    const PATH: &str = "/proc/self/mountinfo";
    match fs::read(PATH) {
        Ok(bytes) => Fact::Known(mountinfo::parse(&String::from_utf8_lossy(&bytes))),
        Err(error) => Fact::Unknown(format!("{PATH}: {error}")),
    }
}

/// The release of the running kernel.
pub fn kernel_release() -> Fact<String> {
    const PATH: &str = "/proc/sys/kernel/osrelease";
    match fs::read_to_string(PATH) {
        Ok(text) => Fact::Known(text.trim().to_owned()),
        Err(error) => Fact::Unknown(format!("{PATH}: {error}")),
    }
}

/// Whether AppArmor is on in the kernel; `Absent` where it is not built in.
pub fn apparmor() -> Fact<bool> {
    const PATH: &str = "/sys/module/apparmor/parameters/enabled";
    match fs::read_to_string(PATH) {
        Ok(text) => Fact::Known(text.trim() == "Y"),
        Err(error) if error.kind() == ErrorKind::NotFound => Fact::Absent,
        Err(error) => Fact::Unknown(format!("{PATH}: {error}")),
    }
}

/// Whether an image tree will enforce SELinux once it runs, by what its configuration says.
pub fn selinux_configured(root: &Root) -> Fact<bool> {
    const CONFIG: &str = "/etc/selinux/config";
    let file = match root.look(CONFIG, Want::CONTENT) {
        Fact::Known(file) => file,
        Fact::Absent => return Fact::Absent,
        Fact::Unknown(why) => return Fact::Unknown(why),
    };
    let content = String::from_utf8_lossy(file.content.as_ref().map_or(&[], |content| &content.0)).to_ascii_lowercase();
    // As libselinux reads it: the first line that says one of these.
    let modes = [("enforcing", Fact::Known(true)), ("permissive", Fact::Known(false)), ("disabled", Fact::Absent)];
    let mode = |line: &str| {
        let value = line.strip_prefix("selinux=")?;
        modes.iter().find(|(name, _)| value.starts_with(name)).map(|(_, fact)| fact.clone())
    };
    content.lines().find_map(mode).unwrap_or_else(|| {
        Fact::Unknown(format!("{CONFIG}: no line says SELINUX=enforcing, SELINUX=permissive or SELINUX=disabled"))
    })
}

/// Whether SELinux enforces on this host; see [`crate::fact::HostFacts::selinux_enforcing`].
pub fn selinux() -> Fact<bool> {
    selinux_of(Path::new("/"))
}

fn service_manager_of(root: &Path) -> ServiceManager {
    // A package may leave scripts for managers that don't run, so the ones that leave a trace at run time go first.
    let marks = [
        ("run/systemd/system", ServiceManager::Systemd),
        ("run/openrc", ServiceManager::Openrc),
        ("etc/init.d", ServiceManager::Sysv),
    ];
    let found = marks.into_iter().find(|(path, _)| root.join(path).is_dir());
    found.map_or(ServiceManager::None, |(_, manager)| manager)
}

fn br_netfilter_of(root: &Path) -> Fact<bool> {
    // The sysctl first: it is there too when the module is built in.
    for path in ["proc/sys/net/bridge/bridge-nf-call-iptables", "sys/module/br_netfilter"] {
        let path = root.join(path);
        match path.try_exists() {
            Ok(true) => return Fact::Known(true),
            Ok(false) => {}
            Err(error) => return Fact::Unknown(format!("{}: {error}", path.display())),
        }
    }
    Fact::Known(false)
}

fn selinux_of(root: &Path) -> Fact<bool> {
    let path = root.join("sys/fs/selinux/enforce");
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim_ascii() {
            "1" => Fact::Known(true),
            "0" => Fact::Known(false),
            _ => Fact::Unknown(format!("{}: 0 or 1 expected", path.display())),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Fact::Absent,
        Err(error) => Fact::Unknown(format!("{}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    #[test]
    fn service_managers() {
        for (marks, expected) in [
            (&[][..], ServiceManager::None),
            (&["etc/init.d/docker"], ServiceManager::Sysv),
            (&["etc/init.d/docker", "run/openrc/softlevel"], ServiceManager::Openrc),
            (&["etc/init.d/docker", "run/systemd/system/x"], ServiceManager::Systemd),
            (&["run/systemd/system"], ServiceManager::None),
        ] {
            let root = Scratch::new();
            for mark in marks {
                root.file(mark, "", 0o644);
            }
            assert_eq!(service_manager_of(root.path()), expected, "{marks:?}");
        }
    }

    #[test]
    fn bridge_filter() {
        for (mark, expected) in [
            ("proc/sys/net/bridge/bridge-nf-call-iptables", true),
            ("sys/module/br_netfilter/refcnt", true),
            ("sys/module/bridge/refcnt", false),
        ] {
            let root = Scratch::new();
            root.file(mark, "1\n", 0o644);
            assert_eq!(br_netfilter_of(root.path()), Fact::Known(expected), "{mark}");
        }
        let root = Scratch::new();
        root.link("proc", &root.at("proc").to_string_lossy(), 0);
        let path = root.path().join("proc/sys/net/bridge/bridge-nf-call-iptables");
        let expected = format!("{}: Too many levels of symbolic links (os error 40)", path.display());
        assert_eq!(br_netfilter_of(root.path()), Fact::Unknown(expected));
    }

    #[test]
    fn selinux_of_a_tree() {
        let scratch = Scratch::new();
        let read = || selinux_configured(&scratch.root());
        assert_eq!(read(), Fact::Absent);
        for (text, expected) in [
            ("# SELINUX=disabled\nSELINUXTYPE=targeted\nSELINUX=enforcing\n", Fact::Known(true)),
            ("SELINUX=Permissive \r\nSELINUX=enforcing\n", Fact::Known(false)),
            ("SELINUX=on\nSELINUX=disabled", Fact::Absent),
        ] {
            scratch.file("/etc/selinux/config", text, 0o644);
            assert_eq!(read(), expected, "{text}");
        }
        scratch.file("/etc/selinux/config", " SELINUX=enforcing\n", 0o644);
        let why = "/etc/selinux/config: no line says SELINUX=enforcing, SELINUX=permissive or SELINUX=disabled";
        assert_eq!(read(), Fact::Unknown(why.into()));
    }

    #[test]
    fn selinux_modes() {
        let root = Scratch::new();
        assert_eq!(selinux_of(root.path()), Fact::Absent);
        for (text, expected) in [("1", Fact::Known(true)), ("0\n", Fact::Known(false))] {
            root.file("sys/fs/selinux/enforce", text, 0o644);
            assert_eq!(selinux_of(root.path()), expected);
        }
        root.file("sys/fs/selinux/enforce", "permissive", 0o644);
        let path = root.path().join("sys/fs/selinux/enforce");
        assert_eq!(selinux_of(root.path()), Fact::Unknown(format!("{}: 0 or 1 expected", path.display())));
    }
}
