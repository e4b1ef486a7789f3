//! Whether containers still start after a restart: some settings leave dockerd up and make every start fail (a log driver without its
//! service, a limit above the kernel's, a cgroup driver that is not there).
//!
//! So a throwaway container is created and started from an image that is here. Its command is none that an image has, so that nothing
//! of the image ever runs: everything else is set up before a container's command is looked for.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::fact::{Content, Fact};
use crate::formats::daemon_json::Document;
use crate::host::Host;
use crate::host::docker::{Engine, Method, StatusCode};
use crate::kinds::effective::Effective;
use crate::kinds::supervisor::Supervisor;
use crate::observe;

/// Keys that can make every start of a container fail while dockerd itself is up.
const KEYS: [&str; 14] = [
    "cgroup-parent",
    "default-cgroupns-mode",
    "default-ipc-mode",
    "default-runtime",
    "default-shm-size",
    "default-ulimits",
    "exec-opts",
    "init",
    "init-path",
    "log-driver",
    "log-opts",
    "runtimes",
    "seccomp-profile",
    "selinux-enabled",
];
const NAME: &str = "harden-canary-";
const LABEL: &str = "harden.canary";
/// What no image has; an engine that looked for it has done all else.
const COMMAND: &str = "/harden-canary-without-a-command";

/// What trying to start a container came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It starts, as far as settings go.
    Starts,
    /// It could not be tried, for this reason.
    NotTried(String),
}

/// Whether a restart of dockerd now would bring settings in force that can keep containers from starting: the file or the flags have
/// others than the running dockerd started with. What nobody knows to be the same counts as different.
pub fn wanted(host: &Host) -> bool {
    let facts = observe::find_docker(host);
    let Fact::Known(process) = &facts.daemon.process else { return true };
    let effective = Effective::of(&facts);
    let other_flags = match (&effective.running, &effective.unit) {
        (Some(running), Some((_, next))) if Supervisor::of(&facts) == Some(Supervisor::Systemd) => {
            KEYS.iter().any(|key| running.get(key) != next.get(key))
        }
        _ => false,
    };
    let Some(file) = facts.files.get(&facts.daemon.config_file).and_then(Fact::known) else { return other_flags };
    let parse = |content: &Content| Document::parse(&content.0).ok();
    let now = file.content.as_ref().and_then(parse);
    let then = host.config_at_start(&facts).known().and_then(parse);
    other_flags || (file.changed_ns() > process.started_ns && differ(now.as_ref(), then.as_ref()))
}

fn differ(now: Option<&Document>, then: Option<&Document>) -> bool {
    let value = |document: Option<&Document>, key| document.and_then(|document| document.get(&[key]).cloned());
    KEYS.iter().any(|key| value(now, *key) != value(then, *key))
}

/// Creates and starts a container, and takes it away again.
///
/// # Errors
/// With the engine's own words when its settings keep it from starting.
pub fn run(host: &Host) -> Result<Outcome> {
    let engine = host.engine(host.health_timeout)?;
    remove_leftovers(&engine)?;
    let Some(image) = image(&engine)? else { return Ok(Outcome::NotTried("there is no image on this host".into())) };
    let name = format!("{NAME}{}", std::process::id());
    let container = json!({
        "Image": image,
        "Entrypoint": [COMMAND],
        "Cmd": [],
        "Labels": { LABEL: "1" },
        "NetworkDisabled": true,
        "HostConfig": { "NetworkMode": "none" },
    });
    let created = engine.exchange(Method::POST, &format!("/containers/create?name={name}"), Some(&container))?;
    match created.status {
        StatusCode::CREATED => {}
        // Nobody's settings: an authorization plugin says no, or the image has gone.
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => return Ok(Outcome::NotTried(created.message())),
        _ => return Err(fails(&created.message())),
    }
    let started = engine.exchange(Method::POST, &format!("/containers/{name}/start"), None);
    let removed = remove(&engine, &name);
    let started = started?;
    removed?;
    match started.status {
        status if status.is_success() => Ok(Outcome::Starts),
        _ if found_no_command(&started.body) => Ok(Outcome::Starts),
        StatusCode::FORBIDDEN => Ok(Outcome::NotTried(started.message())),
        _ => Err(fails(&started.message())),
    }
}

/// Takes away what a run that was killed has left.
///
/// # Errors
/// When the daemon does not answer, or refuses.
pub fn remove_leftovers(engine: &Engine) -> Result<()> {
    let target = format!("/containers/json?all=1&filters=%7B%22label%22%3A%5B%22{LABEL}%22%5D%7D");
    let listed = engine.exchange(Method::GET, &target, None)?;
    if listed.status != StatusCode::OK {
        return Err(Error::failure(format!("containers can't be listed: {}", listed.message())));
    }
    leftovers(&listed.body).iter().try_for_each(|name| remove(engine, name))
}

/// A label alone does not make a container harden's: its name must say so too.
fn leftovers(body: &[u8]) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Container {
        names: Vec<String>,
    }
    let containers: Vec<Container> = serde_json::from_slice(body).unwrap_or_default();
    let ours = |name: &String| {
        let number = name.strip_prefix('/')?.strip_prefix(NAME)?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then(|| format!("{NAME}{number}"))
    };
    containers.iter().filter_map(|container| container.names.iter().find_map(ours)).collect()
}

fn remove(engine: &Engine, name: &str) -> Result<()> {
    let answer = engine.exchange(Method::DELETE, &format!("/containers/{name}?force=1&v=1"), None)?;
    match answer.status {
        status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
        // Somebody takes it away already.
        StatusCode::CONFLICT => Ok(()),
        _ => Err(Error::failure(format!("the container {name} can't be removed: {}", answer.message()))
            .help(format!("docker rm --force {name}"))),
    }
}

/// The smallest image that is here.
fn image(engine: &Engine) -> Result<Option<String>> {
    let listed = engine.exchange(Method::GET, "/images/json", None)?;
    match listed.status {
        StatusCode::OK => Ok(smallest(&listed.body)),
        _ => Ok(None),
    }
}

fn smallest(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Image {
        id: String,
        #[serde(default)]
        size: u64,
    }
    let images: Vec<Image> = serde_json::from_slice(body).unwrap_or_default();
    images.into_iter().min_by_key(|image| image.size).map(|image| image.id)
}

/// Whether the only thing amiss was the command.
fn found_no_command(body: &[u8]) -> bool {
    let message = serde_json::from_slice::<Value>(body).ok().and_then(|body| Some(body.get("message")?.as_str()?.to_owned()));
    message.is_some_and(|message| message.contains(COMMAND))
}

fn fails(words: &str) -> Error {
    Error::failure(format!("dockerd runs, but containers do not start: {words}"))
        .help("see what the changed settings need: journalctl -u docker --since -5min")
}

/// Takes away what a run that was killed may have left, as far as the daemon lets itself be asked.
pub fn clean_up(host: &Host) {
    const PATIENCE: Duration = Duration::from_secs(10);
    if observe::find_docker(host).daemon.process.known().is_some()
        && let Ok(engine) = host.engine(PATIENCE)
    {
        let _ = remove_leftovers(&engine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_hardens_own_is_taken_away() {
        let body = json!([
            {"Names": ["/harden-canary-12"]},
            {"Names": ["/other", "/harden-canary-3"]},
            {"Names": ["/harden-canary-"]},
            {"Names": ["/harden-canary-1x"]},
            {"Names": ["/my-harden-canary-1"]},
            {"Names": []},
        ]);
        assert_eq!(leftovers(body.to_string().as_bytes()), ["harden-canary-12", "harden-canary-3"]);
        assert_eq!(leftovers(b"{"), [""; 0]);
    }

    #[test]
    fn the_smallest_image_is_taken() {
        let body = json!([{"Id": "sha256:a", "Size": 9}, {"Id": "sha256:b", "Size": 3}, {"Id": "sha256:c", "Size": 5}]);
        assert_eq!(smallest(body.to_string().as_bytes()).as_deref(), Some("sha256:b"));
        assert_eq!(smallest(b"[]"), None);
    }

    #[test]
    fn a_missing_command_is_no_failure_of_the_settings() {
        let said = |message: &str| found_no_command(json!({ "message": message }).to_string().as_bytes());
        assert!(said(
            "failed to create shim: OCI runtime create failed: container_linux.go:380: starting container process caused: exec: \
             \"/harden-canary-without-a-command\": stat /harden-canary-without-a-command: no such file or directory: unknown"
        ));
        assert!(said("crun: executable file `/harden-canary-without-a-command` not found in $PATH: No such file or directory"));
        assert!(!said("failed to initialize logging driver: journald is not enabled on this host"));
        assert!(!said("OCI runtime create failed: error setting rlimit type 7: operation not permitted: unknown"));
    }

    #[test]
    fn keys_that_matter() {
        let table = [
            (Some("{}"), None, false),
            (Some(r#"{"debug": true}"#), Some("{}"), false),
            (Some(r#"{"log-driver": "local"}"#), Some("{}"), true),
            (Some(r#"{"log-driver": "local"}"#), Some(r#"{"log-driver": "local", "icc": false}"#), false),
            (Some("{}"), Some(r#"{"default-ulimits": {}}"#), true),
            (Some(r#"{"log-opts": {"max-size": "1m"}}"#), Some(r#"{"log-opts": {"max-size": "2m"}}"#), true),
            (None, Some(r#"{"init": true}"#), true),
        ];
        for (now, then, expected) in table {
            let parse = |text: Option<&str>| text.map(|text| Document::parse(text.as_bytes()).unwrap());
            assert_eq!(differ(parse(now).as_ref(), parse(then).as_ref()), expected, "{now:?} {then:?}");
        }
    }
}
