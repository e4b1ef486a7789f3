//! Bridges, packet filters, the proxy, and what a swarm refuses.

use super::{Defect, Harm, Next};
use crate::fact::Fact;

/// Lets engines since 27 start without br_netfilter.
const IGNORE_BR_NETFILTER: &str = "DOCKER_IGNORE_BR_NETFILTER_ERROR=1";
/// Where engines since 25.0 look for their own programs before `PATH`.
const LIBEXEC: [&str; 4] = ["/usr/local/libexec/docker", "/usr/libexec/docker", "/usr/local/lib/docker", "/usr/lib/docker"];

/// dockerd forbids traffic on its bridge through br_netfilter, and loads it itself only where the kernel has it.
pub fn bridge_filter(next: &Next) -> Vec<Defect> {
    // Without a default bridge nothing is forbidden on it.
    if !next.live() || next.is("iptables", false) || next.text("bridge").as_deref() == Some("none") {
        return Vec::new();
    }
    let wants = |key: &&str| next.is(key, false) && !next.started_with(key);
    // Engines before 27 start without the proxy; which one this is may be unknown.
    let keys = [Some("icc"), Some("userland-proxy").filter(|_| !next.before(27))];
    let ignored = next.since(27) && next.environment().iter().any(|word| word == IGNORE_BR_NETFILTER);
    let defect = |key: &str| match &next.context.facts.host.br_netfilter {
        Fact::Known(true) => None,
        Fact::Known(false) | Fact::Absent => Some(Defect::new(
            key,
            Harm::Start,
            format!("`{key}` is false, which takes the kernel module br_netfilter, and that is not loaded"),
            "load it (`modprobe br_netfilter`, and a line in /etc/modules-load.d), then run harden again",
        )),
        Fact::Unknown(why) => {
            Some(Defect::untold(key, Harm::Start, format!("whether br_netfilter is loaded can't be told: {why}")))
        }
    };
    keys.into_iter().flatten().filter(wants).filter(|_| !ignored).filter_map(defect).collect()
}

/// The program that writes the packet filter's rules. It is needed by default, but looked for only where the configuration
/// speaks of it or would change: a dockerd that runs has found it.
pub fn packet_filter(next: &Next) -> Vec<Defect> {
    let spoken_of = ["iptables", "ip6tables", "firewall-backend"].iter().any(|key| next.speaks_of(key));
    let on = !next.is("iptables", false);
    if !next.live() || !on || !(next.edited || spoken_of) {
        return Vec::new();
    }
    let (key, program) = match next.text("firewall-backend").as_deref() {
        Some("nftables") => ("firewall-backend", "nft"),
        _ => ("iptables", "iptables"),
    };
    match next.program(program, &[]) {
        Fact::Absent => vec![Defect::new(
            key,
            Harm::Start,
            format!("dockerd filters packets with the program {program}, which no directory of its PATH has"),
            format!("install {program}, then run harden again"),
        )],
        Fact::Known(_) | Fact::Unknown(_) => Vec::new(),
    }
}

/// Engines since 25.0 look for docker-proxy when they start.
pub fn proxy(next: &Next) -> Vec<Defect> {
    if !next.live() || !next.since(25) || !next.is("userland-proxy", true) {
        return Vec::new();
    }
    let missing = |key: &str, what: String| {
        vec![Defect::new(key, Harm::Start, what, "install docker-proxy, or set userland-proxy to false, then run harden again")]
    };
    if let Some(path) = next.text("userland-proxy-path") {
        return match next.file(&path) {
            Fact::Absent => missing("userland-proxy-path", format!("`userland-proxy-path` names {path}, which does not exist")),
            _ => Vec::new(),
        };
    }
    if !next.speaks_of("userland-proxy") {
        return Vec::new();
    }
    match next.program("docker-proxy", &LIBEXEC) {
        Fact::Absent => {
            missing("userland-proxy", "`userland-proxy` is true, and dockerd does not find the program docker-proxy".into())
        }
        _ => Vec::new(),
    }
}

/// A reload accepts both; only the next start fails.
pub fn swarm(next: &Next) -> Vec<Defect> {
    let nftables = next.text("firewall-backend").as_deref() == Some("nftables");
    let keys = [("live-restore", next.is("live-restore", true)), ("firewall-backend", nftables)];
    let refused: Vec<&str> = keys.into_iter().filter(|(_, refused)| *refused).map(|(key, _)| key).collect();
    if refused.is_empty() || !matches!(next.in_swarm(), Fact::Known(())) {
        return Vec::new();
    }
    let defect = |key: &str| {
        let what = format!("this node is in a swarm, which `{key}` does not go with");
        Defect::new(key, Harm::Start, what, "take it out, or leave the swarm")
    };
    refused.into_iter().map(defect).collect()
}
