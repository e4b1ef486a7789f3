//! What restarting dockerd means on this host now: the containers that it stops, and the edits of others that it takes into force.
//!
//! A restart applies everything that the configuration says, also what somebody changed weeks ago and never activated. Some of
//! that makes images and containers vanish (daemon.md §4), so it is found and named before dockerd is restarted.

use serde_json::Value;

use crate::baseline::control::Risk;
use crate::expect;
use crate::fact::{ApiFacts, Fact, Facts};
use crate::formats::daemon_json::Document;
use crate::formats::mask;
use crate::kinds::effective::{ConfigFile, Effective, Origin, SERVICE};
use crate::observe::Observer;
use crate::plan::count;

/// Keys that the API does not show and that others than their author notice, with what changing them does.
const UNSEEN: [(&str, &str); 8] = [
    ("hosts", "clients of the old addresses can't connect"),
    ("containerd", "containers of the other containerd vanish"),
    ("containerd-namespace", "containers of the other namespace vanish"),
    ("exec-root", "containers that run are lost"),
    ("bridge", "containers get another default network"),
    ("bip", "containers on the default bridge get other addresses"),
    ("fixed-cidr", "containers on the default bridge get other addresses"),
    ("swarm-default-advertise-addr", "a swarm may no longer find this node"),
];
const CGROUP_DRIVER: &str = "native.cgroupdriver=";

/// A restart of dockerd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// Whether a dockerd runs that would be restarted.
    runs: bool,
    /// How many containers run; `None` when nobody can tell.
    containers: Option<u64>,
    /// Whether they outlive it.
    survive: bool,
    /// Why they don't, where they don't.
    stops: String,
    /// Edits of others that it takes into force: each with what that does.
    pub pending: Vec<String>,
}

impl Restart {
    /// What it means; `effective` is the configuration that the next start finds, but for harden's own edits.
    pub fn of(facts: &Facts, effective: &Effective, containers_survive: bool) -> Self {
        let api = facts.daemon.api.known();
        let off = match api.and_then(|api| api.live_restore) {
            Some(true) => format!("live-restore is switched off in {}", effective.path),
            _ => "live-restore is off".into(),
        };
        Self {
            runs: !facts.daemon.process.is_absent(),
            containers: api.and_then(|api| api.containers_running),
            survive: containers_survive,
            stops: off,
            pending: pending(facts, effective),
        }
    }

    /// What it interrupts.
    pub fn risk(&self) -> Risk {
        if !self.runs {
            return Risk::Restart;
        }
        // What runs can't be told: containers may.
        let safe = self.pending.is_empty() && self.containers.is_some_and(|running| running == 0 || self.survive);
        if safe { Risk::Restart } else { Risk::Disruptive }
    }

    /// Why it is disruptive, where it is.
    pub fn why(&self) -> Option<String> {
        if self.risk() != Risk::Disruptive {
            return None;
        }
        let stops = match self.containers {
            None => Some("may stop containers: what runs is not known".to_owned()),
            Some(running) if running > 0 && !self.survive => Some(format!("stops {}: {}", containers(running), self.stops)),
            Some(_) => None,
        };
        let takes = self.takes().map(|takes| format!("also {takes}"));
        let what: Vec<String> = stops.into_iter().chain(takes).collect();
        Some(format!("restarting dockerd {}", what.join("; it ")))
    }

    /// What it does, in words.
    pub fn describe(&self) -> String {
        let what = match self.containers {
            None => "restarts dockerd, which may stop containers: what runs is not known".to_owned(),
            Some(0) => "restarts dockerd; no container is running".to_owned(),
            Some(running) if self.survive => {
                format!("restarts dockerd; {} running and keep running by live-restore", containers(running))
            }
            Some(running) => format!("restarts dockerd, which stops {}: {}", containers(running), self.stops),
        };
        match self.takes() {
            Some(takes) => format!("{what}; also {takes}"),
            None => what,
        }
    }

    fn takes(&self) -> Option<String> {
        (!self.pending.is_empty()).then(|| format!("takes into force {}", self.pending.join("; and ")))
    }
}

fn containers(running: u64) -> String {
    count(usize::try_from(running).unwrap_or(usize::MAX), "container")
}

/// Two names of one directory are told apart by what they lead to.
pub fn observe(observer: &mut Observer) {
    let (effective, facts) = observer.effective();
    let Some(next) = next(effective, facts) else { return };
    let Some((wanted, has)) = data_roots(&next, facts) else { return };
    if wanted != has {
        observer.stat(&wanted);
        observer.stat(&has);
    }
}

/// The configuration of the next start; `None` where its file can't be read.
fn next(effective: &Effective, facts: &Facts) -> Option<Effective> {
    match &effective.file {
        ConfigFile::Parsed(document) => Some(effective.next(document.clone(), facts)),
        ConfigFile::Missing => Some(effective.next(Document::empty(), facts)),
        ConfigFile::Broken(_) | ConfigFile::Unreadable(_) => None,
    }
}

/// What the next start has and the running dockerd has not.
fn pending(facts: &Facts, effective: &Effective) -> Vec<String> {
    let (Fact::Known(_), Some(next)) = (&facts.daemon.process, next(effective, facts)) else { return Vec::new() };
    let mut found = Vec::new();
    if let Fact::Known(api) = &facts.daemon.api {
        found.extend(data_root(&next, facts));
        found.extend(shown_otherwise(&next, api));
    }
    if let Some(started) = started(effective, facts) {
        // The API shows that there is a namespace, not whose.
        let userns = ("userns-remap", "images, containers and volumes vanish");
        let told = found.iter().any(|pending: &String| pending.starts_with(userns.0));
        for (key, effect) in UNSEEN.into_iter().chain((!told).then_some(userns)) {
            if started.setting(key, None).value != next.setting(key, None).value {
                found.push(edited(&next, key, effect));
            }
        }
    }
    found
}

/// What the running dockerd started with, where that is known: its flags, and the file as it was.
fn started(effective: &Effective, facts: &Facts) -> Option<Effective> {
    let process = facts.daemon.process.known()?;
    let file = facts.files.get(&effective.path)?.known()?;
    let content = match &facts.daemon.config_at_start {
        _ if file.mtime_ns <= process.started_ns => file.content.as_ref()?,
        Fact::Known(content) => content,
        Fact::Absent | Fact::Unknown(_) => return None,
    };
    let document = Document::parse(&content.0).ok()?;
    let running = effective.running.clone();
    Some(Effective {
        path: effective.path.clone(),
        file: ConfigFile::Parsed(document),
        running,
        unit: None,
        unit_counts: false,
        version: effective.version,
    })
}

/// The data root of the next start, and the one that the running dockerd has, without the part that a user namespace adds.
fn data_roots(next: &Effective, facts: &Facts) -> Option<(String, String)> {
    let api = facts.daemon.api.known()?;
    let text = |key: &str| next.configured(key)?.as_str().filter(|path| path.starts_with('/')).map(str::to_owned);
    let wanted = text("data-root").or_else(|| text("graph")).unwrap_or_else(|| "/var/lib/docker".into());
    let has = api.data_root.as_deref()?;
    let numbers = |name: &str| {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        name.split_once('.').is_some_and(|(uid, gid)| is_number(uid) && is_number(gid))
    };
    let has = match has.rsplit_once('/') {
        Some((root, name)) if remapped(api) == Some(true) && numbers(name) => root,
        _ => has,
    };
    let plain = |path: &str| match path.trim_end_matches('/') {
        "" => "/".to_owned(),
        path => path.to_owned(),
    };
    Some((plain(&wanted), plain(has)))
}

fn data_root(next: &Effective, facts: &Facts) -> Option<String> {
    let (wanted, has) = data_roots(next, facts)?;
    let real = |path: &String| facts.files.get(path)?.known().map(|file| (file.dev, file.ino));
    if wanted == has || real(&wanted).is_some_and(|place| real(&has) == Some(place)) {
        return None;
    }
    Some(edited(next, "data-root", &format!("images, containers and volumes of {has} vanish")))
}

/// Whether the running dockerd has a user namespace, as far as it shows.
fn remapped(api: &ApiFacts) -> Option<bool> {
    let options = api.security_options.as_ref()?;
    Some(options.iter().any(|option| option.split(',').next() == Some("name=userns")))
}

/// Keys whose value in force the API shows, where it is another one.
fn shown_otherwise(next: &Effective, api: &ApiFacts) -> Vec<String> {
    let text = |key: &str| next.configured(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let mut found = Vec::new();
    if let (Some(wanted), Some(has)) = (text("storage-driver"), &api.storage_driver)
        && wanted != *has
        // By the name of the driver that it took the place of.
        && (api.snapshotter, wanted.as_str(), has.as_str()) != (Some(true), "overlay2", "overlayfs")
    {
        found.push(edited(next, "storage-driver", &format!("images and containers of {has} vanish")));
    }
    let wanted = text("userns-remap").is_some_and(|remap| remap != "root");
    if remapped(api).is_some_and(|has| has != wanted) {
        found.push(edited(next, "userns-remap", "images, containers and volumes vanish"));
    }
    let wanted = next.configured("features").and_then(|features| features.get("containerd-snapshotter")?.as_bool());
    if let (Some(wanted), Some(has)) = (wanted, api.snapshotter)
        && wanted != has
    {
        found.push(edited(next, "features", "images and containers vanish"));
    }
    let options = next.configured("exec-opts");
    let options = options.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    if let (Some(wanted), Some(has)) =
        (options.filter_map(|option| option.strip_prefix(CGROUP_DRIVER)).next_back(), &api.cgroup_driver)
        && wanted != has
    {
        found.push(edited(next, "exec-opts", &format!("containers and a kubelet may still count on {has}")));
    }
    found
}

/// "data-root: /srv/docker, edited since dockerd started: what that does".
fn edited(next: &Effective, key: &str, effect: &str) -> String {
    let setting = next.setting(key, None);
    let value = match &setting.value {
        Some(value) => expect::plain(&mask::mask_value(&[key], value)),
        None => "not set".into(),
    };
    let how = match &setting.origin {
        Origin::Flag { text, place } => {
            let place = place.as_deref().unwrap_or(SERVICE);
            format!("by the flag {text} in {place}, which the running dockerd has not")
        }
        _ => "edited since dockerd started".into(),
    };
    format!("{key}: {value}, {how}: {effect}")
}

#[cfg(test)]
mod tests;
