//! Puts changed files in force: reloads systemd, reloads or restarts dockerd.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::change::Action;
use crate::error::{Error, Result};
use crate::fact::Fact;
use crate::host::{Host, exec, process};
use crate::kinds::effective::SERVICE;

/// How long the daemon may take to answer after a restart.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(30);
/// How long `systemctl` may take; a daemon that stops many containers is slow.
const SYSTEMCTL_TIMEOUT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// Carries out one activation and waits until it can be seen.
///
/// # Errors
/// When a program fails, or the daemon does not answer in time.
pub fn activate(host: &Host, action: Action) -> Result<()> {
    match action {
        // The rules are added as a change of the plan; nothing else has to happen.
        Action::AuditLoad => Ok(()),
        Action::SystemdReload => exec::run("systemctl", &["daemon-reload"], SYSTEMCTL_TIMEOUT),
        Action::DockerReload => reload(host),
        Action::DockerRestart => {
            exec::run("systemctl", &["restart", SERVICE], SYSTEMCTL_TIMEOUT)?;
            wait_until_healthy(host)
        }
    }
}

/// SIGHUP to the dockerd that was observed. The same process must still be there: a pid may have been given to another.
fn reload(host: &Host) -> Result<()> {
    let Fact::Known(daemon) = host.find_dockerd(None, true) else {
        return Err(Error::failure("dockerd is gone; it can't be told to reload").help("systemctl status docker"));
    };
    match process::read(daemon.pid) {
        Fact::Known(now) if now.started_ns == daemon.started_ns && now.exe == daemon.exe => {}
        _ => return Err(Error::failure(format!("process {} is no longer the dockerd that was looked at", daemon.pid))),
    }
    kill(Pid::from_raw(daemon.pid), Signal::SIGHUP)
        .map_err(|errno| Error::failure(format!("cannot signal dockerd (process {}): {}", daemon.pid, errno.desc())))?;
    // dockerd reads its file a moment after the signal.
    std::thread::sleep(POLL);
    wait_until_healthy(host)
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
