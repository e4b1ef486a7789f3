//! The way to the machine. Everything here only reads; writing is [`crate::apply`]'s.

pub mod accounts;
pub(crate) mod advice;
pub mod audit;
pub mod build;
pub mod docker;
pub mod exec;
pub mod fs;
mod glob;
pub(crate) mod handle;
pub(crate) mod inode;
pub mod machine;
pub mod process;
#[cfg(test)]
pub(crate) mod scratch;
mod state;
pub(crate) mod walk;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::apply::journal;
use crate::error::Result;
use crate::fact::{ClusterFacts, Content, Fact, Facts, HostFacts, KernelAudit, ProcessFact, ServiceManager};
use accounts::Accounts;
use docker::{Answer, Endpoint, Engine, Pending};
use fs::{Root, Want};

/// Where the Engine API is, unless something else was given.
const DEFAULT_ENDPOINT: &str = "unix:///run/docker.sock";

/// How a host was given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Access<'a> {
    /// An image tree instead of this host.
    pub root: Option<&'a Path>,
    /// `--docker-host` or `DOCKER_HOST`.
    pub docker_host: Option<&'a str>,
    /// `--docker-version`.
    pub docker_version: Option<&'a str>,
    /// `--state-dir`.
    pub state_dir: &'a str,
}

/// One host: this one, or an image tree.
pub struct Host {
    /// Its file system.
    pub root: Root,
    /// The version that was given for it.
    pub docker_version: Option<String>,
    accounts: Accounts,
    /// Where to ask the engine, and whether the user said so.
    endpoint: Option<(Endpoint, bool)>,
    state_dir: String,
}

impl Host {
    /// Opens a host.
    ///
    /// # Errors
    /// When the root is no directory, or the endpoint is none that harden knows.
    pub fn open(access: &Access) -> Result<Self> {
        let root = Root::open(access.root.unwrap_or(Path::new("/")))?;
        let live = access.root.is_none();
        let endpoint = match (live, access.docker_host) {
            (false, _) => None,
            (true, Some(url)) => Some((Endpoint::parse(url)?, true)),
            (true, None) => Some((Endpoint::parse(DEFAULT_ENDPOINT)?, false)),
        };
        let accounts = Accounts::of(&root);
        let docker_version = access.docker_version.map(str::to_owned);
        Ok(Self { root, docker_version, accounts, endpoint, state_dir: access.state_dir.to_owned() })
    }

    /// Whether this is the running host.
    pub fn live(&self) -> bool {
        self.endpoint.is_some()
    }

    /// The machine.
    pub fn describe(&self) -> HostFacts {
        let live = self.live();
        let hostname = if live {
            nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok())
        } else {
            let file = self.root.look("/etc/hostname", Want::Content { limit: 4096 });
            let content = file.known().and_then(|file| file.content.clone());
            content.map(|content| String::from_utf8_lossy(&content.0).trim().to_owned())
        };
        HostFacts {
            hostname: hostname.unwrap_or_default(),
            root: self.root.path().display().to_string(),
            live,
            service_manager: if live { machine::service_manager() } else { ServiceManager::None },
            selinux_enforcing: if live { machine::selinux() } else { machine::selinux_configured(&self.root) },
            br_netfilter: if live { machine::br_netfilter() } else { Fact::Unknown("an image tree has no kernel".into()) },
            privileged: nix::unistd::geteuid().is_root(),
        }
    }

    /// A user's number.
    pub fn user_id(&self, name: &str) -> Fact<u32> {
        self.accounts.user_id(name)
    }

    /// A group's number.
    pub fn group_id(&self, name: &str) -> Fact<u32> {
        self.accounts.group_id(name)
    }

    /// The running dockerd. A socket that systemd listens on is not connected to: that would start Docker.
    pub fn find_dockerd(&self, pidfile: Option<&str>, socket_activated: bool) -> Fact<ProcessFact> {
        let Some((endpoint, given)) = &self.endpoint else { return Fact::Absent };
        let engine = Engine::new(endpoint.clone(), docker::TIMEOUT);
        let may_connect = *given || !socket_activated;
        let pidfile = Path::new(pidfile.unwrap_or(process::PIDFILE));
        process::dockerd(&process::Hints { pidfile, engine: may_connect.then_some(&engine) })
    }

    /// Asks the engine on a thread of its own, if its daemon runs.
    pub fn ask_engine(&self, daemon: &Fact<ProcessFact>) -> EngineAnswer {
        match (&self.endpoint, daemon) {
            // Where the user named the socket, somebody answers there perhaps whose process is not here.
            (Some((endpoint, given)), daemon) if *given || !daemon.is_absent() => {
                EngineAnswer(Some(docker::spawn(endpoint.clone())))
            }
            _ => EngineAnswer(None),
        }
    }

    /// Whether the user said where the engine is.
    pub fn endpoint_is_given(&self) -> bool {
        matches!(self.endpoint, Some((_, true)))
    }

    /// Asks a daemon that is known to run, and waits for the answer.
    pub fn ask(&self) -> Answer {
        self.endpoint.as_ref().map(|(endpoint, _)| Engine::new(endpoint.clone(), docker::TIMEOUT).ask()).unwrap_or_default()
    }

    /// What a manager says of its swarm; `Absent` where this node is none.
    pub fn cluster(&self) -> Fact<ClusterFacts> {
        self.endpoint.as_ref().map_or(Fact::Absent, |(endpoint, _)| Engine::new(endpoint.clone(), docker::TIMEOUT).cluster())
    }

    /// The running containers and their process ids.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn running_containers(&self) -> Result<BTreeMap<String, i64>> {
        match &self.endpoint {
            Some((endpoint, _)) => Engine::new(endpoint.clone(), docker::TIMEOUT).running_containers(),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Whether the daemon answers.
    ///
    /// # Errors
    /// When it does not within `timeout`.
    pub fn ping(&self, timeout: Duration) -> Result<()> {
        match &self.endpoint {
            Some((endpoint, _)) => Engine::new(endpoint.clone(), timeout).ping(timeout),
            None => Ok(()),
        }
    }

    /// The kernel's audit state; an image tree has none.
    pub fn kernel_audit(&self) -> Fact<KernelAudit> {
        if self.live() { audit::read() } else { Fact::Absent }
    }

    /// What the configuration file held when the running dockerd started, where it changed since and harden's own record tells.
    pub fn config_at_start(&self, facts: &Facts) -> Fact<Content> {
        let (Fact::Known(process), Some(Fact::Known(file))) =
            (&facts.daemon.process, facts.files.get(&facts.daemon.config_file))
        else {
            return Fact::Absent;
        };
        if file.changed_ns() <= process.started_ns {
            return Fact::Absent;
        }
        // Only what was recorded after the start, of a file untouched since before it, is what the process read. The newest first:
        // they all say the same then, and the rest is not read.
        for id in journal::transactions(&self.root, &self.state_dir).iter().rev() {
            let path = format!("{}/transactions/{id}", self.state_dir);
            let Ok((originals, recorded_ns)) = journal::originals(&self.root, &path) else { continue };
            if recorded_ns <= process.started_ns {
                break;
            }
            for original in originals.files.into_iter().filter(|original| original.path == file.real_path) {
                if original.changed_ns().is_some_and(|changed| changed <= process.started_ns)
                    && let Some(content) = original.state.and_then(|state| state.content)
                {
                    return Fact::Known(content);
                }
            }
        }
        Fact::Absent
    }
}

/// What the engine will have answered.
pub struct EngineAnswer(Option<Pending>);

impl EngineAnswer {
    /// Waits for the answer.
    pub fn wait(self) -> Answer {
        self.0.map(Pending::wait).unwrap_or_else(|| Answer {
            api: Fact::Absent,
            version: Fact::Unknown("no daemon runs that could be asked".into()),
            product: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fact::{FileKind, ProcessFact};
    use crate::host::scratch::Scratch;

    #[test]
    fn what_the_running_daemon_read_is_what_was_recorded_after_its_start() {
        const CONFIG: &str = "/etc/docker/daemon.json";
        const STARTED: i64 = 50;
        let scratch = Scratch::new();
        // When it was recorded, when the file had last been modified, and what it held.
        let record = |id: &str, recorded: u64, (modified, changed): (i64, Option<i64>), content: &str| {
            let state =
                json!({"kind": FileKind::File, "mode": 0o644, "uid": 0, "gid": 0, "nlink": 1, "content": {"text": content}});
            let file = json!({"change": "c1", "path": CONFIG, "mtime_ns": modified, "ctime_ns": changed, "state": state});
            let path = format!("/state/transactions/{id}/originals.json");
            scratch.file(&path, json!({"schema": journal::SCHEMA, "files": [file]}).to_string(), 0o600);
            let handle = std::fs::File::options().write(true).open(scratch.at(&path)).unwrap();
            handle.set_modified(std::time::UNIX_EPOCH + Duration::from_nanos(recorded)).unwrap();
        };
        let host = Host {
            root: scratch.root(),
            docker_version: None,
            accounts: Accounts::of(&scratch.root()),
            endpoint: None,
            state_dir: "/state".into(),
        };
        let mut facts = Facts::default();
        facts.daemon.config_file = CONFIG.into();
        facts.daemon.process =
            Fact::Known(ProcessFact { pid: 1, exe: String::new(), argv: Vec::new(), started_ns: STARTED, service: None });
        scratch.file(CONFIG, "now", 0o644);
        facts.files.insert(CONFIG.into(), host.root.look(CONFIG, Want::CONTENT));
        assert_eq!(host.config_at_start(&facts), Fact::Absent);
        // Harden wrote "b", and restarted the daemon with it.
        record("1", 20, (10, None), "a");
        assert_eq!(host.config_at_start(&facts), Fact::Absent);
        // It wrote twice since.
        record("2", 60, (20, Some(20)), "b");
        record("3", 70, (60, Some(60)), "c");
        assert_eq!(host.config_at_start(&facts), Fact::Known(Content("b".into())));
        // And put it back, with its time: that is not what the daemon had read.
        record("4", 80, (10, Some(65)), "a");
        assert_eq!(host.config_at_start(&facts), Fact::Known(Content("b".into())));
        // A record without the kernel's time, of an older harden.
        record("2", 60, (20, None), "b");
        assert_eq!(host.config_at_start(&facts), Fact::Known(Content("b".into())));
        // The file was put back with a time from before the start: it did change.
        let handle = std::fs::File::options().write(true).open(scratch.at(CONFIG)).unwrap();
        handle.set_modified(std::time::UNIX_EPOCH).unwrap();
        facts.files.insert(CONFIG.into(), host.root.look(CONFIG, Want::CONTENT));
        assert_eq!(host.config_at_start(&facts), Fact::Known(Content("b".into())));
        if let Some(Fact::Known(file)) = facts.files.get_mut(CONFIG) {
            file.ctime_ns = Some(STARTED);
        }
        assert_eq!(host.config_at_start(&facts), Fact::Absent);
    }
}
