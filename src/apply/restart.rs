//! Restarting dockerd with the old files without stopping the containers.
//!
//! They may be alive only because the plan had switched live-restore on: a dockerd that starts with the old file, which has it off,
//! ends them. So dockerd stays down until that file has it again, for the moment of the start; what dockerd has read, it keeps.

use std::time::Duration;

use crate::apply::activate;
use crate::apply::transaction::Originals;
use crate::apply::writer::{Meta, Writer};
use crate::change::{Action, Effect, FileImage};
use crate::error::{Error, Result};
use crate::file_state::FileState;
use crate::formats::daemon_json::{Document, Edit, Op};
use crate::host::{Host, exec};
use crate::kinds::effective::{SERVICE, SOCKET};
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
pub fn hold(writer: &Writer, host: &Host, plan: &Plan, originals: &Originals) -> Option<Held> {
    let (change, path) = switched_on(plan)?;
    if !may_have_containers(host) {
        return None;
    }
    let socket = exec::run("systemctl", &["is-active", "--quiet", SOCKET], TIMEOUT).is_ok();
    let units: &[&str] = if socket { &["stop", SERVICE, SOCKET] } else { &["stop", SERVICE] };
    // A dockerd that can't be stopped is restarted all the same.
    let _ = exec::run("systemctl", units, TIMEOUT);
    take_away_passing(writer, path, originals.get(change)?.as_ref());
    Some(Held { path: path.to_owned(), socket })
}

/// The file of a moment, where a run was killed in that moment.
fn take_away_passing(writer: &Writer, path: &str, original: Option<&FileState>) {
    let (Ok(Some(found)), Ok(passing)) = (writer.state(path), with_live_restore(path, original)) else { return };
    if found.content.as_ref().is_some_and(|content| content.0 == passing) {
        // What can't be put back now is found and said when the change is undone.
        let _ = writer.restore(path, Some(&found), original, None);
    }
}

impl Held {
    /// Starts dockerd with the old file, whose content is back, and live-restore; then the file is as it was.
    ///
    /// # Errors
    /// When the file can't be written, or dockerd does not come up.
    pub fn start(&self, writer: &Writer, host: &Host) -> Result<()> {
        let old = writer.state(&self.path)?;
        let meta = if old.is_some() { Meta::default() } else { PASSING };
        writer.replace(&self.path, old.as_ref(), &with_live_restore(&self.path, old.as_ref())?, &meta)?;
        let passing = writer.state(&self.path)?;
        let socket = if self.socket { exec::run("systemctl", &["start", SOCKET], TIMEOUT) } else { Ok(()) };
        let started = socket.and_then(|()| activate::activate(host, Action::DockerRestart));
        // The file goes back whether or not dockerd came up.
        writer.restore(&self.path, passing.as_ref(), old.as_ref(), None).and(started)
    }
}

/// The change that had switched live-restore on, and its file.
fn switched_on(plan: &Plan) -> Option<(&str, &str)> {
    let says = |image: &Option<FileImage>| {
        let content = image.as_ref().and_then(|image| image.content.as_ref());
        content.is_some_and(|content| {
            let document = Document::parse(&content.0);
            document.is_ok_and(|document| document.value().get(LIVE_RESTORE) == Some(&serde_json::Value::Bool(true)))
        })
    };
    plan.changes.iter().find_map(|change| match &change.effect {
        Effect::File { path, before, after } if says(after) && !says(before) => Some((change.id.as_str(), path.as_str())),
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
