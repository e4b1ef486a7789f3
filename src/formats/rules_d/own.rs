//! harden's own file in rules.d.

use std::path::Path;

use crate::formats::audit_rule::{Account, Env, Line, Lookup, Machine, PathState, Rule, parse_line};

/// The first lines of the file. It begins with an empty line, because the file before it may lack its last newline.
const HEADER: &str = "\n# Audit rules for Docker, written by harden. Rules of your own belong into another file.\n";

/// What the file must hold so that, together with `others` (the rules that all other files give), every rule of `wanted` is there.
///
/// Lines that are there stay as they are, except rules that another file gives too or that are there twice: a duplicate would stop
/// the load. Where nothing is to be done the bytes come back unchanged. The result holds no rule, just the header, where none is
/// needed.
pub fn own_file(existing: Option<&[u8]>, others: &[Rule], wanted: &[Rule]) -> Vec<u8> {
    let existing = existing.filter(|content| !content.is_empty()).unwrap_or(HEADER.as_bytes());
    let mut content = Vec::with_capacity(existing.len());
    if existing.first() != Some(&b'\n') {
        content.push(b'\n');
    }
    let mut given: Vec<Rule> = others.to_vec();
    for line in existing.split_inclusive(|byte| *byte == b'\n') {
        let rules = readings(line.strip_suffix(b"\n").unwrap_or(line));
        if rules.iter().any(|rule| given.contains(rule)) {
            continue;
        }
        given.extend(rules);
        content.extend_from_slice(line);
    }
    if content.last() != Some(&b'\n') {
        content.push(b'\n');
    }
    for rule in wanted {
        if !given.contains(rule) {
            content.extend_from_slice(format!("{rule}\n").as_bytes());
            given.push(rule.clone());
        }
    }
    content
}

/// The rules that a line may be. What `-w` becomes depends on what is there when it is loaded; harden itself does not write it.
fn readings(line: &[u8]) -> Vec<Rule> {
    let read = |state: &dyn Fn(&Path) -> PathState| {
        let account = |_: Account, _: &str| Lookup::Unknown;
        match parse_line(line, &Env { machine: Machine::native(), path_state: state, account: &account }) {
            Line::Rule { rule, .. } => Some(rule),
            _ => None,
        }
    };
    let mut rules: Vec<Rule> = [read(&|_| PathState::Other), read(&|_| PathState::Dir)].into_iter().flatten().collect();
    rules.dedup();
    rules
}

#[cfg(test)]
mod tests {
    use super::super::{Flavour, OWN_FILE, merge};
    use super::*;
    use crate::formats::audit_rule::our_watch;
    use proptest::prelude::*;

    const ENV: Env =
        Env { machine: Machine::X86_64, path_state: &|_| PathState::Other, account: &|_: Account, _: &str| Lookup::NoSuch };

    fn watch(path: &str) -> Rule {
        our_watch(path, false, "wa".parse().unwrap(), "docker")
    }

    fn text(existing: Option<&str>, others: &[Rule], wanted: &[Rule]) -> String {
        String::from_utf8(own_file(existing.map(str::as_bytes), others, wanted)).unwrap()
    }

    const A: &str = "-a always,exit -S all -F path=/a -F perm=wa -F key=docker\n";
    const B: &str = "-a always,exit -S all -F path=/b -F perm=wa -F key=docker\n";

    #[test]
    fn what_is_missing_is_added() {
        assert_eq!(text(None, &[], &[watch("/a"), watch("/b"), watch("/a")]), format!("{HEADER}{A}{B}"));
        assert_eq!(text(None, &[watch("/a")], &[watch("/a"), watch("/b")]), format!("{HEADER}{B}"));
        assert_eq!(text(None, &[watch("/a")], &[watch("/a")]), HEADER);
        assert_eq!(text(Some("# mine"), &[], &[watch("/a")]), format!("\n# mine\n{A}"));
    }

    #[test]
    fn what_is_there_stays() {
        let mine = format!("\n# mine\n-w /c -p x\n\n-w /a -p aw -k docker\nnonsense\n{B}");
        assert_eq!(text(Some(&mine), &[], &[watch("/b"), watch("/a")]), mine);
        assert_eq!(text(Some(&mine), &[], &[]), mine);
    }

    #[test]
    fn duplicates_go() {
        let mine = format!("\n{A}{B}-w /a -p wa -k docker\n");
        assert_eq!(text(Some(&mine), &[], &[]), format!("\n{A}{B}"));
        assert_eq!(text(Some(&mine), &[watch("/b")], &[watch("/a"), watch("/b")]), format!("\n{A}"));
        let dir = our_watch("/d", true, "wa".parse().unwrap(), "docker");
        assert_eq!(text(Some(&format!("\n-w /d -p wa -k docker\n{A}")), &[dir], &[]), format!("\n{A}"));
    }

    proptest! {
        /// Writing twice changes nothing, and the merged files load without a stop and have what was wanted.
        #[test]
        fn it_settles_and_loads(
            mine in prop::collection::vec(prop::sample::select(vec!["", "# c", "-w /a -p wa -k docker", "-w /x", "-w /y -p r"]), 0..6),
            theirs in prop::collection::btree_set(prop::sample::select(vec!["-w /b -p wa -k docker", "-w /x", "-w /z"]), 0..3),
            wanted in prop::collection::vec(prop::sample::select(vec!["/a", "/b", "/x"]), 0..4),
        ) {
            let theirs = theirs.into_iter().collect::<Vec<_>>().join("\n");
            let other = merge(&[("10.rules".into(), theirs.clone().into())], Flavour::STRICTEST).loaded(&ENV);
            let others: Vec<Rule> = other.rules.into_iter().map(|(rule, _)| rule).collect();
            let wanted: Vec<Rule> = wanted.into_iter().map(watch).collect();
            let first = own_file(Some(mine.join("\n").as_bytes()), &others, &wanted);
            prop_assert_eq!(&own_file(Some(&first), &others, &wanted), &first);
            prop_assert_eq!(first[0], b'\n');
            let all = merge(&[(OWN_FILE.into(), first), ("10.rules".into(), theirs.into())], Flavour::STRICTEST).loaded(&ENV);
            prop_assert_eq!(all.stop, None);
            prop_assert!(wanted.iter().all(|rule| all.rules.iter().any(|(loaded, _)| loaded == rule)));
        }
    }
}
