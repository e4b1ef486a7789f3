//! dockerd's effective configuration: flags merged with the configuration file, each value with its origin.
//!
//! dockerd knows no precedence between flag and file: a key given in both stops it. So a value comes from one of the two, else
//! from the engine's default. Flags are those of the running process; of the unit's ExecStart where none runs. A key that either of
//! the two gives as a flag must never be written to the file.

use serde_json::Value;

use crate::fact::{Fact, Facts, Layout, ServiceManager};
use crate::formats::argv::{self, DaemonFlags};
use crate::formats::daemon_json::{Document, Problem};
use crate::formats::daemon_keys::{self, EngineVersion, JsonType, Status};
use crate::formats::exec_start::{self, ExecStart};
use crate::kinds::{layout, unit};

/// Where the configuration file lies unless a flag says otherwise.
pub const DEFAULT_CONFIG_FILE: &str = "/etc/docker/daemon.json";
/// The unit that starts dockerd.
pub const SERVICE: &str = "docker.service";
/// What starts dockerd where there is no such unit.
pub const INIT_SCRIPT: &str = "/etc/init.d/docker";
/// The unit that makes dockerd's socket under socket activation.
pub const SOCKET: &str = "docker.socket";
const DEFAULT_DATA_ROOT: &str = "/var/lib/docker";
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";
const DEFAULT_CONTAINERD: &str = "/run/containerd/containerd.sock";
/// Where a dockerd that starts its own containerd puts its socket.
const MANAGED_CONTAINERD: &str = "/var/run/docker/containerd/containerd.sock";

/// The state of the configuration file.
pub enum ConfigFile {
    /// It is not there: dockerd takes its defaults.
    Missing,
    /// It parses.
    Parsed(Document),
    /// It does not; dockerd would not start with it (or read something else than it seems).
    Broken(Vec<Problem>),
    /// It could not be read.
    Unreadable(String),
}

/// One effective value.
pub struct Setting {
    /// The value; `None` where nothing is set and there is no default.
    pub value: Option<Value>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a value comes from.
pub enum Origin {
    /// The engine's own default.
    Default,
    /// The configuration file.
    File {
        /// `path:line`.
        place: String,
    },
    /// A flag.
    Flag {
        /// The flag as it is written.
        text: String,
        /// The `path:line` that gives it, where the unit tells.
        place: Option<String>,
    },
    /// A boolean inside an object that dockerd does not know: it takes effect all the same.
    Wrapped {
        /// `path:line` of the inner key.
        place: String,
        /// The unknown key.
        inside: String,
    },
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Default => f.write_str("the engine's default"),
            Origin::File { place } => f.write_str(place),
            Origin::Flag { text, place: Some(place) } => write!(f, "the flag {text} in {place}"),
            Origin::Flag { text, place: None } => write!(f, "the flag {text} of the running dockerd"),
            Origin::Wrapped { place, inside } => write!(f, "{place}, inside the unknown key `{inside}`"),
        }
    }
}

/// Flags and file, merged.
pub struct Effective {
    /// The configuration file's path.
    pub path: String,
    /// Its state.
    pub file: ConfigFile,
    /// Flags of the running process.
    pub running: Option<DaemonFlags>,
    /// Flags of the unit: those of the next start, where systemd starts it.
    pub unit: Option<(ExecStart, DaemonFlags)>,
    /// The unit is what starts dockerd, and it is read for certain: its flags are those of the next start.
    pub unit_counts: bool,
    /// The engine's version, where it is known.
    pub version: Option<EngineVersion>,
}

impl Effective {
    /// Works it out from what was seen.
    pub fn of(facts: &Facts) -> Self {
        let path = facts.daemon.config_file.clone();
        let file = match facts.files.get(&path) {
            Some(Fact::Known(file)) => match &file.content {
                Some(content) => match Document::parse(&content.0) {
                    Ok(document) => ConfigFile::Parsed(document),
                    Err(problems) => ConfigFile::Broken(problems),
                },
                None => ConfigFile::Unreadable(format!("{path} is not a regular file")),
            },
            Some(Fact::Absent) => ConfigFile::Missing,
            Some(Fact::Unknown(why)) => ConfigFile::Unreadable(why.clone()),
            None => ConfigFile::Unreadable(format!("{path} was not looked at")),
        };
        let running = facts.daemon.process.known().map(|process| argv::parse(&process.argv));
        let unit = if facts.daemon.layout.kind == Layout::Rootful { unit_flags(facts) } else { None };
        Self {
            file,
            running,
            unit_counts: started_by_unit(facts) && problem_of_unit(facts, unit.as_ref()).is_none(),
            unit,
            version: facts.daemon.version.known().and_then(|version| EngineVersion::parse(version)),
            path,
        }
    }

    /// What the next start goes by, with this document as its file: the unit's flags, where the unit is what starts dockerd.
    pub fn next(&self, document: Document, facts: &Facts) -> Self {
        let by_hand = facts.daemon.process.known().is_some_and(|process| process.service.as_deref() != Some(SERVICE));
        let (running, unit) = match &self.unit {
            Some(_) if !by_hand => (None, self.unit.clone()),
            _ => (self.running.clone(), None),
        };
        let unit_counts = unit.is_some();
        Self { path: self.path.clone(), file: ConfigFile::Parsed(document), running, unit, unit_counts, version: self.version }
    }

    /// Why the file's values can't be told, if they can't.
    pub fn unreadable(&self) -> Option<String> {
        match &self.file {
            ConfigFile::Missing | ConfigFile::Parsed(_) => None,
            ConfigFile::Broken(problems) => Some(match problems.first() {
                Some(first) => format!("{}:{}:{}: {}", self.path, first.line, first.column, first.what),
                None => format!("{} is not valid", self.path),
            }),
            ConfigFile::Unreadable(why) => Some(why.clone()),
        }
    }

    /// Whether a flag names the configuration file: then it must be there.
    pub fn names_config_file(&self) -> bool {
        let flags = self.running.iter().chain(self.unit.iter().map(|(_, flags)| flags));
        flags.into_iter().any(|flags| flags.config_file.as_deref() == Some(self.path.as_str()))
    }

    /// Why the flags of dockerd can't be told, if they can't: then no value can, and no key may be written.
    pub fn unknown_flags(&self, facts: &Facts) -> Option<String> {
        match &facts.daemon.process {
            Fact::Known(_) => None,
            Fact::Unknown(why) => Some(why.clone()),
            Fact::Absent if facts.daemon.layout.kind == Layout::Snap => {
                Some("the snap's own script gives them; start dockerd, then they can be seen".into())
            }
            Fact::Absent if !starts_units(facts) => in_script(facts),
            Fact::Absent => match facts.units.get(SERVICE)? {
                Fact::Unknown(why) => Some(why.clone()),
                Fact::Absent => in_script(facts),
                Fact::Known(_) => problem_of_unit(facts, self.unit.as_ref()),
            },
        }
    }

    /// Why the value of a key can't be told, if it can't: a flag that is known settles it, else it takes the file and all flags.
    pub fn uncertain(&self, key: &str, facts: &Facts) -> Option<String> {
        if self.flag(key).is_some() {
            return None;
        }
        self.unreadable().or_else(|| self.unknown_flags(facts))
    }

    /// Why dockerd's sockets can't be told, if they can't.
    pub fn unknown_sockets(&self, facts: &Facts) -> Option<String> {
        let unit = || match facts.units.get(SOCKET) {
            Some(Fact::Known(_)) => None,
            Some(Fact::Unknown(why)) => Some(why.clone()),
            _ => Some(format!("dockerd gets its socket from systemd (fd://), and there is no {SOCKET}")),
        };
        self.uncertain("hosts", facts).or_else(|| if self.socket_activated() { unit() } else { None })
    }

    /// An unknown key that wraps the opposite of what a boolean key says: dockerd takes one of the two at random.
    pub fn contradicted(&self, key: &str) -> Option<String> {
        let (inside, value) = self.wrapped_too(key)?;
        let ConfigFile::Parsed(document) = &self.file else { return None };
        (document.value().get(key) != Some(&Value::Bool(value))).then_some(inside)
    }

    /// An unknown key that wraps a boolean key which is also given by itself, with its place, and what it says there.
    pub fn wrapped_too(&self, key: &str) -> Option<(String, bool)> {
        let ConfigFile::Parsed(document) = &self.file else { return None };
        document.value().get(key)?;
        let (inside, value) = wrapped(document, key)?;
        let place = self.place(document, &[&inside, key]);
        Some((format!("`{inside}` at {place}"), value))
    }

    /// The effective value of a key or of a member of its object, as it is configured: that of the next start where that can be told,
    /// else that of the running dockerd. Only meaningful when the file is readable.
    pub fn setting(&self, key: &str, member: Option<&str>) -> Setting {
        let flag = if self.unit_counts { self.unit_flag(key) } else { self.flag(key) };
        self.merged(key, member, flag)
    }

    /// What the running dockerd has of a key by its own flags, where the next start may have something else.
    pub fn running_setting(&self, key: &str, member: Option<&str>) -> Option<Setting> {
        let flags = self.running.as_ref().filter(|_| self.unit_counts)?;
        let flag = flags.get(key).map(|value| (value.clone(), Origin::Flag { text: texts(flags.origin(key)), place: None }));
        Some(self.merged(key, member, flag))
    }

    /// What the file, or the default, says of a key that no flag gives.
    pub fn without_flags(&self, key: &str, member: Option<&str>) -> Setting {
        self.merged(key, member, None)
    }

    fn merged(&self, key: &str, member: Option<&str>, flag: Option<(Value, Origin)>) -> Setting {
        let inner = |value: &Value| match member {
            Some(member) => value.get(member).cloned(),
            None => Some(value.clone()),
        };
        if let Some((value, origin)) = flag {
            return Setting { value: inner(&value), origin };
        }
        if let ConfigFile::Parsed(document) = &self.file {
            if let Some(value) = document.value().get(key) {
                let value = if value.is_null() { self.null_means(key).as_ref().and_then(inner) } else { inner(value) };
                return Setting { value, origin: self.in_file(document, key, member) };
            }
            if member.is_none()
                && let Some((inside, value)) = wrapped(document, key)
            {
                let place = self.place(document, &[&inside, key]);
                return Setting { value: Some(Value::Bool(value)), origin: Origin::Wrapped { place, inside } };
            }
        }
        let value = daemon_keys::default_of(key, self.version).as_ref().and_then(inner);
        Setting { value, origin: Origin::Default }
    }

    /// dockerd reads `null` for a boolean as false, also where the default is true; any other key gets its default.
    fn null_means(&self, key: &str) -> Option<Value> {
        match daemon_keys::lookup(key) {
            Some(known) if known.json_type == JsonType::Bool => Some(Value::Bool(false)),
            Some(_) => daemon_keys::default_of(key, self.version),
            None => Some(Value::Null),
        }
    }

    fn in_file(&self, document: &Document, key: &str, member: Option<&str>) -> Origin {
        let path: Vec<&str> = std::iter::once(key).chain(member).collect();
        Origin::File { place: self.place(document, &path) }
    }

    /// `path:line` of a key, or of the innermost one above it that exists.
    fn place(&self, document: &Document, keys: &[&str]) -> String {
        let mut keys = keys;
        while !keys.is_empty() {
            if let Some((line, _)) = document.position(keys) {
                return format!("{}:{line}", self.path);
            }
            keys = &keys[..keys.len() - 1];
        }
        self.path.clone()
    }

    /// A value that is set, by flag or in the file; not the default. What the running dockerd was given counts, where one runs.
    pub fn configured(&self, key: &str) -> Option<Value> {
        let setting = self.merged(key, None, self.flag(key));
        (!matches!(setting.origin, Origin::Default)).then_some(setting.value).flatten()
    }

    /// The flag that gives a key: of the running process, else of the unit. The file must not give it in either case.
    pub fn flag(&self, key: &str) -> Option<(Value, Origin)> {
        let of_unit = self.unit_flag(key);
        let running = self.running.as_ref().and_then(|flags| Some((flags.get(key)?, flags.origin(key))));
        let Some((value, origins)) = running else { return of_unit };
        let place = of_unit.and_then(|(_, origin)| match origin {
            Origin::Flag { place, .. } => place,
            _ => None,
        });
        Some((value.clone(), Origin::Flag { text: texts(origins), place }))
    }

    /// The flags that dockerd starts with next, as far as that can be told; else those of the running one.
    pub fn flags_of_next_start(&self) -> Option<&DaemonFlags> {
        let unit = self.unit.as_ref().map(|(_, flags)| flags);
        if self.unit_counts { unit } else { self.running.as_ref().or(unit) }
    }

    /// The flag of the unit that gives a key.
    pub fn unit_flag(&self, key: &str) -> Option<(Value, Origin)> {
        let (exec, flags) = self.unit.as_ref()?;
        let value = flags.get(key)?;
        let origins = flags.origin(key);
        let place = origins.first().and_then(|origin| exec.argv.get(origin.index)).map(|word| word.origin.to_string());
        Some((value.clone(), Origin::Flag { text: texts(origins), place }))
    }

    /// Why a reload would do harm, or nothing: authorization plugins that come from a flag would be switched off.
    pub fn reload_is_harmful(&self) -> Option<&'static str> {
        if self.flag("authorization-plugins").is_some() {
            return Some("a reload drops authorization plugins that are given by flag");
        }
        if let (Some(flags), ConfigFile::Parsed(document)) = (&self.running, &self.file)
            && !argv::conflicts(flags, document).is_empty()
        {
            return Some("dockerd refuses to reload a file with a key that a flag gives, too");
        }
        let explicit_proxy = match &self.file {
            ConfigFile::Parsed(document) => {
                document.value().get("userland-proxy") == Some(&Value::Bool(true))
                    && document.value().get("userland-proxy-path").is_none()
            }
            _ => false,
        };
        // moby 25.0 and later refuse every reload of such a file.
        explicit_proxy.then_some("an explicit userland-proxy: true makes this engine refuse every reload")
    }

    /// Where the engine keeps its data.
    pub fn data_root(&self, facts: &Facts) -> String {
        let told = facts.daemon.api.known().and_then(|api| api.data_root.clone());
        told.or_else(|| self.configured("data-root")?.as_str().map(str::to_owned))
            .or_else(|| layout::data_root(facts))
            .unwrap_or_else(|| DEFAULT_DATA_ROOT.into())
    }

    /// Paths of the Engine API's unix sockets.
    pub fn docker_sockets(&self, facts: &Facts) -> Vec<String> {
        sockets(self.configured("hosts").as_ref(), facts)
    }

    /// Paths of the unix sockets that the running dockerd was told to listen on, whatever its next start is told; those of the next
    /// start where none runs.
    pub fn listening_sockets(&self, facts: &Facts) -> Vec<String> {
        let Some(flags) = &self.running else { return self.docker_sockets(facts) };
        let in_file = match &self.file {
            ConfigFile::Parsed(document) => document.get(&["hosts"]),
            _ => None,
        };
        sockets(flags.get("hosts").or(in_file), facts)
    }

    /// Whether systemd makes dockerd's socket.
    pub fn socket_activated(&self) -> bool {
        let is_fd = |host: &Value| host.as_str().is_some_and(|host| host.starts_with("fd://"));
        matches!(self.configured("hosts"), Some(Value::Array(hosts)) if hosts.iter().any(is_fd))
    }

    /// Where containerd's socket may be; the first that exists counts.
    pub fn containerd_sockets(&self, facts: &Facts) -> Vec<String> {
        let told = facts.daemon.api.known().and_then(|api| api.containerd_address.clone());
        let given =
            told.or_else(|| self.configured("containerd")?.as_str().map(str::to_owned)).filter(|path| path.starts_with('/'));
        match given {
            Some(path) => vec![normal(&path)],
            None => {
                let root = self.configured("exec-root").and_then(|path| path.as_str().map(str::to_owned));
                let root = root.or_else(|| Some(format!("{}/docker", layout::runtime_dir(facts)?)));
                let managed =
                    root.map_or_else(|| MANAGED_CONTAINERD.into(), |root| format!("{root}/containerd/containerd.sock"));
                let system = (facts.daemon.layout.kind == Layout::Rootful).then(|| DEFAULT_CONTAINERD.to_owned());
                system.into_iter().chain([normal(&managed)]).collect()
            }
        }
    }
}

/// The unix sockets among `hosts`; the default one where nothing is set.
fn sockets(hosts: Option<&Value>, facts: &Facts) -> Vec<String> {
    let default = layout::runtime_dir(facts).map_or_else(|| DEFAULT_SOCKET.into(), |dir| format!("{dir}/docker.sock"));
    let hosts = match hosts {
        Some(Value::Array(hosts)) => hosts.iter().filter_map(|host| host.as_str().map(str::to_owned)).collect(),
        _ => vec![format!("unix://{default}")],
    };
    let mut paths = Vec::new();
    for host in hosts {
        if host.starts_with("fd://") {
            let socket = unit::merged(facts, SOCKET);
            let listens = socket.list("Socket", "ListenStream");
            paths.extend(listens.iter().filter(|(value, _)| value.starts_with('/')).map(|(value, _)| (*value).to_owned()));
        } else if let Some(path) = host.strip_prefix("unix://") {
            paths.push(if path.is_empty() { default.clone() } else { path.to_owned() });
        }
    }
    // systemd's specifier for the runtime directory of the system manager.
    let mut paths: Vec<_> = paths.iter().map(|path| normal(&path.replace("%t", "/run"))).collect();
    paths.dedup();
    paths
}

/// `/var/run` is `/run` on every host that Docker runs on; reports and audit rules name the real one.
fn normal(path: &str) -> String {
    match path.strip_prefix("/var/run/") {
        Some(rest) => format!("/run/{rest}"),
        None => path.to_owned(),
    }
}

fn texts(origins: &[argv::Origin]) -> String {
    origins.iter().map(|origin| origin.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// How a sentence about them begins.
const FLAGS: &str = "dockerd's flags";

/// What to say of flags that can't be seen.
pub fn flags_untold(why: &str) -> String {
    match why.starts_with(FLAGS) {
        true => why.to_owned(),
        false => format!("{FLAGS} can't be told: {why}"),
    }
}

fn in_script(facts: &Facts) -> Option<String> {
    let script = facts.files.get(INIT_SCRIPT).and_then(Fact::known);
    script.map(|_| format!("{FLAGS} are in {INIT_SCRIPT} and what it reads; start dockerd, then they can be seen"))
}

/// Whether a unit is what starts dockerd: packages bring one to hosts where another program is process 1. What that of an image tree
/// will be, nobody knows.
pub fn starts_units(facts: &Facts) -> bool {
    !facts.host.live || !matches!(facts.host.service_manager, ServiceManager::Sysv | ServiceManager::Openrc)
}

/// The unit's command line and its flags, where the unit is known.
fn unit_flags(facts: &Facts) -> Option<(ExecStart, DaemonFlags)> {
    let fact = facts.units.get(SERVICE).filter(|_| starts_units(facts))?.known()?;
    let unit = unit::merged(facts, SERVICE);
    let files = fact.environment_files.iter().filter_map(|path| {
        let content = facts.files.get(path)?.known()?.content.as_ref()?;
        Some((path.clone(), content.0.clone()))
    });
    let exec = exec_start::dockerd_flags(&unit, &files.collect());
    let words: Vec<String> = exec.argv.iter().map(|word| word.text.clone()).collect();
    let flags = argv::parse(&words);
    Some((exec, flags))
}

/// Whether docker.service started the dockerd that runs, or will start it where none does.
fn started_by_unit(facts: &Facts) -> bool {
    match &facts.daemon.process {
        Fact::Known(process) => {
            facts.host.service_manager == ServiceManager::Systemd && process.service.as_deref() == Some(SERVICE)
        }
        Fact::Absent => true,
        Fact::Unknown(_) => false,
    }
}

/// Why the flags of docker.service are not known for certain, if they are not.
pub fn problem_of_unit(facts: &Facts, unit: Option<&(ExecStart, DaemonFlags)>) -> Option<String> {
    let (Some((exec, _)), Some(Fact::Known(fact))) = (unit, facts.units.get(SERVICE)) else {
        return Some(format!("there is no {SERVICE}"));
    };
    let problems: Vec<String> = exec.problems.iter().map(ToString::to_string).collect();
    // Lines that systemd passes over are none of ExecStart's.
    let problem = problems.iter().find(|problem| !fact.problems.contains(problem)).cloned();
    problem.or_else(|| problems.first().filter(|_| exec.refused).cloned())
}

/// A boolean inside an object under an unknown key, which dockerd takes as if it stood at the top.
fn wrapped(document: &Document, key: &str) -> Option<(String, bool)> {
    if daemon_keys::lookup(key)?.json_type != JsonType::Bool {
        return None;
    }
    let object = document.value().as_object()?;
    object
        .iter()
        .filter(|(name, _)| daemon_keys::lookup(name).is_none_or(|key| key.status != Status::Effective))
        .find_map(|(name, value)| Some((name.clone(), value.as_object()?.get(key)?.as_bool()?)))
}
