//! What a layout of Docker means for controls: where the things that they name are, and which controls do not apply.
//!
//! Controls are written for root's own dockerd, with the paths that everybody knows. Under another layout each is re-rooted, or it
//! does not apply, or its fix is left to the user; a path of root's own daemon is never taken for another's.

use crate::baseline::control::{Area, Control, HostProperty, ImageRule, Want};
use crate::change::Edit;
use crate::fact::{Facts, Layout, RemoteFacts, RemotePlace, RootlessFacts};
use crate::finding::{Outcome, Verdict};
use crate::kinds::effective::{DEFAULT_CONFIG_FILE, SERVICE, SOCKET};

/// The unit of the snap's dockerd.
pub const SNAP_SERVICE: &str = "snap.docker.dockerd.service";
/// The name that facts have for docker.service of a user's own service manager.
pub const USERS_SERVICE: &str = "--user docker.service";
const CONTAINERD_SERVICE: &str = "containerd.service";
const ETC_DOCKER: &str = "/etc/docker";
const CERTS: &str = "/etc/docker/certs.d";
/// What the snap's dockerd has for /etc/docker, and for the certificates below it.
const SNAP_CONFIG: &str = "/var/snap/docker/current/config";
const SNAP_CERTS: &str = "/var/snap/docker/common/etc/certs.d";
const SNAP_DATA_ROOT: &str = "/var/snap/docker/common/var-lib-docker";
/// Files that start scripts and units of root's dockerd take flags from.
const FLAG_FILES: [&str; 2] = ["/etc/default/docker", "/etc/sysconfig/docker"];
/// What belongs to the containerd of the system.
const SYSTEM_CONTAINERD: [&str; 2] = ["/etc/containerd", "/run/containerd"];
const HOME_UNKNOWN: &str =
    "its environment can't be read, so where its files are can't be told; run harden as root, or as its user";

/// Whether a program lies in the snap `docker`.
pub fn is_snap(exe: &str) -> bool {
    ["/snap/docker/", "/var/lib/snapd/snap/docker/"].iter().any(|dir| exe.starts_with(dir))
}

/// Where the daemon of this layout has its configuration, unless a flag says otherwise; an error when that can't be told.
pub fn config_file(layout: &Layout) -> Result<String, String> {
    match layout {
        Layout::Snap => Ok(format!("{SNAP_CONFIG}/daemon.json")),
        Layout::Rootless(daemon) => {
            let home = daemon.config_home.as_deref().ok_or("dockerd's environment can't be read")?;
            Ok(format!("{home}/docker/daemon.json"))
        }
        Layout::Rootful | Layout::Desktop | Layout::Podman | Layout::Remote(_) => Ok(DEFAULT_CONFIG_FILE.into()),
    }
}

/// The data root of this layout, unless a flag or the file says otherwise.
pub fn data_root(facts: &Facts) -> Option<String> {
    match &facts.daemon.layout.kind {
        Layout::Snap => Some(SNAP_DATA_ROOT.into()),
        Layout::Rootless(RootlessFacts { data_home: Some(home), .. }) => Some(format!("{home}/docker")),
        _ => None,
    }
}

/// The directory in which this layout's daemon keeps its socket and its state while it runs, where that is not /run.
pub fn runtime_dir(facts: &Facts) -> Option<&str> {
    match &facts.daemon.layout.kind {
        Layout::Rootless(daemon) => daemon.runtime_dir.as_deref(),
        _ => None,
    }
}

/// A path, or a pattern, as this layout has it; an error says why there is none.
pub fn path(path: &str, facts: &Facts) -> Result<String, String> {
    let beneath = |dir: &str| path.strip_prefix(dir).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let (whose, has_etc_docker) = match &facts.daemon.layout.kind {
        Layout::Rootful | Layout::Desktop | Layout::Podman | Layout::Remote(_) => return Ok(path.to_owned()),
        Layout::Snap => ("the snap's dockerd", true),
        Layout::Rootless(daemon) => ("a rootless dockerd", daemon.config_home.is_some()),
    };
    if FLAG_FILES.contains(&path) {
        return Err(format!("{whose} does not read {path}"));
    }
    if SYSTEM_CONTAINERD.iter().any(|dir| beneath(dir).is_some()) {
        return Err(format!("{whose} starts a containerd of its own, which has nothing in {path}"));
    }
    if !has_etc_docker && beneath(ETC_DOCKER).is_some() {
        return Err(format!("{whose} does not read {path}"));
    }
    Ok(match (&facts.daemon.layout.kind, beneath(CERTS), beneath(ETC_DOCKER)) {
        (Layout::Snap, Some(rest), _) => format!("{SNAP_CERTS}{rest}"),
        (Layout::Snap, None, Some(rest)) => format!("{SNAP_CONFIG}{rest}"),
        (Layout::Rootless(daemon), _, Some(rest)) => {
            format!("{}/docker{rest}", daemon.config_home.as_deref().unwrap_or_default())
        }
        _ => path.to_owned(),
    })
}

/// The name under which facts have a unit of this layout; an error says why there is none.
pub fn unit<'n>(name: &'n str, facts: &Facts) -> Result<&'n str, String> {
    let (whose, service) = match &facts.daemon.layout.kind {
        Layout::Rootful | Layout::Desktop | Layout::Podman | Layout::Remote(_) => return Ok(name),
        Layout::Snap => ("the snap's dockerd", SNAP_SERVICE),
        Layout::Rootless(_) => ("a rootless dockerd", USERS_SERVICE),
    };
    match name {
        SERVICE => Ok(service),
        SOCKET => Err(format!("{whose} makes its socket itself, without {SOCKET}")),
        CONTAINERD_SERVICE => Err(format!("{whose} starts a containerd of its own, without {CONTAINERD_SERVICE}")),
        _ => Ok(name),
    }
}

/// The engine that is asked, where it is not of this machine.
pub fn remote(facts: &Facts) -> Option<&RemoteFacts> {
    match &facts.daemon.layout.kind {
        Layout::Remote(remote) => Some(remote),
        _ => None,
    }
}

/// Whether a control speaks of what the engine tells by itself, wherever it runs; all others speak of its machine.
pub fn told_by_engine(want: &Want) -> bool {
    match want {
        Want::Container(_) | Want::Swarm(_) | Want::Attest(_) | Want::Rootless(_) => true,
        // These look at the accounts of the machine.
        Want::Image(want) => !matches!(want.rule, ImageRule::ContentTrust | ImageRule::SigningKeysProtected),
        Want::Daemon(_)
        | Want::DaemonConfig(_)
        | Want::File(_)
        | Want::Socket(_)
        | Want::Unit(_)
        | Want::Watch(_)
        | Want::AuditState(_)
        | Want::Sysctl(_)
        | Want::Host(_) => false,
    }
}

/// Whether a control asks Docker for what it holds, or for what it is.
fn asks_docker(want: &Want) -> bool {
    match want {
        Want::Container(_) | Want::Swarm(_) => true,
        Want::Image(_) => told_by_engine(want),
        Want::Host(want) => want.check.iter().any(|check| {
            matches!(check.property, HostProperty::Release | HostProperty::DockerUserRules | HostProperty::DefaultRuntime)
                || check.of.as_deref() == Some("@data-root")
        }),
        _ => false,
    }
}

/// What a control comes to before it is looked at more closely, where the layout settles it.
pub fn settled(control: &Control, facts: &Facts) -> Option<Outcome> {
    if let Some(remote) = remote(facts) {
        let untold = matches!(remote.place, RemotePlace::Untold(_));
        let outcome = if untold { Outcome::Unknown } else { Outcome::NotApplicable };
        return (!told_by_engine(&control.want)).then(|| outcome(remote.elsewhere()));
    }
    let of_the_daemon = matches!(
        control.want,
        Want::Daemon(_) | Want::DaemonConfig(_) | Want::File(_) | Want::Socket(_) | Want::Unit(_) | Want::Watch(_)
    ) || matches!(control.want, Want::Host(_)) && control.area == Area::Daemon;
    let layout = &facts.daemon.layout;
    if layout.kind == Layout::Podman && asks_docker(&control.want) {
        let reason = format!("this is Podman's socket ({}): what it holds is Podman's, not Docker's", layout.evidence);
        return Some(Outcome::NotApplicable(reason));
    }
    if !of_the_daemon {
        return None;
    }
    match &layout.kind {
        Layout::Podman => Some(Outcome::NotApplicable(format!(
            "this is Podman's socket ({}): Podman has no dockerd, and no daemon.json",
            layout.evidence
        ))),
        Layout::Desktop => Some(Outcome::NotApplicable(format!(
            "this is Docker Desktop ({}): its dockerd runs in a virtual machine of its own, and its settings make that one's files",
            layout.evidence
        ))),
        Layout::Rootless(RootlessFacts { elsewhere: Some(option), .. }) => Some(Outcome::Unknown(format!(
            "the only dockerd here is a rootless one ({}); look at that one with {option}",
            layout.evidence
        ))),
        Layout::Rootless(RootlessFacts { config_home: None, .. }) => {
            Some(Outcome::Unknown(format!("dockerd is rootless ({}), and {HOME_UNKNOWN}", layout.evidence)))
        }
        Layout::Rootful | Layout::Rootless(_) | Layout::Snap | Layout::Remote(_) => None,
    }
}

/// Leaves fixes to the user that harden can't make under this layout, with the reason.
pub fn temper(verdict: &mut Verdict, facts: &Facts) {
    let Outcome::Fixable(edits) = &verdict.outcome else { return };
    let reason = match &facts.daemon.layout.kind {
        Layout::Rootless(daemon) if of_docker(&verdict.control.want) => {
            let key = edits.iter().any(|edit| matches!(edit, Edit::DaemonKey { .. } | Edit::Activate(_)));
            let then = if key { ", then `systemctl --user restart docker`" } else { "" };
            format!("this dockerd is rootless, and harden changes root's only: do it as its user (uid {}){then}", daemon.uid)
        }
        Layout::Remote(remote) => format!("harden changes nothing from afar: {}", remote.elsewhere()),
        Layout::Snap if matches!(verdict.control.want, Want::Watch(_)) && of_a_revision(&verdict.target) => {
            "its path changes with every refresh of the snap, and a rule would not follow; watch it yourself".into()
        }
        _ => return,
    };
    verdict.outcome = Outcome::Manual(reason);
}

fn of_docker(want: &Want) -> bool {
    matches!(want, Want::Daemon(_) | Want::DaemonConfig(_) | Want::File(_) | Want::Socket(_) | Want::Unit(_) | Want::Watch(_))
}

/// Whether a path names one revision of the snap, or `current`, which leads to another one after a refresh.
fn of_a_revision(path: &str) -> bool {
    is_snap(path) || path.strip_prefix("/var/snap/docker/").is_some_and(|rest| !rest.starts_with("common/"))
}

/// How the user restarts dockerd of a layout that harden does not restart.
pub fn restart_by_hand(facts: &Facts) -> Option<String> {
    match &facts.daemon.layout.kind {
        Layout::Snap => Some("dockerd is the snap's: `snap restart docker` restarts it".into()),
        Layout::Rootless(daemon) => {
            Some(format!("dockerd is rootless: restart it as its user (uid {}), `systemctl --user restart docker`", daemon.uid))
        }
        Layout::Rootful | Layout::Desktop | Layout::Podman | Layout::Remote(_) => None,
    }
}

/// The user and the group that may own what belongs to the daemon, beside root.
pub fn owner(facts: &Facts) -> Option<(u32, u32)> {
    match &facts.daemon.layout.kind {
        Layout::Rootless(daemon) => Some((daemon.uid, daemon.gid)),
        _ => None,
    }
}
