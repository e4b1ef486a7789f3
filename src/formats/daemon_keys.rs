//! Which keys dockerd takes in daemon.json, by engine version: types, flags, defaults, what a reload applies.
//!
//! The facts are rows of `daemon_keys.tsv`, which explains its columns.

use std::fmt;
use std::sync::OnceLock;

use serde_json::Value;

/// The oldest engine that harden knows.
pub const OLDEST: EngineVersion = EngineVersion::new(20, 10, 0);

/// Version of a Docker engine. Distribution suffixes and pre-release marks are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineVersion {
    /// `20` of `20.10.24`.
    pub major: u32,
    /// `10` of `20.10.24`.
    pub minor: u32,
    /// `24` of `20.10.24`.
    pub patch: u32,
}

impl EngineVersion {
    /// This version.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        EngineVersion { major, minor, patch }
    }

    /// Reads `20.10.24+dfsg1`, `v29.0.0-rc.1`, `24.0`; `None` for anything that does not begin with two numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let mut numbers = text[..end].split('.').filter(|number| !number.is_empty()).map(str::parse);
        let (major, minor) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        let patch = numbers.next().unwrap_or(Ok(0)).ok()?;
        Some(EngineVersion { major, minor, patch })
    }

    const fn next_major(self) -> Self {
        EngineVersion::new(self.major + 1, 0, 0)
    }
}

impl fmt::Display for EngineVersion {
    /// `20.10.24`; a release that opens a series as `23.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

/// What a row of the table is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// A key that works.
    Effective,
    /// The name of a flag that has no key: accepted in the file, and ignored.
    FlagOnly,
    /// Part of dockerd's own structure, but no engine starts with it.
    Refused,
}

/// The JSON type of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// `true` or `false`.
    Bool,
    /// An integer.
    Int,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// An object whose members are texts.
    TextsByName,
    /// An object whose members are booleans.
    BoolsByName,
    /// An object of objects whose members are texts.
    TextsByNameByName,
    /// An object of `{"Name", "Soft", "Hard"}`.
    Ulimits,
    /// An object of objects.
    ObjectsByName,
    /// A list of objects.
    Objects,
    /// An object with members of its own.
    Object,
}

/// How the life of a key ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// It lives.
    Not,
    /// From this engine on any value but an empty one stops dockerd; from the next major version on the key itself.
    Refused(EngineVersion),
    /// From this engine on it is accepted and does nothing.
    Ignored(EngineVersion),
}

/// Whether SIGHUP applies a change of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// It takes a restart.
    Never,
    /// It does.
    Always,
    /// Only engines before this one.
    Until(EngineVersion),
}

/// A command line flag of dockerd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The long name, without dashes.
    pub name: &'static str,
    /// The letter of the short form.
    pub short: Option<char>,
    /// The engine that brought the flag, where it is younger than the key.
    pub since: Option<EngineVersion>,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The name in daemon.json.
    pub name: &'static str,
    /// What the row is about.
    pub status: Status,
    /// Type of the value (of the flag's value where there is no key).
    pub json_type: JsonType,
    /// Flags that set it.
    pub flags: Vec<Flag>,
    /// The engine that brought it; `None` when that was before 20.10's time.
    pub since: Option<EngineVersion>,
    /// How its life ends.
    pub ends: Ends,
    /// Whether SIGHUP applies it.
    pub reload: Reload,
    /// Defaults, each from an engine version on.
    defaults: Vec<(EngineVersion, Option<Value>)>,
}

impl Key {
    /// Whether this engine has the key at all; it may still refuse its value (see [`Ends::Refused`]).
    pub fn known_to(&self, version: EngineVersion) -> bool {
        let came = self.since.is_none_or(|since| since <= version);
        let gone = matches!(self.ends, Ends::Refused(end) if end.next_major() <= version);
        came && !gone
    }

    fn takes(&self, version: EngineVersion) -> bool {
        let refused = matches!(self.ends, Ends::Refused(end) if end <= version);
        self.status == Status::Effective && self.known_to(version) && !refused
    }
}

/// All rows.
pub fn keys() -> &'static [Key] {
    static KEYS: OnceLock<Vec<Key>> = OnceLock::new();
    KEYS.get_or_init(|| {
        let rows = include_str!("daemon_keys.tsv").lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        rows.map(|row| read_row(row).unwrap_or_else(|| panic!("a bad row in daemon_keys.tsv: {row}"))).collect()
    })
}

/// The row of a name in daemon.json, whatever its status.
pub fn lookup(key: &str) -> Option<&'static Key> {
    keys().iter().find(|row| row.name == key)
}

/// The row that a flag sets: a long name without dashes, or the letter of a short one.
pub fn key_of_flag(flag: &str) -> Option<&'static Key> {
    find_flag(flag).map(|(key, _)| key)
}

/// The row that a flag sets, and the flag; see [`key_of_flag`].
pub fn find_flag(flag: &str) -> Option<(&'static Key, &'static Flag)> {
    let mut letters = flag.chars();
    let short = letters.next().filter(|_| letters.next().is_none());
    let fits = |candidate: &&Flag| candidate.name == flag || short.is_some() && candidate.short == short;
    keys().iter().find_map(|key| Some((key, key.flags.iter().find(fits)?)))
}

/// Whether the engine takes this key and heeds its value. Of an unknown engine: whether every engine since 20.10 takes it.
pub fn accepted(key: &str, version: Option<EngineVersion>) -> bool {
    let Some(key) = lookup(key) else {
        return false;
    };
    match version {
        Some(version) => key.takes(version),
        None => key.takes(OLDEST) && !matches!(key.ends, Ends::Refused(_)),
    }
}

/// What holds when neither file nor flags set the key.
///
/// `None`: nothing is set (no text, an empty list), or it depends on the host, or, of an unknown engine, on its version.
pub fn default_of(key: &str, version: Option<EngineVersion>) -> Option<Value> {
    let key = lookup(key)?;
    match version {
        Some(version) if !key.takes(version) => None,
        Some(version) => key.defaults.iter().rev().find(|(from, _)| *from <= version)?.1.clone(),
        None => match key.defaults.as_slice() {
            [(_, only)] => only.clone(),
            _ => None,
        },
    }
}

/// Whether SIGHUP applies a change of this key; of an unknown engine: whether it does in every one.
pub fn reloadable(key: &str, version: Option<EngineVersion>) -> bool {
    match (lookup(key).map(|key| key.reload), version) {
        (Some(Reload::Always), _) => true,
        (Some(Reload::Until(end)), Some(version)) => version < end,
        (Some(Reload::Never | Reload::Until(_)) | None, _) => false,
    }
}

fn read_row(row: &'static str) -> Option<Key> {
    let columns: Vec<&str> = row.split('\t').collect();
    let [name, status, json_type, flags, since, ends, reload, defaults] = columns.try_into().ok()?;
    Some(Key {
        name,
        status: match status {
            "key" => Status::Effective,
            "flag" => Status::FlagOnly,
            "refused" => Status::Refused,
            _ => return None,
        },
        json_type: read_type(json_type)?,
        flags: flags.split(' ').filter(|flag| *flag != "-").map(read_flag).collect::<Option<_>>()?,
        since: if since == "-" { None } else { Some(EngineVersion::parse(since)?) },
        ends: match ends.split_once(' ') {
            None if ends == "-" => Ends::Not,
            Some(("refused", from)) => Ends::Refused(EngineVersion::parse(from)?),
            Some(("ignored", from)) => Ends::Ignored(EngineVersion::parse(from)?),
            _ => return None,
        },
        reload: match reload.split_once(' ') {
            None if reload == "never" => Reload::Never,
            None if reload == "always" => Reload::Always,
            Some(("until", end)) => Reload::Until(EngineVersion::parse(end)?),
            _ => return None,
        },
        defaults: defaults.split(" | ").enumerate().map(|(index, text)| read_default(index, text)).collect::<Option<_>>()?,
    })
}

fn read_type(text: &str) -> Option<JsonType> {
    Some(match text {
        "bool" => JsonType::Bool,
        "int" => JsonType::Int,
        "text" => JsonType::Text,
        "texts" => JsonType::Texts,
        "texts-by-name" => JsonType::TextsByName,
        "bools-by-name" => JsonType::BoolsByName,
        "texts-by-name-by-name" => JsonType::TextsByNameByName,
        "ulimits" => JsonType::Ulimits,
        "objects-by-name" => JsonType::ObjectsByName,
        "objects" => JsonType::Objects,
        "object" => JsonType::Object,
        _ => return None,
    })
}

fn read_flag(text: &'static str) -> Option<Flag> {
    let (names, since) = match text.split_once('@') {
        Some((names, since)) => (names, Some(EngineVersion::parse(since)?)),
        None => (text, None),
    };
    let (name, short) = match names.split_once(',') {
        Some((name, short)) => (name, Some(short.parse().ok()?)),
        None => (names, None),
    };
    Some(Flag { name, short, since })
}

/// The first default holds from the beginning; each further one begins with the version from which it holds.
fn read_default(index: usize, text: &str) -> Option<(EngineVersion, Option<Value>)> {
    let (from, json) = if index == 0 { ("0.0", text) } else { text.split_once(' ')? };
    let value = if json == "-" { None } else { Some(serde_json::from_str(json).ok()?) };
    Some((EngineVersion::parse(from)?, value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn version(text: &str) -> Option<EngineVersion> {
        Some(EngineVersion::parse(text).unwrap())
    }

    #[test]
    fn versions_are_read_and_ordered() {
        assert_eq!(EngineVersion::parse("20.10.24+dfsg1"), Some(EngineVersion::new(20, 10, 24)));
        assert_eq!(EngineVersion::parse("v29.0.0-rc.1"), Some(EngineVersion::new(29, 0, 0)));
        assert_eq!(EngineVersion::parse(" 24.0\n"), Some(EngineVersion::new(24, 0, 0)));
        for bad in ["", "24", "unknown", "x.1", ".", "99999999999.1", "-1.2"] {
            assert_eq!(EngineVersion::parse(bad), None, "{bad}");
        }
        assert!(version("9.9.9") < version("20.10.1") && version("20.10.9") < version("20.10.24"));
        assert_eq!(version("23.0.0").unwrap().to_string(), "23.0");
    }

    #[test]
    fn the_table_is_whole() {
        assert_eq!(keys().len(), 107);
        for (index, key) in keys().iter().enumerate() {
            assert!(keys()[..index].iter().all(|other| other.name != key.name), "{} is there twice", key.name);
            assert!(
                key.flags.iter().all(|flag| key_of_flag(flag.name) == Some(key)),
                "{}: its flag sets another key",
                key.name
            );
        }
        for broken in ["icc\tkey", "a\tkey\tbool\ta\t-\t-\tsometimes\t-", "a\tkey\tbool\ta\t-\t-\tnever\tyes"] {
            assert_eq!(read_row(broken), None, "{broken}");
        }
    }

    #[test]
    fn flags_lead_to_their_keys() {
        for (flag, key) in [
            ("label", "labels"),
            ("insecure-registry", "insecure-registries"),
            ("H", "hosts"),
            ("host", "hosts"),
            ("D", "debug"),
            ("icc", "icc"),
            ("https-proxy", "proxies"),
            ("add-runtime", "runtimes"),
            ("validate", "validate"),
        ] {
            assert_eq!(key_of_flag(flag).map(|key| key.name), Some(key), "{flag}");
        }
        assert_eq!(key_of_flag("labels"), None);
        assert_eq!(key_of_flag("HH"), None);
    }

    #[test]
    fn trap_15_keys_are_accepted_by_engine_version() {
        for (key, engine, expected) in [
            ("icc", "20.10.24", true),
            ("proxies", "20.10.24", false),
            ("proxies", "23.0.0", true),
            ("firewall-backend", "28.5.2", false),
            ("firewall-backend", "29.0.0", true),
            ("graph", "20.10.24", true),
            ("graph", "23.0.0", false),
            ("api-cors-header", "27.5.1", true),
            ("api-cors-header", "28.0.0", false),
            ("deprecated-key-path", "29.7.2", true),
            ("default-init", "29.7.2", false),
            ("validate", "29.7.2", false),
            ("label", "29.7.2", false),
        ] {
            assert_eq!(accepted(key, version(engine)), expected, "{key} {engine}");
        }
        // Of an unknown engine only what every engine takes.
        assert!(accepted("icc", None) && accepted("max-download-attempts", None));
        assert!(!accepted("proxies", None) && !accepted("graph", None) && !accepted("api-cors-header", None));
    }

    #[test]
    fn defaults_by_engine_version() {
        for (key, engine, expected) in [
            ("icc", version("20.10.24"), Some(json!(true))),
            ("iptables", None, Some(json!(true))),
            ("userland-proxy", None, Some(json!(true))),
            ("log-level", None, Some(json!("info"))),
            ("log-driver", None, Some(json!("json-file"))),
            ("data-root", None, Some(json!("/var/lib/docker"))),
            ("live-restore", None, Some(json!(false))),
            ("seccomp-profile", version("20.10.24"), Some(json!(""))),
            ("seccomp-profile", version("23.0.0"), Some(json!("builtin"))),
            ("seccomp-profile", None, None),
            ("ip6tables", version("26.1.5"), Some(json!(false))),
            ("ip6tables", version("27.0.0"), Some(json!(true))),
            ("min-api-version", version("28.5.2"), None),
            ("min-api-version", version("29.2.0"), Some(json!("1.44"))),
            ("min-api-version", version("29.7.2"), Some(json!("1.40"))),
            ("log-format", version("24.0.9"), None),
            ("userns-remap", version("29.7.2"), None),
            ("authorization-plugins", None, None),
        ] {
            assert_eq!(default_of(key, engine), expected, "{key} {engine:?}");
        }
    }

    #[test]
    fn what_a_reload_applies() {
        assert!(reloadable("live-restore", None) && reloadable("authorization-plugins", version("20.10.24")));
        assert!(!reloadable("icc", version("29.7.2")) && !reloadable("log-level", None) && !reloadable("nonsense", None));
        assert!(reloadable("cluster-store", version("20.10.24")) && !reloadable("cluster-store", None));
    }
}
