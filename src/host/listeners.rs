//! Who listens on the network of this host.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use crate::fact::{Fact, Listener, ListenerOwner};
use crate::formats::proc_net::{self, Socket};

/// Sockets that wait on addresses that others can reach; those of the loopback device are left out.
pub fn read() -> Fact<Vec<Listener>> {
    let mut found = Vec::new();
    for (protocol, file) in [("tcp", "tcp"), ("tcp", "tcp6"), ("udp", "udp"), ("udp", "udp6")] {
        let path = format!("/proc/net/{file}");
        match fs::read_to_string(&path) {
            Ok(text) => found.extend(proc_net::waiting(&text).into_iter().map(|socket| (protocol, socket))),
            // Without IPv6 there is no such file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Fact::Unknown(format!("{path}: {error}")),
        }
    }
    found.retain(|(_, socket)| !socket.address.is_loopback());
    let (owners, doubt) = if found.is_empty() { Default::default() } else { owners(&found) };
    let listener = |(protocol, socket): (&str, Socket)| Listener {
        protocol: protocol.to_owned(),
        address: socket.address.to_string(),
        port: socket.port,
        owner: match (owners.get(&socket.inode), &doubt) {
            (Some(owner), _) => Fact::Known(owner.clone()),
            (None, Some(why)) => Fact::Unknown(why.clone()),
            // The kernel's own, such as NFS.
            (None, None) => Fact::Absent,
        },
    };
    Fact::Known(found.into_iter().map(listener).collect())
}

/// The process of this machine that has the other end of a connection from `here` to `there`; `Absent` where none has.
pub fn taken_by(here: SocketAddr, there: SocketAddr) -> Fact<ListenerOwner> {
    for path in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Fact::Unknown(format!("{path}: {error}")),
        };
        if let Some(socket) = proc_net::connected(&text, there, here) {
            let inode = socket.inode;
            let (mut owners, doubt) = owners(&[("tcp", socket)]);
            let unseen =
                || doubt.unwrap_or_else(|| format!("no process has its other end {there}; run harden where dockerd runs"));
            return owners.remove(&inode).map_or_else(|| Fact::Unknown(unseen()), Fact::Known);
        }
    }
    Fact::Absent
}

/// The processes that hold these sockets, and why some could not be asked.
fn owners(sockets: &[(&str, Socket)]) -> (BTreeMap<u64, ListenerOwner>, Option<String>) {
    let mut owners = BTreeMap::new();
    let mut doubt = None;
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
        let dir = format!("/proc/{pid}/fd");
        let descriptors = match fs::read_dir(&dir) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                doubt.get_or_insert_with(|| format!("{dir}: {error}: run as root"));
                continue;
            }
            // It has ended meanwhile.
            Err(_) => continue,
        };
        for link in descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok()) {
            let inode = link.to_str().and_then(|name| name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            let Some(inode) = inode.filter(|inode| sockets.iter().any(|(_, socket)| socket.inode == *inode)) else { continue };
            owners.entry(inode).or_insert_with(|| owner(pid));
        }
    }
    (owners, doubt)
}

fn owner(pid: i32) -> ListenerOwner {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let name = program.as_ref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    let comm = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned();
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    ListenerOwner { pid, program: name.unwrap_or_else(comm), container: is_of_container(&groups) }
}

/// Whether a control group is one that an engine makes for a container: `…/docker/ID` or `…/docker-ID.scope`.
fn is_of_container(groups: &str) -> bool {
    let id = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let part = |part: &str| {
        let name = part.strip_suffix(".scope").unwrap_or(part);
        id(name) || name.rsplit_once('-').is_some_and(|(_, name)| id(name))
    };
    groups.lines().any(|line| line.split('/').any(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_groups_of_containers() {
        let id = "0123456789abcdef".repeat(4);
        for (groups, expected) in [
            (format!("0::/docker/{id}\n"), true),
            (format!("0::/system.slice/docker-{id}.scope\n"), true),
            (format!("12:pids:/docker/{id}\n0::/\n"), true),
            ("0::/system.slice/docker.service\n".into(), false),
            ("0::/user.slice/user-1000.slice/session-1.scope\n".into(), false),
            (String::new(), false),
        ] {
            assert_eq!(is_of_container(&groups), expected, "{groups}");
        }
    }

    #[test]
    fn the_other_end_of_a_connection() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        let (here, there) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        let (_taken, _) = socket.accept().unwrap();
        let Fact::Known(owner) = taken_by(here, there) else { panic!("not found") };
        assert_eq!(owner.pid, std::process::id() as i32);
        assert_eq!(taken_by(here, SocketAddr::from(([192, 0, 2, 1], there.port()))), Fact::Absent);
    }

    #[test]
    fn a_listener_of_this_process_is_found() {
        let socket = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let Fact::Known(listeners) = read() else { panic!("not read") };
        let found = listeners.iter().find(|one| one.port == port && one.protocol == "tcp").unwrap();
        let Fact::Known(owner) = &found.owner else { panic!("{found:?}") };
        assert_eq!(owner.pid, std::process::id() as i32);
        let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = loopback.local_addr().unwrap().port();
        let Fact::Known(listeners) = read() else { panic!("not read") };
        assert!(!listeners.iter().any(|one| one.port == port && one.address == "127.0.0.1"));
    }
}
