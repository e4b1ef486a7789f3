//! The bodies that speak of containers: `/containers/json`, `/containers/ID/json`, `/exec/ID/json`, `/images/NAME/json`.
//!
//! Engines of every generation answer here. One sends `null` where another sends an empty list or leaves the field out: all three are
//! one. A field of a wrong type is no answer, because a default in its place might be the harmless one.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::fact::{ContainerFacts, EnvFact, ExecFact, Made, MountFact, Owner, PortFact};

/// One line of `/containers/json`.
pub struct Listed {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Reads the body of `/containers/json`. An id is hexadecimal; anything else is none.
pub fn list(body: &[u8]) -> Result<Vec<Listed>, String> {
    let rows: Vec<Row> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let good = |row: &Row| !row.id.is_empty() && row.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = |row: &Row| {
        // Links add names with another container's in front: `/web/db`.
        let own = row.names.iter().find(|name| !name.trim_start_matches('/').contains('/'));
        own.map_or_else(|| short(&row.id), |name| name.trim_start_matches('/').to_owned())
    };
    Ok(rows.iter().filter(|row| good(row)).map(|row| Listed { id: row.id.clone(), name: name(row) }).collect())
}

/// The digits of an id that people use.
pub fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Reads the body of `/containers/ID/json`; `now` is in seconds since 1970. Besides the facts it gives the process id, 0 without one.
pub fn container(body: &[u8], now: i64) -> Result<(ContainerFacts, i64), String> {
    let seen: Inspect = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let (state, host, config, network) = (seen.state, seen.host_config, seen.config, seen.network_settings);
    let running = state.running && !state.dead;
    let ended = if state.finished_at.starts_with("0001") { &seen.created } else { &state.finished_at };
    let ended = ended.parse::<jiff::Timestamp>().ok().filter(|_| !running);
    let owner = owner(&config.labels, &seen.name);
    let ports = ports(&host, network.ports, running);
    let mut mounts: Vec<_> = seen.mounts.into_iter().map(Mount::fact).collect();
    mounts.sort_by(|a, b| a.destination.cmp(&b.destination));
    let facts = ContainerFacts {
        id: seen.id,
        name: seen.name.trim_start_matches('/').to_owned(),
        running,
        stopped_days: ended.map(|ended| (now - ended.as_second()).max(0) / 86_400),
        image: config.image,
        image_id: seen.image,
        owner,
        labels: config.labels.into_keys().collect(),
        env: config.env.iter().filter_map(|line| env(line)).collect(),
        networks: network.networks.into_keys().collect(),
        ports,
        exposed: config.exposed_ports.into_keys().collect(),
        mounts,
        apparmor_profile: seen.app_armor_profile,
        process_label: seen.process_label,
        exec_ids: seen.exec_ids.into_iter().filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit())).collect(),
        made: made(host, config.user, config.healthcheck),
        ..ContainerFacts::default()
    };
    Ok((facts, if running { state.pid } else { 0 }))
}

/// Reads the body of `/exec/ID/json`; `None` for one that has ended.
pub fn exec(body: &[u8]) -> Result<ExecFact, String> {
    let seen: Exec = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let config = seen.process_config;
    Ok(ExecFact { id: short(&seen.id), privileged: config.privileged, user: config.user })
}

/// Reads the id in the body of `/images/NAME/json`.
pub fn image_id(body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Image {
        id: String,
    }
    serde_json::from_slice::<Image>(body).map(|image| image.id).map_err(|error| error.to_string())
}

/// A capability as the kernel names it, without `CAP_`.
pub fn capability(name: &str) -> String {
    let name = name.to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

fn made(host: HostConfig, user: String, healthcheck: Option<Healthcheck>) -> Made {
    // In an order of their own: engines give both, and mounts, in any.
    let capabilities =
        |names: Vec<String>| names.iter().map(|name| capability(name)).collect::<BTreeSet<_>>().into_iter().collect();
    let test = healthcheck.map(|check| check.test).unwrap_or_default();
    let requests = host.device_requests.iter().map(DeviceRequest::words);
    let rules = host.device_cgroup_rules.iter().map(|rule| format!("cgroup rule {rule}"));
    Made {
        user,
        healthcheck: test.first().is_some_and(|kind| kind != "NONE"),
        privileged: host.privileged,
        cap_add: capabilities(host.cap_add),
        cap_drop: capabilities(host.cap_drop),
        security_opt: host.security_opt,
        // Until 25.0 inspect told what was asked for, since then what it is.
        network_mode: if host.network_mode == "default" { "bridge".into() } else { host.network_mode },
        pid_mode: host.pid_mode,
        ipc_mode: host.ipc_mode,
        uts_mode: host.uts_mode,
        userns_mode: host.userns_mode,
        cgroup_parent: host.cgroup_parent,
        readonly_rootfs: host.readonly_rootfs,
        publish_all: host.publish_all_ports,
        auto_remove: host.auto_remove,
        restart: Some(host.restart_policy.name).filter(|name| !name.is_empty()).unwrap_or_else(|| "no".into()),
        max_retries: host.restart_policy.maximum_retry_count,
        memory: host.memory,
        memory_swap: host.memory_swap,
        nano_cpus: host.nano_cpus,
        cpu_shares: host.cpu_shares,
        cpu_quota: host.cpu_quota,
        cpu_period: host.cpu_period,
        pids_limit: host.pids_limit.max(0),
        blkio_weight: host.blkio_weight,
        device_rules: requests.chain(rules).collect(),
        devices: host
            .devices
            .into_iter()
            .map(|device| format!("{}:{}", device.path_on_host, device.cgroup_permissions))
            .collect(),
        ulimits: host.ulimits.into_iter().map(|limit| format!("{}={}:{}", limit.name, limit.soft, limit.hard)).collect(),
        masked_paths: host.masked_paths,
        readonly_paths: host.readonly_paths,
    }
}

fn owner(labels: &BTreeMap<String, String>, name: &str) -> Owner {
    let label = |key: &str| labels.get(key).cloned();
    let text = |key: &str| label(key).unwrap_or_default();
    if label("com.docker.swarm.service.id").is_some() {
        return Owner::Swarm { service: text("com.docker.swarm.service.name") };
    }
    if let Some(pod) = label("io.kubernetes.pod.name") {
        return Owner::Kubernetes { pod: format!("{}/{pod}", text("io.kubernetes.pod.namespace")) };
    }
    // What cri-dockerd and dockershim make is called k8s_CONTAINER_POD_NAMESPACE_…
    if let Some(rest) = name.trim_start_matches('/').strip_prefix("k8s_") {
        let parts: Vec<&str> = rest.split('_').collect();
        return Owner::Kubernetes { pod: format!("{}/{}", parts.get(2).unwrap_or(&""), parts.get(1).unwrap_or(&"")) };
    }
    match label("com.docker.compose.project") {
        Some(project) => Owner::Compose { project, service: text("com.docker.compose.service") },
        None => Owner::Nobody,
    }
}

/// What is bound where it runs, else what would be at its next start.
fn ports(host: &HostConfig, bound: Ports, running: bool) -> Vec<PortFact> {
    let now = running && bound.0.values().any(|bindings| !bindings.is_empty());
    let source = if now { &bound } else { &host.port_bindings };
    let mut ports: Vec<PortFact> = Vec::new();
    for (container, bindings) in &source.0 {
        for binding in bindings {
            // A range, `8000-8010`, is made narrower when the container starts.
            let first = binding.host_port.split('-').next().unwrap_or_default();
            ports.push(PortFact {
                container: container.clone(),
                host_ip: binding.host_ip.clone(),
                host_port: first.parse().unwrap_or(0),
                bound: now,
            });
        }
    }
    ports.sort();
    ports
}

/// `None` for a variable that holds nothing, or names the file that holds the secret. The value goes no further than this.
fn env(line: &str) -> Option<EnvFact> {
    let (name, value) = line.split_once('=')?;
    if value.is_empty() || name.ends_with("_FILE") {
        return None;
    }
    let authority = value.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    let password = authority.and_then(|authority| Some(authority.rsplit_once('@')?.0.split_once(':')?.1.to_owned()));
    Some(EnvFact { name: name.to_owned(), url_with_password: password.is_some_and(|password| !password.is_empty()) })
}

impl Mount {
    fn fact(self) -> MountFact {
        MountFact {
            kind: self.kind,
            source: self.source,
            destination: self.destination,
            writable: self.rw,
            propagation: self.propagation,
        }
    }
}

impl DeviceRequest {
    fn words(&self) -> String {
        let of = if self.driver.is_empty() { String::new() } else { format!(" of {}", self.driver) };
        let what = if self.device_ids.is_empty() { "all".to_owned() } else { self.device_ids.join(", ") };
        let capabilities = self.capabilities.concat().join(", ");
        let capabilities = if capabilities.is_empty() { String::new() } else { format!(" ({capabilities})") };
        format!("device request: {what}{of}{capabilities}")
    }
}

/// serde would take an array for an object, and an empty one for an object of defaults.
fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<T, D::Error> {
    let fields = serde_json::Map::deserialize(from)?;
    serde_json::from_value(fields.into()).map_err(serde::de::Error::custom)
}

/// The same where it may be missing.
fn object_or_default<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(from: D) -> Result<T, D::Error> {
    match Option::<serde_json::Map<_, _>>::deserialize(from)? {
        Some(fields) => serde_json::from_value(fields.into()).map_err(serde::de::Error::custom),
        None => Ok(T::default()),
    }
}

/// `null` is what a missing field is.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
}

/// What is always there, else it is no container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspect {
    id: String,
    name: String,
    #[serde(deserialize_with = "object")]
    state: State,
    #[serde(deserialize_with = "object")]
    host_config: HostConfig,
    #[serde(deserialize_with = "object")]
    config: Config,
    #[serde(default, deserialize_with = "or_default")]
    created: String,
    #[serde(default, deserialize_with = "or_default")]
    image: String,
    #[serde(default, deserialize_with = "or_default")]
    app_armor_profile: String,
    #[serde(default, deserialize_with = "or_default")]
    process_label: String,
    #[serde(default, rename = "ExecIDs", deserialize_with = "or_default")]
    exec_ids: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    mounts: Vec<Mount>,
    #[serde(default, deserialize_with = "object_or_default")]
    network_settings: NetworkSettings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    #[serde(default, deserialize_with = "or_default")]
    dead: bool,
    #[serde(default, deserialize_with = "or_default")]
    pid: i64,
    #[serde(default, deserialize_with = "or_default")]
    finished_at: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    #[serde(deserialize_with = "or_default")]
    user: String,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    image: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    exposed_ports: BTreeMap<String, serde::de::IgnoredAny>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    #[serde(deserialize_with = "or_default")]
    test: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    #[serde(deserialize_with = "or_default")]
    privileged: bool,
    #[serde(deserialize_with = "or_default")]
    cap_add: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    cap_drop: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    security_opt: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    network_mode: String,
    #[serde(deserialize_with = "or_default")]
    pid_mode: String,
    #[serde(deserialize_with = "or_default")]
    ipc_mode: String,
    #[serde(rename = "UTSMode", deserialize_with = "or_default")]
    uts_mode: String,
    #[serde(deserialize_with = "or_default")]
    userns_mode: String,
    #[serde(deserialize_with = "or_default")]
    cgroup_parent: String,
    #[serde(deserialize_with = "or_default")]
    readonly_rootfs: bool,
    #[serde(deserialize_with = "or_default")]
    publish_all_ports: bool,
    #[serde(deserialize_with = "or_default")]
    auto_remove: bool,
    #[serde(deserialize_with = "object_or_default")]
    restart_policy: RestartPolicy,
    #[serde(deserialize_with = "or_default")]
    memory: i64,
    #[serde(deserialize_with = "or_default")]
    memory_swap: i64,
    #[serde(deserialize_with = "or_default")]
    nano_cpus: i64,
    #[serde(deserialize_with = "or_default")]
    cpu_shares: i64,
    #[serde(deserialize_with = "or_default")]
    cpu_quota: i64,
    #[serde(deserialize_with = "or_default")]
    cpu_period: i64,
    #[serde(deserialize_with = "or_default")]
    pids_limit: i64,
    #[serde(deserialize_with = "or_default")]
    blkio_weight: i64,
    #[serde(deserialize_with = "or_default")]
    devices: Vec<Device>,
    #[serde(deserialize_with = "or_default")]
    device_cgroup_rules: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    device_requests: Vec<DeviceRequest>,
    #[serde(deserialize_with = "or_default")]
    ulimits: Vec<Ulimit>,
    #[serde(deserialize_with = "or_default")]
    port_bindings: Ports,
    masked_paths: Option<Vec<String>>,
    readonly_paths: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RestartPolicy {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    maximum_retry_count: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Device {
    #[serde(deserialize_with = "or_default")]
    path_on_host: String,
    #[serde(deserialize_with = "or_default")]
    cgroup_permissions: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DeviceRequest {
    #[serde(deserialize_with = "or_default")]
    driver: String,
    #[serde(rename = "DeviceIDs", deserialize_with = "or_default")]
    device_ids: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    capabilities: Vec<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Ulimit {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    soft: i64,
    #[serde(deserialize_with = "or_default")]
    hard: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    #[serde(rename = "Type", deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    source: String,
    #[serde(deserialize_with = "or_default")]
    destination: String,
    #[serde(rename = "RW", deserialize_with = "or_default")]
    rw: bool,
    #[serde(deserialize_with = "or_default")]
    propagation: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    #[serde(deserialize_with = "or_default")]
    ports: Ports,
    #[serde(deserialize_with = "or_default")]
    networks: BTreeMap<String, serde::de::IgnoredAny>,
}

/// Bindings by container port; a port that is exposed only has `null`.
#[derive(Default)]
struct Ports(BTreeMap<String, Vec<Binding>>);

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map: BTreeMap<String, Option<Vec<Binding>>> = BTreeMap::deserialize(deserializer)?;
        Ok(Ports(map.into_iter().map(|(port, bindings)| (port, bindings.unwrap_or_default())).collect()))
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Binding {
    #[serde(deserialize_with = "or_default")]
    host_ip: String,
    #[serde(deserialize_with = "or_default")]
    host_port: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exec {
    #[serde(rename = "ID")]
    id: String,
    #[serde(deserialize_with = "object")]
    process_config: ProcessConfig,
}

#[derive(Deserialize)]
struct ProcessConfig {
    #[serde(default)]
    privileged: bool,
    #[serde(default)]
    user: String,
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
