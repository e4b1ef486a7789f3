//! SARIF, JUnit and HTML, by the real binary: each tells what the JSON report tells, as one document, also on failure; man pages.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::process::{Command, Stdio};

use common::{Ran, Tree, command, harden, run};
use serde_json::{Value, json};

const FORMATS: [&str; 3] = ["sarif", "junit", "html"];
const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
/// A name that markup, a shell, a terminal and a template would all take for something else.
const HOSTILE: &str = "<img src=x onerror=alert(1)>&\"'\u{1b}[2J\n{{findings}}]]>--%s[a](b){0}";

/// A tree with findings of every status, and the baseline that judges it so.
fn tree() -> (Tree, String) {
    let tree = Tree::host();
    // What can't be read is drift of its own, and every key is unknown.
    tree.file("/etc/docker/daemon.json", "{\"debug\":true,\n", 0o666);
    let certs = format!("/etc/docker/certs.d/{HOSTILE}");
    tree.dir(&certs, 0o755).file(&format!("{certs}/ca.crt"), "", 0o666);
    let baseline = tree.at("/b.toml");
    let text = "schema = 1\nname = \"b\"\ntitle = \"b\"\nextends = \"cis-l1\"\n\
                [[waive]]\ncontrol = \"audit-watch-etc-docker\"\nreason = \"a <pilot> & more\"\nby = \"ops\"\nuntil = 2999-12-31\n\
                [[waive]]\ncontrol = \"audit-watch-dockerd\"\nreason = \"long ago\"\nby = \"ops\"\nuntil = 2020-01-31\n";
    fs::write(&baseline, text).unwrap();
    let baseline = baseline.to_str().unwrap().to_owned();
    (tree, baseline)
}

/// Stdout as one SARIF log that fits the official schema.
#[track_caller]
fn sarif(ran: &Ran) -> Value {
    let log: Value = serde_json::from_slice(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let schema = fs::read_to_string(format!("{DATA}/sarif/sarif-schema-2.1.0.json")).unwrap();
    // See tests/data/sarif/README.md.
    let schema = serde_json::from_str(&schema.replace("[a-zA-Z]{2}]?$", "[a-zA-Z]{2}?$")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<_> = schema.iter_errors(&log).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}\n{ran}");
    log
}

/// What Python makes of a text.
#[track_caller]
fn python(program: &str, input: &[u8]) -> Value {
    let mut child =
        Command::new("python3").args(["-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(input));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Stdout as XML: the attributes of the root, and of each test case its suite, name, file and what is in it.
#[track_caller]
fn junit(ran: &Ran) -> Value {
    let read = "import json, sys, xml.etree.ElementTree as e\n\
                root = e.fromstring(sys.stdin.buffer.read())\n\
                one = lambda s, c: [s.get('name'), c.get('classname'), c.get('name'), c.get('file')] + \
                  ([c[0].tag, c[0].get('type'), c[0].get('message')] if len(c) else ['passed', None, None])\n\
                counts = lambda x: [int(x.get(n)) for n in ('tests', 'failures', 'errors', 'skipped')]\n\
                json.dump({'root': root.tag, 'counts': counts(root), 'suites': [counts(s) for s in root],\n\
                  'cases': [one(s, c) for s in root for c in s.iter('testcase')]}, sys.stdout)";
    python(read, &ran.out)
}

/// Stdout as HTML: how often each tag is opened, and the text of the page. Tags must close in their turn.
#[track_caller]
fn html(ran: &Ran) -> Value {
    let read = "import json, sys\nfrom html.parser import HTMLParser\n\
                class P(HTMLParser):\n  tags, open, text, attrs = {}, [], '', set()\n\
                \x20 def handle_starttag(s, t, a):\n    s.tags[t] = s.tags.get(t, 0) + 1; s.attrs |= {n for n, _ in a}\n\
                \x20   t in ('meta', 'br') or s.open.append(t)\n\
                \x20 def handle_endtag(s, t):\n    assert s.open.pop() == t, t\n\
                \x20 def handle_data(s, d):\n    s.text += d\n\
                p = P(); p.feed(sys.stdin.buffer.read().decode()); p.close(); assert not p.open\n\
                json.dump({'tags': p.tags, 'text': p.text, 'attributes': sorted(p.attrs)}, sys.stdout)";
    python(read, &ran.out)
}

fn count(counts: &mut BTreeMap<String, u64>, key: String) {
    *counts.entry(key).or_default() += 1;
}

#[test]
fn every_status_in_every_format() {
    let (tree, baseline) = tree();
    let args = ["check", "-b", &baseline];
    let (_, report) = tree.json(&args);
    let of = |status: &str| report["summary"][status].as_u64().unwrap();
    for status in ["compliant", "drift", "manual", "not_applicable", "waived", "unknown"] {
        assert!(of(status) > 0, "nothing is {status}: {}", common::brief(&report));
    }
    let drift = of("drift") + of("manual");
    let total = report["findings"].as_array().unwrap().len() as u64;

    let log = sarif(&tree.harden(&[&args[..], &["--format", "sarif", "-v"]].concat()).expect(2));
    let results = log["runs"][0]["results"].as_array().unwrap();
    let mut kinds = BTreeMap::new();
    for result in results {
        let suppressed = if result["suppressions"].is_array() { " suppressed" } else { "" };
        count(&mut kinds, format!("{}{suppressed}", result["kind"].as_str().unwrap()));
    }
    let expected = [
        ("fail", drift),
        ("fail suppressed", of("waived")),
        ("notApplicable", of("not_applicable")),
        ("open", of("unknown")),
        ("pass", of("compliant")),
    ];
    assert_eq!(kinds, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    let waived = results.iter().find(|result| result["suppressions"].is_array()).unwrap();
    assert_eq!(waived["suppressions"][0]["justification"], "a <pilot> & more, by ops, until 2999-12-31");
    let expired = results.iter().find(|result| result["ruleId"] == "audit-watch-dockerd").unwrap();
    assert!(
        expired["message"]["text"].as_str().unwrap().contains("its waiver has expired (long ago, by ops, until 2020-01-31)")
    );
    let broken = results.iter().find(|result| result["ruleId"] == "daemon-config-valid").unwrap();
    let place = &broken["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"], json!({ "uri": "etc/docker/daemon.json", "uriBaseId": "TREE" }));
    assert_eq!(place["region"]["startLine"], 2);
    let few = sarif(&tree.harden(&[&args[..], &["--format", "sarif"]].concat()).expect(2));
    let few = few["runs"][0]["results"].as_array().unwrap().len() as u64;
    assert_eq!(few, drift + of("waived") + of("unknown"), "without -v only what asks for attention");

    let read = junit(&tree.harden(&[&args[..], &["--format", "junit"]].concat()).expect(2));
    let skipped = of("waived") + of("not_applicable");
    assert_eq!(read["counts"], json!([total, drift, of("unknown"), skipped]));
    let mut tags = BTreeMap::new();
    let mut suites = [0; 4];
    for case in read["cases"].as_array().unwrap() {
        count(&mut tags, case[4].as_str().unwrap().to_owned());
        assert_eq!(case[1], json!(format!("harden.{}", case[0].as_str().unwrap())));
    }
    for suite in read["suites"].as_array().unwrap() {
        (0..4).for_each(|index| suites[index] += suite[index].as_u64().unwrap());
    }
    let expected = [("error", of("unknown")), ("failure", drift), ("passed", of("compliant")), ("skipped", skipped)];
    assert_eq!(tags, expected.map(|(tag, count)| (tag.to_owned(), count)).into());
    assert_eq!(json!(suites), read["counts"]);

    let ran = tree.harden(&[&args[..], &["--format", "html"]].concat()).expect(2);
    let page = html(&ran);
    let text = page["text"].as_str().unwrap();
    for finding in report["findings"].as_array().unwrap() {
        assert!(text.contains(finding["control"].as_str().unwrap()), "{finding}");
    }
    assert!(text.contains(&format!("tree: {drift} not as wanted")), "{text}");
}

#[test]
fn a_name_stays_a_name() {
    let (tree, baseline) = tree();
    let args = |format| ["check", "-b", baseline.as_str(), "--only", "file-registry-*", "--format", format];
    let path = format!("/etc/docker/certs.d/{HOSTILE}/ca.crt");
    let shown = path.replace('\u{1b}', "\\u{1b}");
    let mode = "file-registry-certs-mode";

    let log = sarif(&tree.harden(&args("sarif")).expect(2));
    let result = log["runs"][0]["results"].as_array().unwrap().iter().find(|one| one["ruleId"] == mode).unwrap().clone();
    assert_eq!(result["properties"]["target"], path.as_str());
    let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
    let encoded = "etc/docker/certs.d/%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%26%22%27%1B%5B2J%0A%7B%7Bfindings%7D%7D%5D%5D%3E--%25s\
                   %5Ba%5D%28b%29%7B0%7D/ca.crt";
    assert_eq!(uri, encoded);
    let message = result["message"]["text"].as_str().unwrap();
    assert!(message.contains(r"\[a\](b){{0}}"), "neither a link nor a placeholder: {message}");

    let read = junit(&tree.harden(&args("junit")).expect(2));
    let case =
        read["cases"].as_array().unwrap().iter().find(|case| case[2].as_str().unwrap().starts_with(mode)).unwrap().clone();
    assert_eq!((&case[2], &case[3]), (&json!(format!("{mode}: {shown}")), &json!(shown)));

    let page = html(&tree.harden(&args("html")).expect(2));
    assert!(page["text"].as_str().unwrap().contains(&shown), "{page}");
    assert_eq!((&page["tags"]["img"], &page["tags"]["script"]), (&Value::Null, &Value::Null));
    let attributes = json!(["charset", "class", "content", "http-equiv", "id", "lang", "name"]);
    assert_eq!(page["attributes"], attributes);
}

#[test]
fn what_would_change_and_what_was_changed() {
    let tree = Tree::host();
    tree.file("/etc/docker/daemon.json", "{\n  \"debug\": true\n}\n", 0o666);
    for args in [&["plan"][..], &["--dry-run"], &["apply", "--dry-run"]] {
        for format in FORMATS {
            let before = tree.snapshot();
            let ran = tree.harden(&[args, &["--format", format]].concat()).expect(2);
            assert!(before.difference(&tree.snapshot()).is_empty());
            match format {
                "sarif" => assert_eq!(sarif(&ran)["runs"][0]["invocations"][0]["exitCode"], 2),
                "junit" => assert!(junit(&ran)["counts"][1].as_u64() > Some(0)),
                _ => {
                    let page = html(&ran);
                    let text = page["text"].as_str().unwrap();
                    assert!(text.contains("What would change") && text.contains("-  \"debug\": true"), "{text}");
                }
            }
        }
    }
    // As nobody is at a terminal, and none could read a question.
    let ran = tree.harden(&["apply", "--format", "html"]).expect(64);
    assert!(ran.stderr().contains("give --yes") && html(&ran)["text"].as_str().unwrap().contains("give --yes"), "{ran}");
    let page = html(&tree.harden(&["apply", "--yes", "--format", "html"]).expect(0));
    let text = page["text"].as_str().unwrap();
    assert!(text.contains("What was changed") && text.contains("everything is as wanted"), "{text}");
    let log = sarif(&tree.harden(&["apply", "--yes", "--format", "sarif"]).expect(0));
    let run = &log["runs"][0];
    assert_eq!((&run["results"], &run["invocations"][0]["executionSuccessful"]), (&json!([]), &json!(true)));
    assert_eq!(run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"], "nothing to change");
    assert_eq!(junit(&tree.harden(&["apply", "--yes", "--format", "junit"]).expect(0))["counts"][1], 0);
}

#[test]
fn one_document_also_on_failure() {
    let tree = Tree::host();
    tree.file("/etc/docker/daemon.json", "{\"debug\":", 0o644);
    let table: [(&[&str], i32, &str); 7] = [
        (&["check", "-b", "/nowhere.toml"], 64, "/nowhere.toml"),
        (&["check", "--bad"], 64, "unexpected argument"),
        (&["check", "--only", "nothing-*"], 64, "nothing-*"),
        (&["check", "--facts", "/nowhere"], 1, "/nowhere"),
        (&["apply", "--yes"], 1, "daemon.json"),
        (&["apply", "/nowhere.plan", "--yes"], 1, "/nowhere.plan"),
        (&["plan", "-o", "/nowhere/plan"], 1, "/nowhere/plan"),
    ];
    for (args, code, told) in table {
        for format in FORMATS {
            let args = [args, &["--format", format]].concat();
            // --facts looks at no tree.
            let ran = if args.contains(&"--facts") { harden(&args) } else { tree.harden(&args) }.expect(code);
            assert!(ran.stderr().contains(told), "{ran}");
            match format {
                "sarif" => {
                    let invocation = sarif(&ran)["runs"][0]["invocations"][0].clone();
                    assert_eq!((&invocation["executionSuccessful"], &invocation["exitCode"]), (&json!(false), &json!(code)));
                    let notification = &invocation["toolExecutionNotifications"][0];
                    assert_eq!(notification["level"], "error");
                    assert!(notification["message"]["text"].as_str().unwrap().contains(told), "{ran}");
                }
                "junit" => {
                    let read = junit(&ran);
                    assert_eq!(read["counts"], json!([1, 0, 1, 0]), "{ran}");
                    assert_eq!((&read["cases"][0][1], &read["cases"][0][4]), (&json!("harden"), &json!("error")));
                }
                _ => assert!(html(&ran)["text"].as_str().unwrap().contains(told), "{ran}"),
            }
        }
        let mut json = vec!["--format", "json"];
        json.extend(args);
        if !args.contains(&"--facts") {
            assert_eq!(tree.harden(&json).expect(code).document()["failed"], true);
        }
    }
}

#[test]
fn only_findings_have_these_formats() {
    let table: [&[&str]; 10] = [
        &["baseline", "list"],
        &["baseline", "show", "essential"],
        &["baseline", "diff", "essential", "guide"],
        &["explain", "daemon-live-restore"],
        &["generate", "daemon.json"],
        &["history"],
        &["rollback", "--yes"],
        &["recover"],
        &["completions", "bash"],
        &["man"],
    ];
    let tree = Tree::host();
    let before = tree.snapshot();
    for args in table {
        for format in FORMATS {
            let ran = tree.harden(&[args, &["--format", format]].concat()).expect(64);
            let told = format!("--format {format} is for findings: those of check, plan, apply and --dry-run");
            assert!(ran.stderr().contains(&told) && ran.stderr().contains("help: use --format text or json here"), "{ran}");
        }
    }
    assert!(before.difference(&tree.snapshot()).is_empty());
}

#[test]
fn dockerfiles_have_places() {
    let at = |args: &[&str]| {
        let mut command = command(&[&["check", "--dockerfile", "Dockerfile"], args].concat());
        command.current_dir(format!("{DATA}/dockerfile/bad"));
        run(command).expect(2)
    };
    let report = at(&["--format", "json"]).document();
    let log = sarif(&at(&["--format", "sarif", "-v"]));
    let results = log["runs"][0]["results"].as_array().unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(results.len(), findings.len());
    for (result, finding) in results.iter().zip(findings) {
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        let position = match (place["region"]["startLine"].as_u64(), place["region"]["startColumn"].as_u64()) {
            (Some(line), Some(column)) => format!("{uri}:{line}:{column}"),
            _ => uri.to_owned(),
        };
        let target = finding["target"].as_str().unwrap();
        assert_eq!(target.split(" (").next(), Some(position.as_str()));
    }
    let prints: std::collections::BTreeSet<_> =
        results.iter().map(|result| result["partialFingerprints"].to_string() + result["ruleId"].as_str().unwrap()).collect();
    assert_eq!(prints.len(), results.len(), "each finding has one of its own");
    let cases = junit(&at(&["--format", "junit"]))["cases"].clone();
    assert!(cases.as_array().unwrap().iter().all(|case| case[3].as_str().is_some_and(|file| !file.contains(":8:"))));
}

#[test]
fn a_report_in_a_file() {
    let (tree, baseline) = tree();
    let file = tree.at("/report");
    let path = file.to_str().unwrap();
    for format in ["json", "sarif", "junit", "html"] {
        let args = ["check", "-b", baseline.as_str(), "--format", format];
        let ran = tree.harden(&[&args[..], &["-o", path]].concat()).expect(2);
        assert!(ran.out.is_empty(), "{ran}");
        assert_eq!(fs::read_to_string(&file).unwrap(), tree.harden(&args).stdout(), "{format}");
    }
    // The failure of a run takes the place of the report that it was to write, so that nobody reads an old one for it.
    tree.harden(&["check", "-b", "/nowhere.toml", "--format", "json", "-o", path]).expect(64);
    assert!(fs::read_to_string(&file).unwrap().contains("\"failed\": true"));
    // A plan and an artifact stay: what failed is told on stdout.
    for args in
        [&["plan", "-b", "/nowhere.toml", "-o", path][..], &["generate", "daemon.json", "-b", "/nowhere.toml", "-o", path]]
    {
        fs::write(&file, "old").unwrap();
        assert_eq!(harden(&[args, &["--format", "json"]].concat()).expect(64).document()["failed"], true);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }

    // An existing file keeps its mode and owner; it is replaced, not written over.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&file, Some(1000), Some(1000)).unwrap();
    let before = fs::metadata(&file).unwrap();
    tree.harden(&["check", "-o", path]);
    let after = fs::metadata(&file).unwrap();
    assert_eq!((after.mode() & 0o7777, after.uid(), after.gid()), (0o640, 1000, 1000));
    assert_ne!(after.ino(), before.ino());
    assert!(!fs::read_dir(tree.path()).unwrap().any(|entry| entry.unwrap().file_name().to_string_lossy().ends_with(".tmp")));

    // What a link leads to is not touched, and a device stays one.
    let (link, target) = (tree.at("/link"), tree.at("/target"));
    fs::write(&target, "precious").unwrap();
    symlink(&target, &link).unwrap();
    for args in [&["check"][..], &["plan"], &["generate", "daemon.json"], &["check", "--save-facts"]] {
        let option: &[&str] = if args.contains(&"--save-facts") { &[] } else { &["-o"] };
        let args = [args, option, &[link.to_str().unwrap()]].concat();
        let ran = if args.contains(&"generate") { harden(&args) } else { tree.harden(&args) }.expect(1);
        assert!(ran.stderr().contains("symbolic link; nothing was written to where it leads"), "{ran}");
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    let null = tree.at("/null");
    let made = Command::new("mknod").arg(&null).args(["c", "1", "3"]).status().unwrap();
    assert!(made.success());
    for args in [["check", "-o"], ["plan", "-o"]] {
        tree.harden(&[&args[..], &[null.to_str().unwrap()]].concat());
        assert_eq!(fs::metadata(&null).unwrap().mode() & libc::S_IFMT, libc::S_IFCHR, "{args:?}");
    }
    // Who plants a pipe under a name would read what root writes.
    let planted = tree.at("/planted");
    assert!(Command::new("mkfifo").args(["-m", "666"]).arg(&planted).status().unwrap().success());
    std::os::unix::fs::chown(&planted, Some(65534), Some(65534)).unwrap();
    for args in [&["check", "-o"][..], &["plan", "-o"], &["check", "--save-facts"]] {
        let ran = tree.harden(&[args, &[planted.to_str().unwrap()]].concat()).expect(1);
        assert!(ran.stderr().contains("it is no regular file; nothing was written"), "{ran}");
    }
    tree.harden(&["check", "-o", tree.path().to_str().unwrap()]).expect(1);
    let ran = tree.harden(&["check", "--format", "json", "-o", "/nowhere/report"]).expect(1);
    assert_eq!(ran.document()["failed"], true, "what can't be told in the file is told on stdout");
    assert!(tree.harden(&["check", "-o", "/dev/stdout"]).stdout().contains("not as wanted"));
}

#[test]
fn man_pages_and_completions() {
    for of in [&[][..], &["check"], &["apply"], &["baseline", "set", "waive"], &["man"]] {
        let page = harden(&[&["man"], of].concat()).expect(0);
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww", "-z"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut groff = groff.spawn().expect("groff");
        groff.stdin.take().unwrap().write_all(&page.out).unwrap();
        let output = groff.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{of:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(harden(&["man", "nothing"]).expect(64).stderr().contains("there is no command `nothing`"));
    harden(&["man", "--format", "json"]).expect(64);
    for shell in ["bash", "zsh", "fish"] {
        let script = harden(&["completions", shell]).expect(0).stdout();
        assert!(["sarif", "junit", "html", "man"].iter().all(|word| script.contains(word)), "{shell}");
    }
}
