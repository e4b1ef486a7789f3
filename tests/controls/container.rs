//! Containers: one that is as wanted by every control, and each thing that can be wrong with it. Judged from facts, on the running host
//! on which everything else is as wanted.

use std::collections::BTreeSet;

use harden::assess::Assessment;
use harden::baseline::Catalogue;
use harden::baseline::control::{Area, ContainerProperty, Want};
use harden::fact::{
    CgroupFacts, ContainerFacts, EnvFact, ExecFact, Fact, Facts, FileFact, FileKind, KernelFacts, LimitFact, Made, MountFact,
    Owner, PortFact, ProcessInContainer,
};
use harden::finding::Status;
use harden::foresight;

use crate::live;
use crate::table::{Expected, automatic, changes, compare, judge, manual, observe, of, open, unknown};
use crate::tree::Tree;

/// What engine 20.10 gives a container that asks for nothing else.
const DEFAULT: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
const ID: &str = "4f2a9c1b7d3e8f60a5b4c3d2e1f00918273645546372819a0b1c2d3e4f506172";
const TARGET: &str = "container:web";
const DATA: &str = "/srv/web";

/// A container that runs, as every control wants it, from an engine that uses AppArmor and SELinux alike.
pub fn add_to(facts: &mut Facts) {
    if let Fact::Known(api) = &mut facts.daemon.api
        && let Some(options) = &mut api.security_options
    {
        options.push("name=apparmor".into());
    }
    source(facts, DATA, DATA, FileKind::Dir, 0o755);
    facts.containers = Fact::Known(vec![well_behaved()]);
}

fn well_behaved() -> ContainerFacts {
    let paths = |paths: &[&str]| Some(paths.iter().map(|path| (*path).to_owned()).collect());
    let limit = |file: &str, max: i64, current: i64| {
        Some(LimitFact { file: format!("/sys/fs/cgroup/docker/{ID}/{file}"), max: Some(max), current: Some(current) })
    };
    ContainerFacts {
        id: ID.into(),
        name: "web".into(),
        running: true,
        image: "registry.example/web:3".into(),
        image_id: "sha256:1111111111111111".into(),
        image_now: Fact::Known("sha256:1111111111111111".into()),
        labels: BTreeSet::from(["tier".to_owned()]),
        made: Made {
            user: "1000:1000".into(),
            healthcheck: true,
            cap_add: vec!["NET_BIND_SERVICE".into()],
            cap_drop: vec!["ALL".into()],
            security_opt: vec!["no-new-privileges".into()],
            network_mode: "front".into(),
            ipc_mode: "private".into(),
            readonly_rootfs: true,
            restart: "on-failure".into(),
            max_retries: 3,
            memory: 512 << 20,
            memory_swap: 1 << 30,
            nano_cpus: 1_500_000_000,
            pids_limit: 100,
            blkio_weight: 300,
            devices: vec!["/dev/fuse:rw".into()],
            ulimits: vec!["core=0:0".into()],
            masked_paths: paths(&[
                "/proc/asound",
                "/proc/acpi",
                "/proc/kcore",
                "/proc/keys",
                "/proc/latency_stats",
                "/proc/timer_list",
                "/proc/timer_stats",
                "/proc/sched_debug",
                "/proc/scsi",
                "/sys/firmware",
            ]),
            readonly_paths: paths(&["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]),
            ..Made::default()
        },
        env: vec![variable("PATH", false), variable("LANG", false)],
        networks: vec!["front".into()],
        ports: vec![PortFact { container: "8080/tcp".into(), host_ip: "10.0.0.1".into(), host_port: 443, bound: true }],
        exposed: vec!["8080/tcp".into()],
        mounts: vec![bind(DATA)],
        apparmor_profile: "docker-default".into(),
        process_label: "system_u:system_r:container_t:s0:c1,c2".into(),
        execs: Fact::Known(Vec::new()),
        kernel: Fact::Known(KernelFacts {
            pid: 4711,
            cap_bnd: BTreeSet::from(["NET_BIND_SERVICE".to_owned()]),
            no_new_privs: Some(true),
            seccomp: Some(2),
            compared_namespaces: ["cgroup", "ipc", "net", "pid", "user", "uts"].map(str::to_owned).into(),
            shared_namespaces: BTreeSet::from(["user".to_owned()]),
            security_label: Some("docker-default (enforce)".into()),
            root_readonly: Some(true),
            processes: vec![process(4711, "docker-init", 1000), process(4712, "web", 1000)],
            cgroup: CgroupFacts {
                memory: limit("memory.max", 512 << 20, 80 << 20),
                pids: limit("pids.max", 100, 7),
                cpu: Some(LimitFact { file: format!("/sys/fs/cgroup/docker/{ID}/cpu.max"), max: Some(1500), current: None }),
                blkio_weight: Some(true),
            },
            ..KernelFacts::default()
        }),
        ..ContainerFacts::default()
    }
}

fn process(pid: i64, name: &str, uid: u32) -> ProcessInContainer {
    ProcessInContainer { pid, name: name.into(), program: name.into(), root: uid == 0, uid }
}

fn variable(name: &str, url_with_password: bool) -> EnvFact {
    EnvFact { name: name.into(), url_with_password }
}

fn exec(privileged: bool, user: &str) -> Fact<Vec<ExecFact>> {
    Fact::Known(vec![ExecFact { id: "15cc7cf50aa8".into(), privileged, user: user.into() }])
}

fn compose() -> Owner {
    Owner::Compose { project: "shop".into(), service: "web".into() }
}

fn bind(source: &str) -> MountFact {
    MountFact {
        kind: "bind".into(),
        source: source.into(),
        destination: "/data".into(),
        writable: true,
        propagation: "rprivate".into(),
    }
}

/// What lies on the host where a mount's source is.
fn source(facts: &mut Facts, path: &str, real: &str, kind: FileKind, mode: u32) {
    let like = live::file(facts, "/etc/docker").clone();
    facts.files.insert(path.into(), Fact::Known(FileFact { real_path: real.into(), kind, mode, ..like }));
}

fn mount(facts: &mut Facts, path: &str, real: &str, kind: FileKind, mode: u32) {
    source(facts, path, real, kind, mode);
    web(facts).mounts.push(bind(path));
}

fn port(facts: &mut Facts, container: &str, host_ip: &str, host_port: u16) {
    web(facts).ports.push(PortFact { container: container.into(), host_ip: host_ip.into(), host_port, bound: true });
}

fn containers(facts: &mut Facts) -> &mut Vec<ContainerFacts> {
    match &mut facts.containers {
        Fact::Known(containers) => containers,
        Fact::Absent | Fact::Unknown(_) => panic!("the green host has containers"),
    }
}

fn web(facts: &mut Facts) -> &mut ContainerFacts {
    &mut containers(facts)[0]
}

fn kernel(facts: &mut Facts) -> &mut KernelFacts {
    match &mut web(facts).kernel {
        Fact::Known(kernel) => kernel,
        Fact::Absent | Fact::Unknown(_) => panic!("the green container runs"),
    }
}

fn limit(fact: &mut Option<LimitFact>) -> &mut LimitFact {
    fact.as_mut().expect("a limit")
}

fn stop(facts: &mut Facts) {
    let web = web(facts);
    (web.running, web.stopped_days, web.kernel) = (false, Some(3), Fact::Absent);
}

fn stopped(name: &str) -> ContainerFacts {
    let made = well_behaved();
    ContainerFacts {
        id: format!("{name}{}", &ID[1..]),
        name: name.into(),
        running: false,
        stopped_days: Some(40),
        kernel: Fact::Absent,
        ..made
    }
}

/// One thing that is wrong with a container, and what would be done about it.
pub struct Case {
    pub control: &'static str,
    /// What is wrong, in words.
    how: &'static str,
    change: fn(&mut Facts),
    /// Every finding of the control that does not hold then.
    pub findings: &'static [Expected],
    /// What else this breaks.
    also: &'static [&'static str],
    /// What would be set.
    changes: &'static [&'static str],
}

pub const CASES: &[Case] = &[
    Case {
        control: "container-user-nonroot",
        how: "a process runs as root",
        change: |facts| {
            kernel(facts).processes.push(process(4720, "sh", 0));
        },
        findings: &[manual(
            "container:web",
            "root",
            "another user",
            "create it anew: docker run with `--user 1000`; the variable container.user names a user that the image is made for",
        )],
        also: &["container-single-process container:web"],
        changes: &[],
    },
    Case {
        control: "container-user-nonroot",
        how: "made to run as root, and not running",
        change: |facts| {
            stop(facts);
            web(facts).made.user = "0:0".into();
        },
        findings: &[manual(
            "container:web",
            "root",
            "another user",
            "create it anew: docker run with `--user 1000`; the variable container.user names a user that the image is made for",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-apparmor-profile",
        how: "unconfined",
        change: |facts| {
            kernel(facts).security_label = Some("unconfined".into());
        },
        findings: &[manual(
            "container:web",
            "unconfined",
            "a profile that is enforced",
            "create it anew with the same flags: a new one gets what this one lacks",
        )],
        also: &["container-selinux-options container:web"],
        changes: &[],
    },
    Case {
        control: "container-apparmor-profile",
        how: "only complains",
        change: |facts| {
            kernel(facts).security_label = Some("docker-default (complain)".into());
        },
        findings: &[manual(
            "container:web",
            "docker-default (complain)",
            "a profile that is enforced",
            "create it anew with the same flags: a new one gets what this one lacks",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-selinux-options",
        how: "without a label",
        change: |facts| {
            stop(facts);
            web(facts).process_label = String::new();
        },
        findings: &[manual(
            "container:web",
            "unlabelled",
            "a label of its own",
            "create it anew with the same flags: a new one gets what this one lacks; dockerd itself needs selinux-enabled",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-capabilities-restricted",
        how: "one more",
        change: |facts| {
            web(facts).made.cap_add.push("NET_ADMIN".into());
        },
        findings: &[manual(
            "container:web",
            "NET_ADMIN",
            "the default set at most",
            "create it anew: docker run without `--cap-add NET_ADMIN`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-capabilities-restricted",
        how: "all, by an old spelling, in a service",
        change: |facts| {
            web(facts).made.cap_add = vec!["ALL".into()];
            web(facts).owner = Owner::Swarm { service: "shop_web".into() };
        },
        findings: &[manual(
            "container:web",
            "ALL",
            "the default set at most",
            "it is a task of a service: docker service update --cap-drop ALL shop_web",
        )],
        also: &["container-cap-drop-all container:web", "container-no-dangerous-caps container:web"],
        changes: &[],
    },
    Case {
        control: "container-cap-drop-all",
        how: "the default set",
        change: |facts| {
            kernel(facts).cap_bnd = DEFAULT.iter().map(|name| (*name).to_owned()).collect();
        },
        findings: &[manual(
            "container:web",
            "drops none",
            "ALL dropped",
            "create it anew: docker run with `--cap-drop ALL`; add back by name what the program needs",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-dangerous-caps",
        how: "the kernel has one that inspect does not show",
        change: |facts| {
            kernel(facts).cap_bnd.insert("SYS_MODULE".into());
        },
        findings: &[manual(
            "container:web",
            "SYS_MODULE",
            "none of them",
            "create it anew with the same flags: a new one gets what this one lacks",
        )],
        also: &["container-capabilities-restricted container:web", "container-cap-drop-all container:web"],
        changes: &[],
    },
    Case {
        control: "container-no-privileged",
        how: "privileged",
        change: |facts| {
            web(facts).made.privileged = true;
        },
        findings: &[manual(
            "container:web",
            "privileged",
            "not privileged",
            "create it anew: docker run without `--privileged`; give what it really needs with --cap-add and --device",
        )],
        also: &[
            "container-capabilities-restricted container:web",
            "container-cap-drop-all container:web",
            "container-no-dangerous-caps container:web",
            "container-no-host-devices container:web",
            "container-seccomp-enabled container:web",
            "container-default-masked-paths container:web",
        ],
        changes: &[],
    },
    Case {
        control: "container-no-sensitive-mounts",
        how: "a link that leads to /etc",
        change: |facts| {
            mount(facts, "/srv/conf", "/etc/nginx", FileKind::Dir, 0o755);
        },
        findings: &[manual(
            "container:web",
            "/etc/nginx",
            "no sensitive path",
            "create it anew: docker run without `--volume /srv/conf:/data`; copy what it needs into a volume, or mount one file read-only",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-sensitive-mounts",
        how: "read-only",
        change: |facts| {
            mount(facts, "/usr/share", "/usr/share", FileKind::Dir, 0o755);
            web(facts).mounts[1].writable = false;
        },
        findings: &[manual(
            "container:web",
            "/usr/share (read-only)",
            "no sensitive path",
            "create it anew: docker run without `--volume /usr/share:/data`; copy what it needs into a volume, or mount one file read-only",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-docker-socket",
        how: "read-only, by another name",
        change: |facts| {
            mount(facts, "/srv/api", "/run/docker.sock", FileKind::Socket, 0o660);
            web(facts).mounts[1].writable = false;
        },
        findings: &[manual(
            "container:web",
            "/run/docker.sock",
            "no socket of an engine",
            "create it anew: docker run without `--volume /srv/api:/data`; a filtering proxy can give what it needs of the API",
        )],
        also: &["container-no-sensitive-mounts container:web"],
        changes: &[],
    },
    Case {
        control: "container-no-docker-socket",
        how: "the directory around it",
        change: |facts| {
            mount(facts, "/var/run", "/run", FileKind::Dir, 0o755);
        },
        findings: &[manual(
            "container:web",
            "/run, which holds /run/docker.sock",
            "no socket of an engine",
            "create it anew: docker run without `--volume /var/run:/data`; a filtering proxy can give what it needs of the API",
        )],
        also: &["container-no-sensitive-mounts container:web"],
        changes: &[],
    },
    Case {
        control: "container-no-sshd",
        how: "a server runs",
        change: |facts| {
            kernel(facts).processes.push(process(4720, "sshd", 1000));
        },
        findings: &[manual(
            "container:web",
            "sshd (running)",
            "no SSH server and no port 22",
            "build the image registry.example/web:3 without the SSH server and without EXPOSE 22; use docker exec instead",
        )],
        also: &["container-single-process container:web"],
        changes: &[],
    },
    Case {
        control: "container-no-sshd",
        how: "the port is exposed",
        change: |facts| {
            web(facts).exposed.push("22/tcp".into());
        },
        findings: &[manual(
            "container:web",
            "port 22 (exposed)",
            "no SSH server and no port 22",
            "build the image registry.example/web:3 without the SSH server and without EXPOSE 22; use docker exec instead",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-privileged-ports",
        how: "one that nobody approved",
        change: |facts| {
            port(facts, "25/tcp", "10.0.0.1", 25);
        },
        findings: &[manual(
            "container:web",
            "25 (for 25/tcp)",
            "1024 or above, or approved",
            "create it anew: docker run without `--publish 25:25/tcp`; or approve it in container.allowed_privileged_ports",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-only-needed-ports",
        how: "all of them",
        change: |facts| {
            web(facts).made.publish_all = true;
        },
        findings: &[manual(
            "container:web",
            "every exposed port (-P)",
            "approved ports only",
            "create it anew: docker run without `--publish-all`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-network",
        how: "asked for",
        change: |facts| {
            web(facts).made.network_mode = "host".into();
        },
        findings: &[manual("container:web", "the host's", "its own", "create it anew: docker run without `--network host`")],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-network",
        how: "through another container",
        change: |facts| {
            web(facts).made.network_mode = "container:vpn".into();
            kernel(facts).shared_namespaces.insert("net".into());
        },
        findings: &[manual(
            "container:web",
            "the host's, through the container vpn",
            "its own",
            "create it anew: docker run without `--network container:vpn`",
        )],
        also: &["container-no-shared-netns container:web"],
        changes: &[],
    },
    Case {
        control: "container-no-shared-netns",
        how: "with another container",
        change: |facts| {
            web(facts).made.network_mode = "container:vpn".into();
        },
        findings: &[manual(
            "container:web",
            "in the network of vpn",
            "in a network of its own",
            "create it anew: docker run without `--network container:vpn`; or name the pair in container.netns_pairs",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-memory-limit",
        how: "none",
        change: |facts| {
            web(facts).made.memory = 0;
            web(facts).made.memory_swap = 0;
            limit(&mut kernel(facts).cgroup.memory).max = None;
        },
        findings: &[automatic("container:web", "without a limit", "limited")],
        also: &[],
        changes: &["container container:web: set memory 512 MiB, memory and swap 1 GiB"],
    },
    Case {
        control: "container-memory-limit",
        how: "less than what it uses",
        change: |facts| {
            web(facts).made.memory = 0;
            limit(&mut kernel(facts).cgroup.memory).current = Some(1 << 30);
        },
        findings: &[manual(
            "container:web",
            "without a limit",
            "limited",
            "it uses 1 GiB of memory now, and the limit would be 512 MiB",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-cpu-limit",
        how: "what everybody has",
        change: |facts| {
            web(facts).made.nano_cpus = 0;
            web(facts).made.cpu_shares = 1024;
        },
        findings: &[automatic("container:web", "without a limit", "limited")],
        also: &[],
        changes: &["container container:web: set cpu quota 150000, cpu period 100000"],
    },
    Case {
        control: "container-blkio-limit",
        how: "none",
        change: |facts| {
            web(facts).made.blkio_weight = 0;
        },
        findings: &[automatic("container:web", "without a weight", "300")],
        also: &[],
        changes: &["container container:web: set block I/O weight 300"],
    },
    Case {
        control: "container-pids-limit",
        how: "none",
        change: |facts| {
            web(facts).made.pids_limit = 0;
        },
        findings: &[automatic("container:web", "without a limit", "limited")],
        also: &[],
        changes: &["container container:web: set pids limit 512"],
    },
    Case {
        control: "container-pids-limit",
        how: "none, in a task of a service",
        change: |facts| {
            web(facts).made.pids_limit = 0;
            web(facts).owner = Owner::Swarm { service: "shop_web".into() };
        },
        findings: &[manual(
            "container:web",
            "without a limit",
            "limited",
            "it is a task of a service: docker service update --limit-pids 512 shop_web",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-pids-limit",
        how: "in inspect only",
        change: |facts| {
            limit(&mut kernel(facts).cgroup.pids).max = None;
        },
        findings: &[automatic("container:web", "without a limit in the kernel, though inspect has 100", "limited")],
        also: &[],
        changes: &["container container:web: set pids limit 100"],
    },
    Case {
        control: "container-readonly-rootfs",
        how: "writable",
        change: |facts| {
            kernel(facts).root_readonly = Some(false);
        },
        findings: &[manual(
            "container:web",
            "writable",
            "read-only",
            "create it anew: docker run with `--read-only` `--tmpfs /tmp` `--tmpfs /run`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-bind-specific-interface",
        how: "on every address",
        change: |facts| {
            port(facts, "8443/tcp", "::", 8443);
        },
        findings: &[manual(
            "container:web",
            "8443 (for 8443/tcp) on ::",
            "bound to one address",
            "create it anew: docker run without `--publish 8443:8443/tcp` and with `--publish 10.0.0.1:8443:8443/tcp`; name ports that are meant for everybody in container.public_ports, and the address for the others in publish_address",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-restart-policy",
        how: "always",
        change: |facts| {
            web(facts).made.restart = "always".into();
        },
        findings: &[automatic("container:web", "always", "no, or on-failure with at most 5 restarts")],
        also: &[],
        changes: &["container container:web: set restart policy on-failure:5"],
    },
    Case {
        control: "container-restart-policy",
        how: "without a limit, in a compose project",
        change: |facts| {
            web(facts).made.restart = "on-failure".into();
            web(facts).made.max_retries = 0;
            web(facts).owner = compose();
        },
        findings: &[automatic("container:web", "on-failure without a limit", "no, or on-failure with at most 5 restarts")],
        also: &[],
        changes: &["container container:web: set restart policy on-failure:5"],
    },
    Case {
        control: "container-no-host-pid",
        how: "of the host",
        change: |facts| {
            web(facts).made.pid_mode = "host".into();
        },
        findings: &[manual("container:web", "the host's", "its own", "create it anew: docker run without `--pid host`")],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-pid",
        how: "of a container that has those of the host",
        change: |facts| {
            web(facts).made.pid_mode = "container:agent".into();
            kernel(facts).shared_namespaces.insert("pid".into());
        },
        findings: &[manual(
            "container:web",
            "the host's, through the container agent",
            "its own",
            "create it anew: docker run without `--pid container:agent`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-ipc",
        how: "of the host, in a compose project",
        change: |facts| {
            web(facts).made.ipc_mode = "host".into();
            web(facts).owner = compose();
        },
        findings: &[manual(
            "container:web",
            "the host's",
            "its own",
            "in the compose file of shop, service web: `ipc: without host`; then docker compose up -d web",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-devices",
        how: "more of it than approved",
        change: |facts| {
            web(facts).made.devices.push("/dev/fuse:rwm".into());
        },
        findings: &[manual(
            "container:web",
            "/dev/fuse:rwm",
            "no device beyond the approved ones",
            "create it anew: docker run without `--device /dev/fuse:rwm`; or approve it in container.allowed_devices",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-devices",
        how: "a GPU",
        change: |facts| {
            web(facts).made.device_rules.push("device request: all (gpu)".into());
        },
        findings: &[manual(
            "container:web",
            "device request: all (gpu)",
            "no device beyond the approved ones",
            "create it anew: docker run without `--gpus`; or approve it in container.allowed_devices",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-ulimits",
        how: "more than the daemon gives",
        change: |facts| {
            web(facts).made.ulimits.push("nofile=1048576:1048576".into());
        },
        findings: &[manual(
            "container:web",
            "nofile=1048576:1048576",
            "the daemon's, or approved",
            "create it anew: docker run without `--ulimit nofile=1048576:1048576`; or approve it in container.ulimits",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-shared-propagation",
        how: "rshared",
        change: |facts| {
            web(facts).mounts[0].propagation = "rshared".into();
        },
        findings: &[manual(
            "container:web",
            "/data (rshared)",
            "private or slave",
            "create it anew: docker run without `--volume /srv/web:/data:rshared`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-uts",
        how: "of the host",
        change: |facts| {
            web(facts).made.uts_mode = "host".into();
        },
        findings: &[manual("container:web", "the host's", "its own", "create it anew: docker run without `--uts host`")],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-seccomp-enabled",
        how: "off in the kernel, which inspect does not show",
        change: |facts| {
            kernel(facts).seccomp = Some(0);
        },
        findings: &[manual(
            "container:web",
            "not filtered",
            "filtered",
            "create it anew with the same flags: a new one gets what this one lacks",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-exec-not-privileged",
        how: "one",
        change: |facts| {
            web(facts).execs = exec(true, "");
        },
        findings: &[manual(
            "container:web",
            "exec 15cc7cf50aa8 with --privileged",
            "none",
            "end it: it is what someone started with docker exec --privileged web; an authorization plugin can refuse it",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-exec-not-root",
        how: "one",
        change: |facts| {
            web(facts).execs = exec(false, "root");
        },
        findings: &[manual(
            "container:web",
            "exec 15cc7cf50aa8 with --user root",
            "none",
            "end it: it is what someone started with docker exec --user root web; an authorization plugin can refuse it",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-cgroup-parent",
        how: "another one",
        change: |facts| {
            web(facts).made.cgroup_parent = "/own".into();
        },
        findings: &[manual(
            "container:web",
            "/own",
            "the engine's own, or approved",
            "create it anew: docker run without `--cgroup-parent`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-new-privileges",
        how: "switched off",
        change: |facts| {
            web(facts).made.security_opt[0] = "no-new-privileges=false".into();
        },
        findings: &[manual(
            "container:web",
            "not set",
            "set",
            "create it anew: docker run with `--security-opt no-new-privileges`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-healthcheck",
        how: "none",
        change: |facts| {
            web(facts).made.healthcheck = false;
        },
        findings: &[manual(
            "container:web",
            "not checked",
            "checked",
            "create it anew: docker run with `--health-cmd \"/bin/healthy\"`; the variable container.healthcheck, best set for each in container.match, is the command; HEALTHCHECK in its Dockerfile does it for all",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-image-current",
        how: "a newer one was pulled",
        change: |facts| {
            web(facts).image_now = Fact::Known("sha256:2222222222222222".into());
        },
        findings: &[manual(
            "container:web",
            "older than what registry.example/web:3 is now",
            "current",
            "make it anew from registry.example/web:3 when that suits: docker compose up -d, or docker rm and docker run",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-image-current",
        how: "nothing has its name",
        change: |facts| {
            web(facts).image_now = Fact::Absent;
        },
        findings: &[unknown(
            "container:web",
            "registry.example/web:3 names no image of this host any more, so whether there is a newer one can't be told",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-not-default-bridge",
        how: "in it",
        change: |facts| {
            web(facts).networks = vec!["bridge".into()];
        },
        findings: &[manual(
            "container:web",
            "bridge",
            "networks of its own",
            "docker network connect front NAME, then docker network disconnect bridge NAME; the variable container.network names the network, docker network create makes one",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-host-userns",
        how: "taken out",
        change: |facts| {
            web(facts).made.userns_mode = "host".into();
        },
        findings: &[manual(
            "container:web",
            "the host's",
            "the daemon's default",
            "create it anew: docker run without `--userns host`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-default-masked-paths",
        how: "systempaths=unconfined",
        change: |facts| {
            (web(facts).made.masked_paths, web(facts).made.readonly_paths) = (Some(Vec::new()), Some(Vec::new()));
        },
        findings: &[manual(
            "container:web",
            "without /proc/asound, /proc/acpi, /proc/kcore, /proc/keys, /proc/latency_stats, /proc/timer_list, /proc/timer_stats, /proc/sched_debug, /proc/scsi, /sys/firmware, /proc/bus, /proc/fs, /proc/irq, /proc/sys, /proc/sysrq-trigger",
            "protected as by default",
            "create it anew: docker run without `--security-opt systempaths=unconfined`",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-secret-env",
        how: "a password",
        change: |facts| {
            web(facts).env.push(variable("DB_PASSWORD", false));
        },
        findings: &[manual(
            "container:web",
            "DB_PASSWORD",
            "no secret",
            "give DB_PASSWORD as a file: a secret of compose or swarm, or a mounted file that a variable ending in _FILE names; then change the secret",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-no-secret-env",
        how: "in an address",
        change: |facts| {
            web(facts).env.push(variable("DATABASE_URL", true));
        },
        findings: &[manual(
            "container:web",
            "DATABASE_URL (an address with a password)",
            "no secret",
            "give DATABASE_URL as a file: a secret of compose or swarm, or a mounted file that a variable ending in _FILE names; then change the secret",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-single-process",
        how: "three programs",
        change: |facts| {
            kernel(facts).processes.push(process(4720, "cron", 1000));
            kernel(facts).processes.push(process(4721, "syslogd", 1000));
        },
        findings: &[manual("container:web", "cron, syslogd, web", "no more than 1", "split it into containers of their own")],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-mount-source-perms",
        how: "writable for everybody",
        change: |facts| {
            mount(facts, "/srv/upload", "/srv/upload", FileKind::Dir, 0o777);
        },
        findings: &[manual(
            "container:web",
            "/srv/upload with mode 0777",
            "directories 0755 and files 0644, or stricter",
            "chmod go-w /srv/upload where the application allows it, or except it in container.mount_mode_exceptions",
        )],
        also: &[],
        changes: &[],
    },
    Case {
        control: "container-sprawl",
        how: "three where two may be",
        change: |facts| {
            for name in ["a", "b", "c"] {
                containers(facts).push(stopped(name));
            }
        },
        findings: &[manual(
            "stopped containers",
            "3 stopped",
            "no more than 2",
            "look at docker ps --filter status=exited, then docker container prune --filter until=720h",
        )],
        also: &[],
        changes: &[],
    },
];

#[test]
fn broken_containers() {
    let wrong: Vec<String> = CASES
        .iter()
        .filter_map(|case| check(case).err().map(|text| format!("{}: {}\n{text}", case.control, case.how)))
        .collect();
    assert!(wrong.is_empty(), "{} of {} cases:\n\n{}\n", wrong.len(), CASES.len(), wrong.join("\n\n"));
}

fn check(case: &Case) -> Result<(), String> {
    let mut facts = live::green();
    (case.change)(&mut facts);
    let assessment = judge(&facts);
    if let Some(difference) = compare(case.control, case.findings, case.also, &assessment) {
        return Err(difference);
    }
    let planned = changes(&assessment);
    if case.changes != planned {
        return Err(format!("  expected changes {:#?}\n  found {planned:#?}", case.changes));
    }
    // Once that is done, nothing is left that harden could do; a second plan is empty.
    let after = judge(&foresight::after(&facts, &assessment.plan));
    let automatic = case.findings.iter().any(Expected::is_automatic);
    let still = of(&after, case.control).any(|finding| finding.status != Status::Compliant);
    match (automatic && still, after.plan.is_empty()) {
        (false, true) => Ok(()),
        (_, empty) => Err(format!("  after the plan there is still drift: {still}, and nothing to do: {empty}")),
    }
}

/// When a control has nothing to speak of: what is different on the host, the finding's target, the reason.
type Absent = (fn(&ContainerProperty) -> bool, fn(&mut Facts), &'static str, &'static str);

fn any(_: &ContainerProperty) -> bool {
    true
}

/// The host as a whole gives one reason for all of them.
const ABSENT: &[Absent] = &[
    (any, |facts| containers(facts).clear(), "containers", "no container exists"),
    (any, |facts| facts.host.live = false, "containers", "an image tree has no containers"),
    (
        any,
        |facts| facts.daemon.installed = Fact::Absent,
        "containers",
        "Docker is not installed: no dockerd, no docker.service",
    ),
    (
        |property| *property == ContainerProperty::ApparmorProfile,
        |facts| live::api(facts).security_options = Some(Vec::new()),
        "containers",
        "this engine does not use AppArmor",
    ),
    (
        |property| *property == ContainerProperty::SelinuxLabel,
        |facts| facts.host.selinux_enforcing = Fact::Absent,
        "containers",
        "SELinux is off in the kernel",
    ),
    (
        |property| {
            matches!(property, ContainerProperty::PrivilegedExecs | ContainerProperty::RootExecs | ContainerProperty::Programs)
        },
        stop,
        "containers",
        "no container is running",
    ),
    (
        |property| {
            matches!(property, ContainerProperty::Seccomp | ContainerProperty::NoNewPrivileges | ContainerProperty::Restarts)
        },
        |facts| web(facts).name = "exempt".into(),
        "container:exempt",
        "the baseline excepts it by name",
    ),
];

#[test]
fn nothing_to_speak_of() {
    for (of_property, change, target, reason) in ABSENT {
        let mut facts = live::green();
        change(&mut facts);
        let assessment = judge(&facts);
        for control in
            of_containers().filter(|control| matches!(&control.want, Want::Container(want) if of_property(&want.property)))
        {
            let found: Vec<String> = of(&assessment, &control.id)
                .map(|finding| {
                    format!("{:?} {}: {}", finding.status, finding.target, finding.fix.reason.clone().unwrap_or_default())
                })
                .collect();
            assert_eq!(found, [format!("{:?} {target}: {reason}", Status::NotApplicable)], "{}", control.id);
        }
    }
}

fn of_containers() -> impl Iterator<Item = &'static harden::baseline::control::Control> {
    Catalogue::builtin().controls.iter().filter(|control| control.area == Area::Container)
}

/// The controls that have a case in which they do not apply: all, by the first of [`ABSENT`].
pub fn absent() -> impl Iterator<Item = &'static str> {
    of_containers().filter(|control| matches!(control.want, Want::Container(_))).map(|control| control.id.as_str())
}

#[test]
fn what_could_not_be_seen_is_unknown() {
    type Row = (fn(&mut Facts), &'static str, &'static str);
    let table: [Row; 3] = [
        (|facts| facts.containers = Fact::Absent, "containers", "no dockerd runs that could list its containers"),
        (|facts| facts.containers = Fact::Unknown("denied".into()), "containers", "denied"),
        (|facts| web(facts).unread = Some("500".into()), TARGET, "500"),
    ];
    for (change, target, reason) in table {
        let mut facts = live::green();
        change(&mut facts);
        let assessment = judge(&facts);
        for id in absent().filter(|id| *id != "container-sprawl" || target == "containers") {
            let found: Vec<String> = of(&assessment, id)
                .map(|finding| format!("{:?} {} {:?}", finding.status, finding.target, finding.fix.reason))
                .collect();
            assert_eq!(found, [format!("{:?} {target} {:?}", Status::Unknown, Some(reason))], "{id}");
        }
    }
}

/// Without root /proc stays closed: what inspect says counts, and the evidence says so.
#[test]
fn inspect_alone_is_said_to_be_alone() {
    let mut facts = live::green();
    web(&mut facts).kernel = Fact::Unknown("/proc/4711/status: Permission denied (os error 13); run as root".into());
    let assessment = judge(&facts);
    let unknown: Vec<&str> = open(&assessment).iter().map(|finding| finding.control.as_str()).collect();
    assert_eq!(unknown, ["container-no-sshd", "container-single-process"], "only processes can't be seen in any other way");
    let finding = of(&assessment, "container-no-new-privileges").next().expect("a finding");
    assert_eq!(
        finding.evidence,
        [
            "inspect alone: /proc/4711/status: Permission denied (os error 13); run as root",
            "inspect HostConfig.SecurityOpt: no-new-privileges=true"
        ]
    );
}

fn status_of(assessment: &Assessment, control: &str) -> Vec<Status> {
    of(assessment, control).map(|finding| finding.status).collect()
}

fn judged(control: &str, change: impl FnOnce(&mut Facts)) -> Vec<Status> {
    let mut facts = live::green();
    change(&mut facts);
    status_of(&judge(&facts), control)
}

/// docker-bench-security passes `always`, because its count of retries is 0.
#[test]
fn docker_bench_passes_restart_always() {
    for name in ["always", "unless-stopped", "on-failure"] {
        let change = |facts: &mut Facts| (web(facts).made.restart, web(facts).made.max_retries) = (name.into(), 0);
        assert_eq!(judged("container-restart-policy", change), [Status::Drift], "{name}");
    }
}

/// docker-bench-security and the guide take any security option for an SELinux label.
#[test]
fn docker_bench_takes_any_security_option_for_a_label() {
    let change = |facts: &mut Facts| {
        stop(facts);
        web(facts).made.security_opt = vec!["seccomp=unconfined".into()];
        web(facts).process_label = String::new();
    };
    assert_eq!(judged("container-selinux-options", change), [Status::Drift]);
}

/// docker-bench-security reports an entrypoint that drops root as root, and misses root's children of another user.
#[test]
fn docker_bench_reads_the_user_of_the_configuration_only() {
    let drops_root = |facts: &mut Facts| web(facts).made.user = String::new();
    assert_eq!(judged("container-user-nonroot", drops_root), [Status::Compliant]);
    let setuid_child = |facts: &mut Facts| kernel(facts).processes.push(process(4720, "sudo", 0));
    assert_eq!(judged("container-user-nonroot", setuid_child), [Status::Drift]);
}

/// docker-bench-security looks for exactly these directories, writable; `/etc:ro`, `/etc/apt` and `/var/run` pass.
#[test]
fn docker_bench_misses_directories_below_and_read_only_ones() {
    for (path, real) in [
        ("/etc", "/etc"),
        ("/etc/apt", "/etc/apt"),
        ("/var/run", "/run"),
        ("/", "/"),
        ("/var/lib/docker/volumes", "/var/lib/docker/volumes"),
    ] {
        for writable in [true, false] {
            let change = |facts: &mut Facts| {
                mount(facts, path, real, FileKind::Dir, 0o755);
                web(facts).mounts[1].writable = writable;
            };
            assert_eq!(judged("container-no-sensitive-mounts", change), [Status::Drift], "{path} {writable}");
        }
    }
    // The guide greps a prefix, which hits what only begins alike; and what lies below / is not all sensitive.
    for path in ["/etcetera", "/srv", "/usrlocal/x", "/home/web", "/var/lib/dockerfiles"] {
        let change = |facts: &mut Facts| mount(facts, path, path, FileKind::Dir, 0o755);
        assert_eq!(judged("container-no-sensitive-mounts", change), [Status::Compliant], "{path}");
    }
    for (writable, status) in [(false, Status::Compliant), (true, Status::Drift)] {
        let change = |facts: &mut Facts| {
            mount(facts, "/etc/localtime", "/etc/localtime", FileKind::File, 0o644);
            web(facts).mounts[1].writable = writable;
        };
        assert_eq!(judged("container-no-sensitive-mounts", change), [status], "{writable}");
    }
}

/// docker-bench-security looks for the text docker.sock; a directory with the socket in it, and containerd's, pass.
#[test]
fn docker_bench_misses_sockets_by_other_names() {
    for (path, real) in [
        ("/var/run", "/run"),
        ("/", "/"),
        ("/run/containerd", "/run/containerd"),
        ("/x", "/run/containerd/containerd.sock"),
        ("/y", "/run/podman/podman.sock"),
    ] {
        let change = |facts: &mut Facts| mount(facts, path, real, FileKind::Dir, 0o755);
        assert_eq!(judged("container-no-docker-socket", change), [Status::Drift], "{path}");
    }
    let change = |facts: &mut Facts| mount(facts, "/runner", "/runner", FileKind::Dir, 0o755);
    assert_eq!(judged("container-no-docker-socket", change), [Status::Compliant]);
}

/// A link that someone else than root could have planted may lead anywhere: not compliant.
#[test]
fn a_mount_that_can_not_be_resolved_is_unknown() {
    let change = |facts: &mut Facts| {
        mount(facts, "/home/eve/x", "/home/eve/x", FileKind::Dir, 0o755);
        facts.files.insert("/home/eve/x".into(), Fact::Unknown("a symbolic link that others could have planted".into()));
    };
    for control in ["container-no-sensitive-mounts", "container-no-docker-socket", "container-mount-source-perms"] {
        assert_eq!(judged(control, change), [Status::Unknown], "{control}");
    }
}

/// docker-bench-security misses the wildcard of IPv6.
#[test]
fn docker_bench_misses_the_ipv6_wildcard() {
    for ip in ["::", "[::]", "0.0.0.0", ""] {
        assert_eq!(
            judged("container-bind-specific-interface", |facts| port(facts, "81/tcp", ip, 8081)),
            [Status::Drift],
            "{ip}"
        );
    }
    for ip in ["127.0.0.1", "::1", "10.0.0.1"] {
        assert_eq!(
            judged("container-bind-specific-interface", |facts| port(facts, "81/tcp", ip, 8081)),
            [Status::Compliant],
            "{ip}"
        );
    }
}

/// docker-bench-security compares with 1025, and warns of every published port.
#[test]
fn docker_bench_takes_1024_for_a_privileged_port() {
    for (number, status) in [(1023, Status::Drift), (1024, Status::Compliant), (80, Status::Compliant)] {
        assert_eq!(
            judged("container-no-privileged-ports", |facts| port(facts, "81/tcp", "10.0.0.1", number)),
            [status],
            "{number}"
        );
    }
    assert_eq!(judged("container-only-needed-ports", |facts| port(facts, "81/tcp", "10.0.0.1", 8081)), [Status::Compliant]);
}

/// docker-bench-security flags containers without ulimits of their own, and the guide all with any: the daemon's are merged into them.
#[test]
fn ulimits_of_the_daemon_are_no_override() {
    let same = |facts: &mut Facts| web(facts).made.ulimits = vec!["nofile=64000:64000".into(), "core=0:0".into()];
    let daemon = |facts: &mut Facts| live::process(facts).argv.push("--default-ulimit=nofile=64000:64000".into());
    let both = |facts: &mut Facts| {
        same(facts);
        daemon(facts);
    };
    assert_eq!(judged("container-ulimits", both), [Status::Compliant]);
    assert_eq!(judged("container-ulimits", same), [Status::Drift]);
    assert_eq!(judged("container-ulimits", |facts| web(facts).made.ulimits.clear()), [Status::Compliant]);
}

/// docker-bench-security passes every container once dockerd has the flag; those made before keep what they had.
#[test]
fn the_flag_of_dockerd_says_nothing_of_older_containers() {
    let older = |facts: &mut Facts| {
        web(facts).made.security_opt.clear();
        kernel(facts).no_new_privs = Some(false);
    };
    assert_eq!(judged("container-no-new-privileges", older), [Status::Drift]);
    // The daemon's default is not in inspect: the kernel shows it.
    assert_eq!(judged("container-no-new-privileges", |facts| web(facts).made.security_opt.clear()), [Status::Compliant]);
    let not_running = |facts: &mut Facts| {
        stop(facts);
        web(facts).made.security_opt.clear();
    };
    assert_eq!(judged("container-no-new-privileges", not_running), [Status::Unknown]);
    for (option, status) in [
        ("no-new-privileges:true", Status::Compliant),
        ("no-new-privileges=false", Status::Drift),
        ("no-new-privileges:false", Status::Drift),
    ] {
        assert_eq!(
            judged("container-no-new-privileges", |facts| web(facts).made.security_opt = vec![option.into()]),
            [status],
            "{option}"
        );
    }
}

/// docker-bench-security misses privileged containers and a daemon without a profile, neither of which is filtered.
#[test]
fn seccomp_is_off_in_privileged_containers_and_without_a_default_profile() {
    let privileged = |facts: &mut Facts| {
        stop(facts);
        web(facts).made.privileged = true;
    };
    assert_eq!(judged("container-seccomp-enabled", privileged), [Status::Drift]);
    let unconfined = |facts: &mut Facts| {
        stop(facts);
        live::api(facts).security_options = Some(vec!["name=seccomp,profile=unconfined".into()]);
    };
    assert_eq!(judged("container-seccomp-enabled", unconfined), [Status::Drift]);
    // A program that filters itself is no container that is filtered.
    let itself = |facts: &mut Facts| web(facts).made.security_opt = vec!["seccomp=unconfined".into()];
    assert_eq!(judged("container-seccomp-enabled", itself), [Status::Drift]);
}

/// docker-bench-security could not be tried with it; all capabilities are more than the default ones.
#[test]
fn docker_bench_5_4_all_is_more_than_the_default() {
    let all = |facts: &mut Facts| web(facts).made.cap_add = vec!["ALL".into()];
    let stopped = |facts: &mut Facts| {
        stop(facts);
        all(facts);
    };
    for control in ["container-capabilities-restricted", "container-no-dangerous-caps", "container-cap-drop-all"] {
        assert_eq!(judged(control, all), [Status::Drift], "{control}");
        assert_eq!(judged(control, stopped), [Status::Drift], "{control}, stopped");
    }
}

/// docker-bench-security runs ps in the container, passes where there is none, and compares its status with 265.
#[test]
fn docker_bench_5_7_needs_ps_in_the_image() {
    for (name, program) in [("sshd", "sshd"), ("kworker", "dropbear"), ("sshd", "busybox")] {
        let server = ProcessInContainer { program: program.into(), ..process(4720, name, 0) };
        let change = |facts: &mut Facts| kernel(facts).processes.push(server);
        assert_eq!(judged("container-no-sshd", change), [Status::Drift], "{name} {program}");
    }
    let unseen = |facts: &mut Facts| web(facts).kernel = Fact::Unknown("denied".into());
    assert_eq!(judged("container-no-sshd", unseen), [Status::Unknown]);
}

/// docker-bench-security greps Go's text of a mount, where a path may have the word in it.
#[test]
fn docker_bench_5_20_greps_for_the_word_shared() {
    for (propagation, status) in
        [("rprivate", Status::Compliant), ("rslave", Status::Compliant), ("shared", Status::Drift), ("rshared", Status::Drift)]
    {
        let change = |facts: &mut Facts| {
            mount(facts, "/srv/shared", "/srv/shared", FileKind::Dir, 0o755);
            web(facts).mounts[1].propagation = propagation.into();
        };
        assert_eq!(judged("container-no-shared-propagation", change), [status], "{propagation}");
    }
}

/// The engine reads booleans as Go does, and of several options the last.
#[test]
fn security_options_are_read_as_the_engine_reads_them() {
    for (options, status) in [
        (&["no-new-privileges=1"][..], Status::Compliant),
        (&["no-new-privileges:True"], Status::Compliant),
        (&["no-new-privileges=0"], Status::Drift),
        (&["no-new-privileges", "no-new-privileges=false"], Status::Drift),
        (&["no-new-privileges=false", "no-new-privileges"], Status::Compliant),
    ] {
        let change = |facts: &mut Facts| {
            stop(facts);
            web(facts).made.security_opt = options.iter().map(|option| (*option).to_owned()).collect();
        };
        assert_eq!(judged("container-no-new-privileges", change), [status], "{options:?}");
    }
    let last_unconfined = |facts: &mut Facts| {
        stop(facts);
        web(facts).made.security_opt = vec!["seccomp={}".into(), "seccomp=unconfined".into()];
    };
    assert_eq!(judged("container-seccomp-enabled", last_unconfined), [Status::Drift]);
}

/// The engine notes the AppArmor profile as a container starts: of one that never did, nothing is noted.
#[test]
fn a_container_that_never_started_will_have_its_profile() {
    for (option, privileged, status) in [
        (None, false, Status::Compliant),
        (Some("apparmor=site"), false, Status::Compliant),
        (Some("apparmor=unconfined"), false, Status::Drift),
        (Some("apparmor:unconfined"), false, Status::Drift),
        (None, true, Status::Drift),
    ] {
        let change = |facts: &mut Facts| {
            stop(facts);
            let web = web(facts);
            web.apparmor_profile.clear();
            web.made.privileged = privileged;
            web.made.security_opt.extend(option.map(str::to_owned));
        };
        assert_eq!(judged("container-apparmor-profile", change), [status], "{option:?} {privileged}");
    }
    let running = |facts: &mut Facts| {
        web(facts).apparmor_profile.clear();
        web(facts).kernel = Fact::Unknown("denied".into());
    };
    assert_eq!(judged("container-apparmor-profile", running), [Status::Drift]);
}

/// What is a secret's name, and what only looks like one, is the policy's to say: for images, services and containers alike.
#[test]
fn names_of_secrets_are_the_policys() {
    let sets = [r#"image.secret_patterns=["*pin*", "*TOKEN*"]"#, r#"image.secret_ignore=["*-parallelism"]"#].map(String::from);
    let baseline = harden::baseline::load("guide", &sets).unwrap_or_else(|error| panic!("{error}"));
    let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Safe, wanted: &|_, _| true };
    for (name, expected) in [
        ("card-PIN", Status::Drift),
        ("API_TOKEN", Status::Drift),
        ("TOKENIZERS_PARALLELISM", Status::Compliant),
        ("DB_PASSWORD", Status::Compliant),
    ] {
        let mut facts = live::green();
        web(&mut facts).env.push(variable(name, false));
        let assessment = harden::assess::assess(&baseline, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(status_of(&assessment, "container-no-secret-env"), [expected], "{name}");
    }
}

/// Who has what holds the data root has the data root.
#[test]
fn what_holds_the_data_root_is_as_sensitive() {
    for (path, status) in [
        ("/var/lib", Status::Drift),
        ("/var", Status::Drift),
        ("/var/lib/other", Status::Compliant),
        ("/srv", Status::Compliant),
    ] {
        for writable in [true, false] {
            let change = |facts: &mut Facts| {
                mount(facts, path, path, FileKind::Dir, 0o755);
                web(facts).mounts[1].writable = writable;
            };
            assert_eq!(judged("container-no-sensitive-mounts", change), [status], "{path} {writable}");
        }
    }
}

/// The first match gives its own values; the others keep the common ones.
#[test]
fn values_for_some_containers_only() {
    let mut facts = live::green();
    web(&mut facts).made.memory = 0;
    let mut other = web(&mut facts).clone();
    (other.id, other.name) = (format!("5{}", &ID[1..]), "db-1".into());
    other.ports[0].container = "5432/tcp".into();
    containers(&mut facts).push(other);
    let assessment = judge(&facts);
    let lines = changes(&assessment);
    assert_eq!(
        lines,
        [
            "container container:db-1: set memory 2 GiB, memory and swap 2 GiB",
            "container container:web: set memory 512 MiB, memory and swap 1 GiB"
        ]
    );
    let ports: Vec<String> = of(&assessment, "container-only-needed-ports")
        .map(|finding| format!("{} {:?}", finding.target, finding.status))
        .collect();
    assert_eq!(ports, ["container:web Compliant", "container:db-1 Compliant"]);
    let undeclared = |facts: &mut Facts| {
        web(facts).name = "db-2".into();
        web(facts).ports[0].container = "22/udp".into();
    };
    assert_eq!(judged("container-only-needed-ports", undeclared), [Status::Drift]);
}

#[test]
fn an_image_tree_has_no_containers() {
    let assessment = judge(&observe(&Tree::green()));
    for id in absent() {
        assert_eq!(status_of(&assessment, id), [Status::NotApplicable], "{id}");
    }
}
