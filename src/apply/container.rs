//! Sets limits of a container that goes on running, by the engine's update.
//!
//! The engine answers 200 to more than it does: it drops fields that its version or kernel does not know. So each update is followed by
//! a look, and what is not as asked for is a failure. Taking a limit away again has a form of its own for each field, because 0 means
//! "leave it as it is".

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::change::{ContainerLimits, RestartPolicy};
use crate::error::{Error, Result};
use crate::fact::Fact;
use crate::formats::size::UNLIMITED;
use crate::host::Host;
use crate::host::docker::{self, Method, StatusCode};
use crate::kinds::container::limits;

/// How long the engine may take for one update: it waits for the kernel to reclaim memory.
const TIMEOUT: Duration = Duration::from_secs(30);
/// No limit of memory: the engine takes neither 0 nor -1 for it. The difference of the two is what swap may have.
const NO_MEMORY_LIMIT: i64 = 1 << 62;
const NO_SWAP_LIMIT: i64 = i64::MAX - 4095;
/// What the kernel gives a control group of which nothing was asked.
const USUAL_SHARES: i64 = 1024;
const USUAL_WEIGHT: i64 = 500;

/// The limits of a container now, those that `fields` has; `None` when it is gone.
///
/// # Errors
/// When the engine does not answer.
pub fn now(host: &Host, id: &str, fields: &ContainerLimits) -> Result<Option<ContainerLimits>> {
    match host.engine(docker::TIMEOUT)?.container(id) {
        Fact::Known(container) => Ok(Some(fields.same_fields_of(&limits::present(&container)))),
        Fact::Absent => Ok(None),
        Fact::Unknown(why) => Err(Error::failure(why)),
    }
}

/// Whether two sets of limits confine alike.
pub fn alike(one: &ContainerLimits, other: &ContainerLimits) -> bool {
    plain(one) == plain(other)
}

/// Why a container is not as a plan saw it, if it is not.
pub fn difference(before: &ContainerLimits, found: Option<&ContainerLimits>) -> Option<String> {
    match found {
        None => Some("it is gone".into()),
        Some(found) if alike(before, found) => None,
        Some(found) => Some(format!("it has {}, not {}", found.lines().join(", "), before.lines().join(", "))),
    }
}

/// Sets limits and looks whether they are set.
///
/// # Errors
/// When the engine refuses, or did something else than it was asked for.
pub fn set(host: &Host, id: &str, target: &str, wanted: &ContainerLimits) -> Result<()> {
    let warnings = update(host, id, wanted).map_err(|why| Error::failure(format!("cannot update it: {why}")).at(target))?;
    match now(host, id, wanted)? {
        None => Err(Error::failure("it is gone").at(target)),
        Some(found) if alike(wanted, &found) => Ok(()),
        Some(found) => {
            let said = if warnings.is_empty() { String::new() } else { format!(" ({})", warnings.join("; ")) };
            let (found, wanted) = (found.lines().join(", "), wanted.lines().join(", "));
            Err(Error::failure(format!("the engine took the update and left {found} instead of {wanted}{said}")).at(target))
        }
    }
}

/// Undoes a change: what is as it left it goes back, what is as before or gone stays.
///
/// # Errors
/// When someone changed it meanwhile, or the engine refuses.
pub fn undo(host: &Host, id: &str, target: &str, before: &ContainerLimits, after: &ContainerLimits) -> Result<()> {
    match now(host, id, after)? {
        None => Ok(()),
        Some(found) if alike(&found, before) => Ok(()),
        Some(found) if alike(&found, after) => set(host, id, target, before),
        Some(found) => {
            Err(Error::failure(format!("someone changed it meanwhile ({}); it was left as it is", found.lines().join(", ")))
                .at(target)
                .help(format!("it was {} before", before.lines().join(", "))))
        }
    }
}

/// Limits without the ways in which the engine tells that there are none, and without swap, which it drops on kernels that don't count it.
fn plain(limits: &ContainerLimits) -> ContainerLimits {
    let none = |number: i64| if (1..UNLIMITED).contains(&number) { number } else { 0 };
    let usual = |number: i64, usual: i64| if number == usual { 0 } else { number };
    let quota = limits.cpu_quota.map(none);
    ContainerLimits {
        memory: limits.memory.map(none),
        memory_swap: limits.memory_swap.map(none).filter(|swap| *swap > 0),
        cpu_quota: quota,
        cpu_period: limits.cpu_period.filter(|_| quota.is_none_or(|quota| quota > 0)),
        cpu_shares: limits.cpu_shares.map(|shares| usual(shares, USUAL_SHARES)),
        pids_limit: limits.pids_limit.map(none),
        blkio_weight: limits.blkio_weight.map(|weight| usual(weight, USUAL_WEIGHT)),
        restart: limits.restart.clone(),
    }
}

/// The body of the update.
fn body(limits: &ContainerLimits) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<i64>| {
        if let Some(value) = value {
            body.insert(name.into(), value.into());
        }
    };
    // Memory alone is refused where swap was limited to less, or not at all; so the two always go together.
    let memory = limits.memory.map(|memory| if memory > 0 { memory } else { NO_MEMORY_LIMIT });
    let swap = limits.memory_swap.or(limits.memory.map(|_| 0)).map(|swap| if swap > 0 { swap } else { NO_SWAP_LIMIT });
    put("Memory", memory);
    put("MemorySwap", swap);
    put("CpuQuota", limits.cpu_quota.map(|quota| if quota > 0 { quota } else { -1 }));
    // A period of 0 is the engine's own; it can't be set, and without a quota it does nothing.
    put("CpuPeriod", limits.cpu_period.filter(|period| *period > 0));
    put("CpuShares", limits.cpu_shares.map(|shares| if shares > 0 { shares } else { USUAL_SHARES }));
    put("PidsLimit", limits.pids_limit.map(|pids| if pids > 0 { pids } else { -1 }));
    put("BlkioWeight", limits.blkio_weight.map(|weight| if weight > 0 { weight } else { USUAL_WEIGHT }));
    if let Some(RestartPolicy { name, max_retries }) = &limits.restart {
        body.insert("RestartPolicy".into(), json!({ "Name": name, "MaximumRetryCount": max_retries }));
    }
    Value::Object(body)
}

/// Sends the update and returns the engine's warnings.
fn update(host: &Host, id: &str, limits: &ContainerLimits) -> Result<Vec<String>, String> {
    let engine = host.engine(TIMEOUT).map_err(|error| error.what)?;
    let reply = engine.exchange(Method::POST, &format!("/containers/{id}/update"), Some(&body(limits)));
    let reply = reply.map_err(|error| error.what)?;
    if reply.status != StatusCode::OK {
        return Err(format!("{}: {}", reply.status, reply.message()));
    }
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let warnings = answer["Warnings"].as_array().into_iter().flatten();
    Ok(warnings.filter_map(|warning| warning.as_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent() {
        let limits = |json: Value| serde_json::from_value::<ContainerLimits>(json).unwrap();
        for (wanted, sent) in [
            (json!({"memory": 512, "memory_swap": 1024}), json!({"Memory": 512, "MemorySwap": 1024})),
            (json!({"memory": 0, "memory_swap": 0}), json!({"Memory": NO_MEMORY_LIMIT, "MemorySwap": NO_SWAP_LIMIT})),
            (json!({"memory": 512, "memory_swap": -1}), json!({"Memory": 512, "MemorySwap": NO_SWAP_LIMIT})),
            (json!({"cpu_quota": 50000, "cpu_period": 100000}), json!({"CpuQuota": 50000, "CpuPeriod": 100000})),
            (json!({"cpu_quota": 0, "cpu_period": 0}), json!({"CpuQuota": -1})),
            (
                json!({"cpu_shares": 0, "blkio_weight": 0, "pids_limit": 0}),
                json!({"CpuShares": 1024, "BlkioWeight": 500, "PidsLimit": -1}),
            ),
            (
                json!({"restart": {"name": "always", "max_retries": 0}}),
                json!({"RestartPolicy": {"Name": "always", "MaximumRetryCount": 0}}),
            ),
        ] {
            assert_eq!(body(&limits(wanted.clone())), sent, "{wanted}");
        }
    }

    #[test]
    fn no_limit_has_many_forms() {
        let limits = |json: Value| serde_json::from_value::<ContainerLimits>(json).unwrap();
        for (one, other, same) in [
            (json!({"memory": 0}), json!({"memory": NO_MEMORY_LIMIT}), true),
            (json!({"memory": 0}), json!({"memory": 512}), false),
            (json!({"cpu_quota": 0, "cpu_period": 0}), json!({"cpu_quota": -1, "cpu_period": 100000}), true),
            (json!({"cpu_quota": 5000, "cpu_period": 50000}), json!({"cpu_quota": 5000, "cpu_period": 100000}), false),
            (json!({"cpu_shares": 0}), json!({"cpu_shares": 1024}), true),
            (json!({"pids_limit": -1}), json!({"pids_limit": 0}), true),
            (
                json!({"restart": {"name": "no", "max_retries": 0}}),
                json!({"restart": {"name": "always", "max_retries": 0}}),
                false,
            ),
        ] {
            assert_eq!(alike(&limits(one.clone()), &limits(other.clone())), same, "{one} {other}");
        }
    }
}
