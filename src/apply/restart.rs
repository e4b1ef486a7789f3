//! Restarting dockerd with the old files without stopping the containers.
//!
//! They may be alive only because the plan had switched live-restore on: a dockerd that starts with the old file, which has it off,
//! ends them. So dockerd stays down until that file has it again, for the moment of the start; what dockerd has read, it keeps.

use std::time::Duration;

use crate::apply::activate;
use crate::apply::journal::{Journal, Passing, Record};
use crate::apply::writer::Meta;
use crate::change::{Action, Effect, FileImage};
use crate::error::{Error, Result};
use crate::fact::Content;
use crate::file_state::FileState;
use crate::formats::daemon_json::{Document, Edit, Op};
use crate::host::{Host, exec};
use crate::kinds::effective::{SERVICE, SOCKET};
use crate::kinds::supervisor::Supervisor;
use crate::plan::Plan;

const LIVE_RESTORE: &str = "live-restore";
/// Of a daemon.json that is there for a moment.
const PASSING: Meta = Meta { mode: Some(0o600), uid: None, gid: None, xattrs: None, mtime_ns: None };
const TIMEOUT: Duration = Duration::from_secs(60);

/// dockerd, kept down while files go back.
pub struct Held {
    path: String,
    socket: bool,
}

/// Stops dockerd where its containers depend on live-restore; `None` where a plain restart stops none.
///
/// systemd starts a dockerd that failed again and again, and one whose socket is used: neither may happen before [`Held::start`].
pub fn hold(host: &Host, plan: &Plan) -> Option<Held> {
    let path = switched_on(plan)?;
    if !may_have_containers(host) {
        return None;
    }
    let (supervisor, _) = activate::supervisor(host).ok()?;
    let socket =
        supervisor == Supervisor::Systemd && exec::run("systemctl", &["is-active", "--quiet", SOCKET], TIMEOUT).is_ok();
    // A dockerd that can't be stopped is restarted all the same.
    let _ = match socket {
        true => exec::run("systemctl", &["stop", SERVICE, SOCKET], host.health_timeout + TIMEOUT),
        false => activate::have(host, supervisor, "stop"),
    };
    Some(Held { path: path.to_owned(), socket })
}

/// Files of a moment, where a run was killed in that moment, go back to what they were.
pub fn take_away_passing(journal: &Journal) {
    for passing in journal.passing() {
        let Ok(Some(found)) = journal.writer().state(&passing.path) else { continue };
        if found.content.as_ref() == Some(&passing.content) {
            // What can't be put back now is found and said when the change is undone.
            let _ = journal.writer().restore(&passing.path, Some(&found), passing.before.as_ref(), None);
        }
    }
}

impl Held {
    /// Starts dockerd with the old file, whose content is back, and live-restore; then the file is as it was.
    ///
    /// # Errors
    /// When the file can't be written, or dockerd does not come up.
    pub fn start(&self, journal: &mut Journal, host: &Host) -> Result<()> {
        let old = journal.writer().state(&self.path)?;
        let meta = if old.is_some() { Meta::default() } else { PASSING };
        let content = with_live_restore(&self.path, old.as_ref())?;
        journal.append(&Record::Passing(Passing {
            path: self.path.clone(),
            before: old.clone(),
            content: Content(content.clone()),
        }))?;
        let writer = journal.writer();
        writer.replace(&self.path, old.as_ref(), &content, &meta)?;
        let passing = writer.state(&self.path)?;
        let socket = if self.socket { exec::run("systemctl", &["start", SOCKET], TIMEOUT) } else { Ok(()) };
        let started = socket.and_then(|()| activate::activate(host, Action::DockerRestart));
        // The file goes back whether or not dockerd came up.
        writer.restore(&self.path, passing.as_ref(), old.as_ref(), None).and(started)
    }
}

/// The file in which the plan had switched live-restore on.
fn switched_on(plan: &Plan) -> Option<&str> {
    let says = |image: &Option<FileImage>| {
        let content = image.as_ref().and_then(|image| image.content.as_ref());
        content.is_some_and(|content| {
            let document = Document::parse(&content.0);
            document.is_ok_and(|document| document.get(&[LIVE_RESTORE]) == Some(&serde_json::Value::Bool(true)))
        })
    };
    plan.changes.iter().find_map(|change| match &change.effect {
        Effect::File { path, before, after } if says(after) && !says(before) => Some(path.as_str()),
        _ => None,
    })
}

/// A daemon that is down may have left some running.
fn may_have_containers(host: &Host) -> bool {
    host.ask().api.known().is_none_or(|api| api.containers_running != Some(0))
}

fn with_live_restore(path: &str, old: Option<&FileState>) -> Result<Vec<u8>> {
    let document = match old.and_then(|old| old.content.as_ref()) {
        Some(content) => Document::parse(&content.0)
            .map_err(|_| Error::failure("dockerd was not restarted, because it can't be read").at(path))?,
        None => Document::empty(),
    };
    let edit = Edit { path: vec![LIVE_RESTORE.into()], op: Op::Set(serde_json::Value::Bool(true)) };
    document.apply(&[edit]).map_err(|problem| Error::failure(problem.to_string()).at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::state_dir::StateDir;
    use crate::apply::transaction::Originals;
    use crate::host::scratch::Scratch;

    const PATH: &str = "/etc/docker/daemon.json";

    /// What a run leaves that is killed while its file of a moment is there, and what is done about it; `meanwhile` somebody else
    /// wrote.
    fn killed(old: Option<&str>, meanwhile: Option<&str>) -> Option<String> {
        let scratch = Scratch::new();
        let root = scratch.root();
        scratch.dir("/etc/docker", 0o755);
        if let Some(old) = old {
            scratch.file(PATH, old, 0o640);
        }
        let state = StateDir::lock(&root, "/state").unwrap();
        let mut journal = state.begin("1").unwrap();
        let plan = Plan { schema: crate::plan::SCHEMA.into(), ..Plan::default() };
        journal.keep(&plan, &Originals::new()).unwrap();
        let before = journal.writer().state(PATH).unwrap();
        let content = with_live_restore(PATH, before.as_ref()).unwrap();
        let passing = Passing { path: PATH.into(), before: before.clone(), content: Content(content.clone()) };
        journal.append(&Record::Passing(passing)).unwrap();
        let meta = if before.is_some() { Meta::default() } else { PASSING };
        journal.writer().replace(PATH, before.as_ref(), &content, &meta).unwrap();
        assert!(scratch.text(PATH).contains("\"live-restore\": true"), "{}", scratch.text(PATH));
        drop(journal);
        if let Some(text) = meanwhile {
            scratch.file(PATH, text, 0o640);
        }
        let unfinished = state.unfinished(false).unwrap();
        assert_eq!(unfinished.len(), 1);
        unfinished.iter().for_each(|(journal, _)| take_away_passing(journal));
        let left = root.state(PATH).unwrap();
        assert!(meanwhile.is_some() || left == before, "{left:?}");
        left.and_then(|left| String::from_utf8(left.content?.0).ok())
    }

    #[test]
    fn a_file_of_a_moment_goes_back_after_a_kill() {
        let old = "{\n    \"labels\": [\"a=b\"]\n}\n";
        assert_eq!(killed(Some(old), None).as_deref(), Some(old));
        assert_eq!(killed(None, None), None);
        assert_eq!(killed(Some(old), Some("{}")).as_deref(), Some("{}"), "what somebody else wrote stays");
    }
}
