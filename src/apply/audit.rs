//! Adds and deletes single audit rules in the kernel.
//!
//! Loading the whole file again would first delete all rules, about 15 ms each, and nothing is recorded meanwhile.

use nix::errno::Errno;

use crate::error::{Error, Result};
use crate::formats::audit_rule::Rule;
use crate::host::audit::{Connection, Trouble, Until};

const AUDIT_ADD_RULE: u16 = 1011;
const AUDIT_DEL_RULE: u16 = 1012;

/// How long the kernel may take for one rule, in seconds: others may be deleting thousands.
const TIMEOUT_S: i64 = 30;

/// Adds a rule at the end of its list (at the beginning, if it is a prepended one). `false`: the kernel had it already.
pub fn add_rule(rule: &Rule) -> Result<bool> {
    change(AUDIT_ADD_RULE, rule, Errno::EEXIST).map_err(|trouble| explain("add", rule, &trouble))
}

/// Deletes a rule; it is no error when the kernel does not have it.
pub fn delete_rule(rule: &Rule) -> Result<()> {
    // The kernel forgets that a rule was put first, and then does not recognise it.
    let rule = Rule { prepended: false, ..rule.clone() };
    change(AUDIT_DEL_RULE, &rule, Errno::ENOENT).map(|_| ()).map_err(|trouble| explain("delete", &rule, &trouble))
}

/// Whether something changed; `nothing_to_do` is the kernel's word for that it did not.
fn change(kind: u16, rule: &Rule, nothing_to_do: Errno) -> Result<bool, Trouble> {
    let record = rule.to_kernel().map_err(Trouble::Failed)?;
    match Connection::open(TIMEOUT_S)?.exchange(kind, &record, Until::Ack) {
        Ok(_) => Ok(true),
        Err(Trouble::Refused(errno)) if errno == nothing_to_do => Ok(false),
        Err(trouble) => Err(trouble),
    }
}

fn explain(doing: &str, rule: &Rule, trouble: &Trouble) -> Error {
    let error = Error::failure(format!("cannot {doing} the audit rule `{rule}`: {trouble}"));
    match trouble {
        Trouble::NotPermitted => error.help("if `auditctl -s` says `enabled 2`, rules are locked until the next boot"),
        Trouble::Refused(Errno::ENOENT) => {
            error.help("the directory that it names, or holds the file that it names, is not there")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::audit_rule::{Perms, our_watch};

    #[test]
    fn errors_name_the_rule_and_the_way_out() {
        let rule = our_watch("/nowhere/x", false, Perms::WRITE, "docker");
        let shown = |trouble| explain("add", &rule, &trouble).to_string();
        assert_eq!(
            shown(Trouble::Refused(Errno::ENOENT)),
            "cannot add the audit rule `-a always,exit -S all -F path=/nowhere/x -F perm=w -F key=docker`: the kernel's audit interface \
             answered ENOENT: No such file or directory\n  help: the directory that it names, or holds the file that it names, is not there"
        );
        assert_eq!(
            shown(Trouble::NotPermitted),
            "cannot add the audit rule `-a always,exit -S all -F path=/nowhere/x -F perm=w -F key=docker`: audit rules need \
             CAP_AUDIT_CONTROL in the host's own pid namespace (EPERM): run harden as root on the host\n  help: if `auditctl -s` says \
             `enabled 2`, rules are locked until the next boot"
        );
    }
}
