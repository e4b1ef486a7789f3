//! A real dockerd: what is read from it, how it is found, and who can't be taken for it.

mod lab;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harden::fact::{ApiFacts, Fact, ProcessFact};
use harden::host::docker::{Endpoint, Engine, spawn};
use harden::host::process::{Hints, dockerd, read};
use lab::{Dockerd, Lab, NO_NETWORK};

const NOBODY: u32 = 65534;

/// A process that ends with this value.
struct Running(Child);

impl Running {
    /// Runs `command`, and waits until it is that program (the child starts as a copy of this one).
    fn start(command: &mut Command, program: &str) -> Running {
        let running = Running(command.spawn().expect("the program"));
        loop {
            match read(running.pid()) {
                Fact::Known(process) if process.exe.ends_with(program) => return running,
                Fact::Known(_) => std::thread::sleep(Duration::from_millis(1)),
                other => panic!("{program}: {other:?}"),
            }
        }
    }

    fn pid(&self) -> i32 {
        self.0.id().try_into().expect("a process id")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `work` on a thread that is nobody's; the other threads stay root's.
fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: plain system calls on numbers. Unlike their libc wrappers they change the calling thread only, which ends
            // with this closure.
            let dropped = unsafe {
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) == 0
                    && libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0
                    && libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0
            };
            assert!(dropped, "cannot become nobody");
            work()
        });
        thread.join().expect("the work of nobody")
    })
}

fn find(daemon: &Dockerd, engine: Option<&Engine>) -> Fact<ProcessFact> {
    dockerd(&Hints { pidfile: &daemon.pidfile(), engine })
}

#[test]
fn what_the_daemon_says() {
    let lab = Lab::new();
    let config = r#"{"live-restore": true, "debug": true, "icc": false, "insecure-registries": ["reg.example:5000"],
        "registry-mirrors": ["https://mirror.example"], "log-driver": "local"}"#;
    let daemon = Dockerd::start(&lab, config, &[]);
    daemon.run_container("one");

    let answer = spawn(daemon.endpoint()).wait();

    let client = |format: &str| daemon.docker(&["info", "--format", format]);
    let expected = ApiFacts {
        operating_system: Some(client("{{.OperatingSystem}}")),
        api_version: Some(daemon.docker(&["version", "--format", "{{.Server.APIVersion}}"])),
        debug: Some(true),
        live_restore: Some(true),
        experimental: Some(false),
        security_options: serde_json::from_str(&client("{{json .SecurityOptions}}")).expect("a list"),
        logging_driver: Some("local".into()),
        storage_driver: Some(client("{{.Driver}}")),
        data_root: Some(lab.dir().join("data").display().to_string()),
        swarm_state: Some("inactive".into()),
        swarm_manager: Some(false),
        runtimes: Some(vec!["io.containerd.runc.v2".into(), "io.containerd.runtime.v1.linux".into(), "runc".into()]),
        default_runtime: Some("runc".into()),
        firewall_backend: None,
        containers_running: Some(1),
        insecure_registries: Some(vec!["127.0.0.0/8".into(), "reg.example:5000".into()]),
        registry_mirrors: Some(vec!["https://mirror.example/".into()]),
        containerd_address: None,
        authorization_plugins: Some(Vec::new()),
        cgroup_driver: Some(client("{{.CgroupDriver}}")),
        snapshotter: Some(false),
        bridge_icc: Some(false),
    };
    assert_eq!(answer.api, Fact::Known(expected));
    assert_eq!(answer.version, Fact::Known(client("{{.ServerVersion}}")));
}

#[test]
fn a_daemon_without_a_bridge() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let answer = daemon.engine().ask();
    let api = answer.api.known().expect("an answer");
    assert_eq!((api.bridge_icc, api.live_restore, api.debug), (None, Some(false), Some(false)));
}

#[test]
fn the_daemon_is_found_and_nothing_else() {
    let lab = Lab::new();
    // The traps are there before the daemon: an editor that was called as `dockerd`, flags and all ...
    let editor = lab.dir().join("vim");
    fs::copy("/bin/sh", &editor).expect("a copy of the shell");
    symlink("vim", lab.dir().join("dockerd")).expect("a false name");
    let mut command = Command::new(lab.dir().join("dockerd"));
    let command = command.args(["-c", "read line", "--icc=false", "--live-restore"]).stdin(Stdio::piped());
    let editor = Running::start(command, "/vim");
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", editor.pid())).expect("its name"), "dockerd\n");
    // ... and a program that is called dockerd, in a root of its own.
    lab.busybox("root/dockerd");
    symlink("dockerd", lab.dir().join("root/sleep")).expect("a name for the applet");
    let caged = Running::start(Command::new("chroot").arg(lab.dir().join("root")).args(["/sleep", "100000"]), "/root/dockerd");

    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let engine = daemon.engine();
    let found = find(&daemon, Some(&engine));
    let process = found.known().expect("the daemon");
    assert_eq!(process.pid, daemon.pid());
    assert!(process.exe.ends_with("/dockerd"), "{}", process.exe);
    assert_eq!(process.argv[..3], ["dockerd", "--config-file", lab.config().to_str().expect("a path")]);
    assert_eq!(find(&daemon, None), found, "by its pid file, without a connection");

    for trap in [&editor, &caged] {
        fs::write(lab.dir().join("stale"), trap.pid().to_string()).expect("a pid file");
        let stale = lab.dir().join("stale");
        assert_eq!(dockerd(&Hints { pidfile: &stale, engine: Some(&engine) }), found);
        let alone = dockerd(&Hints { pidfile: &stale, engine: None });
        assert_ne!(alone.known().map(|process| process.pid), Some(trap.pid()));
    }
}

#[test]
fn a_user_who_may_not_look() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let engine = daemon.engine();
    let (answer, process) = as_nobody(|| (engine.ask(), find(&daemon, Some(&engine))));
    let socket = lab.dir().join("docker.sock");
    let denied = format!("permission denied on {}: run as root or as a member of the socket's group", socket.display());
    assert_eq!(answer.api, Fact::Unknown(denied.clone()));
    assert_eq!(answer.version, Fact::Unknown(denied));
    let denied = format!("/proc/{}/exe: Permission denied (os error 13); run as root", daemon.pid());
    assert_eq!(process, Fact::Unknown(denied));
}

#[test]
fn a_daemon_that_is_not_running() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let (engine, pid) = (daemon.engine(), daemon.pid());
    drop(daemon);
    let answer = engine.ask();
    assert_eq!(answer.api, Fact::Absent);
    let why = format!("no daemon listens on {}", lab.dir().join("docker.sock").display());
    assert_eq!(answer.version, Fact::Unknown(why));
    assert_eq!(read(pid), Fact::Absent);
    let nowhere = Engine::new(Endpoint::Unix(lab.dir().join("none")), Duration::from_secs(5));
    assert_eq!(nowhere.ask().api, Fact::Absent);
}

#[test]
fn a_configuration_that_is_refused() {
    let lab = Lab::new();
    let log = Dockerd::refuses(&lab, r#"{"hosts": ["fd://"]}"#, &NO_NETWORK);
    let expected = format!(
        "unable to configure the Docker daemon with file {}: the following directives are specified both as a flag and in the \
         configuration file: hosts:",
        lab.config().display()
    );
    assert!(log.contains(&expected), "{log}");
}

#[test]
fn what_a_manager_says_of_its_swarm() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let cluster = || daemon.engine().cluster();
    assert_eq!(cluster(), Fact::Absent, "no swarm, no manager");
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let address = format!("127.0.0.1:{port}");
    daemon.docker(&["swarm", "init", "--advertise-addr", &address, "--listen-addr", &address, "--data-path-port", "14789"]);
    daemon.docker(&["network", "create", "--driver", "overlay", "plain"]);
    daemon.docker(&["network", "create", "--driver", "overlay", "--opt", "encrypted", "enc"]);
    let environment = ["--env", "DB_PASSWORD=hunter2", "--env", "EMPTY=", "--env", "PATH_FILE=/x"];
    let create = ["service", "create", "--detach", "--name", "svc", "--replicas", "0"];
    daemon.docker(&[&create[..], &environment, &["none:1"]].concat());

    let cluster = match cluster() {
        Fact::Known(cluster) => cluster,
        other => panic!("{other:?}"),
    };
    let overlays = [("enc", true), ("ingress", false), ("plain", false)].map(|(name, encrypted)| (name.to_owned(), encrypted));
    assert_eq!((cluster.managers, cluster.nodes, cluster.autolock, cluster.rotating), (1, 1, false, false));
    assert_eq!(cluster.cert_expiry_ns, 90 * 24 * 3_600_000_000_000);
    assert_eq!(cluster.overlays, overlays);
    assert_eq!(cluster.services, [("svc".into(), vec!["DB_PASSWORD".into(), "PATH_FILE".into()])]);
    // The engine dates it back by some minutes.
    let age = cluster.root_since.known().map(|since| jiff::Timestamp::now().as_second() - since);
    assert!(age.is_some_and(|age| (0..3600).contains(&age)), "{age:?}");
    let state = fs::read(lab.dir().join("data/swarm/docker-state.json")).expect("the node's own record");
    let addresses = harden::kinds::swarm::addresses(&state).expect("addresses");
    assert_eq!((addresses.listen, addresses.advertise, addresses.data_path.as_str()), (address.clone(), address, ""));
    daemon.docker(&["swarm", "update", "--autolock=true"]);
    assert!(daemon.engine().cluster().known().is_some_and(|cluster| cluster.autolock));
}
