//! Puts changed files in force: reloads systemd, reloads or restarts dockerd.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::change::Action;
use crate::error::{Error, Result};
use crate::fact::{Fact, ProcessFact};
use crate::formats::argv;
use crate::formats::daemon_json::Document;
use crate::host::fs::Want;
use crate::host::{Host, exec};
use crate::kinds::effective::{DEFAULT_CONFIG_FILE, SERVICE, SOCKET};

/// How long the daemon may take to answer after a restart.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
/// How long `systemctl` may take; a daemon that stops many containers is slow.
const SYSTEMCTL_TIMEOUT: Duration = Duration::from_secs(120);
/// How long the daemon may take to read its file after SIGHUP.
const RELOAD_TIMEOUT: Duration = Duration::from_secs(10);
const LIVE_RESTORE: &str = "live-restore";
const DEBUG: &str = "debug";
const POLL: Duration = Duration::from_millis(100);

/// Carries out one activation and waits until it can be seen.
///
/// # Errors
/// When a program fails, or the daemon does not answer in time.
pub fn activate(host: &Host, action: Action) -> Result<()> {
    match action {
        // The rules are added, the parameters set, as a change of the plan; nothing else has to happen.
        Action::AuditLoad | Action::Sysctl => Ok(()),
        Action::SystemdReload => exec::run("systemctl", &["daemon-reload"], SYSTEMCTL_TIMEOUT),
        Action::DockerReload => reload(host),
        Action::DockerRestart => {
            // systemd counts starts, failed and good ones, and refuses one too many; here each is wanted.
            let _ = exec::run("systemctl", &["reset-failed", SERVICE, SOCKET], SYSTEMCTL_TIMEOUT);
            let kept = (stopped_by_restart(host) == Some(0)).then(|| host.running_containers().ok()).flatten();
            exec::run("systemctl", &["restart", SERVICE], SYSTEMCTL_TIMEOUT)?;
            wait_until_healthy(host)?;
            kept.map_or(Ok(()), |kept| still_running(host, &kept))
        }
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
    let Fact::Known(daemon) = host.find_dockerd(None, true) else { return None };
    let api = host.ask().api;
    let api = api.known()?;
    let flag = argv::parse(&daemon.argv).get(LIVE_RESTORE).and_then(serde_json::Value::as_bool);
    let in_file = configured(host, &daemon).into_iter().find(|(key, _)| *key == LIVE_RESTORE).map(|(_, value)| value);
    let kept = api.live_restore == Some(true) && flag.or(in_file) == Some(true);
    if kept { Some(0) } else { api.containers_running }
}

/// SIGHUP to dockerd, which reads its file a moment later. What reading it does can only be seen in what dockerd says of itself:
/// it accepts every signal, and keeps its old settings if it refuses the file.
fn reload(host: &Host) -> Result<()> {
    let daemon = match host.find_dockerd(None, true) {
        Fact::Known(daemon) => daemon,
        Fact::Absent => return Err(gone("dockerd is gone".into())),
        Fact::Unknown(why) => return Err(gone(why)),
    };
    // A dockerd that still starts has no handler for the signal, and would end.
    wait_until_healthy(host)?;
    kill(Pid::from_raw(daemon.pid), Signal::SIGHUP)
        .map_err(|errno| Error::failure(format!("cannot signal dockerd (process {}): {}", daemon.pid, errno.desc())))?;
    std::thread::sleep(POLL);
    wait_until_healthy(host)?;
    wait_until_taken_over(host, &configured(host, &daemon))
}

fn gone(why: String) -> Error {
    Error::failure(format!("dockerd can't be told to reload: {why}")).help("systemctl status docker")
}

/// What the file of a running dockerd says of the keys that the API shows and a reload changes.
fn configured(host: &Host, daemon: &ProcessFact) -> Vec<(&'static str, bool)> {
    let path = argv::parse(&daemon.argv).config_file.unwrap_or_else(|| DEFAULT_CONFIG_FILE.into());
    let file = host.root.look(&path, Want::CONTENT);
    let content = file.known().and_then(|file| file.content.as_ref());
    let Some(document) = content.and_then(|content| Document::parse(&content.0).ok()) else { return Vec::new() };
    let value = |key| Some((key, document.value().get(key)?.as_bool()?));
    [LIVE_RESTORE, DEBUG].into_iter().filter_map(value).collect()
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

fn wait_until_healthy(host: &Host) -> Result<()> {
    let deadline = Instant::now() + HEALTH_TIMEOUT;
    loop {
        match host.ping(HEALTH_TIMEOUT) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => {
                return Err(Error::failure(format!(
                    "dockerd does not answer after {} s: {}",
                    HEALTH_TIMEOUT.as_secs(),
                    error.what
                ))
                .help("journalctl -u docker --since -5min"));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}
