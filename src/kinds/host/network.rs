//! Who listens, what is forwarded, and what filters it.

use serde_json::Value;

use super::{Reading, Seen, list, of};
use crate::baseline::control::{HostCheck, HostProperty};
use crate::fact::{Chain, Fact, Listener};
use crate::formats::sysctl::AtBoot;
use crate::kinds::Context;
use crate::kinds::sysctl::{self, Boot};
use crate::observe::Observer;

const IP_FORWARD: &str = "net/ipv4/ip_forward";
const DOCKER_USER: &str = "DOCKER-USER";
/// The program that listens on published ports in a container's stead.
const DOCKER_PROXY: &str = "docker-proxy";

pub fn observe(property: HostProperty, observer: &mut Observer) {
    if !observer.facts().host.live {
        return;
    }
    match property {
        HostProperty::Listeners => observer.machine_facts().listeners = crate::host::listeners::read(),
        HostProperty::IpForward => {
            sysctl::files(observer);
            sysctl::running(IP_FORWARD, observer);
        }
        _ => {
            sysctl::running(IP_FORWARD, observer);
            if observer.facts().machine.chains == Fact::default() {
                observer.machine_facts().chains = crate::host::packet_filter::read();
            }
        }
    }
}

pub fn listeners(context: &Context) -> Vec<Seen> {
    let target = "listening sockets".to_owned();
    if !context.facts.host.live {
        return vec![Seen::Nothing(target, "nothing listens in an image tree".into())];
    }
    let all = match &context.facts.machine.listeners {
        Fact::Known(all) => all,
        Fact::Absent => return vec![Seen::Unknown(target, "not looked at".into())],
        Fact::Unknown(why) => return vec![Seen::Unknown(target, why.clone())],
    };
    let mut ports: Vec<(String, Vec<&Listener>)> = Vec::new();
    for listener in all.iter().filter(|listener| !of_container(listener)) {
        let name = format!("{}/{}", listener.port, listener.protocol);
        match ports.iter_mut().find(|(other, _)| *other == name) {
            Some((_, listeners)) => listeners.push(listener),
            None => ports.push((name, vec![listener])),
        }
    }
    if ports.is_empty() {
        let reading = Reading { target, value: list([""; 0]), shown: "none".into(), ..Reading::default() };
        return vec![Seen::of(reading)];
    }
    ports.sort_by_key(|(_, listeners)| (listeners[0].port, listeners[0].protocol.clone()));
    ports.into_iter().map(port).collect()
}

/// What containers publish is judged with the containers.
fn of_container(listener: &Listener) -> bool {
    listener.owner.known().is_some_and(|owner| owner.container || owner.program == DOCKER_PROXY)
}

fn port((name, listeners): (String, Vec<&Listener>)) -> Seen {
    let mut programs = Vec::new();
    for listener in &listeners {
        let program = match &listener.owner {
            Fact::Known(owner) => format!("{} (process {})", owner.program, owner.pid),
            Fact::Absent => "no process that can be seen (the kernel, or one in another pid namespace)".to_owned(),
            // It may be a container's.
            Fact::Unknown(why) => return Seen::Unknown(name, format!("who listens there can't be told: {why}")),
        };
        if !programs.contains(&program) {
            programs.push(program);
        }
    }
    let evidence = listeners.iter().map(|one| format!("{} {} port {}", one.protocol, one.address, one.port)).collect();
    let shown = format!("listened on by {}", programs.join(", "));
    let manual =
        format!("stop and disable what listens there, have it listen on 127.0.0.1, or add {name} to allowed_host_listeners");
    let desired = Some("closed, or among allowed_host_listeners".to_owned());
    Seen::of(Reading {
        value: list([&name]),
        target: name,
        shown,
        desired,
        evidence,
        manual: Some(manual),
        ..Reading::default()
    })
}

/// The chains, where this is a host that runs Docker with its rules in the packet filter.
fn chains<'c>(target: &str, context: &'c Context) -> Result<&'c Vec<Chain>, Seen> {
    let facts = context.facts;
    if !facts.host.live {
        return Err(Seen::Nothing(target.into(), "an image tree has no kernel".into()));
    }
    match &facts.machine.chains {
        Fact::Known(chains) => Ok(chains),
        Fact::Absent => Err(Seen::Unknown(target.into(), "not looked at".into())),
        Fact::Unknown(why) => Err(Seen::Unknown(target.into(), why.clone())),
    }
}

pub fn docker_user_rules(check: &HostCheck, context: &Context) -> Seen {
    let facts = context.facts;
    if of(check) == Some("external") {
        let reading = Reading {
            target: DOCKER_USER.into(),
            value: Some(1.into()),
            shown: "left to a packet filter elsewhere".into(),
            note: Some("egress_policy is external: what filters elsewhere was not looked at".into()),
            ..Reading::default()
        };
        return Seen::of(reading);
    }
    let chains = match chains(DOCKER_USER, context) {
        Ok(chains) => chains,
        Err(seen) => return seen,
    };
    let nothing = |reason: &str| Seen::Nothing(DOCKER_USER.into(), reason.to_owned());
    let backend = facts.daemon.api.known().and_then(|api| api.firewall_backend.as_deref());
    if backend.is_some_and(|backend| backend.starts_with("nftables")) {
        return nothing(
            "dockerd writes its own nftables, which have no such chain: filter in a table of your own, and set egress_policy to external",
        );
    }
    if context.effective.setting("iptables", None).value == Some(Value::Bool(false)) {
        return nothing("iptables is off in dockerd: it makes no rules");
    }
    let Some(chain) = chains.iter().find(|chain| chain.name == DOCKER_USER) else {
        if facts.daemon.process.is_absent() {
            return nothing("dockerd does not run; it makes the chain as it starts");
        }
        let shown = "not there".to_owned();
        return Seen::of(Reading { target: DOCKER_USER.into(), value: Some(0.into()), shown, ..Reading::default() });
    };
    let shown = match (chain.rules, chain.filtering) {
        (_, 0) => "there, and lets everything pass".to_owned(),
        (rules, filtering) => format!("there, with {filtering} of {rules} that filter"),
    };
    let evidence = vec![seen(chain)];
    Seen::of(Reading { target: DOCKER_USER.into(), value: Some(chain.filtering.into()), shown, evidence, ..Reading::default() })
}

fn seen(chain: &Chain) -> String {
    let policy = match chain.drops_by_default {
        Some(true) => ", policy drop",
        Some(false) => ", policy accept",
        None => "",
    };
    format!("{} {} {}: {}{policy}", chain.family, chain.table, chain.name, crate::plan::count(chain.rules, "rule"))
}

pub fn ip_forward(context: &Context) -> Seen {
    let target = "net.ipv4.ip_forward".to_owned();
    let facts = context.facts;
    if !facts.host.live {
        return Seen::Nothing(target, "an image tree has no kernel, and dockerd switches it on as it starts".into());
    }
    if context.effective.setting("ip-forward", None).value == Some(Value::Bool(false)) {
        return Seen::Nothing(target, "ip-forward is off in dockerd: somebody else sees to it".into());
    }
    let running = match facts.machine.sysctl.get(IP_FORWARD) {
        Some(Fact::Known(value)) => value.clone(),
        Some(Fact::Absent) => return Seen::Nothing(target, "this kernel has no IPv4".into()),
        Some(Fact::Unknown(why)) => return Seen::Unknown(target, why.clone()),
        None => return Seen::Unknown(target, "not looked at".into()),
    };
    if running == "0" && facts.daemon.process.is_absent() {
        return Seen::Nothing(target, "dockerd does not run; it switches it on as it starts".into());
    }
    let mut evidence = vec![format!("/proc/sys/{IP_FORWARD}: {running}")];
    let at_boot = Boot::of(facts).map(|boot| boot.at_boot(IP_FORWARD));
    let note = match at_boot {
        Ok(AtBoot::Set(value, origin)) => {
            evidence.push(format!("{origin}: {value}"));
            (value == "0").then(|| {
                format!("{origin} sets it to 0 at boot; dockerd switches it on as it starts, and drops what is not its own")
            })
        }
        _ => None,
    };
    Seen::of(Reading {
        target,
        value: Some(Value::from(running.as_str())),
        shown: running,
        evidence,
        note,
        ..Reading::default()
    })
}

pub fn forward_policy(context: &Context) -> Seen {
    let target = "forwarded packets".to_owned();
    let chains = match chains(&target, context) {
        Ok(chains) => chains,
        Err(seen) => return seen,
    };
    if context.facts.machine.sysctl.get(IP_FORWARD) == Some(&Fact::Known("0".into())) {
        return Seen::Nothing(target, "the kernel forwards nothing".into());
    }
    let forward: Vec<&Chain> = chains.iter().filter(|chain| chain.hook.as_deref() == Some("forward")).collect();
    let evidence = forward.iter().map(|chain| seen(chain)).collect();
    let drops = forward.iter().any(|chain| chain.drops_by_default == Some(true));
    let shown = match (drops, forward.is_empty()) {
        (true, _) => "dropped, unless a rule lets them pass",
        (false, false) => "let pass, unless a rule drops them",
        (false, true) => "let pass: no chain filters them",
    };
    Seen::of(Reading { target, value: Some(drops.into()), shown: shown.into(), evidence, ..Reading::default() })
}
