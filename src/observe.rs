//! Observing: fills [`Facts`] for a baseline. It only reads, and looks at each thing once, however many controls ask.

mod layout;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::baseline::Baseline;
use crate::baseline::control::{ImageRule, Place, SocketOf, Want};
use crate::error::Result;
use crate::fact::{ContainerFacts, Fact, Facts, Layout, MachineFacts, ServiceManager, SwarmFacts, UnitFacts};
use crate::formats::{exec_start, rules_d, scan_report, unit_file, unit_path};
use crate::host::Host;
use crate::host::fs::Want as Look;
use crate::host::{docker, process};
use crate::kinds::effective::{self, DEFAULT_CONFIG_FILE, Effective, INIT_SCRIPT, SERVICE, SOCKET};
use crate::kinds::place::{self, Resolved};
use crate::kinds::socket::CONTAINERD_CONFIG;
use crate::kinds::{self, daemon, prerequisites, restart, supervisor, swarm, unit, watch};
use crate::plan::{Plan, drop_in_path};
use crate::reach;
use crate::render::progress;

/// Format of saved facts.
pub const SCHEMA: &str = "harden/facts/1";
/// Where augenrules collects rules files.
pub const RULES_DIR: &str = "/etc/audit/rules.d";
/// Configuration and environment files are small; a larger one is an accident.
const MAX_CONFIG: usize = 4 << 20;
/// Reports of scanners may name thousands of packages.
const MAX_REPORT: usize = 256 << 20;
/// Programs whose presence means that the audit tools are installed.
const AUDITCTL: [&str; 3] = ["/usr/sbin/auditctl", "/sbin/auditctl", "/usr/bin/auditctl"];
/// Programs whose presence means that Docker is installed.
const DOCKERD: [&str; 4] =
    ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd", "/snap/docker/current/bin/dockerd"];

/// Looks at a host through the eyes of a baseline.
pub fn observe(host: &Host, baseline: &Baseline) -> Result<Facts> {
    let mut observer = Observer::new(host);
    progress::stage("looking at this host");
    observer.machine();
    observer.docker();
    if baseline.controls.iter().any(kinds::needs_audit) {
        observer.audit();
    }
    for control in &baseline.controls {
        kinds::observe(control, &mut observer);
    }
    observer.images(baseline);
    if baseline.controls.iter().any(|control| matches!(control.want, Want::Daemon(_) | Want::DaemonConfig(_))) {
        prerequisites::observe(&mut observer, Some(baseline));
    }
    if baseline.controls.iter().any(kinds::needs_audit) {
        watch::observe_rule_paths(&mut observer);
    }
    observer.targets_of_fixes(baseline);
    Ok(observer.facts)
}

/// Looks at the machine and dockerd only.
pub fn observe_docker(host: &Host) -> Facts {
    let mut observer = Observer::new(host);
    observer.machine();
    observer.docker();
    prerequisites::observe(&mut observer, None);
    observer.facts
}

/// Looks further: at what dockerd would need once this plan is applied.
pub fn observe_after(host: &Host, facts: Facts, plan: &Plan) -> Facts {
    let mut observer = Observer { facts, ..Observer::new(host) };
    prerequisites::observe_after(&mut observer, plan);
    observer.facts
}

/// Finds dockerd as it runs now (its unit, its process, its configuration and where it listens), without asking it.
pub fn find_docker(host: &Host) -> Facts {
    let mut observer = Observer::new(host);
    observer.machine();
    observer.find_dockerd();
    observer.facts
}

/// Looks at Dockerfiles and their build contexts, and at nothing of the host.
pub fn observe_build(dockerfiles: &[PathBuf], context: Option<&Path>, baseline: &Baseline) -> Result<Facts> {
    let unwanted = baseline.controls.iter().filter_map(|control| match &control.want {
        Want::Image(want) if want.rule == ImageRule::Dockerignore => Some(want.look_for.as_slice()),
        _ => None,
    });
    let unwanted: Vec<String> = unwanted.flatten().cloned().collect();
    let build = crate::host::build::read(dockerfiles, context, &unwanted)?;
    Ok(Facts { schema: SCHEMA.into(), build: Some(build), ..Facts::default() })
}

/// What was looked at so far, and the way to look further.
pub struct Observer<'h> {
    host: &'h Host,
    facts: Facts,
    effective: Option<Effective>,
    /// The unit directories that are there: most are not, and nothing need be looked for below those.
    unit_dirs: Option<Vec<&'static str>>,
    /// The drop-ins for all units of a type (`service`), or why they can't be known.
    drop_ins_by_type: BTreeMap<String, Result<Listing, String>>,
}

/// Directories and the names in them.
type Listing = Vec<(String, Vec<String>)>;

impl<'h> Observer<'h> {
    fn new(host: &'h Host) -> Self {
        let facts = Facts { schema: SCHEMA.into(), ..Facts::default() };
        Observer { host, facts, effective: None, unit_dirs: None, drop_ins_by_type: BTreeMap::new() }
    }

    /// What was seen so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// dockerd's effective configuration as far as it was seen, and what was seen.
    pub fn effective(&mut self) -> (&Effective, &Facts) {
        let facts = &self.facts;
        (self.effective.get_or_insert_with(|| Effective::of(facts)), facts)
    }

    /// Looks at a file's owner and mode.
    pub fn stat(&mut self, path: &str) {
        if !self.facts.files.contains_key(path) {
            let fact = self.host.root.look(path, Look::Stat);
            self.facts.files.insert(path.to_owned(), fact);
        }
    }

    /// Looks at a file and reads it.
    pub fn read(&mut self, path: &str) -> Option<&[u8]> {
        let seen = matches!(self.facts.files.get(path), Some(Fact::Absent | Fact::Unknown(_)))
            || matches!(self.facts.files.get(path), Some(Fact::Known(file)) if file.content.is_some());
        if !seen {
            let fact = self.host.root.look(path, Look::Content { limit: MAX_CONFIG });
            self.facts.files.insert(path.to_owned(), fact);
        }
        self.facts.files.get(path)?.known()?.content.as_ref().map(|content| content.0.as_slice())
    }

    /// Looks for what matches a pattern.
    pub fn glob(&mut self, pattern: &str) {
        if !self.facts.globs.contains_key(pattern) {
            let matches = self.host.root.glob(pattern);
            self.facts.globs.insert(pattern.to_owned(), matches);
        }
    }

    /// Resolves a place, looking at what that needs.
    pub fn resolve(&mut self, place: &Place) -> Vec<String> {
        match place {
            Place::Pattern(pattern) => {
                if let Ok(pattern) = kinds::layout::path(pattern, &self.facts)
                    && !self.facts.globs.contains_key(&pattern)
                {
                    let matches = self.host.root.glob(&pattern);
                    self.facts.globs.insert(pattern, matches);
                }
            }
            Place::Unit(name) | Place::UnitParts(name) => {
                if let Ok(name) = kinds::layout::unit(name, &self.facts) {
                    self.unit(name);
                }
            }
            Place::DockerSocket => self.unit(SOCKET),
            _ => {}
        }
        let (effective, facts) = self.effective();
        match place::resolve(place, facts, effective) {
            Resolved::Paths(paths) => paths,
            Resolved::Nothing(_) | Resolved::Unknown(_) => Vec::new(),
        }
    }

    /// Looks up a user's number.
    pub fn user(&mut self, name: &str) {
        if name != "root" && !self.facts.users.contains_key(name) {
            let fact = self.host.user_id(name);
            self.facts.users.insert(name.to_owned(), fact);
        }
    }

    /// Looks up a group's number.
    pub fn group(&mut self, name: &str) {
        if name != "root" && !self.facts.groups.contains_key(name) {
            let fact = self.host.group_id(name);
            self.facts.groups.insert(name.to_owned(), fact);
        }
    }

    /// Finds and reads a unit, its drop-ins and its environment files.
    pub fn unit(&mut self, name: &str) {
        if self.facts.units.contains_key(name) {
            return;
        }
        let fact = self.find_unit(name);
        self.facts.units.insert(name.to_owned(), fact);
        // Flags and sockets may come from it.
        self.effective = None;
    }

    fn find_unit(&mut self, name: &str) -> Fact<UnitFacts> {
        let dirs = self.unit_dirs();
        self.find_unit_in(name, &dirs, |observer| observer.drop_ins(&dirs, name))
    }

    fn find_unit_in(
        &mut self,
        name: &str,
        dirs: &[&str],
        drop_ins: impl FnOnce(&mut Self) -> Result<Listing, String>,
    ) -> Fact<UnitFacts> {
        let mut fragment = None;
        for path in unit_path::fragments(dirs, name) {
            match self.read(&path) {
                Some(b"") => return Fact::Absent,
                Some(_) => {
                    fragment = Some(path);
                    break;
                }
                None => {}
            }
            match self.facts.files.remove(&path) {
                // Directories that are not there would only make the facts long.
                Some(Fact::Absent) | None => {}
                Some(Fact::Known(file)) if unit_path::is_masked(&file.real_path, file.size) => return Fact::Absent,
                Some(Fact::Known(file)) => return Fact::Unknown(format!("{path} is not a regular file ({:?})", file.kind)),
                Some(Fact::Unknown(why)) => return Fact::Unknown(why),
            }
        }
        let Some(fragment) = fragment else { return Fact::Absent };
        if self.facts.host.service_manager == ServiceManager::Systemd {
            self.stat(unit::MADE_AS_UNITS_ARE_READ);
        }
        let listing = match drop_ins(self) {
            Ok(listing) => listing,
            Err(why) => return Fact::Unknown(why),
        };
        let drop_ins = match self.readable(unit_path::order(&listing)) {
            Ok(drop_ins) => drop_ins,
            Err(why) => return Fact::Unknown(why),
        };
        let parse = |path: &String| {
            let content = self.facts.files.get(path)?.known()?.content.as_ref()?;
            Some(unit_file::parse(path, &content.0))
        };
        let merged = unit_file::Unit::merge(
            parse(&fragment).unwrap_or_else(|| unit_file::parse(&fragment, b"")),
            drop_ins.iter().filter_map(parse).collect(),
        );
        let mut named = Vec::new();
        for file in exec_start::environment_files(&merged) {
            match file.path.contains(['*', '?', '[']).then(|| self.host.root.glob(&file.path)) {
                None => named.push(file.path),
                Some(Fact::Known(paths)) => named.extend(paths),
                Some(Fact::Absent) => {}
                Some(Fact::Unknown(why)) => return Fact::Unknown(why),
            }
        }
        let environment_files = match self.readable(named) {
            Ok(files) => files,
            Err(why) => return Fact::Unknown(why),
        };
        let problems = merged.problems.iter().map(ToString::to_string).collect();
        Fact::Known(UnitFacts { fragment, drop_ins, environment_files, problems })
    }

    /// The unit directories that are there, each under one name only: `/lib` is often a link to `/usr/lib`.
    fn unit_dirs(&mut self) -> Vec<&'static str> {
        if self.unit_dirs.is_none() {
            let mut seen = BTreeSet::new();
            let there = |dir: &&'static str| match self.host.root.look(dir, Look::Stat) {
                Fact::Absent => false,
                Fact::Known(found) => seen.insert((found.dev, found.ino)),
                // Whoever looks below it learns why.
                Fact::Unknown(_) => true,
            };
            self.unit_dirs = Some(unit_path::SEARCH.iter().copied().filter(there).collect());
        }
        self.unit_dirs.clone().unwrap_or_default()
    }

    /// The directories that hold drop-ins of a unit, and the names in them.
    fn drop_ins(&mut self, dirs: &[&str], name: &str) -> Result<Listing, String> {
        let mut listing = self.list_all(unit_path::drop_in_dirs(dirs, name))?;
        let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
        if !self.drop_ins_by_type.contains_key(kind) {
            let by_type = self.list_all(unit_path::type_dirs(dirs, name));
            self.drop_ins_by_type.insert(kind.to_owned(), by_type);
        }
        if let Some(by_type) = self.drop_ins_by_type.get(kind) {
            listing.extend(by_type.clone()?);
        }
        Ok(listing)
    }

    fn list_all(&self, dirs: Vec<String>) -> Result<Listing, String> {
        let mut listing = Vec::new();
        for dir in dirs {
            match self.host.root.list(&dir) {
                Fact::Known(names) => listing.push((dir, names)),
                Fact::Absent => {}
                Fact::Unknown(why) => return Err(why),
            }
        }
        Ok(listing)
    }

    /// Those of the paths that are files; an error when one can't be read: it may say anything.
    fn readable(&mut self, paths: Vec<String>) -> Result<Vec<String>, String> {
        let mut readable = Vec::new();
        for path in paths {
            if self.read(&path).is_some() {
                readable.push(path);
            } else if let Some(Fact::Unknown(why)) = self.facts.files.get(&path) {
                return Err(why.clone());
            }
        }
        Ok(readable)
    }

    /// The host itself; kinds that look at more than files and accounts ask it.
    pub(crate) fn host(&self) -> &Host {
        self.host
    }

    /// What was seen of the machine, to add to it.
    pub(crate) fn machine_facts(&mut self) -> &mut MachineFacts {
        &mut self.facts.machine
    }

    /// `PATH` of the running dockerd.
    pub fn search_path(&mut self) {
        let process = &self.facts.daemon.process;
        self.facts.daemon.search_path = Some(process.known().map_or(Fact::Absent, |process| process::search_path(process.pid)));
    }

    /// Whether the node is in a swarm, where the API does not tell.
    pub fn swarm_state(&mut self) {
        if self.facts.daemon.api.known().is_some_and(|api| api.swarm_state.is_some()) {
            return;
        }
        let (effective, facts) = self.effective();
        let path = format!("{}/{}", effective.data_root(facts), daemon::SWARM_STATE);
        self.stat(&path);
    }

    /// Lists and inspects all containers, unless nobody runs who could: connecting to systemd's socket would start Docker.
    pub fn containers(&mut self) {
        if self.facts.containers == Fact::default() {
            self.facts.containers = match &self.facts.daemon.process {
                Fact::Absent => Fact::Absent,
                daemon => self.host.containers(daemon),
            };
        }
    }

    fn each_container(&mut self) -> &mut [ContainerFacts] {
        match &mut self.facts.containers {
            Fact::Known(containers) => containers,
            Fact::Absent | Fact::Unknown(_) => &mut [],
        }
    }

    /// Looks at what is mounted into containers from the host.
    pub fn sources_of_mounts(&mut self) {
        let mounts = self.each_container().iter().flat_map(|container| &container.mounts);
        let mut sources: Vec<String> = mounts.filter(|mount| mount.kind == "bind").map(|mount| mount.source.clone()).collect();
        sources.sort();
        sources.dedup();
        sources.iter().for_each(|source| self.stat(source));
    }

    /// Asks what the image names of containers stand for now.
    pub fn images_of_containers(&mut self) {
        let Ok(engine) = self.host.engine(docker::TIMEOUT) else { return };
        let mut names: Vec<String> =
            self.each_container().iter().map(|one| one.image.clone()).filter(|name| !name.is_empty()).collect();
        names.sort();
        names.dedup();
        let now = engine.image_ids(names);
        for container in self.each_container() {
            container.image_now = match now.get(&container.image) {
                Some(Some(Ok(id))) => Fact::Known(id.clone()),
                Some(Some(Err(why))) => Fact::Unknown(why.clone()),
                Some(None) => Fact::Absent,
                None => Fact::Unknown("the engine names no image".into()),
            };
        }
    }

    /// Asks about the exec instances of containers.
    pub fn execs(&mut self) {
        let Ok(engine) = self.host.engine(docker::TIMEOUT) else { return };
        if self.each_container().iter().all(|container| container.execs != Fact::default()) {
            return;
        }
        let ids = self.each_container().iter().flat_map(|container| container.exec_ids.clone()).collect();
        let seen = engine.execs(ids);
        for container in self.each_container() {
            let own = container.exec_ids.iter().filter_map(|id| seen.get(id).cloned());
            container.execs = match own.collect::<Result<Vec<_>, _>>() {
                Ok(execs) => Fact::Known(execs),
                Err(why) => Fact::Unknown(why),
            };
        }
    }

    /// The swarm, where this node is in one.
    pub fn swarm(&mut self) {
        let state = self.facts.daemon.api.known().and_then(|api| api.swarm_state.clone());
        if !matches!(self.facts.swarm, Fact::Unknown(_)) || state.is_none_or(|state| matches!(state.as_str(), "inactive" | ""))
        {
            return;
        }
        let (effective, facts) = self.effective();
        let path = format!("{}/{}", effective.data_root(facts), daemon::SWARM_STATE);
        self.read(&path);
        let addresses = match self.facts.files.get(&path) {
            Some(Fact::Known(file)) => {
                let content = file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default();
                swarm::addresses(content).map_or_else(|why| Fact::Unknown(format!("{path}: {why}")), Fact::Known)
            }
            Some(Fact::Unknown(why)) => Fact::Unknown(why.clone()),
            _ => Fact::Absent,
        };
        self.facts.swarm = Fact::Known(SwarmFacts { addresses, cluster: self.host.cluster() });
    }

    /// The images, where a control asks about them and dockerd runs.
    fn images(&mut self, baseline: &Baseline) {
        let asked = kinds::image::asked(baseline).filter(|_| !self.facts.daemon.api.is_absent());
        if let Some(asked) = asked {
            self.facts.images = match &self.facts.daemon.api {
                Fact::Unknown(why) => Fact::Unknown(why.clone()),
                _ => self.host.images(&asked),
            };
        }
    }

    /// A scanner's report; it is not kept, only what it says of images.
    pub fn scan(&mut self, path: &str) {
        if self.facts.scans.contains_key(path) {
            return;
        }
        let scan = match self.host.root.look(path, Look::Content { limit: MAX_REPORT }) {
            Fact::Known(file) => match &file.content {
                Some(content) => match scan_report::parse(&content.0, file.mtime_ns / 1_000_000_000) {
                    Ok(scans) => Fact::Known(scans),
                    Err(why) => Fact::Unknown(format!("{path}:{why}")),
                },
                None => Fact::Unknown(format!("{path} is not a regular file")),
            },
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        self.facts.scans.insert(path.to_owned(), scan);
    }

    fn machine(&mut self) {
        self.facts.host = self.host.describe();
    }

    /// dockerd: its unit, its process, its configuration, its API.
    fn docker(&mut self) {
        self.find_dockerd();
        let pending = self.host.ask_engine(&self.facts.daemon.process);
        self.facts.daemon.installed = self.docker_installed();
        let answer = pending.wait();
        (self.facts.daemon.api, self.facts.daemon.version) = (answer.api, answer.version);
        self.layout_of_answer(answer.product, self.host.endpoint_is_given());
        if let Some(version) = &self.host.docker_version {
            self.facts.daemon.version = Fact::Known(version.clone());
        }
        self.facts.daemon.config_at_start = self.host.config_at_start(&self.facts);
        self.effective = None;
        restart::observe(self);
    }

    /// dockerd's unit, process and configuration file, and the socket to ask it at.
    fn find_dockerd(&mut self) {
        self.unit(SERVICE);
        let init = !effective::starts_units(&self.facts);
        if init || self.facts.units.get(SERVICE).is_some_and(Fact::is_absent) {
            self.stat(INIT_SCRIPT);
        }
        // With docker.socket systemd may be the one who listens, whatever the flags say: a connection would start Docker.
        self.unit(SOCKET);
        // Where it would be, had it been started by its unit.
        let config = self.effective().0.unit.as_ref().and_then(|(_, flags)| flags.config_file.clone());
        self.read_config(config.unwrap_or_else(|| DEFAULT_CONFIG_FILE.into()));
        let others = self.socket_of_others().is_some();
        let (effective, facts) = self.effective();
        let has_unit = !matches!(facts.units.get(SOCKET), Some(Fact::Absent));
        let activated = effective.socket_activated() || (has_unit && effective::starts_units(facts));
        // A link to somebody else's socket is not connected to either: that would start them.
        let activated = activated || others;
        let sockets = if activated { Vec::new() } else { effective.docker_sockets(facts) };
        let pidfile = effective.configured("pidfile").and_then(|path| path.as_str().map(str::to_owned));
        self.facts.daemon.process = self.host.find_dockerd(pidfile.as_deref(), &sockets);
        self.effective = None;
        self.layout_of_process();
        let of_layout = kinds::layout::config_file(&self.facts.daemon.layout.kind);
        let running = self.effective().0.running.as_ref().map(|flags| flags.config_file.clone());
        if running.is_some() || self.facts.daemon.layout.kind != Layout::Rootful {
            let config = running.flatten().or_else(|| of_layout.ok());
            self.read_config(config.unwrap_or_else(|| DEFAULT_CONFIG_FILE.into()));
        }
        let (effective, facts) = self.effective();
        let sockets = effective.listening_sockets(facts);
        self.host.dockerd_listens_on(&sockets);
        if init {
            supervisor::observe(self);
        }
    }

    fn read_config(&mut self, path: String) {
        if !path.starts_with('/') {
            let why = format!("dockerd was started with the relative path --config-file {path}; give it an absolute one");
            self.facts.files.insert(path.clone(), Fact::Unknown(why));
        }
        self.read(&path);
        self.facts.daemon.config_file = path;
        self.effective = None;
    }

    fn docker_installed(&mut self) -> Fact<String> {
        match &self.facts.daemon.process {
            Fact::Known(process) => return Fact::Known(process.exe.clone()),
            Fact::Unknown(_) | Fact::Absent => {}
        }
        if let Some(Fact::Known(unit)) = [SERVICE, kinds::layout::SNAP_SERVICE]
            .iter()
            .find_map(|name| self.facts.units.get(*name).filter(|unit| unit.known().is_some()))
        {
            return Fact::Known(unit.fragment.clone());
        }
        let mut doubt = None;
        let config = self.facts.daemon.config_file.clone();
        for path in DOCKERD.into_iter().chain([config.as_str()]) {
            self.stat(path);
            match self.facts.files.get(path) {
                Some(Fact::Known(_)) => return Fact::Known(path.to_owned()),
                Some(Fact::Unknown(why)) => doubt = Some(why.clone()),
                _ => {}
            }
        }
        doubt.map_or(Fact::Absent, Fact::Unknown)
    }

    /// The audit subsystem: the rules on disk and the kernel's.
    fn audit(&mut self) {
        let rules_dir = self.host.root.list(RULES_DIR);
        self.facts.audit.installed = match AUDITCTL.iter().find(|path| {
            self.stat(path);
            self.facts.files.get(**path).is_some_and(|fact| fact.known().is_some())
        }) {
            Some(path) => Fact::Known((*path).to_owned()),
            None => match &rules_dir {
                Fact::Known(_) => Fact::Known(RULES_DIR.into()),
                Fact::Absent => Fact::Absent,
                Fact::Unknown(why) => Fact::Unknown(why.clone()),
            },
        };
        let Fact::Known(_) = self.facts.audit.installed else { return };
        self.facts.audit.rules_files = match rules_dir {
            Fact::Known(names) => {
                let paths: Vec<String> =
                    rules_d::in_order(&names).into_iter().map(|name| format!("{RULES_DIR}/{name}")).collect();
                for path in &paths {
                    self.read(path);
                }
                Fact::Known(paths)
            }
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        self.facts.audit.kernel = self.host.kernel_audit();
    }

    /// Files that a fix would write, and the directories above them: their present state is part of the plan.
    fn targets_of_fixes(&mut self, baseline: &Baseline) {
        let mut targets: Vec<String> =
            baseline.controls.iter().flat_map(|control| self.targets_of_fix(&control.want)).collect();
        targets.sort();
        targets.dedup();
        for target in targets {
            self.read(&target);
            self.stat_above(&target);
            self.stat_above(&reach::real(&self.facts.files, &target));
            self.leads_nowhere(&target);
        }
    }

    /// What is made through a link that leads nowhere would be somewhere else than it seems.
    fn leads_nowhere(&mut self, path: &str) {
        for path in Path::new(path).ancestors().filter_map(Path::to_str) {
            if !self.facts.files.get(path).is_some_and(Fact::is_absent) {
                return;
            }
            if let Fact::Known(to) = self.host.root.readlink(path) {
                let why = format!("{path} is a symbolic link to {to}, where nothing is");
                self.facts.files.insert(path.to_owned(), Fact::Unknown(why));
                self.effective = None;
                return;
            }
        }
    }

    fn stat_above(&mut self, path: &str) {
        Path::new(path).ancestors().skip(1).filter_map(Path::to_str).for_each(|dir| self.stat(dir));
    }

    fn targets_of_fix(&self, want: &Want) -> Vec<String> {
        match want {
            Want::Daemon(_) => vec![self.facts.daemon.config_file.clone(), drop_in_path(SERVICE)],
            Want::DaemonConfig(_) => vec![drop_in_path(SERVICE)],
            Want::Watch(_) => match self.facts.audit.installed {
                Fact::Known(_) => vec![format!("{RULES_DIR}/{}", rules_d::OWN_FILE)],
                Fact::Absent | Fact::Unknown(_) => Vec::new(),
            },
            Want::Unit(want) => vec![drop_in_path(&want.unit)],
            Want::Socket(want) if want.of == SocketOf::Docker => vec![drop_in_path(SOCKET), drop_in_path(SERVICE)],
            Want::Socket(_) => vec![CONTAINERD_CONFIG.into()],
            Want::File(_) | Want::AuditState(_) => Vec::new(),
            Want::Sysctl(_) => vec![crate::formats::sysctl::OWN_FILE.into()],
            Want::Host(_) | Want::Container(_) | Want::Image(_) | Want::Swarm(_) | Want::Attest(_) | Want::Rootless(_) => {
                Vec::new()
            }
        }
    }
}
