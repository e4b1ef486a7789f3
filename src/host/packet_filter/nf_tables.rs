//! nf_tables over netlink: chains with hook and policy, and what their rules do.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::fact::Chain;

const SUBSYSTEM: u16 = 10;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const GET_RULE: u16 = SUBSYSTEM << 8 | 7;
const REQUEST_DUMP: u16 = 0x1 | 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;
/// Family, version and resource of every message of netfilter.
const FAMILY_HEADER: usize = 4;
const TIMEOUT_S: i64 = 5;
/// IPv4, and both families together.
const FAMILIES: [(u8, &str); 2] = [(libc::NFPROTO_IPV4 as u8, "ip"), (libc::NFPROTO_INET as u8, "inet")];

/// Reads chains and rules.
///
/// # Errors
/// With the reason, when the kernel does not tell.
pub fn read() -> Result<Vec<Chain>, String> {
    let mut chains = Vec::new();
    for (family, name) in FAMILIES {
        for message in dump(GET_CHAIN, family)? {
            chains.extend(chain(&message, name));
        }
        for message in dump(GET_RULE, family)? {
            count(&message, name, &mut chains);
        }
    }
    Ok(chains)
}

/// All answers to one request, without their headers.
fn dump(kind: u16, family: u8) -> Result<Vec<Vec<u8>>, String> {
    let failed = |errno: Errno| match errno {
        Errno::EPERM | Errno::EACCES => "the packet filter's rules need CAP_NET_ADMIN (EPERM): run as root".to_owned(),
        errno => format!("the packet filter's netlink interface: {errno}"),
    };
    let fd = match socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter) {
        // A kernel without netfilter filters nothing.
        Err(Errno::EPROTONOSUPPORT) => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(TIMEOUT_S)).map_err(failed)?;
    let mut request = Vec::new();
    request.extend(((HEADER + FAMILY_HEADER) as u32).to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([family, 0, 0, 0]);
    sendto(fd.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty()).map_err(failed)?;
    match answers(&fd, kind) {
        // No nf_tables, or not for this family: nothing there.
        Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EAFNOSUPPORT) => Ok(Vec::new()),
        other => other.map_err(failed),
    }
}

fn answers(fd: &OwnedFd, kind: u16) -> Result<Vec<Vec<u8>>, Errno> {
    let wanted = if kind == GET_CHAIN { NEW_CHAIN } else { NEW_RULE };
    let mut found = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = recv(fd.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Err(Errno::EIO);
        }
        while let Some((message_kind, body, after)) = message(rest) {
            match message_kind {
                DONE => return Ok(found),
                ERROR => {
                    let code = body.get(..4).and_then(|code| code.try_into().ok()).map_or(-libc::EIO, i32::from_ne_bytes);
                    return if code == 0 { Ok(found) } else { Err(Errno::from_raw(-code)) };
                }
                kind if kind == wanted => found.extend(body.get(FAMILY_HEADER..).map(<[u8]>::to_vec)),
                _ => {}
            }
            rest = after;
        }
    }
}

/// Kind and body of the first message, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// The attributes of a body: kind and content.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    const NESTED: u16 = 0xc000;
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (bytes.get(..2), bytes.get(2..4)) {
        let length = u16::from_ne_bytes([length[0], length[1]]) as usize;
        let kind = u16::from_ne_bytes([kind[0], kind[1]]) & !NESTED;
        let Some(content) = bytes.get(4..length) else { break };
        found.push((kind, content));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).into_iter().find(|(found, _)| *found == kind).map(|(_, content)| content)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn chain(body: &[u8], family: &str) -> Option<Chain> {
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const HOOK_NUMBER: u16 = 1;
    let hook = attribute(body, HOOK).and_then(|hook| number(attribute(hook, HOOK_NUMBER)?));
    let names = ["prerouting", "input", "forward", "output", "postrouting"];
    let policy = attribute(body, POLICY).and_then(number);
    Some(Chain {
        family: family.to_owned(),
        table: text(attribute(body, TABLE)?),
        name: text(attribute(body, NAME)?),
        hook: hook.and_then(|hook| names.get(hook as usize)).map(|name| (*name).to_owned()),
        drops_by_default: policy.map(|policy| policy == 0),
        rules: 0,
        filtering: 0,
    })
}

/// Adds a rule to the chain that it is in.
fn count(body: &[u8], family: &str, chains: &mut [Chain]) {
    const TABLE: u16 = 1;
    const CHAIN: u16 = 2;
    const EXPRESSIONS: u16 = 4;
    let (Some(table), Some(chain)) = (attribute(body, TABLE).map(text), attribute(body, CHAIN).map(text)) else { return };
    let same = |one: &&mut Chain| one.family == family && one.table == table && one.name == chain;
    let Some(chain) = chains.iter_mut().find(same) else { return };
    chain.rules += 1;
    let expressions = attribute(body, EXPRESSIONS).map(attributes).unwrap_or_default();
    chain.filtering += usize::from(expressions.iter().any(|(_, expression)| filters(expression)));
}

/// Whether an expression keeps packets from going on: it drops, rejects, queues, or hands them to another chain.
fn filters(expression: &[u8]) -> bool {
    const NAME: u16 = 1;
    const DATA: u16 = 2;
    let data = attribute(expression, DATA).unwrap_or_default();
    match attribute(expression, NAME).map(text).as_deref() {
        Some("reject" | "queue") => true,
        Some("immediate") => verdict(data).is_some_and(|verdict| [0, 3, -3, -4].contains(&verdict)),
        Some("target") => attribute(data, 1).map(text).is_some_and(|name| super::legacy::FILTERING.contains(&name.as_str())),
        _ => false,
    }
}

/// 0 drop, 1 accept, 3 queue, -3 jump, -4 goto, -5 return.
fn verdict(immediate: &[u8]) -> Option<i32> {
    let data = attribute(immediate, 2)?;
    let verdict = attribute(data, 2)?;
    number(attribute(verdict, 1)?).map(u32::cast_signed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let mut chains: Vec<Chain> = chain(&bytes, "ip").into_iter().collect();
            count(&bytes, "ip", &mut chains);
            message(&bytes);
        }
    }
}
