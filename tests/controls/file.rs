//! The controls of owner and mode of files.

use crate::table::{Absent, Break, automatic, check_absent, check_breaks, manual};
use crate::tree::{APP, CONFIG, DOCKER_GID};

const SERVICE: &str = "/usr/lib/systemd/system/docker.service";
const SOCKET_UNIT: &str = "/usr/lib/systemd/system/docker.socket";
const CRT: &str = "/etc/docker/certs.d/registry.example:5000/ca.crt";
const CERT: &str = "/etc/docker/certs.d/registry.example:5000/client.cert";
const KEY: &str = "/etc/docker/certs.d/registry.example:5000/client.key";
const TLS_CA: &str = "/etc/docker/tls/ca.pem";
const TLS_CERT: &str = "/etc/docker/tls/server-cert.pem";
const TLS_KEY: &str = "/etc/docker/tls/server-key.pem";
const DEFAULT: &str = "/etc/default/docker";
const SYSCONFIG: &str = "/etc/sysconfig/docker";
const DROP_IN: &str = "/etc/systemd/system/docker.service.d/proxy.conf";

const ROOT: &str = "owner root, group root";
/// As a file is that somebody else may write: its group too.
const APPS: &str = "owner 1000, group 1000";

pub const BREAKS: &[Break] = &[
    Break {
        control: "file-docker-service-owner",
        how: "owned by another user and group",
        breaks: |tree| tree.chown(SERVICE, APP, APP),
        findings: &[automatic(SERVICE, APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-docker-service-owner",
        how: "only the group is another",
        breaks: |tree| tree.chown(SERVICE, 0, DOCKER_GID),
        findings: &[automatic(SERVICE, "owner root, group 997", ROOT)],
        also: &[],
    },
    Break {
        control: "file-docker-service-mode",
        how: "writable for everybody",
        breaks: |tree| tree.chmod(SERVICE, 0o666),
        findings: &[automatic(SERVICE, "mode 0666", "mode 0644 or stricter")],
        also: &[],
    },
    Break {
        control: "file-docker-service-mode",
        how: "a number below 644 that lets others write",
        breaks: |tree| tree.chmod(SERVICE, 0o422),
        findings: &[automatic(SERVICE, "mode 0422", "mode 0644 or stricter (here 0400)")],
        also: &[],
    },
    Break {
        control: "file-docker-service-mode",
        how: "an ACL lets one user write",
        breaks: |tree| tree.grant(SERVICE, APP, 0o6),
        findings: &[automatic(SERVICE, "mode 0664", "mode 0644 or stricter")],
        also: &[],
    },
    Break {
        control: "file-docker-socket-unit-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown(SOCKET_UNIT, APP, 0),
        findings: &[automatic(SOCKET_UNIT, "owner 1000, group root", ROOT)],
        also: &[],
    },
    Break {
        control: "file-docker-socket-unit-mode",
        how: "writable for its group",
        breaks: |tree| tree.chmod(SOCKET_UNIT, 0o664),
        findings: &[automatic(SOCKET_UNIT, "mode 0664", "mode 0644 or stricter")],
        also: &[],
    },
    Break {
        control: "file-etc-docker-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown("/etc/docker", APP, APP),
        findings: &[automatic("/etc/docker", APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-etc-docker-mode",
        how: "readable for everybody, where the baseline wants 0750",
        breaks: |tree| tree.chmod("/etc/docker", 0o755),
        findings: &[automatic("/etc/docker", "mode 0755", "mode 0750 or stricter")],
        also: &[],
    },
    Break {
        control: "file-etc-docker-mode",
        how: "new files take the directory's group",
        breaks: |tree| tree.chmod("/etc/docker", 0o2750),
        findings: &[automatic("/etc/docker", "mode 2750", "mode 0750 or stricter")],
        also: &[],
    },
    Break {
        control: "file-registry-certs-owner",
        how: "both sorts of certificates",
        breaks: |tree| {
            tree.chown(CRT, APP, APP);
            tree.chown(CERT, 0, APP);
        },
        findings: &[automatic(CRT, APPS, ROOT), automatic(CERT, "owner root, group 1000", ROOT)],
        also: &[],
    },
    Break {
        control: "file-registry-certs-mode",
        how: "both sorts of certificates, one of them deep below",
        breaks: |tree| {
            tree.chmod(CRT, 0o644);
            tree.write("/etc/docker/certs.d/other.example/old/client.cert", "certificate\n");
            tree.chmod("/etc/docker/certs.d/other.example/old/client.cert", 0o460);
        },
        findings: &[
            automatic(CRT, "mode 0644", "mode 0600 or stricter"),
            automatic("/etc/docker/certs.d/other.example/old/client.cert", "mode 0460", "mode 0600 or stricter (here 0400)"),
        ],
        also: &[],
    },
    Break {
        control: "file-registry-certs-mode",
        how: "a link to a certificate that others use too",
        breaks: |tree| {
            tree.write("/etc/ssl/ca.pem", "ca\n");
            tree.remove(CRT);
            std::os::unix::fs::symlink("/etc/ssl/ca.pem", tree.at(CRT)).expect("a link");
        },
        findings: &[manual(
            CRT,
            "mode 0644",
            "mode 0600 or stricter",
            "it is a symbolic link: change /etc/ssl/ca.pem where it belongs",
        )],
        also: &["daemon-registry-ca-present registry.example:5000"],
    },
    Break {
        control: "file-registry-keys-mode",
        how: "everybody may read the key",
        breaks: |tree| tree.chmod(KEY, 0o444),
        findings: &[automatic(KEY, "mode 0444, owner root, group root", "mode 0400 or stricter, owner root, group root")],
        also: &[],
    },
    Break {
        control: "file-registry-keys-mode",
        how: "the key is another user's",
        breaks: |tree| tree.chown(KEY, APP, APP),
        findings: &[automatic(KEY, "mode 0400, owner 1000, group 1000", "mode 0400 or stricter, owner root, group root")],
        also: &[],
    },
    Break {
        control: "file-tls-ca-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown(TLS_CA, APP, APP),
        findings: &[automatic(TLS_CA, APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-tls-ca-mode",
        how: "writable for its owner",
        breaks: |tree| tree.chmod(TLS_CA, 0o644),
        findings: &[automatic(TLS_CA, "mode 0644", "mode 0444 or stricter")],
        also: &[],
    },
    Break {
        control: "file-tls-cert-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown(TLS_CERT, APP, APP),
        findings: &[automatic(TLS_CERT, APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-tls-cert-mode",
        how: "writable for its owner",
        breaks: |tree| tree.chmod(TLS_CERT, 0o644),
        findings: &[automatic(TLS_CERT, "mode 0644", "mode 0444 or stricter")],
        also: &[],
    },
    Break {
        control: "file-tls-key-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown(TLS_KEY, APP, APP),
        findings: &[automatic(TLS_KEY, APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-tls-key-mode",
        how: "readable for its group",
        breaks: |tree| tree.chmod(TLS_KEY, 0o640),
        findings: &[automatic(TLS_KEY, "mode 0640", "mode 0400 or stricter")],
        also: &[],
    },
    Break {
        control: "file-tls-key-mode",
        how: "an ACL lets one user read it, and the mode hides that",
        breaks: |tree| {
            tree.grant(TLS_KEY, APP, 0o4);
            tree.chmod(TLS_KEY, 0o440);
        },
        findings: &[automatic(TLS_KEY, "mode 0440", "mode 0400 or stricter")],
        also: &[],
    },
    Break {
        control: "file-daemon-json-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown(CONFIG, APP, APP),
        findings: &[automatic(CONFIG, APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-daemon-json-mode",
        how: "writable for everybody",
        breaks: |tree| tree.chmod(CONFIG, 0o646),
        findings: &[automatic(CONFIG, "mode 0646", "mode 0644 or stricter")],
        also: &[],
    },
    Break {
        control: "file-etc-default-docker-owner",
        how: "owned by another user; the unit reads it, too",
        breaks: |tree| tree.chown(DEFAULT, APP, APP),
        findings: &[automatic(DEFAULT, APPS, ROOT)],
        also: &["file-docker-unit-dropins /etc/default/docker"],
    },
    Break {
        control: "file-etc-default-docker-mode",
        how: "writable for its group; the unit reads it, too",
        breaks: |tree| tree.chmod(DEFAULT, 0o664),
        findings: &[automatic(DEFAULT, "mode 0664", "mode 0644 or stricter")],
        also: &["file-docker-unit-dropins /etc/default/docker"],
    },
    Break {
        control: "file-etc-sysconfig-docker-mode",
        how: "writable for its group",
        breaks: |tree| tree.chmod(SYSCONFIG, 0o664),
        findings: &[automatic(SYSCONFIG, "mode 0664", "mode 0644 or stricter")],
        also: &[],
    },
    Break {
        control: "file-etc-sysconfig-docker-owner",
        how: "owned by another user",
        breaks: |tree| tree.chown(SYSCONFIG, APP, APP),
        findings: &[automatic(SYSCONFIG, APPS, ROOT)],
        also: &[],
    },
    Break {
        control: "file-docker-unit-dropins",
        how: "a drop-in that everybody may write",
        breaks: |tree| tree.chmod(DROP_IN, 0o666),
        findings: &[automatic(
            DROP_IN,
            "mode 0666, owner root, group root",
            "mode 0755 or stricter (here 0644), owner root, group root",
        )],
        also: &[],
    },
    Break {
        control: "file-docker-unit-dropins",
        how: "directories above that another user may write",
        breaks: |tree| {
            tree.chmod("/etc/systemd/system", 0o777);
            tree.chown("/etc/systemd/system/docker.service.d", APP, 0);
        },
        findings: &[
            automatic("/etc/systemd/system", "mode 0777, owner root", "mode 0755 (writable for its owner only), owner root"),
            automatic(
                "/etc/systemd/system/docker.service.d",
                "mode 0755, owner 1000",
                "mode 0755 (writable for its owner only), owner root",
            ),
        ],
        also: &[],
    },
];

const fn gone(control: &'static str, remove: fn(&crate::tree::Tree), target: &'static str, reason: &'static str) -> Absent {
    Absent { control, remove, target, reason }
}

pub const ABSENT: &[Absent] = &[
    gone("file-docker-service-owner", |tree| tree.remove(SERVICE), "@unit:docker.service", "there is no unit docker.service"),
    gone("file-docker-service-mode", |tree| tree.remove(SERVICE), "@unit:docker.service", "there is no unit docker.service"),
    gone(
        "file-docker-socket-unit-owner",
        |tree| tree.remove(SOCKET_UNIT),
        "@unit:docker.socket",
        "there is no unit docker.socket",
    ),
    gone(
        "file-docker-socket-unit-mode",
        |tree| tree.remove(SOCKET_UNIT),
        "@unit:docker.socket",
        "there is no unit docker.socket",
    ),
    gone("file-etc-docker-owner", |tree| tree.remove("/etc/docker"), "/etc/docker", "/etc/docker does not exist"),
    gone("file-etc-docker-mode", |tree| tree.remove("/etc/docker"), "/etc/docker", "/etc/docker does not exist"),
    gone("file-registry-certs-owner", |tree| tree.remove("/etc/docker/certs.d"), CERTS, NO_CERTS),
    gone("file-registry-certs-mode", |tree| tree.remove("/etc/docker/certs.d"), CERTS, NO_CERTS),
    gone(
        "file-registry-keys-mode",
        |tree| tree.remove(KEY),
        "/etc/docker/certs.d/**/*.key",
        "nothing matches /etc/docker/certs.d/**/*.key",
    ),
    gone("file-tls-ca-owner", |tree| tree.drop_line(CONFIG, "tlscacert"), "@daemon:tlscacert", "tlscacert is not configured"),
    gone("file-tls-ca-mode", |tree| tree.drop_line(CONFIG, "tlscacert"), "@daemon:tlscacert", "tlscacert is not configured"),
    gone("file-tls-cert-owner", |tree| tree.drop_line(CONFIG, "tlscert"), "@daemon:tlscert", "tlscert is not configured"),
    gone("file-tls-cert-mode", |tree| tree.drop_line(CONFIG, "tlscert"), "@daemon:tlscert", "tlscert is not configured"),
    gone("file-tls-key-owner", |tree| tree.remove(TLS_KEY), "@daemon:tlskey", "/etc/docker/tls/server-key.pem does not exist"),
    gone("file-tls-key-mode", |tree| tree.remove(TLS_KEY), "@daemon:tlskey", "/etc/docker/tls/server-key.pem does not exist"),
    gone("file-daemon-json-owner", |tree| tree.remove(CONFIG), "@config-file", "/etc/docker/daemon.json does not exist"),
    gone("file-daemon-json-mode", |tree| tree.remove(CONFIG), "@config-file", "/etc/docker/daemon.json does not exist"),
    gone("file-etc-default-docker-owner", |tree| tree.remove(DEFAULT), DEFAULT, "/etc/default/docker does not exist"),
    gone("file-etc-default-docker-mode", |tree| tree.remove(DEFAULT), DEFAULT, "/etc/default/docker does not exist"),
    gone("file-etc-sysconfig-docker-mode", |tree| tree.remove(SYSCONFIG), SYSCONFIG, "/etc/sysconfig/docker does not exist"),
    gone("file-etc-sysconfig-docker-owner", |tree| tree.remove(SYSCONFIG), SYSCONFIG, "/etc/sysconfig/docker does not exist"),
    gone(
        "file-docker-unit-dropins",
        |tree| {
            tree.remove("/etc/systemd");
            tree.remove(DEFAULT);
        },
        "@unit-parts:docker.service, @unit-parts:docker.socket, @unit-parts:containerd.service",
        "docker.service has no drop-ins and no environment files; docker.socket has no drop-ins and no environment files; \
         containerd.service has no drop-ins and no environment files",
    ),
];

const CERTS: &str = "/etc/docker/certs.d/**/*.crt, /etc/docker/certs.d/**/*.cert";
const NO_CERTS: &str = "nothing matches /etc/docker/certs.d/**/*.crt; nothing matches /etc/docker/certs.d/**/*.cert";

#[test]
fn broken_then_fixed() {
    check_breaks(BREAKS);
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}
