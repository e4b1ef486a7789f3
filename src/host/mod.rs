//! The way to the machine. Everything here only reads; writing is [`crate::apply`]'s.

pub mod accounts;
pub(crate) mod advice;
pub mod audit;
pub mod build;
pub mod container;
pub mod docker;
pub mod exec;
pub mod fs;
mod glob;
pub(crate) mod handle;
pub(crate) mod inode;
pub mod layers;
pub mod listeners;
pub mod machine;
pub mod packet_filter;
pub mod process;
#[cfg(test)]
pub(crate) mod scratch;
mod state;
pub(crate) mod walk;

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::apply::journal;
use crate::error::{Error, Result};
use crate::fact::{
    ClusterFacts, ContainerFacts, Content, Fact, Facts, HostFacts, ImageFacts, KernelAudit, Login, ProcessFact, RemoteFacts,
    RemotePlace, ServiceManager,
};
use crate::formats;
use crate::render::progress;
use accounts::Accounts;
use docker::{Answer, Endpoint, Engine, Pending};
use fs::{Root, Want};

/// How long dockerd may take to answer after a restart, unless something else was given.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);

/// How a host was given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Access<'a> {
    /// An image tree instead of this host.
    pub root: Option<&'a Path>,
    /// `--docker-host` or `DOCKER_HOST`.
    pub docker_host: Option<&'a str>,
    /// Where the certificates for an engine on the network are.
    pub docker_certs: Option<&'a Path>,
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
    /// How long its dockerd may take to answer after a restart.
    pub health_timeout: Duration,
    accounts: Accounts,
    /// Where to ask the engine; an image tree has none.
    api: Option<Api>,
    /// The engine where it is on the network and not of this machine; looked at once.
    remote: OnceCell<Result<Option<RemoteFacts>>>,
    state_dir: String,
}

/// Where the Engine API of a running host is asked.
enum Api {
    /// Where the user said.
    Given(Endpoint),
    /// Where dockerd was last seen to listen, or why it can't be asked; until somebody looked, where it listens by default.
    Found(RefCell<Result<Endpoint, String>>),
}

impl Host {
    /// Opens a host.
    ///
    /// # Errors
    /// When the root is no directory, or the endpoint is none that harden knows.
    pub fn open(access: &Access) -> Result<Self> {
        let root = Root::open(access.root.unwrap_or(Path::new("/")))?;
        let live = access.root.is_none();
        let api = match (live, access.docker_host) {
            (false, _) => None,
            (true, Some(url)) => Some(Api::Given(Endpoint::parse(url, access.docker_certs)?)),
            (true, None) => Some(Api::Found(RefCell::new(Ok(Endpoint::default())))),
        };
        let accounts = Accounts::of(&root);
        let docker_version = access.docker_version.map(str::to_owned);
        let (health_timeout, state_dir) = (HEALTH_TIMEOUT, access.state_dir.to_owned());
        Ok(Self { root, docker_version, health_timeout, accounts, api, remote: OnceCell::new(), state_dir })
    }

    /// Whether this is the running host.
    pub fn live(&self) -> bool {
        self.api.is_some()
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

    /// Versions of the engine's parts, as a daemon that is known to run says them.
    pub fn components(&self) -> Fact<BTreeMap<String, String>> {
        match self.endpoint() {
            Some(Ok(endpoint)) => Engine::new(endpoint, docker::TIMEOUT).components(),
            Some(Err(why)) => Fact::Unknown(why),
            None => Fact::Absent,
        }
    }

    /// The accounts of this root's own files; the hashes of their passwords are dropped at once.
    pub fn logins(&self) -> Fact<Vec<Login>> {
        let read = |path: &str| match self.root.look(path, Want::CONTENT) {
            Fact::Known(file) => Fact::Known(file.content.unwrap_or_default().0),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        match (read("/etc/passwd"), read("/etc/shadow")) {
            (Fact::Unknown(why), _) | (Fact::Known(_), Fact::Unknown(why)) => Fact::Unknown(why),
            (Fact::Absent, _) => Fact::Absent,
            (Fact::Known(passwd), shadow) => {
                formats::accounts::logins(&passwd, shadow.known().map(Vec::as_slice).unwrap_or_default())
                    .map_or_else(Fact::Unknown, Fact::Known)
            }
        }
    }

    /// A parameter of the running kernel, by its path beneath /proc/sys.
    pub fn sysctl(&self, path: &str) -> Fact<String> {
        machine::sysctl(path)
    }

    /// A user's number.
    pub fn user_id(&self, name: &str) -> Fact<u32> {
        self.accounts.user_id(name)
    }

    /// A group's number.
    pub fn group_id(&self, name: &str) -> Fact<u32> {
        self.accounts.group_id(name)
    }

    /// The running dockerd. `sockets` are where it may be asked for; none where systemd may be the one who listens, because a
    /// connection would start Docker.
    pub fn find_dockerd(&self, pidfile: Option<&str>, sockets: &[String]) -> Fact<ProcessFact> {
        let endpoint = match &self.api {
            None => return Fact::Absent,
            Some(Api::Given(endpoint)) => Some(endpoint.clone()),
            Some(Api::Found(_)) => self.first_that_exists(sockets),
        };
        let engine = endpoint.map(|endpoint| Engine::new(endpoint, docker::TIMEOUT));
        let pidfile = Path::new(pidfile.unwrap_or(process::PIDFILE));
        process::dockerd(&process::Hints { pidfile, engine: engine.as_ref() })
    }

    /// From now on dockerd is asked at the first of its own sockets that exists, unless the user gave another place.
    pub fn dockerd_listens_on(&self, sockets: &[String]) {
        if let Some(Api::Found(found)) = &self.api {
            let none = || "dockerd listens on no Unix socket; have it listen on one, or give --docker-host".to_owned();
            *found.borrow_mut() = self.first_that_exists(sockets).ok_or_else(none);
        }
    }

    fn first_that_exists(&self, sockets: &[String]) -> Option<Endpoint> {
        let exists = |path: &&String| self.root.look(path, Want::Stat).known().is_some();
        let path = sockets.iter().find(exists).or(sockets.first())?;
        Some(Endpoint::Unix(path.into()))
    }

    /// Where the engine is asked; `None` for an image tree, an error says why it can't be.
    fn endpoint(&self) -> Option<Result<Endpoint, String>> {
        Some(match self.api.as_ref()? {
            Api::Given(endpoint) => Ok(endpoint.clone()),
            Api::Found(found) => found.borrow().clone(),
        })
    }

    /// Asks the engine on a thread of its own, if its daemon runs.
    pub fn ask_engine(&self, daemon: &Fact<ProcessFact>) -> EngineAnswer {
        match (self.endpoint(), daemon) {
            // Where the user named the socket, somebody may answer there whose process is not here.
            (Some(Ok(endpoint)), daemon) if self.endpoint_is_given() || !daemon.is_absent() => {
                EngineAnswer::Awaited(docker::spawn(endpoint))
            }
            (Some(Err(why)), Fact::Known(_) | Fact::Unknown(_)) => EngineAnswer::Nowhere(why),
            _ => EngineAnswer::NoDaemon,
        }
    }

    /// Whether the user said where the engine is.
    pub fn endpoint_is_given(&self) -> bool {
        matches!(self.api, Some(Api::Given(_)))
    }

    /// An engine on the network, unless it is this machine's own: the process that takes connections to it is a dockerd
    /// here. A tunnel or a forwarded port at an address of this machine leads to another one's, and so may a Unix socket that a
    /// program of another kind serves (`ssh -L /run/there.sock:/run/docker.sock`).
    ///
    /// # Errors
    /// When nobody answers there, or who answers does not prove who it is.
    pub fn remote(&self) -> Result<Option<RemoteFacts>> {
        let Some(Api::Given(endpoint)) = &self.api else { return Ok(None) };
        let look = || {
            let engine = Engine::new(endpoint.clone(), docker::TIMEOUT);
            if let Endpoint::Unix(_) = endpoint {
                let Fact::Known(Some(pid)) = engine.peer_pid(docker::TIMEOUT) else { return Ok(None) };
                let behind = |program| RemotePlace::Behind(format!("{program} (process {pid})"));
                let place = process::forwarder(pid).map(behind);
                return Ok(place.map(|place| RemoteFacts { url: endpoint.to_string(), place }));
            }
            let place = match engine.taken_by()? {
                Fact::Absent => RemotePlace::Elsewhere,
                Fact::Unknown(why) => RemotePlace::Untold(why),
                Fact::Known(owner) => match process::as_dockerd(owner.pid) {
                    Fact::Known(_) => return Ok(None),
                    Fact::Unknown(why) => RemotePlace::Untold(why),
                    Fact::Absent => {
                        let of = if owner.container { " of a container" } else { "" };
                        RemotePlace::Behind(format!("{}{of} (process {})", owner.program, owner.pid))
                    }
                },
            };
            Ok(Some(RemoteFacts { url: endpoint.to_string(), place }))
        };
        self.remote.get_or_init(look).clone()
    }

    /// Makes sure that this machine is the one to be changed.
    ///
    /// # Errors
    /// When the engine is another machine's, or that can't be told.
    pub fn must_be_here(&self) -> Result<()> {
        match (self.remote(), &self.api) {
            (Ok(None), _) => Ok(()),
            (Ok(Some(remote)), _) => Err(Error::failure(format!("{}; nothing was changed", remote.elsewhere()))
                .help("to change this machine, unset DOCKER_HOST or leave --docker-host out")),
            // It may be down just because of what is to be put back.
            (_, Some(Api::Given(Endpoint::Tcp(tcp)))) if tcp.is_own() => Ok(()),
            (Err(error), _) => Err(error),
        }
    }

    /// Asks a daemon that is known to run, and waits for the answer.
    pub fn ask(&self) -> Answer {
        match self.endpoint() {
            None => Answer::default(),
            Some(Ok(endpoint)) => Engine::new(endpoint, docker::TIMEOUT).ask(),
            Some(Err(why)) => Answer::unknown(why),
        }
    }

    /// A client of the daemon whose calls end after `timeout`.
    ///
    /// # Errors
    /// When it is not known where the daemon listens, or this is an image tree.
    pub fn engine(&self, timeout: Duration) -> Result<Engine> {
        let endpoint = self.endpoint().unwrap_or_else(|| Err("an image tree has no running dockerd".into()));
        endpoint.map(|endpoint| Engine::new(endpoint, timeout)).map_err(Error::failure)
    }

    /// What a manager says of its swarm; `Absent` where this node is none.
    pub fn cluster(&self) -> Fact<ClusterFacts> {
        match self.endpoint() {
            None => Fact::Absent,
            Some(Ok(endpoint)) => Engine::new(endpoint, docker::TIMEOUT).cluster(),
            Some(Err(why)) => Fact::Unknown(why),
        }
    }

    /// Every image of the engine; `Absent` in an image tree, and where no daemon listens.
    pub fn images(&self, asked: &docker::AskedOfImages) -> Fact<Vec<ImageFacts>> {
        match self.endpoint() {
            None => Fact::Absent,
            Some(Ok(endpoint)) => Engine::new(endpoint, docker::TIMEOUT).images(asked),
            Some(Err(why)) => Fact::Unknown(why),
        }
    }

    /// The running containers and their process ids.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn running_containers(&self) -> Result<BTreeMap<String, i64>> {
        self.engine(docker::TIMEOUT)?.running_containers()
    }

    /// All containers, with the kernel's truth about those that run; see [`Engine::containers`].
    pub fn containers(&self, daemon: &Fact<ProcessFact>) -> Fact<Vec<ContainerFacts>> {
        let seen = match self.endpoint() {
            None => Fact::Absent,
            Some(Ok(endpoint)) => Engine::new(endpoint, docker::TIMEOUT).containers(),
            Some(Err(why)) => Fact::Unknown(why),
        };
        let seen = match seen {
            Fact::Known(seen) => seen,
            Fact::Absent => return Fact::Absent,
            Fact::Unknown(why) => return Fact::Unknown(why),
        };
        // The numbers of another machine's processes are anybody's here.
        if let Ok(Some(remote)) = self.remote() {
            let elsewhere = || Fact::Unknown(remote.elsewhere());
            return Fact::Known(seen.into_iter().map(|(facts, _)| ContainerFacts { kernel: elsewhere(), ..facts }).collect());
        }
        let side = container::HostSide::new(daemon.known().map(|process| process.pid));
        let count = seen.len();
        let with_kernel = |(index, (facts, pid)): (usize, (ContainerFacts, i64))| {
            progress::count("looking at the processes of containers", index, count);
            let kernel = if pid > 0 { side.container(&facts.id, pid) } else { Fact::Absent };
            ContainerFacts { kernel, ..facts }
        };
        Fact::Known(seen.into_iter().enumerate().map(with_kernel).collect())
    }

    /// Whether the daemon answers.
    ///
    /// # Errors
    /// When it does not within `timeout`.
    pub fn ping(&self, timeout: Duration) -> Result<()> {
        self.engine(timeout)?.ping(timeout)
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
        let mut none_at_first = false;
        for id in journal::transactions(&self.root, &self.state_dir).iter().rev() {
            let path = format!("{}/transactions/{id}", self.state_dir);
            let Ok((originals, recorded_ns)) = journal::originals(&self.root, &path) else { continue };
            if recorded_ns <= process.started_ns {
                break;
            }
            for original in originals.files.into_iter().filter(|original| original.path == file.real_path) {
                none_at_first = original.state.is_none();
                if original.changed_ns().is_some_and(|changed| changed <= process.started_ns)
                    && let Some(content) = original.state.and_then(|state| state.content)
                {
                    return Fact::Known(content);
                }
            }
        }
        // Where the oldest of them found no file, that was as good as an empty one.
        if none_at_first { Fact::Known(Content(b"{}".to_vec())) } else { Fact::Absent }
    }
}

/// What the engine will have answered.
pub enum EngineAnswer {
    /// It was asked.
    Awaited(Pending),
    /// It runs, and there is no way to ask it, for this reason.
    Nowhere(String),
    /// No daemon runs.
    NoDaemon,
}

impl EngineAnswer {
    /// Waits for the answer.
    pub fn wait(self) -> Answer {
        match self {
            EngineAnswer::Awaited(pending) => pending.wait(),
            EngineAnswer::Nowhere(why) => Answer::unknown(why),
            EngineAnswer::NoDaemon => Answer::of(Fact::Absent, Fact::Unknown("no daemon runs that could be asked".into())),
        }
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
            health_timeout: HEALTH_TIMEOUT,
            accounts: Accounts::of(&scratch.root()),
            api: None,
            remote: OnceCell::new(),
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
        // It made the file since.
        let made = json!({"change": "c1", "path": CONFIG, "mtime_ns": null, "state": null});
        let made = json!({"schema": journal::SCHEMA, "files": [made]}).to_string();
        scratch.file("/state/transactions/15/originals.json", made, 0o600);
        assert_eq!(host.config_at_start(&facts), Fact::Known(Content("{}".into())));
        std::fs::remove_file(scratch.at("/state/transactions/15/originals.json")).unwrap();
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
