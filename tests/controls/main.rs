//! Every control of the catalogue on a host where it holds, with one thing broken, fixed again, and with nothing to speak of.
//!
//! Each table row says in full what a person would read: what is, what should be, and who fixes it how. Where harden fixes it, the
//! program does, and a second run changes nothing, not even a time stamp.

mod audit;
mod daemon;
mod file;
mod socket;
mod table;
mod tree;

use harden::baseline::Catalogue;

use harden::finding::Status;
use table::{EVERYTHING, judge, observe, open, with};
use tree::Tree;

#[test]
fn the_baseline_has_every_control() {
    let missing: Vec<&str> =
        Catalogue::builtin().ids().filter(|id| !EVERYTHING.controls.iter().any(|control| control.id == *id)).collect();
    assert!(missing.is_empty(), "enable {missing:?} in {}", table::BASELINE);
}

#[test]
fn the_tree_is_as_wanted() {
    let tree = Tree::green();
    let assessment = judge(&observe(&tree));
    let open: Vec<String> =
        open(&assessment).iter().map(|finding| format!("{} {}: {:?}", finding.control, finding.target, finding)).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
    let absent: Vec<&str> = with(&assessment, Status::NotApplicable).map(|finding| finding.control.as_str()).collect();
    // A tree has no kernel, and what is in /run is not there when rules load at boot.
    let of_a_running_host = [
        "audit-auditd-running",
        "audit-rules-persistent",
        "audit-watch-run-containerd",
        "audit-watch-containerd-sock",
        "audit-watch-docker-socket",
    ];
    assert_eq!(absent, of_a_running_host);
}
