//! The controls of the machine, and what people attest.

use std::collections::BTreeMap;

use harden::baseline::control::Want;
use harden::fact::{Chain, Fact, Facts, Listener, ListenerOwner, Login, Password};
use harden::finding::Status;
use harden::formats::mountinfo::Mount;
use harden::formats::sysctl::path_of;

use crate::live::{self, Live, api, edit};
use crate::table::{Absent, Break, EVERYTHING, automatic, check_absent, check_breaks, judge_alone, manual, of, unknown};
use crate::tree::{APP, CONTEXT, SYSCTL, Tree};

const OWN: &str = "/etc/sysctl.d/zz-harden.conf";
const SSHD: &str = "/etc/ssh/sshd_config";
const AUDITD: &str = "/etc/audit/auditd.conf";
const NO_DOCKER: &str = "Docker is not installed: no dockerd, no docker.service";
const SET: &str = "sysctl: sets parameters of the running kernel; interrupts nothing";
const DOCKER_SOCKET: &str = "/usr/lib/systemd/system/docker.socket";
const CERTS: &str = "/etc/docker/certs.d/registry.example:5000";
const OVER_SSH: &str = "over SSH, or TLS that is verified";
const CONTEXT_ANEW: &str = "its owner makes it anew: `docker context update NAME --docker host=ssh://USER@HOST`";
const A_CERTIFICATE: &str =
    "a certificate of its authority in PEM (*.crt), and each client certificate (*.cert) with its key (*.key)";
const PUT_IT: &str = "put the certificate of the authority into /etc/docker/certs.d/REGISTRY/ca.crt, a client certificate and its \
                      key into client.cert and client.key; waive this for a registry that a public authority vouches for";
const TRUSTED: &str = "not in it, or among trusted_docker_users";

/// What the running kernel has, on the green host: what its files say, and the kernel's own defaults.
pub fn go_live(facts: &mut Facts) {
    let site =
        facts.files.get(SYSCTL).and_then(Fact::known).and_then(|file| file.content.clone()).expect("the site's parameters");
    let text = String::from_utf8(site.0).expect("text");
    let machine = &mut facts.machine;
    for control in &EVERYTHING.controls {
        let Want::Sysctl(want) = &control.want else { continue };
        for key in &want.key {
            for name in &key.names {
                let set = text.lines().filter_map(|line| line.split_once(" = ")).find(|(key, _)| key == name);
                let value = set.map(|(_, value)| value.to_owned()).or_else(|| key.default.clone()).expect("a value");
                machine.sysctl.insert(path_of(name), Fact::Known(value.clone()));
                if key.interfaces {
                    machine.sysctl.insert(path_of(&name.replace(".all.", ".eth0.")), Fact::Known(value));
                }
            }
        }
    }
    machine.sysctl.insert("net/ipv4/ip_forward".into(), Fact::Known("1".into()));
    machine.interfaces = Fact::Known(vec!["eth0".into()]);
    let mount = |point: &str, device: &str| Mount { point: point.into(), device: device.into() };
    machine.mounts = Fact::Known(vec![mount("/", "8:1"), mount("/var/lib/docker", "8:2"), mount("/var/log/audit", "8:3")]);
    machine.kernel = Fact::Known("6.1.0-18-amd64".into());
    facts.globs.insert(
        "/boot/vmlinuz-*".into(),
        Fact::Known(["9-amd64", "18-amd64", "21-cloud-amd64"].map(|tail| format!("/boot/vmlinuz-6.1.0-{tail}")).into()),
    );
    machine.apparmor = Fact::Absent;
    let components = [("containerd", "v1.7.29"), ("runc", "1.3.3"), ("docker-init", "0.19.0")];
    machine.components = Fact::Known(components.map(|(name, version)| (name.to_owned(), version.to_owned())).into());
    machine.listeners = Fact::Known(vec![
        listener("tcp", "0.0.0.0", 22, Some(owner(700, "sshd", false))),
        listener("tcp", "::", 22, Some(owner(700, "sshd", false))),
        listener("tcp", "0.0.0.0", 8080, Some(owner(900, "docker-proxy", false))),
        listener("tcp", "0.0.0.0", 9000, Some(owner(950, "app", true))),
    ]);
    machine.chains =
        Fact::Known(vec![chain("FORWARD", Some("forward"), Some(true), 6, 3), chain("DOCKER-USER", None, None, 2, 1)]);
}

fn listener(protocol: &str, address: &str, port: u16, owner: Option<ListenerOwner>) -> Listener {
    Listener { protocol: protocol.into(), address: address.into(), port, owner: owner.map_or(Fact::Absent, Fact::Known) }
}

fn owner(pid: i32, program: &str, container: bool) -> ListenerOwner {
    ListenerOwner { pid, program: program.into(), container }
}

fn chain(name: &str, hook: Option<&str>, drops_by_default: Option<bool>, rules: usize, filtering: usize) -> Chain {
    let hook = hook.map(str::to_owned);
    Chain { family: "ip".into(), table: "filter".into(), name: name.into(), hook, drops_by_default, rules, filtering }
}

fn listen(facts: &mut Facts, more: Listener) {
    let Fact::Known(listeners) = &mut facts.machine.listeners else { panic!("listeners") };
    listeners.push(more);
}

fn chains(facts: &mut Facts) -> &mut Vec<Chain> {
    let Fact::Known(chains) = &mut facts.machine.chains else { panic!("chains") };
    chains
}

fn parameter(facts: &mut Facts, name: &str, value: &str) {
    facts.machine.sysctl.insert(path_of(name), Fact::Known(value.into())).expect("the green host has it");
}

fn component(facts: &mut Facts, name: &str, version: &str) {
    let Fact::Known(components) = &mut facts.machine.components else { panic!("components") };
    components.insert(name.into(), version.into());
}

fn login(name: &str, uid: u32, shell: &str, password: Password) -> Login {
    Login { name: name.into(), uid, shell: shell.into(), password }
}

pub const BREAKS: &[Break] = &[
    // What an interface is given counts, whatever `all` says.
    Break {
        control: "host-sysctl-icmp-redirects",
        how: "an interface",
        breaks: |tree| tree.write("/etc/sysctl.d/10-net.conf", "net.ipv6.conf.*.accept_redirects = 1\n"),
        findings: &[manual(
            "net.ipv6.conf.all.accept_redirects",
            "after the next boot 0; after the next boot 1 on eth0",
            "0",
            "/etc/sysctl.d/10-net.conf:1 sets net.ipv6.conf.eth0.accept_redirects to 1; change it there",
        )],
        also: &[],
    },
    Break {
        control: "host-sysctl-icmp-redirects",
        how: "set by no file",
        breaks: |tree| tree.drop_line(SYSCTL, "ipv4.conf.all.send"),
        findings: &[automatic("net.ipv4.conf.all.send_redirects", "set by no file for the next boot", "0")],
        also: &[],
    },
    Break {
        control: "host-sysctl-icmp-redirects",
        how: "a file that is read later sets another value",
        breaks: |tree| tree.write("/usr/lib/sysctl.d/60-vendor.conf", "net.ipv4.conf.all.send_redirects=1\n"),
        findings: &[automatic("net.ipv4.conf.all.send_redirects", "after the next boot 1", "0")],
        also: &[],
    },
    Break {
        control: "host-sysctl-icmp-redirects",
        how: "a file that is read after harden's own sets another value",
        breaks: |tree| tree.write("/etc/sysctl.d/zzz.conf", "\nnet.ipv4.conf.all.send_redirects=1\n"),
        findings: &[manual(
            "net.ipv4.conf.all.send_redirects",
            "after the next boot 1",
            "0",
            "/etc/sysctl.d/zzz.conf:2 sets it to 1, and is read after harden's own zz-harden.conf; change it there",
        )],
        also: &[],
    },
    Break {
        control: "host-sysctl-icmp-redirects",
        how: "the file is hidden by one of the same name in a higher directory",
        breaks: |tree| {
            tree.write("/usr/lib/sysctl.d/40-redirects.conf", "net.ipv4.conf.all.send_redirects=0\n");
            tree.write("/etc/sysctl.d/40-redirects.conf", "");
            tree.drop_line(SYSCTL, "ipv4.conf.all.send");
        },
        findings: &[automatic("net.ipv4.conf.all.send_redirects", "set by no file for the next boot", "0")],
        also: &[],
    },
    Break {
        control: "host-sysctl-aslr",
        how: "half of it",
        breaks: |tree| tree.write(OWN, "# mine\nkernel.randomize_va_space = 1\nvm.swappiness = 10\n"),
        findings: &[automatic("kernel.randomize_va_space", "after the next boot 1", "2")],
        also: &[],
    },
    Break {
        control: "host-sysctl-bridge-nf",
        how: "switched off",
        breaks: |tree| tree.write("/etc/sysctl.d/60-bridge.conf", "net.bridge.*=0\n"),
        findings: &[
            automatic("net.bridge.bridge-nf-call-iptables", "after the next boot 0", "1"),
            automatic("net.bridge.bridge-nf-call-ip6tables", "after the next boot 0", "1"),
        ],
        also: &[],
    },
    Break {
        control: "host-sysctl-kernel-info",
        how: "addresses are shown",
        breaks: |tree| tree.edit(SYSCTL, "kptr_restrict = 2", "kptr_restrict = 0"),
        findings: &[automatic("kernel.kptr_restrict", "after the next boot 0", "at least 1")],
        also: &[],
    },
    Break {
        control: "host-sysctl-ptrace-bpf",
        how: "tracing is free, and kexec",
        breaks: |tree| {
            tree.edit(SYSCTL, "ptrace_scope = 1", "ptrace_scope = 0");
            tree.drop_line(SYSCTL, "kexec");
        },
        findings: &[
            automatic("kernel.yama.ptrace_scope", "after the next boot 0", "at least 1"),
            manual(
                "kernel.kexec_load_disabled",
                "set by no file for the next boot",
                "1",
                "it can't be taken back before the next boot, so harden leaves it to you: unless kdump or kexec is used here, put \
                 `kernel.kexec_load_disabled = 1` into a file in /etc/sysctl.d and run `sysctl -w kernel.kexec_load_disabled=1`",
            ),
        ],
        also: &[],
    },
    Break {
        control: "host-sysctl-fs-protected",
        how: "core dumps of privileged programs",
        breaks: |tree| tree.write("/etc/sysctl.d/60-core.conf", "fs.suid_dumpable = 2\n"),
        findings: &[automatic("fs.suid_dumpable", "after the next boot 2", "0")],
        also: &[],
    },
    Break {
        control: "host-docker-group-members",
        how: "one too many, whose name begins another's",
        breaks: |tree| {
            tree.edit("/etc/group", "docker:x:997:app", "docker:x:997:app,bob,appendix");
            tree.edit("/etc/gshadow", "docker:!::app", "docker:!:bob:app,bob,appendix");
        },
        findings: &[
            automatic("bob", "in the group docker, which owns the API socket", TRUSTED),
            automatic("appendix", "in the group docker, which owns the API socket", TRUSTED),
        ],
        also: &[],
    },
    Break {
        control: "host-docker-group-members",
        how: "by other lines of the same number or name, and as an administrator",
        breaks: |tree| {
            tree.edit("/etc/group", "docker:x:997:app", "docker:x:997:\ndock:x:+997:mallory\ndocker:x:997:app,bob");
            tree.edit("/etc/gshadow", "docker:!::app", "docker:!:eve:app\ndock:!::mallory");
        },
        findings: &[
            automatic("mallory", "in the group dock, which owns the API socket", TRUSTED),
            automatic("bob", "in the group docker, which owns the API socket", TRUSTED),
            automatic("eve", "an administrator of the group docker, which owns the API socket", TRUSTED),
        ],
        also: &[],
    },
    Break {
        control: "host-docker-group-members",
        how: "a line that harden can't rewrite",
        breaks: |tree| tree.edit("/etc/group", "docker:x:997:app", "docker:x:997:app\n dock:x:997:mallory"),
        findings: &[manual(
            "mallory",
            "in the group dock, which owns the API socket",
            TRUSTED,
            "take mallory out of dock in /etc/group by hand: harden can't rewrite that line",
        )],
        also: &[],
    },
    Break {
        control: "host-docker-group-members",
        how: "a group whose number can't be read",
        breaks: |tree| tree.edit("/etc/group", "root:x:0:", "root:x:0:\ndock:x:0x3e5:mallory"),
        findings: &[unknown(
            "docker",
            "/etc/group:2: `0x3e5` of dock is no number of a user or group; correct or remove the line",
        )],
        also: &[],
    },
    Break {
        control: "host-docker-group-members",
        how: "by the primary group",
        breaks: |tree| tree.edit("/etc/passwd", "app:x:1000:1000", "eve:x:1001:997::/home/eve:/bin/sh\napp:x:1000:1000"),
        findings: &[manual(
            "eve",
            "in the group docker, which owns the API socket",
            TRUSTED,
            "docker is the primary group of eve: give it another with `usermod -g GROUP eve`",
        )],
        also: &[],
    },
    Break {
        control: "host-docker-group-members",
        how: "the socket belongs to another group than docker",
        breaks: |tree| {
            tree.edit("/etc/group", "app:x:1000:", "app:x:1000:bob");
            tree.chown("/run/docker.sock", 0, APP);
        },
        findings: &[automatic("bob", "in the group app, which owns the API socket", TRUSTED)],
        also: &["socket-docker-owner /run/docker.sock"],
    },
    Break {
        control: "host-docker-group-members",
        how: "a second socket belongs to another group",
        breaks: |tree| {
            tree.edit(
                DOCKER_SOCKET,
                "ListenStream=/run/docker.sock\n",
                "ListenStream=/run/docker.sock\nListenStream=/run/a.sock\n",
            );
            tree.edit("/etc/group", "app:x:1000:", "app:x:1000:bob");
            tree.socket("/run/a.sock", APP);
        },
        findings: &[automatic("bob", "in the group app, which owns the API socket", TRUSTED)],
        also: &["socket-docker-owner /run/a.sock"],
    },
    Break {
        control: "daemon-remote-access-ssh",
        how: "dockerd listens on the network, also where systemd listens for it",
        breaks: |tree| {
            tree.edit(DOCKER_SOCKET, "ListenStream=/run/docker.sock\n", "ListenStream=/run/docker.sock\nListenStream=2375\n");
            tree.flag("-H tcp://0.0.0.0:2376 -H 10.0.0.1:2377 -H tcp://127.0.0.1:2378 -H tcp://:2379");
        },
        findings: &[manual(
            "hosts",
            "tcp://0.0.0.0:2376, tcp://10.0.0.1:2377, tcp://2375",
            "none, or only what allowed_tcp_listeners names",
            "let administrators come over SSH: `docker context create NAME --docker host=ssh://USER@HOST`; then \
             daemon-no-tcp-listener takes the address away",
        )],
        also: &[],
    },
    Break {
        control: "daemon-remote-access-ssh",
        how: "contexts without TLS, with TLS that verifies nobody, and one that can't be read",
        breaks: |tree| {
            let context = |host: &str| format!(r#"{{"Name":"prod","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
            tree.write(CONTEXT, &context("tcp://10.0.0.2:2375"));
            let home = |id: &str| format!("/home/app/.docker/contexts/meta/{id}/meta.json");
            tree.write(&home("1"), &context("tcp://10.0.0.3:2376"));
            tree.write("/home/app/.docker/contexts/tls/1/docker/cert.pem", "certificate\n");
            tree.write(&home("2"), &context("tcp://ops:hunter2@10.0.0.4:2376").replace("\"}}", "\",\"SkipTLSVerify\":true}}"));
            tree.write(&home("3"), "{");
            tree.write(&home("4"), r#"{"Name":"cluster","Endpoints":{"kubernetes":{"Host":"http://10.0.0.5"}}}"#);
        },
        findings: &[
            manual(CONTEXT, "prod: tcp://10.0.0.2:2375, unprotected", OVER_SSH, CONTEXT_ANEW),
            manual(
                "/home/app/.docker/contexts/meta/2/meta.json",
                "prod: tcp://***@10.0.0.4:2376, TLS that believes whoever answers",
                OVER_SSH,
                CONTEXT_ANEW,
            ),
            unknown(
                "/home/app/.docker/contexts/meta/3/meta.json",
                "it is not a docker context: EOF while parsing an object at line 1 column 1",
            ),
        ],
        also: &[],
    },
    Break {
        control: "daemon-registry-ca-present",
        how: "no authority, and a certificate without its key",
        breaks: |tree| {
            tree.remove(&format!("{CERTS}/ca.crt"));
            tree.remove(&format!("{CERTS}/client.key"));
            tree.write(&format!("{CERTS}/ca.pem"), include_str!("../data/engine/swarm-root.pem"));
            tree.chmod(&format!("{CERTS}/ca.pem"), 0o400);
        },
        findings: &[manual(
            "registry.example:5000",
            "no certificate of an authority (*.crt); client.cert has no client.key; no certificate of this host's own (*.cert with its *.key)",
            A_CERTIFICATE,
            PUT_IT,
        )],
        also: &[],
    },
    Break {
        control: "daemon-registry-ca-present",
        how: "no certificate, but a file of that name; the directory of another port is no help",
        breaks: |tree| {
            tree.write(&format!("{CERTS}/ca.crt"), "-----BEGIN CERTIFICATE-----\nhello\n-----END CERTIFICATE-----\n");
        },
        findings: &[manual("registry.example:5000", "ca.crt is no certificate in PEM", A_CERTIFICATE, PUT_IT)],
        also: &[],
    },
    Break {
        control: "host-session-timeout",
        how: "not set",
        breaks: |tree| tree.write("/etc/profile", "# nothing\n"),
        findings: &[manual(
            "TMOUT",
            "not set",
            "at least 1, at most 900",
            "put `readonly TMOUT=600; export TMOUT` into a file in /etc/profile.d",
        )],
        also: &[],
    },
    Break {
        control: "host-session-timeout",
        how: "set, for every user to change",
        breaks: |tree| tree.write("/etc/profile", "TMOUT=600\n"),
        findings: &[manual(
            "TMOUT",
            "600 s, and every user can change it",
            "at least 1, at most 900",
            "put `readonly TMOUT=600; export TMOUT` into a file in /etc/profile.d",
        )],
        also: &[],
    },
    Break {
        control: "host-session-timeout",
        how: "worked out by the shell",
        breaks: |tree| tree.write("/etc/profile.d/x.sh", "# x\nif [ \"$USER\" = ci ]; then TMOUT=0; fi\n"),
        findings: &[unknown(
            "TMOUT",
            "/etc/profile.d/x.sh:2: TMOUT is changed by more than a plain assignment that always runs; what it comes to can't be told",
        )],
        also: &[],
    },
    Break {
        control: "host-session-timeout",
        how: "computed by the shell",
        breaks: |tree| tree.write("/etc/profile.d/x.sh", "readonly TMOUT=${T:-600}\n"),
        findings: &[unknown(
            "TMOUT",
            "/etc/profile.d/x.sh:1: TMOUT=${T:-600} is no plain number; what it comes to can't be told",
        )],
        also: &[],
    },
    Break {
        control: "host-ssh-key-only",
        how: "passwords for one user, and by sshd's default for root's",
        breaks: |tree| {
            tree.write(SSHD, "Include sshd_config.d/*.conf\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAllowUsers ops@10.1.0.0/16\nMatch User bob\n  PasswordAuthentication yes\n");
            tree.write("/etc/ssh/sshd_config.d/10.conf", "PermitRootLogin yes\n");
        },
        findings: &[
            manual(
                "passwordauthentication",
                "yes (Match User bob)",
                "no",
                "set passwordauthentication in /etc/ssh/sshd_config:6, check it with `sshd -t`, and keep a session open while you reload \
                 sshd: who can't log in with a key is locked out",
            ),
            manual(
                "permitrootlogin",
                "yes",
                "one of no, prohibit-password, forced-commands-only",
                "set permitrootlogin in /etc/ssh/sshd_config.d/10.conf:1, check it with `sshd -t`, and keep a session open while you \
                 reload sshd: who can't log in with a key is locked out",
            ),
        ],
        also: &[],
    },
    Break {
        control: "host-unused-accounts",
        how: "a password, no password, and a second root",
        breaks: |tree| {
            tree.edit(
                "/etc/passwd",
                "app:x:1000",
                "bob:x:1001:1001::/:/bin/sh\nguest::1002:1002::/:/bin/sh\ntoor:x:0:0::/:/usr/sbin/nologin\napp:x:1000",
            );
            tree.edit("/etc/shadow", "app:!", "bob:$y$x:19000::::::\napp:!");
        },
        findings: &[
            manual(
                "bob",
                "able to log in with a password",
                "locked, or among allowed_login_users",
                "if nobody needs it: `usermod --lock --expiredate 1 bob`",
            ),
            manual(
                "guest",
                "able to log in with an empty password, so that anyone gets in",
                "with a password, or locked",
                "`passwd guest`, or if nobody needs it: `usermod --lock --expiredate 1 guest`",
            ),
            manual(
                "accounts with the number 0",
                "root, toor",
                "only root",
                "give the others a number of their own, or remove them; what belongs to them belongs to root",
            ),
        ],
        also: &[],
    },
    Break {
        control: "host-critical-file-perms",
        how: "everybody may write",
        breaks: |tree| tree.chmod("/etc/passwd", 0o666),
        findings: &[automatic(
            "/etc/passwd",
            "mode 0666, owner root, group root",
            "mode 0644 or stricter, owner root, group root",
        )],
        also: &[],
    },
    Break {
        control: "host-critical-secret-perms",
        how: "everybody may read, or another group; the tree has no group shadow",
        breaks: |tree| {
            tree.chmod("/etc/shadow", 0o644);
            tree.chown("/etc/gshadow", 0, APP);
        },
        findings: &[
            automatic("/etc/shadow", "mode 0644, owner root, group root", "mode 0640 or stricter, owner root, group root"),
            automatic("/etc/gshadow", "mode 0640, owner root, group 1000", "mode 0640 or stricter, owner root, group root"),
        ],
        also: &[],
    },
    Break {
        control: "audit-log-rotation",
        how: "small, few, kept for ever, silent",
        breaks: |tree| {
            tree.write(AUDITD, "log_file = /var/log/audit/audit.log\nmax_log_file = 6\nMax_Log_File_Action = ignore\n")
        },
        findings: &[
            manual(
                "max_log_file",
                "6",
                "at least 8",
                "set max_log_file in /etc/audit/auditd.conf:2, then have auditd read it: `auditctl --signal reload`, or `service auditd reload`",
            ),
            manual(
                "num_logs",
                "not set, which is 0",
                "at least 4",
                "set num_logs in /etc/audit/auditd.conf, then have auditd read it: `auditctl --signal reload`, or `service auditd reload`",
            ),
            manual(
                "max_log_file_action",
                "ignore",
                "one of rotate, keep_logs",
                "set max_log_file_action in /etc/audit/auditd.conf:3, then have auditd read it: `auditctl --signal reload`, or `service \
                 auditd reload`",
            ),
            manual(
                "space_left_action",
                "not set, which is ignore",
                "anything but ignore",
                "set space_left_action in /etc/audit/auditd.conf, then have auditd read it: `auditctl --signal reload`, or `service \
                 auditd reload`",
            ),
        ],
        also: &[],
    },
];

/// One thing that is wrong and that people mend.
const fn by_hand(
    control: &'static str,
    how: &'static str,
    change: fn(&mut Facts),
    findings: &'static [crate::table::Expected],
) -> Live {
    Live { control, how, change, findings, also: &[], changes: &[], activations: &[] }
}

pub const LIVE: &[Live] = &[
    Live {
        control: "host-sysctl-kernel-info",
        how: "right on disk, wrong in the running kernel",
        change: |facts| parameter(facts, "kernel.dmesg_restrict", "0"),
        findings: &[automatic("kernel.dmesg_restrict", "running 0, after the next boot 1", "at least 1")],
        also: &[],
        changes: &["sysctl kernel parameters: set 1 parameter of the running kernel", "    kernel.dmesg_restrict: 0 to 1"],
        activations: &[SET],
    },
    Live {
        control: "host-sysctl-kernel-info",
        how: "right in the running kernel, stricter than wanted, wrong on disk: it stays that strict",
        change: |facts| edit(facts, SYSCTL, "kptr_restrict = 2", "kptr_restrict = 0"),
        findings: &[automatic("kernel.kptr_restrict", "running 2, after the next boot 0", "at least 1")],
        also: &[],
        changes: &["create /etc/sysctl.d/zz-harden.conf: set 1 kernel parameter for the next boot"],
        activations: &[],
    },
    Live {
        control: "host-sysctl-icmp-redirects",
        how: "an interface sends redirects, whatever the value for all",
        change: |facts| {
            facts.machine.sysctl.insert("net/ipv4/conf/eth0/send_redirects".into(), Fact::Known("1".into()));
        },
        findings: &[automatic("net.ipv4.conf.all.send_redirects", "0; 1 on eth0", "0")],
        also: &[],
        changes: &[
            "sysctl kernel parameters: set 1 parameter of the running kernel",
            "    net.ipv4.conf.eth0.send_redirects: 1 to 0",
        ],
        activations: &[SET],
    },
    by_hand(
        "host-sysctl-ip-forward",
        "off, which cuts containers off; and it is never switched off",
        |facts| parameter(facts, "net.ipv4.ip_forward", "0"),
        &[manual(
            "net.ipv4.ip_forward",
            "0",
            "1",
            "containers on bridges have no network without it: `sysctl -w net.ipv4.ip_forward=1`, or restart dockerd, which switches it on",
        )],
    ),
    by_hand(
        "host-sysctl-ip-forward",
        "the host routes for whoever sends to it",
        |facts| chains(facts)[0].drops_by_default = Some(false),
        &[manual(
            "forwarded packets",
            "let pass, unless a rule drops them",
            "dropped, unless a rule lets them pass",
            "if this host is not a router: `iptables -P FORWARD DROP`, and the same in what sets the packet filter at boot; dockerd's own \
             rules let its containers pass",
        )],
    ),
    by_hand(
        "host-data-root-partition",
        "mounted upon itself, as dockerd does it: still the file system of /",
        |facts| {
            let Fact::Known(mounts) = &mut facts.machine.mounts else { panic!("mounts") };
            mounts[1].device = "8:1".into();
        },
        &[manual(
            "/var/lib/docker",
            "on the file system of /",
            "on a file system of its own",
            "stop dockerd, copy the data to a new file system (`cp -a`), mount that there and add it to /etc/fstab, start dockerd; setting \
             data-root alone gives no file system of its own",
        )],
    ),
    by_hand(
        "host-docker-version-current",
        "a release without the fixes of its line, and parts whose lines are given none",
        |facts| {
            facts.daemon.version = Fact::Known("28.3.2".into());
            component(facts, "containerd", "1.6.39");
            component(facts, "runc", "1.1.15");
        },
        &[
            manual(
                "docker",
                "28.3.2",
                "at least 28.3.3 (CVE-2025-54388 (GHSA-x4rx-4gw3-53p4), 2025-07-30)",
                "upgrade the engine with the package manager",
            ),
            manual(
                "containerd",
                "1.6.39",
                "at least 1.7.29 (its line of releases is given no more fixes)",
                "upgrade containerd with the package manager (containerd.io, or your distribution's containerd)",
            ),
            manual(
                "runc",
                "1.1.15",
                "at least 1.2.8 (its line of releases is given no more fixes)",
                "upgrade runc with the package manager (it comes with containerd.io, or with your distribution's runc)",
            ),
        ],
    ),
    by_hand(
        "host-docker-version-current",
        "no part can be asked",
        |facts| facts.machine.components = Fact::Unknown("/run/docker.sock: denied".into()),
        &[unknown("containerd", "/run/docker.sock: denied"), unknown("runc", "/run/docker.sock: denied")],
    ),
    by_hand(
        "host-kernel-current",
        "an older one runs; another flavour does not count",
        |facts| facts.machine.kernel = Fact::Known("6.1.0-9-amd64".into()),
        &[manual(
            "kernel",
            "6.1.0-9-amd64",
            "6.1.0-18-amd64, the newest that is installed",
            "boot the newer kernel when the host may go down",
        )],
    ),
    by_hand(
        "host-mac-enabled",
        "on, and not used",
        |facts| {
            facts.host.selinux_enforcing = Fact::Absent;
            facts.machine.apparmor = Fact::Known(true);
            if let Fact::Known(api) = &mut facts.daemon.api
                && let Some(options) = &mut api.security_options
            {
                options.retain(|option| option != "name=apparmor");
            }
        },
        &[manual(
            "mandatory access control",
            "enforced by AppArmor, not used by dockerd",
            "enforced by AppArmor or SELinux, and used by dockerd",
            "install the program that loads profiles (the package apparmor), then restart dockerd",
        )],
    ),
    by_hand(
        "host-minimal-services",
        "a service, and one whose owner can't be seen",
        |facts| {
            listen(facts, listener("udp", "0.0.0.0", 111, Some(owner(300, "rpcbind", false))));
            listen(facts, Listener { owner: Fact::Unknown("/proc/1/fd: denied".into()), ..listener("tcp", "::", 2049, None) });
        },
        &[
            manual(
                "111/udp",
                "listened on by rpcbind (process 300)",
                "closed, or among allowed_host_listeners",
                "stop and disable what listens there, have it listen on 127.0.0.1, or add 111/udp to allowed_host_listeners",
            ),
            unknown("2049/tcp", "who listens there can't be told: /proc/1/fd: denied"),
        ],
    ),
    by_hand(
        "host-firewall-docker-user",
        "rules that let everything pass",
        |facts| chains(facts)[1].filtering = 0,
        &[manual(
            "DOCKER-USER",
            "there, and lets everything pass",
            "there, with a rule that drops, rejects or hands on",
            "add your policy to DOCKER-USER and to what sets the packet filter at boot, for example `iptables -I DOCKER-USER -i eth0 ! -s \
             10.0.0.0/8 -j DROP`; or, if something else filters, set the variable egress_policy to external",
        )],
    ),
    by_hand(
        "host-ssh-source-restricted",
        "from anywhere",
        |facts| edit(facts, SSHD, "AllowUsers ops@10.1.0.0/16\n", ""),
        &[manual(
            "AllowUsers",
            "from anywhere: neither AllowUsers nor the packet filter limits it",
            "only 10.1.0.0/16",
            "give every entry of AllowUsers in /etc/ssh/sshd_config its address (`AllowUsers ops@10.1.0.0/16`, written as in \
             admin_networks), and keep a session open while you reload sshd",
        )],
    ),
    by_hand(
        "host-ssh-source-restricted",
        "from anywhere, unless the packet filter limits it",
        |facts| {
            edit(facts, SSHD, "AllowUsers ops@10.1.0.0/16\n", "");
            chains(facts).push(chain("INPUT", Some("input"), Some(true), 3, 0));
        },
        &[unknown(
            "AllowUsers",
            "sshd lets anyone connect; the packet filter has rules for incoming packets (ip filter INPUT) that harden does not interpret",
        )],
    ),
    by_hand(
        "host-runtime-isolation",
        "another runtime",
        |facts| api(facts).default_runtime = Some("runc".into()),
        &[manual(
            "default-runtime",
            "runc",
            "runsc",
            "register the runtime under `runtimes` in daemon.json, set `default-runtime` to it, and create containers anew",
        )],
    ),
    by_hand(
        "audit-log-partition",
        "beside everything else",
        |facts| edit(facts, AUDITD, "/var/log/audit/", "/var/log/"),
        &[manual(
            "/var/log",
            "on the file system of /",
            "on a file system of its own",
            "make a file system, copy the log there, mount it at the directory of the log, and add it to /etc/fstab",
        )],
    ),
];

const fn gone(control: &'static str, remove: fn(&Tree), target: &'static str, reason: &'static str) -> Absent {
    Absent { control, remove, target, reason }
}

pub const ABSENT: &[Absent] = &[
    gone("host-sysctl-bridge-nf", Tree::remove_docker, "net.bridge.bridge-nf-call-iptables", NO_DOCKER),
    gone("host-docker-group-members", Tree::remove_docker, "members of the API socket's group", NO_DOCKER),
    gone("daemon-remote-access-ssh", Tree::remove_docker, "where the API listens", NO_DOCKER),
    gone("daemon-registry-ca-present", Tree::remove_docker, "the directory of each private registry", NO_DOCKER),
    gone("host-data-root-partition", |_| {}, "/var/lib/docker", "an image tree has no mounts"),
    gone("host-kernel-current", |_| {}, "kernel", "an image tree has no running kernel"),
    gone("host-mac-enabled", |_| {}, "mandatory access control", "an image tree has no kernel"),
    gone("host-minimal-services", |_| {}, "listening sockets", "nothing listens in an image tree"),
    gone("host-firewall-docker-user", |_| {}, "DOCKER-USER", "an image tree has no kernel"),
    gone(
        "host-ssh-source-restricted",
        |tree| tree.remove("/etc/ssh"),
        "AllowUsers",
        "sshd is not installed: no /etc/ssh/sshd_config",
    ),
    gone(
        "host-session-timeout",
        |tree| tree.remove("/etc/profile"),
        "TMOUT",
        "no shell is set up here: no /etc/profile, no /etc/bash.bashrc",
    ),
    gone("host-critical-file-perms", Tree::remove_docker, "/etc/passwd, /etc/group", NO_DOCKER),
    gone("host-critical-secret-perms", Tree::remove_docker, "/etc/shadow, /etc/gshadow", NO_DOCKER),
    gone("host-runtime-isolation", |_| {}, "default-runtime", "an image tree runs no daemon"),
    gone(
        "audit-log-partition",
        |tree| tree.remove(AUDITD),
        "/var/log/audit",
        "auditd is not installed: no /etc/audit/auditd.conf",
    ),
    gone("host-hardened", Tree::remove_docker, "attestation", NO_DOCKER),
    gone("host-network-monitoring", Tree::remove_docker, "attestation", NO_DOCKER),
    gone("container-resource-monitoring", Tree::remove_docker, "attestation", NO_DOCKER),
    gone("swarm-unlock-key-rotation", |_| {}, "attestation", "this node is no manager of a swarm"),
];

type LiveAbsent = (&'static str, fn(&mut Facts), &'static [(&'static str, &'static str)]);

/// Takes a parameter away from the running kernel, as one that has not loaded the module.
fn without(facts: &mut Facts, names: &[&str]) {
    for name in names {
        facts.machine.sysctl.insert(path_of(name), Fact::Absent);
    }
}

/// What does not apply on a running host, by target and reason.
pub const LIVE_ABSENT: &[LiveAbsent] = &[
    (
        "host-sysctl-bridge-nf",
        |facts| without(facts, &["net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables"]),
        &[
            (
                "net.bridge.bridge-nf-call-iptables",
                "this kernel has no net.bridge.bridge-nf-call-iptables: br_netfilter is not loaded",
            ),
            (
                "net.bridge.bridge-nf-call-ip6tables",
                "this kernel has no net.bridge.bridge-nf-call-ip6tables: br_netfilter is not loaded",
            ),
        ],
    ),
    (
        "host-sysctl-icmp-redirects",
        |facts| without(facts, &["net.ipv6.conf.all.accept_redirects"]),
        &[("net.ipv6.conf.all.accept_redirects", "this kernel has no net.ipv6.conf.all.accept_redirects: IPv6 is off")],
    ),
    (
        "host-sysctl-aslr",
        |facts| without(facts, &["kernel.randomize_va_space"]),
        &[("kernel.randomize_va_space", "this kernel has no kernel.randomize_va_space")],
    ),
    (
        "host-sysctl-kernel-info",
        |facts| without(facts, &["kernel.perf_event_paranoid"]),
        &[("kernel.perf_event_paranoid", "this kernel has no kernel.perf_event_paranoid")],
    ),
    (
        "host-sysctl-ptrace-bpf",
        |facts| without(facts, &["kernel.yama.ptrace_scope"]),
        &[(
            "kernel.yama.ptrace_scope",
            "this kernel has no kernel.yama.ptrace_scope: Yama is not built in, or not among the security modules of the command line",
        )],
    ),
    (
        "host-sysctl-fs-protected",
        |facts| without(facts, &["fs.protected_fifos"]),
        &[("fs.protected_fifos", "this kernel has no fs.protected_fifos")],
    ),
    (
        "host-sysctl-ip-forward",
        |facts| {
            parameter(facts, "net.ipv4.ip_forward", "0");
            facts.daemon.process = Fact::Absent;
        },
        &[
            ("net.ipv4.ip_forward", "dockerd does not run; it switches it on as it starts"),
            ("forwarded packets", "the kernel forwards nothing"),
        ],
    ),
    ("host-docker-version-current", |facts| facts.daemon.installed = Fact::Absent, &[("the release", NO_DOCKER)]),
    (
        "host-kernel-current",
        |facts| facts.machine.kernel = Fact::Known("6.18.0-fc".into()),
        &[("kernel", "no kernel of this kind is installed here; 6.18.0-fc came from elsewhere")],
    ),
    (
        "host-firewall-docker-user",
        |facts| api(facts).firewall_backend = Some("nftables".into()),
        &[(
            "DOCKER-USER",
            "dockerd writes its own nftables, which have no such chain: filter in a table of your own, and set egress_policy to external",
        )],
    ),
    (
        "host-ssh-key-only",
        |facts| {
            facts.files.insert(SSHD.into(), Fact::Absent);
        },
        &[
            ("passwordauthentication", "sshd is not installed: no /etc/ssh/sshd_config"),
            ("kbdinteractiveauthentication", "sshd is not installed: no /etc/ssh/sshd_config"),
            ("permitrootlogin", "sshd is not installed: no /etc/ssh/sshd_config"),
        ],
    ),
    (
        "host-unused-accounts",
        |facts| facts.machine.logins = Fact::Absent,
        &[("logins with a password", "there is no /etc/passwd"), ("accounts with the number 0", "there is no /etc/passwd")],
    ),
    (
        "audit-log-rotation",
        |facts| {
            facts.files.insert(AUDITD.into(), Fact::Absent);
        },
        &[
            ("max_log_file", "auditd is not installed: no /etc/audit/auditd.conf"),
            ("num_logs", "auditd is not installed: no /etc/audit/auditd.conf"),
            ("max_log_file_action", "auditd is not installed: no /etc/audit/auditd.conf"),
            ("space_left_action", "auditd is not installed: no /etc/audit/auditd.conf"),
        ],
    ),
];

#[test]
fn breaks() {
    check_breaks(BREAKS);
}

#[test]
fn absent() {
    check_absent(ABSENT);
}

#[test]
fn broken_on_a_running_host() {
    live::check_table(LIVE);
}

#[test]
fn absent_on_a_running_host() {
    for (control, change, expected) in LIVE_ABSENT {
        let mut facts = live::green();
        change(&mut facts);
        let assessment = judge_alone(&facts, control);
        let found: Vec<(&str, String)> = of(&assessment, control)
            .filter(|finding| finding.status == Status::NotApplicable)
            .map(|finding| (finding.target.as_str(), finding.fix.reason.clone().unwrap_or_default()))
            .collect();
        let expected: Vec<(&str, String)> = expected.iter().map(|(target, reason)| (*target, reason.to_string())).collect();
        assert_eq!(found, expected, "{control}");
    }
}

/// What people attest, with no attestation, and what they are then told; `DATE` is today's.
pub const ATTESTED: [(&str, &str); 4] = [
    ("host-hardened", "host_hardened"),
    ("host-network-monitoring", "network_monitoring"),
    ("container-resource-monitoring", "resource_monitoring"),
    ("swarm-unlock-key-rotation", "unlock_key_rotated"),
];

/// A baseline with one control and these variables, judged on a manager of a swarm.
fn attested(control: &str, vars: &[&str]) -> (Status, String, String) {
    let file = std::env::temp_dir().join(format!("harden-attest-{}-{control}.toml", std::process::id()));
    let text = format!("schema = 1\nname = \"a\"\ntitle = \"A\"\n[controls]\nenable = [\"{control}\"]\n");
    std::fs::write(&file, text).expect("a baseline");
    let sets: Vec<String> = vars.iter().map(|text| (*text).to_owned()).collect();
    let baseline = harden::baseline::load(&file.to_string_lossy(), &sets).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_file(&file).expect("the baseline");
    let mut facts = live::green();
    api(&mut facts).swarm_state = Some("active".into());
    api(&mut facts).swarm_manager = Some(true);
    let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Disruptive, wanted: &|_, _| true };
    let assessment = harden::assess::assess(&baseline, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
    let finding = &assessment.findings[0];
    (finding.status, finding.observed.clone(), finding.fix.reason.clone().unwrap_or_default())
}

#[test]
fn attestations() {
    for (control, name) in ATTESTED {
        let days = "swarm_key_max_age=100000";
        let (status, observed, reason) = attested(control, &[days]);
        assert_eq!((status, observed.as_str()), (Status::Drift, "not attested"), "{control}");
        let how = format!("look, then attest it in the baseline: [vars.attest] {name} = {{ by = \"NAME\", date = \"");
        assert!(reason.starts_with(&how), "{control}: {reason}");
        let good = format!("attest.{name}={{ by = \"ops\", date = \"2024-01-01\", expires = \"2999-01-01\" }}");
        assert_eq!(
            attested(control, &[days, &good]),
            (
                Status::Compliant,
                "attested by ops on 2024-01-01".into(),
                "attested by ops on 2024-01-01, until 2999-01-01".into()
            ),
            "{control}"
        );
        let old = format!("attest.{name}={{ by = \"ops\", date = \"2024-01-01\", expires = \"2024-06-01\" }}");
        let (status, observed, reason) = attested(control, &[days, &old]);
        assert_eq!(
            (status, observed.as_str()),
            (Status::Drift, "attested by ops on 2024-01-01, until 2024-06-01"),
            "{control}"
        );
        assert!(reason.starts_with("look, then attest it again, in the baseline: "), "{control}: {reason}");
    }
    let (status, observed, reason) = attested("swarm-unlock-key-rotation", &[]);
    assert_eq!(status, Status::Drift);
    assert_eq!(observed, "not judged: for how long it counts is not said");
    assert_eq!(reason, "set the variable swarm_key_max_age in the baseline or with --set swarm_key_max_age=…");
    let rotated = "attest.unlock_key_rotated={ by = \"ops\", date = \"2024-01-01\" }";
    let (status, observed, _) = attested("swarm-unlock-key-rotation", &["swarm_key_max_age=90", rotated]);
    assert_eq!(status, Status::Drift);
    assert!(observed.ends_with("; it counts for 90"), "{observed}");
}

/// Without an attestation the host counts as hardened where every control of the host holds, and the baseline has them all.
#[test]
fn the_host_is_hardened_where_everything_holds() {
    let mut baseline = EVERYTHING.clone();
    let mut want = None;
    for control in &mut baseline.controls {
        if let (true, Want::Attest(attest)) = (control.id == "host-hardened", &mut control.want) {
            attest.given = serde_json::from_value("${attest.host_hardened}".into()).expect("a reference");
            want = Some(());
        }
    }
    want.expect("host-hardened");
    let judge = |baseline: &harden::baseline::Baseline, facts: &Facts| {
        let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Disruptive, wanted: &|_, _| true };
        let assessment = harden::assess::assess(baseline, facts, &limits).unwrap_or_else(|error| panic!("{error}"));
        let finding = of(&assessment, "host-hardened").next().expect("a finding");
        (finding.status, finding.fix.reason.clone().unwrap_or_default())
    };
    let facts = live::green();
    assert_eq!(judge(&baseline, &facts), (Status::Compliant, "not attested, but all 22 other host controls hold".into()));
    let mut broken = facts.clone();
    parameter(&mut broken, "kernel.dmesg_restrict", "0");
    assert_eq!(judge(&baseline, &broken).0, Status::Drift);
    baseline.controls.retain(|control| control.id != "host-unused-accounts");
    assert_eq!(judge(&baseline, &facts).0, Status::Drift);
}

/// What a policy has to give and does not is reported, and nothing is guessed, nor done.
#[test]
fn values_that_a_policy_has_to_give() {
    let file = std::env::temp_dir().join(format!("harden-policy-{}.toml", std::process::id()));
    let ids = ["host-docker-group-members", "host-minimal-services", "host-ssh-source-restricted", "host-unused-accounts"];
    std::fs::write(&file, format!("schema = 1\nname = \"p\"\ntitle = \"P\"\n[controls]\nenable = {ids:?}\n"))
        .expect("a baseline");
    let baseline = harden::baseline::load(&file.to_string_lossy(), &[]).unwrap_or_else(|error| panic!("{error}"));
    std::fs::remove_file(&file).expect("the baseline");
    let mut facts = live::green();
    facts.machine.logins =
        Fact::Known(vec![login("root", 0, "/bin/sh", Password::Set), login("bob", 1000, "/bin/sh", Password::Set)]);
    let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Disruptive, wanted: &|_, _| true };
    let assessment = harden::assess::assess(&baseline, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
    let open: BTreeMap<&str, String> = assessment
        .findings
        .iter()
        .filter(|finding| finding.status == Status::Drift)
        .map(|finding| (finding.target.as_str(), finding.fix.reason.clone().unwrap_or_default()))
        .collect();
    let set = |name: &str| format!("set the variable {name} in the baseline or with --set {name}=…");
    let expected = [
        ("app", set("trusted_docker_users")),
        ("22/tcp", set("allowed_host_listeners")),
        ("AllowUsers", set("admin_networks")),
        ("bob", set("allowed_login_users")),
    ];
    assert_eq!(open, BTreeMap::from(expected));
    assert!(assessment.plan.is_empty(), "{:?}", assessment.plan);
    // Who has nobody in the group, and no login, needs no policy.
    facts.machine.logins = Fact::Known(vec![login("svc", 7, "/usr/sbin/nologin", Password::Set)]);
    edit(&mut facts, "/etc/group", "docker:x:997:app", "docker:x:997:root");
    edit(&mut facts, "/etc/gshadow", "docker:!::app", "docker:!::");
    let assessment = harden::assess::assess(&baseline, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
    for (control, target) in [("host-docker-group-members", "docker"), ("host-unused-accounts", "logins with a password")] {
        let found: Vec<_> = of(&assessment, control).map(|finding| (finding.target.as_str(), finding.status)).collect();
        assert!(found.contains(&(target, Status::Compliant)), "{control}: {found:?}");
    }
}

/// Being allowed to log in is not being allowed in without a password, be it root.
#[test]
fn an_empty_password_is_on_no_list() {
    let allowed = [r#"allowed_login_users=["bob", "root"]"#.to_owned()];
    let baseline = harden::baseline::load("guide", &allowed).unwrap_or_else(|error| panic!("{error}"));
    let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Safe, wanted: &|_, _| true };
    for (name, password, expected) in [
        ("bob", Password::Set, Status::Compliant),
        ("bob", Password::Empty, Status::Drift),
        ("root", Password::Empty, Status::Drift),
    ] {
        let mut facts = live::green();
        facts.machine.logins = Fact::Known(vec![login(name, 1000, "/bin/sh", password)]);
        let assessment = harden::assess::assess(&baseline, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
        let finding = of(&assessment, "host-unused-accounts").find(|finding| finding.target == name).expect(name);
        assert_eq!(finding.status, expected, "{name} {password:?}");
    }
}

/// Without a policy there is no registry to speak of, and nobody has to have a context.
#[test]
fn registries_and_contexts_that_nobody_has() {
    let guide = harden::baseline::load("guide", &[]).unwrap_or_else(|error| panic!("{error}"));
    let mut facts = live::green();
    for paths in facts.globs.values_mut() {
        *paths = Fact::Known(Vec::new());
    }
    let limits = harden::assess::Limits { max_risk: harden::baseline::control::Risk::Disruptive, wanted: &|_, _| true };
    let assessment = harden::assess::assess(&guide, &facts, &limits).unwrap_or_else(|error| panic!("{error}"));
    for (control, target, status, reason) in [
        ("daemon-registry-ca-present", "registries", Status::NotApplicable, "private_registries names none"),
        ("daemon-remote-access-ssh", "hosts", Status::Compliant, ""),
        ("daemon-remote-access-ssh", "contexts", Status::NotApplicable, "nobody has a docker context in /root or in /home"),
    ] {
        let found = of(&assessment, control).find(|one| one.target == target).unwrap_or_else(|| panic!("{control} {target}"));
        assert_eq!((found.status, found.fix.reason.as_deref().unwrap_or_default()), (status, reason), "{control}");
    }
}

/// docker-bench-security 1.1.2 looks for names as parts of a line, and 1.2.2 passes whatever it finds.
#[test]
fn docker_bench_bob_is_not_bobby_and_versions_are_compared() {
    let tree = Tree::green();
    tree.edit("/etc/group", "docker:x:997:app", "docker:x:997:app,apps");
    let facts = crate::table::observe(&tree);
    let assessment = judge_alone(&facts, "host-docker-group-members");
    let found: Vec<_> = of(&assessment, "host-docker-group-members").map(|one| (one.target.as_str(), one.status)).collect();
    assert_eq!(found, [("app", Status::Compliant), ("apps", Status::Drift)]);
    for (version, status) in [
        ("28.3.10", Status::Compliant),
        ("28.10.0", Status::Compliant),
        ("9.9.9", Status::Drift),
        ("20.10.24+dfsg1", Status::Drift),
    ] {
        let mut facts = live::green();
        facts.daemon.version = Fact::Known(version.into());
        let assessment = judge_alone(&facts, "host-docker-version-current");
        let finding = of(&assessment, "host-docker-version-current").next().expect("a finding");
        assert_eq!(finding.status, status, "{version}");
    }
}

#[test]
fn without_a_daemon_nothing_is_said_of_its_version() {
    let mut facts = live::green();
    facts.daemon.version = Fact::Unknown("no daemon runs that could be asked".into());
    facts.machine.components = Fact::Absent;
    facts.daemon.api = Fact::Absent;
    facts.daemon.process = Fact::Absent;
    let assessment = judge_alone(&facts, "host-docker-version-current");
    assert!(of(&assessment, "host-docker-version-current").all(|finding| finding.status == Status::Unknown));
}
