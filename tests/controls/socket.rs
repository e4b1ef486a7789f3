//! The controls of sockets and of what makes them.

use crate::table::{Absent, Break, automatic, check_absent, check_breaks, manual};
use crate::tree::{APP, CONFIG, DOCKER_GID};

const DOCKER: &str = "/run/docker.sock";
const CONTAINERD: &str = "/run/containerd/containerd.sock";
const UNIT: &str = "/usr/lib/systemd/system/docker.socket";
const SERVICE: &str = "/usr/lib/systemd/system/docker.service";

pub const BREAKS: &[Break] = &[
    Break {
        control: "socket-docker-owner",
        how: "of another user and group",
        breaks: |tree| tree.chown(DOCKER, APP, APP),
        findings: &[automatic(DOCKER, "owner 1000, group 1000", "owner root, group docker or root")],
        also: &[],
    },
    Break {
        control: "socket-docker-owner",
        how: "of another group, which the unit gave it",
        breaks: |tree| {
            tree.chown(DOCKER, 0, APP);
            tree.edit(UNIT, "SocketGroup=docker", "SocketGroup=app");
        },
        findings: &[automatic(DOCKER, "owner root, group 1000", "owner root, group docker or root")],
        also: &["socket-docker-unit-settings docker.socket SocketGroup"],
    },
    Break {
        control: "socket-docker-owner",
        how: "of another group, which dockerd itself gave it",
        breaks: |tree| {
            tree.edit(SERVICE, "-H fd://", "-H unix:///run/docker.sock");
            tree.key(r#""group": "app""#);
            tree.chown(DOCKER, 0, APP);
        },
        findings: &[automatic(DOCKER, "owner root, group 1000", "owner root, group docker or root")],
        also: &[],
    },
    Break {
        control: "socket-docker-mode",
        how: "everybody may open it",
        breaks: |tree| tree.chmod(DOCKER, 0o666),
        findings: &[automatic(DOCKER, "mode 0666", "mode 0660 or stricter")],
        also: &[],
    },
    Break {
        control: "socket-docker-mode",
        how: "everybody may open it, and the unit wants it so",
        breaks: |tree| {
            tree.chmod(DOCKER, 0o606);
            tree.edit(UNIT, "SocketMode=0660", "SocketMode=0606");
        },
        findings: &[automatic(DOCKER, "mode 0606", "mode 0660 or stricter (here 0600)")],
        also: &["socket-docker-unit-settings docker.socket SocketMode"],
    },
    Break {
        control: "socket-docker-mode",
        how: "an ACL lets one user open it",
        breaks: |tree| tree.grant(DOCKER, APP, 0o6),
        findings: &[manual(
            DOCKER,
            "mode 0660",
            "mode 0660 or stricter",
            "harden removes no ACL entries; take them away with `setfacl -x u:1000 /run/docker.sock`",
        )],
        also: &[],
    },
    Break {
        control: "socket-docker-unit-settings",
        how: "each setting is wrong",
        breaks: |tree| {
            tree.edit(UNIT, "SocketMode=0660", "SocketMode=0666");
            tree.edit(UNIT, "SocketUser=root", "SocketUser=app");
            tree.edit(UNIT, "SocketGroup=docker", "SocketGroup=app");
        },
        findings: &[
            automatic("docker.socket SocketMode", "0666", "0660 or stricter"),
            automatic("docker.socket SocketUser", "app", "root"),
            automatic("docker.socket SocketGroup", "app", "one of root, docker"),
        ],
        also: &[],
    },
    Break {
        control: "socket-docker-unit-settings",
        how: "the mode is systemd's own",
        breaks: |tree| tree.drop_line(UNIT, "SocketMode"),
        findings: &[automatic("docker.socket SocketMode", "0666", "0660 or stricter")],
        also: &[],
    },
    Break {
        control: "socket-docker-unit-settings",
        how: "a mode of which only some bits are too much",
        breaks: |tree| tree.edit(UNIT, "SocketMode=0660", "SocketMode=0602"),
        findings: &[automatic("docker.socket SocketMode", "0602", "0660 or stricter")],
        also: &[],
    },
    Break {
        control: "socket-docker-unit-settings",
        how: "the wished group is not there",
        breaks: |tree| {
            tree.edit(UNIT, "SocketGroup=docker", "SocketGroup=app");
            tree.drop_line("/etc/group", "docker");
            tree.chown(DOCKER, 0, 0);
        },
        findings: &[manual(
            "docker.socket SocketGroup",
            "app",
            "one of root, docker",
            "there is no group `docker` here, and a unit that names it would not start; create the group, or set docker_socket_group",
        )],
        also: &[],
    },
    Break {
        control: "socket-containerd-owner",
        how: "of the group docker",
        breaks: |tree| tree.chown(CONTAINERD, 0, DOCKER_GID),
        findings: &[automatic(CONTAINERD, "owner root, group 997", "owner root, group root")],
        also: &[],
    },
    Break {
        control: "socket-containerd-owner",
        how: "of another user, as containerd's configuration says",
        breaks: |tree| {
            tree.chown(CONTAINERD, APP, 0);
            tree.edit("/etc/containerd/config.toml", "uid = 0", "uid = 1000 # app");
        },
        findings: &[automatic(CONTAINERD, "owner 1000, group root", "owner root, group root")],
        also: &[],
    },
    Break {
        control: "socket-containerd-mode",
        how: "everybody may open it",
        breaks: |tree| tree.chmod(CONTAINERD, 0o662),
        findings: &[automatic(CONTAINERD, "mode 0662", "mode 0660 or stricter")],
        also: &[],
    },
];

pub const ABSENT: &[Absent] = &[
    Absent {
        control: "socket-docker-owner",
        remove: |tree| tree.remove(DOCKER),
        target: "@docker-socket",
        reason: "/run/docker.sock does not exist: dockerd does not run",
    },
    Absent {
        control: "socket-docker-mode",
        remove: |tree| tree.edit(SERVICE, "-H fd://", "-H tcp://127.0.0.1:2376"),
        target: "@docker-socket",
        reason: "dockerd has no unix socket",
    },
    Absent {
        control: "socket-docker-unit-settings",
        remove: |tree| tree.remove(UNIT),
        target: "docker.socket",
        reason: "there is no unit docker.socket",
    },
    Absent {
        control: "socket-containerd-owner",
        remove: |tree| tree.remove(CONTAINERD),
        target: "@containerd-socket",
        reason: "/run/containerd/containerd.sock does not exist: containerd does not run",
    },
    Absent {
        control: "socket-containerd-mode",
        remove: |tree| {
            tree.edit(SERVICE, " --containerd=/run/containerd/containerd.sock", "");
            tree.remove(CONTAINERD);
        },
        target: "@containerd-socket",
        reason: "neither /run/containerd/containerd.sock nor /run/docker/containerd/containerd.sock exists: containerd does not run",
    },
];

#[test]
fn broken_then_fixed() {
    check_breaks(BREAKS);
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}

/// What a fix leaves behind, so that the next start of whoever makes the socket does not undo it.
#[test]
fn fixes_outlast_the_next_start() {
    let drop_in = "/etc/systemd/system/docker.socket.d/zz-harden.conf";
    let table: [(&str, &str, &str); 5] = [
        ("of another group, which the unit gave it", drop_in, "SocketGroup=docker\n"),
        ("of another group, which dockerd itself gave it", CONFIG, "{\n    \"icc\": false,"),
        ("everybody may open it, and the unit wants it so", drop_in, "SocketMode=0600\n"),
        ("a mode of which only some bits are too much", drop_in, "SocketMode=0600\n"),
        ("of another user, as containerd's configuration says", "/etc/containerd/config.toml", "  uid = 0 # app\n  gid = 0\n"),
    ];
    for (how, path, text) in table {
        let case = BREAKS.iter().find(|case| case.how == how).expect("a case");
        let tree = crate::tree::Tree::green();
        (case.breaks)(&tree);
        crate::table::apply(&tree, case.control).unwrap_or_else(|error| panic!("{how}:\n{error}"));
        let found = tree.text(path);
        assert!(found.contains(text), "{how}: `{text}` in {path}:\n{found}");
    }
}
