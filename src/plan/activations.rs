//! What puts the changes of a plan in force, what that interrupts, and what is left to the user.

use std::collections::BTreeMap;

use crate::change::{Action, Activation};
use crate::fact::{Facts, ServiceManager};
use crate::kinds::daemon;
use crate::kinds::restart::Restart;
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
