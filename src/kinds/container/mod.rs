//! Containers: one property of each a control, from the kernel where it runs, else as it was made.

mod advice;
pub mod limits;
mod property;

use std::path::Path;

use serde_json::Value;

use crate::baseline::control::{ContainerCondition, ContainerFix, ContainerProperty, ContainerWant, Control, Selector};
use crate::change::Edit;
use crate::expect::Expect;
use crate::fact::{ContainerFacts, Fact};
use crate::finding::{Outcome, Verdict};
use crate::formats::size;
use crate::host::docker::inspect;
use crate::kinds::describe::Description;
use crate::kinds::{Context, docker_missing, layout, not_applicable, unknown, verdict};
use crate::observe::Observer;
use property::Seen;

/// What the engine gives every container that asks for nothing else.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The target of a verdict that is about no single container.
const ALL: &str = "containers";

/// The target of a container's verdicts.
pub fn target(name: &str) -> String {
    format!("container:{name}")
}

/// Looks at what the control needs.
pub fn observe(want: &ContainerWant, observer: &mut Observer) {
    observer.containers();
    match want.property {
        ContainerProperty::Image => observer.images_of_containers(),
        ContainerProperty::PrivilegedExecs | ContainerProperty::RootExecs => observer.execs(),
        ContainerProperty::HostPaths | ContainerProperty::ApiSockets | ContainerProperty::WritableSources => {
            observer.sources_of_mounts();
        }
        _ => {}
    }
}

/// One verdict a container.
pub fn judge<'c>(control: &'c Control, want: &ContainerWant, context: &Context) -> Vec<Verdict<'c>> {
    if !context.facts.host.live {
        return vec![not_applicable(control, ALL, "an image tree has no containers")];
    }
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, ALL, outcome, "", "")];
    }
    let containers = match &context.facts.containers {
        Fact::Known(containers) => containers,
        Fact::Absent => return vec![unknown(control, ALL, "no dockerd runs that could list its containers")],
        Fact::Unknown(why) => return vec![unknown(control, ALL, why.clone())],
    };
    let of_selinux = want.unless.contains(&ContainerCondition::SelinuxOff);
    if let (true, Some(_), Fact::Unknown(why)) =
        (of_selinux, layout::remote(context.facts), &context.facts.host.selinux_enforcing)
    {
        return vec![unknown(control, ALL, why.clone())];
    }
    if let Some(reason) = want.unless.iter().find_map(|condition| holds(*condition, context)) {
        return vec![not_applicable(control, ALL, reason)];
    }
    if containers.is_empty() {
        return vec![not_applicable(control, ALL, "no container exists")];
    }
    if matches!(want.property, ContainerProperty::Stopped | ContainerProperty::StoppedDays) {
        return vec![of_all(control, want, containers)];
    }
    let judged: Vec<_> = containers.iter().filter(|container| container.running || !want.running).collect();
    if judged.is_empty() {
        return vec![not_applicable(control, ALL, "no container is running")];
    }
    judged.into_iter().map(|container| one(control, want_of(want, container), container, context)).collect()
}

/// Why the control does not apply on this host, if it does not.
fn holds(condition: ContainerCondition, context: &Context) -> Option<&'static str> {
    match condition {
        ContainerCondition::ApparmorOff => {
            let options = context.facts.daemon.api.known()?.security_options.as_ref()?;
            let on = options.iter().any(|option| option.starts_with("name=apparmor"));
            (!on).then_some("this engine does not use AppArmor")
        }
        ContainerCondition::SelinuxOff => {
            context.facts.host.selinux_enforcing.is_absent().then_some("SELinux is off in the kernel")
        }
    }
}

/// The want with the values that the baseline has for this container.
fn want_of<'w>(want: &'w ContainerWant, container: &ContainerFacts) -> &'w ContainerWant {
    let fits = |pattern: &Option<String>, texts: &[&str]| {
        let pattern = pattern.as_ref().map(|pattern| glob::Pattern::new(pattern));
        pattern.is_none_or(|pattern| pattern.is_ok_and(|pattern| texts.iter().any(|text| pattern.matches(text))))
    };
    let labels: Vec<&str> = container.labels.iter().map(String::as_str).collect();
    let selects = |selector: &Selector| {
        fits(&selector.name, &[&container.name]) && fits(&selector.image, &[&container.image]) && fits(&selector.label, &labels)
    };
    want.per_match.iter().find(|(selector, _)| selects(selector)).map_or(want, |(_, want)| want)
}

fn one<'c>(control: &'c Control, want: &ContainerWant, container: &ContainerFacts, context: &Context) -> Verdict<'c> {
    let target = target(&container.name);
    let exempt = |pattern: &String| glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(&container.name));
    if let Some(why) = &container.unread {
        return unknown(control, target, why.clone());
    }
    if want.exempt.iter().any(exempt) {
        return not_applicable(control, target, "the baseline excepts it by name");
    }
    if let Some(reason) = no_policy(want) {
        return not_applicable(control, target, reason);
    }
    let seen = match property::look(want.property, container, context) {
        Ok(seen) => seen,
        Err(why) => return unknown(control, target, why),
    };
    let expect = expectation(want, context);
    let offending = seen.offending(&expect);
    let good = expect == Expect::default() || expect.holds(Some(&seen.value));
    let outcome = match (good && within(&seen.value, want.no_more_than.as_ref()), &seen.doubt) {
        (true, Some(doubt)) => return unknown(control, target, doubt.clone()),
        (true, None) => Outcome::Compliant { note: seen.note.clone() },
        (false, _) => fix(want, container, &seen.advised(&offending)),
    };
    let observed = if matches!(outcome, Outcome::Compliant { .. }) { seen.said() } else { seen.wrong(&offending) };
    let mut verdict = verdict(control, target, outcome, observed, want.wanted.clone());
    verdict.evidence = seen.evidence;
    if let (Outcome::Fixable(_), ContainerFix::Update(update)) = (&verdict.outcome, &want.fix) {
        verdict.evidence.extend(advice::lasting(update, &container.owner));
    }
    verdict
}

fn no_policy(want: &ContainerWant) -> Option<String> {
    let names: Vec<&str> = want.unset.iter().map(String::as_str).collect();
    (!names.is_empty()).then(|| format!("there is no policy to judge by: the variable {} is not set", names.join(", ")))
}

fn fix(want: &ContainerWant, container: &ContainerFacts, offending: &[String]) -> Outcome {
    match &want.fix {
        ContainerFix::Update(update) => match limits::fix(update, container) {
            // What a fix leaves behind must hold: a value that goes beyond the bound of the same baseline would be drift again.
            Outcome::Fixable(edits) if edits.iter().any(|edit| beyond(edit, want)) => {
                Outcome::Manual("container.memory is more than container.memory_max allows; change one of the two".into())
            }
            outcome => outcome,
        },
        ContainerFix::Recreate(recreate) => Outcome::Manual(advice::recreate(recreate, container, offending)),
        ContainerFix::Manual(text) => Outcome::Manual(advice::filled(text, container, offending)),
    }
}

fn beyond(edit: &Edit, want: &ContainerWant) -> bool {
    let memory = match edit {
        Edit::Container(edit) => edit.after.memory,
        _ => None,
    };
    memory.is_some_and(|memory| !within(&Value::from(memory), want.no_more_than.as_ref()))
}

/// The expectation in the terms of the property: paths stand for all below them, the data root for what holds it as well, capabilities go by their kernel names.
fn expectation(want: &ContainerWant, context: &Context) -> Expect {
    let mut expect = want.expect.clone();
    match want.property {
        ContainerProperty::HostPaths => {
            let data_root = context.effective.data_root(context.facts);
            let below = |path: String| match path.as_str() {
                "@data-root" => {
                    let above = Path::new(&data_root).ancestors().skip(1).filter_map(Path::to_str).filter(|path| *path != "/");
                    let above = above.flat_map(|path| [path.to_owned(), format!("{path}:ro")]);
                    paths_below(&data_root).into_iter().chain(above).collect()
                }
                path => paths_below(path),
            };
            expect.excludes = expect.excludes.map(|paths| paths.into_iter().flat_map(below).collect());
        }
        ContainerProperty::Capabilities | ContainerProperty::AddedCapabilities | ContainerProperty::DroppedCapabilities => {
            for names in [&mut expect.excludes, &mut expect.except, &mut expect.includes].into_iter().flatten() {
                names.iter_mut().for_each(|name| *name = inspect::capability(name));
            }
        }
        ContainerProperty::Environment => {
            for patterns in [&mut expect.excludes, &mut expect.except].into_iter().flatten() {
                patterns.iter_mut().for_each(|pattern| *pattern = property::variable_name(pattern));
            }
        }
        ContainerProperty::Devices => {
            expect.except =
                expect.except.map(|devices| devices.iter().flat_map(|device| property::device_and_less(device)).collect());
        }
        _ => {}
    }
    expect
}

/// Patterns for a path and all below it; `/` is itself alone.
fn paths_below(path: &str) -> Vec<String> {
    let itself = [path.to_owned(), format!("{path}:ro")];
    let below = (path != "/").then(|| format!("{}/*", path.trim_end_matches('/')));
    itself.into_iter().chain(below).collect()
}

/// Whether a number stays within a bound; a size may be written as `512m`.
fn within(value: &Value, bound: Option<&Value>) -> bool {
    let bound = match bound {
        None => return true,
        Some(Value::String(text)) => text.parse().ok().or_else(|| size::parse(text)),
        Some(bound) => bound.as_i64(),
    };
    matches!((value.as_i64(), bound), (Some(value), Some(bound)) if value <= bound)
}

/// The one verdict on all stopped containers together.
fn of_all<'c>(control: &'c Control, want: &ContainerWant, containers: &[ContainerFacts]) -> Verdict<'c> {
    const TARGET: &str = "stopped containers";
    if let Some(reason) = no_policy(want) {
        return not_applicable(control, TARGET, reason);
    }
    let days = containers.iter().filter_map(|container| container.stopped_days);
    let (value, observed) = match want.property {
        ContainerProperty::Stopped => {
            let count = containers.iter().filter(|container| !container.running && container.unread.is_none()).count();
            (count as i64, format!("{count} stopped"))
        }
        _ => {
            let oldest = days.max().unwrap_or(0);
            (oldest, format!("one stopped for {}", crate::plan::count(usize::try_from(oldest).unwrap_or(0), "day")))
        }
    };
    let outcome = match (within(&Value::from(value), want.no_more_than.as_ref()), &want.fix) {
        (true, _) => Outcome::Compliant { note: None },
        (false, ContainerFix::Manual(text)) => Outcome::Manual(text.clone()),
        (false, _) => Outcome::Manual("remove those that are not needed: docker rm NAME".into()),
    };
    let mut verdict = verdict(control, TARGET, outcome, observed, want.wanted.clone());
    verdict.evidence = vec!["engine GET /containers/json?all=1".into()];
    verdict
}

/// The control in words, for `harden explain`.
pub fn describe(want: &ContainerWant) -> Description {
    let scope = if want.running { "every running container" } else { "every container" };
    let fix = match &want.fix {
        ContainerFix::Update(_) => {
            "the engine's update of the container, which goes on running; looked at again afterwards, undone by a rollback"
                .into()
        }
        ContainerFix::Recreate(recreate) => {
            format!("by hand, because it takes a new container: {}", advice::delta(recreate, &["…".into()]))
        }
        ContainerFix::Manual(text) => format!("by hand: {text}"),
    };
    Description { wanted: format!("{scope}: {}", want.wanted), observed: property::source(want.property).into(), fix }
}

impl Seen {
    /// Keys that the expectation does not allow, or that it misses.
    fn offending(&self, expect: &Expect) -> Vec<String> {
        let excluded = expect.offending(&self.value).into_iter().map(str::to_owned);
        let have = |name: &String| self.value.as_array().is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
        let missing = expect.includes.iter().flatten().filter(|name| !have(name)).cloned();
        excluded.chain(missing).collect()
    }
}

#[cfg(test)]
mod tests;
