//! Parameters: the parts of a control that a baseline may choose without changing what the control means.

use std::collections::BTreeMap;

use super::control::{Mode, Want};

/// The parameters that a baseline gives to one control.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Params {
    pub mode_max: Option<Mode>,
    /// `owner`, `group` and `perms`, by name.
    pub texts: BTreeMap<&'static str, String>,
}

/// The parameters that this control has: those of its own fields that may be chosen.
pub(super) fn names(want: &Want) -> Vec<&'static str> {
    let (mode, owner, group, perms) = match want {
        Want::File(want) => (want.mode_max.is_some(), want.owner.is_some(), want.group.is_some(), false),
        Want::Socket(want) => (want.mode_max.is_some(), want.owner.is_some(), !want.group_one_of.is_empty(), false),
        Want::Watch(_) => (false, false, false, true),
        Want::Daemon(_) | Want::DaemonConfig(_) | Want::Unit(_) | Want::AuditState(_) => (false, false, false, false),
        Want::Sysctl(_) | Want::Host(_) | Want::Container(_) | Want::Image(_) | Want::Swarm(_) | Want::Attest(_) => {
            (false, false, false, false)
        }
    };
    let all = [("mode_max", mode), ("owner", owner), ("group", group), ("perms", perms)];
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

impl Params {
    /// Those of `child` come before these.
    pub fn overridden_by(&mut self, child: Params) {
        self.mode_max = child.mode_max.or(self.mode_max);
        self.texts.extend(child.texts);
    }

    /// Puts the parameters into the control's want.
    pub fn apply(&self, want: &mut Want) {
        let text = |name: &str| self.texts.get(name).cloned();
        match want {
            Want::File(want) => {
                want.mode_max = self.mode_max.or(want.mode_max);
                want.owner = text("owner").or(want.owner.take());
                want.group = text("group").or(want.group.take());
            }
            Want::Socket(want) => {
                want.mode_max = self.mode_max.or(want.mode_max);
                want.owner = text("owner").or(want.owner.take());
                if let Some(group) = text("group") {
                    want.group_one_of = vec![group];
                }
            }
            Want::Watch(want) => want.perms = text("perms").unwrap_or(std::mem::take(&mut want.perms)),
            Want::Daemon(_) | Want::DaemonConfig(_) | Want::Unit(_) | Want::AuditState(_) => {}
            Want::Sysctl(_) | Want::Host(_) | Want::Container(_) | Want::Image(_) | Want::Swarm(_) | Want::Attest(_) => {}
        }
    }
}
