//! One file a command, each short enough to read as the flow itself.

mod apply;
mod baseline;
mod check;
mod explain;
mod generate;
mod history;
mod interactive;
mod man;
mod output;
mod plan;
pub mod prompt;
mod rollback;
mod save;

pub use output::unreadable;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{CommandFactory, ValueEnum};

use crate::baseline::Baseline;
use crate::cli::{Cli, Command, Common, Format, Patience};
use crate::error::{Error, ErrorKind, Result};
use crate::formats::daemon_keys::EngineVersion;
use crate::host::{Access, Host};

/// What a run ends with, apart from errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nothing to do, or all done: 0.
    Done,
    /// Drift was found: 2.
    Drift,
    /// The failure is in the report already: its kind gives the status.
    Failed(ErrorKind),
}

/// Runs one command and returns the exit status. Errors are printed here, once.
pub fn run(mut cli: Cli) -> u8 {
    if let Some(Command::Check { dockerfile, .. }) = &cli.command
        && !dockerfile.is_empty()
        && cli.common.baseline.is_none()
    {
        cli.common.baseline = Some(crate::baseline::OF_DOCKERFILES.into());
    }
    let mut common = cli.common.clone();
    if !is_report(cli.command.as_ref()) {
        // A plan or an artifact that is there already must not become the report of a failure.
        common.output = None;
    }
    match dispatch(cli) {
        Ok(Ending::Done) => 0,
        Ok(Ending::Drift) => 2,
        Ok(Ending::Failed(kind)) => kind.exit_code(),
        Err(error) => {
            output::error(&error, &common);
            error.kind.exit_code()
        }
    }
}

/// Whether what the command writes to `-o` is its report.
fn is_report(command: Option<&Command>) -> bool {
    matches!(
        command,
        None | Some(Command::Check { .. } | Command::Apply { .. } | Command::Rollback { .. } | Command::Recover { .. })
    )
}

fn dispatch(cli: Cli) -> Result<Ending> {
    let common = &cli.common;
    has_format(cli.command.as_ref(), common.format)?;
    if let Some(version) = common.docker_version.as_deref().filter(|version| EngineVersion::parse(version).is_none()) {
        return Err(
            Error::usage(format!("--docker-version `{version}` is no version of Docker")).help("--docker-version 28.5.2")
        );
    }
    match cli.command {
        None if cli.dry_run => interactive::dry_run(common),
        None => interactive::run(common),
        Some(Command::Check { dockerfile, context, save_facts, .. }) if !dockerfile.is_empty() => {
            check::dockerfiles(common, &dockerfile, context.as_deref(), save_facts.as_deref())
        }
        Some(Command::Check { facts, save_facts, .. }) => check::run(common, facts.as_deref(), save_facts.as_deref()),
        Some(Command::Plan) => plan::run(common),
        Some(Command::Apply { plan: Some(plan), yes, in_force, .. }) => {
            apply::saved(common, &plan, yes, cli.dry_run, &in_force)
        }
        Some(Command::Apply { plan: None, in_force, .. }) if cli.dry_run => check::review(common, in_force.no_activate),
        Some(Command::Apply { plan: None, yes, keep_going, in_force }) => apply::run(common, yes, keep_going, &in_force),
        Some(Command::Rollback { id, yes, force, in_force }) => rollback::run(common, id.as_deref(), yes, force, &in_force),
        Some(Command::History { id, prune }) => history::run(common, id.as_deref(), prune),
        Some(Command::Recover { patience }) => rollback::recover(common, patience),
        Some(Command::Generate { artifact, merge }) => generate::run(common, artifact, merge.as_deref()),
        Some(Command::Baseline { command }) => baseline::run(common, &command, cli.dry_run),
        Some(Command::Explain { name }) => explain::run(common, &name),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "harden", &mut std::io::stdout());
            Ok(Ending::Done)
        }
        Some(Command::Man { of }) => man::run(common, &of),
    }
}

/// The baseline of the command line, narrowed to the chosen controls.
fn load_baseline(common: &Common) -> Result<Baseline> {
    load_named(common, common.baseline.as_deref().unwrap_or(crate::baseline::DEFAULT))
}

fn load_named(common: &Common, name: &str) -> Result<Baseline> {
    crate::baseline::load(name, &common.set)?.select(&common.only, &common.skip)
}

/// `--docker-version`, if it is one: a version that can't be read would pass for an unknown one.
fn docker_version(common: &Common) -> Result<Option<&str>> {
    match common.docker_version.as_deref() {
        Some(text) if EngineVersion::parse(text).is_none() => {
            Err(Error::usage(format!("`{text}` is no version of Docker")).help("write --docker-version 26.1"))
        }
        version => Ok(version),
    }
}

/// The host of the command line.
fn open_host(common: &Common) -> Result<Host> {
    let state_dir = common.state_dir.to_str().filter(|path| path.starts_with('/'));
    let state_dir = state_dir.ok_or_else(|| Error::usage("--state-dir must be an absolute path"))?;
    if common.root.as_deref().and_then(|root| root.canonicalize().ok()).as_deref() == Some(Path::new("/")) {
        let what = "`--root /` is no image tree: it is this host, whose daemon, sockets and kernel would go unseen";
        return Err(Error::usage(what).help("leave --root out to judge this host"));
    }
    let certificates = certificates(common)?;
    Host::open(&Access {
        root: common.root.as_deref(),
        docker_certs: certificates.as_deref(),
        docker_host: common.docker_host.as_deref().filter(|url| !url.is_empty()),
        docker_version: docker_version(common)?,
        state_dir,
    })
}

/// Where the certificates for an engine on the network are, by the variables of Docker's own client; `None` where it is asked without.
fn certificates(common: &Common) -> Result<Option<PathBuf>> {
    let on_network = common.docker_host.as_deref().is_some_and(|url| url.starts_with("tcp://"));
    if common.root.is_some() || !on_network {
        return Ok(None);
    }
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = common.docker_cert_path.as_ref().filter(|dir| !dir.as_os_str().is_empty()) {
        return Ok(Some(dir.clone()));
    }
    if set("DOCKER_TLS_VERIFY").is_some() {
        let dir = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
        let unknown =
            || Error::usage("DOCKER_TLS_VERIFY is set, and where the certificates are is not: HOME is not set either");
        return dir.map(Some).ok_or_else(|| unknown().help("--docker-cert-path DIR (or DOCKER_CERT_PATH)"));
    }
    match set("DOCKER_TLS") {
        None => Ok(None),
        Some(_) => {
            let what = "DOCKER_TLS asks for encryption without verification, which harden does not do: anybody on the way could answer";
            Err(Error::usage(what).help("set DOCKER_TLS_VERIFY=1, or give --docker-cert-path DIR with ca.pem"))
        }
    }
}

/// The same, whose daemon may take as long to answer after a restart as the command line says.
fn open_patiently(common: &Common, patience: Patience) -> Result<Host> {
    let mut host = open_host(common)?;
    host.health_timeout = Duration::from_secs(patience.health_timeout);
    Ok(host)
}

/// Findings have every format; all else is text or JSON.
fn has_format(command: Option<&Command>, format: Format) -> Result<()> {
    match (command, format) {
        (_, Format::Text | Format::Json) => Ok(()),
        (None | Some(Command::Check { .. } | Command::Plan | Command::Apply { .. }), _) => Ok(()),
        (Some(_), Format::Sarif | Format::Junit | Format::Html) => {
            let name = format.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            let what = format!("--format {name} is for findings: those of check, plan, apply and --dry-run");
            Err(Error::usage(what).help("use --format text or json here"))
        }
    }
}

/// Output that is no report has no JSON form of its own.
fn text_only(common: &Common, what: &str) -> Result<()> {
    match common.format {
        Format::Text => Ok(()),
        _ => Err(Error::usage(format!("{what} has no JSON form"))),
    }
}
