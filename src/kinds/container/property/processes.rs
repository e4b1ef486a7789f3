//! What runs in a container.

use std::collections::BTreeSet;

use super::{Seen, evidence, kernel};
use crate::fact::{ContainerFacts, ExecFact, Fact, KernelFacts};

/// Programs that let people in.
const SSH_SERVERS: [&str; 4] = ["sshd", "dropbear", "sshd-session", "tinysshd"];
/// Programs that are there to start and reap another one.
const INITS: [&str; 5] = ["docker-init", "tini", "dumb-init", "catatonit", "s6-svscan"];

pub(super) fn ssh_servers(container: &ContainerFacts) -> Seen {
    let mut words = Vec::new();
    let mut doubt = None;
    match kernel(container) {
        Ok(kernel) => {
            for process in &kernel.processes {
                // A process may call itself anything; its program's file has a name too.
                let names = [&process.name, &process.program];
                if let Some(name) = names.into_iter().find(|name| SSH_SERVERS.contains(&name.as_str())) {
                    words.push((name.clone(), format!("{name} (running)")));
                }
            }
            words.dedup();
        }
        Err(why) => doubt = why.map(|why| format!("its processes can't be seen ({why})")),
    }
    if container.exposed.iter().chain(container.ports.iter().map(|port| &port.container)).any(|port| port == "22/tcp") {
        words.push(("22/tcp".into(), "port 22 (exposed)".into()));
    }
    let processes = |kernel: &KernelFacts| Some(format!("/proc: {} in its control group", processes(kernel)));
    Seen { doubt, ..Seen::list(words, evidence(container, processes, Some("inspect Config.ExposedPorts".into()))) }
}

fn processes(kernel: &KernelFacts) -> String {
    match kernel.processes.len() {
        1 => "1 process".into(),
        count => format!("{count} processes"),
    }
}

pub(super) fn execs(container: &ContainerFacts, counts: impl Fn(&ExecFact) -> bool, flag: &str) -> Result<Seen, String> {
    let execs = match &container.execs {
        Fact::Known(execs) => execs,
        Fact::Absent => return Err("its exec instances are gone".into()),
        Fact::Unknown(why) => return Err(why.clone()),
    };
    let words = execs.iter().filter(|exec| counts(exec)).map(|exec| (exec.id.clone(), format!("exec {} with {flag}", exec.id)));
    let note = Some("what was run before, the engine has forgotten; the audit log may know".into());
    Ok(Seen { note, ..Seen::list(words.collect(), vec!["engine GET /exec/ID/json".into()]) })
}

pub(super) fn programs(container: &ContainerFacts) -> Result<Seen, String> {
    let kernel = kernel(container).map_err(|why| why.unwrap_or_else(|| "it does not run".into()))?;
    let name = |process: &crate::fact::ProcessInContainer| {
        if process.program.is_empty() { process.name.clone() } else { process.program.clone() }
    };
    let programs: BTreeSet<String> = kernel.processes.iter().map(name).filter(|name| !INITS.contains(&name.as_str())).collect();
    let words = if programs.is_empty() { "none".into() } else { programs.iter().cloned().collect::<Vec<_>>().join(", ") };
    let evidence = vec![format!("kernel /proc: {} in its control group", processes(kernel))];
    Ok(Seen::plain(programs.len() as i64, words, evidence))
}
