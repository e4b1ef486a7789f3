//! `harden generate`: artifacts for image builds, from baseline and variables. No host is asked; with `--root` the tree is.
//!
//! It is the same judging and planning as everywhere, on the facts of a host that has Docker and nothing configured.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::assess::{self, Assessment, Limits};
use crate::baseline::control::{DaemonCondition, Risk, Want};
use crate::change::Effect;
use crate::cli::{Artifact, Common};
use crate::commands::{Ending, load_baseline, open_host, output};
use crate::error::{Error, Result};
use crate::fact::{Fact, Facts, FileFact, FileKind, HostFacts, UnitFacts};
use crate::finding::{FixKind, Status};
use crate::formats::daemon_json::Document;
use crate::formats::{argv, rules_d, sysctl};
use crate::kinds::effective::{ConfigFile, DEFAULT_CONFIG_FILE, Effective, SERVICE, SOCKET};
use crate::kinds::listens::{HOSTS, is_loopback, tcp_address};
use crate::observe::{self, RULES_DIR};
use crate::plan::{Plan, drop_in_path};

/// Programs that may be watched wherever they will be: their directories exist on every host.
const PROGRAMS: [&str; 7] =
    ["docker", "dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v1", "containerd-shim-runc-v2", "runc"];
const ELSEWHERE: [&str; 3] = ["/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
const SOCKET_UNIT: &str = "/usr/lib/systemd/system/docker.socket";
const SERVICE_UNIT: &str = "/usr/lib/systemd/system/docker.service";

/// Writes one artifact to stdout or `-o`.
pub fn run(common: &Common, artifact: Artifact, merge: Option<&Path>) -> Result<Ending> {
    super::text_only(common, "an artifact")?;
    super::docker_version(common)?;
    let mut baseline = load_baseline(common)?;
    baseline.controls.retain(|control| serves(&control.want, artifact));
    if artifact == Artifact::DockerServiceConf && common.root.is_some() && merge.is_some() {
        return Err(Error::usage("--root and --merge both name a docker.service").help("leave one of them out"));
    }
    let named = merge.map(read).transpose()?;
    let facts = match (&common.root, artifact) {
        (Some(_), Artifact::AuditRules | Artifact::DockerServiceConf | Artifact::SysctlConf) => {
            observe::observe(&open_host(common)?, &baseline)?
        }
        _ => bare_host(common, artifact, named.clone()),
    };
    // What a drop-in of docker.service is folded into is not the unit, but what harden has put beside it.
    let existing = match artifact {
        Artifact::DockerServiceConf => content_of(&facts, &target(artifact)),
        _ => named,
    };
    if artifact == Artifact::DockerServiceConf {
        let effective = Effective::of(&facts);
        baseline.controls.retain(|control| speaks_of_flags(&control.want, &effective));
        if common.root.is_none() && merge.is_none() {
            output::note(
                "left out all of it: name the docker.service with --merge FILE, or the tree that it is in with --root DIR",
            );
        } else if baseline.controls.is_empty() {
            output::note("docker.service gives dockerd no flag that this baseline speaks of: nothing to correct");
        }
    }
    if let (Some(file), Some(content), Artifact::DaemonJson) = (merge, &existing, artifact) {
        parses(file, content)?;
    }
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let assessment = assess::assess(&baseline, &facts, &limits)?;
    if let Some(withheld) = assessment.plan.withheld.first() {
        let place = match merge {
            // The place in the file that is folded into, not in the one that it is to become.
            Some(file) => withheld.target.replacen(&target(artifact), &file.display().to_string(), 1),
            None => withheld.target.clone(),
        };
        return Err(Error::failure(withheld.reason.clone()).at(place));
    }
    left_out(&assessment);
    let content = content(&assessment.plan, &target(artifact)).or(existing).unwrap_or_else(|| empty(artifact));
    output::bytes_out(common, &content)?;
    Ok(Ending::Done)
}

fn serves(want: &Want, artifact: Artifact) -> bool {
    matches!(
        (want, artifact),
        (Want::Daemon(_), Artifact::DaemonJson | Artifact::DockerServiceConf)
            | (Want::DaemonConfig(_), Artifact::DockerServiceConf)
            | (Want::Watch(_), Artifact::AuditRules)
            | (Want::Unit(_), Artifact::DockerSocketConf)
            | (Want::Sysctl(_), Artifact::SysctlConf)
    )
}

/// Whether a control says anything of the flags that docker.service gives.
fn speaks_of_flags(want: &Want, effective: &Effective) -> bool {
    let given = |key: &str| effective.unit_flag(key).is_some();
    match want {
        Want::Daemon(want) => {
            // Where it listens is what asks for TLS, whatever is said of TLS.
            let hosts = effective.unit_flag(HOSTS).map(|(hosts, _)| hosts);
            let hosts = hosts.as_ref().and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let listens = hosts.filter_map(tcp_address).any(|address| !is_loopback(address));
            (listens && want.met_by.contains(&DaemonCondition::NoRemoteTcp)) || want.key.iter().any(|key| given(&key.name))
        }
        Want::DaemonConfig(_) => match (&effective.unit, &effective.file) {
            (Some((_, flags)), ConfigFile::Parsed(document)) => !argv::conflicts(flags, document).is_empty(),
            _ => false,
        },
        _ => false,
    }
}

fn content_of(facts: &Facts, path: &str) -> Option<Vec<u8>> {
    Some(facts.files.get(path)?.known()?.content.clone()?.0)
}

/// Where the artifact belongs on a host.
fn target(artifact: Artifact) -> String {
    match artifact {
        Artifact::DaemonJson => DEFAULT_CONFIG_FILE.into(),
        Artifact::AuditRules => format!("{RULES_DIR}/{}", rules_d::OWN_FILE),
        Artifact::DockerSocketConf => drop_in_path(SOCKET),
        Artifact::DockerServiceConf => drop_in_path(SERVICE),
        Artifact::SysctlConf => sysctl::OWN_FILE.into(),
    }
}

/// What the artifact is when nothing has to be said.
fn empty(artifact: Artifact) -> Vec<u8> {
    match artifact {
        Artifact::DaemonJson => b"{}\n".to_vec(),
        Artifact::AuditRules | Artifact::DockerSocketConf | Artifact::DockerServiceConf | Artifact::SysctlConf => Vec::new(),
    }
}

fn content(plan: &Plan, target: &str) -> Option<Vec<u8>> {
    plan.changes.iter().find_map(|change| match &change.effect {
        Effect::File { path, after, .. } if path == target => after.as_ref()?.content.clone().map(|content| content.0),
        _ => None,
    })
}

/// Says on stderr what the artifact does not hold although the baseline wants it.
fn left_out(assessment: &Assessment) {
    let mut said = BTreeSet::new();
    for finding in &assessment.findings {
        let manual = finding.status == Status::Drift && finding.fix.kind == FixKind::Manual;
        if manual || matches!(finding.status, Status::NotApplicable | Status::Unknown) {
            let reason = finding.fix.reason.as_deref().unwrap_or_default();
            let line = format!("left out {}: {reason}", finding.control);
            if said.insert(line.clone()) {
                output::note(&line);
            }
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).map_err(|error| Error::io(file, "read it", error))
}

fn parses(file: &Path, content: &[u8]) -> Result<()> {
    let Err(problems) = Document::parse(content) else { return Ok(()) };
    let errors = problems.into_iter().map(|problem| {
        let error = Error::failure(problem.what).at(file).line_col(problem.line, problem.column);
        match problem.help {
            Some(help) => error.help(help),
            None => error,
        }
    });
    Error::all(errors.collect()).map_or(Ok(()), Err)
}

/// A host with Docker in its usual places and nothing configured, or only what is to be merged.
fn bare_host(common: &Common, artifact: Artifact, mut existing: Option<Vec<u8>>) -> Facts {
    let mut facts = Facts {
        schema: observe::SCHEMA.into(),
        host: HostFacts {
            root: "/".into(),
            live: false,
            selinux_enforcing: Fact::Unknown("whether the host will have SELinux is not known here".into()),
            ..HostFacts::default()
        },
        ..Facts::default()
    };
    facts.daemon.installed = Fact::Known("assumed".into());
    facts.daemon.process = Fact::Absent;
    facts.daemon.api = Fact::Absent;
    facts.daemon.config_file = DEFAULT_CONFIG_FILE.into();
    facts.daemon.version = match &common.docker_version {
        Some(version) => Fact::Known(version.clone()),
        None => Fact::Unknown("no --docker-version was given".into()),
    };
    facts.audit.installed = Fact::Known("assumed".into());
    facts.audit.rules_files = Fact::Known(Vec::new());
    facts.audit.kernel = Fact::Absent;
    let mut add = |path: &str, kind| facts.files.insert(path.to_owned(), Fact::Known(file(path, kind, None)));
    for dir in ["/etc", "/etc/systemd/system", "/etc/sysctl.d", RULES_DIR, "/etc/docker"] {
        add(dir, FileKind::Dir);
    }
    for path in PROGRAMS.iter().map(|name| format!("/usr/bin/{name}")).chain([SOCKET_UNIT.into(), SERVICE_UNIT.into()]) {
        add(&path, FileKind::File);
    }
    for path in PROGRAMS.iter().flat_map(|name| ELSEWHERE.iter().map(move |dir| format!("{dir}/{name}"))) {
        facts.files.insert(path, Fact::Absent);
    }
    if artifact == Artifact::DockerServiceConf {
        // The unit is what is named; the drop-in is new.
        let unit = existing.map_or(Fact::Absent, |content| Fact::Known(file(SERVICE_UNIT, FileKind::File, Some(content))));
        facts.files.insert(SERVICE_UNIT.into(), unit);
        existing = None;
    }
    let target = target(artifact);
    let merged = existing.map(|content| Fact::Known(file(&target, FileKind::File, Some(content))));
    if artifact == Artifact::AuditRules {
        // Whether /etc/docker will be there when the rules load is not known here.
        facts.files.remove("/etc/docker");
        if merged.is_some() {
            facts.audit.rules_files = Fact::Known(vec![target.clone()]);
        }
    }
    if artifact == Artifact::SysctlConf {
        facts.machine.sysctl_files = Fact::Known(merged.iter().map(|_| target.clone()).collect());
        facts.files.insert(sysctl::SYSCTL_CONF.into(), Fact::Absent);
    }
    facts.files.insert(target, merged.unwrap_or(Fact::Absent));
    if artifact != Artifact::AuditRules {
        facts.files.entry(DEFAULT_CONFIG_FILE.into()).or_insert(Fact::Absent);
    }
    facts.files.insert(format!("/var/lib/docker/{}", crate::kinds::daemon::SWARM_STATE), Fact::Absent);
    for (name, fragment) in [(SOCKET, SOCKET_UNIT), (SERVICE, SERVICE_UNIT)] {
        facts.units.insert(name.into(), Fact::Known(UnitFacts { fragment: fragment.into(), ..UnitFacts::default() }));
    }
    facts.groups.insert("docker".into(), Fact::Known(999));
    facts
}

fn file(path: &str, kind: FileKind, content: Option<Vec<u8>>) -> FileFact {
    FileFact::imagined(path, kind, 0o644, content)
}
