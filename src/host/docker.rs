//! The Engine API: what the running daemon itself says.
//!
//! The daemon answers `/info` in some 7 ms, far slower than files are read, so it is asked on a thread of its own
//! ([`spawn`]) and both its objects over two connections at once. `/version` costs as much again and is never asked: every
//! answer carries the engine's version in its `Server` header.
//!
//! Who answers at the socket is not trusted to be well-behaved: each call ends within its timeout, a body is at most
//! [`MAX_BODY`] long, and what cannot be understood is [`Fact::Unknown`].

mod body;
mod containers;
mod images;
pub(crate) mod inspect;
mod pool;
mod swarm;
mod tcp;
mod tls;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, SERVER};
pub use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;

use crate::error::{Error, Result};
use crate::fact::{ApiFacts, Fact, ListenerOwner};
use crate::host::listeners;

pub use images::Asked as AskedOfImages;
use tcp::Broken;
pub use tcp::Tcp;
use tls::Tls;

/// How long observing waits for the daemon.
pub const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes. `/info` of a busy host has some 10 KB.
pub const MAX_BODY: usize = 64 << 20;

/// The longest path that fits a Unix socket address, in bytes.
const MAX_SOCKET_PATH: usize = 107;

/// Where the Engine API listens.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// A port, of this machine or of another one.
    Tcp(Tcp),
}

impl Default for Endpoint {
    /// Where docker.socket and dockerd listen unless told otherwise.
    fn default() -> Self {
        Endpoint::Unix("/run/docker.sock".into())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp(tcp) => tcp.fmt(f),
        }
    }
}

impl Endpoint {
    /// Reads what `--docker-host` or `DOCKER_HOST` says: `unix:///PATH` or `tcp://HOST:PORT`, the latter with the directory of the
    /// certificates that protect the way.
    ///
    /// # Errors
    /// When it is neither, or the certificates can't be used.
    pub fn parse(url: &str, certificates: Option<&Path>) -> Result<Endpoint> {
        // The rest of a URL may hold a password, so only the scheme is ever repeated.
        let path = match url.split_once("://") {
            Some(("unix", path)) => path,
            Some(("tcp", rest)) => return Tcp::parse(rest, certificates).map(Endpoint::Tcp),
            Some((scheme @ ("http" | "https"), _)) => {
                return Err(Error::usage(format!(
                    "the Docker host is given as {scheme}://, and unix:// or tcp:// is expected"
                ))
                .help("write --docker-host tcp://HOST:PORT"));
            }
            Some(("ssh", _)) => {
                return Err(Error::usage("the Docker host is given as ssh://, and harden goes to no other host by itself")
                    .help("run it there: ssh HOST harden check --format json"));
            }
            Some((scheme @ ("fd" | "npipe"), _)) => {
                return Err(Error::usage(format!(
                    "the Docker host is given as {scheme}://, and unix:// or tcp:// is expected"
                ))
                .help(EXAMPLE));
            }
            Some(_) => {
                let what = "the Docker host has an unknown scheme; unix:///PATH or tcp://HOST:PORT is expected";
                return Err(Error::usage(what).help(EXAMPLE));
            }
            None if url.starts_with('/') => {
                return Err(Error::usage("the Docker host has no scheme").help(format!("write --docker-host unix://{url}")));
            }
            None => {
                let what = "the Docker host is not a URL; unix:///PATH or tcp://HOST:PORT is expected";
                return Err(Error::usage(what).help(EXAMPLE));
            }
        };
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(
                Error::usage(format!("`{url}` does not name a socket; unix:// and an absolute path is expected")).help(EXAMPLE)
            );
        }
        if path.len() > MAX_SOCKET_PATH || path.contains('\0') {
            return Err(Error::usage(format!(
                "`{url}` is no socket path: it has {} bytes, at most {MAX_SOCKET_PATH} fit",
                path.len()
            ))
            .help("give the socket a shorter path, for example with a symbolic link"));
        }
        Ok(Endpoint::Unix(path.into()))
    }
}

/// What a server of Go's says to somebody who does not use TLS.
const SPEAKS_TLS: &[u8] = b"HTTP request to an HTTPS server";
const EXAMPLE: &str = "for example --docker-host unix:///run/docker.sock";

/// A connection, whatever it goes over.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, and its two addresses where it is one of the network.
struct Connected {
    stream: Box<dyn Stream>,
    addresses: Option<(SocketAddr, SocketAddr)>,
}

/// What the daemon answered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// What it says of itself; `Absent` when nothing listens at the endpoint.
    pub api: Fact<ApiFacts>,
    /// The engine's version, such as `20.10.24+dfsg1`; known even where an authorization plugin denies the rest.
    pub version: Fact<String>,
    /// Who answered, where it is known not to be Docker.
    pub product: Option<Product>,
}

/// Another engine that answers as Docker does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Product {
    /// Podman, with what it said of itself.
    Podman(String),
}

impl Answer {
    /// What Docker said.
    pub fn of(api: Fact<ApiFacts>, version: Fact<String>) -> Answer {
        Answer { api, version, product: None }
    }

    /// Nothing can be told, for this reason.
    pub fn unknown(why: String) -> Answer {
        Answer::of(Fact::Unknown(why.clone()), Fact::Unknown(why))
    }
}

/// What came back on one request.
#[derive(Debug)]
pub struct Exchange {
    /// The HTTP status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Exchange {
    /// The engine's own words in a refusal, safe to print.
    pub fn message(&self) -> String {
        body::message(&self.body)
    }
}

/// A client of one endpoint. It holds no connection: each call makes its own, so it outlives a restart of the daemon.
#[derive(Debug, Clone)]
pub struct Engine {
    endpoint: Endpoint,
    timeout: Duration,
    max_body: usize,
}

impl Engine {
    /// A client whose calls end after `timeout`. Connects to nothing yet.
    ///
    /// A socket that systemd listens on starts Docker as soon as somebody connects: whoever must not start it makes sure
    /// first that dockerd runs ([`crate::host::process::dockerd`]).
    pub fn new(endpoint: Endpoint, timeout: Duration) -> Engine {
        Engine { endpoint, timeout, max_body: MAX_BODY }
    }

    /// Where it asks.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks for everything that harden wants to know. Also the call for waiting until a reload has taken effect.
    pub fn ask(&self) -> Answer {
        let replies = self.within(self.timeout, async {
            let bridge = tokio::spawn(self.clone().get("/networks/bridge"));
            let info = self.clone().get("/info").await?;
            let bridge = bridge.await.unwrap_or_else(|_| Err(self.failed("the call was cut short")))?;
            Ok((info, bridge))
        });
        match replies {
            Ok((info, bridge)) => self.understand(&info, &bridge),
            Err(Miss::NoListener) => Answer::of(Fact::Absent, Fact::Unknown(self.no_listener())),
            Err(Miss::Failed(why)) => Answer::unknown(why),
        }
    }

    /// Whether the daemon answers, waiting at most `timeout` for one answer.
    pub fn ping(&self, timeout: Duration) -> Result<()> {
        let reply = self.within(timeout, self.clone().get("/_ping")).and_then(|reply| self.expect_ok("/_ping", &reply));
        reply.map_err(|miss| match miss {
            Miss::NoListener => Error::failure(self.no_listener()).help("see why with: journalctl -u docker -n 50"),
            Miss::Failed(why) => Error::failure(why),
        })
    }

    /// The running containers and the process ids of their first processes.
    ///
    /// # Errors
    /// When the daemon does not answer in time, or with something else.
    pub fn running_containers(&self) -> Result<BTreeMap<String, i64>> {
        let asked = self.within(self.timeout, async {
            let list = self.clone().get("/containers/json").await?;
            self.expect_ok("/containers/json", &list)?;
            let ids = body::container_ids(&list.body).map_err(|e| self.failed(&format!("GET /containers/json: {e}")))?;
            let mut running = BTreeMap::new();
            for id in ids {
                let target = format!("/containers/{id}/json");
                let reply = self.clone().get(target.as_str()).await?;
                // One that has ended meanwhile runs no more.
                if reply.status == StatusCode::NOT_FOUND {
                    continue;
                }
                self.expect_ok(&target, &reply)?;
                let pid = body::container_pid(&reply.body).map_err(|e| self.failed(&format!("GET {target}: {e}")))?;
                running.extend(pid.map(|pid| (id, pid)));
            }
            Ok(running)
        });
        asked.map_err(|miss| match miss {
            Miss::NoListener => Error::failure(self.no_listener()),
            Miss::Failed(why) => Error::failure(why),
        })
    }

    /// Versions of the engine's parts by name, such as `containerd`.
    pub fn components(&self) -> Fact<BTreeMap<String, String>> {
        let asked = self.within(self.timeout, self.clone().get("/version")).and_then(|reply| {
            self.expect_ok("/version", &reply)?;
            body::components(&reply.body).map_err(|e| self.failed(&format!("GET /version: {e}")))
        });
        match asked {
            Ok(components) => Fact::Known(components),
            Err(Miss::NoListener) => Fact::Absent,
            Err(Miss::Failed(why)) => Fact::Unknown(why),
        }
    }

    /// One request with any method. Only [`crate::apply`] sends what changes something.
    ///
    /// # Errors
    /// When there is no answer; an answer that is a refusal is none.
    pub fn exchange(&self, method: Method, target: &str, body: Option<&serde_json::Value>) -> Result<Exchange> {
        let body = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let reply = self.within(self.timeout, self.clone().send(method, target.to_owned(), body));
        reply.map(|reply| Exchange { status: reply.status, body: reply.body.to_vec() }).map_err(|miss| match miss {
            Miss::NoListener => Error::failure(self.no_listener()),
            Miss::Failed(why) => Error::failure(why),
        })
    }

    /// The process that called `listen` on the socket, as the kernel noted it; `None` when it lives in another pid namespace.
    /// Of a connection over the network it is the process that has taken it; `None` when that is not on this machine. `Absent` when
    /// nothing listens. Waits at most `timeout`.
    ///
    /// With socket activation of a Unix socket that is systemd, and asking starts Docker.
    pub fn peer_pid(&self, timeout: Duration) -> Fact<Option<i32>> {
        let asked = self.within(timeout, async {
            let Endpoint::Unix(path) = &self.endpoint else {
                return Ok(match self.taker().await? {
                    Fact::Known(owner) => Fact::Known(Some(owner.pid)),
                    Fact::Absent => Fact::Known(None),
                    Fact::Unknown(why) => Fact::Unknown(why),
                });
            };
            let stream = self.connect_unix(path).await?;
            let credentials = stream.peer_cred().map_err(|e| self.failed(&format!("SO_PEERCRED: {e}")))?;
            Ok(Fact::Known(credentials.pid().filter(|pid| *pid > 0)))
        });
        match asked {
            Ok(peer) => peer,
            Err(Miss::NoListener) => Fact::Absent,
            Err(Miss::Failed(why)) => Fact::Unknown(why),
        }
    }

    /// The process that takes a connection over the network: that of this machine which has its other end; `Absent` where none has.
    ///
    /// # Errors
    /// When nobody answers, or in another way than an engine.
    pub fn taken_by(&self) -> Result<Fact<ListenerOwner>> {
        self.within(self.timeout, self.taker()).map_err(|miss| Error::failure(self.why(miss)))
    }

    async fn taker(&self) -> Result<Fact<ListenerOwner>, Miss> {
        let connected = self.connect().await?;
        let Some((here, there)) = connected.addresses else { return Ok(Fact::Absent) };
        let failed = |e: hyper::Error| match self.tls() {
            Some(tls) if tls.explain(&e).is_none() => self.failed(&format!("{}; {}", chain(&e), tls.hint())),
            _ => self.broken("GET /_ping", &e),
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(connected.stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        let request = Request::get("/_ping").header(HOST, "localhost").body(Full::new(Bytes::new()));
        let request = request.map_err(|e| self.failed(&e.to_string()))?;
        // Only what was answered has been taken; until then the connection belongs to nobody.
        let reply = sender.send_request(request).await.map_err(failed)?;
        if reply.status() == StatusCode::BAD_REQUEST && self.tls().is_none() {
            let body = Limited::new(reply.into_body(), self.max_body).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            if body.windows(SPEAKS_TLS.len()).any(|text| text == SPEAKS_TLS) {
                return Err(self.failed(
                    "it speaks TLS; name the directory that has ca.pem, cert.pem and key.pem: --docker-cert-path DIR (or DOCKER_CERT_PATH)",
                ));
            }
        }
        Ok(listeners::taken_by(here, there))
    }

    /// Turns two replies into facts. `/networks/bridge` may be missing (no default bridge), `/info` may not.
    fn understand(&self, info: &Reply, bridge: &Reply) -> Answer {
        if let Some(evidence) = &info.podman {
            let why = format!("{} is answered by Podman ({evidence}), not by Docker", self.socket());
            return Answer { product: Some(Product::Podman(evidence.clone())), ..Answer::unknown(why) };
        }
        if let Some(server) = info.server.as_deref().filter(|server| !server.starts_with("Docker/")) {
            let why = format!("{} is answered by `{server}`, not by Docker", self.socket());
            return Answer::unknown(why);
        }
        let header = info.server.as_deref().and_then(version_of);
        match self.api_facts(info, bridge) {
            Ok((api, version)) => match header.or(version) {
                Some(version) => Answer::of(Fact::Known(api), Fact::Known(version)),
                None => {
                    let why = format!("{} is not answered by Docker: GET /info names no engine version", self.socket());
                    Answer::unknown(why)
                }
            },
            Err(Miss::NoListener) => Answer::of(Fact::Absent, Fact::Unknown(self.no_listener())),
            Err(Miss::Failed(why)) => Answer::of(Fact::Unknown(why.clone()), header.map_or(Fact::Unknown(why), Fact::Known)),
        }
    }

    /// The facts and the version that the body of `/info` names.
    fn api_facts(&self, info: &Reply, bridge: &Reply) -> Result<(ApiFacts, Option<String>), Miss> {
        self.expect_ok("/info", info)?;
        let (mut api, version) = body::info(&info.body).map_err(|e| self.failed(&format!("GET /info: {e}")))?;
        api.api_version = info.api_version.clone();
        // A denied answer is no missing bridge: it must not pass for one.
        if bridge.status != StatusCode::NOT_FOUND {
            self.expect_ok("/networks/bridge", bridge)?;
            api.bridge_icc = body::bridge_icc(&bridge.body).map_err(|e| self.failed(&format!("GET /networks/bridge: {e}")))?;
        }
        Ok((api, version))
    }

    fn expect_ok(&self, target: &str, reply: &Reply) -> Result<(), Miss> {
        if reply.status == StatusCode::OK {
            return Ok(());
        }
        let message = body::message(&reply.body);
        let colon = if message.is_empty() { "" } else { ": " };
        Err(self.failed(&format!("GET {target}: {}{colon}{message}", reply.status)))
    }

    async fn get(self, target: impl Into<String>) -> Result<Reply, Miss> {
        self.send(Method::GET, target.into(), Bytes::new()).await
    }

    /// One request over a connection of its own.
    async fn send(self, method: Method, target: String, body: Bytes) -> Result<Reply, Miss> {
        let failed = |e: hyper::Error| self.broken(&format!("{method} {target}"), &e);
        let stream = TokioIo::new(self.connect().await?.stream);
        let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
        // Its errors reach the request too; dropping the runtime ends it.
        tokio::spawn(connection);
        let mut request = Request::builder().method(&method).uri(&target).header(HOST, "localhost");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|e| self.failed(&e.to_string()))?;
        let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = Limited::new(body, self.max_body).collect().await.map_err(|e| {
            if e.is::<LengthLimitError>() {
                self.failed(&format!("{method} {target}: the answer is longer than {} bytes", self.max_body))
            } else {
                self.failed(&format!("{method} {target}: {}", chain(e.as_ref())))
            }
        })?;
        Ok(Reply {
            status: head.status,
            server: text_header(&head.headers, SERVER.as_str()),
            api_version: text_header(&head.headers, "api-version"),
            podman: podman(&head.headers),
            body: body.to_bytes(),
        })
    }

    async fn connect(&self) -> Result<Connected, Miss> {
        let tcp = match &self.endpoint {
            Endpoint::Unix(path) => {
                return Ok(Connected { stream: Box::new(self.connect_unix(path).await?), addresses: None });
            }
            Endpoint::Tcp(tcp) => tcp,
        };
        let stream = tcp.connect().await.map_err(|broken| match broken {
            Broken::Refused => Miss::NoListener,
            Broken::Failed(why) => self.failed(&why),
        })?;
        let addresses = stream.local_addr().and_then(|here| Ok((here, stream.peer_addr()?)));
        let addresses = Some(addresses.map_err(|e| self.failed(&e.to_string()))?);
        let stream: Box<dyn Stream> = match tcp.tls() {
            Some(tls) => Box::new(tls.secure(stream).await.map_err(|why| self.failed(&why))?),
            None => Box::new(stream),
        };
        Ok(Connected { stream, addresses })
    }

    async fn connect_unix(&self, path: &Path) -> Result<UnixStream, Miss> {
        loop {
            let error = match UnixStream::connect(path).await {
                Ok(stream) => return Ok(stream),
                Err(error) => error,
            };
            match error.kind() {
                // The listener's queue is full: a Unix socket says so at once instead of waiting.
                io::ErrorKind::WouldBlock => tokio::time::sleep(Duration::from_millis(10)).await,
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => return Err(Miss::NoListener),
                io::ErrorKind::PermissionDenied => return Err(Miss::Failed(self.permission_denied())),
                _ => return Err(self.failed(&format!("cannot connect: {error}"))),
            }
        }
    }

    /// Runs `work` to its end or to the end of `timeout`. Dropping the runtime ends what it left running.
    fn within<T>(&self, timeout: Duration, work: impl Future<Output = Result<T, Miss>>) -> Result<T, Miss> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(|e| self.failed(&format!("cannot wait for it: {e}")))?;
        let result = runtime.block_on(async {
            let late = |_| Err(self.failed(&format!("no answer within {timeout:?}")));
            tokio::time::timeout(timeout, work).await.unwrap_or_else(late)
        });
        // A name that is still being resolved is not waited for.
        runtime.shutdown_background();
        result
    }

    fn socket(&self) -> String {
        match &self.endpoint {
            Endpoint::Unix(path) => path.display().to_string(),
            Endpoint::Tcp(tcp) => tcp.to_string(),
        }
    }

    /// What ended a request before its answer, in the terms of TLS where it is that.
    fn broken(&self, request: &str, error: &hyper::Error) -> Miss {
        let why = self.tls().and_then(|tls| tls.explain(error));
        self.failed(&why.unwrap_or_else(|| format!("{request}: {}", chain(error))))
    }

    fn tls(&self) -> Option<&Tls> {
        match &self.endpoint {
            Endpoint::Tcp(tcp) => tcp.tls(),
            Endpoint::Unix(_) => None,
        }
    }

    fn failed(&self, why: &str) -> Miss {
        Miss::Failed(format!("{}: {why}", self.socket()))
    }

    fn no_listener(&self) -> String {
        let how = if matches!(self.endpoint, Endpoint::Tcp(_)) { " (connection refused)" } else { "" };
        format!("no daemon listens on {}{how}", self.socket())
    }

    fn permission_denied(&self) -> String {
        format!("permission denied on {}: run as root or as a member of the socket's group", self.socket())
    }
}

/// An answer that is still being waited for.
#[derive(Debug)]
pub struct Pending(io::Result<thread::JoinHandle<Answer>>);

/// Asks on a thread of its own, within [`TIMEOUT`]; see [`Engine::new`] for whom not to ask.
pub fn spawn(endpoint: Endpoint) -> Pending {
    let engine = Engine::new(endpoint, TIMEOUT);
    Pending(thread::Builder::new().name("engine-api".into()).spawn(move || engine.ask()))
}

impl Pending {
    /// Waits for the answer, which comes within [`TIMEOUT`] of the asking.
    pub fn wait(self) -> Answer {
        let why = match self.0.map(thread::JoinHandle::join) {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => "asking the Engine API failed inside harden".to_string(),
            Err(error) => format!("cannot start a thread to ask the Engine API: {error}"),
        };
        Answer::unknown(why)
    }
}

/// Why there is no reply.
#[derive(Debug)]
enum Miss {
    /// The socket is not there, or nobody listens on it.
    NoListener,
    /// Anything else; the text names the socket.
    Failed(String),
}

#[derive(Debug)]
struct Reply {
    status: StatusCode,
    server: Option<String>,
    api_version: Option<String>,
    /// By what header Podman shows itself, where it does.
    podman: Option<String>,
    body: Bytes,
}

/// `20.10.24+dfsg1` of `Docker/20.10.24+dfsg1 (linux)`.
fn version_of(server: &str) -> Option<String> {
    let version = server.strip_prefix("Docker/")?.split_whitespace().next()?;
    Some(version.to_string())
}

/// Podman says who it is in `Server`, and in a header of its own that is as old as its API.
fn podman(headers: &HeaderMap) -> Option<String> {
    let server = text_header(headers, SERVER.as_str()).filter(|server| server.starts_with("Libpod/"));
    let own = || Some(format!("Libpod-Api-Version: {}", text_header(headers, "libpod-api-version")?));
    server.map(|server| format!("Server: {server}")).or_else(own)
}

fn text_header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_string())
}

/// An error with its causes: hyper's own text leaves out the errno.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
