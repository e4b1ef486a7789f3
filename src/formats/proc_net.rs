//! `/proc/net/{tcp,tcp6,udp,udp6}`: sockets that wait for others to connect or to send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One socket that anyone may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// The address that it is bound to.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// By which its process is found.
    pub inode: u64,
}

/// States in which TCP listens, and UDP is bound and not connected.
const WAITING: [&str; 2] = ["0A", "07"];

/// Sockets that wait. Lines of another form, and the heading, are skipped.
pub fn waiting(text: &str) -> Vec<Socket> {
    text.lines().filter_map(socket).collect()
}

/// The socket that has this address of its own, and is connected to that other one.
pub fn connected(text: &str, own: SocketAddr, other: SocketAddr) -> Option<Socket> {
    let same =
        |one: SocketAddr, two: SocketAddr| (one.ip().to_canonical(), one.port()) == (two.ip().to_canonical(), two.port());
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ends = address(fields.get(1)?)?;
        (same(ends, own) && same(address(fields.get(2)?)?, other)).then_some(())?;
        Some(Socket { address: ends.ip(), port: ends.port(), inode: fields.get(9)?.parse().ok()? })
    })
}

fn socket(line: &str) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let waits = WAITING.contains(fields.get(3)?) && fields.get(2)?.ends_with(":0000");
    waits.then_some(())?;
    let own = address(fields.get(1)?)?;
    Some(Socket { address: own.ip(), port: own.port(), inode: fields.get(9)?.parse().ok()? })
}

/// `0100007F:0016`.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    Some(SocketAddr::new(ip(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// The kernel prints each 32-bit word of an address as a number in this machine's byte order.
fn ip(hex: &str) -> Option<IpAddr> {
    let words = hex.as_bytes().chunks(8).map(|word| u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok());
    let bytes: Vec<u8> = words.collect::<Option<Vec<u32>>>()?.into_iter().flat_map(u32::to_ne_bytes).collect();
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => {
            let address = Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?);
            Some(address.to_ipv4_mapped().map_or(address.into(), IpAddr::from))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn sockets() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1077 1 0 100 0 0 10 0\n   \
            1: 0100007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1078 1 0 100 0 0 10 0\n   \
            2: 0100007F:0035 0200007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 1079 1 0 100 0 0 10 0\n   \
            3: 00000000000000000000000001000000:0277 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 1080 1\n   \
            4: 0000000000000000FFFF00000100007F:0044 00000000000000000000000000000000:0000 07 0:0 00:0 0 0 0 1081 1\n";
        let found: Vec<String> =
            waiting(text).iter().map(|socket| format!("{} {} {}", socket.address, socket.port, socket.inode)).collect();
        assert_eq!(found, ["0.0.0.0 22 1077", "127.0.0.1 53 1078", "::1 631 1080", "127.0.0.1 68 1081"]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn both_ends_of_a_connection() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:0948 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n   \
            1: 0100007F:9C40 0100007F:0948 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n   \
            2: 0000000000000000FFFF00000100007F:0948 0000000000000000FFFF00000100007F:9C40 01 0:0 00:0 0 0 0 3 1\n";
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let inode = |own, other| connected(text, own, other).map(|socket| socket.inode);
        assert_eq!(inode(at(40000), at(2376)), Some(2));
        assert_eq!(inode(at(2376), at(40000)), Some(3));
        assert_eq!(inode(at(2376), at(40001)), None);
        assert_eq!(inode(at(2377), at(40000)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([0-9A-F: ]{0,40}\n?){0,6}") {
            waiting(&text);
        }
    }
}
