//! Asks dockerd itself whether it would take a configuration file, before anything is written.
//!
//! It runs as nobody: as root, `dockerd --validate` with `userns-remap: default` creates users. Engines before 23.0 have no
//! `--validate`; there an unprivileged start does the same, because errors of the configuration come before the lack of privileges.
//! The file is a memory file that the child inherits, so secrets in it touch no disk.

use std::ffi::CString;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::change::{Change, Effect};
use crate::error::{Error, Result};
use crate::fact::{Fact, Facts};
use crate::foresight;
use crate::formats::daemon_json::{Document, Edit, Op};
use crate::formats::daemon_keys::EngineVersion;
use crate::formats::mask;
use crate::kinds::effective::{Effective, SERVICE};
use crate::plan::{Plan, drop_in_path};
use crate::reach;

/// User and group `nobody`, whatever they are called here.
const NOBODY: u32 = 65534;
const TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);
/// What an engine without `--validate` says of a file that it would take.
const PRIVILEGES: &str = "needs to be started with root";
/// How every engine begins to say what it does not take.
const REFUSAL: &str = "unable to configure the Docker daemon";
/// A configuration file that is not there.
const NO_SETTINGS: &[u8] = b"{}";
const VALIDATE_SINCE: EngineVersion = EngineVersion::new(23, 0, 0);

/// Refuses a plan whose configuration file or flags this host's dockerd would not start with. Where there is no dockerd to ask,
/// harden's own table of keys has to do.
///
/// # Errors
/// With dockerd's own words.
pub fn daemon_json(facts: &Facts, plan: &Plan) -> Result<()> {
    let path = &facts.daemon.config_file;
    let real = |path: &str| reach::real(&facts.files, path);
    let read = [real(path), real(&drop_in_path(SERVICE))];
    let rewritten = |change: &Change| match &change.effect {
        Effect::File { path, after, .. } => read.contains(path) && after.as_ref().is_none_or(|after| after.content.is_some()),
        Effect::AuditKernel { .. } | Effect::Container { .. } | Effect::Sysctl { .. } => false,
    };
    if !plan.changes.iter().any(rewritten) {
        return Ok(());
    }
    let later = foresight::after(facts, plan);
    let content = match later.files.get(path) {
        Some(Fact::Known(file)) => file.content.as_ref().map(|content| content.0.as_slice()),
        Some(Fact::Absent) => Some(NO_SETTINGS),
        _ => None,
    };
    let (Some(content), Some(program)) = (content, program(&later)) else { return Ok(()) };
    let Some(said) = ask(&program, &flags(&later), &without_remap(content), version(facts)) else { return Ok(()) };
    match said.find(REFUSAL) {
        None => Ok(()),
        Some(at) => {
            let words = mask::mask_text(said[at..].lines().next().unwrap_or_default());
            Err(Error::failure(format!("dockerd would not start with it: {words}; nothing was changed")).at(path).help(
                match plan.undoes {
                    Some(_) => "edit it by hand; its original is in the transaction's originals.json",
                    None => "leave the control out with --skip, and please report this",
                },
            ))
        }
    }
}

fn version(facts: &Facts) -> Option<EngineVersion> {
    facts.daemon.version.known().and_then(|version| EngineVersion::parse(version))
}

/// The dockerd that runs or that the unit starts.
fn program(facts: &Facts) -> Option<String> {
    let running = facts.daemon.process.known().map(|process| process.exe.clone());
    let unit = || Effective::of(facts).unit.and_then(|(exec, _)| exec.argv.first().map(|word| word.text.clone()));
    running.or_else(unit).filter(|program| program.starts_with('/'))
}

/// The flags of the next start: the unit's, else those that dockerd runs with; without the file's own.
fn flags(facts: &Facts) -> Vec<String> {
    let unit: Option<Vec<String>> =
        Effective::of(facts).unit.map(|(exec, _)| exec.argv.into_iter().map(|word| word.text).collect());
    let running = || facts.daemon.process.known().map(|process| process.argv.clone());
    let mut words = unit.filter(|words| !words.is_empty()).or_else(running).unwrap_or_default().into_iter().skip(1);
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--config-file" => drop(words.next()),
            word if word.starts_with("--config-file=") => {}
            _ => kept.push(word),
        }
    }
    kept
}

/// Without root, dockerd can't look at what this key needs.
fn without_remap(content: &[u8]) -> Vec<u8> {
    let edit = Edit { path: vec!["userns-remap".into()], op: Op::Remove };
    Document::parse(content).ok().and_then(|document| document.apply(&[edit]).ok()).unwrap_or_else(|| content.to_vec())
}

/// What dockerd says; `None` when it could not be asked, or did not come to the point.
fn ask(program: &str, flags: &[String], content: &[u8], version: Option<EngineVersion>) -> Option<String> {
    let file = memory_file(content)?;
    let mut command = Command::new(program);
    command.args(flags).arg("--config-file").arg(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if version.is_some_and(|version| version >= VALIDATE_SINCE) {
        command.arg("--validate");
    }
    command.uid(NOBODY).gid(NOBODY).env_clear().env("LC_ALL", "C").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
    let stderr = child.stderr.take();
    let words = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.map(|stderr| stderr.take(1 << 20).read_to_end(&mut text));
        text
    });
    let deadline = Instant::now() + TIMEOUT;
    while child.try_wait().ok()?.is_none() {
        if Instant::now() >= deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(POLL);
    }
    let said = String::from_utf8_lossy(&words.join().ok()?).into_owned();
    (said.contains(REFUSAL) || said.contains(PRIVILEGES) || said.contains("configuration OK")).then_some(said)
}

/// A file in memory that a child inherits.
fn memory_file(content: &[u8]) -> Option<OwnedFd> {
    let name = CString::new("daemon.json").ok()?;
    let fd = memfd_create(name.as_c_str(), MFdFlags::empty()).ok()?;
    let mut file = std::fs::File::from(fd);
    file.write_all(content).ok()?;
    Some(OwnedFd::from(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::FileImage;
    use crate::fact::{Content, FileKind, ProcessFact, UnitFacts};
    use crate::host::scratch::Scratch;

    /// A stand-in for dockerd that says this of any file, and echoes what it was asked with.
    fn verdict(scratch: &Scratch, says: &str, version: &str) -> Result<()> {
        let script = format!(
            "#!/bin/sh\necho \"$@\" > {}/asked\nid -u >> {0}/asked\ncat \"$4\" >> {0}/asked\necho '{says}' >&2\n",
            scratch.at("/out").display()
        );
        scratch.file("/dockerd", script, 0o755).dir("/out", 0o777);
        let mut facts = Facts::default();
        facts.daemon.config_file = "/etc/docker/daemon.json".into();
        facts.daemon.version = Fact::Known(version.into());
        facts.daemon.process = Fact::Known(ProcessFact {
            pid: 1,
            exe: scratch.at("/dockerd").display().to_string(),
            argv: ["dockerd", "--config-file", "/x", "-H", "fd://"].map(String::from).to_vec(),
            started_ns: 0,
            service: None,
        });
        let content = Some(Content(br#"{"debug": false, "userns-remap": "default"}"#.to_vec()));
        let after = FileImage { kind: FileKind::File, mode: 0o600, uid: 0, gid: 0, content, xattrs: None, mtime_ns: None };
        let effect = Effect::File { path: "/etc/docker/daemon.json".into(), before: None, after: Some(after) };
        let risk = crate::baseline::control::Risk::Safe;
        let change = Change { id: "c1".into(), controls: Vec::new(), risk, summary: String::new(), effect };
        daemon_json(&facts, &Plan { changes: vec![change], ..Plan::default() })
    }

    #[test]
    fn dockerd_is_asked_as_nobody_with_its_own_flags_and_the_very_bytes() {
        let scratch = Scratch::new();
        verdict(&scratch, "configuration OK", "28.5.2").unwrap();
        let asked = scratch.text("/out/asked");
        let mut lines = asked.lines();
        let words = lines.next().unwrap();
        assert!(words.starts_with("-H fd:// --config-file /proc/self/fd/") && words.ends_with(" --validate"), "{words}");
        assert_eq!(lines.next(), Some("65534"));
        assert_eq!(lines.next(), Some(r#"{"debug": false}"#));
    }

    /// Flags alone may change, forth and back; the file is not there.
    #[test]
    fn dockerd_is_asked_with_the_flags_of_the_next_start() {
        let scratch = Scratch::new();
        let out = scratch.at("/out").display().to_string();
        scratch.file("/dockerd", format!("#!/bin/sh\necho \"$@\" > {out}/asked\ncat \"$4\" >> {out}/asked\n"), 0o755);
        scratch.dir("/out", 0o777);
        let program = scratch.at("/dockerd").display().to_string();
        let unit = format!("[Service]\nExecStart={program} --icc=true -D\n");
        let drop_in = format!("[Service]\nExecStart=\nExecStart={program} --icc=false -D\n");
        let image = |text: &str| FileImage {
            kind: FileKind::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            content: Some(Content(text.into())),
            xattrs: None,
            mtime_ns: None,
        };
        let path = drop_in_path(SERVICE);
        let mut facts = Facts::default();
        facts.daemon.config_file = "/etc/docker/daemon.json".into();
        facts.files.insert(facts.daemon.config_file.clone(), Fact::Absent);
        facts.daemon.process = Fact::Absent;
        facts = foresight::with_file(&facts, "/u/docker.service", &image(&unit));
        let fact = UnitFacts { fragment: "/u/docker.service".into(), ..UnitFacts::default() };
        facts.units.insert(SERVICE.into(), Fact::Known(fact));
        let asked = |facts: &Facts, after: Option<FileImage>| {
            let effect = Effect::File { path: path.clone(), before: None, after };
            let risk = crate::baseline::control::Risk::Safe;
            let change = Change { id: "c1".into(), controls: Vec::new(), risk, summary: String::new(), effect };
            daemon_json(facts, &Plan { changes: vec![change], ..Plan::default() }).unwrap();
            scratch.text("/out/asked").replace(char::is_numeric, "")
        };
        assert_eq!(asked(&facts, Some(image(&drop_in))), "--icc=false -D --config-file /proc/self/fd/\n{}");
        let facts = foresight::with_file(&facts, &path, &image(&drop_in));
        assert_eq!(asked(&facts, None), "--icc=true -D --config-file /proc/self/fd/\n{}");
    }

    #[test]
    fn its_refusal_is_repeated() {
        let scratch = Scratch::new();
        let error =
            verdict(&scratch, "unable to configure the Docker daemon with file /proc/self/fd/3: no", "20.10.24").unwrap_err();
        assert_eq!(
            error.what,
            "dockerd would not start with it: unable to configure the Docker daemon with file /proc/self/fd/3: no; nothing was changed"
        );
        assert!(!scratch.text("/out/asked").contains("--validate"));
    }

    #[test]
    fn what_does_not_come_to_the_point_decides_nothing() {
        let scratch = Scratch::new();
        verdict(&scratch, "dockerd needs to be started with root privileges", "20.10.24").unwrap();
        verdict(&scratch, "exec format error", "20.10.24").unwrap();
    }
}
