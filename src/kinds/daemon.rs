//! Values of daemon.json keys: configured by flag or file, and in force in the running daemon.

use serde_json::Value;

use crate::baseline::control::{Beside, Control, DaemonCondition, DaemonWant, KeyFix, KeyWant, Live, Prerequisite};
use crate::change::{Action, Edit};
use crate::fact::{ApiFacts, Fact, Facts};
use crate::finding::{Outcome, Verdict};
use crate::formats::daemon_json::{self, Document, Op};
use crate::formats::{daemon_keys, mask};
use crate::kinds::effective::{ConfigFile, Origin, SERVICE, Setting, flags_untold};
use crate::kinds::supervisor::Supervisor;
use crate::kinds::{Context, docker_missing, flags, layout, listens, not_applicable, prerequisites, unknown, verdict};
use crate::observe::Observer;

/// The engine's note of being part of a swarm, beneath its data root.
pub const SWARM_STATE: &str = "swarm/docker-state.json";
/// The key that makes containers outlive dockerd.
const LIVE_RESTORE: &str = "live-restore";
/// What is in force where the engine shows no seccomp profile at all.
const NO_SECCOMP: &str = "no seccomp";

/// The configuration is always read; only what a condition needs besides is looked at here.
pub fn observe(want: &DaemonWant, observer: &mut Observer) {
    if want.unless.contains(&DaemonCondition::SwarmActive) {
        observer.swarm_state();
    }
}

/// One verdict a key.
pub fn judge<'c>(control: &'c Control, want: &'c DaemonWant, context: &Context) -> Vec<Verdict<'c>> {
    let target = want.key.first().map(target).unwrap_or_default();
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, target, outcome, "", "")];
    }
    if let Some(why) = context.effective.unreadable() {
        let mut verdict = unknown(control, target, format!("dockerd's configuration can't be told: {why}"));
        verdict.evidence.push(context.effective.path.clone());
        return vec![verdict];
    }
    if let Some(why) = context.effective.unknown_flags(context.facts) {
        return vec![unknown(control, target, flags_untold(&why))];
    }
    for condition in &want.unless {
        match holds(*condition, context) {
            Ok(None) => {}
            Ok(Some(_)) if *condition == DaemonCondition::SwarmActive && live_restore_configured(want, context) => {
                let help = "dockerd refuses to start with it on a node of a swarm: take it out, or leave the swarm".into();
                return vec![verdict(control, target, Outcome::Manual(help), "true", "not set on a node of a swarm")];
            }
            Ok(Some(reason)) => return vec![not_applicable(control, target, reason)],
            Err(why) => return vec![unknown(control, target, why)],
        }
    }
    for condition in &want.met_by {
        match holds(*condition, context) {
            Ok(None) => {}
            Ok(Some(note)) => {
                return vec![verdict(control, target, Outcome::Compliant { note: Some(note.clone()) }, note, "as it is")];
            }
            Err(why) => return vec![unknown(control, target, why)],
        }
    }
    let sockets =
        want.key.iter().filter(|key| key.name == listens::HOSTS).filter_map(|key| listens::judge_socket(control, key, context));
    let judge = |key| not_known(control, key, context).unwrap_or_else(|| judge_key(control, want, key, context));
    want.key.iter().filter(|key| is_asked(key, context)).map(judge).chain(sockets).collect()
}

/// Whether the key is asked for beside what another one is.
fn is_asked(key: &KeyWant, context: &Context) -> bool {
    let has = |other: &Beside| context.effective.setting(&other.name, None).value == Some(Value::String(other.is.clone()));
    key.beside.as_ref().is_none_or(has)
}

/// What an engine has no key for can't be asked of it.
fn not_known<'c>(control: &'c Control, key: &KeyWant, context: &Context) -> Option<Verdict<'c>> {
    let version = context.effective.version.filter(|_| key.where_known)?;
    let reason = format!("Docker {version} does not know the key {}", key.name);
    (!daemon_keys::accepted(&key.name, Some(version))).then(|| not_applicable(control, target(key), reason))
}

fn target(key: &KeyWant) -> String {
    match &key.member {
        Some(member) => format!("{}.{member}", key.name),
        None => key.name.clone(),
    }
}

fn judge_key<'c>(control: &'c Control, want: &DaemonWant, key: &KeyWant, context: &Context) -> Verdict<'c> {
    let setting = context.effective.setting(&key.name, key.member.as_deref());
    let configured = complies(key, &setting);
    let running = context.effective.running_setting(&key.name, key.member.as_deref());
    let live = key.live.and_then(|live| live_value(live, context));
    let in_force = match (&live, &running) {
        (Some(value), _) => key.expect.holds(Some(value)),
        (None, Some(running)) => complies(key, running),
        (None, None) => true,
    };
    let pending = pending(key, live.is_some(), context);
    let unread = configured && pending.as_ref().is_some_and(|outcome| !matches!(outcome, Outcome::Unknown(_)));
    let not_read = if unread { "; the running dockerd has not read that yet" } else { "" };
    let outcome = match (configured, in_force) {
        (true, true) => pending.unwrap_or(Outcome::Compliant { note: None }),
        (true, false) => activate(key, &setting, live.as_ref(), context),
        (false, _) => fix(key, &setting, in_force && (live.is_some() || running.is_some()), context),
    };
    let outcome = tempered(outcome, want, key, &setting, context);
    let mut observed = shown(key, setting.value.as_ref());
    observed.push_str(not_read);
    let differs = running.filter(|running| in_force != configured && matches!(running.origin, Origin::Flag { .. }));
    let now = live.as_ref().or(differs.as_ref().and_then(|running| running.value.as_ref()));
    if let Some(now) = now.filter(|_| !in_force || !configured) {
        observed.push_str(&format!("; the running dockerd has {}", shown(key, Some(now))));
    }
    let mut verdict = verdict(control, target(key), outcome, observed, key.expect.to_string());
    verdict.evidence.push(format!("{} from {}", target(key), setting.origin));
    if let Some(running) = differs {
        verdict.evidence.push(format!("in force by {}", running.origin));
    }
    if let Some(live) = key.live.filter(|_| live.is_some()) {
        verdict.evidence.push(format!("in force according to {}", live_source(live)));
    }
    verdict
}

fn complies(key: &KeyWant, setting: &Setting) -> bool {
    // `null` in the file is as good as nothing there, but for booleans, which it makes false.
    let unset = key.default_complies && (matches!(setting.origin, Origin::Default) || setting.value.is_none());
    unset || (key.expect.holds(setting.value.as_ref()) && !absent_but_set(key, setting))
}

/// `absent` means that neither flag nor file may name the key, whatever its value.
fn absent_but_set(key: &KeyWant, setting: &Setting) -> bool {
    key.expect.absent == Some(true) && !matches!(setting.origin, Origin::Default)
}

/// A value as a report may show it.
fn shown(key: &KeyWant, value: Option<&Value>) -> String {
    let path: Vec<&str> = std::iter::once(key.name.as_str()).chain(key.member.as_deref()).collect();
    match value {
        None => "not set".into(),
        Some(value) => {
            let masked = mask::mask_value(&path, value);
            match key.expect.excludes.is_some().then(|| key.expect.offending(&masked)) {
                Some(offending) if !offending.is_empty() => offending.join(", "),
                _ => crate::expect::plain(&masked),
            }
        }
    }
}

/// What must not be fixed, or not be believed, whichever way the outcome came about.
fn tempered(outcome: Outcome, want: &DaemonWant, key: &KeyWant, setting: &Setting, context: &Context) -> Outcome {
    if let Some(inside) = context.effective.contradicted(&key.name).filter(|_| key.member.is_none()) {
        return Outcome::Manual(format!("{inside} says the opposite, and dockerd takes one of the two at random; take it out"));
    }
    match &outcome {
        Outcome::Fixable(edits) => {
            let edited = key.member.is_none()
                && edits.iter().any(|edit| matches!(edit, Edit::DaemonKey { .. } | Edit::DaemonFlag { .. }));
            // What is changed in one place only would be contradicted in the other.
            if let Some((inside, _)) = context.effective.wrapped_too(&key.name).filter(|_| edited) {
                return Outcome::Manual(format!("{inside} says the same, and dockerd would heed it; take it out first"));
            }
            match (unmet(want, key, edits, context), &key.fix) {
                (Some(reason), _) => Outcome::Manual(reason),
                (None, KeyFix::Manual(reason)) if edits.contains(&Edit::Activate(Action::DockerRestart)) => {
                    Outcome::Manual(reason.clone())
                }
                _ => outcome,
            }
        }
        Outcome::Compliant { .. } => match not_seen(key, setting, context) {
            Some(why) => Outcome::Unknown(why),
            None => outcome,
        },
        _ => outcome,
    }
}

/// Why a fix would not work here, or would keep dockerd from starting.
fn unmet(want: &DaemonWant, key: &KeyWant, edits: &[Edit], context: &Context) -> Option<String> {
    if key.live == Some(Live::Seccomp) && live_value(Live::Seccomp, context) == Some(Value::from(NO_SECCOMP)) {
        return Some("this kernel, or this build of dockerd, has no seccomp; no setting of dockerd changes that".into());
    }
    want.needs.iter().find_map(|needed| missing(*needed, key, context)).or_else(|| objection(&key.name, edits, context))
}

/// What dockerd or its containers would lack once this key alone is edited, or put in force as it is.
pub(crate) fn objection(key: &str, edits: &[Edit], context: &Context) -> Option<String> {
    let empty = Document::empty();
    let present = match &context.effective.file {
        ConfigFile::Parsed(document) => document,
        ConfigFile::Missing => &empty,
        ConfigFile::Broken(_) | ConfigFile::Unreadable(_) => return None,
    };
    let (of_file, of_flags) = prerequisites::edits_of(edits);
    let document = || Document::parse(&present.apply(&of_file).ok()?).ok();
    let found = match (of_file.as_slice(), of_flags.as_slice()) {
        ([], []) => prerequisites::defects(present, context).into_iter().filter(|defect| defect.key[0] == key).collect(),
        (_, []) => prerequisites::new_defects(&document()?, context),
        (_, of_flags) => {
            let later = flags::after(context, of_flags)?;
            prerequisites::new_defects_after(&document()?, &Context::of_daemon(&later), context)
        }
    };
    found.iter().find(|defect| defect.stops()).map(prerequisites::Defect::objection)
}

/// Why it can't be told whether the running daemon has a value that is right on disk, if it can't.
fn not_seen(key: &KeyWant, setting: &Setting, context: &Context) -> Option<String> {
    let facts = context.facts;
    let process =
        facts.daemon.process.known().filter(|_| key.live.is_some() && !matches!(setting.origin, Origin::Flag { .. }))?;
    let file = facts.files.get(&context.effective.path).and_then(Fact::known);
    let changed_since = file.is_some_and(|file| file.changed_ns() > process.started_ns);
    let why = match &facts.daemon.api {
        Fact::Known(_) => return None,
        Fact::Unknown(why) => why.as_str(),
        Fact::Absent => "its API does not answer",
    };
    changed_since.then(|| format!("{} was changed since dockerd started, and {why}", context.effective.path))
}

/// The fix of a wrong value.
fn fix(key: &KeyWant, setting: &Setting, in_force: bool, context: &Context) -> Outcome {
    if let Origin::Wrapped { place, inside } = &setting.origin {
        return Outcome::Manual(format!(
            "`{inside}` at {place} is no key of dockerd, but its booleans take effect; take it out"
        ));
    }
    let op = match (wanted(key, setting), &setting.origin) {
        (Ok(op), _) => op,
        (Err(reason), Origin::Flag { text, place }) => {
            return Outcome::Manual(format!("{reason}; {}", flags::by_hand(text, place.as_deref())));
        }
        (Err(reason), _) => return Outcome::Manual(reason),
    };
    if key.live == Some(Live::BridgeIcc) && running_containers(context) > 0 {
        return Outcome::Manual(
            "dockerd keeps the bridge as it is while containers run through its restart; stop them, then run harden again"
                .into(),
        );
    }
    match (&setting.origin, context.effective.flag(&key.name)) {
        (Origin::Flag { text, place }, _) => fix_flag(key, op, in_force, text, place.as_deref(), context),
        // Beside the flag that it was started with, the running dockerd would refuse the key at every reload.
        (_, Some((_, Origin::Flag { text, .. }))) => Outcome::Manual(format!(
            "the running dockerd was started with the flag {text}, which {SERVICE} no longer gives; restart it, then run harden again"
        )),
        _ => match write(key, op, in_force, context) {
            Ok(edit) => Outcome::Fixable(vec![edit]),
            Err(reason) => Outcome::Manual(reason),
        },
    }
}

/// What is to be done with a key.
fn wanted(key: &KeyWant, setting: &Setting) -> Result<Op, String> {
    Ok(match &key.fix {
        KeyFix::Manual(reason) => return Err(reason.clone()),
        KeyFix::Remove => Op::Remove,
        KeyFix::RemoveElements => {
            let offending = setting.value.as_ref().map(|value| key.expect.offending(value)).unwrap_or_default();
            Op::RemoveElements(offending.into_iter().map(str::to_owned).collect())
        }
        KeyFix::Set(value) => Op::Set(value.clone()),
        KeyFix::Merge => match key.expect.merged(setting.value.as_ref()) {
            Some(value) => Op::Set(value),
            None => return Err(format!("set {} to {} yourself", target(key), key.expect)),
        },
        KeyFix::Expected => match key.expect.is.clone().or_else(|| key.expect.one_of.as_ref()?.first().cloned()) {
            Some(value) => Op::Set(value),
            None => return Err(format!("set {} to {} yourself", target(key), key.expect)),
        },
    })
}

/// The edit of daemon.json, if this engine knows the key.
fn write(key: &KeyWant, op: Op, in_force: bool, context: &Context) -> Result<Edit, String> {
    let effective = &context.effective;
    if matches!(op, Op::Set(_)) && !daemon_keys::accepted(&key.name, effective.version) {
        return Err(match effective.version {
            Some(version) => format!("Docker {version} does not know the key {} and would not start with it", key.name),
            None => format!(
                "not every Docker since 20.10 knows the key {}, and this one's version is unknown; say it with --docker-version",
                key.name
            ),
        });
    }
    let path = std::iter::once(key.name.clone()).chain(key.member.clone()).collect();
    let activation = if in_force { None } else { activation(&key.name, context) };
    Ok(Edit::DaemonKey { file: effective.path.clone(), edit: daemon_json::Edit { path, op }, activation })
}

/// The fix of a value that a flag gives: the flag is corrected where it stands, so that daemon.json never has a key that the running
/// dockerd has as a flag. Where daemon.json has it already, the flag goes, and what the file says is mended there.
fn fix_flag(key: &KeyWant, op: Op, in_force: bool, text: &str, place: Option<&str>, context: &Context) -> Outcome {
    let effective = &context.effective;
    let in_file = effective.without_flags(&key.name, key.member.as_deref());
    let twice = matches!(&effective.file, ConfigFile::Parsed(document) if document.value().get(&key.name).is_some());
    if !twice {
        let path = std::iter::once(key.name.clone()).chain(key.member.clone()).collect();
        return flags::correct(context, daemon_json::Edit { path, op }, in_force, text, place);
    }
    let edit = daemon_json::Edit { path: vec![key.name.clone()], op: Op::Remove };
    let outcome = flags::correct(context, edit, in_force, text, place);
    match outcome {
        Outcome::Fixable(mut edits) if !complies(key, &in_file) => {
            let edit = wanted(key, &in_file).and_then(|op| write(key, op, in_force, context));
            edit.map_or_else(Outcome::Manual, |edit| {
                edits.push(edit);
                Outcome::Fixable(edits)
            })
        }
        outcome => outcome,
    }
}

/// What is configured is right, but the running daemon has something else.
fn activate(key: &KeyWant, setting: &Setting, live: Option<&Value>, context: &Context) -> Outcome {
    let Some(action) = activation(&key.name, context) else { return Outcome::Compliant { note: None } };
    // What a restart would change behind the user's back, harden does not restart for.
    if let (KeyFix::Manual(reason), Action::DockerRestart) = (&key.fix, action) {
        return Outcome::Manual(reason.clone());
    }
    if key.live == Some(Live::BridgeIcc) && running_containers(context) > 0 {
        return Outcome::Manual("it takes effect when dockerd next starts without running containers".into());
    }
    // A reload reads only keys that are there: a value that comes from the default must be written down to get in force.
    let explicit = match (&setting.origin, action) {
        (Origin::Default, Action::DockerReload) => match live {
            Some(Value::Array(_)) => Some(Value::Array(Vec::new())),
            _ => setting.value.clone(),
        },
        _ => None,
    };
    Outcome::Fixable(vec![match explicit {
        Some(value) => Edit::DaemonKey {
            file: context.effective.path.clone(),
            edit: daemon_json::Edit { path: vec![key.name.clone()], op: Op::Set(value) },
            activation: Some(action),
        },
        None if action == Action::DockerRestart && context.effective.flag(&key.name).is_some() => {
            return restart_with_new_flags(context.facts);
        }
        None if action == Action::DockerRestart => return restart(context.facts),
        None => Edit::Activate(action),
    }])
}

/// Nothing is left to do but a restart.
fn restart(facts: &Facts) -> Outcome {
    match restart_by_hand(facts) {
        Some(how) => Outcome::Manual(format!("it takes effect at the next start of dockerd; {how}")),
        None => Outcome::Fixable(vec![Edit::Activate(Action::DockerRestart)]),
    }
}

/// Nothing is left to do but a restart with the unit as it is: systemd may not have read it since it was changed.
pub(crate) fn restart_with_new_flags(facts: &Facts) -> Outcome {
    match restart(facts) {
        Outcome::Fixable(edits) => Outcome::Fixable([vec![Edit::Activate(Action::SystemdReload)], edits].concat()),
        other => other,
    }
}

/// Whether containers outlive a restart of dockerd once these verdicts are fixed: live-restore is on in the dockerd that stops (or a
/// reload switches it on before) and in the configuration of the one that starts.
pub fn containers_survive<'v, 'c: 'v>(fixed: impl Iterator<Item = &'v Verdict<'c>>, context: &Context) -> bool {
    let on = Some(Value::Bool(true));
    let mut configured = context.effective.setting(LIVE_RESTORE, None).value == on;
    let mut in_force = context.facts.daemon.api.known().and_then(|api| api.live_restore) == Some(true);
    for verdict in fixed.filter(|verdict| verdict.target == LIVE_RESTORE) {
        let Outcome::Fixable(edits) = &verdict.outcome else { continue };
        for edit in edits {
            match edit {
                Edit::DaemonKey { edit, activation, .. } => {
                    configured |= edit.op == Op::Set(Value::Bool(true));
                    in_force |= *activation == Some(Action::DockerReload);
                }
                Edit::DaemonFlag { edit, .. } => {
                    let in_file = || context.effective.without_flags(LIVE_RESTORE, None).value == on;
                    configured |= edit.op == Op::Set(Value::Bool(true)) || edit.op == Op::Remove && in_file();
                }
                Edit::Activate(action) => in_force |= *action == Action::DockerReload,
                _ => {}
            }
        }
    }
    configured && in_force
}

/// How the user restarts dockerd where harden can't; `None` when it can.
pub fn restart_by_hand(facts: &Facts) -> Option<String> {
    if let Some(how) = layout::restart_by_hand(facts) {
        return Some(how);
    }
    let starter = Supervisor::name(facts.host.service_manager);
    let how = || format!("{starter} did not start this dockerd: restart it the way it was started");
    Supervisor::of(facts).is_none().then(how)
}

/// What puts a changed key in force; `None` when no daemon runs. A reload changes nothing that flags give.
fn activation(key: &str, context: &Context) -> Option<Action> {
    context.facts.daemon.process.known()?;
    let reload = context.effective.flag(key).is_none()
        && daemon_keys::reloadable(key, context.effective.version)
        && context.effective.reload_is_harmful().is_none();
    Some(if reload { Action::DockerReload } else { Action::DockerRestart })
}

/// A right value that the running daemon can't have read yet, or may not have: the file changed since the process started, and nothing
/// but a start reads it.
fn pending(key: &KeyWant, seen_live: bool, context: &Context) -> Option<Outcome> {
    let facts = context.facts;
    let process = facts.daemon.process.known()?;
    if seen_live || daemon_keys::reloadable(&key.name, context.effective.version) {
        return None;
    }
    let file = facts.files.get(&context.effective.path)?.known()?;
    let ConfigFile::Parsed(document) = &context.effective.file else { return None };
    if file.changed_ns() <= process.started_ns {
        return None;
    }
    let now = document.value().get(&key.name);
    // What the file said when the daemon started is in harden's own record, where harden made the change. Else a key that is not
    // there may never have been.
    let at_start = facts.daemon.config_at_start.known().and_then(|content| Document::parse(&content.0).ok());
    if let Some(then) = at_start {
        return (then.value().get(&key.name) != now).then(|| restart(facts));
    }
    now?;
    // An old file that changed: its mode alone, perhaps; but a copy with its times, or a file put back, looks the same.
    if file.mtime_ns <= process.started_ns {
        return Some(Outcome::Unknown(format!(
            "{} was changed since dockerd started, its content perhaps not, so whether dockerd has read it can't be told; a restart \
             of dockerd settles it",
            context.effective.path
        )));
    }
    Some(restart(facts))
}

fn running_containers(context: &Context) -> u64 {
    context.facts.daemon.api.known().and_then(|api| api.containers_running).unwrap_or(0)
}

/// The reason why a control does not apply, if the condition holds; an error when that can't be told.
fn holds(condition: DaemonCondition, context: &Context) -> Result<Option<String>, String> {
    let facts = context.facts;
    let text = |key: &str| {
        let setting = context.effective.setting(key, None);
        setting.value.and_then(|value| value.as_str().map(str::to_owned))
    };
    Ok(match condition {
        DaemonCondition::SwarmActive => swarm(facts, context)?,
        DaemonCondition::LogDriverNotJsonFile => text("log-driver")
            .filter(|driver| driver != "json-file")
            .map(|driver| format!("the default log driver is {driver}, not json-file")),
        DaemonCondition::SelinuxOff => match &facts.host.selinux_enforcing {
            Fact::Known(_) => None,
            Fact::Absent if facts.host.live => Some("SELinux is off in this kernel".into()),
            Fact::Absent => Some("SELinux is not switched on in /etc/selinux/config".into()),
            Fact::Unknown(why) => return Err(why.clone()),
        },
        DaemonCondition::NoRemoteTcp => {
            if let Some(why) = context.effective.uncertain("hosts", facts) {
                return Err(why);
            }
            listens::beyond_this_host(context).is_empty().then(|| "the engine listens on no TCP address but loopback".into())
        }
        DaemonCondition::Rootless => {
            let options = facts.daemon.api.known().and_then(|api| api.security_options.as_ref());
            let told = options.is_some_and(|options| options.iter().any(|option| option == "name=rootless"));
            let rootless = told || layout::owner(facts).is_some();
            rootless.then(|| "dockerd is rootless, and root in its containers is its user".into())
        }
        DaemonCondition::NoDefaultBridge => {
            text("bridge").filter(|bridge| bridge == "none").map(|_| "dockerd has no default bridge (bridge: none)".into())
        }
    })
}

/// Trap: a reload accepts live-restore on a node of a swarm, and only the next start fails.
fn live_restore_configured(want: &DaemonWant, context: &Context) -> bool {
    let on = |key: &KeyWant| context.effective.setting(&key.name, None).value == Some(Value::Bool(true));
    want.key.iter().any(|key| key.name == LIVE_RESTORE && on(key))
}

/// A node of a swarm must not have live-restore: its next start would fail.
pub(crate) fn swarm(facts: &Facts, context: &Context) -> Result<Option<String>, String> {
    let state = facts.daemon.api.known().and_then(|api| api.swarm_state.clone());
    let active = match state {
        Some(state) => !matches!(state.as_str(), "inactive" | ""),
        None => noted_swarm(context)?,
    };
    Ok(active.then(|| "this node is in a swarm, which refuses live-restore".into()))
}

/// Whether the node is in a swarm by the engine's own note, which is there while no daemon runs.
pub(crate) fn noted_swarm(context: &Context) -> Result<bool, String> {
    let facts = context.facts;
    let path = format!("{}/{SWARM_STATE}", context.effective.data_root(facts));
    match facts.files.get(&path) {
        Some(Fact::Known(_)) => Ok(true),
        Some(Fact::Absent) => Ok(false),
        Some(Fact::Unknown(why)) => Err(format!("whether this node is in a swarm can't be told: {why}")),
        None => Err("whether this node is in a swarm was not looked at".into()),
    }
}

/// Why a prerequisite is not met, if it is not; then the key is withheld, because dockerd would not start with it.
fn missing(needed: Prerequisite, key: &KeyWant, context: &Context) -> Option<String> {
    let host = &context.facts.host;
    match needed {
        Prerequisite::Iptables => {
            let off = context.effective.setting("iptables", None).value == Some(Value::Bool(false));
            let why = match key.name.as_str() {
                "icc" => "dockerd does not start with icc off while iptables is off",
                _ => "while iptables is off, the proxy alone publishes ports",
            };
            off.then(|| format!("{why}; switch iptables on (daemon-iptables-enabled), then run harden again"))
        }
        // Those keys themselves come first.
        Prerequisite::TlsKeyPair if key.name != "tlsverify" => None,
        Prerequisite::TlsKeyPair => {
            let open =
                ["tlscacert", "tlscert", "tlskey"].into_iter().find(|key| context.effective.configured(key).is_none())?;
            Some(format!("dockerd does not verify clients without `{open}`; set the variables tls.ca, tls.cert and tls.key"))
        }
        Prerequisite::SelinuxEnforcing => match &host.selinux_enforcing {
            Fact::Known(true) => None,
            _ => Some(
                "SELinux is not enforcing: containers would get labels that protect nothing; set SELINUX=enforcing first"
                    .into(),
            ),
        },
    }
}

/// The value that is in force, as far as the API shows it.
fn live_value(live: Live, context: &Context) -> Option<Value> {
    let api: &ApiFacts = context.facts.daemon.api.known()?;
    let option = |name: &str| {
        let options = api.security_options.as_ref()?;
        Some(options.iter().find(|option| option.split(',').next() == Some(&format!("name={name}"))))
    };
    let list = |list: &Option<Vec<String>>| list.as_ref().map(|list| list.iter().cloned().map(Value::String).collect());
    match live {
        Live::Debug => api.debug.map(Value::Bool),
        Live::LiveRestore => api.live_restore.map(Value::Bool),
        Live::Experimental => api.experimental.map(Value::Bool),
        // Engines before 24.0 never show it.
        Live::NoNewPrivileges => {
            let shows = context.effective.version.is_some_and(|version| version >= daemon_keys::EngineVersion::new(24, 0, 0));
            shows.then(|| option("no-new-privileges").map(|found| Value::Bool(found.is_some()))).flatten()
        }
        Live::Seccomp => {
            let Some(seccomp) = option("seccomp")? else { return Some(Value::from(NO_SECCOMP)) };
            seccomp.split(',').find_map(|part| part.strip_prefix("profile=")).map(|profile| match profile {
                "default" => Value::String("builtin".into()),
                profile => Value::String(profile.into()),
            })
        }
        Live::Selinux => option("selinux").map(|found| Value::Bool(found.is_some())),
        Live::LoggingDriver => api.logging_driver.clone().map(Value::String),
        Live::StorageDriver => api.storage_driver.clone().map(Value::String),
        Live::InsecureRegistries => list(&api.insecure_registries),
        Live::RegistryMirrors => list(&api.registry_mirrors),
        Live::BridgeIcc => api.bridge_icc.map(Value::Bool),
        Live::Userns => option("userns").map(|found| match found {
            // Which account the remapping is of, only the configuration says.
            Some(_) => context.effective.configured("userns-remap").unwrap_or_else(|| "default".into()),
            None => Value::String(String::new()),
        }),
    }
}

fn live_source(live: Live) -> &'static str {
    match live {
        Live::Debug => "API /info Debug",
        Live::LiveRestore => "API /info LiveRestoreEnabled",
        Live::Experimental => "API /info ExperimentalBuild",
        Live::NoNewPrivileges | Live::Seccomp | Live::Selinux | Live::Userns => "API /info SecurityOptions",
        Live::LoggingDriver => "API /info LoggingDriver",
        Live::StorageDriver => "API /info Driver",
        Live::InsecureRegistries | Live::RegistryMirrors => "API /info RegistryConfig",
        Live::BridgeIcc => "API /networks/bridge enable_icc",
    }
}
