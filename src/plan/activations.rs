//! What puts the changes of a plan in force, what that interrupts, and what is left to the user.

use std::collections::BTreeMap;

use crate::change::{Action, Activation, Change, Effect};
use crate::fact::{Facts, ServiceManager};
use crate::kinds::daemon;
use crate::kinds::restart::Restart;
use crate::kinds::supervisor::Supervisor;
use crate::plan::Plan;
use crate::plan::folding::Folding;

impl Folding<'_, '_, '_> {
    /// Activations in the cheapest order that works; verdicts whose change is withheld need none.
    pub fn activations(&self, actions: &BTreeMap<Action, Vec<usize>>) -> Vec<Activation> {
        let restart = Restart::of(self.context.facts, &self.context.effective, self.containers_survive(actions));
        let mut activations = Vec::new();
        for (&action, verdicts) in actions {
            let verdicts: Vec<_> = verdicts.iter().filter(|verdict| !self.withheld_of.contains_key(verdict)).collect();
            if verdicts.is_empty() || !self.context.facts.host.live {
                continue;
            }
            let mut changes: Vec<String> =
                verdicts.iter().filter_map(|verdict| self.changes_of.get(verdict)).flatten().cloned().collect();
            changes.sort_by_key(|id| id[1..].parse::<u32>().unwrap_or(0));
            changes.dedup();
            let (mut reason, by_hand) = describe(action, self.context.facts, &restart);
            if action == Action::DockerRestart && changes.is_empty() {
                reason.push_str(" (what is on disk is not in force yet)");
            }
            activations.push(Activation { action, reason, changes, by_hand });
        }
        activations
    }

    /// Whether containers outlive the restart that this plan comes to.
    fn containers_survive(&self, actions: &BTreeMap<Action, Vec<usize>>) -> bool {
        let reloaded = actions.get(&Action::DockerReload).into_iter().flatten();
        let fixed = self.changes_of.keys().chain(reloaded).filter(|index| !self.withheld_of.contains_key(index));
        daemon::containers_survive(fixed.map(|&index| &self.verdicts[index]), self.context)
    }
}

/// What an activation does and interrupts, and what to type where harden can't do it.
pub fn describe(action: Action, facts: &Facts, restart: &Restart) -> (String, Option<String>) {
    match action {
        Action::AuditLoad => ("adds the missing audit rules to the kernel; interrupts nothing".into(), None),
        Action::Sysctl => ("sets parameters of the running kernel; interrupts nothing".into(), None),
        Action::SystemdReload => match facts.host.service_manager {
            ServiceManager::Systemd => ("systemd reads its units again; interrupts nothing".into(), None),
            _ => (
                "systemd does not run here; the drop-in counts from its next start".into(),
                Some("systemctl daemon-reload".into()),
            ),
        },
        Action::DockerReload => ("SIGHUP to dockerd: it reads its configuration again; interrupts nothing".into(), None),
        Action::DockerRestart => (restart.describe(), daemon::restart_by_hand(facts)),
    }
}

impl Plan {
    /// The same plan without anything that puts it in force: what is to be done for that is left to the user, with the command to type.
    /// The kernel's audit rules and parameters are in force at once, so they are left too.
    pub fn writes_only(mut self, facts: &Facts) -> Plan {
        let rules = |change: &Change| matches!(change.effect, Effect::AuditKernel { .. });
        let in_kernel = |effect: &Effect| matches!(effect, Effect::AuditKernel { .. } | Effect::Sysctl { .. });
        let rules_dropped = self.changes.iter().any(rules);
        let dropped: Vec<String> =
            self.changes.iter().filter(|change| in_kernel(&change.effect)).map(|change| change.id.clone()).collect();
        self.changes.retain(|change| !in_kernel(&change.effect));
        let loads = |activation: &Activation| activation.action == Action::AuditLoad;
        if rules_dropped && !self.activations.iter().any(loads) {
            let reason = "the kernel's audit rules follow those on disk; interrupts nothing".into();
            self.activations.insert(0, Activation { action: Action::AuditLoad, reason, changes: Vec::new(), by_hand: None });
        }
        let reloads = self.activations.iter().any(|activation| activation.action == Action::DockerReload);
        for activation in &mut self.activations {
            activation.changes.retain(|change| !dropped.contains(change));
            let after_reload = reloads && activation.action == Action::DockerRestart;
            activation.by_hand.get_or_insert_with(|| left(&command(activation.action, facts), after_reload));
        }
        self.no_activate = true;
        self
    }
}

/// What to type for it, where harden could do it.
fn command(action: Action, facts: &Facts) -> String {
    match (action, Supervisor::of(facts)) {
        (Action::AuditLoad, _) => "augenrules --load".into(),
        (Action::Sysctl, _) if facts.host.service_manager == ServiceManager::Systemd => {
            "systemctl restart systemd-sysctl".into()
        }
        (Action::Sysctl, _) => "sysctl --system".into(),
        (Action::SystemdReload, _) => "systemctl daemon-reload".into(),
        (Action::DockerReload, supervisor) => match (supervisor, facts.daemon.process.known()) {
            (Some(Supervisor::Systemd), _) | (_, None) => Supervisor::Systemd.command("reload").join(" "),
            (_, Some(process)) => format!("kill -HUP {}", process.pid),
        },
        (Action::DockerRestart, supervisor) => supervisor.unwrap_or(Supervisor::Systemd).command("restart").join(" "),
    }
}

/// What is left to the user. A restart before live-restore is in force would stop what it should keep.
fn left(command: &str, after_reload: bool) -> String {
    let when = if after_reload { "once `docker info --format '{{.LiveRestoreEnabled}}'` says true: " } else { "" };
    format!("--no-activate leaves it to you: {when}`{command}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::control::Risk;
    use crate::change::Change;
    use crate::fact::{Fact, ProcessFact, UnitFacts};
    use crate::kinds::effective::SERVICE;

    fn plan(actions: &[Action]) -> Plan {
        let change =
            |id: &str, effect| Change { id: id.into(), controls: Vec::new(), risk: Risk::Safe, summary: String::new(), effect };
        let changes = vec![
            change("c1", Effect::File { path: "/x".into(), before: None, after: None }),
            change("c2", Effect::AuditKernel { add: Vec::new(), remove: Vec::new() }),
        ];
        let activation =
            |&action| Activation { action, reason: String::new(), changes: vec!["c1".into(), "c2".into()], by_hand: None };
        Plan { changes, activations: actions.iter().map(activation).collect(), ..Plan::default() }
    }

    fn running(manager: ServiceManager, service: Option<&str>) -> Facts {
        let mut facts = Facts::default();
        facts.host.service_manager = manager;
        facts.daemon.process = Fact::Known(ProcessFact {
            pid: 7,
            exe: String::new(),
            argv: Vec::new(),
            started_ns: 10,
            service: service.map(str::to_owned),
        });
        facts.units.insert(SERVICE.into(), Fact::Known(UnitFacts::default()));
        facts
    }

    fn to_type(plan: &Plan) -> Vec<&str> {
        plan.activations.iter().map(|activation| activation.by_hand.as_deref().unwrap_or_default()).collect()
    }

    #[test]
    fn writing_only_leaves_every_command_to_type() {
        use Action::{AuditLoad, DockerReload, DockerRestart, SystemdReload};
        let systemd = running(ServiceManager::Systemd, Some(SERVICE));
        let plan_of = |actions| plan(actions).writes_only(&systemd);
        let written = plan_of(&[AuditLoad, SystemdReload, DockerReload, DockerRestart]);
        assert_eq!(
            to_type(&written),
            [
                "--no-activate leaves it to you: `augenrules --load`",
                "--no-activate leaves it to you: `systemctl daemon-reload`",
                "--no-activate leaves it to you: `systemctl reload docker.service`",
                "--no-activate leaves it to you: once `docker info --format '{{.LiveRestoreEnabled}}'` says true: `systemctl restart docker.service`",
            ]
        );
        assert!(written.no_activate);
        let ids: Vec<&str> = written.changes.iter().map(|change| change.id.as_str()).collect();
        assert_eq!(ids, ["c1"], "the kernel's rules are in force at once");
        assert!(written.activations.iter().all(|activation| activation.changes == ["c1"]));
        assert_eq!(
            to_type(&plan_of(&[DockerRestart]))[1],
            "--no-activate leaves it to you: `systemctl restart docker.service`"
        );
        // What a rollback takes out of the kernel is a change without an activation.
        assert_eq!(plan_of(&[DockerRestart]).activations[0].action, AuditLoad);
        let bare = running(ServiceManager::Sysv, None);
        assert_eq!(to_type(&plan(&[DockerReload]).writes_only(&bare))[1], "--no-activate leaves it to you: `kill -HUP 7`");
    }
}
