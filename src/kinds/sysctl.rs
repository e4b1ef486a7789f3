//! Kernel parameters: as they are, and as they will be after the next boot.

use std::path::Path;

use serde_json::Value;

use crate::baseline::control::{Control, ParameterWant, SysctlWant};
use crate::change::{self, Edit};
use crate::fact::{Fact, Facts, ServiceManager};
use crate::finding::{Outcome, Verdict};
use crate::formats::sysctl::{self, AtBoot, Loader, Merged, OWN_FILE, SYSCTL_CONF, key_of, path_of};
use crate::kinds::describe::Description;
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict};
use crate::observe::Observer;

/// Where the interfaces of the running kernel are listed.
const INTERFACES: &str = "/proc/sys/net/ipv4/conf";

/// Reads the parameters of the running kernel, and all of sysctl.d.
pub fn observe(want: &SysctlWant, observer: &mut Observer) {
    files(observer);
    if !observer.facts().host.live {
        return;
    }
    for key in &want.key {
        for name in &key.names {
            running(&path_of(name), observer);
            if key.interfaces {
                interfaces(observer);
                for interface in observer.facts().machine.interfaces.known().cloned().unwrap_or_default() {
                    of_interface(name, &interface).inspect(|path| running(path, observer));
                }
            }
        }
    }
}

pub(crate) fn running(path: &str, observer: &mut Observer) {
    if !observer.facts().machine.sysctl.contains_key(path) {
        let value = observer.host().sysctl(path);
        observer.machine_facts().sysctl.insert(path.to_owned(), value);
    }
}

fn interfaces(observer: &mut Observer) {
    if observer.facts().machine.interfaces == Fact::default() {
        let names = match observer.host().root.list(INTERFACES) {
            Fact::Known(mut names) => {
                names.retain(|name| !["all", "default", "lo"].contains(&name.as_str()));
                Fact::Known(names)
            }
            other => other,
        };
        observer.machine_facts().interfaces = names;
    }
}

/// The files of sysctl.d, once.
pub(crate) fn files(observer: &mut Observer) {
    if observer.facts().machine.sysctl_files != Fact::default() {
        return;
    }
    let mut listing = Vec::new();
    let mut doubt = None;
    for dir in sysctl::DIRS {
        match observer.host().root.list(dir) {
            Fact::Known(names) => listing.push((dir, names)),
            Fact::Absent => {}
            Fact::Unknown(why) => doubt = Some(why),
        }
    }
    let files = sysctl::in_order(&listing);
    for file in files.iter().map(String::as_str).chain([SYSCTL_CONF]) {
        observer.read(file);
    }
    observer.machine_facts().sysctl_files = doubt.map_or(Fact::Known(files), Fact::Unknown);
}

/// The parameter of one interface that goes with one of all interfaces.
fn of_interface(name: &str, interface: &str) -> Option<String> {
    let path = path_of(name);
    path.contains("/conf/all/").then(|| path.replace("/conf/all/", &format!("/conf/{interface}/")))
}

/// sysctl.d as it was read.
pub(crate) struct Boot {
    files: Vec<(String, Vec<u8>)>,
    /// /etc/sysctl.conf, for those who read it last.
    last: Vec<u8>,
    loader: Loader,
}

impl Boot {
    /// An error says what could not be read: it may set anything.
    pub(crate) fn of(facts: &Facts) -> Result<Self, String> {
        let content = |path: &str| match facts.files.get(path) {
            // What is no regular file, /dev/null say, is read as an empty one.
            Some(Fact::Known(file)) => Ok(file.content.as_ref().map(|content| content.0.clone()).unwrap_or_default()),
            Some(Fact::Absent) => Ok(Vec::new()),
            Some(Fact::Unknown(why)) => Err(why.clone()),
            None => Err(format!("{path}: not looked at")),
        };
        let paths = match &facts.machine.sysctl_files {
            Fact::Known(paths) => paths.clone(),
            Fact::Absent => Vec::new(),
            Fact::Unknown(why) => return Err(why.clone()),
        };
        let read = |path: String| content(&path).map(|bytes| (path, bytes));
        let files = paths.into_iter().map(read).collect::<Result<_, _>>()?;
        let scripts = [ServiceManager::Sysv, ServiceManager::Openrc].contains(&facts.host.service_manager);
        let loader = if scripts { Loader::Procps } else { Loader::Systemd };
        Ok(Self { files, last: content(SYSCTL_CONF)?, loader })
    }

    /// What the next boot does about a parameter, given as a path.
    pub(crate) fn at_boot(&self, path: &str) -> AtBoot {
        self.read_by(self.loader).at_boot(path)
    }

    fn read_by(&self, loader: Loader) -> Merged {
        let last = (loader == Loader::Procps).then_some((SYSCTL_CONF, self.last.as_slice()));
        Merged::of(self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).chain(last), loader)
    }

    /// The same with a line in harden's own file.
    fn with(&self, key: &str, value: &str) -> Self {
        let mut files = self.files.clone();
        let own = files.iter().position(|(path, _)| path == OWN_FILE);
        let old = own.map(|at| files[at].1.clone());
        let new = sysctl::own_file(old.as_deref(), &[(key.to_owned(), value.to_owned())]);
        match own {
            Some(at) => files[at].1 = new,
            None => files.push((OWN_FILE.into(), new)),
        }
        files.sort_by(|(one, _), (other, _)| Path::new(one).file_name().cmp(&Path::new(other).file_name()));
        Self { files, last: self.last.clone(), loader: self.loader }
    }
}

/// One verdict a parameter.
pub fn judge<'c>(control: &'c Control, want: &SysctlWant, context: &Context) -> Vec<Verdict<'c>> {
    if let Some(outcome) = docker_missing(context.facts) {
        let target = want.key.first().and_then(|key| key.names.first()).cloned().unwrap_or_default();
        return vec![verdict(control, target, outcome, "", "")];
    }
    let boot = Boot::of(context.facts);
    let names = want.key.iter().flat_map(|key| key.names.iter().map(move |name| (key, name)));
    names.map(|(key, name)| judge_parameter(control, key, name, &boot, context)).collect()
}

/// One parameter, now and after the next boot.
struct Parameter<'a> {
    key: &'a ParameterWant,
    name: &'a str,
    path: String,
    boot: &'a Boot,
    /// `None` of an image tree.
    running: Option<&'a str>,
    at_boot: AtBoot,
}

fn judge_parameter<'c>(
    control: &'c Control,
    key: &ParameterWant,
    name: &str,
    boot: &Result<Boot, String>,
    context: &Context,
) -> Verdict<'c> {
    let path = path_of(name);
    let running = match context.facts.machine.sysctl.get(&path) {
        _ if !context.facts.host.live => None,
        Some(Fact::Known(value)) => Some(value.as_str()),
        Some(Fact::Absent) => return not_applicable(control, name, missing(&path)),
        Some(Fact::Unknown(why)) => return unknown(control, name, why.clone()),
        None => return unknown(control, name, "not looked at"),
    };
    let boot = match boot {
        Ok(boot) => boot,
        Err(why) => return unknown(control, name, format!("what the next boot sets can't be told: {why}")),
    };
    let at_boot = boot.at_boot(&path);
    let parameter = Parameter { key, name, path, boot, running, at_boot };
    let strays = parameter.strays(context.facts);
    let at_boot = parameter.stray_at_boot(context.facts);
    let outcome = match (parameter.outcome(&strays), &context.facts.machine.interfaces) {
        _ if at_boot.is_some() => {
            Outcome::Manual(at_boot.as_ref().map(|(line, _)| format!("{line}; change it there")).unwrap_or_default())
        }
        // Without the interfaces' own values half of it is out of sight.
        (Outcome::Compliant { .. }, Fact::Unknown(why)) if key.interfaces && running.is_some() => Outcome::Unknown(why.clone()),
        (outcome, _) => outcome,
    };
    let mut observed = parameter.observed(&strays);
    if let Some((_, later)) = &at_boot {
        observed = format!("{observed}; {later}");
    }
    let mut verdict = verdict(control, name, outcome, observed, key.expect.to_string());
    verdict.evidence = parameter.evidence(&strays);
    verdict.evidence.extend(at_boot.map(|(line, _)| line));
    verdict
}

/// Why the kernel does not have it.
fn missing(path: &str) -> String {
    let why = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["net", "bridge", ..] => ": br_netfilter is not loaded",
        ["net", "ipv6", ..] => ": IPv6 is off",
        ["kernel", "yama", ..] => ": Yama is not built in, or not among the security modules of the command line",
        _ => "",
    };
    format!("this kernel has no {}{why}", key_of(path))
}

impl Parameter<'_> {
    fn holds(&self, value: &str) -> bool {
        self.key.expect.holds(Some(&Value::String(value.to_owned())))
    }

    /// The value after the next boot, as far as a file or the row tells.
    fn later(&self) -> Option<&str> {
        match &self.at_boot {
            AtBoot::Set(value, _) => Some(value),
            AtBoot::Excluded(_) | AtBoot::Unset => self.key.default.as_deref(),
        }
    }

    /// Interfaces whose own value is wrong, with that value.
    fn strays(&self, facts: &Facts) -> Vec<(String, String)> {
        let interfaces = facts.machine.interfaces.known().filter(|_| self.key.interfaces).into_iter().flatten();
        let own = interfaces.filter_map(|interface| {
            let path = of_interface(self.name, interface)?;
            let value = facts.machine.sysctl.get(&path)?.known()?;
            (!self.holds(value)).then(|| (path, value.clone()))
        });
        own.collect()
    }

    /// The line of sysctl.d that gives an interface a wrong value at the next boot, with that value, if one does.
    fn stray_at_boot(&self, facts: &Facts) -> Option<(String, String)> {
        if !self.key.interfaces {
            return None;
        }
        let merged = self.boot.read_by(self.boot.loader);
        let mut interfaces = merged.interfaces(&self.path);
        interfaces.extend(facts.machine.interfaces.known().into_iter().flatten().cloned());
        interfaces.iter().find_map(|interface| {
            let path = of_interface(self.name, interface)?;
            match merged.at_boot(&path) {
                AtBoot::Set(value, origin) if !self.holds(&value) => Some((
                    format!("{origin} sets {} to {value}", key_of(&path)),
                    format!("after the next boot {value} on {interface}"),
                )),
                _ => None,
            }
        })
    }

    fn outcome(&self, strays: &[(String, String)]) -> Outcome {
        let now = self.running.is_none_or(|value| self.holds(value));
        let later = self.later().is_some_and(|value| self.holds(value));
        if now && later && strays.is_empty() {
            return Outcome::Compliant { note: self.note() };
        }
        let Some(set) = &self.key.set else {
            let line = format!("add `{} = VALUE` to a file in /etc/sysctl.d", self.name);
            return Outcome::Manual(self.key.manual.clone().unwrap_or(line));
        };
        // What is stricter already stays so.
        let value = match (self.running, self.later()) {
            (Some(running), _) if now => running,
            (_, Some(later)) if self.holds(later) => later,
            _ => set,
        };
        let mut edits = Vec::new();
        if !later {
            if let Some(place) = self.overruled(value) {
                return Outcome::Manual(place);
            }
            edits.push(Edit::SysctlAtBoot { key: self.name.to_owned(), value: value.to_owned() });
        }
        let wrong = self.running.filter(|_| !now).map(|running| (self.path.clone(), running.to_owned()));
        for (path, before) in wrong.iter().chain(strays) {
            if let AtBoot::Set(later, origin) = self.boot.at_boot(path)
                && *path != self.path
                && !self.holds(&later)
            {
                return Outcome::Manual(format!("{origin} sets {} to {later}; change it there", key_of(path)));
            }
            edits.push(Edit::SysctlNow(change::Parameter {
                key: key_of(path),
                before: before.clone(),
                after: value.to_owned(),
            }));
        }
        Outcome::Fixable(edits)
    }

    /// The place that would win over harden's own file, if one would.
    fn overruled(&self, value: &str) -> Option<String> {
        let after = self.boot.with(self.name, value);
        let (origin, says) = match after.at_boot(&self.path) {
            AtBoot::Set(found, _) if self.holds(&found) => return None,
            AtBoot::Set(found, origin) => (origin, format!("sets it to {found}")),
            AtBoot::Excluded(origin) => (origin, "says that nothing sets it".into()),
            AtBoot::Unset => return Some(format!("{OWN_FILE} is not read")),
        };
        let own = OWN_FILE.rsplit('/').next().unwrap_or_default();
        Some(format!("{origin} {says}, and is read after harden's own {own}; change it there"))
    }

    /// What a compliant one should still know: who runs `sysctl --system` gets something else.
    fn note(&self) -> Option<String> {
        match self.boot.read_by(Loader::Procps).at_boot(&self.path) {
            AtBoot::Set(value, origin) if !self.holds(&value) => Some(format!(
                "`sysctl --system` would set it to {value}: unlike systemd, it reads {} at the end ({origin})",
                SYSCTL_CONF
            )),
            _ => None,
        }
    }

    fn observed(&self, strays: &[(String, String)]) -> String {
        let later = match (&self.at_boot, self.later()) {
            (AtBoot::Set(value, _), _) => format!("after the next boot {value}"),
            (_, Some(value)) => format!("after the next boot {value}, the kernel's own value"),
            (_, None) => "set by no file for the next boot".into(),
        };
        let mut text = match (self.running, self.later()) {
            (Some(running), Some(later)) if sysctl::same(running, later) => running.to_owned(),
            (Some(running), _) => format!("running {running}, {later}"),
            (None, _) => later,
        };
        if let [(path, value), rest @ ..] = strays {
            let interface = path.split('/').nth(3).unwrap_or_default();
            let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            text.push_str(&format!("; {value} on {interface}{others}"));
        }
        text
    }

    fn evidence(&self, strays: &[(String, String)]) -> Vec<String> {
        let mut evidence: Vec<String> = self.running.iter().map(|value| format!("/proc/sys/{}: {value}", self.path)).collect();
        evidence.push(match &self.at_boot {
            AtBoot::Set(value, origin) => format!("{origin}: {value}"),
            AtBoot::Excluded(origin) => format!("{origin} excludes it"),
            AtBoot::Unset => "no file of sysctl.d sets it".into(),
        });
        evidence.extend(strays.iter().map(|(path, value)| format!("/proc/sys/{path}: {value}")));
        if !strays.is_empty() {
            evidence.push("an interface's own value counts beside the one of all; new interfaces take that of default".into());
        }
        evidence
    }
}

/// The control in words, for `harden explain`.
pub fn describe(want: &SysctlWant) -> Description {
    let name = |key: &ParameterWant| format!("{}: {}", key.names.join(", "), key.expect);
    let manual = |key: &ParameterWant| key.manual.as_ref().map(|why| format!("{} by hand: {why}", key.names.join(", ")));
    let mut fix = Vec::new();
    if want.key.iter().any(|key| key.set.is_some()) {
        fix.push(format!("set it in {OWN_FILE} for the next boot, then in the running kernel"));
    }
    fix.extend(want.key.iter().filter_map(manual));
    Description {
        wanted: want.key.iter().map(name).collect::<Vec<_>>().join("; "),
        observed: "/proc/sys for now, the files of sysctl.d for the next boot: by name, the first directory's file of each name, the last line wins, as systemd-sysctl reads them (`sysctl --system` reads /etc/sysctl.conf after them)".into(),
        fix: fix.join("; "),
    }
}
