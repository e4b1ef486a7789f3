//! What containers get from the kernel: limits, system call filters, control groups.

use serde_json::Value;

use super::{Defect, Harm, Next};
use crate::fact::{Fact, FileKind, ServiceManager};
use crate::formats::json_text::printable;

/// The most file descriptors that a process may be allowed; nobody may raise a limit above it.
const NR_OPEN: &str = "/proc/sys/fs/nr_open";
const CGROUP_DRIVER: &str = "native.cgroupdriver";
const LIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Limits that there are none of, or that the kernel does not grant. What the file alone shows is the linter's.
pub fn ulimits(next: &Next) -> Vec<Defect> {
    let limits = next.value("default-ulimits");
    let mut found = Vec::new();
    for (outer, limit) in limits.as_ref().and_then(Value::as_object).into_iter().flatten() {
        let member = |wanted: &str| {
            let members = limit.as_object()?;
            members.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let Some(name) = member("Name").and_then(Value::as_str).filter(|name| !name.is_empty()) else { continue };
        let shown = printable(outer);
        let mut add =
            |what: String| found.push(Defect::of_member("default-ulimits", outer, Harm::Containers, what, "correct it"));
        if !LIMITS.contains(&name) {
            add(format!("`default-ulimits.{shown}` has a \"Name\" that is no limit"));
        } else if name == "nofile" && next.live() {
            // -1 is no limit: the greatest of all.
            let number = |wanted| member(wanted).and_then(Value::as_i64).unwrap_or(0).cast_unsigned();
            let most = next.content(NR_OPEN);
            let most = most.known().and_then(|text| String::from_utf8_lossy(text).trim().parse::<u64>().ok());
            if let Some(most) = most.filter(|most| number("Hard") > *most || number("Soft") > *most) {
                add(format!("`default-ulimits.{shown}` is above {NR_OPEN} of this kernel ({most})"));
            }
        }
    }
    found
}

/// The file that the key names.
pub fn seccomp_profile(next: &Next) -> Vec<Defect> {
    const KEY: &str = "seccomp-profile";
    let Some(path) = next.text(KEY).filter(|path| path.starts_with('/')) else { return Vec::new() };
    let defect = |harm, what: String, help: &str| vec![Defect::new(KEY, harm, what, help)];
    match next.file(&path) {
        Fact::Absent => {
            let what = format!("`{KEY}` names {path}, which does not exist");
            return defect(Harm::Start, what, "put it there or take the key away");
        }
        Fact::Known(file) if file.kind == FileKind::Dir => {
            let what = format!("`{KEY}` names {path}, which is a directory");
            return defect(Harm::Start, what, "name a file or take the key away");
        }
        _ => {}
    }
    let Fact::Known(content) = next.content(&path) else { return Vec::new() };
    match serde_json::from_slice::<Value>(&content) {
        Ok(Value::Object(members)) if members.is_empty() => {
            let what = format!("`{KEY}` names {path}, which is empty: system calls are not filtered at all");
            defect(Harm::Protection, what, "take the key away to get the built-in profile")
        }
        Ok(Value::Object(_)) => Vec::new(),
        _ => {
            let what = format!("`{KEY}` names {path}, which is no JSON object");
            defect(Harm::Containers, what, "mend that file or take the key away")
        }
    }
}

/// Who makes control groups, and where.
pub fn cgroups(next: &Next) -> Vec<Defect> {
    const OPTIONS: &str = "exec-opts";
    let options = next.texts(OPTIONS);
    let mut found = Vec::new();
    let named: Vec<(&str, &str)> = options.iter().filter_map(|option| option.split_once('=')).collect();
    let driver =
        named.iter().rev().find(|(name, _)| name.trim().eq_ignore_ascii_case(CGROUP_DRIVER)).map(|(_, driver)| *driver);
    let mut add = |harm, what: String, help: &str| found.push(Defect::new(OPTIONS, harm, what, help));
    match driver {
        None | Some("cgroupfs") => {}
        Some("systemd") if next.live() && next.context.facts.host.service_manager != ServiceManager::Systemd => {
            let what = format!("`{OPTIONS}` has {CGROUP_DRIVER}=systemd, and systemd does not run here");
            add(Harm::Containers, what, "set it to cgroupfs");
        }
        Some("systemd") => {}
        Some(_) => {
            let what = format!("`{OPTIONS}` has a {CGROUP_DRIVER} that is neither cgroupfs nor systemd");
            add(Harm::Start, what, "correct it");
        }
    }
    // Older engines pass over what they do not know.
    if next.since(28) && named.iter().any(|(name, _)| !name.trim().eq_ignore_ascii_case(CGROUP_DRIVER)) {
        let what = format!("`{OPTIONS}` has an option other than {CGROUP_DRIVER}");
        add(Harm::Start, what, "take it out");
    }
    let in_force = next.context.facts.daemon.api.known().and_then(|api| api.cgroup_driver.clone());
    let systemd = driver.map(str::to_owned).or(in_force).as_deref() == Some("systemd");
    let slice = |parent: &String| parent.strip_suffix(".slice").is_some_and(|name| !name.is_empty());
    if systemd && next.text("cgroup-parent").is_some_and(|parent| !slice(&parent)) {
        let what = "`cgroup-parent` is no slice, like \"name.slice\", and systemd makes the control groups".into();
        found.push(Defect::new("cgroup-parent", Harm::Start, what, "name a slice or take the key away"));
    }
    found
}
