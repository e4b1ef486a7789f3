//! Releases of the engine, its parts and the kernel; what the kernel enforces; the runtime.

use super::{Reading, Seen, of};
use crate::baseline::control::{HostCheck, HostProperty};
use crate::fact::{Fact, Facts};
use crate::formats::floors;
use crate::formats::release::{Release, flavour, natural};
use crate::kinds::Context;
use crate::observe::Observer;

/// Where kernels are installed: the image of each, and the list of its modules.
const KERNELS: [&str; 4] =
    ["/boot/vmlinuz-*", "/usr/lib/modules/*/vmlinuz", "/usr/lib/modules/*/modules.dep", "/lib/modules/*/modules.dep"];

pub fn observe(property: HostProperty, observer: &mut Observer) {
    if !observer.facts().host.live {
        return;
    }
    match property {
        HostProperty::Release if observer.facts().machine.components == Fact::default() => {
            let running = observer.facts().daemon.api.known().is_some();
            let components = if running { observer.host().components() } else { Fact::Absent };
            observer.machine_facts().components = components;
        }
        HostProperty::RunningKernel => {
            observer.machine_facts().kernel = crate::host::machine::kernel_release();
            KERNELS.iter().for_each(|pattern| observer.glob(pattern));
        }
        HostProperty::Mac => observer.machine_facts().apparmor = crate::host::machine::apparmor(),
        _ => {}
    }
}

pub fn release(check: &HostCheck, context: &Context) -> Vec<Seen> {
    let (facts, component) = (context.facts, of(check).unwrap_or("docker"));
    let version = match (component, &facts.machine.components) {
        ("docker", _) => facts.daemon.version.clone(),
        // Only a running daemon tells of its parts.
        _ if !facts.host.live => return Vec::new(),
        (_, Fact::Known(components)) => match components.get(component) {
            Some(version) => Fact::Known(version.clone()),
            None => Fact::Unknown(format!("the engine's /version does not name {component}")),
        },
        (_, Fact::Absent) => Fact::Unknown("no daemon runs that could be asked".into()),
        (_, Fact::Unknown(why)) => Fact::Unknown(why.clone()),
    };
    let version = match version {
        Fact::Known(version) => version,
        Fact::Unknown(_) if !facts.host.live => {
            return vec![Seen::Nothing(component.into(), "an image tree does not say; give --docker-version".into())];
        }
        Fact::Unknown(why) => return vec![Seen::Unknown(component.into(), why)],
        Fact::Absent => return vec![Seen::Unknown(component.into(), "its version is not known".into())],
    };
    let Some(release) = Release::parse(&version) else {
        return vec![Seen::Unknown(component.into(), format!("`{version}` is no release that can be compared"))];
    };
    let lowest =
        check.lowest.as_ref().and_then(|lowest| lowest.value()).and_then(|text| Some((text, Release::parse(&text.0)?)));
    let too_old = floors::below(component, &release);
    let below = lowest.as_ref().filter(|(_, lowest)| release < *lowest);
    // The higher of the two is what would do.
    let table_is_higher = |floor: &str| lowest.as_ref().is_none_or(|(_, lowest)| Release::parse(floor).as_ref() > Some(lowest));
    let desired = match (&too_old, &lowest) {
        (Some(old), _) if table_is_higher(&old.floor) => format!("at least {} ({})", old.floor, old.why),
        (_, Some((lowest, _))) => format!("at least {}", lowest.0),
        _ => "a release that has the fixes of its line".into(),
    };
    let packaged = version.contains(['+', '~']) && too_old.is_some();
    let mut evidence = vec![match component {
        "docker" => "the engine's version, as its API or --docker-version says".to_owned(),
        _ => "the engine's /version".to_owned(),
    }];
    evidence.extend(
        packaged.then(|| "a package of a distribution may hold the fixes under an old number; its tracker tells".into()),
    );
    let value = too_old.is_none() && below.is_none();
    vec![Seen::of(Reading {
        target: component.into(),
        value: Some(value.into()),
        shown: version,
        desired: Some(desired),
        evidence,
        ..Reading::default()
    })]
}

pub fn running_kernel(check: &HostCheck, context: &Context) -> Seen {
    let target = "kernel".to_owned();
    let facts = context.facts;
    if !facts.host.live {
        return Seen::Nothing(target, "an image tree has no running kernel".into());
    }
    let running = match &facts.machine.kernel {
        Fact::Known(running) => running,
        Fact::Absent => return Seen::Unknown(target, "not looked at".into()),
        Fact::Unknown(why) => return Seen::Unknown(target, why.clone()),
    };
    let lowest =
        check.lowest.as_ref().and_then(|lowest| lowest.value()).and_then(|text| Some((text, Release::parse(&text.0)?)));
    let below = lowest.filter(|(_, lowest)| Release::parse(running).is_none_or(|release| release < *lowest));
    let installed = match installed(facts) {
        Ok(installed) => installed,
        Err(why) => return Seen::Unknown(target, why),
    };
    // Another flavour, for the cloud say, is a choice and not an update.
    let same = installed.iter().filter(|release| flavour(release) == flavour(running));
    let newest = same.max_by(|one, other| natural(one, other));
    let Some(newest) = newest.or(below.is_some().then_some(running)) else {
        return Seen::Nothing(target, format!("no kernel of this kind is installed here; {running} came from elsewhere"));
    };
    let newer = natural(newest, running).is_gt();
    let desired = match (newer, below) {
        (false, Some((lowest, _))) => format!("at least {}", lowest.0),
        _ => format!("{newest}, the newest that is installed"),
    };
    let value = !newer && below_is_none(check, running);
    let evidence = vec![format!("uname -r: {running}"), format!("installed: {}", installed.join(", "))];
    Seen::of(Reading {
        target,
        value: Some(value.into()),
        shown: running.clone(),
        desired: Some(desired),
        evidence,
        ..Reading::default()
    })
}

fn below_is_none(check: &HostCheck, running: &str) -> bool {
    let lowest = check.lowest.as_ref().and_then(|lowest| lowest.value()).and_then(|text| Release::parse(&text.0));
    lowest.is_none_or(|lowest| Release::parse(running).is_some_and(|release| release >= lowest))
}

/// Releases of the kernels that are installed, each once.
fn installed(facts: &Facts) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    for pattern in KERNELS {
        match facts.globs.get(pattern) {
            Some(Fact::Known(paths)) => found.extend(paths.iter().filter_map(|path| {
                let release = match path.strip_prefix("/boot/vmlinuz-") {
                    Some(release) => release,
                    None => path.rsplit('/').nth(1)?,
                };
                // Fedora's rescue image is none to run.
                (!release.contains("rescue")).then(|| release.to_owned())
            })),
            Some(Fact::Unknown(why)) => return Err(why.clone()),
            _ => {}
        }
    }
    found.sort_by(|one, other| natural(one, other));
    found.dedup();
    Ok(found)
}

pub fn mac(context: &Context) -> Seen {
    let facts = context.facts;
    let target = "mandatory access control".to_owned();
    if !facts.host.live {
        return Seen::Nothing(target, "an image tree has no kernel".into());
    }
    let apparmor = &facts.machine.apparmor;
    let selinux = &facts.host.selinux_enforcing;
    let on: Vec<(&str, &str)> = [(apparmor, "AppArmor", "name=apparmor"), (selinux, "SELinux", "name=selinux")]
        .into_iter()
        .filter(|(fact, ..)| **fact == Fact::Known(true))
        .map(|(_, name, option)| (name, option))
        .collect();
    if on.is_empty()
        && let Some(why) = [apparmor, selinux].into_iter().find_map(|fact| match fact {
            Fact::Unknown(why) => Some(why.clone()),
            _ => None,
        })
    {
        return Seen::Unknown(target, why);
    }
    let options = match &facts.daemon.api {
        _ if on.is_empty() => None,
        Fact::Known(api) => api.security_options.as_ref(),
        Fact::Unknown(why) => return Seen::Unknown(target, format!("whether dockerd uses {} can't be told: {why}", on[0].0)),
        Fact::Absent => {
            return Seen::Unknown(target, format!("whether dockerd uses {} can't be told: it does not run", on[0].0));
        }
    };
    let used = |option: &str| options.is_none_or(|options| options.iter().any(|one| one.split(',').any(|part| part == option)));
    let using = on.iter().find(|(_, option)| used(option));
    let (value, shown, manual) = match (on.as_slice(), using) {
        ([], _) => (false, "off, AppArmor and SELinux alike".to_owned(), None),
        (_, Some((name, _))) => (true, format!("enforced by {name}"), None),
        ([(name, _), ..], None) => {
            let manual = match *name {
                "SELinux" => "switch it on in dockerd: \"selinux-enabled\": true (daemon-selinux-enabled)",
                _ => "install the program that loads profiles (the package apparmor), then restart dockerd",
            };
            (false, format!("enforced by {name}, not used by dockerd"), Some(manual.to_owned()))
        }
    };
    let shown_fact = |name: &str, fact: &Fact<bool>| match fact {
        Fact::Known(true) => format!("{name}: on"),
        Fact::Known(false) => format!("{name}: does not enforce"),
        Fact::Absent => format!("{name}: off"),
        Fact::Unknown(why) => format!("{name}: {why}"),
    };
    let mut evidence = vec![shown_fact("AppArmor", apparmor), shown_fact("SELinux", selinux)];
    evidence.extend(options.map(|options| format!("/info SecurityOptions: {}", options.join(" "))));
    Seen::of(Reading { target, value: Some(value.into()), shown, evidence, manual, ..Reading::default() })
}

pub fn default_runtime(check: &HostCheck, context: &Context) -> Seen {
    let facts = context.facts;
    let target = "default-runtime".to_owned();
    let api = facts.daemon.api.known();
    let runtimes = api.and_then(|api| api.runtimes.as_ref()).map(|all| all.join(", "));
    let Some(required) = of(check) else {
        let registered = runtimes.map(|all| format!("; registered here: {all}")).unwrap_or_default();
        return Seen::Nothing(
            target,
            format!("no runtime is required; set the variable required_runtime to ask for one{registered}"),
        );
    };
    let Some(runtime) = api.and_then(|api| api.default_runtime.as_ref()) else {
        return match &facts.daemon.api {
            Fact::Unknown(why) => Seen::Unknown(target, why.clone()),
            Fact::Absent if !facts.host.live => Seen::Nothing(target, "an image tree runs no daemon".into()),
            _ => Seen::Unknown(target, "no daemon runs that says which runtime it takes".into()),
        };
    };
    let evidence = runtimes.into_iter().map(|all| format!("/info Runtimes: {all}")).collect();
    Seen::of(Reading {
        target,
        value: Some((runtime == required).into()),
        shown: runtime.clone(),
        desired: Some(required.to_owned()),
        evidence,
        note: Some("containers that were created with another --runtime keep it".into()),
        ..Reading::default()
    })
}
