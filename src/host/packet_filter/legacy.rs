//! iptables' own table `filter`, of kernels and programs that do not use nf_tables.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};

use crate::fact::Chain;

/// The tables that are there.
const TABLES: &str = "/proc/net/ip_tables_names";
const TABLE: &str = "filter";
/// Targets, beside plain DROP, that keep packets from going on.
pub const FILTERING: [&str; 4] = ["DROP", "REJECT", "NFQUEUE", "TARPIT"];

const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;
/// `struct ipt_getinfo`: name, hooks, five entry points, five underflows, number of entries, size.
const INFO_SIZE: usize = 84;
/// `struct ipt_get_entries` up to its entries.
const ENTRIES_AT: usize = 40;
/// `struct ipt_entry` up to its matches.
const ENTRY_SIZE: usize = 112;
const TARGET_OFFSET_AT: usize = 88;
const NEXT_OFFSET_AT: usize = 90;
/// `struct xt_entry_target`: size, name, revision.
const TARGET_SIZE: usize = 32;
const HOOKS: [(usize, &str, &str); 3] = [(1, "input", "INPUT"), (2, "forward", "FORWARD"), (3, "output", "OUTPUT")];
/// Verdicts of the standard target, as the kernel writes them.
const DROP: i32 = -1;
const QUEUE: i32 = -4;

/// Reads the chains of the table, if it is there.
///
/// # Errors
/// With the reason, when the kernel does not tell.
pub fn read() -> Result<Vec<Chain>, String> {
    match std::fs::read_to_string(TABLES) {
        Ok(names) if names.lines().any(|name| name == TABLE) => {}
        Ok(_) => return Ok(Vec::new()),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{TABLES}: {error}")),
    }
    let failed = |errno: Errno| format!("iptables' table {TABLE}: {errno}");
    let (info, entries) = ask().map_err(failed)?;
    parse(&info, &entries).ok_or_else(|| format!("iptables' table {TABLE}: the kernel's answer is of another form"))
}

fn ask() -> Result<(Vec<u8>, Vec<u8>), Errno> {
    let fd = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)?;
    let mut name = [0; 32];
    name[..TABLE.len()].copy_from_slice(TABLE.as_bytes());
    let mut info = vec![0; INFO_SIZE];
    info[..32].copy_from_slice(&name);
    get(fd.as_raw_fd(), GET_INFO, &mut info)?;
    let size = word(&info, INFO_SIZE - 4).ok_or(Errno::EIO)?;
    let mut entries = vec![0; ENTRIES_AT + size as usize];
    entries[..32].copy_from_slice(&name);
    entries[32..36].copy_from_slice(&size.to_ne_bytes());
    get(fd.as_raw_fd(), GET_ENTRIES, &mut entries)?;
    Ok((info, entries.split_off(ENTRIES_AT)))
}

fn get(fd: i32, option: i32, buffer: &mut [u8]) -> Result<(), Errno> {
    let mut length = buffer.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the buffer, which is that long.
    let outcome = unsafe { libc::getsockopt(fd, libc::IPPROTO_IP, option, buffer.as_mut_ptr().cast(), &raw mut length) };
    Errno::result(outcome).map(|_| ())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

/// The chains of a table, from what the kernel says of it and its entries.
fn parse(info: &[u8], entries: &[u8]) -> Option<Vec<Chain>> {
    let mut chains: Vec<Chain> = Vec::new();
    let mut at = 0;
    while at < entries.len() {
        let entry = entries.get(at..)?;
        let (target, next) = (half(entry, TARGET_OFFSET_AT)?, half(entry, NEXT_OFFSET_AT)?);
        if next < ENTRY_SIZE || target < ENTRY_SIZE {
            return None;
        }
        let target = entry.get(target..next)?;
        let name = text(target.get(2..31)?);
        let hook = HOOKS.iter().find(|(number, ..)| word(info, 36 + 4 * number).is_some_and(|start| start as usize == at));
        if let Some((number, hook, name)) = hook {
            let underflow = word(info, 56 + 4 * number)? as usize;
            chains.push(Chain {
                hook: Some((*hook).into()),
                drops_by_default: Some(policy(entries, underflow)? == DROP),
                ..new(name)
            });
        }
        if name == "ERROR" {
            chains.push(new(&text(target.get(TARGET_SIZE..)?)));
        } else if let Some(chain) = chains.last_mut() {
            chain.rules += 1;
            chain.filtering += usize::from(filters(&name, target, at + next));
        }
        at += next;
    }
    // The last entry of the table closes it; the last rule of each chain is its policy, or the way back.
    chains.pop();
    chains.iter_mut().for_each(|chain| chain.rules = chain.rules.saturating_sub(1));
    for chain in chains.iter_mut().filter(|chain| chain.drops_by_default == Some(true)) {
        chain.filtering = chain.filtering.saturating_sub(1);
    }
    Some(chains)
}

fn new(name: &str) -> Chain {
    Chain {
        family: "ip".into(),
        table: TABLE.into(),
        name: name.into(),
        hook: None,
        drops_by_default: None,
        rules: 0,
        filtering: 0,
    }
}

fn policy(entries: &[u8], at: usize) -> Option<i32> {
    let entry = entries.get(at..)?;
    let target = half(entry, TARGET_OFFSET_AT)?;
    word(entry, target + TARGET_SIZE).map(u32::cast_signed)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|&byte| byte == 0).next().unwrap_or_default()).into_owned()
}

/// Whether a target keeps packets from going on, or hands them to another chain; `next` is where the following rule begins, which a
/// rule without a target jumps to.
fn filters(name: &str, target: &[u8], next: usize) -> bool {
    if !name.is_empty() {
        return FILTERING.contains(&name);
    }
    match word(target, TARGET_SIZE).map(u32::cast_signed) {
        Some(DROP | QUEUE) => true,
        Some(to) if to >= 0 => to as usize != next,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_read(info in proptest::collection::vec(any::<u8>(), 0..90), entries in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&info, &entries);
        }
    }
}
