//! The client against servers that follow a script, most of them badly behaved.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};

use super::*;
use crate::host::scratch::Scratch;

const INFO: &str = include_str!("../../../tests/data/engine/info-20.10.24.json");
const BRIDGE: &str = r#"{"Name":"bridge","Options":{"com.docker.network.bridge.enable_icc":"false"}}"#;
/// Far longer than any answer takes here, far shorter than a test run that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server at a socket of its own that lets `script` answer each request, given its target.
struct Server {
    scratch: Scratch,
}

impl Server {
    fn start(script: impl Fn(&str, &mut UnixStream) + Send + Sync + 'static) -> Server {
        let scratch = Scratch::new();
        let listener = UnixListener::bind(scratch.path().join("s")).unwrap();
        let script = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let script = Arc::clone(&script);
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if let Some(target) = request_target(&mut stream) {
                        script(&target, &mut stream);
                    }
                });
            }
        });
        Server { scratch }
    }

    /// A server that answers both objects as Docker does, and anything else with 404.
    fn docker(info: impl Into<String>, bridge: impl Into<String>) -> Server {
        let (info, bridge) = (info.into(), bridge.into());
        Server::start(move |target, stream| {
            let reply = match target {
                "/info" => &info,
                "/networks/bridge" => &bridge,
                "/_ping" => &reply("200 OK", "OK"),
                _ => &reply("404 Not Found", r#"{"message":"page not found"}"#),
            };
            let _ = stream.write_all(reply.as_bytes());
        })
    }

    fn engine(&self, timeout: Duration) -> Engine {
        Engine::new(Endpoint::Unix(self.scratch.path().join("s")), timeout)
    }

    fn ask(&self) -> Answer {
        self.engine(PATIENCE).ask()
    }

    /// What is unknown of the API, with the socket's path shortened to `SOCKET`.
    fn unknown(&self, answer: &Answer) -> String {
        self.unknown_text(&answer.api)
    }

    fn unknown_text<T: fmt::Debug>(&self, fact: &Fact<T>) -> String {
        match fact {
            Fact::Unknown(why) => why.replace(self.scratch.path().join("s").to_str().unwrap(), "SOCKET"),
            other => panic!("expected Unknown, got {other:?}"),
        }
    }
}

/// Reads a request's head and returns its target.
fn request_target(stream: &mut UnixStream) -> Option<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).ok()?.split(' ').nth(1)?.to_string())
}

fn reply(status: &str, body: &str) -> String {
    reply_from("Docker/20.10.24+dfsg1 (linux)", status, body)
}

fn reply_from(server: &str, status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nServer: {server}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Keeps the connection open without a word until the client leaves.
fn hang(stream: &mut UnixStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn endpoints() {
    for url in ["unix:///run/docker.sock", "unix:///run/user/1000/docker.sock", "tcp://127.0.0.1:2376"] {
        assert_eq!(Endpoint::parse(url, None).unwrap().to_string(), url);
    }
    assert_eq!(Endpoint::default().to_string(), "unix:///run/docker.sock");
    let example = "\n  help: for example --docker-host unix:///run/docker.sock";
    let long = format!("unix:///{}", "x".repeat(107));
    for (url, expected) in [
        (
            "tcp://user:secret@10.0.0.1:2376",
            "the Docker host has a user, and tcp:// takes HOST:PORT alone\n  help: for example --docker-host tcp://docker.example:2376"
                .to_string(),
        ),
        (
            "https://user:secret@10.0.0.1",
            "the Docker host is given as https://, and unix:// or tcp:// is expected\n  help: write --docker-host tcp://HOST:PORT".into(),
        ),
        ("fd://", format!("the Docker host is given as fd://, and unix:// or tcp:// is expected{example}")),
        (
            "ssh://root:secret@host",
            "the Docker host is given as ssh://, and harden goes to no other host by itself\n  help: run it there: ssh HOST harden check \
             --format json"
                .into(),
        ),
        (
            "secret://x",
            format!("the Docker host has an unknown scheme; unix:///PATH or tcp://HOST:PORT is expected{example}"),
        ),
        ("/run/docker.sock", "the Docker host has no scheme\n  help: write --docker-host unix:///run/docker.sock".into()),
        ("", format!("the Docker host is not a URL; unix:///PATH or tcp://HOST:PORT is expected{example}")),
        ("unix://", format!("`unix://` does not name a socket; unix:// and an absolute path is expected{example}")),
        (
            "unix://run/docker.sock",
            format!("`unix://run/docker.sock` does not name a socket; unix:// and an absolute path is expected{example}"),
        ),
        ("unix:///run/", format!("`unix:///run/` does not name a socket; unix:// and an absolute path is expected{example}")),
        (
            &long,
            format!(
                "`{long}` is no socket path: it has 108 bytes, at most 107 fit\n  help: give the socket a shorter path, for example with a symbolic link"
            ),
        ),
    ] {
        let error = Endpoint::parse(url, None).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.kind.exit_code(), 64);
    }
}

#[test]
fn a_good_answer() {
    let answer = Server::docker(reply("200 OK", INFO), reply("200 OK", BRIDGE)).ask();
    let api = answer.api.known().expect("an answer");
    assert_eq!(answer.version, Fact::Known("20.10.24+dfsg1".into()));
    assert_eq!((api.api_version.as_deref(), api.live_restore, api.bridge_icc), (Some("1.41"), Some(true), Some(false)));
}

#[test]
fn without_a_default_bridge() {
    let none = reply("404 Not Found", r#"{"message":"network bridge not found"}"#);
    let answer = Server::docker(reply("200 OK", INFO), none).ask();
    assert_eq!(answer.api.known().expect("an answer").bridge_icc, None);
}

/// A denied bridge must not read as "no bridge", which would let its control pass as not applicable.
#[test]
fn a_denied_bridge_is_not_a_missing_one() {
    let server = Server::docker(reply("200 OK", INFO), reply("403 Forbidden", r#"{"message":"no network reading"}"#));
    let answer = server.ask();
    assert_eq!(server.unknown(&answer), "SOCKET: GET /networks/bridge: 403 Forbidden: no network reading");
    assert_eq!(answer.version, Fact::Known("20.10.24+dfsg1".into()));
}

#[test]
fn a_chunked_answer_in_many_pieces() {
    let server = Server::start(|target, stream| {
        let body = if target == "/info" { INFO } else { BRIDGE };
        let head = "HTTP/1.1 200 OK\r\nServer: Docker/29.7.2 (linux)\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = body.as_bytes().chunks(97).map(|chunk| (format!("{:x}\r\n", chunk.len()), chunk));
        stream.write_all(head.as_bytes()).unwrap();
        for (size, chunk) in chunks {
            stream.write_all(&[size.as_bytes(), chunk, b"\r\n"].concat()).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let answer = server.ask();
    assert_eq!(answer.version, Fact::Known("29.7.2".into()));
    let api = answer.api.known().expect("an answer");
    assert_eq!((api.api_version.as_deref(), api.debug, api.bridge_icc), (None, Some(true), Some(false)));
}

#[test]
fn the_version_without_a_server_header() {
    let bare = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let answer = Server::docker(bare(INFO), bare(BRIDGE)).ask();
    assert_eq!(answer.version, Fact::Known("20.10.24+dfsg1".into()));
    let server = Server::docker(bare("{}"), bare("{}"));
    assert_eq!(server.unknown(&server.ask()), "SOCKET is not answered by Docker: GET /info names no engine version");
}

#[test]
fn podman_is_not_docker() {
    let libpod = |body| reply_from("Libpod/4.3.1 (linux)", "200 OK", body);
    let server = Server::docker(libpod(INFO), libpod(BRIDGE));
    let answer = server.ask();
    assert_eq!(server.unknown(&answer), "SOCKET is answered by Podman (Server: Libpod/4.3.1 (linux)), not by Docker");
    assert_eq!(server.unknown_text(&answer.version), server.unknown(&answer));
    assert_eq!(answer.product, Some(Product::Podman("Server: Libpod/4.3.1 (linux)".into())));
    // Podman 1.9 had no `Server`.
    let old = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nApi-Version: 1.40\r\nLibpod-Api-Version: 1.40\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let answer = Server::docker(old(INFO), old(BRIDGE)).ask();
    assert_eq!(answer.product, Some(Product::Podman("Libpod-Api-Version: 1.40".into())));
    assert_eq!(Server::docker(reply("200 OK", INFO), reply("200 OK", BRIDGE)).ask().product, None);
}

#[test]
fn refusals_and_nonsense() {
    let plugin = r#"{"message":"authorization denied by plugin opa: denied by policy\ncontact security"}"#;
    let long_header = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let cases = [
        (
            reply("403 Forbidden", plugin),
            "SOCKET: GET /info: 403 Forbidden: authorization denied by plugin opa: denied by policy",
        ),
        (reply("500 Internal Server Error", ""), "SOCKET: GET /info: 500 Internal Server Error"),
        (reply("502 Bad Gateway", "<html>\nbad</html>"), "SOCKET: GET /info: 502 Bad Gateway: <html>"),
        (reply("301 Moved Permanently", ""), "SOCKET: GET /info: 301 Moved Permanently"),
        (reply("404 Not Found", r#"{"message":"page not found"}"#), "SOCKET: GET /info: 404 Not Found: page not found"),
        (reply("200 OK", ""), "SOCKET: GET /info: the answer is no JSON object"),
        (reply("200 OK", "\0\u{1}"), "SOCKET: GET /info: the answer is no JSON object"),
        ("\u{1b}\0garbage\r\n\r\n".into(), "SOCKET: GET /info: invalid HTTP version parsed"),
        ("SSH-2.0-OpenSSH_9.2\r\n".into(), "SOCKET: GET /info: invalid HTTP version parsed"),
        ("HTTP/1.1 200 OK\r\nServer: Doc".into(), "SOCKET: GET /info: connection closed before message completed"),
        ("".into(), "SOCKET: GET /info: connection closed before message completed"),
        (long_header, "SOCKET: GET /info: message head is too large"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}".into(),
            "SOCKET: GET /info: error reading a body from connection: end of file before message length reached",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".into(),
            "SOCKET: GET /info: error reading a body from connection: Invalid chunk size line: missing size digit",
        ),
    ];
    for (info, expected) in cases {
        let server = Server::docker(info, reply("200 OK", BRIDGE));
        assert_eq!(server.unknown(&server.ask()), expected);
    }
}

/// Even an engine that denies everything names its version.
#[test]
fn the_version_of_a_daemon_that_denies() {
    let denied = reply("403 Forbidden", r#"{"message":"authorization denied by plugin opa"}"#);
    assert_eq!(Server::docker(denied.clone(), denied).ask().version, Fact::Known("20.10.24+dfsg1".into()));
}

#[test]
fn an_answer_that_is_too_long() {
    for head in ["Transfer-Encoding: chunked", "Content-Length: 99999999999"] {
        let server = Server::start(move |_, stream| {
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
            let chunk = [&b"1000\r\n"[..], &[b' '; 4096], b"\r\n"].concat();
            while stream.write_all(&chunk).is_ok() {}
        });
        let engine = Engine { max_body: 1 << 20, ..server.engine(PATIENCE) };
        assert_eq!(server.unknown(&engine.ask()), "SOCKET: GET /info: the answer is longer than 1048576 bytes");
    }
}

#[test]
fn a_server_that_hangs_is_left_in_time() {
    type Script = fn(&str, &mut UnixStream);
    let scripts: [(&str, Script); 5] = [
        ("silence", |_, stream| hang(stream)),
        ("half a head", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nServer: D").unwrap();
            hang(stream);
        }),
        ("half a body", |_, stream| {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{").unwrap();
            hang(stream);
        }),
        ("a drip that never ends", |_, stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream.write_all(b"1\r\n \r\n").is_ok() {
                thread::sleep(Duration::from_millis(5));
            }
        }),
        ("only the bridge hangs", |target, stream| match target {
            "/info" => stream.write_all(reply("200 OK", INFO).as_bytes()).unwrap(),
            _ => hang(stream),
        }),
    ];
    for (name, script) in scripts {
        let server = Server::start(script);
        let begin = Instant::now();
        let answer = server.engine(Duration::from_millis(300)).ask();
        assert_eq!(server.unknown(&answer), "SOCKET: no answer within 300ms", "{name}");
        assert!(begin.elapsed() < Duration::from_secs(5), "{name}: took {:?}", begin.elapsed());
    }
}

/// Answers as fast as they can be read must not starve the clock.
#[test]
fn a_flood_is_left_in_time() {
    let server = Server::start(|_, stream| while stream.write_all(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(100)).is_ok() {});
    let begin = Instant::now();
    let answer = server.engine(Duration::from_millis(300)).ask();
    assert_eq!(server.unknown(&answer), "SOCKET: no answer within 300ms");
    assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
}

#[test]
fn a_listener_that_never_accepts() {
    let scratch = Scratch::new();
    let path = scratch.path().join("s");
    let listener: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(listener.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let _queued = UnixStream::connect(&path).unwrap();
    let engine = Engine::new(Endpoint::Unix(path.clone()), Duration::from_millis(200));
    assert_eq!(engine.ask().api, Fact::Unknown(format!("{}: no answer within 200ms", path.display())));
}

#[test]
fn nobody_listens() {
    let scratch = Scratch::new();
    let path = scratch.path().join("s");
    let engine = Engine::new(Endpoint::Unix(path.clone()), PATIENCE);
    let expected = Answer::of(Fact::Absent, Fact::Unknown(format!("no daemon listens on {}", path.display())));
    assert_eq!(engine.ask(), expected, "no socket");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(engine.ask(), expected, "a socket left behind");
    assert_eq!(engine.peer_pid(PATIENCE), Fact::Absent);
    let error = engine.ping(PATIENCE).unwrap_err().to_string();
    assert_eq!(error, format!("no daemon listens on {}\n  help: see why with: journalctl -u docker -n 50", path.display()));
}

#[test]
fn ping() {
    let server = Server::docker("", "");
    server.engine(PATIENCE).ping(PATIENCE).unwrap();
    let server = Server::start(|_, stream| stream.write_all(reply("503 Service Unavailable", "").as_bytes()).unwrap());
    let error = server.engine(PATIENCE).ping(PATIENCE).unwrap_err().to_string();
    assert!(error.ends_with("/s: GET /_ping: 503 Service Unavailable"), "{error}");
}

#[test]
fn the_peer_is_who_listens() {
    let server = Server::docker("", "");
    assert_eq!(server.engine(PATIENCE).peer_pid(PATIENCE), Fact::Known(i32::try_from(std::process::id()).ok()));
}

#[test]
fn asking_in_the_background() {
    let server = Server::docker(reply("200 OK", INFO), reply("200 OK", BRIDGE));
    let endpoint = server.engine(PATIENCE).endpoint;
    assert_eq!(spawn(endpoint).wait(), server.ask());
}
