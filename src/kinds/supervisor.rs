//! Who starts and stops dockerd on a host: systemd, or an init script. What none of them started, only its user can restart.

use crate::fact::{Fact, Facts, Layout, ProcessFact, ServiceManager};
use crate::kinds::effective::{INIT_SCRIPT, SERVICE};
use crate::observe::Observer;

/// Where Debian's init script notes the process that it started; a dockerd that somebody else started is not in it.
const DEBIAN_PIDFILE: &str = "/run/docker-ssd.pid";
/// Where dockerd itself notes its process.
const DOCKER_PIDFILE: &str = "/run/docker.pid";
/// What the init script of Red Hat's kind leaves while the dockerd that it started runs.
const REDHAT_LOCK: &str = "/var/lock/subsys/docker";
/// That OpenRC has started the service.
const OPENRC_STARTED: &str = "/run/openrc/started/docker";
/// The process that OpenRC's supervise-daemon started.
const OPENRC_CHILD: &str = "/run/openrc/options/docker/child_pid";
/// What OpenRC's start-stop-daemon started, as `pidfile=PATH` among others.
const OPENRC_DAEMON: &str = "/run/openrc/daemons/docker/001";

/// A service manager that knows dockerd as the service `docker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// docker.service.
    Systemd,
    /// `/etc/init.d/docker`, a System V script.
    Sysv,
    /// `/etc/init.d/docker`, a script of OpenRC's.
    Openrc,
}

/// Looks for the traces of an init script that started dockerd.
pub fn observe(observer: &mut Observer) {
    for path in [DEBIAN_PIDFILE, DOCKER_PIDFILE, REDHAT_LOCK, OPENRC_STARTED, OPENRC_CHILD, OPENRC_DAEMON] {
        observer.read(path);
    }
    if let Some(path) = openrc_pidfile(observer.facts()) {
        observer.read(&path);
    }
}

impl Supervisor {
    /// The one that started the running dockerd; where none runs, the one that would start it.
    pub fn of(facts: &Facts) -> Option<Supervisor> {
        // A user's own docker.service has the same name.
        if facts.daemon.layout.kind != Layout::Rootful {
            return None;
        }
        let process = match &facts.daemon.process {
            Fact::Known(process) => Some(process),
            Fact::Absent => None,
            Fact::Unknown(_) => return None,
        };
        let script = || facts.files.get(INIT_SCRIPT).and_then(Fact::known).is_some_and(|file| file.mode & 0o100 != 0);
        let (supervisor, its_own) = match facts.host.service_manager {
            ServiceManager::Systemd => {
                let started = |process: &ProcessFact| process.service.as_deref() == Some(SERVICE);
                let known = || facts.units.get(SERVICE).and_then(Fact::known).is_some();
                (Supervisor::Systemd, process.map_or_else(known, started))
            }
            ServiceManager::Sysv => (Supervisor::Sysv, script() && process.is_none_or(|process| sysv_started(facts, process))),
            ServiceManager::Openrc => {
                (Supervisor::Openrc, script() && process.is_none_or(|process| openrc_started(facts, process)))
            }
            ServiceManager::None => return None,
        };
        its_own.then_some(supervisor)
    }

    /// The command line that stops, starts or restarts dockerd.
    pub fn command(self, verb: &'static str) -> [&'static str; 3] {
        match self {
            Supervisor::Systemd => ["systemctl", verb, SERVICE],
            Supervisor::Sysv => ["service", "docker", verb],
            Supervisor::Openrc => ["rc-service", "docker", verb],
        }
    }

    /// What starts dockerd, for people.
    pub fn name(manager: ServiceManager) -> &'static str {
        match manager {
            ServiceManager::Sysv | ServiceManager::Openrc => INIT_SCRIPT,
            ServiceManager::Systemd | ServiceManager::None => SERVICE,
        }
    }
}

fn sysv_started(facts: &Facts, process: &ProcessFact) -> bool {
    let locked = || facts.files.get(REDHAT_LOCK).and_then(Fact::known).is_some_and(|file| file.uid == 0);
    names(facts, DEBIAN_PIDFILE, process) || (locked() && names(facts, DOCKER_PIDFILE, process))
}

fn openrc_started(facts: &Facts, process: &ProcessFact) -> bool {
    let started = facts.files.get(OPENRC_STARTED).is_some_and(|fact| !fact.is_absent());
    let by_pidfile = || openrc_pidfile(facts).is_some_and(|path| names(facts, &path, process));
    started && (names(facts, OPENRC_CHILD, process) || by_pidfile())
}

/// Whether a file holds the number of this process.
fn names(facts: &Facts, path: &str, process: &ProcessFact) -> bool {
    text(facts, path).and_then(|text| text.trim().parse().ok()) == Some(process.pid)
}

fn openrc_pidfile(facts: &Facts) -> Option<String> {
    let text = text(facts, OPENRC_DAEMON)?;
    text.lines().find_map(|line| line.strip_prefix("pidfile=")).filter(|path| path.starts_with('/')).map(str::to_owned)
}

fn text<'f>(facts: &'f Facts, path: &str) -> Option<&'f str> {
    std::str::from_utf8(&facts.files.get(path)?.known()?.content.as_ref()?.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{FileFact, FileKind, UnitFacts};

    const PID: i32 = 77;

    fn file(content: &str, uid: u32) -> Fact<FileFact> {
        Fact::Known(FileFact { uid, ..FileFact::imagined("", FileKind::File, 0o755, Some(content.into())) })
    }

    fn host(manager: ServiceManager, files: &[(&str, &str)]) -> Facts {
        let mut facts = Facts::default();
        facts.host.service_manager = manager;
        let process = ProcessFact { pid: PID, exe: String::new(), argv: Vec::new(), started_ns: 0, service: None };
        facts.daemon.process = Fact::Known(process);
        facts.files = files.iter().map(|(path, content)| ((*path).to_owned(), file(content, 0))).collect();
        facts
    }

    #[test]
    fn an_init_script_is_known_by_what_it_left() {
        use ServiceManager::{None as Nobody, Openrc, Sysv};
        const OPENRC: &str = "exec=/usr/bin/dockerd\nargv_0=-p\npidfile=/run/d.pid\n";
        let script = (INIT_SCRIPT, "#!/bin/sh");
        type Files<'a> = &'a [(&'a str, &'a str)];
        let table: [(ServiceManager, Files, Option<Supervisor>); 14] = [
            (Sysv, &[script, (DEBIAN_PIDFILE, "77\n")], Some(Supervisor::Sysv)),
            (Sysv, &[(DEBIAN_PIDFILE, "77\n")], None),
            (Sysv, &[script, (DEBIAN_PIDFILE, "78\n")], None),
            (Sysv, &[script, (DEBIAN_PIDFILE, "")], None),
            (Sysv, &[script], None),
            (Sysv, &[script, (DOCKER_PIDFILE, "77")], None),
            (Sysv, &[script, (DOCKER_PIDFILE, "77"), (REDHAT_LOCK, "")], Some(Supervisor::Sysv)),
            (Sysv, &[script, (DOCKER_PIDFILE, "78"), (REDHAT_LOCK, "")], None),
            (Openrc, &[script, (DOCKER_PIDFILE, "77"), (REDHAT_LOCK, ""), (DEBIAN_PIDFILE, "77")], None),
            (Openrc, &[script, (OPENRC_STARTED, ""), (OPENRC_CHILD, "77")], Some(Supervisor::Openrc)),
            (Openrc, &[script, (OPENRC_CHILD, "77")], None),
            (
                Openrc,
                &[script, (OPENRC_STARTED, ""), (OPENRC_DAEMON, OPENRC), ("/run/d.pid", "77\n")],
                Some(Supervisor::Openrc),
            ),
            (Openrc, &[script, (OPENRC_STARTED, ""), (OPENRC_DAEMON, OPENRC), (DOCKER_PIDFILE, "77\n")], None),
            (Nobody, &[script, (DEBIAN_PIDFILE, "77\n")], None),
        ];
        for (manager, files, expected) in table {
            assert_eq!(Supervisor::of(&host(manager, files)), expected, "{manager} {files:?}");
        }
        let mut facts = host(Sysv, &[script, (DOCKER_PIDFILE, "77"), (REDHAT_LOCK, "")]);
        facts.files.insert(REDHAT_LOCK.into(), file("", 1000));
        assert_eq!(Supervisor::of(&facts), None, "anybody may have left that");
    }

    #[test]
    fn where_none_runs_it_is_the_one_that_would_start_it() {
        let mut facts = host(ServiceManager::Sysv, &[(INIT_SCRIPT, "")]);
        facts.daemon.process = Fact::Absent;
        assert_eq!(Supervisor::of(&facts), Some(Supervisor::Sysv));
        facts.host.service_manager = ServiceManager::Systemd;
        assert_eq!(Supervisor::of(&facts), None);
        facts.units.insert(SERVICE.into(), Fact::Known(UnitFacts::default()));
        assert_eq!(Supervisor::of(&facts), Some(Supervisor::Systemd));
        facts.daemon.process = Fact::Unknown("why".into());
        assert_eq!(Supervisor::of(&facts), None);
    }

    #[test]
    fn systemd_is_known_by_the_control_group() {
        for (service, expected) in
            [(Some("docker.service"), Some(Supervisor::Systemd)), (Some("other.service"), None), (None, None)]
        {
            let mut facts = host(ServiceManager::Systemd, &[]);
            if let Fact::Known(process) = &mut facts.daemon.process {
                process.service = service.map(str::to_owned);
            }
            assert_eq!(Supervisor::of(&facts), expected, "{service:?}");
        }
    }

    #[test]
    fn commands() {
        assert_eq!(Supervisor::Systemd.command("restart"), ["systemctl", "restart", "docker.service"]);
        assert_eq!(Supervisor::Sysv.command("stop"), ["service", "docker", "stop"]);
        assert_eq!(Supervisor::Openrc.command("restart"), ["rc-service", "docker", "restart"]);
    }
}
