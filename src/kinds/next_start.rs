//! Whether dockerd would start again, and its containers with it: what a clean reload and `dockerd --validate` do not tell.

use crate::fact::Fact;
use crate::formats::daemon_json::Document;
use crate::formats::daemon_lint::LintKind;
use crate::kinds::{Context, daemon_config, prerequisites};

/// Whether dockerd would start with this file, its flags and what the host has, and its containers after it.
///
/// # Errors
/// With the reason why not, and what to do about it.
pub fn accepted(path: &str, document: &Document, context: &Context) -> Result<(), String> {
    let lints = daemon_config::lints(document, context);
    if let Some(fatal) = lints.iter().find(|lint| lint.fatal || lint.kind == LintKind::BreaksContainers) {
        let what = fatal.what.trim_end_matches('.');
        return Err(match fatal.fatal {
            true => format!("dockerd would still refuse {path}: line {}: {what}; mend that first", fatal.line),
            false => format!("containers would still fail with {path}: line {}: {what}; mend that first", fatal.line),
        });
    }
    if let Some(key) = daemon_config::conflicts_of_next_start(document, context).first() {
        return Err(format!("dockerd would still refuse {path}: `{key}` is also given as a flag; take one of them away first"));
    }
    let new = prerequisites::new_defects(document, context);
    if let Some(defect) = new.iter().find(|defect| defect.stops()) {
        return Err(format!("{path}: {}", defect.objection()));
    }
    if let Some(defect) = prerequisites::defects(document, context).iter().find(|defect| defect.stops() && defect.seen) {
        let whose = if defect.harm == prerequisites::Harm::Start {
            "dockerd would still refuse"
        } else {
            "containers would still fail with"
        };
        return Err(format!("{whose} {path}: {}; mend that first", defect.what));
    }
    if authorization_changed(document, context) {
        return Err(format!(
            "`authorization-plugins` in {path} changed since dockerd started: a reload would end dockerd where a plugin is \
             missing, or switch authorization off; restart dockerd first"
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
    file.changed_ns() > process.started_ns && at_start.as_ref().and_then(plugins) != plugins(document)
}
