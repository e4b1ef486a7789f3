//! Programs: run without a shell, with a time limit, and with the end of what they said in the error.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How much of a program's last words an error repeats.
const LAST_WORDS: usize = 400;
const POLL: Duration = Duration::from_millis(10);

/// Runs a program to its end.
///
/// # Errors
/// When it can't be started, ends with another status than 0, or does not end in time (then it is killed).
pub fn run(program: &str, args: &[&str], timeout: Duration) -> Result<()> {
    spawn_and_wait(program, args, Stdio::piped(), timeout)
}

/// Runs a program that leaves a daemon behind. What it says is lost: a daemon that wrote to harden's end of a pipe would be killed
/// by its next line once harden is gone.
///
/// # Errors
/// As for [`run`].
pub fn run_starting_daemon(program: &str, args: &[&str], timeout: Duration) -> Result<()> {
    spawn_and_wait(program, args, Stdio::null(), timeout)
}

fn spawn_and_wait(program: &str, args: &[&str], stderr: Stdio, timeout: Duration) -> Result<()> {
    let shown = || format!("{program} {}", args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        // What starts services lies where a cron job does not look.
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into())))
        // Ctrl-C is for harden, which finishes the step in hand.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .map_err(|error| Error::failure(format!("cannot start `{}`: {error}", shown())))?;
    let stderr = child.stderr.take();
    let words = std::thread::spawn(move || {
        let mut text = Vec::new();
        // Bounded: a program that never stops talking must not fill the memory.
        let _ = stderr.map(|stderr| stderr.take(1 << 20).read_to_end(&mut text));
        text
    });
    let deadline = Instant::now() + timeout;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::failure(format!("`{}` did not end within {} s", shown(), timeout.as_secs())));
            }
            Err(error) => return Err(Error::failure(format!("cannot wait for `{}`: {error}", shown()))),
        }
    };
    if status.success() {
        return Ok(());
    }
    let words = words.join().unwrap_or_default();
    let words = String::from_utf8_lossy(&words[words.len().saturating_sub(LAST_WORDS)..]).trim().to_owned();
    let colon = if words.is_empty() { "" } else { ": " };
    Err(Error::failure(format!("`{}` failed ({status}){colon}{words}", shown())))
}
