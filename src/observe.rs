//! Observing: fills [`Facts`] for a baseline. It only reads, and looks at each thing once, however many controls ask.

mod dockerd;
mod engine;
mod layout;
mod units;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::baseline::Baseline;
use crate::baseline::control::{ImageRule, Place, SocketOf, Want};
use crate::error::Result;
use crate::fact::{Fact, Facts, FileFact, MachineFacts};
use crate::formats::rules_d;
use crate::host::Host;
use crate::host::fs::Want as Look;
use crate::kinds::effective::{Effective, SERVICE, SOCKET};
use crate::kinds::place::{self, Resolved};
use crate::kinds::socket::CONTAINERD_CONFIG;
use crate::kinds::{self, prerequisites, watch};
use crate::plan::{Plan, drop_in_path};
use crate::reach;
use crate::render::progress;

/// Format of saved facts.
pub const SCHEMA: &str = "harden/facts/1";
/// Where augenrules collects rules files.
pub const RULES_DIR: &str = "/etc/audit/rules.d";
/// Configuration and environment files are small; a larger one is an accident.
const MAX_CONFIG: usize = 4 << 20;
/// Programs whose presence means that the audit tools are installed.
const AUDITCTL: [&str; 3] = ["/usr/sbin/auditctl", "/sbin/auditctl", "/usr/bin/auditctl"];

/// Looks at a host through the eyes of a baseline.
pub fn observe(host: &Host, baseline: &Baseline) -> Result<Facts> {
    let mut observer = Observer::new(host);
    progress::stage("looking at this host");
    if let Some(remote) = host.remote()? {
        observer.remote(remote);
        for control in baseline.controls.iter().filter(|control| kinds::layout::told_by_engine(&control.want)) {
            kinds::observe(control, &mut observer);
        }
        observer.images(baseline);
        return Ok(observer.facts);
    }
    observer.machine();
    observer.docker();
    if baseline.controls.iter().any(kinds::needs_audit) {
        observer.audit();
    }
    for control in &baseline.controls {
        kinds::observe(control, &mut observer);
    }
    observer.images(baseline);
    if baseline.controls.iter().any(|control| matches!(control.want, Want::Daemon(_) | Want::DaemonConfig(_))) {
        prerequisites::observe(&mut observer, Some(baseline));
    }
    if baseline.controls.iter().any(kinds::needs_audit) {
        watch::observe_rule_paths(&mut observer);
    }
    observer.targets_of_fixes(baseline);
    Ok(observer.facts)
}

/// Looks at the machine and dockerd only.
pub fn observe_docker(host: &Host) -> Facts {
    let mut observer = Observer::new(host);
    observer.machine();
    observer.docker();
    prerequisites::observe(&mut observer, None);
    observer.facts
}

/// Looks further: at what dockerd would need once this plan is applied.
pub fn observe_after(host: &Host, facts: Facts, plan: &Plan) -> Facts {
    let mut observer = Observer { facts, ..Observer::new(host) };
    prerequisites::observe_after(&mut observer, plan);
    observer.facts
}

/// Finds dockerd as it runs now (its unit, its process, its configuration and where it listens), without asking it.
pub fn find_docker(host: &Host) -> Facts {
    let mut observer = Observer::new(host);
    observer.machine();
    observer.find_dockerd();
    observer.facts
}

/// Looks at Dockerfiles and their build contexts, and at nothing of the host.
pub fn observe_build(dockerfiles: &[PathBuf], context: Option<&Path>, baseline: &Baseline) -> Result<Facts> {
    let unwanted = baseline.controls.iter().filter_map(|control| match &control.want {
        Want::Image(want) if want.rule == ImageRule::Dockerignore => Some(want.look_for.as_slice()),
        _ => None,
    });
    let unwanted: Vec<String> = unwanted.flatten().cloned().collect();
    let build = crate::host::build::read(dockerfiles, context, &unwanted)?;
    Ok(Facts { schema: SCHEMA.into(), build: Some(build), ..Facts::default() })
}

/// What was looked at so far, and the way to look further.
pub struct Observer<'h> {
    host: &'h Host,
    facts: Facts,
    effective: Option<Effective>,
    /// The unit directories that are there: most are not, and nothing need be looked for below those.
    unit_dirs: Option<Vec<&'static str>>,
    /// The drop-ins for all units of a type (`service`), or why they can't be known.
    drop_ins_by_type: BTreeMap<String, Result<units::Listing, String>>,
}

impl<'h> Observer<'h> {
    fn new(host: &'h Host) -> Self {
        let facts = Facts { schema: SCHEMA.into(), ..Facts::default() };
        Observer { host, facts, effective: None, unit_dirs: None, drop_ins_by_type: BTreeMap::new() }
    }

    /// What was seen so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// dockerd's effective configuration as far as it was seen, and what was seen.
    pub fn effective(&mut self) -> (&Effective, &Facts) {
        let facts = &self.facts;
        (self.effective.get_or_insert_with(|| Effective::of(facts)), facts)
    }

    /// Looks at a file's owner and mode.
    pub fn stat(&mut self, path: &str) {
        if !self.facts.files.contains_key(path) {
            let fact = self.look(path, Look::Stat);
            self.facts.files.insert(path.to_owned(), fact);
        }
    }

    /// Looks at a file and reads it.
    pub fn read(&mut self, path: &str) -> Option<&[u8]> {
        let seen = matches!(self.facts.files.get(path), Some(Fact::Absent | Fact::Unknown(_)))
            || matches!(self.facts.files.get(path), Some(Fact::Known(file)) if file.content.is_some());
        if !seen {
            let fact = self.look(path, Look::Content { limit: MAX_CONFIG });
            self.facts.files.insert(path.to_owned(), fact);
        }
        self.facts.files.get(path)?.known()?.content.as_ref().map(|content| content.0.as_slice())
    }

    /// A file of the host that is judged, which this machine's is not where the engine is another's.
    fn look(&self, path: &str, want: Look) -> Fact<FileFact> {
        match kinds::layout::remote(&self.facts) {
            Some(remote) => Fact::Unknown(remote.elsewhere()),
            None => self.host.root.look(path, want),
        }
    }

    /// Looks for what matches a pattern.
    pub fn glob(&mut self, pattern: &str) {
        if !self.facts.globs.contains_key(pattern) {
            let matches = self.host.root.glob(pattern);
            self.facts.globs.insert(pattern.to_owned(), matches);
        }
    }

    /// Resolves a place, looking at what that needs.
    pub fn resolve(&mut self, place: &Place) -> Vec<String> {
        match place {
            Place::Pattern(pattern) => {
                if let Ok(pattern) = kinds::layout::path(pattern, &self.facts)
                    && !self.facts.globs.contains_key(&pattern)
                {
                    let matches = self.host.root.glob(&pattern);
                    self.facts.globs.insert(pattern, matches);
                }
            }
            Place::Unit(name) | Place::UnitParts(name) => {
                if let Ok(name) = kinds::layout::unit(name, &self.facts) {
                    self.unit(name);
                }
            }
            Place::DockerSocket => self.unit(SOCKET),
            _ => {}
        }
        let (effective, facts) = self.effective();
        match place::resolve(place, facts, effective) {
            Resolved::Paths(paths) => paths,
            Resolved::Nothing(_) | Resolved::Unknown(_) => Vec::new(),
        }
    }

    /// Looks up a user's number.
    pub fn user(&mut self, name: &str) {
        if name != "root" && !self.facts.users.contains_key(name) {
            let fact = self.host.user_id(name);
            self.facts.users.insert(name.to_owned(), fact);
        }
    }

    /// Looks up a group's number.
    pub fn group(&mut self, name: &str) {
        if name != "root" && !self.facts.groups.contains_key(name) {
            let fact = self.host.group_id(name);
            self.facts.groups.insert(name.to_owned(), fact);
        }
    }

    /// The host itself; kinds that look at more than files and accounts ask it.
    pub(crate) fn host(&self) -> &Host {
        self.host
    }

    /// What was seen of the machine, to add to it.
    pub(crate) fn machine_facts(&mut self) -> &mut MachineFacts {
        &mut self.facts.machine
    }

    fn machine(&mut self) {
        self.facts.host = self.host.describe();
    }

    /// The audit subsystem: the rules on disk and the kernel's.
    fn audit(&mut self) {
        let rules_dir = self.host.root.list(RULES_DIR);
        self.facts.audit.installed = match AUDITCTL.iter().find(|path| {
            self.stat(path);
            self.facts.files.get(**path).is_some_and(|fact| fact.known().is_some())
        }) {
            Some(path) => Fact::Known((*path).to_owned()),
            None => match &rules_dir {
                Fact::Known(_) => Fact::Known(RULES_DIR.into()),
                Fact::Absent => Fact::Absent,
                Fact::Unknown(why) => Fact::Unknown(why.clone()),
            },
        };
        let Fact::Known(_) = self.facts.audit.installed else { return };
        self.facts.audit.rules_files = match rules_dir {
            Fact::Known(names) => {
                let paths: Vec<String> =
                    rules_d::in_order(&names).into_iter().map(|name| format!("{RULES_DIR}/{name}")).collect();
                for path in &paths {
                    self.read(path);
                }
                Fact::Known(paths)
            }
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        self.facts.audit.kernel = self.host.kernel_audit();
    }

    /// Files that a fix would write, and the directories above them: their present state is part of the plan.
    fn targets_of_fixes(&mut self, baseline: &Baseline) {
        let mut targets: Vec<String> =
            baseline.controls.iter().flat_map(|control| self.targets_of_fix(&control.want)).collect();
        targets.sort();
        targets.dedup();
        for target in targets {
            self.read(&target);
            self.stat_above(&target);
            self.stat_above(&reach::real(&self.facts.files, &target));
            self.leads_nowhere(&target);
        }
    }

    /// What is made through a link that leads nowhere would be somewhere else than it seems.
    fn leads_nowhere(&mut self, path: &str) {
        for path in Path::new(path).ancestors().filter_map(Path::to_str) {
            if !self.facts.files.get(path).is_some_and(Fact::is_absent) {
                return;
            }
            if let Fact::Known(to) = self.host.root.readlink(path) {
                let why = format!("{path} is a symbolic link to {to}, where nothing is");
                self.facts.files.insert(path.to_owned(), Fact::Unknown(why));
                self.effective = None;
                return;
            }
        }
    }

    fn stat_above(&mut self, path: &str) {
        Path::new(path).ancestors().skip(1).filter_map(Path::to_str).for_each(|dir| self.stat(dir));
    }

    fn targets_of_fix(&self, want: &Want) -> Vec<String> {
        match want {
            Want::Daemon(_) => vec![self.facts.daemon.config_file.clone(), drop_in_path(SERVICE)],
            Want::DaemonConfig(_) => vec![drop_in_path(SERVICE)],
            Want::Watch(_) => match self.facts.audit.installed {
                Fact::Known(_) => vec![format!("{RULES_DIR}/{}", rules_d::OWN_FILE)],
                Fact::Absent | Fact::Unknown(_) => Vec::new(),
            },
            Want::Unit(want) => vec![drop_in_path(&want.unit)],
            Want::Socket(want) if want.of == SocketOf::Docker => vec![drop_in_path(SOCKET), drop_in_path(SERVICE)],
            Want::Socket(_) => vec![CONTAINERD_CONFIG.into()],
            Want::File(_) | Want::AuditState(_) => Vec::new(),
            Want::Sysctl(_) => vec![crate::formats::sysctl::OWN_FILE.into()],
            Want::Host(_) | Want::Container(_) | Want::Image(_) | Want::Swarm(_) | Want::Attest(_) | Want::Rootless(_) => {
                Vec::new()
            }
        }
    }
}
