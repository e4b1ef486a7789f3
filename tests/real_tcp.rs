//! A real dockerd on the network: whether it is this machine's, what is judged of it, and what keeps it from being asked.
//!
//! It lives in a network namespace of its own. Seen from inside it listens on its machine's loopback device; seen from outside it is
//! another machine at the end of a cable.

mod lab;

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde_json::Value;

use lab::run::{BINARY, Report, Run, path, text};
use lab::{Dockerd, Lab, NO_NETWORK, require};

const NOBODY: &str = "65534";
/// The ends of the cable.
const OUTSIDE: &str = "10.213.76.1";
const INSIDE: &str = "10.213.76.2";
const HELP: &str = "unset DOCKER_HOST";

/// Certificates as Docker's manual has them made: an authority, a server and a client.
struct Certificates {
    dir: PathBuf,
}

impl Certificates {
    fn make(lab: &Lab) -> Certificates {
        require("openssl", "openssl");
        let made = Certificates { dir: lab.dir().join("certs") };
        fs::create_dir(&made.dir).expect("a folder");
        made.authority("ca");
        made.authority("other");
        let names = format!("subjectAltName=DNS:engine.example,IP:127.0.0.1,IP:{INSIDE}\nextendedKeyUsage=serverAuth\n");
        made.signed("server", "/CN=engine.example", &names);
        made.signed("client", "/CN=client", "extendedKeyUsage=clientAuth\n");
        made
    }

    fn authority(&self, name: &str) {
        self.openssl(&["genrsa", "-out", &format!("{name}-key.pem"), "2048"]);
        let (key, certificate) = (format!("{name}-key.pem"), format!("{name}.pem"));
        self.openssl(&["req", "-new", "-x509", "-days", "2", "-key", &key, "-subj", "/CN=authority", "-out", &certificate]);
    }

    fn signed(&self, name: &str, subject: &str, extensions: &str) {
        let file = |ending: &str| format!("{name}{ending}");
        fs::write(self.dir.join(file(".ext")), extensions).expect("a file");
        self.openssl(&["genrsa", "-out", &file("-key.pem"), "2048"]);
        self.openssl(&["req", "-new", "-key", &file("-key.pem"), "-subj", subject, "-out", &file(".csr")]);
        let authority = ["-CA", "ca.pem", "-CAkey", "ca-key.pem", "-CAcreateserial", "-days", "2"];
        let files = [file(".csr"), file(".ext"), file(".pem")];
        let sign = ["x509", "-req", "-in", &files[0], "-extfile", &files[1], "-out", &files[2]];
        self.openssl(&[&sign[..], &authority].concat());
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.dir).output().expect("openssl");
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A directory for a client: copies of these files under these names.
    fn directory(&self, name: &str, files: &[(&str, &str)]) -> String {
        let dir = self.dir.join(name);
        fs::create_dir_all(&dir).expect("a folder");
        for (from, to) in files {
            fs::copy(self.dir.join(from), dir.join(to)).expect("a copy");
        }
        path(&dir)
    }

    fn of_client(&self) -> String {
        self.directory("client", &[("ca.pem", "ca.pem"), ("client.pem", "cert.pem"), ("client-key.pem", "key.pem")])
    }

    fn flags(&self) -> Vec<String> {
        let file = |name: &str| path(&self.dir.join(name));
        let (ca, certificate, key) = (file("ca.pem"), file("server.pem"), file("server-key.pem"));
        ["--host=tcp://0.0.0.0:2376", "--tlsverify", "--tlscacert", &ca, "--tlscert", &certificate, "--tlskey", &key]
            .map(str::to_owned)
            .into()
    }
}

/// A daemon with these further flags, whose namespace has a loopback device.
fn start<'lab>(lab: &'lab Lab, flags: &[String]) -> Dockerd<'lab> {
    require("ip", "iproute2");
    let flags: Vec<&str> =
        NO_NETWORK.into_iter().chain(["--ip-forward=false"]).chain(flags.iter().map(String::as_str)).collect();
    let daemon = Dockerd::start(lab, "{}", &flags);
    succeeds(inside(&daemon, "ip").args(["link", "set", "lo", "up"]));
    daemon
}

/// A program on the daemon's machine, as the network sees it.
fn inside(daemon: &Dockerd, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", daemon.pid())).arg("--").arg(program);
    command
}

fn succeeds(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A cable between the daemon's machine and this one; it goes with the daemon's namespace.
fn cable(daemon: &Dockerd) {
    let pid = daemon.pid().to_string();
    let ip = |arguments: &[&str]| succeeds(Command::new("ip").args(arguments));
    ip(&["link", "add", "harden-lab0", "type", "veth", "peer", "name", "harden-lab1", "netns", &pid]);
    ip(&["address", "add", &format!("{OUTSIDE}/30"), "dev", "harden-lab0"]);
    ip(&["link", "set", "harden-lab0", "up"]);
    succeeds(inside(daemon, "ip").args(["address", "add", &format!("{INSIDE}/30"), "dev", "harden-lab1"]));
    succeeds(inside(daemon, "ip").args(["link", "set", "harden-lab1", "up"]));
}

/// Runs harden, with nothing of this process's environment to point it elsewhere.
fn run(command: &mut Command, arguments: &[&str]) -> Run {
    for variable in ["DOCKER_HOST", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CONFIG"] {
        if !command.get_envs().any(|(name, _)| name == variable) {
            command.env_remove(variable);
        }
    }
    Run::of(command.args(arguments).env("NO_COLOR", "1"))
}

/// The findings, as they are told, without what differs from run to run.
fn findings(report: &Report) -> Vec<String> {
    report.findings().map(Value::to_string).collect()
}

fn reason(finding: &Value) -> &str {
    text(&finding["fix"]["reason"])
}

/// The error of a run that must fail.
fn error(run: Run, code: i32) -> String {
    assert_eq!(run.code, code, "{run:#?}");
    run.stderr
}

#[test]
fn this_machines_engine_is_judged_as_over_its_socket() {
    let lab = Lab::new();
    let certificates = Certificates::make(&lab);
    let daemon = start(&lab, &certificates.flags());
    daemon.run_container("one");
    let client = certificates.of_client();
    let check = ["check", "-b", "guide", "--format", "json", "--skip", "host-*", "--docker-host"];
    let socket = daemon.endpoint().to_string();
    let over_socket = run(&mut inside(&daemon, BINARY), &[&check[..], &[&socket]].concat()).report(2);
    let tls = ["tcp://127.0.0.1:2376", "--docker-cert-path", &client];
    let over_tls = run(&mut inside(&daemon, BINARY), &[&check[..], &tls].concat()).report(2);
    assert_eq!(findings(&over_tls), findings(&over_socket));
    let user = over_tls.finding("container-user-nonroot", "container:one");
    assert!(user["evidence"].to_string().contains("kernel /proc/"), "{user:#}");

    // As Docker's own client finds its certificates.
    let home = certificates
        .directory("home/.docker", &[("ca.pem", "ca.pem"), ("client.pem", "cert.pem"), ("client-key.pem", "key.pem")]);
    let home = home.trim_end_matches("/.docker").to_owned();
    let mut command = inside(&daemon, BINARY);
    command.env("HOME", home).env("DOCKER_TLS_VERIFY", "1").env("DOCKER_HOST", "tcp://127.0.0.1");
    let by_environment = run(&mut command, &check[..check.len() - 1]).report(2);
    assert_eq!(findings(&by_environment), findings(&over_socket));

    // What changes a container goes the same way.
    let state = path(&lab.dir().join("state"));
    let apply = ["apply", "--yes", "-b", "guide", "--only", "container-pids-limit", "--state-dir", &state, "--format", "json"];
    let limit = [
        "--docker-host",
        "tcp://127.0.0.1:2376",
        "--docker-cert-path",
        &client,
        "--set",
        "container.pids_limit=64",
        "--max-risk",
        "disruptive",
    ];
    let applied = run(&mut inside(&daemon, BINARY), &[&apply[..], &limit].concat()).report(0);
    assert_eq!(applied.changes(), ["container:one"]);
    assert_eq!(daemon.docker(&["inspect", "--format", "{{.HostConfig.PidsLimit}}", "one"]), "64");
}

#[test]
fn who_does_not_prove_who_it_is_is_not_asked() {
    let lab = Lab::new();
    let certificates = Certificates::make(&lab);
    let daemon = start(&lab, &certificates.flags());
    let client = certificates.of_client();
    let other = [("other.pem", "ca.pem"), ("client.pem", "cert.pem"), ("client-key.pem", "key.pem")];
    let other = certificates.directory("other", &other);
    let bare = certificates.directory("bare", &[("ca.pem", "ca.pem")]);
    // One that its own authority has signed, whom the engine does not know.
    certificates.openssl(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        "stranger-key.pem",
        "-subj",
        "/CN=x",
        "-out",
        "stranger.pem",
    ]);
    let stranger = [("ca.pem", "ca.pem"), ("stranger.pem", "cert.pem"), ("stranger-key.pem", "key.pem")];
    let stranger = certificates.directory("stranger", &stranger);
    let dir = certificates.dir.display();
    let table = [
        (
            "tcp://127.0.0.1:2376",
            &other,
            format!("tcp://127.0.0.1:2376: its certificate is signed by an authority that {dir}/other/ca.pem does not hold"),
        ),
        (
            "tcp://localhost:2376",
            &client,
            "tcp://localhost:2376: its certificate is for other names than localhost: engine.example, 127.0.0.1, 10.213.76.2"
                .to_owned(),
        ),
        ("tcp://127.0.0.1:2376", &bare, format!("client certificate, and {dir}/bare/cert.pem is not there")),
        ("tcp://127.0.0.1:2376", &stranger, format!("the certificate {dir}/stranger/cert.pem")),
        ("tcp://127.0.0.1:9", &client, "no daemon listens on tcp://127.0.0.1:9 (connection refused)".to_owned()),
        ("tcp://nowhere.invalid", &client, "tcp://nowhere.invalid:2376: its name can't be resolved: ".to_owned()),
    ];
    for (url, certs, expected) in table {
        let failed = run(&mut inside(&daemon, BINARY), &["check", "--docker-host", url, "--docker-cert-path", certs]);
        let told = error(failed, 1);
        assert!(told.contains(&expected), "{url} {certs}: {told}");
        assert!(!told.contains("PRIVATE") && !told.contains("panicked"), "{told}");
    }
    let plain = error(run(&mut inside(&daemon, BINARY), &["check", "--docker-host", "tcp://127.0.0.1:2376"]), 1);
    assert!(plain.contains("tcp://127.0.0.1:2376: it speaks TLS; name the directory"), "{plain}");
    let url = ["check", "--docker-host", "tcp://127.0.0.1:2376"];
    let unverified = error(run(inside(&daemon, BINARY).env("DOCKER_TLS", "1"), &url), 64);
    assert!(unverified.contains("DOCKER_TLS asks for encryption without verification"), "{unverified}");
    let nowhere = path(&certificates.dir.join("nowhere"));
    let missing = error(run(&mut inside(&daemon, BINARY), &[&url[..], &["--docker-cert-path", &nowhere]].concat()), 1);
    assert!(missing.contains(&format!("{nowhere}/ca.pem: it is not there")), "{missing}");
}

#[test]
fn without_tls_over_the_loopback_device() {
    let lab = Lab::new();
    let daemon = start(&lab, &["--host=tcp://0.0.0.0:2375".into()]);
    let check = ["check", "--format", "json", "--only", "daemon-*", "--docker-host"];
    let socket = daemon.endpoint().to_string();
    let over_socket = run(&mut inside(&daemon, BINARY), &[&check[..], &[&socket]].concat()).report(2);
    for url in ["tcp://127.0.0.1", "tcp://localhost"] {
        let report = run(&mut inside(&daemon, BINARY), &[&check[..], &[url]].concat()).report(2);
        assert_eq!(findings(&report), findings(&over_socket), "{url}");
    }
    let wrong = certificates_for_nothing(&lab);
    let told = error(
        run(&mut inside(&daemon, BINARY), &["check", "--docker-host", "tcp://127.0.0.1:2375", "--docker-cert-path", &wrong]),
        1,
    );
    assert!(told.contains("tcp://127.0.0.1:2375: it does not speak TLS"), "{told}");

    // Whoever may not see whose process it is does not know whose engine it is.
    let binary = lab.dir().join("harden");
    fs::copy(BINARY, &binary).expect("a copy");
    let mut nobody = inside(&daemon, "setpriv");
    nobody.args(["--reuid", NOBODY, "--clear-groups"]).arg(&binary);
    let report = run(&mut nobody, &[&check[..], &["tcp://127.0.0.1"]].concat()).report(0);
    let restored = report.finding("daemon-live-restore", "dockerd");
    assert_eq!(restored["status"], "unknown");
    assert!(
        reason(restored).starts_with("whether the engine at tcp://127.0.0.1:2375 is this machine's can't be told: /proc/"),
        "{restored:#}"
    );
    assert!(reason(restored).ends_with("run as root"), "{restored:#}");
}

fn certificates_for_nothing(lab: &Lab) -> String {
    let certificates = Certificates { dir: lab.dir().join("certs") };
    fs::create_dir(&certificates.dir).expect("a folder");
    certificates.authority("ca");
    certificates.directory("bare", &[("ca.pem", "ca.pem")])
}

#[test]
fn another_machines_engine_is_judged_by_what_it_says_alone() {
    let lab = Lab::new();
    let certificates = Certificates::make(&lab);
    let daemon = start(&lab, &certificates.flags());
    cable(&daemon);
    daemon.run_container("one");
    // Its path is one of this machine too, where it is as bad as can be.
    let open = path(&lab.dir().join("open"));
    daemon.docker(&[
        "run",
        "--detach",
        "--network=none",
        "--name=two",
        "--restart=always",
        &format!("--volume={open}:/o"),
        "lab:1",
        "/bin/busybox",
        "sleep",
        "9999",
    ]);
    let client = certificates.of_client();
    let url = format!("tcp://{INSIDE}:2376");
    let common = ["-b", "guide", "--format", "json", "--docker-cert-path", &client];
    let check = |url: &str| run(&mut Command::new(BINARY), &[&["check", "--docker-host", url][..], &common].concat()).report(2);

    let report = check(&url);
    assert_eq!(text(&report.0["host"]["hostname"]), url);
    assert_eq!(report.0["host"]["docker"]["running"], true);
    assert_eq!(report.0["changes"], serde_json::json!([]));
    let elsewhere = format!("the engine at {url} is another machine's: run harden there");
    for area in
        ["daemon-icc-disabled", "file-daemon-json-mode", "socket-docker-mode", "host-sysctl-aslr", "audit-watch-dockerd"]
    {
        let of_area = report.findings().filter(|finding| text(&finding["control"]) == area);
        let told: Vec<_> = of_area.map(|finding| (text(&finding["status"]), reason(finding))).collect();
        assert_eq!(told, [("not_applicable", elsewhere.as_str())], "{area}");
    }
    let user = report.finding("container-user-nonroot", "container:one");
    assert_eq!(user["status"], "drift");
    assert_eq!(user["evidence"][0], format!("inspect alone: {elsewhere}"));
    let limit = report.finding("container-restart-policy", "container:two");
    assert_eq!(reason(limit), format!("harden changes nothing from afar: {elsewhere}"), "{limit:#}");
    let source = report.finding("container-mount-source-perms", "container:two");
    assert_eq!((text(&source["status"]), reason(source)), ("unknown", elsewhere.as_str()), "{source:#}");
    let everything = report.0.to_string();
    assert!(!everything.contains("kernel /proc"), "{everything}");

    // A port of this machine that leads there is no engine of this machine.
    let port = forward(&format!("{INSIDE}:2376"));
    let behind = check(&format!("tcp://127.0.0.1:{port}"));
    let told = behind.findings().find(|finding| finding["control"] == "daemon-icc-disabled").map(reason).expect("a finding");
    let expected = format!("the engine at tcp://127.0.0.1:{port} is reached through real_tcp");
    assert!(told.starts_with(&expected) && told.ends_with("which is no dockerd: run harden where the engine runs"), "{told}");
    assert_eq!(behind.findings().count(), report.findings().count());

    for command in [&["apply", "--yes"][..], &["rollback", "--yes"], &["recover"]] {
        let state = path(&lab.dir().join("state"));
        let place = ["--docker-host", &url, "--docker-cert-path", &client, "--state-dir", &state];
        let told = error(run(&mut Command::new(BINARY), &[command, &place].concat()), 1);
        assert!(told.contains(&format!("{elsewhere}; nothing was changed")) && told.contains(HELP), "{command:?}: {told}");
        assert!(!lab.dir().join("state").exists(), "{command:?} wrote");
    }
    let page = run(&mut Command::new(BINARY), &["check", "--docker-host", &url, "--docker-cert-path", &client]);
    let page = page.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&format!("{url}: Docker 20.10")) && page.contains("its machine was not looked at"), "{page}");
}

/// Leads a port of this machine to another address, one connection after the other as they come. Returns the port.
fn forward(to: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let to = to.to_owned();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(&to) else { continue };
            for (mut from, mut to) in
                [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))].map(|(a, b)| (a.expect("it"), b.expect("it")))
            {
                thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Write);
                });
            }
        }
    });
    port
}
