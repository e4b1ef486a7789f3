//! Where dockerd listens: by `hosts`, and by docker.socket where systemd listens for it.

use serde_json::Value;

use crate::baseline::control::{Control, KeyWant};
use crate::finding::{Outcome, Verdict};
use crate::kinds::effective::SOCKET;
use crate::kinds::{Context, unit, verdict};

/// The key of daemon.json.
pub const HOSTS: &str = "hosts";

/// The TCP addresses that the engine listens on, loopback left out: of `hosts`, and of docker.socket where systemd listens.
pub fn beyond_this_host(context: &Context) -> Vec<String> {
    let hosts = match context.effective.configured(HOSTS) {
        Some(Value::Array(hosts)) => hosts.iter().filter_map(|host| host.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    let mut found: Vec<String> = hosts.iter().filter_map(|host| tcp_address(host)).map(str::to_owned).collect();
    found.extend(of_socket(context).into_iter().map(|(address, _)| address));
    found.retain(|address| !is_loopback(address));
    found
}

/// What docker.socket listens on beside unix sockets where dockerd takes its sockets from systemd, with the place that says so.
fn of_socket(context: &Context) -> Vec<(String, String)> {
    if !context.effective.socket_activated() {
        return Vec::new();
    }
    let socket = unit::merged(context.facts, SOCKET);
    let listens = socket.list("Socket", "ListenStream");
    let network = listens.iter().filter(|(value, _)| !value.starts_with(['/', '%', '@']));
    network.map(|(value, place)| ((*value).to_owned(), place.to_string())).collect()
}

/// The address of a TCP endpoint. One without a scheme is one of TCP; dockerd and docker read it so.
pub fn tcp_address(host: &str) -> Option<&str> {
    match host.trim().split_once("://") {
        Some(("tcp" | "http" | "https", address)) => Some(address),
        Some(_) => None,
        None => Some(host.trim()).filter(|address| !address.is_empty()),
    }
}

/// Whether an address is reached from this host alone; one that names no host is.
pub fn is_loopback(address: &str) -> bool {
    let host = match address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => address.split([':', '/']).next().unwrap_or_default(),
    };
    host.is_empty() || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// `fd://` names no address: what docker.socket listens on is as good as an address of dockerd's own.
pub fn judge_socket<'c>(control: &'c Control, key: &KeyWant, context: &Context) -> Option<Verdict<'c>> {
    let listens = of_socket(context);
    let addresses: Vec<Value> = listens.iter().map(|(address, _)| format!("tcp://{address}").into()).collect();
    let all = Value::Array(addresses);
    let offending = key.expect.offending(&all);
    let outcome = match offending.is_empty() {
        true => Outcome::Compliant { note: None },
        false => Outcome::Manual(format!(
            "take that ListenStream= away, then `systemctl daemon-reload` and `systemctl restart {SOCKET}`, which stops docker for a moment"
        )),
    };
    let shown = if offending.is_empty() { crate::expect::plain(&all) } else { offending.join(", ") };
    let mut verdict = verdict(control, SOCKET, outcome, shown, key.expect.to_string());
    verdict.evidence = listens.iter().map(|(address, place)| format!("{place}: ListenStream={address}")).collect();
    (!listens.is_empty()).then_some(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As dockerd 20.10.24 was seen to listen: without a scheme on TCP, without a host on localhost.
    #[test]
    fn addresses() {
        for (host, expected) in [
            ("tcp://0.0.0.0:2375", Some(false)),
            ("0.0.0.0:2375", Some(false)),
            (" 10.0.0.1:2375 ", Some(false)),
            ("tcp://[::]:2376", Some(false)),
            ("tcp://localhost.example:2375", Some(false)),
            ("tcp://127.example:2375", Some(false)),
            ("2375", Some(false)),
            ("tcp://:2375", Some(true)),
            ("tcp://", Some(true)),
            ("tcp://localhost:2375", Some(true)),
            ("tcp://127.0.0.2:2375/prefix", Some(true)),
            ("[::1]:2375", Some(true)),
            ("unix:///run/docker.sock", None),
            ("fd://", None),
            ("ssh://ops@build.example", None),
            ("", None),
        ] {
            assert_eq!(tcp_address(host).map(is_loopback), expected, "{host}");
        }
    }
}
