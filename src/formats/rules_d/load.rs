//! What the kernel has after `auditctl -R` of the merged rules, as at boot: with an empty list before.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::formats::audit_rule::{Control, Env, Line, Problem as LineProblem, ProblemKind, Rule, parse_line};

use super::{Gravity, Merged, MergedLine, Origin, Problem};

/// What a load comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadResult {
    /// The rules in the order in which the kernel has them, each with the line that gave it.
    pub rules: Vec<(Rule, Origin)>,
    /// The line at which the load stops. What comes after it is lost, whoever wrote it.
    pub stop: Option<Stop>,
    /// What else is wrong with lines.
    pub problems: Vec<Problem>,
    /// The last `-e`: 0 off, 1 on, 2 on and locked; `None` where no line says it.
    pub enabled: Option<u32>,
}

/// Where a load stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The line that stops it.
    pub origin: Origin,
    /// Why, without a final stop.
    pub what: String,
    /// What to do.
    pub help: String,
    /// The rules that are lost for it.
    pub lost: Vec<(Rule, Origin)>,
}

/// Bytes of a line that auditctl reads at once; the rest is a new line to it.
const LINE_LIMIT: usize = 6143;

impl Merged {
    /// Loads the lines.
    pub fn loaded(&self, env: &Env) -> LoadResult {
        let mut load = Load { env, result: LoadResult::default(), seen: HashSet::new(), ignore_errors: false, locked: None };
        for line in &self.lines {
            if line.text.len() > LINE_LIMIT {
                load.tell(
                    &line.origin,
                    Gravity::Surprise,
                    format!("the line is longer than {LINE_LIMIT} bytes: auditctl reads what is beyond as a new line"),
                    "split it into several rules".into(),
                );
            }
            line.text.chunks(LINE_LIMIT).for_each(|part| load.line(part, line));
        }
        load.result
    }
}

/// The same for rules that are equal.
fn fingerprint(rule: &Rule) -> u64 {
    let mut hasher = DefaultHasher::new();
    for field in &rule.fields {
        (field.id.0, field.value.number(), field.value.text()).hash(&mut hasher);
    }
    hasher.finish()
}

struct Load<'e> {
    env: &'e Env<'e>,
    result: LoadResult,
    /// Fingerprints of all rules that were ever added: most rules are new, and need not be compared with each that is there.
    seen: HashSet<u64>,
    ignore_errors: bool,
    /// The `-e 2` after which the kernel refuses every change.
    locked: Option<Origin>,
}

impl Load<'_> {
    fn line(&mut self, text: &[u8], line: &MergedLine) {
        let parsed = parse_line(text, self.env);
        if let Some(stop) = &mut self.result.stop {
            if let Line::Rule { rule, .. } = parsed {
                stop.lost.push((rule, line.origin.clone()));
            }
            return;
        }
        match parsed {
            Line::Blank | Line::Comment => {}
            Line::Bad(problem) => self.bad(text, problem, &line.origin),
            Line::Rule { rule, warnings } => self.add(rule, warnings, &line.origin),
            Line::Control(controls) => controls.into_iter().for_each(|control| self.control(control, &line.origin)),
        }
    }

    fn bad(&mut self, text: &[u8], problem: LineProblem, origin: &Origin) {
        let help = advice(text, &problem);
        match problem.kind {
            ProblemKind::Unmodelled => self.tell(origin, Gravity::Unknown, problem.what, help),
            ProblemKind::Auditctl | ProblemKind::Kernel => self.refuse(origin, problem.what, help),
        }
    }

    fn add(&mut self, rule: Rule, warnings: Vec<String>, origin: &Origin) {
        if !self.may_change(origin) {
            return;
        }
        for warning in warnings {
            self.tell(origin, Gravity::Surprise, warning, format!("see `man auditctl`; the rule is `{rule}`"));
        }
        // The kernel does not look for a rule that is put first.
        let new = self.seen.insert(fingerprint(&rule));
        let known = if new || rule.prepended { &[] } else { self.result.rules.as_slice() };
        if let Some((_, first)) = known.iter().find(|(known, _)| *known == rule) {
            let why = format!("the same rule as {first}: the kernel refuses it a second time");
            return self.refuse(origin, why, "delete one of the two lines".into());
        }
        let at = if rule.prepended { 0 } else { self.result.rules.len() };
        self.result.rules.insert(at, (rule, origin.clone()));
    }

    fn control(&mut self, control: Control, origin: &Origin) {
        match control {
            Control::IgnoreErrors | Control::ContinueThroughErrors => self.ignore_errors = true,
            Control::Other => {}
            _ if !self.may_change(origin) => {}
            Control::DeleteAll(None) => self.result.rules.clear(),
            Control::DeleteAll(Some(key)) => {
                self.result.rules.retain(|(rule, _)| !rule.keys().join("\u{1}").contains(&key));
            }
            Control::Delete(rule) => match self.result.rules.iter().position(|(known, _)| *known == rule) {
                Some(at) => _ = self.result.rules.remove(at),
                None => self.refuse(origin, "there is no such rule to delete".into(), "delete the line".into()),
            },
            Control::Enabled(enabled) => {
                self.result.enabled = Some(enabled);
                self.locked = (enabled == 2).then(|| origin.clone());
            }
            Control::Failure(_) | Control::Backlog(_) | Control::Rate(_) | Control::BacklogWaitTime(_) => {}
        }
    }

    fn may_change(&mut self, origin: &Origin) -> bool {
        let Some(lock) = &self.locked else { return true };
        let why = format!("comes after `-e 2` in {lock}, which locks the rules until the next boot");
        self.refuse(origin, why, "write `-e 2` without blanks before it, so that augenrules puts it last".into());
        false
    }

    fn refuse(&mut self, origin: &Origin, what: String, help: String) {
        if self.ignore_errors || self.result.stop.is_some() {
            self.tell(origin, Gravity::Refused, what, help);
        } else {
            self.result.stop = Some(Stop { origin: origin.clone(), what, help, lost: Vec::new() });
        }
    }

    fn tell(&mut self, origin: &Origin, gravity: Gravity, what: String, help: String) {
        self.result.problems.push(Problem { origin: origin.clone(), gravity, what, help });
    }
}

/// What to do about a bad line.
fn advice(text: &[u8], problem: &LineProblem) -> String {
    let has = |byte| text.contains(&byte);
    let help = match problem.kind {
        _ if has(b'\t') => "auditctl separates words by spaces only: replace the tab by a space",
        _ if has(b'\r') => "remove the carriage return at the end of the line",
        ProblemKind::Auditctl if has(b'"') || has(b'\'') => {
            "auditctl removes no quotes: delete them, and write a space as `\\ `"
        }
        ProblemKind::Auditctl if text.windows(2).any(|two| two == b" #") => "give the comment a line of its own",
        ProblemKind::Kernel if problem.what.contains("its parent") || problem.what.contains("no such directory") => {
            "delete the line, or make sure that the directory is there before rules are loaded (/run is empty at boot)"
        }
        ProblemKind::Unmodelled => "try it with `auditctl -R` on a test machine",
        _ => "correct or delete the line",
    };
    help.into()
}

#[cfg(test)]
mod tests {
    use super::super::{Flavour, merge};
    use super::*;
    use crate::formats::audit_rule::{Account, Lookup, Machine, PathState};
    use proptest::prelude::*;
    use std::path::Path;

    fn state(path: &Path) -> PathState {
        match path.to_str() {
            Some("/etc/docker" | "/etc") => PathState::Dir,
            Some(path) if path.starts_with("/etc/sysconfig/") || path.starts_with("/run/containerd/") => {
                PathState::ParentMissing
            }
            _ => PathState::Other,
        }
    }

    fn account(_: Account, name: &str) -> Lookup {
        if name == "root" { Lookup::Id(0) } else { Lookup::NoSuch }
    }

    const ENV: Env = Env { machine: Machine::X86_64, path_state: &state, account: &account };

    fn load(content: &str) -> LoadResult {
        merge(&[("x.rules".into(), content.into())], Flavour::STRICTEST).loaded(&ENV)
    }

    fn rules(result: &LoadResult) -> Vec<String> {
        result.rules.iter().map(|(rule, origin)| format!("{} {rule}", origin.line)).collect()
    }

    fn problems(result: &LoadResult) -> Vec<String> {
        result.problems.iter().map(|problem| format!("{:?} {problem} ({})", problem.gravity, problem.help)).collect()
    }

    #[test]
    fn a_good_file_loads_whole() {
        let result = load("-D\n-b 8192\n-w /etc/docker -p wa -k docker\n-A never,exit -S all -F path=/x\n-e 1\n");
        assert_eq!(
            rules(&result),
            ["4 -A never,exit -S all -F path=/x", "3 -a always,exit -S all -F dir=/etc/docker -F perm=wa -F key=docker"]
        );
        assert_eq!((result.stop, result.problems, result.enabled), (None, vec![], Some(1)));
    }

    #[test]
    fn one_bad_line_loses_all_that_follow() {
        let table = [
            (
                "-w /etc/sysconfig/docker",
                "path=/etc/sysconfig/docker: its parent directory is not there",
                "delete the line, or make sure that the directory is there before rules are loaded (/run is empty at boot)",
            ),
            ("-w /a -p wa", "the same rule as x.rules:1: the kernel refuses it a second time", "delete one of the two lines"),
            (
                "\t# note",
                "a word without an option before it: auditctl splits at each space, knows no quotes and no comments at the end \
                          of a line; write a space within a word as `\\ `",
                "auditctl separates words by spaces only: replace the tab by a space",
            ),
            (
                "-w \"/b\"",
                "`\"/b\"`: the path must begin with `/` (quotes are not removed)",
                "auditctl removes no quotes: delete them, and write a space as `\\ `",
            ),
            (
                "-w /b -k k # why",
                "a word without an option before it: auditctl splits at each space, knows no quotes and no comments at \
                                  the end of a line; write a space within a word as `\\ `",
                "give the comment a line of its own",
            ),
            ("-a always,exit -F uid=nobody-here", "there is no user `nobody-here`", "correct or delete the line"),
            ("-d always,exit -F path=/b", "there is no such rule to delete", "delete the line"),
        ];
        for (line, why, help) in table {
            let result = load(&format!("-w /a -p wa\n{line}\n-w /c -p wa\n-e 2\n"));
            assert_eq!(rules(&result), ["1 -a always,exit -S all -F path=/a -F perm=wa"], "{line}");
            let stop = result.stop.unwrap();
            assert_eq!((stop.origin.to_string().as_str(), &*stop.what, &*stop.help), ("x.rules:2", why, help));
            assert_eq!((stop.lost.len(), result.problems, result.enabled), (1, vec![], None));

            for ignore in ["-i", "-c"] {
                let result = load(&format!("-w /a -p wa\n{ignore}\n{line}\n-w /c -p wa\n"));
                assert_eq!(problems(&result), [format!("Refused x.rules:3: {why} ({help})")]);
                assert_eq!((result.stop, result.rules.len()), (None, 2), "{ignore} {line}");
            }
        }
    }

    #[test]
    fn after_the_lock_nothing_changes() {
        let result = load("-w /a -p wa\n -e 2\n-w /c -p wa\n");
        assert_eq!(rules(&result), ["1 -a always,exit -S all -F path=/a -F perm=wa"]);
        let stop = result.stop.unwrap();
        assert_eq!(
            (stop.origin.to_string().as_str(), &*stop.what, &*stop.help),
            (
                "x.rules:3",
                "comes after `-e 2` in x.rules:2, which locks the rules until the next boot",
                "write `-e 2` without blanks before it, so that augenrules puts it last"
            )
        );
        assert_eq!(load("-e 2\n-w /c -p wa\n").rules.len(), 1);
    }

    #[test]
    fn rules_are_deleted_as_auditctl_does() {
        assert_eq!(load("-w /a -k docker\n  -D\n-w /b\n").rules.len(), 1);
        let by_part_of_the_key = load("-w /a -k mydockers\n-w /b -k k\n-D -k docker\n");
        assert_eq!(rules(&by_part_of_the_key), ["2 -a always,exit -S all -F path=/b -F perm=rwxa -F key=k"]);
        assert_eq!(load("-w /a -p wa\n-W /a -p wa\n").rules.len(), 0);
        // A rule that is put first is never found to be there already.
        let line = "-A always,exit -F path=/a\n";
        assert_eq!(load(&line.repeat(3)).rules.len(), 3);
    }

    #[test]
    fn surprises_are_told() {
        let result = load("-w /etc/*.conf -p wa\n");
        assert_eq!(
            problems(&result),
            [
                "Surprise x.rules:1: `/etc/*.conf`: a wildcard is taken literally (see `man auditctl`; the rule is `-a always,exit -S all -F \
              path=/etc/*.conf -F perm=wa`)"
            ]
        );
        let unknown = load("-a always,exit -F arch=b64 -S 2040\n-w /a\n");
        assert_eq!((unknown.stop, unknown.rules.len(), unknown.problems[0].gravity), (None, 1, Gravity::Unknown));
    }

    #[test]
    fn the_rest_of_a_long_line_is_a_new_line() {
        let result = load(&format!("# {}\n-m {}{}-w /hidden\n", "x".repeat(7000), "x".repeat(6140), ""));
        // The comment is dropped by augenrules; the second line is 6143 bytes and then a rule.
        assert_eq!(rules(&result), ["2 -a always,exit -S all -F path=/hidden -F perm=rwxa"]);
        assert_eq!(result.problems.len(), 1);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(content in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = merge(&[("x.rules".into(), content)], Flavour::STRICTEST).loaded(&ENV);
        }

        /// A load is whole, or what it lost is what came after its stop.
        #[test]
        fn nothing_is_lost_untold(lines in prop::collection::vec(prop::sample::select(vec![
            "-w /a", "-w /b -k k", "-A always,exit -F path=/a", "-w /etc/sysconfig/x", "-i", "-W /a", "\tx",
        ]), 0..8)) {
            let result = load(&(lines.join("\n") + "\n"));
            let given = lines.iter().filter(|line| ["-w /a", "-w /b -k k", "-A always,exit -F path=/a"].contains(line)).count();
            let lost = result.stop.as_ref().map_or(0, |stop| stop.lost.len());
            let told = result.problems.len() + usize::from(result.stop.is_some());
            prop_assert!(result.rules.len() + lost <= given);
            prop_assert!(told > 0 || result.rules.len() + lines.iter().filter(|line| **line == "-W /a").count() == given);
            if let Some(stop) = &result.stop {
                prop_assert!(result.rules.iter().all(|(_, origin)| origin.line < stop.origin.line));
                prop_assert!(stop.lost.iter().all(|(_, origin)| origin.line > stop.origin.line));
            }
        }
    }
}
