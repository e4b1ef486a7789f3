//! What a container may use up, and the devices that it was given.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Seen, inspect, kernel};
use crate::fact::{ContainerFacts, LimitFact};
use crate::formats::size::{self, UNLIMITED};
use crate::kinds::Context;

/// Shares of a processor that are the same as none.
const USUAL_SHARES: i64 = 1024;
/// Restarts without an end.
const ENDLESS: i64 = i64::MAX;

/// What a control group says of a limit that inspect has.
fn agrees(limit: i64, kernel: Option<&LimitFact>) -> (bool, Option<String>) {
    match kernel {
        Some(kernel) => {
            let max = kernel.max.map_or("no limit".into(), |max| max.to_string());
            (limit == 0 || kernel.max.is_some(), Some(format!("kernel {}: {max}", shorter(&kernel.file))))
        }
        None => (true, None),
    }
}

/// The file of a control group, the container's id cut to what people use.
fn shorter(file: &str) -> String {
    let is_id = |part: &str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let parts = file.split('/').map(|part| match part.strip_prefix("docker-").and_then(|rest| rest.strip_suffix(".scope")) {
        Some(id) if is_id(id) => format!("docker-{}….scope", &id[..12]),
        _ if is_id(part) => format!("{}…", &part[..12]),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// A limit that both inspect and the kernel must have.
fn limit(
    container: &ContainerFacts,
    limit: i64,
    field: &str,
    cgroup: Option<&LimitFact>,
    words: impl Fn(i64) -> String,
) -> Seen {
    let limit = if (1..UNLIMITED).contains(&limit) { limit } else { 0 };
    let (agrees, line) = agrees(limit, cgroup);
    let first = match kernel(container) {
        Ok(_) => line,
        Err(why) => why,
    };
    let evidence = first.into_iter().chain([inspect(field, limit)]).collect();
    match (limit, agrees) {
        (0, _) => Seen::plain(0, "without a limit", evidence),
        (limit, false) => {
            Seen::plain(0, format!("without a limit in the kernel, though inspect has {}", words(limit)), evidence)
        }
        (limit, true) => Seen::plain(limit, words(limit), evidence),
    }
}

fn cgroup(container: &ContainerFacts) -> crate::fact::CgroupFacts {
    kernel(container).map(|kernel| kernel.cgroup.clone()).unwrap_or_default()
}

pub(super) fn memory(container: &ContainerFacts) -> Seen {
    limit(container, container.made.memory, "Memory", cgroup(container).memory.as_ref(), size::words)
}

pub(super) fn pids(container: &ContainerFacts) -> Seen {
    limit(container, container.made.pids_limit, "PidsLimit", cgroup(container).pids.as_ref(), |pids| pids.to_string())
}

pub(super) fn cpu(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let period = if made.cpu_period > 0 { made.cpu_period } else { 100_000 };
    let cpus = |thousandths: i64| format!("{} processors", thousandths as f64 / 1000.0);
    let group = cgroup(container);
    if made.nano_cpus > 0 {
        return limit(container, (made.nano_cpus / 1_000_000).max(1), "NanoCpus (thousandths)", group.cpu.as_ref(), cpus);
    }
    if made.cpu_quota > 0 {
        return limit(
            container,
            (made.cpu_quota.saturating_mul(1000) / period).max(1),
            "CpuQuota (thousandths)",
            group.cpu.as_ref(),
            cpus,
        );
    }
    let evidence = vec![inspect("NanoCpus", 0), inspect("CpuQuota", made.cpu_quota), inspect("CpuShares", made.cpu_shares)];
    match made.cpu_shares {
        // What the kernel gives everybody is no share of one's own.
        0 | USUAL_SHARES => Seen::plain(0, "without a limit", evidence),
        shares => Seen::plain(shares, format!("{shares} shares"), evidence),
    }
}

pub(super) fn restarts(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let (count, words) = match (made.restart.as_str(), made.max_retries) {
        ("no", _) => (0, "no".to_owned()),
        ("on-failure", count) if count > 0 => (count, format!("on-failure:{count}")),
        ("on-failure", _) => (ENDLESS, "on-failure without a limit".to_owned()),
        (name, _) => (ENDLESS, name.to_owned()),
    };
    Seen::plain(count, words.clone(), vec![inspect("RestartPolicy", words)])
}

pub(super) fn devices(container: &ContainerFacts) -> Seen {
    let made = &container.made;
    let all = made.privileged.then(|| ("all".to_owned(), "all (privileged)".to_owned()));
    let named = made.devices.iter().map(|device| (device.clone(), device.clone()));
    let rules = made.device_rules.iter().map(|rule| (rule.clone(), rule.clone()));
    let evidence = vec!["inspect HostConfig.Devices, DeviceRequests, DeviceCgroupRules, Privileged".into()];
    let of_device = made.devices.iter().map(|device| (device.clone(), format!("--device {device}")));
    let of_rule = made.device_rules.iter().map(|rule| match rule.strip_prefix("cgroup rule ") {
        Some(given) => (rule.clone(), format!("--device-cgroup-rule '{given}'")),
        None => (rule.clone(), "--gpus".into()),
    });
    let advised = [("all".to_owned(), "--privileged".to_owned())].into_iter().chain(of_device).chain(of_rule).collect();
    Seen { advised, ..Seen::list(all.into_iter().chain(named).chain(rules).collect(), evidence) }
}

/// The patterns for an approved device: with any choice of its permissions, all of them where none are given.
pub fn device_and_less(device: &str) -> Vec<String> {
    let (path, allowed) = match device.rsplit_once(':') {
        Some((path, allowed)) if !allowed.is_empty() && allowed.chars().all(|letter| "rwm".contains(letter)) => (path, allowed),
        _ => (device, "rwm"),
    };
    let choices = (1..8).map(|bits| {
        let letters = "rwm".chars().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, letter)| letter);
        letters.collect::<String>()
    });
    let within = choices.filter(|choice| choice.chars().all(|letter| allowed.contains(letter)));
    within.map(|choice| format!("{path}:{choice}")).chain([device.to_owned()]).collect()
}

pub(super) fn ulimits(container: &ContainerFacts, context: &Context) -> Result<Seen, String> {
    if let Some(why) = context.effective.uncertain("default-ulimits", context.facts) {
        return Err(format!("dockerd's own ulimits can't be told: {why}"));
    }
    let default: BTreeSet<String> = match context.effective.configured("default-ulimits") {
        Some(Value::Object(limits)) => limits.iter().filter_map(|(name, limit)| default_ulimit(name, limit)).collect(),
        Some(Value::Array(limits)) => limits.iter().filter_map(Value::as_str).map(with_both).collect(),
        _ => BTreeSet::new(),
    };
    let own = container.made.ulimits.iter().filter(|limit| !default.contains(*limit)).cloned();
    Ok(Seen::keys(
        own,
        vec![inspect(
            "Ulimits",
            if container.made.ulimits.is_empty() { "none".into() } else { container.made.ulimits.join(", ") },
        )],
    ))
}

fn default_ulimit(name: &str, limit: &Value) -> Option<String> {
    match limit {
        Value::String(text) => Some(with_both(&format!("{name}={text}"))),
        limit => {
            let number = |key: &str| limit.get(key).and_then(Value::as_i64);
            let (soft, hard) = (number("Soft"), number("Hard"));
            Some(format!("{name}={}:{}", soft.or(hard)?, hard.or(soft)?))
        }
    }
}

/// `nofile=1024` is `nofile=1024:1024`.
fn with_both(limit: &str) -> String {
    match limit.split_once('=') {
        Some((_, value)) if !value.contains(':') => format!("{limit}:{value}"),
        _ => limit.to_owned(),
    }
}
