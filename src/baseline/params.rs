//! Parameters: the parts of a control that a baseline may choose without changing what the control means.

use std::collections::BTreeMap;

use serde_json::Value;

use super::control::{Mode, Want};
use crate::expect::plain;

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
        Want::Sysctl(_)
        | Want::Host(_)
        | Want::Container(_)
        | Want::Image(_)
        | Want::Swarm(_)
        | Want::Attest(_)
        | Want::Rootless(_) => (false, false, false, false),
    };
    let all = [("mode_max", mode), ("owner", owner), ("group", group), ("perms", perms)];
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

/// Each parameter that this control has, and its value.
pub(super) fn values(want: &Want) -> Vec<(&'static str, String)> {
    // The want is a table in a table of one key, its kind; a parameter is one of its fields.
    let written = serde_json::to_value(want).unwrap_or_default();
    let fields = written.as_object().and_then(|kinds| kinds.values().next());
    let value = |name: &str| match fields.and_then(|fields| fields.get(name).or_else(|| fields.get(format!("{name}_one_of")))) {
        Some(Value::Array(elements)) => elements.iter().map(plain).collect::<Vec<_>>().join(" or "),
        Some(value) => plain(value),
        None => String::new(),
    };
    names(want).into_iter().map(|name| (name, value(name))).collect()
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
            Want::Sysctl(_)
            | Want::Host(_)
            | Want::Container(_)
            | Want::Image(_)
            | Want::Swarm(_)
            | Want::Attest(_)
            | Want::Rootless(_) => {}
        }
    }
}
