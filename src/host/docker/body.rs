//! The bodies of the Engine API, read leniently: a field that is missing, `null` or of another type is not seen, and costs
//! no other field. Engines of every generation answer here, and each leaves out or renames something.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::fact::ApiFacts;

/// The longest text of a foreign error message that is repeated, in characters.
const MAX_MESSAGE: usize = 200;

/// What `DriverStatus` shows as `driver-type` where containerd keeps images and containers.
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1";

/// Reads the body of `/info`: the facts in it, and the engine's version.
pub fn info(body: &[u8]) -> Result<(ApiFacts, Option<String>), String> {
    let info: Info = object(body)?;
    let registries = info.registry_config;
    let facts = ApiFacts {
        api_version: None,
        debug: info.debug,
        live_restore: info.live_restore_enabled,
        experimental: info.experimental_build,
        security_options: info.security_options,
        logging_driver: info.logging_driver,
        storage_driver: info.driver,
        data_root: info.docker_root_dir,
        swarm_state: info.swarm.as_ref().and_then(|swarm| swarm.local_node_state.clone()),
        swarm_manager: info.swarm.and_then(|swarm| swarm.control_available),
        runtimes: info.runtimes.map(|runtimes| runtimes.into_keys().collect()),
        default_runtime: info.default_runtime,
        firewall_backend: info.firewall_backend.and_then(|backend| backend.driver),
        operating_system: info.operating_system,
        containers_running: info.containers_running,
        insecure_registries: registries.as_ref().and_then(Registries::insecure),
        registry_mirrors: registries.and_then(|registries| registries.mirrors),
        containerd_address: info.containerd.and_then(|containerd| containerd.address),
        authorization_plugins: info.plugins.and_then(|plugins| plugins.authorization),
        cgroup_driver: info.cgroup_driver,
        snapshotter: info.driver_status.map(|status| status.iter().any(|pair| pair.get(1).is_some_and(|it| it == SNAPSHOTTER))),
        bridge_icc: None,
    };
    Ok((facts, info.server_version))
}

/// Reads the body of `/networks/bridge`: whether containers on the default bridge may talk to each other.
pub fn bridge_icc(body: &[u8]) -> Result<Option<bool>, String> {
    let network: Network = object(body)?;
    let text = network.options.and_then(|options| options.enable_icc);
    Ok(text.and_then(|text| text.parse().ok()))
}

/// Reads the body of `/version`: the versions of the engine's parts by name.
pub fn components(body: &[u8]) -> Result<BTreeMap<String, String>, String> {
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Version {
        components: Vec<Component>,
    }
    #[derive(Deserialize, Default)]
    #[serde(rename_all = "PascalCase", default)]
    struct Component {
        name: String,
        version: String,
    }
    let version: Version = object(body)?;
    let component = |one: Component| (!one.version.is_empty()).then_some((one.name, one.version));
    Ok(version.components.into_iter().filter_map(component).collect())
}

/// Reads the body of `/containers/json`: the ids of the running containers. An id is hexadecimal; anything else is none.
pub fn container_ids(body: &[u8]) -> Result<Vec<String>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Container {
        id: String,
    }
    let containers: Vec<Container> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(containers.into_iter().map(|one| one.id).filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit())).collect())
}

/// Reads the body of `/containers/ID/json`: the process id of its first process, while it runs.
pub fn container_pid(body: &[u8]) -> Result<Option<i64>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Container {
        state: State,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        pid: i64,
    }
    let container: Container = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(Some(container.state.pid).filter(|pid| *pid > 0))
}

/// The first line of an error answer, made safe to print.
pub fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let text = match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(&body[..body.len().min(4 * MAX_MESSAGE)]).into_owned(),
    };
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().map(|c| if c.is_control() { '?' } else { c }).take(MAX_MESSAGE).collect()
}

/// `/info`, as far as harden reads it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    #[serde(deserialize_with = "lenient")]
    server_version: Option<String>,
    #[serde(deserialize_with = "lenient")]
    debug: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    live_restore_enabled: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    experimental_build: Option<bool>,
    #[serde(deserialize_with = "lenient_list")]
    security_options: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient")]
    logging_driver: Option<String>,
    #[serde(deserialize_with = "lenient")]
    driver: Option<String>,
    #[serde(deserialize_with = "lenient")]
    driver_status: Option<Vec<Vec<String>>>,
    #[serde(deserialize_with = "lenient")]
    cgroup_driver: Option<String>,
    #[serde(deserialize_with = "lenient")]
    docker_root_dir: Option<String>,
    #[serde(deserialize_with = "lenient")]
    operating_system: Option<String>,
    #[serde(deserialize_with = "lenient")]
    containers_running: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    swarm: Option<Swarm>,
    #[serde(deserialize_with = "lenient")]
    registry_config: Option<Registries>,
    #[serde(deserialize_with = "lenient")]
    containerd: Option<Containerd>,
    #[serde(deserialize_with = "lenient")]
    runtimes: Option<BTreeMap<String, Value>>,
    #[serde(deserialize_with = "lenient")]
    default_runtime: Option<String>,
    #[serde(deserialize_with = "lenient")]
    firewall_backend: Option<FirewallBackend>,
    #[serde(deserialize_with = "lenient")]
    plugins: Option<Plugins>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct FirewallBackend {
    #[serde(deserialize_with = "lenient")]
    driver: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Plugins {
    #[serde(deserialize_with = "lenient_list")]
    authorization: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Swarm {
    #[serde(deserialize_with = "lenient")]
    local_node_state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    control_available: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Containerd {
    #[serde(deserialize_with = "lenient")]
    address: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Registries {
    #[serde(rename = "InsecureRegistryCIDRs", deserialize_with = "lenient_list")]
    insecure_registry_cidrs: Option<Vec<String>>,
    #[serde(deserialize_with = "lenient")]
    index_configs: Option<BTreeMap<String, Index>>,
    #[serde(deserialize_with = "lenient_list")]
    mirrors: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    secure: bool,
}

impl Registries {
    /// Networks and names; seen only when both lists are, for half of them may be the harmless half.
    fn insecure(&self) -> Option<Vec<String>> {
        let names = self.index_configs.as_ref()?.iter().filter(|(_, index)| !index.secure).map(|(name, _)| name);
        let mut registries: Vec<String> = self.insecure_registry_cidrs.as_ref()?.iter().chain(names).cloned().collect();
        registries.sort();
        registries.dedup();
        Some(registries)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    #[serde(deserialize_with = "lenient")]
    options: Option<BridgeOptions>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct BridgeOptions {
    #[serde(rename = "com.docker.network.bridge.enable_icc", deserialize_with = "lenient")]
    enable_icc: Option<String>,
}

/// Reads a JSON object; serde alone would take an array for one.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("the answer is no JSON object".to_string());
    }
    serde_json::from_slice(body).map_err(|e| format!("the answer is no valid JSON: {e}"))
}

/// `None` for whatever is not a `T`.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// As [`lenient`], for a list that is sent: Go writes an empty one as `null`.
fn lenient_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let list: Option<Value> = Option::deserialize(deserializer)?;
    Ok(list.map_or(Some(Vec::new()), |list| serde_json::from_value(list).ok()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What engine 20.10.24 answers, cut to the fields that matter here and some that don't.
    fn real() -> Value {
        serde_json::from_str(include_str!("../../../tests/data/engine/info-20.10.24.json")).unwrap()
    }

    fn read(info: &Value) -> ApiFacts {
        super::info(info.to_string().as_bytes()).unwrap().0
    }

    #[test]
    fn versions_of_the_parts() {
        let sent = json!({"Version": "28.5.2", "Components": [
            {"Name": "Engine", "Version": "28.5.2", "Details": {}},
            {"Name": "containerd", "Version": "v1.7.28"},
            {"Name": "runc", "Version": ""},
        ]});
        let expected =
            [("Engine", "28.5.2"), ("containerd", "v1.7.28")].map(|(name, version)| (name.to_owned(), version.to_owned()));
        assert_eq!(components(sent.to_string().as_bytes()), Ok(expected.into()));
        assert_eq!(components(b"{}"), Ok(BTreeMap::new()));
        assert!(components(b"[]").is_err());
    }

    #[test]
    fn a_real_answer() {
        let (facts, version) = info(real().to_string().as_bytes()).unwrap();
        assert_eq!(version.as_deref(), Some("20.10.24+dfsg1"));
        let expected = ApiFacts {
            operating_system: None,
            api_version: None,
            debug: Some(true),
            live_restore: Some(true),
            experimental: Some(false),
            security_options: Some(vec!["name=seccomp,profile=default".into()]),
            logging_driver: Some("json-file".into()),
            storage_driver: Some("overlay2".into()),
            data_root: Some("/var/lib/docker".into()),
            swarm_state: Some("inactive".into()),
            swarm_manager: Some(false),
            runtimes: None,
            default_runtime: None,
            firewall_backend: None,
            containers_running: Some(0),
            insecure_registries: Some(vec!["10.0.0.0/8".into(), "127.0.0.0/8".into(), "reg.example:5000".into()]),
            registry_mirrors: Some(vec!["https://mirror.example/".into()]),
            containerd_address: None,
            authorization_plugins: Some(Vec::new()),
            cgroup_driver: Some("cgroupfs".into()),
            snapshotter: Some(false),
            bridge_icc: None,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_newer_engines_send() {
        let mut sent = real();
        sent["Containerd"] = json!({"Address": "/run/containerd/containerd.sock", "Namespaces": {"Containers": "moby"}});
        sent["RegistryConfig"]["Mirrors"] = Value::Null;
        sent["SecurityOptions"] = Value::Null;
        sent["DriverStatus"] = json!([["driver-type", "io.containerd.snapshotter.v1"]]);
        sent["FirewallBackend"] = json!({"Driver": "nftables", "Info": null});
        sent["Runtimes"] = json!({"runc": {"path": "runc"}, "runsc": {"path": "/usr/bin/runsc"}});
        sent["DefaultRuntime"] = json!("runc");
        let facts = read(&sent);
        assert_eq!(facts.firewall_backend.as_deref(), Some("nftables"));
        assert_eq!(facts.runtimes, Some(vec!["runc".into(), "runsc".into()]));
        assert_eq!(facts.default_runtime.as_deref(), Some("runc"));
        assert_eq!(facts.snapshotter, Some(true));
        assert_eq!(facts.containerd_address.as_deref(), Some("/run/containerd/containerd.sock"));
        assert_eq!(facts.registry_mirrors, Some(vec![]), "Go sends an empty list as null");
        assert_eq!(facts.security_options, Some(vec![]));
    }

    /// Each field in turn is missing, `null`, or of a wrong type: only what is read from it changes, and to `None`.
    #[test]
    fn a_bad_field_costs_no_other() {
        let whole = serde_json::to_value(read(&real())).unwrap();
        for (path, facts) in [
            ("/Debug", "debug"),
            ("/LiveRestoreEnabled", "live_restore"),
            ("/ExperimentalBuild", "experimental"),
            ("/LoggingDriver", "logging_driver"),
            ("/Driver", "storage_driver"),
            ("/DriverStatus", "snapshotter"),
            ("/CgroupDriver", "cgroup_driver"),
            ("/DockerRootDir", "data_root"),
            ("/Swarm", "swarm_state swarm_manager"),
            ("/Swarm/LocalNodeState", "swarm_state"),
            ("/Swarm/ControlAvailable", "swarm_manager"),
            ("/ContainersRunning", "containers_running"),
            ("/SecurityOptions", "security_options"),
            ("/RegistryConfig/Mirrors", "registry_mirrors"),
            ("/RegistryConfig/InsecureRegistryCIDRs", "insecure_registries"),
            ("/RegistryConfig/IndexConfigs", "insecure_registries"),
            ("/RegistryConfig/IndexConfigs/docker.io/Secure", "insecure_registries"),
        ] {
            for bad in [json!(-1.5), json!([1]), json!({"a": 1})] {
                let mut sent = real();
                *sent.pointer_mut(path).unwrap() = bad.clone();
                let mut expected = whole.clone();
                facts.split(' ').for_each(|fact| expected[fact] = Value::Null);
                assert_eq!(serde_json::to_value(read(&sent)).unwrap(), expected, "{path} = {bad}");
            }
            let (parent, key) = path.rsplit_once('/').unwrap();
            let mut sent = real();
            sent.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(key).unwrap();
            let mut expected = whole.clone();
            facts.split(' ').for_each(|fact| expected[fact] = Value::Null);
            assert_eq!(serde_json::to_value(read(&sent)).unwrap(), expected, "without {path}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (body, expected) in [
            ("", "the answer is no JSON object"),
            ("[]", "the answer is no JSON object"),
            ("null", "the answer is no JSON object"),
            ("{\"Debug\":true", "the answer is no valid JSON: EOF while parsing an object at line 1 column 13"),
            ("{\"Debug\":true,\"Debug\":false}", "the answer is no valid JSON: duplicate field `Debug` at line 1 column 21"),
            ("{} x", "the answer is no valid JSON: trailing characters at line 1 column 4"),
        ] {
            assert_eq!(info(body.as_bytes()).unwrap_err(), expected, "{body}");
        }
    }

    #[test]
    fn the_bridge_option_is_text() {
        let options = |value: Value| json!({"Name": "bridge", "Options": {"com.docker.network.bridge.enable_icc": value}});
        for (body, expected) in [
            (options(json!("true")), Some(true)),
            (options(json!("false")), Some(false)),
            (options(json!("no")), None),
            (options(json!(false)), None),
            (json!({"Options": null}), None),
            (json!({}), None),
        ] {
            assert_eq!(bridge_icc(body.to_string().as_bytes()).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn messages_are_one_safe_line() {
        for (body, expected) in [
            (r#"{"message":"authorization denied by plugin p: no\nsecond line"}"#, "authorization denied by plugin p: no"),
            ("\n  plain text \r\nmore", "plain text"),
            ("\u{1b}[2Jcleared", "?[2Jcleared"),
            (r#"{"message":7}"#, r#"{"message":7}"#),
            ("", ""),
        ] {
            assert_eq!(message(body.as_bytes()), expected);
        }
        assert_eq!(message(&vec![b'x'; 1 << 20]), "x".repeat(200));
        assert_eq!(message(&[0xff, b'a']), "\u{fffd}a");
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (info(&body), bridge_icc(&body), message(&body));
        }

        #[test]
        fn no_odd_object_is_refused(key in "Debug|Swarm|RegistryConfig|SecurityOptions|Containerd|Nonsense", depth in 0usize..60) {
            let value = (0..depth).fold(json!("x"), |inner, i| if i % 2 == 0 { json!([inner]) } else { json!({"Mirrors": inner}) });
            let sent = json!({ key: value });
            prop_assert!(info(sent.to_string().as_bytes()).is_ok());
        }
    }
}
