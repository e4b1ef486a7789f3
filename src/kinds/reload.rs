//! What a SIGHUP to dockerd would break at this moment, whatever was planned (daemon.md, "SIGHUP").

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fact::{Fact, Facts};
use crate::formats::daemon_keys::EngineVersion;
use crate::kinds::effective::{ConfigFile, Effective};

const PLUGINS: &str = "authorization-plugins";
/// Engines from here on refuse every reload of a file that says `userland-proxy: true` without the proxy's path.
const PROXY_NEEDS_PATH: EngineVersion = EngineVersion::new(25, 0, 0);

/// Why dockerd must not be told to reload now, if it must not: it would drop its authorization plugins, end over new ones, or take
/// nothing over.
pub fn harm(facts: &Facts) -> Option<String> {
    let effective = Effective::of(facts);
    if effective.running.as_ref().is_some_and(|flags| flags.get(PLUGINS).is_some()) {
        return Some("a reload drops authorization plugins that are given by flag".into());
    }
    if let Some(why) = effective.unreadable() {
        return Some(format!("dockerd would not take its configuration over: {why}"));
    }
    let document = match &effective.file {
        ConfigFile::Parsed(document) => Some(document),
        _ => None,
    };
    let api = match &facts.daemon.api {
        Fact::Known(api) => api,
        Fact::Absent => {
            return Some("whether authorization plugins are in force can't be told: dockerd does not answer".into());
        }
        Fact::Unknown(why) => return Some(format!("whether authorization plugins are in force can't be told: {why}")),
    };
    let value = |key| document.and_then(|document| document.get(&[key]));
    let configured: BTreeSet<&str> =
        value(PLUGINS).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let in_force: BTreeSet<&str> = api.authorization_plugins.iter().flatten().map(String::as_str).collect();
    if configured != in_force {
        return Some(format!(
            "`{PLUGINS}` in {} is not what dockerd started with: a reload would end dockerd where a plugin is missing, or switch \
             authorization off",
            effective.path
        ));
    }
    let refuses = effective.version.is_none_or(|version| version >= PROXY_NEEDS_PATH);
    let explicit = value("userland-proxy") == Some(&Value::Bool(true)) && value("userland-proxy-path").is_none();
    (refuses && explicit).then(|| "this engine refuses every reload while its file says userland-proxy: true".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::{ApiFacts, FileFact, FileKind, ProcessFact};

    const CONFIG: &str = "/etc/docker/daemon.json";

    /// A running dockerd with these flags, plugins in force, version, and a file that says this now.
    fn host(flags: &[&str], plugins: &[&str], version: &str, content: &str) -> Facts {
        let mut facts = Facts::default();
        let argv = std::iter::once("dockerd").chain(flags.iter().copied()).map(str::to_owned).collect();
        facts.daemon.process =
            Fact::Known(ProcessFact { pid: 1, exe: "/usr/bin/dockerd".into(), argv, started_ns: 0, service: None });
        facts.daemon.config_file = CONFIG.into();
        facts.daemon.version = Fact::Known(version.into());
        let authorization_plugins = Some(plugins.iter().map(|plugin| (*plugin).to_owned()).collect());
        facts.daemon.api = Fact::Known(ApiFacts { authorization_plugins, ..ApiFacts::default() });
        let file = FileFact::imagined(CONFIG, FileKind::File, 0o644, Some(content.into()));
        facts.files.insert(CONFIG.into(), Fact::Known(file));
        facts
    }

    #[test]
    fn a_reload_that_would_do_harm_is_refused() {
        let changed = "`authorization-plugins` in /etc/docker/daemon.json is not what dockerd started with: a reload would end \
                       dockerd where a plugin is missing, or switch authorization off";
        let by_flag = "a reload drops authorization plugins that are given by flag";
        let proxy = "this engine refuses every reload while its file says userland-proxy: true";
        let none: [&str; 0] = [];
        // Flags, plugins in force, version, what the file says now, why not.
        type Row<'a> = (&'a [&'a str], &'a [&'a str], &'a str, &'a str, Option<&'a str>);
        let table: [Row; 12] = [
            (&none, &none, "28.5.2", "{}", None),
            (&none, &["a", "b"], "28.5.2", r#"{"authorization-plugins": ["b", "a"]}"#, None),
            (&none, &["a"], "28.5.2", "{}", Some(changed)),
            (&none, &["a"], "28.5.2", r#"{"authorization-plugins": []}"#, Some(changed)),
            (&none, &["a"], "28.5.2", r#"{"authorization-plugins": null}"#, Some(changed)),
            (&none, &none, "28.5.2", r#"{"authorization-plugins": ["a"]}"#, Some(changed)),
            (&none, &["a", "b"], "28.5.2", r#"{"authorization-plugins": ["a"]}"#, Some(changed)),
            (&["--authorization-plugin=a"], &["a"], "28.5.2", "{}", Some(by_flag)),
            (&none, &none, "25.0.0", r#"{"userland-proxy": true}"#, Some(proxy)),
            (&none, &none, "24.0.9", r#"{"userland-proxy": true}"#, None),
            (&none, &none, "28.5.2", r#"{"userland-proxy": true, "userland-proxy-path": "/x"}"#, None),
            (&none, &none, "28.5.2", r#"{"userland-proxy": false}"#, None),
        ];
        for (flags, plugins, version, content, expected) in table {
            let facts = host(flags, plugins, version, content);
            assert_eq!(harm(&facts).as_deref(), expected, "{flags:?} {plugins:?} {version} {content}");
        }
    }

    #[test]
    fn what_can_not_be_told_is_refused() {
        let mut facts = host(&[], &[], "28.5.2", "{");
        let said = harm(&facts).unwrap_or_default();
        assert!(said.starts_with("dockerd would not take its configuration over: /etc/docker/daemon.json:1:"), "{said}");
        facts = host(&[], &[], "28.5.2", "{}");
        facts.daemon.api = Fact::Unknown("403".into());
        assert_eq!(harm(&facts).as_deref(), Some("whether authorization plugins are in force can't be told: 403"));
        facts.files.insert(CONFIG.into(), Fact::Absent);
        facts.daemon.api = Fact::Known(ApiFacts::default());
        assert_eq!(harm(&facts), None);
    }
}
