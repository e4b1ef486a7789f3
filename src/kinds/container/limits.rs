//! What the engine can set on a container that runs: memory, processors, processes, disk weight, restarts.

use serde_json::Value;

use crate::baseline::control::Update;
use crate::change::{ContainerEdit, ContainerLimits, Edit, RestartPolicy};
use crate::fact::{ContainerFacts, LimitFact, Owner};
use crate::finding::Outcome;
use crate::formats::size::{self, UNLIMITED};
use crate::kinds::container::target;

/// A processor's period in microseconds, as the engine itself has it.
const PERIOD: i64 = 100_000;
/// The least memory that every engine takes, in bytes.
const LEAST_MEMORY: i64 = 6 << 20;

/// How an update brings the container to what is wanted, or why it is left to people.
pub fn fix(update: &Update, container: &ContainerFacts) -> Outcome {
    match &container.owner {
        Owner::Swarm { service } => {
            return Outcome::Manual(format!("it is a task of a service: docker service update {} {service}", update.service));
        }
        Owner::Kubernetes { pod } => {
            return Outcome::Manual(format!("Kubernetes makes it: change the specification of the pod {pod}"));
        }
        Owner::Nobody | Owner::Compose { .. } => {}
    }
    let names: Vec<&str> = update.unset.iter().map(String::as_str).collect();
    if let Some(first) = names.first() {
        return Outcome::Manual(format!(
            "needs a value: set the variable {} in the baseline or with --set {first}=…",
            names.join(" or ")
        ));
    }
    match wanted(update, container) {
        Ok(after) => {
            let before = after.same_fields_of(&present(container));
            Outcome::Fixable(vec![Edit::Container(Box::new(ContainerEdit {
                id: container.id.clone(),
                target: target(&container.name),
                before,
                after,
            }))])
        }
        Err(reason) => Outcome::Manual(reason),
    }
}

/// The limits that a container has now.
pub fn present(container: &ContainerFacts) -> ContainerLimits {
    let made = &container.made;
    ContainerLimits {
        memory: Some(made.memory),
        memory_swap: Some(made.memory_swap),
        cpu_quota: Some(made.cpu_quota),
        cpu_period: Some(made.cpu_period),
        cpu_shares: Some(made.cpu_shares),
        pids_limit: Some(made.pids_limit),
        blkio_weight: Some(made.blkio_weight),
        restart: Some(RestartPolicy { name: made.restart.clone(), max_retries: made.max_retries }),
    }
}

fn wanted(update: &Update, container: &ContainerFacts) -> Result<ContainerLimits, String> {
    let mut limits = ContainerLimits::default();
    if let Some(text) = &update.memory {
        let given = bytes(text)?;
        // A fix only tightens: what inspect has and the kernel lost comes back, no more.
        let memory = lower(container.made.memory, given);
        let swap = update.memory_swap.as_deref().map(bytes).transpose()?.filter(|_| memory == given);
        let swap = swap.unwrap_or(memory.saturating_mul(2));
        if memory < LEAST_MEMORY || swap < memory {
            return Err(format!("{text} of memory is less than 6m, or more than memory and swap together"));
        }
        // Reclaim and the OOM killer would strike at once.
        in_use(container, "memory", memory, |cgroup| cgroup.memory.as_ref(), &size::words)?;
        (limits.memory, limits.memory_swap) = (Some(memory), Some(swap));
    }
    if (container.made.nano_cpus > 0 || container.made.cpu_quota > 0) && (update.cpus.is_some() || update.cpu_shares.is_some())
    {
        return Err(
            "inspect has a limit of processors that the kernel has not: start the container again, and it gets it back".into(),
        );
    }
    if let Some(text) = &update.cpus {
        let cpus = text.parse::<f64>().map_err(|_| format!("`{text}` is no number of processors"))?;
        // By quota and period, not by NanoCpus: these can be lifted again, and the kernel does the same with both.
        limits.cpu_quota = Some((cpus * PERIOD as f64).round() as i64).filter(|quota| *quota >= 1000);
        limits.cpu_quota.ok_or_else(|| format!("{text} processors are too few: at least 0.01"))?;
        limits.cpu_period = Some(PERIOD);
    } else {
        limits.cpu_shares = update.cpu_shares.as_ref().map(number).transpose()?;
    }
    if let Some(value) = &update.pids_limit {
        let pids = lower(container.made.pids_limit, number(value)?);
        in_use(container, "processes and threads", pids, |cgroup| cgroup.pids.as_ref(), &|count| count.to_string())?;
        limits.pids_limit = Some(pids);
    }
    if let Some(value) = &update.blkio_weight {
        let weight = number(value)?;
        if !(10..=1000).contains(&weight) {
            return Err(format!("{weight} is no weight: 10 to 1000 are"));
        }
        match container.kernel.known().and_then(|kernel| kernel.cgroup.blkio_weight) {
            Some(true) => {}
            Some(false) => {
                return Err(
                    "this kernel does not weigh block I/O by control group, and the engine would drop the weight silently"
                        .into(),
                );
            }
            None => {
                return Err(
                    "whether this kernel weighs block I/O by control group can't be told: it does not run, or can't be seen"
                        .into(),
                );
            }
        }
        limits.blkio_weight = Some(weight);
    }
    if let Some(value) = &update.max_retries {
        if container.made.auto_remove {
            return Err("it removes itself when it ends (--rm), so the engine refuses any restart policy".into());
        }
        limits.restart = Some(RestartPolicy { name: "on-failure".into(), max_retries: number(value)? });
    }
    Ok(limits)
}

/// Refuses a limit below what is used now, or one of which that can't be told.
fn in_use(
    container: &ContainerFacts,
    what: &str,
    limit: i64,
    of: impl Fn(&crate::fact::CgroupFacts) -> Option<&LimitFact>,
    words: &dyn Fn(i64) -> String,
) -> Result<(), String> {
    if !container.running {
        return Ok(());
    }
    let current = container.kernel.known().and_then(|kernel| of(&kernel.cgroup)?.current);
    match current {
        None => Err(format!("how much {what} it uses can't be seen, so a limit might stop it; run harden as root on the host")),
        Some(current) if current >= limit => {
            Err(format!("it uses {} of {what} now, and the limit would be {}", words(current), words(limit)))
        }
        Some(_) => Ok(()),
    }
}

fn number(value: &Value) -> Result<i64, String> {
    value.as_i64().filter(|number| *number > 0).ok_or_else(|| format!("{value} is no number above zero"))
}

fn bytes(text: &str) -> Result<i64, String> {
    size::parse(text).ok_or_else(|| format!("`{text}` is no number of bytes"))
}

/// A value, or the limit that there is where that is lower.
fn lower(present: i64, value: i64) -> i64 {
    if (1..UNLIMITED).contains(&present) { present.min(value) } else { value }
}
