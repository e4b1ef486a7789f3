//! Every control of the catalogue on a host where it holds, with one thing broken, fixed again, and with nothing to speak of.
//!
//! Each table row says in full what a person would read: what is, what should be, and who fixes it how. Where harden fixes it, the
//! program does, and a second run changes nothing, not even a time stamp.

mod audit;
mod container;
mod daemon;
mod file;
mod flags;
mod host;
mod image;
mod layout;
mod live;
mod peers;
mod policy;
mod socket;
mod swarm;
mod table;
mod tree;

use std::collections::BTreeSet;

use harden::baseline::Catalogue;

use harden::finding::Status;
use table::{EVERYTHING, judge, observe, open, with};
use tree::Tree;

/// Every control of the catalogue but those whose cases need a policy of their own.
fn ids() -> impl Iterator<Item = &'static str> {
    Catalogue::builtin().ids().filter(|id| !policy::CONTROLS.contains(id))
}

#[test]
fn the_baseline_has_every_control() {
    let missing: Vec<&str> = ids().filter(|id| !EVERYTHING.controls.iter().any(|control| control.id == *id)).collect();
    assert!(missing.is_empty(), "enable {missing:?} in {}", table::BASELINE);
}

#[test]
fn the_tree_is_as_wanted() {
    let tree = Tree::green();
    let assessment = judge(&observe(&tree));
    let open: Vec<String> =
        open(&assessment).iter().map(|finding| format!("{} {}: {:?}", finding.control, finding.target, finding)).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
    let absent: Vec<&str> = with(&assessment, Status::NotApplicable)
        .map(|finding| finding.control.as_str())
        .filter(|id| !["image-", "swarm-", "container-"].iter().any(|area| id.starts_with(area)))
        .collect();
    // A tree has no kernel, and what is in /run is not there when rules load at boot.
    let of_a_running_host = [
        layout::ROOTLESS,
        "audit-auditd-running",
        "audit-rules-persistent",
        "audit-watch-run-containerd",
        "audit-watch-containerd-sock",
        "audit-watch-docker-socket",
        "audit-log-partition",
        "host-sysctl-ip-forward",
        "host-sysctl-ip-forward",
        "host-data-root-partition",
        "host-kernel-current",
        "host-mac-enabled",
        "host-minimal-services",
        "host-firewall-docker-user",
        "host-runtime-isolation",
    ];
    assert_eq!(absent, of_a_running_host);
}

/// A control that is added to the catalogue needs its rows here: how it breaks, with what is then said and done, and when it does not
/// apply.
#[test]
fn every_control_has_its_cases() {
    let broken: BTreeSet<&str> = [audit::BREAKS, daemon::BREAKS, file::BREAKS, host::BREAKS, socket::BREAKS]
        .into_iter()
        .flatten()
        .map(|case| case.control)
        .chain(live::LIVE.iter().chain(host::LIVE).map(|case| case.control))
        .chain(host::ATTESTED.map(|(control, ..)| control))
        .chain(container::CASES.iter().map(|case| case.control))
        .chain(swarm::CASES.iter().map(|case| case.control))
        .chain(image::CASES.iter().map(|case| case.control))
        // Judged on Dockerfiles alone: tests/dockerfile.rs.
        .chain(image::OF_DOCKERFILES)
        .chain([layout::ROOTLESS])
        .collect();
    let absent: BTreeSet<&str> = [
        audit::ABSENT,
        daemon::ABSENT,
        file::ABSENT,
        host::ABSENT,
        image::ABSENT,
        layout::ABSENT,
        socket::ABSENT,
        swarm::ABSENT,
    ]
    .into_iter()
    .flatten()
    .map(|case| case.control)
    .chain(container::absent())
    .chain(host::LIVE_ABSENT.iter().map(|(control, ..)| *control))
    .collect();
    let all: BTreeSet<&str> = ids().collect();
    assert_eq!(all.difference(&broken).collect::<Vec<_>>(), [&""; 0], "no case that breaks it");
    assert_eq!(all.difference(&absent).collect::<Vec<_>>(), [&""; 0], "no case in which it does not apply");
    assert_eq!(broken.union(&absent).filter(|id| !all.contains(*id)).collect::<Vec<_>>(), [&""; 0], "no such control");
}

/// What harden could fix, and what people must, is known of each control; a control that goes from one to the other is a change of
/// what the program promises.
#[test]
fn fixed_by_hand_alone() {
    let cases = [audit::BREAKS, daemon::BREAKS, file::BREAKS, host::BREAKS, socket::BREAKS].into_iter().flatten();
    let cases = cases
        .map(|case| (case.control, case.findings))
        .chain(live::LIVE.iter().chain(host::LIVE).map(|case| (case.control, case.findings)));
    let cases = cases.chain(container::CASES.iter().map(|case| (case.control, case.findings)));
    // What takes a new container is its owner's; what the engine can set while it runs is here.
    let live = [
        "container-blkio-limit",
        "container-cpu-limit",
        "container-memory-limit",
        "container-pids-limit",
        "container-restart-policy",
    ];
    let of_the_host = |id: &&str| {
        !id.starts_with("image-")
            && !id.starts_with("swarm-")
            && (!container::absent().any(|other| other == *id) || live.contains(id))
    };
    let mut by_hand: BTreeSet<&str> = ids().filter(of_the_host).collect();
    for (control, _) in cases.filter(|(_, findings)| findings.iter().any(table::Expected::is_automatic)) {
        by_hand.remove(control);
    }
    let expected = [
        "audit-auditd-running",
        "audit-log-partition",
        "audit-log-rotation",
        "container-resource-monitoring",
        "daemon-registry-ca-present",
        "daemon-remote-access-ssh",
        layout::ROOTLESS,
        "daemon-storage-driver-supported",
        "host-data-root-partition",
        "host-docker-version-current",
        "host-firewall-docker-user",
        "host-hardened",
        "host-kernel-current",
        "host-mac-enabled",
        "host-minimal-services",
        "host-network-monitoring",
        "host-runtime-isolation",
        "host-session-timeout",
        "host-ssh-key-only",
        "host-ssh-source-restricted",
        "host-sysctl-ip-forward",
        "host-unused-accounts",
    ];
    assert_eq!(by_hand.into_iter().collect::<Vec<_>>(), expected);
}
