//! How this host's daemon is reached from elsewhere, and how its users reach daemons elsewhere.

use serde::Deserialize;
use serde_json::Value;

use super::{Reading, Seen, list};
use crate::fact::{Fact, Facts};
use crate::formats::mask;
use crate::kinds::{Context, listens};
use crate::observe::Observer;

/// Where `docker context create` writes, one file a context.
const CONTEXTS: [&str; 2] = ["/root/.docker/contexts/meta/*/meta.json", "/home/*/.docker/contexts/meta/*/meta.json"];
/// What makes a context's connection TLS, beside its own `SkipTLSVerify`.
const TLS_FILES: [&str; 2] = ["ca.pem", "cert.pem"];

/// A context as docker keeps it, as far as it is asked for.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stored {
    #[serde(default)]
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<Endpoint>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default, rename = "Host")]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_verify: bool,
}

pub fn observe_contexts(observer: &mut Observer) {
    for pattern in CONTEXTS {
        observer.glob(pattern);
        let paths = observer.facts().globs.get(pattern).and_then(Fact::known).cloned().unwrap_or_default();
        for path in paths {
            observer.read(&path);
            tls_files(&path).iter().for_each(|file| observer.stat(file));
        }
    }
}

/// What a context's own certificates would be called.
fn tls_files(meta: &str) -> Vec<String> {
    let dir = meta.strip_suffix("/meta.json").unwrap_or(meta).replacen("/contexts/meta/", "/contexts/tls/", 1);
    TLS_FILES.iter().map(|name| format!("{dir}/docker/{name}")).collect()
}

/// The addresses beyond this host that the daemon listens on.
pub fn listeners(context: &Context) -> Seen {
    let target = "hosts".to_owned();
    if let Some(why) = context.effective.uncertain("hosts", context.facts) {
        return Seen::Unknown(target, why);
    }
    let found: Vec<String> = listens::beyond_this_host(context).iter().map(|address| format!("tcp://{address}")).collect();
    let shown = if found.is_empty() { "no address beyond this host".into() } else { found.join(", ") };
    Seen::of(Reading { target, value: list(&found), shown, ..Reading::default() })
}

/// One reading a context; one in all where there is none.
pub fn contexts(context: &Context) -> Vec<Seen> {
    let facts = context.facts;
    let mut seen = Vec::new();
    for pattern in CONTEXTS {
        match facts.globs.get(pattern) {
            Some(Fact::Known(paths)) => seen.extend(paths.iter().filter_map(|path| stored(path, facts))),
            Some(Fact::Unknown(why)) => seen.push(Seen::Unknown(pattern.into(), why.clone())),
            Some(Fact::Absent) => {}
            None => seen.push(Seen::Unknown(pattern.into(), "not looked at".into())),
        }
    }
    if seen.is_empty() {
        seen.push(Seen::Nothing("contexts".into(), "nobody has a docker context in /root or in /home".into()));
    }
    seen
}

fn stored(path: &str, facts: &Facts) -> Option<Seen> {
    let unknown = |why: String| Some(Seen::Unknown(path.to_owned(), why));
    let content = match facts.files.get(path) {
        Some(Fact::Known(file)) => match &file.content {
            Some(content) => &content.0,
            None => return unknown("it is not a regular file".into()),
        },
        Some(Fact::Unknown(why)) => return unknown(why.clone()),
        Some(Fact::Absent) => return None,
        None => return unknown("not looked at".into()),
    };
    let stored: Stored = match serde_json::from_slice(content) {
        Ok(stored) => stored,
        Err(error) => return unknown(format!("it is not a docker context: {error}")),
    };
    // A context may be of something else than docker.
    let endpoint = stored.endpoints.docker?;
    let files = tls_files(path);
    if let Some(why) = files.iter().find_map(|file| match facts.files.get(file) {
        Some(Fact::Unknown(why)) => Some(why.clone()),
        _ => None,
    }) {
        return unknown(why);
    }
    let certificates = files.iter().any(|file| matches!(facts.files.get(file), Some(Fact::Known(_))));
    let transport = transport(&endpoint, certificates);
    let host = if endpoint.host.is_empty() { "the default socket".into() } else { mask::mask_address(&endpoint.host) };
    let shown = format!("{}: {host}, {transport}", stored.name);
    Some(Seen::of(Reading { target: path.into(), value: Some(Value::from(transport)), shown, ..Reading::default() }))
}

/// What protects the way to an endpoint.
fn transport(endpoint: &Endpoint, certificates: bool) -> &'static str {
    let host = endpoint.host.as_str();
    let scheme = host.split_once("://").map_or("", |(scheme, _)| scheme);
    match listens::tcp_address(host) {
        None if scheme == "ssh" => "over SSH",
        None if ["unix", "npipe", "fd", ""].contains(&scheme) => "on this host",
        Some(address) if listens::is_loopback(address) => "on this host",
        _ if endpoint.skip_verify => "TLS that believes whoever answers",
        _ if certificates || scheme == "https" => "TLS",
        _ => "unprotected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_protects_the_way() {
        for (host, skip_verify, certificates, expected) in [
            ("ssh://ops@build.example", false, false, "over SSH"),
            ("unix:///run/user/1000/docker.sock", false, false, "on this host"),
            ("", false, false, "on this host"),
            ("tcp://127.0.0.1:2375", false, false, "on this host"),
            ("tcp://localhost:2375", false, false, "on this host"),
            ("tcp://localhost.evil.example:2375", false, false, "unprotected"),
            ("tcp://10.0.0.1:2376", false, true, "TLS"),
            ("tcp://10.0.0.1:2376", true, true, "TLS that believes whoever answers"),
            ("tcp://10.0.0.1:2376", false, false, "unprotected"),
            ("10.0.0.1:2375", false, false, "unprotected"),
            ("http://10.0.0.1:2375", false, false, "unprotected"),
        ] {
            let endpoint = Endpoint { host: host.into(), skip_verify };
            assert_eq!(transport(&endpoint, certificates), expected, "{host}");
        }
    }

    #[test]
    fn certificates_lie_beside_the_context() {
        let files = tls_files("/home/ann/.docker/contexts/meta/abc/meta.json");
        let dir = "/home/ann/.docker/contexts/tls/abc/docker";
        assert_eq!(files, [format!("{dir}/ca.pem"), format!("{dir}/cert.pem")]);
    }
}
