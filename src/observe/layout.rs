//! Finding out how Docker is laid out: whose daemon runs, by its process, by what its socket leads to and by what answers there.

use super::Observer;
use crate::fact::{ApiFacts, Fact, HostFacts, Layout, LayoutFacts, RemoteFacts, RootlessFacts, UnitFacts};
use crate::formats::unit_path;
use crate::host::docker::Product;
use crate::host::process;
use crate::kinds::effective::{SERVICE, SOCKET};
use crate::kinds::layout::{self, SNAP_SERVICE};

/// Where clients look for dockerd; Podman and Docker Desktop put a link there that leads to a socket of their own.
const DOCKER_SOCKET: &str = "/run/docker.sock";
/// What the package podman-docker has made at every boot.
const PODMAN_TMPFILES: [&str; 2] = ["/usr/lib/tmpfiles.d/podman-docker.conf", "/etc/tmpfiles.d/podman-docker.conf"];
/// Where snapd writes the unit of the snap's dockerd.
const SNAP_UNIT: &str = "/etc/systemd/system/snap.docker.dockerd.service";
/// That systemd starts a dockerd of root's.
const ENABLED: [&str; 2] =
    ["/etc/systemd/system/multi-user.target.wants/docker.service", "/etc/systemd/system/sockets.target.wants/docker.socket"];
/// Where rootless daemons note their process.
const USERS_PIDFILES: &str = "/run/user/*/docker.pid";

impl Observer<'_> {
    /// What the socket leads to, where that is somebody else's: whoever connects to it may start that one.
    pub(super) fn socket_of_others(&self) -> Option<(Layout, String)> {
        let Fact::Known(target) = self.host.root.readlink(DOCKER_SOCKET) else { return None };
        let kind = match () {
            () if target.ends_with("/podman/podman.sock") => Layout::Podman,
            () if target.contains("/docker-desktop/") => Layout::Desktop,
            () => return None,
        };
        Some((kind, format!("{DOCKER_SOCKET} is a link to {target}")))
    }

    /// An engine of another machine: what it tells, and nothing of this one.
    pub(super) fn remote(&mut self, remote: RemoteFacts) {
        let (url, elsewhere) = (remote.url.clone(), remote.elsewhere());
        let answer = self.host.ask();
        let confined = answer.api.known().and_then(|api| api.security_options.as_ref());
        let selinux = confined.is_some_and(|options| options.iter().any(|option| option.starts_with("name=selinux")));
        self.facts.host = HostFacts {
            hostname: url.clone(),
            root: "/".into(),
            live: true,
            // An engine that labels nothing may have a kernel that could.
            selinux_enforcing: if selinux { Fact::Known(true) } else { Fact::Unknown(elsewhere.clone()) },
            br_netfilter: Fact::Unknown(elsewhere.clone()),
            ..HostFacts::default()
        };
        let daemon = &mut self.facts.daemon;
        (daemon.installed, daemon.process) = (Fact::Known(url), Fact::Unknown(elsewhere.clone()));
        daemon.api = match answer.api {
            Fact::Absent => Fact::Unknown("nobody answers there any more".into()),
            api => api,
        };
        daemon.version = self.host.docker_version.clone().map_or(answer.version, Fact::Known);
        daemon.layout = LayoutFacts { kind: Layout::Remote(remote), evidence: String::new() };
        self.effective = None;
    }

    /// The layout as far as the process, or what is installed, tells it; looks at the unit that goes with it.
    pub(super) fn layout_of_process(&mut self) {
        let found = match &self.facts.daemon.process {
            Fact::Known(process) if layout::is_snap(&process.exe) => {
                Some((Layout::Snap, format!("dockerd runs from {}", process.exe)))
            }
            Fact::Known(process) => rootless(process.pid),
            Fact::Absent => self.installed_as_snap().or_else(|| self.users_daemon()),
            Fact::Unknown(_) => None,
        };
        let Some((kind, evidence)) = found else { return };
        if kind == Layout::Snap {
            self.unit(SNAP_SERVICE);
        }
        if let Layout::Rootless(daemon) = &kind {
            let unit = self.users_unit(daemon);
            self.facts.units.insert(layout::USERS_SERVICE.into(), unit);
        }
        self.facts.daemon.layout = LayoutFacts { kind, evidence };
        self.effective = None;
    }

    /// The layout as what answered tells it; `given` is whether the user named the socket.
    pub(super) fn layout_of_answer(&mut self, product: Option<Product>, given: bool) {
        self.effective = None;
        let daemon = &mut self.facts.daemon;
        let runs_here = daemon.process.known().is_some();
        // Without a daemon of Docker's own the socket is all there is; beside one, it is what the user asked about.
        let of_socket = given || (!runs_here && daemon.installed.is_absent());
        let answer = match product {
            Some(Product::Podman(evidence)) => Some((Layout::Podman, evidence)),
            None => desktop(&daemon.api),
        };
        let link = || self.socket_of_others().or_else(|| self.podman_in_tree());
        if let Some((kind, evidence)) = answer.filter(|_| of_socket).or_else(|| link().filter(|_| of_socket && !given)) {
            self.facts.daemon.layout = LayoutFacts { kind, evidence };
            return;
        }
        let daemon = &mut self.facts.daemon;
        let option = daemon.api.known().and_then(|api| api.security_options.as_ref()).into_iter().flatten();
        let says_rootless = option.into_iter().any(|option| option.split(',').next() == Some("name=rootless"));
        if says_rootless && !matches!(daemon.layout.kind, Layout::Rootless(_)) {
            let evidence = "API /info SecurityOptions has name=rootless".to_owned();
            daemon.layout = LayoutFacts { kind: Layout::Rootless(RootlessFacts::default()), evidence };
            daemon.process = Fact::Unknown(
                "the rootless dockerd that answers is not seen from here: run harden on its host, outside of its namespace"
                    .into(),
            );
        } else if given && daemon.process.is_absent() && daemon.api.known().is_some() {
            let why = "the Docker that answers is no process of this host: run harden where dockerd runs";
            daemon.process = Fact::Unknown(why.into());
        }
    }

    fn installed_as_snap(&mut self) -> Option<(Layout, String)> {
        if !self.facts.units.get(SERVICE).is_some_and(Fact::is_absent) {
            return None;
        }
        self.stat(SNAP_UNIT);
        let found = self.facts.files.get(SNAP_UNIT).and_then(Fact::known).is_some();
        found.then(|| (Layout::Snap, format!("{SNAP_UNIT} is there, docker.service is not")))
    }

    /// A rootless daemon where root's own is not even meant to run.
    fn users_daemon(&self) -> Option<(Layout, String)> {
        let enabled = |link: &&str| !self.host.root.readlink(link).is_absent();
        if !self.host.live() || ENABLED.iter().any(enabled) {
            return None;
        }
        let Fact::Known(pidfiles) = self.host.root.glob(USERS_PIDFILES) else { return None };
        pidfiles.iter().find_map(|pidfile| {
            let look = self.host.root.look(pidfile, crate::host::fs::Want::Content { limit: 32 });
            let text = String::from_utf8(look.known()?.content.as_ref()?.0.clone()).ok()?;
            let pid = text.trim().parse().ok()?;
            let seen = process::read(pid);
            process::is_dockerd(&seen.known()?.exe).then_some(())?;
            let (Layout::Rootless(daemon), evidence) = rootless(pid)? else { return None };
            let socket = pidfile.strip_suffix("docker.pid")?;
            let elsewhere = Some(format!("--docker-host unix://{socket}docker.sock"));
            Some((Layout::Rootless(RootlessFacts { elsewhere, ..daemon }), format!("{evidence}, by {pidfile}")))
        })
    }

    /// docker.service of a user's own service manager.
    fn users_unit(&mut self, daemon: &RootlessFacts) -> Fact<UnitFacts> {
        let Some(config) = &daemon.config_home else {
            return Fact::Unknown("where the user's units are can't be told: dockerd's environment can't be read".into());
        };
        let own = |dir: &Option<String>| dir.as_ref().map(|dir| format!("{dir}/systemd/user"));
        let dirs = [Some(format!("{config}/systemd/user")), own(&daemon.runtime_dir), own(&daemon.data_home)];
        let mut dirs: Vec<String> = dirs.into_iter().flatten().collect();
        dirs.splice(1..1, ["/etc/systemd/user".to_owned()]);
        dirs.extend(unit_path::USERS.map(str::to_owned));
        let dirs: Vec<&str> = dirs.iter().map(String::as_str).collect();
        let listing = self.list_all([unit_path::drop_in_dirs(&dirs, SERVICE), unit_path::type_dirs(&dirs, SERVICE)].concat());
        self.find_unit_in(SERVICE, &dirs, |_| listing)
    }

    fn podman_in_tree(&self) -> Option<(Layout, String)> {
        let there = |path: &&&str| self.host.root.look(path, crate::host::fs::Want::Stat).known().is_some();
        if self.host.live() || self.facts.units.get(SOCKET).is_some_and(|unit| unit.known().is_some()) {
            return None;
        }
        PODMAN_TMPFILES
            .iter()
            .find(there)
            .map(|path| (Layout::Podman, format!("{path} makes Docker's socket a link to Podman's")))
    }
}

/// A dockerd without root's rights starts in a user namespace only.
fn rootless(pid: i32) -> Option<(Layout, String)> {
    let (uid, gid) = process::owner(pid).ok().filter(|(uid, _)| *uid != 0)?;
    let mut daemon = RootlessFacts { uid, gid, ..RootlessFacts::default() };
    if let Ok([home, config, data, runtime]) =
        process::variables(pid, ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"])
    {
        let absolute =
            |dir: Option<String>| dir.filter(|dir| dir.starts_with('/')).map(|dir| dir.trim_end_matches('/').to_owned());
        let below = |name: &str| home.as_ref().map(|home| format!("{}/{name}", home.trim_end_matches('/')));
        daemon.config_home = absolute(config).or_else(|| absolute(below(".config")));
        daemon.data_home = absolute(data).or_else(|| absolute(below(".local/share")));
        daemon.runtime_dir = absolute(runtime);
    }
    Some((Layout::Rootless(daemon), format!("dockerd (process {pid}) runs as uid {uid}")))
}

fn desktop(api: &Fact<ApiFacts>) -> Option<(Layout, String)> {
    let system = api.known()?.operating_system.as_deref()?;
    (system == "Docker Desktop").then(|| (Layout::Desktop, format!("API /info OperatingSystem is {system}")))
}
