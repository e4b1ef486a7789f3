//! Settings of a systemd unit, merged from its file and drop-ins; fixed in a drop-in of harden's own.

use serde_json::Value;

use crate::baseline::control::{Control, SettingWant, UnitWant};
use crate::change::{Action, Edit};
use crate::fact::{Fact, Facts};
use crate::finding::{Outcome, Verdict};
use crate::formats::unit_file::{self, Origin, Unit};
use crate::kinds::{Context, docker_missing, layout, not_applicable, unknown, verdict};
use crate::observe::Observer;
use crate::plan::DROP_IN;

/// What systemd makes anew whenever it reads its units, before it reads them.
pub const MADE_AS_UNITS_ARE_READ: &str = "/run/systemd/generator";

/// Reads the unit and its drop-ins.
pub fn observe(want: &UnitWant, observer: &mut Observer) {
    observer.unit(&want.unit);
    for setting in &want.setting {
        if setting.name.ends_with("Group") {
            for value in setting.expect.one_of.iter().flatten().chain(&setting.expect.is) {
                if let Some(name) = value.as_str() {
                    observer.group(name);
                }
            }
        }
    }
}

/// One verdict a setting.
pub fn judge<'c>(control: &'c Control, want: &UnitWant, context: &Context) -> Vec<Verdict<'c>> {
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, &want.unit, outcome, "", "")];
    }
    let name = match layout::unit(&want.unit, context.facts) {
        Ok(name) => name,
        Err(why) => return vec![not_applicable(control, &want.unit, why)],
    };
    let unit = match context.facts.units.get(name) {
        Some(Fact::Known(_)) => merged(context.facts, name),
        Some(Fact::Unknown(why)) => return vec![unknown(control, &want.unit, why.clone())],
        _ => return vec![not_applicable(control, &want.unit, format!("there is no unit {}", want.unit))],
    };
    want.setting.iter().map(|setting| judge_setting(control, want, setting, &unit, context)).collect()
}

fn judge_setting<'c>(
    control: &'c Control,
    want: &UnitWant,
    setting: &SettingWant,
    unit: &Unit,
    context: &Context,
) -> Verdict<'c> {
    let target = format!("{} {}", want.unit, setting.name);
    let set_at = unit.last(&setting.section, &setting.name).filter(|(value, _)| !value.is_empty());
    let (value, origin) = match &set_at {
        Some((value, origin)) => ((*value).to_owned(), format!("{origin}")),
        None => (setting.default.clone(), format!("{}'s default, {} is not set", want.unit, setting.name)),
    };
    let unread = set_at.as_ref().is_some_and(|(_, origin)| not_read_yet(&origin.path, context.facts));
    let outcome = if setting.expect.holds(Some(&Value::String(value.clone()))) {
        match unread {
            true => Outcome::Fixable(vec![Edit::Activate(Action::SystemdReload)]),
            false => Outcome::Compliant { note: None },
        }
    } else if let Some(place) = overriding(unit, &setting.section, &setting.name) {
        Outcome::Manual(format!("{place} is read after harden's own drop-in and wins; change {} there", setting.name))
    } else if let Some(set) = &setting.set {
        match value_to_set(setting, set, &value, context) {
            Ok(set) => Outcome::Fixable(vec![Edit::DropIn {
                unit: want.unit.clone(),
                setting: [setting.section.clone(), setting.name.clone(), set],
            }]),
            Err(reason) => Outcome::Manual(reason),
        }
    } else {
        Outcome::Manual(format!("set {}={} in a drop-in of {} yourself", setting.name, setting.expect, want.unit))
    };
    let note = if unread { "; systemd has not read that yet" } else { "" };
    let mut verdict = verdict(control, target, outcome, format!("{value}{note}"), setting.expect.to_string());
    verdict.evidence.push(origin);
    verdict
}

/// Whether a file of a unit is younger than systemd's last look at them, as far as that can be told.
fn not_read_yet(path: &str, facts: &Facts) -> bool {
    let modified = |path: &str| Some(facts.files.get(path)?.known()?.mtime_ns);
    match (modified(path), modified(MADE_AS_UNITS_ARE_READ)) {
        (Some(written), Some(read)) => written > read,
        _ => false,
    }
}

/// The drop-in that gives a setting and is read after harden's own, whatever that one says: systemd sorts them by name.
pub(crate) fn overriding(unit: &Unit, section: &str, name: &str) -> Option<Origin> {
    let (_, origin) = unit.last(section, name)?;
    let file_name = origin.path.rsplit('/').next().unwrap_or_default();
    (origin.path != unit.fragment && file_name > DROP_IN).then_some(origin)
}

/// A mode keeps what the unit says and loses only the bits beyond the mask; a group must exist, or the unit would not start.
fn value_to_set(setting: &SettingWant, set: &str, value: &str, context: &Context) -> Result<String, String> {
    if let (Some(allowed), Ok(mode)) = (setting.expect.at_most, u32::from_str_radix(value, 8)) {
        return Ok(format!("{:04o}", mode & allowed.0));
    }
    if setting.name.ends_with("Group") && set != "root" && context.facts.groups.get(set).and_then(Fact::known).is_none() {
        return Err(format!(
            "there is no group `{set}` here, and a unit that names it would not start; create the group, or set docker_socket_group"
        ));
    }
    Ok(set.to_owned())
}

/// A unit as systemd would merge it, from what was read. Empty when it was not observed.
pub fn merged(facts: &Facts, name: &str) -> Unit {
    let Some(Fact::Known(unit)) = facts.units.get(name) else { return Unit::default() };
    let parse = |path: &String| match facts.files.get(path) {
        Some(Fact::Known(file)) => Some(unit_file::parse(path, &file.content.as_ref()?.0)),
        _ => None,
    };
    let fragment = parse(&unit.fragment).unwrap_or_else(|| unit_file::parse(&unit.fragment, b""));
    Unit::merge(fragment, unit.drop_ins.iter().filter_map(parse).collect())
}
