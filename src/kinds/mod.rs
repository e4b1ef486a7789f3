//! The kinds of things that controls speak of. This file holds the only list of them.
//!
//! Each kind says what to read (`observe`), how it stands (`judge`) and, in its verdicts, what to edit. Observing fills
//! [`Facts`](crate::fact::Facts) through the [`Observer`]; judging only reads them.

pub mod attest;
pub mod audit_state;
pub mod build;
pub mod container;
pub mod daemon;
pub mod daemon_config;
pub mod describe;
pub mod effective;
pub mod file;
pub mod flags;
pub mod host;
pub mod image;
pub mod layout;
pub mod listens;
pub mod next_start;
pub mod place;
pub mod prerequisites;
pub mod reload;
pub mod restart;
pub mod rootless;
pub mod socket;
pub mod supervisor;
pub mod swarm;
pub mod sysctl;
pub mod unit;
pub mod watch;

use crate::baseline::control::{Control, Want};
use crate::fact::Facts;
use crate::finding::{Outcome, Verdict};
use crate::observe::Observer;
use effective::Effective;

/// What every kind judges by.
pub struct Context<'f> {
    /// What was seen.
    pub facts: &'f Facts,
    /// dockerd's effective configuration, worked out once.
    pub effective: Effective,
    /// The audit rules as rules.d would load them, worked out once.
    pub rules: watch::RulesOnDisk,
    /// The key that harden's own audit rules carry.
    pub audit_key: String,
    /// The Dockerfiles that are judged instead of a host, read once.
    pub builds: Vec<build::Build<'f>>,
}

impl<'f> Context<'f> {
    /// Works out what several kinds need.
    pub fn new(facts: &'f Facts, audit_key: &str) -> Self {
        Self {
            facts,
            effective: Effective::of(facts),
            rules: watch::RulesOnDisk::of(facts),
            audit_key: audit_key.to_owned(),
            builds: facts.build.iter().flat_map(|build| &build.files).map(build::Build::of).collect(),
        }
    }

    /// For what speaks of dockerd alone, while the audit rules are still to be looked at.
    pub fn of_daemon(facts: &'f Facts) -> Self {
        Self {
            facts,
            effective: Effective::of(facts),
            rules: watch::RulesOnDisk::unread(),
            audit_key: String::new(),
            builds: Vec::new(),
        }
    }
}

/// Looks at what a control wants to know.
pub fn observe(control: &Control, observer: &mut Observer) {
    match &control.want {
        Want::Daemon(want) => daemon::observe(want, observer),
        Want::DaemonConfig(_) => {}
        Want::File(want) => file::observe(want, observer),
        Want::Socket(want) => socket::observe(want, observer),
        Want::Unit(want) => unit::observe(want, observer),
        Want::Watch(want) => watch::observe(want, observer),
        Want::AuditState(_) | Want::Attest(_) | Want::Rootless(_) => {}
        Want::Sysctl(want) => sysctl::observe(want, observer),
        Want::Host(want) => host::observe(want, observer),
        Want::Container(want) => container::observe(want, observer),
        Want::Image(want) => image::observe(want, observer),
        Want::Swarm(want) => swarm::observe(want, observer),
    }
}

/// Whether a control needs the audit subsystem to be looked at.
pub fn needs_audit(control: &Control) -> bool {
    matches!(control.want, Want::Watch(_) | Want::AuditState(_))
}

/// Judges one control: one verdict a target, at least one.
pub fn judge<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    if let Some(outcome) = layout::settled(control, context.facts) {
        return vec![verdict(control, "dockerd", outcome, "", "")];
    }
    let mut verdicts = judge_kind(control, context);
    verdicts.iter_mut().for_each(|verdict| layout::temper(verdict, context.facts));
    verdicts
}

fn judge_kind<'c>(control: &'c Control, context: &Context) -> Vec<Verdict<'c>> {
    match &control.want {
        Want::Daemon(want) => daemon::judge(control, want, context),
        Want::DaemonConfig(_) => daemon_config::judge(control, context),
        Want::File(want) => file::judge(control, want, context),
        Want::Socket(want) => socket::judge(control, want, context),
        Want::Unit(want) => unit::judge(control, want, context),
        Want::Watch(want) => watch::judge(control, want, context),
        Want::AuditState(want) => audit_state::judge(control, want, context),
        Want::Sysctl(want) => sysctl::judge(control, want, context),
        Want::Host(want) => host::judge(control, want, context),
        Want::Container(want) => container::judge(control, want, context),
        Want::Image(want) => image::judge(control, want, context),
        Want::Swarm(want) => swarm::judge(control, want, context),
        Want::Attest(want) => attest::judge(control, want, context),
        Want::Rootless(want) => rootless::judge(control, want, context),
    }
}

/// A verdict without evidence; kinds add what they have.
pub(crate) fn verdict<'c>(
    control: &'c Control,
    target: impl Into<String>,
    outcome: Outcome,
    observed: impl Into<String>,
    desired: impl Into<String>,
) -> Verdict<'c> {
    Verdict {
        control,
        target: target.into(),
        outcome,
        observed: observed.into(),
        desired: desired.into(),
        evidence: Vec::new(),
    }
}

/// The one verdict of a control that does not apply.
pub(crate) fn not_applicable<'c>(control: &'c Control, target: impl Into<String>, reason: impl Into<String>) -> Verdict<'c> {
    verdict(control, target, Outcome::NotApplicable(reason.into()), "", "")
}

/// The one verdict of a control that could not be observed.
pub(crate) fn unknown<'c>(control: &'c Control, target: impl Into<String>, reason: impl Into<String>) -> Verdict<'c> {
    verdict(control, target, Outcome::Unknown(reason.into()), "", "")
}

/// What is wrong with a line, to be read after "is".
pub(crate) fn wrong(what: &str) -> String {
    format!("wrong: {}", what.trim_end_matches('.'))
}

/// Why daemon, file and socket controls of Docker do not apply here, if they do not.
pub(crate) fn docker_missing(facts: &Facts) -> Option<Outcome> {
    match &facts.daemon.installed {
        crate::fact::Fact::Known(_) => None,
        crate::fact::Fact::Absent => {
            Some(Outcome::NotApplicable("Docker is not installed: no dockerd, no docker.service".into()))
        }
        crate::fact::Fact::Unknown(why) => Some(Outcome::Unknown(why.clone())),
    }
}
