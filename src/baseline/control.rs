//! A control as it is written in `baselines/catalogue/*.toml`: one requirement, what it wants and how it is fixed.
//!
//! Every table denies unknown fields, so a typing mistake in a row is an error with its line. `Want` is externally tagged
//! (`[control.want.file]`), which keeps serde's errors on the exact line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::wants::{
    AttestWant, ContainerCondition, ContainerFix, ContainerProperty, ContainerWant, Given, HostCheck, HostProperty, HostWant,
    ImageRule, ImageWant, LintLevel, Lowest, ParameterWant, Policy, Recreate, RootlessWant, ScanSeverity, Selector, Size,
    SwarmRule, SwarmWant, SysctlWant, Table, Update,
};
use crate::expect::Expect;

/// One requirement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its name: area, thing, what is wanted; lower case with hyphens.
    pub id: String,
    /// What holds on a compliant host, as a short sentence without a full stop.
    pub title: String,
    /// Which part of the host it is about; the first part of `id`.
    pub area: Area,
    /// Why it matters, in one or two sentences for someone who has to decide.
    pub why: String,
    /// How bad it is when it does not hold.
    pub severity: Severity,
    /// What applying the fix interrupts.
    pub risk: Risk,
    /// What may stop working after the fix, in plain words; shown before anything is applied.
    #[serde(default)]
    pub impact: Option<String>,
    /// Sections of the five source documents, e.g. `2.1` for document 002 §2.1, `003 守护进程` for the others.
    #[serde(default)]
    pub guide: Vec<String>,
    /// CIS Docker Benchmark id by benchmark version, e.g. `{ "1.6" = "2.2", "1.7" = "2.2", "1.8" = "2.2" }`.
    #[serde(default)]
    pub cis: BTreeMap<String, String>,
    /// CIS level, 1 or 2.
    #[serde(default)]
    pub level: Option<u8>,
    /// What must hold.
    pub want: Want,
}

impl Control {
    /// References as the report shows them: `guide:2.1`, `cis:2.2` (the newest benchmark version's id).
    pub fn references(&self) -> Vec<String> {
        let guide = self.guide.iter().map(|section| format!("guide:{section}"));
        let cis = self.cis.iter().map(|(version, id)| format!("cis-{version}:{id}"));
        // The 1.6 and 1.7 numbering is the common one; it is the plain `cis:` reference.
        let common = self.cis.get("1.7").or_else(|| self.cis.get("1.6")).map(|id| format!("cis:{id}"));
        guide.chain(common).chain(cis).collect()
    }
}

/// Part of the host that a control is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// daemon.json and dockerd's flags.
    Daemon,
    /// auditd and the kernel's audit rules.
    Audit,
    /// Owner and mode of files.
    File,
    /// Sockets and the units that make them.
    Socket,
    /// The machine: kernel, accounts, mounts, services, versions.
    Host,
    /// Containers.
    Container,
    /// Images, and the Dockerfiles they are built from.
    Image,
    /// The swarm.
    Swarm,
}

impl Area {
    /// As ids of controls and the JSON report write it.
    pub fn name(self) -> &'static str {
        match self {
            Area::Daemon => "daemon",
            Area::Audit => "audit",
            Area::File => "file",
            Area::Socket => "socket",
            Area::Host => "host",
            Area::Container => "container",
            Area::Image => "image",
            Area::Swarm => "swarm",
        }
    }
}

/// How bad drift is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good practice.
    Low,
    /// Weakens a defence.
    Medium,
    /// Opens a way.
    High,
    /// Equals root for whoever finds it.
    Critical,
}

/// What applying a fix interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Nothing.
    Safe,
    /// dockerd restarts; containers survive where live-restore is on.
    Restart,
    /// Workloads or users may lose something; see `impact`.
    Disruptive,
}

/// What a control wants, by the kind of thing it speaks of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Want {
    /// Values of daemon.json keys or their flags.
    Daemon(DaemonWant),
    /// daemon.json is one that this engine reads as it is meant.
    DaemonConfig(DaemonConfigWant),
    /// Owner and mode of files.
    File(FileWant),
    /// Owner and mode of a live socket, and of what creates it.
    Socket(SocketWant),
    /// Settings of a systemd unit.
    Unit(UnitWant),
    /// Audit rules that record events on a path.
    Watch(WatchWant),
    /// The state of the audit subsystem as a whole.
    AuditState(AuditStateWant),
    /// Kernel parameters.
    Sysctl(SysctlWant),
    /// A property of the machine.
    Host(HostWant),
    /// Properties of containers.
    Container(Box<ContainerWant>),
    /// Properties of images, or of a Dockerfile.
    Image(ImageWant),
    /// A property of the swarm.
    Swarm(SwarmWant),
    /// What only a person can tell.
    Attest(AttestWant),
    /// dockerd without root's rights.
    Rootless(RootlessWant),
}

/// Values of daemon.json keys; one finding a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonWant {
    /// The keys, usually one.
    pub key: Vec<KeyWant>,
    /// Where the control does not apply; each condition names its own reason.
    #[serde(default)]
    pub unless: Vec<DaemonCondition>,
    /// Where it holds whatever the keys say; each condition names its own note.
    #[serde(default)]
    pub met_by: Vec<DaemonCondition>,
    /// What must be there before the key may be written, or dockerd would not start.
    #[serde(default)]
    pub needs: Vec<Prerequisite>,
}

/// One key of daemon.json.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyWant {
    /// The key at the top level, e.g. `log-opts`.
    pub name: String,
    /// A member of that key's object, e.g. `max-size`.
    #[serde(default)]
    pub member: Option<String>,
    /// What its effective value (file, flag or default) must be.
    pub expect: Expect,
    /// Not being set complies, whatever this engine's default is: `ip6tables` is off by default before 27, and only switching it
    /// off is drift.
    #[serde(default)]
    pub default_complies: bool,
    /// Asked only of an engine that knows the key.
    #[serde(default)]
    pub where_known: bool,
    /// Asked only where another key has this value.
    #[serde(default)]
    pub beside: Option<Beside>,
    /// How drift is fixed.
    #[serde(default)]
    pub fix: KeyFix,
    /// Where the running daemon shows the value that is really in force.
    #[serde(default)]
    pub live: Option<Live>,
}

/// Another key of daemon.json, and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// The key.
    pub name: String,
    /// Its effective value.
    pub is: String,
}

/// How a key is brought to what is wanted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeyFix {
    /// Write this value; a text may hold `${variable}`.
    Set(toml_value::Json),
    /// Delete the key, so that the default (which complies) holds.
    Remove,
    /// Delete the elements that the expectation excludes; an empty list stays as `[]`, because a reload reads only keys that are there.
    RemoveElements,
    /// Add the members that the expectation's `contains` names to the object that is there.
    Merge,
    /// Not by harden, for this reason.
    Manual(String),
    /// The value that the expectation's `is` names.
    #[default]
    Expected,
}

/// JSON values inside TOML rows.
pub mod toml_value {
    /// A JSON value; TOML rows write it as TOML.
    pub type Json = serde_json::Value;
}

/// Where the running daemon shows a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Live {
    /// `/info` Debug.
    Debug,
    /// `/info` LiveRestoreEnabled.
    LiveRestore,
    /// `/info` ExperimentalBuild.
    Experimental,
    /// `/info` SecurityOptions name=no-new-privileges (engine 24.0 and later).
    NoNewPrivileges,
    /// `/info` SecurityOptions name=seccomp,profile=….
    Seccomp,
    /// `/info` SecurityOptions name=selinux.
    Selinux,
    /// `/info` LoggingDriver.
    LoggingDriver,
    /// `/info` Driver.
    StorageDriver,
    /// `/info` RegistryConfig, entries that are not secure; loopback left out.
    InsecureRegistries,
    /// `/info` RegistryConfig.Mirrors.
    RegistryMirrors,
    /// `/networks/bridge` enable_icc.
    BridgeIcc,
    /// `/info` SecurityOptions name=userns.
    Userns,
}

/// Where a daemon control does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DaemonCondition {
    /// The node is in a swarm, which refuses live-restore.
    SwarmActive,
    /// The default log driver is not json-file.
    LogDriverNotJsonFile,
    /// SELinux is off in the kernel.
    SelinuxOff,
    /// `bridge` is `none`: there is no default bridge.
    NoDefaultBridge,
    /// The engine listens on no TCP address but loopback.
    NoRemoteTcp,
    /// dockerd runs without root's rights.
    Rootless,
}

/// What must be there before a key may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prerequisite {
    /// `iptables` is not switched off; dockerd refuses icc=false without it, and without it and the proxy nothing publishes ports.
    Iptables,
    /// SELinux is enforcing.
    SelinuxEnforcing,
    /// An authority, a certificate and its key are configured; dockerd refuses tlsverify without.
    TlsKeyPair,
}

/// daemon.json is one that this engine reads as it is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DaemonConfigWant {}

/// Owner and mode of files; one finding a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileWant {
    /// Which files: absolute paths, patterns, or places such as `@unit:docker.service` (see [`Place`]).
    pub paths: Vec<Place>,
    /// No permission bit beyond this mask, written in octal in quotes: `"0644"`.
    #[serde(default)]
    pub mode_max: Option<Mode>,
    /// Owner, by name or number.
    #[serde(default)]
    pub owner: Option<String>,
    /// Group, by name or number.
    #[serde(default)]
    pub group: Option<String>,
    /// Any of these groups, where they exist; the first one that does is what a fix sets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_one_of: Vec<String>,
    /// Also every directory above, up to the root, must not be writable for others than its owner.
    #[serde(default)]
    pub parents: bool,
}

/// A live socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketWant {
    /// Which socket.
    pub of: SocketOf,
    /// No permission bit beyond this mask.
    #[serde(default)]
    pub mode_max: Option<Mode>,
    /// Owner, by name or number.
    #[serde(default)]
    pub owner: Option<String>,
    /// Any of these groups; the first one that exists is what a fix sets. May hold `${variable}`.
    #[serde(default)]
    pub group_one_of: Vec<String>,
}

/// Which socket a control speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketOf {
    /// The Engine API's unix sockets.
    Docker,
    /// containerd's socket.
    Containerd,
}

/// Settings of a systemd unit; one finding a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitWant {
    /// The unit, e.g. `docker.socket`.
    pub unit: String,
    /// The settings.
    pub setting: Vec<SettingWant>,
}

/// One setting of a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingWant {
    /// Section, e.g. `Socket`.
    pub section: String,
    /// Setting, e.g. `SocketMode`.
    pub name: String,
    /// What systemd takes when the unit says nothing.
    pub default: String,
    /// What it must be.
    pub expect: Expect,
    /// What a fix writes into the drop-in; may hold `${variable}`. Without it the fix is manual.
    #[serde(default)]
    pub set: Option<String>,
}

/// Audit rules that record events on a path, on disk and in the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchWant {
    /// What is watched.
    pub paths: Vec<Place>,
    /// Accesses to record, letters of `rwxa`.
    pub perms: String,
}

/// The state of the audit subsystem.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditStateWant {
    /// Which state.
    pub is: AuditState,
}

/// A state of the audit subsystem as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditState {
    /// The kernel audits, and auditd is connected to it.
    Running,
    /// What rules.d says is what the kernel has.
    Persistent,
    /// No line of rules.d stops the load before its end.
    Loadable,
}

/// A set of permission bits, written in octal in quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Serialize for Mode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:04o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Mode;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mode in octal in quotes, like \"0644\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Mode, E> {
                let octal = text.len() <= 5 && text.starts_with('0');
                match u32::from_str_radix(text, 8) {
                    Ok(bits) if octal && bits <= 0o7777 => Ok(Mode(bits)),
                    _ => Err(E::custom(format!("`{text}` is not a mode in octal in quotes, like \"0644\""))),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Mode, E> {
                Err(E::custom(format!("{number} is a decimal number; write a mode in octal in quotes, like \"0{number}\"")))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Where a thing lies: a path, a pattern, or a name that the host's own configuration resolves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// An absolute path.
    Path(String),
    /// A pattern with `*`, `?` or `**`; matches never go through symbolic links.
    Pattern(String),
    /// `@config-file`: the configuration file that dockerd reads.
    ConfigFile,
    /// `@daemon:KEY`: the path that the effective value of this daemon key names, e.g. `@daemon:tlskey`.
    DaemonKey(String),
    /// `@data-root`: where the engine keeps its data.
    DataRoot,
    /// `@unit:NAME`: the unit file that counts.
    Unit(String),
    /// `@unit-parts:NAME`: the unit's drop-ins and environment files.
    UnitParts(String),
    /// `@binary:NAME`: the program that really runs, else the first in /usr/bin, /usr/sbin, /usr/local/{bin,sbin}.
    Binary(String),
    /// `@docker-socket`: the Engine API's unix sockets.
    DockerSocket,
    /// `@containerd-socket`: containerd's socket.
    ContainerdSocket,
}

impl std::str::FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "`{text}` is no place: expected an absolute path, a pattern, @config-file, @data-root, @docker-socket, \
                 @containerd-socket, @daemon:KEY, @unit:NAME, @unit-parts:NAME or @binary:NAME"
            )
        };
        Ok(match text.split_once(':') {
            _ if text.starts_with('/') && text.contains(['*', '?', '[']) => Place::Pattern(text.into()),
            _ if text.starts_with('/') => Place::Path(text.into()),
            None if text == "@config-file" => Place::ConfigFile,
            None if text == "@data-root" => Place::DataRoot,
            None if text == "@docker-socket" => Place::DockerSocket,
            None if text == "@containerd-socket" => Place::ContainerdSocket,
            Some(("@daemon", key)) if !key.is_empty() => Place::DaemonKey(key.into()),
            Some(("@unit", name)) if !name.is_empty() => Place::Unit(name.into()),
            Some(("@unit-parts", name)) if !name.is_empty() => Place::UnitParts(name.into()),
            Some(("@binary", name)) if !name.is_empty() => Place::Binary(name.into()),
            _ => return Err(expected()),
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Path(text) | Place::Pattern(text) => f.write_str(text),
            Place::ConfigFile => f.write_str("@config-file"),
            Place::DaemonKey(key) => write!(f, "@daemon:{key}"),
            Place::DataRoot => f.write_str("@data-root"),
            Place::Unit(name) => write!(f, "@unit:{name}"),
            Place::UnitParts(name) => write!(f, "@unit-parts:{name}"),
            Place::Binary(name) => write!(f, "@binary:{name}"),
            Place::DockerSocket => f.write_str("@docker-socket"),
            Place::ContainerdSocket => f.write_str("@containerd-socket"),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
