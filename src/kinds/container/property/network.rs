//! The ports of a container, and the namespaces that it shares.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Seen, evidence, inspect, kernel, quoted};
use crate::fact::{ContainerFacts, KernelFacts};
use crate::kinds::Context;

fn port_source(container: &ContainerFacts) -> Vec<String> {
    let bound = container.ports.iter().any(|port| port.bound);
    vec![if bound { "inspect NetworkSettings.Ports".into() } else { "inspect HostConfig.PortBindings".into() }]
}

pub(super) fn ports(container: &ContainerFacts, counts: impl Fn(u16) -> bool) -> Seen {
    let mut words: Vec<(String, String)> = Vec::new();
    for port in container.ports.iter().filter(|port| counts(port.host_port)) {
        let key = port.host_port.to_string();
        if !words.iter().any(|(other, _)| *other == key) {
            words.push((key.clone(), format!("{key} (for {})", port.container)));
        }
    }
    Seen { advised: advised_ports(container), ..Seen::list(words, port_source(container)) }
}

pub(super) fn published(container: &ContainerFacts) -> Seen {
    let ports: BTreeSet<String> = container.ports.iter().map(|port| port.container.clone()).collect();
    let mut words: Vec<(String, String)> = ports.into_iter().map(|port| (port.clone(), port)).collect();
    let mut evidence = port_source(container);
    if container.made.publish_all {
        words.insert(0, ("-P".into(), "every exposed port (-P)".into()));
        evidence.push(inspect("PublishAllPorts", true));
    }
    let by_port = container.ports.iter().map(|port| (port.container.clone(), format!("{}:{}", port.host_port, port.container)));
    let advised = by_port.chain([("-P".to_owned(), String::new())]).collect();
    Seen { advised, ..Seen::list(words, evidence) }
}

pub(super) fn wildcard_ports(container: &ContainerFacts, context: &Context) -> Seen {
    let default = context.effective.configured("ip");
    let default = default.as_ref().and_then(Value::as_str).unwrap_or("0.0.0.0");
    let mut words: Vec<(String, String)> = Vec::new();
    for port in &container.ports {
        let ip = if port.host_ip.is_empty() { default } else { &port.host_ip };
        if !["0.0.0.0", "::", "[::]"].contains(&ip) {
            continue;
        }
        let key = port.host_port.to_string();
        let number = if port.host_port == 0 { "a port of the engine's choice".to_owned() } else { key.clone() };
        match words.iter_mut().find(|(other, _)| *other == key && port.host_port != 0) {
            Some((_, words)) => words.push_str(&format!(" and {ip}")),
            None => words.push((key, format!("{number} (for {}) on {ip}", port.container))),
        }
    }
    Seen { advised: advised_ports(container), ..Seen::list(words, port_source(container)) }
}

/// Published ports as `docker run` takes them, by the host's port.
fn advised_ports(container: &ContainerFacts) -> Vec<(String, String)> {
    let flag = |host: u16, of: &str| if host == 0 { format!(":{of}") } else { format!("{host}:{of}") };
    container.ports.iter().map(|port| (port.host_port.to_string(), flag(port.host_port, &port.container))).collect()
}

pub(super) fn namespace(container: &ContainerFacts, kind: &str, field: &str, mode: &str) -> Seen {
    let shared = kernel(container)
        .ok()
        .filter(|kernel| kernel.compared_namespaces.contains(kind))
        .map(|kernel| kernel.shared_namespaces.contains(kind));
    let line = |kernel: &KernelFacts| match shared {
        Some(true) => Some(format!("/proc/{}/ns/{kind} is the host's", kernel.pid)),
        Some(false) => Some(format!("/proc/{}/ns/{kind} is not the host's", kernel.pid)),
        None => None,
    };
    let evidence = evidence(container, line, Some(inspect(field, quoted(mode))));
    let other = mode.strip_prefix("container:");
    let (value, words) = match (mode == "host" || shared == Some(true), other) {
        (true, Some(other)) => ("host".to_owned(), format!("the host's, through the container {other}")),
        (true, None) => ("host".to_owned(), "the host's".to_owned()),
        (false, Some(other)) => (mode.to_owned(), format!("that of the container {other}")),
        (false, None) => ("own".to_owned(), "its own".to_owned()),
    };
    Seen::plain(value, words, evidence)
}

pub(super) fn user_namespace(container: &ContainerFacts, context: &Context) -> Seen {
    let mode = &container.made.userns_mode;
    let options = context.facts.daemon.api.known().and_then(|api| api.security_options.clone()).unwrap_or_default();
    // Without userns-remap every container has the host's users, which is the daemon's matter.
    let remapped = options.iter().any(|option| option.starts_with("name=userns"));
    let shared = remapped && kernel(container).is_ok_and(|kernel| kernel.shared_namespaces.contains("user"));
    let line = |kernel: &KernelFacts| {
        remapped.then(|| format!("/proc/{}/ns/user is {}the host's", kernel.pid, if shared { "" } else { "not " }))
    };
    let evidence = evidence(container, line, Some(inspect("UsernsMode", quoted(mode))));
    match mode == "host" || shared {
        true => Seen::plain("host", "the host's", evidence),
        false => Seen::plain("default", "the daemon's default", evidence),
    }
}
