//! Whether dockerd would start again: what a clean reload and `dockerd --validate` do not tell (daemon.md, "Missing prerequisites").

use crate::fact::Fact;
use crate::formats::daemon_json::Document;
use crate::kinds::{Context, daemon, daemon_config};

/// Whether dockerd would start with this file and its flags, as far as they tell.
///
/// # Errors
/// With the reason why not, and what to do about it.
pub fn accepted(path: &str, document: &Document, context: &Context) -> Result<(), String> {
    let fatal = daemon_config::lints(document, context).into_iter().find(|lint| lint.fatal);
    if let Some(fatal) = fatal {
        return Err(format!("dockerd would still refuse {path}: line {}: {}; mend that first", fatal.line, fatal.what));
    }
    if let Some(key) = daemon_config::conflicts_of_next_start(document, context).first() {
        return Err(format!("dockerd would still refuse {path}: `{key}` is also given as a flag; take one of them away first"));
    }
    if let Some((key, file)) = daemon_config::missing_files(document, context.facts).first() {
        return Err(format!(
            "dockerd would still refuse {path}: its `{key}` names {file}, which does not exist; mend that first"
        ));
    }
    if authorization_changed(document, context) {
        return Err(format!(
            "`authorization-plugins` in {path} changed since dockerd started: a reload would end dockerd where a plugin is \
             missing, or switch authorization off; restart dockerd first"
        ));
    }
    let live_restore = context.effective.flag("live-restore").map(|(value, _)| value);
    let live_restore = live_restore.as_ref().or(document.get(&["live-restore"]));
    if live_restore == Some(&serde_json::Value::Bool(true)) && matches!(daemon::swarm(context.facts, context), Ok(Some(_))) {
        return Err(format!(
            "dockerd would still refuse {path}: this node is in a swarm, which `live-restore` does not go with; take it out first"
        ));
    }
    let missing = context.effective.unit.iter().flat_map(|(exec, _)| &exec.missing_env_files).next();
    match missing.filter(|_| context.facts.host.live) {
        Some(file) => Err(format!(
            "systemd would not start dockerd: {} names {}, which does not exist; mend that first",
            file.origin, file.path
        )),
        None => Ok(()),
    }
}

/// Whether dockerd would get other authorization plugins than it started with. Harden never touches that key.
fn authorization_changed(document: &Document, context: &Context) -> bool {
    let daemon = &context.facts.daemon;
    let file = context.facts.files.get(&daemon.config_file).and_then(Fact::known);
    let (Some(process), Some(file)) = (daemon.process.known(), file) else { return false };
    let plugins = |document: &Document| document.get(&["authorization-plugins"]).cloned();
    let at_start = daemon.config_at_start.known().and_then(|content| Document::parse(&content.0).ok());
    file.mtime_ns > process.started_ns && at_start.as_ref().and_then(plugins) != plugins(document)
}
