//! The certificates with which this host knows its own registries, and itself to them.

use std::collections::BTreeSet;

use super::{Reading, Seen};
use crate::baseline::control::{Given, HostCheck, Place};
use crate::fact::{Fact, Facts};
use crate::formats::certificate;
use crate::kinds::Context;
use crate::kinds::place::{self, Resolved};
use crate::observe::Observer;

const CERTS: &str = "/etc/docker/certs.d";

/// The registries that a policy names, without what follows the host.
fn registries(check: &HostCheck) -> BTreeSet<&str> {
    let named = check.each.as_ref().and_then(Given::value);
    named.into_iter().flatten().map(|registry| registry.split('/').next().unwrap_or_default()).collect()
}

/// Everything in a registry's directory; the brackets of an IPv6 address are no pattern.
fn files_of(registry: &str) -> Place {
    Place::Pattern(format!("{CERTS}/{}/*", registry.replace('[', "[[]")))
}

pub fn observe(check: &HostCheck, observer: &mut Observer) {
    for registry in registries(check) {
        for path in observer.resolve(&files_of(registry)) {
            if path.ends_with(".crt") {
                observer.read(&path);
            }
        }
    }
}

/// One reading a registry; one in all where the policy names none.
pub fn certificates(check: &HostCheck, context: &Context) -> Vec<Seen> {
    let registries = registries(check);
    if registries.is_empty() {
        return vec![Seen::Nothing("registries".into(), "private_registries names none".into())];
    }
    let client = check.client_auth.as_ref().and_then(Given::value) == Some(&true);
    registries.into_iter().map(|registry| certificates_of(registry, client, context)).collect()
}

fn certificates_of(registry: &str, client: bool, context: &Context) -> Seen {
    let facts = context.facts;
    let paths = match place::resolve(&files_of(registry), facts, &context.effective) {
        Resolved::Paths(paths) => paths,
        Resolved::Nothing(_) => Vec::new(),
        Resolved::Unknown(why) => return Seen::Unknown(registry.into(), why),
    };
    let with = |suffix: &str| paths.iter().filter_map(|path| path.strip_suffix(suffix)).collect::<BTreeSet<_>>();
    let (authorities, certificates, keys) = (with(".crt"), with(".cert"), with(".key"));
    let mut wrong = Vec::new();
    if authorities.is_empty() {
        wrong.push("no certificate of an authority (*.crt)".to_owned());
    }
    for path in &authorities {
        match is_certificate(&format!("{path}.crt"), facts) {
            Ok(true) => {}
            Ok(false) => wrong.push(format!("{}.crt is no certificate in PEM", name(path))),
            Err(why) => return Seen::Unknown(registry.into(), why),
        }
    }
    // dockerd refuses the whole directory then.
    wrong.extend(certificates.difference(&keys).map(|path| format!("{0}.cert has no {0}.key", name(path))));
    wrong.extend(keys.difference(&certificates).map(|path| format!("{0}.key has no {0}.cert", name(path))));
    if client && certificates.is_disjoint(&keys) {
        wrong.push("no certificate of this host's own (*.cert with its *.key)".into());
    }
    let names = || paths.iter().map(|path| name(path)).collect::<Vec<_>>().join(", ");
    let shown = if wrong.is_empty() { names() } else { wrong.join("; ") };
    Seen::of(Reading { target: registry.into(), value: Some(wrong.is_empty().into()), shown, ..Reading::default() })
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_certificate(path: &str, facts: &Facts) -> Result<bool, String> {
    match facts.files.get(path) {
        Some(Fact::Known(file)) => {
            let content = file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default();
            Ok(std::str::from_utf8(content).is_ok_and(|text| certificate::not_before(text).is_some()))
        }
        Some(Fact::Absent) => Ok(false),
        Some(Fact::Unknown(why)) => Err(why.clone()),
        None => Err(format!("{path}: not looked at")),
    }
}
