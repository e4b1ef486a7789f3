//! The kernel's audit state and rules, over its netlink socket.
//!
//! What `auditctl -l` prints cannot be trusted: a `never` rule and a rule that is not recursive look like any watch. The kernel's own
//! records say it all, and cost one system call a rule.

use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recvfrom, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::fact::{Fact, KernelAudit};
use crate::formats::audit_rule::Rule;

/// The kernel's audit state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// 0 off, 1 on, 2 on and locked until the next boot.
    pub enabled: u32,
    /// What happens when a record cannot be written: 0 nothing, 1 a kernel message, 2 panic.
    pub failure: u32,
    /// Process id of auditd, 0 when none is connected.
    pub daemon_pid: u32,
    /// Records a second, 0 for no limit.
    pub rate_limit: u32,
    /// How many records may wait for auditd.
    pub backlog_limit: u32,
    /// Records lost since boot.
    pub lost: u32,
    /// Records that wait now.
    pub backlog: u32,
}

/// Why the kernel could not be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The kernel was built without auditing.
    NotBuilt,
    /// It can't be reached from this user or network namespace, or is switched off with `audit=0`.
    NotHere,
    /// The process may not ask.
    NotPermitted,
    /// The kernel answered a request with this error.
    Refused(Errno),
    /// Anything else.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::NotBuilt => f.write_str("the kernel was built without auditing (EPROTONOSUPPORT)"),
            Trouble::NotHere => f.write_str(
                "auditing is not available in this namespace (ECONNREFUSED): run harden on the host, outside any container",
            ),
            Trouble::NotPermitted => f.write_str(
                "audit rules need CAP_AUDIT_CONTROL in the host's own pid namespace (EPERM): run harden as root on the host",
            ),
            Trouble::Refused(errno) => write!(f, "the kernel's audit interface answered {errno:?}: {}", errno.desc()),
            Trouble::Failed(what) => f.write_str(what),
        }
    }
}

impl From<Trouble> for Fact<KernelAudit> {
    /// Only a kernel without auditing is certain to have no rules.
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NotBuilt => Fact::Absent,
            other => Fact::Unknown(format!("kernel audit rules: {other}")),
        }
    }
}

/// The kernel's part of the audit facts.
pub fn read() -> Fact<KernelAudit> {
    match status_and_rules() {
        Ok((status, rules)) => Fact::Known(KernelAudit { enabled: status.enabled, daemon_pid: status.daemon_pid, rules }),
        Err(trouble) => trouble.into(),
    }
}

/// The kernel's state, and its rules in its own order: by list, then as they are asked.
pub fn status_and_rules() -> Result<(Status, Vec<Rule>), Trouble> {
    let mut connection = Connection::open(READ_TIMEOUT_S)?;
    let status = connection.exchange(AUDIT_GET, &[], Until::Reply)?;
    let status = status.first().ok_or_else(|| Trouble::Failed("the kernel sent no audit status".into()))?;
    let status = Status::from_record(status)?;
    let records = connection.exchange(AUDIT_LIST_RULES, &[], Until::Done)?;
    let rule =
        |record: &Vec<u8>| Rule::from_kernel(record).map_err(|what| Trouble::Failed(format!("a rule of the kernel: {what}")));
    Ok((status, records.iter().map(rule).collect::<Result<_, _>>()?))
}

impl Status {
    /// Reads `struct audit_status`; newer kernels append to it.
    fn from_record(record: &[u8]) -> Result<Self, Trouble> {
        let word = |at: usize| {
            let bytes = record.get(at * 4..at * 4 + 4).and_then(|bytes| bytes.try_into().ok());
            bytes
                .map(u32::from_ne_bytes)
                .ok_or_else(|| Trouble::Failed(format!("the audit status has only {} bytes", record.len())))
        };
        Ok(Status {
            enabled: word(1)?,
            failure: word(2)?,
            daemon_pid: word(3)?,
            rate_limit: word(4)?,
            backlog_limit: word(5)?,
            lost: word(6)?,
            backlog: word(7)?,
        })
    }
}

const AUDIT_GET: u16 = 1000;
const AUDIT_LIST_RULES: u16 = 1013;
/// How long to wait for an answer to a question, in seconds.
const READ_TIMEOUT_S: i64 = 2;
/// Bytes of a netlink header.
const HEADER: usize = 16;

/// What ends the answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// The first message of the request's own type.
    Reply,
    /// The message that ends a list.
    Done,
    /// The acknowledgement.
    Ack,
}

/// An open audit socket.
pub(crate) struct Connection {
    socket: OwnedFd,
    sequence: u32,
}

impl Connection {
    /// Opens a socket on which an answer may take this many seconds.
    pub(crate) fn open(timeout_s: i64) -> Result<Self, Trouble> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkAudit);
        let socket = socket.map_err(|errno| match errno {
            Errno::EPROTONOSUPPORT | Errno::EAFNOSUPPORT => Trouble::NotBuilt,
            other => Trouble::Failed(format!("cannot open the audit socket: {other}")),
        })?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(timeout_s))
            .map_err(|errno| Trouble::Failed(format!("cannot limit the wait for the kernel's audit interface: {errno}")))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Sends a request; the payloads of the messages of its type that come in answer.
    pub(crate) fn exchange(&mut self, kind: u16, payload: &[u8], until: Until) -> Result<Vec<Vec<u8>>, Trouble> {
        self.sequence += 1;
        let request = request(kind, self.sequence, until == Until::Ack, payload);
        sendto(self.socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty()).map_err(from_errno)?;
        let mut answers = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let datagram = self.receive(&mut buffer)?;
            for message in messages(datagram).filter(|message| message.sequence == self.sequence) {
                match message.kind {
                    NLMSG_ERROR => match message.errno()? {
                        None if until == Until::Ack => return Ok(answers),
                        None => {}
                        Some(errno) => return Err(from_errno(errno)),
                    },
                    NLMSG_DONE if until == Until::Done => return Ok(answers),
                    same if same == kind => {
                        answers.push(message.payload.to_vec());
                        if until == Until::Reply {
                            return Ok(answers);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// The next datagram that the kernel itself sent.
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], Trouble> {
        loop {
            match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), buffer) {
                Ok((length, Some(sender))) if sender.pid() == 0 => return Ok(&buffer[..length]),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    return Err(Trouble::Failed("the kernel's audit interface did not answer in time".into()));
                }
                Err(errno) => return Err(from_errno(errno)),
            }
        }
    }
}

fn from_errno(errno: Errno) -> Trouble {
    match errno {
        Errno::ECONNREFUSED => Trouble::NotHere,
        Errno::EPERM => Trouble::NotPermitted,
        other => Trouble::Refused(other),
    }
}

fn request(kind: u16, sequence: u32, acknowledge: bool, payload: &[u8]) -> Vec<u8> {
    const REQUEST: u16 = 1;
    const ACKNOWLEDGE: u16 = 4;
    let flags = if acknowledge { REQUEST | ACKNOWLEDGE } else { REQUEST };
    let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    let mut request = Vec::with_capacity(HEADER + payload.len() + 3);
    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    request.extend(sequence.to_ne_bytes());
    request.extend(0u32.to_ne_bytes());
    request.extend(payload);
    request.resize(request.len().next_multiple_of(4), 0);
    request
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// One netlink message.
#[derive(Debug, PartialEq)]
struct Message<'d> {
    kind: u16,
    sequence: u32,
    payload: &'d [u8],
}

impl Message<'_> {
    /// The error that an error message carries; `None` in an acknowledgement.
    fn errno(&self) -> Result<Option<Errno>, Trouble> {
        let code = self.payload.get(..4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_ne_bytes);
        let code = code.ok_or_else(|| Trouble::Failed("the kernel's audit interface sent an error without a number".into()))?;
        Ok((code != 0).then(|| Errno::from_raw(code.wrapping_neg())))
    }
}

/// The messages of a datagram. The length in a header does not count the padding after the message.
fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let word = |at: usize| datagram.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
        let half = |at: usize| datagram.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
        let length = usize::try_from(word(0)?).ok()?;
        let payload = datagram.get(HEADER..length)?;
        let message = Message { kind: half(4)?, sequence: word(8)?, payload };
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        request(kind, sequence, false, payload)
    }

    #[test]
    fn a_datagram_is_cut_into_its_messages() {
        let datagram = [message(1013, 7, b"12345"), message(3, 7, &[])].concat();
        let found: Vec<Message> = messages(&datagram).collect();
        assert_eq!(
            found,
            [Message { kind: 1013, sequence: 7, payload: b"12345" }, Message { kind: 3, sequence: 7, payload: b"" }]
        );
        // The last message may come without its padding, or cut off.
        assert_eq!(messages(&message(1013, 7, b"12345")[..21]).count(), 1);
        assert_eq!(messages(&message(1013, 7, b"12345")[..20]).count(), 0);
    }

    #[test]
    fn an_error_is_told_from_an_acknowledgement() {
        let errno = |payload: &[u8]| Message { kind: NLMSG_ERROR, sequence: 1, payload }.errno();
        assert_eq!(errno(&0i32.to_ne_bytes()), Ok(None));
        assert_eq!(errno(&(-1i32).to_ne_bytes()), Ok(Some(Errno::EPERM)));
        assert_eq!(errno(b"").unwrap_err().to_string(), "the kernel's audit interface sent an error without a number");
    }

    #[test]
    fn troubles_become_facts() {
        let unknown = |trouble: Trouble| match Fact::from(trouble) {
            Fact::Unknown(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(Fact::<KernelAudit>::from(Trouble::NotBuilt), Fact::Absent);
        assert_eq!(
            unknown(from_errno(Errno::EPERM)),
            "kernel audit rules: audit rules need CAP_AUDIT_CONTROL in the host's own pid namespace (EPERM): run harden as root on \
             the host"
        );
        assert_eq!(
            unknown(from_errno(Errno::ECONNREFUSED)),
            "kernel audit rules: auditing is not available in this namespace (ECONNREFUSED): run harden on the host, outside any container"
        );
        assert_eq!(
            unknown(from_errno(Errno::ENOBUFS)),
            "kernel audit rules: the kernel's audit interface answered ENOBUFS: No buffer space available"
        );
    }

    #[test]
    fn a_status_is_read_by_place() {
        let words: Vec<u8> = (0..12u32).flat_map(u32::to_ne_bytes).collect();
        let status = Status::from_record(&words).unwrap();
        assert_eq!((status.enabled, status.failure, status.daemon_pid, status.backlog_limit, status.backlog), (1, 2, 3, 5, 7));
        assert_eq!(Status::from_record(&words[..20]).unwrap_err().to_string(), "the audit status has only 20 bytes");
    }

    proptest! {
        #[test]
        fn no_datagram_makes_it_panic(datagram in prop::collection::vec(any::<u8>(), 0..80)) {
            messages(&datagram).for_each(|message| drop(message.errno()));
        }
    }
}
