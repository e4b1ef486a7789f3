//! The Engine API on the network: its address, and what protects the way there.
//!
//! What an unprotected network brings can be anybody's answer, so without TLS only the loopback device is asked.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpStream;

use super::tls::Tls;
use crate::error::{Error, Result};

/// The ports that Docker's own client takes where none is given.
const PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;
/// How long each of several addresses may take to be connected to.
const EACH: Duration = Duration::from_secs(2);
const EXAMPLE: &str = "for example --docker-host tcp://docker.example:2376";

/// Where an engine listens on the network.
#[derive(Debug, Clone)]
pub struct Tcp {
    host: String,
    port: u16,
    tls: Option<Tls>,
}

impl fmt::Display for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "tcp://[{}]:{}", self.host, self.port),
            false => write!(f, "tcp://{}:{}", self.host, self.port),
        }
    }
}

/// Why there is no connection.
pub enum Broken {
    /// Every address refuses it.
    Refused,
    /// Anything else, in words.
    Failed(String),
}

impl Tcp {
    /// Reads `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`, what follows `tcp://`. With a directory of certificates the way is protected by
    /// TLS; without one only the loopback device will do.
    ///
    /// # Errors
    /// When it is none, or the certificates can't be used.
    pub fn parse(text: &str, certificates: Option<&Path>) -> Result<Tcp> {
        let (host, port) = split(text)?;
        let tls = certificates.map(|dir| Tls::load(dir, &host)).transpose()?;
        let port = port.unwrap_or(if tls.is_some() { TLS_PORT } else { PORT });
        let tcp = Tcp { host, port, tls };
        if tcp.tls.is_none() && !tcp.is_loopback() {
            return Err(Error::usage(format!(
                "{tcp} is asked without TLS, and on the way from {} anybody could change the answers",
                tcp.host
            ))
            .help("name the directory that has ca.pem, cert.pem and key.pem: --docker-cert-path DIR (or DOCKER_CERT_PATH)"));
        }
        Ok(tcp)
    }

    /// What protects the way, if anything does.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Connects to the first of its addresses that answers.
    pub async fn connect(&self) -> Result<TcpStream, Broken> {
        let addresses =
            self.addresses().await.map_err(|error| Broken::Failed(format!("its name can't be resolved: {error}")))?;
        let mut failures = Vec::new();
        for address in &addresses {
            let connected = match addresses.len() {
                1 => TcpStream::connect(address).await,
                _ => tokio::time::timeout(EACH, TcpStream::connect(address)).await.unwrap_or_else(|late| Err(late.into())),
            };
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => failures.push((address, error)),
            }
        }
        if !failures.is_empty() && failures.iter().all(|(_, error)| error.kind() == io::ErrorKind::ConnectionRefused) {
            return Err(Broken::Refused);
        }
        let failures: Vec<String> = failures.iter().map(|(address, error)| format!("{}: {error}", address.ip())).collect();
        Err(Broken::Failed(match failures.is_empty() {
            true => "its name has no address".into(),
            false => format!("cannot connect to {}", failures.join(", nor to ")),
        }))
    }

    /// Whether all that it names is the loopback device.
    fn is_loopback(&self) -> bool {
        self.literal().is_some_and(|addresses| addresses.iter().all(IpAddr::is_loopback))
    }

    /// Whether it is an address of this machine, as far as that can be told without asking for a name.
    pub fn is_own(&self) -> bool {
        // Where a packet would go to the machine itself, it would come from that same address. Nothing is sent.
        let own = |ip: &IpAddr| {
            let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let route =
                UdpSocket::bind((any, 0)).and_then(|socket| socket.connect((*ip, 9)).and_then(|()| socket.local_addr()));
            route.is_ok_and(|from| from.ip() == *ip)
        };
        self.literal().is_some_and(|addresses| addresses.iter().all(|ip| ip.is_loopback() || own(ip)))
    }

    /// The addresses that it names without a resolver: `localhost` is this machine, whatever a resolver says.
    fn literal(&self) -> Option<Vec<IpAddr>> {
        if self.host.eq_ignore_ascii_case("localhost") {
            return Some(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        self.host.parse().ok().map(|ip| vec![ip])
    }

    async fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        match self.literal() {
            Some(addresses) => Ok(addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect()),
            None => Ok(tokio::net::lookup_host((self.host.as_str(), self.port)).await?.collect()),
        }
    }
}

/// Host and port, where one is given.
fn split(text: &str) -> Result<(String, Option<u16>)> {
    let wrong = |what: String| Err(Error::usage(what).help(EXAMPLE));
    // It may hold a password, so it is not repeated.
    if text.contains('@') {
        return wrong("the Docker host has a user, and tcp:// takes HOST:PORT alone".into());
    }
    if text.contains(['/', '?', '#']) {
        return wrong(format!("`tcp://{text}` has a path, and tcp:// takes HOST:PORT alone"));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']').filter(|(address, _)| address.parse::<Ipv6Addr>().is_ok()) else {
                return wrong(format!("`tcp://{text}` has no IPv6 address in its brackets"));
            };
            match (port.is_empty(), port.strip_prefix(':')) {
                (true, _) => (address, None),
                (false, Some(port)) => (address, Some(port)),
                (false, None) => return wrong(format!("`tcp://{text}` goes on after the bracket without a colon")),
            }
        }
        None if text.matches(':').count() > 1 => {
            return wrong(format!(
                "`tcp://{text}` has several colons; an IPv6 address is written in brackets, as in tcp://[::1]:2376"
            ));
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    if host.is_empty() {
        return wrong(format!("`tcp://{text}` names no host"));
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte)) {
        return wrong(format!("`{host}` is neither a host name nor an address"));
    }
    match port.map(|port| (port, port.parse::<u16>())) {
        None => Ok((host.to_owned(), None)),
        Some((digits, Ok(port))) if port != 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok((host.to_owned(), Some(port)))
        }
        Some((port, _)) => wrong(format!("`{port}` is no port; 1 to 65535 is expected")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1", "tcp://127.0.0.1:2375"),
            ("127.8.9.10:4000", "tcp://127.8.9.10:4000"),
            ("localhost", "tcp://localhost:2375"),
            ("LocalHost:1", "tcp://LocalHost:1"),
            ("[::1]", "tcp://[::1]:2375"),
            ("[::1]:65535", "tcp://[::1]:65535"),
        ] {
            assert_eq!(Tcp::parse(text, None).unwrap().to_string(), expected);
        }
        for (text, host, port) in
            [("h", "h", None), ("my_h.x-y:2376", "my_h.x-y", Some(2376)), ("[fe80::2]:1", "fe80::2", Some(1))]
        {
            assert_eq!(split(text).unwrap(), (host.to_owned(), port));
        }
    }

    #[test]
    fn what_is_no_address() {
        for (text, expected) in [
            ("user:secret@h:2376", "the Docker host has a user, and tcp:// takes HOST:PORT alone"),
            ("h:2376/v1.41", "`tcp://h:2376/v1.41` has a path, and tcp:// takes HOST:PORT alone"),
            ("h:2376/", "`tcp://h:2376/` has a path, and tcp:// takes HOST:PORT alone"),
            ("", "`tcp://` names no host"),
            (":2376", "`tcp://:2376` names no host"),
            ("::1", "`tcp://::1` has several colons; an IPv6 address is written in brackets, as in tcp://[::1]:2376"),
            ("[::1", "`tcp://[::1` has no IPv6 address in its brackets"),
            ("[h]:1", "`tcp://[h]:1` has no IPv6 address in its brackets"),
            ("[fe80::1%eth0]:1", "`tcp://[fe80::1%eth0]:1` has no IPv6 address in its brackets"),
            ("[::1]2376", "`tcp://[::1]2376` goes on after the bracket without a colon"),
            ("h:", "`` is no port; 1 to 65535 is expected"),
            ("h:0", "`0` is no port; 1 to 65535 is expected"),
            ("h:+1", "`+1` is no port; 1 to 65535 is expected"),
            ("h:65536", "`65536` is no port; 1 to 65535 is expected"),
            ("h h:1", "`h h` is neither a host name nor an address"),
        ] {
            let error = Tcp::parse(text, None).unwrap_err();
            assert_eq!(error.to_string(), format!("{expected}\n  help: for example --docker-host tcp://docker.example:2376"));
            assert_eq!(error.kind.exit_code(), 64);
        }
    }

    #[test]
    fn without_tls_only_the_loopback_device_is_asked() {
        for (text, url, host) in [
            ("10.0.0.1", "tcp://10.0.0.1:2375", "10.0.0.1"),
            ("docker.example:2376", "tcp://docker.example:2376", "docker.example"),
            ("localhost.example", "tcp://localhost.example:2375", "localhost.example"),
            ("0.0.0.0", "tcp://0.0.0.0:2375", "0.0.0.0"),
            ("[fe80::1]", "tcp://[fe80::1]:2375", "fe80::1"),
        ] {
            let error = Tcp::parse(text, None).unwrap_err();
            let expected = format!(
                "{url} is asked without TLS, and on the way from {host} anybody could change the answers\n  help: name the directory that \
                 has ca.pem, cert.pem and key.pem: --docker-cert-path DIR (or DOCKER_CERT_PATH)"
            );
            assert_eq!((error.to_string(), error.kind.exit_code()), (expected, 64));
        }
    }

    #[test]
    fn addresses_of_this_machine() {
        for (text, own) in [("127.0.0.1", true), ("[::1]", true), ("localhost", true), ("192.0.2.1", false), ("h", false)] {
            let (host, _) = split(text).unwrap();
            assert_eq!(Tcp { host, port: 1, tls: None }.is_own(), own, "{text}");
        }
    }
}
