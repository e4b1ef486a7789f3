//! Puts changed files in force: reloads systemd, reloads or restarts dockerd.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::change::Action;
use crate::error::{Error, Result};
use crate::fact::{Fact, Facts};
use crate::host::{Host, exec};
use crate::kinds::effective::{ConfigFile, Effective, SERVICE, SOCKET};
use crate::kinds::supervisor::Supervisor;
use crate::kinds::{daemon, reload};
use crate::observe;

/// How long a dockerd that stops many containers may take to end: what systemd gives a service by default.
const STOPPING: Duration = Duration::from_secs(90);
/// How long what does not wait for dockerd may take.
const SYSTEMCTL_TIMEOUT: Duration = Duration::from_secs(60);
/// How long the daemon may take to read its file after SIGHUP.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);
const LIVE_RESTORE: &str = "live-restore";
const DEBUG: &str = "debug";
const POLL: Duration = Duration::from_millis(100);

/// Carries out one activation and waits until it can be seen.
///
/// # Errors
/// When it would do harm now, a program fails, or the daemon does not answer in time.
pub fn activate(host: &Host, action: Action) -> Result<()> {
    match action {
        // The rules are added, the parameters set, as a change of the plan; nothing else has to happen.
        Action::AuditLoad | Action::Sysctl => Ok(()),
        Action::SystemdReload => exec::run("systemctl", &["daemon-reload"], SYSTEMCTL_TIMEOUT),
        Action::DockerReload => reload(host),
        Action::DockerRestart => restart(host),
    }
}

/// Refuses an activation that would do harm now, whatever was planned, recorded or saved: a reload must never switch authorization off.
/// A refused one has not happened.
///
/// # Errors
/// With the reason.
pub fn refuse_harm(host: &Host, action: Action) -> Result<()> {
    match action {
        Action::DockerReload => reloadable(host).map(drop),
        Action::AuditLoad | Action::Sysctl | Action::SystemdReload | Action::DockerRestart => Ok(()),
    }
}

/// Restarts dockerd by what started it; containers that live-restore keeps must be the same processes afterwards.
fn restart(host: &Host) -> Result<()> {
    let (supervisor, runs) = supervisor(host)?;
    if supervisor == Supervisor::Systemd {
        // systemd counts starts, failed and good ones, and refuses one too many; here each is wanted.
        let _ = exec::run("systemctl", &["reset-failed", SERVICE, SOCKET], SYSTEMCTL_TIMEOUT);
    }
    let kept = (stopped_by_restart(host) == Some(0)).then(|| host.running_containers().ok()).flatten();
    // Debian's script can't restart what does not run.
    let verb = if supervisor == Supervisor::Sysv && !runs { "start" } else { "restart" };
    have(host, supervisor, verb)?;
    wait_until_healthy(host)?;
    kept.map_or(Ok(()), |kept| still_running(host, &kept))
}

/// What stops and starts dockerd here, and whether it runs.
///
/// # Errors
/// When dockerd was started by nothing that harden can tell to do so.
pub fn supervisor(host: &Host) -> Result<(Supervisor, bool)> {
    let facts = observe::find_docker(host);
    let runs = facts.daemon.process.known().is_some();
    Supervisor::of(&facts).map(|supervisor| (supervisor, runs)).ok_or_else(|| {
        let why = match &facts.daemon.process {
            Fact::Unknown(why) => why.clone(),
            _ => daemon::restart_by_hand(&facts).unwrap_or_default(),
        };
        Error::failure(format!("dockerd can't be restarted: {why}"))
    })
}

/// Has it stop or restart dockerd, which may take as long as dockerd may.
///
/// # Errors
/// When it fails, or does not end in time.
pub fn have(host: &Host, supervisor: Supervisor, verb: &'static str) -> Result<()> {
    let [program, args @ ..] = supervisor.command(verb);
    let limit = host.health_timeout + STOPPING;
    match supervisor {
        Supervisor::Systemd => exec::run(program, &args, limit),
        Supervisor::Sysv | Supervisor::Openrc => exec::run_starting_daemon(program, &args, limit),
    }
}

/// The containers that a restart should keep still run, as the same processes.
fn still_running(host: &Host, before: &BTreeMap<String, i64>) -> Result<()> {
    let now = host.running_containers()?;
    let gone: Vec<&str> =
        before.iter().filter(|(id, pid)| now.get(*id) != Some(pid)).map(|(id, _)| &id[..12.min(id.len())]).collect();
    match gone.as_slice() {
        [] => Ok(()),
        gone => {
            Err(Error::failure(format!("after the restart of dockerd these containers no longer run: {}", gone.join(", ")))
                .help("docker ps --all; journalctl -u docker --since -5min"))
        }
    }
}

/// How many containers a restart of dockerd would stop now, when it starts again with its file as it is. `None`: no dockerd answers,
/// so that nobody can tell.
///
/// What is kept running takes live-restore twice: in the dockerd that stops and in the one that starts.
pub fn stopped_by_restart(host: &Host) -> Option<u64> {
    let facts = observe::find_docker(host);
    facts.daemon.process.known()?;
    let api = host.ask().api;
    let api = api.known()?;
    let configured = configured(&facts, LIVE_RESTORE) == Some(true);
    if configured && api.live_restore == Some(true) { Some(0) } else { api.containers_running }
}

/// SIGHUP to dockerd, which reads its file a moment later. What reading it does can only be seen in what dockerd says of itself:
/// it accepts every signal, and keeps its old settings if it refuses the file.
fn reload(host: &Host) -> Result<()> {
    let (facts, pid) = reloadable(host)?;
    kill(Pid::from_raw(pid), Signal::SIGHUP)
        .map_err(|errno| Error::failure(format!("cannot signal dockerd (process {pid}): {}", errno.desc())))?;
    std::thread::sleep(POLL);
    wait_until_healthy(host)?;
    let shown = |key| Some((key, configured_in_file(&facts, key)?));
    wait_until_taken_over(host, &[LIVE_RESTORE, DEBUG].into_iter().filter_map(shown).collect::<Vec<_>>())
}

/// The running dockerd and its process id, if it may be told to reload.
fn reloadable(host: &Host) -> Result<(Facts, i32)> {
    let gone = |why: &str| {
        Error::failure(format!("dockerd can't be told to reload: {why}"))
            .help("see how it is: systemctl status docker, or its log")
    };
    let process = observe::find_docker(host).daemon.process;
    if process.is_absent() {
        return Err(gone("dockerd is gone"));
    }
    // A dockerd that still starts has no handler for the signal, and would end.
    wait_until_healthy(host)?;
    let facts = observe::observe_docker(host);
    let pid = match &facts.daemon.process {
        Fact::Known(process) => process.pid,
        Fact::Absent => return Err(gone("dockerd is gone")),
        Fact::Unknown(why) => return Err(gone(why)),
    };
    match reload::harm(&facts) {
        None => Ok((facts, pid)),
        Some(why) => Err(Error::failure(format!("dockerd was not told to reload: {why}"))
            .help("restart dockerd yourself; --no-activate leaves what is to be done after writing to you")),
    }
}

/// What the running dockerd would have after its next start, of a key that is true or false: by flag, else by its file.
fn configured(facts: &Facts, key: &str) -> Option<bool> {
    let effective = Effective::of(facts);
    let flag = effective.running.as_ref().and_then(|flags| flags.get(key)?.as_bool());
    flag.or_else(|| configured_in_file(facts, key))
}

fn configured_in_file(facts: &Facts, key: &str) -> Option<bool> {
    match Effective::of(facts).file {
        ConfigFile::Parsed(document) => document.get(&[key])?.as_bool(),
        _ => None,
    }
}

/// Without this, a restart right after a reload could come before live-restore is on, and stop every container.
fn wait_until_taken_over(host: &Host, wanted: &[(&'static str, bool)]) -> Result<()> {
    let deadline = Instant::now() + RELOAD_TIMEOUT;
    loop {
        let api = host.ask().api;
        let shown = |key| match (key, api.known()) {
            (LIVE_RESTORE, Some(api)) => api.live_restore,
            (_, Some(api)) => api.debug,
            (_, None) => None,
        };
        let Some((key, value)) = wanted.iter().find(|(key, value)| shown(*key) != Some(*value)) else { return Ok(()) };
        if Instant::now() >= deadline {
            let waited = RELOAD_TIMEOUT.as_secs();
            return Err(Error::failure(format!("{waited} s after the reload, dockerd still does not have {key}: {value}"))
                .help("see why it refused its file: journalctl -u docker --since -5min"));
        }
        std::thread::sleep(POLL);
    }
}

/// Waits until a dockerd runs and answers, wherever it listens now.
fn wait_until_healthy(host: &Host) -> Result<()> {
    let deadline = Instant::now() + host.health_timeout;
    loop {
        let why = match observe::find_docker(host).daemon.process {
            // Where systemd listens, asking would start Docker.
            Fact::Absent => "it does not run".to_owned(),
            Fact::Known(_) | Fact::Unknown(_) => {
                match host.ping(deadline.saturating_duration_since(Instant::now()).max(POLL)) {
                    Ok(()) => return Ok(()),
                    Err(error) => error.what,
                }
            }
        };
        if Instant::now() >= deadline {
            return Err(Error::failure(format!("dockerd does not answer after {} s: {why}", host.health_timeout.as_secs()))
                .help("journalctl -u docker --since -5min; a slow host may need a longer --health-timeout"));
        }
        std::thread::sleep(POLL);
    }
}
