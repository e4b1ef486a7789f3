//! File systems of their own, and auditd's configuration.

use serde_json::Value;

use super::{Reading, Seen, of, text};
use crate::baseline::control::HostCheck;
use crate::fact::{Fact, Facts};
use crate::formats::{auditd_conf, mountinfo};
use crate::kinds::Context;
use crate::observe::Observer;

const AUDITD_CONF: &str = "/etc/audit/auditd.conf";
/// Where auditd writes unless its configuration says otherwise.
const AUDIT_LOG: &str = "/var/log/audit/audit.log";

pub fn observe(observer: &mut Observer) {
    observer.read(AUDITD_CONF);
    if observer.facts().host.live && observer.facts().machine.mounts == Fact::default() {
        observer.machine_facts().mounts = crate::host::machine::mounts();
    }
    let (effective, facts) = observer.effective();
    let paths = [effective.data_root(facts), audit_log(facts).unwrap_or_default()];
    paths.iter().filter(|path| path.starts_with('/')).for_each(|path| observer.stat(path));
}

/// The directory of the audit log; an error says why it can't be told.
fn audit_log(facts: &Facts) -> Result<String, Seen> {
    let target = "/var/log/audit";
    let content = match facts.files.get(AUDITD_CONF) {
        Some(Fact::Known(file)) => file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default(),
        Some(Fact::Absent) => {
            return Err(Seen::Nothing(target.into(), format!("auditd is not installed: no {AUDITD_CONF}")));
        }
        Some(Fact::Unknown(why)) => return Err(Seen::Unknown(target.into(), why.clone())),
        None => return Err(Seen::Unknown(target.into(), "not looked at".into())),
    };
    let log = auditd_conf::get(&String::from_utf8_lossy(content), "log_file").map_or(AUDIT_LOG.into(), |(path, _)| path);
    Ok(log.rsplit_once('/').map_or(log.clone(), |(dir, _)| dir.to_owned()))
}

pub fn own_filesystem(check: &HostCheck, context: &Context) -> Seen {
    let facts = context.facts;
    let path = match of(check) {
        Some("@audit-log") => match audit_log(facts) {
            Ok(path) => path,
            Err(seen) => return seen,
        },
        Some("@data-root") => match data_root(context) {
            Ok(path) => path,
            Err(seen) => return seen,
        },
        other => other.unwrap_or("/").to_owned(),
    };
    if !facts.host.live {
        return Seen::Nothing(path, "an image tree has no mounts".into());
    }
    let mounts = match &facts.machine.mounts {
        Fact::Known(mounts) => mounts,
        Fact::Absent => return Seen::Unknown(path, "no mounts were seen".into()),
        Fact::Unknown(why) => return Seen::Unknown(path, why.clone()),
    };
    let real = crate::reach::real(&facts.files, &path);
    let (Some(mount), Some(root)) = (mountinfo::of_path(mounts, &real), mountinfo::of_path(mounts, "/")) else {
        return Seen::Unknown(path, "/proc/self/mountinfo does not name the root".into());
    };
    // A directory that is mounted upon itself, as dockerd does it, still lies on the file system of /.
    let own = mount.device != root.device;
    let shown = match own {
        true => format!("on the file system that is mounted at {}", mount.point),
        false => "on the file system of /".to_owned(),
    };
    let mut evidence =
        vec![format!("/proc/self/mountinfo: {} is on device {}, / on {}", mount.point, mount.device, root.device)];
    evidence.extend((real != path).then(|| format!("{path} is {real}")));
    Seen::of(Reading { target: path, value: Some(own.into()), shown, evidence, ..Reading::default() })
}

/// Where the engine keeps its data, without the directory of a user namespace.
fn data_root(context: &Context) -> Result<String, Seen> {
    let target = "data-root".to_owned();
    let told = context.facts.daemon.api.known().is_some_and(|api| api.data_root.is_some());
    if let Some(why) = context.effective.uncertain("data-root", context.facts).filter(|_| !told) {
        return Err(Seen::Unknown(target, why));
    }
    let path = context.effective.data_root(context.facts);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    Ok(match path.rsplit_once('/') {
        Some((above, ids)) if ids.split_once('.').is_some_and(|(uid, gid)| number(uid) && number(gid)) => above.to_owned(),
        _ => path,
    })
}

pub fn auditd(check: &HostCheck, context: &Context) -> Seen {
    let name = of(check).unwrap_or_default();
    let file = match context.facts.files.get(AUDITD_CONF) {
        Some(Fact::Known(file)) => file,
        Some(Fact::Absent) => return Seen::Nothing(name.into(), format!("auditd is not installed: no {AUDITD_CONF}")),
        Some(Fact::Unknown(why)) => return Seen::Unknown(name.into(), why.clone()),
        None => return Seen::Unknown(name.into(), "not looked at".into()),
    };
    let content = file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default();
    let said = auditd_conf::get(&String::from_utf8_lossy(content), name);
    let (place, evidence) = match &said {
        Some((value, line)) => (format!("{AUDITD_CONF}:{line}"), format!("{AUDITD_CONF}:{line}: {name} = {value}")),
        None => (AUDITD_CONF.to_owned(), format!("{AUDITD_CONF} does not set {name}")),
    };
    let (value, shown) = match (&said, &check.default) {
        (Some((value, _)), _) => text(&value.to_ascii_lowercase()),
        (None, Some(default)) => (Some(Value::from(default.as_str())), format!("not set, which is {default}")),
        (None, None) => (None, "not set".into()),
    };
    let manual =
        format!("set {name} in {place}, then have auditd read it: `auditctl --signal reload`, or `service auditd reload`");
    Seen::of(Reading {
        target: name.into(),
        value,
        shown,
        evidence: vec![evidence],
        manual: Some(manual),
        ..Reading::default()
    })
}
