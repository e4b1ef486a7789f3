//! Properties of the machine: mounts, releases, accounts, listeners, SSH, the packet filter.
//!
//! A row says which property and what it must be. Each property is one function from facts to what is [`Seen`]; comparing is the
//! same for all.

mod accounts;
mod network;
mod registries;
mod remote;
mod shells;
mod ssh;
mod storage;
mod versions;

use serde_json::Value;

use crate::baseline::control::{Control, HostCheck, HostProperty, HostWant};
use crate::change::Edit;
use crate::expect::plain;
use crate::finding::{Outcome, Verdict};
use crate::kinds::describe::Description;
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict};
use crate::observe::Observer;

/// Looks at what the control needs.
pub fn observe(want: &HostWant, observer: &mut Observer) {
    for check in &want.check {
        match check.property {
            HostProperty::OwnFilesystem | HostProperty::Auditd => storage::observe(observer),
            HostProperty::Release | HostProperty::RunningKernel | HostProperty::Mac => {
                versions::observe(check.property, observer)
            }
            HostProperty::Listeners | HostProperty::DockerUserRules | HostProperty::IpForward | HostProperty::ForwardPolicy => {
                network::observe(check.property, observer)
            }
            HostProperty::ShellTimeout => shells::observe(observer),
            HostProperty::Sshd => ssh::observe(observer),
            HostProperty::SshSources => {
                ssh::observe(observer);
                network::observe(HostProperty::SshSources, observer);
            }
            HostProperty::Logins | HostProperty::RootAccounts => accounts::observe_logins(observer),
            HostProperty::ApiGroup => accounts::observe_group(observer),
            HostProperty::DockerContexts => remote::observe_contexts(observer),
            HostProperty::RegistryCertificates => registries::observe(check, observer),
            HostProperty::DefaultRuntime | HostProperty::RemoteListeners => {}
        }
    }
}

/// One verdict a thing that was seen.
pub fn judge<'c>(control: &'c Control, want: &HostWant, context: &Context) -> Vec<Verdict<'c>> {
    if let Some(outcome) = docker_missing(context.facts) {
        let target = want.check.first().map(|check| words(check.property).0).unwrap_or_default();
        return vec![verdict(control, target, outcome, "", "")];
    }
    let mut verdicts = Vec::new();
    for check in &want.check {
        let seen = match check.property {
            HostProperty::OwnFilesystem => vec![storage::own_filesystem(check, context)],
            HostProperty::Auditd => vec![storage::auditd(check, context)],
            HostProperty::Release => versions::release(check, context),
            HostProperty::RunningKernel => vec![versions::running_kernel(check, context)],
            HostProperty::Mac => vec![versions::mac(context)],
            HostProperty::DefaultRuntime => vec![versions::default_runtime(check, context)],
            HostProperty::Listeners => network::listeners(context),
            HostProperty::DockerUserRules => vec![network::docker_user_rules(check, context)],
            HostProperty::IpForward => vec![network::ip_forward(context)],
            HostProperty::ForwardPolicy => vec![network::forward_policy(context)],
            HostProperty::ShellTimeout => vec![shells::timeout(context)],
            HostProperty::Sshd => vec![ssh::keyword(check, context)],
            HostProperty::SshSources => vec![ssh::sources(context)],
            HostProperty::Logins => accounts::logins(context),
            HostProperty::RootAccounts => accounts::root_accounts(context),
            HostProperty::ApiGroup => accounts::api_group(check, context),
            HostProperty::RemoteListeners => vec![remote::listeners(context)],
            HostProperty::DockerContexts => remote::contexts(context),
            HostProperty::RegistryCertificates => registries::certificates(check, context),
        };
        verdicts.extend(seen.into_iter().map(|seen| seen.judge(control, check)));
    }
    verdicts
}

/// What a property turned out to be.
pub(crate) enum Seen {
    /// Its value.
    Value(Box<Reading>),
    /// Nothing here that it speaks of: target and reason.
    Nothing(String, String),
    /// It could not be seen: target and reason.
    Unknown(String, String),
}

/// The value of a property.
#[derive(Default)]
pub(crate) struct Reading {
    /// What it is about.
    pub target: String,
    /// The value that is compared; `None` where nothing is set.
    pub value: Option<Value>,
    /// The value in words.
    pub shown: String,
    /// What is wanted, where only looking tells it.
    pub desired: Option<String>,
    /// Where it was seen.
    pub evidence: Vec<String>,
    /// What a compliant one should still know.
    pub note: Option<String>,
    /// What to do by hand, where only looking tells it.
    pub manual: Option<String>,
    /// What mends it; empty where that is left to people.
    pub edits: Vec<Edit>,
}

impl Seen {
    pub(crate) fn of(reading: Reading) -> Self {
        Seen::Value(Box::new(reading))
    }

    fn judge<'c>(self, control: &'c Control, check: &HostCheck) -> Verdict<'c> {
        match self {
            Seen::Nothing(target, reason) => not_applicable(control, target, reason),
            Seen::Unknown(target, reason) => unknown(control, target, reason),
            Seen::Value(reading) => reading.judge(control, check),
        }
    }
}

impl Reading {
    fn judge<'c>(self, control: &'c Control, check: &HostCheck) -> Verdict<'c> {
        let unset = unset(check);
        // What is an empty list needs no policy.
        let empty = self.value.as_ref().and_then(Value::as_array).is_some_and(Vec::is_empty);
        let outcome = if self.holds(check) && (unset.is_empty() || empty) {
            Outcome::Compliant { note: self.note }
        } else if let [first, ..] = unset.as_slice() {
            let names = unset.join(" and ");
            Outcome::Manual(format!("set the variable {names} in the baseline or with --set {first}=…"))
        } else if let Some(manual) = self.manual.or_else(|| check.manual.clone()) {
            Outcome::Manual(manual)
        } else if self.edits.is_empty() {
            Outcome::Manual("mend it by hand".into())
        } else {
            Outcome::Fixable(self.edits)
        };
        let desired = self.desired.unwrap_or_else(|| desired(check));
        let mut verdict = verdict(control, self.target, outcome, self.shown, desired);
        verdict.evidence = self.evidence;
        verdict
    }

    fn holds(&self, check: &HostCheck) -> bool {
        let number = match &self.value {
            Some(Value::Number(number)) => number.as_i64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let elements = || self.value.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        check.expect.as_ref().is_none_or(|expect| expect.holds(self.value.as_ref()))
            && check
                .allow
                .as_ref()
                .and_then(|allow| allow.value())
                .is_none_or(|allow| elements().all(|one| allowed(one, allow)))
            && check.at_least.as_ref().and_then(|least| least.value()).is_none_or(|least| number.is_some_and(|n| n >= *least))
            && check.at_most.as_ref().and_then(|most| most.value()).is_none_or(|most| number.is_some_and(|n| n <= *most))
    }
}

/// Whole names, with `*` and `?`: `bob` is not `bobby`.
fn allowed(name: &str, patterns: &[String]) -> bool {
    patterns.iter().any(|pattern| pattern == name || glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name)))
}

/// Variables that a policy has to give and does not; the lowest release is extra.
fn unset(check: &HostCheck) -> Vec<String> {
    let given = [
        check.allow.as_ref().and_then(|given| given.unset()),
        check.at_least.as_ref().and_then(|given| given.unset()),
        check.at_most.as_ref().and_then(|given| given.unset()),
    ];
    given.into_iter().flatten().map(str::to_owned).collect()
}

/// What is wanted, in words.
fn desired(check: &HostCheck) -> String {
    if let Some(desired) = &check.desired {
        return desired.clone();
    }
    let mut parts: Vec<String> = check.expect.iter().map(ToString::to_string).collect();
    let number = |words: &str, number: Option<&i64>| number.map(|number| format!("{words} {number}"));
    parts.extend(number("at least", check.at_least.as_ref().and_then(|given| given.value())));
    parts.extend(number("at most", check.at_most.as_ref().and_then(|given| given.value())));
    parts.extend(check.allow.as_ref().map(|allow| match allow.value().map(Vec::as_slice) {
        Some([]) => "none".to_owned(),
        Some(names) => format!("only {}", names.join(", ")),
        None => "only what the policy names".to_owned(),
    }));
    parts.join(", ")
}

/// A variable that `of` names, unless it is not set.
fn of(check: &HostCheck) -> Option<&str> {
    check.of.as_deref().filter(|of| !of.starts_with("${"))
}

/// A list of names as a value.
fn list<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Option<Value> {
    Some(Value::Array(names.into_iter().map(|name| Value::from(name.as_ref())).collect()))
}

/// The control in words, for `harden explain`.
pub fn describe(want: &HostWant) -> Description {
    let mut description = Description::default();
    let join = |text: &mut String, more: &str| {
        if !text.split("; ").any(|part| part == more) {
            text.push_str(if text.is_empty() { "" } else { "; " });
            text.push_str(more);
        }
    };
    for check in &want.check {
        let (subject, observed) = words(check.property);
        let of = check.of.as_deref().map(|of| format!(" ({of})")).unwrap_or_default();
        join(&mut description.wanted, &format!("{subject}{of}: {}", desired(check)));
        join(&mut description.observed, observed);
        let fix = check.manual.as_ref().map_or_else(|| fix(check.property).to_owned(), |manual| format!("by hand: {manual}"));
        join(&mut description.fix, &fix);
    }
    description
}

fn fix(property: HostProperty) -> &'static str {
    match property {
        HostProperty::ApiGroup => {
            "take the user out of /etc/group and /etc/gshadow, under the lock of the password files; it counts from the next login"
        }
        _ => "by hand",
    }
}

/// What a property is about, and how it is observed.
fn words(property: HostProperty) -> (&'static str, &'static str) {
    match property {
        HostProperty::OwnFilesystem => {
            ("the file system", "/proc/self/mountinfo: the device of the deepest mount above the path, and that of /")
        }
        HostProperty::Release => ("the release", "the engine's /version; a table of harden's own, by line of releases"),
        HostProperty::RunningKernel => ("the running kernel", "uname, and the kernels in /boot and /lib/modules"),
        HostProperty::Mac => {
            ("a mandatory access control", "/sys/module/apparmor, /sys/fs/selinux, and the engine's security options")
        }
        HostProperty::Listeners => (
            "listening sockets",
            "/proc/net/tcp, tcp6, udp and udp6, and the processes that hold the sockets; not those on the loopback device, of docker-proxy or of containers",
        ),
        HostProperty::DockerUserRules => (
            "rules of DOCKER-USER that filter",
            "the kernel's packet filter: nf_tables over netlink, iptables' older tables by getsockopt; no program is run",
        ),
        HostProperty::IpForward => ("IPv4 forwarding", "/proc/sys/net/ipv4/ip_forward, and the files of sysctl.d"),
        HostProperty::ForwardPolicy => (
            "the policy for forwarded packets",
            "the kernel's packet filter: chains of the forward hook and what they do with what no rule decides",
        ),
        HostProperty::ShellTimeout => (
            "TMOUT, read-only, in seconds",
            "/etc/profile, /etc/profile.d/*.sh, /etc/bash.bashrc and /etc/bashrc, as far as they assign it plainly",
        ),
        HostProperty::Sshd => (
            "sshd",
            "sshd_config with its Include and Match; not the options on sshd's command line, and sshd itself is not run",
        ),
        HostProperty::SshSources => (
            "where SSH logins come from",
            "AllowUsers of sshd_config, and whether the packet filter has any rule for incoming packets",
        ),
        HostProperty::Logins => ("accounts that log in with a password", "/etc/passwd and /etc/shadow; hashes are not kept"),
        HostProperty::RootAccounts => ("accounts with the number 0", "/etc/passwd"),
        HostProperty::DefaultRuntime => ("the default runtime", "the engine's /info"),
        HostProperty::RemoteListeners => (
            "where the API listens",
            "-H of dockerd and hosts of daemon.json, and ListenStream of docker.socket where systemd listens",
        ),
        HostProperty::DockerContexts => (
            "docker contexts",
            "the contexts in .docker of /root and of each directory in /home, and whether certificates lie beside them",
        ),
        HostProperty::RegistryCertificates => (
            "the directory of each private registry",
            "the names in /etc/docker/certs.d/REGISTRY; of *.crt also whether it is a certificate, keys are not read",
        ),
        HostProperty::Auditd => ("auditd.conf", "/etc/audit/auditd.conf"),
        HostProperty::ApiGroup => (
            "members of the API socket's group",
            "the group of the socket's inode; /etc/group, and /etc/passwd for those whose primary group it is",
        ),
    }
}

/// A value and the words for it.
fn text(value: &str) -> (Option<Value>, String) {
    let value = Value::from(value);
    let shown = plain(&value);
    (Some(value), shown)
}
