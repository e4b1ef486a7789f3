//! Live sockets, and what creates them: a mode that only the inode has is gone with the next restart.

use crate::baseline::control::{Control, Place, SocketOf, SocketWant};
use crate::change::Edit;
use crate::fact::{Fact, FileKind};
use crate::finding::{Outcome, Verdict};
use crate::formats::daemon_json::{self, Op};
use crate::kinds::effective::{Origin, SOCKET};
use crate::kinds::file::{self, Wish};
use crate::kinds::place::{self, Resolved};
use crate::kinds::{Context, docker_missing, flags, not_applicable, unit, unknown, verdict};
use crate::observe::Observer;

/// containerd's own configuration.
pub const CONTAINERD_CONFIG: &str = "/etc/containerd/config.toml";
/// The group of a socket that dockerd makes, where nothing names another.
const DEFAULT_GROUP: &str = "docker";

/// Looks at the socket, and at what makes it.
pub fn observe(want: &SocketWant, observer: &mut Observer) {
    for name in &want.group_one_of {
        observer.group(name);
    }
    for name in want.owner.iter() {
        observer.user(name);
    }
    let paths = match want.of {
        SocketOf::Docker => {
            observer.unit(SOCKET);
            let (effective, facts) = observer.effective();
            effective.docker_sockets(facts)
        }
        SocketOf::Containerd => {
            observer.read(CONTAINERD_CONFIG);
            let (effective, facts) = observer.effective();
            effective.containerd_sockets(facts)
        }
    };
    for path in paths {
        observer.stat(&path);
    }
}

/// One verdict a socket.
pub fn judge<'c>(control: &'c Control, want: &SocketWant, context: &Context) -> Vec<Verdict<'c>> {
    let target = match want.of {
        SocketOf::Docker => "@docker-socket",
        SocketOf::Containerd => "@containerd-socket",
    };
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, target, outcome, "", "")];
    }
    let (place, maker) = match want.of {
        SocketOf::Docker => (Place::DockerSocket, "dockerd"),
        SocketOf::Containerd => (Place::ContainerdSocket, "containerd"),
    };
    let paths = match place::resolve(&place, context.facts, &context.effective) {
        Resolved::Paths(paths) => paths,
        Resolved::Nothing(reason) => return vec![not_applicable(control, target, reason)],
        Resolved::Unknown(why) => return vec![unknown(control, target, format!("where the socket lies can't be told: {why}"))],
    };
    let wish = match wish(want, context) {
        Ok(wish) => wish,
        Err(why) => return vec![unknown(control, target, why)],
    };
    let mut verdicts = Vec::new();
    for path in &paths {
        match context.facts.files.get(path) {
            Some(Fact::Known(socket)) if socket.kind == FileKind::Socket => {
                let mut verdict = wish.clone().of_layout(socket, context.facts).judge(control, path, socket);
                if let Outcome::Fixable(edits) = &mut verdict.outcome {
                    edits.extend(lasting(want, context));
                }
                verdicts.push(verdict);
            }
            Some(Fact::Known(_)) => verdicts.push(unknown(control, path, format!("{path} is not a socket"))),
            Some(Fact::Unknown(why)) => verdicts.push(unknown(control, path, why.clone())),
            Some(Fact::Absent) => {}
            None => verdicts.push(unknown(control, path, "not looked at")),
        }
    }
    if verdicts.is_empty() {
        let reason = match paths.as_slice() {
            [path] => format!("{path} does not exist: {maker} does not run"),
            paths => format!("neither {} exists: {maker} does not run", paths.join(" nor ")),
        };
        verdicts.push(not_applicable(control, target, reason));
    }
    verdicts
}

fn wish(want: &SocketWant, context: &Context) -> Result<Wish, String> {
    let uid = want.owner.as_deref().map(|name| file::user(name, context)).transpose()?;
    Ok(Wish { mode_max: want.mode_max, uid, gids: groups(want, context) })
}

/// The groups that the socket may have. One that does not exist here is no option. The wished group comes before root, because a
/// fix takes the first one: root would lock out everybody who may use the socket today.
fn groups(want: &SocketWant, context: &Context) -> Vec<(u32, String)> {
    let mut groups: Vec<_> = want.group_one_of.iter().filter_map(|name| file::group(name, context).ok()).collect();
    groups.sort_by_key(|(gid, _)| *gid == 0);
    groups
}

/// Edits that make the fix outlast the next start of whoever makes the socket.
fn lasting(want: &SocketWant, context: &Context) -> Vec<Edit> {
    match want.of {
        SocketOf::Docker if context.effective.socket_activated() => docker_unit(want, context),
        SocketOf::Docker => docker_group_key(want, context),
        SocketOf::Containerd => containerd_ids(want, context),
    }
}

/// Under socket activation the unit docker.socket decides.
fn docker_unit(want: &SocketWant, context: &Context) -> Vec<Edit> {
    let socket = unit::merged(context.facts, SOCKET);
    let setting = |name: &str, default: &str| {
        socket
            .last("Socket", name)
            .map(|(value, _)| value.to_owned())
            .filter(|value| !value.is_empty())
            .unwrap_or(default.into())
    };
    let edit = |name: &str, value: String| Edit::DropIn { unit: SOCKET.into(), setting: ["Socket".into(), name.into(), value] };
    let mut edits = Vec::new();
    if let Some(allowed) = want.mode_max {
        // systemd's own default is 0666.
        let mode = u32::from_str_radix(&setting("SocketMode", "0666"), 8).unwrap_or(0o666);
        if mode & !allowed.0 != 0 {
            edits.push(edit("SocketMode", format!("{:04o}", mode & allowed.0)));
        }
    }
    if want.owner.is_some() && setting("SocketUser", "root") != "root" {
        edits.push(edit("SocketUser", "root".into()));
    }
    // The same group that the live socket gets.
    if !want.group_one_of.is_empty()
        && !want.group_one_of.contains(&setting("SocketGroup", "root"))
        && let Some((_, group)) = groups(want, context).into_iter().next()
    {
        edits.push(edit("SocketGroup", group));
    }
    // Where a later drop-in wins, writing would change nothing; the control of the unit's settings says so.
    edits.retain(
        |edit| !matches!(edit, Edit::DropIn { setting, .. } if unit::overriding(&socket, "Socket", &setting[1]).is_some()),
    );
    edits
}

/// A socket that dockerd makes itself is 0660, owned by root and the group that the key `group` names, else by `docker`.
fn docker_group_key(want: &SocketWant, context: &Context) -> Vec<Edit> {
    let setting = context.effective.setting("group", None);
    let group = setting.value.as_ref().and_then(serde_json::Value::as_str).unwrap_or(DEFAULT_GROUP);
    let allowed = |name: &str| want.group_one_of.iter().any(|wanted| wanted == name);
    if want.group_one_of.is_empty() || allowed(group) {
        return Vec::new();
    }
    let op = match groups(want, context).into_iter().next() {
        _ if allowed(DEFAULT_GROUP) => Op::Remove,
        Some((_, group)) => Op::Set(group.into()),
        None => return Vec::new(),
    };
    let edit = daemon_json::Edit { path: vec!["group".into()], op };
    // Beside a flag the key would keep dockerd from starting.
    if context.effective.flag("group").is_some() {
        let in_file = !matches!(context.effective.without_flags("group", None).origin, Origin::Default);
        let corrects = matches!(setting.origin, Origin::Flag { .. })
            && !in_file
            && flags::corrected(context, std::slice::from_ref(&edit)).is_ok();
        return if corrects { vec![Edit::DaemonFlag { edit, activation: None }] } else { Vec::new() };
    }
    vec![Edit::DaemonKey {
        file: context.effective.path.clone(),
        edit,
        // The live socket is changed as well, so nothing has to restart for it.
        activation: None,
    }]
}

/// containerd owns its socket by the numbers in its configuration, 0 unless they are set.
fn containerd_ids(want: &SocketWant, context: &Context) -> Vec<Edit> {
    let Some(Fact::Known(file)) = context.facts.files.get(CONTAINERD_CONFIG) else { return Vec::new() };
    let Some(text) = file.content.as_ref().and_then(|content| std::str::from_utf8(&content.0).ok()) else { return Vec::new() };
    let Ok(document) = text.parse::<toml_edit::DocumentMut>() else { return Vec::new() };
    let set =
        |key: &str| document.get("grpc").and_then(|grpc| grpc.get(key)).and_then(toml_edit::Item::as_integer).unwrap_or(0) != 0;
    let edit = |key: &'static str| Edit::ContainerdKey { file: CONTAINERD_CONFIG.into(), path: ["grpc", key], value: 0 };
    let owner = (want.owner.is_some() && set("uid")).then(|| edit("uid"));
    let group = (!want.group_one_of.is_empty() && set("gid")).then(|| edit("gid"));
    owner.into_iter().chain(group).collect()
}
