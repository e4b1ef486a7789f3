//! Who may talk to dockerd, and whom it talks to: accounts, keys, plugins, registries.

use super::{Defect, Harm, Next};
use crate::fact::{Fact, FileKind};
use crate::formats::daemon_keys::EngineVersion;
use crate::formats::json_text::printable;

/// The group that dockerd can do without.
const DEFAULT_GROUP: &str = "docker";
const PLUGIN_SOCKETS: &str = "/run/docker/plugins";
const PLUGIN_SPECS: [&str; 2] = ["/etc/docker/plugins", "/usr/lib/docker/plugins"];
/// The first engine that takes a path in a mirror's address.
const MIRROR_PATHS: EngineVersion = EngineVersion::new(24, 0, 8);

/// The group that a socket of dockerd's own making gets.
pub fn group(next: &Next) -> Vec<Defect> {
    let Some(group) = next.text("group").filter(|group| group != DEFAULT_GROUP && group.parse::<u32>().is_err()) else {
        return Vec::new();
    };
    let hosts = next.texts("hosts");
    // systemd's sockets keep their group.
    if !hosts.is_empty() && !hosts.iter().any(|host| host.starts_with("unix://")) {
        return Vec::new();
    }
    match next.group(&group) {
        Fact::Absent => {
            let what = format!("`group` is {}, and there is no such group", printable(&group));
            vec![Defect::new("group", Harm::Start, what, "make the group (`groupadd`), or correct the name")]
        }
        Fact::Known(_) | Fact::Unknown(_) => Vec::new(),
    }
}

/// Certificate and key of the API's TLS.
pub fn key_pair(next: &Next) -> Vec<Defect> {
    // `tlsverify` turns TLS on by being there.
    let verify = next.effective.configured("tlsverify").is_some();
    if !verify && !next.is("tls", true) {
        return Vec::new();
    }
    let keys = ["tlscert", "tlskey"].into_iter().chain(next.is("tlsverify", true).then_some("tlscacert"));
    let defect = |key: &str| {
        let path = next.text(key).filter(|path| path.starts_with('/'))?;
        let wrong = match next.file(&path) {
            Fact::Absent => "does not exist",
            Fact::Known(file) if file.kind == FileKind::Dir => "is a directory",
            Fact::Known(_) | Fact::Unknown(_) => return None,
        };
        let what = format!("`{key}` names {path}, which {wrong}");
        Some(Defect::new(key, Harm::Start, what, "put it there or take the key away"))
    };
    keys.filter_map(defect).collect()
}

/// Plugins that are asked about every request; a reload with a missing one ends dockerd.
pub fn plugins(next: &Next) -> Vec<Defect> {
    const KEY: &str = "authorization-plugins";
    // A plugin may start together with dockerd, so only what a running one would miss is certain.
    if !next.live() || next.context.facts.daemon.process.known().is_none() {
        return Vec::new();
    }
    let defect = |name: &String| {
        let what = format!("`{KEY}` names {}, and there is no such plugin", printable(name));
        Defect::new(KEY, Harm::Start, what, "start the plugin, or take it out")
    };
    next.texts(KEY).iter().filter(|name| plugin(next, name).is_absent()).map(defect).collect()
}

/// Where a plugin of this name is found; `Unknown` where it may be one that the engine itself manages.
pub fn plugin(next: &Next, name: &str) -> Fact<String> {
    if name.is_empty() || name.contains(['/', ':']) {
        return Fact::Unknown("it is one of the engine's own plugins".into());
    }
    let managed = format!("{}/plugins/*/config.json", next.context.effective.data_root(next.context.facts));
    match next.matches(&managed) {
        Fact::Absent => {}
        Fact::Known(paths) if paths.is_empty() => {}
        Fact::Known(_) => return Fact::Unknown("it may be one of the engine's own plugins".into()),
        Fact::Unknown(why) => return Fact::Unknown(why),
    }
    let sockets = [format!("{PLUGIN_SOCKETS}/{name}.sock"), format!("{PLUGIN_SOCKETS}/{name}/{name}.sock")];
    let specs = PLUGIN_SPECS.iter().flat_map(|dir| {
        ["spec", "json"]
            .into_iter()
            .flat_map(move |kind| [format!("{dir}/{name}.{kind}"), format!("{dir}/{name}/{name}.{kind}")])
    });
    next.any_of(sockets.into_iter().chain(specs))
}

/// The account that root of a container becomes, and its subordinate numbers. `default` is made by dockerd itself.
pub fn user_namespace(next: &Next) -> Vec<Defect> {
    const KEY: &str = "userns-remap";
    let Some(remap) = next.text(KEY) else { return Vec::new() };
    let (user, group) = remap.split_once(':').map_or((remap.as_str(), None), |(user, group)| (user, Some(group)));
    let number = |name: &str| name.parse::<u32>().is_ok();
    if user == "default" || user == "root" || number(user) {
        return Vec::new();
    }
    let group = group.unwrap_or(user);
    let defect = |what: String, help: &str| vec![Defect::new(KEY, Harm::Start, what, help)];
    let uid = match next.user(user) {
        Fact::Absent => {
            let what = format!("`{KEY}` names the user {}, and there is none", printable(user));
            return defect(what, "make the account, or correct the name");
        }
        Fact::Known(uid) => uid,
        Fact::Unknown(_) => return Vec::new(),
    };
    if !number(group) && next.group(group).is_absent() {
        let what = format!("`{KEY}` takes the group {}, and there is none", printable(group));
        return defect(what, "make the group, or correct the name");
    }
    for path in ["/etc/subuid", "/etc/subgid"] {
        let has = match next.content(path) {
            Fact::Known(content) => String::from_utf8_lossy(&content).lines().any(|line| {
                let owner = line.split(':').next().unwrap_or_default();
                owner == user || owner == uid.to_string()
            }),
            Fact::Absent => false,
            Fact::Unknown(_) => return Vec::new(),
        };
        if !has {
            let what = format!("`{KEY}` names the user {}, and {path} has no numbers for it", printable(user));
            return defect(what, "give it a range (`usermod --add-subuids 100000-165535 --add-subgids 100000-165535`)");
        }
    }
    Vec::new()
}

/// Addresses of registries, which dockerd reads at the start and at every reload.
pub fn registries(next: &Next) -> Vec<Defect> {
    let no_paths = next.effective.version.is_some_and(|version| version < MIRROR_PATHS);
    let wrong = |mirror: &String| {
        let rest = mirror.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme)).map(|(_, rest)| rest);
        let Some(rest) = rest else { return Some("does not begin with https:// or http://") };
        let (host, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |end| rest.split_at(end));
        match path {
            _ if host.contains('@') => Some("has a user name"),
            _ if path.contains(['?', '#']) => Some("has a query or fragment"),
            "" | "/" => None,
            _ => no_paths.then_some("has a path, which engines before 24.0.8 refuse"),
        }
    };
    let mirrors = next.texts("registry-mirrors");
    let mirrors = mirrors.iter().filter_map(wrong).map(|wrong| {
        let what = format!("`registry-mirrors` has an address that {wrong}");
        Defect::new("registry-mirrors", Harm::Start, what, "correct it")
    });
    let registries = next.texts("insecure-registries");
    let name = |registry: &String| {
        let name = registry.strip_prefix("http://").or(registry.strip_prefix("https://")).unwrap_or(registry);
        name.contains("://")
    };
    let registries = registries.iter().filter(|registry| name(registry)).map(|_| {
        let what =
            "`insecure-registries` has an address with `://`; dockerd expects a name, or addresses like 10.0.0.0/8".into();
        Defect::new("insecure-registries", Harm::Start, what, "correct it")
    });
    mirrors.chain(registries).collect()
}

/// The oldest version of the API that clients may speak: a version that this engine has.
pub fn api_version(next: &Next) -> Vec<Defect> {
    const KEY: &str = "min-api-version";
    let numbers = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    };
    let Some(least) = next.text(KEY).filter(|_| next.since(29)) else { return Vec::new() };
    let api = next.context.facts.daemon.api.known().and_then(|api| numbers(api.api_version.as_deref()?));
    let what = match (numbers(&least), api) {
        (None, _) => format!("`{KEY}` is no version, like \"1.44\""),
        (Some(least), Some(api)) if least > api => {
            format!("`{KEY}` is above {}.{}, the newest that this engine speaks", api.0, api.1)
        }
        _ => return Vec::new(),
    };
    vec![Defect::new(KEY, Harm::Start, what, "correct it")]
}
