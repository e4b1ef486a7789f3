//! The kernel's packet filter, read by harden without starting a program, in a network namespace of its own: chains that the real
//! iptables made there, by nf_tables and by the older tables.

mod common;

use std::process::Command;

use common::Tree;
use serde_json::Value;

const BASELINE: &str = "\
schema = 1
name = \"filter\"
title = \"Filter\"
[controls]
enable = [\"host-firewall-docker-user\", \"host-sysctl-ip-forward\"]
";

/// The chains that harden sees after a script, as `family table name hook policy rules/filtering`.
fn chains(script: &str) -> Vec<String> {
    let tree = Tree::empty();
    tree.file("/b.toml", BASELINE, 0o644);
    let text = format!(
        "set -eu\n{script}\n\"$HARDEN\" check -q -b $T/b.toml --docker-host unix://$T/none --save-facts $T/facts.json >/dev/null || true"
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &text]).env("T", tree.path()).env("HARDEN", env!("CARGO_BIN_EXE_harden"));
    let output = command.output().expect("unshare (util-linux), as root");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let facts: Value = serde_json::from_slice(&tree.read("/facts.json")).expect("facts");
    let chains = facts["machine"]["chains"]["known"].as_array().unwrap_or_else(|| panic!("{}", facts["machine"]["chains"]));
    let policy = |value: &Value| match value.as_bool() {
        Some(true) => "drop",
        Some(false) => "accept",
        None => "-",
    };
    let shown = |one: &Value| {
        let text = |key: &str| one[key].as_str().unwrap_or("-").to_owned();
        let (rules, filtering) = (&one["rules"], &one["filtering"]);
        format!(
            "{} {} {} {} {} {rules}/{filtering}",
            text("family"),
            text("table"),
            text("name"),
            text("hook"),
            policy(&one["drops_by_default"])
        )
    };
    chains.iter().map(shown).collect()
}

/// What dockerd and an administrator would make; `$I` is the iptables.
const RULES: &str = "\
$I -P FORWARD DROP
$I -N DOCKER-USER
$I -N OWN
$I -A FORWARD -j DOCKER-USER
$I -A FORWARD -i lo -j ACCEPT
$I -A DOCKER-USER -i eth0 -j RETURN
$I -A DOCKER-USER -s 192.0.2.0/24
$I -A DOCKER-USER -i eth0 -j DROP
$I -A DOCKER-USER -p tcp -j REJECT
$I -A DOCKER-USER -i eth1 -j OWN
$I -A DOCKER-USER -j RETURN
";

const EXPECTED: [&str; 3] = ["ip filter FORWARD forward drop 2/1", "ip filter DOCKER-USER - - 6/3", "ip filter OWN - - 0/0"];

fn of_interest(chains: Vec<String>) -> Vec<String> {
    let mut found: Vec<String> =
        chains.into_iter().filter(|chain| !chain.contains(" input ") && !chain.contains(" output ")).collect();
    found.sort_by_key(|chain| EXPECTED.iter().position(|expected| *expected == chain));
    found
}

#[test]
fn chains_of_nf_tables() {
    assert_eq!(chains(""), [""; 0]);
    assert_eq!(of_interest(chains(&format!("I=iptables-nft\n{RULES}"))), EXPECTED);
}

#[test]
fn chains_of_the_older_tables() {
    assert_eq!(of_interest(chains(&format!("I=iptables-legacy\n{RULES}"))), EXPECTED);
    // A chain that lets everything pass filters nothing, whatever its number of rules.
    let passes =
        "I=iptables-legacy\n$I -N DOCKER-USER\n$I -A DOCKER-USER -s 192.0.2.0/24 -j RETURN\n$I -A DOCKER-USER -j RETURN";
    assert_eq!(of_interest(chains(passes)), ["ip filter FORWARD forward accept 0/0", "ip filter DOCKER-USER - - 2/0"]);
}
