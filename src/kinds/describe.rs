//! What a control wants, how it is observed and how it is fixed, in words: for `harden explain`.

use crate::baseline::control::{AuditState, ContainerFix, ImageRule, KeyFix, SocketOf, Want};
use crate::expect::plain;
use crate::kinds::{attest, container, host, image, rootless, swarm, sysctl};

/// What is wanted, how it is observed and how it is fixed; each kind of the host, of containers, images and the swarm gives its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Description {
    /// What is wanted.
    pub wanted: String,
    /// How it is observed.
    pub observed: String,
    /// How it is fixed.
    pub fix: String,
}

fn of_kind(want: &Want) -> Description {
    match want {
        Want::Sysctl(want) => sysctl::describe(want),
        Want::Host(want) => host::describe(want),
        Want::Container(want) => container::describe(want),
        Want::Image(want) => image::describe(want),
        Want::Swarm(want) => swarm::describe(want),
        Want::Attest(want) => attest::describe(want),
        Want::Rootless(want) => rootless::describe(want),
        Want::Daemon(_)
        | Want::DaemonConfig(_)
        | Want::File(_)
        | Want::Socket(_)
        | Want::Unit(_)
        | Want::Watch(_)
        | Want::AuditState(_) => Description::default(),
    }
}

/// What is wanted.
pub fn wanted(want: &Want) -> String {
    let all = |parts: Vec<String>| parts.join("; ");
    match want {
        Want::Daemon(want) => all(want
            .key
            .iter()
            .map(|key| match &key.member {
                Some(member) => format!("{}.{member}: {}", key.name, key.expect),
                None => format!("{}: {}", key.name, key.expect),
            })
            .collect()),
        Want::DaemonConfig(_) => "daemon.json parses, this engine knows every key, and no key is also given as a flag".into(),
        Want::File(want) => {
            let places = want.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let mut parts = vec![places];
            parts.extend(want.owner.iter().map(|owner| format!("owner {owner}")));
            parts.extend(want.group.iter().map(|group| format!("group {group}")));
            parts.extend((!want.group_one_of.is_empty()).then(|| format!("group {}", want.group_one_of.join(" or "))));
            parts.extend(want.mode_max.iter().map(|mode| format!("mode {:04o} or stricter", mode.0)));
            all(parts)
        }
        Want::Socket(want) => {
            let mut parts = vec![match want.of {
                SocketOf::Docker => "the Engine API's unix socket".to_owned(),
                SocketOf::Containerd => "containerd's socket".to_owned(),
            }];
            parts.extend(want.owner.iter().map(|owner| format!("owner {owner}")));
            parts.extend((!want.group_one_of.is_empty()).then(|| format!("group {}", want.group_one_of.join(" or "))));
            parts.extend(want.mode_max.iter().map(|mode| format!("mode {:04o} or stricter", mode.0)));
            all(parts)
        }
        Want::Unit(want) => {
            all(want.setting.iter().map(|setting| format!("{} {}: {}", want.unit, setting.name, setting.expect)).collect())
        }
        Want::Watch(want) => {
            let places = want.paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            format!("events {} on {places} are recorded", want.perms)
        }
        Want::AuditState(want) => match want.is {
            AuditState::Running => "the kernel audits and auditd listens".into(),
            AuditState::Persistent => "the kernel has every rule that rules.d would load".into(),
            AuditState::Loadable => "no line of rules.d stops the load before its end".into(),
        },
        _ => of_kind(want).wanted,
    }
}

/// How it is observed.
pub fn observed(want: &Want) -> String {
    match want {
        Want::Daemon(want) => {
            let live = want.key.iter().any(|key| key.live.is_some());
            let api = if live { "; the Engine API shows what is in force" } else { "" };
            format!("flags of the running dockerd (else its unit's) merged with daemon.json, else the engine's default{api}")
        }
        Want::DaemonConfig(_) => "the bytes of daemon.json against harden's table of keys by engine version, and dockerd's flags".into(),
        Want::File(_) => "one fstat of the opened file, and its ACL; modes are compared as bit masks".into(),
        Want::Socket(_) => "the socket's inode, and the unit or key that makes it".into(),
        Want::Unit(_) => "the unit file and its drop-ins, merged as systemd does".into(),
        Want::Watch(_) => "rules.d merged as augenrules does, and the kernel's own list over netlink; rules are compared by the events they record".into(),
        Want::AuditState(_) => "the kernel's audit status and rules over netlink, and rules.d".into(),
        _ => of_kind(want).observed,
    }
}

/// How it is fixed.
pub fn fix(want: &Want) -> String {
    match want {
        Want::Daemon(want) => want
            .key
            .iter()
            .map(|key| {
                let name = key.member.as_ref().map_or(key.name.clone(), |member| format!("{}.{member}", key.name));
                match &key.fix {
                    KeyFix::Set(value) => format!("set {name} to {} in daemon.json", plain(value)),
                    KeyFix::Expected => format!("set {name} in daemon.json"),
                    KeyFix::Remove => format!("remove {name} from daemon.json"),
                    KeyFix::RemoveElements => format!("remove the unwanted elements of {name} from daemon.json"),
                    KeyFix::Merge => format!("add the members to {name} in daemon.json"),
                    KeyFix::Manual(reason) => format!("by hand: {reason}"),
                }
            })
            .collect::<Vec<_>>()
            .join("; "),
        Want::DaemonConfig(_) => "by hand: harden does not rewrite what it does not understand".into(),
        Want::File(_) => "clear the bits beyond the mask, change the owner; bits are never added".into(),
        Want::Socket(_) => "change the live socket, and what makes it, so that a restart does not undo it".into(),
        Want::Unit(_) => "a drop-in of harden's own; the packaged unit stays as it is".into(),
        Want::Watch(_) => "add what is missing to harden's own file in rules.d, and to the kernel; nothing is removed".into(),
        Want::AuditState(want) => match want.is {
            AuditState::Persistent => "add the missing rules to the kernel".into(),
            AuditState::Running | AuditState::Loadable => "by hand".into(),
        },
        _ => of_kind(want).fix,
    }
}

/// Who brings drift of a control to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// harden, by a change of the host that it plans and applies.
    Automatic,
    /// harden, on what runs, without stopping it.
    Live,
    /// A person.
    Manual,
}

/// Who brings drift of a control to an end, where its variables are set.
pub fn how(want: &Want) -> How {
    let fixed = |fixed: bool| if fixed { How::Automatic } else { How::Manual };
    match want {
        Want::Daemon(want) => fixed(want.key.iter().any(|key| !matches!(key.fix, KeyFix::Manual(_)))),
        Want::Unit(want) => fixed(want.setting.iter().any(|setting| setting.set.is_some())),
        Want::File(_) | Want::Socket(_) | Want::Watch(_) => How::Automatic,
        Want::DaemonConfig(_) => How::Manual,
        Want::AuditState(want) => fixed(want.is == AuditState::Persistent),
        Want::Image(want) => fixed(want.rule == ImageRule::SigningKeysProtected),
        Want::Swarm(_) | Want::Attest(_) | Want::Rootless(_) => How::Manual,
        // These kinds say it in words only.
        Want::Sysctl(_) => fixed(of_kind(want).fix.contains("set it in")),
        Want::Host(_) => fixed(!["", "by hand"].contains(&of_kind(want).fix.get(..7).unwrap_or_default())),
        Want::Container(want) if matches!(want.fix, ContainerFix::Update(_)) => How::Live,
        Want::Container(_) => How::Manual,
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            How::Automatic => "automatic",
            How::Live => "live",
            How::Manual => "manual",
        })
    }
}
