//! What to tell whoever makes a container: the flags, or the lines of the file, that would be different.

use crate::baseline::control::{Recreate, Update};
use crate::fact::{ContainerFacts, Owner};

/// How to make the container anew; `offending` are the things that are not as wanted.
pub fn recreate(recreate: &Recreate, container: &ContainerFacts, offending: &[String]) -> String {
    let recreate = &as_made(recreate, container, offending);
    let note = recreate.note.as_ref().map(|note| format!("; {note}")).unwrap_or_default();
    let what = match &container.owner {
        // It has the flags of one that is as wanted: it was started under another daemon, or something inside changed it.
        Owner::Nobody if recreate.without.is_empty() && recreate.with.is_empty() => {
            "create it anew with the same flags: a new one gets what this one lacks".into()
        }
        Owner::Nobody => format!("create it anew: {}", delta(recreate, offending)),
        Owner::Compose { project, service } => {
            let then = format!("then docker compose up -d {service}");
            match expanded(&recreate.compose, offending).as_slice() {
                [] => format!("change service {service} in the compose file of {project}; {then}"),
                lines => format!("in the compose file of {project}, service {service}: {}; {then}", quoted(lines)),
            }
        }
        Owner::Swarm { service } => match expanded(&recreate.service, offending).join(" ") {
            flags if flags.is_empty() => format!("it is a task of the service {service}: change the service, not its task"),
            flags => format!("it is a task of a service: docker service update {flags} {service}"),
        },
        Owner::Kubernetes { pod } => format!("Kubernetes makes it: change the specification of the pod {pod}"),
    };
    format!("{what}{note}")
}

/// Without the flags that it was not made with, and with the names of the namespaces that it was.
fn as_made(recreate: &Recreate, container: &ContainerFacts, offending: &[String]) -> Recreate {
    let made = &container.made;
    let given = |flag: &&String| match flag.split_once(' ') {
        _ if *flag == "--privileged" => made.privileged,
        _ if *flag == "--publish-all" => made.publish_all,
        // It leaves no option behind, only the lists that are empty then.
        Some(("--security-opt", "systempaths=unconfined")) => made.masked_paths.as_ref().is_some_and(Vec::is_empty),
        Some(("--security-opt", option)) => {
            let old = option.replacen('=', ":", 1);
            made.security_opt.iter().any(|given| given == option || *given == old)
        }
        Some(("--cap-add", _)) => offending.iter().any(|name| made.cap_add.contains(name)),
        _ => true,
    };
    let named = |flag: &String| match flag.split_once(' ') {
        Some(("--network", _)) => format!("--network {}", made.network_mode),
        Some(("--pid", _)) => format!("--pid {}", made.pid_mode),
        Some(("--ipc", _)) => format!("--ipc {}", made.ipc_mode),
        _ => flag.clone(),
    };
    Recreate { without: recreate.without.iter().filter(given).map(named).collect(), ..recreate.clone() }
}

/// The difference in flags of `docker run`.
pub fn delta(recreate: &Recreate, offending: &[String]) -> String {
    let part = |word: &str, flags: &[String]| {
        let flags = expanded(flags, offending);
        (!flags.is_empty()).then(|| format!("{word} {}", quoted(&flags)))
    };
    let parts: Vec<String> = part("without", &recreate.without).into_iter().chain(part("with", &recreate.with)).collect();
    format!("docker run {}", parts.join(" and "))
}

/// A text by hand, with the container's name and what is not as wanted in it.
pub fn filled(text: &str, container: &ContainerFacts, offending: &[String]) -> String {
    text.replace("{name}", &container.name).replace("{image}", &container.image).replace("{each}", &offending.join(", "))
}

/// What has to be written down elsewhere for a live fix to last.
pub fn lasting(update: &Update, owner: &Owner) -> Option<String> {
    match owner {
        Owner::Compose { project, service } => Some(format!(
            "docker compose makes it anew without the fix, unless service {service} of {project} says `{}`",
            update.compose
        )),
        Owner::Nobody | Owner::Swarm { .. } | Owner::Kubernetes { .. } => None,
    }
}

/// Lines with `{each}` in them once for each thing.
fn expanded(lines: &[String], offending: &[String]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in lines {
        match line.contains("{each}") {
            true => all.extend(offending.iter().filter(|each| !each.is_empty()).map(|each| line.replace("{each}", each))),
            false => all.push(line.clone()),
        }
    }
    all
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" ")
}
