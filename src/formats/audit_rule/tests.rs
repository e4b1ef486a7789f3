use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// The files that were there when the data was recorded, and their parents.
fn fixture(path: &Path) -> PathState {
    const DIRS: [&str; 9] = [
        "/",
        "/fixture",
        "/fixture/dir",
        "/fixture/dir/sub",
        "/fixture/empty",
        "/fixture/with space",
        "/fixture/lndir",
        "/usr/bin",
        "/tmp",
    ];
    const FILES: [&str; 6] = [
        "/fixture/file",
        "/fixture/dir/inner",
        "/fixture/with space/f",
        "/fixture/lnfile",
        "/fixture/lndir/inner",
        "/usr/bin/docker",
    ];
    let mut plain = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => _ = plain.pop(),
            part => plain.push(part),
        }
    }
    let is_one_of = |known: &[&str], path: &Path| known.iter().any(|known| Path::new(known) == path);
    match () {
        () if is_one_of(&DIRS, &plain) => PathState::Dir,
        () if is_one_of(&FILES, &plain) => PathState::Other,
        () if plain.parent().is_some_and(|parent| is_one_of(&DIRS, parent)) => PathState::Missing,
        () => PathState::ParentMissing,
    }
}

fn accounts(kind: Account, name: &str) -> Lookup {
    match (kind, name) {
        (_, "root") => Lookup::Id(0),
        (Account::Group, "docker") => Lookup::Id(105),
        (_, "elsewhere") => Lookup::Unknown,
        _ => Lookup::NoSuch,
    }
}

fn env() -> Env<'static> {
    Env { machine: Machine::X86_64, path_state: &fixture, account: &accounts }
}

fn rule(line: &str) -> Rule {
    match parse_line(line.as_bytes(), &env()) {
        Line::Rule { rule, .. } => rule,
        other => panic!("{line}: {other:?}"),
    }
}

fn problem(line: &str) -> String {
    match parse_line(line.as_bytes(), &env()) {
        Line::Bad(problem) => problem.what,
        other => panic!("{line}: {other:?}"),
    }
}

fn warnings(line: &str) -> Vec<String> {
    match parse_line(line.as_bytes(), &env()) {
        Line::Rule { warnings, .. } => warnings,
        other => panic!("{line}: {other:?}"),
    }
}

/// Undoes the escapes of the recorded tables.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let (byte, used) = match (first, tail) {
            (b'\\', [b't', ..]) => (b'\t', 1),
            (b'\\', [b'r', ..]) => (b'\r', 1),
            (b'\\', [b'\\', ..]) => (b'\\', 1),
            (b'\\', [b'x', high, low, ..]) => {
                let digits = [*high, *low];
                (u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap(), 3)
            }
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = &tail[used..];
    }
    bytes
}

#[test]
fn agrees_with_auditctl_on_every_recorded_line() {
    // Where the two versions differ the newer one counts, but for the last: 4.0.4 and later take it again.
    let only_newer = ["-a always,io_uring -S openat,openat2 -F key=access", "-a always,io_uring -S all -k k"];
    let only_older = ["-a always,exit -F arch=aarch64 -F path=/fixture/file -F perm=wa"];
    let table = include_str!("../../../tests/data/audit/auditctl.tsv");
    let mut lines = 0;
    for row in table.lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [input, older, newer] = columns[..] else { panic!("{row}") };
        lines += 1;
        assert_eq!(older != newer, only_newer.contains(&input) || only_older.contains(&input), "{input}");
        let accepted = match parse_line(&unescape(input), &env()) {
            // The list was empty, so there was nothing to delete.
            Line::Control(controls) => !controls.iter().any(|control| matches!(control, Control::Delete(_))),
            Line::Bad(problem) => {
                assert_ne!(problem.kind, ProblemKind::Unmodelled, "{input}: {problem:?}");
                false
            }
            _ => true,
        };
        let expected = if only_older.contains(&input) { older } else { newer };
        assert_eq!(if accepted { "y" } else { "n" }, expected, "{input}: {:?}", parse_line(&unescape(input), &env()));
        if older != newer {
            assert!(warnings(input).iter().any(|warning| warning.contains("3.0.9") || warning.contains("4.0.4")), "{input}");
        }
    }
    assert_eq!(lines, 338);
}

/// A rule as the kernel listed it.
#[derive(Deserialize)]
struct Listed {
    input: String,
    auditctl: String,
    flags: u32,
    action: u32,
    fields: Vec<(u32, String, u32)>,
    buf: String,
    calls: Calls,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Calls {
    Every(String),
    These(Vec<u16>),
}

impl Listed {
    fn record(&self) -> Vec<u8> {
        let mut words = vec![0; 64 * 4 + 4];
        (words[0], words[1], words[2]) = (self.flags, self.action, u32::try_from(self.fields.len()).unwrap());
        let mut set = |number: usize| words[3 + number / 32] |= 1 << (number % 32);
        match &self.calls {
            Calls::Every(all) => {
                assert_eq!(all, "all");
                (0..2032).for_each(&mut set);
            }
            Calls::These(numbers) => numbers.iter().for_each(|number| set(usize::from(*number))),
        }
        for (at, (id, op, value)) in self.fields.iter().enumerate() {
            words[67 + at] = *id;
            words[131 + at] = *value;
            words[195 + at] = u32::from_str_radix(op, 16).unwrap();
        }
        words[259] = u32::try_from(self.buf.len()).unwrap();
        words.iter().flat_map(|word: &u32| word.to_ne_bytes()).chain(self.buf.bytes()).collect()
    }
}

fn listed() -> Vec<Listed> {
    let lines = include_str!("../../../tests/data/audit/kernel.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn sends_the_record_that_the_kernel_listed() {
    let mut compared = 0;
    for listed in listed() {
        let Line::Rule { mut rule, .. } = parse_line(listed.input.as_bytes(), &env()) else { panic!("{}", listed.input) };
        let kernel = Rule::from_kernel(&listed.record()).unwrap();
        assert_eq!(kernel.to_kernel().unwrap(), listed.record(), "{}", listed.input);
        assert!(rule.loaded_as(&kernel), "{} {}\n{rule}\n{kernel}", listed.auditctl, listed.input);
        let expanded = listed.auditctl != "3.0.9"
            && (rule.list == List::IoUring || (rule.first(FieldId::ARCH).is_some() && rule.perms().is_some()));
        if !expanded {
            rule.prepended = false; // the kernel does not remember it
            assert_eq!(rule.to_kernel().unwrap(), listed.record(), "{} {}", listed.auditctl, listed.input);
            compared += 1;
        }
    }
    assert_eq!(compared, 387);
}

#[test]
fn the_text_of_a_rule_loads_as_the_same_rule() {
    for listed in listed() {
        let kernel = Rule::from_kernel(&listed.record()).unwrap();
        assert_eq!(rule(&kernel.to_string()), kernel, "{kernel}");
        let json = serde_json::to_string(&kernel).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), kernel, "{json}");
    }
}

#[test]
fn the_text_of_a_rule() {
    let table = [
        ("-w /fixture/file -p wa -k docker", "-a always,exit -S all -F path=/fixture/file -F perm=wa -F key=docker"),
        ("-w /fixture/dir/ -k a -k b", "-a always,exit -S all -F dir=/fixture/dir -F perm=rwxa -F key=a -F key=b"),
        ("-w /fixture/with\\ space -p w", "-a always,exit -S all -F dir=/fixture/with\\ space -F perm=w"),
        ("-w /fixture/back\\\\slash -p x", "-a always,exit -S all -F path=/fixture/back\\\\slash -F perm=x"),
        ("-a task,never", "-a never,task"),
        ("-A never,exit -F arch=b64 -S 2,257 -F auid!=unset", "-A never,exit -F arch=b64 -S open,openat -F auid!=unset"),
        ("-a always,exit -S 2 -F uid=root", "-a always,exit -S 2 -F uid=0"),
        (
            "-a always,exit -F path=/fixture/file -F arch=b32 -F perm=wa",
            "-a always,exit -F path=/fixture/file -F arch=b32 -S all -F perm=wa",
        ),
        (
            "-a always,exit -F arch=b64 -S execve -C euid!=uid -F exit=-EACCES",
            "-a always,exit -F arch=b64 -S execve -C uid!=euid -F exit=-13",
        ),
        ("-a exclude,never -F msgtype=1307", "-a never,exclude -F msgtype=CWD"),
        ("-a never,filesystem -F fstype=tracefs", "-a never,filesystem -F fstype=0x74726163"),
        ("-a always,io_uring -S openat -F key=k", "-a always,io_uring -S 18 -F key=k"),
        ("-a always,exit -F uid=elsewhere -F filetype=file", "-a always,exit -S all -F uid=elsewhere -F filetype=file"),
    ];
    for (line, text) in table {
        let parsed = rule(line);
        assert_eq!(parsed.to_string(), text);
        assert_eq!(rule(text), parsed, "{text}");
    }
}

#[test]
fn our_watch_is_what_auditctl_makes_of_its_text() {
    let perms = "wa".parse().unwrap();
    let file = our_watch("/fixture/file", false, perms, "docker");
    assert_eq!(file.to_string(), "-a always,exit -S all -F path=/fixture/file -F perm=wa -F key=docker");
    assert_eq!(file, rule("-w /fixture/file -p aw -k docker"));
    let dir = our_watch("/fixture/dir", true, perms, "docker");
    assert_eq!(dir.to_string(), "-a always,exit -S all -F dir=/fixture/dir -F perm=wa -F key=docker");
    assert_eq!(dir, rule("-w /fixture/dir -p wa -k docker"));
    assert_eq!(dir.keys(), ["docker"]);
    assert_eq!(warnings(&dir.to_string()), [""; 0]);
}

#[test]
fn a_rule_is_recognised_in_the_kernel() {
    let line = "-a always,exit -F arch=b64 -F path=/fixture/file -F perm=wa -F auid=elsewhere -k k";
    let loaded = |kernel: &str| rule(line).loaded_as(&rule(kernel));
    assert!(loaded(&line.replace("elsewhere", "1000")));
    assert!(loaded("-a always,exit -F arch=b64 -S openat,fchmodat -F path=/fixture/file -F perm=wa -F auid=7 -k k"));
    for other in [
        "-a always,exit -F arch=b64 -S openat -F path=/fixture/file -F perm=wa -F auid=7 -k k",
        "-a always,exit -F arch=b64 -F path=/fixture/file -F perm=wa -F auid!=7 -k k",
        "-a always,exit -F arch=b64 -F path=/fixture/file -F perm=wa -F auid=7",
        "-a never,exit -F arch=b64 -F path=/fixture/file -F perm=wa -F auid=7 -k k",
        "-a always,exit -F arch=b64 -F path=/fixture/lnfile -F perm=wa -F auid=7 -k k",
    ] {
        assert!(!loaded(other), "{other}");
    }
    assert!(
        !rule("-a always,exit -S open -F path=/fixture/file").loaded_as(&rule("-a always,exit -S all -F path=/fixture/file"))
    );
}

#[test]
fn the_kernel_tells_rules_apart_as_recorded() {
    let mut pairs = 0;
    for row in include_str!("../../../tests/data/audit/pairs.tsv").lines().skip(1) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [_, first, second, verdict, _] = columns[..] else { panic!("{row}") };
        let (first, second) = (rule(first), rule(second));
        // A prepended rule is never found to be there already.
        let same = first == second && !second.prepended;
        assert_eq!(if same { "same" } else { "distinct" }, verdict, "{row}");
        pairs += 1;
    }
    assert_eq!(pairs, 80);
}

#[test]
fn says_what_is_wrong_with_a_line() {
    let table = [
        (
            "\t-w /x",
            "a word without an option before it: auditctl splits at each space, knows no quotes and no comments at the end of a \
                     line; write a space within a word as `\\ `",
        ),
        ("-w \"/fixture/file\"", "`\"/fixture/file\"`: the path must begin with `/` (quotes are not removed)"),
        ("-w /fixture/file -p wa\r", "`\r` is no kind of access: expected letters of `rwxa`"),
        ("-w /fixture/file -p waxrw", "perms `waxrw`: at most four letters of rwxa"),
        ("-w /fixture/nodir/x", "path=/fixture/nodir/x: its parent directory is not there"),
        ("-a always,exit -F dir=/fixture/missing", "dir=/fixture/missing: there is no such directory"),
        (
            "-a always,exit -F path=/fixture/dir/",
            "path=/fixture/dir/: must not end with `/`; for a directory with all below it write dir=",
        ),
        ("-k k -w /fixture/file", "-k must come after -w, -S, or -F with path, dir, perm, exe or fstype"),
        ("-a always,exit -F uid=nosuchuser", "there is no user `nosuchuser`"),
        ("-a always,exit -F gid=nosuchgroup", "there is no group `nosuchgroup`"),
        ("-a always,exit -F path=/fixture/file -F dir=/fixture/dir", "one of path, dir and inode a rule, dir is a second one"),
        ("-a always,exit -F arch=b64 -S opne", "`opne` is no system call of this architecture"),
        ("-w /fixture/file -F arch=b64", "`-F arch=` must come before -S, and goes with no -w"),
        ("-a always,exit -F path=/fixture/file -k a>=b", "`key=a` is no field"),
        (
            "-a always,Exit",
            "`-a always,Exit`: expected an action (always, never) and a list (task, exit, user, exclude, filesystem, \
                            io_uring) in lower case with a comma and no space between",
        ),
        ("-b lots", "-b takes a number, not `lots`"),
        ("--nope", "`--nope` is no option of auditctl, or its argument is missing"),
        ("-e 1 -f 1 -b 1 -r 1", "`-r` is no option of auditctl, or its argument is missing"),
        ("-a always,exit -F uid=unset", "uid can't be unset"),
        ("-b 64 -w /fixture/file", "a rule and another command on one line: give each its own line"),
    ];
    for (line, text) in table {
        assert_eq!(problem(line), text, "{line}");
    }
}

#[test]
fn warns_of_what_surprises() {
    let table = [
        (
            "-w /fixture/*.x",
            vec![
                "`/fixture/*.x`: a wildcard is taken literally",
                "`/fixture/*.x` is not there: if it becomes a directory, \
                                  what is below it is not watched",
            ],
        ),
        (
            "-a always,exit -F arch=b64 -F path=/fixture/file -F perm=wa",
            vec![
                "from audit 3.1.3 on, `-F arch=` with perm and without `-S all` before it loads a list of system calls that depends on the \
             version; execveat, fchmodat2, setxattrat and removexattrat are missing from it",
            ],
        ),
        ("-a always,exit -F arch=b64 -S all -F path=/fixture/file -F perm=wa", vec![]),
        (
            "-a always,exit -F arch=b64 -S fchmodat2",
            vec!["audit 3.0.9 (Debian 12) does not know the system call fchmodat2 and stops loading here"],
        ),
        ("-a always,exit -F uid=elsewhere", vec!["the number of user `elsewhere` is not known here"]),
    ];
    for (line, texts) in table {
        assert_eq!(warnings(line), texts, "{line}");
    }
}

#[test]
fn commands_are_told_apart() {
    let table = [
        ("-D", vec![Control::DeleteAll(None)]),
        ("-D -k dock", vec![Control::DeleteAll(Some("dock".into()))]),
        ("-e 1 -f 2", vec![Control::Enabled(1), Control::Failure(2)]),
        ("-b 8192x", vec![Control::Backlog(8192)]),
        ("-r 0x10", vec![Control::Rate(16)]),
        ("-i", vec![Control::IgnoreErrors]),
        ("-c", vec![Control::ContinueThroughErrors]),
        ("--backlog=60000", vec![Control::BacklogWaitTime(60000)]),
        ("-l -k key", vec![Control::Other]),
        ("--", vec![]),
        // The rule before such a command is never sent.
        ("-w /fixture/file -i", vec![Control::IgnoreErrors]),
    ];
    for (line, controls) in table {
        assert_eq!(parse_line(line.as_bytes(), &env()), Line::Control(controls), "{line}");
    }
    let Line::Control(controls) = parse_line(b"-W /fixture/file -p wa", &env()) else { panic!() };
    assert_eq!(controls, [Control::Delete(rule("-w /fixture/file -p wa"))]);
}

#[test]
fn a_record_that_is_cut_off_is_an_error() {
    let record = our_watch("/etc/docker", true, Perms::WRITE, "docker").to_kernel().unwrap();
    assert_eq!(Rule::from_kernel(&record[..100]).unwrap_err(), "a rule's record has at least 1040 bytes, this one 100");
    assert_eq!(Rule::from_kernel(&record[..record.len() - 1]).unwrap_err(), "the text of key is cut off");
    let mut unknown = record.clone();
    unknown[0] = 3;
    assert_eq!(Rule::from_kernel(&unknown).unwrap_err(), "unknown list 0x3");
}

/// Lines made of what rules are made of, so that many of them get far.
fn plausible_line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "-w",
        "-a",
        "-A",
        "-d",
        "-W",
        "-p",
        "-k",
        "-S",
        "-F",
        "-C",
        "-D",
        "-e",
        "-i",
        "--",
        "-",
        "-t",
        "-q",
        "-m",
        "--reset-lost",
        "always,exit",
        "never,task",
        "exclude,always",
        "exit,always",
        "user,never",
        "always,filesystem",
        "never,io_uring",
        "arch=b64",
        "arch=b32",
        "path=/fixture/file",
        "dir=/fixture/dir",
        "perm=wa",
        "key=k",
        "key!=k",
        "uid=root",
        "auid>=1000",
        "auid!=unset",
        "exe=/usr/bin/docker",
        "msgtype=CWD",
        "fstype=tracefs",
        "exit=-EPERM",
        "uid!=euid",
        "a0&=3",
        "all",
        "open,openat",
        "2040",
        "/fixture/dir/",
        "/fixture/file",
        "/fixture/nodir/x",
        "wa",
        "rwxa",
        "k\\ ey",
        "\\\\",
        "\t",
        "é",
        "1",
        "\0",
    ]);
    prop::collection::vec(word, 0..9).prop_map(|words| words.join(" ").into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_line(&line, &env());
        let _ = Rule::from_kernel(&line);
    }

    #[test]
    fn no_record_makes_it_panic(at in 0usize..260, word in any::<u32>(), tail in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut record = our_watch("/etc/docker", true, Perms::WRITE, "docker").to_kernel().unwrap();
        record[at * 4..at * 4 + 4].copy_from_slice(&word.to_ne_bytes());
        record.extend(tail);
        if let Ok(rule) = Rule::from_kernel(&record) {
            let _ = (rule.to_string(), rule.keys(), rule.perms());
            prop_assert!(rule.to_kernel().is_ok());
        }
    }

    #[test]
    fn plausible_rules_survive_every_form(line in plausible_line()) {
        if let Line::Rule { rule, .. } = parse_line(&line, &env()) {
            let record = rule.to_kernel().unwrap();
            prop_assert_eq!(&Rule::from_kernel(&record).unwrap(), &rule);
            let json = serde_json::to_string(&rule).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Rule>(&json).unwrap(), &rule);
            let text = rule.to_string();
            match parse_line(text.as_bytes(), &env()) {
                Line::Rule { rule: again, .. } => prop_assert_eq!(again, rule),
                other => prop_assert!(false, "{} -> {} -> {:?}", String::from_utf8_lossy(&line), text, other),
            }
        }
    }
}
